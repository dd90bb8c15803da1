"""Shared by all tools: the place that is written, checked before the work; runs that resume; files about people."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from reidlab.checks import suggest
from reidlab.data.catalogue import entries, find
from reidlab.data.readers.base import PICTURES
from reidlab.errors import ConfigError, MissingDataError, ReidlabError, RunError, StorageError
from reidlab.files import locked, read_json, replacing

if TYPE_CHECKING:
    import pandas as pd

#: What a run that can be interrupted keeps in its folder: its state, and in that what it was asked for and a lock.
STATE, ASKED, LOCK = "state", "asked.json", "lock"


def check_option(option: str, value: str, known: Iterable[str]) -> None:
    """Check that an option's value is one of those that are known.

    Args:
        option: as it is given, with its dashes.
        value: what was given.
        known: all that are allowed, in the order in which the message lists them where none is near.

    Raises:
        ConfigError: naming the option and its value, and what was meant, or all that there is.
    """
    known = list(known)
    if value not in known:
        near = suggest(value, known)
        near = near if near.startswith("; did you mean") else f"; there is: {', '.join(known)}"
        raise ConfigError(f"{option}: there is none called {value!r}{near}")


def own_place(name: str | Path) -> str | Path:
    """Return the path by which a data set is known where its folder is named by another, such as a link or by ``..``.

    By another path the folder would lose the layout that it was added with.

    Args:
        name: of the set, or a folder; what is no folder of a known set is returned as it is.

    Raises:
        ConfigError: the list of registered folders is malformed.
    """
    place = os.path.expanduser(name)
    try:
        real = os.path.realpath(place)
    except ValueError:  # no path has such characters
        return name
    if not str(name).strip() or not os.path.isdir(real) or _is_word(name):
        return name
    known = [entry.path for entry in entries(count=False) if entry.path is not None]
    same = [path for path in known if os.path.realpath(path) == real]
    return name if not same or Path(place).absolute() in same else same[0]


def _is_word(name: str | Path) -> bool:
    """Return whether a word is the name of a data set, here or not, rather than a folder."""
    if isinstance(name, Path) or os.sep in name or name.startswith((".", "~")):
        return False
    try:
        find(name)
    except MissingDataError:
        return True
    except ConfigError:
        return False
    return True


@contextmanager
def takes_a_set(name: str | Path) -> Iterator[None]:
    """Name the path once, and say what is taken, where the block searches a data set and finds a file or nothing.

    Raises:
        MissingDataError: there is no such folder, or a name that looks like a file's is neither one nor a data set's.
    """
    try:
        yield
    except ConfigError as error:
        if str(error).startswith("there is no data set") and str(name).lower().endswith((*PICTURES, ".npz")):
            raise MissingDataError(f"{name}: there is no such file, and no data set of that name") from error
        raise
    except MissingDataError as error:
        path = Path(name).expanduser()
        text = str(error).removeprefix(f"{name}: ")
        if not text.startswith(f"{path.absolute()} "):
            raise
        wanted = "a data set is taken, by its name or its folder"
        if path.suffix.lower() == ".npz":
            wanted += "; what `reidlab embed` wrote is for `evaluate` and `search`"
        raise MissingDataError(f"{text}; {wanted}" if path.is_file() else text) from error


@contextmanager
def lasting(advice: str) -> Iterator[None]:
    """Say by the options of a command what to do where the block trains and its loss is no longer finite.

    Args:
        advice: what to do.

    Raises:
        RunError: the loss is not finite.
    """
    try:
        yield
    except RunError as error:
        found = re.match(r"iteration (\d+): the loss is not finite", str(error))
        if found is None:
            raise
        raise RunError(f"the loss is not finite at training step {found[1]}; {advice}") from error


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
