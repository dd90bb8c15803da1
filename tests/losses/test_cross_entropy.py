"""Cross-entropy against its definition, and what it refuses."""

import math

import pytest
import torch

from reidlab.errors import ConfigError
from reidlab.losses import CrossEntropy


def by_definition(logits, labels, smoothing):
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        norm = math.log(sum(math.exp(x) for x in row))
        for c, x in enumerate(row):
            target = (1 - smoothing) * (c == label) + smoothing / len(row)
            total -= target * (x - norm)
    return total / len(logits)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_equals_its_definition(smoothing):
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([0, 4, 2, 2, 1, 3], dtype=torch.int32)
    expected = by_definition(logits, labels, smoothing)
    assert CrossEntropy(smoothing)(logits, labels).item() == pytest.approx(expected)


def test_uniform_logits_cost_log_of_the_classes():
    assert CrossEntropy()(torch.zeros(3, 7), torch.tensor([0, 3, 6])).item() == pytest.approx(math.log(7))


@pytest.mark.parametrize("labels", [[0, 5], [-1, 2]])
def test_labels_outside_the_classes_are_named(labels):
    with pytest.raises(ConfigError, match=rf"found {min(labels)}\.\.{max(labels)}, but the logits have classes 0\.\.4"):
        CrossEntropy()(torch.zeros(2, 5), torch.tensor(labels))


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_outside_its_range_is_refused_at_construction(smoothing):
    with pytest.raises(ConfigError, match="label_smoothing"):
        CrossEntropy(smoothing)


def test_messages_call_the_rows_logits():
    with pytest.raises(ConfigError, match="logits: expected a float tensor"):
        CrossEntropy()(torch.zeros(2), torch.tensor([0, 1]))
