"""The log of a run: rows for a data frame, a CSV file, and TensorBoard on request."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from reidlab.errors import ConfigError
from reidlab.files import disk_errors


class History:
    """Means of the objective's values over every ``log_every`` iterations.

    Args:
        folder: gets ``history.csv`` (and ``tensorboard/``); None keeps rows in memory only.
        tensorboard: also write TensorBoard events.

    Raises:
        ConfigError: TensorBoard is wanted without a folder, or is not installed.
    """

    def __init__(self, folder: Path | None, *, tensorboard: bool = False) -> None:
        self.rows: list[dict[str, float]] = []
        self._sums: dict[str, float] = {}
        self._count = 0
        self._csv = None if folder is None else folder / "history.csv"
        self._events = _events(folder) if tensorboard else None

    def add(self, values: Mapping[str, float]) -> None:
        """Add one iteration's values to the row in the making."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def close_row(self, iteration: int, lr: float, seconds: float) -> dict[str, float]:
        """Finish the row: means since the last one, the rate of the last iteration, seconds since the start."""
        means = {name: total / self._count for name, total in self._sums.items()}
        row = {"iteration": iteration, **means, "lr": lr, "seconds": seconds}
        self._sums, self._count = {}, 0
        self.rows.append(row)
        if self._csv is not None:
            self._write([row], append=len(self.rows) > 1)
        if self._events is not None:
            for name, value in row.items():
                if name != "iteration":
                    self._events.add_scalar(name, value, iteration)
        return row

    def frame(self) -> pd.DataFrame:
        """Return all rows; columns ``iteration, loss, <the objective's other values>, lr, seconds``."""
        return pd.DataFrame(self.rows)

    def close(self) -> None:
        """Close the event file."""
        if self._events is not None:
            self._events.close()

    def state_dict(self) -> dict[str, Any]:
        """Return rows and the row in the making."""
        return {"rows": self.rows, "sums": self._sums, "count": self._count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to a checkpoint: rows written after it are dropped from the CSV file too."""
        self.rows = [dict(row) for row in state["rows"]]
        self._sums = dict(state["sums"])
        self._count = state["count"]
        if self._csv is not None and self.rows:
            self._write(self.rows, append=False)

    def _write(self, rows: list[dict[str, float]], *, append: bool) -> None:
        with disk_errors(self._csv):
            self._csv.parent.mkdir(parents=True, exist_ok=True)
            with self._csv.open("a" if append else "w", newline="") as file:
                writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
                if not append:
                    writer.writeheader()
                writer.writerows(rows)


def change_at_the_end(history: pd.DataFrame) -> float:
    """Return by which share the loss still changed over the last fifth of the training: last tenth over the one before.

    Raises:
        ConfigError: the history has fewer than ten rows.
    """
    loss = history["loss"].to_numpy()
    tenth = len(loss) // 10
    if tenth < 1:
        raise ConfigError(f"history: {len(loss)} rows; at least 10 are needed for its last fifth")
    before, last = loss[-2 * tenth : -tenth].mean(), loss[-tenth:].mean()
    return float(last / before - 1)


def _events(folder: Path | None) -> Any:
    if folder is None:
        raise ConfigError("tensorboard: event files need a folder; give out_dir or set tensorboard=False")
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("tensorboard: not installed; `pip install tensorboard` or set tensorboard=False") from error
    return SummaryWriter(folder / "tensorboard")
