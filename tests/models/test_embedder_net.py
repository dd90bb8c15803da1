"""An embedder that is trained further: its own features, halves of its map, a copy apart."""

import copy

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch.nn import functional

from reidlab.models import EmbedderNet, OSNet, read_onnx
from tests.models import onnx_graphs


@pytest.fixture
def graph(tmp_path):
    onnx.save(onnx_graphs.plain(), tmp_path / "embedder.onnx")
    return read_onnx(tmp_path / "embedder.onnx", trainable=True)


def test_retrieval_uses_the_embedders_own_features(graph):
    torch.manual_seed(0)
    for embedder, size in ((graph, onnx_graphs.SIZE), (OSNet(0.25, features=7), (64, 32)), (OSNet(0.25), (64, 32))):
        x = torch.randn(2, 3, *size)
        whole = embedder.eval()(x)
        expected = whole.embedding if embedder is graph else whole if whole.ndim == 2 else whole.mean(dim=(2, 3))
        found = EmbedderNet(embedder, 3).eval()(x)
        torch.testing.assert_close(found.embedding, expected)
        assert found.features is found.embedding
        assert found.logits.shape == (2, 3)


def test_halves_of_a_map_are_pooled_by_the_rest_of_the_graph(graph):
    """By numpy: the average of each half of the map, then the graph's linear layer and normalisation."""
    model = EmbedderNet(graph, 3).eval()
    held = {item.name: numpy_helper.to_array(item) for item in onnx_graphs.plain().graph.initializer}
    x = torch.randn(2, 3, *onnx_graphs.SIZE)
    stem = torch.from_numpy(held["stem.weight"].copy()), torch.from_numpy(held["stem.bias"].copy())
    maps = functional.conv2d(x, *stem, padding=1).relu().numpy()
    with torch.inference_mode():
        torch.testing.assert_close(model.backbone(x), torch.from_numpy(maps))
        for half in (slice(0, 8), slice(8, 16)):
            linear = maps[:, :, half].mean(axis=(2, 3)) @ held["fc.weight"].T + held["fc.bias"]
            spread = np.sqrt(held["bn.var"] + 1e-3)
            expected = (linear - held["bn.mean"]) / spread * held["bn.scale"] + held["bn.bias"]
            np.testing.assert_allclose(model.pool(model.backbone(x)[:, :, half]), expected, atol=1e-5)


def test_a_graph_without_a_last_average_has_a_map_of_one_place(tmp_path):
    nodes = [
        ("GlobalAveragePool", ["images"], "a", {}),
        ("Mul", ["images", "a"], "b", {}),  # a gate: the picture is needed after the average
        ("Flatten", ["b"], "c", {}),
        ("Gemm", ["c", "w"], "features", {}),
    ]
    held = {"w": onnx_graphs.weights(3 * 16 * 8, 5)}
    onnx.save(onnx_graphs.embedder(nodes, held), tmp_path / "flat.onnx")
    model = EmbedderNet(read_onnx(tmp_path / "flat.onnx", trainable=True), 3).eval()
    x = torch.randn(2, 3, 16, 8)
    assert not model.has_map
    assert model.backbone(x).shape == (2, 5, 1, 1)
    torch.testing.assert_close(model(x).embedding, model.embedder(x).embedding)
    assert model(x).embedding.requires_grad


def test_weights_are_trained_once_and_a_copy_is_apart(graph):
    model = EmbedderNet(graph, 3)
    apart = copy.deepcopy(model)
    assert len(list(model.parameters())) == len(list(graph.parameters())) + 3  # the neck's
    with torch.no_grad():
        for value in apart.embedder.parameters():
            value.zero_()
    x = torch.randn(2, 3, *onnx_graphs.SIZE)
    assert not apart.eval()(x).embedding.any()
    assert model.eval()(x).embedding.any()
