"""Cycles of an output-stationary systolic array, in closed form: the latency column of Tables 5.1, 5.3 and 5.5.

A. Samajdar et al., "SCALE-Sim: systolic CNN accelerator simulator", 2018 (https://arxiv.org/abs/1811.02883). Each cell
of an array of ``rows`` x ``columns`` makes one output: rows are pixels of the output map, columns are filters. A layer
is done in folds, ceil(filters / columns) times ceil(pixels / rows) of them, each as long as a filter has weights; the
rest is skew, as values enter row after row and column after column. The dissertation names the simulator and not the
array: 14 x 12 is a fit, the array with which the closed form gives all 14 cycle counts that it prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from reidlab.checks import check_integer
from reidlab.errors import ConfigError
from reidlab.models.modes import watch

#: Rows and columns of the array, fitted to the printed counts.
FITTED = (14, 12)


def layer_cycles(
    filters: int,
    channels: int,
    kernel: tuple[int, int],
    size: tuple[int, int],
    stride: int = 1,
    array: tuple[int, int] = FITTED,
) -> int:
    """Return the cycles of one layer.

    The longest of three streams counts. As in the simulator, weights are streamed for a map whose height and width are
    divided by the stride and not rounded, and each change of filters takes back what the last fold's rows were late.

    Args:
        filters: of the layer.
        channels: of its input.
        kernel: height and width of a filter.
        size: height and width of the input, its padding included.
        stride: of the filter.
        array: rows and columns of the array.

    Raises:
        ConfigError: an argument is less than 1, or the input is smaller than a filter.

    Example:
        >>> layer_cycles(12, 1, (3, 3), (4, 4), array=(14, 12))  # one fold of 9 weights on 4 rows and 12 columns
        24
    """
    rows, columns = array
    named = {"filters": filters, "channels": channels, "stride": stride, "rows": rows, "columns": columns}
    for name, value in named.items():
        check_integer(name, value, 1)
    if any(side < edge for side, edge in zip(size, kernel, strict=True)):
        raise ConfigError(f"size: {tuple(size)} is smaller than the kernel {tuple(kernel)}")
    steps = [side - edge + stride for side, edge in zip(size, kernel, strict=True)]  # times 1 / stride: output pixels
    weights = kernel[0] * kernel[1] * channels
    pixels = (steps[0] // stride) * (steps[1] // stride)
    folds, across = -(-pixels // rows), -(-filters // columns)
    last_rows, last_columns = pixels - (folds - 1) * rows, filters - (across - 1) * columns
    unrounded = -(-steps[0] * steps[1] // (stride * stride * rows))
    weights_end = across * unrounded * weights + last_columns - 1
    pixels_end = across * folds * weights + last_rows - 1
    outputs_end = across * ((folds - 1) * max(weights, rows) + weights) + last_columns + (last_rows - 1) * (2 - across)
    return max(weights_end, pixels_end, outputs_end)


@dataclass(frozen=True)
class Layer:
    """What :func:`layer_cycles` needs to know of a layer; ``groups`` of them are done one after the other.

    A filter with holes (``dilation``) takes as many weights as one without and makes as many pixels as its extent
    leaves.
    """

    filters: int
    channels: int
    kernel: tuple[int, int]
    size: tuple[int, int]
    stride: int = 1
    groups: int = 1
    dilation: tuple[int, int] = (1, 1)

    def cycles(self, array: tuple[int, int] = FITTED) -> int:
        """Return the cycles of all groups.

        Raises:
            ConfigError: the array is smaller than 1 x 1.
        """
        holes = ((edge - 1) * (step - 1) for edge, step in zip(self.kernel, self.dilation, strict=True))
        size = tuple(side - hole for side, hole in zip(self.size, holes, strict=True))
        return self.groups * layer_cycles(self.filters, self.channels, self.kernel, size, self.stride, array)


def layers(model: nn.Module, input_shape: Sequence[int], shortcuts: bool = False) -> list[tuple[str, Layer]]:
    """Return the convolutions and linear layers that a network runs for one sample, with their names, in order of use.

    Args:
        model: any network that takes one tensor, on the meta device too.
        input_shape: of a sample, without the batch axis.
        shortcuts: whether convolutions of shortcuts count (``downsample`` in torchvision's names); Table 5.5 leaves
            them out.

    Raises:
        ConfigError: a convolution is not over two axes with one stride, or is transposed.
    """
    found: list[tuple[str, Layer]] = []
    names = {module: name for name, module in model.named_modules()}

    def note(module: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        if isinstance(module, nn.Linear):
            found.append((names[module], Layer(module.out_features, module.in_features, (1, 1), (1, 1))))
            return
        if not isinstance(module, nn.Conv2d):
            raise ConfigError(
                f"{names[module]}: a {type(module).__name__}; cycles are known of convolutions over two axes"
            )
        if len(set(module.stride)) > 1:
            raise ConfigError(f"{names[module]}: strides {module.stride}; expected one for both axes")
        extents = [step * (edge - 1) for step, edge in zip(module.dilation, module.kernel_size, strict=True)]
        padding = {"same": extents, "valid": [0, 0]}.get(module.padding) or [2 * pad for pad in module.padding]
        height, width = (side + pad for side, pad in zip(inputs[0].shape[2:], padding, strict=True))
        filters, channels = module.out_channels // module.groups, module.in_channels // module.groups
        size, stride = (height, width), module.stride[0]
        layer = Layer(filters, channels, module.kernel_size, size, stride, module.groups, tuple(module.dilation))
        found.append((names[module], layer))

    counted = [module for module in names if isinstance(module, _ConvNd | nn.Linear)]
    watch(model, input_shape, [m for m in counted if shortcuts or ".downsample." not in f".{names[m]}"], note)
    return found


def cycles(
    model: nn.Module, input_shape: Sequence[int], array: tuple[int, int] = FITTED, shortcuts: bool = False
) -> int:
    """Return the cycles of a network for one sample; arguments as of :func:`layers`, and the rows and columns.

    Raises:
        ConfigError: the array is smaller than 1 x 1, or as :func:`layers`.
    """
    return sum(layer.cycles(array) for _, layer in layers(model, input_shape, shortcuts))
