"""Weight files: read without running code from them, checked name by name, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from reidlab.errors import DataError, MissingDataError
from reidlab.files import replacing

#: Keys under which training programs wrap the weights in a larger dictionary.
_WRAPPERS = ("state_dict", "model")


def reason(error: BaseException) -> str:
    """Return an exception's type and the first line of its text, short enough for a one-line message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read a file of named tensors on the CPU.

    Args:
        path: ``.safetensors``, or a file of :func:`torch.save` holding a state dict, bare or under the key
            ``state_dict`` or ``model``. No code in the file is run.

    Returns:
        Tensors by name, of any shape.

    Raises:
        MissingDataError: there is no such file.
        DataError: the file cannot be read as named tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"{path}: no such weight file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling raises almost anything; the reason stays in the chain
        raise DataError(
            f"{path}: not a readable weight file ({reason(error)}); expected .safetensors or a state dict saved by "
            "torch.save"
        ) from error
    if isinstance(content, Mapping):
        for key in _WRAPPERS:
            if isinstance(content.get(key), Mapping):
                content = content[key]
                break
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise DataError(f"{path}: holds {type(content).__name__}, expected a dictionary from names to tensors")
    return dict(content)


def load_weights(module: nn.Module, path: str | os.PathLike[str], *, ignore: Sequence[str] = ("fc.",)) -> None:
    """Load a user's weight file into a network or a part of it, in place.

    Every tensor must be there with its shape and nothing may be left over, except the names ignored. Batch counters
    (``num_batches_tracked``) may be missing: old torchvision files have none.

    Args:
        module: for ImageNet weights the backbone, e.g. ``load_weights(model.backbone, "resnet50.pth")``.
        path: see :func:`read_weights`.
        ignore: prefixes of names to skip on both sides; by default torchvision's classifier.

    Raises:
        MissingDataError: there is no such file.
        DataError: the file cannot be read or does not fit; the message names the tensors. The module is then unchanged.
    """
    given = {name: value for name, value in read_weights(path).items() if not name.startswith(tuple(ignore))}
    wanted = {name: value for name, value in module.state_dict().items() if not name.startswith(tuple(ignore))}
    missing = [n for n in wanted if n not in given and not n.endswith("num_batches_tracked")]
    unexpected = [n for n in given if n not in wanted]
    misshaped = [
        f"{n} {tuple(given[n].shape)} instead of {tuple(wanted[n].shape)}"
        for n in wanted
        if n in given and given[n].shape != wanted[n].shape
    ]
    problems = [
        f"{len(names)} {kind} ({_some(names)})"
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshaped))
        if names
    ]
    if problems:
        raise DataError(
            f"{path}: its tensors do not fit {type(module).__name__}: {'; '.join(problems)}. "
            "Check that depth, width and blocks are those the file was made with"
        )
    module.load_state_dict(given, strict=False)


def _some(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def save_weights(module: nn.Module, path: str | os.PathLike[str]) -> Path:
    """Write a module's tensors as safetensors; an existing file is replaced only by a complete one.

    Args:
        module: network or part of one.
        path: file to write, ``.safetensors``; its folder is made.

    Returns:
        The path written.

    Raises:
        DataError: the name does not end in ``.safetensors``.
        StorageError: it cannot be written.
    """
    from safetensors.torch import save_file

    path = Path(path)
    if path.suffix != ".safetensors":
        raise DataError(f"{path}: weights are written as safetensors; choose a name ending in .safetensors")
    tensors = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    with replacing(path) as draft:
        save_file(tensors, draft)
    return path
