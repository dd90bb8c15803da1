"""Wrong labels put into the test on purpose: tracklets of two people, and the table that sets all of them right."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.io import loadmat

from reidlab.world import Scene, WorldSpec, export_market, export_mars, scenario
from reidlab.world.recording import beside

SPEC = WorldSpec(
    name="faulty", seed=8, train_people=3, test_people=9, distractors=2, cameras=3, visits=2, shots=2, occluders=1,
    frame_width=240, frame_height=180, tracklet_frames=4, junk=0.3, fragments=0.3, duplicates=0.3, buried=0.2,
    ambiguous=0.3, fault_splits=("test",), crop_height=64, crop_width=32,
).with_(drift=0.25, label_noise=0.15, box_jitter=0.0, crossing=0.3)  # fmt: skip


def exported(spec: WorldSpec, out: Path, write=export_mars) -> Path:
    return write(Scene(spec), out, workers=1, quiet=True)


@pytest.fixture(scope="module")
def scene():
    return Scene(SPEC)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return exported(SPEC, tmp_path_factory.mktemp("faults") / "mars")


@pytest.fixture(scope="module")
def truth(home):
    return pd.read_parquet(home / "truth.parquet")


def info(home: Path, name: str, variable: str) -> np.ndarray:
    return loadmat(home / "info" / f"{name}.mat")[variable].astype(int)


def test_an_ambiguous_tracklet_has_two_test_identities_and_carries_one(truth, scene):
    ambiguous = truth[truth.fault == "ambiguous"]
    identities = scene.sessions["test"].identities
    assert ambiguous.tracklet.nunique() >= 5
    assert set(ambiguous.split) == {"test"}
    assert ambiguous.other.isin(identities).all()
    assert (ambiguous.other != ambiguous.pid).all()
    assert (ambiguous.label == ambiguous.pid).all()
    assert (ambiguous.groupby("tracklet").other.nunique() == 1).all()
    assert not ambiguous.drift.any()
    assert (truth.other[truth.fault != "ambiguous"] == -1).all()


def test_its_box_holds_both_from_beginning_to_end(truth, scene):
    for row in truth[truth.fault == "ambiguous"].itertuples():
        renderer = scene.renderer(row.camid)
        both = [scene.actor(row.visit, row.frame), beside(scene, row.visit, row.other, row.frame)]
        assert [actor.person.pid for actor in both] == [row.pid, row.other]
        boxes = renderer.boxes(both)
        low = np.maximum(boxes[:, :2], 0)
        high = np.minimum(boxes[:, :2] + boxes[:, 2:], (SPEC.frame_width, SPEC.frame_height))
        # As of single people, hands and feet may reach over the sides.
        slack = np.array([0.06 * row.w, 0.5])
        assert (low >= np.array([row.x, row.y]) - slack).all()
        assert (high <= np.array([row.x + row.w, row.y + row.h]) + slack).all()
        # Side by side, but near: neither is hidden behind the other, nor are they apart.
        apart = abs(np.diff(boxes[:, 0] + 0.5 * boxes[:, 2])[0])
        assert 0.05 * row.h < apart < 0.5 * row.h
        assert np.hypot(both[0].x_m - both[1].x_m, both[0].z_m - both[1].z_m) == pytest.approx(0.5, abs=0.12)


def test_the_second_person_is_elsewhere_at_no_camera(truth, scene):
    visits = scene.visits.set_index("visit")
    for visit, rows in truth[truth.fault == "ambiguous"].groupby("visit"):
        one, other = visits.loc[visit], rows.other.iloc[0]
        meanwhile = (visits.start_frame <= one.end_frame) & (visits.end_frame >= one.start_frame)
        free = set(scene.sessions["test"].identities) - set(visits.pid[meanwhile])
        assert other in free or not free


def test_nothing_else_changes(tmp_path, home, truth):
    plain = exported(SPEC.with_(ambiguous=0), tmp_path / "plain")
    without = pd.read_parquet(plain / "truth.parquet")
    assert (without.other == -1).all()
    assert set(without.path) == set(truth.path)
    same = {path: (home / path).read_bytes() == (plain / path).read_bytes() for path in truth.path}
    changed = truth.set_index("path").fault == "ambiguous"
    assert [path for path in truth.path if same[path] == changed[path]] == []


def test_pictures_of_single_people_know_no_ambiguity(tmp_path):
    one = exported(SPEC, tmp_path / "one", export_market)
    two = exported(SPEC.with_(ambiguous=0), tmp_path / "two", export_market)
    for path in sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file() and p.name != "world.yml"):
        assert (one / path).read_bytes() == (two / path).read_bytes(), path


def test_all_faults_are_in_one_gallery_and_queries_are_right(home, truth):
    tracks = truth.drop_duplicates(["split", "tracklet"]).set_index("tracklet")
    test = tracks[tracks.split == "test"]
    assert set(test.fault) == {"", "label", "duplicate", "buried", "ambiguous", "junk"}
    assert set(tracks.fault[tracks.split == "train"]) == {""}
    queries = test.loc[info(home, "query_IDX", "query_IDX")[0]]
    assert len(queries) > 5
    # A query may carry a person's second label: that of the data set is the only one they have before this camera.
    assert set(queries.fault) <= {"", "duplicate"}
    # What is buried is a passage of a person before a camera that has them as a query too.
    buried = test[test.fault == "buried"]
    pairs = set(zip(queries.pid, queries.camid))
    assert (buried.label == 0).all()
    assert any(pair in pairs for pair in zip(buried.pid, buried.camid))


def test_the_cleaned_table_sets_every_label_right(home, truth, scene):
    tracks = info(home, "tracks_test_info", "track_test_info")
    cleaned = info(home, "clean_tracks_test_info", "track_test_info")
    assert cleaned.shape == (len(tracks), 6)
    assert (cleaned[:, :4] == tracks).all()
    distractors = set(scene.sessions["test"].distractors)
    rows = truth[truth.split == "test"].drop_duplicates("tracklet").set_index("tracklet")
    assert {0, -1} < set(cleaned[:, 4])
    for number, (*_, new_pid, other) in enumerate(cleaned, start=1):
        row = rows.loc[number]
        expected = -1 if row.fault == "junk" else 0 if row.pid in distractors else row.pid
        assert (new_pid, other) == (expected, row.other)


def test_every_tracklet_can_be_ambiguous_and_none_where_nobody_else_is(tmp_path):
    small = {"test_people": 3, "cameras": 2, "visits": 1, "buried": 0.0, "duplicates": 0.0, "label_noise": 0.0}
    home = exported(SPEC.with_(ambiguous=1, **small), tmp_path / "all")
    truth = pd.read_parquet(home / "truth.parquet")
    identified = truth[(truth.split == "test") & (truth.label > 0)]
    assert set(identified.fault) == {"ambiguous"}
    assert info(home, "query_IDX", "query_IDX").size == 0
    alone = exported(SPEC.with_(ambiguous=1, **{**small, "test_people": 1}), tmp_path / "alone")
    assert "ambiguous" not in set(pd.read_parquet(alone / "truth.parquet").fault)


def test_the_companion_is_in_the_picture(truth, home, scene):
    """Where the second person is drawn, the picture differs from the same scene without them."""
    for row in truth[truth.fault == "ambiguous"].groupby("tracklet").first().itertuples():
        actors = [scene.actor(visit, row.frame) for visit in scene.visits_at(row.camid, row.frame)]
        box = [row.x, row.y, row.w, row.h]
        without = scene.renderer(row.camid).crop(actors, box, size=(64, 32), shot=scene.shot(row.frame))
        picture = cv2.cvtColor(cv2.imread(str(home / row.path)), cv2.COLOR_BGR2RGB)
        gap = np.abs(cv2.blur(picture, (3, 3)).astype(float) - cv2.blur(without, (3, 3))).max(axis=2)
        # Something may stand before both.
        assert (gap > 25).mean() > 0.02 or row.visibility < 0.7


def test_the_scenario_has_every_fault_in_the_test_alone():
    spec = scenario("video_faults")
    assert spec.fault_splits == ("test",)
    assert min(spec.duplicates, spec.buried, spec.ambiguous, spec.nuisances.label_noise) > 0
    video = scenario("video").with_(name="video_faults", fault_splits=("test",), duplicates=spec.duplicates)
    assert video.with_(buried=spec.buried, ambiguous=spec.ambiguous, label_noise=spec.nuisances.label_noise) == spec
