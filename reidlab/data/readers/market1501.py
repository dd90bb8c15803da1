"""Market-1501 (Zheng et al., ICCV 2015), and the embedded world exported like it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reidlab.data.readers.base import NameFormat, read_folders

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
NAMES = NameFormat(
    r"(?P<pid>-1|\d{4,})_c(?P<camid>\d+)s\d+_(?P<frame>\d+)_\d+", "<pid>_c<camera>s<sequence>_<frame>_<box>.jpg"
)


def read(root: str | Path) -> pd.DataFrame:
    """Return the sample table of a Market-1501 folder; pid -1 is junk, 0 a distractor.

    Args:
        root: folder with ``bounding_box_train``, ``query`` and ``bounding_box_test``.

    Raises:
        MissingDataError: a folder is missing.
        DataError: a folder is empty, or a name breaks the format.
    """
    return read_folders(root, "market1501", FOLDERS, NAMES)
