"""Time and memory of non-local attention against its twin with a plain softmax.

Run: python tests/benchmarks/bench_attention.py [--threads N] [--repeats N]

The attention of NVAN's first blocks (THW = 4,096 places, 256 channels) alone, then the whole network on one clip of 8
frames. Both versions are taken in turns in one sitting; a limit stands beside each number that has one.
"""

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

import torch

from reidlab.models.attention import DotProductAttention
from reidlab.models.video import video_network
from reidlab.seeding import seed_all

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, it stands outside the tests' package

from tests.models.attention_oracles import PlainSoftmaxAttention, with_plain_softmax

PLACES, INNER, FRAMES, SIZE = 4096, 256, 8, (256, 128)
TIME_LIMIT, MEMORY_LIMIT, GROWTH_LIMIT = 0.8, 0.1, 2.5


def attention(plain, places):
    """One call of an attention."""
    seed_all(0)
    module = PlainSoftmaxAttention() if plain else DotProductAttention()
    rows = [torch.randn(1, 1, places, INNER) for _ in range(3)]
    return lambda: module(*rows)


def network(plain, frames):
    """One forward pass of NVAN."""
    seed_all(0)
    model = video_network("nvan", 625).eval()
    clip = torch.randn(1, frames, 3, *SIZE)
    model = with_plain_softmax(model) if plain else model
    return lambda: model(clip)


def peak():
    """Largest memory this process has held, in MiB, from the kernel's books (Linux)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


@torch.no_grad()
def memory(build, plain, size, small, threads):
    """MiB that a call adds to the peak of a fresh process, which has made a small call before."""
    torch.set_num_threads(threads)
    build(plain, small)()
    call = build(plain, size)
    before = peak()
    call()
    return peak() - before


def measured_memory(*arguments):
    """The same, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(memory, *arguments).result()


@torch.no_grad()
def seconds(calls, repeats):
    """Times of the calls, (repeats, calls), taken in turns so that a busy machine slows all alike."""
    for call in calls:
        call()
    turns = []
    for _ in range(repeats):
        turn = []
        for call in calls:
            began = time.perf_counter()
            call()
            turn.append(time.perf_counter() - began)
        turns.append(turn)
    return turns


def show(name, fused, plain, unit, ratio, limit=None):
    verdict = "" if limit is None else f"  limit {limit:.2f}: {'kept' if ratio <= limit else 'BROKEN'}"
    print(f"{name:44s}{fused:9.1f}{plain:9.1f} {unit:4s}{ratio:6.2f}{verdict}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} thread(s), {options.repeats} repeats")
    print(f"{'':44s}{'fused':>9s}{'plain':>9s} {'':4s}{'ratio':>6s}")

    for name, build, size, repeats, limit in (
        (f"attention, {PLACES} places: median time", attention, PLACES, options.repeats, TIME_LIMIT),
        (f"NVAN, {FRAMES} frames: median time", network, FRAMES, max(options.repeats // 3, 3), None),
    ):
        turns = seconds([build(plain, size) for plain in (False, True)], repeats)
        fused, plain = (1e3 * median(turn[version] for turn in turns) for version in (0, 1))
        show(name, fused, plain, "ms", median(turn[0] / turn[1] for turn in turns), limit)

    extra = {
        plain: [measured_memory(attention, plain, size, PLACES // 8, options.threads) for size in (PLACES // 2, PLACES)]
        for plain in (False, True)
    }
    fused, plain = extra[False][1], extra[True][1]
    show(f"attention, {PLACES} places: extra memory", fused, plain, "MiB", fused / plain, MEMORY_LIMIT)
    fused, plain = (measured_memory(network, plain, FRAMES, 2, options.threads) for plain in (False, True))
    show(f"NVAN, {FRAMES} frames: extra memory", fused, plain, "MiB", fused / plain)
    for name, (half, whole) in (("fused", extra[False]), ("plain", extra[True])):
        limit = f"  limit {GROWTH_LIMIT:.2f}: {'kept' if whole <= GROWTH_LIMIT * half else 'BROKEN'}"
        print(
            f"{name}: extra memory from {PLACES // 2} to {PLACES} places {half:.1f} -> {whole:.1f} MiB, "
            f"x {whole / half:.2f}{limit if name == 'fused' else ''}"
        )


if __name__ == "__main__":
    main()
