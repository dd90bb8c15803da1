"""Losses of the book: one class per file, each with a functional form."""

from reidlab.losses.base import Loss
from reidlab.losses.cross_entropy import CrossEntropy
from reidlab.losses.distances import euclidean_distances
from reidlab.losses.triplet import SoftMarginBatchHard, hardest_pairs, soft_margin_batch_hard

__all__ = [
    "CrossEntropy",
    "Loss",
    "SoftMarginBatchHard",
    "euclidean_distances",
    "hardest_pairs",
    "soft_margin_batch_hard",
]
