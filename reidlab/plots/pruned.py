"""Figures of networks whose filters are removed: layer by layer, against what they cost, along a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reidlab.checks import check_choice
from reidlab.errors import ConfigError
from reidlab.intervals import student_interval
from reidlab.plots import style
from reidlab.plots.checks import check_seeds, check_table
from reidlab.plots.points import mean_mark

if TYPE_CHECKING:
    import pandas as pd

#: Panels beside one another that leave room for their words.
MOST_COLUMNS = 4


@style.context()
def layer_values(
    table: pd.DataFrame, ylabel: str, *, group: str | None = None, whole: pd.DataFrame | None = None
) -> Figure:
    """Draw a value of each layer in order of use: the mean over seeds, on a stem from 0, with its 95 % interval.

    Args:
        table: columns ``panel`` (a network; each has axes of its own), ``layer`` (its number), ``value``, ``group`` and
            ``seed``; a row per seed. A layer with one seed has no interval and a hollow mark.
        ylabel: what the values are.
        group: column that splits a layer into neighbours with their own colour and mark, such as methods.
        whole: columns ``panel``, ``layer`` and ``value``: what the values are a part of, as bars behind them.

    Raises:
        ConfigError: a missing column, an empty table, a value that is not finite, or several rows of one seed.
    """
    names = ["panel", *([group] if group else [])]
    check_table("table", table, names, ["layer", "value"])
    check_seeds(table, [*names, "layer"])
    if whole is not None:
        check_table("whole", whole, ["panel"], ["layer", "value"])
    looks = style.looks(table[group] if group else [ylabel])
    offsets = np.linspace(-0.27, 0.27, len(looks)) if len(looks) > 1 else [0.0]
    panels = list(dict.fromkeys(table["panel"]))
    figure = style.new_figure(0.35 + (0.3 if group else 0) + 1.75 * len(panels))
    for place, shown in enumerate(panels, 1):
        axes = figure.add_subplot(len(panels), 1, place)
        here = table[table["panel"] == shown]
        size = 8.0 if here["layer"].nunique() * len(looks) <= 16 else 5.5
        if whole is not None:
            bars = whole[whole["panel"] == shown]
            axes.bar(bars["layer"], bars["value"], width=0.86, color=style.RULE, label="whole network")
        for (name, look), offset in zip(looks.items(), offsets):
            rows = here[here[group] == name] if group else here
            label = str(name) if group else None
            for layer, values in rows.groupby("layer")["value"]:
                interval, x = student_interval(values.tolist()), layer + offset
                axes.vlines(x, 0, interval.mean, color=look["color"], lw=1.2, zorder=2)
                mean_mark(axes, x, interval.mean, look, label, size, yerr=interval.half)
        axes.axhline(0, color=style.QUIET, lw=0.9, zorder=1)
        axes.set_title(str(shown), pad=5)
        axes.set_ylabel(ylabel)
        last = int(here["layer"].max())
        axes.set(xlim=(0.4, last + 0.6), xticks=range(1, last + 1, 1 + last // 24))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=whole is not None, steps=[1, 2, 2.5, 5, 10]))
        axes.margins(y=0.12)
        axes.grid(axis="x", visible=False)
    axes.set_xlabel("layer, in order of use")
    if group:
        style.legend(figure, 4, handlelength=1.5)
    return figure


@style.context()
def cost_panels(
    table: pd.DataFrame, costs: Mapping[str, str], ylabels: Mapping[str, str], group: str = "method"
) -> Figure:
    """Draw what pruned networks lose against what is left of several costs: a row per network, a column per cost.

    A mark is the mean over seeds with the 95 % interval of the loss; a line joins what a method left at each step.

    Args:
        table: columns ``panel`` (a network), ``step`` (along which a method's marks are joined, such as the factor of
            UR), ``lost``, ``group``, ``seed`` and those of ``costs``, shares of the whole network's; a row per seed.
        costs: words for the columns of costs, four at most.
        ylabels: for each panel what is lost, with its unit.
        group: column of the methods.

    Raises:
        ConfigError: a missing column, an empty table, a value that is not finite, a panel without its words, no cost or
            too many, or several rows of one seed.
    """
    if not 1 <= len(costs) <= MOST_COLUMNS:
        raise ConfigError(f"costs: expected 1 to {MOST_COLUMNS}; got {len(costs)}")
    check_table("table", table, ["panel", group], ["step", "lost", *costs])
    check_seeds(table, ["panel", group, "step"])
    panels = list(dict.fromkeys(table["panel"]))
    for panel in panels:
        check_choice("table: column 'panel'", panel, ylabels)
    looks = style.looks(table[group])
    figure = style.new_figure(0.65 + 2.05 * len(panels))
    grid = figure.subplots(len(panels), len(costs), sharey="row", squeeze=False)
    for row, panel in enumerate(panels):
        for axes, (cost, words) in zip(grid[row], costs.items()):
            for name, look in looks.items():
                rows = table[(table["panel"] == panel) & (table[group] == name)]
                steps = [part for _, part in rows.groupby("step")]
                means = np.array([part[[cost, "lost"]].mean() for part in steps]).reshape(-1, 2)
                axes.plot(*means.T, color=look["color"], ls=look["ls"], lw=1.2, zorder=2)
                for (x, y), part in zip(means, steps):
                    half = student_interval(part["lost"].tolist()).half
                    mean_mark(axes, x, y, look, str(name), 7, yerr=half)
            axes.axhline(0, color=style.QUIET, lw=0.9, zorder=1)
            last = max(1.0, table.loc[table["panel"] == panel, cost].max())
            axes.set_xlim(-0.07 * last, 1.12 * last)
            axes.margins(y=0.12)
            axes.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
            axes.xaxis.set_major_formatter(style.PERCENT)
            axes.set_xlabel(words if row == len(panels) - 1 else "")
        grid[row][0].set_ylabel(ylabels[panel])
        grid[row][0].set_title(str(panel), pad=5)
    style.legend(figure, 4, handlelength=1.5)
    return figure


@style.context()
def search_course(
    table: pd.DataFrame, ylabels: Mapping[str, str], levels: Mapping[str, Sequence[float]] | None = None
) -> Figure:
    """Draw the course of searches: above the share of filters that is gone, below what the network has lost by then.

    Args:
        table: columns ``panel`` (a network), ``seed``, ``iteration`` (networks tried so far), ``removed`` (a fraction
            of all filters that may go) and ``lost``; a row per network that the search went on with. Each seed has a
            line of its own, from nothing removed and nothing lost: searches differ in length.
        ylabels: for each panel what is lost, with its unit.
        levels: for some panels the losses that were allowed, drawn as level lines.

    Raises:
        ConfigError: a missing column, an empty table, a value that is not finite, a panel without its words, or several
            rows of one seed.
    """
    check_table("table", table, ["panel", "seed"], ["iteration", "removed", "lost"])
    check_seeds(table, ["panel", "iteration"])
    panels = list(dict.fromkeys(table["panel"]))
    for panel in panels:
        check_choice("table: column 'panel'", panel, ylabels)
    columns = min(len(panels), 2 if len(panels) < 5 else 3)
    blocks = -(-len(panels) // columns)
    figure = style.new_figure(0.35 + 3.9 * blocks)
    grid = figure.subplots(2 * blocks, columns, squeeze=False)
    for place in range(blocks * columns):
        block, column = divmod(place, columns)
        above, below = grid[2 * block : 2 * block + 2, column]
        if place >= len(panels):
            above.set_visible(False)
            below.set_visible(False)
            continue
        panel = panels[place]
        below.sharex(above)
        for _, rows in table[table["panel"] == panel].sort_values("iteration").groupby("seed"):
            look = {"lw": 1.4, "alpha": 0.8}
            tried, gone, lost = ([0, *rows[name]] for name in ("iteration", "removed", "lost"))
            above.step(tried, gone, where="post", color=style.BLUE, **look)
            below.plot(tried, lost, marker="o", ms=3, color=style.VERMILION, **look)
        for number, level in enumerate((levels or {}).get(panel, ())):
            below.axhline(level, label=None if number else "expected drop", **style.LEVEL)
        above.set_title(style.wrapped(panel) if columns > 2 else str(panel), pad=5)
        above.yaxis.set_major_formatter(style.PERCENT)
        above.tick_params(labelbottom=False)
        if not column:
            above.set_ylabel("filters removed")
        below.set(xlabel="networks tried", ylabel=ylabels[panel])
        below.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if levels:
        style.legend(figure)
    return figure
