"""Files: whole or not at all, and every refusal of the system is one sentence that names the path."""

import errno
import hashlib
import os
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from reidlab import files
from reidlab.errors import DataError, MissingDataError, RunError, StorageError
from reidlab.files import (
    clear_left_overs,
    disk_errors,
    listing_hash,
    locked,
    read_json,
    replacing,
    reserve,
    size_of,
    temporary_folder,
    whole_folder,
    write_json,
    write_text,
)

FULL = OSError(errno.ENOSPC, "No space left on device")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "deep" / "note.txt"
    write_text(path, "old")
    with replacing(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old", "a reader never meets half of it"
    assert path.read_text() == "new"
    assert names(path.parent) == ["note.txt"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), DataError("no"), MissingDataError("no"), FULL])
def test_a_failure_leaves_the_file_that_was_there_and_nothing_else(tmp_path, failure):
    path = tmp_path / "note.txt"
    write_text(path, "old")
    expected = StorageError if failure is FULL else type(failure)

    def interrupted():
        with replacing(path) as draft:
            draft.write_text("half")
            raise failure

    with pytest.raises(expected) as caught:
        interrupted()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["note.txt"]
    assert failure is not FULL or "note.txt: the disk is full" in str(caught.value)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fills_up_at_the_last_moment_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "note.txt"
    write_text(path, "old")

    def full(*arguments):
        raise FULL

    monkeypatch.setattr(os, step, full)
    with pytest.raises(StorageError, match=r"note\.txt: the disk is full; nothing was changed\. Free some space"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["note.txt"]


def test_a_file_where_a_folder_should_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file.*(Not a directory|File exists)"):
        write_text(tmp_path / "file" / "note.txt", "x")
    with pytest.raises(StorageError, match="file"), whole_folder(tmp_path / "file" / "out"):
        raise AssertionError("there is no folder to write into")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match=r"may not be written .*choose another folder"):
            write_text(tmp_path / "note.txt", "x")
        with pytest.raises(StorageError, match="may not be written"), whole_folder(tmp_path / "out"):
            raise AssertionError("there is no folder to write into")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_refusal_names_what_may_not_be_written(tmp_path, number):
    with pytest.raises(StorageError, match=r"/elsewhere: may not be written .*REIDLAB_CACHE"), disk_errors(tmp_path):
        raise OSError(number, os.strerror(number), "/elsewhere")


def test_a_folder_appears_whole(tmp_path):
    out = tmp_path / "deep" / "out"
    with whole_folder(out) as folder:
        (folder / "a").write_text("1")
        assert not out.exists()
    assert names(out) == ["a"]
    assert names(out.parent) == ["out"]
    with pytest.raises(StorageError, match="out exists already; remove it"), whole_folder(out):
        raise AssertionError("what stands there is not touched")
    assert names(out) == ["a"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), RuntimeError("no"), FULL])
def test_a_failure_leaves_no_folder(tmp_path, failure):
    def interrupted():
        with whole_folder(tmp_path / "out") as folder:
            (folder / "half").write_text("x")
            raise failure

    with pytest.raises(StorageError if failure is FULL else type(failure)):
        interrupted()
    assert names(tmp_path) == []


@pytest.fixture
def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_what_a_killed_process_left_is_cleared_away(tmp_path, dead):
    for pid in (dead, os.getpid()):  # as after a restart of the machine, numbers come again
        left = tmp_path / f".out.{files._MACHINE}-{pid}.tmp"
        left.mkdir()
        (left / "half").write_text("x")
    (tmp_path / f".note.{files._MACHINE}-{dead}.tmp").write_text("half")
    with whole_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
    write_text(tmp_path / "note", "whole")
    assert names(tmp_path) == ["note", "out"]
    assert names(tmp_path / "out") == ["a"]


def test_what_a_living_process_or_another_machine_writes_stays(tmp_path, dead):
    mine = [
        f".out.{files._MACHINE}-{os.getppid()}.tmp",
        f".out.abcdef-{dead}.tmp",
        f".other.{files._MACHINE}-{dead}.tmp",
    ]
    for name in mine:
        (tmp_path / name).mkdir()
    with whole_folder(tmp_path / "out"):
        pass
    assert names(tmp_path) == sorted([*mine, "out"])


def test_a_temporary_folder_is_private_and_goes_however_its_process_ends(tmp_path, monkeypatch, dead):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    memory = tmp_path / "memory"
    monkeypatch.setattr(files, "_SHARED_MEMORY", memory)

    def interrupted():
        with temporary_folder() as folder:
            assert folder.stat().st_mode & 0o777 == 0o700
            (folder / "a").write_text("1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == []
    # Those of killed processes go with the next one, and so does the memory that these shared.
    left = [f"reidlab-{files._MACHINE}-{dead}-x", f"memory/sem.loky-{dead}-1", f"memory/torch_{dead}_12_3"]
    others = [
        f"reidlab-abcdef-{dead}-x",
        f"other-{files._MACHINE}-{dead}-x",
        "memory/sem.loky-1-1",
        f"memory/psm_{dead}",
    ]
    for name in (*left, *others):
        (tmp_path / name).mkdir(parents=True)
    clear_left_overs()
    assert [name for name in left if (tmp_path / name).exists()] == []
    assert [name for name in others if not (tmp_path / name).exists()] == []


def test_a_temporary_folder_that_cannot_be_made_is_said_in_one_line(tmp_path, monkeypatch):
    nowhere = tmp_path / "nowhere"
    with pytest.raises(StorageError, match=r"nowhere.*: No such file"), temporary_folder(place=nowhere):
        raise AssertionError("there is no folder")

    def none():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(StorageError, match=r"name one by TMPDIR"), temporary_folder():
        raise AssertionError("there is no folder")


def test_space_is_taken_at_once_or_refused(tmp_path, monkeypatch):
    path = tmp_path / "large"
    with path.open("wb") as file:
        reserve(file.fileno(), 4096, path)
        reserve(file.fileno(), 0, path)
    if hasattr(os, "posix_fallocate"):
        assert path.stat().st_size == 4096

    def full(*arguments):
        raise FULL

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with path.open("wb") as file, pytest.raises(StorageError, match="large: the disk is full"):
        reserve(file.fileno(), 4096, path)


def test_json_there_and_back_and_what_is_none(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"name": "Zürich", "values": [1, 2.5, None]})
    assert read_json(path) == {"name": "Zürich", "values": [1, 2.5, None]}
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"value": float("nan")})
    assert read_json(path)["name"] == "Zürich"
    bad = "cannot be read as JSON"
    for text, message in (("[1]", "expected a JSON object, found list"), ("{", bad), ("[" * 10**5, bad), ("", bad)):
        path.write_text(text)
        with pytest.raises(RunError, match=message):
            read_json(path)
    with pytest.raises(RunError, match=r"none\.json: not found"):
        read_json(tmp_path / "none.json")


def test_sizes_and_listings(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"123")
    (tmp_path / "y").write_bytes(b"4567")
    assert size_of(tmp_path) == 7
    before = listing_hash(tmp_path)
    (tmp_path / "y").write_bytes(b"7654")
    assert listing_hash(tmp_path) == before
    (tmp_path / "y").write_bytes(b"765")
    assert listing_hash(tmp_path) != before


def test_a_listing_takes_every_name_and_every_link(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"123")
    expected = hashlib.blake2b(b"a/x\x003\n", digest_size=16).hexdigest()
    assert listing_hash(tmp_path) == expected
    before = [listing_hash(tmp_path)]
    for make in (
        lambda: (tmp_path / os.fsdecode(b"\xff.jpg")).touch(),
        lambda: (tmp_path / "nowhere").symlink_to(tmp_path / "gone"),
        lambda: (tmp_path / "loop").symlink_to(tmp_path / "loop"),
    ):
        make()
        assert listing_hash(tmp_path) not in before
        before.append(listing_hash(tmp_path))


def test_a_lock_is_refused_or_waited_for(tmp_path):
    order = []

    def waits():
        with locked(tmp_path / "lock", wait=True):
            order.append("second")

    with locked(tmp_path / "lock"):
        with pytest.raises(RunError, match="it is busy"), locked(tmp_path / "lock", "it is busy"):
            raise AssertionError("two hold it")
        thread = threading.Thread(target=waits)
        thread.start()
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"), locked(tmp_path / "file" / "lock", wait=True):
        raise AssertionError("there is no lock")


def test_a_link_planted_under_a_drafts_name_is_not_written_through(tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "file.txt"
    victim.write_text("mine")
    with files.replacing(path) as draft:
        name = draft.name
        draft.write_text("first")
    (tmp_path / name).symlink_to(victim)
    files.write_text(path, "second")
    assert (victim.read_text(), path.read_text()) == ("mine", "second")
    path.unlink()
    path.symlink_to(victim)
    files.write_text(path, "third")
    assert (victim.read_text(), path.read_text(), path.is_symlink()) == ("mine", "third", False)
