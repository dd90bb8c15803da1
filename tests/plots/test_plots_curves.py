"""Figures along an axis: what they draw is what they were given, and what they refuse."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy import stats

from reidlab import plots
from reidlab.errors import ConfigError
from reidlab.plots import curves
from reidlab.seeding import rng
from tests.plots.drawn import axes_of, legend, texts


class TestCmc:
    def test_one_line_per_name_with_the_given_values(self):
        a, b = np.linspace(0.5, 0.9, 20), np.linspace(0.2, 0.6, 20)
        figure = plots.cmc_curves({"network": a, "histogram": b}, chance=np.linspace(0.01, 0.2, 20))
        lines = {line.get_label(): line.get_ydata() for line in axes_of(figure).lines}
        assert list(lines) == ["network", "histogram", "chance"]
        np.testing.assert_allclose(lines["network"], a)
        np.testing.assert_allclose(lines["histogram"], b)
        assert "network\nrank-1 50.0%" in texts(axes_of(figure))
        assert "chance" in texts(axes_of(figure))

    def test_scores_objects_are_read_by_their_cmc(self):
        class Scores:
            cmc = np.array([0.5, 1.0])

        np.testing.assert_array_equal(axes_of(plots.cmc_curves({"a": Scores()})).lines[0].get_ydata(), [0.5, 1.0])

    def test_seeds_are_drawn_as_mean_and_range(self):
        rows = np.array([[0.2, 0.4, 0.6], [0.4, 0.6, 0.8]])
        axes = axes_of(plots.cmc_curves({"a": rows}))
        np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.3, 0.5, 0.7])
        band = axes.collections[0].get_paths()[0].vertices[:, 1]
        assert (band.min(), band.max()) == (0.2, 0.8)

    def test_max_rank_cuts(self):
        axes = axes_of(plots.cmc_curves({"a": np.linspace(0, 1, 50)}, max_rank=10))
        assert len(axes.lines[0].get_xdata()) == 10

    def test_names_at_the_end_never_overlap(self):
        figure = plots.cmc_curves({name: np.full(20, 0.9) for name in "abcde"})
        places = sorted(text.xyann[1] for text in axes_of(figure).texts)
        assert len(places) == 5
        assert min(np.diff(places)) > 0.1

    @pytest.mark.parametrize(
        ("scores", "extra", "message"),
        [
            ({}, {}, "at least one named curve"),
            ({"a": [0.5, 1.2]}, {}, r"scores\['a'\].*0\.5\.\.1\.2"),
            ({"a": [0.5, 0.4]}, {}, "never falls"),
            ({"a": [50.0, 90.0]}, {}, r"fractions in 0\.\.1"),
            ({"a": np.zeros((2, 2, 2))}, {}, r"got shape \(2, 2, 2\)"),
            ({"a": [0.5, 0.6]}, {"max_rank": 1}, "max_rank: expected 2 or more"),
        ],
    )
    def test_bad_curves_are_refused(self, scores, extra, message):
        with pytest.raises(ConfigError, match=message):
            plots.cmc_curves(scores, **extra)


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
            ({"a": (recall, precision)}, {"b": 0.1}, "chance: there is none called 'b'; there is: a"),
            ({"a": (recall, precision)}, {"a": 3.0}, r"chance\['a'\]: expected a fraction"),
        ],
    )
    def test_bad_curves_are_refused(self, curves, chance, message):
        with pytest.raises(ConfigError, match=message):
            plots.precision_recall(curves, chance)


class TestTrainingCurves:
    history = pd.DataFrame(
        {"epoch": [1, 2, 1, 2], "seed": [0, 0, 1, 1], "loss": [4.0, 2, 6, 4], "val": [1.0, None, 1, None]}
    )

    def test_seeds_are_averaged_and_gaps_skipped(self):
        figure = plots.training_curves(self.history, ["loss", "val"])
        loss, val = axes_of(figure).lines
        np.testing.assert_array_equal(loss.get_ydata(), [5, 3])
        np.testing.assert_array_equal(val.get_xdata(), [1])
        assert [text.get_text() for text in figure.legends[0].texts] == ["loss", "val"]

    def test_bad_columns_are_refused(self):
        with pytest.raises(ConfigError, match="no column 'acc'"):
            plots.training_curves(self.history, ["acc"])
        with pytest.raises(ConfigError, match="at least one column"):
            plots.training_curves(self.history, [])


def rounds(seeds, metrics=("mAP",)):
    draw = rng(5, "rounds")
    return pd.DataFrame(
        [
            {"iteration": i, "value": draw.normal(i, 0.1), "method": name, "seed": seed, "metric": metric}
            for metric in metrics
            for i in range(3)
            for name in ("a", "b")
            for seed in range(seeds)
        ]
    )


class TestAlongIterations:
    @pytest.mark.parametrize("seeds", [2, 4])
    def test_lines_are_means_and_bands_students_intervals(self, seeds):
        table = rounds(seeds)
        axes = plots.along_iterations(table, "value", "method", "score").axes[0]
        lines = [line for line in axes.lines if len(line.get_xdata())]
        for line, band, name in zip(lines, axes.collections, ("a", "b"), strict=True):
            corners = band.get_paths()[0].vertices
            assert list(line.get_xdata()) == [0, 1, 2]
            for i, mean in zip(*line.get_data()):
                values = table[(table.method == name) & (table.iteration == i)].value
                assert mean == pytest.approx(values.mean())
                at = corners[corners[:, 0] == i][:, 1]
                expected = stats.t.interval(0.95, seeds - 1, values.mean(), stats.sem(values))
                np.testing.assert_allclose((at.min(), at.max()), expected)

    @pytest.mark.parametrize(("groups", "bands"), [(curves.MOST_BANDS, curves.MOST_BANDS), (curves.MOST_BANDS + 1, 0)])
    def test_bands_that_would_hide_one_another_are_not_drawn(self, groups, bands):
        rows = [
            {"iteration": number, "value": number + seed / 10, "group": f"g{group}", "seed": seed}
            for number in (1, 2) for seed in (0, 1, 2) for group in range(groups)
        ]  # fmt: skip
        axes = plots.along_iterations(pd.DataFrame(rows), "value", "group", "y").axes[0]
        assert len(axes.collections) == bands

    def test_one_seed_has_no_band_and_hollow_marks(self):
        table = rounds(1)
        figure = plots.along_iterations(table, "value", "method", "score")
        axes = figure.axes[0]
        assert not axes.collections
        hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
        for line, name in zip(hollow, ("a", "b"), strict=True):
            np.testing.assert_array_equal(line.get_ydata(), table[table.method == name].value)
        assert legend(figure) == ["a", "b"]

    def test_panels_hold_their_own_rows(self):
        table = rounds(3, ("rank-1", "mAP"))
        figure = plots.along_iterations(table, "value", "method", "score", panel="metric", percent=True)
        assert [axes.get_title(loc="left") for axes in figure.axes] == ["rank-1", "mAP"]
        for axes, metric in zip(figure.axes, ("rank-1", "mAP")):
            rows = table[(table.metric == metric) & (table.method == "a")]
            np.testing.assert_allclose(axes.lines[0].get_ydata(), rows.groupby("iteration").value.mean())
            assert axes.yaxis.get_major_formatter()(0.25, 0) == "25 %"
        assert len(figure.legends) == 1

    @pytest.mark.parametrize(
        ("table", "panel", "message"),
        [
            (rounds(2).drop(columns="method"), None, "table: no column 'method'"),
            (rounds(2)[:0], None, "table: expected at least one row"),
            (rounds(2).assign(value=np.nan), None, "table: column 'value' holds values that are not finite"),
            (rounds(2).assign(method=None), None, "table: column 'method' is missing in some rows"),
            (rounds(2), "share", "table: no column 'share'"),
            (rounds(1, "abcd"), "metric", "panel: column 'metric' has 4 values"),
            (rounds(2, ("rank-1", "mAP")), None, "table: several rows of method a, iteration 0, seed 0"),
        ],
    )
    def test_bad_tables_are_refused(self, table, panel, message):
        with pytest.raises(ConfigError, match=message):
            plots.along_iterations(table, "value", "method", "score", panel=panel)


class TestCountsOfClusters:
    table = pd.DataFrame({"iteration": [1, 2], "value": [40.0, 31.0], "group": "sgc-dpl", "seed": 0})

    def test_the_true_number_is_a_level_line_on_an_axis_from_zero(self):
        figure = plots.counts_of_clusters(self.table, 30)
        axes = figure.axes[0]
        assert list(axes.lines[0].get_ydata()) == [40, 31]
        assert [list(line.get_ydata()) for line in axes.lines if list(line.get_ydata()) == [30, 30]]
        assert legend(figure) == ["sgc-dpl", "identities: 30"]
        assert axes.get_ylim()[0] == 0

    def test_bad_counts_are_refused(self):
        with pytest.raises(ConfigError, match="identities: expected 1 or more; got 0"):
            plots.counts_of_clusters(self.table, 0)
        with pytest.raises(ConfigError, match="several rows"):
            plots.counts_of_clusters(pd.concat([self.table, self.table]), 30)


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
        assert not axes.collections
        np.testing.assert_array_equal(axes.lines[0].get_ydata(), self.table.value[:3])
        assert axes.lines[1].get_markerfacecolor() == "white"
        np.testing.assert_array_equal(axes.lines[1].get_ydata(), self.table.value[:3])

    def test_a_band_ends_where_only_one_row_is_left(self):
        figure = plots.frame_drift(self.table[self.table.index.isin([*range(3), *range(3, 15, 3), *range(4, 15, 3)])])
        axes = axes_of(figure)
        assert axes.collections[0].get_paths()[0].vertices[:, 0].max() == 2
        assert axes.lines[1].get_xdata().tolist() == [3]

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


class TestPairDistances:
    positive, negative = rng(1, "pairs").gamma(2, 1, 500), rng(2, "pairs").gamma(6, 1, 900)

    def test_densities_count_what_they_were_given(self):
        figure = plots.pair_distances(self.positive, self.negative, 3.21, "squared distance")
        assert isinstance(figure, Figure)
        axes = figure.axes[0]
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("squared distance", "density")
        lines = [patch for patch in axes.patches if not patch.get_fill()]
        for patch, values in zip(lines, (self.positive, self.negative), strict=True):
            heights, edges, _ = patch.get_data()
            for height, low, high in zip(heights, edges, edges[1:]):
                inside = ((values >= low) & (values < high)).mean()
                assert height * (high - low) == pytest.approx(inside, abs=1e-12)
        assert lines[0].get_linestyle() != lines[1].get_linestyle()

    @pytest.mark.parametrize("threshold", [0.0, 3.21, 50.0])
    def test_the_threshold_is_on_the_page_with_its_value(self, threshold):
        figure = plots.pair_distances(self.positive, self.negative, threshold)
        axes = figure.axes[0]
        assert list(axes.lines[0].get_xdata()) == [threshold] * 2
        low, high = axes.get_xlim()
        assert low <= threshold < high
        assert texts(axes) == [f"threshold {threshold:.3g}"]
        figure.canvas.draw()
        box = axes.texts[0].get_window_extent()
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1

    @pytest.mark.parametrize(
        ("positive", "negative", "threshold", "message"),
        [
            ([], [1.0], 1.0, "positive: expected at least one distance"),
            ([1.0], [[1.0]], 1.0, r"negative: .* shape \(1, 1\)"),
            ([1.0], [np.nan], 1.0, "negative: expected finite"),
            ([-1.0], [1.0], 1.0, "positive: expected finite distances of 0 or more"),
            ([1.0], [1.0], np.nan, "threshold: expected a finite distance"),
            ([1.0], [1.0], -0.5, "threshold: expected a finite distance"),
            ([0.0], [0.0], 0.0, "every distance is 0"),
        ],
    )
    def test_bad_pairs_are_refused(self, positive, negative, threshold, message):
        with pytest.raises(ConfigError, match=message):
            plots.pair_distances(positive, negative, threshold)


class TestClusterSearch:
    trace = pd.DataFrame({"probe": [1, 2, 3], "p": [-4.0, -9.0, -6.0], "labelled_clusters": [20, 8, 12], "wanted": 12})

    def test_every_probe_is_at_its_preference_and_its_clusters(self):
        figure = plots.cluster_search(self.trace)
        axes = figure.axes[0]
        lines = {line.get_label(): line for line in axes.lines}
        for x, y, row in zip(*lines["probe"].get_data(), self.trace.itertuples(), strict=True):
            assert (-x, y) == (row.p, row.labelled_clusters)
        assert lines["last probe"].get_xydata().tolist() == [[6.0, 12.0]]
        assert list(lines["wanted: 12"].get_ydata()) == [12, 12]
        assert legend(figure) == ["probe", "last probe", "wanted: 12"]
        assert sorted(texts(axes)) == ["1", "2", "3"]

    def test_preferences_rise_to_the_right_and_keep_their_sign(self):
        axes = plots.cluster_search(self.trace).axes[0]
        assert axes.xaxis_inverted()
        assert [axes.xaxis.get_major_formatter()(size, 0) for size in (6.0, 0.0)] == ["−6", "0"]

    @pytest.mark.parametrize("p", [[-1.0, -500.0, -30.0], [-1.0, -500.0, 0.0]])
    def test_a_wide_search_is_logarithmic_unless_it_touches_zero(self, p):
        axes = plots.cluster_search(self.trace.assign(p=p)).axes[0]
        assert axes.get_xscale() == ("linear" if 0.0 in p else "log")

    def test_one_probe_is_a_figure(self):
        assert plots.cluster_search(self.trace[:1])._repr_png_()

    @pytest.mark.parametrize(
        ("trace", "message"),
        [
            (trace.drop(columns="wanted"), "trace: no column 'wanted'"),
            (trace[:0], "trace: expected at least one row"),
            (trace.assign(p=np.nan), "trace: column 'p' holds values that are not finite"),
            (trace.assign(p=3.0), "trace: column 'p' must be 0 or less"),
            (trace.assign(wanted=[1, 2, 3]), "trace: column 'wanted' must hold one number"),
        ],
    )
    def test_bad_traces_are_refused(self, trace, message):
        with pytest.raises(ConfigError, match=message):
            plots.cluster_search(trace)
