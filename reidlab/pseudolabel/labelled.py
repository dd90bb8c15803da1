"""Which identities are labelled: seeded divisions of a training set, kept in files (Sec. 3.4.2)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from reidlab.errors import ConfigError, DataError
from reidlab.seeding import rng

#: The dissertation's settings: shares of the identities, or a number of them.
SETTINGS = ("1/3", "1/6", "1/12", "50-ids")
_FORMAT = 1


@dataclass(frozen=True)
class LabelledSplit:
    """The identities of a training set, divided: nobody is on both sides.

    Attributes:
        setting: such as ``1/6`` or ``50-ids``.
        seed: that drew it.
        labelled: identities whose labels may be used.
        unlabelled: the other identities; only a measurement may look at their labels.
    """

    setting: str
    seed: int
    labelled: tuple[int, ...]
    unlabelled: tuple[int, ...]

    def __post_init__(self) -> None:
        if both := sorted(set(self.labelled) & set(self.unlabelled)):
            raise DataError(
                f"labelled and unlabelled identities overlap: {len(both)} are in both, such as {both[0]}; the method "
                "takes people without a label for other people than those with one"
            )
        if len(self.labelled) < 2 or len(self.unlabelled) < 1:
            raise DataError(
                f"{len(self.labelled)} labelled and {len(self.unlabelled)} unlabelled identities; at least 2 and 1 are "
                "needed"
            )

    def rows(self, pids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of labelled and of unlabelled pictures.

        Args:
            pids: (N,) identities of the training pictures.

        Raises:
            DataError: an identity is in neither part.
        """
        known = np.isin(pids, self.labelled)
        unknown = np.isin(pids, self.unlabelled)
        if not (known | unknown).all():
            stray = np.asarray(pids)[~(known | unknown)][0]
            raise DataError(f"identity {stray} is in neither part of the division {self.setting}, seed {self.seed}")
        return np.flatnonzero(known), np.flatnonzero(unknown)

    def write(self, path: str | Path) -> Path:
        """Write the division to a JSON file.

        Raises:
            DataError: there is a file with another division already.
        """
        path = Path(path)
        content = {
            "format": _FORMAT, "setting": self.setting, "seed": self.seed, "labelled": list(self.labelled),
            "unlabelled": list(self.unlabelled),
        }  # fmt: skip
        if path.exists() and read_split(path) != self:
            raise DataError(f"{path}: holds another division; delete it or choose another name")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return path

    def digest(self) -> str:
        """Return a short hash of who is labelled."""
        return hashlib.blake2b(json.dumps(self.labelled).encode(), digest_size=8).hexdigest()


def read_split(path: str | Path) -> LabelledSplit:
    """Read a division that :meth:`LabelledSplit.write` wrote.

    Raises:
        DataError: the file is missing or holds something else.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise DataError(f"{path}: format {content['format']}, expected {_FORMAT}")
        parts = [tuple(int(pid) for pid in content[name]) for name in ("labelled", "unlabelled")]
        return LabelledSplit(str(content["setting"]), int(content["seed"]), *parts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: no division of identities ({type(error).__name__}: {error})") from error


def divide_labels(pids: np.ndarray, setting: str, seed: int) -> LabelledSplit:
    """Draw the labelled identities of a training set.

    The parts of one seed are nested: who is labelled at 1/12 is labelled at 1/6 and 1/3 too, so that settings differ in
    how many are labelled and not in who.

    Args:
        pids: (N,) identities of the training pictures, none negative.
        setting: a share such as ``1/6``, or a number such as ``50-ids``.
        seed: of the draw.

    Raises:
        ConfigError: the setting cannot be read, or leaves nobody on one side.
        DataError: there are pictures without an identity.
    """
    people = np.unique(pids)
    if len(people) and people[0] < 0:
        raise DataError("pids: some pictures have no identity (-1); who is labelled is drawn among identities")
    count = _count(setting, len(people))
    if not 2 <= count < len(people):
        raise ConfigError(
            f"labelled: {setting} of {len(people)} identities would label {count}; at least 2 must be labelled, and 1 "
            "must not be"
        )
    order = rng(seed, "labelled identities").permutation(people)
    return LabelledSplit(
        setting,
        seed,
        tuple(int(pid) for pid in sorted(order[:count])),
        tuple(int(pid) for pid in sorted(order[count:])),
    )


def _count(setting: str, people: int) -> int:
    try:
        if setting.endswith("-ids"):
            return int(setting.removesuffix("-ids"))
        share = Fraction(setting)
    except (ValueError, ZeroDivisionError, AttributeError):
        share = Fraction(0)
    if not 0 < share < 1:
        raise ConfigError(f"labelled: {setting!r} is neither a share such as 1/6 nor a number such as 50-ids")
    return round(share * people)
