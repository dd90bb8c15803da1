"""Which code a chapter rests on, and a hash of it that comments and docstrings do not change.

Modules of the package count, and those of the project's folder, where a study may be written. All of it is read from
syntax trees, imports inside functions included. A name that a package's ``__init__`` only re-exports leads to the
module that defines it (``from reidlab.data import load_world``, ``data.load_world(...)``); the
rest of that ``__init__`` does not count. It counts where it defines the name; where a name cannot be followed, the
whole package counts. A module that enters something in a registry counts only if a
module that counts imports it: a registry must not rely on an ``__init__`` to be filled.

A *page* rests on all code cells of its notebook. Its *records* rest on the cells up to the last one that measures (all
of them where none does so by the name of ``run``), on what these import, and never on :mod:`reidlab.plots`. Two rooms
count for neither because they measure nothing: ``reidlab.lab`` (but for :mod:`reidlab.lab.records`, which turns values
into tables) and ``reidlab.cli``.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from reidlab.lab.notebook import code_of, parse, read_cells

PACKAGE = "reidlab"
_SOURCE = Path(__file__).resolve().parent.parent
_UNCOUNTED = ("reidlab.lab", "reidlab.cli", "reidlab.__main__")
_COUNTED_ANYWAY = "reidlab.lab.records"
_PICTURES = "reidlab.plots"
_MODULE_NAME = re.compile(rf"{PACKAGE}(\.\w+)+")
# What a notebook calls of its run to measure; the rest of :class:`reidlab.lab.run.Run` shows.
_MEASURING = {"measure", "record", "data"}
# Stands in a chain of attributes where an imported name is not used.
_UNUSED = ""


@dataclass(frozen=True)
class Code:
    """The hashes of the code behind a chapter.

    Attributes:
        modules: hash of each module of the package, by name.
        notebook: hash of the code cells.
        records: of a page's code, that part which its records rest on.
    """

    modules: Mapping[str, str]
    notebook: str
    records: Code | None = None

    @property
    def hash(self) -> str:
        """Hash of everything; 16 hexadecimal digits."""
        return _combine([self.notebook, *(f"{k}={v}" for k, v in sorted(self.modules.items()))])

    def as_dict(self) -> dict[str, Any]:
        """Return the form kept in ``run.json``."""
        entry = {"hash": self.hash, "notebook": self.notebook, "modules": dict(sorted(self.modules.items()))}
        return entry | ({"records": self.records.as_dict()} if self.records else {})

    def changes_since(self, old: Mapping[str, Any], pictures: bool = True) -> list[str]:
        """Say what differs from the code of an earlier run.

        Args:
            old: the ``code`` entry of its ``run.json``; where it has no ``records`` (as older ones), all of it counts.
            pictures: whether what only the page rests on counts.

        Returns:
            Phrases such as ``"module reidlab.data changed"``; empty if nothing differs.
        """
        if self.records and not pictures:
            return self.records.changes_since(old.get("records", old))
        before, now = old.get("modules", {}), self.modules
        found = ["the notebook's code changed"] if old.get("notebook") != self.notebook else []
        for name in sorted(name for name in {*before, *now} if before.get(name) != now.get(name)):
            what = "is new" if name not in before else "changed" if name in now else "is no longer used"
            found.append(f"module {name} {what}")
        return found


def of_chapter(path: Path, source: Path = _SOURCE) -> Code:
    """Return the code behind the notebook at ``path``.

    Args:
        path: the notebook.
        source: folder of the package's source, another than this one in tests.

    Raises:
        ConfigError: a cell or a module is not valid Python.
        MissingDataError: there is no such notebook.
    """
    return of_cells(code_of(read_cells(path)), str(path), source, _folders(path))


def of_cells(cells: Iterable[str], name: str = "notebook", source: Path = _SOURCE, beside: Sequence[Path] = ()) -> Code:
    """Return the code behind a list of code cells, see :func:`of_chapter`.

    Args:
        cells: their texts.
        name: what to call them in an error.
        source: folder of the package's source.
        beside: folders in which modules count that are not the package's.

    Raises:
        ConfigError: a cell or a module is not valid Python.
    """
    trees, measuring = _trees(cells, name)
    closure = _Closure(source, beside)
    records, page = (_read(part) for part in (measuring, trees))
    return Code(closure.hashes([page]), page.hash, Code(closure.hashes([records], pictures=False), records.hash))


def texts(path: Path, source: Path = _SOURCE) -> set[str]:
    """Return the texts in the code that a chapter's records rest on, among them the keys that it records by name.

    Args:
        path: the notebook.
        source: folder of the package's source.

    Raises:
        ConfigError: a cell or a module is not valid Python.
        MissingDataError: there is no such notebook.
    """
    _, measuring = _trees(code_of(read_cells(path)), str(path))
    cells = _read(measuring)
    found = _Closure(source, _folders(path)).of([cells], pictures=False)
    return cells.texts.union(*(facts.texts for facts in found.values()))


def _folders(notebook: Path) -> tuple[Path, ...]:
    """Return the folders of a project from which its notebook may import: root, its own, and those on Python's path."""
    root = notebook.resolve().parent.parent
    on_path = (Path(entry).resolve() for entry in sys.path if entry)
    inside = [folder for folder in on_path if folder.is_relative_to(root) and not _is_library(folder)]
    return tuple(dict.fromkeys([root, notebook.resolve().parent, *inside]))


def _is_library(folder: Path) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(folder.parts)


def _trees(cells: Iterable[str], name: str) -> tuple[list[ast.Module], list[ast.Module]]:
    """Return the trees of cells, and of those up to the last one that measures."""
    trees = [parse(cell, f"{name}, code cell {number}") for number, cell in enumerate(cells, start=1)]
    last = max((number for number, tree in enumerate(trees, start=1) if _measures(tree)), default=len(trees))
    return trees, trees[:last]


def of_modules(names: Iterable[str], source: Path = _SOURCE) -> str | None:
    """Return a hash of modules, of this package or another, and of all of this package's that they rest on.

    Args:
        names: the modules' names.
        source: folder of this package's source.

    Returns:
        16 hexadecimal digits; None where a module has no file, as a notebook's ``__main__`` has none.

    Raises:
        ConfigError: a module is not valid Python.
    """
    own, others, beside = set(), {}, set()
    for name in names:
        if _within(name, PACKAGE):
            own.add(name)
            continue
        spec = None if name == "__main__" else importlib.util.find_spec(name)
        if spec is None or not spec.origin or not spec.origin.endswith(".py"):
            return None
        path = Path(spec.origin)
        others[name] = _module(path, name)
        # The folder that Python's path names: what else the module imports from there is a study's own too.
        folder = path.parents[name.count(".") + (path.name == "__init__.py")]
        beside |= set() if _is_library(folder) else {folder}
    found = {name: facts.hash for name, facts in others.items()}
    found |= _Closure(source, sorted(beside)).hashes(others.values(), own, pictures=False)
    return _combine(f"{name}={found[name]}" for name in sorted(found))


def tree_hash(*trees: ast.Module) -> str:
    """Return a hash of the statements of some trees, without docstrings.

    Written out by hand instead of :func:`ast.dump`, whose text differs between Python versions: a record
    kept under 3.11 must not look stale under 3.13.
    """
    out: list[str] = []
    for tree in trees:
        for statement in _without_docstring(tree):
            _write(statement, out)
    return _combine(out)


_WITH_DOCSTRING = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _without_docstring(node: ast.AST) -> list[ast.stmt]:
    body = node.body  # type: ignore[attr-defined]
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:] or [ast.Pass()]
    return body


@cache
def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    return tuple(field for field in kind._fields if field not in ("ctx", "kind", "type_comment"))


def _write(node: ast.AST, out: list[str]) -> None:
    """Append a text of ``node`` to ``out``: names of node types and all fields that hold something."""
    kind = type(node)
    out.append(kind.__name__)
    for field in _fields(kind):
        value = getattr(node, field, None)
        if value is None and kind is not ast.Constant:
            continue
        if type(value) is list:
            if not value:
                continue
            if field == "body" and kind in _WITH_DOCSTRING:
                value = _without_docstring(node)
            out += (field, "[")
            for item in value:
                if isinstance(item, ast.AST):
                    _write(item, out)
                else:
                    out.append(repr(item))
            out.append("]")
        elif isinstance(value, ast.AST):
            out.append(field)
            _write(value, out)
        else:
            out += (field, repr(value))


@dataclass(frozen=True)
class _Facts:
    """What a file, or the cells of a notebook, say of what they rest on.

    Attributes:
        hash: of the statements.
        imported: where each imported name leads: pairs of a module and a name in it, None for the module itself. What
            is imported without a name of its own stands under an empty one.
        used: what of each imported name: chains of attributes, empty where the name stands alone.
        texts: that it contains, among them names of modules: ``importlib.import_module("reidlab.x")``.
        defined: names that the file's own statements define, inside functions too.
    """

    hash: str
    imported: Mapping[str, set[tuple[str, str | None]]]
    used: Mapping[str, set[tuple[str, ...]]]
    texts: set[str]
    defined: set[str]


@lru_cache(maxsize=2048)
def _parsed(text: str, name: str, module: str, is_package: bool) -> _Facts:
    return _read([parse(text, name)], module if is_package else module.rpartition(".")[0])


def _module(path: Path, module: str) -> _Facts:
    """Read a module; a text that was read before is not parsed again."""
    return _parsed(path.read_text(encoding="utf-8"), str(path), module, path.name == "__init__.py")


def _read(trees: Sequence[ast.Module], package: str = "") -> _Facts:
    """Read the facts of trees that share their names; ``package`` is where relative imports start."""
    imported: dict[str, set[tuple[str, str | None]]] = {}
    chains: set[tuple[str, ...]] = set()
    texts: set[str] = set()
    defined: set[str] = set()
    for node, chain in _executed(*trees):
        if chain:
            chains.add(chain)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                imported.setdefault(alias.asname or "", set()).add((alias.name, None))
                if not alias.asname:  # `import reidlab.data` loads the one and names the other
                    root = alias.name.partition(".")[0]
                    imported.setdefault(root, set()).add((root, None))
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
            for alias in node.names:
                imported.setdefault(alias.asname or alias.name, set()).add((base, alias.name))
        elif isinstance(node, ast.Name):
            defined.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.add(node.value)
    used: dict[str, set[tuple[str, ...]]] = {name: set() for name in imported}
    for name, *rest in chains:
        if name in used:
            used[name].add(tuple(rest))
    return _Facts(tree_hash(*trees), imported, used, texts, defined)


class _Closure:
    """The modules, of the package and beside a study, that some code rests on.

    Args:
        source: folder of the package's source.
        beside: folders in which other modules count too.
    """

    def __init__(self, source: Path, beside: Sequence[Path] = ()) -> None:
        self._source = source
        self._led: dict[tuple[str, tuple[str, ...]], set[str]] = {}
        self._file = cache(lambda module: _file_of(module, source, beside))
        self._is_beside = cache(
            lambda name: any((at / name).is_dir() or (at / f"{name}.py").is_file() for at in beside)
        )
        self._facts = cache(lambda module: _module(self._file(module), module))
        self._next = cache(lambda module: self._imports(self._facts(module)))

    def hashes(self, facts: Iterable[_Facts], modules: Iterable[str] = (), pictures: bool = True) -> dict[str, str]:
        """Return the hashes of what :meth:`of` returns."""
        return {module: found.hash for module, found in self.of(facts, modules, pictures).items()}

    def of(self, facts: Iterable[_Facts], modules: Iterable[str] = (), pictures: bool = True) -> dict[str, _Facts]:
        """Return what each module says that facts and modules rest on, by name; the modules are among them.

        Args:
            facts: of code that is none of the package's modules.
            modules: names of such.
            pictures: whether plots are followed.
        """
        waiting = set(modules).union(*map(self._imports, facts))
        found: dict[str, _Facts] = {}
        while waiting:
            module = waiting.pop()
            if module not in found and self._file(module) and (pictures or not _within(module, _PICTURES)):
                found[module] = self._facts(module)
                waiting |= self._next(module)
        return found

    def _imports(self, facts: _Facts) -> set[str]:
        names = filter(_MODULE_NAME.fullmatch, facts.texts)
        found = {module for name in names for module in self._lead(name, ())}
        for name, targets in facts.imported.items():
            for module, inside in targets:
                for use in facts.used[name] or {(_UNUSED,)}:
                    found |= self._lead(module, (*([inside] if inside else []), *use))
        return found

    def _lead(self, module: str, chain: tuple[str, ...]) -> set[str]:
        """Return the modules that ``module``, followed by a chain of attributes, rests on."""
        if not _within(module, PACKAGE):
            return self._lead_beside(module, chain)
        if not _counts(module):
            return {_COUNTED_ANYWAY}
        path = self._file(module)
        if path is None or path.name != "__init__.py":
            return {module} if path else set()
        if (module, chain) not in self._led:
            self._led[module, chain] = set()  # names that lead to one another lead nowhere
            self._led[module, chain] = self._look_through(module, chain, self._facts(module))
        return self._led[module, chain]

    def _lead_beside(self, module: str, chain: tuple[str, ...]) -> set[str]:
        """Return what another module is: itself, the packages that it lies in, and what the first attribute names."""
        if not self._is_beside(module.partition(".")[0]):
            return set()
        names = [*filter(None, module.split(".")), *(chain[:1] if chain[:1] not in ((_UNUSED,), ("*",)) else ())]
        return {name for n in range(len(names)) if self._file(name := ".".join(names[: n + 1]))}

    def _look_through(self, package: str, chain: tuple[str, ...], init: _Facts) -> set[str]:
        if chain[:1] in ((_UNUSED,), ("*",)):
            return {package} if chain[0] == "*" else set()
        name = chain[0] if chain else ""
        targets = {(f"{package}.{name}", None), *init.imported.get(name, ())}
        found = {package} if name in init.defined else set()
        targets = {(module, inside) for module, inside in targets if self._file(module)}
        if not chain or not (targets or found):
            base = self._file(package).parent
            inner = (path.relative_to(self._source).with_suffix("").parts for path in base.rglob("*.py"))
            names = {".".join([PACKAGE, *parts]).removesuffix(".__init__") for parts in inner}
            return set(filter(_counts, names))
        for module, inside in targets:
            found |= self._lead(module, (*([inside] if inside else []), *chain[1:]))
        return found


def _counts(module: str) -> bool:
    return module == _COUNTED_ANYWAY or not any(_within(module, room) for room in _UNCOUNTED)


def _executed(*trees: ast.Module) -> Iterator[tuple[ast.AST, tuple[str, ...]]]:
    """Yield the nodes of trees with their chains, but for what only type checkers read and what is in a chain."""
    waiting: list[ast.AST] = [*trees]
    while waiting:
        node = waiting.pop()
        kind = type(node)
        chain = _chain(node) if kind in (ast.Name, ast.Attribute) else ()
        yield node, chain
        if kind is ast.If and _chain(node.test)[-1:] == ("TYPE_CHECKING",):
            waiting += node.orelse
        elif not chain:
            for field in _fields(kind):
                value = getattr(node, field, None)
                if type(value) is list:
                    waiting += [item for item in value if isinstance(item, ast.AST)]
                elif isinstance(value, ast.AST):
                    waiting.append(value)


def _chain(node: ast.AST) -> tuple[str, ...]:
    """Return a name that is read and its attributes, ``("data", "load")``; empty for any other node."""
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
        return (node.id,)
    if isinstance(node, ast.Attribute) and (chain := _chain(node.value)):
        return (*chain, node.attr)
    return ()


def _measures(tree: ast.Module) -> bool:
    """Return whether a cell measures, or hands the run to something that may."""
    return any(chain[:1] == ("run",) and {*chain[1:2]} <= _MEASURING for _, chain in _executed(tree))


def _file_of(module: str, source: Path, beside: Sequence[Path] = ()) -> Path | None:
    parts = module.split(".")
    if parts[0] != PACKAGE:
        bases = [folder.joinpath(*parts) for folder in beside]
    else:
        bases = [source.joinpath(*parts[1:])]
    for base in bases:
        if (path := base / "__init__.py").is_file():
            return path
        if base != source and (path := base.with_name(f"{base.name}.py")).is_file():
            return path
    return None


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _combine(parts: Iterable[str]) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()
