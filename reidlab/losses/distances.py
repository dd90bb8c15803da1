"""Distances between rows whose gradients are finite everywhere."""

from __future__ import annotations

import torch
from torch import Tensor


def euclidean_distances(a: Tensor, b: Tensor | None = None, *, smallest: float = 1e-6) -> Tensor:
    """Return Euclidean distances between all rows of ``a`` and ``b``, for use inside a loss.

    The square root has an infinite slope at 0: squared distances below ``smallest ** 2`` are clamped there, so that two
    equal rows get the distance ``smallest`` and a gradient of exactly 0. Rows are centred first (distances do not
    change, the cancellation in |a|^2 + |b|^2 - 2ab does), and half precision is computed in float32.

    Args:
        a: (N, D) features.
        b: (M, D) features; ``a`` where omitted.
        smallest: least distance returned, in feature units.

    Returns:
        (N, M) distances, float32 or float64.
    """
    with torch.autocast(a.device.type, enabled=False):
        a = a if a.dtype == torch.float64 else a.float()
        b = a if b is None else b.to(a.dtype)
        centre = a.detach().mean(dim=0)
        a, b = a - centre, b - centre
        squared = a.square().sum(1)[:, None] + b.square().sum(1)[None, :] - 2.0 * a @ b.T
        return squared.clamp_min(smallest**2).sqrt()
