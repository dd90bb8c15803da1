"""Loops compiled by numba, kept between processes where only this user can write, and compiled again if damaged."""

from __future__ import annotations

import glob
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache

from reidlab.errors import ReidlabError
from reidlab.files import digest, write_json
from reidlab.paths import compiled_dir

# Numba's own threads: its OpenMP layer would set the number of threads of everybody else's OpenMP too, and with it the
# order in which a network's sums are taken.
numba.config.THREADING_LAYER = "workqueue"


def compiled(function: Callable | None = None, **options: Any) -> Callable:
    """Compile a function; its machine code is kept for later processes.

    Args:
        function: to compile; without one, a decorator is returned.
        **options: of ``numba.njit``.
    """
    if function is None:
        return lambda function: compiled(function, **options)
    dispatcher = numba.njit(nogil=True, **options)(function)
    if (folder := compiled_dir()) is not None:
        numba.config.CACHE_DIR = str(folder)
        dispatcher._cache = _Cache(function)
    return dispatcher


class _Cache(FunctionCache):
    """Numba's files of a function, with their digests beside them: it would run whatever it finds there."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the machine code for a signature, or None if there is none that is whole."""
        try:
            if self._digests() == json.loads(self._listed.read_text(encoding="utf-8")):
                return super().load_overload(sig, target_context)
        except Exception:  # whatever damage makes of a file
            pass
        for path in self._files():
            with suppress(OSError):
                path.unlink()
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the machine code for a signature, if there is room for it."""
        with suppress(OSError, ReidlabError):
            super().save_overload(sig, data)
            write_json(self._listed, self._digests())

    @property
    def _listed(self) -> Path:
        return Path(self.cache_path, f"{self._impl.filename_base}.json")

    def _files(self) -> list[Path]:
        return sorted(Path(self.cache_path).glob(f"{glob.escape(self._impl.filename_base)}.*nb[ic]"))

    def _digests(self) -> dict[str, str]:
        return {path.name: digest(path) for path in self._files()}
