"""Manifests: one small file per data set that says what it is, under which terms, and what a whole copy holds."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NoReturn

from reidlab.checks import check_choice, suggest
from reidlab.data.readers import READERS
from reidlab.data.readers.base import PICTURES
from reidlab.data.table import SPLITS
from reidlab.errors import ConfigError
from reidlab.evaluation.protocols import PROTOCOLS
from reidlab.reading import read_yaml

STATUSES = ("open", "on request", "withdrawn", "embedded")
COUNTS = ("pictures", "identities", "cameras", "tracklets")
CHAPTERS = (1, 2, 3, 4, 5, 6, 7, 8, "survey")


@dataclass(frozen=True)
class FileCount:
    """A number of files that a whole copy has.

    Attributes:
        glob: pattern of their paths in the data set's folder.
        count: how many there are.
        what: their name in the plural.
    """

    glob: str
    count: int
    what: str = "files"

    @property
    def counts_pictures(self) -> bool:
        """Whether the files are pictures, from the ending of the pattern."""
        return self.glob.lower().endswith(PICTURES)


@dataclass(frozen=True)
class Edition:
    """One published form of a data set.

    Attributes:
        name: of the edition; empty if there is only one.
        splits: for each split the expected numbers of pictures, identities, cameras, tracklets, as far as they are
            known. The rows of a sample table are counted; junk is no identity, and neither is a distractor.
        files: numbers of files.
    """

    name: str = ""
    splits: dict[str, dict[str, int]] = field(default_factory=dict)
    files: tuple[FileCount, ...] = ()

    @property
    def pictures(self) -> int | None:
        """Expected number of pictures, or None if the manifest does not say."""
        counts = [numbers.get("pictures") for numbers in self.splits.values()]
        counts = counts or [item.count for item in self.files if item.counts_pictures]
        return sum(counts) if counts and None not in counts else None


@dataclass(frozen=True)
class Manifest:
    """What is known about a data set.

    Attributes:
        name: short name, in lower case.
        title: full name.
        about: what it is, in a sentence or two.
        task: what it is used for.
        terms: under which it may be used.
        license: short name of the licence; empty if there is none with a name.
        status: ``open``, ``on request``, ``withdrawn`` or ``embedded`` (drawn by this package).
        homepage: of its makers; empty for what was withdrawn, which is never linked.
        citation: key in the book's bibliography; empty if it has none.
        layout: name of the reader; empty if no reader makes a sample table of it.
        folders: names under which its folder is found in ``REIDLAB_DATA``.
        protocol: named protocol under which it is scored; Market-1501's where empty.
        distractor: identity of the distractor class, or None.
        editions: what whole copies hold, the usual one first.
        notes: what a user should know, such as label faults.
        used_in: chapters, and ``survey``.
        path: file the manifest was read from.
    """

    name: str
    title: str
    about: str
    task: str
    terms: str
    status: str
    license: str = ""
    homepage: str = ""
    citation: str = ""
    layout: str = ""
    folders: tuple[str, ...] = ()
    protocol: str = ""
    distractor: int | None = None
    editions: tuple[Edition, ...] = ()
    notes: tuple[str, ...] = ()
    used_in: tuple[int | str, ...] = ()
    path: Path | None = field(default=None, compare=False)

    @cached_property
    def hash(self) -> str:
        """Hash of the content, 16 hexadecimal digits."""
        content = {key: value for key, value in asdict(self).items() if key != "path"}
        return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()


def folder() -> Path:
    """Return the folder of the manifests: that of the checkout, or the copy in an installed package."""
    packaged = Path(__file__).parent / "manifests"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "data_manifests"


@cache
def manifests() -> dict[str, Manifest]:
    """Return all manifests by name.

    Raises:
        ConfigError: a file is malformed, or the folder holds none.
    """
    found = [read_manifest(path) for path in sorted(folder().glob("*.yml"))]
    if not found:
        raise ConfigError(f"{folder()} holds no manifest (*.yml)")
    return {manifest.name: manifest for manifest in found}


def read_manifest(path: Path) -> Manifest:
    """Read and check one manifest.

    Raises:
        ConfigError: naming the file, the field, the value and what was expected.
    """
    return _Check(path.name).manifest(read_yaml(path), path)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _inside(value: Any) -> bool:
    return _text(value) and not value.startswith(("/", "~")) and ".." not in value


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class _Check:
    """Turns the content of a file into a manifest; complaints begin with the file's name."""

    def __init__(self, file: str) -> None:
        self._file = file

    def manifest(self, content: Any, path: Path) -> Manifest:
        needed = ("name", "title", "about", "task", "terms", "status")
        texts = (*needed, "license", "homepage", "citation", "layout", "protocol")
        others = ("folders", "distractor", "splits", "files", "editions", "notes", "used_in")
        content = self._mapping("", content, (*texts, *others))
        for name in needed:
            if name not in content:
                self._fail(name, "is missing")
        values: dict[str, Any] = {name: self._get(content, name, _text, "a text") for name in texts if name in content}
        if values["name"] != path.stem or not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", values["name"]):
            self._fail("name", f"is {values['name']!r}, expected the file's name, in lower case: {path.stem!r}")
        if values["status"] == "withdrawn" and "homepage" in values:
            self._fail("homepage", "is given, but what was withdrawn is never linked; remove it")
        if "homepage" in values and not values["homepage"].startswith(("https://", "http://")):
            self._fail("homepage", f"is {values['homepage']!r}, expected an address that begins with https://")
        for name, known in (("status", STATUSES), ("layout", READERS), ("protocol", PROTOCOLS)):
            if name in values:
                check_choice(f"{self._file}: {name}", values[name], known)
        values["folders"] = self._list(content, "folders", _inside, "the name of a folder")
        values["notes"] = self._list(content, "notes", _text, "a text")
        values["used_in"] = self._list(content, "used_in", CHAPTERS.__contains__, "a chapter (1 to 8) or survey")
        if "distractor" in content:
            values["distractor"] = self._get(content, "distractor", _whole, "an identity")
        return Manifest(**values, editions=self._editions(content), path=path)

    def _editions(self, content: Mapping[str, Any]) -> tuple[Edition, ...]:
        if "editions" not in content:
            first = self._edition("", {key: content[key] for key in ("splits", "files") if key in content})
            return (first,) if first.splits or first.files else ()
        if "splits" in content or "files" in content:
            self._fail("editions", "stands beside splits or files; put those into the editions")
        named = self._mapping("editions", content["editions"], None)
        return tuple(self._edition(name, value) for name, value in named.items())

    def _edition(self, name: str, content: Any) -> Edition:
        where = f"editions.{name}." if name else ""
        content = self._mapping(where.rstrip("."), content, ("splits", "files"))
        splits = self._mapping(f"{where}splits", content.get("splits", {}), SPLITS)
        counts = {}
        for split, numbers in splits.items():
            counts[split] = dict(self._mapping(f"{where}splits.{split}", numbers, COUNTS))
            for key in counts[split]:
                self._get(counts[split], key, _whole, "a whole number", f"{where}splits.{split}.")
        files = []
        for place, item in enumerate(self._list(content, "files", lambda v: isinstance(v, dict), "a mapping", where)):
            at = f"{where}files[{place}]."
            item = self._mapping(at.rstrip("."), item, ("glob", "count", "what"))
            glob = self._get(item, "glob", _inside, "a pattern of paths inside the data set's folder", at)
            count = self._get(item, "count", _whole, "a whole number", at)
            what = self._get(item, "what", _text, "a text", at) if "what" in item else "files"
            files.append(FileCount(glob, count, what))
        return Edition(name, counts, tuple(files))

    def _mapping(self, where: str, value: Any, known: tuple[str, ...] | None) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self._fail(where or "content", f"is {value!r}, expected a mapping")
        for key in value:
            if known is not None and key not in known:
                self._fail(f"{where}.{key}" if where else str(key), f"is not a field{suggest(key, known)}")
        return value

    def _get(self, content: Mapping[str, Any], name: str, good: Any, expected: str, where: str = "") -> Any:
        value = content.get(name)
        if not good(value):
            self._fail(f"{where}{name}", f"is {value!r}, expected {expected}")
        return value.strip() if isinstance(value, str) else value

    def _list(
        self, content: Mapping[str, Any], name: str, good: Any, expected: str, where: str = ""
    ) -> tuple[Any, ...]:
        values = content.get(name, [])
        if not isinstance(values, list):
            self._fail(f"{where}{name}", f"is {values!r}, expected a list")
        for place, value in enumerate(values):
            if not good(value):
                self._fail(f"{where}{name}[{place}]", f"is {value!r}, expected {expected}")
        return tuple(values)

    def _fail(self, name: str, complaint: str) -> NoReturn:
        raise ConfigError(f"{self._file}: {name} {complaint}")
