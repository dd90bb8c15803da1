"""Batches of tensors in memory, each sample once an epoch: for networks that are no network of identities."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from reidlab.checks import check_integer
from reidlab.data import to_device
from reidlab.errors import ConfigError
from reidlab.seeding import derive
from reidlab.training.sources import Batch


class TensorSource:
    """Batch source over samples and their targets, in a new order each epoch; what does not fill a batch is left out.

    Args:
        inputs: (N, ...) what the network takes.
        targets: (N, ...) what it should put out: classes, or pictures.
        size: samples of a batch; all where there are fewer.

    Raises:
        ConfigError: their numbers differ, or a batch has no sample.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, size: int) -> None:
        if len(inputs) != len(targets):
            raise ConfigError(f"targets: {len(targets)} for {len(inputs)} samples; give one for each")
        self._inputs, self._targets = inputs, targets
        self._size = min(check_integer("batch", size, 1), len(inputs))
        self.start(0, 0)

    def __len__(self) -> int:
        return len(self._inputs) // self._size

    def start(self, seed: int, rank: int) -> None:
        """Go to the beginning of the stream of one process."""
        self._seed, self._taken = derive(seed, "samples", rank), 0

    def batch(self, device: torch.device) -> Batch:
        """Return the next samples on a device."""
        epoch, place = divmod(self._taken, len(self))
        order = torch.Generator().manual_seed(derive(self._seed, epoch) % 2**63)
        rows = torch.randperm(len(self._inputs), generator=order)[place * self._size : (place + 1) * self._size]
        self._taken += 1
        return Batch(to_device(self._inputs[rows], device), to_device(self._targets[rows], device), rows)

    def describe(self) -> dict[str, Any]:
        """Return the numbers of samples and of those in a batch."""
        return {"samples": len(self._inputs), "batch": self._size}

    def state_dict(self) -> dict[str, Any]:
        """Return how many batches were taken."""
        return {"seed": self._seed, "taken": self._taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a place."""
        self._seed, self._taken = state["seed"], state["taken"]
