"""Features of a data set's pictures, and the file that keeps them: the tool behind ``reidlab embed``.

The file is numpy's ``.npz``, uncompressed: ``features`` (N, D) float32 of length 1, ``pid``, ``camid``, ``tracklet``
(N,) int64, ``split`` and ``path`` (N,) text, ``box`` (N, 4) where pictures are windows of files, and ``notes``, JSON.
Features of people are personal data: only its owner may read it.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from reidlab.data import ImageCache
from reidlab.data.catalogue import locate, open_set
from reidlab.data.manifest import manifests
from reidlab.data.table import BOX, make_table
from reidlab.errors import ConfigError, DataError, ReidlabError
from reidlab.evaluation import Embeddings
from reidlab.files import replacing
from reidlab.models.weights import reason
from reidlab.reading import check_file
from reidlab.tools.common import checked_file
from reidlab.tools.embedder import Embedder
from reidlab.training.extract import extract

_BATCH = 64
_ARRAYS = ("features", "pid", "camid", "tracklet", "split", "path", "notes")


@dataclass(frozen=True, eq=False)
class Embedded:
    """A data set with the feature of every picture.

    Attributes:
        table: sample table of N rows.
        features: (N, D) float32, of length 1.
        notes: ``set`` and ``folder``; ``embedder`` and its ``sha256``; ``protocol``, ``distractor`` and ``layout`` of
            the set, as far as they are known.
    """

    table: pd.DataFrame
    features: np.ndarray
    notes: dict[str, Any]

    def embeddings(self, rows: np.ndarray | None = None) -> Embeddings:
        """Return features with their labels, of the rows that a mask (N,) or indices (M,) pick, or of all."""
        columns = (self.table[name].to_numpy() for name in ("pid", "camid", "tracklet"))
        found = Embeddings(self.features, *columns)
        return found if rows is None else found.select(rows)

    def labelled(self) -> np.ndarray:
        """Return which rows show a person with an identity, (N,) bool; junk and distractors are none."""
        pids = self.table["pid"].to_numpy()
        return (pids >= 0) & (pids != self.notes.get("distractor", -1))


def embed_set(name: str | Path, embedder: Embedder, *, quiet: bool = True) -> Embedded:
    """Embed every picture of a data set; features are scaled to length 1.

    Args:
        name: of the set, or its folder.
        embedder: the network.
        quiet: whether to leave out progress bars.

    Raises:
        ConfigError: no data set has that name.
        MissingDataError: it is not on this machine.
        DataError: it, or a picture, cannot be read.
    """
    table, root = open_set(name)
    location = locate(name)
    manifest = location.manifest
    notes: dict[str, Any] = {"set": str(table.attrs.get("dataset", name)), "folder": str(root)}
    notes["layout"] = location.layout
    notes |= {"protocol": manifest.protocol} if manifest is not None and manifest.protocol else {}
    # A folder without a manifest follows the layout's own, such as an embedded world in that of Market-1501.
    kin = [manifest] if manifest is not None else [m for m in manifests().values() if m.layout == location.layout]
    if distractors := {m.distractor for m in kin} - {None}:
        notes["distractor"] = min(distractors)
    return embed_table(table, embedder, notes, quiet=quiet)


def embed_table(
    table: pd.DataFrame, embedder: Embedder, notes: dict[str, Any] | None = None, *, quiet: bool = True
) -> Embedded:
    """Embed every picture of a sample table; see :func:`embed_set`.

    Raises:
        DataError: a picture cannot be read, or there is none.
    """
    if len(table) == 0:
        raise DataError(f"{table.attrs.get('dataset', 'table')}: it has no pictures to embed")
    found = extract(embedder.model, table, embedder.size, _BATCH, images=_pictures(table, embedder, quiet))
    whole = {**(notes or {}), "embedder": embedder.name, "sha256": embedder.digest}
    return Embedded(table.reset_index(drop=True), found.normalized().features, whole)


def _pictures(table: pd.DataFrame, embedder: Embedder, quiet: bool) -> np.ndarray:
    return np.asarray(ImageCache(table, embedder.size, quiet=quiet))


def write_embedded(embedded: Embedded, path: str | Path) -> Path:
    """Write features with their labels to a file that only its owner may read; an old one is replaced whole.

    Args:
        embedded: what to keep.
        path: the file, ``.npz``.

    Raises:
        ConfigError: the name does not end in ``.npz``.
        StorageError: it cannot be written.
    """
    path = file_to_write(path, ".npz")
    table = embedded.table
    arrays = {name: table[name].to_numpy(np.int64) for name in ("pid", "camid", "tracklet")}
    arrays |= {name: np.array(table[name].astype(str).tolist(), dtype=np.str_) for name in ("split", "path")}
    if all(name in table for name in BOX):
        arrays["box"] = table[list(BOX)].to_numpy(np.float64)
    with private_file(path) as stream:
        np.savez(stream, features=embedded.features, notes=np.array(json.dumps(embedded.notes)), **arrays)
    return path


def read_embedded(path: str | Path) -> Embedded:
    """Return what :func:`write_embedded` wrote.

    Raises:
        DataError: there is no such file, or it is not such a file.
    """
    path = Path(path).expanduser().absolute()
    size = check_file(path)
    expected = "expected a file that `reidlab embed` wrote"
    try:
        with zipfile.ZipFile(path) as archive:
            # Compressed, a small file could stand for endless memory.
            if any(item.compress_type != zipfile.ZIP_STORED or item.file_size > size for item in archive.infolist()):
                raise DataError(f"{path}: holds compressed arrays; {expected}")
        with np.load(path, allow_pickle=False) as held:
            if missing := [name for name in _ARRAYS if name not in held]:
                raise DataError(f"{path}: holds no array {missing[0]!r}; {expected}")
            arrays = {name: held[name] for name in (*_ARRAYS, "box") if name in held}
        notes = json.loads(str(arrays["notes"]))
        if not isinstance(notes, dict):
            raise DataError(f"{path}: its notes are no JSON object; {expected}")
        columns: dict[str, Any] = {name: arrays[name] for name in ("pid", "camid", "tracklet")}
        columns |= {name: arrays[name].tolist() for name in ("split", "path")}
        if "box" in arrays:
            columns |= dict(zip(BOX, arrays["box"].T, strict=True))
        table = make_table(str(notes.get("set", path.stem)), **columns)
        table.attrs["layout"] = f"embeddings of {notes.get('embedder', 'a network')}"
        labels = (table[name].to_numpy() for name in ("pid", "camid", "tracklet"))
        features = Embeddings(arrays["features"], *labels).features
    except ReidlabError as error:
        if str(path) in str(error):
            raise
        raise DataError(f"{path}: {error}") from error
    except Exception as error:  # a broken archive can make its reader raise anything
        raise DataError(f"{path}: cannot be read ({reason(error)}); {expected}") from error
    return Embedded(table, features, notes)


def read_or_embed(name: str | Path, embedder: Embedder | None, *, quiet: bool = True) -> Embedded:
    """Return saved embeddings (the path of an ``.npz`` file), or embed one picture or the pictures of a data set.

    Args:
        name: a file, the name of a data set, or its folder.
        embedder: the network; may be None for saved embeddings, and must be the one that made them otherwise.
        quiet: whether to leave out progress bars.

    Raises:
        ConfigError: a set has no network to embed it, or the saved embeddings are another's.
        DataError: it cannot be read.
    """
    if str(name).lower().endswith(".npz"):
        found = read_embedded(name)
        if embedder is not None and found.notes.get("sha256") != embedder.digest:
            made = found.notes.get("embedder", "another network")
            raise ConfigError(f"--weights {embedder.name}: {name} was made by {made}, another file; embed the set anew")
        return found
    if embedder is None:
        raise ConfigError(f"--weights: {name} is to be embedded; give the file of a network")
    path = Path(name).expanduser().absolute()
    if path.is_file():
        table = make_table(path.name, path=[str(path)], pid=-1, camid=1, split="query")
        return embed_table(table, embedder, {"set": path.name, "folder": str(path)}, quiet=quiet)
    return embed_set(name, embedder, quiet=quiet)


def file_to_write(path: str | Path, ending: str, *sets: str | Path) -> Path:
    """Return the absolute path of a file to write, once it is clear before the work that it can be written.

    Args:
        path: the file.
        ending: that its name must have.
        *sets: names or folders of data sets, into which nothing is written; a file among them says nothing.

    Raises:
        ConfigError: it has another ending, is a folder, lies in the folder of a set, or a set is not known.
        StorageError: it cannot be written.
    """
    path = Path(path).expanduser().absolute()
    if path.suffix != ending:
        raise ConfigError(f"{path}: name a {ending} file to write")
    for name in sets:
        if not os.path.isfile(os.path.expanduser(name)):
            checked_file(path, root=locate(name).path)
    return checked_file(path)


@contextmanager
def private_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield a stream to a file that only its owner may read from the first byte on; an old file is replaced whole.

    Args:
        path: the file.

    Raises:
        StorageError: it cannot be written.
    """
    with replacing(path) as draft:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            yield stream
