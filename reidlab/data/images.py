"""Pictures: one way to open them, and all those of a sample table decoded once, as one array of bytes.

What a file means is the same everywhere: 16 bits are brought to 8 (v / 257, rounded), numbers with a point in 0..1 to
0..255; a picture that says how the camera was held is turned upright, and boxes refer to the upright picture; what is
transparent shows a middle grey. Palettes, CMYK, LAB and 1 bit are converted as Pillow does. Of several pages the first
is taken. Colours of 16 bits lose their lower byte in Pillow itself.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import ExifTags, Image
from tqdm import tqdm

from reidlab import paths
from reidlab.checks import check_size, plural
from reidlab.data.table import BOX
from reidlab.errors import DataError
from reidlab.files import replacing, reserve
from reidlab.reading import check_file

#: Formats that are opened, by content and not by ending. Pillow knows more; EPS, for one, starts another program.
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "PPM", "GIF", "TIFF", "WEBP")

_VERSION = 2  # of what decoding makes of a file; a change makes stored pictures unknown
_LARGE = 4 * 2**30  # bytes above which pictures go to disk unless told otherwise
_CHUNK = 32  # files a thread decodes in one go
_SHOWN = 3
_LARGEST_FILE = 2**30  # bytes of a picture's file
_BYTES = 16  # that decoding takes for each pixel, alpha and copies included
_ALWAYS = 2**22  # pixels for which nobody looks how much memory there is
_MOST = 178_000_000  # pixels that Pillow opens at all
_GREY = 128  # behind what is transparent
#: What brings a picture upright, by its EXIF orientation.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
#: Where a decoder leaves what says so.
_SAYS_HOW_HELD = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
# What is wrong with a picture is said with its name; Pillow's warnings would only be noise on the terminal.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

Box = tuple[float, float, float, float]


class ImageCache:
    """The pictures of a sample table, decoded once, as an array (N, H, W, 3) uint8 RGB.

    A row with a box ``x, y, w, h`` is that window of its file. Files that several rows share are opened once. Pictures
    are resized with an antialiased bilinear filter. On disk they are stored under the cache folder, under a name made
    from the files' paths, times and sizes, so that a changed file is read anew; a half-written store is never seen.

    Args:
        table: sample table of N rows.
        size: height and width, in pixels.
        on_disk: keep the pictures in a file that is mapped into memory, for this and later runs; None does so above
            4 GiB.
        threads: number of decoding threads; None takes one per core, at most 8.
        quiet: whether to leave out the progress bar.

    Raises:
        ConfigError: the size is not two positive integers.
        DataError: pictures are missing, truncated or no pictures; the message counts them and names the first.
        StorageError: they are to be kept on disk and there is no room for them.

    Example:
        >>> images = ImageCache(table, size=(64, 32))  # doctest: +SKIP
        >>> np.asarray(images).shape  # doctest: +SKIP
        (1184, 64, 32, 3)
    """

    def __init__(
        self,
        table: pd.DataFrame,
        size: tuple[int, int],
        on_disk: bool | None = None,
        threads: int | None = None,
        quiet: bool = False,
    ) -> None:
        self.size = check_size("size", size)
        self._threads = threads or min(8, _cores())
        self._quiet = quiet
        rows = _pictures(table)
        unique = list(dict.fromkeys(rows))
        shape = (len(unique), *self.size, 3)
        on_disk = on_disk if on_disk is not None else int(np.prod(shape, dtype=np.int64)) > _LARGE
        images = self._stored(unique, shape) if on_disk and unique else self._decoded(np.empty(shape, np.uint8), unique)
        if len(unique) < len(rows):
            place = {picture: i for i, picture in enumerate(unique)}
            images = images[[place[picture] for picture in rows]]
        #: (N, H, W, 3) uint8, RGB, in the order of the table's rows.
        self.images: np.ndarray = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Return one picture or several, as numpy indexes an array."""
        return self.images[index]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the pictures themselves for ``np.asarray``, not a copy."""
        return np.array(self.images, dtype=dtype, copy=copy)

    def _decoded(self, images: np.ndarray, pictures: Sequence[tuple[str, Box | None]]) -> np.ndarray:
        """Return the array given, filled with the decoded pictures."""
        files: dict[str, list[tuple[int, Box | None]]] = {}
        for place, (path, box) in enumerate(pictures):
            files.setdefault(path, []).append((place, box))
        jobs = list(files.items())
        chunks = [jobs[i : i + _CHUNK] for i in range(0, len(jobs), _CHUNK)]
        bad: list[tuple[str, str]] = []
        with (
            ThreadPoolExecutor(self._threads) as pool,
            tqdm(total=len(jobs), desc="decoding pictures", disable=self._quiet, delay=1.0, leave=False) as bar,
        ):
            for chunk, found in zip(chunks, pool.map(lambda chunk: _decode(chunk, images), chunks)):
                bad += found
                bar.update(len(chunk))
        if bad:
            raise DataError(unreadable(bad))
        return images

    def _stored(self, pictures: Sequence[tuple[str, Box | None]], shape: tuple[int, ...]) -> np.ndarray:
        path = paths.cache_dir() / "pictures" / f"{_key(pictures, self.size)}.npy"
        if (stored := _stored_before(path, shape)) is None:
            with replacing(path) as temporary:
                images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
                with temporary.open("r+b") as file:
                    reserve(file.fileno(), temporary.stat().st_size, path)
                self._decoded(images, pictures).flush()
                del images
            stored = np.load(path, mmap_mode="c")
        return stored


def _stored_before(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the pictures in a file of the cache, or None if there is none that is whole."""
    try:
        # Copy on write: torch wants writable memory, and the store must stay as it is.
        images = np.load(path, mmap_mode="c") if path.is_file() else None
    except (OSError, ValueError, EOFError, SyntaxError):
        return None
    whole = images is not None and images.shape == shape and images.dtype == np.uint8
    return images if whole and path.stat().st_size == images.offset + images.nbytes else None


def read_picture(path: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return one picture as (H, W, 3) uint8 RGB, resized if a size (height, width) is given.

    Raises:
        DataError: the file is missing, truncated or no picture.
    """
    try:
        picture = decode(path)
    except Exception as error:  # a broken file can make its decoder raise anything
        raise DataError(unreadable([(str(path), why_unreadable(error, path))])) from error
    if size is not None:
        height, width = check_size("size", size)
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.array(picture)


def open_picture(path: str | Path) -> Image.Image:
    """Return a picture of which the header is read and nothing decoded; it is to be closed.

    Raises:
        DataError: it is no file or may not be read, or it has more pixels than there is memory for.
        OSError: it is in none of :data:`FORMATS`.
    """
    check_file(path, most=_LARGEST_FILE)
    image = Image.open(path, formats=FORMATS)
    pixels = image.width * image.height
    if pixels > _ALWAYS and pixels > (most := _most_pixels()):
        image.close()
        raise DataError(
            f"{path}: has {image.width} x {image.height} pixels; the memory of this machine allows {most:,} in all"
        )
    return image


def decode(path: str | Path) -> Image.Image:
    """Return a picture in 8-bit RGB, upright; this module's header says what becomes of other kinds.

    Raises:
        DataError: see :func:`open_picture`, or its numbers are in no known range.
        Exception: whatever a decoder raises at a broken file; :func:`why_unreadable` turns it into words.
    """
    with open_picture(path) as image:
        image.load()
        mode, kind, turn = image.mode, image.format, None
        if any(key in image.info for key in _SAYS_HOW_HELD):
            with suppress(Exception):  # damaged notes on a picture leave the picture what it is
                turn = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation))
        picture = image if turn is None else image.transpose(turn)
        if mode.startswith("I") or mode == "F":
            return Image.fromarray(_in_bytes(picture, kind, path)).convert("RGB")
        seen_through = mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
        if seen_through or (mode == "P" and image.palette.mode.endswith("A")):
            back = Image.new("RGBA", picture.size, (_GREY, _GREY, _GREY, 255))
            picture = Image.alpha_composite(back, picture.convert("RGBA"))
        return picture.convert("RGB")


def _in_bytes(picture: Image.Image, kind: str | None, path: str | Path) -> np.ndarray:
    """Return grey values (H, W) uint8 of a picture with more than 8 bits."""
    values = np.asarray(picture)
    if picture.mode == "F":
        low, high = (float(values.min()), float(values.max())) if np.isfinite(values).all() else (np.nan, np.nan)
        if not (low >= 0 and high <= 1):
            found = "are not all finite" if np.isnan(low) else f"are in {low:g}..{high:g}"
            raise DataError(f"{path}: its numbers {found}; expected 0..1, or a file of 8 or 16 bits")
        return np.rint(values * np.float32(255)).astype(np.uint8)
    if picture.mode == "I" and not (kind in ("PNG", "PPM") and values.min() >= 0 and values.max() <= 65535):
        raise DataError(
            f"{path}: its numbers of 32 bits are in {values.min()}..{values.max()}; expected a file of 8 or 16 bits"
        )
    grey = np.rint(values / 257).astype(np.uint8)
    if isinstance(clear := picture.info.get("transparency"), int):
        grey[values == clear] = _GREY
    return grey


def _most_pixels() -> int:
    """Return how many pixels a picture may have where every thread decodes one."""
    available = 2**31
    with suppress(OSError, ValueError, AttributeError):
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    with suppress(OSError, ValueError, IndexError):  # Linux knows what is not in use
        available = int(Path("/proc/meminfo").read_text().partition("MemAvailable:")[2].split()[0]) * 1024
    with suppress(OSError, ValueError):  # a container has less than the machine
        limit, used = (int(Path("/sys/fs/cgroup", name).read_text()) for name in ("memory.max", "memory.current"))
        available = min(available, max(0, limit - used))
    return min(_MOST, available // (_BYTES * min(8, _cores())))


def unreadable(bad: Sequence[tuple[str, str]]) -> str:
    """Return one line on pictures that cannot be read, from pairs of path and reason."""
    shown = "; ".join(f"{path} ({why})" for path, why in bad[:_SHOWN])
    dots = "; ..." if len(bad) > _SHOWN else ""
    return f"{plural(len(bad), 'picture')} cannot be read: {shown}{dots}"


def _decode(chunk: Sequence[tuple[str, list[tuple[int, Box | None]]]], images: np.ndarray) -> list[tuple[str, str]]:
    """Decode some files into their places; return those that failed, with the reason."""
    height, width = images.shape[1:3]
    bad = []
    for path, places in chunk:
        try:
            picture = decode(path)
            for place, box in places:
                window = _window(box, picture.size) if box else None
                images[place] = picture.resize((width, height), Image.Resampling.BILINEAR, box=window)
        except Exception as error:  # a broken file can make its decoder raise anything
            bad.append((path, why_unreadable(error, path)))
    return bad


def why_unreadable(error: Exception, path: str | Path) -> str:
    """Return why a file is no picture, from the error of its decoder; never an empty text."""
    if isinstance(error, Image.UnidentifiedImageError):
        return f"it is no picture in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    if isinstance(error, FileNotFoundError) and not isinstance(error, DataError):
        return "there is no such file"
    text = " ".join(str(error).split()).removeprefix(f"{path}: ")
    return text or f"its decoder failed with {type(error).__name__}"


def _window(box: Box, size: tuple[int, int]) -> Box:
    """Return the part of a box (x, y, w, h) inside a picture, as left, top, right, bottom."""
    x, y, w, h = box
    left, top, right, bottom = max(0.0, x), max(0.0, y), min(float(size[0]), x + w), min(float(size[1]), y + h)
    if right <= left or bottom <= top:
        raise ValueError(f"box {box} lies outside the picture of {size[0]} x {size[1]} pixels")
    return left, top, right, bottom


def _pictures(table: pd.DataFrame) -> list[tuple[str, Box | None]]:
    files = table["path"].tolist()
    if not all(name in table for name in BOX):
        return [(path, None) for path in files]
    return list(zip(files, map(tuple, table[list(BOX)].to_numpy().tolist())))


def _key(pictures: Sequence[tuple[str, Box | None]], size: tuple[int, int]) -> str:
    summary = hashlib.blake2b(f"{_VERSION} {size}".encode(), digest_size=16)
    stats: dict[str, str] = {}
    bad = []
    for path, box in pictures:
        if path not in stats:
            try:
                info = os.stat(path)
                stats[path] = f"{path} {info.st_mtime_ns} {info.st_size}"
            except OSError as error:
                stats[path] = path
                bad.append((path, why_unreadable(error, path)))
        summary.update(f"{stats[path]} {box}\n".encode(errors="surrogateescape"))
    if bad:
        raise DataError(unreadable(bad))
    return summary.hexdigest()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
