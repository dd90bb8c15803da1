"""How chapter 2 trains its networks: one backbone on single pictures, then each network on clips in the same way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import pandas as pd

from reidlab.data.decoded import DataSet
from reidlab.errors import ConfigError, DataError
from reidlab.evaluation import Protocol
from reidlab.models import ReIDNet
from reidlab.models.video import NETWORKS, VideoNet, video_network
from reidlab.seeding import derive
from reidlab.study.registry import Registry
from reidlab.study.sheets import Retrieval
from reidlab.study.study import Condition, Place, Result, Study
from reidlab.training.recipe import BackboneOf, Recipe, Scratch, Start, clip_extractor
from reidlab.video.detectors import named_detector
from reidlab.video.redetect import Linked, RedetectLink, ide_embedder, redetect_set
from reidlab.world import WorldSpec
from reidlab.world.scenarios import scenario

#: Networks for clips by name; each is trained on the target's tracklets and embeds those of its test.
METHODS: Registry[Callable[[Place, Condition], Result]] = Registry("networks")


class Trained(NamedTuple):
    """What is measured of a trained network.

    Attributes:
        history: of its losses.
        found: embeddings of the test tracklets.
    """

    history: pd.DataFrame
    found: Retrieval


@dataclass(frozen=True, kw_only=True)
class VideoStudy(Study, ABC):
    """Base of chapter 2's two studies.

    A seed stands for a world of its own and for a training run of each network in it. All networks start from one
    backbone and have the same budget. The dissertation starts from ImageNet weights. Where there are none, the backbone
    first learns on single pictures of the training tracklets; the network this gives is also the one that links
    candidates in re-Detect and Link.

    Attributes:
        recipe: for clips; its start is a file of ImageNet weights, or from scratch, which takes that backbone.
        steps: ``pictures``, on single pictures (16 identities with 4 pictures each), and ``clips``, on clips (8
            identities with 4 tracklets each).
        networks: names of :data:`~reidlab.models.video.NETWORKS` that are compared.
        scenario: name of the world.
        people: identities to train on, and as many others to test on.
        drift: share of a track's frames on which the tracker has drifted off.
        tracklet_frames: pictures of a tracklet.

    Raises:
        ConfigError: a network is unknown, or the recipe has no frames.
    """

    registry = METHODS
    layout = "mars"
    #: What makes the worlds of a chapter others than another's of the same seed.
    world_key: ClassVar[str]
    #: Which frames of a test tracklet are seen, see :func:`~reidlab.data.sample_frames`.
    mode: ClassVar[str]
    networks: Sequence[str]
    scenario: str
    people: int = 60
    drift: float
    tracklet_frames: int

    def __post_init__(self) -> None:
        super().__post_init__()
        METHODS.check(*self.networks)
        if self.recipe.frames is None:
            raise ConfigError("recipe: it has no frames; a recipe for clips needs them, e.g. Recipe(frames=8)")

    @property
    def picture_recipe(self) -> Recipe:
        """The recipe of the network for single pictures: the same sizes and start, the usual optimisation."""
        return replace(self.recipe, frames=None, optimisation={})

    def world(self, seed: int) -> WorldSpec:
        """Return a seed's world."""
        return scenario(
            self.scenario, seed=derive(seed, self.world_key) % 2**31, train_people=self.people,
            test_people=self.people, drift=self.drift, tracklet_frames=self.tracklet_frames,
        )  # fmt: skip

    @abstractmethod
    def protocols(self, data: DataSet) -> tuple[Protocol | str, ...]:
        """Return the protocols under which a data set is scored."""

    def load(self, label: str, seed: int) -> dict[str, DataSet]:
        """Return a seed's world or a real data set, decoded.

        Raises:
            DataError: it has pictures in no tracklet.
        """
        data = super().load(label, seed)["target"]
        for split in (data.train, data.query, data.gallery):
            if (split.tracklets < 0).any():
                raise DataError(f"{data.name}: it has pictures in no tracklet; networks for clips need tracklets")
        return {"target": replace(data, protocols=self.protocols(data))}

    def network(self, name: str, classes: int, seed: int, start: Start | None = None, **options: Any) -> VideoNet:
        """Return a network for clips at its start.

        Args:
            name: see :func:`~reidlab.models.video_network`.
            classes: number of training identities.
            seed: decides its random weights.
            start: where it starts; where the recipe says, if omitted.
            **options: of the network.
        """
        size = tuple(self.recipe.size)
        options = {"size": size, "frames": self.recipe.frames, "stripes": stripes_of(size), **options}
        recipe = self.recipe if start is None else replace(self.recipe, start=start)
        return recipe.network(classes, seed, name, head=lambda net, n: video_network(name, n, net, **options))


def stripes_of(size: tuple[int, int]) -> int:
    """Return the stripes of the spatial reduction: as many rows to each as 16 give at 256 pixels (Sec. 2.3.1)."""
    return max(1, 16 * size[0] // 256)


def image_network(place: Place) -> ReIDNet:
    """Return the network for single pictures, trained on the training tracklets' frames (the IDE of Sec. 2.5.1)."""

    def learn() -> ReIDNet:
        steps = place.budget("long")["pictures"]
        return place.study.picture_recipe.learn(place.target.train, steps, derive(place.seed, "pictures"))

    return place.shared("image network", learn)


def linked_set(place: Place, detector: str) -> tuple[DataSet, Linked]:
    """Return the target after re-Detect and Link, and what was done with its gallery.

    Args:
        place: whose tracklets; its network for single pictures tells candidates apart.
        detector: see :func:`~reidlab.video.detectors.named_detector`.
    """

    def make() -> tuple[DataSet, Linked]:
        size = tuple(place.study.recipe.size)
        finder = named_detector(detector, place.target.root)
        linker = RedetectLink(finder, ide_embedder(image_network(place), size), size=size)
        return redetect_set(place.target, linker)

    return place.shared(("linked", detector), make)


def train_on_clips(place: Place, condition: Condition) -> Result:
    """Train a network on the target's tracklets, or on those that were linked, and score it.

    Args:
        place: whose tracklets.
        condition: its method names the network, its options are the network's; ``link`` names the detector of
            re-Detect and Link.
    """
    study, options = place.study, dict(condition.options)
    link = options.pop("link", "none")
    data = place.target if link == "none" else linked_set(place, link)[0]
    start = BackboneOf(image_network(place)) if study.recipe.start == Scratch() else None
    model = study.network(condition.method, data.train.identities, place.seed, start, **options)
    frames, steps = options.get("frames", study.recipe.frames), place.budget(condition.budget)["clips"]
    history = study.recipe.fit(model, data.train, steps, derive(place.seed, "clips"), frames=frames).history
    found = Retrieval.of(data, clip_extractor(model, frames, study.mode))
    return Result(found.score(data.protocols[0]).summary(), model, Trained(history, found))


for _name in NETWORKS:
    METHODS.add(_name)(train_on_clips)
