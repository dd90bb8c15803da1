"""Pictures decoded once."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reidlab import paths
from reidlab.data.table import BOX
from reidlab.errors import ConfigError, DataError, MissingDataError

if TYPE_CHECKING:
    import pandas as pd

_VERSION = 1  # of the decoding below: another number makes pictures kept on disk stale


class ImageCache:
    """The pictures of a table's rows, decoded and scaled once; an array to numpy.

    Where the table has a box (``x, y, w, h``), the box is cut out of the picture first, as far as it is inside.
    Shrinking averages areas, enlarging interpolates linearly.

    Args:
        table: sample table; only ``path`` and the box are used.
        size: height and width in pixels.
        on_disk: keep the decoded pictures in the cache folder, for the next process that asks for the same files; they
            are then mapped, not loaded.
        threads: number of decoding threads; None takes one per core.

    Raises:
        ConfigError: the size is not two positive integers.
        MissingDataError: a picture is not there.
        DataError: a picture cannot be decoded, or its box is outside of it; the message names the file.

    Example:
        >>> np.asarray(ImageCache(table, (128, 64))).shape  # doctest: +SKIP
        (12936, 128, 64, 3)
    """

    def __init__(
        self, table: pd.DataFrame, size: tuple[int, int], *, on_disk: bool = False, threads: int | None = None
    ) -> None:
        whole = isinstance(size, tuple | list) and all(isinstance(v, int | np.integer) and v > 0 for v in size)
        if not whole or len(size) != 2:
            raise ConfigError(f"size: {size!r} must be height and width in pixels, two positive integers")
        self.size = (int(size[0]), int(size[1]))
        files = [str(path) for path in table["path"]]
        boxes = table[list(BOX)].to_numpy(np.float64) if set(BOX) <= set(table.columns) else None
        shape = (len(files), *self.size, 3)
        if not on_disk or not files:
            self._images = np.empty(shape, np.uint8)
            _decode(files, boxes, self._images, threads)
            return
        kept = paths.cache_dir() / "pictures" / f"{_key(files, boxes, self.size)}.npy"
        if not kept.is_file():
            _keep(kept, files, boxes, shape, threads)
        # Copy on write: callers may treat the array as their own, the file stays as it is.
        self._images = np.load(kept, mmap_mode="c")

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self._images[rows]

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self._images)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if dtype is not None and np.dtype(dtype) != self._images.dtype:
            return self._images.astype(dtype)
        return np.array(self._images) if copy else np.asarray(self._images)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (N, H, W, 3)."""
        return self._images.shape

    @property
    def dtype(self) -> np.dtype:
        """Return uint8."""
        return self._images.dtype


def read_picture(path: str | Path) -> np.ndarray:
    """Return a picture as (H, W, 3) uint8 RGB.

    Raises:
        MissingDataError: there is no such file.
        DataError: it cannot be decoded, or its end is missing.
    """
    import cv2

    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise MissingDataError(f"{path}: there is no such picture") from None
    except OSError as error:
        raise DataError(f"{path}: the picture cannot be read ({error})") from error
    if _is_cut_short(content):
        raise DataError(f"{path}: the picture is truncated ({len(content)} bytes); unpack or copy it again")
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if picture is None:
        raise DataError(f"{path}: the picture cannot be decoded ({len(content)} bytes); unpack or copy it again")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _is_cut_short(content: bytes) -> bool:
    # OpenCV decodes half a JPEG or PNG without complaint and leaves the rest grey, so the end is looked for here.
    if content.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in content[-1024:]
    if content.startswith(b"\x89PNG"):
        return b"IEND" not in content[-64:]
    return False


def _decode(files: list[str], boxes: np.ndarray | None, out: np.ndarray, threads: int | None) -> None:
    rows_of: dict[str, list[int]] = {}
    for row, file in enumerate(files):
        rows_of.setdefault(file, []).append(row)

    def work(item: tuple[str, list[int]]) -> None:
        file, rows = item
        picture = read_picture(file)
        for row in rows:
            out[row] = _scaled(picture if boxes is None else _cut(picture, boxes[row], file), out.shape[1:3])

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for _ in pool.map(work, rows_of.items()):
            pass


def _cut(picture: np.ndarray, box: np.ndarray, file: str) -> np.ndarray:
    height, width = picture.shape[:2]
    x, y, w, h = box
    left, top = max(round(x), 0), max(round(y), 0)
    right, bottom = min(round(x + w), width), min(round(y + h), height)
    if right <= left or bottom <= top:
        shown = ", ".join(f"{value:g}" for value in box)
        raise DataError(f"{file}: box x, y, w, h = {shown} has no pixel in the picture of {width} x {height}")
    return picture[top:bottom, left:right]


def _scaled(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    import cv2

    height, width = size
    if picture.shape[:2] == (height, width):
        return picture
    shrinks = picture.shape[0] * picture.shape[1] > height * width
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _key(files: list[str], boxes: np.ndarray | None, size: tuple[int, int]) -> str:
    digest = hashlib.blake2b(f"{_VERSION} {size[0]} {size[1]}".encode(), digest_size=16)
    for file in files:
        try:
            status = os.stat(file)
        except OSError:
            raise MissingDataError(f"{file}: there is no such picture") from None
        digest.update(f"\0{os.path.abspath(file)}\0{status.st_mtime_ns}\0{status.st_size}".encode())
    if boxes is not None:
        digest.update(np.ascontiguousarray(boxes).tobytes())
    return digest.hexdigest()


def _keep(path: Path, files: list[str], boxes: np.ndarray | None, shape: tuple[int, ...], threads: int | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        _decode(files, boxes, images, threads)
        images.flush()
        del images
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
