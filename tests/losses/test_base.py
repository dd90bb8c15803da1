"""Losses on a device whose values cannot be read without waiting: the same numbers, and no value read."""

import sys

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from reidlab.losses import CrossEntropy, augmented_triplet, soft_cross_entropy, soft_margin_batch_hard, weighted_triplet


def pairs(rows, labels):
    same = labels[:, None] == labels[None, :]
    return weighted_triplet(rows, same, ~same)


def soft(rows, labels):
    return soft_cross_entropy(rows, torch.nn.functional.one_hot(labels % 5, 5).to(rows.dtype))


LOSSES = [CrossEntropy(), CrossEntropy(0.1), soft_margin_batch_hard, augmented_triplet, pairs, soft]
LABELS = [[0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 2, 3], [4, 4, 4, 4, 4, 4], [0, 1, 2, 3, 4, 4]]


@pytest.fixture
def waiting(monkeypatch):
    """Makes losses compute as they do where reading a value waits for the device."""

    def switch(on):
        for name in ("cross_entropy", "soft_cross_entropy", "triplet", "weighted_triplet"):
            monkeypatch.setattr(sys.modules[f"reidlab.losses.{name}"], "reading_waits", lambda tensor: on)

    return switch


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("labels", LABELS)
def test_losses_and_gradients_do_not_depend_on_how_they_are_read(waiting, loss, labels):
    found = []
    for late in (False, True):
        waiting(late)
        rows = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
        value = loss(rows, torch.tensor(labels))
        value.backward()
        found.append((value.detach(), rows.grad))
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("loss", LOSSES)
def test_no_value_is_read_where_that_waits(waiting, loss):
    """Fake tensors have shapes and no values: to read one, or to pick by one, is an error."""
    waiting(True)
    with FakeTensorMode():
        rows, labels = torch.randn(6, 5, requires_grad=True), torch.randint(0, 5, (6,))
        loss(rows, labels).backward()
        assert rows.grad.shape == (6, 5)
        waiting(False)
        with pytest.raises(DataDependentOutputException):
            loss(rows, labels)


def test_what_is_refused_elsewhere_becomes_nan(waiting):
    waiting(True)
    rows, yes = torch.randn(2, 5), torch.ones(2, 2, dtype=torch.bool)
    assert CrossEntropy()(rows, torch.tensor([0, 5])).isnan()
    assert CrossEntropy()(rows, torch.tensor([-1, 4])).isnan()
    assert soft_cross_entropy(rows, torch.full((2, 5), 0.3)).isnan()
    assert weighted_triplet(rows, yes, yes).isnan()
