"""Tracklets in memory: a data set's pictures decoded once, and shared by every network that is compared on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reidlab.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from reidlab.world import WorldSpec


@dataclass(frozen=True, eq=False)
class Part:
    """One split of a data set, decoded.

    Attributes:
        table: sample table of N rows, numbered from 0, each in a tracklet.
        images: (N, H, W, 3) uint8, RGB.
        masks: (N, 4) int64 boxes (y0, y1, x0, x1) of what is picture and not padding; None where all of it is.
    """

    table: pd.DataFrame
    images: np.ndarray
    masks: np.ndarray | None = None

    def select(self, rows: np.ndarray) -> Part:
        """Return some rows, by their positions."""
        masks = None if self.masks is None else self.masks[rows]
        return Part(self.table.iloc[rows].reset_index(drop=True), self.images[rows], masks)


@dataclass(frozen=True, eq=False)
class VideoSet:
    """A data set of tracklets, decoded.

    Attributes:
        name: of the data set.
        root: its folder.
        train: tracklets to learn from.
        query: tracklets to look for.
        gallery: tracklets to look in; as in MARS it holds the queries too, and the protocol says whether they count.
    """

    name: str
    root: Path
    train: Part
    query: Part
    gallery: Part

    @property
    def identities(self) -> int:
        """Number of training identities."""
        return self.train.table["pid"].nunique()


def decode(table: pd.DataFrame, root: Path, size: tuple[int, int], name: str = "") -> VideoSet:
    """Decode the pictures of a sample table of tracklets.

    Junk (identity -1) is left out of the training rows; protocols deal with it in the gallery.

    Args:
        table: sample table of a data set with tracklets.
        root: its folder.
        size: height and width to decode at, in pixels.
        name: what to call it; the table's own name where empty.

    Raises:
        DataError: a split has no rows, a row has no tracklet, or a picture cannot be read.
    """
    from reidlab.data import ImageCache

    name = name or table.attrs.get("dataset", "table")
    parts = {}
    for split in ("train", "query", "gallery"):
        rows = table[(table["split"] == split) & ((table["pid"] >= 0) | (split != "train"))].reset_index(drop=True)
        if rows.empty:
            raise DataError(f"{name}: split {split!r} has no pictures")
        if (rows["tracklet"] < 0).any():
            raise DataError(f"{name}: split {split!r} has pictures in no tracklet; video networks need tracklets")
        if split == "query" and set(rows["path"]) <= set(table.loc[table["split"] == "gallery", "path"]):
            parts[split] = rows  # decoded with the gallery
            continue
        parts[split] = Part(rows, np.asarray(ImageCache(rows, size, quiet=True)))
    if not isinstance(parts["query"], Part):
        parts["query"] = parts["gallery"].select(places_in(parts["query"], parts["gallery"].table))
        parts["query"] = Part(parts["query"].table.assign(split="query"), parts["query"].images)
    return VideoSet(name, root, parts["train"], parts["query"], parts["gallery"])


def places_in(rows: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """Return the positions in a table of other rows' pictures, by their paths."""
    place = dict(zip(table["path"], range(len(table))))
    return np.array([place[path] for path in rows["path"]], dtype=np.int64)


def embedded(spec: WorldSpec, size: tuple[int, int]) -> VideoSet:
    """Decode the tracklets of an embedded world, drawn on first use."""
    from reidlab.data import load_world
    from reidlab.world import cached

    table = load_world(spec, "mars")
    return decode(table, cached(spec, "mars"), size, spec.name)
