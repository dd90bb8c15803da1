"""Decoded pictures, and P x K batches of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from reidlab.checks import check_images
from reidlab.data import ImageCache, to_device
from reidlab.errors import ConfigError
from reidlab.training.sources import Batch, IdentitySource

#: Maps (B, H, W, 3) uint8 pictures to (B, 3, H, W) normalised floats on the same device; draws from a CPU generator.
Transform = Callable[[Tensor, torch.Generator], Tensor]


class PictureSource(IdentitySource):
    """Batch source over pictures in memory: a batch is one index and one transform of a whole tensor.

    Args:
        images: (N, H, W, 3) uint8, RGB.
        labels: (N,) integers 0..C-1.
        p: identities in a batch.
        k: pictures of each.
        transform: augmentation and normalisation.

    Raises:
        ConfigError: pictures and labels do not fit each other.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, p: int, k: int, transform: Transform) -> None:
        self._images = as_tensor(images)
        if len(images) != len(labels):
            raise ConfigError(f"images: {len(images)} pictures for {len(labels)} labels; give one label per picture")
        self._transform = transform
        super().__init__(labels, p, k)

    def batch(self, device: torch.device) -> Batch:
        """Return the next batch; pictures travel to the device as bytes and are transformed there."""
        rows = torch.from_numpy(self._sampler.next_batch())
        images = self._transform(to_device(self._images[rows], device), self._generator)
        labels = torch.from_numpy(self._labels)[rows]
        return Batch(images, to_device(labels, device), rows)

    def describe(self) -> dict[str, Any]:
        """Return the number of pictures and a hash of the labels."""
        return {"pictures": len(self._images), **super().describe()}


def as_tensor(images: np.ndarray) -> Tensor:
    """Return pictures (N, H, W, 3) uint8 as a tensor over the same memory.

    Raises:
        ConfigError: they have another shape or type.
    """
    return torch.from_numpy(np.ascontiguousarray(check_images("images", images)))


def decoded(table: pd.DataFrame, size: tuple[int, int], images: np.ndarray | None = None) -> np.ndarray:
    """Return the pictures of a table's rows, (N, H, W, 3) uint8 RGB of ``size``.

    Args:
        table: sample table of N rows.
        size: height and width, in pixels.
        images: the pictures where they are decoded already; read from the table's paths where None.

    Raises:
        ConfigError: the pictures given do not fit the table or the size.
        DataError: a picture cannot be read; the message names its file.
    """
    return check_images("images", ImageCache(table, size) if images is None else images, len(table), size)
