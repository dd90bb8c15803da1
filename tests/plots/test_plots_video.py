from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch, Rectangle
from scipy import stats

from reidlab import plots
from reidlab.errors import ConfigError
from reidlab.plots import style
from reidlab.plots.video import COST_KINDS
from reidlab.seeding import rng


def axes_of(figure):
    figure.canvas.draw()
    return figure.axes[0]


def texts(figure):
    return [text.get_text() for text in axes_of(figure).texts if text.get_text()]


def clip(frames=4, height=32, width=16, value=90):
    return np.full((frames, height, width, 3), value, dtype=np.uint8)


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


def pictures_at(figure):
    return [image for image in axes_of(figure).images if image.get_array().ndim == 3]


def png(figure):
    return figure._repr_png_()


class TestTradeOff:
    points = pd.DataFrame(
        {
            "net": np.repeat(["a", "b", "c", "d"], 3),
            "macs": np.repeat([1.0, 2.0, 3.0, 4.0], 3),
            "mAP": np.repeat([0.5, 0.7, 0.6, 0.8], 3) + np.tile([-0.01, 0.0, 0.02], 4),
        }
    )

    def test_marks_are_at_mean_cost_and_mean_score(self):
        axes = axes_of(plots.trade_off(self.points, "macs", "mAP", "net"))
        marks = {line.get_label(): line for line in axes.lines if line.get_label() in "abcd"}
        for name, rows in self.points.groupby("net"):
            np.testing.assert_allclose(marks[name].get_xdata(), rows.macs.mean())
            np.testing.assert_allclose(marks[name].get_ydata(), rows.mAP.mean())

    def test_the_interval_is_students(self):
        axes = axes_of(plots.trade_off(self.points, "macs", "mAP", "net"))
        (_, low), (_, high) = axes.containers[0][2][0].get_segments()[0]
        values = self.points.mAP[:3]
        np.testing.assert_allclose((low, high), stats.t.interval(0.95, 2, values.mean(), stats.sem(values)))

    def test_a_single_seed_is_hollow_and_has_no_interval(self):
        axes = axes_of(plots.trade_off(self.points[::3], "macs", "mAP", "net"))
        assert not axes.containers
        marks = [line for line in axes.lines if line.get_label() in "abcd"]
        assert [mark.get_markerfacecolor() for mark in marks] == ["white"] * 4

    def test_the_frontier_is_what_nothing_beats(self):
        draw = rng(3, "frontier")
        table = pd.DataFrame({"net": range(30), "x": draw.integers(1, 9, 30), "y": draw.integers(0, 50, 30) / 100})
        axes = axes_of(plots.trade_off(table, "x", "y", "net"))
        line = next(line for line in axes.lines if line.get_label() == "frontier")
        beaten = [
            any((o.x <= p.x and o.y >= p.y and (o.x < p.x or o.y > p.y)) for o in table.itertuples())
            for p in table.itertuples()
        ]
        expected = {(row.x, row.y) for row, lost in zip(table.itertuples(), beaten) if not lost}
        assert set(zip(line.get_xdata(), line.get_ydata())) == expected

    @pytest.mark.parametrize("log_x", [False, True])
    @pytest.mark.parametrize("seed", range(3))
    def test_names_overlap_neither_each_other_nor_marks(self, seed, log_x):
        draw = rng(seed, "names")
        names = ["c2d", "c2d-max", "nvan", "nvan-spatial", "nvan-temporal", "ste-nvan", "cf-aan", "non-local"]
        table = pd.DataFrame({"net": names, "x": draw.uniform(5, 20, 8), "y": 0.6 + draw.uniform(0, 0.05, 8)})
        figure = plots.trade_off(table, "x", "y", "net", log_x=log_x)
        assert sorted(texts(figure)) == sorted(names)
        assert_no_overlap(figure)
        assert_inside(figure)
        axes = figure.axes[0]
        spots = axes.transData.transform(table[["x", "y"]].to_numpy())
        for name, box in boxes_of_text(figure).items():
            assert not any(box.contains(*spot) for spot in spots), name

    def test_names_of_one_crowd_are_spread(self):
        table = pd.DataFrame({"net": list("abcdef"), "x": [10, 10, 10, 10, 10, 90], "y": [0.5] * 5 + [0.9]})
        assert_no_overlap(plots.trade_off(table, "x", "y", "net"))

    def test_axes_are_named_and_scaled(self):
        axes = axes_of(plots.trade_off(self.points, "macs", "mAP", "net", xlabel="G MACs", log_x=True))
        assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_xscale()) == ("G MACs", "mAP", "log")
        assert all(label.get_text().endswith(" %") for label in axes.get_yticklabels())
        plain = axes_of(plots.trade_off(self.points, "macs", "mAP", "net", percent=False))
        assert not any("%" in label.get_text() for label in plain.get_yticklabels())

    def test_the_same_table_gives_the_same_picture(self):
        first, second = (plots.trade_off(self.points, "macs", "mAP", "net") for _ in range(2))
        assert png(first) == png(second)

    @pytest.mark.parametrize(
        ("table", "extra", "message"),
        [
            (points.drop(columns="macs"), {}, "points: no column 'macs'; it has net, mAP"),
            (points[:0], {}, "points: expected at least one row"),
            (points.assign(mAP=np.nan), {}, "points: column 'mAP' holds values that are not finite"),
            (points.assign(mAP="0.7"), {}, "points: column 'mAP' holds values that are not finite numbers"),
            (points.assign(macs=0.0), {"log_x": True}, "points: column 'macs' must be above 0"),
        ],
    )
    def test_bad_points_are_refused(self, table, extra, message):
        with pytest.raises(ConfigError, match=message):
            plots.trade_off(table, "macs", "mAP", "net", **extra)


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
        assert {f"{self.weights.max():.2g}", "0", "attention weight", "one", "two"} <= set(texts(figure))
        assert_no_overlap(figure)
        assert_inside(figure)

    def test_a_limit_cuts_the_scale_and_says_so(self):
        figure = plots.attention_strip([("one", clip(), self.weights)], (0, 0, 0), limit=0.25, caption="share")
        assert {"≥ 0.25", "share"} <= set(texts(figure))
        assert "0.25" not in texts(figure)

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
        axes_of(plots.attention_strip([("one", clip(), np.zeros((4, 2, 2)))], (0, 0, 0)))

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
        assert texts(figure) == ["a", "before", "after"]
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
        assert sorted(texts(figure)) == ["a", "given", "kept", "kept", "linked"]
        assert_no_overlap(figure)
        assert_inside(figure)

    def test_tracklets_may_differ_in_length(self):
        pairs = [("long title of a tracklet", clip(), clip(), self.whole), ("b", clip(2), clip(2), self.whole[:2])]
        figure = plots.before_after(pairs)
        assert len(pictures_at(figure)) == 12
        assert_no_overlap(figure)

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
                r"kept: expected one entry per picture, lengths \[4\]; got \[1\]",
            ),
            ([("a", clip(), clip(), whole)], [], r"kept: .* got \[\]"),
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
        assert_no_overlap(figure)
        assert_inside(figure)

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


class TestFrameDrift:
    table = pd.DataFrame(
        {
            "frame": np.tile([1, 2, 3], 10),
            "value": rng(2, "drift").random(30),
            "series": np.repeat(["before", "after"], 15),
        }
    )

    def test_lines_are_means_and_bands_students_intervals(self):
        axes = axes_of(plots.frame_drift(self.table))
        assert [line.get_label() for line in axes.lines] == ["before", "after"]
        for line, band in zip(axes.lines, axes.collections):
            corners = band.get_paths()[0].vertices
            for frame, mean in zip(line.get_xdata(), line.get_ydata()):
                values = self.table.value[(self.table.series == line.get_label()) & (self.table.frame == frame)]
                np.testing.assert_allclose(mean, values.mean())
                at = corners[corners[:, 0] == frame][:, 1]
                expected = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
                np.testing.assert_allclose((at.min(), at.max()), expected)

    def test_axes_start_at_zero_and_are_named(self):
        axes = axes_of(plots.frame_drift(self.table, ylabel="cosine distance"))
        assert axes.get_ylim()[0] == 0
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("frame of the tracklet", "cosine distance")

    def test_a_frame_with_one_row_has_no_band(self):
        axes = axes_of(plots.frame_drift(self.table[:3]))
        corners = axes.collections[0].get_paths()[0].vertices
        assert set(corners[:, 1].round(9)) == set(axes.lines[0].get_ydata().round(9))

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            (table.drop(columns="series"), "table: no column 'series'; it has frame, value"),
            (table[:0], "table: expected at least one row"),
            (table.assign(value=np.inf), "table: column 'value' holds values that are not finite"),
        ],
    )
    def test_bad_tables_are_refused(self, table, message):
        with pytest.raises(ConfigError, match=message):
            plots.frame_drift(table)


class TestPrecisionRecall:
    recall, precision = np.array([0.25, 0.5, 0.5]), np.array([1.0, 1.0, 2 / 3])

    def test_curves_and_chance_are_drawn(self):
        curves = {"label": (self.recall, self.precision), "duplicate": ([1.0], [0.5])}
        figure = plots.precision_recall(curves, {"label": 0.1})
        lines = {line.get_label(): line for line in axes_of(figure).lines}
        np.testing.assert_allclose(lines["label"].get_xydata(), np.column_stack([self.recall, self.precision]))
        assert lines["duplicate"].get_marker() != lines["label"].get_marker()
        level = next(line for line in figure.axes[0].lines if list(line.get_ydata()) == [0.1, 0.1])
        assert level.get_color() == lines["label"].get_color()
        assert [text.get_text() for text in figure.legends[0].texts] == ["label", "duplicate", "shuffled list"]

    def test_axes_span_all_fractions(self):
        axes = axes_of(plots.precision_recall({"a": (self.recall, self.precision)}))
        assert axes.get_xlim() == (0, 1)
        assert axes.get_ylim()[0] == 0
        assert axes.get_ylim()[1] >= 1

    @pytest.mark.parametrize(
        ("curves", "chance", "message"),
        [
            ({}, None, "curves: expected at least one"),
            ({"a": (recall, precision[:2])}, None, r"curves\['a'\]: .* got shapes \(3,\) and \(2,\)"),
            ({"a": ([], [])}, None, r"curves\['a'\]: expected recall and precision"),
            ({"a": (recall, precision * 100)}, None, r"curves\['a'\]: expected fractions in 0\.\.1"),
            ({"a": (recall, precision * np.nan)}, None, r"curves\['a'\]: expected fractions"),
            ({"a": (precision, recall)}, None, r"curves\['a'\]: recall never falls"),
            ({"a": (recall, precision)}, {"b": 0.1}, "chance: no curve 'b'; there are a"),
            ({"a": (recall, precision)}, {"a": 3.0}, r"chance\['a'\]: expected a fraction"),
        ],
    )
    def test_bad_curves_are_refused(self, curves, chance, message):
        with pytest.raises(ConfigError, match=message):
            plots.precision_recall(curves, chance)


class TestStackedCosts:
    table = pd.DataFrame({"product": [0.0, 22.0], "conv": [33.0, 30.0], "pool": [0.001, 0.001]}, index=["c2d", "nvan"])

    def test_bars_are_stacked_in_the_order_of_kinds(self):
        axes = axes_of(plots.stacked_costs(self.table))
        drawn = {bars.get_label(): [(bar.get_x(), bar.get_width()) for bar in bars] for bars in axes.containers}
        assert list(drawn) == ["conv", "product", "pool"]
        assert drawn["conv"] == [(0, 33), (0, 30)]
        assert drawn["product"] == [(33, 0), (30, 22)]
        np.testing.assert_allclose(drawn["pool"], [(33, 0.001), (52, 0.001)])
        assert [label.get_text() for label in axes.get_yticklabels()] == ["c2d", "nvan"]
        assert axes.yaxis_inverted()

    def test_a_kind_too_thin_to_be_seen_is_not_in_the_legend_but_in_the_total(self):
        figure = plots.stacked_costs(self.table.assign(pool=0.06))
        assert [text.get_text() for text in figure.legends[0].texts] == ["convolution", "product of attention"]
        assert texts(figure) == ["33.1", "52.1"]

    def test_a_printed_number_is_a_tick_and_a_word(self):
        figure = plots.stacked_costs(self.table, {"nvan": 30.0})
        assert texts(figure) == ["33.0", "52.0, printed 30.0"]
        ticks = [line for line in figure.axes[0].lines if list(line.get_xdata()) == [30.0, 30.0]]
        assert {np.mean(line.get_ydata()) for line in ticks} == {1}
        assert figure.legends[0].texts[-1].get_text() == "printed"
        assert_no_overlap(figure)
        assert_inside(figure)

    @pytest.mark.parametrize("value", [5.0, 300.0])
    def test_words_stay_in_the_figure_wherever_the_tick_is(self, value):
        assert_inside(plots.stacked_costs(self.table, {"nvan": value, "c2d": value}))

    def test_a_kind_keeps_its_colour_whatever_else_is_drawn(self):
        few, many = (
            axes_of(plots.stacked_costs(pd.DataFrame([[1.0] * len(kinds)], columns=kinds)))
            for kinds in (["product"], list(COST_KINDS))
        )
        colour = {bars.get_label(): to_hex(bars[0].get_facecolor()) for bars in many.containers}
        assert list(colour) == ["conv", "linear", "projection", "product", "norm", "pool", "other"]
        assert colour["product"] == to_hex(few.containers[0][0].get_facecolor())
        assert len(set(colour.values())) == len(colour)

    @pytest.mark.parametrize(
        ("table", "printed", "message"),
        [
            (table[:0], None, "table: expected at least one row"),
            (table.rename(columns={"conv": "convs"}), None, "table: 'convs' is not a kind of operation; expected conv"),
            (table - 1, None, "table: .* not negative"),
            (table * np.nan, None, "table: .* finite"),
            (table.rename(index={"c2d": "nvan"}), None, "table: row 'nvan' is there twice"),
            (table, {"ap3d": 1.0}, "printed: the table has no row 'ap3d'; it has c2d, nvan"),
            (table, {"nvan": -1.0}, r"printed\['nvan'\]: expected a number of operations"),
        ],
    )
    def test_bad_tables_are_refused(self, table, printed, message):
        with pytest.raises(ConfigError, match=message):
            plots.stacked_costs(table, printed)


class TestStageDiagram:
    boxes = (("stem", "T = 8\n64 x 32"), ("layer 1\n+ 2 attention", "T = 8\n64 x 32"), ("FPL", "2048"))

    def patches(self, figure):
        return [patch for patch in axes_of(figure).patches if isinstance(patch, FancyBboxPatch)]

    def test_each_title_is_in_its_box_and_its_caption_below(self):
        figure = plots.stage_diagram([("one", self.boxes), ("two", self.boxes[:2])])
        extents = boxes_of_text(figure)
        patches = [patch.get_window_extent() for patch in self.patches(figure)[:3]]
        assert len(self.patches(figure)) == 5
        for (title, caption), patch in zip(self.boxes, patches):
            inside = next(box for (_, word), box in extents.items() if word == title)
            assert patch.x0 < inside.x0 < inside.x1 < patch.x1
            assert patch.y0 < inside.y0 < inside.y1 < patch.y1
            below = next(b for (_, word), b in extents.items() if word == caption and patch.x0 <= b.x0 < patch.x1)
            assert below.y1 < patch.y0
        assert_no_overlap(figure)
        assert_inside(figure)

    def test_arrows_join_neighbours(self):
        figure = plots.stage_diagram([("one", self.boxes), ("two", self.boxes[:2])])
        arrows = [text for text in axes_of(figure).texts if getattr(text, "arrow_patch", None)]
        assert len(arrows) == 3
        first, second = self.patches(figure)[:2]
        assert arrows[0].xy[0] == pytest.approx(second.get_x())
        assert arrows[0].xyann[0] == pytest.approx(first.get_x() + first.get_width())

    def test_boxes_with_something_added_are_tinted(self):
        edges = [to_hex(patch.get_edgecolor()) for patch in self.patches(plots.stage_diagram([("one", self.boxes)]))]
        assert edges == [style.QUIET, style.BLUE, style.QUIET]

    def test_seven_stages_fit_the_page_in_type_that_can_be_read(self):
        row = [("stem", "T = 8\n64 x 32"), *[("layer 2\n+ 2 attention", "T = 8\n32 x 16")] * 5, ("FPL", "2048")]
        figure = plots.stage_diagram([("STE-NVAN", row)])
        assert_no_overlap(figure)
        assert_inside(figure)
        assert min(text.get_fontsize() for text in figure.axes[0].texts if text.get_text()) >= 6.5

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([], "rows: expected at least one row"),
            ([("a", [])], "rows: .* a box in each"),
            ([("a", [("a title that is much too long", "b")] * 8)], "rows: 8 boxes in a row"),
        ],
    )
    def test_bad_rows_are_refused(self, rows, message):
        with pytest.raises(ConfigError, match=message):
            plots.stage_diagram(rows)
