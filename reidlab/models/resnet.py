"""Residual networks of any depth and width, with torchvision's weight names.

K. He et al., "Deep residual learning for image recognition", CVPR 2016 (https://arxiv.org/abs/1512.03385). As in
torchvision, a bottleneck's stride sits on its 3x3 convolution. Re-identification keeps the last stage at stride 1
(twice the height and width of the feature map); that changes no weight, so ImageNet weights still fit.

SE-ResNet: J. Hu et al., "Squeeze-and-excitation networks", CVPR 2018 (https://arxiv.org/abs/1709.01507).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from reidlab.checks import check_choice, check_integer
from reidlab.errors import ConfigError

#: What a block may apply to the output of its (strided) 3x3 convolution: a map to a map of the same shape.
Then = Callable[[Tensor], Tensor]


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)


class SqueezeExcitation(nn.Module):
    """Weigh channels by a sigmoid of two layers on their averages: (B, C, H, W) -> (B, C, H, W).

    Args:
        channels: C.
        reduction: the layer between has ``C / reduction`` channels, at least 1; the paper's choice is 16.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        inner = max(channels // reduction, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, inner, 1)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map with each channel multiplied by its weight between 0 and 1."""
        return x * self.fc2(self.relu(self.fc1(self.pool(x)))).sigmoid()


class _Block(nn.Module):
    """A branch, its squeeze-and-excitation where there is one, and a shortcut; a subclass defines the branch."""

    def forward(self, x: Tensor, then: Then | None = None) -> Tensor:
        """(B, inputs, H, W) -> (B, planes * expansion, H / stride, W / stride).

        ``then`` is applied to the output of the (strided) 3x3 convolution, (B, planes, H / stride, W / stride), before
        its normalisation: the place where video networks convolve over time. It belongs to the caller, so that the
        block's weights keep their names.
        """
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.branch(x, then)
        return self.relu((x if self.se is None else self.se(x)) + shortcut)


def _then(x: Tensor, then: Then | None) -> Tensor:
    return x if then is None else then(x)


class BasicBlock(_Block):
    """Two 3x3 convolutions and a shortcut (ResNet-18 and -34).

    Args:
        inputs: channels in.
        planes: channels of the block; it puts out ``planes * expansion``.
        stride: of the first convolution.
        downsample: projection of the shortcut, or None where it is the identity.
        se: reduction of a squeeze-and-excitation of the block's output, before the shortcut is added; None for none.
    """

    expansion = 1

    def __init__(
        self, inputs: int, planes: int, stride: int = 1, downsample: nn.Module | None = None, se: int | None = None
    ) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, planes, 3, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv(planes, planes, 3)
        self.bn2 = nn.BatchNorm2d(planes)
        self.se = None if se is None else SqueezeExcitation(planes, se)
        self.downsample = downsample

    def branch(self, x: Tensor, then: Then | None) -> Tensor:
        """(B, inputs, H, W) -> (B, planes, H / stride, W / stride), before the shortcut is added."""
        x = self.relu(self.bn1(_then(self.conv1(x), then)))
        return self.bn2(self.conv2(x))


class Bottleneck(_Block):
    """1x1, 3x3 and 1x1 convolutions and a shortcut (ResNet-50 and -101); arguments as :class:`BasicBlock`."""

    expansion = 4

    def __init__(
        self, inputs: int, planes: int, stride: int = 1, downsample: nn.Module | None = None, se: int | None = None
    ) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, planes, 1)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _conv(planes, planes, 3, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = _conv(planes, planes * self.expansion, 1)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.se = None if se is None else SqueezeExcitation(planes * self.expansion, se)
        self.downsample = downsample

    def branch(self, x: Tensor, then: Then | None) -> Tensor:
        """(B, inputs, H, W) -> (B, 4 * planes, H / stride, W / stride), before the shortcut is added."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(_then(self.conv2(x), then)))
        return self.bn3(self.conv3(x))


Block = type[BasicBlock] | type[Bottleneck]

#: Block and blocks per stage of each standard depth (Table 1 of the paper).
DEPTHS: dict[int, tuple[Block, tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}


class ResNet(nn.Module):
    """Residual network that gives the last stage's feature map, or logits where it has a classifier.

    Weights are drawn from torch's global generator: seed it first (:func:`reidlab.seeding.seed_all`).

    Args:
        block: :class:`BasicBlock` or :class:`Bottleneck`.
        blocks: number of blocks in stages 1 to 4.
        width: channels of the stem; stages have 1, 2, 4 and 8 times as many planes.
        last_stride: stride of stage 4, 1 or 2.
        num_classes: adds torchvision's ``fc`` on the average of the map; None for a backbone.
        se: reduction of each block's squeeze-and-excitation (16 in SE-ResNet); None for none. Its weights are
            ``se.fc1`` and ``se.fc2`` of the block, timm's names; all others keep theirs.

    Attributes:
        out_channels: channels of the feature map.
        channels: channels of each stage's map.
        planes: channels of each stage's 3x3 convolutions.
        strides: pixels of the picture per step on each stage's map, ``(4, 8, 16, 16)`` at last stride 1.
        stages: the four stages; ``stages[2][-1]`` is the last block of stage 3.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        block: Block,
        blocks: Sequence[int],
        *,
        width: int = 64,
        last_stride: int = 1,
        num_classes: int | None = None,
        se: int | None = None,
    ) -> None:
        super().__init__()
        if len(blocks) != 4 or any(n < 1 for n in blocks):
            raise ConfigError(f"blocks: {tuple(blocks)} must be four numbers of at least 1, one per stage")
        check_integer("width", width, 1)
        check_integer("last_stride", last_stride, 1, 2)
        if num_classes is not None:
            check_integer("num_classes", num_classes, 1, what="or None for a backbone")
        if se is not None:
            check_integer("se", se, 1, what="or None for no squeeze-and-excitation")
        self.conv1 = _conv(3, width, 7, 2)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.planes = tuple(width * 2**number for number in range(4))
        self.channels = tuple(planes * block.expansion for planes in self.planes)
        self.strides = (4, 8, 16, 16 * last_stride)
        channels = width
        for number, (count, stride) in enumerate(zip(blocks, (1, 2, 2, last_stride), strict=True)):
            stage = _stage(block, channels, self.planes[number], count, stride, se)
            self.add_module(f"layer{number + 1}", stage)
            channels = self.channels[number]
        self.out_channels = channels
        if num_classes is not None:
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(channels, num_classes)
        self.num_classes = num_classes
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def stages(self) -> tuple[nn.Sequential, nn.Sequential, nn.Sequential, nn.Sequential]:
        """Stages 1 to 4, each a sequence of blocks."""
        return self.layer1, self.layer2, self.layer3, self.layer4

    def stem(self, x: Tensor) -> Tensor:
        """Return what stage 1 is given, (B, width, H / 4, W / 4), of images (B, 3, H, W)."""
        return self.maxpool(self.relu(self.bn1(self.conv1(x))))

    def features(self, x: Tensor) -> Tensor:
        """Return the feature map (B, out_channels, H / 16, W / 16) of images (B, 3, H, W); / 32 at last stride 2."""
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Return the feature map of images (B, 3, H, W), or logits (B, num_classes) where there is a classifier."""
        x = self.features(x)
        return x if self.num_classes is None else self.fc(self.avgpool(x).flatten(1))


def _stage(block: Block, inputs: int, planes: int, count: int, stride: int, se: int | None) -> nn.Sequential:
    outputs = planes * block.expansion
    downsample = None
    if stride != 1 or inputs != outputs:
        downsample = nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
    first = block(inputs, planes, stride, downsample, se)
    return nn.Sequential(first, *(block(outputs, planes, se=se) for _ in range(count - 1)))


def resnet(
    depth: int = 50,
    *,
    width: int = 64,
    blocks: Sequence[int] | None = None,
    last_stride: int = 1,
    num_classes: int | None = None,
    se: int | None = None,
) -> ResNet:
    """Return a residual network by its depth.

    Args:
        depth: 18 or 34 (basic blocks), 50 or 101 (bottlenecks).
        width: channels of the stem; 64 is the standard.
        blocks: blocks per stage, where other numbers than the depth's are wanted; the depth still chooses the block.
        last_stride: stride of stage 4; 2 is the stock network, 1 the habit of re-identification.
        num_classes: adds a classifier; None for a backbone.
        se: squeeze-and-excitation with this reduction in every block; ``resnet(50, se=16)`` is SE-ResNet-50.

    Raises:
        ConfigError: an argument is out of range.

    Example:
        >>> resnet(18, width=16, blocks=(1, 1, 1, 1)).out_channels
        128
    """
    check_choice("depth", depth, DEPTHS)
    block, standard = DEPTHS[depth]
    return ResNet(block, blocks or standard, width=width, last_stride=last_stride, num_classes=num_classes, se=se)
