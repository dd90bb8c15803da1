"""VDSR: its published size, its residual, and bad arguments."""

import pytest
import torch

from reidlab.errors import ConfigError
from reidlab.models.vdsr import VDSR, vdsr


def test_the_published_network_has_its_published_parameters():
    with torch.device("meta"):
        weights = [p.numel() for p in vdsr().parameters() if p.ndim == 4]
    assert (len(weights), sum(weights)) == (20, 664704)  # the dissertation prints 6.7e5


def test_without_its_last_filter_it_is_the_identity():
    model = vdsr(3, 4, channels=3)
    torch.nn.init.zeros_(model.body[-1].weight)
    pictures = torch.rand(2, 3, 9, 7)
    assert torch.equal(model(pictures), pictures)


def test_each_convolution_has_its_width():
    assert [p.shape[0] for p in VDSR((3, 5, 2)).parameters() if p.ndim == 4] == [3, 5, 2, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [(lambda: VDSR((4, 0)), "widths: 0"), (lambda: vdsr(1), "depth: 1"), (lambda: vdsr(channels=0), "channels: 0")],
    ids=["width", "depth", "channels"],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
