"""Where batches come from."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor


class BatchSource(Protocol):
    """An endless stream of batches whose place can be saved and found again.

    Pictures, tracklet clips and pseudo-labelled pictures are such streams; the loop asks no more of them than this.
    """

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""

    def start(self, seed: int, rank: int) -> None:
        """Go to the beginning of the stream of one process (``rank`` 0 where there is one)."""

    def batch(self, device: torch.device) -> Any:
        """Return the next batch, ready for the objective, on a device."""

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
