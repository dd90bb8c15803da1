"""MobileNet-22: the number of layers in its name, widths one by one, and bad arguments."""

import pytest
import torch
from torch import nn

from reidlab.errors import ConfigError
from reidlab.models.mobilenet_v1 import WIDTHS, MobileNet22


def test_it_has_22_layers_with_weights():
    with torch.device("meta"):
        model = MobileNet22()
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) == 22
    assert all(conv.groups in (1, conv.in_channels) for conv in layers[:-1])


def test_each_width_is_its_own():
    model = MobileNet22(tuple(range(2, 13)), num_classes=3)
    assert [conv.out_channels for conv in model.features if isinstance(conv, nn.Conv2d) and conv.groups == 1] == list(
        range(2, 13)
    )
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 3)


def test_bad_arguments_are_named():
    with pytest.raises(ConfigError, match="widths: 10 of them; expected 11"):
        MobileNet22(WIDTHS[:-1])
    with pytest.raises(ConfigError, match="widths and num_classes: 0"):
        MobileNet22(num_classes=0)
