"""What a network costs: parameters and multiply-accumulates, by kind of operation and by layer.

Publications count differently (with or without normalisation, biases, pooling), so nothing is summed away here: each
layer is a row, and a convention is a choice of rows. One MAC is one multiplication and one addition; no factor of two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from reidlab.errors import ConfigError
from reidlab.models.modes import evaluating

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("conv", "linear", "norm", "pool", "other")

_NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_POOLS = (
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AvgPool3d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
    nn.AdaptiveMaxPool3d,
)


@dataclass(frozen=True)
class LayerCost:
    """One layer's share.

    Attributes:
        name: module path, e.g. ``backbone.layer1.0.conv1``.
        kind: one of :data:`KINDS`.
        params: number of parameters, the frozen ones included.
        macs: multiply-accumulates of one forward pass of one sample. Convolution and linear: products of weights and
            inputs, biases left out. Norm: one per element (the folded scale and shift of inference). Pool: one
            accumulation per input value read; a module of one's own may say its count in ``pool_macs(input, output)``.
        elements: numbers in the output of one sample.
    """

    name: str
    kind: str
    params: int
    macs: int
    elements: int


@dataclass(frozen=True)
class Cost:
    """Cost of one forward pass of one sample.

    Attributes:
        layers: one entry per module that has parameters of its own or does counted work.
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

    def table(self) -> pd.DataFrame:
        """Return one row per layer: ``name, kind, params, macs, elements``."""
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
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            raise ConfigError(f"kind: {unknown[0]!r} is not one of {KINDS}")
        return (layer for layer in self.layers if not kinds or layer.kind in kinds)


def cost(model: nn.Module, input_shape: Sequence[int] = (3, 256, 128)) -> Cost:
    """Count parameters and MACs of one sample, by running it through the network.

    The pass runs in evaluation mode without gradients on the model's own device and type; the model is left as it was.
    Arithmetic outside modules (additions, matrix products in an attention block) has no layer and is not counted.

    Args:
        model: any network that takes one tensor.
        input_shape: shape of a sample without the batch axis; (channels, height, width) of the book's images.

    Returns:
        The cost, layer by layer in order of first use. A layer used twice counts its MACs twice, its parameters once.

    Raises:
        ConfigError: the input shape is not made of positive integers.

    Example:
        >>> from reidlab.models import cost, resnet
        >>> round(cost(resnet(50, last_stride=2), (3, 256, 128)).macs("conv", "linear") / 1e9, 3)
        2.669
    """
    if not input_shape or any(int(n) != n or n < 1 for n in input_shape):
        raise ConfigError(f"input_shape: {tuple(input_shape)} must be positive integers, e.g. (3, 256, 128)")
    macs: dict[str, int] = {}
    elements: dict[str, int] = {}
    names = {module: name for name, module in model.named_modules()}

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        name = names[module]
        macs[name] = macs.get(name, 0) + _macs(module, inputs[0], output)
        elements[name] = elements.get(name, 0) + (output.numel() if isinstance(output, Tensor) else 0)

    counted = [m for m in names if _kind(m) != "other" or next(m.parameters(recurse=False), None) is not None]
    handles = [module.register_forward_hook(note) for module in counted]
    try:
        with evaluating(model), torch.no_grad():
            weight = next(model.parameters(), torch.zeros(()))
            model(torch.zeros((1, *input_shape), dtype=weight.dtype, device=weight.device))
    finally:
        for handle in handles:
            handle.remove()
    order = {name: position for position, name in enumerate(macs)}
    layers = [
        LayerCost(
            name=names[module],
            kind=_kind(module),
            params=sum(p.numel() for p in module.parameters(recurse=False)),
            macs=macs.get(names[module], 0),
            elements=elements.get(names[module], 0),
        )
        for module in counted
    ]
    layers.sort(key=lambda layer: order.get(layer.name, len(order)))
    return Cost(tuple(layers), tuple(int(n) for n in input_shape))


def _kind(module: nn.Module) -> str:
    if isinstance(module, _ConvNd):
        return "conv"
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, _NORMS):
        return "norm"
    if isinstance(module, _POOLS) or hasattr(module, "pool_macs"):
        return "pool"
    return "other"


def _macs(module: nn.Module, given: Tensor, output: object) -> int:
    kind = _kind(module)
    if kind == "other" or not isinstance(output, Tensor):
        return 0
    if kind == "conv":
        # A transposed convolution multiplies every input by the kernel, a plain one every output.
        pixels = given.numel() if module.transposed else output.numel()
        channels = (module.out_channels if module.transposed else module.in_channels) // module.groups
        return pixels * channels * math.prod(module.kernel_size)
    if kind == "linear":
        return output.numel() * module.in_features
    if kind == "norm":
        return output.numel()
    if hasattr(module, "pool_macs"):
        return module.pool_macs(given, output)
    if not hasattr(module, "kernel_size"):  # adaptive: every input value is read once
        return given.numel()
    size = module.kernel_size
    axes = output.ndim - 2
    return output.numel() * math.prod(size if isinstance(size, tuple) else (size,) * axes)
