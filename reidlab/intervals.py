"""Means with their confidence intervals: the one place that knows Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A mean with its two-sided confidence interval.

    Attributes:
        mean: of the values.
        low: lower end; minus infinity for a single value.
        high: upper end; infinity for a single value.
        count: how many values there are.
    """

    mean: float
    low: float
    high: float
    count: int

    @property
    def half(self) -> float:
        """Half of the interval's width; infinity for a single value."""
        return self.high - self.mean


def student_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the mean of some values with Student's t interval for it.

    Args:
        values: at least one; a single value has an infinite interval.
        confidence: the interval's coverage, in (0, 1).

    Example:
        >>> i = student_interval([1.0, 2.0, 3.0])
        >>> round(i.low, 3), i.mean, round(i.high, 3)
        (-0.484, 2.0, 4.484)
    """
    from scipy.special import stdtrit

    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return Interval(mean, -math.inf, math.inf, count)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = float(stdtrit(count - 1, 0.5 + confidence / 2)) * math.sqrt(variance / count)
    return Interval(mean, mean - half, mean + half, count)
