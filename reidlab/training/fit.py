"""Training a picture network on a sample table: the loop, given P x K pictures and the book's two losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from reidlab.data import TrainTransform
from reidlab.data.splits import check_training_rows
from reidlab.errors import ConfigError
from reidlab.training.config import TrainConfig
from reidlab.training.loop import FitResult, train
from reidlab.training.objectives import Objective, reid_objective
from reidlab.training.pictures import PictureSource, Transform, decoded


def fit(
    model: nn.Module,
    table: pd.DataFrame,
    config: TrainConfig,
    seed: int,
    images: np.ndarray | None = None,
    *,
    objective: Objective | None = None,
    transform: Transform | None = None,
    **run: Any,
) -> FitResult:
    """Train a picture network on a sample table, in place.

    Args:
        model: :class:`~reidlab.models.ReIDNet`, or a network with the same outputs, with one class per identity of the
            table; its initial weights are the caller's to seed.
        table: sample table of training rows; identities are numbered in the order of their pids.
        config: pictures, batches, losses, length, optimisation, device and logs.
        seed: decides batches, augmentation and dropout.
        images: decoded pictures of the rows, (N, H, W, 3) uint8 RGB of ``config.size``; read from the table's paths
            where omitted.
        objective: what is minimised; cross-entropy plus soft-margin batch-hard triplets where omitted.
        transform: maps a batch of pictures to network input; flip, shift and erasing as configured where omitted.
        **run: ``hooks``, ``out_dir``, ``resume`` and ``progress`` of :func:`~reidlab.training.loop.train`. To resume,
            objective, transform and hooks must be those that the run began with.

    Returns:
        The trained network and its history: ``iteration, loss, ce, triplet, lr, seconds``.

    Raises:
        ConfigError: an argument does not fit, or the checkpoint is of another run.
        DataError: the table has rows that are not for training, or a picture or checkpoint cannot be read.
        RunError: the loss stopped being finite, or a checkpoint could not be written.

    Example:
        >>> model = ReIDNet(resnet(18, width=16, blocks=(1, 1, 1, 1)), table.pid.nunique())  # doctest: +SKIP
        >>> fit(model, table, TrainConfig(iterations=240, size=(64, 32)), seed=0).history.loss  # doctest: +SKIP
    """
    check_training_rows(table)
    labels = class_labels(model, table["pid"].to_numpy())
    images = decoded(table, config.size, images)
    if transform is None:
        transform = TrainTransform(flip=config.flip, pad=config.pad, erase=config.erase)
    source = PictureSource(images, labels, config.p, config.k, transform)
    # As the pictures are: convolutions run a fifth faster on channels-last memory (tests/benchmarks).
    model = model.to(memory_format=torch.channels_last)
    return train(model, source, reid_objective(config) if objective is None else objective, config, seed, **run)


def class_labels(model: nn.Module, pids: np.ndarray) -> np.ndarray:
    """Return identities (N,) as classes 0..C-1, numbered in the order of their pids.

    Raises:
        ConfigError: the network has another number of classes.
    """
    different, labels = np.unique(pids, return_inverse=True)
    classes = getattr(model, "num_classes", len(different))
    if classes != len(different):
        raise ConfigError(
            f"model: it has {classes} classes, but the table has {len(different)} identities; "
            "build it with num_classes=table.pid.nunique()"
        )
    return labels
