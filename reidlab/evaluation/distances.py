"""Distances between embeddings, in blocks of queries, so that memory stays bounded whatever the gallery's size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from reidlab.checks import check_choice
from reidlab.errors import DataError
from reidlab.evaluation import kernels

METRICS = ("squared", "euclidean", "cosine")

#: Bytes of one block of distances.
BLOCK_BYTES = 128 * 2**20


def distance_blocks(
    query: np.ndarray, gallery: np.ndarray, metric: str = "euclidean", *, block_bytes: int = BLOCK_BYTES
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield distances from blocks of queries to the whole gallery.

    Args:
        query: (Q, D) float32.
        gallery: (N, D) float32.
        metric: ``squared`` (Euclidean, which ranks as its root does), ``euclidean`` or ``cosine`` (1 minus the cosine
            similarity; a zero vector is at distance 1 from everything).
        block_bytes: greatest size of a block.

    Yields:
        The block's queries as a slice, and (rows, N) float32 in a buffer that the next block overwrites.

    Raises:
        DataError: shapes do not fit, or a feature is not finite or too long for float32.
        ConfigError: there is no such metric.
    """
    check_choice("metric", metric, METRICS)
    if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
        raise DataError(f"features: expected (Q, D) and (N, D) of one D; got {query.shape} and {gallery.shape}")
    query_norms, gallery_norms = _squared_norms("query", query), _squared_norms("gallery", gallery)
    if metric == "cosine":
        left, right = -_unit(query, query_norms), _unit(gallery, gallery_norms)
    else:
        left, right = -2.0 * query, gallery
    height = int(np.clip(block_bytes // (4 * max(1, len(gallery))), 1, max(1, len(query))))
    buffer = np.empty((height, len(gallery)), dtype=np.float32)
    for start in range(0, len(query), height):
        rows = slice(start, min(start + height, len(query)))
        block = buffer[: rows.stop - rows.start]
        np.matmul(left[rows], right.T, out=block)
        if metric == "cosine":
            block += 1.0
        else:
            kernels.squared_from_products(block, query_norms[rows], gallery_norms)
            if metric == "euclidean":
                np.sqrt(block, out=block)
        yield rows, block


def distances(query: np.ndarray, gallery: np.ndarray, metric: str = "euclidean") -> np.ndarray:
    """Return all distances at once, (Q, N) float32; see :func:`distance_blocks`."""
    out = np.empty((len(query), len(gallery)), dtype=np.float32)
    for rows, block in distance_blocks(query, gallery, metric):
        out[rows] = block
    return out


def _squared_norms(name: str, features: np.ndarray) -> np.ndarray:
    norms = np.einsum("nd,nd->n", features, features)
    # What is not finite in a row is not finite in its norm, so the check costs nothing more.
    if not np.isfinite(norms).all():
        row = int(np.flatnonzero(~np.isfinite(norms))[0])
        raise DataError(f"{name} features: row {row} is not finite (NaN or infinity), or too long for float32")
    return norms


def _unit(features: np.ndarray, squared_norms: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.sqrt(squared_norms), np.float32(1e-12))[:, None]
