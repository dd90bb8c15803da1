"""What readers are made of: finding folders, listing pictures, reading names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from reidlab.data.table import make_table
from reidlab.errors import DataError, MissingDataError

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".pgm", ".ppm", ".webp")


@dataclass(frozen=True)
class NameFormat:
    """How a data set names its pictures.

    Attributes:
        pattern: regular expression of the whole name without its extension, with groups ``pid``, ``camid`` and, where
            the name says it, ``frame``.
        shown: the format as people write it.
    """

    pattern: str
    shown: str

    def match(self, stem: str) -> dict[str, str] | None:
        """Return the parts of a name, or None if it breaks the format."""
        found = re.fullmatch(self.pattern, stem)
        return None if found is None else found.groupdict()


def first_few(items: Iterable[object], limit: int = 3) -> str:
    """Return the first items of many, for a message."""
    listed = [str(item) for item in items]
    return ", ".join(listed[:limit]) + (", ..." if len(listed) > limit else "")


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted, without hidden ones."""
    return sorted(item for item in folder.iterdir() if item.is_dir() and not item.name.startswith("."))


def need_root(root: str | Path) -> Path:
    """Return the folder of a data set.

    Raises:
        MissingDataError: there is no such folder.
    """
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise MissingDataError(f"{folder}: there is no such folder; give the folder of the unpacked data set")
    return folder.absolute()


def need(root: Path, *parts: str) -> list[Path]:
    """Return the named folders or files of a data set.

    Raises:
        MissingDataError: one is not there; the message names it, all that is expected and what is there.
    """
    if missing := [part for part in parts if not (root / part).exists()]:
        there = sorted(item.name for item in root.iterdir() if not item.name.startswith("."))
        message = (
            f"{root}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; expected "
            f"{', '.join(parts)}, found {first_few(there, 8) or 'nothing'}"
        )
        inner = [folder.name for folder in subfolders(root) if all((folder / part).exists() for part in parts)]
        if inner:
            message += f"; did you mean {root / inner[0]}?"
        raise MissingDataError(message)
    return [root / part for part in parts]


def pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder, sorted by name; other files (``Thumbs.db``) and hidden ones are passed over."""
    with os.scandir(folder) as items:
        names = [item.name for item in items if not item.name.startswith(".") and item.name.lower().endswith(PICTURES)]
    return [folder / name for name in sorted(names)]


def named(paths: Iterable[Path], form: NameFormat) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield each picture with the parts of its name.

    Raises:
        DataError: names break the format; the message counts them and shows the first three.
    """
    wrong, good = [], []
    for path in paths:
        parts = form.match(path.stem)
        if parts is None:
            wrong.append(path)
        else:
            good.append((path, parts))
    if wrong:
        raise DataError(
            f"{wrong[0].parent}: {len(wrong)} picture name{'s do' if len(wrong) > 1 else ' does'} not follow {form.shown}: "
            f"{first_few(path.name for path in wrong)}"
        )
    yield from good


def row(path: Path, parts: Mapping[str, str], split: str, **more: Any) -> dict[str, Any]:
    """Return a table row from the parts of a name."""
    return {
        "path": str(path),
        "pid": int(parts["pid"]),
        "camid": int(parts["camid"]),
        "frame": int(parts.get("frame") or -1),
        "split": split,
        **more,
    }


def read_folders(root: str | Path, dataset: str, folders: Mapping[str, str], form: NameFormat) -> pd.DataFrame:
    """Read a data set with one flat folder per split and labels in the names.

    Args:
        root: its folder.
        dataset: its name.
        folders: folder of each split.
        form: how pictures are named.

    Raises:
        MissingDataError: a folder is missing.
        DataError: a folder is empty, or a name breaks the format.
    """
    home = need_root(root)
    found = dict(zip(folders, need(home, *folders.values())))
    rows = []
    for split, folder in found.items():
        mine = [row(path, parts, split) for path, parts in named(pictures(folder), form)]
        if not mine:
            raise DataError(f"{folder}: it holds no picture; expected files named {form.shown}")
        rows += mine
    return make_table(rows, dataset)
