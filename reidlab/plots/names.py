"""Names beside marks, placed so that none hides another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

# Sideways first, then ever steeper.
_ANGLES = np.deg2rad(sorted(range(-165, 181, 15), key=lambda angle: (min(abs(angle), 180 - abs(angle)), abs(angle))))
_TURNS = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])


def name_points(
    axes: Axes,
    names: Sequence[tuple[str, str]],
    xs: np.ndarray,
    ys: np.ndarray,
    spreads: np.ndarray | float = 0.0,
) -> None:
    """Write each name beside its mark, at the nearest place where it hides no mark, no interval and no other name.

    Places are tried in circles that grow around the mark; a name that had to go far gets a line to its mark, and the
    line crosses no other line, name, mark or interval where there is a way around them.

    Args:
        axes: where the marks are, with everything else that changes its size.
        names: n words, each with the colour of its line.
        xs: (n,) places of the marks in the data's units.
        ys: (n,).
        spreads: (n,) half of the vertical interval that is drawn through each mark.
    """
    figure = axes.get_figure()
    figure.draw_without_rendering()  # settles the layout, so that places in pixels mean something
    inside = axes.get_window_extent()
    dot = figure.dpi / 72
    spots, lows, highs = (axes.transData.transform(np.column_stack([xs, y])) for y in (ys, ys - spreads, ys + spreads))
    marks = [Bbox([spot - 6 * dot, spot + 6 * dot]) for spot in spots]
    bars = [Bbox([(x - 2 * dot, low), (x + 2 * dot, high)]) for (x, low), (_, high) in zip(lows, highs)]
    words: list[Bbox] = []
    lines: list[Path] = []
    for place, ((name, colour), spot) in enumerate(zip(names, spots)):
        at = {"xy": (xs[place], ys[place]), "textcoords": "offset points"}
        halo = [withStroke(linewidth=2.5, foreground="white")]
        look = {"ha": "center", "va": "center", "fontsize": 9, "zorder": 5, "path_effects": halo}
        text = axes.annotate(name, xytext=(0, 0), **at, **look)
        extent = text.get_window_extent()
        half = np.array([extent.width, extent.height]) / 2 + dot
        others = [box for boxes in (marks, bars) for box in (*boxes[:place], *boxes[place + 1 :])]
        others = [other for other in others if not other.contains(*spot)]
        least = np.inf
        for radius in range(9, 150, 7):
            for turn in _TURNS:
                # The edge of the text, and not its middle, stays `radius` points from the mark.
                shift = turn * (radius * dot + half)
                box = Bbox([spot + shift - half, spot + shift + half])
                near = np.clip(spot, box.min, box.max)
                line = Path([spot, near]) if np.hypot(*(near - spot)) > 15 * dot else None
                bad = sum(_shared_area(box, other) for other in (*marks, *bars, *words))
                bad += box.width * box.height - _shared_area(box, inside)
                bad += 1e3 * sum(other.intersects_bbox(box) for other in lines)
                if line is not None:
                    bad += 1e3 * sum(line.intersects_path(other) for other in lines)
                    bad += 1e3 * sum(line.intersects_bbox(other) for other in (*words, *others))
                if bad < least - 1e-6:
                    least, best = bad, (shift, box, line)
            if least <= 1e-6:
                break
        shift, box, line = best
        text.set_position(tuple(shift / dot))
        words.append(box)
        if line is not None:
            lines.append(line)
            look = {"arrowstyle": "-", "color": colour, "lw": 0.9, "shrinkA": 0, "shrinkB": 5}
            axes.annotate("", xytext=tuple((line.vertices[1] - spot) / dot), arrowprops=look, zorder=2, **at)


def _shared_area(a: Bbox, b: Bbox) -> float:
    both = Bbox.intersection(a, b)
    return both.width * both.height if both is not None else 0.0
