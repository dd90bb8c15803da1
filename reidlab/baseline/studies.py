"""The measurements of chapter 1, one seed at a time: a world, a training run and everything that is asked of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from reidlab.baseline.knobs import KNOBS
from reidlab.baseline.methods import ColourHistogram, Extractor, Method, Network, TrainedNetwork, UntrainedNetwork
from reidlab.errors import ConfigError, DataError
from reidlab.seeding import derive

if TYPE_CHECKING:
    import pandas as pd

    from reidlab.evaluation.embeddings import Embeddings
    from reidlab.evaluation.retrieval import Scores
    from reidlab.training import TrainConfig
    from reidlab.world import WorldSpec

#: Season of the clothes, as ``WorldSpec.winter`` counts it.
SEASONS = {"summer": 0.0, "winter": 1.0}
PROTOCOL = "market1501"


class Splits(NamedTuple):
    """The three parts of a data set, as sample tables."""

    train: pd.DataFrame
    query: pd.DataFrame
    gallery: pd.DataFrame


@dataclass(frozen=True)
class Outcome:
    """What one method did on one test.

    Attributes:
        scores: under the test's protocol.
        query: embeddings of the query pictures, in the order of their table.
        gallery: embeddings of the gallery pictures, likewise.
        extractor: the fitted method, to be used on other tests.
    """

    scores: Scores
    query: Embeddings
    gallery: Embeddings
    extractor: Extractor


@dataclass(frozen=True)
class Measured:
    """Everything measured for one seed.

    Attributes:
        data: the seed's world.
        outcomes: of each method on it, by name.
        rows: the values as keyword arguments of ``run.record``.
    """

    data: Splits
    outcomes: dict[str, Outcome]
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Study:
    """What chapter 1 measures, and on how much.

    A seed stands for a world of its own (people, cameras, walks) and for a training run in it. All networks of a study
    have the same size and the same budget.

    Attributes:
        config: of every training run.
        network: size of the network.
        scenario: name of the world.
        people: identities to train on, and as many others to test on.
        cameras: of the world.
        knobs: names of the knobs to turn, see :data:`~reidlab.baseline.knobs.KNOBS`.
        real: names of real data sets to measure on as well, as the catalogue knows them.

    Raises:
        ConfigError: there is no such knob.
    """

    config: TrainConfig
    network: Network = field(default_factory=Network)
    scenario: str = "standard"
    people: int = 80
    cameras: int = 5
    knobs: Sequence[str] = tuple(KNOBS)
    real: Sequence[str] = ()

    def __post_init__(self) -> None:
        if unknown := [name for name in self.knobs if name not in KNOBS]:
            raise ConfigError(f"knobs: there is none called {unknown[0]!r}; choose from {', '.join(KNOBS)}")

    def world(self, seed: int) -> WorldSpec:
        """Return a seed's world."""
        from reidlab.world.scenarios import scenario

        return scenario(
            self.scenario, seed=derive(seed, "chapter 1 world") % 2**31, train_people=self.people,
            test_people=self.people, cameras=self.cameras,
        )  # fmt: skip

    @property
    def trained(self) -> TrainedNetwork:
        """The network that is trained."""
        return TrainedNetwork(self.config, self.network)

    @property
    def methods(self) -> list[Method]:
        """The descriptions that are compared."""
        return [ColourHistogram(), UntrainedNetwork(self.config, self.network), self.trained]

    def measure(self, seed: int) -> Measured:
        """Measure everything for one seed."""
        from reidlab.data import load_world

        data = splits(load_world(self.world(seed)))
        outcomes = compare(self.methods, data, seed)
        rows = [
            row
            for name, outcome in outcomes.items()
            for row in _rows(outcome.scores, seed, data="embedded", world=self.scenario, method=name)
        ]
        for knob, level, scores in self.turn_knobs(outcomes[self.trained.name].extractor, seed):
            rows += _rows(scores, seed, experiment="knob", knob=knob, level=level)
        for source, target, scores in self.cross_seasons(seed):
            rows += _rows(scores, seed, experiment="domain", train=source, test=target)
        for name in self.real:
            for test, method, scores in self.on_real(name, outcomes, seed):
                rows += _rows(scores, seed, data=name, test=test, method=method)
        return Measured(data, outcomes, rows)

    def turn_knobs(self, extractor: Extractor, seed: int) -> Iterator[tuple[str, str, Scores]]:
        """Turn one knob of the seed's world at a time and score a fitted method, which is not fitted again.

        The people are others than in the comparison of methods, but the same in every setting, and walk the same ways.

        Yields:
            Knob, level and scores.
        """
        base = self.world(seed).with_(train_people=1)
        for name in self.knobs:
            knob = KNOBS[name]
            for level, changes in knob.levels.items():
                spec = base.with_(**knob.throughout, **changes)
                yield name, level, evaluate_on(extractor, spec, knob.protocol, knob.layout)

    def cross_seasons(self, seed: int) -> Iterator[tuple[str, str, Scores]]:
        """Train in summer and in winter and test in both: one place, the same cameras; only what people wear differs.

        Yields:
            Season of the training, season of the test, and scores on people nobody trained on.
        """
        from reidlab.data import load_world

        data = {name: splits(load_world(self.world(seed), winter=winter)) for name, winter in SEASONS.items()}
        for source in SEASONS:
            extractor = self.trained.fit(data[source].train, seed)
            for target, part in data.items():
                yield source, target, score(extractor, part.query, part.gallery).scores

    def on_real(self, name: str, outcomes: dict[str, Outcome], seed: int) -> Iterator[tuple[str, str, Scores]]:
        """Score on a real data set.

        Yields:
            First ``unseen``, method, scores: as fitted on the world, tested on everybody of the data set. Then
            ``held_out``, method, scores: fitted on the data set's training people, tested on its test people.
        """
        from reidlab.data import across_cameras, load

        table = load(name)
        _, query, gallery = across_cameras(table)
        for method, outcome in outcomes.items():
            yield "unseen", method, score(outcome.extractor, query, gallery).scores
        for method, outcome in compare(self.methods, splits(table), seed).items():
            yield "held_out", method, outcome.scores


def splits(table: pd.DataFrame) -> Splits:
    """Cut a sample table into training, query and gallery rows, each numbered from 0.

    Raises:
        DataError: a split has no rows.
    """
    parts = [table[table["split"] == name].reset_index(drop=True) for name in Splits._fields]
    for name, part in zip(Splits._fields, parts):
        if part.empty:
            raise DataError(f"{table.attrs.get('dataset', 'table')}: split {name!r} has no pictures")
    return Splits(*parts)


def score(extractor: Extractor, query: pd.DataFrame, gallery: pd.DataFrame, protocol: str = PROTOCOL) -> Outcome:
    """Embed query and gallery and evaluate them under a named protocol."""
    from reidlab.evaluation.retrieval import evaluate

    queries, galleries = extractor(query), extractor(gallery)
    return Outcome(evaluate(queries, galleries, protocol), queries, galleries, extractor)


def compare(methods: Sequence[Method], data: Splits, seed: int, protocol: str = PROTOCOL) -> dict[str, Outcome]:
    """Fit every method on the same training rows and score it on the same test.

    Returns:
        Outcomes by the methods' names, in their order.
    """
    return {m.name: score(m.fit(data.train, seed), data.query, data.gallery, protocol) for m in methods}


def evaluate_on(extractor: Extractor, spec: WorldSpec, protocol: str = PROTOCOL, layout: str = "market1501") -> Scores:
    """Score a fitted method on the test people of a world, whatever world it was fitted on.

    Where the layout has tracklets, the features of a tracklet's pictures are brought to length 1 and averaged.
    """
    from reidlab.data import load_world
    from reidlab.evaluation.retrieval import evaluate

    _, query, gallery = splits(load_world(spec, layout))
    parts = [extractor(part) for part in (query, gallery)]
    if (query["tracklet"] >= 0).all():
        parts = [part.normalized().tracklet_means() for part in parts]
    return evaluate(*parts, protocol)


def _rows(scores: Scores, seed: int, **dims: str) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": value, "seed": seed, "protocol": scores.protocol, **dims}
        for key, value in scores.summary().items()
    ]
