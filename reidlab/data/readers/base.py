"""What all readers share: finding picture files, matching names, and saying what is wrong with a folder."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from reidlab.checks import plural
from reidlab.data.table import SampleTable, make_table
from reidlab.errors import DataError, MissingDataError

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
_SHOWN = 3


class Reader(ABC):
    """Reads one on-disk layout; a subclass makes the table of a folder that is there.

    Attributes:
        name: of the layout, as manifests call it.
        expects: one line on what the layout looks like on disk.
    """

    name: str
    expects: str

    def read(self, root: str | Path, dataset: str | None = None) -> SampleTable:
        """Return the sample table of a folder.

        Args:
            root: folder that holds the data set.
            dataset: name the table gets; the layout's where omitted.

        Raises:
            MissingDataError: the folder, or a folder or file that belongs in it, is not there.
            DataError: a name or a file does not follow the layout.
        """
        dataset = dataset or self.name
        home = existing(root, dataset)
        table = self.table(home, dataset)
        if table.empty:
            raise MissingDataError(f"{dataset}: {home} holds no pictures ({', '.join(PICTURES[:4])}, ...)")
        return table

    @abstractmethod
    def table(self, home: Path, dataset: str) -> SampleTable:
        """Return the sample table of a folder that is there; the errors are those of :meth:`read`."""

    @abstractmethod
    def fits(self, root: Path) -> bool:
        """Return whether a folder looks like this layout, from a glance at its names."""


@dataclass(frozen=True)
class NamePattern:
    """How file names are made.

    Attributes:
        shape: for people, such as ``<pid>_c<cam>_f<frame>.jpg``.
        regex: for machines; its named groups are integers, except those that begin with an underscore.
    """

    shape: str
    regex: str

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.regex)

    def fits(self, name: str) -> bool:
        """Return whether a file name follows the pattern."""
        return self._compiled.fullmatch(name) is not None

    def parse(self, name: str) -> dict[str, int]:
        """Return the integers in one file name, by the names of the groups.

        Raises:
            DataError: the name does not follow the pattern.
        """
        return {key: values[0] for key, values in self.parse_all([name], name, "file name").items()}

    def parse_all(self, names: Sequence[str], where: str, dataset: str) -> dict[str, list[int]]:
        """Return the integers in many file names, one list per group.

        Args:
            names: file names without folders.
            where: the folder they are in, for the message.
            dataset: for the message.

        Raises:
            DataError: some names do not follow the pattern; the message counts them and shows the first.
        """
        match = self._compiled.fullmatch
        found = [match(name) for name in names]
        bad = [name for name, hit in zip(names, found) if hit is None]
        if bad:
            raise DataError(
                f"{dataset}: {plural(len(bad), 'file name')} in {where} "
                f"{'does' if len(bad) == 1 else 'do'} not follow {self.shape}: {first_few(bad)}; "
                "rename or move what does not belong there"
            )
        groups = self._compiled.groupindex
        return {key: [int(hit[place]) for hit in found] for key, place in groups.items()}


def first_few(names: Iterable[str]) -> str:
    """Return the first three names, and dots where there are more."""
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def pictures_in(folder: Path) -> list[str]:
    """Return the sorted names of the picture files in a folder; hidden files and ``Thumbs.db`` are none.

    A folder with many files is listed once, without asking for each file's type.
    """
    return sorted(n for n in os.listdir(folder) if n.lower().endswith(PICTURES) and not n.startswith("."))


def folders_in(folder: Path) -> list[str]:
    """Return the sorted names of the folders in a folder, hidden ones left out."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())


def held_in(folder: Path) -> str:
    """Return the first names in a folder, hidden ones left out, or ``nothing``."""
    return first_few(sorted(name for name in os.listdir(folder) if not name.startswith("."))) or "nothing"


def existing(root: str | Path, dataset: str) -> Path:
    """Return a data set's folder as an absolute path.

    Raises:
        MissingDataError: it is not there, or not a folder.
    """
    folder = Path(root).expanduser().absolute()
    if not folder.is_dir():
        state = "is a file, not a folder" if folder.exists() else "does not exist"
        raise MissingDataError(f"{dataset}: {folder} {state}")
    return folder


def require(root: Path, names: Sequence[str], dataset: str) -> None:
    """Check that files or folders (relative paths) are in a folder.

    Raises:
        MissingDataError: naming what is missing, what was expected and what is there instead.
    """
    missing = [name for name in names if not (root / name).exists()]
    if not missing:
        return
    deeper = [name for name in folders_in(root) if all((root / name / wanted).exists() for wanted in names)]
    hint = f"; what is missing lies in {deeper[0]}: point to {root / deeper[0]}" if deeper else ""
    raise MissingDataError(
        f"{dataset}: {root} has no {', '.join(missing)}; expected {', '.join(names)}; it holds {held_in(root)}{hint}"
    )


class Columns:
    """Columns of a sample table in the making."""

    def __init__(self) -> None:
        self._values: dict[str, list] = {name: [] for name in ("path", "split", "pid")}

    def add(self, folder: Path, names: Sequence[str], **values: object) -> None:
        """Add a row per picture of a folder.

        Args:
            folder: where the pictures are.
            names: of their files.
            **values: of further columns, a list of one per picture or one for all of them.
        """
        prefix = f"{folder}{os.sep}"
        for column, value in {"path": [prefix + name for name in names], **values}.items():
            several = value if isinstance(value, list) else [value] * len(names)
            self._values.setdefault(column, []).extend(several)

    def table(self, dataset: str) -> SampleTable:
        """Return the rows; where nothing else is said there is one camera.

        Raises:
            DataError: a value does not fit; see :func:`~reidlab.data.table.validate`.
        """
        return make_table(dataset, **{"camid": 1, **self._values})


@dataclass(frozen=True)
class FlatReader(Reader):
    """A folder of pictures for each split; identity and camera are in the file names.

    Attributes:
        name: of the layout.
        pattern: of the file names, with the groups ``pid`` and ``camid`` and perhaps ``frame``.
        folders: the folder of each split.
        inside: folder that the three are in; the data set's folder and this one are both accepted as root.
    """

    name: str
    pattern: NamePattern
    folders: tuple[tuple[str, str], ...] = (
        ("train", "bounding_box_train"),
        ("query", "query"),
        ("gallery", "bounding_box_test"),
    )
    inside: str | None = None

    @property
    def expects(self) -> str:
        """One line on what the layout looks like on disk."""
        return f"{', '.join(folder for _, folder in self.folders)} with {self.pattern.shape}"

    def table(self, home: Path, dataset: str) -> SampleTable:
        """Return the sample table of a folder; see :class:`Reader`."""
        home = self._home(home)
        require(home, [folder for _, folder in self.folders], dataset)
        columns = Columns()
        for split, folder in self.folders:
            names = pictures_in(home / folder)
            columns.add(home / folder, names, split=split, **self.pattern.parse_all(names, folder, dataset))
        return columns.table(dataset)

    def fits(self, root: Path) -> bool:
        """Return whether the folders are there and a picture of the first has a fitting name."""
        home = self._home(root)
        if not all((home / folder).is_dir() for _, folder in self.folders):
            return False
        names = (name for _, folder in self.folders for name in pictures_in(home / folder))
        first = next(names, None)
        return first is not None and self.pattern.fits(first)

    def _home(self, root: Path) -> Path:
        return root / self.inside if self.inside and (root / self.inside).is_dir() else root
