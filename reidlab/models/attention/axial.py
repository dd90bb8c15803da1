"""Axial attention: along the height, then the width, then time; each position attends only along its line.

J. Ho et al., "Axial attention in multidimensional transformers", 2019 (https://arxiv.org/abs/1912.12180).
H. Wang et al., "Axial-DeepLab: stand-alone axial-attention for panoptic segmentation", ECCV 2020
(https://arxiv.org/abs/2003.07853): relative positions seen by queries, keys and values, and the normalisations.
C.-T. Liu et al., "Video-based person re-identification without bells and whistles", CVPR workshops 2021
(https://arxiv.org/abs/2105.10678), took it to three axes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from reidlab.checks import check_choice, check_integer
from reidlab.errors import ConfigError
from reidlab.models.attention.base import Pointwise, ResidualAttention

ENCODINGS = ("none", "sinusoidal", "relative")

#: Position of each axis in (B, C, T, H, W), in the order of attention (Eq. 2.6).
AXES = {"height": 3, "width": 4, "time": 2}


class RelativeEncoding(nn.Module):
    """Learnt vectors of the distance from query to key: r^q, r^k and r^v of Eq. 2.5, one set for all heads.

    Args:
        width: d, channels of a head's values; its queries and keys have d / 2.
        length: K, places along the axis.

    Attributes:
        vectors: (2 d, 2 K - 1): d / 2 rows for r^q, d / 2 for r^k, d for r^v; column key - query + K - 1. They start as
            N(0, 1 / d), as in Axial-DeepLab.
    """

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.width, self.length = width, length
        self.vectors = nn.Parameter(torch.empty(2 * width, 2 * length - 1))
        nn.init.normal_(self.vectors, std=width**-0.5)

    def forward(self, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return r^q (d / 2, K, K), r^k (d / 2, K, K) and r^v (d, K, K), query before key, for ``places`` = 0..K-1."""
        vectors = self.vectors[:, places - places[:, None] + self.length - 1]
        return vectors.split((self.width // 2, self.width // 2, self.width))


class AxisAttention(nn.Module):
    """Attention along one axis (Eqs. 2.4 and 2.5): (B, C, T, H, W) -> (B, C, T, H, W).

    Per head of width d = C / heads: queries and keys of d / 2 channels, values of d, all from one bias-free 1x1x1
    convolution and its batch normalisation. (The original cuts the map into lines and uses Conv1d and BatchNorm1d; the
    arithmetic is the same.) No factor 1/sqrt(d). The maps of similarity (queries with keys, queries with r^q, keys with
    r^k) are normalised per map and head, then summed; so are the two parts of the output (values, r^v), per channel.

    Args:
        channels: C.
        axis: "height", "width" or "time".
        heads: M.
        encoding: of positions: "none"; "sinusoidal", added to the input of each axis; "relative" (Eq. 2.5).
        length: K, places along the axis; needed by a relative encoding only, which then takes no other.

    Raises:
        ConfigError: an argument is not allowed; in use: the axis has another length than a relative encoding's.
    """

    def __init__(
        self, channels: int, axis: str, *, heads: int = 1, encoding: str = "none", length: int | None = None
    ) -> None:
        super().__init__()
        check_choice("axis", axis, AXES)
        check_integer("heads", heads, 1)
        if channels < 1 or channels % (2 * heads):
            raise ConfigError(
                f"heads: {channels} channels do not divide into {heads} heads of an even width (keys have half of it)"
            )
        check_choice("encoding", encoding, ENCODINGS)
        relative = encoding == "relative"
        if relative:
            check_integer("length", length, 1, what=f"the places along the {axis} that a relative encoding is made for")
        self.axis, self.heads, self.width = axis, heads, channels // heads
        self.sinusoidal = encoding == "sinusoidal"
        self.project = Pointwise(channels, 2 * channels, bias=False)
        self.norm = nn.BatchNorm3d(2 * channels)
        self.encoding = RelativeEncoding(self.width, length) if relative else None
        self.similarity_norm = nn.BatchNorm2d((3 if relative else 1) * heads)
        self.output_norm = nn.BatchNorm3d((2 if relative else 1) * channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C, T, H, W)."""
        axis = AXES[self.axis]
        length = x.shape[axis]
        if self.encoding is not None and length != self.encoding.length:
            raise ConfigError(
                f"size: {self.axis} {length}, but the relative encoding was built for {self.encoding.length}; "
                "give maps of that size, or build the block for this one"
            )
        if self.sinusoidal:
            shape = [1, -1, 1, 1, 1]
            shape[axis] = length
            x = x + sinusoids(length, x.shape[1]).to(x).T.reshape(shape)
        lines = self.norm(self.project(x)).movedim(1, -1).movedim(axis - 1, -2)
        lines = lines.unflatten(-1, (self.heads, -1)).transpose(-2, -3)  # (B, two other axes, M, K, 2 d)
        outer = lines.shape[:3]
        half = self.width // 2
        queries, keys, values = lines.flatten(0, 2).split((half, half, self.width), dim=-1)
        similarity = queries @ keys.transpose(-1, -2)
        if self.encoding is None:
            weights = self.similarity_norm(similarity).softmax(dim=-1)
            parts = [weights @ values]
        else:
            to_queries, to_keys, to_values = self.encoding(torch.arange(length, device=x.device))
            by_query = torch.einsum("nmqd,dqk->nmqk", queries, to_queries)
            by_key = torch.einsum("nmkd,dqk->nmqk", keys, to_keys)
            maps = self.similarity_norm(torch.cat((similarity, by_query, by_key), dim=1))
            weights = maps.unflatten(1, (3, self.heads)).sum(dim=1).softmax(dim=-1)
            parts = [weights @ values, torch.einsum("nmqk,dqk->nmqd", weights, to_values)]

        gathered = torch.cat(parts, dim=1).unflatten(0, outer)  # (B, two other axes, parts * M, K, d)
        # The order of axes first, then one copy: so the map comes out channels-last, whatever the axis.
        gathered = gathered.transpose(-2, -3).movedim(3, axis - 1).flatten(-2).movedim(-1, 1)
        gathered = self.output_norm(gathered)
        return gathered.unflatten(1, (len(parts), -1)).sum(dim=1)

    def cost_macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> dict[str, int]:
        """Return the MACs of one pass by kind, for :func:`reidlab.models.cost.cost`; the projection counts for itself.

        Each of the similarity maps takes d / 2 products per pair of places and head, each part of the output d.

        Args:
            inputs: the map; not needed here.
            output: (B, C, T, H, W).
        """
        similarities, parts = (1, 1) if self.encoding is None else (3, 2)
        return {"product": output.numel() * output.shape[AXES[self.axis]] * (similarities + 2 * parts) // 2}


class AxialSequence(nn.Sequential):
    """Attention along the height, then the width, then time (Eq. 2.6), without projection and residual.

    Args:
        channels: C.
        heads: M, at each axis.
        encoding: one of :data:`ENCODINGS`.
        size: (T, H, W) of the map; needed by the relative encoding only.

    Raises:
        ConfigError: an argument is not allowed.
    """

    def __init__(self, channels: int, *, heads: int, encoding: str, size: tuple[int, int, int] | None) -> None:
        check_encoding(encoding, size)
        super().__init__()
        for axis, position in AXES.items():
            length = None if size is None else size[position - 2]
            self.add_module(axis, AxisAttention(channels, axis, heads=heads, encoding=encoding, length=length))


class Axial(ResidualAttention):
    """Axial-attention block (Eq. 2.6): maps (B, C, T, H, W) plus what attention along each axis in turn adds.

    Args:
        channels: C of the map.
        heads: M, at each axis.
        encoding: "none", "sinusoidal" or "relative".
        size: (T, H, W) of the map; needed by the relative encoding only, which then takes no other.

    Raises:
        ConfigError: an argument is not allowed; in use: an axis has another length than the relative encoding's.

    Example:
        >>> import torch
        >>> block, maps = Axial(16, heads=2, size=(6, 8, 4)), torch.randn(1, 16, 6, 8, 4)
        >>> torch.equal(block(maps), maps)  # a fresh block is the identity
        True
    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int = 8,
        encoding: str = "relative",
        size: tuple[int, int, int] | None = None,
    ) -> None:
        super().__init__(channels, channels, bias=False)
        self.axes = AxialSequence(channels, heads=heads, encoding=encoding, size=size)

    def attend(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C, T, H, W)."""
        return self.axes(x)


def check_encoding(encoding: str, size: tuple[int, int, int] | None) -> None:
    """Check an encoding of positions and the size that it is made for.

    Args:
        encoding: one of :data:`ENCODINGS`.
        size: (T, H, W) of the map, or None.

    Raises:
        ConfigError: the encoding is unknown, it is relative and there is no size, or the size is not three numbers
            of at least 1.
    """
    check_choice("encoding", encoding, ENCODINGS)
    if encoding != "relative" and size is None:
        return
    if size is None or len(size) != 3 or min(size) < 1:
        raise ConfigError(f"size: {size} must be the (T, H, W) of the map, for which a relative encoding is made")


def sinusoids(length: int, channels: int) -> Tensor:
    """Return the sinusoidal encoding of places 0 to ``length`` - 1, (length, channels), for an even number of channels.

    Channel 2 i of place p is sin(p / 10000^(2 i / channels)), channel 2 i + 1 its cosine (A. Vaswani et al., "Attention
    is all you need", NIPS 2017, Sec. 3.5). The code released with CF-AAN has 1000 in place of 10000.
    """
    rates = torch.exp(torch.arange(0, channels, 2, dtype=torch.float64) * (-math.log(10000.0) / channels))
    angles = torch.arange(length)[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)
