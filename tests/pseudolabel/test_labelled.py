"""Who is labelled: counts, nesting, files, and divisions that cannot be."""

import json

import numpy as np
import pytest

from reidlab.errors import ConfigError, DataError
from reidlab.pseudolabel.labelled import SETTINGS, LabelledSplit, divide_labels, read_split

PIDS = np.repeat(np.arange(100, 172), 3)


def test_market_counts_of_the_dissertation():
    """Sec. 3.4.2: about 125 of 751 identities at 1/6."""
    pids = np.arange(751)
    counts = {setting: len(divide_labels(pids, setting, 0).labelled) for setting in SETTINGS}
    assert counts == {"1/3": 250, "1/6": 125, "1/12": 63, "50-ids": 50}


@pytest.mark.parametrize("seed", range(3))
def test_everybody_is_on_one_side(seed):
    split = divide_labels(PIDS, "1/6", seed)
    assert set(split.labelled) | set(split.unlabelled) == set(PIDS.tolist())
    assert not set(split.labelled) & set(split.unlabelled)
    known, unknown = split.rows(PIDS)
    assert sorted([*known, *unknown]) == list(range(len(PIDS)))
    assert set(PIDS[known]) == set(split.labelled)


def test_settings_are_nested_and_seeds_differ():
    few, some, many = (set(divide_labels(PIDS, setting, 4).labelled) for setting in ("1/12", "1/6", "1/3"))
    assert few < some < many
    assert set(divide_labels(PIDS, "1/6", 5).labelled) != some


def test_a_file_holds_it(tmp_path):
    split = divide_labels(PIDS, "50-ids", 1)
    path = split.write(tmp_path / "new" / "50.json")
    assert read_split(path) == split
    assert split.write(path) == path
    with pytest.raises(DataError, match="holds another division"):
        divide_labels(PIDS, "50-ids", 2).write(path)
    assert read_split(path) == split


@pytest.mark.parametrize("change", [{"format": 9}, {"labelled": None}, {"labelled": ["x"]}, {"seed": None}])
def test_a_damaged_file_says_so(tmp_path, change):
    path = divide_labels(PIDS, "1/6", 1).write(tmp_path / "split.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=r"split\.json"):
        read_split(path)
    with pytest.raises(DataError, match="no division"):
        read_split(tmp_path / "nowhere.json")


@pytest.mark.parametrize("setting", ["1/0", "2", "0", "-1/3", "x-ids", "half", ""])
def test_settings_that_are_none(setting):
    with pytest.raises(ConfigError, match="labelled: "):
        divide_labels(PIDS, setting, 0)


@pytest.mark.parametrize("setting", ["72-ids", "1-ids", "1/72"])
def test_settings_that_leave_a_side_empty(setting):
    with pytest.raises(ConfigError, match="would label"):
        divide_labels(PIDS, setting, 0)


def test_identities_on_both_sides_and_on_none():
    with pytest.raises(DataError, match="overlap: 1 are in both, such as 2"):
        LabelledSplit("by hand", 0, (1, 2), (2, 3))
    with pytest.raises(DataError, match="identity 9 is in neither part"):
        LabelledSplit("by hand", 0, (1, 2), (3,)).rows(np.array([1, 9]))
    with pytest.raises(DataError, match="no identity"):
        divide_labels(np.array([-1, 1, 2]), "1/3", 0)
