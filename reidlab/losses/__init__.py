"""Losses of the book: one class per file, each with a functional form."""

from reidlab.losses.augmented_triplet import AugmentedTriplet, augmented_triplet
from reidlab.losses.base import Loss
from reidlab.losses.cross_entropy import CrossEntropy
from reidlab.losses.distances import euclidean_distances
from reidlab.losses.soft_cross_entropy import SoftCrossEntropy, soft_cross_entropy
from reidlab.losses.triplet import SoftMarginBatchHard, hardest_pairs, soft_margin_batch_hard
from reidlab.losses.weighted_triplet import WeightedTriplet, weighted_triplet

__all__ = [
    "AugmentedTriplet",
    "CrossEntropy",
    "Loss",
    "SoftCrossEntropy",
    "SoftMarginBatchHard",
    "WeightedTriplet",
    "augmented_triplet",
    "euclidean_distances",
    "hardest_pairs",
    "soft_cross_entropy",
    "soft_margin_batch_hard",
    "weighted_triplet",
]
