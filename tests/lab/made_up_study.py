"""A study that trains nothing: what it measures follows from its fields and the seed."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pandas as pd

#: What was measured in this process, in order.
MEASURED: list[tuple[str, int]] = []


@dataclass(frozen=True)
class MadeUpStudy:
    step: float = 0.01
    real: dict = field(default_factory=dict)
    people: int = 0
    timed: bool = False
    starts: tuple = ()

    def describe(self):
        return {"study": "made up", "step": self.step}

    def sources(self, seeds):
        return [{"name": name, "hash": "1", "embedded": False, "root": root} for name, root in self.real.items()]

    def places(self, seeds):
        return [(label, seed) for label in ("embedded", *self.real) for seed in seeds]

    def start_names(self):
        return list(self.starts)

    def facts(self):
        return [{"key": "people", "value": self.people, "unit": "count"}] if self.people else []

    def measure(self, label, seed):
        import torch

        MEASURED.append((label, seed))
        dims = {} if label == "embedded" else {"data": label}
        rows = [
            {"key": "rank1", "value": 0.6 + seed * self.step, "seed": seed, "loss": "triplet", **dims},
            {"key": "rank1", "value": 0.5 + 2 * seed * self.step, "seed": seed, "loss": "softmax", **dims},
        ]
        if self.timed:
            rows.append({"key": "seconds", "value": len(MEASURED), "unit": "seconds", "seed": seed, "timing": True})
        kept = {
            "features": np.full((2, 3), seed, np.float32),
            "losses": pd.DataFrame({"epoch": [0, 1], "loss": [1.0, 0.5 - seed / 10]}, index=[3, 4]),
            "weights": {"fc.weight": torch.full((2, 2), float(seed)).t()},
            "file": {"names": ["a", "b"], "level": (seed, None)},
        }
        return SimpleNamespace(rows=rows, kept=kept)
