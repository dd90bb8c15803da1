"""Objectives: callables from network and batch to named values, of which ``loss`` is minimised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from reidlab.errors import ConfigError
from reidlab.losses import CrossEntropy, SoftMarginBatchHard
from reidlab.training.config import TrainConfig

#: Runs the network on a batch and returns scalars by name; ``loss`` is minimised, all are logged.
Objective = Callable[[nn.Module, Any], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Term:
    """One loss of a sum.

    Attributes:
        loss: maps (B, D) rows and (B,) labels to a scalar.
        rows: picks the rows from the network's output, e.g. ``operator.attrgetter("features")``.
        weight: factor in the sum; with 0 the term is logged but not trained on.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    rows: Callable[[Any], Tensor]
    weight: float = 1.0


class Supervised:
    """Weighted sum of losses on a labelled batch.

    A batch has the attributes ``inputs``, the tuple of what the network is called with (pictures; clips and their
    masks), and ``labels``.

    Args:
        terms: the losses by the names they are logged under.

    Raises:
        ConfigError: no term has a positive weight, or a name is taken.

    Example:
        >>> objective = Supervised(ce=Term(CrossEntropy(), attrgetter("logits")))
    """

    def __init__(self, **terms: Term) -> None:
        if taken := {"loss", "iteration", "lr", "seconds"} & set(terms):
            raise ConfigError(f"{min(taken)}: the history has a column of that name; call the term something else")
        if any(term.weight < 0 for term in terms.values()) or not any(term.weight > 0 for term in terms.values()):
            weights = {name: term.weight for name, term in terms.items()}
            raise ConfigError(
                f"weights of the losses: {weights}; none may be negative and at least one must be positive"
            )
        self.terms = terms

    def __call__(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Return ``loss`` and every term, unweighted: scalars."""
        output = model(*batch.inputs)
        values = {}
        for name, term in self.terms.items():
            with torch.set_grad_enabled(term.weight > 0):
                values[name] = term.loss(term.rows(output), batch.labels)
        loss = sum(term.weight * values[name] for name, term in self.terms.items() if term.weight > 0)
        return {"loss": loss, **values}


def reid_objective(config: TrainConfig) -> Supervised:
    """Return cross-entropy on logits plus soft-margin batch-hard triplets on features before the neck (chapter 2)."""
    return Supervised(
        ce=Term(CrossEntropy(config.label_smoothing), attrgetter("logits"), config.ce_weight),
        triplet=Term(SoftMarginBatchHard(), attrgetter("features"), config.triplet_weight),
    )
