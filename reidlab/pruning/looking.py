"""Chapter 5's records as figures take them, and in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from reidlab.intervals import student_interval
from reidlab.pruning.removal import widths
from reidlab.pruning.tasks import NETWORKS

#: What figures call methods, in their order.
METHODS = {"ur": "UR", "l1": "L1", "cpo": "CPO"}
#: What is counted or measured of a pruned network, by key of the share that is left.
COSTS = {"params": "parameters", "operations": "operations", "cycles": "cycles", "latency": "latency"}
#: Why CPO leaves a layer, by the beginning of what its log says.
REASONS = {
    "the drop": "the drop would be too large",
    "its sensitivity": "another layer is less sensitive",
    "no filters": "no filter is left to remove",
}
_NETWORKS = {
    "vdsr": "VDSR", "vgg-19": "VGG-19", "vgg-16": "VGG-16", "resnet-32": "ResNet-32", "resnet-34": "ResNet-34",
    "mobilenet-22": "MobileNet-22",
}  # fmt: skip
_DATA = {
    "generated": "drawn pictures", "set5": "91 images", "set14": "91 images", "digits": "digits", "cifar10": "CIFAR-10",
    "cifar10-jpeg": "CIFAR-10-JPEG",
}  # fmt: skip
_PAIR = ["latency", "operations"]
#: Data that are photographs or come from a benchmark.
REAL = ("91 images", "CIFAR-10", "CIFAR-10-JPEG")


def by_panel(measured: pd.DataFrame) -> pd.DataFrame:
    """Return what was measured of networks, with columns ``panel`` (network and data), ``pictures`` and ``drop_unit``.

    Args:
        measured: records with their dimensions as columns.
    """
    rows = measured.dropna(subset=["network"])
    pictures = rows["data"].map(_DATA)
    return rows.assign(
        panel=rows["network"].map(_NETWORKS) + ", " + pictures,
        pictures=pictures,
        drop_unit=np.where(rows["network"] == "vdsr", "dB", "points"),
    )


def lost_words(measured: pd.DataFrame) -> dict[str, str]:
    """Return by panel what a network loses, with its unit, for the axes of figures."""
    rows = by_panel(measured).drop_duplicates("panel")
    return {row.panel: f"{row.drop_unit} lost" for row in rows.itertuples()}


def sensitivities(measured: pd.DataFrame) -> pd.DataFrame:
    """Return the sensitivities of single layers, as :func:`reidlab.plots.layer_values` takes them."""
    rows = by_panel(measured)
    return rows[(rows["key"] == "sensitivity") & rows["number"].notna()].assign(layer=lambda rows: rows["number"])


def filters_left(measured: pd.DataFrame, factor: float | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the filters of each layer as methods leave them, and those of the whole networks.

    Args:
        measured: records with their dimensions as columns.
        factor: whose drop of UR all may make; each panel's largest where None.
    """
    rows = by_panel(measured)
    rows = rows[(rows["key"] == "width") & (rows["budget"] == "equal")]
    largest = rows.groupby("panel")["factor"].transform("max")
    rows = rows[rows["factor"] == (largest if factor is None else factor)]
    left = _by_method(rows.assign(layer=rows["number"], name=rows["layer"]))
    whole = []
    for panel, part in left.groupby("panel", sort=False):
        first = part.iloc[0]
        model = NETWORKS[first["network"]].build(int(first["depth"]), int(first["filters"]))
        layers = part.drop_duplicates("layer").sort_values("layer")
        counts = list(widths(model, layers["name"]).values())
        whole.append(pd.DataFrame({"panel": panel, "layer": layers["layer"].to_numpy(), "value": counts}))
    return left, pd.concat(whole)


def equal_drops(measured: pd.DataFrame, budget: str = "equal") -> pd.DataFrame:
    """Return a row per panel, method, factor of UR (``step``) and seed: what is left of each cost, and what is lost.

    Args:
        measured: records with their dimensions as columns.
        budget: of the methods.

    Returns:
        Columns ``panel``, ``pictures``, ``drop_unit``, ``method``, ``step``, ``seed``, one for each of :data:`COSTS`
        (fractions of the whole network's), and ``lost`` and ``lost_validation``, in points or dB.
    """
    rows = by_panel(measured)
    rows = rows[(rows["experiment"] == "equal-drop") & (rows["budget"] == budget)]
    index = ["panel", "pictures", "drop_unit", "method", "factor", "seed"]
    keys = rows["key"].str.replace("psnr_drop|accuracy_drop", "lost", regex=True).str.removesuffix("_share")
    keys = keys.where(~((keys == "lost") & (rows["split"] == "validation")), "lost_validation")
    shares = rows["key"].str.endswith(("_share", "_drop")) | (rows["key"] == "latency_ms")
    wide = rows[shares].assign(key=keys, factor=rows["factor"].fillna(0.0))
    wide = wide.pivot_table(index=index, columns="key", values="value", sort=False).reset_index()
    before = wide[wide["method"] == "original"].set_index(["panel", "seed"])["latency_ms"]
    wide = _by_method(wide[wide["method"].isin(METHODS)])
    at = pd.MultiIndex.from_frame(wide[["panel", "seed"]])
    scale = np.where(wide["drop_unit"] == "points", 100, 1)
    return wide.assign(
        latency=wide["latency_ms"].to_numpy() / before.reindex(at).to_numpy(),
        step=wide["factor"],
        lost=wide["lost"] * scale,
        lost_validation=wide["lost_validation"] * scale,
    )


def courses(measured: pd.DataFrame, whole: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, list[float]]]:
    """Return the course of CPO's searches, as :func:`reidlab.plots.search_course` takes it, and mean drops allowed.

    Args:
        measured: records with their dimensions as columns.
        whole: filters of the whole networks, of :func:`filters_left`.
    """
    rows = by_panel(measured)
    rows = rows.assign(value=rows["value"] * np.where(rows["key"].str.startswith("accuracy"), 100, 1))
    along = rows[rows["experiment"] == "search"]
    keys = np.where(along["key"] == "filters_removed", "removed", "lost")
    table = along.assign(key=keys).pivot_table(index=["panel", "seed", "iteration"], columns="key", values="value")
    table = table.reset_index()
    table["removed"] /= table["panel"].map(whole.groupby("panel")["value"].sum())
    allowed = rows[rows["key"].str.endswith("_expected")].groupby(["panel", "factor"])["value"].mean()
    return table, {panel: part.tolist() for panel, part in allowed.groupby("panel")}


def reasons(logs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return how often CPO left a layer for each of its reasons, a row per log of a search."""
    found = {}
    for name, log in logs.items():
        why = log.loc[log["kind"] == "stop", "why"]
        found[name] = {words: int(why.str.startswith(start).sum()) for start, words in REASONS.items()}
    return pd.DataFrame(found).T


# Sentences ------------------------------------------------------------------------------------------------------------


def said_of_layers(measured: pd.DataFrame) -> str:
    """Return a sentence per panel on which layers are sensitive."""
    rows, said = by_panel(measured), []
    rows = rows[rows["key"] == "sensitivity"]
    for panel, part in rows.groupby("panel", sort=False):
        means = part.dropna(subset=["number"]).groupby("number")["value"].mean()
        ends = part.dropna(subset=["layers"]).groupby("layers")["value"].mean()
        said.append(
            f"{panel}: layer {means.idxmax():.0f} is the most sensitive, at {means.max():.2f} times the average size, "
            f"layer {means.idxmin():.0f} the least, at {means.min():.2f}; the first quarter of the layers has "
            f"{ends['first']:.2f} on average, the last {ends['last']:.2f}."
        )
    return " ".join(said)


def said_of_filters(left: pd.DataFrame, whole: pd.DataFrame) -> str:
    """Return a sentence per panel on how evenly methods take filters away; both tables of :func:`filters_left`."""
    said = []
    for panel, part in left.groupby("panel", sort=False):
        before = whole[whole["panel"] == panel].set_index("layer")["value"]
        shares = part.groupby(["method", "layer"], sort=False)["value"].mean()
        each = []
        for method in shares.index.unique("method"):
            share = 100 * shares[method] / before
            each.append(f"{method} {share.min():.0f} to {share.max():.0f} %")
        said.append(f"{panel}: of a layer's filters {_listed(each)} stay.")
    return " ".join(said)


def said_of_costs(found: pd.DataFrame, over: str = "UR") -> list[str]:
    """Return a sentence per panel and factor on CPO against another method.

    Args:
        found: of :func:`equal_drops`.
        over: the other method, of :data:`METHODS`' words.
    """
    said = []
    for (panel, step), part in found.groupby(["panel", "step"], sort=False):
        sides = [part[part["method"] == name].set_index("seed") for name in ("CPO", over)]
        if any(side.empty for side in sides):
            continue
        ours, theirs = sides
        unit = part["drop_unit"].iloc[0]
        fewer = _difference(100 * (theirs["operations"] - ours["operations"]), "fewer", "more", "points")
        better = _difference(theirs["lost"] - ours["lost"], "less", "more", unit)
        said.append(
            f"{panel}, at the drop of UR with r = {step:g}: CPO leaves {100 * ours['operations'].mean():.0f} % of the "
            f"operations and {over} {100 * theirs['operations'].mean():.0f} %, {fewer}. CPO's test lost "
            f"{ours['lost'].mean():.2f} {unit} and {over}'s {theirs['lost'].mean():.2f}, {better}."
        )
    return said


def said_of_courses(course: pd.DataFrame) -> str:
    """Return a sentence per panel on how far its searches went; the table is :func:`courses`' first."""
    said = []
    for panel, part in course.groupby("panel", sort=False):
        ends = part.sort_values("iteration").groupby("seed").last()
        steps = part.groupby("seed").size()
        said.append(
            f"{panel}: a search went on with {steps.mean():.0f} of the {ends['iteration'].mean():.0f} networks tried "
            f"until then, and {100 * ends['removed'].mean():.0f} % of the filters were gone in the end."
        )
    return " ".join(said)


def said_of_latency(found: pd.DataFrame) -> str:
    """Return a sentence on how far latency follows operations, over all networks of :func:`equal_drops`."""
    slower, *left = 100 * np.array([(found["latency"] > found["operations"]).mean(), *found[_PAIR].mean()])
    return (
        f"In {slower:.0f} % of the pruned networks a larger share of the latency than of the operations is left: on "
        f"average {left[0]:.0f} % of the latency with {left[1]:.0f} % of the operations."
    )


def said_of_real(found: pd.DataFrame) -> list[str]:
    """Return what :func:`said_of_costs` says of real pictures, or that there were none."""
    real = found[found["pictures"].isin(REAL)]
    if real.empty:
        return ["None of the real sets was measured in the records that this page shows."]
    return [*said_of_costs(real), *said_of_costs(real, "L1")]


def _by_method(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the methods' words, in their order; data and networks stay in theirs."""
    named = rows.assign(method=rows["method"].map(METHODS)).dropna(subset=["method"])
    order = list(METHODS.values())
    return named.sort_values("method", key=lambda names: names.map(order.index), kind="stable")


def _difference(values: pd.Series, positive: str, negative: str, unit: str) -> str:
    """Return in words what paired differences over seeds say."""
    interval = student_interval(values.dropna().tolist())
    if interval.count < 2:
        return "from a single seed, which has no interval"
    word = positive if interval.mean > 0 else negative
    text = f"{abs(interval.mean):.2f} {unit} {word}"
    span = f"95 % interval {interval.low:.2f} to {interval.high:.2f}, {interval.count} seeds"
    if interval.low > 0 or interval.high < 0:
        return f"{text} ({span})"
    return f"{text}, which the seeds cannot tell from none ({span})"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + (" and " if words[:-1] else "") + words[-1]
