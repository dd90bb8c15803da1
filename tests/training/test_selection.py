"""Held-out identities: no one is on both sides, every query can be answered, the same seed chooses the same."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlab.errors import ConfigError, DataError
from reidlab.seeding import rng
from reidlab.training import split_identities


def make_table(identities, cameras, pictures, seed=0):
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
    table = make_table(identities, cameras, pictures, seed)
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
    _, query, gallery = split_identities(make_table(12, 3, 8, seed), 0.5, seed)
    assert not query.duplicated(["pid", "camid"]).any()
    for row in query.itertuples():
        seen = pd.concat([query, gallery]).query("pid == @row.pid and camid != @row.camid")
        assert len(seen) > 0
    several = pd.concat([query, gallery]).groupby("pid")["camid"].nunique()
    assert set(query["pid"]) == set(several[several >= 2].index)


def test_the_seed_decides():
    table = make_table(30, 3, 4)
    first, again, other = (split_identities(table, 0.3, seed) for seed in (1, 1, 2))
    for a, b in zip(first, again, strict=True):
        pd.testing.assert_frame_equal(a, b)
    assert set(first.train["pid"]) != set(other.train["pid"])


def test_the_table_is_left_alone_and_the_rows_need_no_particular_index():
    table = make_table(6, 2, 4).iloc[::-1].set_index(np.zeros(24, dtype=int))
    before = table.copy()
    _, query, gallery = split_identities(table, 0.5, 0)
    pd.testing.assert_frame_equal(table, before)
    assert not query.duplicated(["pid", "camid"]).any()
    assert len(gallery) > 0


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ConfigError, match="share"):
        split_identities(make_table(4, 2, 2), share, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(split="gallery"), "rows of split 'gallery'; training sees training rows only"),
        (lambda t: t.assign(pid=-1), "8 rows have a negative pid"),
        (lambda t: t.iloc[:0], "no rows to train on"),
        (lambda t: t.assign(pid=3), "1 identity cannot be split"),
    ],
)
def test_unfit_tables_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        split_identities(change(make_table(4, 2, 2)), 0.5, 0)
