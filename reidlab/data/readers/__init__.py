"""Readers: one file per on-disk layout, each giving the same sample table.

A new layout is a new file with a subclass of :class:`~reidlab.data.readers.base.Reader` that has ``name``, ``expects``,
``table`` and ``fits``, and a line in :data:`READERS`.
"""

from __future__ import annotations

from pathlib import Path

from reidlab.checks import check_choice
from reidlab.data.readers.base import FlatReader, NamePattern, Reader
from reidlab.data.readers.cub200 import CUB200
from reidlab.data.readers.cuhk03_np import CUHK03_NP_DETECTED, CUHK03_NP_LABELED
from reidlab.data.readers.dukemtmc_reid import DUKEMTMC_REID
from reidlab.data.readers.dukemtmc_videoreid import DUKEMTMC_VIDEOREID
from reidlab.data.readers.folder import FOLDER
from reidlab.data.readers.market1501 import MARKET1501
from reidlab.data.readers.mars import MARS
from reidlab.data.readers.mot import MOT, MOT_SHARED
from reidlab.data.readers.msmt17 import MSMT17
from reidlab.data.readers.pku_reid import PKU_REID
from reidlab.data.readers.veri776 import VERI776
from reidlab.errors import DataError

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
    )
}


def get(layout: str) -> Reader:
    """Return the reader of a layout.

    Raises:
        ConfigError: there is none of that name; the message suggests one.
    """
    check_choice("layout", layout, READERS)
    return READERS[layout]


def detect(root: Path) -> Reader:
    """Return the reader whose layout a folder looks like.

    Raises:
        DataError: it looks like none of them.
    """
    for reader in READERS.values():
        if reader.fits(root):
            return reader
    raise DataError(f"{root} looks like no layout that can be read; the simplest is: {FOLDER.expects}")


__all__ = [
    "CUB200", "CUHK03_NP_DETECTED", "CUHK03_NP_LABELED", "DUKEMTMC_REID", "DUKEMTMC_VIDEOREID", "FOLDER", "MARKET1501",
    "MARS", "MOT", "MOT_SHARED", "MSMT17", "PKU_REID", "READERS", "VERI776", "FlatReader", "NamePattern", "Reader",
    "detect", "get",
]  # fmt: skip
