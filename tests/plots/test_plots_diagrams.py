"""Diagrams: bars as long as their numbers, and words inside their boxes."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch

from reidlab import plots
from reidlab.errors import ConfigError
from reidlab.plots import style
from reidlab.plots.diagrams import COST_KINDS
from tests.plots.drawn import axes_of, boxes_of_text, hidden_words, texts, words_outside


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
        assert texts(axes_of(figure)) == ["33.1", "52.1"]

    def test_a_printed_number_is_a_tick_and_a_word(self):
        figure = plots.stacked_costs(self.table, {"nvan": 30.0})
        assert texts(axes_of(figure)) == ["33.0", "52.0, printed 30.0"]
        ticks = [line for line in figure.axes[0].lines if list(line.get_xdata()) == [30.0, 30.0]]
        assert {np.mean(line.get_ydata()) for line in ticks} == {1}
        assert figure.legends[0].texts[-1].get_text() == "printed"
        assert hidden_words(figure) == []
        assert words_outside(figure) == set()

    @pytest.mark.parametrize("value", [5.0, 300.0])
    def test_words_stay_in_the_figure_wherever_the_tick_is(self, value):
        assert words_outside(plots.stacked_costs(self.table, {"nvan": value, "c2d": value})) == set()

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
            (
                table.rename(columns={"conv": "convs"}),
                None,
                "kinds of operation: .* 'convs'; did you mean 'conv'",
            ),
            (table - 1, None, "table: .* not negative"),
            (table * np.nan, None, "table: .* finite"),
            (table.rename(index={"c2d": "nvan"}), None, "table: row 'nvan' is there twice"),
            (table, {"ap3d": 1.0}, "printed: rows of the table: there is none called 'ap3d'; there is: c2d, nvan"),
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
        assert hidden_words(figure) == []
        assert words_outside(figure) == set()

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
        assert hidden_words(figure) == []
        assert words_outside(figure) == set()
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
