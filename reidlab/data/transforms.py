"""Picture transforms on whole batches.

Pictures come as bytes, (B, H, W, 3) or (B, 3, H, W) uint8 RGB, on any device, and leave as (B, 3, H, W) floats. Every
picture of a batch is changed on its own. Random numbers are drawn on the CPU from a seeded ``torch.Generator``, so that
every device sees the same draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reidlab.checks import check_choice, check_integer, check_number, check_share
from reidlab.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Statistics of ImageNet, in units of the full range 0..1.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_TRIES = 20


def channels_first(images: Tensor) -> Tensor:
    """Return a batch of bytes as (B, 3, H, W), whichever way round it came; the bytes are not moved.

    Raises:
        ConfigError: it is not uint8, or has not four dimensions with three channels.
    """
    import torch

    if images.dtype != torch.uint8 or images.ndim != 4 or 3 not in (images.shape[1], images.shape[3]):
        raise ConfigError(f"images: {images.dtype} {tuple(images.shape)}, expected uint8 (B, H, W, 3) or (B, 3, H, W)")
    return images.permute(0, 3, 1, 2) if images.shape[3] == 3 else images


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of any shape on a device; to a GPU through pinned memory, so that the host need not wait."""
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def _constant(values: object, like: Tensor) -> Tensor:
    """Return numbers as a tensor of another's type and device."""
    import torch

    return to_device(torch.tensor(values, dtype=like.dtype), like.device)


def normalize(images: Tensor, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD) -> Tensor:
    """Map bytes to floats of about zero mean and unit variance.

    Args:
        images: (B, H, W, 3) or (B, 3, H, W) uint8.
        mean: of each channel, in 0..1.
        std: of each channel, in 0..1.

    Returns:
        (B, 3, H, W) float32, ``(images / 255 - mean) / std``.
    """
    return _standardized(channels_first(images).float(), [255 * m for m in mean], [255 * s for s in std])


def _standardized(images: Tensor, mean: list[float], std: list[float]) -> Tensor:
    count, _, height, width = images.shape
    # Whole lines of pixels at a time: a last dimension of three channels would be ten times slower.
    lines = images.permute(0, 2, 3, 1).reshape(count, height, width * 3)
    lines = (lines - _constant(mean, lines).repeat(width)).div_(_constant(std, lines).repeat(width))
    return lines.view(count, height, width, 3).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Flip:
    """Mirror each picture left to right with probability ``p``."""

    p: float = 0.5

    def __post_init__(self) -> None:
        check_share("Flip.p", self.p)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return (B, 3, H, W) of any type, mirrored where the draw says so."""
        return self.mirror(images, self.draw(len(images), generator))

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return which of ``count`` pictures are to be mirrored, (count,) bool on the CPU."""
        import torch

        return torch.rand(count, generator=generator) < self.p

    def mirror(self, images: Tensor, chosen: Tensor) -> Tensor:
        """Return (B, 3, H, W) of any type, the chosen ones (B,) mirrored."""
        import torch

        return torch.where(to_device(chosen, images.device).view(-1, 1, 1, 1), images.flip(3), images)


@dataclass(frozen=True)
class PadCrop:
    """Pad each picture with ``pad`` black pixels on all sides and cut a window of the old size out of it."""

    pad: int

    def __post_init__(self) -> None:
        check_integer("PadCrop.pad", self.pad, what="a number of pixels")

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return (B, 3, H, W) of any type, each shifted by up to ``pad`` pixels."""
        return self.cut(images, self.draw(len(images), generator))

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return top and left of ``count`` windows in padded pictures, (2, count) int64 on the CPU."""
        import torch

        return torch.randint(0, 2 * self.pad + 1, (2, count), generator=generator)

    def cut(self, images: Tensor, corners: Tensor) -> Tensor:
        """Return (B, 3, H, W) of any type, cut out of the padded ones at corners (2, B)."""
        import torch
        from torch.nn.functional import pad

        _, _, height, width = images.shape
        padded = pad(images, (self.pad,) * 4).permute(0, 2, 3, 1)
        if _at_once(images):
            return _windows(padded, corners, height, width).permute(0, 3, 1, 2)
        # Cutting windows one by one copies whole lines; gathering pixels is twenty times slower on a CPU.
        windows = [image[y : y + height, x : x + width] for image, y, x in zip(padded, *corners.tolist())]
        return (torch.stack(windows) if windows else padded).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class RandomErasing:
    """Cover a random rectangle of a picture with probability ``p`` (Zhong et al., https://arxiv.org/abs/1708.04896).

    Area and aspect are drawn until a rectangle fits into the picture (at most 20 times), as in the paper's Algorithm 1.

    Attributes:
        p: probability.
        area: smallest and largest share of the picture that is covered.
        aspect: smallest and largest height-to-width ratio of the rectangle.
        fill: ``mean`` writes 0, which is the mean colour after normalisation; ``noise`` writes normal noise.
    """

    p: float = 0.5
    area: tuple[float, float] = (0.02, 0.4)
    aspect: tuple[float, float] = (0.3, 1 / 0.3)
    fill: str = "mean"

    def __post_init__(self) -> None:
        check_share("RandomErasing.p", self.p)
        _check_pair("area", self.area, 1)
        _check_pair("aspect", self.aspect, math.inf)
        check_choice("RandomErasing.fill", self.fill, ("mean", "noise"))

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return normalised (B, 3, H, W) floats, some with a rectangle covered."""
        import torch

        rectangles = self.rectangles(images, generator)
        fill = (
            to_device(torch.randn(images.shape, generator=generator), images.device) if self.fill == "noise" else None
        )
        if _at_once(images):
            inside = _inside(rectangles, images)
            return images.masked_fill(inside, 0.0) if fill is None else torch.where(inside, fill.to(images), images)
        out = images.clone()
        for i, (top, left, height, width) in enumerate(torch.stack(rectangles, dim=1).tolist()):
            if height:
                window = (i, slice(None), slice(top, top + height), slice(left, left + width))
                out[window] = 0.0 if fill is None else fill[window]
        return out

    def rectangles(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draw top, left, height and width for each picture, (B,) int64 on the CPU; height 0 covers nothing."""
        import torch

        count, _, full_height, full_width = images.shape
        hit = torch.rand(count, generator=generator) < self.p
        draws = torch.rand(2, count, _TRIES, generator=generator)
        area = (self.area[0] + draws[0] * (self.area[1] - self.area[0])) * full_height * full_width
        aspect = self.aspect[0] + draws[1] * (self.aspect[1] - self.aspect[0])
        heights, widths = (area * aspect).sqrt().round().long(), (area / aspect).sqrt().round().long()
        fits = (heights < full_height) & (widths < full_width) & (heights > 0) & (widths > 0)
        # argmax of booleans is the first that fits, or 0 where none does.
        first = fits.byte().argmax(1, keepdim=True)
        height, width = heights.gather(1, first)[:, 0], widths.gather(1, first)[:, 0]
        height = torch.where(hit & fits.any(1), height, 0)
        corner = torch.rand(2, count, generator=generator)
        top = (corner[0] * (full_height - height + 1)).long()
        left = (corner[1] * (full_width - width + 1).clamp(min=1)).long()
        return top, left, height, width


@dataclass(frozen=True)
class ColourJitter:
    """Change brightness, contrast, saturation and hue of each picture, in this order.

    Attributes:
        brightness, contrast, saturation: greatest change of the factor; 0.2 draws it from 0.8..1.2.
        hue: greatest turn of the hue, as a part of a whole turn (0..0.5). Colours are turned about the grey axis of the
            RGB cube, so that greys stay grey.
    """

    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            check_share(f"ColourJitter.{name}", getattr(self, name))
        check_number("ColourJitter.hue", self.hue, 0, 0.5)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return (B, 3, H, W) floats in 0..1, from such."""
        draws = _uniform((4, len(images)), generator, images.device).mul(2).sub(1).view(4, -1, 1, 1, 1)
        images = (images * (1 + self.brightness * draws[0])).clamp(0, 1)
        if self.contrast:
            mean = _luma(images).mean((2, 3), keepdim=True)
            images = (mean + (1 + self.contrast * draws[1]) * (images - mean)).clamp(0, 1)
        if self.saturation:
            images = _mixed(images, _saturation(images, (1 + self.saturation * draws[2]).view(-1))).clamp(0, 1)
        if self.hue:
            images = _mixed(images, _hue(images, self.hue * draws[3].view(-1))).clamp(0, 1)
        return images


@dataclass(frozen=True)
class Grayscale:
    """Take the colour out of a picture with probability ``p``."""

    p: float = 0.1

    def __post_init__(self) -> None:
        check_share("Grayscale.p", self.p)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return (B, 3, H, W) floats, some with three equal channels."""
        kept = _uniform(len(images), generator, images.device) >= self.p
        return _mixed(images, _saturation(images, kept.float()))


class TrainTransform:
    """Augmentation and normalisation of training pictures; parts that are off draw no random numbers.

    In order: pad and crop, flip, colour jitter, grey, normalise, erase.

    Args:
        flip: probability of a mirrored picture.
        pad: pixels of padding on each side before a random crop; 0 for none.
        erase: probability of a covered rectangle, or a :class:`RandomErasing`.
        jitter: colour jitter, or None.
        grayscale: probability of a picture without colour.
        mean: of each channel, in 0..1.
        std: of each channel, in 0..1.

    Raises:
        ConfigError: a value is not allowed.

    Example:
        >>> transform = TrainTransform(pad=4, erase=0.5)
        >>> batch = transform(torch.zeros(8, 64, 32, 3).byte(), torch.Generator().manual_seed(0))  # doctest: +SKIP
    """

    def __init__(
        self,
        flip: float = 0.5,
        pad: int = 0,
        erase: float | RandomErasing = 0.0,
        *,
        jitter: ColourJitter | None = None,
        grayscale: float = 0.0,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
    ) -> None:
        erasing = erase if isinstance(erase, RandomErasing) else RandomErasing(erase)
        self._geometry = [part for part, on in ((PadCrop(pad), pad), (Flip(flip), flip)) if on]
        self._colour = [part for part, on in ((jitter, jitter is not None), (Grayscale(grayscale), grayscale)) if on]
        self._erasing = erasing if erasing.p else None
        self._mean, self._std = mean, std

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Transform a batch.

        Args:
            images: (B, H, W, 3) or (B, 3, H, W) uint8.
            generator: on the CPU.

        Returns:
            (B, 3, H, W) float32 in channels-last memory.
        """
        import torch

        images = channels_first(images)
        for part in self._geometry:
            images = part(images, generator)
        if self._colour:
            images = images.contiguous().float().div_(255)
            for part in self._colour:
                images = part(images, generator)
            images = _standardized(images, list(self._mean), list(self._std))
        else:
            images = normalize(images, self._mean, self._std)
        if self._erasing:
            images = self._erasing(images, generator)
        return images.contiguous(memory_format=torch.channels_last)


def _at_once(images: Tensor) -> bool:
    """Return whether one kernel is to change all pictures: hundreds of small ones would keep a GPU's host busy."""
    return images.is_cuda


def _windows(padded: Tensor, corners: Tensor, height: int, width: int) -> Tensor:
    """Return the windows (B, height, width, C) of pictures (B, H, W, C) at top left corners (2, B) on the CPU."""
    import torch

    top, left = to_device(corners, padded.device).unsqueeze(2)
    rows = top + torch.arange(height, device=padded.device)
    columns = left + torch.arange(width, device=padded.device)
    pictures = torch.arange(len(padded), device=padded.device).view(-1, 1, 1)
    return padded[pictures, rows.unsqueeze(2), columns.unsqueeze(1)]


def _inside(rectangles: tuple[Tensor, ...], images: Tensor) -> Tensor:
    """Return which pixels lie in the rectangles (top, left, height, width; (B,) each) of images: (B, 1, H, W) bool."""
    import torch

    top, left, height, width = to_device(torch.stack(rectangles), images.device).view(4, -1, 1, 1, 1)
    rows = torch.arange(images.shape[2], device=images.device).view(-1, 1)
    columns = torch.arange(images.shape[3], device=images.device)
    return (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width)


def _uniform(shape: int | tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    import torch

    return to_device(torch.rand(shape, generator=generator), device)


def _luma(images: Tensor) -> Tensor:
    """Return the brightness (B, 1, H, W) of (B, 3, H, W)."""
    return _mixed(images, _constant([_LUMA], images))


def _mixed(images: Tensor, matrix: Tensor) -> Tensor:
    """Multiply the colours of each picture (B, 3, H, W) with a matrix (C, 3) or its own of (B, C, 3)."""
    # In planes: a product with three columns a pixel would be ten times slower.
    return (matrix @ images.flatten(2)).unflatten(2, images.shape[2:])


def _saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Return the matrices (B, 3, 3) that pull colours away from their grey by factors (B,)."""
    import torch

    grey, same = _constant(_LUMA, images).expand(3, 3), torch.eye(3, device=images.device)
    return torch.lerp(grey, same, factors.view(-1, 1, 1))


def _hue(images: Tensor, turns: Tensor) -> Tensor:
    """Return the matrices (B, 3, 3) that turn colours about the grey axis (Rodrigues), ``turns`` (B,) whole turns."""
    import torch

    angle = 2 * math.pi * turns.view(-1, 1, 1)
    axis = _constant([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], images) / math.sqrt(3)
    third = images.new_full((3, 3), 1 / 3)
    return torch.cos(angle) * (torch.eye(3, device=images.device) - third) + torch.sin(angle) * axis + third


def _check_pair(field: str, value: object, high: float) -> None:
    good = isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, int | float) for v in value)
    if not good or not 0 < value[0] <= value[1] <= high:
        raise ConfigError(
            f"RandomErasing.{field}: {value!r} is not allowed; expected two rising numbers above 0, at most {high}"
        )
