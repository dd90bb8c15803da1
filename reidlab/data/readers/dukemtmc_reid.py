"""DukeMTMC-reID (Zheng et al., ICCV 2017). The set was withdrawn; a copy that a user has is read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reidlab.data.readers.base import NameFormat, read_folders
from reidlab.data.readers.market1501 import FOLDERS

NAMES = NameFormat(r"(?P<pid>\d{4,})_c(?P<camid>\d+)_f(?P<frame>\d+)", "<pid>_c<camera>_f<frame>.jpg")


def read(root: str | Path) -> pd.DataFrame:
    """Return the sample table of a DukeMTMC-reID folder.

    Args:
        root: folder with ``bounding_box_train``, ``query`` and ``bounding_box_test``.

    Raises:
        MissingDataError: a folder is missing.
        DataError: a folder is empty, or a name breaks the format.
    """
    return read_folders(root, "dukemtmc_reid", FOLDERS, NAMES)
