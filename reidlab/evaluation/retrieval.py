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
        per_query: a row per query in their order: ``query, pid, camid, positives, ap, inp, first_rank, valid``;
            a query without a positive in the gallery is not valid, and its scores are missing.
        num_valid: number of valid queries.
    """

    protocol: str
    mAP: float
    mINP: float
    cmc: np.ndarray
    per_query: pd.DataFrame
    num_valid: int

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
    gallery = _admitted(query, gallery, rule)
    blocks = distance_blocks(query.features, gallery.features, rule.metric, block_bytes=block_bytes)
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
        DataError: the shape does not fit, a distance is not finite, or no query has a positive.
    """
    rule = get(protocol)
    if distances.shape != (len(query), len(gallery)):
        raise DataError(
            f"distances: expected shape {(len(query), len(gallery))} for {len(query)} queries and {len(gallery)} gallery "
            f"entries; got {distances.shape}"
        )
    keep = rule.admit(query, gallery)
    height = max(1, BLOCK_BYTES // (8 * max(1, len(gallery))))
    starts = range(0, len(query), height)
    blocks = ((slice(s, min(s + height, len(query))), distances[s : s + height][:, keep]) for s in starts)
    return _score(blocks, query, _admitted(query, gallery, rule), rule)


def ranked_list(
    query: Embeddings, gallery: Embeddings, index: int, protocol: Protocol | str = "market1501", top: int = 10
) -> pd.DataFrame:
    """Return a query's nearest gallery entries, for looking at them.

    Args:
        query: the queries.
        gallery: the gallery as it was given to :func:`evaluate`.
        index: which query.
        protocol: what is ignored, and by which distance to rank.
        top: how many entries; fewer if the gallery is smaller.

    Returns:
        Rows in order of rank: ``gallery`` (its row number), ``pid``, ``camid``, ``distance`` and ``match``.

    Raises:
        ConfigError: there is no query of that number.
    """
    import pandas as pd

    if not 0 <= index < len(query):
        raise ConfigError(f"index: {index} is not among the {len(query)} queries")
    rule = get(protocol)
    places = np.flatnonzero(rule.admit(query, gallery))
    kept, rows = gallery.select(places), slice(index, index + 1)
    relevance = rule.matcher.relevance(query, kept, rows)[0]
    (_, block), *_ = distance_blocks(query.features[rows], kept.features, rule.metric)
    distance = np.sqrt(block[0]) if rule.metric == "euclidean" else block[0].copy()
    ranked = [j for j in np.argsort(block[0], kind="stable") if relevance[j] != kernels.IGNORED][:top]
    return pd.DataFrame(
        {
            "gallery": places[ranked],
            "pid": kept.pids[ranked],
            "camid": kept.camids[ranked],
            "distance": distance[ranked],
            "match": relevance[ranked] == kernels.POSITIVE,
        }
    )


def _admitted(query: Embeddings, gallery: Embeddings, rule: Protocol) -> Embeddings:
    for name, part in (("query", query), ("gallery", gallery)):
        if not len(part):
            raise DataError(f"{name}: it is empty; there is nothing to rank")
    keep = rule.admit(query, gallery)
    if keep.all():
        return gallery
    if not keep.any():
        raise DataError(
            f"protocol {rule.name!r} leaves nothing of the gallery: all {len(gallery)} entries are junk, distractors or "
            "queries"
        )
    return gallery.select(keep)


def _score(
    blocks: Iterable[tuple[slice, np.ndarray]], query: Embeddings, gallery: Embeddings, rule: Protocol
) -> Scores:
    draws = [None]
    if rule.single_shot:
        draws = [_one_per_identity(gallery.pids, rule.shot_seed, draw) for draw in range(rule.single_shot)]
    shape = (len(draws), len(query))
    ap, inp, positives, first = (np.full(shape, np.nan) for _ in range(4))
    for rows, block in blocks:
        relevance = rule.matcher.relevance(query, gallery, rows)
        for draw, chosen in enumerate(draws):
            distances, kinds = (block, relevance) if chosen is None else (block[:, chosen], relevance[:, chosen])
            counts = kernels.count_positives(kinds)
            starts = np.concatenate([[0], np.cumsum(counts)])
            ranks = np.empty(starts[-1], dtype=np.int64)
            bad = kernels.positive_ranks(distances, kinds, starts, ranks)
            if bad.any():
                row = rows.start + int(np.flatnonzero(bad)[0])
                raise DataError(f"distances: row {row} holds a value that is not finite (NaN or infinity)")
            _fill(ranks, counts, starts, rule.ap, *(x[draw, rows] for x in (ap, inp, first)))
            positives[draw, rows] = counts
    valid = positives > 0
    if not valid.any():
        raise DataError(
            f"protocol {rule.name!r}: none of the {len(query)} queries has a match in the gallery of {len(gallery)}; "
            "check that identities are shared and, if the protocol ignores the query's own camera, seen by another one"
        )
    seen = first[valid].astype(np.int64)
    curve = np.cumsum(np.bincount(seen - 1, minlength=rule.max_rank)[: rule.max_rank]) / len(seen)
    return Scores(
        protocol=rule.name,
        mAP=float(ap[valid].mean()),
        mINP=float(inp[valid].mean()),
        cmc=curve,
        per_query=_per_query(query, valid, positives, ap, inp, first),
        num_valid=int(valid.any(axis=0).sum()),
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


def _one_per_identity(pids: np.ndarray, seed: int, draw: int) -> np.ndarray:
    """Return the places of one entry of each identity, drawn at random."""
    order = rng(seed, "single shot", draw).permutation(len(pids))
    return np.sort(order[np.unique(pids[order], return_index=True)[1]])


def _per_query(
    query: Embeddings, valid: np.ndarray, positives: np.ndarray, ap: np.ndarray, inp: np.ndarray, first: np.ndarray
) -> pd.DataFrame:
    import pandas as pd

    times = np.maximum(valid.sum(axis=0), 1)
    some = valid.any(axis=0)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.where(some, np.where(valid, values, 0.0).sum(axis=0) / times, np.nan)

    return pd.DataFrame(
        {
            "query": np.arange(len(query)),
            "pid": query.pids,
            "camid": query.camids,
            "positives": positives.max(axis=0).astype(np.int64),
            "ap": mean(ap),
            "inp": mean(inp),
            "first_rank": mean(first),
            "valid": some,
        }
    )
