"""Compiled inner loops of the evaluation: one pass over a block of distances, no sorting of whole rows.

A query's score depends on the ranks of its positives alone. They are found by counting, for each positive, the
entries before it. A small table over the positives' range of distances tells where to look, so that an entry costs
about one comparison however many positives there are.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from reidlab.evaluation.compiled import compiled

_TURN = threading.Lock()  # these threads serve one caller at a time

OTHER, POSITIVE, IGNORED = 0, 1, 2
_CELLS = 512
#: Smaller arrays are worked on by one thread: on a busy machine, starting a second can take 50 ms.
_PARALLEL_ENTRIES = 2**21


@compiled
def keep_smallest(value: np.ndarray, index: np.ndarray, filled: int, distance: float, place: int) -> int:
    """Put a distance and its place into two short lists, (k,) each, of the smallest so far in order, ties by place.

    Args:
        value: the smallest distances.
        index: their places.
        filled: entries the lists hold.
        distance: the next one.
        place: of it, greater than all before.

    Returns:
        Entries the lists hold now.
    """
    k = len(value)
    if filled == k and distance >= value[k - 1]:
        return filled
    last = filled if filled < k else k - 1
    while last > 0 and value[last - 1] > distance:
        value[last] = value[last - 1]
        index[last] = index[last - 1]
        last -= 1
    value[last], index[last] = distance, place
    return min(filled + 1, k)


def parallel(**options: Any) -> Callable[[Callable], Callable]:
    """Compile a loop over queries for as many threads as its largest array is worth.

    Args:
        **options: options of ``numba.njit``.
    """

    def decorate(function: Callable) -> Callable:
        loop = compiled(function, parallel=True, **options)

        @functools.wraps(function)
        def call(*arguments: object) -> object:
            with _TURN:
                before = numba.get_num_threads()
                if max(getattr(argument, "size", 0) for argument in arguments) < _PARALLEL_ENTRIES:
                    numba.set_num_threads(1)
                try:
                    return loop(*arguments)
                finally:
                    numba.set_num_threads(before)

        return call

    return decorate


@parallel()
def same_identity(
    pids: np.ndarray, camids: np.ndarray, gallery_pids: np.ndarray, gallery_camids: np.ndarray, rule: int
) -> np.ndarray:
    """Return (Q, N) int8 relevance; ``rule`` 0 ignores same person and camera, 1 same camera, 2 nothing."""
    out = np.zeros((len(pids), len(gallery_pids)), dtype=np.int8)
    for q in numba.prange(len(pids)):
        pid, camid, row = pids[q], camids[q], out[q]
        for j in range(len(gallery_pids)):
            same = gallery_pids[j] == pid
            if (rule == 1 or (rule == 0 and same)) and gallery_camids[j] == camid:
                row[j] = IGNORED
            elif same:
                row[j] = POSITIVE
    return out


@parallel()
def squared_from_products(products: np.ndarray, query_norms: np.ndarray, gallery_norms: np.ndarray) -> None:
    """Turn ``-2 q.g`` (Q, N) into squared distances, in place; rounding below 0 is cut off."""
    for q in numba.prange(products.shape[0]):
        norm = query_norms[q]
        for j in range(products.shape[1]):
            products[q, j] = max(products[q, j] + (norm + gallery_norms[j]), np.float32(0.0))


@parallel()
def one_per_group(relevance: np.ndarray, groups: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return (Q, N) int8 relevance in which each group keeps the first entry not ignored; the others are ignored.

    Args:
        relevance: (Q, N) int8.
        groups: (N,) int64 numbers of groups, from 0.
        order: (N,) int64, the order in which entries are tried.
    """
    out = np.full(relevance.shape, IGNORED, dtype=np.int8)
    count = groups.max() + 1
    for q in numba.prange(relevance.shape[0]):
        taken = np.zeros(count, dtype=np.bool_)
        for j in order:
            if relevance[q, j] != IGNORED and not taken[groups[j]]:
                taken[groups[j]] = True
                out[q, j] = relevance[q, j]
    return out


@parallel()
def positive_ranks(distances: np.ndarray, relevance: np.ndarray, starts: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Write the ranks (from 1) of each query's positives among what is not ignored; ties go by gallery index.

    Args:
        distances: (Q, N) float.
        relevance: (Q, N) int8.
        starts: (Q + 1,) int64; the positives of query q are ``ranks[starts[q]:starts[q + 1]]``.
        ranks: receives the ranks, rising within a query.

    Returns:
        (Q,) bool, true where a row holds a value that is not finite.
    """
    bad = np.zeros(distances.shape[0], dtype=np.bool_)
    for q in numba.prange(distances.shape[0]):
        row, kind, count = distances[q], relevance[q], starts[q + 1] - starts[q]
        # A finite number minus itself is 0; anything else is not a number, and stays so in the sum.
        check = row[0] * 0
        for j in range(len(row)):
            check += row[j] * 0
        bad[q] = check != 0
        if count == 0 or bad[q]:
            continue
        index = np.empty(count, dtype=np.int64)
        value = np.empty(count, dtype=row.dtype)
        found = 0
        for j in range(len(row)):
            if kind[j] == POSITIVE:
                index[found], value[found] = j, row[j]
                found += 1
        order = np.argsort(value, kind="mergesort")
        index, value = index[order], value[order]
        low, high = value[0], value[count - 1]

        # first[c] is the number of positives in cells before c: those lie before every entry of cell c.
        # A range too small to divide by has one cell.
        span = float(high) - float(low)
        scale = (_CELLS - 1) / span if span > 1e-300 else 0.0
        first = np.zeros(_CELLS + 1, dtype=np.int64)
        for k in range(count):
            first[int((float(value[k]) - float(low)) * scale) + 1] += 1
        for c in range(_CELLS):
            first[c + 1] += first[c]

        before = np.zeros(count, dtype=np.int64)
        for j in range(len(row)):
            d = row[j]
            if d > high or kind[j] != OTHER:
                continue
            k = 0
            if d > low:
                k = first[int((float(d) - float(low)) * scale)]
            while k < count and (value[k] < d or (value[k] == d and index[k] < j)):
                k += 1
            if k < count:
                before[k] += 1
        passed = 0
        for k in range(count):
            passed += before[k]
            ranks[starts[q] + k] = passed + k + 1
    return bad
