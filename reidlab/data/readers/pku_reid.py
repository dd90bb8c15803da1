"""PKU-Reid (Ma et al., arXiv:1605.02464): 2 cameras, 8 body orientations each, as published or as a divided sample.

Published: one folder ``<pid>_<cam>_<k>.png`` (perhaps inside ``PKUv1a_128x48``), without fixed splits: all rows are
``train``. Divided: ``train/<pid>/<cam>_<k>.png`` and ``val/all_imgs/<pid>/<cam>_<k>.png``; the people of ``val`` become
``query`` (camera 1) and ``gallery`` (camera 2). ``val/query`` and ``val/gallery`` are left alone: they overlap. For
other divisions see :mod:`reidlab.data.splits`.

The eight pictures are orientations, not frames: their number is in the column ``orientation``.
"""

from __future__ import annotations

import re
from pathlib import Path

from reidlab.checks import plural
from reidlab.data.readers.base import Columns, NamePattern, Reader, first_few, folders_in, held_in, pictures_in
from reidlab.data.table import SampleTable
from reidlab.errors import DataError, MissingDataError

_FLAT = NamePattern("<pid>_<cam>_<k>.png", r"(?P<pid>\d{1,9})_0*(?P<camid>[12])_0*(?P<orientation>[1-8])")
_NESTED = NamePattern("<cam>_<k>.png", r"0*(?P<camid>[12])_0*(?P<orientation>[1-8])")
_FOLDER = "PKUv1a_128x48"
_PEOPLE = 114
_DIVIDED = ("train", "val/all_imgs")


class PKUReidReader(Reader):
    """Reads both forms of PKU-Reid."""

    name = "pku_reid"
    signs = (_FOLDER, _DIVIDED[1])
    expects = "train/<pid>/<cam>_<k>.png and val/all_imgs/<pid>/..., or <pid>_<cam>_<k>.png"

    def table(self, home: Path, dataset: str) -> SampleTable:
        """Return the sample table of a folder; see :class:`~reidlab.data.readers.base.Reader`.

        Raises:
            MissingDataError: the folder has neither of the two forms.
            DataError: a folder or file name does not follow the layout.
        """
        divided = [part for part in _DIVIDED if (home / part).is_dir()]
        flat = home / _FOLDER if (home / _FOLDER).is_dir() else home
        if len(divided) == len(_DIVIDED):
            return self._read_divided(home, dataset)
        if divided or not pictures_in(flat):
            raise MissingDataError(f"{dataset}: {home} needs {self.expects}; it holds {held_in(home)}")
        names = pictures_in(flat)
        columns = Columns()
        columns.add(flat, names, split="train", **_FLAT.parse_all(names, str(flat), dataset))
        return columns.table(dataset)

    def _read_divided(self, home: Path, dataset: str) -> SampleTable:
        columns = Columns()
        for part in _DIVIDED:
            people = folders_in(home / part)
            bad = [name for name in people if not re.fullmatch(r"\d{1,9}", name)]
            if bad:
                raise DataError(
                    f"{dataset}: {plural(len(bad), 'folder')} in {part} without a number for a name: {first_few(bad)}"
                )
            for person in people:
                where = f"{part}/{person}"
                names = pictures_in(home / where)
                parsed = _NESTED.parse_all(names, where, dataset)
                splits = ["train" if part == "train" else ("query", "gallery")[n - 1] for n in parsed["camid"]]
                columns.add(home / where, names, pid=int(person), split=splits, **parsed)
        return columns.table(dataset)

    def fits(self, root: Path) -> bool:
        """Return whether the folder has one of the two forms; without its name, all names and numbers must fit."""
        if all((root / part).is_dir() for part in _DIVIDED):
            return True
        if (root / _FOLDER).is_dir():
            return bool(names := pictures_in(root / _FOLDER)) and _FLAT.fits(names[0])
        names = pictures_in(root)
        return bool(names) and all(_FLAT.fits(name) and 1 <= _FLAT.parse(name)["pid"] <= _PEOPLE for name in names)


PKU_REID = PKUReidReader()
