"""Commands killed at seeded moments: the same command finishes the work, to the byte, and nothing is left behind."""

import json
import os
import re
import signal
import time

import pytest

from reidlab.lab import store
from tests.kills import Command, check_completions, listing
from tests.lab.made_up_project import make_project


@pytest.fixture
def kills(request):
    return request.config.getoption("--kills")


def test_a_chapter_with_pieces(tmp_path, kills):
    def make(home):
        make_project(home / "project")
        return Command(["run", "1", "--profile", "standard", "--project", str(home / "project")], home)

    def result(home):
        folder = home / "runs" / "standard" / "01_tiny"
        info = json.loads((folder / "run.json").read_text())
        pieces = sorted((home / "runs" / "pieces" / "01_tiny").iterdir())
        return (
            listing(folder)[store.RECORDS_FILE],
            {name: info[name] for name in ("parameters", "seeds", "records", "keys", "data", "code", "glue")},
            [piece["inputs"] for piece in info["pieces"]],
            [(piece.name, listing(piece)["arrays.npz"]) for piece in pieces],
            sorted(path.name for path in folder.iterdir()),
        )

    assert check_completions(make, result, tmp_path, kills) == kills


# A world of a few pictures, yet drawn by several processes.
WORLD = """
import sys
from reidlab import cli
from reidlab.data import embedded
from reidlab.world import WorldSpec, cached, writing

SPEC = WorldSpec(train_people=3, test_people=3, distractors=0, cameras=2, visits=1, shots={shots}, frame_width=160,
                 frame_height=120)
writing._WORTH_A_POOL = 1
embedded.resolve = lambda *_, **__: SPEC
cli.main(sys.argv[1:]) if sys.argv[1:] else cached(SPEC, quiet=True)
"""


@pytest.mark.parametrize("cached", [False, True], ids=["make-world", "cache"])
def test_a_world(tmp_path, kills, cached):
    def make(home):
        (home / "world.py").write_text(WORLD.format(shots=2))
        words = [] if cached else ["data", "make-world", str(home / "out")]
        return Command(words, home, program=(str(home / "world.py"),))

    def result(home):
        (out,) = home.glob("cache/worlds/*/market1501") if cached else [home / "out"]
        return listing(out)

    assert check_completions(make, result, tmp_path, kills, seed=1 + cached) == kills


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_world_that_is_interrupted_leaves_nothing_and_says_one_line(tmp_path, number, status):
    (tmp_path / "world.py").write_text(WORLD.format(shots=60))
    command = Command(["data", "make-world", str(tmp_path / "out")], tmp_path, program=(str(tmp_path / "world.py"),))
    process = command.start()
    while not list(tmp_path.glob(".out.*/*/*.jpg")):
        assert process.poll() is None, command.output
        time.sleep(0.05)
    # A terminal sends Ctrl-C to all processes, the system SIGTERM to one.
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    assert process.wait(60) == status, command.output
    lines = [line for line in re.split(r"[\r\n]", command.output) if line.strip() and "pictures:" not in line]
    assert lines == (["interrupted; nothing is left half-written"] if number == signal.SIGINT else [])
    assert command.left_behind() == []
    assert not (tmp_path / "out").exists()
