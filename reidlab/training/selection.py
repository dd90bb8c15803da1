"""Held-out training identities: where models are chosen and thresholds set, so that test identities stay unseen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from reidlab.data import tracklets_of
from reidlab.errors import ConfigError, DataError
from reidlab.seeding import rng

if TYPE_CHECKING:
    import pandas as pd


class IdentitySplit(NamedTuple):
    """A training set cut by identity.

    Attributes:
        train: rows of the identities to train on.
        query: one picture or tracklet of each held-out identity and camera, with ``split`` = ``query``; only identities
            that were seen by two cameras or more, since others have no true match elsewhere.
        gallery: the other held-out pictures, or all held-out tracklets, with ``split`` = ``gallery``.
    """

    train: pd.DataFrame
    query: pd.DataFrame
    gallery: pd.DataFrame


def split_identities(table: pd.DataFrame, share: float, seed: int, *, tracklets: bool | None = None) -> IdentitySplit:
    """Hold out a share of the training identities as a small retrieval test of its own.

    Args:
        table: sample table of training rows.
        share: part of the identities to hold out, in (0, 1); rounded, at least one identity on either side.
        seed: chooses identities and queries.
        tracklets: whether queries are whole tracklets, which as in MARS are in the gallery too (a camera often has but
            one of an identity) under the same numbers; where omitted, they are if every row has a tracklet.

    Returns:
        Three sample tables; no identity is in ``train`` and in one of the others.

    Raises:
        ConfigError: ``share`` is out of range.
        DataError: the table has rows that are not for training or too few identities, or tracklets are wanted and a
            row has none, or one has two identities or cameras.
    """
    if not 0.0 < share < 1.0:
        raise ConfigError(f"share: {share} is not between 0 and 1")
    check_training_rows(table)
    pids = sorted(table["pid"].unique())
    if len(pids) < 2:
        raise DataError(f"table: {len(pids)} identity cannot be split; at least 2 are needed")
    random = rng(seed, "held-out identities")
    count = min(max(round(share * len(pids)), 1), len(pids) - 1)
    held = table["pid"].isin(random.choice(pids, size=count, replace=False))
    train, rest = table[~held].copy(), table[held].copy()
    if tracklets is None:
        tracklets = bool((table["tracklet"] >= 0).all())
    # Positions, not index labels: a table put together from several may have labels twice.
    parts = tracklets_of(rest).rows if tracklets else np.arange(len(rest))[:, None]
    heads = rest.iloc[[rows[0] for rows in parts]]
    order = random.permutation(len(parts))
    first = order[~heads.iloc[order].duplicated(["pid", "camid"]).to_numpy()]
    several = heads.groupby("pid")["camid"].transform("nunique").to_numpy() >= 2
    chosen = np.zeros(len(rest), dtype=bool)
    for part in first[several[first]]:
        chosen[parts[part]] = True
    others = slice(None) if tracklets else ~chosen
    return IdentitySplit(train, rest[chosen].assign(split="query"), rest[others].assign(split="gallery"))


def check_training_rows(table: pd.DataFrame) -> None:
    """Check that a table may be trained on.

    Raises:
        DataError: it is empty, has rows of the query or gallery, or rows without an identity.
    """
    if len(table) == 0:
        raise DataError("table: it has no rows to train on")
    if foreign := sorted(set(table["split"]) - {"train"}):
        raise DataError(
            f"table: it holds rows of split {', '.join(map(repr, foreign))}; training sees training rows only, "
            "pass table[table.split == 'train']"
        )
    if (table["pid"] < 0).any():
        raise DataError(
            f"table: {int((table['pid'] < 0).sum())} rows have a negative pid (junk); drop them before training"
        )
