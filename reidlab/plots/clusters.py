"""Figures of clusters and of the pseudo-labels they become: distances, searches, maps, rounds, members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch, Polygon
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from reidlab.errors import ConfigError
from reidlab.plots import style
from reidlab.plots.images import _check, _frame, _inch_axes, _label_width, _mark, _place
from reidlab.plots.retrieval import interval_points
from reidlab.plots.video import _PERCENT, _columns, _half_interval, _name_points, _text_width

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OUTLIER = -1

_PURITIES = {"purity": "commonest identity", "camera_purity": "commonest camera"}
_LEVEL = {"color": style.INK, "lw": 1.3, "ls": (0, (4, 2)), "zorder": 1.5}
_DOTS = (0, (1.4, 1.6))
#: Groups whose intervals can be told apart in one figure.
MOST_BANDS = 4
Look = dict[Any, tuple[str, str]]


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
    pairs = {"positive": np.asarray(positive, dtype=float), "negative": np.asarray(negative, dtype=float)}
    for name, values in pairs.items():
        if values.ndim != 1 or not len(values):
            raise ConfigError(f"{name}: expected at least one distance, shape (n,); got shape {values.shape}")
        if not np.isfinite(values).all() or values.min() < 0:
            raise ConfigError(f"{name}: expected finite distances of 0 or more; got {values.min():g}..{values.max():g}")
    if not 0 <= threshold < np.inf:
        raise ConfigError(f"threshold: expected a finite distance of 0 or more; got {threshold}")
    end = max(np.quantile(np.concatenate(list(pairs.values())), 0.995), 1.08 * threshold)
    if end == 0:
        raise ConfigError("positive, negative: every distance is 0, so there is nothing to draw")
    edges = np.linspace(0, end, 61)
    with style.context():
        figure = style.new_figure(3.3)
        axes = figure.add_subplot()
        looks = (
            (style.BLUE, style.LINES[0], "pairs of one identity"),
            (style.VERMILION, style.LINES[1], "pairs of two"),
        )
        for values, (colour, line, label) in zip(pairs.values(), looks):
            density = np.histogram(values, edges)[0] / (len(values) * np.diff(edges))
            axes.stairs(density, edges, color=colour, alpha=0.16, fill=True, lw=0)
            axes.stairs(density, edges, color=colour, lw=2, ls=line, label=label)
        axes.axvline(threshold, **_LEVEL)
        # The word stands on the side that has more room.
        side = -1 if threshold > end / 2 else 1
        axes.annotate(
            f"threshold {threshold:.3g}",
            (threshold, 1),
            xycoords=("data", "axes fraction"),
            xytext=(5 * side, -2),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            va="top",
            fontsize=9.5,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )
        axes.set(xlabel=xlabel, ylabel="density", xlim=(0, end))
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside upper left", ncols=2, handlelength=3)
    return figure


def cluster_search(trace: pd.DataFrame) -> Figure:
    """Draw a search for the preference of affinity propagation: clusters of the labelled pictures at each probe.

    Args:
        trace: a row per probe, in order: columns ``probe`` (its number), ``p`` (the preference, 0 or less),
            ``labelled_clusters``, and ``wanted``, the same number in each row.

    Raises:
        ConfigError: a missing column, an empty table, a value that is not finite, a preference above 0, or more than
            one wanted number.
    """
    _columns("trace", trace, [], ["probe", "p", "labelled_clusters", "wanted"])
    if (trace["p"] > 0).any():
        raise ConfigError(f"trace: column 'p' must be 0 or less, as similarities are; got {trace['p'].max():g}")
    if trace["wanted"].nunique() > 1:
        raise ConfigError(f"trace: column 'wanted' must hold one number; got {sorted(set(trace['wanted']))}")
    # Drawn without its sign on an axis that runs backwards, because a logarithmic axis needs numbers above 0.
    sizes, counts = -trace["p"].to_numpy(dtype=float), trace["labelled_clusters"].to_numpy(dtype=float)
    wanted = trace["wanted"].iloc[0]
    names = [f"{probe:g}" for probe in trace["probe"]]
    with style.context():
        figure = style.new_figure(3.6)
        axes = figure.add_subplot()
        axes.plot(sizes, counts, color=style.SKY, lw=1.3, zorder=2)
        axes.plot(sizes, counts, "o", color=style.BLUE, ms=7, mfc="white", mew=1.6, zorder=3, label="probe")
        axes.plot(sizes[-1:], counts[-1:], "o", color=style.BLUE, ms=9, mec="white", zorder=4, label="last probe")
        axes.axhline(wanted, label=f"wanted: {wanted:g}", **_LEVEL)
        if sizes.min() > 0 and sizes.max() / sizes.min() > 8:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"−{size:g}" if size else "0"))
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set(xlabel="preference p", ylabel="exemplars among the labelled")
        axes.margins(0.12)
        axes.invert_xaxis()
        figure.legend(loc="outside upper left", ncols=3)
        if len(names) <= 40:  # beyond that numbers would hide the search
            _name_points(figure, axes, names, sizes, counts, np.zeros(len(names)), dict.fromkeys(names, style.QUIET))
    return figure


def embedding_maps(
    points: np.ndarray, colourings: Mapping[str, np.ndarray], like: Mapping[str, str] | None = None
) -> Figure:
    """Draw the same points side by side, coloured in several ways; marks repeat what colours say.

    Args:
        points: (N, 2), such as t-SNE or :func:`~reidlab.plots.project` gives.
        colourings: title of each map, four at most, and (N,) whole numbers; -1 (an outlier) is a hollow grey ring.
        like: a map's title and the title of another: its groups take the colours of the groups of the other that they
            share most points with, one to one. Without it the colours of two maps have nothing to do with each other.

    Raises:
        ConfigError: shapes that do not fit, labels that are not whole numbers, nothing to draw, or an unknown title.
    """
    points = _points("points", points)
    if not 1 <= len(colourings) <= 4:
        raise ConfigError(f"colourings: expected 1 to 4 maps; got {len(colourings)}")
    labels = {title: _labels(str(title), values, points) for title, values in colourings.items()}
    like = dict(like or {})
    for title, other in like.items():
        if title not in labels or other not in labels or other in like:
            raise ConfigError(
                f"like: {title!r} takes the colours of {other!r}; expected two of {', '.join(labels)}, of which the "
                "second takes no colours from a third"
            )
    looks = {}
    for title in [title for title in labels if title not in like]:
        followers = [name for name, other in like.items() if other == title]
        looks[title], *rest = _looks(labels[title], [labels[name] for name in followers])
        looks |= dict(zip(followers, rest))
    with style.context():
        figure = style.new_figure(2.75 if len(labels) > 2 else 3.6)
        for place, (title, values) in enumerate(labels.items()):
            axes = _map_axes(figure, len(labels), place, str(title))
            _scatter(axes, points, values, looks[title])
            axes.set_xlabel(_counted(values), fontsize=9, labelpad=4)
    return figure


def cluster_maps(
    points: Sequence[np.ndarray],
    identities: Sequence[np.ndarray],
    clusters: Sequence[np.ndarray],
    titles: Sequence[str],
    labelled: Sequence[np.ndarray] | None = None,
    whole: Sequence[tuple[np.ndarray, np.ndarray]] | None = None,
) -> Figure:
    """Draw maps coloured by cluster with outlines around identities: solid where cluster and identity are the same set.

    A cluster has the colour of the identity that it shares most points with, one to one, in all maps (Fig. 3.4 of the
    dissertation). Marks are identities. Where the points of an identity lie apart, it has several outlines.

    Args:
        points: for each map, (N, 2).
        identities: for each map, (N,) identities.
        clusters: for each map, (N,) clusters; -1 is an outlier and drawn hollow and grey.
        titles: of the maps, three at most.
        labelled: for each map, (N,) bool; outlines of labelled identities are round and thick, others thin.
        whole: for each map identities and clusters of all that was clustered, where the points are a sample of it.
            Without it, a cluster that also holds somebody who is not drawn would pass for a match.

    Raises:
        ConfigError: lengths that do not agree, or an identity of which only some points are labelled.
    """
    count = len(titles)
    if not 1 <= count <= 3:
        raise ConfigError(f"titles: expected 1 to 3 maps; got {count}")
    given = {"points": points, "identities": identities, "clusters": clusters, "labelled": labelled, "whole": whole}
    for name, entries in given.items():
        if entries is not None and len(entries) != count:
            raise ConfigError(f"{name}: expected one entry per map ({count}); got {len(entries)}")
    maps = []
    for n in range(count):
        at = _points(f"points[{n}]", points[n])
        who, found = _labels(f"identities[{n}]", identities[n], at), _labels(f"clusters[{n}]", clusters[n], at)
        known = np.zeros(len(at), dtype=bool) if labelled is None else np.asarray(labelled[n])
        if known.shape != (len(at),) or known.dtype != bool:
            raise ConfigError(
                f"labelled[{n}]: expected one bool per point ({len(at)}); got {known.shape} {known.dtype}"
            )
        if split := [pid for pid in np.unique(who).tolist() if len(set(known[who == pid].tolist())) > 1]:
            raise ConfigError(
                f"labelled[{n}]: only some points of identity {split[0]} are labelled; expected all or none"
            )
        every = (who, found) if whole is None else tuple(np.asarray(part) for part in whole[n])
        if len(every) != 2 or every[0].shape != every[1].shape:
            raise ConfigError(f"whole[{n}]: expected identities and clusters of one length")
        maps.append((at, who, found, known, _matches(*every)))

    people = np.unique(np.concatenate([who for _, who, *_ in maps]))
    pairings = [_paired(found, who) for _, who, found, *_ in maps]
    colours = _shared_colours(people.tolist(), pairings)
    with style.context():
        figure = style.new_figure({1: 4.6, 2: 3.7, 3: 2.9}[count])
        for n, (at, who, found, known, matches) in enumerate(maps):
            axes = _map_axes(figure, count, n, str(titles[n]))
            size = _mark_size(len(at), count)
            for place, pid in enumerate(people.tolist()):
                mark = style.MARKERS[place % len(style.MARKERS)]
                for cluster in np.unique(found[who == pid]).tolist():
                    spots = at[(who == pid) & (found == cluster)]
                    look = {"color": colours[n].get(cluster, style.JUNK), "mec": "white", "mew": 0.5}
                    if cluster == OUTLIER:
                        look = {"color": style.JUNK, "mfc": "none", "mew": 1.0}
                    axes.plot(*spots.T, mark, ms=size, zorder=3, **look)
                own = at[who == pid]
                if len(own):
                    extent = np.ptp(at, axis=0).max() or 1.0
                    # Inches of the map's shorter side, its margin left out: what a mark's size is as a length of it.
                    margin = extent * (0.8 * size + 1.5) / 72 / {1: 3.4, 2: 2.5, 3: 1.7}[count]
                    parts = _parts(own, max(0.12 * extent, 2.2 * margin))
                    _outline(axes, parts, margin, solid=pid in matches, known=bool(known[who == pid].all()))
        handles = [Line2D([], [], color=style.INK, lw=1.4, label="a cluster of its own")]
        handles += [Line2D([], [], color=style.INK, lw=1.4, ls=_DOTS, label="split, mixed or left out")]
        if labelled is not None:
            handles += [Patch(fc="none", ec=style.INK, lw=2.2, label="labelled")]
            handles += [Patch(fc="none", ec=style.INK, lw=1.1, label="unlabelled")]
        if any((found == OUTLIER).any() for _, _, found, *_ in maps):
            handles.append(Line2D([], [], ls="", marker="o", color=style.JUNK, mfc="none", label="outlier"))
        figure.legend(handles=handles, loc="outside upper left", ncols=3, handlelength=2.2, columnspacing=1.4)
    return figure


def split_cluster(points: np.ndarray, identity: np.ndarray, regrouped: np.ndarray) -> Figure:
    """Draw one cluster twice: whom its pictures show, and the clusters it was split into (Fig. 4.4).

    A new cluster has the colour and the mark of the identity that it shares most points with, one to one.

    Args:
        points: (N, 2).
        identity: (N,) identities.
        regrouped: (N,) new clusters.

    Raises:
        ConfigError: shapes that do not fit, or labels that are not whole numbers.
    """
    titles = ("identities", "after splitting")
    return embedding_maps(points, dict(zip(titles, (identity, regrouped))), like={titles[1]: titles[0]})


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
    _columns("table", table, columns, ["iteration", y])
    for column in columns:
        if table[column].isna().any():
            raise ConfigError(f"table: column {column!r} is missing in some rows; leave these out, or name them")
    _one_row_per_seed(table, [*columns, "iteration"])
    names = list(dict.fromkeys(table[group]))
    panels = list(dict.fromkeys(table[panel])) if panel else [None]
    if len(panels) > 3:
        raise ConfigError(f"panel: column {panel!r} has {len(panels)} values; expected 3 at most")
    palette = style.colours(names)
    with style.context():
        figure = style.new_figure(3.4)
        for place, shown in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), place + 1)
            rows = table if shown is None else table[table[panel] == shown]
            for number, name in enumerate(names):
                grouped = rows[rows[group] == name].groupby("iteration")[y]
                mean, seeds = grouped.mean(), grouped.size()
                half = grouped.agg(lambda values: _half_interval(values.to_numpy(dtype=float)))
                if (seeds > 1).any() and len(names) <= MOST_BANDS:
                    axes.fill_between(mean.index, mean - half, mean + half, color=palette[name], alpha=0.18, lw=0)
                look = {"color": palette[name], "marker": style.MARKERS[number % len(style.MARKERS)]}
                axes.plot(mean.index, mean, ls=style.LINES[number % len(style.LINES)], mec="white", **look)
                alone = mean[seeds == 1]
                axes.plot(alone.index, alone, ls="", mfc="white", mew=1.6, **look)
            if level is not None:
                axes.axhline(level[0], **_LEVEL)
                axes.set_ylim(bottom=0)
            if shown is not None:
                axes.set_title(str(shown), pad=6)
            if percent:
                axes.yaxis.set_major_formatter(_PERCENT)
            axes.set(xlabel=xlabel, ylabel=ylabel if not place else "")
            axes.xaxis.set_major_locator(MaxNLocator(10 if len(panels) == 1 else 5, integer=True))
        handles = [
            Line2D([], [], color=palette[name], ls=style.LINES[i % len(style.LINES)], label=str(name), mec="white",
                   marker=style.MARKERS[i % len(style.MARKERS)])
            for i, name in enumerate(names)
        ]  # fmt: skip
        if level is not None:
            handles.append(Line2D([], [], label=level[1], **_LEVEL))
        figure.legend(handles=handles, loc="outside upper left", ncols=3, handlelength=3)
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


def purity_points(table: pd.DataFrame) -> Figure:
    """Draw for each method how pure clusters are in identities and in cameras: a point per seed and their mean.

    Clusters that hold one camera each learn the camera and not the person.

    Args:
        table: columns ``method``, ``key`` (``purity`` or ``camera_purity``), ``value`` (a fraction) and ``seed``; a row
            per seed.

    Raises:
        ConfigError: a missing column, an empty table, another key, a value outside 0..1, or several rows of one seed.
    """
    _columns("table", table, ["method", "key"], ["value"])
    if other := sorted(set(table["key"]) - set(_PURITIES)):
        raise ConfigError(f"table: column 'key' holds {other[0]!r}; expected {' or '.join(_PURITIES)}")
    if not table["value"].between(0, 1).all():
        raise ConfigError("table: column 'value' must hold fractions in 0..1")
    _one_row_per_seed(table, ["method", "key"])
    named = table.assign(key=table["key"].map(_PURITIES))
    return interval_points(named, label="method", group="key", xlabel="share of a cluster's pictures")


def cluster_galleries(rows: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]]) -> Figure:
    """Show clusters as rows of pictures, the exemplar first (Fig. 3.6): a tick for its identity, a cross for another.

    A dashed ring holds the neighbours in a row that were trained on: the reliable subset.

    Args:
        rows: for each row a label, (M, H, W, 3) uint8 pictures, (M,) bool whether they have the exemplar's identity,
            and (M,) bool whether they were trained on.

    Raises:
        ConfigError: nothing to show, too much for the page, lengths that do not agree, or something that is no picture.
    """
    if not rows:
        raise ConfigError("rows: expected at least one cluster; got none")
    shown = []
    for number, (label, pictures, right, selected) in enumerate(rows):
        if not len(pictures) or not len(pictures) == len(right) == len(selected):
            raise ConfigError(
                f"rows[{number}]: {label!r} has {len(pictures)} pictures, {len(right)} verdicts and {len(selected)} "
                "selections; expected one of each per picture, and at least one picture"
            )
        checked = [_check(picture, f"rows[{number}]: picture {place}") for place, picture in enumerate(pictures)]
        shown.append((checked, [bool(good) for good in right], [bool(kept) for kept in selected]))
    labels, left = _label_width([str(row[0]) for row in rows], wrap=12)
    deep = max(len(pictures) for pictures, *_ in shown)
    gap, side, top = 0.15, 0.12, 0.3
    width = min(0.62, (style.WIDTH - left - 2 * side - (deep - 1) * gap) / deep)
    if width < 0.15:
        raise ConfigError(f"rows: {deep} pictures in a row are too many to be seen; show fewer of them")
    height = width * shown[0][0][0].shape[0] / shown[0][0][0].shape[1]
    step = height + 0.27
    foot = top + step * len(rows) + 0.06
    # A row of few pictures still leaves room for the key.
    total = max(left + 2 * side + deep * width + (deep - 1) * gap, left + 4.6)
    with style.context():
        figure, axes = _inch_axes(total, foot + 0.2)
        axes.text(left + side + width / 2, top - 0.12, "exemplar", ha="center", va="bottom", fontsize=8.5)
        for number, (pictures, right, selected) in enumerate(shown):
            y = top + number * step
            axes.text(left - 0.04, y + height / 2, labels[number], ha="right", va="center", fontsize=9.5)
            for place, picture in enumerate(pictures):
                x = left + side + place * (width + gap)
                _place(axes, picture, x, y, width, height)
                _frame(axes, x, y, width, height, style.MATCH if right[place] else style.OTHER, 2.2)
                _mark(axes, right[place], x + width - 0.06, y + 0.06, min(0.075, 0.2 * width))
            for first, last in _runs(selected):
                x = left + side + first * (width + gap)
                _ring(axes, x - 0.05, y - 0.05, (last - first) * (width + gap) + width + 0.1, height + 0.1)
        x = left + side
        for kind, words in ((True, "the exemplar's identity"), (False, "another")):
            _mark(axes, kind, x + 0.06, foot, 0.075)
            axes.text(x + 0.2, foot, words, va="center", fontsize=9)
            x += 0.4 + _text_width([words], 9)
        _ring(axes, x, foot - 0.08, 0.34, 0.16)
        axes.text(x + 0.42, foot, "trained on", va="center", fontsize=9)
        axes.set(xlim=(0, total), ylim=(foot + 0.2, 0))
    return figure


def _one_row_per_seed(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a table whose means would mix more than seeds, such as two data sets; without seeds there is no telling.

    Raises:
        ConfigError: a seed has several rows.
    """
    if "seed" in table and (again := table.duplicated([*columns, "seed"])).any():
        row = table.loc[again, [*columns, "seed"]].iloc[0]
        words = ", ".join(f"{column} {value}" for column, value in row.items())
        raise ConfigError(f"table: several rows of {words}; choose those of one experiment first")


def _points(name: str, points: Any) -> np.ndarray:
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise ConfigError(f"{name}: expected finite positions of shape (N, 2), N > 0; got shape {points.shape}")
    return points


def _labels(name: str, labels: Any, points: np.ndarray) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.shape != (len(points),) or labels.dtype.kind not in "iu":
        raise ConfigError(
            f"{name}: expected one whole number per point, shape ({len(points)},); got {labels.shape} {labels.dtype}"
        )
    return labels


def _paired(labels: np.ndarray, reference: np.ndarray) -> dict[int, int | None]:
    """Return for each label the one of the reference it shares most points with, one to one; None if there is none."""
    from scipy.optimize import linear_sum_assignment

    names, others = (np.unique(values[values != OUTLIER]) for values in (labels, reference))
    shared = np.array([[((labels == a) & (reference == b)).sum() for b in others] for a in names])
    shared = shared.reshape(len(names), len(others))
    pairs = {int(names[a]): int(others[b]) for a, b in zip(*linear_sum_assignment(-shared)) if shared[a, b]}
    return {name: pairs.get(name) for name in names.tolist()}


def _shared_colours(names: Sequence[int], pairings: Sequence[Mapping[int, int | None]]) -> list[dict[int, str]]:
    """Return for each pairing the colours of its labels: their partner's among ``names``, or one that nobody has."""
    extra = max((sum(partner is None for partner in pairs.values()) for pairs in pairings), default=0)
    palette = list(style.colours(range(len(names) + extra)).values())
    places = {name: place for place, name in enumerate(names)}
    coloured = []
    for pairs in pairings:
        free = iter(palette[len(names) :])
        coloured.append({a: next(free) if b is None else palette[places[b]] for a, b in pairs.items()})
    return coloured


def _looks(reference: np.ndarray, followers: Sequence[np.ndarray]) -> list[Look]:
    """Return colour and mark of each label of a reference and of labels that take its colours and marks."""
    names = np.unique(reference[reference != OUTLIER]).tolist()
    pairings = [dict(zip(names, names)), *(_paired(labels, reference) for labels in followers)]
    colours = _shared_colours(names, pairings)
    # Marks follow colours: the n-th colour has the n-th mark, in all maps.
    order = {colour: n for n, colour in enumerate(dict.fromkeys(c for chosen in colours for c in chosen.values()))}
    marks = style.MARKERS
    return [{name: (c, marks[order[c] % len(marks)]) for name, c in chosen.items()} for chosen in colours]


def _matches(identities: np.ndarray, clusters: np.ndarray) -> set[int]:
    """Return the identities that are, to the last picture, one cluster."""
    matches = set()
    for pid in np.unique(identities).tolist():
        found = np.unique(clusters[identities == pid])
        if len(found) == 1 and found[0] != OUTLIER and (identities[clusters == found[0]] == pid).all():
            matches.add(pid)
    return matches


def _mark_size(count: int, maps: int) -> float:
    """Return the size of marks in points: smaller where there are many points on little room."""
    return float(np.clip(80 / np.sqrt(count * maps), 4.2, 7.0))


def _map_axes(figure: Figure, count: int, place: int, title: str) -> Axes:
    axes = figure.add_subplot(1, count, place + 1)
    axes.set_title(title, fontsize=10.5, pad=5)
    axes.set(xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(visible=False)
    axes.margins(0.09)
    for edge in axes.spines.values():
        edge.set(visible=True, color=style.RULE)
    return axes


def _scatter(axes: Axes, points: np.ndarray, labels: np.ndarray, look: Look) -> None:
    size = _mark_size(len(points), 3)
    out = points[labels == OUTLIER]
    axes.plot(*out.T, "o", color=style.JUNK, mfc="none", ms=0.75 * size, mew=0.9, zorder=1)
    for label, (colour, mark) in look.items():
        axes.plot(*points[labels == label].T, mark, color=colour, ms=size, mec="white", mew=0.45, zorder=2)


def _counted(labels: np.ndarray) -> str:
    """Say how many groups a map shows, because nobody counts colours."""
    groups, out = len(np.unique(labels[labels != OUTLIER])), int((labels == OUTLIER).sum())
    words = f"{groups} group" + "s" * (groups != 1)
    return f"{words}, {out} outlier" + "s" * (out != 1) if out else words


def _parts(points: np.ndarray, gap: float) -> list[np.ndarray]:
    """Return points in the parts that lie at least ``gap`` apart."""
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(points) == 1:
        return [points]
    parts = fcluster(linkage(points, "single"), gap, "distance")
    return [points[parts == part] for part in np.unique(parts)]


def _outline(axes: Axes, parts: Sequence[np.ndarray], margin: float, solid: bool, known: bool) -> None:
    """Draw a hull around each part of an identity: round and thick if it is labelled, else angular and thin."""
    from scipy.spatial import ConvexHull

    # The hull of rings or squares around the points, and not of the points, exists for a single one too.
    turns = np.arange(24) * np.pi / 12 if known else np.pi / 4 + np.arange(4) * np.pi / 2
    around = margin * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    for part in parts:
        corners = (part[:, None] + around).reshape(-1, 2)
        corners = corners[ConvexHull(corners).vertices]
        look = {"ec": style.INK, "lw": 2.2 if known else 1.1, "ls": "-" if solid else _DOTS}
        axes.add_patch(Polygon(corners, closed=True, fill=False, zorder=2, **look))


def _runs(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """Return first and last position of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(flags, dtype=int), [0]])))
    return [(int(start), int(end) - 1) for start, end in zip(edges[::2], edges[1::2])]


def _ring(axes: Axes, x: float, y: float, width: float, height: float) -> None:
    corners = "round,pad=0,rounding_size=0.07"
    look = {"fill": False, "ec": style.BLUE, "lw": 1.7, "ls": (0, (3, 1.6)), "zorder": 4}
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=corners, **look))
