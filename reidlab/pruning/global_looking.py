"""What chapter 6's tables and sentences are made from: records of prunings, compared seed by seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from reidlab.intervals import student_interval

#: What tells two tasks apart.
TASK = ("data", "network")


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
