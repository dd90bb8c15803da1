"""P x K batches: what an epoch holds, what small identities do, and going on from a saved place."""

from collections import Counter

import numpy as np
import pytest
import torch

from reidlab.data import PKSampler, make_table, tracklets_of
from reidlab.errors import ConfigError
from reidlab.seeding import rng

PIDS = np.array([9, 4, 4, 7, 9, 4, 7, 2, 4, 9, 2, 2, 4])


def batches(sampler, count):
    return [sampler.next_batch() for _ in range(count)]


def test_a_batch_has_p_identities_with_k_pictures_each():
    sampler = PKSampler(PIDS, p=2, k=3, seed=0)
    for rows in batches(sampler, 20):
        assert rows.dtype == np.int64
        assert sorted(Counter(PIDS[rows].tolist()).values()) == [3, 3]


def test_an_epoch_passes_over_every_identity_once():
    sampler = PKSampler(PIDS, p=2, k=2, seed=0)
    assert len(sampler) == 2
    orders = set()
    for _ in range(12):
        seen = np.concatenate([PIDS[rows] for rows in batches(sampler, len(sampler))])
        assert Counter(seen.tolist()) == {2: 2, 4: 2, 7: 2, 9: 2}
        orders.add(tuple(seen.tolist()))
    assert len(orders) > 1


def test_pictures_of_an_identity_repeat_only_where_it_has_fewer_than_k():
    pids = np.array([1] * 5 + [2] * 3)
    for rows in batches(PKSampler(pids, p=2, k=5, seed=0), 10):
        first, second = rows[pids[rows] == 1], rows[pids[rows] == 2]
        assert sorted(first) == [0, 1, 2, 3, 4]
        assert set(second) == {5, 6, 7}
        assert len(second) == 5


def test_identities_that_do_not_fill_a_batch_come_in_another_epoch():
    pids = np.repeat([1, 2, 3, 4, 5], 2)
    sampler = PKSampler(pids, p=2, k=2, seed=0)
    assert len(sampler) == 2
    assert set(np.concatenate([pids[rows] for rows in batches(sampler, 40)])) == {1, 2, 3, 4, 5}


def test_all_pictures_are_drawn_about_equally_often():
    pids = np.repeat([0, 1], 8)
    counts = Counter(np.concatenate(batches(PKSampler(pids, p=2, k=2, seed=0), 800)).tolist())
    # 800 draws of 2 from 8: mean 200, standard deviation 12.
    assert all(abs(counts[row] - 200) < 60 for row in range(16))


def test_the_seed_decides_the_stream():
    one, same, other = (np.stack(batches(PKSampler(PIDS, 2, 2, seed), 10)) for seed in (5, 5, 6))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("place", [0, 1, 2, 3, 7])
def test_a_saved_place_is_found_again(place, tmp_path):
    sampler = PKSampler(PIDS, p=2, k=2, seed=3)
    batches(sampler, place)
    torch.save(sampler.state_dict(), tmp_path / "place.pt")
    expected = batches(sampler, 9)
    again = PKSampler(PIDS, p=2, k=2, seed=3)
    batches(again, 4)
    again.load_state_dict(torch.load(tmp_path / "place.pt", weights_only=True))
    assert np.array_equal(np.stack(batches(again, 9)), np.stack(expected))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 1, 1), "pids"),
        (([[1, 2]], 1, 1), "pids"),
        (([1, 1, 2], 3, 1), "p.*3.*2"),
        (([1, 1, 2], 0, 1), "p.*0"),
        (([1, 1, 2], 1, 0), "k.*0"),
        (([1, 1, 2], 1, 1.5), "k.*1.5"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        PKSampler(*arguments, seed=0)


def test_tracklets_are_drawn_as_pictures_are():
    """8 identities x 4 tracklets (Sec. 2.3.1): an epoch is one pass over the identities, whatever their tracklets."""
    random = rng(0, "tracklets")
    counts = random.integers(1, 9, 24)
    numbers = np.arange(counts.sum()).repeat(3)
    pids = np.arange(24).repeat(counts).repeat(3)
    table = make_table(
        "walks", path=[f"/{n}.jpg" for n in range(len(pids))], pid=pids, camid=1, split="train", tracklet=numbers
    )
    tracklets = tracklets_of(table)
    sampler = PKSampler(tracklets.pids, p=8, k=4, seed=0)
    assert len(sampler) == 3
    seen = []
    for chosen in batches(sampler, 3):
        assert chosen.shape == (32,)
        for pid in np.unique(tracklets.pids[chosen]):
            drawn = tracklets.numbers[chosen[tracklets.pids[chosen] == pid]]
            assert len(drawn) == 4
            assert len(set(drawn)) == min(4, counts[pid])
            assert set(drawn) <= set(numbers[pids == pid])
            seen.append(pid)
    assert sorted(seen) == list(range(24))
