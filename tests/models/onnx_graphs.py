"""Small ONNX embedders, built node by node."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = (16, 8)


def weights(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(0, 0.3, shape).astype(np.float32)


def embedder(
    nodes, held, *, batch="batch", shape=(3, *SIZE), kind=TensorProto.FLOAT, output="features", width=None, opset=13
):
    """Return a model of nodes (operator, inputs, output, attributes) and arrays by name."""
    made = [helper.make_node(name, inputs, [out], **attributes) for name, inputs, out, attributes in nodes]
    graph = helper.make_graph(
        made,
        "embedder",
        [helper.make_tensor_value_info("images", kind, [batch, *shape])],
        [helper.make_tensor_value_info(output, kind, ["batch", width])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def plain(**changes):
    """Return a convolution, a ReLU, the average, and a linear layer of 5 features; a batch normalisation at the end."""
    nodes = [
        ("Conv", ["images", "stem.weight", "stem.bias"], "a", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("Relu", ["a"], "b", {}),
        ("GlobalAveragePool", ["b"], "c", {}),
        ("Flatten", ["c"], "d", {}),
        ("Gemm", ["d", "fc.weight", "fc.bias"], "e", {"transB": 1}),
        ("BatchNormalization", ["e", "bn.scale", "bn.bias", "bn.mean", "bn.var"], "features", {"epsilon": 1e-3}),
    ]
    held = {
        "stem.weight": weights(4, 3, 3, 3),
        "stem.bias": weights(4),
        "fc.weight": weights(5, 4),
        "fc.bias": weights(5),
        "bn.scale": 1 + weights(5),
        "bn.bias": weights(5, seed=1),
        "bn.mean": weights(5, seed=2),
        "bn.var": np.abs(weights(5, seed=3)) + 0.5,
    }
    return embedder(nodes, held, **changes)


def every_operator():
    """Return a graph of all operators that can be trained, paddings and flattening in their awkward forms."""
    nodes = [
        ("Conv", ["images", "w0", "b0"], "c0", {"strides": [2, 1], "pads": [0, 1, 1, 1], "dilations": [1, 1]}),
        ("BatchNormalization", ["c0", "scale", "shift", "mean", "var"], "n0", {"epsilon": 1e-2, "momentum": 0.8}),
        ("Clip", ["n0", "least", "most"], "k0", {}),
        ("Conv", ["k0", "w1"], "c1", {"group": 4, "pads": [1, 1, 1, 1]}),
        ("Relu", ["c1"], "r1", {}),
        ("MaxPool", ["r1"], "p1", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]}),
        ("AveragePool", ["p1"], "p2", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("GlobalAveragePool", ["p2"], "g0", {}),
        ("Sigmoid", ["g0"], "s0", {}),
        ("Mul", ["p1", "s0"], "m0", {}),
        ("Add", ["m0", "offset"], "a0", {}),
        ("Identity", ["a0"], "i0", {}),
        ("ReduceMean", ["i0"], "q0", {"axes": [2, 3], "keepdims": 1}),
        ("Shape", ["q0"], "shape", {}),
        ("Gather", ["shape", "first"], "count", {"axis": 0}),
        ("Unsqueeze", ["count", "axes"], "counts", {}),
        ("Constant", [], "rest", {"value": numpy_helper.from_array(np.array([-1], np.int64))}),
        ("Concat", ["counts", "rest"], "flat", {"axis": 0}),
        ("Reshape", ["q0", "flat"], "v0", {}),
        ("MatMul", ["v0", "fc"], "f0", {}),
        ("Constant", [], "fc2", {"value": numpy_helper.from_array(weights(6, 5))}),
        ("Gemm", ["f0", "fc2", "b2"], "f1", {"alpha": 0.5, "beta": 2.0}),
        ("Unsqueeze", ["f1", "axes2"], "u1", {}),
        ("Squeeze", ["u1", "axes2"], "f2", {}),
        ("Flatten", ["f2"], "features", {"axis": -1}),
    ]
    held = {
        "w0": weights(4, 3, 3, 3),
        "b0": weights(4),
        "scale": 1 + weights(4, seed=1),
        "shift": weights(4, seed=2),
        "mean": weights(4, seed=3),
        "var": np.abs(weights(4, seed=4)) + 0.5,
        "least": np.float32(-0.4),
        "most": np.float32(0.7),
        "w1": weights(4, 1, 3, 3),
        "offset": weights(1, 4, 1, 1),
        "first": np.int64(0),
        "axes": np.array([0], np.int64),
        "axes2": np.array([2], np.int64),
        "fc": weights(4, 6),
        "b2": weights(5),
    }
    return embedder(nodes, held)


def write(model, path):
    onnx.save(model, path)
    return path
