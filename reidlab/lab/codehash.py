"""Which code a chapter rests on, and a hash of it that comments and docstrings do not change.

The code of a chapter is its own code cells and every module of this package that they import, and
that those import in turn: read from the syntax trees, imports inside functions and the ``__init__`` of
parent packages included. Two rooms are left out because they measure nothing: ``reidlab.lab`` (but for
:mod:`reidlab.lab.records`, which turns values into tables) and ``reidlab.cli``. A changed plot makes a
page stale, since its pictures would differ, but not the records: see :meth:`Code.records_hash`.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reidlab.lab.notebook import code_of, parse, read_cells

PACKAGE = "reidlab"
_SOURCE = Path(__file__).resolve().parent.parent
_UNCOUNTED = ("reidlab.lab", "reidlab.cli", "reidlab.__main__")
_COUNTED_ANYWAY = "reidlab.lab.records"
_PICTURES = "reidlab.plots"
_MODULE_NAME = re.compile(rf"{PACKAGE}(\.\w+)+")


@dataclass(frozen=True)
class Code:
    """The hashes of the code behind a chapter.

    Attributes:
        modules: hash of each module of the package, by name.
        notebook: hash of the chapter's code cells.
    """

    modules: Mapping[str, str]
    notebook: str

    @property
    def hash(self) -> str:
        """Hash of everything; 16 hexadecimal digits."""
        return _combine([self.notebook, *(f"{k}={v}" for k, v in sorted(self.modules.items()))])

    @property
    def records_hash(self) -> str:
        """Hash of what can change a record: everything but the plots."""
        return Code({k: v for k, v in self.modules.items() if not _within(k, _PICTURES)}, self.notebook).hash

    def as_dict(self) -> dict[str, object]:
        """Return the form kept in ``run.json``."""
        return {"hash": self.hash, "notebook": self.notebook, "modules": dict(sorted(self.modules.items()))}

    def changes_since(self, old: Mapping[str, object], pictures: bool = True) -> list[str]:
        """Say what differs from the code of an earlier run.

        Args:
            old: the ``code`` entry of its ``run.json``.
            pictures: whether a changed plot counts.

        Returns:
            Phrases such as ``"module reidlab.data changed"``; empty if nothing differs.
        """
        before = dict(old.get("modules") or {})  # type: ignore[call-overload]
        found = ["the notebook's code changed"] if old.get("notebook") != self.notebook else []
        for name in sorted({*before, *self.modules}):
            if not pictures and _within(name, _PICTURES):
                continue
            if name not in before:
                found.append(f"module {name} is new")
            elif name not in self.modules:
                found.append(f"module {name} is no longer used")
            elif before[name] != self.modules[name]:
                found.append(f"module {name} changed")
        return found


def of_chapter(path: Path, source: Path = _SOURCE) -> Code:
    """Return the code behind the notebook at ``path``.

    Args:
        path: the notebook.
        source: folder of the package's source, another than this one in tests.

    Raises:
        ConfigError: a cell or a module is not valid Python.
    """
    return of_cells(code_of(read_cells(path)), str(path), source)


def of_cells(cells: Iterable[str], name: str = "notebook", source: Path = _SOURCE) -> Code:
    """Return the code behind a list of code cells, see :func:`of_chapter`."""
    trees = [parse(cell, f"{name}, code cell {number}") for number, cell in enumerate(cells, start=1)]
    waiting: set[str] = set()
    for tree in trees:
        waiting |= _imports(tree, "", False, source)
    modules: dict[str, str] = {}
    while waiting:
        module = waiting.pop()
        if module in modules:
            continue
        if module != _COUNTED_ANYWAY and any(_within(module, part) for part in _UNCOUNTED):
            waiting |= {_COUNTED_ANYWAY} - modules.keys()
            continue
        path = _file_of(module, source)
        if path is None:
            continue
        tree = parse(path.read_text(encoding="utf-8"), str(path))
        waiting |= _imports(tree, module, path.name == "__init__.py", source) - modules.keys()
        modules[module] = tree_hash(tree)
    return Code(modules, tree_hash(*trees))


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


def _without_docstring(node: ast.AST) -> list[ast.stmt]:
    body = node.body  # type: ignore[attr-defined]
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:] or [ast.Pass()]
    return body


def _write(node: ast.AST, out: list[str]) -> None:
    """Append a text of ``node`` to ``out``: names of node types and all fields that hold something."""
    out.append(type(node).__name__)
    documented = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    for field in node._fields:
        value = getattr(node, field, None)
        if value is None and not isinstance(node, ast.Constant):
            continue
        if field in ("ctx", "kind", "type_comment") or value == []:
            continue
        out.append(field)
        if documented and field == "body":
            value = _without_docstring(node)
        if isinstance(value, ast.AST):
            _write(value, out)
        elif isinstance(value, list):
            out.append("[")
            for item in value:
                if isinstance(item, ast.AST):
                    _write(item, out)
                else:
                    out.append(repr(item))
            out.append("]")
        else:
            out.append(repr(value))


def _imports(tree: ast.Module, module: str, is_package: bool, source: Path) -> set[str]:
    """Return the package's modules that a tree names, parents included."""
    here = module if is_package else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = here.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
            found.add(base)
            # `from package import name`: a module if there is one of that name, else something inside.
            found.update(f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and _MODULE_NAME.fullmatch(str(node.value)):
            # importlib.import_module("reidlab.x") and tables of lazily imported names.
            found.add(str(node.value))
    ours = {name for name in found if _within(name, PACKAGE)}
    parents = {name.rsplit(".", depth)[0] for name in ours for depth in range(1, name.count(".") + 1)}
    return {name for name in ours | parents if _file_of(name, source)}


def _file_of(module: str, source: Path) -> Path | None:
    base = source.joinpath(*module.split(".")[1:])
    if (path := base / "__init__.py").is_file():
        return path
    path = base.with_suffix(".py") if base != source else base
    return path if path.is_file() else None


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _combine(parts: Iterable[str]) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()
