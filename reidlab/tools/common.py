"""Shared by all tools: the place that is written, checked before the work; runs that resume; files about people."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from reidlab.errors import ConfigError, ReidlabError, RunError, StorageError
from reidlab.files import locked, read_json, replacing

if TYPE_CHECKING:
    import pandas as pd

#: What a run that can be interrupted keeps in its folder: its state, and in that what it was asked for and a lock.
STATE, ASKED, LOCK = "state", "asked.json", "lock"


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


def checked_file(
    out: str | Path,
    ending: str,
    *,
    root: str | Path | None = None,
    read: str | Path | None = None,
    room: int = 2**20,
) -> Path:
    """Return the absolute path of a file to write; see :func:`checked_output`.

    Args:
        out: the file.
        ending: that its name must have.
        root: folder of the data set that is read; nothing is written into it.
        read: a file that is read, such as weights, which is not written over.
        room: bytes that are needed there.

    Raises:
        ConfigError: it has another ending, is a folder or the file that is read, or lies in the data set's folder.
        StorageError: it cannot be written, or there is no room.
    """
    out = Path(out).expanduser().absolute()
    with _no_place(out, "file"):
        if out.suffix != ending:
            raise ConfigError(f"{out}: name a {ending} file to write")
        if out.exists() and not out.is_file():
            raise ConfigError(f"{out}: is {'a folder' if out.is_dir() else 'no regular file'}; name a file to write")
        if read is not None and out.resolve() == Path(read).expanduser().resolve():
            raise ConfigError(f"{out}: is the file that is read; name another file to write")
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


def checked_run(out: str | Path, resume: bool, root: str | Path | None = None) -> Path:
    """Return the folder of a run, once it is clear that it can be written and holds nothing of somebody else.

    Raises:
        ConfigError: it holds something that is no run, is a file, or lies in the data set's folder, ``root``.
        StorageError: it cannot be written.
    """
    out = Path(out).expanduser()
    if out.is_dir() and any(out.iterdir()) and not (out / STATE).is_dir():
        wrong = "holds no run that could be resumed" if resume else "is not empty"
        raise ConfigError(f"{out}: {wrong}; choose a new folder{', without --resume' if resume else ''}")
    return checked_output(out, resume=True, root=root, room=2**24)


@contextmanager
def working(out: Path, command: str, kept: Callable[[Path], bool]) -> Iterator[None]:
    """Keep others out of a run's folder; leave nothing if the block fails before something is kept to go on from.

    Args:
        out: the folder; it is taken away again where it was not there before.
        command: what works there, such as ``learn``.
        kept: whether a run in a folder can be resumed.

    Raises:
        RunError: another command is at work there.
    """
    before = out.exists()
    busy = f"{out}: another `reidlab {command}` is at work there; wait for its end, or choose another folder"
    with locked(out / STATE / LOCK, busy):
        try:
            yield
        except BaseException:
            if not kept(out):
                for name in (ASKED, LOCK):
                    (out / STATE / name).unlink(missing_ok=True)
                with suppress(OSError):  # it holds something of others
                    (out / STATE).rmdir()
                    if not before:
                        out.rmdir()
            raise


def check_begun(out: Path, asked: dict[str, Any], resume: bool, kept: bool) -> bool:
    """Return whether a run was begun in a folder, once it is clear that it may go on.

    Args:
        out: the folder.
        asked: what a resumed run must share with the first, by the options of its command.
        resume: whether it may go on.
        kept: whether it can be resumed.

    Raises:
        ConfigError: it may not go on, or was begun with something else.
    """
    state = out / STATE
    if not kept:
        return False  # there is nothing yet that could be lost
    if not resume:
        raise ConfigError(f"{out}: is not empty, a run was begun there; go on with --resume, or choose a new folder")
    try:
        before = read_json(state / ASKED)
    except RunError as error:
        raise ConfigError(f"{out}: holds no run that could be resumed ({error}); choose a new folder") from error
    for name, value in asked.items():
        if before.get(name) != value:
            was, now = (_shown(name, item) for item in (before.get(name), value))
            raise ConfigError(
                f"{out}: the run in it was begun with {was}, not with {now}; give --resume with what it was begun "
                "with, or choose a new folder, without --resume"
            )
    return True


def _shown(name: str, value: object) -> str:
    if isinstance(value, bool):
        return name if value else name.replace("--", "--no-")
    if not name.startswith("--"):
        return f"{value}"
    return f"no {name}" if value is None else f"{name} {value}"


@contextmanager
def private_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield a stream to a file that only its owner may read from the first byte on; an old file is replaced whole.

    What tools write about single people is personal data: features, pages, clusters, suspicious labels. Networks,
    values of rounds and data sets follow the umask, as other files do.

    Args:
        path: the file.

    Raises:
        StorageError: it cannot be written.
    """
    with replacing(path) as draft:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            yield stream


def write_private_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table without its index as CSV that only its owner may read; see :func:`private_file`.

    Raises:
        StorageError: it cannot be written.
    """
    with private_file(path) as stream:
        stream.write(table.to_csv(index=False).encode(errors="surrogateescape"))
