"""Your own cameras: folders of pictures, sorted by person and camera or by camera alone.

=========================== =====================================================================================
``<person>/<camera>/*.jpg`` labelled; people and cameras may have any names
``<camera>/*.jpg``          unlabelled: identity -1
``*.jpg``                   the same, of one camera
=========================== =====================================================================================

Any of the three may lie in ``train``, ``query`` and ``gallery``; without those folders all rows are ``train``. Names
that are numbers keep them, and cameras named like ``cam3`` keep theirs; otherwise people and cameras are numbered from
1 in the order of their names. The names themselves are in the columns ``person`` and ``camera``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from reidlab.data.readers.base import Reader, first_few, folders_in, pictures_in
from reidlab.data.table import SPLITS, SampleTable, make_table
from reidlab.errors import DataError

_DEPTHS = {0: "*.jpg", 1: "<camera>/*.jpg", 2: "<person>/<camera>/*.jpg"}


class FolderReader(Reader):
    """Reads pictures sorted into folders."""

    name = "folder"
    expects = "<person>/<camera>/*.jpg, or without labels <camera>/*.jpg or *.jpg"

    def table(self, home: Path, dataset: str) -> SampleTable:
        """Return the sample table of a folder; see :class:`~reidlab.data.readers.base.Reader`.

        Raises:
            DataError: pictures lie at different depths, or too deep.
        """
        tops = folders_in(home)
        parts = {name: home / name for name in tops} if tops and set(tops) <= set(SPLITS) else {"train": home}
        found = [(split, *row) for split, folder in parts.items() for row in _walk(folder, folder)]
        depths = {len(folders): (split, folders, name) for split, folders, name in found}
        depth = max(depths, default=0)
        if len(depths) > 1 or depth > 2:
            shown = [os.sep.join([*folders, name]) for _, folders, name in depths.values()]
            raise DataError(
                f"{dataset}: {home} must hold one of {', '.join(_DEPTHS.values())}, the same everywhere; "
                f"it holds {first_few(shown)}"
            )
        people = [folders[0] if depth == 2 else "" for _, folders, _ in found]
        cameras = [folders[-1] if depth else "" for _, folders, _ in found]
        pids = _numbers(people, r"-1|\d+", least=-1) if depth == 2 else dict.fromkeys(people, -1)
        camids = _numbers(cameras, r".*?(\d+)", least=1) if depth else dict.fromkeys(cameras, 1)
        return make_table(
            dataset,
            path=[os.sep.join([f"{parts[split]}", *folders, name]) for split, folders, name in found],
            pid=[pids[name] for name in people],
            camid=[camids[name] for name in cameras],
            split=[split for split, _, _ in found],
            person=people,
            camera=cameras,
        )

    def fits(self, root: Path) -> bool:
        """Return whether there is a picture not too deep in the folder."""
        return any(next(root.glob(f"{'*/' * depth}*.[jJpPbB]*"), None) for depth in range(4))


def _walk(folder: Path, top: Path) -> Iterable[tuple[tuple[str, ...], str]]:
    """Yield the folders above and the name of each picture, in sorted order."""
    above = folder.relative_to(top).parts
    for name in pictures_in(folder):
        yield above, name
    for name in folders_in(folder):
        yield from _walk(folder / name, top)


def _numbers(names: list[str], pattern: str, least: int) -> dict[str, int]:
    """Return a number for each name: the one in it where all names have one and all differ, else its place."""
    unique = sorted(set(names))
    hits = [re.fullmatch(pattern, name) for name in unique]
    if all(hits):
        values = [int(hit[hit.lastindex or 0]) for hit in hits]
        if len(set(values)) == len(values) and min(values) >= least:
            return dict(zip(unique, values))
    return {name: place for place, name in enumerate(unique, start=1)}


FOLDER = FolderReader()
