"""The sample table: one pandas row per picture, the form in which every data set is read.

========== ======== =============================================================================================
``path``    str      absolute path of the picture, or of the frame that holds it
``pid``     int64    identity as the data set names it; -1: junk, or unknown
``camid``   int64    camera as the data set names it, from 1
``tracklet`` int64   tracklet the picture is part of; -1: none
``frame``   int64    frame number as the data set names it; -1: unknown
``split``   str      ``train``, ``query`` or ``gallery``
``domain``  str      name of the data set
``x y w h`` float    optional, together: the picture is this window of the file (pixels, top-left corner, width, height)
========== ======== =============================================================================================

Further columns are allowed. ``table.attrs["dataset"]`` is the data set's name. A reader adds ``layout`` (its name),
``distractor`` (the identity that stands for nobody, or None) and perhaps ``notes`` (lines on what it found).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from reidlab.checks import plural
from reidlab.errors import DataError

if TYPE_CHECKING:
    import pandera.pandas as pa

#: A data frame that :func:`validate` accepts.
SampleTable: TypeAlias = pd.DataFrame

SPLITS = ("train", "query", "gallery")
BOX = ("x", "y", "w", "h")

_NUMBERS = {
    "pid": (-1, "an integer of at least -1 (-1 is junk)"),
    "camid": (1, "an integer of at least 1"),
    "tracklet": (-1, "an integer of at least -1 (-1 is none)"),
    "frame": (-1, "an integer of at least -1 (-1 is unknown)"),
}


@cache
def schema() -> pa.DataFrameSchema:
    """Return the pandera schema of a sample table."""
    import pandera.pandas as pa

    # pandera's own complaint about a missing value says nothing of what was expected: the checks refuse it instead.
    def text(holds: Any, expected: str) -> pa.Column:
        def fits(values: pd.Series) -> pd.Series:
            # Each distinct text is checked once; most columns hold few.
            places, different = pd.factorize(values, use_na_sentinel=False)
            good = np.array(
                [isinstance(text, str) and bool(holds(text)) for text in np.asarray(different, dtype=object)],
                dtype=bool,
            )
            return pd.Series(good[places], values.index)

        return pa.Column(checks=pa.Check(fits, error=expected, ignore_na=False), nullable=True)

    def number(least: int, expected: str) -> pa.Column:
        return pa.Column("int64", pa.Check.ge(least, error=expected), nullable=True)

    def box(name: str) -> pa.Column:
        limit = [pa.Check.gt(0, error="a positive number of pixels")] if name in "wh" else []
        finite = pa.Check(np.isfinite, error="a finite number of pixels", ignore_na=False)
        return pa.Column("float64", [finite, *limit], nullable=True, required=False)

    return pa.DataFrameSchema(
        {
            "path": text(os.path.isabs, "an absolute path"),
            **{name: number(*rule) for name, rule in _NUMBERS.items()},
            "split": text(SPLITS.__contains__, f"one of {', '.join(SPLITS)}"),
            "domain": text(bool, "the name of a data set"),
            **{name: box(name) for name in BOX},
        },
        name="SampleTable",
    )


def validate(table: SampleTable) -> SampleTable:
    """Return a sample table unchanged, or say what is wrong with it.

    Raises:
        DataError: naming the first column and row that do not fit, the value found and what was expected.
    """
    from pandera.errors import SchemaErrors

    name = table.attrs.get("dataset", "without a name")
    boxed = [column for column in BOX if column in table]
    if boxed and len(boxed) < len(BOX):
        raise DataError(f"sample table {name}: columns {', '.join(boxed)} need all of {', '.join(BOX)} beside them")
    try:
        schema().validate(table, lazy=True)
    except SchemaErrors as error:
        raise DataError(f"sample table {name}: {_explain(error.failure_cases, table)}") from None
    return table


def _explain(failures: pd.DataFrame, table: pd.DataFrame) -> str:
    first = failures.iloc[0]
    if first["check"] == "column_in_dataframe":
        return f"column {first['failure_case']!r} is missing; it has {', '.join(map(str, table.columns)) or 'none'}"
    column = first["column"]
    if str(first["check"]).startswith("dtype("):
        expected = str(first["check"])[len("dtype('") : -len("')")]
        values = table[column].tolist()
        odd = [i for i, v in enumerate(values) if not isinstance(v, int | float) or not float(v).is_integer()]
        where = f", row {odd[0]}: found {values[odd[0]]!r}" if odd else ": found whole numbers"
        return f"column {column!r}{where} in a column of {table[column].dtype}, expected {expected}"
    same = failures[(failures["column"] == column) & (failures["check"] == first["check"])]
    more = f" (and {len(same) - 1} more rows)" if len(same) > 1 else ""
    value = first["failure_case"]
    value = value.item() if isinstance(value, np.generic) else value
    return f"column {column!r}, row {first['index']}: found {value!r}, expected {first['check']}{more}"


def described(table: SampleTable) -> str:
    """Return one line on a sample table: reader, pictures, people, tracklets, cameras and splits.

    A picture that is in query and gallery counts once; junk and the distractor class are no people.

    Example:
        >>> described(load("market1501"))  # doctest: +SKIP
        'read market1501 as market1501: 32217 pictures of 1501 people by 6 cameras (train 12936, query 3368, ...)'
    """
    pictures = len(table.drop_duplicates(["path", *(name for name in BOX if name in table)]))
    nobody = table.attrs.get("distractor", 0)
    people = table.loc[(table["pid"] >= 0) & (table["pid"] != nobody), "pid"].nunique()
    tracked = table[table["tracklet"] >= 0]
    tracklets = int(tracked.groupby(tracked["split"] == "train")["tracklet"].nunique().sum())
    parts = ", ".join(f"{split} {count}" for split, count in table["split"].value_counts(sort=False).items())
    words = [f"read {table.attrs.get('dataset', 'table')} as {table.attrs.get('layout', 'a table')}:"]
    who = plural(people, "person") if (table["pid"] >= 0).any() else "unknown people"
    words += [plural(pictures, "picture"), f"of {who}"]
    words += [f"in {plural(tracklets, 'tracklet')}"] if tracklets else []
    return " ".join([*words, f"by {plural(table['camid'].nunique(), 'camera')} ({parts})"])


def make_table(
    dataset: str,
    *,
    path: Sequence[str],
    pid: Any,
    camid: Any,
    split: Any,
    tracklet: Any = -1,
    frame: Any = -1,
    **more: Any,
) -> SampleTable:
    """Build a sample table from columns; a single value stands for a whole column.

    Args:
        dataset: name of the data set.
        path: one absolute path per row.
        pid: identities.
        camid: cameras, from 1.
        split: ``train``, ``query`` or ``gallery``.
        tracklet: tracklets, -1 for none.
        frame: frame numbers, -1 for unknown.
        **more: further columns, such as the box ``x, y, w, h``.

    Raises:
        DataError: a value does not fit; see :func:`validate`.

    Example:
        >>> table = make_table("mine", path=["/a.jpg", "/b.jpg"], pid=[3, 4], camid=1, split="train")
        >>> table.attrs["dataset"], table.pid.tolist()
        ('mine', [3, 4])
    """
    columns: dict[str, Any] = {"path": np.asarray(path, dtype=object)}
    numbers = {"pid": pid, "camid": camid, "tracklet": tracklet, "frame": frame}
    columns |= {name: _integers(name, values) for name, values in numbers.items()}
    columns |= {"split": split, "domain": dataset, **more}
    for name in BOX:
        if name in columns:
            columns[name] = np.asarray(columns[name], dtype=np.float64)
    for name, values in columns.items():
        if np.ndim(values) and len(values) != len(columns["path"]):
            raise DataError(
                f"sample table {dataset}: column {name!r} has {len(values)} rows, path {len(columns['path'])}"
            )
    table = pd.DataFrame(columns, index=pd.RangeIndex(len(columns["path"])))
    table.attrs["dataset"] = dataset
    return validate(table)


def _integers(name: str, values: Any) -> Any:
    found = np.asarray(values)
    # An empty list is one of floats to numpy; other floats are for validate() to refuse.
    return found.astype(np.int64) if found.size == 0 or np.issubdtype(found.dtype, np.integer) else found
