"""What people's own folders bring: layouts that nearly fit, strays, other endings, links, pipes, broken lists."""

import io
import os

import numpy as np
import pytest
from scipy.io import savemat

from reidlab.data import catalogue
from reidlab.data.readers import FOLDER, MARKET1501, READERS, detect, get
from reidlab.data.readers.folder import people_numbers
from reidlab.errors import DataError, MissingDataError
from reidlab.formats import mars
from reidlab.reading import read_text

pytestmark = pytest.mark.usefixtures("own_settings")

MARKET = {"bounding_box_train": (2, 7, 10), "query": (1, 3, 5), "bounding_box_test": (1, 3, 5)}


def market(*parts, ending=".jpg"):
    """Names of a Market-1501 layout of 3 + 3 people and 2 cameras."""
    return [
        f"{part}/{pid:04d}_c{cam}s1_000151_00{ending}"
        for part in parts or MARKET
        for pid in MARKET[part]
        for cam in (1, 2)
    ]


def four(pattern, ending=".jpg"):
    """Names of 4 people's pictures by 2 cameras."""
    stems = [(f"person{p}", f"door{c}", n) for p in range(4) for c in range(2) for n in range(3)]
    return [f"{pattern.format(p=p, c=c)}/{c[-1]}{n}{ending}" for p, c, n in stems]


def seen(report):
    """The lines on what was read, the first without the name of the set."""
    return [line.partition(" as ")[2] if line.startswith("read ") else line for line in report.reading]


def test_a_set_prepared_as_class_folders_is_refused_and_named(tmp_path, lay):
    parts = {"train": (2, 7), "val": (2, 7), "gallery": (1, 3), "query": (1, 3)}
    names = [f"{s}/{p:04d}/{p:04d}_c{c}s1_000151_00.jpg" for s, pids in parts.items() for p in pids for c in (1, 2)]
    with pytest.raises(DataError, match=r"is named as in market1501 .*give the data set as published \(bounding_box"):
        detect(lay(tmp_path / "all", *names))
    # Without `val` the folders are splits of ours, and the people in them would be cameras.
    with pytest.raises(DataError, match="is named as in market1501"):
        detect(lay(tmp_path / "some", *(name for name in names if "val" not in name)))
    with pytest.raises(DataError, match="is named as in market1501"):
        detect(lay(tmp_path / "bounding_box_train", *(name.rpartition("/")[2] for name in names)))
    # Who names a layout gets it, where no split's name would be a person or a camera.
    table = get("folder").read(tmp_path / "bounding_box_train")
    assert (set(table["pid"]), set(table["camid"])) == ({-1}, {1})


@pytest.mark.parametrize("split", ["val", "Test", "train_all", "TRAIN_ALL"])
def test_the_name_of_a_split_is_no_person_and_no_camera(tmp_path, lay, split):
    lay(tmp_path / "tops", f"{split}/anna/cam1/a.jpg", "train/anna/cam1/b.jpg")
    with pytest.raises(DataError, match=r"every folder must be one of train, query, gallery"):
        detect(tmp_path / "tops").read(tmp_path / "tops")
    with pytest.raises(DataError, match="split's name and stands where a person or a camera does"):
        FOLDER.read(lay(tmp_path / "below", f"anna/{split}/a.jpg"))
    with pytest.raises(DataError, match="every folder must be one of train, query, gallery"):
        FOLDER.read(lay(tmp_path / "beside", "train/cam1/a.jpg", "cam2/a.jpg"))


def test_splits_may_have_capital_letters(tmp_path, lay):
    table = FOLDER.read(lay(tmp_path, "Train/1/cam1/a.jpg", "QUERY/2/cam1/a.jpg", "gallery/2/cam2/a.jpg"))
    assert table[["split", "pid", "camid"]].values.tolist() == [["query", 2, 1], ["train", 1, 1], ["gallery", 2, 2]]


@pytest.mark.parametrize("ending", [".JPG", ".jpeg", ".PNG", ".bmp", ".webp"])
def test_known_layouts_have_any_ending(tmp_path, lay, ending):
    report = catalogue.check(lay(tmp_path / "m", *market(ending=ending)))
    assert report.layout == "market1501"
    assert report.ok, report.problems
    table = MARKET1501.read(tmp_path / "m")
    assert set(table[table.split == "train"].pid) == {2, 7, 10}
    assert set(table.camid) == {1, 2}


def test_an_archive_in_a_folder_of_its_own_name_is_found(tmp_path, lay):
    inner = tmp_path / "twice" / "Market-1501-v15.09.15"
    lay(inner, *market())
    report = catalogue.check(tmp_path / "twice")
    assert (report.layout, report.path, report.pictures) == ("market1501", inner, 18)
    assert report.reading[0] == f"found one level down: {inner}"
    assert catalogue.add("twice", tmp_path / "twice").path == inner


def test_part_of_a_known_layout_is_refused_by_name(tmp_path, lay):
    lay(tmp_path / "m", *market("bounding_box_train", "bounding_box_test"))
    for read in (detect, catalogue.check, lambda path: catalogue.add("mine", path)):
        with pytest.raises(MissingDataError, match=r"looks like market1501.* has no query; expected bound"):
            read(tmp_path / "m")
    with pytest.raises(MissingDataError, match=r"looks like mars.* has no bbox_test, info/train_name.txt"):
        detect(lay(tmp_path / "v", "bbox_train/0001/0001C1T0001F001.jpg"))
    with pytest.raises(MissingDataError, match=r"looks like msmt17.* has no list_val.txt"):
        detect(lay(tmp_path / "l", "list_train.txt", "train/0000/0000_000_01_0303morning_0008_0.jpg"))
    with pytest.raises(MissingDataError, match=r"looks like mot.* needs train/<sequence>"):
        detect(lay(tmp_path / "s", "SEQ-01/img1/000001.jpg", "SEQ-01/seqinfo.ini"))
    with pytest.raises(DataError, match=r"looks like cub200.*1 folder .* is not <three digits>"):
        detect(lay(tmp_path / "b", "images/001.Albatross/a.jpg", "images/mine/a.jpg"))
    with pytest.raises(DataError, match=r"looks like market1501.*2 file names .*: 0\.jpg, holiday\.jpg"):
        detect(lay(tmp_path / "n", *market(), "bounding_box_train/holiday.jpg", "bounding_box_train/0.jpg"))


def test_tracks_of_a_known_set_are_no_cameras(tmp_path, lay):
    names = [f"train/0001/{track:04d}/0001_C{cam}_F0001_X1.jpg" for track, cam in ((3, 1), (4, 2))]
    with pytest.raises(DataError, match="is named as in dukemtmc_videoreid"):
        detect(lay(tmp_path / "a", *names))
    # Names that say what the folders say are in nobody's way.
    assert detect(lay(tmp_path / "b", "0001/c1/0001_c1_f0000001.jpg", "0001/left/0001_c2_f0000001.jpg")) is FOLDER


def test_cameras_above_people(tmp_path, lay):
    root = lay(tmp_path / "doors", *four("{c}/{p}"))
    report = catalogue.check(root)
    assert seen(report)[0] == "folder: 24 pictures of 2 people by 4 cameras (train 24)"
    assert seen(report)[1] == "such as door0/person0/00.jpg: person 1 (door0), camera 1 (person0), train"
    turned = catalogue.check(root, layout="folder_camera_person")
    assert seen(turned)[0] == "folder_camera_person: 24 pictures of 4 people by 2 cameras (train 24)"
    assert seen(turned)[1] == "such as door0/person0/00.jpg: person 1 (person0), camera 1 (door0), train"
    catalogue.add("doors", root, "folder_camera_person")
    assert catalogue.load("doors").pid.nunique() == 4
    assert catalogue.check(root).layout == "folder_camera_person", "a registered folder keeps its layout"


def test_people_of_one_camera(tmp_path, lay):
    root = lay(tmp_path / "people", *four("{p}"))
    report = catalogue.check(root)
    assert seen(report)[0] == "folder: 24 pictures of unknown people by 4 cameras (train 24)"
    assert seen(report)[1].endswith(": person unknown, camera 1 (person0), train")
    assert "--layout folder_person" in report.notes[0]
    table, folder = catalogue.open_set(str(root), "folder_person")
    assert (folder, table.pid.nunique(), table.camid.nunique()) == (root, 4, 1)


def test_strays_are_left_out_and_counted(tmp_path, lay):
    root = lay(
        tmp_path / "s", *four("{p}/{c}"), "person0/notes.txt", "Thumbs.db", ".DS_Store", "person1/@eaDir/thumb.jpg",
        "overview.jpg",
    )  # fmt: skip
    report = catalogue.check(root)
    assert seen(report)[0] == "folder: 24 pictures of 4 people by 2 cameras (train 24)"
    assert report.reading[-1] == "left out: 1 picture and 4 other files, the first overview.jpg"
    assert FOLDER.read(root).attrs["notes"] == ("1 picture beside the folders left out: overview.jpg",)
    # More than a few of them are no strays.
    with pytest.raises(DataError, match="the same everywhere"):
        FOLDER.read(lay(root, "1.jpg", "2.jpg"))


def test_a_known_set_says_what_was_left_out(tmp_path, lay):
    root = lay(tmp_path / "m", *market(), "gt_bbox/0001_c1s1_000151_00.jpg", "gt_bbox/x.jpg", "readme.txt")
    assert catalogue.check(root).reading[-1].startswith("left out: 2 pictures and 1 other file, the first gt_bbox/0001")


@pytest.mark.parametrize("ending", [".webp", ".tif", ".jfif", ".gif", ".JPE", ".pnm"])
def test_any_ending_that_is_read_is_read(tmp_path, lay, ending):
    names = four("{p}/{c}", ending)
    table = detect(lay(tmp_path, *names)).read(tmp_path)
    assert (len(table), table.pid.nunique(), table.camid.nunique()) == (24, 4, 2)
    assert catalogue.check(tmp_path, deep=True).ok


@pytest.mark.parametrize("ending", [".heic", ".AVIF", ".cr2"])
def test_a_picture_of_a_kind_that_is_not_read_is_refused(tmp_path, lay, ending):
    lay(tmp_path, *four("{p}/{c}"), f"person9/door0/a{ending}")
    with pytest.raises(DataError, match=rf"1 picture of a kind that would need a plug-in: a\{ending}; convert"):
        detect(tmp_path).read(tmp_path)


def test_dates_are_no_people(tmp_path, lay):
    names = ["2024_1_5.jpg", "2024_1_6.jpg", "2024_2_7.jpg"]
    report = catalogue.check(lay(tmp_path / "holiday", *names))
    assert seen(report)[0] == "folder: 3 pictures of unknown people by 1 camera (train 3)"
    # The numbers of PKU-Reid, and nothing else beside them.
    assert detect(lay(tmp_path / "pku", "001_01_05.png", "114_02_08.png")).name == "pku_reid"
    assert detect(lay(tmp_path / "pku", "1.png")) is FOLDER


def test_labels_are_people_junk_and_numbers(tmp_path):
    (tmp_path / "three.txt").write_text("alice\nbob\n-1\n")
    (tmp_path / "marked.txt").write_bytes("0001\n0002\n".encode("utf-8-sig"))
    assert people_numbers(read_text(tmp_path / "three.txt").split()) == {"alice": 1, "bob": 2, "-1": -1}
    assert people_numbers(read_text(tmp_path / "marked.txt").split()) == {"0001": 1, "0002": 2}


def test_a_person_called_0_is_a_person_and_minus_one_is_junk(tmp_path, lay):
    table = FOLDER.read(lay(tmp_path, "0000/cam1/a.jpg", "0003/cam1/a.jpg", "-1/cam2/a.jpg"))
    assert dict(zip(table.person, table.pid)) == {"-1": -1, "0000": 1, "0003": 2}
    assert dict(zip(table.person, FOLDER.read(tmp_path).pid)) == {"-1": -1, "0000": 1, "0003": 2}


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_list_may_have_a_mark(tmp_path, lay, coding):
    picture = "0000/0000_000_01_0303morning_0008_0.jpg"
    lay(tmp_path, f"train/{picture}", f"test/{picture}")
    for name in ("train", "val", "query", "gallery"):
        (tmp_path / f"list_{name}.txt").write_bytes(f"{picture} 0\r\n".encode(coding))
    assert detect(tmp_path).read(tmp_path).pid.tolist() == [0] * 4


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("Müller/a.jpg 0\n".encode("latin-1"), r"list_train\.txt, line 1: byte 0xfc is no UTF-8; save it as UTF-8"),
        (
            b"../outside/0000_000_01_0303morning_0008_0.jpg 0\n",
            r"1 line of .*list_train\.txt is not '<folder>",
        ),
        (b"/etc/0000_000_01_0303morning_0008_0.jpg 0\n", r"1 line of .*list_train\.txt is not"),
        (b"a\0b", r"list_train\.txt: is no text"),
    ],
)
def test_a_broken_list_is_named(tmp_path, lay, content, complaint):
    lay(tmp_path, "train/a.jpg", "test/a.jpg", *(f"list_{name}.txt" for name in ("val", "query", "gallery")))
    (tmp_path / "list_train.txt").write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        detect(tmp_path).read(tmp_path)


@pytest.fixture
def tracked(tmp_path, lay):
    """A MARS layout of two tracklets."""
    names = ["0001C1T0001F001.jpg", "0001C2T0001F001.jpg"]
    for part in ("train", "test"):
        lay(tmp_path, *(mars.picture_path(part, name) for name in names))
        tracks = mars.write_part(tmp_path, part, [[name] for name in names], [1, 1], [1, 2])
    mars.write_test(tmp_path, [1], tracks)
    assert detect(tmp_path).name == "mars"
    return tmp_path


def bomb():
    """A matrix file that says it holds more than any memory does."""
    stream = io.BytesIO()
    savemat(stream, {"query_IDX": np.ones((1, 3))})
    return stream.getvalue().replace(np.int32([1, 3]).tobytes(), np.int32([2**30, 2**30]).tobytes())


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "cannot be read as a MATLAB file"),
        (b"0001 1 2\n", "cannot be read as a MATLAB file"),
        (bytes(range(256)) * 2, "cannot be read as a MATLAB file"),
        (bomb(), r"query_IDX has the shape \(1073741824, 1073741824\)"),
        ({"query_IDX": np.array([[1, np.nan]])}, "row 1, column 2 of query_IDX is nan, expected a whole number"),
        ({"query_IDX": np.array([[1e20, 1]])}, "row 1, column 1 of query_IDX is 1e+20, expected a whole number"),
        ({"query_IDX": np.array([[1.5, 1]])}, "row 1, column 1 of query_IDX is 1.5, expected a whole number"),
        ({"query_IDX": "one"}, "expected numbers in a matrix"),
        ({"other": np.ones((1, 1))}, "has no variable 'query_IDX'; it holds other"),
    ],
)
def test_a_broken_matrix_is_named(tracked, content, complaint):
    path = tracked / mars.QUERIES
    if isinstance(content, dict):
        savemat(path, content)
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"query_IDX\.mat.*{complaint}".replace("1e+20", r"1e\+20")):
        get("mars").read(tracked)


def test_tracklets_do_not_repeat_pictures_without_end(tracked):
    rows = np.array([[1, 2, 1, 1]] * 50, float)
    savemat(tracked / mars.TRACKS["train"], {"track_train_info": rows})
    with pytest.raises(DataError, match=r"span 100 pictures in all, but info/train_name\.txt has 2"):
        get("mars").read(tracked)


GOOD = "1,1,10,10,20,50,1,1,1"


def frames(root, truth, info=""):
    """A MOT layout of one frame."""
    home = root / "train" / "SEQ-01"
    (home / "gt").mkdir(parents=True)
    (home / "img1").mkdir()
    (home / "img1" / "000001.jpg").touch()
    (home / "gt" / "gt.txt").write_text(truth)
    values = {"imDir": "img1", "frameRate": 30, "seqLength": 1, "imWidth": 32, "imHeight": 18, "imExt": ".jpg"}
    lines = "".join(f"{name}={value}\n" for name, value in values.items() if name not in info)
    (home / "seqinfo.ini").write_bytes(f"[Sequence]\n{lines}{info}\n".encode("utf-8-sig"))
    return root


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("1,2,nan,10,20,50,1,1,1", r"line 3: x is nan, expected a finite number"),
        ("1,1e20,50,10,20,50,1,1,1", r"line 3: id is 1e\+20, expected a whole number"),
        ("1,1.5,50,10,20,50,1,1,1", r"line 3: id is 1.5, expected a whole number"),
        ("1,2,50,10,20,inf,1,1,1", r"line 3: h is inf, expected a finite number"),
        ("1,2,50,10,20", r"line 3: expected 9 numbers separated by commas, found '1,2,50,10,20'"),
        ("1,100000,50,10,20,50,1,1,1", "id 100000 is too large"),
    ],
)
def test_a_broken_line_of_boxes_is_named(tmp_path, line, complaint):
    root = frames(tmp_path, f"{GOOD}\n\n{line}\n")
    with pytest.raises(DataError, match=rf"gt\.txt.*{complaint}"):
        get("mot").read(root)


@pytest.mark.parametrize("info", ["imDir=../../..", "imDir=/etc", "seqLength=-1", "frameRate=nan", "imWidth=%(x)s"])
def test_a_sequence_stays_in_its_folder_and_has_numbers(tmp_path, info):
    with pytest.raises(DataError, match=rf"seqinfo\.ini cannot be read: (?:{info.partition('=')[0]}|Bad value)"):
        get("mot").read(frames(tmp_path, GOOD, info))


def test_a_sequence_without_its_description_is_missed(tmp_path):
    frames(tmp_path, GOOD)
    other = tmp_path / "train" / "SEQ-02" / "img1"
    other.mkdir(parents=True)
    with pytest.raises(DataError, match=r"SEQ-02.seqinfo\.ini: there is no such file"):
        get("mot").read(tmp_path)


# --- files and folders that are none, or lead astray


def test_links_that_lead_upwards_end(tmp_path, lay):
    root = lay(tmp_path / "a", *four("{p}/{c}"))
    (root / "person0" / "loop").symlink_to(root)
    with pytest.raises(DataError, match=r"person0.loop: is a link to a folder above it; remove it"):
        detect(root).read(root)
    (root / "person0" / "loop").unlink()
    (root / "self").symlink_to(root / "self")
    (root / "gone").symlink_to(root / "nowhere")
    assert len(detect(root).read(root)) == 24
    # A link to a folder elsewhere is what people use to gather cameras.
    (root / "person9").symlink_to(lay(tmp_path / "elsewhere", "door0/1.jpg"))
    assert detect(root).read(root).pid.nunique() == 5


@pytest.mark.parametrize("layout", ["market1501", "folder"])
def test_a_folder_that_may_not_be_listed_is_named(tmp_path, lay, monkeypatch, layout):
    lay(tmp_path, *(market() if layout == "market1501" else four("{p}/{c}")))
    bad = tmp_path / ("query" if layout == "market1501" else "person2")
    real = os.listdir

    def listdir(path):
        if os.fspath(path) == str(bad):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)
    with pytest.raises(DataError, match=f"{bad}: cannot be listed \\(Permission denied"):
        get(layout).read(tmp_path)


def test_a_name_that_is_no_utf_8_is_named(tmp_path, lay):
    lay(tmp_path, *four("{p}/{c}"))
    try:
        os.rename(tmp_path / "person0", os.fsencode(tmp_path) + b"/\xff\xfe")
    except OSError:
        pytest.skip("this file system takes no such name")
    with pytest.raises(DataError, match=r"the name \\udcff\\udcfe is no UTF-8; rename it"):
        detect(tmp_path).read(tmp_path)
    with pytest.raises(DataError, match="is no path that can be used"):
        catalogue.check(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))


def test_pipes_and_devices_are_not_waited_for(tracked, tmp_path, lay):
    os.remove(tracked / mars.NAMES["train"])
    os.mkfifo(tracked / mars.NAMES["train"])
    with pytest.raises(DataError, match=r"train_name\.txt: is a pipe, not a file"):
        get("mars").read(tracked)
    os.remove(tracked / mars.QUERIES)
    (tracked / mars.QUERIES).symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"query_IDX\.mat: is a device, not a file"):
        mars.read_matrix(tracked, mars.QUERIES)
    own = lay(tmp_path / "own", "anna/cam1/a.jpg")
    os.mkfifo(own / "anna/cam1/b.jpg")
    for deep in (False, True):
        assert catalogue.check(own, deep).problems[0].endswith("b.jpg (is a pipe, not a file)")


def test_every_reader_answers_a_file_and_an_empty_folder(tmp_path):
    (tmp_path / "file").touch()
    for reader in READERS.values():
        with pytest.raises(MissingDataError):
            reader.read(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no picture; the simplest layout is"):
        detect(tmp_path / "empty")
