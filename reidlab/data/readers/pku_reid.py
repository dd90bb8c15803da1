"""PKU-Reid: 114 people before two cameras, each from eight sides.

L. Ma et al., "Orientation driven bag of appearances for person re-identification", 2016 (https://arxiv.org/abs/1605.02464).
The eight pictures of a person by a camera are body orientations, not frames after one another.

Two layouts are read: one folder of pictures named ``<person>_<camera>_<orientation>.png``, and a folder per person with
pictures ``<camera>_<orientation>.png`` under ``train`` and ``val/all_imgs``. In the second, ``val/query`` and ``val/gallery``
are left alone, since pictures stand in both. Pictures of camera 1 ask, those of camera 2 answer.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reidlab.data.readers.base import NameFormat, first_few, named, need, need_root, pictures, row, subfolders
from reidlab.data.table import make_table
from reidlab.errors import DataError
from reidlab.seeding import rng

NAME = "pku_reid"
#: Share of the identities to train on in the layout that does not say, as in the data set's paper (57 of 114).
TRAIN_SHARE = 0.5

_IN_FOLDERS = NameFormat(r"(?P<camid>\d{1,2})_(?P<frame>[1-8])", "<camera>_<orientation 1..8>.png")
_FLAT = NameFormat(r"(?P<pid>\d{1,4})_(?P<camid>\d{1,2})_(?P<frame>[1-8])", "<person>_<camera>_<orientation 1..8>.png")


def read(root: str | Path) -> pd.DataFrame:
    """Return the sample table of a folder of either layout; ``frame`` is the orientation, 1 to 8.

    Args:
        root: folder of the data set.

    Raises:
        MissingDataError: neither layout is there.
        DataError: a name breaks the format, or an identity is in training and test.
    """
    home = need_root(root)
    if not (home / "train").exists() and pictures(home):
        return _table(_flat_rows(home))
    rows = []
    for folder, is_train in zip(need(home, "train", "val/all_imgs"), (True, False)):
        for person in subfolders(folder):
            if not person.name.isdigit():
                raise DataError(f"{person}: expected folders named by the number of a person, such as 009")
            for path, parts in named(pictures(person), _IN_FOLDERS):
                rows.append(_row(path, {"pid": person.name, **parts}, is_train))
    return _table(rows)


def as_test(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with every identity in the test, for a network that has seen none of them."""
    return make_table(table.assign(split=table["camid"].map(_asks)), NAME)


def _flat_rows(home: Path) -> list[dict[str, object]]:
    found = list(named(pictures(home), _FLAT))
    pids = sorted({int(parts["pid"]) for _, parts in found})
    chosen = set(rng(0, NAME, "training identities").permutation(pids)[: round(TRAIN_SHARE * len(pids))])
    return [_row(path, parts, int(parts["pid"]) in chosen) for path, parts in found]


def _row(path: Path, parts: dict[str, str], is_train: bool) -> dict[str, object]:
    return row(path, parts, "train" if is_train else _asks(int(parts["camid"])))


def _asks(camid: int) -> str:
    return "query" if camid == 1 else "gallery"


def _table(rows: list[dict[str, object]]) -> pd.DataFrame:
    table = make_table(rows, NAME)
    if shared := sorted(set(table.pid[table.split == "train"]) & set(table.pid[table.split != "train"])):
        raise DataError(f"{NAME}: {len(shared)} identities are in training and test: {first_few(shared)}")
    return table
