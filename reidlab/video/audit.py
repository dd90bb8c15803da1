"""An audit of labels: the tracklets of a gallery whose labels are probably wrong, most suspicious first.

The dissertation corrected the test labels of MARS by hand (Sec. 2.6.4). This finds candidates for such a correction
from features and the labels alone, most of which are right. It goes beyond the dissertation.

**Evidence.** Features are centred by camera and brought to length 1. A cosine of two of them becomes the log-odds that
they show one person: linear discriminant analysis between pairs with the same and with different labels, apart for
pairs of one camera and of two. The evidence that tracklet i shows identity y is the mean of this over the members j of
y without i itself, less half the mean over the pairs within y,

    E(i, y) = mean_j l(i, j) - mean_jk l(j, k) / 2,

so that an identity whose members differ much is not passed over for one whose members are all alike. Between two groups
with both halves taken off this is, but for sign and factor, their energy distance (Szekely and Rizzo, "Energy
statistics", JSPI 2013).

**Kinds of fault** and their statistics, in the order of Fig. 2.12:

=================== ====================================================================================================
``label error``     E(i, z) - E(i, y): how much better another identity z fits than the label y
``split identity``  energy distance, negated, of two labels that are each other's nearest
``buried``          E(i, z) of a tracklet in the distractor class
``ambiguous``       log-odds that the pictures show two people (:func:`two_people`); without them, the smaller share
                    when the feature is written as a mixture of the label's mean and another identity's
=================== ====================================================================================================

**Scores.** To make the kinds comparable, each statistic is compared with two samples of itself: as it is, and where the
same fault is put in on purpose (labels exchanged, identities divided by camera, identified tracklets taken for
distractors, features mixed). The score is the probability of the second at even odds. No threshold is set anywhere, and
no truth is used. That labels give themselves away out of sample is the idea of confident learning (Northcutt et al.,
JAIR 2021); a vote among nearest neighbours, the usual cleaning by similarity, was far less precise on development
worlds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit
from torch import nn

from reidlab.checks import check_integer, plural
from reidlab.data import ImageCache
from reidlab.errors import DataError
from reidlab.evaluation.distances import distance_blocks
from reidlab.evaluation.embeddings import Embeddings
from reidlab.evaluation.protocols import DISTRACTOR_PID, JUNK_PID
from reidlab.seeding import rng
from reidlab.training import extract

KINDS = ("label error", "split identity", "buried", "ambiguous")
COLUMNS = ("tracklet", "pid", "camid", "kind", "score", "suggested_pid", "evidence")
#: The fault that each kind is called in the truth of an embedded world.
FAULTS = {"label error": "label", "split identity": "duplicate", "buried": "buried", "ambiguous": "ambiguous"}

_FEW_PAIRS = 10  # below, a relation of cameras is not judged by itself
_COMPOSITES = 4000
_BLOCK_BYTES = 64 * 2**20  # of cosines at a time, so that memory does not grow with the square of the tracklets


def audit(
    embeddings: Embeddings, *, two_people: np.ndarray | None = None, distractors: bool = True, seed: int = 0
) -> pd.DataFrame:
    """Rank the tracklets of a labelled gallery by how suspicious their labels are.

    Args:
        embeddings: N tracklets, or single pictures; identity -1 is left out.
        two_people: (N,) log-odds that a tracklet's pictures show two people, see :func:`two_people`.
        distractors: whether identity 0 is the distractor class; else it is a person.
        seed: decides the faults put in on purpose.

    Returns:
        A row per tracklet and kind of fault it could have, the highest score first: ``tracklet`` (its number, or its
        row where there are none), ``pid``, ``camid``, ``kind``, ``score`` (0..1), ``suggested_pid`` (who it is instead,
        or who else it shows) and ``evidence`` (the tracklet of that identity most like it).

        A label error needs a label with two tracklets or more; a split is listed for the tracklets of both labels, if
        each is the other's nearest. With one camera everything rests on pairs of that camera.

    Raises:
        DataError: ``two_people`` does not fit; there are fewer than two identities or none with two tracklets; or the
            features are no more alike within identities than between them.

    Example:
        >>> report = audit(embeddings)  # doctest: +SKIP
        >>> report.head(20)  # what to look at first  # doctest: +SKIP
    """
    if two_people is not None:
        two_people = np.asarray(two_people, dtype=np.float64)
        if two_people.shape != (len(embeddings),) or not np.isfinite(two_people).all():
            raise DataError(f"two_people: expected {len(embeddings)} finite values; got shape {two_people.shape}")
    gallery = _Gallery.of(embeddings, distractors)
    rivals = _Rivals.of(gallery, seed)
    findings = [
        _label_errors(gallery, rivals),
        _split_identities(gallery, rivals, seed),
        *_buried(gallery, rivals),
        _ambiguous(gallery, None if two_people is None else two_people[gallery.places], seed),
    ]
    parts = []
    for finding in findings:
        rows, others = finding.rows, finding.others
        parts.append(pd.DataFrame({
            "tracklet": gallery.numbers[rows], "pid": gallery.pids[rows], "camid": gallery.camids[rows],
            "kind": finding.kind, "score": finding.scores, "suggested_pid": gallery.ids[others],
            "evidence": gallery.numbers[gallery.nearest_of(rows, others)], "raw": finding.raw,
        }))  # fmt: skip
    report = pd.concat(parts, ignore_index=True)
    # Where scores are equal, as at the ends of their range, the statistics still tell.
    report = report.sort_values(["score", "raw", "tracklet"], ascending=[False, False, True], kind="stable")
    return report[list(COLUMNS)].reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class _Finding:
    """The candidates of one kind: rows of the gallery, their statistics and scores, the other identity (its place)."""

    kind: str
    rows: np.ndarray
    raw: np.ndarray
    scores: np.ndarray
    others: np.ndarray


@dataclass(frozen=True, eq=False)
class _Gallery:
    """Tracklets in the order of their labels, distractors first, and the evidence for their identities.

    Attributes:
        places: (N,) rows of the embeddings.
        numbers, pids, camids: (N,) of the tracklets.
        features: (N, D) centred and of length 1.
        ids: (K,) labels, without distractors.
        own: (N,) place of a tracklet's label in ``ids``; -1 for distractors.
        counts: (K,) tracklets of each label.
        lines: (2, 2) slope and offset of the log-odds, for pairs of two cameras and of one.
        own_sums: (N,) log-odds of a tracklet with the other members of its label, added up; 0 for distractors.
        within: (K,) mean log-odds of the pairs of an identity; the mean of all where it has none.
    """

    places: np.ndarray
    numbers: np.ndarray
    pids: np.ndarray
    camids: np.ndarray
    features: np.ndarray
    ids: np.ndarray
    own: np.ndarray
    counts: np.ndarray
    lines: np.ndarray
    own_sums: np.ndarray
    within: np.ndarray

    @classmethod
    def of(cls, embeddings: Embeddings, distractors: bool) -> _Gallery:
        numbers = np.arange(len(embeddings)) if embeddings.tracklets is None else embeddings.tracklets
        places = np.lexsort((numbers, embeddings.pids))
        places = places[embeddings.pids[places] != JUNK_PID]
        numbers, pids, camids = numbers[places], embeddings.pids[places], embeddings.camids[places]
        nobody = pids == DISTRACTOR_PID if distractors else np.zeros(len(pids), dtype=bool)
        ids, labels, counts = np.unique(pids[~nobody], return_inverse=True, return_counts=True)
        if len(ids) < 2 or counts.max() < 2:
            raise DataError(
                f"embeddings: {plural(len(ids), 'identity')}, the largest of "
                f"{plural(counts.max(initial=0), 'tracklet')}, and {plural(nobody.sum(), 'distractor')}; an audit "
                "needs two identities and one with two tracklets"
            )
        own = np.full(len(pids), -1)
        own[~nobody] = labels
        features = _centred(embeddings.features[places], camids)
        lines = _lines(features[~nobody], labels, camids[~nobody])
        own_sums, first = np.zeros(len(pids)), int(nobody.sum())
        known = np.flatnonzero(~nobody)
        for rows, sums in _sums(features, camids, counts, lines):
            inside = slice(max(rows.start, first), max(rows.stop, first))
            own_sums[inside] = sums[inside.start - rows.start :][np.arange(inside.stop - inside.start), own[inside]]
        pairs = np.bincount(labels, own_sums[known], minlength=len(ids))
        several = counts > 1
        within = np.full(len(ids), pairs.sum() / (counts * (counts - 1)).sum())
        within[several] = pairs[several] / (counts * (counts - 1))[several]
        return cls(places, numbers, pids, camids, features, ids, own, counts, lines, own_sums, within)

    @property
    def known(self) -> np.ndarray:
        """Rows of tracklets with a label, in the order of labels."""
        return np.flatnonzero(self.own >= 0)

    @property
    def starts(self) -> np.ndarray:
        """(K,) the first row of each label."""
        return np.searchsorted(self.own, np.arange(len(self.ids)))

    @property
    def own_evidence(self) -> np.ndarray:
        """(N,) E(i, y) of each tracklet and its own label: what the other members say.

        It is missing (NaN) of distractors and where there are no other members.
        """
        own = np.full(len(self.own), np.nan)
        rows = self.known
        label = self.own[rows]
        n, mine = self.counts[label], self.own_sums[rows]
        # A tracklet's own part in its label's coherence must not hide its fault.
        pairs = (n * (n - 1) * self.within[label] - 2 * mine) / np.maximum((n - 1) * (n - 2), 1)
        coherence = np.where(n > 2, pairs, self.within.mean())
        own[rows] = np.where(n > 1, mine / np.maximum(n - 1, 1) - 0.5 * coherence, np.nan)
        return own

    def evidence(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Yield rows, E(i, y) with the identities of other labels, (n, K), and the sums that they are from, (n, K).

        Of a tracklet's own label it is -infinity.
        """
        for rows, sums in _sums(self.features, self.camids, self.counts, self.lines):
            others = sums / self.counts - 0.5 * self.within
            label = self.own[rows]
            others[np.flatnonzero(label >= 0), label[label >= 0]] = -np.inf
            yield rows, others, sums

    def nearest_of(self, rows: np.ndarray, identities: np.ndarray) -> np.ndarray:
        """Return for each row the row of another identity's tracklet that is most probably the same person."""
        out = np.empty(len(rows), dtype=np.int64)
        starts = self.starts
        for place, (row, identity) in enumerate(zip(rows, identities)):
            members = slice(starts[identity], starts[identity] + self.counts[identity])
            one_camera = self.camids[members] == self.camids[row]
            odds = _log_odds(self.features[members] @ self.features[row], one_camera, self.lines)
            out[place] = members.start + odds.argmax()
        return out


def _sums(
    features: np.ndarray, camids: np.ndarray, counts: np.ndarray, lines: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield rows of a gallery, distractors first, and the log-odds of each with the members of each identity, summed.

    A tracklet's pair with itself counts nothing. The sums are (n, K) float64.
    """
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    first = len(features) - int(counts.sum())
    known, cameras = features[first:], camids[first:]
    for rows, distances in distance_blocks(features, known, "cosine", block_bytes=_BLOCK_BYTES):
        cosines = np.subtract(1.0, distances, out=distances)
        odds = _log_odds(cosines, camids[rows, None] == cameras, lines)
        itself = np.arange(max(rows.start, first), max(rows.stop, first))
        odds[itself - rows.start, itself - first] = 0.0
        yield rows, np.add.reduceat(odds, starts, axis=1).astype(np.float64)


@dataclass(frozen=True, eq=False)
class _Rivals:
    """What a gallery's evidence says of other identities than a tracklet's own, from one pass over it.

    Attributes:
        best: (N,) the identity of another label that fits best.
        value: (N,) E(i, z) of it.
        exchanged: (N,) another identity, drawn to stand for the label; -1 where there is nothing to compare with.
        at_exchanged: (N,) E(i, z) of that one.
        nearest: (K,) the label that is nearest to each.
        between: (K,) energy distance of the two, negated.
    """

    best: np.ndarray
    value: np.ndarray
    exchanged: np.ndarray
    at_exchanged: np.ndarray
    nearest: np.ndarray
    between: np.ndarray

    @classmethod
    def of(cls, gallery: _Gallery, seed: int) -> _Rivals:
        count, own, sizes, within = len(gallery.own), gallery.own, gallery.counts, gallery.within
        rows = np.flatnonzero(np.isfinite(gallery.own_evidence))
        exchanged = np.full(count, -1)
        # Each tracklet with another identity's label: then its own identity is among the others.
        random = rng(seed, "exchanged labels")
        exchanged[rows] = (own[rows] + random.integers(1, len(sizes), size=len(rows))) % len(sizes)
        best, value, at_exchanged = np.empty(count, np.int64), np.empty(count), np.full(count, np.nan)
        nearest, between = np.empty(len(sizes), np.int64), np.empty(len(sizes))
        starts, part = gallery.starts, np.zeros(len(sizes))  # sums of the label that a block ended in
        for place, others, sums in gallery.evidence():
            best[place] = others.argmax(axis=1)
            value[place] = others.max(axis=1)
            at_exchanged[place] = others[np.arange(len(others)), exchanged[place]]
            label = own[place]
            begin = np.flatnonzero((label >= 0) & (np.diff(label, prepend=-1) != 0))
            if not len(begin):
                continue
            for identity, total in zip(label[begin], np.add.reduceat(sums, begin, axis=0)):
                if starts[identity] < place.start:
                    total += part
                part = total
                energy = part / (sizes[identity] * sizes) - 0.5 * (within[identity] + within)
                energy[identity] = -np.inf
                nearest[identity], between[identity] = energy.argmax(), energy.max()
        return cls(best, value, exchanged, at_exchanged, nearest, between)


def _centred(features: np.ndarray, camids: np.ndarray) -> np.ndarray:
    """Take each camera's mean off its features and bring them to length 1."""
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    for camid in np.unique(camids):
        unit[camids == camid] -= unit[camids == camid].mean(axis=0)
    return unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)


def _lines(features: np.ndarray, labels: np.ndarray, camids: np.ndarray) -> np.ndarray:
    """Return (2, 2) slope and offset of the log-odds that two features show one person, given their cosine.

    Two Gaussians of one variance, at even odds; row 0 for pairs of two cameras, row 1 for pairs of one.
    """
    moments = np.zeros((2, 2, 3))  # by relation of cameras and of people: pairs, sum and sum of squares of cosines
    for rows, distances in distance_blocks(features, features, "cosine", block_bytes=_BLOCK_BYTES):
        cosines = np.subtract(1.0, distances, out=distances)
        later = np.arange(rows.start, rows.stop)[:, None] < np.arange(len(features))
        camera, person = camids[rows, None] == camids, labels[rows, None] == labels
        for one_camera in (0, 1):
            for one_person in (0, 1):
                values = cosines[later & (camera == one_camera) & (person == one_person)].astype(np.float64)
                moments[one_camera, one_person] += len(values), values.sum(), np.square(values, out=values).sum()
    pooled = moments.sum(axis=0)
    whole = _line(pooled)
    if whole is None:
        means = pooled[:, 1] / np.maximum(pooled[:, 0], 1)
        raise DataError(
            f"features: the mean cosine is {means[1]:.3f} within identities and {means[0]:.3f} between them; such "
            "features cannot tell right labels from wrong ones"
        )
    lines = [_line(part) if part[:, 0].min() >= _FEW_PAIRS else None for part in moments]
    return np.array([whole if line is None else line for line in lines])


def _line(moments: np.ndarray) -> tuple[float, float] | None:
    """Return slope and offset from (2, 3) moments of different and of same people; None if they are not apart."""
    counts, sums, squares = moments.T
    means = sums / np.maximum(counts, 1)
    if counts.min() < 1 or means[1] <= means[0]:
        return None
    variance = max(float((squares / counts - means**2).mean()), 1e-6)
    slope = float(means[1] - means[0]) / variance
    return slope, -slope * float(means.mean())


def _log_odds(cosines: np.ndarray, one_camera: np.ndarray, lines: np.ndarray) -> np.ndarray:
    line = lines.astype(cosines.dtype)
    return np.where(one_camera, line[1, 0] * cosines + line[1, 1], line[0, 0] * cosines + line[0, 1])


def _probability(values: np.ndarray, clean: np.ndarray, faulty: np.ndarray) -> np.ndarray:
    """Return how probably values come from the faulty sample rather than the clean one, at even odds.

    Two Gaussians of one variance. If the samples are not apart, the features cannot see this fault: 0.5 for all.
    """
    clean, faulty = clean[np.isfinite(clean)], faulty[np.isfinite(faulty)]
    if len(clean) < 2 or len(faulty) < 2 or faulty.mean() <= clean.mean():
        return np.full(len(values), 0.5)
    variance = max(0.5 * float(clean.var() + faulty.var()), 1e-6)
    slope = float(faulty.mean() - clean.mean()) / variance
    return expit(slope * (values - 0.5 * float(clean.mean() + faulty.mean())))


def _label_errors(gallery: _Gallery, rivals: _Rivals) -> _Finding:
    own = gallery.own_evidence
    rows = np.flatnonzero(np.isfinite(own))
    own, best, value, taken = own[rows], rivals.best[rows], rivals.value[rows], rivals.exchanged[rows]
    raw = value - own
    exchanged = np.where(best == taken, own, np.maximum(own, value)) - rivals.at_exchanged[rows]
    return _Finding(KINDS[0], rows, raw, _probability(raw, raw, exchanged), best)


def _split_identities(gallery: _Gallery, rivals: _Rivals, seed: int) -> _Finding:
    known, nearest, raw = gallery.known, rivals.nearest, rivals.between
    halves = np.array([_halved(gallery, identity, seed) for identity in range(len(nearest))])
    scores = _probability(raw, raw, halves)
    mutual = nearest[nearest] == np.arange(len(nearest))
    rows = known[mutual[gallery.own[known]]]
    label = gallery.own[rows]
    return _Finding(KINDS[1], rows, raw[label], scores[label], nearest[label])


def _halved(gallery: _Gallery, identity: int, seed: int) -> float:
    """Return what the two halves of an identity would give as labels of their own; NaN where there are no halves.

    It is divided by camera, as a person who is not recognised before another camera gets a second label.
    """
    start, count = gallery.starts[identity], gallery.counts[identity]
    features, camids = gallery.features[start : start + count], gallery.camids[start : start + count]
    random = rng(seed, "halved identity", int(identity))
    groups = camids if len(set(camids)) > 1 else np.arange(count)
    order = random.permutation(np.unique(groups))
    first = np.isin(groups, order[: len(order) // 2])
    if count < 2:
        return float("nan")
    odds = _log_odds(features @ features.T, camids[:, None] == camids, gallery.lines).astype(np.float64)
    np.fill_diagonal(odds, 0.0)
    coherence = []
    for half in (first, ~first):
        n = int(half.sum())
        coherence.append(odds[np.ix_(half, half)].sum() / (n * (n - 1)) if n > 1 else gallery.within.mean())
    return float(odds[np.ix_(first, ~first)].mean() - 0.5 * sum(coherence))


def _buried(gallery: _Gallery, rivals: _Rivals) -> list[_Finding]:
    own, best = gallery.own_evidence, rivals.value
    rows = np.flatnonzero(gallery.own < 0)
    # A labelled tracklet stands for a distractor without its own identity, and for a buried one with it.
    known = np.isfinite(own)
    scores = _probability(best[rows], best[known], np.maximum(best, own)[known])
    return [_Finding(KINDS[2], rows, best[rows], scores, rivals.best[rows])] if len(rows) else []


def _ambiguous(gallery: _Gallery, two_people: np.ndarray | None, seed: int) -> _Finding:
    rows = gallery.known[gallery.counts[gallery.own[gallery.known]] > 1]
    label, features = gallery.own[rows], gallery.features.astype(np.float64)
    totals = np.add.reduceat(features[gallery.known], gallery.starts - gallery.starts[0], axis=0)
    means = totals / gallery.counts[:, None]
    without = (totals[label] - features[rows]) / (gallery.counts[label] - 1)[:, None]
    raw, others = _shares(features[rows], without, label, means)
    if two_people is not None:
        raw = two_people[rows]
        return _Finding(KINDS[3], rows, raw, expit(raw), others)
    # Half of each identity is mixed with another identity and explained by the means of the other half.
    random = rng(seed, "mixed features")
    seen = random.permutation(len(rows)) % 2 == 0
    counts = np.bincount(label[seen], minlength=len(means))
    halves = np.zeros_like(means)
    np.add.at(halves, label[seen], features[rows[seen]])
    halves /= np.maximum(counts, 1)[:, None]
    first = rows[~seen & (counts[label] > 0)]
    second = random.permutation(first)
    apart = gallery.own[first] != gallery.own[second]
    first, second = first[apart], second[apart]
    mixed = features[first] + features[second]
    mixed /= np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-12)
    faulty, _ = _shares(mixed, halves[gallery.own[first]], gallery.own[first], halves)
    return _Finding(KINDS[3], rows, raw, _probability(raw, raw, faulty), others)


def _shares(
    features: np.ndarray, own_means: np.ndarray, label: np.ndarray, means: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Write features as mixtures of their label's mean and another identity's, by least squares.

    Args:
        features: (n, D) to be explained.
        own_means: (n, D) means of their labels.
        label: (n,) places of the labels in ``means``.
        means: (K, D) means of all identities.

    Returns:
        For the other identity that explains most: the smaller of the two parts' lengths (0 if no mixture is better than
        the label alone), (n,), and its place in ``means``, (n,).
    """
    height = max(1, _BLOCK_BYTES // (8 * len(means)))
    if len(features) > height:
        parts = [
            _shares(features[rows], own_means[rows], label[rows], means)
            for rows in (slice(start, start + height) for start in range(0, len(features), height))
        ]
        return tuple(np.concatenate(part) for part in zip(*parts))
    mm = np.einsum("nd,nd->n", own_means, own_means)[:, None]
    zz = np.einsum("kd,kd->k", means, means)
    mz, xz = own_means @ means.T, features @ means.T
    xm = np.einsum("nd,nd->n", features, own_means)[:, None]
    determinant = mm * zz - mz**2
    usable = determinant > 1e-9
    usable[np.arange(len(label)), label] = False
    determinant = np.where(usable, determinant, 1.0)
    a, b = (xm * zz - xz * mz) / determinant, (xz * mm - xm * mz) / determinant
    usable &= (a > 0) & (b > 0)
    explained = np.where(usable, a * xm + b * xz, -np.inf)
    best = explained.argmax(axis=1)
    rows = np.arange(len(label))
    smaller = np.minimum(a * np.sqrt(mm), b * np.sqrt(zz))[rows, best]
    found = usable[rows, best]
    # Without a mixture that fits, the most similar identity is suggested.
    alike = xz / np.sqrt(np.maximum(zz, 1e-12))
    alike[rows, label] = -np.inf
    return np.where(found, smaller, 0.0), np.where(found, best, alike.argmax(axis=1))


def two_people(
    model: nn.Module,
    table: pd.DataFrame,
    size: tuple[int, int],
    *,
    images: np.ndarray | None = None,
    seed: int = 0,
) -> np.ndarray | None:
    """Judge from features whether pictures show two people side by side.

    No labels of such pictures are needed: composites of two people are made from the left and the right part of
    pictures of one camera, and a logistic regression learns to tell the features of such composites from those of
    pictures as they are. Each half of the tracklets is judged by what the other half taught.

    Args:
        model: network whose output has ``embedding``.
        table: sample table of N rows; rows of one tracklet stay together, others are their own.
        size: height and width of the network's input, in pixels.
        images: decoded pictures of the rows, (N, H, W, 3) uint8 RGB of ``size``; read where omitted.
        seed: decides the composites.

    Returns:
        (N,) log-odds at even odds; None if in one of the halves there are no two people to put together.
    """
    from sklearn.linear_model import LogisticRegression

    pids, camids, tracklets = (table[name].to_numpy() for name in ("pid", "camid", "tracklet"))
    if len(set(pids[pids != JUNK_PID])) < 2:
        return None
    images = np.asarray(ImageCache(table, size) if images is None else images)
    random = rng(seed, "two people")
    group = np.where(tracklets >= 0, tracklets, tracklets.max(initial=0) + 1 + np.arange(len(table)))
    numbers, group = np.unique(group, return_inverse=True)
    half = (random.permutation(len(numbers)) % 2)[group]
    left, right = _pairs(pids, camids, half, min(_COMPOSITES, len(table)), random)
    if set(half[left]) != {0, 1}:
        return None
    alone = extract(model, table, size, images=images).features
    both = extract(model, table.iloc[left], size, images=_side_by_side(images[left], images[right], random)).features
    out = np.empty(len(table))
    for judged in (0, 1):
        taught = half[left] != judged
        features = np.concatenate([alone[left[taught]], both[taught]])
        labels = np.repeat([0, 1], taught.sum())
        mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
        judge = LogisticRegression(C=0.01, max_iter=1000).fit((features - mean) / spread, labels)
        out[half == judged] = judge.decision_function((alone[half == judged] - mean) / spread)
    return out


def _pairs(
    pids: np.ndarray, camids: np.ndarray, half: np.ndarray, count: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw pairs of rows with two labels, one camera and one half of the tracklets."""
    left = random.choice(np.flatnonzero(pids != JUNK_PID), size=count)
    right = left.copy()
    place = 2 * camids + half
    for where in np.unique(place[left]):
        rows = np.flatnonzero(place[left] == where)
        right[rows] = random.choice(np.flatnonzero((place == where) & (pids != JUNK_PID)), size=len(rows))
    apart = pids[left] != pids[right]
    return left[apart], right[apart]


def _side_by_side(left: np.ndarray, right: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Put pictures (n, H, W, 3) together in pairs: each person moves aside and a soft seam runs between them."""
    count, _, width, _ = left.shape
    columns = np.arange(width)
    low, high = round(0.12 * width), round(0.28 * width)
    moved = []
    for images, side in ((left, 1), (right, -1)):
        shift = side * random.integers(low, high + 1, size=(count, 1))
        take = np.clip(columns + shift, 0, width - 1)
        moved.append(np.take_along_axis(images, take[:, None, :, None], axis=2).astype(np.float32))
    seam = random.uniform(0.4, 0.6, size=(count, 1)) * width
    weight = 1.0 / (1.0 + np.exp((columns - seam) / (width / 32)))
    mixed = moved[0] * weight[:, None, :, None] + moved[1] * (1.0 - weight[:, None, :, None])
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)


def audit_pictures(
    model: nn.Module,
    table: pd.DataFrame,
    size: tuple[int, int],
    *,
    images: np.ndarray | None = None,
    seed: int = 0,
    distractors: bool = True,
) -> pd.DataFrame:
    """Audit the labels of tracklets, given a network for single pictures.

    Args:
        model: network whose output has ``embedding``; a tracklet is the mean of its pictures' features of length 1.
        table: sample table of N rows, each with a tracklet number.
        size: height and width of the network's input, in pixels.
        images: decoded pictures of the rows, (N, H, W, 3) uint8 RGB of ``size``; read where omitted.
        seed: decides composites and the faults put in on purpose.
        distractors: whether identity 0 is the distractor class.

    Returns:
        The report of :func:`audit`.

    Raises:
        DataError: a row is in no tracklet, or see :func:`audit`.
    """
    images = np.asarray(ImageCache(table, size, quiet=True) if images is None else images)
    embeddings = extract(model, table, size, images=images).normalized().tracklet_means()
    odds = two_people(model, table, size, images=images, seed=seed)
    if odds is not None:
        order = np.unique(table["tracklet"].to_numpy(), return_inverse=True)[1]
        odds = np.bincount(order, odds) / np.bincount(order)
    return audit(embeddings, two_people=odds, distractors=distractors, seed=seed)


@dataclass(frozen=True, eq=False)
class AuditScores:
    """How well a report finds one kind of fault.

    Attributes:
        kind: the kind, or ``any``.
        total: faulty tracklets.
        chance: share of faulty tracklets among those that could be: the precision of a shuffled list.
        precision: (n,) share of faulty ones among the first 1..n listed.
        recall: (n,) share of all faulty ones among them.
        average_precision: mean over the faulty tracklets of the precision where each is listed; 0 for those that are
            not. NaN if there is no faulty tracklet.
    """

    kind: str
    total: int
    chance: float
    precision: np.ndarray
    recall: np.ndarray
    average_precision: float

    def at(self, n: int) -> tuple[float, float]:
        """Return precision and recall of the first ``n`` listed, or of all if fewer are.

        Raises:
            ConfigError: ``n`` is less than 1.
            DataError: nothing of this kind is listed.
        """
        check_integer("n", n, 1)
        if not len(self.precision):
            raise DataError(f"report: it lists nothing of kind {self.kind!r}")
        last = min(n, len(self.precision)) - 1
        return float(self.precision[last]), float(self.recall[last])


def audit_scores(report: pd.DataFrame, truth: pd.DataFrame) -> dict[str, AuditScores]:
    """Compare a report with the faults that were put into an embedded world.

    A tracklet is a split identity if its person has two labels in the test and it carries one of them rightly: neither
    of the two is known to be the first.

    Args:
        report: what :func:`audit` returned.
        truth: ``truth.parquet`` of an export: ``tracklet, label, pid, fault``, a row per picture or per tracklet, and
            ``split`` where there is training data in it.

    Returns:
        Scores by kind, and of ``any``: tracklets in the order of their highest score, right if they have any fault.

    Raises:
        DataError: a column is missing, or the report lists tracklets that are not in the truth.
    """
    for name, table, columns in (
        ("report", report, ("tracklet", "kind", "score")),
        ("truth", truth, ("tracklet", "label", "pid", "fault")),
    ):
        if missing := [column for column in columns if column not in table]:
            raise DataError(f"{name}: column {missing[0]!r} is missing; expected {', '.join(columns)}")
    if "split" in truth:
        truth = truth[truth["split"] != "train"]
    truth = truth.drop_duplicates("tracklet").set_index("tracklet")
    truth = truth[truth["label"] != JUNK_PID]
    if len(unknown := set(report["tracklet"]) - set(truth.index)):
        raise DataError(f"report: tracklet {min(unknown)} is not among the {len(truth)} test tracklets of the truth")
    fault, identified = truth["fault"], truth["label"] != DISTRACTOR_PID
    rightly = fault.isin(["", "duplicate"]) & identified
    labels = truth.loc[rightly].groupby("pid")["label"].nunique()
    split = rightly & truth["pid"].isin(labels.index[labels > 1])
    faulty = {kind: split if kind == "split identity" else fault == FAULTS[kind] for kind in KINDS}
    could = {kind: ~identified if kind == "buried" else identified for kind in KINDS}
    faulty["any"] = pd.concat(faulty, axis=1).any(axis=1)
    could["any"] = pd.Series(True, index=truth.index)
    out = {}
    for kind, wrong in faulty.items():
        listed = report if kind == "any" else report[report["kind"] == kind]
        hits = wrong.loc[listed.drop_duplicates("tracklet")["tracklet"]].to_numpy()
        total, found = int(wrong.sum()), np.cumsum(hits)
        precision = found / np.arange(1, len(hits) + 1)
        out[kind] = AuditScores(
            kind=kind,
            total=total,
            chance=float(wrong[could[kind]].mean()) if could[kind].any() else float("nan"),
            precision=precision,
            recall=found / max(total, 1),
            average_precision=float(precision[hits].sum() / total) if total else float("nan"),
        )
    return out
