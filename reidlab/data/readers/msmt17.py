"""MSMT17 (Wei et al., CVPR 2018), both versions: lists beside folders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from reidlab.data.readers.base import first_few, need, need_root
from reidlab.data.table import make_table
from reidlab.errors import DataError, MissingDataError

_LINE = re.compile(r"(?P<path>\S+/\d+_\d+_(?P<camid>\d+)_[^/\s]+\.jpg)\s+(?P<pid>\d+)")
_SHOWN = "<pid>/<pid>_<number>_<camera>_<time>_<frame>_<box>.jpg <pid>"
_LISTS = {"list_train.txt": "train", "list_val.txt": "train", "list_query.txt": "query", "list_gallery.txt": "gallery"}


def read(root: str | Path, validation: bool = True) -> pd.DataFrame:
    """Return the sample table of an MSMT17 folder.

    Training and test identities are both numbered from 0 in this set: number 0 of the one is not number 0 of the other,
    and neither is a distractor.

    Args:
        root: folder with ``train`` and ``test`` (version 1) or ``mask_train_v2`` and ``mask_test_v2`` (version 2), and
            the four lists.
        validation: whether the pictures of ``list_val.txt`` are training rows too, as in most works.

    Raises:
        MissingDataError: a folder, list or picture is missing.
        DataError: a line of a list breaks the format.
    """
    home = need_root(root)
    second = (home / "mask_train_v2").is_dir()
    folders = need(home, *(("mask_train_v2", "mask_test_v2") if second else ("train", "test")))
    need(home, *_LISTS)
    rows: list[dict[str, Any]] = []
    for name, split in _LISTS.items():
        if name != "list_val.txt" or validation:
            rows += _rows(home / name, folders[split != "train"], split)
    return make_table(rows, "msmt17")


def _rows(list_file: Path, folder: Path, split: str) -> list[dict[str, Any]]:
    lines = [line for line in list_file.read_text().splitlines() if line.strip()]
    parsed = [_LINE.fullmatch(line.strip()) for line in lines]
    if wrong := [line for line, match in zip(lines, parsed) if match is None]:
        raise DataError(f"{list_file}: {len(wrong)} lines do not follow {_SHOWN}: {first_few(wrong)}")
    there = {
        f"{person}/{item.name}"
        for person in {match["path"].rsplit("/", 1)[0] for match in parsed}
        if (folder / person).is_dir()
        for item in (folder / person).iterdir()
    }
    if missing := [match["path"] for match in parsed if match["path"] not in there]:
        raise MissingDataError(
            f"{folder}: {len(missing)} of {len(lines)} pictures of {list_file.name} are missing: {first_few(missing)}"
        )
    return [
        {"path": str(folder / m["path"]), "pid": int(m["pid"]), "camid": int(m["camid"]), "split": split}
        for m in parsed
    ]
