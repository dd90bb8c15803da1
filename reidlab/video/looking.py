"""Data of chapter 2's figures: frames of tracklets, attention weights, and wrong labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from reidlab.data import normalize
from reidlab.data.decoded import DataSet
from reidlab.errors import ConfigError, DataError
from reidlab.models import VideoNet, evaluating, video_network
from reidlab.models.attention import NonLocal, TemporalMax
from reidlab.study.sheets import Sheet


def truth_of_test(data: DataSet) -> pd.DataFrame:
    """Return the truth of an embedded world's test pictures: the person and the fault that each shows.

    Raises:
        DataError: the set is no embedded world.
    """
    path = data.root / "truth.parquet"
    if not path.is_file():
        raise DataError(f"{data.name}: {path} is not there; only embedded worlds have a truth")
    truth = pd.read_parquet(path)
    return truth[truth["split"] == "test"].reset_index(drop=True)


def slipping(data: DataSet, count: int) -> list[int]:
    """Return query tracklets on which the tracker drifts off for part of the time, nearest to a third of it first."""
    truth = truth_of_test(data)
    share = truth.groupby("tracklet")["drift"].mean()
    queried = share[share.index.isin(data.query.tracklets)]
    return [int(number) for number in (queried - 1 / 3).abs().sort_values(kind="stable").index[:count]]


def tracklet_sheet(data: DataSet, tracklets: Sequence[int], frames: int) -> Sheet:
    """Return some query tracklets, one a row."""
    rows = [list(data.query.originals(data.query.frames_of(number, frames))) for number in tracklets]
    pids = data.query.table.drop_duplicates("tracklet").set_index("tracklet")["pid"]
    return Sheet(rows, [f"person {pids[number]}" for number in tracklets], [f"{t + 1}" for t in range(frames)])


def attention(model: VideoNet, pictures: np.ndarray, stage: int, query: tuple[int, int, int]) -> np.ndarray:
    """Return the attention weights of one position of a clip in the last non-local block of a stage.

    Args:
        model: network with non-local blocks.
        pictures: (T, H, W, 3) uint8, of the size the network was trained at.
        stage: 1..4, torchvision's layer.
        query: frame, row and column on the stage's map.

    Returns:
        (T, h, w) weights that sum to 1.

    Raises:
        ConfigError: the stage has no non-local block.
    """
    blocks = [module for module in model.blocks[stage - 1].modules() if isinstance(module, NonLocal)]
    if not blocks:
        raise ConfigError(f"stage: {stage} has no non-local block")
    seen = []
    handle = blocks[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        with evaluating(model), torch.inference_mode():
            model(normalize(torch.from_numpy(pictures))[None])
            return blocks[-1].weights(seen[0], query)[0].numpy()
    finally:
        handle.remove()


def module_labels(rows: pd.DataFrame) -> list[str]:
    """Return a short name for each row of Table 2.8's records: the network, its scales, heads and positions."""
    labels = []
    for row in rows.to_dict("records"):
        words = [str(row["network"])]
        words += [f"{row[name]:g} {name}" for name in ("scales", "heads") if pd.notna(row.get(name))]
        words += [f"positions {row['encoding']}"] if pd.notna(row.get("encoding")) else []
        linked = pd.isna(row.get("link")) or row["link"] != "none"
        labels.append(", ".join(words) + ("" if linked else " (as tracked)"))
    return labels


#: The kinds of wrong label in the order of Fig. 2.12, by their name in the truth of an embedded world.
KINDS = {
    "label": "labelled as another person",
    "duplicate": "one person, two identities",
    "buried": "in the distractor class",
    "ambiguous": "two people throughout",
}


def fault_examples(data: DataSet, frames: int) -> list[tuple[str, list[tuple[str, np.ndarray]]]]:
    """Return for each kind of wrong label in an embedded world a tracklet that has it, and one of the person it shows.

    Returns:
        Title, and two pairs of caption and pictures (T, H, W, 3) uint8, as :func:`reidlab.plots.label_faults` takes
        them. A kind that the world does not have is left out.
    """
    truth = truth_of_test(data).drop_duplicates("tracklet").set_index("tracklet")
    here = truth[truth.index.isin(data.gallery.tracklets) & (truth["label"] >= 0)]
    right = here[(here["fault"] == "") & (here["label"] == here["pid"])]
    out = []
    for kind, title in KINDS.items():
        for number, row in here[here["fault"] == kind].iterrows():
            same = right[right["pid"] == row["pid"]]
            if len(same):
                pair = [(number, row), (same.index[0], same.iloc[0])]
                shown = [
                    (f"label {r['label']}", data.gallery.originals(data.gallery.frames_of(n, frames))) for n, r in pair
                ]
                out.append((f"{title}: person {row['pid']}", shown))
                break
    return out


def structure(name: str, frames: int, size: tuple[int, int]) -> list[tuple[str, str]]:
    """Return the stages of a network with ResNet-50 as boxes: what each is, and the shape of what it puts out."""
    with torch.device("meta"):
        model = video_network(name, 1, size=size, frames=frames)
    boxes = [("stem", f"T = {frames}\n{size[0] // 4} × {size[1] // 4}")]
    for number, blocks in enumerate(model.blocks):
        found = list(blocks.modules())
        count = sum(isinstance(module, NonLocal) for module in found)
        frames //= 2 ** sum(isinstance(module, TemporalMax) for module in found)
        height, width = (n // model.backbone.strides[number] for n in size)
        title = f"layer {number + 1}" + (f"\n+ {count} attention" if count else "")
        boxes.append((title, f"T = {frames}\n{height} × {width}"))
    return [*boxes, ("FPL", f"{model.backbone.out_channels}")]
