"""Diagrams of networks: what their operations cost, and their stages as boxes joined by arrows."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reidlab.checks import check_choice
from reidlab.errors import ConfigError
from reidlab.plots import style
from reidlab.plots.checks import check_numbers
from reidlab.plots.sheet import Sheet, text_width, wrap_labels

if TYPE_CHECKING:
    import pandas as pd

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


@style.context()
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
    printed = printed or {}
    if table.empty:
        raise ConfigError("table: expected at least one row and one kind; got none")
    if not table.index.is_unique:
        raise ConfigError(f"table: row {table.index[table.index.duplicated()][0]!r} is there twice")
    for kind in table.columns:
        check_choice("table: kinds of operation", kind, COST_KINDS)
    totals = check_numbers("table", table, "numbers of operations, finite and not negative", np.inf).sum(axis=1)
    for name, value in printed.items():
        check_choice("printed: rows of the table", name, table.index)
        check_numbers(f"printed[{name!r}]", value, "a number of operations, 0 or more", np.inf)

    longest = max([*totals, *printed.values()]) or 1.0
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
    for place, (name, total) in enumerate(zip(table.index, totals)):
        end, word = total, _number(total)
        if name in printed:
            for colour, points in (("white", 4.6), (style.INK, 2.4)):
                line = {"color": colour, "lw": points, "solid_capstyle": "butt", "zorder": 4}
                axes.plot([printed[name]] * 2, [place - 0.43, place + 0.43], **line)
            end, word = max(total, printed[name]), f"{word}, printed {_number(printed[name])}"
        card = {"fc": "white", "ec": "none", "pad": 1}
        axes.text(end + 0.016 * longest, place, word, va="center", fontsize=9, bbox=card)
    if printed:
        handles.append(Line2D([], [], color=style.INK, marker="|", ls="", ms=12, mew=2.4, label="printed"))
    style.name_rows(axes, ["\n".join(textwrap.wrap(str(name), 26)) for name in table.index])
    axes.set(xlabel="billion multiply-accumulates", xlim=(0, longest * (1.38 if printed else 1.13)))
    figure.legend(handles=handles, loc="outside upper left", ncols=3, handlelength=1.6, columnspacing=1.4)
    return figure


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"


@style.context()
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
    labels, left = wrap_labels([name for name, _ in rows], weight="bold")
    gap = 0.17
    room = style.WIDTH - left - 0.02 - gap * (max(len(boxes) for _, boxes in rows) - 1)
    size, widths = _column_widths([boxes for _, boxes in rows], room, pad=0.12)
    starts = left + np.cumsum(widths + gap) - (widths + gap)
    line = size * 1.25 / 72
    tall, deep = (max(box[part].count("\n") + 1 for _, boxes in rows for box in boxes) for part in (0, 1))
    height = 0.2 + tall * line
    block = height + 0.06 + deep * line + 0.22
    sheet = Sheet(style.WIDTH, 0.06 + len(rows) * block - 0.1)
    for number, (label, (_, boxes)) in enumerate(zip(labels, rows)):
        top = 0.06 + number * block
        middle = top + height / 2
        sheet.word(left - 0.1, middle, label, ha="right", weight="bold")
        for x, width, (title, caption) in zip(starts, widths, boxes):
            look = {"fc": "#e3eef6", "ec": style.BLUE} if "\n" in title else {"fc": "white", "ec": style.QUIET}
            sheet.card((x, top, width, height), 0.06, lw=1.2, zorder=2, **look)
            spaced = {"size": size, "linespacing": 1.2, "zorder": 3}
            sheet.word(x + width / 2, middle, title, **spaced)
            sheet.word(x + width / 2, top + height + 0.05, caption, va="top", color=style.QUIET, **spaced)
            if x > starts[0]:
                arrow = {"arrowstyle": "-|>", "color": style.QUIET, "lw": 1.1, "shrinkA": 0, "shrinkB": 0}
                sheet.axes.annotate("", (x, middle), (x - gap, middle), arrowprops=arrow)
    return sheet.figure


def _column_widths(rows: Sequence[Sequence[tuple[str, str]]], room: float, pad: float) -> tuple[float, np.ndarray]:
    """Return the size of type in points and the widths of columns in inches that let all text fit in ``room``.

    Raises:
        ConfigError: it would have to be smaller than 6.5 points.
    """
    columns = max(len(boxes) for boxes in rows)
    texts = [["\n".join(boxes[i]) for boxes in rows if i < len(boxes)] for i in range(columns)]
    wide = np.array([text_width(column, 10) for column in texts])
    size = min(9.0, 10 * (room - pad * columns) / max(wide.sum(), 1e-6))
    if size < 6.5:
        raise ConfigError(
            f"rows: {columns} boxes in a row with this much text leave no room for type that can be read; shorten the "
            "titles, or break their lines"
        )
    widths = wide * size / 10 + pad
    return size, widths + (room - widths.sum()) / columns
