"""Cycles of the systolic array: limit cases by hand; the printed counts are in test_audit.py."""

import pytest
import torch
from torch import nn

from reidlab.errors import ConfigError
from reidlab.pruning.cycles import Layer, cycles, layer_cycles, layers


def test_one_cell_does_one_product_a_cycle():
    """No skew: filters times pixels times weights, and the last output leaves one cycle later."""
    assert layer_cycles(5, 2, (3, 3), (6, 7), array=(1, 1)) == 5 * 20 * 18 + 1


def test_an_array_as_large_as_the_layer_takes_one_fold():
    """The last of 20 pixels enters 19 cycles late, the last of 5 filters 4; outputs leave after both."""
    assert layer_cycles(5, 2, (3, 3), (6, 7), array=(20, 5)) == 18 + 5 + 19


def test_a_filter_smaller_than_the_array_waits_for_its_rows():
    full, last = 10, 9  # 21 pixels are two folds of ten rows and one of one; a filter has nine weights
    assert layer_cycles(1, 1, (3, 3), (9, 5), array=(10, 1)) == 2 * full + last + 1


def test_a_larger_array_is_never_slower():
    sizes = [(1, 1), (2, 3), (14, 12), (32, 32), (64, 64)]
    found = [layer_cycles(64, 64, (3, 3), (43, 43), array=size) for size in sizes]
    assert found == sorted(found, reverse=True)


def test_a_network_is_the_sum_of_its_layers_and_shortcuts_can_count():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(4 * 3 * 2, 7))
    model.downsample = nn.Sequential(nn.Conv2d(7, 2, 1))
    model.forward = lambda x: model.downsample(model[2](model[1](model[0](x)))[..., None, None])
    expected = [("0", Layer(4, 3, (3, 3), (8, 6), stride=2)), ("2", Layer(7, 24, (1, 1), (1, 1)))]
    assert layers(model, (3, 6, 4)) == expected
    shortcut = ("downsample.0", Layer(2, 7, (1, 1), (1, 1)))
    assert layers(model, (3, 6, 4), shortcuts=True) == [*expected, shortcut]
    assert cycles(model, (3, 6, 4)) == layer_cycles(4, 3, (3, 3), (8, 6), 2) + layer_cycles(7, 24, (1, 1), (1, 1))


def test_groups_are_done_one_after_the_other():
    with torch.device("meta"):
        model = nn.Sequential(nn.Conv2d(6, 6, 3, groups=6))
    assert cycles(model, (6, 5, 5)) == 6 * layer_cycles(1, 1, (3, 3), (5, 5))


def test_holes_in_a_filter_leave_fewer_pixels_and_take_no_weights():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, dilation=2))
    assert cycles(model, (3, 9, 9)) == layer_cycles(4, 3, (3, 3), (7, 7))  # 5 x 5 pixels either way


@pytest.mark.parametrize(("padding", "size"), [("same", (9, 11)), ("valid", (7, 7))])
def test_padding_may_have_a_name(padding, size):
    model = nn.Sequential(nn.Conv2d(3, 4, (3, 5), padding=padding))
    assert cycles(model, (3, 7, 7)) == layer_cycles(4, 3, (3, 5), size)


@pytest.mark.parametrize("kind", [nn.ConvTranspose2d, nn.Conv1d, nn.Conv3d])
def test_other_convolutions_are_refused(kind):
    size = (5,) * {nn.Conv1d: 1, nn.Conv3d: 3}.get(kind, 2)
    with pytest.raises(ConfigError, match=f"0: a {kind.__name__}; cycles are known of convolutions over two axes"):
        cycles(nn.Sequential(kind(3, 4, 3)), (3, *size))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 0}, "filters: 0"),
        ({"array": (14, 0)}, "columns: 0"),
        ({"size": (2, 9)}, r"size: \(2, 9\) is smaller than the kernel \(3, 3\)"),
    ],
    ids=["filters", "array", "size"],
)
def test_bad_arguments_are_named(arguments, message):
    usual = {"filters": 4, "channels": 3, "kernel": (3, 3), "size": (9, 9)}
    with pytest.raises(ConfigError, match=message):
        layer_cycles(**usual | arguments)


def test_unequal_strides_are_named():
    with pytest.raises(ConfigError, match=r"0: strides \(1, 2\); expected one for both axes"):
        cycles(nn.Sequential(nn.Conv2d(3, 4, 3, stride=(1, 2))), (3, 9, 9))
