"""How much the evaluation costs beside the distances' own matrix product, at the sizes of real benchmarks.

Run: python tests/benchmarks/bench_retrieval.py [market1501] [msmt17] [--repeats N]

Prints seconds and their ratios, medians over repeats taken in turns, so that a busy machine slows all alike. The
limits: at Market-1501 size what follows the product costs at most half of it; at MSMT17 size all costs at most 1.5
times the product, in at most 4 GB.
"""

import argparse
import resource
from statistics import median

import numpy as np
from clock import seconds

from reidlab.evaluation import Embeddings, evaluate, evaluate_distances
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
        features *= 3.0
        for row, pid in zip(features, pids):
            row += centres[pid]
        parts.append(Embeddings(features, pids + 1, random.integers(1, cameras + 1, count)))
    return parts[0], parts[1]


def peak_gb() -> float:
    """Return the greatest resident memory of the process so far, in units of 1e9 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def products(query: Embeddings, gallery: Embeddings) -> float:
    """Return the time of the matrix product alone, in blocks as high as the evaluation's."""
    height = next(distance_blocks(query.features, gallery.features))[0].stop
    buffer = np.empty((height, len(gallery)), dtype=np.float32)
    buffer.fill(0)  # pages are touched before the clock starts
    total = 0.0
    for start in range(0, len(query), height):
        left = query.features[start : start + height]
        total += seconds(lambda left=left: np.matmul(left, gallery.features.T, out=buffer[: len(left)]))
    return total


def scoring(query: Embeddings, gallery: Embeddings, protocol: str) -> float:
    """Return the time of what follows the distances: comparing labels, counting ranks, averaging."""
    total = 0.0
    for rows, block in distance_blocks(query.features, gallery.features, "squared"):
        part = query.select(rows)
        total += seconds(lambda part=part, block=block: evaluate_distances(block, part, gallery, protocol))
    return total


def sorting(query: Embeddings, gallery: Embeddings, rows: int = 64) -> float:
    """Return the time that sorting every row would take, from a sample of rows."""
    _, block = next(distance_blocks(query.features[:rows], gallery.features, "squared"))
    return seconds(lambda: np.argsort(block, axis=1, kind="stable")) / len(block) * len(query)


def main() -> None:
    """Print a few lines per size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="size", help=f"of {', '.join(SIZES)}; by default all")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    small = problem(20, 60, 5, 3)
    print(f"first call, which compiles or loads what was compiled: {seconds(lambda: evaluate(*small)):.1f} s")
    for name in options.names or SIZES:
        query, gallery = problem(*SIZES[name])
        before = peak_gb()
        whole = [seconds(lambda: evaluate(query, gallery, name))]
        memory = peak_gb()
        product, after = [], []
        for turn in range(options.repeats):
            product.append(products(query, gallery))
            if turn:
                whole.append(seconds(lambda: evaluate(query, gallery, name)))
            after.append(scoring(query, gallery, name))
        scores = evaluate(query.select(slice(0, 200)), gallery, name)
        print(
            f"{name}: {len(query)} x {len(gallery)}, {WIDTH} wide (mAP {scores.mAP:.2f})\n"
            f"  product alone          {median(product):8.2f} s\n"
            f"  scoring alone          {median(after):8.2f} s  "
            f"{median(a / p for a, p in zip(after, product)):6.3f} of the product\n"
            f"  evaluate, all in all   {median(whole):8.2f} s  "
            f"{median(w / p for w, p in zip(whole, product)):6.3f} of the product\n"
            f"  sorting rows, for comparison {sorting(query, gallery):.2f} s\n"
            f"  peak memory {memory:.2f} GB ({before:.2f} GB before the evaluation)"
        )


if __name__ == "__main__":
    main()
