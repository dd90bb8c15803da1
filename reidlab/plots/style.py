"""The look of every figure: sizes, type, colours, marks, and the figure class the plots return.

Figures are drawn 6.4 inches wide at 150 dots per inch: 960 pixels, which fill the book's column on a wide screen and
stay readable when a phone shrinks them to 350. The ground is plain white; in dark mode the book's style sheet frames
it as a light card, because inverted pictures of people would be wrong. Colours are Okabe and Ito's palette for
colour-blind readers, without the yellow that is too faint on white.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
from matplotlib import colors as mcolors
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

WIDTH = 6.4
"""Width of a full-column figure in inches."""
DPI = 150
"""Dots per inch of the pictures in the book."""

INK = "#20262c"
QUIET = "#66707a"
RULE = "#d5dae0"
BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE = "#0072b2", "#d55e00", "#009e73", "#b1588c", "#56b4e9", "#c98600"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
LINES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 1)), (0, (8, 2)))

MATCH, OTHER, JUNK = "#00804f", "#c8401a", "#8a939c"
"""Frame colours of a right match, a wrong one, and a junk picture the protocol leaves out."""

FIXED = {"network": BLUE, "histogram": ORANGE, "untrained": QUIET, "chance": JUNK}
"""Names that keep their colour in every figure, whatever else is drawn beside them."""

LEVEL = {"color": INK, "lw": 1.3, "ls": (0, (4, 2)), "zorder": 1.5}
"""A line to compare with: the true number, a threshold, no effect."""
BAND = {"alpha": 0.17, "lw": 0}
"""The area of an interval or a range around a line."""

PERCENT = FuncFormatter(lambda value, _: f"{round(100 * value, 6):g} %")

RC: dict[str, Any] = {
    "figure.figsize": (WIDTH, 3.8),
    "figure.dpi": DPI,
    "figure.facecolor": "white",
    "savefig.dpi": DPI,
    "savefig.facecolor": "white",
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.06,
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 10.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.9,
    "axes.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": f"cycler('color', {list(PALETTE)!r})",
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 2.0,
    "lines.markersize": 6,
    "lines.solid_capstyle": "round",
    "image.interpolation": "antialiased",
    "image.cmap": "cividis",
}


class BookFigure(Figure):
    """A figure that a notebook shows by itself, once, without ``pyplot`` and whatever backend is set."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        with context():
            self.savefig(buffer, format="png")
        return buffer.getvalue()


def context() -> AbstractContextManager[None]:
    """Draw in the book's look, in a ``with`` block or a decorated function, and leave matplotlib's settings alone."""
    return matplotlib.rc_context(RC)


def use() -> None:
    """Make the book's look the default of this process, for figures drawn by hand in a notebook."""
    matplotlib.rcParams.update(RC)


def new_figure(height: float, width: float = WIDTH, layout: str | None = "constrained") -> BookFigure:
    """Return an empty figure with its own canvas.

    Args:
        height: inches.
        width: inches; the full column by default.
        layout: matplotlib's layout engine; None where axes are placed by hand.
    """
    figure = BookFigure(figsize=(width, height), dpi=DPI, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def colours(names: Sequence[Any]) -> dict[Any, str]:
    """Give each name a colour: its fixed one if it has one, else the next of the palette, else an even hue wheel.

    Args:
        names: what is drawn, in order; repeated names count once.

    Returns:
        ``{name: "#rrggbb"}``. The same names in the same order always get the same colours.

    Example:
        >>> colours(["network", "a"])
        {'network': '#0072b2', 'a': '#d55e00'}
    """
    unique = list(dict.fromkeys(names))
    fixed = {name: FIXED[name] for name in unique if name in FIXED}
    rest = [name for name in unique if name not in fixed]
    free = [colour for colour in PALETTE if colour not in fixed.values()]
    if len(rest) > len(free):
        # The golden angle keeps neighbours in the order far apart; lightness alternates as a second cue.
        free = [
            mcolors.to_hex(mcolors.hsv_to_rgb(((0.58 + i * 0.381966) % 1.0, 0.85, (0.78, 0.55)[i % 2])))
            for i in range(len(rest))
        ]
    drawn = fixed | dict(zip(rest, free))
    return {name: drawn[name] for name in unique}


def looks(names: Iterable[Any]) -> dict[Any, dict[str, Any]]:
    """Give each name its colour, and a line style and a mark that repeat what the colour says.

    Args:
        names: what is drawn, in order; repeated names count once.

    Returns:
        Keyword arguments of a matplotlib line, by name.
    """
    return {
        name: {"color": colour, "ls": LINES[i % len(LINES)], "marker": MARKERS[i % len(MARKERS)]}
        for i, (name, colour) in enumerate(colours(list(names)).items())
    }


def legend(figure: Figure, ncols: int = 3, handlelength: float = 3) -> None:
    """Name above the axes what they draw; what several axes draw is named once."""
    handles = {h.get_label(): h for axes in figure.axes for h in axes.get_legend_handles_labels()[0]}
    figure.legend(handles=handles.values(), loc="outside upper left", ncols=ncols, handlelength=handlelength)


def wrapped(title: object) -> str:
    """Return the title of one of three panels beside one another, in lines that fit."""
    return textwrap.fill(str(title), 18, break_on_hyphens=False)


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Make the vertical axis a list of names, the first at the top, without line, ticks or grid of its own."""
    axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0, labelsize=10)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", visible=False)


def logarithmic(axes: Axes) -> None:
    """Make the horizontal axis logarithmic and name 1, 2 and 5 of each decade: powers of ten alone may be one tick."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_formatter(NullFormatter())
