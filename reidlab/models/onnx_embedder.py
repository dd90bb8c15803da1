"""Embedders in ONNX files: plain convolutional graphs as torch modules that can be trained, others as features only.

The operators are those of https://onnx.ai/onnx/operators/, opset 7 and later. A graph that was exported for inference
has its batch normalisations folded into convolutions, so that it trains without them; one that is left is trained as
torch does.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from reidlab.checks import printable
from reidlab.errors import ConfigError, DataError, MissingDataError
from reidlab.files import replacing
from reidlab.models.modes import evaluating
from reidlab.models.weights import reason
from reidlab.reading import check_file

if TYPE_CHECKING:
    import onnx

#: Greatest difference between a graph as a torch module and ONNX Runtime, as a share of the largest feature.
TOLERANCE = 1e-4
_LARGEST = 2**31 - 1  # bytes of a protobuf message
_HOW = "an embedder takes N x 3 x H x W pictures in float32 and gives N x D features"


class Features(NamedTuple):
    """What an embedder puts out; the name is that of :class:`~reidlab.models.heads.Output`.

    Attributes:
        embedding: (B, D) features, not normalised to unit length.
    """

    embedding: Tensor


class OnnxFeatures(nn.Module):
    """An embedder that ONNX Runtime runs on the CPU: any operators, but nothing to train.

    Args:
        model: the file's content.
        path: of the file, for messages.

    Attributes:
        size: height and width of its pictures, in pixels.
        width: D, of the features.
        input: name of the graph's input.
        untrainable: operators that :class:`OnnxEmbedder` does not know, sorted; empty where it could be trained.

    Raises:
        DataError: it is no embedder with a batch of any size, or ONNX Runtime cannot run it.
    """

    def __init__(self, model: onnx.ModelProto, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self.size = _picture_size(model, path)
        self.untrainable = sorted({printable(node.op_type) for node in model.graph.node if not _known(node)})
        self._session = _session(model, path)
        self.input = self._session.get_inputs()[0].name
        # Tells where pictures go, as the weights of other networks do.
        self.place = nn.Parameter(torch.zeros(()), requires_grad=False)
        try:
            found = self._session.run(None, {self.input: _trial(self.size).numpy()})[0]
        except Exception as error:  # ONNX Runtime's errors have no common class
            raise DataError(f"{path}: ONNX Runtime cannot run it on two pictures ({reason(error)})") from error
        if not isinstance(found, np.ndarray):
            raise DataError(f"{path}: gives {type(found).__name__} for two pictures; {_HOW}")
        if found.ndim != 2 or len(found) != 2 or found.dtype != np.float32:
            shape = " x ".join(map(str, found.shape))
            raise DataError(f"{path}: gives {found.dtype} of {shape} for two pictures; {_HOW}")
        if not np.isfinite(found).all():
            raise DataError(f"{path}: gives features that are not finite (NaN or infinity); its weights are damaged")
        self.width = found.shape[1]

    def forward(self, images: Tensor) -> Features:
        """Return features (B, D) of images (B, 3, H, W), which carry no gradient."""
        given = images.detach().cpu().float().numpy()
        return Features(torch.from_numpy(self._session.run(None, {self.input: given})[0]))


class OnnxEmbedder(nn.Module):
    """An embedder's graph as a torch module: weights of the file are parameters under their names in it.

    Args:
        model: the file's content.
        path: of the file, for messages.

    Attributes:
        size: height and width of its pictures, in pixels.
        width: D, of the features.
        has_map: whether the graph ends in the average of a map and what follows from that alone.

    Raises:
        DataError: it is no embedder with a batch of any size, has operators that cannot be trained, or gives other
            features than ONNX Runtime.

    Example:
        >>> model = read_onnx("osnet.onnx", trainable=True)  # doctest: +SKIP
        >>> model(torch.zeros(2, 3, 256, 128)).embedding.shape  # doctest: +SKIP
        torch.Size([2, 512])
    """

    def __init__(self, model: onnx.ModelProto, path: str | os.PathLike[str]) -> None:
        super().__init__()
        runtime = OnnxFeatures(model, path)
        if runtime.untrainable:
            raise DataError(
                f"{path}: has operators that cannot be trained here ({', '.join(runtime.untrainable)}); it can be used "
                "for features only"
            )
        self.size, self.width = runtime.size, runtime.width
        model = _untied(model)
        self._content = model.SerializeToString()
        nodes = [_Node.of(node) for node in model.graph.node]
        self._nodes = tuple(node for node in nodes if node.kind != "Constant")
        self._input, self._output = runtime.input, model.graph.output[0].name
        #: Names in the file of what moves with the module, and the names of the parameters and buffers here.
        self._names: dict[str, str] = {}
        #: Whole numbers and scalars by their names in the file: sizes and limits, which stay on the CPU.
        self._fixed = {node.output: node.attributes["value"] for node in nodes if node.kind == "Constant"}
        learnt = {name for node in self._nodes for name in node.learnt}
        moving = {name for node in self._nodes if node.kind == "BatchNormalization" for name in node.inputs[3:5]}
        self._fixed |= {item.name: _tensor(item) for item in model.graph.initializer}
        for name, value in list(self._fixed.items()):
            if not value.is_floating_point() or value.ndim == 0:
                continue
            own = self._names[name] = _own_name(name, len(self._names))
            if name in learnt and value.numel() > 1 and name not in moving:
                self.register_parameter(own, nn.Parameter(self._fixed.pop(name)))
            else:
                self.register_buffer(own, self._fixed.pop(name), persistent=name in moving)
        self._cut = self._last_average()
        self.has_map = self._cut < len(self._nodes)
        # Operators have more details than are looked at one by one: the features tell whether all were understood.
        trial = _trial(self.size)
        with torch.inference_mode():
            expected = runtime(trial).embedding
            try:
                with evaluating(self):
                    found = self(trial).embedding
            except Exception as error:  # an operator whose inputs are not what its kind allows
                raise DataError(f"{path}: its graph cannot be run as a torch module ({reason(error)})") from error
        scale = max(1.0, float(expected.abs().max()))
        if found.shape != expected.shape or not float((found - expected).abs().max()) <= TOLERANCE * scale:
            raise DataError(
                f"{path}: as a torch module it does not give ONNX Runtime's features; use it for these only"
            )

    def forward(self, images: Tensor) -> Features:
        """Return features (B, D) of images (B, 3, H, W), normalised as in the embedder's training."""
        return Features(self.pooled(self.map(images)))

    def map(self, images: Tensor) -> Tensor:
        """Return the map (B, C, h, w) whose average the graph ends in; (B, D, 1, 1), its features, where there is none.

        Args:
            images: (B, 3, H, W), normalised as in the embedder's training.
        """
        found = self._run(self._nodes[: self._cut], self._input, images)
        return found[self._nodes[self._cut].inputs[0]] if self.has_map else found[self._output][..., None, None]

    def pooled(self, maps: Tensor) -> Tensor:
        """Return features (B, D) of maps (B, C, h, w), or of parts of them."""
        if not self.has_map:
            return maps.mean(dim=(2, 3))
        return self._run(self._nodes[self._cut :], self._nodes[self._cut].inputs[0], maps)[self._output]

    def _run(self, nodes: Sequence[_Node], name: str, given: Tensor) -> dict[str, Tensor]:
        """Return tensors by name after some of the nodes, of which one is given."""
        values: dict[str, Tensor] = self._fixed | {name: getattr(self, own) for name, own in self._names.items()}
        values[name] = given
        for node in nodes:
            taken = [values[name] if name else None for name in node.inputs]
            values[node.output] = _OPERATORS[node.kind].run(node.attributes, self.training, *taken)
        return values

    def _last_average(self) -> int:
        """Return the place of the node after which only its output, or weights, are used; behind the last if none."""
        known = {"", *self._names, *self._fixed}
        for place in reversed(range(len(self._nodes))):
            node, later = self._nodes[place], self._nodes[place + 1 :]
            made = {node.output, *(item.output for item in later)}
            alone = known.issuperset(name for item in later for name in item.inputs if name not in made)
            if node.kind == "GlobalAveragePool" and alone and node.inputs[0] not in known:
                return place
            if node.kind == "ReduceMean" and alone and _over_places(node, self._fixed):
                return place
        return len(self._nodes)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write an ONNX file: the one that was read, with today's weights.

        Args:
            path: file to write, ``.onnx``; an existing file is replaced only by a complete one.

        Returns:
            The path written.

        Raises:
            ConfigError: the name does not end in ``.onnx``.
            StorageError: it cannot be written.
        """
        import onnx
        from onnx import numpy_helper

        path = Path(path)
        if path.suffix != ".onnx":
            raise ConfigError(f"{path}: choose a name that ends in .onnx")
        model = onnx.load_from_string(self._content)
        tensors = {item.name: item for item in model.graph.initializer}
        tensors |= {node.output[0]: node.attribute[0].t for node in model.graph.node if node.op_type == "Constant"}
        for name, own in self._names.items():
            value = getattr(self, own).detach().cpu().contiguous().numpy()
            tensors[name].CopyFrom(numpy_helper.from_array(value, tensors[name].name))
        with replacing(path) as draft:
            draft.write_bytes(model.SerializeToString())
        return path


def read_onnx(path: str | os.PathLike[str], trainable: bool = False) -> OnnxEmbedder | OnnxFeatures:
    """Return the embedder in an ONNX file.

    Args:
        path: the file, self-contained.
        trainable: whether it is to be a module with parameters; else ONNX Runtime gives the features.

    Raises:
        MissingDataError: there is no such file.
        DataError: it is no ONNX file, no embedder (another shape or type, a fixed batch), or cannot be trained.
    """
    import onnx
    from google.protobuf.message import DecodeError

    size = check_file(path, DataError if os.path.lexists(path) else MissingDataError)
    if size > _LARGEST:
        raise DataError(f"{path}: has {size:,} bytes; an ONNX file is one protocol buffer, of at most {_LARGEST:,}")
    try:
        model = onnx.load_model_from_string(Path(path).read_bytes())
    except (DecodeError, ValueError) as error:
        raise DataError(f"{path}: is no ONNX file ({reason(error)})") from error
    if not model.graph.node:
        raise DataError(f"{path}: is no ONNX file, or one with an empty graph")
    # Such weights would be read from wherever the file says.
    if any(map(_elsewhere, [model.graph, *model.functions])):
        raise DataError(f"{path}: its weights are in other files; save the model as one file")
    return OnnxEmbedder(model, path) if trainable else OnnxFeatures(model, path)


def _picture_size(model: onnx.ModelProto, path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return height and width of the pictures a graph takes, once its input is known to be a batch of pictures."""
    import onnx

    held = {item.name for item in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in held]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise DataError(f"{path}: has {len(inputs)} inputs and {len(model.graph.output)} outputs, expected one; {_HOW}")
    kind = inputs[0].type.tensor_type
    name = printable(inputs[0].name)
    if kind.elem_type != onnx.TensorProto.FLOAT:
        known = onnx.TensorProto.DataType.keys()
        found = known[kind.elem_type].lower() if 0 <= kind.elem_type < len(known) else kind.elem_type
        raise DataError(f"{path}: its input {name!r} is of type {found}, expected float32; {_HOW}")
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
    shown = " x ".join("?" if n is None else str(n) for n in sizes)
    if len(sizes) != 4 or sizes[1] != 3 or not sizes[2] or not sizes[3] or max(sizes[2:]) > 4096:
        raise DataError(f"{path}: its input {name!r} is {shown}; {_HOW}, with H and W fixed")
    if sizes[0] is not None:
        raise DataError(
            f"{path}: its batch is fixed at {sizes[0]}; export it with a batch of any size (dynamic axis 0)"
        )
    return sizes[2], sizes[3]


def _session(model: onnx.ModelProto, path: str | os.PathLike[str]) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise DataError(f"{path}: onnxruntime is not installed; pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    try:
        # Its way back to another device prints to stdout, and there is none.
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise DataError(f"{path}: ONNX Runtime cannot read it ({reason(error)})") from error


def _trial(size: tuple[int, int]) -> Tensor:
    return torch.randn((2, 3, *size), generator=torch.Generator().manual_seed(0))


def _own_name(name: str, number: int) -> str:
    """Return a name that torch allows for a tensor: that of the file where it can be, and a number."""
    return f"{re.sub(r'[^A-Za-z0-9]+', '_', name).strip('_')}_{number}"


def _tensor(item: onnx.TensorProto) -> Tensor:
    from onnx import numpy_helper

    return torch.from_numpy(np.array(numpy_helper.to_array(item)))


def _elsewhere(graph: onnx.GraphProto | onnx.FunctionProto) -> bool:
    """Return whether a graph, or one inside it, has a tensor that is kept in another file."""
    import onnx

    tensors, inner = list(getattr(graph, "initializer", ())), []
    for sparse in getattr(graph, "sparse_initializer", ()):
        tensors += [sparse.values, sparse.indices]
    for node in graph.node:
        for item in node.attribute:
            tensors += [item.t, *item.tensors, item.sparse_tensor.values, item.sparse_tensor.indices]
            inner += [item.g, *item.graphs] if item.type in (item.GRAPH, item.GRAPHS) else []
    return any(item.data_location == onnx.TensorProto.EXTERNAL for item in tensors) or any(map(_elsewhere, inner))


class _Node(NamedTuple):
    """A node of a graph.

    Attributes:
        kind: its operator.
        inputs: names of the tensors it takes, empty where one is left out.
        output: name of the first tensor it gives.
        attributes: by name; tensors as torch's.
    """

    kind: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]

    @classmethod
    def of(cls, node: onnx.NodeProto) -> _Node:
        return cls(node.op_type, tuple(node.input), node.output[0], _attributes(node))

    @property
    def learnt(self) -> tuple[str, ...]:
        """Names of the inputs that are weights, if the file holds them."""
        return self.inputs[_OPERATORS[self.kind].weights]


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    import onnx

    values = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    return {name: _tensor(v) if isinstance(v, onnx.TensorProto) else v for name, v in values.items()}


def _known(node: onnx.NodeProto) -> bool:
    """Return whether a node's operator and all its attributes are understood here."""
    operator = _OPERATORS.get(node.op_type)
    if operator is None or node.domain not in ("", "ai.onnx") or len(node.output) != 1:
        return False
    try:
        values = _attributes(node)
    except (ValueError, TypeError):  # a damaged tensor
        return False
    if values.pop("auto_pad", b"NOTSET") != b"NOTSET" or values.get("training_mode", 0):
        return False
    return set(values) <= set(operator.attributes)


def _sides(values: dict[str, Any]) -> tuple[tuple[int, int], list[int] | None]:
    """Return the padding (height, width) that torch takes; or none, and what to pad before (left, right, top, ...)."""
    top, left, bottom, right = values.get("pads", (0, 0, 0, 0))
    return ((top, left), None) if (top, left) == (bottom, right) else ((0, 0), [left, right, top, bottom])


def _conv(values: dict[str, Any], training: bool, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    padding, before = _sides(values)
    x = x if before is None else functional.pad(x, before)
    stride, dilation = values.get("strides", (1, 1)), values.get("dilations", (1, 1))
    return functional.conv2d(x, weight, bias, tuple(stride), padding, tuple(dilation), values.get("group", 1))


def _max_pool(values: dict[str, Any], training: bool, x: Tensor) -> Tensor:
    padding, before = _sides(values)
    x = x if before is None else functional.pad(x, before, value=-math.inf)
    stride, dilation = values.get("strides", (1, 1)), values.get("dilations", (1, 1))
    ceil = bool(values.get("ceil_mode", 0))
    return functional.max_pool2d(x, tuple(values["kernel_shape"]), tuple(stride), padding, tuple(dilation), ceil)


def _average_pool(values: dict[str, Any], training: bool, x: Tensor) -> Tensor:
    padding, before = _sides(values)
    counted = bool(values.get("count_include_pad", 0))
    if before is not None and not counted:
        raise ValueError("AveragePool with other padding on one side than on the other")
    x = x if before is None else functional.pad(x, before)
    kernel, stride = tuple(values["kernel_shape"]), tuple(values.get("strides", (1, 1)))
    return functional.avg_pool2d(x, kernel, stride, padding, bool(values.get("ceil_mode", 0)), counted)


def _clip(
    values: dict[str, Any], training: bool, x: Tensor, least: Tensor | None = None, most: Tensor | None = None
) -> Tensor:
    least = values.get("min") if least is None else float(least)
    most = values.get("max") if most is None else float(most)
    return x if least is None and most is None else x.clamp(least, most)


def _gemm(values: dict[str, Any], training: bool, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    a = a.T if values.get("transA", 0) else a
    b = b.T if values.get("transB", 0) else b
    out = values.get("alpha", 1.0) * (a @ b)
    return out if c is None else out + values.get("beta", 1.0) * c


def _batch_norm(values: dict[str, Any], training: bool, x: Tensor, *parts: Tensor) -> Tensor:
    weight, bias, mean, variance = parts
    momentum = 1 - values.get("momentum", 0.9)
    return functional.batch_norm(x, mean, variance, weight, bias, training, momentum, values.get("epsilon", 1e-5))


def _gather(values: dict[str, Any], training: bool, x: Tensor, index: Tensor) -> Tensor:
    axis = values.get("axis", 0) % x.ndim
    index = index.to(x.device) % x.shape[axis]
    return x.index_select(axis, index.flatten()).reshape([*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]])


def _axes(values: dict[str, Any], axes: Tensor | None) -> list[int]:
    return list(values.get("axes", ())) if axes is None else axes.tolist()


def _unsqueeze(values: dict[str, Any], training: bool, x: Tensor, axes: Tensor | None = None) -> Tensor:
    places = _axes(values, axes)
    for axis in sorted(place % (x.ndim + len(places)) for place in places):
        x = x.unsqueeze(axis)
    return x


def _squeeze(values: dict[str, Any], training: bool, x: Tensor, axes: Tensor | None = None) -> Tensor:
    places = _axes(values, axes)
    return x.squeeze(tuple(places)) if places else x.squeeze()


def _reduce_mean(values: dict[str, Any], training: bool, x: Tensor, axes: Tensor | None = None) -> Tensor:
    places = _axes(values, axes) or list(range(x.ndim))
    return x.mean(dim=places, keepdim=bool(values.get("keepdims", 1)))


def _untied(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which every weight has a tensor of its own: exporters keep equal ones once, as an identity."""
    copy = type(model)()
    copy.CopyFrom(model)
    held = {item.name: item for item in copy.graph.initializer}
    for node in list(copy.graph.node):
        if node.op_type == "Identity" and node.input[0] in held:
            own = copy.graph.initializer.add()
            own.CopyFrom(held[node.input[0]])
            own.name = node.output[0]
            held[own.name] = own
            copy.graph.node.remove(node)
    return copy


def _over_places(node: _Node, held: dict[str, Tensor]) -> bool:
    """Return whether a mean is over height and width of a map."""
    axes = node.attributes.get(
        "axes", held[node.inputs[1]].tolist() if node.inputs[1:2] and node.inputs[1] in held else ()
    )
    return sorted(axis % 4 for axis in axes) == [2, 3]


def _reshape(values: dict[str, Any], training: bool, x: Tensor, shape: Tensor) -> Tensor:
    wanted: Sequence[int] = shape.tolist()
    if not values.get("allowzero", 0):
        wanted = [x.shape[place] if size == 0 else size for place, size in enumerate(wanted)]
    return x.reshape(wanted)


def _flatten(values: dict[str, Any], training: bool, x: Tensor) -> Tensor:
    axis = values.get("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _shape(values: dict[str, Any], training: bool, x: Tensor) -> Tensor:
    return torch.tensor(list(x.shape)[values.get("start", 0) : values.get("end")])


class _Operator(NamedTuple):
    """An operator: its function of attributes, mode and inputs; the attributes known; which inputs are weights."""

    run: Callable[..., Tensor]
    attributes: tuple[str, ...] = ()
    weights: slice = slice(0, 0)


_WINDOW = ("kernel_shape", "pads", "strides", "dilations")
_OPERATORS: dict[str, _Operator] = {
    "Add": _Operator(lambda values, training, a, b: a + b, weights=slice(0, 2)),
    "AveragePool": _Operator(_average_pool, (*_WINDOW[:3], "ceil_mode", "count_include_pad")),
    "BatchNormalization": _Operator(_batch_norm, ("epsilon", "momentum", "training_mode"), slice(1, 3)),
    "Clip": _Operator(_clip, ("min", "max")),
    "Concat": _Operator(lambda values, training, *parts: torch.cat(parts, values["axis"]), ("axis",)),
    "Constant": _Operator(lambda values, training: values["value"], ("value",)),
    "Conv": _Operator(_conv, (*_WINDOW, "group"), slice(1, 3)),
    "Flatten": _Operator(_flatten, ("axis",)),
    "Gather": _Operator(_gather, ("axis",)),
    "Gemm": _Operator(_gemm, ("alpha", "beta", "transA", "transB"), slice(1, 3)),
    "GlobalAveragePool": _Operator(lambda values, training, x: x.mean(dim=(2, 3), keepdim=True)),
    "Identity": _Operator(lambda values, training, x: x),
    "MatMul": _Operator(lambda values, training, a, b: a @ b, weights=slice(0, 2)),
    "MaxPool": _Operator(_max_pool, (*_WINDOW, "ceil_mode")),
    "Mul": _Operator(lambda values, training, a, b: a * b, weights=slice(0, 2)),
    "ReduceMean": _Operator(_reduce_mean, ("axes", "keepdims")),
    "Relu": _Operator(lambda values, training, x: x.relu()),
    "Reshape": _Operator(_reshape, ("allowzero",)),
    "Shape": _Operator(_shape, ("start", "end")),
    "Sigmoid": _Operator(lambda values, training, x: x.sigmoid()),
    "Squeeze": _Operator(_squeeze, ("axes",)),
    "Unsqueeze": _Operator(_unsqueeze, ("axes",)),
}
