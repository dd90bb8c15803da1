"""Latency on this machine as a resource: ONNX Runtime times each layer at several widths, and the whole network.

Each distinct layer is timed over a grid of input and output widths in chunks of 8 or 16 channels, for kernels work on
such chunks. Times are made isotonic (a wider layer is never quicker) and interpolated between. What the sum of the
layers leaves out or counts twice, such as additions, activations and the change of memory layout between two layers, is
taken out by timing the whole network, again whenever it has become smaller.

The table lies in the cache folder, by machine and network.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np
import torch
from scipy.interpolate import RegularGridInterpolator
from sklearn.isotonic import IsotonicRegression
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

from reidlab.checks import check_integer, check_number
from reidlab.errors import ConfigError, RunError
from reidlab.files import read_json, write_json
from reidlab.models.modes import evaluating
from reidlab.paths import cache_dir
from reidlab.pruning.resources import Counts, Impact, Layers, Widths, relative

_OPSET = 17
#: A filter saves at least this share of its layer's time per filter: else a flat stretch of the table, shorter than a
#: chunk, would never be left.
FLOOR = 0.1
_WHOLE = 100  # how much longer a network is timed than a layer


@dataclass(frozen=True)
class Shape:
    """What decides a layer's time besides its widths.

    Attributes:
        kernel: of a convolution; () for a linear layer.
        stride: of a convolution.
        padding: on each side of each axis.
        dilation: of a convolution.
        places: batch and places of its input, without the channels.
        single: whether it works on each channel by itself.
        inputs: channels at most; 1 where ``single``.
        outputs: channels at most.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    places: tuple[int, ...]
    single: bool
    inputs: int
    outputs: int


class Timer(Protocol):
    """What measures; a test gives one of its own."""

    def layer(self, shape: Shape, inputs: int, outputs: int) -> float:
        """Return the milliseconds of a layer of some widths."""

    def network(self, model: nn.Module, input_shape: Sequence[int]) -> float:
        """Return the milliseconds of a whole network for one sample."""


@dataclass(frozen=True)
class OnnxTimer:
    """Times layers and networks with ONNX Runtime on this machine's processor.

    With one thread it is that thread's own time, in which nothing of what others take of a busy machine is counted.

    Attributes:
        threads: of ONNX Runtime.
        seconds: that a layer's repetitions take at least; a network's take a hundred times as long.
        least: repetitions at least.
    """

    threads: int = 1
    seconds: float = 0.004
    least: int = 5

    def layer(self, shape: Shape, inputs: int, outputs: int) -> float:
        """Return the milliseconds of a layer of some widths."""
        channels = outputs if shape.single else inputs
        axis = len(shape.places) if not shape.kernel else 1
        given = np.zeros(np.insert(shape.places, axis, channels), dtype=np.float32)
        return self._time([_layer_bytes(shape, inputs, outputs, given.shape)], given, self.seconds)[0]

    def network(self, model: nn.Module, input_shape: Sequence[int]) -> float:
        """Return the milliseconds of a whole network for one sample."""
        return self.together([onnx_bytes(model, input_shape)], input_shape)[0]

    def together(self, graphs: Sequence[bytes], input_shape: Sequence[int]) -> list[float]:
        """Return the milliseconds of networks that run in turn, so that what else the machine does meets all alike.

        Args:
            graphs: of :func:`onnx_bytes`.
            input_shape: of a sample, without the batch axis.
        """
        given = np.zeros((1, *input_shape), dtype=np.float32)
        return self._time(graphs, given, _WHOLE * self.seconds)

    def _time(self, graphs: Sequence[bytes], given: np.ndarray, seconds: float) -> list[float]:
        """Return the milliseconds of each graph; each takes as many seconds at least."""
        sessions = [_session(graph, self.threads) for graph in graphs]
        feeds = [{session.get_inputs()[0].name: given} for session in sessions]
        for session, feed in zip(sessions, feeds):
            session.run(None, feed)
        clock = time.thread_time if self.threads == 1 else time.perf_counter
        taken: list[list[float]] = [[] for _ in sessions]
        while len(taken[0]) < self.least or min(map(sum, taken)) < seconds:
            for session, feed, own in zip(sessions, feeds, taken):
                start = clock()
                session.run(None, feed)
                own.append(clock() - start)
        # The median of the quicker half: others at work on the machine only ever add, to caches too.
        return [1000 * median(sorted(own)[: (len(own) + 1) // 2]) for own in taken]


def _session(graph: bytes, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _layer_bytes(shape: Shape, inputs: int, outputs: int, given: Sequence[int]) -> bytes:
    """Return a network of one layer with a bias."""
    from onnx import TensorProto, helper, numpy_helper

    if shape.kernel:
        weight = np.full((outputs, 1 if shape.single else inputs, *shape.kernel), 0.01, dtype=np.float32)
        settings = {"kernel_shape": shape.kernel, "strides": shape.stride, "dilations": shape.dilation}
        settings |= {"pads": shape.padding * 2, "group": outputs if shape.single else 1}
        node = helper.make_node("Conv", ["x", "w", "b"], ["y"], **settings)
    else:
        weight = np.full((inputs, outputs), 0.01, dtype=np.float32)
        node = helper.make_node("MatMul", ["x", "w"], ["y"])
    values = [numpy_helper.from_array(weight, "w")]
    if shape.kernel:
        values.append(numpy_helper.from_array(np.zeros(outputs, dtype=np.float32), "b"))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in (("x", given), ("y", None))]
    graph = helper.make_graph([node], "layer", ends[:1], ends[1:], values)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
    return made.SerializeToString()


class _Permuted(TorchFunctionMode):
    """The exporter writes a movedim from the last axis with an axis of -1, which ONNX has not."""

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func is not Tensor.movedim:
            return func(*args, **(kwargs or {}))
        x, source, target = args
        axes = list(range(x.ndim))
        axes.insert(target % x.ndim, axes.pop(source % x.ndim))
        return x.permute(axes)


class _First(nn.Module):
    """A network's embedding where it has one, else its output."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        with _Permuted():
            found = self.model(x)
        return found if isinstance(found, Tensor) else found.embedding


def onnx_bytes(model: nn.Module, input_shape: Sequence[int], *, free: bool = False) -> bytes:
    """Return a network as ONNX: ``input`` (1, ...) in, ``output`` out, the embedding where it has one.

    Unlike :func:`reidlab.models.write_onnx` it takes networks for clips and classifiers, too.

    Args:
        model: takes one tensor; it is left as it is.
        input_shape: of a sample, without the batch axis.
        free: whether the batch may have any size. A network that asks for its length (those for clips do) is then
            exported wrongly: compare.
    """
    stream, device = io.BytesIO(), next(model.parameters()).device
    with evaluating(model), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that takes this one's place needs a further package
        torch.onnx.export(
            _First(model).eval(), (torch.zeros((1, *input_shape), device=device),), stream, dynamo=False,
            opset_version=_OPSET, input_names=["input"], output_names=["output"],
            dynamic_axes={name: {0: "batch"} for name in ("input", "output")} if free else None,
        )  # fmt: skip
    return stream.getvalue()


def shapes_of(layers: Layers) -> dict[int, Shape]:
    """Return the layers that are timed, by their number.

    Raises:
        ConfigError: a convolution is transposed, or its padding is a word.
    """
    found = {}
    for row, layer in enumerate(layers.layers):
        module = layers.model.get_submodule(layer.name)
        if not isinstance(module, (_ConvNd, nn.Linear)):
            continue
        convolution = isinstance(module, _ConvNd)
        if convolution and (module.transposed or isinstance(module.padding, str)):
            raise ConfigError(f"{layer.name}: the time of a {type(module).__name__} like this cannot be tabled")
        axis = 1 if convolution else len(layer.given) - 1
        places = tuple(size for number, size in enumerate(layer.given) if number != axis)
        kind = (module.kernel_size, module.stride, module.padding, module.dilation) if convolution else ((),) * 4
        whole = layers.whole.counts
        found[row] = Shape(*kind, places, layer.single, int(whole.inputs[row]), int(whole.outputs[row]))
    return found


def grid(width: int, chunk: int, most: int, minimum: float) -> list[int]:
    """Return widths to time a layer at: multiples of a chunk from the minimum's up, and the whole width.

    Args:
        width: the whole width.
        chunk: channels of a chunk.
        most: how many widths at most.
        minimum: smallest share of the width that is asked for.

    Example:
        >>> grid(64, 16, 8, 0.1), grid(960, 16, 4, 0.1), grid(10, 16, 4, 0.1)
        ([16, 32, 48, 64], [96, 384, 672, 960], [10])
    """
    first = max(int(minimum * width) // chunk, 1)
    steps = -(-width // chunk)
    if steps <= first:
        return [width]
    places = np.linspace(first, steps, min(most, steps - first + 1)).round().astype(int)
    return sorted({min(int(place) * chunk, width) for place in places})


@dataclass
class Table:
    """Times of a network's layers.

    Attributes:
        grids: by number of a layer, its grid: inputs (A,), outputs (B,) and isotonic milliseconds (A, B).
        points: how many times were measured.
        seconds: that took.
        file: where it is kept, if it is.
    """

    grids: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]
    points: int = 0
    seconds: float = 0.0
    file: Path | None = None
    _lookups: dict[int, RegularGridInterpolator] = field(default_factory=dict, repr=False)

    def time(self, row: int, inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Return the milliseconds (N,) of a layer at N widths; below the grid, those of its smallest width."""
        widths, heights, values = self.grids[row]
        if row not in self._lookups:
            # An axis of one width gets a second, so that it can be looked up.
            axes = [np.append(axis, axis[-1] + 1) if len(axis) == 1 else axis for axis in (widths, heights)]
            padded = np.pad(values, [(0, len(axis) - size) for axis, size in zip(axes, values.shape)], mode="edge")
            self._lookups[row] = RegularGridInterpolator(axes, padded)
        clipped = (np.clip(part, axis[0], axis[-1]) for part, axis in ((inputs, widths), (outputs, heights)))
        return self._lookups[row](np.stack(list(clipped), axis=-1))


def table_of(
    layers: Layers,
    timer: Timer | None = None,
    *,
    chunk: int = 16,
    most: int = 6,
    minimum: float = 0.1,
    folder: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Table:
    """Time the layers of a network, or read their times from the cache.

    Args:
        layers: of the whole network.
        timer: what measures; :class:`OnnxTimer` where None. Only an OnnxTimer's times are kept, as others have no name.
        chunk: channels between two widths of the grid, 8 or 16 for most processors.
        most: widths of an axis of the grid at most; they are then several chunks apart.
        minimum: smallest share of a layer's width that is asked for.
        folder: where tables are kept; ``latency`` in the cache folder where None.
        say: gets a line before it measures.

    Raises:
        ConfigError: an argument is not allowed, or a layer is of a kind that cannot be timed.
        RunError: a time is not a positive number.
        StorageError: the table cannot be kept.
    """
    check_integer("chunk", chunk, 1)
    check_integer("most", most, 2)
    check_number("minimum", minimum, 0, below=1)
    timer = timer or OnnxTimer()
    shapes = shapes_of(layers)
    distinct = {shape: _axes(shape, chunk, most, minimum) for shape in shapes.values()}
    path = None
    known: dict[str, list[list[float]]] = {}
    if isinstance(timer, OnnxTimer):
        about = {"machine": machine(), "timer": (*astuple(timer), "own time"), "grid": (chunk, most, minimum)}
        about["layers"] = sorted(_key(shape) for shape in distinct)
        name = hashlib.blake2b(json.dumps(about).encode(), digest_size=10).hexdigest()
        path = (folder or cache_dir() / "latency") / f"{name}.json"
        known = _read(path)
    started, points = time.perf_counter(), 0
    if any(_key(shape) not in known for shape in distinct):
        say(f"timing {len(distinct)} layers at {sum(len(i) * len(o) for i, o in distinct.values())} widths")
    for shape, (inputs, outputs) in distinct.items():
        key = _key(shape)
        if np.shape(known.get(key)) == (len(inputs), len(outputs)):
            continue
        known[key] = [[float(timer.layer(shape, i, o)) for o in outputs] for i in inputs]
        points += len(inputs) * len(outputs)
        if not (np.isfinite(known[key]).all() and np.min(known[key]) > 0):
            raise RunError(f"latency: the time of a layer {key} is not a positive number; measure again")
        if path is not None:
            write_json(path, {"about": machine(), "layers": known})
    grids = {
        row: (*(np.array(axis, dtype=float) for axis in distinct[shape]), isotonic(np.array(known[_key(shape)])))
        for row, shape in shapes.items()
    }
    return Table(grids, points, time.perf_counter() - started, path)


def _axes(shape: Shape, chunk: int, most: int, minimum: float) -> tuple[list[int], list[int]]:
    inputs = [1] if shape.single else grid(shape.inputs, chunk, most, minimum)
    return inputs, grid(shape.outputs, chunk, most, minimum)


def _key(shape: Shape) -> str:
    return json.dumps(astuple(shape))


def _read(path: Path) -> dict[str, list[list[float]]]:
    """Return the times kept in a file; none where it is missing or broken, for they can be measured again."""
    try:
        layers = read_json(path)["layers"]
        return {
            key: rows
            for key, rows in layers.items()
            if np.array(rows, dtype=float).ndim == 2 and np.isfinite(rows).all() and np.min(rows) > 0
        }
    except (RunError, KeyError, AttributeError, TypeError, ValueError):
        return {}


def machine() -> dict[str, Any]:
    """Return what tells machines apart whose times differ."""
    import onnxruntime

    model = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    return {
        "node": platform.node(), "processor": model, "machine": platform.machine(), "cores": os.cpu_count(),
        "onnxruntime": onnxruntime.__version__,
    }  # fmt: skip


def isotonic(times: np.ndarray) -> np.ndarray:
    """Return times (A, B) that never fall along either axis, near those given.

    Regressions along the two axes take turns until nothing changes; a running maximum does away with what is left.
    """
    found = np.array(times, dtype=float)
    regression = IsotonicRegression()
    for _ in range(20):
        before = found
        for _ in range(2):
            found = np.stack([regression.fit_transform(np.arange(len(row)), row) for row in found], axis=0).T
        if np.allclose(found, before, rtol=1e-6, atol=0):
            break
    return np.maximum.accumulate(np.maximum.accumulate(found, axis=0), axis=1)


@dataclass
class Latency:
    """Milliseconds of a network, from a table and measurements of the whole.

    Attributes:
        table: of its layers.
        timer: times the whole network.
        input_shape: of a sample.
        ratio: what a measurement of the whole was, over the table's sum for it.
        measured: all such measurements: the table's sum and the milliseconds.
        whole: the whole network as ONNX, to be timed beside a smaller one; empty where the timer has no such way.
        name: of the resource.
    """

    table: Table
    timer: Timer
    input_shape: tuple[int, ...]
    ratio: float = 1.0
    measured: list[tuple[float, float]] = field(default_factory=list)
    whole: bytes = field(default=b"", repr=False)
    name: str = "latency"

    def calibrate(self, model: nn.Module, counts: Counts) -> float:
        """Time a network of some widths, take the table's bias out from now on, and return the milliseconds.

        After the first time an :class:`OnnxTimer` runs the whole network in turn with it, and the milliseconds are as
        if the machine were as quick as it was then.

        Raises:
            RunError: the time is not a positive number.
        """
        if self.whole and self.measured:
            graphs = [self.whole, onnx_bytes(model, self.input_shape)]
            whole, now = self.timer.together(graphs, self.input_shape)
            taken = now * self.measured[0][1] / whole
        else:
            taken = float(self.timer.network(model, self.input_shape))
        if not (np.isfinite(taken) and taken > 0):
            raise RunError(f"latency: the network's time is {taken}, expected a positive number; measure again")
        tabled = self._sum(counts)
        self.ratio = taken / tabled
        self.measured.append((tabled, taken))
        return taken

    def total(self, counts: Counts) -> float:
        """Return the milliseconds of a network of these widths."""
        return self.ratio * self._sum(counts)

    def _sum(self, counts: Counts) -> float:
        one = slice(0, 1)
        return float(
            sum(
                self.table.time(row, counts.inputs[row:][one], counts.outputs[row:][one])[0] for row in self.table.grids
            )
        )

    def impact(self, widths: Widths, limit: float) -> Impact:
        """Return what each candidate saves, at least :data:`FLOOR` of its layer's time per channel, and R."""
        saved = np.zeros(len(widths.rows))
        for row in self.table.grids:
            mine = np.flatnonzero(widths.rows == row)
            i, o = widths.counts.inputs[row], widths.counts.outputs[row]
            now = self.table.time(row, np.array([i]), np.array([o]))
            fewer_in, fewer_out = widths.inputs[mine], widths.outputs[mine]
            least = FLOOR * now * (fewer_in / i + fewer_out / o)
            saved[mine] = np.maximum(now - self.table.time(row, i - fewer_in, o - fewer_out), least)
        return relative(widths, saved, self._sum(widths.counts), limit / self.ratio)


def latency_of(
    layers: Layers, timer: Timer | None = None, *, say: Callable[[str], None] = lambda line: None, **options: Any
) -> Latency:
    """Return the latency of a network as a resource, measured on this machine.

    Args:
        layers: of the whole network.
        timer: what measures; :class:`OnnxTimer` where None.
        say: gets a line before it measures.
        **options: of :func:`table_of`.

    Raises:
        ConfigError: an option is not allowed, or a layer is of a kind that cannot be timed.
        RunError: a time is not a positive number.
        StorageError: the table cannot be kept.
    """
    timer = timer or OnnxTimer()
    table = table_of(layers, timer, say=say, **options)
    shape = tuple(layers.cost.input_shape)
    whole = onnx_bytes(layers.model, shape) if isinstance(timer, OnnxTimer) else b""
    found = Latency(table, timer, shape, whole=whole)
    found.calibrate(layers.model, layers.whole.counts)
    return found
