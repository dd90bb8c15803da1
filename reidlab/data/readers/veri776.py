"""VeRi-776 (Liu et al., ECCV 2016): vehicles instead of people."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reidlab.data.readers.base import NameFormat, read_folders

FOLDERS = {"train": "image_train", "query": "image_query", "gallery": "image_test"}
NAMES = NameFormat(r"(?P<pid>\d{4,})_c(?P<camid>\d+)_(?P<frame>\d+)_\d+", "<vehicle>_c<camera>_<frame>_<number>.jpg")


def read(root: str | Path) -> pd.DataFrame:
    """Return the sample table of a VeRi-776 folder; ``pid`` is the vehicle.

    Args:
        root: folder with ``image_train``, ``image_query`` and ``image_test``.

    Raises:
        MissingDataError: a folder is missing.
        DataError: a folder is empty, or a name breaks the format.
    """
    return read_folders(root, "veri776", FOLDERS, NAMES)
