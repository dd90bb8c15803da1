"""Figures of clusters: what they draw is what they were given, and what they refuse."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon, Rectangle
from matplotlib.path import Path
from scipy import stats

from reidlab import plots
from reidlab.errors import ConfigError
from reidlab.plots import clusters, style
from reidlab.seeding import rng

POINTS = rng(0, "points").normal(size=(30, 2))
IDENTITY = np.repeat(np.arange(5), 6)


def marks(axes):
    """Return every point that an axes draws as a mark: its place, colour and mark; an outlier has colour None."""
    found = []
    for line in axes.lines:
        hollow = line.get_markerfacecolor() == "none"
        look = (None if hollow else line.get_color(), line.get_marker())
        found += [(tuple(point), *look) for point in line.get_xydata().tolist()]
    return sorted(found, key=lambda item: item[0])


def looks_of(axes, points):
    """Return (colour, mark) of each point in the order given; each must be drawn once."""
    drawn = marks(axes)
    assert [place for place, *_ in drawn] == sorted(map(tuple, points.tolist()))
    by_place = {place: tuple(look) for place, *look in drawn}
    return [by_place[tuple(point)] for point in points.tolist()]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].texts]


def texts(axes):
    return [text.get_text() for text in axes.texts if text.get_text()]


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


class TestEmbeddingMaps:
    clusters = np.where(IDENTITY == 4, -1, IDENTITY % 3)

    def test_all_points_are_drawn_once_and_groups_share_colour_and_mark(self):
        colourings = {"identity": IDENTITY, "cluster": self.clusters, "camera": np.arange(30) % 3}
        figure = plots.embedding_maps(POINTS, colourings)
        assert [axes.get_title(loc="left") for axes in figure.axes] == list(colourings)
        for axes, labels in zip(figure.axes, colourings.values()):
            looks = looks_of(axes, POINTS)
            for i in range(30):
                for j in range(i):
                    assert (looks[i] == looks[j]) == (labels[i] == labels[j])

    def test_outliers_are_grey_rings_and_counted(self):
        figure = plots.embedding_maps(POINTS, {"cluster": self.clusters})
        looks = looks_of(figure.axes[0], POINTS)
        assert [look[0] is None for look in looks] == (self.clusters == -1).tolist()
        assert figure.axes[0].get_xlabel() == "3 groups, 6 outliers"
        assert plots.embedding_maps(POINTS, {"one": np.zeros(30, int)}).axes[0].get_xlabel() == "1 group"

    @pytest.mark.parametrize("seed", range(4))
    def test_groups_take_the_colours_of_those_they_share_most_points_with(self, seed):
        draw = rng(seed, "groups")
        reference, labels = draw.integers(0, 4, 30), draw.integers(10, 14, 30)
        axes = plots.embedding_maps(POINTS, {"a": reference, "b": labels}, like={"b": "a"}).axes
        first, second = (looks_of(one, POINTS) for one in axes)
        of_reference = dict(zip(reference.tolist(), first))
        chosen = dict(zip(labels.tolist(), second))
        agreeing = sum(a == b for a, b in zip(first, second))
        # Brute force over all ways to pair four groups with four.
        best = max(
            sum(dict(zip(range(10, 14), order))[b] == a for a, b in zip(reference.tolist(), labels.tolist()))
            for order in permutations(range(4))
        )
        assert agreeing == best
        assert set(chosen.values()) == set(of_reference.values())

    def test_a_group_without_a_partner_has_a_colour_of_its_own(self):
        more = np.arange(30) % 8 + 20
        axes = plots.embedding_maps(POINTS, {"a": IDENTITY, "b": more}, like={"b": "a"}).axes
        first, second = (set(looks_of(one, POINTS)) for one in axes)
        assert first < second
        assert len({colour for colour, _ in second}) == 8

    def test_groups_that_share_no_point_share_no_colour(self):
        seen = np.where(IDENTITY == 4, -1, IDENTITY)
        other = np.where(IDENTITY == 4, 9, -1)
        axes = plots.embedding_maps(POINTS, {"a": seen, "b": other}, like={"b": "a"}).axes
        first, second = (dict(looks_of(one, POINTS)) for one in axes)
        assert set(first) & set(second) == {None}

    @pytest.mark.parametrize(
        ("points", "colourings", "like", "message"),
        [
            (POINTS, {}, None, "colourings: expected 1 to 4 maps; got 0"),
            (POINTS, dict.fromkeys("abcde", IDENTITY), None, "colourings: .* got 5"),
            (POINTS, {"identity": IDENTITY[1:]}, None, "identity: expected one whole number per point"),
            (POINTS, {"identity": IDENTITY * 0.5}, None, "identity: .* float64"),
            (POINTS[:, :1], {"identity": IDENTITY}, None, r"points: .* \(30, 1\)"),
            (POINTS[:0], {"identity": IDENTITY[:0]}, None, "points: .* N > 0"),
            (POINTS * np.nan, {"identity": IDENTITY}, None, "points: expected finite"),
            (POINTS, {"identity": IDENTITY}, {"identity": "cluster"}, "like: 'identity' takes"),
            (POINTS, {"a": IDENTITY, "b": IDENTITY}, {"a": "b", "b": "a"}, "like: 'a' takes"),
        ],
    )
    def test_bad_maps_are_refused(self, points, colourings, like, message):
        with pytest.raises(ConfigError, match=message):
            plots.embedding_maps(points, colourings, like)


class TestSplitCluster:
    def test_new_clusters_look_like_the_identity_they_hold(self):
        regrouped = np.array([7, 9, 8, 5, 6])[IDENTITY]
        regrouped[0] = 4  # a picture alone
        left, right = plots.split_cluster(POINTS, IDENTITY, regrouped).axes
        first, second = looks_of(left, POINTS), looks_of(right, POINTS)
        assert first[1:] == second[1:]
        assert second[0] not in first

    def test_bad_points_are_refused(self):
        with pytest.raises(ConfigError, match="after splitting: expected one whole number"):
            plots.split_cluster(POINTS, IDENTITY, IDENTITY[1:])


class TestClusterMaps:
    centres = np.array([[0, 0], [10, 0], [0, 10], [10, 10], [5, 5]])
    apart = centres[IDENTITY] + 0.3 * POINTS

    def outlines(self, axes):
        return [patch for patch in axes.patches if isinstance(patch, Polygon)]

    def owner(self, outline, points, identity):
        """Return the identities with a point in an outline."""
        return set(identity[Path(outline.get_xy()).contains_points(points)].tolist())

    def solid(self, axes, points, identity):
        outlines = self.outlines(axes)
        owners = [self.owner(outline, points, identity) for outline in outlines]
        assert all(len(owner) == 1 for owner in owners)
        return {owner.pop() for owner, o in zip(owners, outlines) if o.get_linestyle() == "-"}

    def test_outlines_are_solid_where_cluster_and_identity_agree(self):
        clusters = IDENTITY + 20
        clusters[0] = 21  # a picture of identity 0 in the cluster of 1: both disagree
        clusters[18:24] = -1  # identity 3 is left out
        axes = plots.cluster_maps([self.apart], [IDENTITY], [clusters], ["first"]).axes[0]
        assert len(self.outlines(axes)) == 5
        assert self.solid(axes, self.apart, IDENTITY) == {2, 4}

    def test_a_cluster_that_holds_somebody_who_is_not_drawn_does_not_agree(self):
        clusters = np.where(IDENTITY == 4, 3, IDENTITY)
        some = IDENTITY < 4
        given = ([self.apart[some]], [IDENTITY[some]], [clusters[some]], ["sample"])
        sampled = plots.cluster_maps(*given).axes[0]
        judged = plots.cluster_maps(*given, whole=[(IDENTITY, clusters)]).axes[0]
        assert self.solid(sampled, self.apart[some], IDENTITY[some]) == {0, 1, 2, 3}
        assert self.solid(judged, self.apart[some], IDENTITY[some]) == {0, 1, 2}

    def test_every_point_is_in_an_outline_of_its_identity(self):
        axes = plots.cluster_maps([POINTS], [IDENTITY], [IDENTITY], ["mixed"], labelled=[IDENTITY < 2]).axes[0]
        outlines = self.outlines(axes)
        for own in np.split(POINTS, 5):
            held = [Path(outline.get_xy()).contains_points(own) for outline in outlines]
            assert np.any(held, axis=0).all()

    def test_an_identity_in_two_places_has_two_outlines(self):
        points = self.apart.copy()
        points[:3] += (0, 30)
        axes = plots.cluster_maps([points], [IDENTITY], [IDENTITY], ["two places"]).axes[0]
        assert len(self.outlines(axes)) == 6

    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_few_points_have_outlines_too(self, count):
        line = np.column_stack([np.arange(count), np.zeros(count)])
        figure = plots.cluster_maps([line], [np.zeros(count, int)], [np.zeros(count, int)], ["a line"])
        assert self.outlines(figure.axes[0])
        assert figure._repr_png_()

    def test_labelled_identities_are_thicker_and_in_the_legend(self):
        figure = plots.cluster_maps([self.apart], [IDENTITY], [IDENTITY], ["a"], labelled=[IDENTITY == 2])
        widths = {
            next(iter(self.owner(o, self.apart, IDENTITY))): o.get_linewidth() for o in self.outlines(figure.axes[0])
        }
        assert all(widths[2] > widths[pid] for pid in (0, 1, 3, 4))
        assert legend(figure)[2:] == ["labelled", "unlabelled"]
        plain = plots.cluster_maps([self.apart], [IDENTITY], [IDENTITY - 1], ["a"])
        assert legend(plain)[2:] == ["outlier"]

    def test_colours_are_clusters_and_marks_are_identities_in_all_maps(self):
        clusters = IDENTITY * 3 + 50
        clusters[::6] = 99
        figure = plots.cluster_maps([POINTS, self.apart], [IDENTITY] * 2, [IDENTITY, clusters], ["a", "b"])
        first, second = (looks_of(axes, points) for axes, points in zip(figure.axes, (POINTS, self.apart)))
        assert [mark for _, mark in first] == [mark for _, mark in second]
        assert [mark for _, mark in first] == [style.MARKERS[pid] for pid in IDENTITY]
        stayed = clusters != 99
        assert all((a[0] == b[0]) == kept for a, b, kept in zip(first, second, stayed))
        assert len({colour for (colour, _), kept in zip(second, stayed) if not kept}) == 1

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"titles": []}, "titles: expected 1 to 3 maps; got 0"),
            ({"clusters": []}, r"clusters: expected one entry per map \(1\); got 0"),
            ({"clusters": [IDENTITY[1:]]}, r"clusters\[0\]: expected one whole number per point"),
            ({"points": [POINTS[:0]]}, r"points\[0\]: expected finite positions"),
            ({"labelled": []}, "labelled: expected one entry per map"),
            ({"labelled": [np.ones(3, bool)]}, r"labelled\[0\]: expected one bool per point"),
            ({"labelled": [np.arange(30) == 0]}, r"labelled\[0\]: only some points of identity 0"),
            ({"whole": [(IDENTITY, IDENTITY[1:])]}, r"whole\[0\]: expected identities and clusters of one length"),
        ],
    )
    def test_bad_maps_are_refused(self, change, message):
        given = {"points": [POINTS], "identities": [IDENTITY], "clusters": [IDENTITY], "titles": ["a"]} | change
        with pytest.raises(ConfigError, match=message):
            plots.cluster_maps(**given)


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

    @pytest.mark.parametrize(
        ("groups", "bands"), [(clusters.MOST_BANDS, clusters.MOST_BANDS), (clusters.MOST_BANDS + 1, 0)]
    )
    def test_bands_that_would_hide_one_another_are_not_drawn(self, groups, bands):
        rows = [
            {"iteration": number, "value": number + seed / 10, "group": f"g{group}", "seed": seed}
            for number in (1, 2) for seed in (0, 1, 2) for group in range(groups)
        ]  # fmt: skip
        axes = clusters.along_iterations(pd.DataFrame(rows), "value", "group", "y").axes[0]
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
            (table.assign(key="mAP"), "table: column 'key' holds 'mAP'; expected purity or camera_purity"),
            (table.assign(value=80.0), "table: column 'value' must hold fractions"),
            (table.assign(seed=0), "table: several rows of method base, key purity, seed 0"),
        ],
    )
    def test_bad_tables_are_refused(self, table, message):
        with pytest.raises(ConfigError, match=message):
            plots.purity_points(table)


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
            ([("a", pictures[:0], [], [])], r"rows\[0\]: 'a' has 0 pictures"),
            ([("a", pictures, right[1:], selected)], r"rows\[0\]: .* 3 verdicts"),
            ([("a", pictures, right, selected[1:])], r"rows\[0\]: .* 3 selections"),
            ([("a", pictures.astype(float), right, selected)], r"rows\[0\]: picture 0: expected an RGB picture"),
            ([("a", [pictures[0]] * 60, [True] * 60, [True] * 60)], "rows: 60 pictures in a row are too many"),
        ],
    )
    def test_bad_rows_are_refused(self, rows, message):
        with pytest.raises(ConfigError, match=message):
            plots.cluster_galleries(rows)
