"""Non-local attention: every position of every frame attends to every other.

X. Wang et al., "Non-local neural networks", CVPR 2018 (https://arxiv.org/abs/1711.07971): the embedded Gaussian.
C.-T. Liu et al., "Spatially and temporally efficient non-local attention network for video-based person
re-identification", BMVC 2019 (https://arxiv.org/abs/1908.01683), put five such blocks into a ResNet-50 (NVAN) and made
them cheap by horizontal stripes (STE-NVAN).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reidlab.checks import check_integer
from reidlab.errors import ConfigError
from reidlab.models.attention.base import Pointwise, ResidualAttention


class DotProductAttention(nn.Module):
    """Softmax of the products of queries and keys, times the values; no factor 1/sqrt(d), no dropout (Eq. 2.1).

    Torch's fused kernel never writes the L x M matrix of weights: memory grows with L + M.

    Example:
        >>> import torch
        >>> rows = torch.zeros(2, 1, 12, 8)
        >>> DotProductAttention()(rows, rows, rows).shape
        torch.Size([2, 1, 12, 8])
    """

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Queries (B, heads, L, D), keys (B, heads, M, D) and values (B, heads, M, E) -> (B, heads, L, E)."""
        return F.scaled_dot_product_attention(queries, keys, values, scale=1.0)

    def cost_macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> dict[str, int]:
        """Return the MACs of one pass by kind, for :func:`reidlab.models.cost.cost`.

        Args:
            inputs: queries, keys and values, as :meth:`forward` takes them.
            output: (B, heads, L, E).
        """
        queries, keys, _ = inputs
        return {"product": (queries.numel() + output.numel()) * keys.shape[2]}


class StripeMean(nn.Module):
    """Mean of each of S horizontal stripes: (B, C, T, H, W) -> (B, C, T, S, 1) ("Make stripe", Fig. 2.3).

    Args:
        stripes: S.

    Raises:
        ConfigError: S is less than 1; in use: the height does not divide into S stripes.
    """

    cost_kind = "pool"

    def __init__(self, stripes: int) -> None:
        super().__init__()
        check_integer("stripes", stripes, 1)
        self.stripes = stripes

    def split(self, x: Tensor) -> Tensor:
        """Return a view (B, C, T, S, H / S, W) of maps (B, C, T, H, W).

        Raises:
            ConfigError: H does not divide into S stripes.
        """
        if x.shape[3] % self.stripes:
            raise ConfigError(f"stripes: a map of height H = {x.shape[3]} does not divide into {self.stripes} stripes")
        return x.unflatten(3, (self.stripes, -1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the stripes' means."""
        return self.split(x).mean(dim=(4, 5)).unsqueeze(-1)


class NonLocal(ResidualAttention):
    """Non-local block (Eq. 2.1, Sec. 2.2.1): maps (B, C, T, H, W) plus what attention over all T * H * W places adds.

    Args:
        channels: C of the map.
        inner: C', channels of queries, keys and values; C / 2 where omitted.
        pairs: attend only within the pairs of adjacent frames (0, 1), (2, 3), ..., as the released STE-NVAN does; the
            text attends over all T.
        stripes: S. Attention, projection and normalisation run on the means of S horizontal stripes, and the result is
            repeated over each stripe (the spatial reduction of Sec. 2.2.2). None: every place for itself.

    Attributes:
        attention: the product of queries, keys and values; may be exchanged for one with the same call.

    Raises:
        ConfigError: an argument is less than 1; in use: the height does not divide into S stripes, or the number of
            frames into pairs.

    Example:
        >>> import torch
        >>> block, maps = NonLocal(16, stripes=4), torch.randn(1, 16, 6, 8, 4)
        >>> torch.equal(block(maps), maps)  # a fresh block is the identity
        True
        >>> block.weights(maps, query=(0, 2, 1)).shape
        torch.Size([1, 6, 8, 4])
    """

    def __init__(
        self, channels: int, inner: int | None = None, *, pairs: bool = False, stripes: int | None = None
    ) -> None:
        inner = max(channels // 2, 1) if inner is None else inner
        super().__init__(channels, inner)
        self.theta = Pointwise(channels, inner)
        self.phi = Pointwise(channels, inner)
        self.g = Pointwise(channels, inner)
        self.attention = DotProductAttention()
        self.pool = None if stripes is None else StripeMean(stripes)
        self.pairs = pairs

    def check(self, x: Tensor) -> None:
        """Check maps before attention.

        Args:
            x: (B, C, T, H, W).

        Raises:
            ConfigError: the axes or channels do not fit, or T is odd where frames attend in pairs.
        """
        super().check(x)
        if self.pairs and x.shape[2] % 2:
            raise ConfigError(f"pairs: a clip of T = {x.shape[2]} frames does not divide into pairs of adjacent frames")

    def attend(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, inner, T, H, W)."""
        values = self.g(x)
        seen = (self._rows(self.theta(x)), self._rows(self.phi(x)), self._rows(values))
        mixed = self.attention(*seen)
        return mixed.reshape(values.movedim(1, -1).shape).movedim(-1, 1)

    def transform(self, x: Tensor) -> Tensor:
        """Return maps (B, C, T, H, W) plus what attention adds, the same over a whole stripe if there are any."""
        if self.pool is None:
            return super().transform(x)
        added = self.refinement(self.pool(x))
        return (self.pool.split(x) + added.unsqueeze(4)).flatten(3, 4)

    @torch.no_grad()
    def weights(self, x: Tensor, query: tuple[int, int, int]) -> Tensor:
        """Return what one place attends to: the softmax of Eq. 2.1 for one i and all j, for figures.

        Args:
            x: maps (B, C, T, H, W).
            query: frame, row and column of the place i.

        Returns:
            (B, T, H, W), 0 in frames out of reach. The sum over a clip is 1; with stripes a stripe's weight is given
            at each of its positions, and the sum over stripes is 1.

        Raises:
            ConfigError: the place lies outside the map, or the block cannot take the map.
        """
        self.check(x)
        for name, position, length in zip(("frame", "row", "column"), query, x.shape[2:], strict=True):
            if not 0 <= position < length:
                raise ConfigError(f"query: {name} {position} lies outside the map; give 0 to {length - 1}")
        frame, row, column = query
        maps = x
        if self.pool is not None:
            maps = self.pool(x)
            row, column = row * self.pool.stripes // x.shape[3], 0
        first, last = (frame - frame % 2, frame - frame % 2 + 2) if self.pairs else (0, x.shape[2])
        place = self.theta(maps[:, :, frame, row, column, None, None, None]).flatten(1)
        scores = torch.einsum("bc,bcthw->bthw", place, self.phi(maps[:, :, first:last]))
        reached = scores.flatten(1).softmax(dim=1).view(scores.shape)
        weights = x.new_zeros(x.shape[:1] + maps.shape[2:])
        weights[:, first:last] = reached
        if self.pool is not None:
            weights = weights.repeat_interleave(x.shape[3] // self.pool.stripes, dim=2)
        return weights.expand(-1, -1, -1, x.shape[4])

    def _rows(self, x: Tensor) -> Tensor:
        """(B, inner, T, H, W) -> (groups, 1, places of a group, inner); a group is a clip, or a pair of its frames."""
        groups = x.shape[0] * (x.shape[2] // 2 if self.pairs else 1)
        return x.movedim(1, -1).reshape(groups, 1, -1, x.shape[1])
