"""Splits of a table other than its data set's own: seeded, by identity, and the same on every machine.

A test of a user's own pictures, identities held out of training to choose models by, and which identities are labelled
(Sec. 3.4.2), kept in files.

Example:
    >>> table = get("pku_reid").read(folder)  # doctest: +SKIP
    >>> across_cameras(table)  # all identities are the test, for a network trained elsewhere  # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from reidlab.checks import check_integer, check_number
from reidlab.data.table import BOX, SampleTable, validate
from reidlab.data.tracklets import tracklets_of
from reidlab.errors import ConfigError, DataError
from reidlab.files import write_text
from reidlab.reading import read_text
from reidlab.seeding import rng

#: The dissertation's settings: shares of the identities, or a number of them.
SETTINGS = ("1/3", "1/6", "1/12", "50-ids")
_FORMAT = 1


class Division(NamedTuple):
    """A table in three parts, each with its ``split`` set; no identity is in ``train`` and in one of the others.

    Attributes:
        train: rows to train on.
        query: rows that query.
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
    """Make a test of all rows: pictures of some cameras are the queries, those of the others the gallery.

    Args:
        table: sample table of any splits.
        query_cameras: whose pictures are queries.

    Returns:
        A division without training rows. A picture that the data set has as a query and in the gallery is there once.

    Raises:
        ConfigError: nothing is left for the query or for the gallery.
    """
    queries = table["camid"].isin(list(query_cameras))
    if queries.all() or not queries.any():
        cameras = ", ".join(str(camid) for camid in sorted(set(table["camid"])))
        raise ConfigError(
            f"query_cameras: {sorted(query_cameras)} leaves nothing for the {'gallery' if queries.any() else 'query'}; "
            f"the table has cameras {cameras}"
        )
    once = ~table.duplicated([name for name in ("path", *BOX) if name in table])
    return Division(
        _part(table, table.iloc[:0], "train"),
        _part(table, table[once & queries], "query"),
        _part(table, table[once & ~queries], "gallery"),
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
    pids = sorted(set(table.loc[table["pid"] >= 0, "pid"]))
    tested = _drawn(table, pids, "test_share", test_share, rng(seed, "test identities"))
    test = across_cameras(table[tested], query_cameras)
    return test._replace(train=_part(table, table[~tested & (table["pid"] >= 0)], "train"))


def split_identities(table: pd.DataFrame, share: float, seed: int, *, tracklets: bool | None = None) -> Division:
    """Hold out a share of the training identities as a small retrieval test of its own.

    Args:
        table: sample table of training rows.
        share: part of the identities to hold out, in (0, 1); rounded, at least one identity on either side.
        seed: chooses identities and queries.
        tracklets: whether queries are whole tracklets, which as in MARS are in the gallery too (a camera often has but
            one of an identity) under the same numbers; where omitted, they are if every row has a tracklet.

    Returns:
        ``query``: one picture or tracklet of each held-out identity and camera, only of identities that were seen by
        two cameras or more, since others have no true match elsewhere; ``gallery``: the other held-out pictures, or all
        held-out tracklets.

    Raises:
        ConfigError: ``share`` is out of range.
        DataError: the table has rows that are not for training or too few identities, or tracklets are wanted and a
            row has none, or one has two identities or cameras.
    """
    check_training_rows(table)
    random = rng(seed, "held-out identities")
    held = _drawn(table, sorted(table["pid"].unique()), "share", share, random)
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
    return Division(train, rest[chosen].assign(split="query"), rest[others].assign(split="gallery"))


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


@dataclass(frozen=True)
class LabelledSplit:
    """The identities of a training set, divided into labelled and unlabelled ones.

    Attributes:
        setting: such as ``1/6`` or ``50-ids``.
        seed: that drew it.
        labelled: identities whose labels may be used.
        unlabelled: the other identities; only a measurement may look at their labels.

    Raises:
        DataError: an identity is in both parts, or fewer than 2 are labelled or none is unlabelled.
    """

    setting: str
    seed: int
    labelled: tuple[int, ...]
    unlabelled: tuple[int, ...]

    def __post_init__(self) -> None:
        if both := sorted(set(self.labelled) & set(self.unlabelled)):
            raise DataError(
                f"labelled and unlabelled identities overlap: {len(both)} are in both, such as {both[0]}; the method "
                "assumes that unlabelled identities are not among the labelled"
            )
        if len(self.labelled) < 2 or len(self.unlabelled) < 1:
            raise DataError(
                f"{len(self.labelled)} labelled and {len(self.unlabelled)} unlabelled identities; at least 2 and 1 are "
                "needed"
            )

    def rows(self, pids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of labelled and of unlabelled pictures.

        Args:
            pids: (N,) identities of the training pictures.

        Raises:
            DataError: an identity is in neither part.
        """
        known = np.isin(pids, self.labelled)
        unknown = np.isin(pids, self.unlabelled)
        if not (known | unknown).all():
            stray = np.asarray(pids)[~(known | unknown)][0]
            raise DataError(f"identity {stray} is in neither part of the division {self.setting}, seed {self.seed}")
        return np.flatnonzero(known), np.flatnonzero(unknown)

    def write(self, path: str | Path) -> Path:
        """Write the division to a JSON file.

        Raises:
            DataError: there is a file with another division already.
            StorageError: it cannot be written.
        """
        path = Path(path)
        if path.exists() and read_split(path) != self:
            raise DataError(f"{path}: holds another division; delete it or choose another name")
        write_text(path, json.dumps({"format": _FORMAT, **asdict(self)}, indent=1) + "\n")
        return path


def read_split(path: str | Path) -> LabelledSplit:
    """Read a division that :meth:`LabelledSplit.write` wrote.

    Raises:
        DataError: the file is missing or holds something else.
    """
    path = Path(path)
    try:
        content = json.loads(read_text(path))
        if content["format"] != _FORMAT:
            raise DataError(f"{path}: format {content['format']}, expected {_FORMAT}")
        parts = [tuple(check_integer(name, pid) for pid in content[name]) for name in ("labelled", "unlabelled")]
        return LabelledSplit(str(content["setting"]), check_integer("seed", content["seed"], None), *parts)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: no division of identities ({type(error).__name__}: {error})") from error


def divide_labels(pids: np.ndarray, setting: str, seed: int) -> LabelledSplit:
    """Draw the labelled identities of a training set.

    The parts of one seed are nested: an identity that is labelled at 1/12 is labelled at 1/6 and 1/3 too, so that
    settings differ in the number of labels alone.

    Args:
        pids: (N,) identities of the training pictures, none negative.
        setting: a share such as ``1/6``, or a number such as ``50-ids``.
        seed: of the draw.

    Raises:
        ConfigError: the setting cannot be read, or leaves one part without identities.
        DataError: there are pictures without an identity.
    """
    people = np.unique(pids)
    if len(people) and people[0] < 0:
        raise DataError("pids: some pictures have no identity (-1); labelled ones are drawn among identities")
    count = _count(setting, len(people))
    if not 2 <= count < len(people):
        raise ConfigError(
            f"labelled: {setting} of {len(people)} identities would label {count}; at least 2 must be labelled, and 1 "
            "must not be"
        )
    order = rng(seed, "labelled identities").permutation(people)
    return LabelledSplit(
        setting,
        seed,
        tuple(int(pid) for pid in sorted(order[:count])),
        tuple(int(pid) for pid in sorted(order[count:])),
    )


def _count(setting: str, people: int) -> int:
    try:
        if setting.endswith("-ids"):
            return int(setting.removesuffix("-ids"))
        share = Fraction(setting)
    except (ValueError, ZeroDivisionError, AttributeError):
        share = Fraction(0)
    if not 0 < share < 1:
        raise ConfigError(f"labelled: {setting!r} is neither a share such as 1/6 nor a number such as 50-ids")
    return round(share * people)


def _drawn(table: SampleTable, pids: list[int], field: str, share: float, random: np.random.Generator) -> pd.Series:
    """Return which rows are of a drawn share of the identities, at least one of which is on either side."""
    check_number(field, share, above=0, below=1)
    if len(pids) < 2:
        raise DataError(f"table: {len(pids)} identity cannot be divided; at least 2 are needed")
    count = min(max(round(share * len(pids)), 1), len(pids) - 1)
    return table["pid"].isin(random.choice(pids, size=count, replace=False))


def _part(table: SampleTable, rows: pd.DataFrame, split: str) -> SampleTable:
    out = rows.assign(split=split).reset_index(drop=True)
    out.attrs.update(table.attrs)
    return out
