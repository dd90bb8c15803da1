"""What a training run is: every choice that changes its result, checked when it is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from reidlab.checks import check_choice, check_integer, check_names, check_number, check_share, check_size
from reidlab.errors import ConfigError

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "steps", "cosine", "onecycle")
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed", "64-true")
ACCELERATORS = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """Length, optimisation, device and logs of a run of :func:`reidlab.training.train`.

    Attributes:
        iterations: length in optimiser steps; give this or ``epochs``.
        epochs: length in passes over the batch source (for pictures: over the identities).
        optimizer: ``adam``, ``adamw`` or ``sgd``.
        lr: highest learning rate.
        weight_decay: L2 penalty (``adam``, ``sgd``) or decoupled decay (``adamw``).
        momentum: of ``sgd``.
        warmup: iterations over which the rate rises linearly from ``lr / warmup`` to its schedule.
        schedule: ``constant``; ``steps`` (times ``gamma`` at each milestone); ``cosine`` (to 0); ``onecycle`` (up from
            lr / 25 over the first 30 %, then down to lr / 250,000; Smith and Topin, https://arxiv.org/abs/1708.07120).
        milestones: where ``steps`` act, rising, in epochs if the length is in epochs, else in iterations.
        gamma: factor of a step.
        precision: ``32-true``, ``16-mixed``, ``bf16-mixed`` or ``64-true``, as Lightning Fabric names them.
        tf32: whether a GPU rounds the factors of float32 products to TF32 (10 bits of mantissa), which is several times
            faster; None leaves it to torch (convolutions only, as it comes). Other devices have no TF32.
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        devices: number of processes, one per device; each draws batches of its own, gradients are averaged.
        prefetch: whether a thread makes the next batch while the last one is used; None does so on a GPU.
        deterministic: use only algorithms that repeat bit for bit; an operation that has none then fails.
        log_every: iterations per row of the history.
        checkpoint_every: iterations between checkpoints; 0 writes only the last.
        tensorboard: also log to TensorBoard, in the run's folder.

    Raises:
        ConfigError: naming the field, its value and what is allowed.
    """

    iterations: int | None = None
    epochs: int | None = None
    optimizer: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.01
    momentum: float = 0.9
    warmup: int = 0
    schedule: str = "onecycle"
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    precision: str = "32-true"
    tf32: bool | None = None
    accelerator: str = "auto"
    devices: int = 1
    prefetch: bool | None = None
    deterministic: bool = True
    log_every: int = 10
    checkpoint_every: int = 0
    tensorboard: bool = False

    #: Fields that may differ between a checkpoint and the run that resumes it: they change no weight and no record.
    FREE: ClassVar[tuple[str, ...]] = ("checkpoint_every", "prefetch", "tensorboard")

    def __post_init__(self) -> None:
        if (self.iterations is None) == (self.epochs is None):
            raise ConfigError(
                f"iterations={self.iterations}, epochs={self.epochs}: give the length in exactly one of the two"
            )
        self._whole(1, "iterations" if self.epochs is None else "epochs", "devices", "log_every")
        self._whole(0, "warmup", "checkpoint_every")
        for name, known in (
            ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("precision", PRECISIONS),
            ("accelerator", ACCELERATORS),
        ):  # fmt: skip
            check_choice(name, getattr(self, name), known)
        for name in ("deterministic", "tensorboard"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name}: {getattr(self, name)!r} is not allowed; expected True or False")
        for name in ("tf32", "prefetch"):
            if not isinstance(getattr(self, name), bool | None):
                raise ConfigError(f"{name}: {getattr(self, name)!r} is not allowed; expected True, False or None")
        check_number("lr", self.lr, above=0)
        check_number("gamma", self.gamma, above=0)
        check_number("weight_decay", self.weight_decay, 0)
        check_number("momentum", self.momentum, 0, below=1)
        for milestone in self.milestones:
            check_integer("milestones", milestone, 1)
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ConfigError(f"milestones: {self.milestones} must rise")
        if bool(self.milestones) != (self.schedule == "steps"):
            raise ConfigError(
                f"milestones: {self.milestones} with schedule={self.schedule!r}; milestones belong to 'steps', "
                "which needs at least one"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a configuration from plain values, such as a profile's; lists become tuples.

        Raises:
            ConfigError: a name is unknown (the nearest known one is suggested) or a value is not allowed.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        check_names(cls.__name__, values, known)
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values (tuples as lists) that :meth:`from_dict` reads back."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def total_iterations(self, per_epoch: int) -> int:
        """Return the run's length in iterations, given the iterations of an epoch."""
        return self.iterations if self.iterations is not None else self.epochs * per_epoch

    def _whole(self, least: int, *names: str) -> None:
        for name in names:
            object.__setattr__(self, name, check_integer(name, getattr(self, name), least))


@dataclass(frozen=True, kw_only=True)
class TrainConfig(LoopConfig):
    """A :class:`LoopConfig` and what :func:`reidlab.training.fit` adds: pictures, batches and losses.

    Attributes:
        size: height and width of the network's input, in pixels.
        p: identities in a batch.
        k: pictures of each identity.
        ce_weight: weight of the cross-entropy on logits.
        triplet_weight: weight of the soft-margin batch-hard triplet loss on features before the neck.
        label_smoothing: of the cross-entropy.
        flip: probability of a mirrored picture.
        pad: pixels a picture may shift either way.
        erase: probability of an erased rectangle.

    Raises:
        ConfigError: naming the field, its value and what is allowed.

    Example:
        >>> config = TrainConfig(iterations=240, size=(64, 32), lr=1e-3)
        >>> TrainConfig.from_dict(config.to_dict()) == config
        True
    """

    size: tuple[int, int] = (128, 64)
    p: int = 16
    k: int = 4
    ce_weight: float = 1.0
    triplet_weight: float = 1.0
    label_smoothing: float = 0.0
    flip: float = 0.5
    pad: int = 0
    erase: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "size", check_size("size", self.size))
        self._whole(1, "p", "k")
        self._whole(0, "pad")
        check_number("ce_weight", self.ce_weight, 0)
        check_number("triplet_weight", self.triplet_weight, 0)
        check_number("label_smoothing", self.label_smoothing, 0, below=1)
        check_share("flip", self.flip)
        check_share("erase", self.erase)
        if self.p * self.k < 2:
            raise ConfigError(f"p={self.p}, k={self.k}: a batch needs at least 2 pictures (batch normalisation)")
        if self.ce_weight == 0 and self.triplet_weight == 0:
            raise ConfigError("ce_weight=0, triplet_weight=0: one of the losses needs a positive weight")


@dataclass(frozen=True, kw_only=True)
class ClipConfig(TrainConfig):
    """A :class:`TrainConfig` for clips, see :func:`reidlab.training.fit_clips`; ``k`` counts tracklets.

    Sec. 2.3.1 trains with Adam for 200 epochs, at a rate of 1e-4 that falls to a tenth every 50, as in the example;
    Sec. 2.6.1 with clips of 6 frames for 220 epochs. The weight decay is the latter's.

    Attributes:
        frames: T, frames of a clip.

    Raises:
        ConfigError: naming the field, its value and what is allowed.

    Example:
        >>> config = ClipConfig(epochs=200, optimizer="adam", lr=1e-4, weight_decay=5e-5, schedule="steps",
        ...                     milestones=(50, 100, 150), size=(256, 128))
        >>> config.p * config.k * config.frames
        256
    """

    p: int = 8
    k: int = 4
    frames: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._whole(1, "frames")
