"""Batches made ahead: the very same ones, at the same places, and no thread that outlives them."""

import threading

import numpy as np
import pytest
import torch

from reidlab.data import ColourJitter, TrainTransform
from reidlab.seeding import rng
from reidlab.training import PictureSource
from reidlab.training.ahead import Ahead

CPU = torch.device("cpu")


@pytest.fixture
def pictures():
    images = rng(0, "ahead").integers(0, 256, (24, 16, 8, 3), dtype=np.uint8)
    transform = TrainTransform(pad=2, erase=0.5, jitter=ColourJitter(hue=0.1), grayscale=0.2)

    def make():
        source = PictureSource(images, np.arange(8).repeat(3), 3, 2, transform)
        source.start(5, 0)
        return source

    return make


def threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("next-batch")]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def plain(state):
    return {name: value.tolist() if isinstance(value, torch.Tensor) else value for name, value in state.items()}


@pytest.mark.parametrize("enabled", [True, False])
def test_batches_and_places_are_those_of_the_source(pictures, enabled):
    alone, source = pictures(), pictures()
    with Ahead(source, CPU, 9, enabled) as ahead:
        for _ in range(7):
            assert same(ahead.batch(), alone.batch(CPU))
            assert plain(ahead.state_dict()) == plain(alone.state_dict())
        assert bool(threads()) == enabled
    # Of the nine, two were not used: the source is where seven have brought it.
    assert plain(source.state_dict()) == plain(alone.state_dict())
    assert same(source.batch(CPU), alone.batch(CPU))
    assert not threads()


class Counting:
    """A source whose batches are their numbers; making number ``fails`` raises an error."""

    def __init__(self, fails=None):
        self.made, self.fails = 0, fails
        self.second = threading.Event()

    def batch(self, device):
        if self.made == self.fails:
            raise OSError(f"picture {self.made} is gone")
        self.made += 1
        if self.made == 2:
            self.second.set()
        return self.made

    def state_dict(self):
        return {"made": self.made}

    def load_state_dict(self, state):
        self.made = state["made"]


def test_the_next_batch_is_made_while_the_last_one_is_used():
    source = Counting()
    with Ahead(source, CPU, 3, True) as ahead:
        assert ahead.batch() == 1
        assert source.second.wait(30)
        assert ahead.state_dict() == {"made": 1}


def test_no_batch_is_made_beyond_those_that_are_asked_for():
    source = Counting()
    with Ahead(source, CPU, 3, True) as ahead:
        assert [ahead.batch() for _ in range(3)] == [1, 2, 3]
    assert source.made == 3


def test_an_error_is_raised_in_its_turn_and_ends_the_thread():
    source = Counting(fails=2)
    ahead = Ahead(source, CPU, 5, True)
    with ahead:
        assert [ahead.batch(), ahead.batch()] == [1, 2]
        with pytest.raises(OSError, match="picture 2 is gone"):
            ahead.batch()
    assert not threads()
    assert source.made == 2


def test_an_error_of_the_user_of_batches_ends_the_thread():
    source = Counting()

    def use():
        with Ahead(source, CPU, 5, True) as ahead:
            ahead.batch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use()
    assert not threads()
    assert source.made == 1
