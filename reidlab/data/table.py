"""The sample table: one row per picture, the same columns for every data set, checked where it enters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reidlab.errors import DataError

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

SPLITS = ("train", "query", "gallery")
COLUMNS = ("path", "pid", "camid", "tracklet", "frame", "split")
BOX = ("x", "y", "w", "h")
JUNK_PID = -1
DISTRACTOR_PID = 0


@cache
def schema() -> DataFrameSchema:
    """Return the schema of a sample table.

    ``path`` absolute; ``pid`` the identity, -1 for junk and unlabelled pictures; ``camid`` as the data set counts;
    ``tracklet`` and ``frame`` -1 where there is none; ``split`` one of train, query and gallery; ``x, y, w, h`` the box
    in its frame in pixels and ``domain`` the data set's name, both optional.
    """
    import pandera.pandas as pa

    whole = {
        name: pa.Column("int64", pa.Check.ge(-1, error="expected -1 or more"))
        for name in ("pid", "camid", "tracklet", "frame")
    }
    place = {name: pa.Column(float, required=False) for name in ("x", "y")}
    extent = {
        name: pa.Column(float, pa.Check.gt(0, error="expected more than 0"), required=False) for name in ("w", "h")
    }
    absolute = pa.Check(lambda paths: [Path(p).is_absolute() for p in paths], error="expected an absolute path")
    return pa.DataFrameSchema(
        {
            "path": pa.Column(checks=absolute),
            "split": pa.Column(checks=pa.Check.isin(SPLITS, error=f"expected one of {', '.join(SPLITS)}")),
            "domain": pa.Column(required=False),
            **whole,
            **place,
            **extent,
        },
        index=pa.Index("int64", unique=True),
    )


def validate(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table if it is a sample table.

    Raises:
        DataError: naming the column, the first row and value that do not fit, and what was expected.
    """
    import pandera.errors

    name = table.attrs.get("dataset", "sample table")
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise DataError(f"{name}: no column {', '.join(map(repr, missing))}; it has {', '.join(map(str, table.columns))}")
    try:
        schema().validate(table, lazy=True)
    except pandera.errors.SchemaErrors as error:
        first = error.failure_cases.iloc[0]
        row = "" if pd.isna(first["index"]) else f", row {first['index']}"
        more = len(error.failure_cases) - 1
        raise DataError(
            f"{name}: column {first['column']!r}{row}: {first['failure_case']!r} does not fit; {first['check']}"
            + (f" (and {more} more)" if more else "")
        ) from None
    return table


def make_table(rows: Iterable[Mapping[str, Any]] | pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Return a valid sample table, rows numbered from 0, with what was left out of ``rows`` filled in.

    Args:
        rows: at least ``path, pid, camid, split``; ``tracklet`` and ``frame`` are -1 where missing.
        dataset: the data set's name, kept in ``attrs["dataset"]``.

    Raises:
        DataError: there are no rows, or they do not fit the schema.
    """
    table = rows.copy() if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    if table.empty:
        raise DataError(f"{dataset}: no pictures; check that the folder is the right one")
    for column in ("tracklet", "frame"):
        if column not in table:
            table[column] = -1
    whole = [c for c in ("pid", "camid", "tracklet", "frame") if c in table and np.issubdtype(table[c].dtype, np.integer)]
    table = table.astype(dict.fromkeys(whole, "int64"))
    box = [column for column in BOX if column in table]
    table = table[[*(c for c in COLUMNS if c in table), *box, *(["domain"] if "domain" in table else [])]]
    table = table.reset_index(drop=True)
    table.attrs["dataset"] = dataset
    return validate(table)
