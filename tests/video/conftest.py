"""What the tests of chapter 2's two studies share: a cache of their own, and one measurement of a tiny world."""

import pytest


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REIDLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def measured(study, place):
    return study.measure_at(place)


def rows_of(measured, **wanted):
    """Return the rows of a measurement that have some dimensions."""
    return [row for row in measured.rows if all(row.get(name) == value for name, value in wanted.items())]
