"""What a run ran on: package versions, machine, device, threads. Never a host name or a path."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from importlib import metadata

from reidlab.checks import plural

# The packages whose version can change a number or a picture.
PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "umap-learn",
    "opencv-python-headless",
    "pillow",
    "lightning-fabric",
    "pytorch-metric-learning",
    "faiss-cpu",
    "matplotlib",
    "seaborn",
)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that can change a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def machine() -> str:
    """Return the processor's name, the number of cores this process may use, and the memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parts = [_processor(), plural(cores, "core")]
    with suppress(AttributeError, ValueError, OSError):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        parts.append(f"{memory:.0f} GiB")
    return ", ".join([*parts, platform.system()])


def device() -> str:
    """Return the accelerator torch would use, else ``cpu``; torch is not imported for it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return f"cuda ({torch.cuda.get_device_name(0)})"
    if torch is not None and torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def threads() -> int:
    """Return the number of threads torch computes with, or would as far as the environment says."""
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    value = os.environ.get("OMP_NUM_THREADS", "")
    return int(value) if value.isdigit() else os.cpu_count() or 1


def _processor() -> str:
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as stream:
        for line in stream:
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()
