"""Checks: what passes comes back as it should be used, what does not is named with value and expectation."""

import math

import numpy as np
import pytest

from reidlab.checks import (
    check_boxes,
    check_choice,
    check_clusters,
    check_features,
    check_images,
    check_integer,
    check_labels,
    check_names,
    check_number,
    check_share,
    check_size,
    check_square,
    plural,
    suggest,
)
from reidlab.errors import ConfigError, DataError


def test_words_of_errors():
    assert suggest("markt", ["market", "mars"]) == "; did you mean 'market'?"
    assert suggest("MARKET", ["Market", "mars"]) == "; did you mean 'Market'?"
    assert suggest("x", ["market", "mars"]) == "; there is: market, mars"
    assert suggest("x", []) == "; there is none"
    assert suggest("x", range(20)).endswith("10, 11, ...")
    assert [plural(n, "identity") for n in (0, 1, 1184)] == ["0 identities", "1 identity", "1,184 identities"]
    assert [plural(n, "claim") for n in (1, 2)] == ["1 claim", "2 claims"]


def test_choices_and_names():
    check_choice("metric", "cosine", ("cosine", "euclidean"))
    check_names("WorldSpec", ["seed"], ["seed", "place"])
    with pytest.raises(DataError, match="metric: there is none called 'cosin'; did you mean 'cosine'"):
        check_choice("metric", "cosin", ("cosine", "euclidean"), DataError)
    with pytest.raises(ConfigError, match="sed: WorldSpec has no such parameter; did you mean 'seed'"):
        check_names("WorldSpec", ["place", "sed"], iter(["seed", "place"]))


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_integers_of_any_type_become_pythons(value):
    assert type(check_integer("k", value, 1, 3)) is int
    assert check_integer("k", value, None) == 3


@pytest.mark.parametrize("value", [0, 4, 2.0, "2", None, True, np.bool_(True), np.float32(2), [2]])
def test_what_is_no_integer_in_range_is_refused(value):
    with pytest.raises(ConfigError, match=r"^k: .* is not allowed; expected an integer in 1\.\.3, a length$"):
        check_integer("k", value, 1, 3, what="a length")


def test_the_range_of_an_integer_is_told():
    with pytest.raises(ConfigError, match=r"k: 0 is not allowed; expected an integer of at least 1$"):
        check_integer("k", 0, 1)
    with pytest.raises(ConfigError, match=r"k: 1\.5 is not allowed; expected an integer$"):
        check_integer("k", 1.5, None)


@pytest.mark.parametrize(
    ("value", "limits", "expected"),
    [
        (-0.1, {"least": 0, "most": 1}, r"a number in 0\.\.1"),
        (0, {"above": 0}, "a number > 0"),
        (1, {"least": 0.5, "below": 1}, r"a number >= 0\.5 and < 1"),
        (math.nan, {"least": 0}, "a number >= 0"),
        (math.inf, {"above": 1}, "a number > 1"),
        (True, {"least": 0}, "a number >= 0"),
        ("1", {"most": 2}, "a number <= 2"),
        (None, {}, "a number"),
    ],
)
def test_numbers_out_of_range_are_refused(value, limits, expected):
    with pytest.raises(ConfigError, match=rf"^rate: .* is not allowed; expected {expected}"):
        check_number("rate", value, **limits)


def test_numbers_and_shares_in_range_pass():
    assert check_number("rate", 1, 1, 1) == 1
    assert check_number("rate", np.float32(0.5), above=0, below=1) == 0.5
    assert [check_share("p", value) for value in (0, 0.5, 1)] == [0, 0.5, 1]
    with pytest.raises(ConfigError, match=r"p: 1.5 .* in 0\.\.1, of the pictures"):
        check_share("p", 1.5, what="of the pictures")


def test_sizes():
    assert check_size("size", [np.int64(64), 32]) == (64, 32)
    for size in ((64,), (64, 0), (64, 32, 3), 64, (64, 32.0), None, "64"):
        with pytest.raises(ConfigError, match=r"size: .* is not allowed; expected height and width in pixels"):
            check_size("size", size)


def test_images():
    images = np.zeros((2, 8, 4, 3), np.uint8)
    assert check_images("images", images, 2, (8, 4)) is images
    assert check_images("images", images) is images
    for wrong, count, size, wanted in (
        (images[0], None, None, r"\(N, H, W, 3\)"),
        (images.astype(float), None, None, r"float64 .* uint8 \(N, H, W, 3\)"),
        (images[..., :1], None, None, r"\(2, 8, 4, 1\), expected"),
        (images, 3, None, r"\(3, H, W, 3\)"),
        (images, 2, (4, 8), r"\(2, 4, 8, 3\)"),
    ):
        with pytest.raises(ConfigError, match=f"images: .*{wanted}"):
            check_images("images", wrong, count, size)


def test_features():
    features = np.arange(6.0).reshape(3, 2)
    found = check_features("features", features.T)
    assert (found.dtype, found.flags.c_contiguous) == (np.float32, True)
    np.testing.assert_array_equal(found, features.T)
    assert check_features("features", np.empty((0, 2)), least=0).shape == (0, 2)
    for wrong in (np.zeros(3), np.empty((0, 2)), np.empty((2, 0))):
        with pytest.raises(DataError, match=r"features: expected shape \(N, D\), N at least 1; got"):
            check_features("features", wrong)
    with pytest.raises(DataError, match=r"part: expected shape \(4, D\), a row per picture; got \(3, 2\)"):
        check_features("part", features, 4)
    for value in (np.nan, np.inf):
        with pytest.raises(DataError, match=r"features: row 1 holds a value that is not finite \(NaN or infinity\)$"):
            check_features("features", np.where(features == 3, value, features))
    long = np.where(features == 3, 1e20, features)
    assert len(check_features("features", long)) == 3
    with pytest.raises(DataError, match=r"row 1 .*, or too large"):
        check_features("features", long, longest=np.inf)


def test_labels_and_clusters():
    labels = [0, -1, 1]
    assert check_labels("pids", labels, 3).tolist() == labels
    assert check_clusters(np.array(labels, np.int8), 3).tolist() == labels
    assert len(check_clusters(np.empty(0, int), 0)) == 0
    for wrong in ([0, 1], [0.0, 1.0, 2.0], [[0, 1, 2]], [True, False, True]):
        with pytest.raises(DataError, match="pids: expected 3 whole numbers, one per tracklet; got"):
            check_labels("pids", wrong, 3, per="tracklet")
    with pytest.raises(DataError, match="labels: -2 is no cluster"):
        check_clusters([0, -2, 1], 3)
    for wrong in (np.zeros((2, 3)), np.zeros(4), np.zeros((0, 0))):
        with pytest.raises(DataError, match=r"s: expected \(N, N\); got shape"):
            check_square("s", wrong)
    assert check_square("s", np.zeros((2, 2))) is None


def test_boxes():
    boxes = np.tile(np.array([0, 8, 0, 4], np.int16), (2, 3, 1))
    found = check_boxes("masks", boxes, (2, 3), (8, 4), "clip {}, frame {}".format)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, boxes)
    for place, value in ((0, -1), (1, 9), (1, 0), (2, 4), (3, 5)):
        wrong = boxes.copy()
        wrong[1, 2, place] = value
        with pytest.raises(DataError, match=r"masks: clip 1, frame 2: box .* not inside the picture of 8 x 4 pixels"):
            check_boxes("masks", wrong, (2, 3), (8, 4), "clip {}, frame {}".format)
    for wrong in (boxes.astype(float), boxes[:1], boxes[..., :3], boxes.astype(bool)):
        with pytest.raises(ConfigError, match=r"masks: .* expected integers \(2, 3, 4\)"):
            check_boxes("masks", wrong, (2, 3), (8, 4), str)
