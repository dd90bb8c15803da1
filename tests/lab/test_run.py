"""The run as a notebook sees it, without a runner around it."""

import json
import types

import pandas as pd
import pytest

from reidlab import lab
from reidlab.errors import RunError
from reidlab.lab import run as run_module
from reidlab.lab import store
from reidlab.lab.run import CONTEXT_FILE, DIRECTORY_VARIABLE

# One worker, one really run project.
pytestmark = pytest.mark.xdist_group("lab")


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
    run = lab.start("01_tiny", directory=tmp_path)
    run.record("mAP", 0.5, seed=3)
    run.glue("best", 0.5)
    run.finish()
    info = json.loads((tmp_path / "run.json").read_text())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["records.parquet", "run.json"]
    assert (info["seeds"], info["records"], info["keys"], info["glue"]) == ([3], 1, ["mAP"], {"best": 0.5})
    assert store.open_run(tmp_path).records["value"].tolist() == [0.5]


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
        lambda run: run.piece("Bad name", print),
        lambda run: run.piece("outer", lambda: run.piece("inner", lambda: None)),
        lambda run: run.piece("number", lambda: 3),
        lambda run: run.piece("objects", print, thing=object()),
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


# ---- pieces ------------------------------------------------------------------------------------------------------


class LongRun:
    """Starts the same run again and again, as after an interruption, and counts what is computed."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.cells = ["", "seeds = [0]", "run.piece('train', experiment)"]
        self.computed = []
        self.parameters = {"width": 8}
        shell = types.SimpleNamespace(user_ns={"In": self.cells})
        monkeypatch.setattr(run_module, "_shell", lambda: shell)
        monkeypatch.setenv(DIRECTORY_VARIABLE, str(folder))

    def start(self):
        context = {"chapter": "01_tiny", "parameters": self.parameters, "pieces": str(self.folder / "pieces")}
        (self.folder / CONTEXT_FILE).write_text(json.dumps(context))
        self.run = lab.start("01_tiny", self.parameters)
        return self.run

    def experiment(self, seed, table=False):
        self.computed.append(seed)
        self.run.record("mAP", 0.5 + seed / 10, seed=seed)
        return pd.DataFrame({"epoch": [0, 1], "loss": [1.0, 0.5]}) if table else None


@pytest.fixture
def long_run(tmp_path, monkeypatch):
    return LongRun(tmp_path, monkeypatch)


def test_a_piece_is_computed_once_and_found_again(long_run):
    first = [long_run.start().piece("train", long_run.experiment, seed=0)]
    run = long_run.start()
    again = [run.piece("train", long_run.experiment, seed=seed) for seed in (0, 1)]
    assert long_run.computed == [0, 1]
    pd.testing.assert_frame_equal(first[0], again[0])
    assert run.records()["value"].tolist() == [0.5, 0.6]
    assert [piece["resumed"] for piece in run.describe()["pieces"]] == [True, False]


def test_an_input_may_be_called_as_its_arguments_are():
    from reidlab import lab

    run = lab.start("made_up")
    found = run.piece("real", lambda name, compute: run.record(name, compute) and None, name="rank1", compute=0.5)
    assert found[["key", "value"]].to_numpy().tolist() == [["rank1", 0.5]]


def test_a_piece_gives_back_its_table(long_run):
    made = long_run.start().piece("train", long_run.experiment, seed=0, table=True)
    found = long_run.start().piece("train", long_run.experiment, seed=0, table=True)
    assert long_run.computed == [0]
    pd.testing.assert_frame_equal(made, found)


def _other_parameter(long_run):
    long_run.parameters = {"width": 16}


def _other_code(long_run):
    long_run.cells[1] = "seeds = [1]"


def _damaged(long_run):
    for path in (long_run.folder / "pieces").glob("*.json"):
        path.write_text(path.read_text()[:-9])


def _table_lost(long_run):
    for path in (long_run.folder / "pieces").glob("*.parquet"):
        path.write_bytes(b"PAR1")


@pytest.mark.parametrize("change", [_other_parameter, _other_code, _damaged, _table_lost])
def test_a_piece_that_may_differ_is_computed_again(long_run, change):
    long_run.start().piece("train", long_run.experiment, seed=0, table=True)
    change(long_run)
    long_run.start().piece("train", long_run.experiment, seed=0, table=True)
    assert long_run.computed == [0, 0]


def test_a_comment_or_a_later_cell_leaves_pieces_alone(long_run):
    long_run.start().piece("train", long_run.experiment, seed=0)
    long_run.cells[1] = "seeds = [0]  # why"
    long_run.start().piece("train", long_run.experiment, seed=0)
    assert long_run.computed == [0]


def test_a_piece_that_fails_is_not_kept(long_run):
    def fails(seed):
        long_run.experiment(seed)
        raise ValueError

    with pytest.raises(ValueError):
        long_run.start().piece("train", fails, seed=0)
    long_run.start().piece("train", long_run.experiment, seed=0)
    assert long_run.computed == [0, 0]


def test_the_same_piece_twice_is_refused(long_run):
    run = long_run.start()
    run.piece("train", long_run.experiment, seed=0)
    with pytest.raises(RunError, match="computed twice"):
        run.piece("train", long_run.experiment, seed=0)


def test_kept_records_are_shown_and_watched(run, monkeypatch, copied):
    monkeypatch.setattr("reidlab.lab.project.Project.find", lambda root=None: copied)
    assert run.kept() is None
    store.keep("1", "standard", copied)
    again = lab.start("01_tiny")
    assert len(again.kept()) == 11
    assert again.describe()["kept"] == {"standard": store.kept_digest(copied, "standard", "01_tiny")}
