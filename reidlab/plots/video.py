"""Figures of tracklets and of what networks for them cost: attention, boxes drawn anew, wrong labels, trade-offs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import Bbox

from reidlab.errors import ConfigError
from reidlab.plots import style
from reidlab.plots.images import _check, _frame, _inch_axes, _place

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COST_KINDS = {
    "conv": ("convolution", style.BLUE, ""),
    "linear": ("linear", style.SKY, "..."),
    "projection": ("projection of attention", style.ORANGE, "///"),
    "product": ("product of attention", style.VERMILION, "xxx"),
    "norm": ("normalisation", style.GREEN, "---"),
    "pool": ("pooling", style.PURPLE, "|||"),
    "other": ("other", style.JUNK, "\\\\\\"),
}
"""Kinds of operation in the order of their bars: words of the legend, colour, hatching."""

_PERCENT = FuncFormatter(lambda value, _: f"{round(100 * value, 6):g} %")
_ATTENTION = {"cmap": "inferno", "alpha": 0.62}


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
        ConfigError: a missing column, an empty table, a value that is not finite, or a cost of 0 or less where
            ``log_x`` asks for its logarithm.
    """
    _columns("points", points, [label], [x, y])
    if log_x and (points[x] <= 0).any():
        raise ConfigError(f"points: column {x!r} must be above 0 on a logarithmic axis; got {points[x].min():g}")
    names = list(dict.fromkeys(points[label]))
    rows = [points[points[label] == name] for name in names]
    costs = np.array([row[x].mean() for row in rows], dtype=float)
    means = np.array([row[y].mean() for row in rows], dtype=float)
    spreads = np.array([_half_interval(row[y].to_numpy(dtype=float)) for row in rows])
    palette = style.colours(names)
    with style.context():
        figure = style.new_figure(4.0)
        axes = figure.add_subplot()
        front = _frontier(costs, means)
        axes.plot(costs[front], means[front], color=style.RULE, lw=3, zorder=1, label="frontier")
        for i, name in enumerate(names):
            many = len(rows[i]) > 1
            if many:
                axes.errorbar(costs[i], means[i], yerr=spreads[i], color=palette[name], lw=2, capsize=0, zorder=3)
            axes.plot(
                costs[i],
                means[i],
                style.MARKERS[i % len(style.MARKERS)],
                ms=9,
                color=palette[name],
                mfc=palette[name] if many else "white",
                mec="white" if many else palette[name],
                mew=1.2 if many else 1.8,
                zorder=4,
                label=str(name),
            )
        axes.set(xlabel=xlabel or x, ylabel=ylabel or y)
        if log_x:
            axes.set_xscale("log")
            # A decade or two at most: 1, 2 and 5 of each are named, because powers of ten alone would be one tick.
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.16, y=0.14)
        if percent:
            axes.yaxis.set_major_formatter(_PERCENT)
        _name_points(figure, axes, names, costs, means, spreads, palette)
    return figure


def _frontier(costs: np.ndarray, scores: np.ndarray) -> list[int]:
    """Return the positions, by rising cost, of those that score more than everything that costs no more."""
    front, best = [], -np.inf
    for place in np.lexsort((-scores, costs)):
        if scores[place] > best:
            best = scores[place]
            front.append(int(place))
    return front


def _name_points(
    figure: style.BookFigure,
    axes: Axes,
    names: Sequence[Any],
    xs: np.ndarray,
    ys: np.ndarray,
    spreads: np.ndarray,
    palette: Mapping[Any, str],
) -> None:
    """Write each name beside its mark, at the nearest place where it hides no mark, no interval and no other name.

    Places are tried in circles that grow around the mark; a name that had to go far gets a line to its mark, and the
    line crosses no other line, name, mark or interval where there is a way around them.
    """
    figure.draw_without_rendering()  # settles the layout, so that places in pixels mean something
    inside = axes.get_window_extent()
    dot = figure.dpi / 72
    spots, lows, highs = (axes.transData.transform(np.column_stack([xs, y])) for y in (ys, ys - spreads, ys + spreads))
    marks = [Bbox([(x - 6 * dot, y - 6 * dot), (x + 6 * dot, y + 6 * dot)]) for x, y in spots]
    bars = [Bbox([(x - 2 * dot, low), (x + 2 * dot, high)]) for (x, low), (_, high) in zip(lows, highs)]
    words: list[Bbox] = []
    lines: list[tuple[np.ndarray, np.ndarray]] = []
    angles = sorted(range(-165, 181, 15), key=lambda angle: (abs(np.sin(np.deg2rad(angle))).round(6), abs(angle)))
    for place, (name, x, y, spot) in enumerate(zip(names, xs, ys, spots)):
        others = [*marks[:place], *marks[place + 1 :], *bars[:place], *bars[place + 1 :]]
        others = [other for other in others if not other.contains(*spot)]
        look = {"ha": "center", "va": "center", "fontsize": 9, "zorder": 5}
        halo = [withStroke(linewidth=2.5, foreground="white")]
        text = axes.annotate(str(name), (x, y), xytext=(0, 0), textcoords="offset points", path_effects=halo, **look)
        extent = text.get_window_extent()
        half = np.array([extent.width, extent.height]) / 2 + dot
        best = None
        for radius in range(9, 150, 7):
            for angle in angles:
                # The edge of the text, and not its middle, stays `radius` points from the mark.
                turn = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
                shift = turn * (radius * dot + half)
                box = Bbox([spot + shift - half, spot + shift + half])
                near = np.clip(spot, box.min, box.max)
                far = np.hypot(*(near - spot)) > 15 * dot
                bad = sum(_shared_area(box, other) for other in (*marks, *bars, *words))
                bad += box.width * box.height - _shared_area(box, inside)
                bad += 1e3 * sum(_crosses((spot, near), line) for line in lines if far)
                bad += 1e3 * sum(_meets((spot, near), other) for other in (*words, *others) if far)
                bad += 1e3 * sum(_meets(line, box) for line in lines)
                if best is None or bad < best[0] - 1e-6:
                    best = (bad, shift, box, near if far else None)
            if best[0] <= 1e-6:
                break
        _, shift, box, near = best
        text.set_position(tuple(shift / dot))
        words.append(box)
        if near is not None:
            lines.append((spot, near))
            look = {"arrowstyle": "-", "color": palette[name], "lw": 0.9, "shrinkA": 0, "shrinkB": 5}
            place = {"xytext": tuple((near - spot) / dot), "textcoords": "offset points", "zorder": 2}
            axes.annotate("", (x, y), arrowprops=look, **place)


def _crosses(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> bool:
    """Return whether two straight lines between points cross."""

    def side(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> float:
        return np.sign((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

    return side(*a, b[0]) != side(*a, b[1]) and side(*b, a[0]) != side(*b, a[1])


def _meets(line: tuple[np.ndarray, np.ndarray], box: Bbox) -> bool:
    """Return whether a straight line between two points enters a box."""
    points = np.linspace(*line, 200)
    return bool(((points >= box.min) & (points <= box.max)).all(axis=1).any())


def _shared_area(a: Bbox, b: Bbox) -> float:
    both = Bbox.intersection(a, b)
    return both.width * both.height if both is not None else 0.0


def attention_strip(
    rows: Sequence[tuple[str, np.ndarray, np.ndarray]],
    query: tuple[int, int, int],
    limit: float | None = None,
    caption: str = "attention weight",
) -> Figure:
    """Show frames of tracklets and, under them, where one place of one frame looks.

    Weights of all rows share one scale of colours, drawn at the bottom as they look over a mid grey.

    Args:
        rows: for each tracklet a title, its frames (T, H, W, 3) uint8 RGB, and weights (T, h, w), none negative.
        query: frame, row and column, on the map (T, h, w), of the place that looks; it is framed.
        limit: the weight at the end of the scale; larger ones look the same. The largest weight by default.
        caption: what the weights are.

    Raises:
        ConfigError: no row, something that is no picture, weights that do not fit, a query outside the map, or a limit
            that is not above 0.
    """
    strips = []
    for number, (title, pictures, weights) in enumerate(rows):
        frames = _pictures(pictures, f"rows[{number}]: pictures")
        weights = np.asarray(weights, dtype=float)
        if weights.ndim != 3 or len(weights) != len(frames) or 0 in weights.shape:
            raise ConfigError(
                f"rows[{number}]: expected weights (T, h, w) for {len(frames)} frames; got shape {weights.shape}"
            )
        if not np.isfinite(weights).all() or weights.min() < 0:
            raise ConfigError(f"rows[{number}]: expected weights that are finite and not negative")
        if len(query) != 3 or any(not 0 <= place < size for place, size in zip(query, weights.shape)):
            raise ConfigError(f"query: {tuple(query)} is not on the map of rows[{number}], shape {weights.shape}")
        strips.append((title, frames, weights))
    if not strips:
        raise ConfigError("rows: expected at least one tracklet; got none")
    if limit is not None and not 0 < limit < np.inf:
        raise ConfigError(f"limit: expected a weight above 0; got {limit}")

    largest = max(weights.max() for _, _, weights in strips)
    top_weight = limit or largest or 1.0
    count = max(len(frames) for _, frames, _ in strips)
    labels, left = _row_labels([title for title, _, _ in strips], wrap=14)
    gap, between = 0.05, 0.16
    width, height = _cell(strips[0][1][0], count, style.WIDTH - left - 0.04, gap, widest=0.9)
    block = 2 * height + gap + between
    low = 0.04 + len(strips) * block
    total = max(left + 0.04 + count * (width + gap), left + 3.4)
    with style.context():
        figure, axes = _inch_axes(total, low + 0.42)
        for number, (_, frames, weights) in enumerate(strips):
            top = 0.04 + number * block
            axes.text(left - 0.08, top + height + gap / 2, labels[number], ha="right", va="center", fontsize=9.5)
            cell = (width / weights.shape[2], height / weights.shape[1])
            for t, picture in enumerate(frames):
                x, y = left + 0.02 + t * (width + gap), top + height + gap
                _place(axes, picture, x, top, width, height)
                _place(axes, _grey(picture), x, y, width, height)
                axes.imshow(
                    weights[t],
                    extent=(x, x + width, y + height, y),
                    aspect="auto",
                    vmin=0,
                    vmax=top_weight,
                    interpolation="bilinear",
                    zorder=3,
                    **_ATTENTION,
                )
                if t == query[0]:
                    for above in (top, y):
                        corner = (x + query[2] * cell[0], above + query[1] * cell[1])
                        for colour, points in (("white", 3.4), (style.BLUE, 1.8)):
                            axes.add_patch(Rectangle(corner, *cell, fill=False, ec=colour, lw=points, zorder=4))
        _scale(axes, left + 0.02, low, top_weight, caption, cut=largest > top_weight)
        axes.set(xlim=(0, total), ylim=(low + 0.42, 0))
    return figure


def _scale(axes: Axes, x: float, y: float, largest: float, caption: str, cut: bool) -> None:
    """Draw a scale of attention colours, 2 inches long, with its numbers below and its caption at the right."""
    extent = (x, x + 2.0, y + 0.13, y)
    axes.imshow(np.full((1, 1, 3), 128, dtype=np.uint8), extent=extent, aspect="auto", zorder=2)
    axes.imshow(np.linspace(0, 1, 256)[None], extent=extent, aspect="auto", vmin=0, vmax=1, zorder=3, **_ATTENTION)
    for share in (0, 0.5, 1):
        word = f"{share * largest:.2g}"
        place = {"ha": ("left", "center", "right")[int(2 * share)], "va": "top", "fontsize": 8.5}
        axes.text(x + 2.0 * share, y + 0.17, f"≥ {word}" if cut and share == 1 else word, **place)
    axes.text(x + 2.1, y + 0.065, caption, va="center", fontsize=9)


def before_after(
    tracklets: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]],
    kept: Sequence[np.ndarray] | None = None,
    names: tuple[str, str] = ("before", "after"),
) -> Figure:
    """Show tracklets before and after their boxes were drawn anew (Figs. 2.7 and 2.11 of the dissertation).

    Args:
        tracklets: for each a title, pictures before and after, (T, H, W, 3) uint8 RGB, and masks (T, 4) int: y0, y1,
            x0, x1 of what is picture in those after, in their pixels; the rest is padding and hatched.
        kept: for each tracklet (T,) bool, True where nobody was found and the picture stayed as it was.
        names: words for the two lines of a tracklet.

    Raises:
        ConfigError: no tracklet, something that is no picture, a mask outside its picture, or parts that do not fit.
    """
    pairs = []
    for number, (title, before, after, masks) in enumerate(tracklets):
        where = f"tracklets[{number}]"
        before, after = _pictures(before, f"{where}: before"), _pictures(after, f"{where}: after")
        masks = np.asarray(masks)
        if len(before) != len(after) or masks.shape != (len(after), 4):
            raise ConfigError(
                f"{where}: expected as many pictures before as after and masks (T, 4); got {len(before)} before, "
                f"{len(after)} after, masks of shape {masks.shape}"
            )
        for t, (picture, (y0, y1, x0, x1)) in enumerate(zip(after, masks)):
            high, wide = picture.shape[:2]
            if not (0 <= y0 < y1 <= high and 0 <= x0 < x1 <= wide):
                raise ConfigError(
                    f"{where}: masks[{t}] is {masks[t].tolist()}; expected y0 < y1 and x0 < x1 in a picture {high} "
                    f"high and {wide} wide"
                )
        pairs.append((title, before, after, masks))
    if not pairs:
        raise ConfigError("tracklets: expected at least one; got none")
    if kept is not None and [len(flags) for flags in kept] != [len(before) for _, before, _, _ in pairs]:
        raise ConfigError(
            f"kept: expected one entry per picture, lengths {[len(before) for _, before, _, _ in pairs]}; "
            f"got {[len(flags) for flags in kept]}"
        )

    count = max(len(before) for _, before, _, _ in pairs)
    labels, left = _row_labels([title for title, *_ in pairs], wrap=14)
    names, words = _row_labels(names, wrap=14, size=9)
    left, gap, between = left + words, 0.05, 0.18
    width, height = _cell(pairs[0][1][0], count, style.WIDTH - left - 0.04, gap, widest=0.85)
    block = 2 * height + gap + between
    total = left + 0.04 + count * (width + gap)
    with style.context():
        figure, axes = _inch_axes(total, 0.04 + len(pairs) * block - between + 0.04)
        for number, (_, before, after, masks) in enumerate(pairs):
            top = 0.04 + number * block
            axes.text(
                left - words - 0.08, top + height + gap / 2, labels[number], ha="right", va="center", fontsize=9.5
            )
            for line, pictures in enumerate((before, after)):
                y = top + line * (height + gap)
                word = {"ha": "right", "va": "center", "fontsize": 9, "color": style.QUIET}
                axes.text(left - 0.06, y + height / 2, names[line], **word)
                for t, picture in enumerate(pictures):
                    x = left + 0.02 + t * (width + gap)
                    _place(axes, picture, x, y, width, height)
                    if line:
                        _hatch(axes, masks[t], picture.shape, (x, y, width, height))
                        if kept is not None and kept[number][t]:
                            _frame(axes, x, y, width, height, style.JUNK, 1.6)
                            tag = {"fc": style.INK, "ec": "none", "boxstyle": "round,pad=0.2"}
                            word = {"ha": "center", "va": "bottom", "fontsize": 7.5, "color": "white", "zorder": 5}
                            axes.text(x + width / 2, y + height - 0.06, "kept", bbox=tag, **word)
        axes.set(xlim=(0, total), ylim=(0.04 + len(pairs) * block - between + 0.04, 0))
    return figure


def label_faults(rows: Sequence[tuple[str, Sequence[tuple[str, np.ndarray]]]]) -> Figure:
    """Show wrong labels: in each row tracklets side by side over the labels they carry (Fig. 2.12).

    Args:
        rows: a title and the tracklets, each a caption and pictures (T, H, W, 3) uint8 RGB.

    Raises:
        ConfigError: no row, a row without a tracklet, or something that is no picture.
    """
    checked = [
        (title, [(caption, _pictures(shown, f"rows[{n}]: {caption!r}")) for caption, shown in groups])
        for n, (title, groups) in enumerate(rows)
    ]
    if not checked or any(not groups for _, groups in checked):
        raise ConfigError("rows: expected at least one row, and a tracklet in each")
    gap, between, side = 0.05, 0.34, 0.04
    most = max(sum(len(shown) for _, shown in groups) for _, groups in checked)
    parts = max(len(groups) for _, groups in checked)
    width, height = _cell(checked[0][1][0][1][0], most, style.WIDTH - 2 * side - between * (parts - 1), gap, widest=0.8)
    captions = [
        ["\n".join(textwrap.wrap(word, max(8, int(len(shown) * (width + gap) / 0.078)))) for word, shown in groups]
        for _, groups in checked
    ]
    lines = max(word.count("\n") + 1 for row in captions for word in row)
    head, foot = 0.27, 0.14 + 0.15 * lines
    block = head + height + foot + 0.12
    total = 2 * side + most * (width + gap) + between * (parts - 1)
    titles = ["\n".join(textwrap.wrap(title, max(12, int(total / 0.095)))) for title, _ in checked]
    extra = 0.16 * max(title.count("\n") for title in titles)
    head, block = head + extra, block + extra
    with style.context():
        figure, axes = _inch_axes(total, len(checked) * block - 0.1)
        for number, (_, groups) in enumerate(checked):
            top = number * block
            axes.text(side, top + head - 0.07, titles[number], va="bottom", fontsize=10, weight="bold")
            x = side
            for (_, shown), caption in zip(groups, captions[number]):
                start = x
                for picture in shown:
                    _place(axes, picture, x, top + head, width, height)
                    x += width + gap
                end, under = x - gap, top + head + height + 0.06
                axes.plot([start, end], [under, under], color=style.QUIET, lw=1.2, solid_capstyle="butt")
                axes.text((start + end) / 2, under + 0.05, caption, ha="center", va="top", fontsize=9, linespacing=1.15)
                x += between
        axes.set(xlim=(0, total), ylim=(len(checked) * block - 0.1, 0))
    return figure


def frame_drift(
    table: pd.DataFrame, xlabel: str = "frame of the tracklet", ylabel: str = "distance to the tracklet's mean"
) -> Figure:
    """Draw how far frames are from the mean of their tracklet: a line per series with its 95 % interval.

    Args:
        table: columns ``frame`` (position in the tracklet), ``value`` (distance), ``series`` (such as before and after
            linking); a row per picture. The band is Student's t interval of a frame's mean over tracklets; a frame with
            one row has none.
        xlabel: what the frames are.
        ylabel: what the values are.

    Raises:
        ConfigError: a missing column, an empty table, or a value that is not finite.
    """
    _columns("table", table, ["series"], ["frame", "value"])
    names = list(dict.fromkeys(table["series"]))
    palette = style.colours(names)
    with style.context():
        figure = style.new_figure(3.4)
        axes = figure.add_subplot()
        for number, name in enumerate(names):
            grouped = table[table["series"] == name].groupby("frame")["value"]
            mean, half = grouped.mean(), grouped.agg(lambda values: _half_interval(values.to_numpy(dtype=float)))
            axes.fill_between(mean.index, mean - half, mean + half, color=palette[name], alpha=0.18, lw=0)
            axes.plot(
                mean.index,
                mean,
                color=palette[name],
                ls=style.LINES[number % len(style.LINES)],
                marker=style.MARKERS[number % len(style.MARKERS)],
                markevery=max(1, len(mean) // 12),
                mec="white",
                label=str(name),
            )
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.set_ylim(bottom=0)
        axes.margins(x=0.02)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        figure.legend(loc="outside upper left", ncols=3, handlelength=3)
    return figure


def precision_recall(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    chance: Mapping[str, float] | None = None,
    xlabel: str = "recall: share of all that the list has found",
    ylabel: str = "precision: share that is right",
) -> Figure:
    """Draw precision against recall of ranked lists.

    Args:
        curves: for each name recall (n,) and precision (n,), fractions in 0..1, in the order of the list.
        chance: for some of the names the precision of a shuffled list, drawn dotted in their colour.
        xlabel: what recall is.
        ylabel: what precision is.

    Raises:
        ConfigError: no curve, lengths that do not agree, values outside 0..1, recall that falls, or a name in
            ``chance`` that has no curve.
    """
    if not curves:
        raise ConfigError("curves: expected at least one named curve; got none")
    drawn = {}
    for name, (recall, precision) in curves.items():
        recall, precision = np.asarray(recall, dtype=float), np.asarray(precision, dtype=float)
        if recall.ndim != 1 or recall.shape != precision.shape or not len(recall):
            raise ConfigError(
                f"curves[{name!r}]: expected recall and precision of one length (n,); got shapes {recall.shape} and "
                f"{precision.shape}"
            )
        both = np.concatenate([recall, precision])
        if not np.isfinite(both).all() or both.min() < 0 or both.max() > 1 + 1e-9:
            raise ConfigError(f"curves[{name!r}]: expected fractions in 0..1; got {both.min():g}..{both.max():g}")
        if (np.diff(recall) < -1e-9).any():
            raise ConfigError(f"curves[{name!r}]: recall never falls along a list; is precision given first?")
        drawn[name] = (recall, precision)
    for name, value in (chance or {}).items():
        if name not in drawn:
            raise ConfigError(f"chance: no curve {name!r}; there are {', '.join(map(str, drawn))}")
        if not 0 <= value <= 1:
            raise ConfigError(f"chance[{name!r}]: expected a fraction in 0..1; got {value}")
    palette = style.colours(list(drawn))
    with style.context():
        figure = style.new_figure(3.8)
        axes = figure.add_subplot()
        for number, (name, (recall, precision)) in enumerate(drawn.items()):
            axes.plot(
                recall,
                precision,
                color=palette[name],
                ls=style.LINES[number % len(style.LINES)],
                marker=style.MARKERS[number % len(style.MARKERS)],
                markevery=[len(recall) - 1],
                mec="white",
                ms=8,
                clip_on=False,
                label=str(name),
            )
            if chance and name in chance:
                axes.axhline(chance[name], color=palette[name], lw=1.3, ls=(0, (1, 1.8)), zorder=1)
        if chance:
            axes.plot([], [], color=style.QUIET, lw=1.3, ls=(0, (1, 1.8)), label="shuffled list")
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=xlabel, ylabel=ylabel)
        axes.xaxis.set_major_formatter(_PERCENT)
        axes.yaxis.set_major_formatter(_PERCENT)
        columns = 2 if max(len(str(name)) for name in drawn) > 18 else 4
        figure.legend(loc="outside upper left", ncols=columns, handlelength=3)
    return figure


def stacked_costs(table: pd.DataFrame, printed: Mapping[str, float] | None = None) -> Figure:
    """Draw multiply-accumulates by kind as stacked bars, one per network, with what was published as a tick.

    Where the tick is inside its bar, the published number leaves out what lies to its right.

    Args:
        table: a row per network, a column per kind of :data:`COST_KINDS` that occurs, in 1e9 operations.
        printed: for some rows the published number, in 1e9.

    Raises:
        ConfigError: an empty table, a row named twice, an unknown kind, a negative or missing number, or a printed
            number without its row.
    """
    if table.empty:
        raise ConfigError("table: expected at least one row and one kind; got none")
    if not table.index.is_unique:
        raise ConfigError(f"table: row {table.index[table.index.duplicated()][0]!r} is there twice")
    if unknown := [kind for kind in table.columns if kind not in COST_KINDS]:
        raise ConfigError(f"table: {unknown[0]!r} is not a kind of operation; expected {', '.join(COST_KINDS)}")
    costs = table.to_numpy(dtype=float)
    if not np.isfinite(costs).all() or costs.min() < 0:
        raise ConfigError("table: expected numbers of operations that are finite and not negative")
    names = list(table.index)
    for name, value in (printed or {}).items():
        if name not in names:
            raise ConfigError(f"printed: the table has no row {name!r}; it has {', '.join(map(str, names))}")
        if not 0 <= value < np.inf:
            raise ConfigError(f"printed[{name!r}]: expected a number of operations, 0 or more; got {value}")

    totals = costs.sum(axis=1)
    longest = max([*totals, *(printed or {}).values()]) or 1.0
    with style.context():
        figure = style.new_figure(1.15 + 0.38 * len(table))
        axes = figure.add_subplot()
        start, handles = np.zeros(len(table)), []
        for kind in [kind for kind in COST_KINDS if kind in table]:
            words, colour, hatch = COST_KINDS[kind]
            values = table[kind].to_numpy(dtype=float)
            thin = values.max() < 0.02 * longest  # hatching and white edges would hide it
            look = {"fc": colour, "ec": "white", "lw": 0 if thin else 0.5, "hatch": "" if thin else hatch}
            axes.barh(range(len(table)), values, left=start, height=0.66, label=kind, **look)
            start += values
            # All kinds are drawn; those that cannot be seen in any bar would only fill the legend.
            if values.max() > 0.003 * longest:
                handles.append(Patch(label=words, **look))
        for place, name in enumerate(names):
            end, word = totals[place], _number(totals[place])
            if printed and name in printed:
                value = printed[name]
                for colour, points in (("white", 4.6), (style.INK, 2.4)):
                    line = {"color": colour, "lw": points, "solid_capstyle": "butt"}
                    axes.plot([value] * 2, [place - 0.43, place + 0.43], zorder=4, **line)
                end, word = max(end, value), f"{word}, printed {_number(value)}"
            card = {"fc": "white", "ec": "none", "pad": 1}
            axes.text(end + 0.016 * longest, place, word, va="center", fontsize=9, bbox=card)
        if printed:
            handles.append(Line2D([], [], color=style.INK, marker="|", ls="", ms=12, mew=2.4, label="printed"))
        labels = ["\n".join(textwrap.wrap(str(name), 26)) for name in names]
        axes.set(yticks=range(len(table)), yticklabels=labels, xlabel="billion multiply-accumulates")
        axes.set(ylim=(len(table) - 0.4, -0.6), xlim=(0, longest * (1.38 if printed else 1.13)))
        axes.tick_params(axis="y", length=0, labelsize=10)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", visible=False)
        legend = {"ncols": 3, "handlelength": 1.6, "columnspacing": 1.4}
        figure.legend(handles=handles, loc="outside upper left", **legend)
    return figure


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def stage_diagram(rows: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> Figure:
    """Draw networks as rows of boxes joined by arrows.

    Args:
        rows: a name and its boxes from left to right, each a title and a caption such as ``T = 8, 32 x 16``; both may
            have several lines. A box whose title has a second line, what was added to the stage, is tinted. Boxes of a
            column are equally wide, as wide as their longest line needs.

    Raises:
        ConfigError: no row, a row without a box, or more text than fits the page at a size that can be read.
    """
    rows = [(name, list(boxes)) for name, boxes in rows]
    if not rows or any(not boxes for _, boxes in rows):
        raise ConfigError("rows: expected at least one row, and a box in each")
    labels, left = _row_labels([name for name, _ in rows], wrap=14, weight="bold")
    gap, pad = 0.17, 0.12
    room = style.WIDTH - left - 0.02 - gap * (max(len(boxes) for _, boxes in rows) - 1)
    size, widths = _column_widths([boxes for _, boxes in rows], room, pad)
    starts = left + np.concatenate([[0.0], np.cumsum(widths + gap)])
    line = size * 1.25 / 72
    tall = max(title.count("\n") + 1 for _, boxes in rows for title, _ in boxes)
    deep = max(caption.count("\n") + 1 for _, boxes in rows for _, caption in boxes)
    height = 0.2 + tall * line
    block = height + 0.06 + deep * line + 0.22
    with style.context():
        figure, axes = _inch_axes(style.WIDTH, 0.06 + len(rows) * block - 0.1)
        for number, (_, boxes) in enumerate(rows):
            top = 0.06 + number * block
            middle = top + height / 2
            axes.text(left - 0.1, middle, labels[number], ha="right", va="center", fontsize=9.5, weight="bold")
            for x, width, (title, caption) in zip(starts, widths, boxes):
                added = "\n" in title
                look = {"fc": "#e3eef6", "ec": style.BLUE} if added else {"fc": "white", "ec": style.QUIET}
                corners = "round,pad=0,rounding_size=0.06"
                axes.add_patch(FancyBboxPatch((x, top), width, height, boxstyle=corners, lw=1.2, zorder=2, **look))
                word = {"ha": "center", "fontsize": size, "linespacing": 1.2, "zorder": 3}
                axes.text(x + width / 2, middle, title, va="center", **word)
                axes.text(x + width / 2, top + height + 0.05, caption, va="top", color=style.QUIET, **word)
                if x > starts[0]:
                    arrow = {"arrowstyle": "-|>", "color": style.QUIET, "lw": 1.1, "shrinkA": 0, "shrinkB": 0}
                    axes.annotate("", (x, middle), (x - gap, middle), arrowprops=arrow)
    return figure


def _column_widths(rows: Sequence[Sequence[tuple[str, str]]], room: float, pad: float) -> tuple[float, np.ndarray]:
    """Return the size of type in points and the widths of columns in inches that let all text fit in ``room``.

    Raises:
        ConfigError: it would have to be smaller than 6.5 points.
    """
    columns = max(len(boxes) for boxes in rows)
    texts = [["\n".join(boxes[i]) for boxes in rows if i < len(boxes)] for i in range(columns)]
    wide = np.array([_text_width(column, 10) for column in texts])
    size = min(9.0, 10 * (room - pad * columns) / max(wide.sum(), 1e-6))
    if size < 6.5:
        raise ConfigError(
            f"rows: {columns} boxes in a row with this much text leave no room for type that can be read; shorten the "
            "titles, or break their lines"
        )
    widths = wide * size / 10 + pad
    return size, widths + (room - widths.sum()) / columns


def _text_width(texts: Sequence[str], size: float, weight: str = "normal") -> float:
    """Return the inches that the widest of some texts takes at a size in points."""
    with style.context():
        figure = style.new_figure(1, layout=None)
        extents = [figure.text(0, 0, text, fontsize=size, weight=weight).get_window_extent() for text in texts]
    return max(extent.width for extent in extents) / figure.dpi


def _row_labels(labels: Sequence[str], wrap: int, size: float = 9.5, weight: str = "normal") -> tuple[list[str], float]:
    """Wrap labels and return them with the inches they need at the left of a row, its gap included."""
    wrapped = ["\n".join(textwrap.wrap(str(label), wrap)) for label in labels]
    return wrapped, _text_width(wrapped, size, weight) + 0.14


def _half_interval(values: np.ndarray, confidence: float = 0.95) -> float:
    """Return half the width of Student's t interval of a mean; 0 for a single value."""
    from scipy import stats

    if len(values) < 2:
        return 0.0
    return float(stats.t.ppf(0.5 + confidence / 2, len(values) - 1) * stats.sem(values))


def _pictures(pictures: Any, name: str) -> list[np.ndarray]:
    """Return the pictures of a tracklet, each (H, W, 3) uint8, or say what is wrong with them."""
    checked = [_check(picture, f"{name}[{t}]") for t, picture in enumerate(pictures)]
    if not checked:
        raise ConfigError(f"{name}: expected at least one picture; got none")
    return checked


def _cell(picture: np.ndarray, count: int, room: float, gap: float, widest: float) -> tuple[float, float]:
    """Return width and height in inches of one of ``count`` pictures that share ``room``, with this one's aspect."""
    width = min(widest, room / count - gap)
    return width, width * picture.shape[0] / picture.shape[1]


def _grey(picture: np.ndarray) -> np.ndarray:
    """Return a picture without its colours, so that a map over it can be read."""
    grey = picture.astype(float) @ (0.299, 0.587, 0.114)
    return np.repeat(np.round(grey)[..., None], 3, axis=2).astype(np.uint8)


def _hatch(axes: Axes, mask: Sequence[int], shape: tuple[int, ...], place: tuple[float, float, float, float]) -> None:
    """Hatch what a mask (y0, y1, x0, x1) leaves out of a picture drawn at x, y, width, height."""
    y0, y1, x0, x1 = (float(edge) for edge in mask)
    x, y, width, height = place
    high, wide = shape[:2]
    sx, sy = width / wide, height / high
    bands = [(0, 0, wide, y0), (0, y1, wide, high), (0, y0, x0, y1), (x1, y0, wide, y1)]
    for left, top, right, low in bands:
        if left < right and top < low:
            corner = (x + left * sx, y + top * sy)
            look = {"fc": "#f2f4f6", "ec": style.JUNK, "lw": 0.8, "hatch": "/////", "zorder": 3}
            axes.add_patch(Rectangle(corner, (right - left) * sx, (low - top) * sy, **look))


def _columns(argument: str, table: pd.DataFrame, names: Sequence[str], numbers: Sequence[str]) -> None:
    """Check that a table has these columns, at least one row, and finite numbers where there must be numbers.

    Raises:
        ConfigError: it has not.
    """
    for name in [*names, *numbers]:
        if name not in table.columns:
            raise ConfigError(f"{argument}: no column {name!r}; it has {', '.join(map(str, table.columns))}")
    if table.empty:
        raise ConfigError(f"{argument}: expected at least one row; got none")
    for name in numbers:
        if table[name].dtype.kind not in "fiub" or not np.isfinite(table[name].to_numpy(dtype=float)).all():
            raise ConfigError(
                f"{argument}: column {name!r} holds values that are not finite numbers; drop or explain them first"
            )
