"""Conventions of counting, against sums written out by hand."""

import pytest
import torch
from torch import nn

from reidlab.errors import ConfigError
from reidlab.models.conventions import CONVENTIONS, Convention, Counted, counted


class Tiny(nn.Module):
    """One 3x3 convolution at stride 2 with a bias and a normalisation, a 1x1 shortcut, and a classifier."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.downsample = nn.Sequential(nn.Conv2d(2, 4, 1, stride=2, bias=False))
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        return self.fc((self.bn(self.conv(x)) + self.downsample(x)).mean(dim=(2, 3)))


WEIGHTS, SHORTCUT, PIXELS = 4 * 2 * 9, 4 * 2, 3 * 2


@pytest.mark.parametrize(
    ("fields", "params", "operations"),
    [
        ({}, WEIGHTS + SHORTCUT, (WEIGHTS + SHORTCUT) * PIXELS),
        ({"biases": True}, WEIGHTS + SHORTCUT + 4, (WEIGHTS + SHORTCUT + 4) * PIXELS),
        ({"norm": 2}, WEIGHTS + SHORTCUT + 8, (WEIGHTS + SHORTCUT) * PIXELS),
        ({"linear": True}, WEIGHTS + SHORTCUT + 20, (WEIGHTS + SHORTCUT) * PIXELS + 20),
        ({"linear": True, "biases": True}, WEIGHTS + SHORTCUT + 4 + 25, (WEIGHTS + SHORTCUT + 4) * PIXELS + 25),
        ({"shortcuts": False}, WEIGHTS, WEIGHTS * PIXELS),
        ({"input_maps": True, "shortcuts": False}, WEIGHTS, WEIGHTS * PIXELS * 4),
        ({"per_mac": 2}, WEIGHTS + SHORTCUT, (WEIGHTS + SHORTCUT) * PIXELS * 2),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_a_convention_counts(fields, params, operations, monkeypatch):
    monkeypatch.setitem(CONVENTIONS, "tried", Convention(meaning="", **fields))
    assert counted(Tiny(), (2, 6, 4), "tried") == {"tried": Counted(params, operations)}


def test_everything_is_every_parameter():
    with torch.device("meta"):
        assert counted(Tiny(), (2, 6, 4))["everything"].params == sum(p.numel() for p in Tiny().parameters())


def test_each_convention_says_what_it_means():
    meanings = [convention.meaning for convention in CONVENTIONS.values()]
    assert all(meanings)
    assert len(set(meanings)) == len(meanings)


def test_an_unknown_convention_is_named():
    with pytest.raises(ConfigError, match=r"convention: there is none called 'table-5\.2'"):
        counted(Tiny(), (2, 6, 4), "table-5.2")
