"""Statements worked out from printed entries."""

import json

import pytest

from reidlab.errors import ClaimError
from reidlab.lab.project import Project
from reidlab.lab.statements import printed_differences, worked_out
from tests.lab.made_up_project import make_project

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


def test_nothing_is_a_share_of_zero():
    with pytest.raises(ClaimError, match="'none' prints 0"):
        worked_out(PRINTED | {"ch9-9.1-none-macs": 0.0}, "ch9-9.1", "small-share-of-none")


def test_a_statement_that_names_no_entry_is_refused(tmp_path):
    project = make_project(tmp_path / "project")
    rule = {"chapter": 1, "key": "printed_difference", "where": {"item": 3}}
    said = {"id": "a", "source": "survey", "item": "Table 1", "what": "So", "kind": "exact", "basis": "consistent"}
    folder = project.book / "claims"
    folder.mkdir()
    (folder / "a.yml").write_text(json.dumps([said | {"printed": 1, "rule": rule}]))
    with pytest.raises(ClaimError, match=r"a\.yml: claim 'a': rule: where: expected the texts item and quantity"):
        printed_differences("01_tiny", project)


def test_the_book_has_statements_and_each_is_recorded_once():
    for chapter in ("02a_non_local_video", "02b_detect_link_axial"):
        rows = printed_differences(chapter, Project.find())
        names = [(row["item"], row["quantity"]) for row in rows]
        assert names
        assert len(set(names)) == len(names)
