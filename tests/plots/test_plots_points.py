"""Figures of means: where marks and intervals are, which are hollow, and that no name hides another."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reidlab import plots
from reidlab.errors import ConfigError
from reidlab.plots import style
from reidlab.seeding import rng
from tests.plots.drawn import axes_of, boxes_of_text, hidden_words, legend, texts, words_outside


class TestIntervals:
    table = pd.DataFrame(
        {
            "knob": np.repeat(["occlusion", "look"], 10),
            "level": np.tile(np.repeat(["off", "high"], 5), 2),
            "rank1": np.concatenate([np.linspace(a, a + 0.04, 5) for a in (0.8, 0.6, 0.7, 0.5)]),
        }
    )

    def test_the_interval_is_students(self):
        values = np.array([0.1, 0.2, 0.25, 0.3, 0.5])
        figure = plots.interval_points(pd.DataFrame({"label": "a", "value": values}))
        (start, _), (end, _) = axes_of(figure).containers[0][2][0].get_segments()[0]
        expected = stats.t.interval(0.95, 4, loc=values.mean(), scale=stats.sem(values))
        np.testing.assert_allclose((start, end), expected)

    def test_rows_groups_and_seeds_are_all_there(self):
        figure = plots.interval_points(self.table, "knob", "rank1", "level")
        axes = axes_of(figure)
        assert [tick.get_text() for tick in axes.get_yticklabels()] == ["occlusion", "look"]
        assert axes.yaxis_inverted()
        assert [text.get_text() for text in figure.legends[0].texts] == ["off", "high"]
        ticks = [line for line in axes.lines if line.get_marker() == "|"]
        assert [len(line.get_xdata()) for line in ticks] == [5] * 4
        assert len(axes.containers) == 4

    def test_a_single_seed_is_hollow_and_has_no_interval(self):
        axes = axes_of(plots.interval_points(pd.DataFrame({"label": ["a"], "value": [0.3]})))
        assert not axes.containers
        assert axes.lines[0].get_markerfacecolor() == "white"

    def test_the_reference_line_is_drawn(self):
        axes = axes_of(plots.interval_points(self.table, "knob", "rank1", reference=0.65))
        assert any(list(line.get_xdata()) == [0.65, 0.65] for line in axes.lines)

    def test_fractions_are_labelled_in_per_cent(self):
        labels = axes_of(plots.interval_points(self.table, "knob", "rank1")).get_xticklabels()
        assert all(label.get_text().endswith(" %") for label in labels)

    @pytest.mark.parametrize(
        ("table", "extra", "message"),
        [
            (table, {"label": "knob", "value": "mAP"}, "no column 'mAP'; it has knob, level, rank1"),
            (table[:0], {"label": "knob", "value": "rank1"}, "at least one row"),
            (pd.DataFrame({"label": ["a"], "value": [np.nan]}), {}, "not finite"),
            (table, {"label": "knob", "value": "rank1", "confidence": 95}, "between 0 and 1; got 95"),
        ],
    )
    def test_bad_tables_are_refused(self, table, extra, message):
        with pytest.raises(ConfigError, match=message):
            plots.interval_points(table, **extra)


class TestPurityPoints:
    table = pd.DataFrame(
        {
            "method": np.repeat(["base", "hsr"], 4),
            "key": ["purity", "purity", "camera_purity", "camera_purity"] * 2,
            "value": [0.8, 0.9, 0.5, 0.4, 0.85, 0.95, 0.3, 0.2],
            "seed": [0, 1] * 4,
        }
    )

    def test_means_of_both_purities_are_in_the_row_of_their_method(self):
        figure = plots.purity_points(self.table)
        axes = figure.axes[0]
        assert legend(figure) == ["commonest identity", "commonest camera"]
        assert [label.get_text() for label in axes.get_yticklabels()] == ["base", "hsr"]
        drawn = {
            (round(float(line.get_ydata()[0])), line.get_color()): float(line.get_xdata()[0])
            for line in axes.lines
            if len(line.get_xdata()) == 1
        }
        colours = style.colours(["commonest identity", "commonest camera"])
        for row, method in enumerate(("base", "hsr")):
            for key, words in (("purity", "commonest identity"), ("camera_purity", "commonest camera")):
                expected = self.table[(self.table.method == method) & (self.table.key == key)].value.mean()
                assert drawn[row, colours[words]] == pytest.approx(expected)

    def test_one_seed_is_hollow(self):
        axes = plots.purity_points(self.table[self.table.seed == 0]).axes[0]
        assert {line.get_markerfacecolor() for line in axes.lines if len(line.get_xdata()) == 1} == {"white"}

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            (table.drop(columns="key"), "table: no column 'key'"),
            (table[:0], "table: expected at least one row"),
            (
                table.assign(key="mAP"),
                "table: column 'key': .* 'mAP'; there is: purity, camera_purity",
            ),
            (table.assign(value=80.0), "table: column 'value': expected fractions in 0"),
            (table.assign(seed=0), "table: several rows of method base, key purity, seed 0"),
        ],
    )
    def test_bad_tables_are_refused(self, table, message):
        with pytest.raises(ConfigError, match=message):
            plots.purity_points(table)


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
        assert sorted(texts(axes_of(figure))) == sorted(names)
        assert hidden_words(figure) == []
        assert words_outside(figure) == set()
        axes = figure.axes[0]
        spots = axes.transData.transform(table[["x", "y"]].to_numpy())
        for name, box in boxes_of_text(figure).items():
            assert not any(box.contains(*spot) for spot in spots), name

    def test_names_of_one_crowd_are_spread(self):
        table = pd.DataFrame({"net": list("abcdef"), "x": [10, 10, 10, 10, 10, 90], "y": [0.5] * 5 + [0.9]})
        assert hidden_words(plots.trade_off(table, "x", "y", "net")) == []

    def test_axes_are_named_and_scaled(self):
        axes = axes_of(plots.trade_off(self.points, "macs", "mAP", "net", xlabel="G MACs", log_x=True))
        assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_xscale()) == ("G MACs", "mAP", "log")
        assert all(label.get_text().endswith(" %") for label in axes.get_yticklabels())
        plain = axes_of(plots.trade_off(self.points, "macs", "mAP", "net", percent=False))
        assert not any("%" in label.get_text() for label in plain.get_yticklabels())

    def test_the_same_table_gives_the_same_picture(self):
        first, second = (plots.trade_off(self.points, "macs", "mAP", "net") for _ in range(2))
        assert first._repr_png_() == second._repr_png_()

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
