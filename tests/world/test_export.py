"""Exports: read back with small parsers of their own, and compared with what was put in."""

import errno
import re
from collections import Counter
from configparser import ConfigParser
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.io import loadmat

from reidlab.errors import ConfigError, StorageError
from reidlab.files import whole_folder
from reidlab.world import LAYOUTS, Scene, WorldSpec, export, export_market, export_mars, writing
from reidlab.world.recording import drifting, frames_in_view, iou, jittered

SPEC = WorldSpec(
    name="tiny", seed=5, train_people=6, test_people=6, distractors=1, cameras=3, visits=1, shots=3, occluders=2,
    frame_width=240, frame_height=180, tracklet_frames=6, mot_seconds=2.0, misses=0.1, false_alarms=0.5, junk=0.4,
    fragments=0.4, duplicates=0.4, buried=0.25, fault_splits=("train", "test"), sites=3, crop_height=64, crop_width=32,
).with_(drift=0.25, label_noise=0.2, box_jitter=0.05, crossing=0.5)  # fmt: skip
MARKET_NAME = re.compile(r"(-1|\d{4})_c([1-9])s([12])_(\d{6})_(\d{2})\.jpg")
MARS_NAME = re.compile(r"(00-1|\d{4})C([1-9])T(\d{4})F(\d{3})\.jpg")


@pytest.fixture(scope="module")
def scene():
    return Scene(SPEC)


@pytest.fixture(scope="module")
def exports(scene, tmp_path_factory):
    """Every layout, written by this process and again by two others."""
    root = tmp_path_factory.mktemp("exports")
    for layout, write in LAYOUTS.items():
        write(scene, root / "1" / layout, workers=1, quiet=True)
        write(Scene(SPEC), root / "2" / layout, workers=2, quiet=True)
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bytes_depend_on_the_spec_alone(exports, layout):
    one, two = contents(exports / "1" / layout), contents(exports / "2" / layout)
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []
    assert WorldSpec.from_dict(yaml.safe_load(one["world.yml"])) == SPEC


def market(folder: Path, part: str) -> pd.DataFrame:
    rows = []
    for path in sorted((folder / part).iterdir()):
        match = MARKET_NAME.fullmatch(path.name)
        assert match, path.name
        rows.append((f"{part}/{path.name}", *(int(v) for v in match.groups())))
    return pd.DataFrame(rows, columns=["path", "label", "camid", "sequence", "frame", "box"])


def test_market_names_and_splits(exports, scene):
    home = exports / "1" / "market1501"
    parts = {part: market(home, part) for part in ("bounding_box_train", "query", "bounding_box_test")}
    train, query, test = parts.values()
    known_train, known_test = (set(scene.sessions[s].identities) for s in ("train", "test"))
    second_labels = {label for table in parts.values() for label in table.label if label > len(scene.people)}
    assert set(train.label) <= known_train | second_labels
    assert set(query.label) | set(test.label) <= known_test | second_labels | {0, -1}
    assert not set(train.label) & (set(query.label) | set(test.label))
    assert {0, -1} <= set(test.label)
    assert set(query.label) & {0, -1} == set()
    assert not query.duplicated(["label", "camid"]).any(), "one query per identity and camera"
    assert set(train.sequence) == {1}
    assert set(query.sequence) | set(test.sequence) == {2}
    image = cv2.imread(str(home / train.path[0]))
    assert image.shape == (64, 32, 3)
    counts = Counter(zip(train.label, train.camid))
    assert max(counts.values()) >= SPEC.shots


def test_market_truth_agrees_with_the_files(exports, scene):
    home = exports / "1" / "market1501"
    truth = pd.read_parquet(home / "truth.parquet")
    files = pd.concat([market(home, part) for part in ("bounding_box_train", "query", "bounding_box_test")])
    both = truth.merge(files, on="path", suffixes=("", "_file"), validate="one_to_one")
    assert len(both) == len(truth) == len(files)
    for column in ("label", "camid", "frame"):
        assert (both[column] == both[f"{column}_file"]).all()
    visits = scene.visits.set_index("visit")
    assert (truth.pid.to_numpy() == visits.pid[truth.visit].to_numpy()).all()
    distractors = set(scene.sessions["test"].distractors)
    right = np.where(truth.pid.isin(distractors), 0, truth.pid)
    assert ((truth.fault == "") == (truth.label == right)).all()
    assert (truth.label[truth.fault == "junk"] == -1).all()
    assert (truth.iou[truth.fault == "junk"] < 0.5).all()
    assert truth.iou[truth.fault != "junk"].median() > 0.7
    assert set(truth.fault[truth.split == "query"]) <= {"", "duplicate"}
    assert (truth.label[truth.fault == "buried"] == 0).all()
    assert (truth.label[truth.fault == "duplicate"] > len(scene.people)).all()
    assert {"label", "duplicate", "junk", "buried"} <= set(truth.fault)
    box = truth[["x", "y", "w", "h"]].to_numpy()
    assert (box[:, :2] >= 0).all()
    assert (box[:, 0] + box[:, 2] <= SPEC.frame_width + 0.01).all()
    assert (box[:, 1] + box[:, 3] <= SPEC.frame_height + 0.01).all()
    overlap = [iou(r[["x", "y", "w", "h"]].to_numpy(float), r[["true_x", "true_y", "true_w", "true_h"]].to_numpy(float))
               for _, r in truth.iterrows()]  # fmt: skip
    assert np.allclose(overlap, truth.iou, atol=2e-3)
    assert truth.visibility.between(SPEC.min_visibility, 1).all()


def test_mars_tracks_are_contiguous_and_named_after_their_content(exports):
    home = exports / "1" / "mars"
    truth = pd.read_parquet(home / "truth.parquet").set_index("path")
    for split in ("train", "test"):
        names = (home / "info" / f"{split}_name.txt").read_text().split()
        tracks = loadmat(home / "info" / f"tracks_{split}_info.mat")[f"track_{split}_info"]
        assert tracks.shape[1] == 4
        assert tracks[0, 0] == 1
        assert (tracks[1:, 0] == tracks[:-1, 1] + 1).all()
        assert tracks[-1, 1] == len(names)
        on_disk = {path.name for path in (home / f"bbox_{split}").rglob("*.jpg")}
        assert on_disk == set(names)
        assert len(names) == len(set(names))
        for number, (start, end, label, camid) in enumerate(tracks.astype(int), start=1):
            parsed = [MARS_NAME.fullmatch(name).groups() for name in names[start - 1 : end]]
            who = {part[:3] for part in parsed}
            assert len(who) == 1
            folder, camera, _ = who.pop()
            assert (folder, int(camera)) == ("00-1" if label == -1 else f"{label:04d}", camid)
            assert [int(part[3]) for part in parsed] == list(range(1, len(parsed) + 1))
            assert len(parsed) <= SPEC.tracklet_frames
            rows = truth.loc[[f"bbox_{split}/{folder}/{name}" for name in names[start - 1 : end]]]
            assert set(rows.label) == {label}
            assert set(rows.tracklet) == {number}
            assert rows.frame.is_monotonic_increasing
            assert rows.visit.nunique() == 1


def test_mars_queries_are_test_tracks_with_a_match_elsewhere(exports):
    home = exports / "1" / "mars"
    tracks = loadmat(home / "info" / "tracks_test_info.mat")["track_test_info"].astype(int)
    index = loadmat(home / "info" / "query_IDX.mat")["query_IDX"].astype(int)
    assert index.shape[0] == 1
    queries = tracks[index[0] - 1]
    assert (queries[:, 2] > 0).all()
    pairs = [tuple(row) for row in queries[:, 2:]]
    assert len(pairs) == len(set(pairs))
    for label, camid in pairs:
        assert ((tracks[:, 2] == label) & (tracks[:, 3] != camid)).any()


def test_mars_truth_knows_the_drift(exports, scene):
    truth = pd.read_parquet(exports / "1" / "mars" / "truth.parquet")
    good = truth[truth.fault != "junk"]
    assert good.drift.mean() == pytest.approx(SPEC.nuisances.drift, abs=0.08)
    assert good.iou[good.drift].mean() < 0.25 < 0.7 < good.iou[~good.drift].mean()
    assert (good.shown[~good.drift] == good.pid[~good.drift]).all()
    assert (good.shown[good.drift] != good.pid[good.drift]).all()
    assert {-1} < set(good.shown[good.drift]), "some slide onto the background, some onto another person"
    for row in good[good.drift & (good.shown > 0)].itertuples():
        assert row.shown in {actor.person.pid for actor in scene.actors(row.camid, row.frame)}


def test_drift_is_spread_over_the_track():
    random = np.random.default_rng(0)
    off = np.array([drifting(16, 0.3, random) for _ in range(2000)])
    assert off.mean() == pytest.approx(0.3, abs=0.01)
    assert off.mean(axis=0) == pytest.approx(np.full(16, 0.3), abs=0.05)
    assert drifting(5, 0.0, random).sum() == 0
    assert drifting(5, 1.0, random).sum() == 5


def test_jitter_has_the_asked_size():
    random = np.random.default_rng(0)
    window = np.array([100.0, 50.0, 40.0, 80.0])
    boxes = np.array([jittered(window, 0.06, random) for _ in range(4000)])
    centre = (boxes[:, :2] + 0.5 * boxes[:, 2:] - (120, 90)) / (40, 80)
    assert centre.std(axis=0) == pytest.approx([0.06, 0.06], rel=0.06)
    assert np.log(boxes[:, 2:] / (40, 80)).std(axis=0) == pytest.approx([0.06, 0.06], rel=0.06)
    assert (jittered(window, 0.0, random) == window).all()


def read_boxes(path: Path, columns: int) -> np.ndarray:
    rows = [[float(v) for v in line.split(",")] for line in path.read_text().splitlines()]
    assert all(len(row) == columns for row in rows)
    return np.array(rows).reshape(-1, columns)


def test_mot_sequences(exports, scene):
    home = exports / "1" / "mot"
    truth = pd.read_parquet(home / "truth.parquet")
    seen: dict[str, set[int]] = {"train": set(), "test": set()}
    for split in ("train", "test"):
        sequences = sorted(path for path in (home / split).iterdir())
        assert [path.name for path in sequences] == ["tiny-C1", "tiny-C2", "tiny-C3"]
        for camid, sequence in enumerate(sequences, start=1):
            ini = ConfigParser()
            ini.read(sequence / "seqinfo.ini")
            info = ini["Sequence"]
            assert info["name"] == sequence.name
            images = sorted((sequence / info["imDir"]).iterdir())
            assert len(images) == int(info["seqLength"]) == 20
            assert [path.name for path in images] == [f"{n:06d}{info['imExt']}" for n in range(1, 21)]
            assert cv2.imread(str(images[0])).shape == (int(info["imHeight"]), int(info["imWidth"]), 3)
            gt, det = read_boxes(sequence / "gt" / "gt.txt", 9), read_boxes(sequence / "det" / "det.txt", 10)
            for table in (gt, det):
                assert ((table[:, 0] >= 1) & (table[:, 0] <= 20)).all()
                assert (table[:, 2:4] >= 0).all()
                assert (table[:, 2] + table[:, 4] <= 240.02).all()
                assert (table[:, 3] + table[:, 5] <= 180.02).all()
                assert (table[:, 4:6] > 0).all()
            assert len({(f, p) for f, p in gt[:, :2]}) == len(gt), "an identity is once in a frame"
            assert (det[:, 1] == -1).all()
            seen[split] |= {int(p) for p in gt[:, 1]}
            mine = truth[(truth.sequence == sequence.name) & (truth.split == split)]
            assert mine.line.tolist() == list(range(1, len(det) + 1))
            assert np.allclose(mine[["frame", "x", "y", "w", "h"]], det[:, [0, 2, 3, 4, 5]], atol=0.006)
            first = scene.sessions[split].first
            for row in gt[::17]:
                present = {actor.person.pid for actor in scene.actors(camid, first + int(row[0]) - 1)}
                assert int(row[1]) in present
    assert not seen["train"] & seen["test"]
    assert seen["train"]
    assert (truth.pid == -1).any(), "false alarms"
    assert (truth.iou[truth.pid > 0] > 0.5).mean() > 0.9


def test_sites_divide_the_training_pictures(exports):
    home = exports / "1" / "sites"
    train = market(home, "bounding_box_train").set_index("path")
    by_camera, by_identity = (pd.read_csv(home / "splits" / f"by_{name}.csv") for name in ("camera", "identity"))
    for table in (by_camera, by_identity):
        assert sorted(table.path) == sorted(train.index)
        assert (train.label[table.path].to_numpy() == table.pid.to_numpy()).all()
    assert (by_camera.site == by_camera.camid - 1).all()
    assert (by_identity.groupby("pid").site.nunique() == 1).all()
    assert set(by_identity.site) == set(range(SPEC.sites))


def test_pictures_show_the_person_in_the_box(exports, scene):
    """The crop and the same window of the full frame agree, up to noise, compression and size."""
    home = exports / "1" / "market1501"
    truth = pd.read_parquet(home / "truth.parquet")
    errors = []
    for row in truth[truth.split == "train"].head(6).itertuples():
        frame = scene.frame(row.camid, row.frame)
        x, y, w, h = (round(v) for v in (row.x, row.y, row.w, row.h))
        window = cv2.resize(frame[y : y + h, x : x + w], (32, 64), interpolation=cv2.INTER_AREA)
        crop = cv2.cvtColor(cv2.imread(str(home / row.path)), cv2.COLOR_BGR2RGB)
        errors.append(np.abs(cv2.blur(window, (5, 5)).astype(float) - cv2.blur(crop, (5, 5))).mean())
    assert np.median(errors) < 8, errors


def test_frames_in_view_are_within_the_visit(scene):
    for visit in range(len(scene.visits)):
        frames = frames_in_view(scene, visit)
        row = scene.visit(visit)
        assert len(frames) == 0 or row.start_frame <= frames[0] <= frames[-1] <= row.end_frame


@pytest.mark.parametrize("write", [export_market, export_mars])
@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_an_interrupted_export_leaves_nothing(scene, tmp_path, monkeypatch, write, failure):
    calls = []

    def failing(path, image):
        calls.append(path)
        if len(calls) > 4:
            raise failure
        writing.write_picture(path, image)

    monkeypatch.setattr(export, "write_picture", failing)
    expected = StorageError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected, match="disk is full" if expected is StorageError else None):
        write(scene, tmp_path / "out", workers=1, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_in_another_process_reaches_the_caller_and_leaves_nothing(scene, tmp_path):
    nobody = [("train", pid, 1) for pid in (1, 2, 999)]
    with pytest.raises(ConfigError, match="person 999"), whole_folder(tmp_path / "out") as folder:
        writing.spread(scene, export._picture_unit, folder, nobody, pictures=9, workers=2, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_bad_requests_are_refused(scene, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(StorageError, match="exists already"):
        export_market(scene, tmp_path / "there", quiet=True)
    with pytest.raises(ConfigError, match="workers: 0"):
        export_market(scene, tmp_path / "out", workers=0, quiet=True)
    with pytest.raises(ConfigError, match=r"WorldSpec.sites: .* in 1\.\.6, at most train_people"):
        LAYOUTS["sites"](Scene(SPEC.with_(sites=7)), tmp_path / "out", quiet=True)
