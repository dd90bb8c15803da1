"""The embedded world, written and read back through every layout it has."""

import pandas as pd
import pytest

from reidlab.data import catalogue, load_world
from reidlab.data.embedded import LAYOUTS
from reidlab.errors import ConfigError
from reidlab.world import LAYOUTS as WRITTEN
from reidlab.world import WorldSpec

SPEC = WorldSpec(
    name="tiny", seed=3, train_people=4, test_people=4, distractors=1, cameras=2, visits=1, shots=2, occluders=1,
    frame_width=240, frame_height=160, tracklet_frames=4, mot_seconds=20.0, frame_rate=2.0, sites=2, crop_height=32,
    crop_width=16,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REIDLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_every_written_layout_has_a_reader():
    assert set(LAYOUTS) == set(WRITTEN)


@pytest.mark.parametrize("layout", ["market1501", "sites"])
def test_pictures_come_back_as_they_were_written(layout):
    table = load_world(SPEC, layout)
    truth = pd.read_parquet(catalogue.make_world(SPEC, layout).path / "truth.parquet")
    columns = ["split", "label", "camid", "frame"]
    found = table.rename(columns={"pid": "label"})[columns].sort_values(columns).to_numpy().tolist()
    assert found == truth[columns].sort_values(columns).to_numpy().tolist()
    assert table.attrs["dataset"] == "tiny"


def test_tracklets_come_back_as_they_were_written():
    table = load_world(SPEC, "mars")
    truth = pd.read_parquet(catalogue.make_world(SPEC, "mars").path / "truth.parquet")
    for split, part in (("train", "train"), ("gallery", "test")):
        columns = ["tracklet", "label", "camid"]
        found = table[table.split == split].rename(columns={"pid": "label"})[columns]
        assert found.to_numpy().tolist() == truth[truth.split == part][columns].to_numpy().tolist()
    query = table[table.split == "query"]
    assert set(query.path) <= set(table[table.split == "gallery"].path)
    assert query.groupby(["pid", "camid"]).tracklet.nunique().eq(1).all()


def test_people_are_the_same_in_all_videos():
    table = load_world(SPEC, "mot")
    assert set(table.camid) == {1, 2}
    assert set(table.split) == {"train", "gallery"}
    assert table.pid.between(1, 10).all()
    assert (table[["w", "h"]] > 0).all(axis=None)


def test_overrides_change_the_world():
    assert load_world(SPEC, train_people=2).query("split == 'train'").pid.nunique() == 2


def test_what_is_unknown_is_named():
    with pytest.raises(ConfigError, match="layout: there is none called 'voc'"):
        load_world(SPEC, "voc")
    with pytest.raises(ConfigError, match="scenario: there is none called"):
        load_world("no such place")
    with pytest.raises(ConfigError, match="layout: there is none called 'voc'"):
        catalogue.make_world(SPEC, "voc")


def test_a_world_can_be_written_to_a_folder_of_ones_own(tmp_path):
    world = catalogue.make_world(SPEC, out=tmp_path / "mine", train_people=2, test_people=2)
    assert (world.path, world.layout, world.name) == (tmp_path / "mine", "market1501", "tiny")
    assert world.pictures == len(list((tmp_path / "mine").rglob("*.jpg")))
    assert catalogue.check(world.path).ok
