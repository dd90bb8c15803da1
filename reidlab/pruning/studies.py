"""The measurements of chapter 5: CPO against uniform removal (UR) and the L1 norm at equal drops and equal budgets.

UR removes a share of each layer's filters. What it then loses in validation is the drop that CPO and L1 may make
(Sec. 5.4.1); CPO goes from the lowest of these to the highest, each on the network that the one before left. Steps of
training are counted from the removal on: ``spent`` with those of probes and of networks that were thrown away, ``own``
those that the weights in the end have seen. Budgets are equal in what was spent.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from statistics import mean, median
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from reidlab.checks import check_choice, check_names, check_number
from reidlab.errors import ConfigError, DataError
from reidlab.models.conventions import counted
from reidlab.models.modes import evaluating
from reidlab.pruning import cycles
from reidlab.pruning.baselines import by_factors, reinitialised, uniform_removal
from reidlab.pruning.cpo import Pruned, Step, search
from reidlab.pruning.removal import widths
from reidlab.pruning.task_study import TaskStudy
from reidlab.pruning.tasks import NETWORKS, Task, classification, super_resolution
from reidlab.seeding import derive, rng
from reidlab.study import Condition, Place, Registry, Result, Row
from reidlab.training.determinism import seeded
from reidlab.training.loop import train
from reidlab.training.objectives import Supervised, Term
from reidlab.training.tensors import TensorSource

#: Budgets: the text's, the text's with CPO's last epochs, and as many steps for each method as CPO spent in all.
BUDGETS = ("text", "extended", "equal")
#: Factors among which L1 finds the largest that a stage bears.
GRID = tuple(n / 8 for n in range(7, 0, -1))
#: What a stage may lose by itself, in drops that the whole network may make: L1 takes the first whose network stays.
TOLERANCES = (8.0, 4.0, 2.0, 1.0, 0.5, 0.25)

#: Methods by name.
METHODS: Registry[Callable[[Place, Condition], Result]] = Registry("methods")


class Trained(NamedTuple):
    """A network of the chapter after its last step.

    Attributes:
        model: the network.
        own: steps of training that its weights have seen since the removal, or since the whole network was trained.
        spent: likewise, with those of networks that were thrown away.
    """

    model: nn.Module
    own: int = 0
    spent: int = 0


def _result(model: nn.Module, own: int, spent: int | None = None) -> Result:
    return Result({}, model, Trained(model, own, own if spent is None else spent))


@METHODS.add("bicubic")
def bicubic(place: Place, condition: Condition) -> Result:
    """What a network of super-resolution is given: the interpolated picture itself."""
    return _result(nn.Identity(), 0)


@METHODS.add("original")
def original(place: Place, condition: Condition) -> Result:
    """The whole network; with a budget, after as many further steps as pruned ones get."""
    extra = spent(place, max(place.study.factors)) if "budget" in condition.options else 0
    return _result(place.study.further(place, whole(place), extra, "original"), extra)


@METHODS.add("shallow")
def shallow(place: Place, condition: Condition) -> Result:
    """A network of fewer layers, from scratch, for as many steps as the whole one and what pruned ones get (5.4.1)."""
    study = place.study
    with seeded(derive(place.seed, "initial weights", "shallow")):
        model = NETWORKS[study.network].shallow(study.depth, study.width)
    steps = study.steps["train"] + spent(place, max(study.factors))
    return _result(study.trained(place, model, steps, study.optimisation, "shallow"), steps)


@METHODS.add("ur")
def ur(place: Place, condition: Condition) -> Result:
    """Uniform removal, then one round of retraining (text), or as many steps as CPO spends."""
    study, factor = place.study, condition.options["factor"]
    model = uniform_removal(whole(place), place.data["target"].example, factor, layers=layers_of(place))
    steps = spent(place, factor) if condition.options["budget"] == "equal" else study.steps["retrain"]
    return _result(study.further(place, model, steps, f"ur {factor}"), steps)


@METHODS.add("l1")
def l1(place: Place, condition: Condition) -> Result:
    """Li et al.: the smallest filters first, one factor for the layers of a stage, by how much each stage bears.

    They look at each stage by itself, not retrained, and choose by hand. Here the choice is what a stage may lose by
    itself: the largest of :data:`TOLERANCES` with which the whole network stays in D_exp after one round of retraining.
    """
    study, factor = place.study, condition.options["factor"]
    once, expected, used = study.steps["retrain"], drops(place)[factor], 0
    for tolerance in TOLERANCES:
        factors = borne(place, tolerance * expected)
        model = by_factors(whole(place), place.data["target"].example, factors) if factors else whole(place)
        model, used = study.further(place, model, once, f"l1 {factor} {tolerance}"), used + once
        if dropped(place, model, f"l1 {factor}") <= expected:
            break
    else:
        model, once = whole(place), 0
    left = max(0, spent(place, factor) - used)
    return _result(study.further(place, model, left, f"l1 {factor}"), once + left, used + left)


@METHODS.add("li")
def li(place: Place, condition: Condition) -> Result:
    """Li et al. with the factors of their own network (Table 5.7), and the text's last epochs."""
    study, example = place.study, place.data["target"].example
    model = by_factors(whole(place), example, NETWORKS[study.network].li(layers_of(place)))
    return _result(study.further(place, model, study.steps["final"], "li"), study.steps["final"])


@METHODS.add("cpo")
def cpo(place: Place, condition: Condition) -> Result:
    """CPO; with the budget ``extended`` the text's last epochs after it, with ``equal`` what is left of all steps."""
    study, options = place.study, condition.options
    table = "expected" in options
    found, expected = chain(place, table), options["expected"] if table else drops(place)[options["factor"]]
    own, used = taken(place, found.steps, expected)
    # What is spent in all at equal budgets is CPO's own search and the last epochs.
    extra = 0 if options["budget"] == "text" else study.steps["final"]
    return _result(study.further(place, found.models[expected], extra, f"cpo {expected}"), own + extra, used + extra)


@METHODS.add("random order")
def random_order(place: Place, condition: Condition) -> Result:
    """CPO without sensitivities: layers in a random order, each until the drop is intolerable or no filter is left."""
    study, task, expected = place.study, place.data["target"], drops(place)[condition.options["factor"]]
    model, steps = whole(place), []
    for layer in rng(place.seed, "order of layers").permutation(layers_of(place)).tolist():
        found = search(
            model, task.example, task.scores["validation"], expected, layers=(layer,),
            reference=scores(place)["validation"],
            retrain=lambda model, step, layer=layer: study.retrained(place, model, f"{layer} {step}"),
        )  # fmt: skip
        model = found.models[expected]
        steps += found.steps
    return _result(model, *taken(place, steps, expected))


@METHODS.add("restart")
def restart(place: Place, condition: Condition) -> Result:
    """The network that CPO leaves, from its weights or anew, for as many steps or 2.6 times as many (Table 5.6)."""
    study, final = place.study, place.study.steps["final"]
    model = chain(place).models[drops(place)[condition.options["factor"]]]
    if condition.options["start"] == "pruned":
        return _result(study.further(place, model, final, "restart"), final)
    steps = final if condition.options["epochs"] == "final" else round(2.6 * final)
    fresh = reinitialised(model, derive(place.seed, "restart") % 2**31)
    return _result(study.trained(place, fresh, steps, study.optimisation, "restart"), steps)


def whole(place: Place) -> nn.Module:
    """Return the trained whole network of a place."""

    def make() -> nn.Module:
        study = place.study
        with seeded(derive(place.seed, "initial weights")):
            model = NETWORKS[study.network].build(study.depth, study.width)
        return study.trained(place, model, study.steps["train"], study.optimisation, "whole")

    return place.shared("whole", make)


def scores(place: Place) -> dict[str, float]:
    """Return what the whole network scores, by split; drops are counted from it."""
    evaluations = place.data["target"].scores
    return place.shared("scores", lambda: {split: score(whole(place)) for split, score in evaluations.items()})


def dropped(place: Place, model: nn.Module, what: str) -> float:
    """Return how much less than the whole network another one scores in validation.

    Raises:
        DataError: a score is no number.
    """
    found = place.data["target"].scores["validation"](model)
    for name, value in ((what, found), ("the whole network", scores(place)["validation"])):
        if not math.isfinite(value):
            raise DataError(f"{place.study.network}: {name} scores {value} in validation; expected a number; lower lr")
    return scores(place)["validation"] - found


def layers_of(place: Place) -> tuple[str, ...]:
    """Return the layers that lose filters."""
    example = place.data["target"].example
    return place.shared("layers", lambda: NETWORKS[place.study.network].layers(whole(place), example))


def borne(place: Place, tolerance: float) -> dict[str, float]:
    """Return reducing factors by layer: of each stage, the largest with which it loses no more than a tolerance."""

    def make() -> list[tuple[list[str], list[float]]]:
        model, example, stages = whole(place), place.data["target"].example, {}
        for name, layer in cycles.layers(model, example.shape[1:], shortcuts=True):
            if name in layers_of(place):
                stages.setdefault((layer.size[0] - layer.kernel[0]) // layer.stride, []).append(name)
        return [
            (
                names,
                [dropped(place, by_factors(model, example, dict.fromkeys(names, f)), f"a stage, l1 {f}") for f in GRID],
            )
            for names in stages.values()
        ]

    found = {}
    for names, lost in place.shared("stages", make):
        largest = next((factor for factor, drop in zip(GRID, lost) if drop <= tolerance), 0.0)
        found |= dict.fromkeys(names, largest) if largest else {}
    return found


def drops(place: Place) -> dict[float, float]:
    """Return D_exp by factor of UR: what UR loses in validation with the text's budget, at least ``least``, rising."""

    def make() -> dict[float, float]:
        study, found, last = place.study, {}, 0.0
        for factor in sorted(study.factors):
            model = place.run(study.condition("ur", factor, "text")).model
            found[factor] = last = max(dropped(place, model, f"ur {factor}"), last + study.least)
        return found

    return place.shared("drops", make)


def chain(place: Place, table: bool = False) -> Pruned:
    """Return CPO's searches from the lowest expected drop to the highest: what UR lost, or a table's own."""
    study, task = place.study, place.data["target"]

    def make() -> Pruned:
        return search(
            whole(place), task.example, task.scores["validation"],
            study.expected if table else list(drops(place).values()),
            layers=layers_of(place), reference=scores(place)["validation"],
            retrain=lambda model, step: study.retrained(place, model, f"step {step}"),
        )  # fmt: skip

    return place.shared(("chain", table), make)


def accepted(step: Step) -> bool:
    """Return whether CPO went on from a network."""
    return step.kind in ("prune", "step back") and step.drop <= step.expected_drop


def taken(place: Place, steps: Iterable[Step], expected: float) -> tuple[int, int]:
    """Return steps of training up to an expected drop: those of the network in the end, and all."""
    tried = [step for step in steps if step.kind != "stop" and step.expected_drop <= expected]
    return tuple(len(part) * place.study.steps["retrain"] for part in ([*filter(accepted, tried)], tried))


def spent(place: Place, factor: float) -> int:
    """Return the steps of training that each method spends where budgets are equal: CPO's, and the last epochs."""
    return taken(place, chain(place).steps, drops(place)[factor])[1] + place.study.steps["final"]


@dataclass(frozen=True, kw_only=True)
class PruningStudy(TaskStudy):
    """What chapter 5 measures with one network on one set of data.

    A seed stands for a whole network's training, the drawing of its data, and all retraining. ``steps`` are those of
    the whole network (``train``), of a round after each removal (``retrain``) and of the last epochs (``final``).

    Attributes:
        data: ``generated`` or ``sr`` for VDSR; ``digits``, ``cifar-10`` or ``cifar-10-jpeg`` for the others.
        network: one of :data:`~reidlab.pruning.tasks.NETWORKS`.
        depth: layers of the whole network.
        width: filters of its first part.
        size: side of pictures, or of crops, in pixels.
        limit: samples to train on, all where None.
        batch: samples of a batch.
        factors: reducing factors of UR.
        expected: D_exp of a table, in per cent or dB, searched besides those that UR loses; none where empty.
        restarted: the factor whose network is trained anew (Table 5.6); 0 for none.
        random_order: whether CPO also takes the layers in a random order.
        optimisation: fields of the training's configuration.
        retraining: fields that differ where a network has learnt before.

    Raises:
        ConfigError: a value is out of range or unknown.
    """

    registry = METHODS
    factors: Sequence[float] = (0.25, 0.5)
    expected: Sequence[float] = ()
    restarted: float = 0.0
    random_order: bool = False
    retraining: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        NETWORKS.check(self.network)
        check_choice(
            "data", self.data, ("generated", "sr") if self.pictures else ("digits", "cifar-10", "cifar-10-jpeg")
        )
        for name, most in (("factors", 1.0), ("expected", math.inf)):
            values = getattr(self, name)
            for value in values:
                check_number(name, value, above=0, below=most)
            if len(set(values)) < len(values):
                raise ConfigError(f"{name}: {list(values)} must be different ones")
        if not self.factors:
            raise ConfigError("factors: [] removes nothing; give at least one")
        if self.restarted:
            check_choice("restarted", self.restarted, self.factors)
        for name in ("train", "retrain", "final"):
            check_choice("steps: one", name, self.steps)
        self.config(1, {**self.optimisation, **self.retraining})

    @property
    def pictures(self) -> bool:
        """Whether the network makes pictures, which are scored in dB."""
        return self.network == "vdsr"

    @property
    def least(self) -> float:
        """By how much expected drops differ at least: 0.1 points or 0.01 dB."""
        return 0.01 if self.pictures else 0.1

    def load(self, label: str, seed: int) -> dict[str, Task]:
        """Return the task."""
        make = super_resolution if self.pictures else classification
        return {"target": make(self.data, self.size, self.limit, seed)}

    def common(self, place: Place) -> dict[str, Any]:
        """Return what the whole network is: its name, its layers, the filters of its first part, and whose size."""
        whole = "published" if NETWORKS[self.network].published == (self.depth, self.width) else "narrow"
        return {"network": self.network, "depth": self.depth, "filters": self.width, "whole": whole}

    # Training ---------------------------------------------------------------------------------------------------------

    def trained(self, place: Place, model: nn.Module, steps: int, fields: Mapping[str, Any], *key: str) -> nn.Module:
        """Train a network in place and return it; no step leaves it as it is."""
        model.to(memory_format=torch.channels_last)
        if steps:
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d):  # running statistics follow even a round of a few steps
                    module.momentum = min(1.0, max(0.1, 4 / steps))
            task: Task = place.data["target"]
            source = TensorSource(task.inputs, task.targets, self.batch)
            objective = Supervised(error=Term(task.loss, lambda output: output))
            seed = derive(place.seed, "pruning", *key) % 2**31
            train(model, source, objective, self.config(steps, fields), seed, progress=False)
        return model.cpu().eval()

    def further(self, place: Place, model: nn.Module, steps: int, *key: str) -> nn.Module:
        """Return a copy of a network that has learnt before, trained for some steps more."""
        return self.trained(place, copy.deepcopy(model), steps, {**self.optimisation, **self.retraining}, *key)

    def retrained(self, place: Place, model: nn.Module, *key: str) -> None:
        """Train a network that lost filters for one round, in place."""
        self.trained(place, model, self.steps["retrain"], {**self.optimisation, **self.retraining}, *key)

    # What is compared -------------------------------------------------------------------------------------------------

    def condition(self, method: str, factor: float, budget: str, experiment: str = "equal-drop") -> Condition:
        """Return a method at a factor of UR, under a budget."""
        dims = {"experiment": experiment, "method": method, "factor": factor, "budget": budget}
        trained = "text" if budget == "text" else "equal"  # CPO spends on equal budgets what it does extended
        return Condition(method, dims, options={"factor": factor, "budget": trained})

    def conditions(self, place: Place) -> Iterator[Condition]:
        """Yield the tables' rows, then UR, CPO and L1 at equal drops, shallow networks, orders and fresh starts."""
        yield from self.table()
        again = {"experiment": "equal-drop", "method": "original", "budget": "equal"}
        yield Condition("original", again, options={"budget": "equal"})
        for factor in sorted(self.factors):
            for budget in BUDGETS:
                if budget != "extended":
                    yield self.condition("ur", factor, budget)
                yield self.condition("cpo", factor, budget)
            yield self.condition("l1", factor, "equal")
        if NETWORKS[self.network].shallow is not None:
            yield Condition("shallow", {"experiment": "shallow", "method": "shallow"})
            yield self.condition("cpo", max(self.factors), "equal", "shallow")
        if self.random_order:
            for order, method in (("sensitivity", "cpo"), ("random", "random order")):
                options = self.condition("cpo", min(self.factors), "text").options
                yield Condition(method, {"experiment": "order", "order": order}, options=options)
        for start, epochs in (("pruned", "final"), ("random", "final"), ("random", "longer")) if self.restarted else ():
            dims = {"experiment": "restart", "start": start, "epochs": epochs}
            yield Condition("restart", dims, options={"start": start, "epochs": epochs, "factor": self.restarted})

    def table(self) -> Iterator[Condition]:
        """Yield what Tables 5.1 to 5.5 and 5.7 list: the whole network, UR, CPO at the table's D_exp, and Li et al."""
        dims = {"experiment": "table"}
        for method in ("original", *(["bicubic"] if self.pictures else ())):
            yield Condition(method, {**dims, "method": method})
        for factor in sorted(self.factors):
            yield self.condition("ur", factor, "text", "table")
        for expected in sorted(self.expected):
            for budget in ("text", "extended"):
                about = {"expected": expected, "budget": budget}
                yield Condition("cpo", {**dims, "method": "cpo", **about}, options=about)
        if NETWORKS[self.network].shallow is not None:
            yield Condition("shallow", {**dims, "method": "shallow"})
        if NETWORKS[self.network].li is not None:
            yield Condition("li", {**dims, "method": "l1", "budget": "extended"})

    def details(self, place: Place, condition: Condition, result: Result) -> Iterator[Row]:
        """Yield what one network is worth and costs, and its widths where methods are compared."""
        model = result.detail.model
        yield from place.shared(("worth", id(result)), lambda: [*self.worth(place, result.detail)])
        if condition.dims["experiment"] == "equal-drop" and "factor" in condition.dims:
            for number, (layer, width) in enumerate(widths(model, layers_of(place)).items(), 1):
                yield {"key": "width", "value": width, "unit": "count", "layer": layer, "number": number}

    def worth(self, place: Place, found: Trained) -> Iterator[Row]:
        """Yield scores, drops, steps of training, latency and what is left of parameters, operations and cycles."""
        task: Task = place.data["target"]
        for split, evaluate in task.scores.items():
            value, along = evaluate(found.model), {"split": split, "data": task.labels[split]}
            yield {**self.scored("", value), **along}
            yield {**self.scored("_drop", scores(place)[split] - value), **along}
            if not self.pictures:
                yield {"key": "error", "value": 1 - value / 100, **along}
        yield {"key": "steps_own", "value": found.own, "unit": "count"}
        yield {"key": "steps_spent", "value": found.spent, "unit": "count"}
        yield {"key": "latency_ms", "value": 1000 * latency(found.model, task.example), "unit": "ms", "timing": True}
        if isinstance(found.model, nn.Identity):
            return
        convention, shape = NETWORKS[self.network].convention, task.example.shape[1:]
        left, before = (costs(model, shape, convention) for model in (found.model, whole(place)))
        for key, count in left.items():
            yield {"key": key, "value": count, "unit": "count", "split": "validation"}
            yield {"key": f"{key}_share", "value": min(1.0, count / before[key]), "split": "validation"}
        gap = left["operations"] / before["operations"] - left["params"] / before["params"]
        yield {"key": "share_gap", "value": float(np.clip(gap, -1, 1)), "split": "validation"}

    def scored(self, suffix: str, value: float) -> Row:
        """Return key, value and unit of a score or of a drop."""
        if self.pictures:
            return {"key": f"psnr{suffix}", "value": value, "unit": "dB"}
        return {"key": f"accuracy{suffix}", "value": value / 100}

    def probes(self, place: Place) -> Iterator[Row]:
        """Yield sensitivities, the chain of expected drops, and what CPO removed step by step."""
        yield from self.sensitivities(place)
        yield from self.chained(place)
        for factor, expected in drops(place).items():
            yield {**self.scored("_expected", expected), "experiment": "equal-drop", "factor": factor}
        gone, number = 0, 0
        for step in chain(place).steps:
            number += step.kind != "stop"
            if accepted(step):
                gone += len(step.removed)
                along = {"experiment": "search", "iteration": number, "layer": step.layer}
                yield {"key": "filters_removed", "value": gone, "unit": "count", **along}
                yield {**self.scored("_drop", step.drop), **along, "split": "validation"}

    def keep(self, place: Place) -> dict[str, Any]:
        """Keep the log of CPO's searches, which says why each layer was left."""
        return {"search": chain(place).table().drop(columns="removed")}

    def sensitivities(self, place: Place) -> Iterator[Row]:
        """Yield the performance sensitivities of the first probes (Fig. 5.3), divided by their mean size."""
        steps, names, dims = chain(place).steps, layers_of(place), {"experiment": "sensitivity"}
        first = min(drops(place).values())
        found = {s.layer: s.sensitivity for s in steps if s.kind == "probe" and s.expected_drop == first}
        scale = mean(abs(value) for value in found.values()) or 1.0
        for number, name in enumerate(names, 1):
            if name in found:
                row = {"layer": name, "number": number, **dims}
                yield {"key": "sensitivity", "value": found[name] / scale, "unit": "ratio", **row}
        quarter = -(-len(found) // 4)
        values = [value / scale for value in found.values()]
        for layers, part in (("first", values[:quarter]), ("last", values[-quarter:])):
            yield {"key": "sensitivity", "value": mean(part), "unit": "ratio", "layers": layers, **dims}
        if positive := [value for value in values if value > 0]:
            yield {"key": "spread", "value": max(values) / min(positive), "unit": "ratio", **dims}
        rises = [rise for name in found if (rise := _rise(steps, name, first)) is not None]
        if rises:
            yield {"key": "sensitivity_rise", "value": mean(rises) / scale, "unit": "ratio", **dims}
        factors = [next(s.factor for s in steps if s.kind == "stop" and s.layer == name) for name in found]
        if len(set(values)) > 1 and len(set(factors)) > 1:
            yield {"key": "order_correlation", "value": float(spearmanr(values, factors).statistic), **dims}

    def chained(self, place: Place) -> Iterator[Row]:
        """Yield the operations that each further point or decibel bought, at the first and the last step."""
        task: Task = place.data["target"]
        models = [whole(place), *chain(place).models.values()]
        convention = NETWORKS[self.network].convention
        left = [costs(model, task.example.shape[1:], convention)["operations"] for model in models]
        scores = [task.scores["validation"](model) for model in models]
        bought = [
            (left[n] - left[n + 1]) / left[0] / lost
            for n in range(len(models) - 1)
            if (lost := scores[n] - scores[n + 1]) > 0
        ]
        for step, value in (("first", bought[0]), ("last", bought[-1])) if len(bought) > 1 else ():
            yield {"key": "saved_per_drop", "value": value, "unit": "ratio", "experiment": "chain", "step": step}


def _rise(steps: Sequence[Step], layer: str, expected: float) -> float | None:
    """Return by how much a layer's sensitivity rose from its first pruning to its last; None if pruned once."""
    found = [s.sensitivity for s in steps if s.kind == "prune" and s.layer == layer and s.expected_drop == expected]
    return found[-1] - found[0] if len(found) > 1 else None


def costs(model: nn.Module, shape: Sequence[int], convention: str) -> dict[str, int]:
    """Return parameters and operations as a convention counts them, and cycles on the fitted array, of one sample."""
    found = counted(model, tuple(shape), convention)[convention]
    return {**found._asdict(), "cycles": cycles.cycles(model, tuple(shape))}


def latency(model: nn.Module, example: Tensor, repeats: int = 15) -> float:
    """Return the median seconds of one sample's pass, (1, C, H, W)."""
    seconds = []
    with evaluating(model), torch.inference_mode():
        for _ in range(repeats + 2):
            began = time.perf_counter()
            model(example)
            seconds.append(time.perf_counter() - began)
    return median(seconds[2:])


def studies_here(tasks: Iterable[Mapping[str, Any]]) -> list[PruningStudy]:
    """Return the studies whose data are on this machine.

    Args:
        tasks: the fields of each.

    Raises:
        ConfigError: a field is unknown, out of range, or missing.
    """
    known = [item.name for item in fields(PruningStudy)]
    for task in tasks:
        check_names("tasks", task, known)
        if missing := {"data", "network", "depth", "width", "size", "steps"} - set(task):
            raise ConfigError(f"tasks: {min(missing)} is missing in {dict(task)}")
    found = [PruningStudy(**task) for task in tasks]
    return [study for study in found if next(study.places([0]), None)]
