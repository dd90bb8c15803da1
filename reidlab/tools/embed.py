"""Features of a data set's pictures, and the file that keeps them: the tool behind ``reidlab embed``.

The file is numpy's ``.npz``, uncompressed: ``features`` (N, D) float32 of length 1, ``pid``, ``camid``, ``tracklet``
(N,) int64, ``split`` and ``path`` (N,) text, ``box`` (N, 4) where pictures are windows of files, ``person`` and
``camera`` (N,) text where the set has names of them, and ``notes``, JSON.
Features of people are personal data: only its owner may read it.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from reidlab.checks import plural
from reidlab.data import ImageCache
from reidlab.data.catalogue import folder_around, locate, open_set
from reidlab.data.manifest import manifests
from reidlab.data.readers.base import first_few
from reidlab.data.table import BOX, make_table
from reidlab.errors import ConfigError, DataError, ReidlabError
from reidlab.evaluation import Embeddings
from reidlab.evaluation.centring import centred
from reidlab.evaluation.protocols import WITH_LABELS, get
from reidlab.models import evaluating
from reidlab.models.weights import reason
from reidlab.reading import check_file
from reidlab.tools.common import checked_file, own_place, private_file, takes_a_set
from reidlab.tools.embedder import Embedder
from reidlab.training.extract import extract

_BATCH = 64
_ARRAYS = ("features", "pid", "camid", "tracklet", "split", "path", "notes")
_NAMES = ("person", "camera")  # as the set calls them, where it does
_NOTES = dict.fromkeys(("set", "folder", "embedder", "sha256", "layout", "protocol"), str)
_NOTES |= dict.fromkeys(("distractor", "height"), int)
_LENGTH = 1e-3  # by which a feature's may differ from 1
_SAME = 1e-6  # by which equal features may differ: a batch of another size is summed in another order


@dataclass(frozen=True, eq=False)
class Embedded:
    """A data set with the feature of every picture.

    Attributes:
        table: sample table of N rows.
        features: (N, D) float32, of length 1.
        notes: ``set`` and ``folder``; ``embedder``, its ``sha256`` and the ``height`` of its pictures; ``protocol``,
            ``distractor`` and ``layout`` of the set, as far as they are known.
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

    def is_picture(self) -> bool:
        """Return whether it is a picture that was given alone, of which no camera is known."""
        return len(self.table) == 1 and self.table["path"].iloc[0] == self.notes.get("folder")

    def cameras(self) -> dict[int, str]:
        """Return the name of each camera, or its number where the set has no names, by its number."""
        first = self.table.drop_duplicates("camid")
        names = first["camera"] if "camera" in first else first["camid"]
        return {camid: str(name or camid) for camid, name in zip(first["camid"].tolist(), names.tolist())}


def picture_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns of a sample table that tell pictures apart: the file, and its window where they are given."""
    return ["path", *(name for name in BOX if name in table)]


def embed_set(name: str | Path, embedder: Embedder, *, out: str | Path | None = None, quiet: bool = True) -> Embedded:
    """Embed every picture of a data set; features are scaled to length 1.

    Args:
        name: of the set, or its folder.
        embedder: the network.
        out: file that the features are to be written to; before the work, it is checked that there is room for them.
        quiet: whether to leave out progress bars.

    Raises:
        ConfigError: no data set has that name.
        MissingDataError: it is not on this machine, or a file.
        DataError: it, or a picture, cannot be read, or its features do not tell pictures apart.
        StorageError: there is no room for the features.
    """
    with takes_a_set(name):
        table, root = open_set(own_place(name))
    if out is not None:
        held = sum(array.nbytes for array in _arrays(table).values())
        checked_file(out, ".npz", room=2**20 + held + 4 * len(table) * _width(embedder))
    return _telling(embed_table(table, embedder, notes_of(name, table, root), quiet=quiet))


def notes_of(name: str | Path, table: pd.DataFrame, root: Path) -> dict[str, Any]:
    """Return what is known of a data set, see :class:`Embedded`.

    Args:
        name: of the set, or its folder.
        table: its sample table.
        root: its folder.
    """
    location = locate(own_place(name))
    manifest = location.manifest
    notes: dict[str, Any] = {"set": str(table.attrs.get("dataset", name)), "folder": str(root)}
    notes["layout"] = location.layout
    notes |= {"protocol": manifest.protocol} if manifest is not None and manifest.protocol else {}
    # A folder without a manifest follows the layout's own, such as an embedded world in that of Market-1501.
    kin = [manifest] if manifest is not None else [m for m in manifests().values() if m.layout == location.layout]
    if distractors := {m.distractor for m in kin} - {None}:
        notes["distractor"] = min(distractors)
    return notes


def embed_table(
    table: pd.DataFrame, embedder: Embedder, notes: dict[str, Any] | None = None, *, quiet: bool = True
) -> Embedded:
    """Embed every picture of a sample table; see :func:`embed_set`.

    Raises:
        DataError: a picture cannot be read, or there is none.
    """
    if len(table) == 0:
        raise DataError(f"{table.attrs.get('dataset', 'table')}: it has no pictures to embed")
    # A table may list a picture twice, as a query and in the gallery; pictures that are stored would be copied.
    columns = picture_columns(table)
    once = table.drop_duplicates(columns)
    images = np.asarray(ImageCache(once, embedder.size, quiet=quiet))
    try:
        features = extract(embedder.model, once, embedder.size, _BATCH, images=images).normalized().features
    except DataError as error:
        raise DataError(f"{embedder.name}: {error}; the network cannot be used for such pictures") from error
    whole = {**(notes or {}), "embedder": embedder.name, "sha256": embedder.digest, "height": embedder.size[0]}
    if len(once) < len(table):
        features = features[table.groupby(columns, sort=False).ngroup().to_numpy()]
    return Embedded(table.reset_index(drop=True), features, whole)


def _width(embedder: Embedder) -> int:
    """Return the length of a network's features."""
    weight = next(embedder.model.parameters())
    blank = torch.zeros(1, 3, *embedder.size, dtype=weight.dtype, device=weight.device)
    with evaluating(embedder.model), torch.inference_mode():
        return embedder.model(blank).embedding.shape[1]


def _telling(embedded: Embedded) -> Embedded:
    """Return a set whose features tell pictures apart, with a note on those that are nothing.

    Raises:
        DataError: they do not: the order of ties would be all that a ranking shows.
    """
    features, notes = embedded.features, embedded.notes
    nothing = ~features.any(axis=1)
    problem = ""
    if features.shape[1] == 1:
        problem = "features are a single number each, of which scaling to length 1 leaves the sign"
    elif nothing.all():
        problem = "features are all zero"
    elif len(features) > 1 and np.ptp(features, axis=0).max() < _SAME:
        problem = f"features of all {len(features):,} pictures are the same"
    if problem:
        raise DataError(
            f"{notes.get('set', 'the set')}: {problem}; {notes.get('embedder', 'such a network')} cannot tell people "
            "apart, embed with another network"
        )
    if nothing.any():
        first = embedded.table["path"][int(np.argmax(nothing))]
        line = (
            f"features of {plural(int(nothing.sum()), 'picture')} are zero, and as near to one as to another: {first}"
        )
        embedded.table.attrs["notes"] = (*embedded.table.attrs.get("notes", ()), line)
    return embedded


def centred_by_camera(query: Embeddings, gallery: Embeddings, names: dict[int, str]) -> tuple[Embeddings, Embeddings]:
    """Return embeddings minus their camera's mean; see :func:`~reidlab.evaluation.centring.centred`.

    Args:
        query: embeddings of the queries.
        gallery: embeddings that are searched.
        names: of the cameras, by their numbers.

    Raises:
        ConfigError: a mean is that of one picture, or of copies of one, of which nothing would be left.
    """
    single = []
    for camid in np.union1d(query.camids, gallery.camids).tolist():
        part, where = (gallery, "the gallery") if camid in gallery.camids else (query, "the queries")
        if np.ptp(part.features[part.camids == camid], axis=0).max() < _SAME:
            single.append(f"camera {names[camid]} of {where}")
    if single:
        raise ConfigError(
            f"--centre: {first_few(single)} {'has' if len(single) == 1 else 'have'} one picture (or copies of one), "
            "which is its own mean; give more pictures, or leave --centre out"
        )
    return centred(query, gallery)


def write_embedded(embedded: Embedded, path: str | Path) -> Path:
    """Write features with their labels to a file that only its owner may read; an old one is replaced whole.

    Args:
        embedded: what to keep.
        path: the file, ``.npz``.

    Raises:
        ConfigError: the name does not end in ``.npz``.
        StorageError: it cannot be written.
    """
    path = checked_file(path, ".npz")
    notes = np.array(json.dumps(embedded.notes))
    with private_file(path) as stream:
        np.savez(stream, features=embedded.features, notes=notes, **_arrays(embedded.table))
    return path


def _arrays(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return what the file of :func:`write_embedded` keeps of a sample table."""
    arrays = {name: table[name].to_numpy(np.int64) for name in ("pid", "camid", "tracklet")}
    texts = ("split", "path", *(name for name in _NAMES if name in table))
    arrays |= {name: np.array(table[name].astype(str).tolist(), dtype=np.str_) for name in texts}
    if all(name in table for name in BOX):
        arrays["box"] = table[list(BOX)].to_numpy(np.float64)
    return arrays


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
            arrays = {name: held[name] for name in (*_ARRAYS, "box", *_NAMES) if name in held}
        notes = json.loads(str(arrays["notes"]))
        if not isinstance(notes, dict):
            raise DataError(f"{path}: its notes are no JSON object; {expected}")
        for name, kind in _NOTES.items():
            if name in notes and type(notes[name]) is not kind:
                raise DataError(f"{path}: its note {name!r} is {notes[name]!r}, expected {kind.__name__}; {expected}")
        if notes.get("protocol", WITH_LABELS[0]) not in WITH_LABELS:
            get(notes["protocol"])
        columns: dict[str, Any] = {name: arrays[name] for name in ("pid", "camid", "tracklet")}
        columns |= {name: arrays[name].tolist() for name in ("split", "path")}
        for name in (name for name in _NAMES if name in arrays):
            if arrays[name].dtype.kind != "U" or arrays[name].ndim != 1:
                raise DataError(f"{path}: {name}: {arrays[name].dtype}, expected text; {expected}")
            columns[name] = arrays[name].tolist()
        if "box" in arrays:
            columns |= dict(zip(BOX, arrays["box"].T, strict=True))
        table = make_table(str(notes.get("set", path.stem)), **columns)
        table.attrs["layout"] = f"embeddings of {notes.get('embedder', 'a network')}"
        if not np.issubdtype(arrays["features"].dtype, np.floating):  # what is imaginary would be lost
            raise DataError(f"features: {arrays['features'].dtype}, expected float32; {expected}")
        labels = (table[name].to_numpy() for name in ("pid", "camid", "tracklet"))
        features = Embeddings(arrays["features"], *labels).features
        lengths = np.linalg.norm(features, axis=1)
        wrong = (np.abs(lengths - 1) > _LENGTH) & (lengths > 0)  # a network may give nothing for a picture
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(f"features: row {row} has the length {lengths[row]:.4g}, expected 1; {expected}")
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
        ConfigError: a set has no network to embed it, or the saved embeddings are another's, or of pictures of another
            height.
        DataError: it cannot be read, or its features do not tell pictures apart.
    """
    if _is_saved(name):
        found = read_embedded(name)
        if embedder is not None and found.notes.get("sha256") != embedder.digest:
            made = found.notes.get("embedder", "another network")
            raise ConfigError(f"--weights {embedder.name}: {name} was made by {made}, another file; embed the set anew")
        if embedder is not None and (height := found.notes.get("height", embedder.size[0])) != embedder.size[0]:
            raise ConfigError(
                f"--height {embedder.size[0]}: {name} was made of pictures {height} pixels high; give that height, or "
                "embed the set anew"
            )
        return _telling(found)
    if embedder is None:
        raise ConfigError(f"--weights: {name} is to be embedded; give the file of a network")
    path = Path(name).expanduser().absolute()
    if path.is_file():
        table = make_table(path.name, path=[str(path)], pid=-1, camid=1, split="query")
        return _telling(embed_table(table, embedder, {"set": path.name, "folder": str(path)}, quiet=quiet))
    return embed_set(name, embedder, quiet=quiet)


def check_height(height: int | None, *sets: str | Path) -> None:
    """Check that a height of pictures is of use: saved embeddings need none.

    Args:
        height: None where none is given.
        *sets: what is read: names or folders of data sets, pictures, and saved embeddings.

    Raises:
        ConfigError: a height is given and all are saved embeddings.
    """
    if height is not None and all(map(_is_saved, sets)):
        raise ConfigError(
            f"--height {height}: has no effect, as {' and '.join(map(str, dict.fromkeys(sets)))} "
            "holds features, made at their own height; leave the option out"
        )


def file_to_write(path: str | Path, ending: str, *sets: str | Path, weights: str | Path | None) -> Path:
    """Return the absolute path of a file to write, once it is clear before the work that it can be written.

    Args:
        path: the file.
        ending: that its name must have.
        *sets: what is read: names or folders of data sets, pictures, and saved embeddings. Nothing is written into
            the folder of a set, nor into that of the set which embeddings are of or a picture lies in.
        weights: the network's file; None where there is none.

    Raises:
        ConfigError: it has another ending, is a folder or what is read, lies in the folder of a set, or a set is not
            known.
        DataError: saved embeddings cannot be read.
        StorageError: it cannot be written.
    """
    path = checked_file(path, ending, read=weights)
    for name in sets:
        checked_file(path, ending, root=_folder_of(name), read=name)
    return path


def _folder_of(name: str | Path) -> Path | None:
    """Return the folder of the data set that is read or that a file is of; None where it is of none."""
    path = Path(name).expanduser()
    if not path.is_file():
        with takes_a_set(name):
            return locate(own_place(name)).path
    if not _is_saved(name):
        return folder_around(path)
    folder = read_embedded(path).notes.get("folder")
    return Path(folder) if folder else None


def _is_saved(name: str | Path) -> bool:
    return str(name).lower().endswith(".npz")
