"""Real pictures without labels, on a toy set with a tiny embedder: rows, rules, starts, and what `learn` does."""

from dataclasses import replace

import numpy as np
import onnx
import pandas as pd
import pytest
import torch

from reidlab import lab, plots
from reidlab.data import catalogue
from reidlab.data.decoded import DataSet, from_name
from reidlab.errors import ConfigError, DataError
from reidlab.pseudolabel import real_pictures, unlabelled
from reidlab.pseudolabel.adaptation import TABLE
from reidlab.pseudolabel.real_pictures import RULES, STARTS, studies_here
from reidlab.pseudolabel.real_tables import found_by, scores_by_row, table_of
from reidlab.tools.learn import learn_pictures
from reidlab.tools.starts import read_start
from reidlab.training import recipe
from reidlab.training.recipe import Recipe
from tests.evaluation import oracles
from tests.models import onnx_graphs
from tests.pseudolabel import toy

STEPS = {"start": 2, "round": 2}
#: Options for as few pictures as the toy has.
FEW = {"options": {"share": 0.2, "k1": 6, "k2": 2, "min_samples": 2}, "neighbours": 3, "deviations": 0.5}


@pytest.fixture
def town(tmp_path, monkeypatch):
    """A folder set called town and a tiny embedder below REIDLAB_DATA."""
    toy.write_people(tmp_path / "pictures", toy.pictures(range(8)))
    onnx.save(onnx_graphs.plain(), tmp_path / "tiny.onnx")
    monkeypatch.setenv("REIDLAB_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    catalogue.add("town", tmp_path / "pictures")
    return tmp_path


@pytest.fixture
def studies(town, monkeypatch):
    """A study for each start; ImageNet's package need not be there, and the embedded world is the toy's."""
    monkeypatch.setattr(recipe, "load_imagenet", lambda model: torch.nn.init.zeros_(model.features[0][0].weight))
    monkeypatch.setattr(recipe, "imagenet_source", lambda: "a package")
    monkeypatch.setattr(real_pictures, "IMAGENET_SIZE", toy.SIZE)
    monkeypatch.setattr(unlabelled, "from_world", lambda spec, size: toy.data_set(seed=1))
    monkeypatch.setattr(real_pictures, "Recipe", lambda *size: replace(toy.RECIPE, size=size[0] if size else toy.SIZE))
    said = []
    found = studies_here(list(STARTS), ["town"], STEPS, 1, "tiny.onnx", said.append)
    assert not said
    return {item.name: replace(item, changes=FEW) for item in found}


def test_each_start_has_its_rows_under_both_rules(studies):
    run = lab.start("made_up")
    for name in ("embedder", "imagenet-world"):
        study = studies[name]
        assert list(study.places([0, 1])) == [("town", 0), ("town", 1)]
        rows = TABLE if name == "embedder" else ("hsr",)
        assert set(study.methods) == {"start", *rows, "supervised"}
        run.measure(replace(study, methods=("start", "baseline", "hsr", "supervised")), [0])
    records = lab.records.expand(run.records())
    scores = scores_by_row(records)
    count = 2 * (4 + 1)  # the start is there as it is and centred
    for rule in RULES:
        some = scores[(scores["rule"] == rule) & (scores["key"] == "mAP")]
        assert len(some) == some["row"].nunique() == count
    assert list(dict.fromkeys(scores["row"]))[:3] == [
        "published embedder: as it is", "published embedder: centred", "published embedder: plain loop",
    ]  # fmt: skip
    assert plots.interval_points(scores[scores["key"] == "mAP"], "row", group="rule", xlabel="mAP")
    table = table_of(records)
    assert len(table) == count
    assert list(table.columns[:4]) == [f"{rule} {key}" for rule in RULES for key in ("mAP", "rank1")]
    assert set(table.columns[4:]) == {"clusters", "people", "left out", "V-measure", "minutes"}
    assert (table.loc[("town", "published embedder: HSR"), ["people"]] == 4).all()
    assert table.loc[("town", "ImageNet, world: as it is"), ["clusters", "V-measure"]].isna().all()
    mined = records[(records["key"] == "icm_precision")]
    assert set(mined["method"]) == {"hsr"}
    assert set(records[records["key"] == "minutes"]["timing"]) == {True}


def test_scores_are_those_of_a_plain_loop_over_all_pictures_of_the_test(town):
    data = from_name("town", onnx_graphs.SIZE, 0)
    whole = data.whole_test(RULES)
    assert len(whole.query) == len(whole.gallery) == len(data.query) + len(data.gallery) == 24
    again = replace(data, gallery=whole.gallery).whole_test(RULES)  # as in MARS, where queries are in the gallery too
    assert len(again.gallery) == 24
    model = read_start(town / "tiny.onnx").model
    with torch.inference_mode():
        pixels = recipe.picture_extractor(model)(whole.gallery)
    for centre in (False, True):
        unit = pixels.normalized()
        features = unit.features.copy()
        for camid in (1, 2):
            features[unit.camids == camid] -= centre * features[unit.camids == camid].mean(0)
        lengths = np.linalg.norm(features, axis=1, keepdims=True)
        for rule, camera_rule in zip(RULES, ("any person", "same person")):
            # Under Market-1501's rule distances are Euclidean: of features of length 1, those of the cosine.
            ours = features / lengths if rule == "cross-camera" else features
            distances = ((ours[:, None] - ours[None]) ** 2).sum(-1)
            found = oracles.summary(oracles.ranking_scores(distances, unit, unit, camera_rule=camera_rule), max_rank=50)
            scores = real_pictures.scores_by_rule(model, whole)[rule, centre]
            assert scores["mAP"] == pytest.approx(found["mAP"])
            assert scores["rank1"] == pytest.approx(found["cmc"][0])


def test_only_a_set_of_pictures_is_its_own_gallery():
    data = toy.data_set()
    boxes = np.tile([0, 32, 0, 16], (len(data.query), 1))
    assert len(data.whole_test(RULES).query) == len(data.query) + len(data.gallery)
    with pytest.raises((DataError, ConfigError)):
        replace(data, query=replace(data.query, masks=boxes)).whole_test(RULES)


def test_the_row_of_hsr_is_what_learn_does(town, studies, tmp_path):
    study = replace(studies["embedder"], recipe=Recipe(onnx_graphs.SIZE))
    place = study.place("town", 0)
    found = place.run(next(item for item in study.conditions(place) if item.method == "hsr"))
    begin, train = read_start(town / "tiny.onnx"), place.target.train
    options = unlabelled.hsr(len(train), rate=begin.rate, people=begin.people, rounds=1)
    assert (begin.rate, begin.people) == (1e-4, 16)
    assert study.options_of("hsr", place.target) == options.with_(**FEW)
    made = learn_pictures(
        train.table, tmp_path / "out", start=begin, steps={"start": 1, "round": 2}, options=options.with_(**FEW)
    )
    for ours, theirs in zip(found.model.embedder.parameters(), made.model.embedder.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert any(
        not torch.equal(ours, old)
        for ours, old in zip(found.model.embedder.parameters(), begin.model.embedder.parameters())
    )


def test_with_labels_as_many_steps_are_taken_from_the_same_start(studies, monkeypatch):
    study = replace(studies["imagenet"], rounds=3)
    place, seen = study.place("town", 0), []

    def fit(self, model, pictures, steps, seed, **changes):
        assert (model.backbone.features[0][0].weight == 0).all()
        assert model.num_classes == pictures.identities == 4
        seen.append((steps, changes))
        return type("Fitted", (), {"model": model})

    monkeypatch.setattr(Recipe, "fit", fit)
    place.run(next(item for item in study.conditions(place) if item.method == "supervised"))
    assert seen == [(6, {"p": 4, "lr": 5e-4})]


def test_what_is_missing_is_said_in_one_line(town, monkeypatch):
    said = []
    assert studies_here([], ["market1501"], STEPS, 1, "", said.append) == [] == said
    assert studies_here(["embedder"], ["market1501"], STEPS, 1, "tiny.onnx", said.append) == []
    assert said == ["learning from real pictures is left out: market1501 is not on this machine"]
    assert studies_here(["embedder"], ["town"], STEPS, 1, "none.onnx", said.append) == []
    assert said[1].startswith("the embedder none.onnx is left out: it is not on this machine")
    with pytest.raises(ConfigError, match="real_starts: there is none called 'embeder'; did you mean 'embedder'"):
        studies_here(["embeder"], ["town"], STEPS, 1)
    nothing = pd.DataFrame({"key": ["mAP"], "value": [0.5], "seed": [0], "experiment": ["ablation"]})
    assert len(scores_by_row(nothing)) == 0
    assert "nothing of this kind was measured" in table_of(nothing).iloc[0, 0]
    assert found_by("world", nothing).endswith("rank-1 was not measured on this machine.")


def test_a_sentence_says_what_the_loop_made_of_a_start():
    made = pd.DataFrame(
        [
            {"data": "town", "experiment": "real", "start": "embedder", "protocol": rule, "key": "rank1", **row}
            for rule in RULES
            for method, values in {"start": [0.5, 0.5], "hsr": [0.8, 0.9], "baseline": [0.1, 0.1]}.items()
            for seed, value in enumerate(values)
            for row in [{"method": method, "seed": seed, "value": value - (rule == "market1501") / 4}]
        ]
    )
    nothing = made.assign(experiment="starts")
    # The quantile of Student's t for two values is 12.7062, from a table.
    low, high = (0.85 + sign * 12.7062 * 0.05 for sign in (-1, 1))
    assert found_by("embedder", nothing, made) == (
        f"published embedder, HSR: rank-1 from 0.500 to 0.850 [{low:.3f}, {high:.3f}] over 2 seeds under cross-camera, "
        f"from 0.250 to 0.600 [{low - 0.25:.3f}, {high - 0.25:.3f}] over 2 seeds under market1501."
    )
    alone = made[made["seed"] == 0]
    assert "to 0.800 (one seed) under cross-camera" in found_by("embedder", alone)


def test_a_set_is_whole_where_its_gallery_holds_the_queries():
    data = toy.data_set()
    gallery = data.gallery
    same = DataSet("toy", data.train, gallery.select(np.arange(5)), gallery)
    whole = same.whole_test(("cross-camera",))
    assert len(whole.gallery) == len(gallery)
    assert whole.protocol == "cross-camera"
