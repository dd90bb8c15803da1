"""What chapter 6's tables and sentences are made from: records of prunings, compared seed by seed.

Most functions return a table and, by name, the numbers that the text beside it says.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from reidlab.intervals import student_interval

#: What tells two tasks apart.
TASK = ("data", "network")
#: Rows of Table 6.1 beside the baseline's, and ours.
ROWS = ("f", "p", "pair", "reached", "aimed")
#: What prunes beside CAIE at equal operations.
OTHERS = ("loss", "lambda-flops", "tp-taylor", "tp-magnitude")

#: A table, and numbers by name, as text.
Told = tuple[pd.DataFrame, dict[str, str]]


def gains(
    measured: pd.DataFrame, column: str, reference: str, key: str = "accuracy", task: Sequence[str] = TASK
) -> pd.DataFrame:
    """Return by how much each condition is ahead of a reference, seed by seed.

    Args:
        measured: records with their dimensions as columns, one per task, condition and seed.
        column: what tells conditions apart.
        reference: one of its values.
        key: of the records.
        task: columns that tell tasks apart.

    Returns:
        Columns of the task, ``task``, the column, ``seed`` and ``value``; empty where there is nothing to compare.
    """
    names = [*task, column, "seed", "value"]
    found = measured[measured["key"] == key] if "key" in measured else measured.iloc[:0]
    if found.empty or column not in found or not (found[column] == reference).any():
        return pd.DataFrame(columns=[*names, "task"])
    wide = found.pivot_table(index=[*task, "seed"], columns=column, values="value", sort=False)
    order = [name for name in dict.fromkeys(found[column].dropna()) if name != reference]
    ahead = wide[order].sub(wide[reference], axis=0)
    long = ahead.melt(ignore_index=False, value_name="value").reset_index().dropna(subset="value")
    return long.assign(task=task_names(long))


def task_names(table: pd.DataFrame) -> pd.Series:
    """Return what figures call the task of each row."""
    return table["network"] + ", " + table["data"]


def decided(ahead: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return mean and 95 % interval of :func:`gains` by task and condition, and what the interval says.

    Args:
        ahead: of :func:`gains`.
        column: what tells conditions apart.

    Returns:
        Columns ``task``, the column, ``mean``, ``low``, ``high``, ``seeds`` and ``says``: ``ahead``, ``behind``, or
        ``open`` where the interval holds 0 or there are fewer than five seeds.
    """
    rows = []
    for (task, name), some in ahead.groupby(["task", column], sort=False):
        interval = student_interval(some["value"].tolist())
        sure = interval.count >= 5
        says = "ahead" if sure and interval.low > 0 else "behind" if sure and interval.high < 0 else "open"
        parts = {"mean": interval.mean, "low": interval.low, "high": interval.high, "seeds": interval.count}
        rows.append({"task": task, column: name, **parts, "says": says})
    return pd.DataFrame(rows, columns=["task", column, "mean", "low", "high", "seeds", "says"])


def counted(table: pd.DataFrame) -> str:
    """Return how many comparisons of :func:`decided` went which way, as words.

    Example:
        >>> counted(pd.DataFrame({"says": ["ahead", "open", "open"]}))
        'ahead in 1, behind in 0 and open in 2 of 3'
    """
    said = {word: int((table["says"] == word).sum()) for word in ("ahead", "behind", "open")}
    if not len(table):
        return "not measured in any"
    return f"ahead in {said['ahead']}, behind in {said['behind']} and open in {said['open']} of {len(table)}"


def miss(measured: pd.DataFrame) -> float:
    """Return the median distance between predicted and measured milliseconds, as a share of the measured ones.

    Args:
        measured: records ``predicted_ms`` and ``measured_ms`` with their dimensions as columns. The first of each
            pruning, where both are one by definition, does not count; without any other it is not a number.
    """
    wide = side_by_side(measured)
    wide = wide[wide["iteration"] > 0]
    return float(np.median((wide["predicted_ms"] / wide["measured_ms"] - 1).abs())) if len(wide) else float("nan")


def side_by_side(measured: pd.DataFrame) -> pd.DataFrame:
    """Return predicted and measured milliseconds of one network in one row: columns ``predicted_ms, measured_ms``."""
    found = measured[measured["key"].isin(["predicted_ms", "measured_ms"])]
    index = [*TASK, "experiment", "method", "iteration", "seed"]
    if found.empty:
        return pd.DataFrame(columns=[*index, "predicted_ms", "measured_ms"])
    return found.pivot_table(index=index, columns="key", values="value").reset_index()


# Tables ---------------------------------------------------------------------------------------------------------------


def wide(measured: pd.DataFrame, columns: str | Sequence[str], *index: str) -> pd.DataFrame:
    """Return the means over seeds of records with a row per task and a column per value of some dimensions."""
    return measured.pivot_table(index=[*TASK, *index], columns=columns, values="value", sort=False)


def proofs(toys: pd.DataFrame) -> Told:
    """Return in which share of the enumerated problems the greedy choice is what the proof says."""
    found = toys[toys["key"].isin(["toy_agrees", "toy_optimal", "toy_missed", "toy_additive"])]
    wanted = {
        "optimal_reached": {"key": "toy_optimal", "problem": "single", "objective": "reached"},
        "optimal_given": {"key": "toy_optimal", "problem": "single", "objective": "given"},
        "optimal_pair": {"key": "toy_optimal", "problem": "pair", "objective": "updated"},
        "missed_fixed": {"key": "toy_missed", "problem": "pair", "objective": "given"},
        "missed_updated": {"key": "toy_missed", "problem": "pair", "objective": "updated"},
        "additive_squared": {"metric": "squared"},
        "additive_absolute": {"metric": "absolute"},
    }
    numbers = {name: _percent(_only(found, **dims)["value"].item()) for name, dims in wanted.items()}
    parts = pd.MultiIndex.from_frame(found[["key", "property", "metric", "problem", "objective"]].fillna(""))
    return pd.DataFrame({"share of problems": found["value"].to_numpy()}, index=parts), numbers


def estimates(measured: pd.DataFrame) -> Told:
    """Return the loss impacts that rankings pay for one saving, and by how much sums of resource impacts miss."""
    once = wide(_only(measured, key="impact_total"), "method", "resource")
    ratio = once["caie"] / once["loss"]
    error = wide(_only(measured, key="impact_sum_error"), "removed").mean()
    return once.round(4), {
        "impact_ratio_low": f"{ratio.min():.2f}",
        "impact_ratio_high": f"{ratio.max():.2f}",
        "sum_error_step": f"{100 * error['step']:.1f}",
        "sum_error_quarter": _percent(error["quarter"]),
    }


def ends(measured: pd.DataFrame) -> Told:
    """Return how far paths bend away from a straight line, and what rows leave unused of their two budgets."""
    rows = _only(measured, experiment="budgets")
    bends = wide(_only(rows, key="path_deviation"), "row")
    over = rows[(rows["key"] == "overshoot") & rows["row"].isin(["pair", "aimed"])]
    most = over[over["resource"] == "either"].groupby("row")["value"].max()
    unused = wide(over[over["resource"] != "either"], ["row", "resource"])
    numbers = {f"bend_{row}": f"{100 * bends[row].mean():.1f}" for row in ("baseline", "reached")}
    numbers |= {f"unused_{row}": f"{100 * most[row]:.1f}" for row in ("pair", "aimed")}
    shown = {"bend of the path": bends[["baseline", "pair", "reached"]]}
    return pd.concat({**shown, **{f"unused, {row}": unused[row] for row in most.index}}, axis=1).round(4), numbers


def rows_compared(measured: pd.DataFrame, ahead: pd.DataFrame) -> Told:
    """Return accuracy and what is left of the resources by row of Table 6.1, and how rows do beside the baseline.

    Args:
        measured: records with their dimensions as columns.
        ahead: of :func:`gains`, by ``row``.
    """
    table = decided(ahead, "row")
    numbers = {f"row_{row}": counted(table[table["row"] == row]) for row in ROWS}
    numbers["rows_counted"] = counted(table[table["row"] != "aimed"])
    rows = _only(measured, experiment="budgets")
    rows = pd.concat([_tested(rows), rows[rows["key"].isin(["macs_share", "params_share"])]])
    return wide(rows.assign(row=rows["row"].fillna("whole")), "key", "row").round(3), numbers


def filters_kept(measured: pd.DataFrame) -> Told:
    """Return the share of each layer's filters that rows keep in the first task, and that of early and late layers."""
    found = _first_task(_only(measured, key="width_share"))
    found = found[found["row"].isin(["baseline", "f", "p", "pair"])]
    third = found["number"].max() / 3
    parts = {"early": found[found["number"] <= third], "late": found[found["number"] > 2 * third]}
    numbers = {"kept_of": task_names(found).iloc[0]}
    for name, part in parts.items():
        means = part.groupby("row")["value"].mean()
        numbers |= {f"{name}_{row}": _percent(means[row]) for row in ("baseline", "f", "p")}
    return found.assign(iteration=found["number"]), numbers


def others_compared(measured: pd.DataFrame, ahead: pd.DataFrame) -> Told:
    """Return what methods score and leave at equal operations, and how others do beside CAIE.

    Args:
        measured: records with their dimensions as columns.
        ahead: of :func:`gains`, by ``method``.
    """
    against, rows = decided(ahead, "method"), _only(measured, experiment="equal-macs")
    numbers = {f"against_{name.replace('-', '_')}": counted(against[against["method"] == name]) for name in OTHERS}
    left = rows[rows["key"].isin(["macs_share", "params_share", "latency_share", "loss_after"])]
    return wide(pd.concat([left, _tested(rows)]), "key", "method").round(3), numbers


def swept(measured: pd.DataFrame) -> pd.DataFrame:
    """Return accuracies of the first task's sweep of budgets, ``left`` of the operations, and a ``name`` for each."""
    rows = _only(measured, experiment="pareto")
    found, names = _tested(rows), [*TASK, "method", "share", "seed"]
    left = _only(rows, key="macs_share")[[*names, "value"]].rename(columns={"value": "left"})
    found = found.merge(left, on=names)
    found = _first_task(found)
    percent = (100 * found["share"]).round().astype("Int64").astype(str)
    return found.assign(name=found["method"] + ", " + percent + " %")


def at_latency(measured: pd.DataFrame) -> Told:
    """Return what methods score, leave and take at equal measured latency, and how they do beside CAIE."""
    rows = _only(measured, experiment="equal-latency")
    ahead = gains(_only(rows, split="test"), "method", "caie")
    found = [_tested(rows), rows[rows["key"].isin(["macs_share", "latency_ms", "latency_share"])]]
    numbers = {"latency_others": counted(decided(ahead, "method"))}
    numbers["latency_miss"] = _percent(miss(measured)) if len(side_by_side(measured)) else "an unknown number of"
    return wide(pd.concat(found), "key", "method").round(3), numbers


def people(measured: pd.DataFrame) -> pd.DataFrame:
    """Return what networks for people score, take and leave, with scores by millisecond."""
    rows = _only(measured, experiment="reid")
    rows = rows[rows["key"].isin(["mAP", "rank1", "latency_ms", "macs_share", "params_share"])]
    found = rows.pivot_table(index=["data", "method"], columns="key", values="value", sort=False)
    for score in ("mAP", "rank1") if len(found) else ():
        found[f"{score} per ms"] = found[score] / found["latency_ms"]
    return found.round(3)


def unmet(judged: pd.DataFrame) -> Told:
    """Return the printed numbers that do not follow from others, and how many do.

    Args:
        judged: of :func:`reidlab.lab.ledger.judge_numbers`.
    """
    missed = judged[~judged["agrees"]]
    printed = missed["printed"].fillna("at most 1") + " | " + missed["measured"].map("{:.2f}".format)
    table = pd.DataFrame(
        {"says": missed["what"], "printed | follows": printed + " " + missed["unit"], "why": missed["note"]}
    )
    return table, {"sums_asked": str(len(judged)), "sums_met": str(int(judged["agrees"].sum()))}


def _only(table: pd.DataFrame, **dims: str) -> pd.DataFrame:
    """Return the rows that have some values."""
    for name, value in dims.items():
        table = table[table[name] == value]
    return table


def _first_task(table: pd.DataFrame) -> pd.DataFrame:
    return _only(table, **table.iloc[0][list(TASK)]) if len(table) else table


def _tested(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["key"] == "accuracy") & (table["split"] == "test")]


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"
