"""Batch-hard triplet loss with a soft margin.

A. Hermans, L. Beyer, B. Leibe, "In defense of the triplet loss for person re-identification", 2017
(https://arxiv.org/abs/1703.07737); the dissertation trains with it on un-normalised features before the neck's batch
normalisation (chapter 2).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from reidlab.losses.base import Loss, check_batch, reading_waits
from reidlab.losses.distances import euclidean_distances


def hardest_pairs(distances: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return each anchor's farthest positive and nearest negative distance.

    An anchor is never its own positive.

    Args:
        distances: (B, B) distances within the batch.
        labels: (B,) identities.

    Returns:
        ``(positive, negative, valid)``, each (B,). Where an anchor has no positive or no negative, ``valid`` is False
        and both distances are to be ignored.
    """
    return _hardest(distances, *pairs_of(labels))


def soft_margin_batch_hard(features: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over anchors of log(1 + exp(max positive - min negative)).

    Anchors without a positive or without a negative in the batch form no triplet and are left out of the mean; a batch
    without any triplet has the loss 0 (and gradient 0).

    Args:
        features: (B, D) un-normalised features, before the neck.
        labels: (B,) identities.

    Returns:
        Scalar, float32 or float64.

    Raises:
        ConfigError: shapes, types or devices do not fit.

    Example:
        >>> features = torch.tensor([[0.0], [1.0], [5.0]])
        >>> round(float(soft_margin_batch_hard(features, torch.tensor([0, 0, 1]))), 4)  # anchors at distance -4 and -3
        0.0334
    """
    check_batch(features, labels)
    return batch_hard(features, *pairs_of(labels))


def pairs_of(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return which pictures of a batch share a label with which others, (B, B) bool, and which have another label."""
    same = labels[:, None] == labels[None, :]
    return same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), ~same


def batch_hard(features: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """Return :func:`soft_margin_batch_hard` for pairs of any kind.

    Args:
        features: (B, D).
        positives: (B, B) bool; row i says which of the batch are positives of i, itself never.
        negatives: (B, B) bool; which are its negatives.
    """
    positive, negative, valid = _hardest(euclidean_distances(features), positives, negatives)
    if reading_waits(features):
        return mean_of_valid((positive - negative).masked_fill(~valid, 0.0), valid)
    if not bool(valid.any()):
        return features.sum() * 0.0
    return F.softplus(positive[valid] - negative[valid]).mean()


def mean_of_valid(margins: Tensor, valid: Tensor) -> Tensor:
    """Return the mean of log(1 + exp(margin)) over the valid anchors, 0 where there is none, without reading how many.

    Args:
        margins: (B,), finite.
        valid: (B,) bool.
    """
    return (F.softplus(margins) * valid).sum() / valid.sum().clamp(min=1)


def _hardest(distances: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    positive = distances.masked_fill(~positives, -torch.inf).amax(1)
    negative = distances.masked_fill(~negatives, torch.inf).amin(1)
    return positive, negative, positives.any(1) & negatives.any(1)


class SoftMarginBatchHard(Loss):
    """Module form of :func:`soft_margin_batch_hard`."""

    def compute(self, rows: Tensor, labels: Tensor) -> Tensor:
        """Return the loss; ``rows`` are features (B, D) before the neck."""
        return soft_margin_batch_hard(rows, labels)
