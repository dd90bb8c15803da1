"""Selection and weighting of pseudo-labels: progressive selection and soft labels (Secs. 3.3.6 and 3.3.7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reidlab.checks import check_features, check_labels, check_number
from reidlab.errors import DataError
from reidlab.evaluation import distance_blocks, distances
from reidlab.seeding import rng

#: Labelled pictures whose pairs are used; more change the crossing by less than the distributions' noise.
MOST_PICTURES = 4000


@dataclass(frozen=True, eq=False)
class Threshold:
    """The threshold that best separates distances within identities from distances between them.

    Attributes:
        value: the threshold (tau_l), a squared distance.
        error: mean of the share of positive pairs above it and of negative pairs below it.
        positive: squared distances of pairs with one identity.
        negative: squared distances of pairs with two.
    """

    value: float
    error: float
    positive: np.ndarray
    negative: np.ndarray


def distance_threshold(features: np.ndarray, pids: np.ndarray, seed: int = 0) -> Threshold:
    """Return the threshold tau_l of labelled pictures: the crossing of the two distributions of distances (Fig. 3.3).

    Where the densities of positive and negative pairs cross, the sum of the two shares on the wrong side is least, so
    the crossing is found as that minimum over all observed distances: exactly, and without a bin width to choose. Of
    several crossings it is the one with the fewest errors.

    Args:
        features: (N, D) un-normalised features.
        pids: (N,) identities.
        seed: draws :data:`MOST_PICTURES` of the pictures where there are more.

    Raises:
        DataError: a feature is not finite, or there is no pair of one kind.
    """
    features = check_features("features", features)
    pids = check_labels("pids", pids, len(features))
    if len(features) > MOST_PICTURES:
        chosen = np.sort(rng(seed, "pairs for the threshold").choice(len(features), MOST_PICTURES, replace=False))
        features, pids = features[chosen], pids[chosen]
    above = np.triu_indices(len(features), 1)
    pairs = distances(features, features, "squared")[above]
    same = (pids[:, None] == pids[None])[above]
    positive, negative = pairs[same], pairs[~same]
    if not len(positive) or not len(negative):
        missing = "two pictures of one identity" if not len(positive) else "two identities"
        raise DataError(f"pids: there are no {missing} among {len(pids)} labelled pictures; no threshold can be found")
    value, error = crossing(positive, negative)
    return Threshold(value, error, positive, negative)


def crossing(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float]:
    """Return the value that separates two samples with the least balanced error, and that error.

    Args:
        positive: values that should lie at or below it.
        negative: values that should lie above it.

    Example:
        >>> crossing(np.array([1.0, 2.0, 3.0]), np.array([2.5, 5.0, 6.0, 7.0]))
        (3.0, 0.125)
    """
    values = np.unique(np.concatenate([positive, negative]))
    kept = np.searchsorted(np.sort(positive), values, side="right") / len(positive)
    taken = np.searchsorted(np.sort(negative), values, side="right") / len(negative)
    errors = (1 - kept + taken) / 2
    best = np.flatnonzero(errors <= errors.min() + 1e-12)
    # All thresholds between adjacent values are equally good; of equally good values the middle one is taken.
    place = best[len(best) // 2]
    return float(values[place]), float(errors[place])


def select_reliable(features: np.ndarray, labels: np.ndarray, exemplars: np.ndarray, threshold: float) -> np.ndarray:
    """Return which pictures are closer to their cluster's exemplar than the threshold (Eq. 3.4), (N,) bool.

    Exemplars are always selected, outliers (-1) never.

    Args:
        features: (N, D).
        labels: (N,) clusters 0..C-1; -1 is an outlier.
        exemplars: (C,) positions of the clusters' exemplars.
        threshold: tau = tau_l + d_t, a squared distance.

    Raises:
        DataError: a label has no exemplar.
    """
    labels, exemplars = np.asarray(labels), np.asarray(exemplars)
    if len(labels) and labels.max() >= len(exemplars):
        raise DataError(f"labels: cluster {labels.max()} has no exemplar; there are {len(exemplars)}")
    inside = labels >= 0
    own = np.zeros(len(labels), dtype=np.float64)
    gap = features[inside].astype(np.float64) - features[exemplars[labels[inside]]]
    own[inside] = np.einsum("nd,nd->n", gap, gap)
    chosen = inside & (own < threshold)
    chosen[exemplars] |= inside[exemplars]
    return chosen


def soft_labels(features: np.ndarray, exemplars: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return soft pseudo-labels: a softmax over minus the distances to all exemplars (Eq. 3.5).

    Args:
        features: (N, D) of the pictures to label.
        exemplars: (C, D) features of the exemplars.
        temperature: divides the distances. The dissertation has none, that is 1; how soft labels are then depends on
            the scale of the features, so a temperature is offered.

    Returns:
        (N, C) float32; rows sum to 1.

    Raises:
        ConfigError: the temperature is not positive.
    """
    check_number("temperature", temperature, above=0)
    out = np.empty((len(features), len(exemplars)), dtype=np.float32)
    for rows, block in distance_blocks(features, exemplars, "squared"):
        logits = -np.sqrt(block) / temperature
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        out[rows] = logits / logits.sum(axis=1, keepdims=True)
    return out


def medoids(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return each cluster's exemplar where a clusterer names none: the member nearest to the members' mean.

    Args:
        features: (N, D).
        labels: (N,) clusters 0..C-1; -1 is an outlier.

    Returns:
        (C,) int64 positions.

    Raises:
        DataError: a cluster's number has no member.
    """
    count = int(np.max(labels, initial=-1)) + 1
    out = np.empty(count, dtype=np.int64)
    for cluster in range(count):
        members = np.flatnonzero(labels == cluster)
        if not len(members):
            raise DataError(f"labels: cluster {cluster} has no member; number clusters 0..C-1")
        own = features[members].astype(np.float64)
        out[cluster] = members[np.argmin(((own - own.mean(axis=0)) ** 2).sum(axis=1))]
    return out
