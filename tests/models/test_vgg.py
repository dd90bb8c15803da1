"""VGG: published sizes, widths one by one, pictures of other sizes, and bad arguments."""

import pytest
import torch

from reidlab.errors import ConfigError
from reidlab.models.vgg import VGG, vgg_widths


def test_imagenets_vgg_16_has_its_published_parameters():
    with torch.device("meta"):
        model = VGG(vgg_widths(16), hidden=(4096, 4096), num_classes=1000, norm=False, size=224)
    assert sum(p.numel() for p in model.parameters()) == 138357544  # as torchvision states for its weights


@pytest.mark.parametrize(("kind", "convolutions"), [(16, 13), (19, 16), ("shallow", 5)])
def test_a_vgg_has_the_convolutions_of_its_name(kind, convolutions):
    with torch.device("meta"):
        model = VGG(vgg_widths(kind))
    assert sum(isinstance(module, torch.nn.Conv2d) for module in model.modules()) == convolutions
    assert [width for part in vgg_widths(kind) for width in part][-1] == 512


def test_each_convolution_has_its_width_and_logits_have_their_shape():
    model = VGG([(2, 3), (4,), (5,), (6,), (7,)], hidden=(9,), num_classes=4, size=64)
    assert [p.shape[0] for p in model.features.parameters() if p.ndim == 4] == [2, 3, 4, 5, 6, 7]
    assert model.classifier[0].in_features == 7 * 2 * 2
    assert model(torch.rand(2, 3, 64, 64)).shape == (2, 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: vgg_widths(17), "kind: there is none called 17"),
        (lambda: VGG([(2,), (0,)]), "widths: 0"),
        (lambda: VGG(vgg_widths(16, 2), size=16), "size: 16"),
        (lambda: VGG([(2,)], num_classes=0), "num_classes: 0"),
    ],
    ids=["kind", "width", "size", "classes"],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
