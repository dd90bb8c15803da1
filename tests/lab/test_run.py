"""The run as a notebook sees it, without a runner around it."""

import json
import sys

import pytest

from reidlab import lab
from reidlab.errors import RunError
from reidlab.lab import notebook, store
from reidlab.lab import run as runs
from reidlab.lab.store import CONTEXT_FILE, DIRECTORY_VARIABLE
from tests.lab.made_up_study import MadeUpStudy


@pytest.fixture(autouse=True)
def by_hand(monkeypatch):
    monkeypatch.delenv(DIRECTORY_VARIABLE, raising=False)


@pytest.fixture
def run():
    return lab.start("01_tiny", {"seeds": [0]})


def test_by_hand_a_run_keeps_nothing(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run.record("mAP", 0.5, seed=0)
    run.finish()
    assert list(tmp_path.iterdir()) == []
    assert run.records()["value"].tolist() == [0.5]


def test_a_run_given_a_folder_writes_there(tmp_path):
    folder = tmp_path / "01_tiny"
    run = lab.start("01_tiny", directory=folder)
    run.record("mAP", 0.5, seed=3)
    run.glue("best", 0.5)
    run.finish()
    info = json.loads((folder / "run.json").read_text())
    assert sorted(path.name for path in folder.iterdir()) == ["records.parquet", "run.json"]
    assert (info["seeds"], info["records"], info["keys"], info["glue"]) == ([3], 1, ["mAP"], {"best": 0.5})
    assert store.open_run(folder).records["value"].tolist() == [0.5]


def test_a_kernel_glues_without_building_the_grammar_of_addresses(run, monkeypatch):
    myst_nb = pytest.importorskip("myst_nb")
    monkeypatch.delitem(sys.modules, notebook.ADDRESS_GRAMMAR, raising=False)
    monkeypatch.setattr(runs, "_shell", lambda: "a kernel's")
    glued = []
    monkeypatch.setattr(myst_nb, "glue", lambda *told, display: glued.append((*told, sys.modules["rfc3987_syntax"])))
    run.glue("best", 0.5)
    assert glued == [("best", 0.5, None)]
    assert notebook.ADDRESS_GRAMMAR not in sys.modules


def test_the_card_shows_everything_and_no_host(run):
    import platform

    run.data("small world", hash="abc", embedded=True, describe="4 people")
    run.record("mAP", 0.5, seed=3)
    names = [name for name, _ in run.card().rows()]
    assert names == [
        *("chapter", "profile", "parameters", "seeds", "data", "code", "versions", "device", "machine", "measured"),
    ]
    text = repr(run.card()) + run.card()._repr_html_()
    assert "small world (embedded, 4 people, hash abc)" in text
    assert "run by hand" in text
    assert platform.node() not in text.split() or len(platform.node()) < 3


def test_the_card_names_starts_where_a_study_has_any_but_scratch(tmp_path):
    run = lab.start("01_tiny", directory=tmp_path / "01_tiny")
    for starts, shown in (((), {}), (("scratch", "b.onnx (SHA-256 ab)"), {"starts": "scratch; b.onnx (SHA-256 ab)"})):
        run.measure(MadeUpStudy(starts=starts), [len(starts)])
        assert {name: text for name, text in run.card().rows() if name == "starts"} == shown
    run.finish()
    assert store.open_run(tmp_path / "01_tiny").info["starts"] == ["scratch", "b.onnx (SHA-256 ab)"]


def test_the_card_escapes_html():
    run = lab.start("01_tiny", {"name": "<script>"})
    assert "<script>" not in run.card()._repr_html_()


@pytest.mark.parametrize(
    "second",
    [
        lambda run: run.record("mAP", 0.6, seed=0, loss="a"),
        lambda run: run.record("mAP", 5, "count", seed=1, loss="a"),
        lambda run: run.record("mAP", float("nan"), seed=1),
        lambda run: run.data("w", hash="other", embedded=True),
        lambda run: run.data("v", hash="", embedded=True),
        lambda run: run.glue("best", 0.7),
        lambda run: run.glue("Best one", 0.7),
        lambda run: run.table("mINP"),
        lambda run: lab.start("01_tiny", {"thing": object()}),
    ],
)
def test_what_a_notebook_may_not_do_is_refused(run, second):
    run.record("mAP", 0.5, seed=0, loss="a")
    run.data("w", hash="abc", embedded=True)
    run.glue("best", 0.6)
    with pytest.raises(RunError):
        second(run)


def test_a_finished_run_is_closed(run):
    with pytest.raises(RunError, match="nothing was recorded"):
        run.finish()
    run.record("mAP", 0.5)
    run.finish()
    for late in (lambda: run.record("rank1", 0.5), run.finish, lambda: run.glue("x", 1)):
        with pytest.raises(RunError, match="the run is finished"):
            late()


def test_parameters_are_the_plain_names_so_far():
    namespace = {
        "seeds": [0],
        "rate": 0.1,
        "_hidden": 1,
        "In": [""],
        "Out": {},
        "lab": lab,
        "function": print,
        "path": object(),
    }
    assert lab.parameters(namespace) == {"seeds": [0], "rate": 0.1}
    assert lab.parameters(namespace, "rate") == {"rate": 0.1}
    with pytest.raises(RunError, match="width not defined"):
        lab.parameters(namespace, "rate width")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seeds": [0], "extra": 1}, "'extra' is recorded as a parameter but is not in the parameters cell"),
        ({}, "parameter 'seeds' is not passed to lab.start"),
        ({"seeds": [1]}, r"parameter 'seeds' is \[1\] at lab.start, but the run was started with \[0\]"),
    ],
)
def test_under_the_runner_parameters_are_those_it_gave(tmp_path, monkeypatch, given, message):
    (tmp_path / CONTEXT_FILE).write_text(json.dumps({"chapter": "01_tiny", "parameters": {"seeds": [0]}}))
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    with pytest.raises(RunError, match=message):
        lab.start("01_tiny", given)
    with pytest.raises(RunError, match="the notebook of chapter '01_tiny' starts a run of '02_other'"):
        lab.start("02_other", {"seeds": [0]})


def test_data_on_disk_is_watched_but_not_published(run, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"1")
    run.data("MARS", hash="abc", embedded=False, root=tmp_path)
    before = run.describe()["data"]["MARS"]["listing"]
    assert str(tmp_path) not in repr(run.card())
    (tmp_path / "a.jpg").write_bytes(b"12")
    again = lab.start("01_tiny")
    again.data("MARS", hash="abc", embedded=False, root=tmp_path)
    assert again.describe()["data"]["MARS"]["listing"] != before


def test_kept_records_are_shown_and_watched(run, monkeypatch, copied):
    monkeypatch.setattr("reidlab.lab.project.Project.find", lambda root=None: copied)
    assert run.kept() is None
    store.keep("1", "standard", copied)
    again = lab.start("01_tiny")
    assert len(again.kept()) == 11
    assert again.describe()["kept"] == {"standard": store.kept_digest(copied, "standard", "01_tiny")}
