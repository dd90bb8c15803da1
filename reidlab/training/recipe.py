"""A recipe: what all networks of a comparison share. Network, start, augmentation, optimisation and budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from reidlab.checks import check_choice, check_integer
from reidlab.data import ClipTransform, ColourJitter, TrainTransform
from reidlab.data.decoded import Pictures
from reidlab.errors import ConfigError, MissingDataError
from reidlab.evaluation import Embeddings
from reidlab.files import digest
from reidlab.models import MobileNetV2, ReIDNet, ResNet, imagenet_source, load_imagenet, load_weights, resnet
from reidlab.reading import check_file
from reidlab.seeding import derive
from reidlab.training.clips import extract_clips, fit_clips
from reidlab.training.config import ClipConfig, TrainConfig
from reidlab.training.determinism import seeded
from reidlab.training.extract import extract
from reidlab.training.fit import fit
from reidlab.training.loop import FitResult


@dataclass(frozen=True)
class Backbone:
    """A ResNet whose last stage keeps its resolution.

    Attributes:
        depth: 18, 34, 50 or 101, which decides the kind of block.
        width: channels of the first stage.
        blocks: blocks of the four stages; the depth's own where None.
    """

    depth: int = 18
    width: int = 16
    blocks: tuple[int, ...] | None = (1, 2, 3, 1)

    def build(self) -> ResNet:
        """Return the backbone with weights from torch's global generator.

        Raises:
            ConfigError: there is no such ResNet.
        """
        return resnet(self.depth, width=self.width, blocks=self.blocks, last_stride=1)


@dataclass(frozen=True)
class MobileNet:
    """MobileNetV2 whose last stage keeps its resolution."""

    def build(self) -> MobileNetV2:
        """Return the backbone with weights from torch's global generator."""
        return MobileNetV2()


class Start(Protocol):
    """Where training begins."""

    def apply(self, model: nn.Module) -> None:
        """Change the weights of a freshly initialised network, in place."""

    def __str__(self) -> str:
        """Return what a run card calls it, with the digest of a file."""


@dataclass(frozen=True)
class Scratch:
    """From nothing: weights stay as they were initialised."""

    def apply(self, model: nn.Module) -> None:
        """Change nothing."""

    def __str__(self) -> str:
        return "scratch"


@dataclass(frozen=True)
class WeightFile:
    """From a file of backbone weights with torchvision's names, such as ImageNet's.

    Attributes:
        path: the file.
    """

    path: str = field(metadata={"file": True})

    def apply(self, model: nn.Module) -> None:
        """Load the file into the network's backbone.

        Raises:
            MissingDataError: there is no such file.
            DataError: it does not fit.
        """
        load_weights(model.backbone, self.path)

    def __str__(self) -> str:
        return file_and_digest(self.path)


@dataclass(frozen=True)
class ImageNet:
    """From MobileNetV2's ImageNet weights, which an installed package ships; the backbone is :class:`MobileNet`."""

    def apply(self, model: nn.Module) -> None:
        """Load the weights into the network's backbone.

        Raises:
            ConfigError: the backbone is another one.
            MissingDataError: the package is not installed; the message says how to install it.
            DataError: its file is another one.
        """
        if not isinstance(model.backbone, MobileNetV2):
            kind = type(model.backbone).__name__
            raise ConfigError(
                f"start: ImageNet's weights here are MobileNetV2's, and the backbone is {kind}; take MobileNet, or a "
                "WeightFile"
            )
        load_imagenet(model.backbone)

    def __str__(self) -> str:
        return f"ImageNet ({imagenet_source()})"


@dataclass(frozen=True)
class BackboneOf:
    """From the backbone of another network.

    Attributes:
        model: that network.
    """

    model: nn.Module

    def apply(self, model: nn.Module) -> None:
        """Copy the backbone's weights."""
        model.backbone.load_state_dict(self.model.backbone.state_dict())

    def __str__(self) -> str:
        return "the backbone of another network"


def start_of(weights: str | Path | None) -> Start:
    """Return the start that a notebook's parameter ``weights`` names: a file, or from scratch where empty."""
    return WeightFile(str(weights)) if weights else Scratch()


def file_and_digest(path: str | Path) -> str:
    """Return how a run card names a file of weights.

    Raises:
        MissingDataError: there is no such file.
    """
    check_file(Path(path), MissingDataError)
    return f"{Path(path).name} (SHA-256 {digest(Path(path))[:12]})"


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training pictures.

    Attributes:
        jitter: share (0..1) by which brightness, contrast and saturation change, and a tenth of it by which hue does:
            cameras differ in all of them.
        flip: probability of a mirrored picture.
        pad: pixels of padding before a random crop; None takes a twentieth of the height.
        erase: probability of a covered rectangle.
    """

    jitter: float = 0.2
    flip: float = 0.5
    pad: int | None = None
    erase: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """How networks are built and trained.

    Attributes:
        size: height and width of a picture, in pixels.
        backbone: of every network.
        start: where training begins.
        augmentation: of training pictures; a clip changes as one.
        optimisation: further fields of :class:`~reidlab.training.TrainConfig` (or ``ClipConfig``); they win over the
            augmentation's.
        frames: T, frames of a clip; None for single pictures.
        milestones_of: length in steps that the schedule's milestones are meant for; longer and shorter trainings have
            them at the same shares. None leaves them as they are.

    Raises:
        ConfigError: a value is not allowed.

    Example:
        >>> Recipe(optimisation={"lr": 5e-4}).config(200, classes=10).p
        10
    """

    size: tuple[int, int] = (64, 32)
    backbone: Backbone | MobileNet = field(default_factory=Backbone)
    start: Start = field(default_factory=Scratch)
    augmentation: Augmentation = field(default_factory=Augmentation)
    optimisation: Mapping[str, Any] = field(default_factory=dict)
    frames: int | None = None
    milestones_of: int | None = None

    def __post_init__(self) -> None:
        self.config(self.milestones_of or 1)

    def config(self, steps: int, classes: int | None = None, **changes: Any) -> TrainConfig | ClipConfig:
        """Return the configuration of a training.

        Args:
            steps: its length.
            classes: number of identities; a batch has no more of them.
            **changes: fields that differ from the recipe's.

        Raises:
            ConfigError: a field is unknown or its value not allowed.
        """
        look = self.augmentation
        values: dict[str, Any] = {"size": tuple(self.size), "flip": look.flip, "erase": look.erase}
        values["pad"] = max(1, self.size[0] // 20) if look.pad is None else look.pad
        values["log_every"] = max(1, steps // 50)
        values |= self.optimisation
        if self.milestones_of and "milestones" in values:
            scaled = {max(1, round(step * steps / self.milestones_of)) for step in values["milestones"]}
            values["milestones"] = sorted(scaled)
        kind = TrainConfig if self.frames is None else ClipConfig
        if self.frames is not None:
            values.setdefault("frames", self.frames)
        values |= {"iterations": steps, **changes}
        if classes is not None:
            values["p"] = min(values.get("p", kind.p), classes)
        return kind.from_dict(values)

    def network(self, classes: int, seed: int, *key: str, head: Callable[[Any, int], nn.Module] = ReIDNet) -> nn.Module:
        """Return a network at its start; its random weights depend on seed and key alone.

        Args:
            classes: number of training identities.
            seed: of the weights.
            *key: what tells networks of one seed apart.
            head: builds the network around a backbone, given the number of classes.
        """
        with seeded(derive(seed, "initial weights", *key)):
            model = head(self.backbone.build(), classes)
        self.start.apply(model)
        return model

    def transform(self, config: TrainConfig | ClipConfig) -> TrainTransform | ClipTransform:
        """Return the augmentation of training pictures, or of clips."""
        share = self.augmentation.jitter
        jitter = ColourJitter(brightness=share, contrast=share, saturation=share, hue=share / 10) if share else None
        kind = ClipTransform if isinstance(config, ClipConfig) else TrainTransform
        return kind(flip=config.flip, pad=config.pad, erase=config.erase, jitter=jitter)

    def fit(
        self, model: nn.Module, pictures: Pictures, steps: int, seed: int, *, progress: bool = False, **changes: Any
    ) -> FitResult:
        """Train a network on true labels, in place.

        Args:
            model: network for pictures, or for clips where the recipe has frames.
            pictures: to train on, each with an identity (and a tracklet, for clips).
            steps: length of the training.
            seed: of batches and augmentation.
            progress: whether to show a progress bar.
            **changes: fields of the configuration that differ from the recipe's.

        Returns:
            The trained network and the history of its losses.
        """
        config = self.config(steps, model.num_classes, **changes)
        table = pictures.table.assign(split="train")
        shared = {"images": pictures.images, "progress": progress, "transform": self.transform(config)}
        if isinstance(config, ClipConfig):
            return fit_clips(model, table, config, seed, masks=pictures.masks, **shared)
        return fit(model, table, config, seed, **shared)

    def learn(self, pictures: Pictures, steps: int, seed: int, *, progress: bool = False) -> ReIDNet:
        """Return a network for single pictures, built and trained on true labels.

        Args:
            pictures: to train on, each with an identity.
            steps: length of the training.
            seed: of weights, batches and augmentation.
            progress: whether to show a progress bar.
        """
        return self.fit(self.network(pictures.identities, seed), pictures, steps, seed, progress=progress).model


#: Starts that are compared with one from scratch, by the names that a notebook's parameter ``starts`` may hold.
STARTS: Mapping[str, Start] = {"imagenet": ImageNet()}


def starts_here(names: Sequence[str], recipe: Recipe, say: Callable[[str], None] = print) -> dict[str, Recipe]:
    """Return recipes that differ in their start alone: those named, and ``scratch`` with the same network.

    A start whose weights are not on this machine is left out. Where none is left, there is nothing to compare with, and
    ``scratch`` is left out as well.

    Args:
        names: of :data:`STARTS`.
        recipe: all but network and start are taken from it; the network is :class:`MobileNet`.
        say: gets a line on what is left out.

    Raises:
        ConfigError: there is no such start; the message suggests one.
        DataError: a package's file of weights is another one.
    """
    found: dict[str, Recipe] = {}
    for name in names:
        check_choice("starts", name, STARTS)
        try:
            str(STARTS[name])  # reads the file
        except MissingDataError as error:
            say(f"the start {name} is left out: {error}")
        else:
            found[name] = replace(recipe, backbone=MobileNet(), start=STARTS[name])
    return {"scratch": replace(recipe, backbone=MobileNet(), start=Scratch()), **found} if found else {}


def picture_extractor(model: nn.Module) -> Callable[[Pictures], Embeddings]:
    """Return a function from N pictures to their N embeddings by a network."""
    return lambda pictures: extract(model, pictures.table, pictures.size, images=pictures.images)


def clip_extractor(model: nn.Module, frames: int, mode: str = "restricted") -> Callable[[Pictures], Embeddings]:
    """Return a function from pictures to one embedding per tracklet, in the order of their numbers.

    Args:
        model: network for clips.
        frames: T, frames of a clip.
        mode: which frames of a tracklet are seen, see :func:`~reidlab.data.sample_frames`.

    Raises:
        ConfigError: ``frames`` is less than 1.
    """
    check_integer("frames", frames, 1)
    return lambda pictures: extract_clips(
        model, pictures.table, pictures.size, frames, mode, images=pictures.images, masks=pictures.masks
    )
