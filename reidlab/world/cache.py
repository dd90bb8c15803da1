"""Worlds made once and kept: the same spec and layout always answer with the same folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from reidlab import paths
from reidlab.checks import check_choice
from reidlab.files import disk_errors, listing_hash, locked, write_text
from reidlab.world.export import LAYOUTS
from reidlab.world.scene import Scene
from reidlab.world.spec import WorldSpec


def cached(spec: WorldSpec, layout: str = "market1501", *, workers: int | None = None, quiet: bool = False) -> Path:
    """Return the folder of an exported world, making it if it is not in the cache.

    Two processes that ask for the same world at the same time do the work once; the second waits. A hash of the names
    and sizes of all files is written last, beside the folder; a world that does not match it is made anew.

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
    check_choice("layout", layout, LAYOUTS)
    home = paths.cache_dir() / "worlds" / spec.key()
    out, listed = home / layout, home / f"{layout}.listing"
    if _is_whole(out, listed):
        return out
    with locked(home / f".{layout}.lock", wait=True):
        if not _is_whole(out, listed):
            # Who holds the lock is alone: what an earlier process left when it was killed can go, and what is damaged.
            for left in (*home.glob(f".{layout}.*.tmp"), out, listed):
                _remove(left)
            LAYOUTS[layout](Scene(spec), out, workers=workers, quiet=quiet)
            write_text(listed, f"{listing_hash(out)}\n")
    return out


def _is_whole(folder: Path, listed: Path) -> bool:
    """Return whether a folder has the files, by name and size, that it had when its listing was written."""
    try:
        return listed.is_file() and listed.read_text(encoding="ascii").strip() == listing_hash(folder)
    except (OSError, ValueError):
        return False


def _remove(path: Path) -> None:
    with disk_errors(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
