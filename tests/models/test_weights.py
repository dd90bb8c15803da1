"""Weight files: what fits is loaded, what does not is named, and nothing in a file is run."""

import os
import pickle
import stat
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from reidlab.errors import DataError, MissingDataError
from reidlab.models import ReIDNet, load_weights, resnet, save_weights
from reidlab.models.weights import read_notes


def small(num_classes=None, width=4):
    return resnet(18, width=width, blocks=(1, 1, 1, 1), num_classes=num_classes)


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a if name in b)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_with_a_classifier_fits_a_backbone(tmp_path, suffix):
    source, target = small(num_classes=10), small()
    path = tmp_path / f"imagenet{suffix}"
    if suffix == ".pth":
        torch.save(source.state_dict(), path)
    else:
        save_file(source.state_dict(), path)
    assert not same(source, target)
    load_weights(target, path)
    assert same(source, target)


def test_old_files_without_batch_counters_fit(tmp_path):
    source, target = small(), small()
    state = {n: v for n, v in source.state_dict().items() if not n.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.pth")
    load_weights(target, tmp_path / "old.pth")
    assert same(source, target)


def data_parallel(state):
    return {f"module.{name}": value for name, value in state.items()}


#: How programs save a network, and what is said about each.
HABITS = {
    "plain": (dict, []),
    "data parallel": (data_parallel, ["stripped 'module.'"]),
    "compiled": (lambda state: {f"_orig_mod.{n}": v for n, v in state.items()}, ["stripped '_orig_mod.'"]),
    "state_dict": (lambda state: {"state_dict": data_parallel(state), "epoch": 60, "rank1": 0.9}, ["read its 'state"]),
    "model": (lambda state: {"model": state, "epoch": 3}, ["read its 'model'"]),
    "model_state_dict": (
        lambda state: {"model_state_dict": {f"backbone.{n}": v for n, v in state.items()}},
        ["read its 'model_state_dict'", "stripped 'backbone.'"],
    ),
    "two deep": (lambda state: {"model": {"state_dict": data_parallel(state)}}, ["read its 'model'", "stripped"]),
    "a classifier of its own": (
        lambda state: {"net": {**state, "classifier.weight": torch.zeros(7, 4), "classifier.bias": torch.zeros(7)}},
        ["left out 2 tensors (classifier.weight, classifier.bias)"],
    ),
    "a score of numpy's": (
        lambda state: {
            "state_dict": OrderedDict(data_parallel(state)), "rank1": np.float64(0.9), "mAP": np.float32(0.8),
            "optimizer": {"state": {0: {"step": 3}}, "param_groups": [{"lr": 0.1}]},
            "scheduler": {"milestones": Counter([20, 40])}, "curve": np.arange(3),
        },
        ["read its 'state_dict'", "stripped 'module.'"],
    ),
    "numbers beside the tensors": (lambda state: {**state, "epoch": 3}, ["left out what is no tensor (epoch)"]),
    "half precision": (lambda state: {n: v.half() if v.is_floating_point() else v for n, v in state.items()}, []),
    "old format": (dict, []),
}  # fmt: skip


@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize("name", ["w.pth", "model.pth.tar-60", "w.safetensors"])
def test_a_network_loads_equal_however_it_was_saved(tmp_path, habit, name):
    source, target = small(), small()
    for value in source.state_dict().values():
        value.copy_(value.half() if value.is_floating_point() else value)  # exact in half precision too
    wrap, notes = HABITS[habit]
    torch.save(wrap(source.state_dict()), tmp_path / name, _use_new_zipfile_serialization=habit != "old format")
    found = load_weights(target, tmp_path / name)
    assert same(source, target)
    assert len(found) >= len(notes)
    for note in notes:
        assert any(line.startswith(note) for line in found), found
    assert bool(found) == bool(notes)


def test_safetensors_are_found_by_their_content(tmp_path):
    source, target = small(), small()
    save_file(data_parallel(source.state_dict()), tmp_path / "weights.bin")
    assert load_weights(target, tmp_path / "weights.bin") == ["stripped 'module.' from its names"]
    assert same(source, target)


def test_a_part_of_a_larger_network_is_found_and_the_rest_said(tmp_path):
    whole, target = ReIDNet(small(), 7), small()
    path = save_weights(whole, tmp_path / "whole.safetensors")
    notes = load_weights(target, path)
    assert same(whole.backbone, target)
    assert notes[0] == "stripped 'backbone.' from its names"
    assert notes[1].startswith("left out 6 tensors (neck.")
    state = {f"{name}.{key}": value for name in ("teacher", "student") for key, value in target.state_dict().items()}
    torch.save(state, tmp_path / "two.pth")
    with pytest.raises(DataError, match=r"holds such a network 2 times, under (student|teacher)\., .*keep one"):
        load_weights(target, tmp_path / "two.pth")


def test_what_fits_nothing_says_the_first_names_of_both_sides(tmp_path):
    torch.save({f"features.{n}.\x1b[31mweight": torch.zeros(2) for n in range(9)}, tmp_path / "vgg.pth")
    with pytest.raises(DataError, match="None of its names fits") as error:
        load_weights(small(), tmp_path / "vgg.pth")
    assert "it begins with features.0." in str(error.value)
    assert "expected conv1.weight, bn1.weight" in str(error.value)
    assert "\x1b" not in str(error.value)


def test_values_that_are_not_finite_are_refused(tmp_path):
    source, target = small(), small()
    source.layer1[0].conv1.weight.data[0, 0] = float("nan")
    torch.save(source.state_dict(), tmp_path / "w.pth")
    with pytest.raises(DataError, match=r"layer1\.0\.conv1\.weight holds a value that is not finite"):
        load_weights(target, tmp_path / "w.pth")
    assert not same(source, target)


def test_pipes_devices_and_folders_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    for path, what in ((tmp_path / "pipe.pth", "a pipe"), ("/dev/zero", "a device"), (tmp_path, "a folder")):
        with pytest.raises(DataError, match=f"is {what}, not a file"):
            load_weights(small(), path)


def test_missing_unexpected_and_misshaped_tensors_are_named_and_nothing_is_loaded(tmp_path):
    state = small().state_dict()
    del state["layer1.0.conv2.weight"]
    state["attention.weight"] = torch.zeros(3)
    state["bn1.bias"] = torch.zeros(9)
    torch.save(state, tmp_path / "w.pth")
    target = small()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(DataError) as error:
        load_weights(target, tmp_path / "w.pth")
    message = str(error.value)
    assert "1 missing (layer1.0.conv2.weight)" in message
    assert "1 unexpected (attention.weight)" in message
    assert "1 of another shape (bn1.bias (9,) instead of (4,))" in message
    assert str(tmp_path / "w.pth") in message
    assert all(torch.equal(before[name], value) for name, value in target.state_dict().items())


def test_weights_of_another_width_give_a_short_message(tmp_path):
    torch.save(small(width=8).state_dict(), tmp_path / "wide.pth")
    with pytest.raises(DataError, match=r"of another shape \(.* and \d+ more\)") as error:
        load_weights(small(), tmp_path / "wide.pth")
    assert len(str(error.value)) < 600


class Payload:
    def __reduce__(self):
        return os.mkdir, ("run-by-the-file",)


@pytest.mark.filterwarnings("error")
def test_code_in_a_file_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Payload(), protocol=2))
    torch.save({"x": Payload()}, tmp_path / "evil2.pth")
    torch.save({"state_dict": small().state_dict(), "x": Payload()}, tmp_path / "evil3.pth")
    (tmp_path / "evil4.pth").write_bytes(pickle.dumps(Payload(), protocol=4))  # torch's warning says nothing to a user
    for name in ("evil.pth", "evil2.pth", "evil3.pth", "evil4.pth"):
        with pytest.raises(DataError, match="not a readable weight file") as error:
            load_weights(small(), tmp_path / name)
        assert "it holds more than tensors and numbers" in str(error.value) or name == "evil.pth"
        assert "can still be loaded" not in str(error.value)  # torch's advice is to trust the file
        assert str(error.value).isprintable()
    assert not (tmp_path / "run-by-the-file").exists()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 cut short"])
def test_damaged_files_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        load_weights(small(), tmp_path / name)


def test_a_file_of_something_else_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(DataError, match="holds list, expected a dictionary from names to tensors"):
        load_weights(small(), tmp_path / "list.pth")


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(MissingDataError, match="there is no such file"):
        load_weights(small(), tmp_path / "none.pth")


def test_saved_weights_come_back_and_leave_no_draft(tmp_path):
    source, target = small().to(memory_format=torch.channels_last), small()
    path = save_weights(source, tmp_path / "deep" / "w.safetensors")
    load_weights(target, path)
    assert same(source, target)
    assert [p.name for p in path.parent.iterdir()] == ["w.safetensors"]


def test_a_written_file_may_be_read_by_whom_the_user_lets_and_keeps_notes(tmp_path):
    before = os.umask(0o027)
    try:
        path = save_weights(small(), tmp_path / "w.safetensors", {"size": "64x32"})
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert read_notes(path) == {"size": "64x32"}
    torch.save(small().state_dict(), tmp_path / "w.pth")
    assert read_notes(tmp_path / "w.pth") == {}


def test_saving_under_another_suffix_is_refused(tmp_path):
    with pytest.raises(DataError, match="safetensors"):
        save_weights(small(), tmp_path / "w.pth")
