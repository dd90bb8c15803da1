"""Chapter 1's studies on tiny worlds: what is fitted on what, and that one seed measures the same twice."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from reidlab import baseline, data
from reidlab.baseline import studies, tour
from reidlab.baseline.knobs import KNOBS
from reidlab.data import across_cameras
from reidlab.data.decoded import DataSet, from_table
from reidlab.errors import ConfigError
from reidlab.evaluation import evaluate
from reidlab.models import read_onnx
from reidlab.study import EMBEDDED, Condition, Place
from reidlab.study.rows import with_dims
from reidlab.study.sheets import Retrieval, ranked_sheet
from reidlab.training.recipe import Backbone, Recipe, picture_extractor
from tests.models import onnx_graphs

pytestmark = pytest.mark.usefixtures("coarse_worlds")
RECIPE = Recipe((32, 16), Backbone(width=8, blocks=(1, 1, 1, 1)), optimisation={"p": 4, "k": 2})


@pytest.fixture(scope="module")
def study(coarse_worlds):
    return baseline.BaselineStudy(recipe=RECIPE, steps={"train": 6}, people=4, cameras=2, knobs=["box_jitter", "drift"])


@pytest.fixture(scope="module")
def place(study):
    return study.place(EMBEDDED, 3)


@pytest.fixture(scope="module")
def measured(study, place):
    return study.measure_at(place)


def test_every_row_can_be_recorded_and_is_complete(study, measured):
    from reidlab import lab

    run = lab.start("made_up")
    for row in measured.rows:
        run.record(**row)
    table = lab.records.expand(run.records())
    rank1 = table[table.key == "rank1"]
    assert sorted(rank1.method.dropna()) == ["histogram", "network", "untrained"]
    turned = rank1[rank1.experiment == "knob"]
    assert set(zip(turned.knob, turned.level)) == {(k, level) for k in study.knobs for level in ("off", "high")}
    crossed = rank1[rank1.experiment == "domain"]
    assert set(zip(crossed.train, crossed.test)) == {(a, b) for a in studies.SEASONS for b in studies.SEASONS}


def test_every_person_and_camera_is_a_query_at_every_level_of_a_difficulty(study, place, monkeypatch):
    asked = []
    score = DataSet.score

    def counted(data, *arguments, **options):
        scores = score(data, *arguments, **options)
        asked.append((scores.num_valid, len(scores.per_query)))
        return scores

    monkeypatch.setattr(DataSet, "score", counted)
    assert len(list(study.vary(place))) > 0
    assert len(asked) == 4
    assert all(valid == queries >= study.people for valid, queries in asked)


def test_one_seed_measures_the_same_twice(study, measured):
    assert study.measure(EMBEDDED, 3).rows == measured.rows


def test_nobody_is_in_training_and_test(place):
    data = place.target
    assert not set(data.train.pids) & (set(data.query.pids) | set(data.gallery.pids))


def test_what_is_kept_scores_as_what_was_measured(measured, place):
    found = Retrieval.from_arrays(measured.kept, "network")
    rank1 = [row["value"] for row in measured.rows if row["key"] == "rank1" and row.get("method") == "network"]
    assert found.score(place.target.protocol).rank(1) == rank1[0]


def test_seasons_share_place_and_cameras(study):
    from reidlab.world import Scene

    summer, winter = (Scene(study.world(3).with_(winter=w)) for w in studies.SEASONS.values())
    assert summer.cameras == winter.cameras
    assert sorted(zip(summer.visits.pid, summer.visits.camid)) == sorted(zip(winter.visits.pid, winter.visits.camid))
    assert [p.upper for p in summer.people.values()] != [p.upper for p in winter.people.values()]


def test_methods_see_training_rows_only(study, place, monkeypatch):
    seen = []
    learn = Recipe.learn

    def spied(recipe, pictures, *arguments):
        seen.append(set(pictures.table.split))
        return learn(recipe, pictures, *arguments)

    monkeypatch.setattr(Recipe, "learn", spied)
    fresh = Place(study, EMBEDDED, 3, place.data)
    assert fresh.run(Condition("network")).scores == place.run(Condition("network")).scores
    assert seen == [{"train"}]


def test_untrained_weights_depend_on_the_seed_alone():
    same, again, other = (RECIPE.network(5, seed).state_dict() for seed in (1, 1, 2))
    assert all(np.array_equal(same[k], again[k]) for k in same)
    assert any(not np.array_equal(same[k], other[k]) for k in same)


def test_every_knob_has_an_off_and_a_high_that_differ():
    for name, knob in KNOBS.items():
        off, high = knob.levels["off"], knob.levels["high"]
        assert off.keys() == high.keys(), name
        assert all(high[field] > off[field] == 0 for field in off), name


def test_an_unknown_knob_method_or_parameter_is_named():
    with pytest.raises(ConfigError, match="knobs: there is none called 'fog'"):
        baseline.BaselineStudy(recipe=RECIPE, steps={"train": 6}, knobs=["fog"])
    with pytest.raises(ConfigError, match="methods: there is none called 'netwrk'; did you mean 'network'"):
        baseline.BaselineStudy(recipe=RECIPE, steps={"train": 6}, methods=["netwrk"])
    with pytest.raises(ConfigError, match="train: 0 is not allowed"):
        baseline.BaselineStudy(recipe=RECIPE, steps={"train": 0})
    with pytest.raises(ConfigError):
        data.on_this_machine(["no-such-set"])


def test_the_walk_down_the_worked_example_ends_in_its_scores():
    query, gallery = tour.one_query()
    rows = tour.walk(query, gallery)
    fractions = [text.split(" / ") for text in rows.precision if text]
    precisions = [int(a) / int(b) for a, b in fractions]
    scores = evaluate(query, gallery, "market1501")
    assert scores.mAP == pytest.approx(np.mean(precisions))
    assert scores.mINP == pytest.approx(precisions[-1])
    assert (rows["counts as"].str.endswith("ignored") == (rows["rank"] == "")).all()


def test_pictures_of_the_tour_fit_their_labels(place, measured):
    sheet = tour.people_by_cameras(place.target.query.table, 3)
    assert len(sheet.pictures) == len(sheet.row_labels) == 3
    assert all(len(row) == len(sheet.column_labels) == 2 for row in sheet.pictures)
    found = Retrieval.from_arrays(measured.kept, "network")
    ranked = ranked_sheet(place.target, found, "market1501", count=3, top=4)
    assert [len(m) for m in ranked.matches] == [4, 4, 4]
    assert float(ranked.row_labels[0].split()[1]) >= float(ranked.row_labels[-1].split()[1])


class Halved:
    """A start that halves the first convolution."""

    def apply(self, model):
        with torch.no_grad():
            model.backbone.conv1.weight /= 2

    def __str__(self):
        return "halved"


def test_starts_are_compared_with_their_own_number_of_steps(study, place, measured):
    begun = {"scratch": RECIPE, "imagenet": replace(RECIPE, start=Halved())}
    other = replace(study, starts=begun, knobs=(), methods=["network"])
    rows = {}
    for steps in (6, 2):
        shorter = replace(other, start_steps={"train": steps})
        there = Place(shorter, EMBEDDED, 3, place.data)
        there.results = {there._key(Condition("network")): place.run(Condition("network"))} if steps == 2 else {}
        for condition in shorter.conditions(there):
            rows[condition.start, steps] = there.run(condition).scores
    assert rows["", 6] == rows["", 2] == rows["scratch", 6]  # the same recipe and the same steps
    assert len({str(rows[key]) for key in (("", 6), ("scratch", 2), ("imagenet", 6), ("imagenet", 2))}) == 4
    assert other.start_names() == ["scratch", "halved"]
    (condition, *_) = [item for item in other.conditions(place) if item.start]
    assert condition.dims == {"experiment": "starts", "start": "scratch", "method": "mobilenetv2"}


def test_real_sets_are_scored_from_every_start_and_by_a_published_embedder(study, place, tmp_path, monkeypatch):
    onnx.save(onnx_graphs.plain(), tmp_path / "embedder.onnx")
    table = data.load_world(study.world(3))
    decoded = []

    def from_name(name, size, seed, protocols):
        decoded.append(size)
        return from_table(table, size, name, protocols=protocols)

    monkeypatch.setattr(studies, "load", lambda name: table)
    monkeypatch.setattr(studies, "from_name", from_name)
    begun = {"scratch": RECIPE, "imagenet": replace(RECIPE, start=Halved())}
    other = replace(
        study,
        starts=begun,
        methods=["histogram", "network"],
        steps={"train": 2},
        embedder=str(tmp_path / "embedder.onnx"),
    )
    rows = [with_dims(row) for row in other.on_real(Place(other, EMBEDDED, 3, place.data), "street")]
    found = {(row["test"], row.get("experiment"), row["method"], row.get("start")) for row in rows}
    assert found == {
        (test, *which)
        for test in ("unseen", "held_out")
        for which in (
            (None, "histogram", None), (None, "network", None), ("starts", "mobilenetv2", "scratch"),
            ("starts", "mobilenetv2", "imagenet"), ("starts", "embedder", "embedder"),
        )
    }  # fmt: skip
    assert decoded == [(32, 16), onnx_graphs.SIZE]
    assert not any("world" in row for row in rows)
    extractor = picture_extractor(read_onnx(tmp_path / "embedder.onnx"))
    byhand = from_table(table, onnx_graphs.SIZE).score(extractor, "market1501").mAP
    assert byhand in [row["value"] for row in rows if row["method"] == "embedder" and row["test"] == "held_out"]


def test_a_description_says_which_real_sets_there_are(study, monkeypatch):
    before = study.describe()
    monkeypatch.setattr(studies, "on_this_machine", lambda names: {"street": None})
    assert study.describe() != before


@pytest.mark.real_data
def test_real_pictures_are_measured_unseen_and_held_out(study, place):
    found = data.on_this_machine(["pku-reid"])
    if not found:
        pytest.skip("PKU-Reid is not on this machine (REIDLAB_DATA)")
    assert Path(found["pku-reid"].path).is_dir()
    everybody = from_table(across_cameras(data.load("pku-reid")).table(), (32, 16), train=False)
    assert everybody.score(place.run(Condition("histogram")).model).num_valid == 592
    rows = list(study.on_real(place, "pku-reid"))
    assert {(row["test"], row["method"]) for row in rows} == {
        (test, method) for test in ("unseen", "held_out") for method in ("histogram", "untrained", "network")
    }
