"""Where reidlab keeps caches and runs, and where it searches for data.

========================  =====================================================================
``REIDLAB_CACHE``         generated worlds, decoded pictures; default ``~/.cache/reidlab``
``REIDLAB_DATA``          one or more folders (``os.pathsep`` between them) that hold data sets
``REIDLAB_RUNS``          run store; default ``_runs`` in the repository, else in the cache
========================  =====================================================================
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Return the cache folder (not created)."""
    if value := os.environ.get("REIDLAB_CACHE"):
        return Path(value).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().resolve() / "reidlab"


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
