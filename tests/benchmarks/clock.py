"""The clock of the benchmarks."""

import time


def seconds(work, *arguments) -> float:
    """Return the wall time of one call."""
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start
