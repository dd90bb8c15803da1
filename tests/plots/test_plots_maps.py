"""Maps of embeddings: every point once, in the colour and the mark that its group has elsewhere."""

import os
import subprocess
import sys
from itertools import combinations, permutations

import numpy as np
import pytest
from matplotlib.patches import Polygon
from matplotlib.path import Path

from reidlab import plots
from reidlab.errors import ConfigError
from reidlab.plots import style
from reidlab.seeding import rng
from tests.plots.drawn import axes_of, legend, texts

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


class TestEmbeddingMap:
    points = np.arange(24, dtype=float).reshape(12, 2)
    pids = np.repeat([5, 8, 11], 4)
    camids = np.tile([1, 2], 6)

    def looks(self, figure):
        """Return the colour and the outline of each point's mark."""
        [drawn] = axes_of(figure).collections
        colours = [tuple(colour[:3]) for colour in drawn.get_facecolors().tolist()]
        return list(zip(colours, [path.vertices.round(3).tobytes() for path in drawn.get_paths()], strict=True))

    def test_every_point_is_drawn_once_by_identity_and_camera(self):
        figure = plots.embedding_map(self.points, self.pids, self.camids)
        [drawn] = axes_of(figure).collections
        np.testing.assert_array_equal(drawn.get_offsets(), self.points)
        looks = self.looks(figure)
        assert len(set(looks)) == 6
        assert len({colour for colour, _ in looks}) == 3
        for i, j in combinations(range(12), 2):
            assert (looks[i][0] == looks[j][0]) == (self.pids[i] == self.pids[j])
        assert sorted(texts(axes_of(figure))) == ["11", "5", "8"]
        assert [text.get_text() for text in figure.legends[0].texts] == ["camera 1", "camera 2"]

    def test_cameras_have_their_own_marks(self):
        marks = [mark for _, mark in self.looks(plots.embedding_map(self.points, self.pids, self.camids))]
        assert len(set(marks)) == 2
        for i, j in combinations(range(12), 2):
            assert (marks[i] == marks[j]) == (self.camids[i] == self.camids[j])

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


CLUMPS = np.repeat(np.eye(16)[:3] * 10, 8, axis=0) + np.random.default_rng(0).normal(0, 0.1, (24, 16))


def test_project_keeps_clumps_together_and_repeats_with_t_sne():
    check_clumps(*(plots.project(CLUMPS, 3, "t-sne", neighbours=6) for _ in range(2)))


def test_project_keeps_clumps_together_and_repeats_with_umap(tmp_path):
    """In a process that does not compile: that takes ten times as long as so few points do without."""
    np.save(tmp_path / "features.npy", CLUMPS)
    code = (
        "import numpy as np; from reidlab import plots; features = np.load('features.npy'); "
        "np.save('found.npy', [plots.project(features, 3, 'umap', neighbours=6) for _ in range(2)])"
    )
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, timeout=300)
    check_clumps(*np.load(tmp_path / "found.npy"))


def check_clumps(first, again):
    np.testing.assert_array_equal(first, again)
    means = first.reshape(3, 8, 2).mean(axis=1)
    inside = np.linalg.norm(first.reshape(3, 8, 2) - means[:, None], axis=2).max()
    between = min(np.linalg.norm(means[i] - means[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert inside < between


def test_project_refuses_what_is_not_a_matrix_and_what_it_does_not_know():
    with pytest.raises(ConfigError, match=r"got shape \(3, 2\)"):
        plots.project(np.zeros((3, 2)), seed=0)
    with pytest.raises(ConfigError, match="how: there is none called 'pca'"):
        plots.project(np.zeros((5, 2)), 0, "pca")


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
