"""Colours in horizontal stripes, the classic description of people by hand.

D. Gray and H. Tao, "Viewpoint invariant pedestrian recognition with an ensemble of localized features", ECCV 2008,
describe a person by colour and texture in horizontal stripes; this is the colour part. Square roots of the shares make
the Euclidean distance a Hellinger distance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reidlab.data.images import ImageCache
from reidlab.errors import ConfigError
from reidlab.evaluation.embeddings import Embeddings

if TYPE_CHECKING:
    import pandas as pd


def colour_histogram(
    table: pd.DataFrame, stripes: int = 6, bins: int = 16, size: tuple[int, int] = (128, 64)
) -> Embeddings:
    """Describe every picture by histograms of hue, saturation and value in horizontal stripes.

    Args:
        table: sample table of N rows.
        stripes: number of stripes of equal height.
        bins: of each histogram.
        size: height and width the pictures are brought to, in pixels.

    Returns:
        Embeddings with D = stripes * 3 * bins; every histogram's squares sum to 1.

    Raises:
        ConfigError: ``stripes`` or ``bins`` is less than 1, or there are more stripes than rows of pixels.
        DataError: a picture cannot be read.
    """
    import cv2

    if bins < 1 or not 1 <= stripes <= size[0]:
        raise ConfigError(f"stripes = {stripes}, bins = {bins}: expected at least 1, and at most {size[0]} stripes")
    ranges = ((0, 180), (0, 256), (0, 256))
    edges = np.linspace(0, size[0], stripes + 1).round().astype(int)
    images = np.asarray(ImageCache(table, size))
    features = np.empty((len(table), stripes, 3, bins), dtype=np.float32)
    for row in range(len(table)):
        picture = cv2.cvtColor(np.ascontiguousarray(images[row]), cv2.COLOR_RGB2HSV)
        for stripe in range(stripes):
            part = picture[edges[stripe] : edges[stripe + 1]]
            for channel, limits in enumerate(ranges):
                counts = cv2.calcHist([part], [channel], None, [bins], limits).ravel()
                features[row, stripe, channel] = np.sqrt(counts / counts.sum())
    return Embeddings(
        features.reshape(len(table), -1),
        table["pid"].to_numpy(),
        table["camid"].to_numpy(),
        table["tracklet"].to_numpy(),
    )
