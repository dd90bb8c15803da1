"""Optimisers, and learning rates as pure functions of the iteration (so a resumed run has nothing to restore)."""

from __future__ import annotations

import math
from bisect import bisect_right

import torch
from torch import nn

from reidlab.errors import ConfigError
from reidlab.training.config import LoopConfig

# torch.optim.lr_scheduler.OneCycleLR's defaults; cosine annealing in both halves.
_RISE = 0.3
_START = 1 / 25
_END = _START / 1e4


def make_optimizer(model: nn.Module, config: LoopConfig, *, fused: bool = False) -> torch.optim.Optimizer:
    """Return the configured optimiser over the parameters that require a gradient.

    Args:
        model: the network.
        config: optimiser, rate and decay.
        fused: update all weights in one pass, which can be called off on the device (``found_inf``).

    Raises:
        ConfigError: no parameter requires a gradient.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ConfigError(
            f"model: no parameter of {type(model).__name__} requires a gradient; there is nothing to train"
        )
    shared = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": fused or None}
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=config.momentum, **shared)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    return kind(parameters, **shared)


def lr_factor(config: LoopConfig, iteration: int, total: int, per_epoch: int) -> float:
    """Return the learning rate of one iteration as a share of ``config.lr``.

    Args:
        config: schedule, milestones, gamma and warm-up.
        iteration: number of steps already taken, 0..total-1.
        total: iterations of the whole run.
        per_epoch: iterations of an epoch; scales milestones where the length is in epochs.
    """
    factor = _scheduled(config, iteration, total, per_epoch)
    return factor * min(1.0, (iteration + 1) / config.warmup) if config.warmup else factor


def _scheduled(config: LoopConfig, iteration: int, total: int, per_epoch: int) -> float:
    if config.schedule == "steps":
        unit = per_epoch if config.epochs is not None else 1
        return config.gamma ** bisect_right([m * unit for m in config.milestones], iteration)
    if config.schedule == "cosine":
        return _cosine(1.0, 0.0, iteration / total)
    if config.schedule == "onecycle":
        peak = _RISE * total - 1
        if iteration <= peak:
            return _cosine(_START, 1.0, iteration / peak) if peak > 0 else 1.0
        return _cosine(1.0, _END, (iteration - peak) / max(total - 1 - peak, 1e-9))
    return 1.0


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
