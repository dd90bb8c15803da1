"""The files of MARS: what is written is read back, byte for byte the same, and read by others as MARS's own."""

from itertools import chain

import numpy as np
import pytest
from scipy.io import loadmat

from reidlab.errors import DataError
from reidlab.formats import mars


def write(root):
    names = mars.track_names([3, 3, -1, 3], [1, 1, 2, 2], [2, 1, 1, 1])
    tracks = mars.write_part(root, "test", names, [3, 3, -1, 3], [1, 1, 2, 2])
    mars.write_test(root, [1, 4], tracks, [(3, -1), (4, -1), (-1, -1), (3, 4)])
    mars.write_masks(root, "test", list(chain(*names)), np.arange(20).reshape(5, 4))
    return names


def test_names_count_tracklets_of_one_identity_and_camera(tmp_path):
    names = write(tmp_path)
    assert names[:3] == [
        ["0003C1T0001F001.jpg", "0003C1T0001F002.jpg"],
        ["0003C1T0002F001.jpg"],
        ["00-1C2T0001F001.jpg"],
    ]
    assert mars.read_names(tmp_path, "test") == list(chain(*names))
    assert mars.picture_path("test", names[2][0]) == "bbox_test/00-1/00-1C2T0001F001.jpg"
    assert all(mars.NAME.fullmatch(name) for name in list(chain(*names)))


def test_matrices_are_read_back_and_hold_what_mars_holds(tmp_path):
    write(tmp_path)
    assert mars.read_matrix(tmp_path, mars.TRACKS["test"]).tolist() == [
        [1, 2, 3, 1], [3, 3, 3, 1], [4, 4, -1, 2], [5, 5, 3, 2],
    ]  # fmt: skip
    assert loadmat(tmp_path / "info/query_IDX.mat")["query_IDX"].tolist() == [[1, 4]]
    assert loadmat(tmp_path / "info/clean_tracks_test_info.mat")["track_test_info"][3].tolist() == [5, 5, 3, 2, 3, 4]
    assert (tmp_path / "info/mask_info_test.csv").read_text().splitlines()[1] == "0003C1T0001F002.jpg,4,5,6,7"


def test_bytes_depend_on_the_content_alone(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name)
    for path in (tmp_path / "a" / "info").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / "info" / path.name).read_bytes()


def test_a_part_without_tracklets_can_be_written(tmp_path):
    assert mars.write_part(tmp_path, "train", [], [], []).shape == (0, 4)
    assert mars.read_names(tmp_path, "train") == []


@pytest.mark.parametrize(("pid", "camid"), [(10000, 1), (3, 10), (3, 0)])
def test_what_has_no_room_in_a_name_is_refused(pid, camid):
    with pytest.raises(DataError, match=f"identity {pid}, camera {camid} and track 1 do not fit MARS's names"):
        mars.track_names([pid], [camid], [2])


def test_files_that_hold_something_else_are_named(tmp_path):
    write(tmp_path)
    (tmp_path / mars.QUERIES).write_bytes((tmp_path / mars.CLEANED).read_bytes())
    with pytest.raises(DataError, match=r"query_IDX\.mat has no variable 'query_IDX'; it holds track_test_info"):
        mars.read_matrix(tmp_path, mars.QUERIES)
    (tmp_path / mars.QUERIES).write_bytes(b"no matrix")
    with pytest.raises(DataError, match=r"query_IDX\.mat: cannot be read as a MATLAB file"):
        mars.read_matrix(tmp_path, mars.QUERIES)
