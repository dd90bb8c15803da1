"""Clusterers for pseudo-labels: DBSCAN as SSG sets it up, others by name, and checked labels to train on.

Any object with scikit-learn's interface is a clusterer. Clusterers number outliers and report failure in different
ways; :func:`checked_labels` hides the differences, so that a loop of clustering and training gets either labels it can
train on or one exception.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from scipy.sparse import csr_matrix
from sklearn import cluster
from sklearn.base import BaseEstimator, ClusterMixin

from reidlab.checks import check_choice, check_features, check_integer, check_number
from reidlab.errors import ConfigError, RunError
from reidlab.evaluation.jaccard import jaccard_distances
from reidlab.pseudolabel.affinity import AffinityPropagation
from reidlab.seeding import derive

OUTLIER = -1
#: Greatest radius; no number that float32 holds lies between it and 1.
BELOW_ONE = 1 - 2**-24


class Clusterer(Protocol):
    """Scikit-learn's interface, which a clusterer must have.

    Attributes:
        labels_: (N,) whole numbers after ``fit``: a number per cluster, a negative one for outliers.
    """

    labels_: np.ndarray

    def fit(self, features: np.ndarray, /) -> Any:
        """Cluster (N, D) features; the return value is ignored."""
        ...


class ClusteringFailed(RunError):
    """The clusters cannot be trained on: there is none, only one, or one per picture.

    Args:
        message: what happened and what to change.
        labels: see below.

    Attributes:
        labels: (N,) int64 labels that were found, 0..C-1 and -1 for outliers.
    """

    def __init__(self, message: str, labels: np.ndarray) -> None:
        super().__init__(message)
        self.labels = np.asarray(labels, dtype=np.int64)

    def __reduce__(self) -> tuple[type, tuple[str, np.ndarray]]:
        return type(self), (str(self), self.labels)


class JaccardDBSCAN(ClusterMixin, BaseEstimator):
    """DBSCAN on the Jaccard distance of k-reciprocal encodings, with SSG's rule for its radius.

    Y. Fu et al., "Self-similarity grouping", ICCV 2019 (https://arxiv.org/abs/1811.10144); Sec. 4.3.1 and Table 3.4 of
    the dissertation. The radius is the mean of the smallest distances, the closest ``share`` of all pairs of different
    pictures; pairs at distance 0 are left out, as in the authors' code. That code has k1 = 20 and mixes in distances to
    the source domain with a weight of 0.1; here there are none. Pairs at distance 1 are not stored and never
    neighbours, so the radius stays below 1.

    Args:
        eps: radius, above 0 and below 1; None finds it by SSG's rule.
        share: of all pairs that the rule averages over; at least one pair is. It belongs to data sets as large as
            SSG's: among Market-1501's 12,936 pictures it makes 20.7 neighbours a picture, among a thousand only 1.6,
            where the radius is that of the few closest pairs and most pictures are outliers.
        neighbours: mean number of neighbours per picture that the rule averages over; replaces ``share`` where
            given, and does not depend on the number of pictures.
        min_samples: neighbours within the radius, the picture itself among them, that make a cluster's core.
        k1: see :func:`~reidlab.evaluation.jaccard.jaccard_distances`.
        k2: see there.
        keep_eps: whether a second ``fit`` keeps the radius of the first, as SSG does from its first iteration on.

    Attributes:
        labels_: (N,) int64 clusters; -1 is an outlier.
        eps_: radius used.
        core_sample_indices_: positions of the clusters' cores.

    Raises:
        ConfigError: an argument is out of range.

    Example:
        >>> features = np.array([[0.0], [1.0], [2.0], [50.0], [51.0], [52.0], [99.0]])
        >>> JaccardDBSCAN(eps=0.5, min_samples=2, k1=2, k2=1).fit(features).labels_.tolist()
        [0, 0, 0, 1, 1, 1, -1]
    """

    labels_: np.ndarray
    eps_: float
    core_sample_indices_: np.ndarray

    def __init__(
        self,
        eps: float | None = None,
        share: float = 0.0016,
        min_samples: int = 4,
        k1: int = 30,
        k2: int = 6,
        keep_eps: bool = False,
        neighbours: float | None = None,
    ) -> None:
        self.eps, self.share, self.min_samples = eps, share, min_samples
        self.k1, self.k2, self.keep_eps, self.neighbours = k1, k2, keep_eps, neighbours
        self._check()

    def fit(self, X: np.ndarray, y: object = None) -> JaccardDBSCAN:
        """Cluster features.

        Args:
            X: (N, D) features.
            y: ignored; part of scikit-learn's interface.

        Raises:
            ConfigError: ``k1`` or ``k2`` does not fit the number of features.
            DataError: features are not a matrix with at least two rows, a value is not finite, or too many pairs share
                neighbours; see :func:`~reidlab.evaluation.jaccard.jaccard_distances`.
        """
        self._check()  # set_params changes arguments too
        distances = jaccard_distances(X, self.k1, self.k2)
        if self.eps is not None:
            self.eps_ = float(self.eps)
        elif not (self.keep_eps and hasattr(self, "eps_")):
            share = self.share
            if self.neighbours is not None:
                share = min(1.0, self.neighbours / (distances.shape[0] - 1))
            self.eps_ = smallest_mean(distances, share)
        # Distances above the radius join no neighbours; without them there is less to sort and to copy.
        near = _within(distances, self.eps_)
        found = cluster.DBSCAN(eps=self.eps_, min_samples=self.min_samples, metric="precomputed").fit(near)
        self.labels_ = found.labels_.astype(np.int64)
        self.core_sample_indices_ = found.core_sample_indices_
        return self

    def _check(self) -> None:
        if self.eps is not None:
            check_number("eps", self.eps, above=0, below=1, what="the greatest Jaccard distance")
        check_number("share", self.share, above=0, most=1, what="a share of all pairs")
        if self.neighbours is not None:
            check_number("neighbours", self.neighbours, above=0, what="a mean number of them per picture")
        for name in ("min_samples", "k1", "k2"):
            check_integer(name, getattr(self, name), 1)


def smallest_mean(distances: csr_matrix, share: float = 0.0016) -> float:
    """Return the mean of the smallest distances between different pictures, SSG's radius for DBSCAN.

    Args:
        distances: (N, N) symmetric; what is not stored is at distance 1.
        share: of all pairs i < j that are not at distance 0; rounded to a number of pairs, at least 1.

    Returns:
        A radius below 1. Where no pair lies between 0 and 1 there is no scale, and the radius is just below 1: equal
        pictures are within it, pairs at distance 1 are not.
    """
    count = distances.shape[0]
    rows = np.repeat(np.arange(count, dtype=distances.indices.dtype), np.diff(distances.indptr))
    values = distances.data[distances.indices > rows]
    pairs = count * (count - 1) // 2 - int((values == 0).sum())
    values = values[values > 0]
    if len(values) == 0:
        return BELOW_ONE
    wanted = max(1, round(share * pairs))
    if wanted < len(values):
        values = np.partition(values, wanted - 1)[:wanted]
    total = values.sum(dtype=np.float64) + (wanted - len(values))  # the others are at distance 1
    return min(float(total / wanted), BELOW_ONE)


#: Clusterers by name.
CLUSTERERS: Mapping[str, Callable[..., Clusterer]] = {
    "dbscan": cluster.DBSCAN,
    "dbscan-ssg": JaccardDBSCAN,
    "kmeans": cluster.KMeans,
    "agglomerative": cluster.AgglomerativeClustering,
    "hdbscan": cluster.HDBSCAN,
    "ap": AffinityPropagation,
}


def make_clusterer(name: str, *, seed: int = 0, **options: Any) -> Clusterer:
    """Return a clusterer by name.

    Args:
        name: ``dbscan`` (on Euclidean distances, Table 3.4), ``kmeans``, ``agglomerative`` and ``hdbscan``
            (scikit-learn's), ``dbscan-ssg`` (:class:`JaccardDBSCAN`), or ``ap``
            (:class:`~reidlab.pseudolabel.affinity.AffinityPropagation`).
        seed: for those that draw: k-means' first centres, and how affinity propagation breaks ties.
        **options: the clusterer's own arguments. ``kmeans`` needs ``n_clusters``; ``agglomerative`` needs that or
            ``distance_threshold``.

    Raises:
        ConfigError: there is no such clusterer or option, or one that is needed is missing.

    Example:
        >>> make_clusterer("dbscan-ssg", min_samples=3)
        JaccardDBSCAN(min_samples=3)
    """
    check_choice("clusterer", name, CLUSTERERS)
    build = CLUSTERERS[name]
    fixed: dict[str, Any] = {
        "kmeans": {"random_state": derive(seed, "k-means") % 2**32},
        "hdbscan": {"copy": True},
        "ap": {"seed": seed},
    }.get(name, {})
    known = inspect.signature(build).parameters
    for option in options:
        if option not in known:
            raise ConfigError(f"options: {name} has no {option!r}; it knows {', '.join(known)}")
    if name == "agglomerative" and options.get("distance_threshold") is not None:
        fixed = {"n_clusters": None}
    elif name in ("kmeans", "agglomerative") and options.get("n_clusters") is None:
        either = " (or distance_threshold)" if name == "agglomerative" else ""
        raise ConfigError(f"n_clusters: {name} needs the number of clusters; give n_clusters{either}")
    return build(**{**fixed, **options})


def checked_labels(clusterer: Clusterer, features: np.ndarray) -> np.ndarray:
    """Fit a clusterer and return labels that can be trained on.

    The clusterer itself is fitted, not a copy: what else it found (``eps_``, ``cluster_centers_indices_``) can be read
    from it afterwards. Clusters keep their order, so numbers that were 0..C-1 already stay what they were.

    Args:
        clusterer: any object with scikit-learn's interface.
        features: (N, D).

    Returns:
        (N,) int64 clusters 0..C-1, with 2 <= C < N; -1 is an outlier.

    Raises:
        ConfigError: it is no clusterer, or is to make more clusters than there are pictures.
        DataError: features are not a matrix, or a value is not finite.
        ClusteringFailed: every picture is an outlier, all clustered ones are in one cluster, or each is a cluster of
            its own. A loop catches this one: :attr:`ClusteringFailed.labels` has what was found.
    """
    features = check_features("features", features)
    kind = type(clusterer).__name__
    if isinstance(clusterer, type) or not callable(getattr(clusterer, "fit", None)):
        what = f"the class {clusterer.__name__}" if isinstance(clusterer, type) else kind
        raise ConfigError(f"clusterer: {what} has no scikit-learn interface; give an object with fit and labels_")
    count = len(features)
    for name in ("n_clusters", "min_cluster_size"):
        value = getattr(clusterer, name, None)
        if isinstance(value, int | np.integer) and value > count:
            raise ConfigError(f"{name}: {kind} is set to {value}, but there are only {count} pictures; lower it")
    clusterer.fit(features)
    labels = _renumbered(kind, getattr(clusterer, "labels_", None), count)
    clusters = int(labels.max()) + 1
    inside = int((labels >= 0).sum())
    failures = {
        count: f"each of the {count} pictures is a cluster of its own, so none has a positive partner",
        1: f"all {inside} pictures that are no outliers are in one cluster; training needs at least two",
        0: f"all {count} pictures are outliers, so there is no pseudo-label to train on",
    }
    if clusters in failures:
        raise ClusteringFailed(f"{kind}: {failures[clusters]}; {_advice(clusterer, more=clusters != 1)}", labels)
    return labels


def _within(distances: csr_matrix, radius: float) -> csr_matrix:
    """Return the stored distances that are at most a radius."""
    keep = distances.data <= radius
    kept = np.add.reduceat(keep, distances.indptr[:-1], dtype=np.int64)  # no row is empty: its diagonal is stored
    starts = np.concatenate([[0], np.cumsum(kept)])
    return csr_matrix((distances.data[keep], distances.indices[keep], starts), shape=distances.shape)


def _renumbered(kind: str, labels: Any, count: int) -> np.ndarray:
    """Return labels as 0..C-1 and -1, the clusters in their order."""
    if labels is None:
        raise ConfigError(f"clusterer: {kind} has no labels_ after fit; give an object with scikit-learn's interface")
    labels = np.asarray(labels)
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise ConfigError(
            f"clusterer: labels_ of {kind} are {labels.dtype} of shape {labels.shape}; expected one whole number for "
            f"each of {count} pictures"
        )
    out = np.full(count, OUTLIER, dtype=np.int64)
    inside = labels >= 0  # scikit-learn has other negative numbers too
    out[inside] = np.unique(labels[inside], return_inverse=True)[1]
    return out


def _advice(clusterer: Clusterer, *, more: bool) -> str:
    """Return which parameter to change so that more pictures are clustered together, or fewer."""
    closer, wider = ("lower", "raise") if more else ("raise", "lower")
    eps = getattr(clusterer, "eps_", getattr(clusterer, "eps", None))
    if eps is not None:
        return f"{wider} eps (it was {eps:.4g}) or {closer} min_samples ({clusterer.min_samples})"
    if hasattr(clusterer, "min_cluster_size"):
        return f"lower min_cluster_size ({clusterer.min_cluster_size})"
    if getattr(clusterer, "n_clusters", None) is not None:
        return f"{closer} n_clusters ({clusterer.n_clusters})"
    if hasattr(clusterer, "preference"):
        return f"{closer} preference, or, if it did not converge, raise max_iter or damping"
    return f"{'loosen' if more else 'tighten'} its settings"
