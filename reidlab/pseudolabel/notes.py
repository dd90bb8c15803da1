"""From courses to rows of records."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reidlab.models import ReIDNet
    from reidlab.pseudolabel.domains import Domain
    from reidlab.pseudolabel.loop import Course

Row = dict[str, Any]

_SCORES = ("rank1", "rank5", "rank10", "mAP", "mINP")
_FOLLOWED = ("rank1", "mAP")
#: Where a round's value is recorded; what is not named here is left out.
_EXPERIMENTS = {
    **dict.fromkeys(("clusters", "identities", "outliers", "v_measure", "ami", "ari", "purity"), "iterations"),
    **dict.fromkeys(("camera_purity", "camera_excess", "clusters_split"), "iterations"),
    **dict.fromkeys(("icm_precision", "icm_rank_precision", "icm_hard_share"), "iterations"),
    **dict.fromkeys(("label_precision", "label_precision_all", "selected"), "labels"),
    **dict.fromkeys(("tau", "tau_labelled", "overlap_error"), "threshold"),
}


def final_scores(course: Course) -> dict[str, float]:
    """Return the retrieval scores after the last round that trained; none where the first failed."""
    done = [item for item in course.rounds if not item.failed]
    return {name: done[-1].values[name] for name in _SCORES if name in done[-1].values} if done else {}


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
                yield {"key": name, "value": before, "pbh": "before", **dims}
                dims["pbh"] = "after"
            yield {"key": name, "value": value, **dims}


def stages(course: Course, **common: Any) -> Iterator[Row]:
    """Yield how good mined pairs are in the first and in the last round, and what splitting clusters gained.

    The gain in V-measure is the mean over the rounds in which a cluster was split; where none ever was, there is no
    row: no split, no verdict.

    Args:
        course: to tell.
        **common: dimensions of all rows.
    """
    done = [item for item in course.rounds if not item.failed]
    if len(done) > 1 and "icm_rank_precision" in done[0].values:
        for stage, item in (("first", done[0]), ("last", done[-1])):
            for name in ("icm_precision", "icm_rank_precision", "icm_hard_share"):
                yield {"key": name, "value": item.values[name], "experiment": "stages", "stage": stage, **common}
    split = [item.values for item in done if item.values.get("clusters_split", 0) > 0 and "v_measure" in item.values]
    if split:
        gain = sum(values["v_measure"] - values["v_measure_before"] for values in split) / len(split)
        yield {"key": "v_measure_gain", "value": gain, "experiment": "final", **common}
