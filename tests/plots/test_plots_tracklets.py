"""Figures of tracklets: every frame in its place, and what is drawn over and under it."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from reidlab import plots
from reidlab.errors import ConfigError
from reidlab.plots import style
from reidlab.seeding import rng
from tests.plots.drawn import axes_of, hidden_words, texts, words_outside


def clip(frames=4, height=32, width=16, value=90):
    return np.full((frames, height, width, 3), value, dtype=np.uint8)


def pictures_at(figure):
    return [image for image in axes_of(figure).images if image.get_array().ndim == 3]


class TestAttentionStrip:
    weights = rng(1, "attention").random((4, 8, 4))

    def test_bare_frames_are_above_and_weights_below(self):
        figure = plots.attention_strip([("one", clip(), self.weights), ("two", clip(), self.weights / 2)], (1, 3, 2))
        maps = [image for image in axes_of(figure).images if image.get_array().shape == (8, 4)]
        assert len(maps) == 8
        np.testing.assert_allclose(maps[1].get_array(), self.weights[1])
        bare = pictures_at(figure)
        for image in maps:
            x0, x1, low, top = image.get_extent()
            above = [picture.get_extent() for picture in bare if np.allclose(picture.get_extent()[:2], (x0, x1))]
            assert any(extent[2] <= top and low - top == pytest.approx(extent[2] - extent[3]) for extent in above)

    def test_all_rows_share_one_scale_that_is_drawn(self):
        figure = plots.attention_strip([("one", clip(), self.weights), ("two", clip(), self.weights / 2)], (1, 3, 2))
        maps = [image for image in axes_of(figure).images if image.get_array().shape == (8, 4)]
        assert {image.get_clim() for image in maps} == {(0, self.weights.max())}
        assert {f"{self.weights.max():.2g}", "0", "attention weight", "one", "two"} <= set(texts(axes_of(figure)))
        assert hidden_words(figure) == []
        assert words_outside(figure) == set()

    def test_a_limit_cuts_the_scale_and_says_so(self):
        figure = plots.attention_strip([("one", clip(), self.weights)], (0, 0, 0), limit=0.25, caption="share")
        assert {"≥ 0.25", "share"} <= set(texts(axes_of(figure)))
        assert "0.25" not in texts(axes_of(figure))

    def test_the_query_is_framed_in_both_lines(self):
        figure = plots.attention_strip([("one", clip(), self.weights)], (2, 7, 1))
        maps = [image for image in axes_of(figure).images if image.get_array().shape == (8, 4)]
        x0, x1, low, top = maps[2].get_extent()
        frames = [patch for patch in figure.axes[0].patches if to_hex(patch.get_edgecolor()) == style.BLUE]
        assert len(frames) == 2
        below = max(frames, key=lambda patch: patch.get_y())
        np.testing.assert_allclose(
            (below.get_x(), below.get_y(), below.get_width(), below.get_height()),
            (x0 + (x1 - x0) / 4, top + (low - top) * 7 / 8, (x1 - x0) / 4, (low - top) / 8),
        )

    def test_weights_of_nothing_but_zeros_are_drawn(self):
        axes = axes_of(plots.attention_strip([("one", clip(), np.zeros((4, 2, 2)))], (0, 0, 0)))
        assert texts(axes)[-4:] == ["0", "0.5", "1", "attention weight"]

    @pytest.mark.parametrize(
        ("rows", "query", "extra", "message"),
        [
            ([], (0, 0, 0), {}, "rows: expected at least one tracklet"),
            ([("a", clip(0), weights)], (0, 0, 0), {}, r"rows\[0\]: pictures: expected at least one picture"),
            (
                [("a", clip().astype(float), weights)],
                (0, 0, 0),
                {},
                r"rows\[0\]: pictures\[0\]: expected an RGB picture",
            ),
            ([("a", clip(), weights[:3])], (0, 0, 0), {}, r"rows\[0\]: expected weights \(T, h, w\) for 4 frames"),
            ([("a", clip(), weights - 1)], (0, 0, 0), {}, r"rows\[0\]: .* not negative"),
            ([("a", clip(), weights)], (0, 8, 0), {}, r"query: \(0, 8, 0\) is not on the map of rows\[0\]"),
            ([("a", clip(), weights)], (0, -1, 0), {}, "query: .* is not on the map"),
            ([("a", clip(), weights)], (0, 0), {}, "query: .* is not on the map"),
            ([("a", clip(), weights)], (0, 0, 0), {"limit": 0.0}, "limit: expected a weight above 0"),
        ],
    )
    def test_bad_rows_are_refused(self, rows, query, extra, message):
        with pytest.raises(ConfigError, match=message):
            plots.attention_strip(rows, query, **extra)


class TestBeforeAfter:
    whole = np.tile([0, 32, 0, 16], (4, 1))

    def hatched(self, figure):
        return [p for p in axes_of(figure).patches if isinstance(p, Rectangle) and p.get_hatch()]

    def test_every_picture_is_drawn_in_its_line(self):
        figure = plots.before_after([("a", clip(value=10), clip(value=20), self.whole)])
        shown = [(image.get_array()[0, 0, 0], image.get_extent()[3]) for image in pictures_at(figure)]
        assert sorted(value for value, _ in shown) == [10] * 4 + [20] * 4
        assert max(y for value, y in shown if value == 10) < min(y for value, y in shown if value == 20)
        assert texts(axes_of(figure)) == ["a", "before", "after"]
        assert not self.hatched(figure)

    def test_padding_and_only_padding_is_hatched(self):
        masks = self.whole.copy()
        masks[1] = (4, 28, 2, 13)
        figure = plots.before_after([("a", clip(), clip(), masks)])
        x0, x1, low, top = pictures_at(figure)[5].get_extent()
        covered = np.zeros((32, 16), dtype=int)
        ys, xs = top + (np.arange(32) + 0.5) / 32 * (low - top), x0 + (np.arange(16) + 0.5) / 16 * (x1 - x0)
        for patch in self.hatched(figure):
            rows = (ys > patch.get_y()) & (ys < patch.get_y() + patch.get_height())
            columns = (xs > patch.get_x()) & (xs < patch.get_x() + patch.get_width())
            covered[np.ix_(rows, columns)] += 1
        expected = np.ones((32, 16), dtype=int)
        expected[4:28, 2:13] = 0
        np.testing.assert_array_equal(covered, expected)

    def test_kept_pictures_are_tagged(self):
        flags = np.array([False, True, False, True])
        figure = plots.before_after([("a", clip(), clip(), self.whole)], kept=[flags], names=("given", "linked"))
        assert sorted(texts(axes_of(figure))) == ["a", "given", "kept", "kept", "linked"]
        assert hidden_words(figure) == []
        assert words_outside(figure) == set()

    def test_tracklets_may_differ_in_length(self):
        pairs = [("long title of a tracklet", clip(), clip(), self.whole), ("b", clip(2), clip(2), self.whole[:2])]
        figure = plots.before_after(pairs)
        assert len(pictures_at(figure)) == 12
        assert hidden_words(figure) == []

    @pytest.mark.parametrize(
        ("tracklets", "kept", "message"),
        [
            ([], None, "tracklets: expected at least one"),
            ([("a", clip(), clip(3), whole)], None, r"tracklets\[0\]: .* got 4 before, 3 after"),
            ([("a", clip(), clip(), whole[:, :3])], None, r"masks of shape \(4, 3\)"),
            ([("a", clip(), clip(), whole + 1)], None, r"tracklets\[0\]: masks\[0\] is \[1, 33, 1, 17\]"),
            ([("a", clip(), clip()[..., 0], whole)], None, r"tracklets\[0\]: after\[0\]: expected an RGB picture"),
            (
                [("a", clip(), clip(), whole)],
                [[True]],
                r"kept\[0\]: expected one entry per picture \(4\); got 1",
            ),
            ([("a", clip(), clip(), whole)], [], r"kept: expected one entry per tracklet \(1\); got 0"),
        ],
    )
    def test_bad_tracklets_are_refused(self, tracklets, kept, message):
        with pytest.raises(ConfigError, match=message):
            plots.before_after(tracklets, kept)


class TestLabelFaults:
    def test_tracklets_stand_side_by_side_over_their_captions(self):
        rows = [("wrong", [("label 1", clip(2, value=10)), ("label 2", clip(3, value=20))])]
        figure = plots.label_faults(rows)
        shown = [(image.get_array()[0, 0, 0], image.get_extent()) for image in pictures_at(figure)]
        assert [value for value, _ in shown] == [10, 10, 20, 20, 20]
        assert all(a[1][1] < b[1][0] for a, b in pairwise(shown))
        assert len({extent[3] for _, extent in shown}) == 1
        places = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
        assert shown[0][1][0] < places["label 1"][0] < shown[1][1][1]
        assert shown[2][1][0] < places["label 2"][0] < shown[4][1][1]
        assert places["label 1"][1] > shown[0][1][2] > places["wrong"][1]

    def test_long_words_are_wrapped_and_never_overlap(self):
        words = "label 374 as given by the data set under camera 2"
        rows = [(f"a fault with a very long title that goes on and on, number {i}" * 2, [(words, clip(2))] * 2)
                for i in range(3)]  # fmt: skip
        figure = plots.label_faults(rows)
        assert hidden_words(figure) == []
        assert words_outside(figure) == set()

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([], "rows: expected at least one row"),
            ([("a", [])], "rows: .* a tracklet in each"),
            ([("a", [("b", clip(0))])], r"rows\[0\]: 'b': expected at least one picture"),
            ([("a", [("b", clip()[..., :2])])], r"rows\[0\]: 'b'\[0\]: expected an RGB picture"),
        ],
    )
    def test_bad_rows_are_refused(self, rows, message):
        with pytest.raises(ConfigError, match=message):
            plots.label_faults(rows)
