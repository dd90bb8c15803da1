"""The cache of worlds: made once, by one process, and never half."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager

import numpy as np
import pytest

from reidlab.errors import ConfigError
from reidlab.world import LAYOUTS, Scene, WorldSpec, cached, writing
from reidlab.world import background as background_module
from reidlab.world.background import background_of
from tests.kills import listing

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


def _lose_pictures(folder):
    for path in sorted(folder.rglob("*.jpg"))[::2]:
        path.unlink()


def _cut_a_picture(folder):
    path = min(folder.rglob("*.jpg"))
    path.write_bytes(path.read_bytes()[:-1])


def _lose_the_truth(folder):
    (folder / "truth.parquet").unlink()


def _add_a_picture(folder):
    path = min(folder.rglob("*.jpg"))
    path.with_name("0001_c1s1_999999_00.jpg").write_bytes(path.read_bytes())


def _lose_the_listing(folder):
    folder.with_name("market1501.listing").unlink()


def _spoil_the_listing(folder):
    folder.with_name("market1501.listing").write_bytes(b"\xff\n")


def _become_a_file(folder):
    shutil.rmtree(folder)
    folder.write_text("")


@pytest.mark.parametrize(
    "damage",
    [
        _lose_pictures, _cut_a_picture, _lose_the_truth, _add_a_picture, _lose_the_listing, _spoil_the_listing,
        _become_a_file,
    ],
)  # fmt: skip
def test_a_world_that_is_not_whole_is_made_anew(cache, damage):
    out = cached(SPEC, quiet=True)
    before = listing(out)
    damage(out)
    assert cached(SPEC, quiet=True) == out
    assert listing(out) == before
    assert {path.name for path in out.parent.iterdir()} <= {"market1501", "market1501.listing", ".market1501.lock"}


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


# ---- backgrounds ---------------------------------------------------------------------------------------------------

CAMERA = next(camera for camera in Scene(SPEC).cameras if camera.occluders)


def drawn():
    background_of.cache_clear()
    return background_of(CAMERA, 3, 0.2)


@pytest.fixture
def stored(cache):
    """The file of a background, and what it holds."""
    background = drawn()
    (path,) = (cache / "backgrounds").iterdir()
    return path, background


def same(one, other):
    return (
        np.array_equal(one.rgb, other.rgb)
        and [(layer.occluder, layer.x, layer.y) for layer in one.layers]
        == [(layer.occluder, layer.x, layer.y) for layer in other.layers]
        and all(np.array_equal(a.rgba, b.rgba) for a, b in zip(one.layers, other.layers))
    )


def test_a_background_is_drawn_once(stored, monkeypatch):
    _, background = stored
    assert background.layers
    monkeypatch.setattr(background_module, "_Scene", lambda *_: pytest.fail("drawn again"))
    assert same(drawn(), background)


class Payload:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def _pickle(path, _):
    path.write_bytes(pickle.dumps(Payload()))


def _objects(path, content):
    np.savez(path, **(content | {"rgb": np.array([Payload()], dtype=object)}))


def _cut(path, _):
    path.write_bytes(path.read_bytes()[:-100])


def _flip(path, _):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def _empty(path, _):
    path.write_bytes(b"")


def _folder(path, _):
    path.unlink()
    path.mkdir()


def _pipe(path, _):
    path.unlink()
    os.mkfifo(path)


def _without_layers(path, content):
    np.savez(path, rgb=content["rgb"], places=content["places"])


def _outside(path, content):
    np.savez(path, **(content | {"places": content["places"] + [0, 10**6, 0]}))


def _another_occluder(path, content):
    np.savez(path, **(content | {"places": content["places"] - [100, 0, 0]}))


def _smaller(path, content):
    np.savez(path, **(content | {"rgb": content["rgb"][1:]}))


@pytest.mark.parametrize(
    "damage",
    [
        _pickle, _objects, _cut, _flip, _empty, _folder, _pipe, _without_layers, _outside, _another_occluder, _smaller
    ],
)  # fmt: skip
def test_a_damaged_background_is_drawn_again_and_never_run(stored, damage, tmp_path, monkeypatch):
    path, background = stored
    monkeypatch.chdir(tmp_path)
    with np.load(path) as arrays:
        content = dict(arrays)
    damage(path, content)
    assert same(drawn(), background)
    assert not (tmp_path / "ran").exists()


def test_what_worker_processes_are_handed_lies_in_a_private_folder_that_goes(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen = []
    shelve = writing.temporary_folder

    @contextmanager
    def watched():
        with shelve() as folder:
            seen.append((folder.parent, folder.stat().st_mode & 0o777))
            yield folder

    monkeypatch.setattr(writing, "temporary_folder", watched)
    out = cached(SPEC, workers=2, quiet=True)
    assert seen == [(tmp_path, 0o700)]
    assert not list(tmp_path.glob("reidlab-*"))
    assert not [path for path in out.parent.parent.parent.rglob("*") if path.suffix == ".pickle"]
