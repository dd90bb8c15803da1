"""Files given as weights that are none: each is said in a user's words, with what to do."""

import zipfile

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from reidlab.errors import DataError
from reidlab.models import save_weights
from reidlab.tools.network import network_of
from reidlab.tools.starts import read_start
from reidlab.training.recipe import Backbone, Recipe
from tests.models import onnx_graphs

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def refusal(path, read=lambda path: network_of(path, Recipe(), 0)):
    with pytest.raises(DataError) as error:
        read(path)
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", ["a.onnx", "a.pth", "a.safetensors"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty; fetch"),
        (POINTER, "is a pointer of git-lfs, not the file; fetch the file with `git lfs pull`"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "is a JPEG picture, no weights; expected an ONNX embedder (.onnx)"),
        (b"\n<!DOCTYPE html>\n<html>quota exceeded</html>", "is a web page, no weights; expected an ONNX embedder"),
        (b'<?xml version="1.0"?>\n<net name="osnet">', "is a file of XML, as OpenVINO writes it, no weights; expected"),
    ],
)
def test_other_files_are_told_by_what_they_begin_with(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    assert refusal(tmp_path / name).startswith(words)


def test_weights_of_another_kind_or_cut_off(tmp_path):
    torch.save({"model": nn.Linear(2, 2)}, tmp_path / "whole.pth")
    save_weights(nn.Linear(2, 2), tmp_path / "net.safetensors")
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "state.pth")
    onnx.save(onnx_graphs.plain(), tmp_path / "graph.onnx")
    with zipfile.ZipFile(tmp_path / "packed.pth", "w") as archive:
        archive.writestr("net.pth", b"weights")
    for name, source in (("cut.safetensors", "net.safetensors"), ("cut.pth", "state.pth"), ("cut.onnx", "graph.onnx")):
        content = (tmp_path / source).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    (tmp_path / "state.onnx").write_bytes((tmp_path / "state.pth").read_bytes())
    (tmp_path / "net.onnx").write_bytes((tmp_path / "net.safetensors").read_bytes())
    (tmp_path / "graph.pth").write_bytes((tmp_path / "graph.onnx").read_bytes())
    for name, words in (
        ("whole.pth", "object of torch.nn.modules.linear.Linear, whose code would run when it is read; save tensors"),
        ("packed.pth", "not a readable weight file; expected an ONNX embedder"),
        ("cut.safetensors", "is cut off or damaged"),
        ("cut.pth", "is cut off or damaged"),
        ("cut.onnx", "is no ONNX file, or one that is cut off"),
        ("state.onnx", "a name that ends in .pth or .safetensors"),
        ("net.onnx", "a name that ends in .pth or .safetensors"),
        ("graph.pth", "is an ONNX file; give it a name that ends in .onnx"),
    ):
        assert words in refusal(tmp_path / name)


def test_graphs_that_are_no_embedder_are_said_without_another_programs_words(tmp_path):
    two, unknown = onnx_graphs.plain(), onnx_graphs.plain()
    two.graph.input.append(onnx.helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, ["batch", 1]))
    unknown.graph.node[0].op_type = "Fancy"
    flat = [("Flatten", ["images"], "a", {}), ("Gemm", ["a", "w"], "b", {})]
    held = {"w": onnx_graphs.weights(384, 5), "s": np.array([1, 5], np.int64)}
    one = onnx_graphs.embedder([*flat, ("Reshape", ["b", "s"], "features", {})], held)
    erf = onnx_graphs.embedder([*flat, ("Erf", ["b"], "features", {})], {"w": held["w"]})
    half = onnx_graphs.plain(kind=onnx.TensorProto.FLOAT16)
    for name, model, words in (
        ("two", two, "has 2 inputs and 1 output, expected one of each"),
        ("half", half, "is of type float16, expected float32; an embedder takes"),
        ("half", half, "; export it in float32"),
        ("unknown", unknown, "ONNX Runtime cannot read it (No Op registered for Fancy"),
        ("one", one, "cannot be reshaped to the requested shape. Input shape:{2,5}, requested shape:{1,5}); export"),
    ):
        text = refusal(onnx_graphs.write(model, tmp_path / f"{name}.onnx") and tmp_path / f"{name}.onnx")
        assert words in text
        assert "ONNXRuntimeError" not in text
        assert "/onnxruntime" not in text
    onnx.save(erf, tmp_path / "erf.onnx")
    assert "(Erf)" in (text := refusal(tmp_path / "erf.onnx", read_start))
    assert text.endswith("Give --start another embedder, its weights as a file of torchreid's OSNet, imagenet or world")


def test_a_network_for_large_pictures_keeps_their_size(tmp_path):
    recipe, said = Recipe(backbone=Backbone(width=8, blocks=(1, 1, 1, 1))), []
    path = save_weights(recipe.network(2, 0), tmp_path / "large.safetensors", {"size": "1024x512"})
    assert network_of(path, recipe, 0, said.append)[1].size == (1024, 512)
    assert said == [f"{path}: left out 1 tensor (neck.classifier.weight); its pictures are of 1024 x 512 pixels"]
