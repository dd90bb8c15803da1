"""Tables 2.1 to 2.5 and Fig. 2.5: the gain and the cost of non-local attention and of its reductions."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch

from reidlab.checks import check_choice
from reidlab.data.decoded import DataSet
from reidlab.models import VideoNet, cost, evaluating
from reidlab.study.rows import Row
from reidlab.study.study import EMBEDDED, Condition, Contrast, Place, Result
from reidlab.training.history import change_at_the_end
from reidlab.training.recipe import Scratch
from reidlab.video import costs, looking
from reidlab.video.costs import NVAN_NETWORKS, POOLING
from reidlab.video.methods import VideoStudy, stripes_of

PROTOCOL = "mars-ste-nvan"

ABLATIONS = ("frames", "layers", "stripes", "pooling")


@dataclass(frozen=True, kw_only=True)
class NetworkStudy(VideoStudy):
    """What notebook 02a measures, and on how much; people of its world are occluded in turn, and trackers drift.

    Attributes:
        networks: rows of Table 2.1, which are measured with the long budget and with the short.
        ablations: of ``frames, layers, stripes, pooling``, what to vary as Tables 2.2 to 2.5 do, with the short budget.

    Raises:
        ConfigError: there is no such experiment, or see :class:`~reidlab.video.methods.VideoStudy`.
    """

    world_key = "chapter 2 world"
    mode = "restricted"
    networks: Sequence[str] = NVAN_NETWORKS
    ablations: Sequence[str] = ABLATIONS
    scenario: str = "video"
    drift: float = 0.3
    tracklet_frames: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.ablations:
            check_choice("ablations", name, ABLATIONS)

    def protocols(self, data: DataSet) -> tuple[str]:
        """Return STE-NVAN's protocol."""
        return (PROTOCOL,)

    def condition(self, name: str, experiment: str = "networks") -> Condition:
        """Return a network of Table 2.1 under the long budget, or in the experiment ``networks-short`` the short."""
        budget = "long" if experiment == "networks" else "short"
        return Condition(name, {"experiment": experiment, "network": name}, budget)

    def conditions(self, place: Place) -> Iterator[Condition]:
        """Yield the rows of Table 2.1 with both budgets, and those of Tables 2.2 to 2.5."""
        for experiment in ("networks", "networks-short"):
            yield from (self.condition(name, experiment) for name in self.networks)
        for experiment in self.ablations:
            yield from self.variants(experiment).values()

    def variants(self, experiment: str) -> dict[int | str, Condition]:
        """Return the rows of Table 2.2 (frames), 2.3 (layers), 2.4 (stripes) or 2.5 (pooling); the last is the whole.

        Frames and stripes are scaled to the recipe: half, three quarters and all of its frames; a quarter, half and all
        of its stripes. A row that is a network of Table 2.1 is that network, and not trained again.
        """
        if experiment == "pooling":
            rows = {name: ("nvan", {"pooling": stages} if stages else {}) for name, stages in POOLING.items()}
            if "nvan-temporal" in self.networks:
                rows["stage3+stage4"] = ("nvan-temporal", {})
            return {
                name: Condition(network, {"experiment": experiment, "pooling": name}, "short", options)
                for name, (network, options) in rows.items()
            }
        frames, stripes = self.recipe.frames, stripes_of(self.recipe.size)
        network, counts = {
            "frames": ("nvan", {max(1, frames // 2), max(1, 3 * frames // 4), frames}),
            "layers": ("nvan", {1, 3, 5}),
            "stripes": ("nvan-spatial", {max(1, stripes // 4), max(1, stripes // 2), stripes}),
        }[experiment]
        return {
            n: Condition(
                network, {"experiment": experiment, "network": network, experiment: n}, "short",
                {} if n == max(counts) else {experiment: n},
            )
            for n in sorted(counts)
        }  # fmt: skip

    def contrasts(self, place: Place) -> Iterator[Contrast]:
        """Yield what attention and its reductions add, more stripes, and frames that are merged."""
        for experiment in ("networks", "networks-short"):
            for name, reference in (("nvan", "c2d"), ("nvan-spatial", "nvan"), ("ste-nvan", "c2d")):
                if {name, reference} <= set(self.networks):
                    ours = self.condition(name, experiment)
                    yield Contrast(ours, self.condition(reference, experiment), {**ours.dims, "reference": reference})
        if "stripes" in self.ablations:
            rows = self.variants("stripes")
            fewest, most = min(rows), max(rows)
            if most > fewest:
                yield Contrast(rows[most], rows[fewest], {**rows[most].dims, "reference": f"stripes-{fewest}"})
        if "pooling" in self.ablations:
            rows = self.variants("pooling")
            yield Contrast(rows["stage4"], rows["3dap"], {**rows["stage4"].dims, "reference": "3dap"})

    def details(self, place: Place, condition: Condition, result: Result) -> Iterator[Row]:
        """Yield by how much a loss of Table 2.1's networks still changed at the end of the training."""
        if condition.dims["experiment"] not in self.ablations:
            yield {"key": "loss_change_at_the_end", "value": change_at_the_end(result.detail.history)}

    def probes(self, place: Place) -> Iterator[Row]:
        """Yield each network's latency per clip."""
        for name in self.networks:
            seconds = latency(place.run(self.condition(name)).model, self.recipe.frames, tuple(self.recipe.size))
            yield {"key": "latency_ms", "value": 1000 * seconds, "unit": "ms", "timing": True, "network": name}

    def facts(self) -> Iterator[Row]:
        """Yield what the networks cost at the dissertation's sizes, and what Sec. 2.3.1 says of data sets."""
        yield from costs.nvan_records(costs.nvan_costs())
        yield from costs.printed_facts()

    def keep(self, place: Place) -> dict[str, Any]:
        """Keep the histories of all networks, NVAN's embeddings, and its attention where the tracker drifts."""
        if place.label != EMBEDDED:
            return {}
        nvan = place.run(self.condition("nvan"))
        histories = {name: place.run(self.condition(name)).detail.history for name in self.networks}
        query, shown = place.target.query, looking.slipping(place.target, 4)
        clips = [query.images[query.frames_of(number, self.recipe.frames)] for number in shown]
        spot = [0, 3 * self.recipe.size[0] // 64, self.recipe.size[1] // 16]
        weights = [looking.attention(nvan.model, clip, stage=2, query=tuple(spot)) for clip in clips]
        return {
            "histories": pd.concat(
                [table.assign(network=name) for name, table in histories.items()], ignore_index=True
            ),
            "shown": shown,
            "spot": spot,
            "attention": np.stack(weights),
            **nvan.detail.found.arrays("nvan"),
        }

    def small_costs(self, names: Sequence[str]) -> pd.DataFrame:
        """Return parameters and MACs of a clip for some networks at the size trained here, by name."""
        rows = {}
        for name in names:
            with torch.device("meta"):
                model = self.network(name, 1, 0, Scratch())
            found = cost(model, (self.recipe.frames, 3, *self.recipe.size))
            rows[name] = {"params": found.params(), "macs": found.view("whole") * 1e9}
        return pd.DataFrame(rows).T


def latency(model: VideoNet, frames: int, size: tuple[int, int], repeats: int = 15) -> float:
    """Return the median seconds of one clip's pass through a network, in evaluation mode on its own device."""
    clip = torch.zeros((1, frames, 3, *size), device=next(model.parameters()).device)
    seconds = []
    with evaluating(model), torch.inference_mode():
        for _ in range(repeats + 2):
            began = time.perf_counter()
            model(clip).embedding.cpu()
            seconds.append(time.perf_counter() - began)
    return median(seconds[2:])
