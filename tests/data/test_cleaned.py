"""Corrected labels and picture boxes beside a MARS-like folder."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from reidlab.data.readers import MARS
from reidlab.data.readers.mars import cleaned_labels, dl_boxes, dl_masks
from reidlab.errors import ConfigError, DataError, MissingDataError
from reidlab.world import Scene, WorldSpec, export_mars

NAMES = {
    "train": ["0001C1T0001F001.jpg", "0001C1T0001F002.jpg"],
    "test": ["00-1C1T0001F001.jpg", "0000C3T0001F001.jpg", "0002C1T0001F001.jpg", "0002C6T0001F001.jpg"],
}
TEST = np.array([[1, 1, -1, 1], [2, 2, 0, 3], [3, 3, 2, 1], [4, 4, 2, 6]], dtype=float)
CLEANED = np.column_stack([TEST, [-1, 5, 2, 9], [-1, 0, 7, 9]])


@pytest.fixture
def home(tmp_path, lay):
    for part, names in NAMES.items():
        lay(tmp_path / f"bbox_{part}", *(f"{name[:4]}/{name}" for name in names))
    info = tmp_path / "info"
    info.mkdir()
    for part, matrix in (("train", np.array([[1, 2, 1, 1.0]])), ("test", TEST)):
        (info / f"{part}_name.txt").write_text("".join(f"{name}\n" for name in NAMES[part]))
        savemat(info / f"tracks_{part}_info.mat", {f"track_{part}_info": matrix})
    savemat(info / "query_IDX.mat", {"query_IDX": np.array([[3.0]])})
    write(tmp_path, CLEANED)
    boxes(tmp_path, "test", [f"{name},0,{8 - i},{i},4" for i, name in enumerate(NAMES["test"])])
    boxes(tmp_path, "train", [f"bbox_train/0001/{name}, 2.0, 6, 1, 3" for name in NAMES["train"]])
    return tmp_path


def write(home: Path, values: np.ndarray, variable: str = "track_test_info") -> None:
    savemat(home / "info/clean_tracks_test_info.mat", {variable: values})


def boxes(home: Path, split: str, lines: list[str]) -> None:
    name = {"train": "mask_info.csv", "test": "mask_info_test.csv"}[split]
    (home / "info" / name).write_text("".join(f"{line}\n" for line in lines))


def test_labels_are_a_row_per_tracklet_in_the_columns_released(home):
    labels = cleaned_labels(home)
    assert list(labels) == ["tracklet", "pid", "camid", "new_pid", "ambiguous"]
    # 0, -1 and the new identity itself all say that there is no second one.
    assert labels.to_numpy().tolist() == [[1, -1, 1, -1, -1], [2, 0, 3, 5, -1], [3, 2, 1, 2, 7], [4, 2, 6, 9, -1]]
    assert set(labels.dtypes) == {np.dtype(np.int64)}


def test_labels_fit_the_sample_table(home):
    table = MARS.read(home)
    labels = cleaned_labels(home).set_index("tracklet")
    test = table[table.split != "train"]
    assert (labels.pid[test.tracklet].to_numpy() == test.pid.to_numpy()).all()
    assert (labels.camid[test.tracklet].to_numpy() == test.camid.to_numpy()).all()


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float32, np.float64])
def test_any_kind_of_number_is_read(home, kind):
    write(home, CLEANED.astype(kind))
    assert cleaned_labels(home).ambiguous.tolist() == [-1, -1, 7, -1]


def test_a_missing_second_identity_is_none(home):
    values = CLEANED.copy()
    values[:, 5] = np.nan
    write(home, values)
    assert (cleaned_labels(home).ambiguous == -1).all()


def changed(row: int, column: int, value: float) -> np.ndarray:
    values = CLEANED.copy()
    values[row, column] = value
    return values


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (TEST, r"shape \(4, 4\), expected numbers of shape \(tracklets, 6\)"),
        (CLEANED[:3], r"has 3 rows, but info/tracks_test_info\.mat 4"),
        (changed(2, 4, np.nan), r"row 3 .*not a whole number"),
        (changed(1, 4, 2.5), r"row 2 .*not a whole number"),
        (changed(1, 4, np.inf), r"row 2 .*not a whole number"),
        (changed(3, 3, 5), r"row 4 .*another start, end, pid or camera"),
        (changed(0, 1, 2) + changed(3, 0, 3) - CLEANED, r"row 1 .*another start.*\(2 such rows\)"),
        (changed(0, 4, -2), r"row 1 .*below -1"),
        (changed(0, 5, -7), r"row 1 .*below -1"),
        (np.full((4, 6), "a"), r"expected numbers"),
    ],
)
def test_a_malformed_table_is_refused_by_file_and_row(home, values, words):
    write(home, values)
    with pytest.raises(DataError, match=words) as error:
        cleaned_labels(home)
    assert "clean_tracks_test_info.mat" in str(error.value)


def test_another_variable_is_refused(home):
    write(home, CLEANED, "tracks")
    with pytest.raises(DataError, match="no variable 'track_test_info'; it holds tracks"):
        cleaned_labels(home)


def test_what_is_not_there_is_named(home, tmp_path):
    (home / "info/clean_tracks_test_info.mat").unlink()
    with pytest.raises(MissingDataError, match=r"no info/clean_tracks_test_info\.mat.*released with CF-AAN"):
        cleaned_labels(home)
    with pytest.raises(MissingDataError, match="does not exist"):
        cleaned_labels(tmp_path / "nowhere")
    (home / "info/mask_info.csv").unlink()
    with pytest.raises(MissingDataError, match=r"no info/mask_info\.csv"):
        dl_boxes(home, "train")


def test_boxes_are_in_the_order_of_the_names(home):
    assert dl_boxes(home, "test").tolist() == [[0, 8 - i, i, 4] for i in range(4)]
    assert dl_boxes(home, "train").tolist() == [[2, 6, 1, 3]] * 2
    assert dl_boxes(home, "train").dtype == np.int64


def test_a_first_column_that_is_no_name_is_passed_over(home):
    boxes(home, "train", ["0,2,6,1,3", "1,2,6,1,3"])
    assert dl_boxes(home, "train").tolist() == [[2, 6, 1, 3]] * 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0001C1T0001F002.jpg,2,6,1", "line 2 of info/mask_info.csv .*expected a name and whole numbers"),
        ("0001C1T0001F002.jpg,2,6,1,3,4", "line 2"),
        ("0001C1T0001F002.jpg,2,six,1,3", "line 2"),
        ("0001C1T0001F002.jpg,2,6.5,1,3", "line 2"),
        ("0001C1T0001F002.jpg,6,2,1,3", "0 <= y0 < y1"),
        ("0001C1T0001F002.jpg,2,6,3,3", "0 <= x0 < x1"),
        ("0001C1T0001F002.jpg,-1,6,1,3", "0 <= y0"),
        ("0001C1T0001F002.jpg,2,nan,1,3", "line 2"),
        ("", "line 2"),
        ("0001C1T0001F001.jpg,2,6,1,3", "line 2 .*about 0001C1T0001F001.jpg, but .*0001C1T0001F002.jpg"),
    ],
)
def test_malformed_boxes_are_refused_by_file_and_line(home, line, words):
    boxes(home, "train", ["0001C1T0001F001.jpg,2,6,1,3", line])
    with pytest.raises(DataError, match=words):
        dl_boxes(home, "train")


def test_too_few_boxes_and_unknown_splits_are_refused(home):
    boxes(home, "test", ["0001C1T0001F001.jpg,2,6,1,3"])
    with pytest.raises(DataError, match=r"has 1 line, but info/test_name\.txt 4"):
        dl_boxes(home, "test")
    with pytest.raises(ConfigError, match="split: there is none called 'gallery'; there is: train, test"):
        dl_boxes(home, "gallery")


def test_masks_follow_the_rows_of_a_table(home):
    table = MARS.read(home)
    masks = dl_masks(table, home)
    for row, mask in zip(table.itertuples(), masks.tolist()):
        name, part = Path(row.path).name, "train" if row.split == "train" else "test"
        expected = [2, 6, 1, 3] if part == "train" else [0, 8 - (i := NAMES["test"].index(name)), i, 4]
        assert mask == expected
    shuffled = table.iloc[::-1]
    assert dl_masks(shuffled, home).tolist() == masks[::-1].tolist()
    strange = table.assign(path=table["path"].str.replace("0002", "0009"))
    with pytest.raises(DataError, match=r"0009C1T0001F001\.jpg is not in info/test_name\.txt"):
        dl_masks(strange, home)


def test_an_export_of_the_embedded_world_is_read(tmp_path):
    spec = WorldSpec(
        train_people=1, test_people=5, distractors=1, cameras=2, visits=2, tracklet_frames=2, occluders=0,
        frame_width=240, frame_height=180, crop_height=32, crop_width=16, buried=0.3, ambiguous=0.3, seed=2,
    )  # fmt: skip
    home = export_mars(Scene(spec), tmp_path / "mars", workers=1, quiet=True)
    labels = cleaned_labels(home).set_index("tracklet")
    truth = pd.read_parquet(home / "truth.parquet")
    truth = truth[truth.split == "test"].drop_duplicates("tracklet").set_index("tracklet")
    assert {"buried", "ambiguous"} <= set(truth.fault)
    assert (labels.ambiguous[truth.index] == truth.other).all()
    wrong = truth.fault == "buried"
    assert (labels.new_pid[truth.index][wrong] == truth.pid[wrong]).all()
    assert (labels.pid[truth.index][wrong] == 0).all()
