"""A data set in memory: its pictures decoded once, shared by every method that is compared on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from reidlab.checks import check_images
from reidlab.data.catalogue import find, load
from reidlab.data.clips import check_masks
from reidlab.data.embedded import load_world
from reidlab.data.images import ImageCache, read_picture
from reidlab.data.splits import divide_identities
from reidlab.data.table import BOX, SPLITS
from reidlab.data.tracklets import sample_frames
from reidlab.errors import ConfigError, DataError
from reidlab.evaluation import Embeddings, Protocol, Scores, evaluate
from reidlab.evaluation.centring import centred
from reidlab.world import WorldSpec, cached


@dataclass(frozen=True, eq=False)
class Pictures:
    """Decoded pictures with their rows of the sample table.

    Attributes:
        table: sample table of N rows, numbered from 0.
        images: (N, H, W, 3) uint8, RGB.
        masks: (N, 4) int64 boxes (y0, y1, x0, x1) in pixels, the part of each that is picture and not padding; None
            where all of it is.

    Raises:
        ConfigError: rows, pictures and masks differ in number, or pictures are no bytes of shape (N, H, W, 3).
        DataError: a mask is empty or not inside its picture.
    """

    table: pd.DataFrame
    images: np.ndarray
    masks: np.ndarray | None = None

    def __post_init__(self) -> None:
        check_images("images", self.images, len(self.table))
        if self.masks is not None:
            object.__setattr__(self, "masks", check_masks(self.masks, self.size, self.tracklets))

    def __len__(self) -> int:
        return len(self.table)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.images.shape[1:3]

    @property
    def pids(self) -> np.ndarray:
        """Identities (N,); a method without labels must not use them."""
        return self.table["pid"].to_numpy()

    @property
    def camids(self) -> np.ndarray:
        """Cameras (N,)."""
        return self.table["camid"].to_numpy()

    @property
    def tracklets(self) -> np.ndarray:
        """Numbers of the tracklets (N,); -1 is in none."""
        return self.table["tracklet"].to_numpy()

    @property
    def identities(self) -> int:
        """Number of identities."""
        return self.table["pid"].nunique()

    def each_in(self, embeddings: Embeddings) -> bool:
        """Return whether embeddings have a row for each of these N pictures, and not one for each tracklet."""
        numbers = embeddings.tracklets
        return len(embeddings) == len(self) and (numbers is None or np.array_equal(numbers, self.tracklets))

    def frames_of(self, tracklet: int, count: int) -> np.ndarray:
        """Return the rows (count,) of frames of a tracklet, spread as the test of Sec. 2.2.1 spreads them.

        Args:
            tracklet: its number.
            count: how many frames; one is repeated where it has fewer.

        Raises:
            ConfigError: there is no such tracklet.
        """
        rows = np.flatnonzero(self.tracklets == tracklet)
        if not len(rows):
            raise ConfigError(f"tracklet {tracklet}: there is none of that number")
        rows = rows[np.argsort(self.table["frame"].to_numpy()[rows], kind="stable")]
        return rows[sample_frames(len(rows), count)[0]]

    def originals(self, rows: Sequence[int]) -> np.ndarray:
        """Return some rows' pictures as they lie on disk, brought to the first one's size: (T, H, W, 3) uint8.

        Raises:
            DataError: a picture cannot be read.
        """
        paths = self.table["path"].iloc[list(rows)]
        size = read_picture(paths.iloc[0]).shape[:2]
        return np.stack([read_picture(path, size) for path in paths])

    def select(self, rows: np.ndarray) -> Pictures:
        """Return M of the rows, by their positions (M,) or a mask (N,) of bools."""
        masks = None if self.masks is None else self.masks[rows]
        return Pictures(self.table.iloc[rows].reset_index(drop=True), self.images[rows], masks)


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set decoded: train, query and gallery, and the protocols under which it is scored.

    Attributes:
        name: of the data set.
        train: pictures to learn from, with or without their labels.
        query: query pictures or tracklets.
        gallery: pictures or tracklets that are searched. As in MARS it may hold the queries too; the protocol says
            whether they count.
        protocols: under which it is scored; the first is the usual one.
        root: its folder, or None.
    """

    name: str
    train: Pictures
    query: Pictures
    gallery: Pictures
    protocols: tuple[Protocol | str, ...] = ("market1501",)
    root: Path | None = None

    @property
    def protocol(self) -> str:
        """Name of the usual protocol."""
        return getattr(self.protocols[0], "name", self.protocols[0])

    @cached_property
    def rows_of_query(self) -> np.ndarray | None:
        """Positions (N,) of the query's pictures in the gallery; None where they are not all there."""
        return _positions(self.query.table, self.gallery.table)

    def whole_test(self, protocols: tuple[Protocol | str, ...]) -> DataSet:
        """Return the set with every person's picture of the test as a query and all pictures as the gallery, each once.

        Args:
            protocols: under which it is scored; the first is the usual one.

        Raises:
            DataError: pictures have masks, as those of tracklets do.
        """
        parts = (self.query, self.gallery)
        if any(part.masks is not None for part in parts):
            raise DataError(f"{self.name}: its entries are tracklets; only a set of pictures is its own gallery")
        table = pd.concat([part.table for part in parts], ignore_index=True)
        once = ~table.duplicated([name for name in ("path", *BOX) if name in table]).to_numpy()
        everything = Pictures(table, np.concatenate([part.images for part in parts])).select(once)
        people = everything.select(everything.pids > 0)
        return DataSet(self.name, self.train, people, everything, protocols, self.root)

    def embed(self, extractor: Callable[[Pictures], Embeddings]) -> tuple[Embeddings, Embeddings]:
        """Return the embeddings of query and gallery; what lies in both is embedded once.

        Args:
            extractor: maps N pictures to N embeddings, or to one per tracklet in the order of their numbers.

        Returns:
            Query and gallery, each in the order of its table, or of its tracklets' numbers.
        """
        gallery = extractor(self.gallery)
        if self.rows_of_query is None:
            return extractor(self.query), gallery
        if self.gallery.each_in(gallery):
            return gallery.select(self.rows_of_query), gallery
        return gallery.select(np.isin(gallery.tracklets, self.query.tracklets)), gallery

    def score(
        self, extractor: Callable[[Pictures], Embeddings], protocol: Protocol | str | None = None, centre: bool = False
    ) -> Scores:
        """Score a method on the test.

        Args:
            extractor: see :meth:`embed`.
            protocol: the usual one where None.
            centre: whether to subtract each camera's mean feature first.
        """
        parts = self.embed(extractor)
        return evaluate(*(centred(*parts) if centre else parts), protocol or self.protocols[0])


def from_table(
    table: pd.DataFrame,
    size: tuple[int, int],
    name: str = "",
    *,
    protocols: tuple[Protocol | str, ...] = ("market1501",),
    root: Path | None = None,
    train: bool = True,
) -> DataSet:
    """Decode the pictures of a sample table, each file once.

    Junk (identity -1) is left out of the training rows; protocols deal with it in the gallery.

    Args:
        table: sample table with rows of all three splits.
        size: height and width to decode at, in pixels.
        name: what to call it; the table's own name where empty.
        protocols: under which it is scored.
        root: its folder.
        train: whether there must be rows to train on.

    Raises:
        DataError: a split has no rows, or a picture cannot be read.
    """
    name = name or table.attrs.get("dataset", "table")
    parts = {}
    for split in SPLITS:
        rows = table[(table["split"] == split) & ((table["pid"] >= 0) | (split != "train"))].reset_index(drop=True)
        if rows.empty and (train or split != "train"):
            raise DataError(f"{name}: split {split!r} has no pictures")
        parts[split] = rows
    known = _positions(parts["query"], parts["gallery"])
    decode = ("train", "gallery") if known is not None else SPLITS
    images = {split: np.asarray(ImageCache(parts[split], size, quiet=True)) for split in decode}
    if known is not None:
        images["query"] = images["gallery"][known]
    return DataSet(name, *(Pictures(parts[split], images[split]) for split in SPLITS), protocols=protocols, root=root)


def from_world(
    spec: WorldSpec, size: tuple[int, int], layout: str = "market1501", protocols: tuple[Protocol | str, ...] = ()
) -> DataSet:
    """Decode an embedded world, drawn on first use.

    Args:
        spec: the world.
        size: height and width to decode at, in pixels.
        layout: format in which it is written and read, see :func:`~reidlab.data.load_world`.
        protocols: under which it is scored; Market-1501's where empty.
    """
    protocols = protocols or ("market1501",)
    return from_table(load_world(spec, layout), size, spec.name, protocols=protocols, root=cached(spec, layout))


def from_name(name: str, size: tuple[int, int], seed: int = 0, protocols: tuple[Protocol | str, ...] = ()) -> DataSet:
    """Decode a real data set.

    A set without a division of its own (PKU-Reid as published) is divided at random: half of the people are the test.

    Args:
        name: as the catalogue knows it.
        size: height and width to decode at, in pixels.
        seed: of that division.
        protocols: under which it is scored; its manifest's where empty.

    Raises:
        MissingDataError: it is not on this machine.
        DataError: it has no training rows, or a picture cannot be read.
    """
    table, location = load(name), find(name)
    if not {"train", "gallery"} <= set(table["split"]):
        table = divide_identities(table, 0.5, seed).table()
    protocols = protocols or ((location.manifest.protocol if location.manifest else "") or "market1501",)
    return from_table(table, size, name, protocols=protocols, root=location.path)


def _positions(rows: pd.DataFrame, table: pd.DataFrame) -> np.ndarray | None:
    """Return the positions (N,) of rows' pictures, by path and box, in a table; None where they are not all there."""
    keys, known = (
        part[[name for name in ("path", *BOX) if name in part]].itertuples(index=False, name=None)
        for part in (rows, table)
    )
    place = {key: position for position, key in enumerate(known)}
    found = [place.get(key, -1) for key in keys]
    return None if min(found, default=-1) < 0 else np.array(found)
