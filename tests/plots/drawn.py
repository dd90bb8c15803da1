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


def assert_no_overlap(figure):
    for (a, one), (b, other) in combinations(boxes_of_text(figure).items(), 2):
        assert not one.overlaps(other), f"{a} hides {b}"


def assert_inside(figure):
    for name, box in boxes_of_text(figure).items():
        assert min(box.x0, box.y0) >= -1, name
        assert max(box.x1 - figure.bbox.x1, box.y1 - figure.bbox.y1) <= 1, name
