"""From a sample table to embeddings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import nn

from reidlab.checks import check_integer
from reidlab.data import normalize
from reidlab.errors import DataError
from reidlab.evaluation.embeddings import Embeddings
from reidlab.models import evaluating
from reidlab.training.denormals import flushed_denormals
from reidlab.training.pictures import decoded


@flushed_denormals()
def extract(
    model: nn.Module,
    table: pd.DataFrame,
    size: tuple[int, int],
    batch_size: int = 256,
    flip: bool = False,
    *,
    images: np.ndarray | None = None,
) -> Embeddings:
    """Embed every picture of a table with the network's features after the neck, in evaluation mode.

    Args:
        model: network whose output has ``embedding`` (B, D); it runs where its weights are and keeps its mode.
        table: sample table, of any split.
        size: height and width of the network's input, in pixels; the size it was trained at.
        batch_size: pictures per pass; changes memory and speed only.
        flip: embed each picture and its mirror image and take the mean.
        images: decoded pictures of the rows, (N, H, W, 3) uint8 RGB of ``size``; read where omitted.

    Returns:
        Embeddings in the order of the rows, float32, not normalised to unit length.

    Raises:
        ConfigError: ``batch_size`` is less than 1, or the pictures do not fit the table.
        DataError: the table is empty, or a picture cannot be read.
    """
    check_integer("batch_size", batch_size, 1)
    if len(table) == 0:
        raise DataError("table: it has no rows to embed")
    images = decoded(table, size, images)
    weight = next(model.parameters())
    parts = []
    with evaluating(model), torch.inference_mode():
        for start in range(0, len(images), batch_size):
            batch = torch.from_numpy(images[start : start + batch_size]).to(weight.device)
            batch = normalize(batch).to(weight.dtype)
            embedding = model(batch).embedding
            if flip:
                embedding = (embedding + model(batch.flip(-1)).embedding) / 2
            parts.append(embedding.float().cpu().numpy())
    return Embeddings(
        features=np.concatenate(parts),
        pids=table["pid"].to_numpy(),
        camids=table["camid"].to_numpy(),
        tracklets=table["tracklet"].to_numpy(),
    )
