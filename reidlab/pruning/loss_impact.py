"""Loss impact: what the loss would change by if a filter were removed, to first order (Eqs. 6.2, 6.4).

A gate of 1 behind a filter's batch normalisation has the gradient s = gamma dL/dgamma + beta dL/dbeta, and closing it
changes the loss by -s to first order. Every backward pass gives s for all filters.

P. Molchanov et al., "Importance estimation for neural network pruning", CVPR 2019 (https://arxiv.org/abs/1906.10771).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from reidlab.checks import check_choice
from reidlab.errors import DataError
from reidlab.pruning.candidates import Candidates

#: What becomes of the gates' gradients of one filter, which passes several normalisations where a shortcut is:
#: ``signed``: (sum s)^2, as released; ``squares``: sum of s^2, as the text says; ``blocks``: the same divided by their
#: number, Molchanov's; ``absolute``: |sum s|, the other distance of Eq. 6.2.
SCORES = ("signed", "squares", "blocks", "absolute")
#: Over minibatches: 0.9 of the average and 0.1 of the new value, begun anew with every iteration (as released) or
#: carried through the removal; or the mean over the minibatches of the iteration (Molchanov).
AVERAGES = ("reset", "carried", "mean")
_OLD = 0.9


class LossImpact:
    """Average loss impact of every candidate over minibatches.

    Args:
        score: one of :data:`SCORES`.
        average: one of :data:`AVERAGES`.

    Attributes:
        value: (K,) float64, one per candidate; None before the first minibatch.

    Raises:
        ConfigError: an argument is not one of those.
    """

    def __init__(self, score: str = "signed", average: str = "reset") -> None:
        check_choice("score", score, SCORES)
        check_choice("average", average, AVERAGES)
        self.score, self.average = score, average
        self.value: Tensor | None = None
        self.count = 0
        self._gates: tuple[Candidates, list[nn.Module], Tensor, Tensor, Tensor] | None = None

    def begin(self, model: nn.Module, candidates: Candidates) -> None:
        """Start an iteration.

        Args:
            model: the network as it is.
            candidates: its K candidates; a carried average must be of the same.
        """
        carried = self.average == "carried" and self.value is not None
        self.value = self.value if carried else None
        self.count = 0
        places = np.concatenate([candidates.places(labels) for _, labels in candidates.gates])
        channel = np.flatnonzero(places >= 0)
        number = np.bincount(places[channel], minlength=len(candidates))
        modules = [model.get_submodule(name) for name, _ in candidates.gates]
        device = modules[0].weight.device
        held = (torch.from_numpy(part).to(device) for part in (channel, places[channel], number))
        self._gates = (candidates, modules, *held)

    def update(self) -> None:
        """Take in the gradients of one minibatch, after its backward pass and before anything changes them.

        Raises:
            DataError: a gradient is missing or not finite; the message names the module.
        """
        candidates, modules, channel, place, number = self._gates
        with torch.no_grad():
            found = torch.cat([gate_gradient(module) for module in modules]).double()[channel]
            size = len(candidates)
            if self.score in ("signed", "absolute"):
                total = found.new_zeros(size).index_add_(0, place, found)
                value = total.square() if self.score == "signed" else total.abs()
            else:
                value = found.new_zeros(size).index_add_(0, place, found.square())
                value = value / number if self.score == "blocks" else value
            value = value.cpu()
        if not value.isfinite().all():
            layer, index = candidates.names[int((~value.isfinite()).int().argmax())]
            raise DataError(f"{layer}: the loss impact of filter {index} is not finite; look at the loss")
        self.count += 1
        if self.value is None:
            self.value = value
        elif self.average == "mean":
            self.value = self.value + (value - self.value) / self.count
        else:
            self.value = _OLD * self.value + (1 - _OLD) * value


def gate_gradient(module: nn.Module) -> Tensor:
    """Return the gradient (C,) of gates of 1 behind a normalisation or a convolution, from its parameters' gradients.

    Raises:
        DataError: there was no backward pass through it.
    """
    weight, bias = module.weight, module.bias
    if weight.grad is None:
        raise DataError(f"{type(module).__name__}: it has no gradient; the loss must depend on every candidate")
    found = weight * weight.grad
    if found.ndim > 1:
        transposed = getattr(module, "transposed", False)
        found = (found.transpose(0, 1) if transposed else found).flatten(1).sum(1)
    return found if bias is None or bias.grad is None else found + bias * bias.grad
