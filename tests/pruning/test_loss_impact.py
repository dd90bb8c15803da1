"""Loss impact against finite differences of the gates themselves, and each variant by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from reidlab.errors import ConfigError, DataError
from reidlab.models.narrow_resnet import CifarResNet, cifar_stages
from reidlab.models.vdsr import vdsr
from reidlab.pruning.candidates import candidates
from reidlab.pruning.couplings import follow
from reidlab.pruning.loss_impact import LossImpact
from tests.pruning.networks import network


def residual(seed=0):
    """A residual network in double precision, in training mode, with its candidates, a batch and a loss."""
    torch.manual_seed(seed)
    model = CifarResNet(4, cifar_stages(8, 4), num_classes=3).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    found = candidates(model, follow(model, torch.zeros(1, 3, 8, 8)))
    batch, labels = torch.randn(5, 3, 8, 8).double(), torch.tensor([0, 1, 2, 0, 1])
    return model, found, lambda: nn.functional.cross_entropy(model(batch), labels)


def differences(model, found, loss, eps=1e-5):
    """dL/dg of a gate of 1 behind every normalisation of a candidate: (gates, K), NaN where it passes none."""
    table = np.full((len(found.gates), len(found)), np.nan)
    for row, (name, labels) in enumerate(found.gates):
        norm = model.get_submodule(name)
        for channel, place in enumerate(found.places(labels)):
            if place < 0:
                continue
            values = []
            for gate in (1 + eps, 1 - eps):
                with torch.no_grad():
                    before = norm.weight[channel].clone(), norm.bias[channel].clone()
                    norm.weight[channel] *= gate
                    norm.bias[channel] *= gate
                    values.append(loss().item())
                    norm.weight[channel], norm.bias[channel] = before
            table[row, place] = (values[0] - values[1]) / (2 * eps)
    return table


def impact(model, found, loss, score):
    made = LossImpact(score)
    made.begin(model, found)
    model.zero_grad()
    loss().backward()
    made.update()
    return made.value.numpy()


RULES = {
    "signed": lambda s: np.nansum(s, 0) ** 2,
    "squares": lambda s: np.nansum(s**2, 0),
    "blocks": lambda s: np.nansum(s**2, 0) / np.isfinite(s).sum(0),
    "absolute": lambda s: np.abs(np.nansum(s, 0)),
}


def test_every_score_is_that_of_finite_differences_of_the_gates():
    model, found, loss = residual()
    table = differences(model, found, loss)
    assert np.isfinite(table).sum(0).max() > 1  # a residual stage passes several
    for score, rule in RULES.items():
        expected = rule(table)
        np.testing.assert_allclose(impact(model, found, loss, score), expected, rtol=1e-5, atol=1e-9 * expected.max())


def test_the_released_formula_by_hand():
    model, found, loss = residual(1)
    model.zero_grad()
    loss().backward()
    expected = np.zeros(len(found))
    for name, labels in found.gates:
        norm = model.get_submodule(name)
        for channel, label in enumerate(labels):
            if label >= 0:
                s = norm.weight[channel] * norm.weight.grad[channel] + norm.bias[channel] * norm.bias.grad[channel]
                expected[list(found.labels).index(label)] += s.item()
    np.testing.assert_allclose(impact(model, found, loss, "signed"), expected**2, rtol=1e-12)


@pytest.mark.parametrize(("average", "expected"), [("reset", 0.9 * 4 + 0.1 * 9), ("carried", None), ("mean", 6.5)])
def test_the_average_over_minibatches_and_iterations(average, expected):
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.Conv2d(2, 1, 1))
    found = candidates(model, follow(model, torch.zeros(1, 3, 4, 4)))
    made, values = LossImpact("signed", average), []
    for gradients in ((2.0, 3.0), (5.0,)):
        made.begin(model, found)
        for value in gradients:
            model[1].weight.grad, model[1].bias.grad = torch.full((2,), value), torch.zeros(2)
            made.update()
        values.append(made.value[0].item())
    if average == "carried":
        assert values == pytest.approx([4.5, 0.9 * 4.5 + 0.1 * 25])
    else:
        assert values == pytest.approx([expected, 25.0])


def test_gates_behind_convolutions_rank_a_network_without_normalisation():
    torch.manual_seed(0)
    model = vdsr(3, 4).double()
    nn.init.normal_(model.body[2].bias)
    example = torch.randn(2, 1, 6, 6).double()
    couplings = follow(model, example[:1].float())
    with pytest.raises(ConfigError, match=r"VDSR has no batch normalisation.*give gate='filter' .*, or prune by .*cpo"):
        candidates(model, couplings)
    found = candidates(model, couplings, gate="filter")
    value = impact(model, found, lambda: model(example).square().mean(), "absolute")
    place, eps = found.names.index(("body.2", 1)), 1e-6
    values = []
    for gate in (1 + eps, 1 - eps):
        with torch.no_grad():
            model.body[2].weight[1] *= gate
            model.body[2].bias[1] *= gate
            values.append(model(example).square().mean().item())
            model.body[2].weight[1] /= gate
            model.body[2].bias[1] /= gate
    assert value[place] == pytest.approx(abs(values[0] - values[1]) / (2 * eps), rel=1e-5)


def test_minimum_widths_and_names_outlast_removals():
    model, batch = network("resnet18")
    found = candidates(model, follow(model, batch[:1]), minimum=0.3)
    gone = found.labels_of({"conv1": [1, 4]})
    fewer = found.without(gone)
    assert len(fewer) == len(found) - 2
    assert fewer.removals(fewer.labels_of({"conv1": [5]})) == {"conv1": [3]}
    assert fewer.named(found.labels_of({"conv1": [5]})) == {"conv1": [5]}
    assert {least for labels, least in found.domains if len(labels) == 8} == {2}
    with pytest.raises(ConfigError, match="conv1: filter 4 is none that can be removed"):
        fewer.labels_of({"conv1": [4]})


def test_what_cannot_be_ranked_is_refused():
    model, batch = network("resnet18")
    couplings = follow(model, batch[:1])
    with pytest.raises(ConfigError, match="score: there is none called 'sign'; did you mean 'signed'"):
        LossImpact("sign")
    with pytest.raises(ConfigError, match="minimum: 1 is not allowed"):
        candidates(model, couplings, minimum=1)
    made = LossImpact()
    made.begin(model, candidates(model, couplings))
    with pytest.raises(DataError, match="BatchNorm2d: it has no gradient"):
        made.update()
    model.bn1.weight.requires_grad_(False)
    with pytest.raises(ConfigError, match="bn1: its weights are frozen"):
        candidates(model, couplings)
