"""How well clusters agree with identities, and how far they follow cameras instead."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from reidlab.checks import check_choice, check_clusters, check_labels
from reidlab.errors import DataError

OUTLIER = -1
OUTLIER_RULES = ("ignored", "singletons")


@dataclass(frozen=True)
class Agreement:
    """Scores of one clustering against the identities.

    Attributes:
        clusters: number of clusters, outliers not counted.
        identities: number of identities among all pictures.
        outliers: share of pictures in no cluster.
        purity: share of clustered pictures that have the identity most common in their cluster.
        v_measure: harmonic mean of homogeneity and completeness (Rosenberg and Hirschberg, EMNLP 2007); the
            dissertation's Fig. 4.5.
        homogeneity: 1 where every cluster holds one identity.
        completeness: 1 where every identity lies in one cluster.
        nmi: mutual information over the arithmetic mean of the entropies, which equals the V-measure; retrieval on
            CUB-200 reports it under this name.
        ami: mutual information adjusted for chance (Vinh et al., JMLR 2010).
        ari: Rand index adjusted for chance (Hubert and Arabie, 1985).
    """

    clusters: int
    identities: int
    outliers: float
    purity: float
    v_measure: float
    homogeneity: float
    completeness: float
    nmi: float
    ami: float
    ari: float

    def summary(self) -> dict[str, float]:
        """Return all values by name."""
        return asdict(self)


def agreement(pids: np.ndarray, labels: np.ndarray, outliers: str = "ignored") -> Agreement:
    """Compare clusters with identities.

    Args:
        pids: (N,) identities.
        labels: (N,) clusters; -1 is an outlier.
        outliers: how the scores treat outliers: ``ignored`` leaves them out, as methods that do not train on them
            do; ``singletons`` counts each as a cluster of its own, which punishes a method that discards much.

    Raises:
        ConfigError: the rule is unknown.
        DataError: the arrays do not fit each other, or no picture is in a cluster.

    Example:
        >>> found = agreement(np.array([1, 1, 2, 2]), np.array([0, 0, 0, 1]))
        >>> found.clusters, found.purity
        (2, 0.75)
    """
    from sklearn import metrics

    check_choice("outliers", outliers, OUTLIER_RULES)
    pids, labels = _checked("pids", pids, labels)
    inside = labels != OUTLIER
    if not inside.any():
        raise DataError("labels: every picture is an outlier; there is no cluster to compare with identities")
    truth, found = pids[inside], labels[inside]
    clusters = len(np.unique(found))
    if outliers == "singletons":
        apart = found.max() + 1 + np.arange(int((~inside).sum()))
        truth, found = np.concatenate([truth, pids[~inside]]), np.concatenate([found, apart])
    homogeneity, completeness, v_measure = metrics.homogeneity_completeness_v_measure(truth, found)
    return Agreement(
        clusters=clusters,
        identities=len(np.unique(pids)),
        outliers=float(1 - inside.mean()),
        purity=purity(pids, labels),
        v_measure=float(v_measure),
        homogeneity=float(homogeneity),
        completeness=float(completeness),
        nmi=float(metrics.normalized_mutual_info_score(truth, found)),
        ami=float(metrics.adjusted_mutual_info_score(truth, found)),
        ari=float(metrics.adjusted_rand_score(truth, found)),
    )


def purity(kinds: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of clustered pictures that are of the kind most common in their cluster.

    With identities it measures how clean clusters are. With cameras it measures how far clusters follow cameras: 1
    means that no cluster holds two, and a cluster that is right has no more than an identity's pictures give; see
    :func:`camera_excess`.

    Args:
        kinds: (N,) whole numbers, such as identities or cameras.
        labels: (N,) clusters; outliers (-1) are left out.

    Raises:
        DataError: the arrays do not fit each other, or no picture is in a cluster.
    """
    from sklearn.metrics.cluster import contingency_matrix

    kinds, labels = _checked("kinds", kinds, labels)
    inside = labels != OUTLIER
    if not inside.any():
        raise DataError("labels: every picture is an outlier; there is no cluster to measure")
    table = contingency_matrix(labels[inside], kinds[inside])
    return float(table.max(axis=1).sum() / inside.sum())


def camera_excess(pids: np.ndarray, camids: np.ndarray, labels: np.ndarray) -> float:
    """Return by how much clusters are purer in cameras than identities are: 0 is right, more follows cameras.

    Args:
        pids: (N,) identities.
        camids: (N,) cameras.
        labels: (N,) clusters; outliers (-1) are left out on both sides.
    """
    inside = np.asarray(labels) != OUTLIER
    return purity(camids, labels) - purity(np.asarray(camids)[inside], np.unique(pids, return_inverse=True)[1][inside])


def _checked(name: str, kinds: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    kinds, labels = np.asarray(kinds), np.asarray(labels)
    if kinds.ndim != 1 or kinds.shape != labels.shape or len(kinds) == 0:
        raise DataError(f"{name}, labels: expected two arrays of shape (N,); got {kinds.shape} and {labels.shape}")
    return check_labels(name, kinds, len(kinds)), check_clusters(labels, len(kinds))
