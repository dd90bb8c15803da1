"""Time and memory of sparse Jaccard distances at the size of Market-1501's training set.

Run: python tests/benchmarks/bench_jaccard.py [--threads N] [--repeats N]

The yardstick is an exact search for the same neighbours in the same features, in turns with the distances: the
package's own, a blocked product with numpy's partition, and faiss's where it is installed. The distances are held
against the fastest of them. Memory is what a call adds to the peak of a fresh process that holds the features. At the
end, the time of the clustering that follows.
"""

import argparse
import importlib.util
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

import numba
import numpy as np
from clock import seconds
from threadpoolctl import threadpool_limits

from reidlab.evaluation.jaccard import jaccard_distances
from reidlab.evaluation.reranking import nearest
from reidlab.seeding import rng

PICTURES, WIDTH, PEOPLE, CAMERAS, K1, K2 = 12936, 2048, 751, 6, 30, 6
TIME_LIMIT, MEMORY_LIMIT = 2.5, 1.5


def problem(pictures: int = PICTURES, people: int = PEOPLE) -> np.ndarray:
    """Return features of people in clusters of unequal width, moved by their cameras."""
    random = rng(0, "benchmark")
    pids, camids = random.integers(0, people, pictures), random.integers(0, CAMERAS, pictures)
    features = random.standard_normal((pictures, WIDTH), dtype=np.float32)
    features *= np.exp(0.3 * random.standard_normal(people)).astype(np.float32)[pids, None]
    features += random.standard_normal((people, WIDTH), dtype=np.float32)[pids]
    features += 0.4 * random.standard_normal((CAMERAS, WIDTH), dtype=np.float32)[camids]
    return features


def partitioned(features: np.ndarray, k: int, height: int = 1024) -> np.ndarray:
    """Return the k nearest by a product and numpy's partition, block by block."""
    norms = np.einsum("nd,nd->n", features, features)
    out = np.empty((len(features), k), dtype=np.int64)
    buffer = np.empty((height, len(features)), dtype=np.float32)
    for start in range(0, len(features), height):
        block = buffer[: len(features[start : start + height])]
        np.matmul(features[start : start + height], features.T, out=block)
        block *= -2.0
        block += norms
        index = np.argpartition(block, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(block, index, axis=1), axis=1, kind="stable")
        out[start : start + height] = np.take_along_axis(index, order, axis=1)
    return out


def by_faiss(features: np.ndarray, k: int) -> np.ndarray:
    """Return the k nearest by faiss's exact index."""
    import faiss

    index = faiss.IndexFlatL2(features.shape[1])
    index.add(features)
    return index.search(features, k)[1]


def searches(threads: int) -> dict:
    """The exact searches there are, by name."""
    found = {"reidlab's nearest": nearest, "product and partition": partitioned}
    if importlib.util.find_spec("faiss"):
        import faiss

        faiss.omp_set_num_threads(threads)
        found["faiss IndexFlatL2"] = by_faiss
    return found


def peak() -> float:
    """Largest memory this process has held, in GB, from the kernel's books (Linux)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e9


def memory(file: Path, threads: int) -> float:
    """GB that a call adds to the peak of this process, which has read the features and made a small call before."""
    numba.set_num_threads(threads)
    with threadpool_limits(threads):
        features = np.load(file)
        jaccard_distances(features[:200], K1, K2)
        before = peak()
        jaccard_distances(features, K1, K2)
        return peak() - before


def show(name: str, value: float, unit: str, limit: float) -> None:
    """Print a measurement beside its limit."""
    print(f"{name:46s}{value:8.2f} {unit:3s} limit {limit}: {'kept' if value <= limit else 'BROKEN'}", flush=True)


def main() -> None:
    """Print a few lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=numba.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    numba.set_num_threads(options.threads)
    small, features = problem(400, 40), problem()
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, mp_context=spawn) as pool:
        np.save(Path(folder) / "features.npy", features)
        gigabytes = pool.submit(memory, Path(folder) / "features.npy", options.threads).result()
    with threadpool_limits(options.threads):
        ways = searches(options.threads)
        for search in ways.values():
            search(small, K1 + 1)
        turns = []
        jaccard_distances(small, K1, K2)  # compiles, or loads what was compiled
        for _ in range(options.repeats):
            turn = {name: seconds(search, features, K1 + 1) for name, search in ways.items()}
            turn["distances"] = seconds(jaccard_distances, features, K1, K2)
            turns.append(turn)
        medians = {name: median(turn[name] for turn in turns) for name in turns[0]}
        fastest = min(ways, key=medians.__getitem__)
        matrix = jaccard_distances(features, K1, K2)
        print(
            f"{PICTURES} features, {WIDTH} wide, {options.threads} thread(s), {options.repeats} repeats: "
            f"{matrix.nnz / PICTURES:.0f} distances below 1 a row, {matrix.nnz * 8 / 1e6:.0f} MB"
        )
        for name, value in medians.items():
            print(f"{name:46s}{value:8.2f} s")
        ratio = median(turn["distances"] / turn[fastest] for turn in turns)
        show(f"distances over the search of {fastest}", ratio, "x", TIME_LIMIT)
        show("peak memory above the features", gigabytes, "GB", MEMORY_LIMIT)
        from reidlab.pseudolabel.clusterers import JaccardDBSCAN

        began = time.perf_counter()
        found = JaccardDBSCAN(k1=K1, k2=K2).fit(features)
        print(
            f"{'JaccardDBSCAN, distances included':46s}{time.perf_counter() - began:8.2f} s   eps {found.eps_:.3f}, "
            f"{found.labels_.max() + 1} clusters of {PEOPLE} identities, {(found.labels_ < 0).mean():.1%} outliers"
        )


if __name__ == "__main__":
    main()
