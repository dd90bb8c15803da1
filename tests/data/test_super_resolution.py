"""Luma pictures: MATLAB's values, bicubic filters, aligned patches, PSNR."""

import math

import cv2
import numpy as np
import pytest
from PIL import Image

from reidlab.data.super_resolution import (
    LumaSet,
    crop_to_multiple,
    degraded,
    find_sr_sets,
    generated,
    installed_photographs,
    luma,
    patches,
    psnr,
    read_folder,
    sr_sets,
)
from reidlab.errors import ConfigError, DataError, MissingDataError
from reidlab.seeding import rng


@pytest.fixture
def pictures():
    return generated(3, seed=0, size=48)


def test_luma_is_that_of_matlab():
    # rgb2ycbcr of white, black, red, green, blue and grey, as MATLAB prints them.
    colours = np.array([[(255,) * 3, (0,) * 3, (255, 0, 0), (0, 255, 0), (0, 0, 255), (128,) * 3]], np.uint8)
    assert (luma(colours) * 255).round(3).tolist() == [[235, 16, 81, 145, 41, 126]]


def test_luma_is_near_that_of_opencv():
    image = rng(0, "luma").integers(0, 256, (9, 7, 3), dtype=np.uint8)
    full = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[..., 0].astype(float)  # 0..255 instead of 16..235
    assert np.abs(luma(image) * 255 - (16 + full * 219 / 255)).max() < 1.5


def test_a_folder_is_read_in_order_and_grey_files_as_they_are(tmp_path):
    for name, image in (("b.png", (255, 0, 0)), ("a.bmp", (255, 255, 255))):
        Image.new("RGB", (4, 3), image).save(tmp_path / name)
    Image.new("L", (2, 2), 250).save(tmp_path / "c.bmp")
    found = read_folder(tmp_path)
    assert found.names == ("a", "b", "c")
    assert [float(picture[0, 0] * 255) for picture in found.pictures] == pytest.approx([235, 81, 250])
    assert found.pictures[0].shape == (3, 4)
    assert found.pictures[0].dtype == np.float32


def test_a_folder_without_good_pictures_is_refused(tmp_path):
    with pytest.raises(MissingDataError, match="does not exist"):
        read_folder(tmp_path / "none")
    with pytest.raises(MissingDataError, match="holds no pictures; found nothing"):
        read_folder(tmp_path)
    (tmp_path / "a.bmp").write_text("text")
    with pytest.raises(DataError, match=r"1 picture cannot be read: .*a\.bmp \(it is no picture"):
        read_folder(tmp_path)


def test_the_layout_of_the_three_sets(tmp_path, lay, own_settings):
    with pytest.raises(MissingDataError, match="not on this machine"):
        find_sr_sets()
    lay(own_settings / "sr", "Train/t1.bmp", "Train/t2.bmp", "Test/Set5/a.bmp")
    with pytest.raises(MissingDataError, match="Set14"):
        sr_sets(own_settings / "sr")
    lay(own_settings / "sr", "Test/Set14/b.bmp")
    for found in (sr_sets(own_settings / "sr"), find_sr_sets()):
        assert {key: len(value) for key, value in found.items()} == {"train": 2, "set5": 1, "set14": 1}
        assert found["set5"].name == "Set5"


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((2, 2)), "float64"),
        (np.zeros((2, 2, 3), np.float32), r"expected float32 \(H, W\)"),
        (np.full((2, 2), np.nan, np.float32), r"nan\.\.nan, expected 0\.\.1"),
        (np.full((2, 2), 1.5, np.float32), r"1\.5\.\.1\.5, expected 0\.\.1"),
    ],
)
def test_pictures_of_another_kind_are_refused(picture, message):
    with pytest.raises(DataError, match=message):
        LumaSet("x", (picture,), ("first",))
    with pytest.raises(DataError, match="0 pictures"):
        LumaSet("x", (), ())


def test_generated_pictures_depend_on_seed_and_place():
    few, many = generated(2, 1, 32), generated(4, 1, 32)
    assert all(np.array_equal(a, b) for a, b in zip(few.pictures, many.pictures))
    assert not np.array_equal(few.pictures[0], few.pictures[1])
    assert not np.array_equal(few.pictures[0], generated(1, 2, 32).pictures[0])
    assert all(picture.shape == (32, 32) and picture.std() > 0.02 for picture in many.pictures)
    with pytest.raises(ConfigError, match="count"):
        generated(0, 1)


def test_photographs_come_with_libraries():
    found = installed_photographs()
    assert found.names == ("china", "flower", "grace_hopper")
    assert [picture.shape for picture in found.pictures] == [(427, 640), (427, 640), (600, 512)]


def imresize_weights(n, scale):
    """Rows of weights that halve (or n-th) a signal as MATLAB's imresize does: Keys' kernel, stretched, mirrored."""

    def keys(x):
        x = np.abs(x)
        near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        return np.where(x <= 1, near, np.where(x < 2, far, 0))

    weights = np.zeros((n // scale if scale > 1 else round(n / scale), n))
    stretch = max(scale, 1)
    for row in range(len(weights)):
        centre = (row + 0.5) * scale - 0.5
        places = np.arange(math.floor(centre - 2 * stretch), math.ceil(centre + 2 * stretch) + 1)
        values = keys((places - centre) / stretch)
        mirrored = np.where(places < 0, -1 - places, np.where(places >= n, 2 * n - 1 - places, places))
        np.add.at(weights[row], mirrored, values / values.sum())
    return weights


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_degradation_is_that_of_imresize_inside(pictures, scale):
    picture = pictures.pictures[0]
    down = imresize_weights(48, scale)
    up = imresize_weights(48 // scale, 1 / scale)
    expected = up @ (down @ picture @ down.T) @ up.T
    inner = slice(5 * scale, -5 * scale)
    found = degraded(picture, scale)
    assert found.shape == (48, 48)
    assert np.abs(found - expected)[inner, inner].max() < 1e-5
    assert np.abs(found - expected).max() < 0.2


def test_degradation_limits(pictures):
    assert np.array_equal(degraded(pictures.pictures[0], 1), pictures.pictures[0])
    assert np.allclose(degraded(np.full((6, 8), 0.3, np.float32), 2), 0.3)
    with pytest.raises(ConfigError, match="use crop_to_multiple"):
        degraded(np.zeros((7, 8)), 2)
    with pytest.raises(DataError, match="not finite"):
        degraded(np.full((4, 4), np.nan), 2)
    with pytest.raises(DataError, match=r"expected \(H, W\)"):
        degraded(np.zeros((4, 4, 3)), 2)
    with pytest.raises(ConfigError, match="scale"):
        degraded(np.zeros((4, 4)), 0)


def test_a_crop_keeps_what_the_scale_divides():
    assert crop_to_multiple(np.zeros((7, 9)), 3).shape == (6, 9)
    with pytest.raises(DataError, match="at least 4 x 4"):
        crop_to_multiple(np.zeros((3, 9)), 4)


def test_patches_are_windows_of_both_pictures(pictures):
    low, high = patches(pictures, size=20, stride=14, scale=2)
    assert low.shape == high.shape == (3 * 9, 1, 20, 20)
    assert low.dtype == high.dtype == np.float32
    number = 9 + 3 + 2  # second picture, second row, third column
    assert np.array_equal(high[number, 0], pictures.pictures[1][14:34, 28:48])
    assert np.array_equal(low[number, 0], degraded(pictures.pictures[1], 2)[14:34, 28:48])


def test_a_limit_draws_patches(pictures):
    low, high = patches(pictures, size=8, limit=10, seed=1)
    everything = patches(pictures, size=8)[1]
    assert len(low) == len(high) == 10
    assert len({patch.tobytes() for patch in high} & {patch.tobytes() for patch in everything}) == 10
    assert np.array_equal(high, patches(pictures, size=8, limit=10, seed=1)[1])
    assert not np.array_equal(high, patches(pictures, size=8, limit=10, seed=2)[1])
    assert len(patches(pictures, size=8, limit=10**6)[0]) == len(everything)


def test_pictures_that_are_smaller_than_a_patch_give_none(pictures):
    small = np.zeros((9, 50), np.float32)
    assert len(patches([small, *pictures.pictures], size=20)[0]) == 12
    with pytest.raises(DataError, match="none of 1 has 20 x 20 pixels"):
        patches([small], size=20)
    for wrong in ({"size": 0}, {"stride": 0}, {"limit": 0}, {"scale": 0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            patches(pictures, **wrong)


def test_psnr_is_that_of_opencv():
    random = rng(0, "psnr")
    a, b = random.integers(0, 256, (2, 20, 30), dtype=np.uint8)
    assert psnr(a / 255, b / 255) == pytest.approx(cv2.PSNR(a, b), abs=1e-4)
    assert psnr(a / 255, b / 255, border=3) == pytest.approx(cv2.PSNR(a[3:-3, 3:-3], b[3:-3, 3:-3]), abs=1e-4)


def test_psnr_limits():
    zeros = np.zeros((4, 5))
    assert psnr(zeros, zeros) == math.inf
    assert psnr(zeros, zeros + 0.1) == pytest.approx(20, abs=1e-5)
    edged = zeros.copy()
    edged[0] = 1
    assert psnr(zeros, edged, border=1) == math.inf
    with pytest.raises(DataError, match=r"shapes \(4, 5\) and \(5, 4\)"):
        psnr(zeros, zeros.T)
    with pytest.raises(DataError, match="b: holds a value that is not finite"):
        psnr(zeros, zeros * np.nan)
    with pytest.raises(ConfigError, match=r"border: 2 is not allowed; expected an integer in 0\.\.1"):
        psnr(zeros, zeros, border=2)


@pytest.mark.real_data
def test_bicubic_on_the_real_set5_is_near_what_the_literature_prints(real):
    # 33.66 dB in the papers on x2 (bicubic, Set5); these files are crops of the usual ones in part.
    found = read_folder(real("sr") / "Test" / "Set5")
    pairs = [(degraded(whole, 2), whole) for whole in (crop_to_multiple(picture, 2) for picture in found.pictures)]
    assert np.mean([psnr(low, whole, border=2) for low, whole in pairs]) == pytest.approx(33.66, abs=0.1)
