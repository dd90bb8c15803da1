"""A user's own cameras: ``<person>/<camera>/*.jpg``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from reidlab.data.readers.base import first_few, need_root, pictures, subfolders
from reidlab.data.table import make_table
from reidlab.errors import DataError, MissingDataError


def read(root: str | Path) -> pd.DataFrame:
    """Return the sample table of people sorted by person and camera.

    Where ``root`` holds ``train`` and ``test``, those say who is for what. Else every second person (in the order
    of their names) is for training. Of a test person whom two cameras or more have seen, the first picture by each camera is a
    query; the rest is the gallery. Folder names that are numbers are pids as they are; else people are
    numbered from 1 in the order of their names. Cameras go by the number at the end of their names if each has
    one of its own, else likewise. ``attrs["people"]`` and ``attrs["cameras"]`` map numbers to names.

    Args:
        root: folder of people.

    Raises:
        MissingDataError: there is no folder of a person with folders of cameras.
        DataError: a person's folder holds pictures but no camera, or a person is in ``train`` and ``test``.
    """
    home = need_root(root)
    divided = (home / "train").is_dir() and (home / "test").is_dir()
    people = {name: subfolders(home / name) for name in ("train", "test")} if divided else {"": subfolders(home)}
    everybody = [person for persons in people.values() for person in persons]
    if not any(subfolders(person) for person in everybody):
        raise MissingDataError(
            f"{home}: no pictures in folders <person>/<camera>; found {first_few(_names(home), 8) or 'nothing'}"
        )
    if loose := [person for person in everybody if pictures(person)]:
        raise DataError(
            f"{loose[0]}: {len(loose)} folders of people hold pictures beside or instead of folders of cameras; expected "
            "<person>/<camera>/*.jpg"
        )
    if both := sorted({p.name for p in people.get("train", [])} & {p.name for p in people.get("test", [])}):
        raise DataError(f"{home}: {len(both)} people are in train and in test: {first_few(both)}; each belongs to one")
    pids = _numbers({person.name for person in everybody}, r"\d+", least=1)
    cameras = _numbers({camera.name for person in everybody for camera in subfolders(person)}, r"\d+$", least=1)
    rows: list[dict[str, Any]] = []
    ordered = sorted(everybody, key=lambda person: pids[person.name])
    for place, person in enumerate(ordered):
        is_train = person.parent.name == "train" if divided else place % 2 == 0
        seen = [(cameras[camera.name], pictures(camera)) for camera in subfolders(person)]
        asks = sum(bool(shots) for _, shots in seen) > 1
        for camid, shots in seen:
            for shot, path in enumerate(shots):
                split = "train" if is_train else "query" if asks and shot == 0 else "gallery"
                rows.append({"path": str(path), "pid": pids[person.name], "camid": camid, "split": split})
    table = make_table(rows, home.name)
    table.attrs["people"] = {number: name for name, number in sorted(pids.items(), key=lambda item: item[1])}
    table.attrs["cameras"] = {number: name for name, number in sorted(cameras.items(), key=lambda item: item[1])}
    return table


def _names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir() if not item.name.startswith("."))


def _numbers(names: set[str], pattern: str, least: int) -> dict[str, int]:
    """Return the number each name holds, if all hold one and no two the same; else numbers from 1 in their order."""
    match = re.fullmatch if not pattern.endswith("$") else re.search
    found = {name: int(hit[0]) for name in names if (hit := match(pattern, name))}
    good = len(found) == len(names) and len(set(found.values())) == len(names) and min(found.values()) >= least
    return found if good else {name: number for number, name in enumerate(sorted(names), start=1)}
