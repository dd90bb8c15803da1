"""Candidates judged from stored activations against passes through the whole network."""

import pytest
import torch

from reidlab.errors import ConfigError, DataError
from reidlab.pruning.couplings import follow
from reidlab.pruning.evaluation import BatchEvaluation
from reidlab.pruning.nested import tensors_in
from reidlab.pruning.removal import removed
from tests.pruning.networks import network


def total(outputs):
    return sum(float((o[2] if isinstance(o, tuple) else o).double().square().sum()) for o in outputs)


@pytest.mark.parametrize("name", ["vdsr", "vgg", "cifar", "se-resnet50", "nvan", "ap3d"])
def test_stored_activations_change_nothing(name):
    model, batch = network(name)
    evaluate = BatchEvaluation([batch, batch[:1] + 1], total)
    couplings = follow(model, batch)
    free = [group for group in couplings.groups if not group.fixed]
    short = None
    for group in (free[0], free[len(free) // 2], free[-1]):
        short = evaluate.after(model, group.layer, short)
        for count in (1, group.width // 2):
            candidate = removed(model, couplings, {group.layer: range(count)})
            assert short(candidate) == evaluate(candidate)
            assert short(candidate) == evaluate(candidate)  # what is stored was not written into
    assert all("forward" not in vars(module) for module in model.modules())


@pytest.mark.parametrize("wrap", [lambda x: {"a": x}, lambda x: [{"b": [x, x]}]])
def test_outputs_may_be_nested(wrap):
    class Wraps(torch.nn.Sequential):
        def forward(self, x):
            return wrap(super().forward(x))

    model = Wraps(torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(4, 2, 1))
    evaluate = BatchEvaluation([torch.ones(2, 3, 4, 4)], lambda outs: float(next(tensors_in(outs)).sum()))
    assert evaluate.after(model, "1")(model) == evaluate(model)


def test_a_forward_that_an_instance_has_stays_its_own():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(4, 2, 1))
    own = model[0].forward = lambda x: torch.nn.Conv2d.forward(model[0], x) + 1
    evaluate = BatchEvaluation([torch.ones(2, 3, 4, 4)], total)
    assert evaluate.after(model, "1")(model) == evaluate(model)
    assert model[0].forward is own


def test_the_part_before_a_layer_runs_once():
    model, batch = network("vgg")
    evaluate = BatchEvaluation([batch], total)
    last = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Conv2d)][-1]
    short = evaluate.after(model, last)
    calls = []
    for module in model.features[:3]:
        module.register_forward_hook(lambda *_: calls.append(1))
    short(model)
    assert len(calls) == 3  # of their stand-ins
    assert all(value.shape[0] == 2 for value in short.stored[0].values())
    assert list(short.stored[0]) == [short.order[-1]]


def test_bad_input_is_refused():
    with pytest.raises(DataError, match="there are none to evaluate on"):
        BatchEvaluation([], total)
    model, batch = network("vdsr")
    with pytest.raises(ConfigError, match=r"layer: there is none called 'body.9'"):
        BatchEvaluation([batch], total).after(model, "body.9")
