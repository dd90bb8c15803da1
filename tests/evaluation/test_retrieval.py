"""Retrieval scores against plain loops, hand-counted examples and scikit-learn."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score

from reidlab.errors import ConfigError, DataError
from reidlab.evaluation import Embeddings, Protocol, SameIdentity, evaluate, evaluate_distances, ranked_list
from reidlab.evaluation.distances import distance_blocks, distances
from reidlab.evaluation.kernels import IGNORED, POSITIVE
from reidlab.evaluation.protocols import AP_RULES, CAMERA_RULES, JUNK_RULES, PROTOCOLS
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
@given(problems(), st.sampled_from(CAMERA_RULES), st.sampled_from(JUNK_RULES), st.booleans(), st.sampled_from(AP_RULES))
def test_scores_equal_a_walk_down_the_sorted_gallery(problem, camera_rule, junk, distractors, ap_rule):
    distance, query, gallery = problem
    protocol = Protocol("tried", matcher=SameIdentity(camera_rule), junk=junk, distractors=distractors, ap=ap_rule)
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
    assert scores.num_invalid == sum(r is None for r in expected)
    for row, single in zip(scores.per_query.itertuples(), expected):
        assert row.valid == (single is not None)
        if single is None:
            assert np.isnan([row.ap, row.inp, row.first_rank]).all()
            assert row.num_positives == 0
        else:
            for name, value in single.items():
                assert getattr(row, name) == pytest.approx(value, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 5), st.integers(1, 30), st.integers(1, 3), st.sampled_from([1, 200, 10**9]))
def test_duplicate_features_tie_and_rank_by_their_place(data, queries, galleries, width, block_bytes):
    # Small whole numbers: float32 holds their squared distances exactly, so that duplicates tie.
    value, pid, cam = st.integers(-2, 2), st.integers(1, 3), st.integers(1, 2)

    def part(n):
        features = data.draw(hnp.arrays(np.int64, (n, width), elements=value))
        return Embeddings(features, *(data.draw(st.lists(s, min_size=n, max_size=n)) for s in (pid, cam)))

    query, gallery = part(queries), part(galleries)
    exact = ((query.features[:, None] - gallery.features[None]) ** 2).sum(axis=-1)
    expected = oracles.ranking_scores(exact, query, gallery)
    if not any(expected):
        with pytest.raises(DataError, match="has a match"):
            evaluate(query, gallery, block_bytes=block_bytes)
        return
    scores = evaluate(query, gallery, block_bytes=block_bytes)
    assert scores.mAP == pytest.approx(oracles.summary(expected)["mAP"], abs=1e-9)
    np.testing.assert_allclose(scores.cmc, oracles.summary(expected)["cmc"], atol=1e-9)


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
    # Large enough to be shared among threads where there are several.
    distance = random.integers(0, 500, (800, 3000)).astype(np.float32)
    query, gallery = (labels(random.integers(0, 9, n), random.integers(1, 4, n)) for n in (800, 3000))
    before = numba.get_num_threads()
    try:
        tables = []
        for threads in sorted({1, before}):
            numba.set_num_threads(threads)
            tables.append(evaluate_distances(distance, query, gallery).per_query)
            assert numba.get_num_threads() == threads
    finally:
        numba.set_num_threads(before)
    assert all(table.equals(tables[0]) for table in tables)


def test_ties_rank_by_the_place_in_the_gallery():
    query = labels([1], [1])
    first, last = labels([1, 2, 3], [2, 2, 2]), labels([3, 2, 1], [2, 2, 2])
    flat = np.zeros((1, 3))
    assert evaluate_distances(flat, query, first).per_query.first_rank[0] == 1
    assert evaluate_distances(flat, query, last).per_query.first_rank[0] == 3


@pytest.mark.parametrize("tiny", [5e-324, 1e-310, 1e-305, 1e300])
def test_distances_of_any_size_rank(tiny):
    # Ranking: wrong (a tie, earlier in the gallery), right, right, wrong, right.
    row = np.array([[0.0, 0.0, tiny, 2 * tiny, 3 * tiny]])
    scores = evaluate_distances(row, labels([1], [1]), labels([2, 1, 1, 2, 1], [2] * 5))
    assert scores.mAP == pytest.approx((1 / 2 + 2 / 3 + 3 / 5) / 3)


def test_a_gallery_of_one_and_a_curve_longer_than_the_gallery():
    scores = evaluate_distances(np.array([[3.0]]), labels([1], [1]), labels([1], [2]))
    assert scores.summary() == dict.fromkeys(["mAP", "mINP", "rank1", "rank5", "rank10", "rank20"], 1.0)
    assert len(scores.cmc) == 50


def test_queries_without_a_match_are_counted_and_left_out():
    query, gallery = labels([1, 9], [1, 1]), labels([1, 2], [2, 2])
    scores = evaluate_distances(np.array([[0.1, 0.2], [0.1, 0.2]]), query, gallery)
    assert (scores.num_valid, scores.num_invalid, scores.mAP, scores.rank(1)) == (1, 1, 1.0, 1.0)


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
    for numbers in (None, [-1]):  # without numbers, and with the number that stands for none
        with pytest.raises(DataError, match=r"query tracklets: .* give every entry one"):
            evaluate(labels([1], [1], numbers), gallery, twin)


def test_the_protocols_of_video_papers_differ_on_one_ranking():
    # The query's own tracklet, a distractor, junk, the match, another person, the match again.
    features = np.array([[1, 0], [1, 0.1], [1, 0.2], [1, 0.3], [1, 0.4], [1, 0.5]])
    gallery = Embeddings(features, [7, 0, -1, 7, 5, 7], [1, 2, 2, 2, 2, 3], [10, 11, 12, 13, 14, 15])
    query = gallery.select([0])
    scores = {name: evaluate(query, gallery, name).mAP for name in ("mars-ste-nvan", "mars-cf-aan", "video-toolbox")}
    # With the distractor the matches are at ranks 2 and 4, without it at 1 and 3.
    assert scores == {
        "mars-ste-nvan": pytest.approx(((0 + 1 / 2) / 2 + (1 / 3 + 2 / 4) / 2) / 2),
        "mars-cf-aan": pytest.approx((1 + 2 / 3) / 2),
        "video-toolbox": pytest.approx((1 / 2 + 2 / 4) / 2),
    }
    assert all(evaluate(query, gallery, name).protocol == name for name in scores)


def test_every_picture_queries_all_others_in_leave_one_out():
    pictures = Embeddings([[0.0], [1.0], [1.5], [5.0]], [1, 1, 2, 2], [1, 1, 1, 1], [0, 1, 2, 3])
    scores = evaluate(pictures, pictures, "leave-one-out")
    assert scores.per_query.num_positives.tolist() == [1, 1, 1, 1]
    assert scores.per_query.first_rank.tolist() == [1, 2, 3, 1]
    with pytest.raises(DataError, match="query tracklets"):
        evaluate(labels([1], [1]), labels([1], [1]), "leave-one-out")


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
    other = evaluate_distances(distance, query, mixed, Protocol("tried", single_shot=400, shot_seed=1))
    assert other.mAP != drawn.mAP


def test_a_single_shot_is_drawn_among_what_is_not_ignored():
    # Nine pictures of the person are from the query's own camera, one is not: that one is drawn every time.
    distance = np.arange(11.0)[None]
    query, gallery = labels([1], [1]), labels([2] + [1] * 10, [2] + [1] * 9 + [2])
    scores = evaluate_distances(distance, query, gallery, "cuhk03-single-shot")
    assert (scores.num_valid, scores.per_query.num_positives[0], scores.per_query.first_rank[0]) == (1, 1, 2)
    assert scores.mAP == pytest.approx(0.5)
    for seed in range(10):  # a single draw never misses it either
        once = Protocol("tried", single_shot=1, shot_seed=seed)
        assert evaluate_distances(distance, query, gallery, once).rank(2) == 1.0


def test_a_matcher_of_ones_own_decides_what_is_right():
    class Parity:
        def relevance(self, query, gallery, rows):
            return (query.pids[rows, None] % 2 == gallery.pids[None] % 2).astype(np.int8)

    distance = np.array([[0.1, 0.2, 0.3]])
    protocol = Protocol("p", matcher=Parity())
    scores = evaluate_distances(distance, labels([8], [1]), labels([3, 4, 6], [1, 1, 1]), protocol)
    assert scores.per_query.num_positives[0] == 2
    assert scores.mINP == pytest.approx(2 / 3)

    class Askew:
        def relevance(self, query, gallery, rows):
            return np.ones((1, 2), np.int8)

    with pytest.raises(
        ConfigError, match=r"matcher of protocol 'a': expected relevance of shape \(1, 3\); got \(1, 2\)"
    ):
        evaluate_distances(distance, labels([8], [1]), labels([3, 4, 6], [1, 1, 1]), Protocol("a", matcher=Askew()))


def test_cleaned_labels_can_be_expressed_as_a_matcher():
    """A second identity per tracklet: any of four combinations matches; what the own camera saw may be left out."""
    new_pid = {10: 1, 11: 3, 12: 1, 13: 4, 14: 2, 15: 0}
    ambiguous = {10: 2, 11: 1, 12: -1, 13: -1, 14: -1, 15: -1}

    class Cleaned:
        def labels(self, part):
            return (np.array([table[t] for t in part.tracklets]) for table in (new_pid, ambiguous))

        def relevance(self, query, gallery, rows):
            (pid, second), (pids, seconds) = self.labels(query), self.labels(gallery)
            pid, second, camid = (x[rows, None] for x in (pid, second, query.camids))
            match = (pid == pids) | (pid == seconds) | (second == pids) | ((second == seconds) & (second >= 0))
            out = match.astype(np.int8) * POSITIVE
            out[(camid == gallery.camids) & ((pid == pids) | (pids == 0))] = IGNORED
            return out

    query = labels([1], [1], [10])
    # A distractor and the own person of the own camera are ignored; then right by its second identity, wrong, and
    # right by the query's second identity. What is junk in the old labels (tracklet 13) is gone from the gallery.
    gallery = labels([0, 1, 3, -1, 5, 2], [1, 1, 2, 2, 2, 2], [15, 12, 11, 13, 13, 14])
    distance = np.arange(6.0)[None]
    scores = evaluate_distances(distance, query, gallery, Protocol("cleaned", junk="dropped", matcher=Cleaned()))
    assert scores.per_query.num_positives[0] == 2
    assert scores.mAP == pytest.approx((1 + 2 / 3) / 2)


def test_ranked_list_shows_what_was_scored():
    features = np.array([[0.0], [1.0], [2.0], [3.0], [4.0]], np.float32)
    query = Embeddings(features[:1], [7], [1])
    gallery = Embeddings(features[1:], [7, -1, 5, 7], [1, 2, 2, 3])
    rows = ranked_list(query, gallery, 0, "market1501", show_ignored=True)
    assert rows.gallery.tolist() == [0, 1, 2, 3]
    assert rows.match.tolist() == [None, None, False, True]  # own camera, junk, wrong, right
    assert rows["rank"].isna().tolist() == [True, True, False, False]
    assert rows["rank"].dropna().tolist() == [1, 2]
    assert rows.distance.tolist() == pytest.approx([1.0, 2.0, 3.0, 4.0])
    assert rows.pid.tolist() == [7, -1, 5, 7]
    counted = ranked_list(query, gallery, 0)
    assert (counted.gallery.tolist(), counted["rank"].tolist()) == ([2, 3], [1, 2])
    assert (counted.match.tolist(), counted.match.dtype) == ([False, True], bool)
    assert ranked_list(query, gallery, 0, top=1).gallery.tolist() == [2]
    dropped = Protocol("tried", junk="dropped")
    assert ranked_list(query, gallery, 0, dropped, show_ignored=True).gallery.tolist() == [0, 2, 3]
    turned = ranked_list(query, gallery, 0, dropped, distances=np.array([4.0, 3.0, 2.0, 1.0]), show_ignored=True)
    assert (turned.gallery.tolist(), turned.distance.tolist()) == ([3, 2, 0], [1.0, 2.0, 4.0])
    with pytest.raises(ConfigError, match="index: 5"):
        ranked_list(query, gallery, 5)
    with pytest.raises(ConfigError, match="top: 0"):
        ranked_list(query, gallery, 0, top=0)
    for distance in (np.zeros(3), np.full(4, np.nan)):
        with pytest.raises(DataError, match="expected 4 finite values"):
            ranked_list(query, gallery, 0, distances=distance)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.zeros(3)}, r"features: expected shape \(N, D\)"),
        ({"features": np.array([[1.0], [np.nan], [0.0]])}, r"features: row 1 .*not finite"),
        ({"pids": [1, 2]}, r"pids: expected one per row of features, \(3,\); got \(2,\)"),
        ({"camids": [[1], [1], [1]]}, "camids: expected one per row"),
        ({"tracklets": [1]}, "tracklets: expected one per row"),
        ({"pids": [1.0, 2.5, 3.0]}, "pids: expected whole numbers"),
        ({"pids": [1.0, np.nan, 3.0]}, "pids: expected whole numbers, none missing"),
        ({"camids": ["a", "b", "c"]}, "camids: expected whole numbers"),
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
        with pytest.raises(DataError, match=r"row 0 .*not finite"):
            evaluate_distances(np.array([[0.0, value]]), query, gallery)
    with pytest.raises(DataError, match="gallery: it is empty"):
        evaluate(query, gallery.select(np.zeros(2, bool)))
    for junk, message in (
        ("ignored", "of 1 query none has a match"),
        ("dropped", "leaves nothing of the gallery"),
    ):
        with pytest.raises(DataError, match=message):
            evaluate(query, labels([-1, -1], [2, 2]), Protocol("tried", junk=junk))
    with pytest.raises(DataError, match="of 1 query none has a match"):
        evaluate(query, labels([0, 0], [2, 2]))
    with pytest.raises(DataError, match="of 1 query none has a match"):
        evaluate(query, labels([2, 3], [2, 2]))
    with pytest.raises(DataError, match=r"\(1, 1\) and \(1, 2\)"):
        evaluate(query, Embeddings(np.zeros((1, 2)), [1], [2]))
    with pytest.raises(ConfigError, match="metric: there is none called 'manhattan'"):
        Protocol("tried", metric="manhattan")
    with pytest.raises(ConfigError, match="junk: there is none called 'kept'"):
        Protocol("tried", junk="kept")
    with pytest.raises(ConfigError, match="camera_rule: there is none called 'all'"):
        SameIdentity("all")
    with pytest.raises(ConfigError, match="rank 51"):
        evaluate(query, gallery).rank(51)


@pytest.mark.parametrize("metric", ["squared", "euclidean", "cosine"])
def test_distances_refuse_features_that_are_not_finite(metric):
    good = np.ones((3, 2), np.float32)
    for value in (np.nan, np.inf, np.float32(1e30)):
        bad = good.copy()
        bad[1, 0] = value
        with np.errstate(over="ignore"), pytest.raises(DataError, match=r"gallery features: row 1 is not finite"):
            distances(good, bad, metric)
    with pytest.raises(DataError, match=r"\(3, 2\) and \(3, 1\)"):
        distances(good, good[:, :1], metric)
    with pytest.raises(ConfigError, match="metric: there is none called 'manhattan'"):
        distances(good, good, "manhattan")


def test_a_zero_vector_is_at_cosine_distance_one():
    features = np.array([[0, 0], [3, 4]], np.float32)
    np.testing.assert_allclose(distances(features, features, "cosine"), [[1, 1], [1, 0]], atol=1e-6)


def test_blocks_reuse_one_buffer():
    features = np.random.default_rng(0).standard_normal((10, 4)).astype(np.float32)
    blocks = [block.ctypes.data for _, block in distance_blocks(features, features, block_bytes=1)]
    assert (len(blocks), len(set(blocks))) == (10, 1)


def test_scoring_leaves_the_threads_of_others_alone():
    """In a process of its own: what a network computes must not depend on whether something was scored before."""
    code = """
import numpy as np, torch
from reidlab.evaluation import Embeddings, evaluate, k_reciprocal
torch.set_num_threads(1)
some = Embeddings(np.random.default_rng(0).standard_normal((60, 4)), np.arange(60) % 5, np.arange(60) % 3)
evaluate(some, some)
k_reciprocal(some, some)
print(torch.get_num_threads())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
