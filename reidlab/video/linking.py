"""Tables 2.7 to 2.10 and Figs. 2.7 and 2.12: better boxes, cheaper attention and corrected labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from reidlab.errors import ConfigError
from reidlab.seeding import derive
from reidlab.video.notes import Notes, Row
from reidlab.video.sets import VideoSet, decode, embedded
from reidlab.video.setup import Outcome, Setup, run

if TYPE_CHECKING:
    from reidlab.evaluation import Protocol
    from reidlab.models import ReIDNet
    from reidlab.video.detectors import Detector
    from reidlab.video.redetect import Linked
    from reidlab.world import WorldSpec

PROTOCOL, CLEANED = "mars-cf-aan", "mars-cleaned"

#: The networks of Table 2.7 that the package builds; FT-WFT and TCLNet are quoted.
NETWORKS = ("p3d-c", "c2d", "non-local", "ap3d")

#: The self-attention modules of Table 2.8 beside non-local and the whole CF-AAN: dimensions of their records, name and
#: options of the network. ``heads`` of the records is over all scales, as printed.
AXIAL: tuple[tuple[Mapping[str, Any], str, Mapping[str, Any]], ...] = (
    *(
        (
            {"network": "axial", "scales": 1, "heads": heads, "encoding": encoding},
            "axial",
            {"heads": heads, "encoding": encoding},
        )
        for heads, encoding in ((1, "none"), (8, "none"), (8, "sinusoidal"), (8, "relative"))
    ),
    *(
        (
            {"network": "cf-aan", "scales": scales, "heads": 8, "encoding": "relative"},
            "cf-aan",
            {"scales": scales, "heads": 8 // scales},
        )
        for scales in (2, 4)
    ),
)


@dataclass(frozen=True, eq=False)
class Measured:
    """Everything measured for one seed.

    Attributes:
        sets: the tracklets as they are (``none``) and after re-Detect and Link, by detector.
        linked: what re-Detect and Link did with the gallery's pictures, by detector.
        pictures: the network trained on single pictures, which linked the candidates.
        outcomes: by detector (or ``none``) and network.
        rows: one mapping per record.
    """

    sets: dict[str, VideoSet]
    linked: dict[str, Linked]
    pictures: ReIDNet
    outcomes: dict[tuple[str, str], Outcome]
    rows: list[Row]


@dataclass(frozen=True)
class LinkStudy:
    """What notebook 02b measures, and on how much.

    A seed stands for a world of its own and for a training run of each network in it; all networks start from one
    backbone and have the same budget, with and without re-Detect and Link.

    Attributes:
        setup: sizes and budgets; its ``iterations`` are the long budget, which Tables 2.7 and 2.10 have.
        networks: rows of Table 2.7.
        detectors: ``truth``, ``hog`` or the path of an ONNX file; the first one's tracklets are those of Tables 2.8
            and 2.10.
        axial: whether to train the modules of Table 2.8 too.
        scenario: name of the world.
        people: identities to train on, and as many others to test on.
        drift: share of a track's frames on which the tracker has slid off.
        box_jitter: standard deviation of a box's position and size, as a share of its size.
        tracklet_frames: pictures of a tracklet.
        bare: whether to leave out CF-AAN, which else is trained on all that is linked.
        short: steps of a second, short budget, with which Table 2.7 is measured again and Table 2.8 is measured; where
            None, there is the long one only.

    Raises:
        ConfigError: there is no such network, no detector, or the short budget is no budget.
    """

    setup: Setup = field(default_factory=lambda: Setup(frames=6, iterations=150))
    networks: Sequence[str] = NETWORKS
    detectors: Sequence[str] = ("truth",)
    axial: bool = True
    scenario: str = "video_faults"
    people: int = 60
    drift: float = 0.2
    box_jitter: float = 0.1
    tracklet_frames: int = 6
    bare: bool = False
    short: int | None = None

    def __post_init__(self) -> None:
        from reidlab.models.video import NETWORKS as known

        for name in self.networks:
            if name not in known:
                raise ConfigError(f"networks: there is none called {name!r}; choose from {', '.join(known)}")
        if not self.detectors:
            raise ConfigError("detectors: expected at least one of truth, hog or the path of an ONNX file")
        if self.short is not None:
            self.setup.config(self.short)

    def world(self, seed: int) -> WorldSpec:
        """Return a seed's world: boxes that jitter, trackers that slip, and wrong labels in the test."""
        from reidlab.world.scenarios import scenario

        return scenario(
            self.scenario, seed=derive(seed, "chapter 2 link world") % 2**31, train_people=self.people,
            test_people=self.people, drift=self.drift, box_jitter=self.box_jitter, tracklet_frames=self.tracklet_frames,
        )  # fmt: skip

    def measure(self, seed: int) -> Measured:
        """Draw a seed's world, re-detect and link its tracklets, train every network and score it."""
        return self.measure_on(embedded(self.world(seed), self.setup.size), seed, "embedded")

    def example(self, seed: int) -> Measured:
        """Link a seed's tracklets by the first detector and train no network for clips: tracklets to look at."""
        return replace(self, networks=(), detectors=tuple(self.detectors[:1]), axial=False, bare=True).measure(seed)

    def measure_real(self, name: str, seed: int) -> list[Row]:
        """Do the same on a real data set, whose boxes no detector of the world knows; the rows of the records."""
        from reidlab.data import load
        from reidlab.data.catalogue import find

        return self.measure_on(decode(load(name), find(name).path, self.setup.size, name), seed, name).rows

    def detector(self, name: str, data: VideoSet) -> Detector:
        """Return a detector by its name, or the one in an ONNX file."""
        from reidlab.video.detectors import HOG, OnnxDetector, TrueBoxes

        if name == "truth":
            return TrueBoxes(data.root)
        return HOG() if name == "hog" else OnnxDetector(name)

    def measure_on(self, data: VideoSet, seed: int, label: str) -> Measured:
        """Measure everything on a set of tracklets.

        Args:
            data: the tracklets.
            seed: of the training runs.
            label: what the records call the data.
        """
        from reidlab.video.redetect import RedetectLink, ide_embedder, redetect_set

        pictures = self.setup.learn_on_pictures(data.train, derive(seed, "pictures"))
        embed = ide_embedder(pictures, tuple(self.setup.size))
        sets, linked = {"none": data}, {}
        for name in self.detectors:
            linker = RedetectLink(self.detector(name, data), embed, size=tuple(self.setup.size))
            sets[name], linked[name] = redetect_set(data, linker)
        protocols = self.protocols(data)

        def trained(network: str, link: str, iterations: int, options: Mapping[str, Any]) -> Outcome:
            model = self.setup.build(network, data.identities, pictures, seed, **options)
            return run(model, sets[link], self.setup.config(iterations), derive(seed, "clips"), protocols, "contiguous")

        notes = Notes(label, seed)
        best = self.detectors[0]
        outcomes: dict[tuple[str, str], Outcome] = {}
        long, short = self.setup.iterations, self.short or self.setup.iterations
        by_budget = {"link": (long, outcomes)}
        if short != long:
            by_budget["link-short"] = (short, {})
        for experiment, (iterations, found) in by_budget.items():
            for link in sets:
                for name in self.networks if link == "none" or self.bare else (*self.networks, "cf-aan"):
                    found[link, name] = trained(name, link, iterations, {})
                    dims = {"experiment": experiment, "network": name, "link": link}
                    notes.scores(found[link, name], PROTOCOL, **dims)
                    notes.training(found[link, name], **dims)
                for name, reference in (("ap3d", "p3d-c"), ("ap3d", "c2d")):
                    if {(link, name), (link, reference)} <= set(found):
                        dims = {"experiment": experiment, "network": name, "reference": reference, "link": link}
                        notes.gain(found[link, name], found[link, reference], PROTOCOL, **dims)
        for (link, name), outcome in outcomes.items():
            if link == best and len(protocols) > 1:
                dims = {"experiment": "cleaned", "network": name, "link": link}
                notes.scores(outcome, PROTOCOL, labels="given", **dims)
                notes.scores(outcome, CLEANED, labels="cleaned", **dims)
        if self.axial:
            self._axial(trained, *list(by_budget.values())[-1], best, notes)
        if label == "embedded":
            notes.rows += boxes(linked, data, seed)
            notes.rows += audited(pictures, data, self.setup.size, seed)
        return Measured(sets, linked, pictures, outcomes, notes.rows)

    def protocols(self, data: VideoSet) -> list[Protocol | str]:
        """Return CF-AAN's protocol, and that of the corrected labels where the set has them."""
        from reidlab.data.readers.mars import cleaned_labels
        from reidlab.errors import MissingDataError
        from reidlab.evaluation.cleaned import cleaned_protocol

        try:
            return [PROTOCOL, cleaned_protocol(cleaned_labels(data.root, data.name))]
        except MissingDataError:
            return [PROTOCOL]

    def _axial(
        self, trained: Any, iterations: int, outcomes: Mapping[tuple[str, str], Outcome], link: str, notes: Notes
    ) -> None:
        """Train and note the rows of Table 2.8, with the budget of the outcomes that are there already."""
        common = {"experiment": "axial", "link": link}
        for place in ("none", link):
            if (place, "c2d") in outcomes:
                notes.scores(outcomes[place, "c2d"], PROTOCOL, experiment="axial", network="c2d", link=place)
        if (link, "non-local") in outcomes:
            notes.scores(outcomes[link, "non-local"], PROTOCOL, network="non-local", **common)
        found = {}
        for dims, name, options in AXIAL:
            whole = name == "cf-aan" and options["scales"] == 4
            outcome = outcomes[link, "cf-aan"] if whole else trained(name, link, iterations, options)
            found[dims["scales"], dims["heads"], dims["encoding"]] = outcome
            notes.scores(outcome, PROTOCOL, **common, **dims)
        single = {"network": "axial", "scales": 1, **common}
        if (link, "non-local") in outcomes:
            dims = {**single, "heads": 1, "encoding": "none", "reference": "non-local"}
            notes.gain(found[1, 1, "none"], outcomes[link, "non-local"], PROTOCOL, **dims)
        dims = {**single, "heads": 8, "encoding": "relative", "reference": "encoding-none"}
        notes.gain(found[1, 8, "relative"], found[1, 8, "none"], PROTOCOL, **dims)
        dims = {"network": "cf-aan", "scales": 4, "heads": 8, "encoding": "relative", "reference": "scales-1", **common}
        notes.gain(found[4, 8, "relative"], found[1, 8, "relative"], PROTOCOL, **dims)


def boxes(linked: Mapping[str, Linked], data: VideoSet, seed: int) -> list[Row]:
    """Return how well pictures fit the people they are of, before and after re-Detect and Link (embedded worlds)."""
    from reidlab.video.redetect import quality

    rows: list[Row] = []
    for number, (name, done) in enumerate(linked.items()):
        table = quality(data.gallery.table, done, data.root)
        common = {"experiment": "link", "data": "embedded", "seed": seed}
        if number == 0:
            rows.append({"key": "box_iou", "value": float(table["iou_before"].mean()), "link": "none", **common})
            right = float(table["right_before"].mean())
            rows.append({"key": "right_person", "value": right, "link": "none", **common})
        rows.append({"key": "box_iou", "value": float(table["iou_after"].mean()), "link": name, **common})
        rows.append({"key": "right_person", "value": float(table["right_after"].mean()), "link": name, **common})
        found = float((done.report["candidates"] > 0).mean())
        rows.append({"key": "pictures_with_a_candidate", "value": found, "link": name, **common})
    return rows


def audited(pictures: ReIDNet, data: VideoSet, size: tuple[int, int], seed: int) -> list[Row]:
    """Return how precisely the audit of labels finds each fault of an embedded world, beside a shuffled list."""
    import math

    from reidlab.video.audit import FAULTS, audit_scores
    from reidlab.video.looking import truth_of_test

    found = audit_scores(report_of(pictures, data, size, seed), truth_of_test(data))
    rows: list[Row] = []
    for kind, scores in found.items():
        if kind in FAULTS and scores.total and not math.isnan(scores.average_precision):
            common = {"experiment": "audit", "data": "embedded", "fault": FAULTS[kind], "seed": seed}
            values = {"audit": scores.average_precision, "chance": scores.chance}
            rows += [{"key": "audit_precision", "value": v, "method": method, **common} for method, v in values.items()]
    return rows


def report_of(pictures: ReIDNet, data: VideoSet, size: tuple[int, int], seed: int) -> Any:
    """Return the audit's report on a set's test tracklets."""
    import numpy as np

    from reidlab.video.audit import audit_pictures

    identified = np.flatnonzero(data.gallery.table["pid"].to_numpy() >= 0)
    part = data.gallery.select(identified)
    return audit_pictures(pictures, part.table, tuple(size), images=part.images, seed=seed)
