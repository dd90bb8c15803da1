"""Bilinear sampling at places in steps of 1/32 of a pixel, the same under every OpenCV.

OpenCV 4 rounds places to 1/32 before it interpolates, OpenCV 5 does not: left to itself it draws other pictures from
the same seed. Where places come as whole numbers and 32nds, both do the same.
"""

from __future__ import annotations

import cv2
import numpy as np

_STEPS = 32  # places between two pixels
_FINE = 1024  # the same while places are computed


def sample_at(
    image: np.ndarray, places: np.ndarray, rows: np.ndarray | None = None, *, border: int = cv2.BORDER_CONSTANT,
    out: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Return an image at places.

    Args:
        image: (H, W) or (H, W, C), uint8 or float32, up to 32,767 pixels in each direction.
        places: (h, w, 2) float32, column and row of each place; or (h, w) columns.
        rows: (h, w) float32, where ``places`` are columns.
        border: OpenCV's rule for places outside.
        out: receives the result, where given.
    """
    whole, part = cv2.convertMaps(places, rows, cv2.CV_16SC2)
    return cv2.remap(image, whole, part, cv2.INTER_LINEAR, dst=out, borderMode=border)


def stretch(
    image: np.ndarray, shape: tuple[int, int], corner: tuple[float, float], step: tuple[float, float], border: int
) -> np.ndarray:
    """Return an image (H, W) or (H, W, C) on a grid of places.

    Args:
        image: as for :func:`sample_at`.
        shape: height and width of the result.
        corner: column and row of its first place.
        step: between places, in columns and rows.
        border: OpenCV's rule for places outside.
    """
    # What OpenCV 4 rounds to 1/1024: the two parts of a column apart, those of a row together.
    columns = np.rint(np.arange(shape[1]) * step[0] * _FINE) + np.rint(corner[0] * _FINE)
    rows = np.rint((np.arange(shape[0]) * step[1] + corner[1]) * _FINE)
    between = _FINE // _STEPS
    columns, rows = ((places.astype(np.int64) + between // 2) // between for places in (columns, rows))
    whole = np.empty((*shape, 2), np.int16)
    whole[..., 0], whole[..., 1] = columns // _STEPS, (rows // _STEPS)[:, None]
    part = ((rows % _STEPS)[:, None] * _STEPS + columns % _STEPS).astype(np.uint16)
    return cv2.remap(image, whole, part, cv2.INTER_LINEAR, borderMode=border)
