"""Redrawing the boxes of a data set with one call: what cannot be done is said before any training."""

import errno
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reidlab.data import read_picture
from reidlab.data.readers import MARKET1501, MARS
from reidlab.errors import ConfigError, DataError, ReidlabError, StorageError
from reidlab.models import save_weights
from reidlab.tools import redetect
from reidlab.tools.redetect import detector_of, redetect_data_set
from reidlab.training.recipe import Backbone, Recipe
from reidlab.video.ssdlite import PACKAGE, SSDLite
from reidlab.world import Scene, WorldSpec, export_market, export_mars

SPEC = WorldSpec(
    name="redrawn", seed=4, train_people=2, test_people=2, distractors=0, cameras=2, visits=1, shots=2, occluders=0,
    frame_width=240, frame_height=180, tracklet_frames=3, crop_height=64, crop_width=32,
)  # fmt: skip
RECIPE = Recipe((32, 16), Backbone(width=8, blocks=(1, 1, 1, 1)))
QUICK = {"size": (64, 32), "recipe": RECIPE, "quiet": True}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    root, scene = tmp_path_factory.mktemp("worlds"), Scene(SPEC)
    return {
        "mars": export_mars(scene, root / "mars", workers=1, quiet=True),
        "market1501": export_market(scene, root / "market1501", workers=1, quiet=True),
    }


@pytest.fixture
def untrained(monkeypatch):
    monkeypatch.setattr(redetect, "image_network", lambda *_: pytest.fail("a network was trained before"))


def test_a_set_is_made_with_the_network_of_a_file(worlds, tmp_path):
    table = MARS.read(worlds["mars"])
    weights, said = save_weights(RECIPE.network(2, 0), tmp_path / "small.safetensors"), []
    made = redetect_data_set(table, worlds["mars"], tmp_path / "out", weights=weights, say=said.append, **QUICK)
    assert len(MARS.read(made)) == len(table)
    assert said == [
        f"{weights}: left out 1 tensor (neck.classifier.weight); it says no size of pictures, 32 x 16 pixels are taken"
    ]


@pytest.fixture
def ssdlite():
    try:
        metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{PACKAGE} is not installed: see requirements-weights.txt")
    return SSDLite()


def test_tracklets_are_drawn_anew_around_the_people_that_ssdlite_finds(ssdlite, worlds, tmp_path):
    table = MARS.read(worlds["mars"])
    pictures = [read_picture(path) for path in table.path]
    found = np.array([len(boxes) > 0 for boxes in ssdlite(pictures, table)])
    assert 0 < found.sum() < len(found)
    weights = save_weights(RECIPE.network(2, 0), tmp_path / "small.safetensors")
    made = MARS.read(redetect_data_set(table, worlds["mars"], tmp_path / "out", "ssdlite", weights=weights, **QUICK))
    assert made[["pid", "camid", "tracklet", "split"]].equals(table[["pid", "camid", "tracklet", "split"]])
    new = [read_picture(path) for path in made.path]
    assert {picture.shape for picture in new} == {(64, 32, 3)}
    changed = np.array([np.abs(a.astype(float) - b).mean() for a, b in zip(pictures, new)])
    assert np.median(changed[found]) > 2 * changed[~found].max()


def test_detectors_are_known_by_their_names(ssdlite, worlds):
    assert [detector_of(name, worlds["mars"]).name for name in ("ssdlite", "hog", "truth")] == [
        "ssdlite",
        "hog",
        "truth",
    ]
    with pytest.raises(ConfigError, match="--detector: there is none called 'ssd-lite'; did you mean 'ssdlite'"):
        detector_of("ssd-lite", worlds["mars"])


def test_a_set_without_tracklets_is_refused_before_the_training(worlds, tmp_path, untrained):
    table = MARKET1501.read(worlds["market1501"])
    with pytest.raises(DataError, match=rf"{len(table)} pictures of {len(table)} are in no tracklet, .*\.jpg; re-Det"):
        redetect_data_set(table, worlds["market1501"], tmp_path / "out", **QUICK)
    assert not (tmp_path / "out").exists()


def test_what_the_layout_cannot_hold_is_refused_before_the_training(worlds, tmp_path, untrained):
    table = MARS.read(worlds["mars"])
    for rows, words in (
        (table[table.split == "train"], "split 'gallery' has no rows"),
        (table[table.split != "train"], "split 'train' has no rows"),
        (
            table[(table.split != "gallery") | (table.tracklet != table.tracklet[table.split == "query"].iloc[0])],
            "query",
        ),
    ):
        with pytest.raises(DataError, match=words):
            redetect_data_set(rows, worlds["mars"], tmp_path / "out", **QUICK)


def test_the_place_is_checked_before_the_training(worlds, tmp_path, untrained, monkeypatch):
    table = MARS.read(worlds["mars"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for out, words in (
        (tmp_path / "link", "is a link or a mounted disk"),
        (worlds["mars"] / "linked", "lies in the folder of the data set"),
        ("/proc/mine", "/proc/mine: cannot be written"),
        (worlds["market1501"], "is there already and not empty"),
    ):
        with pytest.raises(ReidlabError, match=words):
            redetect_data_set(table, worlds["mars"], out, **QUICK)
    with pytest.raises(ConfigError, match="detector"):
        redetect_data_set(table, worlds["mars"], tmp_path / "out", "yolo", **QUICK)


def test_numbers_without_room_in_the_names_are_counted_from_1(worlds, tmp_path):
    table = MARS.read(worlds["mars"])
    high = table.assign(pid=np.where(table.pid > 0, table.pid + 100_000, table.pid), camid=table.camid + 9)
    weights, said = save_weights(RECIPE.network(2, 0), tmp_path / "small.safetensors"), []
    made = redetect_data_set(high, tmp_path / "set", tmp_path / "out", weights=weights, say=said.append, **QUICK)
    found, people = MARS.read(made), pd.read_csv(made / redetect.IDENTITIES)
    assert said[0].startswith(
        f"{table.attrs['dataset']}: identities to 100,004 have no room in MARS's names; its 4 peo"
    )
    assert "cameras to 11 have no room in MARS's names; its 2 cameras are counted from 1" in said[1]
    assert people.before.tolist() == sorted(set(high.pid[high.pid > 0]))
    assert sorted(found.camid.unique()) == [1, 2]
    who = dict(zip(people.pid, people.before))
    assert sorted(found.pid.replace(who)) == sorted(high.pid)


def test_a_set_never_stands_there_without_the_table_of_its_numbers(worlds, tmp_path, monkeypatch):
    table = MARS.read(worlds["mars"])
    high = table.assign(pid=np.where(table.pid > 0, table.pid + 100_000, table.pid))
    weights = save_weights(RECIPE.network(2, 0), tmp_path / "small.safetensors")

    write = pd.DataFrame.to_csv

    def on_a_full_disk(self, path, **options):
        if Path(path).name == redetect.IDENTITIES:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(self, path, **options)

    monkeypatch.setattr(pd.DataFrame, "to_csv", on_a_full_disk)
    with pytest.raises(StorageError):
        redetect_data_set(high, tmp_path / "set", tmp_path / "out", weights=weights, **QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["small.safetensors"]


def test_more_than_there_is_room_for_is_refused_by_name(worlds, tmp_path, untrained):
    table = MARS.read(worlds["mars"])
    name = table.attrs["dataset"]
    many = table.assign(camid=np.arange(len(table)) % 10 + 1)
    with pytest.raises(DataError, match=rf"^{name}: 10 cameras, and the layout of MARS, .* room for 9; give a folder"):
        redetect_data_set(many, worlds["mars"], tmp_path / "out", **QUICK)
    with pytest.raises(DataError, match=rf"^{name}: split 'gallery' has no rows"):
        redetect_data_set(table[table.split == "train"], worlds["mars"], tmp_path / "out", **QUICK)
