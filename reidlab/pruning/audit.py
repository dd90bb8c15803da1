"""What the printed tables of chapter 5, of Section 8.4 and of the survey count, counted again: no data, no weights.

An :class:`Entry` is a row of a printed table: the network that it describes, built from its widths, and the convention
under which it is counted. Where two columns of a table describe two networks, the table has two entries for a row.
Networks of other papers (Li et al., ThiNet) are built as these papers describe them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from reidlab.models import (
    CONVENTIONS,
    VDSR,
    VGG,
    CifarResNet,
    Counted,
    ResNet,
    cifar_stages,
    cost,
    counted,
    narrowed,
    resnet,
    vdsr,
    vgg_widths,
    video_network,
)
from reidlab.pruning.cycles import FITTED, Layer, layers
from reidlab.pruning.uniform import RULES, kept, uniform, uniform_cifar, uniform_vgg

LUMINANCE, CIFAR, IMAGENET, PERSON = (1, 41, 41), (3, 32, 32), (3, 224, 224), (3, 256, 128)

#: Reducing factors of uniform removal in Tables 5.1, 5.3 and 5.5.
VDSR_REDUCTIONS = (0.0625, 0.125, 0.25)
VGG_REDUCTIONS = (0.25, 0.375, 0.5, 0.625)
RESNET_REDUCTIONS = (0.125, 0.25, 0.375, 0.5)

#: The share of each block's first filters that Li et al. remove, by stage, and the layers they leave whole, counting
#: convolutions from 1: ResNet-56-pruned-B and ResNet-34-pruned-B.
LI_56 = ((0.6, 0.3, 0.1), (16, 18, 20, 34, 38, 54))
LI_34 = ((0.5, 0.6, 0.4, 0.0), (2, 8, 14, 16, 26, 28, 30, 32))

#: Tables that print cycles, and the convention of the entries that they are counted on.
CYCLES = {"Table 5.1": "table-5.1", "Table 5.3": "table-5.3", "Table 5.5": "table-5.5"}

Build = Callable[[], nn.Module]


@dataclass(frozen=True)
class Entry:
    """A row of a printed table.

    Attributes:
        item: the table or section, as the inventory of claims names it.
        name: of the entry; ``ur-0.25`` is uniform removal with that reducing factor.
        build: makes the network.
        shape: of its input.
        convention: one of :data:`~reidlab.models.conventions.CONVENTIONS`.
        whole: makes the network that shares are taken of.
        source: ``dissertation`` or ``survey``; both have a Table 5.
    """

    item: str
    name: str
    build: Build
    shape: tuple[int, ...] = CIFAR
    convention: str = "eq-5.7"
    whole: Build | None = None
    source: str = "dissertation"


def first_in_block(model: ResNet | CifarResNet, shares: Sequence[float], skipped: Sequence[int]) -> list[int]:
    """Return the inner widths of basic blocks from which Li et al. removed filters, in order.

    Args:
        model: the whole network, of basic blocks.
        shares: to remove from the first convolution of each block, by stage; kept widths are rounded down.
        skipped: convolutions that stay whole, counted from 1 with the network's first; shortcuts are not counted.
    """
    found = []
    for share, stage in zip(shares, model.stages, strict=True):
        for block in stage:
            width = block.conv1.out_channels
            found.append(width if 2 * len(found) + 2 in skipped else kept(width, share, "kept"))
    return found


def _vgg_imagenet(widths: Sequence[Sequence[int]]) -> VGG:
    return VGG(widths, hidden=(4096, 4096), num_classes=1000, norm=False, size=224)


def _resnet(depth: int, classes: int | None = 1000, *, inner: float = 1.0, stride_first: bool = False) -> ResNet:
    """A stock ResNet; ``inner`` is the share of the filters inside its bottlenecks that stay."""
    model = resnet(depth, last_stride=2, num_classes=classes)
    if stride_first:  # as in the first release, where the first convolution of a stage halves the map
        for stage in model.stages:
            stage[0].conv1.stride, stage[0].conv2.stride = stage[0].conv2.stride, stage[0].conv1.stride
    if inner < 1:
        blocks = chain(*model.stages)
        narrowed(model, [tuple(kept(c.out_channels, 1 - inner, "kept") for c in (b.conv1, b.conv2)) for b in blocks])
    return model


def _li_34() -> ResNet:
    model = _resnet(34)
    return narrowed(model, [(width,) for width in first_in_block(model, *LI_34)])


def _resnet_56() -> CifarResNet:
    return CifarResNet(16, cifar_stages(56, 16), projection=False)


def _li_56() -> CifarResNet:
    inner = iter(first_in_block(_resnet_56(), *LI_56))
    stages = [[(next(inner), outputs) for _, outputs in stage] for stage in cifar_stages(56, 16)]
    return CifarResNet(16, stages, projection=False)


def _entries() -> Iterator[Entry]:
    of = functools.partial
    whole: Build = vdsr
    yield Entry("Table 5.1", "original", whole, LUMINANCE, "table-5.1")
    yield Entry("Table 5.1", "original-weights", whole, LUMINANCE)
    for share in VDSR_REDUCTIONS:
        build = of(VDSR, uniform((64,) * 19, share))
        yield Entry("Table 5.1", f"ur-{share}", build, LUMINANCE, "table-5.1", whole)
        yield Entry("Table 5.1", f"ur-{share}-weights", build, LUMINANCE, "eq-5.7", whole)
    yield Entry("Table 5.2", "shallow", of(vdsr, 10), LUMINANCE, "eq-5.7", whole)
    whole = of(VGG, vgg_widths(19))
    yield Entry("Table 5.3", "original", whole, convention="table-5.3")
    for share in VGG_REDUCTIONS:
        for last, name in ((False, f"ur-{share}"), (True, f"ur-{share}-last")):
            build = of(VGG, uniform_vgg(vgg_widths(19), share, last=last))
            yield Entry("Table 5.3", name, build, convention="table-5.3", whole=whole)
    yield Entry("Table 5.4", "shallow", of(VGG, vgg_widths("shallow")), convention="table-5.3", whole=whole)
    whole = of(CifarResNet, 32, cifar_stages())
    yield Entry("Table 5.5", "original", whole, convention="table-5.5")
    for share in RESNET_REDUCTIONS:
        for rule in RULES:
            build = of(CifarResNet, *uniform_cifar(32, cifar_stages(), share, rule))
            yield Entry("Table 5.5", f"ur-{share}-{rule}", build, convention="table-5.5", whole=whole)
    yield Entry("Section 5.4.4", "of-vgg-19", whole, convention="eq-5.7", whole=of(VGG, vgg_widths(19)))
    whole = of(VGG, vgg_widths(16), hidden=(512,))
    yield Entry("Table 5.7", "original", whole, convention="table-5.5")
    pruned = [[32, 64], [128, 128], *[[256] * 3] * 3]
    yield Entry("Table 5.7", "li", of(VGG, pruned, hidden=(512,)), convention="table-5.5", whole=whole)
    whole = of(_resnet, 34)
    yield Entry("Table 5.8", "original", whole, IMAGENET, "table-5.8")
    yield Entry("Table 5.8", "li", _li_34, IMAGENET, "table-5.8", whole)
    whole = of(_resnet, 50, stride_first=True)
    thinet_30 = of(_resnet, 50, inner=0.3, stride_first=True)
    yield Entry("Table 6.2", "thinet-30", thinet_30, IMAGENET, "everything", whole)

    survey = of(Entry, source="survey")
    yield survey("Table 3", "resnet-56", _resnet_56, CIFAR, "table-5.5")
    yield survey("Table 3", "resnet-56-l1", _li_56, CIFAR, "table-5.5")
    yield survey("Table 3", "vgg-16", of(_vgg_imagenet, vgg_widths(16)), IMAGENET, "survey-flops")
    halved = [uniform(part, 0.5) for part in vgg_widths(16)[:4]] + [[512] * 3]
    yield survey("Table 3", "vgg-16-thinet", of(_vgg_imagenet, halved), IMAGENET, "survey-flops")
    yield survey("Table 3", "resnet-50", whole, IMAGENET, "survey-flops")
    yield survey("Table 3", "resnet-50-thinet", of(_resnet, 50, inner=0.5, stride_first=True), IMAGENET, "survey-flops")
    yield survey("Table 3", "resnet-50-macs", whole, IMAGENET, "everything")
    for depth in (50, 34, 18):
        yield survey("Table 5", f"resnet-{depth}", of(_resnet, depth, None), PERSON, "survey-5")
    whole = of(_resnet, 50, None)
    yield survey("Table 5", "halved", of(_resnet, 50, None, inner=0.5), PERSON, "survey-5", whole)


#: Every row that is counted, in the order of the works.
ENTRIES: tuple[Entry, ...] = tuple(_entries())


#: What changes no shape and is slow on the meta device: drawing weights, normalising.
_SHAPELESS = (torch.Tensor.normal_, torch.Tensor.uniform_, nn.init.kaiming_uniform_, nn.functional.batch_norm)


class _Shapes(TorchFunctionMode):
    """Leaves :data:`_SHAPELESS` out."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if func in _SHAPELESS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@functools.cache
def _network(build: Build, shape: tuple[int, ...]) -> tuple[nn.Module, dict[str, Counted]]:
    """Make a network on the meta device, once, and return it with what all conventions count of it."""
    with torch.device("meta"), _Shapes():
        model = build()
        return model, counted(model, shape)


@functools.cache
def _layers(entry: Entry) -> list[Layer]:
    """Return the layers of an entry's network that take cycles."""
    with torch.device("meta"), _Shapes():
        return [layer for _, layer in layers(_network(entry.build, entry.shape)[0], entry.shape)]


def records(array: tuple[int, int] = FITTED) -> Iterator[dict[str, Any]]:
    """Yield what every entry counts: ``params, operations, cycles``, and ``params_share`` and ``operations_share``.

    Dimensions are ``source, item, entry`` and ``convention``. Cycles leave shortcuts out and are counted for the
    networks whose tables print them.

    Args:
        array: rows and columns of the systolic array.
    """
    for entry in ENTRIES:
        dims = {"source": entry.source, "item": entry.item, "entry": entry.name, "convention": entry.convention}
        found = _network(entry.build, entry.shape)[1]
        for key, value in found[entry.convention]._asdict().items():
            yield {"key": key, "value": value, "unit": "count", **dims}
            if entry.whole:
                whole = _network(entry.whole, entry.shape)[1][entry.convention]
                yield {"key": f"{key}_share", "value": value / getattr(whole, key), **dims}
        if entry.item in CYCLES and entry.convention == CYCLES[entry.item]:
            total = sum(layer.cycles(array) for layer in _layers(entry))
            yield {"key": "cycles", "value": total, "unit": "cycles", **dims}
    yield from _mixed()
    yield from _spatial_nvan()


def _mixed() -> Iterator[dict[str, Any]]:
    """Table 5.4's 19.51 %: weights of the shallow network's convolutions over everything in VGG-19."""
    entry = next(entry for entry in ENTRIES if entry.item == "Table 5.4")
    shallow = _network(entry.build, entry.shape)[1]["eq-5.7"].params
    everything = _network(entry.whole or entry.build, entry.shape)[1]["everything"].params
    dims = {"source": entry.source, "item": entry.item, "entry": "shallow-mixed"}
    yield {"key": "params_share", "value": shallow / everything, "convention": "eq-5.7 over everything", **dims}


def _spatial_nvan() -> Iterator[dict[str, Any]]:
    """Sec. 8.4: ResNet-34's operations over Spatial-NVAN's, for four frames, at both strides of the last stage."""
    frames = 4
    with torch.device("meta"), _Shapes():
        nvan = cost(video_network("nvan-spatial", 702, size=PERSON[1:], frames=frames), (frames, *PERSON))
        for stride in (1, 2):
            plain = cost(resnet(34, last_stride=stride), PERSON).macs("conv")
            value = frames * plain / (nvan.view("whole") * 1e9)
            dims = {"source": "dissertation", "item": "Section 8.4.1", "entry": f"resnet-34-last-stride-{stride}"}
            yield {"key": "operations_share", "value": value, "convention": "whole", **dims}


def fitting(printed: Mapping[tuple[str, str], float], arrays: Iterable[tuple[int, int]]) -> pd.DataFrame:
    """Compare printed cycles with those of arrays of many sizes.

    Args:
        printed: cycles by table and entry.
        arrays: rows and columns of each array.

    Returns:
        One row per array, the best first: ``rows, columns, cells``, ``worst`` (the largest relative error of a count)
        and ``mean`` (of the errors).
    """
    entries = {(entry.item, entry.name): entry for entry in ENTRIES}
    found = []
    for rows, columns in arrays:
        counts = [sum(layer.cycles((rows, columns)) for layer in _layers(entries[key])) for key in printed]
        errors = [abs(count / value - 1) for count, value in zip(counts, printed.values(), strict=True)]
        error = {"worst": max(errors), "mean": sum(errors) / len(errors)}
        found.append({"rows": rows, "columns": columns, "cells": rows * columns, **error})
    return pd.DataFrame(found).sort_values("worst", ignore_index=True)


def tried(keys: Sequence[str] = ("params", "operations")) -> pd.DataFrame:
    """Count every whole network under every convention.

    Returns:
        One row per network and key (index ``source, item, entry, key``), one column per convention.
    """
    rows = {}
    for entry in ENTRIES:
        if entry.whole is None:
            found = _network(entry.build, entry.shape)[1]
            for key in keys:
                counts = {name: getattr(found[name], key) for name in CONVENTIONS}
                rows[entry.source, entry.item, entry.name, key] = counts
    return pd.DataFrame(rows).T.rename_axis(["source", "item", "entry", "key"])
