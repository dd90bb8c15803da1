"""Filters are removed from a network, with everything that depends on them; masking them is what it must equal.

Sec. 5.3 of the dissertation: a filter of layer i goes with its channel in every filter of layer i + 1. Here also with
its normalisation, with the filters whose outputs are added to its own, and with whatever else
:mod:`reidlab.pruning.couplings` finds.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvTransposeNd

from reidlab.checks import check_choice, check_integer
from reidlab.errors import ConfigError
from reidlab.models.attention import CoarseToFineAxial
from reidlab.models.modes import evaluating
from reidlab.models.narrow_resnet import PaddedIdentity
from reidlab.models.resnet import BasicBlock, Bottleneck
from reidlab.pruning.couplings import Axis, Couplings
from reidlab.pruning.nested import tensors_in

#: Which filters go, by layer; indices count from 0 within the layer as it is.
Removals = Mapping[str, Sequence[int]]


def removed(model: nn.Module, couplings: Couplings, removals: Removals) -> nn.Module:
    """Return a copy of a network without some filters and all that depends on them.

    Args:
        model: the network that was followed; it stays as it is.
        couplings: of :func:`reidlab.pruning.couplings.follow`; they do not fit the copy, whose filters have other
            indices.
        removals: filters by layer.

    Returns:
        The smaller network. It needs a new optimiser.

    Raises:
        ConfigError: a layer is unknown or must keep its filters, an index is out of range or given twice, or no filter
            or no input of a layer would stay.

    Example:
        >>> from reidlab.models import resnet
        >>> from reidlab.pruning.couplings import follow
        >>> model = resnet(18, width=8, num_classes=3)
        >>> smaller = removed(model, follow(model, torch.zeros(1, 3, 32, 32)), {"layer1.0.conv1": [0, 5]})
        >>> smaller.layer1[0].conv1.weight.shape, smaller.layer1[0].conv2.weight.shape
        (torch.Size([6, 8, 3, 3]), torch.Size([8, 6, 3, 3]))
    """
    gone = chosen(couplings, removals)
    kept = [(axis, ~np.isin(axis.labels, gone)) for axis in couplings.axes]
    kept = [(axis, torch.from_numpy(np.flatnonzero(keep))) for axis, keep in kept if not keep.all()]
    cut = [getattr(model.get_submodule(axis.module), name) for axis, _ in kept for name in _cut(model, axis)]
    result = copy.deepcopy(model, {id(value): value for value in cut})  # not copied: they are replaced below
    for axis, keep in kept:
        _narrow(result.get_submodule(axis.module), axis, keep, _cut(result, axis))
    return result


def masked(model: nn.Module, couplings: Couplings, removals: Removals) -> nn.Module:
    """Return a copy of a network in which filters are 0 and stay so through their normalisations.

    In evaluation mode it puts out what :func:`removed` does.

    Args:
        model: the network that was followed; it stays as it is.
        couplings: as for :func:`removed`.
        removals: filters by layer.

    Raises:
        ConfigError: as :func:`removed`.
    """
    gone = chosen(couplings, removals)
    result = copy.deepcopy(model)
    with torch.no_grad():
        for axis in couplings.axes:
            out = torch.from_numpy(np.flatnonzero(np.isin(axis.labels, gone)))
            if axis.role in ("out", "both"):
                module = result.get_submodule(axis.module)
                if module.weight is not None:
                    (filters(module) if axis.role == "out" else module.weight)[out] = 0
                if module.bias is not None:
                    module.bias[out] = 0
    return result


def chosen(couplings: Couplings, removals: Removals) -> np.ndarray:
    """Check removals, and return the labels (components) that go.

    Args:
        couplings: of :func:`reidlab.pruning.couplings.follow`.
        removals: filters by layer.

    Returns:
        (K,) labels of the couplings' axes.

    Raises:
        ConfigError: as :func:`removed`.
    """
    outputs = {axis.module: axis.labels for axis in couplings.axes if axis.role == "out"}
    labels: list[int] = []
    for layer, indices in removals.items():
        check_choice("layer", layer, outputs)
        if why := couplings.group_of[layer].fixed:
            raise ConfigError(f"{layer}: its filters cannot be removed, for {why}")
        width = len(outputs[layer])
        whole = [check_integer(layer, index, 0, width - 1, what=f"a filter of {width}") for index in indices]
        if len(set(whole)) < len(whole):
            twice = next(index for index in whole if whole.count(index) > 1)
            raise ConfigError(f"{layer}: filter {twice} is named twice; each can be removed once")
        labels += outputs[layer][whole].tolist()
    gone = np.unique(np.array(labels, dtype=np.int64))
    for axis in couplings.axes:
        if len(gone) and np.isin(axis.labels, gone).all():
            what = "filters" if axis.role == "out" else "channels that it takes"
            raise ConfigError(f"{axis.module}: all {len(axis.labels)} {what} would be removed; at least 1 must stay")
    return gone


def check_removal(model: nn.Module, couplings: Couplings, layers: Sequence[str], example: Tensor) -> None:
    """Remove a filter from each layer of a copy and see that it puts out what masking them does.

    What :func:`~reidlab.pruning.couplings.follow` cannot see is found here: a number of channels that the code says or
    that a parameter of the network's own has, and weights that a hook computes.

    Args:
        model: the network that was followed; it stays as it is.
        couplings: of the network.
        layers: each of a group of its own, none fixed.
        example: what the network takes, (1, ...) with the batch axis; noise takes the place of its values.

    Raises:
        ConfigError: a layer cannot be pruned so; the message names it and the reason.
    """
    noise = torch.randn(example.shape, generator=torch.Generator().manual_seed(0)).to(example)
    if (why := _unlike(model, couplings, layers, noise)) != "":
        for layer in layers:
            if alone := _unlike(model, couplings, [layer], noise):
                raise ConfigError(f"layers: {layer} cannot be pruned, {alone}")
        if why:
            raise ConfigError(f"layers: {', '.join(layers)} cannot be pruned together, {why}")


def _unlike(model: nn.Module, couplings: Couplings, layers: Sequence[str], example: Tensor) -> str | None:
    """Return what goes wrong without one filter of each layer: "" if nothing does, None if no more can be removed."""
    removals = {layer: [0] for layer in layers}
    try:
        mask = masked(model, couplings, removals)
    except ConfigError:  # of a slice of the channels one must stay
        return None
    try:
        smaller, ran = removed(model, couplings, removals), set()
        for layer in layers:
            smaller.get_submodule(layer).register_forward_hook(lambda *_, layer=layer: ran.add(layer))
        with evaluating(smaller), torch.no_grad():
            found = list(tensors_in(smaller(example)))
    except Exception as error:
        return (
            "for without one of its filters the network stops "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}); does its code, a "
            "parameter of its own or a hook count on the number of channels?"
        )
    if left := [layer for layer in layers if layer not in ran]:
        return f"for a copy of the network does not run its own {left[0]}; is a forward set on the instance?"
    with evaluating(mask), torch.no_grad():
        expected = list(tensors_in(mask(example)))
    for ours, theirs in zip(found, expected):
        if ours.shape != theirs.shape:
            return f"for without one of its filters the network puts out {tuple(ours.shape)}, not {tuple(theirs.shape)}"
        if not theirs.is_floating_point():
            continue
        scale = float(theirs.abs().max()) if theirs.numel() else 0.0
        off = float((ours - theirs).abs().max()) if theirs.numel() else 0.0
        if off > 1e-3 * max(scale, 1e-6):
            return (
                f"for without one of its filters the network puts out what differs by {off:.2g} from what it does when "
                f"that filter is 0, on outputs of at most {scale:.2g}"
            )
    return ""


def widths(model: nn.Module, layers: Iterable[str]) -> dict[str, int]:
    """Return how many filters layers have, by name."""
    return {name: len(filters(model.get_submodule(name))) for name in layers}


def pad_identities(model: nn.Module) -> None:
    """Let a residual network's identity shortcuts end the coupling of filters, in place (Fig. 5.4 (b), Sec. 5.4.4).

    Each gets a :class:`~reidlab.models.narrow_resnet.PaddedIdentity`, which changes nothing until channels are removed
    before it: then it puts zeros in their places. So the filters before a shortcut (its convolution's and the second
    convolution's of the same block) go without those of the blocks after it.

    Args:
        model: network of residual blocks.

    Raises:
        ConfigError: it has none.
    """
    blocks = [block for block in model.modules() if isinstance(block, (BasicBlock, Bottleneck))]
    if not blocks:
        raise ConfigError(f"model: {type(model).__name__} has no residual blocks, whose identities could be padded")
    for block in blocks:
        if block.downsample is None:
            block.downsample = PaddedIdentity.first(block.conv1.in_channels, block.conv1.in_channels)


def filters(module: nn.Module) -> Tensor:
    """Return the weights (filters, channels, ...) of a convolution, transposed or not, or of a linear layer."""
    return module.weight.transpose(0, 1) if isinstance(module, _ConvTransposeNd) else module.weight


def _cut(model: nn.Module, axis: Axis) -> tuple[str, ...]:
    """Return the names of a module's tensors that have the channels of an axis."""
    module = model.get_submodule(axis.module)
    if axis.role in ("width", "source"):
        return ()
    names = ("weight", "bias", "running_mean", "running_var") if isinstance(module, _BatchNorm) else ("weight", "bias")
    return tuple(n for n in names[: 1 if axis.role == "in" else None] if getattr(module, n) is not None)


def _narrow(module: nn.Module, axis: Axis, keep: Tensor, tensors: Sequence[str]) -> None:
    """Keep only some channels of a module and of its tensors, in place."""
    count = len(keep)
    if isinstance(module, PaddedIdentity):
        place = torch.full((module.inputs + 1,), count)
        place[keep] = torch.arange(count)
        module.source, module.inputs = place.to(module.source.device)[module.source], count
    elif axis.role == "width":
        module.channels = count
        if isinstance(module, CoarseToFineAxial):
            ends = np.cumsum(module.widths)
            slices = np.searchsorted(ends, keep.numpy(), side="right")
            module.widths = tuple(np.bincount(slices, minlength=len(ends)).tolist())
    elif isinstance(module, _BatchNorm):
        module.num_features = count
    else:
        own = "features" if isinstance(module, nn.Linear) else "channels"
        for side in ("in", "out") if axis.role == "both" else (axis.role,):
            setattr(module, f"{side}_{own}", count)
        if axis.role == "both":
            module.groups = count
    for name in tensors:
        old = getattr(module, name)
        across = (
            name == "weight" and axis.role != "both" and (axis.role == "in") != isinstance(module, _ConvTransposeNd)
        )
        new = old.detach().index_select(int(across), keep.to(old.device))
        if old.ndim == 4 and old.is_contiguous(memory_format=torch.channels_last):
            new = new.contiguous(memory_format=torch.channels_last)
        setattr(module, name, nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new)
