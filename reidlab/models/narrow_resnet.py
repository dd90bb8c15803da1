"""Residual networks whose every convolution has a width of its own, among them those for CIFAR.

K. He et al., "Deep residual learning for image recognition", CVPR 2016 (https://arxiv.org/abs/1512.03385): Sec. 4.2 has
the networks of 6n + 2 layers for CIFAR. The dissertation's ResNet-32 (Sec. 5.4.4) has twice their widths and projects
its shortcuts in stages 2 and 3. Pruning leaves an identity shortcut with fewer channels on one side than on the other;
Fig. 5.4 (b) pads it with zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from reidlab.checks import check_integer
from reidlab.errors import ConfigError
from reidlab.models.resnet import BasicBlock, Bottleneck, ResNet

#: Filters of the two convolutions of each block, stage by stage.
Stages = Sequence[Sequence[tuple[int, int]]]


class PaddedIdentity(nn.Module):
    """An identity between different numbers of channels: pads with zeros, or cuts (Fig. 5.4 (b)).

    Args:
        inputs: channels in.
        source: for each channel out the channel in that it is, or ``inputs`` for one of zeros.
        stride: takes every stride-th row and column, as shortcuts without weights do where the map halves.

    Raises:
        ConfigError: an entry of ``source`` is no channel, or the stride is less than 1.

    Example:
        >>> PaddedIdentity(2, [0, 2, 1])(torch.ones(1, 2, 1, 1)).flatten()
        tensor([1., 0., 1.])
    """

    source: Tensor

    def __init__(self, inputs: int, source: Sequence[int], stride: int = 1) -> None:
        super().__init__()
        check_integer("stride", stride, 1)
        if wrong := [place for place in source if not 0 <= place <= inputs]:
            raise ConfigError(f"source: {wrong[0]} is no channel; expected 0 to {inputs - 1}, or {inputs} for zeros")
        self.inputs, self.stride = inputs, stride
        self.register_buffer("source", torch.tensor(list(source), dtype=torch.long))

    @classmethod
    def first(cls, inputs: int, outputs: int, stride: int = 1) -> PaddedIdentity:
        """Return one that keeps the first channels in their places."""
        return cls(inputs, [min(channel, inputs) for channel in range(outputs)], stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        x = x[:, :, :: self.stride, :: self.stride]
        return torch.cat([x, torch.zeros_like(x[:, :1])], dim=1).index_select(1, self.source)


def set_inner_widths(block: BasicBlock | Bottleneck, widths: Sequence[int]) -> None:
    """Give the convolutions of a block but its last new, freshly drawn ones of other widths, in place.

    Args:
        block: what it takes and puts out stays.
        widths: one for a basic block, two for a bottleneck.

    Raises:
        ConfigError: there are too few or too many widths, or one is less than 1.
    """
    convs = [getattr(block, f"conv{n}") for n in (1, 2, 3) if hasattr(block, f"conv{n}")]
    if len(widths) != len(convs) - 1:
        raise ConfigError(f"widths: {tuple(widths)} for a {type(block).__name__}; expected {len(convs) - 1}")
    for width in widths:
        check_integer("widths", width, 1, what="filters")
    channels = [convs[0].in_channels, *widths, convs[-1].out_channels]
    for n, old in enumerate(convs):
        new = nn.Conv2d(channels[n], channels[n + 1], old.kernel_size, old.stride, old.padding, bias=False)
        nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
        setattr(block, f"conv{n + 1}", new)
        setattr(block, f"bn{n + 1}", nn.BatchNorm2d(channels[n + 1]))


def narrowed(model: ResNet, widths: Sequence[Sequence[int]]) -> ResNet:
    """Return a ResNet with other widths inside its blocks, in place: see :func:`set_inner_widths`.

    Raises:
        ConfigError: there is not one entry for each block, or one does not fit.
    """
    blocks = list(chain(*model.stages))
    if len(widths) != len(blocks):
        raise ConfigError(f"widths: {len(widths)} entries for {len(blocks)} blocks")
    for block, inner in zip(blocks, widths, strict=True):
        set_inner_widths(block, inner)
    return model


class CifarResNet(nn.Module):
    """Three stages of basic blocks on maps of 32x32, 16x16 and 8x8, and a classifier on the average.

    An identity shortcut between different widths keeps the first channels; a pruned network sets what it kept.

    Args:
        stem: filters of the first convolution.
        stages: filters of the two convolutions of each block, stage by stage; the first block of every stage but the
            first halves the map.
        num_classes: of the classifier.
        projection: whether a shortcut past a halved map is a 1x1 convolution or a padded identity.

    Raises:
        ConfigError: a width is less than 1, or there are not three stages.
    """

    def __init__(self, stem: int, stages: Stages, *, num_classes: int = 10, projection: bool = True) -> None:
        super().__init__()
        check_integer("stem", stem, 1, what="filters")
        self.conv1 = nn.Conv2d(3, stem, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        inputs = stem
        if len(stages) != 3:
            raise ConfigError(f"stages: {len(stages)} of them; expected 3")
        for number, blocks in enumerate(stages):
            stage = nn.Sequential()
            for place, (inner, outputs) in enumerate(blocks):
                check_integer("stages", outputs, 1, what="filters")
                stride = 2 if number and not place else 1
                block = BasicBlock(inputs, outputs, stride, _shortcut(inputs, outputs, stride, projection))
                if inner != outputs:
                    set_inner_widths(block, (inner,))
                stage.append(block)
                inputs = outputs
            self.add_module(f"layer{number + 1}", stage)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def stages(self) -> tuple[nn.Sequential, nn.Sequential, nn.Sequential]:
        """Stages 1 to 3, each a sequence of blocks."""
        return self.layer1, self.layer2, self.layer3

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes) of pictures (B, 3, H, W)."""
        x = self.relu(self.bn1(self.conv1(x)))
        for stage in self.stages:
            x = stage(x)
        return self.fc(self.avgpool(x).flatten(1))


def _shortcut(inputs: int, outputs: int, stride: int, projection: bool) -> nn.Module | None:
    if stride != 1 and projection:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    return None if (inputs, stride) == (outputs, 1) else PaddedIdentity.first(inputs, outputs, stride)


def cifar_stages(depth: int = 32, width: int = 32) -> list[list[tuple[int, int]]]:
    """Return the widths of a whole network for CIFAR: ``width`` filters in stage 1, then twice and four times as many.

    The dissertation's ResNet-32 has 32 in stage 1; He et al.'s networks, ResNet-56 among them, have 16.

    Args:
        depth: 6n + 2 layers: n blocks a stage, the first convolution and the classifier.
        width: filters of stage 1.

    Raises:
        ConfigError: the depth is not 6n + 2, or an argument is out of range.
    """
    check_integer("depth", depth, 8, what="layers")
    check_integer("width", width, 1)
    if depth % 6 != 2:
        raise ConfigError(f"depth: {depth} is not 6n + 2; expected e.g. 20, 32 or 56")
    return [[(width * multiple,) * 2] * (depth // 6) for multiple in (1, 2, 4)]
