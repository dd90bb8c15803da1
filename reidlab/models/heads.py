"""From feature maps to embeddings: pooling, the batch-normalisation neck and the whole network."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from reidlab.checks import check_choice, check_integer
from reidlab.errors import ConfigError


class Output(NamedTuple):
    """What a re-identification network puts out.

    Attributes:
        features: (B, D) pooled features before the neck; the triplet loss sees these.
        embedding: (B, D) features after the neck; retrieval uses these.
        logits: (B, C) identity scores; cross-entropy sees these.
    """

    features: Tensor
    embedding: Tensor
    logits: Tensor


class AveragePool(nn.Module):
    """Average over a feature map: (B, C, H, W) -> (B, C)."""

    cost_kind = "pool"

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over height and width."""
        return x.mean(dim=(2, 3))


class ClipPool(nn.Module):
    """Pool a clip's maps over space, then over time: (B, D, T, h, w) -> (B, D).

    Two means are the feature pooling layer of Sec. 2.2.1 (3-D average pooling) and, with boxes, the masked average of
    Sec. 2.5.3; two maxima are that layer with 3-D maximum pooling; a mean over space and a maximum over time are the
    released code's "max-FPL", which there comes after each frame's normalisation by the neck.

    Args:
        space: ``mean`` or ``max`` over a frame's positions.
        time: ``mean`` or ``max`` over the frames.

    Raises:
        ConfigError: an argument is neither ``mean`` nor ``max``.
    """

    cost_kind = "pool"

    def __init__(self, space: str = "mean", time: str = "mean") -> None:
        super().__init__()
        for name, mode in (("space", space), ("time", time)):
            check_choice(name, mode, ("mean", "max"))
        self.space = space
        self.time = time

    def forward(self, x: Tensor, boxes: Tensor | None = None) -> Tensor:
        """Return the pooled features of maps, of the positions inside the boxes where there are any.

        Args:
            x: (B, D, T, h, w) maps.
            boxes: (B, T, 4) integers (y0, y1, x0, x1), positions of each map from the first to before the second.

        Returns:
            (B, D) features.
        """
        inside = None if boxes is None else _inside(boxes, x.shape[-2:])
        if self.space == "max":
            frames = (x if inside is None else x.masked_fill(~inside, -torch.inf)).amax(dim=(3, 4))
        elif inside is None:
            frames = x.sum(dim=(3, 4)) / (x.shape[3] * x.shape[4])
        else:
            frames = (x * inside).sum(dim=(3, 4)) / inside.sum(dim=(3, 4))
        return frames.amax(dim=2) if self.time == "max" else frames.mean(dim=2)


def _inside(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (B, 1, T, h, w) booleans: which positions of the maps lie inside their boxes (B, T, 4)."""
    rows, columns = (torch.arange(n, device=boxes.device) for n in size)
    y0, y1, x0, x1 = boxes.unsqueeze(-1).unbind(2)  # each (B, T, 1)
    vertical = (rows >= y0) & (rows < y1)
    horizontal = (columns >= x0) & (columns < x1)
    return (vertical.unsqueeze(3) & horizontal.unsqueeze(2)).unsqueeze(1)


class BNNeck(nn.Module):
    """Batch normalisation between the triplet loss's features and the classifier.

    H. Luo et al., "Bag of tricks and a strong baseline for deep person re-identification", CVPRW 2019
    (https://arxiv.org/abs/1903.07071): the normalisation's bias stays 0 and the classifier has none, so that both
    losses pull the same way round the origin. Classifier weights start as N(0, 0.001).

    Args:
        channels: D, width of the features.
        num_classes: C, number of training identities.

    Raises:
        ConfigError: ``num_classes`` is less than 1.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        check_integer("num_classes", num_classes, 1, what="the number of training identities")
        self.bn = nn.BatchNorm1d(channels)
        self.bn.bias.requires_grad_(False)
        self.classifier = nn.Linear(channels, num_classes, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embedding (B, D) and the logits (B, C) of features (B, D)."""
        embedding = self.bn(features)
        return embedding, self.classifier(embedding)


class ReIDNet(nn.Module):
    """Backbone, pooling and neck: images in, :class:`Output` out.

    Args:
        backbone: module that maps (B, 3, H, W) to (B, D, h, w) and has an attribute ``out_channels`` = D.
        num_classes: number of training identities.
        pool: module that maps (B, D, h, w) to (B, D); the average where omitted.

    Attributes:
        num_classes: number of training identities.

    Raises:
        ConfigError: the backbone has no ``out_channels``, or ``num_classes`` is less than 1.

    Example:
        >>> import torch
        >>> from reidlab.models import ReIDNet, resnet
        >>> model = ReIDNet(resnet(18, width=16, blocks=(1, 1, 1, 1)), num_classes=10).eval()
        >>> [tuple(part.shape) for part in model(torch.zeros(2, 3, 64, 32))]
        [(2, 128), (2, 128), (2, 10)]
    """

    def __init__(self, backbone: nn.Module, num_classes: int, *, pool: nn.Module | None = None) -> None:
        super().__init__()
        channels = getattr(backbone, "out_channels", None)
        if not isinstance(channels, int):
            raise ConfigError(
                f"backbone: {type(backbone).__name__} has no integer attribute out_channels (the channels of its map)"
            )
        if getattr(backbone, "num_classes", None) is not None:
            raise ConfigError("backbone: it has a classifier of its own; build it with num_classes=None")
        self.backbone = backbone
        self.pool = pool if pool is not None else AveragePool()
        self.neck = BNNeck(channels, num_classes)
        self.num_classes = num_classes

    def forward(self, images: Tensor) -> Output:
        """Return features, embedding and logits of images (B, 3, H, W), normalised as in training."""
        features = self.pool(self.backbone(images))
        embedding, logits = self.neck(features)
        return Output(features, embedding, logits)
