"""Agreement of clusters and identities against sums over pairs and entropies written out."""

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from reidlab.errors import ConfigError, DataError
from reidlab.evaluation.clustering import agreement, camera_excess, purity


def entropy(labels):
    return -sum(n / len(labels) * math.log(n / len(labels)) for n in Counter(labels).values())


def given(one, other):
    """Entropy of one labelling inside the groups of another."""
    groups = {g: [a for a, b in zip(one, other) if b == g] for g in set(other)}
    return sum(len(group) / len(one) * entropy(group) for group in groups.values())


def rand_adjusted(one, other):
    pairs = list(combinations(range(len(one)), 2))
    both = sum(one[i] == one[j] and other[i] == other[j] for i, j in pairs)
    first, second = (sum(labels[i] == labels[j] for i, j in pairs) for labels in (one, other))
    chance = first * second / len(pairs)
    return (both - chance) / ((first + second) / 2 - chance)


def draw(seed, outliers):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1 if outliers else 0, 5, 40)
    return rng.integers(1, 7, 40), labels


@pytest.mark.parametrize("seed", range(4))
def test_without_outliers_it_is_textbook(seed):
    pids, labels = draw(seed, outliers=False)
    found = agreement(pids, labels)
    truth, clusters = pids.tolist(), labels.tolist()
    homogeneity = 1 - given(truth, clusters) / entropy(truth)
    completeness = 1 - given(clusters, truth) / entropy(clusters)
    assert found.homogeneity == pytest.approx(homogeneity)
    assert found.completeness == pytest.approx(completeness)
    assert found.v_measure == pytest.approx(2 * homogeneity * completeness / (homogeneity + completeness))
    assert found.nmi == pytest.approx(found.v_measure)
    assert found.ari == pytest.approx(rand_adjusted(truth, clusters))
    assert (found.clusters, found.identities, found.outliers) == (5, len(set(truth)), 0.0)


@pytest.mark.parametrize("seed", range(3))
def test_outliers_are_left_out_or_stand_alone(seed):
    pids, labels = draw(seed, outliers=True)
    inside = labels >= 0
    ignored, alone = agreement(pids, labels), agreement(pids, labels, "singletons")
    assert ignored.ari == pytest.approx(rand_adjusted(pids[inside].tolist(), labels[inside].tolist()))
    apart = np.where(inside, labels, 100 + np.arange(len(labels)))
    assert alone.ari == pytest.approx(rand_adjusted(pids.tolist(), apart.tolist()))
    assert ignored.clusters == alone.clusters == 5
    assert ignored.outliers == pytest.approx((~inside).mean())


def test_purity_by_hand():
    labels = np.array([0, 0, 0, 1, 1, -1])
    assert purity(np.array([7, 7, 8, 8, 8, 9]), labels) == pytest.approx(4 / 5)


def test_clusters_that_are_cameras_and_clusters_that_are_people():
    pids = np.repeat([1, 2, 3, 4], 4)
    camids = np.tile([1, 1, 2, 2], 4)
    assert camera_excess(pids, camids, camids) == pytest.approx(0.5)
    assert camera_excess(pids, camids, pids - 1) == 0.0


def test_chance_scores_nothing():
    rng = np.random.default_rng(0)
    found = agreement(rng.integers(0, 20, 2000), rng.integers(0, 20, 2000))
    assert abs(found.ami) < 0.02
    assert abs(found.ari) < 0.01


def test_what_it_refuses():
    pids = np.array([1, 2, 3])
    with pytest.raises(ConfigError, match="outliers: there is none called 'dropped'"):
        agreement(pids, pids, "dropped")
    with pytest.raises(DataError, match="every picture is an outlier"):
        agreement(pids, np.full(3, -1))
    with pytest.raises(DataError, match="two arrays"):
        agreement(pids, pids[:2])
    with pytest.raises(DataError, match="whole numbers"):
        agreement(pids, np.array([0.0, 1.0, np.nan]))
    with pytest.raises(DataError, match="-2 is no cluster"):
        purity(pids, np.array([0, -2, 1]))
