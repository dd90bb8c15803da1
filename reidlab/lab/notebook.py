"""Reading a chapter's source: its code, its parameters, its text."""

from __future__ import annotations

import ast
import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidlab.errors import ConfigError, MissingDataError

# Before Python 3.13, two threads that parse at the same time may break each other's count of the depth (SystemError).
_PARSER = threading.Lock()
_MAGIC = re.compile(r"^\s*([%!?]|.*\?$)")
# A cell in another language, such as %%bash; what %%time and its like stand above is Python.
_FOREIGN = re.compile(r"^\s*%%(?!time\b|timeit\b|capture\b|prun\b)")


#: A grammar of web addresses that jsonschema builds wherever it is imported, in a second or two, for a format that
#: neither notebooks nor the book's settings are checked for; without it, jsonschema leaves that format out.
ADDRESS_GRAMMAR = "rfc3987_syntax"


@contextmanager
def without_address_grammar() -> Iterator[None]:
    """Import notebook libraries in the block without :data:`ADDRESS_GRAMMAR`."""
    loaded = ADDRESS_GRAMMAR in sys.modules
    modules: dict[str, Any] = sys.modules
    modules.setdefault(ADDRESS_GRAMMAR, None)  # Python's own sign for a module that cannot be imported
    try:
        yield
    finally:
        if not loaded:
            del modules[ADDRESS_GRAMMAR]


@dataclass(frozen=True)
class Cell:
    """One cell: ``number`` counts from 1 over all cells, ``kind`` is "code", "markdown" or "raw"."""

    number: int
    kind: str
    source: str
    tags: tuple[str, ...] = ()
    stripped: bool = True


def read_cells(path: Path) -> list[Cell]:
    """Read the cells of a notebook (format 4), without importing the notebook libraries.

    Raises:
        MissingDataError: there is no such file.
        ConfigError: the file is not a notebook.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [
            Cell(
                number=number,
                kind=cell["cell_type"],
                source=source if isinstance(source := cell["source"], str) else "".join(source),
                tags=tuple(cell.get("metadata", {}).get("tags", ())),
                stripped=not cell.get("outputs") and cell.get("execution_count") is None,
            )
            for number, cell in enumerate(content["cells"], start=1)
        ]
    except FileNotFoundError as error:
        raise MissingDataError(f"{path}: no such notebook") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: not a notebook of format 4 ({error!r})") from error


def kernel_of(path: Path) -> str | None:
    """Return the name of the kernel that a notebook requests; plain papermill and Jupyter need one.

    Raises:
        ConfigError: the file is not a notebook.
    """
    read_cells(path)
    metadata = json.loads(path.read_text(encoding="utf-8")).get("metadata", {})
    return metadata.get("kernelspec", {}).get("name")


def code_of(cells: list[Cell]) -> list[str]:
    """Return the code cells' sources as Python: magics and shell lines blanked, foreign cells as a text."""
    return [_as_python(cell.source) for cell in cells if cell.kind == "code"]


def _as_python(source: str) -> str:
    if _FOREIGN.match(source):
        return f"_ = {source!r}"
    return "\n".join("" if _MAGIC.match(line) else line for line in source.split("\n"))


def parse(source: str, name: str) -> ast.Module:
    """Parse Python source.

    Raises:
        ConfigError: it is not Python; the message names the place.
    """
    try:
        with _PARSER:
            return ast.parse(source)
    except SyntaxError as error:
        raise ConfigError(f"{name}, line {error.lineno}: not valid Python ({error.msg})") from error


def parameters_of(path: Path) -> dict[str, Any]:
    """Return the parameters of a notebook with their default values, in the order of its parameters cell.

    The cell tagged ``parameters`` (papermill's convention) holds plain assignments of literals. A
    notebook without one has no parameters.

    Raises:
        ConfigError: there are two such cells, or one holds something else than literals.
    """
    cells = [cell for cell in read_cells(path) if "parameters" in cell.tags and cell.kind == "code"]
    if len(cells) > 1:
        numbers = ", ".join(str(cell.number) for cell in cells)
        raise ConfigError(f"{path}: cells {numbers} are all tagged 'parameters'; expected one")
    parameters: dict[str, Any] = {}
    for cell in cells:
        for node in parse(cell.source, f"{path}, cell {cell.number}").body:
            match node:
                case ast.Expr(value=ast.Constant(value=str())):
                    continue
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    pass
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    pass
                case _:
                    raise ConfigError(
                        f"{path}, cell {cell.number}, line {node.lineno}: the parameters cell may only "
                        f"assign literals to names, found `{ast.unparse(node)[:60]}`"
                    )
            try:
                parameters[name] = ast.literal_eval(value)
            except ValueError as error:
                raise ConfigError(
                    f"{path}, cell {cell.number}: the default of parameter {name!r} must be a literal, "
                    f"found `{ast.unparse(value)[:60]}`"
                ) from error
    return parameters
