"""Time and memory of affinity propagation against scikit-learn's, and of the whole search of SG-AP at Market's size.

Run: python tests/benchmarks/bench_affinity.py [--threads N] [--repeats N] [--market]

Both versions cluster the same 5,000 features, in turns in one sitting, and are kept from converging. An iteration is
what a long run takes longer than a short one, over the iterations between. Limits on two cores stand beside the
numbers that have one. With --market only the search is run, for one training set of Market-1501's size.
"""

import argparse
import multiprocessing
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

import numba
import numpy as np
from threadpoolctl import threadpool_limits

from reidlab.pseudolabel.affinity import AffinityPropagation
from reidlab.pseudolabel.semantics import SemanticsGuidedAP
from reidlab.seeding import rng

POINTS, WIDTH, PEOPLE, LONG, SHORT = 5000, 256, 300, 35, 5
MARKET, MARKET_WIDTH, MARKET_PEOPLE, LABELLED = 12936, 2048, 751, 125
TIME_LIMIT, MEMORY_LIMIT = 0.2, 0.5
MINUTES_LIMIT, GIGABYTES_LIMIT = 30, 6


def people(count, identities, width, spread=1.0):
    """Features around the identities' centres, and the identities."""
    random = rng(0, "benchmark", count)
    pids = np.sort(random.integers(0, identities, count))
    features = random.standard_normal((count, width), dtype=np.float32)
    features *= spread * np.exp(0.3 * random.standard_normal(identities)).astype(np.float32)[pids, None]
    features += random.standard_normal((identities, width), dtype=np.float32)[pids]
    return features, pids


def estimator(ours, iterations):
    """A clusterer that stops after so many iterations."""
    options = {"preference": -6.0 * WIDTH, "max_iter": iterations, "convergence_iter": LONG}
    if ours:
        return AffinityPropagation(**options)
    from sklearn.cluster import AffinityPropagation as Theirs

    return Theirs(**options, random_state=0)


def seconds(ours, iterations, features):
    """Time of one fit."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator(ours, iterations).fit(features)
    return time.perf_counter() - began


def peak():
    """Largest memory this process has held, in MiB, from the kernel's books (Linux)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def memory(ours):
    """MiB that a fit adds to the peak of a fresh process, which has made a small one before."""
    features, _ = people(POINTS, PEOPLE, WIDTH)
    seconds(ours, SHORT, features[:200])
    before = peak()
    seconds(ours, SHORT, features)
    return peak() - before


def measured_memory(ours):
    """The same, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(memory, ours).result()


def show(name, ours, theirs, unit, ratio, limit=None):
    verdict = "" if limit is None else f"  limit {limit:.2f}: {'kept' if ratio <= limit else 'BROKEN'}"
    print(f"{name:44s}{ours:9.1f}{theirs:9.1f} {unit:4s}{ratio:6.3f}{verdict}", flush=True)


def against_scikit_learn(repeats):
    features, _ = people(POINTS, PEOPLE, WIDTH)
    seconds(True, SHORT, features)  # compiles, or loads what was compiled
    turns = []
    for _ in range(repeats):
        fits = [[seconds(ours, iterations, features) for iterations in (SHORT, LONG)] for ours in (True, False)]
        turns.append([((long - short) / (LONG - SHORT), long) for short, long in fits])
    print(f"{'':44s}{'ours':>9s}{'sklearn':>9s} {'':4s}{'ratio':>6s}")
    for place, name, limit in ((0, "an iteration", TIME_LIMIT), (1, f"a fit of {LONG} iterations", None)):
        ours, theirs = (1e3 * median(turn[version][place] for turn in turns) for version in (0, 1))
        ratio = median(turn[0][place] / turn[1][place] for turn in turns)
        show(f"{name}, {POINTS} points: median time", ours, theirs, "ms", ratio, limit)
    ours, theirs = measured_memory(True), measured_memory(False)
    show(f"a fit, {POINTS} points: extra memory", ours, theirs, "MiB", ours / theirs, MEMORY_LIMIT)


def market():
    features, pids = people(MARKET, MARKET_PEOPLE, MARKET_WIDTH, spread=1.6)
    labelled = pids < LABELLED
    known, unknown, own = features[labelled], features[~labelled], pids[labelled]
    del features
    began = time.perf_counter()
    guided = SemanticsGuidedAP().fit(unknown, known, own)
    minutes = (time.perf_counter() - began) / 60
    gigabytes = peak() * 2**20 / 1e9
    print(guided.trace_.to_string(index=False))
    print(
        f"{len(unknown)} + {len(known)} features, {MARKET_WIDTH} wide: search {guided.search_.stopped} at "
        f"p = {guided.p_:.5g} with {guided.search_.count} of {LABELLED}; {len(guided.exemplars_)} clusters of "
        f"{MARKET_PEOPLE - LABELLED} identities after {guided.n_iter_} iterations"
    )
    for name, value, unit, limit in (
        ("whole search", minutes, "min", MINUTES_LIMIT), ("peak memory", gigabytes, "GB", GIGABYTES_LIMIT),
    ):  # fmt: skip
        print(f"{name:44s}{value:9.2f} {unit:4s} limit {limit}: {'kept' if value <= limit else 'BROKEN'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=numba.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--market", action="store_true")
    options = parser.parse_args()
    print(f"{options.threads} thread(s)" + ("" if options.market else f", {options.repeats} repeats"))
    numba.set_num_threads(options.threads)
    with threadpool_limits(options.threads):
        market() if options.market else against_scikit_learn(options.repeats)


if __name__ == "__main__":
    main()
