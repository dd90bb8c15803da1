"""MobileNetV2 for small pictures: Table 2's groups at a width of their own, and strides that leave maps to convolve."""

from __future__ import annotations

from torch import Tensor, nn

from reidlab.checks import check_integer
from reidlab.models.mobilenet import GROUPS, InvertedResidual

_STEM = 32
_STRIDES = (1, 1, 2, 2, 1, 2, 1)  # by group; the whole network's stem and second group halve the map as well


class NarrowMobileNet(nn.Module):
    """Inverted residuals and a classifier on the average of the last map.

    Weights are drawn from torch's global generator: seed it first (:func:`reidlab.seeding.seed_all`).

    Args:
        width: filters of the first convolution, 32 in the whole network; all other widths shrink with it.
        blocks: blocks of a group at most.
        num_classes: of the classifier.

    Attributes:
        features: all convolutions.
        classifier: the linear layer.

    Raises:
        ConfigError: an argument is less than 1.

    Example:
        >>> NarrowMobileNet(8, 1)(torch.zeros(2, 3, 16, 16)).shape
        torch.Size([2, 10])
    """

    def __init__(self, width: int = _STEM, blocks: int = 4, *, num_classes: int = 10) -> None:
        super().__init__()
        for name, value in (("width", width), ("blocks", blocks), ("num_classes", num_classes)):
            check_integer(name, value, 1)
        first = nn.Conv2d(3, width, 3, padding=1, bias=False)
        layers: list[nn.Module] = [nn.Sequential(first, nn.BatchNorm2d(width), nn.ReLU6(inplace=True))]
        inputs = width
        for (expansion, channels, count, _), stride in zip(GROUPS, _STRIDES, strict=True):
            outputs = max(1, channels * width // _STEM)
            for number in range(min(count, blocks)):
                layers.append(InvertedResidual(inputs, outputs, stride if number == 0 else 1, expansion))
                inputs = outputs
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(inputs, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes) of pictures (B, 3, H, W)."""
        return self.classifier(self.features(x).mean(dim=(2, 3)))
