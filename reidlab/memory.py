"""Memory that is freed stays with the process: a training step wants the same blocks again a moment later.

By default the C library of most Linux systems hands large freed blocks back to the kernel, which clears them page by
page when the next step asks for as much. ``tests/benchmarks/bench_memory.py`` measures what that costs.
"""

from __future__ import annotations

import ctypes
import os
import platform

#: Bytes beyond which freed memory at the end of the heap goes back; what lies before something in use stays anyway.
KEPT = 2**30
# What an older glibc takes at most as size of a block that is not asked of the kernel by itself, mallopt(3).
_LARGEST_BLOCK = 2**25
# Parameters of mallopt, and the variables that set them where a process starts.
_TRIM, _BLOCK = -1, -3
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


def keep_freed_memory() -> None:
    """Let this process, and those that it starts, keep what they free for their next use, see :data:`KEPT`.

    What the environment says about it already stands; where the C library is not glibc nothing happens.
    """
    said = any(name in os.environ for name in _VARIABLES) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if said or platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    for block in (KEPT, _LARGEST_BLOCK):
        if library.mallopt(_BLOCK, block):
            library.mallopt(_TRIM, KEPT)
            os.environ |= dict(zip(_VARIABLES, (str(KEPT), str(block)), strict=True))
            return
