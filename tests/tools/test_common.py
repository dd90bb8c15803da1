"""What all tools share: reading by name or folder, the line that describes a set, and the place that is written."""

import pytest

from reidlab.data import make_table
from reidlab.data.catalogue import open_set
from reidlab.data.table import described
from reidlab.errors import ConfigError, StorageError
from reidlab.tools.common import checked_output


def table_of(**columns):
    defaults = {"pid": [1, 1, 0, -1], "camid": [1, 2, 2, 2], "split": ["train", "query", "gallery", "gallery"]}
    return make_table("made up", path=[f"/{n}.jpg" for n in range(4)], **{**defaults, **columns})


def test_a_set_is_described_in_one_line():
    table = table_of()
    assert described(table) == (
        "read made up as a table: 4 pictures of 1 person by 2 cameras (train 1, query 1, gallery 2)"
    )
    table = table_of(pid=[1, 2, 2, 3], tracklet=[0, 1, 1, 2], split=["train", "query", "gallery", "gallery"])
    table.attrs["layout"] = "mars"
    assert described(table).startswith("read made up as mars: 4 pictures of 3 people in 3 tracklets by 2 cameras")


def test_a_folder_is_read_by_the_reader_that_fits(tmp_path):
    cv2, np = pytest.importorskip("cv2"), pytest.importorskip("numpy")
    for person in ("anna", "bo"):
        (tmp_path / "mine" / person / "cam1").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "mine" / person / "cam1" / "0.png"), np.zeros((8, 4, 3), np.uint8))
    table, root = open_set(str(tmp_path / "mine"))
    assert root == tmp_path / "mine"
    assert described(table).startswith("read mine as folder: 2 pictures")
    with pytest.raises(ConfigError, match="no data set 'no-such-set'"):
        open_set("no-such-set")


def test_a_folder_to_write_is_new_or_empty_and_can_be_written(tmp_path, monkeypatch):
    assert checked_output(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert list(tmp_path.iterdir()) == []
    assert checked_output(tmp_path) == tmp_path
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"):
        checked_output(tmp_path / "file")
    with pytest.raises(StorageError):
        checked_output(tmp_path / "file" / "below")
    with pytest.raises(ConfigError, match="not empty"):
        checked_output(tmp_path)
    assert checked_output(tmp_path, resume=True) == tmp_path

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr("tempfile.TemporaryDirectory", refused)
    with pytest.raises(StorageError, match="may not be written"):
        checked_output(tmp_path, resume=True)
