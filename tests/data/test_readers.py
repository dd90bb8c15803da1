"""Each layout, written by hand into a small folder, and what is said about folders that break it."""

import numpy as np
import pytest
from scipy.io import savemat

from reidlab.data import across_cameras
from reidlab.data.readers import READERS, detect, get
from reidlab.errors import ConfigError, DataError, MissingDataError
from reidlab.evaluation import Embeddings, SameIdentity
from reidlab.evaluation.kernels import POSITIVE

MARKET = (
    "bounding_box_train/0002_c1s1_000451_03.jpg",
    "bounding_box_train/0007_c6s4_002427_01.jpg",
    "query/0001_c3s1_000151_00.jpg",
    "bounding_box_test/-1_c1s1_000401_03.jpg",
    "bounding_box_test/0000_c2s1_000151_01.jpg",
    "bounding_box_test/0001_c4s6_016996_02.jpg",
    "bounding_box_test/Thumbs.db",
    "bounding_box_train/.hidden.jpg",
)


def read(layout, root):
    return get(layout).read(root)


def rows(table, *columns):
    return sorted(zip(*(table[name].tolist() for name in columns)))


def test_market1501(tmp_path, lay):
    table = read("market1501", lay(tmp_path, *MARKET))
    assert rows(table, "split", "pid", "camid", "frame") == [
        ("gallery", -1, 1, 401),
        ("gallery", 0, 2, 151),
        ("gallery", 1, 4, 16996),
        ("query", 1, 3, 151),
        ("train", 2, 1, 451),
        ("train", 7, 6, 2427),
    ]
    assert set(table["path"]) == {str(tmp_path / name) for name in MARKET[:6]}
    assert set(table["tracklet"]) == {-1}
    assert table.attrs["dataset"] == "market1501"


def test_dukemtmc_reid(tmp_path, lay):
    lay(
        tmp_path,
        "bounding_box_train/0001_c2_f0046182.jpg",
        "query/0005_c2_f0046985.jpg",
        "bounding_box_test/0005_c8_f0000001.jpg",
    )
    assert rows(read("dukemtmc_reid", tmp_path), "split", "pid", "camid", "frame") == [
        ("gallery", 5, 8, 1),
        ("query", 5, 2, 46985),
        ("train", 1, 2, 46182),
    ]


@pytest.mark.parametrize("inside", ["", "detected"])
def test_cuhk03_np(tmp_path, lay, inside):
    lay(
        tmp_path / inside,
        "bounding_box_train/0001_c1_1.png",
        "query/0003_c1_22.png",
        "bounding_box_test/0003_c2_399.png",
    )
    table = read("cuhk03_np_detected", tmp_path)
    assert rows(table, "split", "pid", "camid") == [("gallery", 3, 2), ("query", 3, 1), ("train", 1, 1)]


def test_veri776(tmp_path, lay):
    lay(
        tmp_path,
        "image_train/0001_c001_00016450_0.jpg",
        "image_query/0002_c002_00030600_0.jpg",
        "image_test/0002_c020_00030600_1.jpg",
    )
    assert rows(read("veri776", tmp_path), "split", "pid", "camid") == [
        ("gallery", 2, 20),
        ("query", 2, 2),
        ("train", 1, 1),
    ]


BIRDS = ("001.Albatross/a_1.jpg", "100.Pelican/b_2.jpg", "101.Pelican/c_3.jpg", "101.Pelican/c_4.jpg", "200.Wren/d.jpg")


def test_cub200(tmp_path, lay):
    lay(tmp_path / "images", *BIRDS)
    table = read("cub200", tmp_path)
    assert rows(table, "split", "pid", "tracklet") == [
        *(("gallery", pid, number) for pid, number in ((101, 2), (101, 3), (200, 4))),
        *(("query", pid, number) for pid, number in ((101, 2), (101, 3), (200, 4))),
        ("train", 1, 0),
        ("train", 100, 1),
    ]
    assert set(table["camid"]) == {1}
    for _, twice in table.groupby("tracklet"):
        assert twice["path"].nunique() == 1
    assert detect(tmp_path).name == "cub200"


def test_a_query_of_cub200_does_not_find_itself(tmp_path, lay):
    lay(tmp_path / "images", *BIRDS)
    table = read("cub200", tmp_path)
    parts = []
    for split in ("query", "gallery"):
        part = table[table["split"] == split]
        # Every picture looks like itself and like nothing else; only its own copy could be a match.
        parts.append(Embeddings(np.eye(5)[part["tracklet"]], part["pid"], part["camid"], part["tracklet"]))
    relevance = SameIdentity("none", ignore_own_tracklet=True).relevance(*parts, slice(None))
    assert (relevance == POSITIVE).sum(axis=1).tolist() == [1, 1, 0]


def test_cub200_names_a_folder_that_is_no_species(tmp_path, lay):
    lay(tmp_path / "images", *BIRDS, "notes/e.jpg")
    with pytest.raises(DataError, match=r"1 folder .* is not <three digits>.<species>: notes"):
        read("cub200", tmp_path)


@pytest.mark.parametrize("folders", [("train", "test"), ("mask_train_v2", "mask_test_v2")])
def test_msmt17(tmp_path, lay, folders):
    train, test = folders
    lists = {
        "list_train.txt": (train, "0000/0000_000_01_0303morning_0008_0.jpg 0"),
        "list_val.txt": (train, "0001/0001_004_15_0302noon_1234_2_ex.jpg 1"),
        "list_query.txt": (test, "0000/0000_003_05_0303afternoon_0077_1.jpg 0"),
        "list_gallery.txt": (test, "0000/0000_001_09_0303morning_0009_0.jpg 0"),
    }
    for name, (folder, line) in lists.items():
        lay(tmp_path / folder, line.split()[0])
        (tmp_path / name).write_text(line + "\n")
    table = read("msmt17", tmp_path)
    assert rows(table, "split", "pid", "camid", "frame") == [
        ("gallery", 0, 9, 9),
        ("query", 0, 5, 77),
        ("train", 0, 1, 8),
        ("train", 1, 15, 1234),
    ]
    assert set(table["path"]) == {str(tmp_path / folder / line.split()[0]) for folder, line in lists.values()}


def test_pku_reid(tmp_path, lay):
    lay(
        tmp_path,
        *(f"train/007/0{cam}_{k}.png" for cam in (1, 2) for k in (1, 8)),
        *(f"val/all_imgs/012/0{cam}_3.png" for cam in (1, 2)),
        "val/query/012_01_3.png",
        "val/gallery/012_01_3.png",
    )
    table = read("pku_reid", tmp_path)
    expected = [("gallery", 12, 2), ("query", 12, 1), *[("train", 7, 1)] * 2, *[("train", 7, 2)] * 2]
    assert rows(table, "split", "pid", "camid") == expected
    assert not table["path"].str.contains("val/query|val/gallery").any()
    test = across_cameras(table).table()
    assert rows(test, "split", "pid", "camid") == [
        *[("gallery", 7, 2)] * 2,
        ("gallery", 12, 2),
        *[("query", 7, 1)] * 2,
        ("query", 12, 1),
    ]


def test_a_test_needs_two_sides(tmp_path, lay):
    table = read("market1501", lay(tmp_path, *MARKET))
    with pytest.raises(ConfigError, match="nothing for the query"):
        across_cameras(table, query_cameras=(9,))
    with pytest.raises(ConfigError, match="nothing for the gallery"):
        across_cameras(table, query_cameras=range(1, 9))


@pytest.fixture
def mars(tmp_path, lay):
    train = ["0001C1T0001F001.jpg", "0001C1T0001F002.jpg", "0003C2T0001F001.jpg"]
    test = [
        "00-1C1T0001F001.jpg",
        "0000C3T0001F001.jpg",
        "0002C1T0001F001.jpg",
        "0002C6T0001F001.jpg",
        "0002C6T0001F002.jpg",
    ]
    lay(tmp_path / "bbox_train", *(f"{name[:4]}/{name}" for name in train))
    lay(tmp_path / "bbox_test", *(f"{name[:4]}/{name}" for name in test))
    info = tmp_path / "info"
    info.mkdir()
    for part, names, matrix in (
        ("train", train, [[1, 2, 1, 1], [3, 3, 3, 2]]),
        ("test", test, [[1, 1, -1, 1], [2, 2, 0, 3], [3, 3, 2, 1], [4, 5, 2, 6]]),
    ):
        (info / f"{part}_name.txt").write_text("".join(f"{name}\n" for name in names))
        savemat(info / f"tracks_{part}_info.mat", {f"track_{part}_info": np.array(matrix, dtype=float)})
    savemat(info / "query_IDX.mat", {"query_IDX": np.array([[3.0]])})
    return tmp_path


def test_mars(mars):
    table = read("mars", mars)
    columns = ("pid", "camid", "tracklet", "frame")
    assert rows(table[table.split == "train"], *columns) == [(1, 1, 1, 1), (1, 1, 1, 2), (3, 2, 2, 1)]
    assert rows(table[table.split == "query"], *columns) == [(2, 1, 3, 1)]
    gallery = [(-1, 1, 1, 1), (0, 3, 2, 1), (2, 1, 3, 1), (2, 6, 4, 1), (2, 6, 4, 2)]
    assert rows(table[table.split == "gallery"], *columns) == gallery


def test_mars_matrix_and_names_must_agree(mars):
    savemat(mars / "info/tracks_train_info.mat", {"track_train_info": np.array([[1, 2, 1, 1], [3, 3, 4, 2]])})
    with pytest.raises(DataError, match=r"0003C2T0001F001\.jpg"):
        read("mars", mars)


def test_mars_matrix_must_stay_within_the_names(mars):
    savemat(mars / "info/tracks_train_info.mat", {"track_train_info": np.array([[1, 2, 1, 1], [3, 4, 3, 2]])})
    with pytest.raises(DataError, match=r"row 2 .*3 to 4"):
        read("mars", mars)


def test_dukemtmc_videoreid(tmp_path, lay):
    lay(
        tmp_path,
        "train/0001/0003/0001_C1_F0001_X83127.jpg",
        "query/0005/0021/0005_C2_F0001_X1.jpg",
        "gallery/0005/0021/0005_C2_F0001_X1.jpg",
        "gallery/0005/0100/0005C6F0007X9.jpg",
    )
    table = read("dukemtmc_videoreid", tmp_path)
    found = rows(table, "split", "pid", "camid", "tracklet", "frame")
    assert [row[:3] + row[4:] for row in found] == [
        ("gallery", 5, 2, 1),
        ("gallery", 5, 6, 7),
        ("query", 5, 2, 1),
        ("train", 1, 1, 1),
    ]
    assert found[0][3] == found[2][3] != found[1][3]


def sequence(root, name, truth, frames=2):
    for number in range(1, frames + 1):
        path = root / name / "img1" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (root / name / "gt").mkdir()
    (root / name / "gt/gt.txt").write_text(truth)
    (root / name / "seqinfo.ini").write_text(
        f"[Sequence]\nname={name}\nimDir=img1\nframeRate=25\nseqLength={frames}\nimWidth=100\nimHeight=80\nimExt=.jpg\n"
    )


TRUTH = "1,4,10,20,30,60,1,1,0.9\n2,4,11.5,20,30,60,1,1,0.8\n1,5,1,2,3,4,0,1,1\n1,6,1,2,3,4,1,7,1\n"


def test_mot(tmp_path):
    sequence(tmp_path / "train", "MOT17-02-FRCNN", TRUTH)
    sequence(tmp_path / "train", "MOT17-04-FRCNN", TRUTH)
    table = read("mot", tmp_path)
    assert rows(table, "camid", "pid", "frame", "x", "y", "w", "h", "tracklet") == [
        (1, 100_004, 1, 10, 20, 30, 60, 1),
        (1, 100_004, 2, 11.5, 20, 30, 60, 1),
        (2, 200_004, 1, 10, 20, 30, 60, 2),
        (2, 200_004, 2, 11.5, 20, 30, 60, 2),
    ]


def test_mot_with_shared_identities(tmp_path):
    sequence(tmp_path / "train", "world-C3", TRUTH)
    sequence(tmp_path / "test", "world-C1", TRUTH)
    assert rows(read("mot_shared", tmp_path), "split", "camid", "pid", "frame") == [
        ("gallery", 1, 4, 1),
        ("gallery", 1, 4, 2),
        ("train", 3, 4, 1),
        ("train", 3, 4, 2),
    ]


def test_mot_names_what_is_wrong(tmp_path):
    sequence(tmp_path / "train", "a", "1,4,ten,20,30,60,1\n")
    with pytest.raises(DataError, match=r"gt\.txt, line 1: expected 7 numbers separated by commas, found '1,4,ten"):
        read("mot", tmp_path)
    (tmp_path / "train/a/gt/gt.txt").write_text("1,4,10,20\n")
    with pytest.raises(DataError, match="4 columns"):
        read("mot", tmp_path)


def test_own_cameras(tmp_path, lay):
    lay(tmp_path, "anna/cam1/a.jpg", "anna/cam4/b.jpg", "bert/cam1/a.jpg", "bert/cam1/b.jpg")
    expected = [(1, 1, "train"), (1, 4, "train"), (2, 1, "train"), (2, 1, "train")]
    table = read("folder", tmp_path)
    assert rows(table, "pid", "camid", "split") == expected
    assert set(zip(table["person"], table["pid"])) == {("anna", 1), ("bert", 2)}


def test_own_cameras_divided_by_hand(tmp_path, lay):
    lay(tmp_path, "train/0012/left/a.jpg", "query/0003/left/a.jpg", "gallery/0003/right/b.jpg")
    assert rows(read("folder", tmp_path), "pid", "camid", "split") == [
        (3, 1, "query"),
        (3, 2, "gallery"),
        (12, 1, "train"),
    ]


def test_own_cameras_must_be_laid_out_alike(tmp_path, lay):
    with pytest.raises(DataError, match="the same everywhere"):
        read("folder", lay(tmp_path, "anna/c1/a.jpg", "bert/a.jpg"))


def test_names_that_break_the_format_are_counted_and_shown(tmp_path, lay):
    bad = [f"bounding_box_train/{name}.jpg" for name in ("a", "b", "c", "d")]
    with pytest.raises(DataError, match=r"4 file names .*<pid>_c<cam>s<seq>.*a\.jpg, b\.jpg, c\.jpg, \.\.\."):
        read("market1501", lay(tmp_path, *MARKET, *bad))


def test_a_missing_folder_is_named_with_what_is_there(tmp_path, lay):
    lay(tmp_path, *(name for name in MARKET if not name.startswith("query")))
    with pytest.raises(MissingDataError, match=r"no query; expected .*query.*it holds bounding_box_test"):
        read("market1501", tmp_path)


def test_one_folder_too_high_is_noticed(tmp_path, lay):
    lay(tmp_path / "Market-1501-v15.09.15", *MARKET)
    table = read("market1501", tmp_path)
    assert len(table) == 6
    assert table.attrs["notes"] == ("found one level down, in Market-1501-v15.09.15",)
    lay(tmp_path / "more", "a.jpg")
    with pytest.raises(MissingDataError, match=r"point to .*Market-1501-v15\.09\.15"):
        read("market1501", tmp_path)


@pytest.mark.parametrize("layout", READERS)
def test_every_reader_says_that_there_is_nothing(layout, tmp_path):
    with pytest.raises(MissingDataError, match="nowhere"):
        read(layout, tmp_path / "nowhere")
    with pytest.raises(MissingDataError, match=str(tmp_path)):
        read(layout, tmp_path)


def test_an_unknown_layout_is_answered_with_a_known_one():
    with pytest.raises(ConfigError, match="did you mean 'market1501'"):
        read("market1502", ".")


def test_layouts_are_recognised(tmp_path, lay, mars):
    assert detect(mars).name == "mars"
    assert detect(lay(tmp_path / "a", *MARKET)).name == "market1501"
    assert detect(lay(tmp_path / "b", "0001/cam1/a.jpg")).name == "folder"
    assert detect(lay(tmp_path / "c", "train/1/01_1.png", "val/all_imgs/2/01_1.png")).name == "pku_reid"
    (tmp_path / "d").mkdir()
    with pytest.raises(DataError, match="holds no picture"):
        detect(tmp_path / "d")


@pytest.mark.real_data
def test_real_pku_reid(real):
    table = read("pku_reid", real("pku_reid_col780"))
    assert table.split.value_counts().to_dict() == {"train": 992, "query": 96, "gallery": 96}
    assert table.pid.nunique() == 74
    assert across_cameras(table).table().groupby("split").pid.nunique().to_dict() == {"query": 74, "gallery": 74}


@pytest.mark.real_data
def test_real_mot17(real):
    table = read("mot", real("mot17_mini"))
    assert table.path.nunique() == 12
    assert table.groupby("camid").frame.max().tolist() == [4, 8]
    assert (table.w < table.h).mean() > 0.9
