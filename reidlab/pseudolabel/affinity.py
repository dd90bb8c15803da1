"""Affinity propagation for as many pictures as a re-ID training set has (Sec. 3.3.3).

B. J. Frey and D. Dueck, "Clustering by passing messages between data points", Science 2007. Points exchange
responsibilities r(i, k), how well k would serve i as its exemplar, and availabilities a(i, k), how fit k is to be
one; the number of clusters is not given.

The results are scikit-learn's, but in three cases: messages that swing for long may settle otherwise in float32; a
point that is as well alone as with its equals joins them, where scikit-learn draws lots; and exemplars that stay the
same while most points still choose others are not taken for the result. The work is arranged differently, because at
13,000 pictures memory decides:

- An iteration is one pass over the rows. What a row needs from the others are column sums, so the availabilities of
  one iteration are brought up to date just before the responsibilities of the next.
- Responsibilities are not stored. Damped from 0 they stay ``scale * s(i, k) - level(i)`` with one ``scale`` for all
  and one ``level`` per row, except where k was once the best of row i: those few have a list.
- Two float32 matrices are left, similarities and availabilities. What belongs to the diagonal lies in float64 vectors.
- Column sums are taken over fixed blocks of rows, then over blocks in order: the number of threads changes nothing.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numba
import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin
from tqdm import tqdm

from reidlab.checks import check_choice, check_features, check_integer, check_number, check_square
from reidlab.errors import ConfigError, DataError
from reidlab.evaluation.compiled import compiled
from reidlab.evaluation.distances import distance_blocks
from reidlab.evaluation.kernels import parallel
from reidlab.seeding import derive

METRICS = ("euclidean", "precomputed")

#: Larger similarities or preferences could overflow float32 when they are added up.
GREATEST = 1e30

_ROWS = 64  # rows whose column sums are taken together
_LANES = 256  # columns compared at a time
_ALIKE = 2e-6  # similarities that differ by a smaller share are equal but for rounding and broken ties
_APART = 1e-5  # share of the least similarity that is the preference where equal points are as well alone
_NEVER = np.float32(-3e38)  # on the diagonal of the matrix: no maximum chooses it
_FAST = {"nnan", "nsz", "contract"}  # lets the compiler use vector instructions, yet keeps the order of sums


def negative_squared_distances(features: np.ndarray) -> np.ndarray:
    """Return the similarities of affinity propagation, s(i, j) = -||x_i - x_j||^2 (Sec. 3.3.3), (N, N) float32.

    Features are centred first, which changes no distance and keeps more digits of each.

    Args:
        features: (N, D).

    Raises:
        DataError: features are not a matrix, or a value is not finite.
    """
    features = check_features("features", features, longest=np.inf)
    centred = features - features.mean(axis=0, dtype=np.float64).astype(np.float32)
    out = np.empty((len(features), len(features)), dtype=np.float32)
    for rows, block in distance_blocks(centred, centred, "squared"):
        np.negative(block, out=out[rows])
    np.fill_diagonal(out, 0.0)
    return out


def median_similarity(similarities: np.ndarray) -> float:
    """Return the median of the similarities off the diagonal, (N, N); N is at least 2."""
    count = len(similarities)
    # Without its first entry, a matrix read in rows of N + 1 has its diagonal in the last column.
    return float(np.median(similarities.reshape(-1)[1:].reshape(count - 1, count + 1)[:, :-1]))


@dataclass(frozen=True, eq=False)
class Propagation:
    """The result of passing messages.

    Attributes:
        labels: (N,) int64 clusters, numbered in the order of their exemplars.
        exemplars: (C,) int64 points that are exemplars, rising.
        iterations: done in this run.
        converged: whether the set of exemplars was unchanged for ``convergence_iter`` iterations and most points chose
            one of them.
        changing: points that became or ceased to be an exemplar within the last ``convergence_iter`` iterations.
    """

    labels: np.ndarray
    exemplars: np.ndarray
    iterations: int
    converged: bool
    changing: int


class MessagePassing:
    """Similarities and the messages passed over them, kept so that other preferences can be tried.

    Ties between points are broken as in scikit-learn: similarities and preferences are moved by a random share of at
    most 4 float32 roundings (5e-7), drawn from ``seed`` for each pair of places, whatever the number of threads. That
    moves no 0, the similarity of equal points where similarities are distances: where the greatest similarity is 0 and
    a preference is too, both but for rounding, 1e-5 of the least similarity takes the preference's place, so that
    equal points come together.

    Args:
        similarities: (N, N) float32 in rows; the matrix is overwritten. Its diagonal is ignored.
        seed: of the moves that break ties.

    Raises:
        DataError: a similarity is not finite or too large.
    """

    def __init__(self, similarities: np.ndarray, *, seed: int = 0) -> None:
        count = len(similarities)
        self._key = derive(seed, "affinity propagation, ties")
        self._similarities = similarities
        low, high = np.empty(count, dtype=np.float32), np.empty(count, dtype=np.float32)
        _prepare(similarities, np.uint64(self._key), low, high)
        bad = ~((low > -GREATEST) & (high < GREATEST)) if count > 1 else np.zeros(1, dtype=bool)
        if bad.any():
            raise DataError(
                f"similarities: row {int(np.flatnonzero(bad)[0])} holds a value that is not finite, or beyond "
                f"{GREATEST:g}; scale the features down"
            )
        self._low, self._high = float(low.min()), float(high.max())
        self._availabilities: np.ndarray | None = None
        self._store: np.ndarray | None = None  # memory for availabilities that there is already

    def __len__(self) -> int:
        return len(self._similarities)

    def run(
        self,
        preferences: np.ndarray,
        *,
        damping: float = 0.5,
        max_iter: int = 200,
        convergence_iter: int = 15,
        warm: bool = False,
        progress: bool = False,
    ) -> Propagation:
        """Pass messages until the set of exemplars does not change any more, and most points choose one of them.

        If it does not, the clusters are those of the exemplars there are; if there are none at all, of the one point
        that is nearest to being one.

        Args:
            preferences: (N,) s(i, i).
            damping: share of the old messages that is kept.
            max_iter: most iterations.
            convergence_iter: iterations without a change that count as convergence.
            warm: continue from the messages of the previous run, if there was one.
            progress: show a bar on standard error.
        """
        count = len(self)
        preferences = np.asarray(preferences, dtype=np.float64)
        alike = self._high - self._low <= _ALIKE * abs(self._low)
        if count == 1 or (alike and (preferences == preferences[0]).all()):
            # The points cannot be distinguished: all alone or all together, as scikit-learn documents.
            alone = count == 1 or preferences[0] > self._high
            exemplars = np.arange(count if alone else 1)
            return Propagation(np.arange(count) if alone else np.zeros(count, np.int64), exemplars, 0, True, 0)
        if abs(self._high) <= _ALIKE * abs(self._low):  # there are equal points, whose similarity 0 no share moves
            tied = np.abs(preferences) <= _ALIKE * abs(self._low)
            preferences = np.where(tied, _APART * self._low, preferences)
        preferences = preferences * (1 + _moves(self._key, count))
        if not warm or self._availabilities is None:
            self._forget()
        was = np.zeros(count, dtype=bool)
        changed = np.full(count, -1)
        converged = False
        with tqdm(
            total=max_iter, desc="affinity propagation", disable=not progress, delay=1.0, leave=False, unit="it"
        ) as bar:
            for iteration in range(max_iter):
                self._step(preferences, damping)
                now = self._own_availability + self._own_responsibility > 0
                changed[now != was] = iteration
                was = now
                bar.update()
                still = changed.max() <= iteration - convergence_iter + 1
                if still and iteration >= convergence_iter and now.any() and self._chosen(now, preferences):
                    converged = True
                    break
        changing = int((changed > max(iteration - convergence_iter + 1, -1)).sum())
        if not was.any():
            was[np.argmax(self._own_availability + self._own_responsibility)] = True
        labels, exemplars = self._clusters(np.flatnonzero(was), preferences)
        return Propagation(labels, exemplars, iteration + 1, converged, changing)

    def leading(self, count: int) -> MessagePassing:
        """Return message passing over the first ``count`` points alone, in the memory of this one, which is used up."""
        whole = self._similarities
        part = whole.reshape(-1)[: count * count].reshape(count, count)
        for row in range(1, count):  # a row moves to where earlier rows were
            part[row] = whole[row, :count].copy()
        smaller = object.__new__(MessagePassing)
        smaller._key, smaller._similarities = self._key, part
        off = part.reshape(-1)[1:].reshape(count - 1, count + 1)[:, :-1] if count > 1 else np.zeros(1)
        smaller._low, smaller._high = float(off.min()), float(off.max())
        store = self._availabilities
        smaller._availabilities = None
        smaller._store = None if store is None else store.reshape(-1)[: count * count].reshape(count, count)
        self._similarities, self._availabilities = part[:0], None
        return smaller

    def _forget(self) -> None:
        """Begin with messages that are all 0."""
        count = len(self)
        if self._availabilities is None:
            self._availabilities = np.empty((count, count), dtype=np.float32) if self._store is None else self._store
        self._availabilities.fill(0.0)
        self._scale = 0.0
        self._level = np.zeros(count)
        self._own_availability, self._own_responsibility = np.zeros(count), np.zeros(count)
        self._sums = np.zeros(count)  # over i of max(0, r(i, k)), i other than k
        self._size = np.zeros(count, dtype=np.int64)
        self._place = np.zeros((count, 8), dtype=np.int32)
        self._gain = np.zeros((count, 8), dtype=np.float32)
        self._partial = np.empty((-(-count // _ROWS), count), dtype=np.float32)

    def _step(self, preferences: np.ndarray, damping: float) -> None:
        """Do one iteration: availabilities from the last responsibilities, then responsibilities."""
        if self._size.max() == self._place.shape[1]:  # a pass adds one to a row's list at most
            self._place = np.concatenate([self._place, np.zeros_like(self._place)], axis=1)
            self._gain = np.concatenate([self._gain, np.zeros_like(self._gain)], axis=1)
        offer = (self._own_responsibility + self._sums).astype(np.float32)
        _pass(
            self._similarities, self._availabilities, offer, self._own_availability + preferences, preferences,
            self._scale, damping, self._level, self._own_responsibility, self._place, self._gain, self._size,
            self._partial,
        )  # fmt: skip
        self._scale = damping * self._scale + 1 - damping
        self._sums = self._partial.sum(axis=0, dtype=np.float64)
        self._own_availability = damping * self._own_availability + (1 - damping) * self._sums

    def _chosen(self, exemplars: np.ndarray, preferences: np.ndarray) -> bool:
        """Return whether at least half of the points choose one of the exemplars, (N,) bool.

        With much damping, or many equal points, what lies far from everything is an exemplar long before the others.
        """
        out = np.zeros(len(self), dtype=bool)
        _choices(self._similarities, self._availabilities, self._own_availability + preferences, exemplars, out)
        return 2 * int(out.sum()) >= len(self)

    def _clusters(self, chosen: np.ndarray, preferences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return labels and exemplars: nearest exemplar, then the best of each cluster, then the nearest again."""
        count = len(self)
        labels = np.empty(count, dtype=np.int64)
        _nearest(self._similarities, chosen, labels)
        labels[chosen] = np.arange(len(chosen))
        order = np.argsort(labels, kind="stable")
        starts = np.searchsorted(labels[order], np.arange(len(chosen) + 1))
        best = np.empty(len(chosen), dtype=np.int64)
        _best_of_each(self._similarities, preferences, order, starts, best)
        exemplars = np.sort(best)
        _nearest(self._similarities, exemplars, labels)
        labels[exemplars] = np.arange(len(exemplars))
        return labels, exemplars


class AffinityPropagation(ClusterMixin, BaseEstimator):
    """Affinity propagation with scikit-learn's interface and results, in two float32 matrices (Sec. 3.3.3, Eq. 3.1).

    Frey and Dueck, Science 2007. Like scikit-learn's, the last step makes the member with the greatest sum of
    similarities the exemplar of each cluster. Unlike it, a run that does not converge warns and keeps the clusters of
    the exemplars it has, where scikit-learn may label everything -1. If all similarities are equal and all preferences
    too, every point is a cluster where preferences are greater, and all points are one where they are not. A single
    point is a cluster.

    Args:
        damping: share of each message that is kept at an iteration, from 0.5 up to 1. More makes slow what oscillates;
            equal points with a damping of 0.9 want a ``convergence_iter`` of some hundred.
        max_iter: most iterations.
        convergence_iter: iterations without a change of the exemplars after which to stop.
        preference: s(i, i), one number for all or one for each of N points; the more, the more clusters. None takes the
            median of the similarities off the diagonal.
        affinity: ``euclidean`` (similarities are negative squared distances of features) or ``precomputed``.
        seed: of the tiny moves that break ties; see :class:`MessagePassing`.
        reuse: whether to keep similarities and messages, for :meth:`refit`.
        progress: show a bar on standard error.

    Attributes:
        labels_: (N,) int64 clusters.
        cluster_centers_indices_: (C,) int64 exemplars.
        n_iter_: iterations done.
        converged_: whether the exemplars converged.

    Raises:
        ConfigError: an argument is out of range.

    Example:
        >>> import numpy as np
        >>> found = AffinityPropagation(preference=-5).fit(np.array([[1.0], [2.0], [3.5], [10.0], [11.0], [12.5]]))
        >>> found.labels_.tolist(), found.cluster_centers_indices_.tolist()
        ([0, 0, 0, 1, 1, 1], [1, 4])
    """

    labels_: np.ndarray
    cluster_centers_indices_: np.ndarray
    n_iter_: int
    converged_: bool

    def __init__(
        self,
        damping: float = 0.5,
        max_iter: int = 200,
        convergence_iter: int = 15,
        preference: float | np.ndarray | None = None,
        affinity: str = "euclidean",
        *,
        seed: int = 0,
        reuse: bool = False,
        progress: bool = False,
    ) -> None:
        check_iterations(damping, max_iter, convergence_iter)
        check_choice("affinity", affinity, METRICS)
        self.damping, self.max_iter, self.convergence_iter = damping, max_iter, convergence_iter
        self.preference, self.affinity, self.seed = preference, affinity, seed
        self.reuse, self.progress = reuse, progress
        self._messages: MessagePassing | None = None

    def fit(self, X: np.ndarray, y: object = None) -> AffinityPropagation:
        """Cluster points.

        Args:
            X: (N, D) features, or (N, N) similarities where ``affinity`` is ``precomputed``; their diagonal is
                ignored.
            y: ignored; part of scikit-learn's interface.

        Raises:
            DataError: a value is not finite, or similarities are not a square.
            ConfigError: ``preference`` does not have one number, or one per point.

        Warns:
            sklearn.exceptions.ConvergenceWarning: the exemplars did not converge.
        """
        if self.affinity == "precomputed":
            similarities = np.array(X, dtype=np.float32, order="C")
            check_square("X", similarities)
        else:
            similarities = negative_squared_distances(X)
        preferences = _preferences(self.preference, similarities)
        messages = MessagePassing(similarities, seed=self.seed)
        del similarities
        self._run(messages, preferences, warm=False)
        self._messages = messages if self.reuse else None
        return self

    def refit(self, preference: float | np.ndarray) -> AffinityPropagation:
        """Cluster the same points with other preferences, continuing from the last messages.

        Args:
            preference: one number, or (N,) one per point.

        Raises:
            ConfigError: no messages were kept, or the preference does not fit.
        """
        if self._messages is None:
            raise ConfigError("refit: nothing was kept; construct with reuse=True and call fit first")
        if preference is None:
            raise ConfigError("preference: None is not allowed here; give a number, or one per point")
        self._run(self._messages, _preferences(preference, self._messages), warm=True)
        self.preference = preference
        return self

    def _run(self, messages: MessagePassing, preferences: np.ndarray, warm: bool) -> None:
        found = messages.run(
            preferences,
            damping=self.damping,
            max_iter=self.max_iter,
            convergence_iter=self.convergence_iter,
            warm=warm,
            progress=self.progress,
        )
        self.labels_, self.cluster_centers_indices_ = found.labels, found.exemplars
        self.n_iter_, self.converged_ = found.iterations, found.converged
        if not found.converged:
            advice = f"Raise damping (it is {self.damping}), then max_iter"
            warn_unsettled("affinity propagation", found, self.convergence_iter, advice)


def warn_unsettled(what: str, found: Propagation, convergence_iter: int, advice: str) -> None:
    """Warn that a clustering did not converge, at the line that called the method.

    Args:
        what: the clustering that did not converge.
        found: its clusters.
        convergence_iter: see :meth:`MessagePassing.run`.
        advice: a sentence about what to do, without its full stop.
    """
    from sklearn.exceptions import ConvergenceWarning

    if found.changing or len(found.exemplars) > 1:
        state = (
            f"{found.changing} of {len(found.labels)} points became or ceased to be exemplars in the last "
            f"{convergence_iter}; the {len(found.exemplars)} clusters are those of the exemplars at the end"
        )
    else:
        state = "no point is an exemplar that the others choose; all are put in one cluster"
    warnings.warn(
        f"{what} did not converge in {found.iterations} iterations: {state}. {advice}",
        ConvergenceWarning,
        stacklevel=4,
    )


def check_iterations(damping: float, max_iter: int, convergence_iter: int) -> None:
    """Check the parameters that limit how long messages are passed.

    Raises:
        ConfigError: one of them is out of range.
    """
    check_number("damping", damping, 0.5, below=1)
    check_integer("max_iter", max_iter, 1)
    check_integer("convergence_iter", convergence_iter, 1)


def _preferences(preference: float | np.ndarray | None, points: np.ndarray | MessagePassing) -> np.ndarray:
    """Return one preference per point."""
    count = len(points)
    if preference is None:
        preference = median_similarity(points) if count > 1 else 0.0
    values = np.asarray(preference, dtype=np.float64)
    if values.shape not in ((), (count,)):
        raise ConfigError(f"preference: shape {values.shape} does not fit {count} points; give a number, or one each")
    if not (np.abs(values) < GREATEST).all():
        raise ConfigError(f"preference: every value must be finite and within {GREATEST:g}")
    return np.broadcast_to(values, (count,))


@compiled
def _move(key: int, i: int, k: int) -> float:
    """Return a number within 2**-21 of 0 for a place, mixed as splitmix64 does (G. L. Steele et al., OOPSLA 2014)."""
    z = key + np.uint64(i) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(k) * np.uint64(0xD1B54A32D192ED03)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (np.int64(z >> np.uint64(40)) - 2**23) * (2.0**-21 * 2.0**-23)


@compiled
def _moves(key: int, count: int) -> np.ndarray:
    out = np.empty(count)
    for i in range(count):
        out[i] = _move(np.uint64(key), i, i)
    return out


@parallel()
def _prepare(similarities: np.ndarray, key: int, low: np.ndarray, high: np.ndarray) -> None:
    """Break ties, take the diagonal out of play and write each row's least and greatest similarity off it."""
    for i in numba.prange(similarities.shape[0]):
        row = similarities[i]
        least, most, check = np.float32(np.inf), np.float32(-np.inf), np.float32(0.0)
        for k in range(len(row)):
            if k != i:
                s = row[k]
                least, most = min(least, s), max(most, s)
                check += s * np.float32(0.0)  # stays 0 unless a value is not finite
                row[k] = s * (1.0 + _move(key, i, k))
        row[i] = _NEVER
        low[i], high[i] = (least, most) if check == 0 else (np.nan, np.nan)


@parallel(fastmath=_FAST)
def _pass(
    similarities: np.ndarray, availabilities: np.ndarray, offer: np.ndarray, own: np.ndarray, preferences: np.ndarray,
    scale: float, damping: float, level: np.ndarray, own_responsibility: np.ndarray, place: np.ndarray,
    gain: np.ndarray, size: np.ndarray, partial: np.ndarray,
) -> None:  # fmt: skip
    """Do one iteration, row by row; ``partial`` receives the column sums of each block of rows.

    Args:
        similarities: (N, N) float32 with its diagonal out of play.
        availabilities: (N, N) float32 off the diagonal, of the iteration before the last; brought up to date.
        offer: (N,) float32 r(k, k) plus the sum over others of max(0, r(i, k)).
        own: (N,) a(i, i) + s(i, i).
        preferences: (N,) s(i, i).
        scale: of similarities in responsibilities, before this iteration.
        damping: share of the old messages.
        level: (N,) what rows subtract, brought up to date.
        own_responsibility: (N,) r(i, i), brought up to date.
        place: (N, L) columns in which a row's responsibility is greater than scale and level say.
        gain: (N, L) float32 how much greater.
        size: (N,) entries in use of these lists.
        partial: (blocks, N) float32.
    """
    count = similarities.shape[0]
    zero = np.float32(0.0)
    keep, new = np.float32(damping), np.float32(1.0 - damping)
    before, after = np.float32(scale), np.float32(scale * damping + (1.0 - damping))
    whole = count // _LANES * _LANES
    for block in numba.prange(partial.shape[0]):
        value, top = np.empty(count, np.float32), np.empty(_LANES, np.float32)
        old = np.empty(place.shape[1], np.float32)
        sums = partial[block]
        sums[:] = zero
        for i in range(block * _ROWS, min(count, (block + 1) * _ROWS)):
            s, a = similarities[i], availabilities[i]
            less = np.float32(level[i])
            for g in range(size[i]):
                old[g] = a[place[i, g]]
            for k in range(count):
                x = keep * a[k] + new * min(zero, offer[k] - max(zero, before * s[k] - less))
                a[k] = x
                value[k] = x + s[k]
            for g in range(size[i]):  # the few responsibilities that are greater
                k = place[i, g]
                x = keep * old[g] + new * min(zero, offer[k] - max(zero, before * s[k] - less + gain[i, g]))
                a[k] = x
                value[k] = x + s[k]

            # The best and the second best of the row; columns are compared lane by lane, as vectors are.
            top[:] = _NEVER
            for start in range(0, whole, _LANES):
                part = value[start : start + _LANES]
                for lane in range(_LANES):
                    x, y = part[lane], top[lane]
                    top[lane] = x if x > y else y
            for k in range(whole, count):
                top[k - whole] = max(top[k - whole], value[k])
            lane = 0
            for other in range(_LANES):
                if top[other] > top[lane]:
                    lane = other
            first, second, best = float(top[lane]), float(_NEVER), -1
            for other in range(_LANES):
                if other != lane:
                    second = max(second, float(top[other]))
            for k in range(lane, count, _LANES):
                if best < 0 and value[k] == top[lane]:
                    best = k
                else:
                    second = max(second, float(value[k]))
            if own[i] > first:
                first, second, best = own[i], first, i
            else:
                second = max(second, own[i])

            level[i] = damping * level[i] + (1.0 - damping) * first
            kept, known = 0, best == i
            for g in range(size[i]):
                extra = damping * gain[i, g]
                if place[i, g] == best:
                    extra += (1.0 - damping) * (first - second)
                    known = True
                if extra > 1e-9 * abs(level[i]):  # less is lost in rounding
                    place[i, kept], gain[i, kept] = place[i, g], extra
                    kept += 1
            if not known:
                place[i, kept], gain[i, kept] = best, (1.0 - damping) * (first - second)
                kept += 1
            size[i] = kept
            rival = second if best == i else first
            own_responsibility[i] = damping * own_responsibility[i] + (1.0 - damping) * (preferences[i] - rival)

            less = np.float32(level[i])
            for k in range(count):
                sums[k] += max(zero, after * s[k] - less)
            for g in range(size[i]):
                k = place[i, g]
                plain = after * s[k] - less
                sums[k] += max(zero, plain + gain[i, g]) - max(zero, plain)


@parallel()
def _choices(
    similarities: np.ndarray, availabilities: np.ndarray, own: np.ndarray, exemplars: np.ndarray, out: np.ndarray
) -> None:
    """Write whether the best of each row, where a(i, k) + s(i, k) is greatest, is an exemplar."""
    for i in numba.prange(similarities.shape[0]):
        one, most = exemplars[i], own[i]
        for k in range(similarities.shape[1]):
            value = float(availabilities[i, k] + similarities[i, k])
            if k != i and value > most:
                one, most = exemplars[k], value
        out[i] = one


@parallel()
def _nearest(similarities: np.ndarray, exemplars: np.ndarray, labels: np.ndarray) -> None:
    """Write the exemplar most similar to each point; exemplars' own labels are the caller's."""
    for i in numba.prange(similarities.shape[0]):
        best = 0
        for c in range(1, len(exemplars)):
            if similarities[i, exemplars[c]] > similarities[i, exemplars[best]]:
                best = c
        labels[i] = best


@parallel()
def _best_of_each(
    similarities: np.ndarray, preferences: np.ndarray, order: np.ndarray, starts: np.ndarray, best: np.ndarray
) -> None:
    """Write the member with the greatest sum of similarities of each cluster's members to it, itself included."""
    for c in numba.prange(len(best)):
        members = order[starts[c] : starts[c + 1]]
        sums = preferences[members]
        for i in members:
            for m in range(len(members)):
                k = members[m]
                if i != k:
                    sums[m] += similarities[i, k]
        best[c] = members[np.argmax(sums)]
