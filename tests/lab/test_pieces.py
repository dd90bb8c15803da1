"""Measuring a study: what is stored is found again whole, or measured again; more seeds extend a run."""

import dataclasses
import json
import os
import shutil
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from reidlab import files, lab
from reidlab.errors import RunError
from reidlab.lab import codehash, environment, pieces, store
from reidlab.lab.card import Card
from tests.kills import listing
from tests.lab import made_up_study
from tests.lab.made_up_project import EXPERIMENT, run_chapters, write_chapter
from tests.lab.made_up_study import MEASURED, MadeUpStudy


@pytest.fixture(autouse=True)
def measured(monkeypatch):
    monkeypatch.delenv(store.DIRECTORY_VARIABLE, raising=False)
    MEASURED.clear()
    return MEASURED


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start the same run again and again, as after an interruption."""
    monkeypatch.setenv(store.DIRECTORY_VARIABLE, str(tmp_path))

    def start(parameters=(), again=False):
        context = {"chapter": "01_tiny", "parameters": dict(parameters), "pieces": str(tmp_path / "pieces")}
        (tmp_path / store.CONTEXT_FILE).write_text(json.dumps(context | {"again": again}))
        return lab.start("01_tiny", dict(parameters))

    return start


def test_a_study_is_measured_place_by_place_and_recorded():
    run = lab.start("01_tiny")
    kept = run.measure(MadeUpStudy(people=4), [0, 1])
    assert MEASURED == [("embedded", 0), ("embedded", 1)]
    assert run.records()["value"].tolist() == [4, 0.6, 0.5, 0.61, 0.52]
    assert list(kept) == MEASURED
    assert kept.first is kept["embedded", 0]
    assert kept["embedded", 1]["features"][0, 0] == 1
    assert [piece["inputs"] for piece in run.describe()["pieces"]] == [
        {"label": "embedded", "seed": 0},
        {"label": "embedded", "seed": 1},
    ]


def test_data_sets_are_named_and_measured_too(tmp_path):
    run = lab.start("01_tiny")
    run.measure(MadeUpStudy(real={"pku": tmp_path}), [0])
    assert run.describe()["data"]["pku"]["root"] == str(tmp_path)
    assert MEASURED == [("embedded", 0), ("pku", 0)]


def test_by_hand_nothing_is_stored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        kept = lab.start("01_tiny").measure(MadeUpStudy(), [0])
    assert len(MEASURED) == 2
    assert list(tmp_path.iterdir()) == []
    assert kept.first["file"] == {"names": ["a", "b"], "level": [0, None]}


def test_a_piece_gives_back_everything_bit_for_bit(start):
    first, again = (start().measure(MadeUpStudy(), [3]).first for _ in range(2))
    assert MEASURED == [("embedded", 3)]
    for kept in (first, again):
        assert list(kept) == ["features", "losses", "weights", "file"]
        np.testing.assert_array_equal(kept["features"], np.full((2, 3), 3, np.float32))
        assert kept["features"].dtype == np.float32
        expected = pd.DataFrame({"epoch": [0, 1], "loss": [1.0, 0.5 - 3 / 10]}, index=[3, 4])
        pd.testing.assert_frame_equal(kept["losses"], expected)
        assert torch.equal(kept["weights"]["fc.weight"], torch.full((2, 2), 3.0))
        assert kept["file"] == {"names": ["a", "b"], "level": [3, None]}


def test_a_piece_is_measured_once_and_more_seeds_extend_a_run(start):
    first, run = start({"seeds": [0]}), start({"seeds": [1, 0], "shown": 3})
    first.measure(MadeUpStudy(), [0])
    run.measure(MadeUpStudy(), [1, 0])
    assert MEASURED == [("embedded", 0), ("embedded", 1)]
    assert run.records()["value"].tolist() == [0.61, 0.52, 0.6, 0.5]
    assert [piece["resumed"] for piece in run.describe()["pieces"]] == [False, True]


def _configuration(monkeypatch, tmp_path):
    return {"step": 0.02}


def _code(monkeypatch, tmp_path):
    monkeypatch.setattr(codehash, "of_modules", lambda names: "other")


def _versions(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "versions", lambda: {"python": "3.99"})


def _threads(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "threads", lambda: 99)


def _damage(name, monkeypatch, tmp_path):
    for path in (tmp_path / "pieces").glob(f"*/{name}"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


def _cut(monkeypatch, tmp_path):
    for path in (tmp_path / "pieces").glob("*/plain.json"):
        path.write_text(path.read_text()[:-9])


def _lose(name, monkeypatch, tmp_path):
    for path in (tmp_path / "pieces").glob(f"*/{name}"):
        path.unlink()


FILES = ("manifest.json", "plain.json", "arrays.npz", "losses.parquet", "weights.safetensors")


def _edit(change, monkeypatch, tmp_path):
    """Change a manifest by hand."""
    for path in (tmp_path / "pieces").glob("*/manifest.json"):
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))


def _edit_records(monkeypatch, tmp_path):
    """Change a record, and what the manifest says of its file, but not the manifest's own digest."""
    for path in (tmp_path / "pieces").glob("*/plain.json"):
        path.write_text(path.read_text().replace("0.6", "0.9"))
        written = [path.stat().st_size, files.digest(path)]
        _edit(lambda manifest: manifest["files"].update({"plain.json": written}), monkeypatch, tmp_path)


def _rows_of(rows, monkeypatch, tmp_path):
    """Store other records as if a study had measured them."""
    for path in (tmp_path / "pieces").glob("*/manifest.json"):
        identity = json.loads(path.read_text())["identity"]
        pieces.save(path.parent, tmp_path, identity, pieces.Piece(rows, {}, 0.0))


def _add(monkeypatch, tmp_path):
    for path in (tmp_path / "pieces").iterdir():
        (path / "more.npz").touch()


def _move(monkeypatch, tmp_path):
    """Put the piece of another seed in this one's place."""
    (folder,) = (tmp_path / "pieces").iterdir()
    identity = json.loads((folder / "manifest.json").read_text())["identity"] | {"seed": 1}
    pieces.save(folder, tmp_path, identity, pieces.Piece([], {}, 0.0))


@pytest.mark.parametrize(
    "change",
    [
        *(_cut, _edit_records, _add, _move),
        *(partial(_damage, name) for name in FILES[1:]),
        *(partial(_lose, name) for name in FILES),
        partial(_edit, lambda manifest: manifest.pop("kept")),
        partial(_edit, lambda manifest: manifest.update(kept={"../../secret": "table"})),
        partial(_edit, lambda manifest: manifest.update(files={})),
        partial(_edit, lambda manifest: manifest.update(files=[1])),
        partial(_edit, lambda manifest: manifest["identity"].update(seed=1)),
        partial(_rows_of, [{"key": "rank1"}]),
        partial(_rows_of, [["rank1", 0.9]]),
    ],
)
def test_a_damaged_or_edited_piece_is_measured_again_and_said_so(start, monkeypatch, tmp_path, change):
    first = start()
    first.measure(MadeUpStudy(), [0])
    change(monkeypatch, tmp_path)
    again = start()
    again.measure(MadeUpStudy(), [0])
    assert MEASURED == [("embedded", 0)] * 2
    pd.testing.assert_frame_equal(again.records(), first.records())
    assert [[piece.get("damaged", False) for piece in run.describe()["pieces"]] for run in (first, again)] == [
        [False], [True],
    ]  # fmt: skip
    start().measure(MadeUpStudy(), [0])
    assert len(MEASURED) == 2


@pytest.mark.parametrize("change", [_configuration, _code, _versions, _threads])
def test_a_piece_of_something_else_is_measured_again(start, monkeypatch, tmp_path, change):
    start().measure(MadeUpStudy(), [0])
    changed = change(monkeypatch, tmp_path) or {}
    run = start()
    run.measure(MadeUpStudy(**changed), [0])
    assert MEASURED == [("embedded", 0)] * 2
    assert "damaged" not in run.describe()["pieces"][0]
    start().measure(MadeUpStudy(**changed), [0])
    assert len(MEASURED) == 2


def test_changed_files_of_a_data_set_are_measured_again_and_nothing_else_is(start, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    study = MadeUpStudy(real={"pku": pictures})
    start().measure(study, [0])
    (pictures / "a.jpg").write_bytes(b"1")
    start().measure(study, [0])
    assert MEASURED == [("embedded", 0), ("pku", 0), ("pku", 0)]


def test_a_real_set_without_a_place_of_its_own_counts_for_the_others(start, tmp_path, measured):
    pictures = tmp_path / "pictures"
    pictures.mkdir()

    class Inside(MadeUpStudy):
        __module__ = made_up_study.__name__

        def places(self, seeds):
            return [("embedded", seed) for seed in seeds]

    for content, expected in (("a", [("embedded", 0)]), ("a", []), ("ab", [("embedded", 0)])):
        (pictures / "picture.jpg").write_text(content)
        measured.clear()
        start().measure(Inside(real={"pku": pictures}), [0])
        assert measured == expected


def test_everything_is_measured_again_if_wanted(start):
    start().measure(MadeUpStudy(), [0])
    start(again=True).measure(MadeUpStudy(), [0])
    start().measure(MadeUpStudy(), [0])
    assert len(MEASURED) == 2


def test_a_place_that_fails_leaves_nothing(start, monkeypatch, tmp_path):
    def fails(self, label, seed):
        raise ValueError

    with monkeypatch.context() as patch:
        patch.setattr(MadeUpStudy, "measure", fails)
        with pytest.raises(ValueError):
            start().measure(MadeUpStudy(), [0])
    assert not (tmp_path / "pieces").exists()
    start().measure(MadeUpStudy(), [0])
    assert MEASURED == [("embedded", 0)]


def test_a_piece_that_is_half_written_leaves_nothing(start, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_parquet", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(RunError, match="the disk is full"):
            start().measure(MadeUpStudy(), [0])
    assert not (tmp_path / "pieces").exists()


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"Bad name": 1}, "keeps 'Bad name'; a name is written in snake_case"),
        ({"number": float("nan")}, "keeps 'number': .*expected plain data"),
        ({"thing": object()}, "keeps 'thing': .*expected plain data"),
        ({"things": np.array([object()])}, "keeps 'things': an array of objects"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_hand_too(monkeypatch, kept, message):
    measure = MadeUpStudy.measure

    def other(self, label, seed):
        found = measure(self, label, seed)
        found.kept = kept
        return found

    monkeypatch.setattr(MadeUpStudy, "measure", other)
    with pytest.raises(RunError, match=f"01_tiny: 'embedded', seed 0: {message}"):
        lab.start("01_tiny").measure(MadeUpStudy(), [0])


def test_the_same_place_twice_and_no_place_are_refused():
    with pytest.raises(RunError, match="the study measures 'embedded' twice with seed 0"):
        lab.start("01_tiny").measure(MadeUpStudy(), [0, 0])
    with pytest.raises(RunError, match="nothing to measure"):
        lab.start("01_tiny").measure(MadeUpStudy(), [])
    with pytest.raises(RunError, match=r"nothing was measured at \('embedded', 7\); there is: \('embedded', 0\)"):
        lab.start("01_tiny").measure(MadeUpStudy(), [0])["embedded", 7]


@dataclasses.dataclass(frozen=True)
class Composed(MadeUpStudy):
    parts: list = dataclasses.field(default_factory=list)


def test_a_study_rests_on_the_modules_of_its_parts():
    found = pieces.identify("01_tiny", Composed(parts=[MadeUpStudy, partial(run_chapters, start=environment.versions)]))
    assert found["modules"] == [
        *("reidlab.lab.environment", "tests.lab.made_up_project", "tests.lab.made_up_study", __name__),
    ]


def test_a_study_of_the_notebook_is_not_stored(start, tmp_path, monkeypatch):
    monkeypatch.setattr(MadeUpStudy, "__module__", "__main__")
    start().measure(MadeUpStudy(), [0])
    assert not (tmp_path / "pieces").exists()


# ---- under the runner ----------------------------------------------------------------------------------------------


def measured_by(project, **options):
    """Return the seeds that a run of the chapter measured."""
    MEASURED.clear()
    (outcome,) = run_chapters(project, **options)
    assert outcome.status == "done", outcome.message
    return [seed for _, seed in MEASURED]


def test_after_success_a_chapter_redraws_without_measuring(project, no_kernel):
    assert measured_by(project) == [0]
    write_chapter(project, "01_tiny", "x = 1")
    assert measured_by(project) == []
    info = store.load("quick", "1", project).info
    assert [piece["resumed"] for piece in info["pieces"]] == [True]


def test_a_run_says_that_a_piece_was_damaged(project, no_kernel):
    run_chapters(project)
    (piece,) = store.pieces_folder(project, "01_tiny").iterdir()
    (piece / "plain.json").write_text("{}")
    write_chapter(project, "01_tiny", "x = 1")
    (outcome,) = run_chapters(project)
    assert "3 records in 0 s (1 stored piece damaged or edited, measured again); " in outcome.message


def test_more_seeds_another_profile_and_changed_parameters_extend_a_run(project, no_kernel):
    assert measured_by(project, changes={"seeds": [0, 1]}) == [0, 1]
    assert measured_by(project, changes={"seeds": [2, 1, 0]}) == [2]
    assert measured_by(project, profile="standard") == [3, 4]
    assert measured_by(project) == []
    assert measured_by(project, force=True) == [0]
    assert len(list(store.pieces_folder(project, "01_tiny").iterdir())) == 5


@pytest.fixture
def elsewhere(project, no_kernel, monkeypatch):
    """The project's checkout on a second machine: pieces of two seeds are in results/, the run store is not there."""
    monkeypatch.setattr(environment, "machine", lambda: "first machine")
    assert measured_by(project, profile="standard", changes={"seeds": [0, 3]}) == [0, 3]
    assert measured_by(project) == [], "the quick profile's seed is one of them"
    folder, found = pieces.keep("1", "standard", project)
    assert folder == project.results / "pieces" / "01_tiny"
    assert len(found) == 2
    shutil.rmtree(project.runs)
    monkeypatch.setattr(environment, "machine", lambda: "second machine")
    return project


def test_kept_pieces_are_taken_up_on_another_machine_and_the_card_says_so(elsewhere):
    assert measured_by(elsewhere, profile="standard") == [1, 2, 4]
    run = store.load("standard", "1", elsewhere)
    assert {p["inputs"]["seed"]: (p["resumed"], p.get("machine")) for p in run.info["pieces"]} == {
        0: (True, "first machine"),
        1: (False, None),
        2: (False, None),
        3: (True, "first machine"),
        4: (False, None),
    }
    assert dict(Card(run.info).rows())["machine"] == "second machine; 2 pieces on first machine"
    assert store.open_run(run.folder).records.equals(run.records)


def test_what_was_taken_stays_with_the_machine_that_took_it(elsewhere):
    assert measured_by(elsewhere, profile="standard") == [1, 2, 4]
    shutil.rmtree(elsewhere.results)
    write_chapter(elsewhere, "01_tiny", "x = 1")
    assert measured_by(elsewhere, profile="standard") == []
    machines = [piece.get("machine") for piece in store.load("standard", "1", elsewhere).info["pieces"]]
    assert machines == ["first machine", None, None, "first machine", None]


@pytest.mark.parametrize("damage", ["cut", "gone", "more", "other"])
def test_keeping_pieces_again_heals_what_was_damaged(elsewhere, damage):
    folder = elsewhere.results / "pieces" / "01_tiny"
    whole = listing(elsewhere.results)
    first, second = sorted(folder.iterdir())
    if damage == "cut":
        (first / store.ARRAYS_FILE).write_bytes(b"PK")
    elif damage == "gone":
        (first / store.PLAIN_FILE).unlink()
    elif damage == "more":
        (first / "more.txt").touch()
    else:
        shutil.rmtree(first)
        shutil.copytree(second, first)
    (folder / ".gitkeep").touch()
    pieces.keep("1", "standard", elsewhere)
    assert not first.exists(), "no good piece is here yet"
    assert measured_by(elsewhere, profile="standard", changes={"seeds": [0, 3]}) in ([0], [3])
    assert len(pieces.keep("1", "standard", elsewhere)[1]) == 2
    assert listing(elsewhere.results).keys() == {*whole, "pieces/01_tiny/.gitkeep"}


def test_a_piece_that_another_profile_measured_is_kept_where_it_was_needed(project, no_kernel):
    assert measured_by(project) == [0]
    assert measured_by(project, profile="standard", changes={"seeds": [0, 1]}) == [1]
    assert len(pieces.keep("1", "standard", project)[1]) == 2
    assert len(pieces.keep("1", "quick", project)[1]) == 1


def test_pieces_of_other_packages_stay_for_whom_they_fit(elsewhere, monkeypatch):
    monkeypatch.setattr(environment, "versions", lambda: {"python": "3.99"})
    assert measured_by(elsewhere, profile="standard", changes={"seeds": [0]}) == [0]
    assert len(pieces.keep("1", "standard", elsewhere)[1]) == 3


def test_a_link_in_place_of_a_piece_is_replaced_by_one(elsewhere, tmp_path):
    folder = elsewhere.results / "pieces" / "01_tiny"
    for place in list(folder.iterdir()):
        os.replace(place, tmp_path / place.name)
        place.symlink_to(tmp_path / place.name)
    assert measured_by(elsewhere, profile="standard", changes={"seeds": [0, 3]}) == []
    assert not any(place.is_symlink() for place in store.pieces_folder(elsewhere, "01_tiny").iterdir())
    for place in folder.iterdir():
        place.unlink()
        place.symlink_to("nowhere")
    assert len(pieces.keep("1", "standard", elsewhere)[1]) == 2
    assert not any(place.is_symlink() for place in folder.iterdir())


def test_a_forced_run_replaces_what_was_kept(elsewhere):
    before = listing(elsewhere.results)
    assert measured_by(elsewhere, profile="standard", changes={"seeds": [0, 3]}, force=True) == [0, 3]
    pieces.keep("1", "standard", elsewhere)
    after = listing(elsewhere.results)
    assert before.keys() == after.keys()
    assert all(before[name] != after[name] for name in before if name.endswith(store.MANIFEST_FILE)), "other machine"


def test_features_of_real_people_are_not_kept(project, no_kernel, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    made = f"MadeUpStudy(real={{'pku': __import__('pathlib').Path({str(pictures)!r})}})"
    write_chapter(project, "01_tiny", experiment=EXPERIMENT.replace("MadeUpStudy()", made))
    assert measured_by(project, profile="standard", changes={"seeds": [0]}) == [0, 0]
    labels = []
    for key in pieces.keep("1", "standard", project)[1]:
        manifest = files.read_json(project.results / "pieces" / "01_tiny" / key / store.MANIFEST_FILE)
        labels.append(manifest["identity"]["label"])
    assert labels == ["embedded"]


def test_keeping_pieces_again_adds_those_measured_since(elsewhere):
    before = listing(elsewhere.results)
    assert measured_by(elsewhere, profile="standard", changes={"seeds": [3, 2]}) == [2]
    assert len(pieces.keep("1", "standard", elsewhere)[1]) == 3
    after = listing(elsewhere.results)
    assert {name: after[name] for name in before} == before


def test_a_kept_piece_that_was_edited_is_measured_again(elsewhere):
    for place in (elsewhere.results / "pieces" / "01_tiny").iterdir():
        content = json.loads((place / store.PLAIN_FILE).read_text())
        content["rows"][0]["value"] = 0.99
        (place / store.PLAIN_FILE).write_text(json.dumps(content))
    (outcome,) = run_chapters(elsewhere, profile="standard")
    assert "2 stored pieces damaged or edited, measured again" in outcome.message
    assert 0.99 not in store.load("standard", "1", elsewhere).records["value"].tolist()


def test_a_forced_run_measures_what_was_kept_too(elsewhere):
    assert measured_by(elsewhere, profile="standard", force=True) == [0, 1, 2, 3, 4]


def test_once_the_run_is_kept_its_pieces_go_and_others_stay(elsewhere):
    measured_by(elsewhere, profile="standard")
    folder = elsewhere.results / "pieces" / "01_tiny"
    keys = [piece["key"] for piece in store.load("standard", "1", elsewhere).info["pieces"]]
    first, *_ = sorted(place.name for place in folder.iterdir())
    pieces.release("1", [key for key in keys if key != first], elsewhere)
    assert [place.name for place in folder.iterdir()] == [first]
    pieces.release("1", keys, elsewhere)
    assert not (elsewhere.results / "pieces").exists()


def test_a_kept_piece_of_other_code_is_not_taken_and_goes_with_the_next(elsewhere, monkeypatch):
    today = codehash.of_modules
    monkeypatch.setattr(codehash, "of_modules", lambda names: today(names) + "1")
    assert measured_by(elsewhere, profile="standard", changes={"seeds": [0]}) == [0]
    assert len(pieces.keep("1", "standard", elsewhere)[1]) == 1


def test_without_a_piece_of_the_profile_nothing_is_kept(project, no_kernel):
    assert measured_by(project) == [0]
    with pytest.raises(RunError, match="01_tiny, profile standard: no piece of it was measured with today's code"):
        pieces.keep("1", "standard", project)
    assert not (project.results / "pieces" / "01_tiny").exists()


def test_pieces_of_other_code_or_packages_go_after_a_run(project, no_kernel, monkeypatch):
    run_chapters(project)
    (old,) = store.pieces_folder(project, "01_tiny").iterdir()
    monkeypatch.setattr(environment, "versions", lambda: {"python": "3.99"})
    assert measured_by(project) == [0]
    (new,) = store.pieces_folder(project, "01_tiny").iterdir()
    assert old.name != new.name
    experiment = EXPERIMENT.replace("made_up_study", "made_up_project").replace("MadeUpStudy", "MadeUpStudyElsewhere")
    from tests.lab import made_up_project

    class MadeUpStudyElsewhere(MadeUpStudy):
        __module__ = made_up_project.__name__

    monkeypatch.setattr(made_up_project, "MadeUpStudyElsewhere", MadeUpStudyElsewhere, raising=False)
    write_chapter(project, "01_tiny", experiment=experiment)
    assert measured_by(project) == [0]
    assert len(list(store.pieces_folder(project, "01_tiny").iterdir())) == 2, "both are of today's code"
    today = codehash.of_modules
    monkeypatch.setattr(codehash, "of_modules", lambda names: today(names) + str(made_up_study.__name__ in names))
    assert measured_by(project, force=True) == [0]
    assert len(list(store.pieces_folder(project, "01_tiny").iterdir())) == 1


def test_a_sweep_keeps_pieces_whose_code_cannot_be_read_from_here(tmp_path):
    folder, identity = tmp_path / "pieces", {"chapter": "01_tiny", "modules": ["beside_a_notebook"], "code": "1"}
    for name, versions in (("kept", environment.versions()), ("old", {"torch": "0.1"})):
        pieces.save(folder / name, tmp_path, identity | {"versions": versions}, pieces.Piece([], {}, 0.0))
    pieces.sweep(folder)
    assert [path.name for path in folder.iterdir()] == ["kept"]
