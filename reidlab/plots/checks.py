"""Checks of what figures are given: tables, curves, points, lists of one length, pictures."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING, Any

import numpy as np

from reidlab.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

Picture = np.ndarray
"""(H, W, 3) uint8 RGB."""


def check_table(argument: str, table: pd.DataFrame, names: Sequence[str], numbers: Sequence[str]) -> None:
    """Check that a table has these columns, at least one row, and finite numbers where there must be numbers.

    Raises:
        ConfigError: it has not.
    """
    for name in [*names, *numbers]:
        if name not in table.columns:
            raise ConfigError(f"{argument}: no column {name!r}; it has {', '.join(map(str, table.columns))}")
    if table.empty:
        raise ConfigError(f"{argument}: expected at least one row; got none")
    for name in numbers:
        if table[name].dtype.kind not in "fiub" or not np.isfinite(table[name].to_numpy(dtype=float)).all():
            raise ConfigError(f"{argument}: column {name!r} holds values that are not finite numbers; leave them out")


def check_seeds(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a table whose means would mix more than seeds, such as two data sets; without seeds there is no telling.

    Raises:
        ConfigError: a seed has several rows with the same values in these columns.
    """
    if "seed" in table and (again := table.duplicated([*columns, "seed"])).any():
        row = table.loc[again, [*columns, "seed"]].iloc[0]
        words = ", ".join(f"{column} {value}" for column, value in row.items())
        raise ConfigError(f"table: several rows of {words}; choose those of one experiment first")


def check_lengths(count: int, what: str, **given: Sized | None) -> None:
    """Check that each argument that is given has as many entries as there are of ``what``, such as "label per row".

    Raises:
        ConfigError: one has not.
    """
    for name, entries in given.items():
        if entries is not None and len(entries) != count:
            raise ConfigError(f"{name}: expected one {what} ({count}); got {len(entries)}")


def check_numbers(name: str, values: Any, what: str = "fractions in 0..1", high: float = 1.0) -> np.ndarray:
    """Return values as a float array, of any shape, once they are finite, not negative and no larger than ``high``.

    Raises:
        ConfigError: they are not; the error says ``what`` was expected.
    """
    values = np.asarray(values, dtype=float)
    # A sum of shares may be above 1 by rounding.
    if values.size and not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= high + 1e-9):
        got = f"{values:g}" if values.ndim == 0 else f"{values.min():g}..{values.max():g}"
        raise ConfigError(f"{name}: expected {what}; got {got}")
    return values


def check_points(name: str, points: Any) -> np.ndarray:
    """Return places in the plane as (N, 2) float.

    Raises:
        ConfigError: another shape, none, or a place that is not finite.
    """
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise ConfigError(f"{name}: expected finite positions of shape (N, 2), N > 0; got shape {points.shape}")
    return points


def check_labels(name: str, labels: Any, points: np.ndarray) -> np.ndarray:
    """Return the labels of points as (N,) integers.

    Raises:
        ConfigError: another shape or type.
    """
    labels = np.asarray(labels)
    if labels.shape != (len(points),) or labels.dtype.kind not in "iu":
        raise ConfigError(f"{name}: expected one whole number per point; got {labels.dtype} of shape {labels.shape}")
    return labels


def check_picture(name: str, picture: Any) -> Picture:
    """Return a picture as an (H, W, 3) uint8 array.

    Raises:
        ConfigError: it is none.
    """
    array = np.asarray(picture)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or 0 in array.shape:
        raise ConfigError(f"{name}: expected an RGB picture, (H, W, 3) uint8; got {array.shape} {array.dtype}")
    return array


def check_pictures(name: str, pictures: Any) -> list[Picture]:
    """Return pictures, at least one, as (H, W, 3) uint8 arrays.

    Raises:
        ConfigError: there is none, or something that is no picture.
    """
    checked = [check_picture(f"{name}[{place}]", picture) for place, picture in enumerate(pictures)]
    if not checked:
        raise ConfigError(f"{name}: expected at least one picture; got none")
    return checked
