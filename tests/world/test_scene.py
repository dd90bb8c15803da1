"""The scene: who walks where, and whether a world with clocks and legs could contain it."""

from itertools import combinations, pairwise

import numpy as np
import pytest

from reidlab.errors import ConfigError
from reidlab.world import Scene, WorldSpec
from reidlab.world.walks import WalkGraph

SPEC = WorldSpec(
    seed=1, train_people=10, test_people=9, distractors=3, cameras=4, visits=2, frame_width=320, frame_height=180
)


@pytest.fixture(scope="module")
def scene():
    return Scene(SPEC)


def test_identities_and_distractors_are_disjoint_between_sessions(scene):
    train, test = scene.sessions["train"], scene.sessions["test"]
    groups = [set(train.identities), set(test.identities), set(train.distractors), set(test.distractors)]
    assert [len(group) for group in groups] == [10, 9, 3, 3]
    assert all(not a & b for a, b in combinations(groups, 2))
    assert set(scene.people) == set().union(*groups)
    for session in (train, test):
        seen = set(scene.visits.pid[scene.visits.split == session.split])
        assert seen == set(session.identities) | set(session.distractors)
    assert train.last < test.first
    assert scene.is_distractor(train.distractors[0])
    assert not scene.is_distractor(test.identities[0])


def test_nobody_is_before_two_cameras_at_once(scene):
    for _, rows in scene.visits.groupby("pid"):
        rows = rows.sort_values("start_frame")
        assert (rows.start_frame.to_numpy()[1:] > rows.end_frame.to_numpy()[:-1]).all()


def test_everybody_passes_their_cameras_as_often_as_asked(scene):
    identities = [p for session in scene.sessions.values() for p in session.identities]
    counts = scene.visits[scene.visits.pid.isin(identities)].groupby(["pid", "camid"]).size()
    assert len(counts) == len(identities) * SPEC.cameras
    assert counts.min() >= SPEC.visits
    partly = Scene(SPEC.with_(coverage=0.5, cameras=6)).visits
    assert set(partly[partly.pid <= 19].groupby("pid").camid.nunique()) == {3}


def test_travel_takes_the_time_of_the_way(scene):
    exact = Scene(SPEC.with_(travel_noise=0.0))
    noisy = []
    for world in (exact, scene):
        for _, walk in world.visits.sort_values("start_frame").groupby(["pid", "round"]):
            for a, b in pairwise(list(walk.itertuples())):
                way = world.graph.lengths[a.camid - 1, b.camid - 1]
                assert np.isfinite(way), "people only take ways of the graph"
                expected = way / world.people[a.pid].speed_mps
                taken = (b.start_frame - a.end_frame) / SPEC.frame_rate
                if world is exact:
                    assert taken == pytest.approx(expected, abs=1 / SPEC.frame_rate)
                else:
                    noisy.append(np.log(taken / expected))
    assert np.std(noisy) == pytest.approx(SPEC.travel_noise, rel=0.35)
    assert np.abs(noisy).max() < 5 * SPEC.travel_noise


def test_feet_keep_pace_with_the_ground(scene):
    for visit in range(0, len(scene.visits), 7):
        person, track = scene.people[scene.visit(visit).pid], scene.path(visit)
        steps = np.hypot(*np.diff(track[:, :2], axis=0).T)
        # A chord of a bend is a little shorter than the bend.
        assert steps.mean() * SPEC.frame_rate == pytest.approx(person.speed_mps, rel=0.02)
        turn = np.diff(track[:, 3]).mean() * SPEC.frame_rate / (2 * np.pi)
        assert turn == pytest.approx(person.cadence_hz)
        heading = np.arctan2(np.diff(track[:, 0]), -np.diff(track[:, 1]))
        off = np.angle(np.exp(1j * (heading - track[:-1, 2])))
        assert np.abs(off).max() < 0.35


def test_people_come_from_an_edge_and_stay_on_the_ground(scene):
    for visit in range(len(scene.visits)):
        row, track = scene.visit(visit), scene.path(visit)
        area = scene.areas[row.camid - 1]
        edges = np.roll(area, -1, axis=0) - area
        normals = np.stack([edges[:, 1], -edges[:, 0]], axis=1) / np.linalg.norm(edges, axis=1, keepdims=True)
        normals *= np.sign(((area - area.mean(axis=0)) * normals).sum(axis=1, keepdims=True))
        outside = ((track[:, None, :2] - area) * normals).sum(axis=2).max(axis=1)
        assert outside.max() < 1.2
        assert outside[0] > -0.1
        assert outside[-1] > -0.25  # the last step ends within a step of the edge


def test_boxes_lie_in_the_frame_and_belong_to_who_is_there(scene):
    seen = 0
    for frame in range(scene.sessions["train"].first, scene.sessions["train"].last, 97):
        for camera in scene.cameras:
            boxes = scene.boxes(camera.camid, frame)
            seen += len(boxes)
            assert (boxes[["x", "y"]] >= 0).all(axis=None)
            assert (boxes.x + boxes.w <= camera.width).all()
            assert (boxes.y + boxes.h <= camera.height).all()
            assert boxes.visibility.between(0, 1).all()
            assert set(boxes.pid) <= {actor.person.pid for actor in scene.actors(camera.camid, frame)}
    assert seen > 20


def test_the_crossing_strength_makes_people_cross():
    base = WorldSpec(seed=3, train_people=30, test_people=1, distractors=0, cameras=3, occupancy=3.0)
    none, many = Scene(base.with_(crossing=0.0)), Scene(base.with_(crossing=1.0))
    assert (none.visits.met < 0).all()
    met = many.visits[many.visits.met >= 0]
    assert 0.35 < len(met) / len(many.visits) <= 0.5, "a meeting counts for both"
    half = Scene(base.with_(crossing=0.3)).visits
    assert (half.met >= 0).mean() == pytest.approx(0.15, abs=0.02)
    for row in met.itertuples():
        other = many.visit(row.met)
        assert (other.camid, other.pid != row.pid) == (row.camid, True)
        first, last = max(row.start_frame, other.start_frame), min(row.end_frame, other.end_frame)
        gaps = []
        for frame in range(first, last + 1):
            a, b = many.actor(row.visit, frame), many.actor(row.met, frame)
            gaps.append(abs(a.x_m / a.z_m - b.x_m / b.z_m) * min(a.z_m, b.z_m))
        assert min(gaps) < 0.31, "their bodies overlap in the picture"


def test_the_same_spec_gives_the_same_scene_and_another_seed_another(scene):
    again, other = Scene(SPEC), Scene(SPEC.with_(seed=2))
    assert again.visits.drop(columns="path").equals(scene.visits.drop(columns="path"))
    assert all((a == b).all() for a, b in zip(again.visits.path, scene.visits.path))
    assert not other.visits.drop(columns="path").equals(scene.visits.drop(columns="path"))
    assert (again.frame(1, 40) == scene.frame(1, 40)).all()


def test_worlds_with_one_camera_seed_share_cameras():
    a = Scene(WorldSpec(seed=1, camera_seed=7, train_people=1, test_people=1, visits=1))
    b = Scene(WorldSpec(seed=2, camera_seed=7, train_people=1, test_people=1, visits=1))
    assert a.cameras == b.cameras
    assert a.people != b.people


def test_one_camera_and_one_person_are_enough():
    scene = Scene(WorldSpec(cameras=1, train_people=1, test_people=1, distractors=0, visits=1))
    assert len(scene.visits) == 2


def test_asking_for_what_is_not_there_is_refused(scene):
    with pytest.raises(ConfigError, match=r"cameras 1\.\.4"):
        scene.frame(5, 1)
    with pytest.raises(ConfigError, match="visit 0 lasts"):
        scene.actor(0, scene.visit(0).end_frame + 1)


@pytest.mark.parametrize("n", [1, 2, 3, 6, 9])
def test_every_camera_can_be_reached(n):
    for seed in range(5):
        random = np.random.default_rng(seed)
        graph = WalkGraph.draw(n, 40.0, random)
        ways = np.isfinite(graph.lengths)
        reached = np.linalg.matrix_power(ways.astype(int) + np.eye(n, dtype=int), n) > 0
        assert reached.all()
        assert (graph.lengths == graph.lengths.T).all()
        assert n == 1 or np.median(graph.lengths[ways]) == pytest.approx(40.0)
        walk = graph.walk(set(range(n)), random)
        assert set(walk) == set(range(n))
        assert all(ways[a, b] for a, b in pairwise(walk))
