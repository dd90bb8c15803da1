"""Cross-entropy with soft targets against torch's own."""

import pytest
import torch
from torch.nn import functional as F

from reidlab.errors import ConfigError
from reidlab.losses import SoftCrossEntropy, soft_cross_entropy


def test_soft_targets_equal_torch():
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(7, 5, generator=generator)
    targets = torch.rand(7, 5, generator=generator).softmax(1)
    assert float(soft_cross_entropy(logits, targets)) == pytest.approx(float(F.cross_entropy(logits, targets)))
    assert torch.equal(SoftCrossEntropy()(logits, targets), soft_cross_entropy(logits, targets))
    hard = torch.arange(7) % 5
    one_hot = F.one_hot(hard, 5).float()
    assert float(soft_cross_entropy(logits, one_hot)) == pytest.approx(float(F.cross_entropy(logits, hard)))


def test_soft_targets_must_be_distributions():
    logits = torch.zeros(2, 3)
    with pytest.raises(ConfigError, match="row 1 is no distribution"):
        soft_cross_entropy(logits, torch.tensor([[1.0, 0, 0], [0.5, 0, 0]]))
    with pytest.raises(ConfigError, match="row 0 is no distribution"):
        soft_cross_entropy(logits, torch.tensor([[1.5, -0.5, 0], [1.0, 0, 0]]))
    with pytest.raises(ConfigError, match="expected the shape"):
        soft_cross_entropy(logits, torch.ones(2, 2))
