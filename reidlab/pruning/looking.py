"""Chapter 5's records as figures take them, and in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from reidlab.intervals import Interval, student_interval
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
#: Seeds below which no difference counts as told from chance.
LEAST_SEEDS = 5
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
    rows = measured.dropna(subset=["network"]).reset_index(drop=True)
    pictures = rows["data"].map(_DATA)
    named = rows.assign(
        panel=rows["network"].map(_NETWORKS) + ", " + pictures,
        pictures=pictures,
        drop_unit=np.where(rows["network"] == "vdsr", "dB", "points"),
    )
    return named.sort_values("panel", kind="stable")


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

    Equal are the drops that methods may make, D_exp: what UR loses in validation under the text's budget. Under equal
    budgets they have trained on since, and lose something else.

    Args:
        measured: records with their dimensions as columns.
        budget: of the methods.

    Returns:
        Columns ``panel``, ``pictures``, ``drop_unit``, ``method``, ``step``, ``seed``, one for each of :data:`COSTS`
        (fractions of the whole network's), and ``lost`` and ``lost_validation``, in points or dB.
    """
    rows = by_panel(measured)
    rows = rows[rows["experiment"] == "equal-drop"]
    again = rows[(rows["method"] == "original") & (rows["key"] == "latency_ms")]
    before = again.set_index(["panel", "seed"])["value"]
    rows = rows[rows["budget"] == budget]
    index = ["panel", "pictures", "drop_unit", "method", "factor", "seed"]
    keys = rows["key"].str.replace("psnr_drop|accuracy_drop", "lost", regex=True).str.removesuffix("_share")
    keys = keys.where(~((keys == "lost") & (rows["split"] == "validation")), "lost_validation")
    shares = rows["key"].str.endswith(("_share", "_drop")) | (rows["key"] == "latency_ms")
    wide = rows[shares].assign(key=keys).dropna(subset=["factor"])
    wide = wide.pivot_table(index=index, columns="key", values="value", sort=False).reset_index()
    wide = _by_method(wide).sort_values(["panel", "factor"], kind="stable")
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
    rows = _in_points(measured)
    along = rows[rows["experiment"] == "search"]
    keys = np.where(along["key"] == "filters_removed", "removed", "lost")
    table = along.assign(key=keys).pivot_table(index=["panel", "seed", "iteration"], columns="key", values="value")
    table = table.reset_index()
    table["removed"] /= table["panel"].map(whole.groupby("panel")["value"].sum())
    return table, {panel: part.tolist() for panel, part in _allowed(rows).groupby("panel")}


def said_of_drops(measured: pd.DataFrame) -> str:
    """Return a sentence on the drops that were allowed, and how far they reach."""
    rows = _in_points(measured)
    allowed, units = _allowed(rows), rows.groupby("panel")["drop_unit"].first()
    said = [
        f"{panel}: {_listed([f'{value:.2g}' for value in part])} {units[panel]}"
        for panel, part in allowed.groupby("panel", sort=False)
    ]
    return (
        f"What UR lost after the text's few steps of retraining is what the others might lose ({'; '.join(said)}). "
        "Where that is much, the others may remove nearly everything, and the comparison says little."
    )


def comparisons(found: pd.DataFrame, over: str) -> pd.DataFrame:
    """Return a row per panel and factor: CPO against another method, paired by seed.

    Args:
        found: of :func:`equal_drops`.
        over: the other method, of :data:`METHODS`' words.

    Returns:
        Columns ``panel``, ``step``, ``over``, ``unit``, ``ours`` and ``theirs`` (the means of CPO and the other), and
        the :class:`~reidlab.intervals.Interval` of the operations that CPO leaves fewer, in points of the whole
        network's (``fewer``), and of what it loses less on the test (``better``).
    """
    rows = []
    for (panel, step), part in found.groupby(["panel", "step"], sort=False):
        ours, theirs = (part[part["method"] == name].set_index("seed") for name in ("CPO", over))
        gaps = {
            "fewer": 100 * (theirs["operations"] - ours["operations"]).dropna(),
            "better": (theirs["lost"] - ours["lost"]).dropna(),
        }
        if len(gaps["fewer"]):
            intervals = {name: student_interval(gap.tolist()) for name, gap in gaps.items()}
            means = {"ours": ours.mean(numeric_only=True), "theirs": theirs.mean(numeric_only=True)}
            rows.append(
                {"panel": panel, "step": step, "over": over, "unit": part["drop_unit"].iloc[0], **means, **intervals}
            )
    return pd.DataFrame(rows)


def comparison_table(found: pd.DataFrame) -> pd.DataFrame:
    """Return :func:`comparisons` with all methods as words: means, differences and their 95 % intervals."""
    rows = []
    for over in (name for name in METHODS.values() if name != "CPO"):
        for row in comparisons(found, over).itertuples():
            left = [f"{100 * side['operations']:.0f} %" for side in (row.ours, row.theirs)]
            tested = [f"{0.0 - round(side['lost'], 2):+.2f}" for side in (row.ours, row.theirs)]
            rows.append(
                {
                    "network": row.panel,
                    "r of UR": f"{row.step:g}",
                    "against": over,
                    "operations left": " | ".join(left),
                    "fewer by": _span(row.fewer, "points"),
                    "test": " | ".join(tested),
                    "better by": _span(row.better, row.unit),
                }
            )
    return pd.DataFrame(rows)


def reasons(logs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return how often CPO left a layer for each of its reasons, a column per log of a search."""
    found = {}
    for name, log in logs.items():
        why = log.loc[log["kind"] == "stop", "why"]
        found[name] = {words: int(why.str.startswith(start).sum()) for start, words in REASONS.items()}
    return pd.DataFrame(found)


def budget_table(measured: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds of what methods lost and what they left, under equal budgets and under the text's."""
    both = [equal_drops(measured, budget).assign(budget=budget) for budget in ("equal", "text")]
    rows = pd.concat(both).sort_values(["panel", "step"], kind="stable")
    means = rows.groupby(["panel", "step", "budget", "method"], sort=False)[["lost_validation", "lost", *COSTS]].mean()
    shown = {"validation lost": means["lost_validation"].map("{:.2f}".format), "test lost": means["lost"]}
    shown["test lost"] = shown["test lost"].map("{:.2f}".format)
    shown |= {words: means[key].map("{:.0%}".format) for key, words in COSTS.items()}
    return pd.DataFrame(shown).rename_axis(["network", "r of UR", "budget", "method"])


# Sentences ------------------------------------------------------------------------------------------------------------


def bullets(*sentences: str) -> str:
    """Return sentences as a list of Markdown; empty ones are left out."""
    return "\n".join(f"- {sentence}" for sentence in sentences if sentence)


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
    return bullets(*said)


def said_of_filters(left: pd.DataFrame, whole: pd.DataFrame) -> str:
    """Return a sentence per panel on how evenly methods take filters away; both tables of :func:`filters_left`."""
    said = []
    for panel, part in left.groupby("panel", sort=False):
        before = whole[whole["panel"] == panel].set_index("layer")["value"]
        shares = part.groupby(["method", "layer"], sort=False)["value"].mean()
        each = []
        for method in shares.index.unique("method"):
            share = 100 * shares[method] / before
            low, high = f"{share.min():.0f}", f"{share.max():.0f}"
            each.append(f"{method} {low} %" if low == high else f"{method} {low} to {high} %")
        said.append(f"{panel}: of a layer's filters stay: {_listed(each)}.")
    return bullets(*said)


def said_of_costs(compared: pd.DataFrame) -> str:
    """Return a sentence on the operations that CPO leaves and one on what it loses, over all of :func:`comparisons`."""
    several = [row for row in compared.itertuples() if row.fewer.count >= LEAST_SEEDS]
    if not several:
        fewer, better = (sum(one.mean > 0 for one in compared[name]) for name in ("fewer", "better"))
        over = compared["over"].iloc[0]
        return (
            f"In {fewer} of {len(compared)} comparisons CPO leaves fewer operations than {over}, in {better} it has "
            f"the better test; fewer than {LEAST_SEEDS} seeds cannot tell any of these from chance."
        )
    said = []
    for column, words in (("fewer", "leaves fewer operations than {}"), ("better", "has a better test than {}")):
        found = [getattr(row, column) for row in several]
        over, under = sum(one.low > 0 for one in found), sum(one.high < 0 for one in found)
        said.append(
            f"In {over} of {len(found)} comparisons CPO {words.format(compared['over'].iloc[0])}, in {under} it is the "
            f"other way round, and in {len(found) - over - under} the seeds cannot tell."
        )
    return " ".join(said)


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
    return bullets(*said)


def said_of_gains(measured: pd.DataFrame) -> str:
    """Return a sentence per panel of super-resolution on what the whole network gains over bicubic interpolation."""
    rows, said = by_panel(measured), []
    gains = rows[(rows["method"] == "bicubic") & (rows["key"] == "psnr_drop") & (rows["split"] == "validation")]
    for panel, part in gains.groupby("panel", sort=False):
        allowed = rows[(rows["panel"] == panel) & (rows["key"] == "psnr_expected")]["value"]
        gain = part["value"].mean()
        said.append(
            f"{panel}: the whole network gains {gain:+.2f} dB over bicubic interpolation in validation, and drops up "
            f"to {allowed.max():.2f} dB were allowed; beyond its gain a network may lose all its filters."
        )
    return " ".join(said)


def said_of_latency(found: pd.DataFrame) -> str:
    """Return a sentence on how far latency follows operations, over all networks of :func:`equal_drops`."""
    slower, *left = 100 * np.array([(found["latency"] > found["operations"]).mean(), *found[_PAIR].mean()])
    return (
        f"In {slower:.0f} % of the pruned networks a larger share of the latency than of the operations is left: on "
        f"average {left[0]:.0f} % of the latency with {left[1]:.0f} % of the operations."
    )


def said_of_real(found: pd.DataFrame) -> str:
    """Return what :func:`said_of_costs` says of real pictures, or that there were none."""
    real = found[found["pictures"].isin(REAL)]
    if real.empty:
        return "None of the real sets was measured in the records that this page shows."
    names = _listed(list(dict.fromkeys(real["panel"])))
    said = [said_of_costs(compared) for over in ("UR", "L1") if len(compared := comparisons(real, over))]
    return " ".join([f"Measured were {names}.", *said])


def _in_points(measured: pd.DataFrame) -> pd.DataFrame:
    """Return :func:`by_panel` with accuracies in points."""
    rows = by_panel(measured)
    return rows.assign(value=rows["value"] * np.where(rows["key"].str.startswith("accuracy"), 100, 1))


def _allowed(rows: pd.DataFrame) -> pd.Series:
    """Return the mean drops that were allowed, by panel and factor of UR."""
    return rows[rows["key"].str.endswith("_expected")].groupby(["panel", "factor"])["value"].mean()


def _by_method(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the methods' words, in their order; data and networks stay in theirs."""
    named = rows.assign(method=rows["method"].map(METHODS)).dropna(subset=["method"])
    order = list(METHODS.values())
    return named.sort_values("method", key=lambda names: names.map(order.index), kind="stable")


def _span(interval: Interval, unit: str) -> str:
    """Return a mean difference in words, with its interval where it has one."""
    text = f"{interval.mean:+.2f} {unit}"
    return text if interval.count < 2 else f"{text} ({interval.low:+.2f} to {interval.high:+.2f})"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + (" and " if words[:-1] else "") + words[-1]
