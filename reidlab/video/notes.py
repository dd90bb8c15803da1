"""From outcomes to rows of records: one seed on one data set."""

from __future__ import annotations

from typing import Any

from reidlab.video.setup import Outcome, change_at_the_end

Row = dict[str, Any]


class Notes:
    """Collects the rows of a study.

    Args:
        data: what the records call the data set.
        seed: of the world and of the training runs.

    Attributes:
        rows: one mapping per record, as :meth:`reidlab.lab.run.Run.record` takes them.
    """

    def __init__(self, data: str, seed: int) -> None:
        self.rows: list[Row] = []
        self._common = {"data": data, "seed": seed}

    def scores(self, outcome: Outcome, protocol: str, **dims: Any) -> None:
        """Note an outcome's scores under a protocol."""
        for key, value in outcome.scores[protocol].summary().items():
            self.rows.append({"key": key, "value": value, "protocol": protocol, **self._common, **dims})

    def training(self, outcome: Outcome, **dims: Any) -> None:
        """Note by how much the loss still changed at the end of the training."""
        change = change_at_the_end(outcome.history)
        self.rows.append({"key": "loss_change_at_the_end", "value": change, **self._common, **dims})

    def gain(self, outcome: Outcome, base: Outcome, protocol: str, **dims: Any) -> None:
        """Note by how much one outcome's mAP and rank-1 are above another's."""
        ours, theirs = (item.scores[protocol].summary() for item in (outcome, base))
        for key in ("mAP", "rank1"):
            value = ours[key] - theirs[key]
            self.rows.append({"key": f"{key}_gain", "value": value, "protocol": protocol, **self._common, **dims})
