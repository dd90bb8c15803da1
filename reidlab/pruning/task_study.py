"""What the studies of chapters 5 and 6 share: one network on one task, with data in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reidlab.checks import check_integer
from reidlab.data import on_this_machine
from reidlab.pruning.tasks import REAL, Task, classification
from reidlab.study import Study
from reidlab.training.config import LoopConfig
from reidlab.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class TaskStudy(Study):
    """Base of studies of one network on one task.

    Attributes:
        data: what :func:`~reidlab.pruning.tasks.classification` or another task takes.
        network: its name in the study's registry of networks.
        depth: layers of the whole network.
        width: filters of its first part.
        size: side of pictures, or of crops, in pixels.
        limit: samples to train on, all where None.
        batch: samples of a batch.
        optimisation: fields of the training's configuration.

    Raises:
        ConfigError: a number is less than 1, or a field of the training is unknown.
    """

    recipe: Recipe = field(default_factory=Recipe)
    data: str
    network: str
    depth: int
    width: int
    size: int
    limit: int | None = None
    batch: int = 32
    optimisation: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("depth", "width", "size", "batch"):
            check_integer(name, getattr(self, name), 1)
        self.config(1, self.optimisation)

    def worlds(self, seed: int) -> dict[str, Any]:
        """Return none: no people are needed."""
        return {}

    def sources(self, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yield the data; sets that are not on this machine are left out."""
        if self.data not in REAL:
            yield {"name": self.data, "hash": "of the package", "embedded": True, "describe": "always there"}
        for name, place in on_this_machine(REAL.get(self.data, ())).items():
            known = place.manifest.hash if place.manifest else "a set of the user's own"
            yield {"name": name, "hash": known, "embedded": False, "root": place.path}

    def places(self, seeds: Sequence[int]) -> Iterator[tuple[str, int]]:
        """Yield the data with each seed; real ones only where all of them are on this machine."""
        names = REAL.get(self.data, ())
        if len(on_this_machine(names)) == len(names):
            yield from (((*names, self.data)[0], seed) for seed in seeds)

    def load(self, label: str, seed: int) -> dict[str, Task]:
        """Return the task."""
        return {"target": classification(self.data, self.size, self.limit, seed)}

    def config(self, steps: int, fields: Mapping[str, Any]) -> LoopConfig:
        """Return the configuration of a training: SGD, whose rate rises and falls."""
        given = {"optimizer": "sgd", "lr": 0.05, "weight_decay": 5e-4, "log_every": max(1, steps // 20), **fields}
        return LoopConfig.from_dict({"accelerator": "cpu", "iterations": steps, **given})
