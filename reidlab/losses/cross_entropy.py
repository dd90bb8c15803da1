"""Identity classification: cross-entropy on the classifier's logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from reidlab.checks import check_number
from reidlab.errors import ConfigError
from reidlab.losses.base import Loss, reading_waits


class CrossEntropy(Loss):
    """Mean cross-entropy of identity logits, with optional label smoothing.

    Beside :func:`torch.nn.functional.cross_entropy` it only checks that labels are classes of the logits, which a GPU
    would otherwise report as a failed assertion somewhere later. On a GPU the loss of such labels is NaN: to read them
    there is to wait for it.

    Args:
        label_smoothing: share of the target spread evenly over all classes, in [0, 1). The dissertation's video
            networks use none (chapter 2).

    Raises:
        ConfigError: ``label_smoothing`` is outside [0, 1).
    """

    name = "logits"

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        check_number("label_smoothing", label_smoothing, 0, below=1)
        self.label_smoothing = label_smoothing

    def compute(self, rows: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over the batch, a scalar.

        Args:
            rows: (B, C) logits.
            labels: (B,) classes in 0..C-1.

        Raises:
            ConfigError: a label is no class of the logits.
        """
        low, high, classes = labels.min(), labels.max(), rows.shape[1]
        if reading_waits(rows):
            inside = labels.long().clamp(0, classes - 1)
            loss = F.cross_entropy(rows, inside, label_smoothing=self.label_smoothing)
            return loss.masked_fill((low < 0) | (high >= classes), torch.nan)
        if int(low) < 0 or int(high) >= classes:
            raise ConfigError(
                f"labels: found {int(low)}..{int(high)}, but the logits have classes 0..{classes - 1}; "
                "number the training identities 0..C-1 and give the network that many classes"
            )
        return F.cross_entropy(rows, labels.long(), label_smoothing=self.label_smoothing)
