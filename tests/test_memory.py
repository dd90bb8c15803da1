"""Freed memory is counted by the kernel: the faults on which it clears a page that a process touches anew."""

import json
import os
import platform
import subprocess
import sys

import pytest

# Blocks of 48 MB, as a training step takes and frees them; the first ones are new whatever is kept.
STEPS = """
import json, os, resource, sys
import numpy as np
if "keep" in sys.argv:
    from reidlab.memory import keep_freed_memory
    keep_freed_memory()

def step():
    first = np.ones(6_000_000)
    return np.add(first, first).sum()

step(), step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
said = {name: value for name, value in os.environ.items() if name.startswith("MALLOC_")}
print(json.dumps([faults * os.sysconf("SC_PAGE_SIZE") / 2**20, said]))
"""


def measured(*arguments, **variables):
    """Run the steps in a process of their own; return the megabytes cleared anew, and what its children are told."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", STEPS, *arguments],
        env=surroundings | variables, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_what_a_step_frees_the_next_one_has_without_the_kernel():
    cleared, told = measured("keep")
    if platform.libc_ver()[0] == "glibc":
        assert cleared < 20 < measured()[0]
        assert measured(**told)[0] < 20  # a process that it starts
    else:
        assert told == {}


@pytest.mark.parametrize(
    "chosen",
    [
        {"MALLOC_MMAP_THRESHOLD_": "65536"},
        {"MALLOC_TRIM_THRESHOLD_": "0"},
        {"GLIBC_TUNABLES": "glibc.malloc.arena_max=1"},
    ],
)
def test_what_a_user_has_set_stands(chosen):
    told = measured("keep", **chosen)[1]
    assert told == {name: value for name, value in chosen.items() if name.startswith("MALLOC_")}
