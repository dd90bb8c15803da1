"""Sheets of text and pictures that stand above or below a chapter's tables, made from what a study kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from reidlab.data.decoded import DataSet, Pictures
from reidlab.evaluation import Embeddings, Protocol, Scores, evaluate, ranked_list


class Retrieval(NamedTuple):
    """Embeddings of a test, from which ranked lists, CMC curves and maps are drawn.

    Attributes:
        query: embeddings of the queries.
        gallery: embeddings that are searched.
    """

    query: Embeddings
    gallery: Embeddings

    @classmethod
    def of(cls, data: DataSet, extractor: Callable[[Pictures], Embeddings]) -> Retrieval:
        """Embed a data set's test."""
        return cls(*data.embed(extractor))

    def score(self, protocol: Protocol | str) -> Scores:
        """Score under a protocol."""
        return evaluate(self.query, self.gallery, protocol)

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Return the embeddings as named arrays, which a study can keep: features (N, D), labels (N,)."""
        return {
            f"{name}_{part}_{field}": values
            for part, embeddings in self._asdict().items()
            for field in ("features", "pids", "camids", "tracklets")
            if (values := getattr(embeddings, field)) is not None
        }

    @classmethod
    def from_arrays(cls, kept: Mapping[str, Any], name: str) -> Retrieval:
        """Return the embeddings from the arrays that :meth:`arrays` named."""
        fields = ("features", "pids", "camids", "tracklets")
        return cls(*(Embeddings(*(kept.get(f"{name}_{part}_{f}") for f in fields)) for part in cls._fields))


class Sheet(NamedTuple):
    """Pictures in rows and columns, as :func:`reidlab.plots.contact_sheet` takes them."""

    pictures: list[list[np.ndarray | None]]
    row_labels: list[str]
    column_labels: list[str]


class RankedSheet(NamedTuple):
    """Queries and their top-ranked gallery pictures, as :func:`reidlab.plots.ranked_lists` takes them."""

    queries: list[np.ndarray]
    galleries: list[list[np.ndarray]]
    matches: list[list[bool]]
    row_labels: list[str]


def ranked_sheet(data: DataSet, found: Retrieval, protocol: Protocol | str, count: int, top: int) -> RankedSheet:
    """Return queries evenly spaced from the highest to the lowest average precision, with their top-ranked pictures.

    Args:
        data: the data set whose test was embedded; of a tracklet one picture is shown.
        found: its embeddings.
        protocol: under which they are ranked.
        count: how many queries.
        top: how many gallery pictures per query.
    """

    def picture(part: Pictures, embeddings: Embeddings, row: int) -> np.ndarray:
        alone = part.each_in(embeddings)
        return part.originals([row] if alone else part.frames_of(int(embeddings.tracklets[row]), 1))[0]

    table = found.score(protocol).per_query
    by_score = table[table["valid"]].sort_values("ap", ascending=False, kind="stable")
    chosen = by_score.iloc[np.linspace(0, len(by_score) - 1, count).round().astype(int)]
    out = RankedSheet([], [], [], [])
    for row in chosen.itertuples():
        answers = ranked_list(found.query, found.gallery, row.query, protocol, top)
        out.queries.append(picture(data.query, found.query, row.query))
        out.galleries.append([picture(data.gallery, found.gallery, j) for j in answers["gallery"]])
        out.matches.append([bool(match) for match in answers["match"]])
        out.row_labels.append(f"AP {row.ap:.2f}")
    return out


#: What figures call a network by the start that its records name.
_NETWORKS = {"scratch": "from scratch", "imagenet": "from ImageNet", "embedder": "published"}
_OWN = "this chapter's"


def by_start(own: Callable[[pd.DataFrame], pd.Series], *found: pd.DataFrame) -> pd.DataFrame:
    """Return rank-1 and mAP of networks from several starts, with the network and its start as column ``network``.

    Args:
        own: from records to a mask of those of the chapter's own network, shown beside them.
        *found: records with their dimensions as columns; the first that compare starts are taken, so that a run's own
            stand in for kept ones that were measured before.

    Returns:
        The records, a network after the other; none where nothing was measured.
    """
    for measured in found:
        if {"experiment", "start"} <= set(measured):
            compared = (measured["experiment"] == "starts") | own(measured)
            rows = measured[compared & measured["key"].isin(["rank1", "mAP"])]
            rows = rows.assign(network=rows["start"].map(_NETWORKS).fillna(_OWN))
            order = [_OWN, *_NETWORKS.values()]
            return rows.sort_values("network", key=lambda names: names.map(order.index), kind="stable")
    return found[0].iloc[:0].assign(network=None)


def mean_scores(measured: pd.DataFrame, index: Sequence[str], columns: Sequence[str] = ("key",)) -> pd.DataFrame:
    """Return means of rank-1 and mAP over seeds as a table; one that says so where there are none.

    Args:
        measured: records with their dimensions as columns.
        index: dimensions of the table's rows.
        columns: of its columns; records that lack one of these dimensions are left out.
    """
    dims = [*index, *columns]
    found = measured[measured["key"].isin(["rank1", "mAP"])]
    found = found.dropna(subset=dims) if set(dims) <= set(found) else found.iloc[:0]
    if found.empty:
        return pd.DataFrame({"": ["nothing of this kind was measured on this machine"]})
    return found.pivot_table(index=list(index), columns=list(columns), values="value").round(3)
