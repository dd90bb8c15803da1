"""The oracle for the closure is Python itself: what is really loaded, and what really runs, must be in it."""

import subprocess
import sys
from pathlib import Path

import pytest

import reidlab
from reidlab.errors import ConfigError
from reidlab.lab import codehash
from tests.lab.made_up_project import code, write_notebook

PACKAGE = Path(reidlab.__file__).parent
PACKAGES = sorted(".".join(p.parent.relative_to(PACKAGE.parent).parts) for p in PACKAGE.glob("*/**/__init__.py"))


@pytest.fixture
def package(tmp_path):
    """A small package in place of reidlab."""
    files = {
        "__init__.py": '"""Doc."""\n',
        "base.py": "def f(x):\n    return x + 1\n",
        "room/__init__.py": "from .one import one\nfrom .late import late\n",
        "room/one.py": "from reidlab import base\n\n\ndef one():\n    return base.f(1)\n",
        "room/late.py": "def late():\n    from reidlab.deep.inner import g\n    return g()\n",
        "room/table.py": "import importlib\n\n\ndef get():\n    return importlib.import_module('reidlab.other')\n",
        "deep/__init__.py": "",
        "deep/inner.py": "def g():\n    return 2\n",
        "other.py": "x = 1\n",
        "lazy/__init__.py": (
            "import importlib\n\n_TABLE = {'deep': '.deep', 'shallow': ('reidlab.lazy.shallow', 'shallow')}\n\n\n"
            "def __getattr__(name):\n    return getattr(importlib.import_module(_TABLE[name], __name__), name)\n"
        ),
        "lazy/deep.py": "deep = 1\n",
        "lazy/shallow.py": "shallow = 1\n",
        "mixed/__init__.py": "from reidlab.mixed.part import part\n\n\ndef whole():\n    return part\n",
        "mixed/part.py": "part = 1\n",
        "mixed/unseen.py": "unseen = 1\n",
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


def test_the_closure_follows_imports(package):
    assert modules(package, "import reidlab.room.one") == {"reidlab.room.one", "reidlab.base"}
    assert "reidlab.room.one" in modules(package, "from reidlab.room import one")
    assert modules(package, "import numpy as np\nfrom os import path") == set()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from reidlab.room import one", {"room.one", "base"}),
        ("from reidlab import room\nroom.one()", {"room.one", "base"}),
        ("import reidlab.room\nreidlab.room.one()", {"room.one", "base"}),
        ("import reidlab.room as r\nr.one()", {"room.one", "base"}),
        ("def f():\n    from reidlab import room as r\n    return r.one()", {"room.one", "base"}),
        ("from reidlab.lazy import deep", {"lazy.deep"}),
        ("from reidlab import lazy\nlazy.shallow", {"lazy.shallow"}),
        ("from reidlab.mixed import part", {"mixed.part"}),
        ("from reidlab import room", set()),
    ],
)
def test_a_re_exported_name_leads_to_the_module_that_defines_it(package, text, expected):
    assert modules(package, text) == {f"reidlab.{name}" for name in expected}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from reidlab.mixed import whole", {"mixed", "mixed.part"}),
        ("from reidlab.room import *", {"room", "room.one", "base", "room.late", "deep.inner"}),
        ("from reidlab.mixed import elsewhere", {"mixed", "mixed.part", "mixed.unseen"}),
        ("from reidlab import mixed\ngetattr(mixed, 'part')", {"mixed", "mixed.part", "mixed.unseen"}),
        ("from reidlab.lazy import gone", {"lazy", "lazy.deep", "lazy.shallow"}),
    ],
)
def test_an_init_counts_where_it_defines_and_all_of_it_where_a_name_cannot_be_followed(package, text, expected):
    assert modules(package, text) == {f"reidlab.{name}" for name in expected}


def test_imports_for_type_checkers_do_not_count(package):
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from reidlab.room import one\n"
    assert modules(package, text) == set()


@pytest.mark.parametrize("text", ["from reidlab.room import one", "from reidlab import room\nroom.one()"])
def test_a_new_module_elsewhere_changes_nothing(package, text):
    before = of(package, text)
    (package / "room/new.py").write_text("from reidlab import other\n\n\ndef new():\n    return other\n")
    (package / "room/__init__.py").write_text("from .one import one\nfrom .late import late\nfrom .new import new\n")
    assert of(package, text) == before


def test_imports_inside_functions_and_by_name_count(package):
    assert "reidlab.deep.inner" in modules(package, "from reidlab.room.late import late")
    assert "reidlab.other" in modules(package, "import reidlab.room.table")


def test_of_the_lab_only_the_records_count(package):
    assert modules(package, "from reidlab import lab\nlab.start('x')") == {"reidlab.lab.records"}


CELLS = (
    "from reidlab import world\nspec = world.WorldSpec(train_people=2, test_people=2, distractors=0, cameras=2)\n"
    "world.Scene(spec).frame(1, 0)",
    "from reidlab.models import cost, resnet\ncost(resnet(18, width=4), (3, 32, 16))",
)
ROOMS = [name for name in PACKAGES if name != "reidlab.lab"]
# Each cell in a process that has imported what cells use and nothing else, then all rooms: one start for all of them.
RAN = f"""
import importlib, os, sys
import reidlab.data, reidlab.evaluation, reidlab.world, reidlab.models

def ran(cell):
    found = set()
    sys.setprofile(lambda frame, *_: found.add(str(frame.f_globals.get("__name__"))))
    exec(cell, {{}})
    sys.setprofile(None)
    return found

def tell(names):
    print(*(name for name in names if name.split(".")[0] == "reidlab"), flush=True)

for cell in {CELLS!r}:
    child = os.fork()
    if not child:
        tell(ran(cell))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
for room in {ROOMS!r}:
    importlib.import_module(room)
tell(list(sys.modules))
"""


@pytest.fixture(scope="module")
def by_python():
    """The modules whose code each cell ran, and then those that importing all rooms loads."""
    done = subprocess.run([sys.executable, "-c", RAN], capture_output=True, text=True, check=True)
    *ran, loaded = [set(line.split()) for line in done.stdout.splitlines()]
    return dict(zip(CELLS, ran, strict=True)), loaded


def test_what_imports_load_is_in_the_closure(by_python):
    found = codehash.of_cells([f"from {name} import *" for name in ROOMS]).modules
    assert set(ROOMS) <= by_python[1]
    assert by_python[1] - {"reidlab"} <= set(found)


@pytest.mark.parametrize("cell", CELLS)
def test_what_runs_is_in_the_closure_though_it_is_re_exported(by_python, cell):
    ran, found = by_python[0][cell], set(codehash.of_cells([cell]).modules)
    assert len(ran) > 1
    assert ran <= found
    assert {"reidlab.world", "reidlab.models", "reidlab.training.loop"}.isdisjoint(found)


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
    cell = "from reidlab.plots import colour"
    before = of(package, cell)
    (package / "plots/__init__.py").write_text("colour = 'blue'\n")
    after = of(package, cell)
    assert after.hash != before.hash
    assert after.records.hash == before.records.hash
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


MEASURES = "from reidlab import lab, room\nrun = lab.start('x')", "run.record('rank1', room.one())"


@pytest.mark.parametrize("name", ["measure(study, [0])", "record('a', 1)", "data('a')"])
def test_records_rest_on_the_cells_up_to_the_last_that_measures(package, name):
    cells = [*MEASURES, f"run.{name}"]
    before = of(package, *cells, "run.finish()")
    shown = of(package, *cells, "from reidlab.other import x\nrun.glue('best', x)", "run.finish()")
    assert shown.hash != before.hash
    assert shown.records.hash == before.records.hash
    assert shown.changes_since(before.as_dict(), pictures=False) == []
    assert shown.changes_since(before.as_dict()) == ["the notebook's code changed", "module reidlab.other is new"]
    (package / "other.py").write_text("x = 2\n")
    assert of(package, *cells, "from reidlab.other import x", "").records.hash == before.records.hash
    measured = of(package, *MEASURES, "x = 1", f"run.{name}")
    assert measured.changes_since(before.as_dict(), pictures=False) == ["the notebook's code changed"]


def test_a_cell_that_hands_the_run_on_measures_too(package):
    cells = "from reidlab import lab\nrun = lab.start('x')", "import reidlab.other"
    for cell, counts in (("from reidlab.room import one\none(run)", True), ("run.finish()", False)):
        records = of(package, *cells[:1], "run.record('a', 1)", *cells[1:], cell).records
        assert ("reidlab.other" in records.modules) == counts


@pytest.mark.parametrize("cells", [["x = 1"], ["it = lab.start('x')", "it.record('a', 1)"]])
def test_a_notebook_that_measures_nowhere_by_that_name_counts_whole(package, cells):
    assert "reidlab.other" in of(package, *cells, "import reidlab.other").records.modules


def test_the_entry_of_an_older_run_is_read(package):
    new = of(package, *MEASURES)
    old = {key: value for key, value in new.as_dict().items() if key != "records"}
    assert new.changes_since(old, pictures=False) == []
    old["modules"] = {**old["modules"], "reidlab": "1"}
    assert new.changes_since(old, pictures=False) == ["module reidlab is no longer used"]


def test_a_study_rests_on_its_modules_wherever_they_are(package):
    before = codehash.of_modules(["reidlab.room.one"], package)
    assert before == codehash.of_modules(["reidlab.room.one", "reidlab.base"], package)
    assert codehash.of_modules(["tests.lab.made_up_project"]) != codehash.of_modules(["tests.lab.conftest"])
    assert codehash.of_modules(["__main__"]) is None
    (package / "base.py").write_text("def f(x):\n    return x\n")
    assert codehash.of_modules(["reidlab.room.one"], package) != before


def test_a_file_is_parsed_once(package, monkeypatch):
    parsed = []
    parse = codehash.parse
    monkeypatch.setattr(codehash, "parse", lambda text, name: parsed.append(name) or parse(text, name))
    (package / "base.py").write_text("def f(x):\n    return x + 10\n")
    cells = ["from reidlab.room import *\nfrom reidlab import mixed\nprint(mixed)"]
    for _ in range(3):
        codehash.of_cells(cells, "made up", package)
    files = [name for name in parsed if not name.startswith("made up")]
    assert str(package / "base.py") in files
    assert len(files) == len(set(files))
    (package / "base.py").write_text("def f(x):\n    return x + 20\n")
    parsed.clear()
    codehash.of_cells(cells, "made up", package)
    assert [name for name in parsed if not name.startswith("made up")] == [str(package / "base.py")]


# ---- modules of a project ------------------------------------------------------------------------------------------


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """A project with a study of its own: a module, what it imports, and a package on Python's path."""
    root = tmp_path / "project"
    for name, text in {
        "my_study.py": "from my_helpers import mean\nfrom reidlab.seeding import derive\n",
        "my_helpers.py": "mean = 1\n",
        "lib/rooms/__init__.py": "",
        "lib/rooms/video.py": "from . import clips\nfrom .parts.heads import head\n",
        "lib/rooms/clips.py": "",
        "lib/rooms/parts/__init__.py": "",
        "lib/rooms/parts/heads.py": "head = 1\n",
        "unused.py": "",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(root / "lib"))
    return root


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import my_study", {"my_study", "my_helpers", "reidlab.seeding"}),
        ("from my_study import Study\nStudy()", {"my_study", "my_helpers", "reidlab.seeding"}),
        ("def late():\n    import my_helpers as h\n    return h.mean", {"my_helpers"}),
        ("import numpy, rooms.clips", {"rooms", "rooms.clips"}),
        (
            "from rooms import video\nvideo.run()",
            {"rooms", "rooms.video", "rooms.clips", "rooms.parts", "rooms.parts.heads"},
        ),
        ("import numpy as np\nimport json", set()),
    ],
)
def test_modules_of_the_project_count_and_so_does_what_they_import(beside, text, expected):
    path = write_notebook(beside / "notebooks" / "01_own.ipynb", code(text))
    assert set(codehash.of_chapter(path).modules) == expected


def test_a_changed_module_of_the_project_is_a_change_of_records(beside):
    path = write_notebook(beside / "notebooks" / "01_own.ipynb", code("import my_study\nrun.measure(my_study.Study())"))
    before = codehash.of_chapter(path)
    (beside / "my_helpers.py").write_text("mean = 1  # a comment\n")
    assert codehash.of_chapter(path) == before
    (beside / "my_helpers.py").write_text("mean = 2\n")
    after = codehash.of_chapter(path)
    assert after.changes_since(before.as_dict()) == ["module my_helpers changed"]
    assert after.changes_since(before.as_dict(), pictures=False) == ["module my_helpers changed"]


def test_a_piece_rests_on_what_a_study_of_the_project_imports(beside, monkeypatch):
    monkeypatch.syspath_prepend(str(beside))
    before = codehash.of_modules(["my_study"])
    (beside / "unused.py").write_text("x = 1\n")
    assert codehash.of_modules(["my_study"]) == before
    (beside / "my_helpers.py").write_text("mean = 2\n")
    assert codehash.of_modules(["my_study"]) != before
