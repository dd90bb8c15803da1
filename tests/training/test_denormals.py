"""Denormal numbers are 0 while networks are at work, on all threads, and what they were before and after."""

import subprocess
import sys

import torch

from reidlab.training.denormals import flushed_denormals


def product() -> float:
    return (torch.tensor(1e-30) * torch.tensor(1e-12)).item()


def test_they_are_zero_inside_and_back_outside():
    torch.set_flush_denormal(False)
    assert product() > 0
    with flushed_denormals():
        assert product() == 0
        with flushed_denormals():
            assert product() == 0
        assert product() == 0
    assert product() > 0


def test_they_are_zero_on_every_thread_that_works_for_the_block():
    code = (
        "import torch\n"
        "from reidlab.training.denormals import flushed_denormals\n"
        "with flushed_denormals():\n"
        "    print(int(torch.count_nonzero(torch.full((2_000_000,), 1e-30) * 1e-12)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "0"
