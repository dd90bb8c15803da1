"""Networks that turn a picture into a feature, by the file that a user has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from torch import nn

from reidlab.checks import check_integer
from reidlab.errors import DataError, MissingDataError
from reidlab.files import digest
from reidlab.reading import check_file
from reidlab.tools.network import network_of
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


def read_embedder(path: str | os.PathLike[str], height: int = 64) -> Embedder:
    """Return the network in a file: an ONNX embedder, an OSNet of torchreid's, or what ``reidlab learn`` wrote.

    Args:
        path: the file; an ONNX file's name ends in ``.onnx``.
        height: of the pictures of a network of ``reidlab learn``, in pixels, where its file does not say.

    Raises:
        ConfigError: the height is no whole number of at least 32.
        MissingDataError: there is no such file.
        DataError: it cannot be read, or is none of the three.
    """
    path = Path(path).expanduser()
    check_integer("height", height, 32)
    check_file(path, DataError if os.path.lexists(path) else MissingDataError)
    model, recipe = network_of(path, Recipe((height, height // 2)), 0)
    return Embedder(model.eval(), recipe.size, path.name, digest(path))
