"""Jaccard distances between k-reciprocal encodings, in sparse memory: what SSG clusters by.

Z. Zhong et al., "Re-ranking person re-identification with k-reciprocal encoding", CVPR 2017
(https://arxiv.org/abs/1701.08398), whose equation numbers are used here; Y. Fu et al., "Self-similarity grouping", ICCV
2019 (https://arxiv.org/abs/1811.10144) gives these distances to DBSCAN, as Sec. 4.3.1 does. Two pictures whose
encodings have no neighbour in common are at distance 1, and that is almost every pair: only the others are stored. That
holds for features in which people can be told apart; where all neighbours are chance, the others are many, and more
than 2 GiB of them are refused before they are computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

from reidlab.checks import check_features
from reidlab.errors import DataError
from reidlab.evaluation.kernels import parallel
from reidlab.evaluation.reranking import k_reciprocal_encoding

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_PARTS = 128  # of the rows; a thread keeps its counters for a whole part
_ROUNDING = 1e-6  # encodings are float32: what lies closer than this is equal
_LARGEST = float(np.finfo(np.float32).max) / 8
_BELOW_ONE = np.float32(1 - 2**-24)
_MOST_PAIRS = 2**28  # stored, 8 bytes each: all pairs of 16,384 features


def jaccard_distances(features: np.ndarray, k1: int = 30, k2: int = 6) -> csr_matrix:
    """Return the Jaccard distances below 1 between the k-reciprocal encodings of N features (Eq. 10).

    Args:
        features: (N, D); distances between them are Euclidean.
        k1: neighbours that must be mutual; at most N - 1.
        k2: nearest entries whose encodings are averaged (Eq. 11); 1 leaves that out.

    Returns:
        (N, N) symmetric sparse matrix in compressed rows, float32, columns rising. A pair that is not stored is at
        distance 1. Zeros are stored: the diagonal, and pairs whose encodings are equal but for rounding.

    Raises:
        ConfigError: ``k1`` or ``k2`` does not fit the number of features.
        DataError: features are not a matrix with at least two rows, a value is not finite or too large, or more than
            268,435,456 pairs (i, j) would be stored.

    Example:
        >>> pairs = jaccard_distances(np.array([[0.0], [1.0], [9.0], [10.0]]), k1=1, k2=1)
        >>> [pairs[row].indices.tolist() for row in range(4)]
        [[0, 1], [0, 1], [2, 3], [2, 3]]
    """
    from scipy.sparse import csr_matrix

    # A squared distance is at most four times the larger squared length.
    features = check_features("features", features, least=2, longest=_LARGEST)
    encoding = k_reciprocal_encoding(features, k1, k2)
    encoding.eliminate_zeros()  # weights that vanished, where features differ by less than a product's rounding
    by_column = encoding.tocsc()
    by_column.sort_indices()
    count = len(features)
    lists = (encoding.indptr, encoding.indices, by_column.indptr, by_column.indices)
    starts = np.zeros(count + 1, dtype=np.int64)
    _count_overlapping(*lists, starts)
    np.cumsum(starts, out=starts)
    if starts[-1] > _MOST_PAIRS:
        raise DataError(
            f"features: each of {count:,} pictures shares neighbours with {starts[-1] / count:,.0f}; at most "
            f"{_MOST_PAIRS / count:,.0f} are allowed. These features hardly tell pictures apart: train the network "
            f"longer, take fewer pictures, or lower k1 (it is {k1}) and k2 ({k2})"
        )
    columns = np.empty(starts[-1], dtype=np.int32)
    values = np.empty(starts[-1], dtype=np.float32)
    _fill_distances(*lists, encoding.data, by_column.data, starts, columns, values)
    return csr_matrix((values, columns, starts), shape=(count, count))


@parallel()
def _count_overlapping(
    row_starts: np.ndarray, columns: np.ndarray, list_starts: np.ndarray, members: np.ndarray, counts: np.ndarray
) -> None:
    """Write into ``counts[i + 1]`` how many encodings share a neighbour with that of i, its own among them."""
    count = len(row_starts) - 1
    for part in numba.prange(_PARTS):
        seen = np.full(count, -1, dtype=np.int32)
        for i in range(part * count // _PARTS, (part + 1) * count // _PARTS):
            found = 0
            for a in range(row_starts[i], row_starts[i + 1]):
                column = columns[a]
                for b in range(list_starts[column], list_starts[column + 1]):
                    if seen[members[b]] != i:
                        seen[members[b]] = i
                        found += 1
            counts[i + 1] = found


@parallel()
def _fill_distances(
    row_starts: np.ndarray, columns: np.ndarray, list_starts: np.ndarray, members: np.ndarray, values: np.ndarray,
    member_values: np.ndarray, out_starts: np.ndarray, out_columns: np.ndarray, out_values: np.ndarray,
) -> None:  # fmt: skip
    """Write each row's overlapping encodings, rising, and the Jaccard distances to them (Eq. 10)."""
    count = len(row_starts) - 1
    sums = np.zeros(count)
    for i in range(count):
        for a in range(row_starts[i], row_starts[i + 1]):
            sums[i] += values[a]
    for part in numba.prange(_PARTS):
        shared = np.zeros(count)
        for i in range(part * count // _PARTS, (part + 1) * count // _PARTS):
            first, last = out_starts[i], out_starts[i + 1]
            found = first
            for a in range(row_starts[i], row_starts[i + 1]):
                column, value = columns[a], values[a]
                for b in range(list_starts[column], list_starts[column + 1]):
                    j = members[b]
                    if shared[j] == 0.0:
                        out_columns[found] = j
                        found += 1
                    # Columns rise, so (i, j) and (j, i) add up the same minima in the same order.
                    shared[j] += min(value, member_values[b])
            out_columns[first:last].sort()
            for place in range(first, last):
                j = out_columns[place]
                minima = shared[j]
                shared[j] = 0.0
                distance = 1.0 - minima / (sums[i] + sums[j] - minima)
                if j == i or distance < _ROUNDING:
                    distance = 0.0
                out_values[place] = min(np.float32(distance), _BELOW_ONE)
