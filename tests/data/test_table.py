"""The sample table: what it accepts, and the one line it says about what it does not."""

import numpy as np
import pandas as pd
import pytest

from reidlab.data import make_table, validate
from reidlab.data.table import BOX
from reidlab.errors import DataError


@pytest.fixture
def table():
    return make_table("street", path=["/a.jpg", "/b.jpg", "/c.jpg"], pid=[4, -1, 0], camid=[1, 2, 2], split="gallery")


def test_single_values_fill_columns(table):
    assert table.attrs["dataset"] == "street"
    assert table["domain"].tolist() == ["street"] * 3
    assert table["tracklet"].tolist() == table["frame"].tolist() == [-1] * 3
    assert {str(table[name].dtype) for name in ("pid", "camid", "tracklet", "frame")} == {"int64"}
    assert validate(table) is table


def test_an_empty_table_is_one():
    assert len(make_table("nobody", path=[], pid=[], camid=[], split=[])) == 0


def test_further_columns_are_kept():
    assert make_table("a", path=["/a"], pid=1, camid=1, split="train", mood=["gay"])["mood"].tolist() == ["gay"]


@pytest.mark.parametrize(
    ("column", "row", "value", "expected"),
    [
        ("pid", 1, -2, r"column 'pid', row 1: found -2, expected an integer of at least -1"),
        ("camid", 2, 0, r"column 'camid', row 2: found 0, expected an integer of at least 1"),
        ("frame", 0, -7, r"column 'frame', row 0: found -7"),
        ("split", 1, "test", r"column 'split', row 1: found 'test', expected one of train, query, gallery"),
        ("path", 2, "c.jpg", r"column 'path', row 2: found 'c\.jpg', expected an absolute path"),
        ("path", 0, None, r"column 'path', row 0: found (nan|None), expected an absolute path"),
        ("domain", 0, "", r"column 'domain', row 0: found '', expected the name"),
        ("pid", 1, 2.5, r"column 'pid', row 1: found 2\.5 in a column of float64, expected int64"),
        ("camid", 2, float("nan"), r"column 'camid', row 2: found nan in a column of float64, expected int64"),
        ("pid", 0, "anna", r"column 'pid', row 0: found 'anna' in a column of object, expected int64"),
    ],
)
def test_what_does_not_fit_is_named(table, column, row, value, expected):
    values = table[column].tolist()
    values[row] = value
    table[column] = pd.Series(values)
    with pytest.raises(DataError, match=f"^sample table street: {expected}") as caught:
        validate(table)
    assert "\n" not in str(caught.value)


def test_many_faults_are_counted(table):
    table["camid"] = [0, -3, 1]
    with pytest.raises(DataError, match=r"row 0: found 0, .* \(and 1 more rows\)"):
        validate(table)


def test_a_missing_column_is_named(table):
    with pytest.raises(DataError, match=r"column 'camid' is missing; it has path, pid, tracklet"):
        validate(table.drop(columns="camid"))


def test_boxes_come_with_four_sides_and_an_extent(table):
    with pytest.raises(DataError, match="columns x, y need all of x, y, w, h"):
        validate(table.assign(x=1.0, y=2.0))
    boxed = table.assign(**dict.fromkeys(BOX, 5.0))
    assert validate(boxed) is boxed
    with pytest.raises(DataError, match=r"column 'w', row 2: found 0\.0, expected a positive number of pixels"):
        validate(boxed.assign(w=[1.0, 2.0, 0.0]))
    with pytest.raises(DataError, match=r"column 'x', row 1: .* expected a finite number"):
        validate(boxed.assign(x=[1.0, np.inf, 0.0]))


def test_columns_of_different_lengths_are_named():
    with pytest.raises(DataError, match="column 'pid' has 1 rows, path 2"):
        make_table("a", path=["/a", "/b"], pid=[1], camid=1, split="train")
