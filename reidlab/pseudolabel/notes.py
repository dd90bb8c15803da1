"""From courses to rows of records."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from reidlab.seeding import rng

if TYPE_CHECKING:
    from reidlab.models import ReIDNet
    from reidlab.pseudolabel.domains import Domain
    from reidlab.pseudolabel.loop import Course

Row = dict[str, Any]

_SCORES = ("rank1", "rank5", "rank10", "mAP", "mINP")
_FOLLOWED = ("rank1", "mAP")
#: Where a round's value is recorded; what is not named here is left out.
_EXPERIMENTS = {
    **dict.fromkeys(
        ("clusters", "identities", "outliers", "v_measure", "ami", "ami_all", "ari", "purity"), "iterations"
    ),
    **dict.fromkeys(("camera_purity", "camera_excess", "clusters_split"), "iterations"),
    **dict.fromkeys(("icm_precision", "icm_rank_precision", "icm_hard_share"), "iterations"),
    **dict.fromkeys(("label_precision", "label_precision_all", "selected"), "labels"),
    **dict.fromkeys(("tau", "tau_labelled", "overlap_error"), "threshold"),
}

#: What is told of the first and the last round once more. Among all pictures, each outlier alone, agreement can be held
#: side by side although other pictures are outliers by then.
_STAGED = ("icm_precision", "icm_rank_precision", "icm_hard_share", "v_measure", "ami_all", "camera_purity", "purity")
_STAGED += ("camera_excess",)

#: Units of what is not a fraction.
_UNITS = {
    **dict.fromkeys(("clusters", "identities", "clusters_split"), "count"),
    **dict.fromkeys(("tau", "tau_labelled"), "squared_distance"),
    **dict.fromkeys(("clusters_per_identity", "divided_per_identity"), "ratio"),
}


def row_of(key: str, value: float, **dims: Any) -> Row:
    """Return one value as a record takes it, with its unit."""
    return {"key": key, "value": float(value), "unit": _UNITS.get(key, "fraction"), **dims}


def final_scores(course: Course) -> dict[str, float]:
    """Return the retrieval scores after the last round that trained; none where the first failed."""
    done = [item for item in course.rounds if not item.failed]
    return {name: done[-1].values[name] for name in _SCORES if name in done[-1].values} if done else {}


def scores_of(scores: Mapping[str, float], protocol: str, **dims: Any) -> Iterator[Row]:
    """Yield a network's retrieval scores.

    Args:
        scores: by name.
        protocol: under which they were found.
        **dims: dimensions of all rows.
    """
    for name, value in scores.items():
        yield {"key": name, "value": float(value), "protocol": protocol, **dims}


def along(course: Course, test: Domain, start: ReIDNet, **common: Any) -> Iterator[Row]:
    """Yield a course's values round by round, with the number of the round as ``iteration``.

    Round 0 is the network it began from. Where PBH mends clusters, the V-measure is there twice, ``before`` and
    ``after`` (dimension ``pbh``).

    Args:
        course: to tell.
        test: on which its networks were scored.
        start: the network it began from.
        **common: dimensions of all rows.
    """

    def scored(number: int, values: Mapping[str, float]) -> Iterator[Row]:
        for name in _FOLLOWED:
            if name in values:
                dims = {"experiment": "iterations", "iteration": number, "protocol": test.protocol, **common}
                yield {"key": name, "value": float(values[name]), **dims}

    yield from scored(0, test.score(start).summary())
    for item in course.rounds:
        yield from scored(item.number, item.values)
        mended = "clusters_split" in item.values
        for name, experiment in _EXPERIMENTS.items():
            value = item.values.get(name, math.nan)
            if math.isnan(value):
                continue
            dims = {"experiment": experiment, "iteration": item.number, **common}
            if name == "v_measure" and mended:
                before = item.values["v_measure_before"]
                yield row_of(name, before, pbh="before", **dims)
                dims["pbh"] = "after"
            yield row_of(name, value, **dims)
        if {"label_precision", "label_precision_all"} <= set(item.values):
            gain = item.values["label_precision"] - item.values["label_precision_all"]
            if not math.isnan(gain):
                dims = {"experiment": "labels", "iteration": item.number, **common}
                yield {"key": "label_precision_gain", "value": gain, **dims}


def gain(ours: Mapping[str, float], theirs: Mapping[str, float], protocol: str, **dims: Any) -> Iterator[Row]:
    """Yield by how much one method's mAP and rank-1 are above another's.

    Args:
        ours: scores of the method.
        theirs: scores of the other, whom ``dims`` call ``reference``.
        protocol: of both.
        **dims: dimensions of the rows.
    """
    for name in _FOLLOWED:
        if name in ours and name in theirs:
            yield {"key": f"{name}_gain", "value": float(ours[name] - theirs[name]), "protocol": protocol, **dims}


def searched(course: Course, identities: int, **common: Any) -> Iterator[Row]:
    """Yield what labelled pictures had at the first and at the chosen preference of the first search, per identity.

    ``clusters_per_identity`` counts exemplars among them, which the search goes by; ``divided_per_identity`` the
    clusters that they lie in, whoever the exemplar.

    Args:
        course: to tell.
        identities: of the labelled pictures.
        **common: dimensions of all rows.
    """
    trace = course.rounds[0].trace
    if trace:
        # Of equally near probes the search takes the later one.
        best = min(reversed(trace), key=lambda probe: abs(probe["labelled_exemplars"] - identities))
        columns = {"clusters_per_identity": "labelled_exemplars", "divided_per_identity": "labelled_clusters"}
        for stage, probe in (("first", trace[0]), ("last", best)):
            for key, column in columns.items():
                yield row_of(key, probe[column] / identities, experiment="search", stage=stage, **common)


def stages(course: Course, **common: Any) -> Iterator[Row]:
    """Yield what changed from the first round to the last, and what splitting clusters gained.

    The gain in V-measure is the mean (and the least) over the rounds in which a cluster was split; where none ever was,
    there is no row: no split, no verdict.

    Args:
        course: to tell.
        **common: dimensions of all rows.
    """
    done = [item.values for item in course.rounds if not item.failed]
    if len(done) > 1:
        for stage, values in (("first", done[0]), ("last", done[-1])):
            for name in _STAGED:
                if name in values:
                    yield {"key": name, "value": values[name], "experiment": "stages", "stage": stage, **common}
        if "icm_hard_share" in done[0]:
            highest = max(values["icm_hard_share"] for values in done)
            yield {
                "key": "icm_hard_share", "value": highest, "experiment": "stages", "stage": "highest", **common,
            }  # fmt: skip
    split = [values for values in done if values.get("clusters_split", 0) > 0 and "v_measure" in values]
    if split:
        gains = [values["v_measure"] - values["v_measure_before"] for values in split]
        yield {"key": "v_measure_gain", "value": sum(gains) / len(gains), "experiment": "final", **common}
        yield {"key": "v_measure_gain_least", "value": min(gains), "experiment": "final", **common}


def split_purity(course: Course, pids: np.ndarray, draw: int, **common: Any) -> Iterator[Row]:
    """Yield how pure clusters are that PBH splits, before, after, and after a random division, and how pure the others.

    Any division makes a cluster purer or leaves it so; the random one, into parts of the same sizes, is the measure.

    Args:
        course: to tell.
        pids: (N,) identities of the pictures.
        draw: seed of the random divisions.
        **common: dimensions of all rows.
    """
    from reidlab.evaluation.clustering import purity

    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for item in course.rounds:
        if item.failed or not item.values.get("clusters_split", 0):
            continue
        parts = [np.unique(item.labels[item.clustered == cluster]) for cluster in range(item.clustered.max() + 1)]
        cut = np.isin(item.clustered, [cluster for cluster, inside in enumerate(parts) if len(inside) > 1])
        kept = (item.clustered >= 0) & ~cut
        shuffled = item.labels.copy()
        random = rng(draw, "random divisions", item.number)
        for cluster in np.unique(item.clustered[cut]):
            rows = np.flatnonzero(item.clustered == cluster)
            shuffled[rows] = random.permutation(shuffled[rows])
        sides = {("split", "none"): (cut, item.clustered), ("split", "pbh"): (cut, item.labels)}
        sides |= {("split", "chance"): (cut, shuffled), ("kept", "none"): (kept, item.clustered)}
        for name, (rows, labels) in sides.items():
            if rows.any():
                found.setdefault(name, []).append((int(rows.sum()), purity(pids[rows], labels[rows])))
    for (clusters, cut), values in found.items():
        value = sum(count * share for count, share in values) / sum(count for count, _ in values)
        yield {"key": "purity", "value": value, "experiment": "split", "clusters": clusters, "cut": cut, **common}
