"""Training on pseudo-labels: sources of batches, objectives, and networks with a new number of classes."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from reidlab.checks import check_choice
from reidlab.data import normalize, to_device
from reidlab.data.decoded import Pictures
from reidlab.errors import ConfigError
from reidlab.losses import (
    CrossEntropy,
    SoftMarginBatchHard,
    augmented_triplet,
    soft_cross_entropy,
    weighted_triplet,
)
from reidlab.models import BNNeck, ReIDNet, evaluating
from reidlab.pseudolabel.mining import MinedPairs, MinedPairSampler, icm_negatives, icm_positives
from reidlab.seeding import derive, rng
from reidlab.training import train
from reidlab.training.denormals import flushed_denormals
from reidlab.training.determinism import seeded
from reidlab.training.pictures import PictureSource, Transform, as_tensor
from reidlab.training.recipe import Recipe

METRICS = ("batch-hard", "weighted")


def learn_augmented(
    recipe: Recipe, labelled: Pictures, unlabelled: Pictures, steps: int, seed: int, count: int = 16
) -> ReIDNet:
    """Return a network trained on true labels and on pairs of unlabelled pictures with their copies (Sec. 3.3.1).

    Args:
        recipe: of network and training.
        labelled: pictures with identities.
        unlabelled: pictures of other identities; their labels are not used.
        steps: length of the training.
        seed: of weights, batches and augmentation.
        count: U, unlabelled pictures in each batch.

    Raises:
        ConfigError: there are no unlabelled pictures in a batch.
    """
    _, classes = np.unique(labelled.pids, return_inverse=True)
    model = recipe.network(labelled.identities, seed).to(memory_format=torch.channels_last)
    config = recipe.config(steps, model.num_classes)
    transform = recipe.transform(config)
    known = PictureSource(labelled.images, classes, config.p, config.k, transform)
    source = AugmentedSource(known, unlabelled.images, count, transform)
    return train(model, source, augmented_objective, config, seed, progress=False).model


def learn_pseudo(
    recipe: Recipe, model: ReIDNet, work: PseudoLabelledSet, steps: int, seed: int, **changes: Any
) -> ReIDNet:
    """Train a network for a round on pseudo-labels, in place.

    Args:
        recipe: of the training.
        model: network with a class for each of the set's.
        work: pictures and their pseudo-labels.
        steps: length of the training.
        seed: of batches and augmentation.
        **changes: fields of the training's configuration that differ from the recipe's.

    Raises:
        ConfigError: a field is unknown or its value not allowed.
    """
    inside = work.inside
    groups = np.unique(work.classes[inside], return_inverse=True)[1]
    config = recipe.config(steps, int(groups.max()) + 1, **changes)
    transform = recipe.transform(config)
    images = work.images if len(inside) == len(work.images) else work.images[inside]
    source: Any = PictureSource(images, groups, config.p, config.k, transform)
    if work.mined is not None and len(work.mined.pairs):
        source = RectifiedSource(source, work, transform)
    model = model.to(memory_format=torch.channels_last)
    return train(model, source, PseudoObjective(work), config, seed, progress=False).model


@dataclass(frozen=True, eq=False)
class PseudoLabelledSet:
    """The training set of a round.

    Attributes:
        images: (N, H, W, 3) uint8.
        classes: (N,) int64 classes of the network, 0..C-1; not every class needs a picture. A picture of class -1 is
            part of no cluster's batch, but may be part of a mined pair.
        targets: (N, C) float32 soft labels, or None where classes are taken as they are.
        metric: ``batch-hard`` or ``weighted``, the kind of triplet loss.
        mined: pairs found across cameras among these pictures, or None. Without any mutual pair, none are used.
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
        check_choice("metric", self.metric, METRICS)
        if len(self.images) != len(self.classes) or (
            self.targets is not None and len(self.targets) != len(self.images)
        ):
            raise ConfigError(f"classes, targets: expected one per picture, {len(self.images)} of them")
        if len(np.unique(self.classes[self.inside])) < 2:
            raise ConfigError("classes: fewer than two have pictures; there is nothing to tell apart")

    @property
    def inside(self) -> np.ndarray:
        """Positions (M,) of the pictures that have a class."""
        return np.flatnonzero(self.classes >= 0)


class AugmentedBatch(NamedTuple):
    """Labelled pictures, then two views of unlabelled ones.

    Attributes:
        images: (L + 2 U, 3, H, W) float.
        labels: (L + 2 U,) int64; identities from 0, and -1, -2, ... for unlabelled pictures, alike in both views.
        known: L.
    """

    images: Tensor
    labels: Tensor
    known: int


class AugmentedSource:
    """Batches for the augmented triplet loss.

    Args:
        labelled: source of labelled batches.
        images: (N, H, W, 3) uint8, the unlabelled pictures.
        count: U, unlabelled pictures in a batch.
        transform: augmentation; applied twice to each, it makes the two views.

    Raises:
        ConfigError: ``count`` is less than 1.
    """

    def __init__(self, labelled: PictureSource, images: np.ndarray, count: int, transform: Transform) -> None:
        if count < 1:
            raise ConfigError(f"count: {count} must be at least 1 unlabelled picture in a batch")
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
        pictures = to_device(self._images[torch.from_numpy(rows)], device)
        views = [self._transform(pictures, self._generator) for _ in range(2)]
        nobody = -1 - torch.arange(self._count, device=device)
        return AugmentedBatch(torch.cat([images, *views]), torch.cat([labels, nobody, nobody]), len(labels))

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
    """Return cross-entropy of the labelled pictures plus the augmented triplet loss of all, and both terms: scalars."""
    output = model(batch.images)
    ce = CrossEntropy()(output.logits[: batch.known], batch.labels[: batch.known])
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


class RectifiedSource:
    """Batches of clusters with batches of mined pairs beside them.

    Args:
        clusters: source of the former.
        work: the round's pictures, with mined pairs.
        transform: augmentation.
    """

    def __init__(self, clusters: PictureSource, work: PseudoLabelledSet, transform: Transform) -> None:
        self._clusters, self._work, self._transform = clusters, work, transform
        self._images = as_tensor(work.images)
        self.start(0, 0)

    def __len__(self) -> int:
        return len(self._clusters)

    def start(self, seed: int, rank: int) -> None:
        """Go to the beginning of the stream of one process."""
        self._clusters.start(seed, rank)
        work = self._work
        anchors = min(work.icm_p, len(work.mined.anchors))
        self._pairs = MinedPairSampler(work.mined, anchors, work.icm_k, derive(seed, "mined pairs", rank))
        self._generator = torch.Generator().manual_seed(derive(seed, "mined transforms", rank))

    def batch(self, device: torch.device) -> RectifiedBatch:
        """Return the next batch."""
        images, labels, rows = self._clusters.batch(device)
        mined_rows, groups = (torch.from_numpy(part) for part in self._pairs.next_batch())
        mined = self._transform(to_device(self._images[mined_rows], device), self._generator)
        return RectifiedBatch(torch.cat([images, mined]), labels, rows, mined_rows, to_device(groups, device))

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

    def __init__(self, work: PseudoLabelledSet) -> None:
        inside = work.inside
        self._classes = torch.from_numpy(np.asarray(work.classes, dtype=np.int64)[inside])
        self._targets = None if work.targets is None else torch.from_numpy(work.targets[inside])
        self._work = work

    def __call__(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Return ``loss`` and its terms, scalars."""
        output = model(batch.images)
        count = len(batch.labels)
        features, logits = output.features[:count], output.logits[:count]
        if self._targets is None:
            ce = CrossEntropy()(logits, to_device(self._classes[batch.rows], logits.device))
        else:
            ce = soft_cross_entropy(logits, to_device(self._targets[batch.rows], logits.device))
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
        rows = batch.mined_rows.numpy()
        pairs = icm_positives(self._work.mined, rows), icm_negatives(self._work.mined, self._work.classes, rows)
        positives, allowed = (to_device(torch.from_numpy(found), features.device) for found in pairs)
        together = batch.groups[:, None] == batch.groups[None, :]
        return weighted_triplet(features, positives, allowed & ~together & ~positives)


def expanded(model: ReIDNet, classes: int, keep: int, seed: int) -> ReIDNet:
    """Return a copy of a network with another number of classes.

    Backbone and neck are copied. The classifier's first rows are kept: labelled identities keep their class, while
    clusters are renumbered each round, so that their rows are initialised again.

    Args:
        model: the network; it is left as it is.
        classes: of the copy.
        keep: rows of the classifier to keep, at most ``classes``.
        seed: of the new rows.

    Raises:
        ConfigError: there are fewer rows to keep.
    """
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
    """Features to cluster.

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
