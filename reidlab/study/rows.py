"""Rows of records: keyword arguments of a run's ``record``, made in one way by all studies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reidlab.errors import ConfigError

Row = dict[str, Any]
_FIELDS = {"chapter", "key", "value", "unit", "seed", "protocol", "timing", "dims"}

#: Scores whose gains are recorded and which are followed along a training.
FOLLOWED = ("mAP", "rank1")


def check_dims(dims: Mapping[str, Any]) -> None:
    """Check that dimensions have names of their own.

    Raises:
        ConfigError: one has the name of a field that every record has.
    """
    for name in dims:
        if name in _FIELDS:
            raise ConfigError(f"{name}: is a field of every record and cannot be a dimension; choose another name")


def with_dims(row: Mapping[str, Any], /, **dims: Any) -> Row:
    """Return a row with more dimensions; its own win, and one that is None is left out."""
    return {name: value for name, value in {**dims, **row}.items() if value is not None}


def score_rows(scores: Mapping[str, float], protocol: str, /, **dims: Any) -> Iterator[Row]:
    """Yield retrieval scores (fractions), one row each.

    Args:
        scores: by name.
        protocol: under which they were found.
        **dims: dimensions of all rows.

    Raises:
        ConfigError: see :func:`check_dims`.
    """
    check_dims(dims)
    for key, value in scores.items():
        yield {"key": key, "value": float(value), "protocol": protocol, **dims}


def gain_rows(ours: Mapping[str, float], theirs: Mapping[str, float], protocol: str, /, **dims: Any) -> Iterator[Row]:
    """Yield the gains in mAP and rank-1 of one method over another.

    Args:
        ours: scores of the method.
        theirs: scores of the other, which ``dims`` call ``reference``.
        protocol: of both.
        **dims: dimensions of the rows.

    Raises:
        ConfigError: see :func:`check_dims`.
    """
    check_dims(dims)
    for key in FOLLOWED:
        if key in ours and key in theirs:
            yield {"key": f"{key}_gain", "value": float(ours[key] - theirs[key]), "protocol": protocol, **dims}
