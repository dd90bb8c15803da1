"""Weight files: what fits is loaded, what does not is named, and nothing in a file is run."""

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from reidlab.errors import DataError, MissingDataError
from reidlab.models import load_weights, resnet, save_weights


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


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_wrapped_state_dicts_are_found(tmp_path, key):
    source, target = small(), small()
    torch.save({key: source.state_dict(), "epoch": 3}, tmp_path / "run.pt")
    load_weights(target, tmp_path / "run.pt")
    assert same(source, target)


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


def test_code_in_a_file_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Payload(), protocol=2))
    torch.save({"x": Payload()}, tmp_path / "evil2.pth")
    for name in ("evil.pth", "evil2.pth"):
        with pytest.raises(DataError, match="not a readable weight file"):
            load_weights(small(), tmp_path / name)
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
    with pytest.raises(MissingDataError, match="no such weight file"):
        load_weights(small(), tmp_path / "none.pth")


def test_saved_weights_come_back_and_leave_no_draft(tmp_path):
    source, target = small().to(memory_format=torch.channels_last), small()
    path = save_weights(source, tmp_path / "deep" / "w.safetensors")
    load_weights(target, path)
    assert same(source, target)
    assert [p.name for p in path.parent.iterdir()] == ["w.safetensors"]


def test_saving_under_another_suffix_is_refused(tmp_path):
    with pytest.raises(DataError, match="safetensors"):
        save_weights(small(), tmp_path / "w.pth")
