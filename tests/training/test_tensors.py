"""Batches of tensors: every sample once an epoch, a place that can be found again, and the loop against a plain one."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from reidlab.errors import ConfigError
from reidlab.training.config import LoopConfig
from reidlab.training.hooks import Hook
from reidlab.training.loop import train
from reidlab.training.objectives import Supervised, Term
from reidlab.training.tensors import TensorSource

CPU = torch.device("cpu")
INPUTS = torch.randn(11, 5, generator=torch.Generator().manual_seed(0))
TARGETS = torch.arange(11) % 3
OBJECTIVE = Supervised(ce=Term(cross_entropy, lambda output: output))
CONFIG = LoopConfig(iterations=7, optimizer="sgd", lr=0.1, schedule="constant", accelerator="cpu", checkpoint_every=1)


def network():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Linear(5, 3)


def started(seed=3):
    source = TensorSource(INPUTS, TARGETS, 4)
    source.start(seed, 0)
    return source


def test_an_epoch_has_every_sample_at_most_once_and_another_order_than_the_next():
    source = started()
    assert len(source) == 2
    batches = [source.batch(CPU) for _ in range(4)]
    for batch in batches:
        assert torch.equal(batch.inputs[0], INPUTS[batch.rows])
        assert torch.equal(batch.labels, TARGETS[batch.rows])
    epochs = [torch.cat([a.rows, b.rows]).tolist() for a, b in (batches[:2], batches[2:])]
    assert all(len(set(rows)) == len(rows) == 8 for rows in epochs)
    assert epochs[0] != epochs[1]


def test_training_is_a_plain_loop_over_the_same_batches():
    model, plain, source = network(), network(), started()
    train(model, TensorSource(INPUTS, TARGETS, 4), OBJECTIVE, CONFIG, 3, progress=False)
    optimizer = torch.optim.SGD(plain.parameters(), 0.1, momentum=0.9, weight_decay=0.01)
    for _ in range(7):
        rows = source.batch(CPU).rows
        optimizer.zero_grad()
        cross_entropy(plain(INPUTS[rows]), TARGETS[rows]).backward()
        optimizer.step()
    assert torch.equal(model.weight, plain.weight)


def test_a_resumed_training_is_an_undisturbed_one(tmp_path):
    class Stop(Hook):
        def after_step(self, state):
            if state.iteration == 4:
                raise KeyboardInterrupt

    whole, halved, again = network(), network(), network()
    train(whole, TensorSource(INPUTS, TARGETS, 4), OBJECTIVE, CONFIG, 3, progress=False)
    with pytest.raises(KeyboardInterrupt):
        source = TensorSource(INPUTS, TARGETS, 4)
        train(halved, source, OBJECTIVE, CONFIG, 3, out_dir=tmp_path, progress=False, hooks=[Stop()])
    source = TensorSource(INPUTS, TARGETS, 4)
    train(again, source, OBJECTIVE, CONFIG, 3, out_dir=tmp_path, resume=True, progress=False, hooks=[Hook()])
    assert torch.equal(again.weight, whole.weight)
    assert not torch.equal(halved.weight, whole.weight)


def test_a_place_in_the_stream_is_found_again():
    source, other = started(), started(seed=4)
    source.batch(CPU)
    other.load_state_dict(source.state_dict())
    assert torch.equal(source.batch(CPU).rows, other.batch(CPU).rows)


def test_bad_input_is_refused():
    with pytest.raises(ConfigError, match="targets: 2 for 11 samples; give one for each"):
        TensorSource(INPUTS, TARGETS[:2], 4)
    with pytest.raises(ConfigError, match="batch: 0"):
        TensorSource(INPUTS, TARGETS, 0)
    assert len(TensorSource(INPUTS, TARGETS, 100)) == 1
