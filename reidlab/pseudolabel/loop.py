"""The loop of chapters 3 and 4: cluster, mend, select, train, and again.

Semi-supervised learning (SGC-DPL, Sec. 3.3) and unsupervised adaptation (HSR, Sec. 4.3) are the same loop with other
parts; a :class:`Recipe` says which. Any clusterer with scikit-learn's interface fits in.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reidlab.errors import ConfigError, DataError
from reidlab.pseudolabel.learning import METRICS, Homework, Learner, expanded, features_of
from reidlab.pseudolabel.selection import distance_threshold, medoids, select_reliable, soft_labels
from reidlab.seeding import derive

if TYPE_CHECKING:
    from reidlab.models import ReIDNet
    from reidlab.pseudolabel.domains import Domain, Pictures
    from reidlab.training.checkpoints import Checkpoints

GUIDED = "sg-ap"


@dataclass(frozen=True)
class Recipe:
    """How pseudo-labels are made, and how they are learnt from.

    Attributes:
        clusterer: ``sg-ap``, a name that :func:`~reidlab.pseudolabel.clusterers.make_clusterer` knows, or an object
            with scikit-learn's interface (``fit``, ``labels_``).
        options: of a clusterer given by its name.
        soft: whether pseudo-labels are soft (Eq. 3.5) or the cluster alone.
        temperature: of soft labels, as a share of the root of tau_l.
        progressive: whether only pictures near their exemplar are trained on, more of them each round (Eq. 3.4); needs
            labelled pictures.
        growth: by which share of tau_l the threshold grows each round.
        reach: share of tau_l at which the threshold begins. The dissertation's is 1; but tau_l parts pairs of pictures,
            whose squared distances are on average twice those to the middle of their group, so 0.5 asks of a picture
            and its exemplar what 1 asks of two pictures.
        scaled: whether temperature and growth are such shares. Distances are as large as a network's width makes them:
            the dissertation's own values, a temperature of 1 and 1 more each round in units of its features, mean
            nothing to another network. False takes both as they are.
        homogeneity: whether imperfect clusters are split (PBH, Sec. 4.3.3).
        deviations: standard deviations below the mean silhouette at which a cluster is imperfect.
        mining: whether pairs are mined across cameras (ICM, Sec. 4.3.2).
        neighbours: K of that mining.
        centre: whether each camera's mean feature is subtracted before clustering; not in the dissertation.
        metric: ``batch-hard`` (chapter 3) or ``weighted`` (Eq. 4.2), the triplet loss.
        rounds: of clustering and training.

    Raises:
        ConfigError: a value is not allowed.
    """

    clusterer: Any = GUIDED
    options: Mapping[str, Any] = field(default_factory=dict)
    soft: bool = False
    temperature: float = 0.1
    progressive: bool = False
    growth: float = 0.25
    reach: float = 1.0
    scaled: bool = True
    homogeneity: bool = False
    deviations: float = 3.0
    mining: bool = False
    neighbours: int = 10
    centre: bool = False
    metric: str = "batch-hard"
    rounds: int = 8

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ConfigError(f"metric: {self.metric!r} is not allowed; expected one of {', '.join(METRICS)}")
        for name, least in (("rounds", 1), ("neighbours", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: {getattr(self, name)} must be at least {least}")
        for name in ("temperature", "deviations", "reach"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: {getattr(self, name)} must be above 0")
        if self.growth < 0:
            raise ConfigError(f"growth: {self.growth} must not be negative; the threshold only grows")
        if not isinstance(self.clusterer, str) and not callable(getattr(self.clusterer, "fit", None)):
            raise ConfigError(
                f"clusterer: {type(self.clusterer).__name__} has no method fit; give a name, or an object with "
                "scikit-learn's interface (fit, labels_)"
            )

    def with_(self, **changes: Any) -> Recipe:
        """Return the same recipe with some parts changed."""
        return dataclasses.replace(self, **changes)

    def digest(self) -> str:
        """Return a short hash of the recipe, for checkpoints."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.name != "rounds"}
        text = json.dumps(values, sort_keys=True, default=repr)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, eq=False)
class Round:
    """What one round did.

    Attributes:
        number: from 1.
        labels: (N,) clusters of the unlabelled pictures that were trained on; -1 is an outlier.
        clustered: (N,) clusters before PBH split any.
        exemplars: (C,) positions of the clusters' exemplars.
        selected: (N,) bool, the pictures trained on.
        values: measured quantities by name; those that need the truth are there only if every picture has an identity.
        failed: why no training was possible, or empty.
        trace: rows of the search for p*, where the clusterer keeps any.
    """

    number: int
    labels: np.ndarray
    clustered: np.ndarray
    exemplars: np.ndarray
    selected: np.ndarray
    values: dict[str, float]
    failed: str = ""
    trace: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Course:
    """A whole run of the loop.

    Attributes:
        model: the network after the last round.
        rounds: what each did; they end early where clustering failed.
    """

    model: ReIDNet
    rounds: list[Round]


def run_loop(
    model: ReIDNet,
    unlabelled: Pictures,
    recipe: Recipe,
    learner: Learner,
    seed: int,
    *,
    labelled: Pictures | None = None,
    test: Domain | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    watch: Callable[[Round], None] | None = None,
) -> Course:
    """Cluster, mend, select and train, for as many rounds as the recipe says.

    Where clustering gives fewer than two clusters or outliers alone, nothing can be learnt from it: the round says why
    in :attr:`Round.failed`, the network stays as the round found it, and the loop ends.

    Args:
        model: where to begin; it is left as it is.
        unlabelled: pictures without labels. Their identities are read for measurements only, and may be -1.
        recipe: what is done in a round.
        learner: network size and budgets.
        seed: of everything random.
        labelled: pictures with identities, none of whom is among the unlabelled; chapter 4 has none.
        test: scored after every round, where given.
        folder: keeps the state after each round, so that :func:`run_loop` can go on from it.
        resume: whether to go on where a run in the folder stopped.
        watch: called with every new round.

    Raises:
        ConfigError: the recipe needs labelled pictures or several cameras and there are none, or the folder holds
            another run.
        DataError: labelled and unlabelled identities overlap, or features are not finite.
    """
    _check(recipe, unlabelled, labelled)
    state = _State(recipe, learner, seed, model, folder, resume, labelled, unlabelled)
    while state.done < recipe.rounds and not state.failed:
        state.advance(test)
        if watch is not None:
            watch(state.rounds[-1])
    return Course(state.model.eval(), state.rounds)


def _check(recipe: Recipe, unlabelled: Pictures, labelled: Pictures | None) -> None:
    if len(unlabelled) < 2:
        raise DataError(f"unlabelled: {len(unlabelled)} pictures; at least 2 are needed")
    if labelled is None:
        guided = recipe.clusterer == GUIDED
        for name, wanted in (("clusterer", guided), ("progressive", recipe.progressive), ("soft", recipe.soft)):
            if wanted:
                raise ConfigError(
                    f"{name}: {getattr(recipe, name)!r} takes its guidance from labelled pictures, and there are none"
                )
    elif both := sorted(set(labelled.pids) & set(unlabelled.pids[unlabelled.pids >= 0])):
        raise DataError(
            f"labelled and unlabelled identities overlap: {len(both)} are in both, such as {both[0]}; every cluster is "
            "taken for somebody new"
        )
    if recipe.mining and len(np.unique(unlabelled.camids)) < 2:
        raise ConfigError(
            "mining: all pictures are of one camera; pairs across cameras cannot be mined. Leave mining out"
        )


class _State:
    """The network and what a round hands to the next."""

    def __init__(
        self, recipe: Recipe, learner: Learner, seed: int, model: ReIDNet, folder: str | Path | None, resume: bool,
        labelled: Pictures | None, unlabelled: Pictures,
    ) -> None:  # fmt: skip
        from reidlab.training.checkpoints import Checkpoints

        self.recipe, self.learner, self.seed = recipe, learner, seed
        self.labelled, self.unlabelled = labelled, unlabelled
        self.known = 0 if labelled is None else len(np.unique(labelled.pids))
        self.model, self.rounds = model, []
        self.eps: float | None = None
        self.checkpoints: Checkpoints | None = None if folder is None else Checkpoints(folder)
        names = hashlib.blake2b("\n".join(unlabelled.table["path"]).encode(), digest_size=8).hexdigest()
        self.identity = {"seed": seed, "recipe": recipe.digest(), "learner": repr(learner), "pictures": names}
        if self.checkpoints is not None:
            self._take_up(resume)

    @property
    def done(self) -> int:
        return len(self.rounds)

    @property
    def failed(self) -> bool:
        return bool(self.rounds) and bool(self.rounds[-1].failed)

    def advance(self, test: Domain | None) -> None:
        """Do one round."""
        from reidlab.pseudolabel.clusterers import ClusteringFailed

        number, recipe = self.done + 1, self.recipe
        seed = derive(self.seed, "round", number)
        features = features_of(self.model, self.unlabelled.images, parts=2 if recipe.homogeneity else 0)
        whole, parts = features.whole, features.parts
        if recipe.centre:
            whole, *parts = (_centred(values, self.unlabelled.camids) for values in (whole, *parts))
        anchors = None if self.labelled is None else features_of(self.model, self.labelled.images).whole
        try:
            clustered, exemplars, trace = self._cluster(whole, anchors, seed)
        except ClusteringFailed as error:
            labels = np.asarray(error.labels)
            found = Round(
                number, labels, labels, np.empty(0, np.int64), np.zeros(len(labels), bool), _counts(labels), str(error)
            )
            self._keep(found)
            return
        labels, values = clustered, {}
        if recipe.homogeneity:
            labels, values = self._mend(whole, clustered, tuple(parts), seed)
        if recipe.homogeneity or exemplars is None:
            exemplars = medoids(whole, labels)
        selected, temperature = labels >= 0, math.nan
        if self.labelled is not None:
            threshold = distance_threshold(anchors, self.labelled.pids, seed)
            unit = threshold.value if recipe.scaled else 1.0
            tau = recipe.reach * threshold.value + recipe.growth * unit * (number - 1)
            temperature = recipe.temperature * math.sqrt(unit)
            values |= {"tau": tau, "tau_labelled": threshold.value, "overlap_error": threshold.error}
            if recipe.progressive:
                selected = select_reliable(whole, labels, exemplars, tau)
        values |= {"selected": float(selected.mean())}
        mined = None
        if recipe.mining:
            from reidlab.pseudolabel.mining import inter_camera_mining

            mined = inter_camera_mining(whole, self.unlabelled.camids, recipe.neighbours)
        self._learn(labels, selected, whole, exemplars, temperature, mined, seed)
        values |= _truths(self.unlabelled, clustered, labels, exemplars, selected, mined)
        if test is not None:
            values |= {name: float(value) for name, value in test.score(self.model).summary().items()}
        self._keep(Round(number, labels, clustered, exemplars, selected, values, trace=trace))

    def _cluster(
        self, whole: np.ndarray, anchors: np.ndarray | None, seed: int
    ) -> tuple[np.ndarray, np.ndarray | None, list[dict[str, Any]]]:
        """Return labels, exemplars where the clusterer names them, and the rows of its search."""
        from reidlab.pseudolabel.clusterers import checked_labels, make_clusterer

        recipe = self.recipe
        if recipe.clusterer == GUIDED:
            from reidlab.pseudolabel.clusterers import ClusteringFailed
            from reidlab.pseudolabel.semantics import SemanticsGuidedAP

            guided = SemanticsGuidedAP(**recipe.options).fit(whole, anchors, self.labelled.pids)
            if guided.labels_.max() < 1:
                raise ClusteringFailed("sg-ap: all pictures are in one cluster", guided.labels_)
            return guided.labels_, guided.exemplars_, guided.trace_.to_dict("records")
        clusterer = recipe.clusterer
        if isinstance(clusterer, str):
            options = dict(recipe.options)
            if clusterer == "dbscan-ssg" and self.eps is not None:
                options["eps"] = self.eps
            clusterer = make_clusterer(clusterer, **options)
        labels = checked_labels(clusterer, whole)
        self.eps = getattr(clusterer, "eps_", self.eps)
        exemplars = getattr(clusterer, "cluster_centers_indices_", None)
        return labels, exemplars, []

    def _mend(
        self, whole: np.ndarray, labels: np.ndarray, parts: tuple[np.ndarray, ...], seed: int
    ) -> tuple[np.ndarray, dict[str, float]]:
        from reidlab.pseudolabel.homogeneity import part_based_homogeneity

        split = part_based_homogeneity(whole, labels, *parts, deviations=self.recipe.deviations, seed=seed % 2**31)
        return split.labels, {"clusters_split": float(len(split.split))}

    def _learn(
        self, labels: np.ndarray, selected: np.ndarray, whole: np.ndarray, exemplars: np.ndarray, temperature: float,
        mined: Any, seed: int,
    ) -> None:  # fmt: skip
        """Train the network on the labelled pictures and the selected others."""
        recipe, known = self.recipe, self.known
        classes = np.where(selected, known + labels, -1)
        images = self.unlabelled.images
        targets = None
        if recipe.soft:
            targets = np.zeros((len(classes), known + len(exemplars)), dtype=np.float32)
            targets[:, known:] = soft_labels(whole, whole[exemplars], temperature)
        if self.labelled is not None:
            _, own = np.unique(self.labelled.pids, return_inverse=True)
            # Mined pairs are numbered by their place among the unlabelled, so these come first.
            classes, images = np.concatenate([classes, own]), np.concatenate([images, self.labelled.images])
            if targets is not None:
                targets = np.concatenate([targets, np.eye(known, targets.shape[1], dtype=np.float32)[own]])
        work = Homework(images, classes, targets, recipe.metric, mined)
        keep = known if self.model.num_classes >= known else 0
        wider = expanded(self.model, known + len(exemplars), keep, seed)
        self.model = self.learner.learn_pseudo(wider, work, seed)

    def _keep(self, found: Round) -> None:
        self.rounds.append(found)
        if self.checkpoints is not None:
            import torch

            def plain(item: Round) -> dict[str, Any]:
                values = {name: getattr(item, name) for name in ("number", "values", "failed", "trace")}
                arrays = {name: getattr(item, name) for name in ("labels", "clustered", "exemplars", "selected")}
                return {**values, **{name: torch.from_numpy(np.asarray(value)) for name, value in arrays.items()}}

            self.checkpoints.save(
                {
                    "identity": self.identity,
                    "classes": self.model.num_classes,
                    "model": self.model.state_dict(),
                    "eps": self.eps,
                    "rounds": [plain(item) for item in self.rounds],
                }
            )

    def _take_up(self, resume: bool) -> None:
        """Go on from the folder's state, or clear it."""
        from reidlab.training.checkpoints import check_same_run

        if not resume:
            self.checkpoints.clear()
            return
        state = self.checkpoints.load()
        if state is None:
            return
        check_same_run(state["identity"], self.identity, self.checkpoints.folder)
        self.model = expanded(self.model, state["classes"], 0, self.seed)
        self.model.load_state_dict(state["model"])
        self.eps = state["eps"]
        for item in state["rounds"]:
            arrays = {name: item.pop(name).numpy() for name in ("labels", "clustered", "exemplars", "selected")}
            self.rounds.append(Round(**item, **arrays))


def _counts(labels: np.ndarray) -> dict[str, float]:
    return {"clusters": float(len(set(labels[labels >= 0].tolist()))), "outliers": float((labels < 0).mean())}


def _truths(
    unlabelled: Pictures, clustered: np.ndarray, labels: np.ndarray, exemplars: np.ndarray, selected: np.ndarray,
    mined: Any,
) -> dict[str, float]:  # fmt: skip
    """Return what can be measured about pseudo-labels where the truth is known; their number where it is not."""
    from reidlab.evaluation.clustering import agreement, camera_excess, purity

    pids, camids = unlabelled.pids, unlabelled.camids
    values = {**_counts(labels), "camera_purity": purity(camids, labels)}
    if (pids < 0).any():
        return values
    found = agreement(pids, labels)
    values |= {name: float(value) for name, value in found.summary().items()}
    values["v_measure_before"] = agreement(pids, clustered).v_measure
    values["ami_all"] = agreement(pids, labels, outliers="singletons").ami
    values["camera_excess"] = camera_excess(pids, camids, labels)
    right = np.zeros(len(labels), dtype=bool)
    inside = labels >= 0
    right[inside] = pids[inside] == pids[exemplars[labels[inside]]]
    # An exemplar has its own identity by definition, and is always selected: it says nothing about labels.
    inside[exemplars], counted = False, selected.copy()
    counted[exemplars] = False
    values["label_precision"] = float(right[counted].mean()) if counted.any() else math.nan
    values["label_precision_all"] = float(right[inside].mean()) if inside.any() else math.nan
    if mined is not None:
        from reidlab.pseudolabel.mining import pair_quality

        quality = pair_quality(mined, pids, clustered)
        values |= {"icm_precision": quality.precision, "icm_rank_precision": quality.rank_precision}
        values["icm_hard_share"] = quality.hard_share
    return values


def _centred(features: np.ndarray, camids: np.ndarray) -> np.ndarray:
    """Return features less their camera's mean."""
    _, camera = np.unique(camids, return_inverse=True)
    means = np.stack([features[camera == number].mean(axis=0) for number in range(camera.max() + 1)])
    return features - means[camera]
