"""Bilinear sampling against numpy's arithmetic, and a picture kept from OpenCV 4.14 that OpenCV 5.0 draws too."""

import cv2
import numpy as np
import pytest

from reidlab.world import Actor, Dress, Renderer, make_cameras, make_people
from reidlab.world.sampling import sample_at, stretch


def bilinear(image, columns, rows):
    """Interpolate (H, W, C) at places rounded to 1/32; what lies outside is the edge."""
    columns, rows = np.floor(columns * 32 + 0.5) / 32, np.floor(rows * 32 + 0.5) / 32
    x, y = np.floor(columns).astype(int), np.floor(rows).astype(int)
    right, down = (columns - x)[..., None], (rows - y)[..., None]

    def at(y, x):
        return image[np.clip(y, 0, len(image) - 1), np.clip(x, 0, image.shape[1] - 1)].astype(float)

    above = at(y, x) * (1 - right) + at(y, x + 1) * right
    below = at(y + 1, x) * (1 - right) + at(y + 1, x + 1) * right
    return above * (1 - down) + below * down


@pytest.mark.parametrize("seed", range(4))
def test_places_are_rounded_to_a_32nd(seed):
    """The bounds are far below what a 64th of a pixel makes of such pictures: 4 of 255 levels, 0.1 of a float."""
    random = np.random.default_rng(seed)
    floats = random.normal(0, 3, (40, 30, 3)).astype(np.float32)
    places = (random.random((50, 60, 2)) * (33, 43) - 2).astype(np.float32)
    expected = bilinear(floats, places[..., 0], places[..., 1])
    out = np.empty((50, 60, 3), np.float32)
    sample_at(floats, places, border=cv2.BORDER_REPLICATE, out=out)
    np.testing.assert_allclose(out, expected, atol=1e-4)
    apart = np.ascontiguousarray(places[..., 0]), np.ascontiguousarray(places[..., 1])
    np.testing.assert_array_equal(sample_at(floats, *apart, border=cv2.BORDER_REPLICATE), out)

    levels = random.integers(0, 256, (90, 70, 4), dtype=np.uint8)
    shape = int(random.integers(8, 99)), int(random.integers(8, 60))
    corner, step = np.rint(random.uniform((-9, 0.2), (40, 2.5), (2, 2)) * 1024).T / 1024  # else the last digits decide
    found = stretch(levels, shape, tuple(corner), tuple(step), cv2.BORDER_REPLICATE).astype(float)
    columns, rows = np.meshgrid(corner[0] + step[0] * np.arange(shape[1]), corner[1] + step[1] * np.arange(shape[0]))
    np.testing.assert_allclose(found, bilinear(levels, columns, rows), atol=1)


@pytest.mark.skipif(cv2.__version__ >= "5", reason="OpenCV 5 does not round places")
def test_a_window_is_what_opencv_4_makes_of_it_to_the_bit():
    random = np.random.default_rng(5)
    image = random.integers(0, 256, (240, 320, 4), dtype=np.uint8)
    for border in (cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT):
        for _ in range(60):
            shape = int(random.integers(8, 140)), int(random.integers(8, 80))
            corner, step = tuple(random.uniform(-20, 250, 2)), tuple(random.uniform(0.2, 2.5, 2))
            back = np.array([[step[0], 0, corner[0]], [0, step[1], corner[1]]])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            expected = cv2.warpAffine(image, back, shape[::-1], flags=flags, borderMode=border)
            np.testing.assert_array_equal(stretch(image, shape, corner, step, border), expected)


def test_a_picture_is_the_one_that_was_kept():
    """Mean levels of the 16 x 16 parts of a crop, kept from OpenCV 4.14 and equal under 5.0; one level for machines."""
    renderer = Renderer(make_cameras(2, seed=5)[1])
    person, other = make_people(2, Dress.summer(), seed=3)
    actors = [Actor(person, 0.2, 8.0, 0.6, 1.1), Actor(other, -0.6, 11.0, 2.0, 0.4)]
    crop = renderer.crop(actors, renderer.boxes(actors)[0])
    np.testing.assert_allclose(crop.reshape(8, 16, 4, 16, 3).mean(axis=(1, 3, 4)), KEPT, atol=1.0)


KEPT = [
    [178.3, 106.9, 108.7, 166.9],
    [157.2, 138.9, 114.8, 135.4],
    [137.8, 79.0, 70.7, 125.4],
    [167.9, 118.0, 69.4, 132.8],
    [127.9, 109.7, 56.9, 113.0],
    [108.9, 59.9, 77.0, 88.5],
    [61.9, 125.2, 74.9, 88.1],
    [85.1, 74.5, 62.2, 71.6],
]
