"""What a network costs: parameters and multiply-accumulates, by kind of operation and by layer.

Publications count differently (with or without normalisation, biases, pooling), so nothing is summed away here: each
layer is a row, and a convention is a choice of rows: :data:`VIEWS` names the dissertation's. One MAC is one
multiplication and one addition; no factor of two.

Counting needs no numbers: a network built on the meta device takes no memory and is counted in a moment, at any size::

    with torch.device("meta"):
        model = video_network("nvan", 625)
    cost(model, (8, 3, 256, 128)).view("whole")

A module can declare what it does outside its submodules, which are counted by themselves:

- an attribute ``cost_kind`` is the kind it is counted under: ``"projection"`` for a convolution or linear layer that
  makes queries, keys or values, ``"pool"`` for a pooling of its own (one accumulation per input value);
- a method ``cost_macs(inputs, output) -> dict[str, int]`` returns MACs by kind, e.g. ``{"product": ...}`` for an
  attention's matrix products; ``inputs`` are the positional arguments of its ``forward``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd, _AvgPoolNd, _MaxPoolNd

from reidlab.checks import check_choice
from reidlab.errors import ConfigError
from reidlab.models.modes import watch

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("conv", "linear", "projection", "product", "norm", "pool", "other")

_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm)
#: Classes of layers and the kind they are counted under, unless they have a ``cost_kind``.
_USUAL_KINDS = (
    (_ConvNd, "conv"),
    (nn.Linear, "linear"),
    (_NORMS, "norm"),
    ((_MaxPoolNd, _AvgPoolNd, _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd), "pool"),
)


@dataclass(frozen=True)
class LayerCost:
    """One layer's share.

    Attributes:
        name: module path, e.g. ``backbone.layer1.0.conv1``.
        module: class of the module, e.g. ``Conv2d``.
        kind: one of :data:`KINDS`.
        params: number of the layer's own parameters, the frozen ones included.
        macs: multiply-accumulates of one forward pass of one sample. Convolution and linear: products of weights and
            inputs, biases left out. Projection: a convolution or linear layer that belongs to an attention.
            Product: matrix products without weights. Norm: one per element (the folded scale and shift of inference).
            Pool: one accumulation per input value read.
        elements: numbers in the output of one sample.
    """

    name: str
    module: str
    kind: str
    params: int
    macs: int
    elements: int


@dataclass(frozen=True)
class View:
    """A convention of counting: which rows, and in which unit.

    Attributes:
        meaning: the convention in words.
        kinds: kinds whose MACs are added.
        unit: MACs per unit of the result.
        norm_operations: operations added per normalised element, those of inserted blocks (``blocks.``) left out.
        factors: by class of module, what the convention takes its MACs times; 1 for all others.
    """

    meaning: str
    kinds: tuple[str, ...]
    unit: float = 1e9
    norm_operations: int = 0
    factors: Mapping[str, float] = field(default_factory=dict)


#: Tables 2.8 and 2.10 count a non-local block's values with all C channels (as Eq. 2.3 names them, C_out), though the
#: block's have C / 2 like its queries and keys: C / 2 + C products per pair of places instead of C / 2 + C / 2.
_WIDE_VALUES = {"DotProductAttention": 1.5}

#: The dissertation's conventions, by name, as far as they could be found. Known misfits: Table 2.5's 53.6 fits none; in
#: Table 2.8 sinusoidal positions (+0.377) are the products and one addition per value and axis, and those with relative
#: positions (+0.424, +0.245, +0.126 at 1, 2 and 4 scales) lie between the products without the positions' own (0.361,
#: 0.206, 0.105) and with them, which are counted here (0.842, 0.481, 0.246): 3.8 operations per value and axis above
#: the former at every number of scales, for which no reason was found. Table 2.10's 24.520 is met with the classifier
#: added, its 26.030 (P3D-C) with the convolutions over time counted twice as well.
VIEWS: dict[str, View] = {
    "whole": View(
        "every convolution, linear layer, projection and matrix product, in 1e9 MACs",
        ("conv", "linear", "projection", "product"),
    ),
    "table-2.1": View(
        "the same in 2^30 MACs, the unit that comes closest to Tables 2.1, 2.4 and 2.5",
        ("conv", "linear", "projection", "product"),
        unit=2**30,
    ),
    "table-2.8": View(
        "convolutions of the backbone and matrix products of the attention, its projections left out, in 1e9 MACs",
        ("conv", "product"),
        factors=_WIDE_VALUES,
    ),
    "table-2.10": View(
        "as table-2.8, and 4 operations per element that the backbone normalises, in 1e9",
        ("conv", "product"),
        norm_operations=4,
        factors=_WIDE_VALUES,
    ),
}


@dataclass(frozen=True)
class Cost:
    """Cost of one forward pass of one sample.

    Attributes:
        layers: one entry per module that has parameters of its own or does counted work; a module that counts work of
            several kinds has one entry per kind, its parameters on the first.
        input_shape: shape of the sample.
    """

    layers: tuple[LayerCost, ...]
    input_shape: tuple[int, ...]

    def macs(self, *kinds: str) -> int:
        """Return MACs of the kinds named, or of all where none is."""
        return sum(layer.macs for layer in self._of(kinds))

    def params(self, *kinds: str) -> int:
        """Return parameters of the kinds named, or of all where none is."""
        return sum(layer.params for layer in self._of(kinds))

    def elements(self, *kinds: str) -> int:
        """Return output elements of the kinds named, for conventions that count several operations per element."""
        return sum(layer.elements for layer in self._of(kinds))

    def view(self, name: str) -> float:
        """Return the cost as one of :data:`VIEWS` counts it, in that view's unit.

        Raises:
            ConfigError: there is no such view.
        """
        check_choice("view", name, VIEWS)
        view = VIEWS[name]
        normalised = sum(layer.elements for layer in self._of(("norm",)) if not layer.name.startswith("blocks."))
        macs = sum(layer.macs * view.factors.get(layer.module, 1) for layer in self._of(view.kinds))
        return (macs + view.norm_operations * normalised) / view.unit

    def table(self) -> pd.DataFrame:
        """Return one row per layer: ``name, module, kind, params, macs, elements``."""
        import pandas as pd

        return pd.DataFrame([vars(layer) for layer in self.layers], columns=list(LayerCost.__dataclass_fields__))

    def summary(self) -> pd.DataFrame:
        """Return parameters, MACs and elements by kind, with a total."""
        table = self.table().groupby("kind")[["params", "macs", "elements"]].sum()
        table = table.reindex([kind for kind in KINDS if kind in table.index])
        table.loc["total"] = table.sum()
        return table

    def _of(self, kinds: Iterable[str]) -> Iterator[LayerCost]:
        kinds = tuple(kinds)
        for kind in kinds:
            check_choice("kind", kind, KINDS)
        return (layer for layer in self.layers if not kinds or layer.kind in kinds)


def cost(model: nn.Module, input_shape: Sequence[int] = (3, 256, 128)) -> Cost:
    """Count parameters and MACs of one sample, by running it through the network.

    The pass runs in evaluation mode without gradients where the model lies, on the meta device too, and in its type;
    the model is left as it was. Arithmetic outside modules that no module speaks for (additions, activations written as
    functions) has no layer and is not counted.

    Args:
        model: any network that takes one tensor.
        input_shape: shape of a sample without the batch axis; (channels, height, width) of the book's images,
            (frames, channels, height, width) of its clips.

    Returns:
        The cost, layer by layer in order of first use. A layer used twice counts its MACs twice, its parameters once.

    Raises:
        ConfigError: the input shape is not made of positive integers, or a module reports a kind that does not exist.

    Example:
        >>> from reidlab.models import cost, resnet
        >>> round(cost(resnet(50, last_stride=2), (3, 256, 128)).macs("conv", "linear") / 1e9, 3)
        2.669
    """
    if not input_shape or any(int(n) != n or n < 1 for n in input_shape):
        raise ConfigError(f"input_shape: {tuple(input_shape)} must be positive integers, e.g. (3, 256, 128)")
    macs: dict[str, dict[str, int]] = {}
    elements: dict[str, int] = {}
    names = {module: name for name, module in model.named_modules()}

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        name = names[module]
        sums = macs.setdefault(name, {})
        for kind, count in _macs(module, inputs, output).items():
            sums[kind] = sums.get(kind, 0) + count
        elements[name] = elements.get(name, 0) + (output.numel() if isinstance(output, Tensor) else 0)

    counted = [m for m in names if _works(m) or next(m.parameters(recurse=False), None) is not None]
    watch(model, input_shape, counted, note)
    order = {name: position for position, name in enumerate(macs)}
    layers = []
    for module in sorted(counted, key=lambda module: order.get(names[module], len(order))):
        name = names[module]
        params = sum(p.numel() for p in module.parameters(recurse=False))
        for position, (kind, count) in enumerate((macs.get(name) or {_kind(module): 0}).items()):
            own = (params, count, elements.get(name, 0)) if position == 0 else (0, count, 0)
            layers.append(LayerCost(name, type(module).__name__, kind, *own))
    return Cost(tuple(layers), tuple(int(n) for n in input_shape))


def _works(module: nn.Module) -> bool:
    return hasattr(module, "cost_macs") or _kind(module) != "other"


def _kind(module: nn.Module) -> str:
    usual = next((kind for classes, kind in _USUAL_KINDS if isinstance(module, classes)), "other")
    return getattr(module, "cost_kind", usual)


def _macs(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> dict[str, int]:
    """Return what one call of a module costs, by kind."""
    found = dict(module.cost_macs(inputs, output)) if hasattr(module, "cost_macs") else {}
    kind = _kind(module)
    if isinstance(output, Tensor) and kind != "other":
        found[kind] = found.get(kind, 0) + _layer_macs(module, inputs[0], output)
    for kind in found:
        check_choice(f"{type(module).__name__}: kind", kind, KINDS)
    return found


def _layer_macs(module: nn.Module, given: Tensor, output: Tensor) -> int:
    if isinstance(module, _ConvNd):
        # A transposed convolution multiplies every input by the kernel, a plain one every output.
        pixels = given.numel() if module.transposed else output.numel()
        channels = (module.out_channels if module.transposed else module.in_channels) // module.groups
        return pixels * channels * math.prod(module.kernel_size)
    if isinstance(module, nn.Linear):
        return output.numel() * module.in_features
    if isinstance(module, _NORMS):
        return output.numel()
    if not hasattr(module, "kernel_size"):  # adaptive, or a pooling of its own: every input value is read once
        return given.numel()
    size = module.kernel_size
    axes = output.ndim - 2
    return output.numel() * math.prod(size if isinstance(size, tuple) else (size,) * axes)
