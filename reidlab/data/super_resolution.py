"""Luma pictures for super-resolution: readers, generated ones, bicubic degradation, aligned patches and PSNR.

Pictures are the Y channel as the literature of super-resolution takes it: MATLAB's ``rgb2ycbcr`` on 8 bits, which is
BT.601 with black at 16 and white at 235, divided by 255. Grey files are taken as they are, as MATLAB programs do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from reidlab.checks import check_integer
from reidlab.data import catalogue
from reidlab.data.images import decode, open_picture, unreadable, why_unreadable
from reidlab.data.readers.base import existing, held_in, pictures_in
from reidlab.errors import ConfigError, DataError, MissingDataError
from reidlab.seeding import rng

#: Side of the crops that networks learn from (Sec. 5.4.1).
PATCH = 41

_LUMA = np.array([65.481, 128.553, 24.966])  # of 255; with 16 more, 16..235
_SETS = {"train": ("Train", "yang91"), "set5": ("Test/Set5", "set5"), "set14": ("Test/Set14", "set14")}
_TITLES = {"train": "91 images", "set5": "Set5", "set14": "Set14"}
_FINER = 4  # generated pictures are drawn so much larger, so that their edges are smooth
_LETTERS = "ABCDEFGHKLMNPRSTUVXYZabdefghkmnpqrstuy0123456789"


@dataclass(frozen=True, eq=False)
class LumaSet:
    """Named luma pictures of any sizes.

    Attributes:
        name: of the set.
        pictures: each (H, W) float32 in 0..1.
        names: one for each picture.

    Raises:
        DataError: there are none, numbers of pictures and names differ, or one is not finite numbers in 0..1.
    """

    name: str
    pictures: tuple[np.ndarray, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.pictures or len(self.pictures) != len(self.names):
            raise DataError(
                f"{self.name}: {len(self.pictures)} pictures and {len(self.names)} names; expected a name each"
            )
        for picture, name in zip(self.pictures, self.names):
            if picture.ndim != 2 or picture.dtype != np.float32 or not picture.size:
                raise DataError(f"{self.name}: {name}: {picture.dtype} {picture.shape}, expected float32 (H, W)")
            if not (picture.min() >= 0 and picture.max() <= 1):  # NaN is neither
                raise DataError(f"{self.name}: {name}: values in {picture.min():g}..{picture.max():g}, expected 0..1")

    def __len__(self) -> int:
        return len(self.pictures)


def luma(rgb: np.ndarray) -> np.ndarray:
    """Return (H, W) float32 in 16/255..235/255 of a picture (H, W, 3) uint8; this module's header says how.

    Raises:
        DataError: the picture is not uint8 (H, W, 3).

    Example:
        >>> luma(np.full((1, 1, 3), 255, np.uint8)) * 255
        array([[235.]], dtype=float32)
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise DataError(f"picture: {rgb.dtype} {rgb.shape}, expected uint8 (H, W, 3)")
    return (np.rint(16 + rgb @ (_LUMA / 255)) / 255).astype(np.float32)


def read_folder(folder: str | Path, name: str = "") -> LumaSet:
    """Return the pictures (BMP, PNG, JPEG) of a folder, in the order of their names.

    Args:
        folder: that holds the files.
        name: of the set; the folder's where empty.

    Raises:
        MissingDataError: there is no such folder, or it holds no pictures.
        DataError: pictures in it cannot be read.
    """
    root = existing(folder, name or "pictures")
    files = pictures_in(root)
    if not files:
        raise MissingDataError(f"{root}: holds no pictures; found {held_in(root)}")
    return LumaSet(name or root.name, _read([root / file for file in files]), tuple(Path(file).stem for file in files))


def sr_sets(folder: str | Path) -> dict[str, LumaSet]:
    """Return the sets ``train`` (91 images), ``set5`` and ``set14`` of a folder with Train, Test/Set5 and Test/Set14.

    Raises:
        MissingDataError: one of these is not there or holds no pictures.
        DataError: pictures cannot be read.
    """
    root = existing(folder, "super-resolution sets")
    return {key: read_folder(root / place, _TITLES[key]) for key, (place, _) in _SETS.items()}


def find_sr_sets() -> dict[str, LumaSet]:
    """Return the sets of :func:`sr_sets`, each from where the catalogue finds it: registered, or below REIDLAB_DATA.

    Raises:
        MissingDataError: one of them is not on this machine; the message says what to do.
        DataError: pictures cannot be read.
    """
    places = {key: catalogue.find(name).path for key, (_, name) in _SETS.items()}
    return {key: read_folder(place, _TITLES[key]) for key, place in places.items()}


def installed_photographs() -> LumaSet:
    """Return three photographs that come with libraries: scikit-learn's china and flower, matplotlib's grace_hopper.

    Raises:
        MissingDataError: an installation lacks its file.
        DataError: a file cannot be read.
    """
    import matplotlib
    import sklearn.datasets

    folder = Path(sklearn.datasets.__file__).parent / "images"
    files = [folder / "china.jpg", folder / "flower.jpg"]
    files.append(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")
    if missing := [str(file) for file in files if not file.is_file()]:
        raise MissingDataError(f"{missing[0]}: there is no such file; install scikit-learn and matplotlib whole")
    return LumaSet("installed photographs", _read(files), tuple(file.stem for file in files))


def generated(count: int, seed: int, size: int = 96) -> LumaSet:
    """Return drawn pictures: shaded polygons, gratings, letters and rough ground. They are no photographs.

    Args:
        count: how many.
        seed: the same gives the same pictures; each depends on its place alone, so that more pictures begin the same.
        size: height and width, in pixels.

    Raises:
        ConfigError: a number is no positive integer.
    """
    check_integer("count", count, 1)
    check_integer("size", size, 8)
    pictures = tuple(_drawn(rng(seed, "super-resolution", number), size) for number in range(count))
    return LumaSet("generated", pictures, tuple(f"generated {number}" for number in range(count)))


def crop_to_multiple(picture: np.ndarray, scale: int) -> np.ndarray:
    """Return a picture (H, W) without the last rows and columns that ``scale`` does not divide.

    Raises:
        ConfigError: ``scale`` is no positive integer.
        DataError: nothing would be left, or the picture is not (H, W).
    """
    check_integer("scale", scale, 1)
    if picture.ndim != 2 or min(picture.shape) < scale:
        raise DataError(f"picture: shape {picture.shape}, expected (H, W) of at least {scale} x {scale} pixels")
    height, width = (side - side % scale for side in picture.shape)
    return picture[:height, :width]


def degraded(picture: np.ndarray, scale: int) -> np.ndarray:
    """Return a picture made smaller by ``scale`` and brought back to its size, (H, W) float32, both by bicubic filters.

    It is Pillow's filter on floating point: Keys' kernel with a = -1/2, stretched by ``scale`` on reduction, which is
    how MATLAB's ``imresize`` antialiases. They differ at the border only: Pillow leaves out what lies outside, MATLAB
    mirrors it. Values may leave 0..1 a little.

    Args:
        picture: (H, W) numbers; ``scale`` divides both sides.
        scale: an integer of at least 1.

    Raises:
        ConfigError: ``scale`` is no positive integer, or does not divide the sides.
        DataError: the picture is not (H, W) or not finite.
    """
    check_integer("scale", scale, 1)
    picture = _finite("picture", picture)
    if picture.ndim != 2:
        raise DataError(f"picture: shape {picture.shape}, expected (H, W)")
    height, width = picture.shape
    if height % scale or width % scale or not picture.size:
        raise ConfigError(
            f"scale: {scale} does not divide a picture of {height} x {width} pixels; use crop_to_multiple before"
        )
    small = Image.fromarray(picture).resize((width // scale, height // scale), Image.Resampling.BICUBIC)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def patches(
    pictures: LumaSet | Sequence[np.ndarray],
    size: int = PATCH,
    stride: int | None = None,
    scale: int = 2,
    limit: int | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return aligned patches of degraded and whole pictures, both (N, 1, size, size) float32.

    Pictures are degraded whole, then cut on a grid; one that is smaller than a patch gives none.

    Args:
        pictures: each (H, W) in 0..1.
        size: side of a patch, in pixels.
        stride: from one patch to the next, in pixels; ``size`` where omitted.
        scale: of :func:`degraded`.
        limit: at most so many, drawn with ``seed`` and in their order; None keeps all.
        seed: of what is drawn.

    Raises:
        ConfigError: a parameter is no positive integer.
        DataError: no picture is as large as a patch, or one is not finite.
    """
    check_integer("size", size, 1)
    check_integer("stride", stride := size if stride is None else stride, 1)
    low, high = [], []
    for picture in pictures.pictures if isinstance(pictures, LumaSet) else pictures:
        whole = crop_to_multiple(np.asarray(picture, np.float32), scale)
        if min(whole.shape) >= size:
            for kept, part in ((low, degraded(whole, scale)), (high, whole)):
                windows = np.lib.stride_tricks.sliding_window_view(part, (size, size))[::stride, ::stride]
                kept.append(windows.reshape(-1, 1, size, size))
    if not low:
        raise DataError(
            f"pictures: none of {len(pictures)} has {size} x {size} pixels; choose a smaller size of patches"
        )
    low, high = np.concatenate(low), np.concatenate(high)
    if limit is not None and check_integer("limit", limit, 1) < len(low):
        chosen = np.sort(rng(seed, "patches").choice(len(low), limit, replace=False))
        low, high = low[chosen], high[chosen]
    return low, high


def psnr(a: np.ndarray, b: np.ndarray, border: int = 0) -> float:
    """Return the peak signal-to-noise ratio of two pictures of one shape (H, W), in dB; infinite if they are equal.

    Args:
        a: numbers with a peak of 1.
        b: likewise.
        border: pixels left out at each side, as a rule the scale.

    Raises:
        ConfigError: ``border`` is negative or leaves nothing.
        DataError: shapes differ, are not (H, W), or values are not finite.
    """
    a, b = _finite("a", a), _finite("b", b)
    if a.shape != b.shape or a.ndim != 2:
        raise DataError(f"shapes {a.shape} and {b.shape}; expected the same (H, W)")
    check_integer("border", border, 0, (min(a.shape) - 1) // 2, what="pixels that leave some of the picture")
    inner = slice(border, -border or None)
    error = float(np.mean((a[inner, inner].astype(float) - b[inner, inner]) ** 2))
    return math.inf if error == 0 else -10 * math.log10(error)


def _finite(field: str, values: np.ndarray) -> np.ndarray:
    values = np.ascontiguousarray(values, dtype=np.float32)
    if not np.isfinite(values).all():
        raise DataError(f"{field}: holds a value that is not finite (NaN or infinity)")
    return values


def _read(files: Iterable[Path]) -> tuple[np.ndarray, ...]:
    pictures, bad = [], []
    for file in files:
        try:
            with open_picture(file) as header:
                grey = header.mode in ("1", "L", "LA", "I", "F") or header.mode.startswith("I;16")
            rgb = np.asarray(decode(file))
            pictures.append(np.float32(rgb[..., 0]) / 255 if grey else luma(rgb))
        except Exception as error:  # a broken file can make its decoder raise anything
            bad.append((str(file), why_unreadable(error, file)))
    if bad:
        raise DataError(unreadable(bad))
    return tuple(pictures)


def _drawn(random: np.random.Generator, size: int) -> np.ndarray:
    """Return one generated picture (size, size) float32."""
    side = size * _FINER
    y, x = np.mgrid[:side, :side] / side
    slope = random.uniform(-60, 60, 2)
    ground = 128 + slope[0] * (x - 0.5) + slope[1] * (y - 0.5)
    for _ in range(2):  # gratings, each in a half plane
        angle, turns = random.uniform(0, np.pi), random.uniform(4, size / 5)
        along = np.cos(angle) * x + np.sin(angle) * y
        across = np.cos(angle + 1) * (x - 0.5) + np.sin(angle + 1) * (y - 0.5)
        ground += random.uniform(10, 45) * np.sin(2 * np.pi * turns * along) * (across > random.uniform(-0.2, 0.4))
    picture = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(random.integers(3, 8)):  # shapes with straight and with round edges
        centre, reach = random.uniform(0, side, 2), random.uniform(0.05, 0.25) * side
        grey = int(random.integers(256))
        if random.random() < 0.3:
            draw.ellipse([*(centre - reach), *(centre + reach)], fill=grey)
        else:
            turns = np.sort(random.uniform(0, 2 * np.pi, random.integers(3, 7)))
            corners = centre + reach * np.stack([np.cos(turns), np.sin(turns)], 1)
            draw.polygon([tuple(corner) for corner in corners.tolist()], fill=grey)
    for _ in range(random.integers(1, 4)):  # lines of letters
        font = ImageFont.load_default(int(random.integers(8, 20)) * _FINER)
        text = "".join(random.choice(list(_LETTERS), random.integers(3, 9)))
        draw.text(tuple(random.uniform(0, 0.8 * side, 2)), text, fill=int(random.integers(256)), font=font)
    smooth = np.asarray(picture, np.float32).reshape(size, _FINER, size, _FINER).mean((1, 3))
    rough = random.normal(0, random.uniform(0, 6), (size, size))
    return (np.clip(smooth + rough, 0, 255) / 255).astype(np.float32)
