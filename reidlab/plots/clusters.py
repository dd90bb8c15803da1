"""Figures about clusters and pseudo-labels: chapters 3 and 4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Polygon, Rectangle
from matplotlib.ticker import MaxNLocator

from reidlab.errors import ConfigError
from reidlab.plots import style
from reidlab.plots.images import _check, _frame, _inch_axes, _label_width, _mark, _place
from reidlab.plots.video import _columns, _half_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OUTLIER = -1


def pair_distances(positive: np.ndarray, negative: np.ndarray, threshold: float, xlabel: str = "distance") -> Figure:
    """Draw how distances of pairs of one identity and of two are distributed, and the threshold between them.

    Args:
        positive: distances of pairs of one identity.
        negative: distances of pairs of two.
        threshold: drawn as a line with its value.
        xlabel: what the distances are.

    Raises:
        ConfigError: a sample is empty or not finite.
    """
    for name, values in (("positive", positive), ("negative", negative)):
        if not len(values) or not np.isfinite(values).all():
            raise ConfigError(f"{name}: expected at least one distance, all finite; got {len(values)}")
    edges = np.linspace(0, np.quantile(np.concatenate([positive, negative]), 0.995), 61)
    with style.context():
        figure = style.new_figure(3.2)
        axes = figure.add_subplot()
        for values, colour, line, label in (
            (positive, style.BLUE, style.LINES[0], "one identity"),
            (negative, style.VERMILION, style.LINES[1], "two identities"),
        ):
            height, _ = np.histogram(values, edges)
            height = height / (len(values) * np.diff(edges))
            axes.stairs(height, edges, color=colour, alpha=0.16, fill=True, lw=0)
            axes.stairs(height, edges, color=colour, lw=2, ls=line, label=label)
        axes.axvline(threshold, color=style.INK, lw=1.4, ls=(0, (4, 2)))
        axes.annotate(
            f"{threshold:.3g}", (threshold, 1), xycoords=("data", "axes fraction"), xytext=(4, -2),
            textcoords="offset points", va="top", fontsize=9.5,
        )  # fmt: skip
        axes.set(xlabel=xlabel, ylabel="density")
        axes.set_xlim(0, edges[-1])
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside upper left", ncols=2, handlelength=3)
    return figure


def cluster_search(trace: pd.DataFrame) -> Figure:
    """Draw a search for the preference of affinity propagation: clusters of the labelled pictures at each probe.

    Args:
        trace: columns ``probe``, ``p`` (the preference, below 0), ``labelled_clusters`` and ``wanted``.

    Raises:
        ConfigError: a missing column, an empty table, or a value that is not finite.
    """
    _columns("trace", trace, [], ["probe", "p", "labelled_clusters", "wanted"])
    with style.context():
        figure = style.new_figure(3.2)
        axes = figure.add_subplot()
        p, count = -trace["p"].to_numpy(dtype=float), trace["labelled_clusters"].to_numpy(dtype=float)
        axes.plot(p, count, color=style.RULE, lw=1.2, zorder=1)
        axes.plot(p, count, "o", color=style.BLUE, ms=13, mec="white", zorder=2)
        for probe, x, y in zip(trace["probe"], p, count):
            axes.text(x, y, f"{probe}", color="white", ha="center", va="center", fontsize=8, weight="bold", zorder=3)
        wanted = float(trace["wanted"].iloc[0])
        axes.axhline(wanted, color=style.INK, lw=1.2, ls=(0, (4, 2)))
        axes.annotate(
            "identities", (1, wanted), xycoords=("axes fraction", "data"), xytext=(-2, 4), textcoords="offset points",
            ha="right", fontsize=9.5,
        )  # fmt: skip
        if p.min() > 0 and p.max() / p.min() > 20:
            axes.set_xscale("log")
        axes.set(xlabel="minus the preference p", ylabel="exemplars among the labelled")
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.margins(0.08)
    return figure


def embedding_maps(points: np.ndarray, colourings: Mapping[str, np.ndarray]) -> Figure:
    """Draw the same points side by side, coloured in several ways; where there are few colours, marks differ too.

    Args:
        points: (N, 2), such as t-SNE gives.
        colourings: title of each map, and (N,) whole numbers; -1 (an outlier) is drawn in grey.

    Raises:
        ConfigError: shapes do not fit, or nothing is to be drawn.
    """
    points = _points(points)
    if not colourings:
        raise ConfigError("colourings: expected at least one")
    with style.context():
        figure = style.new_figure(2.55 if len(colourings) > 2 else 3.3)
        for place, (title, labels) in enumerate(colourings.items()):
            axes = figure.add_subplot(1, len(colourings), place + 1)
            _scatter(axes, points, _labels(title, labels, points))
            axes.set_title(title, fontsize=10.5, pad=5)
    return figure


def cluster_maps(
    points: Sequence[np.ndarray],
    identities: Sequence[np.ndarray],
    clusters: Sequence[np.ndarray],
    titles: Sequence[str],
    labelled: Sequence[np.ndarray] | None = None,
) -> Figure:
    """Draw maps coloured by cluster, with outlines around identities: solid where cluster and identity agree.

    Args:
        points: for each map, (N, 2).
        identities: for each map, (N,) identities.
        clusters: for each map, (N,) clusters; -1 is an outlier.
        titles: of the maps.
        labelled: for each map, (N,) bool; outlines of labelled identities are thicker.

    Raises:
        ConfigError: lengths that do not agree.
    """
    if not len(points) == len(identities) == len(clusters) == len(titles) or not len(points):
        raise ConfigError("points, identities, clusters, titles: expected one of each per map, and at least one map")
    with style.context():
        figure = style.new_figure(3.5)
        for place, (at, who, found) in enumerate(zip(points, identities, clusters)):
            at = _points(at)
            who, found = _labels("identities", who, at), _labels("clusters", found, at)
            axes = figure.add_subplot(1, len(points), place + 1)
            _scatter(axes, at, found)
            for pid in np.unique(who):
                own = who == pid
                inside = np.unique(found[own])
                agrees = len(inside) == 1 and inside[0] != OUTLIER and (who[found == inside[0]] == pid).all()
                thick = labelled is not None and bool(np.asarray(labelled[place])[own].all())
                _outline(axes, at[own], solid=bool(agrees), width=2.2 if thick else 1.2)
            axes.set_title(titles[place], fontsize=10.5, pad=5)
    return figure


def split_cluster(points: np.ndarray, identity: np.ndarray, regrouped: np.ndarray) -> Figure:
    """Draw one cluster twice: whom its pictures show, and the clusters it was split into.

    Args:
        points: (N, 2).
        identity: (N,) identities.
        regrouped: (N,) new clusters.
    """
    return embedding_maps(points, {"identities": identity, "after splitting": regrouped})


def along_iterations(table: pd.DataFrame, y: str, group: str, ylabel: str, xlabel: str = "round") -> Figure:
    """Draw values along the rounds of a loop: a line per group, with the 95 % interval of its mean over seeds.

    Args:
        table: columns ``iteration``, ``y`` and ``group``; a row per seed. Where there is one seed there is no band.
        y: column of the values.
        group: column that tells lines apart.
        ylabel: what the values are.
        xlabel: what is counted.

    Raises:
        ConfigError: a missing column, an empty table, or a value that is not finite.
    """
    _columns("table", table, [group], ["iteration", y])
    names = list(dict.fromkeys(table[group]))
    palette = style.colours(names)
    with style.context():
        figure = style.new_figure(3.4)
        axes = figure.add_subplot()
        for number, name in enumerate(names):
            grouped = table[table[group] == name].groupby("iteration")[y]
            mean, half = grouped.mean(), grouped.agg(lambda values: _half_interval(values.to_numpy(dtype=float)))
            axes.fill_between(mean.index, mean - half, mean + half, color=palette[name], alpha=0.18, lw=0)
            axes.plot(
                mean.index, mean, color=palette[name], ls=style.LINES[number % len(style.LINES)], mec="white",
                marker=style.MARKERS[number % len(style.MARKERS)], label=str(name),
            )  # fmt: skip
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
        figure.legend(loc="outside upper left", ncols=3, handlelength=3)
    return figure


def counts_of_clusters(table: pd.DataFrame, identities: int) -> Figure:
    """Draw the number of clusters along the rounds beside the number of identities.

    Args:
        table: columns ``iteration``, ``value`` and ``group``; a row per seed.
        identities: the true number.
    """
    figure = along_iterations(table, "value", "group", "clusters")
    axes = figure.axes[0]
    with style.context():
        axes.axhline(identities, color=style.INK, lw=1.2, ls=(0, (4, 2)))
        axes.annotate(
            "identities", (1, identities), xycoords=("axes fraction", "data"), xytext=(-2, 4),
            textcoords="offset points", ha="right", fontsize=9.5,
        )  # fmt: skip
        axes.set_ylim(bottom=0)
    return figure


def purity_points(table: pd.DataFrame) -> Figure:
    """Draw for each method how pure clusters are in identities and in cameras: a point per seed and their mean.

    Args:
        table: columns ``method``, ``key`` (``purity`` or ``camera_purity``) and ``value``; a row per seed.
    """
    from reidlab.plots.retrieval import interval_points

    _columns("table", table, ["method", "key"], ["value"])
    words = {"purity": "commonest identity", "camera_purity": "commonest camera"}
    named = table.assign(key=[words.get(key, key) for key in table["key"]])
    return interval_points(named, label="method", group="key", xlabel="share of a cluster's pictures")


def cluster_galleries(rows: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]]) -> Figure:
    """Show clusters as rows of pictures, the exemplar first: a tick and a green frame for its identity, else a cross.

    A bar under a picture says that it was trained on.

    Args:
        rows: for each row a label, (M, H, W, 3) uint8 pictures, (M,) bool whether they have the exemplar's identity,
            and (M,) bool whether they were trained on.

    Raises:
        ConfigError: nothing to show, lengths that do not agree, or something that is not a picture.
    """
    if not rows:
        raise ConfigError("rows: expected at least one cluster; got none")
    for label, pictures, right, selected in rows:
        if not len(pictures) or not len(pictures) == len(right) == len(selected):
            raise ConfigError(
                f"rows: {label!r} has {len(pictures)} pictures, {len(right)} verdicts and {len(selected)} selections; "
                "expected one of each per picture, and at least one picture"
            )
    labels, left = _label_width([row[0] for row in rows], wrap=12)
    deep = max(len(row[1]) for row in rows)
    gap = 0.09
    width = min(0.62, (style.WIDTH - left - 0.12 - deep * gap) / deep)
    height = width * rows[0][1].shape[1] / rows[0][1].shape[2]
    step = height + 0.27
    with style.context():
        figure, axes = _inch_axes(left + 0.12 + deep * (width + gap), 0.12 + step * len(rows) + 0.22)
        for number, (label, (_, pictures, right, selected)) in enumerate(zip(labels, rows)):
            top = 0.12 + number * step
            axes.text(left - 0.04, top + height / 2, label, ha="right", va="center", fontsize=9.5)
            for place, picture in enumerate(pictures):
                x = left + 0.06 + place * (width + gap)
                _place(axes, _check(picture, f"rows[{number}][{place}]"), x, top, width, height)
                good = bool(right[place])
                _frame(axes, x, top, width, height, style.MATCH if good else style.OTHER, 2.2)
                _mark(axes, good, x + width - 0.06, top + 0.06, 0.075)
                if selected[place]:
                    axes.add_patch(Rectangle((x, top + height + 0.06), width, 0.05, fc=style.BLUE, ec="none"))
        foot = 0.12 + step * len(rows) + 0.08
        axes.add_patch(Rectangle((left + 0.06, foot - 0.025), 0.3, 0.05, fc=style.BLUE, ec="none"))
        axes.text(left + 0.42, foot, "trained on", va="center", fontsize=9.5)
    return figure


def _points(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise ConfigError(f"points: expected finite (N, 2) with N of at least 1; got {points.shape}")
    return points


def _labels(name: str, labels: np.ndarray, points: np.ndarray) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.shape != (len(points),):
        raise ConfigError(f"{name}: expected one label per point, ({len(points)},); got {labels.shape}")
    return labels


def _scatter(axes: Axes, points: np.ndarray, labels: np.ndarray) -> None:
    palette = style.colours(sorted(set(labels.tolist()) - {OUTLIER}))
    out = labels == OUTLIER
    axes.plot(*points[out].T, "x", color=style.JUNK, ms=3.5, mew=0.9, alpha=0.7)
    for number, (label, colour) in enumerate(palette.items()):
        mark = style.MARKERS[number % len(style.MARKERS)]
        axes.plot(*points[labels == label].T, mark, color=colour, ms=4, mec="white", mew=0.4)
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.margins(0.06)
    for side in axes.spines.values():
        side.set_visible(True)
        side.set_color(style.RULE)


def _outline(axes: Axes, points: np.ndarray, solid: bool, width: float) -> None:
    """Draw a hull around points, a little larger than they need; fewer than three get a ring."""
    from scipy.spatial import ConvexHull, QhullError

    centre = points.mean(axis=0)
    try:
        corners = points[ConvexHull(points).vertices]
    except (QhullError, ValueError):
        angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        reach = max(float(np.abs(points - centre).max()), 1e-6)
        corners = centre + reach * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    corners = centre + (corners - centre) * 1.12
    line = "-" if solid else (0, (2, 2))
    axes.add_patch(Polygon(corners, closed=True, fill=False, ec=style.INK, lw=width, ls=line, zorder=1.5))
