"""Figures of values along an axis: match curves, precision and recall, training, rounds of a loop, distances."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reidlab.checks import check_choice
from reidlab.errors import ConfigError
from reidlab.intervals import student_interval
from reidlab.plots import style
from reidlab.plots.checks import check_numbers, check_seeds, check_table
from reidlab.plots.names import name_points

if TYPE_CHECKING:
    import pandas as pd

#: Groups whose intervals can be told apart in one figure.
MOST_BANDS = 4
_DOTTED = {"lw": 1.3, "ls": (0, (1, 1.8))}


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a mean (Student's t)."""
    interval = student_interval(list(values))
    return interval.low, interval.high


_RANGE = ("pi", 100)  # seaborn's words for: from the smallest to the largest


def _mean_line(
    axes: Axes, x: Any, y: Any, spread: Callable | tuple | None = _interval, hollow: bool = False, **look: Any
) -> None:
    """Draw the mean of ``y`` at each ``x`` and a band between the ends of its spread, where there are several values.

    Args:
        axes: where.
        x: (n,) numbers, repeated for each value there.
        y: (n,) numbers.
        spread: what seaborn's ``errorbar`` takes; None for a line alone.
        hollow: mark means of a single value, which have no interval, by hollow marks.
        look: of the line.
    """
    import seaborn as sns  # late: it takes a second and loads pyplot, which reading pages needs not

    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    places, which, counts = np.unique(x, return_inverse=True, return_counts=True)
    spread = spread if counts.max(initial=0) > 1 else None
    sns.lineplot(x=x, y=y, errorbar=spread, err_kws=style.BAND, mec="white", ax=axes, legend=False, **look)
    if hollow and 1 in counts:
        alone = counts == 1
        means = np.bincount(which, y) / counts
        axes.plot(places[alone], means[alone], **look | {"ls": "", "mfc": "white", "mew": 1.6, "label": None})


@style.context()
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
    curves = {name: _curve(f"scores[{name!r}]", value)[:, :max_rank] for name, value in named.items()}
    figure = style.new_figure(3.6)
    axes = figure.add_subplot()
    looks = style.looks(curves)
    if chance is not None:
        looks["chance"] |= {"ls": (0, (1, 1.6)), "marker": None}
    for name, rows in curves.items():
        ranks = np.tile(np.arange(1, rows.shape[1] + 1), len(rows))
        _mean_line(axes, ranks, rows.ravel(), _RANGE, label=name, markevery=[0], **looks[name])
    longest = max(rows.shape[1] for rows in curves.values())
    axes.set(xlabel="rank k", ylabel="queries matched within k", xlim=(0.6, longest), ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(style.PERCENT)
    axes.set_xticks([1, *range(5, longest + 1, 5)])
    _end_labels(axes, {name: rows.mean(axis=0) for name, rows in curves.items()}, looks, longest)
    return figure


def _curve(name: str, value: Any) -> np.ndarray:
    rows = np.atleast_2d(np.asarray(value, dtype=float))
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ConfigError(f"{name}: expected a curve (R,) or one per seed (S, R); got shape {rows.shape}")
    if (np.diff(check_numbers(name, rows), axis=1) < -1e-9).any():
        raise ConfigError(f"{name}: a match curve never falls; this one does, so it is not a CMC")
    return rows


def _end_labels(axes: Axes, curves: Mapping[str, np.ndarray], looks: Mapping[str, dict], last: int) -> None:
    """Name each curve at its right end, pushed downwards where names would overlap."""
    low, high = axes.get_ylim()
    room = 0.135 * (high - low)
    y = high + room / 2
    for name, curve in sorted(curves.items(), key=lambda item: (item[1][-1], item[0]), reverse=True):
        y = min(curve[-1], y - room)
        word = name if name == "chance" else f"{name}\nrank-1 {curve[0]:.1%}"
        line = {"arrowstyle": "-", "color": looks[name]["color"], "lw": 1.4, "relpos": (0, 0.5)}
        place = {"xytext": (last * 1.035 + 0.1, y), "va": "center", "annotation_clip": False}
        line |= {"shrinkA": 2, "shrinkB": 0}
        axes.annotate(word, (last, curve[-1]), fontsize=9, linespacing=1.15, arrowprops=line, **place)


@style.context()
def precision_recall(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]], chance: Mapping[str, float] | None = None
) -> Figure:
    """Draw precision against recall of ranked lists.

    Args:
        curves: for each name recall (n,) and precision (n,), fractions in 0..1, in the order of the list.
        chance: for some of the names the precision of a shuffled list, drawn dotted in their colour.

    Raises:
        ConfigError: no curve, lengths that do not agree, values outside 0..1, recall that falls, or a name in
            ``chance`` that has no curve.
    """
    if not curves:
        raise ConfigError("curves: expected at least one named curve; got none")
    for name, (recall, precision) in curves.items():
        if np.ndim(recall) != 1 or np.shape(recall) != np.shape(precision) or not len(recall):
            raise ConfigError(
                f"curves[{name!r}]: expected recall and precision of one length (n,); got shapes {np.shape(recall)} "
                f"and {np.shape(precision)}"
            )
        recall, _ = check_numbers(f"curves[{name!r}]", [recall, precision])
        if (np.diff(recall) < -1e-9).any():
            raise ConfigError(f"curves[{name!r}]: recall never falls along a list; is precision given first?")
    for name, value in (chance or {}).items():
        check_choice("chance", name, curves)
        check_numbers(f"chance[{name!r}]", value, "a fraction in 0..1")
    figure = style.new_figure(3.8)
    axes = figure.add_subplot()
    for name, look in style.looks(curves).items():
        recall, precision = curves[name]
        last = {"markevery": [len(recall) - 1], "mec": "white", "ms": 8, "clip_on": False}
        axes.plot(recall, precision, label=str(name), **last, **look)
        if chance and name in chance:
            axes.axhline(chance[name], color=look["color"], zorder=1, **_DOTTED)
    if chance:
        axes.plot([], [], color=style.QUIET, label="shuffled list", **_DOTTED)
    words = {"xlabel": "recall: share of all that the list has found", "ylabel": "precision: share that is right"}
    axes.set(xlim=(0, 1), ylim=(0, 1.02), **words)
    axes.xaxis.set_major_formatter(style.PERCENT)
    axes.yaxis.set_major_formatter(style.PERCENT)
    style.legend(figure, ncols=2 if max(len(str(name)) for name in curves) > 18 else 4)
    return figure


@style.context()
def training_curves(history: pd.DataFrame, columns: Sequence[str], x: str = "epoch", ylabel: str = "loss") -> Figure:
    """Draw columns of a training history against epochs (or any other column).

    Args:
        history: one row per epoch; if it has a column ``seed``, each curve is the seeds' mean with their range.
        columns: which columns to draw; missing values are skipped.
        x: the column along the horizontal axis.
        ylabel: what the values are, with a unit if there is one.

    Raises:
        ConfigError: a missing column, an empty table or no columns.
    """
    if not columns:
        raise ConfigError("columns: expected at least one column of the history; got none")
    check_table("history", history, [x, *columns], [])
    figure = style.new_figure(3.2)
    axes = figure.add_subplot()
    for column, look in style.looks(columns).items():
        rows = history[[x, column]].dropna()
        _mean_line(axes, rows[x], rows[column], _RANGE, label=column, **look | {"marker": None})
    axes.set(xlabel=x, ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.margins(x=0.02)
    if len(columns) > 1:
        style.legend(figure, ncols=4)
    return figure


@style.context()
def along_iterations(
    table: pd.DataFrame,
    y: str,
    group: str,
    ylabel: str,
    xlabel: str = "round",
    panel: str | None = None,
    percent: bool = False,
    level: tuple[float, str] | None = None,
) -> Figure:
    """Draw values along the rounds of a loop: a line per group, with the 95 % interval of its mean over seeds.

    The band is Student's t interval; a round with one seed has none and its mark is hollow. Bands of more than
    :data:`MOST_BANDS` groups would hide one another: then there are lines alone.

    Args:
        table: columns ``iteration``, ``y``, ``group`` and, where there are several, ``seed``; a row per round, group,
            panel and seed.
        y: column of the values.
        group: column that tells lines apart.
        ylabel: what the values are.
        xlabel: what is counted.
        panel: column that gives each of its values, three at most, axes of its own.
        percent: the values are fractions and are shown in per cent.
        level: height and words of a horizontal line to compare with; the axis then begins at 0.

    Raises:
        ConfigError: a missing column, an empty table, a value that is not finite, a missing group or panel, or several
            rows of one seed.
    """
    columns = [group, panel] if panel else [group]
    check_table("table", table, columns, ["iteration", y])
    for column in columns:
        if table[column].isna().any():
            raise ConfigError(f"table: column {column!r} is missing in some rows; leave these out, or name them")
    check_seeds(table, [*columns, "iteration"])
    looks = style.looks(table[group])
    panels = list(dict.fromkeys(table[panel])) if panel else [None]
    if len(panels) > 3:
        raise ConfigError(f"panel: column {panel!r} has {len(panels)} values; expected 3 at most")
    figure = style.new_figure(3.4)
    for place, shown in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), place + 1)
        for name, look in looks.items():
            rows = table[(table[group] == name) & (True if shown is None else table[panel] == shown)]
            spread = _interval if len(looks) <= MOST_BANDS else None
            _mean_line(axes, rows["iteration"], rows[y], spread, hollow=True, label=str(name), **look)
        if level is not None:
            axes.axhline(level[0], label=level[1], **style.LEVEL)
            axes.set_ylim(bottom=0)
        if shown is not None:
            axes.set_title(str(shown), pad=6)
        if percent:
            axes.yaxis.set_major_formatter(style.PERCENT)
        axes.set(xlabel=xlabel, ylabel=ylabel if not place else "")
        axes.xaxis.set_major_locator(MaxNLocator(10 if len(panels) == 1 else 5, integer=True))
    style.legend(figure)
    return figure


def counts_of_clusters(table: pd.DataFrame, identities: int) -> Figure:
    """Draw the number of clusters along the rounds beside the number of identities.

    Args:
        table: columns ``iteration``, ``value``, ``group`` and ``seed``, as in :func:`along_iterations`.
        identities: the true number, drawn as a level line.

    Raises:
        ConfigError: fewer than one identity, or as :func:`along_iterations`.
    """
    if identities < 1:
        raise ConfigError(f"identities: expected 1 or more; got {identities}")
    return along_iterations(table, "value", "group", "clusters", level=(identities, f"identities: {identities}"))


def frame_drift(table: pd.DataFrame, ylabel: str = "distance to the tracklet's mean") -> Figure:
    """Draw how far frames are from the mean of their tracklet: a line per series with its 95 % interval.

    Args:
        table: columns ``frame`` (position in the tracklet), ``value`` (distance), ``series`` (such as before and after
            linking); a row per picture. The band is Student's t interval of a frame's mean over tracklets; a frame with
            one row has none and its mark is hollow.
        ylabel: what the values are.

    Raises:
        ConfigError: a missing column, an empty table, a value that is not finite, or a missing series.
    """
    check_table("table", table, ["series"], ["frame", "value"])
    renamed = table[["frame", "value", "series"]].rename(columns={"frame": "iteration"})
    figure = along_iterations(renamed, "value", "series", ylabel, "frame of the tracklet")
    figure.axes[0].set_ylim(bottom=0)
    return figure


@style.context()
def pair_distances(positive: np.ndarray, negative: np.ndarray, threshold: float, xlabel: str = "distance") -> Figure:
    """Draw how distances of pairs of one identity and of two are distributed, and the threshold between them.

    The axis ends where 99.5 % of all distances lie, or beyond the threshold; densities count the pairs outside it.

    Args:
        positive: (n,) distances of pairs of one identity, 0 or more.
        negative: (m,) distances of pairs of two.
        threshold: where the densities cross (Fig. 3.3 of the dissertation), drawn as a line with its value.
        xlabel: what the distances are.

    Raises:
        ConfigError: no pairs of a kind, a distance or threshold that is not finite or below 0, or nothing but zeros.
    """
    for name, values in (("positive", positive), ("negative", negative)):
        if np.ndim(values) != 1 or not len(values):
            raise ConfigError(f"{name}: expected at least one distance, shape (n,); got shape {np.shape(values)}")
        check_numbers(name, values, "finite distances of 0 or more", np.inf)
    check_numbers("threshold", threshold, "a finite distance of 0 or more", np.inf)
    end = max(np.quantile(np.concatenate([positive, negative]), 0.995), 1.08 * threshold)
    if end == 0:
        raise ConfigError("positive, negative: every distance is 0, so there is nothing to draw")
    edges = np.linspace(0, end, 61)
    figure = style.new_figure(3.3)
    axes = figure.add_subplot()
    pairs = {"pairs of one identity": positive, "pairs of two": negative}
    for (label, values), colour, line in zip(pairs.items(), style.PALETTE, style.LINES):
        # Not a histogram of seaborn's: its densities leave out what lies beyond the axis.
        density = np.histogram(values, edges)[0] / (len(values) * np.diff(edges))
        axes.stairs(density, edges, color=colour, fill=True, **style.BAND)
        axes.stairs(density, edges, color=colour, lw=2, ls=line, label=label)
    axes.axvline(threshold, **style.LEVEL)
    # The word stands on the side that has more room.
    side, ha = (-1, "right") if threshold > end / 2 else (1, "left")
    place = {"xycoords": ("data", "axes fraction"), "xytext": (5 * side, -2), "textcoords": "offset points"}
    halo = [withStroke(linewidth=3, foreground="white")]
    word = f"threshold {threshold:.3g}"
    axes.annotate(word, (threshold, 1), ha=ha, va="top", fontsize=9.5, path_effects=halo, **place)
    axes.set(xlabel=xlabel, ylabel="density", xlim=(0, end))
    axes.set_ylim(bottom=0)
    style.legend(figure)
    return figure


@style.context()
def cluster_search(trace: pd.DataFrame) -> Figure:
    """Draw a search for the preference of affinity propagation: clusters of the labelled pictures at each probe.

    Args:
        trace: a row per probe, in order: columns ``probe`` (its number), ``p`` (the preference, 0 or less),
            ``labelled_clusters``, and ``wanted``, the same number in each row.

    Raises:
        ConfigError: a missing column, an empty table, a value that is not finite, a preference above 0, or more than
            one wanted number.
    """
    check_table("trace", trace, [], ["probe", "p", "labelled_clusters", "wanted"])
    if (trace["p"] > 0).any():
        raise ConfigError(f"trace: column 'p' must be 0 or less, as similarities are; got {trace['p'].max():g}")
    if trace["wanted"].nunique() > 1:
        raise ConfigError(f"trace: column 'wanted' must hold one number; got {sorted(set(trace['wanted']))}")
    # Drawn without its sign on an axis that runs backwards, because a logarithmic axis needs numbers above 0.
    sizes, counts = -trace["p"].to_numpy(dtype=float), trace["labelled_clusters"].to_numpy(dtype=float)
    wanted = trace["wanted"].iloc[0]
    figure = style.new_figure(3.6)
    axes = figure.add_subplot()
    axes.plot(sizes, counts, color=style.SKY, lw=1.3, zorder=2)
    axes.plot(sizes, counts, "o", color=style.BLUE, ms=7, mfc="white", mew=1.6, zorder=3, label="probe")
    axes.plot(sizes[-1:], counts[-1:], "o", color=style.BLUE, ms=9, mec="white", zorder=4, label="last probe")
    axes.axhline(wanted, label=f"wanted: {wanted:g}", **style.LEVEL)
    if sizes.min() > 0 and sizes.max() / sizes.min() > 8:
        style.logarithmic(axes)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"−{size:g}" if size else "0"))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set(xlabel="preference p", ylabel="exemplars among the labelled")
    axes.margins(0.12)
    axes.invert_xaxis()
    style.legend(figure, handlelength=2)
    if len(trace) <= 40:  # beyond that numbers would hide the search
        name_points(axes, [(f"{probe:g}", style.QUIET) for probe in trace["probe"]], sizes, counts)
    return figure
