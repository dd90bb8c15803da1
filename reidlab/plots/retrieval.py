"""Figures of retrieval: match curves, effects with their intervals, maps of embeddings, training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from reidlab.errors import ConfigError
from reidlab.plots import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def cmc_curves(scores: Mapping[str, Any], max_rank: int = 20, chance: np.ndarray | None = None) -> Figure:
    """Draw cumulative match characteristics: the share of queries whose first right match is at rank k or better.

    Args:
        scores: for each name a :class:`~reidlab.evaluation.retrieval.Scores`, a curve (R,) of fractions in 0..1, or
            one curve per seed (S, R); several seeds are drawn as their mean and their range.
        max_rank: last rank drawn.
        chance: the curve (R,) of a random order, drawn in grey.

    Raises:
        ConfigError: no curve, values outside 0..1, or a curve that falls.
    """
    if not scores:
        raise ConfigError("scores: expected at least one named curve; got none")
    if max_rank < 2:
        raise ConfigError(f"max_rank: expected 2 or more, so that there is a curve; got {max_rank}")
    named = {name: getattr(value, "cmc", value) for name, value in scores.items()}
    if chance is not None:
        named["chance"] = chance
    curves = {name: _curve(name, value)[:, :max_rank] for name, value in named.items()}
    palette = style.colours(list(curves))
    with style.context():
        figure = style.new_figure(3.6)
        axes = figure.add_subplot()
        ends = []
        for index, (name, rows) in enumerate(curves.items()):
            ranks = np.arange(1, rows.shape[1] + 1)
            mean = rows.mean(axis=0)
            if len(rows) > 1:
                axes.fill_between(ranks, rows.min(axis=0), rows.max(axis=0), color=palette[name], alpha=0.16, lw=0)
            quiet = name == "chance"
            axes.plot(
                ranks,
                mean,
                color=palette[name],
                ls=(0, (1, 1.6)) if quiet else style.LINES[index % len(style.LINES)],
                marker=None if quiet else style.MARKERS[index % len(style.MARKERS)],
                markevery=[0],
                label=name,
            )
            ends.append((float(mean[-1]), name, float(mean[0])))
        longest = max(rows.shape[1] for rows in curves.values())
        axes.set(xlabel="rank k", ylabel="queries matched within k", xlim=(0.6, longest), ylim=(0, 1.02))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xticks(sorted({1, *range(5, longest + 1, 5)} & set(range(1, longest + 1))))
        _end_labels(axes, ends, palette, longest)
    return figure


def _curve(name: str, value: Any) -> np.ndarray:
    rows = np.atleast_2d(np.asarray(value, dtype=float))
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ConfigError(f"scores[{name!r}]: expected a curve (R,) or one per seed (S, R); got shape {rows.shape}")
    if not np.isfinite(rows).all() or rows.min() < 0 or rows.max() > 1 + 1e-9:
        raise ConfigError(f"scores[{name!r}]: expected fractions in 0..1; got {rows.min():g}..{rows.max():g}")
    if (np.diff(rows, axis=1) < -1e-9).any():
        raise ConfigError(f"scores[{name!r}]: a match curve never falls; this one does, so it is not a CMC")
    return rows


def _end_labels(axes: Axes, ends: list[tuple[float, str, float]], palette: dict, last: int) -> None:
    """Name each curve at its right end, pushed downwards where names would overlap."""
    low, high = axes.get_ylim()
    room = 0.135 * (high - low)
    y = high + room / 2
    for value, name, first in sorted(ends, reverse=True):
        y = min(value, y - room)
        text = name if name == "chance" else f"{name}\nrank-1 {first:.1%}"
        axes.annotate(
            text,
            (last, value),
            xytext=(last * 1.035 + 0.1, y),
            fontsize=9,
            va="center",
            linespacing=1.15,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": palette[name],
                "lw": 1.4,
                "relpos": (0, 0.5),
                "shrinkA": 2,
                "shrinkB": 0,
            },
        )


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
    from scipy import stats

    for column in [label, value, *([group] if group else [])]:
        if column not in table.columns:
            raise ConfigError(f"table: no column {column!r}; it has {', '.join(map(str, table.columns))}")
    if table.empty:
        raise ConfigError("table: expected at least one row; got none")
    if not np.isfinite(table[value].to_numpy(dtype=float)).all():
        raise ConfigError(f"table: column {value!r} holds values that are not finite; drop or explain them first")
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence: expected a number between 0 and 1; got {confidence}")

    rows = list(dict.fromkeys(table[label]))
    groups = list(dict.fromkeys(table[group])) if group else [None]
    palette = style.colours(groups) if group else {None: style.BLUE}
    offsets = np.linspace(-0.26, 0.26, len(groups)) if len(groups) > 1 else np.zeros(1)
    with style.context():
        figure = style.new_figure(0.95 + len(rows) * max(0.42, 0.24 * len(groups)) + (0.25 if group else 0))
        axes = figure.add_subplot()
        for place, row in enumerate(rows):
            for index, name in enumerate(groups):
                chosen = table[label] == row
                if group:
                    chosen &= table[group] == name
                values = table.loc[chosen, value].to_numpy(dtype=float)
                if not len(values):
                    continue
                y, colour = place + offsets[index], palette[name]
                mark = style.MARKERS[index % len(style.MARKERS)]
                if len(values) > 1:
                    axes.plot(values, np.full(len(values), y), "|", color=colour, alpha=0.55, ms=8, mew=1.3)
                    spread = stats.t.ppf(0.5 + confidence / 2, len(values) - 1) * stats.sem(values)
                    axes.errorbar(values.mean(), y, xerr=spread, color=colour, lw=2, capsize=0, zorder=3)
                axes.plot(
                    values.mean(),
                    y,
                    mark,
                    ms=8,
                    color=colour,
                    mfc=colour if len(values) > 1 else "white",
                    mec="white" if len(values) > 1 else colour,
                    mew=1.2 if len(values) > 1 else 1.8,
                    zorder=4,
                )
        if reference is not None:
            axes.axvline(reference, color=style.INK, lw=1, ls=(0, (4, 2)), zorder=1)
        axes.set(yticks=range(len(rows)), yticklabels=[str(row) for row in rows], xlabel=xlabel)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0, labelsize=10)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", visible=False)
        for edge in np.arange(0.5, len(rows) - 1, 1):
            axes.axhline(edge, color=style.RULE, lw=0.7, zorder=0)
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]))
        if percent:
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g} %"))
        if group:
            handles = [
                Line2D([], [], color=palette[name], marker=style.MARKERS[i % len(style.MARKERS)], mec="white", ms=8)
                for i, name in enumerate(groups)
            ]
            figure.legend(handles, [str(name) for name in groups], loc="outside upper left", ncols=min(4, len(groups)))
    return figure


def project(features: np.ndarray, seed: int, neighbours: int = 15, spread: float = 1.0) -> np.ndarray:
    """Lay embeddings out in the plane with UMAP on cosine distance (McInnes et al., 2018).

    Args:
        features: (N, D) float, N > 3.
        seed: the layout is the same for the same seed, features and machine.
        neighbours: size of the neighbourhood; cut to N - 1.
        spread: UMAP's scale of the clumps.

    Returns:
        (N, 2) float. Distances between far clumps carry no meaning; neighbourhoods do.
    """
    features = np.asarray(features, dtype=np.float32)
    if features.ndim != 2 or len(features) < 4:
        raise ConfigError(f"features: expected (N, D) with N of at least 4; got shape {features.shape}")
    from umap import UMAP  # imported late: it compiles for seconds

    layout = UMAP(
        n_neighbors=min(neighbours, len(features) - 1),
        metric="cosine",
        spread=spread,
        random_state=seed % 2**32,
        n_jobs=1,
        init="pca" if len(features) < 8 else "spectral",
    )
    return layout.fit_transform(features)


def embedding_map(points: np.ndarray, pids: Sequence[int], camids: Sequence[int]) -> Figure:
    """Draw a plane of embeddings: one colour and one number per identity, one mark per camera.

    Args:
        points: (N, 2) positions, such as :func:`project` gives.
        pids: N identities.
        camids: N cameras.

    Raises:
        ConfigError: lengths that do not agree, points that are not finite, or more cameras than there are marks.
    """
    points, pids, camids = np.asarray(points, dtype=float), np.asarray(pids), np.asarray(camids)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all() or not len(points):
        raise ConfigError(f"points: expected finite positions of shape (N, 2), N > 0; got shape {points.shape}")
    for name, values in (("pids", pids), ("camids", camids)):
        if values.shape != (len(points),):
            raise ConfigError(f"{name}: expected one per point ({len(points)}); got shape {values.shape}")
    cameras = np.unique(camids).tolist()
    if len(cameras) > len(style.MARKERS):
        raise ConfigError(f"camids: {len(cameras)} cameras, but only {len(style.MARKERS)} marks; choose fewer cameras")
    people = np.unique(pids).tolist()
    palette = style.colours(people)
    with style.context():
        figure = style.new_figure(4.6)
        axes = figure.add_subplot()
        for camera, mark in zip(cameras, style.MARKERS):
            for pid in people:
                chosen = (camids == camera) & (pids == pid)
                axes.scatter(
                    *points[chosen].T, s=44, marker=mark, color=palette[pid], ec="white", lw=0.7, alpha=0.9, zorder=2
                )
        for pid in people:
            x, y = np.median(points[pids == pid], axis=0)
            card = {"boxstyle": "round,pad=0.18", "fc": "white", "ec": palette[pid], "lw": 1.3, "alpha": 0.92}
            axes.text(x, y, str(pid), ha="center", va="center", weight="bold", fontsize=8, zorder=4, bbox=card)
        axes.set(xticks=[], yticks=[])
        axes.set_aspect("equal", adjustable="datalim")
        axes.margins(0.06)
        axes.grid(visible=False)
        axes.spines[["left", "bottom"]].set_visible(False)
        handles = [
            Line2D([], [], ls="", marker=mark, color=style.QUIET, mec="white", ms=8.5)
            for _, mark in zip(cameras, style.MARKERS)
        ]
        names = [f"camera {camera}" for camera in cameras]
        figure.legend(handles, names, loc="outside upper left", ncols=4, handletextpad=0.2, columnspacing=1.2)
    return figure


def training_curves(history: pd.DataFrame, columns: Sequence[str], x: str = "epoch", ylabel: str = "loss") -> Figure:
    """Draw columns of a training history against epochs (or any other column).

    Args:
        history: one row per epoch; if it has a column ``seed``, each curve is the seeds' mean with their range.
        columns: which columns to draw; missing values are skipped.
        x: the column along the horizontal axis.
        ylabel: what the values are, with a unit if there is one.

    Raises:
        ConfigError: a missing column or no columns.
    """
    if not columns:
        raise ConfigError("columns: expected at least one column of the history; got none")
    for column in [x, *columns]:
        if column not in history.columns:
            raise ConfigError(f"history: no column {column!r}; it has {', '.join(map(str, history.columns))}")
    palette = style.colours(list(columns))
    with style.context():
        figure = style.new_figure(3.2)
        axes = figure.add_subplot()
        for index, column in enumerate(columns):
            drawn = history[[x, column]].dropna().groupby(x)[column].agg(["mean", "min", "max"])
            if (drawn["min"] < drawn["max"]).any():
                axes.fill_between(drawn.index, drawn["min"], drawn["max"], color=palette[column], alpha=0.16, lw=0)
            axes.plot(
                drawn.index,
                drawn["mean"],
                color=palette[column],
                ls=style.LINES[index % len(style.LINES)],
                label=column,
            )
        axes.set(xlabel=x, ylabel=ylabel)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.margins(x=0.02)
        if len(columns) > 1:
            figure.legend(loc="outside upper left", ncols=min(4, len(columns)))
    return figure
