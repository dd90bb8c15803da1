"""MARS (Zheng et al., ECCV 2016): tracklets, listed in ``info``.

``info/{train,test}_name.txt`` list the pictures; a track matrix says for each tracklet its first and last picture
(counted from 1), identity and camera; ``query_IDX`` holds the tracklets of the test that are queries. A tracklet's
number is its row in the matrix of its part, from 1. The queries are part of the test tracklets: their pictures are in
the table twice, as ``query`` and as ``gallery``, under the same tracklet number, and the evaluation protocol decides
whether they count in the gallery. Identity -1 is junk, 0 a distractor.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from reidlab.data.readers.base import NamePattern, counted, existing, first_few, refuse_empty, require
from reidlab.data.table import SampleTable, make_table
from reidlab.errors import DataError

_NAMES = NamePattern(
    "<4-character id>C<cam>T<track>F<frame>.jpg",
    r"(?P<pid>\d{4}|00-1)C(?P<camid>[1-9])T\d{4}F(?P<frame>\d+)\.(?:jpg|png)",
)
_FILES = (
    "info/train_name.txt", "info/test_name.txt", "info/tracks_train_info.mat", "info/tracks_test_info.mat",
    "info/query_IDX.mat",
)  # fmt: skip


@dataclass(frozen=True)
class MARSReader:
    """Reads MARS and what is laid out like it."""

    name: str = "mars"
    expects: str = "bbox_train, bbox_test with <id>/<picture> and info with names, track matrices and query_IDX"

    def read(self, root: str | Path, dataset: str | None = None) -> SampleTable:
        """Return the sample table of a folder; see :class:`~reidlab.data.readers.base.Reader`."""
        dataset = dataset or self.name
        home = existing(root, dataset)
        require(home, ["bbox_train", "bbox_test", *_FILES], dataset)
        train, test = (self._part(home, part, dataset) for part in ("train", "test"))
        queries = self._queries(home, len(_tracks(home, "test", dataset)), dataset)
        query = test[test["tracklet"].isin(queries)]
        table = pd.concat(
            [train.assign(split="train"), query.assign(split="query"), test.assign(split="gallery")], ignore_index=True
        )
        refuse_empty(len(table), home, dataset)
        return make_table(dataset, **{name: table[name] for name in table})

    def tracks(self, root: str | Path) -> pd.DataFrame:
        """Return one row per tracklet, its pictures counted: ``split, tracklet, pid, camid, pictures``.

        Queries appear twice, as in :meth:`read`.
        """
        table = self.read(root)
        keys = ["split", "tracklet", "pid", "camid"]
        return table.groupby(keys, sort=False).size().rename("pictures").reset_index()

    def fits(self, root: Path) -> bool:
        """Return whether the files of ``info`` are there."""
        return all((root / name).is_file() for name in _FILES)

    def _part(self, home: Path, part: str, dataset: str) -> pd.DataFrame:
        listed = f"info/{part}_name.txt"
        names = (home / listed).read_text(encoding="utf-8").split()
        parsed = _NAMES.parse_all([name.replace("00-1", "0000", 1) for name in names], listed, dataset)
        pids = np.array([-1 if name.startswith("00-1") else pid for name, pid in zip(names, parsed["pid"])], dtype=int)
        tracks = _tracks(home, part, dataset)
        outside = (tracks[:, 0] < 1) | (tracks[:, 1] < tracks[:, 0]) | (tracks[:, 1] > len(names))
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            raise DataError(
                f"{dataset}: row {row + 1} of info/tracks_{part}_info.mat spans pictures {tracks[row, 0]} to "
                f"{tracks[row, 1]}, but {listed} has {len(names)}"
            )
        lengths = tracks[:, 1] - tracks[:, 0] + 1
        number = np.repeat(np.arange(1, len(tracks) + 1), lengths)
        # Positions of all pictures of all tracklets, in their order: one arange shifted tracklet by tracklet.
        place = np.arange(lengths.sum()) + np.repeat(tracks[:, 0] - 1 - np.cumsum(lengths) + lengths, lengths)
        camids = np.array(parsed["camid"], dtype=int)
        for column, values, at in (("identity", pids, 2), ("camera", camids, 3)):
            wrong = np.flatnonzero(values[place] != tracks[number - 1, at])
            if len(wrong):
                raise DataError(
                    f"{dataset}: {counted(len(wrong), 'picture')} of info/tracks_{part}_info.mat has another {column} "
                    f"than its name: {first_few([names[place[i]] for i in wrong[:4]])}"
                )
        prefix = f"{home / f'bbox_{part}'}{os.sep}"
        paths = np.array([f"{prefix}{name[:4]}/{name}" for name in names], dtype=object)
        frames = np.array(parsed["frame"], dtype=int)
        return pd.DataFrame({
            "path": paths[place], "pid": pids[place], "camid": camids[place], "tracklet": number,
            "frame": frames[place],
        })  # fmt: skip

    def _queries(self, home: Path, count: int, dataset: str) -> np.ndarray:
        queries = _matrix(home / "info/query_IDX.mat", "query_IDX", dataset).ravel()
        if len(queries) and not (queries.min() >= 1 and queries.max() <= count):
            raise DataError(
                f"{dataset}: info/query_IDX.mat names tracklets {queries.min()} to {queries.max()}, "
                f"expected numbers from 1 to {count}"
            )
        return queries


def _tracks(home: Path, part: str, dataset: str) -> np.ndarray:
    """Return a track matrix, (number of tracklets, 4) int: first and last picture (from 1), identity, camera."""
    name = f"info/tracks_{part}_info.mat"
    tracks = _matrix(home / name, f"track_{part}_info", dataset)
    if tracks.ndim != 2 or tracks.shape[1] != 4:
        raise DataError(f"{dataset}: {name} has shape {tracks.shape}, expected (tracklets, 4): start, end, pid, camera")
    return tracks


def _matrix(path: Path, key: str, dataset: str) -> np.ndarray:
    from scipy.io import loadmat

    try:
        content = loadmat(path)
    except (ValueError, TypeError, OSError, NotImplementedError) as error:
        raise DataError(f"{dataset}: {path} cannot be read as a MATLAB file: {error}") from error
    if key not in content:
        held = ", ".join(name for name in content if not name.startswith("__"))
        raise DataError(f"{dataset}: {path} has no variable {key!r}; it holds {held or 'nothing'}")
    return content[key].astype(np.int64)


MARS = MARSReader()
