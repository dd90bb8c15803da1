"""Records: what a run measured, one row per value, and the tables made from them.

========  ==========  ==================================================================================
column    type        meaning
========  ==========  ==================================================================================
chapter   text        the chapter that measured it
key       text        what was measured: ``rank1``, ``mAP``, ``macs``
value     float64     always finite; scores are fractions between 0 and 1, never percentages
unit      text        ``fraction``, ``count``, ``seconds``, ...; one unit per key
seed      Int64       the seed of the experiment; missing where none was drawn
protocol  text        the evaluation protocol's name; missing where there is none
timing    bool        True if the value depends on the machine and so may change between runs
dims      text        whatever else tells values apart, as JSON with sorted keys: ``{"loss": "triplet"}``
========  ==========  ==================================================================================

No two rows agree in (key, seed, protocol, dims).
"""

from __future__ import annotations

import json
import math
import numbers
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reidlab.errors import RunError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = {
    "chapter": "string",
    "key": "string",
    "value": "float64",
    "unit": "string",
    "seed": "Int64",
    "protocol": "string",
    "timing": "bool",
    "dims": "string",
}
COLUMNS = tuple(SCHEMA)
IDENTITY = ("key", "seed", "protocol", "dims")
# Snake case, in which the field's own capitals may stay: mAP, mINP.
_KEY = re.compile(r"[a-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*")
_UNIT = re.compile(r"[A-Za-z][A-Za-z0-9_/^]*")


def record(
    chapter: str,
    key: str,
    value: float,
    unit: str = "fraction",
    seed: int | None = None,
    protocol: str | None = None,
    timing: bool = False,
    dims: Mapping[str, str | int | float | bool] | None = None,
) -> dict[str, Any]:
    """Return one validated record.

    Args:
        chapter: id of the chapter.
        key: what was measured, in snake case (``mAP`` and its like may keep their capitals).
        value: the number; anything that ``float()`` takes, finite.
        unit: its unit. A ``fraction`` lies between -1 and 1 (differences may be negative).
        seed: the seed of the experiment.
        protocol: the evaluation protocol's name.
        timing: whether the value depends on the machine.
        dims: what else tells this value from others of the same key.

    Raises:
        RunError: any of these is not as described.
    """
    where = f"{chapter}: record {key!r}"
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise RunError(f"{where}: a key is written in snake_case, such as 'rank1' or 'mAP'")
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise RunError(f"{where}: expected one number, found {value!r}") from error
    if not math.isfinite(number):
        raise RunError(f"{where}: the value is {number}; only finite numbers are recorded")
    if not isinstance(unit, str) or not _UNIT.fullmatch(unit):
        raise RunError(f"{where}: unit {unit!r} is not a name such as 'fraction', 'count' or 'seconds'")
    if unit == "fraction" and abs(number) > 1:
        raise RunError(
            f"{where}: {number:g} is not a fraction; scores are recorded between 0 and 1, not as percentages"
        )
    if seed is not None and (not isinstance(seed, numbers.Integral) or isinstance(seed, bool)):
        raise RunError(f"{where}: seed must be a whole number or None, found {seed!r}")
    if protocol is not None and (not isinstance(protocol, str) or not protocol):
        raise RunError(f"{where}: protocol must be a name or None, found {protocol!r}")
    plain = {}
    for name, item in sorted((dims or {}).items()):
        if not _KEY.fullmatch(name) or name in COLUMNS:
            raise RunError(f"{where}: {name!r} cannot be a dimension; expected a snake_case name of its own")
        plain[name] = _plain(item, f"{where}: dimension {name!r}")
    return {
        "chapter": chapter,
        "key": key,
        "value": number,
        "unit": unit,
        "seed": None if seed is None else int(seed),
        "protocol": protocol,
        "timing": bool(timing),
        "dims": json.dumps(plain, sort_keys=True, ensure_ascii=False),
    }


def frame(rows: Iterable[Mapping[str, Any]] | pd.DataFrame) -> pd.DataFrame:
    """Return records as a table with the columns and types of this module's schema.

    Raises:
        RunError: two rows agree in key, seed, protocol and dimensions, or a key has two units.
    """
    import pandas as pd

    table = pd.DataFrame(rows if isinstance(rows, pd.DataFrame) else list(rows), columns=list(COLUMNS)).astype(SCHEMA)
    if (twice := table.duplicated(list(IDENTITY))).any():
        row = table[twice].iloc[0]
        raise RunError(
            f"{row.chapter}: {row.key!r} is recorded twice for seed {row.seed}, protocol {row.protocol}, "
            f"dimensions {row.dims}; name what tells the two values apart"
        )
    units = table.groupby("key")["unit"].unique()
    for key, found in units.items():
        if len(found) > 1:
            raise RunError(f"{key!r} is recorded in {' and in '.join(sorted(found))}; expected one unit per key")
    return table


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table of records to a parquet file in one step."""
    from reidlab.files import replacing

    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)


def read(path: Path) -> pd.DataFrame:
    """Read a table of records and check it against the schema.

    Raises:
        RunError: the file is missing, cannot be read, or does not follow the schema.
    """
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except FileNotFoundError as error:
        raise RunError(f"{path}: no records here; run the chapter first") from error
    except Exception as error:  # pyarrow raises many kinds, all of which mean the same here
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(f"{path}: not readable as records ({reason}); run the chapter again") from error
    if list(table.columns) != list(COLUMNS):
        raise RunError(
            f"{path}: has columns {', '.join(map(str, table.columns))}; expected {', '.join(COLUMNS)}; "
            "run the chapter again"
        )
    try:
        table = frame(table)
        if not table["value"].map(math.isfinite).all():
            raise RunError("a value is not finite")
        for text in table["dims"].unique():
            json.loads(text)
    except (TypeError, ValueError, RunError) as error:
        raise RunError(f"{path}: breaks the schema of records ({error}); run the chapter again") from error
    return table


def expand(table: pd.DataFrame) -> pd.DataFrame:
    """Return the records with their dimensions as columns (missing where a record has no such dimension)."""
    import pandas as pd

    dims = pd.DataFrame([json.loads(text) for text in table["dims"]], index=table.index)
    return pd.concat([table.drop(columns="dims"), dims], axis=1)


def pivot(
    table: pd.DataFrame, keys: Iterable[str], rows: str | list[str] = "seed", columns: str | None = None
) -> pd.DataFrame:
    """Return the means over everything else (seeds, mostly) as a table.

    Args:
        table: records.
        keys: the keys to show, in order.
        rows: dimension or column, or several, for the table's rows.
        columns: dimension or column spread over the table's columns, under each key.

    Raises:
        RunError: a key or dimension is in none of the records.

    Example:
        >>> rows = [record("c", "mAP", v, seed=s, dims={"loss": n})
        ...         for n, s, v in [("a", 0, 0.5), ("a", 1, 0.7), ("b", 0, 0.1)]]
        >>> pivot(frame(rows), ["mAP"], rows="loss")["mAP"].round(3).to_dict()
        {'a': 0.6, 'b': 0.1}
    """
    keys = list(keys)
    wide = expand(table)
    for key in keys:
        if key not in set(wide["key"]):
            raise RunError(f"no record of {key!r}; recorded are {', '.join(sorted(set(wide['key'])))}")
    index = [rows] if isinstance(rows, str) else list(rows)
    for name in [*index, *([columns] if columns else [])]:
        if name not in wide.columns:
            raise RunError(f"no record has a dimension {name!r}; there is: {', '.join(wide.columns)}")
    wide = wide[wide["key"].isin(keys)]
    # Rows and columns keep the order in which the chapter recorded them.
    order = {name: list(dict.fromkeys(wide[name].dropna())) for name in [*index, *([columns] if columns else [])]}
    result = wide.pivot_table(
        index=index, columns=["key", *([columns] if columns else [])], values="value", aggfunc="mean", sort=False
    )
    for name in index:
        result = result.reindex(order[name], level=name) if len(index) > 1 else result.reindex(order[name])
    if columns:
        wanted = [(key, item) for key in keys for item in order[columns]]
        return result[[pair for pair in wanted if pair in result.columns]]
    return result[keys]


def _plain(value: Any, where: str) -> str | int | float | bool:
    """Return a dimension's value as plain Python; numpy's scalars are welcome."""
    if isinstance(value, str):
        return str(value)
    item = value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value
    if isinstance(item, bool | int) or (isinstance(item, float) and math.isfinite(item)):
        return item
    raise RunError(f"{where}: expected text, a number or true/false, found {value!r}")
