"""Cross-entropy with a distribution over identities for a target: soft pseudo-labels (Sec. 3.3.7)."""

from __future__ import annotations

from math import nan
from typing import Final

from torch import Tensor, nn
from torch.nn import functional as F

from reidlab.errors import ConfigError
from reidlab.losses.base import reading_waits

_SUM_TOLERANCE: Final = 1e-3


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean over the batch of -sum_c target_c log softmax(logits)_c.

    Args:
        logits: (B, C).
        targets: (B, C) shares of the classes, none negative; each row sums to 1.

    Returns:
        Scalar of the logits' type.

    Raises:
        ConfigError: shapes differ, or a row of targets is no distribution (on a GPU, where to read targets is to wait,
            the loss is NaN then).

    Example:
        >>> import torch
        >>> logits = torch.zeros(1, 4)
        >>> round(float(soft_cross_entropy(logits, torch.tensor([[0.5, 0.5, 0.0, 0.0]]))), 4)  # log 4
        1.3863
    """
    if logits.ndim != 2 or logits.shape != targets.shape or len(logits) == 0:
        raise ConfigError(
            f"targets: expected the shape of the logits, (B, C) with B of at least 1; got {tuple(targets.shape)} for "
            f"{tuple(logits.shape)}"
        )
    off = (targets.sum(1) - 1).abs()
    wrong = ~(off < _SUM_TOLERANCE).all() | (targets < 0).any()
    loss = -(targets * F.log_softmax(logits, dim=1)).sum(1).mean()
    if reading_waits(logits):
        return loss.masked_fill(wrong, nan)
    if bool(wrong):
        row = int((off + (targets < 0).any(1)).argmax())
        raise ConfigError(f"targets: row {row} is no distribution (sum {float(targets[row].sum()):g}); give shares")
    return loss


class SoftCrossEntropy(nn.Module):
    """Module form of :func:`soft_cross_entropy`."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of logits (B, C) for targets (B, C)."""
        return soft_cross_entropy(logits, targets)
