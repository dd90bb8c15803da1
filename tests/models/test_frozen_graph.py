"""Frozen graphs: written by TensorBoard's copy of TensorFlow's messages where it is installed, and byte by byte."""

import struct

import numpy as np
import pytest

from reidlab.errors import DataError
from reidlab.models.frozen_graph import read_constants
from tests.protobuf import field, varint


def constant(name, shape, data, kind=1, number=4):
    """A node of the operator Const; ``number`` is the field of its values."""
    dims = b"".join(field(2, field(1, n)) for n in shape)
    tensor = field(1, kind) + field(2, dims) + field(number, data)
    value = field(5, field(1, "value") + field(2, field(8, tensor)))
    return field(1, field(1, name) + field(2, "Const") + field(5, field(1, "dtype") + field(2, field(6, kind))) + value)


def written(path, content):
    path.write_bytes(content)
    return path


def test_constants_of_floats_are_read_and_the_rest_is_passed_over(tmp_path):
    values = np.arange(6, dtype="<f4").reshape(2, 3)
    content = constant("a/weights", (2, 3), values.tobytes())
    content += constant("scalar", (), struct.pack("<f", 0.5), number=5)
    content += constant("whole", (2,), struct.pack("<2i", 1, 2), kind=3)
    content += field(1, field(1, "relu") + field(2, "Relu6") + field(3, "a/weights"))
    content += varint(7 << 3 | 5) + b"1234" + varint(8 << 3 | 1) + b"12345678" + field(2, b"") + field(3, 300)
    found = read_constants(written(tmp_path / "graph.pb", content))
    assert found.keys() == {"a/weights", "scalar"}
    np.testing.assert_array_equal(found["a/weights"], values)
    assert (found["scalar"].shape, float(found["scalar"])) == ((), 0.5)
    assert read_constants(written(tmp_path / "empty.pb", b"")) == {}


def test_constants_are_those_that_another_library_writes(tmp_path):
    messages = pytest.importorskip("tensorboard.compat.proto.graph_pb2")
    graph = messages.GraphDef()
    for number, values in enumerate((np.float32([[1, 2], [3, 4]]), np.float32([0.25]))):
        node = graph.node.add(name=f"c{number}", op="Const", input=["^x"])
        tensor = node.attr["value"].tensor
        tensor.dtype = 1
        for n in values.shape:
            tensor.tensor_shape.dim.add(size=n)
        if number:
            tensor.float_val.extend(values.tolist())
        else:
            tensor.tensor_content = values.tobytes()
    found = read_constants(written(tmp_path / "graph.pb", graph.SerializeToString()))
    assert {name: values.tolist() for name, values in found.items()} == {"c0": [[1, 2], [3, 4]], "c1": [0.25]}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\x0a", "index out of"),
        (b"\xff" * 11, "an integer of more than 10 bytes"),
        (b"\x0a\xff\xff\xff\xff\x0f", "a field of 4294967295 bytes where 0 are left"),
        (b"\x0b", "a field of kind 3"),
        (field(1, 5), "an integer where bytes belong"),
        (field(1, field(1, b"\xff")), "can't decode"),
        (constant("a", (3,), b"12345678"), r"8 bytes for floats of shape \(3,\)"),
        (constant("a", (2**40, 2**40), b""), "0 bytes for floats"),
        (constant("a", (-1 + 2**64,), b""), "0 bytes for floats"),
    ],
)
def test_what_is_no_such_graph_is_refused_in_one_line(tmp_path, content, why):
    path = written(tmp_path / "graph.pb", content)
    with pytest.raises(DataError, match=f"no frozen graph of TensorFlow, or a damaged one .*{why}") as told:
        read_constants(path)
    assert str(told.value).startswith(f"{path}: ")
    assert "\n" not in str(told.value)


def test_every_cut_of_a_graph_is_read_or_refused(tmp_path):
    content = constant("a", (2, 2), np.zeros(4, "<f4").tobytes())
    for end in range(1, len(content)):
        with pytest.raises(DataError):
            read_constants(written(tmp_path / "graph.pb", content[:end]))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"graph\.pb: there is no such file"):
        read_constants(tmp_path / "graph.pb")
