"""Descriptions of a person's picture: a colour histogram, an untrained network, and a trained network."""

from __future__ import annotations

from collections.abc import Callable

from reidlab.data.decoded import Pictures
from reidlab.data.histogram import colour_histogram
from reidlab.evaluation import Embeddings
from reidlab.study.registry import Registry
from reidlab.study.sheets import Retrieval
from reidlab.study.study import Condition, Place, Result
from reidlab.training.recipe import picture_extractor

#: Methods of chapter 1; each learns from the target's training pictures (or does not) and embeds its test.
METHODS: Registry[Callable[[Place, Condition], Result]] = Registry("methods")


@METHODS.add("histogram")
def histogram(place: Place, condition: Condition) -> Result:
    """Colour histograms of horizontal stripes, the classic hand-crafted descriptor; nothing is learnt.

    D. Gray and H. Tao, "Viewpoint invariant pedestrian recognition with an ensemble of localized features", ECCV 2008,
    describe a person by features of horizontal stripes; this is their colour part.
    """
    return _scored(place, lambda pictures: colour_histogram(pictures.table))


@METHODS.add("untrained")
def untrained(place: Place, condition: Condition) -> Result:
    """The network with its initial weights, which shows the effect of the architecture alone."""
    model = place.recipe(condition).network(place.target.train.identities, place.seed)
    return _scored(place, picture_extractor(model))


@METHODS.add("network")
def network(place: Place, condition: Condition) -> Result:
    """The network trained with cross-entropy and soft-margin batch-hard triplets."""
    steps = place.budget(condition.budget)["train"]
    model = place.recipe(condition).learn(place.target.train, steps, place.seed)
    return _scored(place, picture_extractor(model))


def _scored(place: Place, extractor: Callable[[Pictures], Embeddings]) -> Result:
    found = Retrieval.of(place.target, extractor)
    return Result(found.score(place.target.protocol).summary(), extractor, found)
