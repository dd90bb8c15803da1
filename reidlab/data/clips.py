"""Clip transforms on whole batches, and the masks that go with clips.

Clips come as bytes, (B, T, H, W, 3) uint8 RGB, and leave as (B, T, 3, H, W) floats. A mask is a box (y0, y1, x0, x1) in
pixels, from the first to before the second: the part of a frame that is picture and not padding (Sec. 2.5.3). It is
mirrored in pixels, and the network divides it by its stride afterwards; the code released with CF-AAN divides first and
mirrors in cells of 16 pixels, which differs by a cell where a box does not end on one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reidlab.checks import check_boxes
from reidlab.data.transforms import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ColourJitter,
    Flip,
    PadCrop,
    RandomErasing,
    TrainTransform,
    to_device,
)
from reidlab.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class ClipTransform:
    """Augmentation and normalisation of training clips; parts that are off draw no random numbers.

    Mirroring (Sec. 2.3.1), shift and colours are drawn once a clip, as one camera recorded the whole tracklet; erased
    rectangles once a frame, as in the scripts released with CF-AAN (there with ``erase=0.5``). In order: pad and crop,
    flip, colour jitter, normalise, erase.

    Args:
        flip: probability of a mirrored clip.
        pad: pixels of padding on each side before a random crop; 0 for none.
        erase: probability of a covered rectangle in a frame, or a :class:`RandomErasing`.
        jitter: colour jitter, or None; contrast is changed about the mean of the whole clip.
        mean: of each channel, in 0..1.
        std: of each channel, in 0..1.

    Raises:
        ConfigError: a value is not allowed.

    Example:
        >>> transform = ClipTransform(erase=0.5)
        >>> clips = torch.zeros(4, 8, 64, 32, 3).byte()  # doctest: +SKIP
        >>> clips, masks = transform(clips, None, torch.Generator().manual_seed(0))  # doctest: +SKIP
    """

    def __init__(
        self,
        flip: float = 0.5,
        pad: int = 0,
        erase: float | RandomErasing = 0.0,
        jitter: ColourJitter | None = None,
        *,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
    ) -> None:
        erasing = erase if isinstance(erase, RandomErasing) else RandomErasing(erase)
        shift, mirror = PadCrop(pad), Flip(flip)
        self._shift = shift if pad else None
        self._flip = mirror if flip else None
        self._colour = TrainTransform(flip=0.0, jitter=jitter, mean=mean, std=std)
        self._erasing = erasing if erasing.p else None

    def __call__(self, clips: Tensor, masks: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Transform a batch.

        Args:
            clips: (B, T, H, W, 3) uint8.
            masks: (B, T, 4) integer boxes, or None where all of each frame is picture. They follow mirroring and shift;
                a box that is pushed out of its frame keeps a line of pixels at the edge.
            generator: on the CPU.

        Returns:
            (B, T, 3, H, W) float32, whose frames ``clips.flatten(0, 1)`` are in channels-last memory without a copy;
            and the masks of the transformed frames.

        Raises:
            ConfigError: clips or masks have another shape or type.
            DataError: a mask is empty or not inside its frame. Masks on a GPU are taken as they are: to read them is to
                wait for it.
        """
        import torch

        if clips.dtype != torch.uint8 or clips.ndim != 5 or clips.shape[4] != 3:
            raise ConfigError(f"clips: {clips.dtype} {tuple(clips.shape)}, expected uint8 (B, T, H, W, 3)")
        count, frames, height, width, _ = clips.shape
        if masks is not None and not masks.is_cuda:
            place = "clip {}, frame {}".format
            check_boxes("masks", masks.cpu(), (count, frames), (height, width), place)
        pictures = clips.flatten(0, 1)
        if self._shift:
            offsets = self._shift.draw(count, generator)
            pictures = self._shift.cut(pictures.permute(0, 3, 1, 2), offsets.repeat_interleave(frames, dim=1))
            pictures = pictures.permute(0, 2, 3, 1)
            masks = None if masks is None else _shifted(masks, self._shift.pad - offsets, (height, width))
        # The frames of a clip on top of each other are one tall picture, which a transform changes in one way.
        tall = pictures.reshape(count, frames * height, width, 3)
        if self._flip:
            mirrored = self._flip.draw(count, generator)
            tall = self._flip.mirror(tall.permute(0, 3, 1, 2), mirrored).permute(0, 2, 3, 1)
            masks = None if masks is None else _mirrored(masks, mirrored, width)
        tall = self._colour(tall, generator).permute(0, 2, 3, 1)
        pictures = tall.reshape(count * frames, height, width, 3).permute(0, 3, 1, 2)
        if self._erasing:
            pictures = self._erasing(pictures, generator)
        return pictures.unflatten(0, (count, frames)), masks


def check_masks(masks: np.ndarray, size: tuple[int, int], tracklets: np.ndarray) -> np.ndarray:
    """Return the masks of a table's rows as int64, or say what is wrong with them.

    Args:
        masks: (N, 4) integers (y0, y1, x0, x1), in pixels of pictures of ``size``.
        size: height and width of the pictures.
        tracklets: (N,) tracklet number of each row, for messages.

    Raises:
        ConfigError: they are not N boxes of integers.
        DataError: a box is empty or not inside its picture; the message names the row and its tracklet.
    """
    shape = (len(tracklets),)
    return check_boxes("masks", masks, shape, size, lambda row: f"row {row}, of tracklet {tracklets[row]}")


def _mirrored(masks: Tensor, chosen: Tensor, width: int) -> Tensor:
    import torch

    y0, y1, x0, x1 = masks.unbind(2)
    other_way = torch.stack((y0, y1, width - x1, width - x0), dim=2)
    return torch.where(to_device(chosen, masks.device).view(-1, 1, 1), other_way, masks)


def _shifted(masks: Tensor, steps: Tensor, size: tuple[int, int]) -> Tensor:
    """Move the boxes of each clip by its steps (2, B) down and to the right, as far as they stay in the frame."""
    import torch

    steps = to_device(steps, masks.device).T.repeat_interleave(2, dim=1).unsqueeze(1)  # (B, 1, 4)
    limits = to_device(torch.tensor(size, dtype=masks.dtype), masks.device)
    first, last = (masks + steps).unflatten(2, (2, 2)).unbind(3)
    first = first.clamp(min=0).minimum(limits - 1)
    last = last.minimum(limits).maximum(first + 1)
    return torch.stack((first, last), dim=3).flatten(2)
