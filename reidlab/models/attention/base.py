"""Interface of the blocks between the ResNet blocks of a video network: a clip's feature maps in and out.

A clip's maps are one tensor (B, C, T, H, W): clips, channels, frames, height, width. That is the logical order. In a
network that runs channels-last the channels lie last in memory, and frames (B * T, C, H, W) become a clip by a view.
The blocks take any layout, and copy least in that one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.nn import functional as F

from reidlab.checks import check_integer
from reidlab.errors import ConfigError


class Pointwise(nn.Conv3d):
    """1x1x1 convolution: parameters of :class:`torch.nn.Conv3d`, run as one matrix product over channels-last rows.

    On a CPU that takes about half the time of torch's 3-D convolution, and it neither copies a channels-last map nor
    leaves that layout.

    Args:
        inputs: channels in.
        outputs: channels out.
        bias: whether a bias is added.

    Attributes:
        cost_kind: "projection", the kind :func:`reidlab.models.cost.cost` books it under.
    """

    cost_kind = "projection"

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, kernel_size=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, T, H, W) -> (B, outputs, T, H, W)."""
        return F.linear(x.movedim(1, -1), self.weight.flatten(1), self.bias).movedim(-1, 1)


class ClipBlock(nn.Module, ABC):
    """Block that maps (B, C, T, H, W) to (B, C, T', H, W); a subclass writes :meth:`transform`.

    Args:
        channels: C that the block is built for, or None where it takes any.

    Attributes:
        channels: C, or None.

    Raises:
        ConfigError: ``channels`` is less than 1.

    Example:
        >>> import torch
        >>> class Reversed(ClipBlock):
        ...     def transform(self, x):
        ...         return x.flip(2)
        >>> Reversed()(torch.zeros(1, 8, 4, 16, 8)).shape
        torch.Size([1, 8, 4, 16, 8])
    """

    def __init__(self, channels: int | None = None) -> None:
        super().__init__()
        if channels is not None:
            check_integer("channels", channels, 1, what="the channels of the map")
        self.channels = channels

    @abstractmethod
    def transform(self, x: Tensor) -> Tensor:
        """Return the new maps of checked maps (B, C, T, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C, T', H, W).

        Raises:
            ConfigError: the input has another number of axes or channels, or a size the block cannot take.
        """
        self.check(x)
        return self.transform(x)

    def check(self, x: Tensor) -> None:
        """Check maps before they are transformed.

        Args:
            x: (B, C, T, H, W).

        Raises:
            ConfigError: there are not five axes, or not the block's channels.
        """
        if x.ndim != 5:
            raise ConfigError(f"x: shape {tuple(x.shape)} must have the five axes (B, C, T, H, W) of a clip's maps")
        if self.channels is not None and x.shape[1] != self.channels:
            raise ConfigError(f"x: {x.shape[1]} channels, but the block was built for {self.channels}")


class ResidualAttention(ClipBlock):
    """Attention whose result is projected, normalised and added to the input; a subclass writes :meth:`attend`.

    The normalisation's weight and bias start at 0: a fresh block is the identity, so it can be put into a pretrained
    network without harm.

    Args:
        channels: C of the map.
        inner: channels that :meth:`attend` gives.
        bias: whether the projection has a bias.

    Attributes:
        project: 1x1x1 convolution from ``inner`` to C channels (W_z of the non-local block).
        norm: the batch normalisation after it.

    Raises:
        ConfigError: ``channels`` or ``inner`` is less than 1.
    """

    def __init__(self, channels: int, inner: int, *, bias: bool = True) -> None:
        super().__init__(channels)
        check_integer("inner", inner, 1, what="the channels of the attention")
        self.project = Pointwise(inner, channels, bias=bias)
        self.norm = nn.BatchNorm3d(channels)
        nn.init.zeros_(self.norm.weight)
        nn.init.zeros_(self.norm.bias)

    @abstractmethod
    def attend(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, inner, T, H, W)."""

    def refinement(self, x: Tensor) -> Tensor:
        """Return what is added to maps (B, C, T, H, W), in their shape."""
        return self.norm(self.project(self.attend(x)))

    def transform(self, x: Tensor) -> Tensor:
        """Return maps (B, C, T, H, W) plus what attention adds to them."""
        return x + self.refinement(x)
