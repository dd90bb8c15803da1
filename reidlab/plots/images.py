"""Figures made of pictures: ranked lists, contact sheets, frames with boxes.

All of them are laid out in inches on one axes, so that the picture a reader sees is the picture that was measured:
same aspect ratio, no resampling beyond the screen's own.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.patheffects import withStroke

from reidlab.errors import ConfigError
from reidlab.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Picture = np.ndarray

_MARKS = {True: (style.MATCH, "match"), False: (style.OTHER, "other"), None: (style.JUNK, "junk")}


def _check(picture: Any, name: str) -> Picture:
    """Return ``picture`` as an (H, W, 3) uint8 array, or say what it is instead."""
    array = np.asarray(picture)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or 0 in array.shape:
        raise ConfigError(
            f"{name}: expected an RGB picture, shape (H, W, 3) and dtype uint8; got {array.shape} {array.dtype}"
        )
    return array


def _inch_axes(width: float, height: float) -> tuple[style.BookFigure, Axes]:
    """Return a figure and one axes over all of it whose data units are inches, y pointing down."""
    figure = style.new_figure(height, width, layout=None)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    return figure, axes


def _place(axes: Axes, picture: Picture, x: float, y: float, width: float, height: float) -> None:
    axes.imshow(picture, extent=(x, x + width, y + height, y), aspect="auto", zorder=2)


def _frame(axes: Axes, x: float, y: float, width: float, height: float, colour: str, points: float) -> None:
    grow = points / 144  # half the line, in inches, so that it covers the edge and not the person
    axes.add_patch(
        Rectangle((x - grow, y - grow), width + 2 * grow, height + 2 * grow, fill=False, ec=colour, lw=points, zorder=3)
    )


def _mark(axes: Axes, kind: bool | None, x: float, y: float, radius: float) -> None:
    """Draw the sign that repeats the frame's colour: a tick, a cross, or a dash for junk."""
    colour, _ = _MARKS[kind]
    axes.add_patch(
        FancyBboxPatch(
            (x - radius, y - radius),
            2 * radius,
            2 * radius,
            boxstyle=f"round,pad=0,rounding_size={radius * 0.5}",
            fc=colour,
            ec="white",
            lw=0.8,
            zorder=4,
        )
    )
    r = radius * 0.5
    strokes = {
        True: [((-r, -0.3 * r, r), (0.1 * r, 0.8 * r, -0.8 * r))],
        False: [((-r * 0.8, r * 0.8), (-r * 0.8, r * 0.8)), ((-r * 0.8, r * 0.8), (r * 0.8, -r * 0.8))],
        None: [((-r, r), (0, 0))],
    }
    for dx, dy in strokes[kind]:
        axes.plot(np.add(x, dx), np.add(y, dy), color="white", lw=1.5, zorder=5, solid_joinstyle="round")


def _label_width(labels: Sequence[str], wrap: int) -> tuple[list[str], float]:
    """Wrap labels and return them with the inches their longest line needs at 9.5 points."""
    wrapped = ["\n".join(textwrap.wrap(label, wrap)) for label in labels]
    longest = max((len(line) for label in wrapped for line in label.split("\n")), default=0)
    return wrapped, longest * 0.082 + 0.12 if longest else 0.0


def ranked_lists(
    queries: Sequence[Picture],
    galleries: Sequence[Sequence[Picture]],
    matches: Sequence[Sequence[bool | None]],
    row_labels: Sequence[str] | None = None,
    captions: Sequence[Sequence[str]] | None = None,
) -> Figure:
    """Show queries, each followed by its best gallery pictures: green tick for the right person, red cross if not.

    Args:
        queries: n pictures (H, W, 3) uint8 RGB; all pictures are drawn with the first query's aspect ratio.
        galleries: for each query its ranked gallery pictures, best first; rows may differ in length.
        matches: for each gallery picture True (same person), False (another) or None (junk, left out of the score).
        row_labels: a short word per query, drawn at its left.
        captions: a few characters per gallery picture, drawn under it (a distance, a camera).

    Raises:
        ConfigError: lengths that do not agree, or something that is not a picture.
    """
    queries, galleries, matches = list(queries), [list(g) for g in galleries], [list(m) for m in matches]
    if not queries:
        raise ConfigError("queries: expected at least one picture; got none")
    for name, rows in (("galleries", galleries), ("matches", matches), ("row_labels", row_labels)):
        if rows is not None and len(rows) != len(queries):
            raise ConfigError(f"{name}: expected one entry per query ({len(queries)}); got {len(rows)}")
    for name, rows in (("matches", matches), ("captions", captions)):
        if rows is not None and [len(row) for row in rows] != [len(row) for row in galleries]:
            raise ConfigError(
                f"{name}: expected one entry per gallery picture, rows of {[len(row) for row in galleries]}; "
                f"got {[len(row) for row in rows]}"
            )
    wrong = next((m for row in matches for m in row if m is not None and not isinstance(m, bool | np.bool_)), None)
    if wrong is not None:
        raise ConfigError(f"matches: expected True, False or None (junk); got {wrong!r}")
    queries = [_check(picture, f"queries[{i}]") for i, picture in enumerate(queries)]

    depth = max(len(row) for row in galleries)
    labels, left = _label_width(list(row_labels or []), wrap=14)
    gap, aside, top = 0.09, 0.22, 0.32
    width = min(0.72, (style.WIDTH - left - aside - 0.12 - depth * gap) / (depth + 1))
    height = width * queries[0].shape[0] / queries[0].shape[1]
    step = height + (0.32 if captions else 0.14)
    total = left + 0.12 + aside + width * (depth + 1) + gap * depth
    start = [left + 0.06, *(left + 0.06 + width + aside + i * (width + gap) for i in range(depth))]
    with style.context():
        figure, axes = _inch_axes(total, top + step * len(queries) + 0.02)
        axes.text(start[0] + width / 2, top - 0.12, "query", ha="center", va="bottom", fontsize=9.5, weight="bold")
        for rank in range(depth):
            axes.text(start[rank + 1] + width / 2, top - 0.12, f"{rank + 1}", ha="center", va="bottom", fontsize=9.5)
        for row, (query, gallery, match) in enumerate(zip(queries, galleries, matches)):
            y = top + row * step
            if labels:
                axes.text(left - 0.06, y + height / 2, labels[row], ha="right", va="center", fontsize=9.5)
            _place(axes, query, start[0], y, width, height)
            _frame(axes, start[0], y, width, height, style.INK, 1.2)
            for rank, (picture, kind) in enumerate(zip(gallery, match)):
                kind = None if kind is None else bool(kind)
                x = start[rank + 1]
                _place(axes, _check(picture, f"galleries[{row}][{rank}]"), x, y, width, height)
                _frame(axes, x, y, width, height, _MARKS[kind][0], 2.6)
                _mark(axes, kind, x + width - 0.02, y + height - 0.03, min(0.095, width * 0.2))
                if captions:
                    axes.text(
                        x + width / 2, y + height + 0.065, captions[row][rank], ha="center", va="top", fontsize=7.5
                    )
    return figure


def contact_sheet(
    pictures: Sequence[Sequence[Picture | None]],
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
) -> Figure:
    """Show pictures in rows and columns, each row and column with its label.

    Args:
        pictures: rows of pictures (H, W, 3) uint8 RGB; None leaves a cell empty. Cells have the first picture's aspect.
        row_labels: one per row, at the left.
        column_labels: one per column, above.

    Raises:
        ConfigError: ragged rows, labels that do not fit, or something that is not a picture.
    """
    rows = [list(row) for row in pictures]
    lengths = sorted({len(row) for row in rows})
    if len(lengths) != 1 or lengths == [0]:
        raise ConfigError(f"pictures: expected rows of one same length, not empty; got lengths {lengths or 'none'}")
    count = lengths[0]
    for name, labels, expected in (("row_labels", row_labels, len(rows)), ("column_labels", column_labels, count)):
        if labels is not None and len(labels) != expected:
            raise ConfigError(f"{name}: expected {expected} labels; got {len(labels)}")
    first = next((picture for row in rows for picture in row if picture is not None), None)
    if first is None:
        raise ConfigError("pictures: every cell is None; expected at least one picture")
    shape = _check(first, "pictures").shape

    left_labels, left = _label_width(list(row_labels or []), wrap=14)
    gap = 0.06
    width = min(style.WIDTH / 3, (style.WIDTH - left - 0.04 - gap * (count - 1)) / count)
    height = width * shape[0] / shape[1]
    above = ["\n".join(textwrap.wrap(label, max(4, int((width + gap) / 0.085)))) for label in column_labels or []]
    top = 0.04 + 0.165 * max((label.count("\n") + 1 for label in above), default=0) + (0.06 if above else 0)
    with style.context():
        total = left + 0.04 + count * width + gap * (count - 1)
        figure, axes = _inch_axes(total, top + len(rows) * (height + gap))
        for column, label in enumerate(above):
            x = left + 0.02 + column * (width + gap) + width / 2
            axes.text(x, top - 0.06, label, ha="center", va="bottom", fontsize=9.5, linespacing=1.1)
        for i, row in enumerate(rows):
            y = top + i * (height + gap)
            if left_labels:
                axes.text(left - 0.08, y + height / 2, left_labels[i], ha="right", va="center", fontsize=9.5)
            for j, picture in enumerate(row):
                x = left + 0.02 + j * (width + gap)
                if picture is None:
                    _frame(axes, x + 0.01, y + 0.01, width - 0.02, height - 0.02, style.RULE, 0.8)
                else:
                    _place(axes, _check(picture, f"pictures[{i}][{j}]"), x, y, width, height)
    return figure


def frame_with_boxes(
    frame: Picture,
    boxes: np.ndarray,
    ids: Sequence[Any] | None = None,
    labels: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Show one camera frame with the boxes of its people.

    Args:
        frame: (H, W, 3) uint8 RGB.
        boxes: (n, 4) float x, y, w, h in pixels of the frame, top-left origin; they may reach over the edge.
        ids: n identities; boxes of one identity share a colour. Without it all boxes have one colour.
        labels: n words for the tags; the ids by default.
        title: a line above the frame, such as the camera's name.

    Raises:
        ConfigError: a wrong shape, a box without area, or lists of another length.
    """
    frame = _check(frame, "frame")
    boxes = np.asarray(boxes, dtype=float)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ConfigError(f"boxes: expected shape (n, 4) of x, y, w, h in pixels; got {boxes.shape}")
    if not np.isfinite(boxes).all() or (boxes[:, 2:] <= 0).any():
        bad = int(np.flatnonzero(~np.isfinite(boxes).all(axis=1) | (boxes[:, 2:] <= 0).any(axis=1))[0])
        raise ConfigError(f"boxes[{bad}]: expected finite numbers with w > 0 and h > 0; got {boxes[bad].tolist()}")
    for name, values in (("ids", ids), ("labels", labels)):
        if values is not None and len(values) != len(boxes):
            raise ConfigError(f"{name}: expected one per box ({len(boxes)}); got {len(values)}")
    keys = list(ids) if ids is not None else ["person"] * len(boxes)
    tags = list(labels) if labels is not None else [str(key) for key in keys] if ids is not None else []
    palette = style.colours(keys)

    top = 0.3 if title else 0.0
    width = style.WIDTH
    scale = width / frame.shape[1]
    height = frame.shape[0] * scale
    with style.context():
        figure, axes = _inch_axes(width, height + top)
        if title:
            axes.text(0, top - 0.1, title, va="bottom", weight="bold", fontsize=10.5)
        _place(axes, frame, 0, top, width, height)
        for index, (x, y, w, h) in enumerate(boxes * scale):
            colour = palette[keys[index]]
            patch = Rectangle((x, y + top), w, h, fill=False, ec=colour, lw=2, zorder=3)
            patch.set_path_effects([withStroke(linewidth=3.6, foreground="white")])
            axes.add_patch(patch)
            if tags:
                axes.text(
                    np.clip(x, 0, width - 0.3),
                    max(y + top - 0.03, top + 0.16),
                    tags[index],
                    color="white",
                    fontsize=8.5,
                    weight="bold",
                    va="bottom",
                    zorder=4,
                    bbox={"boxstyle": "round,pad=0.18", "fc": colour, "ec": "white", "lw": 0.8},
                )
    return figure
