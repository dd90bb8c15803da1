"""A published embedder as a network to train further."""

from __future__ import annotations

from torch import Tensor, nn

from reidlab.models.heads import Output, ReIDNet
from reidlab.models.onnx_embedder import OnnxEmbedder
from reidlab.models.osnet import OSNet


class EmbedderNet(ReIDNet):
    """An embedder, split at its last map, and a neck for the training.

    Retrieval uses the embedder's own features, from before the neck: what was trained is an embedder as before.

    Args:
        embedder: gives features (B, D); it is trained in place.
        num_classes: number of training identities.

    Attributes:
        backbone: from images (B, 3, H, W) to maps.
        pool: from maps, or parts of them, to features (B, D).

    Raises:
        ConfigError: ``num_classes`` is less than 1, or the embedder has a classifier of its own.
    """

    def __init__(self, embedder: OSNet | OnnxEmbedder, num_classes: int) -> None:
        width = embedder.width if isinstance(embedder, OnnxEmbedder) else embedder.features or embedder.out_channels
        super().__init__(_Maps(embedder, width), num_classes, pool=_Pool(embedder))

    @property
    def embedder(self) -> OSNet | OnnxEmbedder:
        """The embedder with today's weights."""
        return self.backbone.embedder

    @property
    def has_map(self) -> bool:
        """Whether there is a map, whose parts have features."""
        return not isinstance(self.embedder, OnnxEmbedder) or self.embedder.has_map

    def forward(self, images: Tensor) -> Output:
        """Return features, the same as embedding, and logits of images (B, 3, H, W)."""
        features = self.pool(self.backbone(images))
        return Output(features, features, self.neck(features)[1])


class _Maps(nn.Module):
    """An embedder up to its last map; ``out_channels`` is the width of its features."""

    def __init__(self, embedder: OSNet | OnnxEmbedder, width: int) -> None:
        super().__init__()
        self.embedder, self.out_channels = embedder, width
        self.num_classes = getattr(embedder, "num_classes", None)

    def forward(self, images: Tensor) -> Tensor:
        return self.embedder.map(images)


class _Pool(nn.Module):
    """What an embedder makes of its last map."""

    def __init__(self, embedder: OSNet | OnnxEmbedder) -> None:
        super().__init__()
        self.embedder = embedder

    def forward(self, maps: Tensor) -> Tensor:
        return self.embedder.pooled(maps)
