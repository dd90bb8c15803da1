"""Evaluation protocols: what counts as a match, what is left out and how precision is averaged, under one name each.

Data sets and papers differ in all of these, so two numbers compare only under one protocol; every
:class:`~reidlab.evaluation.retrieval.Scores` carries the name of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol as Interface

import numpy as np

from reidlab.checks import check_choice, check_integer
from reidlab.errors import ConfigError, DataError
from reidlab.evaluation import kernels
from reidlab.evaluation.embeddings import Embeddings

JUNK_PID = -1
DISTRACTOR_PID = 0

METRICS = ("euclidean", "cosine")
JUNK_RULES = ("ignored", "dropped")
CAMERA_RULES = ("same person", "any person", "none")
AP_RULES = ("step", "trapezoidal")


class Matcher(Interface):
    """Decides what each gallery entry is to a query; protocols with richer labels bring their own.

    The gallery it is given is what the protocol admits, which may be less than the whole: look further labels up by
    tracklet, not by row.
    """

    def relevance(self, query: Embeddings, gallery: Embeddings, rows: slice) -> np.ndarray:
        """Return (len of rows, N) int8 of :data:`~reidlab.evaluation.kernels.OTHER`, ``POSITIVE`` and ``IGNORED``.

        The array is the caller's to change.

        Args:
            query: all queries.
            gallery: all N gallery entries.
            rows: the queries to compare.
        """
        ...


@dataclass(frozen=True)
class SameIdentity:
    """Positives share the query's identity; entries of the query's own camera are ignored as the rule says.

    Attributes:
        camera_rule: ``same person``: entries of the query's identity and camera are ignored; ``any person``: all
            entries of its camera; ``none``: nothing.
        ignore_own_tracklet: whether entries with the query's tracklet number are ignored; for sets whose pictures are
            query and gallery at once, number the pictures as tracklets.
    """

    camera_rule: str = "same person"
    ignore_own_tracklet: bool = False

    def __post_init__(self) -> None:
        check_choice("camera_rule", self.camera_rule, CAMERA_RULES)

    def relevance(self, query: Embeddings, gallery: Embeddings, rows: slice) -> np.ndarray:
        """Return relevance (len of rows, N) by identities and cameras; see :class:`Matcher`.

        Raises:
            DataError: own tracklets are to be ignored, and there are no tracklet numbers.
        """
        rule = CAMERA_RULES.index(self.camera_rule)
        out = kernels.same_identity(query.pids[rows], query.camids[rows], gallery.pids, gallery.camids, rule)
        if self.ignore_own_tracklet:
            own, others = _numbers("query", query)[rows], _numbers("gallery", gallery)
            out[own[:, None] == others] = kernels.IGNORED
        return out


@dataclass(frozen=True)
class Protocol:
    """How rankings are scored.

    Attributes:
        name: under which results are reported.
        metric: ``euclidean`` or ``cosine``.
        matcher: what is a match and what is ignored.
        junk: what becomes of gallery entries of identity -1: ``ignored`` (passed over in every ranking; ranked lists
            show them as such) or ``dropped`` (not part of the gallery). The scores are the same.
        distractors: whether gallery entries of identity 0 stay in; data sets whose identity 0 is a person keep them.
        queries_in_gallery: whether a query's own tracklet may be in the gallery; if not, gallery entries with the
            tracklet number of any query are dropped.
        ap: ``step`` is the mean of the precision at each positive; ``trapezoidal`` averages it with the precision just
            before, as the evaluation code of Market-1501 and MARS does. Every positive counts, however late: the code
            released with STE-NVAN stops at rank 10,000 of MARS's 12,180.
        single_shot: 0 ranks the whole gallery; a positive number draws, for each query, one entry per identity among
            those not ignored, that many times, and averages (the old protocol of CUHK03).
        shot_seed: seed of those draws.
        max_rank: last rank of the CMC curve.

    Raises:
        ConfigError: a value is not allowed.
    """

    name: str
    metric: str = "euclidean"
    matcher: Matcher = field(default_factory=SameIdentity)
    junk: str = "ignored"
    distractors: bool = True
    queries_in_gallery: bool = True
    ap: str = "step"
    single_shot: int = 0
    shot_seed: int = 0
    max_rank: int = 50

    def __post_init__(self) -> None:
        check_choice("metric", self.metric, METRICS)
        check_choice("junk", self.junk, JUNK_RULES)
        check_choice("ap", self.ap, AP_RULES)
        check_integer("max_rank", self.max_rank, 1)
        check_integer("single_shot", self.single_shot, what="a number of draws; 0 is off")

    def admit(self, query: Embeddings, gallery: Embeddings) -> np.ndarray:
        """Return which gallery entries take part, (N,) bool.

        Raises:
            DataError: queries must be dropped by their tracklets, and there are no tracklet numbers.
        """
        keep = np.ones(len(gallery), dtype=bool)
        if self.junk == "dropped":
            keep &= gallery.pids != JUNK_PID
        if not self.distractors:
            keep &= gallery.pids != DISTRACTOR_PID
        if not self.queries_in_gallery:
            keep &= ~np.isin(_numbers("gallery", gallery), _numbers("query", query))
        return keep

    def relevance(self, query: Embeddings, gallery: Embeddings, rows: slice) -> np.ndarray:
        """Return what each entry of an admitted gallery is to each query, (len of rows, N); see :class:`Matcher`.

        Raises:
            ConfigError: the matcher's answer has another shape.
        """
        out = np.ascontiguousarray(self.matcher.relevance(query, gallery, rows), dtype=np.int8)
        expected = (len(query.pids[rows]), len(gallery))
        if out.shape != expected:
            raise ConfigError(
                f"matcher of protocol {self.name!r}: expected relevance of shape {expected}; got {out.shape}"
            )
        out[:, gallery.pids == JUNK_PID] = kernels.IGNORED
        return out


def _numbers(part: str, embeddings: Embeddings) -> np.ndarray:
    """Return tracklet numbers that can tell entries apart."""
    if embeddings.tracklets is None or (embeddings.tracklets < 0).any():
        raise DataError(
            f"{part} tracklets: the protocol tells a query's own entries by their tracklet numbers; some are missing "
            "(None or -1); give every entry one"
        )
    return embeddings.tracklets


#: The protocols with a name. ``no-camera-rule`` is for sets without cameras and a gallery apart from the queries;
#: ``leave-one-out`` for sets such as CUB-200, where every picture queries all others. Under ``cross-camera`` the
#: gallery is all pictures of the other cameras: with every picture a query it needs no division, so that it scores any
#: labelled set. Features trained elsewhere are nearest to others of their own camera; under this rule that costs
#: nothing, and under Market-1501's much (the other people of the query's camera stay in the gallery).
PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol("market1501"),
        Protocol("market1501-trapezoidal", ap="trapezoidal"),
        Protocol("dukemtmc-reid"),
        Protocol("msmt17"),
        Protocol("cuhk03-np"),
        Protocol("cuhk03-single-shot", single_shot=100),
        Protocol("pku-reid"),
        Protocol("mars-ste-nvan", metric="cosine", ap="trapezoidal"),
        Protocol("mars-cf-aan", metric="cosine", junk="dropped", distractors=False, queries_in_gallery=False),
        Protocol("video-toolbox", metric="cosine", junk="dropped", queries_in_gallery=False),
        Protocol("veri776"),
        Protocol("no-camera-rule", matcher=SameIdentity("none")),
        Protocol("leave-one-out", matcher=SameIdentity("none", ignore_own_tracklet=True)),
        Protocol("cross-camera", metric="cosine", matcher=SameIdentity("any person")),
    )
}


#: Names of protocols that hold a table of the data set's; :mod:`reidlab.evaluation.cleaned` builds them.
WITH_LABELS = ("mars-cleaned", "mars-cleaned-released")


def get(protocol: Protocol | str) -> Protocol:
    """Return a protocol by its name; a protocol object is returned as it is.

    Raises:
        ConfigError: there is no protocol of that name, or it needs a table and cannot be had by its name.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if protocol in WITH_LABELS:
        raise ConfigError(
            f"protocol: {protocol!r} needs the corrected labels of the data set; build it with "
            "evaluation.cleaned.cleaned_protocol(labels), where labels = data.readers.mars.cleaned_labels(folder)"
        )
    check_choice("protocol", protocol, PROTOCOLS)
    return PROTOCOLS[protocol]
