"""VDSR, a residual network for super-resolution made of convolutions alone, with a width for each of them.

J. Kim et al., "Accurate image super-resolution using very deep convolutional networks", CVPR 2016
(https://arxiv.org/abs/1511.04587); Fig. 5.2 of the dissertation.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from reidlab.checks import check_integer


class VDSR(nn.Module):
    """3x3 convolutions with ReLUs between them, whose output is added to the interpolated picture.

    Args:
        widths: filters of all convolutions but the last, which has one filter per channel of the picture.
        channels: of the picture; 1 is luminance.

    Raises:
        ConfigError: a width or the number of channels is less than 1.

    Example:
        >>> VDSR((8, 8, 8))(torch.zeros(2, 1, 41, 41)).shape
        torch.Size([2, 1, 41, 41])
    """

    def __init__(self, widths: Sequence[int], *, channels: int = 1) -> None:
        super().__init__()
        check_integer("channels", channels, 1)
        layers: list[nn.Module] = []
        inputs = channels
        for width in widths:
            check_integer("widths", width, 1, what="filters")
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = width
        self.body = nn.Sequential(*layers, nn.Conv2d(inputs, channels, 3, padding=1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sharpened pictures (B, channels, H, W) of interpolated ones of the same shape."""
        return x + self.body(x)


def vdsr(depth: int = 20, width: int = 64, *, channels: int = 1) -> VDSR:
    """Return a VDSR of equal widths; 20 convolutions of 64 filters are the published network, 10 the shallow one.

    Raises:
        ConfigError: an argument is out of range.
    """
    check_integer("depth", depth, 2, what="convolutions")
    return VDSR((width,) * (depth - 1), channels=channels)
