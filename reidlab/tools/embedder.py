"""Networks that turn a picture into a feature, by the file that a user has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from torch import nn

from reidlab.checks import check_integer
from reidlab.errors import ConfigError, DataError, MissingDataError
from reidlab.files import digest
from reidlab.reading import check_file
from reidlab.tools.network import Say, network_of
from reidlab.training.recipe import Recipe


class Embedder(NamedTuple):
    """A network with what must be known to use it.

    Attributes:
        model: gives an output with ``embedding`` (B, D) of images (B, 3, H, W), normalised as ImageNet's.
        size: height and width of its pictures, in pixels.
        name: of its file.
        digest: SHA-256 of its file.
    """

    model: nn.Module
    size: tuple[int, int]
    name: str
    digest: str


def read_embedder(path: str | os.PathLike[str], height: int | None = None, say: Say = lambda line: None) -> Embedder:
    """Return the network in a file: an ONNX embedder, an OSNet of torchreid's, or what ``reidlab learn`` wrote.

    Args:
        path: the file; an ONNX file's name ends in ``.onnx``.
        height: of its pictures, in pixels, for a file that does not say; 64 where None.
        say: gets a line on what was read.

    Raises:
        ConfigError: the height is no whole number of at least 32, or another than the file says.
        MissingDataError: there is no such file.
        DataError: it cannot be read, or is none of the three.
    """
    path = Path(path).expanduser()
    recipe = Recipe() if height is None else Recipe((check_integer("height", height, 32), height // 2))
    check_file(path, DataError if os.path.lexists(path) else MissingDataError)
    model, recipe = network_of(path, recipe, 0, say)
    if height not in (None, recipe.size[0]):
        raise ConfigError(
            f"--height {height} is not allowed: {path} is of a network for pictures of {recipe.size[0]} x "
            f"{recipe.size[1]} pixels; leave the option out"
        )
    return Embedder(model.eval(), recipe.size, path.name, digest(path))
