"""CUHK03 (Li et al., CVPR 2014) under its new protocol (Zhong et al., CVPR 2017): 767 people to train, 700 to test."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reidlab.data.readers.base import NameFormat, need, need_root, read_folders
from reidlab.data.readers.market1501 import FOLDERS
from reidlab.errors import ConfigError

NAMES = NameFormat(r"(?P<pid>\d{4,})_c(?P<camid>\d+)_\d+", "<pid>_c<camera>_<number>.png")


def read(root: str | Path, boxes: str = "detected") -> pd.DataFrame:
    """Return the sample table of a CUHK03-NP folder.

    Args:
        root: folder with ``detected`` and ``labeled``, or one of these two.
        boxes: ``detected`` or ``labeled``; not used where ``root`` is one of the two itself.

    Raises:
        ConfigError: ``boxes`` is neither.
        MissingDataError: a folder is missing.
        DataError: a folder is empty, or a name breaks the format.
    """
    if boxes not in ("detected", "labeled"):
        raise ConfigError(f"boxes: {boxes!r} must be detected or labeled")
    home = need_root(root)
    if not (home / FOLDERS["train"]).is_dir():
        (home,) = need(home, boxes)
    return read_folders(home, "cuhk03_np", FOLDERS, NAMES)
