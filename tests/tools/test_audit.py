"""Auditing a data set's labels with one call: tracklets and single pictures, weights from a file, what is refused."""

import pandas as pd
import pytest

from reidlab.data.readers import MARKET1501, MARS
from reidlab.errors import ConfigError, DataError, MissingDataError
from reidlab.models import save_weights
from reidlab.tools.audit import audit_data_set
from reidlab.training.recipe import Backbone, Recipe
from reidlab.video.audit import audit_scores
from reidlab.world import Scene, WorldSpec, export_market, export_mars

SPEC = WorldSpec(
    name="audited", seed=4, train_people=6, test_people=6, distractors=1, cameras=2, visits=2, shots=2, occluders=0,
    frame_width=240, frame_height=180, tracklet_frames=3, crop_height=32, crop_width=16, junk=0.3, buried=0.2,
    ambiguous=0.2, fault_splits=("test",),
).with_(label_noise=0.1)  # fmt: skip
RECIPE = Recipe((32, 16), Backbone(width=8, blocks=(1, 1, 1, 1)))
QUICK = {"iterations": 20, "recipe": RECIPE, "quiet": True}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    root = tmp_path_factory.mktemp("worlds")
    scene = Scene(SPEC)
    return {
        "mars": export_mars(scene, root / "mars", workers=1, quiet=True),
        "market1501": export_market(scene, root / "market1501", workers=1, quiet=True),
    }


def test_a_set_of_tracklets_is_audited_by_tracklet(worlds):
    table = MARS.read(worlds["mars"])
    report = audit_data_set(table, **QUICK)
    truth = pd.read_parquet(worlds["mars"] / "truth.parquet")
    scores = audit_scores(report, truth)
    assert scores["label error"].total > 0
    assert scores["any"].recall[-1] > 0.9
    test = table[(table.split != "train") & (table.pid >= 0)].drop_duplicates("path")
    assert set(report.tracklet) == set(test.tracklet)
    paths = test.groupby("tracklet").path.first()
    assert (report.path == paths[report.tracklet].to_numpy()).all()
    assert (report.evidence_path == paths[report.evidence].to_numpy()).all()
    pd.testing.assert_frame_equal(report, audit_data_set(table, **QUICK))


def test_a_set_of_pictures_is_audited_picture_by_picture(worlds):
    table = MARKET1501.read(worlds["market1501"])
    report = audit_data_set(table, **QUICK)
    test = table[(table.split != "train") & (table.pid >= 0)]
    assert set(report.tracklet) == set(test.index)
    assert (report.path == table.path[report.tracklet].to_numpy()).all()
    assert (report.pid == table.pid[report.tracklet].to_numpy()).all()


def test_weights_stand_in_for_training(worlds, tmp_path):
    table = MARS.read(worlds["mars"])
    test = table[table.split != "train"]
    with pytest.raises(ConfigError, match=r"mars: it has no training split .*give a file of weights"):
        audit_data_set(test, **QUICK)
    model = RECIPE.network(5, 0)
    weights = str(save_weights(model, tmp_path / "small.safetensors"))
    report = audit_data_set(test, weights=weights, **QUICK)
    pd.testing.assert_frame_equal(report, audit_data_set(table, weights=weights, **{**QUICK, "iterations": 1}))
    with pytest.raises(DataError, match="do not fit"):
        audit_data_set(
            test, weights=weights, **{**QUICK, "recipe": Recipe((32, 16), Backbone(width=16, blocks=(1, 1, 1, 1)))}
        )
    with pytest.raises(MissingDataError, match="there is no such file"):
        audit_data_set(test, weights=str(tmp_path / "none.safetensors"), **QUICK)


def test_sets_without_a_test_are_refused(worlds):
    table = MARS.read(worlds["mars"])
    with pytest.raises(ConfigError, match="no identified pictures in query or gallery"):
        audit_data_set(table[table.split == "train"], **QUICK)


def test_the_report_is_written_whole_and_its_place_checked_first(worlds, tmp_path, monkeypatch):
    table = MARS.read(worlds["mars"])
    out = tmp_path / "new" / "report.csv"
    report = audit_data_set(table, out=out, **QUICK)
    assert len(pd.read_csv(out)) == len(report)
    assert [path.name for path in out.parent.iterdir()] == ["report.csv"]
    monkeypatch.setattr(Recipe, "learn", lambda *_, **__: pytest.fail("trained before the place was checked"))
    with pytest.raises(ConfigError, match=r"report\.csv: is a file"):
        audit_data_set(table, out=out / "below.csv", **QUICK)
