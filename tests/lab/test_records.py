"""Records: what may be recorded, and tables against sums done by hand."""

import json
from statistics import fmean

import numpy as np
import pandas as pd
import pytest

from reidlab.errors import RunError
from reidlab.lab import records
from reidlab.lab.records import frame, pivot, record


def rows():
    random = np.random.default_rng(0)
    return [
        record("c", key, random.random(), seed=seed, protocol="market1501", dims={"loss": loss, "width": width})
        for key in ("rank1", "mAP")
        for loss in ("triplet", "circle")
        for width in (16, 8)
        for seed in range(3)
    ]


def test_a_record_is_plain_data():
    made = record("c", "mAP", np.float32(0.5), seed=np.int64(3), dims={"z": np.int64(1), "a": np.bool_(True)})
    assert made["dims"] == '{"a": true, "z": 1}'
    assert (made["value"], made["seed"], made["unit"], made["timing"]) == (0.5, 3, "fraction", False)
    assert json.loads(json.dumps(made)) == made


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"key": "Rank-1"}, "a key is written in snake_case"),
        ({"key": ""}, "a key is written in snake_case"),
        ({"value": float("nan")}, "the value is nan; only finite numbers"),
        ({"value": float("inf")}, "the value is inf"),
        ({"value": "high"}, "expected one number, found 'high'"),
        ({"value": np.zeros(2)}, "expected one number"),
        ({"value": 85.3}, "85.3 is not a fraction; scores are recorded between 0 and 1"),
        ({"unit": ""}, "unit '' is not a name"),
        ({"seed": 1.5}, "seed must be a whole number or None, found 1.5"),
        ({"seed": True}, "seed must be a whole number"),
        ({"protocol": ""}, "protocol must be a name or None"),
        ({"dims": {"Loss": "a"}}, "'Loss' cannot be a dimension"),
        ({"dims": {"chapter": "a"}}, "'chapter' cannot be a dimension"),
        ({"dims": {"loss": [1]}}, r"dimension 'loss': expected text, a number or true/false, found \[1\]"),
        ({"dims": {"loss": None}}, "dimension 'loss': expected text"),
        ({"dims": {"loss": float("nan")}}, "dimension 'loss'"),
    ],
)
def test_what_may_not_be_recorded_is_named(given, message):
    arguments = {"key": "rank1", "value": 0.5} | given
    with pytest.raises(RunError, match=message):
        record("c", **arguments)


def test_the_schema_has_one_type_per_column():
    table = frame(rows())
    assert list(table.columns) == list(records.COLUMNS)
    assert table.dtypes.map(str).to_dict() | {"chapter": "string"} == {
        "chapter": "string",
        "key": "string",
        "value": "float64",
        "unit": "string",
        "seed": "Int64",
        "protocol": "string",
        "timing": "bool",
        "dims": "string",
    }


def test_a_value_recorded_twice_is_refused():
    twice = [record("c", "mAP", v, seed=0, dims={"a": 1}) for v in (0.1, 0.2)]
    with pytest.raises(RunError, match="'mAP' is recorded twice for seed 0"):
        frame(twice)
    with pytest.raises(RunError, match="recorded twice"):
        frame([record("c", "mAP", 0.1), record("c", "mAP", 0.1)])


def test_a_key_has_one_unit():
    with pytest.raises(RunError, match="'a' is recorded in count and in seconds; expected one unit"):
        frame([record("c", "a", 1, "count", seed=0), record("c", "a", 1, "seconds", seed=1)])


def test_records_survive_the_disk(tmp_path):
    table = frame([*rows(), record("c", "n", 3, "count")])
    records.write(table, tmp_path / "r.parquet")
    pd.testing.assert_frame_equal(records.read(tmp_path / "r.parquet"), table)
    assert list(tmp_path.iterdir()) == [tmp_path / "r.parquet"]


def test_the_same_records_are_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        records.write(frame(rows()), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def _cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def _other_columns(path):
    pd.DataFrame({"a": [1]}).to_parquet(path)


def _not_finite(path):
    table = pd.read_parquet(path)
    table.loc[0, "value"] = np.nan
    table.to_parquet(path)


def _not_json(path):
    table = pd.read_parquet(path)
    table["dims"] = "{"
    table["seed"] = range(len(table))
    table.to_parquet(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_cut, "not readable as records"),
        (_other_columns, "has columns a; expected chapter, key"),
        (_not_finite, "breaks the schema of records"),
        (_not_json, "breaks the schema of records"),
        (lambda path: path.write_text("hello"), "not readable as records"),
        (lambda path: path.unlink(), "no records here; run the chapter first"),
    ],
)
def test_damaged_records_are_refused_in_one_line(tmp_path, spoil, message):
    path = tmp_path / "r.parquet"
    records.write(frame(rows()), path)
    spoil(path)
    with pytest.raises(RunError, match=message) as caught:
        records.read(path)
    assert "\n" not in str(caught.value)


def test_pivot_gives_means_in_the_order_of_recording():
    table = frame(rows())
    made = pivot(table, ["mAP", "rank1"], rows="loss", columns="width")
    assert list(made.columns) == [("mAP", 16), ("mAP", 8), ("rank1", 16), ("rank1", 8)]
    assert list(made.index) == ["triplet", "circle"]
    for loss in made.index:
        for key, width in made.columns:
            values = [
                row["value"]
                for row in rows()
                if row["key"] == key and json.loads(row["dims"]) == {"loss": loss, "width": width}
            ]
            assert made.loc[loss, (key, width)] == pytest.approx(fmean(values))


def test_pivot_over_several_dimensions():
    made = pivot(frame(rows()), ["mAP"], rows=["loss", "width"])
    assert made.shape == (4, 1)
    assert list(made.index) == [("triplet", 16), ("triplet", 8), ("circle", 16), ("circle", 8)]


@pytest.mark.parametrize(("keys", "by"), [(["mINP"], "loss"), (["mAP"], "depth")])
def test_pivot_names_what_is_not_there(keys, by):
    with pytest.raises(RunError, match="no record"):
        pivot(frame(rows()), keys, rows=by)
