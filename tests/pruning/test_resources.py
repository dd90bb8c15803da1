"""Resource impacts against counting the network anew without one filter."""

import numpy as np
import pytest
from torch import nn

from reidlab.errors import ConfigError
from reidlab.models import AveragePool
from reidlab.models.conventions import counted
from reidlab.models.cost import VIEWS, cost
from reidlab.models.modes import watch
from reidlab.pruning.candidates import candidates
from reidlab.pruning.couplings import follow
from reidlab.pruning.removal import removed
from reidlab.pruning.resources import Layers, resource
from tests.pruning.networks import network

NAMES = ("macs", "params", "macs:everything", "params:table-5.3", "macs:table-5.1", "macs:eq-5.7-worded")


def made(name, **options):
    model, batch = network(name)
    found = candidates(model, follow(model, batch[:1]), **options)
    return model, found, Layers(model, found, batch.shape[1:])


def again(name, model, shape):
    """A resource counted from nothing."""
    kind, _, convention = name.partition(":")
    if convention:
        return counted(model, shape, convention)[convention][("params", "macs").index(kind)]
    return (
        cost(model, shape).macs(*VIEWS["whole"].kinds) if kind == "macs" else sum(p.numel() for p in model.parameters())
    )


@pytest.mark.parametrize(
    "name", ["vgg", "cifar", "cifar-padded", "resnet50", "reid", "mobilenetv2", "se-resnet50", "nvan-spatial", "cf-aan"]
)
def test_what_a_filter_saves_is_what_the_network_without_it_does_not_use(name):
    model, found, layers = made(name)
    widths, shape = layers.widths(found), layers.cost.input_shape
    resources = [resource(kind, layers) for kind in NAMES]
    for place in np.random.default_rng(0).choice(len(found), 2, replace=False):
        smaller = removed(model, found.couplings, found.removals(found.labels[[place]]))
        for item in resources:
            whole = item.total(widths.counts)
            left = whole * (1 - item.impact(widths, 0).shares[place])
            assert left == pytest.approx(again(item.name, smaller, shape), abs=0.01, rel=1e-9)
            assert item.total(widths.without([place])) == pytest.approx(left)


@pytest.mark.parametrize("name", ["vgg", "mobilenetv2", "reid"])
def test_the_flops_of_the_released_code(name):
    model, found, layers = made(name)
    widths, shape, total = layers.widths(found), layers.cost.input_shape, 0

    def note(module, inputs, output):
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += output.numel() * (module.weight[0].numel() + (module.bias is not None))
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            total += 4 * output.numel()
        elif isinstance(module, nn.Linear):
            total += (2 * module.in_features - 1) * module.out_features
        elif isinstance(module, AveragePool | nn.AdaptiveAvgPool2d):
            total += inputs[0].numel()

    watch(model, shape, [m for m in model.modules() if not list(m.children())], note)
    item = resource("macs:released", layers)
    assert item.total(widths.counts) == total
    whole, total = total, 0
    smaller = removed(model, found.couplings, found.removals(found.labels[[3]]))
    watch(smaller, shape, [m for m in smaller.modules() if not list(m.children())], note)
    assert whole * (1 - item.impact(widths, 0).shares[3]) == pytest.approx(total)
    with pytest.raises(ConfigError, match="convention: there is none called 'released'"):
        resource("params:released", layers)


def test_shares_and_objectives_are_of_the_network_as_it_is():
    model, found, layers = made("cifar")
    item = resource("macs", layers)
    gone = found.labels[::3]
    smaller, fewer = removed(model, found.couplings, found.removals(gone)), found.without(gone)
    widths = layers.widths(fewer)
    now = again("macs", smaller, (3, 16, 16))
    assert item.total(widths.counts) == now
    assert item.impact(widths, now / 4).objective == pytest.approx(0.75)
    assert item.impact(widths, now).objective == 0
    one = removed(smaller, fewer.couplings, fewer.removals(fewer.labels[[5]]))
    assert item.impact(widths, 0).shares[5] == pytest.approx(1 - again("macs", one, (3, 16, 16)) / now)


def test_filters_are_counted_alike():
    _, found, layers = made("cifar")
    impact = resource("filters", layers).impact(layers.widths(found), 100)
    assert impact.shares == pytest.approx(np.full(len(found), 1 / len(found)))
    assert impact.objective == pytest.approx(1 - 100 / len(found))


def test_peak_activations_by_hand_and_the_layers_above_the_limit_are_what_counts():
    _, found, layers = made("vgg")  # 3 -> 8 at 16 x 16; 8 -> 8 -> 12 at 8 x 8; 12 -> 16 at 4 x 4
    item, widths = resource("activations", layers), layers.widths(found)
    assert item.total(widths.counts) == 4 * 256 * (3 + 8)
    impact = item.impact(widths, 4 * 256 * 9)
    first = [layer == found.names[0][0] for layer, _ in found.names]
    np.testing.assert_allclose(impact.shares, np.where(first, 1 / 11, 0))
    assert impact.objective == pytest.approx(2 / 11)


def test_unknown_resources_are_refused():
    _, _, layers = made("vgg")
    with pytest.raises(ConfigError, match="budgets: there is no resource called 'flops'; there is: macs, params"):
        resource("flops", layers)
    with pytest.raises(ConfigError, match=r"convention: there is none called 'table-5\.33'; did you mean"):
        resource("macs:table-5.33", layers)
    with pytest.raises(ConfigError, match="latency: it is measured, not counted"):
        resource("latency", layers)
