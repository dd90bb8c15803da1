"""Tables 4.1 and 4.2, Figs. 4.4 and 4.5: from a labelled domain to one without labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reidlab.errors import ConfigError
from reidlab.pseudolabel.domains import KIND, Domain, embedded, real
from reidlab.pseudolabel.learning import Learner
from reidlab.pseudolabel.loop import Course, Recipe, run_loop
from reidlab.pseudolabel.notes import Row, along, final_scores, gain, scores_of, split_purity, stages
from reidlab.seeding import derive

if TYPE_CHECKING:
    from reidlab.models import ReIDNet
    from reidlab.world import WorldSpec

#: The rows of Table 4.2 that cluster, as changes of the full method.
LOOPS: Mapping[str, Mapping[str, Any]] = {
    "baseline": {"homogeneity": False, "mining": False},
    "baseline-pbh": {"homogeneity": True, "mining": False},
    "baseline-icm": {"homogeneity": False, "mining": True},
    "hsr": {"homogeneity": True, "mining": True},
}

#: Two of them once more on features from which each camera's mean is taken out before they are clustered; not in the
#: dissertation.
CENTRED: Mapping[str, str] = {"baseline-centred": "baseline", "hsr-centred": "hsr"}

#: The baseline with as many pictures in a batch as mining brings: what of ICM is the larger batch alone?
WIDE = "baseline-wide"

#: Beside them: a network that has seen nothing of the target; one that learnt the target's labels for as many steps;
#: and an upper bound that learnt them for as many steps as the others take in all.
ONCE = ("direct-transfer", "supervised-initial", "supervised")
METHODS = (ONCE[0], *LOOPS, WIDE, *CENTRED, *ONCE[1:])

#: Pairs that differ in PBH alone; they are compared where something was split.
SPLITTING = (("baseline-pbh", "baseline"), ("hsr", "baseline-icm"))


@dataclass(frozen=True, eq=False)
class Measured:
    """Everything measured for one seed.

    Attributes:
        target: the data set adapted to.
        start: network trained on the source.
        courses: of each method that clusters, by name.
        rows: one mapping per record.
    """

    target: Domain
    start: ReIDNet
    courses: dict[str, Course]
    rows: list[Row]


@dataclass(frozen=True)
class AdaptationStudy:
    """What notebook 04 measures, and on how much.

    A seed stands for a source and a target world of its own and for a training run of each method. All loops begin from
    one network and have the same budget.

    Attributes:
        learner: network and budgets.
        recipe: the full method; Table 4.2 takes parts of it away.
        methods: rows of Table 4.2 to measure.
        source: name of the source's world.
        target: name of the target's world.
        people: identities to train on in either domain; in the target nobody says who they are.
        test_people: identities of the target's test.
        nuisances: dials of both worlds, see :class:`~reidlab.world.Nuisances`. Under a scenario's own, a small network
            finds so few people of the target that clusters of its features are noise, and no method has a beginning.
        short: training steps of each round in a second, short budget, with which the rows of Table 4.2 that cluster are
            measured again; None leaves it out.
        real_methods: rows to measure on real sets; all where empty.

    Raises:
        ConfigError: a method or a dial is unknown, or the short budget is no budget.
    """

    learner: Learner = field(default_factory=lambda: Learner(round_optimisation={"p": 8, "lr": 5e-4}))
    recipe: Recipe = field(
        default_factory=lambda: Recipe(
            "dbscan-ssg", {"neighbours": 20}, homogeneity=True, mining=True, metric="weighted", rounds=10
        )
    )
    methods: Sequence[str] = METHODS
    source: str = "standard"
    target: str = "target_domain"
    people: int = 72
    test_people: int = 60
    nuisances: Mapping[str, float] = field(default_factory=lambda: dict(KIND))
    short: int | None = None
    real_methods: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.learner.shorter(self.short)
        if unknown := [name for name in (*self.methods, *self.real_methods) if name not in METHODS]:
            raise ConfigError(f"methods: there is none called {unknown[0]!r}; choose from {', '.join(METHODS)}")
        self.worlds(0)

    def worlds(self, seed: int) -> tuple[WorldSpec, WorldSpec]:
        """Return a seed's source and target."""
        from reidlab.world.scenarios import scenario

        return tuple(
            scenario(
                name, seed=derive(seed, "chapter 4", role) % 2**31, train_people=self.people,
                test_people=self.test_people, **self.nuisances,
            )
            for role, name in (("source", self.source), ("target", self.target))
        )  # fmt: skip

    def measure(self, seed: int) -> Measured:
        """Draw a seed's two worlds and measure every method."""
        source, target = (embedded(spec, self.learner.size) for spec in self.worlds(seed))
        return self.measure_on(source, target, seed, "embedded", "embedded")

    def measure_real(self, name: str, seed: int, source: str = "") -> list[Row]:
        """Adapt to a real data set, with the long budget alone; the rows of the records.

        Args:
            name: of the real data set.
            seed: of source, division and training.
            source: another real data set; the seed's embedded source where empty.
        """
        target = real(name, self.learner.size, seed)
        begin = real(source, self.learner.size, seed) if source else embedded(self.worlds(seed)[0], self.learner.size)
        study = dataclasses.replace(self, short=None, methods=self.real_methods or self.methods)
        return study.measure_on(begin, target, seed, source or "embedded", name).rows

    def example(self, seed: int) -> Measured:
        """Run the full method alone: clusters to look at."""
        return dataclasses.replace(self, methods=("hsr",), short=None).measure(seed)

    def measure_on(self, source: Domain, target: Domain, seed: int, source_label: str, label: str) -> Measured:
        """Measure everything on two data sets.

        Args:
            source: labelled.
            target: its training labels serve measurements and the upper bound only.
            seed: of training.
            source_label: what the records call the source.
            label: what the records call the target.
        """
        rows: list[Row] = []
        common = {"data": label, "source": source_label, "seed": seed}

        def note(model: ReIDNet, scores: Mapping[str, float], method: str, experiment: str = "ablation") -> None:
            rows.extend(scores_of(scores, target.protocol, experiment=experiment, method=method, **common))
            if scores and experiment == "ablation":
                # What a camera does to all it sees can be taken out of any network's features.
                found = target.score(model, centre=True).summary()
                rows.extend(scores_of(found, target.protocol, experiment="centred-test", method=method, **common))

        start = self.learner.learn(source.train, derive(seed, "source"))
        known = {
            "supervised-initial": self.learner.initial,
            "supervised": self.learner.initial + self.recipe.rounds * self.learner.iterations,
        }
        if ONCE[0] in self.methods:
            note(start, target.score(start).summary(), ONCE[0])
        for name in [name for name in self.methods if name in known]:
            model = self.learner.learn(target.train, derive(seed, "target"), known[name])
            note(model, target.score(model).summary(), name)
        courses, seed_of_loop = {}, derive(seed, "loop")
        for name in [name for name in self.methods if name not in ONCE]:
            learner = self.learner.wider() if name == WIDE else self.learner
            course = courses[name] = run_loop(
                start, target.train, self.part(name), learner, seed_of_loop, test=target
            )  # fmt: skip
            note(course.model, final_scores(course), name)
            rows += along(course, target, start, method=name, **common)
            rows += stages(course, method=name, **common)
            rows += split_purity(course, target.train.pids, seed, method=name, **common)
        brief, shorter = self.learner.shorter(self.short), {}
        if brief is not None:
            for name in [name for name in self.methods if name in LOOPS]:
                course = shorter[name] = run_loop(
                    start, target.train, self.part(name), brief, seed_of_loop, test=target
                )  # fmt: skip
                note(course.model, final_scores(course), name, "ablation-short")
        for experiment, found in (("ablation", courses), ("ablation-short", shorter)):
            for name, reference in SPLITTING:
                if {name, reference} <= set(found) and any(
                    item.values.get("clusters_split", 0) > 0 for item in found[name].rounds
                ):
                    ours, theirs = final_scores(found[name]), final_scores(found[reference])
                    dims = {"experiment": experiment, "method": name, "reference": reference, **common}
                    rows += gain(ours, theirs, target.protocol, **dims)
        return Measured(target, start, courses, rows)

    def part(self, name: str) -> Recipe:
        """Return the recipe of a method that clusters."""
        if name == WIDE:
            return self.recipe.with_(**LOOPS["baseline"])
        if name in CENTRED:
            return self.recipe.with_(**LOOPS[CENTRED[name]], centre=True)
        return self.recipe.with_(**LOOPS[name])
