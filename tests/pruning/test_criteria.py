import pytest
import torch
from torch import nn

from reidlab.errors import ConfigError, DataError
from reidlab.pruning.criteria import l1_norm, ranking, sparsity


def layer(*rows):
    made = nn.Conv2d(1, len(rows), (1, 4), bias=False)
    made.weight.data = torch.tensor(rows)[:, None, None].float()
    return made


def test_sparsity_by_hand():
    # Mean absolute weight (4 + 8 + 4) / 12 = 4 / 3: below it lie 4 of 4, 2 of 4 and 3 of 4 weights.
    weight = layer([1, -1, 1, 1], [1, -3, 3, 1], [0, 0, -4, 0]).weight
    assert sparsity(weight).tolist() == [1.0, 0.5, 0.75]
    assert l1_norm(weight).tolist() == [4.0, 8.0, 4.0]


def test_the_sparsest_goes_first_and_equal_ones_in_their_order():
    rows = [1, -1, 1, 1], [1, -3, 3, 1], [0, 0, -4, 0]
    assert ranking(layer(*rows)) == [0, 2, 1]
    assert ranking(layer(*rows), "l1") == [0, 2, 1]
    assert ranking(layer(rows[1], rows[0], rows[0]), "l1") == [1, 2, 0]


def test_sparsity_does_not_depend_on_the_scale_of_a_layer():
    torch.manual_seed(0)
    weight = torch.randn(8, 3, 3, 3)
    assert torch.equal(sparsity(weight), sparsity(1000 * weight))


def test_criteria_and_weights_that_are_none_are_refused():
    with pytest.raises(ConfigError, match="criterion: there is none called 'l2'"):
        ranking(layer([1, 1, 1, 1]), "l2")
    with pytest.raises(DataError, match="conv3: a weight is not finite"):
        ranking(layer([1, 1, 1, float("nan")]), name="conv3")
