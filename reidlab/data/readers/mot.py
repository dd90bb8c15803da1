"""MOTChallenge (Milan et al., 2016, arXiv:1603.00831): frames with boxes."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import Any

import pandas as pd

from reidlab.data.readers.base import first_few, need, need_root, pictures, subfolders
from reidlab.data.table import make_table
from reidlab.errors import ConfigError, DataError, MissingDataError

_SPLITS = {"train": "train", "test": "gallery"}
_PEDESTRIAN = 1
#: Where identities are a sequence's own, those of camera c are numbered from c times this.
PIDS_PER_CAMERA = 100_000


def read(root: str | Path, shared_pids: bool = False, detector: str = "FRCNN") -> pd.DataFrame:
    """Return one row per true box of a pedestrian; ``path`` is the whole frame, ``x, y, w, h`` the box in it.

    Each sequence is a camera: the number after ``-C`` at the end of its name, else its place in the order of names.
    ``test`` is the gallery; sequences without ``gt/gt.txt`` (the real test) have no labels and are passed over.
    ``tracklet`` counts the people of all sequences, from 1.

    Args:
        root: folder with ``train`` and perhaps ``test``, each holding sequences (``img1``, ``gt``, ``seqinfo.ini``).
        shared_pids: whether a number means the same person in all sequences, as in the embedded world; else it is
            added to 100,000 times the camera.
        detector: MOT17 holds each sequence once per detector, with the same truth: only those ending so are read.

    Raises:
        ConfigError: no sequence is left for this detector.
        MissingDataError: a folder or a frame that the truth names is missing.
        DataError: a line of the truth breaks the format.
    """
    home = need_root(root)
    need(home, "train")
    found = [
        (split, path) for name, split in _SPLITS.items() if (home / name).is_dir() for path in subfolders(home / name)
    ]
    variants = {path.name.rsplit("-", 1)[-1] for _, path in found} & {"DPM", "FRCNN", "SDP"}
    if variants:
        if detector not in variants:
            raise ConfigError(f"detector: {detector!r} has no sequence in {home}; found {', '.join(sorted(variants))}")
        found = [(split, path) for split, path in found if path.name.endswith(f"-{detector}")]
    places = {name: place for place, name in enumerate(sorted({path.name for _, path in found}), start=1)}
    rows: list[dict[str, Any]] = []
    for split, path in found:
        if split == "gallery" and not (path / "gt" / "gt.txt").is_file():
            continue
        number = re.search(r"-C(\d+)$", path.name)
        rows += _rows(path, split, int(number[1]) if number else places[path.name])
    tracks: dict[tuple[str, int, int], int] = {}
    for row in rows:
        row["tracklet"] = tracks.setdefault((row["split"], row["camid"], row["pid"]), len(tracks) + 1)
        if not shared_pids:
            row["pid"] += PIDS_PER_CAMERA * row["camid"]
    return make_table(rows, "mot")


def _rows(sequence: Path, split: str, camid: int) -> list[dict[str, Any]]:
    info, truth = need(sequence, "seqinfo.ini", "gt/gt.txt")
    frames = {path.stem: path for path in pictures(sequence / _image_folder(info))}
    rows, missing = [], []
    for number, line in enumerate(truth.read_text().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            frame, pid = (int(value) for value in line.split(",")[:2])
            x, y, w, h, flag, kind = (float(value) for value in line.split(",")[2:8])
        except ValueError:
            raise DataError(
                f"{truth}: line {number} is {line!r}; expected frame, id, x, y, w, h, flag, class, visibility"
            ) from None
        if flag == 0 or kind != _PEDESTRIAN:
            continue
        path = frames.get(f"{frame:06d}")
        if path is None:
            missing.append(frame)
            continue
        rows.append(
            {
                "path": str(path),
                "pid": pid,
                "camid": camid,
                "frame": frame,
                "split": split,
                "x": x,
                "y": y,
                "w": w,
                "h": h,
            }
        )
    if missing:
        wanted = sorted(set(missing))
        raise MissingDataError(
            f"{sequence}: {len(wanted)} frames that {truth.name} names are missing: {first_few(wanted)}"
        )
    return rows


def _image_folder(info: Path) -> str:
    parser = configparser.ConfigParser()
    try:
        parser.read_string(info.read_text())
        name = parser.get("Sequence", "imDir", fallback="img1")
    except configparser.Error as error:
        raise DataError(f"{info}: it is not an ini file with a section [Sequence] ({error.message})") from error
    need(info.parent, name)
    return name
