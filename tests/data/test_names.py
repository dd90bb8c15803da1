"""File names: what is written into one is read out of it, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidlab.data.readers import CUHK03_NP_DETECTED, DUKEMTMC_REID, MARKET1501, VERI776, mars, msmt17, pku_reid
from reidlab.errors import DataError

pids = st.integers(0, 9999)


@given(st.one_of(st.just(-1), pids), st.integers(1, 15), st.integers(1, 6), st.integers(0, 999_999), st.integers(0, 99))
def test_market1501(pid, camid, sequence, frame, box):
    who = "-1" if pid == -1 else f"{pid:04d}"
    name = f"{who}_c{camid}s{sequence}_{frame:06d}_{box:02d}.jpg"
    assert MARKET1501.pattern.parse(name) == {"pid": pid, "camid": camid, "frame": frame}


@given(pids, st.integers(1, 8), st.integers(0, 9_999_999))
def test_dukemtmc_reid(pid, camid, frame):
    name = f"{pid:04d}_c{camid}_f{frame:07d}.jpg"
    assert DUKEMTMC_REID.pattern.parse(name) == {"pid": pid, "camid": camid, "frame": frame}


@given(pids, st.integers(1, 2), st.integers(0, 9999), st.sampled_from(["", "_0", "_12"]))
def test_cuhk03_np(pid, camid, number, tail):
    name = f"{pid:04d}_c{camid}_{number}{tail}.png"
    assert CUHK03_NP_DETECTED.pattern.parse(name) == {"pid": pid, "camid": camid}


@given(pids, st.integers(1, 20), st.integers(0, 99_999_999), st.integers(0, 9))
def test_veri776(pid, camid, frame, number):
    name = f"{pid:04d}_c{camid:03d}_{frame:08d}_{number}.jpg"
    assert VERI776.pattern.parse(name) == {"pid": pid, "camid": camid, "frame": frame}


@given(pids, st.integers(0, 999), st.integers(1, 15), st.integers(0, 9999), st.sampled_from(["", "_ex"]))
def test_msmt17(pid, number, camid, frame, tail):
    name = f"{pid:04d}_{number:03d}_{camid:02d}_0303afternoon_{frame:04d}_1{tail}.jpg"
    assert msmt17.NAMES.parse(name) == {"pid": pid, "camid": camid, "frame": frame}


@given(pids, st.integers(1, 6), st.integers(1, 9999), st.integers(1, 999))
def test_mars(pid, camid, track, frame):
    name = f"{pid:04d}C{camid}T{track:04d}F{frame:03d}.jpg"
    assert name[5] == str(camid)
    assert mars.NAMES.parse(name) == {"pid": pid, "camid": camid, "frame": frame}


@given(st.integers(1, 114), st.integers(1, 2), st.integers(1, 8))
def test_pku_reid(pid, camid, orientation):
    expected = {"camid": camid, "orientation": orientation}
    assert pku_reid._FLAT.parse(f"{pid:03d}_{camid:02d}_{orientation:02d}.png") == {"pid": pid, **expected}
    assert pku_reid._NESTED.parse(f"{camid:02d}_{orientation}.png") == expected


@pytest.mark.parametrize(
    "name",
    [
        "0002_c1s1_1_03.jpg.part",
        "0002_c0s1_1_03.jpg",
        "-2_c1s1_1_1.jpg",
        "0002_c1_f0000451.jpg",
        "a0002_c1s1_1_1.jpg",
        "",
    ],
)
def test_other_names_are_refused(name):
    assert not MARKET1501.pattern.fits(name)
    with pytest.raises(DataError, match="does not follow <pid>_c<cam>"):
        MARKET1501.pattern.parse(name)
