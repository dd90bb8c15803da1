"""Checkpoints that were cut short, damaged, or hit a full disk."""

import os
import pickle
import resource

import pytest
import torch

from reidlab.errors import ConfigError, DataError, RunError
from reidlab.training.checkpoints import Checkpoints, check_same_run


def state(iteration, numbers=1000):
    return {
        "iteration": iteration,
        "model": {"w": torch.full((numbers,), float(iteration))},
        "text": ["a", {"b": None}],
    }


@pytest.fixture
def saved(tmp_path):
    checkpoints = Checkpoints(tmp_path / "run")
    checkpoints.save(state(1))
    checkpoints.save(state(2))
    return checkpoints


def test_last_and_previous_are_kept_and_nothing_else(saved):
    saved.save(state(3))
    assert sorted(p.name for p in saved.folder.iterdir()) == ["checkpoint-last.pt", "checkpoint-previous.pt"]
    assert saved.load()["iteration"] == 3
    os.remove(saved.last)
    assert saved.load()["iteration"] == 2


def test_what_is_saved_comes_back(saved):
    found = saved.load()
    assert torch.equal(found["model"]["w"], state(2)["model"]["w"])
    assert found["text"] == ["a", {"b": None}]


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    assert Checkpoints(tmp_path / "none").load() is None


def cut_short(path):
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[data.index(torch.full((8,), 2.0).numpy().tobytes()) + 400] ^= 1
    path.write_bytes(bytes(data))


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut_short, flip_a_bit, empty])
def test_a_damaged_last_checkpoint_falls_back_to_the_previous(saved, damage, caplog):
    damage(saved.last)
    assert saved.load()["iteration"] == 1
    assert "checkpoint-last.pt: the checkpoint is damaged or cut short" in caplog.text
    assert "using checkpoint-previous.pt (iteration 1)" in caplog.text


def test_a_state_says_its_place_by_another_name(tmp_path, caplog):
    checkpoints = Checkpoints(tmp_path, "round")
    for number in (1, 2):
        checkpoints.save({"round": number, "model": {}})
    cut_short(checkpoints.last)
    assert checkpoints.load()["round"] == 1
    assert "using checkpoint-previous.pt (round 1)" in caplog.text
    checkpoints.save({"model": {}})
    checkpoints.save({"model": {}})
    cut_short(checkpoints.last)
    assert checkpoints.load()["model"] == {}
    assert "(round unknown)" in caplog.text


def test_with_both_damaged_the_error_names_both(saved):
    cut_short(saved.last)
    empty(saved.previous)
    with pytest.raises(DataError, match=r"checkpoint-last\.pt.*checkpoint-previous\.pt.*start from the beginning"):
        saved.load()


def test_a_file_that_is_no_checkpoint_is_refused(saved):
    torch.save({"weights": torch.zeros(3)}, saved.last)
    os.remove(saved.previous)
    with pytest.raises(DataError, match="not a checkpoint of this version"):
        saved.load()


class Payload:
    def __reduce__(self):
        return os.mkdir, ("run-by-the-file",)


def test_code_in_a_checkpoint_is_not_run(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 1, "iteration": 9, "x": Payload()}, saved.last)
    assert saved.load()["iteration"] == 1
    saved.last.write_bytes(pickle.dumps(Payload(), protocol=2))
    assert saved.load()["iteration"] == 1
    assert not (tmp_path / "run-by-the-file").exists()


def test_a_disk_that_fills_up_leaves_the_earlier_checkpoints_intact(saved):
    # A file-size limit makes the operating system refuse the write part-way, as a full disk does.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(RunError, match=r"could not be written .* earlier checkpoints are intact"):
            saved.save(state(3, numbers=1_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(p.name for p in saved.folder.iterdir()) == ["checkpoint-last.pt", "checkpoint-previous.pt"]
    assert saved.load()["iteration"] == 2


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"could not be written .* there is no earlier one"):
        Checkpoints(tmp_path / "file").save(state(1))


def test_fields_that_differ_are_named_with_both_values(tmp_path):
    with pytest.raises(
        ConfigError, match=r"differs in lr \(checkpoint 0.1, now 0.2\), seed \(checkpoint None, now 3\)\. "
    ):
        check_same_run({"lr": 0.1, "p": 4}, {"lr": 0.2, "p": 4, "seed": 3}, tmp_path)
