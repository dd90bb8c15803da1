"""The house: a room imports only from the floors below it, and the package loads no room by itself."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "reidlab"
CELLAR = {"checks", "errors", "files", "formats", "intervals", "memory", "paths", "reading", "seeding"}
FLOORS = [
    {"losses", "evaluation", "world"},
    {"data", "models"},
    {"training"},
    {"study"},
    {"baseline", "video", "pseudolabel", "pruning"},
    {"tools"},
    {"lab", "plots"},
    {"cli"},
    {"__main__"},
]
FLOOR_OF = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def rooms_imported(path: Path) -> set[str]:
    """Rooms a module imports, at the top or inside a function, found in its syntax tree."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = list(path.relative_to(PACKAGE.parent).parts[: -node.level])
            names = [".".join([*base, node.module])] if node.module else [".".join([*base, a.name]) for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "reidlab":
                names = [f"reidlab.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("reidlab.")}
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


def test_every_room_has_a_floor():
    rooms = {room_of(path) for path in MODULES} - CELLAR - {"__init__"}
    assert rooms <= set(FLOOR_OF), f"rooms without a floor: {sorted(rooms - set(FLOOR_OF))}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_imports_only_from_floors_below(path):
    room = room_of(path)
    imported = rooms_imported(path) - {room}
    if room in CELLAR or room == "__init__":
        assert imported <= CELLAR
        return
    above = {r for r in imported - CELLAR if FLOOR_OF[r] >= FLOOR_OF[room]}
    assert not above, f"{path.relative_to(PACKAGE)} imports {sorted(above)}, which is not on a floor below {room}"


def test_lab_knows_no_method():
    imported = set().union(*(rooms_imported(p) for p in MODULES if room_of(p) == "lab"))
    assert imported <= CELLAR | {"lab"}


def modules_imported(path: Path) -> set[str]:
    """Modules that a module imports, inside functions too; a re-exported name leads to where it is defined."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = list(path.relative_to(PACKAGE.parent).parts[: -node.level]) if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            found |= {defining_module(module, alias.name) for alias in node.names}
    return found & set(FILES)


def defining_module(module: str, name: str) -> str:
    if f"{module}.{name}" in FILES:
        return f"{module}.{name}"
    path = FILES.get(module)
    if path is not None and path.name == "__init__.py":
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and name in {alias.asname or alias.name for alias in node.names}:
                return defining_module(node.module, name)
    return module


FILES = {".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): p for p in MODULES}


def test_no_modules_import_one_another_in_a_circle():
    sorter = TopologicalSorter({name: modules_imported(path) - {name} for name, path in FILES.items()})
    try:
        order = list(sorter.static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(reversed(error.args[1]))}")
    assert set(order) == set(FILES)


def heavy_modules_after(statement: str) -> set[str]:
    heavy = {"torch", "numpy", "pandas", "cv2", "sklearn", "matplotlib", "papermill"}
    code = f"import sys; {statement}; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return heavy & set(answer.stdout.split())


def test_importing_the_package_loads_no_heavy_module():
    assert heavy_modules_after("import reidlab") == set()


def test_the_command_line_starts_without_heavy_modules():
    assert heavy_modules_after("import reidlab.cli") == set()
