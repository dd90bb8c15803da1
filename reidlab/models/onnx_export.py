"""Networks written as ONNX embedders, with torch's own exporter that needs no further package."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from reidlab.errors import ConfigError
from reidlab.files import replacing
from reidlab.models.modes import evaluating

_OPSET = 17


class _Features(nn.Module):
    """The embedding of a network's output, or its features as they are."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        found = self.model(images)
        return found if isinstance(found, Tensor) else found.embedding


def write_onnx(model: nn.Module, path: str | os.PathLike[str], size: tuple[int, int]) -> Path:
    """Write a network as an ONNX embedder: ``images`` (N, 3, H, W) in, ``features`` (N, D) out, N of any size.

    Batch normalisations are folded into convolutions where they follow one.

    Args:
        model: gives features (B, D), or an output with an ``embedding``; it is left as it is.
        path: file to write, ``.onnx``; an existing file is replaced only by a complete one.
        size: H and W, in pixels.

    Returns:
        The path written.

    Raises:
        ConfigError: the name does not end in ``.onnx``.
        StorageError: it cannot be written.
    """
    path, stream = Path(path), io.BytesIO()
    if path.suffix != ".onnx":
        raise ConfigError(f"{path}: choose a name that ends in .onnx")
    whole, names = _Features(model), ("images", "features")
    images = torch.zeros((2, 3, *size), device=next(model.parameters()).device)
    with evaluating(whole), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the exporter that takes its place needs onnxscript
        torch.onnx.export(
            whole, (images,), stream, dynamo=False, opset_version=_OPSET, input_names=names[:1],
            output_names=names[1:], dynamic_axes={name: {0: "batch"} for name in names},
        )  # fmt: skip
    with replacing(path) as draft:
        draft.write_bytes(stream.getvalue())
    return path
