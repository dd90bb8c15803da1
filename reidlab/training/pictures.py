"""P x K batches of decoded pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reidlab.data import PKSampler
from reidlab.errors import ConfigError
from reidlab.seeding import derive
from reidlab.training.sources import Batch

#: Maps (B, H, W, 3) uint8 pictures to (B, 3, H, W) normalised floats on the same device; draws from a CPU generator.
Transform = Callable[[Tensor, torch.Generator], Tensor]


class PictureSource:
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
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
            raise ConfigError(f"images: expected uint8 (N, H, W, 3), got {images.dtype} {images.shape}")
        if len(images) != len(labels):
            raise ConfigError(f"images: {len(images)} pictures for {len(labels)} labels; give one label per picture")
        self._images = torch.from_numpy(np.ascontiguousarray(images))
        self._labels = np.asarray(labels, dtype=np.int64)
        self._p, self._k = p, k
        self._transform = transform
        self.start(0, 0)

    def __len__(self) -> int:
        return len(self._sampler)

    def start(self, seed: int, rank: int) -> None:
        """Go to the beginning of the stream of one process."""
        self._sampler = PKSampler(self._labels, self._p, self._k, derive(seed, "identities", rank))
        self._generator = torch.Generator().manual_seed(derive(seed, "transforms", rank))

    def batch(self, device: torch.device) -> Batch:
        """Return the next batch; pictures travel to the device as bytes and are transformed there."""
        rows = torch.from_numpy(self._sampler.next_batch())
        images = self._transform(self._images[rows].to(device), self._generator)
        labels = torch.from_numpy(self._labels)[rows]
        return Batch(images, labels.to(device), rows)

    def describe(self) -> dict[str, Any]:
        """Return the number of pictures and a hash of the labels."""
        digest = hashlib.blake2b(self._labels.tobytes(), digest_size=8).hexdigest()
        return {"pictures": len(self._images), "labels": digest}

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the sampler and of the transforms' generator."""
        return {"sampler": self._sampler.state_dict(), "generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a place that :meth:`state_dict` returned."""
        self._sampler.load_state_dict(state["sampler"])
        self._generator.set_state(state["generator"])
