"""ONNX embedders: equal to ONNX Runtime, trainable, written back; what is no embedder is refused in one line."""

import copy
import os

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from reidlab import paths
from reidlab.errors import ConfigError, DataError, MissingDataError
from reidlab.models.onnx_embedder import OnnxEmbedder, OnnxFeatures, read_onnx
from tests.models.onnx_graphs import SIZE, every_operator, plain, write

GRAPHS = {"plain": plain, "every operator": every_operator}


def by_runtime(path, images):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images.numpy()})[0]


def pictures(count=3, size=SIZE):
    return torch.randn((count, 3, *size), generator=torch.Generator().manual_seed(5))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "embedder.onnx"


@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.parametrize("graph", GRAPHS)
def test_features_are_onnx_runtimes(path, graph, trainable):
    write(GRAPHS[graph](), path)
    model = read_onnx(path, trainable).eval()
    assert (model.size, model.width) == (SIZE, 5)
    found = model(pictures()).embedding.detach().numpy()
    np.testing.assert_allclose(found, by_runtime(path, pictures()), atol=1e-5)


def test_all_operators_that_can_be_trained_are_tried():
    from reidlab.models.onnx_embedder import _OPERATORS

    assert {node.op_type for node in every_operator().graph.node} == set(_OPERATORS)


def test_weights_are_parameters_and_limits_and_statistics_are_not(path):
    model = read_onnx(write(every_operator(), path), trainable=True)
    shapes = sorted(tuple(p.shape) for p in model.parameters())
    expected = [(4, 3, 3, 3), (4,), (4,), (4,), (4, 1, 3, 3), (1, 4, 1, 1), (4, 6), (6, 5), (5,)]
    assert shapes == sorted(expected)
    assert len(model.state_dict()) == len(expected) + 2  # mean and variance


@pytest.mark.parametrize("graph", GRAPHS)
def test_every_weight_gets_the_gradient_of_finite_differences(path, graph):
    model = read_onnx(write(GRAPHS[graph](), path), trainable=True).double().eval()
    x = pictures().double()

    def value():
        return model(x).embedding.square().sum()

    value().backward()
    for name, p in model.named_parameters():
        flat, step = p.data.view(-1), 1e-6
        flat[0] += step
        up = value().item()
        flat[0] -= 2 * step
        down = value().item()
        flat[0] += step
        assert float(p.grad.view(-1)[0]) == pytest.approx((up - down) / (2 * step), rel=1e-3, abs=1e-6), name


def test_a_batch_normalisation_that_is_left_trains_as_torchs(path):
    model = read_onnx(write(plain(), path), trainable=True).train()
    held = {item.name: torch.from_numpy(onnx.numpy_helper.to_array(item).copy()) for item in plain().graph.initializer}
    norm = torch.nn.BatchNorm1d(5, eps=1e-3)
    norm.load_state_dict(
        {"weight": held["bn.scale"], "bias": held["bn.bias"], "running_mean": held["bn.mean"]}
        | {"running_var": held["bn.var"], "num_batches_tracked": torch.tensor(0)}
    )
    x = pictures(8)
    maps = torch.nn.functional.conv2d(x, held["stem.weight"], held["stem.bias"], padding=1).relu()
    expected = norm(maps.mean(dim=(2, 3)) @ held["fc.weight"].T + held["fc.bias"])
    torch.testing.assert_close(model(x).embedding, expected)
    moved = {name: value for name, value in model.named_buffers() if "bn" in name}
    torch.testing.assert_close(next(v for n, v in moved.items() if "mean" in n), norm.running_mean)
    torch.testing.assert_close(next(v for n, v in moved.items() if "var" in n), norm.running_var)


def test_a_trained_embedder_is_written_back_and_read_again(path, tmp_path):
    model = read_onnx(write(every_operator(), path), trainable=True).train()
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(2):
        optimiser.zero_grad()
        model(pictures(6)).embedding.square().sum().backward()
        optimiser.step()
    model.eval()
    found = model(pictures()).embedding.detach().numpy()
    assert np.abs(found - by_runtime(path, pictures())).max() > 1e-3
    out = model.save(tmp_path / "deep" / "trained.onnx")
    onnx.checker.check_model(onnx.load(out), full_check=True)
    np.testing.assert_allclose(by_runtime(out, pictures()), found, atol=1e-5)
    again = read_onnx(out, trainable=True)
    assert all(torch.equal(again.state_dict()[name], value) for name, value in model.state_dict().items())
    assert [item.name for item in out.parent.iterdir()] == ["trained.onnx"]


def test_an_untouched_embedder_is_written_as_it_was_read(path, tmp_path):
    model = read_onnx(write(plain(), path), trainable=True)
    assert onnx.load(model.save(tmp_path / "same.onnx")) == onnx.load(path)
    with pytest.raises(ConfigError, match=r"choose a name that ends in \.onnx"):
        model.save(tmp_path / "same.pt")


def test_a_copy_is_apart(path):
    model = read_onnx(write(plain(), path), trainable=True).eval()
    other = copy.deepcopy(model)
    with torch.no_grad():
        next(other.parameters()).add_(1)
    assert not torch.equal(model(pictures()).embedding, other(pictures()).embedding)


def softmax():
    model = plain()
    model.graph.node[-1].CopyFrom(helper.make_node("Softmax", ["e"], ["features"]))
    return model


def test_operators_that_cannot_be_trained_give_features_only(path):
    write(softmax(), path)
    model = read_onnx(path)
    assert isinstance(model, OnnxFeatures)
    assert model.untrainable == ["Softmax"]
    np.testing.assert_array_equal(model(pictures()).embedding.numpy(), by_runtime(path, pictures()))
    with pytest.raises(DataError, match=r"embedder\.onnx: has operators that cannot be trained here \(Softmax\)"):
        read_onnx(path, trainable=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 1}, r"its batch is fixed at 1; export it with a batch of any size"),
        ({"shape": (1, *SIZE)}, r"its input 'images' is \? x 1 x 16 x 8; an embedder takes N x 3 x H x W"),
        ({"shape": (3, "h", "w")}, r"is \? x 3 x \? x \?; .* with H and W fixed"),
        ({"shape": (3, 16)}, r"is \? x 3 x 16; "),
        ({"kind": TensorProto.FLOAT16}, r"its input 'images' is of type float16, expected float32"),
        ({"kind": TensorProto.UINT8}, r"is of type uint8, expected float32"),
        ({"output": "c"}, r"ONNX Runtime cannot read it|gives float32 of 2 x 4 x 1 x 1 for two pictures"),
    ],
)
@pytest.mark.parametrize("trainable", [False, True])
def test_what_is_no_embedder_is_refused_in_one_line(path, changes, message, trainable):
    write(plain(**changes), path)
    with pytest.raises(DataError, match=message) as error:
        read_onnx(path, trainable)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_a_map_is_no_feature(path):
    model = plain()
    del model.graph.node[2:]
    model.graph.node[1].output[0] = "features"
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    with pytest.raises(DataError, match=r"gives float32 of 2 x 4 x 16 x 8 for two pictures; .* N x D features"):
        read_onnx(write(model, path))


def test_two_inputs_are_refused(path):
    model = plain()
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["batch"]))
    with pytest.raises(DataError, match="has 2 inputs and 1 outputs, expected one"):
        read_onnx(write(model, path))


def test_a_graph_of_which_torch_makes_something_else_is_refused_for_training(path, monkeypatch):
    from reidlab.models import onnx_embedder

    wrong = onnx_embedder._Operator(lambda values, training, x: x.abs())
    monkeypatch.setitem(onnx_embedder._OPERATORS, "Relu", wrong)
    with pytest.raises(DataError, match="as a torch module it does not give ONNX Runtime's features"):
        read_onnx(write(plain(), path), trainable=True)


@pytest.mark.parametrize(
    "attributes", [{"auto_pad": "SAME_UPPER", "kernel_shape": [3, 3]}, {"domain": "com.microsoft"}]
)
def test_an_operator_is_known_by_its_attributes_and_domain_too(attributes):
    from reidlab.models.onnx_embedder import _known

    assert not _known(helper.make_node("Conv", ["images", "w"], ["y"], **attributes))


@pytest.mark.parametrize("content", [b"", b"no protobuf at all", b"\x08\x07\x12"])
def test_damaged_files_are_named(path, content):
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"embedder\.onnx: is no ONNX file"):
        read_onnx(path)


def test_any_damage_is_one_line_and_nothing_else(path, capfd):
    draw = np.random.default_rng(0)
    good, refused = plain().SerializeToString(), []
    for _ in range(60):
        content = bytearray(good)
        for place in draw.integers(len(content), size=draw.integers(1, 6)):
            content[place] = draw.integers(256)
        path.write_bytes(content)
        try:
            read_onnx(path, trainable=bool(draw.integers(2)))
        except DataError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert not any("\n" in line for line in refused)
    assert capfd.readouterr().out == ""


def test_weights_in_other_files_are_not_read(path):
    onnx.save(plain(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(DataError, match="its weights are in other files; save the model as one file"):
        read_onnx(path)
    assert (path.parent / "weights.bin").is_file()


def test_missing_files_and_pipes_are_refused(path):
    with pytest.raises(MissingDataError, match="there is no such file"):
        read_onnx(path)
    os.mkfifo(path)
    with pytest.raises(DataError, match="a pipe"):
        read_onnx(path)


@pytest.mark.real_data
def test_a_published_osnet_is_equal_as_a_torch_module():
    found = [root / "embedder" for root in paths.data_roots() if (root / "embedder").is_dir()]
    if not found:
        pytest.skip("embedder is in no folder of REIDLAB_DATA")
    path = found[0] / "osnet_x0_25_msmt17.onnx"
    model = read_onnx(path, trainable=True).eval()
    assert isinstance(model, OnnxEmbedder)
    assert (model.size, model.width, len(list(model.parameters()))) == ((256, 128), 512, 242)
    x = pictures(2, (256, 128))
    np.testing.assert_allclose(model(x).embedding.detach().numpy(), by_runtime(path, x), atol=1e-4)


def test_a_file_larger_than_a_protocol_buffer_is_refused_with_the_reason(tmp_path):
    with (tmp_path / "big.onnx").open("wb") as stream:
        stream.truncate(2**31)
    with pytest.raises(DataError, match=r"big\.onnx: has 2,147,483,648 bytes; an ONNX file is one protocol buffer"):
        read_onnx(tmp_path / "big.onnx")
