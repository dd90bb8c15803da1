"""Features minus their camera's mean, which removes a camera's constant effect without labels or training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reidlab.evaluation.embeddings import Embeddings


def camera_means(features: np.ndarray, camids: np.ndarray) -> dict[int, np.ndarray]:
    """Return the mean feature (D,) of each camera.

    Args:
        features: (N, D).
        camids: (N,) cameras.
    """
    return {int(camid): features[camids == camid].mean(axis=0) for camid in np.unique(camids)}


def centred_features(
    features: np.ndarray, camids: np.ndarray, means: dict[int, np.ndarray] | None = None
) -> np.ndarray:
    """Return features (N, D) minus the mean of their camera's.

    Args:
        features: (N, D).
        camids: (N,) cameras.
        means: (D,) by camera; those of the features where omitted.
    """
    means = camera_means(features, camids) if means is None else means
    return features - np.stack([means[int(camid)] for camid in camids])


def centred(query: Embeddings, gallery: Embeddings) -> tuple[Embeddings, Embeddings]:
    """Return embeddings minus the mean of their camera's gallery features.

    This is the baseline for learning without labels. A camera that the gallery lacks is centred by its own queries.

    Args:
        query: embeddings of the queries.
        gallery: embeddings that are searched.
    """
    means = camera_means(query.features, query.camids) | camera_means(gallery.features, gallery.camids)
    parts = (replace(part, features=centred_features(part.features, part.camids, means)) for part in (query, gallery))
    return tuple(parts)
