"""Chapter 1: what a plain network learns, and what makes the task hard.

:mod:`~reidlab.baseline.methods` holds three ways to describe a picture (colours, an untrained network, a trained
one) behind one interface; :mod:`~reidlab.baseline.studies` compares them, turns the knobs of the embedded world one
by one (:mod:`~reidlab.baseline.knobs`), crosses seasons and measures on real data.
"""

from reidlab.baseline.knobs import KNOBS
from reidlab.baseline.methods import (
    ColourHistogram,
    Extractor,
    Method,
    Network,
    TrainedNetwork,
    UntrainedNetwork,
    recipe,
)
from reidlab.baseline.studies import Measured, Outcome, Splits, Study, compare, score, splits

__all__ = [
    "KNOBS",
    "ColourHistogram",
    "Extractor",
    "Measured",
    "Method",
    "Network",
    "Outcome",
    "Splits",
    "Study",
    "TrainedNetwork",
    "UntrainedNetwork",
    "compare",
    "recipe",
    "score",
    "splits",
]
