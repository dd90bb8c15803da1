"""Batch-hard triplets against enumeration by hand, brute force and another library."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlab.errors import ConfigError
from reidlab.losses import SoftMarginBatchHard, euclidean_distances, hardest_pairs, soft_margin_batch_hard


def brute_force(features, labels):
    """Mean over anchors of log(1 + exp(hardest positive - hardest negative)), triplet by triplet in plain Python."""
    rows, losses = features.tolist(), []
    for a in range(len(rows)):
        positives = [math.dist(rows[a], rows[i]) for i in range(len(rows)) if i != a and labels[i] == labels[a]]
        negatives = [math.dist(rows[a], rows[i]) for i in range(len(rows)) if labels[i] != labels[a]]
        if positives and negatives:
            losses.append(max(math.log1p(math.exp(p - n)) for p, n in itertools.product(positives, negatives)))
    return sum(losses) / len(losses) if losses else 0.0


def batch(n=12, d=5, identities=4, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, d, generator=generator, dtype=dtype)
    return features, torch.randint(identities, (n,), generator=generator)


def test_triplets_enumerated_by_hand():
    # On a line: 0 and 3 are identity 7, 4 and 10 identity 9.
    features = torch.tensor([[0.0], [3.0], [4.0], [10.0]])
    labels = torch.tensor([7, 7, 9, 9])
    positive, negative, valid = hardest_pairs(euclidean_distances(features), labels)
    torch.testing.assert_close(positive, torch.tensor([3.0, 3.0, 6.0, 6.0]))
    torch.testing.assert_close(negative, torch.tensor([4.0, 1.0, 1.0, 7.0]))
    assert valid.all()
    by_hand = sum(math.log(1 + math.exp(x)) for x in (3 - 4, 3 - 1, 6 - 1, 6 - 7)) / 4
    assert soft_margin_batch_hard(features, labels).item() == pytest.approx(by_hand)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 12), d=st.integers(1, 6), identities=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_equals_brute_force_whatever_the_batch(n, d, identities, seed):
    features, labels = batch(n, d, identities, seed)
    assert soft_margin_batch_hard(features, labels).item() == pytest.approx(brute_force(features, labels), abs=1e-9)


def test_equals_pytorch_metric_learning_where_every_anchor_has_a_triplet():
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.miners import BatchHardMiner
    from pytorch_metric_learning.reducers import MeanReducer

    features, _ = batch(16, 8)
    labels = torch.arange(4).repeat_interleave(4)
    distance = LpDistance(normalize_embeddings=False)
    theirs = losses.TripletMarginLoss(margin=0, smooth_loss=True, distance=distance, reducer=MeanReducer())
    expected = theirs(features, labels, BatchHardMiner(distance=distance)(features, labels))
    torch.testing.assert_close(SoftMarginBatchHard()(features, labels), expected)


def test_gradients_agree_with_finite_differences():
    features, _ = batch(8, 3)
    labels = torch.arange(4).repeat_interleave(2)
    assert torch.autograd.gradcheck(lambda x: soft_margin_batch_hard(x, labels), features.requires_grad_())


def test_equal_rows_have_finite_gradients():
    features = torch.ones(4, 3, requires_grad=True)
    loss = soft_margin_batch_hard(features, torch.tensor([0, 0, 1, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2))
    assert torch.equal(features.grad, torch.zeros(4, 3))


def test_anchors_without_a_positive_are_left_out_of_the_mean():
    features = torch.tensor([[0.0], [1.0], [5.0]])
    loss = soft_margin_batch_hard(features, torch.tensor([0, 0, 1]))
    assert loss.item() == pytest.approx((math.log1p(math.exp(1 - 5)) + math.log1p(math.exp(1 - 4))) / 2)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]], ids=["one identity", "one picture each"])
def test_a_batch_without_triplets_has_loss_and_gradient_zero(labels):
    features = torch.randn(3, 2, requires_grad=True)
    loss = soft_margin_batch_hard(features, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(features.grad, torch.zeros(3, 2))


def test_far_outliers_do_not_overflow():
    loss = soft_margin_batch_hard(torch.tensor([[0.0], [1e6], [1.0], [2.0]]), torch.tensor([0, 0, 1, 1]))
    assert torch.isfinite(loss)
    assert loss > 1e5


def test_half_precision_features_give_a_float32_loss():
    features, labels = batch(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = soft_margin_batch_hard(features.bfloat16(), labels)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(brute_force(features.bfloat16().double(), labels), rel=1e-5)


def test_distances_survive_a_large_common_offset():
    near = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    exact = torch.cdist(near.double(), near.double()).float()
    far = euclidean_distances(near + 1000.0)
    torch.testing.assert_close(far + torch.eye(6), exact + torch.eye(6), atol=2e-3, rtol=1e-3)


def test_distances_between_two_sets_agree_with_torch():
    a, b = torch.randn(5, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(euclidean_distances(a, b), torch.cdist(a, b))


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (
            torch.zeros(4, 2, 2),
            torch.zeros(4, dtype=torch.long),
            r"features: expected a float tensor of shape \(B, D\)",
        ),
        (torch.zeros(4, 2, dtype=torch.long), torch.zeros(4, dtype=torch.long), "features: expected a float tensor"),
        (torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), "the batch is empty"),
        (torch.zeros(4, 2), torch.zeros(4), "labels: expected an integer tensor"),
        (torch.zeros(4, 2), torch.zeros(3, dtype=torch.long), "labels: 3 labels for 4 rows"),
    ],
)
def test_unfit_batches_are_refused(features, labels, message):
    for loss in (soft_margin_batch_hard, SoftMarginBatchHard()):
        with pytest.raises(ConfigError, match=message):
            loss(features, labels)
