"""What a training run is: every choice that changes its result, checked when it is made."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

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
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        devices: number of processes, one per device; each draws batches of its own, gradients are averaged.
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
    accelerator: str = "auto"
    devices: int = 1
    deterministic: bool = True
    log_every: int = 10
    checkpoint_every: int = 0
    tensorboard: bool = False

    #: Fields that may differ between a checkpoint and the run that resumes it: they change no weight and no record.
    FREE: ClassVar[tuple[str, ...]] = ("checkpoint_every", "tensorboard")

    def __post_init__(self) -> None:
        if (self.iterations is None) == (self.epochs is None):
            raise ConfigError(
                f"iterations={self.iterations}, epochs={self.epochs}: give the length in exactly one of the two"
            )
        for name in ("iterations", "epochs"):
            if getattr(self, name) is not None:
                self._integer(name, least=1)
        self._one_of("optimizer", OPTIMIZERS)
        self._one_of("schedule", SCHEDULES)
        self._one_of("precision", PRECISIONS)
        self._one_of("accelerator", ACCELERATORS)
        self._number("lr", above=0.0)
        self._number("gamma", above=0.0)
        self._number("weight_decay", least=0.0)
        self._number("momentum", least=0.0, below=1.0)
        self._integer("warmup", least=0)
        self._integer("devices", least=1)
        self._integer("log_every", least=1)
        self._integer("checkpoint_every", least=0)
        self._boolean("deterministic")
        self._boolean("tensorboard")
        self._integers("milestones", least=1)
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
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known names: {', '.join(known)}"
                raise ConfigError(f"{name}: {cls.__name__} has no such parameter; {hint}")
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values (tuples as lists) that :meth:`from_dict` reads back."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def total_iterations(self, per_epoch: int) -> int:
        """Return the run's length in iterations, given the iterations of an epoch."""
        return self.iterations if self.iterations is not None else self.epochs * per_epoch

    # Checks of one field each; they share the shape of the message.

    def _fail(self, name: str, expected: str) -> None:
        raise ConfigError(f"{name}: {getattr(self, name)!r} is not allowed; expected {expected}")

    def _one_of(self, name: str, allowed: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in allowed:
            near = difflib.get_close_matches(str(value).lower(), allowed, n=1)
            self._fail(name, f"one of {', '.join(allowed)}" + (f" (did you mean {near[0]!r}?)" if near else ""))

    def _integer(self, name: str, *, least: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            self._fail(name, f"an integer of at least {least}")

    def _integers(self, name: str, *, least: int, length: int | None = None) -> None:
        value = getattr(self, name)
        good = isinstance(value, tuple) and all(
            isinstance(v, int) and not isinstance(v, bool) and v >= least for v in value
        )
        if not good or (length is not None and len(value) != length):
            count = "integers" if length is None else f"{length} integers"
            self._fail(name, f"a tuple of {count} of at least {least}")

    def _number(
        self, name: str, *, least: float = -math.inf, above: float = -math.inf, most: float = math.inf,
        below: float = math.inf,
    ) -> None:  # fmt: skip
        value = getattr(self, name)
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or not (least <= value <= most and above < value < below):
            bounds = [
                text
                for text, bound in (
                    (f">= {least}", least), (f"> {above}", above), (f"<= {most}", most), (f"< {below}", below)
                )
                if math.isfinite(bound)
            ]  # fmt: skip
            self._fail(name, "a number " + " and ".join(bounds))

    def _boolean(self, name: str) -> None:
        if not isinstance(getattr(self, name), bool):
            self._fail(name, "True or False")


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
        self._integers("size", least=1, length=2)
        self._integer("p", least=1)
        self._integer("k", least=1)
        self._number("ce_weight", least=0.0)
        self._number("triplet_weight", least=0.0)
        self._number("label_smoothing", least=0.0, below=1.0)
        self._integer("pad", least=0)
        for name in ("flip", "erase"):
            self._number(name, least=0.0, most=1.0)
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
        self._integer("frames", least=1)
