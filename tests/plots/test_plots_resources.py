"""Figures of resources: curves that add up, budgets that are marked, points that are where they were measured."""

import numpy as np
import pandas as pd
import pytest

from reidlab import plots
from reidlab.errors import ConfigError
from tests.plots.drawn import axes_of, legend


def test_impacts_add_up_along_each_ranking():
    loss, saved = np.array([1.0, 3.0, 4.0]), np.array([0.2, 0.5, 0.3])
    figure = plots.impact_paths(
        loss, {"operations": saved}, {"operations": {"loss": [0, 1, 2], "CAIE": [1, 0, 2]}}, 0.6
    )
    lines = [line for line in axes_of(figure).lines if len(line.get_xdata()) > 2]
    np.testing.assert_allclose(lines[0].get_xdata()[:3], [0, 0.2, 0.7])
    np.testing.assert_allclose(lines[0].get_ydata()[:3], [0, 1 / 8, 4 / 8])
    np.testing.assert_allclose(lines[1].get_xdata()[:3], [0, 0.5, 0.7])
    assert legend(figure) == ["loss", "R", "CAIE"] or set(legend(figure)) == {"loss", "CAIE", "R"}
    with pytest.raises(ConfigError, match="expected each of 3 filters once"):
        plots.impact_paths(loss, {"operations": saved}, {"operations": {"loss": [0, 1, 1]}}, 0.6)
    with pytest.raises(ConfigError, match="shares: expected at least one resource"):
        plots.impact_paths(loss, {}, {}, 0.6)


def test_paths_begin_at_the_whole_network_and_both_boundaries_stand_at_their_budgets():
    path = np.array([[1.0, 1.0], [0.7, 0.9], [0.4, 0.3]])
    figure = plots.resource_plane({"pair": path}, (0.4, 0.3), projection=True)
    axes = axes_of(figure)
    drawn = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_allclose(drawn["pair"], path)
    boundary = drawn["boundary of (6.19)"]
    across = boundary[1] - boundary[0]
    assert across @ np.array([0.6, 0.7]) == pytest.approx(0)  # at right angles to R
    assert {"pair", "straight to both budgets", "boundary of (6.19)"} == set(legend(figure))
    with pytest.raises(ConfigError, match="paths: expected at least one"):
        plots.resource_plane({}, (0.4, 0.3))


def test_predictions_and_measurements_share_their_axes_and_every_group_has_a_panel():
    table = pd.DataFrame({"said": [1.0, 2.0, 10.0, 30.0], "found": [1.5, 1.8, 9.0, 31.0], "name": ["b", "b", "a", "a"]})
    panels = plots.agreement(table, "said", "found", "name").axes
    assert [axes.get_title(loc="left") for axes in panels] == ["b", "a"]
    for axes, points in zip(panels, ([[1.0, 1.5], [2.0, 1.8]], [[10.0, 9.0], [30.0, 31.0]])):
        assert axes.get_xlim() == axes.get_ylim()
        drawn = {line.get_label(): line.get_xydata() for line in axes.lines}
        np.testing.assert_allclose(drawn["measured"], points)
        assert axes.get_xlim()[0] < np.min(points) < np.max(points) < axes.get_xlim()[1], "no mark is cut"
        np.testing.assert_allclose(drawn["as predicted"], [[end, end] for end in axes.get_xlim()])
