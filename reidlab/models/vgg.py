"""VGG with a width for each convolution: the networks of chapter 5 for CIFAR, and VGG-16 for ImageNet.

K. Simonyan and A. Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015
(https://arxiv.org/abs/1409.1556). For CIFAR each convolution is followed by a batch normalisation and has no bias.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from reidlab.checks import check_choice, check_integer

#: Convolutions of the five parts; a pooling that halves the map ends each part. "shallow" is Table 5.4's network.
PARTS: dict[int | str, tuple[int, ...]] = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4), "shallow": (1, 1, 1, 1, 1)}
_MULTIPLES = (1, 2, 4, 8, 8)


class VGG(nn.Module):
    """Parts of 3x3 convolutions, each followed by a pooling, and a classifier.

    Args:
        widths: filters of each convolution, part by part.
        hidden: features of the classifier's hidden layers; none in the networks of Tables 5.3 and 5.4, one of 512 in
            Table 5.7's, two of 4,096 in ImageNet's.
        num_classes: of the classifier.
        norm: batch normalisation after each convolution; without it convolutions have biases.
        size: height and width of the pictures, a multiple of 32; 32 for CIFAR.

    Attributes:
        features: the convolutions.
        classifier: the linear layers.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        widths: Sequence[Sequence[int]],
        *,
        hidden: Sequence[int] = (),
        num_classes: int = 10,
        norm: bool = True,
        size: int = 32,
    ) -> None:
        super().__init__()
        check_integer("num_classes", num_classes, 1)
        check_integer("size", size, 2 ** len(widths))
        layers: list[nn.Module] = []
        inputs = 3
        for part in widths:
            for width in part:
                check_integer("widths", width, 1, what="filters")
                layers.append(nn.Conv2d(inputs, width, 3, padding=1, bias=not norm))
                layers += [nn.BatchNorm2d(width)] if norm else []
                layers.append(nn.ReLU(inplace=True))
                inputs = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        inputs *= (size >> len(widths)) ** 2
        head: list[nn.Module] = []
        for features in hidden:
            head += [nn.Linear(inputs, features), nn.ReLU(inplace=True)]
            inputs = features
        self.classifier = nn.Sequential(*head, nn.Linear(inputs, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes) of pictures (B, 3, size, size)."""
        return self.classifier(self.features(x).flatten(1))


def vgg_widths(kind: int | str = 19, width: int = 64) -> tuple[tuple[int, ...], ...]:
    """Return the widths of a whole VGG, part by part.

    Args:
        kind: 16, 19 or ``shallow``.
        width: of the first part; the others have 2, 4, 8 and 8 times as many filters.

    Raises:
        ConfigError: an argument is out of range.

    Example:
        >>> vgg_widths("shallow")
        ((64,), (128,), (256,), (512,), (512,))
    """
    check_choice("kind", kind, PARTS)
    check_integer("width", width, 1)
    return tuple((width * multiple,) * count for multiple, count in zip(_MULTIPLES, PARTS[kind], strict=True))
