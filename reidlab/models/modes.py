"""Evaluation mode inside a ``with`` block, and one pass of zeros in it to see what a network does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode inside the block, and every part of it back into its own mode after it."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def watch(
    model: nn.Module,
    input_shape: Sequence[int],
    modules: Iterable[nn.Module],
    note: Callable[[nn.Module, tuple[Any, ...], Any], None],
) -> None:
    """Run one sample of zeros through a network in evaluation mode, on the device and in the type of its weights.

    Args:
        model: takes one tensor; on the meta device nothing is computed.
        input_shape: of the sample, without the batch axis.
        modules: parts of the network that are watched.
        note: is given a watched module, its inputs and its output, each time it has run.
    """
    handles = [module.register_forward_hook(note) for module in modules]
    try:
        with evaluating(model), torch.no_grad():
            weight = next(model.parameters(), torch.zeros(()))
            model(torch.zeros((1, *input_shape), dtype=weight.dtype, device=weight.device))
    finally:
        for handle in handles:
            handle.remove()
