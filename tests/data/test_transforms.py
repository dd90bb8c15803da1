"""Transforms against what is written out by hand, picture by picture."""

import numpy as np
import pytest
import torch

from reidlab.data import ColourJitter, Flip, Grayscale, PadCrop, RandomErasing, TrainTransform, normalize, transforms
from reidlab.errors import ConfigError
from reidlab.seeding import rng


@pytest.fixture
def images():
    return torch.from_numpy(rng(0, "pictures").integers(0, 256, (40, 12, 8, 3), dtype=np.uint8))


@pytest.fixture
def planes(images):
    return images.permute(0, 3, 1, 2).float() / 255


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_normalised_pixels_are_the_textbook_formula(images):
    out = normalize(images)
    assert out.shape == (40, 3, 12, 8)
    assert out.dtype == torch.float32
    for channel, (mean, deviation) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]):
        expected = (images[..., channel].double() / 255 - mean) / deviation
        torch.testing.assert_close(out[:, channel].double(), expected, atol=1e-5, rtol=1e-5)


def test_training_pictures_come_in_channels_last_memory(images):
    assert TrainTransform(erase=0.5)(images, generator()).is_contiguous(memory_format=torch.channels_last)


def test_everything_off_is_evaluation(images):
    assert torch.equal(TrainTransform(flip=0.0)(images, generator()), normalize(images))


def test_each_picture_is_mirrored_or_not(planes):
    out = Flip(0.5)(planes, generator())
    mirrored = [bool(torch.equal(o, torch.flip(i, [2]))) for i, o in zip(planes, out)]
    same = [bool(torch.equal(o, i)) for i, o in zip(planes, out)]
    assert all(m != s for m, s in zip(mirrored, same))
    assert 8 < sum(mirrored) < 32
    assert torch.equal(Flip(1.0)(planes, generator()), planes.flip(3))


def test_a_shifted_picture_is_a_window_of_the_padded_one(planes):
    pad = 3
    shifts = set()
    for picture, out in zip(planes.numpy(), PadCrop(pad)(planes, generator()).numpy()):
        padded = np.pad(picture, ((0, 0), (pad, pad), (pad, pad)))
        windows = [
            (top, left)
            for top in range(2 * pad + 1)
            for left in range(2 * pad + 1)
            if np.array_equal(padded[:, top : top + 12, left : left + 8], out)
        ]
        assert len(windows) == 1
        shifts.add(windows[0])
    assert len(shifts) > 15


def test_what_is_erased_is_one_rectangle_of_the_asked_size():
    images = torch.ones(200, 3, 64, 32)
    erased = 0
    for picture in RandomErasing(0.5, area=(0.1, 0.2), aspect=(0.5, 2.0))(images, generator()).numpy():
        hole = (picture != 1).any(axis=0)
        if not hole.any():
            continue
        erased += 1
        rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        tall, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
        assert hole.sum() == tall * wide
        assert 0.08 < hole.mean() < 0.22
        assert 0.4 < tall / wide < 2.2
        assert (picture[:, hole] == 0).all()
    assert 70 < erased < 130


def test_brightness_is_one_factor_a_picture(planes):
    dark = planes / 4 + 0.1
    factors = ColourJitter(brightness=0.3, contrast=0, saturation=0)(dark, generator()) / dark
    assert (factors.std(dim=(1, 2, 3)) < 1e-5).all()
    means = factors.mean(dim=(1, 2, 3))
    assert means.min() > 0.69
    assert means.max() < 1.31
    assert means.std() > 0.1


def test_greys_stay_grey_under_saturation_and_hue():
    grey = torch.full((9, 3, 4, 4), 0.4)
    out = ColourJitter(brightness=0, contrast=0, saturation=0.5, hue=0.5)(grey, generator())
    torch.testing.assert_close(out, grey)


@pytest.mark.parametrize("fill", ["mean", "noise"])
def test_all_pictures_at_once_as_on_a_gpu_give_the_same_pixels(images, monkeypatch, fill):
    transform = TrainTransform(pad=3, erase=RandomErasing(0.7, fill=fill), jitter=ColourJitter())
    one_by_one = transform(images, generator())
    monkeypatch.setattr(transforms, "_at_once", lambda images: True)
    assert torch.equal(transform(images, generator()), one_by_one)


def test_grey_pictures_have_three_equal_channels(planes):
    for before, after in zip(planes.numpy(), Grayscale(0.5)(planes, generator()).numpy()):
        if (after[0] == after[1]).all():
            luma = np.tensordot([0.299, 0.587, 0.114], before, 1)
            assert np.abs(after - luma).max() < 1e-3
        else:
            assert np.array_equal(after, before)


def test_the_generator_decides_and_the_input_stays(images):
    before = images.clone()
    transform = TrainTransform(0.5, 2, 0.5, jitter=ColourJitter(hue=0.1), grayscale=0.2)
    one, same, other = (transform(images, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: TrainTransform(flip=1.2), "Flip.p"),
        (lambda: TrainTransform(erase=-0.1), "RandomErasing.p"),
        (lambda: TrainTransform(pad=-1), "PadCrop.pad"),
        (lambda: PadCrop(1.5), "PadCrop.pad"),
        (lambda: Grayscale("a"), "Grayscale.p"),
        (lambda: ColourJitter(contrast=2), "contrast"),
        (lambda: RandomErasing(area=(0.5, 0.1)), "area"),
    ],
)
def test_bad_parameters_are_named(make, name):
    with pytest.raises(ConfigError, match=name):
        make()
