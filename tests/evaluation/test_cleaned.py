"""The protocol of corrected labels against plain loops and hand-counted examples."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlab.errors import ConfigError, DataError
from reidlab.evaluation import Embeddings, evaluate, evaluate_distances, protocols
from reidlab.evaluation.cleaned import cleaned_protocol
from reidlab.evaluation.kernels import IGNORED, OTHER, POSITIVE


def table(rows):
    """Labels from (camid, new pid, ambiguous id) of tracklets 1, 2, ..."""
    labels = pd.DataFrame(rows, columns=["camid", "new_pid", "ambiguous"], dtype=np.int64)
    return labels.assign(tracklet=np.arange(1, len(rows) + 1))


def part(pids, camids, tracklets):
    return Embeddings(np.zeros((len(pids), 1), np.float32), pids, camids, tracklets)


def verdict(query, entry, released):
    """What a gallery entry is to a query; both are (camid, new pid, ambiguous id)."""
    if released:
        return released_verdict(query, entry)
    ids = [{label for label in one[1:] if label > 0} for one in (query, entry)]
    match, own_camera = bool(ids[0] & ids[1]), query[0] == entry[0]
    if entry[1] == -1:
        return IGNORED
    if own_camera and (entry[1] == 0 or (entry[1] > 0 and entry[1] == query[1])):
        return IGNORED
    return POSITIVE if match else OTHER


def released_verdict(query, entry):
    """The same by the four comparisons of the released code, in which an entry that is one person is so twice."""
    ids = [(pid, other if other > 0 else pid) for _, pid, other in (query, entry)]
    match = any(ours == theirs for ours in ids[0] for theirs in ids[1])
    if query[0] == entry[0] and (match or entry[1] == 0):
        return IGNORED
    return POSITIVE if match else OTHER


def walk(distances, verdicts):
    """Average precision (step) and rank of the first match, by walking down the sorted gallery; None without one."""
    order = sorted(range(len(distances)), key=lambda j: (distances[j], j))
    hits = [verdicts[j] == POSITIVE for j in order if verdicts[j] != IGNORED]
    if not any(hits):
        return None
    precisions = [sum(hits[: k + 1]) / (k + 1) for k, hit in enumerate(hits) if hit]
    return float(np.mean(precisions)), hits.index(True) + 1


@st.composite
def problems(draw):
    """Small galleries with few identities, in which ambiguity, junk, distractors and ties are common."""
    count = draw(st.integers(3, 24))
    row = st.tuples(st.integers(1, 2), st.integers(-1, 3), st.sampled_from([-1, -1, 0, 1, 2, 3]))
    rows = draw(st.lists(row, min_size=count, max_size=count))
    old = draw(st.lists(st.integers(-1, 3), min_size=count, max_size=count))
    queries = draw(st.lists(st.integers(1, count), min_size=1, max_size=4, unique=True))
    levels = draw(st.sampled_from([2, 1000]))
    distance = draw(st.lists(st.integers(0, levels), min_size=count * len(queries), max_size=count * len(queries)))
    return rows, np.array(old), np.array(queries), np.array(distance, dtype=float).reshape(len(queries), count)


@settings(max_examples=150, deadline=None)
@given(problems(), st.booleans())
def test_scores_equal_a_walk_down_the_sorted_gallery(problem, released):
    rows, old, queries, distance = problem
    labels = table(rows)
    camids = np.array([row[0] for row in rows])
    gallery = part(old, camids, labels.tracklet.to_numpy())
    query = part(old[queries - 1], camids[queries - 1], queries)
    # The MARS gallery holds the queries too; the protocol takes them out, and what was junk before.
    kept = [j for j in range(len(rows)) if j + 1 not in queries and old[j] != -1 and not (released and old[j] == 0)]
    expected = [
        walk(distance[q, kept], [verdict(rows[number - 1], rows[j], released) for j in kept])
        if not released or old[number - 1] > 0
        else None
        for q, number in enumerate(queries)
    ]
    protocol = cleaned_protocol(labels.sample(frac=1, random_state=1), released=released)
    if not any(expected):
        with pytest.raises(DataError, match=r"has a match|leaves nothing"):
            evaluate_distances(distance, query, gallery, protocol)
        return
    scores = evaluate_distances(distance, query, gallery, protocol)
    assert scores.mAP == pytest.approx(np.mean([e[0] for e in expected if e]), abs=1e-9)
    for row, single in zip(scores.per_query.itertuples(), expected):
        assert row.valid == (single is not None)
        if single:
            assert (row.ap, row.first_rank) == pytest.approx(single, abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(problems(), st.booleans())
def test_relevance_equals_the_rules_entry_by_entry(problem, released):
    rows, old, queries, _ = problem
    camids = np.array([row[0] for row in rows])
    gallery = part(np.maximum(old, 0), camids, np.arange(1, len(rows) + 1))
    query = part(old[queries - 1], camids[queries - 1], queries)
    protocol = cleaned_protocol(table(rows), released=released)
    whole = protocol.relevance(query, gallery, slice(0, len(queries)))
    for number, found in zip(queries, whole.tolist()):
        if released and old[number - 1] <= 0:  # labelled as nobody: the released code has no such query
            assert POSITIVE not in found
        else:
            assert found == [verdict(rows[number - 1], row, released) for row in rows]
    last = protocol.relevance(query, gallery, slice(len(queries) - 1, len(queries)))
    assert (last == whole[-1:]).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_without_corrections_and_distractors_it_is_the_protocol_of_cf_aan(seed, released):
    random = np.random.default_rng(seed)
    count = int(random.integers(6, 40))
    pids, camids = random.integers(1, 5, count), random.integers(1, 4, count)
    pids[random.random(count) < 0.1] = -1
    gallery = Embeddings(random.normal(size=(count, 3)), pids, camids, np.arange(1, count + 1))
    query = gallery.select(random.choice(np.flatnonzero(pids > 0), 3))
    labels = table(list(zip(camids, pids, np.full(count, -1))))
    protocol = cleaned_protocol(labels, released=released)
    try:
        expected = evaluate(query, gallery, "mars-cf-aan")
    except DataError:
        with pytest.raises(DataError):
            evaluate(query, gallery, protocol)
        return
    for block_bytes in (1, 2**20):
        scores = evaluate(query, gallery, protocol, block_bytes=block_bytes)
        assert scores.summary() == expected.summary()
        pd.testing.assert_frame_equal(scores.per_query, expected.per_query)


def relevance_of(entry, *, query=(1, 5, -1), old=5, released=False):
    """What one entry (camid, new pid, ambiguous id) is to one query."""
    protocol = cleaned_protocol(table([query, entry]), released=released)
    return protocol.relevance(part([5], [query[0]], [1]), part([old], [entry[0]], [2]), slice(0, 1))[0, 0]


@pytest.mark.parametrize(
    ("query", "entry", "expected"),
    [
        ((1, 5, -1), (2, 5, -1), POSITIVE),
        ((1, 5, -1), (2, 7, 5), POSITIVE),
        ((1, 5, 7), (2, 7, -1), POSITIVE),
        ((1, 5, 7), (2, 9, 7), POSITIVE),
        ((1, 5, 7), (2, 9, 8), OTHER),
        ((1, 5, 0), (2, 9, 0), OTHER),
        ((1, 5, -1), (2, 9, -1), OTHER),
        ((1, 5, -1), (1, 5, -1), IGNORED),
        ((1, 5, -1), (1, 0, -1), IGNORED),
        ((1, 5, -1), (2, 0, -1), OTHER),
        ((1, 5, -1), (1, 9, -1), OTHER),
    ],
)
def test_four_combinations_match_and_distractors_of_the_own_camera_do_not_count(query, entry, expected):
    assert relevance_of(entry, query=query) == expected
    assert relevance_of(entry, query=query, released=True) == expected


def test_the_letter_and_the_released_code_part_at_ambiguity_under_one_camera_and_at_junk():
    assert relevance_of((1, 7, 5)) == POSITIVE
    assert relevance_of((1, 7, 5), released=True) == IGNORED
    assert relevance_of((1, 9, 7), query=(1, 5, 7)) == POSITIVE
    assert relevance_of((1, 9, 7), query=(1, 5, 7), released=True) == IGNORED
    assert relevance_of((2, -1, -1)) == IGNORED
    assert relevance_of((2, -1, -1), released=True) == OTHER
    letter, released = (cleaned_protocol(table([(1, 5, -1)]), released=flag) for flag in (False, True))
    assert (letter.name, letter.distractors) == ("mars-cleaned", True)
    assert (released.name, released.distractors) == ("mars-cleaned-released", False)


@pytest.mark.parametrize("pid", [0, -1])
def test_a_query_corrected_to_nobody_matches_its_like_in_the_released_code_alone(pid):
    query = (1, pid, -1)
    assert relevance_of((2, pid, -1), query=query) != POSITIVE
    assert relevance_of((2, pid, -1), query=query, released=True) == POSITIVE
    assert relevance_of((1, pid, -1), query=query, released=True) == IGNORED
    assert relevance_of((2, 5, -1), query=query, released=True) == OTHER


def test_the_three_corrections_by_hand():
    """Query 1 shows person 5 before camera 1; each gallery entry is nearer than the next."""
    labels = table([(1, 5, -1), (1, 0, -1), (2, 5, -1), (3, 8, 5), (2, 0, -1), (3, 5, -1)])
    query = part([5], [1], [1])
    # As labelled: a copy of the query among the distractors, a tracklet of 5 called 6, one of two people, a distractor.
    gallery = part([0, 6, 8, 0, 5], [1, 2, 3, 2, 3], [2, 3, 4, 5, 6])
    distance = np.array([[0.1, 0.2, 0.3, 0.4, 0.5]])
    toolbox = evaluate_distances(distance, query, gallery, "video-toolbox")
    assert toolbox.mAP == pytest.approx(1 / 5)
    cleaned = evaluate_distances(distance, query, gallery, cleaned_protocol(labels))
    assert cleaned.mAP == pytest.approx((1 / 1 + 2 / 2 + 3 / 4) / 3)
    assert cleaned.protocol == "mars-cleaned"


def test_its_name_alone_is_refused_with_what_to_do():
    for name in ("mars-cleaned", "mars-cleaned-released"):
        with pytest.raises(ConfigError, match=rf"'{name}' needs the corrected labels.*cleaned_protocol\(labels\)"):
            protocols.get(name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="new_pid"), "column 'new_pid' is missing"),
        (lambda t: t.assign(ambiguous=[np.nan, 1.0]), "'ambiguous' is of float64, expected whole numbers"),
        (lambda t: t.assign(tracklet=[3, 3]), "tracklet 3 is there more than once"),
    ],
)
def test_malformed_labels_are_refused(change, words):
    with pytest.raises(DataError, match=words):
        cleaned_protocol(change(table([(1, 5, -1), (2, 5, -1)])))


@pytest.mark.parametrize(
    ("query", "gallery", "words"),
    [
        (part([5], [1], None), part([5], [2], [2]), "query tracklets"),
        (part([5], [1], [1]), part([5], [2], None), "gallery tracklets"),
        (part([5], [1], [1]), part([5], [2], [9]), r"gallery tracklets: 9 is not in the table .*\(2 tracklets\)"),
        (part([5], [1], [1]), part([5], [3], [2]), "gallery camids: tracklet 2 has camera 3, but 2 in the table"),
        (part([5], [2], [1]), part([5], [2], [2]), "query camids: tracklet 1 has camera 2, but 1"),
    ],
)
def test_a_table_of_something_else_is_refused(query, gallery, words):
    with pytest.raises(DataError, match=words):
        evaluate(query, gallery, cleaned_protocol(table([(1, 5, -1), (2, 5, -1)])))
