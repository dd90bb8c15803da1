"""Your own cameras: folders of pictures, sorted by person and camera or by camera alone.

=========================== =====================================================================================
``<person>/<camera>/*.jpg`` labelled; people and cameras may have any names
``<camera>/*.jpg``          unlabelled: identity -1
``*.jpg``                   the same, of one camera
=========================== =====================================================================================

Nobody can see from two levels of names which of them are people. The three above are what is taken unless a layout is
named: ``folder_camera_person`` is ``<camera>/<person>/*.jpg``, and ``folder_person`` is ``<person>/*.jpg``, people of
one camera.

Any of these may lie in ``train``, ``query`` and ``gallery``; without those folders all rows are ``train``. The name of
a split is never a person or a camera. A few pictures beside the folders are left out; ``table.attrs["notes"]`` says so.

People whose names are numbers from 1 keep them, and cameras named like ``cam3`` keep theirs; otherwise people and
cameras are numbered from 1 in the order of their names. So a person called ``0`` or ``0000`` is a person like others
and not a distractor class, and all are numbered anew; ``-1`` is junk, as everywhere. The names themselves are in the
columns ``person`` and ``camera``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reidlab.checks import plural
from reidlab.data.readers.base import Reader, first_few, folders_in, pictures_in
from reidlab.data.table import SPLITS, SampleTable, make_table
from reidlab.errors import DataError

#: Names that say what pictures are for; of these, ours are read.
SPLIT_NAMES = frozenset(
    {*SPLITS, "val", "valid", "validation", "test", "testing", "training", "train_all", "trainval", "probe"}
)
_STRAY = 0.1  # pictures beside the folders, per picture in them, that are left out
_DEEPEST = 4  # levels that are looked into: one more than splits, people and cameras
_LARGEST = 2**31  # number in a name
JUNK = "-1"


@dataclass(frozen=True)
class FolderReader(Reader):
    """Reads pictures sorted into folders.

    Attributes:
        name: of the layout.
        forms: what the levels of folders are, by their number.
    """

    name: str = "folder"
    forms: tuple[tuple[str, ...], ...] = ((), ("camera",), ("person", "camera"))

    @property
    def expects(self) -> str:  # type: ignore[override]
        """One line on what the layout looks like on disk."""
        return " or ".join(map(_shape, reversed(self.forms)))

    def home(self, root: Path) -> Path:
        """Return the folder itself: one level down is another sorting."""
        return root

    def table(self, home: Path, dataset: str) -> SampleTable:
        """Return the sample table of a folder; see :class:`~reidlab.data.readers.base.Reader`.

        Raises:
            DataError: pictures lie at different depths or too deep, a split has another name than ours, or a link
                leads to a folder above it.
        """
        rows, stray = self._rows(home, dataset)
        depth = len(rows[0][1]) if rows else 0
        levels = dict(zip(next((form for form in self.forms if len(form) == depth), ()), range(depth)))
        names = {
            level: [folders[levels[level]] if level in levels else "" for _, folders, _ in rows]
            for level in ("person", "camera")
        }
        pids = people_numbers(names["person"]) if "person" in levels else {"": -1}
        camids = _numbers(names["camera"], r".*?(\d+)") if "camera" in levels else {"": 1}
        table = make_table(
            dataset,
            path=[os.sep.join([f"{home}", *above, name]) for above, _, name in rows],
            pid=[pids[name] for name in names["person"]],
            camid=[camids[name] for name in names["camera"]],
            split=[above[0].lower() if len(above) > depth else "train" for above, _, _ in rows],
            **names,
        )
        if stray:
            table.attrs["notes"] = (f"{plural(len(stray), 'picture')} beside the folders left out: {first_few(stray)}",)
        return table

    def fits(self, root: Path) -> bool:
        """Return whether there is a picture not too deep in the folder."""
        return next(walk(root), None) is not None

    def _rows(self, home: Path, dataset: str) -> tuple[list[tuple[Sequence[str], Sequence[str], str]], list[str]]:
        """Return all folders, those below the split, and the name of each picture; and the pictures left out."""
        found = list(walk(home))
        tops = {above[0] for above, _ in found if above}
        splits = sorted(top for top in tops if top.lower() in SPLIT_NAMES)
        divided = bool(splits)
        if divided and ({top.lower() for top in splits} - set(SPLITS) or len(splits) < len(tops)):
            others = sorted(tops - {top for top in tops if top.lower() in SPLITS})
            raise DataError(
                f"{dataset}: {home} holds {first_few(splits)} and {first_few(others)}; where there are splits, every "
                f"folder must be one of {', '.join(SPLITS)} (what only queries and is searched is query and gallery)"
            )
        if len({top.lower() for top in splits}) < len(splits):
            raise DataError(f"{dataset}: {home} holds a split twice, in small and capital letters: {first_few(splits)}")
        rows = [(above, above[divided:], name) for above, name in found]
        for above, folders, _ in rows:
            if named := [folder for folder in folders if folder.lower() in SPLIT_NAMES]:
                raise DataError(
                    f"{dataset}: {os.sep.join([f'{home}', *above])}: {named[0]} is a split's name and stands where "
                    f"a person or a camera does; put {', '.join(SPLITS)} at the top"
                )
        inside = [row for row in rows if row[1]]
        stray = [os.sep.join([*above, name]) for above, folders, name in rows if not folders]
        if not inside or len(stray) > _STRAY * len(inside):
            inside, stray = rows, []
        depths = {len(above) - divided: os.sep.join([*above, name]) for above, _, name in inside}
        if len(depths) > 1 or not {len(form) for form in self.forms}.issuperset(depths):
            raise DataError(
                f"{dataset}: {home} must hold {self.expects}, the same everywhere; it holds "
                f"{first_few(depths[depth] for depth in sorted(depths))}"
            )
        return inside, stray


def walk(folder: Path, above: tuple[str, ...] = (), seen: tuple[tuple[int, int], ...] = ()) -> Iterable[tuple]:
    """Yield the folders above and the name of each picture, in sorted order, to one level more than is read.

    Args:
        folder: it starts in.
        above: folders between that one and the first.
        seen: devices and numbers of the folders above, so that links that lead upwards end the walk.

    Raises:
        DataError: a link leads to a folder above it, or a folder may not be listed.
    """
    here = os.stat(folder)
    if (here.st_dev, here.st_ino) in seen:
        raise DataError(f"{folder}: is a link to a folder above it; remove it")
    for name in pictures_in(folder):
        yield above, name
    if len(above) < _DEEPEST:
        for name in folders_in(folder):
            yield from walk(folder / name, (*above, name), (*seen, (here.st_dev, here.st_ino)))


def people_numbers(names: Iterable[str]) -> dict[str, int]:
    """Return the identity of each name: -1 of the junk, and see this module's header.

    Example:
        >>> people_numbers(["bob", "alice", "-1"]), people_numbers(["0002", "0007"])
        ({'-1': -1, 'alice': 1, 'bob': 2}, {'0002': 2, '0007': 7})
    """
    names = set(names)
    junk = {JUNK: -1} if JUNK in names else {}
    return junk | _numbers(names - {JUNK}, r"(\d+)")


def _numbers(names: Iterable[str], pattern: str) -> dict[str, int]:
    """Return a number for each name: the one in it where all names have one from 1 and all differ, else its place."""
    unique = sorted(set(names))
    hits = [re.fullmatch(pattern, name) for name in unique]
    if all(hits):
        values = [int(hit[1]) for hit in hits]
        if len(set(values)) == len(values) and 1 <= min(values, default=1) <= max(values, default=1) < _LARGEST:
            return dict(zip(unique, values))
    return {name: place for place, name in enumerate(unique, start=1)}


def _shape(form: tuple[str, ...]) -> str:
    return "/".join([*(f"<{level}>" for level in form), "*.jpg"])


FOLDER = FolderReader()
FOLDER_CAMERA_PERSON = FolderReader("folder_camera_person", (("camera", "person"),))
FOLDER_PERSON = FolderReader("folder_person", (("person",),))
