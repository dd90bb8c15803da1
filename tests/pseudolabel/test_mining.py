"""Inter-camera mining against Algorithm 1 written out in loops, and batches against the pairs they come from."""

import math

import numpy as np
import pytest

from reidlab.errors import ConfigError, DataError
from reidlab.pseudolabel import mining
from reidlab.pseudolabel.mining import (
    MinedPairs,
    MinedPairSampler,
    icm_negatives,
    icm_positives,
    inter_camera_mining,
    pair_quality,
)


def people(seed, identities=15, pictures=6, cameras=3, spread=0.7, width=8):
    random = np.random.default_rng(seed)
    pids = np.repeat(np.arange(identities), pictures)
    camids = random.integers(1, cameras + 1, len(pids))
    features = random.standard_normal((identities, width))[pids] + spread * random.standard_normal((len(pids), width))
    return features.astype(np.float32), pids, camids


def algorithm_1(features, camids, k):
    """Rank(I_i) and the mutual pairs, line by line in float64."""
    features = features.astype(np.float64)
    count, ranks, pairs = len(features), [], []
    for i in range(count):
        similar = {j: -math.sqrt(sum((features[i] - features[j]) ** 2)) for j in range(count) if camids[j] != camids[i]}
        ranks.append(sorted(similar, key=lambda j, similar=similar: (-similar[j], j))[:k])
    for i in range(count):
        for j in range(i + 1, count):
            if j in ranks[i] and i in ranks[j]:
                pairs.append([i, j])
    return ranks, pairs


def lists(ranks):
    return [[j for j in row if j >= 0] for row in ranks.tolist()]


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("seed", range(4))
def test_ranks_and_pairs_are_those_of_algorithm_1(seed, k):
    features, _, camids = people(seed, cameras=2 + seed)
    mined = inter_camera_mining(features, camids, k)
    ranks, pairs = algorithm_1(features, camids, k)
    assert lists(mined.ranks) == ranks
    assert mined.pairs.tolist() == pairs
    assert mined.ranks.dtype == mined.pairs.dtype == np.int64
    assert (camids[mined.pairs[:, 0]] != camids[mined.pairs[:, 1]]).all()
    for i in range(len(features)):
        assert mined.partners(i).tolist() == sorted({a + b - i for a, b in pairs if i in (a, b)})
    assert mined.anchors.tolist() == sorted({i for pair in pairs for i in pair})


def test_lists_are_filled_up_where_other_cameras_have_too_few_pictures():
    features, _, _ = people(0, identities=3, pictures=4)
    camids = np.array([7] * 10 + [2] * 2)
    mined = inter_camera_mining(features, camids, 5)
    ranks, pairs = algorithm_1(features, camids, 5)
    assert lists(mined.ranks) == ranks
    assert mined.pairs.tolist() == pairs
    assert (mined.ranks[:10, 2:] == -1).all()
    assert (mined.ranks[10:] >= 0).all()


def test_ties_go_by_index():
    random = np.random.default_rng(5)
    features = random.integers(0, 3, (60, 3)).astype(np.float32)  # many are equal, and their distances exact
    camids = random.integers(0, 3, 60)
    mined = inter_camera_mining(features, camids, 4)
    ranks, pairs = algorithm_1(features, camids, 4)
    assert lists(mined.ranks) == ranks
    assert mined.pairs.tolist() == pairs


def test_the_origin_does_not_matter():
    features, _, camids = people(6)
    ranks = inter_camera_mining(features, camids).ranks
    far = (features.astype(np.float64) + 1000).astype(np.float32)
    expected, _ = algorithm_1(far, camids, 10)
    assert lists(inter_camera_mining(far, camids).ranks) == expected
    assert (inter_camera_mining(far, camids).ranks == ranks).mean() > 0.95


def test_blocks_give_what_the_whole_gives(monkeypatch):
    features, _, camids = people(7)
    whole = inter_camera_mining(features, camids)
    blocks = mining.distance_blocks

    def narrow(query, gallery, metric):
        return blocks(query, gallery, metric, block_bytes=7 * 4 * len(gallery))

    monkeypatch.setattr(mining, "distance_blocks", narrow)
    parts = inter_camera_mining(features, camids)
    np.testing.assert_array_equal(whole.ranks, parts.ranks)
    np.testing.assert_array_equal(whole.pairs, parts.pairs)


def test_what_cannot_be_mined_is_named():
    features, _, camids = people(8)
    with pytest.raises(ConfigError, match=r"of camera 4; inter-camera mining \(ICM\) is impossible"):
        inter_camera_mining(features, np.full(len(features), 4))
    for k in (0, True, 2.0):
        with pytest.raises(ConfigError, match=f"k: {k}"):
            inter_camera_mining(features, camids, k)
    with pytest.raises(DataError, match="camids: expected 90 whole numbers"):
        inter_camera_mining(features, camids[:-1])
    with pytest.raises(DataError, match="features: expected"):
        inter_camera_mining(features[0], camids)
    features[3, 2] = np.nan
    with pytest.raises(DataError, match="row 3 "):
        inter_camera_mining(features, camids)


@pytest.mark.parametrize("seed", range(3))
def test_quality_is_that_of_counting(seed):
    features, pids, camids = people(seed, spread=1.0)
    labels = np.random.default_rng(seed).integers(-1, 8, len(pids))
    k = (3, 10, 40)[seed]
    camids[:80] = np.where(seed == 2, 1, camids[:80])  # lists of unequal length
    mined = inter_camera_mining(features, camids, k)
    ranks, pairs = algorithm_1(features, camids, k)

    def other_cluster(i, j):
        return labels[i] == -1 or labels[j] == -1 or labels[i] != labels[j]

    right = [sum(pids[i] == pids[j] for j in row) / len(row) for i, row in enumerate(ranks)]
    hard = [sum(pids[i] == pids[j] and other_cluster(i, j) for j in row) / len(row) for i, row in enumerate(ranks)]
    most = [
        min(sum(pids[j] == pids[i] and camids[j] != camids[i] for j in range(len(pids))), len(row)) / len(row)
        for i, row in enumerate(ranks)
    ]
    found = pair_quality(mined, pids, labels, camids)
    assert found.pairs == len(pairs)
    assert found.precision == pytest.approx(np.mean([pids[i] == pids[j] for i, j in pairs]))
    assert found.rank_precision == pytest.approx(np.mean(right))
    assert found.rank_ceiling == pytest.approx(np.mean(most))
    assert found.rank_precision <= found.rank_ceiling
    assert found.hard_share == pytest.approx(np.mean(hard))
    assert found.hard_pairs == pytest.approx(np.mean([pids[i] == pids[j] and other_cluster(i, j) for i, j in pairs]))
    assert math.isnan(pair_quality(mined, pids, labels).rank_ceiling)


def test_right_clusters_have_no_hard_positives_and_outliers_only_have_hard_ones():
    features, pids, camids = people(1)
    mined = inter_camera_mining(features, camids)
    assert pair_quality(mined, pids, pids).hard_share == 0
    alone = pair_quality(mined, pids, np.full(len(pids), -1))
    assert alone.hard_share == alone.rank_precision
    assert alone.hard_pairs == alone.precision
    nothing = MinedPairs(np.full((2, 3), -1), np.empty((0, 2), np.int64))
    assert all(math.isnan(v) for n, v in pair_quality(nothing, pids[:2], pids[:2]).summary().items() if n != "pairs")


def test_unknown_identities_are_refused():
    features, pids, camids = people(2)
    mined = inter_camera_mining(features, camids)
    pids[5] = -1
    with pytest.raises(DataError, match="pids: row 5 "):
        pair_quality(mined, pids, pids)
    with pytest.raises(DataError, match="labels: expected 90"):
        pair_quality(mined, np.abs(pids), pids[:4])


@pytest.mark.parametrize("seed", range(3))
def test_negatives_have_another_label_and_are_in_no_list_of_their_anchor(seed):
    features, _, camids = people(seed)
    random = np.random.default_rng(seed)
    mined = inter_camera_mining(features, camids, 5)
    labels = random.integers(-1, 6, len(features))
    rows = random.integers(0, len(features), 40)  # some stand there twice
    found = icm_negatives(mined, labels, rows)
    assert found.shape == (40, 40)
    assert found.dtype == bool
    for a, i in enumerate(rows):
        for b, j in enumerate(rows):
            apart = labels[i] == -1 or labels[j] == -1 or labels[i] != labels[j]
            assert found[a, b] == (i != j and apart and j not in mined.ranks[i])
    assert not np.array_equal(found, found.T), "a ranking list is its owner's alone"
    longer = np.concatenate([labels, [3, 4, 5]])
    np.testing.assert_array_equal(icm_negatives(mined, longer, rows), found)


@pytest.mark.parametrize("seed", range(3))
def test_positives_are_the_mutual_pairs_and_nothing_else(seed):
    features, _, camids = people(seed)
    mined = inter_camera_mining(features, camids, 5)
    _, pairs = algorithm_1(features, camids, 5)
    pairs = {tuple(pair) for pair in pairs}
    rows, groups = MinedPairSampler(mined, p=8, k=4, seed=seed).next_batch()
    found = icm_positives(mined, rows)
    for a, i in enumerate(rows):
        for b, j in enumerate(rows):
            assert found[a, b] == ((min(i, j), max(i, j)) in pairs)
    assert not (found & (camids[rows][:, None] == camids[rows])).any(), "pairs are of two cameras"
    assert (found & (groups[:, None] == groups)).any(axis=1).all(), "everybody has a partner in the batch"
    with pytest.raises(DataError, match="rows"):
        icm_positives(mined, np.array([90]))


def test_negatives_of_pictures_that_were_not_mined_are_refused():
    features, pids, camids = people(3)
    mined = inter_camera_mining(features, camids)
    with pytest.raises(DataError, match="labels: shape"):
        icm_negatives(mined, pids[:-1], np.arange(4))
    for rows in ([0, 90], [-1, 3]):
        with pytest.raises(DataError, match=r"rows: .* 0\.\.89"):
            icm_negatives(mined, pids, np.array(rows))
    with pytest.raises(ConfigError, match=r"i: 90 must lie in 0\.\.89"):
        mined.partners(90)


def test_batches_hold_anchors_with_their_partners():
    features, _, camids = people(4)
    mined = inter_camera_mining(features, camids, 4)
    sampler = MinedPairSampler(mined, p=5, k=4, seed=3)
    assert len(sampler) == len(mined.anchors) // 5
    met = []
    for _ in range(len(sampler)):
        rows, groups = sampler.next_batch()
        assert rows.dtype == groups.dtype == np.int64
        assert groups.tolist() == np.repeat(range(5), 4).tolist()
        for group in rows.reshape(5, 4):
            partners = mined.partners(group[0]).tolist()
            assert set(group[1:]) <= set(partners)
            assert len(set(group[1:])) == min(3, len(partners))
            met.append(group[0])
    assert len(set(met)) == len(met), "an epoch meets no anchor twice"
    assert set(met) <= set(mined.anchors)
    assert sampler.epoch == 1


def test_every_partner_is_drawn_sooner_or_later():
    mined = MinedPairs(np.array([[1], [0], [0], [0], [0]]), np.array([[0, 1], [0, 2], [0, 3], [0, 4]]))
    sampler = MinedPairSampler(mined, p=5, k=3, seed=0)
    drawn = set()
    for _ in range(20):
        rows = sampler.next_batch()[0].reshape(5, 3)
        drawn |= set(rows[rows[:, 0] == 0][0, 1:])
    assert drawn == {1, 2, 3, 4}


def test_the_stream_goes_on_where_its_state_says():
    features, _, camids = people(5)
    mined = inter_camera_mining(features, camids)
    first = MinedPairSampler(mined, 8, 4, seed=11)
    for _ in range(len(first) + 2):
        first.next_batch()
    state = first.state_dict()
    expected = [first.next_batch()[0] for _ in range(len(first) + 1)]
    again = MinedPairSampler(inter_camera_mining(features, camids), 8, 4, seed=11)
    again.load_state_dict(state)
    np.testing.assert_array_equal([again.next_batch()[0] for _ in expected], expected)
    other = MinedPairSampler(mined, 8, 4, seed=12)
    assert not np.array_equal(other.next_batch()[0], MinedPairSampler(mined, 8, 4, seed=11).next_batch()[0])
    with pytest.raises(ConfigError, match="seed is 11, this sampler's is 12"):
        other.load_state_dict(state)
    fewer = MinedPairSampler(inter_camera_mining(features, camids, 2), 8, 4, seed=11)
    with pytest.raises(ConfigError, match="pairs is"):
        fewer.load_state_dict(state)


def test_a_sampler_that_cannot_fill_a_batch_says_so():
    mined = inter_camera_mining(np.array([[0.0], [1.0], [5.0], [6.0]]), np.array([1, 2, 1, 2]), k=1)
    with pytest.raises(ConfigError, match="p: 8 anchors in a batch, but only 4 pictures"):
        MinedPairSampler(mined, seed=0)
    with pytest.raises(ConfigError, match="k: 1 is not"):
        MinedPairSampler(mined, p=2, k=1)
