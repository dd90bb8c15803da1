"""Augmentation of whole batches of pictures, on the device where they are.

Every picture of a batch draws its own numbers, all from one CPU generator, so that a batch is the same on every device.
The functions take (N, H, W, 3) uint8 pictures and return the same; :func:`normalize` ends the chain with floats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reidlab.errors import ConfigError

#: Mean and standard deviation of ImageNet's channels (RGB, 0..1), which pretrained networks expect.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalize(images: Tensor) -> Tensor:
    """Return network input from pictures.

    Args:
        images: (N, H, W, 3) uint8, RGB.

    Returns:
        (N, 3, H, W) float32 in channels-last memory, with ImageNet's mean and deviation taken out.

    Raises:
        ConfigError: the tensor is not uint8 pictures.
    """
    _check(images)
    scale = torch.tensor([1 / (255 * s) for s in STD], device=images.device)
    shift = torch.tensor([m / s for m, s in zip(MEAN, STD)], device=images.device)
    return (images.float() * scale - shift).permute(0, 3, 1, 2)


def random_flip(images: Tensor, generator: torch.Generator, p: float = 0.5) -> Tensor:
    """Mirror each picture left to right with probability ``p``."""
    chosen = _chosen(images, generator, p)
    return torch.where(chosen[:, None, None, None], images.flip(2), images)


def random_pad_crop(images: Tensor, generator: torch.Generator, pad: int) -> Tensor:
    """Shift each picture by up to ``pad`` pixels either way; what comes in from outside is black."""
    count, height, width = _check(images)
    if pad == 0:
        return images
    canvas = images.new_zeros(count, height + 2 * pad, width + 2 * pad, 3)
    canvas[:, pad : pad + height, pad : pad + width] = images
    top, left = torch.randint(0, 2 * pad + 1, (2, count), generator=generator).to(images.device)
    rows = top[:, None] + torch.arange(height, device=images.device)
    columns = left[:, None] + torch.arange(width, device=images.device)
    each = torch.arange(count, device=images.device)
    return canvas[each[:, None, None], rows[:, :, None], columns[:, None, :]]


def random_erase(
    images: Tensor,
    generator: torch.Generator,
    p: float = 0.5,
    area: tuple[float, float] = (0.02, 0.4),
    aspect: float = 0.3,
) -> Tensor:
    """Fill a rectangle of each picture with ImageNet's mean colour, with probability ``p``.

    Zhong et al., "Random erasing data augmentation", AAAI 2020 (arXiv:1708.04896). A rectangle that sticks out of the
    picture is clipped instead of drawn again, which keeps the batch in one piece.

    Args:
        images: (N, H, W, 3) uint8.
        generator: of the CPU.
        p: probability.
        area: smallest and largest share of the picture.
        aspect: smallest ratio of height to width; the largest is its inverse, and the logarithm is uniform.
    """
    count, height, width = _check(images)
    chosen = _chosen(images, generator, p)
    draws = torch.rand(4, count, generator=generator).to(images.device)
    share = area[0] + draws[0] * (area[1] - area[0])
    ratio = torch.exp((2 * draws[1] - 1) * math.log(1 / aspect))
    tall = (share * height * width * ratio).sqrt().round().clamp(1, height)
    wide = (share * height * width / ratio).sqrt().round().clamp(1, width)
    top = (draws[2] * (height - tall + 1)).floor()
    left = (draws[3] * (width - wide + 1)).floor()
    y = torch.arange(height, device=images.device)
    x = torch.arange(width, device=images.device)
    inside_y = (y >= top[:, None]) & (y < (top + tall)[:, None])
    inside_x = (x >= left[:, None]) & (x < (left + wide)[:, None])
    hole = inside_y[:, :, None] & inside_x[:, None, :] & chosen[:, None, None]
    colour = torch.tensor([round(255 * m) for m in MEAN], dtype=torch.uint8, device=images.device)
    return torch.where(hole[..., None], colour, images)


@dataclass(frozen=True)
class ColourJitter:
    """How far colours may move; each picture draws its own factors, uniformly.

    Attributes:
        brightness: factor on all channels within 1 ± this.
        contrast: factor on the distance from the picture's mean grey within 1 ± this.
        saturation: factor on the distance from each pixel's own grey within 1 ± this.
        gain: factor on each channel by itself within 1 ± this, as another white balance would have it.

    Raises:
        ConfigError: a value is not in 0..1.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    gain: float = 0.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation", "gain"):
            _share(f"ColourJitter.{name}", getattr(self, name))

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return (N, H, W, 3) uint8 pictures with other colours."""
        count, _, _ = _check(images)
        draws = (2 * torch.rand(count, 6, generator=generator) - 1).to(images.device)
        gain = 1 + draws[:, None, None, :3] * self.gain
        bright, contrast, saturation = (
            1 + draws[:, 3 + i, None, None, None] * amount
            for i, amount in enumerate((self.brightness, self.contrast, self.saturation))
        )
        pixels = images.float() * gain * bright
        mean = _grey(pixels).mean(dim=(1, 2, 3), keepdim=True)
        pixels = mean + (pixels - mean) * contrast
        grey = _grey(pixels)
        pixels = grey + (pixels - grey) * saturation
        return pixels.round().clamp(0, 255).to(torch.uint8)


def random_grey(images: Tensor, generator: torch.Generator, p: float) -> Tensor:
    """Take the colour out of each picture with probability ``p`` (weights of ITU-R BT.601)."""
    chosen = _chosen(images, generator, p)
    grey = _grey(images.float()).round().to(torch.uint8).expand_as(images)
    return torch.where(chosen[:, None, None, None], grey, images)


@dataclass(frozen=True)
class TrainTransform:
    """What training does to a batch: flip, shift, colours, grey, normalise, erase.

    Attributes:
        flip: probability of a mirrored picture.
        pad: pixels a picture may shift either way.
        erase: probability of an erased rectangle.
        colour: how far colours move, or None.
        grey: share of pictures without colour.

    Raises:
        ConfigError: naming the field, its value and what is allowed.

    Example:
        >>> transform = TrainTransform(flip=0.5, pad=4, colour=ColourJitter(brightness=0.2))
        >>> transform(torch.zeros(2, 64, 32, 3, dtype=torch.uint8), torch.Generator()).shape
        torch.Size([2, 3, 64, 32])
    """

    flip: float = 0.5
    pad: int = 0
    erase: float = 0.0
    colour: ColourJitter | None = None
    grey: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flip", "erase", "grey"):
            _share(f"TrainTransform.{name}", getattr(self, name))
        if not isinstance(self.pad, int) or isinstance(self.pad, bool) or self.pad < 0:
            raise ConfigError(f"TrainTransform.pad: {self.pad!r} must be an integer of at least 0 (pixels)")
        if self.colour is not None and not isinstance(self.colour, ColourJitter):
            raise ConfigError(f"TrainTransform.colour: {self.colour!r} must be a ColourJitter or None")

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return (N, 3, H, W) normalised floats from (N, H, W, 3) uint8 pictures."""
        # What is off draws nothing: adding an augmentation does not change the ones before it.
        if self.flip:
            images = random_flip(images, generator, self.flip)
        if self.pad:
            images = random_pad_crop(images, generator, self.pad)
        if self.colour is not None:
            images = self.colour(images, generator)
        if self.grey:
            images = random_grey(images, generator, self.grey)
        if self.erase:
            images = random_erase(images, generator, self.erase)
        return normalize(images)


@dataclass(frozen=True)
class EvalTransform:
    """What testing does to a batch: normalise, and nothing random."""

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return (N, 3, H, W) normalised floats from (N, H, W, 3) uint8 pictures."""
        return normalize(images)


def _grey(pixels: Tensor) -> Tensor:
    weights = torch.tensor([0.299, 0.587, 0.114], device=pixels.device)
    return (pixels * weights).sum(dim=-1, keepdim=True)


def _chosen(images: Tensor, generator: torch.Generator, p: float) -> Tensor:
    count, _, _ = _check(images)
    return (torch.rand(count, generator=generator) < _share("p", p)).to(images.device)


def _share(name: str, value: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ConfigError(f"{name}: {value!r} must be a number from 0 to 1")
    return value


def _check(images: Tensor) -> tuple[int, int, int]:
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != torch.uint8:
        raise ConfigError(f"images: expected uint8 (N, H, W, 3), got {images.dtype} {tuple(images.shape)}")
    return images.shape[0], images.shape[1], images.shape[2]
