"""The ledger: every claim, what the records say to it, and the verdict.

A verdict is one of *reproduced*, *differs (why)*, *trend holds*, *trend reversed*, *inconclusive* and *not run
(needs X)*. Two rules have no exception: an accuracy measured on embedded data never counts, and a trend judged
on fewer than five seeds is inconclusive, whatever the means say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reidlab.checks import plural
from reidlab.errors import ClaimError
from reidlab.intervals import Interval, student_interval
from reidlab.lab import claims, store
from reidlab.lab.claims import Claim, Rule
from reidlab.lab.project import Project
from reidlab.lab.records import select
from reidlab.lab.store import StoredRun

if TYPE_CHECKING:
    import pandas as pd

VERDICTS = ("reproduced", "trend holds", "differs", "trend reversed", "inconclusive", "not run")


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
        profile: whose records were asked.
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
        claim = self.claim
        interval = self.interval
        return {
            "id": claim.id,
            "source": claim.source,
            "item": claim.item,
            "what": claim.what,
            "kind": claim.kind,
            "printed": None if claim.printed is None else _plain_number(claim.printed),
            "unit": claim.unit,
            "measured": self.measured,
            "interval": None
            if interval is None
            else {"low": interval.low, "high": interval.high, "pairs": interval.count},
            "verdict": self.verdict,
            "why": self.why,
            "chapter": claim.rule.chapter if claim.rule else None,
            "profile": self.profile or None,
            "stale": self.stale,
            "note": claim.note,
        }


class Ledger:
    """Judges claims by the records of a project.

    Args:
        project: where claims, runs and kept records are.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.book = claims.read(project)
        self._evidence: dict[tuple[str, str], tuple[StoredRun, bool, pd.DataFrame] | None] = {}
        self._named: dict[str, set[str]] = {}

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
            if claim.kind == "trend":
                row = _judge_trend(claim, rule, table)
            else:
                row = _judge_number(claim, rule, table)
        except ClaimError as error:
            row = Row(claim, "not run", f"needs records that fit its rule: {error}")
        return Row(row.claim, row.name, row.why, row.measured, row.interval, stale, rule.profile)

    def problems(self) -> list[str]:
        """Return everything wrong with the claims: malformed files, and rules that ask for what is not recorded."""
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
        recorded: set[str] = set()
        for profile in dict.fromkeys([rule.profile, "quick", "standard", "paper"]):
            if evidence := self._find(rule.chapter, profile):
                recorded |= set(evidence[0].info.get("keys", ()))
        if rule.chapter not in self._named:
            self._named[rule.chapter] = claims.names_in_code(self.project, rule.chapter)
        if rule.key not in recorded | self._named[rule.chapter]:
            there = f"; it records {', '.join(sorted(recorded))}" if recorded else "; it has no run yet"
            return [f"{where}: chapter {rule.chapter} records no {rule.key!r}{there}"]
        evidence = self._find(rule.chapter, rule.profile)
        if evidence is None or evidence[1] or (claim.needs and _data_problem(claim, rule, evidence[0].info["data"])):
            return []
        table = evidence[2]
        return [
            f"{where}: no record of {rule.key!r} in profile {rule.profile} has {_show(wanted)}"
            for wanted in rule.filters()
            if select(table, {"key": rule.key, **wanted}).empty
        ]

    def _find(self, chapter: str, profile: str) -> tuple[StoredRun, bool, pd.DataFrame] | None:
        """Return the run to judge by: one that matches today's code if there is, a fresh one before a kept one."""
        if (chapter, profile) not in self._evidence:
            found = []
            folder = store.run_folder(self.project, profile, chapter)
            if (folder / store.RUN_FILE).is_file():
                found.append(store.open_run(folder))
            if kept := store.kept(chapter, profile, self.project):
                found.append(kept)
            ranked = sorted(((run.is_stale(self.project), n, run) for n, run in enumerate(found)), key=lambda e: e[:2])
            self._evidence[chapter, profile] = (ranked[0][2], ranked[0][0], ranked[0][2].records) if ranked else None
        return self._evidence[chapter, profile]


def judge_differences(differences: Sequence[float], min_seeds: int, margin: float = 0.0) -> tuple[str, str, Interval]:
    """Judge a trend by its paired differences (larger side minus smaller side).

    Args:
        differences: one for each seed.
        min_seeds: with fewer, the verdict is open; never less than five.
        margin: by how much the larger side must be larger; a reversed sign needs none.

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
    return "inconclusive", text, interval


def _judge_trend(claim: Claim, rule: Rule, table: pd.DataFrame) -> Row:
    sides = [_side(rule, side, table) for side in (rule.larger, rule.smaller)]
    paired = set.intersection(*(set(side) for side in sides if side is not None))
    if not paired:
        raise ClaimError("no seed has records of both sides")
    constant = [rule.larger, rule.smaller]
    values = [
        [side[pair] if side is not None else float(constant[n]) for pair in sorted(paired)]  # type: ignore[arg-type]
        for n, side in enumerate(sides)
    ]
    differences = [larger - smaller for larger, smaller in zip(*values)]
    name, why, interval = judge_differences(differences, rule.min_seeds, rule.margin)
    bounded = interval if math.isfinite(interval.low) else None
    return Row(claim, name, why, interval.mean, bounded)


def _side(rule: Rule, side: Mapping[str, Any] | float | None, table: pd.DataFrame) -> dict[Any, float] | None:
    """Return one side's values by seed; None for a constant."""
    from reidlab.lab.records import expand

    if not isinstance(side, Mapping):
        return None
    wanted = {"key": rule.key, **rule.where, **side}
    found = expand(select(table, wanted))
    if found.empty:
        raise ClaimError(f"no record has {_show(wanted)}")
    if found["seed"].isna().any():
        raise ClaimError(f"records with {_show(wanted)} have no seed to pair them by")
    counts = found["seed"].value_counts()
    if counts.max() > 1:
        raise ClaimError(f"{counts.max()} records with {_show(wanted)} for seed {counts.idxmax()}; narrow the filter")
    return dict(zip(found["seed"].astype(int), found["value"].astype(float)))


def _judge_number(claim: Claim, rule: Rule, table: pd.DataFrame) -> Row:
    assert claim.printed is not None  # checked where the claim was read
    wanted = {"key": rule.key, **rule.where}
    found = select(table, wanted)
    if found.empty:
        raise ClaimError(f"no record has {_show(wanted)}")
    if claim.kind == "exact" and found["value"].nunique() > 1:
        raise ClaimError(f"{len(found)} records with {_show(wanted)} have different values; narrow the filter")
    if found["seed"].duplicated().any():
        raise ClaimError(f"{len(found)} records with {_show(wanted)} for one seed; narrow the filter")
    measured = claim.in_printed_unit(math.fsum(found["value"]) / len(found), str(found["unit"].iloc[0]))
    printed = float(claim.printed)
    # The last printed digit is rounded, and so is the sum of a float's own digits.
    slack = 1e-9 * max(1.0, abs(printed))
    text = f"measured {measured:.10g}, printed {claim.printed}"
    if abs(measured - printed) <= rule.tolerance + slack:
        return Row(claim, "reproduced", text, measured)
    return Row(claim, "differs", f"{claim.note}; {text}" if claim.note else text, measured)


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


def _plain_number(printed: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(printed)
        except ValueError:
            continue
    return printed
