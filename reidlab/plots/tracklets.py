"""Figures of tracklets as rows of frames: attention over them, corrected boxes, wrong labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from reidlab.errors import ConfigError
from reidlab.plots import style
from reidlab.plots.checks import Picture, check_lengths, check_numbers, check_pictures
from reidlab.plots.sheet import Box, Sheet, cell, wrap_labels, wrapped

_GAP = 0.05  # inches between frames
_ATTENTION = {"cmap": "inferno", "alpha": 0.62, "zorder": 3, "vmin": 0}


@style.context()
def attention_strip(
    rows: Sequence[tuple[str, np.ndarray, np.ndarray]],
    query: tuple[int, int, int],
    limit: float | None = None,
    caption: str = "attention weight",
) -> Figure:
    """Show frames of tracklets and, under them, the attention of one place of one frame.

    Weights of all rows share one scale of colours, drawn at the bottom as they look over a mid grey.

    Args:
        rows: for each tracklet a title, its frames (T, H, W, 3) uint8 RGB, and weights (T, h, w), none negative.
        query: frame, row and column, on the map (T, h, w), of the place that attends; it is framed.
        limit: the weight at the end of the scale; larger ones look the same. The largest weight by default.
        caption: what the weights are.

    Raises:
        ConfigError: no row, something that is no picture, weights that do not fit, a query outside the map, or a limit
            that is not above 0.
    """
    if not rows:
        raise ConfigError("rows: expected at least one tracklet; got none")
    for number, (_, frames, weights) in enumerate(rows):
        check_pictures(f"rows[{number}]: pictures", frames)
        shape = np.shape(weights)
        if len(shape) != 3 or len(weights) != len(frames) or 0 in shape:
            raise ConfigError(f"rows[{number}]: expected weights (T, h, w) for {len(frames)} frames; got shape {shape}")
        check_numbers(f"rows[{number}]", weights, "weights that are finite and not negative", np.inf)
        if len(query) != 3 or any(not 0 <= place < size for place, size in zip(query, shape)):
            raise ConfigError(f"query: {tuple(query)} is not on the map of rows[{number}], shape {shape}")
    if limit is not None and not 0 < limit < np.inf:
        raise ConfigError(f"limit: expected a weight above 0; got {limit}")

    largest = max(np.max(weights) for _, _, weights in rows)
    top_weight = limit or largest or 1.0
    count = max(len(frames) for _, frames, _ in rows)
    labels, left = wrap_labels([title for title, *_ in rows])
    width, height = cell(rows[0][1][0], count, style.WIDTH - left - 0.04, _GAP, widest=0.9)
    block = 2 * height + _GAP + 0.16
    low = 0.04 + len(rows) * block
    sheet = Sheet(max(left + 0.04 + count * (width + _GAP), left + 3.4), low + 0.42)
    for number, (_, frames, weights) in enumerate(rows):
        top = 0.04 + number * block
        under = top + height + _GAP
        sheet.word(left - 0.08, under - _GAP / 2, labels[number], ha="right")
        h, w = height / len(weights[0]), width / len(weights[0][0])
        sheet.row(frames, (left + 0.02, top, width, height), _GAP)
        boxes = sheet.row(map(_grey, frames), (left + 0.02, under, width, height), _GAP)
        for box, looked in zip(boxes, weights):
            sheet.picture(looked, box, vmax=top_weight, interpolation="bilinear", **_ATTENTION)
        for y in (top, under):
            place = (boxes[query[0]][0] + query[2] * w, y + query[1] * h, w, h)
            halo = [withStroke(linewidth=3.4, foreground="white")]
            sheet.rectangle(place, zorder=4, fill=False, ec=style.BLUE, lw=1.8, path_effects=halo)
    _scale(sheet, left + 0.02, low, top_weight, caption, cut=largest > top_weight)
    return sheet.figure


def _scale(sheet: Sheet, x: float, y: float, largest: float, caption: str, cut: bool) -> None:
    """Draw a scale of attention colours, 2 inches long, with its numbers below and its caption at the right."""
    box = (x, y, 2.0, 0.13)
    sheet.picture(np.full((1, 1, 3), 128, dtype=np.uint8), box)
    sheet.picture(np.linspace(0, 1, 256)[None], box, vmax=1, **_ATTENTION)
    for share, ha in ((0, "left"), (0.5, "center"), (1, "right")):
        word = f"{share * largest:.2g}"
        sheet.word(x + 2 * share, y + 0.17, f"≥ {word}" if cut and share == 1 else word, size=8.5, ha=ha, va="top")
    sheet.word(x + 2.1, y + 0.065, caption, size=9, ha="left")


def _grey(picture: Picture) -> Picture:
    """Return a picture without its colours, so that a map over it can be read."""
    grey = picture.astype(float) @ (0.299, 0.587, 0.114)
    return np.repeat(np.round(grey)[..., None], 3, axis=2).astype(np.uint8)


@style.context()
def before_after(
    tracklets: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]],
    kept: Sequence[np.ndarray] | None = None,
    names: tuple[str, str] = ("before", "after"),
) -> Figure:
    """Show tracklets before and after their boxes were detected again (Figs. 2.7 and 2.11 of the dissertation).

    Args:
        tracklets: for each a title, pictures before and after, (T, H, W, 3) uint8 RGB, and masks (T, 4) int: y0, y1,
            x0, x1 of the picture inside each one after, in its pixels; the rest is padding and hatched.
        kept: for each tracklet (T,) bool, True where nobody was detected and the picture was kept.
        names: words for the two lines of a tracklet.

    Raises:
        ConfigError: no tracklet, something that is no picture, a mask outside its picture, or parts that do not fit.
    """
    if not tracklets:
        raise ConfigError("tracklets: expected at least one; got none")
    for number, (_, before, after, masks) in enumerate(tracklets):
        where = f"tracklets[{number}]"
        check_pictures(f"{where}: before", before)
        if len(before) != len(check_pictures(f"{where}: after", after)) or np.shape(masks) != (len(after), 4):
            raise ConfigError(
                f"{where}: expected as many pictures before as after and masks (T, 4); got {len(before)} before, "
                f"{len(after)} after, masks of shape {np.shape(masks)}"
            )
        for t, (picture, mask) in enumerate(zip(after, masks)):
            y0, y1, x0, x1 = edges = [int(edge) for edge in mask]
            high, wide, _ = picture.shape
            if not (0 <= y0 < y1 <= high and 0 <= x0 < x1 <= wide):
                raise ConfigError(f"{where}: masks[{t}] is {edges}; expected y0 < y1 <= {high} and x0 < x1 <= {wide}")
    check_lengths(len(tracklets), "entry per tracklet", kept=kept)
    for number, flags in enumerate(kept if kept is not None else []):
        check_lengths(len(tracklets[number][1]), "entry per picture", **{f"kept[{number}]": flags})

    longest = max(len(before) for _, before, *_ in tracklets)
    labels, left = wrap_labels([title for title, *_ in tracklets])
    names, words = wrap_labels(names, size=9)
    left += words
    width, height = cell(tracklets[0][1][0], longest, style.WIDTH - left - 0.04, _GAP, widest=0.85)
    between = 0.18
    block = 2 * height + _GAP + between
    sheet = Sheet(left + 0.04 + longest * (width + _GAP), 0.08 + len(tracklets) * block - between)
    for number, (_, before, after, masks) in enumerate(tracklets):
        top = 0.04 + number * block
        sheet.word(left - words - 0.08, top + height + _GAP / 2, labels[number], ha="right")
        for line, pictures in enumerate((before, after)):
            y = top + line * (height + _GAP)
            sheet.word(left - 0.06, y + height / 2, names[line], size=9, ha="right", color=style.QUIET)
            boxes = sheet.row(pictures, (left + 0.02, y, width, height), _GAP)
            for t, box in enumerate(boxes if line else []):
                _hatch(sheet, masks[t], pictures[t].shape, box)
                if kept is not None and kept[number][t]:
                    sheet.frame(box, style.JUNK, 1.6)
                    tag = {"fc": style.INK, "ec": "none", "boxstyle": "round,pad=0.2"}
                    look = {"size": 7.5, "va": "bottom", "color": "white", "zorder": 5, "bbox": tag}
                    sheet.word(box[0] + width / 2, y + height - 0.06, "kept", **look)
    return sheet.figure


def _hatch(sheet: Sheet, mask: Sequence[int], shape: tuple[int, ...], box: Box) -> None:
    """Hatch what a mask (y0, y1, x0, x1) leaves out of a picture drawn over a box."""
    y0, y1, x0, x1 = (float(edge) for edge in mask)
    x, y, width, height = box
    high, wide = shape[:2]
    sx, sy = width / wide, height / high
    for left, top, right, low in [(0, 0, wide, y0), (0, y1, wide, high), (0, y0, x0, y1), (x1, y0, wide, y1)]:
        if left < right and top < low:
            part = (x + left * sx, y + top * sy, (right - left) * sx, (low - top) * sy)
            sheet.rectangle(part, fc="#f2f4f6", ec=style.JUNK, lw=0.8, hatch="/////")


@style.context()
def label_faults(rows: Sequence[tuple[str, Sequence[tuple[str, np.ndarray]]]]) -> Figure:
    """Show wrong labels: in each row tracklets side by side over the labels they carry (Fig. 2.12).

    Args:
        rows: a title and the tracklets, each a caption and pictures (T, H, W, 3) uint8 RGB.

    Raises:
        ConfigError: no row, a row without a tracklet, or something that is no picture.
    """
    if not rows or any(not groups for _, groups in rows):
        raise ConfigError("rows: expected at least one row, and a tracklet in each")
    for number, (_, groups) in enumerate(rows):
        for caption, shown in groups:
            check_pictures(f"rows[{number}]: {caption!r}", shown)
    between, side = 0.34, 0.04
    most = max(sum(len(shown) for _, shown in groups) for _, groups in rows)
    apart = 2 * side + between * (max(len(groups) for _, groups in rows) - 1)
    width, height = cell(rows[0][1][0][1][0], most, style.WIDTH - apart, _GAP, widest=0.8)
    step = width + _GAP
    total = apart + most * step
    captions = [[wrapped(caption, len(shown) * step, size=9) for caption, shown in groups] for _, groups in rows]
    titles = [wrapped(title, total, size=10.5, least=12) for title, _ in rows]  # bold type is wider
    head = 0.27 + 0.16 * max(title.count("\n") for title in titles)
    block = head + height + 0.41 + 0.15 * max(caption.count("\n") for row in captions for caption in row)
    sheet = Sheet(total, len(rows) * block - 0.1)
    for number, (_, groups) in enumerate(rows):
        top = number * block + head
        sheet.word(side, top - 0.07, titles[number], size=10, ha="left", va="bottom", weight="bold")
        x = side
        for (_, shown), caption in zip(groups, captions[number]):
            sheet.row(shown, (x, top, width, height), _GAP)
            end, under = x + len(shown) * step - _GAP, top + height + 0.06
            sheet.axes.plot([x, end], [under, under], color=style.QUIET, lw=1.2, solid_capstyle="butt")
            sheet.word((x + end) / 2, under + 0.05, caption, size=9, va="top", linespacing=1.15)
            x = end + _GAP + between
    return sheet.figure
