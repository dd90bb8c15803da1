"""MobileNet-22: our reading of a network that the dissertation names and does not describe.

Sec. 5.4.1 calls it self-designed, modified from MobileNet-v1 and made for CIFAR-10. MobileNet-v1 counts 28 layers, two
for each of its 13 blocks; 22 layers are ten blocks, which we take to be all but three of the five equal ones. The first
convolution keeps the size of the 32x32 picture.

A. Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications", 2017
(https://arxiv.org/abs/1704.04861): Table 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from reidlab.checks import check_integer
from reidlab.errors import ConfigError

#: Filters of the first convolution and of the ten 1x1 convolutions.
WIDTHS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 1024, 1024)
_STRIDES = (1, 1, 2, 1, 2, 1, 2, 1, 1, 2, 1)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


class MobileNet22(nn.Module):
    """A 3x3 convolution, ten blocks of a 3x3 of each channel by itself and a 1x1, and a classifier on the average.

    Args:
        widths: as :data:`WIDTHS`.
        num_classes: of the classifier.

    Raises:
        ConfigError: there are not eleven widths, or an argument is less than 1.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, *, num_classes: int = 10) -> None:
        super().__init__()
        if len(widths) != len(WIDTHS):
            raise ConfigError(f"widths: {len(widths)} of them; expected {len(WIDTHS)}, see WIDTHS")
        for width in (*widths, num_classes):
            check_integer("widths and num_classes", width, 1)
        layers = _conv(3, widths[0], 3, _STRIDES[0])
        inputs = widths[0]
        for width, stride in zip(widths[1:], _STRIDES[1:], strict=True):
            layers += [*_conv(inputs, inputs, 3, stride, groups=inputs), *_conv(inputs, width, 1)]
            inputs = width
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Linear(inputs, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes) of pictures (B, 3, H, W)."""
        return self.classifier(self.features(x).flatten(1))
