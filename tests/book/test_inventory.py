"""The inventory must be whole: no numbered table or figure of the two works may be missing.

The counts below were read off the works' own lists of tables and figures and off the captions in their text.
"""

import re
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

CLAIMS = Path(__file__).parents[2] / "book" / "claims"
ITEMS = yaml.safe_load((CLAIMS / "inventory.yml").read_text(encoding="utf-8"))
STATUS = re.compile(
    r"(?P<content>accuracy|cost|accuracy and cost|curve|facts|illustration|text); "
    r"(?P<data>no data|[\w. -]+(, [\w. -]+)*); "
    r"(?P<verb>planned in|told in|judged in) (?P<chapter>\d\d[a-z]?_[a-z_]+)"
)

LAST = {
    ("dissertation", "Table"): {2: 10, 3: 6, 4: 2, 5: 8, 6: 2, 7: 5, 8: 5},
    ("dissertation", "Figure"): {1: 5, 2: 12, 3: 6, 4: 5, 5: 4, 6: 3, 7: 4, 8: 12},
    ("survey", "Table"): {None: 9},
    ("survey", "Figure"): {None: 4},
}


def status(item):
    match = STATUS.fullmatch(item["status"])
    assert match, f"{item['id']}: status {item['status']!r} is not 'content; data; verb chapter'"
    return match


def test_every_number_is_there_once():
    found = defaultdict(list)
    for item in ITEMS:
        kind, number = item["item"].split()
        if kind in ("Table", "Figure"):
            chapter, _, place = number.rpartition(".")
            found[item["source"], kind, int(chapter) if chapter else None].append(int(place))
    expected = {
        (source, kind, chapter): list(range(1, last + 1))
        for (source, kind), chapters in LAST.items()
        for chapter, last in chapters.items()
    }
    assert {key: sorted(numbers) for key, numbers in found.items()} == expected


def test_ids_are_unique_and_follow_from_the_item():
    assert len({item["id"] for item in ITEMS}) == len(ITEMS)
    for item in ITEMS:
        prefix = {"dissertation": "diss", "survey": "survey"}[item["source"]]
        assert item["id"] == f"{prefix}-{item['item'].lower().replace(' ', '-')}"


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item["id"])
def test_fields_are_valid(item):
    assert set(item) - {"chapter"} == {"id", "source", "item", "title", "status"}
    assert 10 <= len(item["title"]) <= 80
    assert not item["title"].endswith(".")
    # The survey is one article: its items have no chapter.
    chapter = item["item"].split()[1].partition(".")[0] if item["source"] == "dissertation" else None
    assert item.get("chapter") == (int(chapter) if chapter else None)
    told = status(item)
    assert told["verb"] == {"illustration": "told in", "text": "judged in"}.get(told["content"], "planned in")
    if told["content"] in ("accuracy", "cost", "accuracy and cost", "curve"):
        assert told["data"] != "no data", "a measured item rests on data"


def test_one_chapter_of_the_dissertation_is_measured_in_one_place():
    """Only chapter 1, which introduces all others, is told in several chapters; the audit counts for all of them."""
    places = defaultdict(set)
    for item in ITEMS:
        places[item.get("chapter")].add(status(item)["chapter"])
    for chapter in range(2, 9):
        assert len({place[:2] for place in places[chapter] - {"05b_accounting_audit"}}) == 1, (
            f"chapter {chapter}: {sorted(places[chapter])}"
        )


def test_tables_are_never_illustrations():
    for item in ITEMS:
        if item["item"].startswith("Table"):
            assert status(item)["content"] != "illustration"
