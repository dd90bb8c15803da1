"""Values that are read late, and what a step whose loss is not finite leaves as it was."""

import pytest
import torch
from torch import nn

from reidlab.training import steps
from reidlab.training.steps import Guard, StepValues, read_steps

CPU = torch.device("cpu")


def test_values_are_read_once_and_those_of_many_steps_together(monkeypatch):
    reads = []
    cat = torch.cat
    monkeypatch.setattr(steps.torch, "cat", lambda tensors: reads.append(len(tensors)) or cat(tensors))
    numbers = [StepValues(("loss", "ce"), torch.tensor([n, 0.1 * n], dtype=torch.float64)) for n in range(3)]
    other = StepValues(("loss",), torch.tensor([7.0], dtype=torch.float64))
    assert numbers[1]["loss"] == 1.0
    read_steps([*numbers, {"loss": 5.0}, other])
    assert [dict(values) for values in numbers] == [{"loss": n, "ce": 0.1 * n} for n in range(3)]
    assert dict(other) == {"loss": 7.0}
    read_steps(numbers)
    assert reads == [1, 3]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_buffers_are_kept_from_before_the_first_loss_that_is_not_finite(loss):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)
    guard = Guard(model, optimizer, CPU)
    for number, value in enumerate([1.0, loss, 2.0]):
        guard.keep()
        if number == 1:
            wanted = [buffer.clone() for buffer in model.buffers()]
        model(torch.randn(5, 3, 2, 2) + number)
        guard.note(torch.tensor(value))
    assert not any(torch.equal(a, b) for a, b in zip(wanted, model.buffers(), strict=True))
    guard.put_back()
    assert all(torch.equal(a, b) for a, b in zip(wanted, model.buffers(), strict=True))


def test_a_network_without_buffers_is_guarded_too():
    guard = Guard(nn.Linear(2, 2), None, CPU)
    guard.keep()
    assert guard.put_back() is None
