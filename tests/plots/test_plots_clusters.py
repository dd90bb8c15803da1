"""Figures of clusters: what they draw is what they were given, and what they refuse."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Polygon, Rectangle
from scipy import stats

from reidlab import plots
from reidlab.errors import ConfigError

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(30, 2))
IDENTITY = np.repeat(np.arange(5), 6)


def drawn(axes):
    """All points of an axes' lines, sorted."""
    return sorted(tuple(point) for line in axes.lines for point in np.column_stack(line.get_data()).tolist())


def test_distances_are_densities_and_the_threshold_is_marked():
    positive, negative = RNG.gamma(2, 1, 500), RNG.gamma(6, 1, 900)
    axes = plots.pair_distances(positive, negative, 3.21, "squared distance").axes[0]
    assert axes.lines[0].get_xdata()[0] == 3.21
    assert "3.21" in [text.get_text() for text in axes.texts]
    for patch, values in zip(axes.patches[1::2], (positive, negative)):
        heights, edges, _ = patch.get_data()
        inside = (values <= edges[-1]).mean()
        assert (heights * np.diff(edges)).sum() == pytest.approx(inside, abs=1e-9)
    with pytest.raises(ConfigError, match="negative"):
        plots.pair_distances(positive, np.array([]), 1.0)


def test_a_search_shows_every_probe():
    trace = pd.DataFrame({"probe": [1, 2, 3], "p": [-4.0, -9.0, -6.0], "labelled_clusters": [20, 8, 12], "wanted": 12})
    axes = plots.cluster_search(trace).axes[0]
    np.testing.assert_array_equal(axes.lines[1].get_xdata(), [4, 9, 6])
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [20, 8, 12])
    assert axes.lines[2].get_ydata()[0] == 12
    with pytest.raises(ConfigError, match="wanted"):
        plots.cluster_search(trace.drop(columns="wanted"))


def test_maps_draw_all_points_once_in_each_colouring():
    labels = np.where(IDENTITY == 4, -1, IDENTITY)
    figure = plots.embedding_maps(POINTS, {"identity": IDENTITY, "cluster": labels})
    assert [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes] == ["identity", "cluster"]
    for axes in figure.axes:
        assert drawn(axes) == sorted(map(tuple, POINTS.tolist()))
    cross = figure.axes[1].lines[0]
    assert (cross.get_marker(), len(cross.get_xdata())) == ("x", 6)
    assert len({line.get_color() for line in figure.axes[0].lines[1:]}) == 5
    assert len(plots.split_cluster(POINTS, IDENTITY, labels).axes) == 2
    with pytest.raises(ConfigError, match="identity: expected one label per point"):
        plots.embedding_maps(POINTS, {"identity": IDENTITY[1:]})
    with pytest.raises(ConfigError, match="points"):
        plots.embedding_maps(POINTS[:, :1], {"identity": IDENTITY})


def test_outlines_are_solid_where_cluster_and_identity_agree():
    clusters = IDENTITY.copy()
    clusters[0] = 1  # a picture of identity 0 went to identity 1's cluster: both disagree now
    figure = plots.cluster_maps([POINTS], [IDENTITY], [clusters], ["first"], labelled=[IDENTITY == 2])
    outlines = [patch for patch in figure.axes[0].patches if isinstance(patch, Polygon)]
    assert [patch.get_linestyle() for patch in outlines][2:] == ["-"] * 3
    assert all(patch.get_linestyle() != "-" for patch in outlines[:2])
    assert outlines[2].get_linewidth() > outlines[3].get_linewidth()
    few = plots.cluster_maps([POINTS[:2]], [np.array([0, 1])], [np.array([0, 1])], ["two points"])
    assert len(few.axes[0].patches) == 2
    with pytest.raises(ConfigError, match="one of each per map"):
        plots.cluster_maps([POINTS], [IDENTITY], [], ["first"])


@pytest.mark.parametrize("seeds", [1, 4])
def test_lines_are_means_and_bands_are_t_intervals(seeds):
    rows = [
        {"iteration": i, "value": RNG.normal(i, 0.1), "method": name, "seed": seed}
        for i in range(3) for name in ("a", "b") for seed in range(seeds)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    axes = plots.along_iterations(table, "value", "method", "score").axes[0]
    for line, name in zip(axes.lines, ("a", "b")):
        means = table[table.method == name].groupby("iteration").value.mean()
        np.testing.assert_allclose(line.get_ydata(), means)
    corners = axes.collections[0].get_paths()[0].vertices[:, 1]
    values = table[(table.method == "a") & (table.iteration == 2)].value.to_numpy()
    half = stats.t.ppf(0.975, seeds - 1) * stats.sem(values) if seeds > 1 else 0.0
    assert np.abs(corners - (values.mean() + half)).min() < 1e-9
    with pytest.raises(ConfigError, match="method"):
        plots.along_iterations(table.drop(columns="method"), "value", "method", "score")


def test_counts_beside_the_truth():
    table = pd.DataFrame({"iteration": [1, 2], "value": [40.0, 31.0], "group": "sgc-dpl"})
    axes = plots.counts_of_clusters(table, 30).axes[0]
    assert axes.lines[-1].get_ydata()[0] == 30
    assert axes.get_ylim()[0] == 0


def test_purities():
    table = pd.DataFrame({"method": ["a", "a"], "key": ["purity", "camera_purity"], "value": [0.9, 0.4]})
    axes = plots.purity_points(table).axes[0]
    assert sorted(float(line.get_xdata()) for line in axes.lines if np.isscalar(line.get_xdata())) or axes.lines
    with pytest.raises(ConfigError, match="key"):
        plots.purity_points(table.drop(columns="key"))


def test_galleries_mark_right_wrong_and_selected():
    pictures = RNG.integers(0, 256, (4, 16, 8, 3), dtype=np.uint8)
    right, selected = np.array([True, False, True, False]), np.array([True, True, False, False])
    axes = plots.cluster_galleries([("round 1", pictures, right, selected)]).axes[0]
    assert len(axes.images) == 4
    for image, picture in zip(axes.images, pictures):
        np.testing.assert_array_equal(image.get_array(), picture)
    bars = [p for p in axes.patches if isinstance(p, Rectangle) and p.get_height() == pytest.approx(0.05)]
    assert len(bars) == 3  # two pictures and the key
    with pytest.raises(ConfigError, match="3 verdicts"):
        plots.cluster_galleries([("round 1", pictures, right[1:], selected)])
    with pytest.raises(ConfigError, match="at least one cluster"):
        plots.cluster_galleries([])
    with pytest.raises(ConfigError, match="RGB picture"):
        plots.cluster_galleries([("round 1", pictures.astype(float), right, selected)])
