"""A network pruned to budgets: its files, its page, going on, what reads it again, and what is refused."""

import json
import re

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from reidlab.cli import main
from reidlab.data.readers import detect
from reidlab.errors import ConfigError, DataError
from reidlab.models import OSNet, ReIDNet, resnet, save_weights
from reidlab.models.vdsr import vdsr
from reidlab.pruning.caie import Settings
from reidlab.pruning.candidates import candidates
from reidlab.pruning.couplings import follow
from reidlab.pruning.latency import OnnxTimer
from reidlab.pruning.removal import removed
from reidlab.tools import prune
from reidlab.tools.embedder import read_embedder
from reidlab.tools.network import mobile_network, narrowed
from reidlab.tools.prune import load_pruned, prune_network, prune_to_budget
from reidlab.tools.starts import NETWORK, ONNX, keep_both, read_start
from reidlab.training.recipe import Backbone, Recipe
from tests.pruning.networks import network
from tests.tools import small_sets

RECIPE = Recipe((32, 16))
FEW = {"settings": Settings(ranking="caie-aimed", iterations=2), "minibatches": 1, "finetune": 1}
SHORT = ["--iterations", "2", "--minibatches", "1", "--finetune", "1"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Times by a formula: the networks' sizes."""
    monkeypatch.setattr(OnnxTimer, "together", lambda self, graphs, shape: [len(graph) / 1e6 for graph in graphs])


@pytest.fixture
def model():
    torch.manual_seed(0)
    return ReIDNet(resnet(18, width=16, blocks=(1, 1, 1, 1)), 4)


@pytest.fixture
def data():
    return [(torch.randn(4, 3, 32, 16), torch.arange(4)) for _ in range(3)]


@pytest.fixture
def weights(tmp_path):
    keep_both(RECIPE.network(3, 0), tmp_path, RECIPE.size)
    return tmp_path / NETWORK


@pytest.fixture
def folder(tmp_path):
    return small_sets.divided(tmp_path / "pictures")


def ran(path, inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: inputs.numpy()})[0]


def command(*words):
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return left.value.code


# --- any network ------------------------------------------------------------------------------------------------------


def test_files_of_a_pruned_network(model, data, tmp_path):
    lines = []
    made = prune_to_budget(
        model, data, tmp_path / "out", {"macs": 0.6, "params": 0.7}, minibatches=2, settings=Settings(step=40),
        say=lines.append,
    )  # fmt: skip
    assert min(made.result.overshoot.values()) >= 0
    pictures = torch.randn(3, 3, 32, 16)
    with torch.no_grad():
        expected = made.result.model.eval()(pictures)
        again = load_pruned(model, made.folder / NETWORK, (3, 32, 16)).eval()(pictures)
    np.testing.assert_allclose(ran(made.folder / ONNX, pictures), expected.embedding, atol=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(again, expected))
    trace = json.loads((made.folder / "trace.json").read_text())
    assert trace["limits"]["macs"]["now"] <= trace["limits"]["macs"]["limit"]
    assert trace["figures"]["params"] == [sum(p.numel() for p in m.parameters()) for m in (model, made.result.model)]
    assert len([line for line in lines if line.startswith("iteration ")]) == len(trace["iterations"])
    text = (made.folder / "report.html").read_text()
    assert "backbone.layer1.0.conv1" in text
    assert "milliseconds a picture" in text
    assert "http:" not in text and "https:" not in text and "<script" not in text  # noqa: PT018 - it needs nothing else
    with pytest.raises(ConfigError, match="is there already and not empty"):
        prune_to_budget(model, data, tmp_path / "out", {"macs": 0.6})
    again = prune_to_budget(
        model, data, tmp_path / "out", {"macs": 0.6, "params": 0.7}, minibatches=2, settings=Settings(step=40),
        resume=True,
    )  # fmt: skip
    assert again.result.trace == made.result.trace


def test_a_network_for_clips_is_exported_for_one_at_a_time(tmp_path):
    clips, example = network("c2d")
    lines = []
    made = prune_to_budget(
        clips, [(torch.randn_like(example), torch.arange(2))], tmp_path / "out", {"macs": 0.9}, minibatches=1,
        settings=Settings(step=40), say=lines.append,
    )  # fmt: skip
    assert any("it takes one sample at a time" in line for line in lines)
    with torch.no_grad():
        expected = made.result.model.eval()(example[:1]).embedding
    np.testing.assert_allclose(ran(made.folder / ONNX, example[:1]), expected, atol=1e-4)


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
    assert made.figures["milliseconds"][1] == made.result.limits["latency"][2]
    widths = [after for name, (_, after) in made.result.widths.items() if "classifier" not in name]
    assert all(width % 8 == 0 for width in widths)


def test_what_cannot_be_pruned_is_refused_before_the_work(model, data, tmp_path):
    with pytest.raises(ConfigError, match="budgets: macs: 2 is not allowed"):
        prune_to_budget(model, data, tmp_path / "out", {"macs": 2})
    with pytest.raises(DataError, match="data: there are no minibatches"):
        prune_to_budget(model, [], tmp_path / "out", {"macs": 0.5})
    assert not (tmp_path / "out").exists()


# --- what reads it again ----------------------------------------------------------------------------------------------


def thinned(model, size, seed=0):
    """The network without a third of its filters, drawn at random."""
    couplings = follow(model, torch.zeros(1, 3, *size))
    found = candidates(model, couplings, minimum=0.5)
    gone = np.random.default_rng(seed).permutation(found.labels)
    for labels, least in found.domains:
        own = np.isin(gone, labels)
        gone = gone[~own | (np.cumsum(own) <= (len(labels) - least) * 2 // 3)]
    return removed(model, couplings, found.removals(np.sort(gone)))


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (lambda: RECIPE.network(3, 0), (32, 16)),
        (lambda: mobile_network(0), (64, 32)),
        (lambda: OSNet(0.25, features=16), (64, 32)),
    ],
    ids=["own", "mobilenetv2", "osnet"],
)
def test_a_narrower_network_is_read_by_its_tensors_shapes(make, size, tmp_path):
    whole = make()
    smaller = thinned(whole, size).eval()
    assert sum(p.numel() for p in smaller.parameters()) < 0.8 * sum(p.numel() for p in whole.parameters())
    keep_both(smaller, tmp_path, size)
    found = read_embedder(tmp_path / NETWORK)
    pictures = torch.randn(2, 3, *size)
    with torch.no_grad():
        expected = smaller(pictures)
        expected = expected if isinstance(expected, torch.Tensor) else expected.embedding
        torch.testing.assert_close(found.model(pictures).embedding, expected)
    assert found.size == size
    np.testing.assert_allclose(ran(tmp_path / ONNX, pictures), expected, atol=1e-4)


def test_tensors_of_another_network_narrow_nothing(tmp_path):
    whole = RECIPE.network(2, 0)
    for other in (whole, Recipe(backbone=Backbone(width=24)).network(2, 0)):
        assert narrowed(whole, (3, 32, 16), other.state_dict()) is whole
    broken = {**whole.state_dict(), "backbone.layer1.0.conv1.weight": torch.zeros(5, 16, 3, 3)}  # its norm has 16
    path = save_weights(RECIPE.network(2, 0), tmp_path / "a.safetensors")
    from safetensors.torch import save_file

    save_file(broken, path)
    with pytest.raises(DataError, match=r"its tensors do not fit ReIDNet: .* of another shape"):
        read_embedder(path)


def test_by_command_a_network_is_pruned_scored_and_read_by_every_tool(weights, folder, tmp_path, capsys):
    words = ["--data", folder, "--macs", "0.6", "--params", "0.8", "--budget", "activations=0.9", *SHORT]
    assert not command("prune", weights, tmp_path / "out", *words), capsys.readouterr().err
    said = capsys.readouterr()
    assert "16 pictures of 4 people: the loss is cross-entropy plus triplets" in said.err
    for name in ("macs", "params", "milliseconds", "rank_1, market1501", "mAP, market1501"):
        assert re.search(rf"^{name}: [\d.,e+]+ -> ", said.out, re.MULTILINE)
    trace = json.loads((tmp_path / "out" / "trace.json").read_text())
    assert all(limit["now"] <= limit["limit"] for limit in trace["limits"].values())
    network = tmp_path / "out" / NETWORK
    features = read_embedder(network).model.backbone.layer1[0].conv1.out_channels
    assert features == trace["widths"]["backbone.layer1.0.conv1"][1]
    pictures = torch.randn(2, 3, *RECIPE.size)
    with torch.no_grad():
        expected = read_start(network).model.eval()(pictures).embedding
    np.testing.assert_allclose(ran(tmp_path / "out" / ONNX, pictures), expected, atol=1e-4)
    assert not command("evaluate", folder, "--weights", network, "--json")
    printed = json.loads(capsys.readouterr().out)
    assert printed["mAP"] == pytest.approx(trace["figures"]["mAP, market1501"][1])
    assert not command("prune", network, tmp_path / "more", "--data", folder, "--macs", "0.9", *SHORT)
    more = json.loads((tmp_path / "more" / "trace.json").read_text())
    assert more["figures"]["macs"][0] == trace["figures"]["macs"][1]


def test_a_classifier_begins_at_mean_features_at_a_scale_of_its_own():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat_interleave(6)
    for noise, sure in ((0.1, True), (30.0, False)):
        features = torch.eye(4).repeat(1, 3)[labels] + noise * torch.randn(24, 12, generator=generator)
        classifier = prune._class_means(features, labels, torch.full((12,), 0.5))
        rows = (features - features.mean(dim=0)) / features.std(dim=0) * 0.5
        loss = float(nn.functional.cross_entropy(rows @ classifier.T, labels))
        assert (loss < 0.01) if sure else (0.8 < loss < 1.5)  # ln 4 = 1.39


def test_pictures_without_identities_teach_by_the_networks_own_features(weights, folder, tmp_path):
    table = detect(folder).read(folder).assign(pid=-1)
    said = []
    made = prune_network(
        weights, table[table["split"] == "train"], tmp_path / "out", {"macs": 0.8}, **FEW, say=said.append
    )
    assert any("without identities: the loss is the distance to the network's own features" in line for line in said)
    assert set(made.figures) == {"macs", "params", "milliseconds"}
    assert 0 < made.result.trace[0]["loss"] < 2  # 1 - cos


def test_a_network_of_ones_own_is_made_by_a_function(folder, tmp_path, capsys):
    torch.manual_seed(0)
    whole = small_sets.own_network()
    torch.save(whole.state_dict(), tmp_path / "own.pth")
    words = ["--data", folder, "--params", "0.7", "--model", "tests.tools.small_sets:own_network", "--height", "32"]
    assert not command("prune", tmp_path / "own.pth", tmp_path / "out", *words, *SHORT), capsys.readouterr().err
    again = load_pruned(whole, tmp_path / "out" / NETWORK, (3, 32, 16)).eval()
    assert again[0].out_channels < 12
    pictures = torch.randn(2, 3, 32, 16)
    np.testing.assert_allclose(ran(tmp_path / "out" / ONNX, pictures), again(pictures).detach(), atol=1e-5)
    assert read_embedder(tmp_path / "out" / ONNX).size == (32, 16)


# --- stopped and resumed ----------------------------------------------------------------------------------------------


def test_a_stopped_run_goes_on_with_what_it_was_begun_with(weights, folder, tmp_path):
    table, out = detect(folder).read(folder), tmp_path / "out"

    def run(out, **options):
        return prune_network(weights, table, out, {"macs": 0.7}, **{**FEW, **options})

    def stop_at(start):
        def stop(line):
            if line.startswith(start):
                raise KeyboardInterrupt

        return stop

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(out, say=stop_at("16 pictures"))
    assert not out.exists()  # nothing was done
    with pytest.raises(KeyboardInterrupt):
        run(out, say=stop_at("iteration 0"))
    with pytest.raises(ConfigError, match="a run was begun there; go on with --resume"):
        run(out)
    for changes, words in (
        ({"seed": 1}, "begun with --seed 0, not with --seed 1"),
        ({"finetune": 2}, "begun with --finetune 1, not with --finetune 2"),
        ({"settings": Settings(iterations=3)}, "begun with --iterations 2, not with --iterations 3"),
    ):
        with pytest.raises(ConfigError, match=words):
            run(out, resume=True, **changes)
    with pytest.raises(ConfigError, match=r"begun with macs 0\.7, not with macs 0\.6"):
        prune_network(weights, table, out, {"macs": 0.6}, **FEW, resume=True)
    with pytest.raises(KeyboardInterrupt):
        run(out, resume=True, say=stop_at("fine-tuning"))
    made = run(out, resume=True)
    assert made.result.trace == whole.result.trace
    assert (out / NETWORK).read_bytes() == (tmp_path / "whole" / NETWORK).read_bytes()


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "budgets: there is none; give --macs, --params, --latency or --budget"),
        (["--macs", "0"], "budgets: macs: 0.0 is not allowed; expected a number > 0 and <= 1"),
        (["--latency", "1.5"], "budgets: latency: 1.5 is not allowed"),
        (["--budget", "weights=0.5"], "budgets: there is no resource called 'weights'; there is: macs, params"),
        (["--budget", "macs"], "--budget macs: expected RESOURCE=SHARE"),
        (["--macs", "0.5", "--params", "0.001"], "budgets: params 0.001 cannot be met; 0."),
        (["--macs", "0.5", "--minimum", "1"], "minimum: 1.0 is not allowed"),
        (["--macs", "0.5", "--lr", "0"], "--lr: 0.0 is not allowed"),
        (["--macs", "0.5", "--model", "nowhere:net"], "--model nowhere:net: cannot be made (ModuleNotFoundError"),
        (["--macs", "0.5", "--model", "json:dumps"], "--model json:dumps: cannot be made (TypeError"),
    ],
)  # fmt: skip
def test_bad_options_are_one_line_and_leave_nothing(weights, folder, tmp_path, capsys, words, message):
    assert command("prune", weights, tmp_path / "out", "--data", folder, *words) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ")
    assert message in lines[-1]
    assert not (tmp_path / "out").exists()


def test_bad_networks_and_sets_are_one_line_and_leave_nothing(weights, folder, tmp_path, monkeypatch):
    table = detect(folder).read(folder)
    monkeypatch.setattr(prune, "ImageCache", lambda *_, **__: pytest.fail("decoded before"))
    (tmp_path / "text.safetensors").write_text("no network")
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "other.pth")
    small_sets.embedder(tmp_path / "a.onnx")
    for name, kind, words in (
        ("text.safetensors", DataError, "not a readable weight file"),
        ("other.pth", DataError, "is no embedder that is known"),
        ("nowhere.pth", FileNotFoundError, "there is no such file"),
        ("a.onnx", ConfigError, "filters cannot be removed from an ONNX file; give the network.safetensors"),
    ):
        with pytest.raises(kind, match=words):
            prune_network(tmp_path / name, table, tmp_path / "out", {"macs": 0.5})
    with pytest.raises(DataError, match="0 pictures in its training part, and losses are measured on it"):
        prune_network(weights, table[table["split"] != "train"], tmp_path / "out", {"macs": 0.5})
    with pytest.raises(ConfigError, match="lies in the folder of the data set"):
        prune_network(weights, table, folder / "out", {"macs": 0.5}, root=folder)
    assert not (tmp_path / "out").exists()


def test_a_network_without_normalisation_is_told_which_gate_works(tmp_path):
    data = [(torch.randn(2, 1, 8, 8), torch.zeros(2))]
    words = r"VDSR has no batch normalisation .*gate='filter' \(--gate filter\).* sparsity and l1"
    with pytest.raises(ConfigError, match=words):
        prune_to_budget(vdsr(3, 6), data, tmp_path / "out", {"macs": 0.7})
    made = prune_to_budget(
        vdsr(3, 6), data, tmp_path / "filters", {"macs": 0.7}, minibatches=1, settings=Settings(gate="filter"),
        loss=lambda network, batch: nn.functional.mse_loss(network(batch[0]), batch[0]),
    )  # fmt: skip
    assert made.result.overshoot["macs"] >= 0
