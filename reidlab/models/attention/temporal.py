"""Temporal reduction: fewer frames after each stage of a network.

C.-T. Liu et al., "Spatially and temporally efficient non-local attention network for video-based person
re-identification", BMVC 2019 (https://arxiv.org/abs/1908.01683).
"""

from __future__ import annotations

import torch
from torch import Tensor

from reidlab.errors import ConfigError
from reidlab.models.attention.base import ClipBlock


class TemporalMax(ClipBlock):
    """Element-wise maximum of adjacent frames: (B, C, T, H, W) -> (B, C, T / 2, H, W) (Sec. 2.2.2, Fig. 2.4).

    Raises:
        ConfigError: in use: T is odd.

    Example:
        >>> import torch
        >>> TemporalMax()(torch.tensor([1.0, 3.0, 5.0, 2.0]).view(1, 1, 4, 1, 1)).flatten()
        tensor([3., 5.])
    """

    cost_kind = "pool"

    def transform(self, x: Tensor) -> Tensor:
        """Return the larger of frames 0 and 1, 2 and 3, and so on: (B, C, T, H, W) -> (B, C, T / 2, H, W).

        Raises:
            ConfigError: T is odd.
        """
        if x.shape[2] % 2:
            raise ConfigError(f"x: T = {x.shape[2]} frames do not divide into pairs of adjacent frames; give an even T")
        return torch.maximum(x[:, :, 0::2], x[:, :, 1::2])
