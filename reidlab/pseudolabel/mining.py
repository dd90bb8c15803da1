"""Inter-camera mining (ICM): pairs of pictures that may show one person in two cameras (Sec. 4.3.2, Algorithm 1).

C.-T. Liu et al., "Hard samples rectification for unsupervised cross-domain person re-identification", ICIP 2021. The
code was never released; the text leaves open how the loss treats outliers and pictures without a partner: each function
says what is done here.
"""

from __future__ import annotations

import functools
import math
from dataclasses import asdict, dataclass

import numba
import numpy as np

from reidlab.checks import check_features, check_integer, check_labels
from reidlab.data.samplers import EpochSampler, digest, first_or_repeated
from reidlab.errors import ConfigError, DataError
from reidlab.evaluation.distances import distance_blocks
from reidlab.evaluation.kernels import keep_smallest, parallel

NOBODY = -1


@dataclass(frozen=True, eq=False)
class MinedPairs:
    """The pairs mined among N pictures.

    Attributes:
        ranks: (N, K) int64, Rank(I_i) of Algorithm 1: the nearest pictures of other cameras, nearest first; -1 fills up
            where the other cameras have fewer than K.
        pairs: (M, 2) int64, the mutual pairs i < j, rising.
    """

    ranks: np.ndarray
    pairs: np.ndarray

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.ranks)

    def partners(self, i: int) -> np.ndarray:
        """Return the pictures (P,) that picture ``i`` is mutually paired with, rising; often there is none.

        Raises:
            ConfigError: there is no such picture.
        """
        if not 0 <= i < len(self):
            raise ConfigError(f"i: {i} must lie in 0..{len(self) - 1}, the pictures that were mined")
        starts, others = self._lists
        return others[starts[i] : starts[i + 1]]

    @property
    def anchors(self) -> np.ndarray:
        """Pictures with a partner at least, (A,) int64, rising."""
        return np.unique(self.pairs)

    @functools.cached_property
    def _lists(self) -> tuple[np.ndarray, np.ndarray]:
        """Partners of all pictures one after another, and where each picture's begin."""
        ends = np.concatenate([self.pairs, self.pairs[:, ::-1]])
        ends = ends[np.lexsort((ends[:, 1], ends[:, 0]))]
        return np.searchsorted(ends[:, 0], np.arange(len(self) + 1)), np.ascontiguousarray(ends[:, 1])


def inter_camera_mining(features: np.ndarray, camids: np.ndarray, k: int = 10) -> MinedPairs:
    """Return the pairs of pictures that are among each other's ``k`` nearest of other cameras (Algorithm 1).

    Distances are Euclidean; equally near pictures are ordered by index. They are worked on in blocks, so that memory
    grows with N, not its square.

    Args:
        features: (N, D).
        camids: (N,) cameras.
        k: length of a ranking list; 10 in Sec. 4.4.2.

    Raises:
        ConfigError: ``k`` is out of range, or all pictures are of one camera.
        DataError: arrays do not fit each other, or a feature is not finite.

    Example:
        >>> mined = inter_camera_mining(np.array([[0.0], [1.0], [5.0], [6.0]]), np.array([1, 2, 1, 2]), k=1)
        >>> mined.ranks.ravel().tolist(), mined.pairs.tolist()
        ([1, 0, 3, 2], [[0, 1], [2, 3]])
    """
    check_integer("k", k, 1, what="the length of a ranking list")
    features = check_features("features", features)
    camids = check_labels("camids", camids, len(features))
    if (camids == camids[0]).all():
        raise ConfigError(
            f"camids: all {len(camids)} pictures are of camera {camids[0]}; inter-camera mining (ICM) is impossible "
            "with one camera, leave it out"
        )
    # With a picture at the origin no distance changes, and where all lie far from it more digits of each are kept.
    moved = features - features[0]
    ranks = np.full((len(features), int(k)), NOBODY, dtype=np.int64)
    nearest = np.empty((len(features), int(k)), dtype=np.float32)
    camids = camids.astype(np.int64)
    for rows, block in distance_blocks(moved, moved, "squared"):
        _nearest_elsewhere(block, camids[rows], camids, ranks[rows], nearest[rows])
    return MinedPairs(ranks, _mutual(ranks))


@dataclass(frozen=True)
class PairQuality:
    """The quality of mined pairs, compared with the truth (Sec. 4.4.4).

    Attributes:
        pairs: number of mutual pairs.
        precision: share of mutual pairs that show one person.
        rank_precision: share of a picture's ranking list that shows its person, mean over all pictures with a list: the
            "average of true positive rate" of the text.
        rank_ceiling: the highest possible ``rank_precision``, as not every identity has K pictures in other cameras;
            NaN where cameras are not given.
        hard_share: share of a ranking list that shows its person yet lies in another cluster, mean over all pictures
            with a list: the text's rate of hard positive samples.
        hard_pairs: share of mutual pairs that show one person in two clusters; what learning from pairs adds to
            learning from clusters.

    Shares of nothing are NaN.
    """

    pairs: int
    precision: float
    rank_precision: float
    rank_ceiling: float
    hard_share: float
    hard_pairs: float

    def summary(self) -> dict[str, float]:
        """Return all values by name."""
        return asdict(self)


def pair_quality(
    mined: MinedPairs, pids: np.ndarray, labels: np.ndarray, camids: np.ndarray | None = None
) -> PairQuality:
    """Compare mined pairs with identities and with the clusters they are to correct.

    An outlier is in no cluster, so everything right in its list, or with it in a list, is a hard positive: clusters
    alone would never have brought the two together.

    Args:
        mined: of N pictures.
        pids: (N,) identities.
        labels: (N,) clusters; -1 is an outlier.
        camids: (N,) cameras, for ``rank_ceiling`` alone.

    Raises:
        DataError: an array does not fit, or an identity is not known (negative).
    """
    count = len(mined)
    pids, labels = check_labels("pids", pids, count), check_labels("labels", labels, count)
    if (pids < 0).any():
        raise DataError(
            f"pids: row {int(np.flatnonzero(pids < 0)[0])} is negative, a picture whose identity is not known; the "
            "quality of pairs can only be measured where all are"
        )

    def judged(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        right = pids[one] == pids[other]
        return right, right & ((labels[one] != labels[other]) | (labels[one] < 0))

    listed = mined.ranks >= 0
    lengths = listed.sum(axis=1)
    have = lengths > 0

    def mean_share(hits: np.ndarray) -> float:
        return float((hits[have] / lengths[have]).mean()) if have.any() else math.nan

    right, hard = judged(np.arange(count)[:, None], mined.ranks)
    ceiling = math.nan
    if camids is not None:
        ceiling = mean_share(np.minimum(_elsewhere(pids, check_labels("camids", camids, count)), lengths))
    pair_right, pair_hard = judged(mined.pairs[:, 0], mined.pairs[:, 1])
    return PairQuality(
        pairs=len(mined.pairs),
        precision=float(pair_right.mean()) if len(mined.pairs) else math.nan,
        rank_precision=mean_share((right & listed).sum(axis=1)),
        rank_ceiling=ceiling,
        hard_share=mean_share((hard & listed).sum(axis=1)),
        hard_pairs=float(pair_hard.mean()) if len(mined.pairs) else math.nan,
    )


def icm_positives(mined: MinedPairs, rows: np.ndarray) -> np.ndarray:
    """Return which pictures of a batch are mutual pairs: all that mining says is one person (Algorithm 1).

    Two partners of one picture are a pair only if they were mined as one, which two pictures of one camera never are.

    Args:
        mined: of N pictures.
        rows: (B,) positions of the batch's pictures among the N; one may stand there more than once.

    Returns:
        (B, B) bool, symmetric.

    Raises:
        DataError: a row is not one of the pictures that were mined.
    """
    rows = _batch(mined, rows)
    listed = (mined.ranks[rows][:, :, None] == rows).any(axis=1)
    return listed & listed.T


def icm_negatives(mined: MinedPairs, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return which pictures of a batch each of them may be pushed away from in the loss of mined pairs (Sec. 4.3.2).

    Row a is the anchor's: what has another pseudo-label and is not in its ranking list, which is not symmetric. An
    outlier has no pseudo-label; it counts as a cluster of its own, so it may be pushed away from anything but itself.

    Args:
        mined: of N pictures.
        labels: pseudo-labels, -1 for outliers; of the N pictures first, and of others behind them if there are any.
        rows: (B,) positions of the batch's pictures among the N; one may stand there more than once.

    Returns:
        (B, B) bool.

    Raises:
        DataError: there are fewer labels than pictures that were mined, or a row is not one of those.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or len(labels) < len(mined):
        raise DataError(f"labels: shape {labels.shape} for {len(mined)} pictures that were mined; give one of each")
    rows = _batch(mined, rows)
    own = labels[rows]
    apart = (own[:, None] != own[None, :]) | (own < 0)[:, None]
    listed = (mined.ranks[rows][:, :, None] == rows).any(axis=1)
    return apart & ~listed & (rows[:, None] != rows[None, :])


class MinedPairSampler(EpochSampler):
    """Batches of ``p`` pictures with ``k - 1`` of their mined partners each, resumable at every batch (Sec. 4.4.2).

    An epoch deals all pictures with a partner out, see :class:`~reidlab.data.samplers.EpochSampler`. Partners are drawn
    without replacement; a picture with fewer than ``k - 1`` gives all of them and repeats some, drawn with replacement.
    :meth:`next_batch` returns ``rows``, (p * k,) int64 positions, an anchor first and then its partners; and
    ``groups``, (p * k,) int64, the number of the anchor in the batch.

    Args:
        mined: pairs to draw from.
        p: anchors in a batch; 8 in Sec. 4.4.2.
        k: pictures of each group, the anchor among them; 4 in Sec. 4.4.2.
        seed: decides all draws.

    Raises:
        ConfigError: an argument is out of range, or fewer than ``p`` pictures have a partner (see
            :attr:`MinedPairs.anchors`).

    Example:
        >>> mined = inter_camera_mining(np.array([[0.0], [1.0], [5.0], [6.0]]), np.array([1, 2, 1, 2]), k=1)
        >>> rows, groups = MinedPairSampler(mined, p=2, k=2, seed=0).next_batch()
        >>> groups.tolist()
        [0, 0, 1, 1]
    """

    def __init__(self, mined: MinedPairs, p: int = 8, k: int = 4, seed: int = 0) -> None:
        check_integer("p", p, 1)
        check_integer("k", k, 2)
        self._mined, self._anchors = mined, mined.anchors
        if len(self._anchors) < p:
            raise ConfigError(
                f"p: {p} anchors in a batch, but only {len(self._anchors)} pictures have a mined partner; lower p, or "
                "mine with longer ranking lists"
            )
        origin = digest(np.int64(len(mined)), mined.pairs.astype(np.int64))
        super().__init__(len(self._anchors), p, k, seed, "mined ", {"pairs": origin})

    def _drawn(self, chosen: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        rows = np.concatenate([self._draw(anchor, random) for anchor in self._anchors[chosen]])
        return rows, np.repeat(np.arange(self._p), self._k)

    def _draw(self, anchor: int, random: np.random.Generator) -> np.ndarray:
        partners = random.permutation(self._mined.partners(anchor))
        return np.concatenate([[anchor], first_or_repeated(partners, self._k - 1, random)])


def _batch(mined: MinedPairs, rows: np.ndarray) -> np.ndarray:
    rows = np.asarray(rows)
    if rows.ndim != 1 or (len(rows) and not 0 <= rows.min() <= rows.max() < len(mined)):
        raise DataError(f"rows: expected (B,) positions in 0..{len(mined) - 1}, the pictures that were mined")
    return rows


def _elsewhere(pids: np.ndarray, camids: np.ndarray) -> np.ndarray:
    """Return how many pictures of its person each picture has in other cameras, (N,)."""
    _, person, everywhere = np.unique(pids, return_inverse=True, return_counts=True)
    _, pair, here = np.unique(np.stack([pids, camids]), axis=1, return_inverse=True, return_counts=True)
    return everywhere[person] - here[pair.ravel()]


def _mutual(ranks: np.ndarray) -> np.ndarray:
    """Return the pairs i < j that are in each other's lists, (M, 2) int64, rising."""
    count, width = ranks.shape
    first, second = np.repeat(np.arange(count), width), ranks.ravel()
    first, second = first[second >= 0], second[second >= 0]
    # A pair is mutual if it is found from both of its ends.
    found, times = np.unique(np.minimum(first, second) * count + np.maximum(first, second), return_counts=True)
    return np.stack(np.divmod(found[times == 2], count), axis=1)


@parallel()
def _nearest_elsewhere(
    block: np.ndarray, camids: np.ndarray, all_camids: np.ndarray, index: np.ndarray, value: np.ndarray
) -> None:
    """Write the columns of each row's smallest values among those of other cameras, in order, ties by column."""
    for r in numba.prange(block.shape[0]):
        row, filled = block[r], 0
        for j in range(len(row)):
            if all_camids[j] != camids[r]:
                filled = keep_smallest(value[r], index[r], filled, row[j], j)
