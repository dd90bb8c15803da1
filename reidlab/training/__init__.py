"""One training loop for all chapters: configuration, checkpoints, resume, and feature extraction.

:func:`fit` trains a picture network on a sample table, :func:`fit_clips` a network for clips on its tracklets. Both are
:func:`train`, the loop, given P x K batches and the book's two losses; a chapter with other batches or losses calls
:func:`train` with its own :class:`~reidlab.training.sources.BatchSource`, objective and hooks.
"""

from reidlab.training.clips import ClipSource, extract_clips, fit_clips
from reidlab.training.config import ClipConfig, LoopConfig, TrainConfig
from reidlab.training.extract import extract
from reidlab.training.fit import fit
from reidlab.training.hooks import Hook, TrainState
from reidlab.training.loop import FitResult, train
from reidlab.training.objectives import Objective, Supervised, Term, reid_objective
from reidlab.training.pictures import PictureSource
from reidlab.training.sources import Batch, BatchSource, ClipBatch

__all__ = [
    "Batch",
    "BatchSource",
    "ClipBatch",
    "ClipConfig",
    "ClipSource",
    "FitResult",
    "Hook",
    "LoopConfig",
    "Objective",
    "PictureSource",
    "Supervised",
    "Term",
    "TrainConfig",
    "TrainState",
    "extract",
    "extract_clips",
    "fit",
    "fit_clips",
    "reid_objective",
    "train",
]
