"""Colour histograms of horizontal stripes: a description of a person that needs no training.

D. Gray and H. Tao, "Viewpoint invariant pedestrian recognition with an ensemble of localized features", ECCV 2008,
describe people by eight colour channels (RGB, YCbCr, hue and saturation) and texture filters of horizontal stripes;
later baselines fixed six stripes and 16 bins a channel (Prosser et al., "Person re-identification by support vector
ranking", BMVC 2010). This is the colour part. The square root of a histogram makes Euclidean distance Hellinger's.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from reidlab.checks import check_choice, check_images, check_integer
from reidlab.data.images import ImageCache
from reidlab.evaluation.embeddings import Embeddings

_HUES = 180  # OpenCV's degrees of hue in a byte
NORMS = ("hellinger", "l1")


def colour_histogram(
    table: pd.DataFrame,
    stripes: int = 6,
    bins: int = 16,
    size: tuple[int, int] = (128, 64),
    norm: str = "hellinger",
    *,
    images: np.ndarray | None = None,
) -> Embeddings:
    """Describe every picture of a table by the colours in its horizontal stripes.

    Args:
        table: sample table of N rows.
        stripes: number of stripes, of equal height.
        bins: bins per channel.
        size: height and width the pictures are brought to, in pixels.
        norm: ``l1``: the features of a picture sum up to 1; ``hellinger``: their square roots.
        images: decoded pictures of the rows, (N, H, W, 3) uint8 RGB; read where omitted.

    Returns:
        Embeddings of ``stripes * 8 * bins`` values: for each stripe R, G, B, Y, Cb, Cr, hue, saturation.

    Raises:
        ConfigError: a value is not allowed.
        DataError: a picture cannot be read.
    """
    for name, value, most in (("stripes", stripes, size[0]), ("bins", bins, 256)):
        check_integer(name, value, 1, most)
    check_choice("norm", norm, NORMS)
    images = check_images("images", ImageCache(table, size) if images is None else images, len(table))
    features = np.stack([_describe(image, stripes, bins) for image in images]) if len(images) else np.empty((0, 1))
    features /= np.maximum(features.sum(axis=1, keepdims=True), 1)
    return Embeddings(
        features=np.sqrt(features) if norm == "hellinger" else features,
        pids=table["pid"].to_numpy(),
        camids=table["camid"].to_numpy(),
        tracklets=table["tracklet"].to_numpy(),
    )


def _describe(image: np.ndarray, stripes: int, bins: int) -> np.ndarray:
    """Return the counts (stripes * 8 * bins,) of one picture (H, W, 3)."""
    import cv2

    luma, red, blue = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb))
    hue, saturation, _ = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
    channels = np.stack([*cv2.split(image), luma, blue, red, hue, saturation]).astype(np.int64)
    scale = np.full((8, 1, 1), 256)
    scale[6] = _HUES
    bin_ = channels * bins // scale
    stripe = np.arange(image.shape[0]) * stripes // image.shape[0]
    place = (stripe[None, :, None] * 8 + np.arange(8)[:, None, None]) * bins + bin_
    return np.bincount(place.ravel(), minlength=stripes * 8 * bins).astype(np.float64)
