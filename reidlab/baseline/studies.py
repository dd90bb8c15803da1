"""The measurements of chapter 1: three descriptions, the difficulties of the world, two seasons, and real pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from reidlab.baseline.knobs import KNOBS
from reidlab.baseline.methods import METHODS
from reidlab.checks import check_choice
from reidlab.data import across_cameras, load, on_this_machine
from reidlab.data.decoded import DataSet, from_name, from_table, from_world
from reidlab.seeding import derive
from reidlab.study import EMBEDDED, Condition, Place, Row, Study, score_rows
from reidlab.study.published import PUBLISHED, published
from reidlab.world import WorldSpec
from reidlab.world.scenarios import scenario

#: Season of the clothes, as ``WorldSpec.winter`` counts it.
SEASONS = {"summer": 0.0, "winter": 1.0}
PROTOCOL = "market1501"
#: What records call the network that is trained from several starts.
BEGUN = "mobilenetv2"


@dataclass(frozen=True, kw_only=True)
class BaselineStudy(Study):
    """What chapter 1 measures, and on how much.

    A seed stands for a world of its own (people, cameras, walks) and for a training run in it. All networks of a study
    have the same size and the same budget, ``steps["train"]``.

    Attributes:
        scenario: name of the world.
        people: identities to train on, and as many others to test on.
        cameras: of the world.
        knobs: names of the difficulties to vary, see :data:`~reidlab.baseline.knobs.KNOBS`.
        methods: names of the descriptions that are compared; the trained network is compared from other starts as well.

    Raises:
        ConfigError: there is no such difficulty or method.
    """

    registry = METHODS
    scenario: str = "standard"
    people: int = 80
    cameras: int = 5
    knobs: Sequence[str] = tuple(KNOBS)
    methods: Sequence[str] = tuple(METHODS)

    def __post_init__(self) -> None:
        super().__post_init__()
        METHODS.check(*self.methods)
        for name in self.knobs:
            check_choice("knobs", name, KNOBS)

    def world(self, seed: int) -> WorldSpec:
        """Return a seed's world."""
        return scenario(
            self.scenario, seed=derive(seed, "chapter 1 world") % 2**31, train_people=self.people,
            test_people=self.people, cameras=self.cameras,
        )  # fmt: skip

    def places(self, seeds: Sequence[int]) -> Iterator[tuple[str, int]]:
        """Yield the worlds; real sets are measured with the networks trained there."""
        return ((EMBEDDED, seed) for seed in seeds)

    def describe(self) -> dict[str, Any]:
        """Return the whole configuration, and which real sets there are: a world's results hold theirs."""
        return {**super().describe(), "here": sorted(on_this_machine(self.real))}

    def conditions(self, place: Place) -> Iterator[Condition]:
        """Yield the descriptions that are compared, and the trained network from each start."""
        for name in self.methods:
            yield Condition(name, {"world": self.scenario, "method": name})
        for name in self.starts:
            yield Condition("network", {"experiment": "starts", "start": name, "method": BEGUN}, "starts", start=name)

    def probes(self, place: Place) -> Iterator[Row]:
        """Yield what the trained network scores on other worlds, and every description on real sets."""
        yield from self.vary(place)
        yield from self.cross_seasons(place)
        for name in on_this_machine(self.real):
            yield from self.on_real(place, name)

    def vary(self, place: Place) -> Iterator[Row]:
        """Vary one difficulty of the world at a time and score the trained network, which is not trained again.

        The people are others than in the comparison of methods, but the same in every setting, on the same
        trajectories. Where the layout has tracklets, the features of a tracklet's pictures are brought to length 1 and
        averaged.
        """
        extractor = place.run(Condition("network")).model
        base = self.world(place.seed).with_(train_people=1)
        for name in self.knobs:
            knob = KNOBS[name]
            for level, changes in knob.levels.items():
                spec = base.with_(**knob.throughout, **changes)
                data = from_world(spec, self.recipe.size, knob.layout, (knob.protocol,))
                by_tracklet = bool((data.query.tracklets >= 0).all())
                scores = data.score(_tracklet_means(extractor) if by_tracklet else extractor).summary()
                yield from score_rows(scores, data.protocol, data=None, experiment="knob", knob=name, level=level)

    def cross_seasons(self, place: Place) -> Iterator[Row]:
        """Train in summer and in winter and test in both: one place, the same cameras; only the clothes differ."""
        worlds = {name: self.world(place.seed).with_(winter=winter) for name, winter in SEASONS.items()}
        data = {name: from_world(spec, self.recipe.size) for name, spec in worlds.items()}
        for source, trained in data.items():
            extractor = Place(self, source, place.seed, {"target": trained}).run(Condition("network")).model
            for target, tested in data.items():
                scores = tested.score(extractor).summary()
                yield from score_rows(scores, PROTOCOL, data=None, experiment="domain", train=source, test=target)

    def on_real(self, place: Place, name: str) -> Iterator[Row]:
        """Score on a real data set.

        First ``unseen``: as fitted on the world, tested on all identities of the data set. Then ``held_out``: fitted on
        the data set's training people, tested on its test people. A published embedder is fitted on neither.
        """

        def decoded(size: tuple[int, int]) -> tuple[DataSet, DataSet]:
            everybody = from_table(across_cameras(load(name)).table(), size, name, train=False)
            return everybody, from_name(name, size, place.seed, (PROTOCOL,))

        everybody, divided = decoded(self.recipe.size)
        held_out = Place(self, name, place.seed, {"target": divided})
        for condition in self.conditions(place):
            dims = {**condition.dims, "world": None, "data": name}
            scores = everybody.score(place.run(condition).model).summary()
            yield from score_rows(scores, PROTOCOL, test="unseen", **dims)
            yield from score_rows(held_out.run(condition).scores, PROTOCOL, test="held_out", **dims)
        if self.embedder:
            extractor, size = published(self.embedder)
            for test, tested in zip(("unseen", "held_out"), decoded(size)):
                scores = tested.score(extractor).summary()
                yield from score_rows(scores, PROTOCOL, test=test, data=name, **PUBLISHED)

    def keep(self, place: Place) -> dict[str, Any]:
        """Keep every description's embeddings of the test."""
        found = {name: place.run(Condition(name)).detail for name in self.methods}
        return {key: values for name, item in found.items() for key, values in item.arrays(name).items()}


def _tracklet_means(extractor: Any) -> Any:
    return lambda pictures: extractor(pictures).normalized().tracklet_means()
