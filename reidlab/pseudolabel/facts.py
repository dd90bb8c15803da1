"""Facts that chapters 3 and 4 state about data sets and batches, from manifests and configurations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from reidlab.data.manifest import manifests
from reidlab.data.splits import SETTINGS, divide_labels
from reidlab.training.recipe import Recipe

#: Data sets of chapter 3, and the splits whose pictures its text sums up.
DATA_SETS: Mapping[str, tuple[str, ...]] = {
    "market1501": ("train", "gallery"),
    "dukemtmc-reid": ("train", "query", "gallery"),
    "veri-776": ("train", "query", "gallery"),
    "cub-200-2011": ("train", "gallery"),
}


def data_set_facts() -> Iterator[dict[str, Any]]:
    """Yield numbers of pictures, identities and cameras, and how many identities each setting labels."""
    known = manifests()
    for name, parts in DATA_SETS.items():
        splits = known[name].editions[0].splits
        facts = {f"{split}_{what}": number for split, numbers in splits.items() for what, number in numbers.items()}
        facts["pictures"] = sum(splits[part]["pictures"] for part in parts)
        facts["identities"] = splits["train"]["identities"] + splits["query"]["identities"]
        if "cameras" in splits["train"]:
            facts["cameras"] = splits["train"]["cameras"]
        common = {"key": "data_set_fact", "unit": "count", "data": name}
        for quantity, value in facts.items():
            yield {"value": value, "quantity": quantity, **common}
        people = np.arange(splits["train"]["identities"])
        for setting in SETTINGS:
            split = divide_labels(people, setting, 0)
            for quantity, part in (("labelled", split.labelled), ("unlabelled", split.unlabelled)):
                yield {"value": len(part), "quantity": f"{quantity}_identities", "labelled": setting, **common}


def batch_fact(p: int, k: int) -> dict[str, Any]:
    """Return how many pictures a batch has, as the loop would sample it: identities times pictures of each."""
    config = Recipe(optimisation={"p": p, "k": k}).config(1)
    return {"key": "batch_pictures", "value": config.p * config.k, "unit": "count", "experiment": "ablation"}
