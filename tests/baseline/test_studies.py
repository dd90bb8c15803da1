"""Chapter 1's studies on tiny worlds: what is fitted on what, and that one seed measures the same twice."""

import os
from pathlib import Path

import numpy as np
import pytest

from reidlab import baseline, data
from reidlab.baseline import studies, tour
from reidlab.baseline.knobs import KNOBS
from reidlab.errors import ConfigError, DataError
from reidlab.evaluation import evaluate

pytestmark = pytest.mark.xdist_group("baseline")


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    before = os.environ.get("REIDLAB_CACHE")
    os.environ["REIDLAB_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("REIDLAB_CACHE")
    if before is not None:
        os.environ["REIDLAB_CACHE"] = before


@pytest.fixture(scope="module")
def study():
    return baseline.Study(
        baseline.recipe(6, (32, 16), p=4, k=2),
        baseline.Network(width=8),
        people=6,
        cameras=2,
        knobs=["box_jitter", "drift"],
    )


@pytest.fixture(scope="module")
def measured(study):
    return study.measure(3)


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


def test_every_person_before_every_camera_asks_whatever_the_knob(study, measured):
    extractor = measured.outcomes["histogram"].extractor
    for knob, level, scores in study.turn_knobs(extractor, 3):
        assert scores.num_valid == len(scores.per_query) >= study.people, (knob, level)


def test_one_seed_measures_the_same_twice(study, measured):
    assert study.measure(3).rows == measured.rows


def test_nobody_is_in_training_and_test(measured):
    train, query, gallery = measured.data
    assert not set(train.pid) & (set(query.pid) | set(gallery.pid))


def test_seasons_share_place_and_cameras(study):
    from reidlab.world import Scene

    summer, winter = (Scene(study.world(3).with_(winter=w)) for w in studies.SEASONS.values())
    assert summer.cameras == winter.cameras
    assert sorted(zip(summer.visits.pid, summer.visits.camid)) == sorted(zip(winter.visits.pid, winter.visits.camid))
    assert [p.upper for p in summer.people.values()] != [p.upper for p in winter.people.values()]


def test_methods_see_training_rows_only(study, measured):
    seen = []

    class Spy:
        name = "spy"

        def fit(self, train, seed):
            seen.append(set(train.split))
            return baseline.ColourHistogram().fit(train, seed)

    outcome = baseline.compare([Spy()], measured.data, 0)["spy"]
    assert seen == [{"train"}]
    assert outcome.scores.mAP == measured.outcomes["histogram"].scores.mAP


def test_untrained_weights_depend_on_the_seed_alone(study):
    same, again, other = (baseline.Network(width=8).build(5, seed).state_dict() for seed in (1, 1, 2))
    assert all(np.array_equal(same[k], again[k]) for k in same)
    assert any(not np.array_equal(same[k], other[k]) for k in same)


def test_every_knob_has_an_off_and_a_high_that_differ():
    for name, knob in KNOBS.items():
        off, high = knob.levels["off"], knob.levels["high"]
        assert off.keys() == high.keys(), name
        assert all(high[field] > off[field] == 0 for field in off), name


def test_an_unknown_knob_or_parameter_is_named(study):
    with pytest.raises(ConfigError, match="none called 'fog'"):
        baseline.Study(study.config, knobs=["fog"])
    with pytest.raises(ConfigError, match="did you mean 'iterations'"):
        baseline.recipe(6, (32, 16), iteratons=3)
    with pytest.raises(ConfigError):
        data.on_this_machine(["no-such-set"])


def test_splits_names_what_is_empty(measured):
    with pytest.raises(DataError, match="split 'query' has no pictures"):
        baseline.splits(measured.data.train)


def test_the_walk_down_the_worked_example_ends_in_its_scores():
    query, gallery = tour.one_query()
    rows = tour.walk(query, gallery)
    fractions = [text.split(" / ") for text in rows.precision if text]
    precisions = [int(a) / int(b) for a, b in fractions]
    scores = evaluate(query, gallery, "market1501")
    assert scores.mAP == pytest.approx(np.mean(precisions))
    assert scores.mINP == pytest.approx(precisions[-1])
    assert (rows["counts as"].str.endswith("ignored") == (rows["rank"] == "")).all()


def test_pictures_of_the_tour_fit_their_labels(study, measured):
    sheet = tour.people_by_cameras(measured.data.query, 3)
    assert len(sheet.pictures) == len(sheet.row_labels) == 3
    assert all(len(row) == len(sheet.column_labels) == 2 for row in sheet.pictures)
    ranked = tour.ranked_pictures(measured.data, measured.outcomes["network"], count=3, top=4)
    assert [len(m) for m in ranked.matches] == [4, 4, 4]
    assert float(ranked.row_labels[0].split()[1]) >= float(ranked.row_labels[-1].split()[1])


@pytest.mark.real_data
def test_real_pictures_are_measured_unseen_and_held_out(study, measured):
    found = data.on_this_machine(["pku-reid"])
    if not found:
        pytest.skip("PKU-Reid is not on this machine (REIDLAB_DATA)")
    assert Path(found["pku-reid"].path).is_dir()
    rows = list(study.on_real("pku-reid", {"network": measured.outcomes["network"]}, 0))
    assert {(test, method) for test, method, _ in rows} == {
        ("unseen", "network"), ("held_out", "histogram"), ("held_out", "untrained"), ("held_out", "network"),
    }  # fmt: skip
    unseen = next(scores for test, _, scores in rows if test == "unseen")
    assert unseen.num_valid == 592
