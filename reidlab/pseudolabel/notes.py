"""Results of a study and rows of records, from the rounds of the loop."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from reidlab.evaluation.clustering import purity
from reidlab.models import ReIDNet
from reidlab.pseudolabel.loop import LoopResult, Round
from reidlab.seeding import rng
from reidlab.study import Place, Result, Row, score_rows
from reidlab.study.rows import FOLLOWED
from reidlab.training.recipe import picture_extractor

_SCORES = ("rank1", "rank5", "rank10", "mAP", "mINP")
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

#: What is recorded of the first and the last round once more. Among all pictures, each outlier alone, agreement can be
#: compared although other pictures are outliers by then.
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


def scored(place: Place, model: ReIDNet) -> Result:
    """Return a network with its scores on a place's test."""
    return Result(place.target.score(picture_extractor(model)).summary(), model)


def looped(found: LoopResult) -> Result:
    """Return the outcome of a loop: scores after the last round that trained, its network, and its rounds as detail."""
    done = [item.values for item in found.rounds if not item.failed]
    scores = {name: done[-1][name] for name in _SCORES if name in done[-1]} if done else {}
    return Result(scores, found.model, found.rounds)


def along(rounds: Sequence[Round], start: Mapping[str, float], protocol: str) -> Iterator[Row]:
    """Yield a loop's values round by round, with the number of the round as ``iteration``.

    Round 0 is the network it began from. Where PBH splits clusters, the V-measure is there twice, ``before`` and
    ``after`` (dimension ``pbh``).

    Args:
        rounds: of the loop.
        start: scores of the network it began from.
        protocol: of all scores.
    """
    for number, values in ((0, start), *((item.number, item.values) for item in rounds)):
        followed = {name: values[name] for name in FOLLOWED if name in values}
        yield from score_rows(followed, protocol, experiment="iterations", iteration=number)
    for item in rounds:
        values = item.values
        for name, experiment in _EXPERIMENTS.items():
            if math.isnan(values.get(name, math.nan)):
                continue
            dims = {"experiment": experiment, "iteration": item.number}
            if name == "v_measure" and "clusters_split" in values:
                yield row_of(name, values["v_measure_before"], pbh="before", **dims)
                dims["pbh"] = "after"
            yield row_of(name, values[name], **dims)
        gain = values.get("label_precision", math.nan) - values.get("label_precision_all", math.nan)
        if not math.isnan(gain):
            yield row_of("label_precision_gain", gain, experiment="labels", iteration=item.number)


def searched(rounds: Sequence[Round], identities: int) -> Iterator[Row]:
    """Yield what labelled pictures had at the first and at the chosen preference of the first search, per identity.

    ``clusters_per_identity`` counts exemplars among them, which the search goes by; ``divided_per_identity`` the
    clusters that they lie in, whether or not the exemplar is labelled.

    Args:
        rounds: of a loop.
        identities: of the labelled pictures.
    """
    trace = rounds[0].trace
    if trace:
        # Of equally near probes the search takes the later one.
        best = min(reversed(trace), key=lambda probe: abs(probe["labelled_exemplars"] - identities))
        columns = {"clusters_per_identity": "labelled_exemplars", "divided_per_identity": "labelled_clusters"}
        for stage, probe in (("first", trace[0]), ("last", best)):
            for key, column in columns.items():
                yield row_of(key, probe[column] / identities, experiment="search", stage=stage)


def stages(rounds: Sequence[Round]) -> Iterator[Row]:
    """Yield values of the first and the last round, and the gain from splitting clusters.

    The gain in V-measure is the mean (and the least) over the rounds in which a cluster was split; where none ever was,
    there is no row.

    Args:
        rounds: of a loop.
    """
    done = [item.values for item in rounds if not item.failed]
    if len(done) > 1:
        for stage, values in (("first", done[0]), ("last", done[-1])):
            for name in _STAGED:
                if name in values:
                    yield row_of(name, values[name], experiment="stages", stage=stage)
        if "icm_hard_share" in done[0]:
            highest = max(values["icm_hard_share"] for values in done)
            yield row_of("icm_hard_share", highest, experiment="stages", stage="highest")
    split = [values for values in done if values.get("clusters_split", 0) > 0 and "v_measure" in values]
    if split:
        gains = [values["v_measure"] - values["v_measure_before"] for values in split]
        yield row_of("v_measure_gain", sum(gains) / len(gains), experiment="final")
        yield row_of("v_measure_gain_least", min(gains), experiment="final")


def split_purity(rounds: Sequence[Round], pids: np.ndarray, draw: int) -> Iterator[Row]:
    """Yield the purity of the clusters that PBH splits (before, after, and after a random division) and of the others.

    No division can lower the purity, so a random one into parts of the same sizes is the reference.

    Args:
        rounds: of a loop.
        pids: (N,) identities of the pictures.
        draw: seed of the random divisions.
    """
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for item in rounds:
        if item.failed or not item.values.get("clusters_split", 0):
            continue
        cut = np.isin(item.clustered, np.flatnonzero(item.parts > 1))
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
        yield row_of("purity", value, experiment="split", clusters=clusters, cut=cut)
