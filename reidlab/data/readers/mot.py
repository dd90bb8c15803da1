"""MOTChallenge (Milan et al., arXiv:1603.00831): whole frames with true and with detected boxes.

Each line of ``gt/gt.txt`` and ``det/det.txt`` is ``frame, id, x, y, w, h, score, class, visibility`` (the last two may
be missing). Boxes are kept as they are written; they may reach over the edge of the frame. Each sequence is a camera:
its number is the one at the end of the sequence's name where all have one (``-C3``), else its place in the sorted list
of names. MOT17 has each sequence three times, once per detector (``-DPM``, ``-FRCNN``, ``-SDP``), with the same frames
and people: these are one camera, and one of them is enough for a sample table.

Two sequences of the real challenge use the same number for different people; those of the embedded world share their
people. :data:`MOT` therefore makes identities different by adding 100,000 x camera, :data:`MOT_SHARED` does not.
"""

from __future__ import annotations

import re
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from reidlab.checks import check_choice, check_integer, check_name, check_number
from reidlab.data.readers.base import Reader, existing, first_few, folders_in, held_in, pictures_in
from reidlab.data.table import SampleTable, make_table
from reidlab.errors import DataError, MissingDataError
from reidlab.reading import read_text

_PARTS = {"train": "train", "test": "gallery"}
_COLUMNS = ("frame", "id", "x", "y", "w", "h", "score", "class_id", "visibility")
_KINDS = {"gt": "gt/gt.txt", "det": "det/det.txt"}
_PEDESTRIAN = 1
_APART = 100_000
_MOST = 10**9  # of whatever is counted in these files: frames, pixels, identities


@dataclass(frozen=True)
class Sequence:
    """One sequence of frames.

    Attributes:
        name: of the sequence.
        split: ``train``, or ``gallery`` for the test.
        camid: number of its camera.
        folder: its folder.
        frame_rate: frames a second.
        length: frames of the whole sequence, of which some may not be on disk.
        width, height: size of a frame, in pixels.
        frames: paths of the frames on disk, by their number.
    """

    name: str
    split: str
    camid: int
    folder: Path
    frame_rate: float
    length: int
    width: int
    height: int
    frames: dict[int, str]


@dataclass(frozen=True)
class MOTReader(Reader):
    """Reads MOTChallenge folders; a row of the sample table is the box of a person in a frame.

    Attributes:
        name: of the layout.
        shared: whether a number means the same person in all sequences.
        expects: one line on what the layout looks like on disk.
    """

    name: str = "mot"
    shared: bool = False
    expects: str = "train/<sequence> (and test/<sequence>) with seqinfo.ini, img1, gt/gt.txt, det/det.txt"
    lists: bool = True

    def table(self, home: Path, dataset: str) -> SampleTable:
        """Return a row per true box of a pedestrian in a frame that is on disk.

        Beside the usual columns the table has ``x, y, w, h`` in pixels, ``sequence`` and ``visibility`` (0..1);
        ``tracklet`` numbers a person in a sequence, from 1. Sequences without ``gt.txt`` give no rows.

        Raises:
            MissingDataError: there is no sequence, or none with true boxes.
            DataError: a file cannot be read.
        """
        boxes = self.boxes(home, "gt", dataset)
        first = boxes.groupby(["split", "camid"])["sequence"].transform("min")
        considered = (boxes["score"] != 0) & (boxes["class_id"] == _PEDESTRIAN)
        people = boxes[considered & (boxes["sequence"] == first)].reset_index(drop=True)
        if people.empty:
            raise MissingDataError(f"{dataset}: no {_KINDS['gt']} in {home} has a pedestrian in a frame that is there")
        people["tracklet"] = people.groupby(["split", "sequence", "id"], sort=False).ngroup() + 1
        columns = ("path", "pid", "camid", "split", "tracklet", "frame", "sequence", "visibility", "x", "y", "w", "h")
        return make_table(dataset, **{name: people[name].to_numpy() for name in columns})

    def boxes(self, root: str | Path, kind: str = "gt", dataset: str | None = None) -> pd.DataFrame:
        """Return all boxes of a kind that lie in frames on disk, as written.

        Args:
            root: folder that holds ``train`` and perhaps ``test``.
            kind: ``gt`` (true) or ``det`` (found by the challenge's detector).
            dataset: name for messages.

        Returns:
            Columns ``split, sequence, camid, frame, path, id, pid, x, y, w, h, score, class_id, visibility``; ``pid``
            is -1 in detections, ``visibility`` is 1 where the file does not say.

        Raises:
            ConfigError: the kind is unknown.
            MissingDataError: there is no sequence.
            DataError: a file cannot be read.
        """
        dataset = dataset or self.name
        check_choice("kind", kind, _KINDS)
        parts = []
        for sequence in self.sequences(root, dataset):
            path = sequence.folder / _KINDS[kind]
            if not path.is_file():
                continue
            found = _read_boxes(path, dataset)
            if not self.shared and (found["id"] >= _APART).any():
                raise DataError(
                    f"{dataset}: {path}: id {found['id'].max()} is too large; expected less than {_APART:,}"
                )
            found = found[found["frame"].isin(sequence.frames.keys())]
            pids = found["id"] if self.shared else found["id"] + _APART * sequence.camid
            found = found.assign(
                split=sequence.split,
                sequence=sequence.name,
                camid=sequence.camid,
                path=found["frame"].map(sequence.frames),
                pid=np.where(found["id"] < 0, -1, pids),
            )
            parts.append(found)
        order = ["split", "sequence", "camid", "frame", "path", "id", "pid", *_COLUMNS[2:]]
        return pd.concat(parts, ignore_index=True)[order] if parts else pd.DataFrame(columns=order)

    def sequences(self, root: str | Path, dataset: str | None = None) -> list[Sequence]:
        """Return the sequences of a folder, training ones first, each in the order of their names.

        Raises:
            MissingDataError: there is none.
            DataError: a ``seqinfo.ini`` cannot be read.
        """
        dataset = dataset or self.name
        home = existing(root, dataset)
        parts = [part for part in _PARTS if (home / part).is_dir()]
        found = [
            (p, s)
            for p in parts
            for s in folders_in(home / p)
            if any((home / p / s / name).exists() for name in ("seqinfo.ini", "img1", *_KINDS.values()))
        ]
        if not found:
            raise MissingDataError(f"{dataset}: {home} needs {self.expects}; it holds {held_in(home)}")
        cameras = _cameras({name for _, name in found})
        return [_read_sequence(home / part / name, _PARTS[part], cameras[name], dataset) for part, name in found]

    def fits(self, root: Path) -> bool:
        """Return whether there is a ``seqinfo.ini`` where one belongs."""
        return _holds(root, [f"{part}/*/seqinfo.ini" for part in _PARTS])

    def near(self, root: Path) -> int:
        """Return whether there are sequences in other places, or without ``seqinfo.ini``."""
        return int(_holds(root, ["seqinfo.ini", "*/seqinfo.ini", "*/gt/gt.txt", "*/*/gt/gt.txt", "*/*/img1"]))


def _holds(root: Path, patterns: list[str]) -> bool:
    return any(next(root.glob(pattern), None) for pattern in patterns)


def _cameras(names: set[str]) -> dict[str, int]:
    numbered = {name: re.search(r"-C(\d+)$", name) for name in names}
    if all(numbered.values()):
        return {name: int(hit[1]) for name, hit in numbered.items()}
    scenes = {name: re.sub(r"-(DPM|FRCNN|SDP)$", "", name) for name in names}
    places = {scene: place for place, scene in enumerate(sorted(set(scenes.values())), start=1)}
    return {name: places[scene] for name, scene in scenes.items()}


def _read_sequence(folder: Path, split: str, camid: int, dataset: str) -> Sequence:
    path = folder / "seqinfo.ini"
    parser = ConfigParser()
    try:
        parser.read_string(read_text(path))
        info = parser["Sequence"]
        images, ending = folder / check_name("imDir", info["imDir"]), info["imExt"].lower()
        length, width, height = (
            check_integer(name, int(info[name]), 1, _MOST) for name in ("seqLength", "imWidth", "imHeight")
        )
        rate = check_number("frameRate", float(info["frameRate"]), above=0)
    except (ConfigParserError, KeyError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{dataset}: {path} cannot be read: {' '.join(str(error).split())}") from error
    names = pictures_in(images) if images.is_dir() else []
    frames = [name for name in names if name.lower().endswith(ending)]
    odd = [name for name in frames if not re.fullmatch(r"\d{1,9}\.\w+", name)]
    if odd:
        raise DataError(f"{dataset}: {images} holds names that are not <frame>{ending}: {first_few(odd)}")
    places = {int(name.split(".")[0]): f"{images / name}" for name in frames}
    return Sequence(folder.name, split, camid, folder, rate, length, width, height, places)


def _read_boxes(path: Path, dataset: str) -> pd.DataFrame:
    """Return the boxes of a file, or say which line is not one."""
    text = enumerate(read_text(path).splitlines(), start=1)
    lines = [(number, line) for number, line in text if line.strip() and not line.startswith("#")]
    if not lines:
        return pd.DataFrame({name: pd.Series(dtype=_dtype(name)) for name in _COLUMNS})
    # The number of columns differs between years of the challenge; what follows the ninth is never used.
    columns = lines[0][1].count(",") + 1
    try:
        values = np.loadtxt([line for _, line in lines], delimiter=",", dtype=np.float64, comments=None, ndmin=2)
    except ValueError as error:
        number, line = next((item for item in lines if not _is_row(item[1], columns)), lines[0])
        raise DataError(
            f"{dataset}: {path}, line {number}: expected {columns} numbers separated by commas, found {line[:80]!r}"
        ) from error
    if columns < 7:
        raise DataError(f"{dataset}: {path} has {columns} columns, expected {', '.join(_COLUMNS[:7])} at least")
    table = pd.DataFrame(values[:, : len(_COLUMNS)], columns=_COLUMNS[: values.shape[1]])
    for name, default in (("class_id", _PEDESTRIAN), ("visibility", 1.0)):
        if name not in table or path.name == "det.txt":
            table[name] = default
    for name in _COLUMNS:
        whole = _dtype(name) == "int64"
        good = (table[name].abs() <= _MOST) & ((table[name] % 1 == 0) | (not whole))
        if not good.all():
            row = int(np.argmin(good))
            raise DataError(
                f"{dataset}: {path}, line {lines[row][0]}: {name} is {table[name][row]:g}, expected a "
                f"{'whole' if whole else 'finite'} number of at most {_MOST:,}"
            )
    return table.astype({name: _dtype(name) for name in _COLUMNS})


def _is_row(line: str, columns: int) -> bool:
    try:
        return len([float(value) for value in line.split(",")]) == columns
    except ValueError:
        return False


def _dtype(column: str) -> str:
    return "int64" if column in ("frame", "id", "class_id") else "float64"


MOT = MOTReader()
MOT_SHARED = MOTReader(name="mot_shared", shared=True)
