"""The neck and the whole network: what is frozen, what each output is."""

import pytest
import torch
from torch import nn

from reidlab.errors import ConfigError
from reidlab.models import AveragePool, BNNeck, ReIDNet, resnet


@pytest.fixture
def model():
    torch.manual_seed(0)
    return ReIDNet(resnet(18, width=4, blocks=(1, 1, 1, 1)), num_classes=6)


def test_outputs_have_their_shapes(model):
    output = model(torch.randn(3, 3, 32, 16))
    assert [tuple(part.shape) for part in output] == [(3, 32), (3, 32), (3, 6)]


def test_features_are_the_mean_of_the_map_and_the_embedding_is_normalised_over_the_batch(model):
    images = torch.randn(8, 3, 32, 16)
    features, embedding, logits = model(images)
    torch.testing.assert_close(features, model.backbone(images).flatten(2).mean(2))
    by_hand = (features - features.mean(0)) / (features.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(embedding, by_hand, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(logits, embedding @ model.neck.classifier.weight.T)


def test_neck_bias_stays_zero_through_training(model):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    model(torch.randn(4, 3, 32, 16)).logits.square().sum().backward()
    optimizer.step()
    assert not model.neck.bn.bias.requires_grad
    assert torch.equal(model.neck.bn.bias, torch.zeros(32))
    assert model.neck.classifier.bias is None


def test_classifier_starts_as_n_0_0001():
    torch.manual_seed(0)
    weight = BNNeck(400, 250).classifier.weight
    assert weight.std().item() == pytest.approx(0.001, rel=0.02)
    assert weight.mean().item() == pytest.approx(0, abs=2e-5)


def test_evaluation_does_not_depend_on_the_other_pictures_of_the_batch(model):
    model.eval()
    images = torch.randn(4, 3, 32, 16)
    torch.testing.assert_close(model(images).embedding[:1], model(images[:1]).embedding, atol=1e-6, rtol=1e-5)


def test_pooling_is_a_part_that_can_be_exchanged():
    class Largest(nn.Module):
        def forward(self, x):
            return x.amax((2, 3))

    images = torch.randn(2, 3, 32, 16)
    model = ReIDNet(resnet(18, width=4, blocks=(1, 1, 1, 1)), 3, pool=Largest()).eval()
    torch.testing.assert_close(model(images).features, model.backbone(images).amax((2, 3)))


def test_average_pool_of_a_constant_is_the_constant():
    assert torch.equal(AveragePool()(torch.full((1, 2, 3, 4), 5.0)), torch.full((1, 2), 5.0))


def test_unfit_backbones_and_classes_are_refused():
    with pytest.raises(ConfigError, match="Linear has no integer attribute out_channels"):
        ReIDNet(nn.Linear(2, 2), 3)
    with pytest.raises(ConfigError, match="classifier of its own"):
        ReIDNet(resnet(18, width=4, blocks=(1, 1, 1, 1), num_classes=5), 3)
    with pytest.raises(ConfigError, match="num_classes: 0"):
        ReIDNet(resnet(18, width=4, blocks=(1, 1, 1, 1)), 0)
