"""DBSCAN on sparse distances against scikit-learn's on dense ones, SSG's radius written out, and labels to train on."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn import cluster
from sklearn.base import clone

from reidlab.errors import ConfigError, DataError, RunError
from reidlab.evaluation.jaccard import jaccard_distances
from reidlab.pseudolabel.clusterers import (
    CLUSTERERS,
    ClusteringFailed,
    JaccardDBSCAN,
    checked_labels,
    make_clusterer,
    smallest_mean,
)


def people(seed, identities=20, pictures=8, spread=0.7, width=16):
    random = np.random.default_rng(seed)
    pids = np.repeat(np.arange(identities), pictures)
    spreads = spread * random.uniform(0.5, 1.5, identities)[pids, None]
    features = random.standard_normal((identities, width))[pids]
    features += spreads * random.standard_normal((len(pids), width))
    order = random.permutation(len(pids))
    return features[order].astype(np.float32), pids[order]


def dense(sparse):
    out = np.ones(sparse.shape)
    for row in range(len(out)):
        here = sparse[row]
        out[row, here.indices] = here.data
    return out


def radius_of_ssg(distances, share):
    """The mean of the smallest distances: upper triangle, zeros dropped, sorted, the first share averaged."""
    pairs = sorted(d for i, row in enumerate(distances.tolist()) for d in row[i + 1 :] if d != 0)
    count = max(1, round(share * len(pairs)))
    return sum(pairs[:count]) / count


@pytest.mark.parametrize("share", [1e-6, 0.0016, 0.02, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_radius_is_ssgs(seed, share):
    features, _ = people(seed)
    features[5:8] = features[4]  # pairs at distance 0
    sparse = jaccard_distances(features, 15, 4)
    assert smallest_mean(sparse, share) == pytest.approx(radius_of_ssg(dense(sparse), share), rel=1e-6)


def test_a_radius_never_reaches_what_is_not_stored():
    for values in ([0.0, 0.0], [0.0, 0.0, 0.0, 0.0]):
        count = len(values)
        alone = csr_matrix((values, (range(count), range(count))), shape=(count, count), dtype=np.float32)
        alone.data[:] = 0.0
        assert 0.999 < np.float32(smallest_mean(alone)) < 1
    alike = jaccard_distances(np.ones((12, 3)), k1=11, k2=1)
    assert 0.999 < np.float32(smallest_mean(alike)) < 1


@pytest.mark.parametrize("options", [{}, {"share": 0.03}, {"eps": 0.6}, {"eps": 0.9, "min_samples": 2}])
@pytest.mark.parametrize("seed", range(4))
def test_clusters_are_those_of_dense_distances(seed, options):
    features, _ = people(seed)
    features[30:33] = features[29]
    found = JaccardDBSCAN(**options, k1=15, k2=4).fit(features)
    distances = dense(jaccard_distances(features, 15, 4))
    eps = options.get("eps") or radius_of_ssg(distances, options.get("share", 0.0016))
    assert found.eps_ == pytest.approx(eps, rel=1e-6)
    reference = cluster.DBSCAN(eps=eps * (1 + 1e-7), min_samples=options.get("min_samples", 4), metric="precomputed")
    reference.fit(distances)
    np.testing.assert_array_equal(found.labels_, reference.labels_)
    np.testing.assert_array_equal(found.core_sample_indices_, reference.core_sample_indices_)
    assert found.labels_.dtype == np.int64


def test_people_are_found():
    features, pids = people(5, identities=30, pictures=10, spread=0.4)
    found = make_clusterer("dbscan-ssg", neighbours=12, k1=12, k2=4).fit(features)
    inside = found.labels_ >= 0
    assert inside.mean() > 0.9
    pairs = set(zip(pids[inside], found.labels_[inside]))
    assert len(pairs) == len({pid for pid, _ in pairs}) == len({label for _, label in pairs})


@pytest.mark.parametrize("neighbours", [0.3, 4.0, 500.0])
def test_a_share_may_follow_the_number_of_pictures(neighbours):
    features, _ = people(5)
    share = min(1.0, neighbours / 159)  # 159 others
    found = JaccardDBSCAN(k1=15, neighbours=neighbours).fit(features)
    assert found.eps_ == JaccardDBSCAN(k1=15, share=share).fit(features).eps_


def test_no_warning_comes_from_the_sparse_way():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = JaccardDBSCAN(eps=0.5, k1=15).fit(people(0)[0])
    assert found.labels_.max() > 0


def test_a_radius_can_be_kept():
    first, second = people(6)[0], people(7, spread=1.2)[0]
    fresh = JaccardDBSCAN(k1=15).fit(second).eps_
    forgets, keeps = JaccardDBSCAN(k1=15), JaccardDBSCAN(k1=15, keep_eps=True)
    began = forgets.fit(first).eps_
    assert forgets.fit(second).eps_ == fresh != began
    assert keeps.fit(first).eps_ == keeps.fit(second).eps_ == began
    np.testing.assert_array_equal(keeps.labels_, JaccardDBSCAN(eps=began, k1=15).fit(second).labels_)
    assert not hasattr(clone(keeps), "eps_"), "a clone starts afresh, as everywhere in scikit-learn"


def test_it_is_an_estimator():
    one = JaccardDBSCAN(eps=0.4, k1=12)
    assert repr(one) == "JaccardDBSCAN(eps=0.4, k1=12)"
    assert clone(one).get_params() == one.get_params()
    features, _ = people(1)
    np.testing.assert_array_equal(one.fit_predict(features), clone(one).fit(features).labels_)
    with pytest.raises(ConfigError, match="share: 2"):
        one.set_params(share=2).fit(features)


def test_arguments_are_checked_at_once():
    for options in (
        {"eps": 0},
        {"eps": 1.0},
        {"share": 0.0},
        {"min_samples": 0},
        {"k1": 2.5},
        {"k2": True},
        {"neighbours": 0},
    ):
        with pytest.raises(ConfigError, match=f"{next(iter(options))}: "):
            JaccardDBSCAN(**options)
    with pytest.raises(ConfigError, match=r"k1: 30 is not allowed; expected an integer in 1\.\.9"):
        JaccardDBSCAN().fit(people(0)[0][:10])


OPTIONS = {
    "dbscan": {"eps": 2.5, "min_samples": 3},
    "dbscan-ssg": {"k1": 12, "share": 0.02},
    "kmeans": {"n_clusters": 20},
    "agglomerative": {"n_clusters": 20},
    "hdbscan": {"min_cluster_size": 4},
    "ap": {},
}


@pytest.mark.parametrize("name", CLUSTERERS)
def test_every_named_clusterer_gives_labels(name):
    features, _ = people(2, spread=0.4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clusterer = make_clusterer(name, **OPTIONS[name], seed=4)
        labels = checked_labels(clusterer, features)
    assert labels.dtype == np.int64
    assert sorted(set(labels[labels >= 0])) == list(range(labels.max() + 1))
    assert 10 <= labels.max() + 1 <= 25
    np.testing.assert_array_equal(labels >= 0, clusterer.labels_ >= 0)
    np.testing.assert_array_equal(checked_labels(make_clusterer(name, **OPTIONS[name], seed=4), features), labels)


def test_named_clusterers_are_what_they_say():
    assert make_clusterer("dbscan").get_params() == cluster.DBSCAN().get_params()
    one, other = (make_clusterer("kmeans", n_clusters=3, seed=seed).random_state for seed in (0, 2**62))
    assert one != other
    assert make_clusterer("agglomerative", distance_threshold=3.0).n_clusters is None
    with pytest.raises(ConfigError, match="there is none called 'optics'; there is: dbscan, dbscan-ssg"):
        make_clusterer("optics")
    with pytest.raises(ConfigError, match="dbscan-ssg has no 'rho'; it knows eps, share"):
        make_clusterer("dbscan-ssg", rho=0.1)
    for name in ("kmeans", "agglomerative"):
        with pytest.raises(ConfigError, match=f"n_clusters: {name} needs the number of clusters"):
            make_clusterer(name)


class Fixed:
    """A clusterer that always finds the same."""

    def __init__(self, labels):
        self.found = labels

    def fit(self, features):
        self.labels_ = self.found
        return self


def test_clusters_are_numbered_anew_in_their_order():
    labels = checked_labels(Fixed(np.array([7, -1, 3, 7, -3, 3, 12])), np.zeros((7, 2)))
    assert labels.tolist() == [1, -1, 0, 1, -1, 0, 2]


def test_the_clusterer_itself_is_fitted():
    features, _ = people(3)
    clusterer = JaccardDBSCAN(k1=12, share=0.02)
    labels = checked_labels(clusterer, features)
    np.testing.assert_array_equal(labels, clusterer.labels_)
    assert 0 < clusterer.eps_ < 1
    exemplars = make_clusterer("ap")
    labels = checked_labels(exemplars, features)
    np.testing.assert_array_equal(labels[exemplars.cluster_centers_indices_], range(labels.max() + 1))


def test_all_noise_fails_with_its_labels_and_with_advice():
    features, _ = people(4)
    with pytest.raises(ClusteringFailed, match=r"DBSCAN: all 160 .*raise eps \(it was 0\.5\) or lower") as caught:
        checked_labels(make_clusterer("dbscan"), features)
    assert caught.value.labels.tolist() == [-1] * 160
    assert isinstance(caught.value, RunError)


@pytest.mark.parametrize(
    ("clusterer", "advice"),
    [
        (make_clusterer("dbscan", eps=100.0), r"lower eps \(it was 100\) or raise min_samples \(5\)"),
        (cluster.KMeans(1), r"raise n_clusters \(1\)"),
        (make_clusterer("ap", preference=-3000.0, damping=0.9, max_iter=1000), "raise preference"),
        (Fixed(np.array([5] * 100 + [-1] * 60)), "tighten its settings"),
    ],
)
def test_one_cluster_fails_with_advice(clusterer, advice):
    with pytest.raises(ClusteringFailed, match=f"one cluster; training needs at least two; {advice}") as caught:
        checked_labels(clusterer, people(4)[0])
    assert set(caught.value.labels.tolist()) <= {0, -1}


def test_as_many_clusters_as_pictures_fail():
    with pytest.raises(ClusteringFailed, match="each of the 160 pictures is a cluster of its own"):
        checked_labels(make_clusterer("ap", preference=0.0), people(4)[0])


def test_a_collapsed_network_fails_as_one_cluster():
    with pytest.raises(ClusteringFailed, match="one cluster"):
        checked_labels(JaccardDBSCAN(k1=19), np.ones((20, 4)))


def test_the_failure_survives_pickling_and_copying():
    failure = ClusteringFailed("nothing", np.array([-1, -1]))
    for other in (pickle.loads(pickle.dumps(failure)), copy.copy(failure)):
        assert str(other) == "nothing"
        assert other.labels.tolist() == [-1, -1]


def test_what_is_no_clusterer_or_does_not_fit_is_named():
    features, _ = people(0)
    with pytest.raises(ConfigError, match="n_clusters: KMeans is set to 500, but there are only 160 pictures"):
        checked_labels(make_clusterer("kmeans", n_clusters=500), features)
    with pytest.raises(ConfigError, match="min_cluster_size: HDBSCAN is set to 161"):
        checked_labels(make_clusterer("hdbscan", min_cluster_size=161), features)
    with pytest.raises(ConfigError, match="the class KMeans has no scikit-learn interface"):
        checked_labels(cluster.KMeans, features)
    with pytest.raises(ConfigError, match="str has no scikit-learn interface"):
        checked_labels("kmeans", features)
    with pytest.raises(ConfigError, match="Fixed has no labels_ after fit"):
        checked_labels(Fixed(None), features)
    for labels in (np.zeros(3, int), np.zeros(160)):
        with pytest.raises(ConfigError, match="expected one whole number for each of 160"):
            checked_labels(Fixed(labels), features)
    with pytest.raises(DataError, match="features: expected"):
        checked_labels(JaccardDBSCAN(), features[0])
    features[11, 0] = np.nan
    with pytest.raises(DataError, match="row 11 "):
        checked_labels(JaccardDBSCAN(), features)
