"""DukeMTMC-VideoReID (Wu et al., CVPR 2018). The set was withdrawn; a copy that a user has is read."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from reidlab.data.readers.base import first_few, need, need_root, pictures, subfolders
from reidlab.data.table import SPLITS, make_table
from reidlab.errors import DataError

_CAMERA = re.compile(r"_?C(\d+)(?!\d)")
_FRAME = re.compile(r"_F(\d+)")


def read(root: str | Path, queries_in_gallery: bool = False) -> pd.DataFrame:
    """Return the sample table of a DukeMTMC-VideoReID folder, one row per picture.

    ``tracklet`` counts the folders ``<id>/<track>`` of train, and those of query and gallery together, from 1. The
    gallery holds the query tracklets too; a tracklet has the same number in both.

    Args:
        root: folder with ``train``, ``query`` and ``gallery``, each ``<id>/<track>/<pictures>``.
        queries_in_gallery: whether to keep the query tracklets in the gallery.

    Raises:
        MissingDataError: a folder is missing.
        DataError: an identity is not a number, or a name does not say its camera.
    """
    home = need_root(root)
    numbers: dict[tuple[bool, str, str], int] = {}
    rows, wrong = [], []
    for split, folder in zip(SPLITS, need(home, *SPLITS)):
        for person in subfolders(folder):
            if not person.name.isdecimal():
                raise DataError(f"{person}: the folder's name is not an identity; expected a number such as 0005")
            for track in subfolders(person):
                key = (split == "train", person.name, track.name)
                if split == "gallery" and key in numbers and not queries_in_gallery:
                    continue
                tracklet = numbers.setdefault(key, 1 + sum(k[0] == key[0] for k in numbers))
                for place, path in enumerate(pictures(track)):
                    camera, frame = _CAMERA.search(path.stem), _FRAME.search(path.stem)
                    if camera is None:
                        wrong.append(path)
                        continue
                    rows.append(
                        {
                            "path": str(path),
                            "pid": int(person.name),
                            "camid": int(camera[1]),
                            "tracklet": tracklet,
                            "frame": int(frame[1]) if frame else place,
                            "split": split,
                        }
                    )
    if wrong:
        raise DataError(
            f"{home}: {len(wrong)} picture names do not say their camera (expected _C<n>_ or C<n>): {first_few(wrong)}"
        )
    return make_table(rows, "dukemtmc_videoreid")
