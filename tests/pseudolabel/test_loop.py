"""The loop of chapters 3 and 4 on a toy data set: what it does in a round, resuming, and data that cannot be learnt."""

import os

import numpy as np
import pytest
import torch
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans

from reidlab.data.decoded import Pictures
from reidlab.errors import ConfigError, DataError
from reidlab.pseudolabel import loop
from reidlab.pseudolabel.learning import features_of
from reidlab.pseudolabel.loop import PseudoLabelOptions, run_loop
from reidlab.pseudolabel.selection import Threshold, medoids, select_reliable
from reidlab.training.recipe import picture_extractor
from tests.pseudolabel import toy

SIMPLE = PseudoLabelOptions(KMeans(6, n_init=1, random_state=0), rounds=2)


@pytest.fixture(scope="module")
def data():
    return toy.data_set()


@pytest.fixture(scope="module")
def parts(data):
    return data.train.select(data.train.pids < 5), data.train.select(data.train.pids >= 5)


@pytest.fixture(scope="module")
def start(parts):
    return toy.RECIPE.learn(parts[0], 30, 0)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values()))


@pytest.mark.parametrize(
    "options",
    [
        SIMPLE,
        SIMPLE.with_(clusterer=AgglomerativeClustering(5), metric="weighted", centre=True),
        SIMPLE.with_(mining=True, neighbours=3, metric="weighted"),
        SIMPLE.with_(homogeneity=True, deviations=0.5),
        SIMPLE.with_(soft=True, progressive=True),
        PseudoLabelOptions("ap", soft=True, rounds=1),
        PseudoLabelOptions("sg-ap", soft=True, progressive=True, rounds=1),
        PseudoLabelOptions("dbscan-ssg", {"share": 0.1, "k1": 6, "k2": 2, "min_samples": 2}, rounds=1),
    ],
    ids=lambda options: f"{options.clusterer}"[:12],
)
def test_every_part_runs_and_repeats(data, parts, start, options):
    labelled, unlabelled = parts
    before = [value.clone() for value in start.state_dict().values()]
    found = [
        run_loop(start, unlabelled, options, toy.RECIPE, 4, 3, labelled=labelled, test=data if number == 0 else None)
        for number in range(2)
    ]
    first = found[0]
    assert same(first.model, found[1].model)
    assert all(torch.equal(a, b) for a, b in zip(before, start.state_dict().values())), "the first network was changed"
    assert [item.number for item in first.rounds] == list(range(1, options.rounds + 1))
    for item in first.rounds:
        assert not item.failed
        assert {"rank1", "mAP", "clusters", "v_measure", "camera_purity", "selected"} <= set(item.values)
        assert item.values["clusters"] == len(set(item.labels[item.labels >= 0].tolist())) == len(item.exemplars)
        assert set(np.flatnonzero(item.selected)) <= set(np.flatnonzero(item.labels >= 0))
    assert first.model.num_classes == 5 + len(first.rounds[-1].exemplars)


def test_a_round_is_what_its_parts_give(parts, start):
    """Clusters, exemplars and selection of the first round, worked out apart from the loop."""
    labelled, unlabelled = parts
    options = SIMPLE.with_(soft=True, progressive=True, rounds=1)
    item = run_loop(start, unlabelled, options, toy.RECIPE, 4, 3, labelled=labelled).rounds[0]
    features = features_of(start, unlabelled.images).whole
    wanted = KMeans(6, n_init=1, random_state=0).fit(features).labels_
    pairs = list(zip(item.labels.tolist(), wanted.tolist()))
    assert len(set(pairs)) == 6  # the same clusters under other numbers
    np.testing.assert_array_equal(item.exemplars, medoids(features, item.labels))
    chosen = select_reliable(features, item.labels, item.exemplars, item.values["tau"])
    np.testing.assert_array_equal(item.selected, chosen)
    inside = np.setdiff1d(np.flatnonzero(chosen), item.exemplars)
    right = unlabelled.pids[inside] == unlabelled.pids[item.exemplars[item.labels[inside]]]
    assert item.values.get("label_precision", np.nan) == pytest.approx(
        right.mean() if len(inside) else np.nan, nan_ok=True
    )


def test_the_threshold_grows(parts, start):
    labelled, unlabelled = parts
    options = SIMPLE.with_(progressive=True, growth=0.5, rounds=3)
    rounds = run_loop(start, unlabelled, options, toy.RECIPE, 4, 3, labelled=labelled).rounds
    ratios = [item.values["tau"] / item.values["tau_labelled"] for item in rounds]
    assert ratios == pytest.approx([1.0, 1.5, 2.0])
    half = run_loop(start, unlabelled, options.with_(reach=0.5, rounds=1), toy.RECIPE, 4, 3, labelled=labelled).rounds[
        0
    ]
    assert half.values["tau"] == pytest.approx(0.5 * half.values["tau_labelled"])
    assert not (half.selected & ~rounds[0].selected).any()
    printed = options.with_(growth=1.0, scaled=False)  # d_t = 0, 1, 2 in units of squared distance (Sec. 3.4.4)
    rounds = run_loop(start, unlabelled, printed, toy.RECIPE, 4, 3, labelled=labelled).rounds
    assert [item.values["tau"] - item.values["tau_labelled"] for item in rounds] == pytest.approx([0.0, 1.0, 2.0])


def test_a_stopped_run_goes_on_and_ends_alike(tmp_path, parts, start, caplog):
    labelled, unlabelled = parts
    options = SIMPLE.with_(rounds=3, soft=True)
    whole = run_loop(start, unlabelled, options, toy.RECIPE, 4, 3, labelled=labelled)

    class Stopped(Exception):
        pass

    def stop(item):
        if item.number == 2:
            raise Stopped

    with pytest.raises(Stopped):
        run_loop(start, unlabelled, options, toy.RECIPE, 4, 3, labelled=labelled, folder=tmp_path, watch=stop)
    seen = []
    again = run_loop(
        start, unlabelled, options, toy.RECIPE, 4, 3, labelled=labelled, folder=tmp_path, resume=True, watch=seen.append
    )
    assert [item.number for item in seen] == [3]
    assert same(again.model, whole.model)
    for one, other in zip(again.rounds, whole.rounds, strict=True):
        assert one.values == other.values
        for name in ("labels", "clustered", "exemplars", "selected"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    last = tmp_path / "checkpoint-last.pt"
    last.write_bytes(last.read_bytes()[:1000])
    seen.clear()
    run_loop(
        start, unlabelled, options, toy.RECIPE, 4, 3, labelled=labelled, folder=tmp_path, resume=True, watch=seen.append
    )
    assert [item.number for item in seen] == [3]
    assert "using checkpoint-previous.pt (round 2)" in caplog.text
    with pytest.raises(ConfigError, match="of another run"):
        run_loop(start, unlabelled, options, toy.RECIPE, 4, 4, labelled=labelled, folder=tmp_path, resume=True)
    run_loop(start, unlabelled, SIMPLE.with_(rounds=1), toy.RECIPE, 4, 4, labelled=labelled, folder=tmp_path)


@pytest.mark.parametrize("field", ["identity", "round", "classes", "model", "eps", "rounds"])
def test_a_checkpoint_without_a_field_falls_back_to_the_one_before(tmp_path, parts, start, field):
    _, unlabelled = parts
    whole = run_loop(start, unlabelled, SIMPLE, toy.RECIPE, 2, 3, folder=tmp_path)
    for value in (None, "text", {}):
        state = torch.load(tmp_path / "checkpoint-last.pt", weights_only=True)
        state.pop(field, None)
        if value is not None and field != "eps":
            state[field] = value
        torch.save(state, tmp_path / "checkpoint-last.pt")
        seen = []
        try:
            again = run_loop(
                start, unlabelled, SIMPLE, toy.RECIPE, 2, 3, folder=tmp_path, resume=True, watch=seen.append
            )
        except ConfigError:
            assert (field, value) == ("identity", {})
            return
        assert [item.number for item in seen] == [2]
        assert same(again.model, whole.model)


def test_a_network_that_gives_all_pictures_one_feature_ends_the_loop(parts, start, monkeypatch):
    found = Threshold(0.0, 0.5, np.zeros(1), np.zeros(1))
    monkeypatch.setattr(loop, "distance_threshold", lambda features, pids, seed: found)
    result = run_loop(start, parts[1], SIMPLE.with_(soft=True), toy.RECIPE, 4, 3, labelled=parts[0])
    assert [item.failed for item in result.rounds] == [
        "all labelled pictures have one feature; train the network for longer"
    ]
    assert same(result.model, start)


def test_identities_are_looked_at_for_measurements_only(parts, start):
    """Without identities the loop does the same and measures less."""
    labelled, unlabelled = parts
    nameless = Pictures(unlabelled.table.assign(pid=-1), unlabelled.images)
    options = SIMPLE.with_(soft=True, progressive=True, homogeneity=True, deviations=0.5, mining=True, neighbours=3)
    known, unknown = (
        run_loop(start, part, options, toy.RECIPE, 4, 3, labelled=labelled) for part in (unlabelled, nameless)
    )
    assert same(known.model, unknown.model)
    assert {"clusters", "camera_purity"} <= set(unknown.rounds[0].values)
    assert not {"v_measure", "label_precision", "icm_precision"} & set(unknown.rounds[0].values)


@pytest.mark.parametrize(
    ("clusterer", "why"), [(DBSCAN(eps=1e-9), "outlier"), (DBSCAN(eps=1e9, min_samples=1), "one cluster")]
)
def test_clusters_that_teach_nothing_end_the_loop(data, parts, start, clusterer, why):
    first = run_loop(start, parts[1], PseudoLabelOptions(clusterer, rounds=5), toy.RECIPE, 4, 3, test=data)
    assert len(first.rounds) == 1
    assert why in first.rounds[0].failed
    assert "rank1" not in first.rounds[0].values
    assert same(first.model, start)


def test_what_cannot_be_run(parts, start):
    labelled, unlabelled = parts

    def go(options, part=unlabelled, known=labelled):
        return run_loop(start, part, options, toy.RECIPE, 4, 3, labelled=known)

    with pytest.raises(ConfigError, match="clusterer: 'sg-ap' takes its guidance from labelled pictures"):
        go(PseudoLabelOptions("sg-ap"), known=None)
    with pytest.raises(ConfigError, match="progressive: True takes its guidance"):
        go(SIMPLE.with_(progressive=True), known=None)
    with pytest.raises(DataError, match="identities overlap: 5 are in both, such as 0"):
        go(SIMPLE, part=labelled)
    one = labelled.select(labelled.pids == labelled.pids[0])
    with pytest.raises(DataError, match="1 identity; at least 2 are needed to guide the search"):
        go(PseudoLabelOptions("sg-ap"), known=one)
    with pytest.raises(DataError, match="no two identities"):
        go(SIMPLE.with_(progressive=True), known=one)
    with pytest.raises(ConfigError, match="all 21 are of camera 1; take a method without mining"):
        go(SIMPLE.with_(mining=True), part=unlabelled.select(unlabelled.camids == 1))
    with pytest.raises(DataError, match="unlabelled: 1 picture;"):
        go(SIMPLE, part=unlabelled.select(np.array([0])))
    with pytest.raises(ConfigError, match="n_clusters"):
        go(SIMPLE.with_(clusterer=KMeans(1000)))
    broken = toy.RECIPE.learn(labelled, 30, 0)
    with torch.no_grad():
        broken.backbone.conv1.weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(DataError, match="finite"):
        run_loop(broken, unlabelled, SIMPLE, toy.RECIPE, 4, 3)


def test_few_mined_pairs_or_none_are_enough(parts, start):
    """Eight anchors are asked for; with six pictures there are fewer, and with strangers alone there may be none."""
    unlabelled = parts[1]
    options = PseudoLabelOptions(
        KMeans(2, n_init=1, random_state=0), rounds=1, mining=True, neighbours=1, metric="weighted"
    )
    few = unlabelled.select(np.flatnonzero(np.isin(unlabelled.pids, [5, 6]))[[0, 1, 3, 6, 7, 9]])
    assert not run_loop(start, few, options, toy.RECIPE, 4, 3).rounds[0].failed


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metric", "cosine"), ("rounds", 0), ("neighbours", 0), ("temperature", 0.0), ("growth", -0.1),
        ("deviations", 0), ("reach", 0.0), ("clusterer", object()),
    ],
)  # fmt: skip
def test_options_that_are_none(field, value):
    with pytest.raises(ConfigError, match=f"{field}: "):
        PseudoLabelOptions(**{field: value})


def test_a_score_of_the_toy_is_above_chance(data, start):
    assert data.score(picture_extractor(start)).summary()["rank1"] > 1 / 6
    assert os.path.isabs(data.train.table["path"].iloc[0])
