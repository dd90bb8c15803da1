"""SG-AP: its preferences against the formula in loops, its search against made-up counts, its clusters on blobs."""

import math

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from reidlab.errors import ConfigError, DataError
from reidlab.pseudolabel.affinity import AffinityPropagation
from reidlab.pseudolabel.semantics import (
    SemanticsGuidedAP,
    adaptive_preference,
    search_preference,
    similarity_ranking,
)


def people(seed, identities=24, pictures=9, width=12, spread=0.25):
    """Features around the identities' centres and the identities, in random order."""
    random = np.random.default_rng(seed)
    pids = random.permutation(np.repeat(np.arange(identities), pictures))
    centres = random.standard_normal((identities, width))
    return (centres[pids] + spread * random.standard_normal((len(pids), width))).astype(np.float32), pids


def halves(seed, known=8, **options):
    """Unlabelled features, labelled features, labelled identities, unlabelled identities."""
    features, pids = people(seed, **options)
    labelled = pids < known
    return features[~labelled], features[labelled], pids[labelled], pids[~labelled]


def similarities_of(features):
    features = features.astype(np.float64)
    return -((features[:, None] - features[None]) ** 2).sum(axis=-1)


@pytest.mark.parametrize("seed", range(3))
def test_ranking_is_equation_3_2(seed):
    features, _ = people(seed, 4, 5)
    s = similarities_of(features)
    count = len(s)
    total = sum(s[i, j] for i in range(count) for j in range(count) if j != i)
    expected = [count * sum(s[i, j] for j in range(count) if j != i) / total for i in range(count)]
    np.testing.assert_allclose(similarity_ranking(s), expected, rtol=1e-12)
    np.testing.assert_allclose(similarity_ranking(features=features), expected, rtol=1e-6)
    assert similarity_ranking(s).mean() == pytest.approx(1.0)
    np.testing.assert_allclose(adaptive_preference(s, -7.5), -7.5 * np.array(expected))
    np.testing.assert_allclose(adaptive_preference(p=-7.5, features=features), -7.5 * np.array(expected), rtol=1e-6)


def test_points_far_from_the_others_are_preferred_less():
    features = np.array([[0.0], [0.1], [-0.1], [4.0]])
    preferences = adaptive_preference(features=features, p=-1.0)
    assert preferences.argmin() == 3
    assert preferences.argmax() == 1


def test_ranking_needs_no_matrix_and_keeps_its_digits_in_many_rows_far_from_the_origin():
    features, _ = people(5, 50, 45, 2)  # more rows than are held at a time
    far = (features + 300.0).astype(np.float32)
    expected = similarity_ranking(similarities_of(far))
    np.testing.assert_allclose(similarity_ranking(features=far), expected, rtol=1e-9)


def test_the_diagonal_is_not_looked_at_and_equal_points_rank_equally():
    s = similarities_of(people(6, 4, 5)[0])
    changed = s.copy()
    np.fill_diagonal(changed, 123.0)
    np.testing.assert_array_equal(similarity_ranking(changed), similarity_ranking(s))
    np.testing.assert_array_equal(similarity_ranking(np.zeros((5, 5))), 1.0)
    np.testing.assert_array_equal(similarity_ranking(features=np.full((5, 2), 0.1)), 1.0)


def test_what_cannot_be_ranked_is_refused():
    with pytest.raises(ConfigError, match="either similarities or features"):
        similarity_ranking()
    with pytest.raises(ConfigError, match="either similarities or features"):
        similarity_ranking(-np.ones((3, 3)), features=np.ones((3, 2)))
    with pytest.raises(DataError, match=r"\(N, N\); got shape \(2, 3\)"):
        similarity_ranking(np.zeros((2, 3)))
    for value in (0.5, np.nan, -np.inf):
        s = -np.ones((4, 4))
        s[2, 1] = value
        with pytest.raises(DataError, match="row 2"):
            similarity_ranking(s)
    for p in (0.1, np.nan, -np.inf):
        with pytest.raises(ConfigError, match="p: "):
            adaptive_preference(-np.ones((3, 3)), p)


class Counted:
    """Counts that follow from p by a rule, and the p that were asked for."""

    def __init__(self, rule):
        self.rule, self.asked = rule, []

    def __call__(self, p):
        self.asked.append(p)
        return self.rule(p)


OBSERVED = -np.random.default_rng(0).gamma(3.0, 2.0, 1001)


@pytest.mark.parametrize("turning", [-1.4, -3.0, -6.5, -14.0])
def test_the_search_finds_a_count_that_some_observed_similarity_gives(turning):
    counts = Counted(lambda p: 10 + round(20 * (p - turning)))
    found = search_preference(OBSERVED, 10, counts, patience=6)
    assert (found.stopped, found.count, found.probes) == ("matched", 10, len(counts.asked))
    assert abs(found.p - turning) < 0.026
    assert counts.asked[0] == np.median(OBSERVED)
    assert set(counts.asked) <= set(OBSERVED)
    assert found.probes <= 13


@pytest.mark.parametrize("turning", [-0.9, -14.0, -500.0])
def test_every_step_of_the_search_goes_the_right_way(turning):
    counts = Counted(lambda p: 300 if p > turning else 3)
    search_preference(OBSERVED, 10, counts, patience=100)
    low, high = -math.inf, 0.0
    for p in counts.asked:
        assert low < p < high
        low, high = (low, p) if p > turning else (p, high)


def test_beyond_the_observed_similarities_p_is_doubled_then_narrowed():
    counts = Counted(lambda p: round(1e5 / -p))
    found = search_preference(OBSERVED, 137, counts, patience=50)
    lowest = OBSERVED.min()
    assert counts.asked[1] == lowest
    beyond = [p for p in counts.asked if p < lowest]
    assert beyond[:2] == [2 * lowest, 4 * lowest]
    assert found.stopped == "matched"
    assert found.p == pytest.approx(-1e5 / 137, rel=0.01)


def test_the_search_gives_up_where_the_count_stays_the_same():
    counts = Counted(lambda p: 17)
    found = search_preference(OBSERVED, 10, counts)
    assert (found.stopped, found.probes, found.count) == ("unchanged", 5, 17)
    assert search_preference(OBSERVED, 10, counts, patience=3).probes == 3


def test_the_search_ends_where_nothing_is_left_between():
    """No preference gives 10; of 13 and 9 the second is nearer."""
    for turning in (-5.0, -200.0):
        counts = Counted(lambda p, turning=turning: 13 if p > turning else 9)
        found = search_preference(OBSERVED, 10, counts, patience=100, max_probes=200)
        assert (found.stopped, found.count) == ("exhausted", 9)
        assert found.p <= turning
        assert found.p == pytest.approx(turning, rel=0.02)


def test_the_search_ends_after_so_many_probes_with_the_best_and_of_equals_the_last():
    counts = Counted(lambda p: 13 if p > -5.0 else 7)
    found = search_preference(OBSERVED, 10, counts, max_probes=7, patience=100)
    assert (found.stopped, found.probes) == ("probes", 7)
    assert found.p == counts.asked[-1]


@pytest.mark.parametrize("observed", [[-2.0], [-2.0, -2.0, -2.0], [-3.0, -2.0]])
def test_the_search_ends_with_few_similarities_too(observed):
    few = search_preference(observed, 10, Counted(lambda p: 2))
    assert (few.stopped, few.p) == ("exhausted", -2.0)
    many = Counted(lambda p: 50)
    assert search_preference(observed, 10, many).stopped == "unchanged"
    assert many.asked[-1] < 4 * min(observed)


@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_well_separated_people_are_found(seed, adaptive):
    unlabelled, labelled, known, truth = halves(seed)
    found = SemanticsGuidedAP(adaptive=adaptive).fit(unlabelled, labelled, known)
    assert (found.search_.stopped, found.search_.count) == ("matched", 8)
    assert len(found.exemplars_) == 16
    assert adjusted_rand_score(truth, found.labels_) == 1.0
    assert found.converged_
    np.testing.assert_array_equal(found.labels_[found.exemplars_], np.arange(16))
    np.testing.assert_array_equal(found.exemplars_, found.cluster_centers_indices_)


def test_people_who_overlap_are_searched_for():
    unlabelled, labelled, known, truth = halves(7, spread=0.9, width=16)
    found = SemanticsGuidedAP(keep_labels=True).fit(unlabelled, labelled, known)
    trace = found.trace_
    assert len(trace) == found.search_.probes > 1
    assert trace["probe"].tolist() == list(range(1, len(trace) + 1))
    pairs = similarities_of(labelled)[np.triu_indices(len(labelled), 1)]
    assert trace["p"][0] == pytest.approx(np.quantile(pairs, 0.5, method="lower"), rel=1e-5)
    for _, before, after in zip(range(50), trace[:-1].itertuples(), trace[1:].itertuples()):
        assert (after.p < before.p) == (before.labelled_exemplars > 8)
    best = (trace["labelled_exemplars"] - 8).abs().min()
    assert abs(found.search_.count - 8) == best
    assert found.p_ in trace.loc[(trace["labelled_exemplars"] - 8).abs() == best, "p"].tolist()
    # The union's clusters, counted anew from what was kept.
    for row, labels in zip(trace.itertuples(), found.union_labels_):
        assert len(labels) == len(unlabelled) + len(labelled)
        assert row.clusters == len(set(labels))
        assert row.labelled_clusters == len(set(labels[len(unlabelled) :]))
    assert adjusted_rand_score(truth, found.labels_) > 0.5


@pytest.mark.parametrize("adaptive", [True, False])
def test_the_last_clustering_is_plain_affinity_propagation_with_the_preferences_found(adaptive):
    unlabelled, labelled, known, _ = halves(8, spread=0.6)
    found = SemanticsGuidedAP(adaptive=adaptive).fit(unlabelled, labelled, known)
    weights = similarity_ranking(similarities_of(unlabelled)) if adaptive else np.ones(len(unlabelled))
    plain = AffinityPropagation(0.7, preference=weights * found.p_).fit(unlabelled)
    np.testing.assert_array_equal(found.labels_, plain.labels_)
    np.testing.assert_array_equal(found.exemplars_, plain.cluster_centers_indices_)
    # And each probe is that of the union.
    union = np.concatenate([unlabelled, labelled])
    weights = similarity_ranking(similarities_of(union)) if adaptive else np.ones(len(union))
    first = found.trace_.iloc[0]
    plain = AffinityPropagation(0.7, preference=weights * first["p"]).fit(union)
    assert first["labelled_exemplars"] == (plain.cluster_centers_indices_ >= len(unlabelled)).sum()
    assert first["clusters"] == len(plain.cluster_centers_indices_)


def test_the_two_counts_differ_where_clusters_mix():
    unlabelled, labelled, known, _ = halves(9, spread=1.2)
    exemplars = SemanticsGuidedAP().fit(unlabelled, labelled, known)
    clusters = SemanticsGuidedAP("clusters").fit(unlabelled, labelled, known)
    for found, column in ((exemplars, "labelled_exemplars"), (clusters, "labelled_clusters")):
        assert found.search_.count in found.trace_[column].tolist()
        assert (found.trace_["labelled_exemplars"] <= found.trace_["labelled_clusters"]).all()
    assert len(clusters.exemplars_) < len(exemplars.exemplars_)


@pytest.mark.parametrize("seed", range(4))
def test_warm_probes_find_nearly_the_same_and_take_fewer_iterations(seed):
    data = halves(20 + seed, spread=0.65, width=16)
    cold = SemanticsGuidedAP().fit(*data[:3])
    warm = SemanticsGuidedAP(warm=True).fit(*data[:3])
    assert cold.trace_["p"][0] == warm.trace_["p"][0]
    if len(cold.trace_) > 2:
        assert warm.trace_["iterations"][1:].mean() < cold.trace_["iterations"][1:].mean()
    assert abs(len(warm.exemplars_) - len(cold.exemplars_)) <= 2
    assert adjusted_rand_score(warm.labels_, cold.labels_) > 0.7


def test_results_repeat():
    data = halves(10, spread=0.7)[:3]
    one, other = (SemanticsGuidedAP(seed=3).fit(*data) for _ in range(2))
    np.testing.assert_array_equal(one.labels_, other.labels_)
    assert one.trace_.drop(columns="seconds").equals(other.trace_.drop(columns="seconds"))


def test_more_damping_mends_what_does_not_converge_and_what_it_cannot_mend_is_said():
    unlabelled, labelled, known, truth = halves(11)
    with pytest.warns(ConvergenceWarning, match=r"unlabelled pictures did not converge.*calmer"):
        found = SemanticsGuidedAP(calmer=(), max_iter=10).fit(unlabelled, labelled, known)
    assert not found.converged_
    assert not found.trace_["converged"].any()
    assert found.labels_.min() == 0
    mended = SemanticsGuidedAP(calmer=(0.75, 0.8), max_iter=20).fit(unlabelled, labelled, known)
    assert mended.converged_
    assert mended.trace_["damping"].max() > 0.7
    assert mended.trace_["iterations"].max() > 20
    assert adjusted_rand_score(truth, mended.labels_) == 1.0


def test_nothing_is_printed_unless_asked_for(capsys):
    data = halves(12, spread=0.7)[:3]
    quiet = SemanticsGuidedAP().fit(*data)
    assert capsys.readouterr() == ("", "")
    watched = SemanticsGuidedAP(progress=True).fit(*data)
    assert capsys.readouterr().out == ""
    np.testing.assert_array_equal(quiet.labels_, watched.labels_)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": "images"}, "count: there is none called 'images'.*exemplars, clusters"),
        ({"damping": 0.3}, "damping: 0.3"),
        ({"calmer": (0.8, 1.0)}, "damping: 1.0"),
        ({"max_iter": 0}, "max_iter: 0"),
        ({"patience": 1}, "patience: 1"),
        ({"max_probes": 0}, "max_probes: 0"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        SemanticsGuidedAP(**options)


def test_data_that_do_not_fit_are_refused():
    unlabelled, labelled, known, _ = halves(13)
    guided = SemanticsGuidedAP()
    broken = unlabelled.copy()
    broken[5, 2] = np.nan
    with pytest.raises(DataError, match="unlabelled_features: row 5"):
        guided.fit(broken, labelled, known)
    broken = labelled.copy()
    broken[3, 0] = np.inf
    with pytest.raises(DataError, match="labelled_features: row 3"):
        guided.fit(unlabelled, broken, known)
    with pytest.raises(DataError, match="widths 12 and 11 differ"):
        guided.fit(unlabelled, labelled[:, 1:], known)
    with pytest.raises(DataError, match="unlabelled_features: 1 picture"):
        guided.fit(unlabelled[:1], labelled, known)
    with pytest.raises(DataError, match="expected 72 whole numbers"):
        guided.fit(unlabelled, labelled, known[1:])
    with pytest.raises(DataError, match=r"whole numbers.*float64"):
        guided.fit(unlabelled, labelled, known + 0.5)
    with pytest.raises(DataError, match="row 0 is negative"):
        guided.fit(unlabelled, labelled, np.where(np.arange(72) == 0, -1, known))
    with pytest.raises(DataError, match="labelled_pids: 1 identity"):
        guided.fit(unlabelled, labelled, np.zeros(72, dtype=int))
    one_each = np.unique(known, return_index=True)[1]
    with pytest.raises(DataError, match=r"each of the \d+ identities has one picture.*label several of each"):
        guided.fit(unlabelled, labelled[one_each], known[one_each])
    with pytest.raises(DataError, match="all 72 pictures have the same feature"):
        guided.fit(unlabelled, np.ones_like(labelled), known)
    with pytest.raises(DataError, match="shape"):
        guided.fit(unlabelled[:0], labelled, known)


def test_unlabelled_pictures_that_are_all_the_same_are_one_cluster():
    _, labelled, known, _ = halves(14)
    found = SemanticsGuidedAP().fit(np.zeros((6, 12)), labelled, known)
    assert set(found.labels_) == {0}
    assert len(found.exemplars_) == 1
