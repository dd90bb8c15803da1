"""A figure measured in inches, on which pictures, frames, signs and words have exact places.

The picture a reader sees is the picture that was measured: same aspect ratio, no resampling beyond the screen's own.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.patches import FancyBboxPatch, Rectangle

from reidlab.plots import style
from reidlab.plots.checks import Picture

Box = tuple[float, float, float, float]
"""Left, top, width and height in inches."""

VERDICTS = {True: style.MATCH, False: style.OTHER, None: style.JUNK}
"""Colours of a match, another person and junk."""


class Sheet:
    """One axes over all of a figure, whose data units are inches from the top-left corner.

    Args:
        width: inches.
        height: inches.
    """

    def __init__(self, width: float, height: float) -> None:
        self.figure = style.new_figure(height, width, layout=None)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.axes.axis("off")

    def picture(self, picture: np.ndarray, box: Box, zorder: float = 2, **look: Any) -> None:
        """Draw a picture (H, W, 3), or a map (H, W) in colours, over the whole of a box."""
        x, y, width, height = box
        self.axes.imshow(picture, extent=(x, x + width, y + height, y), aspect="auto", zorder=zorder, **look)

    def row(self, pictures: Iterable[Picture], box: Box, gap: float) -> list[Box]:
        """Draw pictures side by side, the first over a box, and return the box of each."""
        x, y, width, height = box
        boxes = []
        for place, picture in enumerate(pictures):
            boxes.append((x + place * (width + gap), y, width, height))
            self.picture(picture, boxes[-1])
        return boxes

    def rectangle(self, box: Box, zorder: float = 3, **look: Any) -> None:
        """Draw a box."""
        self.axes.add_patch(Rectangle(box[:2], *box[2:], zorder=zorder, **look))

    def frame(self, box: Box, colour: str, points: float) -> None:
        """Draw a line round a box, some points thick."""
        x, y, width, height = box
        grow = points / 144  # half the line, in inches, so that it covers the edge and not the person
        self.rectangle((x - grow, y - grow, width + 2 * grow, height + 2 * grow), fill=False, ec=colour, lw=points)

    def card(self, box: Box, radius: float, **look: Any) -> None:
        """Draw a box with round corners."""
        x, y, width, height = box
        corners = f"round,pad=0,rounding_size={radius}"
        self.axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=corners, **look))

    def ring(self, box: Box) -> None:
        """Draw a dashed ring, which holds together what it surrounds."""
        self.card(box, 0.07, fill=False, ec=style.BLUE, lw=1.7, ls=(0, (3, 1.6)), zorder=4)

    def sign(self, kind: bool | None, x: float, y: float, radius: float) -> None:
        """Draw around (x, y) the sign that repeats a frame's colour: a tick, a cross, or a dash for junk."""
        box = (x - radius, y - radius, 2 * radius, 2 * radius)
        self.card(box, radius / 2, fc=VERDICTS[kind], ec="white", lw=0.8, zorder=4)
        r = radius * 0.5
        strokes = {
            True: [((-r, -0.3 * r, r), (0.1 * r, 0.8 * r, -0.8 * r))],
            False: [((-r * 0.8, r * 0.8), (-r * 0.8, r * 0.8)), ((-r * 0.8, r * 0.8), (r * 0.8, -r * 0.8))],
            None: [((-r, r), (0, 0))],
        }
        for dx, dy in strokes[kind]:
            self.axes.plot(np.add(x, dx), np.add(y, dy), color="white", lw=1.5, zorder=5, solid_joinstyle="round")

    def word(
        self, x: float, y: float, text: str, size: float = 9.5, ha: str = "center", va: str = "center", **look: Any
    ) -> None:
        """Write around (x, y), in a size of so many points."""
        self.axes.text(x, y, text, fontsize=size, ha=ha, va=va, **look)


def wrapped(text: str, inches: float, size: float = 9.5, least: int = 8) -> str:
    """Break a text into lines that fit so many inches, but for words longer than ``least`` characters."""
    return "\n".join(textwrap.wrap(str(text), max(least, int(inches / (0.009 * size)))))


def text_width(texts: Sequence[str], size: float, weight: str = "normal") -> float:
    """Return the inches that the widest of some texts takes at a size in points; 0 without texts."""
    with style.context():
        figure = style.new_figure(1, layout=None)
        extents = [figure.text(0, 0, text, fontsize=size, weight=weight).get_window_extent() for text in texts]
    return max((extent.width for extent in extents), default=0.0) / figure.dpi


def wrap_labels(
    labels: Sequence[Any] | None, wrap: int = 14, size: float = 9.5, weight: str = "normal"
) -> tuple[list[str], float]:
    """Wrap labels and return them with the inches they need at the left of a row, a gap of 0.14 included."""
    lines = ["\n".join(textwrap.wrap(str(label), wrap)) for label in labels or []]
    return lines, text_width(lines, size, weight) + 0.14 if lines else 0.0


def cell(picture: Picture, count: int, room: float, gap: float, widest: float) -> tuple[float, float]:
    """Return width and height in inches of one of ``count`` pictures that share ``room``, with this one's aspect."""
    width = min(widest, room / count - gap)
    return width, width * picture.shape[0] / picture.shape[1]
