"""Pictures decoded once: values, boxes, the cache on disk and broken files."""

import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageCms

from reidlab.data import ImageCache, catalogue, images, read_picture
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


# --- what other kinds of pictures mean, in every place that opens one


RAMP = np.linspace(0, 65535, 32 * 64).reshape(64, 32)


def everywhere(path):
    """Read a picture by each way there is, and return it once they agree: (H, W, 3) uint8."""
    alone = read_picture(path)
    table = pd.DataFrame({"path": [str(path)]})
    for on_disk in (False, True):
        assert np.array_equal(np.asarray(ImageCache(table, alone.shape[:2], on_disk=on_disk))[0], alone)
    assert catalogue._read_chunk([str(path)], deep=True)[0][2] == ""
    return alone


@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
def test_16_bits_are_divided_by_257(tmp_path, ending):
    values = RAMP.astype(np.uint16)
    assert cv2.imwrite(str(tmp_path / f"a.{ending}"), values)
    grey = everywhere(tmp_path / f"a.{ending}")
    assert np.array_equal(grey, np.repeat(np.round(values / 257)[..., None], 3, axis=2))
    assert (grey.min(), grey.max()) == (0, 255)


def test_numbers_with_a_point_are_0_to_1(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray((RAMP / 65535).astype(np.float32)).save(path)
    assert np.array_equal(everywhere(path)[..., 1], np.round(RAMP / 257))
    for values, found in (
        (RAMP, r"are in 0\.\.65535"),
        (RAMP - 1, r"are in -1\.\.65534"),
        (RAMP * np.nan, "are not all finite"),
    ):
        Image.fromarray(values.astype(np.float32)).save(path)
        with pytest.raises(DataError, match=rf"a\.tif \(its numbers {found}; expected 0\.\.1"):
            read_picture(path)
    Image.fromarray(RAMP.astype(np.int32) - 5).save(path)
    with pytest.raises(DataError, match=r"its numbers of 32 bits are in -5\.\.65530"):
        read_picture(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_shown_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    values = np.linspace(0, 255, 32 * 64).astype(np.uint8).reshape(32, 64)
    Image.fromarray(np.dstack([values] * 3)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    Image.fromarray(np.dstack([values] * 3)).save(tmp_path / "a.png", exif=exif)
    for name in ("a.jpg", "a.png"):
        # OpenCV turns them too.
        assert np.abs(everywhere(tmp_path / name).astype(int) - cv2.imread(str(tmp_path / name))[..., ::-1]).max() <= 1
    if orientation == 6:
        upright = read_picture(tmp_path / "a.png")
        assert upright.shape == (64, 32, 3)
        assert upright[0, 0, 0] > upright[0, -1, 0], "dark to bright from right to left"
        box = pd.DataFrame({"path": [str(tmp_path / "a.png")], "x": [0.0], "y": [32.0], "w": [32.0], "h": [32.0]})
        assert np.array_equal(np.asarray(ImageCache(box, (32, 32)))[0], upright[32:])


@pytest.mark.filterwarnings(r"ignore:Corrupt EXIF")  # pytest forgets the module's own filter
def test_damaged_notes_leave_the_picture_what_it_is(tmp_path):
    values = np.full((8, 4, 3), 7, np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff no notes")
    assert np.array_equal(everywhere(tmp_path / "a.png"), values)


def test_what_is_transparent_shows_a_middle_grey(tmp_path):
    rgba = np.dstack([np.full((4, 4, 3), 200, np.uint8), np.tile(np.uint8([0, 128, 255, 255]), (4, 1))])
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    Image.fromarray(rgba[..., 2:]).save(tmp_path / "la.png")
    Image.fromarray(rgba).save(tmp_path / "rgba.webp", lossless=True, exact=True)
    for name in ("rgba.png", "la.png", "rgba.webp"):
        found = everywhere(tmp_path / name)
        assert found[0, :, 0].tolist() == [128, pytest.approx(128 + 72 * 128 / 255, abs=1), 200, 200]
    palette = Image.fromarray(np.uint8([[0, 1], [1, 0]]), "P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.save(tmp_path / "p.png", transparency=1)
    palette.save(tmp_path / "p.gif", transparency=1)
    for name in ("p.png", "p.gif"):
        assert everywhere(tmp_path / name).tolist() == [[[255, 0, 0], [128] * 3], [[128] * 3, [255, 0, 0]]]
    keyed = Image.fromarray(np.uint8([[[1, 2, 3], [9, 9, 9]]]))
    keyed.save(tmp_path / "keyed.png", transparency=(1, 2, 3))
    assert everywhere(tmp_path / "keyed.png").tolist() == [[[128] * 3, [9] * 3]]
    sixteen = Image.fromarray(np.uint16([[0, 65535]]))
    sixteen.save(tmp_path / "sixteen.png", transparency=0)
    assert everywhere(tmp_path / "sixteen.png")[0, :, 0].tolist() == [128, 255]


def test_other_kinds_are_as_pillow_converts_them(tmp_path):
    bits = RAMP > 32767
    Image.fromarray(bits).save(tmp_path / "bits.png")
    assert np.array_equal(everywhere(tmp_path / "bits.png")[..., 2], np.where(bits, 255, 0))
    rgb = Image.fromarray(rng(0, "kinds").integers(0, 256, (16, 8, 3), dtype=np.uint8))
    rgb.convert("CMYK").save(tmp_path / "cmyk.tif")
    rgb.quantize(16).save(tmp_path / "palette.png")
    rgb.convert("YCbCr").save(tmp_path / "ycbcr.tif")
    lab = ImageCms.applyTransform(
        rgb, ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    )
    lab.save(tmp_path / "lab.tif")
    for name in ("cmyk.tif", "palette.png", "ycbcr.tif", "lab.tif"):
        with Image.open(tmp_path / name) as image:
            assert np.array_equal(everywhere(tmp_path / name), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["jpg", "png", "grey.png", "grey.jpg", "opaque.png", "bmp"])
def test_8_bits_stay_what_they_are(tmp_path, kind):
    values = rng(0, kind).integers(0, 256, (16, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(values[..., 0] if "grey" in kind else values)
    if "opaque" in kind:
        picture.putalpha(255)
    picture.save(tmp_path / f"a.{kind}")
    with Image.open(tmp_path / f"a.{kind}") as image:
        assert np.array_equal(everywhere(tmp_path / f"a.{kind}"), np.asarray(image.convert("RGB")))


# --- what would hang, run a program or fill the memory


def test_a_page_that_would_start_a_program_is_no_picture(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "page.eps")
    path = (tmp_path / "page.eps").rename(tmp_path / "page.jpg")
    with Image.open(path) as image:
        assert image.format == "EPS", "which Pillow decodes with Ghostscript"
    with pytest.raises(DataError, match=r"page\.jpg \(it is no picture in JPEG, PNG, .* or WEBP\)"):
        read_picture(path)
    assert "it is no picture" in catalogue._read_chunk([str(path)], deep=False)[0][2]


def test_a_picture_larger_than_the_memory_is_refused_before_decoding(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.new("1", (4000, 3000)).save(path)
    assert path.stat().st_size < 10_000
    assert read_picture(path).shape == (3000, 4000, 3)
    monkeypatch.setattr(images, "_most_pixels", lambda: 10_000_000)
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("decoded"))
    for deep in (False, True):
        assert "4000 x 3000 pixels; the memory" in catalogue._read_chunk([str(path)], deep)[0][2]
    with pytest.raises(DataError, match=r"a\.png \(has 4000 x 3000 pixels; the memory .* allows 10,000,000"):
        read_picture(path)


def test_the_memory_left_decides_how_many_pixels_there_may_be():
    psutil = pytest.importorskip("psutil")
    assert images._ALWAYS <= images._most_pixels() <= psutil.virtual_memory().total / images._BYTES


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (os.mkfifo, "is a pipe, not a file"),
        (os.mkdir, "is a folder, not a file"),
        (lambda path: os.symlink("/dev/zero", path), "is a device, not a file"),
        (lambda path: os.symlink(path, path), "cannot be read"),
        (lambda path: os.symlink("nowhere", path), "there is no such file"),
        (lambda path: Path(path).write_text("text"), "it is no picture in"),
    ],
)
def test_what_is_no_picture_is_said_at_once(tmp_path, make, why):
    path = tmp_path / "a.jpg"
    make(path)
    with pytest.raises(DataError, match=why):
        read_picture(path)
    with pytest.raises(DataError, match=why):
        ImageCache(pd.DataFrame({"path": [str(path)]}), (8, 4))
    assert why in catalogue._read_chunk([str(path)], deep=False)[0][2]


def test_a_decoder_that_fails_without_a_word_has_failed(table, monkeypatch):
    def fails(*_):
        raise IndexError

    monkeypatch.setattr(Image.Image, "load", fails)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fails)
    path = table["path"][0]
    assert catalogue._read_chunk([path], deep=True)[0][2] == "its decoder failed with IndexError"
    for read in (read_picture, lambda path: ImageCache(table, (16, 8))):
        with pytest.raises(DataError, match="its decoder failed with IndexError"):
            read(path)
