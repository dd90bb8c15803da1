"""Readers: one file per on-disk layout, each giving the same sample table.

A new layout is a new file with a subclass of :class:`~reidlab.data.readers.base.Reader` that has ``name``, ``expects``,
``table`` and ``fits``, and a line in :data:`READERS`.
"""

from __future__ import annotations

import re
from pathlib import Path

from reidlab.checks import check_choice
from reidlab.data.readers import dukemtmc_videoreid, mars, msmt17
from reidlab.data.readers.base import FlatReader, NamePattern, Reader, folders_in
from reidlab.data.readers.cub200 import CUB200
from reidlab.data.readers.cuhk03_np import CUHK03_NP_DETECTED, CUHK03_NP_LABELED
from reidlab.data.readers.dukemtmc_reid import DUKEMTMC_REID
from reidlab.data.readers.dukemtmc_videoreid import DUKEMTMC_VIDEOREID
from reidlab.data.readers.folder import FOLDER, FOLDER_CAMERA_PERSON, FOLDER_PERSON, SPLIT_NAMES, FolderReader, walk
from reidlab.data.readers.market1501 import MARKET1501
from reidlab.data.readers.mars import MARS
from reidlab.data.readers.mot import MOT, MOT_SHARED
from reidlab.data.readers.msmt17 import MSMT17
from reidlab.data.readers.pku_reid import PKU_REID
from reidlab.data.readers.veri776 import VERI776
from reidlab.data.table import SPLITS
from reidlab.errors import DataError, ReidlabError

#: Readers by the names of their layouts; the first that fits wins in :func:`detect`, so the vaguest comes last.
READERS: dict[str, Reader] = {
    reader.name: reader
    for reader in (
        MARKET1501,
        DUKEMTMC_REID,
        CUHK03_NP_DETECTED,
        CUHK03_NP_LABELED,
        VERI776,
        MSMT17,
        MARS,
        DUKEMTMC_VIDEOREID,
        PKU_REID,
        CUB200,
        MOT,
        MOT_SHARED,
        FOLDER,
        FOLDER_CAMERA_PERSON,
        FOLDER_PERSON,
    )
}

#: How pictures are named in the layouts that can be told from a name.
_NAMED = {
    "market1501": MARKET1501.pattern,
    "dukemtmc_reid": DUKEMTMC_REID.pattern,
    "cuhk03_np_detected": CUHK03_NP_DETECTED.pattern,
    "veri776": VERI776.pattern,
    "msmt17": msmt17.NAMES,
    "mars": mars.NAMES,
    "dukemtmc_videoreid": dukemtmc_videoreid.NAMES,
}


def get(layout: str) -> Reader:
    """Return the reader of a layout.

    Raises:
        ConfigError: there is none of that name; the message suggests one.
    """
    check_choice("layout", layout, READERS)
    return READERS[layout]


def detect(root: Path) -> Reader:
    """Return the reader whose layout a folder has, or the only folder in it.

    What has a sign of a data set's layout and not all of it is refused: read as a folder of people's own it would give
    people and cameras that are none.

    Raises:
        DataError: it has none of them, or is a damaged one, or may not be read; the message says what is wrong.
    """
    known = [reader for reader in READERS.values() if not isinstance(reader, FolderReader)]
    try:
        for reader in known:
            if reader.fits(reader.home(root)):
                return reader
        inner = folders_in(root)
        places = [root, root / inner[0]] if len(inner) == 1 else [root]
        signs, place, reader = max(
            ((reader.near(place), place, reader) for place in places for reader in known), key=lambda found: found[0]
        )
        if signs:
            reader.read(place, f"{root.name} (looks like {reader.name})")
            return reader
        _refuse_names(root)
        if FOLDER.fits(root):
            return FOLDER
    except OSError as error:
        if isinstance(error, ReidlabError):
            raise
        raise DataError(f"{error.filename or root}: cannot be read ({error.strerror})") from error
    found = "looks like no layout that can be read" if next(walk(root), None) else "holds no picture"
    raise DataError(f"{root} {found}; the simplest layout is: {FOLDER.expects}")


def _refuse_names(root: Path) -> None:
    """Refuse pictures whose names are a data set's and say more about people and cameras than the folders do.

    Raises:
        DataError: naming the data set and the first such picture.
    """
    pattern, layout = None, ""
    for above, name in walk(root):
        if pattern is None:
            layout = next((layout for layout, names in _NAMED.items() if names.fits(name)), "")
            if not layout:
                return
            pattern = _NAMED[layout]
        if not pattern.fits(name):
            return
        folders = [folder for folder in above if folder.lower() not in SPLIT_NAMES]
        numbers = [re.fullmatch(r".*?(\d{1,9})", folder) for folder in folders]
        if len(folders) == 2 and (not numbers[1] or int(numbers[1][1]) == pattern.parse(name)["camid"]):
            continue
        raise DataError(
            f"{root}: {'/'.join([*above, name])} is named as in {layout} ({pattern.shape}), in other folders than its: "
            f"give the data set as published ({READERS[layout].expects}); or sort the pictures into "
            f"{', '.join(SPLITS)} with {FOLDER.expects.split(' or ')[0]}; or name a layout, such as {FOLDER.name}, to "
            "take folders for what they are and leave names alone"
        )


__all__ = [
    "CUB200", "CUHK03_NP_DETECTED", "CUHK03_NP_LABELED", "DUKEMTMC_REID", "DUKEMTMC_VIDEOREID", "FOLDER",
    "FOLDER_CAMERA_PERSON", "FOLDER_PERSON", "MARKET1501", "MARS", "MOT", "MOT_SHARED", "MSMT17", "PKU_REID", "READERS",
    "VERI776", "FlatReader", "NamePattern", "Reader", "detect", "get",
]  # fmt: skip
