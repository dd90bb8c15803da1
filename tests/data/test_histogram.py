"""Colour histograms: counted by hand on plain pictures."""

import colorsys

import numpy as np
import pandas as pd
import pytest

from reidlab.data.histogram import colour_histogram
from reidlab.errors import ConfigError
from reidlab.seeding import rng


def rows(count):
    return pd.DataFrame({"pid": range(count), "camid": 1, "tracklet": -1})


def test_two_plain_halves_fill_one_bin_of_each_channel():
    image = np.zeros((8, 4, 3), np.uint8)
    image[:4], image[4:] = (255, 0, 0), (0, 0, 255)
    features = colour_histogram(rows(1), stripes=2, bins=4, norm="l1", images=image[None]).features
    filled = {(stripe, channel): int(np.flatnonzero(part)[0]) for (stripe, channel), part in cells(features[0], 2, 4)}
    for stripe, (red, green, blue) in enumerate([(255, 0, 0), (0, 0, 255)]):
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        cb, cr = 128 + 0.564 * (blue - luma), 128 + 0.713 * (red - luma)
        hue, saturation, _ = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
        values = [red, green, blue, luma, min(cb, 255), min(cr, 255), hue * 256, saturation * 255]
        assert [filled[stripe, channel] for channel in range(8)] == [int(value * 4 // 256) for value in values]
    assert np.allclose(features[features > 0], 1 / 16)


def cells(feature, stripes, bins):
    parts = feature.reshape(stripes, 8, bins)
    return [((stripe, channel), parts[stripe, channel]) for stripe in range(stripes) for channel in range(8)]


def test_rgb_bins_are_those_of_numpy():
    images = rng(0, "noise").integers(0, 256, (3, 12, 5, 3), dtype=np.uint8)
    features = colour_histogram(rows(3), stripes=3, bins=16, norm="l1", images=images).features
    for image, feature in zip(images, features):
        for (stripe, channel), part in cells(feature, 3, 16):
            if channel < 3:
                counts, _ = np.histogram(image[4 * stripe : 4 * stripe + 4, :, channel], bins=16, range=(0, 256))
                assert np.allclose(part * 8 * 12 * 5, counts)


def test_norms():
    images = rng(1, "noise").integers(0, 256, (4, 24, 8, 3), dtype=np.uint8)
    plain = colour_histogram(rows(4), norm="l1", images=images).features
    root = colour_histogram(rows(4), images=images).features
    assert plain.shape == (4, 6 * 8 * 16)
    assert np.allclose(plain.sum(1), 1)
    assert np.allclose(root**2, plain, atol=1e-6)
    assert np.allclose(np.linalg.norm(root, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("change", [{"stripes": 0}, {"stripes": 129}, {"bins": 257}, {"bins": 2.0}, {"norm": "l2"}])
def test_bad_values_are_named(change):
    with pytest.raises(ConfigError, match=next(iter(change))):
        colour_histogram(rows(0), **change, images=np.empty((0, 8, 4, 3), np.uint8))


def test_pictures_must_fit_the_table():
    with pytest.raises(ConfigError, match="images"):
        colour_histogram(rows(2), images=np.zeros((1, 8, 4, 3), np.uint8))
