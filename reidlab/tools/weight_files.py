"""A file that a user gives as weights, and what is wrong with it in a user's words."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reidlab.checks import plural, printable
from reidlab.errors import DataError, MissingDataError
from reidlab.reading import check_file

_EXPECTED = "expected an ONNX embedder (.onnx), weights of torchreid's OSNet, or network.safetensors of `reidlab learn`"
_POINTER = b"version https://git-lfs"
#: What files begin with that are often taken for weights.
_BEGINNINGS = (
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF-", "a PDF"),
    (b"\x1f\x8b", "an archive of gzip"),
    (b"\x89HDF", "a file of HDF5, as Keras writes it"),
    (b"<?xml", "a file of XML, as OpenVINO writes it"),
)
_PAGES = (b"<!doctype", b"<html", b"<head")
_LONGEST = 200  # characters of ONNX Runtime's own words
_RUNTIME_CODE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")
_PLACE_IN_CODE = re.compile(r"(?:Name:'[^']*' Status Message: )?\S+\.(?:cc|h|cpp):\d+ .*?\) (?=\w)")


def check_weight_file(path: Path) -> None:
    """Check that a file may hold weights, by what it begins with.

    Raises:
        MissingDataError: there is no such file.
        DataError: it is empty, a pointer of git-lfs, a picture, a web page, or another file that holds no weights.
    """
    if not check_file(path, DataError if os.path.lexists(path) else MissingDataError):
        raise DataError(f"{path}: is empty; fetch or write it again")
    with path.open("rb") as stream:
        begin = stream.read(512)
    if begin.startswith(_POINTER):
        raise DataError(f"{path}: is a pointer of git-lfs, not the file; fetch the file with `git lfs pull`")
    kind = next((kind for mark, kind in _BEGINNINGS if begin.startswith(mark)), "")
    if begin.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_PAGES):
        kind = "a web page"
    if kind:
        raise DataError(f"{path}: is {kind}, no weights; {_EXPECTED}")


@contextmanager
def read_as_weights(path: Path) -> Iterator[None]:
    """Say in a user's words why the block cannot read a file of weights.

    Raises:
        MissingDataError: there is no such file.
        DataError: it holds no weights, or what the block raised in other words.
    """
    check_weight_file(path)
    try:
        yield
    except MissingDataError:
        raise
    except DataError as error:
        raise DataError(_plain(path, error)) from error


def _plain(path: Path, error: DataError) -> str:
    """Return the message of an error of the readers, reworded where it shows another program's words."""
    with path.open("rb") as stream:
        begin = stream.read(9)
    header = begin[8:] == b"{"  # behind its length, in a file of safetensors
    said, cause = str(error), printable(" ".join(str(error.__cause__ or "").split()))
    if "not a readable weight file" in said:
        if found := re.search(r"Unsupported (?:global|class): (?:GLOBAL )?(\S+)", cause):
            return (
                f"{path}: holds an object of {found[1]}, whose code would run when it is read; save tensors alone, "
                "with torch.save(model.state_dict(), ...)"
            )
        if "TorchScript" in cause:
            return f"{path}: is TorchScript, a network with its code; save its state_dict(), or export it to ONNX"
        if "central directory" in cause or header:
            return f"{path}: is cut off or damaged; fetch or write it again"
        if _is_graph(path):
            return f"{path}: is an ONNX file; give it a name that ends in .onnx"
        return f"{path}: not a readable weight file; {_EXPECTED}"
    if "is no ONNX file (" in said:
        if begin.startswith((b"PK", b"\x80")) or header:
            return f"{path}: holds weights, but no ONNX file; give it a name that ends in .pth or .safetensors"
        return f"{path}: is no ONNX file, or one that is cut off; export or fetch it again"
    if found := re.search(r"has (\d+) inputs and (\d+) outputs, expected one", said):
        counts = [plural(int(count), what) for count, what in zip(found.groups(), ("input", "output"))]
        return said.replace(found[0], f"has {counts[0]} and {counts[1]}, expected one of each")
    if re.search(r"is of type \w+, expected float32", said):
        return f"{said}; export it in float32"
    if "ONNX Runtime cannot " in said:
        advice = "a batch of any size (dynamic axis 0)" if "two pictures" in said else "operators and an opset it knows"
        return f"{said.partition(' (')[0]} ({_runtimes_reason(cause)}); export it again, with {advice}"
    return said


def _is_graph(path: Path) -> bool:
    import onnx

    try:
        return bool(onnx.load_model_from_string(path.read_bytes()).graph.node)
    except Exception:  # whatever a parser raises for other bytes
        return False


def _runtimes_reason(text: str) -> str:
    """Return the end of ONNX Runtime's message, where the reason is, without places in its source."""
    text = _PLACE_IN_CODE.sub("", _RUNTIME_CODE.sub("", text)).rpartition(", Error ")[2]
    kept = ""
    for sentence in reversed(re.split(r"(?<=\.) ", text)):
        if kept and len(sentence) + len(kept) >= _LONGEST:
            break
        kept = f"{sentence} {kept}".strip()
    return textwrap.shorten(kept, _LONGEST, placeholder=" ...").rstrip(". ")
