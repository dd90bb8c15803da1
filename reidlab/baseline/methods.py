"""Ways to describe a picture of a person, behind one interface: learn from a training table, then embed any table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from reidlab.seeding import derive

if TYPE_CHECKING:
    import pandas as pd

    from reidlab.evaluation.embeddings import Embeddings
    from reidlab.models import ReIDNet
    from reidlab.training import TrainConfig

#: Maps a sample table of N rows to its embeddings (N, D).
Extractor = Callable[["pd.DataFrame"], "Embeddings"]


class Method(Protocol):
    """Something that learns from training pictures (or does not) and then describes pictures."""

    name: str

    def fit(self, train: pd.DataFrame, seed: int) -> Extractor:
        """Return an extractor; only rows of ``train`` are seen, and ``seed`` decides everything random."""
        ...


@dataclass(frozen=True)
class ColourHistogram:
    """Colours in horizontal stripes, the classic hand-made description; nothing is learnt.

    D. Gray and H. Tao, "Viewpoint invariant pedestrian recognition with an ensemble of localized features", ECCV 2008,
    describe a person by features of horizontal stripes; this is their colour part.
    """

    name: str = "histogram"

    def fit(self, train: pd.DataFrame, seed: int) -> Extractor:
        """Return the histogram extractor, whatever the training rows are."""
        from reidlab.data.histogram import colour_histogram

        return colour_histogram


@dataclass(frozen=True)
class Network:
    """Size of a ResNet whose last stage keeps its resolution, under a BNNeck (the book's baseline network).

    Attributes:
        depth: of the ResNet, which decides its kind of block: 18, 34, 50 or 101.
        width: channels of the first stage.
        blocks: blocks of the four stages; the depth's own where omitted.
        weights: file of ImageNet weights with torchvision's names, or None to start from scratch.
    """

    depth: int = 18
    width: int = 16
    blocks: tuple[int, ...] | None = (1, 1, 1, 1)
    weights: str | None = None

    def build(self, num_classes: int, seed: int) -> ReIDNet:
        """Return a network whose initial weights depend on ``seed`` alone."""
        from reidlab.models import ReIDNet, load_weights, resnet
        from reidlab.training.determinism import seeded

        with seeded(derive(seed, "initial weights")):
            backbone = resnet(self.depth, width=self.width, blocks=self.blocks, last_stride=1)
            model = ReIDNet(backbone, num_classes)
        if self.weights:
            load_weights(model.backbone, self.weights)
        return model


def recipe(iterations: int, size: Sequence[int], **changes: Any) -> TrainConfig:
    """Return the book's recipe for a small network that is trained for a minute.

    AdamW under a one-cycle schedule on batches of 16 identities with 4 pictures; pictures are mirrored and moved.

    Args:
        iterations: training steps.
        size: height and width of the network's input, in pixels.
        **changes: further fields of :class:`~reidlab.training.TrainConfig`.

    Raises:
        ConfigError: a field is unknown or its value not allowed.
    """
    from reidlab.training import TrainConfig

    return TrainConfig.from_dict({"iterations": iterations, "size": tuple(size), "pad": 3, **changes})


@dataclass(frozen=True)
class UntrainedNetwork:
    """The network as it was initialised: what its architecture alone is worth.

    Attributes:
        network: its size.
        config: the training configuration whose picture size is used.
    """

    config: TrainConfig
    network: Network = field(default_factory=Network)
    name: str = "untrained"

    def fit(self, train: pd.DataFrame, seed: int) -> Extractor:
        """Return an extractor with random weights; of ``train`` only the number of identities matters."""
        from reidlab.training import extract

        model = self.network.build(train["pid"].nunique(), seed)
        return lambda table: extract(model, table, size=self.config.size)


@dataclass(frozen=True)
class TrainedNetwork:
    """The network trained with cross-entropy and soft-margin batch-hard triplets.

    Attributes:
        network: its size.
        config: length, batches, geometry of the pictures and optimisation.
        jitter: share (0..1) by which brightness, contrast and saturation of training pictures change at random, and a
            tenth of it by which hue does: cameras differ in all of them.
    """

    config: TrainConfig
    network: Network = field(default_factory=Network)
    jitter: float = 0.2
    name: str = "network"

    def fit(self, train: pd.DataFrame, seed: int) -> Extractor:
        """Train on ``train`` and return the extractor of the trained network."""
        from reidlab.data import ColourJitter, TrainTransform
        from reidlab.training import extract, fit

        c, j = self.config, self.jitter
        jitter = ColourJitter(brightness=j, contrast=j, saturation=j, hue=j / 10) if j else None
        transform = TrainTransform(flip=c.flip, pad=c.pad, erase=c.erase, jitter=jitter)
        model = self.network.build(train["pid"].nunique(), seed)
        result = fit(model, train, c, seed, progress=False, transform=transform)
        return lambda table: extract(result.model, table, size=self.config.size)
