"""Sparse Jaccard distances against a dense textbook version, against re-ranking, and on sets known by hand."""

import numpy as np
import pytest

from reidlab.errors import ConfigError, DataError
from reidlab.evaluation import Embeddings, jaccard, k_reciprocal
from reidlab.evaluation.jaccard import jaccard_distances
from reidlab.evaluation.reranking import k_reciprocal_encoding
from tests.evaluation import oracles


def clustered(seed, people=12, pictures=6, spread=0.6, width=10):
    random = np.random.default_rng(seed)
    centres = random.standard_normal((people, width))
    features = np.repeat(centres, pictures, axis=0) + spread * random.standard_normal((people * pictures, width))
    return features[random.permutation(len(features))].astype(np.float32)


def textbook(features, k1, k2):
    """Zhong et al. (2017), Eqs. 3 to 11 and the distance of Eq. 10, in float64 with one loop per line of the paper."""
    features = features.astype(np.float64)
    count = len(features)
    squared = np.array([[sum((a - b) ** 2) for b in features] for a in features])
    order = [sorted(range(count), key=lambda j, i=i: (squared[i, j], j != i, j)) for i in range(count)]

    def reciprocal(i, k):  # Eqs. 3 and 4; an entry is its own neighbour, so there are k + 1
        return {j for j in order[i][: k + 1] if i in order[j][: k + 1]}

    encoding = np.zeros((count, count))
    for i in range(count):
        near = reciprocal(i, k1)
        robust = set(near)
        for q in near:  # Eq. 5
            more = reciprocal(q, round(k1 / 2))
            if 3 * len(near & more) > 2 * len(more):
                robust |= more
        for j in robust:  # Eq. 7, with the squared distances of a row brought to 0..1
            encoding[i, j] = np.exp(-squared[i, j] / squared[i].max())
        encoding[i] /= encoding[i].sum()
    expanded = np.array([np.mean([encoding[j] for j in order[i][:k2]], axis=0) for i in range(count)])  # Eq. 11
    out = np.zeros((count, count))
    for i in range(count):
        for j in range(count):  # Eq. 10
            minima = maxima = 0.0
            for a, b in zip(expanded[i], expanded[j]):
                minima, maxima = minima + min(a, b), maxima + max(a, b)
            out[i, j] = 1.0 - minima / maxima
    return out


def dense(sparse):
    """The matrix with the ones that are not stored."""
    out = np.ones(sparse.shape, dtype=np.float32)
    for row in range(len(out)):
        here = sparse[row]
        out[row, here.indices] = here.data
    return out


@pytest.mark.parametrize(("k1", "k2"), [(20, 6), (7, 1), (5, 3), (12, 6), (1, 1), (71, 6)])
@pytest.mark.parametrize("seed", [0, 1])
def test_distances_equal_the_textbook(seed, k1, k2):
    features = clustered(seed)
    found = jaccard_distances(features, k1, k2)
    expected = textbook(features, k1, k2)
    np.testing.assert_allclose(dense(found), expected, atol=2e-6)
    stored = np.zeros(expected.shape, dtype=bool)
    stored[np.repeat(np.arange(len(features)), np.diff(found.indptr)), found.indices] = True
    np.testing.assert_array_equal(stored, expected < 1 - 1e-9)


@pytest.mark.parametrize(("k1", "k2"), [(20, 6), (7, 1)])
def test_distances_are_those_of_reranking_without_the_original_distance(k1, k2):
    features = clustered(3)
    query = Embeddings(features[:15], np.arange(15), np.ones(15, int))
    gallery = Embeddings(features[15:], np.arange(15, len(features)), np.ones(len(features) - 15, int))
    found = dense(jaccard_distances(features, k1, k2))[:15, 15:]
    np.testing.assert_allclose(found, oracles.k_reciprocal(features[:15], features[15:], k1, k2, 0.0), atol=2e-6)
    np.testing.assert_allclose(found, k_reciprocal(query, gallery, k1, k2, 0.0), atol=2e-6)


def test_the_matrix_is_symmetric_to_the_bit_and_keeps_its_promises():
    found = jaccard_distances(clustered(4, people=60, pictures=8), 10, 4)
    assert found.dtype == np.float32
    assert found.has_canonical_format
    mirrored = found.T.tocsr()
    mirrored.sort_indices()
    for one, other in ((found.indptr, mirrored.indptr), (found.indices, mirrored.indices), (found.data, mirrored.data)):
        np.testing.assert_array_equal(one, other)
    rows = np.repeat(np.arange(480), np.diff(found.indptr))
    assert (rows == found.indices).sum() == 480, "every zero of the diagonal is stored"
    assert (found.data[rows == found.indices] == 0).all()
    assert found.data.min() >= 0
    assert found.data.max() < 1
    assert found.nnz < 480 * 240, "most pairs have nothing in common and are not stored"


def test_groups_that_are_far_apart_share_nothing():
    features = clustered(5, people=3, pictures=5, spread=1e-3)
    found = dense(jaccard_distances(features, k1=4, k2=2))
    near = ((features[:, None] - features[None]) ** 2).sum(axis=-1) < 0.1
    assert (found[~near] == 1).all()
    assert (found[near] < 0.1).all()


def test_equal_pictures_are_at_distance_exactly_zero():
    features = np.repeat(clustered(6, people=20, pictures=1), 4, axis=0)
    found = dense(jaccard_distances(features, k1=7, k2=4))
    for start in range(0, len(features), 4):
        assert (found[start : start + 4, start : start + 4] == 0).all()


def test_encodings_that_differ_by_rounding_alone_are_at_distance_zero():
    features = np.repeat(clustered(0, people=8, pictures=1, width=2), 6, axis=0)
    encoding = k_reciprocal_encoding(features, 20, 12).toarray().astype(np.float64)
    gaps = np.abs(encoding[:, None] - encoding[None]).max(axis=-1)
    assert ((gaps > 0) & (gaps < 1e-7)).any()
    found = dense(jaccard_distances(features, 20, 12))
    np.testing.assert_array_equal(found == 0, gaps < 1e-7)


def test_features_that_hardly_differ_give_a_valid_matrix():
    # So far from the origin products say 0 where exact differences do not, and weights of the encoding vanish.
    features = (1000 + 1e-4 * np.random.default_rng(7).integers(0, 3, (24, 1))).astype(np.float32)
    encoding = k_reciprocal_encoding(features, 5, 1)
    assert (encoding.data == 0).any()
    encoding = encoding.toarray().astype(np.float64)
    minima, maxima = (f(encoding[:, None], encoding[None]).sum(axis=-1) for f in (np.minimum, np.maximum))
    found = jaccard_distances(features, k1=5, k2=1)
    assert found.has_canonical_format
    assert found.nnz == (minima > 0).sum()
    np.testing.assert_allclose(dense(found), 1 - minima / maxima, atol=2e-6)
    assert (jaccard_distances(np.ones((9, 3)), k1=8, k2=1).data == 0).all()


def test_the_same_call_gives_the_same_bits():
    features = clustered(8, people=100, pictures=6, width=32)
    first, second = jaccard_distances(features, 15, 6), jaccard_distances(features.astype(np.float64), 15, 6)
    np.testing.assert_array_equal(first.data, second.data)
    np.testing.assert_array_equal(first.indices, second.indices)


def test_more_pairs_than_are_stored_are_refused_before_they_are_computed(monkeypatch):
    """Unrelated features have chance neighbours, and almost every pair some in common."""
    features = np.random.default_rng(10).standard_normal((400, 64)).astype(np.float32)
    whole = jaccard_distances(features, 20, 6)
    assert whole.nnz > 0.5 * 400**2
    monkeypatch.setattr(jaccard, "_MOST_PAIRS", whole.nnz)
    np.testing.assert_array_equal(jaccard_distances(features, 20, 6).data, whole.data)
    monkeypatch.setattr(jaccard, "_MOST_PAIRS", whole.nnz - 1)
    monkeypatch.setattr(jaccard, "_fill_distances", None)
    with pytest.raises(DataError, match=r"400 pictures shares .* at most \d+ .* k1 \(it is 20\) and k2 \(6\)"):
        jaccard_distances(features, 20, 6)


def test_what_does_not_fit_is_named():
    features = clustered(9)
    with pytest.raises(ConfigError, match=r"k1: 72 is not allowed; expected an integer in 1\.\.71"):
        jaccard_distances(features, k1=72)
    with pytest.raises(ConfigError, match=r"k2: 30 is not allowed; expected an integer in 1\.\.21"):
        jaccard_distances(features, k1=20, k2=30)
    with pytest.raises(DataError, match="N at least 2"):
        jaccard_distances(features[:1])
    with pytest.raises(DataError, match="N at least 2"):
        jaccard_distances(np.zeros(5))
    for bad in (np.nan, np.inf, 1e19):
        features[17, 3] = bad
        with pytest.raises(DataError, match="row 17 "):
            jaccard_distances(features)
