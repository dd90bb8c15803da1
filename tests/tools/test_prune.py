"""A network pruned to budgets: its files, its page, and going on."""

import json

import numpy as np
import onnxruntime
import pytest
import torch

from reidlab.errors import ConfigError, DataError
from reidlab.models import ReIDNet, resnet
from reidlab.pruning.caie import Settings
from reidlab.tools.prune import prune_to_budget


@pytest.fixture
def model():
    torch.manual_seed(0)
    return ReIDNet(resnet(18, width=16, blocks=(1, 1, 1, 1)), 4)


@pytest.fixture
def data():
    return [(torch.randn(4, 3, 32, 16), torch.arange(4)) for _ in range(3)]


def test_files_of_a_pruned_network(model, data, tmp_path):
    lines = []
    made = prune_to_budget(
        model, data, tmp_path / "out", {"macs": 0.6, "params": 0.7}, minibatches=2, settings=Settings(step=40),
        say=lines.append,
    )  # fmt: skip
    assert min(made.result.overshoot.values()) >= 0
    session = onnxruntime.InferenceSession(made.folder / "network.onnx", providers=["CPUExecutionProvider"])
    pictures = torch.randn(1, 3, 32, 16)
    with torch.no_grad():
        expected = made.result.model.eval()(pictures).embedding
    np.testing.assert_allclose(session.run(None, {"input": pictures.numpy()})[0], expected, atol=1e-4)
    trace = json.loads((made.folder / "trace.json").read_text())
    assert trace["limits"]["macs"]["now"] <= trace["limits"]["macs"]["limit"]
    assert len(lines) == len(trace["iterations"])
    text = (made.folder / "report.html").read_text()
    assert "backbone.layer1.0.conv1" in text
    assert "http" not in text and "<script" not in text  # noqa: PT018 - it needs nothing else
    with pytest.raises(ConfigError, match="is there already and not empty"):
        prune_to_budget(model, data, tmp_path / "out", {"macs": 0.6})
    again = prune_to_budget(
        model, data, tmp_path / "out", {"macs": 0.6, "params": 0.7}, minibatches=2, settings=Settings(step=40),
        resume=True,
    )  # fmt: skip
    assert again.result.trace == made.result.trace


class Clock:
    """A millisecond for every 100 weights."""

    def layer(self, shape, inputs, outputs):
        return inputs * outputs / 100

    def network(self, model, input_shape):
        return sum(p.numel() for p in model.parameters()) / 100


def test_a_latency_is_met_by_widths_in_chunks(model, data, tmp_path):
    made = prune_to_budget(model, data, tmp_path / "out", {"latency": 0.7}, minibatches=1, timer=Clock())
    assert (
        made.result.limits["latency"][2] == Clock().network(made.result.model, ()) <= made.result.limits["latency"][1]
    )
    widths = [after for name, (_, after) in made.result.widths.items() if "classifier" not in name]
    assert all(width % 8 == 0 for width in widths)


def test_what_cannot_be_pruned_is_refused_before_the_work(model, data, tmp_path):
    with pytest.raises(ConfigError, match="budgets: macs: 2 is not allowed"):
        prune_to_budget(model, data, tmp_path / "out", {"macs": 2})
    with pytest.raises(DataError, match="data: there are no minibatches"):
        prune_to_budget(model, [], tmp_path / "out", {"macs": 0.5})
    assert not (tmp_path / "out").exists()
