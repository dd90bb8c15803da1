"""OSNet: a light network that looks at several scales in every block, with torchreid's weight names.

K. Zhou et al., "Omni-scale feature learning for person re-identification", ICCV 2019
(https://arxiv.org/abs/1905.00953): Sec. 3.2 describes the block, Table 1 the network. Its released weights come from
torchreid (https://github.com/KaiyangZhou/deep-person-reid); their names are kept, so that those files fit.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import reduce

from torch import Tensor, nn

from reidlab.checks import check_choice, check_integer
from reidlab.errors import ConfigError, DataError
from reidlab.models.weights import load_weights, read_weights

#: Channels of the stem and of stages 2 to 4, by width multiplier.
WIDTHS: dict[float, tuple[int, int, int, int]] = {
    0.25: (16, 64, 96, 128),
    0.5: (32, 128, 192, 256),
    0.75: (48, 192, 288, 384),
    1.0: (64, 256, 384, 512),
}
_STEM = re.compile(r"(?:module\.|model\.|backbone\.)*conv1\.conv\.weight")
_STREAMS = "abcd"  # the n-th stream sees 2n + 1 pixels
_BOTTLENECK = 4
_GATE = 16


class _ConvBN(nn.Module):
    """Convolution and batch normalisation, with a ReLU unless it is linear."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, linear: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.relu = nn.Identity() if linear else nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


class _Lite(nn.Module):
    """The paper's Lite 3x3: a 1x1 convolution, then a 3x3 one of each channel by itself (Fig. 3b)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv2(self.conv1(x))))


class _Gate(nn.Module):
    """The aggregation gate: weighs a stream's channels by what it saw; all streams of a block share one (Eq. 5)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, channels // _GATE, 1)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(channels // _GATE, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc2(self.relu(self.fc1(self.pool(x)))).sigmoid()


class _Block(nn.Module):
    """Omni-scale residual block: four streams of one to four Lite 3x3, gated, added, and a shortcut (Fig. 4)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        middle = outputs // _BOTTLENECK
        self.conv1 = _ConvBN(inputs, middle)
        self.conv2a = _Lite(middle)
        for depth, stream in enumerate(_STREAMS[1:], start=2):
            self.add_module(f"conv2{stream}", nn.Sequential(*(_Lite(middle) for _ in range(depth))))
        self.gate = _Gate(middle)
        self.conv3 = _ConvBN(middle, outputs, linear=True)
        self.downsample = None if inputs == outputs else _ConvBN(inputs, outputs, linear=True)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.conv1(x)
        streams = [self.gate(getattr(self, f"conv2{stream}")(x)) for stream in _STREAMS]
        return self.relu(self.conv3(reduce(Tensor.add, streams)) + shortcut)


def _stage(inputs: int, outputs: int, halve: bool) -> nn.Sequential:
    end = [nn.Sequential(_ConvBN(outputs, outputs), nn.AvgPool2d(2, stride=2))] if halve else []
    return nn.Sequential(_Block(inputs, outputs), _Block(outputs, outputs), *end)


class OSNet(nn.Module):
    """OSNet that gives a feature map, features, or logits.

    Weights are drawn from torch's global generator: seed it first (:func:`reidlab.seeding.seed_all`).

    Args:
        width: multiplier of the channels, 0.25, 0.5, 0.75 or 1.
        features: D of torchreid's ``fc`` on the average of the map (512 in its files); None for a backbone.
        num_classes: adds torchreid's ``classifier`` on the features; None for none.

    Attributes:
        out_channels: channels of the feature map.
        stride: pixels of the picture per step of the map, 16.

    Raises:
        ConfigError: an argument is out of range, or there is a classifier without features.

    Example:
        >>> OSNet(0.25)(torch.zeros(1, 3, 256, 128)).shape
        torch.Size([1, 128, 16, 8])
    """

    stride = 16

    def __init__(self, width: float = 1.0, *, features: int | None = None, num_classes: int | None = None) -> None:
        super().__init__()
        check_choice("width", width, WIDTHS)
        if features is not None:
            check_integer("features", features, 1, what="or None for a backbone")
        if num_classes is not None:
            check_integer("num_classes", num_classes, 1, what="or None for no classifier")
            if features is None:
                raise ConfigError("features: None, but a classifier needs them; give features=512")
        stem, *stages = WIDTHS[width]
        self.conv1 = _ConvBN(3, stem, 7, 2)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = _stage(stem, stages[0], halve=True)
        self.conv3 = _stage(stages[0], stages[1], halve=True)
        self.conv4 = _stage(stages[1], stages[2], halve=False)
        self.conv5 = _ConvBN(stages[2], stages[2])
        self.out_channels = stages[2]
        self.features, self.num_classes = features, num_classes
        if features is not None:
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Sequential(nn.Linear(stages[2], features), nn.BatchNorm1d(features), nn.ReLU(inplace=True))
        if num_classes is not None:
            self.classifier = nn.Linear(features, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def map(self, x: Tensor) -> Tensor:
        """Return the feature map (B, out_channels, H / 16, W / 16) of images (B, 3, H, W)."""
        x = self.maxpool(self.conv1(x))
        return self.conv5(self.conv4(self.conv3(self.conv2(x))))

    def forward(self, x: Tensor) -> Tensor:
        """Return of images (B, 3, H, W) the map, or features (B, D), or logits (B, num_classes), whichever is last."""
        x = self.map(x)
        if self.features is None:
            return x
        x = self.pooled(x)
        return x if self.num_classes is None else self.classifier(x)

    def pooled(self, x: Tensor) -> Tensor:
        """Return features (B, D) of maps (B, out_channels, h, w); a backbone's are the average."""
        return x.mean(dim=(2, 3)) if self.features is None else self.fc(self.pool(x).flatten(1))


def read_osnet(path: str | os.PathLike[str]) -> OSNet:
    """Return the OSNet in one of torchreid's files, without its classifier; the width is found from the tensors.

    Args:
        path: file of torchreid's, as :func:`reidlab.models.weights.load_weights` takes it.

    Raises:
        MissingDataError: there is no such file.
        DataError: it cannot be read, or is no OSNet of a known width.
    """
    state = read_weights(path)
    stem = next((value for name, value in state.items() if _STEM.fullmatch(name)), None)
    width = next((w for w, sizes in WIDTHS.items() if stem is not None and stem.shape[:1] == sizes[:1]), None)
    if stem is None or width is None:
        found = "no conv1.conv.weight" if stem is None else f"conv1.conv.weight {tuple(stem.shape)}"
        raise DataError(f"{path}: {found}; expected an OSNet of torchreid's, x0.25, x0.5, x0.75 or x1.0")
    linear = next((value for name, value in state.items() if name.endswith("fc.0.weight")), None)
    model = OSNet(width, features=None if linear is None else len(linear))
    load_weights(model, path, ignore=("classifier.",))
    return model


def is_osnet(names: Iterable[str]) -> bool:
    """Return whether names of tensors have the stem of an OSNet of torchreid's among them."""
    return any(map(_STEM.fullmatch, names))
