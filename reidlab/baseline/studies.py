"""The studies of chapter 1, as functions of methods, worlds and seeds; they return scores and keep nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from reidlab.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from reidlab.baseline.methods import Extractor, Method
    from reidlab.evaluation.embeddings import Embeddings
    from reidlab.evaluation.retrieval import Scores
    from reidlab.world import WorldSpec

#: A knob's settings: for each level its changes to a world (see ``WorldSpec.with_``).
Levels = Mapping[str, Mapping[str, Any]]


class Splits(NamedTuple):
    """The three parts of a data set, as sample tables."""

    train: pd.DataFrame
    query: pd.DataFrame
    gallery: pd.DataFrame


@dataclass(frozen=True)
class Outcome:
    """What one method did on one test.

    Attributes:
        scores: under the test's protocol.
        query: embeddings of the query pictures, in the order of their table.
        gallery: embeddings of the gallery pictures, likewise.
        extractor: the fitted method, to be used on other tests.
    """

    scores: Scores
    query: Embeddings
    gallery: Embeddings
    extractor: Extractor


def splits(table: pd.DataFrame) -> Splits:
    """Cut a sample table into training, query and gallery rows, each numbered from 0.

    Raises:
        DataError: a split has no rows.
    """
    parts = [table[table["split"] == name].reset_index(drop=True) for name in Splits._fields]
    for name, part in zip(Splits._fields, parts):
        if part.empty:
            raise DataError(f"{table.attrs.get('dataset', 'table')}: split {name!r} has no pictures")
    return Splits(*parts)


def score(extractor: Extractor, query: pd.DataFrame, gallery: pd.DataFrame, protocol: str = "market1501") -> Outcome:
    """Embed query and gallery and evaluate them under a named protocol."""
    from reidlab.evaluation.retrieval import evaluate

    queries, galleries = extractor(query), extractor(gallery)
    return Outcome(evaluate(queries, galleries, protocol), queries, galleries, extractor)


def compare(methods: Sequence[Method], data: Splits, seed: int, protocol: str = "market1501") -> dict[str, Outcome]:
    """Fit every method on the same training rows and score it on the same test.

    Returns:
        Outcomes by the methods' names, in their order.
    """
    return {m.name: score(m.fit(data.train, seed), data.query, data.gallery, protocol) for m in methods}


def evaluate_on(extractor: Extractor, spec: WorldSpec, protocol: str = "market1501") -> Scores:
    """Score a fitted method on the test people of a world, whatever world it was fitted on."""
    from reidlab.data import load_world

    data = splits(load_world(spec))
    return score(extractor, data.query, data.gallery, protocol).scores


def turn_knobs(
    extractor: Extractor, spec: WorldSpec, knobs: Mapping[str, Levels], protocol: str = "market1501"
) -> dict[tuple[str, str], Scores]:
    """Turn the knobs of a world one by one, with everything else as it was, and score a fitted method each time.

    The same people walk the same ways in every setting; only what the knob stands for changes.

    Args:
        extractor: a fitted method; it is not fitted again.
        spec: the world whose knobs are turned.
        knobs: for each knob its levels, and for each level the fields of the world to change.
        protocol: name of the evaluation protocol.

    Returns:
        Scores by (knob, level).
    """
    return {
        (knob, level): evaluate_on(extractor, spec.with_(**changes), protocol)
        for knob, levels in knobs.items()
        for level, changes in levels.items()
    }


def cross_domains(
    method: Method, worlds: Mapping[str, WorldSpec], seed: int, protocol: str = "market1501"
) -> dict[tuple[str, str], Scores]:
    """Train a method in each world and test it in each, on people nobody trained on.

    Args:
        method: fitted anew in each world with the same budget and seed.
        worlds: by name.
        seed: of the training.
        protocol: name of the evaluation protocol.

    Returns:
        Scores by (name of the training world, name of the test world).
    """
    from reidlab.data import load_world

    data = {name: splits(load_world(spec)) for name, spec in worlds.items()}
    extractors = {name: method.fit(part.train, seed) for name, part in data.items()}
    return {
        (source, target): score(extractors[source], part.query, part.gallery, protocol).scores
        for source in worlds
        for target, part in data.items()
    }
