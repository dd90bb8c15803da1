"""Base class of losses over a labelled batch, and its validation."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from reidlab.errors import ConfigError

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.uint8, torch.int8)


def check_batch(rows: Tensor, labels: Tensor, *, name: str = "features") -> None:
    """Check that ``rows`` and ``labels`` describe the same pictures.

    Args:
        rows: (B, D) floating-point tensor.
        labels: (B,) integer tensor on the same device.
        name: what ``rows`` is called in a message.

    Raises:
        ConfigError: naming the tensor, what it is and what was expected.
    """
    if rows.ndim != 2 or not rows.is_floating_point():
        raise ConfigError(f"{name}: expected a float tensor of shape (B, D), got {rows.dtype} {tuple(rows.shape)}")
    if len(rows) == 0:
        raise ConfigError(f"{name}: the batch is empty; a loss needs at least one row")
    if labels.ndim != 1 or labels.dtype not in _INTEGERS:
        raise ConfigError(f"labels: expected an integer tensor of shape (B,), got {labels.dtype} {tuple(labels.shape)}")
    if len(labels) != len(rows):
        raise ConfigError(f"labels: {len(labels)} labels for {len(rows)} rows of {name}; give one label per row")
    if labels.device != rows.device:
        raise ConfigError(f"labels: on {labels.device}, but {name} on {rows.device}; move both to one device")


def reading_waits(tensor: Tensor) -> bool:
    """Return whether to read a tensor of any shape is to wait for a device that computes on its own (CUDA).

    There, a loss whose labels or pairs are wrong becomes NaN, at which the training loop stops, in place of an error.
    """
    return tensor.is_cuda


class Loss(nn.Module, ABC):
    """Base of all losses over a labelled batch: it validates, a subclass computes.

    The smallest working subclass implements :meth:`compute` alone:

    Example:
        >>> class Spread(Loss):
        ...     def compute(self, rows, labels):
        ...         return -rows.var()
        >>> bool(Spread()(torch.eye(2), torch.tensor([0, 1])) < 0)
        True
    """

    name = "features"

    def forward(self, rows: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch as a scalar.

        Args:
            rows: (B, D) floating-point tensor, features or logits as the subclass says.
            labels: (B,) integer identities.

        Raises:
            ConfigError: shapes, types or devices do not fit.
        """
        check_batch(rows, labels, name=self.name)
        return self.compute(rows, labels)

    @abstractmethod
    def compute(self, rows: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar loss of a validated batch."""
