"""Figures of means with their intervals over seeds, a mark each: effects, purities, accuracy against cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reidlab.checks import check_choice
from reidlab.errors import ConfigError
from reidlab.intervals import student_interval
from reidlab.plots import style
from reidlab.plots.checks import check_numbers, check_seeds, check_table
from reidlab.plots.names import name_points

if TYPE_CHECKING:
    import pandas as pd

_PURITIES = {"purity": "commonest identity", "camera_purity": "commonest camera"}


def mean_mark(
    axes: Axes, x: float, y: float, look: dict[str, Any], label: str | None = None, size: float = 8.5, **half: float
) -> None:
    """Draw a mean with half of its interval, ``xerr`` or ``yerr``; it is infinite for a single seed: a hollow mark."""
    colour = look["color"]
    fill = {"mfc": "white", "mec": colour, "mew": 1.8}
    if np.isfinite(list(half.values())).all():
        axes.errorbar(x, y, color=colour, lw=2, capsize=0, zorder=3, **half)
        fill = {"mfc": colour, "mec": "white", "mew": 1.2}
    axes.plot(x, y, look["marker"], color=colour, ms=size, zorder=4, label=label, **fill)


@style.context()
def interval_points(
    table: pd.DataFrame,
    label: str = "label",
    value: str = "value",
    group: str | None = None,
    xlabel: str = "",
    reference: float | None = None,
    percent: bool = True,
    confidence: float = 0.95,
) -> Figure:
    """Draw measured values over seeds: every seed as a faint dot, their mean, and Student's t interval of the mean.

    Args:
        table: one row per seed and label.
        label: column whose values name the rows of the figure, top to bottom in order of appearance.
        value: column of the measured numbers.
        group: column that splits each row into neighbours with their own colour and mark.
        xlabel: what the numbers are.
        reference: a vertical line, such as 0 for "no effect".
        percent: the numbers are fractions and are shown in per cent.
        confidence: of the interval. A row with one seed has none and is drawn as a hollow mark.

    Raises:
        ConfigError: a missing column, an empty table, or a value that is not finite.
    """
    check_table("table", table, [label, group] if group else [label], [value])
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence: expected a number between 0 and 1; got {confidence}")
    rows = list(dict.fromkeys(table[label]))
    looks = style.looks(table[group] if group else [None])
    offsets = np.linspace(-0.26, 0.26, len(looks)) if len(looks) > 1 else [0.0]
    figure = style.new_figure(0.95 + len(rows) * max(0.42, 0.24 * len(looks)) + (0.25 if group else 0))
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        for (name, look), offset in zip(looks.items(), offsets):
            chosen = (table[label] == row) & (table[group] == name if group else True)
            values = table.loc[chosen, value].tolist()
            if not values:
                continue
            y, interval = place + offset, student_interval(values, confidence)
            if len(values) > 1:
                axes.plot(values, [y] * len(values), "|", color=look["color"], alpha=0.55, ms=8, mew=1.3)
            mean_mark(axes, interval.mean, y, look, xerr=interval.half)
    if reference is not None:
        axes.axvline(reference, color=style.INK, lw=1, ls=(0, (4, 2)), zorder=1)
    style.name_rows(axes, [str(row) for row in rows])
    axes.set_xlabel(xlabel)
    for edge in np.arange(0.5, len(rows) - 1):
        axes.axhline(edge, color=style.RULE, lw=0.7, zorder=0)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]))
    if percent:
        axes.xaxis.set_major_formatter(style.PERCENT)
    if group:
        marks = [Line2D([], [], label=str(n), mec="white", ms=8, **look | {"ls": "-"}) for n, look in looks.items()]
        figure.legend(handles=marks, loc="outside upper left", ncols=4)
    return figure


def purity_points(table: pd.DataFrame) -> Figure:
    """Draw for each method how pure clusters are in identities and in cameras: a point per seed and their mean.

    Clusters that hold one camera each learn the camera and not the person.

    Args:
        table: columns ``method``, ``key`` (``purity`` or ``camera_purity``), ``value`` (a fraction) and ``seed``; a row
            per seed.

    Raises:
        ConfigError: a missing column, an empty table, another key, a value outside 0..1, or several rows of one seed.
    """
    check_table("table", table, ["method", "key"], ["value"])
    for key in table["key"].unique():
        check_choice("table: column 'key'", key, _PURITIES)
    check_numbers("table: column 'value'", table["value"])
    check_seeds(table, ["method", "key"])
    named = table.assign(key=table["key"].map(_PURITIES))
    return interval_points(named, label="method", group="key", xlabel="share of a cluster's pictures")


@style.context()
def trade_off(
    points: pd.DataFrame,
    x: str,
    y: str,
    label: str,
    *,
    xlabel: str = "",
    ylabel: str = "",
    log_x: bool = False,
    percent: bool = True,
) -> Figure:
    """Draw accuracy against cost, one named mark per network (Fig. 2.5 of the dissertation).

    Several rows of a network, one per seed, become their mean with its 95 % interval (Student's t); a network with one
    row has none and is drawn as a hollow mark. A faint line joins the networks that no other one beats in both.

    Args:
        points: a row per network and seed.
        x: column of the cost; where the rows of a network differ in it, their mean is drawn.
        y: column of the score.
        label: column of the names.
        xlabel: what the cost is, with its unit; the column's name by default.
        ylabel: what the score is; the column's name by default.
        log_x: a logarithmic axis of cost.
        percent: the score is a fraction and is shown in per cent.

    Raises:
        ConfigError: a missing column, an empty table, a value that is not finite, or a cost of 0 or less on a
            logarithmic axis.
    """
    check_table("points", points, [label], [x, y])
    if log_x and (points[x] <= 0).any():
        raise ConfigError(f"points: column {x!r} must be above 0 on a logarithmic axis; got {points[x].min():g}")
    looks = style.looks(points[label])
    rows = [points[points[label] == name] for name in looks]
    costs = np.array([row[x].mean() for row in rows])
    intervals = [student_interval(row[y].tolist()) for row in rows]
    means, halves = (np.array([getattr(interval, part) for interval in intervals]) for part in ("mean", "half"))
    figure = style.new_figure(4.0)
    axes = figure.add_subplot()
    front = _frontier(costs, means)
    axes.plot(costs[front], means[front], color=style.RULE, lw=3, zorder=1, label="frontier")
    for (name, look), cost, mean, half in zip(looks.items(), costs, means, halves):
        mean_mark(axes, cost, mean, look, label=str(name), yerr=half)
    axes.set(xlabel=xlabel or x, ylabel=ylabel or y)
    if log_x:
        style.logarithmic(axes)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.margins(x=0.16, y=0.14)
    if percent:
        axes.yaxis.set_major_formatter(style.PERCENT)
    names = [(str(name), look["color"]) for name, look in looks.items()]
    name_points(axes, names, costs, means, np.where(np.isfinite(halves), halves, 0))
    return figure


def _frontier(costs: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the positions, by rising cost, of those that score more than everything that costs no more."""
    order = np.lexsort((-scores, costs))
    best = np.maximum.accumulate(scores[order])
    return order[scores[order] > np.concatenate([[-np.inf], best[:-1]])]
