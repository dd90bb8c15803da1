"""Which filters of a layer go first: by sparsity (Sec. 5.3.1) or by the L1 norm.

H. Li et al., "Pruning filters for efficient ConvNets", ICLR 2017 (https://arxiv.org/abs/1608.08710).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from reidlab.checks import check_choice
from reidlab.errors import DataError
from reidlab.pruning.removal import filters


def sparsity(weight: Tensor) -> Tensor:
    """Return the share of each filter's weights that are smaller than the layer's mean absolute weight (Eqs. 5.1, 5.2).

    Args:
        weight: (N, C, H, W), or of any shape (N, ...).

    Returns:
        (N,) shares in 0..1; the higher, the more redundant.
    """
    size = weight.detach().flatten(1).abs()
    return (size < size.mean()).count_nonzero(dim=1) / size.shape[1]


def l1_norm(weight: Tensor) -> Tensor:
    """Return the sum of each filter's absolute weights: (N, ...) -> (N,); the lower, the less important."""
    return weight.detach().flatten(1).abs().sum(dim=1)


#: What is lowest where a filter goes first.
CRITERIA: dict[str, Callable[[Tensor], Tensor]] = {"sparsity": lambda weight: -sparsity(weight), "l1": l1_norm}


def ranking(layer: nn.Module, criterion: str = "sparsity", *, name: str = "layer") -> list[int]:
    """Return a layer's filters, those first that are to be removed first; equal ones in their order.

    Args:
        layer: convolution or linear layer.
        criterion: one of :data:`CRITERIA`.
        name: of the layer, for the message.

    Raises:
        ConfigError: there is no such criterion.
        DataError: a weight is not finite.
    """
    check_choice("criterion", criterion, CRITERIA)
    weight = filters(layer)
    if not weight.detach().sum().isfinite():
        raise DataError(f"{name}: a weight is not finite; its filters cannot be ranked")
    return torch.argsort(CRITERIA[criterion](weight), stable=True).tolist()
