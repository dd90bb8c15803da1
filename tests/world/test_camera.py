"""Cameras: projection against closed forms, seeds, and refusals."""

import numpy as np
import pytest

from reidlab.errors import ConfigError
from reidlab.world import Camera, Nuisances, Occluder, make_cameras


def test_level_camera_projects_as_a_pinhole():
    camera = Camera(1, width=640, height=360, height_m=2.0, pitch_rad=0.0, focal_px=500.0)
    pixels, depth = camera.project(np.array([[1.0, 2.0, 10.0], [0.0, 0.0, 5.0]]))
    np.testing.assert_allclose(depth, [10.0, 5.0])
    np.testing.assert_allclose(pixels, [[320 + 50, 180], [320, 180 + 200]])


def test_axes_are_orthonormal_and_right_handed():
    for camera in make_cameras(5, 0):
        axes = camera.axes()
        np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
        # x right, y down, z forward, seen from a frame whose y is up: the determinant is negative.
        assert np.linalg.det(axes) == pytest.approx(-1.0)


def test_ground_inverts_project():
    for camera in make_cameras(6, 1):
        ground = np.array([[-1.0, camera.near_m], [0.5, 9.0], [2.0, camera.far_m]])
        pixels, _ = camera.project(np.insert(ground, 1, 0.0, axis=1))
        np.testing.assert_allclose(camera.ground(pixels), ground, rtol=1e-9)


def test_ground_above_the_horizon_is_infinite():
    assert np.isinf(Camera(1, pitch_rad=0.0).ground(np.array([10.0, 0.0]))).any()


def test_same_seed_same_cameras_and_different_seeds_differ():
    assert make_cameras(4, 5) == make_cameras(4, 5)
    assert make_cameras(4, 5) != make_cameras(4, 6)
    assert make_cameras(6, 5)[:4] == make_cameras(4, 5)


def test_look_strength_zero_is_neutral():
    for camera in make_cameras(4, 2, look_strength=0.0):
        np.testing.assert_allclose(camera.look.matrix, np.eye(3), atol=1e-12)


def test_people_fit_into_the_frame_over_the_walkable_depth():
    for seed in range(5):
        for camera in make_cameras(6, seed):
            assert 2.5 <= camera.height_m <= 6.0
            for z in (camera.near_m, camera.far_m):
                pixels, _ = camera.project(np.array([[0.0, 0.0, z], [0.0, 1.7, z]]))
                assert (pixels[:, 1] < camera.height).all()
            assert pixels[0, 1] - pixels[1, 1] > 25


def test_occluders_keep_apart_and_stand_on_walkable_ground():
    for seed in range(5):
        for camera in make_cameras(6, seed, occluders=4):
            things = camera.occluders
            for i, a in enumerate(things):
                assert camera.left_m <= a.x_m <= camera.right_m
                for b in things[:i]:
                    assert np.hypot(a.x_m - b.x_m, a.z_m - b.z_m) > a.radius_m + b.radius_m


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: make_cameras(-1, 0), "n: -1"),
        (lambda: make_cameras(2, 0, look_strength=3.0), "look_strength"),
        (lambda: make_cameras(2, 0, occluders=-1), "occluders"),
        (lambda: make_cameras(2, 0, scenes=()), "scenes"),
        (lambda: Camera(1, scene="moon"), "moon"),
        (lambda: Camera(1, width=8), "width"),
        (lambda: Camera(1, near_m=9.0, far_m=3.0), "near_m"),
        (lambda: Camera(1, left_m=3.0, right_m=-3.0), "left_m"),
        (lambda: Camera(1, focal_px=0.0), "focal_px"),
        (lambda: Occluder("piano", 0, 8, 1, 1, 1), "piano"),
        (lambda: Occluder("car", 0, 8, 0, 1, 1), "width_m: 0 is not allowed"),
        (lambda: Nuisances(blur=1.5), "blur"),
        (lambda: Nuisances(noise="loud"), "noise"),
        (lambda: Nuisances().with_(fog=1.0), "fog"),
    ],
)
def test_bad_arguments_are_named(call, word):
    with pytest.raises(ConfigError, match=word):
        call()


def test_a_long_thing_hides_only_who_is_behind_it():
    car = Occluder("car", 0.0, 10.0, 4.0, 1.8, 1.4, turn_rad=np.pi / 2)
    assert car.hides(0.0, 12.5)
    assert not car.hides(0.0, 7.5)
    # Before its far end, though farther away than its middle.
    assert not Occluder("wall", 0.0, 10.0, 6.0, 0.3, 1.0, turn_rad=-0.6).hides(2.5, 11.0)
