"""Tables 2.7 to 2.10 and Figs. 2.7 and 2.12: better boxes, cheaper attention and corrected labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reidlab.data.decoded import DataSet
from reidlab.data.readers.mars import cleaned_labels
from reidlab.errors import ConfigError, MissingDataError
from reidlab.evaluation import Protocol
from reidlab.evaluation.cleaned import cleaned_protocol
from reidlab.study.rows import Row, score_rows
from reidlab.study.study import EMBEDDED, Condition, Contrast, Place, Result
from reidlab.training.history import change_at_the_end
from reidlab.training.recipe import picture_extractor
from reidlab.video import costs, looking
from reidlab.video.audit import FAULTS, audit_pictures, audit_scores
from reidlab.video.costs import AXIAL
from reidlab.video.methods import VideoStudy, image_network, linked_set
from reidlab.video.redetect import feature_drift, quality
from reidlab.world import WorldSpec

PROTOCOL, CLEANED = "mars-cf-aan", "mars-cleaned"

#: The networks of Table 2.7 that the package builds; FT-WFT and TCLNet are quoted.
NETWORKS = ("p3d-c", "c2d", "non-local", "ap3d")


@dataclass(frozen=True, kw_only=True)
class LinkStudy(VideoStudy):
    """What notebook 02b measures, and on how much; in its world boxes jitter, trackers drift, and labels are wrong.

    All networks are trained with and without re-Detect and Link, CF-AAN on all that is linked. The long budget is that
    of Tables 2.7 and 2.10; with the short, Table 2.7 is measured again and Table 2.8 is measured. Where the two are
    equal, there is the long one only.

    Attributes:
        networks: rows of Table 2.7.
        detectors: ``truth``, ``hog`` or the path of an ONNX file; the first one's tracklets are those of Tables 2.8
            and 2.10.
        real_detectors: the same for real data sets, whose truth is not known.
        axial: whether to train the modules of Table 2.8 too.
        box_jitter: standard deviation of a box's position and size, as a share of its size.

    Raises:
        ConfigError: there is no detector, or see :class:`~reidlab.video.methods.VideoStudy`.
    """

    world_key = "chapter 2 link world"
    mode = "contiguous"
    networks: Sequence[str] = NETWORKS
    detectors: Sequence[str] = ("truth",)
    real_detectors: Sequence[str] = ("hog",)
    axial: bool = True
    scenario: str = "video_faults"
    drift: float = 0.2
    box_jitter: float = 0.1
    tracklet_frames: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("detectors", "real_detectors"):
            if not getattr(self, name):
                raise ConfigError(f"{name}: expected at least one of truth, hog or the path of an ONNX file")

    def world(self, seed: int) -> WorldSpec:
        """Return a seed's world."""
        return super().world(seed).with_(box_jitter=self.box_jitter)

    def protocols(self, data: DataSet) -> tuple[Protocol | str, ...]:
        """Return CF-AAN's protocol, and that of the corrected labels where the set has them."""
        try:
            return PROTOCOL, cleaned_protocol(cleaned_labels(data.root, data.name))
        except MissingDataError:
            return (PROTOCOL,)

    def detectors_at(self, place: Place) -> Sequence[str]:
        """Return the detectors whose boxes are linked in a place."""
        return self.detectors if place.label == EMBEDDED else self.real_detectors

    @property
    def experiments(self) -> dict[str, str]:
        """What the records call Table 2.7 under each budget, and the budget's name; the last is Table 2.8's too."""
        return {"link": "long"} | ({"link-short": "short"} if "short" in self.budgets else {})

    def condition(self, name: str, link: str, experiment: str = "link") -> Condition:
        """Return a row of Table 2.7: a network on tracklets as they are (``none``) or linked with a detector."""
        dims = {"experiment": experiment, "network": name, "link": link}
        return Condition(name, dims, self.experiments[experiment], {"link": link})

    def modules(self, place: Place) -> list[Condition]:
        """Return the rows of Table 2.8: the baseline with and without linking, non-local, and :data:`AXIAL` in order.

        The whole CF-AAN is that of Table 2.7, and not trained again.
        """
        best, budget = self.detectors_at(place)[0], list(self.experiments.values())[-1]
        names = [("c2d", "none"), ("c2d", best), ("non-local", best)]
        rows = [({"network": name, "link": link}, {}) for name, link in names if name in self.networks]
        for dims, options in AXIAL:
            whole = dims["network"] == "cf-aan" and options["scales"] == 4
            rows.append(({"link": best, **dims}, {} if whole else options))
        return [
            Condition(dims["network"], {"experiment": "axial", **dims}, budget, {"link": dims["link"], **options})
            for dims, options in rows
        ]

    def conditions(self, place: Place) -> Iterator[Condition]:
        """Yield the rows of Table 2.7 with both budgets, and those of Table 2.8."""
        for experiment in self.experiments:
            for link in ("none", *self.detectors_at(place)):
                for name in self.networks if link == "none" else (*self.networks, "cf-aan"):
                    yield self.condition(name, link, experiment)
        if self.axial:
            yield from self.modules(place)

    def contrasts(self, place: Place) -> Iterator[Contrast]:
        """Yield what appearance-preserving convolutions add, and what each part of CF-AAN adds."""
        for experiment in self.experiments:
            for link in ("none", *self.detectors_at(place)):
                for reference in ("p3d-c", "c2d"):
                    if {"ap3d", reference} <= set(self.networks):
                        ours = self.condition("ap3d", link, experiment)
                        theirs = self.condition(reference, link, experiment)
                        yield Contrast(ours, theirs, {**ours.dims, "reference": reference})
        if self.axial:
            *others, single, plain, _, relative, _, whole = self.modules(place)
            if "non-local" in self.networks:
                yield Contrast(single, others[-1], {**single.dims, "reference": "non-local"})
            yield Contrast(relative, plain, {**relative.dims, "reference": "encoding-none"})
            yield Contrast(whole, relative, {**whole.dims, "reference": "scales-1"})

    def details(self, place: Place, condition: Condition, result: Result) -> Iterator[Row]:
        """Yield by how much a loss of Table 2.7's networks still changed, and their scores by corrected labels."""
        dims = condition.dims
        if dims["experiment"] in self.experiments:
            yield {"key": "loss_change_at_the_end", "value": change_at_the_end(result.detail.history)}
        first = dims["experiment"] == "link" and dims["link"] == self.detectors_at(place)[0]
        for protocol in place.target.protocols[1:] if first else ():
            yield from score_rows(result.scores, PROTOCOL, experiment="cleaned", labels="given")
            scores = result.detail.found.score(protocol).summary()
            yield from score_rows(scores, CLEANED, experiment="cleaned", labels="cleaned")

    def probes(self, place: Place) -> Iterator[Row]:
        """Yield the fit of boxes and the audit's precision for each fault, where the truth is known."""
        if place.label == EMBEDDED:
            yield from self.boxes(place)
            yield from self.audited(place)

    def boxes(self, place: Place) -> Iterator[Row]:
        """Yield how well pictures fit their person, before and after re-Detect and Link."""
        keys = {"box_iou": "iou", "right_person": "right"}
        for number, name in enumerate(self.detectors):
            linked = linked_set(place, name)[1]
            table = quality(place.target.gallery.table, linked, place.target.root)
            for when, link in (("before", "none"), ("after", name))[number > 0 :]:
                for key, column in keys.items():
                    yield _box_row(key, table[f"{column}_{when}"].mean(), link)
            yield _box_row("pictures_with_a_candidate", (linked.report["candidates"] > 0).mean(), name)

    def report(self, place: Place) -> pd.DataFrame:
        """Return the audit's report on a place's test tracklets, junk left out."""

        def audit() -> pd.DataFrame:
            part = place.target.gallery.select(place.target.gallery.pids >= 0)
            return audit_pictures(image_network(place), part.table, part.size, images=part.images, seed=place.seed)

        return place.shared("audit", audit)

    def audited(self, place: Place) -> Iterator[Row]:
        """Yield the average precision of the label audit for each fault, and that of a shuffled list."""
        for kind, found in audit_scores(self.report(place), looking.truth_of_test(place.target)).items():
            if kind in FAULTS and found.total and not math.isnan(found.average_precision):
                for method, value in (("audit", found.average_precision), ("chance", found.chance)):
                    dims = {"experiment": "audit", "fault": FAULTS[kind], "method": method}
                    yield {"key": "audit_precision", "value": value, **dims}

    def facts(self) -> Iterator[Row]:
        """Yield what the networks cost at the dissertation's sizes."""
        return costs.cf_aan_records(costs.cf_aan_costs())

    def keep(self, place: Place) -> dict[str, Any]:
        """Keep four tracklets before and after linking, each picture's drift, and the audit's report."""
        if place.label != EMBEDDED:
            return {}
        before, after = place.target, linked_set(place, self.detectors[0])[0]
        shown = looking.slipping(before, 4)
        rows = np.stack([before.query.frames_of(number, self.recipe.frames) for number in shown])
        embed = picture_extractor(image_network(place))
        parts = []
        for series, data in (("as tracked", before), ("re-detected and linked", after)):
            table = data.gallery.table
            value = feature_drift(embed(data.gallery).normalized().features, table)
            order = table.groupby("tracklet")["frame"].rank(method="first").astype(int)
            parts.append(pd.DataFrame({"frame": order, "value": value, "series": series}))
        return {
            "shown": shown,
            "before": before.query.images[rows],
            "after": after.query.images[rows],
            "masks": after.query.masks[rows],
            "drift": pd.concat(parts, ignore_index=True),
            "audit": self.report(place),
        }


def _box_row(key: str, value: float, link: str) -> Row:
    return {"key": key, "value": float(value), "experiment": "link", "link": link}
