"""Batch-hard triplets that use pictures without a label: a picture and its own augmented copy (Sec. 3.3.1).

The dissertation's augmented triplet loss, after the camera-invariance triplets of Z. Zhong et al., "Generalizing a
person retrieval model hetero- and homogeneously", ECCV 2018. It holds where labelled and unlabelled pictures show
different people.
"""

from __future__ import annotations

from torch import Tensor

from reidlab.losses.base import Loss, check_batch
from reidlab.losses.triplet import batch_hard, pairs_of


def augmented_triplet(features: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over anchors of log(1 + exp(max positive - min negative)).

    Labels from 0 on are identities. A negative label marks a picture without one; its copies share that label.
    Positives share a label. Negatives have different labels, except for two pictures without identity: nobody knows
    whether they show the same person. An anchor is never its own positive, and anchors without a positive or without a
    negative are left out of the mean; a batch without any triplet has the loss 0 (and gradient 0).

    Args:
        features: (B, D) un-normalised features, before the neck.
        labels: (B,) integers.

    Returns:
        Scalar, float32 or float64.

    Raises:
        ConfigError: shapes, types or devices do not fit.

    Example:
        >>> features = torch.tensor([[0.0], [1.0], [5.0], [6.0], [7.0]])
        >>> labels = torch.tensor([3, 3, -1, -1, -2])  # -2 has no copy and is nobody's positive
        >>> round(float(augmented_triplet(features, labels)), 4)  # anchors at -4, -3, -3 and -4
        0.0334
    """
    check_batch(features, labels)
    positives, others = pairs_of(labels)
    known = labels >= 0
    return batch_hard(features, positives, others & (known[:, None] | known[None, :]))


class AugmentedTriplet(Loss):
    """Module form of :func:`augmented_triplet`."""

    def compute(self, rows: Tensor, labels: Tensor) -> Tensor:
        """Return the loss; ``rows`` are features (B, D) before the neck."""
        return augmented_triplet(rows, labels)
