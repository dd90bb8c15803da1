"""Where reidlab keeps caches and runs, and where it searches for data.

========================  =====================================================================
``REIDLAB_CACHE``         generated worlds, decoded pictures; default ``~/.cache/reidlab``
``REIDLAB_DATA``          one or more folders (``os.pathsep`` between them) that hold data sets
``REIDLAB_RUNS``          run store; default ``_runs`` in the repository, else in the cache
========================  =====================================================================

Compiled code is none of these: see :func:`compiled_dir`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


def cache_dir() -> Path:
    """Return the cache folder (not created)."""
    if value := os.environ.get("REIDLAB_CACHE"):
        return Path(value).expanduser().resolve()
    return _user_cache() / "reidlab"


def compiled_dir() -> Path | None:
    """Return the folder of compiled code, which is run as it is found, or None if there is none that is safe.

    It is ``NUMBA_CACHE_DIR``, else ``~/.cache/reidlab-compiled``, and never in ``REIDLAB_CACHE``, which several people
    may share. Only a folder that belongs to this user, and that nobody else may write, is taken; it is made if missing.
    """
    given = os.environ.get("NUMBA_CACHE_DIR")
    for folder in (*([Path(given).expanduser().absolute()] if given else []), _user_cache() / "reidlab-compiled"):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            info = folder.lstat()
        except OSError:
            continue
        private = stat.S_ISDIR(info.st_mode) and not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if os.name == "nt" or (private and info.st_uid == os.getuid()):
            return folder
    return None


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().resolve()


def config_dir() -> Path:
    """Return the folder of the user's own settings, such as registered data sets (not created)."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser().resolve() / "reidlab"


def data_roots() -> list[Path]:
    """Return the folders named by ``REIDLAB_DATA``, in order; empty if it is not set."""
    value = os.environ.get("REIDLAB_DATA", "")
    return [Path(part).expanduser().resolve() for part in value.split(os.pathsep) if part]


def repository_root() -> Path | None:
    """Return the checkout this package is installed from, or None where it is installed as a wheel."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "notebooks").is_dir() and (root / "book").is_dir() else None


def runs_dir() -> Path:
    """Return the run store (not created)."""
    if value := os.environ.get("REIDLAB_RUNS"):
        return Path(value).expanduser().resolve()
    root = repository_root()
    return (root if root else cache_dir()) / "_runs"
