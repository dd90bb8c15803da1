"""Chapter 2a's study on tiny worlds: what is trained on what, and which rows it gives."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch

from reidlab.data.decoded import from_table
from reidlab.errors import ConfigError, DataError
from reidlab.evaluation import evaluate
from reidlab.study import EMBEDDED
from reidlab.study.sheets import Retrieval, ranked_sheet
from reidlab.training.recipe import Backbone, BackboneOf, Recipe
from reidlab.video import costs, looking
from reidlab.video.methods import image_network, stripes_of
from reidlab.video.networks import PROTOCOL, NetworkStudy, latency
from tests.video.conftest import rows_of

RECIPE = Recipe((32, 16), Backbone(width=8, blocks=(1, 1, 1, 1)), optimisation={"p": 4, "k": 2}, frames=4)


@pytest.fixture(scope="module")
def study(coarse_worlds):
    return NetworkStudy(
        recipe=RECIPE, steps={"pictures": 2, "clips": 11}, short={"clips": 10},
        networks=("c2d", "nvan", "nvan-spatial"), people=4, tracklet_frames=5,
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _counted_once():
    """Counting NVAN's networks takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "nvan_costs", functools.cache(costs.nvan_costs))
        yield


@pytest.fixture(scope="module")
def place(study):
    return study.place(EMBEDDED, 3)


def test_every_row_can_be_recorded(measured):
    from reidlab import lab

    run = lab.start("made_up")
    for row in measured.rows:
        run.record(**row)
    assert {row["protocol"] for row in measured.rows if row["key"] == "mAP"} == {PROTOCOL}


def test_both_budgets_and_all_tables_are_there(measured):
    for experiment in ("networks", "networks-short"):
        found = {row["network"] for row in rows_of(measured, key="mAP", experiment=experiment)}
        assert found == {"c2d", "nvan", "nvan-spatial"}
    assert [row["frames"] for row in rows_of(measured, key="mAP", experiment="frames")] == [2, 3, 4]
    assert [row["layers"] for row in rows_of(measured, key="mAP", experiment="layers")] == [1, 3, 5]
    assert [row["pooling"] for row in rows_of(measured, key="mAP", experiment="pooling")] == list(costs.POOLING)


def test_a_variant_that_is_a_row_of_the_first_table_is_not_trained_again(measured):
    (plain,) = rows_of(measured, key="mAP", experiment="networks-short", network="nvan")
    for dims in ({"experiment": "frames", "frames": 4}, {"experiment": "layers", "layers": 5}, {"pooling": "3dap"}):
        (row,) = rows_of(measured, key="mAP", **dims)
        assert row["value"] == plain["value"]


def test_gains_are_differences(measured):
    gains = rows_of(measured, key="mAP_gain", experiment="networks")
    values = {row["network"]: row["value"] for row in rows_of(measured, key="mAP", experiment="networks")}
    assert gains
    for row in gains:
        assert row["value"] == pytest.approx(values[row["network"]] - values[row["reference"]])


def test_equal_budgets_are_recorded_as_both_experiments(study):
    once = replace(study, steps={"pictures": 2, "clips": 10}, networks=("c2d",), ablations=())
    rows = [row for row in once.measure(EMBEDDED, 3).rows if row.get("experiment") and row["key"] == "mAP"]
    assert [row["experiment"] for row in rows] == ["networks", "networks-short"]
    assert rows[0]["value"] == rows[1]["value"]


def test_scores_are_those_of_the_embeddings(measured, place):
    found = Retrieval.from_arrays(measured.kept, "nvan")
    (row,) = rows_of(measured, key="rank1", experiment="networks", network="nvan")
    assert evaluate(*found, PROTOCOL).rank(1) == row["value"]
    assert not set(place.target.train.pids) & set(place.target.query.pids)


def test_one_seed_measures_the_same_twice(study, measured):
    again = replace(study, ablations=()).measure(EMBEDDED, 3)
    first = [row for row in measured.rows if row.get("experiment", "").startswith("networks")]
    assert [row for row in again.rows if not row.get("timing")] == first


def test_all_networks_start_from_the_network_for_single_pictures(study, place):
    start = BackboneOf(image_network(place))
    for name in ("c2d", "ste-nvan"):
        model = study.network(name, 4, 0, start, **({} if name == "c2d" else {"stripes": 1}))
        for key, value in image_network(place).backbone.state_dict().items():
            assert torch.equal(model.backbone.state_dict()[key], value)


def test_query_pictures_are_those_of_the_gallery(place):
    data = place.target
    np.testing.assert_array_equal(data.query.images, data.gallery.images[data.rows_of_query])
    assert set(data.query.table["split"]) == {"query"}


def test_stripes_keep_the_rows_that_sixteen_have_in_the_dissertation(study):
    assert stripes_of((256, 128)) == 16
    assert stripes_of((64, 32)) == 4
    assert list(replace(study, recipe=replace(RECIPE, size=(256, 128))).variants("stripes")) == [4, 8, 16]


def test_mistakes_are_named(study, place, monkeypatch):
    with pytest.raises(ConfigError, match="networks: there is none called 'nvam'"):
        replace(study, networks=("nvam",))
    with pytest.raises(ConfigError, match="ablations: there is none called 'depth'"):
        replace(study, ablations=("depth",))
    with pytest.raises(ConfigError, match="pictures: 0 is not allowed"):
        replace(study, steps={"pictures": 0, "clips": 1})
    with pytest.raises(ConfigError, match="recipe: it has no frames"):
        replace(study, recipe=replace(RECIPE, frames=None))
    table = place.target.train.table
    with pytest.raises(DataError, match="'query'"):
        from_table(table, (32, 16), "half a set")
    untracked = place.target.query
    untracked = replace(place.target, query=replace(untracked, table=untracked.table.assign(tracklet=-1)))
    monkeypatch.setattr("reidlab.study.study.from_world", lambda *_: untracked)
    with pytest.raises(DataError, match="in no tracklet"):
        study.place(EMBEDDED, 3)


def test_what_is_looked_at(measured, place):
    data, kept = place.target, measured.kept
    shown = looking.slipping(data, 2)
    assert kept["shown"][:2] == shown
    sheet = looking.tracklet_sheet(data, shown, 3)
    assert [len(row) for row in sheet.pictures] == [3, 3]
    rows = data.query.frames_of(shown[0], 4)
    assert (data.query.tracklets[rows] == shown[0]).all()
    assert data.query.table["frame"].iloc[rows].is_monotonic_increasing
    model = place.run(place.study.condition("nvan")).model
    weights = looking.attention(model, data.query.images[rows], stage=2, query=(1, 0, 0))
    assert weights.shape == (4, 4, 2)
    assert weights.sum() == pytest.approx(1.0, abs=1e-5)
    assert kept["attention"].shape == (len(kept["shown"]), 4, 4, 2)
    assert kept["attention"].sum(axis=(1, 2, 3)) == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(ConfigError, match="no non-local block"):
        looking.attention(model, data.query.images[rows], stage=1, query=(0, 0, 0))
    with pytest.raises(ConfigError, match="none of that number"):
        data.query.frames_of(10**6, 4)
    ranked = ranked_sheet(data, Retrieval.from_arrays(kept, "nvan"), PROTOCOL, 2, 3)
    assert [len(row) for row in ranked.matches] == [3, 3]
    truth = looking.truth_of_test(data)
    share = truth.groupby("tracklet")["drift"].mean()
    asked = share[share.index.isin(data.query.tracklets)]
    assert abs(share[shown[0]] - 1 / 3) == (asked - 1 / 3).abs().min()
    assert set(kept["histories"]["network"]) == set(place.study.networks)


def test_structure_shows_where_frames_are_merged():
    boxes = looking.structure("ste-nvan", 8, (256, 128))
    assert [caption.split("\n")[0] for _, caption in boxes[:-1]] == ["T = 8", "T = 8", "T = 4", "T = 2", "T = 2"]
    assert boxes[2][0].endswith("2 attention")


def test_latency_is_a_positive_time(study, measured):
    assert 0 < latency(study.network("c2d", 1, 0), 2, (32, 16), repeats=3) < 10
    rows = rows_of(measured, key="latency_ms")
    assert [row["network"] for row in rows] == list(study.networks)
    assert all(row["timing"] and row["unit"] == "ms" and row["value"] > 0 for row in rows)


def test_small_costs_are_those_of_the_networks(study):
    table = study.small_costs(study.networks)
    assert (table.loc["nvan"] > table.loc["c2d"]).all()


def test_costs_of_the_tables_to_the_printed_digits():
    """Parameters in millions and operations in 1e9, measured on the original implementations."""
    expected = {
        "c2d": (24.79, 32.43), "nvan": (32.15, 63.57), "nvan-spatial": (32.15, 33.43), "nvan-temporal": (32.15, 42.63),
        "ste-nvan-released": (32.15, 17.67),
    }  # fmt: skip
    counted = {row.dims["network"]: row.cost for row in costs.nvan_costs() if row.dims["experiment"] == "networks"}
    for name, (params, macs) in expected.items():
        assert round(counted[name].params() / 1e6, 2) == params
        assert round(counted[name].view("whole"), 2) == macs
    six = {costs.label(row): row.cost for row in costs.cf_aan_costs() if row.dims["experiment"] == "axial"}
    whole = {"c2d": 24.32, "non-local": 43.85, "cf-aan, scales 4, heads 8, relative": 30.60}
    assert {name: round(six[name].view("whole"), 2) for name in whole} == whole
    assert round(six["cf-aan, scales 4, heads 8, relative"].params() / 1e6, 2) == 34.23


def test_cost_records_are_complete_and_consistent(study):
    from reidlab import lab

    run = lab.start("made_up")
    for row in study.facts():
        run.record(**row)
    table = lab.records.expand(run.records())
    saved = table[(table.key == "macs_saved") & (table.network == "ste-nvan") & (table.reference == "c2d")]
    macs = table[(table.key == "macs") & (table.experiment == "networks")].set_index("network")["value"]
    assert saved["value"].item() == pytest.approx(1 - macs["ste-nvan"] / macs["c2d"])
