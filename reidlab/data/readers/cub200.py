"""CUB-200-2011 (Wah et al., 2011): one folder of pictures per bird species, for retrieval of species never seen.

The first hundred species are ``train``, the others the test, as in the retrieval literature. Every test picture is a
query and a gallery entry at once: it stands in the table twice, under one tracklet number, so that the protocol
``leave-one-out`` can pass over the query itself. There are no cameras; the column says 1 throughout.
"""

from __future__ import annotations

import re
from pathlib import Path

from reidlab.checks import plural
from reidlab.data.readers.base import Columns, Reader, first_few, folders_in, pictures_in, require
from reidlab.data.table import SampleTable
from reidlab.errors import DataError

_SPECIES = re.compile(r"(\d{3})\.\S+")
_LAST_TRAINED, _SPECIES_IN_ALL = 100, 200


class CUB200Reader(Reader):
    """Reads ``images/<number>.<species>/<picture>.jpg``; the species' number is the ``pid``."""

    name = "cub200"
    expects = "images/<three digits>.<species>/<picture>.jpg"

    def table(self, home: Path, dataset: str) -> SampleTable:
        """Return the sample table of a folder; see :class:`~reidlab.data.readers.base.Reader`.

        Raises:
            MissingDataError: there is no folder ``images``.
            DataError: a folder in it is not named as a species.
        """
        require(home, ["images"], dataset)
        folders = folders_in(home / "images")
        bad = [name for name in folders if not _SPECIES.fullmatch(name)]
        if bad:
            raise DataError(
                f"{dataset}: {plural(len(bad), 'folder')} in {home / 'images'} "
                f"{'is' if len(bad) == 1 else 'are'} not <three digits>.<species>: {first_few(bad)}; move what does "
                "not belong there"
            )
        columns = Columns()
        number = 0
        for folder in folders:
            pid = int(folder[:3])
            names = pictures_in(home / "images" / folder)
            tracklets = list(range(number, number + len(names)))
            for split in ("train",) if pid <= _LAST_TRAINED else ("query", "gallery"):
                columns.add(home / "images" / folder, names, split=split, pid=pid, tracklet=tracklets)
            number += len(names)
        return columns.table(dataset)

    def fits(self, root: Path) -> bool:
        """Return whether all folders of pictures are numbered species, of which there are 200."""
        folders = _folders(root)
        hits = [_SPECIES.fullmatch(name) for name in folders]
        return bool(folders) and all(hit and 1 <= int(hit[1]) <= _SPECIES_IN_ALL for hit in hits)

    def near(self, root: Path) -> int:
        """Return whether one of the folders of pictures is a numbered species."""
        return int(any(map(_SPECIES.fullmatch, _folders(root))))


def _folders(root: Path) -> list[str]:
    return folders_in(root / "images") if (root / "images").is_dir() else []


CUB200 = CUB200Reader()
