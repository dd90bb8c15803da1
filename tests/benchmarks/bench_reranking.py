"""Time and memory of k-reciprocal re-ranking at Market-1501 size.

Run: python tests/benchmarks/bench_reranking.py [--repeats N]

Prints seconds, the ratio to the matrix product of all features with all, and peak memory. The limits on two cores:
3 minutes and 5 GB.
"""

import argparse
import resource
import time
from statistics import median

import numpy as np

from reidlab.evaluation import Embeddings, evaluate, evaluate_distances, k_reciprocal
from reidlab.seeding import rng

QUERIES, GALLERY, PEOPLE, CAMERAS, WIDTH = 3368, 19732, 750, 6, 2048


def problem(queries: int, gallery: int) -> tuple[Embeddings, Embeddings]:
    """Return embeddings whose plain ranking leaves something to gain."""
    random = rng(0, "benchmark")
    centres = random.standard_normal((PEOPLE, WIDTH), dtype=np.float32)
    parts = []
    for count in (queries, gallery):
        pids = random.integers(0, PEOPLE, count)
        features = random.standard_normal((count, WIDTH), dtype=np.float32)
        features *= 3.0
        features += centres[pids]
        parts.append(Embeddings(features, pids + 1, random.integers(1, CAMERAS + 1, count)))
    return parts[0], parts[1]


def product(query: Embeddings, gallery: Embeddings, height: int = 1024) -> float:
    """Return the time of the product of all features with all, block by block."""
    features = np.concatenate([query.features, gallery.features])
    buffer = np.zeros((height, len(features)), dtype=np.float32)
    start = time.perf_counter()
    for first in range(0, len(features), height):
        left = features[first : first + height]
        np.matmul(left, features.T, out=buffer[: len(left)])
    return time.perf_counter() - start


def main() -> None:
    """Print a few lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    start = time.perf_counter()
    k_reciprocal(*problem(200, 800))
    print(f"first call, which compiles or loads what was compiled: {time.perf_counter() - start:.1f} s")
    query, gallery = problem(QUERIES, GALLERY)
    seconds, products = [], []
    for _ in range(options.repeats):
        start = time.perf_counter()
        distances = k_reciprocal(query, gallery)
        seconds.append(time.perf_counter() - start)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        products.append(product(query, gallery))
    print(
        f"{QUERIES} + {GALLERY} features, {WIDTH} wide: {median(seconds):.1f} s, "
        f"{median(s / p for s, p in zip(seconds, products)):.2f} x the product of all with all "
        f"({median(products):.1f} s), peak {memory:.2f} GB\n"
        f"mAP {evaluate(query, gallery).mAP:.3f} before, {evaluate_distances(distances, query, gallery).mAP:.3f} after"
    )


if __name__ == "__main__":
    main()
