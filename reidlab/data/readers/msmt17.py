"""MSMT17 (Wei et al., CVPR 2018): list files say which picture is in which split.

Version 1 keeps its pictures in ``train`` and ``test``, version 2 (with blurred faces) in ``mask_train_v2`` and
``mask_test_v2``. Identities are numbered from 0 in training and again in the test: 0 is a person here, and the same
number in both is not the same person.
"""

from __future__ import annotations

from pathlib import Path

from reidlab.checks import plural
from reidlab.data.readers.base import Columns, NamePattern, Reader, first_few, require
from reidlab.data.table import SampleTable
from reidlab.errors import DataError
from reidlab.reading import read_text

_VERSIONS = (("train", "test"), ("mask_train_v2", "mask_test_v2"))
#: List file, the split it makes, the folder its pictures are in (position in a version), what it calls itself.
_LISTS = (
    ("list_train.txt", "train", 0),
    ("list_val.txt", "train", 0),
    ("list_query.txt", "query", 1),
    ("list_gallery.txt", "gallery", 1),
)
NAMES = NamePattern(
    "<pid>_<k>_<cam>_<date><time of day>_<frame>_<box>.jpg",
    r"(?P<pid>\d{4})_\d+_(?P<camid>\d{2})_\d{4}[a-z]+_(?P<frame>\d{1,15})_\d+(?:_ex)?",
)


class MSMT17Reader(Reader):
    """Reads both versions; the column ``subset`` tells the pictures of ``list_val.txt`` from other training ones."""

    name = "msmt17"
    expects = "list_train.txt, list_val.txt, list_query.txt, list_gallery.txt, and train and test or mask_*_v2"
    signs = (*(name for name, _, _ in _LISTS), *_VERSIONS[1])
    lists = True

    def table(self, home: Path, dataset: str) -> SampleTable:
        """Return the sample table of a folder; see :class:`~reidlab.data.readers.base.Reader`.

        Raises:
            MissingDataError: a list file or a folder of pictures is not there.
            DataError: a line or a file name does not follow the layout, or the two name different identities.
        """
        require(home, [name for name, _, _ in _LISTS], dataset)
        folders = next((v for v in _VERSIONS if all((home / f).is_dir() for f in v)), _VERSIONS[0])
        require(home, folders, dataset)
        columns = Columns()
        for name, split, place in _LISTS:
            entries, pids = _read_list(home / name, dataset)
            parsed = NAMES.parse_all([e.rsplit("/", 1)[-1] for e in entries], name, dataset)
            wrong = [entry for entry, listed, pid in zip(entries, pids, parsed["pid"]) if listed != pid]
            if wrong:
                raise DataError(
                    f"{dataset}: {plural(len(wrong), 'line')} of {home / name} give a picture another identity "
                    f"than its name does: {first_few(wrong)}"
                )
            subset = name.removeprefix("list_").removesuffix(".txt")
            columns.add(home / folders[place], entries, split=split, subset=subset, **parsed)
        return columns.table(dataset)

    def fits(self, root: Path) -> bool:
        """Return whether the list files and the folders of pictures are there."""
        return all((root / name).exists() for name, _, _ in _LISTS) and any(
            all((root / folder).is_dir() for folder in version) for version in _VERSIONS
        )


def _read_list(path: Path, dataset: str) -> tuple[list[str], list[int]]:
    """Return the relative paths and the identities of a list file, one of each per line."""
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    parts = [line.rsplit(maxsplit=1) for line in lines]
    bad = [
        line
        for line, part in zip(lines, parts)
        # A list names what lies in the set's own folders.
        if len(part) != 2 or not part[1].isdecimal() or len(part[1]) > 9 or ".." in line or line.startswith(("/", "~"))
    ]
    if bad:
        raise DataError(
            f"{dataset}: {plural(len(bad), 'line')} of {path} {'is' if len(bad) == 1 else 'are'} not "
            f"'<folder>/<picture> <pid>': {first_few(bad)}"
        )
    return [part[0] for part in parts], [int(part[1]) for part in parts]


MSMT17 = MSMT17Reader()
