"""Statements worked out from printed entries."""

import pytest

from reidlab.errors import ClaimError
from reidlab.lab.project import Project
from reidlab.lab.statements import printed_differences, worked_out

PRINTED = {
    "ch9-9.1-big-macs": 60.0,
    "ch9-9.1-small-macs": 15.0,
    "ch9-9.1-big-mars-mAP": 82.8,
    "ch9-9.1-small-mars-mAP": 79.1,
    "ch9-9.2-a-cleaned-mars-mAP": 88.0,
    "ch9-9.2-a-given-mars-mAP": 85.0,
    "ch9-9.2-b-cleaned-mars-mAP": 90.0,
    "ch9-9.2-b-given-mars-mAP": 89.0,
    "ch9-9.2-c-cleaned-mars-mAP": 70.0,
}


@pytest.mark.parametrize(
    ("table", "quantity", "expected"),
    [
        ("ch9-9.1", "small-saves-of-big", 0.75),
        ("ch9-9.1", "big-adds-to-small", 3.0),
        ("ch9-9.1", "small-share-of-big", 0.25),
        ("ch9-9.1", "big-over-small-mars-mAP", 0.037),
        ("ch9-9.2", "a-cleaned-over-b-given-mars-mAP", -0.01),
        ("ch9-9.2", "cleaned-over-given-mars-mAP", 0.02),
    ],
)
def test_a_quantity_is_worked_out(table, quantity, expected):
    assert worked_out(PRINTED, table, quantity) == pytest.approx(expected)


@pytest.mark.parametrize("quantity", ["big-over-tiny-mars-mAP", "tiny-saves-of-big", "bigger"])
def test_what_is_not_printed_is_refused(quantity):
    with pytest.raises(ClaimError, match=quantity):
        worked_out(PRINTED, "ch9-9.1", quantity)


def test_the_book_has_statements_and_each_is_recorded_once():
    for chapter in ("02a_non_local_video", "02b_detect_link_axial"):
        rows = printed_differences(chapter, Project.find())
        names = [(row["item"], row["quantity"]) for row in rows]
        assert names
        assert len(set(names)) == len(names)
