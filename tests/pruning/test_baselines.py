import pytest
import torch

from reidlab.errors import ConfigError
from reidlab.models.narrow_resnet import CifarResNet, cifar_stages
from reidlab.models.vdsr import vdsr
from reidlab.pruning.baselines import by_factors, reinitialised, uniform_removal
from reidlab.pruning.couplings import check_layers, follow
from reidlab.pruning.removal import pad_identities, widths
from reidlab.pruning.uniform import uniform_cifar
from tests.pruning.networks import network


def test_uniform_removal_leaves_the_share_of_parameters_that_is_printed():
    # Table 5.1: 76.601 % of VDSR's parameters at 0.125, with biases.
    model = vdsr()
    pruned = uniform_removal(model, torch.zeros(1, 1, 8, 8), 0.125, layers=[f"body.{2 * n}" for n in range(19)])
    parameters = [sum(p.numel() for p in m.parameters()) for m in (pruned, model)]
    assert 100 * parameters[0] / parameters[1] == pytest.approx(76.601, abs=5e-4)


@pytest.mark.parametrize("factor", [0.25, 0.375])
def test_uniform_removal_under_the_texts_rule_leaves_the_networks_counted_in_the_audit(factor):
    stem, stages = 8, cifar_stages(14, 8)
    model = CifarResNet(stem, stages)
    pad_identities(model)
    example = torch.zeros(1, 3, 16, 16)
    layers = [name for name in check_layers(follow(model, example)) if name != "conv1"]  # the first stays
    pruned = uniform_removal(model, example, factor, layers=layers)
    counted = CifarResNet(*uniform_cifar(stem, stages, factor))
    shapes = [{n: p.shape for n, p in m.named_parameters()} for m in (pruned, counted)]
    assert shapes[0] == shapes[1]


def test_factors_by_layer_remove_the_smallest_filters():
    model = vdsr(4, 8)
    with torch.no_grad():
        model.body[2].weight[[1, 6]] *= 1e-3
    pruned = by_factors(model, torch.zeros(1, 1, 8, 8), {"body.2": 0.25})
    assert torch.equal(pruned.body[2].weight, model.body[2].weight[[0, 2, 3, 4, 5, 7]])
    with pytest.raises(ConfigError, match=r"layers: body.6 cannot be pruned"):
        by_factors(model, torch.zeros(1, 1, 8, 8), {"body.6": 0.5})


def test_a_fresh_start_has_the_same_widths_and_has_learnt_nothing():
    model, batch = network("vgg")
    pruned = uniform_removal(model, batch, 0.5)
    fresh = reinitialised(pruned, seed=3)
    layers = [name for name, value in pruned.named_modules() if isinstance(value, torch.nn.Conv2d)]
    assert widths(fresh, layers) == widths(pruned, layers)
    assert all(not torch.equal(fresh.get_submodule(n).weight, pruned.get_submodule(n).weight) for n in layers)
    assert torch.equal(fresh.features[1].running_mean, torch.zeros_like(fresh.features[1].running_mean))
    again = reinitialised(pruned, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), again.parameters(), strict=True))
