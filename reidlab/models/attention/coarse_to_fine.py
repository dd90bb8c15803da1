"""Coarse-to-fine axial attention: slices of the channels, each at its own resolution.

C.-T. Liu et al., "Video-based person re-identification without bells and whistles", CVPR workshops 2021
(https://arxiv.org/abs/2105.10678).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reidlab.errors import ConfigError
from reidlab.models.attention.axial import AxialSequence, check_encoding
from reidlab.models.attention.base import ResidualAttention


class SpatialMax(nn.Module):
    """Adaptive maximum over height and width: (B, C, T, H, W) -> (B, C, T, H // factor, W // factor).

    Args:
        factor: of reduction. A side shorter than it is reduced to one place, never to none.
    """

    cost_kind = "pool"

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def reduced(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width after the reduction."""
        return max(height // self.factor, 1), max(width // self.factor, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the reduced maps."""
        return F.adaptive_max_pool3d(x, (x.shape[2], *self.reduced(*x.shape[3:])))


class CoarseToFineAxial(ResidualAttention):
    """Coarse-to-fine axial attention (Sec. 2.5.2): S slices of the channels, each attending at its own scale.

    Slice s = 0, ..., S - 1 is reduced by 2^s in height and width (not in time), attends along height, width and time,
    and is enlarged again (nearest place). The slices side by side are projected, normalised and added to the input
    (Eq. 2.6). With one scale this is :class:`~reidlab.models.attention.axial.Axial`.

    Args:
        channels: C of the map.
        scales: S.
        heads: M, at each axis of each slice.
        encoding: "none", "sinusoidal" or "relative".
        size: (T, H, W) of the map; needed by the relative encoding only, which then takes no other.

    Raises:
        ConfigError: an argument is not allowed, or the channels do not divide into S slices of M heads; in use: an axis
            has another length than the relative encoding's.

    Example:
        >>> import torch
        >>> block, maps = CoarseToFineAxial(32, size=(6, 16, 8)), torch.randn(1, 32, 6, 16, 8)
        >>> torch.equal(block(maps), maps)  # a fresh block is the identity
        True
    """

    def __init__(
        self,
        channels: int,
        *,
        scales: int = 4,
        heads: int = 2,
        encoding: str = "relative",
        size: tuple[int, int, int] | None = None,
    ) -> None:
        super().__init__(channels, channels, bias=False)
        if scales < 1 or channels % scales:
            raise ConfigError(f"scales: {channels} channels do not divide into {scales} slices")
        check_encoding(encoding, size)
        self.widths = (channels // scales,) * scales  # of the slices of the input; fewer where channels were removed
        self.pools = nn.ModuleList([SpatialMax(2**scale) for scale in range(scales)])
        self.slices = nn.ModuleList()
        for pool in self.pools:
            reduced = None if size is None else (size[0], *pool.reduced(*size[1:]))
            self.slices.append(AxialSequence(channels // scales, heads=heads, encoding=encoding, size=reduced))

    def attend(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C, T, H, W)."""
        parts = []
        for part, pool, axes in zip(x.split(self.widths, dim=1), self.pools, self.slices, strict=True):
            if pool.factor == 1:
                parts.append(axes(part))
            else:
                parts.append(F.interpolate(axes(pool(part)), size=x.shape[2:], mode="nearest"))
        return torch.cat(parts, dim=1)
