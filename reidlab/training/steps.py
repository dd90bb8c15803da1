"""Values of steps that are read late, and steps that change nothing: so that no step waits for the device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn


class StepValues(Mapping[str, float]):
    """An objective's values of one step by name, which stay on their device until one of them is asked for.

    Args:
        names: of the values.
        held: (V,) float64, the values.
    """

    def __init__(self, names: Sequence[str], held: Tensor) -> None:
        self._names, self._held = tuple(names), held
        self._read: dict[str, float] | None = None

    def __getitem__(self, name: str) -> float:
        if self._read is None:
            read_steps([self])
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def read_steps(steps: Sequence[Mapping[str, float]]) -> None:
    """Read the values of several steps at once: one wait for the device, or none where all have been read."""
    unread = [step for step in steps if isinstance(step, StepValues) and step._read is None]
    if not unread:
        return
    values = iter(torch.cat([step._held for step in unread]).tolist())
    for step in unread:
        step._read = {name: next(values) for name in step._names}


class Guard:
    """What a step whose loss is not finite must leave as it was, without asking the device whether it is.

    Buffers (statistics of batch normalisation) are kept as they were before the first such step. From it on a fused
    optimiser changes neither weights nor its own state: torch gives it a number on the device for that, ``found_inf``.

    Args:
        model: the network.
        optimizer: its optimiser; None where a step that must change nothing is never taken.
        device: where they are.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer | None, device: torch.device) -> None:
        self._broken = torch.zeros((), device=device)
        if optimizer is not None:
            optimizer.found_inf = self._broken
        kinds: dict[torch.dtype, list[Tensor]] = {}
        for buffer in model.buffers():
            kinds.setdefault(buffer.dtype, []).append(buffer)
        self._buffers = list(kinds.values())
        self._kept: list[Tensor] = []

    def keep(self) -> None:
        """Keep the buffers as they are, unless a step before had a loss that is not finite; call it before a step."""
        now = [torch.cat([buffer.flatten() for buffer in kind]) for kind in self._buffers]
        broken = self._broken > 0
        self._kept = [torch.where(broken, old, new) for old, new in zip(self._kept, now)] if self._kept else now

    def note(self, loss: Tensor) -> None:
        """Note whether a step's loss, a scalar on the device, is finite; call it before the optimiser."""
        self._broken.copy_(self._broken.maximum((~loss.isfinite()).to(self._broken.dtype)))

    def put_back(self) -> None:
        """Give the buffers the values that were kept."""
        for kept, kind in zip(self._kept, self._buffers, strict=True):
            for piece, buffer in zip(kept.split([buffer.numel() for buffer in kind]), kind, strict=True):
                buffer.copy_(piece.view_as(buffer))
