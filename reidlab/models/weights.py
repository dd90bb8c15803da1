"""Weight files: read without running code from them, checked name by name, written whole or not at all."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reidlab.checks import plural, printable
from reidlab.errors import DataError, MissingDataError
from reidlab.files import replacing
from reidlab.reading import check_file

#: Keys under which training programs wrap the weights in a larger dictionary, the usual ones first.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
_DEEPEST = 3  # dictionaries that are opened to find the weights
#: Beginnings of the names of classifiers, which belong to the people that were trained on.
_CLASSIFIERS = ("fc.", "classifier.", "head.", "neck.classifier.")


class _Unread:
    """What stands for a number of numpy's in a file: nothing of numpy runs, and the number is not needed."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


#: What training programs store beside the weights, such as the best score so far.
_UNREAD = [
    (_Unread, f"numpy{core}.multiarray.{name}") for core in (".core", "._core") for name in ("scalar", "_reconstruct")
]
_UNREAD += [(_Unread, "numpy.dtype"), (_Unread, "numpy.ndarray")]


def reason(error: BaseException) -> str:
    """Return an exception's type and the first line of its text, short enough for a one-line message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # Torch's first lines tell how to load a file that may run code.
    own = [line.partition("WeightsUnpickler error:")[2].strip() for line in lines if "WeightsUnpickler error:" in line]
    text = own[0] if own else lines[0] if lines else ""
    if text.startswith("Weights only load failed") or own == [""]:
        text = "it holds more than tensors and numbers"
    return printable(f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__)


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read a file of named tensors on the CPU.

    Args:
        path: a file of safetensors, or one of :func:`torch.save` holding a state dict, bare or in a dictionary under
            ``state_dict``, ``model_state_dict``, ``model``, ``net``, ``network`` or ``weights``, at most three deep;
            its content decides which, whatever its name. No code in the file is run. What is no tensor is left out.

    Returns:
        Tensors by name, of any shape.

    Raises:
        MissingDataError: there is no such file.
        DataError: it is no file, or cannot be read as named tensors.
    """
    return _read(path)[0]


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors of a file by name, and what was done to find them."""
    size = check_file(path, DataError if os.path.lexists(path) else MissingDataError)
    try:
        if _is_safetensors(path, size):
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            # A stream, as torch would go by the ending of a name.
            with torch.serialization.safe_globals(_UNREAD), open(path, "rb") as stream, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what torch cannot read is said in one line
                content = torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling raises almost anything; the reason stays in the chain
        raise DataError(
            f"{path}: not a readable weight file ({reason(error)}); expected safetensors or a state dict saved by "
            "torch.save"
        ) from error
    notes = []
    for _ in range(_DEEPEST):
        key = next((key for key in _WRAPPERS if isinstance(content, Mapping) and _is_mapping(content.get(key))), None)
        if key is None:
            break
        content = content[key]
        notes.append(f"read its {key!r}")
    if not _is_mapping(content):
        raise DataError(f"{path}: holds {type(content).__name__}, expected a dictionary from names to tensors")
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor) and isinstance(name, str)}
    if not tensors:
        found = printable(f"; it holds {_some([str(key) for key in content])}") if content else ""
        raise DataError(f"{path}: holds no tensor by name, expected a dictionary from names to tensors{found}")
    if others := [str(name) for name in content if name not in tensors]:
        notes.append(f"left out what is no tensor ({_some(others)})")
    return tensors, notes


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping) and not isinstance(value, Tensor)


def _is_safetensors(path: str | os.PathLike[str], size: int) -> bool:
    """Return whether a file begins with the length of a header, and a header in JSON."""
    with open(path, "rb") as stream:
        begin = stream.read(9)
    return len(begin) == 9 and int.from_bytes(begin[:8], "little") <= size - 8 and begin[8:] == b"{"


def load_weights(module: nn.Module, path: str | os.PathLike[str], *, ignore: Sequence[str] = ("fc.",)) -> list[str]:
    """Load a user's weight file into a network or a part of it, in place.

    Every tensor must be there with its shape and finite. Batch counters (``num_batches_tracked``) may be missing: old
    torchvision files have none. Names may have a prefix in the file, such as ``module.`` or ``backbone.``; it is
    found. Of what is left over, classifiers and what has not the prefix are left out; the rest is refused.

    Args:
        module: for ImageNet weights the backbone, e.g. ``load_weights(model.backbone, "resnet50.pth")``.
        path: see :func:`read_weights`.
        ignore: prefixes of names to skip on both sides; by default torchvision's classifier.

    Returns:
        What was stripped or left out, a note each; empty if the file's names are the module's.

    Raises:
        MissingDataError: there is no such file.
        DataError: the file cannot be read or does not fit; the message names the tensors. The module is then unchanged.
    """
    tensors, notes = _read(path)
    ignored = tuple(ignore)
    wanted = {name: value for name, value in module.state_dict().items() if not name.startswith(ignored)}
    prefix = _prefix(tensors, [name for name in wanted if not _counts(name)], path)
    named = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    given = {name: value for name, value in named.items() if not name.startswith(ignored)}
    apart = [name for name in given if name not in wanted and name.startswith(_CLASSIFIERS)]
    given = {name: value for name, value in given.items() if name not in apart}
    missing = [n for n in wanted if n not in given and not _counts(n)]
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
        sides = ""
        if not wanted.keys() & given.keys():
            sides = f". None of its names fits: it begins with {_some(list(tensors))}, expected {_some(list(wanted))}"
        raise DataError(
            f"{path}: its tensors do not fit {type(module).__name__}: {'; '.join(problems)}{sides}. "
            "The file must be of a network of the same depth, width and blocks"
        )
    for name in wanted.keys() & given.keys():
        if not torch.isfinite(given[name]).all():
            raise DataError(f"{path}: {name} holds a value that is not finite (NaN or infinity)")
    module.load_state_dict(given, strict=False)
    left = [name for name in tensors if name.removeprefix(prefix) not in given or not name.startswith(prefix)]
    notes += [f"stripped {prefix!r} from its names"] if prefix else []
    notes += [f"left out {plural(len(left), 'tensor')} ({_some(left)})"] if left else []
    return [printable(note) for note in notes]


def _prefix(given: Mapping[str, Tensor], wanted: Sequence[str], path: str | os.PathLike[str]) -> str:
    """Return what stands in the file before most of the names that are wanted; nothing where none fits."""
    if not wanted:
        return ""
    first = wanted[0]
    begins = {"", *(name.removesuffix(first) for name in given if name.endswith(f".{first}"))}
    hits = {begin: sum(begin + name in given for name in wanted) for begin in begins}
    most = max(hits.values())
    best = sorted((begin for begin in hits if hits[begin] == most), key=len)
    if most == len(wanted) and len(best) > 1:
        raise DataError(f"{path}: holds such a network {len(best)} times, under {_some(best)}; keep one of them")
    return best[0]


def _counts(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _some(names: Sequence[str], most: int = 4) -> str:
    return printable(", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else ""))


def read_notes(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the texts by name that :func:`save_weights` wrote beside the tensors; none of another kind of file.

    Raises:
        MissingDataError: there is no such file.
        DataError: it cannot be read.
    """
    if not _is_safetensors(path, check_file(path, DataError if os.path.lexists(path) else MissingDataError)):
        return {}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as stream:
            return dict(stream.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: not a readable weight file ({reason(error)})") from error


def save_weights(module: nn.Module, path: str | os.PathLike[str], notes: Mapping[str, str] | None = None) -> Path:
    """Write a module's tensors as safetensors; an existing file is replaced only by a complete one.

    Args:
        module: network or part of one.
        path: file to write, ``.safetensors``; its folder is made.
        notes: texts by name to keep beside the tensors, see :func:`read_notes`.

    Returns:
        The path written.

    Raises:
        DataError: the name does not end in ``.safetensors``.
        StorageError: it cannot be written.
    """
    from safetensors.torch import save

    path = Path(path)
    if path.suffix != ".safetensors":
        raise DataError(f"{path}: weights are written as safetensors; choose a name ending in .safetensors")
    tensors = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    with replacing(path) as draft:
        # A file that safetensors itself makes could be read by its owner alone.
        draft.write_bytes(save(tensors, dict(notes) if notes else None))
    return path
