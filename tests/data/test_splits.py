"""Splits: no one is on both sides, every query can be answered, who is labelled; the same seed draws the same."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlab.data import across_cameras, divide_identities, make_table, split_identities
from reidlab.data.splits import SETTINGS, LabelledSplit, divide_labels, read_split
from reidlab.errors import ConfigError, DataError
from reidlab.seeding import rng

PIDS = np.repeat(np.arange(100, 172), 3)


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


def training_table(identities, cameras, pictures, seed=0):
    random = rng(seed, "table")
    rows = [
        {"path": f"/{pid}-{n}.jpg", "pid": pid, "camid": int(random.integers(1, cameras + 1)), "split": "train"}
        for pid in range(identities)
        for n in range(pictures)
    ]
    return pd.DataFrame(rows).assign(tracklet=-1, frame=-1)


@settings(max_examples=40, deadline=None)
@given(
    identities=st.integers(2, 20), cameras=st.integers(1, 4), pictures=st.integers(1, 6),
    share=st.floats(0.01, 0.99), seed=st.integers(0, 1000),
)  # fmt: skip
def test_no_picture_is_lost_and_no_identity_is_on_both_sides(identities, cameras, pictures, share, seed):
    table = training_table(identities, cameras, pictures, seed)
    train, query, gallery = split_identities(table, share, seed)
    held = {*query["pid"], *gallery["pid"]}
    assert sorted([*train["path"], *query["path"], *gallery["path"]]) == sorted(table["path"])
    assert held.isdisjoint(train["pid"])
    assert len(held) == min(max(round(share * identities), 1), identities - 1)
    assert set(train["split"]) == {"train"}
    assert set(query["split"]) <= {"query"}
    assert set(gallery["split"]) <= {"gallery"}


@pytest.mark.parametrize("seed", range(5))
def test_every_query_has_a_match_in_another_camera_and_there_is_one_per_identity_and_camera(seed):
    _, query, gallery = split_identities(training_table(12, 3, 8, seed), 0.5, seed)
    assert not query.duplicated(["pid", "camid"]).any()
    for row in query.itertuples():
        seen = pd.concat([query, gallery]).query("pid == @row.pid and camid != @row.camid")
        assert len(seen) > 0
    several = pd.concat([query, gallery]).groupby("pid")["camid"].nunique()
    assert set(query["pid"]) == set(several[several >= 2].index)


def make_walks(identities, cameras, seed):
    """A table of tracklets: up to three of each identity and camera, some identities in one camera only."""
    random = rng(seed, "walks")
    rows, number = [], 0
    for pid in range(identities):
        for camid in range(1, cameras + 1):
            for _ in range(random.integers(0 if camid > 1 else 1, 4)):
                number += 1
                rows += [(f"/{number}-{n}.jpg", pid, camid, number, n) for n in range(random.integers(1, 6))]
    table = pd.DataFrame(rows, columns=["path", "pid", "camid", "tracklet", "frame"]).assign(split="train")
    return table.sample(frac=1, random_state=seed)


@pytest.mark.parametrize("seed", range(6))
def test_queries_of_tracklets_are_whole_and_in_the_gallery_too(seed):
    table = make_walks(12, 3, seed)
    train, query, gallery = split_identities(table, 0.5, seed)
    assert sorted([*train["path"], *gallery["path"]]) == sorted(table["path"])
    assert {*gallery["pid"]}.isdisjoint(train["pid"])
    assert gallery["pid"].nunique() == 6
    assert set(query["split"]) <= {"query"}
    assert set(gallery["split"]) == {"gallery"}
    for number, rows in query.groupby("tracklet"):
        assert sorted(rows["path"]) == sorted(table.loc[table["tracklet"] == number, "path"])
        assert sorted(rows["path"]) == sorted(gallery.loc[gallery["tracklet"] == number, "path"])
    assert not query.drop_duplicates("tracklet").duplicated(["pid", "camid"]).any()
    several = gallery.groupby("pid")["camid"].nunique()
    expected = gallery[gallery["pid"].isin(several[several >= 2].index)]
    assert {*zip(query["pid"], query["camid"])} == {*zip(expected["pid"], expected["camid"])}


def test_long_tracklets_are_no_likelier_to_be_queries():
    rows = [(f"/{n}.jpg", pid, camid, 4 * pid + camid + 2 * (n > 0), n) for pid in (0, 1) for camid in (1, 2)
            for n in range(20)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["path", "pid", "camid", "tracklet", "frame"]).assign(split="train")
    counts = [len(split_identities(table, 0.5, seed).query) for seed in range(100)]
    # Each of two cameras has a tracklet of 1 frame and one of 19: 200 throws of a coin, standard deviation 7.
    assert abs(sum(counts) / 200 - 10) < 9 * 0.15


def test_tracklets_are_queries_where_every_row_has_one_or_as_told():
    table = make_walks(8, 3, 0)
    parts = split_identities(table, 0.5, 0, tracklets=False)
    assert not parts.query.duplicated(["pid", "camid"]).any()
    assert len(parts.query) + len(parts.gallery) + len(parts.train) == len(table)
    without = table.assign(tracklet=table["tracklet"].where(table["pid"] > 0, -1))
    for a, b in zip(split_identities(without, 0.5, 0), parts, strict=True):
        assert a["path"].tolist() == b["path"].tolist()
    with pytest.raises(DataError, match="no tracklet"):
        split_identities(table.assign(tracklet=-1), 0.5, 0, tracklets=True)
    with pytest.raises(DataError, match="identities"):
        split_identities(table.assign(tracklet=3), 0.5, 0)


def test_the_seed_decides():
    table = training_table(30, 3, 4)
    first, again, other = (split_identities(table, 0.3, seed) for seed in (1, 1, 2))
    for a, b in zip(first, again, strict=True):
        pd.testing.assert_frame_equal(a, b)
    assert set(first.train["pid"]) != set(other.train["pid"])


def test_the_table_is_left_alone_and_the_rows_need_no_particular_index():
    table = training_table(6, 2, 4).iloc[::-1].set_index(np.zeros(24, dtype=int))
    before = table.copy()
    _, query, gallery = split_identities(table, 0.5, 0)
    pd.testing.assert_frame_equal(table, before)
    assert not query.duplicated(["pid", "camid"]).any()
    assert len(gallery) > 0


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ConfigError, match="share"):
        split_identities(training_table(4, 2, 2), share, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(split="gallery"), "rows of split 'gallery'; training sees training rows only"),
        (lambda t: t.assign(pid=-1), "8 rows have a negative pid"),
        (lambda t: t.iloc[:0], "no rows to train on"),
        (lambda t: t.assign(pid=3), "1 identity cannot be divided"),
    ],
)
def test_unfit_tables_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        split_identities(change(training_table(4, 2, 2)), 0.5, 0)


def test_market_counts_of_the_dissertation():
    """Sec. 3.4.2: about 125 of 751 identities at 1/6."""
    pids = np.arange(751)
    counts = {setting: len(divide_labels(pids, setting, 0).labelled) for setting in SETTINGS}
    assert counts == {"1/3": 250, "1/6": 125, "1/12": 63, "50-ids": 50}


@pytest.mark.parametrize("seed", range(3))
def test_everybody_is_on_one_side(seed):
    split = divide_labels(PIDS, "1/6", seed)
    assert set(split.labelled) | set(split.unlabelled) == set(PIDS.tolist())
    assert not set(split.labelled) & set(split.unlabelled)
    known, unknown = split.rows(PIDS)
    assert sorted([*known, *unknown]) == list(range(len(PIDS)))
    assert set(PIDS[known]) == set(split.labelled)


def test_settings_are_nested_and_seeds_differ():
    few, some, many = (set(divide_labels(PIDS, setting, 4).labelled) for setting in ("1/12", "1/6", "1/3"))
    assert few < some < many
    assert set(divide_labels(PIDS, "1/6", 5).labelled) != some


def test_a_file_holds_it(tmp_path):
    split = divide_labels(PIDS, "50-ids", 1)
    path = split.write(tmp_path / "new" / "50.json")
    assert read_split(path) == split
    assert split.write(path) == path
    with pytest.raises(DataError, match="holds another division"):
        divide_labels(PIDS, "50-ids", 2).write(path)
    assert read_split(path) == split


@pytest.mark.parametrize("change", [{"format": 9}, {"labelled": None}, {"labelled": ["x"]}, {"seed": None}])
def test_a_damaged_file_says_so(tmp_path, change):
    path = divide_labels(PIDS, "1/6", 1).write(tmp_path / "split.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=r"split\.json"):
        read_split(path)
    with pytest.raises(DataError, match=r"nowhere\.json: there is no such file"):
        read_split(tmp_path / "nowhere.json")


@pytest.mark.parametrize("setting", ["1/0", "2", "0", "-1/3", "x-ids", "half", ""])
def test_settings_that_are_none(setting):
    with pytest.raises(ConfigError, match="labelled: "):
        divide_labels(PIDS, setting, 0)


@pytest.mark.parametrize("setting", ["72-ids", "1-ids", "1/72"])
def test_settings_that_leave_a_side_empty(setting):
    with pytest.raises(ConfigError, match="would label"):
        divide_labels(PIDS, setting, 0)


def test_identities_on_both_sides_and_on_none():
    with pytest.raises(DataError, match="overlap: 1 are in both, such as 2"):
        LabelledSplit("by hand", 0, (1, 2), (2, 3))
    with pytest.raises(DataError, match="identity 9 is in neither part"):
        LabelledSplit("by hand", 0, (1, 2), (3,)).rows(np.array([1, 9]))
    with pytest.raises(DataError, match="no identity"):
        divide_labels(np.array([-1, 1, 2]), "1/3", 0)
