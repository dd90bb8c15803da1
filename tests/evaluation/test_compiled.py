"""Compiled code: kept where only this user can write, and never run once it is damaged."""

import os
import pickle
import stat

import numba
import pytest

from reidlab import paths
from reidlab.evaluation import compiled as module
from reidlab.evaluation.compiled import compiled


def add(a, b):
    return a + b


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "code"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    return tmp_path / "code"


def hits(function):
    """How often machine code was found in the cache."""
    return sum(function.stats.cache_hits.values())


def test_code_is_compiled_once(folder):
    assert compiled(add)(1, 2) == 3
    again = compiled(add)
    assert (again(1, 2), hits(again)) == (3, 1)
    assert (again(1.5, 2), hits(again)) == (3.5, 1)  # other types are other code
    both = compiled(add)
    assert (both(1, 2), both(1.5, 2), hits(both)) == (3, 3.5, 2)


class Payload:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["*.nbi", "*.nbc", "*.json"])
@pytest.mark.parametrize(
    "damage",
    [
        flip,
        lambda path: path.write_bytes(path.read_bytes()[:50]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(pickle.dumps(Payload())),
        lambda path: path.unlink(),
    ],
    ids=["flipped", "cut", "empty", "planted", "lost"],
)
def test_damaged_code_is_compiled_anew_and_never_run(folder, tmp_path, monkeypatch, kind, damage):
    monkeypatch.chdir(tmp_path)
    compiled(add)(1, 2)
    (path,) = folder.rglob(kind)
    damage(path)
    again = compiled(add)
    assert (again(1, 2), hits(again)) == (3, 0)
    once_more = compiled(add)
    assert (once_more(1, 2), hits(once_more)) == (3, 1)
    assert not (tmp_path / "ran").exists()


def test_a_full_disk_costs_time_and_nothing_else(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.FunctionCache, "save_overload", full)
    assert compiled(add)(1, 2) == 3


def test_without_a_safe_folder_nothing_is_kept(folder, monkeypatch):
    monkeypatch.setattr(module, "compiled_dir", lambda: None)
    assert compiled(add)(1, 2) == 3
    assert not folder.exists()


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_of_compiled_code_is_private(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("REIDLAB_CACHE", str(tmp_path / "shared"))
    own = paths.compiled_dir()
    assert (own, mode(own)) == (tmp_path / "reidlab-compiled", 0o700)
    for bits in (0o770, 0o707, 0o777):
        own.chmod(bits)
        assert paths.compiled_dir() is None
    own.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    own.symlink_to(elsewhere)
    assert paths.compiled_dir() is None
    own.unlink()
    own.touch()
    assert paths.compiled_dir() is None
    own.unlink()
    own.mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: own.stat().st_uid + 1)
    assert paths.compiled_dir() is None


def test_a_users_own_folder_is_taken_where_it_is_private(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "mine"))
    assert paths.compiled_dir() == tmp_path / "mine"
    (tmp_path / "mine").chmod(0o777)
    assert paths.compiled_dir() == tmp_path / "cache" / "reidlab-compiled"
