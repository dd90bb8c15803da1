"""Tracklets against a plain loop over rows, and frame sampling against the words of the original, frame by frame."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlab.data import ImageCache, Tracklets, make_table, sample_frames, tracklets_of
from reidlab.errors import ConfigError, DataError
from reidlab.seeding import rng

LENGTHS, SIZES = st.integers(1, 90), st.integers(1, 12)


def chunks_of(length, frames):
    """Restricted random sampling as the released code does it: T lists of the frames a draw may give."""
    if length < frames:
        strip = list(range(length)) + [length - 1] * (frames - length)
        return [[frame] for frame in strip]
    interval = math.ceil(length / frames)
    strip = list(range(length)) + [length - 1] * (interval * frames - length)
    return [strip[s * interval : (s + 1) * interval] for s in range(frames)]


def table_of(numbers, frames, split="train"):
    count = len(numbers)
    return make_table(
        "walks", path=[f"/{n}.jpg" for n in range(count)], pid=[n % 3 for n in numbers],
        camid=[1 + n % 2 for n in numbers], split=split, tracklet=numbers, frame=frames,
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 9), min_size=1, max_size=40), data=st.data(), seed=st.integers(0, 9)
)  # fmt: skip
def test_rows_are_grouped_by_number_in_the_order_of_frames(numbers, data, seed):
    frames = data.draw(st.lists(st.integers(-1, 6), min_size=len(numbers), max_size=len(numbers)))
    table = table_of(numbers, frames).sample(frac=1, random_state=seed)
    expected = {}
    for place, (number, frame) in enumerate(zip(table["tracklet"], table["frame"], strict=True)):
        expected.setdefault(number, []).append((frame, place))
    found = tracklets_of(table)
    assert len(found) == len(expected)
    for i, number in enumerate(sorted(expected)):
        assert found.numbers[i] == number
        assert found.rows[i].tolist() == [place for _, place in sorted(expected[number])]
        assert found.pids[i] == number % 3
        assert found.camids[i] == 1 + number % 2


@settings(max_examples=120, deadline=None)
@given(length=LENGTHS, frames=SIZES, seed=st.integers(0, 999))
def test_restricted_sampling_takes_one_frame_of_each_chunk(length, frames, seed):
    chunks = chunks_of(length, frames)
    assert sample_frames(length, frames).tolist() == [[chunk[0] for chunk in chunks]]
    (drawn,) = sample_frames(length, frames, rng=rng(seed, "frames"))
    assert all(frame in chunk for frame, chunk in zip(drawn, chunks, strict=True))


def test_every_frame_of_a_chunk_is_drawn_equally_often():
    random = rng(0, "frames")
    drawn = np.concatenate([sample_frames(14, 3, rng=random) for _ in range(3000)])
    for place, chunk in enumerate(chunks_of(14, 3)):
        frames, counts = np.unique(drawn[:, place], return_counts=True)
        assert frames.tolist() == sorted(set(chunk))
        for frame, count in zip(frames, counts, strict=True):
            # The frames that lengthen the tail give the last one more weight; a share's deviation is below 30.
            assert abs(count - 3000 * chunk.count(frame) / len(chunk)) < 130


def test_frames_of_a_short_tracklet_run_in_order_and_the_last_repeats():
    for draws in (None, rng(0, "frames")):
        assert sample_frames(3, 5, rng=draws).tolist() == [[0, 1, 2, 2, 2]]


@settings(max_examples=120, deadline=None)
@given(length=LENGTHS, frames=SIZES)
def test_contiguous_clips_are_successive_windows(length, frames):
    expected = []
    for start in range(0, length, frames):
        clip = list(range(start, min(start + frames, length)))
        expected.append(clip + [length - 1] * (frames - len(clip)))
    assert sample_frames(length, frames, "contiguous").tolist() == expected


@settings(max_examples=120, deadline=None)
@given(length=LENGTHS, frames=SIZES)
def test_strided_clips_take_every_nth_frame(length, frames):
    count = math.ceil(length / frames)
    expected = []
    for start in range(count):
        clip = list(range(start, length, count))
        expected.append(clip + [length - 1] * (frames - len(clip)))
    assert sample_frames(length, frames, "strided").tolist() == expected


@settings(max_examples=120, deadline=None)
@given(length=LENGTHS, frames=SIZES, mode=st.sampled_from(["strided", "contiguous"]))
def test_every_frame_is_in_a_clip_and_no_clip_runs_backwards(length, frames, mode):
    clips = sample_frames(length, frames, mode)
    assert clips.dtype == np.int64
    assert clips.shape == (math.ceil(length / frames), frames)
    assert set(clips.ravel()) == set(range(length))
    assert (np.diff(clips, axis=1) >= 0).all()
    seen, counts = np.unique(clips, return_counts=True)
    assert (counts[seen < length - 1] == 1).all()


def test_clips_are_rows_of_the_table_with_the_place_of_their_tracklet():
    table = table_of([4, 4, 2, 4, 2, 7], [3, 1, 5, 2, 4, 1])
    rows, owners = tracklets_of(table).clips([1, 0, 1], 2, "contiguous")
    assert rows.tolist() == [[1, 3], [0, 0], [4, 2], [1, 3], [0, 0]]
    assert owners.tolist() == [1, 1, 0, 1, 1]


def test_the_generator_decides_the_frames():
    tracklets = tracklets_of(table_of([1] * 50, range(50)))
    one, same, other = (tracklets.clips([0] * 4, 5, "restricted", rng(seed))[0] for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert len(np.unique(one, axis=0)) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[:0], "no rows, so no tracklets"),
        (lambda t: t.assign(tracklet=[5, -1, 5, -1]), r"2 rows have no tracklet.*row 1 \(/1\.jpg\)"),
        (lambda t: t.assign(pid=[1, 2, 1, 1], tracklet=5), r"tracklet 5: it has 2 identities, 1, 2"),
        (lambda t: t.assign(pid=1, camid=[3, 3, 3, 1], tracklet=5), r"tracklet 5: it has 2 cameras, 1, 3"),
        (
            lambda t: t.assign(split=["query", "gallery"] * 2),
            r"splits 'gallery', 'query'.*table\[table\.split == 'gallery'\]",
        ),
    ],
)
def test_unfit_tables_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        tracklets_of(change(table_of([5, 6, 5, 6], [1, 2, 3, 4])))


def test_query_and_gallery_may_share_numbers():
    table = pd.concat([table_of([5, 5], [1, 2], split) for split in ("query", "gallery")])
    for split in ("query", "gallery"):
        assert tracklets_of(table[table["split"] == split]).numbers.tolist() == [5]


def test_an_empty_tracklet_is_named():
    with pytest.raises(DataError, match="tracklet 17: it has 0 frames"):
        sample_frames(0, 4, name="tracklet 17")
    with pytest.raises(DataError, match="tracklet 17: it has no frame"):
        Tracklets((np.array([0]), np.array([], dtype=int)), np.array([1, 1]), np.array([1, 2]), np.array([16, 17]))
    with pytest.raises(DataError, match="camids"):
        Tracklets((np.array([0]),), np.array([1]), np.array([1, 2]), np.array([16]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, 0), "frames: 0"),
        ((5, 2.0), "frames: 2.0"),
        ((5, 2, "strides"), "mode: there is none called 'strides'.*did you mean 'strided'"),
        ((5, 2, "all"), "mode: there is none called 'all'.*restricted, strided, contiguous"),
        ((5, 2, "strided", rng(0)), "rng"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        sample_frames(*arguments)


def test_a_missing_frame_is_named_by_its_file(lay, tmp_path):
    lay(tmp_path, "0001C1T0001F001.jpg", "0001C1T0001F003.jpg")
    files = [str(tmp_path / f"0001C1T0001F00{n}.jpg") for n in (1, 2, 3)]
    table = make_table("walk", path=files, pid=1, camid=1, split="train", tracklet=1, frame=[1, 2, 3])
    rows, _ = tracklets_of(table).clips([0], 3, "restricted")
    with pytest.raises(DataError, match=r"1 picture cannot be read: .*F002\.jpg \(there is no such file\)"):
        ImageCache(table.iloc[rows[0]], (8, 4))
