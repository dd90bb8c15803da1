"""Real pictures without labels: what the loop makes of a published embedder, of ImageNet and of the embedded world.

The loop is that of ``reidlab learn``: Table 4.2's rows with each camera's mean feature taken out before clustering.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from torch import nn

from reidlab.checks import check_choice, check_integer
from reidlab.data import embedder_file, on_this_machine
from reidlab.data.decoded import DataSet, from_name
from reidlab.evaluation import evaluate
from reidlab.evaluation.centring import centred
from reidlab.models import EmbedderNet, ReIDNet, read_onnx
from reidlab.pseudolabel.adaptation import TABLE
from reidlab.pseudolabel.learning import expanded
from reidlab.pseudolabel.loop import PseudoLabelOptions, Round, run_loop
from reidlab.pseudolabel.notes import along
from reidlab.pseudolabel.unlabelled import (
    EMBEDDER_PEOPLE,
    EMBEDDER_RATE,
    IMAGENET_SIZE,
    PEOPLE,
    RATE,
    hsr,
    source_world,
    world_network,
)
from reidlab.seeding import derive
from reidlab.study import Condition, Place, Registry, Result, Row, Study, score_rows
from reidlab.study.sheets import Retrieval
from reidlab.training.determinism import seeded
from reidlab.training.recipe import Recipe, picture_extractor, starts_here
from reidlab.world import WorldSpec

#: Gallery rules under which every network is scored; features have length 1 under both, so that these differ alone.
RULES = ("cross-camera", "market1501")
#: What the records call the experiment, and the same networks tested with each camera's mean feature taken out.
EXPERIMENT, CENTRED = "real", "real-centred"
#: Where the network begins: a published embedder's file, people of the embedded world, these after ImageNet's weights,
#: or ImageNet's weights alone.
STARTS = ("embedder", "world", "imagenet-world", "imagenet")

#: Rows of the starts that are no published embedder.
SHORT = ("start", "hsr", "supervised")

#: Rows by name.
METHODS: Registry[Callable[[Place, Condition], Result]] = Registry("methods")


class Adapted(NamedTuple):
    """What a row has beside its scores.

    Attributes:
        scores: by rule, and whether the test was centred.
        rounds: of its loop; empty where there was none.
        minutes: of its training, with the scores after each round.
    """

    scores: Mapping[tuple[str, bool], Mapping[str, float]]
    rounds: Sequence[Round]
    minutes: float


@METHODS.add("start")
def start(place: Place, condition: Condition) -> Result:
    """The network as the loops begin with it."""
    return place.shared("start result", lambda: _timed(place, lambda: (_start(place), ())))


def _loop(place: Place, condition: Condition) -> Result:
    study, target = place.study, place.target
    options, seed = study.options_of(condition.method, target), derive(place.seed, "loop")
    begin, steps = _start(place), place.budget(condition.budget)["round"]

    def adapted() -> tuple[ReIDNet, Sequence[Round]]:
        found = run_loop(begin, target.train, options, study.recipe, steps, seed, test=target)
        return found.model, found.rounds

    return _timed(place, adapted)


for _name in TABLE:
    METHODS.add(_name)(_loop)


@METHODS.add("supervised")
def supervised(place: Place, condition: Condition) -> Result:
    """The same start trained on the labels, for as many steps as a loop takes in all, in batches as large."""
    study, train, seed = place.study, place.target.train, derive(place.seed, "target")
    options = study.options_of("baseline", place.target)
    begin, steps = _start(place), options.rounds * place.budget(condition.budget)["round"]

    def labelled() -> tuple[ReIDNet, Sequence[Round]]:
        model = expanded(begin, train.identities, 0, seed)
        optimisation = {**options.optimisation, "p": min(options.optimisation["p"], train.identities)}
        return study.recipe.fit(model, train, steps, seed, **optimisation).model, ()

    return _timed(place, labelled)


def _start(place: Place) -> ReIDNet:
    return place.shared("start", lambda: place.study.begin(place.seed))


def _timed(place: Place, work: Callable[[], tuple[ReIDNet, Sequence[Round]]]) -> Result:
    """Return a row's scores under both rules, with its rounds and its minutes."""
    clock = time.perf_counter()
    model, rounds = work()
    minutes = (time.perf_counter() - clock) / 60
    scores = scores_by_rule(model, place.target)
    return Result(scores[RULES[0], False], model, Adapted(scores, rounds, minutes))


def scores_by_rule(model: nn.Module, test: DataSet) -> dict[tuple[str, bool], dict[str, float]]:
    """Return a network's scores by gallery rule, as it is and with each camera's mean feature taken out.

    Args:
        model: the network.
        test: every picture of whose test is a query, see :meth:`~reidlab.data.decoded.DataSet.whole_test`.
    """
    extractor = picture_extractor(model)
    found = Retrieval.of(test, lambda pictures: extractor(pictures).normalized())
    parts = {False: found, True: centred(*found)}
    return {(rule, how): evaluate(*parts[how], rule).summary() for how in parts for rule in RULES}


@dataclass(frozen=True, kw_only=True)
class RealPicturesStudy(Study):
    """What chapter 4 measures on real pictures from one start, on the people of a set's test.

    A seed stands for a training run of each row, and for a source world where there is one; a set that has no division
    of its own is divided by it.

    Attributes:
        name: of the start, one of :data:`STARTS`.
        rounds: of clustering and training.
        methods: rows to measure.
        changes: fields of the loop's options that differ from those of ``reidlab learn``.

    Raises:
        ConfigError: a start or a method is unknown, there is no round, or a field is not allowed.
    """

    registry = METHODS
    world_names: ClassVar = {"source": "embedded source of the real pictures' networks"}
    name: str = "embedder"
    rounds: int = 4
    methods: Sequence[str] = tuple(METHODS)
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("name", self.name, STARTS)
        check_integer("rounds", self.rounds, 1)
        METHODS.check(*self.methods)

    def worlds(self, seed: int) -> dict[str, WorldSpec]:
        """Return the source, where the network is first trained on one."""
        return {"source": source_world(self.recipe, self.steps["start"], seed)} if "start" in self.steps else {}

    def places(self, seeds: Sequence[int]) -> Iterator[tuple[str, int]]:
        """Yield label and seed of every real set on this machine."""
        return ((label, seed) for label in on_this_machine(self.real) for seed in seeds)

    def load(self, label: str, seed: int) -> dict[str, DataSet]:
        """Return a real set; every picture of its test is a query."""
        return {"target": from_name(label, self.recipe.size, seed).whole_test(RULES)}

    def begin(self, seed: int) -> ReIDNet:
        """Return the network that all rows begin with."""
        if self.embedder:
            with seeded(derive(seed, "initial weights", "neck")):
                return EmbedderNet(read_onnx(self.embedder, trainable=True), 2)
        if "start" in self.steps:
            return world_network(self.recipe, self.steps["start"], seed)
        return self.recipe.network(2, seed)

    def options_of(self, method: str, target: DataSet) -> PseudoLabelOptions:
        """Return the options of a row that clusters: those of ``reidlab learn``, and the row's part of HSR."""
        train, known = target.train, bool(self.embedder)
        pace = {"rate": EMBEDDER_RATE if known else RATE, "people": EMBEDDER_PEOPLE if known else PEOPLE}
        found = hsr(len(train), len(np.unique(train.camids)), rounds=self.rounds, **pace)
        return found.with_(**TABLE[method]).with_(**self.changes)

    def conditions(self, place: Place) -> Iterator[Condition]:
        """Yield the rows."""
        for name in self.methods:
            yield Condition(name, {"experiment": EXPERIMENT, "start": self.name, "method": name})

    def details(self, place: Place, condition: Condition, result: Result) -> Iterator[Row]:
        """Yield scores under the other rule and on centred features, minutes, and what a loop did round by round."""
        found: Adapted = result.detail
        for (rule, how), scores in found.scores.items():
            if how or rule != RULES[0]:
                yield from score_rows(scores, rule, experiment=CENTRED if how else EXPERIMENT)
        yield {"key": "minutes", "value": found.minutes, "unit": "minutes", "timing": True}
        if found.rounds:
            yield from along(found.rounds, start(place, condition).scores, RULES[0])


def studies_here(
    starts: Sequence[str],
    sets: Sequence[str],
    steps: Mapping[str, int],
    rounds: int,
    embedder: str = "",
    say: Callable[[str], None] = print,
) -> list[RealPicturesStudy]:
    """Return a study for each start that can be measured on this machine.

    Args:
        starts: names of :data:`STARTS`.
        sets: names of real sets, as the catalogue knows them.
        steps: training steps of each ``round``, and of the network's training on the embedded world (``start``).
        rounds: of clustering and training.
        embedder: file of the published embedder, see :func:`~reidlab.data.embedder_file`.
        say: gets a line on what is left out.

    Raises:
        ConfigError: a start is unknown, or a number is out of range.
        DataError: a file of weights cannot be read.
    """
    for name in starts:
        check_choice("real_starts", name, STARTS)
    if starts and not on_this_machine(list(sets)):
        say(f"learning from real pictures is left out: {', '.join(sets) or 'no set'} is not on this machine")
        return []
    out = []
    for name in starts:
        recipe: Recipe | None = Recipe()
        file = embedder_file(embedder, say) if name == "embedder" else None
        if name == "embedder":
            recipe = Recipe(read_onnx(file).size) if file else None
        elif name.startswith("imagenet"):
            recipe = starts_here(["imagenet"], Recipe(IMAGENET_SIZE), say).get("imagenet")
        if recipe is not None:
            given = {what: count for what, count in steps.items() if what != "start" or name.endswith("world")}
            rows = tuple(METHODS) if name == "embedder" else SHORT
            out.append(
                RealPicturesStudy(
                    recipe=recipe, steps=given, real=tuple(sets), embedder=str(file or ""), name=name, rounds=rounds,
                    methods=rows,
                )
            )  # fmt: skip
    return out
