"""Tables 3.1 to 3.6 and Figs. 3.3 to 3.6: learning from a few labelled identities and many pictures of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd

from reidlab.data.decoded import DataSet, Pictures, from_name
from reidlab.data.splits import LabelledSplit, divide_labels
from reidlab.errors import ConfigError
from reidlab.evaluation.clustering import agreement
from reidlab.models import ReIDNet
from reidlab.pseudolabel.facts import batch_fact, data_set_facts
from reidlab.pseudolabel.learning import features_of, learn_augmented
from reidlab.pseudolabel.loop import PseudoLabelOptions, run_loop
from reidlab.pseudolabel.notes import along, looped, row_of, scored, searched
from reidlab.pseudolabel.selection import distance_threshold
from reidlab.seeding import derive
from reidlab.study import EMBEDDED, Condition, Contrast, Place, Registry, Result, Row, Study, gain_rows, score_rows
from reidlab.study.published import PUBLISHED, published
from reidlab.training.recipe import picture_extractor
from reidlab.world import WorldSpec
from reidlab.world.scenarios import KIND_CAMERAS, scenario

#: The rows of Table 3.2 that cluster, as changes of the full method; and one more, not in the dissertation, whose
#: threshold begins at half of tau_l, where it leaves pictures out (see ``PseudoLabelOptions.reach``).
LOOPS: Mapping[str, Mapping[str, Any]] = {
    "ap-hard": {"clusterer": "ap", "soft": False, "progressive": False},
    "ap-soft": {"clusterer": "ap", "soft": True, "progressive": False},
    "ap-progressive": {"clusterer": "ap", "soft": True, "progressive": True},
    "sgc-dpl": {"clusterer": "sg-ap", "soft": True, "progressive": True},
    "ap-progressive-half": {"clusterer": "ap", "soft": True, "progressive": True, "reach": 0.5},
}
FULL, UPPER_BOUND, FIRST_ROUND = "sgc-dpl", "supervised", "first-round"

#: Pairs that differ in the selection alone; they are compared where some picture was left out.
SELECTING = (("ap-progressive", "ap-soft"), ("ap-progressive-half", "ap-soft"))
#: Differences that the ledger needs: a method and its reference.
GAINS = (
    (FULL, UPPER_BOUND), (FULL, "labelled-only"), (FULL, "ap-progressive"), ("init", "labelled-only"),
)  # fmt: skip
#: Protocol of retrieval without cameras, where clusters of the test's features are scored too (Table 3.6).
RETRIEVAL = "leave-one-out"
#: The round after which the dissertation finds nothing more to gain (Sec. 3.4.9).
CONVERGED = 5

#: Smallest distances per picture whose mean is DBSCAN's radius: SSG's share of all pairs at Market-1501's size.
NEAREST = 20
#: What clusters the first round of Table 3.4, with the options of each; K-means and agglomerative clustering, which
#: the table lacks, are given the true number of identities.
CLUSTERERS = ("ap", "dbscan", "dbscan-ssg", "kmeans", "agglomerative")
#: What is recorded of that round.
_OF_CLUSTERS = ("clusters", "outliers", "v_measure", "ami", "ami_all", "ari", "purity", "camera_purity")

#: Rows of Table 3.2 by name; those that do not cluster train once, for as many steps as the others do in all.
METHODS: Registry[Callable[[Place, Condition], Result]] = Registry("methods")


class Division(NamedTuple):
    """The labelled and the unlabelled identities of a place.

    Attributes:
        split: identities of both parts.
        labelled: pictures of the labelled identities.
        unlabelled: pictures of the other identities.
    """

    split: LabelledSplit
    labelled: Pictures
    unlabelled: Pictures


def division(place: Place, setting: str) -> Division:
    """Return a place's division into labelled and unlabelled identities under a setting such as ``1/6``."""

    def divide() -> Division:
        train = place.target.train
        split = divide_labels(train.pids, setting, place.seed)
        return Division(split, *(train.select(rows) for rows in split.rows(train.pids)))

    return place.shared(("division", setting), divide)


def augmented(place: Place, condition: Condition) -> ReIDNet:
    """Return the network that all loops start from, initialised with the augmented triplet loss (Sec. 3.3.1)."""
    steps = place.budget("starts" if condition.start else "long")["start"]
    key = ("augmented", condition.options["labelled"], condition.start, steps)
    return place.shared(key, lambda: _augmented(place, condition, steps))


def _augmented(place: Place, condition: Condition, steps: int) -> ReIDNet:
    setting = condition.options["labelled"]
    _, labelled, unlabelled = division(place, setting)
    seed = derive(place.seed, "augmented", setting)
    return learn_augmented(place.recipe(condition), labelled, unlabelled, steps, seed)


def _labelled_only(place: Place, condition: Condition, steps: int) -> ReIDNet:
    setting = condition.options["labelled"]
    return place.recipe(condition).learn(
        division(place, setting).labelled, steps, derive(place.seed, "labelled", setting)
    )


@METHODS.add("labelled-only")
def labelled_only(place: Place, condition: Condition) -> Result:
    """Trained on the true labels of the labelled pictures alone."""
    return scored(place, _labelled_only(place, condition, place.study.total(condition.budget)))


@METHODS.add("init")
def init(place: Place, condition: Condition) -> Result:
    """Trained on true labels with the augmented triplet loss, without clusters."""
    return scored(place, _augmented(place, condition, place.study.total(condition.budget)))


def _loop(place: Place, condition: Condition) -> Result:
    options = place.study.pseudo_labels.with_(**LOOPS[condition.method])
    if options.clusterer != place.study.pseudo_labels.clusterer:
        options = options.with_(options={})
    return _run(place, condition, augmented(place, condition), options, "loop")


for _name in LOOPS:
    METHODS.add(_name)(_loop)


@METHODS.add(UPPER_BOUND)
def supervised(place: Place, condition: Condition) -> Result:
    """Trained on the true labels of all pictures: the upper bound."""
    steps, seed = place.study.total(condition.budget), derive(place.seed, "supervised")
    return scored(place, place.recipe(condition).learn(place.target.train, steps, seed))


def first_round(place: Place, condition: Condition) -> Result:
    """One round of hard labels by another clusterer, from the network of the labelled pictures alone (Table 3.4)."""
    setting, clusterer = condition.options["labelled"], condition.options["clusterer"]
    given: dict[str, Any] = {"neighbours": NEAREST} if clusterer == "dbscan-ssg" else {}
    if clusterer in ("kmeans", "agglomerative"):
        given = {"n_clusters": len(division(place, setting).split.unlabelled)}
    start = place.shared(("plain", setting), lambda: _labelled_only(place, condition, place.budget("long")["start"]))
    whole = place.study.pseudo_labels
    options = PseudoLabelOptions(clusterer, given, rounds=1, metric=whole.metric, optimisation=whole.optimisation)
    found = _run(place, condition, start, options, "first round")
    scores = {name: found.scores[name] for name in ("rank1", "mAP") if name in found.scores}
    return Result(scores, found.model, found.detail)


def _run(place: Place, condition: Condition, start: ReIDNet, options: PseudoLabelOptions, key: str) -> Result:
    setting = condition.options["labelled"]
    _, labelled, unlabelled = division(place, setting)
    steps, seed = place.budget(condition.budget)["round"], derive(place.seed, key, setting)
    recipe, test = place.recipe(condition), place.target
    return looped(run_loop(start, unlabelled, options, recipe, steps, seed, labelled=labelled, test=test))


@dataclass(frozen=True, kw_only=True)
class SemiSupervisedStudy(Study):
    """What chapter 3 measures, and on how much.

    A seed stands for a world of its own, for a division of its identities and for a training run of each method. All
    methods take as many steps: those that do not cluster train on true labels for as long as the others do in all.
    Steps are those of the first training (``start``) and of each ``round``; the short budget is for the first setting's
    methods, all but the upper bound. Real sets are measured in the first setting with the long budget alone where
    ``real_methods`` names their methods.

    Attributes:
        pseudo_labels: the full method; Table 3.2 takes parts of it away.
        methods: rows of Table 3.2 to measure in the first setting.
        settings: shares of labelled identities; the first is measured with all methods.
        elsewhere: methods to measure in the other settings, of those in the first.
        clusterers: of Table 3.4, measured in the first setting.
        begun: methods to measure in the first setting, in the worlds, from each start.
        real_methods: methods to measure on real sets; everything where empty.
        scenario: name of the world.
        people: identities to train on.
        test_people: identities of the test.
        nuisances: dials of the world, see :class:`~reidlab.world.Nuisances`.

    Raises:
        ConfigError: a method, a dial or a field of the training's configuration is unknown, or there is no setting.
    """

    registry: ClassVar = {**METHODS, FIRST_ROUND: first_round}
    pseudo_labels: PseudoLabelOptions = field(
        default_factory=lambda: PseudoLabelOptions("sg-ap", soft=True, progressive=True)
    )
    methods: Sequence[str] = tuple(METHODS)
    settings: Sequence[str] = ("1/6",)
    elsewhere: Sequence[str] = ("labelled-only", FULL)
    clusterers: Sequence[str] = CLUSTERERS
    begun: Sequence[str] = ("labelled-only", FULL, UPPER_BOUND)
    real_methods: Sequence[str] = ()
    scenario: str = "standard"
    people: int = 72
    test_people: int = 60
    nuisances: Mapping[str, float] = field(default_factory=lambda: dict(KIND_CAMERAS))

    def __post_init__(self) -> None:
        super().__post_init__()
        METHODS.check(*self.methods, *self.elsewhere, *self.begun, *self.real_methods)
        self.recipe.config(self.steps["round"], **self.pseudo_labels.optimisation)
        if not self.settings:
            raise ConfigError("settings: expected at least one share of labelled identities, such as 1/6")

    def total(self, budget: str) -> int:
        """Return the training steps of every method: the first training and all rounds."""
        steps = self.budget(budget)
        return steps["start"] + self.pseudo_labels.rounds * steps["round"]

    def world(self, seed: int) -> WorldSpec:
        """Return a seed's world."""
        return scenario(
            self.scenario, seed=derive(seed, "chapter 3 world") % 2**31, train_people=self.people,
            test_people=self.test_people, **self.nuisances,
        )  # fmt: skip

    def condition(self, name: str, setting: str, budget: str = "long") -> Condition:
        """Return a row of Table 3.2 under a setting; the upper bound is the same under all."""
        where = {} if name == UPPER_BOUND else {"labelled": setting}
        experiment = "ablation" if budget == "long" else "ablation-short"
        return Condition(name, {"experiment": experiment, "method": name, **where}, budget, where)

    def begun_at(self, start: str, name: str) -> Condition:
        """Return a row of Table 3.2 from a start."""
        plain = self.condition(name, self.settings[0])
        dims = {**plain.dims, "experiment": "starts", "start": start}
        return Condition(name, dims, "starts", plain.options, start)

    def clustering(self, name: str) -> Condition:
        """Return a row of Table 3.4."""
        where = {"clusterer": name, "labelled": self.settings[0]}
        return Condition(FIRST_ROUND, {"experiment": "clusterers", **where}, options=where)

    def conditions(self, place: Place) -> Iterator[Condition]:
        """Yield the rows of Table 3.2 in every setting, under both budgets and from each start, and those of Table 3.4.

        Of a real set, those that are chosen for it.
        """
        first, *others = self.settings
        if place.label != EMBEDDED and self.real_methods:
            yield from (self.condition(name, first) for name in self.real_methods)
            return
        yield from (self.condition(name, first) for name in self.methods)
        for setting in others:
            names = [name for name in self.methods if name in self.elsewhere and name != UPPER_BOUND]
            yield from (self.condition(name, setting) for name in names)
        if "short" in self.budgets:
            yield from (self.condition(name, first, "short") for name in self.methods if name != UPPER_BOUND)
        yield from (self.clustering(name) for name in self.clusterers)
        if place.label == EMBEDDED:
            yield from (self.begun_at(start, name) for start in self.starts for name in self.begun)

    def contrasts(self, place: Place) -> Iterator[Contrast]:
        """Yield the gain of each part; of progressive selection only where it left out some picture."""

        def contrast(pair: tuple[str, str], setting: str, budget: str = "long", when: Any = None) -> Contrast:
            ours, theirs = (self.condition(name, setting, budget) for name in pair)
            return Contrast(ours, theirs, {**ours.dims, "reference": theirs.method}, when)

        for setting in self.settings:
            yield from (contrast(pair, setting) for pair in GAINS)
            yield from (contrast(pair, setting, when=held_back) for pair in SELECTING)
        if "short" in self.budgets:
            yield from (contrast(pair, self.settings[0], "short", held_back) for pair in SELECTING)
        ours = self.clustering("dbscan-ssg")
        yield Contrast(ours, self.clustering("ap"), {**ours.dims, "reference": "ap"})

    def details(self, place: Place, condition: Condition, result: Result) -> Iterator[Row]:
        """Yield what a loop did round by round, what clusters a clusterer found, and NMI where there are no cameras."""
        experiment, setting = condition.dims["experiment"], condition.options.get("labelled")
        protocol = place.target.protocol
        if experiment == "clusterers":
            values = result.detail[0].values
            yield row_of("identities", len(division(place, setting).split.unlabelled))
            yield from (row_of(name, values[name]) for name in _OF_CLUSTERS if name in values)
        if experiment != "ablation":
            return
        if protocol == RETRIEVAL:
            yield row_of("NMI", normalised_mutual_information(result.model, place.target, place.seed))
        if rounds := result.detail:
            start = place.shared(("start", setting), lambda: scored(place, augmented(place, condition)))
            yield from along(rounds, start.scores, protocol)
            yield from searched(rounds, len(division(place, setting).split.labelled))
            if len(rounds) > CONVERGED:
                dims = {"iteration": len(rounds), "reference": f"iteration-{CONVERGED}"}
                late = rounds[CONVERGED - 1].values
                yield from gain_rows(result.scores, late, protocol, experiment="iterations", **dims)

    def probes(self, place: Place) -> Iterator[Row]:
        """Yield what a published embedder scores on a real set, at its own picture size."""
        if self.embedder and place.label != EMBEDDED:
            extractor, size = published(self.embedder)
            test = from_name(place.label, size, place.seed, place.target.protocols)
            yield from score_rows(test.score(extractor).summary(), test.protocol, **PUBLISHED)

    def keep(self, place: Place) -> dict[str, Any]:
        """Keep what the full method did in a world: distances of pairs, the search, first and last round."""
        if place.label != EMBEDDED:
            return {}
        setting = self.settings[0]
        split, labelled, unlabelled = division(place, setting)
        full = self.condition(FULL, setting)
        found, start = place.run(full), augmented(place, full)
        pairs = distance_threshold(features_of(start, labelled.images).whole, labelled.pids)
        first, last = found.detail[0], found.detail[-1]
        return {
            "positive": pairs.positive, "negative": pairs.negative, "tau": pairs.value,
            "labelled": np.array(split.labelled), "rows": split.rows(place.target.train.pids)[1],
            "pids": unlabelled.pids, "camids": unlabelled.camids, "trace": pd.DataFrame(first.trace),
            "features_before": features_of(start, unlabelled.images).whole,
            "features_after": features_of(found.model, unlabelled.images).whole,
            **first.arrays("first"), **last.arrays("last"),
        }  # fmt: skip

    def facts(self) -> Iterator[Row]:
        """Yield counts of the dissertation's data sets, and how many pictures its batch has (Sec. 3.4.3)."""
        yield from data_set_facts()
        yield batch_fact(p=16, k=4)


def held_back(ours: Result, theirs: Result) -> bool:
    """Return whether progressive selection left out any picture; if not, the two methods did the same."""
    return any(((item.labels >= 0) & ~item.selected).any() for item in ours.detail)


def normalised_mutual_information(model: ReIDNet, data: DataSet, seed: int) -> float:
    """Return how well clusters of the gallery's features agree with its classes (NMI of Table 3.6).

    As retrieval on CUB-200 does it: K-means with the true number of classes on features of unit length.

    Args:
        model: the network.
        data: its gallery is clustered.
        seed: of K-means.
    """
    from sklearn.cluster import KMeans

    found = picture_extractor(model)(data.gallery).normalized()
    clusters = KMeans(len(np.unique(found.pids)), n_init=3, random_state=seed % 2**32).fit(found.features).labels_
    return agreement(found.pids, clusters).nmi
