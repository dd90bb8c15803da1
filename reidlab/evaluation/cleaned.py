"""Evaluation by corrected labels, some of which name two people (the new protocol of Sec. 2.6.4).

The protocol is that of CF-AAN, ``mars-cf-aan``, with four differences.

- Identities are the corrected ones: a tracklet that was labelled as somebody else, under a second identity, or as a
  distractor counts as who it shows.
- A tracklet may have a second, ambiguous identity. Query and gallery entry match if any of {identity, ambiguous
  identity} of the one is any of the other's: four combinations.
- Distractors stay in the gallery. Those of the query's own camera are ignored, because many are copies of the query;
  those of other cameras are wrong answers.
- What is corrected to -1 is ignored, as is what was -1 before.

The distractor class is that of the corrected labels: a tracklet that was found to show an identity is no longer a
distractor.

What the text leaves open is an entry of the query's camera that matches by an ambiguous identity alone. Literally, only
the *same identity* is ignored under one camera, so that such an entry counts as right: ``mars-cleaned``.

``mars-cleaned-released`` does as the evaluation code released with CF-AAN:

- Queries and gallery entries that were *labelled* as junk or as a distractor are dropped before it starts; corrections
  come after that.
- Corrected identities are compared as they are, those of queries too. An entry corrected to -1 is a wrong answer like
  any other and not ignored; a query corrected to 0 or -1 is answered rightly by what was corrected likewise.
- Every match of the query's camera is ignored, also one by an ambiguous identity alone.

In that code the ambiguous identities too are compared as they are: a table that says *none* with one number for all
would make everything a match. Here *none* never matches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reidlab.errors import DataError
from reidlab.evaluation import kernels
from reidlab.evaluation.embeddings import Embeddings
from reidlab.evaluation.protocols import DISTRACTOR_PID, JUNK_PID, WITH_LABELS, Protocol

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("tracklet", "camid", "new_pid", "ambiguous")
_NOBODY = -2  # equals no label


@dataclass(frozen=True, eq=False)
class CleanedLabels:
    """Matches by corrected labels, which are looked up by tracklet.

    Attributes:
        tracklets: (M,) int64, rising.
        camids: (M,) int64 cameras, to notice a table of another data set.
        new_pids: (M,) int64 corrected identities; 0 is a distractor, -1 junk.
        others: (M,) int64 second identities; what is not positive is none.
        released: whether to do as the released code does, see above.
    """

    tracklets: np.ndarray
    camids: np.ndarray
    new_pids: np.ndarray
    others: np.ndarray
    released: bool = False

    @classmethod
    def of(cls, labels: pd.DataFrame, released: bool = False) -> CleanedLabels:
        """Take the labels from a table, see :func:`cleaned_protocol`.

        Raises:
            DataError: a column is missing, a value is no whole number, or a tracklet is there twice.
        """
        if missing := [name for name in _COLUMNS if name not in labels]:
            raise DataError(f"labels: column {missing[0]!r} is missing; expected {', '.join(_COLUMNS)}")
        columns = []
        for name in _COLUMNS:
            values = labels[name].to_numpy()
            if values.dtype.kind not in "iu":
                raise DataError(f"labels: column {name!r} is of {values.dtype}, expected whole numbers, none missing")
            columns.append(values.astype(np.int64))
        order = np.argsort(columns[0], kind="stable")
        columns = [values[order] for values in columns]
        if (twice := columns[0][1:][columns[0][1:] == columns[0][:-1]]).size:
            raise DataError(f"labels: tracklet {twice[0]} is there more than once")
        return cls(*columns, released)

    def relevance(self, query: Embeddings, gallery: Embeddings, rows: slice) -> np.ndarray:
        """Return relevance (len of rows, N) by corrected identities, see :class:`.protocols.Matcher`.

        Raises:
            DataError: an entry has no tracklet number, one that is not in the table, or another camera than there.
        """
        query_places, places = self._find("query", query)[rows], self._find("gallery", gallery)
        camids, gallery_camids = query.camids[rows], gallery.camids
        pids, others = self.new_pids[query_places], self.others[query_places]
        # Junk and distractors are nobody: such a query matches nothing.
        somebody = (query.pids[rows] if self.released else pids) > 0
        pids = np.where(somebody, pids, _NOBODY)
        others = np.where((others > 0) & (somebody | (not self.released)), others, _NOBODY)
        gallery_pids, gallery_others = self.new_pids[places], self.others[places]
        out = kernels.same_identity(pids, camids, gallery_pids, gallery_camids, 0)

        # Few tracklets are ambiguous: only their rows and columns are computed again.
        def add(at: tuple[np.ndarray, np.ndarray], match: np.ndarray, own_camera: np.ndarray) -> None:
            part = out[np.ix_(*at)]
            part[match & (part == kernels.OTHER)] = kernels.POSITIVE
            if self.released:
                part[match & own_camera] = kernels.IGNORED
            out[np.ix_(*at)] = part

        both = np.flatnonzero(others != _NOBODY)
        everyone = np.arange(len(places))
        add((both, everyone), others[both, None] == gallery_pids, camids[both, None] == gallery_camids)
        both = np.flatnonzero(gallery_others > 0)
        theirs = gallery_others[both]
        match = (pids[:, None] == theirs) | (others[:, None] == theirs)
        add((np.arange(len(pids)), both), match, camids[:, None] == gallery_camids[both])

        distractors = np.flatnonzero(gallery_pids == DISTRACTOR_PID)
        part = out[:, distractors]
        part[camids[:, None] == gallery_camids[distractors]] = kernels.IGNORED
        out[:, distractors] = part
        if not self.released:
            out[:, gallery_pids == JUNK_PID] = kernels.IGNORED
        return out

    def _find(self, part: str, embeddings: Embeddings) -> np.ndarray:
        """Return the row of the table for each entry."""
        if embeddings.tracklets is None:
            raise DataError(f"{part} tracklets: corrected labels are looked up by tracklet numbers; there are none")
        known = np.isin(embeddings.tracklets, self.tracklets)
        if not known.all():
            raise DataError(
                f"{part} tracklets: {embeddings.tracklets[~known][0]} is not in the table of corrected labels "
                f"({len(self.tracklets):,} tracklets); is it that of another data set?"
            )
        places = np.searchsorted(self.tracklets, embeddings.tracklets)
        wrong = self.camids[places] != embeddings.camids
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise DataError(
                f"{part} camids: tracklet {embeddings.tracklets[row]} has camera {embeddings.camids[row]}, but "
                f"{self.camids[places[row]]} in the table of corrected labels; is it that of another data set?"
            )
        return places


def cleaned_protocol(labels: pd.DataFrame, *, released: bool = False) -> Protocol:
    """Return the protocol that evaluates by corrected labels.

    Args:
        labels: a row per test tracklet, queries included: ``tracklet, camid, new_pid`` (0: a distractor, -1: junk) and
            ``ambiguous`` (a second identity; -1 or 0 for none), as :func:`reidlab.data.readers.mars.cleaned_labels`
            gives it.
        released: whether to do as the released code does, see above.

    Returns:
        The protocol ``mars-cleaned``, or ``mars-cleaned-released``. Embeddings evaluated under it need the tracklet
        numbers of the table; their own identities decide only what is dropped.

    Raises:
        DataError: the table is not as described.

    Example:
        >>> import numpy as np, pandas as pd
        >>> from reidlab.evaluation import evaluate
        >>> labels = pd.DataFrame({"tracklet": [1, 2, 3], "camid": [1, 2, 2], "new_pid": [7, 5, 7],
        ...                        "ambiguous": [-1, 7, -1]})
        >>> query = Embeddings(np.float32([[1, 0]]), [7], [1], [1])
        >>> gallery = Embeddings(np.float32([[1, 0], [1, 1]]), [5, 0], [2, 2], [2, 3])
        >>> evaluate(query, gallery, cleaned_protocol(labels)).mAP
        1.0
    """
    return Protocol(
        WITH_LABELS[released], metric="cosine", matcher=CleanedLabels.of(labels, released),
        junk="dropped", distractors=not released, queries_in_gallery=False,
    )  # fmt: skip
