"""Checkpoints that survive a crash, a full disk and a damaged file."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from reidlab.errors import ConfigError, DataError, ReidlabError, RunError, StorageError
from reidlab.files import replacing
from reidlab.models.weights import reason
from reidlab.reading import check_file

_log = logging.getLogger(__name__)

_FORMAT = 1


class Checkpoints:
    """The last and the previous state of a run, in one folder.

    A state is written to a draft, flushed to disk and then renamed, so that a file under its final name is always
    whole. Reading checks every byte (the zip archive's CRC) and runs no code. A last file that turned out to be damaged
    never takes the place of the previous one.

    Args:
        folder: where ``checkpoint-last.pt`` and ``checkpoint-previous.pt`` lie; made when first written.
        place: entry of a state that says how far the run was, for the message about a damaged file.
    """

    def __init__(self, folder: str | os.PathLike[str], place: str = "iteration") -> None:
        self.folder, self._place = Path(folder), place
        self.last = self.folder / "checkpoint-last.pt"
        self.previous = self.folder / "checkpoint-previous.pt"
        self._sound = False  # whether the last one was written or read here

    def save(self, state: Mapping[str, Any]) -> None:
        """Write ``state``; the last checkpoint becomes the previous one, unless it could not be read.

        Args:
            state: tensors, numbers, strings, and lists and dictionaries of them.

        Raises:
            RunError: the file could not be written; earlier checkpoints are intact.
        """
        try:
            with replacing(self.last) as draft:
                torch.save({"format": _FORMAT, **state}, draft)
                if self._sound and self.last.exists():
                    os.replace(self.last, self.previous)
            self._sound = True
        except (StorageError, RuntimeError) as error:  # torch reports a failed write as a RuntimeError
            earlier = self.last.exists() or self.previous.exists()
            kept = "earlier checkpoints are intact" if earlier else "there is no earlier one"
            raise RunError(
                f"{self.last}: the checkpoint could not be written ({reason(error)}); {kept}. "
                "Free space on that disk and resume"
            ) from error

    def load(self, restore: Callable[[dict[str, Any]], object] = lambda state: None) -> dict[str, Any] | None:
        """Return the newest usable state, or None where the folder has no checkpoint.

        A damaged last checkpoint is reported as a warning and the previous one is used.

        Args:
            restore: called with a state that could be read; if it fails, the file is damaged too: a field is missing,
                or of another type. What it changes, the state before must change as well.

        Raises:
            DataError: there are checkpoints, but none can be used.
            ReidlabError: what ``restore`` raises of these errors, such as that the state is of another run.
        """
        problems = []
        for path in (self.last, self.previous):
            if not os.path.lexists(path):
                continue
            try:
                state = _read(path)
                _restored(path, state, restore)
            except DataError as error:
                problems.append(str(error))
                continue
            self._sound = path == self.last
            for problem in problems:
                place = f"{self._place} {state.get(self._place, 'unknown')}"
                _log.warning("%s; using %s (%s)", problem, path.name, place)
            return state
        if problems:
            raise DataError(f"{'; '.join(problems)}. Delete these files to start from the beginning")
        return None

    def clear(self) -> None:
        """Delete both checkpoints and a draft left by a crash."""
        for path in (self.last, self.previous, *self.folder.glob(".checkpoint-last.pt.*.tmp")):
            path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"wrong checksum in {damaged}")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise almost anything; the reason stays in the chain
        raise DataError(f"{path}: the checkpoint is damaged or cut short ({reason(error)})") from error
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise DataError(f"{path}: not a checkpoint of this version of reidlab")
    return state


def _restored(path: Path, state: dict[str, Any], restore: Callable[[dict[str, Any]], object]) -> None:
    try:
        restore(state)
    except ReidlabError:
        raise
    except Exception as error:  # whatever a missing field or one of another type leads to
        raise DataError(f"{path}: the checkpoint lacks what a run needs ({reason(error)})") from error


def check_same_run(found: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path) -> None:
    """Check that a checkpoint belongs to the run that wants to resume it.

    Args:
        found: the checkpoint's description of its run: configuration, seed, data.
        wanted: the same of the run at hand.
        folder: named in the message.

    Raises:
        ConfigError: naming every field that differs, with both values.
    """
    different = [
        f"{name} (checkpoint {found.get(name)!r}, now {wanted.get(name)!r})"
        for name in sorted({*found, *wanted})
        if found.get(name) != wanted.get(name)
    ]
    if different:
        raise ConfigError(
            f"{folder}: its checkpoint is of another run; it differs in {', '.join(different)}. "
            "Restore these values, choose another folder, or start afresh without resuming"
        )
