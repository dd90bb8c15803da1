"""Every compiled loop of the package is one that is compiled ahead."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import reidlab

# Without numba's compiler the loops are plain functions, whose calls can be seen.
_SEEN = """
import sys
seen = set()
def note(frame, event, argument):
    if event == "call":
        seen.add((frame.f_globals.get("__name__"), frame.f_code.co_name))
from reidlab.tools.compiling import clusterings, rankings
sys.setprofile(note)
rankings()
clusterings()
sys.setprofile(None)
print(*(f"{module} {name}" for module, name in seen), sep="\\n")
"""


def loops():
    source = Path(reidlab.__file__).parent
    for path in source.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.parse(text).body if "compiled" in text or "parallel" in text else ():
            for decorator in getattr(node, "decorator_list", ()):
                name = getattr(decorator, "func", decorator)
                if isinstance(name, ast.Name) and name.id in ("compiled", "parallel"):
                    yield f"{'.'.join(path.relative_to(source.parent).with_suffix('').parts)} {node.name}"


def test_every_loop_is_used_by_what_compiles_ahead():
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    found = subprocess.run([sys.executable, "-c", _SEEN], env=environment, text=True, capture_output=True, check=True)
    wanted = set(loops())
    assert len(wanted) > 20
    assert wanted - set(found.stdout.splitlines()) == set()
