"""Re-Detect and Link: Eq. 2.2 by hand, pixels of what is cut out, folders read back, quality by plain loops."""

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from reidlab.data import make_table
from reidlab.data.decoded import from_table
from reidlab.data.images import read_picture
from reidlab.data.readers import MARS
from reidlab.data.readers.mars import cleaned_labels, dl_boxes, dl_masks
from reidlab.errors import ConfigError, DataError, MissingDataError, StorageError
from reidlab.models import ReIDNet, resnet
from reidlab.training.determinism import seeded
from reidlab.video import redetect as room
from reidlab.video.detectors import TrueBoxes
from reidlab.video.redetect import (
    FILL,
    NOTHING_FOUND,
    Linked,
    RedetectLink,
    feature_drift,
    ide_embedder,
    link,
    quality,
    redetect_set,
    redetect_table,
)
from reidlab.world import Scene, WorldSpec, export_mars

SIZE = (40, 20)


class Told:
    """A detector that is told what to find: by the file's name, else nothing."""

    name = "told"

    def __init__(self, boxes):
        self.boxes = boxes

    def __call__(self, pictures, keys=None):
        found = [self.boxes.get(os.path.basename(path), []) for path in keys.path]
        return [np.array(boxes, dtype=float).reshape(-1, 5) for boxes in found]


def mean_colour(pictures):
    return pictures.reshape(len(pictures), -1, 3).mean(axis=1)


def written(folder, pictures, **columns):
    """Write pictures without loss and return their sample table; by default one tracklet of the gallery."""
    for name, picture in pictures.items():
        Image.fromarray(picture).save(folder / name)
    columns = {"pid": 1, "camid": 1, "split": "gallery", "tracklet": 1, "frame": range(len(pictures)), **columns}
    return make_table("made up", path=[str(folder / name) for name in pictures], **columns)


def noise(seed, shape=(40, 20)):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def linker(boxes, embed=mean_colour, size=SIZE, **options):
    return RedetectLink(Told(boxes), embed, size=size, **options)


# Eq. 2.2


def test_the_global_feature_follows_by_hand():
    areas = [np.array([5, 8]), np.array([3]), np.array([9, 1]), np.array([4, 4])]
    features = [
        np.array([[9.0, 9], [0, 0]]),
        np.array([[4.0, 0]]),
        np.array([[3.0, 0], [0, 0]]),
        np.array([[2, 0], [1, 0]]),
    ]
    # First: the larger, f = (0, 0). Second: the only one, f = 0.5 (0, 0) + 0.5 (4, 0) = (2, 0).
    # Third: (3, 0) at 1, (0, 0) at 2: the first, f = (2.5, 0). Fourth: (2, 0) at 0.5, (1, 0) at 1.5.
    choices, distances = link(areas, features, alpha=0.5)
    assert choices.tolist() == [1, 0, 0, 0]
    np.testing.assert_allclose(distances, [np.nan, 4, 1, 0.5])


def test_pictures_without_candidates_leave_the_global_feature_alone():
    nobody, none = np.empty(0), np.empty((0, 1))
    areas = [nobody, np.array([1, 2]), nobody, np.array([7, 7])]
    features = [none, np.array([[5.0], [0.0]]), none, np.array([[3.0], [-2.0]])]
    choices, distances = link(areas, features)
    assert choices.tolist() == [-1, 1, -1, 1]
    np.testing.assert_allclose(distances, [np.nan, np.nan, np.nan, 2])


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.9, 1.0])
def test_linking_is_that_of_a_plain_loop(alpha):
    random = np.random.default_rng(int(10 * alpha))
    counts = random.integers(0, 4, 30)
    areas = [random.random(n) for n in counts]
    features = [random.normal(size=(n, 3)) for n in counts]
    expected, past = [], None
    for area, feature in zip(areas, features):
        best = -1
        for j in range(len(area)):
            if past is None:
                better = best < 0 or area[j] > area[best]
            else:
                better = best < 0 or ((feature[j] - past) ** 2).sum() < ((feature[best] - past) ** 2).sum()
            best = j if better else best
        expected.append(best)
        if best >= 0:
            past = feature[best] if past is None else alpha * past + (1 - alpha) * feature[best]
    assert link(areas, features, alpha)[0].tolist() == expected


def test_tracklets_start_with_the_largest_box_and_follow_its_look(tmp_path):
    red, green = (250, 10, 10), (10, 250, 10)

    def two(left, right):
        picture = np.zeros((40, 20, 3), np.uint8)
        picture[:, :10], picture[:, 10:] = left, right
        return picture

    pictures = {"a.png": two(red, green), "b.png": two(green, red), "c.png": two(red, green)}
    # In the first picture green is larger; later red is.
    small, large = [1, 10, 7, 20, 0.9], [11, 5, 8, 30, 0.5]
    boxes = {"a.png": [small, large], "b.png": [[1, 10, 7, 20, 0.9], large], "c.png": [[0, 0, 9, 40, 0.9], large]}
    linked = linker(boxes)(written(tmp_path, pictures))
    assert linked.report.x.tolist() == [11, 1, 11]
    assert linked.report.score.tolist() == [0.5, 0.9, 0.5]
    assert linked.report.candidates.tolist() == [2, 2, 2]
    for picture, (y0, y1, x0, x1) in zip(linked.pictures, linked.masks):
        assert (picture[y0:y1, x0:x1] == green).all()


def test_features_are_those_of_the_pictures_that_come_out(tmp_path):
    pictures = {"a.png": noise(0), "b.png": noise(1)}
    asked = []

    def embed(pictures):
        asked.append(pictures.copy())
        return mean_colour(pictures)

    boxes = {"a.png": [[0, 0, 20, 40, 1]], "b.png": [[0, 0, 10, 40, 1], [5, 5, 10, 20, 1]]}
    linked = linker(boxes, embed)(written(tmp_path, pictures))
    [seen] = asked
    assert seen.shape == (3, *SIZE, 3)
    np.testing.assert_array_equal(seen[0], linked.pictures[0])
    chosen = 1 + int(linked.report.x[1] == 5)
    np.testing.assert_array_equal(seen[chosen], linked.pictures[1])
    away = np.linalg.norm(mean_colour(seen)[1:] - mean_colour(seen)[0], axis=1)
    assert linked.report.distance[1] == pytest.approx(away.min())
    assert away.argmin() == chosen - 1


def test_nothing_is_embedded_where_there_is_nothing_to_choose(tmp_path):
    def embed(pictures):
        raise AssertionError("asked for features")

    boxes = {"a.png": [[0, 0, 10, 40, 1], [5, 5, 10, 20, 1]], "b.png": [[0, 0, 20, 40, 1]]}
    table = written(tmp_path, {"a.png": noise(0), "b.png": noise(1)})
    linked = linker(boxes, embed)(table)
    assert linked.report.w.tolist() == [10, 20]
    assert linked.report.distance.isna().all()


def test_tracklets_of_all_splits_are_linked_apart_and_in_the_order_of_frames(tmp_path, monkeypatch):
    random = np.random.default_rng(3)
    pictures = {f"{i:02d}.png": noise(i) for i in range(24)}
    columns = {
        "tracklet": np.repeat([3, 7, 3, 9], 6), "split": ["train"] * 12 + ["gallery"] * 12,
        "frame": np.tile(np.arange(6), 4), "pid": np.repeat([1, 2, 5, 6], 6),
    }  # fmt: skip
    table = written(tmp_path, pictures, **columns)
    boxes = {
        name: [[*random.integers(0, 8, 2), *random.integers(4, 12, 2), 1] for _ in range(random.integers(0, 4))]
        for name in pictures
    }
    whole = linker(boxes)(table)
    one_by_one = []
    for start in range(0, 24, 6):
        one_by_one.append(linker(boxes)(table.iloc[start : start + 6]))
    np.testing.assert_array_equal(whole.pictures, np.concatenate([one.pictures for one in one_by_one]))
    np.testing.assert_array_equal(whole.masks, np.concatenate([one.masks for one in one_by_one]))
    assert whole.report.row.tolist() == list(range(24))
    order = random.permutation(24)
    shuffled = linker(boxes)(table.iloc[order])
    np.testing.assert_array_equal(shuffled.pictures, whole.pictures[order])
    monkeypatch.setattr(room, "_PART", 5)
    in_parts = linker(boxes)(table)
    np.testing.assert_array_equal(in_parts.pictures, whole.pictures)
    pd.testing.assert_frame_equal(in_parts.report, whole.report)
    assert len(list(linker(boxes).parts(table))) == 4


# Cutting out


def test_a_candidate_that_is_the_whole_picture_changes_nothing(tmp_path):
    table = written(tmp_path, {"a.png": noise(0), "b.png": noise(1)})
    whole = [[0, 0, 20, 40, 1]]
    linked = linker({"a.png": whole, "b.png": whole})(table)
    np.testing.assert_array_equal(linked.pictures, [noise(0), noise(1)])
    assert linked.masks.tolist() == [[0, 40, 0, 20]] * 2


def test_boxes_are_enlarged_with_their_aspect_and_padded(tmp_path):
    picture = np.zeros((40, 20, 3), np.uint8)
    picture[9:21, 5:11] = (200, 100, 50)
    table = written(tmp_path, {"a.png": picture})
    # 4 x 10 pixels are 16 x 40 when as tall as the picture: two columns of padding on each side.
    linked = linker({"a.png": [[6, 10, 4, 10, 0.7]]})(table)
    expected = np.empty((40, 20, 3), np.uint8)
    expected[:] = FILL
    expected[:, 2:18] = (200, 100, 50)
    np.testing.assert_array_equal(linked.pictures[0], expected)
    assert linked.masks.tolist() == [[0, 40, 2, 18]]
    assert linked.masks.dtype == np.int64
    # A wide box has its padding above and below.
    linked = linker({"a.png": [[3, 10, 10, 10, 0.7]]}, fill=(0, 0, 255))(table)
    assert linked.masks.tolist() == [[10, 30, 0, 20]]
    assert (linked.pictures[0][:10] == (0, 0, 255)).all()
    assert (linked.pictures[0][30:] == (0, 0, 255)).all()
    assert (linked.pictures[0][10:30, 5:15] == (200, 100, 50)).all()


def test_the_aspect_stays_to_the_pixel():
    random = np.random.default_rng(0)
    made = linker({}, size=(128, 64))
    for _ in range(300):
        w, h = np.exp(random.uniform(np.log(2), np.log(200), 2))
        (y0, y1, x0, x1), _ = made.place(np.array([150.0, 7.0, w, h]), 400)
        assert 0 <= y0 < y1 <= 128
        assert 0 <= x0 < x1 <= 64
        zoom = min(128 / h, 64 / w)
        assert abs((y1 - y0) - h * zoom) <= 1
        assert abs((x1 - x0) - w * zoom) <= 1
        assert abs((64 - x1) - x0) <= 1
        assert abs((128 - y1) - y0) <= 1


def slim_picture(columns):
    picture = np.zeros((40, 20, 3), np.uint8)
    picture[:, columns] = (0, 200, 0)
    return picture


@pytest.mark.parametrize(
    ("x", "shift", "columns"),
    [(0, "right", slice(12, 17)), (15, "left", slice(3, 8)), (7, "", slice(7, 12)), (1, "", slice(7, 12))],
)
def test_slim_boxes_at_an_edge_are_shifted_away_from_it(tmp_path, x, shift, columns):
    # 5 x 40 pixels: a whole body, three times as high as wide, would reach from column 3 to 17 (40 / 3 = 13 wide).
    table = written(tmp_path, {"a.png": slim_picture(slice(x, x + 5))})
    linked = linker({"a.png": [[x, 0, 5, 40, 1]]}, slim=4.0, body=3.0)(table)
    np.testing.assert_array_equal(
        (linked.pictures[0] == (0, 200, 0)).all(axis=(0, 2)), slim_picture(columns)[0, :, 1] > 0
    )
    assert linked.masks.tolist() == [[0, 40, columns.start, columns.stop]]
    assert linked.report["shift"].tolist() == [shift]
    outside = np.ones(20, bool)
    outside[columns] = False
    assert (linked.pictures[0][:, outside] == FILL).all()


def test_slim_windows_go_all_the_way_to_the_side():
    made = linker({}, size=(40, 20))
    assert made.place(np.array([0.0, 0, 15, 40]), 40) == ((0, 40, 5, 20), "right")
    assert made.place(np.array([25.0, 0, 15, 40]), 40) == ((0, 40, 0, 15), "left")
    assert made.place(np.array([0.0, 0, 17, 40]), 40) == ((0, 40, 1, 18), "")


def test_boxes_at_both_edges_or_not_slim_stay_in_the_middle():
    made = linker({}, size=(40, 20), slim=4.0, body=3.0)
    assert made.place(np.array([0.0, 0, 8, 100]), 8)[1] == ""
    assert made.place(np.array([0.0, 0, 10, 40]), 20) == ((0, 40, 5, 15), "")
    assert made.place(np.array([0.0, 0, 9, 40]), 20)[1] == "right"
    wide = linker({}, size=(40, 20), slim=4.0, body=0.5)
    assert wide.place(np.array([0.0, 0, 9, 40]), 20) == ((0, 40, 11, 20), "right")
    assert wide.place(np.array([11.0, 0, 9, 40]), 20) == ((0, 40, 0, 9), "left")
    at = linker({}, size=(40, 20), edge=0.1)
    assert [at.place(np.array([x, 0, 5, 40]), 20)[1] for x in (1.9, 2.1, 12.9, 13.1)] == ["right", "", "", "left"]


def test_a_picture_with_nobody_is_kept_as_it_was(tmp_path):
    table = written(tmp_path, {"a.png": noise(0, (30, 30)), "b.png": noise(1)})
    linked = linker({"b.png": [[2, 2, 10, 20, 1]]})(table)
    np.testing.assert_array_equal(linked.pictures[0], read_picture(tmp_path / "a.png", SIZE))
    assert linked.masks[0].tolist() == [0, 40, 0, 20]
    first, second = linked.report.to_dict("records")
    assert first["note"] == NOTHING_FOUND
    assert first["candidates"] == 0
    assert np.isnan([first[name] for name in "xywh"] + [first["score"]]).all()
    assert second["note"] == ""
    assert (second["height"], second["width"]) == (40, 20)


def test_a_row_with_a_box_is_that_window_of_its_file(tmp_path):
    picture = noise(0, (50, 30))
    table = written(tmp_path, {"a.png": picture}, x=[4.0], y=[8.0], w=[20.0], h=[40.0])
    linked = linker({"a.png": [[0, 0, 20, 40, 1]]})(table)
    np.testing.assert_array_equal(linked.pictures[0], picture[8:48, 4:24])
    with pytest.raises(DataError, match=r"a\.png: box .* holds no pixel"):
        linker({})(table.assign(x=100.0))


# What is refused


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (np.zeros((2, 4)), r"shape \(2, 4\), expected \(n, 5\)"),
        (np.zeros(5), r"shape \(5,\)"),
        (np.array([[1, 1, np.nan, 5, 1]]), "must be finite"),
        (np.array([[1, 1, 5, 5, np.inf]]), "must be finite"),
        (np.array([[1, 1, 0, 5, 1]]), "width and height must be positive"),
        (np.array([[1, 1, 5, 5, 1], [30, 0, 5, 5, 1]]), r"\[30\.0, .*outside the picture of 20 x 40"),
    ],
)
def test_what_a_detector_may_not_answer_is_named_with_the_picture(tmp_path, boxes, message):
    table = written(tmp_path, {"a.png": noise(0), "b.png": noise(1)})

    def detector(pictures, keys=None):
        return [np.empty((0, 5)), boxes]

    with pytest.raises(DataError, match=rf"b\.png: .*{message}"):
        RedetectLink(detector, mean_colour, size=SIZE)(table)


def test_boxes_that_reach_over_the_edge_are_cut(tmp_path):
    table = written(tmp_path, {"a.png": noise(0)})
    linked = linker({"a.png": [[-5, -5, 30, 50, 1]]})(table)
    np.testing.assert_array_equal(linked.pictures[0], noise(0))
    assert linked.report[["x", "y", "w", "h"]].to_numpy().tolist() == [[0, 0, 20, 40]]


def test_detectors_and_features_of_another_number_are_refused(tmp_path):
    table = written(tmp_path, {"a.png": noise(0), "b.png": noise(1)})
    with pytest.raises(DataError, match=r"answered 1 times for 2 pictures from .*a\.png on"):
        RedetectLink(lambda pictures, keys=None: [np.empty((0, 5))], mean_colour, size=SIZE)(table)
    several = {"a.png": [[0, 0, 20, 40, 1]], "b.png": [[0, 0, 10, 40, 1], [5, 5, 10, 20, 1]]}
    with pytest.raises(DataError, match=r"embed: it returned shape \(2, 3\) for 3 pictures"):
        linker(several, lambda pictures: mean_colour(pictures)[:2])(table)
    with pytest.raises(DataError, match=r"b\.png: the feature of a candidate holds values that are not finite"):
        linker(several, lambda pictures: np.array([[0.0], [1.0], [np.nan]]))(table)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"alpha": 1.1}, "alpha"),
        ({"body": 5.0}, "body: 5.0 .* > 0 and <= 2.5, at most slim"),
        ({"edge": 0.5}, "edge"),
        ({"size": (0, 5)}, "size"),
        ({"size": (2.5, 5)}, "size"),
        ({"fill": (0, 300, 0)}, "fill"),
    ],
)
def test_arguments_out_of_range_are_refused(wrong, name):
    with pytest.raises(ConfigError, match=name):
        linker({}, **wrong)


def test_an_empty_table_and_rows_without_tracklet_are_refused(tmp_path):
    table = written(tmp_path, {"a.png": noise(0)})
    with pytest.raises(DataError, match="it has no rows"):
        linker({})(table.iloc[:0])
    with pytest.raises(DataError, match="have no tracklet"):
        linker({})(table.assign(tracklet=-1))


def test_many_pictures_lie_in_a_nameless_file(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(room, "_LARGE", 1000)
    table = written(tmp_path, {"a.png": noise(0), "b.png": noise(1)})
    linked = linker({})(table)
    assert isinstance(linked.pictures, np.memmap)
    np.testing.assert_array_equal(linked.pictures, [noise(0), noise(1)])
    assert list((tmp_path / "cache").iterdir()) == []


# The linking network


@pytest.fixture(scope="module")
def network():
    with seeded(0):
        return ReIDNet(resnet(18, width=4, blocks=(1, 1, 1, 1)), 5)


def test_the_embedder_gives_the_network_s_features_whatever_the_batch(network):
    import torch

    from reidlab.data import normalize
    from reidlab.models import evaluating

    pictures = np.stack([noise(i, (64, 32)) for i in range(5)])
    found = ide_embedder(network, (64, 32), batch_size=2)(pictures)
    with evaluating(network), torch.inference_mode():
        expected = network(normalize(torch.from_numpy(pictures))).embedding.numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert network.training


def test_the_embedder_brings_pictures_to_its_size(network):
    picture = noise(0, (128, 64))
    small = np.array(Image.fromarray(picture).resize((32, 64), Image.Resampling.BILINEAR))
    embed = ide_embedder(network, (64, 32))
    np.testing.assert_array_equal(embed(picture[None]), embed(small[None]))


# Folders and worlds


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    spec = WorldSpec(
        seed=5, train_people=2, test_people=4, distractors=1, cameras=2, visits=1, tracklet_frames=4, occupancy=3.0,
        junk=0.5, ambiguous=0.25, buried=0.1, nuisances={"drift": 0.3, "box_jitter": 0.1, "crossing": 1.0},
    )  # fmt: skip
    root = export_mars(Scene(spec), tmp_path_factory.mktemp("world") / "mars", workers=1, quiet=True)
    return root, MARS.read(root, "small")


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    root, table = world
    out = tmp_path_factory.mktemp("out") / "linked"
    true = RedetectLink(TrueBoxes(root), mean_colour, size=(64, 32))
    assert redetect_table(table, out, true, root=root, quiet=True) == out
    return out, true


def test_a_written_folder_reads_back_as_the_same_tracklets(world, made):
    root, table = world
    out, true = made
    again = MARS.read(out, "small")
    assert again.assign(path=again.path.str.replace(str(out), str(root))).equals(table)
    linked = true(table, quiet=True)
    np.testing.assert_array_equal(dl_masks(again, out), linked.masks)
    assert len(dl_boxes(out, "train")) == (table.split == "train").sum()
    for path, picture in zip(again.path, linked.pictures):
        assert np.abs(read_picture(path).astype(int) - picture).mean() < 6  # JPEG
    pd.testing.assert_frame_equal(cleaned_labels(out), cleaned_labels(root))
    report = pd.read_csv(out / "redetect.csv", keep_default_na=False, na_values=[""])
    assert set(report.path) == {path.removeprefix(f"{out}/") for path in again.path}
    assert report.candidates.sum() == linked.report.candidates[table.split != "query"].sum()


def test_other_names_become_those_of_mars(tmp_path):
    names = [f"x{i}.png" for i in range(7)]
    table = written(
        tmp_path, {name: noise(i) for i, name in enumerate(names)}, pid=[5, 5, 5, 5, -1, 7, 7],
        camid=[2, 2, 2, 2, 1, 3, 3], tracklet=[4, 4, 9, 9, 2, 6, 6], frame=[30, 10, 1, 2, 5, 1, 2],
        split=["train"] * 4 + ["gallery"] * 3,
    )  # fmt: skip
    query = table[table.pid == 7].assign(split="query")
    table = pd.concat([table, query], ignore_index=True)
    out = redetect_table(table, tmp_path / "out", linker({}), quiet=True)
    again = MARS.read(out)
    train = ["0005C2T0001F001.jpg", "0005C2T0001F002.jpg", "0005C2T0002F001.jpg", "0005C2T0002F002.jpg"]
    test = ["00-1C1T0001F001.jpg", "0007C3T0001F001.jpg", "0007C3T0001F002.jpg"]
    assert [os.path.basename(path) for path in again.path] == train + test[1:] + test
    assert again.split.tolist() == ["train"] * 4 + ["query"] * 2 + ["gallery"] * 3
    # Frame 10 comes before frame 30.
    first = read_picture(again.path[0]).astype(int)
    assert np.abs(first - noise(1)).mean() < np.abs(first - noise(0)).mean()
    assert not (out / "info/clean_tracks_test_info.mat").exists()


def test_a_missing_picture_is_named_and_nothing_is_written(tmp_path):
    pictures = {f"{i}.png": noise(i) for i in range(4)}
    table = written(tmp_path, pictures, tracklet=[1, 1, 2, 2], split=["train"] * 2 + ["gallery"] * 2)
    (tmp_path / "3.png").unlink()
    home = tmp_path / "home"
    home.mkdir()
    with pytest.raises(DataError, match=r"3\.png \(there is no such file\)"):
        redetect_table(table, home / "out", linker({}), quiet=True)
    assert list(home.iterdir()) == []


def test_folders_that_cannot_be_written_are_refused(tmp_path):
    pictures = {f"{i}.png": noise(i) for i in range(4)}
    table = written(tmp_path, pictures, tracklet=[1, 1, 2, 2], split=["train"] * 2 + ["gallery"] * 2)
    with pytest.raises(StorageError, match="exists already"):
        redetect_table(table, tmp_path, linker({}), quiet=True)
    with pytest.raises(DataError, match="split 'gallery' has no rows"):
        redetect_table(table.head(2), tmp_path / "out", linker({}), quiet=True)
    with pytest.raises(DataError, match=r"identity 10000, camera 1 and track 1 do not fit MARS's names"):
        redetect_table(table.assign(pid=10000), tmp_path / "out", linker({}), quiet=True)
    query = table.tail(2).assign(split="query", tracklet=5)
    with pytest.raises(DataError, match=r"query tracklet 5 .*: the gallery has no such tracklet"):
        redetect_table(pd.concat([table, query]), tmp_path / "out", linker({}), quiet=True)
    assert not (tmp_path / "out").exists()


def test_what_was_linked_before_is_written_the_same(world, made, tmp_path):
    root, table = world
    out, true = made
    linked = true(table, quiet=True)
    again = redetect_table(table, tmp_path / "again", linked, root=root)
    files = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    for file in files:
        assert (again / file).read_bytes() == (out / file).read_bytes()
    with pytest.raises(DataError, match="pass the table that was linked"):
        redetect_table(table.head(3), tmp_path / "other", linked)


def test_pictures_that_are_decoded_already_are_not_read(tmp_path):
    pictures = [noise(0), noise(1, (30, 30))]
    boxes = {"a.png": [[2, 3, 9, 20, 1]], "b.png": [[0, 4, 10, 22, 1]]}
    table = written(tmp_path, {"a.png": pictures[0], "b.png": pictures[1]})
    linked = linker(boxes)(table)
    elsewhere = table.assign(path=table.path.str.replace("/a.png", "/gone/a.png").str.replace("/b.png", "/gone/b.png"))
    np.testing.assert_array_equal(linker(boxes)(elsewhere, pictures=pictures).pictures, linked.pictures)
    with pytest.raises(ConfigError, match="pictures: 1 for 2 rows"):
        linker(boxes)(table, pictures=pictures[:1])


def test_a_decoded_set_gets_new_pictures_and_masks(world):
    root, table = world
    data = from_table(table, (64, 32), root=root)
    true = RedetectLink(TrueBoxes(root), mean_colour, size=(64, 32))
    after, linked = redetect_set(data, true)
    assert after.root == root
    assert linked.pictures is after.gallery.images
    for name in ("train", "query", "gallery"):
        part = getattr(after, name)
        assert part.table.equals(getattr(data, name).table)
        alone = true(part.table, quiet=True)
        np.testing.assert_array_equal(part.images, alone.pictures)
        np.testing.assert_array_equal(part.masks, alone.masks)


def plain_iou(a, b):
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(w, 0) * max(h, 0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def test_quality_is_that_of_plain_loops(world):
    root, table = world
    table = table[table.split == "gallery"].reset_index(drop=True)
    true = TrueBoxes(root)
    linked = RedetectLink(true, mean_colour, size=(64, 32))(table, quiet=True)
    found = quality(table, linked, root)
    truth = true.truth(table)
    assert found.tracklet.equals(table.tracklet)
    assert {"junk", "ambiguous", ""} <= set(truth.fault)
    pictures = [read_picture(path) for path in table.path]
    candidates = true(pictures, table)
    for i, row in truth.iterrows():
        if row.fault in ("junk", "ambiguous"):
            assert found.iloc[i, 2:].isna().all()
            continue
        window, right = row[["x", "y", "w", "h"]].tolist(), row[["true_x", "true_y", "true_w", "true_h"]].tolist()
        assert found.iou_before[i] == pytest.approx(plain_iou(window, right))
        assert found.right_before[i] == (row.shown == row.pid)
        line = linked.report.iloc[i]
        if not line.candidates:
            assert found.iou_after[i] == pytest.approx(found.iou_before[i])
            assert found.right_after[i] == found.right_before[i]
            continue
        # One pixel of the new picture is this many of the frame across and down.
        y0, y1, x0, x1 = linked.masks[i]
        across = line.w / (x1 - x0) * row.w / line.width
        down = line.h / (y1 - y0) * row.h / line.height
        left, top = row.x + line.x * row.w / line.width - x0 * across, row.y + line.y * row.h / line.height - y0 * down
        assert found.iou_after[i] == pytest.approx(plain_iou((left, top, 32 * across, 64 * down), right))
        if len(candidates[i]) == 1 and row.shown == row.pid and row.iou > 0.5:
            assert found.right_after[i] == 1


def test_a_perfect_cut_reaches_the_best_overlap_there_is(world):
    root, table = world
    table = table[(table.split == "gallery") & (table.pid > 0)].reset_index(drop=True)
    true = TrueBoxes(root)
    truth = true.truth(table)
    linked = RedetectLink(true, mean_colour, size=(128, 64))(table, quiet=True)
    found = quality(table, linked, root)
    # Where the whole person is in the picture, height and middle are right; across, a jittered box may be stretched.
    inside = (truth.y < truth.true_y) & (truth.y + truth.h > truth.true_y + truth.true_h)
    inside &= (truth.x < truth.true_x) & (truth.x + truth.w > truth.true_x + truth.true_w) & (truth.visibility > 0.9)
    chosen = inside & (truth.fault == "") & (found.right_after == 1)
    assert chosen.any()
    assert (found.iou_after[chosen] > 0.7).all()
    assert found.iou_after[chosen].mean() > found.iou_before[chosen].mean()


def test_quality_judges_features_if_asked(world):
    root, table = world
    table = table[table.split == "train"].reset_index(drop=True)
    linked = RedetectLink(TrueBoxes(root), mean_colour, size=(64, 32))(table, quiet=True)
    found = quality(table, linked, root, embed=mean_colour)
    np.testing.assert_allclose(found.feature_drift_after, feature_drift(mean_colour(linked.pictures), table))
    before = np.stack([read_picture(path, (64, 32)) for path in table.path])
    np.testing.assert_allclose(found.feature_drift_before, feature_drift(mean_colour(before), table))


def test_feature_drift_is_the_distance_to_the_mean():
    table = pd.DataFrame({"split": ["train", "train", "gallery", "train"], "tracklet": [1, 1, 1, 2]})
    # Of length 1 the first two are (1, 0) and (0.6, 0.8), whose mean is (0.8, 0.4).
    features = np.array([[5.0, 0], [6, 8], [9, 9], [7, 7]])
    np.testing.assert_allclose(feature_drift(features, table), [np.sqrt(0.2), np.sqrt(0.2), 0, 0], atol=1e-12)
    with pytest.raises(DataError, match=r"features: shape \(3, 2\) for 4 rows"):
        feature_drift(features[:3], table)


def test_quality_needs_an_embedded_world_and_the_table_that_was_linked(world, tmp_path):
    root, table = world
    table = table[table.split == "train"].reset_index(drop=True)
    linked = RedetectLink(TrueBoxes(root), mean_colour, size=(64, 32))(table, quiet=True)
    with pytest.raises(DataError, match="pass the table that was linked"):
        quality(table.head(3), linked, root)
    with pytest.raises(MissingDataError, match=r"truth\.parquet"):
        quality(table, Linked(linked.pictures, linked.masks, linked.report), tmp_path)
