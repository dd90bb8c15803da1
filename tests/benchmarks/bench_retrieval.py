"""How much the evaluation costs beside the distances' own matrix product, at the sizes of real benchmarks.

Run ``python tests/benchmarks/bench_retrieval.py [market1501] [msmt17] [reranking]``; ratios are of medians in one run.
"""

from __future__ import annotations

import resource
import sys
import time
from statistics import median

import numpy as np

from reidlab.evaluation import Embeddings, evaluate, k_reciprocal
from reidlab.evaluation.distances import distance_blocks
from reidlab.seeding import rng

#: Queries, gallery entries, test identities, cameras.
SIZES = {"market1501": (3368, 19732, 750, 6), "msmt17": (11659, 82161, 3060, 15)}
WIDTH = 2048


def problem(queries: int, gallery: int, people: int, cameras: int) -> tuple[Embeddings, Embeddings]:
    """Return embeddings that cluster by identity about as much as a trained network's do."""
    random = rng(0, "benchmark")
    centres = random.standard_normal((people, WIDTH), dtype=np.float32)
    parts = []
    for count in (queries, gallery):
        pids = random.integers(0, people, count)
        features = random.standard_normal((count, WIDTH), dtype=np.float32)
        features *= 2.0
        features += centres[pids]
        parts.append(Embeddings(features, pids + 1, random.integers(1, cameras + 1, count)))
    return parts[0], parts[1]


def timed(work, repeats: int) -> float:
    """Return the median wall time of ``work()`` in seconds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def peak_gib() -> float:
    """Return the greatest resident memory of the process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def products(query: Embeddings, gallery: Embeddings) -> None:
    """The matrix product alone, block by block as the evaluation asks for it."""
    buffer = None
    for rows, block in distance_blocks(query.features[:1], gallery.features):
        buffer = np.empty((1024, block.shape[1]), dtype=np.float32)
        del rows
    for start in range(0, len(query), 1024):
        left = query.features[start : start + 1024]
        np.matmul(left, gallery.features.T, out=buffer[: len(left)])


def main(names: list[str]) -> None:
    """Print one line per size."""
    small = problem(20, 60, 5, 3)
    evaluate(*small)  # compiles, or loads what was compiled
    k_reciprocal(*small, k1=5, k2=2)
    for name in names or list(SIZES):
        if name == "reranking":
            query, gallery = problem(*SIZES["market1501"])
            seconds = timed(lambda: k_reciprocal(query, gallery), 1)
            print(f"re-ranking at market1501 size: {seconds:.1f} s, peak {peak_gib():.2f} GiB")
            continue
        query, gallery = problem(*SIZES[name])
        repeats = 3 if name == "market1501" else 1
        product = timed(lambda: products(query, gallery), repeats)
        whole = timed(lambda: evaluate(query, gallery, name), repeats)
        print(
            f"{name}: product {product:.2f} s, evaluation {whole:.2f} s, ratio of all {whole / product:.2f}, "
            f"after the product {(whole - product) / product:.2f}, peak {peak_gib():.2f} GiB"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
