"""Chapter 1: what a plain network learns, and what makes the task hard.

:mod:`~reidlab.baseline.methods` holds three ways to describe a picture (colours, an untrained network, a trained
one) behind one interface; :mod:`~reidlab.baseline.studies` compares them, turns the knobs of the embedded world one
by one, and crosses seasons.
"""

from reidlab.baseline.methods import ColourHistogram, Extractor, Method, Network, TrainedNetwork, UntrainedNetwork
from reidlab.baseline.studies import Outcome, compare, cross_domains, evaluate_on, score, splits, turn_knobs

__all__ = [
    "ColourHistogram",
    "Extractor",
    "Method",
    "Network",
    "Outcome",
    "TrainedNetwork",
    "UntrainedNetwork",
    "compare",
    "cross_domains",
    "evaluate_on",
    "score",
    "splits",
    "turn_knobs",
]
