"""Training steps in a process that keeps what it frees, beside one that hands it back to the kernel.

Run: python tests/benchmarks/bench_memory.py [--steps N] [--turns N]

Prints processor time a step, the kernel's share of it, peak memory, and the ratio; the two take turns.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from statistics import median

KINDS = ("handed back", "kept")


def steps(keep: bool, count: int) -> dict[str, float]:
    """Train the book's network for some steps in this process."""
    import numpy as np

    from reidlab.data import TrainTransform
    from reidlab.memory import keep_freed_memory
    from reidlab.models import ReIDNet, resnet
    from reidlab.seeding import rng, seed_all
    from reidlab.training import Hook, PictureSource, TrainConfig, reid_objective, train

    if keep:
        keep_freed_memory()
    labels = np.arange(60).repeat(16)
    images = rng(0, "bench").integers(0, 256, (len(labels), 64, 32, 3), dtype=np.uint8)
    config = TrainConfig(iterations=count, size=(64, 32), pad=4, erase=0.5, accelerator="cpu")
    source = PictureSource(images, labels, config.p, config.k, TrainTransform(config.flip, config.pad, config.erase))
    seed_all(0)
    model = ReIDNet(resnet(18, width=16, blocks=(1, 1, 1, 1)), 60)
    times = []

    class Clock(Hook):
        def after_step(self, state):
            times.append(os.times())

    train(model, source, reid_objective(config), config, seed=0, hooks=[Clock()], progress=False)
    first, last = times[4], times[-1]
    kernel, user = last.system - first.system, last.user - first.user
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    weights = sum(float(value.double().abs().sum()) for value in model.state_dict().values())
    return {
        "step": 1e3 * (kernel + user) / (count - 5),
        "kernel": kernel / (kernel + user),
        "peak": peak,
        "sum": weights,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(steps(options.only == "kept", options.steps)))
        return

    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}

    def one(kind: str) -> dict[str, float]:
        words = [sys.executable, __file__, "--steps", str(options.steps), "--only", kind]
        return json.loads(subprocess.run(words, env=surroundings, stdout=subprocess.PIPE, text=True, check=True).stdout)

    turns = [{kind: one(kind) for kind in KINDS} for _ in range(options.turns)]
    for kind in KINDS:
        step, kernel, peak = (median(turn[kind][name] for turn in turns) for name in ("step", "kernel", "peak"))
        print(f"freed memory {kind:12s}{step:8.1f} ms a step, {kernel:.0%} of it the kernel's, peak {peak:.0f} MB")
    print(
        f"ratio handed back / kept: {median(turn['handed back']['step'] / turn['kept']['step'] for turn in turns):.2f}"
    )
    print(f"weights are the same, bit for bit: {len({turn[kind]['sum'] for turn in turns for kind in KINDS}) == 1}")


if __name__ == "__main__":
    main()
