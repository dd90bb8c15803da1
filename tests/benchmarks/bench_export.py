"""How long a world takes from its spec to the files, on one process and on all.

Run as a script: ``python tests/benchmarks/bench_export.py``. Prints seconds (medians over repeats), pictures per second
and the gain from more processes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from reidlab.world import LAYOUTS, Scene, scenario


def seconds(layout: str, name: str, workers: int, repeats: int) -> tuple[float, int]:
    """Return the median time of scene and export together, and the number of pictures written."""
    times, pictures = [], 0
    for seed in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            out = LAYOUTS[layout](Scene(scenario(name, seed=seed)), Path(folder) / "out", workers=workers, quiet=True)
            times.append(time.perf_counter() - start)
            pictures = sum(1 for _ in out.rglob("*.jpg"))
    return statistics.median(times), pictures


def main() -> None:
    """Time the layouts of the scenarios they are used with."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    for layout, name in (("market1501", "standard"), ("mars", "video"), ("mot", "plaza_mot")):
        alone, pictures = seconds(layout, name, 1, args.repeats)
        line = f"{name} as {layout}: {pictures} pictures, 1 process {alone:.1f} s ({pictures / alone:.0f}/s)"
        if args.workers > 1:
            shared, _ = seconds(layout, name, args.workers, args.repeats)
            line += f", {args.workers} processes {shared:.1f} s ({pictures / shared:.0f}/s, {alone / shared:.2f} times)"
        print(line)


if __name__ == "__main__":
    main()
