"""The ledger: every claim, what the records say about it, and the verdict.

A verdict is one of *reproduced*, *differs (why)*, *trend holds*, *trend reversed*, *no effect here*, *inconclusive* and
*not run (needs X)*. Two rules have no exception: an accuracy measured on embedded data never counts, and a trend judged
on fewer than five seeds is inconclusive, whatever the means say. Where a run has five seeds or more beyond the
:data:`PILOT`, a trend is judged on those alone: the pilot's seeds chose their number, and counted again they would
raise the share of false verdicts above five percent.
"""

from __future__ import annotations

import functools
import json
import math
import operator
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reidlab.checks import plural
from reidlab.errors import ClaimError
from reidlab.intervals import Interval, student_interval
from reidlab.lab import claims, codehash, store
from reidlab.lab.claims import Claim, Rule
from reidlab.lab.project import Project
from reidlab.lab.store import StoredRun

if TYPE_CHECKING:
    import pandas as pd

VERDICTS = ("reproduced", "trend holds", "differs", "trend reversed", "no effect here", "inconclusive", "not run")
MOST_SEEDS = 1000
#: Seeds that are run first; what they say of a trend decides how many more are run.
PILOT = frozenset(range(claims.MIN_SEEDS))

# The records of a run by their key, each with its columns and dimensions side by side.
_Records = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Row:
    """One line of the ledger.

    Attributes:
        claim: what is claimed.
        name: the verdict without its reason, one of :data:`VERDICTS`.
        why: what the verdict rests on, or what is missing.
        measured: the measured number in the printed unit; for a trend, the mean difference in the records' unit.
        interval: for a trend, the differences' interval.
        stale: whether the records are older than today's code.
        profile: whose records were used.
    """

    claim: Claim
    name: str
    why: str
    measured: float | None = None
    interval: Interval | None = None
    stale: bool = False
    profile: str = ""

    @property
    def verdict(self) -> str:
        """The verdict as the ledger words it, with its reason where it has one."""
        return f"{self.name} ({self.why})" if self.name in ("differs", "not run") else self.name

    def as_dict(self) -> dict[str, Any]:
        """Return the row as plain data for ``reidlab claims --json``."""
        claim, rule, interval = self.claim, self.claim.rule, self.interval
        said = ("id", "source", "item", "what", "kind", "basis", "whose", "unit", "gain", "note")
        return {
            **{name: getattr(claim, name) for name in said},
            "printed": claim.printed and (float if "." in claim.printed else int)(claim.printed),
            "tolerance": rule.tolerance if rule and claim.kind != "trend" else None,
            "because": rule.because if rule else "",
            "measured": self.measured,
            "interval": interval and {"low": interval.low, "high": interval.high, "pairs": interval.count},
            "verdict": self.verdict,
            "why": self.why,
            "chapter": rule.chapter if rule else None,
            "profile": self.profile or None,
            "stale": self.stale,
        }


class Ledger:
    """Judges claims by the records of a project.

    Args:
        project: where claims, runs and kept records are.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.book = claims.read(project)
        self._find = functools.cache(self._evidence)
        self._older = functools.cache(lambda chapter, profile: self._find(chapter, profile)[0].is_older(project))
        self._named = functools.cache(lambda chapter: codehash.texts(project.notebook(chapter)))

    def rows(self) -> list[Row]:
        """Return a row for every claim, in the order of the files.

        Raises:
            ClaimError: a claim file is malformed.
            RunError: a stored run is damaged.
        """
        if self.book.problems:
            more = len(self.book.problems) - 1
            rest = f" (and {more} more: see `reidlab claims --check`)" if more else ""
            raise ClaimError(f"{self.book.problems[0]}{rest}")
        return [self.judge(claim) for claim in self.book.claims]

    def judge(self, claim: Claim) -> Row:
        """Return the verdict on one claim."""
        rule = claim.rule
        if rule is None:
            needs = claim.needs or "a chapter that measures it"
            return Row(claim, "not run", f"needs {needs}")
        evidence = self._find(rule.chapter, rule.profile)
        if evidence is None:
            needs = claim.needs or f"`reidlab run {rule.chapter} --profile {rule.profile}`"
            return Row(claim, "not run", f"needs {needs}", profile=rule.profile)
        run, stale, table = evidence
        if claim.needs and (reason := _data_problem(claim, rule, run.info["data"])):
            return Row(claim, "not run", reason, stale=stale, profile=rule.profile)
        try:
            row = (_judge_trend if claim.kind == "trend" else _judge_number)(claim, rule, table)
        except ClaimError as error:
            # The page says nothing of folders of this machine.
            reason = str(error).removeprefix(f"{claim.file}: ")
            missing = rule.if_any and not all(_select(table, rule.key, wanted) for wanted in rule.filters())
            row = Row(claim, "not run", f"needs {rule.if_any if missing else f'records that fit its rule: {reason}'}")
        return replace(row, stale=stale, profile=rule.profile)

    def problems(self) -> list[str]:
        """Return everything wrong with the claims: malformed files, and rules that need what is not recorded."""
        found = list(self.book.problems)
        for claim in self.book.claims:
            if claim.rule is not None:
                found += self._rule_problems(claim, claim.rule)
        return found

    def holes(self) -> list[claims.Item]:
        """Return the items of the inventory that have no claim yet."""
        covered = {(claim.source, claim.item) for claim in self.book.claims}
        return [item for item in self.book.items if (item.source, item.item) not in covered]

    def _rule_problems(self, claim: Claim, rule: Rule) -> list[str]:
        where = f"{claim.file}: claim {claim.id!r}: rule"
        recorded = self._recorded(rule.chapter)
        if recorded and rule.key not in recorded | self._named(rule.chapter):
            there = ", ".join(sorted(recorded))
            return [f"{where}: chapter {rule.chapter} records no {rule.key!r}; it records {there}"]
        evidence = self._find(rule.chapter, rule.profile)
        if evidence is None or self._older(rule.chapter, rule.profile):
            return []
        run, _, table = evidence
        if claim.needs and _data_problem(claim, rule, run.info["data"]):
            return []
        return [
            f"{where}: no record of {rule.key!r} in profile {rule.profile} has {_show(wanted)}"
            for wanted in rule.filters()
            if not _select(table, rule.key, wanted) and not (rule.if_any and _known(table, wanted))
        ]

    def _recorded(self, chapter: str) -> set[str]:
        """Return the keys that a chapter's runs record; a run on other data may record more."""
        runs = (self._find(chapter, profile) for profile in claims.KINDS["exact"])
        return set().union(*(run[0].info.get("keys", ()) for run in runs if run))

    def _evidence(self, chapter: str, profile: str) -> tuple[StoredRun, bool, _Records] | None:
        """Return the run to judge by: one that matches today's code if there is, a fresh one before a kept one."""
        folder = store.run_folder(self.project, profile, chapter)
        fresh = store.open_run(folder) if (folder / store.RUN_FILE).is_file() else None
        runs = [run for run in (fresh, store.kept(chapter, profile, self.project)) if run]
        best = min(((run, run.is_stale(self.project)) for run in runs), key=operator.itemgetter(1), default=None)
        return best and (*best, _by_key(best[0].records))


def judge_numbers(chosen: Sequence[Claim], table: pd.DataFrame) -> pd.DataFrame:
    """Judge claims on numbers by records at hand, such as those of a run under way.

    Args:
        chosen: claims with a rule, none of them a trend.
        table: records, as :meth:`~reidlab.lab.run.Run.records` returns them.

    Returns:
        A row per claim: ``claim, what, printed, unit, measured`` (in that unit), ``agrees, whose, source, item, note``.

    Raises:
        ClaimError: a claim's record is missing, or there are several that differ.
    """
    import pandas as pd

    records, rows = _by_key(table), []
    for claim in chosen:
        if claim.rule is None or claim.kind == "trend":
            raise ClaimError(f"{claim.file}: claim {claim.id!r}: it has no rule for a number")
        row = _judge_number(claim, claim.rule, records)
        said = {name: getattr(claim, name) for name in ("what", "printed", "unit", "whose", "source", "item", "note")}
        agrees = row.name == "reproduced"
        rows.append({"claim": claim.id, **said, "measured": row.measured, "agrees": agrees})
    return pd.DataFrame(rows)


def judge_differences(
    differences: Sequence[float], min_seeds: int, margin: float = 0.0, gain: float | None = None
) -> tuple[str, str, Interval]:
    """Judge a trend by its paired differences (larger side minus smaller side).

    Args:
        differences: one for each seed.
        min_seeds: with fewer, the verdict is open; never less than five.
        margin: by how much the larger side must be larger; a reversed sign needs none.
        gain: the printed gain, in the unit of the differences. An interval that contains zero and lies within half
            of it on both sides says that there is no effect here.

    Returns:
        The verdict's name, the reason, the interval.
    """
    interval = student_interval(differences)
    needed = max(min_seeds, claims.MIN_SEEDS)
    if interval.count < needed:
        return "inconclusive", f"{plural(interval.count, 'seed')}, at least {needed} are needed", interval
    text = f"difference {interval.mean:+.4g}, 95 % interval {interval.low:+.4g} to {interval.high:+.4g}, "
    text += plural(interval.count, "seed")
    if interval.low > margin:
        return "trend holds", text, interval
    if interval.high < 0:
        return "trend reversed", text, interval
    if gain is not None and max(-interval.low, interval.high) <= gain / 2:
        return "no effect here", f"{text}; all within half of the printed gain, {gain:.4g}", interval
    seeds = seeds_to_settle(differences, margin)
    settled = f"more than {MOST_SEEDS:,}" if seeds is None else f"about {seeds}"
    return "inconclusive", f"{text}; {settled} seeds would settle it if mean and spread hold", interval


def seeds_to_settle(differences: Sequence[float], margin: float = 0.0) -> int | None:
    """Return with how many seeds an open interval would leave zero (or the margin), its mean and spread kept.

    Args:
        differences: two or more; see :func:`judge_differences`.
        margin: see :func:`judge_differences`.

    Returns:
        The smallest n with ``|mean| > t(n - 1, 0.975) * s / sqrt(n)``; None if it is above :data:`MOST_SEEDS`.
    """
    import numpy as np
    from scipy.special import stdtrit

    mean = math.fsum(differences) / len(differences)
    distance = mean - margin if mean > margin else -mean
    count = np.arange(2, MOST_SEEDS + 1)
    half = stdtrit(count - 1, 0.975) * statistics.stdev(differences) / np.sqrt(count)
    enough = count[half < distance]
    return int(enough[0]) if len(enough) else None


def _judge_trend(claim: Claim, rule: Rule, table: _Records) -> Row:
    sides = [_side(rule, side, table) for side in (rule.larger, rule.smaller)]
    paired = set.intersection(*(set(side) for side in sides if isinstance(side, dict)))
    if not paired:
        raise ClaimError("no seed has records of both sides")
    larger, smaller = ({seed: side[seed] if isinstance(side, dict) else side for seed in paired} for side in sides)
    differences = {seed: larger[seed] - smaller[seed] for seed in sorted(paired)}
    fresh = [difference for seed, difference in differences.items() if seed not in PILOT]
    judged = fresh if len(fresh) >= max(rule.min_seeds, claims.MIN_SEEDS) else list(differences.values())
    name, why, interval = judge_differences(judged, rule.min_seeds, rule.margin, claim.gain)
    if before := [difference for seed, difference in differences.items() if seed in PILOT and judged is fresh]:
        why += f"; {math.fsum(before) / len(before):+.4g} with the {plural(len(before), 'seed')} of the pilot"
    bounded = interval if math.isfinite(interval.low) else None
    return Row(claim, name, why, interval.mean, bounded)


def _side(rule: Rule, side: Mapping[str, Any] | float | None, table: _Records) -> dict[int, float] | float:
    """Return one side's values by seed, or its constant."""
    if not isinstance(side, Mapping):
        return float(side or 0.0)
    wanted = {**rule.where, **side}
    values: dict[int, float] = {}
    for record in _found(table, rule.key, wanted):
        seed = record["seed"]
        if seed is None:
            raise ClaimError(f"records with {_show({'key': rule.key, **wanted})} have no seed to pair them by")
        if seed in values:
            raise ClaimError(f"2 records with {_show({'key': rule.key, **wanted})} for seed {seed}; narrow the filter")
        values[seed] = record["value"]
    return values


def _judge_number(claim: Claim, rule: Rule, table: _Records) -> Row:
    found = _found(table, rule.key, rule.where)
    values, shown = [record["value"] for record in found], _show({"key": rule.key, **rule.where})
    if claim.kind == "exact" and len(set(values)) > 1:
        raise ClaimError(f"{len(found)} records with {shown} have different values; narrow the filter")
    if len({record["seed"] for record in found}) < len(found):
        raise ClaimError(f"{len(found)} records with {shown} for one seed; narrow the filter")
    measured = claim.in_printed_unit(math.fsum(values) / len(values), found[0]["unit"])
    text = f"measured {measured:.10g}, "
    text += f"implied {rule.expected:g}" if claim.printed is None else f"printed {claim.printed}"
    if rule.agrees(measured):
        return Row(claim, "reproduced", text, measured)
    return Row(claim, "differs", f"{claim.note}; {text}" if claim.note else text, measured)


def _by_key(table: pd.DataFrame) -> _Records:
    import pyarrow

    dims = {text: json.loads(text) for text in table["dims"].unique()}
    found: dict[str, list[dict[str, Any]]] = {}
    for record in pyarrow.Table.from_pandas(table).to_pylist():
        found.setdefault(record["key"], []).append({**record, **dims[record["dims"]]})
    return found


def _select(table: _Records, key: str, where: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the records of a key whose columns or dimensions have the given values, or one of those in a list."""
    one = {name: value for name, value in where.items() if value is not None and not isinstance(value, list)}
    rest = [(name, value if value is not None else [None]) for name, value in where.items() if name not in one]
    fitting = [record for record in table.get(key, ()) if one.items() <= record.items()]
    return [record for record in fitting if all(record.get(name) in values for name, values in rest)]


def _known(table: _Records, where: Mapping[str, Any]) -> bool:
    """Return whether each value that a filter asks for occurs in a record, of whatever key: none is misspelt."""
    return all(any(_select(table, key, {name: value}) for key in table) for name, value in where.items())


def _found(table: _Records, key: str, where: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if found := _select(table, key, where):
        return found
    raise ClaimError(f"no record has {_show({'key': key, **where})}")


def _data_problem(claim: Claim, rule: Rule, data: Mapping[str, Mapping[str, Any]]) -> str:
    """Return why a run's data cannot carry a claim on a real data set, or nothing."""
    real = {_normal(name) for name, entry in data.items() if not entry["embedded"]}
    if _normal(claim.needs) not in real:
        names = ", ".join(f"{n} ({'embedded' if e['embedded'] else 'real'})" for n, e in data.items()) or "no data"
        return f"needs {claim.needs}; the run was on {names}"
    told_apart = all(_normal(str(wanted.get("data", ""))) == _normal(claim.needs) for wanted in rule.filters())
    if len(data) > 1 and not told_apart:
        return f"needs {claim.needs} told apart: the run was on several data sets, so the rule needs where.data"
    return ""


def _normal(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _show(wanted: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in wanted.items()) or "any dimensions"
