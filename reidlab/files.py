"""Files that are written whole or not at all, locks, digests, and errors of the disk that name the path."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock

from reidlab.errors import ReidlabError, RunError, StorageError
from reidlab.reading import read_text

# In the names of temporary files: processes of other machines that share the disk cannot be asked whether they live.
_MACHINE = hashlib.blake2b(platform.node().encode(), digest_size=3).hexdigest()
_SHARED_MEMORY = Path("/dev/shm")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; it takes the place of ``path`` if the block succeeds.

    Raises:
        StorageError: the place cannot be written; whatever stood at ``path`` before is untouched.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    try:
        with disk_errors(path):
            # Made anew: a link that somebody put there would lead the writing to another file.
            temporary.unlink(missing_ok=True)
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0), 0o666))
            yield temporary
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; it gets the name ``path`` if the block succeeds.

    Raises:
        StorageError: something stands at ``path`` already, or the place cannot be written; then there is no folder.
    """
    if path.exists():
        raise StorageError(f"{path} exists already; remove it or choose another folder")
    temporary = _beside(path)
    shutil.rmtree(temporary, ignore_errors=True)  # of an earlier process that had this one's number
    try:
        with disk_errors(path):
            temporary.mkdir(parents=True)
            yield temporary
            os.rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def temporary_folder(name: str = "reidlab", place: Path | None = None) -> Iterator[Path]:
    """Yield a folder that only this user may enter; it is removed at the end, or by :func:`clear_left_overs`.

    Args:
        name: its name's beginning.
        place: where; the system's folder for temporary files if None.

    Raises:
        StorageError: it cannot be made.
    """
    try:
        place = place or Path(tempfile.gettempdir())
    except OSError as error:
        raise StorageError(f"no folder for temporary files may be written; name one by TMPDIR ({error})") from error
    with disk_errors(place):
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-{_MACHINE}-{os.getpid()}-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_left_overs(*places: Path, name: str = "reidlab") -> None:
    """Remove what killed processes of this user left: their temporary folders, and the memory that they shared.

    Args:
        *places: folders in which :func:`temporary_folder` made some; the system's for temporary files if none.
        name: with which those were made.
    """
    for place in places or (Path(tempfile.gettempdir()),):
        for pid in _clear(place, rf"{re.escape(name)}-{_MACHINE}-([0-9]+)-.*"):
            _clear(_SHARED_MEMORY, rf"(?:joblib_memmapping_folder_|sem\.loky-|torch_)({pid})[_-].*")


def _beside(path: Path) -> Path:
    """Return this process's temporary name beside a path, once those that killed processes left there are gone."""
    _clear(path.parent, rf"\.{re.escape(path.name)}\.{_MACHINE}-([0-9]+)\.tmp")
    return path.with_name(f".{path.name}.{_MACHINE}-{os.getpid()}.tmp")


def _clear(place: Path, pattern: str) -> set[int]:
    """Remove this user's entries of a folder whose name holds the number of a dead process; return the numbers."""
    found: set[int] = set()
    if not hasattr(os, "getuid"):  # nor can a process be asked whether it lives, without ending it
        return found
    with suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            match = re.fullmatch(pattern, entry.name)
            if not match or _lives(int(match[1])) or entry.stat(follow_symlinks=False).st_uid != os.getuid():
                continue
            found.add(int(match[1]))
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with suppress(OSError):
                    os.unlink(entry.path)
    return found


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # it lives, as somebody else's
    return True


def reserve(descriptor: int, size: int, path: Path) -> None:
    """Take a file's space at once: a disk that fills up under mapped memory kills the process.

    Args:
        descriptor: of the open file.
        size: bytes it will have.
        path: named in the message.

    Raises:
        StorageError: there is no room.
    """
    if size and hasattr(os, "posix_fallocate"):
        with disk_errors(path):
            os.posix_fallocate(descriptor, 0, size)


@contextmanager
def locked(path: Path, busy: str = "", *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a file; the system frees it when this process ends, however it ends.

    Args:
        path: the lock's own file.
        busy: says that another process holds it, and what to do.
        wait: whether to wait for another process that holds it.

    Raises:
        RunError: another process holds it; with ``busy``.
        StorageError: the place cannot be written.
    """
    lock = filelock.FileLock(path, timeout=-1 if wait else 0)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise RunError(busy) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn errors of the operating system (no space, no permission, a file where a folder should be) into one sentence.

    Raises:
        StorageError: naming the path and the reason.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, ReidlabError):
            raise
        place = error.filename or path
        if any(part.endswith(f"{os.getpid()}.tmp") for part in Path(os.fsdecode(place)).parts):
            place = path  # nobody knows a temporary file by its name
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"{path}: the disk is full; nothing was changed. Free some space, or choose a folder on another disk "
                "(REIDLAB_RUNS, REIDLAB_CACHE, TMPDIR)"
            ) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise StorageError(
                f"{place}: may not be written ({os.strerror(error.errno)}); choose another folder "
                "(REIDLAB_RUNS, REIDLAB_CACHE, TMPDIR)"
            ) from error
        raise StorageError(f"{place}: {error.strerror or error}") from error


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON to ``path`` in one step; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RunError: the file is missing, is not JSON, or is not an object.
    """
    if not os.path.exists(path):
        raise RunError(f"{path}: not found")
    try:
        value = json.loads(read_text(path, RunError))
    except (RunError, ValueError, RecursionError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise RunError(f"{path}: cannot be read as JSON ({reason}); run the chapter again") from error
    if not isinstance(value, dict):
        raise RunError(f"{path}: expected a JSON object, found {type(value).__name__}; run the chapter again")
    return value


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def listing_hash(root: Path) -> str:
    """Return a hash of the names and sizes of all files under ``root``; quick, and blind to their contents."""
    summary = hashlib.blake2b(digest_size=16)
    for folder, folders, names in os.walk(root):
        folders.sort()
        inside = Path(folder).relative_to(root)
        for name in sorted(names):
            try:
                size = os.stat(os.path.join(folder, name)).st_size
            except OSError:
                size = -1  # a link that leads nowhere
            summary.update(os.fsencode((inside / name).as_posix()) + f"\0{size}\n".encode())
    return summary.hexdigest()


def size_of(root: Path) -> int:
    """Return the bytes of all files under ``root``; a file that vanishes meanwhile counts nothing."""
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            with suppress(OSError):
                total += (Path(folder) / name).lstat().st_size
    return total
