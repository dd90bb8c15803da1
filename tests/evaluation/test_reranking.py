"""k-reciprocal re-ranking against a dense textbook version, and the nearest neighbours under it."""

import numpy as np
import pytest

from reidlab.errors import ConfigError, DataError
from reidlab.evaluation import Embeddings, evaluate, evaluate_distances, k_reciprocal
from reidlab.evaluation.reranking import k_reciprocal_encoding, nearest
from tests.evaluation import oracles


def clustered(seed, people=12, pictures=6, spread=0.6):
    random = np.random.default_rng(seed)
    centres = random.standard_normal((people, 10))
    features = np.repeat(centres, pictures, axis=0) + spread * random.standard_normal((people * pictures, 10))
    pids = np.repeat(np.arange(1, people + 1), pictures)
    camids = np.tile(np.arange(pictures) % 3 + 1, people)
    order = random.permutation(len(pids))
    query, gallery = order[:15], order[15:]
    return (Embeddings(features[part], pids[part], camids[part]) for part in (query, gallery))


@pytest.mark.parametrize(("k1", "k2", "weight"), [(20, 6, 0.3), (7, 1, 0.0), (5, 3, 1.0), (12, 6, 0.5)])
@pytest.mark.parametrize("seed", [0, 1])
def test_distances_equal_the_textbook(seed, k1, k2, weight):
    query, gallery = clustered(seed)
    expected = oracles.k_reciprocal(query.features, gallery.features, k1, k2, weight)
    np.testing.assert_allclose(k_reciprocal(query, gallery, k1, k2, weight), expected, atol=1e-6)


def test_reranking_helps_where_people_form_clusters():
    query, gallery = clustered(5, spread=1.0)
    plain = evaluate(query, gallery).mAP
    assert evaluate_distances(k_reciprocal(query, gallery, 10, 3), query, gallery).mAP > plain


def test_nearest_equals_a_full_sort():
    random = np.random.default_rng(4)
    features = random.standard_normal((70, 5)).astype(np.float32)
    exact = ((features[:, None].astype(float) - features[None]) ** 2).sum(axis=-1)
    found = nearest(features, 9)
    np.testing.assert_array_equal(found.index, np.argsort(exact, axis=1)[:, :9])
    np.testing.assert_allclose(found.squared, np.sort(exact, axis=1)[:, :9], atol=1e-4)
    np.testing.assert_allclose(found.farthest, exact.max(axis=1), rtol=1e-5)


def test_nearest_orders_ties_by_index_and_an_entry_is_its_own_neighbour():
    features = np.ones((6, 3), dtype=np.float32)
    assert nearest(features, 6).index[0].tolist() == list(range(6))
    spread = np.eye(5, dtype=np.float32) * 100
    assert nearest(spread, 1).index[:, 0].tolist() == list(range(5))


def test_more_duplicates_than_neighbours_leave_every_entry_its_own_neighbour():
    features = np.random.default_rng(6).standard_normal((40, 4)).astype(np.float32)
    features[5:30] = features[5]
    assert nearest(features, 8).index[:, 0].tolist() == list(range(40))
    encoding = k_reciprocal_encoding(features, 7, 1)
    np.testing.assert_allclose(np.asarray(encoding.sum(axis=1)).ravel(), 1.0, atol=1e-5)
    assert (encoding.diagonal() > 0).all()


def test_rows_of_the_encoding_sum_to_one():
    query, gallery = clustered(2)
    encoding = k_reciprocal_encoding(np.concatenate([query.features, gallery.features]), 10, 4)
    np.testing.assert_allclose(np.asarray(encoding.sum(axis=1)).ravel(), 1.0, atol=1e-5)


def test_parameters_that_do_not_fit_are_named():
    query, gallery = clustered(0)
    with pytest.raises(ConfigError, match=r"k1: 72 is not allowed; expected an integer in 1\.\.71"):
        k_reciprocal(query, gallery, k1=72)
    with pytest.raises(ConfigError, match=r"k2: 30 is not allowed; expected an integer in 1\.\.21"):
        k_reciprocal(query, gallery, k2=30)
    with pytest.raises(ConfigError, match=r"weight: 1\.5"):
        k_reciprocal(query, gallery, weight=1.5)
    with pytest.raises(DataError, match="of one D"):
        k_reciprocal(query, Embeddings(np.zeros((30, 2)), range(30), [1] * 30))
