"""Part-based homogeneity (PBH): clusters of several people are split by the features of body parts (Sec. 4.3.3).

C.-T. Liu et al., "Hard samples rectification for unsupervised cross-domain person re-identification", ICIP 2021. The
code was never released; what the text leaves open (the distance under the silhouettes, the kind of standard deviation,
groups of one picture) is said in :func:`part_based_homogeneity`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numba
import numpy as np

from reidlab.checks import check_clusters, check_features, check_integer, check_number
from reidlab.errors import ConfigError, DataError
from reidlab.evaluation.distances import distance_blocks
from reidlab.evaluation.kernels import parallel
from reidlab.seeding import derive

OUTLIER = -1
_STARTS = 10  # of each 2-means; the best is kept
_ROUNDING = 1e-9  # silhouettes that differ by less are equal


@dataclass(frozen=True, eq=False)
class Split:
    """The result of part-based homogeneity on N pictures in C clusters.

    Attributes:
        labels: (N,) int64 clusters after it, 0..C'-1; -1 is an outlier.
        split: numbers (from those before) of the clusters that were split, rising.
        imperfect: those whose score is below the threshold; one that cannot be split is among these alone.
        scores: (C,) float64 mean silhouettes, mSil(i); NaN where there are fewer than two clusters.
        threshold: lambda, below which a score is imperfect.
        parents: (C',) int64, the original cluster of each new cluster.
        note: why no cluster could be found imperfect, whatever its pictures; empty if one could. That there is no
            split then says nothing.
    """

    labels: np.ndarray
    split: np.ndarray
    imperfect: np.ndarray
    scores: np.ndarray
    threshold: float
    parents: np.ndarray
    note: str = ""


def part_based_homogeneity(
    features: np.ndarray,
    labels: np.ndarray,
    *parts: np.ndarray,
    deviations: float = 3.0,
    seed: int = 0,
    min_size: int = 1,
) -> Split:
    """Split the clusters whose mean silhouette is unusually low, by 2-means on each part of their pictures.

    A cluster is imperfect if its score is below lambda = mean - ``deviations`` * std of all clusters' scores
    (Sec. 4.4.2). Of n values none lies more than sqrt(n - 1) population standard deviations below their mean, so
    with 3 deviations at least 11 clusters are needed for any to be split; the result's ``note`` says so where there are
    fewer. Pictures of an imperfect cluster stay together only if 2-means puts them together in every part: with an
    upper and a lower part, into at most four groups by the look-up table of Fig. 4.3.

    Choices where the text is silent: silhouettes use Euclidean distances of the whole features, over clustered pictures
    only; the standard deviation is the population's; clusters of one picture count among the scores (with 0) and cannot
    be split; a group of one picture becomes a cluster (``min_size``).

    Args:
        features: (N, D) features of whole pictures, those that were clustered.
        labels: (N,) clusters 0..C-1; -1 is an outlier and stays one.
        *parts: (N, D_p) features of each part: upper and lower in the dissertation; any number but none will do.
        deviations: standard deviations below the mean, above 0.
        seed: of 2-means.
        min_size: pictures of a split cluster's group that has fewer become outliers; 1 keeps all groups.

    Raises:
        ConfigError: an argument is out of range, or there is no part.
        DataError: arrays do not fit each other, a value is not finite, or a cluster's number has no picture.

    Example:
        >>> near, far = np.zeros((20, 1)), np.arange(1.0, 21)[:, None] * 100
        >>> whole = np.concatenate([far, far + 1, [[0.0], [9], [2000], [2009]]])
        >>> labels = np.concatenate([np.arange(20), np.arange(20), [20] * 4])
        >>> coat = np.concatenate([near, near, [[1.0], [1], [7], [7]]])
        >>> found = part_based_homogeneity(whole, labels, coat)
        >>> found.split.tolist(), found.labels[-4:].tolist()
        ([20], [20, 20, 21, 21])
    """
    features, labels = check_features("features", features), _checked_labels(labels, len(features))
    if not parts:
        raise ConfigError("parts: none were given; give the features of at least one part, such as upper and lower")
    parts = tuple(check_features(f"part {number}", part, len(features)) for number, part in enumerate(parts, start=1))
    check_number("deviations", deviations, above=0, what="standard deviations below the mean")
    check_integer("min_size", min_size, 1)
    count = int(labels.max()) + 1
    none = np.empty(0, dtype=np.int64)
    if count < 2:
        scores = np.full(count, np.nan)
        note = f"{count} cluster(s): a silhouette compares a picture's cluster with another, so two are needed"
        return Split(labels.copy(), none, none, scores, float("nan"), np.arange(count), note)
    scores = mean_silhouettes(features, labels)
    mean, deviation = float(scores.mean()), float(scores.std())
    threshold = mean - deviations * deviation
    note = ""
    if count - 1 <= deviations**2:
        imperfect = none
        note = (
            f"{count} clusters: the largest possible deviation among them is {np.sqrt(count - 1):.2f} standard "
            f"deviations, so none can lie more than {deviations:g} below the mean"
        )
    elif deviation < _ROUNDING:
        imperfect = none
    else:
        imperfect = np.flatnonzero(scores < threshold)
    groups = {int(cluster): _groups(parts, labels, cluster, seed) for cluster in imperfect}
    split = np.array([cluster for cluster, group in groups.items() if group.max() > 0], dtype=np.int64)
    # A cluster keeps its place, and its groups stand there in the order of their first pictures.
    codes = np.zeros(len(labels), dtype=np.int64)
    kept = labels >= 0
    for cluster in split:
        members, group = np.flatnonzero(labels == cluster), groups[cluster]
        codes[members] = group
        kept[members] = np.bincount(group)[group] >= min_size
    out = np.full(len(labels), OUTLIER, dtype=np.int64)
    width = int(codes.max()) + 1
    found, out[kept] = np.unique(labels[kept] * width + codes[kept], return_inverse=True)
    return Split(out, split, imperfect, scores, threshold, found // width, note)


def mean_silhouettes(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the mean silhouette of each cluster, mSil(i) (Rousseeuw, 1987), (C,) float64.

    Args:
        features: (N, D); see :func:`silhouettes`.
        labels: (N,) clusters 0..C-1; -1 is an outlier.

    Raises:
        DataError: arrays do not fit, a value is not finite, or there are fewer than two clusters.
    """
    values = silhouettes(features, labels)
    inside = np.asarray(labels) >= 0
    own = np.asarray(labels)[inside]
    return np.bincount(own, weights=values[inside]) / np.bincount(own)


def silhouettes(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the silhouette of each picture, -1..1, in blocks of distances so that memory stays bounded.

    It is (b - a) / max(a, b), with a the mean Euclidean distance to the others of the picture's cluster and b the least
    of the mean distances to other clusters. The only picture of a cluster has 0, and so has one with a = b = 0.

    Args:
        features: (N, D).
        labels: (N,) clusters 0..C-1; -1 is an outlier, which is compared with nothing.

    Returns:
        (N,) float64; NaN for outliers.

    Raises:
        DataError: arrays do not fit, a value is not finite, or there are fewer than two clusters.
    """
    features, labels = check_features("features", features), _checked_labels(labels, len(features))
    if labels.max() < 1:
        raise DataError(f"labels: {int(labels.max()) + 1} cluster(s); a silhouette needs two to compare")
    inside = np.flatnonzero(labels >= 0)
    own = labels[inside]
    # With a picture at the origin no distance changes, and where all lie far from it more digits of each are kept.
    moved = features[inside] - features[inside[0]]
    sizes = np.bincount(own)
    found = np.empty(len(inside), dtype=np.float64)
    for rows, block in distance_blocks(moved, moved, "euclidean"):
        _silhouettes(block, rows.start, own, sizes, found[rows])
    out = np.full(len(labels), np.nan)
    out[inside] = found
    return out


@parallel()
def _silhouettes(block: np.ndarray, start: int, labels: np.ndarray, sizes: np.ndarray, out: np.ndarray) -> None:
    """Write the silhouettes of a block of rows, the first of which is picture ``start``."""
    for r in numba.prange(block.shape[0]):
        sums = np.zeros(len(sizes))
        for j in range(block.shape[1]):
            if j != start + r:  # its distance to itself is 0, but for rounding
                sums[labels[j]] += block[r, j]
        own = labels[start + r]
        out[r] = 0.0
        if sizes[own] == 1:
            continue
        within, between = sums[own] / (sizes[own] - 1), np.inf
        for cluster in range(len(sizes)):
            if cluster != own:
                between = min(between, sums[cluster] / sizes[cluster])
        if max(within, between) > 0:
            out[r] = (between - within) / max(within, between)


def _groups(parts: tuple[np.ndarray, ...], labels: np.ndarray, cluster: int, seed: int) -> np.ndarray:
    """Return the group of each of a cluster's pictures, numbered by the groups' first pictures."""
    members = np.flatnonzero(labels == cluster)
    halves = [_two_means(part[members], derive(seed, "part", n, int(cluster))) for n, part in enumerate(parts)]
    # Pictures with the same label in every part are a group; the table of Fig. 4.3 has a cell for each.
    _, first, group = np.unique(np.stack(halves), axis=1, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[group.ravel()]


def _two_means(points: np.ndarray, seed: int) -> np.ndarray:
    """Return 0 or 1 for each point; all 0 where the points are equal."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    if (points == points[0]).all():
        return np.zeros(len(points), dtype=np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # points that differ by less than rounding: one group
        return KMeans(2, n_init=_STARTS, random_state=seed % 2**32).fit(points).labels_.astype(np.int64)


def _checked_labels(labels: np.ndarray, count: int) -> np.ndarray:
    labels = check_clusters(labels, count)
    sizes = np.bincount(labels[labels >= 0])
    if (sizes == 0).any():
        raise DataError(f"labels: cluster {int(np.argmin(sizes))} has no member; number clusters 0..C-1")
    return labels.astype(np.int64)
