"""A configuration refuses what it does not know or cannot mean, and says what it would take."""

import dataclasses
import json

import pytest

from reidlab.errors import ConfigError
from reidlab.training import LoopConfig, TrainConfig


def test_round_trip_through_plain_values():
    config = TrainConfig(epochs=3, schedule="steps", milestones=(1, 2), size=(64, 32))
    plain = json.loads(json.dumps(config.to_dict()))
    assert TrainConfig.from_dict(plain) == config


def test_unknown_names_are_refused_with_the_nearest_one():
    with pytest.raises(ConfigError, match="iteration: TrainConfig has no such parameter; did you mean 'iterations'"):
        TrainConfig.from_dict({"iteration": 3})
    with pytest.raises(ConfigError, match="zzz: LoopConfig has no such parameter; there is: iterations, epochs"):
        LoopConfig.from_dict({"zzz": 3})


def test_configurations_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig(iterations=1).lr = 2.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"iterations": None}, "give the length in exactly one"),
        ({"epochs": 2}, "give the length in exactly one"),
        ({"iterations": 0}, "iterations: 0 is not allowed; expected an integer of at least 1"),
        ({"iterations": 2.0}, "iterations: 2.0"),
        ({"iterations": True}, "iterations: True"),
        ({"optimizer": "adamW"}, "optimizer: there is none called 'adamW'; did you mean 'adamw'"),
        ({"schedule": "linear"}, "schedule: there is none called 'linear'; there is: constant, steps"),
        ({"precision": 16}, "precision: there is none called 16"),
        ({"accelerator": "gpu0"}, "accelerator: there is none called 'gpu0'"),
        ({"lr": 0.0}, "lr: 0.0 is not allowed; expected a number > 0"),
        ({"lr": float("nan")}, "lr: nan"),
        ({"lr": "1e-3"}, "lr: '1e-3'"),
        ({"momentum": 1.0}, "momentum: 1.0 is not allowed; expected a number >= 0 and < 1"),
        ({"warmup": -1}, "warmup: -1"),
        ({"log_every": 0}, "log_every: 0"),
        ({"devices": "2"}, "devices: '2'"),
        ({"tensorboard": 1}, "tensorboard: 1 is not allowed; expected True or False"),
        ({"tf32": "high"}, "tf32: 'high' is not allowed; expected True, False or None"),
        ({"prefetch": 2}, "prefetch: 2 is not allowed; expected True, False or None"),
        ({"milestones": (5,)}, "milestones belong to 'steps'"),
        ({"schedule": "steps"}, "needs at least one"),
        ({"schedule": "steps", "milestones": (5, 3)}, r"milestones: \(5, 3\) must rise"),
        (
            {"schedule": "steps", "milestones": (0.5,)},
            "milestones: 0.5 .* expected an integer of at least 1",
        ),
        ({"size": (64,)}, r"size: \(64,\) is not allowed; expected height and width in pixels"),
        ({"size": 64}, "size: 64"),
        ({"p": 1, "k": 1}, "a batch needs at least 2 pictures"),
        ({"flip": 1.5}, "flip: 1.5 is not allowed; expected a number in 0..1"),
        ({"label_smoothing": 1.0}, "label_smoothing: 1.0"),
        ({"ce_weight": 0.0, "triplet_weight": 0}, "one of the losses needs a positive weight"),
        ({"ce_weight": -1.0}, "ce_weight: -1.0"),
    ],
)
def test_bad_values_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig.from_dict({"iterations": 5, **values})
