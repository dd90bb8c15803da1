"""Computation-performance optimisation: how many filters each layer can spare under an expected drop (Sec. 5.3).

Each layer is halved by itself; the drop of performance over the computation saved is its performance sensitivity
(Eq. 5.6). The least sensitive layer is pruned first, by binary search, until the drop is intolerable, another layer has
become less sensitive, or no filter is left to remove (Algorithm 2). A search for several expected drops goes from the
lowest to the highest, each on the network that the one before left.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from reidlab.checks import check_choice, check_number
from reidlab.errors import ConfigError, DataError, RunError
from reidlab.files import digest, read_json, write_json
from reidlab.models.cost import cost
from reidlab.models.weights import read_weights, save_weights
from reidlab.pruning.couplings import Couplings, check_layers, follow
from reidlab.pruning.criteria import CRITERIA, ranking
from reidlab.pruning.evaluation import BatchEvaluation
from reidlab.pruning.removal import check_removal, filters, removed
from reidlab.pruning.uniform import kept

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)

#: Denominators of the sensitivity: Eq. 5.6 as printed, or the multiply-accumulates of the whole network that go.
SENSITIVITIES = ("printed", "macs")
#: When the search steps back: on an intolerable drop alone (the text), or also when another layer has become less
#: sensitive (Algorithm 2).
STEPPING_BACK = ("text", "algorithm")


class Retrain(Protocol):
    """What a pruned network is trained with before it is judged."""

    def __call__(self, model: nn.Module, step: int) -> None:
        """Train a network in place; the step, counted over the search, seeds what is random."""
        ...


@dataclass(frozen=True)
class Settings:
    """How a search goes.

    Attributes:
        criterion: which filters go first, of :data:`~reidlab.pruning.criteria.CRITERIA`.
        sensitivity: one of :data:`SENSITIVITIES`.
        step_back: one of :data:`STEPPING_BACK`.
        first: reducing factor of the probes and of each layer's first step.

    Raises:
        ConfigError: a value is not allowed.
    """

    criterion: str = "sparsity"
    sensitivity: str = "printed"
    step_back: str = "text"
    first: float = 0.5

    def __post_init__(self) -> None:
        check_choice("criterion", self.criterion, CRITERIA)
        check_choice("sensitivity", self.sensitivity, SENSITIVITIES)
        check_choice("step_back", self.step_back, STEPPING_BACK)
        check_number("first", self.first, above=0, below=1, what="the share of filters of the first step")


@dataclass(frozen=True)
class Step:
    """One pruned network that was judged, or the end of a layer.

    Attributes:
        expected_drop: D_exp of the search.
        layer: the layer.
        kind: ``probe``, ``prune``, ``step back`` or ``stop``.
        factor: reducing factor r, of the layer's filters at the start of this expected drop.
        filters: filters left.
        drop: performance of the network that was given (or the reference), less this one's.
        sensitivity: performance sensitivity of what it removed; None at ``stop``.
        why: at ``stop``, why the layer is left.
        performance: as evaluated.
        removed: filters that this step removed, by index in the network before it.
    """

    expected_drop: float
    layer: str
    kind: str
    factor: float
    filters: int
    drop: float
    sensitivity: float | None = None
    why: str = ""
    performance: float | None = None
    removed: tuple[int, ...] = ()


@dataclass
class Pruned:
    """Result of a search.

    Attributes:
        models: the pruned network for each expected drop.
        steps: all that was tried, in order.
        performance: of the network that was given.
    """

    models: dict[float, nn.Module]
    steps: list[Step]
    performance: float

    def table(self) -> pd.DataFrame:
        """Return the steps, one row each."""
        import pandas as pd

        return pd.DataFrame([asdict(step) for step in self.steps])

    def reasons(self, expected_drop: float) -> dict[str, str]:
        """Return why each layer was left, in the order in which they were pruned."""
        return {s.layer: s.why for s in self.steps if s.kind == "stop" and s.expected_drop == expected_drop}


def search(
    model: nn.Module,
    example: Tensor,
    evaluate: Callable[[nn.Module], float],
    expected_drops: float | Sequence[float],
    *,
    layers: Sequence[str] | None = None,
    retrain: Retrain | None = None,
    reference: float | None = None,
    settings: Settings | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Pruned:
    """Prune a network by CPO (Algorithm 2).

    Args:
        model: a trained network; it stays as it is.
        example: what it takes, (1, ...) with the batch axis.
        evaluate: its performance on validation data; more is better, in the unit of the expected drops. With a
            :class:`~reidlab.pruning.evaluation.BatchEvaluation` and no retraining, candidates of a layer start from the
            activations before it.
        expected_drops: D_exp; several are searched from the lowest to the highest.
        layers: that may be pruned, one of each group; all whose filters can be removed where omitted.
        retrain: applied to every pruned network before it is judged.
        reference: performance that drops are counted from, for a network that has been pruned before; the network's own
            where omitted.
        settings: see :class:`Settings`.
        folder: where the search is saved after every step, and resumed from; in memory only where omitted.

    Returns:
        The pruned networks and what led to them.

    Raises:
        ConfigError: an expected drop is negative, given twice or already exceeded, a layer cannot be pruned, or the
            folder holds a search of another network, or one with other settings, drops, evaluation or retraining.
        DataError: the evaluation or retraining gives what is no number; the message names the layer.
        RunError: the folder cannot be read back.
        StorageError: the folder cannot be written.
    """
    # Numbers of numpy and torch have it too.
    given = expected_drops.tolist() if hasattr(expected_drops, "tolist") else expected_drops
    drops = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    drops = [float(check_number("expected_drop", drop, 0, what="the loss that is accepted")) for drop in drops]
    if not drops or len(set(drops)) < len(drops):
        raise ConfigError(f"expected_drop: {drops} must be at least one, and different ones")
    settings = settings or Settings()
    couplings = follow(model, example)
    names = check_layers(couplings, layers)
    check_removal(model, couplings, names, example)
    if reference is not None:
        check_number("reference", reference, what="the performance that drops are counted from")
    run = _Search(model, example, evaluate, names, retrain, reference, settings, folder)
    current = _Network(model, couplings, 0.0 if reference is None else reference - run.start)
    models = {}
    for drop in sorted(drops):
        current = run.prune(current, drop)
        run.keep.add(current.step)
        models[drop] = current
    return Pruned({drop: run.loaded(found).model for drop, found in models.items()}, run.steps, run.start)


def sensitivity(drop: float, factor: float, computation: float) -> float:
    """Return the performance sensitivity (Eq. 5.6).

    Args:
        drop: change of the performance drop.
        factor: change of the reducing factor.
        computation: W * H * C of the layer's filters as printed.

    Raises:
        ConfigError: nothing was removed.

    Example:
        >>> sensitivity(0.9, 0.5, 3 * 3 * 2)
        0.1
    """
    check_number("factor * computation", factor * computation, above=0, what="the computation that is saved")
    return drop / (factor * computation)


@dataclass
class _Network:
    """A network on the way, and where its weights are saved: ``step`` is the number of the step that made it."""

    model: nn.Module
    couplings: Couplings
    drop: float
    step: int = -1
    loaded: bool = True
    sensitivity: float = math.nan
    macs: int | None = None


@dataclass
class _Search:
    model: nn.Module
    example: Tensor
    evaluate: Callable[[nn.Module], float]
    layers: tuple[str, ...]
    retrain: Retrain | None
    reference: float | None
    settings: Settings
    place: str | os.PathLike[str] | None
    steps: list[Step] = field(default_factory=list)
    keep: set[int] = field(default_factory=set)
    full: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = None if self.place is None else Path(self.place)
        self.journal: list[Step] = []
        self.start = math.nan
        self.shared: tuple[int, str, Callable[[nn.Module], float]] | None = None
        self.about = {"layers": list(self.layers), "reference": self.reference, **asdict(self.settings)}
        self.about["retrained"] = self.retrain is not None
        self.about["weights"] = _fingerprint(self.model)
        self.digests: dict[str, str] = {}
        if self.folder is not None:
            _check_unshared(self.model)
        if self.folder is not None and (self.folder / "search.json").exists():
            self.read(self.folder / "search.json")
        start = self.judged(self.model, "the network that was given", self.evaluate)
        if not math.isnan(self.start) and not math.isclose(start, self.start, rel_tol=1e-4, abs_tol=1e-6):
            raise ConfigError(
                f"{self.folder}: a search with another evaluation, which gave {self.start:g} for the network that was "
                f"given; this one gives {start:g}. Choose another folder"
            )
        if math.isnan(self.start):
            self.start = start
            self.save()

    # --- Algorithm 2 ------------------------------------------------------------------------------------------------

    def prune(self, current: _Network, expected: float) -> _Network:
        """Return the network pruned under one expected drop."""
        if current.drop > expected:
            raise ConfigError(
                f"expected_drop: {expected:g} is exceeded already; the network to start from has dropped by "
                f"{current.drop:g}"
            )
        first, rise = self.settings.first, {}
        self.full = {layer: self.width(current, layer) for layer in self.layers}
        for layer, width in self.full.items():  # lines 2 to 6
            goal = kept(width, first)
            if gone := width - goal:
                found = self.candidate(current, layer, gone, Step(expected, layer, "probe", first, goal, 0.0))
                rise[layer] = (found.drop - current.drop, gone)
        while rise:  # lines 8 to 25
            # From today's channels: what was removed before a layer counts (line 23).
            order = sorted((self.sensitivity(current, name, *rise[name]), self.layers.index(name)) for name in rise)
            layer = self.layers[order[0][1]]
            del rise[layer]
            current = self.prune_layer(current, layer, expected, order[1][0] if rise else math.inf)
        return current

    def prune_layer(self, current: _Network, layer: str, expected: float, runner_up: float) -> _Network:
        """Return the network with one layer pruned by binary search (lines 10 to 22)."""
        width, factor, before, why = self.full[layer], self.settings.first, 0.0, ""
        while not why:
            goal = kept(width, factor)
            gone = self.width(current, layer) - goal
            if not gone:
                why = f"no filters left to remove: {goal} of {width} stay at {factor:g}"
                break
            found = self.candidate(current, layer, gone, Step(expected, layer, "prune", factor, goal, 0.0))
            if found.drop > expected:
                why = f"the drop of {found.drop:g} at {factor:g} exceeds {expected:g}"
                current, back = self.step_back(current, layer, factor, before, expected)
                why += f"; stepped back to {back:g}"
            elif found.sensitivity > runner_up:
                why = f"its sensitivity of {found.sensitivity:.3g} at {factor:g} is above the next layer's"
                why += f" {runner_up:.3g}"
                if self.settings.step_back == "text":
                    current = self.accept(found)
                else:
                    current, back = self.step_back(current, layer, factor, before, expected)
                    why += f"; stepped back to {back:g}"
            else:
                current = self.accept(found)
                before, factor = factor, (1 + factor) / 2
        left = self.width(self.accept(current), layer)
        self.note(Step(expected, layer, "stop", 1 - left / width, left, current.drop, why=why))
        return current

    def step_back(
        self, current: _Network, layer: str, factor: float, before: float, expected: float
    ) -> tuple[_Network, float]:
        """Return the network halfway back to the last accepted factor, again until the drop is accepted (line 15)."""
        width = self.full[layer]
        while True:
            factor = (factor + before) / 2
            goal = kept(width, factor)
            gone = self.width(current, layer) - goal
            if not gone:
                return current, before
            found = self.candidate(current, layer, gone, Step(expected, layer, "step back", factor, goal, 0.0))
            if found.drop <= expected:
                return self.accept(found), factor

    # --- one step ---------------------------------------------------------------------------------------------------

    def candidate(self, base: _Network, layer: str, gone: int, step: Step) -> _Network:
        """Return a network with filters of a layer removed, retrained and judged; or as the folder remembers it."""
        number = len(self.steps)
        if number < len(self.journal):
            past = self.journal[number]
            if past.expected_drop != step.expected_drop:
                raise ConfigError(
                    f"{self.folder}: a search whose step {number} is of the expected drop {past.expected_drop:g}, not "
                    f"of {step.expected_drop:g}; give its drops first, or choose another folder"
                )
            if (past.layer, past.kind, past.filters) != (step.layer, step.kind, step.filters):
                raise RunError(
                    f"{self.folder}: step {number} is {past.kind} {past.layer} to {past.filters} filters, expected "
                    f"{step.kind} {step.layer} to {step.filters}; search again in another folder"
                )
            self.steps.append(past)
            probe = past.kind == "probe"  # never continued
            model = base.model if probe else removed(base.model, base.couplings, {layer: past.removed})
            couplings = base.couplings if probe else follow(model, self.example)
            return _Network(model, couplings, past.drop, number, loaded=False, sensitivity=past.sensitivity)
        base = self.loaded(base)
        order = ranking(base.model.get_submodule(layer), self.settings.criterion, name=layer)
        model = removed(base.model, base.couplings, {layer: order[:gone]})
        evaluate = self.evaluation(base, layer)
        if self.retrain is not None:
            self.retrain(model, number)
        performance = self.judged(model, f"{layer}, {step.kind} to {step.filters} filters", evaluate)
        drop = (self.start if self.reference is None else self.reference) - performance
        ratio = self.sensitivity(base, layer, drop - base.drop, gone)
        done = replace(step, drop=drop, sensitivity=ratio, performance=performance, removed=tuple(order[:gone]))
        if self.folder is not None and step.kind != "probe":
            save_weights(model, self.weights(number))
            self.digests[str(number)] = digest(self.weights(number))
        self.note(done)
        couplings = base.couplings if step.kind == "probe" else follow(model, self.example)
        return _Network(model, couplings, drop, number, sensitivity=ratio)

    def evaluation(self, base: _Network, layer: str) -> Callable[[nn.Module], float]:
        """Return the evaluation of a layer's candidates, which shares the activations before the layer if it can."""
        if self.retrain is not None or not isinstance(self.evaluate, BatchEvaluation):
            return self.evaluate
        if self.shared is None or self.shared[:2] != (base.step, layer):
            earlier = self.shared[2] if self.shared is not None and self.shared[0] == base.step else None
            first = base.couplings.group_of[layer].layer
            self.shared = (base.step, layer, self.evaluate.after(base.model, first, earlier))
        return self.shared[2]

    def sensitivity(self, base: _Network, layer: str, rise: float, gone: int) -> float:
        """Return a layer's sensitivity in a network, of whose filters some are removed."""
        if self.settings.sensitivity == "printed":
            weight = filters(base.model.get_submodule(layer))
            return sensitivity(rise, gone / self.full[layer], weight[0].numel())
        smaller = removed(base.model, base.couplings, {layer: range(gone)})
        base.macs = self.macs(base.model) if base.macs is None else base.macs
        return rise / (base.macs - self.macs(smaller))

    def macs(self, model: nn.Module) -> int:
        return cost(model, tuple(self.example.shape[1:])).macs("conv", "linear", "projection", "product")

    def width(self, network: _Network, layer: str) -> int:
        return len(filters(network.model.get_submodule(layer)))

    def judged(self, model: nn.Module, what: str, evaluate: Callable[[nn.Module], float]) -> float:
        given = evaluate(model)
        try:
            value = math.nan if isinstance(given, str) else float(given)
        except (TypeError, ValueError, RuntimeError):
            value = math.nan
        if not math.isfinite(value):
            raise DataError(f"{what}: the evaluation gave {given!r}, expected a finite number; look at the retraining")
        return value

    def accept(self, found: _Network) -> _Network:
        """Go on from a network; weights that nothing needs any more are removed."""
        if self.folder is not None and len(self.steps) >= len(self.journal):
            for path in self.folder.glob("step-*.safetensors"):
                number = int(path.stem.removeprefix("step-"))
                if number != found.step and number not in self.keep:
                    path.unlink(missing_ok=True)
        return found

    # --- the folder -------------------------------------------------------------------------------------------------

    def weights(self, number: int) -> Path:
        return self.folder / f"step-{number}.safetensors"

    def loaded(self, network: _Network) -> _Network:
        """Return a network with its weights, which a resumed search reads only when they are needed."""
        if not network.loaded:
            path = self.weights(network.step)
            try:
                whole = digest(path) == self.digests.get(str(network.step))
                if whole:
                    network.model.load_state_dict(read_weights(path))
            except (DataError, OSError, RuntimeError) as error:
                raise RunError(f"{path}: not the weights of that step; search again in another folder") from error
            if not whole:
                raise RunError(f"{path}: not the weights of that step; search again in another folder")
            network.loaded = True
        return network

    def note(self, step: Step) -> None:
        """Add a step to the log and save it, unless the folder holds it already."""
        self.steps.append(step)
        if len(self.steps) > len(self.journal):
            _log.info("%s", step)
            self.save()

    def save(self) -> None:
        if self.folder is not None:
            rows = [asdict(step) for step in self.steps]
            content = {"about": self.about, "performance": self.start, "steps": rows, "weights": self.digests}
            write_json(self.folder / "search.json", content)

    def read(self, path: Path) -> None:
        try:
            content = read_json(path)
        except RunError as error:
            raise RunError(f"{path}: no search can be read from it; remove it to start afresh") from error
        about = content.get("about")
        if about != self.about:
            known: Mapping[str, Any] = about if isinstance(about, dict) else {}
            other = [name for name in self.about if known.get(name) != self.about[name]]
            raise ConfigError(f"{path}: a search with other {', '.join(other)}; choose another folder")
        try:
            self.start = float(content["performance"])
            self.journal = [Step(**{**row, "removed": tuple(row["removed"])}) for row in content["steps"]]
            self.digests = {str(number): str(value) for number, value in content["weights"].items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{path}: no search can be read from it ({error}); remove it to start afresh") from error


def _check_unshared(model: nn.Module) -> None:
    """Check that no two names lead to the same weights: the folder's files could not hold them."""
    names: dict[int, str] = {}
    for name, value in model.state_dict().items():
        if value.numel() and names.setdefault(value.data_ptr(), name) != name:
            raise ConfigError(
                f"model: {names[value.data_ptr()]} and {name} are the same weights, which a folder cannot hold; give "
                "each module one name, or leave folder out"
            )


def _fingerprint(model: nn.Module) -> str:
    """Return a hash of all weights."""
    summary = hashlib.blake2b(digest_size=16)
    for name, value in model.state_dict().items():
        summary.update(name.encode() + value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return summary.hexdigest()
