"""What ``reidlab learn`` begins with, and how the network it ends with is kept."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from torch import nn

from reidlab.errors import ConfigError, DataError, MissingDataError
from reidlab.files import digest
from reidlab.models import EmbedderNet, OnnxEmbedder, ReIDNet, save_weights, write_onnx
from reidlab.pseudolabel.unlabelled import EMBEDDER_PEOPLE, EMBEDDER_RATE, IMAGENET_SIZE, PEOPLE, RATE
from reidlab.reading import check_file
from reidlab.seeding import derive
from reidlab.tools.network import NOTE, Say, mobile_network, network_of
from reidlab.training.recipe import ImageNet, Recipe

WORLD, IMAGENET = "world", "imagenet"
NETWORK, ONNX = "network.safetensors", "network.onnx"


class Start(NamedTuple):
    """A network to begin with.

    Attributes:
        name: ``world``, ``imagenet``, or the file's name and digest.
        recipe: of network and training, with the size of its pictures.
        rate: highest learning rate of a round, unless another is asked for.
        people: clusters in a batch of a round.
        model: None where it is first trained on the embedded world.
    """

    name: str
    recipe: Recipe
    rate: float = RATE
    people: int = PEOPLE
    model: ReIDNet | None = None

    @property
    def has_map(self) -> bool:
        """Whether the network has maps, whose upper and lower halves have features."""
        return not isinstance(self.model, EmbedderNet) or self.model.has_map


def read_start(
    start: str | Path | None = None, recipe: Recipe | None = None, seed: int = 0, say: Say = lambda line: None
) -> Start:
    """Return what a user names as the start.

    Args:
        start: ``world`` or None: a network trained on people of the embedded world; ``imagenet``: MobileNetV2 with
            the weights of an installed package; else a file, see :func:`~reidlab.tools.network.network_of`.
        recipe: of network and training, whose size of pictures is taken; where None, the usual one at the start's own
            size.
        seed: of what the start has no weights for.
        say: gets a line on what was read.

    Raises:
        ConfigError: the start is an ONNX file, whose pictures have one size, and the recipe has another.
        MissingDataError: there is no such file, or the package of weights is not installed.
        DataError: it cannot be read, is no network that is known, or cannot be trained.
    """
    if start is None or str(start) == WORLD:
        return Start(WORLD, recipe or Recipe())
    if str(start) == IMAGENET:
        model = mobile_network(seed, ImageNet())
        say("MobileNetV2 with ImageNet weights")
        return Start(IMAGENET, recipe or Recipe(IMAGENET_SIZE), model=model)
    path = Path(start).expanduser()
    try:
        check_file(path, DataError if os.path.lexists(path) else MissingDataError)
    except MissingDataError as error:
        raise MissingDataError(f"{error}; give --start a file, {IMAGENET} or {WORLD}") from error
    model, found = network_of(path, recipe or Recipe(), derive(seed, "start"), say, trainable=True)
    known = isinstance(model, EmbedderNet)
    if recipe is not None and recipe.size != found.size:
        if known and isinstance(model.embedder, OnnxEmbedder):
            height, width = found.size
            raise ConfigError(
                f"{path}: --height {recipe.size[0]} is not allowed; pictures of an ONNX file have its size, "
                f"{height} x {width} pixels"
            )
        found = replace(found, size=recipe.size)
    pace = (EMBEDDER_RATE, EMBEDDER_PEOPLE) if known else (RATE, PEOPLE)
    return Start(f"{path.name}, SHA-256 {digest(path)[:12]}", found, *pace, model)


def keep_network(model: ReIDNet, folder: Path, size: tuple[int, int]) -> None:
    """Write a network to a folder: ``network.onnx``, and ``network.safetensors`` where its architecture is known here.

    An ONNX embedder is known by its graph alone, so that its file with new weights is all there is.

    Args:
        model: what was learnt.
        folder: to write to.
        size: height and width of its pictures, in pixels.

    Raises:
        StorageError: a file cannot be written.
    """
    whole = model.embedder if isinstance(model, EmbedderNet) else model
    if isinstance(whole, OnnxEmbedder):
        whole.save(folder / ONNX)
    else:
        keep_both(whole, folder, size)


def keep_both(model: nn.Module, folder: Path, size: tuple[int, int]) -> None:
    """Write a network as ``network.onnx`` and, with a note on what it is, as ``network.safetensors``.

    Args:
        model: gives features, or an output with an ``embedding``.
        folder: to write to.
        size: height and width of its pictures, in pixels.

    Raises:
        StorageError: a file cannot be written.
    """
    kind = type(getattr(model, "backbone", model)).__name__
    write_onnx(model, folder / ONNX, size)
    # One note: safetensors writes several in any order, and equal networks are equal files.
    save_weights(model, folder / NETWORK, {NOTE: f"{kind}; {size[0]}x{size[1]}; mean and deviation of ImageNet"})
