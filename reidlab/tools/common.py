"""Shared by all tools: checking the place that is written, before the work."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reidlab.errors import ConfigError, ReidlabError, StorageError


def checked_output(out: str | Path, resume: bool = False, *, root: str | Path | None = None, room: int = 2**20) -> Path:
    """Return the absolute path of a folder to write, once it is clear before the work that it can be written.

    Args:
        out: the folder; it need not exist.
        resume: whether it may hold something already.
        root: folder of the data set that is read; nothing is written into it.
        room: bytes that are needed there.

    Raises:
        ConfigError: it is a file, holds something, or lies in the data set's folder.
        StorageError: it cannot be written, or there is no room.
    """
    out = Path(out).expanduser().absolute()
    with _no_place(out, "folder"):
        if out.exists() and not out.is_dir():
            raise ConfigError(f"{out}: is a file; choose a folder")
        if out.is_dir() and not resume and any(out.iterdir()):
            raise ConfigError(f"{out}: is there already and not empty; choose a new folder")
        _check_place(out, "folder", root, room)
    return out


def checked_file(out: str | Path, *, root: str | Path | None = None, room: int = 2**20) -> Path:
    """Return the absolute path of a file to write; see :func:`checked_output`.

    Raises:
        ConfigError: it is a folder, or lies in the data set's folder.
        StorageError: it cannot be written, or there is no room.
    """
    out = Path(out).expanduser().absolute()
    with _no_place(out, "file"):
        if out.exists() and not out.is_file():
            raise ConfigError(f"{out}: is {'a folder' if out.is_dir() else 'no regular file'}; name a file to write")
        _check_place(out, "file", root, room)
    return out


@contextmanager
def _no_place(out: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, ReidlabError):
            raise
        raise StorageError(f"{out}: cannot be written ({error.strerror or error}); choose another {what}") from error


def _check_place(out: Path, what: str, root: str | Path | None, room: int) -> None:
    if root is not None and out.resolve().is_relative_to(home := Path(root).expanduser().resolve()):
        raise ConfigError(f"{out}: lies in the folder of the data set, {home}; choose a {what} outside of it")
    with suppress(FileNotFoundError):
        out.with_name(f".{out.name}.{'x' * 20}.tmp").lstat()  # as long as the draft's name will be
    place = next(folder for folder in (out, *out.parents) if folder.exists())
    if not place.is_dir() and place != out:
        raise NotADirectoryError(errno.ENOTDIR, f"{place} is a file")
    place = place if place.is_dir() else place.parent
    with tempfile.TemporaryFile(dir=place) as draft:
        draft.write(b"\0" * 4096)
        draft.flush()
    free = shutil.disk_usage(place).free
    if free < room:
        raise StorageError(
            f"{out}: {room / 2**20:,.0f} MiB are needed there and {free / 2**20:,.0f} MiB are free; free some space, "
            f"or choose a {what} on another disk"
        )
