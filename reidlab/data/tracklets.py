"""Tracklets: the pictures of a sample table that follow one person through one camera, and the clips cut from them.

A network for video sees T frames at a time. Which ones is the choice of :func:`sample_frames`: restricted random
sampling (Sec. 2.2.1) for training and for the test, or clips that together hold every frame (Sec. 2.6.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reidlab.checks import check_choice, check_integer
from reidlab.errors import ConfigError, DataError

#: Ways to cut clips from a tracklet, see :func:`sample_frames`.
MODES = ("restricted", "strided", "contiguous")


@dataclass(frozen=True, eq=False)
class Tracklets:
    """The M tracklets of a sample table of one split.

    Attributes:
        rows: for each tracklet, positions of its pictures in the table, int64, in the order of their frames.
        pids: (M,) int64 identities.
        camids: (M,) int64 cameras.
        numbers: (M,) int64 tracklet numbers, as in the table.

    Raises:
        DataError: a field has another length than the others, or a tracklet has no frame.
    """

    rows: tuple[np.ndarray, ...]
    pids: np.ndarray
    camids: np.ndarray
    numbers: np.ndarray

    def __post_init__(self) -> None:
        for name in ("pids", "camids", "numbers"):
            if np.shape(getattr(self, name)) != (len(self.rows),):
                raise DataError(f"{name}: shape {np.shape(getattr(self, name))} for {len(self.rows)} tracklets")
        for rows, number in zip(self.rows, self.numbers, strict=True):
            if len(rows) == 0:
                raise DataError(f"tracklet {number}: it has no frame; leave it out")

    def __len__(self) -> int:
        return len(self.rows)

    def clips(
        self, chosen: Iterable[int], frames: int, mode: str, rng: np.random.Generator | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cut clips from some of the tracklets.

        Args:
            chosen: positions of the tracklets, 0..M-1; one may come several times.
            frames: T, frames of a clip.
            mode: see :func:`sample_frames`.
            rng: see :func:`sample_frames`.

        Returns:
            Rows of the table, (clips, T) int64, and the position of each clip's tracklet, (clips,) int64; the clips of
            a tracklet stand together.

        Raises:
            ConfigError: ``frames`` or ``mode`` is not allowed.
        """
        chosen = np.asarray(chosen, dtype=np.int64)
        rows = [
            self.rows[i][sample_frames(len(self.rows[i]), frames, mode, rng, name=f"tracklet {self.numbers[i]}")]
            for i in chosen
        ]
        counts = [len(clips) for clips in rows]
        return np.concatenate([np.empty((0, frames), np.int64), *rows]), np.repeat(chosen, counts)


def tracklets_of(table: pd.DataFrame) -> Tracklets:
    """Group the rows of a sample table by tracklet.

    A tracklet's number is unique within a split only (query and gallery share numbers), so the table must be of one.
    Rows of one frame number, and rows of an unknown one (-1), keep the order of the table.

    Args:
        table: sample table of one split.

    Returns:
        The tracklets, in the order of their numbers.

    Raises:
        DataError: the table is empty or of several splits, a row has no tracklet number, or a tracklet has two
            identities or cameras; the message names the tracklet.

    Example:
        >>> from reidlab.data import make_table
        >>> files = ["/b.jpg", "/a.jpg", "/c.jpg"]
        >>> table = make_table("mine", path=files, pid=5, camid=1, split="train", tracklet=[8, 8, 9], frame=[2, 1, 1])
        >>> [rows.tolist() for rows in tracklets_of(table).rows]
        [[1, 0], [2]]
    """
    if len(table) == 0:
        raise DataError("table: it has no rows, so no tracklets")
    splits = sorted(set(table["split"]))
    if len(splits) > 1:
        raise DataError(
            f"table: it holds rows of splits {', '.join(map(repr, splits))}, which number their tracklets apart; "
            f"pass one at a time, e.g. table[table.split == {splits[0]!r}]"
        )
    numbers = table["tracklet"].to_numpy()
    if (numbers < 0).any():
        first = int(np.flatnonzero(numbers < 0)[0])
        raise DataError(
            f"table: {int((numbers < 0).sum())} rows have no tracklet (number -1), the first is row {first} "
            f"({table['path'].iloc[first]}); number the tracklets, or drop these rows"
        )
    order = np.lexsort((table["frame"].to_numpy(), numbers))
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    counts = np.diff(starts, append=len(order))
    labels = {}
    for name, what in (("pid", "identities"), ("camid", "cameras")):
        values = table[name].to_numpy()[order]
        labels[name] = values[starts]
        mixed = values != np.repeat(labels[name], counts)
        if mixed.any():
            number = numbers[order][mixed][0]
            found = np.unique(values[numbers[order] == number]).tolist()
            raise DataError(
                f"tracklet {number}: it has {len(found)} {what}, {', '.join(map(str, found))}; a tracklet follows one "
                "person through one camera"
            )
    rows = tuple(np.split(order, starts[1:]))
    return Tracklets(rows, labels["pid"], labels["camid"], numbers[order][starts])


def sample_frames(
    length: int,
    frames: int,
    mode: str = "restricted",
    rng: np.random.Generator | None = None,
    *,
    name: str = "tracklet",
) -> np.ndarray:
    """Choose the frames of a tracklet's clips.

    A tracklet of F frames is lengthened to n T, n = ceil(F / T), by repeating its last frame, which also makes one that
    is shorter than a clip a whole clip. ``restricted`` (restricted random sampling, Sec. 2.2.1) cuts it into T chunks
    of n frames and takes one frame of each: a random one with ``rng``, as in training, and the first without, as in the
    test. The other two give n clips that together hold every frame, for a test with all of them (Sec. 2.6.1):
    ``contiguous`` clips of T successive frames, and ``strided`` clips of every n-th frame.

    Args:
        length: F, frames of the tracklet.
        frames: T, frames of a clip.
        mode: ``restricted``, ``strided`` or ``contiguous``.
        rng: generator for the draws of ``restricted``.
        name: what a message calls the tracklet.

    Returns:
        (clips, T) int64, 0..F-1, each clip in the order of time; ``restricted`` gives one clip.

    Raises:
        ConfigError: ``frames`` is not a positive integer, ``mode`` is unknown or has no use for ``rng``.
        DataError: the tracklet has no frame.

    Example:
        >>> sample_frames(5, 2, "contiguous").tolist(), sample_frames(5, 2, "strided").tolist()
        ([[0, 1], [2, 3], [4, 4]], [[0, 3], [1, 4], [2, 4]])
    """
    check_integer("frames", frames, 1)
    check_choice("mode", mode, MODES)
    if rng is not None and mode != "restricted":
        raise ConfigError(f"rng: mode {mode!r} takes all frames and draws none; leave rng out")
    if length < 1:
        raise DataError(f"{name}: it has {length} frames, there is none to sample")
    chunk = -(-length // frames)
    if mode == "contiguous":
        return np.minimum(np.arange(chunk * frames), length - 1).reshape(chunk, frames)
    starts = chunk * np.arange(frames)
    if mode == "strided":
        places = starts + np.arange(chunk)[:, None]
    else:
        places = (starts if rng is None else starts + rng.integers(chunk, size=frames))[None]
    return np.minimum(places, length - 1)
