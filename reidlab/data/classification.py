"""Labelled pictures, on which the classifiers of chapter 5 are pruned: readers of their formats, stratified divisions.

CIFAR-10 is read from its official files, ImageNet from folders of classes; scikit-learn's digits are always there.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from reidlab import paths
from reidlab.checks import check_choice, check_integer, check_labels, check_number, plural
from reidlab.data import catalogue
from reidlab.data.images import ImageCache, unreadable, why_unreadable
from reidlab.data.readers.base import existing, first_few, folders_in, pictures_in
from reidlab.errors import DataError, MissingDataError, ReidlabError
from reidlab.reading import check_file, read_text
from reidlab.seeding import rng

#: Names by which :func:`find_classification` knows what may be on a machine.
NAMES = ("digits", "cifar-10", "cifar-10-jpeg")

_CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR_SHAPE = (3, 32, 32)
_CIFAR_FILE = 10_000  # pictures of each of the six files
_CIFAR_FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py")
_LARGEST_BATCH = 2**26  # bytes; the official files have 31 million
_LARGEST_PARQUET = 2**31
_COLUMNS = ("split", "label", "class", "jpeg")
_DIGITS_TEST = 0.2
_CHUNK = 256  # pictures a thread decodes in one go
_THREADS = 4


@dataclass(frozen=True, eq=False)
class LabelledPictures:
    """Pictures of known classes.

    Attributes:
        images: (N, H, W, C) uint8, C is 1 (grey) or 3 (RGB).
        labels: (N,) int64, places in ``classes``.
        classes: names of the classes.

    Raises:
        DataError: types or shapes are others, there are no pictures, or a label is no class.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        images = self.images
        shaped = isinstance(images, np.ndarray) and images.ndim == 4 and images.shape[3] in (1, 3) and images.size
        if not shaped or images.dtype != np.uint8:
            found = f"{getattr(images, 'dtype', type(images).__name__)} {getattr(images, 'shape', '')}".strip()
            raise DataError(f"images: {found}, expected uint8 (N, H, W, C), at least one picture with C = 1 or 3")
        labels = check_labels("labels", self.labels, len(images))
        bad = np.flatnonzero((labels < 0) | (labels >= len(self.classes)))
        if bad.size:
            raise DataError(
                f"labels: picture {bad[0]} has label {labels[bad[0]]}; expected 0..{len(self.classes) - 1}, a place "
                f"among {plural(len(self.classes), 'name')} of classes"
            )
        object.__setattr__(self, "labels", labels.astype(np.int64))
        object.__setattr__(self, "classes", tuple(self.classes))

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: Any) -> LabelledPictures:
        """Return some of the pictures, in the order of ``indices``, (M,) places or (N,) booleans."""
        return LabelledPictures(self.images[indices], self.labels[indices], self.classes)

    def subset(self, count: int, seed: int) -> LabelledPictures:
        """Return ``count`` different pictures in their order here, each class with its share of them (± 1).

        Raises:
            ConfigError: there are not as many pictures.
        """
        check_integer("count", count, 1, len(self), what="pictures that there are")
        return self.take(_stratified(self.labels, count, seed))


@dataclass(frozen=True, eq=False)
class Classification:
    """A set of labelled pictures with its own division for the test.

    Attributes:
        name: as results are called.
        train: for training and validation.
        test: for the test.
    """

    name: str
    train: LabelledPictures
    test: LabelledPictures

    def divided(self, share: float = 0.1, seed: int = 0) -> tuple[LabelledPictures, LabelledPictures]:
        """Return training and validation pictures: a stratified share of ``train`` validates (Sec. 5.4.1: 10 %).

        Raises:
            ConfigError: ``share`` leaves one of both without pictures.
        """
        check_number("share", share, above=0, below=1)
        count = round(share * len(self.train))
        check_integer("share * len(train)", count, 1, len(self.train) - 1, what="validation pictures")
        held = np.zeros(len(self.train), bool)
        held[_stratified(self.train.labels, count, seed)] = True
        return self.train.take(~held), self.train.take(held)

    def limited(self, limit: int | tuple[int, int] | None, seed: int) -> Classification:
        """Return at most ``limit`` pictures per split (see :meth:`LabelledPictures.subset`); None keeps all.

        Raises:
            ConfigError: a limit is no positive integer.
        """
        splits = zip((self.train, self.test), _limits(limit))
        parts = [part if most is None or most >= len(part) else part.subset(most, seed) for part, most in splits]
        return Classification(self.name, *parts)


def digits() -> Classification:
    """Return scikit-learn's 1,797 handwritten digits, 8 x 8 and grey; a stratified fifth, always the same, tests.

    They are the test part of the Optical Recognition of Handwritten Digits set (E. Alpaydin and C. Kaynak, UCI, 1998);
    its grey levels 0..16 are brought to 0..255.
    """
    from sklearn.datasets import load_digits

    grey, labels = load_digits(return_X_y=True)
    images = np.rint(grey.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    everything = LabelledPictures(images, labels, tuple("0123456789"))
    whole = Classification("digits", everything, everything)
    return Classification("digits", *whole.divided(_DIGITS_TEST, seed=0))


def cifar10(folder: str | Path) -> Classification:
    """Return CIFAR-10 (A. Krizhevsky, 2009) from its official files, of the binary or of the Python version.

    The Python version's files are pickles. Nothing they name is run: lists, dicts, text, numbers and arrays of bytes
    are read, everything else is refused.

    Args:
        folder: ``cifar-10-batches-bin`` or ``cifar-10-batches-py``, or the folder that one of them is in.

    Raises:
        MissingDataError: the folder or one of its six files is not there.
        DataError: a file is cut short, holds other numbers of pictures, or is no such file.
    """
    root = existing(folder, "CIFAR-10")
    root = next((root / name for name in _CIFAR_FOLDERS if (root / name).is_dir()), root)
    binary = (root / "test_batch.bin").exists() or (root / "data_batch_1.bin").exists()
    names = [f"{name}{'.bin' * binary}" for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")]
    if missing := [name for name in names if not (root / name).exists()]:
        raise MissingDataError(
            f"CIFAR-10: {root} lacks {', '.join(missing)}; expected {', '.join(names)} of the official "
            f"{'binary' if binary else 'binary or Python'} version"
        )
    classes = _CIFAR_CLASSES
    if binary and (root / "batches.meta.txt").exists():
        classes = tuple(read_text(root / "batches.meta.txt").split())
        if len(classes) != len(_CIFAR_CLASSES):
            raise DataError(f"{root / 'batches.meta.txt'}: names {plural(len(classes), 'class')}; expected 10")
    read = _binary_batch if binary else _pickled_batch
    batches = [read(root / name) for name in names]
    train, test = (
        LabelledPictures(
            np.ascontiguousarray(
                np.concatenate([rows for rows, _ in part]).reshape(-1, *_CIFAR_SHAPE).transpose(0, 2, 3, 1)
            ),
            np.concatenate([labels for _, labels in part]),
            classes,
        )
        for part in (batches[:-1], batches[-1:])
    )
    return Classification("CIFAR-10", train, test)


def cifar10_jpeg(parquet: str | Path, limit: int | tuple[int, int] | None = None, seed: int = 0) -> Classification:
    """Return CIFAR-10 that was written anew as JPEG, from a parquet file of columns split, label, class and jpeg.

    JPEG costs networks trained on the original about ten points: results are CIFAR-10-JPEG's, and stand beside no
    published number of CIFAR-10.

    Args:
        parquet: the file.
        limit: how many pictures of each split are decoded, or of train and test; None decodes all.
        seed: the same gives the same pictures, each class with its share.

    Raises:
        MissingDataError: a split has no rows.
        DataError: the file is not there, no parquet file, lacks a column, or pictures in it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    limits = _limits(limit)
    check_file(parquet, most=_LARGEST_PARQUET)
    try:
        with pq.ParquetFile(parquet) as file:
            if missing := [name for name in _COLUMNS if name not in file.schema_arrow.names]:
                raise DataError(
                    f"{parquet}: lacks the column {missing[0]!r}; expected {', '.join(_COLUMNS)}, found "
                    f"{first_few(file.schema_arrow.names)}"
                )
            table = file.read(columns=list(_COLUMNS))
        table.validate(full=True)
        rows = table.select(["split", "label", "class"]).to_pandas(ignore_metadata=True)
        jpeg = table.column("jpeg").cast(pa.large_binary()).combine_chunks()
    except ReidlabError:
        raise
    except Exception as error:  # a damaged file can make its reader raise anything
        raise DataError(f"{parquet}: is no parquet file that can be read ({' '.join(str(error).split())})") from error
    labels = check_labels(f"{parquet}: label", rows["label"].to_numpy(), len(rows))
    classes = _classes_of(rows, parquet)
    parts = []
    for split, most in zip(("train", "test"), limits):
        places = np.flatnonzero((rows["split"] == split).to_numpy())
        if not places.size:
            raise MissingDataError(
                f"{parquet}: no row has split {split!r}; found {first_few(sorted(map(str, rows['split'].unique())))}"
            )
        if most is not None and most < len(places):
            places = places[_stratified(labels[places], most, seed)]
        parts.append(LabelledPictures(_decoded(jpeg, places, parquet), labels[places], classes))
    return Classification("CIFAR-10-JPEG", *parts)


def class_folders(folder: str | Path, size: tuple[int, int]) -> Classification:
    """Return pictures in ``train/CLASS`` and ``val/CLASS``, as ImageNet's are laid out; ``val`` tests.

    Args:
        folder: that holds both.
        size: height and width that pictures are resized to, whatever their form was; antialiased, bilinear.

    Raises:
        MissingDataError: a folder is not there.
        DataError: a class is in one split only or has no pictures, or pictures cannot be read.
    """
    root = existing(folder, "folders of classes")
    splits = [existing(root / split, "folders of classes") for split in ("train", "val")]
    names = [folders_in(split) for split in splits]
    if not names[0]:
        raise MissingDataError(f"{splits[0]}: holds no folders; expected one for each class")
    if one_sided := sorted(set(names[0]) ^ set(names[1])):
        raise DataError(
            f"{root}: {first_few(one_sided)}: in one of train and val only; expected the same classes in both"
        )
    parts = []
    for split in splits:
        files = [[str(split / name / picture) for picture in pictures_in(split / name)] for name in names[0]]
        if empty := [name for name, found in zip(names[0], files) if not found]:
            raise DataError(f"{split}: {first_few(empty)}: holds no pictures")
        table = pd.DataFrame({"path": [path for found in files for path in found]})
        labels = np.repeat(np.arange(len(files)), [len(found) for found in files])
        parts.append(LabelledPictures(ImageCache(table, size).images, labels, tuple(names[0])))
    return Classification(root.name, *parts)


def find_classification(name: str, limit: int | tuple[int, int] | None = None, seed: int = 0) -> Classification:
    """Return one of :data:`NAMES`, read from where the catalogue knows it: registered, or below ``REIDLAB_DATA``.

    Args:
        name: of the set.
        limit: at most so many pictures of each split, or of train and test; None takes all.
        seed: the same gives the same pictures, each class with its share.

    Raises:
        ConfigError: there is no set of that name.
        MissingDataError: it is not on this machine; the message says what to do.
        DataError: its files are damaged.
    """
    check_choice("classification", name, NAMES)
    if name == "digits":
        return digits().limited(limit, seed)
    if name == "cifar-10-jpeg":
        folder = catalogue.find("cifar10-jpeg").path
        return cifar10_jpeg(folder / "cifar10_jpeg.parquet", limit, seed)
    return cifar10(_cifar_folder()).limited(limit, seed)


def classification_sets_here() -> dict[str, Callable[..., Classification]]:
    """Return what :func:`find_classification` finds on this machine: by name, a function of ``limit`` and ``seed``."""
    here = {"digits": partial(find_classification, "digits")}
    for name, find in (("cifar-10", _cifar_folder), ("cifar-10-jpeg", partial(catalogue.find, "cifar10-jpeg"))):
        try:
            find()
        except MissingDataError:
            continue
        here[name] = partial(find_classification, name)
    return here


def _cifar_folder() -> Path:
    """Return where the official files are; the catalogue knows the folder of the Python version."""
    try:
        return catalogue.find("cifar10").path
    except MissingDataError:
        for root in paths.data_roots():
            if (root / _CIFAR_FOLDERS[0]).is_dir():
                return root / _CIFAR_FOLDERS[0]
        raise


def _limits(limit: int | tuple[int, int] | None) -> tuple[int | None, int | None]:
    """Return the limits of train and test."""
    train, test = limit if isinstance(limit, Sequence) and len(limit) == 2 else (limit, limit)
    for most in (train, test):
        if most is not None:
            check_integer("limit", most, 1, what="pictures of a split, or a pair of them for train and test")
    return train, test


def _stratified(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return ``count`` sorted places, each label with its share; largest remainders round up."""
    found, sizes = np.unique(labels, return_counts=True)
    exact = sizes * (count / len(labels))
    shares = np.floor(exact).astype(int)
    up = np.argsort(shares - exact, kind="stable")[: count - shares.sum()]
    shares[up] += 1
    random = rng(seed, "stratified")
    chosen = [random.permutation(np.flatnonzero(labels == label))[:share] for label, share in zip(found, shares)]
    return np.sort(np.concatenate(chosen))


def _binary_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures (N, 3072) uint8 and labels (N,): a record is a byte of label and the three planes."""
    record = 1 + int(np.prod(_CIFAR_SHAPE))
    if (size := check_file(path)) != (whole := record * _CIFAR_FILE):
        raise DataError(
            f"{path}: has {size:,} bytes, expected {whole:,} ({_CIFAR_FILE:,} records of {record:,}); download it again"
        )
    rows = np.fromfile(path, np.uint8).reshape(-1, record)
    return rows[:, 1:], _cifar_labels(path, rows[:, 0])


def _pickled_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures (N, 3072) uint8 and labels (N,) of a pickled dict with ``data`` and ``labels``."""
    check_file(path, most=_LARGEST_BATCH)
    try:
        with path.open("rb") as file:
            content = _Harmless(file, encoding="bytes").load()
        if not isinstance(content, dict):
            raise DataError(f"holds a {type(content).__name__}, not a dict")
        content = {key.decode() if isinstance(key, bytes) else key: value for key, value in content.items()}
        if missing := [key for key in ("data", "labels") if key not in content]:
            raise DataError(f"lacks {missing[0]!r}")
        if not callable(getattr(content["data"], "array", None)):
            raise DataError(f"'data' is a {type(content['data']).__name__}, not an array of bytes")
        rows, labels = content["data"].array(), np.asarray(content["labels"])
        if rows.shape != (wanted := (_CIFAR_FILE, int(np.prod(_CIFAR_SHAPE)))):
            raise DataError(f"'data' has shape {rows.shape}, expected {wanted}")
    except Exception as error:  # a damaged pickle can make its reader raise anything
        raise DataError(f"{path}: is no batch of CIFAR-10 ({error or type(error).__name__})") from error
    return rows, _cifar_labels(path, labels)


def _cifar_labels(path: Path, labels: np.ndarray) -> np.ndarray:
    labels = check_labels(f"{path}: labels", labels, _CIFAR_FILE).astype(np.int64)
    if (bad := np.flatnonzero((labels < 0) | (labels > 9))).size:
        raise DataError(f"{path}: picture {bad[0]} has label {labels[bad[0]]}; expected 0..9")
    return labels


class _Harmless(pickle.Unpickler):
    """Reads arrays of bytes into stand-ins of its own, so that not even numpy runs on what a file says."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)

        class Type:
            def __init__(self, code: Any = None, *_: Any) -> None:
                self.code = code

            def __setstate__(self, state: Any) -> None:
                pass  # byte order and fields, of which bytes have none

        class Array:
            state: Any = None

            def __setstate__(self, state: Any) -> None:
                self.state = state

            def array(self) -> np.ndarray:
                _, shape, kind, by_columns, content = self.state
                if getattr(kind, "code", None) not in ("u1", b"u1") or not isinstance(content, bytes):
                    raise DataError("an array is not of uint8")
                return np.frombuffer(content, np.uint8).reshape(shape, order="F" if by_columns else "C")

        def encode(text: str, encoding: str) -> bytes:
            if encoding != "latin1":
                raise DataError(f"bytes are written as {encoding!r}, not as latin1")
            return text.encode("latin1")

        self._allowed = {("_codecs", "encode"): encode}
        for core in ("numpy.core", "numpy._core"):
            self._allowed[f"{core}.multiarray", "_reconstruct"] = lambda *_: Array()
        self._allowed |= {("numpy", "ndarray"): Array, ("numpy", "dtype"): Type}

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a name; a pickle may name nothing else."""
        if (module, name) not in self._allowed:
            raise DataError(f"it names {module}.{name}, which no batch of CIFAR-10 does; nothing of it was run")
        return self._allowed[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Refuse objects from outside the file."""
        raise DataError("it refers to objects outside the file")


def _classes_of(rows: pd.DataFrame, parquet: str | Path) -> tuple[str, ...]:
    """Return the names of the classes in the order of their labels, which must count from 0."""
    pairs = rows[["label", "class"]].drop_duplicates().sort_values("label")
    if pairs["label"].tolist() != list(range(len(pairs))) or pairs["class"].duplicated().any():
        raise DataError(f"{parquet}: labels and classes do not belong together one to one, from label 0 on")
    return tuple(pairs["class"].astype(str))


def _decoded(jpeg: Any, places: np.ndarray, parquet: str | Path) -> np.ndarray:
    """Return the pictures (N, 32, 32, 3) uint8 of some places of a column of bytes."""
    images = np.empty((len(places), *_CIFAR_SHAPE[1:], 3), np.uint8)

    def decode(start: int) -> list[tuple[str, str]]:
        bad = []
        for row in range(start, min(start + _CHUNK, len(places))):
            name = f"row {places[row]}"
            try:
                with Image.open(io.BytesIO(jpeg[places[row]].as_py()), formats=("JPEG",)) as picture:
                    if picture.size != _CIFAR_SHAPE[1:]:
                        raise DataError(f"has {picture.width} x {picture.height} pixels, expected 32 x 32")
                    images[row] = np.asarray(picture.convert("RGB"))
            except Exception as error:  # a broken picture can make its decoder raise anything
                bad.append((name, why_unreadable(error, name)))
        return bad

    with ThreadPoolExecutor(_THREADS) as pool:
        bad = [one for found in pool.map(decode, range(0, len(places), _CHUNK)) for one in found]
    if bad:
        raise DataError(f"{parquet}: {unreadable(bad)}")
    return images
