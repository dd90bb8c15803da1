"""Reading runs back: what is damaged is refused in one line, what is kept says nothing of this machine."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from reidlab import files, lab
from reidlab.errors import ConfigError, RunError
from reidlab.lab import pieces, store
from tests.lab.made_up_project import run_chapters, write_chapter

RESULTS = Path(__file__).parents[2] / "results"


def spoil(path, change):
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("run.json", lambda p: p.write_text("{"), r"run\.json: cannot be read as JSON"),
        ("run.json", lambda p: p.write_text("[]"), r"run\.json: expected a JSON object, found list"),
        ("run.json", lambda p: p.write_bytes(b"\xff\xfe"), r"run\.json: cannot be read"),
        ("run.json", lambda p: spoil(p, lambda i: i.pop("code")), r"run\.json: has no 'code'"),
        ("run.json", lambda p: spoil(p, lambda i: i.update(format=9)), r"is of format 9, this version reads 1"),
        ("run.json", lambda p: p.unlink(), r"has no run under profile quick; .*run `reidlab run 01_tiny"),
        *(
            ("run.json", lambda p, name=name, value=value: spoil(p, lambda i: i.update({name: value})), f"json: {name}")
            for name, value in [
                ("chapter", 1),
                ("profile", ["quick"]),
                ("parameters", []),
                ("data", {"w": "x"}),
                ("data", {"w": {}}),
                ("code", "x"),
                ("code", {"hash": 1}),
                ("versions", {"python": 3}),
                ("started", "2024-13-45"),
                ("wall_s", "long"),
                ("wall_s", float("nan")),
                ("wall_s", 10**400),
                ("files", []),
                ("seeds", [0.5]),
                ("records", True),
                ("pieces", [1]),
                ("threads", None),
                ("kept", {"standard": 1}),
                ("verified", {}),
            ]
        ),
        (
            "run.json",
            lambda p: spoil(p, lambda i: i.update(chapter="../x")),
            r"is of chapter '\.\./x', profile 'quick'",
        ),
        ("run.json", lambda p: spoil(p, lambda i: i.update(profile="\x1b[31m")), r"profile '\\x1b\[31m', and does not"),
        (
            "run.json",
            lambda p: spoil(p, lambda i: i.update(files={"../../x": "1"})),
            r"files: '\.\./\.\./x' is no name",
        ),
        ("run.json", lambda p: spoil(p, lambda i: i.update(files={})), r"files does not name records\.parquet"),
        ("run.json", lambda p: p.write_bytes(b""), r"run\.json: cannot be read as JSON"),
        ("run.json", lambda p: (p.unlink(), os.mkfifo(p)), r"has no run under profile quick"),
        ("run.json", lambda p: (p.unlink(), p.mkdir()), r"has no run under profile quick"),
        ("records.parquet", lambda p: p.write_bytes(p.read_bytes()[:-1]), r"records\.parquet: is not the file"),
        ("records.parquet", lambda p: p.unlink(), r"records\.parquet: missing, though run\.json names it"),
        ("01_tiny.ipynb", lambda p: p.write_text("{}"), r"01_tiny\.ipynb: is not the file that was written"),
    ],
)
def test_a_damaged_run_is_refused(copied, name, damage, message):
    damage(store.run_folder(copied, "quick", "01_tiny") / name)
    with pytest.raises(RunError, match=message) as caught:
        store.load("quick", "1", copied)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["../quick", "", "a/b", "\x1b[31m", ".", 3, None])
def test_what_becomes_a_folder_is_a_name(project, name):
    for folder in (store.run_folder, store.kept_folder):
        for words in ((name, "01_tiny"), ("quick", name)):
            with pytest.raises(ConfigError, match="is no name"):
                folder(project, *words)
    with pytest.raises(ConfigError, match="is no name"):
        store.pieces_folder(project, name)
    with pytest.raises(ConfigError, match="is no name"):
        lab.start(name)


def test_all_kept_runs_are_read():
    kept = [place for place in sorted(RESULTS.glob("*/*")) if place.parent.name != store.PIECES]
    assert kept
    for folder in kept:
        assert store.open_run(folder, kept=True).chapter == folder.name


def test_all_kept_pieces_are_whole_and_hold_no_features_of_real_people():
    for place in RESULTS.glob(f"{store.PIECES}/*/*"):
        identity = files.read_json(place / store.MANIFEST_FILE)["identity"]
        assert pieces.folder_of(place.parent, identity) == place
        assert pieces.load(place, identity) is not None
        assert not identity["data"] or sorted(path.name for path in place.iterdir()) == ["manifest.json", "plain.json"]


def test_a_stored_run_is_read_back(executed):
    run = store.load("standard", "1", executed)
    assert (run.chapter, run.profile, run.kept) == ("01_tiny", "standard", False)
    assert len(run.records) == 11
    assert run.info["seeds"] == [0, 1, 2, 3, 4]
    assert run.info["parameters"] == {"seeds": [0, 1, 2, 3, 4], "epochs": 2, "name": "quiet"}
    assert run.changes(executed) == []


def test_keeping_copies_records_and_leaves_machine_paths_behind(copied, tmp_path):
    path = store.run_folder(copied, "standard", "01_tiny") / "run.json"
    root = {"root": str(tmp_path), "listing": "1"}
    spoil(path, lambda info: info["data"]["small world"].update(root))
    folder = store.keep("1", "standard", copied)
    kept = store.kept("01_tiny", "standard", copied)
    pd.testing.assert_frame_equal(kept.records, store.load("standard", "1", copied).records)
    assert sorted(p.name for p in folder.iterdir()) == ["records.parquet", "run.json"]
    assert str(tmp_path) not in (folder / "run.json").read_text()
    assert store.kept("01_tiny", "paper", copied) is None


def test_kept_records_turn_stale_and_a_stale_run_is_not_kept(copied):
    store.keep("1", "standard", copied)
    write_chapter(copied, "01_tiny", "x = 1")
    assert store.kept("01_tiny", "standard", copied).is_stale(copied)
    with pytest.raises(RunError, match=r"the run is stale \(the notebook's code changed\); run `reidlab run 01_tiny"):
        store.keep("1", "standard", copied)


def test_a_run_whose_chapter_is_gone_is_stale(copied):
    run = store.load("quick", "1", copied)
    copied.notebook("01_tiny").unlink()
    assert "no such notebook" in run.changes(copied)[0]


def test_no_run_is_said_so(project):
    with pytest.raises(RunError, match="has no run under profile quick"):
        store.load("quick", "1", project)


def test_keeping_needs_a_run(project, no_kernel):
    run_chapters(project)
    with pytest.raises(RunError, match="has no run under profile standard"):
        store.keep("1", "standard", project)
