"""Figures of single pictures: ranked lists, contact sheets, clusters' members, frames with boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from reidlab.errors import ConfigError
from reidlab.plots import style
from reidlab.plots.checks import Picture, check_lengths, check_picture, check_pictures
from reidlab.plots.sheet import VERDICTS, Sheet, cell, text_width, wrap_labels, wrapped


@style.context()
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
    queries = check_pictures("queries", queries)
    check_lengths(len(queries), "entry per query", galleries=galleries, matches=matches)
    check_lengths(len(queries), "entry per query", row_labels=row_labels, captions=captions)
    for row, gallery in enumerate(galleries):
        check_lengths(len(gallery), "entry per gallery picture", matches=matches[row])
        check_lengths(len(gallery), "entry per gallery picture", captions=captions and captions[row])
        for kind in matches[row]:
            if kind is not None and not isinstance(kind, bool | np.bool_):
                raise ConfigError(f"matches: expected True, False or None (junk); got {kind!r}")

    depth = max(len(gallery) for gallery in galleries)
    labels, left = wrap_labels(row_labels)
    gap, aside, top = 0.09, 0.22, 0.32
    width, height = cell(queries[0], depth + 1, style.WIDTH - left - aside - 0.12 + gap, gap, widest=0.72)
    step = height + (0.32 if captions else 0.14)
    first = left + 0.06
    sheet = Sheet(first + 0.06 + aside + width * (depth + 1) + gap * depth, top + step * len(queries) + 0.02)
    sheet.word(first + width / 2, top - 0.12, "query", va="bottom", weight="bold")
    starts = [first + width + aside + rank * (width + gap) for rank in range(depth)]
    for rank, x in enumerate(starts):
        sheet.word(x + width / 2, top - 0.12, f"{rank + 1}", va="bottom")
    for row, query in enumerate(queries):
        y = top + row * step
        if labels:
            sheet.word(left - 0.06, y + height / 2, labels[row], ha="right")
        sheet.picture(query, (first, y, width, height))
        sheet.frame((first, y, width, height), style.INK, 1.2)
        for rank, (x, picture, kind) in enumerate(zip(starts, galleries[row], matches[row])):
            kind = None if kind is None else bool(kind)
            sheet.picture(check_picture(f"galleries[{row}][{rank}]", picture), (x, y, width, height))
            sheet.frame((x, y, width, height), VERDICTS[kind], 2.6)
            sheet.sign(kind, x + width - 0.02, y + height - 0.03, min(0.095, width * 0.2))
            if captions:
                sheet.word(x + width / 2, y + height + 0.065, captions[row][rank], size=7.5, va="top")
    return sheet.figure


@style.context()
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
    lengths = sorted({len(row) for row in pictures})
    if len(lengths) != 1 or lengths == [0]:
        raise ConfigError(f"pictures: expected rows of one same length, not empty; got lengths {lengths or 'none'}")
    count = lengths[0]
    check_lengths(len(pictures), "label per row", row_labels=row_labels)
    check_lengths(count, "label per column", column_labels=column_labels)
    first = next((picture for row in pictures for picture in row if picture is not None), None)
    if first is None:
        raise ConfigError("pictures: every cell is None; expected at least one picture")

    labels, left = wrap_labels(row_labels)
    gap = 0.06
    room = style.WIDTH - left - 0.04 + gap
    width, height = cell(check_picture("pictures", first), count, room, gap, widest=style.WIDTH / 3)
    above = [wrapped(label, width + gap, least=4) for label in column_labels or []]
    top = 0.04 + (0.06 + 0.165 * (1 + max(label.count("\n") for label in above)) if above else 0)
    sheet = Sheet(left + 0.04 - gap + count * (width + gap), top + len(pictures) * (height + gap))
    starts = [left + 0.02 + column * (width + gap) for column in range(count)]
    for x, label in zip(starts, above):
        sheet.word(x + width / 2, top - 0.06, label, va="bottom", linespacing=1.1)
    for i, row in enumerate(pictures):
        y = top + i * (height + gap)
        if labels:
            sheet.word(left - 0.08, y + height / 2, labels[i], ha="right")
        for j, (x, picture) in enumerate(zip(starts, row)):
            if picture is None:
                sheet.frame((x + 0.01, y + 0.01, width - 0.02, height - 0.02), style.RULE, 0.8)
            else:
                sheet.picture(check_picture(f"pictures[{i}][{j}]", picture), (x, y, width, height))
    return sheet.figure


@style.context()
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
    for number, (label, pictures, right, selected) in enumerate(rows):
        where = f"rows[{number}]: {label!r}: "
        check_pictures(f"{where}pictures", pictures)
        check_lengths(len(pictures), "per picture", **{f"{where}verdicts": right, f"{where}selections": selected})
    labels, left = wrap_labels([row[0] for row in rows], wrap=12)
    deep = max(len(row[1]) for row in rows)
    gap, side, top = 0.15, 0.12, 0.3
    width, height = cell(rows[0][1][0], deep, style.WIDTH - left - 2 * side + gap, gap, widest=0.62)
    if width < 0.15:
        raise ConfigError(f"rows: {deep} pictures in a row are too many to be seen; show fewer of them")
    step = height + 0.27
    foot = top + step * len(rows) + 0.06
    first = left + side
    # A row of few pictures still leaves room for the key.
    sheet = Sheet(max(first + side + deep * (width + gap) - gap, left + 4.6), foot + 0.2)
    sheet.word(first + width / 2, top - 0.12, "exemplar", size=8.5, va="bottom")
    for number, (_, pictures, right, selected) in enumerate(rows):
        y = top + number * step
        sheet.word(left - 0.04, y + height / 2, labels[number], ha="right")
        for box, good in zip(sheet.row(pictures, (first, y, width, height), gap), right):
            sheet.frame(box, VERDICTS[bool(good)], 2.2)
            sheet.sign(bool(good), box[0] + width - 0.06, y + 0.06, min(0.075, 0.2 * width))
        # Where the selection begins and where it ends.
        edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(selected, dtype=int), [0]])))
        for begin, end in edges.reshape(-1, 2).tolist():
            x, length = first + begin * (width + gap), (end - begin) * (width + gap) - gap
            sheet.ring((x - 0.05, y - 0.05, length + 0.1, height + 0.1))
    x = first
    for kind, words in ((True, "the exemplar's identity"), (False, "another")):
        sheet.sign(kind, x + 0.06, foot, 0.075)
        sheet.word(x + 0.2, foot, words, size=9, ha="left")
        x += 0.4 + text_width([words], 9)
    sheet.ring((x, foot - 0.08, 0.34, 0.16))
    sheet.word(x + 0.42, foot, "trained on", size=9, ha="left")
    return sheet.figure


@style.context()
def frame_with_boxes(
    frame: Picture, boxes: np.ndarray, ids: Sequence[Any] | None = None, title: str | None = None
) -> Figure:
    """Show one camera frame with the boxes of its people.

    Args:
        frame: (H, W, 3) uint8 RGB.
        boxes: (n, 4) float x, y, w, h in pixels of the frame, top-left origin; they may reach over the edge.
        ids: n identities, the words of the tags; boxes of one identity share a colour. Without it all boxes have one
            colour and no tag.
        title: a line above the frame, such as the camera's name.

    Raises:
        ConfigError: a wrong shape, a box without area, or lists of another length.
    """
    frame = check_picture("frame", frame)
    boxes = np.asarray(boxes, dtype=float)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ConfigError(f"boxes: expected shape (n, 4) of x, y, w, h in pixels; got {boxes.shape}")
    for number, box in enumerate(boxes):
        if not np.isfinite(box).all() or (box[2:] <= 0).any():
            raise ConfigError(f"boxes[{number}]: expected finite numbers with w > 0 and h > 0; got {box.tolist()}")
    check_lengths(len(boxes), "per box", ids=ids)
    keys = list(ids) if ids is not None else ["person"] * len(boxes)
    palette = style.colours(keys)

    top = 0.3 if title else 0.0
    scale = style.WIDTH / frame.shape[1]
    height = frame.shape[0] * scale
    sheet = Sheet(style.WIDTH, height + top)
    if title:
        sheet.word(0, top - 0.1, title, size=10.5, ha="left", va="bottom", weight="bold")
    sheet.picture(frame, (0, top, style.WIDTH, height))
    for key, (x, y, w, h) in zip(keys, boxes * scale):
        halo = [withStroke(linewidth=3.6, foreground="white")]
        sheet.rectangle((x, y + top, w, h), fill=False, ec=palette[key], lw=2, path_effects=halo)
        if ids is not None:
            card = {"boxstyle": "round,pad=0.18", "fc": palette[key], "ec": "white", "lw": 0.8}
            look = {"color": "white", "weight": "bold", "zorder": 4, "bbox": card}
            place = np.clip(x, 0, style.WIDTH - 0.3), max(y + top - 0.03, top + 0.16)
            sheet.word(*place, str(key), size=8.5, ha="left", va="bottom", **look)
    return sheet.figure
