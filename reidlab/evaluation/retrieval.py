"""Retrieval scores: CMC, mean average precision and mean inverse negative penalty, in all and query by query.

The cumulative match characteristic and mAP are those of L. Zheng et al., "Scalable person re-identification: a
benchmark", ICCV 2015; mINP is that of M. Ye et al., "Deep learning for person re-identification: a survey and
outlook", TPAMI 2021 (https://arxiv.org/abs/2001.04193).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reidlab.checks import check_integer, plural
from reidlab.errors import ConfigError, DataError
from reidlab.evaluation import kernels
from reidlab.evaluation.distances import BLOCK_BYTES, distance_blocks
from reidlab.evaluation.embeddings import Embeddings
from reidlab.evaluation.protocols import Protocol, get
from reidlab.seeding import rng

if TYPE_CHECKING:
    import pandas as pd

_SUMMARY_RANKS = (1, 5, 10, 20)


@dataclass(frozen=True, eq=False)
class Scores:
    """The result of one evaluation under one protocol; fractions, not per cent.

    Attributes:
        protocol: its name.
        mAP: mean over valid queries of the average precision.
        mINP: mean over valid queries of (number of positives) / (rank of the last positive).
        cmc: (max_rank,) share of valid queries whose first positive is at rank k or better, k from 1.
        per_query: a row per query in their order: ``query, pid, camid, num_positives, ap, inp, first_rank, valid``;
            a query without a positive in the gallery is not valid, and its scores are missing. Where a protocol
            draws galleries, numbers are means over the draws.
        num_valid: number of valid queries; the others are left out of every mean.
    """

    protocol: str
    mAP: float
    mINP: float
    cmc: np.ndarray
    per_query: pd.DataFrame
    num_valid: int

    @property
    def num_invalid(self) -> int:
        """Number of queries without a positive in the gallery."""
        return len(self.per_query) - self.num_valid

    def rank(self, k: int) -> float:
        """Return the CMC curve at rank ``k``.

        Raises:
            ConfigError: the curve does not go that far.
        """
        if not 1 <= k <= len(self.cmc):
            raise ConfigError(f"rank {k}: the curve of protocol {self.protocol!r} has ranks 1..{len(self.cmc)}")
        return float(self.cmc[k - 1])

    def summary(self) -> dict[str, float]:
        """Return ``mAP``, ``mINP`` and ``rank1, rank5, rank10, rank20`` as far as the curve goes."""
        ranks = {f"rank{k}": self.rank(k) for k in _SUMMARY_RANKS if k <= len(self.cmc)}
        return {"mAP": self.mAP, "mINP": self.mINP, **ranks}


def evaluate(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol | str = "market1501",
    *,
    block_bytes: int = BLOCK_BYTES,
) -> Scores:
    """Rank the gallery for every query and score the rankings.

    Entries at the same distance rank by their place in the gallery. Euclidean distances are compared as squares.
    Memory beside the embeddings is a block of distances, its relevance (a quarter of that) and the protocol's copies
    of the features.

    Args:
        query: Q embeddings.
        gallery: N embeddings of the same width.
        protocol: a named protocol or one of your own.
        block_bytes: greatest size of a block of distances.

    Raises:
        ConfigError: there is no such protocol.
        DataError: the embeddings don't fit each other, or no query has a positive in the gallery.

    Example:
        >>> import numpy as np
        >>> query = Embeddings(np.float32([[0.0]]), [7], [1])
        >>> gallery = Embeddings(np.float32([[0.1], [0.2], [0.3]]), [7, 5, 7], [2, 2, 3])
        >>> evaluate(query, gallery).summary()["mAP"]  # positives at ranks 1 and 3
        0.8333333333333333
    """
    rule = get(protocol)
    gallery, _ = _admitted(query, gallery, rule)
    blocks = distance_blocks(query.features, gallery.features, _ranking_metric(rule), block_bytes=block_bytes)
    return _score(blocks, query, gallery, rule)


def evaluate_distances(
    distances: np.ndarray, query: Embeddings, gallery: Embeddings, protocol: Protocol | str = "market1501"
) -> Scores:
    """Score distances that were computed elsewhere, such as re-ranked ones.

    Args:
        distances: (Q, N) float, smaller is nearer.
        query: labels of the rows; the features are not looked at.
        gallery: labels of the columns.
        protocol: a named protocol or one of your own; its metric is not used.

    Raises:
        ConfigError: there is no such protocol.
        DataError: the shape does not fit, a distance is not finite, or no query has a positive.
    """
    rule = get(protocol)
    distances = np.asarray(distances)
    if distances.shape != (len(query), len(gallery)):
        raise DataError(
            f"distances: expected shape {(len(query), len(gallery))} for {len(query)} queries and {len(gallery)} "
            f"gallery entries; got {distances.shape}"
        )
    if distances.dtype not in (np.float32, np.float64):
        distances = distances.astype(np.float64)
    admitted, places = _admitted(query, gallery, rule)
    height = max(1, BLOCK_BYTES // (distances.itemsize * len(gallery)))
    slices = (slice(start, min(start + height, len(query))) for start in range(0, len(query), height))
    blocks = ((rows, np.take(distances[rows], places, axis=1)) for rows in slices)
    return _score(blocks, query, admitted, rule)


def ranked_list(
    query: Embeddings,
    gallery: Embeddings,
    index: int,
    protocol: Protocol | str = "market1501",
    top: int = 10,
    *,
    distances: np.ndarray | None = None,
    show_ignored: bool = False,
) -> pd.DataFrame:
    """Return a query's nearest gallery entries, for inspection.

    Args:
        query: the queries.
        gallery: the gallery as it was given to :func:`evaluate`.
        index: which query.
        protocol: what is a match, what is ignored, and by which distance to rank.
        top: how many entries; fewer if the gallery is smaller.
        distances: (N,) distances of this query to rank by, such as re-ranked ones; by default those of the features.
        show_ignored: whether entries that the protocol ignores are listed too, in their place.

    Returns:
        Rows from the nearest on: ``gallery`` (its row number), ``rank`` (missing if ignored), ``pid``, ``camid``,
        ``distance`` and ``match``: True (right), False (wrong) or, where ignored entries are shown, None (ignored).

    Raises:
        ConfigError: there is no query of that number, or ``top`` is not positive.
        DataError: the distances do not fit, or the protocol leaves nothing of the gallery.
    """
    import pandas as pd

    if not 0 <= index < len(query):
        raise ConfigError(f"index: {index} is not among the {len(query)} queries")
    check_integer("top", top, 1)
    rule, rows = get(protocol), slice(index, index + 1)
    admitted, places = _admitted(query, gallery, rule)
    if distances is None:
        (_, block), *_ = distance_blocks(query.features[rows], admitted.features, _ranking_metric(rule))
        values = block[0]
    else:
        values = np.asarray(distances)
        if values.shape != (len(gallery),) or not np.isfinite(values).all():
            raise DataError(f"distances: expected {len(gallery)} finite values, one per entry; got {values.shape}")
        values = values[places]
    relevance = rule.relevance(query, admitted, rows)[0]
    order = np.argsort(values, kind="stable")
    counted = relevance[order] != kernels.IGNORED
    rank = np.cumsum(counted)
    if not show_ignored:
        order, rank, counted = order[counted], rank[counted], counted[counted]
    order, rank, counted = order[:top], rank[:top], counted[:top]
    if distances is None and rule.metric == "euclidean":
        values = np.sqrt(values)
    match = relevance[order] == kernels.POSITIVE
    if show_ignored:
        match = np.where(counted, match, None)
    return pd.DataFrame(
        {
            "gallery": places[order],
            "rank": pd.arrays.IntegerArray(rank.astype(np.int64), ~counted),
            "pid": admitted.pids[order],
            "camid": admitted.camids[order],
            "distance": values[order],
            "match": match,
        }
    )


def _ranking_metric(rule: Protocol) -> str:
    """Squares rank as their roots do, and are nearer to what was computed."""
    return "squared" if rule.metric == "euclidean" else rule.metric


def _admitted(query: Embeddings, gallery: Embeddings, rule: Protocol) -> tuple[Embeddings, np.ndarray]:
    """Return what the protocol leaves of the gallery, and the places of that in the whole."""
    for name, part in (("query", query), ("gallery", gallery)):
        if not len(part):
            raise DataError(f"{name}: it is empty; there is nothing to rank")
    places = np.flatnonzero(rule.admit(query, gallery))
    if len(places) == len(gallery):
        return gallery, places
    if not len(places):
        raise DataError(
            f"protocol {rule.name!r} leaves nothing of the gallery of {len(gallery):,}: there are only junk, "
            "distractors or queries"
        )
    return gallery.select(places), places


def _score(
    blocks: Iterable[tuple[slice, np.ndarray]], query: Embeddings, gallery: Embeddings, rule: Protocol
) -> Scores:
    import pandas as pd

    # One row per drawn gallery; without draws there is one, the whole.
    orders: list[np.ndarray | None] = [None]
    if rule.single_shot:
        random = rng(rule.shot_seed, "single shot")
        orders = [random.permutation(len(gallery)) for _ in range(rule.single_shot)]
        groups = np.unique(gallery.pids, return_inverse=True)[1]
    shape = (len(orders), len(query))
    ap, inp, first = (np.full(shape, np.nan) for _ in range(3))
    positives = np.zeros(shape, dtype=np.int64)
    for rows, distances in blocks:
        whole = rule.relevance(query, gallery, rows)
        for draw, order in enumerate(orders):
            relevance = whole if order is None else kernels.one_per_group(whole, groups, order)
            counts = np.count_nonzero(relevance == kernels.POSITIVE, axis=1)
            starts = np.concatenate([[0], np.cumsum(counts)])
            ranks = np.empty(starts[-1], dtype=np.int64)
            bad = kernels.positive_ranks(distances, relevance, starts, ranks)
            if bad.any():
                row = rows.start + int(np.flatnonzero(bad)[0])
                raise DataError(f"distances: row {row} holds a value that is not finite (NaN or infinity)")
            _fill(ranks, counts, starts, rule.ap, ap[draw, rows], inp[draw, rows], first[draw, rows])
            positives[draw, rows] = counts
    hits = positives > 0
    valid = hits.any(axis=0)
    if not valid.any():
        raise DataError(
            f"protocol {rule.name!r}: of {plural(len(query), 'query')} none has a match in the gallery of "
            f"{len(gallery):,}; check that identities are shared and, if the protocol ignores the query's own camera, "
            "seen by another one"
        )
    draws = np.maximum(hits.sum(axis=0), 1)
    means = {name: np.nansum(x, axis=0) / draws for name, x in (("ap", ap), ("inp", inp), ("first_rank", first))}
    per_query = pd.DataFrame(
        {
            "query": np.arange(len(query)),
            "pid": query.pids,
            "camid": query.camids,
            "num_positives": positives.max(axis=0),
            **{name: np.where(valid, mean, np.nan) for name, mean in means.items()},
            "valid": valid,
        }
    )
    num_valid = int(valid.sum())
    # Each query weighs the same, whatever number of draws held a positive of it.
    weights = np.broadcast_to(1 / draws, shape)[hits]
    firsts = np.bincount(first[hits].astype(np.int64) - 1, weights, minlength=rule.max_rank)[: rule.max_rank]
    return Scores(
        protocol=rule.name,
        mAP=float(per_query["ap"].mean()),
        mINP=float(per_query["inp"].mean()),
        cmc=np.minimum(np.cumsum(firsts) / num_valid, 1.0),
        per_query=per_query,
        num_valid=num_valid,
    )


def _fill(
    ranks: np.ndarray, counts: np.ndarray, starts: np.ndarray, ap_rule: str, ap: np.ndarray, inp: np.ndarray,
    first: np.ndarray,
) -> None:  # fmt: skip
    """Write the scores of the queries that have positives; ``ranks`` holds those of all, query after query."""
    some = counts > 0
    if not some.any():
        return
    number = np.arange(len(ranks)) - np.repeat(starts[:-1], counts) + 1
    precision = number / ranks
    if ap_rule == "trapezoidal":
        # Precision just before the positive; nothing precedes rank 1, where it counts as 1.
        before = np.where(ranks > 1, (number - 1) / np.maximum(ranks - 1, 1), 1.0)
        precision = (precision + before) / 2
    ap[some] = np.add.reduceat(precision, starts[:-1][some]) / counts[some]
    inp[some] = counts[some] / ranks[starts[1:][some] - 1]
    first[some] = ranks[starts[:-1][some]]
