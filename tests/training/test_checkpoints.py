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


def test_any_flipped_bit_is_noticed_or_changes_nothing(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for number in (1, 2):
        checkpoints.save(state(number, numbers=4))
    whole = checkpoints.last.read_bytes()
    fell_back = 0
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        checkpoints.last.write_bytes(bytes(damaged))
        found = checkpoints.load()
        assert found["iteration"] in (1, 2)
        assert torch.equal(found["model"]["w"], state(found["iteration"], numbers=4)["model"]["w"])
        fell_back += found["iteration"] == 1
    assert fell_back > 50


@pytest.mark.parametrize(
    "content",
    [
        {"format": 1, "iteration": 9},
        {"format": 1, "iteration": 9, "model": 3},
        {"format": 1, "iteration": 9, "model": {"w": "text"}},
        {"format": 2, "iteration": 9, "model": {}},
        {"format": [1], "model": {}},
        {},
        [1, 2],
        torch.zeros(3),
    ],
    ids=repr,
)
def test_a_state_that_lacks_what_a_run_needs_is_damaged_too(saved, content, caplog):
    def restore(found):
        model = torch.nn.ParameterDict({"w": torch.zeros(1000)})
        model.load_state_dict(found["model"])

    torch.save(content, saved.last)
    assert saved.load(restore)["iteration"] == 1
    assert "using checkpoint-previous.pt (iteration 1)" in caplog.text
    os.remove(saved.previous)
    with pytest.raises(DataError, match=r"checkpoint-last\.pt: .*start from the beginning"):
        saved.load(restore)


def test_an_error_of_ours_is_no_damage(saved):
    def refuse(found):
        raise ConfigError("of another run")

    with pytest.raises(ConfigError, match="of another run"):
        saved.load(refuse)


def test_a_damaged_file_never_takes_the_place_of_the_one_before(saved, monkeypatch):
    """Killed at any moment of the next save, the folder has a checkpoint that can be read."""
    cut_short(saved.last)
    again = Checkpoints(saved.folder)
    assert again.load()["iteration"] == 1
    replace = os.replace

    def killed(*names):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        again.save(state(2))
    assert Checkpoints(saved.folder).load()["iteration"] == 1
    monkeypatch.setattr("os.replace", replace)
    again.save(state(2))
    assert Checkpoints(saved.folder).load()["iteration"] == 2
    cut_short(saved.last)
    assert Checkpoints(saved.folder).load()["iteration"] == 1
    again.save(state(3))
    again.save(state(4))
    cut_short(saved.last)
    assert Checkpoints(saved.folder).load()["iteration"] == 3


def test_pipes_and_folders_under_a_checkpoints_name_are_not_waited_for(tmp_path, saved):
    os.remove(saved.last)
    os.mkfifo(saved.last)
    assert saved.load()["iteration"] == 1
    os.remove(saved.previous)
    saved.previous.mkdir()
    with pytest.raises(DataError, match=r"is a pipe, not a file; .*is a folder, not a file"):
        saved.load()


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
