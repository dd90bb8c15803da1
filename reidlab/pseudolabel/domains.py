"""A data set in memory: its pictures decoded once, shared by every method that is compared on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reidlab.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from reidlab.evaluation import Embeddings, Scores
    from reidlab.models import ReIDNet
    from reidlab.world import WorldSpec


@dataclass(frozen=True, eq=False)
class Pictures:
    """Decoded pictures with their rows of the sample table.

    Attributes:
        table: sample table of N rows, numbered from 0.
        images: (N, H, W, 3) uint8, RGB.
    """

    table: pd.DataFrame
    images: np.ndarray

    def __len__(self) -> int:
        return len(self.table)

    @property
    def pids(self) -> np.ndarray:
        """Identities (N,); a method without labels must not look at them."""
        return self.table["pid"].to_numpy()

    @property
    def camids(self) -> np.ndarray:
        """Cameras (N,)."""
        return self.table["camid"].to_numpy()

    def select(self, rows: np.ndarray) -> Pictures:
        """Return some rows, by their positions or a mask."""
        return Pictures(self.table.iloc[rows].reset_index(drop=True), self.images[rows])


@dataclass(frozen=True, eq=False)
class Domain:
    """A data set decoded.

    Attributes:
        name: of the data set.
        train: pictures to learn from, with or without their labels.
        query: pictures that ask.
        gallery: pictures that are searched.
        protocol: under which it is scored.
    """

    name: str
    train: Pictures
    query: Pictures
    gallery: Pictures
    protocol: str

    def score(self, model: ReIDNet, centre: bool = False) -> Scores:
        """Score a network on the test.

        Args:
            model: the network.
            centre: whether to subtract the mean feature of each camera's gallery pictures first.
        """
        from reidlab.evaluation import evaluate
        from reidlab.training import extract

        size = self.train.images.shape[1:3]
        query, gallery = (extract(model, part.table, size, images=part.images) for part in (self.query, self.gallery))
        if centre:
            query, gallery = centred(query, gallery)
        return evaluate(query, gallery, self.protocol)


#: Cameras that change colours little and hide few: dials of a world in which a small network, trained on little, begins
#: about where the dissertation's does. Under a scenario's own dials it finds so few people that clusters are noise.
KIND = {"colour_shift": 0.25, "light_change": 0.08, "occlusion": 0.2, "crossing": 0.1, "box_jitter": 0.02}

#: Protocols of data sets whose own name is not that of a protocol.
PROTOCOLS = {"cuhk03-np-detected": "cuhk03-np", "cuhk03-np-labeled": "cuhk03-np", "veri-776": "veri776"}
PROTOCOLS |= {"cub-200-2011": "leave-one-out"}


def decode(table: pd.DataFrame, size: tuple[int, int], name: str, protocol: str) -> Domain:
    """Decode the pictures of a sample table.

    Junk (identity -1) is left out of the training rows; the protocol deals with it in the gallery.

    Args:
        table: sample table with rows of all three splits.
        size: height and width to decode at, in pixels.
        name: what to call it.
        protocol: under which it is scored.

    Raises:
        DataError: a split has no rows, or a picture cannot be read.
    """
    from reidlab.data import ImageCache

    parts = {}
    for split in ("train", "query", "gallery"):
        rows = table[(table["split"] == split) & ((table["pid"] >= 0) | (split != "train"))].reset_index(drop=True)
        if rows.empty:
            raise DataError(f"{name}: split {split!r} has no pictures")
        parts[split] = Pictures(rows, np.asarray(ImageCache(rows, size, quiet=True)))
    return Domain(name, parts["train"], parts["query"], parts["gallery"], protocol)


def embedded(spec: WorldSpec, size: tuple[int, int]) -> Domain:
    """Decode an embedded world, drawn on first use."""
    from reidlab.data import load_world

    return decode(load_world(spec), size, spec.name, "market1501")


def real(name: str, size: tuple[int, int], seed: int) -> Domain:
    """Decode a real data set by its name.

    A set without a division of its own (PKU-Reid as published) is divided at random: half of the people are the test.

    Args:
        name: as the catalogue knows it.
        size: height and width to decode at, in pixels.
        seed: of that division.

    Raises:
        MissingDataError: it is not on this machine.
    """
    from reidlab.data import divide_identities, load
    from reidlab.evaluation import PROTOCOLS as known

    table = load(name)
    if name == "pku-reid" and not (table["split"] == "gallery").any():
        table = divide_identities(table, 0.5, seed).table()
    protocol = PROTOCOLS.get(name, name)
    return decode(table, size, name, protocol if protocol in known else "market1501")


def centred(query: Embeddings, gallery: Embeddings) -> tuple[Embeddings, Embeddings]:
    """Return embeddings less the mean of their camera's gallery pictures.

    It takes out what a camera does to all it sees, needs no label and no training: the least that learning without
    labels has to beat. A camera that the gallery lacks is centred by its own queries.

    Args:
        query: embeddings that ask.
        gallery: embeddings that are searched.
    """
    from reidlab.evaluation import Embeddings

    means = {camid: query.features[query.camids == camid].mean(axis=0) for camid in np.unique(query.camids)}
    means |= {camid: gallery.features[gallery.camids == camid].mean(axis=0) for camid in np.unique(gallery.camids)}
    out = []
    for part in (query, gallery):
        offsets = np.stack([means[camid] for camid in part.camids])
        out.append(Embeddings(part.features - offsets, part.pids, part.camids, part.tracklets))
    return out[0], out[1]
