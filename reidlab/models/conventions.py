"""How publications count parameters and operations, each convention under the table that it reproduces.

:mod:`reidlab.models.cost` counts every kind of operation apart; a convention says what of it a publication adds up.
They were found by trying: no table says how its numbers were counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn
from torch.nn.modules.conv import _ConvNd

from reidlab.checks import check_choice
from reidlab.models.cost import Cost, cost


class Counted(NamedTuple):
    """Parameters and operations of a network under a convention."""

    params: int
    operations: int


@dataclass(frozen=True, kw_only=True)
class Convention:
    """What is counted: convolutions' weights and products always, and what else.

    Attributes:
        meaning: the convention in words.
        biases: the biases of what is counted: parameters, and one addition for each output.
        norm: parameters per normalised channel: 0, 1, or 2 for scale and shift.
        linear: the weights and products of linear layers.
        shortcuts: the 1x1 convolutions of shortcuts and their normalisations (``downsample`` in torchvision's names).
        input_maps: one product per place of a convolution's input, as Eq. 5.7 is worded, instead of its output.
        per_mac: operations per multiplication and addition: 1, or 2.
    """

    meaning: str
    biases: bool = False
    norm: int = 0
    linear: bool = False
    shortcuts: bool = True
    input_maps: bool = False
    per_mac: int = 1

    def count(self, model: nn.Module, found: Cost) -> Counted:
        """Add up what the convention counts of a network and of its :func:`~reidlab.models.cost.cost`."""
        modules = dict(model.named_modules())
        params = operations = 0
        for layer in found.layers:
            module = modules[layer.name]
            if not self.shortcuts and ".downsample." in f".{layer.name}":
                continue
            if layer.kind == "norm":
                params += self.norm * module.num_features
            elif layer.kind == "conv" or (layer.kind == "linear" and self.linear):
                params += module.weight.numel()
                operations += layer.macs * self.per_mac * (_places(module) if self.input_maps else 1)
                if self.biases and module.bias is not None:
                    params += module.bias.numel()
                    operations += layer.elements
        return Counted(params, operations)


def _places(module: nn.Module) -> int:
    """Return how many places of its input a convolution has for one of its output."""
    count = 1
    for step in module.stride if isinstance(module, _ConvNd) else ():
        count *= step
    return count


#: Conventions by the tables they reproduce.
CONVENTIONS: dict[str, Convention] = {
    "table-5.1": Convention(meaning="weights and biases of convolutions; MACs and an addition per bias", biases=True),
    "table-5.3": Convention(
        meaning="weights of convolutions, scale and shift of their normalisations, no classifier; MACs", norm=2
    ),
    "table-5.5": Convention(
        meaning="weights of convolutions and of the classifier, no normalisation; MACs", linear=True
    ),
    "table-5.8": Convention(
        meaning="weights of convolutions and of the classifier, without those of shortcuts; MACs",
        linear=True,
        shortcuts=False,
    ),
    "eq-5.7": Convention(meaning="weights of convolutions alone; MACs"),
    "eq-5.7-worded": Convention(meaning="weights of convolutions alone; a MAC per place of the input", input_maps=True),
    "survey-flops": Convention(
        meaning="weights of convolutions and linear layers; two operations per MAC", linear=True, per_mac=2
    ),
    "survey-5": Convention(meaning="weights of convolutions and one value per normalised channel; MACs", norm=1),
    "everything": Convention(
        meaning="every parameter; MACs and an addition per bias", biases=True, norm=2, linear=True
    ),
}


def counted(model: nn.Module, input_shape: Sequence[int], *names: str) -> dict[str, Counted]:
    """Count a network under conventions, on the meta device too.

    Args:
        model: any network that takes one tensor.
        input_shape: of a sample, without the batch axis.
        names: of :data:`CONVENTIONS`; all of them where none is given.

    Raises:
        ConfigError: there is no such convention, or the input shape is not made of positive integers.

    Example:
        >>> counted(nn.Sequential(nn.Conv2d(3, 8, 3)), (3, 5, 5), "eq-5.7", "table-5.1")
        {'eq-5.7': Counted(params=216, operations=1944), 'table-5.1': Counted(params=224, operations=1944)}
    """
    for name in names:
        check_choice("convention", name, CONVENTIONS)
    found = cost(model, input_shape)
    return {name: CONVENTIONS[name].count(model, found) for name in names or CONVENTIONS}
