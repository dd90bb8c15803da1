"""What the networks of chapter 2 cost at the dissertation's sizes: Tables 2.1, 2.4, 2.5, 2.8 and 2.10, counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch

from reidlab.data.manifest import manifests
from reidlab.models import Cost, cost, video_network
from reidlab.training import ClipConfig

SIZE = (256, 128)
IDENTITIES = 625  # training identities of MARS, to which the classifiers belong
NVAN_FRAMES, CF_AAN_FRAMES = 8, 6

#: The rows of Table 2.1.
NVAN_NETWORKS = ("c2d", "c2d-max", "nvan", "nvan-spatial", "nvan-temporal", "ste-nvan")

#: Where Table 2.5 merges frames: the dissertation's words, and torchvision's names of the stages.
POOLING: Mapping[str, tuple[str, ...]] = {"3dap": (), "stage4": ("layer3",), "stage3+stage4": ("layer2", "layer3")}

#: The self-attention modules of Table 2.8 beside non-local and the whole CF-AAN: dimensions of their records, and
#: options of the network. ``heads`` of the records is over all scales, as printed.
AXIAL: tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...] = (
    *(
        ({"network": "axial", "scales": 1, **options}, options)
        for options in (
            {"heads": heads, "encoding": encoding}
            for heads, encoding in ((1, "none"), (8, "none"), (8, "sinusoidal"), (8, "relative"))
        )
    ),
    *(
        ({"network": "cf-aan", "scales": n, "heads": 8, "encoding": "relative"}, {"scales": n, "heads": 8 // n})
        for n in (2, 4)
    ),
)


@dataclass(frozen=True)
class Counted:
    """The cost of one network of one table.

    Attributes:
        dims: experiment, network and what the table varies.
        frames: T.
        cost: of one clip of 256 x 128 pixels, with a classifier of 625 identities.
    """

    dims: Mapping[str, Any]
    frames: int
    cost: Cost = field(repr=False)


def count(name: str, frames: int, **options: Any) -> Cost:
    """Count a network of chapter 2 with ResNet-50 at the dissertation's sizes; no memory is taken."""
    with torch.device("meta"):
        model = video_network(name, IDENTITIES, size=SIZE, frames=frames, **options)
    return cost(model, (frames, 3, *SIZE))


def nvan_costs() -> list[Counted]:
    """Count the rows of Tables 2.1, 2.4 and 2.5, and STE-NVAN as it was released."""
    rows = [({"experiment": "networks", "network": name}, {}) for name in (*NVAN_NETWORKS, "ste-nvan-released")]
    stripes = ({"stripes": n} for n in (4, 8, 16))
    rows += [({"experiment": "stripes", "network": "nvan-spatial", **options}, options) for options in stripes]
    rows += [({"experiment": "pooling", "pooling": name}, {"pooling": stages}) for name, stages in POOLING.items()]
    return _counted(rows, NVAN_FRAMES)


def cf_aan_costs() -> list[Counted]:
    """Count the rows of Tables 2.8 and 2.10."""
    modules = [({"network": "c2d"}, {}), ({"network": "non-local"}, {}), *AXIAL]
    rows = [({"experiment": "axial", **dims}, options) for dims, options in modules]
    names = ("c2d", "p3d-c", "ap3d", "non-local", "cf-aan")
    return _counted([*rows, *(({"experiment": "cleaned", "network": name}, {}) for name in names)], CF_AAN_FRAMES)


def _counted(rows: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]], frames: int) -> list[Counted]:
    """Count networks by the dimensions of their records and their options; pooling is varied in NVAN."""
    return [Counted(dims, frames, count(dims.get("network", "nvan"), frames, **options)) for dims, options in rows]


def nvan_records(counted: list[Counted]) -> Iterator[dict[str, Any]]:
    """Yield the records of Tables 2.1, 2.4 and 2.5: parameters, operations, and shares added and saved."""
    for row in counted:
        dims = {**row.dims, "frames": row.frames}
        yield {"key": "params", "value": row.cost.params(), "unit": "count", **dims}
        yield {"key": "macs", "value": row.cost.view("whole") * 1e9, "unit": "count", "view": "whole", **dims}
        yield {"key": "macs_gi", "value": row.cost.view("table-2.1"), "unit": "GiMACs", "view": "table-2.1", **dims}
    for experiment, vary, references in (
        ("networks", "network", ("c2d", "nvan")), ("pooling", "pooling", ("3dap",)),
    ):  # fmt: skip
        whole = {row.dims[vary]: row.cost.view("whole") for row in counted if row.dims["experiment"] == experiment}
        for reference in references:
            for name, macs in whole.items():
                if name != reference:
                    ratio = macs / whole[reference]
                    dims = {
                        "experiment": experiment, vary: name, "reference": reference, "frames": NVAN_FRAMES,
                        "view": "whole",
                    }  # fmt: skip
                    yield {"key": "macs_change", "value": ratio - 1, **dims}
                    yield {"key": "macs_saved", "value": 1 - ratio, **dims}


def cf_aan_records(counted: list[Counted]) -> Iterator[dict[str, Any]]:
    """Yield the records of Tables 2.8 and 2.10: parameters, operations, and what each module adds to the baseline."""
    views = {"axial": ("table-2.8", "whole"), "cleaned": ("table-2.10", "whole")}
    for row in counted:
        dims = {**row.dims, "frames": row.frames}
        yield {"key": "params", "value": row.cost.params(), "unit": "count", **dims}
        for view in views[row.dims["experiment"]]:
            yield {"key": "macs", "value": row.cost.view(view) * 1e9, "unit": "count", "view": view, **dims}
    baseline = counted[0].cost
    for row in counted[1:]:
        if row.dims["experiment"] == "axial":
            for view in views["axial"]:
                added = (row.cost.view(view) - baseline.view(view)) * 1e9
                dims = {**row.dims, "frames": row.frames, "view": view}
                yield {"key": "macs_added", "value": added, "unit": "count", **dims}


def printed_facts() -> Iterator[dict[str, Any]]:
    """Yield what Sec. 2.3.1 says of the data sets, from their manifests, and the pictures of a batch."""
    mars, duke = (manifests()[name].editions[0].splits for name in ("mars", "dukemtmc-videoreid"))
    both = {kind: mars["train"][kind] + mars["gallery"][kind] for kind in ("pictures", "tracklets")}
    distractors = duke["gallery"]["identities"] - duke["query"]["identities"]
    facts = [
        ("mars", "frames_per_tracklet", both["pictures"] / both["tracklets"]),
        ("dukemtmc-videoreid", "tracklets", duke["train"]["tracklets"] + duke["gallery"]["tracklets"]),
        ("dukemtmc-videoreid", "identities", duke["train"]["identities"] + duke["query"]["identities"]),
        ("dukemtmc-videoreid", "distractor_identities", distractors),
    ]
    for name, quantity, value in facts:
        yield {"key": "data_set_fact", "value": value, "unit": "count", "data": name, "quantity": quantity}
    config = ClipConfig(epochs=1)
    pictures = config.p * config.k * config.frames
    yield {"key": "batch_pictures", "value": pictures, "unit": "count", "experiment": "networks"}


def by_kind(counted: list[Counted]) -> pd.DataFrame:
    """Return G MACs by kind of operation, a row per network or variant."""
    rows = {label(row): row.cost.summary()["macs"].drop("total") / 1e9 for row in counted}
    return pd.DataFrame(rows).T.fillna(0.0)


def label(row: Counted) -> str:
    """Return a short name of a row."""
    dims = {k: v for k, v in row.dims.items() if k not in ("experiment", "network")}
    words = [str(row.dims.get("network", ""))]
    words += [f"{v}" if k in ("pooling", "encoding") else f"{k} {v}" for k, v in dims.items()]
    return ", ".join(word for word in words if word)
