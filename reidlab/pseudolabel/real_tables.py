"""Tables and sentences of chapter 4 on real pictures, from records."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from reidlab.intervals import student_interval
from reidlab.pseudolabel.adaptation import TABLE
from reidlab.pseudolabel.real_pictures import CENTRED, EXPERIMENT, RULES, STARTS

#: What the tables call the starts.
BEGINNINGS = {
    "embedder": "published embedder",
    "world": "embedded world",
    "imagenet-world": "ImageNet, world",
    "imagenet": "ImageNet",
}

#: What the tables call the rows, and what the last round's clusters were.
WORDS = {
    "start": "as it is",
    "centred": "centred",
    "baseline": "plain loop",
    "baseline-pbh": "with PBH",
    "baseline-icm": "with ICM",
    "hsr": "HSR",
    "supervised": "with labels",
}
CLUSTERS = {"clusters": "clusters", "identities": "people", "outliers": "left out", "v_measure": "V-measure"}


def scores_by_row(*found: pd.DataFrame) -> pd.DataFrame:
    """Return rank-1 and mAP of every row under both rules; a start that is tested centred is a row of its own.

    Args:
        *found: records with their dimensions as columns; the first that have any of this kind are taken: a run's own
            stand in for kept ones that were measured before.

    Returns:
        Records with the columns ``row`` (start and method in words) and ``rule``, in the tables' order.
    """
    measured = _first(found)
    scores = measured[measured["key"].isin(["rank1", "mAP"])]
    centred_start = (scores["experiment"] == CENTRED) & (scores["method"] == "start")
    scores = scores[(scores["experiment"] == EXPERIMENT) | centred_start]
    scores = scores.assign(method=scores["method"].where(scores["experiment"] == EXPERIMENT, "centred"))
    return _in_order(scores).assign(rule=lambda table: table["protocol"])


def table_of(*found: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds by row: scores under both rules, the last round's clusters, and minutes of the training.

    Args:
        *found: see :func:`scores_by_row`.
    """
    measured, scores = _first(found), scores_by_row(*found)
    if scores.empty:
        return pd.DataFrame({"": ["nothing of this kind was measured on this machine"]})
    last = measured[(measured["experiment"] == "iterations") & measured["key"].isin(list(CLUSTERS))]
    last = last[last["iteration"] == last.groupby(["data", "start", "method", "seed"])["iteration"].transform("max")]
    if "pbh" in last:
        last = last[last["pbh"] != "before"]
    minutes = measured[measured["key"] == "minutes"]
    whole = pd.concat(
        [
            scores.assign(what=scores["rule"] + " " + scores["key"]),
            _in_order(last).assign(what=lambda table: table["key"].map(CLUSTERS)),
            _in_order(minutes).assign(what="minutes"),
        ]
    )
    return whole.pivot_table(index=["data", "row"], columns="what", values="value", sort=False).round(3)


def found_by(start: str, *found: pd.DataFrame, method: str = "hsr") -> str:
    """Return in a sentence or two what the loop made of a start under both rules, or that it was not measured.

    Args:
        start: its name.
        *found: see :func:`scores_by_row`.
        method: the row that it is compared with.
    """
    scores = scores_by_row(*found)
    scores = scores[(scores["start"] == start) & (scores["key"] == "rank1")]
    scores = scores[scores["data"] == scores["data"].min()]  # one set, where there are several
    parts = []
    for rule in RULES:
        before, after = (
            scores.loc[(scores["rule"] == rule) & (scores["method"] == name), "value"].tolist()
            for name in ("start", method)
        )
        if before and after:
            interval = student_interval(after)
            several = f"[{interval.low:.3f}, {interval.high:.3f}] over {interval.count} seeds"
            over = several if interval.count > 1 else "(one seed)"
            parts.append(f"from {sum(before) / len(before):.3f} to {interval.mean:.3f} {over} under {rule}")
    what = f"{BEGINNINGS[start]}, {WORDS[method]}: rank-1 "
    return f"{what}{', '.join(parts)}." if parts else f"{what}was not measured on this machine."


def _first(found: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of real pictures of the first records that have any; none, with the columns needed, else."""
    columns = ["data", "experiment", "iteration", "key", "method", "protocol", "seed", "start", "value"]
    for measured in found:
        if {"experiment", "start"} <= set(measured):
            rows = measured[measured["start"].isin(list(STARTS)) & (measured["experiment"] != "starts")]
            if rows["experiment"].eq(EXPERIMENT).any():
                return rows
    return pd.DataFrame(columns=columns)


def _in_order(found: pd.DataFrame) -> pd.DataFrame:
    """Return records with a column ``row``, in the order of starts and methods."""
    starts, methods = list(STARTS), ["start", "centred", *TABLE, "supervised"]
    places = found["start"].map(starts.index) * len(methods) + found["method"].map(methods.index)
    named = found.assign(row=found["start"].map(BEGINNINGS) + ": " + found["method"].map(WORDS))
    return named.loc[places.sort_values(kind="stable").index]
