"""P x K batches: P identities, K pictures or tracklets of each (Hermans et al., https://arxiv.org/abs/1703.07737)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from reidlab.errors import ConfigError
from reidlab.seeding import rng


class PKSampler:
    """Batches of ``k`` pictures of each of ``p`` identities, the same on every run and resumable at every batch.

    Given the identities of tracklets (``tracklets_of(table).pids``) it draws tracklets in place of pictures; the
    networks of chapter 2 are trained on 8 identities with 4 tracklets each (Sec. 2.3.1).

    An epoch deals all identities out in a new order; those left over at its end (fewer than ``p``) sit it out. The
    pictures of an identity are drawn without replacement; one with fewer than ``k`` pictures gives all of them and
    repeats some, drawn with replacement. What a batch holds depends on the seed, the epoch and its place in it alone.

    Also a ``batch_sampler`` for :class:`torch.utils.data.DataLoader`: iterating gives the rest of the present epoch.

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
        for name, value in (("p", p), ("k", k)):
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"{name}: {value!r} is not an integer of at least 1")
        cameras = None if camids is None else np.asarray(camids)
        if cameras is not None and cameras.shape != labels.shape:
            raise ConfigError(f"camids: {cameras.shape} values for {labels.shape} pictures; give one per picture")
        order = np.argsort(labels, kind="stable")
        starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
        self._rows = np.split(order, starts[1:]) if len(order) else []
        if len(self._rows) < p:
            raise ConfigError(f"p: {p} identities in a batch, but there are only {len(self._rows)}")
        self._cameras = cameras
        self._p, self._k, self._seed = int(p), int(k), int(seed)
        self._digest = hashlib.blake2b(
            labels.astype(np.int64).tobytes() + (b"" if cameras is None else cameras.astype(np.int64).tobytes()),
            digest_size=8,
        ).hexdigest()
        self._epoch = self._place = 0
        self._dealt = self._deal()

    @property
    def epoch(self) -> int:
        """Number of epochs dealt so far."""
        return self._epoch

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self._rows) // self._p

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the batches from here to the end of the epoch; at its beginning, all of them."""
        yield self.next_batch()
        while self._place:
            yield self.next_batch()

    def next_batch(self) -> np.ndarray:
        """Return the next batch, (p * k,) int64 positions; the pictures of an identity stand together."""
        random = rng(self._seed, "batch", self._epoch, self._place)
        chosen = self._dealt[self._place * self._p : (self._place + 1) * self._p]
        batch = np.concatenate([self._draw(self._rows[i], random) for i in chosen])
        self._place += 1
        if self._place == len(self):
            self._epoch, self._place = self._epoch + 1, 0
            self._dealt = self._deal()
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the stream, and what the stream is made from."""
        return {"epoch": self._epoch, "batch": self._place, **self._origin()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a place that :meth:`state_dict` returned.

        Raises:
            ConfigError: the state is that of another stream.
        """
        for name, value in self._origin().items():
            if state.get(name) != value:
                raise ConfigError(
                    f"sampler state: {name} is {state.get(name)!r}, this sampler's is {value!r}; "
                    "resume with the data and settings of the first run"
                )
        self._epoch, self._place = int(state["epoch"]), int(state["batch"])
        self._dealt = self._deal()

    def _origin(self) -> dict[str, Any]:
        return {"p": self._p, "k": self._k, "seed": self._seed, "pictures": self._digest}

    def _deal(self) -> np.ndarray:
        return rng(self._seed, "epoch", self._epoch).permutation(len(self._rows))

    def _draw(self, rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
        rows = random.permutation(rows)
        if self._cameras is not None:
            # Each camera's first picture, then each one's second, ...: a prefix is spread as evenly as can be.
            _, camera = np.unique(self._cameras[rows], return_inverse=True)
            order = np.argsort(camera, kind="stable")
            turn = np.empty(len(rows), dtype=np.int64)
            turn[order] = np.concatenate([np.arange(n) for n in np.bincount(camera)])
            rows = rows[np.argsort(turn, kind="stable")]
        if len(rows) >= self._k:
            return rows[: self._k]
        return np.concatenate([rows, random.choice(rows, self._k - len(rows))])
