"""Auditing a data set's labels with one call: tracklets and single pictures, weights from a file, what is refused."""

import shutil
import stat

import pandas as pd
import pytest

from reidlab.data.readers import FOLDER, MARKET1501, MARS
from reidlab.errors import ConfigError, DataError, MissingDataError, ReidlabError, StorageError
from reidlab.models import save_weights
from reidlab.tools import audit, network
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


def test_identity_0_is_nobody_only_where_the_format_says_so(worlds, untaught, tmp_path):
    table = MARKET1501.read(worlds["market1501"])
    quick = QUICK | {"weights": save_weights(RECIPE.network(2, 0), tmp_path / "network.safetensors")}
    assert (audit_data_set(table, **quick).query("pid == 0").kind == "buried").all()
    table.attrs["distractor"] = None
    as_person = audit_data_set(table, **quick)
    assert len(as_person.query("pid == 0")) > 0
    assert "buried" not in set(as_person.kind)


@pytest.fixture
def untaught(monkeypatch):
    """Stands for the network that is trained on the embedded world; counts how often it is asked for."""
    asked = []

    def made(recipe, steps, seed, *_):
        asked.append(steps)
        return recipe.network(2, seed)

    monkeypatch.setattr(network, "world_network", made)
    return asked


def test_weights_stand_in_for_training(worlds, tmp_path, untaught):
    table = MARS.read(worlds["mars"])
    test = table[table.split != "train"]
    weights = str(save_weights(RECIPE.network(5, 0), tmp_path / "small.safetensors"))
    said = []
    report = audit_data_set(test, weights=weights, say=said.append, **QUICK)
    pd.testing.assert_frame_equal(report, audit_data_set(table, weights=weights, **{**QUICK, "iterations": 1}))
    assert said == [
        f"{weights}: left out 1 tensor (neck.classifier.weight); it says no size of pictures, 32 x 16 pixels are taken"
    ]
    assert untaught == []
    audit_data_set(test, **QUICK)
    assert untaught == [20]  # without people to train on, those of the embedded world
    with pytest.raises(DataError, match="do not fit"):
        audit_data_set(
            test, weights=weights, **{**QUICK, "recipe": Recipe((32, 16), Backbone(width=16, blocks=(1, 1, 1, 1)))}
        )
    with pytest.raises(MissingDataError, match="there is no such file"):
        audit_data_set(test, weights=str(tmp_path / "none.safetensors"), **QUICK)


def test_the_size_that_the_network_is_for_comes_with_it(worlds, tmp_path, monkeypatch):
    table = MARS.read(worlds["mars"])
    path = save_weights(RECIPE.network(5, 0), tmp_path / "large.safetensors", {"size": "48x24"})
    sizes, cache = [], audit.ImageCache
    monkeypatch.setattr(
        audit, "ImageCache", lambda rows, size, quiet: sizes.append(size) or cache(rows, size, quiet=True)
    )
    audit_data_set(table, weights=path, **QUICK)
    save_weights(RECIPE.network(5, 0), tmp_path / "large.safetensors", {"size": "99999x99999"})
    audit_data_set(table, weights=path, **QUICK)
    assert sizes == [(48, 24), (32, 16)]


def test_a_set_sorted_by_person_and_camera_is_audited_whole(worlds, tmp_path, untaught):
    """The README's layout: no query and gallery, no tracklets; a person may be called 0."""
    rows = MARKET1501.read(worlds["market1501"])
    rows = rows[rows.split == "train"]
    first = rows.pid.min()
    for number, row in enumerate(rows.itertuples()):
        folder = tmp_path / "mine" / str(row.pid - first) / f"cam{row.camid}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(row.path, folder / f"{number}.jpg")
    root = tmp_path / "mine"
    table = FOLDER.read(root)
    assert set(table.split) == {"train"}
    said = []
    report = audit_data_set(table, root=root, say=said.append, **QUICK)
    assert untaught == [20]  # trained on these labels it would have learnt their faults
    assert "all labels are audited" in said[0]
    assert set(report.path) == set(table.path)
    assert set(report.pid) == set(table.pid)
    assert set(report.kind) == {"label error", "split identity", "ambiguous"}
    with pytest.raises(ConfigError, match="lies in the folder of the data set"):
        audit_data_set(table, out=tmp_path / "mine" / "report.csv", root=root, **QUICK)


def test_sets_without_labels_are_refused(worlds, untaught):
    table = MARS.read(worlds["mars"])
    with pytest.raises(ConfigError, match=r"0 identities among the labels; an audit needs two"):
        audit_data_set(table.assign(pid=-1), **QUICK)
    with pytest.raises(ConfigError, match=r"1 identity among the labels"):
        audit_data_set(table[(table.split == "train") & (table.pid == table.pid[0])], **QUICK)
    assert untaught == []


def test_features_that_tell_nothing_lead_to_another_network(worlds, monkeypatch):
    table = MARS.read(worlds["mars"])

    def fails(*_, **__):
        raise DataError("features: the mean cosine is 0; such features cannot tell right labels from wrong ones")

    monkeypatch.setattr(audit, "audit_pictures", fails)
    with pytest.raises(DataError, match=r"wrong ones; give another network with --weights, or train longer with --it"):
        audit_data_set(table, **QUICK)


def test_the_report_is_written_whole_and_its_place_checked_first(worlds, tmp_path, monkeypatch):
    table = MARS.read(worlds["mars"])
    out = tmp_path / "new" / "report.csv"
    report = audit_data_set(table, out=out, **QUICK)
    assert len(pd.read_csv(out)) == len(report)
    assert [path.name for path in out.parent.iterdir()] == ["report.csv"]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600  # who may be whom is personal data
    (tmp_path / "folder.csv").mkdir()
    monkeypatch.setattr(Recipe, "learn", lambda *_, **__: pytest.fail("trained before the place was checked"))
    for place, words in (
        (out / "below.csv", r"below\.csv: cannot be written \(Not a directory\)"),
        (tmp_path / "folder.csv", "is a folder; name a file to write"),
        ("/proc/mine.csv", r"^/proc/mine\.csv: cannot be written"),
        (tmp_path / "report.txt", r"report\.txt: name a \.csv file to write"),
    ):
        with pytest.raises(ReidlabError, match=words):
            audit_data_set(table, out=place, **QUICK)


def test_a_write_that_fails_names_the_file_that_the_user_gave(worlds, tmp_path, monkeypatch):
    report = audit_data_set(MARS.read(worlds["mars"]), **QUICK)

    def refused(self, **_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(audit, "audit_pictures", lambda *_, **__: report)
    monkeypatch.setattr(pd.DataFrame, "to_csv", refused)
    with pytest.raises(StorageError, match=r"report\.csv: may not be written \(Permission denied\)") as error:
        audit_data_set(MARS.read(worlds["mars"]), out=tmp_path / "report.csv", **QUICK)
    assert ".tmp" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
