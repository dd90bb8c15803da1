"""Flags of torch inside a run and after it."""

import pytest
import torch

from reidlab.training.determinism import tf32


def flags():
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(("allowed", "inside"), [(True, ("high", True)), (False, ("highest", False))])
def test_tf32_is_set_inside_and_put_back(allowed, inside):
    before = flags()
    with tf32(allowed):
        assert flags() == inside
    assert flags() == before
    with tf32(None):
        assert flags() == before
