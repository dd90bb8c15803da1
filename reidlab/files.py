"""Files that are written whole or not at all, locks, digests, and errors of the disk that name the path."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock

from reidlab.errors import ReidlabError, RunError, StorageError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; it takes the place of ``path`` if the block succeeds.

    Raises:
        StorageError: the place cannot be written; whatever stood at ``path`` before is untouched.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with disk_errors(path):
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
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with disk_errors(path):
            temporary.mkdir(parents=True)
            yield temporary
            os.rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock of a file; the system frees it when this process ends, however it ends.

    Args:
        path: the lock's own file.
        busy: says that another process holds it, and what to do.

    Raises:
        RunError: another process holds it; with ``busy``.
        StorageError: the place cannot be written.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path, timeout=0)
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
                "(REIDLAB_RUNS, REIDLAB_CACHE)"
            ) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise StorageError(
                f"{place}: may not be written ({os.strerror(error.errno)}); choose another folder "
                "(REIDLAB_RUNS, REIDLAB_CACHE)"
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
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path}: not found") from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read as JSON ({error}); run the chapter again") from error
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
        for name in sorted(names):
            path = Path(folder) / name
            summary.update(f"{path.relative_to(root).as_posix()}\0{path.stat().st_size}\n".encode())
    return summary.hexdigest()


def size_of(root: Path) -> int:
    """Return the bytes of all files under ``root``; a file that vanishes meanwhile counts nothing."""
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            with suppress(OSError):
                total += (Path(folder) / name).lstat().st_size
    return total
