"""Embeddings: features with their labels, checked where they are made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reidlab.checks import check_features
from reidlab.errors import DataError


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Features of N pictures (or tracklets) with their labels.

    Attributes:
        features: (N, D) float32, finite.
        pids: (N,) int64 identities; -1 is junk, 0 a distractor where the data set says so.
        camids: (N,) int64 cameras.
        tracklets: (N,) int64, or None.

    Raises:
        DataError: a shape does not fit, a feature is not finite or a label is not a whole number; the message names
            the field, and the row where there is one.
    """

    features: np.ndarray
    pids: np.ndarray
    camids: np.ndarray
    tracklets: np.ndarray | None = None

    def __post_init__(self) -> None:
        features = check_features("features", self.features, least=0)
        object.__setattr__(self, "features", features)
        for name in ("pids", "camids", "tracklets"):
            values = getattr(self, name)
            if values is None and name == "tracklets":
                continue
            labels = np.asarray(values)
            if labels.shape != (len(features),):
                raise DataError(f"{name}: expected one per row of features, ({len(features)},); got {labels.shape}")
            object.__setattr__(self, name, _whole(name, labels))

    def __len__(self) -> int:
        return len(self.features)

    def select(self, mask: np.ndarray) -> Embeddings:
        """Return the rows that a boolean mask (N,) or an index array (M,) picks."""
        tracklets = None if self.tracklets is None else self.tracklets[mask]
        return Embeddings(self.features[mask], self.pids[mask], self.camids[mask], tracklets)

    def most_seen(self, people: int) -> Embeddings:
        """Return the entries of the identities (above 0) that have the most of them."""
        pids, counts = np.unique(self.pids[self.pids > 0], return_counts=True)
        most = pids[np.argsort(-counts, kind="stable")][:people]
        return self.select(np.isin(self.pids, most))

    def normalized(self) -> Embeddings:
        """Return the same with features of Euclidean length 1; a zero row stays zero."""
        norms = np.linalg.norm(self.features, axis=1, keepdims=True)
        return Embeddings(self.features / np.maximum(norms, 1e-12), self.pids, self.camids, self.tracklets)

    def tracklet_means(self) -> Embeddings:
        """Return one row per tracklet, in order of their numbers: the mean of its features, with its labels.

        Raises:
            DataError: there are no tracklet numbers, or a tracklet has two identities or cameras.
        """
        if self.tracklets is None or (self.tracklets < 0).any():
            raise DataError("tracklets: every row needs the number of its tracklet, 0 or more, to be averaged by it")
        numbers, first, group, counts = np.unique(
            self.tracklets, return_index=True, return_inverse=True, return_counts=True
        )
        for name, labels in (("pids", self.pids), ("camids", self.camids)):
            mixed = labels != labels[first][group]
            if mixed.any():
                raise DataError(f"{name}: tracklet {self.tracklets[mixed][0]} has more than one value")
        sums = np.zeros((len(numbers), self.features.shape[1]), dtype=np.float64)
        np.add.at(sums, group, self.features)
        return Embeddings(sums / counts[:, None], self.pids[first], self.camids[first], numbers)


def _whole(name: str, labels: np.ndarray) -> np.ndarray:
    """Return labels as int64; reject those that the conversion would change, such as missing values."""
    try:
        with np.errstate(invalid="ignore"):
            whole = labels.astype(np.int64)
    except (TypeError, ValueError):
        whole = None
    if whole is None or not np.array_equal(whole, labels):
        raise DataError(f"{name}: expected whole numbers, none missing; got an array of {labels.dtype}")
    return whole
