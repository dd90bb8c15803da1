"""What holds for every block: a fresh one is the identity, layout and gradients, cost; and the temporal reduction."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from reidlab.errors import ConfigError
from reidlab.models import cost
from reidlab.models.attention import Axial, ClipBlock, CoarseToFineAxial, NonLocal, Pointwise, TemporalMax
from tests.models.attention_oracles import with_plain_softmax

SIZE = (4, 8, 4)
BLOCKS = {
    "non-local": lambda channels=16, size=SIZE: NonLocal(channels),
    "pairs": lambda channels=16, size=SIZE: NonLocal(channels, pairs=True),
    "stripes": lambda channels=16, size=SIZE: NonLocal(channels, stripes=4),
    "pairs of stripes": lambda channels=16, size=SIZE: NonLocal(channels, pairs=True, stripes=4),
    "axial": lambda channels=16, size=SIZE: Axial(channels, heads=2, size=size),
    "axial, sinusoidal": lambda channels=16, size=SIZE: Axial(channels, heads=2, encoding="sinusoidal"),
    "axial, no encoding": lambda channels=16, size=SIZE: Axial(channels, heads=1, encoding="none"),
    "coarse to fine": lambda channels=16, size=SIZE: CoarseToFineAxial(channels, scales=2, size=size),
}
every_block = pytest.mark.parametrize("name", BLOCKS)


def made(name, opened=True, **arguments):
    """A block with weights of its own; ``opened``: its last normalisation lets something through."""
    torch.manual_seed(0)
    block = BLOCKS[name](**arguments)
    if opened:
        nn.init.uniform_(block.norm.weight, 0.5, 1.5)
        nn.init.normal_(block.norm.bias)
    return block


def maps(batch=2, channels=16, size=SIZE):
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(1))


def channels_last(x):
    """The same clip as a view of frames that lie channels-last, as a network hands it over."""
    frames = x.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    return frames.unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2)


@every_block
@pytest.mark.parametrize("training", [True, False])
def test_a_fresh_block_is_the_identity(name, training):
    block, x = made(name, opened=False).train(training), maps()
    assert torch.equal(block(x), x)


@every_block
def test_an_opened_block_is_not(name):
    x = maps()
    assert (made(name).eval()(x) - x).abs().max() > 0.1


@every_block
def test_a_fresh_block_can_learn_to_be_another(name):
    block = made(name, opened=False)
    block(maps()).square().sum().backward()
    assert block.norm.weight.grad.abs().min() > 0
    assert block.norm.bias.grad.abs().min() > 0


@every_block
def test_the_gradient_reaches_input_and_weights(name):
    block, x = made(name).eval(), maps().requires_grad_()
    (block(x) * maps().cos()).sum().backward()
    assert x.grad.abs().min() > 0
    for parameter, value in block.named_parameters():
        # A constant added to all scores of a query leaves its softmax as it is.
        if parameter != "phi.bias" and not parameter.endswith("similarity_norm.bias"):
            assert value.grad.abs().max() > 1e-7, parameter


@pytest.mark.parametrize("name", ["stripes", "axial", "coarse to fine"])
def test_the_gradient_is_that_of_finite_differences(name):
    block = made(name, channels=8, size=(2, 4, 2)).double()
    x = maps(1, 8, (2, 4, 2)).double().requires_grad_()
    assert torch.autograd.gradcheck(block, (x,), fast_mode=True)


@every_block
def test_layout_in_memory_changes_nothing_and_channels_last_is_kept(name):
    block, x = made(name).eval(), maps()
    out = block(channels_last(x))
    torch.testing.assert_close(out, block(x), atol=1e-5, rtol=1e-4)
    frames = out.transpose(1, 2).flatten(0, 1)
    assert frames.data_ptr() == out.data_ptr()
    assert frames.is_contiguous(memory_format=torch.channels_last)


@every_block
def test_clips_of_a_batch_do_not_see_each_other(name):
    block, x = made(name).eval(), maps(3)
    torch.testing.assert_close(block(x)[1:2], block(x[1:2]), atol=1e-5, rtol=1e-4)


@every_block
def test_macs_are_those_of_torchs_counter(name):
    block = with_plain_softmax(made(name).eval())  # torch does not count the fused kernel of every device
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        block(maps(1))
    counted = cost(made(name), (16, *SIZE))
    assert counted.macs("projection", "product") == counter.get_total_flops() / 2
    assert min(counted.macs("projection"), counted.macs("product"), counted.macs("norm")) > 0
    assert counted.macs("conv", "linear", "other") == 0
    assert counted.params() == sum(p.numel() for p in block.parameters())


def test_reductions_count_the_values_they_read():
    assert cost(TemporalMax(), (16, *SIZE)).macs("pool") == 16 * 4 * 8 * 4
    assert cost(NonLocal(16, stripes=4), (16, *SIZE)).macs("pool") == 16 * 4 * 8 * 4
    assert cost(made("coarse to fine"), (16, *SIZE)).macs("pool") == 8 * 4 * 8 * 4  # the coarse half


#: Maps of ResNet-50 for 256x128 pictures at conv3_x and conv4_x, with the number of blocks there (layout 0/2/3/0).
LAYOUT = (((512, 32, 16), 2), ((1024, 16, 8), 3))


def of_five(build, frames):
    """Parameters and MACs (projections, products) of the five blocks, counted without memory on the meta device."""
    sums = np.zeros(3, dtype=np.int64)
    for (channels, height, width), count in LAYOUT:
        with torch.device("meta"):
            block = build(channels, (frames, height, width))
        found = cost(block, (channels, frames, height, width))
        sums += count * np.array([found.params(), found.macs("projection"), found.macs("product")])
    return sums


@pytest.mark.parametrize(
    ("build", "frames", "millions", "gmacs"),
    [
        (lambda c, size: NonLocal(c), 8, 32.15 - 24.79, 63.57 - 32.43),
        (lambda c, size: NonLocal(c, stripes=16), 8, 32.15 - 24.79, 33.43 - 32.43),
        (lambda c, size: NonLocal(c), 6, 32.15 - 24.79, 43.85 - 24.32),
        (lambda c, size: CoarseToFineAxial(c, size=size), 6, 34.23 - 24.79, 30.60 - 24.32),
    ],
    ids=["NVAN", "NVAN, stripes", "non-local", "CF-AAN"],
)
def test_five_blocks_in_a_resnet50_cost_what_the_original_networks_do(build, frames, millions, gmacs):
    params, projections, products = of_five(build, frames)
    assert params / 1e6 == pytest.approx(millions, abs=0.011)
    assert (projections + products) / 1e9 == pytest.approx(gmacs, abs=0.011)


def test_table_2_8_counts_products_only():
    # +17.213 is the non-local block with values of all C channels, +0.361 axial attention without positions.
    def wide_values(channels, size):
        positions = np.prod(size)
        return positions**2 * (channels // 2 + channels)

    total = sum(count * wide_values(c, (6, h, w)) for (c, h, w), count in LAYOUT)
    assert total / 1e9 == pytest.approx(17.213, abs=6e-4)
    *_, products = of_five(lambda c, size: Axial(c, heads=8, encoding="none"), 6)
    assert products / 1e9 == pytest.approx(0.361, abs=6e-4)


def test_one_scale_costs_more_than_non_local_when_projections_count():
    _, projections, products = of_five(lambda c, size: Axial(c, heads=8, size=size), 6)
    assert (projections + products) / 1e9 == pytest.approx(29.0, abs=0.06)


def test_pointwise_is_the_convolution():
    torch.manual_seed(0)
    x, layer = maps(), Pointwise(16, 5)
    expected = nn.functional.conv3d(x, layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(layer(channels_last(x)), expected, atol=1e-6, rtol=1e-5)


def test_temporal_max_takes_the_larger_of_adjacent_frames():
    x = maps(2, 3, (6, 4, 2))
    expected = np.zeros((2, 3, 3, 4, 2), dtype=np.float32)
    for b, c, t, y, column in np.ndindex(*expected.shape):
        expected[b, c, t, y, column] = max(x[b, c, 2 * t, y, column], x[b, c, 2 * t + 1, y, column])
    assert np.array_equal(TemporalMax()(x).numpy(), expected)


def test_temporal_max_keeps_channels_last():
    out = TemporalMax()(channels_last(maps()))
    assert out.transpose(1, 2).flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_temporal_max_refuses_an_odd_number_of_frames():
    with pytest.raises(ConfigError, match="T = 5 frames do not divide into pairs"):
        TemporalMax()(maps(size=(5, 2, 2)))


@every_block
def test_inputs_of_another_shape_are_named(name):
    block = made(name)
    with pytest.raises(ConfigError, match=r"shape \(2, 16, 8, 4\) must have the five axes"):
        block(torch.zeros(2, 16, 8, 4))
    with pytest.raises(ConfigError, match="12 channels, but the block was built for 16"):
        block(maps(channels=12))


def test_the_interface_asks_for_one_method():
    with pytest.raises(TypeError, match="transform"):
        ClipBlock()
    with pytest.raises(ConfigError, match="channels: 0"):
        NonLocal(0)
