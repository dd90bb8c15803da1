"""Dividing a table otherwise than its data set does.

Example:
    >>> table = get("pku_reid").read(folder)  # doctest: +SKIP
    >>> across_cameras(table)  # everybody is a test, for a network that has seen none of them  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import pandas as pd

from reidlab.data.table import BOX, SampleTable, validate
from reidlab.errors import ConfigError, DataError
from reidlab.seeding import rng


class Division(NamedTuple):
    """A table in three parts, each with its ``split`` set.

    Attributes:
        train: rows to train on.
        query: rows that ask.
        gallery: rows that are searched.
    """

    train: SampleTable
    query: SampleTable
    gallery: SampleTable

    def table(self) -> SampleTable:
        """Return the three parts as one table."""
        out = pd.concat(self, ignore_index=True)
        out.attrs.update(self.gallery.attrs)
        return validate(out)


def across_cameras(table: SampleTable, query_cameras: Collection[int] = (1,)) -> Division:
    """Make a test of all rows: pictures of some cameras ask, those of the others are searched.

    Args:
        table: sample table of any splits.
        query_cameras: whose pictures are queries.

    Returns:
        A division without training rows. A picture that the data set has as a query and in the gallery is there once.

    Raises:
        ConfigError: nothing is left for the query or for the gallery.
    """
    asks = table["camid"].isin(list(query_cameras))
    if asks.all() or not asks.any():
        cameras = ", ".join(str(camid) for camid in sorted(set(table["camid"])))
        raise ConfigError(
            f"query_cameras: {sorted(query_cameras)} leaves nothing for the {'gallery' if asks.any() else 'query'}; "
            f"the table has cameras {cameras}"
        )
    once = ~table.duplicated([name for name in ("path", *BOX) if name in table])
    return Division(
        _part(table, table.iloc[:0], "train"),
        _part(table, table[once & asks], "query"),
        _part(table, table[once & ~asks], "gallery"),
    )


def divide_identities(
    table: SampleTable, test_share: float, seed: int, query_cameras: Collection[int] = (1,)
) -> Division:
    """Draw test identities; their pictures are divided by camera, all others are for training.

    Args:
        table: sample table of any splits.
        test_share: part of the identities for the test, between 0 and 1; at least one identity on either side.
        seed: chooses them.
        query_cameras: whose test pictures are queries.

    Raises:
        ConfigError: the share is out of range, or nothing is left for the query or for the gallery.
        DataError: there are fewer than two identities.
    """
    if not 0 < test_share < 1:
        raise ConfigError(f"test_share: {test_share} is not between 0 and 1")
    pids = sorted(set(table.loc[table["pid"] >= 0, "pid"]))
    if len(pids) < 2:
        raise DataError(f"table: {len(pids)} identity cannot be divided; at least 2 are needed")
    count = min(max(round(test_share * len(pids)), 1), len(pids) - 1)
    tested = table["pid"].isin(rng(seed, "test identities").choice(pids, size=count, replace=False))
    test = across_cameras(table[tested], query_cameras)
    return test._replace(train=_part(table, table[~tested & (table["pid"] >= 0)], "train"))


def _part(table: SampleTable, rows: pd.DataFrame, split: str) -> SampleTable:
    out = rows.assign(split=split).reset_index(drop=True)
    out.attrs.update(table.attrs)
    return out
