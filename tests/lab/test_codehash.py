"""The oracle for the closure is Python itself: what an import really loads must be in it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import reidlab
from reidlab.errors import ConfigError
from reidlab.lab import codehash
from tests.lab.made_up_project import code, write_notebook

PACKAGE = Path(reidlab.__file__).parent
ROOMS = sorted(p.parent.name for p in PACKAGE.glob("*/__init__.py") if p.parent.name != "lab")


@pytest.fixture
def package(tmp_path):
    """A small package in place of reidlab."""
    files = {
        "__init__.py": '"""Doc."""\n',
        "base.py": "def f(x):\n    return x + 1\n",
        "room/__init__.py": "from .one import one\n",
        "room/one.py": "from reidlab import base\n\n\ndef one():\n    return base.f(1)\n",
        "room/late.py": "def late():\n    from reidlab.deep.inner import g\n    return g()\n",
        "room/table.py": "import importlib\n\n\ndef get():\n    return importlib.import_module('reidlab.other')\n",
        "deep/__init__.py": "",
        "deep/inner.py": "def g():\n    return 2\n",
        "other.py": "x = 1\n",
        "plots/__init__.py": "colour = 'red'\n",
        "lab/__init__.py": "from reidlab.lab import runner\n",
        "lab/runner.py": "x = 1\n",
        "lab/records.py": "x = 1\n",
    }
    for name, text in files.items():
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "src"


def of(package, *cells):
    return codehash.of_cells(cells, "made up", package)


def modules(package, *cells):
    return set(of(package, *cells).modules)


def test_the_closure_follows_imports_and_counts_parents(package):
    assert modules(package, "import reidlab.room.one") == {
        "reidlab",
        "reidlab.room",
        "reidlab.room.one",
        "reidlab.base",
    }
    assert "reidlab.room.one" in modules(package, "from reidlab.room import one")
    assert modules(package, "import numpy as np\nfrom os import path") == set()


def test_imports_inside_functions_and_by_name_count(package):
    assert {"reidlab.deep", "reidlab.deep.inner"} <= modules(package, "from reidlab.room.late import late")
    assert "reidlab.other" in modules(package, "import reidlab.room.table")


def test_of_the_lab_only_the_records_count(package):
    assert modules(package, "from reidlab import lab") == {"reidlab", "reidlab.lab.records"}


def test_what_imports_load_is_in_the_closure():
    imports = [f"import reidlab.{room}" for room in ROOMS]
    command = "; ".join([*imports, "import sys; print(*(m for m in sys.modules if m.split('.')[0] == 'reidlab'))"])
    loaded = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert set(loaded.stdout.split()) <= set(codehash.of_cells(imports).modules)


@pytest.mark.parametrize(
    "same",
    [
        "def f(x):  # why\n    return x + 1\n",
        '"""Module."""\n\n\ndef f(x):\n    """Function."""\n    return (x + 1)\n',
        "def f(x):\n\n    return x + 1\n# end\n",
    ],
)
def test_comments_docstrings_and_layout_do_not_count(package, same):
    before = of(package, "import reidlab.base")
    (package / "base.py").write_text(same)
    assert of(package, "import reidlab.base") == before


@pytest.mark.parametrize(
    "other",
    [
        "def f(x):\n    return x + 2\n",
        "def f(x):\n    return x - 1\n",
        "def f(y):\n    return y + 1\n",
        "def f(x):\n    return x + 1.0\n",
        "def f(x):\n    return x + True\n",
        "def f(x):\n    return x + 1\n\n\nf = None\n",
    ],
)
def test_everything_else_counts(package, other):
    before = of(package, "import reidlab.room.one")
    (package / "base.py").write_text(other)
    after = of(package, "import reidlab.room.one")
    assert after.hash != before.hash
    assert after.changes_since(before.as_dict()) == ["module reidlab.base changed"]


def test_modules_that_are_not_imported_do_not_count(package):
    before = of(package, "import reidlab.room.one")
    (package / "other.py").write_text("x = 2\n")
    assert of(package, "import reidlab.room.one") == before


def test_a_changed_plot_changes_the_page_but_not_the_records(package):
    before = of(package, "import reidlab.plots")
    (package / "plots/__init__.py").write_text("colour = 'blue'\n")
    after = of(package, "import reidlab.plots")
    assert after.hash != before.hash
    assert after.records_hash == before.records_hash
    assert after.changes_since(before.as_dict(), pictures=False) == []


def test_cells_count_by_their_statements_alone(package):
    before = of(package, "x = 1\ny = 2")
    assert of(package, "x = 1", "# nothing here", "", "y = 2  # two") == before
    assert of(package, "x = 1", "y = 3").changes_since(before.as_dict()) == ["the notebook's code changed"]


def test_magics_are_no_python_and_do_not_disturb(tmp_path):
    path = write_notebook(tmp_path / "a.ipynb", code("%matplotlib inline\n!ls\nx = 1\nx?"))
    plain = write_notebook(tmp_path / "b.ipynb", code("x = 1"))
    assert codehash.of_chapter(path).notebook == codehash.of_chapter(plain).notebook


def test_a_cell_in_another_language_counts_as_it_stands(tmp_path):
    hashes = {
        codehash.of_chapter(write_notebook(tmp_path / "a.ipynb", code(text))).notebook
        for text in ("%%bash\nls -l", "%%bash\nls", "%%time\nx = 1", "%%time\nx = 1  # one")
    }
    assert len(hashes) == 3


def test_a_new_and_a_dropped_module_are_named(package):
    before = of(package, "import reidlab.other")
    found = of(package, "import reidlab.base").changes_since(before.as_dict())
    assert "module reidlab.base is new" in found
    assert "module reidlab.other is no longer used" in found


def test_a_cell_that_is_no_python_is_named(tmp_path):
    path = write_notebook(tmp_path / "a.ipynb", code("x = 1"), code("x = = 1"))
    with pytest.raises(ConfigError, match=r"a\.ipynb, code cell 2, line 1: not valid Python"):
        codehash.of_chapter(path)


def test_hashing_the_whole_package_is_quick():
    cells = [f"import reidlab.{room}" for room in ROOMS]
    times = []
    for _ in range(3):
        clock = time.process_time()
        codehash.of_cells(cells)
        times.append(time.process_time() - clock)
    assert min(times) < 0.5
