"""The loop of chapters 3 and 4: cluster, split, select, train, and again.

Semi-supervised learning (SGC-DPL, Sec. 3.3) and unsupervised adaptation (HSR, Sec. 4.3) are the same loop with other
parts; :class:`PseudoLabelOptions` says which. Any clusterer with scikit-learn's interface can be used.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reidlab.checks import check_choice, check_integer, check_number, plural
from reidlab.data.decoded import DataSet, Pictures
from reidlab.errors import ConfigError, DataError
from reidlab.evaluation.centring import centred_features
from reidlab.evaluation.clustering import agreement, camera_excess, purity
from reidlab.models import ReIDNet
from reidlab.pseudolabel.clusterers import ClusteringFailed, checked_labels, make_clusterer
from reidlab.pseudolabel.homogeneity import part_based_homogeneity
from reidlab.pseudolabel.learning import METRICS, PseudoLabelledSet, expanded, features_of, learn_pseudo
from reidlab.pseudolabel.mining import MinedPairs, inter_camera_mining, pair_quality
from reidlab.pseudolabel.selection import Threshold, distance_threshold, medoids, select_reliable, soft_labels
from reidlab.pseudolabel.semantics import SemanticsGuidedAP
from reidlab.seeding import derive
from reidlab.training.checkpoints import Checkpoints, check_same_run
from reidlab.training.recipe import Recipe, picture_extractor

GUIDED = "sg-ap"


@dataclass(frozen=True)
class PseudoLabelOptions:
    """How pseudo-labels are made, and how a network is trained on them.

    Attributes:
        clusterer: ``sg-ap``, a name that :func:`~reidlab.pseudolabel.clusterers.make_clusterer` knows, or an object
            with scikit-learn's interface (``fit``, ``labels_``).
        options: of a clusterer given by its name.
        soft: whether pseudo-labels are soft (Eq. 3.5) or the cluster alone.
        temperature: of soft labels, as a share of the root of tau_l.
        progressive: whether only pictures near their exemplar are trained on, more of them each round (Eq. 3.4); needs
            labelled pictures.
        growth: by which share of tau_l the threshold grows each round.
        reach: share of tau_l at which the threshold begins. The dissertation's is 1; but tau_l separates pairs of
            pictures, whose squared distances are on average twice those to the centre of their group, so 0.5 requires
            of a picture and its exemplar what 1 requires of two pictures.
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
        optimisation: fields of the training's configuration that differ from the recipe's in rounds.

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
    optimisation: Mapping[str, Any] = field(default_factory=lambda: {"lr": 5e-4})

    def __post_init__(self) -> None:
        check_choice("metric", self.metric, METRICS)
        for name in ("rounds", "neighbours"):
            check_integer(name, getattr(self, name), 1)
        for name in ("temperature", "deviations", "reach"):
            check_number(name, getattr(self, name), above=0)
        check_number("growth", self.growth, 0, what="as the threshold only grows")
        if not isinstance(self.clusterer, str) and not callable(getattr(self.clusterer, "fit", None)):
            raise ConfigError(
                f"clusterer: {type(self.clusterer).__name__} has no method fit; give a name, or an object with "
                "scikit-learn's interface (fit, labels_)"
            )

    def with_(self, **changes: Any) -> PseudoLabelOptions:
        """Return the same options with some changed."""
        return dataclasses.replace(self, **changes)

    def digest(self) -> str:
        """Return a short hash of the options, for checkpoints."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.name != "rounds"}
        text = json.dumps(values, sort_keys=True, default=repr)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


#: Arrays of a round.
_ARRAYS = ("labels", "clustered", "exemplars", "selected")


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
    values: dict[str, float] = field(default_factory=dict)
    failed: str = ""
    trace: list[dict[str, Any]] = field(default_factory=list)

    @property
    def parts(self) -> np.ndarray:
        """Number of clusters that PBH made of each cluster, (C,)."""
        clusters = range(int(self.clustered.max()) + 1)
        return np.array([len(np.unique(self.labels[self.clustered == cluster])) for cluster in clusters])

    def arrays(self, name: str) -> dict[str, Any]:
        """Return number and arrays by name, which a study can keep."""
        return {f"{name}_{item}": getattr(self, item) for item in ("number", *_ARRAYS)}

    @classmethod
    def from_arrays(cls, kept: Mapping[str, Any], name: str) -> Round:
        """Return the round from the arrays that :meth:`arrays` named."""
        return cls(**{item: kept[f"{name}_{item}"] for item in ("number", *_ARRAYS)})


@dataclass(frozen=True, eq=False)
class LoopResult:
    """A whole run of the loop.

    Attributes:
        model: the network after the last round.
        rounds: what each did; they end early where clustering failed.
        eps: radius of the last round's DBSCAN, where there was one.
    """

    model: ReIDNet
    rounds: list[Round]
    eps: float | None = None


def run_loop(
    model: ReIDNet,
    unlabelled: Pictures,
    options: PseudoLabelOptions,
    recipe: Recipe,
    steps: int,
    seed: int,
    *,
    labelled: Pictures | None = None,
    test: DataSet | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    watch: Callable[[Round], None] | None = None,
) -> LoopResult:
    """Cluster, split, select and train, for as many rounds as the options say.

    Where clustering gives fewer than two clusters or outliers only, or all labelled pictures have one feature, there is
    nothing to train on: the round says why in :attr:`Round.failed`, the network is not changed, and the loop ends.

    Args:
        model: where to begin; it is left as it is.
        unlabelled: pictures without labels. Their identities are read for measurements only, and may be -1.
        options: what is done in a round.
        recipe: of network and training.
        steps: length of each round's training.
        seed: of everything random.
        labelled: pictures with identities, none of whom is among the unlabelled; chapter 4 has none.
        test: scored after every round, where given.
        folder: keeps the state after each round, so that :func:`run_loop` can go on from it.
        resume: whether to go on where a run in the folder stopped.
        watch: called with every new round.

    Raises:
        ConfigError: the options need labelled pictures or several cameras and there are none, the training's
            configuration is not allowed, or the folder holds another run.
        DataError: labelled and unlabelled identities overlap, or features are not finite.
    """
    _check(options, unlabelled, labelled)
    recipe.config(steps, **options.optimisation)
    state = _State(options, recipe, steps, seed, model, folder, resume, labelled, unlabelled)
    while state.done < options.rounds and not state.failed:
        state.advance(test)
        if watch is not None:
            watch(state.rounds[-1])
    return LoopResult(state.model.eval(), state.rounds, state.eps)


def _check(options: PseudoLabelOptions, unlabelled: Pictures, labelled: Pictures | None) -> None:
    if len(unlabelled) < 2:
        raise DataError(f"unlabelled: {plural(len(unlabelled), 'picture')}; at least 2 are needed")
    if labelled is None:
        guided = options.clusterer == GUIDED
        for name, wanted in (("clusterer", guided), ("progressive", options.progressive), ("soft", options.soft)):
            if wanted:
                raise ConfigError(
                    f"{name}: {getattr(options, name)!r} takes its guidance from labelled pictures, and there are none"
                )
    elif both := sorted(set(labelled.pids) & set(unlabelled.pids[unlabelled.pids >= 0])):
        raise DataError(
            f"labelled and unlabelled identities overlap: {len(both)} are in both, such as {both[0]}; every cluster is "
            "taken for somebody new"
        )
    if options.mining and len(np.unique(unlabelled.camids)) < 2:
        raise ConfigError(
            f"mining: pairs across cameras need pictures of two cameras, and all {len(unlabelled)} are of camera "
            f"{unlabelled.camids[0]}; take a method without mining (chapter 4: baseline, baseline-pbh)"
        )


class _State:
    """The network and what a round hands to the next."""

    def __init__(
        self, options: PseudoLabelOptions, recipe: Recipe, steps: int, seed: int, model: ReIDNet,
        folder: str | Path | None, resume: bool, labelled: Pictures | None, unlabelled: Pictures,
    ) -> None:  # fmt: skip
        self.options, self.recipe, self.steps, self.seed = options, recipe, steps, seed
        self.labelled, self.unlabelled = labelled, unlabelled
        self.known = 0 if labelled is None else labelled.identities
        self.model, self.rounds = model, []
        self.eps: float | None = None
        self.checkpoints = None if folder is None else Checkpoints(folder, "round")
        names = hashlib.blake2b("\n".join(unlabelled.table["path"]).encode(), digest_size=8).hexdigest()
        self.identity = {"seed": seed, "options": options.digest(), "recipe": repr(recipe), "steps": steps}
        self.identity["pictures"] = names
        if self.checkpoints is not None:
            self._take_up(resume)

    @property
    def done(self) -> int:
        return len(self.rounds)

    @property
    def failed(self) -> bool:
        return bool(self.rounds) and bool(self.rounds[-1].failed)

    def advance(self, test: DataSet | None) -> None:
        """Do one round."""
        number, options = self.done + 1, self.options
        seed = derive(self.seed, "round", number)
        features = features_of(self.model, self.unlabelled.images, parts=2 if options.homogeneity else 0)
        whole, parts = features.whole, features.parts
        if options.centre:
            whole, *parts = (centred_features(values, self.unlabelled.camids) for values in (whole, *parts))
        anchors = None if self.labelled is None else features_of(self.model, self.labelled.images).whole
        try:
            clustered, exemplars, trace = self._cluster(whole, anchors, seed)
            threshold = None if anchors is None else self._threshold(anchors, clustered, seed)
        except ClusteringFailed as error:
            labels = np.asarray(error.labels)
            nothing = np.empty(0, np.int64), np.zeros(len(labels), bool)
            self._keep(Round(number, labels, labels, *nothing, _counts(labels), str(error)))
            return
        labels, values = clustered, {}
        if options.homogeneity:
            deviations = options.deviations
            split = part_based_homogeneity(whole, clustered, *parts, deviations=deviations, seed=seed % 2**31)
            labels, values = split.labels, {"clusters_split": float(len(split.split))}
        if options.homogeneity or exemplars is None:
            exemplars = medoids(whole, labels)
        selected, temperature = labels >= 0, math.nan
        if threshold is not None:
            unit = threshold.value if options.scaled else 1.0
            tau = options.reach * threshold.value + options.growth * unit * (number - 1)
            temperature = options.temperature * math.sqrt(unit)
            values |= {"tau": tau, "tau_labelled": threshold.value, "overlap_error": threshold.error}
            if options.progressive:
                selected = select_reliable(whole, labels, exemplars, tau)
        values |= {"selected": float(selected.mean())}
        mined = None
        if options.mining:
            mined = inter_camera_mining(whole, self.unlabelled.camids, options.neighbours)
        self._learn(labels, selected, whole, exemplars, temperature, mined, seed)
        values |= _truths(self.unlabelled, clustered, labels, exemplars, selected, mined)
        if test is not None:
            scores = test.score(picture_extractor(self.model)).summary()
            values |= {name: float(value) for name, value in scores.items()}
        self._keep(Round(number, labels, clustered, exemplars, selected, values, trace=trace))

    def _cluster(
        self, whole: np.ndarray, anchors: np.ndarray | None, seed: int
    ) -> tuple[np.ndarray, np.ndarray | None, list[dict[str, Any]]]:
        """Return labels, exemplars where the clusterer names them, and the rows of its search."""
        clusterer, given = self.options.clusterer, dict(self.options.options)
        if clusterer == GUIDED:
            guided = SemanticsGuidedAP(**given).fit(whole, anchors, self.labelled.pids)
            if guided.labels_.max() < 1:
                raise ClusteringFailed("sg-ap: all pictures are in one cluster", guided.labels_)
            return guided.labels_, guided.exemplars_, guided.trace_.to_dict("records")
        if isinstance(clusterer, str):
            if clusterer == "dbscan-ssg" and self.eps is not None:
                given["eps"] = self.eps
            clusterer = make_clusterer(clusterer, **given)
        try:
            labels = checked_labels(clusterer, whole)
        finally:
            self.eps = getattr(clusterer, "eps_", self.eps)
        return labels, getattr(clusterer, "cluster_centers_indices_", None), []

    def _threshold(self, anchors: np.ndarray, clustered: np.ndarray, seed: int) -> Threshold:
        """Return tau_l of the labelled pictures; a network that has hardly begun may give all of them one feature."""
        found = distance_threshold(anchors, self.labelled.pids, seed)
        if found.value <= 0:
            raise ClusteringFailed("all labelled pictures have one feature; train the network for longer", clustered)
        return found

    def _learn(
        self, labels: np.ndarray, selected: np.ndarray, whole: np.ndarray, exemplars: np.ndarray, temperature: float,
        mined: MinedPairs | None, seed: int,
    ) -> None:  # fmt: skip
        """Train the network on the labelled pictures and the selected others."""
        options, known = self.options, self.known
        classes = np.where(selected, known + labels, -1)
        images = self.unlabelled.images
        targets = None
        if options.soft:
            targets = np.zeros((len(classes), known + len(exemplars)), dtype=np.float32)
            targets[:, known:] = soft_labels(whole, whole[exemplars], temperature)
        if self.labelled is not None:
            _, own = np.unique(self.labelled.pids, return_inverse=True)
            # Mined pairs are numbered by their place among the unlabelled, so these come first.
            classes, images = np.concatenate([classes, own]), np.concatenate([images, self.labelled.images])
            if targets is not None:
                targets = np.concatenate([targets, np.eye(known, targets.shape[1], dtype=np.float32)[own]])
        work = PseudoLabelledSet(images, classes, targets, options.metric, mined)
        keep = known if self.model.num_classes >= known else 0
        wider = expanded(self.model, known + len(exemplars), keep, seed)
        self.model = learn_pseudo(self.recipe, wider, work, self.steps, seed, **options.optimisation)

    def _keep(self, found: Round) -> None:
        self.rounds.append(found)
        if self.checkpoints is not None:
            self.checkpoints.save(
                {
                    "identity": self.identity,
                    "round": found.number,
                    "classes": self.model.num_classes,
                    "model": self.model.state_dict(),
                    "eps": self.eps,
                    "rounds": [
                        vars(item) | {name: torch.from_numpy(getattr(item, name)) for name in _ARRAYS}
                        for item in self.rounds
                    ],
                }
            )

    def _take_up(self, resume: bool) -> None:
        """Continue from the folder's state, or clear it."""
        if not resume:
            self.checkpoints.clear()
            return
        self.checkpoints.load(self._restore)

    def _restore(self, state: Mapping[str, Any]) -> None:
        check_same_run(state["identity"], self.identity, self.checkpoints.folder)
        model = expanded(self.model, state["classes"], 0, self.seed)
        model.load_state_dict(state["model"])
        rounds = [Round(**item | {name: item[name].numpy() for name in _ARRAYS}) for item in state["rounds"]]
        if [item.number for item in rounds] != list(range(1, state["round"] + 1)):
            raise ValueError("its rounds do not follow each other")
        if any(len(getattr(item, name)) != len(self.unlabelled) for item in rounds for name in ("labels", "selected")):
            raise ValueError("a round is not of these pictures")
        self.model, self.eps, self.rounds = model, state["eps"], rounds


def _counts(labels: np.ndarray) -> dict[str, float]:
    return {"clusters": float(len(set(labels[labels >= 0].tolist()))), "outliers": float((labels < 0).mean())}


def _truths(
    unlabelled: Pictures, clustered: np.ndarray, labels: np.ndarray, exemplars: np.ndarray, selected: np.ndarray,
    mined: MinedPairs | None,
) -> dict[str, float]:  # fmt: skip
    """Return the measures of pseudo-labels against the truth; without a truth, those that need none."""
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
        quality = pair_quality(mined, pids, clustered)
        values |= {"icm_precision": quality.precision, "icm_rank_precision": quality.rank_precision}
        values["icm_hard_share"] = quality.hard_share
    return values
