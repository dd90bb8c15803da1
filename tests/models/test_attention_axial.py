"""Axial attention, at one scale and at several, against loops over pairs of places."""

import numpy as np
import pytest
import torch
from torch import nn

from reidlab.errors import ConfigError
from reidlab.models.attention import Axial, AxisAttention, CoarseToFineAxial
from tests.models.attention_oracles import axial_loop, axis_loop, normalised, numbers, pointwise

SIZE = (3, 4, 2)
encodings = pytest.mark.parametrize("encoding", ["none", "sinusoidal", "relative"])


def stirred(block):
    """The block in double precision, its normalisations with weights and statistics that all differ."""
    generator = torch.Generator().manual_seed(2)
    block = block.double()
    for module in block.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for value in (module.weight.data, module.running_var):
                value.uniform_(0.5, 1.5, generator=generator)
            for value in (module.bias.data, module.running_mean):
                value.normal_(generator=generator)
    return block


def maps(batch=2, channels=8, size=SIZE):
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def of(state, prefix):
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def projected(x, gathered, state, training=False):
    """Eq. 2.6's convolution, normalisation and residual."""
    z = pointwise(np.moveaxis(gathered, 1, 0), state, "project")
    z = normalised(z.reshape(len(z), -1), state, "norm", training).reshape(z.shape)
    return x + np.moveaxis(z, 0, 1)


@encodings
@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("training", [False, True])
def test_block_equals_a_loop_over_three_axes(encoding, heads, training):
    torch.manual_seed(0)
    block = stirred(Axial(8, heads=heads, encoding=encoding, size=SIZE)).train(training)
    state, x = numbers(block), maps()
    gathered = axial_loop(x.numpy(), of(state, "axes."), heads, encoding, training)
    expected = projected(x.numpy(), gathered, state, training)
    np.testing.assert_allclose(block(x).detach().numpy(), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("axis", "number"), [("time", 1), ("height", 2), ("width", 3)])
def test_one_axis_equals_a_loop_along_it_and_sees_only_its_line(axis, number):
    torch.manual_seed(0)
    attention = stirred(AxisAttention(8, axis, heads=2, encoding="relative", length=SIZE[number - 1])).eval()
    x = maps()
    expected = axis_loop(x.numpy(), numbers(attention), number, 2, "relative", training=False)
    np.testing.assert_allclose(attention(x).detach().numpy(), expected, rtol=1e-8, atol=1e-10)
    changed = x.clone()
    changed[:, :, 0, 0, 0] += 1.0
    moved = (attention(changed) - attention(x)).abs().amax((0, 1)) > 1e-9
    line = torch.zeros(SIZE, dtype=torch.bool)
    line[tuple(slice(None) if n == number - 1 else 0 for n in range(3))] = True
    assert torch.equal(moved, line)


def test_attention_runs_along_height_then_width_then_time():
    assert [name for name, _ in Axial(8, heads=2, size=SIZE).axes.named_children()] == ["height", "width", "time"]


def test_a_relative_encoding_is_one_tensor_per_axis_whatever_the_heads():
    for heads in (1, 2, 4):
        width = 8 // heads
        block = Axial(8, heads=heads, size=SIZE)
        found = {axis: tuple(getattr(block.axes, axis).encoding.vectors.shape) for axis in ("height", "width", "time")}
        assert found == {"height": (2 * width, 7), "width": (2 * width, 3), "time": (2 * width, 5)}


def test_a_relative_encoding_knows_the_direction():
    # r^v alone, spread evenly: the query at 0 sees keys 0, 1, 2 at distances 0, 1, 2; the query at 2 at -2, -1, 0.
    attention = AxisAttention(2, "time", encoding="relative", length=3).double().eval()
    for value in attention.parameters():
        nn.init.zeros_(value)
    nn.init.ones_(attention.output_norm.weight)
    attention.encoding.vectors.data[2] = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])  # distances -2 to 2
    gathered = attention(maps(1, 2, (3, 1, 1))).flatten(1)[0, :3]
    expected = torch.tensor([4 + 8 + 16, 2 + 4 + 8, 1 + 2 + 4]) / 3 / np.sqrt(1 + 1e-5)
    torch.testing.assert_close(gathered, expected.double())


def test_without_an_encoding_the_order_along_an_axis_does_not_matter():
    x = maps(1, 8, (3, 4, 2))
    for encoding, same in (("none", True), ("sinusoidal", False), ("relative", False)):
        torch.manual_seed(0)
        block = stirred(Axial(8, heads=2, encoding=encoding, size=SIZE)).eval()
        difference = (block(x.flip(3)).flip(3) - block(x)).abs().max()
        assert (difference < 1e-10) == same, encoding


@encodings
def test_one_scale_is_plain_axial_attention(encoding):
    plain = stirred(Axial(8, heads=2, encoding=encoding, size=SIZE))
    single = CoarseToFineAxial(8, scales=1, heads=2, encoding=encoding, size=SIZE).double()
    single.load_state_dict({name.replace("axes.", "slices.0."): value for name, value in plain.state_dict().items()})
    for training in (False, True):
        assert torch.equal(single.train(training)(maps()), plain.train(training)(maps()))


@pytest.mark.parametrize("size", [(2, 8, 4), (2, 9, 5)])
def test_coarse_to_fine_pools_slices_attends_and_enlarges(size):
    torch.manual_seed(0)
    block = stirred(CoarseToFineAxial(12, scales=3, heads=1, size=size)).eval()
    state, x = numbers(block), maps(1, 12, size).numpy()
    parts = []
    for scale in range(3):
        part = x[:, 4 * scale : 4 * scale + 4]
        height, width = size[1] // 2**scale, size[2] // 2**scale
        small = np.zeros((1, 4, size[0], height, width))
        for i, j in np.ndindex(height, width):
            # Bounds of adaptive pooling: floor of the start, ceiling of the end.
            rows = slice(i * size[1] // height, -(-(i + 1) * size[1] // height))
            columns = slice(j * size[2] // width, -(-(j + 1) * size[2] // width))
            small[..., i, j] = part[..., rows, columns].max(axis=(3, 4))
        gathered = axial_loop(small, of(state, f"slices.{scale}."), 1, "relative")
        large = np.zeros_like(part)
        for i, j in np.ndindex(*size[1:]):
            large[..., i, j] = gathered[..., i * height // size[1], j * width // size[2]]
        parts.append(large)
    expected = projected(x, np.concatenate(parts, axis=1), state)
    np.testing.assert_allclose(block(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-8, atol=1e-10)


def test_a_map_smaller_than_the_coarsest_scale_keeps_one_place():
    block = CoarseToFineAxial(16, scales=4, heads=2, size=(2, 4, 2))
    lengths = [(axes.height.encoding.length, axes.width.encoding.length) for axes in block.slices]
    assert lengths == [(4, 2), (2, 1), (1, 1), (1, 1)]
    assert block(torch.randn(1, 16, 2, 4, 2)).shape == (1, 16, 2, 4, 2)


@pytest.mark.parametrize("encoding", ["none", "sinusoidal"])
def test_without_learnt_positions_any_size_goes(encoding):
    block = CoarseToFineAxial(16, scales=2, encoding=encoding)
    for size in ((2, 8, 4), (3, 6, 6)):
        assert block(torch.randn(1, 16, *size)).shape == (1, 16, *size)


@pytest.mark.parametrize("build", [Axial, CoarseToFineAxial])
@pytest.mark.parametrize(
    ("size", "message"), [((3, 8, 4), "size: time 3,"), ((2, 16, 4), "size: height 16,"), ((2, 8, 2), "size: width 2,")]
)
def test_another_size_than_the_learnt_positions_is_named(build, size, message):
    block = build(16, heads=2, size=(2, 8, 4))
    with pytest.raises(ConfigError, match=message):
        block(torch.zeros(1, 16, *size))


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (Axial, {}, r"size: None must be the \(T, H, W\)"),
        (Axial, {"size": (2, 0, 4)}, r"size: \(2, 0, 4\)"),
        (CoarseToFineAxial, {}, r"size: None must be the \(T, H, W\)"),
        (CoarseToFineAxial, {"size": (2, 8)}, r"size: \(2, 8\)"),
        (CoarseToFineAxial, {"size": (2, 0, 4)}, r"size: \(2, 0, 4\)"),
        (Axial, {"encoding": "learnt"}, "encoding: there is none called 'learnt'"),
        (CoarseToFineAxial, {"encoding": "learnt"}, "encoding: there is none called 'learnt'"),
        (Axial, {"size": (2, 8, 4), "heads": 3}, "16 channels do not divide into 3 heads"),
        (Axial, {"size": (2, 8, 4), "heads": 16}, "16 channels do not divide into 16 heads of an even width"),
        (Axial, {"size": (2, 8, 4), "heads": 0}, "heads: 0"),
        (CoarseToFineAxial, {"size": (2, 8, 4), "scales": 3}, "16 channels do not divide into 3 slices"),
        (CoarseToFineAxial, {"size": (2, 8, 4), "scales": 0}, "do not divide into 0 slices"),
    ],
)
def test_bad_arguments_are_named(build, arguments, message):
    with pytest.raises(ConfigError, match=message):
        build(16, **arguments)


def test_a_single_axis_names_its_bad_arguments():
    with pytest.raises(ConfigError, match="axis: there is none called 'depth'"):
        AxisAttention(8, "depth")
    with pytest.raises(ConfigError, match="encoding: there is none called 'x'"):
        AxisAttention(8, "time", encoding="x")
    with pytest.raises(ConfigError, match=r"length: None .*, the places along the time"):
        AxisAttention(8, "time", encoding="relative")
