"""Chapter 2b's study on a tiny world: boxes drawn anew, cheaper attention, corrected labels."""

from dataclasses import replace

import numpy as np
import pytest

from reidlab.errors import ConfigError
from reidlab.evaluation import evaluate
from reidlab.study import EMBEDDED
from reidlab.training.recipe import Backbone, Recipe
from reidlab.video import costs, looking
from reidlab.video.costs import AXIAL
from reidlab.video.linking import CLEANED, PROTOCOL, LinkStudy
from reidlab.video.methods import linked_set
from tests.video.conftest import rows_of


@pytest.fixture(scope="module")
def study(coarse_worlds):
    return LinkStudy(
        recipe=Recipe((32, 16), Backbone(width=8, blocks=(1, 1, 1, 1)), optimisation={"p": 4, "k": 2}, frames=3),
        steps={"pictures": 2, "clips": 10}, networks=("c2d", "ap3d"), detectors=("truth", "hog"),
        people=4, tracklet_frames=4,
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(study):
    return study.place(EMBEDDED, 1)


@pytest.fixture(scope="module")
def small(study):
    """A part of the study, measured in a place of its own."""
    part = replace(study, networks=("c2d",), detectors=("truth",), axial=False)
    return part, part.measure(EMBEDDED, 1)


def test_every_row_can_be_recorded(measured):
    from reidlab import lab

    run = lab.start("made_up")
    for row in measured.rows:
        run.record(**row)
    assert len(run.records()) == len(measured.rows)


def test_every_network_meets_every_kind_of_tracklet(study, measured):
    found = {(row["link"], row["network"]) for row in rows_of(measured, key="mAP", experiment="link")}
    plain = {("none", name) for name in study.networks}
    assert found == plain | {(link, name) for link in ("truth", "hog") for name in (*study.networks, "cf-aan")}


def test_a_second_budget_measures_the_same_table_again(study, small):
    """The short budget's rows are those of a study with that budget alone; the long one's stay as they were."""
    part, first = small
    both = replace(part, steps={**study.steps, "clips": 11}, short={"clips": study.steps["clips"]})
    both = both.measure(EMBEDDED, 1)
    wanted = {"key": "mAP", "network": "c2d"}
    alone = {row["link"]: row["value"] for row in rows_of(first, experiment="link", **wanted)}
    again = {row["link"]: row["value"] for row in rows_of(both, experiment="link-short", **wanted)}
    longer = {row["link"]: row["value"] for row in rows_of(both, experiment="link", **wanted)}
    assert again == alone
    assert set(longer) == set(alone)
    assert longer != alone


def test_a_short_budget_must_be_one(study):
    with pytest.raises(ConfigError, match="clips: 0"):
        replace(study, short={"clips": 0})
    assert list(replace(study, short={"clips": 10}).experiments) == ["link"]
    assert list(replace(study, short={"clips": 9}).experiments) == ["link", "link-short"]


def test_rows_of_the_module_table(measured):
    rows = rows_of(measured, key="mAP", experiment="axial")
    modules = [row for row in rows if row["network"] in ("axial", "cf-aan")]
    dims = [{name: row[name] for name in ("network", "scales", "heads", "encoding")} for row in modules]
    assert dims == [dict(wanted) for wanted, _ in AXIAL]
    assert [row["link"] for row in rows if row["network"] == "c2d"] == ["none", "truth"]
    assert all(options["heads"] * options.get("scales", 1) == wanted["heads"] for wanted, options in AXIAL)


def test_corrected_labels_score_the_same_embeddings(study, place, measured):
    for name in ("c2d", "cf-aan"):
        found = place.run(study.condition(name, "truth")).detail.found
        again = [evaluate(*found, protocol) for protocol in place.target.protocols]
        assert [score.protocol for score in again] == [PROTOCOL, CLEANED]
        for score, labels in zip(again, ("given", "cleaned")):
            (row,) = rows_of(measured, key="mAP", experiment="cleaned", network=name, labels=labels)
            assert row["value"] == score.mAP
            assert row["protocol"] == score.protocol


def test_sets_hold_the_same_tracklets_and_other_pictures(place):
    none, truth = place.target, linked_set(place, "truth")[0]
    for part in ("train", "query", "gallery"):
        before, after = getattr(none, part), getattr(truth, part)
        assert before.table.equals(after.table)
        assert before.images.shape == after.images.shape
        assert after.masks.shape == (len(after.table), 4)
    assert not np.array_equal(none.train.images, truth.train.images)


def test_boxes_are_measured_against_the_truth(measured):
    values = {row["link"]: row["value"] for row in rows_of(measured, key="box_iou")}
    assert set(values) == {"none", "truth", "hog"}
    assert all(0 < value <= 1 for value in values.values())
    assert values["truth"] > values["none"]


def test_one_seed_measures_the_same_twice(measured, small):
    wanted = {"experiment": "link", "network": "c2d"}
    assert rows_of(small[1], **wanted) == [row for row in rows_of(measured, **wanted) if row["link"] != "hog"]


def test_what_is_kept_is_of_the_tracklets_shown(study, place, measured):
    kept = measured.kept
    assert kept["shown"] == looking.slipping(place.target, 4)
    after = linked_set(place, "truth")[0]
    for number, pictures, masks in zip(kept["shown"], kept["after"], kept["masks"], strict=True):
        rows = after.query.frames_of(number, study.recipe.frames)
        np.testing.assert_array_equal(pictures, after.query.images[rows])
        np.testing.assert_array_equal(masks, after.query.masks[rows])
    assert kept["before"].shape == kept["after"].shape
    assert len(kept["drift"]) == 2 * len(place.target.gallery)


def test_faults_are_shown_beside_the_person_they_are_of(place):
    data = place.target
    examples = looking.fault_examples(data, 3)
    truth = looking.truth_of_test(data)
    assert len(examples) <= truth.loc[truth["fault"] != "", "fault"].nunique()
    for title, pair in examples:
        assert title.split(":")[0] in looking.KINDS.values()
        assert [pictures.shape[0] for _, pictures in pair] == [3, 3]


def test_the_report_leaves_junk_out(place, measured):
    report, table = measured.kept["audit"], place.target.gallery.table
    assert (report["pid"] >= 0).all()
    assert not set(table.loc[table["pid"] < 0, "tracklet"]) & set(report["tracklet"])


def test_module_labels_tell_all_rows_apart(measured):
    import pandas as pd

    rows = pd.DataFrame(rows_of(measured, key="mAP", experiment="axial"))
    labels = looking.module_labels(rows)
    assert len(set(labels)) == len(rows)
    assert "c2d (as tracked)" in labels


def test_cost_records_can_be_recorded_and_add_up(study, monkeypatch):
    from reidlab import lab

    counted = costs.cf_aan_costs()
    monkeypatch.setattr(costs, "cf_aan_costs", lambda: counted)  # counting takes seconds
    run = lab.start("made_up")
    for row in study.facts():
        run.record(**row)
    table = lab.records.expand(run.records())
    added = table[(table.key == "macs_added") & (table["view"] == "table-2.8") & (table.network == "non-local")]
    assert round(added["value"].item() / 1e9, 3) == 17.213
    kinds = costs.by_kind(counted)
    for row in counted:
        assert kinds.loc[costs.label(row)].sum() == pytest.approx(row.cost.macs() / 1e9)


def test_mistakes_are_named(study):
    with pytest.raises(ConfigError, match="networks: there is none called 'c3d'"):
        replace(study, networks=("c3d",))
    with pytest.raises(ConfigError, match="detectors: expected at least one"):
        replace(study, detectors=())
