"""Semantics-guided affinity propagation (SG-AP): labelled pictures guide the number of clusters (Sec. 3.3.4).

The preference of affinity propagation decides the number of clusters, and is not known. SG-AP gives each picture its
own, in proportion to how far it lies from the others (Eqs. 3.2 and 3.3), and searches for the proportion ``p`` with
which the labelled pictures, clustered together with the unlabelled, get as many exemplars as they have identities.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from reidlab.checks import check_choice, check_features, check_integer, check_labels, check_number, check_square
from reidlab.errors import ConfigError, DataError
from reidlab.pseudolabel.affinity import (
    GREATEST,
    MessagePassing,
    Propagation,
    check_iterations,
    negative_squared_distances,
    warn_unsettled,
)

COUNTS = ("exemplars", "clusters")

_BLOCK = 2048  # rows held in float64 at a time
_CLOSE = 1e-3  # ends of the search beyond the observed similarities that differ by less are one


def similarity_ranking(similarities: np.ndarray | None = None, *, features: np.ndarray | None = None) -> np.ndarray:
    """Return the similarity ranking coefficient SR of each point, (N,) float64 with mean 1 (Eq. 3.2).

    A point far from the others has a greater one. Where all points are the same, all coefficients are 1.

    Args:
        similarities: (N, N), none above 0; the diagonal is ignored.
        features: (N, D), in place of similarities: negative squared Euclidean distances are then summed in closed form,
            without the N x N matrix.

    Raises:
        ConfigError: both or neither are given.
        DataError: similarities are not a square, some are above 0, or a value is not finite.

    Example:
        >>> import numpy as np
        >>> similarity_ranking(features=np.array([[0.0], [1.0], [5.0]])).round(2).tolist()
        [0.93, 0.61, 1.46]
    """
    if (similarities is None) == (features is None):
        raise ConfigError("similarity_ranking: give either similarities or features")
    if features is not None:
        sums = _sums_of_distances(check_features("features", features, longest=np.inf))
    else:
        similarities = np.asarray(similarities)
        check_square("similarities", similarities)
        sums = np.empty(len(similarities))
        for start in range(0, len(similarities), _BLOCK):
            rows = similarities[start : start + _BLOCK].astype(np.float64)
            rows[np.arange(len(rows)), np.arange(start, start + len(rows))] = 0.0
            bad = ~(np.isfinite(rows) & (rows <= 0)).all(axis=1)
            if bad.any():
                raise DataError(
                    f"similarities: row {start + int(np.flatnonzero(bad)[0])} holds a value that is not finite or "
                    "above 0; expected negative distances"
                )
            sums[start : start + _BLOCK] = -rows.sum(axis=1)
    total = sums.sum()
    return sums * (len(sums) / total) if total > 0 else np.ones(len(sums))


def adaptive_preference(
    similarities: np.ndarray | None = None, p: float = -1.0, *, features: np.ndarray | None = None
) -> np.ndarray:
    """Return the adaptive preference of each point, SR times ``p``, (N,) float64 (Eq. 3.3).

    Args:
        similarities: see :func:`similarity_ranking`.
        p: the preference of a point as far from the others as points are on average; at most 0.
        features: see :func:`similarity_ranking`.

    Raises:
        ConfigError: ``p`` is above 0: far points would be preferred.
        DataError: see :func:`similarity_ranking`.
    """
    check_number("p", p, above=-GREATEST, most=0, what="as similarities are (Eq. 3.3)")
    return similarity_ranking(similarities, features=features) * p


@dataclass(frozen=True)
class Search:
    """Where the search for p* ended.

    Attributes:
        p: the best that was tried: the last of those whose count was nearest to what was wanted.
        count: with it.
        probes: number of preferences tried.
        stopped: why the search ended: ``matched``, ``unchanged``, ``exhausted`` or ``probes``.
    """

    p: float
    count: int
    probes: int
    stopped: str


def search_preference(
    similarities: np.ndarray,
    wanted: int,
    count_at: Callable[[float], int],
    *,
    patience: int = 5,
    max_probes: int = 50,
) -> Search:
    """Find the preference with which as many exemplars are counted as there should be (Secs. 3.3.4 and 3.4.3).

    The median is tried first. Then follows a binary search over the observed values: too many exemplars make p smaller,
    too few greater. Its lower end is tried as soon as the median gives too many. If the lowest observed similarity
    still does, p is doubled until it does not, and what lies between the last two is halved (on a logarithmic scale):
    there no similarities are observed.

    It ends when the count is what was wanted (``matched``), has been another one for ``patience`` probes in a row
    (``unchanged``), or nothing is left between the ends (``exhausted``).

    Args:
        similarities: (M,) observed ones, in any order; none above 0, and not all 0.
        wanted: count to match.
        count_at: clusters with a preference and returns the count.
        patience: probes in a row with one count after which to give up.
        max_probes: most probes.
    """
    values = np.unique(np.asarray(similarities, dtype=np.float64))
    few, many = -1, len(values)  # places with too few (before the first: none known) and too many (after the last: 0)
    short, long = -np.inf, float(values[0])  # the same beyond the observed values
    best_p, best, counts = 0.0, 0, []
    place: int | None = int(np.searchsorted(values, np.quantile(similarities, 0.5, method="lower")))
    p = float(values[place])
    stopped = ""
    while not stopped:
        count = int(count_at(p))
        counts.append(count)
        if len(counts) == 1 or abs(count - wanted) <= abs(best - wanted):
            best_p, best = p, count
        # The next place to try; beyond the observed values there are no places.
        if count > wanted:
            many, long = (place, long) if place is not None else (many, p)
        elif place is not None:
            few = place
        else:
            short = p
        if few >= 0:
            place = (few + many) // 2
            empty = many - few <= 1
            p = float(values[place])
        elif many > 0:
            place, p, empty = 0, float(values[0]), False
        else:
            place = None
            p = 2.0 * long if np.isinf(short) else -float(np.sqrt(short * long))
            empty = p < -GREATEST or short > long * (1 + _CLOSE)
        if count == wanted:
            stopped = "matched"
        elif len(counts) >= patience and len(set(counts[-patience:])) == 1:
            stopped = "unchanged"
        elif empty:
            stopped = "exhausted"
        elif len(counts) >= max_probes:
            stopped = "probes"
    return Search(best_p, best, len(counts), stopped)


class SemanticsGuidedAP:
    """SG-AP: affinity propagation of unlabelled pictures, with a preference learnt from labelled ones (Sec. 3.3.4).

    Labelled and unlabelled pictures are clustered together while p is searched for (:func:`search_preference`), with
    SR taken over all of them; then the unlabelled ones alone, with p* and SR over these.

    What is counted: the text speaks of "the number of exemplars of labeled set" (Sec. 3.3.4), so by default exemplars
    that are labelled pictures; Sec. 3.4.7 speaks of "the number of clusters on labeled set", which ``count="clusters"``
    takes for clusters with a labelled picture in them. Both are the same where no cluster holds labelled and unlabelled
    pictures. Where clusters mix, fewer exemplars are labelled than clusters have labelled pictures, so the second
    count asks for fewer clusters.

    The dissertation does not say how messages are damped. With the usual 0.5 they tend to oscillate where identities
    are well apart, so 0.7 is the default, and a clustering that does not converge is continued with 0.9.

    Args:
        count: ``exemplars`` or ``clusters``, what is compared with the number of labelled identities.
        adaptive: whether preferences are SR times p (Eq. 3.3); otherwise all are p.
        damping: share of each message that is kept at an iteration.
        calmer: dampings with which a clustering that did not converge is continued, one after the other.
        max_iter: most iterations with one damping.
        convergence_iter: iterations without a change of the exemplars after which to stop.
        patience: probes in a row with the same count after which the search gives up (5 in Sec. 3.4.3).
        max_probes: most probes.
        warm: whether each probe continues from the messages of the previous one. It takes fewer iterations, but old
            exemplars persist: coming from above, a probe keeps a few more of them than it would find by itself.
        keep_labels: whether to keep the clusters of every probe in ``union_labels_`` (Fig. 3.4).
        seed: of the tiny moves that break ties.
        progress: show a bar of probes on standard error.

    Attributes:
        labels_: (N_u,) int64 clusters of the unlabelled pictures.
        exemplars_: (C',) int64 unlabelled pictures that are exemplars, in the order of the clusters.
        cluster_centers_indices_: the same, by scikit-learn's name.
        p_: p*.
        search_: how the search ended.
        trace_: a row per probe: ``probe`` from 1, ``p``, ``labelled_exemplars``, ``labelled_clusters`` and
            ``clusters`` counted, ``iterations``, ``damping`` of the last, ``converged``, ``seconds``.
        union_labels_: if kept, for each probe (N_u + N_l,) clusters, unlabelled pictures first.
        n_iter_: iterations of the last clustering, that of the unlabelled pictures.
        converged_: whether that one converged.

    Raises:
        ConfigError: an argument is out of range.

    Example:
        >>> guided = SemanticsGuidedAP().fit(unlabelled, labelled, pids)  # doctest: +SKIP
        >>> guided.p_, len(guided.exemplars_)  # doctest: +SKIP
    """

    labels_: np.ndarray
    exemplars_: np.ndarray
    p_: float
    search_: Search
    trace_: pd.DataFrame
    union_labels_: list[np.ndarray]
    n_iter_: int
    converged_: bool

    def __init__(
        self,
        count: str = "exemplars",
        *,
        adaptive: bool = True,
        damping: float = 0.7,
        calmer: Sequence[float] = (0.9,),
        max_iter: int = 200,
        convergence_iter: int = 15,
        patience: int = 5,
        max_probes: int = 50,
        warm: bool = False,
        keep_labels: bool = False,
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        check_choice("count", count, COUNTS)
        for value in (damping, *calmer):
            check_iterations(value, max_iter, convergence_iter)
        check_integer("patience", patience, 2)
        check_integer("max_probes", max_probes, 1)
        self.count, self.adaptive, self.damping, self.calmer = count, adaptive, damping, tuple(calmer)
        self.max_iter, self.convergence_iter = max_iter, convergence_iter
        self.patience, self.max_probes, self.warm = patience, max_probes, warm
        self.keep_labels, self.seed, self.progress = keep_labels, seed, progress

    @property
    def cluster_centers_indices_(self) -> np.ndarray:
        """The exemplars (C',), by scikit-learn's name."""
        return self.exemplars_

    def fit(
        self, unlabelled_features: np.ndarray, labelled_features: np.ndarray, labelled_pids: np.ndarray
    ) -> SemanticsGuidedAP:
        """Search for p* and cluster the unlabelled pictures.

        Args:
            unlabelled_features: (N_u, D).
            labelled_features: (N_l, D), of other identities.
            labelled_pids: (N_l,) their identities, none negative.

        Raises:
            DataError: shapes do not fit, a feature is not finite, there are fewer than two unlabelled pictures or
                labelled identities, no labelled identity has two pictures, or all labelled features are the same.

        Warns:
            sklearn.exceptions.ConvergenceWarning: the last clustering did not converge.
        """
        unlabelled, labelled, identities = _checked(unlabelled_features, labelled_features, labelled_pids)
        union = np.concatenate([unlabelled, labelled])
        ranking = _weights(union, self.adaptive)
        similarities = negative_squared_distances(union)
        del union
        observed = _pairs(similarities[len(unlabelled) :, len(unlabelled) :])
        messages = MessagePassing(similarities, seed=self.seed)
        del similarities
        rows: list[dict[str, Any]] = []
        self.union_labels_ = []
        with tqdm(desc="searching p", disable=not self.progress, delay=1.0, leave=False, unit="probe") as bar:

            def count_at(p: float) -> int:
                began = time.perf_counter()
                found, iterations, damping = self._propagate(messages, ranking * p, self.warm)
                row = {
                    "probe": len(rows) + 1,
                    "p": p,
                    "labelled_exemplars": int((found.exemplars >= len(unlabelled)).sum()),
                    "labelled_clusters": len(np.unique(found.labels[len(unlabelled) :])),
                    "clusters": len(found.exemplars),
                    "iterations": iterations,
                    "damping": damping,
                    "converged": found.converged,
                    "seconds": time.perf_counter() - began,
                }
                rows.append(row)
                if self.keep_labels:
                    self.union_labels_.append(found.labels)
                bar.set_postfix(p=f"{p:.4g}", counted=f"{row[f'labelled_{self.count}']} of {identities}", refresh=False)
                bar.update()
                return row[f"labelled_{self.count}"]

            self.search_ = search_preference(
                observed, identities, count_at, patience=self.patience, max_probes=self.max_probes
            )
            self._cluster(messages, unlabelled)
        self.trace_ = pd.DataFrame(rows)
        return self

    def _cluster(self, messages: MessagePassing, unlabelled: np.ndarray) -> None:
        """Cluster the unlabelled pictures with p*; the union's messages are used up."""
        self.p_ = self.search_.p
        ranking = _weights(unlabelled, self.adaptive)
        found, self.n_iter_, damping = self._propagate(messages.leading(len(unlabelled)), ranking * self.p_, False)
        self.labels_, self.exemplars_, self.converged_ = found.labels, found.exemplars, found.converged
        if not found.converged:
            advice = f"Add a damping above {damping} to calmer, or raise max_iter"
            warn_unsettled("SG-AP: the clustering of the unlabelled pictures", found, self.convergence_iter, advice)

    def _propagate(
        self, messages: MessagePassing, preferences: np.ndarray, warm: bool
    ) -> tuple[Propagation, int, float]:
        """Return clusters, iterations of all dampings together and the last damping."""
        iterations = 0
        for damping in (self.damping, *self.calmer):
            found = messages.run(
                preferences,
                damping=damping,
                max_iter=self.max_iter,
                convergence_iter=self.convergence_iter,
                warm=warm or iterations > 0,
            )
            iterations += found.iterations
            if found.converged:
                break
        return found, iterations, damping


def _checked(unlabelled: np.ndarray, labelled: np.ndarray, pids: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return both sets of features and the number of labelled identities."""
    unlabelled = check_features("unlabelled_features", unlabelled, longest=np.inf)
    labelled = check_features("labelled_features", labelled, longest=np.inf)
    if unlabelled.shape[1] != labelled.shape[1]:
        raise DataError(
            f"unlabelled_features, labelled_features: widths {unlabelled.shape[1]} and {labelled.shape[1]} differ; "
            "take both from one network"
        )
    if len(unlabelled) < 2:
        raise DataError(f"unlabelled_features: {len(unlabelled)} picture; at least 2 are needed")
    pids = check_labels("labelled_pids", pids, len(labelled))
    if (pids < 0).any():
        raise DataError(f"labelled_pids: row {int(np.flatnonzero(pids < 0)[0])} is negative, a picture without a label")
    identities = len(np.unique(pids))
    if identities < 2:
        raise DataError(f"labelled_pids: {identities} identity; at least 2 are needed to guide the search")
    if identities == len(pids):
        raise DataError(
            f"labelled_pids: each of the {identities} identities has one picture, so that nothing says how much a "
            "person's pictures differ; label several of each, or take a clusterer without guidance (dbscan-ssg)"
        )
    if (labelled == labelled[0]).all():
        raise DataError(f"labelled_features: all {len(labelled)} pictures have the same feature; there is no guidance")
    return unlabelled, labelled, identities


def _weights(features: np.ndarray, adaptive: bool) -> np.ndarray:
    return similarity_ranking(features=features) if adaptive else np.ones(len(features))


def _pairs(similarities: np.ndarray) -> np.ndarray:
    """Return the similarities above the diagonal."""
    return np.concatenate([similarities[row, row + 1 :] for row in range(len(similarities) - 1)])


def _sums_of_distances(features: np.ndarray) -> np.ndarray:
    """Return the sum over j of ||x_i - x_j||^2 for each i.

    It is N ||x_i||^2 + sum ||x_j||^2 - 2 x_i . sum x_j; the last term is 0 once the features are centred.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    norms = np.empty(len(features))
    for start in range(0, len(features), _BLOCK):
        centred = features[start : start + _BLOCK] - mean
        norms[start : start + _BLOCK] = np.einsum("nd,nd->n", centred, centred)
    return len(features) * norms + norms.sum()
