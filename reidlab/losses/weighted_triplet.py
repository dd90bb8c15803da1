"""Triplet loss that weighs every pair by its distance instead of picking the hardest.

E. Ristani, C. Tomasi, "Features for multi-target multi-camera tracking and re-identification", CVPR 2018
(https://arxiv.org/abs/1803.10859); the dissertation's Eq. 4.2, with a soft-plus in place of the margin.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from reidlab.errors import ConfigError
from reidlab.losses.base import Loss, reading_waits
from reidlab.losses.distances import euclidean_distances
from reidlab.losses.triplet import mean_of_valid, pairs_of


def weighted_triplet(features: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """Return the mean over anchors of log(1 + exp(sum w_p d_p - sum w_n d_n)) (Eq. 4.2).

    An anchor's weights are the softmax of the distances to its positives and the softmin of those to its negatives, so
    that far positives and near negatives count most. Gradients flow through the weights too.
    Anchors without a positive or without a negative are left out of the mean; a batch without any triplet has the loss
    0 (and gradient 0).

    Args:
        features: (B, D) un-normalised features, before the neck.
        positives: (B, B) bool; row i says which of the batch are positives of i. The diagonal is ignored.
        negatives: (B, B) bool; which are its negatives.

    Returns:
        Scalar, float32 or float64.

    Raises:
        ConfigError: a shape or type does not fit, or a pair is positive and negative at once (on a GPU, where to read
            pairs is to wait, the loss is NaN then).

    Example:
        >>> features = torch.tensor([[0.0], [1.0], [5.0]])
        >>> same = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
        >>> round(float(weighted_triplet(features, same, ~same)), 4)  # one positive each: anchors at -4 and -3
        0.0334
    """
    count = len(features)
    for name, mask in (("positives", positives), ("negatives", negatives)):
        if mask.shape != (count, count) or mask.dtype != torch.bool:
            raise ConfigError(
                f"{name}: expected a bool tensor of shape ({count}, {count}), a row per feature; got {mask.dtype} "
                f"{tuple(mask.shape)}"
            )
    both = (positives & negatives).any()
    if not reading_waits(features) and bool(both):
        raise ConfigError("positives, negatives: a pair is both; a picture cannot pull and push the same other")
    positives = positives & ~torch.eye(count, dtype=torch.bool, device=positives.device)
    valid = positives.any(1) & negatives.any(1)
    if reading_waits(features):
        # An anchor without triplet weighs all pictures, so that its margin, which does not count, is finite.
        lone = ~valid[:, None]
        margins = _margins(euclidean_distances(features), positives | lone, negatives | lone)
        return mean_of_valid(margins, valid).masked_fill(both, torch.nan)
    if not bool(valid.any()):
        return features.sum() * 0.0
    return F.softplus(_margins(euclidean_distances(features)[valid], positives[valid], negatives[valid])).mean()


def _margins(distances: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """Return sum w_p d_p - sum w_n d_n of each anchor, (A,), from distances and pairs (A, B) with one of each a row."""
    far = distances.masked_fill(~positives, -torch.inf).softmax(1)
    near = (-distances).masked_fill(~negatives, -torch.inf).softmax(1)
    return (far * distances).sum(1) - (near * distances).sum(1)


class WeightedTriplet(Loss):
    """Module form of :func:`weighted_triplet` in which labels decide who is positive and who negative."""

    def compute(self, rows: Tensor, labels: Tensor) -> Tensor:
        """Return the loss; ``rows`` are features (B, D) before the neck."""
        return weighted_triplet(rows, *pairs_of(labels))
