"""Blocks of claims. Oracle: tables written out by hand, and the file's own errors."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidlab.lab.claim_files import expanded, rows_of

TABLE = """
- defaults: {source: dissertation, chapter: 1}
- item: Table 2.1
  kind: accuracy
  unit: percent
  id: t-{row}-{column}
  what: "{name}: {score}"
  note: bold
  rule: {key: "{column}", where: {method: "{row}", frames: 8}, tolerance: 1.0, because: seeds differ}
  columns:
    rank1: {score: rank-1 on MARS, needs: MARS, where: {data: mars}}
    mAP: {score: mAP on Duke, needs: Duke, where: {data: duke}, protocol: duke}
  rows:
    nvan: {printed: 90.0 82.80, name: NVAN, cells: {mAP: {note: the best}}}
    c2d: {printed: "- 79.1", name: "C2D, plain", where: {frames: 4}}
    sta: {printed: 86.2 -, name: STA, rule: null}
- {id: alone, item: Figure 1, what: It is {so}, kind: trend, key: mAP, larger: {a: 1}, smaller: 0.0}
"""
SHARED = {"source": "dissertation", "item": "Table 2.1", "kind": "accuracy", "unit": "percent"}
JUDGED = {"chapter": 1, "tolerance": 1.0, "because": "seeds differ"}


def read(tmp_path, text):
    path = tmp_path / "claims.yml"
    path.write_text(text)
    problems = []
    return list(rows_of(path, problems)), problems


def test_a_table_is_the_claims_of_its_cells(tmp_path):
    found, problems = read(tmp_path, TABLE.replace("{so}", "so"))
    assert problems == []
    assert [row for row, _ in found] == [
        SHARED
        | {"id": "t-nvan-rank1", "what": "NVAN: rank-1 on MARS", "needs": "MARS", "printed": "90.0", "note": "bold"}
        | {"rule": JUDGED | {"key": "rank1", "where": {"method": "nvan", "frames": 8, "data": "mars"}}},
        SHARED
        | {"id": "t-nvan-mAP", "what": "NVAN: mAP on Duke", "needs": "Duke", "printed": "82.80", "note": "the best"}
        | {
            "rule": JUDGED
            | {"key": "mAP", "where": {"method": "nvan", "frames": 8, "data": "duke"}, "protocol": "duke"},
        },
        SHARED
        | {"id": "t-c2d-mAP", "what": "C2D, plain: mAP on Duke", "needs": "Duke", "printed": "79.1", "note": "bold"}
        | {
            "rule": JUDGED | {"key": "mAP", "where": {"method": "c2d", "frames": 4, "data": "duke"}, "protocol": "duke"}
        },
        SHARED
        | {"id": "t-sta-rank1", "what": "STA: rank-1 on MARS", "needs": "MARS", "printed": "86.2", "note": "bold"}
        | {"rule": None},
        {"source": "dissertation", "id": "alone", "item": "Figure 1", "what": "It is so", "kind": "trend"}
        | {"rule": {"chapter": 1, "key": "mAP", "larger": {"a": 1}, "smaller": 0.0}},
    ]
    assert all(where.endswith(f"claims.yml: claim {row['id']!r}") for row, where in found)


def test_rows_without_columns_are_a_list_of_claims():
    block = {"id": "a-{row}", "unit": "count", "rule": {"key": "n", "where": {"of": "{row}", "at": "{at}"}}, "at": 3}
    rows = {"one": {"printed": "1"}, "two": {"printed": 2, "at": 4, "larger": {"b": 1}}}
    assert expanded(block | {"rows": rows}, {}, "here") == [
        {"id": "a-one", "unit": "count", "printed": "1", "rule": {"key": "n", "where": {"of": "one", "at": 3}}},
        {"id": "a-two", "unit": "count", "printed": 2}
        | {"rule": {"key": "n", "where": {"of": "two", "at": 4}, "larger": {"b": 1}}},
    ]


def test_defaults_hold_until_the_next_ones(tmp_path):
    text = "- defaults: {source: survey}\n- {id: a}\n- defaults: {needs: MARS}\n- {id: b}\n"
    assert [row for row, _ in read(tmp_path, text)[0]] == [
        {"source": "survey", "id": "a"},
        {"needs": "MARS", "id": "b"},
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("90.0 82.80", "90.0", r"row 2 \(Table 2.1\), row 'nvan': printed: expected text of 2 values \(rank1, mAP\)"),
        ("90.0 82.80", "90.0 82.8 1", r"row 'nvan': printed: expected text of 2 values .*found '90.0 82.8 1'"),
        ("90.0 82.80", "[90.0, 82.8]", r"row 'nvan': printed: expected text of 2 values .*found \[90.0, 82.8\]"),
        ("name: STA,", "", r"row 'sta': '{name}: {score}': placeholder 'name' has no value"),
        ("score: rank-1 on MARS,", "", r"row 'nvan': '{name}: {score}': placeholder 'score' has no value"),
        ("name: STA,", "name: STA, nots: x,", r"\(Table 2.1\), row 'sta': unknown field 'nots': .*did you mean 'note'"),
        ("cells: {mAP:", "cells: {map:", r"row 'nvan': cells: no column 'map'; did you mean 'mAP'"),
        ("{mAP: {note: the best}}", "{mAP: best}", r"row 'nvan': cells: expected names with fields"),
        (
            "nvan: {printed: 90.0 82.80, name: NVAN, cells: {mAP: {note: the best}}}",
            "nvan: 90.0",
            "rows: expected names",
        ),
        ("c2d: {printed", "nvan: {printed", r"line 15: 'nvan' stands twice|'nvan' stands twice"),
    ],
)
def test_a_slip_in_a_block_is_named_with_file_and_row(tmp_path, old, new, message):
    assert old in TABLE
    found, problems = read(tmp_path, TABLE.replace(old, new, 1).replace("{so}", "so"))
    (problem,) = problems
    assert re.search(message, problem)
    assert "claims.yml" in problem
    # What is around it is still read.
    assert [row["id"] for row, _ in found] in (["alone"], [])


def test_text_of_one_claim_is_left_as_it_is(tmp_path):
    found, problems = read(tmp_path, TABLE.replace("It is {so}", '"It is {so}"'))
    assert (found[-1][0]["what"], problems) == ("It is {so}", [])


def test_what_is_no_mapping_comes_back_for_the_reader_to_refuse(tmp_path):
    assert expanded("in words", {}, "here") == ["in words"]
    found, (problem,) = read(tmp_path, "- defaults: in words\n- {id: a}\n")
    assert re.search(r"claims.yml: row 1: expected names with fields", problem)
    assert [row for row, _ in found] == [{"id": "a"}]


@given(
    st.lists(st.lists(st.decimals(0, 99, places=1) | st.just("-"), min_size=3, max_size=3), min_size=1, max_size=4),
)
def test_every_printed_cell_is_one_claim(table):
    rows = {f"r{n}": {"printed": " ".join(map(str, cells))} for n, cells in enumerate(table)}
    columns = {name: {} for name in "abc"}
    found = expanded({"id": "{row}-{column}", "columns": columns, "rows": rows}, {}, "here")
    wanted = {f"r{n}-{c}": str(v) for n, cells in enumerate(table) for c, v in zip("abc", cells) if v != "-"}
    assert {claim["id"]: claim["printed"] for claim in found} == wanted
