"""Detectors: true boxes against a plain walk through the scene, HOG on drawn people, ONNX files made byte by byte."""

import struct
import types

import cv2
import numpy as np
import pandas as pd
import pytest

from reidlab.data.images import read_picture
from reidlab.data.readers import MARKET1501, MARS
from reidlab.errors import ConfigError, DataError, MissingDataError
from reidlab.video import detectors as room
from reidlab.video.detectors import HOG, OnnxDetector, TrueBoxes
from reidlab.world import Scene, WorldSpec, export_market, export_mars
from reidlab.world.recording import beside
from tests.protobuf import field

SPEC = WorldSpec(
    train_people=3, test_people=5, distractors=1, cameras=2, visits=1, tracklet_frames=4, occluders=4, occupancy=4.0,
    ambiguous=0.5, nuisances={"drift": 0.3, "box_jitter": 0.1, "occlusion": 1.0, "crossing": 1.0},
)  # fmt: skip


@pytest.fixture(scope="module")
def scene():
    return Scene(SPEC)


@pytest.fixture(scope="module")
def world(scene, tmp_path_factory):
    """A small world in MARS's layout: folder, table of its pictures once each, and its truth by path."""
    root = export_mars(scene, tmp_path_factory.mktemp("world") / "mars", workers=1, quiet=True)
    table = MARS.read(root, "small")
    table = table[table.split != "query"].reset_index(drop=True)
    truth = pd.read_parquet(root / "truth.parquet").set_index("path")
    return root, table, truth.loc[[path.removeprefix(f"{root}/") for path in table.path]].reset_index()


def pictures_of(table):
    return [read_picture(path) for path in table.path]


def plain_window(x, y, w, h):
    """Windows are half as wide as high, hold most of the body's width, and have a margin of 6 %."""
    high = 1.06 * max(h, 0.85 * w * 2)
    return x + w / 2 - high / 4, y + h / 2 - high / 2, high / 2, high


def plain_boxes(scene, row, shape, min_visibility, min_inside):
    """What TrueBoxes should find, worked out person by person with the silhouettes of all before the camera."""
    actors = scene.actors(row.camid, row.frame)
    if row.other > 0:
        actors.append(beside(scene, row.visit, row.other, row.frame))
    renderer = scene.renderer(row.camid)
    found = []
    for tight, visible in zip(renderer.boxes(actors), renderer.visibility(actors)):
        left, top, wide, high = plain_window(*tight)
        x0, x1 = max(left, row.x), min(left + wide, row.x + row.w)
        y0, y1 = max(top, row.y), min(top + high, row.y + row.h)
        inside = max(0, x1 - x0) * max(0, y1 - y0) / (wide * high)
        if inside > 0 and inside >= min_inside and visible > 0 and visible >= min_visibility:
            sx, sy = shape[1] / row.w, shape[0] / row.h
            found.append(((x0 - row.x) * sx, (y0 - row.y) * sy, (x1 - x0) * sx, (y1 - y0) * sy, inside * visible))
    return np.array(sorted(found, key=lambda box: -box[4])).reshape(-1, 5)


@pytest.mark.parametrize(("min_visibility", "min_inside"), [(0.3, 0.3), (0.0, 0.6), (0.8, 0.0)])
def test_true_boxes_are_those_of_a_plain_walk_through_the_scene(scene, world, min_visibility, min_inside):
    root, table, truth = world
    assert (truth.other > 0).any()
    assert truth.drift.any()
    pictures = pictures_of(table)
    found = TrueBoxes(root, min_visibility=min_visibility, min_inside=min_inside)(pictures, table)
    expected = [
        plain_boxes(scene, row, p.shape, min_visibility, min_inside) for row, p in zip(truth.itertuples(), pictures)
    ]
    assert {len(boxes) for boxes in expected} >= {0, 1}
    for boxes, wanted in zip(found, expected):
        np.testing.assert_allclose(boxes, wanted, atol=1e-9)


def test_true_boxes_know_everybody_at_a_picture(scene, world):
    root, table, truth = world
    for people, row in zip(TrueBoxes(root).people(table), truth.itertuples()):
        assert people.window.tolist() == [row.x, row.y, row.w, row.h]
        actors = scene.actors(row.camid, row.frame)
        windows = [plain_window(*box) for box in scene.renderer(row.camid).boxes(actors)]
        seen = pd.DataFrame(windows, columns=["x", "y", "w", "h"]).assign(pid=[a.person.pid for a in actors])
        inside = (seen.x < row.x + row.w) & (seen.x + seen.w > row.x)
        inside &= (seen.y < row.y + row.h) & (seen.y + seen.h > row.y)
        assert {row.pid, *([row.other] if row.other > 0 else [])} <= set(people.pids.tolist())
        for person in seen[inside].itertuples():
            away = np.abs(people.boxes[people.pids == person.pid] - (person.x, person.y, person.w, person.h))
            assert away.max(axis=1).min() < 1e-9


def test_true_boxes_of_pictures_in_the_layout_of_market(scene, tmp_path):
    root = export_market(scene, tmp_path / "market", workers=1, quiet=True)
    table = MARKET1501.read(root, "small")
    table = table[table.pid > 0].reset_index(drop=True)
    found = TrueBoxes(root)(pictures_of(table), table)
    # Pictures of people whom the detector of the export found hold the person.
    assert np.mean([len(boxes) > 0 for boxes in found]) > 0.95


def test_misses_and_jitter_depend_on_picture_and_person_alone(world):
    root, table, _ = world
    pictures = pictures_of(table)
    whole = TrueBoxes(root)(pictures, table)
    spoilt = TrueBoxes(root, jitter=0.05, misses=0.3, seed=1)
    found = spoilt(pictures, table)
    order = np.random.default_rng(0).permutation(len(table))
    again = spoilt([pictures[i] for i in order], table.iloc[order])
    for place, boxes in zip(order, again):
        np.testing.assert_array_equal(boxes, found[place])
    count = sum(map(len, whole))
    assert 0.5 * count < sum(map(len, found)) < 0.9 * count
    for boxes, picture in zip(found, pictures):
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, :2] + boxes[:, 2:4] <= np.array(picture.shape[1::-1]) + 1e-9).all()
    other = TrueBoxes(root, jitter=0.05, misses=0.3, seed=2)(pictures, table)
    assert any(len(a) != len(b) or not np.array_equal(a, b) for a, b in zip(found, other))
    assert not any(len(boxes) for boxes in TrueBoxes(root, misses=1.0)(pictures, table))


def test_true_boxes_refuse_what_they_do_not_know(world, tmp_path):
    root, table, _ = world
    pictures = pictures_of(table.head(2))
    with pytest.raises(ConfigError, match="keys: none for 2 pictures"):
        TrueBoxes(root)(pictures)
    with pytest.raises(ConfigError, match="keys: 1 for 2 pictures"):
        TrueBoxes(root)(pictures, table.head(1))
    with pytest.raises(DataError, match=r"/elsewhere/a\.jpg: the truth in .* has no such picture"):
        TrueBoxes(root)(pictures[:1], table.head(1).assign(path="/elsewhere/a.jpg"))
    with pytest.raises(MissingDataError, match=r"there is no truth\.parquet"):
        TrueBoxes(tmp_path)
    for wrong in ({"min_visibility": 1.5}, {"min_inside": -0.5}, {"misses": -0.1}, {"jitter": -1.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            TrueBoxes(root, **wrong)


def test_an_export_of_other_code_is_not_believed(world, tmp_path):
    root, table, _ = world
    (tmp_path / "world.yml").write_text((root / "world.yml").read_text())
    truth = pd.read_parquet(root / "truth.parquet")
    truth.assign(true_x=truth.true_x + 1).to_parquet(tmp_path / "truth.parquet")
    moved = table.head(1).assign(path=lambda t: t.path.str.replace(str(root), str(tmp_path)))
    with pytest.raises(DataError, match=r"is not what world\.yml gives today.*export the world again"):
        TrueBoxes(tmp_path)(pictures_of(table.head(1)), moved)
    truth.drop(columns="true_x").to_parquet(tmp_path / "truth.parquet")
    with pytest.raises(DataError, match="no column 'true_x'"):
        TrueBoxes(tmp_path)


def overlap(a, b):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:4], b[:2] + b[2:4])
    both = np.prod(np.clip(high - low, 0, None))
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def test_hog_finds_people_in_drawn_pictures(scene, world):
    root, table, truth = world
    clear = truth[(truth.visibility > 0.9) & (truth.iou > 0.6) & (truth.fault == "")].index[:40]
    table = table.iloc[clear]
    pictures = pictures_of(table)
    true = TrueBoxes(root)(pictures, table)
    found = HOG()(pictures, table)
    hits = [any(overlap(a, b) > 0.5 for a in mine for b in theirs) for mine, theirs in zip(found, true) if len(theirs)]
    assert np.mean(hits) > 0.6
    for boxes, picture in zip(found, pictures):
        assert boxes.shape[1] == 5
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, :2] + boxes[:, 2:4] <= np.array(picture.shape[1::-1]) + 1e-9).all()
        assert (np.diff(boxes[:, 4]) <= 0).all()
        assert all(overlap(a, b) <= 0.4 + 0.02 for i, a in enumerate(boxes) for b in boxes[:i])


def test_hog_searches_a_picture_with_one_thread_whose_scores_are_its_windows(monkeypatch):
    seen = []

    def search(*_, **__):
        seen.append(cv2.getNumThreads())
        return np.empty((0, 4)), ()

    listed = types.SimpleNamespace(setSVMDetector=lambda _: None, detectMultiScale=search)
    monkeypatch.setattr(cv2, "HOGDescriptor", lambda: listed)
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        HOG()([np.zeros((160, 120, 3), np.uint8)] * 3)
        assert (seen, cv2.getNumThreads()) == ([1, 1, 1], 2)
    finally:
        cv2.setNumThreads(before)


def test_detectors_have_names(world, tmp_path):
    assert (TrueBoxes(world[0]).name, HOG().name) == ("truth", "hog")
    path = pointwise(tmp_path / "yolo-n.onnx", np.zeros((6, 3)), np.zeros(6), (8, 8))
    assert OnnxDetector(path, size=(8, 8), runtime="opencv").name == "yolo-n"


def test_hog_boxes_scale_with_the_picture(world):
    _, table, truth = world
    clear = truth[(truth.visibility > 0.9) & (truth.iou > 0.7) & (truth.fault == "")].index[0]
    picture = read_picture(table.path.iloc[clear])
    small, large = HOG()([picture, cv2.resize(picture, (128, 256), interpolation=cv2.INTER_NEAREST)])
    assert len(small)
    assert max(overlap(small[0] * [2, 2, 2, 2, 1], box) for box in large) > 0.7


@pytest.mark.parametrize("shape", [(128, 64, 3), (200, 9, 3), (9, 200, 3), (1, 1, 3)])
def test_hog_takes_pictures_of_any_shape_and_finds_nobody_in_grey(shape):
    assert [boxes.shape for boxes in HOG()([np.full(shape, 120, np.uint8)])] == [(0, 5)]


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"height": 100}, "height"),
        ({"padding": -0.1}, "padding"),
        ({"body": (0.0, 1.0)}, "body"),
        ({"overlap": 1.1}, "overlap"),
        ({"scale": 1.0}, "scale"),
        ({"least": -0.1}, "least"),
    ],
)
def test_hog_refuses_arguments_out_of_range(wrong, name):
    with pytest.raises(ConfigError, match=name):
        HOG(**wrong)


# An ONNX file is a protocol buffer; what follows writes the few fields that a small network needs.


def tensor(name, values):
    values = np.asarray(values)
    kind = 7 if values.dtype == np.int64 else 1
    data = values.astype("<i8" if kind == 7 else "<f4").tobytes()
    return b"".join(field(1, n) for n in values.shape) + field(2, kind) + field(8, name) + field(9, data)


def value_info(name, shape):
    dims = b"".join(field(1, field(1, n)) for n in shape)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, dims)))


def node(op, inputs, outputs, *attributes):
    body = b"".join(field(1, name) for name in inputs) + b"".join(field(2, name) for name in outputs)
    return body + field(3, outputs[0]) + field(4, op) + b"".join(field(5, a) for a in attributes)


def integers(name, values):
    return field(1, name) + b"".join(field(8, v) for v in values) + field(20, 7)


def write_onnx(path, nodes, tensors, inputs, outputs):
    graph = b"".join(field(1, n) for n in nodes) + field(2, "net") + b"".join(field(5, t) for t in tensors)
    graph += b"".join(field(11, value_info(*i)) for i in inputs) + b"".join(field(12, value_info(*o)) for o in outputs)
    model = field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13))
    path.write_bytes(model)
    return path


def pointwise(path, weight, bias, size, transpose=False):
    """Write a network that maps the colours of each pixel to a column (or row) of numbers: (1, K, P) or (1, P, K)."""
    k, places = len(weight), size[0] * size[1]
    nodes = [
        node("Conv", ["images", "weight", "bias"], ["map"], integers("kernel_shape", [1, 1])),
        node("Reshape", ["map", "shape"], ["columns"]),
    ]
    tensors = [
        tensor("weight", np.asarray(weight, np.float32).reshape(k, 3, 1, 1)), tensor("bias", np.float32(bias)),
        tensor("shape", np.array([1, k, places], np.int64)),
    ]  # fmt: skip
    shape = (1, places, k) if transpose else (1, k, places)
    if transpose:
        nodes.append(node("Transpose", ["columns"], ["rows"], integers("perm", [0, 2, 1])))
    out = "rows" if transpose else "columns"
    return write_onnx(path, nodes, tensors, [("images", (1, 3, *size))], [(out, shape)])


def picture_of(colours):
    """An 8 x 8 picture whose pixels are grey but for some."""
    picture = np.full((8, 8, 3), 0, np.uint8)
    for (y, x), colour in colours.items():
        picture[y, x] = colour
    return picture


def test_a_network_of_columns_reads_its_boxes_from_the_picture(tmp_path):
    # Middle (4, 4), width red / 32 and height green / 32, classes: nobody, blue / 255; nothing is scaled or padded.
    weight = [[0, 0, 0], [0, 0, 0], [1 / 32, 0, 0], [0, 1 / 32, 0], [0, 0, 0], [0, 0, 1 / 255]]
    path = pointwise(tmp_path / "net.onnx", weight, [4, 4, 0, 0, 0, 0], (8, 8))
    detector = OnnxDetector(path, size=(8, 8), person=1, padding=0.0, scale=1.0, least=0.3, runtime="opencv")
    picture = picture_of({(1, 2): (64, 128, 204), (5, 5): (255, 32, 102), (6, 6): (64, 120, 153)})
    [boxes] = detector([picture])
    # The last is nearly the first and less certain.
    np.testing.assert_allclose(boxes, [[3, 2, 2, 4, 0.8], [4 - 255 / 64, 3.5, 255 / 32, 1, 0.4]], atol=1e-5)


def test_a_network_of_rows_multiplies_objectness(tmp_path):
    weight = [[0, 0, 0]] * 2 + [[1 / 32, 0, 0], [0, 1 / 32, 0], [0, 0, 1 / 255], [0, 0, 0], [0, 0, 0]]
    path = pointwise(tmp_path / "net.onnx", weight, [4, 4, 0, 0, 0, 0.5, 0.1], (8, 8), transpose=True)
    picture = picture_of({(1, 2): (64, 128, 204)})
    [boxes] = OnnxDetector(path, size=(8, 8), padding=0.0, scale=1.0, least=0.3, runtime="opencv")([picture])
    np.testing.assert_allclose(boxes, [[3, 2, 2, 4, 0.4]], atol=1e-5)


def with_output(monkeypatch, tmp_path, *outputs, **options):
    """A detector whose network answers the same to everything; what it was asked is kept in its list ``asked``."""
    path = tmp_path / "net.onnx"
    path.write_bytes(b"")
    asked = []

    def network(path, runtime):
        return lambda blob: asked.append(blob) or [np.asarray(output, np.float32) for output in outputs]

    monkeypatch.setattr(room, "_network", network)
    detector = OnnxDetector(path, **options)
    detector.asked = asked
    return detector


def test_pictures_are_letterboxed_and_boxes_come_back(monkeypatch, tmp_path):
    # 40 x 20 in 100 x 200 with a margin of a tenth: 80 x 40 pixels, twice as large, at top 10 and left 80.
    corners = [[80, 10, 120, 90, 0.9, 0], [90, 20, 100, 60, 0.8, 0], [0, 0, 200, 100, 0.7, 0], [80, 10, 90, 20, 0.6, 2]]
    detector = with_output(monkeypatch, tmp_path, corners, size=(100, 200))
    picture = np.full((40, 20, 3), (10, 20, 30), np.uint8)
    [boxes] = detector([picture])
    expected = [[0, 0, 20, 40, 0.9], [5, 5, 5, 20, 0.8], [0, 0, 20, 40, 0.7]]
    np.testing.assert_allclose(boxes, expected, atol=1e-5)
    [blob] = detector.asked
    assert blob.shape == (1, 3, 100, 200)
    assert blob.dtype == np.float32
    inside = np.zeros((100, 200), bool)
    inside[10:90, 80:120] = True
    np.testing.assert_allclose(blob[0][:, inside].T, np.broadcast_to([10, 20, 30], (3200, 3)) / 255, rtol=1e-6)
    np.testing.assert_allclose(blob[0][:, ~inside], 114 / 255, rtol=1e-6)


def test_corners_may_come_in_a_batch_of_one_and_keep_overlaps(monkeypatch, tmp_path):
    corners = [[[0, 0, 10, 10, 0.5, 0], [0, 0, 10, 9, 0.9, 0]]]
    [boxes] = with_output(monkeypatch, tmp_path, corners, size=(10, 10), padding=0.0)([np.zeros((10, 10, 3), np.uint8)])
    np.testing.assert_allclose(boxes, [[0, 0, 10, 9, 0.9], [0, 0, 10, 10, 0.5]], atol=1e-6)


def test_shares_of_the_input_with_class_scores_apart(monkeypatch, tmp_path):
    corners = np.array([[0.1, 0.2, 0.5, 0.8], [0.1, 0.2, 0.5, 0.79], [0.6, 0.0, 1.0, 1.0]])[None, :, None]
    scores = np.array([[0.1, 0.9], [0.2, 0.7], [0.9, 0.1]])[None]
    for outputs in ((corners, scores), (scores, corners)):
        detector = with_output(monkeypatch, tmp_path, *outputs, size=(10, 20), padding=0.0, person=1)
        [boxes] = detector([np.zeros((10, 20, 3), np.uint8)])
        np.testing.assert_allclose(boxes, [[2, 2, 8, 6, 0.9]], atol=1e-5)


@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        (np.zeros((1, 4, 20)), {}, r"puts out \(1, 4, 20\), expected classes"),
        (np.zeros((5, 5)), {}, r"puts out \(5, 5\), expected objectness"),
        (np.zeros((1, 2, 3, 4)), {}, r"puts out \(1, 2, 3, 4\), expected objectness: .* shares"),
        (np.zeros((1, 7, 20)), {"person": 3}, "person = 3, but the network knows 3 classes"),
        (np.full((1, 6, 20), np.nan), {}, "not finite"),
        (np.zeros((3, 6)), {"layout": "shares"}, "expected shares"),
    ],
)
def test_other_outputs_are_refused_by_the_name_of_the_file(monkeypatch, tmp_path, output, options, message):
    detector = with_output(monkeypatch, tmp_path, output, size=(8, 8), **options)
    with pytest.raises(DataError, match=rf"net\.onnx: .*{message}"):
        detector([np.zeros((8, 8, 3), np.uint8)])


def test_a_file_that_is_no_network_and_arguments_out_of_range(tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    with pytest.raises(MissingDataError, match=r"net\.onnx: there is no such file"):
        OnnxDetector(path)
    path.write_bytes(b"no network")
    with pytest.raises(DataError, match=r"net\.onnx: OpenCV cannot read it.*pip install onnxruntime"):
        OnnxDetector(path, runtime="opencv")
    for wrong, message in [
        ({"layout": "clases"}, "did you mean 'classes'"),
        ({"runtime": "tensorrt"}, "runtime: there is none called 'tensorrt'"),
        ({"person": -1}, "person"),
        ({"size": (0, 5)}, "size"),
        ({"least": 2}, "least"),
        ({"padding": 0.6}, "padding"),
    ]:
        with pytest.raises(ConfigError, match=message):
            OnnxDetector(path, **wrong)
    monkeypatch.setattr(room.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="onnxruntime is not installed; pip install onnxruntime"):
        OnnxDetector(path, runtime="onnxruntime")


def test_a_network_that_wants_another_input_is_refused(tmp_path):
    path = pointwise(tmp_path / "net.onnx", np.zeros((6, 3)), np.zeros(6), (8, 8))
    with pytest.raises(DataError, match=r"net\.onnx: OpenCV cannot run it on an input of \(1, 3, 16, 16\)"):
        OnnxDetector(path, size=(16, 16), runtime="opencv")([np.zeros((8, 8, 3), np.uint8)])


def test_both_runtimes_find_the_same(tmp_path):
    pytest.importorskip("onnxruntime")
    random = np.random.default_rng(0)
    path = pointwise(tmp_path / "net.onnx", random.random((6, 3)), [1, 1, 1, 1, 0, 0], (8, 8))
    pictures = random.integers(0, 256, (3, 12, 6, 3), dtype=np.uint8)
    found = [OnnxDetector(path, size=(8, 8), runtime=name)(pictures) for name in room.RUNTIMES]
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_onnxruntime_is_taken_where_it_is_installed(monkeypatch, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(struct.pack("<i", 7))

    class Session:
        def __init__(self, file, providers):
            assert file == str(path)
            assert providers == ["CPUExecutionProvider"]

        def get_inputs(self):
            return [types.SimpleNamespace(name="images")]

        def run(self, names, feeds):
            assert feeds["images"].shape == (1, 3, 8, 8)
            return [np.array([[0, 0, 4, 8, 0.9, 0]])]

    monkeypatch.setattr(room.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", types.SimpleNamespace(InferenceSession=Session))
    [boxes] = OnnxDetector(path, size=(8, 8), padding=0.0)([np.zeros((8, 8, 3), np.uint8)])
    np.testing.assert_allclose(boxes, [[0, 0, 4, 8, 0.9]])
