"""Figures of resources: what is paid along a ranking, paths on the plane of two, prediction against measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from reidlab.errors import ConfigError
from reidlab.plots import style
from reidlab.plots.checks import check_numbers, check_points, check_table

if TYPE_CHECKING:
    import pandas as pd

_TITLES = ("operations", "parameters")
_PANELS = 3  # beside one another


@style.context()
def impact_paths(
    loss: np.ndarray, shares: Mapping[str, np.ndarray], orders: Mapping[str, Mapping[str, np.ndarray]], objective: float
) -> Figure:
    """Draw what is paid in loss impact for what is saved, filter after filter (Fig. 6.1 of the dissertation).

    Args:
        loss: (K,) loss impacts, of which shares of the sum are drawn.
        shares: for each resource, axes of its own, (K,) what each filter saves of it.
        orders: for each resource and each ranking, (K,) the filters from the first to go to the last.
        objective: R, what must be saved; marked, and the paths end a little beyond it.

    Raises:
        ConfigError: no resource, a negative impact, or an order that does not name each filter once.
    """
    if not shares:
        raise ConfigError("shares: expected at least one resource; got none")
    loss = check_numbers("loss", loss, "loss impacts, finite and not negative", np.inf)
    figure = style.new_figure(3.4)
    for place, (name, saved) in enumerate(shares.items()):
        saved = check_numbers(f"shares[{name!r}]", saved, "shares of a resource, finite and not negative", np.inf)
        axes = figure.add_subplot(1, len(shares), place + 1)
        for ranking, look in style.looks(orders[name]).items():
            order = np.asarray(orders[name][ranking])
            if sorted(order.tolist()) != list(range(len(loss))):
                raise ConfigError(f"orders[{name!r}][{ranking!r}]: expected each of {len(loss)} filters once")
            x = np.concatenate([[0], saved[order].cumsum()])
            y = np.concatenate([[0], loss[order].cumsum() / (loss.sum() or 1)])
            stop = min(np.searchsorted(x, min(1.25 * objective, 1)) + 1, len(x))
            axes.plot(x[:stop], y[:stop], **look | {"marker": None}, label=str(ranking))
            end = min(np.searchsorted(x, objective), len(x) - 1)
            axes.plot(x[end], y[end], look["marker"], color=look["color"], ms=8, mec="white", zorder=4)
        axes.axvline(objective, label="R", **style.LEVEL)
        axes.set(xlabel=f"{name} saved", ylabel="loss impact, share of all" if not place else "")
        axes.xaxis.set_major_formatter(style.PERCENT)
        axes.yaxis.set_major_formatter(style.PERCENT)
        axes.set_ylim(bottom=0)
    style.legend(figure)
    return figure


@style.context()
def resource_plane(
    paths: Mapping[str, np.ndarray],
    budgets: tuple[float, float],
    names: tuple[str, str] = _TITLES,
    projection: bool = False,
) -> Figure:
    """Draw prunings as paths on the plane of two resources (Figs. 6.2 and 6.3 of the dissertation).

    Args:
        paths: for each pruning (I, 2) what is left of both resources, from the whole network, (1, 1), on; a mark per
            iteration.
        budgets: share of each resource that may stay; the area where both are met is tinted.
        names: of the resources.
        projection: whether to draw the boundary of the modified problem (Eq. 6.19) as well.

    Raises:
        ConfigError: no path, positions that are not finite, or a budget outside 0..1.
    """
    if not paths:
        raise ConfigError("paths: expected at least one; got none")
    check_numbers("budgets", budgets)
    figure = style.new_figure(4.6, 5.4)
    axes = figure.add_subplot()
    axes.fill_between([0, budgets[0]], 0, budgets[1], color=style.GREEN, **style.BAND)
    for at, draw in zip(budgets, (axes.axvline, axes.axhline)):
        draw(at, color=style.QUIET, lw=1, ls=(0, (1, 2)))
    axes.plot([1, budgets[0]], [1, budgets[1]], label="straight to both budgets", **style.LEVEL)
    if projection:
        saved = 1 - np.array(budgets)
        across = np.array([-saved[1], saved[0]]) / np.linalg.norm(saved)
        ends = np.array(budgets) + np.outer([-0.6, 0.6], across)
        axes.plot(*ends.T, color=style.ORANGE, lw=1.5, ls=(0, (1, 1)), label="boundary of (6.19)")
    for name, look in style.looks(paths).items():
        points = check_points(f"paths[{name!r}]", paths[name])
        axes.plot(*points.T, label=str(name), **look | {"ms": 5, "mec": "white", "mew": 0.6, "lw": 1.6})
    low = min(0.0, *(1.1 * points.min() for points in map(np.asarray, paths.values())))
    axes.set(xlim=(low, 1.03), ylim=(low, 1.03), xlabel=f"{names[0]} left", ylabel=f"{names[1]} left", aspect="equal")
    axes.xaxis.set_major_formatter(style.PERCENT)
    axes.yaxis.set_major_formatter(style.PERCENT)
    style.legend(figure, ncols=2)
    return figure


@style.context()
def agreement(table: pd.DataFrame, x: str, y: str, group: str, xlabel: str = "", ylabel: str = "") -> Figure:
    """Draw measurements against predictions, a panel a group, each with the line where both are one.

    Args:
        table: a row per measurement.
        x: column of the predictions, above 0.
        y: column of what was measured.
        group: column that tells panels apart.
        xlabel: what is predicted, with its unit; the column's name by default.
        ylabel: what is measured; the column's name by default.

    Raises:
        ConfigError: a missing column, an empty table, or a value that is not finite.
    """
    check_table("table", table, [group], [x, y])
    names = list(dict.fromkeys(table[group]))
    lines, columns = -(-len(names) // _PANELS), min(len(names), _PANELS)
    figure = style.new_figure(0.4 + 2.4 * lines, style.WIDTH * max(columns, 2) / _PANELS)
    grid = list(figure.subplots(lines, columns, squeeze=False).flat)
    for name, axes in zip(names, grid):
        rows = table[table[group] == name]
        low, high = float(rows[[x, y]].min().min()), float(rows[[x, y]].max().max())
        margin = 0.08 * (high - low) or 0.08 * high
        ends = (low - margin, high + margin)
        axes.plot(ends, ends, label="as predicted", **style.LEVEL)
        axes.plot(rows[x], rows[y], ls="", marker="o", ms=5, mec="white", label="measured")
        axes.set(xlim=ends, ylim=ends, xlabel=xlabel or x, ylabel=ylabel or y, aspect="equal")
        axes.set_title(style.wrapped(name), fontsize="medium")
        axes.locator_params(nbins=4)
    for axes in grid[len(names) :]:
        axes.remove()
    style.legend(figure)
    return figure
