"""Tables 3.1 to 3.6 and Figs. 3.3 to 3.6: learning from a few labelled identities and many pictures of others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reidlab.data.splits import LabelledSplit, divide_labels
from reidlab.errors import ConfigError
from reidlab.pseudolabel.domains import KIND, Domain, Pictures, embedded, real
from reidlab.pseudolabel.learning import Learner
from reidlab.pseudolabel.loop import Course, Recipe, run_loop
from reidlab.pseudolabel.notes import Row, along, final_scores, gain, row_of, scores_of, searched
from reidlab.seeding import derive

if TYPE_CHECKING:
    from reidlab.models import ReIDNet
    from reidlab.world import WorldSpec

#: The rows of Table 3.2 that cluster, as changes of the full method; and one more, not in the dissertation, whose
#: threshold begins at half of tau_l, where it holds something back (see ``Recipe.reach``).
LOOPS: Mapping[str, Mapping[str, Any]] = {
    "ap-hard": {"clusterer": "ap", "soft": False, "progressive": False},
    "ap-soft": {"clusterer": "ap", "soft": True, "progressive": False},
    "ap-progressive": {"clusterer": "ap", "soft": True, "progressive": True},
    "sgc-dpl": {"clusterer": "sg-ap", "soft": True, "progressive": True},
    "ap-progressive-half": {"clusterer": "ap", "soft": True, "progressive": True, "reach": 0.5},
}

#: The rows of Table 3.2 that train once, on true labels.
ONCE = ("labelled-only", "init", "supervised")
METHODS = (*ONCE[:2], *LOOPS, ONCE[2])
#: Pairs that differ in the selection alone; they are compared where some picture was held back.
SELECTING = (("ap-progressive", "ap-soft"), ("ap-progressive-half", "ap-soft"))

#: Differences that the ledger asks for: a method and what it is held against.
GAINS = (
    ("sgc-dpl", "supervised"), ("sgc-dpl", "labelled-only"), ("sgc-dpl", "ap-progressive"), ("init", "labelled-only"),
)  # fmt: skip
#: Protocol of retrieval without cameras, where clusters of the test's features are scored too (Table 3.6).
RETRIEVAL = "leave-one-out"
#: The round after which the dissertation finds nothing more to gain (Sec. 3.4.9).
CONVERGED = 5

#: Smallest distances per picture whose mean is DBSCAN's radius: SSG's share of all pairs at Market-1501's size.
NEIGHBOURS = 20
#: What clusters the first round of Table 3.4, with the options of each; K-means and agglomerative clustering, which
#: the table lacks, are told the true number of identities.
CLUSTERERS = ("ap", "dbscan", "dbscan-ssg", "kmeans", "agglomerative")


@dataclass(frozen=True, eq=False)
class Start:
    """What all methods of one division begin from.

    Attributes:
        split: who is labelled.
        labelled: their pictures.
        unlabelled: everybody else's.
        plain: network trained on the labelled pictures alone.
        augmented: network initialised with the augmented triplet loss (Sec. 3.3.1).
    """

    split: LabelledSplit
    labelled: Pictures
    unlabelled: Pictures
    plain: ReIDNet
    augmented: ReIDNet


@dataclass(frozen=True, eq=False)
class Measured:
    """Everything measured for one seed.

    Attributes:
        data: the seed's world.
        starts: by setting.
        courses: of each method that clusters, by setting and name.
        rows: one mapping per record.
    """

    data: Domain
    starts: dict[str, Start]
    courses: dict[tuple[str, str], Course]
    rows: list[Row]


@dataclass(frozen=True)
class SemiSupervisedStudy:
    """What notebook 03 measures, and on how much.

    A seed stands for a world of its own, for a division of its identities and for a training run of each method. All
    methods take as many steps: those that do not cluster train on true labels for as long as the others do in all.

    Attributes:
        learner: network and budgets.
        recipe: the full method; Table 3.2 takes parts of it away.
        methods: rows of Table 3.2 to measure in the first setting.
        settings: shares of labelled identities; the first is measured with all methods.
        elsewhere: methods to measure in the other settings, of those in the first.
        clusterers: of Table 3.4, measured in the first setting.
        scenario: name of the world.
        people: identities to train on.
        test_people: identities of the test.
        short: training steps of each round in a second, short budget, with which the methods of the first setting are
            measured again, all but the upper bound; None leaves it out.
        nuisances: dials of the world, see :class:`~reidlab.world.Nuisances`.

    Raises:
        ConfigError: a method or a dial is unknown, or the short budget is no budget.
    """

    learner: Learner = field(default_factory=Learner)
    recipe: Recipe = field(default_factory=lambda: Recipe("sg-ap", soft=True, progressive=True))
    methods: Sequence[str] = METHODS
    settings: Sequence[str] = ("1/6",)
    elsewhere: Sequence[str] = ("labelled-only", "sgc-dpl")
    clusterers: Sequence[str] = CLUSTERERS
    scenario: str = "standard"
    people: int = 72
    test_people: int = 60
    short: int | None = None
    nuisances: Mapping[str, float] = field(default_factory=lambda: dict(KIND))

    def __post_init__(self) -> None:
        self.world(0)
        self.learner.shorter(self.short)
        if unknown := [name for name in (*self.methods, *self.elsewhere) if name not in METHODS]:
            raise ConfigError(f"methods: there is none called {unknown[0]!r}; choose from {', '.join(METHODS)}")
        if not self.settings:
            raise ConfigError("settings: expected at least one share of labelled identities, such as 1/6")

    def world(self, seed: int) -> WorldSpec:
        """Return a seed's world."""
        from reidlab.world.scenarios import scenario

        return scenario(
            self.scenario, seed=derive(seed, "chapter 3 world") % 2**31, train_people=self.people,
            test_people=self.test_people, **self.nuisances,
        )  # fmt: skip

    def measure(self, seed: int) -> Measured:
        """Draw a seed's world and measure every method in it."""
        return self.measure_on(embedded(self.world(seed), self.learner.size), seed, "embedded")

    def measure_real(self, name: str, seed: int) -> list[Row]:
        """Do the same on a real data set; the rows of the records."""
        return self.measure_on(real(name, self.learner.size, seed), seed, name).rows

    def example(self, seed: int) -> Measured:
        """Run the full method alone, in the first setting: clusters to look at."""
        one = {"methods": ("sgc-dpl",), "settings": self.settings[:1], "clusterers": (), "short": None}
        study = dataclasses.replace(self, **one)
        return study.measure(seed)

    @property
    def steps(self) -> int:
        """Training steps of every method: the first training and all rounds."""
        return self.learner.initial + self.recipe.rounds * self.learner.iterations

    def measure_on(self, data: Domain, seed: int, label: str, folder: Path | None = None) -> Measured:
        """Measure everything on a data set.

        Args:
            data: the data set; who is unlabelled is decided here, and their identities serve measurements only.
            seed: of division and training.
            label: what the records call the data.
            folder: keeps the divisions as files, where given.
        """
        rows: list[Row] = []
        common = {"data": label, "seed": seed}
        starts, courses = {}, {}

        scored: dict[tuple[str, str], Mapping[str, float]] = {}

        def note(scores: Mapping[str, float], model: ReIDNet, **dims: Any) -> None:
            scored[dims.get("labelled", ""), dims["method"]] = scores
            if data.protocol == RETRIEVAL:
                nmi = normalised_mutual_information(model, data, seed)
                rows.append({"key": "NMI", "value": nmi, **common, **dims})
            rows.extend(scores_of(scores, data.protocol, **common, **dims))

        if "supervised" in self.methods:
            model = self.learner.learn(data.train, derive(seed, "supervised"), self.steps)
            note(data.score(model).summary(), model, experiment="ablation", method="supervised")
        for place, setting in enumerate(self.settings):
            start = starts[setting] = self.begin(data, setting, seed)
            if folder is not None:
                start.split.write(folder / f"{label}-{setting.replace('/', '-')}-seed-{seed}.json")
            methods = [name for name in self.methods if place == 0 or name in self.elsewhere]
            for name, model in self.without_clusters(start, methods, seed):
                note(data.score(model).summary(), model, experiment="ablation", method=name, labelled=setting)
            for name in methods:
                if name in LOOPS:
                    course = courses[setting, name] = self.loop(start, data, name, seed)
                    note(final_scores(course), course.model, experiment="ablation", method=name, labelled=setting)
                    dims = {"method": name, "labelled": setting, **common}
                    rows += along(course, data, start.augmented, **dims)
                    rows += searched(course, len(start.split.labelled), **dims)
                    if len(course.rounds) > CONVERGED:
                        late = course.rounds[CONVERGED - 1].values
                        dims |= {"iteration": len(course.rounds), "reference": f"iteration-{CONVERGED}"}
                        rows += gain(final_scores(course), late, data.protocol, experiment="iterations", **dims)
            done = {name: course for (where, name), course in courses.items() if where == setting}
            rows += held_back(done, data.protocol, experiment="ablation", labelled=setting, **common)
            for name, reference in GAINS:
                other = scored.get(("" if reference == "supervised" else setting, reference), {})
                dims = {"method": name, "reference": reference, "labelled": setting, **common}
                rows += gain(scored.get((setting, name), {}), other, data.protocol, experiment="ablation", **dims)
        first = self.settings[0]
        brief = self.learner.shorter(self.short)
        if brief is not None:
            dims = {"experiment": "ablation-short", "labelled": first}
            study = dataclasses.replace(self, learner=brief)
            for name, model in study.without_clusters(starts[first], self.methods, seed):
                rows += scores_of(data.score(model).summary(), data.protocol, method=name, **dims, **common)
            shorter = {name: study.loop(starts[first], data, name, seed) for name in self.methods if name in LOOPS}
            for name, course in shorter.items():
                rows += scores_of(final_scores(course), data.protocol, method=name, **dims, **common)
            rows += held_back(shorter, data.protocol, **dims, **common)
        rounds = {name: self.first_round(starts[first], data, name, seed) for name in self.clusterers}
        if {"ap", "dbscan-ssg"} <= set(rounds):
            dims = {"experiment": "clusterers", "clusterer": "dbscan-ssg", "reference": "ap", "labelled": first}
            rows += gain(rounds["dbscan-ssg"], rounds["ap"], data.protocol, **dims, **common)
        for name, values in rounds.items():
            for key, value in values.items():
                dims = {"experiment": "clusterers", "clusterer": name, "labelled": first, **common}
                if key in ("rank1", "mAP"):
                    dims["protocol"] = data.protocol
                rows.append(row_of(key, value, **dims))
        return Measured(data, starts, courses, rows)

    def begin(self, data: Domain, setting: str, seed: int) -> Start:
        """Draw who is labelled and train the networks that others begin from."""
        split = divide_labels(data.train.pids, setting, seed)
        labelled, unlabelled = (data.train.select(rows) for rows in split.rows(data.train.pids))
        plain = self.learner.learn(labelled, derive(seed, "labelled", setting))
        augmented = self.learner.learn_augmented(labelled, unlabelled, derive(seed, "augmented", setting))
        return Start(split, labelled, unlabelled, plain, augmented)

    def without_clusters(self, start: Start, methods: Sequence[str], seed: int) -> Iterator[tuple[str, ReIDNet]]:
        """Yield the networks of the methods that only see true labels, trained for as long as the others."""
        setting = start.split.setting
        if "labelled-only" in methods:
            yield "labelled-only", self.learner.learn(start.labelled, derive(seed, "labelled", setting), self.steps)
        if "init" in methods:
            seed = derive(seed, "augmented", setting)
            yield "init", self.learner.learn_augmented(start.labelled, start.unlabelled, seed, self.steps)

    def loop(self, start: Start, data: Domain, name: str, seed: int) -> Course:
        """Run a method that clusters."""
        recipe = self.recipe.with_(**LOOPS[name])
        if recipe.clusterer != self.recipe.clusterer:
            recipe = recipe.with_(options={})
        return run_loop(
            start.augmented, start.unlabelled, recipe, self.learner, derive(seed, "loop", start.split.setting),
            labelled=start.labelled, test=data,
        )  # fmt: skip

    def first_round(self, start: Start, data: Domain, clusterer: str, seed: int) -> dict[str, float]:
        """Return what one round of hard labels gives from the plain network (Table 3.4).

        Returns:
            ``clusters`` and ``identities``, agreement with identities, and ``rank1`` and ``mAP`` where there was
            something to train on.
        """
        people = len(start.split.unlabelled)
        options = {"n_clusters": people} if clusterer in ("kmeans", "agglomerative") else {}
        if clusterer == "dbscan-ssg":
            options = {"neighbours": NEIGHBOURS}
        recipe = Recipe(clusterer, options, rounds=1, metric=self.recipe.metric)
        seed = derive(seed, "first round", start.split.setting)
        course = run_loop(start.plain, start.unlabelled, recipe, self.learner, seed, labelled=start.labelled, test=data)
        kept = ("clusters", "outliers", "v_measure", "ami", "ami_all", "ari", "purity", "camera_purity", "rank1", "mAP")
        values = course.rounds[0].values
        return {"identities": float(people), **{name: values[name] for name in kept if name in values}}


def held_back(courses: Mapping[str, Course], protocol: str, **dims: Any) -> Iterator[Row]:
    """Yield what progressive selection gains over learning from all pictures, where it held any back.

    Where no round left a picture out, two methods did the same: there is no row, and so no verdict.

    Args:
        courses: by name of the method.
        protocol: of the scores.
        **dims: dimensions of the rows.
    """
    for name, reference in SELECTING:
        if {name, reference} <= set(courses):
            ours, theirs = courses[name], courses[reference]
            if any(((one.labels >= 0) & ~one.selected).any() for one in ours.rounds):
                yield from gain(
                    final_scores(ours), final_scores(theirs), protocol, method=name, reference=reference, **dims
                )


def normalised_mutual_information(model: ReIDNet, data: Domain, seed: int) -> float:
    """Return how well clusters of the gallery's features agree with its classes (NMI of Table 3.6).

    As retrieval on CUB-200 does it: K-means with the true number of classes on features of unit length.

    Args:
        model: the network.
        data: its gallery is clustered.
        seed: of K-means.
    """
    from sklearn.cluster import KMeans

    from reidlab.evaluation.clustering import agreement
    from reidlab.training import extract

    size = data.train.images.shape[1:3]
    found = extract(model, data.gallery.table, size, images=data.gallery.images).normalized()
    clusters = KMeans(len(np.unique(found.pids)), n_init=3, random_state=seed % 2**32).fit(found.features).labels_
    return agreement(found.pids, clusters).nmi


def pair_examples(start: Start, model: ReIDNet) -> tuple[np.ndarray, np.ndarray, float]:
    """Return squared distances of labelled pairs of one and of two identities, and tau_l (Fig. 3.3)."""
    from reidlab.pseudolabel.learning import features_of
    from reidlab.pseudolabel.selection import distance_threshold

    found = distance_threshold(features_of(model, start.labelled.images).whole, start.labelled.pids)
    return found.positive, found.negative, found.value
