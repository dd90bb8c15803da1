"""Training on labels that are partly guessed: sources of batches, objectives, and networks that get more classes."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from reidlab.errors import ConfigError
from reidlab.losses import (
    CrossEntropy,
    SoftMarginBatchHard,
    augmented_triplet,
    soft_cross_entropy,
    weighted_triplet,
)
from reidlab.seeding import derive, rng
from reidlab.training.pictures import PictureSource, Transform, as_tensor

if TYPE_CHECKING:
    from reidlab.models import ReIDNet
    from reidlab.pseudolabel.domains import Pictures
    from reidlab.pseudolabel.mining import MinedPairs
    from reidlab.training import TrainConfig

METRICS = ("batch-hard", "weighted")
#: Changes of brightness, contrast and saturation of training pictures, and a tenth of it of hue.
JITTER = 0.2


@dataclass(frozen=True)
class Learner:
    """Network size and budgets that all methods of a comparison share.

    Attributes:
        size: height and width of a picture, in pixels.
        depth: kind of ResNet.
        width: channels of its first stage.
        blocks: blocks of its four stages; the depth's own where None.
        weights: file of ImageNet weights with torchvision's names, or None.
        initial: steps of the first training, on true labels.
        iterations: steps of each round on pseudo-labels.
        p: identities in a batch.
        k: pictures of each.
        unlabelled: pictures without a label in each batch of the augmented triplet loss.
        optimisation: further fields of :class:`~reidlab.training.TrainConfig` for all trainings.
        round_optimisation: fields that rounds have otherwise.

    Raises:
        ConfigError: a value is not allowed.
    """

    size: tuple[int, int] = (64, 32)
    depth: int = 18
    width: int = 16
    blocks: tuple[int, ...] | None = (1, 2, 3, 1)
    weights: str | None = None
    initial: int = 600
    iterations: int = 200
    p: int = 16
    k: int = 4
    unlabelled: int = 16
    optimisation: Mapping[str, Any] = field(default_factory=dict)
    round_optimisation: Mapping[str, Any] = field(default_factory=lambda: {"lr": 5e-4})

    def __post_init__(self) -> None:
        self.config(self.initial)
        self.config(self.iterations, **self.round_optimisation)
        if self.unlabelled < 1:
            raise ConfigError(f"unlabelled: {self.unlabelled} must be at least 1 picture in a batch")

    def config(self, iterations: int, classes: int | None = None, **changes: Any) -> TrainConfig:
        """Return the configuration of a training of so many steps; a batch has no more identities than there are.

        Milestones of the schedule are those of the first training; a longer one has them at the same shares of it.
        """
        from reidlab.training import TrainConfig

        fixed: dict[str, Any] = {"size": tuple(self.size), "p": self.p, "k": self.k, "pad": max(1, self.size[0] // 20)}
        fixed["log_every"] = max(1, iterations // 50)
        values = {**fixed, **self.optimisation, "iterations": iterations}
        if "milestones" in values:
            values["milestones"] = [round(step * iterations / self.initial) for step in values["milestones"]]
        values |= changes
        if classes is not None:
            values["p"] = min(values["p"], classes)
        return TrainConfig.from_dict(values)

    def shorter(self, iterations: int | None) -> Learner | None:
        """Return the same with other steps in each round: a second budget.

        Args:
            iterations: steps of each round; None, or the number that there is already, is no second budget.

        Raises:
            ConfigError: the steps are none.
        """
        if iterations in (None, self.iterations):
            return None
        return dataclasses.replace(self, iterations=iterations)

    def wider(self, times: int = 2) -> Learner:
        """Return the same with so many times the identities in a batch of a round."""
        p = times * self.round_optimisation.get("p", self.p)
        return dataclasses.replace(self, round_optimisation={**self.round_optimisation, "p": p})

    def build(self, classes: int, seed: int) -> ReIDNet:
        """Return a network that has learnt nothing, or ImageNet where there are weights."""
        from reidlab.models import ReIDNet, load_weights, resnet
        from reidlab.training.determinism import seeded

        with seeded(derive(seed, "initial weights")):
            model = ReIDNet(resnet(self.depth, width=self.width, blocks=self.blocks, last_stride=1), classes)
        if self.weights:
            load_weights(model.backbone, self.weights)
        return model

    def learn(self, pictures: Pictures, seed: int, iterations: int | None = None) -> ReIDNet:
        """Return a network trained on true labels alone.

        Args:
            pictures: to train on, each with an identity.
            seed: of the training.
            iterations: steps; the first training's where None.
        """
        from reidlab.training import fit

        model = self.build(len(np.unique(pictures.pids)), seed)
        config = self.config(iterations or self.initial, model.num_classes)
        table = pictures.table.assign(split="train")
        transform = self.transform(config)
        return fit(model, table, config, seed, images=pictures.images, progress=False, transform=transform).model

    def learn_augmented(
        self, labelled: Pictures, unlabelled: Pictures, seed: int, iterations: int | None = None
    ) -> ReIDNet:
        """Return a network trained on true labels and on pairs of unlabelled pictures with their copies (Sec. 3.3.1).

        Args:
            labelled: pictures with identities.
            unlabelled: pictures of other people; their identities are not looked at.
            seed: of the training.
            iterations: steps; the first training's where None.
        """
        from reidlab.training import train

        _, classes = np.unique(labelled.pids, return_inverse=True)
        model = self.build(int(classes.max()) + 1, seed).to(memory_format=torch.channels_last)
        config = self.config(iterations or self.initial, model.num_classes)
        source = AugmentedSource(
            PictureSource(labelled.images, classes, config.p, config.k, self.transform(config)),
            unlabelled.images, self.unlabelled, self.transform(config),
        )  # fmt: skip
        return train(model, source, augmented_objective, config, seed, progress=False).model

    def learn_pseudo(self, model: ReIDNet, work: Homework, seed: int) -> ReIDNet:
        """Train a network for a round on labels that are partly guessed, in place.

        Args:
            model: network with a class for each of the homework's.
            work: pictures and what they are taken for.
            seed: of the training.
        """
        from reidlab.training import train

        inside = work.inside
        groups = np.unique(work.classes[inside], return_inverse=True)[1]
        config = self.config(self.iterations, int(groups.max()) + 1, **self.round_optimisation)
        images = work.images if len(inside) == len(work.images) else work.images[inside]
        source: Any = PictureSource(images, groups, config.p, config.k, self.transform(config))
        if work.mined is not None and len(work.mined.pairs):
            source = RectifiedSource(source, work, config, self.transform(config))
        objective = PseudoObjective(work)
        return train(model.to(memory_format=torch.channels_last), source, objective, config, seed, progress=False).model

    def transform(self, config: TrainConfig) -> Transform:
        """Return the augmentation of training pictures."""
        from reidlab.data import ColourJitter, TrainTransform

        jitter = ColourJitter(brightness=JITTER, contrast=JITTER, saturation=JITTER, hue=JITTER / 10)
        return TrainTransform(flip=config.flip, pad=config.pad, erase=config.erase, jitter=jitter)


@dataclass(frozen=True, eq=False)
class Homework:
    """What a round is trained on.

    Attributes:
        images: (N, H, W, 3) uint8.
        classes: (N,) int64 classes of the network, 0..C-1; not every class needs a picture. A picture of class -1 is
            part of no cluster's batch, but may be part of a mined pair.
        targets: (N, C) float32 soft labels, or None where classes are taken as they are.
        metric: ``batch-hard`` or ``weighted``, the kind of triplet loss.
        mined: pairs found across cameras among these pictures, or None. Where none is mutual, a round does without.
        icm_p: anchors in a batch of mined pairs, or as many as there are.
        icm_k: pictures of each, the anchor among them.

    Raises:
        ConfigError: a shape or the kind of loss is not allowed.
    """

    images: np.ndarray
    classes: np.ndarray
    targets: np.ndarray | None = None
    metric: str = "batch-hard"
    mined: MinedPairs | None = None
    icm_p: int = 8
    icm_k: int = 4

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ConfigError(f"metric: {self.metric!r} is not allowed; expected one of {', '.join(METRICS)}")
        if len(self.images) != len(self.classes) or (
            self.targets is not None and len(self.targets) != len(self.images)
        ):
            raise ConfigError(f"classes, targets: expected one per picture, {len(self.images)} of them")
        if len(np.unique(self.classes[self.inside])) < 2:
            raise ConfigError("classes: fewer than two have pictures; there is nothing to tell apart")

    @property
    def inside(self) -> np.ndarray:
        """Positions of the pictures that have a class."""
        return np.flatnonzero(self.classes >= 0)


class AugmentedBatch(NamedTuple):
    """Labelled pictures, then two views of unlabelled ones.

    Attributes:
        images: (L + 2 U, 3, H, W) float.
        labels: (L + 2 U,) int64; identities from 0, and -1, -2, ... for unlabelled pictures, alike in both views.
    """

    images: Tensor
    labels: Tensor

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the network is called with."""
        return (self.images,)


class AugmentedSource:
    """Batches for the augmented triplet loss.

    Args:
        labelled: source of labelled batches.
        images: (N, H, W, 3) uint8, the unlabelled pictures.
        count: U, unlabelled pictures in a batch.
        transform: augmentation; applied twice to each, it makes the two views.
    """

    def __init__(self, labelled: PictureSource, images: np.ndarray, count: int, transform: Transform) -> None:
        self._labelled, self._images, self._transform = labelled, as_tensor(images), transform
        self._count = min(count, len(images))
        self.start(0, 0)

    def __len__(self) -> int:
        return len(self._labelled)

    def start(self, seed: int, rank: int) -> None:
        """Go to the beginning of the stream of one process."""
        self._labelled.start(seed, rank)
        self._seed, self._place = derive(seed, "unlabelled", rank), 0
        self._generator = torch.Generator().manual_seed(derive(seed, "unlabelled transforms", rank))

    def batch(self, device: torch.device) -> AugmentedBatch:
        """Return the next batch."""
        images, labels, _ = self._labelled.batch(device)
        rows = rng(self._seed, self._place).choice(len(self._images), self._count, replace=False)
        self._place += 1
        pictures = self._images[torch.from_numpy(rows)].to(device)
        views = [self._transform(pictures, self._generator) for _ in range(2)]
        nobody = -1 - torch.arange(self._count, device=device)
        return AugmentedBatch(torch.cat([images, *views]), torch.cat([labels, nobody, nobody]))

    def describe(self) -> dict[str, Any]:
        """Return what a resumed run's source must share."""
        return {**self._labelled.describe(), "unlabelled": len(self._images), "views": self._count}

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the stream."""
        return {"labelled": self._labelled.state_dict(), "place": self._place, "views": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a place that :meth:`state_dict` returned."""
        self._labelled.load_state_dict(state["labelled"])
        self._place = state["place"]
        self._generator.set_state(state["views"])


def augmented_objective(model: nn.Module, batch: AugmentedBatch) -> dict[str, Tensor]:
    """Return cross-entropy of the labelled pictures plus the augmented triplet loss of all."""
    output = model(*batch.inputs)
    known = batch.labels >= 0
    ce = CrossEntropy()(output.logits[known], batch.labels[known])
    triplet = augmented_triplet(output.features, batch.labels)
    return {"loss": ce + triplet, "ce": ce, "triplet": triplet}


class RectifiedBatch(NamedTuple):
    """Pictures of clusters, then pictures of mined pairs (Sec. 4.3.4).

    Attributes:
        images: (B + M, 3, H, W) float.
        labels: (B,) int64 numbers of the clusters.
        rows: (B,) int64 positions of the first B.
        mined_rows: (M,) int64 positions of the others.
        groups: (M,) int64; an anchor and its partners share a number.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor
    mined_rows: Tensor
    groups: Tensor

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the network is called with."""
        return (self.images,)


class RectifiedSource:
    """Batches of clusters with batches of mined pairs beside them.

    Args:
        clusters: source of the former.
        work: the round's pictures, with mined pairs.
        config: of the training.
        transform: augmentation.
    """

    def __init__(self, clusters: PictureSource, work: Homework, config: TrainConfig, transform: Transform) -> None:
        self._clusters, self._work, self._transform = clusters, work, transform
        self._images = as_tensor(work.images)
        self.start(0, 0)

    def __len__(self) -> int:
        return len(self._clusters)

    def start(self, seed: int, rank: int) -> None:
        """Go to the beginning of the stream of one process."""
        from reidlab.pseudolabel.mining import MinedPairSampler

        self._clusters.start(seed, rank)
        work = self._work
        anchors = min(work.icm_p, len(work.mined.anchors))
        self._pairs = MinedPairSampler(work.mined, anchors, work.icm_k, derive(seed, "mined pairs", rank))
        self._generator = torch.Generator().manual_seed(derive(seed, "mined transforms", rank))

    def batch(self, device: torch.device) -> RectifiedBatch:
        """Return the next batch."""
        images, labels, rows = self._clusters.batch(device)
        mined_rows, groups = (torch.from_numpy(part) for part in self._pairs.next_batch())
        mined = self._transform(self._images[mined_rows].to(device), self._generator)
        return RectifiedBatch(torch.cat([images, mined]), labels, rows, mined_rows, groups.to(device))

    def describe(self) -> dict[str, Any]:
        """Return what a resumed run's source must share."""
        return {**self._clusters.describe(), "mined": len(self._work.mined.pairs)}

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the stream."""
        state = {"clusters": self._clusters.state_dict(), "pairs": self._pairs.state_dict()}
        return {**state, "generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a place that :meth:`state_dict` returned."""
        self._clusters.load_state_dict(state["clusters"])
        self._pairs.load_state_dict(state["pairs"])
        self._generator.set_state(state["generator"])


class PseudoObjective:
    """Cross-entropy, hard or soft, plus triplets of clusters, plus triplets of mined pairs where there are any.

    All have weight 1 (Sec. 3.3.8 and Eq. 4.1).

    Args:
        work: what the round is trained on.
    """

    def __init__(self, work: Homework) -> None:
        inside = work.inside
        self._classes = torch.from_numpy(np.asarray(work.classes, dtype=np.int64)[inside])
        self._targets = None if work.targets is None else torch.from_numpy(work.targets[inside])
        self._work = work

    def __call__(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Return ``loss`` and its terms."""
        output = model(*batch.inputs)
        count = len(batch.labels)
        features, logits = output.features[:count], output.logits[:count]
        if self._targets is None:
            ce = CrossEntropy()(logits, self._classes[batch.rows].to(logits.device))
        else:
            ce = soft_cross_entropy(logits, self._targets[batch.rows].to(logits.device))
        values = {"ce": ce, "triplet": self._triplet(features, batch.labels)}
        if isinstance(batch, RectifiedBatch):
            values["icm"] = self._icm(output.features[count:], batch)
        return {"loss": sum(values.values()), **values}

    def _triplet(self, features: Tensor, labels: Tensor) -> Tensor:
        if self._work.metric == "batch-hard":
            return SoftMarginBatchHard()(features, labels)
        same = labels[:, None] == labels[None, :]
        return weighted_triplet(features, same, ~same)

    def _icm(self, features: Tensor, batch: RectifiedBatch) -> Tensor:
        """Return the weighted triplet loss of mined pairs: a picture's partners pull, what cannot be it pushes.

        Two partners of one anchor that are no pair themselves neither pull nor push each other.
        """
        from reidlab.pseudolabel.mining import icm_negatives, icm_positives

        rows = batch.mined_rows.numpy()
        positives = torch.from_numpy(icm_positives(self._work.mined, rows)).to(features.device)
        allowed = torch.from_numpy(icm_negatives(self._work.mined, self._work.classes, rows)).to(features.device)
        together = batch.groups[:, None] == batch.groups[None, :]
        return weighted_triplet(features, positives, allowed & ~together & ~positives)


def expanded(model: ReIDNet, classes: int, keep: int, seed: int) -> ReIDNet:
    """Return a copy of a network with another number of classes.

    Backbone and neck are copied. The classifier's first rows are kept: labelled identities stay who they are, while
    clusters are numbered anew each round and begin anew, as a fresh neck does.

    Args:
        model: the network; it is left as it is.
        classes: of the copy.
        keep: rows of the classifier to keep, at most ``classes``.
        seed: of the new rows.

    Raises:
        ConfigError: there are fewer rows to keep.
    """
    from reidlab.models import BNNeck
    from reidlab.training.determinism import seeded

    if not 0 <= keep <= min(classes, model.num_classes):
        raise ConfigError(f"keep: {keep} rows of a classifier that has {model.num_classes} and is to have {classes}")
    out = copy.deepcopy(model)
    with seeded(derive(seed, "new classes")):
        neck = BNNeck(model.neck.bn.num_features, classes)
    neck.bn.load_state_dict(model.neck.bn.state_dict())
    with torch.no_grad():
        neck.classifier.weight[:keep] = model.neck.classifier.weight[:keep]
    out.neck = neck.to(next(model.parameters()).device)
    out.num_classes = classes
    return out


class Features(NamedTuple):
    """What clustering looks at.

    Attributes:
        whole: (N, D) float32 features before the neck, un-normalised.
        parts: for each horizontal part of the picture from the top, (N, D) float32.
    """

    whole: np.ndarray
    parts: tuple[np.ndarray, ...]


def features_of(model: ReIDNet, images: np.ndarray, parts: int = 0, batch_size: int = 256) -> Features:
    """Return the features before the neck of whole pictures, and of horizontal parts of their feature maps.

    The dissertation clusters the features that the triplet loss sees (Secs. 3.3.3 and 4.4.2), not those after the neck.

    Args:
        model: the network; it runs where its weights are and keeps its mode.
        images: (N, H, W, 3) uint8.
        parts: number of parts; 2 are the upper and the lower half (Sec. 4.3.3).
        batch_size: pictures per pass; changes memory and speed only.

    Raises:
        ConfigError: the feature map has fewer rows than parts.
    """
    from reidlab.data import normalize
    from reidlab.models import evaluating
    from reidlab.training.denormals import flushed_denormals

    whole: list[np.ndarray] = []
    pieces: list[list[np.ndarray]] = [[] for _ in range(parts)]
    weight = next(model.parameters())
    with flushed_denormals(), evaluating(model), torch.inference_mode():
        for start in range(0, len(images), batch_size):
            batch = as_tensor(images[start : start + batch_size]).to(weight.device)
            maps = model.backbone(normalize(batch).to(weight.dtype))
            if parts > maps.shape[2]:
                raise ConfigError(f"parts: {parts} of a feature map with {maps.shape[2]} rows")
            whole.append(model.pool(maps).float().cpu().numpy())
            for piece, part in zip(pieces, maps.tensor_split(parts, dim=2) if parts else ()):
                piece.append(model.pool(part).float().cpu().numpy())
    return Features(np.concatenate(whole), tuple(np.concatenate(piece) for piece in pieces))
