"""Distances between embeddings, in blocks of queries, so that memory stays bounded whatever the gallery's size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from reidlab.errors import ConfigError, DataError
from reidlab.evaluation import kernels

#: Bytes of one block of distances.
BLOCK_BYTES = 128 * 2**20


def distance_blocks(
    query: np.ndarray, gallery: np.ndarray, metric: str = "euclidean", *, block_bytes: int = BLOCK_BYTES
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield distances from blocks of queries to the whole gallery.

    Args:
        query: (Q, D) float32.
        gallery: (N, D) float32.
        metric: ``euclidean`` (its square, which ranks the same) or ``cosine`` (1 minus the cosine similarity; a zero
            vector is at distance 1 from everything).
        block_bytes: greatest size of a block.

    Yields:
        The block's queries as a slice, and (rows, N) float32 in a buffer that the next block overwrites.

    Raises:
        DataError: shapes do not fit.
        ConfigError: there is no such metric.
    """
    if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
        raise DataError(f"features: expected (Q, D) and (N, D) of one D; got {query.shape} and {gallery.shape}")
    if metric == "cosine":
        left, right = -_unit(query), _unit(gallery)
    elif metric == "euclidean":
        left, right = -2.0 * query, gallery
        query_norms, gallery_norms = (np.einsum("nd,nd->n", x, x) for x in (query, gallery))
    else:
        raise ConfigError(f"metric: {metric!r} is not allowed; expected euclidean or cosine")
    height = int(np.clip(block_bytes // (4 * max(1, len(gallery))), 1, max(1, len(query))))
    buffer = np.empty((height, len(gallery)), dtype=np.float32)
    for start in range(0, len(query), height):
        rows = slice(start, min(start + height, len(query)))
        block = buffer[: rows.stop - rows.start]
        np.matmul(left[rows], right.T, out=block)
        if metric == "euclidean":
            kernels.squared_from_products(block, query_norms[rows], gallery_norms)
        else:
            block += 1.0
        yield rows, block


def distances(query: np.ndarray, gallery: np.ndarray, metric: str = "euclidean") -> np.ndarray:
    """Return all distances at once, (Q, N) float32; see :func:`distance_blocks`. ``euclidean`` is the root here."""
    out = np.empty((len(query), len(gallery)), dtype=np.float32)
    for rows, block in distance_blocks(query, gallery, metric):
        out[rows] = np.sqrt(block) if metric == "euclidean" else block
    return out


def _unit(features: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(norms, np.float32(1e-12))
