"""Cost accounting against published numbers, closed forms and torch's own counter."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from reidlab.errors import ConfigError
from reidlab.models import VIEWS, ReIDNet, cost, resnet


@pytest.fixture(scope="module")
def stock():
    """Stock networks at the survey's 256x128, on the meta device: counting needs no arithmetic."""
    with torch.device("meta"):
        return {depth: cost(resnet(depth, last_stride=2), (3, 256, 128)) for depth in (18, 34, 50)}


@pytest.mark.parametrize(("depth", "gmacs"), [(50, 2.669), (34, 2.392), (18, 1.184)])
def test_stock_networks_cost_their_known_macs(stock, depth, gmacs):
    assert round(stock[depth].macs("conv") / 1e9, 3) == gmacs


@pytest.mark.parametrize(("depth", "millions"), [(50, 23.48), (34, 21.28)])
def test_the_surveys_parameters_are_conv_weights_and_one_value_per_normalised_channel(stock, depth, millions):
    counted = stock[depth].params("conv") + stock[depth].params("norm") // 2
    assert round(counted / 1e6, 2) == millions


def test_last_stride_one_costs_more_macs_and_no_parameters(stock):
    with torch.device("meta"):
        wide = cost(resnet(50, last_stride=1), (3, 256, 128))
    assert wide.params() == stock[50].params()
    assert round(wide.macs("conv") / 1e9, 3) == 4.053  # an eighth of the video baseline's 32.43 G at T = 8


@pytest.mark.parametrize(
    "model",
    [resnet(18, width=4, blocks=(1, 2, 1, 1), num_classes=7), resnet(50, width=4, blocks=(1, 1, 1, 1), last_stride=1)],
    ids=["basic", "bottleneck"],
)
def test_conv_and_linear_agree_with_torchs_counter(model):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, 3, 64, 32))
    assert cost(model, (3, 64, 32)).macs("conv", "linear") * 2 == counter.get_total_flops()


@pytest.mark.parametrize(
    ("layer", "shape", "kind", "macs"),
    [
        (nn.Conv2d(6, 9, 3, groups=3, padding=1), (6, 5, 4), "conv", 9 * 5 * 4 * 2 * 9),
        (nn.Conv3d(2, 3, 1), (2, 4, 5, 6), "conv", 3 * 4 * 5 * 6 * 2),
        (nn.ConvTranspose2d(2, 3, 2, stride=2), (2, 4, 4), "conv", 2 * 4 * 4 * 3 * 4),
        (nn.Linear(5, 7), (5,), "linear", 35),
        (nn.BatchNorm2d(3), (3, 4, 4), "norm", 48),
        (nn.MaxPool2d(3, stride=2, padding=1), (2, 8, 8), "pool", 2 * 16 * 9),
        (nn.AvgPool2d((2, 1)), (2, 4, 4), "pool", 2 * 8 * 2),
        (nn.AdaptiveAvgPool2d(1), (2, 4, 4), "pool", 32),
        (nn.PReLU(3), (3, 4, 4), "other", 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_each_kind_follows_its_closed_form(layer, shape, kind, macs):
    found = cost(nn.Sequential(layer), shape)
    assert [(row.name, row.kind, row.macs) for row in found.layers] == [("0", kind, macs)]
    assert found.params() == sum(p.numel() for p in layer.parameters())


def test_a_layer_used_twice_counts_its_work_twice_and_its_parameters_once():
    layer = nn.Linear(4, 4)
    found = cost(nn.Sequential(layer, nn.ReLU(), layer), (4,))
    assert (found.macs(), found.params()) == (32, 20)


class Products(nn.Module):
    """A module that counts its own products, with a parameter, a projection and a normalisation besides."""

    def __init__(self, kind="product"):
        super().__init__()
        self.kind = kind
        self.scale = nn.Parameter(torch.ones(3))
        self.project = nn.Linear(4, 4, bias=False)
        self.project.cost_kind = "projection"
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x, power=1):
        return self.norm(self.project(x)) ** power * self.scale.sum()

    def cost_macs(self, inputs, output):
        return {self.kind: 10 * inputs[1], "pool": 5}


class TwoPowers(nn.Module):
    def __init__(self, *blocks):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        for block in self.blocks:
            x = block(x, 2)
        return self.norm(x)


def test_a_module_may_count_for_itself_and_a_layer_may_be_of_another_kind():
    found = cost(TwoPowers(Products()), (4,))
    assert [(row.name, row.module, row.kind, row.params, row.macs) for row in found.layers] == [
        ("blocks.0.project", "Linear", "projection", 16, 16),
        ("blocks.0.norm", "BatchNorm1d", "norm", 8, 4),
        ("blocks.0", "Products", "product", 3, 20),
        ("blocks.0", "Products", "pool", 0, 5),
        ("norm", "BatchNorm1d", "norm", 8, 4),
    ]
    assert found.params() == sum(p.numel() for p in TwoPowers(Products()).parameters())


def test_views_choose_their_rows_and_units():
    found = cost(TwoPowers(Products()), (4,))
    assert found.view("whole") == pytest.approx((16 + 20) / 1e9)
    assert found.view("table-2.1") == pytest.approx((16 + 20) / 2**30)
    assert found.view("table-2.8") == pytest.approx(20 / 1e9)
    assert found.view("table-2.10") == pytest.approx((20 + 4 * 4) / 1e9)  # the block's own normalisation left out
    assert all(view.meaning for view in VIEWS.values())


def test_a_network_on_the_meta_device_costs_what_it_costs_elsewhere():
    with torch.device("meta"):
        meta = ReIDNet(resnet(18, width=4, blocks=(1, 1, 1, 1)), 5)
    found = cost(meta, (3, 32, 16))
    assert found == cost(ReIDNet(resnet(18, width=4, blocks=(1, 1, 1, 1)), 5), (3, 32, 16))
    assert all(p.device.type == "meta" for p in meta.parameters())


def test_table_and_summary_add_up():
    found = cost(ReIDNet(resnet(18, width=4, blocks=(1, 1, 1, 1)), 5), (3, 32, 16))
    assert found.table()["params"].sum() == found.params()
    summary = found.summary()
    assert summary.loc["total", "macs"] == found.macs()
    assert summary.loc["linear", "params"] == 5 * 32
    assert found.elements("conv") == found.table().query("kind == 'conv'")["elements"].sum()


def test_the_model_is_left_as_it_was():
    model = ReIDNet(resnet(18, width=4, blocks=(1, 1, 1, 1)), 5)
    model.backbone.bn1.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    cost(model, (3, 32, 16))
    assert model.training
    assert not model.backbone.bn1.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_hooks_are_removed_after_a_failed_pass():
    model = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(RuntimeError):
        cost(model, (5,))
    assert not model[0]._forward_hooks


def test_bad_arguments_are_named():
    with pytest.raises(ConfigError, match="input_shape"):
        cost(nn.Linear(2, 2), (0,))
    with pytest.raises(ConfigError, match="kind: there is none called 'convolution'"):
        cost(nn.Linear(2, 2), (2,)).macs("convolution")
    with pytest.raises(ConfigError, match=r"view: there is none called 'table-2\.2'"):
        cost(nn.Linear(2, 2), (2,)).view("table-2.2")
    with pytest.raises(ConfigError, match="Products: kind: there is none called 'products'"):
        cost(TwoPowers(Products("products")), (4,))
