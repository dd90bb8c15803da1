"""The one place randomness comes from.

Everything random in the project is drawn either from a generator made by :func:`rng` or after
:func:`seed_all`. Keys may be strings or integers; they are hashed with BLAKE2, never with Python's
``hash``, which changes from process to process.
"""

from __future__ import annotations

import hashlib
import random

import numpy as np

Key = str | int


def derive(seed: int, *keys: Key) -> int:
    """Return a 63-bit integer that depends on ``seed`` and on every key, in order.

    Args:
        seed: the run's seed, any integer.
        keys: strings or integers naming what the number is for (``"people"``, ``3``).

    Returns:
        An integer in ``[0, 2**63)``; the same on every machine and Python version.

    Example:
        >>> derive(0, "people") == derive(0, "people"), derive(0, "a", 1) == derive(0, "a", 2)
        (True, False)
    """
    text = "\x1f".join([f"{int(seed)}", *(f"{type(k).__name__[0]}:{k}" for k in keys)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def rng(seed: int, *keys: Key) -> np.random.Generator:
    """Return an independent numpy generator for ``seed`` and ``keys`` (see :func:`derive`)."""
    return np.random.Generator(np.random.PCG64(derive(seed, *keys)))


def seed_all(seed: int) -> None:
    """Seed Python, numpy and torch, for code that draws from global generators.

    Args:
        seed: any integer; numpy receives its lowest 32 bits.
    """
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - for libraries that draw from numpy's global generator
    torch.manual_seed(seed)
