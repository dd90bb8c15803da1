"""Pruning problems so small that every set of filters can be tried: what Secs. 6.3.1 to 6.3.3 prove and assume.

Impacts of filters add up here, as Eqs. 6.5, 6.8 and 6.16 have it, so that nothing but the choice itself is tried.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reidlab.pruning.caie import by_caie, by_loss
from reidlab.study import Row

_SLACK = 1e-9
_FILTERS = (4, 8, 12, 16)  # of the problems whose regret is followed


@dataclass(frozen=True, eq=False)
class Problem:
    """Filters, and what must be saved.

    Attributes:
        loss: (K,) loss impacts, above 0.
        shares: (N, K) resource impacts.
        objective: (N,) R, what must be saved of each resource; of none all there is.
    """

    loss: np.ndarray
    shares: np.ndarray
    objective: np.ndarray

    def met(self, saved: np.ndarray) -> np.ndarray:
        """Return whether savings (N,) or (N, S) reach every objective."""
        return (self.objective - _SLACK <= saved.T).all(axis=-1)


class Choice(NamedTuple):
    """Filters that go.

    Attributes:
        gone: their numbers, in order.
        saved: (N,) what they save of each resource.
        loss: sum of their loss impacts.
        met: whether every objective is.
    """

    gone: list[int]
    saved: np.ndarray
    loss: float
    met: bool


def drawn(rng: np.random.Generator, filters: int, resources: int = 1, objective: float = 0.4) -> Problem:
    """Return a random problem whose filters together make up each resource.

    Args:
        rng: what it is drawn from.
        filters: K; with more of them each is a smaller part of the objective.
        resources: N.
        objective: share of each resource that must be saved at least; up to 0.2 more.
    """
    shares = rng.exponential(size=(resources, filters))
    shares /= shares.sum(axis=1, keepdims=True)
    return Problem(rng.exponential(size=filters), shares, objective + 0.2 * rng.random(resources))


def greedy(problem: Problem, ranking: str = "caie", updated: bool = True, exact: bool = False) -> Choice:
    """Remove one filter after the other.

    Args:
        problem: what must be saved.
        ranking: ``caie`` (Eqs. 6.10, 6.18) or ``loss`` (Eq. 6.4).
        updated: whether R is what is still missing (Algorithm 3), until every objective is met; else it stays, until
            its length is reached along its direction (Eq. 6.19).
        exact: put back in the end what is not needed, the most important first, as :mod:`reidlab.pruning.caie` does.

    Example:
        >>> greedy(Problem(np.array([1.0, 9.0, 2.5]), np.array([[0.1, 0.9, 0.2]]), np.array([0.2]))).gone
        [0, 1]
    """
    rank = {"caie": by_caie, "loss": by_loss}[ranking]
    left, gone = list(range(len(problem.loss))), []
    saved, length = np.zeros(len(problem.objective)), np.linalg.norm(problem.objective)
    while left:
        missing = np.maximum(problem.objective - saved, 0) if updated else problem.objective
        if problem.met(saved) if updated else saved @ problem.objective >= length**2 - _SLACK:
            break
        importance = rank(problem.loss[left], problem.shares[:, left], missing, 0.0)
        gone.append(left.pop(int(np.argmin(importance))))
        saved = problem.shares[:, gone].sum(axis=1)
    for place in gone[::-1] if exact else ():
        others = [other for other in gone if other != place]
        if problem.met(fewer := problem.shares[:, others].sum(axis=1)):
            gone, saved = others, fewer
    return Choice(gone, saved, float(problem.loss[gone].sum()), bool(problem.met(saved)))


def optimum(problem: Problem) -> float:
    """Return the smallest loss impact of all 2^K sets of filters that meet every objective."""
    sets = _sets(len(problem.loss))
    return float((sets @ problem.loss)[problem.met(problem.shares @ sets.T)].min())


@functools.lru_cache(maxsize=1)
def _sets(count: int) -> np.ndarray:
    """Return all sets of filters, (2^K, K) of 0 and 1."""
    return (np.arange(2**count)[:, None] >> np.arange(count) & 1).astype(float)


def records(problems: int = 200, filters: int = 12, seed: int = 0) -> Iterator[Row]:
    """Yield how often what Secs. 6.3.1 to 6.3.3 say holds.

    Args:
        problems: random problems of each kind.
        filters: of a problem.
        seed: of all of them.
    """
    rng = np.random.default_rng(seed)
    for name in ("filters", "equal-impact", "equal-loss"):
        yield _share("toy_agrees", [_agrees(name, rng, filters) for _ in range(problems)], property=name)
    first, second = rng.normal(size=(2, problems))
    for metric, of in (("squared", np.square), ("absolute", np.abs)):
        both, apart = of(first + second), of(first) + of(second)
        yield _share("toy_additive", np.abs(both - apart) <= 0.01 * apart, metric=metric)
    singles = [drawn(rng, filters) for _ in range(problems)]
    found = [greedy(problem) for problem in singles]
    best = [optimum(Problem(p.loss, p.shares, choice.saved)) for p, choice in zip(singles, found)]
    yield _share("toy_optimal", _no_worse(found, best), problem="single", objective="reached")
    best = [optimum(problem) for problem in singles]
    yield _share("toy_optimal", _no_worse(found, best), problem="single", objective="given")
    pairs = [drawn(rng, filters, 2) for _ in range(problems)]
    best = [optimum(problem) for problem in pairs]
    for updated, name in ((False, "given"), (True, "updated")):
        found = [greedy(problem, updated=updated) for problem in pairs]
        yield _share("toy_missed", [not choice.met for choice in found], problem="pair", objective=name)
        if updated:
            yield _share("toy_optimal", _no_worse(found, best), problem="pair", objective=name)
    for count in _FILTERS:
        for resources, name in ((1, "single"), (2, "pair")):
            some = [drawn(rng, count, resources) for _ in range(problems // 2)]
            best = [optimum(problem) for problem in some]
            for method in ("loss", "caie", "caie-exact"):
                ranking, _, exact = method.partition("-")
                found = [greedy(problem, ranking, exact=bool(exact)) for problem in some]
                regrets = [choice.loss / least - 1 for choice, least in zip(found, best)]
                dims = {"problem": name, "method": method, "filters": count}
                yield {"key": "toy_regret", "value": float(np.mean(regrets)), "unit": "ratio", **dims}


def _agrees(name: str, rng: np.random.Generator, filters: int) -> bool:
    """Return whether two rankings of random filters are one."""
    loss, shares, objective = rng.exponential(size=filters), rng.random((2, filters)), rng.random(2)
    wanted = loss
    if name == "filters":
        shares, objective = np.full((1, filters), 1 / filters), objective[:1]
    elif name == "equal-impact":
        shares = np.broadcast_to(shares[:, :1], shares.shape)
    else:
        shares, objective = shares[:1], objective[:1]
        loss, wanted = np.ones(filters), -shares[0]
    return np.array_equal(np.argsort(by_caie(loss, shares, objective, 0.0), kind="stable"), np.argsort(wanted))


def _no_worse(found: Sequence[Choice], best: Sequence[float]) -> list[bool]:
    return [choice.met and choice.loss <= least * (1 + _SLACK) for choice, least in zip(found, best)]


def _share(key: str, hits: Sequence[bool], **dims: str) -> Row:
    return {"key": key, "value": float(np.mean(hits)), **dims}
