"""Pieces of a run: what a study measured at one place with one seed, stored whole or not at all.

A piece holds the records of its place and what figures are drawn from: arrays in one npz, tables as parquet, weights as
safetensors, plain data as JSON. Its manifest names every file with its size and digest, and ends with one of its own; a
piece that does not match its manifest is measured again, and the run says so. It is found again as long as the study's
configuration and code, the place, the seed, the real data, the threads and the packages are the same; a run's other
seeds, its profile and its notebook don't count. Pieces of a run that takes longer than a machine is there can be kept
beside the results (:func:`keep`): a run elsewhere goes on from them, and says on which machine they were measured.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

from reidlab import files
from reidlab.checks import check_name
from reidlab.errors import RunError
from reidlab.lab import codehash, environment, records, store
from reidlab.lab.parameters import plain
from reidlab.lab.project import Project


@dataclass(frozen=True)
class Piece:
    """One place, measured.

    Attributes:
        rows: its records.
        kept: what figures are drawn from, by name.
        seconds: how long it took.
        machine: on which machine, as :func:`reidlab.lab.environment.machine` says it; empty where nobody noted it.
    """

    rows: list[dict[str, Any]]
    kept: dict[str, Any]
    seconds: float
    machine: str = ""


class Kept(dict[tuple[str, int], dict[str, Any]]):
    """What figures are drawn from: ``kept[label, seed]`` is a mapping by name."""

    @property
    def first(self) -> dict[str, Any]:
        """What was kept of the first place."""
        return next(iter(self.values()))

    def __missing__(self, place: tuple[str, int]) -> dict[str, Any]:
        raise RunError(f"nothing was measured at {place!r}; there is: {', '.join(map(repr, self))}")


def identify(chapter: str, study: Any) -> dict[str, Any] | None:
    """Return what all pieces of a study have in common, or None if part of it is defined in the notebook.

    Raises:
        RunError: the study's description is not plain.
    """
    import torch  # noqa: F401  so that threads and device are those that it will be measured with

    modules = sorted(_modules_of(study))
    if (code := codehash.of_modules(modules)) is None:
        return None
    return {
        "chapter": chapter,
        "study": plain(study.describe(), f"{chapter}: description of the study"),
        "modules": modules,
        "code": code,
        "versions": environment.versions(),
        "device": environment.device(),
        "threads": environment.threads(),
    }


def folder_of(folder: Path, identity: Mapping[str, Any]) -> Path:
    """Return the folder of a piece below that of its chapter."""
    return folder / _digest(identity)


def check(kept: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return what a study keeps of a place, with plain data as they come back from JSON.

    Raises:
        RunError: a name is not in snake case, or a value is none of the four kinds.
    """
    checked = {}
    for name, value in kept.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise RunError(f"{where}: keeps {name!r}; a name is written in snake_case")
        what = f"{where}: keeps {name!r}"
        checked[name] = plain(value, what) if (kind := _kind(value)) == "plain" else value
        if kind == "array" and value.dtype.hasobject:
            raise RunError(f"{what}: an array of objects; expected numbers or text")
    return checked


def save(folder: Path, workplace: Path, identity: Mapping[str, Any], piece: Piece, profile: str | None = None) -> None:
    """Store a piece, in place of an earlier one.

    Args:
        folder: the piece's own, see :func:`folder_of`.
        workplace: a folder on the same disk, for files that are not yet complete.
        identity: what tells the piece from others.
        piece: what to store.
        profile: under which it was measured.

    Raises:
        RunError: something of it cannot be stored.
        StorageError: the disk is full or may not be written.
    """
    with files.disk_errors(folder):
        temporary = Path(tempfile.mkdtemp(dir=workplace))
        try:
            _write(temporary, piece)
        except (TypeError, ValueError) as error:  # of pyarrow and safetensors too
            raise RunError(f"{identity['chapter']}: a piece cannot be stored ({error})") from error
        written = {path.name: [path.stat().st_size, files.digest(path)] for path in temporary.iterdir()}
        kinds = {name: _kind(value) for name, value in piece.kept.items()}
        measured = {"profiles": [profile] if profile else [], "machine": piece.machine}
        manifest = {"identity": identity, "kept": kinds, "files": written, "measured": measured}
        _seal(temporary, manifest)
        _put(temporary, folder)


def load(folder: Path, identity: Mapping[str, Any]) -> Piece | None:
    """Return the piece in ``folder``, or None if there is none that is whole and has this identity."""
    import numpy as np
    import pandas as pd
    from safetensors.torch import load_file

    try:
        manifest = _whole(folder)
        if manifest is None or _digest(manifest["identity"]) != _digest(identity):
            return None
        content = files.read_json(folder / store.PLAIN_FILE)
        kept = {}
        for name, kind in manifest["kept"].items():
            if kind == "array":
                with np.load(folder / store.ARRAYS_FILE, allow_pickle=False) as arrays:
                    kept[name] = arrays[f"kept_{name}"]
            elif kind == "table":
                kept[name] = pd.read_parquet(folder / f"{name}{store.TABLE_SUFFIX}")
            elif kind == "tensors":
                kept[name] = load_file(folder / f"{name}{store.TENSORS_SUFFIX}")
            else:
                kept[name] = content["kept"][name]
        rows = [records.record(**row | {"dims": json.loads(row["dims"])}) for row in content["rows"]]
        return Piece(rows, kept, float(content["seconds"]), manifest.get("measured", {}).get("machine", ""))
    except Exception:  # whatever damage makes of a file
        return None


def sweep(folder: Path) -> None:
    """Remove a chapter's pieces that were measured with other code or other packages than today's."""
    for place in _places(folder):
        if not _is_todays(place):
            _remove(place)


def take(source: Path, folder: Path, workplace: Path, profile: str | None = None) -> None:
    """Copy a whole piece, in place of an earlier one, and note a profile under which it was needed.

    Args:
        source: the piece's folder, which may be ``folder`` itself.
        folder: where it is to lie.
        workplace: a folder on the same disk, for files that are not yet complete.
        profile: under which it was needed.

    Raises:
        RunError: it is not whole.
        StorageError: the disk is full or may not be written.
    """
    with files.disk_errors(folder):
        if (manifest := _whole(source)) is None:
            raise RunError(f"{source}: the piece is damaged")
        profiles = manifest.setdefault("measured", {}).setdefault("profiles", [])
        if profile is None or profile in profiles:
            if source == folder:
                return
        else:
            profiles.append(profile)
        temporary = Path(tempfile.mkdtemp(dir=workplace))
        for name in manifest["files"]:
            shutil.copyfile(source / name, temporary / name)
        _seal(temporary, manifest)
        _put(temporary, folder)


def keep(chapter: str, profile: str, project: Project) -> tuple[Path, list[str]]:
    """Copy a chapter's pieces to ``results/``, from where runs on other machines take them.

    Those are copied that a run under the profile needed, with its parameters or with changed ones, and that were
    measured with today's code and packages. Kept ones go that are damaged or of other code. Of real data sets none is
    copied that holds arrays, tables or weights: features of people are personal data.

    Args:
        chapter: the chapter's id, or the beginning of it.
        profile: the profile's name.
        project: where the chapter is.

    Returns:
        Their folder, and the keys of the profile's pieces in it.

    Raises:
        RunError: there is no piece to keep.
        StorageError: the disk is full or may not be written.
    """
    chapter = project.chapter(chapter)
    source, folder = store.pieces_folder(project, chapter), store.kept_pieces_folder(project, chapter)
    with files.disk_errors(folder):
        project.results.mkdir(parents=True, exist_ok=True)
        files.clear_left_overs(project.results, name="keeping")
        for place in _places(folder):
            manifest = _whole(place)
            belongs = manifest is not None and _digest(manifest["identity"]) == place.name
            if not belongs or not _is_todays(place, packages=False):
                _remove(place)
        with files.temporary_folder("keeping", project.results) as temporary:
            for place in _places(source):
                manifest = _whole(place)
                wanted = manifest is not None and profile in _profiles(manifest) and _is_todays(place)
                if wanted and not _is_personal(manifest) and manifest != _whole(folder / place.name):
                    take(place, folder / place.name, temporary)
        found = [place.name for place in _places(folder) if profile in _profiles(_whole(place) or {})]
    if not found:
        raise RunError(
            f"chapter {chapter}, profile {profile}: no piece of it was measured with today's code and packages"
        )
    return folder, found


def release(chapter: str, keys: Iterable[str], project: Project) -> None:
    """Remove some of a chapter's pieces from ``results/``: a run that is kept whole holds what they held.

    Args:
        chapter: the chapter's id, or the beginning of it.
        keys: of the pieces.
        project: where the chapter is.
    """
    folder = store.kept_pieces_folder(project, project.chapter(chapter))
    for key in keys:
        if (folder / check_name("key", key)).exists():
            _remove(folder / key)
    with suppress(OSError):  # others are left
        folder.rmdir()
        folder.parent.rmdir()


def _places(folder: Path) -> list[Path]:
    """Return what may be a piece in a folder: folders in it, and links."""
    return sorted(p for p in folder.iterdir() if p.is_dir() or p.is_symlink()) if folder.is_dir() else []


def _remove(place: Path) -> None:
    if place.is_symlink() or not place.is_dir():
        place.unlink(missing_ok=True)
    else:
        shutil.rmtree(place, ignore_errors=True)


def _whole(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a piece whose files are all there as they were written, and no others; else None."""
    try:
        manifest = files.read_json(folder / store.MANIFEST_FILE)
        if manifest.pop("digest") != _digest(manifest):
            return None
        if {path.name for path in folder.iterdir()} != {store.MANIFEST_FILE, *manifest["files"]}:
            return None
        for name, (size, digest) in manifest["files"].items():
            path = folder / name
            if not path.is_file() or path.stat().st_size != size or files.digest(path) != digest:
                return None
        return manifest
    except Exception:  # whatever damage makes of a file
        return None


def _seal(folder: Path, manifest: Mapping[str, Any]) -> None:
    files.write_json(folder / store.MANIFEST_FILE, {**manifest, "digest": _digest(manifest)})


def _put(temporary: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists() or folder.is_symlink():
        _remove(folder)
    os.replace(temporary, folder)


def _is_personal(manifest: Mapping[str, Any]) -> bool:
    """Return whether a piece holds more than records and plain data of a real data set."""
    return bool(manifest["identity"].get("data")) and any(kind != "plain" for kind in manifest["kept"].values())


def _profiles(manifest: Mapping[str, Any]) -> list[str]:
    """Return under which profiles a piece was needed; none where nobody noted it."""
    return list(manifest.get("measured", {}).get("profiles", ()))


def _is_todays(place: Path, packages: bool = True) -> bool:
    """Return whether a piece was measured with today's code and, if these count, packages, as far as can be told."""
    try:
        identity = files.read_json(place / store.MANIFEST_FILE)["identity"]
        todays = codehash.of_modules(identity["modules"])
        # Code that cannot be read from here, as a module beside a notebook, says nothing against a piece.
        same = not packages or identity["versions"] == environment.versions()
        return same and todays in (None, identity["code"])
    except ImportError:
        return True
    except (RunError, KeyError, TypeError, AttributeError):
        return False


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=12).hexdigest()


def _write(folder: Path, piece: Piece) -> None:
    import numpy as np
    from safetensors.torch import save_file

    arrays, data = {}, {}
    for name, value in piece.kept.items():
        match _kind(value):
            case "array":
                arrays[f"kept_{name}"] = value  # no argument of savez has such a name
            case "table":
                value.to_parquet(folder / f"{name}{store.TABLE_SUFFIX}")
            case "tensors":
                weights = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in value.items()}
                save_file(weights, folder / f"{name}{store.TENSORS_SUFFIX}")
            case _:
                data[name] = value
    if arrays:
        np.savez(folder / store.ARRAYS_FILE, **arrays)
    files.write_json(folder / store.PLAIN_FILE, {"rows": piece.rows, "kept": data, "seconds": piece.seconds})


def _kind(value: Any) -> str:
    import numpy as np
    import pandas as pd
    import torch

    if isinstance(value, np.ndarray):
        return "array"
    if isinstance(value, pd.DataFrame):
        return "table"
    if isinstance(value, Mapping) and value and all(isinstance(item, torch.Tensor) for item in value.values()):
        return "tensors"
    return "plain"


def _modules_of(study: Any) -> set[str]:
    """Return the modules of the classes and functions that a study is made of, as far as they are not libraries."""
    rooms = {codehash.PACKAGE, type(study).__module__.partition(".")[0], "__main__"}
    found: set[str] = set()
    seen: set[int] = set()
    waiting = [study]
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, Mapping):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += item
        elif isinstance(item, functools.partial):
            waiting += [item.func, item.args, item.keywords]
        else:
            maker = item if isinstance(item, type | FunctionType | MethodType) else type(item)
            if maker.__module__.partition(".")[0] in rooms:
                found.add(maker.__module__)
                fields = () if maker is item else (*getattr(item, "__dict__", ()), *getattr(maker, "__slots__", ()))
                waiting += [getattr(item, field) for field in fields if hasattr(item, field)]
    return found
