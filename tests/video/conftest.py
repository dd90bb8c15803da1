"""What the tests of chapter 2's two studies share: one measurement of a tiny world."""

import pytest


@pytest.fixture(scope="module")
def measured(study, place):
    return study.measure_at(place)


def rows_of(measured, **wanted):
    """Return the rows of a measurement that have some dimensions."""
    return [row for row in measured.rows if all(row.get(name) == value for name, value in wanted.items())]
