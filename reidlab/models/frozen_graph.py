"""Constants of a frozen graph of TensorFlow, read without TensorFlow.

The file is a protocol buffer (https://protobuf.dev/programming-guides/encoding), a GraphDef. Of its messages a few
fields are needed: GraphDef.node = 1; NodeDef.name = 1, op = 2, attr = 5 (entries of key = 1 and value = 2);
AttrValue.tensor = 8; TensorProto.dtype = 1, tensor_shape = 2, tensor_content = 4, float_val = 5;
TensorShapeProto.dim = 2; Dim.size = 1. All others are passed over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from reidlab.errors import DataError
from reidlab.reading import check_file

_LARGEST = 2**31  # bytes; a protocol buffer has no more
_FLOAT = 1  # DT_FLOAT
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_constants(path: str | Path) -> dict[str, np.ndarray]:
    """Return the constants of 32-bit floats in a frozen graph.

    Args:
        path: the ``.pb`` file.

    Returns:
        Arrays of float32 by the names of their nodes, with TensorFlow's axes: a convolution's are (height, width,
        channels in, channels out), a depthwise one's (height, width, channels, 1).

    Raises:
        DataError: the file cannot be read, or is no such graph.
    """
    check_file(path, DataError, _LARGEST)
    found: dict[str, np.ndarray] = {}
    try:
        for number, node in _fields(memoryview(Path(path).read_bytes())):
            if number == 1:
                name, op, tensor = _node(_message(node))
                if op == "Const" and tensor is not None and _number(tensor.get(1, [0])[-1]) == _FLOAT:
                    found[name] = _values(tensor)
    except OSError as cause:
        raise DataError(f"{path}: cannot be read ({cause.strerror or cause})") from cause
    except (ValueError, IndexError) as cause:
        raise DataError(f"{path}: no frozen graph of TensorFlow, or a damaged one ({cause})") from cause
    return found


_Field = int | memoryview


def _fields(message: memoryview) -> Iterator[tuple[int, _Field]]:
    """Yield the fields of a message: their numbers, and an integer or bytes each."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            length, at = _varint(message, at)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"a field of kind {kind}")
        if length > len(message) - at:
            raise ValueError(f"a field of {length} bytes where {len(message) - at} are left")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the integer that starts at a place, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("an integer of more than 10 bytes")


def _message(field: _Field) -> dict[int, list[_Field]]:
    fields: dict[int, list[_Field]] = {}
    for number, value in _fields(_bytes(field)):
        fields.setdefault(number, []).append(value)
    return fields


def _bytes(field: _Field) -> memoryview:
    if isinstance(field, int):
        raise ValueError("an integer where bytes belong")
    return field


def _number(field: _Field) -> int:
    if not isinstance(field, int):
        raise ValueError("bytes where an integer belongs")
    return field


def _node(node: dict[int, list[_Field]]) -> tuple[str, str, dict[int, list[_Field]] | None]:
    """Return a node's name, operator and the tensor in its attribute ``value``, if it has one."""
    name, op = (bytes(_bytes(node[number][-1])).decode() if number in node else "" for number in (1, 2))
    for entry in node.get(5, []) if op == "Const" else []:
        attribute = _message(entry)
        if 2 in attribute and bytes(_bytes(attribute.get(1, [memoryview(b"")])[-1])) == b"value":
            value = _message(attribute[2][-1])
            return name, op, _message(value[8][-1]) if 8 in value else None
    return name, op, None


def _values(tensor: dict[int, list[_Field]]) -> np.ndarray:
    """Return the array of a TensorProto of floats; a value for each place must be there."""
    shape = []
    for message in tensor.get(2, []):
        for number, dim in _fields(_bytes(message)):
            if number == 2:
                shape.append(_number(_message(dim).get(1, [0])[-1]))
    content = b"".join(bytes(_bytes(part)) for part in tensor.get(4, tensor.get(5, [])))
    if len(content) != 4 * math.prod(shape):
        raise ValueError(f"{len(content)} bytes for floats of shape {tuple(shape)}")
    return np.frombuffer(content, dtype="<f4").reshape(shape).astype(np.float32)
