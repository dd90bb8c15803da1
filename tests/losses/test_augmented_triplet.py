"""The augmented triplet loss against enumeration, and against the plain one where everybody has a label."""

import itertools
import math

import pytest
import torch

from reidlab.losses import AugmentedTriplet, augmented_triplet, soft_margin_batch_hard


def by_hand(features, labels):
    """Every anchor's worst triplet, found by trying them all."""
    worst = []
    for a in range(len(labels)):
        pulls = [i for i in range(len(labels)) if i != a and labels[i] == labels[a]]
        pushes = [i for i in range(len(labels)) if labels[i] != labels[a] and not (labels[i] < 0 and labels[a] < 0)]
        gaps = [
            math.dist(features[a], features[p]) - math.dist(features[a], features[n])
            for p, n in itertools.product(pulls, pushes)
        ]
        if gaps:
            worst.append(math.log1p(math.exp(max(gaps))))
    return sum(worst) / len(worst) if worst else 0.0


@pytest.mark.parametrize("seed", range(6))
def test_equals_enumeration(seed):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(12, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(-3, 3, (12,), generator=generator)
    wanted = by_hand(features.tolist(), labels.tolist())
    assert augmented_triplet(features, labels).item() == pytest.approx(wanted, abs=1e-9)


def test_with_labels_only_it_is_the_plain_loss():
    features = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(10) % 3
    torch.testing.assert_close(AugmentedTriplet()(features, labels), soft_margin_batch_hard(features, labels))


def test_two_unlabelled_pictures_never_push_each_other():
    features = torch.tensor([[0.0], [0.1], [0.2], [9.0]], requires_grad=True)
    loss = augmented_triplet(features, torch.tensor([-1, -1, -2, 5]))
    loss.backward()
    assert features.grad[2].item() == 0.0
    assert features.grad[0].item() != 0.0


def test_without_labels_there_is_no_negative():
    features = torch.randn(4, 2, requires_grad=True)
    loss = augmented_triplet(features, torch.tensor([-1, -1, -2, -2]))
    loss.backward()
    assert loss.item() == 0.0
    assert not features.grad.any()
