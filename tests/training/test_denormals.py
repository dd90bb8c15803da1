"""Training treats denormal numbers as 0, on all threads."""

import subprocess
import sys


def test_denormals_are_zero_once_the_room_is_entered():
    code = (
        "import torch, reidlab.training\n"
        "small = torch.full((200_000,), 1e-30)\n"
        "print(int(torch.count_nonzero(small * 1e-12)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "0"
