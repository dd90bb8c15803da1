"""Pictures in figures are judged by their pixels: the frame a reader sees must be the one that was meant."""

import numpy as np
import pytest
from matplotlib import colors as mcolors
from matplotlib.patches import FancyBboxPatch, Rectangle

from reidlab import plots
from reidlab.errors import ConfigError
from reidlab.plots import style
from reidlab.seeding import rng
from tests.plots.drawn import texts

RED, BLUE = (200, 20, 20), (20, 20, 200)


def crop(colour=RED, height=64, width=32):
    return np.full((height, width, 3), colour, dtype=np.uint8)


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def pixel_at(figure, x, y):
    """The drawn colour at (x, y) in inches from the top left."""
    picture = pixels(figure)
    return picture[round(y * style.DPI), round(x * style.DPI)]


def rgb(colour):
    return np.round(255 * np.array(mcolors.to_rgb(colour)))


def images(figure):
    return figure.axes[0].images


def frames(figure):
    """Rectangles drawn round pictures, as {(left, top): colour} in inches."""
    return [p for p in figure.axes[0].patches if type(p).__name__ == "Rectangle"]


def test_a_ranked_list_frames_matches_others_and_junk_in_their_colours():
    figure = plots.ranked_lists([crop()], [[crop(), crop(BLUE), crop()]], [[True, False, None]])
    assert len(images(figure)) == 4
    for frame, colour in zip(frames(figure)[1:], (style.MATCH, style.OTHER, style.JUNK)):
        x, y = frame.get_x(), frame.get_y() + frame.get_height() / 2
        np.testing.assert_allclose(pixel_at(figure, x, y), rgb(colour), atol=3)


def test_a_ranked_list_repeats_the_colour_by_a_sign():
    """A tick is one stroke, a cross two, a dash one level stroke: seen without colour they still differ."""
    strokes = {}
    for kind in (True, False, None):
        lines = plots.ranked_lists([crop()], [[crop()]], [[kind]]).axes[0].lines
        strokes[kind] = [(len(line.get_xdata()), float(np.ptp(line.get_ydata())) > 0) for line in lines]
    assert strokes == {True: [(3, True)], False: [(2, True), (2, True)], None: [(2, False)]}


def test_pictures_keep_their_own_pixels_and_order():
    figure = plots.ranked_lists([crop((9, 9, 9))], [[crop(RED), crop(BLUE)]], [[False, False]])
    for image, colour in zip(images(figure), ((9, 9, 9), RED, BLUE)):
        left, right, bottom, top = image.get_extent()
        np.testing.assert_array_equal(pixel_at(figure, (left + right) / 2, (bottom + top) / 2), colour)
        assert (bottom - top) / (right - left) == pytest.approx(64 / 32)


def test_a_ranked_list_is_as_wide_as_the_column_at_most():
    figure = plots.ranked_lists([crop()], [[crop()] * 10], [[True] * 10], row_labels=["a very long label indeed"])
    assert figure.get_size_inches()[0] <= style.WIDTH + 1e-6


def test_captions_and_labels_are_written():
    figure = plots.ranked_lists([crop()], [[crop()]], [[True]], row_labels=["hard"], captions=[["0.12"]])
    assert {"query", "1", "hard", "0.12"} <= {text.get_text() for text in figure.axes[0].texts}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [], []), "at least one picture"),
        (([crop()], [[crop()]], [[True, False]]), "one entry per gallery picture"),
        (([crop()], [[crop()], [crop()]], [[True]]), "galleries: expected one entry per query"),
        (([crop()], [[crop()]], [["yes"]]), "True, False or None"),
        (([crop().astype(float)], [[crop()]], [[True]]), r"queries\[0\].*uint8.*float64"),
        (([crop()], [[crop()[..., 0]]], [[True]]), r"galleries\[0\]\[0\].*\(64, 32\)"),
    ],
)
def test_ranked_lists_refuse_what_does_not_fit(arguments, message):
    with pytest.raises(ConfigError, match=message):
        plots.ranked_lists(*arguments)


def test_a_contact_sheet_places_rows_and_columns():
    figure = plots.contact_sheet([[crop(RED), crop(BLUE)], [None, crop(RED)]], ["a", "b"], ["left", "right"])
    assert len(images(figure)) == 3
    (x0, _, y0, _), (x1, _, y1, _), (x2, _, y2, _) = (image.get_extent() for image in images(figure))
    assert x0 < x1 == x2
    assert y0 == y1 < y2
    assert {"a", "b", "left", "right"} == {text.get_text() for text in figure.axes[0].texts}


@pytest.mark.parametrize(
    ("pictures", "labels", "message"),
    [
        ([[crop()], [crop(), crop()]], {}, r"got lengths \[1, 2\]"),
        ([], {}, "got lengths none"),
        ([[None]], {}, "every cell is None"),
        ([[crop()]], {"row_labels": ["a", "b"]}, r"row_labels: expected one label per row \(1\); got 2"),
        ([[crop()]], {"column_labels": []}, r"column_labels: expected one label per column \(1\)"),
    ],
)
def test_a_contact_sheet_refuses_what_does_not_fit(pictures, labels, message):
    with pytest.raises(ConfigError, match=message):
        plots.contact_sheet(pictures, **labels)


def test_boxes_lie_where_the_pixels_are():
    frame = crop((90, 90, 90), height=100, width=200)
    figure = plots.frame_with_boxes(frame, np.array([[50.0, 20.0, 40.0, 60.0]]), ids=[7])
    scale = style.WIDTH / 200
    colour = rgb(style.colours([7])[7])
    np.testing.assert_allclose(pixel_at(figure, 50 * scale, 50 * scale), colour, atol=3)
    np.testing.assert_allclose(pixel_at(figure, 70 * scale, 80 * scale), colour, atol=3)
    np.testing.assert_array_equal(pixel_at(figure, 70 * scale, 50 * scale), (90, 90, 90))
    assert [text.get_text() for text in figure.axes[0].texts] == ["7"]


def test_boxes_of_one_identity_share_a_colour():
    boxes = np.tile([10.0, 10.0, 20.0, 20.0], (3, 1))
    figure = plots.frame_with_boxes(crop(height=100, width=200), boxes, ids=[4, 9, 4])
    edges = [patch.get_edgecolor() for patch in frames(figure)]
    assert edges[0] == edges[2] != edges[1]


def test_a_frame_without_people_is_drawn():
    assert not frames(plots.frame_with_boxes(crop(), np.empty((0, 4)), title="camera 1"))


@pytest.mark.parametrize(
    ("boxes", "extra", "message"),
    [
        ([1, 2, 3, 4], {}, r"expected shape \(n, 4\)"),
        ([[0, 0, 0, 5]], {}, r"boxes\[0\].*w > 0"),
        ([[0, 0, 4, 5], [0, np.nan, 4, 5]], {}, r"boxes\[1\].*finite"),
        ([[0, 0, 4, 5]], {"ids": [1, 2]}, r"ids: expected one per box \(1\); got 2"),
    ],
)
def test_frames_refuse_wrong_boxes(boxes, extra, message):
    with pytest.raises(ConfigError, match=message):
        plots.frame_with_boxes(crop(), np.array(boxes, dtype=float), **extra)


class TestClusterGalleries:
    pictures = rng(3, "pictures").integers(0, 256, (4, 16, 8, 3), dtype=np.uint8)
    right, selected = np.array([True, False, True, False]), np.array([True, True, False, True])

    def rings(self, axes):
        """Return x0, x1, y0, y1 of the dashed rings without the key's."""
        dashed = [p for p in axes.patches if isinstance(p, FancyBboxPatch) and not p.get_fill()]
        boxes = [(p.get_x(), p.get_x() + p.get_width(), p.get_y(), p.get_y() + p.get_height()) for p in dashed]
        return boxes[:-1]

    def test_pictures_and_frames_are_those_given(self):
        axes = plots.cluster_galleries([("round 1", self.pictures, self.right, self.selected)]).axes[0]
        for image, picture in zip(axes.images, self.pictures, strict=True):
            np.testing.assert_array_equal(image.get_array(), picture)
        frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        good, bad = ([0.0, 0.502, 0.31], [0.784, 0.251, 0.102])
        for frame, right in zip(frames, self.right, strict=True):
            np.testing.assert_allclose(frame.get_edgecolor()[:3], good if right else bad, atol=0.002)
        assert {"round 1", "exemplar", "trained on", "another"} <= set(texts(axes))

    def test_rings_hold_what_was_trained_on_and_nothing_else(self):
        rows = [("a", self.pictures, self.right, self.selected), ("b", self.pictures[:3], [True] * 3, [False] * 3)]
        axes = plots.cluster_galleries([*rows, ("c", self.pictures, self.right, [True] * 4)]).axes[0]
        rings = self.rings(axes)
        assert len(rings) == 3
        flags = [*self.selected, *[False] * 3, *[True] * 4]
        for image, flag in zip(axes.images, flags, strict=True):
            x0, x1, low, top = image.get_extent()
            around = [a < x0 and x1 < b and c < top and low < d for a, b, c, d in rings]
            beside = [a < x1 and x0 < b and c < low and top < d for a, b, c, d in rings]
            assert sum(around) == sum(beside) == flag

    @pytest.mark.parametrize("count", [1, 4, 14])
    def test_words_stay_in_the_figure(self, count):
        pictures = np.resize(self.pictures, (count, 16, 8, 3))
        figure = plots.cluster_galleries([("cluster 12, round 1", pictures, [True] * count, [True] * count)])
        figure.canvas.draw()
        boxes = [text.get_window_extent() for text in figure.axes[0].texts]
        assert min(min(box.x0, box.y0) for box in boxes) >= -1
        assert all(box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1 for box in boxes)
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([], "rows: expected at least one cluster"),
            ([("a", pictures[:0], [], [])], r"rows\[0\]: 'a': pictures: expected at least one picture"),
            (
                [("a", pictures, right[1:], selected)],
                r"rows\[0\]: .*verdicts: expected one per picture \(4\); got 3",
            ),
            (
                [("a", pictures, right, selected[1:])],
                r"rows\[0\]: 'a': selections: expected one per picture \(4\); got 3",
            ),
            (
                [("a", pictures.astype(float), right, selected)],
                r"rows\[0\]: 'a': pictures\[0\]: expected an RGB picture",
            ),
            ([("a", [pictures[0]] * 60, [True] * 60, [True] * 60)], "rows: 60 pictures in a row are too many"),
        ],
    )
    def test_bad_rows_are_refused(self, rows, message):
        with pytest.raises(ConfigError, match=message):
            plots.cluster_galleries(rows)
