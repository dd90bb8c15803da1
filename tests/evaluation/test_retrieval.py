"""Retrieval scores against plain loops, hand-counted examples and scikit-learn."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score

from reidlab.errors import ConfigError, DataError
from reidlab.evaluation import Embeddings, Protocol, SameIdentity, evaluate, evaluate_distances, ranked_list
from reidlab.evaluation.distances import distance_blocks, distances
from reidlab.evaluation.protocols import CAMERA_RULES, PROTOCOLS
from tests.evaluation import oracles


def labels(pids, camids, tracklets=None):
    return Embeddings(np.zeros((len(pids), 1), np.float32), pids, camids, tracklets)


@st.composite
def problems(draw):
    """Small problems in which ties, junk, distractors and queries without a match are common."""
    queries, galleries = draw(st.integers(1, 6)), draw(st.integers(1, 25))
    levels = draw(st.sampled_from([1, 3, 1000]))
    distance = draw(hnp.arrays(np.float64, (queries, galleries), elements=st.integers(0, levels).map(float)))
    pid, cam = st.integers(-1, 3), st.integers(1, 3)
    query = labels(*(draw(st.lists(s, min_size=queries, max_size=queries)) for s in (st.integers(0, 3), cam)))
    gallery = labels(*(draw(st.lists(s, min_size=galleries, max_size=galleries)) for s in (pid, cam)))
    return distance, query, gallery


@settings(max_examples=300, deadline=None)
@given(problems(), st.sampled_from(CAMERA_RULES), st.booleans(), st.sampled_from(["step", "trapezoidal"]))
def test_scores_equal_a_walk_down_the_sorted_gallery(problem, camera_rule, distractors, ap_rule):
    distance, query, gallery = problem
    protocol = Protocol("tried", matcher=SameIdentity(camera_rule), distractors=distractors, ap=ap_rule)
    expected = oracles.ranking_scores(
        distance, query, gallery, camera_rule=camera_rule, distractors=distractors, ap_rule=ap_rule
    )
    if not any(expected):
        with pytest.raises(DataError, match=r"'tried'.*(has a match|leaves nothing)"):
            evaluate_distances(distance, query, gallery, protocol)
        return
    scores = evaluate_distances(distance, query, gallery, protocol)
    means = oracles.summary(expected)
    assert scores.mAP == pytest.approx(means["mAP"], abs=1e-9)
    assert scores.mINP == pytest.approx(means["mINP"], abs=1e-9)
    np.testing.assert_allclose(scores.cmc, means["cmc"], atol=1e-9)
    assert scores.num_valid == sum(r is not None for r in expected)
    for row, single in zip(scores.per_query.itertuples(), expected):
        assert row.valid == (single is not None)
        if single is None:
            assert np.isnan([row.ap, row.inp, row.first_rank]).all()
            assert row.positives == 0
        else:
            for name, value in single.items():
                assert getattr(row, name) == pytest.approx(value, abs=1e-9)


def test_an_example_counted_by_hand():
    # Ranking of the one query: wrong, own camera (ignored), right, junk (ignored), right, distractor.
    distance = np.array([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]])
    query = labels([7], [1])
    gallery = labels([5, 7, 7, -1, 7, 0], [2, 1, 2, 3, 3, 2])
    scores = evaluate_distances(distance, query, gallery, "market1501")
    assert scores.mAP == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert scores.mINP == pytest.approx(2 / 3)
    assert [scores.rank(k) for k in (1, 2, 3)] == [0, 1, 1]
    trapezoidal = evaluate_distances(distance, query, gallery, "market1501-trapezoidal")
    assert trapezoidal.mAP == pytest.approx(((0 + 1 / 2) / 2 + (1 / 2 + 2 / 3) / 2) / 2)
    own_camera_counts = evaluate_distances(distance, query, gallery, "no-camera-rule")
    assert own_camera_counts.mAP == pytest.approx((1 / 2 + 2 / 3 + 3 / 4) / 3)


def test_average_precision_equals_scikit_learns():
    random = np.random.default_rng(1)
    distance = random.permutation(5 * 40).reshape(5, 40).astype(float)
    query, gallery = labels(range(1, 6), [1] * 5), labels(random.integers(1, 6, 40), [2] * 40)
    scores = evaluate_distances(distance, query, gallery)
    for q in range(5):
        expected = average_precision_score(gallery.pids == query.pids[q], -distance[q])
        assert scores.per_query.ap[q] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_evaluate_agrees_with_scipys_distances_and_with_any_block_size(metric):
    from scipy.spatial.distance import cdist

    random = np.random.default_rng(2)
    query = Embeddings(random.standard_normal((30, 16)), random.integers(1, 9, 30), random.integers(1, 4, 30))
    gallery = Embeddings(random.standard_normal((200, 16)), random.integers(-1, 9, 200), random.integers(1, 4, 200))
    protocol = Protocol("tried", metric=metric)
    expected = oracles.summary(
        oracles.ranking_scores(
            cdist(query.features.astype(float), gallery.features.astype(float), metric), query, gallery
        )
    )
    for block_bytes in (1, 4 * 200 * 7, 10**9):
        scores = evaluate(query, gallery, protocol, block_bytes=block_bytes)
        assert scores.mAP == pytest.approx(expected["mAP"], abs=1e-9)
        assert scores.mINP == pytest.approx(expected["mINP"], abs=1e-9)
    np.testing.assert_allclose(
        distances(query.features, gallery.features, metric), cdist(query.features, gallery.features, metric), atol=1e-5
    )


def test_scores_do_not_depend_on_the_number_of_threads():
    import numba

    random = np.random.default_rng(3)
    distance = random.integers(0, 50, (40, 300)).astype(np.float32)
    query, gallery = (labels(random.integers(0, 9, n), random.integers(1, 4, n)) for n in (40, 300))
    before = numba.get_num_threads()
    try:
        tables = []
        for threads in {1, before}:
            numba.set_num_threads(threads)
            tables.append(evaluate_distances(distance, query, gallery).per_query)
    finally:
        numba.set_num_threads(before)
    assert all(table.equals(tables[0]) for table in tables)


def test_ties_rank_by_the_place_in_the_gallery():
    query = labels([1], [1])
    first, last = labels([1, 2, 3], [2, 2, 2]), labels([3, 2, 1], [2, 2, 2])
    flat = np.zeros((1, 3))
    assert evaluate_distances(flat, query, first).per_query.first_rank[0] == 1
    assert evaluate_distances(flat, query, last).per_query.first_rank[0] == 3


def test_distances_that_differ_by_one_bit_are_not_ties():
    value = np.float32(1e6)
    row = np.array([[np.nextafter(value, np.float32(np.inf)), value, 0.0]], dtype=np.float32)
    scores = evaluate_distances(row, labels([1], [1]), labels([1, 2, 1], [2, 2, 2]))
    assert scores.per_query.inp[0] == pytest.approx(2 / 3)


def test_queries_are_dropped_from_the_gallery_by_their_tracklets():
    query = labels([1], [1], [10])
    gallery = labels([2, 2, 1], [2, 3, 2], [11, 12, 13])
    twin = dataclasses.replace(PROTOCOLS["video-toolbox"], name="tried")
    assert evaluate(query, gallery, twin).per_query.first_rank[0] == 3
    gallery = labels([2, 2, 1], [2, 3, 2], [10, 12, 13])
    assert evaluate(query, gallery, twin).per_query.first_rank[0] == 2
    with pytest.raises(DataError, match="tracklet numbers"):
        evaluate(labels([1], [1]), gallery, twin)


def test_distractors_stay_or_go_by_protocol():
    distance = np.array([[0.1, 0.2]])
    query, gallery = labels([3], [1]), labels([0, 3], [2, 2])
    assert evaluate_distances(distance, query, gallery, "market1501").mAP == 0.5
    gone = Protocol("tried", distractors=False)
    assert evaluate_distances(distance, query, gallery, gone).mAP == 1.0


def test_a_single_shot_gallery_has_one_entry_per_identity():
    # Ten pictures of another person are nearer than the match: one of them remains.
    distance = np.arange(11.0)[None]
    query, gallery = labels([1], [1]), labels([2] * 10 + [1], [2] * 11)
    scores = evaluate_distances(distance, query, gallery, Protocol("tried", single_shot=5))
    assert scores.per_query.first_rank[0] == 2
    assert scores.rank(2) == 1.0
    mixed = labels([2] * 5 + [1] + [2] * 5, [2] * 11)
    drawn = evaluate_distances(distance, query, mixed, Protocol("tried", single_shot=400))
    assert drawn.rank(1) == pytest.approx(0.5, abs=0.1)  # before the match in half of the draws
    again = evaluate_distances(distance, query, mixed, Protocol("tried", single_shot=400))
    assert again.mAP == drawn.mAP


def test_a_matcher_of_ones_own_decides_what_is_right():
    class Parity:
        def relevance(self, query, gallery, rows):
            return (query.pids[rows, None] % 2 == gallery.pids[None] % 2).astype(np.int8)

    distance = np.array([[0.1, 0.2, 0.3]])
    scores = evaluate_distances(distance, labels([8], [1]), labels([3, 4, 6], [1, 1, 1]), Protocol("p", matcher=Parity()))
    assert scores.per_query.positives[0] == 2
    assert scores.mINP == pytest.approx(2 / 3)


def test_ranked_list_shows_what_was_scored():
    features = np.array([[0.0], [1.0], [2.0], [3.0], [4.0]], np.float32)
    query = Embeddings(features[:1], [7], [1])
    gallery = Embeddings(features[1:], [7, -1, 5, 7], [1, 2, 2, 3])
    rows = ranked_list(query, gallery, 0, "market1501", top=10)
    assert rows.gallery.tolist() == [2, 3]  # own camera and junk are not ranked
    assert rows.match.tolist() == [False, True]
    assert rows.distance.tolist() == pytest.approx([3.0, 4.0])
    assert len(ranked_list(query, gallery, 0, top=1)) == 1
    with pytest.raises(ConfigError, match="index: 5"):
        ranked_list(query, gallery, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.zeros(3)}, r"features: expected shape \(N, D\)"),
        ({"features": np.array([[1.0], [np.nan], [0.0]])}, r"features: row 1 .*not finite"),
        ({"pids": [1, 2]}, r"pids: expected one per row of features, \(3,\); got \(2,\)"),
        ({"camids": [[1], [1], [1]]}, "camids: expected one per row"),
        ({"tracklets": [1]}, "tracklets: expected one per row"),
    ],
)
def test_embeddings_that_do_not_fit_are_refused(change, message):
    good = {"features": np.zeros((3, 1)), "pids": [1, 2, 3], "camids": [1, 1, 1]}
    with pytest.raises(DataError, match=message):
        Embeddings(**good | change)


def test_what_cannot_be_scored_is_said_in_one_line():
    query, gallery = labels([1], [1]), labels([1, 2], [2, 2])
    with pytest.raises(ConfigError, match="did you mean 'market1501'"):
        evaluate(query, gallery, "market1051")
    with pytest.raises(DataError, match=r"got \(1, 3\)"):
        evaluate_distances(np.zeros((1, 3)), query, gallery)
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(DataError, match="row 0 .*not finite"):
            evaluate_distances(np.array([[0.0, value]]), query, gallery)
    with pytest.raises(DataError, match="gallery: it is empty"):
        evaluate(query, gallery.select(np.zeros(2, bool)))
    with pytest.raises(DataError, match="leaves nothing of the gallery: all 2 entries are junk"):
        evaluate(query, labels([-1, -1], [2, 2]))
    with pytest.raises(DataError, match="none of the 1 queries has a match"):
        evaluate(query, labels([2, 3], [2, 2]))
    with pytest.raises(DataError, match=r"\(1, 1\) and \(1, 2\)"):
        evaluate(query, Embeddings(np.zeros((1, 2)), [1], [2]))
    with pytest.raises(ConfigError, match="metric: 'manhattan'"):
        Protocol("tried", metric="manhattan")
    with pytest.raises(ConfigError, match="camera_rule: 'all'"):
        SameIdentity("all")
    with pytest.raises(ConfigError, match="rank 51"):
        evaluate(query, gallery).rank(51)


def test_blocks_reuse_one_buffer():
    features = np.random.default_rng(0).standard_normal((10, 4)).astype(np.float32)
    bases = {block.base is not None and block.ctypes.data for _, block in distance_blocks(features, features, block_bytes=1)}
    assert len(bases) == 1
