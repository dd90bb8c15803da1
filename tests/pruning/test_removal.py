"""Removal against masking on every network, against torch-pruning's dependency graph, and against counting by hand."""

import copy
import dataclasses
import types
from functools import cache

import numpy as np
import pytest
import torch
import torch_pruning
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from torch import nn

from reidlab.errors import ConfigError
from reidlab.models import resnet
from reidlab.models.narrow_resnet import CifarResNet, PaddedIdentity, cifar_stages
from reidlab.models.vgg import VGG
from reidlab.pruning import removal
from reidlab.pruning.couplings import check_layers, follow
from reidlab.pruning.removal import check_removal, chosen, masked, pad_identities, removed, widths
from tests.pruning.networks import PICTURES, VIDEO, network


@cache
def followed(name):
    model, batch = network(name)
    return model, batch, follow(model, batch)


def outputs(model, batch):
    with torch.no_grad():
        result = model(batch)
    return result if isinstance(result, tuple) else (result,)


def distance(a, b):
    """Largest difference, as a share of the largest value."""
    return max(float((x - y).abs().max() / y.abs().max()) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("name", [*PICTURES, *VIDEO])
@settings(max_examples=2, deadline=None, database=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from((0.1, 0.5, 1.0)))
@example(seed=0, share=1.0)
def test_a_network_without_filters_is_the_one_that_masks_them(name, seed, share):
    model, batch, couplings = followed(name)
    random = np.random.default_rng(seed)
    removals = {}
    for group in couplings.groups:
        if not group.fixed and group.width > 2 and random.random() < share:
            # One of each half stays, so that no slice of coarse-to-fine attention is empty.
            can_go = [i for i in range(group.width) if i % (group.width // 2)]
            gone = random.choice(can_go, random.integers(1, len(can_go) + 1), replace=False)
            removals[str(random.choice(group.layers))] = gone.tolist()
    smaller = removed(model, couplings, removals)
    result, expected = outputs(smaller, batch), outputs(masked(model, couplings, removals), batch)
    assert distance(result, expected) < 1e-5
    assert share < 1 or distance(result, outputs(model, batch)) > 1e-3
    for layer, gone in removals.items():
        left = widths(smaller, couplings.group_of[layer].layers)
        assert set(left.values()) == {couplings.group_of[layer].width - len(gone)}


@pytest.mark.parametrize("name", [*PICTURES, *VIDEO])
def test_only_what_a_network_puts_out_and_heads_of_attention_are_fixed(name):
    for group in followed(name)[2].groups:
        known = ("network puts out", "into heads", "it has one filter", "would still see them", "values of its own")
        assert not group.fixed or any(reason in group.fixed for reason in known), group


# torch-pruning counts the two linear layers of a re-identification network as any others; its graph does not build for
# axial attention, nor know padded identities, and it couples a non-local block's values with its keys.
@pytest.mark.parametrize(
    "name",
    ["vdsr", "vgg", "vgg-without-norm", "cifar", "mobilenet22", "mobilenetv2", "resnet18", "resnet50", "reid", "osnet",
     "c2d", "p3d-c"],
)  # fmt: skip
def test_what_goes_with_a_filter_is_what_torch_pruning_says(name):
    model, batch, couplings = followed(name)
    graph = torch_pruning.DependencyGraph().build_dependency(model, batch)
    names = {module: path for path, module in model.named_modules()}
    free = [group for group in couplings.groups if not group.fixed]
    assert free
    for group in free:
        layer = model.get_submodule(group.layer)
        prune = (
            torch_pruning.prune_linear_out_channels
            if isinstance(layer, nn.Linear)
            else torch_pruning.prune_conv_out_channels
        )
        theirs = {}
        for dependency, indices in graph.get_pruning_group(layer, prune, [1]):
            module = dependency.target.module
            if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.Linear, nn.modules.batchnorm._BatchNorm)):
                out = "out" in dependency.handler.__name__ or isinstance(module, nn.modules.batchnorm._BatchNorm)
                out = out or getattr(module, "groups", 1) > 1
                theirs[names[module], out] = sorted(set(map(int, indices)))
        gone = chosen(couplings, {group.layer: [1]})
        ours = {
            (axis.module, axis.role in ("out", "both")): [i for i, label in enumerate(axis.labels) if label in gone]
            for axis in couplings.axes
            if axis.role != "width" and set(axis.labels) & set(gone)
        }
        assert ours == theirs


def test_a_residual_stage_goes_together_and_padded_identities_end_it():
    names = [f"layer2.{block}.conv2" for block in range(5)]
    model = CifarResNet(8, cifar_stages(32, 8))
    whole = follow(model, torch.zeros(1, 3, 32, 32))
    assert set(whole.group_of["layer2.0.conv2"].layers) == {"layer2.0.downsample.0", *names}
    pad_identities(model)
    padded = follow(model, torch.zeros(1, 3, 32, 32))
    # The text's rule (Sec. 5.4.4): only the shortcut's convolution and the second of its block.
    assert set(padded.group_of["layer2.0.conv2"].layers) == {"layer2.0.downsample.0", "layer2.0.conv2"}
    assert all("not 0" in padded.group_of[name].fixed for name in names[1:])
    smaller = removed(model, padded, {"layer2.0.conv2": [2, 5]})
    assert smaller.layer2[0].conv2.out_channels == 14
    assert smaller.layer2[1].conv2.out_channels == 16
    pad = smaller.layer2[1].downsample
    assert pad.source.tolist() == [0, 1, 14, 2, 3, 14, *range(4, 14)]
    assert not any(isinstance(m, PaddedIdentity) for m in smaller.layer2[0].modules())


def test_parameters_that_go_are_those_counted_by_hand():
    model = VGG(((4,), (6,), (8,)), size=16)
    couplings = follow(model, torch.zeros(1, 3, 16, 16))
    conv1, conv2, conv3 = (name for name, m in model.named_modules() if isinstance(m, nn.Conv2d))
    smaller = removed(model, couplings, {conv1: [0], conv2: [1, 2], conv3: [7]})
    # Convolutions 3 -> 3 -> 4 -> 7 without biases, two numbers for each normalised channel, 2 x 2 places of the map.
    assert sum(p.numel() for p in smaller.parameters()) == 9 * (9 + 12 + 28) + 2 * (3 + 4 + 7) + 10 * (7 * 4 + 1)
    assert smaller.classifier[0].weight.shape == (10, 28)
    kept = [4 * c + place for c in range(7) for place in range(4)]
    assert torch.equal(smaller.classifier[0].weight, model.classifier[0].weight[:, kept])


def test_the_network_itself_stays_as_it_is():
    model, _, couplings = followed("resnet18")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    smaller = removed(model, couplings, {"conv1": [0, 3]})
    with torch.no_grad():
        for value in smaller.parameters():
            value.add_(1)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all("forward" not in vars(module) for module in model.modules())


def test_gradients_and_frozen_weights_survive():
    model = resnet(18, width=8, blocks=(1, 1, 1, 1), num_classes=3)
    model.bn1.bias.requires_grad_(False)
    smaller = removed(model, follow(model, torch.zeros(1, 3, 32, 32)), {"conv1": [0]})
    assert not smaller.bn1.bias.requires_grad
    smaller(torch.randn(2, 3, 32, 32)).sum().backward()
    assert smaller.conv1.weight.grad.shape == (7, 3, 7, 7)


@pytest.mark.parametrize(
    ("removals", "message"),
    [
        ({"layer1.0.conv7": [0]}, "layer: there is none called 'layer1.0.conv7'; did you mean"),
        ({"layer1.0.conv1": [8]}, r"layer1.0.conv1: 8 is not allowed; expected an integer in 0\.\.7, a filter of 8"),
        ({"layer1.0.conv1": [-1]}, "layer1.0.conv1: -1 is not allowed"),
        ({"layer1.0.conv1": [2, 2]}, "layer1.0.conv1: filter 2 is named twice"),
        ({"layer1.0.conv1": range(8)}, "layer1.0.conv1: all 8 filters would be removed; at least 1 must stay"),
        ({"fc": [0]}, "fc: its filters cannot be removed, for they are what the network puts out"),
    ],
)
def test_removals_that_cannot_be_are_refused(removals, message):
    model, _, couplings = followed("resnet18")
    with pytest.raises(ConfigError, match=message):
        removed(model, couplings, removals)


def test_the_last_input_of_a_slice_stays():
    model, _, couplings = followed("cf-aan")
    group = couplings.group_of["backbone.layer2.0.conv2"]
    with pytest.raises(ConfigError, match=r"blocks.1.0.slices.0.height.project: all 16 channels that it takes"):
        removed(model, couplings, {group.layer: range(16)})


class _Decides(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return x if self.first(x).sum().item() > 0 else -x


class _Sorts(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return self.second(self.first(x).sort(dim=1).values)


def test_a_network_that_decides_by_values_cannot_be_followed():
    with pytest.raises(ConfigError, match="_Decides cannot be followed; it stopped in the network"):
        follow(_Decides(), torch.zeros(1, 3, 4, 4))


def test_an_example_of_another_shape_names_the_module():
    with pytest.raises(ConfigError, match="cannot be followed"):
        follow(VGG(((4,), (6,)), size=16), torch.zeros(1, 3, 16))


def test_an_operation_without_a_rule_fixes_the_filters_before_it():
    couplings = follow(_Sorts(), torch.zeros(1, 3, 4, 4))
    assert couplings.group_of["first"].fixed == "the network uses sort, for which there is no rule"


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        (lambda x: x.sigmoid(), "not 0 where the filters are masked"),
        (lambda x: x + 1, "not 0 where the filters are masked"),
        (lambda x: x - x.mean(dim=1, keepdim=True), "takes their mean together with other channels"),
        (lambda x: x.softmax(dim=1), "takes their softmax together with other channels"),
        (lambda x: x.view(len(x), 2, 2, 4, 4).flip(1).flatten(1, 2), "divides their channels, as into heads"),
        (lambda x: torch.cat((x[:, 2:], x[:, :2]), dim=1), "cuts their channels at fixed places"),
    ],
)
def test_filters_that_could_not_go_exactly_are_fixed(between, reason):
    model = _Sorts()
    model.forward = lambda x: model.second(between(model.first(x)))
    assert reason in follow(model, torch.zeros(1, 3, 4, 4)).group_of["first"].fixed


@pytest.mark.parametrize(
    "between",
    [
        lambda x: x * x.sigmoid(),
        lambda x: nn.functional.normalize(x, dim=1),
        lambda x: torch.nn.functional.pad(x, (1, 1, 1, 1)),
        lambda x: nn.functional.interpolate(x, scale_factor=2.0),
        lambda x: torch.stack((x, x.relu()), dim=2).sum(dim=2),
        lambda x: x * (x.flatten(2).transpose(1, 2) @ x.flatten(2)).mean(),
    ],
)
def test_filters_go_exactly_through_arithmetic_that_keeps_zero(between):
    torch.manual_seed(0)
    model, batch = _Sorts(), torch.randn(2, 3, 4, 4)
    nn.init.zeros_(model.first.bias)

    def forward(self, x):
        return self.second(between(self.first(x)))

    kind = type("_Between", (_Sorts,), {"forward": forward})
    model.__class__ = kind
    couplings = follow(model, batch)
    removals = {"first": [1, 2]}
    result = outputs(removed(model, couplings, removals), batch)
    assert distance(result, outputs(masked(model, couplings, removals), batch)) < 1e-5


@pytest.mark.parametrize(("ends", "goes"), [((0.0, 6.0), True), ((-1.0, 1.0), True), ((0.5, 1.0), False)])
def test_a_clipping_keeps_zero_only_where_zero_lies_in_it(ends, goes):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Hardtanh(*ends), nn.Conv2d(4, 2, 3))
    assert (follow(model, torch.zeros(1, 3, 8, 8)).group_of["0"].fixed == "") is goes


@pytest.mark.parametrize("wrap", [dict, list, tuple, "dataclass", "nested"])
def test_whatever_a_network_puts_out_its_last_filters_are_fixed(wrap):
    @dataclasses.dataclass
    class Out:
        logits: torch.Tensor
        other: str = ""

    class Wraps(nn.Sequential):
        def forward(self, x):
            out = super().forward(x)
            kinds = {dict: lambda: {"a": out}, "dataclass": lambda: Out(out), "nested": lambda: [{"a": (Out(out),)}]}
            return kinds[wrap]() if wrap in kinds else wrap([out])

    found = follow(Wraps(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)), torch.zeros(1, 3, 4, 4))
    assert {name: bool(group.fixed) for name, group in found.group_of.items()} == {"0": False, "1": True}


def test_an_output_without_a_tensor_is_refused():
    class Hides(nn.Sequential):
        def forward(self, x):
            return types.SimpleNamespace(logits=super().forward(x))

    with pytest.raises(ConfigError, match="Hides puts out SimpleNamespace, in which no tensor was found"):
        follow(Hides(nn.Conv2d(3, 4, 1)), torch.zeros(1, 3, 4, 4))


def test_weights_that_two_layers_share_stay():
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1))
    model[2].weight = model[1].weight
    couplings = follow(model, torch.zeros(1, 4, 4, 4))
    assert {name: group.fixed for name, group in couplings.group_of.items()} == {
        "0": "1 shares its weights with 2",
        "1": "1 shares its weights with 2",
        "2": "2 shares its weights with 1",
        "3": "they are what the network puts out",
    }


def test_a_normalisation_without_weights_keeps_no_zero_and_can_be_masked():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, affine=False), nn.Conv2d(4, 5, 1), nn.Conv2d(5, 2, 1))
    couplings = follow(model, torch.zeros(1, 3, 4, 4))
    assert "2 would still see them" in couplings.group_of["0"].fixed
    assert masked(model, couplings, {"2": [1]})[2].weight[1].abs().sum() == 0


class _Fixed(nn.Module):
    """Networks whose code or parameters count on four channels."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.first, self.last = nn.Conv2d(3, 4, 1), nn.Linear(4 * 16, 2)
        self.gain = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x):
        x = self.first(x)
        if self.kind == "gain":
            x = x * self.gain
        return self.last(x.view(-1, 4 * 16) if self.kind == "view" else x.flatten(1))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("view", "without one of its filters the network stops .*; does its code, a parameter"),
        ("gain", "without one of its filters the network stops .*; does its code, a parameter"),
        ("hook", "without one of its filters the network stops .* or a hook count on the number of channels"),
        ("wrong", "what differs by .* from what it does when that filter is 0, on outputs of at most"),
        ("instance", "a copy of the network does not run its own first; is a forward set on the instance"),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_cannot_be_followed_is_found_before_anything_is_pruned(kind, reason, monkeypatch):
    torch.manual_seed(0)
    model, example = _Fixed(kind), torch.zeros(1, 3, 4, 4)
    if kind == "hook":
        torch.nn.utils.weight_norm(model.first)
    if kind == "instance":
        model.forward = lambda x: model.last(model.first(x).flatten(1))
    couplings = follow(model, example)
    if kind == "wrong":  # as if a rule were wrong: masking sees one filter more
        monkeypatch.setattr(removal, "masked", lambda model, couplings, _: masked(model, couplings, {"first": [0, 1]}))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ConfigError, match=f"layers: first cannot be pruned, for .*{reason}"):
        check_removal(model, couplings, ["first"], example)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", [*PICTURES, *VIDEO])
def test_every_network_passes_the_check_before_a_search(name):
    model, batch, couplings = followed(name)
    assert check_removal(model, couplings, check_layers(couplings), batch) is None


def test_only_residual_networks_have_identities_to_pad():
    with pytest.raises(ConfigError, match="VGG has no residual blocks"):
        pad_identities(VGG(((4,), (6,)), size=16))
