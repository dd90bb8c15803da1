"""The weighted triplet loss against its formula written out pair by pair."""

import math

import numpy as np
import pytest
import torch

from reidlab.errors import ConfigError
from reidlab.losses import SoftMarginBatchHard, WeightedTriplet, weighted_triplet


def by_hand(features, positives, negatives):
    """Eq. 4.2, one anchor and one pair at a time."""
    losses = []
    for i, anchor in enumerate(features):
        d = [math.dist(anchor, other) for other in features]
        pulls = [j for j in range(len(features)) if positives[i][j] and j != i]
        pushes = [j for j in range(len(features)) if negatives[i][j]]
        if not pulls or not pushes:
            continue
        total_p = sum(math.exp(d[j]) for j in pulls)
        total_n = sum(math.exp(-d[j]) for j in pushes)
        far = sum(math.exp(d[j]) / total_p * d[j] for j in pulls)
        near = sum(math.exp(-d[j]) / total_n * d[j] for j in pushes)
        losses.append(math.log1p(math.exp(far - near)))
    return sum(losses) / len(losses) if losses else 0.0


@pytest.mark.parametrize("seed", range(5))
def test_equals_its_formula(seed):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(9, 4))
    labels = rng.integers(0, 3, 9)
    same = labels[:, None] == labels[None]
    wanted = by_hand(features.tolist(), same.tolist(), (~same).tolist())
    assert float(WeightedTriplet()(torch.tensor(features), torch.tensor(labels))) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_masks_need_be_neither_symmetric_nor_complete(seed):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(8, 3))
    kind = rng.integers(0, 3, (8, 8))
    positives, negatives = kind == 0, kind == 1
    wanted = by_hand(features.tolist(), positives.tolist(), negatives.tolist())
    got = weighted_triplet(torch.tensor(features), torch.tensor(positives), torch.tensor(negatives))
    assert float(got) == pytest.approx(wanted, abs=1e-6)


def test_far_apart_it_is_the_batch_hard_loss():
    """With distances in the hundreds the softmax picks the hardest pair alone."""
    features = torch.randn(12, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 300
    labels = torch.arange(12) % 3
    assert float(WeightedTriplet()(features, labels)) == pytest.approx(float(SoftMarginBatchHard()(features, labels)))


def test_gradients():
    features = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    assert torch.autograd.gradcheck(lambda rows: WeightedTriplet()(rows, labels), features)


def test_without_a_triplet_it_is_zero():
    features = torch.randn(3, 2, requires_grad=True)
    nobody = torch.zeros(3, 3, dtype=torch.bool)
    loss = weighted_triplet(features, torch.eye(3, dtype=torch.bool), ~nobody & ~torch.eye(3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0
    assert not features.grad.any()


def test_what_it_refuses():
    features, yes = torch.randn(3, 2), torch.ones(3, 3, dtype=torch.bool)
    with pytest.raises(ConfigError, match="a pair is both"):
        weighted_triplet(features, yes, yes)
    with pytest.raises(ConfigError, match=r"negatives: expected a bool tensor of shape \(3, 3\)"):
        weighted_triplet(features, yes, torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(ConfigError, match="positives"):
        weighted_triplet(features, yes.float(), yes)
