"""A network pruned to budgets, with its files and a page that shows what became of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from reidlab.checks import check_integer, printable
from reidlab.errors import DataError
from reidlab.files import write_json, write_text
from reidlab.models.weights import save_weights
from reidlab.pruning.caie import Result, Settings, check_budgets, prune
from reidlab.pruning.latency import Latency, Timer, latency_of, write_onnx_of
from reidlab.pruning.resources import Layers
from reidlab.tools.common import checked_output
from reidlab.tools.network import Say

#: Filters of a group that go together where latency has a budget: kernels work on so many channels at once.
CHUNK = 8
STATE = "state"
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color-scheme: light dark }
table { border-collapse: collapse } td, th { padding: .1rem .8rem .1rem 0; text-align: left; font-variant-numeric: tabular-nums }
.bar { background: #8883; width: 24rem; height: .7rem } .bar div { background: #27a; height: 100% }
"""  # noqa: E501


@dataclass(frozen=True)
class PrunedNetwork:
    """The result of :func:`prune_to_budget`.

    Attributes:
        folder: with ``network.onnx``, ``network.safetensors``, ``trace.json`` and ``report.html``.
        result: the pruned network and its trace.
    """

    folder: Path
    result: Result


def prune_to_budget(
    model: nn.Module,
    data: Sequence[tuple[Tensor, Tensor]],
    out: str | Path,
    budgets: Mapping[str, float],
    *,
    minibatches: int = 30,
    loss: Callable[[nn.Module, Any], Tensor] | None = None,
    finetune: Callable[[nn.Module], None] | None = None,
    settings: Settings | None = None,
    timer: Timer | None = None,
    seed: int = 0,
    resume: bool = False,
    say: Say = lambda line: None,
) -> PrunedNetwork:
    """Prune a network to budgets and write it, its trace and a page.

    Args:
        model: a trained network that gives logits, or an output with ``logits``; it stays as it is.
        data: minibatches of inputs (B, ...) and classes (B,); iterations pass through them in turn.
        out: folder to write; it must be new, or hold what an interrupted pruning left, with ``resume``.
        budgets: share that may stay by resource, see :func:`~reidlab.pruning.caie.prune`.
        minibatches: of an iteration.
        loss: from network and minibatch to a scalar; cross-entropy where None.
        finetune: trains the pruned network in place.
        settings: of the pruning; with a latency's budget filters go in chunks of :data:`CHUNK` where None.
        timer: measures latency; ONNX Runtime with one thread where None.
        seed: of what is random.
        resume: whether to go on with an interrupted pruning.
        say: gets a line on every iteration.

    Raises:
        ConfigError: a budget cannot be met, or the folder holds something already.
        DataError: there are no minibatches, or the loss is not finite.
        RunError: no filter is left that could meet a budget.
        StorageError: the folder cannot be written.
    """
    check_budgets(budgets)
    check_integer("minibatches", minibatches, 1)
    if not len(data):
        raise DataError("data: there are no minibatches")
    out = checked_output(out, resume, room=2**26)
    if settings is None:
        settings = replace(Settings(), chunk=CHUNK if "latency" in budgets else 1)
    shape = tuple(data[0][0].shape[1:])

    def batches(iteration: int) -> list[tuple[Tensor, Tensor]]:
        return [data[(iteration * minibatches + number) % len(data)] for number in range(minibatches)]

    def timed(layers: Layers) -> Latency:
        return latency_of(layers, timer, chunk=max(settings.chunk, CHUNK), minimum=settings.minimum, say=say)

    def watch(entry: dict[str, Any]) -> None:
        left = ", ".join(f"{name} {share:.1%}" for name, share in entry["left"].items())
        say(f"iteration {entry['iteration']}: loss {entry['loss']:.3f}, {left} left")

    result = prune(
        model, shape, batches, loss or _cross_entropy, budgets, settings=settings, latency=timed, finetune=finetune,
        seed=seed, folder=out / STATE, watch=watch,
    )  # fmt: skip
    save_weights(result.model, out / "network.safetensors")
    write_onnx_of(result.model, out / "network.onnx", shape)
    limits = {name: dict(zip(("whole", "limit", "now"), values, strict=True)) for name, values in result.limits.items()}
    widths = {name: list(pair) for name, pair in result.widths.items()}
    write_json(out / "trace.json", {"limits": limits, "widths": widths, "iterations": result.trace})
    write_text(out / "report.html", page(result))
    return PrunedNetwork(out, result)


def _cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    found = model(batch[0])
    return F.cross_entropy(found if isinstance(found, Tensor) else found.logits, batch[1])


def page(result: Result) -> str:
    """Return a page that needs nothing else: what each budget's resource was and is, and the layers' widths."""
    rows = "".join(
        f"<tr><td>{_text(name)}</td><td>{whole:,.5g}</td><td>{limit:,.5g}</td><td>{now:,.5g}</td>"
        f"<td>{now / whole:.1%}</td></tr>"
        for name, (whole, limit, now) in result.limits.items()
    )
    most = max((math.sqrt(before) for before, _ in result.widths.values()), default=1)
    bars = "".join(
        f"<tr><td>{_text(name)}</td><td>{before}</td><td>{after}</td>"
        f'<td><div class="bar" style="width:{24 * math.sqrt(before) / most:.2f}rem">'
        f'<div style="width:{after / before:.1%}"></div></div></td></tr>'
        for name, (before, after) in result.widths.items()
    )
    iterations = len(result.trace)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Pruned network</title><style>{_STYLE}</style>'
        f"<h1>Pruned network</h1><p>{iterations} iterations.</p>"
        f"<table><tr><th>resource</th><th>before</th><th>budget</th><th>after</th><th>left</th></tr>{rows}</table>"
        "<h2>Filters of each layer</h2><p>The blue part stays; a bar is as long as the root of the layer's width.</p>"
        f"<table><tr><th>layer</th><th>before</th><th>after</th><th></th></tr>{bars}</table></html>\n"
    )


def _text(text: object) -> str:
    return escape(printable(text))
