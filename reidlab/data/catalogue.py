"""Where data sets lie and whether they are complete: the functions of ``reidlab data``.

A data set is searched in the folder registered with :func:`add`, then in those named by ``REIDLAB_DATA``, under the
folder names its manifest gives. Functions return plain data; printing is the command's business.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from PIL import Image
from tqdm import tqdm

from reidlab import paths
from reidlab.checks import check_choice, plural, suggest
from reidlab.data import embedded, readers
from reidlab.data.images import unreadable, why_unreadable
from reidlab.data.manifest import Edition, Manifest, manifests
from reidlab.data.readers.base import PICTURES, existing, first_few
from reidlab.data.table import SPLITS, SampleTable
from reidlab.errors import ConfigError, DataError, MissingDataError
from reidlab.files import disk_errors, write_text

if TYPE_CHECKING:
    from reidlab.world import WorldSpec

_COUNTERS: dict[str, Callable[[SampleTable, int | None], int]] = {
    "pictures": lambda rows, _: rows["path"].nunique(),
    "identities": lambda rows, distractor: rows.loc[(rows["pid"] >= 0) & (rows["pid"] != distractor), "pid"].nunique(),
    "cameras": lambda rows, _: rows["camid"].nunique(),
    "tracklets": lambda rows, _: rows.loc[rows["tracklet"] >= 0, "tracklet"].nunique(),
}
_READ_CHUNK = 64


@dataclass(frozen=True)
class Location:
    """Where a data set was found.

    Attributes:
        name: of the data set.
        path: its folder.
        layout: name of its reader; empty if it has none.
        source: ``registered``, ``REIDLAB_DATA`` or ``given``.
        manifest: what is known about it; None for data of the user's own.
    """

    name: str
    path: Path
    layout: str
    source: str
    manifest: Manifest | None = None


@dataclass(frozen=True)
class Entry:
    """A line of the list of data sets.

    Attributes:
        name: of the data set.
        title: its full name.
        status: ``open``, ``on request``, ``withdrawn``, ``embedded`` or ``own``.
        layout: name of its reader; empty if it has none.
        path: where it was found, or None.
        source: ``registered`` or ``REIDLAB_DATA``; empty if it was not found.
        pictures: picture files in its folder; None if it was not found or they were not counted.
        expected: pictures of a whole copy, as published; None if the manifest does not say.
        problem: why a registered folder cannot be used; empty if it can.
    """

    name: str
    title: str
    status: str
    layout: str = ""
    path: Path | None = None
    source: str = ""
    pictures: int | None = None
    expected: int | None = None
    problem: str = ""


@dataclass(frozen=True)
class Count:
    """An expected number and the one found.

    Attributes:
        split: ``train``, ``query`` or ``gallery``; empty for files of the whole set.
        what: ``pictures``, ``identities``, ``cameras``, ``tracklets``, or the name of some files.
        found: number on disk.
        expected: number in a whole copy; None if the manifest does not say.
    """

    split: str
    what: str
    found: int
    expected: int | None = None

    @property
    def fits(self) -> bool:
        """Whether the number is as expected, or nothing is expected."""
        return self.expected is None or self.found == self.expected

    def __str__(self) -> str:
        where = f"{self.split} has" if self.split else "there are"
        return f"{where} {self.found:,} {self.what}, expected {self.expected:,}"


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        name: of the data set.
        path: the folder that was checked.
        layout: name of the reader; empty if there is none.
        edition: name of the manifest's edition that fits best; empty if there is one only.
        pictures: number of different picture files.
        counts: what was counted, whether it fits or not.
        problems: what is wrong, one line each; empty if the folder is as it should be.
        notes: what is worth knowing about it, one line each.
        deep: whether every picture was decoded.
    """

    name: str
    path: Path
    layout: str = ""
    edition: str = ""
    pictures: int = 0
    counts: tuple[Count, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    deep: bool = False
    compared: bool = field(default=False, repr=False)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def line(self) -> str:
        """The outcome in one line."""
        if self.problems:
            more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
            return f"{self.name}: {self.problems[0]}{more}"
        edition = f", edition {self.edition}" if self.edition else ""
        verdict = "as its manifest says" if self.compared else "readable"
        how = "every picture decoded" if self.deep else "every picture's header read"
        seen = f"; {plural(self.pictures, 'picture')}, {how}" if self.pictures else ""
        return f"{self.name}: {verdict}{edition}{seen}"


@dataclass(frozen=True)
class World:
    """An embedded world on disk.

    Attributes:
        name: of the world.
        key: of its specification.
        layout: it is written in.
        path: its folder.
        pictures: number of picture files.
    """

    name: str
    key: str
    layout: str
    path: Path
    pictures: int


def entries(count: bool = True) -> list[Entry]:
    """Return all data sets with a manifest, then the user's own.

    Args:
        count: whether to count the picture files of those found.

    Raises:
        ConfigError: a manifest or the list of registered folders is malformed.
    """
    listed = []
    registered = _registered()
    for manifest in manifests().values():
        location = _find_known(manifest, registered)
        if location is None:
            expected = manifest.editions[0].pictures if manifest.editions else None
            listed.append(Entry(manifest.name, manifest.title, manifest.status, manifest.layout, expected=expected))
        else:
            listed.append(_entry(location, count))
    for name, (path, layout) in sorted(registered.items()):
        if name not in manifests():
            listed.append(_entry(Location(name, path, layout, "registered"), count))
    return listed


def add(name: str, path: str | Path, layout: str | None = None) -> Entry:
    """Register the folder of a data set, after reading it once.

    Args:
        name: of a data set with a manifest, or any other for data of your own.
        path: its folder.
        layout: name of a reader for data of your own; found out where omitted.

    Returns:
        Its line of :func:`entries`.

    Raises:
        ConfigError: the name or the layout is not allowed.
        MissingDataError: the folder is not there or lacks what its layout needs.
        DataError: the folder does not follow its layout.
        StorageError: the list of registered folders cannot be written.
    """
    manifest = _known(name)
    name = manifest.name if manifest else name
    if not manifest and not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise ConfigError(f"name: {name!r} is not allowed; expected small letters, digits, '-', '_' and '.'")
    if manifest and layout and layout != manifest.layout:
        raise ConfigError(f"layout: {name} has the layout {manifest.layout or 'of no reader'}; leave the option out")
    folder = existing(path, name)
    if manifest:
        layout = manifest.layout
    elif layout is None:
        layout = readers.detect(folder).name
    if layout:
        readers.get(layout).read(folder, name)
    _remember(name, folder, layout)
    return _entry(Location(name, folder, layout, "registered", manifest), count=True)


def find(name: str) -> Location:
    """Return where a data set lies.

    Raises:
        ConfigError: no data set has that name; the message suggests one.
        MissingDataError: it is not on this machine; the message says how to register its folder.
    """
    registered = _registered()
    manifest = _known(name)
    if manifest is None:
        if name in registered:
            path, layout = registered[name]
            return Location(name, existing(path, name), layout, "registered")
        known = [*manifests(), *registered]
        raise ConfigError(
            f"there is no data set {name!r} (`reidlab data list` shows all){suggest(name.lower(), known)}"
        )
    location = _find_known(manifest, registered)
    if location is None:
        raise MissingDataError(_how_to_get(manifest))
    existing(location.path, manifest.name)
    return location


def on_this_machine(names: Sequence[str]) -> dict[str, Location]:
    """Return where data sets lie, leaving out those that are not on this machine.

    Raises:
        ConfigError: there is no data set of a name.
    """
    found = {}
    for name in names:
        with suppress(MissingDataError):
            found[name] = find(name)
    return found


def load(name: str) -> SampleTable:
    """Return the sample table of a data set on this machine.

    Raises:
        ConfigError: no data set has that name.
        MissingDataError: it is not on this machine, or lacks a folder or file.
        DataError: it has no reader, or does not follow its layout.

    Example:
        >>> load("market1501").split.value_counts()  # doctest: +SKIP
    """
    location = find(name)
    if not location.layout:
        raise DataError(f"{location.name}: no reader makes a sample table of it; its files are in {location.path}")
    return readers.get(location.layout).read(location.path, location.name)


def check(name: str | Path, deep: bool = False, quiet: bool = False) -> Report:
    """Compare a folder with its manifest: folders, names, numbers, pictures.

    Args:
        name: of a data set, or the path of a folder.
        deep: decode every picture and search for copies, instead of reading headers.
        quiet: whether to leave out the progress bar.

    Raises:
        ConfigError: no data set has that name.
        MissingDataError: it is not on this machine.
    """
    location = _located(name)
    manifest = location.manifest
    table: SampleTable | None = None
    if location.layout:
        try:
            table = readers.get(location.layout).read(location.path, location.name)
        except DataError as error:
            problem = str(error).removeprefix(f"{location.name}: ")
            return Report(location.name, location.path, location.layout, problems=(problem,), deep=deep)
    files = _files(table, location)
    edition, counts = _compare(table, location)
    problems = [str(count) for count in counts if not count.fits]
    missing = _missing(files)
    if missing:
        problems.append(f"{plural(len(missing), 'picture')} listed but not there: {first_few(missing)}")
    bad, copies = _read_all(sorted(set(files) - set(missing)), location.path, deep, quiet)
    if bad:
        problems.append(unreadable(bad))
    notes = [*_remarks(table, manifest), *copies, *(manifest.notes if manifest else ())]
    return Report(
        location.name,
        location.path,
        location.layout,
        edition.name if edition else "",
        len(files),
        tuple(counts),
        tuple(problems),
        tuple(notes),
        deep,
        compared=edition is not None,
    )


def make_world(
    spec: WorldSpec | str, layout: str = "market1501", out: str | Path | None = None, **overrides: Any
) -> World:
    """Write an embedded world, into the cache or a given folder.

    Args:
        spec: a world's specification, or the name of a scenario.
        layout: ``market1501``, ``mars``, ``mot`` or ``sites``.
        out: folder to make; the cache where omitted, where the same world is written once only.
        **overrides: fields of the specification, or dials of its nuisances, to change.

    Raises:
        ConfigError: scenario, layout or override is unknown.
        StorageError: the folder exists already, or the disk is full.
    """
    from reidlab.world import LAYOUTS, Scene, cached

    resolved = embedded.resolve(spec, **overrides)
    check_choice("layout", layout, LAYOUTS)
    if out is None:
        path = cached(resolved, layout)
    else:
        path = LAYOUTS[layout](Scene(resolved), Path(out).expanduser().absolute())
    return World(resolved.name, resolved.key(), layout, path, _count_pictures(path))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def _known(name: str) -> Manifest | None:
    """Return the manifest that a name means, whichever way it is written."""
    plain = _plain(name)
    for manifest in manifests().values():
        if plain in (_plain(manifest.name), _plain(manifest.title)):
            return manifest
    return None


def _find_known(manifest: Manifest, registered: dict[str, tuple[Path, str]]) -> Location | None:
    if manifest.name in registered:
        return Location(manifest.name, registered[manifest.name][0], manifest.layout, "registered", manifest)
    for root in paths.data_roots():
        for folder in (*manifest.folders, manifest.name):
            path = _inside(root, folder)
            if path is not None:
                return Location(manifest.name, path, manifest.layout, "REIDLAB_DATA", manifest)
    return None


def _inside(root: Path, folder: str) -> Path | None:
    """Return the folder of that relative path, small and capital letters alike; the root itself if it has the name."""
    path = root
    for part in folder.split("/"):
        names = {name.lower(): name for name in sorted(os.listdir(path), reverse=True)} if path.is_dir() else {}
        if part.lower() not in names:
            return root if root.is_dir() and root.name.lower() == folder.lower() else None
        path = path / (part if part in names.values() else names[part.lower()])
    return path if path.is_dir() else None


def _how_to_get(manifest: Manifest) -> str:
    names = " or ".join((*manifest.folders[:2],) or (manifest.name,))
    roots = ", ".join(map(str, paths.data_roots()))
    looked = f"looked in {roots}" if roots else "REIDLAB_DATA is not set"
    source = {
        "open": f"; its makers offer it at {manifest.homepage}" if manifest.homepage else "",
        "on request": f"; ask its makers for it, {manifest.homepage}" if manifest.homepage else "",
        "withdrawn": "; its makers withdrew it, only copies that exist already can be read",
        "embedded": "; `reidlab data make-world` draws it",
    }[manifest.status]
    return (
        f"{manifest.name} is not on this machine ({looked}); put its folder ({names}) where REIDLAB_DATA points, "
        f"or run `reidlab data add {manifest.name} PATH`{source}"
    )


def _located(name: str | Path) -> Location:
    if not isinstance(name, Path) and (_known(name) is not None or name in _registered()):
        return find(name)
    path = Path(name).expanduser().absolute()
    if not path.is_dir():
        if isinstance(name, Path) or os.sep in name:
            existing(path, str(name))
        return find(str(name))
    for registered, (folder, layout) in _registered().items():
        if folder == path:
            return Location(registered, path, layout, "given", _known(registered))
    for manifest in manifests().values():
        if any(folder.lower() == path.name.lower() for folder in (*manifest.folders, manifest.name)):
            return Location(manifest.name, path, manifest.layout, "given", manifest)
    return Location(path.name, path, readers.detect(path).name, "given")


def _entry(location: Location, count: bool) -> Entry:
    manifest = location.manifest
    there = location.path.is_dir()
    return Entry(
        location.name,
        manifest.title if manifest else "your own",
        manifest.status if manifest else "own",
        location.layout,
        location.path,
        location.source,
        _count_pictures(location.path) if there and count else None,
        manifest.editions[0].pictures if manifest and manifest.editions else None,
        "" if there else f"{location.path} does not exist",
    )


def _count_pictures(folder: Path) -> int:
    return sum(
        name.lower().endswith(PICTURES) and not name.startswith(".")
        for _, _, names in os.walk(folder)
        for name in names
    )


def _files(table: SampleTable | None, location: Location) -> list[str]:
    """Return the different picture files of a data set."""
    if table is not None:
        return table["path"].drop_duplicates().tolist()
    editions = location.manifest.editions if location.manifest else ()
    globs = {item.glob for edition in editions for item in edition.files if item.counts_pictures}
    return sorted({str(path) for glob in globs for path in location.path.glob(glob)})


def _compare(table: SampleTable | None, location: Location) -> tuple[Edition | None, list[Count]]:
    """Return the edition of the manifest that fits best, and its numbers beside those found."""
    editions = location.manifest.editions if location.manifest else ()
    tried = [(edition, _count(table, edition, location)) for edition in editions]
    if not tried:
        return None, _count(table, Edition(), location)
    return min(tried, key=lambda pair: sum(not count.fits for count in pair[1]))


def _count(table: SampleTable | None, edition: Edition, location: Location) -> list[Count]:
    counts = []
    distractor = location.manifest.distractor if location.manifest else None
    for split in SPLITS if table is not None else ():
        expected = edition.splits.get(split, {})
        rows = table[table["split"] == split]
        if len(rows) == 0 and not expected:
            # A split that should not be there fits when it is not.
            continue
        if edition.splits and not expected:
            expected = {"pictures": 0}
        counts += [
            Count(split, what, int(counter(rows, distractor)), expected.get(what))
            for what, counter in _COUNTERS.items()
            if what in expected or what != "tracklets"
        ]
    counts += [
        Count("", item.what, sum(1 for _ in location.path.glob(item.glob)), item.count) for item in edition.files
    ]
    return counts


def _missing(files: Iterable[str]) -> list[str]:
    """Return the files that are not there; each folder is listed once."""
    names = cache(lambda folder: set(os.listdir(folder)) if os.path.isdir(folder) else set())
    return [file for file in files if os.path.basename(file) not in names(os.path.dirname(file))]


def _read_all(files: Sequence[str], root: Path, deep: bool, quiet: bool) -> tuple[list[tuple[str, str]], list[str]]:
    """Read pictures; return the unreadable ones with the reason, and a remark on identical ones."""
    chunks = [files[i : i + _READ_CHUNK] for i in range(0, len(files), _READ_CHUNK)]
    bad: list[tuple[str, str]] = []
    seen: dict[bytes, str] = {}
    copies = []
    with (
        ThreadPoolExecutor() as pool,
        tqdm(total=len(files), desc="reading pictures", disable=quiet, delay=1.0, leave=False) as bar,
    ):
        for chunk in pool.map(partial(_read_chunk, deep=deep), chunks):
            for path, digest, problem in chunk:
                if problem:
                    bad.append((path, problem))
                elif digest and seen.setdefault(digest, path) != path:
                    copies.append(f"{os.path.relpath(path, root)} = {os.path.relpath(seen[digest], root)}")
            bar.update(len(chunk))
    remark = f"{plural(len(copies), 'picture')} the same as another, byte for byte: {first_few(copies)}"
    return bad, [remark] if copies else []


def _read_chunk(files: Sequence[str], deep: bool) -> list[tuple[str, bytes, str]]:
    """Return path, digest (only if deep) and problem of each file."""
    out = []
    for path in files:
        digest, problem = b"", ""
        try:
            if deep:
                data = Path(path).read_bytes()
                digest = hashlib.blake2b(data, digest_size=16).digest()
                with Image.open(io.BytesIO(data)) as image:
                    image.load()
            else:
                with Image.open(path):
                    pass
        except Exception as error:  # a broken file can make its decoder raise anything
            problem = why_unreadable(error)
        out.append((path, digest, problem))
    return out


def _remarks(table: SampleTable | None, manifest: Manifest | None) -> list[str]:
    """Return remarks on a user's own data."""
    if table is None or manifest is not None:
        return []
    people = table[table["pid"] >= 0].groupby("pid")["camid"].nunique()
    if people.empty:
        return ["it has no identities: it can be searched and used for training without labels, but not scored"]
    single = int((people < 2).sum())
    return [f"{single} of {len(people)} people were seen by one camera only and cannot be queries"] if single else []


def _registry() -> Path:
    return paths.config_dir() / "data.yml"


def _registered() -> dict[str, tuple[Path, str]]:
    """Return folder and layout of each registered data set."""
    path = _registry()
    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return {str(name): (Path(item["path"]), str(item.get("layout", ""))) for name, item in content.items()}
    except (yaml.YAMLError, AttributeError, TypeError, KeyError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is not a list of data sets (name: {{path: ..., layout: ...}}): {error}; correct or remove it"
        ) from error


def _remember(name: str, folder: Path, layout: str) -> None:
    from filelock import FileLock

    path = _registry()
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        content = {known: {"path": str(where), "layout": how} for known, (where, how) in _registered().items()}
        content[name] = {"path": str(folder), "layout": layout}
        write_text(path, yaml.safe_dump(content, sort_keys=True))
