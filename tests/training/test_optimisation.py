"""Learning rates against torch's own schedulers, optimisers against what they should hold."""

import pytest
import torch
from torch import nn

from reidlab.errors import ConfigError
from reidlab.training import LoopConfig
from reidlab.training.optimisation import lr_factor, make_optimizer


def torch_rates(make, total):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def our_rates(total, per_epoch=1, **values):
    config = LoopConfig(**{"iterations": total, **values})
    return [lr_factor(config, i, total, per_epoch) for i in range(total)]


@pytest.mark.parametrize("total", [5, 10, 37, 240])
def test_onecycle_is_torchs(total):
    def make(optimizer):
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=total, cycle_momentum=False)

    assert our_rates(total, schedule="onecycle") == pytest.approx(torch_rates(make, total), rel=1e-6)


@pytest.mark.parametrize("total", [1, 2, 3, 4])
def test_the_shortest_onecycles_are_defined(total):
    rates = our_rates(total, schedule="onecycle")
    assert all(0 < rate <= 1 for rate in rates)


def test_cosine_is_torchs():
    def make(optimizer):
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)

    assert our_rates(20, schedule="cosine") == pytest.approx(torch_rates(make, 20), rel=1e-6)


def test_steps_in_iterations_are_torchs():
    def make(optimizer):
        return torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 7], gamma=0.1)

    rates = our_rates(10, schedule="steps", milestones=(3, 7))
    assert rates == pytest.approx(torch_rates(make, 10), rel=1e-6)


def test_milestones_are_epochs_where_the_length_is_in_epochs():
    rates = our_rates(12, per_epoch=4, iterations=None, epochs=3, schedule="steps", milestones=(1, 2), gamma=0.5)
    assert rates == [1.0] * 4 + [0.5] * 4 + [0.25] * 4


def test_warmup_rises_linearly_and_multiplies_the_schedule():
    assert our_rates(6, schedule="constant", warmup=4) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)]
)
def test_optimizers_hold_what_is_trained_and_the_configured_values(name, kind):
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    optimizer = make_optimizer(model, LoopConfig(iterations=1, optimizer=name, lr=0.3, weight_decay=0.2, momentum=0.7))
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    assert (group["params"][0] is model.weight, len(group["params"])) == (True, 1)
    assert (group["lr"], group["weight_decay"]) == (0.3, 0.2)
    assert group.get("momentum", 0.7) == 0.7


def test_a_frozen_model_cannot_be_trained():
    with pytest.raises(ConfigError, match="no parameter of Linear requires a gradient"):
        make_optimizer(nn.Linear(2, 2).requires_grad_(False), LoopConfig(iterations=1))
