"""What ``reidlab learn`` and chapter 4 share: the loop's options for unlabelled pictures, and where it begins."""

from __future__ import annotations

from typing import Any

from reidlab.data.decoded import from_world
from reidlab.models import ReIDNet
from reidlab.pseudolabel.adaptation import AdaptationStudy
from reidlab.pseudolabel.loop import PseudoLabelOptions
from reidlab.seeding import derive
from reidlab.training.recipe import Recipe
from reidlab.world import WorldSpec

#: Smallest distances per picture whose mean is DBSCAN's radius.
NEAREST = 10
#: Training steps of the network to begin with, and of each round.
STEPS = {"start": 600, "round": 200}
#: Highest learning rate of a round, and identities in its batches: a published embedder is changed less than a network
#: of ours.
RATE, EMBEDDER_RATE = 5e-4, 1e-4
PEOPLE, EMBEDDER_PEOPLE = 8, 16
#: Height and width of the pictures of a network with ImageNet weights.
IMAGENET_SIZE = (128, 64)


def hsr(
    pictures: int,
    cameras: int = 2,
    radius: float | None = None,
    rate: float = RATE,
    people: int = PEOPLE,
    **changes: Any,
) -> PseudoLabelOptions:
    """Return HSR's options for a number of pictures, with each camera's mean taken out before clustering.

    Centring is not the dissertation's; chapter 4 measures what it adds.

    DBSCAN's radius is the mean of the smallest distances: ten for each picture, but never more than a hundredth of
    all. That is half of what SSG takes at Market-1501's size: a radius too small leaves pictures out, which a later
    round can add; one too large puts all people into one cluster.

    Args:
        pictures: how many there are.
        cameras: how many they are from; with one, nothing is mined and nothing is centred.
        radius: DBSCAN's, a Jaccard distance above 0 and below 1; found by the rule where None.
        rate: highest learning rate of a round.
        people: clusters in a batch of a round.
        **changes: fields of :class:`~reidlab.pseudolabel.loop.PseudoLabelOptions`.

    Raises:
        ConfigError: an option is unknown or out of range.
    """
    given = {"share": min(0.01, NEAREST / max(1, pictures)), "k1": min(20, max(1, pictures - 1))}
    given["k2"] = min(6, given["k1"])
    if radius is not None:
        given["eps"] = radius
    several = cameras > 1
    values: dict[str, Any] = {"homogeneity": True, "mining": several, "centre": several, "metric": "weighted"}
    values |= {"rounds": 10, "optimisation": {"p": people, "lr": rate}, **changes}
    return PseudoLabelOptions("dbscan-ssg", given, **values)


def source_world(recipe: Recipe, steps: int, seed: int) -> WorldSpec:
    """Return the embedded world that a network to begin with is trained on, the source of chapter 4."""
    return AdaptationStudy(recipe=recipe, steps={"start": steps, "round": 1}).worlds(seed)["source"]


def world_network(recipe: Recipe, steps: int, seed: int, *, progress: bool = False) -> ReIDNet:
    """Return a network trained on people of the embedded world.

    Args:
        recipe: of the network.
        steps: training steps.
        seed: of the world and of the training.
        progress: whether to show a progress bar.
    """
    train = from_world(source_world(recipe, steps, seed), recipe.size).train
    return recipe.learn(train, steps, derive(seed, "source"), progress=progress)
