"""What chapters 3 and 4 measure, on a toy data set: rows, references and budgets."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from sklearn.cluster import HDBSCAN

from reidlab.data.decoded import Pictures
from reidlab.errors import ConfigError
from reidlab.evaluation.clustering import purity
from reidlab.models import read_onnx
from reidlab.pseudolabel import adaptation, facts, looking, semi_supervised
from reidlab.pseudolabel.adaptation import METHODS as ADAPTATION
from reidlab.pseudolabel.adaptation import AdaptationStudy
from reidlab.pseudolabel.loop import LoopResult, PseudoLabelOptions, Round
from reidlab.pseudolabel.notes import looped, searched, split_purity, stages
from reidlab.pseudolabel.semi_supervised import CLUSTERERS, METHODS, SemiSupervisedStudy
from reidlab.study import EMBEDDED, Place, Result
from reidlab.study.sheets import mean_scores
from reidlab.training.recipe import Recipe, picture_extractor
from tests.models import onnx_graphs
from tests.pseudolabel import toy

STEPS = {"start": 10, "round": 3}


def place_of(study, label=EMBEDDED, **data):
    return Place(study, label, 0, {"target": toy.data_set(), **data})


def rows_at(study, label=EMBEDDED, **data):
    return study.measure_at(place_of(study, label, **data)).rows


@pytest.fixture(scope="module")
def few():
    options = PseudoLabelOptions("sg-ap", soft=True, progressive=True, rounds=6)
    study = SemiSupervisedStudy(recipe=toy.RECIPE, steps=STEPS, pseudo_labels=options, settings=("1/3", "1/6"))
    place = place_of(study)
    return study, study.measure_at(place), place


@pytest.fixture(scope="module")
def none():
    options = {"share": 0.05, "k1": 6, "k2": 2, "min_samples": 2}
    options = PseudoLabelOptions(
        "dbscan-ssg", options, homogeneity=True, deviations=0.5, mining=True, neighbours=3, metric="weighted", rounds=2
    )
    study = AdaptationStudy(recipe=toy.RECIPE, steps=STEPS, pseudo_labels=options)
    place = place_of(study, source=toy.data_set(seed=1), target=toy.data_set(tint=40))
    return study, study.measure_at(place), place


def rows_of(measured, **wanted):
    return [row for row in measured.rows if all(row.get(name) == value for name, value in wanted.items())]


@pytest.mark.parametrize("which", ["few", "none"])
def test_every_row_can_be_recorded_once(which, request):
    from reidlab import lab

    _, measured, _ = request.getfixturevalue(which)
    run = lab.start("made_up")
    for row in measured.rows:
        run.record(**row)
    assert len(run.records()) == len(measured.rows) > 0


def test_every_method_has_its_row(few):
    _, measured, _ = few
    found = {(row.get("labelled"), row["method"]) for row in rows_of(measured, key="mAP", experiment="ablation")}
    first = {("1/3", name) for name in METHODS if name != "supervised"}
    assert found == first | {("1/6", "labelled-only"), ("1/6", "sgc-dpl"), (None, "supervised")}
    assert {row["clusterer"] for row in rows_of(measured, experiment="clusterers")} == set(CLUSTERERS)


def test_gains_are_differences(few):
    _, measured, _ = few
    scores = {
        (row.get("labelled"), row["method"]): row["value"]
        for row in rows_of(measured, key="mAP", experiment="ablation")
    }
    held_back = {reference for _, reference in semi_supervised.SELECTING}
    gains = rows_of(measured, key="mAP_gain", experiment="ablation")
    gains = [row for row in gains if row["reference"] not in held_back]
    assert len(gains) == len(semi_supervised.GAINS) + 2  # 1/6 lacks init and ap-progressive
    for row in gains:
        setting = None if row["reference"] == "supervised" else row["labelled"]
        wanted = scores[row["labelled"], row["method"]] - scores[setting, row["reference"]]
        assert row["value"] == pytest.approx(wanted)
    (late,) = rows_of(measured, key="mAP_gain", experiment="iterations", labelled="1/3", method="sgc-dpl")
    along = {row["iteration"]: row["value"] for row in rows_of(
        measured, key="mAP", experiment="iterations", method="sgc-dpl", labelled="1/3")}  # fmt: skip
    assert late["value"] == pytest.approx(along[6] - along[5])
    assert set(along) == set(range(7))


def test_methods_without_clusters_train_as_long(few, monkeypatch):
    study, _, place = few
    assert study.total("long") == 10 + 6 * 3
    seen = []
    monkeypatch.setattr(Recipe, "learn", lambda self, pictures, steps, seed: seen.append(steps))
    monkeypatch.setattr(
        semi_supervised, "learn_augmented", lambda recipe, known, others, steps, seed: seen.append(steps)
    )
    monkeypatch.setattr(semi_supervised, "scored", lambda place, model: Result({}))
    for name in ("labelled-only", "init"):
        METHODS[name](place, study.condition(name, "1/3"))
    assert seen == [28, 28]


def test_methods_are_measured_again_from_every_start(few, monkeypatch):
    study, measured, place = few
    other = replace(
        study, starts={"scratch": toy.RECIPE, "imagenet": replace(toy.RECIPE, optimisation={"p": 4, "k": 3})}
    )
    there = Place(other, EMBEDDED, 0, place.data)
    conditions = [item for item in other.conditions(there) if item.start]
    assert [item.start for item in conditions] == ["scratch"] * 3 + ["imagenet"] * 3
    there.results, there._shared = dict(place.results), dict(place._shared)
    for condition in conditions[:3]:
        wanted = rows_of(measured, key="mAP", **condition.dims | {"start": None, "experiment": "ablation"})
        assert there.run(condition).scores["mAP"] == wanted[0]["value"]  # the same recipe and the same steps
    assert there.run(conditions[3]).scores != there.run(conditions[0]).scores
    monkeypatch.setattr(semi_supervised, "learn_augmented", lambda recipe, known, others, steps, seed: (recipe, steps))
    brief = replace(other, start_steps={"start": 4, "round": 1})
    assert brief.total("starts") == 4 + 6 * 1
    assert semi_supervised.augmented(Place(brief, EMBEDDED, 0, place.data), conditions[4]) == (
        other.starts["imagenet"], 4,
    )  # fmt: skip
    rows = [*other.conditions(Place(other, "street", 0, {}))]
    assert not any(item.start for item in rows)


def test_on_real_sets_chosen_methods_are_measured_beside_a_published_embedder(few, monkeypatch, tmp_path):
    study, _, place = few
    onnx.save(onnx_graphs.plain(shape=(3, *toy.SIZE)), tmp_path / "embedder.onnx")
    other = replace(study, real_methods=("supervised",), embedder=str(tmp_path / "embedder.onnx"))
    monkeypatch.setattr(semi_supervised, "from_name", lambda name, size, seed, protocols: toy.data_set())
    there = Place(other, "street", 0, place.data)
    known = study.condition("supervised", "1/3")
    there.results = {there._key(known): place.run(known)}
    rows = other.measure_at(there).rows
    assert {(row["method"], row["experiment"], row.get("start")) for row in rows} == {
        ("supervised", "ablation", None), ("embedder", "starts", "embedder"),
    }  # fmt: skip
    extractor = picture_extractor(read_onnx(tmp_path / "embedder.onnx"))
    (found,) = [row["value"] for row in rows if row["key"] == "mAP" and row["method"] == "embedder"]
    assert found == toy.data_set().score(extractor).mAP
    assert list(other.probes(place)) == []


def test_milestones_keep_their_share_of_a_longer_training():
    recipe = Recipe(optimisation={"schedule": "steps", "milestones": [25, 50]}, milestones_of=100)
    assert list(recipe.config(100).milestones) == [25, 50]
    assert list(recipe.config(400).milestones) == [100, 200]
    assert list(recipe.config(30, milestones=[7]).milestones) == [7]


def test_a_second_budget_has_shorter_rounds(few, none, monkeypatch):
    study, _, _ = few
    brief = replace(
        study, methods=("init", "ap-hard", "supervised"), settings=("1/3",), clusterers=(), short={"round": 1},
        pseudo_labels=study.pseudo_labels.with_(rounds=2),
    )  # fmt: skip
    seen = []
    run_loop = semi_supervised.run_loop
    monkeypatch.setattr(semi_supervised, "run_loop", lambda *a, **k: seen.append(a[4]) or run_loop(*a, **k))
    rows = rows_at(brief, "toy")
    assert seen == [3, 1]
    found = {row["method"] for row in rows if row["experiment"] == "ablation-short" and row["key"] == "mAP"}
    assert found == {"init", "ap-hard"}
    assert replace(study, short={"round": 1}).total("short") == 10 + 6 * 1

    study, measured, place = none
    same = replace(study, methods=("direct-transfer", "baseline", "hsr"), short={"round": 2})
    rows = rows_at(same, **place.data)
    assert {row["method"] for row in rows if row["experiment"] == "ablation-short"} == {"baseline", "hsr"}
    whole = {
        row["key"]: row["value"] for row in rows if row["experiment"] == "ablation" and row["method"] == "baseline"
    }
    before = {row["key"]: row["value"] for row in rows_of(measured, experiment="ablation", method="baseline")}
    assert whole == before  # the long budget is what it was without a short one


def test_what_is_no_second_budget():
    for study in (SemiSupervisedStudy, AdaptationStudy):
        assert list(study(recipe=toy.RECIPE, steps=STEPS).budgets) == ["long"]
        assert list(study(recipe=toy.RECIPE, steps=STEPS, short={"round": 3}).budgets) == ["long"]
        assert list(study(recipe=toy.RECIPE, steps=STEPS, short={"round": 2}).budgets) == ["long", "short"]
        with pytest.raises(ConfigError, match="round: 0 is not allowed; expected an integer of at least 1"):
            study(recipe=toy.RECIPE, steps=STEPS, short={"round": 0})


def test_other_settings_take_the_methods_they_are_told(few):
    study, _, _ = few
    short = replace(study, pseudo_labels=study.pseudo_labels.with_(rounds=1), methods=("init", "ap-hard"))
    rows = rows_at(replace(short, elsewhere=("init", "supervised"), clusterers=()), "toy")
    found = {(row["labelled"], row["method"]) for row in rows if row["experiment"] == "ablation"}
    assert found == {("1/3", "init"), ("1/3", "ap-hard"), ("1/6", "init")}


def test_retrieval_without_cameras_scores_clusters_too(few):
    study, _, _ = few
    birds = toy.data_set()
    number = np.arange(len(birds.gallery))
    parts = [Pictures(birds.gallery.table.assign(tracklet=number), birds.gallery.images) for _ in range(2)]
    birds = replace(birds, query=parts[0], gallery=parts[1], protocols=(semi_supervised.RETRIEVAL,))
    small = replace(study, methods=("labelled-only",), settings=("1/3",), clusterers=())
    (row,) = [row for row in rows_at(small, "birds", target=birds) if row["key"] == "NMI"]
    assert 0 <= row["value"] <= 1
    model = toy.RECIPE.learn(birds.gallery, 200, 0)  # knows the birds: its clusters are the species
    assert semi_supervised.normalised_mutual_information(model, birds, 0) > 0.9


def test_divisions_can_be_written(few, tmp_path):
    _, measured, place = few
    from reidlab.data.splits import read_split

    split = semi_supervised.division(place, "1/3").split
    split.write(tmp_path / "toy-1-3-seed-0.json")
    assert read_split(tmp_path / "toy-1-3-seed-0.json") == split
    assert measured.kept["labelled"].tolist() == list(split.labelled)
    assert set(measured.kept["pids"]) == set(split.unlabelled)


def test_what_is_kept_is_what_was_measured(few, none):
    _, measured, place = few
    kept, unlabelled = measured.kept, semi_supervised.division(place, "1/3").unlabelled
    np.testing.assert_array_equal(place.target.train.select(kept["rows"]).images, unlabelled.images)
    assert len(kept["trace"]) > 0
    assert kept["tau"] == pytest.approx(
        rows_of(measured, key="tau_labelled", method="sgc-dpl", iteration=1)[0]["value"]
    )
    both = ((few, {"method": "sgc-dpl", "labelled": "1/3"}), (none, {"method": "hsr"}))
    for (_, measured, _), dims in both:
        first, last = (Round.from_arrays(measured.kept, which) for which in ("first", "last"))
        rows = rows_of(measured, key="clusters", experiment="iterations", **dims)
        counts = {row["iteration"]: row["value"] for row in rows}
        assert len(set(first.labels[first.labels >= 0].tolist())) == counts[1]
        assert len(last.exemplars) == counts[last.number] == counts[max(counts)]
        assert len(measured.kept["features_before"]) == len(measured.kept["features_after"]) == len(first.labels)
    assert Round.from_arrays(none[1].kept, "cut").number in (1, 2)


def test_a_study_with_a_clusterer_of_ones_own_can_be_described(few):
    study = AdaptationStudy(recipe=toy.RECIPE, steps=STEPS, pseudo_labels=PseudoLabelOptions(HDBSCAN(4)))
    assert study.describe()["pseudo_labels"]["clusterer"]["min_cluster_size"] == 4


def test_adaptation_measures_every_method_and_every_part(none):
    study, measured, place = none
    assert {row["method"] for row in rows_of(measured, key="mAP", experiment="ablation")} == set(ADAPTATION)
    keys = {(row["key"], row["method"]) for row in rows_of(measured, experiment="iterations")}
    for name in ("baseline-icm", "hsr"):
        assert ("icm_precision", name) in keys
    for name in ("baseline", "baseline-pbh"):
        assert ("icm_precision", name) not in keys
    assert {row.get("pbh") for row in rows_of(measured, key="v_measure", method="hsr", experiment="iterations")} == {
        "before", "after",
    }  # fmt: skip
    centred = {row["method"] for row in rows_of(measured, key="mAP", experiment="centred-test")}
    assert centred == set(ADAPTATION)
    (tested,) = rows_of(measured, key="mAP", experiment="centred-test", method="hsr")
    model = place.run(study.condition("hsr")).model
    again = place.target.score(picture_extractor(model), centre=True).summary()["mAP"]
    assert tested["value"] == pytest.approx(again)
    options = study.options_of
    wide = {**options("baseline").optimisation, "p": 2 * study.recipe.config(1).p}
    assert options("baseline-wide") == options("baseline").with_(optimisation=wide)
    assert options("baseline-centred") == options("baseline").with_(centre=True)
    assert options("hsr-centred") == options("hsr").with_(centre=True)
    assert not options("hsr").centre


def test_rows_are_measured_again_from_every_start(none, monkeypatch):
    study, measured, place = none
    begun = ("direct-transfer", "baseline", "supervised")
    starts = {"scratch": toy.RECIPE, "imagenet": replace(toy.RECIPE, optimisation={"p": 4, "k": 3})}
    other = replace(study, methods=("direct-transfer",), begun=begun, starts=starts)
    there = place_of(other, **place.data)
    conditions = [item for item in other.conditions(there) if item.start]
    assert [(item.start, item.method) for item in conditions] == [(a, b) for a in starts for b in begun]
    for condition in conditions[:3]:
        wanted = rows_of(measured, key="mAP", experiment="ablation", method=condition.method)
        assert there.run(condition).scores["mAP"] == wanted[0]["value"]  # the same recipe and the same steps
    others = [there.run(condition).scores for condition in conditions[3:5]]
    assert all(there.run(condition).scores != found for condition, found in zip(conditions[:2], others))
    seen = []
    monkeypatch.setattr(Recipe, "learn", lambda self, pictures, steps, seed: seen.append((self, steps)))
    brief = place_of(replace(other, start_steps={"start": 4, "round": 1}), **place.data)
    monkeypatch.setattr(adaptation, "scored", lambda place, model: Result({}))
    for condition in (conditions[3], conditions[5]):
        brief.run(condition)
    assert seen == [(starts["imagenet"], 4), (starts["imagenet"], 4 + 2 * 1)]
    assert not any(item.start for item in other.conditions(place_of(other, "town", **place.data)))


def test_splitting_is_judged_where_something_was_split(none):
    study, measured, place = none
    split = rows_of(measured, key="clusters_split", method="baseline-pbh")
    assert any(row["value"] for row in split), "the toy's threshold is there to split"
    scores = {row["method"]: row["value"] for row in rows_of(measured, key="mAP", experiment="ablation")}
    (gained,) = rows_of(measured, key="mAP_gain", experiment="ablation", method="baseline-pbh")
    assert gained["reference"] == "baseline"
    assert gained["value"] == pytest.approx(scores["baseline-pbh"] - scores["baseline"])
    options = study.pseudo_labels.with_(deviations=50.0)
    whole = replace(study, pseudo_labels=options, methods=("baseline", "baseline-pbh"))
    rows = rows_at(whole, "town", **place.data)
    assert not [row for row in rows if row["key"] == "mAP_gain"]


def test_real_sets_take_the_rows_they_are_told(none, monkeypatch):
    study, _, place = none
    monkeypatch.setattr(adaptation, "from_name", lambda name, size, seed: {"town": 1, "village": 2}[name])
    real = {"real": ("town",), "real_sources": {"town": "village"}}
    some = replace(study, real_methods=("direct-transfer", "baseline"), short={"round": 1}, **real)
    assert some.load("town", 0) == {"target": 1, "source": 2}
    measured = some.measure_at(place_of(some, "town", **place.data))
    rows = measured.rows
    assert {row["method"] for row in rows if row["experiment"] == "ablation"} == {"direct-transfer", "baseline"}
    assert {(row["data"], row["source"]) for row in rows} == {("town", "village")}
    assert not [row for row in rows if row["experiment"] == "ablation-short"]
    assert not measured.kept


def test_a_real_set_is_left_out_without_its_source(none, monkeypatch):
    from types import SimpleNamespace

    there = {"town": SimpleNamespace(manifest=None, path="/town")}
    for module in ("reidlab.study.study", "reidlab.pseudolabel.adaptation"):
        monkeypatch.setattr(f"{module}.on_this_machine", lambda names: {n: there[n] for n in names if n in there})
    study = replace(none[0], real=("town", "harbour"), real_sources={"town": "village"})
    assert list(study.places([0])) == [("embedded", 0)]
    there["village"] = SimpleNamespace(manifest=None, path="/village")
    assert list(study.places([0, 1])) == [("embedded", 0), ("embedded", 1), ("town", 0), ("town", 1)]
    named = [source["name"] for source in study.sources([0])]
    assert named == ["embedded source", "embedded target", "town", "village"]
    alone = replace(study, real_sources={})
    assert list(alone.places([0])) == [("embedded", 0), ("town", 0)]


def test_unknown_names():
    common = {"recipe": toy.RECIPE, "steps": STEPS}
    with pytest.raises(ConfigError, match="methods: there is none called 'magic'"):
        AdaptationStudy(real_methods=("magic",), **common)
    with pytest.raises(ConfigError, match="methods: there is none called 'magic'"):
        SemiSupervisedStudy(methods=("magic",), **common)
    with pytest.raises(ConfigError, match="methods: there is none called 'magic'"):
        AdaptationStudy(methods=("magic",), **common)
    with pytest.raises(ConfigError, match="settings"):
        SemiSupervisedStudy(settings=(), **common)
    wrong = PseudoLabelOptions(optimisation={"learning_rate": 1})
    for study in (SemiSupervisedStudy, AdaptationStudy):
        with pytest.raises(ConfigError, match="learning_rate"):
            study(pseudo_labels=wrong, **common)


def round_of(number, clustered, labels, **values):
    return Round(number, labels, clustered, np.array([], np.int64), labels >= 0, values)


def test_splits_are_held_against_chance():
    pids = np.array([1, 1, 1, 2, 2, 2, 3, 3, 4, 4])
    clustered = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
    labels = np.array([0, 0, 0, 2, 2, 2, 1, 1, 1, 1])
    rounds = [round_of(1, clustered, labels, clusters_split=1.0)]
    found = {(row["clusters"], row["cut"]): row["value"] for row in split_purity(rounds, pids, 0)}
    assert found["split", "none"] == 0.5
    assert found["split", "pbh"] == 1.0
    assert found["kept", "none"] == 0.5
    assert 0.5 <= found["split", "chance"] <= 1.0
    many = [next(r["value"] for r in split_purity(rounds, pids, s) if r["cut"] == "chance") for s in range(40)]
    # Two parts of three from three and three: 1 in ten divisions is right, the others have two of three.
    assert np.mean(many) == pytest.approx(0.1 * 1 + 0.9 * 2 / 3, abs=0.07)
    assert purity(pids[:6], labels[:6]) == 1.0


def test_the_split_that_is_shown():
    clustered, labels = np.array([0, 0, 0, 1, 1, 1, -1]), np.array([0, 0, 0, 1, 2, 3, -1])
    whole = round_of(1, clustered, clustered, clusters_split=0.0)
    split = round_of(2, clustered, labels, clusters_split=1.0)
    found, members = looking.first_split([whole, split])
    assert found.number == 2
    assert members.tolist() == [3, 4, 5]
    found, members = looking.first_split([whole])
    assert found.number == 1
    assert members.tolist() == [0, 1, 2]


def test_stages_and_gains_of_splitting():
    labels = np.array([0, 1])
    rounds = [
        round_of(1, labels, labels, clusters_split=0.0, v_measure=0.5, v_measure_before=0.5, icm_hard_share=0.1,
                 icm_precision=0.2, icm_rank_precision=0.3, camera_purity=0.9),
        round_of(2, labels, labels, clusters_split=2.0, v_measure=0.7, v_measure_before=0.6, icm_hard_share=0.3,
                 icm_precision=0.5, icm_rank_precision=0.4, camera_purity=0.8),
        round_of(3, labels, labels, clusters_split=1.0, v_measure=0.6, v_measure_before=0.63, icm_hard_share=0.2,
                 icm_precision=0.6, icm_rank_precision=0.5, camera_purity=0.7, rank1=0.4),
    ]  # fmt: skip
    rows = {(row["key"], row.get("stage")): row["value"] for row in stages(rounds)}
    assert rows["icm_rank_precision", "first"] == 0.3
    assert rows["icm_rank_precision", "last"] == 0.5
    assert rows["icm_hard_share", "highest"] == 0.3
    assert rows["v_measure_gain", None] == pytest.approx((0.1 - 0.03) / 2)
    assert rows["v_measure_gain_least", None] == pytest.approx(-0.03)
    assert not [row for row in stages(rounds[:1]) if row["experiment"] == "final"]
    assert looped(LoopResult(None, rounds)).scores == {"rank1": 0.4}


def test_the_search_is_told_by_its_ends():
    item = round_of(1, np.array([0]), np.array([0]))
    item.trace.extend({"labelled_exemplars": count, "labelled_clusters": count + 2} for count in (20, 5, 11, 9))
    rows = {(row["key"], row["stage"]): row["value"] for row in searched([item], 10)}
    assert rows == {
        ("clusters_per_identity", "first"): 2.0, ("clusters_per_identity", "last"): 0.9,
        ("divided_per_identity", "first"): 2.2, ("divided_per_identity", "last"): 1.1,
    }  # fmt: skip


def test_selection_is_judged_where_it_held_something_back(monkeypatch):
    labels = np.array([0, 0, 1, -1])
    scores = {"rank1": 0.5, "mAP": 0.4}

    def result(selected, mAP):
        rounds = [Round(1, labels, labels, np.array([0, 2]), np.array(selected))]
        return Result({**scores, "mAP": mAP}, None, rounds)

    every, some = [True, True, True, False], [True, False, True, False]
    results = {
        "ap-soft": result(every, 0.4), "ap-progressive": result(every, 0.4), "ap-progressive-half": result(some, 0.5)
    }  # fmt: skip
    study = SemiSupervisedStudy(recipe=toy.RECIPE, steps=STEPS)
    monkeypatch.setattr(Place, "result", lambda place, condition: results.get(condition.method))
    monkeypatch.setattr(SemiSupervisedStudy, "conditions", lambda study, place: ())
    monkeypatch.setattr(SemiSupervisedStudy, "keep", lambda study, place: {})
    rows = rows_at(study)
    assert {(row["key"], row["method"], round(row["value"], 6)) for row in rows} == {
        ("mAP_gain", "ap-progressive-half", 0.1), ("rank1_gain", "ap-progressive-half", 0.0),
    }  # fmt: skip


def test_facts_are_those_of_the_manifests():
    known = {(r["data"], r["quantity"], r.get("labelled")): r["value"] for r in facts.data_set_facts()}
    assert known["market1501", "pictures", None] == 12936 + 19732
    assert known["dukemtmc-reid", "identities", None] == 702 + 702
    assert known["cub-200-2011", "labelled_identities", "1/6"] == 17
    for study, pictures in ((SemiSupervisedStudy, 64), (AdaptationStudy, 32)):
        *_, batch = study(recipe=toy.RECIPE, steps=STEPS).facts()
        assert (batch["key"], batch["value"]) == ("batch_pictures", pictures)


def test_shown_clusters(none):
    _, measured, place = none
    found, target = Round.from_arrays(measured.kept, "first"), place.target.train
    features = np.random.default_rng(0).normal(size=(len(target), 3))
    exemplar = int(found.exemplars[0])
    shown = looking.shown_cluster(found, target.pids, features, exemplar, most=4)
    assert shown.rows[0] == exemplar
    assert (found.labels[shown.rows] == 0).all()
    own = ((features[shown.rows] - features[exemplar]) ** 2).sum(1)
    assert (np.diff(own) >= 0).all()
    assert (shown.right == (target.pids[shown.rows] == target.pids[exemplar])).all()
    assert looking.mixed_clusters(found, target.pids, 1, least=1)
    some = looking.sample_of_people(target.pids, 3, 0)
    assert len(np.unique(target.pids[some])) == 3
    assert len(some) == np.isin(target.pids, target.pids[some]).sum()


def test_tables_of_budgets_and_of_real_data():
    import pandas as pd

    rows = [
        {"key": key, "value": value, "data": data, "experiment": experiment, "method": "hsr", "seed": seed}
        for key, value in (("rank1", 0.5), ("mAP", 0.3), ("rank5", 0.9))
        for data in ("embedded", "town")
        for experiment in ("ablation", "ablation-short", "iterations")
        for seed in (0, 1)
    ]
    rows = pd.DataFrame(rows)
    rows.loc[(rows.data == "town") & (rows.seed == 1), "value"] += 0.1
    scores = looking.scores_by_budget(rows)
    assert set(scores.training) == {"longer", "shorter"}
    assert set(scores.key) == {"rank1", "mAP"}
    table = mean_scores(scores[scores.data != "embedded"], ["data", "training", "method"])
    assert table.index.tolist() == [("town", "longer", "hsr"), ("town", "shorter", "hsr")]
    assert table.loc[("town", "longer", "hsr"), "rank1"] == pytest.approx(0.55)
