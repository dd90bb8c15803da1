"""How chapter 2 trains its networks: one backbone learnt on single pictures, then each network on clips, all alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from reidlab.errors import ConfigError
from reidlab.seeding import derive

if TYPE_CHECKING:
    import pandas as pd

    from reidlab.evaluation import Embeddings, Protocol, Scores
    from reidlab.models import ReIDNet, VideoNet
    from reidlab.training import ClipConfig
    from reidlab.video.sets import Part, VideoSet

#: Changes of brightness, contrast and saturation of training pictures, and a tenth of it of hue; a clip changes as one.
JITTER = 0.2


@dataclass(frozen=True)
class Setup:
    """Sizes and budgets that all networks of a comparison share.

    The dissertation starts from ImageNet weights. Where there are none, the backbone first learns on single pictures of
    the training tracklets; the network this gives is also the one that links candidates in re-Detect and Link.

    Attributes:
        size: height and width of a frame, in pixels.
        frames: T, frames of a clip.
        depth: kind of ResNet.
        width: channels of its first stage.
        blocks: blocks of its four stages; the depth's own where None.
        weights: file of ImageNet weights with torchvision's names; then nothing is learnt on single pictures but the
            linking network.
        pretraining: steps on single pictures, 16 identities with 4 pictures each.
        iterations: steps on clips, 8 identities with 4 tracklets each.
        optimisation: further fields of :class:`~reidlab.training.ClipConfig`.

    Raises:
        ConfigError: a value is not allowed.
    """

    size: tuple[int, int] = (64, 32)
    frames: int = 8
    depth: int = 18
    width: int = 16
    blocks: tuple[int, ...] | None = (1, 2, 3, 1)
    weights: str | None = None
    pretraining: int = 600
    iterations: int = 400
    optimisation: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.config(self.iterations)
        if self.pretraining < 1:
            raise ConfigError(f"pretraining: {self.pretraining} must be at least 1 step on single pictures")

    def config(self, iterations: int, **changes: Any) -> ClipConfig:
        """Return the configuration of training on clips for a number of steps, some fields changed."""
        from reidlab.training import ClipConfig

        fixed = {"size": tuple(self.size), "frames": self.frames, "pad": max(1, self.size[0] // 20)}
        fixed["log_every"] = max(1, iterations // 50)
        return ClipConfig.from_dict({**fixed, **self.optimisation, "iterations": iterations, **changes})

    @property
    def stripes(self) -> int:
        """Stripes of the spatial reduction: as many rows to each as 16 stripes give at 256 pixels (Sec. 2.3.1)."""
        return max(1, 16 * self.size[0] // 256)

    def learn_on_pictures(self, train: Part, seed: int) -> ReIDNet:
        """Return a network for single pictures, trained on the training tracklets' frames (the IDE of Sec. 2.5.1)."""
        from reidlab.data import ColourJitter, TrainTransform
        from reidlab.models import ReIDNet, load_weights, resnet
        from reidlab.training import TrainConfig, fit
        from reidlab.training.determinism import seeded

        with seeded(derive(seed, "initial weights")):
            backbone = resnet(self.depth, width=self.width, blocks=self.blocks, last_stride=1)
            model = ReIDNet(backbone, train.table["pid"].nunique())
        if self.weights:
            load_weights(model.backbone, self.weights)
        p = min(16, model.num_classes)
        config = TrainConfig(iterations=self.pretraining, size=tuple(self.size), p=p, pad=max(1, self.size[0] // 20))
        transform = TrainTransform(flip=config.flip, pad=config.pad, jitter=_jitter(ColourJitter))
        return fit(model, train.table, config, seed, images=train.images, progress=False, transform=transform).model

    def build(self, name: str, classes: int, start: ReIDNet, seed: int, **options: Any) -> VideoNet:
        """Return a network for clips whose backbone starts where ``start``'s stands, or at ImageNet's weights.

        Args:
            name: see :func:`~reidlab.models.video_network`.
            classes: number of training identities.
            start: the network for single pictures.
            seed: decides the other weights.
            **options: of the network.
        """
        from reidlab.models import load_weights, resnet, video_network
        from reidlab.training.determinism import seeded

        options = {"size": tuple(self.size), "frames": self.frames, "stripes": self.stripes, **options}
        with seeded(derive(seed, "initial weights", name)):
            backbone = resnet(self.depth, width=self.width, blocks=self.blocks, last_stride=1)
            model = video_network(name, classes, backbone, **options)
        if self.weights:
            load_weights(model.backbone, self.weights)
        else:
            model.backbone.load_state_dict(start.backbone.state_dict())
        return model


def train(model: VideoNet, part: Part, config: ClipConfig, seed: int) -> pd.DataFrame:
    """Train a network on clips, in place, and return the history of its losses.

    Where there are fewer identities than a batch takes, it takes them all.
    """
    from reidlab.data import ClipTransform, ColourJitter
    from reidlab.training import fit_clips

    config = replace(config, p=min(config.p, model.num_classes))
    transform = ClipTransform(flip=config.flip, pad=config.pad, erase=config.erase, jitter=_jitter(ColourJitter))
    result = fit_clips(
        model, part.table, config, seed, images=part.images, masks=part.masks, progress=False, transform=transform
    )
    return result.history


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one network did on one test.

    Attributes:
        model: the trained network.
        history: of its losses.
        query: embeddings of the query tracklets.
        gallery: embeddings of the gallery tracklets.
        scores: by the name of the protocol.
    """

    model: VideoNet
    history: pd.DataFrame
    query: Embeddings
    gallery: Embeddings
    scores: dict[str, Scores]


def run(
    model: VideoNet, data: VideoSet, config: ClipConfig, seed: int, protocols: Sequence[Protocol | str], mode: str
) -> Outcome:
    """Train a network on a set's training tracklets and score it on its test.

    Args:
        model: the network, trained in place.
        data: the set.
        config: of the training.
        seed: of the training.
        protocols: to score under.
        mode: which frames of a test tracklet are seen, see :func:`~reidlab.data.sample_frames`.
    """
    from reidlab.evaluation import evaluate
    from reidlab.training import extract_clips

    history = train(model, data.train, config, seed)
    query, gallery = (
        extract_clips(model, part.table, config.size, config.frames, mode, images=part.images, masks=part.masks)
        for part in (data.query, data.gallery)
    )
    scores = [evaluate(query, gallery, protocol) for protocol in protocols]
    return Outcome(model, history, query, gallery, {score.protocol: score for score in scores})


def change_at_the_end(history: pd.DataFrame) -> float:
    """Return by which share the loss still changed over the last fifth of the training: last tenth over the one before.

    Raises:
        ConfigError: the history has fewer than ten rows.
    """
    loss = history["loss"].to_numpy()
    tenth = len(loss) // 10
    if tenth < 1:
        raise ConfigError(f"history: {len(loss)} rows; at least 10 are needed to look at its last fifth")
    before, last = loss[-2 * tenth : -tenth].mean(), loss[-tenth:].mean()
    return float(last / before - 1)


def _jitter(kind: type) -> Any:
    return kind(brightness=JITTER, contrast=JITTER, saturation=JITTER, hue=JITTER / 10)
