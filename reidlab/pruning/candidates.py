"""Which filters of a network can be removed one by one, each with all that hangs on it, and where its gates are.

A candidate is a filter of a group of :mod:`reidlab.pruning.couplings`: in a residual stage one filter of every
convolution whose outputs are added. Its number, taken from the couplings of the whole network, stays while others go,
so that scores, averages and records of one iteration fit the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from reidlab.checks import check_choice, check_number
from reidlab.errors import ConfigError
from reidlab.pruning.couplings import Axis, Couplings

#: Where the gate of Sec. 6.2.1 stands: after the batch normalisations that a filter passes, or straight after its
#: convolutions, for networks without normalisation.
GATES = ("norm", "filter")


@dataclass(frozen=True, eq=False)
class Candidates:
    """Filters that may be removed.

    Attributes:
        couplings: of the network as it is.
        labels: (K,) the candidates' labels in the couplings' axes, in rising order.
        names: (K,) layer and index, both of the whole network.
        domains: candidates of which some must stay: their labels and how many.
        gates: modules that have a gate, and (channels,) the label of each of their channels, or -1.
    """

    couplings: Couplings
    labels: np.ndarray
    names: list[tuple[str, int]]
    domains: list[tuple[np.ndarray, int]]
    gates: list[tuple[str, np.ndarray]]

    def __len__(self) -> int:
        return len(self.labels)

    def places(self, labels: np.ndarray) -> np.ndarray:
        """Return the number 0..K-1 of the candidate with each label (N,), or -1 where it is none: (N,)."""
        if not len(self.labels):
            return np.full(len(labels), -1)
        found = np.searchsorted(self.labels, labels).clip(max=len(self.labels) - 1)
        return np.where(self.labels[found] == labels, found, -1)

    def without(self, gone: np.ndarray) -> Candidates:
        """Return the candidates of the network from which some are removed.

        Args:
            gone: (G,) labels.
        """
        kept = ~np.isin(self.labels, gone)
        axes = [_without_labels(axis, gone) for axis in self.couplings.axes]
        outputs = {axis.module: len(axis.labels) for axis in axes if axis.role == "out"}
        groups = [replace(group, width=outputs[group.layer]) for group in self.couplings.groups]
        return Candidates(
            Couplings(groups, axes),
            self.labels[kept],
            [name for name, keep in zip(self.names, kept) if keep],
            [(labels[~np.isin(labels, gone)], least) for labels, least in self.domains],
            [(name, labels[~np.isin(labels, gone)]) for name, labels in self.gates],
        )

    def removals(self, gone: np.ndarray) -> dict[str, list[int]]:
        """Return candidates by layer and index in the network as it is, for :func:`reidlab.pruning.removal.removed`.

        Args:
            gone: (G,) labels.
        """
        outputs = {axis.module: axis.labels for axis in self.couplings.axes if axis.role == "out"}
        found: dict[str, list[int]] = {}
        for number in self.places(gone):
            layer = self.names[number][0]
            found.setdefault(layer, []).append(int(np.argmax(outputs[layer] == self.labels[number])))
        return {layer: sorted(indices) for layer, indices in found.items()}

    def named(self, gone: np.ndarray) -> dict[str, list[int]]:
        """Return candidates (G,) by layer and index in the whole network, as records name them."""
        found: dict[str, list[int]] = {}
        for number in self.places(gone):
            layer, index = self.names[number]
            found.setdefault(layer, []).append(index)
        return found

    def labels_of(self, named: Mapping[str, Sequence[int]]) -> np.ndarray:
        """Return the labels (G,) of what :meth:`named` names.

        Raises:
            ConfigError: a filter is no candidate.
        """
        known = dict(zip(self.names, self.labels.tolist()))
        wanted = [(layer, index) for layer, indices in named.items() for index in indices]
        if missing := [name for name in wanted if name not in known]:
            raise ConfigError(f"{missing[0][0]}: filter {missing[0][1]} is none that can be removed")
        return np.array([known[name] for name in wanted], dtype=np.int64)

    def widths(self) -> dict[str, int]:
        """Return how many filters each layer has."""
        return {axis.module: len(axis.labels) for axis in self.couplings.axes if axis.role == "out"}


class Room:
    """How many filters each part of a network can still lose.

    Args:
        candidates: of the network as it is.
    """

    def __init__(self, candidates: Candidates) -> None:
        self.left = [len(labels) - least for labels, least in candidates.domains]
        self.domains: list[list[int]] = [[] for _ in range(len(candidates))]
        for number, (labels, _) in enumerate(candidates.domains):
            for place in candidates.places(labels).tolist():
                self.domains[place].append(number)

    def take(self, place: int) -> bool:
        """Note that a candidate goes, by its number 0..K-1; return False, and note nothing, where it must stay."""
        own = self.domains[place]
        if any(self.left[number] <= 0 for number in own):
            return False
        for number in own:
            self.left[number] -= 1
        return True

    def put_back(self, place: int) -> None:
        """Note that a candidate stays after all."""
        for number in self.domains[place]:
            self.left[number] += 1


def candidates(model: nn.Module, couplings: Couplings, *, minimum: float = 0.1, gate: str = "norm") -> Candidates:
    """Find the filters of a network that can be removed and have a gate.

    Args:
        model: the network that was followed.
        couplings: of :func:`reidlab.pruning.couplings.follow`.
        minimum: share of a group's filters that must stay, at least one: ``max(1, int(share * filters))``.
        gate: one of :data:`GATES`; a filter without such a gate is no candidate.

    Raises:
        ConfigError: an argument is not allowed, no filter has a gate, or a gate's parameters are frozen.
    """
    check_choice("gate", gate, GATES)
    check_number("minimum", minimum, 0, below=1, what="the share of a layer's filters that must stay")
    outputs = {axis.module: axis.labels for axis in couplings.axes if axis.role == "out"}
    names: dict[int, tuple[str, int]] = {}
    for group in couplings.groups:
        if not group.fixed:
            for layer in group.layers:
                for index, label in enumerate(outputs[layer].tolist()):
                    names.setdefault(label, (layer, index))
    role = "both" if gate == "norm" else "out"
    gates = [(axis.module, axis.labels) for axis in couplings.axes if axis.role == role and _is_gate(model, axis)]
    gated = set(np.concatenate([np.empty(0, dtype=np.int64), *(labels for _, labels in gates)]).tolist())
    labels = np.array(sorted(label for label in names if label in gated), dtype=np.int64)
    if not len(labels):
        raise ConfigError(_without_gates(model, gate, bool(names)))
    gates = [(name, np.where(np.isin(own, labels), own, -1)) for name, own in gates]
    gates = [(name, own) for name, own in gates if (own >= 0).any()]
    for name, _ in gates:
        if not model.get_submodule(name).weight.requires_grad:
            raise ConfigError(f"{name}: its weights are frozen and get no gradient; call requires_grad_() on them")
    domains: dict[bytes, tuple[np.ndarray, int]] = {}
    for axis in couplings.axes:  # of a slice of the channels some must stay too
        own = np.unique(axis.labels)
        if len(own) and np.isin(own, labels).all():
            domains.setdefault(own.tobytes(), (own, max(1, int(minimum * len(own)))))
    return Candidates(couplings, labels, [names[label] for label in labels.tolist()], list(domains.values()), gates)


def _is_gate(model: nn.Module, axis: Axis) -> bool:
    module = model.get_submodule(axis.module)
    return axis.role == "out" or (isinstance(module, _BatchNorm) and module.weight is not None)


def _without_gates(model: nn.Module, gate: str, free: bool) -> str:
    kind = type(model).__name__
    if not free:
        return f"model: no filter of {kind} can be removed"
    return (
        f"model: {kind} has no batch normalisation with weights, whose gates the loss impact takes; give "
        "gate='filter' (--gate filter), or prune by the weights themselves (cpo.search, criteria sparsity and l1)"
    )


def _without_labels(axis: Axis, gone: np.ndarray) -> Axis:
    keep = ~np.isin(axis.labels, gone)
    return axis if keep.all() else Axis(axis.module, axis.role, axis.labels[keep])
