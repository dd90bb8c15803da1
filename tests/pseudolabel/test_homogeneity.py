"""Silhouettes against scikit-learn's, and splits of clusters whose groups are known by hand."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from reidlab.errors import ConfigError, DataError
from reidlab.pseudolabel import homogeneity
from reidlab.pseudolabel.homogeneity import mean_silhouettes, part_based_homogeneity, silhouettes


def blobs(seed, clusters=9, width=6, spread=0.8, outliers=7):
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 14, clusters)
    sizes[0] = 1
    labels = np.concatenate([np.repeat(np.arange(clusters), sizes), np.full(outliers, -1)])
    centres = random.standard_normal((clusters + 1, width))
    features = centres[labels] + spread * random.standard_normal((len(labels), width))
    order = random.permutation(len(labels))
    return features[order].astype(np.float32), labels[order]


@pytest.mark.parametrize("seed", range(5))
def test_silhouettes_are_those_of_scikit_learn(seed):
    features, labels = blobs(seed)
    inside = labels >= 0
    expected = silhouette_samples(features[inside].astype(np.float64), labels[inside])
    found = silhouettes(features, labels)
    np.testing.assert_allclose(found[inside], expected, atol=1e-5)
    assert np.isnan(found[~inside]).all()
    assert (found[labels == 0] == 0).all(), "the only picture of a cluster"
    means = [expected[labels[inside] == cluster].mean() for cluster in range(9)]
    np.testing.assert_allclose(mean_silhouettes(features, labels), means, atol=1e-5)


def test_silhouettes_written_out():
    features = np.array([[0.0], [1.0], [10.0], [12.0], [99.0]])
    labels = np.array([0, 0, 1, 1, -1])
    expected = [1 - 1 / 11, 1 - 1 / 10, 1 - 2 / 9.5, 1 - 2 / 11.5]
    np.testing.assert_allclose(silhouettes(features, labels)[:4], expected, atol=1e-6)
    np.testing.assert_array_equal(silhouettes(np.ones((4, 2)), np.array([0, 0, 1, 1])), 0.0)


def test_silhouettes_do_not_depend_on_blocks_or_the_origin(monkeypatch):
    features, labels = blobs(6)
    whole = silhouettes(features, labels)
    far = (features + 500).astype(np.float32)
    inside = labels >= 0
    expected = silhouette_samples(far[inside].astype(np.float64), labels[inside])
    np.testing.assert_allclose(silhouettes(far, labels)[inside], expected, atol=1e-4)
    blocks = homogeneity.distance_blocks
    monkeypatch.setattr(
        homogeneity, "distance_blocks", lambda q, g, metric: blocks(q, g, metric, block_bytes=5 * 4 * len(g))
    )
    np.testing.assert_allclose(silhouettes(features, labels), whole, atol=1e-6)


def imperfect(clean=30, each=5):
    """Tight clusters far apart, a last one that mixes four kinds of people, and three outliers.

    The four wear two coats and two pairs of trousers: (0, 0), (0, 1), (1, 0) and (1, 1).
    """
    random = np.random.default_rng(0)
    labels = np.concatenate([np.repeat(np.arange(clean), each), np.full(4 * each, clean), [-1] * 3])
    whole = 10.0 * random.standard_normal((clean + 2, 8))[labels] + 0.1 * random.standard_normal((len(labels), 8))
    mixed = labels == clean
    whole[mixed] += 20.0 * random.standard_normal((mixed.sum(), 8))
    coats, trousers = np.full(len(labels), -1), np.full(len(labels), -1)
    coats[mixed], trousers[mixed] = np.repeat([0, 0, 1, 1], each), np.repeat([0, 1, 0, 1], each)
    upper = random.standard_normal((3, 5))[coats] + 0.05 * random.standard_normal((len(labels), 5))
    lower = random.standard_normal((3, 5))[trousers] + 0.05 * random.standard_normal((len(labels), 5))
    order = random.permutation(len(labels))
    return whole[order], labels[order], upper[order], lower[order], (2 * coats + trousers)[order]


def same_partition(one, other):
    return len(set(one)) == len(set(other)) == len(set(zip(one, other)))


def test_a_mixed_cluster_falls_into_the_four_groups_of_the_look_up_table():
    whole, labels, upper, lower, kinds = imperfect()
    found = part_based_homogeneity(whole, labels, upper, lower)
    assert found.split.tolist() == found.imperfect.tolist() == [30]
    assert found.note == ""
    mixed = labels == 30
    assert same_partition(found.labels[mixed].tolist(), kinds[mixed].tolist())
    assert sorted(set(found.labels[mixed])) == [30, 31, 32, 33]
    np.testing.assert_array_equal(found.labels[~mixed], labels[~mixed])
    assert found.labels.dtype == np.int64
    assert found.parents.tolist() == [*range(31), 30, 30, 30]
    inside = labels >= 0
    expected = silhouette_samples(whole[inside], labels[inside])
    scores = np.array([expected[labels[inside] == cluster].mean() for cluster in range(31)])
    np.testing.assert_allclose(found.scores, scores, atol=1e-4)
    assert found.threshold == pytest.approx(np.mean(scores) - 3 * np.sqrt(np.mean((scores - scores.mean()) ** 2)), 1e-3)


def test_numbers_after_the_split_cluster_move_up():
    whole, labels, upper, lower, kinds = imperfect()
    swapped = np.select([labels == 30, labels == 4], [4, 30], labels)
    found = part_based_homogeneity(whole, swapped, upper, lower)
    assert found.split.tolist() == [4]
    assert found.parents.tolist() == [0, 1, 2, 3, 4, 4, 4, 4, *range(5, 31)]
    outliers = swapped < 0
    np.testing.assert_array_equal(found.parents[found.labels[~outliers]], swapped[~outliers])
    assert (found.labels[outliers] == -1).all()
    mixed = swapped == 4
    assert same_partition(found.labels[mixed].tolist(), kinds[mixed].tolist())
    first = [int(np.flatnonzero(found.labels == cluster)[0]) for cluster in range(4, 8)]
    assert first == sorted(first), "groups are numbered in the order of their first pictures"


@pytest.mark.parametrize(("chosen", "groups"), [("u", 2), ("l", 2), ("uu", 2), ("ul", 4), ("ulx", 8)])
def test_any_number_of_parts(chosen, groups):
    whole, labels, upper, lower, kinds = imperfect()
    shoes = np.zeros((len(labels), 1))
    for kind in range(4):  # half of each kind has other shoes
        shoes[np.flatnonzero((labels == 30) & (kinds == kind))[::2]] = 5.0
    parts = {"u": upper, "l": lower, "x": shoes}
    found = part_based_homogeneity(whole, labels, *(parts[name] for name in chosen))
    assert len(set(found.labels[labels == 30])) == groups


def test_small_groups_become_outliers_if_asked():
    whole, labels, upper, lower, kinds = imperfect()
    lonely = np.flatnonzero(kinds == 3)[1:]
    labels = labels.copy()
    labels[lonely] = -1  # of the fourth kind one picture is left
    alone = int(np.flatnonzero((kinds == 3) & (labels == 30))[0])
    kept = part_based_homogeneity(whole, labels, upper, lower)
    assert (kept.labels == kept.labels[alone]).sum() == 1
    dropped = part_based_homogeneity(whole, labels, upper, lower, min_size=2)
    assert dropped.labels[alone] == -1
    assert dropped.labels.max() == kept.labels.max() - 1
    assert len(dropped.parents) == dropped.labels.max() + 1


@pytest.mark.parametrize("clusters", [2, 5, 10, 11])
def test_few_clusters_cannot_be_judged(clusters):
    """One bad cluster among n equal ones lies sqrt(n - 1) standard deviations below the mean: the most there can be."""
    whole, labels, upper, lower, _ = imperfect(clean=clusters - 1)
    found = part_based_homogeneity(whole, labels, upper, lower)
    gap = (found.scores.mean() - found.scores.min()) / found.scores.std()
    assert gap <= np.sqrt(clusters - 1) + 1e-9
    assert len(found.split) == (clusters == 11)
    assert (found.note == "") == (clusters == 11)
    if clusters < 11:
        assert f"{clusters} clusters" in found.note
        np.testing.assert_array_equal(found.labels, labels)
        assert np.isfinite(found.scores).all()


def test_fewer_than_two_clusters_come_back_unchanged():
    features = np.random.default_rng(0).standard_normal((6, 3))
    for labels, count in (([-1] * 6, 0), ([0, 0, -1, 0, 0, -1], 1)):
        found = part_based_homogeneity(features, np.array(labels), features, features)
        assert found.labels.tolist() == labels
        assert len(found.scores) == count
        assert np.isnan(found.threshold)
        assert found.note.startswith(f"{count} cluster(s)")
        assert len(found.split) == 0


def test_equal_scores_split_nothing():
    # Twelve pairs at the corners of a simplex: every cluster looks like every other.
    features = np.repeat(np.eye(12) * 100, 2, axis=0)
    labels = np.repeat(np.arange(12), 2)
    found = part_based_homogeneity(features, labels, features, features)
    assert len(found.imperfect) == 0
    np.testing.assert_array_equal(found.labels, labels)


def test_a_mean_that_rounds_up_splits_nothing(monkeypatch):
    assert np.full(12, 0.1).mean() > 0.1
    features, labels = np.repeat(np.arange(12.0), 2)[:, None], np.repeat(np.arange(12), 2)
    monkeypatch.setattr(homogeneity, "mean_silhouettes", lambda *_: np.full(12, 0.1))
    found = part_based_homogeneity(features, labels, np.arange(24.0)[:, None], deviations=0.1)
    assert len(found.imperfect) == 0


def test_a_cluster_whose_parts_are_all_alike_stays_whole():
    whole, labels, upper, _, _ = imperfect()
    found = part_based_homogeneity(whole, labels, np.ones_like(upper), np.zeros_like(upper))
    assert found.imperfect.tolist() == [30]
    assert len(found.split) == 0
    np.testing.assert_array_equal(found.labels, labels)


def test_the_same_seed_gives_the_same_split_and_features_without_kinds_are_split_too():
    whole, labels, _, _, _ = imperfect()
    noise = np.random.default_rng(3).standard_normal((2, len(labels), 6))
    first, again = (part_based_homogeneity(whole, labels, *noise, seed=2**62 + 1) for _ in range(2))
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.split.tolist() == [30]
    assert 2 <= len(set(first.labels[labels == 30])) <= 4


def test_what_does_not_fit_is_named():
    whole, labels, upper, lower, _ = imperfect()
    with pytest.raises(ConfigError, match="parts: none"):
        part_based_homogeneity(whole, labels)
    with pytest.raises(ConfigError, match="deviations: 0"):
        part_based_homogeneity(whole, labels, upper, deviations=0)
    with pytest.raises(ConfigError, match="min_size: 0"):
        part_based_homogeneity(whole, labels, upper, min_size=0)
    with pytest.raises(DataError, match=r"part 2: expected shape \(173, D\)"):
        part_based_homogeneity(whole, labels, upper, lower[:-1])
    with pytest.raises(DataError, match="labels: expected 173"):
        part_based_homogeneity(whole, labels[:-1], upper, lower)
    with pytest.raises(DataError, match="cluster 5 has no member"):
        part_based_homogeneity(whole, np.where(labels == 5, 6, labels), upper, lower)
    with pytest.raises(DataError, match="labels: -2 is no cluster"):
        part_based_homogeneity(whole, np.where(labels == 5, -2, labels), upper, lower)
    with pytest.raises(DataError, match="needs two"):
        silhouettes(whole, np.zeros(len(whole), int))
    lower[8, 1] = np.inf
    with pytest.raises(DataError, match="part 2: row 8 "):
        part_based_homogeneity(whole, labels, upper, lower)
