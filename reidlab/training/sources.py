"""Where batches come from."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from reidlab.data.samplers import PKSampler, digest
from reidlab.seeding import derive


class BatchSource(Protocol):
    """An endless stream of batches whose place can be saved and found again.

    Pictures, tracklet clips and pseudo-labelled pictures are such streams; the loop needs nothing else of them. With
    ``prefetch`` another thread makes batches, one ahead: a source then draws from generators of its own alone.
    """

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""

    def start(self, seed: int, rank: int) -> None:
        """Go to the beginning of the stream of one process (``rank`` 0 where there is one)."""

    def batch(self, device: torch.device) -> Any:
        """Return the next batch, ready for the objective, on a device: tensors in tuples, data classes or the like."""

    def describe(self) -> dict[str, Any]:
        """Return numbers and strings that a resumed run's source must share, by name."""

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the stream, in types a weights-only file can hold."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a place that :meth:`state_dict` returned."""


class Batch(NamedTuple):
    """Pictures ready for a network.

    Attributes:
        images: (B, 3, H, W) float, normalised, in channels-last memory.
        labels: (B,) int64, training identities numbered from 0.
        rows: (B,) int64, positions in the table the pictures came from.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the network is called with: (B, 3, H, W) pictures."""
        return (self.images,)


class ClipBatch(NamedTuple):
    """Clips ready for a network.

    Attributes:
        images: (B, T, 3, H, W) float, normalised; ``images.flatten(0, 1)`` are frames in channels-last memory.
        labels: (B,) int64, training identities numbered from 0.
        rows: (B, T) int64, positions in the table the frames came from.
        masks: (B, T, 4) int64 boxes (y0, y1, x0, x1) in pixels, the part of each frame that is picture and not padding;
            None where all of it is.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor
    masks: Tensor | None = None

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the network is called with: clips (B, T, 3, H, W), and masks (B, T, 4) where there are any."""
        return (self.images,) if self.masks is None else (self.images, self.masks)


class IdentitySource:
    """What sources of P x K batches share: the sampler, the transforms' generator and their place in the stream.

    Args:
        labels: (N,) integers 0..C-1, the identities of what is sampled.
        p: identities in a batch.
        k: pictures or tracklets of each.
    """

    def __init__(self, labels: np.ndarray, p: int, k: int) -> None:
        self._labels = np.asarray(labels, dtype=np.int64)
        self._p, self._k = p, k
        self.start(0, 0)

    def __len__(self) -> int:
        return len(self._sampler)

    def start(self, seed: int, rank: int) -> None:
        """Go to the beginning of the stream of one process."""
        self._sampler = PKSampler(self._labels, self._p, self._k, derive(seed, "identities", rank))
        self._generator = torch.Generator().manual_seed(derive(seed, "transforms", rank))

    def describe(self) -> dict[str, Any]:
        """Return a hash of the labels."""
        return {"labels": digest(self._labels)}

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the sampler and of the transforms' generator."""
        return {"sampler": self._sampler.state_dict(), "generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a place that :meth:`state_dict` returned."""
        self._sampler.load_state_dict(state["sampler"])
        self._generator.set_state(state["generator"])
