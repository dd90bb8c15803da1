"""The floor of studies: conditions run once, rows complete, and the example of the book's page."""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from reidlab.errors import ConfigError, MissingDataError
from reidlab.study import EMBEDDED, Budget, Condition, Contrast, Place, Registry, Result, Study, plain
from reidlab.study.rows import gain_rows, score_rows, with_dims
from reidlab.training.recipe import Backbone, MobileNet, Recipe, Scratch, WeightFile
from reidlab.video.methods import VideoStudy

PAGE = Path(__file__).parents[2] / "book" / "how_to_add_a_chapter.md"
RECIPE = Recipe((32, 16), Backbone(width=8, blocks=(1, 1, 1, 1)), optimisation={"p": 4, "k": 2})

METHODS = Registry("methods")


@METHODS.add("count")
def count(place, condition):
    place.study.calls.append((condition.method, condition.budget, dict(condition.options)))
    value = place.budget(condition.budget)["train"] / 100 + condition.options.get("more", 0.0)
    return Result({"mAP": value, "rank1": value / 2})


class Target:
    protocol = "market1501"


@dataclass(frozen=True, kw_only=True)
class Counting(Study):
    registry = METHODS
    calls: tuple = ()

    def worlds(self, seed):
        return {}

    def load(self, label, seed):
        return {"target": Target()}

    def common(self, place):
        return {"source": "made up"}

    def conditions(self, place):
        yield Condition("count", {"experiment": "one"})
        yield Condition("count", {"experiment": "again"})
        yield Condition("count", {"experiment": "short"}, "short")
        yield Condition("count", {"experiment": "more"}, options={"more": 0.5})

    def contrasts(self, place):
        ours, other = Condition("count", options={"more": 0.5}), Condition("count")
        yield Contrast(ours, other, {"experiment": "gain", "reference": "count"})
        yield Contrast(ours, other, {"experiment": "never"}, when=lambda ours, theirs: False)
        yield Contrast(Condition("count", options={"more": 9.0}), other, {"experiment": "not run"})

    def details(self, place, condition, result):
        if condition.dims["experiment"] == "one":
            yield {"key": "loss", "value": 1.0}

    def probes(self, place):
        yield {"key": "elsewhere", "value": 2.0, "data": None, "unit": "count"}


@pytest.fixture
def study():
    found = Counting(recipe=RECIPE, steps={"train": 20}, short={"train": 10})
    object.__setattr__(found, "calls", [])
    return found


def test_a_condition_may_name_a_start_and_has_results_of_its_own(study, monkeypatch):
    other = replace(RECIPE, backbone=MobileNet())
    both = replace(study, starts={"other": other}, calls=study.calls)
    place = Place(both, EMBEDDED, 0, {"target": Target()})
    own, there = Condition("count"), Condition("count", start="other")
    assert (place.recipe(own), place.recipe(there)) == (RECIPE, other)
    assert place.run(own) is not place.run(there)
    assert place.run(replace(there, dims={"start": "other"})) is place.run(there)
    assert len(study.calls) == 2
    assert both.describe() != study.describe()


def test_conditions_with_a_start_have_a_budget_of_their_own(study):
    assert study.budget("starts").steps == study.budget("long").steps
    shorter = replace(study, start_steps={"train": 5})
    assert [shorter.budget(name)["train"] for name in ("long", "short", "starts")] == [20, 10, 5]
    assert list(shorter.budgets) == ["long", "short"]
    with pytest.raises(ConfigError, match="start_steps: there is none called 'trian'; did you mean 'train'"):
        replace(study, start_steps={"trian": 2})
    with pytest.raises(ConfigError, match="train: 0 is not allowed"):
        replace(study, start_steps={"train": 0})


def test_starts_are_named_where_any_is_other_than_scratch(study, tmp_path):
    assert study.start_names() == replace(study, starts={"other": RECIPE}).start_names() == []
    for name in ("a.pth", "b.onnx"):
        (tmp_path / name).write_bytes(b"abc")
    known = "(SHA-256 ba7816bf8f01)"
    begun = {"file": replace(RECIPE, start=WeightFile(str(tmp_path / "a.pth")))}
    embedder = str(tmp_path / "b.onnx")
    assert replace(study, starts=begun, embedder=embedder).start_names() == [
        "scratch", f"a.pth {known}", f"b.onnx {known}",
    ]  # fmt: skip
    assert replace(study, embedder=embedder).describe()["embedder"]["file"] == "b.onnx"
    with pytest.raises(MissingDataError, match="there is no such file"):
        replace(study, embedder="gone.onnx").start_names()


def test_a_start_of_another_picture_size_is_refused(study):
    with pytest.raises(ConfigError, match=r"starts: big takes pictures of \(64, 32\), and the study decodes them"):
        replace(study, starts={"big": replace(RECIPE, size=(64, 32))})


def test_conditions_of_one_method_budget_and_options_run_once(study):
    study.measure(EMBEDDED, 3)
    assert study.calls == [("count", "long", {}), ("count", "short", {}), ("count", "long", {"more": 0.5})]


def test_equal_budgets_are_one(study):
    same = replace(study, short={"train": 20}, calls=study.calls)
    same.measure(EMBEDDED, 3)
    assert [call[2] for call in study.calls] == [{}, {"more": 0.5}]


def test_rows_carry_data_seed_and_the_dimensions_of_their_condition(study):
    rows = study.measure("pku-reid", 3).rows
    common = {"data": "pku-reid", "seed": 3, "source": "made up"}
    score = {"key": "mAP", "value": 0.2, "protocol": "market1501", "experiment": "one", **common}
    assert score in rows
    assert {"key": "loss", "value": 1.0, "experiment": "one", **common} in rows
    assert {"key": "elsewhere", "value": 2.0, "unit": "count", "seed": 3, "source": "made up"} in rows
    short = [row for row in rows if row.get("experiment") == "short"]
    assert {row["key"]: row["value"] for row in short} == {"mAP": 0.1, "rank1": 0.05}


def test_contrasts_are_gains_where_both_were_run_and_differ(study):
    rows = [row for row in study.measure(EMBEDDED, 0).rows if row["key"].endswith("_gain")]
    assert {(row["key"], row["experiment"]) for row in rows} == {("mAP_gain", "gain"), ("rank1_gain", "gain")}
    assert [row["value"] for row in rows] == pytest.approx([0.5, 0.25])


def test_a_description_tells_configurations_apart_and_knows_no_seed(study, tmp_path):
    assert study.describe() == replace(study).describe()
    assert "seeds" not in study.describe()
    others = [replace(study, steps={"train": 21}), replace(study, recipe=replace(RECIPE, size=(64, 32)))]
    others += [replace(study, recipe=replace(RECIPE, backbone=Backbone(width=16)))]
    assert len({str(item.describe()) for item in (study, *others)}) == 4
    file = tmp_path / "weights.pth"
    file.write_bytes(b"one")
    first = plain(WeightFile(str(file)))
    file.write_bytes(b"two")
    assert plain(WeightFile(str(file))) != first
    assert plain(Scratch()) != first
    with pytest.raises(ConfigError, match="cannot be converted"):
        plain({"model": object()})


def test_places_are_the_world_and_the_real_sets_found(study, monkeypatch):
    monkeypatch.setattr("reidlab.study.study.on_this_machine", lambda names: {"there": None} if names else {})
    assert list(replace(study, real=("there", "gone")).places([0, 4])) == [
        (EMBEDDED, 0), (EMBEDDED, 4), ("there", 0), ("there", 4),
    ]  # fmt: skip


def test_what_is_shared_is_made_once(study):
    place, made = Place(study, EMBEDDED, 0, {}), []
    for _ in range(3):
        assert place.shared("start", lambda: made.append(1) or "network") == "network"
    assert made == [1]


def test_bad_budgets_and_names_are_refused():
    with pytest.raises(ConfigError, match="train: 0 is not allowed; expected an integer of at least 1"):
        Budget("long", {"train": 0})
    with pytest.raises(ConfigError, match="methods: there is none called 'cuont'; did you mean 'count'"):
        METHODS["cuont"]
    assert "count" in METHODS
    assert "cuont" not in METHODS


def test_the_pages_example_is_short_and_runs(coarse_worlds):
    code = re.search(r"```python\n(from dataclasses.*?)```", PAGE.read_text(), re.DOTALL)[1]
    assert len(code.splitlines()) <= 60
    module: dict = {"__name__": "example"}
    exec(compile(code, PAGE.name, "exec"), module)
    study = module["CentringStudy"](recipe=RECIPE, steps={"train": 4}, people=6)
    measured = study.measure(EMBEDDED, 0)
    methods = {row["method"] for row in measured.rows if row["key"] == "mAP"}
    assert methods == {"plain", "centred"}
    scores = {row["method"]: row["value"] for row in measured.rows if row["key"] == "mAP"}
    gain = next(row for row in measured.rows if row["key"] == "mAP_gain")
    assert gain["value"] == pytest.approx(scores["centred"] - scores["plain"])
    assert np.isfinite(measured.kept["gallery"]).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Condition("cuont"), "method: there is none called 'cuont'; did you mean 'count'"),
        (Condition("count", {}, "shrot"), "budget: there is none called 'shrot'; did you mean 'short'"),
        (Condition("count", start="imagenet"), "start: there is none called 'imagenet'"),
    ],
)
@pytest.mark.parametrize("where", ["conditions", "contrasts"])
def test_a_misspelt_method_or_budget_is_refused_before_anything_is_trained(study, monkeypatch, wrong, message, where):
    added = wrong if where == "conditions" else Contrast(Condition("count"), wrong, {})
    declared = getattr(Counting, where)
    monkeypatch.setattr(Counting, where, lambda study, place: [*declared(study, place), added])
    with pytest.raises(ConfigError, match=message):
        study.measure(EMBEDDED, 0)
    assert study.calls == []


def test_a_short_budget_of_unknown_steps_and_no_seeds_are_refused(study):
    with pytest.raises(ConfigError, match="short: there is none called 'trian'; did you mean 'train'"):
        replace(study, short={"trian": 2})
    with pytest.raises(ConfigError, match="give at least one"):
        list(study.sources([]))


def test_sets_are_described_in_one_order():
    assert plain({"b", "a", "c"}) == ["a", "b", "c"]


def test_only_what_is_declared_a_file_is_read_as_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "market1501").write_text("a file that happens to be called so")
    assert plain({"set": "market1501", "note": "x" * 300, "zero": "\0"}) == {
        "set": "market1501", "note": "x" * 300, "zero": "\0",
    }  # fmt: skip
    found = hashlib.sha256((tmp_path / "market1501").read_bytes()).hexdigest()
    assert plain(Path("market1501")) == {"file": "market1501", "sha256": found}
    assert plain(WeightFile("market1501"))["path"] == {"file": "market1501", "sha256": found}
    for missing in (Path("gone"), WeightFile("gone"), tmp_path):
        with pytest.raises(ConfigError, match=r"there is no such file|is a folder, not a file"):
            plain(missing)


@pytest.mark.parametrize("name", ["protocol", "key", "value", "unit", "seed", "timing", "chapter", "dims"])
def test_a_dimension_has_a_name_of_its_own(name):
    message = f"{name}: is a field of every record and cannot be a dimension"
    for make in (
        lambda: Condition("count", {name: "x"}),
        lambda: Contrast(Condition("count"), Condition("count"), {name: "x"}),
        lambda: list(score_rows({"mAP": 0.5}, "market1501", **{name: "x"})),
        lambda: list(gain_rows({"mAP": 0.5}, {"mAP": 0.4}, "market1501", **{name: "x"})),
    ):
        with pytest.raises(ConfigError, match=message):
            make()


def test_a_dimension_may_be_called_as_an_argument_is():
    (row,) = score_rows({"mAP": 0.5}, "market1501", scores="all", ours="a", row=3)
    assert (row["scores"], row["ours"], row["row"]) == ("all", "a", 3)
    assert with_dims({"key": "mAP"}, row=3) == {"key": "mAP", "row": 3}
    (row,) = gain_rows({"mAP": 0.5}, {"mAP": 0.25}, "market1501", ours="a", theirs="b")
    assert (row["ours"], row["theirs"], row["value"]) == ("a", "b", 0.25)


def test_a_name_is_taken_once_but_may_be_defined_again():
    methods = Registry("methods")

    def define():
        @methods.add("one")
        def one():
            pass

        return one

    define()
    latest = define()
    assert methods["one"] is latest
    with pytest.raises(ConfigError, match=r"methods: 'one' is .*define.<locals>.one already; choose another name"):
        methods.add("one")(lambda: None)


def test_a_study_without_a_world_says_what_to_declare():
    with pytest.raises(TypeError, match=r"Study: declare world\(seed\), or worlds\(seed\)"):
        Study(recipe=RECIPE, steps={"train": 1})
    with pytest.raises(TypeError, match="protocols"):
        VideoStudy(recipe=RECIPE, steps={"pictures": 1, "clips": 1})
