"""The cache of worlds: made once, by one process, and never half."""

import os
import signal
import subprocess
import sys
import time

import pytest

from reidlab.errors import ConfigError
from reidlab.world import LAYOUTS, WorldSpec, cached

SPEC = WorldSpec(
    train_people=2, test_people=2, distractors=0, cameras=2, visits=1, shots=1, frame_width=160, frame_height=120
)
CHILD = """
import sys, time
from pathlib import Path
from reidlab.world import LAYOUTS, WorldSpec, cached
write = LAYOUTS["market1501"]
def counted(scene, out, **options):
    with open(sys.argv[2], "a") as log:
        log.write("made\\n")
    time.sleep(1.0)
    return write(scene, out, **options)
LAYOUTS["market1501"] = counted
print(cached(WorldSpec.from_yaml(Path(sys.argv[1]).read_text()), quiet=True))
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_world_is_made_once(cache, monkeypatch):
    first = cached(SPEC, quiet=True)
    assert first == cache.resolve() / "worlds" / SPEC.key() / "market1501"
    assert (first / "truth.parquet").is_file()
    monkeypatch.setitem(LAYOUTS, "market1501", lambda *a, **k: pytest.fail("made again"))
    assert cached(SPEC, quiet=True) == first


def test_two_processes_do_the_work_once(cache, tmp_path):
    (tmp_path / "spec.yml").write_text(SPEC.to_yaml())
    log = tmp_path / "log"
    command = [sys.executable, "-c", CHILD, str(tmp_path / "spec.yml"), str(log)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ.copy()) for _ in range(2)]
    answers = {process.communicate(timeout=60)[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(answers) == 1
    assert log.read_text() == "made\n"


SLOW_CHILD = """
import sys, time
from pathlib import Path
from reidlab.world import WorldSpec, cached, export
write = export.write_picture
def slow(path, image):
    write(path, image)
    time.sleep(60)
export.write_picture = slow
cached(WorldSpec.from_yaml(Path(sys.argv[1]).read_text()), quiet=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_a_killed_process_leaves_nothing_under_the_final_name(cache, tmp_path):
    (tmp_path / "spec.yml").write_text(SPEC.to_yaml())
    home = cache / "worlds" / SPEC.key()
    running = subprocess.Popen([sys.executable, "-c", SLOW_CHILD, str(tmp_path / "spec.yml")], env=os.environ.copy())
    deadline = time.monotonic() + 60
    while not list(home.glob(".market1501.*.tmp/*/*.jpg")):
        assert time.monotonic() < deadline, "the export never began"
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not (home / "market1501").exists()
    assert (cached(SPEC, quiet=True) / "truth.parquet").is_file()
    assert not list(home.glob("*.tmp"))


def test_what_a_killed_process_left_is_cleared_away(cache):
    home = cache / "worlds" / SPEC.key()
    left = home / ".market1501.12345.tmp"
    left.mkdir(parents=True)
    (left / "half.jpg").write_bytes(b"x")
    out = cached(SPEC, quiet=True)
    assert not left.exists()
    assert not (out / "half.jpg").exists()


def test_a_failed_export_leaves_no_folder_and_the_next_try_works(cache, monkeypatch):
    def failing(scene, out, **options):
        raise RuntimeError("no")

    with monkeypatch.context() as patch:
        patch.setitem(LAYOUTS, "market1501", failing)
        with pytest.raises(RuntimeError):
            cached(SPEC, quiet=True)
    assert not (cache / "worlds" / SPEC.key() / "market1501").exists()
    assert cached(SPEC, quiet=True).is_dir()


def test_an_unknown_layout_is_refused(cache):
    with pytest.raises(ConfigError, match="layout: there is none called 'duke'; there is: market1501"):
        cached(SPEC, "duke")
