"""What a pruned network is judged by, and a way to judge many candidates of one layer without passing through the rest.

Candidates of one layer differ from the network at that layer and after it; what lies before puts out the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from reidlab.checks import check_choice
from reidlab.errors import DataError
from reidlab.models.modes import evaluating
from reidlab.pruning.nested import tensors_in

#: From a network's outputs on all batches to its performance; more is better.
Score = Callable[[list[Any]], float]


class BatchEvaluation:
    """Performance of a network on fixed batches.

    Args:
        batches: inputs (B, ...) of the network; held, never copied.
        score: from the outputs, one per batch, to the performance; more is better.

    Raises:
        DataError: there are no batches.

    Example:
        >>> evaluate = BatchEvaluation([torch.ones(2, 3)], lambda outputs: float(outputs[0].mean()))
        >>> evaluate(nn.Flatten())
        1.0
    """

    def __init__(self, batches: Sequence[Tensor], score: Score) -> None:
        if not batches:
            raise DataError("batches: there are none to evaluate on")
        self.batches, self.score = list(batches), score

    def __call__(self, model: nn.Module) -> float:
        """Return the performance of a network, by passes through all of it."""
        with evaluating(model), torch.no_grad():
            return float(self.score([model(batch) for batch in self.batches]))

    def after(self, model: nn.Module, layer: str, earlier: Callable[[nn.Module], float] | None = None) -> After:
        """Return an evaluation of copies of a network that differ from it only from a layer on.

        The network passes once through the part before the layer; candidates start from what it put out. Kept are only
        the outputs that the rest takes: the last one, and earlier ones that a test with NaN in their place shows to be
        needed, such as a shortcut's.

        Args:
            model: the network.
            layer: name of the first layer, in order of use, that differs.
            earlier: what this gave for an earlier layer of the same network, to start from.

        Raises:
            ConfigError: there is no such layer.
        """
        names = {module: name for name, module in model.named_modules()}
        check_choice("layer", layer, names.values())
        with evaluating(model), torch.no_grad():
            return After(self, model, layer, earlier if isinstance(earlier, After) else None)


class After:
    """Performance of candidates from the outputs of the modules that finish before a layer starts.

    :meth:`BatchEvaluation.after` makes one.
    """

    def __init__(self, evaluation: BatchEvaluation, model: nn.Module, layer: str, earlier: After | None) -> None:
        self.evaluation = evaluation
        probe = evaluation.batches[0][:1]
        order = _finished_before(model, layer, probe)
        whole = model(probe)
        kept = order[-1:]
        while True:
            stored, shapes = _record(model, order, [probe], kept)
            with _in_place_of(model, order, stored[0], shapes[0]), suppress(RuntimeError):  # writing into a NaN
                if len(kept) == len(order) or _same(model(probe), whole):
                    break
            kept = order[-2 * len(kept) :]
        self.order = order
        if earlier is not None and any(name in earlier.order and name not in earlier.stored[0] for name in kept):
            earlier = None  # it did not keep what is needed now
        self.stored, self.shapes = _record(model, order, evaluation.batches, kept, earlier)

    def __call__(self, candidate: nn.Module) -> float:
        """Return the performance of a candidate."""
        outputs = []
        with evaluating(candidate), torch.no_grad():
            for batch, stored, shapes in zip(self.evaluation.batches, self.stored, self.shapes, strict=True):
                with _in_place_of(candidate, self.order, stored, shapes):
                    outputs.append(candidate(batch))
        return float(self.evaluation.score(outputs))


def _finished_before(model: nn.Module, layer: str, probe: Tensor) -> list[str]:
    """Return the outermost modules that are called once, and done, before a layer starts; in order of use."""
    names = {module: name for name, module in model.named_modules()}
    done: list[str] = []
    calls: dict[str, int] = {}
    running: list[tuple[str, int]] = []  # and how many were done when each started
    started: list[str] = []

    def enter(module: nn.Module, inputs: object) -> None:
        if names[module] == layer:
            started.append(layer)
        running.append((names[module], len(done)))

    def leave(module: nn.Module, inputs: object, output: object) -> None:
        name, before = running.pop()
        calls[name] = calls.get(name, 0) + 1
        if not started and isinstance(output, Tensor):
            done[before:] = [name]

    handles = [module.register_forward_hook(leave) for module in names]
    handles += [module.register_forward_pre_hook(enter) for module in names]
    try:
        model(probe)
    finally:
        for handle in handles:
            handle.remove()
    return [name for name in done if calls[name] == 1]


def _record(
    model: nn.Module, order: list[str], batches: Sequence[Tensor], kept: list[str], earlier: After | None = None
) -> tuple[list[dict[str, Tensor]], list[dict[str, torch.Size]]]:
    """Return, for each batch, the outputs of the modules kept and the shapes of all."""
    stored: list[dict[str, Tensor]] = []
    shapes: list[dict[str, torch.Size]] = []

    class Reached(Exception):
        pass

    def note(name: str) -> Callable:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            shapes[-1][name] = output.shape
            if name in kept:
                stored[-1][name] = output.clone()  # what follows may write into it
            if name == order[-1]:
                raise Reached

        return hook

    handles = [model.get_submodule(name).register_forward_hook(note(name)) for name in order]
    try:
        for number, batch in enumerate(batches if order else ()):
            stored.append({})
            shapes.append({})
            start = ([], {}, {}) if earlier is None else (earlier.order, earlier.stored[number], earlier.shapes[number])
            with _in_place_of(model, *start), suppress(Reached):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
    return (stored, shapes) if order else ([{} for _ in batches], [{} for _ in batches])


@contextmanager
def _in_place_of(
    model: nn.Module, order: list[str], stored: dict[str, Tensor], shapes: dict[str, torch.Size]
) -> Iterator[None]:
    """Let modules put out what is stored for them, or NaN where nothing is."""
    modules = [model.get_submodule(name) for name in order]
    own = [vars(module).get("forward") for module in modules]  # of an instance, in place of its class's
    nothing = next((value.new_full((), torch.nan) for value in stored.values()), None)
    for name, module in zip(order, modules, strict=True):
        value = stored.get(name)
        if value is None:
            module.forward = lambda *_, shape=shapes[name], **__: nothing.expand(shape)
        else:
            module.forward = lambda *_, value=value, **__: value.clone()
    try:
        yield
    finally:
        for module, forward in zip(modules, own, strict=True):
            if forward is None:
                del module.forward
            else:
                module.forward = forward


def _same(a: Any, b: Any) -> bool:
    return all(torch.equal(x, y) for x, y in zip(tensors_in(a), tensors_in(b), strict=True))
