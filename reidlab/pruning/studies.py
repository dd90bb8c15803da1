"""The measurements of chapter 5: CPO against uniform removal (UR) and the L1 norm at equal drops and equal budgets.

UR removes a share of each layer's filters. What it then loses in validation is the drop that CPO and L1 may make
(Sec. 5.4.1); CPO goes from the lowest of these to the highest, each on the network that the one before left. Steps of
training are counted from the removal on, those of probes and of networks that CPO threw away included.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from reidlab.checks import check_choice, check_integer, check_number
from reidlab.data import catalogue
from reidlab.errors import ConfigError
from reidlab.models.cost import cost
from reidlab.models.modes import evaluating
from reidlab.pruning import cycles
from reidlab.pruning.baselines import by_factors, reinitialised, uniform_removal
from reidlab.pruning.cpo import Pruned, Step, search
from reidlab.pruning.removal import widths
from reidlab.pruning.tasks import NETWORKS, Task, classification, super_resolution
from reidlab.seeding import derive
from reidlab.study import Condition, Place, Registry, Result, Row, Study
from reidlab.training.config import LoopConfig
from reidlab.training.determinism import seeded
from reidlab.training.loop import train
from reidlab.training.objectives import Supervised, Term
from reidlab.training.recipe import Recipe
from reidlab.training.tensors import TensorSource

#: Budgets: the text's, the text's with CPO's last epochs, and as many steps for each method as CPO took in all.
BUDGETS = ("text", "extended", "equal")
#: Factors among which L1 finds the largest that a stage bears.
GRID = tuple(n / 8 for n in range(7, 0, -1))

#: Methods by name.
METHODS: Registry[Callable[[Place, Condition], Result]] = Registry("methods")


class Trained(NamedTuple):
    """A network of the chapter after its last step.

    Attributes:
        model: the network.
        steps: of training since the whole network, all that led here included.
    """

    model: nn.Module
    steps: int


def _result(place: Place, model: nn.Module, steps: int) -> Result:
    return Result({}, model, Trained(model, steps))


@METHODS.add("original")
def original(place: Place, condition: Condition) -> Result:
    """The whole network; with a budget, after as many further steps as pruned ones get."""
    model = whole(place)
    extra = spent(place) if condition.options.get("budget") == "equal" else 0
    return _result(place, place.study.further(place, copy.deepcopy(model), extra, "original"), extra)


@METHODS.add("shallow")
def shallow(place: Place, condition: Condition) -> Result:
    """A network of fewer layers, from scratch, for as many steps as the whole one and what pruned ones get (5.4.1)."""
    study = place.study
    with seeded(derive(place.seed, "initial weights", "shallow")):
        model = NETWORKS[study.network].shallow(study.depth, study.width)
    steps = study.steps["train"] + spent(place)
    return _result(place, study.trained(place, model, steps, study.optimisation, "shallow"), steps)


@METHODS.add("ur")
def ur(place: Place, condition: Condition) -> Result:
    """Uniform removal, then one round of retraining (text) or as many steps as CPO."""
    study, factor = place.study, condition.options["factor"]
    model = uniform_removal(whole(place), place.data["target"].example, factor, layers=layers_of(place))
    steps = spent(place) if condition.options["budget"] == "equal" else study.steps["retrain"]
    return _result(place, study.further(place, model, steps, f"ur {factor}"), steps)


@METHODS.add("l1")
def l1(place: Place, condition: Condition) -> Result:
    """Li et al.: the smallest filters first, one factor for the layers of a stage, the largest that stays in D_exp."""
    study, task = place.study, place.data["target"]
    expected, model = drops(place)[condition.options["factor"]], whole(place)
    stages: dict[tuple[int, int], list[str]] = {}
    for name, layer in cycles.layers(model, task.example.shape[1:], shortcuts=True):
        if name in layers_of(place):
            stages.setdefault(layer.size, []).append(name)
    factors: dict[str, float] = {}
    for names in stages.values():  # each by itself, not retrained, as they looked at resilience
        for factor in GRID:
            tried = by_factors(model, task.example, dict.fromkeys(names, factor))
            if reference(place) - task.scores["validation"](tried) <= expected:
                factors |= dict.fromkeys(names, factor)
                break
    pruned = by_factors(model, task.example, factors) if factors else copy.deepcopy(model)
    return _result(place, study.further(place, pruned, spent(place), f"l1 {condition.options['factor']}"), spent(place))


@METHODS.add("cpo")
def cpo(place: Place, condition: Condition) -> Result:
    """CPO; with the budget ``extended`` the text's last epochs after it, with ``equal`` what is left of all steps."""
    study, budget, factor = place.study, condition.options["budget"], condition.options["factor"]
    expected = drops(place)[factor]
    taken = searched(place, expected)
    extra = {"text": 0, "extended": study.steps["final"], "equal": spent(place) - taken}[budget]
    model = copy.deepcopy(chain(place).models[expected])
    return _result(place, study.further(place, model, extra, f"cpo {factor}"), taken + extra)


@METHODS.add("restart")
def restart(place: Place, condition: Condition) -> Result:
    """The network that CPO leaves, from its weights or anew, for as many steps or 2.6 times as many (Table 5.6)."""
    study, final = place.study, place.study.steps["final"]
    model = chain(place).models[drops(place)[condition.options["factor"]]]
    if condition.options["start"] == "pruned":
        return _result(place, study.further(place, copy.deepcopy(model), final, "restart"), final)
    steps = final if condition.options["epochs"] == "final" else round(2.6 * final)
    fresh = reinitialised(model, derive(place.seed, "restart") % 2**31)
    return _result(place, study.trained(place, fresh, steps, study.optimisation, "restart"), steps)


def whole(place: Place) -> nn.Module:
    """Return the trained whole network of a place."""

    def make() -> nn.Module:
        study = place.study
        with seeded(derive(place.seed, "initial weights")):
            model = NETWORKS[study.network].build(study.depth, study.width)
        return study.trained(place, model, study.steps["train"], study.optimisation, "whole")

    return place.shared("whole", make)


def reference(place: Place) -> float:
    """Return what the whole network scores in validation; drops are counted from it."""
    return place.shared("reference", lambda: place.data["target"].scores["validation"](whole(place)))


def layers_of(place: Place) -> tuple[str, ...]:
    """Return the layers that lose filters."""
    example = place.data["target"].example
    return place.shared("layers", lambda: NETWORKS[place.study.network].layers(whole(place), example))


def drops(place: Place) -> dict[float, float]:
    """Return D_exp by factor of UR: what UR loses in validation with the text's budget, at least ``least``, rising."""

    def make() -> dict[float, float]:
        study, found, last = place.study, {}, 0.0
        for factor in sorted(study.factors):
            model = place.run(study.condition("ur", factor, "text")).model
            drop = reference(place) - place.data["target"].scores["validation"](model)
            last = max(drop, last + study.least)
            found[factor] = last
        return found

    return place.shared("drops", make)


def chain(place: Place) -> Pruned:
    """Return CPO's searches from the lowest expected drop to the highest."""
    study, task = place.study, place.data["target"]

    def make() -> Pruned:
        return search(
            whole(place), task.example, task.scores["validation"], list(drops(place).values()),
            layers=layers_of(place), reference=reference(place),
            retrain=lambda model, step: study.further(place, model, study.steps["retrain"], f"step {step}"),
        )  # fmt: skip

    return place.shared("chain", make)


def searched(place: Place, expected: float) -> int:
    """Return the steps of training that CPO's searches took up to an expected drop."""
    tried = [step for step in chain(place).steps if step.kind != "stop" and step.expected_drop <= expected]
    return len(tried) * place.study.steps["retrain"]


def spent(place: Place) -> int:
    """Return the steps of training that each pruned network gets where budgets are equal."""
    return searched(place, max(drops(place).values())) + place.study.steps["final"]


@dataclass(frozen=True, kw_only=True)
class PruningStudy(Study):
    """What chapter 5 measures with one network on one task.

    A seed stands for a whole network's training, the drawing of its data, and all retraining.

    Attributes:
        data: ``generated`` or ``sr`` for VDSR; ``digits``, ``cifar-10`` or ``cifar-10-jpeg`` for the others.
        network: one of :data:`~reidlab.pruning.tasks.NETWORKS`.
        depth: layers of the whole network.
        width: filters of its first part.
        size: side of pictures, or of crops, in pixels.
        limit: samples to train on, all where None.
        batch: samples of a batch.
        factors: reducing factors of UR.
        least: by how much expected drops differ at least, in per cent or dB.
        restarted: the factor whose network is trained anew (Table 5.6); 0 for none.
        optimisation: fields of the training's configuration.
        retraining: fields of the retraining's.

    Raises:
        ConfigError: a value is out of range or unknown.
    """

    registry = METHODS
    recipe: Recipe = field(default_factory=Recipe)
    data: str
    network: str
    depth: int
    width: int
    size: int
    limit: int | None = None
    batch: int = 32
    factors: Sequence[float] = (0.25, 0.5)
    least: float = 0.1
    restarted: float = 0.0
    optimisation: Mapping[str, Any] = field(default_factory=dict)
    retraining: Mapping[str, Any] = field(default_factory=dict)
    array: ClassVar = cycles.FITTED

    def __post_init__(self) -> None:
        super().__post_init__()
        NETWORKS.check(self.network)
        known = ("generated", "sr") if self.pictures else ("digits", "cifar-10", "cifar-10-jpeg")
        check_choice("data", self.data, known)
        for name in ("depth", "width", "size", "batch"):
            check_integer(name, getattr(self, name), 1)
        if not self.factors or len(set(self.factors)) < len(self.factors):
            raise ConfigError(f"factors: {list(self.factors)} must be at least one, and different ones")
        for factor in self.factors:
            check_number("factors", factor, above=0, below=1)
        check_number("least", self.least, above=0)
        if self.restarted:
            check_choice("restarted", self.restarted, self.factors)
        for name in ("train", "retrain", "final"):
            if name not in self.steps:
                raise ConfigError(f"steps: {name} is missing; expected train, retrain and final")
        self.config(1, self.optimisation)
        self.config(1, self.retraining)

    @property
    def pictures(self) -> bool:
        """Whether the network makes pictures, which are scored in dB."""
        return self.network == "vdsr"

    def worlds(self, seed: int) -> dict[str, Any]:
        """Return none: no people are needed."""
        return {}

    def sources(self, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yield the data."""
        ours = self.data in ("generated", "digits")
        registered = {"sr": {"Yang91": "yang91", "Set5": "set5", "Set14": "set14"}}
        single = {"cifar-10-jpeg": {"CIFAR-10-JPEG": "cifar10-jpeg"}, "cifar-10": {"CIFAR-10": "cifar10"}}
        if ours:
            yield {"name": self.data, "hash": "of the package", "embedded": True, "describe": "always there"}
        for name, entry in (registered | single).get(self.data, {}).items():
            place = catalogue.find(entry)
            known = place.manifest.hash if place.manifest else "a set of the user's own"
            yield {"name": name, "hash": known, "embedded": False, "root": place.path}

    def places(self, seeds: Sequence[int]) -> Iterator[tuple[str, int]]:
        """Yield the data with each seed."""
        return ((self.label, seed) for seed in seeds)

    @property
    def label(self) -> str:
        """What records call the data."""
        return {"sr": "set5", "cifar-10-jpeg": "cifar10-jpeg", "cifar-10": "cifar10"}.get(self.data, self.data)

    def load(self, label: str, seed: int) -> dict[str, Task]:
        """Return the task."""
        make = super_resolution if self.pictures else classification
        return {"target": make(self.data, self.size, self.limit, seed)}

    def common(self, place: Place) -> dict[str, Any]:
        """Return the network's name."""
        return {"network": self.network}

    # Training ---------------------------------------------------------------------------------------------------------

    def config(self, steps: int, fields: Mapping[str, Any]) -> LoopConfig:
        """Return the configuration of a training: SGD, whose rate rises and falls."""
        given = {"optimizer": "sgd", "lr": 0.05, "weight_decay": 5e-4, "log_every": max(1, steps // 20), **fields}
        return LoopConfig.from_dict({"accelerator": "cpu", "iterations": steps, **given})

    def trained(self, place: Place, model: nn.Module, steps: int, fields: Mapping[str, Any], *key: str) -> nn.Module:
        """Train a network in place and return it; no step leaves it as it is."""
        if steps:
            task: Task = place.data["target"]
            source = TensorSource(task.inputs, task.targets, self.batch)
            objective = Supervised(error=Term(task.loss, lambda output: output))
            seed = derive(place.seed, "pruning", *key) % 2**31
            train(model, source, objective, self.config(steps, fields), seed, progress=False)
        return model.eval()

    def further(self, place: Place, model: nn.Module, steps: int, *key: str) -> nn.Module:
        """Train a network that has learnt before, in place."""
        return self.trained(place, model, steps, {**self.optimisation, **self.retraining}, *key)

    # What is compared -------------------------------------------------------------------------------------------------

    def condition(self, method: str, factor: float, budget: str, experiment: str = "equal-drop") -> Condition:
        """Return a method at a factor of UR, under a budget."""
        dims = {"experiment": experiment, "method": method, "factor": factor, "budget": budget}
        return Condition(method, dims, options={"factor": factor, "budget": budget})

    def conditions(self, place: Place) -> Iterator[Condition]:
        """Yield the whole network, UR, CPO and L1 by factor and budget, the shallow network and the fresh starts."""
        yield Condition("original", {"experiment": "table", "method": "original"})
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
        for start, epochs in (("pruned", "final"), ("random", "final"), ("random", "longer")) if self.restarted else ():
            dims = {"experiment": "restart", "start": start, "epochs": epochs}
            yield Condition("restart", dims, options={"start": start, "epochs": epochs, "factor": self.restarted})

    def details(self, place: Place, condition: Condition, result: Result) -> Iterator[Row]:
        """Yield scores, drops, what is left, steps of training, latency and widths of one network."""
        task: Task = place.data["target"]
        found: Trained = result.detail
        for split, evaluate in task.scores.items():
            value, before = evaluate(found.model), evaluate(whole(place))
            for key, number in (("", value), ("_drop", before - value)):
                yield {**self.scored(key, number), "split": split, "data": task.labels[split]}
        shape = task.example.shape[1:]
        left = [costs(model, shape) for model in (found.model, whole(place))]
        for key, count in left[0].items():
            yield {"key": key, "value": count, "unit": "count", "split": "validation"}
            yield {"key": f"{key}_share", "value": min(1.0, count / left[1][key]), "split": "validation"}
        gap = left[0]["operations"] / left[1]["operations"] - left[0]["params"] / left[1]["params"]
        yield {"key": "share_gap", "value": float(np.clip(gap, -1, 1)), "split": "validation"}
        yield {"key": "steps", "value": found.steps, "unit": "count"}
        yield {"key": "latency_ms", "value": 1000 * latency(found.model, task.example), "unit": "ms", "timing": True}
        if condition.dims["experiment"] == "equal-drop" and "factor" in condition.dims:
            for number, (layer, width) in enumerate(widths(found.model, layers_of(place)).items(), 1):
                yield {"key": "width", "value": width, "unit": "count", "layer": layer, "number": number}

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
            if step.kind in ("prune", "step back") and step.drop <= step.expected_drop:
                gone += len(step.removed)
                along = {"experiment": "search", "iteration": number, "layer": step.layer}
                yield {"key": "filters_removed", "value": gone, "unit": "count", **along}
                yield {**self.scored("_drop", step.drop), **along, "split": "validation"}

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
        left = [costs(model, task.example.shape[1:])["operations"] for model in models]
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


def costs(model: nn.Module, shape: Sequence[int]) -> dict[str, int]:
    """Return parameters, multiply-accumulates and cycles (on the fitted array) of a network for one sample."""
    found = cost(model, tuple(shape))
    return {"params": found.params(), "operations": found.macs(), "cycles": cycles.cycles(model, tuple(shape))}


def latency(model: nn.Module, example: Tensor, repeats: int = 15) -> float:
    """Return the median seconds of one sample's pass, (1, C, H, W)."""
    seconds = []
    with evaluating(model), torch.inference_mode():
        for _ in range(repeats + 2):
            began = time.perf_counter()
            model(example)
            seconds.append(time.perf_counter() - began)
    return median(seconds[2:])
