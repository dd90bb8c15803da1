"""What a figure has drawn: its axes, its words, and whether these hide one another."""

from itertools import combinations


def axes_of(figure):
    figure.canvas.draw()
    return figure.axes[0]


def texts(axes):
    return [text.get_text() for text in axes.texts if text.get_text()]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].texts]


def boxes_of_text(figure):
    return {
        (i, text.get_text()): text.get_window_extent()
        for i, text in enumerate(axes_of(figure).texts)
        if text.get_text()
    }


def hidden_words(figure):
    """Return the pairs of texts of which one lies over the other."""
    pairs = combinations(boxes_of_text(figure).items(), 2)
    return [(a, b) for (a, one), (b, other) in pairs if one.overlaps(other)]


def words_outside(figure):
    """Return the texts that reach over the figure's edge by more than a pixel."""
    boxes, end = boxes_of_text(figure), figure.bbox
    low = {name for name, box in boxes.items() if min(box.x0, box.y0) < -1}
    return low | {name for name, box in boxes.items() if max(box.x1 - end.x1, box.y1 - end.y1) > 1}
