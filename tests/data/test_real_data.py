"""Real samples, where REIDLAB_DATA leads to them: numbers, pictures, protocols."""

import numpy as np
import pytest

from reidlab.data import ImageCache, across_cameras, catalogue, divide_identities, load
from reidlab.data.readers import MOT
from reidlab.errors import MissingDataError

pytestmark = pytest.mark.real_data


@pytest.fixture
def sample():
    """Return a function that finds the edition of a data set which the tests are about, or skips the test."""

    def locate(name, edition=""):
        try:
            location = catalogue.find(name)
        except MissingDataError as error:
            pytest.skip(str(error))
        if catalogue.check(name).edition != edition:
            pytest.skip(f"{name} is here in another edition")
        return location

    return locate


@pytest.mark.parametrize(
    ("name", "edition", "pictures"),
    [
        ("pku-reid", "col780", 1184),
        ("mot17", "sample", 12),
        ("orl-faces", "", 400),
        ("yang91", "", 91),
        ("set5", "", 5),
        ("set14", "", 14),
    ],
)
def test_samples_are_as_their_manifests_say(sample, name, edition, pictures):
    sample(name, edition)
    report = catalogue.check(name, deep=True)
    assert report.ok, report.problems
    assert report.pictures == pictures


def test_pku_reid(sample):
    sample("pku-reid", "col780")
    table = load("pku-reid")
    assert table[table.split == "train"].pid.nunique() == 62
    assert table[table.split != "train"].pid.nunique() == 12
    assert len(table) == table.path.nunique() == 74 * 2 * 8
    assert table.groupby(["pid", "camid"]).orientation.apply(sorted).map(lambda k: k == list(range(1, 9))).all()
    assert not table.path.str.contains("/val/(?:query|gallery)/").any()


def test_pku_reid_is_tested_across_its_two_cameras(sample):
    sample("pku-reid", "col780")
    table = load("pku-reid")
    everybody = across_cameras(table)
    assert len(everybody.query) == len(everybody.gallery) == 74 * 8
    part = divide_identities(table, 0.5, seed=0)
    assert part.query.pid.nunique() == part.gallery.pid.nunique() == 37
    assert (set(part.query.camid), set(part.gallery.camid)) == ({1}, {2})


def test_pku_reid_has_one_picture_twice(sample):
    sample("pku-reid", "col780")
    notes = catalogue.check("pku-reid", deep=True).notes
    assert notes[0].endswith("byte for byte: train/085/01_5.png = train/085/01_4.png")


def test_mot17(sample):
    root = sample("mot17", "sample").path
    table = load("mot17")
    assert table.groupby("camid").frame.max().to_dict() == {1: 4, 2: 8}
    assert table.path.nunique() == 12
    assert (table.h > table.w).mean() > 0.9
    sequences = MOT.sequences(root)
    assert [(s.name, s.length, s.width, s.frame_rate) for s in sequences] == [
        ("MOT17-02-FRCNN", 600, 1920, 30.0),
        ("MOT17-04-FRCNN", 1050, 1920, 30.0),
    ]
    crops = np.asarray(ImageCache(table.iloc[:20], (64, 32)))
    assert crops.shape == (20, 64, 32, 3)
    assert crops.std() > 10
