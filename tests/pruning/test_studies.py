"""Chapter 5's study on digits and drawn pictures, tiny: what is compared, what each method spends, what is refused."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from reidlab.errors import ConfigError, DataError
from reidlab.lab.claim_files import rows_of
from reidlab.models.vgg import VGG
from reidlab.pruning import studies
from reidlab.pruning.cpo import Step
from reidlab.pruning.evaluation import BatchEvaluation
from reidlab.pruning.studies import PruningStudy, chain, drops, layers_of, scores, spent, studies_here, taken, whole
from reidlab.pruning.tasks import NETWORKS, REAL
from reidlab.reading import read_yaml
from reidlab.study import Place
from tests.book.rules import filters

ROOT = Path(__file__).parents[2]
#: Claims whose rows are no tiny run's, by key, and why.
ELSEWHERE = {
    "printed_difference": "the printed tables decide it, without a network",
    "spread": "recorded where a sensitivity is positive",
    "sensitivity_rise": "recorded where a layer is pruned twice",
    "order_correlation": "recorded where layers end at different factors",
    "saved_per_drop": "recorded where two expected drops cost something",
}

STEPS = {"train": 12, "retrain": 2, "final": 3}
DIGITS = {
    "data": "digits", "network": "vgg-19", "depth": 19, "width": 4, "size": 8, "limit": 120, "batch": 16,
    "steps": STEPS, "restarted": 0.25, "random_order": True, "expected": [30.0], "optimisation": {"lr": 0.02},
}  # fmt: skip
DRAWN = {
    "data": "generated", "network": "vdsr", "depth": 4, "width": 4, "size": 17, "limit": 64, "batch": 16,
    "steps": STEPS, "factors": [0.25], "expected": [0.2],
    "optimisation": {"optimizer": "adam", "lr": 0.004, "weight_decay": 0.0},
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _small():
    """VGG-19 by name, of three layers, so that a study takes seconds."""
    before = NETWORKS["vgg-19"]
    NETWORKS["vgg-19"] = replace(
        before,
        build=lambda depth, width: VGG(((width,), (2 * width,), (2 * width,)), size=8),
        shallow=lambda depth, width: VGG(((width,), (width,)), size=8),
    )
    yield
    NETWORKS["vgg-19"] = before


def measured(fields):
    study = PruningStudy(**fields)
    place = study.place(*next(study.places([3])))
    return place, study.measure_at(place)


@pytest.fixture(scope="module")
def classified(_small):
    return measured(DIGITS)


@pytest.fixture(scope="module")
def resolved(_small):
    return measured(DRAWN)


def rows(found, **wanted):
    return [row for row in found.rows if wanted.items() <= row.items()]


def value(found, key, **wanted):
    (row,) = rows(found, key=key, **wanted)
    return row["value"]


@pytest.fixture(params=["classified", "resolved"])
def either(request):
    return request.getfixturevalue(request.param)


def test_every_row_can_be_recorded_once(either):
    from reidlab import lab

    _, found = either
    run = lab.start("made_up")
    for row in found.rows:
        run.record(**row)
    told_apart = Counter(json.dumps({k: v for k, v in row.items() if k not in ("value", "unit")}) for row in found.rows)
    assert set(told_apart.values()) == {1}
    assert list(found.kept["search"].query("kind == 'stop'").why) != []


def test_one_seed_measures_the_same_twice(resolved):
    place, found = resolved
    again = place.study.measure(place.label, 3)
    assert [row for row in again.rows if not row.get("timing")] == [row for row in found.rows if not row.get("timing")]


def test_expected_drops_rise_and_are_what_ur_loses(classified):
    place, found = classified
    low, high = drops(place)[0.25], drops(place)[0.5]
    assert 0 < low <= high - 0.1
    for factor in (0.25, 0.5):
        lost = 100 * value(found, "accuracy_drop", experiment="equal-drop", method="ur", factor=factor, budget="text",
                           split="validation")  # fmt: skip
        assert drops(place)[factor] >= lost - 1e-9
        assert drops(place)[factor] in (pytest.approx(lost), pytest.approx(0.1), pytest.approx(low + 0.1))


def test_cpo_and_l1_stay_within_the_drop(classified):
    place, found = classified
    for factor in (0.25, 0.5):
        cpo = value(found, "accuracy_drop", experiment="equal-drop", method="cpo", factor=factor, budget="text",
                    split="validation")  # fmt: skip
        assert 100 * cpo <= drops(place)[factor] + 1e-9
    before = value(found, "accuracy", experiment="table", method="original", split="validation")
    assert 100 * before == scores(place)["validation"]


def test_l1_takes_the_largest_tolerance_that_stays_within_the_drop(classified, monkeypatch):
    place, _ = classified
    fresh = Place(place.study, place.label, place.seed, place.data)
    fresh.shared("whole", lambda: whole(place))
    fresh.shared("drops", lambda: {0.25: 5.0})
    fresh.shared(("chain", False), lambda: chain(place))
    monkeypatch.setattr(studies, "spent", lambda place, factor: 20)
    tried = []

    def lost(place, model, what):
        if what.startswith("a stage"):
            return 4.0
        tried.append(sum(len(p) for name, p in model.named_parameters() if name.endswith("weight") and p.ndim == 4))
        return 6.0 if len(tried) < 3 else 5.0

    monkeypatch.setattr(studies, "dropped", lost)
    result = studies.l1(fresh, place.study.condition("l1", 0.25, "equal")).detail
    assert len(tried) == 3
    assert (result.own, result.spent) == (20 - 2 * 2, 20)  # two rounds were thrown away
    monkeypatch.setattr(studies, "dropped", lambda place, model, what: 99.0)
    none = studies.l1(fresh, place.study.condition("l1", 0.25, "equal")).detail
    assert sum(p.numel() for p in none.model.parameters()) == sum(p.numel() for p in whole(place).parameters())
    assert (none.own, none.spent) == (20 - 6 * 2, 20)


def test_steps_by_hand(classified):
    place, _ = classified

    def step(expected, kind, drop):
        return Step(expected, "layer", kind, 0.5, 1, drop)

    steps = [
        step(1.0, "probe", 0.5), step(1.0, "prune", 0.5), step(1.0, "prune", 2.0), step(1.0, "step back", 1.0),
        step(1.0, "stop", 1.0), step(3.0, "probe", 1.0), step(3.0, "prune", 2.0),
    ]  # fmt: skip
    assert taken(place, steps, 1.0) == (2 * 2, 4 * 2)
    assert taken(place, steps, 3.0) == (3 * 2, 6 * 2)


def test_equal_budgets_are_equal(classified):
    place, found = classified
    steps = chain(place).steps
    for factor in (0.25, 0.5):
        tried = sum(step.kind != "stop" and step.expected_drop <= drops(place)[factor] for step in steps)
        assert spent(place, factor) == 2 * tried + 3
        for method in ("ur", "l1", "cpo"):
            along = {"experiment": "equal-drop", "method": method, "factor": factor, "budget": "equal"}
            assert value(found, "steps_spent", **along) == 2 * tried + 3
            assert value(found, "steps_own", **along) <= 2 * tried + 3
    assert value(found, "steps_spent", experiment="equal-drop", method="ur", factor=0.25, budget="text") == 2
    assert value(found, "steps_spent", experiment="restart", start="random", epochs="longer") == round(2.6 * 3)
    assert value(found, "steps_spent", experiment="shallow", method="shallow") == 12 + spent(place, 0.5)


def test_what_is_said_to_be_spent_is_spent(monkeypatch):
    """Steps of the loop itself, counted: those of each method's own training, once."""
    study = PruningStudy(**{**DRAWN, "steps": {**STEPS, "train": 2}})
    place, counted, train = study.place("generated", 0), [], studies.train

    def spied(model, source, objective, config, *arguments, **options):
        counted.append(config.iterations)
        return train(model, source, objective, config, *arguments, **options)

    monkeypatch.setattr(studies, "train", spied)
    _ = whole(place), drops(place)
    before = sum(counted)
    cpo = place.run(study.condition("cpo", 0.25, "equal")).detail
    assert sum(counted) - before == cpo.spent
    before = sum(counted)
    l1 = place.run(study.condition("l1", 0.25, "equal")).detail
    assert sum(counted) - before == l1.spent == cpo.spent


def test_shares_are_those_of_the_networks_table(classified):
    place, found = classified
    model = place.run(place.study.condition("ur", 0.5, "text")).model
    convs = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    by_hand = sum(c.weight.numel() for c in convs) + sum(2 * n.num_features for n in norms)  # Table 5.3: no classifier
    along = {"experiment": "equal-drop", "method": "ur", "factor": 0.5, "budget": "text", "split": "validation"}
    assert value(found, "params", **along) == by_hand
    kept = [row["value"] for row in rows(found, key="width", method="ur", factor=0.5, budget="text")]
    assert kept == [2, 4] == [len(model.get_submodule(layer).weight) for layer in layers_of(place)]


def test_the_interpolated_picture_is_a_row(resolved):
    place, found = resolved
    task = place.data["target"]
    for split in ("validation", "test"):
        made = value(found, "psnr", experiment="table", method="bicubic", split=split)
        assert made == task.scores[split](torch.nn.Identity())


def test_an_order_by_chance_makes_no_use_of_sensitivities(classified):
    place, found = classified
    model = place.run(next(c for c in place.study.conditions(place) if c.dims.get("order") == "random")).model
    assert place.data["target"].scores["validation"](model) >= scores(place)["validation"] - drops(place)[0.25]
    shares = {order: value(found, "operations_share", experiment="order", order=order)
              for order in ("sensitivity", "random")}  # fmt: skip
    assert shares["sensitivity"] == value(
        found, "operations_share", experiment="equal-drop", method="cpo", factor=0.25, budget="text"
    )


def test_a_score_that_is_no_number_is_named(resolved):
    place, _ = resolved
    task = replace(place.data["target"])
    broken = BatchEvaluation(task.scores["validation"].batches, lambda outputs: float("nan"))
    task = replace(task, scores={**task.scores, "validation": broken})
    with pytest.raises(DataError, match=r"vdsr: ur 0\.25 scores nan in validation"):
        drops(Place(place.study, place.label, place.seed, {"target": task}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "cifar"}, "data: there is none called 'cifar'"),
        ({"data": "sr"}, "data: there is none called 'sr'"),
        ({"network": "vgg-11"}, "network: .*'vgg-11'"),
        ({"factors": []}, "factors: .* removes nothing"),
        ({"factors": [0.25, 0.25]}, "factors: .* must be different"),
        ({"factors": [1.0]}, "factors: 1"),
        ({"factors": [0]}, "factors: 0"),
        ({"expected": [-1.0]}, "expected: -1"),
        ({"restarted": 0.75}, "restarted: .*0.75"),
        ({"steps": {"train": 3, "retrain": 2}}, "'final'"),
        ({"batch": 0}, "batch: 0"),
        ({"optimisation": {"rate": 1}}, "rate"),
    ],
)
def test_what_cannot_be_measured_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        PruningStudy(**{**DIGITS, **changes})


def test_studies_whose_data_are_elsewhere_are_left_out(monkeypatch, tmp_path):
    monkeypatch.setenv("REIDLAB_DATA", str(tmp_path))
    monkeypatch.setenv("REIDLAB_CACHE", str(tmp_path / "cache"))
    found = studies_here([DIGITS, {**DIGITS, "data": "cifar-10-jpeg"}, DRAWN, {**DRAWN, "data": "sr"}])
    assert [study.data for study in found] == ["digits", "generated"]
    assert list(PruningStudy(**{**DRAWN, "data": "sr"}).sources([0])) == []
    with pytest.raises(ConfigError, match="steps is missing"):
        studies_here([{k: v for k, v in DIGITS.items() if k != "steps"}])
    with pytest.raises(ConfigError, match=r"widht: .*'width'"):
        studies_here([{**DIGITS, "widht": 3}])


def claimed():
    for row, _ in rows_of(ROOT / "book" / "claims" / "chapter5_layerwise.yml", []):
        for wanted in filters(row["rule"]) if row["rule"] else ():
            yield row["id"], row["rule"]["key"], wanted


def test_every_claim_finds_its_row(classified, resolved):
    """Of the same experiment, method and budget, whatever network, data, factor and expected drop are called."""
    tables = [Counter(), Counter()]
    names = {name for _, _, wanted in claimed() for name in wanted} - {"network", "data", "whole", "factor", "expected"}
    for table, (_, found) in zip(tables, (classified, resolved), strict=True):
        for row in found.rows:
            some = {name: row[name] for name in names if name in row}
            along = frozenset(name for name in ("factor", "expected") if name in row)
            table[row["key"], frozenset(some.items()), along] += 1

    def matched(key, wanted):
        table = tables[wanted.get("network") == "vdsr"]
        some = {name: value for name, value in wanted.items() if name in names}
        along = {"factor", "expected"} & set(wanted)
        return any(one == key and some.items() <= dict(dims).items() and along <= has for one, dims, has in table)

    missing = {(identity, key) for identity, key, wanted in claimed() if not matched(key, wanted)}
    assert {identity for identity, key in missing if key not in ELSEWHERE} == set()


@pytest.mark.parametrize("profile", ["standard", "paper"])
def test_a_profile_measures_what_the_claims_ask_for(profile):
    """Trends in the standard profile, the tables in the paper's, with their data, factors and expected drops."""
    tasks = read_yaml(ROOT / "notebooks" / "profiles" / f"{profile}.yml")
    runs = [PruningStudy(**task) for task in tasks["05a_layerwise_pruning"]["tasks"]]

    def asks(study, wanted):
        label = (*REAL.get(study.data, ()), study.data)
        return (
            study.network == wanted["network"]
            and wanted.get("data") in (None, *label)
            and wanted.get("factor", study.factors[0]) in study.factors
            and ("expected" not in wanted or wanted["expected"] in study.expected)
            and (wanted.get("experiment") != "restart" or study.restarted)
            and (wanted.get("experiment") != "order" or study.random_order)
            and ("whole" not in wanted or study.common(None)["whole"] == wanted["whole"])
        )

    for identity, _, wanted in claimed():
        if "network" in wanted and ("whole" in wanted) == (profile == "paper"):
            assert any(asks(study, wanted) for study in runs), identity
