"""MARS (Zheng et al., ECCV 2016): tracklets whose extents are in matrices, not in folders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reidlab.data.readers.base import first_few, need, need_root
from reidlab.data.table import make_table
from reidlab.errors import DataError, MissingDataError

_NAME = re.compile(r"(?P<pid>00-1|\d{4})C(?P<camid>\d)T\d+F(?P<frame>\d+)\.jpg")
_SHOWN = "<pid>C<camera>T<tracklet>F<frame>.jpg"


def read(root: str | Path, queries_in_gallery: bool = False) -> pd.DataFrame:
    """Return the sample table of a MARS folder, one row per picture.

    ``tracklet`` is the row of the track matrix of train or of test, from 1.

    Args:
        root: folder with ``bbox_train``, ``bbox_test`` and ``info``.
        queries_in_gallery: whether query tracklets are in the gallery too, as some protocols have it; else each
            tracklet of the test is in one of the two.

    Raises:
        MissingDataError: a folder, list, matrix or picture is missing.
        DataError: names and matrices do not fit each other.
    """
    home = need_root(root)
    need(home, "bbox_train", "bbox_test", "info")
    train_names, train_tracks, test_names, test_tracks, query = need(
        home / "info",
        "train_name.txt",
        "tracks_train_info.mat",
        "test_name.txt",
        "tracks_test_info.mat",
        "query_IDX.mat",
    )
    train = _rows(home / "bbox_train", train_names, _matrix(train_tracks, "track_train_info"), train_tracks)
    test = _rows(home / "bbox_test", test_names, _matrix(test_tracks, "track_test_info"), test_tracks)
    asked = _load(query, "query_IDX").ravel().astype(np.int64)
    if wrong := sorted(set(asked.tolist()) - set(test["tracklet"].tolist())):
        raise DataError(f"{query}: {len(wrong)} numbers are no row of {test_tracks.name}: {first_few(wrong)}")
    is_query = test["tracklet"].isin(asked)
    gallery = test if queries_in_gallery else test[~is_query]
    parts = [train.assign(split="train"), test[is_query].assign(split="query"), gallery.assign(split="gallery")]
    return make_table(pd.concat(parts, ignore_index=True), "mars")


def _load(path: Path, name: str) -> np.ndarray:
    from scipy.io import loadmat

    try:
        content = loadmat(path)
    except (ValueError, TypeError, OSError, NotImplementedError) as error:
        raise DataError(f"{path}: it cannot be read as a MATLAB file ({error}); unpack it again") from error
    if name not in content:
        names = [key for key in content if not key.startswith("__")]
        raise DataError(f"{path}: it has no matrix {name}, found {', '.join(names) or 'none'}")
    return np.asarray(content[name])


def _matrix(path: Path, name: str) -> np.ndarray:
    matrix = _load(path, name)
    if matrix.ndim != 2 or matrix.shape[1] != 4:
        raise DataError(f"{path}: {name} has shape {matrix.shape}; expected (tracklets, 4): start, end, pid, camera")
    return matrix.astype(np.int64)


def _rows(folder: Path, list_file: Path, tracks: np.ndarray, source: Path) -> pd.DataFrame:
    names = list_file.read_text().split()
    parsed = [_NAME.fullmatch(name) for name in names]
    if wrong := [name for name, match in zip(names, parsed) if match is None]:
        raise DataError(f"{list_file}: {len(wrong)} names do not follow {_SHOWN}: {first_few(wrong)}")
    _need_pictures(folder, names)
    rows: list[dict[str, Any]] = []
    for number, (start, end, pid, camid) in enumerate(tracks.tolist(), start=1):
        if not 1 <= start <= end <= len(names):
            raise DataError(
                f"{source}: row {number} spans names {start} to {end}; expected a span within the {len(names)} names of "
                f"{list_file.name} (from 1)"
            )
        for name, match in zip(names[start - 1 : end], parsed[start - 1 : end]):
            label = -1 if match["pid"] == "00-1" else int(match["pid"])
            if (label, int(match["camid"])) != (pid, camid):
                raise DataError(
                    f"{source}: row {number} says identity {pid} and camera {camid}, but its picture {name} says "
                    f"{label} and {match['camid']}"
                )
            rows.append(
                {
                    "path": str(folder / name[:4] / name),
                    "pid": pid,
                    "camid": camid,
                    "tracklet": number,
                    "frame": int(match["frame"]),
                }
            )
    return pd.DataFrame(rows, columns=["path", "pid", "camid", "tracklet", "frame"])


def _need_pictures(folder: Path, names: list[str]) -> None:
    # One listing per identity: asking for a million files one by one takes minutes on a network disk.
    wanted: dict[str, set[str]] = {}
    for name in names:
        wanted.setdefault(name[:4], set()).add(name)
    missing: list[str] = []
    for person, mine in sorted(wanted.items()):
        home = folder / person
        there = {item.name for item in home.iterdir()} if home.is_dir() else set()
        missing += [f"{person}/{name}" for name in sorted(mine - there)]
    if missing:
        raise MissingDataError(
            f"{folder}: {len(missing)} of {len(names)} listed pictures are missing: {first_few(missing)}; unpack it again"
        )
