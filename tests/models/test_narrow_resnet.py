"""Residual networks of any widths: published sizes, padded shortcuts against masked ones, and bad arguments."""

import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from reidlab.errors import ConfigError
from reidlab.models import resnet
from reidlab.models.narrow_resnet import CifarResNet, PaddedIdentity, cifar_stages, narrowed, set_inner_widths


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (56, 0.85)])
def test_he_et_als_networks_have_their_published_parameters(depth, millions):
    with torch.device("meta"):  # Table 6 of the paper
        model = CifarResNet(16, cifar_stages(depth, 16), projection=False)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == millions


def test_the_dissertations_network_has_31_convolutions_and_two_projections():
    with torch.device("meta"):
        model = CifarResNet(32, cifar_stages())
    convs = {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    projections = [name for name in convs if "downsample" in name]
    assert projections == ["layer2.0.downsample.0", "layer3.0.downsample.0"]
    assert len(convs) - len(projections) == 31


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 5), (5, 3), (4, 4)])
def test_a_shortcut_pads_behind_or_cuts(inputs, outputs):
    x = torch.rand(2, inputs, 6, 4)
    shortcut = PaddedIdentity.first(inputs, outputs, stride=2)
    expected = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, outputs - inputs))  # a negative padding cuts
    assert torch.equal(shortcut(x), expected)


def test_a_shortcut_puts_channels_where_they_came_from():
    x = torch.rand(1, 2, 3, 3)
    padded = PaddedIdentity(2, [2, 0, 2, 1])(x)
    assert torch.equal(padded[:, [1, 3]], x)
    assert not padded[:, [0, 2]].any()


def test_a_narrow_first_block_is_the_whole_network_with_those_channels_masked():
    """Fig. 5.4: the projection and the second convolution lose a channel, the identity behind them pads it."""
    torch.manual_seed(0)
    whole = CifarResNet(4, [[(4, 4)], [(6, 8)] * 2, [(9, 9)]]).eval()
    narrow = CifarResNet(4, [[(4, 4)], [(6, 5), (6, 8)], [(9, 9)]]).eval()
    state = whole.state_dict()
    last = [name for name in state if re.match(r"layer2\.0\.(conv2|bn2|downsample)", name) and state[name].ndim]
    for name in last:
        state[name][5:] = 0
    whole.load_state_dict(state)
    for name, value in narrow.state_dict().items():
        if name in state:
            cut = state[name][tuple(slice(n) for n in value.shape)]
            value.copy_(cut)
    pictures = torch.rand(2, 3, 32, 32)
    assert isinstance(narrow.layer2[1].downsample, PaddedIdentity)
    torch.testing.assert_close(narrow(pictures), whole(pictures))


def test_widths_inside_blocks():
    model = narrowed(resnet(50, width=4, blocks=(1, 1, 1, 1)), [(2, 3)] * 4)
    for stage in model.stages:
        block = stage[0]
        assert (block.conv1.out_channels, block.conv2.out_channels) == (2, 3)
        assert (block.bn1.num_features, block.bn2.num_features) == (2, 3)
    assert model(torch.rand(1, 3, 64, 32)).shape == (1, 128, 4, 2)
    assert model.layer2[0].conv2.stride == (2, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PaddedIdentity(2, [0, 3]), "source: 3 is no channel; expected 0 to 1, or 2 for zeros"),
        (lambda: cifar_stages(34), "depth: 34 is not"),
        (lambda: CifarResNet(4, [[(4, 4)]]), "stages: 1 of them; expected 3"),
        (lambda: CifarResNet(0, cifar_stages()), "stem: 0"),
        (lambda: CifarResNet(4, [[(4, 4)], [(4, 0)], [(4, 4)]]), "stages: 0"),
        (lambda: narrowed(resnet(18, width=4), [(2,)]), "widths: 1 entries for 8 blocks"),
        (lambda: set_inner_widths(resnet(18, width=4).layer1[0], (2, 2)), "for a BasicBlock; expected 1"),
    ],
    ids=["source", "depth", "stages", "stem", "width", "blocks", "inner"],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
