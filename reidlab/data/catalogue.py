"""Where data sets lie and whether they are complete: the functions of ``reidlab data``.

A data set is searched in the folder registered with :func:`add`, then in those named by ``REIDLAB_DATA``, under the
folder names its manifest gives. What a command is given may be a name or a folder: :func:`locate` decides, for all
commands alike. Functions return plain data; printing is the command's business.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from tqdm import tqdm

from reidlab import paths
from reidlab.checks import check_choice, check_name, plural, suggest
from reidlab.data import embedded, readers
from reidlab.data.images import decode, open_picture, unreadable, why_unreadable
from reidlab.data.manifest import Edition, Manifest, manifests
from reidlab.data.readers.base import PICTURES, existing, first_few, is_litter
from reidlab.data.table import SPLITS, SampleTable, described
from reidlab.errors import ConfigError, DataError, MissingDataError, StorageError
from reidlab.files import digest, disk_errors, write_text
from reidlab.reading import read_yaml

if TYPE_CHECKING:
    from reidlab.world import WorldSpec

_COUNTERS: dict[str, Callable[[SampleTable, int | None], int]] = {
    "pictures": lambda rows, _: rows["path"].nunique(),
    "identities": lambda rows, distractor: rows.loc[(rows["pid"] >= 0) & (rows["pid"] != distractor), "pid"].nunique(),
    "cameras": lambda rows, _: rows["camid"].nunique(),
    "tracklets": lambda rows, _: rows.loc[rows["tracklet"] >= 0, "tracklet"].nunique(),
}
_ONE = {"pictures": "picture", "identities": "identity", "cameras": "camera", "tracklets": "tracklet"}
_READ_CHUNK = 64
_TRIED = 32  # pictures that are opened before a folder is registered
_RESERVED = ("embedded",)  # what a chapter calls its own world among data sets


@dataclass(frozen=True)
class Location:
    """Where a data set was found.

    Attributes:
        name: of the data set.
        path: its folder.
        layout: name of its reader; empty if it has none.
        source: ``registered``, ``REIDLAB_DATA`` or ``given``.
        manifest: what is known about it; None for data of the user's own.
        note: what else the name could have meant; empty if nothing.
    """

    name: str
    path: Path
    layout: str
    source: str
    manifest: Manifest | None = None
    note: str = ""


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
        reading: lines on what was read, where it was read.
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
    reading: tuple[str, ...] = ()


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
        where = f"{self.split} has" if self.split else "there is" if self.found == 1 else "there are"
        what = _ONE.get(self.what, self.what) if self.found == 1 else self.what
        return f"{where} {self.found:,} {what}, expected {self.expected:,}"


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
        reading: what was read, one line each.
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
    reading: tuple[str, ...] = ()
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
        verdict = "readable" if self.layout else "there; no reader and no manifest says what it should hold"
        verdict = "as its manifest says" if self.compared else verdict
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
    own = sorted(name for name in registered if name not in manifests())
    return listed + [_entry(_from_registry(name, registered), count) for name in own]


def add(name: str, path: str | Path, layout: str | None = None, *, anew: bool = False) -> Entry:
    """Register the folder of a data set, after reading it once.

    Args:
        name: of a data set with a manifest, or any other for data of your own.
        path: its folder.
        layout: name of a reader for data of your own; found out where omitted.
        anew: whether to take the place of another folder that has the name.

    Returns:
        Its line of :func:`entries`, with what was read.

    Raises:
        ConfigError: the name or the layout is not allowed, or another folder has the name.
        MissingDataError: the folder is not there, is empty, or lacks what its layout needs.
        DataError: the folder does not follow its layout, or none of its pictures can be opened.
        StorageError: the list of registered folders cannot be written.
    """
    manifest = _known(name)
    name = manifest.name if manifest else name
    if not manifest and (check_name("name", name) != name.lower() or name in _RESERVED):
        why = "chapters call their own world so" if name in _RESERVED else "expected small letters"
        raise ConfigError(f"name: {name!r} is not allowed; {why}")
    if manifest and manifest.status == "embedded":
        raise ConfigError(f"name: {name} is drawn by this package; choose another name")
    if manifest and manifest.layout and layout and layout != manifest.layout:
        raise ConfigError(f"layout: {name} has the layout {manifest.layout}; leave the option out, or choose a name")
    folder = existing(path, name)
    if manifest and (manifest.layout or (layout is None and _has_files_of(manifest, folder))):
        layout = manifest.layout
    layout = _detected(folder, manifest) if layout is None else layout
    location = _location(name, folder, layout, "registered")
    reading: tuple[str, ...] = ("nothing was read: no reader makes a sample table of it",)
    if layout:
        reader = readers.get(layout)
        table = reader.read(folder, name)
        location = _at_home(location)
        _try_pictures(table)
        reading = _reading(table, location)
    elif not any(files for _, _, files in os.walk(folder)):
        raise MissingDataError(f"{name}: {folder} holds no file")
    before = _registered().get(name, (location.path,))[0]
    if before != location.path and not anew:
        raise ConfigError(
            f"name: {name!r} is the data set in {before}; choose another name, or --replace to take {location.path}"
        )
    _remember(name, location.path, layout)
    return replace(_entry(location, count=True), reading=reading)


def remove(name: str) -> Path:
    """Forget the folder that is registered for a data set, and return it; nothing in it is changed.

    Raises:
        ConfigError: no folder is registered for that name; the message suggests one.
        StorageError: the list of registered folders cannot be written.
    """
    registered, manifest = _registered(), _known(name)
    if name not in registered and manifest is not None:
        name = manifest.name
    if name not in registered:
        raise ConfigError(f"name: no folder was added as {name!r}{suggest(name, registered)}")
    _remember(name, None)
    return registered[name][0]


def folder_around(path: str | Path) -> Path | None:
    """Return the folder of the data set, of those in :func:`entries`, that a file lies in; None where it is in none."""
    place = Path(path).expanduser().resolve()
    folders = (entry.path for entry in entries(count=False) if entry.path is not None)
    return next((folder for folder in folders if place.is_relative_to(folder.resolve())), None)


def locate(name: str | Path, layout: str | None = None) -> Location:
    """Return where the data set lies that a user names, by its name or by its folder.

    A word is a name wherever a manifest or a registered set has it, and else a folder. What has a path separator in it,
    or begins with ``.`` or ``~``, is a folder.

    Args:
        name: of a data set, or a folder.
        layout: name of a reader; the data set's or the folder's own where None.

    Raises:
        ConfigError: no data set has that name, or no reader that of the layout.
        MissingDataError: it is not on this machine, or the folder is not there.
        DataError: the folder has no layout that can be read.
    """
    text = str(name)
    if not text.strip():
        raise ConfigError("the name of the data set is empty; give a name or a folder")
    if isinstance(name, Path) or os.sep in text or text.startswith((".", "~")):
        return _given(existing(name, text), layout)
    folder = Path(text).absolute()
    if text not in _registered() and _known(text) is None:
        return _given(existing(folder, text), layout) if os.path.exists(folder) else find(text)
    try:
        location = find(text)
    except MissingDataError as error:
        if os.path.isdir(folder):
            raise MissingDataError(f"{error}; the folder {text} in this one is ./{text}") from error
        raise
    if layout not in (None, location.layout):
        readers.get(layout)
        location = replace(location, layout=layout, manifest=None)
    if os.path.isdir(folder) and folder != location.path:
        note = f"{text} is the data set in {location.path}; the folder of that name in this one is ./{text}"
        return replace(location, note=note)
    return location


def open_set(name: str | Path, layout: str | None = None) -> tuple[SampleTable, Path]:
    """Return the sample table and the folder of a data set that a user names; see :func:`locate`.

    Raises:
        ConfigError: no data set has that name.
        MissingDataError: it is not on this machine, or lacks a folder or file.
        DataError: it has no reader, or does not follow its layout.
    """
    location = locate(name, layout)
    table = _read(location)
    if location.note:
        table.attrs["notes"] = (location.note, *table.attrs.get("notes", ()))
    return table, location.path


def find(name: str) -> Location:
    """Return where a data set lies that is registered or has a manifest.

    Raises:
        ConfigError: no data set has that name; the message suggests one.
        MissingDataError: it is not on this machine; the message says how to register its folder.
    """
    registered = _registered()
    if name in registered:
        location = _from_registry(name, registered)
        existing(location.path, name)
        return location
    manifest = _known(name)
    if manifest is None:
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


def embedder_file(name: str | Path, say: Callable[[str], None] = print) -> Path | None:
    """Return where the file of a published embedder lies: at a path, or at that path below ``REIDLAB_DATA``.

    Args:
        name: of the file, such as ``embedder/osnet_x0_25_msmt17.onnx``; there is none where it is empty.
        say: gets a line where a file is named that is not on this machine.
    """
    if not str(name):
        return None
    for root in (Path(), *paths.data_roots()):
        if (path := root / Path(name).expanduser()).is_file():
            return path.absolute()
    say(f"the embedder {name} is left out: it is not on this machine; give its path, or its place below REIDLAB_DATA")
    return None


def load(name: str) -> SampleTable:
    """Return the sample table of a data set on this machine.

    Raises:
        ConfigError: no data set has that name.
        MissingDataError: it is not on this machine, or lacks a folder or file.
        DataError: it has no reader, or does not follow its layout.

    Example:
        >>> load("market1501").split.value_counts()  # doctest: +SKIP
    """
    return _read(find(name))


def _read(location: Location) -> SampleTable:
    if not location.layout:
        raise DataError(f"{location.name}: no reader makes a sample table of it; its files are in {location.path}")
    return readers.get(location.layout).read(location.path, location.name)


def check(name: str | Path, deep: bool = False, quiet: bool = False, layout: str | None = None) -> Report:
    """Compare a folder with its manifest: folders, names, numbers, pictures.

    Args:
        name: of a data set, or the path of a folder.
        deep: decode every picture and search for copies, instead of reading headers.
        quiet: whether to leave out the progress bar.
        layout: name of a reader; the data set's or the folder's own where None.

    Raises:
        ConfigError: no data set has that name.
        MissingDataError: it is not on this machine.
        DataError: the folder has no layout that can be read.
    """
    location = locate(name, layout)
    manifest = location.manifest
    table: SampleTable | None = None
    if location.layout:
        try:
            table = _read(location)
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
        _reading(table, location),
        deep,
        compared=edition is not None,
    )


def make_world(
    spec: WorldSpec | str,
    layout: str = "market1501",
    out: str | Path | None = None,
    *,
    quiet: bool = False,
    **overrides: Any,
) -> World:
    """Write an embedded world, into the cache or a given folder.

    Args:
        spec: a world's specification, or the name of a scenario.
        layout: ``market1501``, ``mars``, ``mot`` or ``sites``.
        out: folder to make; the cache where omitted, where the same world is written once only.
        quiet: whether to leave out the progress bar.
        **overrides: fields of the specification, or dials of its nuisances, to change.

    Raises:
        ConfigError: scenario, layout or override is unknown.
        StorageError: the folder exists already, or the disk is full.
    """
    from reidlab.world import LAYOUTS, Scene, cached

    resolved = embedded.resolve(spec, **overrides)
    check_choice("layout", layout, LAYOUTS)
    if out is None:
        path = cached(resolved, layout, quiet=quiet)
    else:
        path = Path(out).expanduser().absolute()
        if path.exists():  # which is found after all is rendered, else
            raise StorageError(f"{path} exists already; remove it or choose another folder")
        LAYOUTS[layout](Scene(resolved), path, quiet=quiet)
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
        return _from_registry(manifest.name, registered)
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
        names = {}
        with suppress(OSError):
            names = {name.lower(): name for name in sorted(os.listdir(path), reverse=True)}
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


def _location(name: str, path: Path, layout: str, source: str) -> Location:
    """Return a location; a set of the user's own may have a name that a manifest has."""
    manifest = manifests().get(name)
    return Location(name, path, layout, source, manifest if manifest and manifest.layout == layout else None)


def _from_registry(name: str, registered: dict[str, tuple[Path, str]]) -> Location:
    path, layout = registered[name]
    manifest = manifests().get(name)
    return _location(name, path, manifest.layout if manifest and manifest.layout else layout, "registered")


def _given(path: Path, layout: str | None) -> Location:
    """Return what lies in a folder: a registered set, a known one by its name and files, or the user's own."""
    registered = _registered()
    same = [name for name, (folder, how) in registered.items() if folder == path and layout in (None, how)]
    if same:
        found = [_from_registry(name, registered) for name in same]
        # The one of which most is known, then the one called like the folder.
        first = min(found, key=lambda item: (item.manifest is None, item.name != path.name, item.name))
        note = f"{path} was added as {' and '.join(sorted(same))}; it is taken as {first.name}" if same[1:] else ""
        return replace(first, source="given", note=note)
    if layout is not None:
        return _at_home(Location(path.name, path, layout, "given"))
    for manifest in manifests().values():
        named = any(folder.lower() == path.name.lower() for folder in (*manifest.folders, manifest.name))
        if named and manifest.layout:
            reader = readers.get(manifest.layout)
            if reader.fits(reader.home(path)) or reader.near(path):
                return _at_home(Location(manifest.name, path, manifest.layout, "given", manifest))
        elif named and _has_files_of(manifest, path):
            return Location(manifest.name, path, "", "given", manifest)
    return _at_home(Location(path.name, path, readers.detect(path).name, "given"))


def _detected(folder: Path, manifest: Manifest | None) -> str:
    """Return the layout that a folder has; none if it has none and nothing is known of the files it should have."""
    try:
        return readers.detect(folder).name
    except DataError:
        if manifest is None or _globs(manifest):
            raise
        return ""


def _at_home(location: Location) -> Location:
    """Return a location whose folder is the one that has the layout, which may lie one level down."""
    home = readers.get(location.layout).home(location.path)
    return location if home == location.path else replace(location, path=home, note=f"found one level down: {home}")


def _has_files_of(manifest: Manifest, folder: Path) -> bool:
    """Return whether a folder holds files that a set without a reader has."""
    return any(next(folder.glob(glob), None) for glob in _globs(manifest))


def _globs(manifest: Manifest) -> list[str]:
    return [item.glob for edition in manifest.editions for item in edition.files]


def _try_pictures(table: SampleTable) -> None:
    """Open some pictures of a table.

    Raises:
        DataError: none of them can be opened.
    """
    files = table["path"].drop_duplicates().tolist()
    tried = _read_chunk(files[:: max(1, len(files) // _TRIED)], deep=False)
    bad = [(path, problem) for path, _, problem in tried if problem]
    if len(bad) == len(tried):
        raise DataError(unreadable(bad))


def _reading(table: SampleTable | None, location: Location) -> tuple[str, ...]:
    """Return lines on what was read: the numbers, an example, and what was left out."""
    lines = [location.note] if location.note else []
    if table is None:
        return tuple(lines)
    labelled = table[table["pid"] >= 0]
    first = (labelled if len(labelled) else table).iloc[0]
    who = f"person {first['pid']}" if first["pid"] >= 0 else "person unknown"
    named = {level: f" ({first[level]})" if first.get(level) else "" for level in ("person", "camera")}
    path = os.path.relpath(first["path"], location.path)
    lines += [
        described(table),
        f"such as {path}: {who}{named['person']}, camera {first['camid']}{named['camera']}, {first['split']}",
        *(note for note in table.attrs.get("notes", ()) if "left out" not in note),  # counted below, with all others
    ]
    return (*lines, *_left_out(table, location))


def _left_out(table: SampleTable, location: Location) -> list[str]:
    """Return a line on the files in a folder that are no pictures of its table, if there are any."""
    taken = set(table["path"])
    pictures, others = [], []
    for folder, _, names in os.walk(location.path):
        prefix = f"{folder}{os.sep}"
        litter = any(map(is_litter, folder.removeprefix(f"{location.path}").split(os.sep)[1:]))
        for name in names:
            if prefix + name not in taken:
                picture = name.lower().endswith(PICTURES) and not name.startswith(".") and not litter
                (pictures if picture else others).append(prefix + name)
    if readers.get(location.layout).lists:
        others = []
    kinds = [plural(len(kind), what) for kind, what in ((pictures, "picture"), (others, "other file")) if kind]
    if not kinds:
        return []
    first = os.path.relpath(min(pictures or others), location.path)
    return [f"left out: {' and '.join(kinds)}, the first {first}"]


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
    seen: dict[str, str] = {}
    copies = []
    with (
        ThreadPoolExecutor() as pool,
        tqdm(total=len(files), desc="reading pictures", disable=quiet, delay=1.0, leave=False) as bar,
    ):
        for chunk in pool.map(partial(_read_chunk, deep=deep), chunks):
            for path, summary, problem in chunk:
                if problem:
                    bad.append((path, problem))
                elif summary and seen.setdefault(summary, path) != path:
                    copies.append(f"{os.path.relpath(path, root)} = {os.path.relpath(seen[summary], root)}")
            bar.update(len(chunk))
    remark = f"{plural(len(copies), 'picture')} the same as another, byte for byte: {first_few(copies)}"
    return bad, [remark] if copies else []


def _read_chunk(files: Sequence[str], deep: bool) -> list[tuple[str, str, str]]:
    """Return path, digest (only if deep) and problem of each file."""
    out = []
    for path in files:
        summary, problem = "", ""
        try:
            if deep:
                decode(path).close()
                summary = digest(Path(path))
            else:
                open_picture(path).close()
        except Exception as error:  # a broken file can make its decoder raise anything
            problem = why_unreadable(error, path)
        out.append((path, summary, problem))
    return out


def _remarks(table: SampleTable | None, manifest: Manifest | None) -> list[str]:
    """Return remarks on a user's own data."""
    if table is None or manifest is not None:
        return []
    nobody = table.attrs.get("distractor", 0)
    people = table[(table["pid"] >= 0) & (table["pid"] != nobody)].groupby("pid")["camid"].nunique()
    if people.empty:
        folders = "; if its folders are people of one camera, say --layout folder_person"
        how = folders if table.attrs.get("layout") == readers.FOLDER.name and table["camera"].any() else ""
        return [f"it has no identities: it can be searched and used for training without labels, but not scored{how}"]
    single = int((people < 2).sum())
    seen = f"{single} of {plural(len(people), 'person')} {'was' if single == 1 else 'were'} seen by one camera only"
    return [f"{seen} and cannot be queries"] if single else []


def _registry() -> Path:
    return paths.config_dir() / "data.yml"


def _registered() -> dict[str, tuple[Path, str]]:
    """Return folder and layout of each registered data set."""
    path = _registry()
    try:
        if not path.exists():
            return {}
        content = read_yaml(path) or {}
        found = {str(name): (Path(item["path"]), str(item.get("layout") or "")) for name, item in content.items()}
    except (OSError, ConfigError, AttributeError, TypeError, KeyError) as error:
        raise ConfigError(
            f"{path} is not a list of data sets (name: {{path: ..., layout: ...}}): {error}; correct or remove it"
        ) from error
    for name, (_, layout) in found.items():
        if layout:
            check_choice(f"{path}: {name}: layout", layout, readers.READERS)
    return found


def _remember(name: str, folder: Path | None, layout: str = "") -> None:
    """Write a folder into the list of registered ones, or take it out if None."""
    from filelock import FileLock

    path = _registry()
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"), timeout=10)
        lock.acquire()
    with lock:
        content = {known: {"path": str(where), "layout": how} for known, (where, how) in _registered().items()}
        content.pop(name, None)
        if folder is not None:
            content[name] = {"path": str(folder), "layout": layout}
        # Quoted, so that a set called 1e3 keeps its name.
        write_text(path, yaml.safe_dump(content, sort_keys=True, default_style='"', allow_unicode=True))
