"""What chapter 5 prunes networks for: super-resolution and classification, with their data, networks and scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, mse_loss

from reidlab.checks import check_choice
from reidlab.data.classification import LabelledPictures, find_classification
from reidlab.data.super_resolution import (
    LumaSet,
    crop_to_multiple,
    degraded,
    find_sr_sets,
    generated,
    installed_photographs,
    patches,
    psnr,
)
from reidlab.errors import ConfigError
from reidlab.models.mobilenet_v1 import WIDTHS as MOBILENET
from reidlab.models.mobilenet_v1 import MobileNet22
from reidlab.models.narrow_resnet import CifarResNet, cifar_stages
from reidlab.models.resnet import resnet
from reidlab.models.vdsr import vdsr
from reidlab.models.vgg import VGG, vgg_widths
from reidlab.pruning.couplings import check_layers, follow
from reidlab.pruning.evaluation import BatchEvaluation
from reidlab.pruning.removal import pad_identities
from reidlab.study import Registry

#: Data that may be missing on a machine: entries of the catalogue by the name that they are asked for by. Records use
#: the first entry's, that of the set that validates. Other data are always there.
REAL: Mapping[str, tuple[str, ...]] = {
    "sr": ("set5", "set14", "yang91"),
    "cifar-10": ("cifar10",),
    "cifar-10-jpeg": ("cifar10-jpeg",),
}

_SCALE = 2
_BATCH = 128  # pictures evaluated at once


@dataclass(frozen=True, eq=False)
class Task:
    """Data in memory and how networks are trained and scored on them.

    Attributes:
        inputs: (N, ...) float32, to train on.
        targets: (N,) classes, or (N, 1, H, W) pictures.
        loss: from outputs and targets to a scalar.
        scores: evaluations by split, ``validation`` and ``test``: accuracy in per cent, or PSNR in dB.
        labels: what records call the data of each split.
        example: (1, ...) what a network takes.
        protocol: of retrieval; there is none.
    """

    inputs: Tensor
    targets: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]
    scores: Mapping[str, BatchEvaluation]
    labels: Mapping[str, str]
    example: Tensor
    protocol: str = ""


@dataclass(frozen=True, kw_only=True)
class Network:
    """One of the chapter's networks.

    Attributes:
        published: depth and width of the text's network.
        build: from depth and width of the whole network.
        convention: how the network's table counts, one of :data:`~reidlab.models.conventions.CONVENTIONS`.
        kept: the layers that keep their filters (Secs. 5.4.2 to 5.4.5), given all whose filters can be removed, in
            order of use.
        shallow: makes the network of fewer layers; None where the text has none.
        li: reducing factors that Li et al. chose, by layer, given all layers that lose filters; None where the text
            has none.
    """

    published: tuple[int, int]
    build: Callable[[int, int], nn.Module]
    convention: str
    kept: Callable[[Sequence[str]], Sequence[str]]
    shallow: Callable[[int, int], nn.Module] | None = None
    li: Callable[[Sequence[str]], Mapping[str, float]] | None = None

    def layers(self, model: nn.Module, example: Tensor) -> tuple[str, ...]:
        """Return the layers that lose filters, one of each group, in order of use; the example is (1, C, H, W)."""
        found = check_layers(follow(model, example))
        return tuple(name for name in found if name not in self.kept(found))


#: Networks by the name that records give them. Profiles measure vdsr, vgg-19 and resnet-32, the paper's vgg-16 too; the
#: others would double the chapter's time and are there by name. The text trains resnet-34 on ImageNet; here it has ten
#: classes. mobilenet-22 is our reading of a network that the text names and does not describe.
NETWORKS: Registry[Network] = Registry("network")


def _vdsr(depth: int, width: int) -> nn.Module:
    model = vdsr(depth, width)
    nn.init.zeros_(model.body[-1].weight)  # begins as the interpolated picture; else short trainings stay below it
    return model


def _padded(model: nn.Module) -> nn.Module:
    pad_identities(model)
    return model


def _mobilenet(depth: int, width: int) -> nn.Module:
    check_choice("depth", depth, (22,))
    return MobileNet22([width * filters // MOBILENET[0] for filters in MOBILENET])


NETWORKS["vdsr"] = Network(
    published=(20, 64),
    build=_vdsr,
    convention="table-5.1",
    kept=lambda names: (),
    shallow=lambda depth, width: _vdsr(depth // 2, width),
)
NETWORKS["vgg-19"] = Network(
    published=(19, 64),
    build=lambda depth, width: VGG(vgg_widths(depth, width)),
    convention="table-5.3", kept=lambda names: names[-1:],
    shallow=lambda depth, width: VGG(vgg_widths("shallow", width)),
)  # fmt: skip
# With Li et al.'s hidden layer, so that the last convolution may lose filters too.
NETWORKS["vgg-16"] = Network(
    published=(16, 64),
    build=lambda depth, width: VGG(vgg_widths(depth, width), hidden=(8 * width,)), convention="table-5.5",
    kept=lambda names: [name for name in names if name.startswith("classifier")],
    li=lambda names: dict.fromkeys([names[0], *names[7:]], 0.5),
)  # fmt: skip
NETWORKS["resnet-32"] = Network(
    published=(32, 32),
    build=lambda depth, width: _padded(CifarResNet(width, cifar_stages(depth, width))), convention="table-5.5",
    kept=lambda names: names[:1],
)  # fmt: skip
NETWORKS["resnet-34"] = Network(
    published=(34, 64), build=lambda depth, width: _padded(resnet(depth, width=width, last_stride=2, num_classes=10)),
    convention="table-5.8", kept=lambda names: names[:1],
)  # fmt: skip
NETWORKS["mobilenet-22"] = Network(
    published=(22, 32), build=_mobilenet, convention="everything", kept=lambda names: names[-1:]
)


def classification(name: str, size: int, limit: int | None, seed: int) -> Task:
    """Return a set of labelled pictures; a tenth of the training pictures, drawn by a seed, validates (Sec. 5.4.1).

    Args:
        name: as :func:`~reidlab.data.classification.find_classification` knows it.
        size: height and width that pictures are brought to: their own, a multiple of it, or a part.
        limit: training pictures, and half as many for the test; all where None.
        seed: of what is drawn.

    Raises:
        ConfigError: there is no such set, or the size is no multiple and no part of its pictures'.
        MissingDataError: it is not on this machine.
    """
    data = find_classification(name, None if limit is None else (limit, max(1, limit // 2)), seed)
    train, validation = data.divided(0.1, seed)
    mean, deviation = (float(value) for value in (train.images.mean(), train.images.std()))

    own = train.images.shape[1]
    if own % size and size % own:
        raise ConfigError(f"size: {size} is no multiple and no part of {own}, the side of the pictures of {name}")

    def ready(pictures: LabelledPictures) -> Tensor:
        images = torch.from_numpy(pictures.images).permute(0, 3, 1, 2).expand(-1, 3, -1, -1).float()
        times = max(1, size // own)
        images = avg_pool2d(images, max(1, own // size)).repeat_interleave(times, 2).repeat_interleave(times, 3)
        return ((images - mean) / deviation).contiguous(memory_format=torch.channels_last)

    def evaluation(pictures: LabelledPictures) -> BatchEvaluation:
        labels = torch.from_numpy(pictures.labels)
        return BatchEvaluation(ready(pictures).split(_BATCH), partial(accuracy, labels=labels))

    inputs = ready(train)
    scores = {"validation": evaluation(validation), "test": evaluation(data.test)}
    labels = dict.fromkeys(scores, REAL.get(name, (name,))[0])
    return Task(inputs, torch.from_numpy(train.labels), cross_entropy, scores, labels, torch.zeros_like(inputs[:1]))


def super_resolution(name: str, patch: int, limit: int | None, seed: int) -> Task:
    """Return luma pictures at half of their resolution, enlarged, with those that a network should make of them.

    Args:
        name: ``sr``: the 91 images, Set5, which validates on crops, and Set14, which tests whole (Sec. 5.4.2);
            ``generated``: drawn pictures, of which others validate, and photographs that come with libraries test.
        patch: side of the crops, in pixels.
        limit: crops to train on; all where None.
        seed: of what is drawn.

    Raises:
        MissingDataError: a set is not on this machine.
    """
    real = name == "sr"
    sets = find_sr_sets() if real else _drawn(seed)
    low, high = (torch.from_numpy(part) for part in patches(sets["train"], patch, limit=limit, seed=seed))
    below, above = patches(sets["set5"], patch, limit=128, seed=0)
    crops = BatchEvaluation(torch.from_numpy(below).split(_BATCH), partial(mean_psnr, whole=list(above[:, 0])))
    whole = [crop_to_multiple(picture, _SCALE) for picture in sets["set14"].pictures]
    inputs = [torch.from_numpy(degraded(picture, _SCALE).copy())[None, None] for picture in whole]
    scores = {"validation": crops, "test": BatchEvaluation(inputs, partial(mean_psnr, whole=whole))}
    labels = {"validation": "set5", "test": "set14"} if real else dict.fromkeys(scores, name)
    return Task(low, high, mse_loss, scores, labels, torch.zeros_like(low[:1]))


def _drawn(seed: int) -> dict[str, LumaSet]:
    found = installed_photographs()
    # The middle of a photograph is enough for a test, and costs less.
    middles = tuple(np.ascontiguousarray(picture[100:260, 100:260]) for picture in found.pictures)
    drawn = generated(36, seed)
    parts = (slice(0, 30), slice(30, None))
    train, validation = (LumaSet(drawn.name, drawn.pictures[part], drawn.names[part]) for part in parts)
    return {"train": train, "set5": validation, "set14": LumaSet(found.name, middles, found.names)}


def accuracy(outputs: list[Tensor], labels: Tensor) -> float:
    """Return the share of right answers, in per cent, of logits (B, classes) in batches and labels (N,)."""
    return 100 * float((torch.cat(outputs).argmax(1) == labels).double().mean())


def mean_psnr(outputs: list[Tensor], whole: Sequence[np.ndarray]) -> float:
    """Return the mean PSNR in dB of pictures (B, 1, H, W) in batches and true ones (H, W), without their borders."""
    made = [picture[0].numpy().clip(0, 1) for batch in outputs for picture in batch]
    values = [psnr(a, b, _SCALE) if np.isfinite(a).all() else math.nan for a, b in zip(made, whole, strict=True)]
    return float(np.mean(values))
