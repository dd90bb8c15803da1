"""A published embedder, scored as it is beside the networks that a study trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from reidlab.data.decoded import Pictures
from reidlab.evaluation import Embeddings
from reidlab.models import read_onnx
from reidlab.training.recipe import picture_extractor

#: Dimensions of its rows.
PUBLISHED: Mapping[str, str] = {"experiment": "starts", "start": "embedder", "method": "embedder"}


class Published(NamedTuple):
    """An embedder out of a file.

    Attributes:
        extractor: from N pictures to their N embeddings.
        size: height and width of its pictures, in pixels.
    """

    extractor: Callable[[Pictures], Embeddings]
    size: tuple[int, int]


def published(path: str | Path) -> Published:
    """Return the embedder in an ONNX file.

    Raises:
        MissingDataError: there is no such file.
        DataError: it is no embedder.
    """
    model = read_onnx(path)
    return Published(picture_extractor(model), model.size)
