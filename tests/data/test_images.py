"""Pictures decoded once: values, boxes, the cache on disk and broken files."""

import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from reidlab.data import ImageCache
from reidlab.errors import ConfigError, DataError
from reidlab.seeding import rng


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDLAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def table(tmp_path):
    random = rng(0, "pictures")
    files = []
    for number in range(5):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), random.integers(0, 256, (16, 8, 3), dtype=np.uint8))
        files.append(str(path))
    return pd.DataFrame({"path": files})


def test_pictures_are_rgb_in_the_order_of_rows(table):
    images = np.asarray(ImageCache(table.iloc[::-1], (16, 8)))
    assert images.shape == (5, 16, 8, 3)
    assert images.dtype == np.uint8
    for image, path in zip(images, table["path"][::-1]):
        assert np.array_equal(image[..., ::-1], cv2.imread(path))


def test_a_plain_picture_stays_plain_at_any_size(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((9, 7, 3), (10, 20, 30), np.uint8))
    image = np.asarray(ImageCache(pd.DataFrame({"path": [str(tmp_path / "a.png")]}), (4, 5)))[0]
    assert (image == [30, 20, 10]).all()


def test_a_box_is_cut_out_as_far_as_it_is_inside(table):
    whole = cv2.imread(table["path"][0])[..., ::-1]
    rows = pd.DataFrame(
        {"path": [table["path"][0]] * 2, "x": [2.0, -3.0], "y": [4.0, 12.0], "w": [4.0, 7.0], "h": [8.0, 9.0]}
    )
    inside = np.asarray(ImageCache(rows.iloc[:1], (8, 4)))[0]
    assert np.array_equal(inside, whole[4:12, 2:6])
    clipped = np.asarray(ImageCache(rows.iloc[1:], (4, 4)))[0]
    assert np.array_equal(clipped, whole[12:16, 0:4])


def test_a_box_outside_is_named(table):
    rows = table.iloc[:1].assign(x=20.0, y=0.0, w=4.0, h=4.0)
    with pytest.raises(DataError, match=r"0\.png.*box"):
        ImageCache(rows, (8, 4))


def test_pictures_on_disk_are_reused_until_a_file_changes(table):
    first = np.array(ImageCache(table, (16, 8), on_disk=True))
    assert np.array_equal(first, np.asarray(ImageCache(table, (16, 8))))
    path, before = table["path"][0], os.stat(table["path"][0])
    # Same size and time as before: the file is not looked into again.
    Path(path).write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert np.array_equal(first, np.asarray(ImageCache(table, (16, 8), on_disk=True)))
    cv2.imwrite(path, np.full((16, 8, 3), 7, np.uint8))
    changed = np.asarray(ImageCache(table, (16, 8), on_disk=True))
    assert (changed[0] == 7).all()
    assert np.array_equal(changed[1:], first[1:])


def test_a_cache_on_disk_is_not_written_through(table):
    images = np.asarray(ImageCache(table, (16, 8), on_disk=True))
    before = images.copy()
    images[:] = 0
    assert np.array_equal(np.asarray(ImageCache(table, (16, 8), on_disk=True)), before)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes() + b"1"),
        lambda path: path.write_bytes(b""),
        lambda path: np.save(path, np.zeros((1, 2), np.uint8)),
        lambda path: np.save(path, np.array([{}], dtype=object), allow_pickle=True),
    ],
    ids=["cut", "longer", "empty", "another", "objects"],
)
def test_a_damaged_store_is_made_anew(table, tmp_path, damage):
    before = np.array(ImageCache(table, (8, 4), on_disk=True))
    (path,) = (tmp_path / "cache" / "pictures").iterdir()
    whole = path.read_bytes()
    damage(path)
    np.testing.assert_array_equal(ImageCache(table, (8, 4), on_disk=True), before)
    assert path.read_bytes() == whole


def test_a_failed_cache_leaves_nothing(table, tmp_path):
    Path(table["path"][3]).write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"3\.png"):
        ImageCache(table, (16, 8), on_disk=True)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize("extension", ["jpg", "png"])
def test_a_truncated_picture_is_named(tmp_path, extension):
    path = tmp_path / f"cut.{extension}"
    cv2.imwrite(str(path), rng(0, "noise").integers(0, 256, (128, 64, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"cut\.{extension}"):
        ImageCache(pd.DataFrame({"path": [str(path)]}), (128, 64))


def test_a_missing_picture_is_named(table):
    os.unlink(table["path"][2])
    with pytest.raises(DataError, match=r"2\.png"):
        ImageCache(table, (16, 8))


@pytest.mark.parametrize("size", [(0, 8), (16,), (16.0, 8)])
def test_a_bad_size_is_named(table, size):
    with pytest.raises(ConfigError, match="size"):
        ImageCache(table, size)
