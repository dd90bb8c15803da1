"""Streams of batches, such as P x K ones: P identities, K pictures or tracklets of each (Hermans et al., https://arxiv.org/abs/1703.07737)."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from reidlab.checks import check_integer
from reidlab.errors import ConfigError
from reidlab.seeding import rng


class EpochSampler(ABC):
    """A stream of batches that is the same on every run and resumable at every batch.

    An epoch deals all items out in a new order, ``p`` to a batch; those left over at its end (fewer than ``p``) sit it
    out. What a batch holds depends on the seed, the epoch and its place in it alone. A subclass says what is drawn for
    the items of a batch.

    Also a ``batch_sampler`` for :class:`torch.utils.data.DataLoader`: iterating gives the rest of the present epoch.

    Args:
        count: number of items, at least ``p``.
        p: items in a batch.
        k: pictures of each.
        seed: decides all draws.
        key: of the seeds, apart from those of other samplers.
        source: name and hash of what the stream is made from, for :meth:`state_dict`.
    """

    def __init__(self, count: int, p: int, k: int, seed: int, key: str, source: dict[str, str]) -> None:
        self._count, self._p, self._k, self._seed, self._key = count, int(p), int(k), int(seed), key
        self._origin = {"p": self._p, "k": self._k, "seed": self._seed, **source}
        self._epoch = self._place = 0
        self._deal()

    @property
    def epoch(self) -> int:
        """Number of epochs dealt so far."""
        return self._epoch

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return self._count // self._p

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches from here to the end of the epoch; at its beginning, all of them."""
        yield self.next_batch()
        while self._place:
            yield self.next_batch()

    def next_batch(self) -> Any:
        """Return the next batch."""
        random = rng(self._seed, f"{self._key}batch", self._epoch, self._place)
        batch = self._drawn(self._dealt[self._place * self._p : (self._place + 1) * self._p], random)
        self._place += 1
        if self._place == len(self):
            self._epoch, self._place = self._epoch + 1, 0
            self._deal()
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the stream, and what the stream is made from."""
        return {"epoch": self._epoch, "batch": self._place, **self._origin}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a place that :meth:`state_dict` returned.

        Raises:
            ConfigError: the state is that of another stream.
        """
        for name, value in self._origin.items():
            if state.get(name) != value:
                raise ConfigError(
                    f"sampler state: {name} is {state.get(name)!r}, this sampler's is {value!r}; "
                    "resume with the data and settings of the first run"
                )
        self._epoch, self._place = int(state["epoch"]), int(state["batch"])
        self._deal()

    @abstractmethod
    def _drawn(self, chosen: np.ndarray, random: np.random.Generator) -> Any:
        """Return the batch of the items 0..count - 1 that are dealt to it, (p,)."""

    def _deal(self) -> None:
        self._dealt = rng(self._seed, f"{self._key}epoch", self._epoch).permutation(self._count)


class PKSampler(EpochSampler):
    """Batches of ``k`` pictures of each of ``p`` identities, the same on every run and resumable at every batch.

    Given the identities of tracklets (``tracklets_of(table).pids``) it draws tracklets in place of pictures; the
    networks of chapter 2 are trained on 8 identities with 4 tracklets each (Sec. 2.3.1).

    An epoch deals all identities out, see :class:`EpochSampler`. The pictures of an identity are drawn without
    replacement; one with fewer than ``k`` pictures gives all of them and repeats some, drawn with replacement.
    :meth:`next_batch` returns (p * k,) int64 positions; the pictures of an identity stand together.

    Args:
        pids: (N,) identity of each picture, none negative.
        p: identities in a batch.
        k: pictures of each.
        seed: decides all draws.
        camids: (N,) camera of each picture; if given, the ``k`` pictures come from as many cameras as can be.

    Raises:
        ConfigError: an argument does not fit; the message names it.

    Example:
        >>> sampler = PKSampler([0, 0, 0, 1, 1, 2, 2, 2], p=2, k=2, seed=0)
        >>> len(sampler), sampler.next_batch().shape
        (1, (4,))
    """

    def __init__(
        self,
        pids: Sequence[int] | np.ndarray,
        p: int,
        k: int,
        seed: int,
        camids: Sequence[int] | np.ndarray | None = None,
    ) -> None:
        labels = np.asarray(pids)
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise ConfigError(f"pids: expected one integer per picture, found {labels.dtype} of shape {labels.shape}")
        if len(labels) and labels.min() < 0:
            raise ConfigError(f"pids: {int((labels < 0).sum())} are negative (junk or unlabelled); drop those pictures")
        check_integer("p", p, 1)
        check_integer("k", k, 1)
        cameras = None if camids is None else np.asarray(camids)
        if cameras is not None and cameras.shape != labels.shape:
            raise ConfigError(f"camids: {cameras.shape} values for {labels.shape} pictures; give one per picture")
        order = np.argsort(labels, kind="stable")
        starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
        self._rows = np.split(order, starts[1:]) if len(order) else []
        if len(self._rows) < p:
            raise ConfigError(f"p: {p} identities in a batch, but there are only {len(self._rows)}")
        self._cameras = cameras
        known = [values.astype(np.int64) for values in (labels, cameras) if values is not None]
        super().__init__(len(self._rows), p, k, seed, "", {"pictures": digest(*known)})

    def _drawn(self, chosen: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return (p * k,) int64 positions; the pictures of an identity stand together."""
        return np.concatenate([self._draw(self._rows[i], random) for i in chosen])

    def _draw(self, rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
        rows = random.permutation(rows)
        if self._cameras is not None:
            # Each camera's first picture, then each one's second, ...: a prefix is spread as evenly as can be.
            _, camera = np.unique(self._cameras[rows], return_inverse=True)
            order = np.argsort(camera, kind="stable")
            turn = np.empty(len(rows), dtype=np.int64)
            turn[order] = np.concatenate([np.arange(n) for n in np.bincount(camera)])
            rows = rows[np.argsort(turn, kind="stable")]
        return first_or_repeated(rows, self._k, random)


def first_or_repeated(items: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Return the first ``count`` of items (N,); where there are fewer, all and some again, drawn with replacement."""
    if len(items) >= count:
        return items[:count]
    return np.concatenate([items, random.choice(items, count - len(items))])


def digest(*arrays: np.ndarray) -> str:
    """Return a short hash of the bytes of arrays of any shape."""
    return hashlib.blake2b(b"".join(values.tobytes() for values in arrays), digest_size=8).hexdigest()
