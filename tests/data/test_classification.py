"""Labelled pictures: scikit-learn's digits, CIFAR-10 in three formats, folders of classes, stratified divisions."""

import io
import os
import pickle
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from reidlab.data import classification
from reidlab.data.classification import (
    LabelledPictures,
    cifar10,
    cifar10_jpeg,
    class_folders,
    classification_sets_here,
    digits,
    find_classification,
)
from reidlab.errors import ConfigError, DataError, MissingDataError
from reidlab.seeding import rng

FILES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


@pytest.fixture
def small_batches(monkeypatch):
    """Six batches of 20 pictures (20, 3, 32, 32) with labels (20,)."""
    monkeypatch.setattr(classification, "_CIFAR_FILE", 20)
    random = rng(0, "cifar")
    return [
        (random.integers(0, 256, (20, 3, 32, 32), dtype=np.uint8), random.permutation(np.arange(20) % 10))
        for _ in FILES
    ]


@pytest.fixture
def binary(tmp_path, small_batches):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name, (images, labels) in zip(FILES, small_batches):
        records = b"".join(bytes([label]) + image.tobytes() for image, label in zip(images, labels))
        (folder / f"{name}.bin").write_bytes(records)
    (folder / "batches.meta.txt").write_text("\n".join([*classification._CIFAR_CLASSES, ""]) + "\n")
    return folder


@pytest.fixture
def python(tmp_path, small_batches):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name, (images, labels) in zip(FILES, small_batches):
        rows = {b"data": images.reshape(20, -1), b"labels": labels.tolist(), b"batch_label": name.encode()}
        (folder / name).write_bytes(pickle.dumps(rows, protocol=2))
    return folder


def jpeg(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture
def parquet(tmp_path):
    """Return a file of 40 training and 20 test pictures in four classes, and their table."""
    random = rng(0, "jpeg")
    table = pd.DataFrame({"split": ["train"] * 40 + ["test"] * 20, "label": np.arange(60, dtype=np.int8) % 4})
    table["class"] = [["bird", "cat", "dog", "frog"][label] for label in table["label"]]
    table["name"] = [f"{i:04}.jpg" for i in range(60)]
    table["jpeg"] = [jpeg(np.full((32, 32, 3), random.integers(0, 256, 3), np.uint8)) for _ in range(60)]
    path = tmp_path / "cifar10_jpeg.parquet"
    table.to_parquet(path, index=False)
    return path, table


def test_digits_are_those_of_scikit_learn():
    found = digits()
    grey, labels = load_digits(return_X_y=True)
    assert (len(found.train), len(found.test)) == (1438, 359)
    assert found.train.images.shape[1:] == (8, 8, 1)
    assert found.train.images.max() == 255
    together = np.concatenate([found.train.images, found.test.images]).reshape(-1, 64)
    expected = np.rint(grey * 255 / 16).astype(np.uint8)
    assert np.array_equal(np.unique(together, axis=0), np.unique(expected, axis=0))
    shares = np.bincount(found.test.labels) / np.bincount(labels)
    assert np.abs(shares - 0.2).max() < 0.01
    assert np.array_equal(found.test.images, digits().test.images)


def test_a_subset_gives_each_class_its_share():
    pictures = digits().train
    part = pictures.subset(100, seed=3)
    exact = np.bincount(pictures.labels) * 100 / len(pictures)
    assert len(part) == 100
    assert np.abs(np.bincount(part.labels) - exact).max() < 1
    assert np.array_equal(part.images, pictures.subset(100, seed=3).images)
    assert not np.array_equal(part.images, pictures.subset(100, seed=4).images)
    assert np.array_equal(pictures.subset(len(pictures), seed=0).images, pictures.images)


def test_a_division_takes_every_picture_once():
    whole = digits()
    train, validation = whole.divided(0.1, seed=1)
    assert (len(train), len(validation)) == (1294, 144)
    rows = [pictures.images.reshape(len(pictures), -1) for pictures in (train, validation, whole.train)]
    both, all_rows = (np.sort(values.view([("", np.uint8)] * 64).ravel()) for values in (np.vstack(rows[:2]), rows[2]))
    assert np.array_equal(both, all_rows)


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan"), 1e-9])
def test_a_division_leaves_pictures_on_both_sides(share):
    with pytest.raises(ConfigError, match="share"):
        digits().divided(share)


@pytest.mark.parametrize("count", [0, 1439, 2.5])
def test_a_subset_is_no_larger_than_the_set(count):
    with pytest.raises(ConfigError, match="count"):
        digits().train.subset(count, seed=0)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 4, 4, 3)), [0, 0], "images: float64"),
        (np.zeros((2, 4, 4), np.uint8), [0, 0], r"expected uint8 \(N, H, W, C\)"),
        (np.zeros((2, 4, 4, 2), np.uint8), [0, 0], "C = 1 or 3"),
        (np.zeros((0, 4, 4, 3), np.uint8), np.zeros(0, int), "at least one picture"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0], "expected 2 whole numbers"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0.5, np.nan], "whole numbers"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0, 2], r"picture 1 has label 2; expected 0\.\.1"),
    ],
)
def test_pictures_of_another_kind_are_refused(images, labels, message):
    with pytest.raises(DataError, match=message):
        LabelledPictures(images, labels, ("a", "b"))


def written_by_python_2(images, labels):
    """The bytes of a batch as Python 2 pickled the official ones: text without an encoding, arrays by numpy.core."""
    array = b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    kind = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    pixels = b"T" + images.size.to_bytes(4, "little") + images.tobytes()
    state = b"(K\x01" + b"K%cM\x00\x0c\x86" % len(images) + kind + b"\x89" + pixels + b"tb"
    numbers = b"](" + b"".join(b"K%c" % label for label in labels) + b"e"
    return b"\x80\x02}(U\x04data" + array + state + b"U\x06labels" + numbers + b"U\x0bbatch_labelU\x01xu."


@pytest.fixture
def python_2(python, small_batches):
    for name, (images, labels) in zip(FILES, small_batches):
        (python / name).write_bytes(written_by_python_2(images, labels))
    assert pickle.loads((python / "test_batch").read_bytes(), encoding="bytes")[b"data"].shape == (20, 3072)
    return python


@pytest.mark.parametrize("version", ["binary", "python", "python_2"])
def test_cifar_is_read_from_its_official_files(version, small_batches, request):
    folder = request.getfixturevalue(version)
    for place in (folder, folder.parent):
        found = cifar10(place)
        images = np.concatenate([images for images, _ in small_batches[:5]]).transpose(0, 2, 3, 1)
        assert np.array_equal(found.train.images, images)
        assert np.array_equal(found.train.labels, np.concatenate([labels for _, labels in small_batches[:5]]))
        assert np.array_equal(found.test.images, small_batches[5][0].transpose(0, 2, 3, 1))
        assert found.train.classes[0] == "airplane"


def test_cifar_that_is_not_whole_is_refused(binary):
    path = binary / "data_batch_3.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-3073])
    with pytest.raises(DataError, match=r"data_batch_3\.bin: has 58,387 bytes, expected 61,460"):
        cifar10(binary)
    path.write_bytes(b"\x0b" + whole[1:])
    with pytest.raises(DataError, match=r"picture 0 has label 11; expected 0\.\.9"):
        cifar10(binary)
    path.unlink()
    with pytest.raises(MissingDataError, match=r"lacks data_batch_3\.bin"):
        cifar10(binary)


class Planted:
    """Writes a file where it is unpickled by an ordinary unpickler."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_that_a_pickle_names_is_run(python, tmp_path, protocol):
    place = tmp_path / "planted"
    (python / "data_batch_1").write_bytes(pickle.dumps({"data": Planted(place), "labels": []}, protocol))
    with pytest.raises(DataError, match=r"data_batch_1: is no batch of CIFAR-10 \(it names posix\.mkdir"):
        cifar10(python)
    assert not place.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no pickle", "is no batch"),
        (pickle.dumps([1]), "holds a list, not a dict"),
        (pickle.dumps({"data": 1}), "lacks 'labels'"),
        (pickle.dumps({"data": 1, "labels": []}), "'data' is a int, not an array"),
        (pickle.dumps({"data": np.zeros((20, 3072)), "labels": [0] * 20}, 2), "not of uint8"),
        (
            pickle.dumps({"data": np.zeros((19, 3072), np.uint8), "labels": [0] * 19}, 2),
            r"shape \(19, 3072\), expected",
        ),
        (pickle.dumps({"data": np.zeros((20, 3072), np.uint8), "labels": [0] * 19}, 2), "expected 20 whole numbers"),
    ],
)
def test_other_pickles_are_refused(python, content, message):
    (python / "test_batch").write_bytes(content)
    with pytest.raises(DataError, match=f"test_batch: .*{message}"):
        cifar10(python)


def test_a_parquet_file_is_read_as_pillow_decodes_it(parquet):
    path, table = parquet
    found = cifar10_jpeg(path)
    assert (found.name, found.train.classes) == ("CIFAR-10-JPEG", ("bird", "cat", "dog", "frog"))
    assert np.array_equal(found.test.labels, table["label"][40:])
    expected = [np.asarray(Image.open(io.BytesIO(data))) for data in table["jpeg"][:40]]
    assert np.array_equal(found.train.images, expected)


def test_a_limit_decodes_the_same_stratified_pictures(parquet):
    path, _ = parquet
    found = cifar10_jpeg(path, limit=(8, 100), seed=1)
    assert np.bincount(found.train.labels).tolist() == [2, 2, 2, 2]
    assert len(found.test) == 20
    assert np.array_equal(found.train.images, cifar10_jpeg(path, limit=8, seed=1).train.images)
    assert not np.array_equal(found.train.images, cifar10_jpeg(path, limit=8, seed=2).train.images)
    assert np.array_equal(found.train.images, cifar10_jpeg(path).train.subset(8, seed=1).images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="label"), "lacks the column 'label'"),
        (lambda t: t[t["split"] == "train"], "no row has split 'test'; found train"),
        (lambda t: t.assign(label=t["label"] + 1), "do not belong together"),
        (lambda t: t.assign(jpeg=[b"text", *t["jpeg"][1:]]), r"1 picture cannot be read: row 0 \(it is no picture"),
        (lambda t: t.assign(jpeg=[jpeg(np.zeros((8, 9, 3), np.uint8)), *t["jpeg"][1:]]), "has 9 x 8 pixels"),
        (lambda t: t.assign(jpeg=1), "no parquet file that can be read"),
        (lambda t: t.assign(label=np.nan), "expected 60 whole numbers"),
    ],
)
def test_other_parquet_files_are_refused(parquet, change, message):
    path, table = parquet
    change(table).to_parquet(path, index=False)
    with pytest.raises(DataError, match=message):
        cifar10_jpeg(path)


def test_a_text_is_no_parquet_file(tmp_path):
    (tmp_path / "x.parquet").write_text("split,label\n" * 9)
    with pytest.raises(DataError, match=r"x\.parquet: is no parquet file"):
        cifar10_jpeg(tmp_path / "x.parquet")
    with pytest.raises(DataError, match="there is no such file"):
        cifar10_jpeg(tmp_path / "none.parquet")


def test_damaged_files_are_refused_or_read(python, parquet):
    """Bytes changed at random: one of our errors, or other pictures."""
    random = rng(0, "damage")
    for path, read in ((python / "test_batch", lambda path: cifar10(path.parent)), (parquet[0], cifar10_jpeg)):
        whole = path.read_bytes()
        for _ in range(60):
            content = bytearray(whole)
            for place in random.choice([*range(150), *range(len(whole) - 1500, len(whole))], 3):
                content[place] = random.integers(256)
            path.write_bytes(content)
            with suppress(DataError):
                assert len(read(path).test) == 20


def test_folders_of_classes(tmp_path, lay):
    root = lay(
        tmp_path / "things", "train/cat/1.jpg", "train/cat/2.jpg", "train/dog/1.jpg", "val/cat/1.jpg", "val/dog/1.png"
    )
    found = class_folders(root, (6, 5))
    assert found.train.images.shape == (3, 6, 5, 3)
    assert (found.name, found.train.classes) == ("things", ("cat", "dog"))
    assert found.train.labels.tolist() == [0, 0, 1]
    assert found.test.images[1].max() == 4
    (root / "val/dog").rename(root / "val/cow")
    with pytest.raises(DataError, match="cow, dog: in one of train and val only"):
        class_folders(root, (6, 5))
    with pytest.raises(MissingDataError, match="train"):
        class_folders(root / "train", (6, 5))


def test_what_is_on_this_machine_is_found(own_settings, small_batches, binary, parquet):
    assert list(classification_sets_here()) == ["digits"]
    with pytest.raises(MissingDataError, match="cifar10-jpeg is not on this machine"):
        find_classification("cifar-10-jpeg")
    with pytest.raises(ConfigError, match="did you mean 'cifar-10'"):
        find_classification("cifar10")
    binary.rename(own_settings / binary.name)
    (own_settings / "cifar10_jpeg").mkdir()
    parquet[0].rename(own_settings / "cifar10_jpeg" / parquet[0].name)
    here = classification_sets_here()
    assert list(here) == list(classification.NAMES)
    assert [len(read(limit=(10, 10), seed=0).train) for read in here.values()] == [10, 10, 10]


@pytest.mark.real_data
def test_the_real_parquet_file(real):
    path = real("cifar10_jpeg") / "cifar10_jpeg.parquet"
    found = cifar10_jpeg(path, limit=(500, 100))
    assert np.bincount(found.train.labels).tolist() == [50] * 10
    assert found.train.classes == classification._CIFAR_CLASSES
    assert 100 < found.train.images.mean() < 140
