"""The small network that a tool works with: read from a file, trained on a data set or on the embedded world."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from reidlab.checks import plural
from reidlab.data import ImageCache
from reidlab.data.decoded import Pictures, from_world
from reidlab.data.table import SampleTable
from reidlab.models import ReIDNet, load_weights
from reidlab.models.weights import read_notes
from reidlab.pseudolabel.adaptation import AdaptationStudy
from reidlab.seeding import derive
from reidlab.training.recipe import Recipe

#: Gets a line to show.
Say = Callable[[str], None]


def image_network(
    table: SampleTable,
    recipe: Recipe,
    weights: str | Path | None,
    steps: int,
    seed: int,
    quiet: bool = False,
    say: Say = lambda line: None,
) -> tuple[ReIDNet, Recipe]:
    """Return a network for single pictures and its recipe.

    It is read from a file, else trained on the data set's training split; where that has no two identities, on the
    embedded world.

    Args:
        table: sample table.
        recipe: of the network.
        weights: see :func:`network_of`; None trains one.
        steps: training steps.
        seed: decides initial weights and batches.
        quiet: whether to leave out progress bars.
        say: gets a line on what was done.

    Raises:
        DataError: the weights or a picture cannot be read.
    """
    if weights is not None:
        return network_of(weights, recipe, seed, say)
    train = table[(table["split"] == "train") & (table["pid"] >= 0)].reset_index(drop=True)
    if train["pid"].nunique() < 2:
        return world_network(recipe, steps, seed, say, quiet), recipe
    pictures = Pictures(train, np.asarray(ImageCache(train, recipe.size, quiet=quiet)))
    return recipe.learn(pictures, steps, seed, progress=not quiet), recipe


def network_of(weights: str | Path, recipe: Recipe, seed: int, say: Say = lambda line: None) -> tuple[ReIDNet, Recipe]:
    """Return the network in a file, and its recipe: with the size of pictures that the file names, if it does.

    Args:
        weights: file of a :class:`~reidlab.models.ReIDNet` with the recipe's backbone, such as ``reidlab learn``
            writes; its classifier is not read.
        recipe: of the network.
        seed: of the classifier.
        say: gets a line on what was stripped or left out.

    Raises:
        MissingDataError: there is no such file.
        DataError: it cannot be read or does not fit.
    """
    model = recipe.network(2, seed)
    notes = load_weights(model, weights, ignore=("neck.classifier.",))
    said = read_notes(weights).get("size", "")
    match = re.fullmatch(r"(\d{2,3})x(\d{2,3})", said)
    if match and recipe.size != (size := (int(match[1]), int(match[2]))):
        recipe = replace(recipe, size=size)
        notes.append(f"its pictures are of {size[0]} x {size[1]} pixels")
    say(f"{weights}: {'; '.join(notes) or 'read as it is'}")
    return model, recipe


def world_network(recipe: Recipe, steps: int, seed: int, say: Say = lambda line: None, quiet: bool = True) -> ReIDNet:
    """Return a network trained on people of the embedded world, the source of chapter 4.

    Args:
        recipe: of the network.
        steps: training steps.
        seed: of the world and of the training.
        say: gets a line before the training.
        quiet: whether to leave out the progress bar.
    """
    say(f"training a network on the embedded world, {plural(steps, 'step')}")
    world = AdaptationStudy(recipe=recipe, steps={"start": steps, "round": 1}).worlds(seed)["source"]
    return recipe.learn(from_world(world, recipe.size).train, steps, derive(seed, "source"), progress=not quiet)
