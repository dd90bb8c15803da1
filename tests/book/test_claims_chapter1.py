"""Claims of chapter 1: what can be checked before any chapter has run."""

from pathlib import Path

import yaml

from reidlab.lab.claim_files import rows_of

CLAIMS = Path(__file__).parents[2] / "book" / "claims"
PROBLEMS = []
ROWS = [row for row, _ in rows_of(CLAIMS / "chapter1.yml", PROBLEMS)]
ITEMS = {(item["source"], item["item"]) for item in yaml.safe_load((CLAIMS / "inventory.yml").read_text())}


def test_the_file_expands():
    assert PROBLEMS == []
    assert len(ROWS) == 16


def test_every_claim_names_an_item_of_the_inventory():
    assert {(row["source"], row["item"]) for row in ROWS} <= ITEMS


def test_ids_are_unique():
    assert len({row["id"] for row in ROWS}) == len(ROWS)


def test_a_switched_off_knob_is_a_word_and_not_false():
    """YAML 1.1 reads a bare ``off`` as false, and no record would ever match it."""
    for row in ROWS:
        for side in ("larger", "smaller"):
            for value in ((row["rule"] or {}).get(side) or {}).values():
                assert isinstance(value, str), f"{row['id']}: {side}: {value!r}"


def test_the_two_sides_of_a_trend_differ_in_one_thing():
    """Otherwise a difference could have two causes."""
    for row in ROWS:
        if row["kind"] == "trend":
            larger, smaller = row["rule"]["larger"], row["rule"]["smaller"]
            assert larger.keys() == smaller.keys()
            assert sum(larger[key] != smaller[key] for key in larger) == 1, row["id"]


def test_what_the_introduction_does_not_say_is_our_own_question():
    ours = {row["id"] for row in ROWS if row.get("whose") == "ours"}
    assert ours == {
        "ch1-network-over-untrained",
        "ch1-world-network-over-histogram-real",
        "ch1-world-network-over-untrained-real",
        "ch1-imagenet-over-scratch",
        "ch1-imagenet-over-scratch-unseen-real",
        "ch1-imagenet-over-scratch-real",
        "ch1-embedder-over-imagenet-real",
    }


def test_a_number_that_the_words_imply_is_not_called_printed():
    (row,) = [row for row in ROWS if row["id"] == "ch1-open-set"]
    assert row.get("printed") is None
    assert row["rule"]["implied"] == 0
