"""Rows of records: keyword arguments of a run's ``record``, made in one way by all studies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Row = dict[str, Any]

#: Scores whose gains are recorded and which are followed along a training.
FOLLOWED = ("mAP", "rank1")


def with_dims(row: Mapping[str, Any], **dims: Any) -> Row:
    """Return a row with more dimensions; its own win, and one that is None is left out."""
    return {name: value for name, value in {**dims, **row}.items() if value is not None}


def score_rows(scores: Mapping[str, float], protocol: str, **dims: Any) -> Iterator[Row]:
    """Yield retrieval scores (fractions), one row each.

    Args:
        scores: by name.
        protocol: under which they were found.
        **dims: dimensions of all rows.
    """
    for key, value in scores.items():
        yield {"key": key, "value": float(value), "protocol": protocol, **dims}


def gain_rows(ours: Mapping[str, float], theirs: Mapping[str, float], protocol: str, **dims: Any) -> Iterator[Row]:
    """Yield the gains in mAP and rank-1 of one method over another.

    Args:
        ours: scores of the method.
        theirs: scores of the other, which ``dims`` call ``reference``.
        protocol: of both.
        **dims: dimensions of the rows.
    """
    for key in FOLLOWED:
        if key in ours and key in theirs:
            yield {"key": f"{key}_gain", "value": float(ours[key] - theirs[key]), "protocol": protocol, **dims}
