"""Worlds made once and kept: the same spec and layout always answer with the same folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from reidlab import paths
from reidlab.checks import check_choice
from reidlab.files import disk_errors
from reidlab.world.export import LAYOUTS
from reidlab.world.scene import Scene
from reidlab.world.spec import WorldSpec


def cached(spec: WorldSpec, layout: str = "market1501", *, workers: int | None = None, quiet: bool = False) -> Path:
    """Return the folder of an exported world, making it if it is not in the cache.

    Two processes that ask for the same world at the same time do the work once; the second waits. Nothing
    half-made is ever under the returned name.

    Args:
        spec: what the world is made from.
        layout: one of :data:`~reidlab.world.export.LAYOUTS`.
        workers: number of processes; None takes one per core.
        quiet: whether to leave out the progress bar.

    Returns:
        ``<cache>/worlds/<key of the spec>/<layout>``; treat it as read-only.

    Raises:
        ConfigError: the layout is unknown.
        StorageError: the disk is full, or the cache cannot be written.
    """
    from filelock import FileLock

    check_choice("layout", layout, LAYOUTS)
    home = paths.cache_dir() / "worlds" / spec.key()
    out = home / layout
    if out.is_dir():
        return out
    with disk_errors(home):
        home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / f".{layout}.lock"):
        if not out.is_dir():
            # Who holds the lock is alone: what an earlier process left behind when it was killed can go.
            for left in home.glob(f".{layout}.*.tmp"):
                shutil.rmtree(left, ignore_errors=True)
            LAYOUTS[layout](Scene(spec), out, workers=workers, quiet=quiet)
    return out
