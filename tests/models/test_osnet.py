"""OSNet: names, sizes and costs that torchreid's files and the paper fix, and the forward pass of a published file."""

import pytest
import torch
from torch.nn import functional

from reidlab import paths
from reidlab.errors import ConfigError, DataError, MissingDataError
from reidlab.models import cost
from reidlab.models.osnet import OSNet, read_osnet


def torchreid_names():
    """Names of the weights of torchreid's OSNet, written down from its published files."""
    names = []

    def conv_bn(name, conv="conv"):
        names.extend([f"{name}.{conv}.weight", f"{name}.bn.weight", f"{name}.bn.bias"])

    def lite(name):
        names.append(f"{name}.conv1.weight")
        conv_bn(name, "conv2")

    conv_bn("conv1")
    for stage in (2, 3, 4):
        for block in (0, 1):
            where = f"conv{stage}.{block}"
            conv_bn(f"{where}.conv1")
            lite(f"{where}.conv2a")
            for stream, depth in (("b", 2), ("c", 3), ("d", 4)):
                for number in range(depth):
                    lite(f"{where}.conv2{stream}.{number}")
            names.extend(f"{where}.gate.{layer}.{part}" for layer in ("fc1", "fc2") for part in ("weight", "bias"))
            conv_bn(f"{where}.conv3")
            if block == 0:
                conv_bn(f"{where}.downsample")
        if stage < 4:
            conv_bn(f"conv{stage}.2.0")
    conv_bn("conv5")
    names.extend(f"{name}.{part}" for name in ("fc.0", "fc.1", "classifier") for part in ("weight", "bias"))
    return names


def test_names_are_torchreids():
    with torch.device("meta"):
        model = OSNet(1.0, features=512, num_classes=10)
    assert [name for name, _ in model.named_parameters()] == torchreid_names()


@pytest.mark.parametrize(
    ("width", "millions", "mmacs"), [(1.0, 2.2, 978.9), (0.75, 1.3, 571.8), (0.5, 0.6, 272.9), (0.25, 0.2, 82.3)]
)
def test_parameters_and_macs_are_the_papers(width, millions, mmacs):
    """The paper's table of model complexity, at 256 x 128."""
    with torch.device("meta"):
        found = cost(OSNet(width, features=512), (3, 256, 128))
    assert round(found.params() / 1e6, 1) == millions
    assert round(found.macs("conv", "linear") / 1e6, 1) == mmacs


def test_a_block_adds_gated_streams_and_its_shortcut():
    torch.manual_seed(0)
    block = OSNet(0.25).eval().conv3[1]
    for module in block.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    state, x = block.state_dict(), torch.randn(2, 96, 8, 4)

    def bn(x, name):
        mean, var, weight, bias = (
            state[f"{name}.{part}"][None, :, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    def lite(x, name):
        x = functional.conv2d(x, state[f"{name}.conv1.weight"])
        weight = state[f"{name}.conv2.weight"]
        padded = functional.pad(x, (1, 1, 1, 1))
        x = sum(
            padded[:, :, i : i + 8, j : j + 4] * weight[:, 0, i, j][None, :, None, None]
            for i in range(3)
            for j in range(3)
        )
        return bn(x, f"{name}.bn").relu()

    inner = bn(functional.conv2d(x, state["conv1.conv.weight"]), "conv1.bn").relu()
    total = 0
    for stream, depth in zip("abcd", (1, 2, 3, 4)):
        y = inner
        for number in range(depth):
            y = lite(y, "conv2a" if stream == "a" else f"conv2{stream}.{number}")
        seen = y.mean(dim=(2, 3))
        hidden = (seen @ state["gate.fc1.weight"][:, :, 0, 0].T + state["gate.fc1.bias"]).relu()
        gate = (hidden @ state["gate.fc2.weight"][:, :, 0, 0].T + state["gate.fc2.bias"]).sigmoid()
        total = total + y * gate[:, :, None, None]
    expected = (bn(functional.conv2d(total, state["conv3.conv.weight"]), "conv3.bn") + x).relu()
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("width", [0.25, 0.5])
def test_map_features_and_logits_have_the_shapes_promised(width):
    x = torch.zeros(2, 3, 64, 32)
    backbone = OSNet(width)
    assert backbone(x).shape == (2, backbone.out_channels, 64 // backbone.stride, 32 // backbone.stride)
    assert OSNet(width, features=7)(x).shape == (2, 7)
    assert OSNet(width, features=7, num_classes=3)(x).shape == (2, 3)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("width", [0.25, 0.5])
def test_a_file_of_torchreids_is_read_without_its_classifier(tmp_path, width, prefix):
    source = OSNet(width, features=512, num_classes=9).eval()
    state = {f"{prefix}{name}": value for name, value in source.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "osnet.pth")
    model = read_osnet(tmp_path / "osnet.pth").eval()
    x = torch.randn(2, 3, 64, 32)
    assert model.num_classes is None
    torch.testing.assert_close(source.classifier(model(x)), source(x))


def test_what_is_no_osnet_is_refused_in_one_line(tmp_path):
    state = OSNet(0.25, features=512).state_dict()
    cases = {
        "none": ({"a": torch.zeros(2)}, "no conv1.conv.weight; expected an OSNet"),
        "wide": ({"conv1.conv.weight": torch.zeros(20, 3, 7, 7)}, r"conv1.conv.weight \(20, 3, 7, 7\); expected"),
        "more": (state | {"extra": torch.zeros(1)}, r"do not fit OSNet: 1 unexpected \(extra\)"),
        "nan": (
            state | {"conv5.bn.bias": torch.full((128,), torch.nan)},
            "conv5.bn.bias holds a value that is not finite",
        ),
    }
    del state["conv4.1.gate.fc2.bias"]
    cases["less"] = (state, r"do not fit OSNet: 1 missing \(conv4.1.gate.fc2.bias\)")
    for name, (content, message) in cases.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(DataError, match=message) as error:
            read_osnet(tmp_path / name)
        assert str(tmp_path / name) in str(error.value)
    with pytest.raises(MissingDataError, match=r"no such (weight )?file"):
        read_osnet(tmp_path / "missing.pth")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0.3}, r"width: there is none called 0.3"),
        ({"features": 0}, "features: 0 .* at least 1, or None for a backbone"),
        ({"num_classes": 5}, "features: None, but a classifier needs them"),
        ({"features": 5, "num_classes": 0}, "num_classes: 0 .* at least 1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        OSNet(**arguments)


@pytest.mark.real_data
def test_a_published_files_weights_give_its_features():
    """The ONNX file's convolutions, in the order of its graph, are those of this class, the normalisations folded."""
    import onnx
    import onnxruntime

    found = [root / "embedder" for root in paths.data_roots() if (root / "embedder").is_dir()]
    if not found:
        pytest.skip("embedder is in no folder of REIDLAB_DATA")
    path = found[0] / "osnet_x0_25_msmt17.onnx"
    graph = onnx.load(path).graph
    held = {item.name: torch.from_numpy(onnx.numpy_helper.to_array(item).copy()) for item in graph.initializer}
    model = OSNet(0.25, features=512).eval()
    convolutions = {n.output[0].split("/Conv_output")[0]: n for n in graph.node if n.op_type == "Conv"}
    state = model.state_dict()
    for output, node in convolutions.items():
        parts = output.strip("/").split("/")
        if parts[-1].startswith("gate") or "gate" in parts:
            continue  # under its own name below
        name = ".".join([part for place, part in enumerate(parts) if not is_prefix(part, parts[place + 1 :])])
        state[f"{name}.weight"] = held[node.input[1]]
        if len(node.input) == 3:
            norm = name.rsplit(".", 1)[0] + ".bn"
            state[f"{norm}.bias"] = held[node.input[2]]
            state[f"{norm}.running_var"] = torch.full_like(held[node.input[2]], 1 - 1e-5)
    state |= {name: value for name, value in held.items() if name in state}
    model.load_state_dict(state)
    x = torch.randn((2, 3, 256, 128), generator=torch.Generator().manual_seed(1))
    expected = onnxruntime.InferenceSession(str(path)).run(None, {"images": x.numpy()})[0]
    torch.testing.assert_close(model(x).detach(), torch.from_numpy(expected), atol=1e-4, rtol=1e-4)


def is_prefix(part, after):
    """The graph repeats a module's path in its children's: /conv2/conv2.0/conv1/conv."""
    return bool(after) and after[0].startswith(f"{part}.")
