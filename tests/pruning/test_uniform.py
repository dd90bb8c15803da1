"""Uniform removal: widths by hand."""

import pytest

from reidlab.errors import ConfigError
from reidlab.models.narrow_resnet import cifar_stages
from reidlab.pruning.uniform import kept, uniform, uniform_cifar, uniform_vgg


@pytest.mark.parametrize(
    ("width", "reduction", "removed", "stay"),
    [(10, 0.3, 7, 7), (10, 0.25, 8, 7), (3, 0.5, 2, 1), (64, 0.0625, 60, 60), (5, 0, 5, 5), (5, 1, 1, 1)],
)
def test_how_many_filters_stay(width, reduction, removed, stay):
    """Fig. 5.1 (b): ten filters at 0.3 leave seven; 0.3 of ten is just below three in floating point."""
    assert (kept(width, reduction), kept(width, reduction, "kept")) == (removed, stay)


def test_a_chain_and_a_vgg():
    assert uniform((8, 4, 1), 0.5) == [4, 2, 1]
    assert uniform_vgg([(8, 8), (16,)], 0.25) == [[6, 6], [16]]
    assert uniform_vgg([(8, 8), (16,)], 0.25, last=True) == [[6, 6], [12]]


def test_the_texts_rule_and_every_convolution():
    stages = cifar_stages(14, 8)
    assert uniform_cifar(8, stages, 0.5) == (8, [[(4, 8)] * 2, [(8, 8), (8, 16)], [(16, 16), (16, 32)]])
    assert uniform_cifar(8, stages, 0.5, "every") == (4, [[(4, 4)] * 2, [(8, 8)] * 2, [(16, 16)] * 2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: kept(8, -0.1), "reduction: -0.1"),
        (lambda: kept(8, float("nan")), "reduction: nan"),
        (lambda: kept(8, 0.1, "up"), "rounding: there is none called 'up'"),
        (lambda: uniform_cifar(8, cifar_stages(8, 8), 0.5, "all"), "rule: there is none called 'all'"),
    ],
    ids=["negative", "nan", "rounding", "rule"],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
