"""A task small enough to train in milliseconds: classes of coloured pictures."""

import numpy as np
import pytest
import torch
from torch import nn

from reidlab.models import ReIDNet, resnet
from reidlab.seeding import rng
from reidlab.training import Batch, LoopConfig, Supervised, Term


class Colours:
    """A batch source that knows nothing of tables: noisy pictures of one colour per label."""

    def __init__(self, classes=4, per_epoch=5, size=8):
        self.classes, self.per_epoch, self.size = classes, per_epoch, size
        self.start(0, 0)

    def __len__(self):
        return self.per_epoch

    def start(self, seed, rank):
        self.random = rng(seed, "colours", rank)

    def batch(self, device):
        labels = np.arange(self.classes).repeat(2)
        colours = rng(0, "palette").random((self.classes, 3))[labels]
        noise = 0.1 * self.random.standard_normal((len(labels), 3, self.size, self.size))
        images = torch.from_numpy(colours[:, :, None, None] + noise).float().to(device)
        labels = torch.from_numpy(labels).to(device)
        return Batch(images, labels, labels)

    def describe(self):
        return {"classes": self.classes}

    def state_dict(self):
        return {"random": self.random.bit_generator.state}

    def load_state_dict(self, state):
        self.random.bit_generator.state = state["random"]


class Drop(nn.Module):
    """A network with everything that has state or randomness: weights, batch statistics, dropout."""

    def __init__(self, classes=4):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.bn = nn.BatchNorm2d(6)
        self.drop = nn.Dropout(0.3)
        self.fc = nn.Linear(6, classes)

    def forward(self, x):
        return self.fc(self.drop(self.bn(self.conv(x)).relu().mean((2, 3))))


@pytest.fixture
def make_source():
    return Colours


@pytest.fixture
def source():
    return Colours()


@pytest.fixture
def make_model():
    def make(seed=0):
        torch.manual_seed(seed)
        return Drop()

    return make


@pytest.fixture
def make_reid():
    def make(num_classes=4, seed=0):
        torch.manual_seed(seed)
        return ReIDNet(resnet(18, width=4, blocks=(1, 1, 1, 1)), num_classes)

    return make


@pytest.fixture
def objective():
    return Supervised(ce=Term(nn.CrossEntropyLoss(), lambda output: output))


@pytest.fixture
def config():
    return LoopConfig(iterations=12, lr=0.01, log_every=3, accelerator="cpu")


@pytest.fixture
def identical():
    """Whether two networks are equal bit for bit, batch statistics included."""

    def compare(a, b):
        a, b = a.state_dict(), b.state_dict()
        return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)

    return compare
