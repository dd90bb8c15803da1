"""Networks that turn a picture into a feature, by the file that a user has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from reidlab.checks import check_integer
from reidlab.errors import DataError, MissingDataError
from reidlab.files import digest
from reidlab.models.onnx_embedder import Features, read_onnx
from reidlab.models.osnet import is_osnet, read_osnet
from reidlab.models.weights import read_weights
from reidlab.reading import check_file
from reidlab.tools.network import network_of
from reidlab.training.recipe import Recipe

#: Height and width of the pictures that torchreid's OSNets were trained on.
OSNET_SIZE = (256, 128)


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


class _Embedding(nn.Module):
    """Puts features (B, D), or the average of maps (B, D, h, w), where an output has its embedding."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Features:
        found = self.model(images)
        return Features(found.mean(dim=(2, 3)) if found.ndim == 4 else found)


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
    model: nn.Module
    if path.suffix.lower() == ".onnx":
        model = read_onnx(path)
        size = model.size
    else:
        names = read_weights(path)
        if is_osnet(names):
            model, size = _Embedding(read_osnet(path)), OSNET_SIZE
        elif any("backbone." in name for name in names):
            model, recipe = network_of(path, Recipe((height, height // 2)), 0)
            size = recipe.size
        else:
            raise DataError(
                f"{path}: is no embedder that is known; give an .onnx file, a file of torchreid's OSNet, or the "
                "network.safetensors of `reidlab learn`"
            )
    return Embedder(model.eval(), size, path.name, digest(path))
