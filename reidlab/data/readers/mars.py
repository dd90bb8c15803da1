"""MARS (Zheng et al., ECCV 2016): tracklets, listed in ``info``.

``info/{train,test}_name.txt`` list the pictures; a track matrix says for each tracklet its first and last picture
(counted from 1), identity and camera; ``query_IDX`` holds the tracklets of the test that are queries. A tracklet's
number is its row in the matrix of its part, from 1. The queries are part of the test tracklets: their pictures are in
the table twice, as ``query`` and as ``gallery``, under the same tracklet number, and the evaluation protocol decides
whether they count in the gallery. Identity -1 is junk, 0 a distractor.

Two things were released with CF-AAN (Liu et al., "Video-based person re-identification without bells and whistles",
CVPRW 2021; Sec. 2.6.4) and are read where they are: corrected labels of the test (:func:`cleaned_labels`) and, for
pictures that were cut anew by re-Detect and Link, the part of each that is picture and not padding (:func:`dl_boxes`).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from reidlab.checks import check_choice, plural
from reidlab.data.readers.base import NamePattern, Reader, existing, first_few, require
from reidlab.data.table import SampleTable, make_table
from reidlab.errors import DataError, MissingDataError
from reidlab.formats import mars
from reidlab.reading import read_text

NAMES = NamePattern(mars.SHAPE, mars.STEM)
_OVERLAP = 10  # tracklets that a picture is in, on average; one in MARS
_FILES = (*mars.NAMES.values(), *mars.TRACKS.values(), mars.QUERIES)


class MARSReader(Reader):
    """Reads MARS and what is laid out like it."""

    name = "mars"
    expects = "bbox_train, bbox_test with <id>/<picture> and info with names, track matrices and query_IDX"
    signs = ("bbox_train", "bbox_test", *_FILES)
    distractor = 0
    lists = True

    def table(self, home: Path, dataset: str) -> SampleTable:
        """Return the sample table of a folder; see :class:`~reidlab.data.readers.base.Reader`."""
        require(home, ["bbox_train", "bbox_test", *_FILES], dataset)
        train, test = (self._part(home, part, dataset) for part in ("train", "test"))
        queries = self._queries(home, len(_tracks(home, "test", dataset)), dataset)
        query = test[test["tracklet"].isin(queries)]
        table = pd.concat(
            [train.assign(split="train"), query.assign(split="query"), test.assign(split="gallery")], ignore_index=True
        )
        return make_table(dataset, **{name: table[name] for name in table})

    def fits(self, root: Path) -> bool:
        """Return whether the files of ``info`` are there."""
        return all((root / name).is_file() for name in _FILES)

    def _part(self, home: Path, part: str, dataset: str) -> pd.DataFrame:
        listed, names = mars.NAMES[part], mars.read_names(home, part)
        parsed = NAMES.parse_all([name.replace("00-1", "0000", 1) for name in names], listed, dataset)
        pids = np.array([-1 if name.startswith("00-1") else pid for name, pid in zip(names, parsed["pid"])], dtype=int)
        tracks = _tracks(home, part, dataset)
        outside = (tracks[:, 0] < 1) | (tracks[:, 1] < tracks[:, 0]) | (tracks[:, 1] > len(names))
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            raise DataError(
                f"{dataset}: row {row + 1} of {mars.TRACKS[part]} spans pictures {tracks[row, 0]} to "
                f"{tracks[row, 1]}, but {listed} has {len(names)}"
            )
        lengths = tracks[:, 1] - tracks[:, 0] + 1
        if lengths.sum() > _OVERLAP * len(names):
            raise DataError(
                f"{dataset}: the tracklets of {mars.TRACKS[part]} span {lengths.sum():,} pictures in all, but {listed} "
                f"has {len(names):,}"
            )
        number = np.repeat(np.arange(1, len(tracks) + 1), lengths)
        # Positions of all pictures of all tracklets, in their order: one arange shifted tracklet by tracklet.
        place = np.arange(lengths.sum()) + np.repeat(tracks[:, 0] - 1 - np.cumsum(lengths) + lengths, lengths)
        camids = np.array(parsed["camid"], dtype=int)
        for column, values, at in (("identity", pids, 2), ("camera", camids, 3)):
            wrong = np.flatnonzero(values[place] != tracks[number - 1, at])
            if len(wrong):
                raise DataError(
                    f"{dataset}: {plural(len(wrong), 'picture')} of {mars.TRACKS[part]} has another {column} "
                    f"than its name: {first_few([names[place[i]] for i in wrong[:4]])}"
                )
        prefix = f"{home}{os.sep}"
        paths = np.array([prefix + mars.picture_path(part, name) for name in names], dtype=object)
        frames = np.array(parsed["frame"], dtype=int)
        return pd.DataFrame({
            "path": paths[place], "pid": pids[place], "camid": camids[place], "tracklet": number,
            "frame": frames[place],
        })  # fmt: skip

    def _queries(self, home: Path, count: int, dataset: str) -> np.ndarray:
        queries = mars.read_matrix(home, mars.QUERIES).astype(np.int64).ravel()
        if len(queries) and not (queries.min() >= 1 and queries.max() <= count):
            raise DataError(
                f"{dataset}: {mars.QUERIES} names tracklets {queries.min()} to {queries.max()}, "
                f"expected numbers from 1 to {count}"
            )
        return queries


def cleaned_labels(root: str | Path, dataset: str = "mars") -> pd.DataFrame:
    """Return the corrected labels of the test tracklets (Sec. 2.6.4).

    They are read from ``info/clean_tracks_test_info.mat``, whose variable ``track_test_info`` has a row per test
    tracklet and six columns: first and last picture, identity and camera as in the track matrix; the corrected
    identity; and the second identity of a tracklet that shows two people. Of the second, -1, 0, a missing value and the
    corrected identity itself all say that there is none.

    Args:
        root: folder of the data set.
        dataset: its name, for messages.

    Returns:
        A row per tracklet: ``tracklet`` (its row in the matrix, from 1, as in the sample table), ``pid`` and ``camid``
        as labelled, ``new_pid``, and ``ambiguous``, -1 for none.

    Raises:
        MissingDataError: the folder or a file is not there.
        DataError: the file is no such table, or one of other tracklets; the message names the rows.
    """
    home = existing(root, dataset)
    require(home, [mars.TRACKS["test"]], dataset)
    if not (home / mars.CLEANED).is_file():
        raise MissingDataError(
            f"{dataset}: {home} has no {mars.CLEANED}; these are the corrected labels that were released with CF-AAN "
            "(exports of the embedded world have them too)"
        )
    found = mars.read_matrix(home, mars.CLEANED)
    if found.shape[1] != 6:
        raise DataError(
            f"{dataset}: {mars.CLEANED} holds {found.dtype} of shape {found.shape}, expected numbers of shape "
            "(tracklets, 6): start, end, pid, camera, new pid, ambiguous id"
        )
    values = found.astype(np.float64)
    values[np.isnan(values[:, 5]), 5] = -1
    whole = (np.abs(values) < 2**31).all(axis=1)
    whole[whole] = (values[whole] == np.round(values[whole])).all(axis=1)
    _refuse(~whole, "holds a value that is not a whole number", dataset)
    labels = values.astype(np.int64)
    tracks = _tracks(home, "test", dataset)
    if len(labels) != len(tracks):
        raise DataError(
            f"{dataset}: {mars.CLEANED} has {plural(len(labels), 'row')}, but {mars.TRACKS['test']} {len(tracks):,}"
        )
    _refuse(
        (labels[:, :4] != tracks).any(axis=1),
        f"has another start, end, pid or camera than {mars.TRACKS['test']}", dataset,
    )  # fmt: skip
    _refuse(
        (labels[:, 4:] < -1).any(axis=1),
        "has a new pid or ambiguous id below -1 (-1 is junk, as an ambiguous id: none)", dataset,
    )  # fmt: skip
    new_pids, others = labels[:, 4], labels[:, 5]
    return pd.DataFrame({
        "tracklet": np.arange(1, len(labels) + 1), "pid": labels[:, 2], "camid": labels[:, 3], "new_pid": new_pids,
        "ambiguous": np.where((others > 0) & (others != new_pids), others, -1),
    })  # fmt: skip


def dl_boxes(root: str | Path, split: str, dataset: str = "mars") -> np.ndarray:
    """Return which part of each picture re-Detect and Link left as picture; the rest is padding.

    The boxes are read from ``info/mask_info.csv`` (train) or ``info/mask_info_test.csv`` (test): no header, and for
    each line of ``info/{train,test}_name.txt`` a line with the picture's name and its box in pixels,
    ``y0, y1, x0, x1`` (the last of each not included).

    Args:
        root: folder of the data set.
        split: ``train`` or ``test``.
        dataset: its name, for messages.

    Returns:
        (N, 4) int64 boxes y0, y1, x0, x1, in the order of the list of names.

    Raises:
        ConfigError: there is no such split.
        MissingDataError: the folder or a file is not there.
        DataError: the file does not follow the format or has other pictures; the message names the first such line.
    """
    check_choice("split", split, mars.MASKS)
    home, file, listed = existing(root, dataset), mars.MASKS[split], mars.NAMES[split]
    require(home, [file, listed], dataset)
    names = mars.read_names(home, split)
    lines = read_text(home / file).splitlines()
    if len(lines) != len(names):
        raise DataError(f"{dataset}: {file} has {plural(len(lines), 'line')}, but {listed} {len(names):,}")
    boxes = np.empty((len(names), 4), dtype=np.int64)
    for number, (line, name) in enumerate(zip(lines, names)):
        given, *numbers = (part.strip() for part in line.split(","))
        try:
            y0, y1, x0, x1 = (float(value) for value in numbers)
            good = (
                0 <= y0 < y1 < 2**31 and 0 <= x0 < x1 < 2**31 and all(value.is_integer() for value in (y0, y1, x0, x1))
            )
        except ValueError:
            good = False
        if not good:
            raise DataError(
                f"{dataset}: line {number + 1} of {file} is {line!r}, expected a name and whole numbers y0, y1, x0, x1 "
                "with 0 <= y0 < y1 and 0 <= x0 < x1"
            )
        boxes[number] = y0, y1, x0, x1
        # What is not a file name, such as a running number, is not compared.
        if given.endswith((".jpg", ".png")) and given.replace("\\", "/").rpartition("/")[2] != name:
            raise DataError(f"{dataset}: line {number + 1} of {file} is about {given}, but that of {listed} is {name}")
    return boxes


def dl_masks(table: SampleTable, root: str | Path) -> np.ndarray:
    """Return the boxes of :func:`dl_boxes` for the rows of a sample table that was read from the same folder.

    Returns:
        (rows, 4) int64 boxes y0, y1, x0, x1.

    Raises:
        MissingDataError: a file is not there.
        DataError: a row's picture is in no list, or see :func:`dl_boxes`.
    """
    dataset = table.attrs.get("dataset", "mars")
    out = np.empty((len(table), 4), dtype=np.int64)
    training = (table["split"] == "train").to_numpy()
    names = np.array([os.path.basename(path) for path in table["path"]], dtype=object)
    for part, rows in (("train", training), ("test", ~training)):
        if not rows.any():
            continue
        boxes = dl_boxes(root, part, dataset)
        place = pd.Index(mars.read_names(Path(root).expanduser(), part)).get_indexer(names[rows])
        if (place < 0).any():
            raise DataError(f"{dataset}: {names[rows][place < 0][0]} is not in {mars.NAMES[part]} of {root}")
        out[rows] = boxes[place]
    return out


def _refuse(bad: np.ndarray, complaint: str, dataset: str) -> None:
    if bad.any():
        rows = np.flatnonzero(bad) + 1
        more = f" ({plural(len(rows), 'such row')})" if len(rows) > 1 else ""
        raise DataError(f"{dataset}: row {rows[0]} of {mars.CLEANED} {complaint}{more}")


def _tracks(home: Path, part: str, dataset: str) -> np.ndarray:
    """Return a track matrix, (number of tracklets, 4) int: first and last picture (from 1), identity, camera."""
    name = mars.TRACKS[part]
    tracks = mars.read_matrix(home, name).astype(np.int64)
    if tracks.shape[1] != 4:
        raise DataError(f"{dataset}: {name} has shape {tracks.shape}, expected (tracklets, 4): start, end, pid, camera")
    return tracks


MARS = MARSReader()
