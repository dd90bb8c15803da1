"""Affinity propagation against scikit-learn's, message passing written out in loops, and the best of all exemplars."""

import itertools
import warnings

import numba
import numpy as np
import pytest
from sklearn import cluster
from sklearn.exceptions import ConvergenceWarning

from reidlab.errors import ConfigError, DataError
from reidlab.pseudolabel.affinity import (
    AffinityPropagation,
    MessagePassing,
    median_similarity,
    negative_squared_distances,
)


def blobs(seed, count, width, centres, spread):
    random = np.random.default_rng(seed)
    middle = random.standard_normal((centres, width))
    points = middle[random.integers(0, centres, count)] + spread * random.standard_normal((count, width))
    return points.astype(np.float32)


def exact_similarities(features):
    features = features.astype(np.float64)
    return -((features[:, None] - features[None]) ** 2).sum(axis=-1)


def off_diagonal(similarities):
    return similarities[~np.eye(len(similarities), dtype=bool)]


def textbook(similarities, preferences, damping, max_iter, convergence_iter):
    """Frey and Dueck's two updates, entry by entry in float64; then the best member of each cluster."""
    s = similarities.copy()
    np.fill_diagonal(s, preferences)
    count = len(s)
    r, a, history = np.zeros_like(s), np.zeros_like(s), []
    for iteration in range(max_iter):
        before = r.copy()
        for i in range(count):
            for k in range(count):
                rival = max(a[i, j] + s[i, j] for j in range(count) if j != k)
                r[i, k] = damping * before[i, k] + (1 - damping) * (s[i, k] - rival)
        for k in range(count):
            for i in range(count):
                support = sum(max(0.0, r[j, k]) for j in range(count) if j not in (i, k))
                fresh = support if i == k else min(0.0, r[k, k] + support)
                a[i, k] = damping * a[i, k] + (1 - damping) * fresh
        history.append({k for k in range(count) if a[k, k] + r[k, k] > 0})
        recent = history[-convergence_iter:]
        if iteration >= convergence_iter and recent[0] and all(chosen == recent[0] for chosen in recent):
            break
    exemplars = sorted(history[-1])

    def nearest(exemplars):
        return [i if i in exemplars else max(exemplars, key=lambda k: s[i, k]) for i in range(count)]

    groups = nearest(exemplars)
    members = {k: [i for i in range(count) if groups[i] == k] for k in exemplars}
    exemplars = sorted(max(members[k], key=lambda m: sum(s[i, m] for i in members[k])) for k in exemplars)
    return [exemplars.index(k) for k in nearest(exemplars)], exemplars, iteration + 1


def same_partition(one, other):
    return len(set(one)) == len(set(other)) == len(set(zip(one, other)))


def test_clusters_are_those_of_scikit_learn():
    compared = identical = 0
    for seed in range(72):
        random = np.random.default_rng(1000 + seed)
        width, centres = (1, 2, 8, 32, 128)[seed % 5], (2, 5, 12, 25)[seed % 4]
        features = blobs(
            seed, 500 if seed % 24 == 0 else int(random.integers(30, 220)), width, centres, random.uniform(0.1, 1.0)
        )
        similarities = exact_similarities(features)
        off = off_diagonal(similarities)
        preference = (np.median(off), off.min(), 4.0 * np.median(off), off.mean() * random.uniform(0.5, 1.5, len(off)))
        preference = preference[seed % 3] if seed % 4 else preference[3][: len(features)]
        options = {"damping": (0.5, 0.7, 0.9)[seed % 3], "preference": preference, "max_iter": 300}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            ours = AffinityPropagation(**options).fit(features)
            theirs = cluster.AffinityPropagation(**options, random_state=0).fit(features.astype(np.float64))
        # What swings for long is decided by rounding, and in float64 too by the seed.
        if theirs.n_iter_ < 120 and ours.converged_:
            # Of two members of a cluster either may be its exemplar: they are equally good.
            assert same_partition(ours.labels_.tolist(), theirs.labels_.tolist()), seed
            compared += 1
            identical += np.array_equal(ours.labels_, theirs.labels_) and np.array_equal(
                ours.cluster_centers_indices_, theirs.cluster_centers_indices_
            )
    assert compared >= 50
    assert identical >= 50


@pytest.mark.parametrize("damping", [0.5, 0.8])
@pytest.mark.parametrize("seed", range(4))
def test_clusters_are_those_of_the_textbook(seed, damping):
    features = blobs(seed, 16, 3, 4, 0.5)
    similarities = exact_similarities(features)
    random = np.random.default_rng(seed)
    preferences = np.median(off_diagonal(similarities)) * random.uniform(0.5, 2.0, 16)
    labels, exemplars, iterations = textbook(similarities, preferences, damping, 100, 15)
    assert iterations < 100
    found = AffinityPropagation(damping, 100, preference=preferences).fit(features)
    assert found.labels_.tolist() == labels
    assert found.cluster_centers_indices_.tolist() == exemplars
    assert found.n_iter_ == iterations


def test_precomputed_similarities_may_be_of_any_kind():
    random = np.random.default_rng(3)
    similarities = random.standard_normal((60, 60)) + exact_similarities(blobs(3, 60, 4, 5, 0.3))
    kept = similarities.copy()
    ours = AffinityPropagation(affinity="precomputed", preference=1.5, damping=0.8).fit(similarities)
    np.testing.assert_array_equal(similarities, kept)
    theirs = cluster.AffinityPropagation(affinity="precomputed", preference=1.5, damping=0.8, random_state=0)
    assert ours.converged_
    np.testing.assert_array_equal(ours.labels_, theirs.fit(similarities).labels_)


def test_labels_belong_to_exemplars():
    found = AffinityPropagation().fit(blobs(5, 120, 6, 8, 0.4))
    assert found.labels_.dtype == np.int64
    np.testing.assert_array_equal(found.labels_[found.cluster_centers_indices_], range(len(set(found.labels_))))
    assert (np.diff(found.cluster_centers_indices_) > 0).all()


def test_similarities_are_exact_far_from_the_origin():
    features = blobs(6, 90, 20, 5, 1.0)
    far = (features + 1000.0).astype(np.float32)
    np.testing.assert_allclose(negative_squared_distances(far), exact_similarities(far), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(np.diag(negative_squared_distances(far)), 0.0)


def test_the_default_preference_is_the_median_off_the_diagonal():
    features = blobs(7, 31, 4, 5, 0.4)
    similarities = negative_squared_distances(features)
    assert median_similarity(similarities) == pytest.approx(np.median(off_diagonal(similarities)))
    plain = AffinityPropagation().fit(features)
    np.testing.assert_array_equal(
        plain.labels_, AffinityPropagation(preference=median_similarity(similarities)).fit(features).labels_
    )


def test_messages_do_not_depend_on_the_number_of_threads():
    before = numba.get_num_threads()
    if before < 2:
        pytest.skip("one thread only")
    # Large enough to be shared among threads.
    features = blobs(8, 1600, 12, 90, 0.5)
    similarities = negative_squared_distances(features)
    results = []
    try:
        for threads in (1, before):
            numba.set_num_threads(threads)
            messages = MessagePassing(similarities.copy(), seed=4)
            found = messages.run(np.full(1600, -15.0), max_iter=40)
            results.append((found.labels, found.exemplars, messages._availabilities, messages._sums, messages._level))
    finally:
        numba.set_num_threads(before)
    for one, other in zip(*results):
        assert one.tobytes() == other.tobytes()


def test_messages_are_those_of_the_textbook_after_a_few_iterations():
    """The responsibilities are not stored; what they add up to must be right even where many were once the best."""
    features = blobs(9, 40, 2, 3, 0.4)
    similarities = negative_squared_distances(features)
    messages = MessagePassing(similarities.copy())
    preferences = np.full(40, -3.0)
    messages.run(preferences, damping=0.9, max_iter=60, convergence_iter=60)
    assert messages._place.shape[1] >= 8

    s = similarities.astype(np.float64)
    np.fill_diagonal(s, preferences)
    r, a = np.zeros_like(s), np.zeros_like(s)
    for _ in range(60):
        both = a + s
        order = np.sort(both, axis=1)
        rival = np.where(both == order[:, -1:], order[:, -2:-1], order[:, -1:])
        r = 0.9 * r + 0.1 * (s - rival)
        support = np.maximum(r, 0)
        np.fill_diagonal(support, 0)
        total = support.sum(axis=0)
        fresh = np.minimum(0, np.diag(r) + total - support)
        np.fill_diagonal(fresh, total)
        a = 0.9 * a + 0.1 * fresh
    np.testing.assert_allclose(messages._own_responsibility, np.diag(r), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(messages._own_availability, np.diag(a), rtol=1e-3, atol=1e-3)


def test_refit_goes_on_with_the_messages():
    features = blobs(10, 300, 8, 12, 0.25)
    cold = AffinityPropagation(0.7, preference=-30.0).fit(features)
    warm = AffinityPropagation(0.7, preference=-25.0, reuse=True).fit(features).refit(-30.0)
    np.testing.assert_array_equal(warm.labels_, cold.labels_)
    assert warm.n_iter_ < cold.n_iter_
    assert warm.preference == -30.0
    with pytest.raises(ConfigError, match="reuse=True"):
        cold.refit(-20.0)
    with pytest.raises(ConfigError, match="None"):
        warm.refit(None)


def test_a_cold_run_forgets_what_was_before():
    similarities = negative_squared_distances(blobs(11, 200, 6, 10, 0.6))
    messages, preferences = MessagePassing(similarities.copy()), np.full(200, -4.0)
    first = messages.run(preferences)
    messages.run(preferences * 7)
    again = messages.run(preferences)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.iterations == again.iterations


def test_leading_points_are_clustered_as_if_alone():
    features = blobs(12, 240, 6, 10, 0.4)
    similarities = negative_squared_distances(features)
    alone = MessagePassing(np.ascontiguousarray(similarities[:150, :150])).run(np.full(150, -6.0))
    messages = MessagePassing(similarities)
    messages.run(np.full(240, -6.0))
    part = messages.leading(150)
    assert len(part) == 150
    found = part.run(np.full(150, -6.0))
    np.testing.assert_array_equal(found.labels, alone.labels)
    assert (found.iterations, found.converged) == (alone.iterations, True)


def test_without_convergence_the_exemplars_there_are_give_the_clusters():
    features = blobs(13, 80, 4, 6, 0.6)
    with pytest.warns(ConvergenceWarning, match=r"did not converge in 12 iterations: \d+ of 80 .*Raise damping"):
        found = AffinityPropagation(max_iter=12).fit(features)
    assert not found.converged_
    assert found.n_iter_ == 12
    assert found.labels_.min() == 0
    assert len(found.cluster_centers_indices_) == found.labels_.max() + 1


def test_without_any_exemplar_there_is_one_cluster():
    features = blobs(14, 30, 4, 6, 0.6)
    with pytest.warns(ConvergenceWarning, match="no point is an exemplar that"):
        found = AffinityPropagation(max_iter=1, preference=-1e4).fit(features)
    assert set(found.labels_) == {0}
    assert len(found.cluster_centers_indices_) == 1


@pytest.mark.parametrize(("preference", "clusters"), [(None, 1), (-1.0, 1), (0.5, 7)])
def test_identical_points_are_all_together_or_all_alone(preference, clusters):
    found = AffinityPropagation(preference=preference).fit(np.full((7, 3), 1000.1, dtype=np.float32))
    assert found.converged_
    assert len(found.cluster_centers_indices_) == clusters
    np.testing.assert_array_equal(found.labels_, np.arange(7) if clusters == 7 else np.zeros(7))


def test_equal_distances_count_as_equal_in_spite_of_rounding():
    corners = 7.3 * np.eye(12, dtype=np.float32)
    assert set(AffinityPropagation(preference=-300.0).fit(corners).labels_) == {0}
    assert len(set(AffinityPropagation(preference=-20.0).fit(corners).labels_)) == 12


def test_ties_are_broken():
    """Corners of a square: which two of the four are exemplars is open, that there are two is not."""
    square = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
    for seed in range(5):
        found = AffinityPropagation(0.9, seed=seed).fit(square)
        assert found.converged_
        assert len(found.cluster_centers_indices_) == 2
    duplicates = np.repeat(blobs(15, 12, 4, 12, 0.1), 5, axis=0)
    found = AffinityPropagation(0.9, 400, preference=-2.0).fit(duplicates)
    assert found.converged_
    assert all(len(set(group)) == 1 for group in found.labels_.reshape(12, 5))


def net_similarity(similarities, preferences, exemplars):
    """What affinity propagation maximises: preferences of the exemplars, similarities of the others to their best."""
    exemplars = list(exemplars)
    best = similarities[:, exemplars].max(axis=1)
    best[exemplars] = preferences[exemplars]
    return best.sum()


def best_exemplars(similarities, preferences):
    """All sets of exemplars, of every size, whose net similarity is the greatest."""
    count = len(similarities)
    sets = [chosen for size in range(1, count + 1) for chosen in itertools.combinations(range(count), size)]
    values = np.array([net_similarity(similarities, preferences, chosen) for chosen in sets])
    return [sets[place] for place in np.flatnonzero(values >= values.max() - 1e-9 * np.abs(similarities).max())]


def copies(*groups):
    """Points with how many of each there are."""
    return np.concatenate([np.tile(np.array(point, dtype=float), (count, 1)) for point, count in groups])


@pytest.mark.parametrize("damping", [0.5, 0.7])
@pytest.mark.parametrize(
    ("features", "sizes"),
    [
        (copies(([0, 0], 5), ([9, 9], 1)), [5, 1]),
        (copies(([0, 0], 6), ([9, 9], 2)), [6, 2]),
        (copies(([0.123, 4.567], 6), ([3.1, 0.2], 1), ([3.1, 0.3], 1)), [6, 1, 1]),
        (copies((0.3, 7), (0.31, 1)), [7, 1]),
        (copies((0, 4), (9, 4)), [4, 4]),
        (copies((1.1, 8)), [8]),
        (copies((0, 3), (9, 3), (30, 2)), None),
    ],
)
def test_equal_points_come_together(features, sizes, damping):
    """Also where more than half of the pairs are equal: the median, 0, is then as good as company."""
    similarities = exact_similarities(features)
    off = off_diagonal(similarities)
    for preference in (None, 0.0, off.mean(), 0.05 * off.min()):
        preferences = np.full(len(features), np.median(off) if preference is None else preference)
        best = best_exemplars(similarities, preferences)
        found = AffinityPropagation(damping, preference=preference).fit(features)
        assert found.converged_
        value = net_similarity(similarities, preferences, found.cluster_centers_indices_)
        assert value == pytest.approx(net_similarity(similarities, preferences, best[0]), abs=1e-9)
        assert len(found.cluster_centers_indices_) == min(map(len, best))
        if preference in (None, 0.0) and sizes:
            assert np.bincount(found.labels_).tolist() == sizes
    for group in np.unique(features, axis=0):
        assert len(set(found.labels_[(features == group).all(axis=1)])) == 1


def test_the_first_exemplar_of_a_slow_start_is_no_result():
    """Here one point is an exemplar for 15 iterations before any other; scikit-learn stops at it."""
    for seed in (31, 111):
        random = np.random.default_rng(1000 + seed)
        features = blobs(seed, int(random.integers(30, 250)), 2, 25, random.uniform(0.1, 1.0))
        similarities = exact_similarities(features)
        preference = np.median(off_diagonal(similarities))
        ours = AffinityPropagation(0.9, 400, preference=preference).fit(features)
        theirs = cluster.AffinityPropagation(damping=0.9, preference=preference, random_state=0).fit(features)
        assert ours.converged_
        values = [
            net_similarity(similarities, np.full(len(features), preference), one.cluster_centers_indices_)
            for one in (ours, theirs)
        ]
        assert values[0] > 0.5 * values[1], "both are negative"
        assert len(ours.cluster_centers_indices_) > len(theirs.cluster_centers_indices_)


def test_few_points():
    alone = AffinityPropagation().fit(np.ones((1, 3)))
    assert alone.labels_.tolist() == [0]
    assert alone.cluster_centers_indices_.tolist() == [0]
    pair = np.array([[0.0], [1.0]])
    assert AffinityPropagation(preference=-0.5).fit_predict(pair).tolist() == [0, 1]
    assert AffinityPropagation(preference=-2.0).fit_predict(pair).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"damping": 0.4}, "damping: 0.4"),
        ({"damping": 1.0}, "damping: 1.0"),
        ({"max_iter": 0}, "max_iter: 0"),
        ({"convergence_iter": 2.5}, "convergence_iter: 2.5"),
        ({"affinity": "cosine"}, "affinity: there is none called 'cosine'.*euclidean, precomputed"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        AffinityPropagation(**options)


@pytest.mark.parametrize("preference", [np.zeros(3), np.zeros((4, 1)), np.nan, np.inf, -1e35])
def test_preferences_that_do_not_fit_are_refused(preference):
    with pytest.raises(ConfigError, match="preference"):
        AffinityPropagation(preference=preference).fit(np.eye(4))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e25])
def test_values_that_are_not_finite_are_named(value):
    features = np.zeros((5, 3))
    features[3, 1] = value
    with pytest.raises(DataError, match="row 3"):
        AffinityPropagation().fit(features)
    if abs(value) != 1e25:
        similarities = -np.ones((5, 5))
        similarities[2, 4] = value
        with pytest.raises(DataError, match="row 2"):
            AffinityPropagation(affinity="precomputed", preference=-1).fit(similarities)


@pytest.mark.parametrize("shape", [(5,), (0, 3), (3, 0), (2, 2, 2)])
def test_features_that_are_no_matrix_are_refused(shape):
    with pytest.raises(DataError, match="shape"):
        AffinityPropagation().fit(np.zeros(shape))


def test_similarities_that_are_no_square_are_refused():
    with pytest.raises(DataError, match=r"\(N, N\); got shape \(4, 5\)"):
        AffinityPropagation(affinity="precomputed").fit(np.zeros((4, 5)))
