"""DukeMTMC-VideoReID (Wu et al., CVPR 2018), withdrawn by its makers; read where a user has it.

``train``, ``query`` and ``gallery`` hold ``<pid>/<track>/<frames>``; the query tracklets are in the gallery too, and
the two copies of a tracklet get the same number. Tracklets are numbered from 1 in training and again in the test.
"""

from __future__ import annotations

from pathlib import Path

from reidlab.data.readers.base import Columns, NamePattern, Reader, folders_in, pictures_in, require
from reidlab.data.table import SPLITS, SampleTable
from reidlab.errors import DataError

NAMES = NamePattern("<pid>_C<cam>_F<frame>_X<n>.jpg", r"(?P<pid>\d{4})_?C(?P<camid>[1-8])_?F(?P<frame>\d{1,15})_?X\d+")


class DukeMTMCVideoReIDReader(Reader):
    """Reads DukeMTMC-VideoReID."""

    name = "dukemtmc_videoreid"
    expects = f"train, query, gallery with <pid>/<track>/{NAMES.shape}"

    def table(self, home: Path, dataset: str) -> SampleTable:
        """Return the sample table of a folder; see :class:`~reidlab.data.readers.base.Reader`.

        Raises:
            MissingDataError: a split has no folder.
            DataError: a file name does not follow the layout, or a picture is of another identity than its folder.
        """
        require(home, SPLITS, dataset)
        columns = Columns()
        numbers: dict[tuple[bool, str, str], int] = {}
        counts = {True: 0, False: 0}
        for split in SPLITS:
            train = split == "train"
            for person in folders_in(home / split):
                for track in folders_in(home / split / person):
                    where = f"{split}/{person}/{track}"
                    names = pictures_in(home / where)
                    parsed = NAMES.parse_all(names, where, dataset)
                    if {f"{pid:04d}" for pid in parsed["pid"]} - {person}:
                        raise DataError(f"{dataset}: {where} holds pictures of another identity than {person}")
                    if (train, person, track) not in numbers:
                        counts[train] += 1
                        numbers[train, person, track] = counts[train]
                    columns.add(home / where, names, split=split, tracklet=numbers[train, person, track], **parsed)
        return columns.table(dataset)

    def fits(self, root: Path) -> bool:
        """Return whether the first picture of the first tracklet has a fitting name."""
        if not all((root / split).is_dir() for split in SPLITS):
            return False
        folder = root / "train"
        for _ in range(2):
            inner = folders_in(folder)
            if not inner:
                return False
            folder = folder / inner[0]
        names = pictures_in(folder)
        return bool(names) and NAMES.fits(names[0])


DUKEMTMC_VIDEOREID = DukeMTMCVideoReIDReader()
