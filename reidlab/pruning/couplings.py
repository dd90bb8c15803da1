"""Which filters of a network hang together: one pass in which every value is the number of the filter it comes from.

A filter can only be removed with what depends on it: its normalisation, the inputs of later layers, and the filters
whose outputs are added to its own. The network itself is run to find them, on tensors that hold labels in place of
numbers (:class:`_Labels`): a convolution puts out fresh labels, what moves values moves labels, and arithmetic on two
tensors couples the labels that meet. No class of network is known here; an operation without a rule fixes the filters
that reach it, with the reason.

A label is 0 where there is always zero, 1 for values of no filter (the input, constants, mixtures of channels), and
from 2 on a filter. It is negative where the value need not be zero when the filter is masked, such as after a sigmoid:
then the filter can be removed only if a normalisation or a product with a masked channel makes it zero again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from reidlab.checks import suggest
from reidlab.errors import ConfigError
from reidlab.models.attention import ClipBlock, CoarseToFineAxial
from reidlab.models.modes import evaluating
from reidlab.models.narrow_resnet import PaddedIdentity
from reidlab.pruning.nested import mapped, tensors_in

_NONE = 1  # values of no filter
_FAR = 2**31 - 1

#: What moves values without changing them; those that cut an axis at a place that the code fixes.
_MOVES = {"permute", "transpose", "t", "expand", "unsqueeze", "squeeze", "detach", "alias", "flip", "roll", "repeat"}
_CUTS = {"slice", "select", "unbind", "split", "split_with_sizes", "index"}
_VIEWS = {"view", "_unsafe_view", "reshape", "_reshape_alias"}
_KEEP_ZERO = {
    "relu", "leaky_relu", "gelu", "silu", "hardswish", "tanh", "abs", "neg", "sqrt", "clone", "_to_copy",
    "dropout", "native_dropout", "sign", "sin",
}  # fmt: skip
_LEAVE_ZERO = {"sigmoid", "hardsigmoid", "exp", "cos", "log", "rsqrt", "reciprocal"}
_POOLS = {
    "max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool2d", "avg_pool3d", "_adaptive_avg_pool2d",
    "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d", "upsample_nearest2d", "upsample_nearest3d",
    "upsample_bilinear2d", "upsample_bicubic2d", "upsample_trilinear3d",
}  # fmt: skip
_SUMS = {"sum", "linalg_vector_norm"}
_REDUCTIONS = _SUMS | {"mean", "amax", "amin"}


@dataclass(frozen=True)
class FilterGroup:
    """Layers whose filters can only be removed together.

    Attributes:
        layer: the first of them in order of use; its filters are the group's, by index.
        layers: names of all convolutions and linear layers whose filters go together.
        width: filters of ``layer``.
        minimum: how many must stay.
        fixed: why none may be removed, or "" where they may.
    """

    layer: str
    layers: tuple[str, ...]
    width: int
    minimum: int = 1
    fixed: str = ""


@dataclass
class Axis:
    """Where filters' channels lie in a module.

    Attributes:
        module: its name in the network.
        role: ``out``, ``in``, ``both`` (normalisation, convolution of each channel by itself), ``source`` (padded
            identity) or ``width`` (a module that notes how many channels it takes).
        labels: (channels,) component of each channel, -1 where it belongs to no filter.
    """

    module: str
    role: str
    labels: np.ndarray


@dataclass
class Couplings:
    """What :func:`follow` found.

    Attributes:
        groups: groups of filters, in order of use.
        axes: every axis of a module on which filters' channels lie.
        group_of: group of each layer, by name.
    """

    groups: list[FilterGroup]
    axes: list[Axis]
    group_of: dict[str, FilterGroup] = field(init=False)

    def __post_init__(self) -> None:
        self.group_of = {name: group for group in self.groups for name in group.layers}


def follow(model: nn.Module, *example: Tensor) -> Couplings:
    """Find which filters hang together.

    The model runs once in evaluation mode, its arithmetic replaced; neither weights nor the example's values matter.

    Args:
        model: any network.
        *example: what it takes, batch axis included, e.g. (1, 3, 64, 32) or clips (1, T, 3, H, W).

    Returns:
        The couplings; they hold until filters are removed.

    Raises:
        ConfigError: the model cannot be run so: the message names the module where it stopped.
    """
    trace = _Trace(model)
    with evaluating(model), torch.no_grad():
        trace.run(example)
    return trace.couplings()


def check_layers(couplings: Couplings, layers: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the layers that may be pruned, one of each group, in order of use.

    Args:
        couplings: of the network.
        layers: those that are wanted; None for all whose filters can be removed.

    Raises:
        ConfigError: a layer is unknown, must keep its filters, or is pruned together with another one named.
    """
    if layers is None:
        return tuple(group.layer for group in couplings.groups if not group.fixed)
    for number, name in enumerate(layers):
        if name not in couplings.group_of:
            raise ConfigError(
                f"layers: {name!r} has no filters that can be removed, as convolutions without groups and linear "
                f"layers have{suggest(name, couplings.group_of)}"
            )
        group = couplings.group_of[name]
        if group.fixed:
            raise ConfigError(f"layers: {name} cannot be pruned, for {group.fixed}")
        if others := set(layers[:number]) & set(group.layers):
            raise ConfigError(f"layers: {name} is pruned together with {min(others)}; name one of them")
    return tuple(layers)


class _Labels(Tensor):
    """A tensor that holds labels; torch sees its shape, and asks :class:`_Trace` for every operation."""

    labels: Tensor
    owner: _Trace

    @staticmethod
    def __new__(cls, labels: Tensor, trace: _Trace) -> _Labels:
        made = Tensor._make_wrapper_subclass(cls, labels.shape, dtype=torch.float32, device="cpu")
        made.labels, made.owner = labels, trace
        return made

    def __init__(self, *_: object) -> None:
        pass

    @classmethod
    def __torch_function__(cls, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func is F.scaled_dot_product_attention:
            queries, keys, values = args[:3]
            return (queries @ keys.transpose(-1, -2)).softmax(dim=-1) @ values
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        owner = next(a.owner for a in tensors_in((args, kwargs or {})) if isinstance(a, _Labels))
        return owner.operation(func, args, kwargs or {})


class _Trace:
    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.names = {module: name for name, module in model.named_modules()}
        self.tied = _tied(self.names)
        self.outputs: dict[str, Tensor] = {}  # labels of each layer's filters
        self.seen: list[tuple[str, str, np.ndarray]] = []
        self.edges: list[np.ndarray] = []
        self.fixed: dict[int, str] = {}
        self.count = 2
        self.inside: list[nn.Module] = []  # modules at work, the innermost last

    def run(self, example: Sequence[Tensor]) -> None:
        inputs = [_Labels(torch.ones((), dtype=torch.int32).expand(value.shape), self) for value in example]
        handles = [module.register_forward_pre_hook(self.enter) for module in self.names]
        handles += [module.register_forward_hook(self.leave) for module in self.names]
        replaced = []
        try:
            for module in self.names:
                leaf = self.leaf(module)
                if leaf is not None and "forward" not in vars(module):
                    module.forward = leaf
                    replaced.append(module)
            result = self.model(*inputs)
        except Exception as error:
            raise ConfigError(
                f"model: {type(self.model).__name__} cannot be followed; it stopped in {self.place} "
                f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}). Give an "
                "example of the shape that it takes, and a network without decisions that depend on values"
            ) from error
        finally:
            for handle in handles:
                handle.remove()
            for module in replaced:
                del module.forward
        put_out = [value for value in tensors_in(result) if isinstance(value, _Labels)]
        if not put_out:
            raise ConfigError(
                f"model: {type(self.model).__name__} puts out {type(result).__name__}, in which no tensor was found "
                "that depends on its input; let it put out tensors, or lists, tuples, dictionaries or data classes"
            )
        for value in put_out:
            self.fix(value.labels, "they are what the network puts out")

    @property
    def place(self) -> str:
        """The name of the module at work."""
        return self.names[self.inside[-1]] or "the network" if self.inside else "the network"

    def leave(self, module: nn.Module, inputs: tuple, output: object) -> None:
        self.inside.pop()

    def enter(self, module: nn.Module, inputs: tuple) -> None:
        self.inside.append(module)
        if isinstance(module, ClipBlock) and module.channels is not None and isinstance(inputs[0], _Labels):
            self.seen.append((self.place, "width", self.channels(inputs[0].labels, 1).numpy()))

    def leaf(self, module: nn.Module) -> Callable | None:
        """Return what takes the place of a layer's forward, or None for a module that is followed inside."""
        name = self.names[module]
        if isinstance(module, _BatchNorm):
            return lambda x: self.norm(name, module, x)
        if isinstance(module, _ConvNd):
            return lambda x: self.conv(name, module, x)
        if isinstance(module, PaddedIdentity):
            return lambda x: self.padded(name, module, x)
        if isinstance(module, nn.Linear):
            return lambda x: self.weigh(name, module.out_features, x, -1, (*x.shape[:-1], module.out_features))
        return None

    def norm(self, name: str, module: _BatchNorm, x: _Labels) -> _Labels:
        channels = self.channels(x.labels, 1)
        self.seen.append((name, "both", channels.numpy()))
        self.fix_if_tied(name, channels)
        if module.weight is None:  # zero less the mean is none
            return _Labels(_along(torch.where(channels > _NONE, -channels, channels), 1, x.shape), self)
        out = channels.abs().masked_fill(channels == 0, _NONE)  # its own weight and bias are masked too
        return _Labels(_along(out, 1, x.shape), self)

    def conv(self, name: str, module: _ConvNd, x: _Labels) -> _Labels:
        shape = _shape_of(module, x)
        if module.groups == 1:
            return self.weigh(name, module.out_channels, x, 1, shape)
        channels = self.channels(x.labels, 1)
        if module.groups == module.in_channels == module.out_channels:
            self.seen.append((name, "both", channels.numpy()))
            self.fix_if_tied(name, channels)
            return _Labels(_along(channels.abs(), 1, shape), self)
        self.fix(channels, f"{name} is a convolution of {module.groups} groups")
        return _Labels(_none(shape), self)

    def padded(self, name: str, module: PaddedIdentity, x: _Labels) -> _Labels:
        """Note a shortcut that takes any number of channels and keeps its width: a filter's coupling ends there."""
        channels = self.channels(x.labels, 1)
        self.fix(channels[channels < 0], f"{name} would still see them: they are not 0 where the filters are masked")
        self.seen.append((name, "source", channels.numpy()))
        example = torch.zeros(1, module.inputs, *x.shape[2:], device=module.source.device)
        shape = type(module).forward(module, example).shape
        return _Labels(_none((len(x), *shape[1:])), self)

    def weigh(self, name: str, width: int, x: _Labels, axis: int, shape: Sequence[int]) -> _Labels:
        """Note a layer that mixes the channels of ``axis``, and return the labels of its filters."""
        channels = self.channels(x.labels, axis)
        self.fix(channels[channels < 0], f"{name} would still see them: they are not 0 where the filters are masked")
        self.seen.append((name, "in", channels.numpy()))
        if name not in self.outputs:
            # A single filter must stay, and may weigh all channels of another layer: nothing depends on it.
            fresh = torch.arange(self.count, self.count + width, dtype=torch.int32)
            self.outputs[name] = fresh if width > 1 else torch.full_like(fresh, _NONE)
            self.count += width
            self.fix_if_tied(name, self.outputs[name])
        self.fix_if_tied(name, channels)
        return _Labels(_along(self.outputs[name], axis, shape), self)

    def channels(self, labels: Tensor, axis: int) -> Tensor:
        """Return the label of each channel of an axis; filters that share a channel are coupled."""
        rows = _compact(labels).movedim(axis, 0).flatten(1)
        if len(rows) < labels.shape[axis]:
            rows = rows.expand(labels.shape[axis], -1)
        return self.common(rows, 1)

    def common(self, labels: Tensor, axis: int) -> Tensor:
        """Return what stands along an axis on which at most one filter is expected; several are coupled."""
        size = labels.abs()
        most = size.amax(axis)
        least = size.masked_fill(size <= _NONE, _FAR).amin(axis)
        self.couple(most, least.minimum(most))
        real = most > _NONE
        loose = real & ((labels < 0) | (size == _NONE)).any(axis)
        return torch.where(loose, -most, most)

    def couple(self, a: Tensor, b: Tensor) -> None:
        """Couple the filters at the same places of two tensors."""
        a, b = _shared(a, b)
        a, b = a.abs(), b.abs()
        differ = (a != b) & (a > _NONE) & (b > _NONE)
        if differ.any():
            pairs = (a[differ].long() * _FAR + b[differ].long()).unique().numpy()
            self.edges.append(np.stack(np.divmod(pairs, _FAR)))

    def fix(self, labels: Tensor, why: str) -> None:
        """Note that filters may not be removed."""
        for label in _compact(labels).abs().unique().tolist():
            if label > _NONE:
                self.fixed.setdefault(label, why)

    def fix_if_tied(self, name: str, labels: Tensor) -> None:
        """Note that filters on an axis of weights that two modules share may not be removed."""
        if name in self.tied:
            self.fix(labels, f"{name} shares its weights with {self.tied[name]}")

    # --- operations -----------------------------------------------------------------------------------------------

    def operation(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """Return what an operation makes of labels."""
        full = func._schema.name.removeprefix("aten::")
        inplace = full.endswith("_") and not full.startswith("__")
        name = full.removesuffix("_") if inplace else full
        result = self.apply(name, func, args, kwargs)
        if inplace:
            args[0].labels = result.expand(args[0].shape)
            return args[0]
        return mapped(result, lambda labels: _Labels(labels, self))

    def apply(self, name: str, func: Any, args: tuple, kwargs: dict) -> Any:
        x = args[0].labels if args and isinstance(args[0], _Labels) else None
        if x is not None and name in _KEEP_ZERO:
            return x
        if x is not None and name == "hardtanh":  # ReLU6 too
            low, high = [*args[1:], *(-1.0, 1.0)[len(args) - 1 :]]
            return x if low <= 0 <= high else torch.where(x > _NONE, -x, x.masked_fill(x == 0, _NONE))
        if x is not None and name in _LEAVE_ZERO:
            return torch.where(x == 0, _NONE, torch.where(x > _NONE, -x, x))
        if name in ("add", "sub", "maximum", "minimum"):
            return self.elementwise(self.added, args)
        if name == "mul":
            return self.elementwise(self.multiplied, args)
        if name == "div" and x is not None:
            return self.elementwise(lambda a, b: self.multiplied(a, b.sign() * b.abs().clamp(min=_NONE)), args)
        if x is not None and name == "pow" and not isinstance(args[1], Tensor) and args[1] > 0:
            return x
        if x is not None and name in ("clamp", "clamp_min", "clamp_max"):
            return torch.where(x > _NONE, -x, x.masked_fill(x == 0, _NONE))
        if name in _MOVES:
            return func(x, *args[1:], **kwargs)
        if name in _VIEWS:
            return self.viewed(x, tuple(args[1]))
        if name in _CUTS:
            return self.cut(name, func, x, args, kwargs)
        if name in ("cat", "stack"):
            return self.joined(name, [self.of(value) for value in args[0]], *args[1:], **kwargs)
        if name == "constant_pad_nd" and (len(args) < 3 or args[2] == 0):
            return F.pad(x, args[1])
        if x is not None and name in _POOLS:
            channels = self.channels(x, 1)
            pooled = func(torch.zeros(1, 1, *x.shape[2:]), *args[1:], **kwargs)
            return mapped(pooled, lambda out: _along(channels, 1, (*x.shape[:2], *out.shape[2:])))
        if x is not None and name in _REDUCTIONS:
            return self.reduced(name, func, x, args, kwargs)
        if name in ("_softmax", "softmax"):
            return self.softmax(x, args[1] % x.ndim)
        if name in ("bmm", "mm"):
            a, b = self.of(args[0]), self.of(args[1])
            return self.product(a, b) if name == "bmm" else self.product(a[None], b[None])[0]
        return self.unknown(name, func, args, kwargs)

    def of(self, value: Any) -> Tensor:
        """Return the labels of a tensor; a constant's are 0 where it is 0."""
        if isinstance(value, _Labels):
            return value.labels
        return (torch.as_tensor(value) != 0).int().cpu()

    def elementwise(self, rule: Callable[[Tensor, Tensor], Tensor], args: tuple) -> Tensor:
        a, b = self.of(args[0]), self.of(args[1])
        return rule(*_shared(a, b)).expand(torch.broadcast_shapes(a.shape, b.shape))

    def added(self, a: Tensor, b: Tensor) -> Tensor:
        self.couple(a, b)
        most = torch.maximum(a.abs(), b.abs())
        loose = (a < 0) | (b < 0) | (((a == _NONE) | (b == _NONE)) & (most > _NONE))
        return torch.where(loose, -most, most)

    def multiplied(self, a: Tensor, b: Tensor) -> Tensor:
        self.couple(a, b)
        most = torch.maximum(a.abs(), b.abs())
        sure = (a > _NONE) | (b > _NONE) | (most <= _NONE)
        return torch.where(sure, most, -most).masked_fill((a == 0) | (b == 0), 0)

    def viewed(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        before, after = (sum(_varies(labels, axis) for axis in range(labels.ndim)) for labels in (x, x.reshape(shape)))
        if after > max(before, 1):
            self.fix(x, f"{self.place} divides their channels, as into heads")
        return x.reshape(shape)

    def cut(self, name: str, func: Any, x: Tensor, args: tuple, kwargs: dict) -> Any:
        if name == "index":
            axes = [axis for axis, index in enumerate(args[1]) if index is not None]
        else:
            axes = [
                (kwargs.get("dim", args[1 if name in ("unbind", "slice", "select") else 2] if len(args) > 1 else 0))
            ]
        result = func(x, *args[1:], **kwargs)
        whole = isinstance(result, Tensor) and result.shape == x.shape
        follows = isinstance(self.inside[-1], CoarseToFineAxial)
        if not whole and not follows and any(_varies(x, axis % x.ndim) for axis in axes):
            self.fix(x, f"{self.place} cuts their channels at fixed places")
        return result

    def joined(self, name: str, parts: list[Tensor], dim: int = 0) -> Tensor:
        if name == "stack":
            parts = [part.unsqueeze(dim) for part in parts]
        for other in parts[1:]:
            first = parts[0]
            if not any(_varies(part, dim % part.ndim) for part in (first, other)) and any(
                _varies(part, axis) for part in (first, other) for axis in range(part.ndim)
            ):
                self.couple(first.narrow(dim, 0, 1), other.narrow(dim, 0, 1))  # they share the axis of the channels
        shape = list(parts[0].shape)
        shape[dim] = sum(part.shape[dim] for part in parts)
        for axis in range(len(shape)):
            if axis != dim % len(shape) and all(part.stride(axis) == 0 for part in parts):
                parts = [part.narrow(axis, 0, 1) for part in parts]
        return torch.cat(parts, dim).expand(shape)

    def reduced(self, name: str, func: Any, x: Tensor, args: tuple, kwargs: dict) -> Tensor:
        given = [*args[2 if name == "linalg_vector_norm" else 1 :], None, False][:2]
        axes, keep = kwargs.get("dim", given[0]), kwargs.get("keepdim", given[1])
        axes = range(x.ndim) if axes is None or axes == [] else [axes] if isinstance(axes, int) else axes
        axes = [axis % x.ndim for axis in axes]
        shape = [1 if axis in axes else size for axis, size in enumerate(x.shape) if keep or axis not in axes]
        x = _compact(x)
        for axis in axes:
            if _varies(x, axis):
                bad = x[x < 0] if name in _SUMS else x
                self.fix(bad, f"{self.place} takes their {name} together with other channels")
                return _none(shape)
            x = self.common(x, axis).unsqueeze(axis)
        return (x if keep else x.squeeze(axes)).expand(shape)

    def softmax(self, x: Tensor, axis: int) -> Tensor:
        if _varies(x, axis):
            self.fix(x, f"{self.place} takes their softmax together with other channels")
            return _none(x.shape)
        return torch.where(x > _NONE, -x, x.masked_fill(x == 0, _NONE))

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """(n, i, k) and (n, k, j) -> (n, i, j)."""
        shape = (a.shape[0], a.shape[1], b.shape[2])
        vary = _varies(a, 2), _varies(b, 1)
        a, b = _compact(a), _compact(b)
        if not any(vary):
            return self.elementwise(
                self.multiplied,
                (_Labels(self.common(a, 2)[:, :, None], self), _Labels(self.common(b, 1)[:, None], self)),
            ).expand(shape)
        left, right = self.common(a, 1), self.common(b, 2)  # (n, k); several filters in a channel are coupled
        left, right = torch.broadcast_tensors(left, right)
        alone = (left.abs() <= _NONE) != (right.abs() <= _NONE)
        alone &= (left != 0) & (right != 0)  # products with 0 do not need the partner
        loose = (left < 0) & (right < 0)
        for side in (left, right):
            self.fix(side[alone | loose], f"{self.place} multiplies them with values of its own")
        self.couple(left, right)
        return _none(shape)

    def unknown(self, name: str, func: Any, args: tuple, kwargs: dict) -> Any:
        for value in tensors_in((args, kwargs)):
            if isinstance(value, _Labels):
                self.fix(value.labels, f"{self.place} uses {name}, for which there is no rule")
        zeros = [mapped(part, lambda value: torch.zeros(value.shape, dtype=value.dtype)) for part in (args, kwargs)]
        result = func(*zeros[0], **zeros[1])
        if not any(True for _ in tensors_in(result)):
            raise ValueError(f"{name} asks for a value, and there are only shapes")
        return mapped(result, lambda out: _none(out.shape))

    # --- result -----------------------------------------------------------------------------------------------------

    def couplings(self) -> Couplings:
        pairs = np.concatenate([np.empty((2, 0), dtype=np.int64), *self.edges], axis=1)
        graph = coo_array((np.ones(pairs.shape[1]), (pairs[0], pairs[1])), shape=(self.count, self.count))
        component = connected_components(graph, directed=False)[1]
        component[: _NONE + 1] = -1
        several: dict[int, str] = {}
        axes = {(name, "out"): component[labels.numpy()] for name, labels in self.outputs.items()}
        for name, role, labels in self.seen:
            own = component[np.abs(labels)]
            earlier = axes.setdefault((name, role), own)
            if earlier is not own and not np.array_equal(earlier, own):  # used twice, on other channels each time
                for number in np.union1d(earlier, own):
                    several[int(number)] = f"{name} is used on the outputs of several layers"
        reasons = several | {int(component[label]): why for label, why in reversed(self.fixed.items())}
        return Couplings(self.groups(axes, reasons), [Axis(*key, labels) for key, labels in axes.items()])

    def groups(self, axes: dict[tuple[str, str], np.ndarray], reasons: dict[int, str]) -> list[FilterGroup]:
        """Return layers that share a component as one group each."""
        layers = list(self.outputs)
        members = [axes[name, "out"] for name in layers]
        rows = np.repeat(np.arange(len(layers)), [len(own) for own in members])
        columns = np.concatenate([np.empty(0, dtype=np.int64), *members]) + len(layers)
        rows, columns = rows[columns >= len(layers)], columns[columns >= len(layers)]
        size = len(layers) + self.count
        graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))
        together = connected_components(graph, directed=False)[1][: len(layers)]
        groups = []
        for number in dict.fromkeys(together.tolist()):
            names = tuple(name for name, own in zip(layers, together, strict=True) if own == number)
            found = (int(c) for name in names for c in axes[name, "out"] if int(c) in reasons)
            width = len(axes[names[0], "out"])
            why = next((reasons[c] for c in found), "it has one filter" if width == 1 else "")
            groups.append(FilterGroup(names[0], names, width, fixed=why))
        return groups


def _tied(names: Mapping[nn.Module, str]) -> dict[str, str]:
    """Return, for each module with a parameter that another one has too, the name of the first other one."""
    owners: dict[nn.Parameter, list[str]] = {}
    for module, name in names.items():
        for parameter in dict.fromkeys(module.parameters(recurse=False)):
            owners.setdefault(parameter, []).append(name)
    return {name: next(o for o in found if o != name) for found in owners.values() if len(found) > 1 for name in found}


def _none(shape: Sequence[int]) -> Tensor:
    """Return the labels of values that come from no filter."""
    return torch.full((), _NONE, dtype=torch.int32).expand(tuple(shape))


def _varies(labels: Tensor, axis: int) -> bool:
    """Return whether more than one filter's values lie along an axis."""
    size = _compact(labels).abs()
    if size.shape[axis] == 1 or not (size != size.narrow(axis, 0, 1)).any():
        return False
    most = size.amax(axis)
    least = size.masked_fill(size <= _NONE, _FAR).amin(axis)
    return bool(((least < _FAR) & (least != most)).any())


def _compact(labels: Tensor) -> Tensor:
    """Return labels without the repetitions of an axis that was expanded; such an axis has length 1."""
    for axis in range(labels.ndim):
        if labels.stride(axis) == 0 and labels.shape[axis] > 1:
            labels = labels.narrow(axis, 0, 1)
    return labels


def _shared(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return two tensors in one shape, without the axes along which both only repeat."""
    a, b = torch.broadcast_tensors(a, b)
    for axis in range(a.ndim):
        if a.stride(axis) == 0 and b.stride(axis) == 0:
            a, b = a.narrow(axis, 0, 1), b.narrow(axis, 0, 1)
    return a, b


def _along(channels: Tensor, axis: int, shape: Sequence[int]) -> Tensor:
    """Return (channels,) labels spread over a shape."""
    view = [1] * len(shape)
    view[axis] = -1
    return channels.view(view).expand(tuple(shape))


def _shape_of(module: _ConvNd, x: Tensor) -> tuple[int, ...]:
    """Return the shape of a convolution's output, found with one channel."""
    axes = x.ndim - 2
    given, weight = torch.zeros(1, 1, *x.shape[2:]), torch.zeros(1, 1, *module.kernel_size)
    if isinstance(module, _ConvTransposeNd):
        conv = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[axes]
        out = conv(given, weight, None, module.stride, module.padding, module.output_padding, 1, module.dilation)
    else:
        conv = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[axes]
        out = conv(given, weight, None, module.stride, module.padding, module.dilation)
    return (len(x), module.out_channels, *out.shape[2:])
