"""Convolutions over time beside a residual block's 3x3 convolution: P3D-C and AP3D.

P3D-C: Z. Qiu et al., "Learning spatio-temporal representation with pseudo-3D residual networks", ICCV 2017
(https://arxiv.org/abs/1711.10305). AP3D: X. Gu et al., "Appearance-preserving 3D convolution for video-based person
re-identification", ECCV 2020 (https://arxiv.org/abs/2007.08434), which puts both into ResNet-50's layer2 (blocks 0, 2)
and layer3 (blocks 0, 2, 4). The convolution over time starts at 0, so that a fresh module changes nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from reidlab.checks import check_integer, check_number


class TemporalConv(nn.Module):
    """P3D-C: a 3x1x1 convolution of the 3x3 convolution's output, added to it: (B, C, T, H, W) -> the same.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0), bias=False)
        nn.init.zeros_(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return each frame plus the convolution over it and its two neighbouring frames; absent frames are 0."""
        return x + self.conv(x)


class AppearancePreservingConv(nn.Module):
    """AP3D: as :class:`TemporalConv`, but each neighbouring frame is first aligned with the central one.

    Every position of a frame takes the neighbouring frame's features weighted by similarity (softmax of the cosine
    similarities of ``C / reduction`` channels, times a temperature). A contrastive attention, the sigmoid of the
    product of the two frames' projections, then weakens positions without a match.
    (B, C, T, H, W) -> the same.

    Args:
        channels: C.
        reduction: C over the channels of the similarities and of the attention.
        temperature: factor of the similarities; 4 is the authors' choice.

    Raises:
        ConfigError: ``reduction`` or ``temperature`` is out of range.
    """

    def __init__(self, channels: int, *, reduction: int = 16, temperature: float = 4.0) -> None:
        super().__init__()
        check_integer("reduction", reduction, 1)
        check_number("temperature", temperature, above=0)
        inner = max(channels // reduction, 1)
        self.temperature = temperature
        self.semantic = nn.Conv3d(channels, inner, 1, bias=False)
        self.centre = nn.Conv3d(channels, inner, 1, bias=False)
        self.neighbour = nn.Conv3d(channels, inner, 1, bias=False)
        self.contrast = nn.Conv3d(inner, 1, 1, bias=False)
        self.conv = nn.Conv3d(channels, channels, (3, 1, 1), stride=(3, 1, 1), bias=False)
        nn.init.zeros_(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return each frame plus the convolution over it and its two neighbouring frames; absent frames are 0."""
        neighbours = self.align(x)
        # Every centre is projected once per neighbour although twice the same: Table 2.10 counts the released code.
        centres = x.unsqueeze(3).expand_as(neighbours)
        product = self.centre(centres.flatten(2, 3).detach()) * self.neighbour(neighbours.flatten(2, 3).detach())
        weight = self.contrast(product).sigmoid().unflatten(2, (-1, 2))
        before, after = (neighbours * weight).unbind(3)
        triples = torch.stack((before, x, after), dim=3).flatten(2, 3)
        return x + self.conv(triples)

    def align(self, x: Tensor) -> Tensor:
        """Return the frames before and after each, re-assembled as it is: (B, C, T, H, W) -> (B, C, T, 2, H, W)."""
        size = x.shape[-2:]
        semantic = functional.normalize(self.semantic(x), dim=1)
        queries = semantic.permute(0, 2, 3, 4, 1).flatten(2, 3).unsqueeze(2)  # (B, T, 1, HW, C')
        keys = _sides(semantic).permute(0, 2, 3, 1, 4, 5).flatten(4)  # (B, T, 2, C', HW)
        similarity = (self.temperature * (queries @ keys)).softmax(dim=-1)
        values = _sides(x).permute(0, 2, 3, 4, 5, 1).flatten(3, 4)  # (B, T, 2, HW, C)
        return (similarity @ values).unflatten(3, size).permute(0, 5, 1, 2, 3, 4)

    def cost_macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> dict[str, int]:
        """Return the products of one pass, for :func:`reidlab.models.cost.cost`: similarity, re-assembly, contrast.

        Args:
            inputs: the map alone, (B, C, T, H, W).
            output: the same shape; not needed here.
        """
        batch, channels, frames, height, width = inputs[0].shape
        inner, places = self.semantic.out_channels, height * width
        return {"product": 2 * batch * frames * places * (places * (inner + channels) + inner)}


def _sides(x: Tensor) -> Tensor:
    """Return each frame's predecessor and successor, 0 where there is none: (B, C, T, H, W) -> (B, C, T, 2, H, W)."""
    padded = functional.pad(x, (0, 0, 0, 0, 1, 1))
    return torch.stack((padded[:, :, :-2], padded[:, :, 2:]), dim=3)
