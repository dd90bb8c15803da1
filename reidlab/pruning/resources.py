"""Resource impact: what share of a resource a filter's removal saves (Eqs. 6.6, 6.16), without recounting.

Removing a filter takes an output channel from its convolutions and an input channel from those that read it. What a
layer of i inputs and o outputs costs is known, mostly a * i * o + b * o, so that one pass over the layers gives the
impact of every filter. Impacts and objectives are shares of what the network costs as it is, not of the whole one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AvgPoolNd

from reidlab.checks import check_choice, suggest
from reidlab.errors import ConfigError
from reidlab.models.conventions import CONVENTIONS
from reidlab.models.cost import VIEWS, Cost, LayerCost, cost
from reidlab.models.modes import watch
from reidlab.pruning.candidates import Candidates

#: Resources that can be budgeted. ``macs`` are :data:`~reidlab.models.cost.VIEWS`' ``whole`` and ``params`` all
#: parameters; with a name of :data:`~reidlab.models.conventions.CONVENTIONS`, as in ``macs:table-5.3``, they are
#: counted as there; ``macs:released`` are the FLOPs of CAIE's released code, see :func:`released_flops`. ``filters``:
#: candidates (Eq. 6.9). ``activations``: bytes of the largest layer's input and output. ``latency``: milliseconds on
#: this machine (:mod:`reidlab.pruning.latency`).
RESOURCES = ("macs", "params", "filters", "activations", "latency")
_BYTES = 4
_RELEASED = "released"
_AVERAGES = (_AvgPoolNd, _AdaptiveAvgPoolNd)


class Counts(NamedTuple):
    """Widths of L layers.

    Attributes:
        inputs: (L,) input channels; 1 where a layer works on each channel by itself.
        outputs: (L,) output channels.
        filters: number of candidates.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    filters: int


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer through which filters' channels pass.

    Attributes:
        name: module path.
        cost: its share of the whole network's cost.
        given: shape of its input for one sample.
        output: shape of its output.
        calls: how often it runs.
        single: whether it works on each channel by itself.
    """

    name: str
    cost: LayerCost
    given: tuple[int, ...]
    output: tuple[int, ...]
    calls: int
    single: bool


class Layers:
    """Layers of a network, what they cost, and their widths as filters go.

    Args:
        model: the whole network.
        candidates: its candidates.
        input_shape: of a sample, without the batch axis.

    Attributes:
        layers: L layers in order of use.
        whole: widths of the whole network.
        cost: of the whole network.
    """

    def __init__(self, model: nn.Module, candidates: Candidates, input_shape: Sequence[int]) -> None:
        self.model = model
        self.cost: Cost = cost(model, input_shape)
        roles: dict[str, set[str]] = {}
        for axis in candidates.couplings.axes:
            if axis.role in ("in", "out", "both"):
                roles.setdefault(axis.module, set()).add(axis.role)
        modules = {model.get_submodule(name): name for name in roles}
        shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        calls: dict[str, int] = {}

        def note(module: nn.Module, inputs: tuple, output: object) -> None:
            name = modules[module]
            calls[name] = calls.get(name, 0) + 1
            if isinstance(output, Tensor):
                shapes[name] = tuple(inputs[0].shape), tuple(output.shape)

        watch(model, input_shape, modules, note)
        rows = {layer.name: layer for layer in self.cost.layers if layer.name in shapes}
        self.layers = [
            Layer(name, row, *shapes[name], calls[name], "both" in roles[name]) for name, row in rows.items()
        ]
        self.whole = self.widths(candidates)

    def widths(self, candidates: Candidates) -> Widths:
        """Return the widths of a network with fewer filters, by its candidates."""
        axes = {(axis.module, axis.role): axis.labels for axis in candidates.couplings.axes}
        size, lost = len(candidates), []
        counts = np.ones((2, len(self.layers)))
        for side, role in enumerate(("in", "out")):
            keys = []
            for row, layer in enumerate(self.layers):
                labels = axes.get((layer.name, "both" if layer.single and role == "out" else role))
                if labels is None:
                    continue
                counts[side, row] = len(labels)
                places = candidates.places(labels)
                keys.append(row * size + places[places >= 0])
            lost.append(np.unique(np.concatenate([np.empty(0, dtype=np.int64), *keys]), return_counts=True))
        keys = np.union1d(lost[0][0], lost[1][0])
        shares = np.zeros((2, len(keys)))
        for side, (own, number) in enumerate(lost):
            shares[side, np.searchsorted(keys, own)] = number
        rows, columns = np.divmod(keys, max(size, 1))
        order = np.argsort(columns, kind="stable")
        starts = np.searchsorted(columns[order], np.arange(size + 1))
        return Widths(Counts(counts[0], counts[1], size), rows[order], columns[order], *shares[:, order], starts)


@dataclass(frozen=True, eq=False)
class Widths:
    """Widths of a network, and the channels that each of K candidates has in each layer.

    Attributes:
        counts: widths of the L layers.
        rows: (E,) numbers of layers.
        columns: (E,) numbers of candidates, in rising order.
        inputs: (E,) input channels that go from the layer with the candidate.
        outputs: (E,) output channels that go.
        starts: (K + 1,) where each candidate's entries begin.
    """

    counts: Counts
    rows: np.ndarray
    columns: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray
    starts: np.ndarray

    def less(self, counts: Counts, place: int) -> Counts:
        """Return widths without one candidate more, by its number."""
        part = slice(self.starts[place], self.starts[place + 1])
        inputs, outputs = counts.inputs.copy(), counts.outputs.copy()
        inputs[self.rows[part]] -= self.inputs[part]
        outputs[self.rows[part]] -= self.outputs[part]
        return Counts(inputs, outputs, counts.filters - 1)

    def without(self, places: Iterable[int]) -> Counts:
        """Return widths without some candidates, by their numbers."""
        counts = self.counts
        for place in places:
            counts = self.less(counts, place)
        return counts


class Impact(NamedTuple):
    """What filters save of a resource, and what must be saved.

    Attributes:
        shares: (K,) r of Eq. 6.6, shares of what the network uses as it is.
        objective: R, what must be saved of it; 0 where the budget is met.
    """

    shares: np.ndarray
    objective: float


class Resource(Protocol):
    """A resource of which a network with certain widths uses a certain amount."""

    name: str

    def total(self, counts: Counts) -> float:
        """Return how much a network of these widths uses."""

    def impact(self, widths: Widths, limit: float) -> Impact:
        """Return what each candidate saves, and how much must be saved to stay within a limit."""


@dataclass(frozen=True, eq=False)
class Additive:
    """A resource whose layers use a * i * o + b * o each, of i inputs and o outputs.

    Attributes:
        name: of the resource.
        products: (L,) a.
        outputs: (L,) b.
        rest: what the rest of the network uses, whatever the widths.
    """

    name: str
    products: np.ndarray
    outputs: np.ndarray
    rest: float = 0.0

    def total(self, counts: Counts) -> float:
        """Return how much a network of these widths uses."""
        return float((self.products * counts.inputs + self.outputs) @ counts.outputs) + self.rest

    def impact(self, widths: Widths, limit: float) -> Impact:
        """Return what each candidate saves, and how much must be saved."""
        i, o = widths.counts.inputs[widths.rows], widths.counts.outputs[widths.rows]
        fewer = i * o - (i - widths.inputs) * (o - widths.outputs)
        saved = self.products[widths.rows] * fewer + self.outputs[widths.rows] * widths.outputs
        return relative(widths, saved, self.total(widths.counts), limit)


@dataclass(frozen=True)
class Filters:
    """The number of candidates: r(f) = 1 / |F| (Eq. 6.9), with which CAIE ranks by the loss alone."""

    name: str = "filters"

    def total(self, counts: Counts) -> float:
        """Return their number."""
        return float(counts.filters)

    def impact(self, widths: Widths, limit: float) -> Impact:
        """Return 1 / |F| for each, and how many must go."""
        total = self.total(widths.counts)
        return Impact(np.full(widths.counts.filters, 1 / max(total, 1)), max((total - limit) / max(total, 1), 0.0))


@dataclass(frozen=True, eq=False)
class Activations:
    """Bytes of a layer's input and output, of the layer where they are most; for one sample, in float32.

    A maximum is not additive: a filter of another layer saves nothing, and of two layers with the same sum neither
    alone. So the impact is on what the layers above the limit hold together, which is additive, and at the limit when
    the maximum is. Maps that a shortcut keeps alive meanwhile are not counted.

    Attributes:
        inputs: (L,) numbers per input channel.
        outputs: (L,) numbers per output channel.
        name: of the resource.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    name: str = "activations"

    def held(self, counts: Counts) -> np.ndarray:
        """Return the bytes of each layer, (L,)."""
        return _BYTES * (self.inputs * counts.inputs + self.outputs * counts.outputs)

    def total(self, counts: Counts) -> float:
        """Return the bytes of the largest."""
        return float(self.held(counts).max())

    def impact(self, widths: Widths, limit: float) -> Impact:
        """Return what each candidate saves of what the layers above the limit hold together."""
        held = self.held(widths.counts)
        above = held > limit
        size = widths.counts.filters
        if not above.any():
            return Impact(np.zeros(size), 0.0)
        saved = self.inputs[widths.rows] * widths.inputs + self.outputs[widths.rows] * widths.outputs
        shares = np.bincount(widths.columns, _BYTES * saved * above[widths.rows], size) / held[above].sum()
        return Impact(shares, float((held[above] - limit).sum() / held[above].sum()))


def relative(widths: Widths, saved: np.ndarray, total: float, limit: float) -> Impact:
    """Return an impact from what each entry (E,) of the widths saves, of a total."""
    shares = np.bincount(widths.columns, saved, widths.counts.filters) / total
    return Impact(shares, max((total - limit) / total, 0.0))


def resource(name: str, layers: Layers) -> Resource:
    """Return a resource that is counted.

    Args:
        name: of :data:`RESOURCES` but ``latency``, with or without a convention.
        layers: of the whole network.

    Raises:
        ConfigError: there is no such resource or convention.
    """
    check_resource(name)
    kind, _, convention = name.partition(":")
    if kind == "filters":
        return Filters()
    if kind == "activations":
        return _activations(layers)
    if kind == "latency":
        raise ConfigError(
            "latency: it is measured, not counted; give a Latency, see reidlab.pruning.latency.latency_of"
        )
    if convention == _RELEASED:
        modules = dict(layers.model.named_modules())
        total = sum(sum(released_flops(row, modules[row.name])) for row in layers.cost.layers)
        found = [released_flops(layer.cost, modules[layer.name]) for layer in layers.layers]
        return _additive(name, found, layers, total)
    if convention:
        return _by_convention(name, kind, convention, layers)
    kinds = VIEWS["whole"].kinds
    total = layers.cost.macs(*kinds) if kind == "macs" else sum(p.numel() for p in layers.model.parameters())
    found = []
    for layer in layers.layers:
        bias = getattr(layers.model.get_submodule(layer.name), "bias", None)
        biases = 0 if bias is None else bias.numel()
        if kind == "macs":
            found.append((layer.cost.macs if layer.cost.kind in kinds else 0, 0))
        elif layer.cost.kind == "norm":
            found.append((0, layer.cost.params))
        else:
            found.append((layer.cost.params - biases, biases))
    return _additive(name, found, layers, total)


def check_resource(name: str) -> None:
    """Check that a resource exists.

    Raises:
        ConfigError: there is no such resource or convention.
    """
    kind, colon, convention = name.partition(":") if isinstance(name, str) else (name, "", "")
    if kind not in RESOURCES or (colon and kind not in ("macs", "params")):
        raise ConfigError(f"budgets: there is no resource called {name!r}{suggest(kind, RESOURCES)}")
    if colon:
        check_choice("convention", convention, [*CONVENTIONS, *([_RELEASED] if kind == "macs" else [])])


def released_flops(layer: LayerCost, module: nn.Module) -> tuple[int, int]:
    """Return the operations of a layer as CAIE's released code counts them: those per pair of channels, and the others.

    A convolution's MACs and an addition per bias; 4 per normalised element; (2 inputs - 1) per output of a linear
    layer; a value read by an average one; nothing for activations, maxima and products without weights.
    """
    if isinstance(module, _ConvNd):
        return layer.macs, 0 if module.bias is None else layer.elements
    if isinstance(module, nn.Linear):
        return 2 * layer.macs, -layer.elements
    if layer.kind == "norm":
        return 0, 4 * layer.elements
    averages = isinstance(module, _AVERAGES) or getattr(module, "cost_kind", "") == "pool"
    return 0, layer.macs if averages and layer.kind == "pool" else 0


def _by_convention(name: str, kind: str, convention: str, layers: Layers) -> Additive:
    place = ("params", "macs").index(kind)
    counting = CONVENTIONS[convention]
    bare = replace(counting, biases=False)
    total = counting.count(layers.model, layers.cost)[place]
    found = []
    for layer in layers.layers:
        alone = Cost((layer.cost,), layers.cost.input_shape)
        both, products = (way.count(layers.model, alone)[place] for way in (counting, bare))
        found.append((0, both) if layer.cost.kind == "norm" else (products, both - products))
    return _additive(name, found, layers, total)


def _additive(name: str, found: list[tuple[int, int]], layers: Layers, total: float) -> Additive:
    products, outputs = np.array(found, dtype=np.float64).T
    counts = layers.whole.counts
    made = Additive(name, products / (counts.inputs * counts.outputs), outputs / counts.outputs)
    return replace(made, rest=float(round(total - made.total(counts), 3)))


def _activations(layers: Layers) -> Activations:
    rows = []
    for layer, i, o in zip(layers.layers, layers.whole.counts.inputs, layers.whole.counts.outputs):
        given, output = (float(np.prod(shape)) for shape in (layer.given, layer.output))
        if layer.cost.kind == "norm":  # it is part of the convolution before it
            rows.append((0.0, 0.0))
        else:
            rows.append((0.0, (given + output) / o) if layer.single else (given / i, output / o))
    return Activations(*np.array(rows).T)
