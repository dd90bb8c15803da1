"""The files of MARS (Zheng et al., ECCV 2016), as its reader, the embedded world and re-Detect and Link know them.

Pictures lie in ``bbox_{train,test}/<identity>``. ``info/{train,test}_name.txt`` lists their names, tracklet by
tracklet; a track matrix has a row per tracklet: first and last picture (counted from 1 in that list), identity, camera.
``query_IDX`` holds the test tracklets (counted from 1) that are queries. Beside them may lie what was released with
CF-AAN (Liu et al., CVPRW 2021): corrected labels of the test tracklets, a row of the track matrix with the corrected
and the ambiguous identity behind it, and the boxes of the part of each picture that is no padding.
"""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from reidlab.errors import DataError
from reidlab.reading import check_file, read_text

SHAPE = "<4-character id>C<cam>T<track>F<frame>.jpg"
STEM = r"(?P<pid>\d{4}|00-1)C(?P<camid>[1-9])T\d{4}F(?P<frame>\d{1,9})"
NAME = re.compile(rf"{STEM}\.(?:jpg|png)")
NAMES = {part: f"info/{part}_name.txt" for part in ("train", "test")}
TRACKS = {part: f"info/tracks_{part}_info.mat" for part in NAMES}
MASKS = {"train": "info/mask_info.csv", "test": "info/mask_info_test.csv"}
QUERIES = "info/query_IDX.mat"
CLEANED = "info/clean_tracks_test_info.mat"
_LARGEST_NUMBER = 2**31  # identity, camera or picture
_LARGEST = 64 * 2**20  # bytes of a file, and values of a matrix; those of MARS have a thousandth
#: Name of the variable that each MATLAB file holds.
_VARIABLES = {
    TRACKS["train"]: "track_train_info", TRACKS["test"]: "track_test_info", QUERIES: "query_IDX",
    CLEANED: "track_test_info",
}  # fmt: skip


def identity_name(pid: int) -> str:
    """Return an identity as names have it: four digits, ``00-1`` for junk."""
    return "00-1" if pid == -1 else f"{pid:04d}"


def picture_path(part: str, name: str) -> str:
    """Return where a picture of ``train`` or ``test`` lies, from the data set's folder on."""
    return f"bbox_{part}/{name[:4]}/{name}"


def track_names(pids: Iterable[int], camids: Iterable[int], lengths: Iterable[int]) -> list[list[str]]:
    """Return the names of each tracklet's pictures; the tracklets of one identity and camera count from 1.

    Args:
        pids: identity of each tracklet, -1 for junk.
        camids: camera of each.
        lengths: pictures of each.

    Raises:
        DataError: identity, camera or number of a tracklet have no room in a name.
    """
    counts: Counter[tuple[int, int]] = Counter()
    out = []
    for pid, camid, length in zip(pids, camids, lengths, strict=True):
        counts[pid, camid] += 1
        stem = f"{identity_name(pid)}C{camid}T{counts[pid, camid]:04d}"
        if not NAME.fullmatch(f"{stem}F001.jpg"):
            raise DataError(
                f"identity {pid}, camera {camid} and track {counts[pid, camid]} do not fit MARS's names, which have "
                "room for identities to 9999, cameras 1 to 9 and tracks to 9999 of each"
            )
        out.append([f"{stem}F{frame:03d}.jpg" for frame in range(1, length + 1)])
    return out


def read_names(root: Path, part: str) -> list[str]:
    """Return the names of the pictures of ``train`` or ``test``, in the order of their list.

    Raises:
        DataError: the list cannot be read; see :func:`~reidlab.reading.read_text`.
    """
    return read_text(root / NAMES[part]).split()


def read_matrix(root: Path, file: str) -> np.ndarray:
    """Return the matrix in one of the MATLAB files of ``info``.

    Args:
        root: folder of the data set.
        file: one of :data:`TRACKS`, :data:`QUERIES` and :data:`CLEANED`.

    Returns:
        (tracklets, 4) of :data:`TRACKS`, (1, queries) of :data:`QUERIES`, (tracklets, 6) of :data:`CLEANED`. The first
        two are whole numbers.

    Raises:
        DataError: it cannot be read, or does not hold the variable it should, or a value that is no number.
    """
    from scipy.io import loadmat, whosmat

    path, variable = root / file, _VARIABLES[file]
    check_file(path, most=_LARGEST)
    try:
        # Names and shapes first: a small compressed file may hold a matrix without end.
        held = {name: shape for name, shape, _ in whosmat(path)}
        if variable in held and math.prod(held[variable]) <= _LARGEST:
            values = np.asarray(loadmat(path, variable_names=[variable])[variable])
    except Exception as error:  # a broken file can make scipy raise anything
        why = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: cannot be read as a MATLAB file ({why})") from error
    if variable not in held:
        raise DataError(f"{path} has no variable {variable!r}; it holds {', '.join(map(str, held)) or 'nothing'}")
    if math.prod(held[variable]) > _LARGEST:
        raise DataError(f"{path}: {variable} has the shape {held[variable]}; at most {_LARGEST:,} values are read")
    if values.ndim != 2 or values.dtype.kind not in "iuf":
        raise DataError(f"{path}: {variable} is {values.dtype} of shape {values.shape}, expected numbers in a matrix")
    bad = ~np.isfinite(values) | (np.abs(values) > _LARGEST_NUMBER) | (values != np.round(values))
    if file != CLEANED and bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(
            f"{path}: row {row + 1}, column {column + 1} of {variable} is {values[row, column]:g}, "
            "expected a whole number"
        )
    return values


def write_part(
    root: Path, part: str, names: Sequence[Sequence[str]], pids: Sequence[int], camids: Sequence[int]
) -> np.ndarray:
    """Write the list of names and the track matrix of a part.

    Args:
        root: folder of the data set.
        part: ``train`` or ``test``.
        names: of each tracklet's pictures.
        pids: (tracklets,) identities.
        camids: (tracklets,) cameras.

    Returns:
        The track matrix, (tracklets, 4) float64, as MATLAB holds it.
    """
    (root / "info").mkdir(exist_ok=True)
    (root / NAMES[part]).write_text("".join(f"{name}\n" for track in names for name in track), encoding="utf-8")
    lengths = np.array([len(track) for track in names], dtype=np.int64)
    last = np.cumsum(lengths)
    matrix = np.stack([last - lengths + 1, last, pids, camids], axis=1).astype(np.float64)
    _write_matrix(root, TRACKS[part], matrix)
    return matrix


def write_test(root: Path, queries: Sequence[int], tracks: np.ndarray, labels: ArrayLike | None = None) -> None:
    """Write which test tracklets are queries, and the corrected labels where there are some.

    Args:
        root: folder of the data set.
        queries: tracklets, counted from 1.
        tracks: (tracklets, 4) as :func:`write_part` returned it.
        labels: (tracklets, 2) corrected and ambiguous identities.
    """
    _write_matrix(root, QUERIES, np.array([queries], dtype=np.float64))
    if labels is not None:
        labels = np.asarray(labels, dtype=np.float64).reshape(-1, 2)
        _write_matrix(root, CLEANED, np.concatenate([tracks, labels], axis=1))


def write_masks(root: Path, part: str, names: Iterable[str], masks: np.ndarray) -> None:
    """Write the boxes (N, 4) y0, y1, x0, x1 of a part's pictures, in the order of their list."""
    lines = [f"{name},{y0},{y1},{x0},{x1}\n" for name, (y0, y1, x0, x1) in zip(names, masks.tolist(), strict=True)]
    (root / MASKS[part]).write_text("".join(lines), encoding="utf-8")


def _write_matrix(root: Path, file: str, values: np.ndarray) -> None:
    """Write a matrix as a MATLAB 5 file whose bytes depend on nothing but the matrix."""
    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, {_VARIABLES[file]: values})
    data = bytearray(buffer.getvalue())
    # The text at the head of the file holds the date.
    data[:116] = b"MATLAB 5.0 MAT-file, written by reidlab".ljust(116)
    (root / file).write_bytes(bytes(data))
