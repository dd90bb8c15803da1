"""The measurements of chapter 6: networks pruned to budgets with CAIE, without it, and by others.

The five rows of a block of Table 6.1 are five conditions: ``baseline`` ranks by the loss and stops when both budgets
are met; ``f`` and ``p`` have one budget each, what the baseline came to; ``pair`` has its two budgets; ``reached`` what
it came to as two budgets. A sixth, ``aimed``, is ours: the pair's budgets, aimed at together. A pruned network has a
number of training steps from the removal on, ranking included.

What a measured latency decides no seed repeats: those rows are marked as timings, their scores included.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.isotonic import IsotonicRegression
from torch import Tensor, nn

from reidlab.checks import check_choice, check_integer, check_names, check_number
from reidlab.data import on_this_machine
from reidlab.data.decoded import DataSet
from reidlab.errors import ConfigError, MissingDataError
from reidlab.models.cost import VIEWS, cost
from reidlab.models.modes import evaluating
from reidlab.models.narrow_mobilenet import NarrowMobileNet
from reidlab.models.narrow_resnet import CifarResNet, cifar_stages
from reidlab.models.vgg import VGG, vgg_widths
from reidlab.pruning import toy
from reidlab.pruning.caie import Settings, by_caie, prune
from reidlab.pruning.candidates import Candidates, Room, candidates
from reidlab.pruning.couplings import follow
from reidlab.pruning.latency import Latency, OnnxTimer, latency_of, onnx_bytes
from reidlab.pruning.loss_impact import LossImpact
from reidlab.pruning.resources import Layers, resource
from reidlab.pruning.task_study import TaskStudy
from reidlab.pruning.tasks import Task
from reidlab.seeding import derive
from reidlab.study import Condition, Place, Registry, Result, Row, Study, score_rows
from reidlab.study.study import Measured
from reidlab.training.determinism import seeded
from reidlab.training.fit import class_labels
from reidlab.training.loop import train
from reidlab.training.objectives import Supervised, Term, reid_objective
from reidlab.training.pictures import PictureSource
from reidlab.training.recipe import Recipe, picture_extractor
from reidlab.training.tensors import TensorSource

#: What is counted of every network.
COUNTED = ("macs", "params")
#: The rows of a block of Table 6.1 that CAIE prunes, by what has a budget: a resource at what the baseline came to,
#: both there, or the baseline's own pair.
ROWS: Mapping[str, str] = {"f": "macs", "p": "params", "pair": "pair", "reached": "reached"}
#: What can be compared.
EXPERIMENTS = ("budgets", "equal-macs", "pareto", "equal-latency")
_TORCH_PRUNING = ("tp-taylor", "tp-magnitude")
_TIMED = 12  # networks on torch-pruning's way down whose latency is measured, the others' lies between
_LOOKED_AT = 512  # training pictures on which the loss is taken

#: Networks by the name that records give them, from depth and width.
NETWORKS: Registry[Callable[[int, int], nn.Module]] = Registry("network")
NETWORKS["resnet-32"] = lambda depth, width: CifarResNet(width, cifar_stages(depth, width))
NETWORKS["vgg-16"] = lambda depth, width: VGG(vgg_widths(depth, width))
NETWORKS["mobilenetv2"] = lambda depth, width: NarrowMobileNet(width, depth)

#: Methods by name.
METHODS: Registry[Callable[[Place, Condition], Result]] = Registry("methods")


class Pruned(NamedTuple):
    """A network of the chapter after its last step.

    Attributes:
        model: the network.
        removed: the network before fine-tuning.
        steps: of training from the removal on.
        path: (I + 1, 2) what is left of :data:`COUNTED` after each iteration; None where it was not followed.
        overshoot: by which share of the whole each budget was undercut.
        widths: filters, before and after, of one layer of each group that can lose some.
        measured: predicted and measured milliseconds of whole networks on the way.
        first: filters that the first iteration removed.
    """

    model: nn.Module
    removed: nn.Module
    steps: int = 0
    path: np.ndarray | None = None
    overshoot: Mapping[str, float] = {}
    widths: Mapping[str, tuple[int, int]] = {}
    measured: Sequence[tuple[float, float]] = ()
    first: int = 0


@METHODS.add("original")
def original(place: Place, condition: Condition) -> Result:
    """The whole network."""
    model = place.study.whole(place)
    return Result({}, model, Pruned(model, model))


@METHODS.add("ranked")
def ranked(place: Place, condition: Condition) -> Result:
    """Pruned to budgets by a ranking of :data:`~reidlab.pruning.caie.RANKINGS`."""
    options = condition.options
    budgets = options["budgets"]
    if isinstance(budgets, str):
        budgets = place.study.budgets_of(place, budgets)
    ranking = options["ranking"]
    found = [
        _prune(place, budgets, ranking, weight)
        for weight in (place.study.weights if ranking == "lambda-flops" else [0.0])
    ]
    if len(found) > 1:  # lambda is chosen by what is left before fine-tuning, on pictures that are not the test's
        found = [max(found, key=lambda one: place.study.validated(place, one.removed))]
    return place.study.finished(place, found[0])


@METHODS.add("torch-pruning")
def torch_pruning(place: Place, condition: Condition) -> Result:
    """Pruned by torch-pruning's global pruner until the operations, or the measured latency, are down to a limit."""
    study, options = place.study, condition.options
    steps = _torch_pruning(place, options["importance"])
    if options["until"] == "macs":
        limit = study.budgets_of(place, "macs")["macs"]
        chosen = next((one for one in steps if shares(one.model, study.whole(place), place)[0] <= limit), steps[-1])
    else:
        ours = place.run(study.at_latency("caie")).model
        some = np.unique(np.linspace(0, len(steps) - 1, _TIMED).round().astype(int))
        limit, *taken = study.milliseconds(place, [ours, *(steps[number].model for number in some)])
        smooth = IsotonicRegression(increasing=False).fit(some, taken).predict(np.arange(len(steps)))
        quick = np.flatnonzero(smooth <= limit)
        chosen = steps[quick[0] if len(quick) else -1]
    return study.finished(place, chosen)


def _torch_pruning(place: Place, importance: str) -> list[Pruned]:
    """Return the networks on torch-pruning's way down, each with the steps that its ranking took."""

    def make() -> list[Pruned]:
        try:
            import torch_pruning as tp
        except ImportError as error:
            raise MissingDataError("torch-pruning is not installed: pip install torch-pruning") from error
        study, model = place.study, copy.deepcopy(place.study.whole(place)).eval()
        kinds = {"taylor": tp.importance.GroupTaylorImportance, "magnitude": tp.importance.GroupMagnitudeImportance}
        kept = [module for module in model.modules() if isinstance(module, nn.Linear)]
        pruner = tp.pruner.BasePruner(
            model, study.example(place), kinds[importance](), global_pruning=True, pruning_ratio=0.9,
            max_pruning_ratio=0.9, iterative_steps=study.pieces, ignored_layers=kept[-1:],
            output_transform=study.logits,
        )  # fmt: skip
        found, taken = [], 0
        every = max(1, study.pieces // study.iterations)
        for number in range(study.pieces):
            if importance == "taylor" and number % every == 0:
                model.zero_grad()
                for batch in study.batches(place)(number // every):
                    study.loss(place)(model.train(), batch).backward()
                    taken += 1
                model.eval()
            pruner.step()
            found.append(Pruned(copy.deepcopy(model), model, taken))
        return [one._replace(removed=one.model) for one in found]

    return place.shared(("torch-pruning", importance), make)


def _prune(place: Place, budgets: Mapping[str, float], ranking: str, weight: float) -> Pruned:
    study, whole = place.study, place.study.whole(place)
    timed: list[Latency] = []

    def latency(layers: Layers) -> Latency:
        timed.append(latency_of(layers, study.timer, chunk=study.chunk, minimum=study.minimum))
        return timed[0]

    settings = Settings(
        ranking=ranking, weight=weight, iterations=study.iterations, minimum=study.minimum, rate=study.rate,
        chunk=study.chunk if "latency" in budgets else 1, measure_every=max(1, study.iterations // 4),
    )  # fmt: skip
    result = prune(
        whole, study.shape(place), study.batches(place), study.loss(place), budgets, settings=settings,
        latency=latency, seed=derive(place.seed, "pruning") % 2**31,
    )  # fmt: skip
    found = candidates(whole, follow(whole, study.example(place)), minimum=study.minimum)
    path = followed(Layers(whole, found, study.shape(place)), found, [entry["removed"] for entry in result.trace])
    free = {layer for layer, _ in found.names}
    widths = {layer: pair for layer, pair in result.widths.items() if layer in free}
    measured = [
        (tabled * item.measured[0][1] / item.measured[0][0], ms) for item in timed for tabled, ms in item.measured
    ]
    steps = len(result.trace) * study.minibatches
    first = sum(len(gone) for gone in result.trace[0]["removed"].values()) if result.trace else 0
    return Pruned(result.model, result.model, steps, path, result.overshoot, widths, measured, first)


def followed(layers: Layers, found: Candidates, removals: Sequence[Mapping[str, Sequence[int]]]) -> np.ndarray:
    """Return what is left of :data:`COUNTED` after each iteration of a trace, (I + 1, 2), from the whole network on.

    Args:
        layers: of the whole network.
        found: its candidates.
        removals: what went in each iteration, by layer and index in the whole network.
    """
    resources = [resource(name, layers) for name in COUNTED]
    left = [[item.total(layers.whole.counts) for item in resources]]
    for gone in removals:
        found = found.without(found.labels_of(gone))
        counts = layers.widths(found).counts
        left.append([item.total(counts) for item in resources])
    return np.array(left) / left[0]


def shares(model: nn.Module, whole: nn.Module, place: Place) -> list[float]:
    """Return what a network has left of :data:`COUNTED`."""
    left = []
    for network in (model, whole):
        found = cost(network, place.study.shape(place))
        left.append((found.macs(*VIEWS["whole"].kinds), found.params()))
    return [now / before for now, before in zip(*left)]


def deviation(path: np.ndarray) -> float:
    """Return the largest distance of a path (I, 2) from the line between its ends, over the line's length.

    Example:
        >>> deviation(np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]))
        0.5
    """
    along = path[-1] - path[0]
    offsets = path - path[0]
    return float(np.abs(along[0] * offsets[:, 1] - along[1] * offsets[:, 0]).max() / (along @ along))


def _check_steps(steps: Mapping[str, int], ranking: int) -> None:
    for name in ("train", "after"):
        if name not in steps:
            raise ConfigError(f"steps: {name} is missing; expected train and after")
    if steps["after"] <= ranking:
        raise ConfigError(f"steps: after is {steps['after']}, and ranking alone takes {ranking}; give more")


class _Pruning(Study, ABC):
    """What the studies of this chapter share."""

    @abstractmethod
    def whole(self, place: Place) -> nn.Module:
        """Return the trained whole network of a place."""

    @abstractmethod
    def finished(self, place: Place, pruned: Pruned) -> Result:
        """Fine-tune a pruned network for the steps that are left, and return it."""

    @abstractmethod
    def shape(self, place: Place) -> tuple[int, ...]:
        """Return the shape of a picture, (C, H, W)."""

    @property
    def timer(self) -> OnnxTimer:
        """What measures latency, on one thread."""
        return OnnxTimer(seconds=0.001)

    def milliseconds(self, place: Place, models: Sequence[nn.Module]) -> list[float]:
        """Return the latency of networks for one picture, timed in turn: what else the machine does meets all."""
        shape = self.shape(place)
        return self.timer.together([onnx_bytes(model, shape) for model in models], shape)

    def latencies(self, place: Place, conditions: Sequence[Condition]) -> Iterator[Row]:
        """Yield the latency of each condition's network, and its share of the whole network's."""
        models = {id(self.whole(place)): self.whole(place)}
        models |= {id(place.run(condition).model): place.run(condition).model for condition in conditions}
        taken = dict(zip(models, self.milliseconds(place, list(models.values()))))
        for condition in conditions:
            ms, whole = taken[id(place.run(condition).model)], taken[id(self.whole(place))]
            for key, value, unit in (("latency_ms", ms, "ms"), ("latency_share", ms / whole, "ratio")):
                yield {"key": key, "value": value, "unit": unit, "timing": True, **condition.dims}

    def worlds(self, seed: int) -> dict[str, Any]:
        """Return none: no people are rendered."""
        return {}

    def at_latency(self, method: str) -> Condition:
        """Return a method at the latency's budget."""
        return self.condition("equal-latency", method, "latency")

    def condition(self, experiment: str, method: str, budgets: str | Mapping[str, float], **dims: Any) -> Condition:
        """Return a method with budgets, as a condition of an experiment."""
        dims = {"experiment": experiment, "method": method, **dims}
        if method in _TORCH_PRUNING:
            until = "macs" if budgets == "macs" else "latency"
            return Condition("torch-pruning", dims, options={"importance": method.split("-")[1], "until": until})
        return Condition("ranked", dims, options={"ranking": method, "budgets": budgets})


@dataclass(frozen=True, kw_only=True)
class GlobalPruningStudy(TaskStudy, _Pruning):
    """What chapter 6 measures with one network on one set of labelled pictures.

    A seed stands for a whole network's training, the drawing of its data, and all that comes after.

    Attributes:
        data: ``digits``, or ``cifar-10``, ``cifar-10-jpeg``.
        network: one of :data:`NETWORKS`.
        depth: layers of the network; of mobilenetv2 the blocks of a group at most.
        width: filters of its first part.
        size: side of pictures, in pixels.
        limit: pictures to train on, all where None.
        batch: pictures of a batch.
        pair: shares of operations and parameters that may stay in the rows baseline and pair.
        sweep: shares of the operations, each a network of the Pareto sweep.
        latency: share that may stay of the latency that can be removed at all.
        experiments: some of :data:`EXPERIMENTS`.
        others: comparators of equal-macs and equal-latency: ``lambda-flops``, ``tp-taylor`` and ``tp-magnitude``.
        weights: values of lambda, of which the best on the validation pictures counts.
        iterations: of a pruning.
        minibatches: of an iteration.
        pieces: steps in which torch-pruning removes nine tenths of the filters.
        minimum: share of a layer's filters that stays.
        chunk: filters that go together where latency has a budget.
        rate: learning rate while filters are removed.
        optimisation: fields of the training's configuration.
        finetuning: fields of the fine-tuning's.

    Raises:
        ConfigError: a value is out of range or unknown.
    """

    registry = METHODS
    pair: Mapping[str, float] = field(default_factory=lambda: {"macs": 0.4, "params": 0.3})
    sweep: Sequence[float] = ()
    latency: float = 0.5
    experiments: Sequence[str] = ("budgets", "equal-macs")
    others: Sequence[str] = ("lambda-flops", *_TORCH_PRUNING)
    weights: Sequence[float] = (1e-3,)
    iterations: int = 10
    minibatches: int = 4
    pieces: int = 60
    minimum: float = 0.1
    chunk: int = 8
    rate: float = 1e-3
    finetuning: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        NETWORKS.check(self.network)
        check_choice("data", self.data, ("digits", "cifar-10", "cifar-10-jpeg"))
        for name in ("iterations", "minibatches", "pieces", "chunk"):
            check_integer(name, getattr(self, name), 1)
        for name in COUNTED:
            check_number(f"pair: {name}", self.pair.get(name), above=0, most=1)
        for share in (*self.sweep, self.latency):
            check_number("sweep and latency", share, above=0, most=1)
        for name in self.experiments:
            check_choice("experiments", name, EXPERIMENTS)
        for name in self.others:
            check_choice("others", name, ("lambda-flops", *_TORCH_PRUNING))
        _check_steps(self.steps, self.iterations * self.minibatches)
        if not self.weights:
            raise ConfigError("weights: there is none; give lambda at least one value")
        self.config(1, self.finetuning)

    def common(self, place: Place) -> dict[str, Any]:
        """Return the network's name."""
        return {"network": self.network}

    def example(self, place: Place) -> Tensor:
        """Return what a network takes, (1, C, H, W)."""
        return place.data["target"].example

    def shape(self, place: Place) -> tuple[int, ...]:
        """Return the shape of a picture."""
        return tuple(self.example(place).shape[1:])

    # Training ---------------------------------------------------------------------------------------------------------

    def trained(self, place: Place, model: nn.Module, steps: int, fields: Mapping[str, Any], key: str) -> nn.Module:
        """Train a network in place and return it; no step leaves it as it is."""
        if steps:
            task: Task = place.data["target"]
            source = TensorSource(task.inputs, task.targets, self.batch)
            objective = Supervised(error=Term(task.loss, self.logits))
            train(
                model, source, objective, self.config(steps, fields), derive(place.seed, "global", key) % 2**31,
                progress=False,
            )  # fmt: skip
        return model.eval()

    @staticmethod
    def logits(output: Tensor) -> Tensor:
        """Return a network's output, its logits (B, classes)."""
        return output

    def whole(self, place: Place) -> nn.Module:
        """Return the trained whole network of a place."""

        def make() -> nn.Module:
            with seeded(derive(place.seed, "initial weights")):
                model = NETWORKS[self.network](self.depth, self.width)
            return self.trained(place, model, self.steps["train"], self.optimisation, "whole")

        return place.shared("whole", make)

    def batches(self, place: Place) -> Callable[[int], list[tuple[Tensor, Tensor]]]:
        """Return a function from an iteration's number to its minibatches of pictures (B, C, H, W) and classes (B,)."""
        task: Task = place.data["target"]

        def drawn(iteration: int) -> list[tuple[Tensor, Tensor]]:
            generator = torch.Generator().manual_seed(derive(place.seed, "ranked", iteration) % 2**63)
            rows = torch.randint(len(task.inputs), (self.minibatches, self.batch), generator=generator)
            return [(task.inputs[some], task.targets[some]) for some in rows]

        return drawn

    def loss(self, place: Place) -> Callable[[nn.Module, Any], Tensor]:
        """Return the loss, a scalar, of a network on a minibatch."""
        return lambda model, batch: place.data["target"].loss(model(batch[0]), batch[1])

    def finished(self, place: Place, pruned: Pruned) -> Result:
        """Fine-tune a pruned network for the steps that are left, and return it."""
        left = max(0, self.steps["after"] - pruned.steps)
        fields = {**self.optimisation, **self.finetuning}
        model = self.trained(place, copy.deepcopy(pruned.removed), left, fields, "fine-tuning")
        return Result({}, model, pruned._replace(model=model, steps=pruned.steps + left))

    def validated(self, place: Place, model: nn.Module) -> float:
        """Return a network's accuracy on the validation pictures, in per cent."""
        return place.data["target"].scores["validation"](model)

    # What is compared -------------------------------------------------------------------------------------------------

    def conditions(self, place: Place) -> Iterator[Condition]:
        """Yield the whole network, the five rows, others at equal operations, the sweep, and equal latency."""
        yield Condition("original", {"experiment": "budgets", "method": "original"})
        if "budgets" in self.experiments:
            yield self.condition("budgets", "loss", "pair", row="baseline")
            for row, budgets in ROWS.items():
                yield self.condition("budgets", "caie", budgets, row=row)
            yield self.condition("budgets", "caie-aimed", "pair", row="aimed")
        if "equal-macs" in self.experiments:
            yield self.condition("equal-macs", "loss", "pair")
            for method in ("caie", *self.others):
                yield self.condition("equal-macs", method, "macs")
        if "pareto" in self.experiments:
            for share in self.sweep:
                for method in ("loss", "caie"):
                    yield self.condition("pareto", method, {"macs": share}, share=share)
        if "equal-latency" in self.experiments:
            for method in ("loss", "caie", *self.others):
                if method != "lambda-flops":
                    yield self.at_latency(method)

    def budgets_of(self, place: Place, name: str) -> dict[str, float]:
        """Return the budgets that a row of Table 6.1 has, or a latency between what minimum widths leave and all."""
        if name == "pair":
            return dict(self.pair)
        if name == "latency":
            found, layers, _ = self._filters(place)
            item = latency_of(layers, self.timer, chunk=self.chunk, minimum=self.minimum)
            room = Room(found)
            narrowest = layers.whole.without(filter(room.take, range(len(found))))
            least = item.total(narrowest) / item.total(layers.whole.counts)
            return {"latency": least + self.latency * (1 - least)}
        baseline = place.run(self.condition("budgets", "loss", "pair")).detail
        reached = dict(zip(COUNTED, shares(baseline.removed, self.whole(place), place)))
        return reached if name == "reached" else {name: reached[name]}

    def details(self, place: Place, condition: Condition, result: Result) -> Iterator[Row]:
        """Yield scores, drops, what is left, latency and how the budgets were met."""
        found: Pruned = result.detail
        timing = {"timing": True} if condition.dims["experiment"] == "equal-latency" else {}
        task: Task = place.data["target"]
        for split, evaluate in task.scores.items():
            whole = self.whole(place)
            value, before = evaluate(found.model), place.shared(("score", split), lambda: evaluate(whole))  # noqa: B023
            yield {"key": "accuracy", "value": value / 100, "split": split, **timing}
            yield {"key": "accuracy_drop", "value": (before - value) / 100, "split": split, **timing}
        left = shares(found.model, self.whole(place), place)
        for name, share in zip(COUNTED, left):
            yield {"key": f"{name}_share", "value": min(share, 1.0), **timing}
        yield {"key": "loss_after", "value": self._loss_of(place, found.removed), "unit": "nats", **timing}
        yield {"key": "steps", "value": found.steps, "unit": "count", **timing}
        for name, share in found.overshoot.items():
            yield {"key": "overshoot", "value": share, "resource": name, **timing}
        if len(found.overshoot) > 1:
            yield {"key": "overshoot", "value": max(found.overshoot.values()), "resource": "either", **timing}
        if found.path is not None and len(found.path) > 1:
            yield {"key": "path_deviation", "value": deviation(found.path), "unit": "ratio", **timing}
        if condition.dims["experiment"] == "budgets":
            for number, (layer, (before, after)) in enumerate(found.widths.items(), 1):
                yield {"key": "width_share", "value": after / before, "layer": layer, "number": number}
        for number, (predicted, ms) in enumerate(found.measured):
            for kind, value in (("predicted", predicted), ("measured", ms)):
                yield {"key": f"{kind}_ms", "value": value, "unit": "ms", "iteration": number, "timing": True}

    def _loss_of(self, place: Place, model: nn.Module) -> float:
        task: Task = place.data["target"]
        with evaluating(model), torch.no_grad():
            return float(task.loss(model(task.inputs[:_LOOKED_AT]), task.targets[:_LOOKED_AT]))

    def probes(self, place: Place) -> Iterator[Row]:
        """Yield latencies, what one ranking of the whole network would cost, and how resource impacts add up."""
        yield from self.latencies(place, list(self.conditions(place)))
        loss, saved = self.impacts(place)
        for number, name in enumerate(COUNTED):
            objective = np.array([1 - self.pair[name]])
            for method in ("loss", "caie"):
                rank = loss if method == "loss" else by_caie(loss, saved[[number]], objective, 0.0)
                order = np.argsort(rank, kind="stable")
                enough = np.searchsorted(saved[number, order].cumsum(), objective[0])
                total = loss[order][: enough + 1].sum() / loss.sum()
                dims = {"experiment": "one-shot", "method": method, "resource": name}
                yield {"key": "impact_total", "value": float(total), **dims}
        yield from self.sums(place)

    def impacts(self, place: Place) -> tuple[np.ndarray, np.ndarray]:
        """Return loss impacts (K,) of the whole network's filters and their shares of :data:`COUNTED`, (2, K)."""

        def make() -> tuple[np.ndarray, np.ndarray]:
            model = copy.deepcopy(self.whole(place)).train()
            found, layers, resources = self._filters(place)
            impact = LossImpact()
            impact.begin(model, found)
            for batch in self.batches(place)(0):
                model.zero_grad()
                self.loss(place)(model, batch).backward()
                impact.update()
            widths = layers.widths(found)
            return impact.value.numpy(), np.stack([item.impact(widths, 0.0).shares for item in resources])

        return place.shared("impacts", make)

    def _filters(self, place: Place) -> tuple[Any, Layers, list[Any]]:
        whole = self.whole(place)
        found = candidates(whole, follow(whole, self.example(place)), minimum=self.minimum)
        layers = Layers(whole, found, self.shape(place))
        return found, layers, [resource(name, layers) for name in COUNTED]

    def sums(self, place: Place) -> Iterator[Row]:
        """Yield by how much the impacts of random filters miss that of all of them together (Sec. 6.3.2)."""
        found, layers, resources = self._filters(place)
        widths, rng = layers.widths(found), np.random.default_rng(derive(place.seed, "sums") % 2**63)
        first = place.run(self.condition("budgets", "loss", "pair")).detail.first
        for removed, count in (("step", max(1, first)), ("quarter", len(found) // 4)):
            errors = []
            for _ in range(10):
                some = rng.choice(len(found), count, replace=False)
                fewer = widths.without(some.tolist())
                for item in resources:
                    total = item.total(widths.counts)
                    saved = 1 - item.total(fewer) / total
                    errors.append(abs(item.impact(widths, 0.0).shares[some].sum() / saved - 1))
            for name, value in zip(COUNTED, np.reshape(errors, (-1, len(COUNTED))).mean(axis=0)):
                dims = {"removed": removed, "resource": name}
                yield {"key": "impact_sum_error", "value": float(value), "unit": "ratio", **dims}

    def keep(self, place: Place) -> dict[str, Any]:
        """Return paths on the plane of both resources, and the impacts of the whole network's filters."""
        loss, saved = self.impacts(place)
        kept: dict[str, Any] = {"loss_impacts": loss, "resource_impacts": saved}
        for condition in self.conditions(place):
            found: Pruned = place.run(condition).detail
            if condition.dims["experiment"] == "budgets" and found.path is not None:
                kept[f"path_{condition.dims['row']}"] = found.path
        return kept


@dataclass(frozen=True, kw_only=True)
class ToyStudy(Study):
    """What Secs. 6.3.1 to 6.3.3 say of problems that can be enumerated; the same for every seed."""

    registry = METHODS
    recipe: Recipe = field(default_factory=Recipe)
    steps: Mapping[str, int] = field(default_factory=dict)
    problems: int = 200
    filters: int = 12

    def worlds(self, seed: int) -> dict[str, Any]:
        """Return none."""
        return {}

    def sources(self, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yield none."""
        return iter(())

    def places(self, seeds: Sequence[int]) -> Iterator[tuple[str, int]]:
        """Yield one place."""
        yield "toy", 0

    def place(self, label: str, seed: int) -> Place:
        """Return a place without data."""
        return Place(self, label, seed, {})

    def measure_at(self, place: Place) -> Measured:
        """Measure."""
        return Measured(list(toy.records(self.problems, self.filters)), {})


@dataclass(frozen=True, kw_only=True)
class ReidPruningStudy(_Pruning):
    """A network fine-tuned on a real set of people, pruned to a share of its measured latency.

    Attributes:
        latency: share of the measured latency that may stay.
        methods: ``loss`` and ``caie``, and torch-pruning's.
        iterations: of a pruning.
        minibatches: of an iteration.
        pieces: steps in which torch-pruning removes nine tenths of the filters.
        minimum: share of a layer's filters that stays.
        chunk: filters that go together.
        rate: learning rate while filters are removed.

    Raises:
        ConfigError: a value is out of range or unknown.
    """

    registry = METHODS
    latency: float = 0.5
    methods: Sequence[str] = ("loss", "caie", "tp-magnitude")
    iterations: int = 10
    minibatches: int = 2
    pieces: int = 40
    minimum: float = 0.1
    chunk: int = 8
    rate: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("latency", self.latency, above=0, most=1)
        for name in self.methods:
            check_choice("methods", name, ("loss", "caie", *_TORCH_PRUNING))
        for name in ("iterations", "minibatches", "pieces", "chunk"):
            check_integer(name, getattr(self, name), 1)
        _check_steps(self.steps, self.iterations * self.minibatches)

    def places(self, seeds: Sequence[int]) -> Iterator[tuple[str, int]]:
        """Yield the real sets on this machine with each seed."""
        return ((label, seed) for label in on_this_machine(self.real) for seed in seeds)

    def common(self, place: Place) -> dict[str, Any]:
        """Return the network's name."""
        return {"network": "mobilenetv2"}

    def example(self, place: Place) -> Tensor:
        """Return what a network takes, (1, 3, H, W)."""
        return torch.zeros(1, *self.shape(place))

    def shape(self, place: Place) -> tuple[int, ...]:
        """Return the shape of a picture."""
        return 3, *self.recipe.size

    @staticmethod
    def logits(output: Any) -> Tensor:
        """Return the logits (B, classes) of a network's output."""
        return output.logits

    def whole(self, place: Place) -> nn.Module:
        """Return the fine-tuned network of a place."""
        return place.shared(
            "whole", lambda: self.recipe.learn(place.target.train, self.steps["train"], place.seed).eval()
        )

    def batches(self, place: Place) -> Callable[[int], list[Any]]:
        """Return a function from an iteration's number to its minibatches of identities."""
        pictures = place.target.train
        config = self.recipe.config(1, pictures.identities)
        labels = class_labels(self.whole(place), pictures.pids)
        source = PictureSource(pictures.images, labels, config.p, config.k, self.recipe.transform(config))

        def drawn(iteration: int) -> list[Any]:
            source.start(derive(place.seed, "ranked", iteration), 0)
            return [source.batch(torch.device("cpu")) for _ in range(self.minibatches)]

        return drawn

    def loss(self, place: Place) -> Callable[[nn.Module, Any], Tensor]:
        """Return the loss, a scalar, of a network on a minibatch: that of the training."""
        objective = reid_objective(self.recipe.config(1, place.target.train.identities))
        return lambda model, batch: objective(model, batch)["loss"]

    def finished(self, place: Place, pruned: Pruned) -> Result:
        """Fine-tune a pruned network for the steps that are left, and score it."""
        left = max(1, self.steps["after"] - pruned.steps)
        model = copy.deepcopy(pruned.removed)
        self.recipe.fit(model, place.target.train, left, derive(place.seed, "fine-tuning") % 2**31)
        return Result(self._scores(place, model), model, pruned._replace(model=model.eval(), steps=pruned.steps + left))

    def _scores(self, place: Place, model: nn.Module) -> dict[str, float]:
        data: DataSet = place.target
        return data.score(picture_extractor(model)).summary()

    def budgets_of(self, place: Place, name: str) -> dict[str, float]:
        """Return the latency's budget."""
        return {"latency": self.latency}

    def conditions(self, place: Place) -> Iterator[Condition]:
        """Yield each method at the latency's budget."""
        for method in self.methods:
            budgets = self.at_latency(method)
            yield Condition(budgets.method, {"experiment": "reid", "method": method}, options=budgets.options)

    def measure_at(self, place: Place) -> Measured:
        """Measure; scores of networks that a latency decided are timings."""
        whole, conditions = self.whole(place), list(self.conditions(place))
        rows = list(score_rows(self._scores(place, whole), place.target.protocol, method="original"))
        longer = self.finished(place, Pruned(whole, whole))  # as many steps as pruned networks have
        rows += score_rows(longer.scores, place.target.protocol, method="original-longer")
        for condition in conditions:
            result, dims = place.run(condition), {"method": condition.dims["method"], "timing": True}
            found: Pruned = result.detail
            rows += [{**row, **dims} for row in score_rows(result.scores, place.target.protocol)]
            for name, share in zip(COUNTED, shares(found.model, whole, place)):
                rows.append({"key": f"{name}_share", "value": min(share, 1.0), **dims})
            for number, (predicted, ms) in enumerate(found.measured):
                for kind, value in (("predicted", predicted), ("measured", ms)):
                    rows.append({"key": f"{kind}_ms", "value": value, "unit": "ms", "iteration": number, **dims})
        again = Condition("original", {"experiment": "reid", "method": "original"})
        rows += self.latencies(place, [again, *conditions])
        common = {"data": place.label, "seed": place.seed, "experiment": "reid", **self.common(place)}
        return Measured([{**common, **row} for row in rows], {})


def studies_here(tasks: Sequence[Mapping[str, Any]]) -> list[GlobalPruningStudy]:
    """Return the studies whose data are on this machine.

    Args:
        tasks: the fields of each.

    Raises:
        ConfigError: a field is unknown, out of range, or missing.
        MissingDataError: the data of none are there.
    """
    known = [item.name for item in fields(GlobalPruningStudy)]
    for task in tasks:
        check_names("tasks", task, known)
        if missing := {"data", "network", "depth", "width", "size", "steps"} - set(task):
            raise ConfigError(f"tasks: {min(missing)} is missing in {dict(task)}")
    studies = [GlobalPruningStudy(**task) for task in tasks]
    found = [study for study in studies if next(study.places([0]), None)]
    if not found:
        wanted = ", ".join(dict.fromkeys(study.data for study in studies)) or "nothing"
        raise MissingDataError(f"tasks: {wanted} is asked for and not on this machine; see `reidlab info`")
    return found
