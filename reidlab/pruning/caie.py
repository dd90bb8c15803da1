"""Global pruning under several budgets: constraint-aware importance estimation, CAIE (Secs. 6.3.2 to 6.3.4).

In every iteration some minibatches give each filter's loss impact, while training goes on; the resources give its
impacts and the objective vector R, both relative to the network as it is. The filters of the lowest importance go, and
the iterations end when every budget is met (Algorithm 3). The last one removes no more than is needed.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from reidlab.checks import check_choice, check_integer, check_number
from reidlab.errors import ConfigError, DataError, RunError
from reidlab.files import read_json, write_json
from reidlab.models.weights import read_weights, save_weights
from reidlab.pruning.candidates import GATES, Candidates, Room, candidates
from reidlab.pruning.couplings import check_layers, follow
from reidlab.pruning.latency import Latency
from reidlab.pruning.loss_impact import AVERAGES, SCORES, LossImpact
from reidlab.pruning.removal import check_removal, removed
from reidlab.pruning.resources import Additive, Counts, Layers, Resource, Widths, check_resource, resource
from reidlab.seeding import derive
from reidlab.training.determinism import seeded

_log = logging.getLogger(__name__)
_TRACE = "trace.json"
_SLACK = 1e-9
_TURNS, _NEAR = 40, 2e-3  # how often weights turn, and what of a resource may go beyond a budget

_CLOSE = 1.1  # to a latency's limit: from there on the network is timed in every iteration

#: What a minibatch is to the loss; the loop does not look into it.
Batches = Callable[[int], Iterable[Any]]


def by_loss(loss: np.ndarray, shares: np.ndarray, objective: np.ndarray, weight: float) -> np.ndarray:
    """Rank by the loss impact alone, without CAIE (Eq. 6.4): (K,), (N, K), (N,) -> (K,)."""
    return loss


def by_caie(loss: np.ndarray, shares: np.ndarray, objective: np.ndarray, weight: float) -> np.ndarray:
    """Rank by loss impact over effective resource impact (Eqs. 6.10, 6.17, 6.18).

    Args:
        loss: (K,) loss impacts.
        shares: (N, K) resource impacts r.
        objective: (N,) R; 0 where a budget is met.
        weight: not used.

    Returns:
        (K,) importance; infinite where a filter saves nothing that is needed.

    Example:
        >>> by_caie(np.array([2.0, 3.0]), np.array([[0.1, 0.3]]), np.array([0.5]), 0.0).round(6).tolist()
        [20.0, 10.0]
    """
    effective = objective @ shares / np.linalg.norm(objective)  # Eq. 6.17
    return np.where(effective > 0, loss / np.where(effective > 0, effective, 1), np.inf)


def by_aim(
    loss: np.ndarray,
    shares: np.ndarray,
    objective: np.ndarray,
    weight: float,
    reach: Callable[[np.ndarray], tuple[bool, np.ndarray]] | None = None,
) -> np.ndarray:
    """Rank as CAIE does, with weights of the resources under which the budgets are met together.

    Where R counts the savings (Eq. 6.17), those of a met budget do not count, and filters that save much of it go on
    going: the network ends far below that budget. Here the weights w of ``loss / (w r)`` begin as R, with 1 as the
    largest, and change until the filters in their order, up to the one that meets the last budget, save no more of any
    resource than is needed. That is a search of the multipliers of Eq. 6.15 with equalities: a resource of which too
    much would go gets less weight than the others, below 0 if need be, and where ``w r`` is then negative a filter
    stays.

    Args:
        loss: (K,) loss impacts.
        shares: (N, K) resource impacts r.
        objective: (N,) R; 0 where a budget is met.
        weight: not used.
        reach: from an order of filters to whether they meet all budgets, and what of each resource (N,) they then save
            beyond need; sums of r where None, though filters that share a layer save less together.

    Returns:
        (K,) importance; infinite where a filter takes more than it is worth. With one budget it is :func:`by_caie`'s.

    Example:
        >>> by_aim(np.ones(3), np.array([[0.2, 0.2, 0.1], [0.3, 0.0, 0.0]]), np.array([0.3, 0.0]), 0.0).argsort()
        array([1, 2, 0])
    """

    def by_sums(order: np.ndarray) -> tuple[bool, np.ndarray]:
        saved = np.cumsum(shares[:, order], axis=1)
        enough = (saved >= objective[:, None] - _SLACK).all(axis=0)
        return bool(enough.any()), saved[:, int(enough.argmax()) if enough.any() else -1] - objective

    weights, step, before = objective / objective.max(), 0.5, np.zeros(len(objective))
    crossed, shrink = False, 0.5 if len(objective) == 2 else 0.7
    good, best, least = weights, by_caie(loss, shares, objective, weight), (True, np.inf)
    for _ in range(_TURNS if len(objective) > 1 else 0):
        effective = weights @ shares
        importance = np.where(effective > 0, loss / np.where(effective > 0, effective, 1), np.inf)
        order = np.argsort(importance, kind="stable")[: int(np.isfinite(importance).sum())]
        meets, excess = (reach or by_sums)(order) if len(order) else (False, -objective)
        if (found := (not meets, float(np.abs(excess).max()))) < least:
            best, least = importance, found
        if meets and excess.max() <= _NEAR:
            break
        good = weights if meets else good
        turn = excess - excess[weights.argmax()] if meets else weights - good  # back where too many are left out
        turn = turn / (np.linalg.norm(turn) or 1)
        crossed = crossed or bool(turn @ before < 0)  # the weights are bracketed
        step *= shrink if crossed else 2 if before.any() else 1
        weights, before = weights - step * turn, turn
        weights = weights / weights.max()
    return best


def by_lambda(loss: np.ndarray, shares: np.ndarray, objective: np.ndarray, weight: float) -> np.ndarray:
    """Rank by Molchanov's regularised score, loss - lambda * resource (Sec. 6.2.2): (K,), (N, K), (N,) -> (K,).

    The loss impact is divided by its norm over all filters, and the resource is the first budget's, over its largest;
    the units of the original's term are not given.
    """
    norm, most = np.linalg.norm(loss), shares[0].max(initial=0)
    return loss / (norm or 1) - weight * shares[0] / (most or 1)


#: How filters are ranked.
RANKINGS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]] = {
    "caie": by_caie,
    "caie-aimed": by_aim,
    "loss": by_loss,
    "lambda-flops": by_lambda,
}
#: ``exact``: the last iteration stops at the filter that meets every budget, and puts back what was not needed for it;
#: ``released``: it removes as many as any other.
STOPS = ("exact", "released")


@dataclass(frozen=True)
class Settings:
    """How a network is pruned.

    Attributes:
        ranking: one of :data:`RANKINGS`.
        score: one of :data:`~reidlab.pruning.loss_impact.SCORES`.
        average: one of :data:`~reidlab.pruning.loss_impact.AVERAGES`.
        gate: one of :data:`~reidlab.pruning.candidates.GATES`.
        step: filters that go in an iteration, a residual stage's counted once; those of no loss impact go as well.
        iterations: None for as many as it takes; else the steps are so large that this number is enough.
        minimum: share of a layer's filters that stays, at least one filter.
        chunk: filters of a group that go together, so that widths stay multiples of it; latency needs 8 or 16.
        stop: one of :data:`STOPS`.
        weight: lambda of ``lambda-flops``.
        rate: learning rate of the SGD that goes on meanwhile; 0 trains nothing.
        momentum: of SGD, begun anew in every iteration.
        decay: weight decay of SGD.
        measure_every: iterations between two measurements of the whole network's latency; near the limit it is 1.

    Raises:
        ConfigError: a value is not allowed.
    """

    ranking: str = "caie"
    score: str = "signed"
    average: str = "reset"
    gate: str = "norm"
    step: int = 25
    iterations: int | None = None
    minimum: float = 0.1
    chunk: int = 1
    stop: str = "exact"
    weight: float = 1e-3
    rate: float = 1e-3
    momentum: float = 0.9
    decay: float = 1e-4
    measure_every: int = 10

    def __post_init__(self) -> None:
        check_choice("ranking", self.ranking, RANKINGS)
        check_choice("score", self.score, SCORES)
        check_choice("average", self.average, AVERAGES)
        check_choice("gate", self.gate, GATES)
        check_choice("stop", self.stop, STOPS)
        for name in ("step", "chunk", "measure_every"):
            check_integer(name, getattr(self, name), 1)
        if self.iterations is not None:
            check_integer("iterations", self.iterations, 1)
        check_number("minimum", self.minimum, 0, below=1, what="the share of a layer's filters that must stay")
        for name in ("weight", "rate", "momentum", "decay"):
            check_number(name, getattr(self, name), 0)


@dataclass
class Result:
    """A pruned network.

    Attributes:
        model: the network.
        trace: one entry per iteration: ``iteration``; ``loss``, the mean over its minibatches; ``objective``, R by
            resource before the removal; ``left``, the share of each resource after it; ``removed``, filters by layer
            and index in the whole network; ``filters``, candidates left; ``measured``, milliseconds of the whole
            network where it was timed.
        widths: filters of each layer, before and after.
        limits: by resource: what the whole network used, the most that was allowed, and what is used now.
    """

    model: nn.Module
    trace: list[dict[str, Any]]
    widths: dict[str, tuple[int, int]]
    limits: dict[str, tuple[float, float, float]]

    @property
    def overshoot(self) -> dict[str, float]:
        """By how much of the whole network's use each budget was undercut."""
        return {name: (limit - now) / whole for name, (whole, limit, now) in self.limits.items()}


class Step(NamedTuple):
    """What one iteration removes.

    Attributes:
        gone: numbers of candidates, 0..K-1.
        counts: widths afterwards.
        met: whether every budget is then met.
    """

    gone: list[int]
    counts: Counts
    met: bool


def prune(
    model: nn.Module,
    input_shape: Sequence[int],
    batches: Batches,
    loss: Callable[[nn.Module, Any], Tensor],
    budgets: Mapping[str, float],
    *,
    settings: Settings | None = None,
    latency: Callable[[Layers], Latency] | None = None,
    finetune: Callable[[nn.Module], None] | None = None,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    watch: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> Result:
    """Prune a network until it meets every budget (Algorithm 3).

    Args:
        model: a trained network; it stays as it is.
        input_shape: of a sample, without the batch axis.
        batches: from the number of an iteration to its minibatches (30 as released); the same for the same number.
        loss: from network and minibatch to a scalar.
        budgets: by resource (:data:`~reidlab.pruning.resources.RESOURCES`) the share of what the network uses that may
            stay, in (0, 1].
        settings: see :class:`Settings`.
        latency: makes the resource ``latency``, see :func:`~reidlab.pruning.latency.latency_of`; needed for a budget of
            it.
        finetune: trains the pruned network in place at the end.
        seed: of what is random in the network, such as dropout.
        folder: where each iteration is saved, and resumed from; in memory only where omitted.
        watch: gets each iteration's entry of the trace.

    Returns:
        The pruned network and how it came about.

    Raises:
        ConfigError: a budget is not in (0, 1] or below what the minimum widths leave, a resource is unknown, no filter
            has a gate, or the folder holds another pruning.
        DataError: there are no minibatches, or the loss is not finite.
        RunError: the folder cannot be read back, or no filter is left that could meet a budget.
    """
    settings = settings or Settings()
    check_budgets(budgets)
    if "latency" in budgets and latency is None:
        raise ConfigError("latency: give `latency`, which measures, such as reidlab.pruning.latency.latency_of")
    run = _Run(model, input_shape, budgets, settings, latency, seed, folder)
    while not run.met():
        entry = run.iterate(batches, loss)
        watch(entry)
    if finetune is not None:
        with seeded(derive(seed, "finetune")):
            finetune(run.model)
    return run.result()


def check_budgets(budgets: Mapping[str, float]) -> None:
    """Check budgets.

    Raises:
        ConfigError: there is none, a resource is unknown, or a share is not in (0, 1].
    """
    if not budgets:
        raise ConfigError("budgets: there is none; give one, e.g. {'macs': 0.5}")
    for name, share in budgets.items():
        check_resource(name)
        check_number(f"budgets: {name}", share, above=0, most=1, what="the share of it that may stay")


def choose(
    candidates_: Candidates,
    layers: Layers,
    resources: Sequence[Resource],
    limits: Sequence[float],
    loss: np.ndarray,
    settings: Settings,
    left: int | None = None,
) -> Step:
    """Choose the filters that one iteration removes.

    Args:
        candidates_: K candidates of the network as it is.
        layers: of the whole network.
        resources: N resources with a budget.
        limits: how much of each may be used.
        loss: (K,) loss impacts.
        settings: see :class:`Settings`.
        left: iterations that are left, this one included, where their number is set.

    Raises:
        RunError: no filter may go that would bring a budget nearer.
    """
    widths, room = layers.widths(candidates_), Room(candidates_)
    impacts = [item.impact(widths, limit) for item, limit in zip(resources, limits)]
    shares = np.stack([impact.shares for impact in impacts])
    objective = np.array([impact.objective for impact in impacts])
    blocks = _blocks(candidates_, loss, settings.chunk)
    sums = np.stack([np.array([values[block].sum() for block in blocks]) for values in (loss, *shares)])
    if settings.ranking == "caie-aimed":  # it looks ahead, and some never go
        stay = _staying(candidates_, loss)
        free = sums[1:] * [not stay[block].any() for block in blocks]
        importance = by_aim(sums[0], free, objective, settings.weight, _reach(resources, limits, widths, blocks))
    else:
        importance = RANKINGS[settings.ranking](sums[0], sums[1:], objective, settings.weight)
    order = np.argsort(importance, kind="stable")[: int(np.isfinite(importance).sum())]
    useful = sums[1:].T @ objective > 0
    goal = None if left is None else np.linalg.norm(objective) / max(left, 1)
    effective = objective @ sums[1:] / np.linalg.norm(objective)

    def met(counts: Counts) -> bool:
        return all(item.total(counts) <= limit * (1 + _SLACK) for item, limit in zip(resources, limits))

    gone: list[int] = []
    counts, reached, done = widths.counts, 0.0, False
    for number in order:
        block = blocks[number]
        full = sum(len(blocks[other]) for other in gone) >= settings.step if goal is None else reached >= goal
        if full and sums[0][number] > 0:  # those of no loss impact go as well
            continue
        if not _take(room, block):
            continue
        for place in block:
            counts = widths.less(counts, place)
        gone.append(number)
        reached += effective[number]
        if settings.stop == "exact" and (done := met(counts)):
            break
    if not any(useful[number] for number in gone):
        unmet = [item.name for item, value in zip(resources, objective) if value > 0]
        raise RunError(
            f"budgets: {', '.join(unmet)} not met, and every filter that would help must stay; give a larger budget, a "
            f"smaller minimum than {settings.minimum:g}, or a smaller chunk than {settings.chunk}"
        )
    if done:  # Roll back what the others made unnecessary, the most important first.
        for number in reversed(gone[:-1]):
            others = [place for other in gone if other != number for place in blocks[other]]
            if met(fewer := widths.without(others)):
                gone.remove(number)
                counts = fewer
    return Step([place for number in gone for place in blocks[number]], counts, met(counts))


def _take(room: Room, block: list[int]) -> bool:
    """Note that the candidates of a block go; note nothing, and return False, where one must stay."""
    for number, place in enumerate(block):
        if not room.take(place):
            for earlier in block[:number]:
                room.put_back(earlier)
            return False
    return True


def _reach(
    resources: Sequence[Resource], limits: Sequence[float], widths: Widths, blocks: list[list[int]]
) -> Callable[[np.ndarray], tuple[bool, np.ndarray]]:
    """Return what :func:`by_aim` asks, counted for the widths that an order of blocks really leaves."""
    number = np.empty(widths.counts.filters, dtype=np.int64)
    for place, block in enumerate(blocks):
        number[block] = place
    owner, size = number[widths.columns], len(widths.counts.outputs)
    now = np.array([item.total(widths.counts) for item in resources])
    spare = np.maximum(np.array(limits) / now - 1, 0)

    def reach(order: np.ndarray) -> tuple[bool, np.ndarray]:
        rank = np.full(len(blocks), len(order))
        rank[order] = np.arange(len(order))
        ranks, of_filters = rank[owner], rank[number]

        def saved(count: int) -> np.ndarray:
            gone = ranks < count
            inputs, outputs = (
                whole - np.bincount(widths.rows, part * gone, size)
                for whole, part in ((widths.counts.inputs, widths.inputs), (widths.counts.outputs, widths.outputs))
            )
            counts = Counts(inputs, outputs, int((of_filters >= count).sum()))
            return (limits - np.array([item.total(counts) for item in resources])) / now

        few, enough = 0, len(order)
        excess = saved(enough)
        if (excess < -_SLACK).any():
            return False, excess - spare
        while enough - few > 1:
            middle = (few + enough) // 2
            if (found := saved(middle)).min() >= -_SLACK:
                enough, excess = middle, found
            else:
                few = middle
        return True, excess - spare

    return reach


def _staying(found: Candidates, loss: np.ndarray) -> np.ndarray:
    """Return which candidates, (K,), are those of most loss impact that a part of the network must keep."""
    stay = np.zeros(len(found), dtype=bool)
    for labels, least in found.domains:
        own = found.places(labels)
        stay[own[np.argsort(loss[own], kind="stable")[len(own) - least :]]] = True
    return stay


def _narrowest(found: Candidates, widths: Widths, chunk: int) -> Counts:
    """Return widths with every block of filters removed that may go."""
    room = Room(found)
    blocks = _blocks(found, np.zeros(len(found)), chunk)
    return widths.without(place for block in blocks if _take(room, block) for place in block)


def _blocks(found: Candidates, loss: np.ndarray, chunk: int) -> list[list[int]]:
    """Return the numbers of candidates that go together: of a part of the network those of the least loss impact."""
    if chunk == 1:
        return [[place] for place in range(len(found))]
    blocks, seen = [], set()
    for labels, _ in sorted(found.domains, key=lambda domain: len(domain[0])):
        own = [place for place in found.places(labels).tolist() if place not in seen]
        own.sort(key=lambda place: (loss[place], place))
        first = len(own) % chunk or chunk  # then the width is a multiple
        cuts = [0, *range(first, len(own) + 1, chunk)]
        blocks += [own[start:stop] for start, stop in pairwise(cuts)]
        seen.update(own)
    return blocks


class _Run:
    """A pruning on its way."""

    def __init__(
        self,
        model: nn.Module,
        input_shape: Sequence[int],
        budgets: Mapping[str, float],
        settings: Settings,
        latency: Callable[[Layers], Latency] | None,
        seed: int,
        folder: str | os.PathLike[str] | None,
    ) -> None:
        self.shape, self.budgets, self.settings, self.seed = tuple(input_shape), dict(budgets), settings, seed
        self.folder = None if folder is None else Path(folder)
        example = torch.zeros((1, *self.shape), device=next(model.parameters()).device)
        couplings = follow(model, example)
        self.whole = candidates(model, couplings, minimum=settings.minimum, gate=settings.gate)
        check_removal(model, couplings, check_layers(couplings), example)
        self.layers = Layers(model, self.whole, self.shape)
        self.model, self.candidates = model, self.whole
        self.trace: list[dict[str, Any]] = []
        self.impact = LossImpact(settings.score, settings.average)
        self.about = {"budgets": self.budgets, "settings": asdict(settings), "seed": seed, "input": list(self.shape)}
        self.about["weights"] = _fingerprint(model)
        saved = self._read()
        counted = {name: resource(name, self.layers) for name in budgets if name != "latency"}
        narrowest = _narrowest(self.whole, self.layers.whole, settings.chunk)
        for item in counted.values():  # before anything is timed
            self._check_possible(item, narrowest)
        self.resources: list[Resource] = []
        for name in budgets:
            item = counted[name] if name in counted else latency(self.layers)
            if isinstance(item, Latency) and "latency" in saved:  # measured when it was begun, not today
                item.ratio, measured = saved["latency"]["ratio"], saved["latency"]["measured"]
                item.measured = list(map(tuple, measured))
            elif isinstance(item, Latency):
                self._check_possible(item, narrowest)
            self.resources.append(item)
        self.start = saved.get("start") or [item.total(self.layers.whole.counts) for item in self.resources]
        self.limits = [share * total for share, total in zip(self.budgets.values(), self.start)]
        if saved:
            self._resume(saved)
        else:
            self._save()

    def _check_possible(self, item: Resource, narrowest: Counts) -> None:
        share, settings = self.budgets[item.name], self.settings
        least = item.total(narrowest) / item.total(self.layers.whole.counts)
        if share < least:
            chunks = f", in chunks of {settings.chunk}" if settings.chunk > 1 else ""
            raise ConfigError(
                f"budgets: {item.name} {share:g} cannot be met; {math.ceil(1000 * least) / 1000:g} of it stays at the "
                f"minimum widths, {settings.minimum:g} of each layer{chunks}: give at least that, or a smaller minimum"
                f"{' or chunk' if chunks else ''}"
            )

    def met(self) -> bool:
        counts = self.layers.widths(self.candidates).counts
        return all(item.total(counts) <= limit * (1 + _SLACK) for item, limit in zip(self.resources, self.limits))

    def iterate(self, batches: Batches, loss: Callable[[nn.Module, Any], Tensor]) -> dict[str, Any]:
        """Rank and remove once; return the trace's entry."""
        number, settings = len(self.trace), self.settings
        if number == 0:
            self.model = removed(self.model, self.candidates.couplings, {})  # a copy to train
        self.impact.begin(self.model, self.candidates)
        with seeded(derive(self.seed, "iteration", number)):
            mean = self._train(batches(number), loss, number)
        values = self.impact.value.numpy()
        left = None if settings.iterations is None else settings.iterations - number
        step = choose(self.candidates, self.layers, self.resources, self.limits, values, settings, left)
        widths = self.layers.widths(self.candidates)
        objective = [item.impact(widths, limit).objective for item, limit in zip(self.resources, self.limits)]
        gone = self.candidates.labels[step.gone]
        self.model = removed(self.model, self.candidates.couplings, self.candidates.removals(gone))
        entry: dict[str, Any] = {"iteration": number, "loss": mean, "objective": dict(zip(self.budgets, objective))}
        entry["removed"] = self.candidates.named(gone)
        stay = np.ones(len(values), dtype=bool)
        stay[step.gone] = False
        self.impact.value = self.impact.value[torch.from_numpy(stay)]
        self.candidates = self.candidates.without(gone)
        counts = self.layers.widths(self.candidates).counts
        for place, item in enumerate(self.resources):
            if isinstance(item, Latency):
                near = item.total(counts) <= _CLOSE * self.limits[place]
                if near or (number + 1) % settings.measure_every == 0:
                    entry["measured"] = item.calibrate(self.model, counts)
            if isinstance(item, Additive) and item.rest:  # work outside of layers may have become less
                self.resources[place] = self._recounted(item, counts)
        entry["left"] = {item.name: item.total(counts) / whole for item, whole in zip(self.resources, self.start)}
        entry["filters"] = len(self.candidates)
        self.trace.append(entry)
        _log.info("%s", {key: entry[key] for key in ("iteration", "loss", "left")})
        self._save()
        return entry

    def _train(self, batches: Iterable[Any], loss: Callable[[nn.Module, Any], Tensor], number: int) -> float:
        """Pass through minibatches, rank, train; return the mean loss."""
        settings, model, losses = self.settings, self.model, []
        model.train()
        parameters = [value for value in model.parameters() if value.requires_grad]
        optimizer = torch.optim.SGD(
            parameters, lr=settings.rate, momentum=settings.momentum, weight_decay=settings.decay
        )
        for batch in batches:
            optimizer.zero_grad(set_to_none=True)
            value = loss(model, batch)
            losses.append(float(value.detach()))
            if not math.isfinite(losses[-1]):
                raise DataError(
                    f"iteration {number}: the loss is {losses[-1]}; give a lower rate than {settings.rate:g}"
                )
            value.backward()
            self.impact.update()
            if settings.rate:
                optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if not losses:
            raise DataError(f"iteration {number}: there are no minibatches to rank filters with")
        return sum(losses) / len(losses)

    def _recounted(self, item: Additive, counts: Counts) -> Additive:
        meta = {id(value): _meta(value) for value in (*self.model.parameters(), *self.model.buffers())}
        layers = Layers(copy.deepcopy(self.model, meta), self.candidates, self.shape)
        fresh = resource(item.name, layers)
        return replace(item, rest=item.rest + fresh.total(layers.whole.counts) - item.total(counts))

    def result(self) -> Result:
        counts = self.layers.widths(self.candidates).counts
        before, after = self.whole.widths(), self.candidates.widths()
        used = [item.total(counts) for item in self.resources]
        return Result(
            self.model,
            self.trace,
            {name: (before[name], after[name]) for name in before},
            {name: values for name, *values in zip(self.budgets, self.start, self.limits, used)},
        )

    # --- the folder -------------------------------------------------------------------------------------------------

    def _weights(self, count: int) -> Path:
        return self.folder / f"iteration-{count}.safetensors"

    def _save(self) -> None:
        if self.folder is None:
            return
        count = len(self.trace)
        content: dict[str, Any] = {"about": self.about, "start": self.start, "trace": self.trace}
        for item in self.resources:
            if isinstance(item, Latency):
                content["latency"] = {"ratio": item.ratio, "measured": item.measured}
        content["rest"] = {item.name: item.rest for item in self.resources if isinstance(item, Additive)}
        if count:
            save_weights(_Saved(self.model, self.impact.value), self._weights(count))
        write_json(self.folder / _TRACE, content)
        for path in self.folder.glob("iteration-*.safetensors"):
            if path != self._weights(count):
                path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        if self.folder is None or not (self.folder / _TRACE).exists():
            return {}
        path = self.folder / _TRACE
        content = read_json(path)
        about = content.get("about") if isinstance(content.get("about"), dict) else {}
        if other := [name for name, value in self.about.items() if about.get(name) != value]:
            raise ConfigError(f"{path}: a pruning with other {', '.join(other)}; choose another folder")
        if not (isinstance(content.get("trace"), list) and len(content.get("start", ())) == len(self.budgets)):
            raise RunError(f"{path}: no pruning can be read from it; remove it to start afresh")
        return content

    def _resume(self, saved: dict[str, Any]) -> None:
        path = self.folder / _TRACE
        try:
            gone = np.concatenate(
                [np.empty(0, dtype=np.int64), *(self.whole.labels_of(entry["removed"]) for entry in saved["trace"])]
            )
            for place, item in enumerate(self.resources):
                if isinstance(item, Additive):
                    self.resources[place] = replace(item, rest=float(saved["rest"][item.name]))
            self.trace = saved["trace"]
            if not self.trace:
                return
            self.model = removed(self.model, self.whole.couplings, self.whole.removals(gone))
            self.candidates = self.whole.without(gone)
            tensors = read_weights(self._weights(len(self.trace)))
            self.impact.value = tensors.pop("average")
            self.model.load_state_dict({name.removeprefix("model."): value for name, value in tensors.items()})
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(f"{path}: cannot be resumed ({error}); start anew in another folder") from error


class _Saved(nn.Module):
    """A network and the averages of its candidates, as one file."""

    def __init__(self, model: nn.Module, average: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("average", average)


def _meta(value: Tensor) -> Tensor:
    empty = value.detach().to("meta")
    return nn.Parameter(empty, value.requires_grad) if isinstance(value, nn.Parameter) else empty


def _fingerprint(model: nn.Module) -> str:
    """Return a hash of all weights."""
    summary = hashlib.blake2b(digest_size=16)
    for name, value in model.state_dict().items():
        summary.update(name.encode() + value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return summary.hexdigest()
