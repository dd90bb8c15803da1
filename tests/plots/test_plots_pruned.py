"""Figures of pruned networks: where marks, bars and levels are, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reidlab import plots
from reidlab.errors import ConfigError
from reidlab.plots import style
from tests.plots.drawn import legend

SEEDS = range(3)
LAYERS = pd.DataFrame(
    [
        {"panel": panel, "layer": layer, "method": method, "seed": seed, "value": base + layer + seed}
        for panel in ("VDSR, digits", "VGG")
        for method, base in (("UR", 4.0), ("CPO", -2.0))
        for layer in (1, 2, 3)
        for seed in SEEDS
    ]
)
WHOLE = pd.DataFrame({"panel": ["VDSR, digits"] * 3 + ["VGG"] * 3, "layer": [1, 2, 3] * 2, "value": [8, 9, 10] * 2})


class TestLayers:
    def test_means_are_at_their_layers_in_front_of_the_whole_network(self):
        figure = plots.layer_values(LAYERS, "filters", group="method", whole=WHOLE)
        assert [axes.get_title(loc="left") for axes in figure.axes] == ["VDSR, digits", "VGG"]
        assert set(legend(figure)) == {"whole network", "UR", "CPO"}
        for axes in figure.axes:
            assert [bar.get_height() for bar in axes.patches] == [8, 9, 10]
            marks = [line for line in axes.lines if line.get_label() in ("UR", "CPO")]
            drawn = {(line.get_label(), round(line.get_xdata()[0])): line.get_ydata()[0] for line in marks}
            assert drawn == {(m, n): b + n + 1 for m, b in (("UR", 4.0), ("CPO", -2.0)) for n in (1, 2, 3)}

    def test_the_interval_is_students_and_one_seed_is_hollow(self):
        axes = plots.layer_values(LAYERS[LAYERS.method == "UR"], "sensitivity").axes[0]
        (_, low), (_, high) = axes.containers[0][2][0].get_segments()[0]
        values = np.array([5.0, 6.0, 7.0])
        np.testing.assert_allclose((low, high), stats.t.interval(0.95, 2, values.mean(), stats.sem(values)))
        alone = LAYERS[(LAYERS.method == "UR") & (LAYERS.seed == 0)]
        axes = plots.layer_values(alone, "sensitivity").axes[0]
        assert {line.get_markerfacecolor() for line in axes.lines if line.get_marker() == "o"} == {"white"}

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            (LAYERS.drop(columns="panel"), "no column 'panel'"),
            (LAYERS[:0], "at least one row"),
            (LAYERS, "several rows of panel VDSR, digits, layer 1, seed 0"),
            (LAYERS.assign(value=np.nan), "not finite"),
        ],
    )
    def test_bad_tables_are_refused(self, table, message):
        with pytest.raises(ConfigError, match=message):
            plots.layer_values(table, "sensitivity")


COSTS = pd.DataFrame(
    [
        {"panel": "VGG", "method": method, "step": step, "seed": seed, "macs": left, "lost": step * 10 + seed}
        for method, left in (("UR", 0.8), ("CPO", 0.4))
        for step in (0.1, 0.2)
        for seed in SEEDS
    ]
)


class TestCosts:
    def test_a_mark_is_a_mean_and_a_line_joins_steps(self):
        figure = plots.cost_panels(COSTS, {"macs": "operations left"}, {"VGG": "points lost"})
        (axes,) = figure.axes
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("operations left", "points lost")
        joined = {line.get_color(): line.get_xydata() for line in axes.lines if len(line.get_xdata()) == 2}
        joined.pop(style.QUIET)  # the line of no loss
        colours = style.colours(["UR", "CPO"])
        assert set(joined) == set(colours.values())
        for method, left in (("UR", 0.8), ("CPO", 0.4)):
            np.testing.assert_allclose(joined[colours[method]], [[left, 2], [left, 3]])

    def test_more_than_the_whole_networks_cost_is_not_cut_off(self):
        slow = COSTS.assign(macs=COSTS.macs * 3)
        axes = plots.cost_panels(slow, {"macs": "latency"}, {"VGG": "lost"}).axes[0]
        assert axes.get_xlim()[1] > 2.4

    @pytest.mark.parametrize(
        ("table", "costs", "message"),
        [
            (COSTS, {}, "costs: expected 1 to 4; got 0"),
            (COSTS, {"params": "parameters"}, "no column 'params'"),
            (COSTS.assign(panel="VDSR"), {"macs": ""}, "'VDSR'"),
            (COSTS.assign(seed=0), {"macs": ""}, "several rows"),
        ],
    )
    def test_bad_tables_are_refused(self, table, costs, message):
        with pytest.raises(ConfigError, match=message):
            plots.cost_panels(table, costs, {"VGG": "points lost"})


COURSE = pd.DataFrame(
    {"panel": "VGG", "seed": [0, 0, 1], "iteration": [4, 6, 5], "removed": [0.1, 0.3, 0.2], "lost": [0.5, 1.0, 0.2]}
)


class TestCourse:
    def test_each_seed_has_a_line_that_begins_at_nothing(self):
        figure = plots.search_course(COURSE, {"VGG": "points lost"}, {"VGG": [1.5, 3.0]})
        above, below = figure.axes
        np.testing.assert_allclose(above.lines[0].get_xydata(), [[0, 0], [4, 0.1], [6, 0.3]])
        np.testing.assert_allclose(below.lines[1].get_xydata(), [[0, 0], [5, 0.2]])
        assert [line.get_ydata()[0] for line in below.lines[2:]] == [1.5, 3.0]
        assert legend(figure) == ["expected drop"]

    def test_panels_are_wrapped_and_empty_places_hidden(self):
        five = pd.concat([COURSE.assign(panel=name) for name in "abcde"])
        figure = plots.search_course(five, dict.fromkeys("abcde", "lost"))
        assert [axes.get_visible() for axes in figure.axes].count(True) == 10
        assert len(figure.axes) == 12

    def test_bad_tables_are_refused(self):
        with pytest.raises(ConfigError, match="several rows"):
            plots.search_course(COURSE.assign(iteration=4), {"VGG": "lost"})
        with pytest.raises(ConfigError, match="column 'panel'"):
            plots.search_course(COURSE, {"VDSR": "lost"})
