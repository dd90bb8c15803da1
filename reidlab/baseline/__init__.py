"""Chapter 1: the baseline network, and the effect of each difficulty of the task.

:mod:`~reidlab.baseline.methods` holds three descriptions of a picture (colours, an untrained network, a trained
one); :mod:`~reidlab.baseline.studies` compares them, varies the difficulties of the embedded world one by one
(:mod:`~reidlab.baseline.knobs`), crosses seasons and measures on real data.
"""

from reidlab.baseline.knobs import KNOBS
from reidlab.baseline.methods import METHODS
from reidlab.baseline.studies import BaselineStudy

__all__ = ["KNOBS", "METHODS", "BaselineStudy"]
