"""What CPO is compared with: the same reducing factor for all layers, factors chosen by hand, and a fresh start."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from reidlab.pruning.couplings import check_layers, follow
from reidlab.pruning.criteria import ranking
from reidlab.pruning.removal import removed, widths
from reidlab.pruning.uniform import kept
from reidlab.seeding import seed_all


def uniform_removal(
    model: nn.Module,
    example: Tensor,
    factor: float,
    *,
    layers: Sequence[str] | None = None,
    criterion: str = "sparsity",
) -> nn.Module:
    """Return a network with the same share of filters removed from each layer: uniform removal, UR (Sec. 5.4.1).

    The widths are those of :mod:`reidlab.pruning.uniform`.

    Args:
        model: a trained network; it stays as it is.
        example: what it takes, (1, ...) with the batch axis.
        factor: r, of all layers.
        layers: that are pruned, one of each group; all whose filters can be removed where omitted.
        criterion: which filters go first.

    Raises:
        ConfigError: the factor or criterion is not allowed, or a layer cannot be pruned.
    """
    couplings = follow(model, example)
    return by_factors(model, example, dict.fromkeys(check_layers(couplings, layers), factor), criterion=criterion)


def by_factors(model: nn.Module, example: Tensor, factors: Mapping[str, float], *, criterion: str = "l1") -> nn.Module:
    """Return a network with a share of filters removed from each layer named.

    With the L1 norm and one factor per stage, chosen by looking at each layer's resilience, this is Li et al.'s method
    (Sec. 5.4.5).

    Args:
        model: a trained network; it stays as it is.
        example: what it takes, (1, ...) with the batch axis.
        factors: reducing factor by layer, one of each group.
        criterion: which filters go first.

    Raises:
        ConfigError: a factor or the criterion is not allowed, or a layer cannot be pruned.
    """
    couplings = follow(model, example)
    names = check_layers(couplings, list(factors))
    counts = {name: width - kept(width, factors[name]) for name, width in widths(model, names).items()}
    removals = {
        name: ranking(model.get_submodule(name), criterion, name=name)[:count] for name, count in counts.items()
    }
    return removed(model, couplings, removals)


def reinitialised(model: nn.Module, seed: int) -> nn.Module:
    """Return a network of the same widths that has learnt nothing, against which fine-tuning is held (Table 5.6).

    Convolutions start as N(0, 2 / fan-out), as the networks of chapter 5 for CIFAR do; everything else as torch draws
    it.

    Args:
        model: it stays as it is.
        seed: of the weights; torch's global generator is seeded with it.
    """
    fresh = copy.deepcopy(model)
    seed_all(seed)
    for module in fresh.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
        if isinstance(module, _ConvNd):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
    return fresh
