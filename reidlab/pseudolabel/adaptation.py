"""Tables 4.1 and 4.2, Figs. 4.4 and 4.5: from a labelled domain to one without labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from reidlab.data import on_this_machine
from reidlab.data.decoded import DataSet, from_name, from_world
from reidlab.models import ReIDNet
from reidlab.pseudolabel.facts import batch_fact
from reidlab.pseudolabel.learning import features_of
from reidlab.pseudolabel.looking import first_split
from reidlab.pseudolabel.loop import PseudoLabelOptions, run_loop
from reidlab.pseudolabel.notes import along, looped, scored, split_purity, stages
from reidlab.seeding import derive
from reidlab.study import EMBEDDED, Condition, Contrast, Place, Registry, Result, Row, Study, score_rows
from reidlab.training.recipe import picture_extractor
from reidlab.world import WorldSpec
from reidlab.world.scenarios import KIND_CAMERAS, scenario

#: The rows of Table 4.2 that cluster, as changes of the full method.
TABLE: Mapping[str, Mapping[str, Any]] = {
    "baseline": {"homogeneity": False, "mining": False},
    "baseline-pbh": {"homogeneity": True, "mining": False},
    "baseline-icm": {"homogeneity": False, "mining": True},
    "hsr": {"homogeneity": True, "mining": True},
}
FULL = "hsr"

#: The baseline with as large a batch as ICM has, to tell the effect of mining from that of the batch size.
WIDE = "baseline-wide"

#: Those rows and others, not in the dissertation: two of them again with each camera's mean feature subtracted before
#: clustering.
LOOPS: Mapping[str, Mapping[str, Any]] = {
    **TABLE,
    WIDE: TABLE["baseline"],
    "baseline-centred": {**TABLE["baseline"], "centre": True},
    "hsr-centred": {**TABLE["hsr"], "centre": True},
}

#: Pairs that differ in PBH alone; they are compared where something was split.
SPLITTING = (("baseline-pbh", "baseline"), ("hsr", "baseline-icm"))

#: Rows of Table 4.2 and others beside them, by name.
METHODS: Registry[Callable[[Place, Condition], Result]] = Registry("methods")


def source_network(place: Place, condition: Condition) -> ReIDNet:
    """Return the network trained on the source, which all loops of the condition's start begin from."""
    steps = place.budget("starts" if condition.start else "long")["start"]
    seed, recipe = derive(place.seed, "source"), place.recipe(condition)
    return place.shared(
        ("source network", condition.start), lambda: recipe.learn(place.data["source"].train, steps, seed)
    )


@METHODS.add("direct-transfer")
def direct_transfer(place: Place, condition: Condition) -> Result:
    """The source's network, without any training on the target."""
    name = ("direct transfer", condition.start)
    return place.shared(name, lambda: scored(place, source_network(place, condition)))


def _loop(place: Place, condition: Condition) -> Result:
    study, target, steps = place.study, place.target, place.budget(condition.budget)["round"]
    begin, options, seed = (
        source_network(place, condition),
        study.options_of(condition.method),
        derive(place.seed, "loop"),
    )
    return looped(run_loop(begin, target.train, options, place.recipe(condition), steps, seed, test=target))


for _name in LOOPS:
    METHODS.add(_name)(_loop)


@METHODS.add("supervised-initial")
def supervised_initial(place: Place, condition: Condition) -> Result:
    """Trained on the target's labels for as many steps as the source's network."""
    return _supervised(place, condition, place.budget(condition.budget)["start"])


@METHODS.add("supervised")
def supervised(place: Place, condition: Condition) -> Result:
    """Trained on the target's labels for as many steps as the others take in all: the upper bound."""
    budget = place.budget(condition.budget)
    return _supervised(place, condition, budget["start"] + place.study.pseudo_labels.rounds * budget["round"])


def _supervised(place: Place, condition: Condition, steps: int) -> Result:
    return scored(place, place.recipe(condition).learn(place.target.train, steps, derive(place.seed, "target")))


@dataclass(frozen=True, kw_only=True)
class AdaptationStudy(Study):
    """What chapter 4 measures, and on how much.

    A seed stands for a source and a target world of its own and for a training run of each method. All loops begin from
    one network and have the same budget. Steps are those of the training on the source (``start``) and of each
    ``round``; the short budget is that of the rows of Table 4.2 that cluster. Real sets are adapted to with the long
    budget alone.

    Attributes:
        pseudo_labels: the full method; Table 4.2 takes parts of it away.
        methods: rows of Table 4.2 to measure.
        begun: those of them to measure in the worlds from each of the ``starts``.
        source: name of the source's world.
        target: name of the target's world.
        people: identities to train on in either domain; those of the target are unlabelled.
        test_people: identities of the target's test.
        nuisances: dials of both worlds, see :class:`~reidlab.world.Nuisances`. With a scenario's own, a small network
            recognises so few people of the target that clusters of its features are noise for every method.
        real_sources: the real data set that each of the real targets is adapted from; the seed's embedded source for
            those that are not named.
        real_methods: rows to measure on real sets; all where empty.

    Raises:
        ConfigError: a method, a dial or a field of the training's configuration is unknown.
    """

    registry = METHODS
    world_names: ClassVar = {}
    pseudo_labels: PseudoLabelOptions = field(
        default_factory=lambda: PseudoLabelOptions(
            "dbscan-ssg", {"neighbours": 20}, homogeneity=True, mining=True, metric="weighted", rounds=10,
            optimisation={"p": 8, "lr": 5e-4},
        )
    )  # fmt: skip
    methods: Sequence[str] = tuple(METHODS)
    begun: Sequence[str] = ()
    source: str = "standard"
    target: str = "target_domain"
    people: int = 72
    test_people: int = 60
    nuisances: Mapping[str, float] = field(default_factory=lambda: dict(KIND_CAMERAS))
    real_sources: Mapping[str, str] = field(default_factory=dict)
    real_methods: Sequence[str] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        METHODS.check(*self.methods, *self.begun, *self.real_methods)
        self.recipe.config(self.steps["round"], **self.pseudo_labels.optimisation)

    def options_of(self, name: str) -> PseudoLabelOptions:
        """Return the options of a method that clusters."""
        options = self.pseudo_labels.with_(**LOOPS[name])
        if name != WIDE:
            return options
        wide = {"p": 2 * self.recipe.config(1, **options.optimisation).p}
        return options.with_(optimisation={**options.optimisation, **wide})

    def worlds(self, seed: int) -> dict[str, WorldSpec]:
        """Return a seed's source and target."""
        return {
            role: scenario(
                name, seed=derive(seed, "chapter 4", role) % 2**31, train_people=self.people,
                test_people=self.test_people, **self.nuisances,
            )
            for role, name in (("source", self.source), ("target", self.target))
        }  # fmt: skip

    def sources(self, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yield the data measured on, real sources among them."""
        everything = dataclasses.replace(self, real=[*self.real, *self.real_sources.values()])
        return super(AdaptationStudy, everything).sources(seeds)

    def places(self, seeds: Sequence[int]) -> Iterator[tuple[str, int]]:
        """Yield label and seed of every place; a real set is left out where its source is not on this machine."""
        there = {EMBEDDED, *on_this_machine(list(self.real_sources.values()))}
        return (
            (label, seed) for label, seed in super().places(seeds) if self.real_sources.get(label, EMBEDDED) in there
        )

    def load(self, label: str, seed: int) -> dict[str, DataSet]:
        """Return source and target of a place, decoded."""
        size, worlds = self.recipe.size, self.worlds(seed)
        name = self.real_sources.get(label, "")
        return {
            "source": from_name(name, size, seed) if name else from_world(worlds["source"], size),
            "target": from_world(worlds["target"], size) if label == EMBEDDED else from_name(label, size, seed),
        }

    def common(self, place: Place) -> dict[str, Any]:
        """Return what the records call the source."""
        return {"source": self.real_sources.get(place.label, EMBEDDED)}

    def conditions(self, place: Place) -> Iterator[Condition]:
        """Yield the rows of Table 4.2; in the worlds, those that cluster under both budgets, and other starts."""
        if place.label != EMBEDDED:
            yield from map(self.condition, self.real_methods or self.methods)
            return
        yield from map(self.condition, self.methods)
        if "short" in self.budgets:
            yield from (self.condition(name, "short") for name in self.methods if name in TABLE)
        for start in self.starts:
            for name in self.begun:
                yield Condition(name, {"experiment": "starts", "start": start, "method": name}, "starts", start=start)

    def condition(self, name: str, budget: str = "long") -> Condition:
        """Return a row of Table 4.2 under a budget."""
        experiment = "ablation" if budget == "long" else "ablation-short"
        return Condition(name, {"experiment": experiment, "method": name}, budget)

    def contrasts(self, place: Place) -> Iterator[Contrast]:
        """Yield what PBH gains, where it split something."""
        for budget in self.budgets:
            for name, reference in SPLITTING:
                ours, theirs = self.condition(name, budget), self.condition(reference, budget)
                yield Contrast(ours, theirs, {**ours.dims, "reference": reference}, was_split)

    def details(self, place: Place, condition: Condition, result: Result) -> Iterator[Row]:
        """Yield what a network scores on centred features, and what a loop did round by round."""
        if condition.dims["experiment"] != "ablation":
            return
        protocol = place.target.protocol
        if result.scores:
            # A camera's common offset can be subtracted from any network's features.
            found = place.target.score(picture_extractor(result.model), centre=True).summary()
            yield from score_rows(found, protocol, experiment="centred-test")
        if rounds := result.detail:
            yield from along(rounds, direct_transfer(place, condition).scores, protocol)
            yield from stages(rounds)
            yield from split_purity(rounds, place.target.train.pids, place.seed)

    def keep(self, place: Place) -> dict[str, Any]:
        """Keep what the full method did in a world: features before and after, first and last round, and a split."""
        if place.label != EMBEDDED:
            return {}
        found, train = place.run(self.condition(FULL)), place.target.train
        cut, members = first_split(found.detail)
        return {
            "pids": train.pids, "camids": train.camids, "members": members,
            "features_before": features_of(source_network(place, self.condition(FULL)), train.images).whole,
            "features_after": features_of(found.model, train.images).whole,
            **found.detail[0].arrays("first"), **found.detail[-1].arrays("last"), **cut.arrays("cut"),
        }  # fmt: skip

    def facts(self) -> Iterator[Row]:
        """Yield how many pictures the dissertation's batch has (Sec. 4.4.2)."""
        yield batch_fact(p=8, k=4)


def was_split(ours: Result, theirs: Result) -> bool:
    """Return whether PBH split any cluster; if not, the two methods did the same."""
    return any(item.values.get("clusters_split", 0) > 0 for item in ours.detail)
