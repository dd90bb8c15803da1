"""What all readers share: finding picture files, matching names, and saying what is wrong with a folder."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from reidlab.checks import plural, printable
from reidlab.data.table import SPLITS, SampleTable, make_table
from reidlab.errors import DataError, MissingDataError, ReidlabError

#: Endings of the pictures that are read, in any case.
PICTURES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff", ".webp", ".gif",
)  # fmt: skip
#: The ending of a file name in a pattern.
ENDING = rf"\.(?i:{'|'.join(ending[1:] for ending in PICTURES)})"
#: Pictures that would need a plug-in or a converter; left out in silence they would be people left out.
_FOREIGN = (
    ".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2", ".j2k", ".tga", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf",
)  # fmt: skip
#: Folders that other programs leave among people's data.
_LITTER = frozenset({"@eadir", "__macosx", "$recycle.bin", "#recycle", "system volume information", "lost+found"})
_SHOWN = 3


class Reader(ABC):
    """Reads one on-disk layout; a subclass makes the table of a folder that is there.

    Attributes:
        name: of the layout, as manifests call it.
        expects: one line on what the layout looks like on disk.
        signs: files and folders that only this layout has: where one is, a folder is such a set or a damaged one.
        distractor: identity that stands for people who are nobody's query; None where all are people.
        lists: whether it holds files of lists and boxes beside the pictures.
    """

    name: str
    expects: str
    signs: tuple[str, ...] = ()
    distractor: int | None = None
    lists: bool = False

    def read(self, root: str | Path, dataset: str | None = None) -> SampleTable:
        """Return the sample table of a folder.

        Args:
            root: folder that holds the data set.
            dataset: name the table gets; the layout's where omitted.

        Raises:
            MissingDataError: the folder, or a folder or file that belongs in it, is not there.
            DataError: a name or a file does not follow the layout, or may not be read.
        """
        dataset = dataset or self.name
        given = existing(root, dataset)
        try:
            home = self.home(given)
            table = self.table(home, dataset)
        except OSError as error:
            if isinstance(error, ReidlabError):
                raise
            raise DataError(f"{dataset}: {error.filename or given}: cannot be read ({error.strerror})") from error
        if table.empty:
            raise MissingDataError(f"{dataset}: {home} holds no pictures ({', '.join(PICTURES[:4])}, ...)")
        if home != given:
            table.attrs["notes"] = (f"found one level down, in {home.name}", *table.attrs.get("notes", ()))
        table.attrs.update(layout=self.name, distractor=self.distractor)
        return table

    def home(self, root: Path) -> Path:
        """Return the folder that has the layout: the one given, or the only one in it, as archives leave it.

        Raises:
            DataError: a folder may not be read.
        """
        if self.fits(root):
            return root
        inner = folders_in(root)
        return root / inner[0] if len(inner) == 1 and self.fits(root / inner[0]) else root

    @abstractmethod
    def table(self, home: Path, dataset: str) -> SampleTable:
        """Return the sample table of a folder that is there; the errors are those of :meth:`read`."""

    @abstractmethod
    def fits(self, root: Path) -> bool:
        """Return whether a folder looks like this layout, from a glance at its names."""

    def near(self, root: Path) -> int:
        """Return how many signs say that a folder is a damaged one of this layout."""
        return sum((root / sign).exists() for sign in self.signs)


@dataclass(frozen=True)
class NamePattern:
    """How file names are made.

    Attributes:
        shape: for people, such as ``<pid>_c<cam>_f<frame>.jpg``.
        regex: for machines, without the ending; its named groups are integers.
    """

    shape: str
    regex: str

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.regex + ENDING)

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


def names_in(folder: Path) -> list[str]:
    """Return the names in a folder, in no order.

    Raises:
        DataError: it may not be listed.
    """
    try:
        return os.listdir(folder)
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror})") from error


def pictures_in(folder: Path) -> list[str]:
    """Return the sorted names of the picture files in a folder; hidden files and ``Thumbs.db`` are none.

    A folder with many files is listed once, without asking for each file's type.

    Raises:
        DataError: the folder may not be listed, a name is no UTF-8, or a picture is of a kind that is not read.
    """
    names = names_in(folder)
    found = [n for n in names if n.lower().endswith(PICTURES) and not n.startswith(".")]
    others = () if len(found) == len(names) else names
    if foreign := sorted(n for n in others if n.lower().endswith(_FOREIGN) and not n.startswith(".")):
        raise DataError(
            f"{folder}: {plural(len(foreign), 'picture')} of a kind that would need a plug-in: {first_few(foreign)}; "
            "convert such pictures to JPEG or PNG"
        )
    return _legible(folder, found)


def folders_in(folder: Path) -> list[str]:
    """Return the sorted names of the folders in a folder, without hidden ones and those that programs leave behind.

    Raises:
        DataError: the folder may not be listed, or a name is no UTF-8.
    """
    try:
        with os.scandir(folder) as entries:
            return _legible(folder, [entry.name for entry in entries if _is_folder(entry)])
    except OSError as error:
        if isinstance(error, ReidlabError):
            raise
        raise DataError(f"{folder}: cannot be listed ({error.strerror})") from error


def is_litter(name: str) -> bool:
    """Return whether a folder is hidden, or one that programs leave behind."""
    return name.startswith(".") or name.lower() in _LITTER


def _is_folder(entry: os.DirEntry[str]) -> bool:
    if is_litter(entry.name):
        return False
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _legible(folder: Path, names: list[str]) -> list[str]:
    """Return names sorted; one that is no UTF-8 could not be written into any table."""
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        bad = next(name for name in names if not name.isascii() and name != name.encode(errors="ignore").decode())
        raise DataError(f"{folder}: the name {printable(bad)} is no UTF-8; rename it") from None
    return sorted(names)


def held_in(folder: Path) -> str:
    """Return the first names in a folder, hidden ones left out, or ``nothing``."""
    return first_few(sorted(name for name in names_in(folder) if not name.startswith("."))) or "nothing"


def existing(root: str | Path, dataset: str) -> Path:
    """Return a data set's folder as an absolute path.

    Raises:
        MissingDataError: it is not there, or not a folder.
        DataError: its path is no UTF-8.
    """
    try:
        folder = Path(root).expanduser().absolute()
        str(folder).encode()
    except (UnicodeEncodeError, RuntimeError) as error:  # the latter: ~nobody
        raise DataError(f"{dataset}: {printable(root)} is no path that can be used ({type(error).__name__})") from error
    if not os.path.isdir(folder):  # which, unlike a Path, raises for no name, however long
        state = "is a file, not a folder" if os.path.exists(folder) else "does not exist"
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
        distractor: see :class:`Reader`.
    """

    name: str
    pattern: NamePattern
    folders: tuple[tuple[str, str], ...] = (
        ("train", "bounding_box_train"),
        ("query", "query"),
        ("gallery", "bounding_box_test"),
    )
    inside: str | None = None
    distractor: int | None = None

    @property
    def signs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Its folders, but those that people's own data have too."""
        return tuple(folder for _, folder in self.folders if folder not in SPLITS)

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

    def near(self, root: Path) -> int:
        """Return how many of its folders there are; one whose first name fits counts twice."""
        home = self._home(root)
        there = [home / sign for sign in self.signs if (home / sign).is_dir()]
        return len(there) + sum(self.pattern.fits(name) for folder in there for name in pictures_in(folder)[:1])

    def _home(self, root: Path) -> Path:
        return root / self.inside if self.inside and (root / self.inside).is_dir() else root
