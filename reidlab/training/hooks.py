"""Hooks, which let a chapter act inside the loop without changing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn


@dataclass
class TrainState:
    """The state that a hook may read and change.

    Attributes:
        model: the network itself, not Fabric's wrapper.
        optimizer: the torch optimiser.
        total: iterations of the whole run.
        per_epoch: iterations of an epoch.
        iteration: steps taken so far.
        batch: the current batch, as the source made it.
        values: the objective's values of the current batch, ``loss`` among them; means over the devices. On a GPU the
            first one read waits for it.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    total: int
    per_epoch: int
    iteration: int = 0
    batch: Any = None
    values: Mapping[str, float] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """Epochs completed so far."""
        return self.iteration // self.per_epoch


class Hook:
    """Base of hooks: override what is needed.

    Example:
        >>> class Norms(Hook):
        ...     def after_backward(self, state):
        ...         self.norm = torch.nn.utils.get_total_norm(p.grad for p in state.model.parameters())
    """

    def on_start(self, state: TrainState) -> None:
        """Before the first iteration, also of a resumed run (after its state is restored)."""

    def after_backward(self, state: TrainState) -> None:
        """When gradients are there and the weights have not moved; ``state.iteration`` counts the steps before."""

    def after_step(self, state: TrainState) -> None:
        """When the weights have moved; ``state.iteration`` counts this step."""

    def on_epoch_end(self, state: TrainState) -> None:
        """After the last :meth:`after_step` of an epoch, before a checkpoint of that iteration is written."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs back: tensors, numbers, strings, lists and dictionaries of them."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
