"""Re-ranking with k-reciprocal encoding, in sparse memory.

Z. Zhong et al., "Re-ranking person re-identification with k-reciprocal encoding", CVPR 2017
(https://arxiv.org/abs/1701.08398). Equation numbers are those of that paper.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numba
import numpy as np

from reidlab.checks import check_integer, check_share
from reidlab.errors import DataError
from reidlab.evaluation.compiled import compiled
from reidlab.evaluation.distances import distance_blocks
from reidlab.evaluation.embeddings import Embeddings
from reidlab.evaluation.kernels import keep_smallest, parallel

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class Neighbours(NamedTuple):
    """The nearest entries of each of N features.

    Attributes:
        index: (N, k) int64, nearest first; an entry is its own nearest neighbour.
        squared: (N, k) float32 squared Euclidean distances.
        farthest: (N,) float32 squared distance to the farthest entry.
    """

    index: np.ndarray
    squared: np.ndarray
    farthest: np.ndarray


def nearest(features: np.ndarray, k: int) -> Neighbours:
    """Return the ``k`` nearest entries of each feature by squared Euclidean distance, ties by index.

    Args:
        features: (N, D) float32.
        k: neighbours to keep, the entry itself among them; at most N.
    """
    count = len(features)
    index = np.empty((count, k), dtype=np.int64)
    squared = np.empty((count, k), dtype=np.float32)
    farthest = np.empty(count, dtype=np.float32)
    for rows, block in distance_blocks(features, features, "squared"):
        # Neither rounding nor duplicates may make an entry anything but its own nearest neighbour.
        block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = -1.0
        farthest[rows] = block.max(axis=1)
        _smallest(block, index[rows], squared[rows])
    squared[:, 0] = 0.0
    return Neighbours(index, squared, farthest)


def k_reciprocal_encoding(features: np.ndarray, k1: int = 20, k2: int = 6) -> csr_matrix:
    """Return the k-reciprocal encoding of N features: row i holds the weights of i's robust neighbours (Eq. 7).

    Args:
        features: (N, D) float32.
        k1: neighbours that must be mutual; at most N - 1.
        k2: nearest entries whose encodings are averaged (local query expansion, Eq. 11); 1 leaves it out.

    Returns:
        (N, N) sparse matrix in compressed rows, float32; rows sum to 1.

    Raises:
        ConfigError: ``k1`` or ``k2`` does not fit the number of features.
    """
    from scipy.sparse import csr_matrix

    count = len(features)
    check_integer("k1", k1, 1, count - 1, what=f"for {count} features")
    check_integer("k2", k2, 1, k1 + 1, what="at most k1 + 1")
    neighbours = nearest(features, k1 + 1)
    # The paper's half neighbourhood; like its code, halves are rounded to the even number.
    half = round(k1 / 2)
    rows, columns = _robust_neighbours(neighbours.index, half)
    squared = _squared_pairs(features, rows, columns)
    weights = np.exp(-squared / np.maximum(neighbours.farthest[rows], np.float32(1e-30)))
    encoding = csr_matrix((weights, (rows, columns)), shape=(count, count), dtype=np.float32)
    sums = np.add.reduceat(encoding.data, encoding.indptr[:-1])
    encoding.data /= np.repeat(sums, np.diff(encoding.indptr))
    if k2 > 1:
        ends = np.arange(0, count * k2 + 1, k2)
        mean = csr_matrix((np.full(count * k2, 1 / k2, np.float32), neighbours.index[:, :k2].ravel(), ends))
        mean.resize(count, count)
        encoding = (mean @ encoding).tocsr()
    encoding.sort_indices()
    return encoding


def k_reciprocal(query: Embeddings, gallery: Embeddings, k1: int = 20, k2: int = 6, weight: float = 0.3) -> np.ndarray:
    """Return re-ranked distances: the Jaccard distance of encodings, mixed with the original distance (Eq. 12).

    The original distance is the squared Euclidean one, divided by each query's greatest, as in the authors' code.

    Args:
        query: Q embeddings.
        gallery: N embeddings.
        k1: see :func:`k_reciprocal_encoding`.
        k2: see :func:`k_reciprocal_encoding`.
        weight: share of the original distance, 0..1 (the paper's lambda).

    Returns:
        (Q, N) float32 distances, for :func:`~reidlab.evaluation.retrieval.evaluate_distances`.

    Raises:
        ConfigError: a parameter is out of range.
        DataError: the widths of the features differ.
    """
    check_share("weight", weight)
    if query.features.shape[1] != gallery.features.shape[1]:
        raise DataError(
            f"features: expected (Q, D) and (N, D) of one D; got {query.features.shape} and {gallery.features.shape}"
        )
    features = np.concatenate([query.features, gallery.features])
    encoding = k_reciprocal_encoding(features, k1, k2)
    out = np.empty((len(query), len(gallery)), dtype=np.float32)
    for rows, block in distance_blocks(query.features, features, "squared"):
        farthest = np.maximum(block.max(axis=1, keepdims=True), np.float32(1e-30))
        np.multiply(block[:, len(query) :], weight / farthest, out=out[rows])
    by_column = encoding[len(query) :].tocsc()
    by_column.sort_indices()
    _add_jaccard(
        encoding.indptr.astype(np.int64), encoding.indices, encoding.data,
        by_column.indptr.astype(np.int64), by_column.indices, by_column.data, np.float32(1 - weight), out,
    )  # fmt: skip
    return out


@parallel()
def _smallest(block: np.ndarray, index: np.ndarray, value: np.ndarray) -> None:
    """Write each row's smallest values and their columns in order, as many as there is room for."""
    for r in numba.prange(block.shape[0]):
        row = block[r]
        filled = 0
        for j in range(len(row)):
            filled = keep_smallest(value[r], index[r], filled, row[j], j)


@compiled
def _holds(values: np.ndarray, count: int, wanted: int) -> bool:
    """Return whether one of the first ``count`` values is the one wanted."""
    for n in range(count):  # noqa: SIM110 - numba compiles no generator
        if values[n] == wanted:
            return True
    return False


@compiled
def _reciprocal(index: np.ndarray, i: int, k: int, out: np.ndarray) -> int:
    """Write the entries that are among i's ``k`` nearest and have i among theirs (Eq. 3); return their number."""
    found = 0
    for a in range(k + 1):
        j = index[i, a]
        if _holds(index[j], k + 1, i):
            out[found] = j
            found += 1
    return found


@parallel()
def _expanded(index: np.ndarray, half: int, sets: np.ndarray, sizes: np.ndarray) -> None:
    """Write each entry's robust set R* (Eq. 5): reciprocal neighbours, joined by theirs where they overlap enough."""
    k = index.shape[1] - 1
    for i in numba.prange(index.shape[0]):
        own = np.empty(k + 1, dtype=np.int64)
        theirs = np.empty(half + 1, dtype=np.int64)
        size = _reciprocal(index, i, k, own)
        sets[i, :size] = own[:size]
        total = size
        for a in range(size):
            count = _reciprocal(index, own[a], half, theirs)
            shared = 0
            for b in range(count):
                shared += _holds(own, size, theirs[b])
            if 3 * shared > 2 * count:
                for b in range(count):
                    if not _holds(sets[i], total, theirs[b]):
                        sets[i, total] = theirs[b]
                        total += 1
        sizes[i] = total


def _robust_neighbours(index: np.ndarray, half: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs (i, member of R*(i)) as two arrays, rows rising."""
    count, k = index.shape
    # Each of at most k neighbours brings at most half + 1 others, a third of which at the most are new.
    width = k + k * math.ceil((half + 1) / 3)
    sets = np.empty((count, width), dtype=np.int32)
    sizes = np.empty(count, dtype=np.int64)
    _expanded(index, half, sets, sizes)
    rows = np.repeat(np.arange(count), sizes)
    columns = sets[np.arange(width)[None] < sizes[:, None]]
    return rows, columns.astype(np.int64)


@parallel(fastmath=True)
def _squared_pairs(features: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the squared distances of pairs of features."""
    out = np.empty(len(rows), dtype=np.float32)
    for n in numba.prange(len(rows)):
        a, b = features[rows[n]], features[columns[n]]
        total = np.float32(0.0)
        for d in range(len(a)):
            total += (a[d] - b[d]) * (a[d] - b[d])
        out[n] = total
    return out


@parallel()
def _add_jaccard(
    starts: np.ndarray, columns: np.ndarray, values: np.ndarray, column_starts: np.ndarray, members: np.ndarray,
    member_values: np.ndarray, factor: float, out: np.ndarray,
) -> None:  # fmt: skip
    """Add ``factor`` times the Jaccard distance (Eq. 10) of the first encodings to all gallery encodings, in place."""
    for q in numba.prange(out.shape[0]):
        shared = np.zeros(out.shape[1], dtype=np.float32)
        for a in range(starts[q], starts[q + 1]):
            column, value = columns[a], values[a]
            for b in range(column_starts[column], column_starts[column + 1]):
                shared[members[b]] += min(value, member_values[b])
        for g in range(out.shape[1]):
            # Rows sum to 1, so the sum of maxima is 2 minus the sum of minima; rounding below 0 is cut off.
            out[q, g] += factor * max(np.float32(1.0) - shared[g] / (np.float32(2.0) - shared[g]), np.float32(0.0))
