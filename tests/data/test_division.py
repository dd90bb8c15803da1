"""Dividing identities and cameras."""

import pytest

from reidlab.data import across_cameras, divide_identities, make_table
from reidlab.errors import ConfigError, DataError


@pytest.fixture
def table():
    """Ten people, two pictures by each of two cameras, and one junk picture."""
    rows = [(pid, camid, k) for pid in range(1, 11) for camid in (1, 2) for k in range(2)] + [(-1, 1, 0)]
    pids, camids, _ = zip(*rows)
    return make_table("ten", path=[f"/{p}_{c}_{k}.png" for p, c, k in rows], pid=pids, camid=camids, split="train")


def test_camera_one_asks_and_camera_two_is_searched(table):
    test = across_cameras(table[table.pid > 0])
    assert test.train.empty
    assert set(test.query.camid) == {1}
    assert set(test.gallery.camid) == {2}
    assert set(test.query.split) == {"query"}
    assert set(test.gallery.split) == {"gallery"}
    assert len(test.query) == len(test.gallery) == 20


def test_identities_are_in_one_part_only_and_the_seed_decides(table):
    part = divide_identities(table, 0.3, seed=1)
    assert part.train.pid.nunique() == 7
    assert set(part.query.pid) == set(part.gallery.pid)
    assert not set(part.train.pid) & set(part.gallery.pid)
    assert -1 not in set(part.train.pid)
    assert part.query.pid.tolist() == divide_identities(table, 0.3, seed=1).query.pid.tolist()
    assert len({tuple(divide_identities(table, 0.3, seed=seed).query.pid) for seed in range(5)}) > 1
    assert part.table().attrs["dataset"] == "ten"


def test_dividing_twice_gives_training_selection_and_test(table):
    outer = divide_identities(table, 0.3, seed=0)
    inner = divide_identities(outer.train, 0.25, seed=0)
    parts = [set(outer.query.pid), set(inner.query.pid), set(inner.train.pid)]
    assert [len(part) for part in parts] == [3, 2, 5]
    assert len(set.union(*parts)) == 10


def test_bad_divisions_are_named(table):
    with pytest.raises(ConfigError, match="test_share"):
        divide_identities(table, 1.0, seed=0)
    with pytest.raises(ConfigError, match="query_cameras"):
        across_cameras(table, (3,))
    with pytest.raises(DataError, match="1 identity"):
        divide_identities(table[table.pid == 1], 0.5, seed=0)
