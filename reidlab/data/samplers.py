"""Batches of P identities with K pictures each (Hermans et al., 2017, arXiv:1703.07737)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from reidlab.errors import ConfigError
from reidlab.seeding import rng


class PKSampler:
    """Endless batches of P identities times K pictures, whose place can be saved and found again.

    An epoch passes over all identities once, in an order of its own; identities that do not fill a last batch wait for
    the next epoch. The K pictures of an identity are drawn without replacement; one with fewer than K
    gives all of them, then repeats some at random.

    Args:
        pids: (N,) identity of each picture.
        p: identities in a batch.
        k: pictures of each.
        seed: decides all that is drawn.

    Raises:
        ConfigError: a number is less than 1, or there are fewer identities than ``p``.

    Example:
        >>> sampler = PKSampler([5, 5, 7, 7, 9, 9], p=2, k=2, seed=0)
        >>> len(sampler), sampler.next_batch().shape
        (1, (4,))
    """

    def __init__(self, pids: np.ndarray, p: int, k: int, seed: int) -> None:
        labels = np.asarray(pids)
        if labels.ndim != 1 or len(labels) == 0:
            raise ConfigError(f"pids: expected (N,) identities, at least one; got shape {labels.shape}")
        for name, value in (("p", p), ("k", k)):
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"{name}: {value!r} must be an integer of at least 1")
        identities, inverse = np.unique(labels, return_inverse=True)
        if len(identities) < p:
            raise ConfigError(f"p: {p} identities in a batch, but there are only {len(identities)}; choose a smaller p")
        order = np.argsort(inverse, kind="stable")
        self._members = np.split(order, np.flatnonzero(np.diff(inverse[order])) + 1)
        self.p, self.k, self.seed = int(p), int(k), int(seed)
        self._go_to(epoch=0, batch=0)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self._members) // self.p

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the batches that are left of this epoch."""
        epoch = self._epoch
        while self._epoch == epoch:
            yield self.next_batch()

    def next_batch(self) -> np.ndarray:
        """Return (P * K,) int64 positions in ``pids``; pictures of an identity lie side by side."""
        chosen = self._order[self._batch * self.p : (self._batch + 1) * self.p]
        # A generator of its own for each batch: to find a place again takes two numbers, not a replay.
        random = rng(self.seed, "pictures", self._epoch, self._batch)
        rows = np.concatenate([self._draw(self._members[identity], random) for identity in chosen])
        if self._batch + 1 < len(self):
            self._batch += 1
        else:
            self._go_to(self._epoch + 1, 0)
        return rows.astype(np.int64)

    def state_dict(self) -> dict[str, int]:
        """Return the place of the next batch, and the numbers that it depends on."""
        return {
            "epoch": self._epoch,
            "batch": self._batch,
            "p": self.p,
            "k": self.k,
            "seed": self.seed,
            "identities": len(self._members),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a place that :meth:`state_dict` returned.

        Raises:
            ConfigError: it is the place of another sampler, or there is no such place.
        """
        mine = self.state_dict()
        if set(state) != set(mine):
            raise ConfigError(f"state of a PKSampler: it has {sorted(state)}; expected {sorted(mine)}")
        for name in ("p", "k", "seed", "identities"):
            if state[name] != mine[name]:
                raise ConfigError(f"state of a PKSampler: {name} is {state[name]}, but this sampler has {mine[name]}")
        if state["epoch"] < 0 or not 0 <= state["batch"] < len(self):
            raise ConfigError(
                f"state of a PKSampler: epoch {state['epoch']}, batch {state['batch']} is not a place; an epoch has {len(self)}"
            )
        self._go_to(int(state["epoch"]), int(state["batch"]))

    def _go_to(self, epoch: int, batch: int) -> None:
        self._epoch, self._batch = epoch, batch
        self._order = rng(self.seed, "identities", epoch).permutation(len(self._members))

    def _draw(self, members: np.ndarray, random: np.random.Generator) -> np.ndarray:
        if len(members) >= self.k:
            return random.choice(members, size=self.k, replace=False)
        again = random.choice(members, size=self.k - len(members), replace=True)
        return np.concatenate([random.permutation(members), again])
