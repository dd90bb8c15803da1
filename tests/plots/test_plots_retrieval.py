import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reidlab import plots
from reidlab.errors import ConfigError
from reidlab.plots import style


def axes_of(figure):
    figure.canvas.draw()
    return figure.axes[0]


def texts(figure):
    return [text.get_text() for text in axes_of(figure).texts]


class TestCmc:
    def test_one_line_per_name_with_the_given_values(self):
        a, b = np.linspace(0.5, 0.9, 20), np.linspace(0.2, 0.6, 20)
        figure = plots.cmc_curves({"network": a, "histogram": b}, chance=np.linspace(0.01, 0.2, 20))
        lines = {line.get_label(): line.get_ydata() for line in axes_of(figure).lines}
        assert list(lines) == ["network", "histogram", "chance"]
        np.testing.assert_allclose(lines["network"], a)
        np.testing.assert_allclose(lines["histogram"], b)
        assert "network\nrank-1 50.0%" in texts(figure)
        assert "chance" in texts(figure)

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


class TestEmbeddingMap:
    points = np.arange(24, dtype=float).reshape(12, 2)
    pids = np.repeat([5, 8, 11], 4)
    camids = np.tile([1, 2], 6)

    def test_every_point_is_drawn_once_by_identity_and_camera(self):
        figure = plots.embedding_map(self.points, self.pids, self.camids)
        drawn = axes_of(figure).collections
        assert len(drawn) == 6
        np.testing.assert_array_equal(
            np.sort(np.concatenate([c.get_offsets() for c in drawn]), axis=0), np.sort(self.points, axis=0)
        )
        assert len({tuple(c.get_facecolor()[0][:3]) for c in drawn}) == 3
        assert sorted(texts(figure)) == ["11", "5", "8"]
        assert [text.get_text() for text in figure.legends[0].texts] == ["camera 1", "camera 2"]

    def test_cameras_have_their_own_marks(self):
        drawn = axes_of(plots.embedding_map(self.points, self.pids, self.camids)).collections
        outlines = {tuple(c.get_paths()[0].vertices.round(3).ravel()) for c in drawn}
        assert len(outlines) == 2

    @pytest.mark.parametrize(
        ("points", "pids", "camids", "message"),
        [
            (points[:, :1], pids, camids, r"shape \(N, 2\)"),
            (points * np.nan, pids, camids, "finite"),
            (points, pids[:-1], camids, r"pids: expected one per point \(12\)"),
            (points, pids, np.arange(12), "12 cameras, but only 8 marks"),
        ],
    )
    def test_bad_maps_are_refused(self, points, pids, camids, message):
        with pytest.raises(ConfigError, match=message):
            plots.embedding_map(points, pids, camids)


def test_project_keeps_clumps_together_and_repeats():
    rng = np.random.default_rng(0)
    centres = np.eye(16)[:3] * 10
    features = np.concatenate([centre + rng.normal(0, 0.1, (12, 16)) for centre in centres])
    first, again = (plots.project(features, seed=3, neighbours=6) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    means = first.reshape(3, 12, 2).mean(axis=1)
    inside = np.linalg.norm(first.reshape(3, 12, 2) - means[:, None], axis=2).max()
    between = min(np.linalg.norm(means[i] - means[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert inside < between


def test_project_refuses_what_is_not_a_matrix():
    with pytest.raises(ConfigError, match=r"got shape \(3, 2\)"):
        plots.project(np.zeros((3, 2)), seed=0)


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


def test_styles_repeat_colour_by_a_second_channel():
    assert len(set(style.MARKERS)) == len(style.MARKERS)
    assert len({str(line) for line in style.LINES}) == len(style.LINES) >= len(style.PALETTE)
