"""The latency table on a machine whose times are a formula."""

import numpy as np
import pytest
import torch
from torch import nn

from reidlab.errors import ConfigError, RunError
from reidlab.models.narrow_resnet import CifarResNet, cifar_stages
from reidlab.pruning import latency
from reidlab.pruning.candidates import candidates
from reidlab.pruning.couplings import follow
from reidlab.pruning.latency import OnnxTimer, grid, isotonic, latency_of, onnx_bytes, table_of
from reidlab.pruning.removal import removed
from reidlab.pruning.resources import Layers
from tests.pruning.networks import network


@pytest.fixture(scope="module")
def layers():
    torch.manual_seed(0)
    model = CifarResNet(32, cifar_stages(8, 32), num_classes=5)
    found = candidates(model, follow(model, torch.zeros(1, 3, 8, 8)))
    return Layers(model, found, (3, 8, 8)), found


class Formula:
    """Layers take inputs * outputs microseconds a place, networks half a millisecond more than 0.8 times that."""

    def __init__(self):
        self.asked = []

    def layer(self, shape, inputs, outputs):
        self.asked.append((shape, inputs, outputs))
        return inputs * outputs * np.prod(shape.places) / 1000

    def network(self, model, input_shape):
        return self.taken


def timer(taken):
    made = Formula()
    made.taken = taken
    return made


def test_times_on_and_between_the_widths_of_the_grid(layers):
    layers, _ = layers
    clock = timer(1.0)
    table = table_of(layers, clock, chunk=8)
    shapes = {shape for shape, _, _ in clock.asked}
    assert len(shapes) < len(table.grids)  # like layers are timed once
    assert table.points == len(clock.asked)
    row = next(r for r, layer in enumerate(layers.layers) if layer.name == "layer1.0.conv1")
    got = table.time(row, np.array([32.0, 20, 12, 3]), np.array([32.0, 24, 12, 32]))
    np.testing.assert_allclose(got, [64 * 32 * 32 / 1e3, 64 * 20 * 24 / 1e3, 64 * 12 * 12 / 1e3, 64 * 8 * 32 / 1e3])


def test_a_measurement_of_the_whole_takes_the_bias_out_and_impacts_have_a_floor(layers):
    layers, _ = layers
    item = latency_of(layers, timer(7.0), chunk=8)
    whole = layers.whole
    assert item.total(whole.counts) == pytest.approx(7.0)
    tabled, _ = item.measured[0]
    assert item.ratio == pytest.approx(7.0 / tabled)
    fewer = whole.without([0, 1, 2])
    before = item.total(fewer)
    item.timer.taken = 6.5
    assert item.calibrate(layers.model, fewer) == 6.5
    assert item.total(fewer) == pytest.approx(6.5) != before
    impact = item.impact(whole, 0.5 * item.total(whole.counts))
    assert impact.objective == pytest.approx(0.5)
    expected = (item.total(whole.counts) - item.total(whole.without([40]))) / item.total(whole.counts)
    assert impact.shares[40] == pytest.approx(expected)
    flat = latency_of(layers, timer(7.0), chunk=8)
    flat.table.grids = {row: (i, o, np.ones_like(t)) for row, (i, o, t) in flat.table.grids.items()}
    assert flat.impact(whole, 0).shares.min() > 0


def test_isotonic_times_never_fall_and_stay_near():
    noisy = np.add.outer(np.arange(5.0), np.arange(6.0)) + np.random.default_rng(0).normal(0, 0.8, (5, 6))
    found = isotonic(noisy)
    assert all((np.diff(found, axis=axis) >= 0).all() for axis in (0, 1))
    assert np.abs(found - noisy).max() < 2.5
    clean = np.add.outer(np.arange(5.0), np.arange(6.0))
    np.testing.assert_allclose(isotonic(clean), clean)


@pytest.mark.parametrize(("width", "chunk", "expected"), [(3, 16, [3]), (40, 16, [16, 32, 40]), (16, 8, [8, 16])])
def test_widths_of_a_grid(width, chunk, expected):
    assert grid(width, chunk, 6, 0.1) == expected


def test_tables_are_kept_and_a_stopped_one_goes_on(layers, tmp_path, monkeypatch):
    layers, _ = layers
    calls = []

    def layer(self, shape, inputs, outputs):
        if len(calls) == 12:
            raise KeyboardInterrupt
        calls.append(1)
        return float(inputs * outputs)

    monkeypatch.setattr(OnnxTimer, "layer", layer)
    with pytest.raises(KeyboardInterrupt):
        table_of(layers, chunk=8, folder=tmp_path)
    calls.extend([2] * 2)
    first = table_of(layers, chunk=8, folder=tmp_path)
    assert first.points > 0
    again = table_of(layers, chunk=8, folder=tmp_path)
    assert again.points == 0
    assert all((a[2] == b[2]).all() for a, b in zip(first.grids.values(), again.grids.values()))
    first.file.write_text("{")  # what is broken is measured again
    assert table_of(layers, chunk=8, folder=tmp_path).points > first.points
    assert table_of(layers, OnnxTimer(threads=2), chunk=8, folder=tmp_path).points > 0
    assert latency.machine()["cores"] >= 1


def test_a_small_network_is_really_timed_and_its_onnx_file_agrees(tmp_path):
    import onnxruntime

    for name in ("mobilenet22", "nvan-spatial"):
        model, batch = network(name)
        found = candidates(model, follow(model, batch[:1]))
        layers = Layers(model, found, batch.shape[1:])
        smaller = removed(model, found.couplings, found.removals(found.labels[:3]))
        session = onnxruntime.InferenceSession(onnx_bytes(smaller, batch.shape[1:]), providers=["CPUExecutionProvider"])
        with torch.no_grad():
            expected = smaller(batch[:1])
        expected = expected if isinstance(expected, torch.Tensor) else expected.embedding
        got = session.run(None, {"input": batch[:1].numpy()})[0]
        np.testing.assert_allclose(got, expected.numpy(), atol=1e-4)
        if name == "mobilenet22":
            item = latency_of(layers, OnnxTimer(seconds=0, least=1), most=2, folder=tmp_path)
            assert item.table.points > 10
            assert item.total(layers.whole.counts) > 0


def test_what_cannot_be_timed_is_refused(layers):
    layers, _ = layers
    with pytest.raises(ConfigError, match="chunk: 0 is not allowed"):
        table_of(layers, timer(1.0), chunk=0)
    with pytest.raises(RunError, match="latency: the network's time is nan"):
        latency_of(layers, timer(float("nan")))
    transposed = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 2, 2))
    found = candidates(transposed, follow(transposed, torch.zeros(1, 3, 4, 4)))
    with pytest.raises(ConfigError, match="2: the time of a ConvTranspose2d like this cannot be tabled"):
        table_of(Layers(transposed, found, (3, 4, 4)), timer(1.0))


def test_networks_that_run_in_turn_are_told_apart_and_the_first_time_is_the_measure(layers, monkeypatch):
    layers, found = layers
    smaller = removed(layers.model, found.couplings, found.removals(found.labels[::2]))
    graphs = [onnx_bytes(model, (3, 8, 8)) for model in (layers.model, smaller)]
    assert all(taken > 0 for taken in OnnxTimer(seconds=0.0001).together(graphs, (3, 8, 8)))
    clock = OnnxTimer()
    monkeypatch.setattr(OnnxTimer, "layer", lambda self, shape, i, o: i * o / 1e4)
    monkeypatch.setattr(OnnxTimer, "network", lambda self, model, shape: 4.0)
    monkeypatch.setattr(OnnxTimer, "together", lambda self, graphs, shape: [8.0, 6.0])  # a busier machine than before
    item = latency_of(layers, clock, chunk=8)
    assert item.calibrate(smaller, layers.whole.without(range(10))) == 3.0
