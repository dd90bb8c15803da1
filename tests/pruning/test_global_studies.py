"""What chapter 6 measures, on a task of a few pictures: rows, their budgets, equal steps, and what is a timing."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from reidlab.errors import ConfigError, MissingDataError
from reidlab.lab.records import record
from reidlab.models.narrow_mobilenet import NarrowMobileNet
from reidlab.pruning import global_studies
from reidlab.pruning.evaluation import BatchEvaluation
from reidlab.pruning.global_studies import (
    NETWORKS,
    GlobalPruningStudy,
    ReidPruningStudy,
    ToyStudy,
    deviation,
    shares,
    studies_here,
)
from reidlab.pruning.latency import OnnxTimer
from reidlab.pruning.tasks import Task, accuracy
from reidlab.study import Place
from reidlab.training.recipe import Recipe

FIELDS = {
    "data": "digits", "network": "resnet-32", "depth": 8, "width": 8, "size": 8, "batch": 8, "iterations": 2,
    "minibatches": 1, "pieces": 12, "chunk": 2, "steps": {"train": 2, "after": 4}, "sweep": [0.5],
    "experiments": ["budgets", "equal-macs", "equal-latency"],
}  # fmt: skip


class Timer(OnnxTimer):
    """Time is the size of what is run, so that nothing is measured."""

    def layer(self, shape, inputs, outputs):
        return (inputs + 1.0) * outputs

    def together(self, graphs, input_shape):
        return [float(len(graph)) for graph in graphs]


@pytest.fixture
def timed(monkeypatch, tmp_path):
    monkeypatch.setenv("REIDLAB_CACHE", str(tmp_path))
    monkeypatch.setattr(global_studies, "OnnxTimer", lambda **options: Timer())


def task():
    generator = torch.Generator().manual_seed(0)
    pictures, labels = torch.randn(24, 3, 8, 8, generator=generator), torch.arange(24) % 10
    scores = BatchEvaluation(pictures.split(12), partial(accuracy, labels=labels))
    both = {"validation": scores, "test": scores}
    return Task(pictures, labels, cross_entropy, both, dict.fromkeys(both, "digits"), pictures[:1] * 0)


def place_of(study):
    return Place(study, "digits", 0, {"target": task()})


def rows_of(measured, **wanted):
    return [row for row in measured.rows if all(row.get(name) == value for name, value in wanted.items())]


def test_every_row_of_the_table_with_its_budgets(timed):
    study = GlobalPruningStudy(**FIELDS)
    place = place_of(study)
    measured = study.measure_at(place)
    for row in measured.rows:  # all can be recorded, and none twice
        dims = {name: value for name, value in row.items() if name not in ("key", "value", "unit", "seed", "timing")}
        record("c", row["key"], row["value"], row.get("unit", "fraction"), 0, None, row.get("timing", False), dims)
    identities = [tuple(sorted((k, str(v)) for k, v in row.items() if k != "value")) for row in measured.rows]
    assert len(set(identities)) == len(identities)

    def left(resource, **wanted):
        (row,) = rows_of(measured, key=f"{resource}_share", experiment="budgets", **wanted)
        return row["value"]

    came_to = [left(name, row="baseline") for name in ("macs", "params")]
    assert came_to[0] <= 0.4 + 1e-9
    assert came_to[1] <= 0.3 + 1e-9
    assert left("macs", row="f") <= came_to[0] + 1e-9
    assert left("params", row="p") <= came_to[1] + 1e-9
    for row in ("pair", "aimed"):
        assert left("macs", row=row) <= 0.4 + 1e-9
        assert left("params", row=row) <= 0.3 + 1e-9
    assert [left(name, row="reached") <= most + 1e-9 for name, most in zip(("macs", "params"), came_to)] == [True] * 2
    methods = {row["method"] for row in rows_of(measured, experiment="equal-macs")}
    assert methods == {"loss", "caie", "lambda-flops", "tp-taylor", "tp-magnitude"}
    for method in methods - {"loss"}:
        (row,) = rows_of(measured, key="macs_share", experiment="equal-macs", method=method)
        assert row["value"] <= came_to[0] + 1e-9, method
    steps = {row["value"] for row in rows_of(measured, key="steps") if row["method"] != "original"}
    assert steps == {4}
    assert {row.get("timing", False) for row in rows_of(measured, experiment="equal-latency")} == {True}
    unmeasured = [row for row in measured.rows if row.get("timing") and row["experiment"] != "equal-latency"]
    assert {row["key"] for row in unmeasured} == {"latency_ms", "latency_share"}
    assert set(measured.kept) >= {"loss_impacts", "resource_impacts", "path_baseline", "path_pair"}
    np.testing.assert_allclose(measured.kept["path_pair"][0], 1)
    assert measured.kept["path_pair"][-1] == pytest.approx([left("macs", row="pair"), left("params", row="pair")])


def test_a_seed_gives_the_same_rows_but_for_timings(timed):
    study = GlobalPruningStudy(**FIELDS)

    def rows():
        place, condition = place_of(study), study.condition("budgets", "caie", "pair", row="pair")
        return [row for row in study.details(place, condition, place.run(condition)) if not row.get("timing")]

    assert rows() == rows()


@pytest.mark.parametrize(("name", "depth"), [("resnet-32", 8), ("vgg-16", 16), ("mobilenetv2", 1)])
def test_networks_lose_what_their_budget_says(name, depth):
    study = GlobalPruningStudy(**{**FIELDS, "network": name, "depth": depth, "size": 32})
    place = place_of(study)
    object.__setattr__(place.data["target"], "inputs", torch.randn(24, 3, 32, 32))
    object.__setattr__(place.data["target"], "example", torch.zeros(1, 3, 32, 32))
    study = replace(study, steps={"train": 1, "after": 3})
    found = place.run(study.condition("pareto", "caie", {"macs": 0.6, "params": 0.7})).detail
    left = shares(found.removed, study.whole(place), place)
    assert left[0] <= 0.6
    assert left[1] <= 0.7
    assert max(left[0] - 0.6, left[1] - 0.7) > -0.05


def test_the_narrow_mobilenet_has_the_whole_ones_groups():
    from reidlab.models import MobileNetV2

    whole = [p.shape for n, p in MobileNetV2().named_parameters() if n.startswith("features") and p.ndim > 1]
    narrow = [p.shape for n, p in NarrowMobileNet(32, 4).named_parameters() if n.startswith("features") and p.ndim > 1]
    assert narrow == whole[:-1]  # without the last convolution
    assert set(NETWORKS) == {"resnet-32", "vgg-16", "mobilenetv2"}


def test_a_straight_path_does_not_deviate():
    assert deviation(np.array([[1.0, 1.0], [0.8, 0.7], [0.6, 0.4]])) == pytest.approx(0)
    assert deviation(np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"network": "resnet-50"}, "network: there is none called 'resnet-50'"),
        ({"data": "mnist"}, "data: there is none called 'mnist'"),
        ({"pair": {"macs": 0.5}}, "pair: params: None"),
        ({"sweep": [1.5]}, "sweep and latency: 1.5"),
        ({"experiments": ["budget"]}, "did you mean 'budgets'"),
        ({"others": ["tp-random"]}, "others: there is none called 'tp-random'"),
        ({"steps": {"train": 2}}, "steps: after is missing; expected train and after"),
        ({"steps": {"train": 2, "after": 2}}, "steps: after is 2, and ranking alone takes 2; give more"),
        ({"weights": []}, "weights: there is none; give lambda at least one value"),
    ],
)
def test_fields_that_cannot_be(fields, message):
    with pytest.raises(ConfigError, match=message):
        GlobalPruningStudy(**{**FIELDS, **fields})


def test_studies_of_data_that_are_here():
    found = studies_here([FIELDS])
    assert list(found[0].places([0, 1])) == [("digits", 0), ("digits", 1)]
    (source,) = found[0].sources([0])
    assert source["embedded"] is True
    with pytest.raises(ConfigError, match="widht: tasks has no such parameter; did you mean 'width'"):
        studies_here([{**FIELDS, "widht": 3}])
    with pytest.raises(ConfigError, match="tasks: steps is missing"):
        studies_here([{name: value for name, value in FIELDS.items() if name != "steps"}])


def test_data_that_are_nowhere_are_said_so(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDLAB_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(MissingDataError, match="tasks: cifar-10 is asked for and not on this machine"):
        studies_here([{**FIELDS, "data": "cifar-10"}])
    assert len(studies_here([FIELDS, {**FIELDS, "data": "cifar-10"}])) == 1


def test_people_need_a_set_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDLAB_DATA", str(tmp_path))
    study = ReidPruningStudy(recipe=Recipe(), steps={"train": 1, "after": 30}, real=("pku-reid",))
    assert list(study.places([0])) == []
    with pytest.raises(ConfigError, match="methods: there is none called 'lambda-flops'"):
        replace(study, methods=("lambda-flops",))


def test_the_problems_are_measured_once_and_need_no_data():
    study = ToyStudy(problems=2, filters=4)
    assert list(study.places([0, 1])) == [("toy", 0)]
    assert {row["key"] for row in study.measure("toy", 0).rows} >= {"toy_optimal", "toy_missed"}


# --- tables -----------------------------------------------------------------------------------------------------------
