"""Finding data sets, remembering where they are, and saying what is wrong with a copy."""

import os

import cv2
import numpy as np
import pytest

from reidlab import paths
from reidlab.data import catalogue, embedder_file, load
from reidlab.data.decoded import from_name
from reidlab.data.manifest import Edition, FileCount, Manifest
from reidlab.errors import ConfigError, DataError, MissingDataError

STREET = (
    "bounding_box_train/0001_c1s1_000001_00.jpg",
    "bounding_box_train/0001_c2s1_000009_00.jpg",
    "bounding_box_train/0002_c1s1_000001_01.jpg",
    "query/0003_c1s1_000001_00.jpg",
    "bounding_box_test/0003_c2s1_000003_00.jpg",
    "bounding_box_test/0000_c2s1_000003_01.jpg",
    "bounding_box_test/-1_c2s1_000003_02.jpg",
)
COUNTS = {
    "train": {"pictures": 3, "identities": 2, "cameras": 2},
    "query": {"pictures": 1, "identities": 1},
    "gallery": {"pictures": 3, "identities": 1},
}


def known(name, **more):
    base = {"title": name.title(), "about": "a", "task": "t", "terms": "t", "status": "open", "layout": "market1501"}
    return Manifest(name=name, **{**base, **more})


@pytest.fixture(autouse=True)
def sets(own_settings, monkeypatch):
    """Six data sets that nobody has heard of; nothing of this machine is looked at."""
    found = [
        known("street", folders=("Street-v1", "nested/street"), distractor=0, editions=(Edition("", COUNTS),)),
        known("square", editions=(Edition("whole", {"train": {"pictures": 9}}), Edition("half", COUNTS))),
        known("gone", status="withdrawn"),
        known("asked", status="on request", homepage="https://example.org/asked"),
        known("digits", layout=""),
        known("films", layout="", editions=(Edition("", {}, (FileCount("*/*.png", 2, "frames"),)),)),
    ]
    monkeypatch.setattr(catalogue, "manifests", lambda: {item.name: item for item in found})
    return own_settings


@pytest.fixture
def street(sets, lay):
    return lay(sets / "Street-v1", *STREET)


def test_an_embedders_file_is_found_by_its_path_or_below_the_data(sets, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REIDLAB_DATA", f"{sets}{os.pathsep}{tmp_path}")
    monkeypatch.chdir(tmp_path)
    for path in ("here.onnx", "embedder/small.onnx"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"graph")
        assert embedder_file(path) == embedder_file(tmp_path / path) == tmp_path / path
    assert embedder_file("") is None
    assert capsys.readouterr().out == ""
    assert embedder_file("embedder") is None
    assert capsys.readouterr().out.startswith("the embedder embedder is left out: it is not on this machine; give its")


@pytest.mark.parametrize("name", ["street", "Street", "STREET", "st-reet"])
def test_a_set_is_found_however_its_name_is_written(street, name):
    table = load(name)
    assert len(table) == 7
    assert table.attrs["dataset"] == "street"
    assert set(table["domain"]) == {"street"}


@pytest.mark.parametrize("folder", ["street", "STREET-V1", "nested/street", "Nested/Street"])
def test_folder_names_of_the_manifest_are_looked_for(sets, lay, folder):
    lay(sets / folder, *STREET)
    assert catalogue.find("street").path == sets / folder


def test_a_root_may_be_the_set_itself(street, monkeypatch):
    monkeypatch.setenv("REIDLAB_DATA", str(street))
    assert catalogue.find("street").path == street


def test_the_first_root_wins_and_registered_before_all(street, lay, tmp_path, monkeypatch):
    other = lay(tmp_path / "other" / "street", *STREET)
    monkeypatch.setenv("REIDLAB_DATA", f"{tmp_path / 'nowhere'}:{other.parent}:{street.parent}")
    assert catalogue.find("street").path == other
    third = lay(tmp_path / "third", *STREET)
    catalogue.add("street", third)
    assert catalogue.find("street") == catalogue.Location(
        "street", third, "market1501", "registered", catalogue.manifests()["street"]
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        (
            "street",
            r"street is not on this machine .* put its folder \(Street-v1 or nested/street\) .*reidlab data add",
        ),
        ("gone", "withdrew"),
        ("asked", r"ask its makers for it, https://example\.org/asked"),
    ],
)
def test_a_missing_set_says_how_to_get_it(name, hint):
    with pytest.raises(MissingDataError, match=hint):
        load(name)


def test_an_unknown_name_is_answered_with_a_known_one():
    with pytest.raises(ConfigError, match=r"no data set 'stret' .*; did you mean 'street'\?"):
        load("stret")
    with pytest.raises(ConfigError, match="reidlab data list"):
        catalogue.check("qqqq")


def test_a_set_without_a_reader_is_found_but_not_loaded(sets, lay):
    lay(sets / "films", "a/1.png", "b/1.png")
    with pytest.raises(DataError, match="no reader makes a sample table"):
        load("films")
    assert catalogue.check("films", deep=True).ok
    lay(sets / "films", "b/2.png")
    assert catalogue.check("films").line == "films: there are 3 frames, expected 2"


def test_the_list_has_all_sets_and_ones_own(street, lay, tmp_path):
    own = lay(tmp_path / "crops", "anna/cam1/a.jpg", "bert/cam1/b.jpg")
    catalogue.add("my-cameras", own)
    listed = {entry.name: entry for entry in catalogue.entries()}
    assert set(listed) == {"street", "square", "gone", "asked", "digits", "films", "my-cameras"}
    assert (listed["street"].path, listed["street"].source) == (street, "REIDLAB_DATA")
    assert (listed["street"].pictures, listed["street"].expected) == (7, 7)
    assert (listed["square"].path, listed["square"].pictures, listed["square"].expected) == (None, None, 9)
    own_entry = listed["my-cameras"]
    assert (own_entry.status, own_entry.layout, own_entry.pictures) == ("own", "folder", 2)
    assert catalogue.entries(count=False)[0].pictures is None


def test_a_registered_folder_that_went_away_is_listed_as_such(lay, tmp_path):
    own = lay(tmp_path / "crops", "anna/cam1/a.jpg")
    catalogue.add("mine", own)
    own.rename(tmp_path / "elsewhere")
    assert catalogue.entries()[-1].problem == f"{own} does not exist"
    with pytest.raises(MissingDataError, match=r"mine: .*crops does not exist"):
        load("mine")


def test_what_is_added_stays_and_is_read_by_its_layout(lay, tmp_path):
    catalogue.add("mine", lay(tmp_path / "a", "7/cam3/a.jpg"))
    entry = catalogue.add("market-like", lay(tmp_path / "b", *STREET))
    assert (entry.layout, entry.pictures, entry.source) == ("market1501", 7, "registered")
    assert load("mine")[["pid", "camid"]].values.tolist() == [[7, 3]]
    assert sorted(path.name for path in paths.config_dir().iterdir()) == ["data.lock", "data.yml"]


def test_what_cannot_be_read_is_not_added(lay, tmp_path):
    with pytest.raises(MissingDataError, match="does not exist"):
        catalogue.add("mine", tmp_path / "nowhere")
    with pytest.raises(MissingDataError, match="has no bounding_box_train"):
        catalogue.add("street", lay(tmp_path / "a", "x/y/z.jpg"))
    with pytest.raises(ConfigError, match="name: 'My Cameras' is no name"):
        catalogue.add("My Cameras", tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'market1501'"):
        catalogue.add("mine", tmp_path / "a", layout="market1510")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no picture; the simplest layout is"):
        catalogue.add("mine", tmp_path / "empty")
    assert not (paths.config_dir() / "data.yml").exists()


def test_a_broken_list_of_folders_is_named(sets):
    home = paths.config_dir()
    home.mkdir(parents=True)
    for text in ("- a\n", "a: [\n", "a: {layout: x}\n"):
        (home / "data.yml").write_text(text)
        with pytest.raises(ConfigError, match=r"data\.yml is not a list of data sets"):
            catalogue.entries()


def test_a_whole_copy_is_as_its_manifest_says(street):
    report = catalogue.check("street")
    assert report.ok
    assert report.line == "street: as its manifest says; 7 pictures, every picture's header read"
    counts = {(count.split, count.what): (count.found, count.expected) for count in report.counts}
    assert counts["gallery", "identities"] == (1, 1)
    assert counts["query", "cameras"] == (1, None)
    assert catalogue.check(street).ok
    assert catalogue.check(str(street), deep=True).line.endswith("every picture decoded")


def test_the_edition_that_fits_best_is_named(sets, lay):
    lay(sets / "square", *STREET)
    assert catalogue.check("square").problems == ("gallery has 2 identities, expected 1",)
    assert catalogue.check("square").edition == "half"


def test_wrong_numbers_are_named(street):
    (street / STREET[2]).unlink()
    report = catalogue.check("street")
    assert report.problems == ("train has 2 pictures, expected 3", "train has 1 identity, expected 2")
    assert report.line == "street: train has 2 pictures, expected 3 (and 1 more)"


def test_a_missing_folder_is_named(street):
    (street / STREET[3]).unlink()
    (street / "query").rmdir()
    assert "has no query; expected bounding_box_train, query, bounding_box_test" in catalogue.check("street").line


def test_a_name_that_breaks_the_pattern_is_named(street, lay):
    lay(street, "query/holiday.jpg")
    line = catalogue.check("street").line
    assert line.startswith("street: 1 file name in query does not follow <pid>_c<cam>s<seq>_<frame>_<box>.jpg: holiday")


def test_unreadable_pictures_are_named(street):
    (street / STREET[0]).write_bytes(b"")
    assert "1 picture cannot be read: " in catalogue.check("street").line
    noise = np.random.default_rng(0).integers(0, 256, (64, 32, 3), dtype=np.uint8)
    data = cv2.imencode(".jpg", noise)[1].tobytes()
    (street / STREET[0]).write_bytes(data[: len(data) // 2])
    assert catalogue.check("street").ok, "a header is all that the quick check reads"
    assert "0001_c1s1_000001_00.jpg (image file is truncated" in catalogue.check("street", deep=True).line


def test_pictures_that_are_listed_but_not_there_are_named(lay, tmp_path):
    picture = "0000/0000_000_01_0303morning_0008_0.jpg"
    lay(tmp_path / "listed", f"train/{picture}", "test/0001/other.jpg")
    for name in ("train", "val", "query", "gallery"):
        (tmp_path / "listed" / f"list_{name}.txt").write_text(f"{picture} 0\n")
    report = catalogue.check(tmp_path / "listed")
    assert report.layout == "msmt17"
    assert report.problems == (f"1 picture listed but not there: {tmp_path / 'listed/test' / picture}",)


def test_copies_are_noted_but_no_fault(street):
    (street / STREET[1]).write_bytes((street / STREET[0]).read_bytes())
    report = catalogue.check("street", deep=True)
    assert report.ok
    assert report.notes == (f"1 picture the same as another, byte for byte: {STREET[1]} = {STREET[0]}",)


def test_own_data_are_checked_without_a_manifest(lay, tmp_path):
    own = lay(tmp_path / "crops", "anna/cam1/a.jpg", "anna/cam2/b.jpg", "bert/cam1/b.jpg")
    report = catalogue.check(own)
    assert report.line == "crops: readable; 3 pictures, every picture's header read"
    assert report.notes == ("1 of 2 people was seen by one camera only and cannot be queries",)
    unlabelled = catalogue.check(lay(tmp_path / "frames", "cam1/a.jpg"))
    assert "it has no identities" in unlabelled.notes[0]


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "~nobody-of-that-name/x", "./\n", "/" + "y" * 5000, ""])
def test_names_that_no_file_can_have_are_answered(name):
    with pytest.raises((ConfigError, DataError)):
        catalogue.check(name)


def test_a_path_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingDataError, match="nowhere does not exist"):
        catalogue.check(tmp_path / "nowhere")


# --- one word, one data set, whichever command it is given to


def ways(name):
    """The folder that each function gives for what a user named."""
    return {str(catalogue.locate(name).path), str(catalogue.open_set(name)[1]), str(catalogue.check(name).path)}


def test_a_name_wins_over_a_folder_of_that_name_and_says_so(street, lay, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = lay(tmp_path / "street", "anna/cam1/a.jpg", "bert/cam2/b.jpg")
    own = lay(tmp_path / "other", "7/cam1/a.jpg")
    lay(tmp_path / "mine", "8/cam1/a.jpg")
    catalogue.add("mine", own)
    assert ways("street") == {str(street)}
    assert ways("mine") == {str(own)}
    note = f"street is the data set in {street}; the folder of that name in this one is ./street"
    assert catalogue.check("street").reading[0] == note
    assert catalogue.open_set("street")[0].attrs["notes"][0] == note
    assert ways("./street") == ways(str(here)) == ways(here) == {str(here)}
    assert catalogue.load("mine").pid.tolist() == [7]
    # Without such a name it is the folder.
    lay(tmp_path / "crops", "anna/cam1/a.jpg")
    assert ways("crops") == {str(tmp_path / "crops")}


def test_a_name_that_is_not_on_this_machine_points_to_the_folder(lay, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lay(tmp_path / "street", "anna/cam1/a.jpg")
    with pytest.raises(MissingDataError, match=r"street is not on this machine.*in this one is \./street"):
        catalogue.check("street")


@pytest.mark.parametrize("name", ["films", "1e3", "yes", "0010", "set.1"])
def test_any_registered_name_works_everywhere(lay, tmp_path, name):
    # `films` is the name of a known set without a reader; this is somebody's own.
    own = lay(tmp_path / "crops", *(f"{who}/cam{camera}/a.jpg" for who in ("anna", "bert") for camera in (1, 2)))
    entry = catalogue.add(name, own)
    assert (entry.name, entry.layout, entry.status) == (name, "folder", "own")
    assert ways(name) == {str(own)}
    assert load(name).attrs["dataset"] == name
    assert catalogue.find(name).manifest is None
    assert from_name(name, (8, 4)).root == own
    assert catalogue.on_this_machine([name])[name].path == own
    listed = {entry.name: entry for entry in catalogue.entries()}
    assert (listed[name].path, listed[name].status) == (own, "own")


def test_a_folder_that_is_called_like_a_known_set_is_looked_into(lay, tmp_path):
    own = lay(tmp_path / "films", "anna/cam1/a.jpg")
    assert catalogue.check(own).layout == "folder"
    assert catalogue.check(lay(tmp_path / "films-2" / "films", "a/1.png")).layout == ""
    assert catalogue.check(lay(tmp_path / "street", "anna/cam1/a.jpg")).layout == "folder"
    lay(tmp_path / "b" / "street", *(name for name in STREET if not name.startswith("query")))
    assert "has no query" in catalogue.check(tmp_path / "b" / "street").problems[0]


@pytest.mark.parametrize("name", ["embedded", "../x", "a/b", ".hidden", "x" * 101, "a\x1b[31m"])
def test_names_are_names(lay, tmp_path, name):
    with pytest.raises(ConfigError, match="name: "):
        catalogue.add(name, lay(tmp_path / "crops", "anna/cam1/a.jpg"))


def test_a_folder_of_which_nothing_can_be_opened_is_not_added(lay, tmp_path):
    own = lay(tmp_path / "crops", "anna/cam1/a.jpg", "anna/cam1/b.jpg")
    (own / "anna/cam1/a.jpg").write_text("no picture")
    assert catalogue.add("mine", own).pictures == 2
    (own / "anna/cam1/b.jpg").write_text("none either")
    with pytest.raises(DataError, match=r"2 pictures cannot be read: .*a\.jpg \(it is no picture"):
        catalogue.add("other", own)
    (tmp_path / "films").mkdir()
    with pytest.raises(DataError, match="holds no picture; the simplest layout is"):
        catalogue.add("films", tmp_path / "films")


def test_a_layout_may_be_named(lay, tmp_path):
    own = lay(tmp_path / "crops", "cam1/anna/a.jpg", "cam2/anna/a.jpg")
    assert catalogue.add("mine", own, "folder_camera_person").layout == "folder_camera_person"
    assert catalogue.check("mine").reading[0] == (
        "read mine as folder_camera_person: 2 pictures of 1 person by 2 cameras (train 2)"
    )
    assert catalogue.check("mine", layout="folder").reading[0].startswith("read mine as folder: 2 pictures of 2 people")
    with pytest.raises(ConfigError, match="did you mean 'folder_person'"):
        catalogue.check("mine", layout="folder_persons")
    with pytest.raises(ConfigError, match="street has the layout market1501"):
        catalogue.add("street", own, "folder")


def test_an_edited_list_of_folders_is_checked(sets, tmp_path):
    home = paths.config_dir()
    home.mkdir(parents=True)
    (home / "data.yml").write_text(f"mine: {{path: {tmp_path}, layout: foldre}}\n")
    with pytest.raises(ConfigError, match=r"data\.yml: mine: layout: there is none called 'foldre'; did you"):
        catalogue.entries()
    (home / "data.yml").write_bytes(f"mine: {{path: {tmp_path}, layout: folder}}\n".encode("utf-16"))
    assert catalogue.find("mine").path == tmp_path


def test_a_name_keeps_its_folder_until_it_is_replaced_or_removed(lay, tmp_path):
    first, second = (lay(tmp_path / name, "anna/cam1/a.jpg") for name in ("first", "second"))
    catalogue.add("mine", first)
    catalogue.add("mine", first)
    with pytest.raises(ConfigError, match=r"'mine' is the data set in .*first; choose another name, or --replace"):
        catalogue.add("mine", second)
    assert catalogue.find("mine").path == first
    catalogue.add("mine", second, anew=True)
    assert catalogue.remove("mine") == second
    assert (second / "anna/cam1/a.jpg").is_file()
    with pytest.raises(ConfigError, match="no data set 'mine'"):
        catalogue.find("mine")
    with pytest.raises(ConfigError, match=r"no folder was added as 'mine'; there is none"):
        catalogue.remove("mine")


def test_a_folder_of_several_names_is_taken_by_the_best_known_and_it_is_said(street, lay, tmp_path):
    own = lay(tmp_path / "crops", "anna/cam1/a.jpg")
    for name in ("zebra", "crops", "alpha"):
        catalogue.add(name, own)
    location = catalogue.locate(own)
    assert location.name == "crops"
    assert location.note == f"{own} was added as alpha and crops and zebra; it is taken as crops"
    catalogue.add("street", street)
    catalogue.add("a-street", street, layout="market1501")
    assert catalogue.locate(street).manifest.name == "street"


def test_a_set_of_which_no_file_is_known_is_read_as_what_it_is(lay, tmp_path):
    own = lay(tmp_path / "crops", "anna/cam1/a.jpg")
    assert catalogue.add("digits", own).layout == "folder"
    other = lay(tmp_path / "other", "train-images.ubyte")
    assert catalogue.add("digits", other, anew=True).reading == (
        "nothing was read: no reader makes a sample table of it",
    )
    assert catalogue.check("digits").line == "digits: there; no reader and no manifest says what it should hold"


def test_the_data_set_around_a_file_is_found(street, lay, tmp_path):
    own = lay(tmp_path / "crops", "anna/cam1/a.jpg")
    assert catalogue.folder_around(own / "anna" / "cam1" / "a.jpg") is None
    catalogue.add("mine", own)
    assert catalogue.folder_around(own / "anna" / "cam1" / "a.jpg") == own
    assert catalogue.folder_around(street / "new.html") == street


def test_numbers_and_nouns_agree():
    assert str(catalogue.Count("train", "identities", 1, 2)) == "train has 1 identity, expected 2"
    assert str(catalogue.Count("", "lists", 1, 2)) == "there is 1 lists, expected 2"
    assert str(catalogue.Count("", "pictures", 0, 2)) == "there are 0 pictures, expected 2"
