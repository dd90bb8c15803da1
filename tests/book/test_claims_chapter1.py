"""Claims of chapter 1: what can be checked before any chapter has run."""

from pathlib import Path

import yaml

CLAIMS = Path(__file__).parents[2] / "book" / "claims"
ROWS = yaml.safe_load((CLAIMS / "chapter1.yml").read_text(encoding="utf-8"))
ITEMS = {(item["source"], item["item"]) for item in yaml.safe_load((CLAIMS / "inventory.yml").read_text())}


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
