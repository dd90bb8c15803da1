"""The threshold on distributions whose crossing is known, selection and soft labels against plain loops."""

import math

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import norm

from reidlab.errors import ConfigError, DataError
from reidlab.pseudolabel import selection
from reidlab.pseudolabel.selection import crossing, distance_threshold, medoids, select_reliable, soft_labels


def test_two_gaussians_of_one_width_cross_in_the_middle():
    rng = np.random.default_rng(0)
    value, error = crossing(rng.normal(2, 1, 200_000), rng.normal(5, 1, 300_000))
    assert value == pytest.approx(3.5, abs=0.05)
    assert error == pytest.approx(norm.cdf(-1.5), abs=0.002)


def test_two_gaussians_of_different_width_cross_where_their_densities_do():
    rng = np.random.default_rng(1)
    (m1, s1), (m2, s2) = (1.0, 0.5), (4.0, 1.5)
    # Equal densities: a quadratic equation in x.
    a = 1 / s1**2 - 1 / s2**2
    b = -2 * (m1 / s1**2 - m2 / s2**2)
    c = m1**2 / s1**2 - m2**2 / s2**2 + 2 * math.log(s1 / s2)
    known = max((-b + sign * math.sqrt(b * b - 4 * a * c)) / (2 * a) for sign in (-1, 1))
    value, _ = crossing(rng.normal(m1, s1, 300_000), rng.normal(m2, s2, 300_000))
    assert value == pytest.approx(known, abs=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_threshold_errs_less(seed):
    rng = np.random.default_rng(seed)
    positive, negative = rng.gamma(3, 1, 30), rng.gamma(6, 1, 50)
    value, error = crossing(positive, negative)

    def errors(threshold):
        return ((positive > threshold).mean() + (negative <= threshold).mean()) / 2

    assert error == pytest.approx(errors(value))
    assert all(errors(t) >= error - 1e-12 for t in np.linspace(0, 20, 2001))


def test_pairs_of_pictures(monkeypatch):
    features = np.array([[0.0, 0], [1, 0], [10, 0], [10, 2]])
    pids = np.array([5, 5, 8, 8])
    found = distance_threshold(features, pids)
    assert sorted(found.positive) == pytest.approx([1, 4])
    assert sorted(found.negative) == pytest.approx([81, 85, 100, 104])
    assert 4 <= found.value < 81
    assert found.error == 0
    monkeypatch.setattr(selection, "MOST_PICTURES", 50)
    many = np.random.default_rng(0).normal(size=(80, 3))
    found = distance_threshold(many, np.arange(80) % 4)
    assert len(found.positive) + len(found.negative) == 50 * 49 // 2


def test_pairs_that_are_missing():
    with pytest.raises(DataError, match="no two pictures of one identity"):
        distance_threshold(np.eye(3), np.array([1, 2, 3]))
    with pytest.raises(DataError, match="no two identities"):
        distance_threshold(np.eye(3), np.array([1, 1, 1]))
    with pytest.raises(DataError, match="row 1 holds"):
        distance_threshold(np.array([[0.0], [np.nan]]), np.array([1, 1]))
    with pytest.raises(DataError, match="expected"):
        distance_threshold(np.eye(3), np.array([1, 1]))


def test_selection_by_hand():
    features = np.array([[0.0], [1], [3], [10], [14], [50]])
    labels = np.array([0, 0, 0, 1, 1, -1])
    exemplars = np.array([1, 3])
    assert select_reliable(features, labels, exemplars, 2.0).tolist() == [True, True, False, True, False, False]
    assert select_reliable(features, labels, exemplars, 4.5).tolist() == [True, True, True, True, False, False]
    # Eq. 3.4 is strict: a picture at the threshold is not in, an exemplar always is.
    assert select_reliable(features, labels, exemplars, 1.0).tolist() == [False, True, False, True, False, False]
    assert select_reliable(features, labels, exemplars, 1e9).sum() == 5
    with pytest.raises(DataError, match="cluster 1 has no exemplar"):
        select_reliable(features, labels, exemplars[:1], 1.0)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_soft_labels_are_the_formula(temperature):
    rng = np.random.default_rng(2)
    features, exemplars = rng.normal(size=(7, 5)), rng.normal(size=(4, 5))
    d = np.array([[math.dist(one, other) for other in exemplars] for one in features])
    got = soft_labels(features.astype(np.float32), exemplars.astype(np.float32), temperature)
    np.testing.assert_allclose(got, softmax(-d / temperature, axis=1), atol=1e-5)
    np.testing.assert_allclose(got.sum(1), 1, atol=1e-6)


def test_soft_labels_far_away_do_not_overflow():
    got = soft_labels(np.array([[1e4]], np.float32), np.array([[0.0], [9e3]], np.float32), 0.01)
    np.testing.assert_allclose(got, [[0, 1]])
    with pytest.raises(ConfigError, match="temperature: 0"):
        soft_labels(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), 0.0)


def test_medoids_by_hand():
    features = np.array([[0.0], [1], [5], [7], [8], [99]])
    assert medoids(features, np.array([0, 0, 0, 1, 1, -1])).tolist() == [1, 3]
    with pytest.raises(DataError, match="cluster 0 has no member"):
        medoids(features, np.array([1, 1, 1, 1, 1, 1]))
