"""Batches made ahead: a thread makes the next one while the last one is used."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from reidlab.training.denormals import flushed_denormals
from reidlab.training.sources import BatchSource


class Ahead:
    """The batches of a source, the next of which is made while the last one is used: the same, in the same order.

    One batch at most is waiting. What goes wrong while it is made is raised by :meth:`batch` in its turn. On a GPU the
    thread copies and transforms on a stream of its own, so that it waits for no computation, and none for it. At the
    end of the block the thread has ended, and the source is where the batches that were used have brought it.

    Args:
        source: makes the batches.
        device: where they are wanted.
        count: how many will be asked for; none is made beyond them.
        enabled: False makes each when it is asked for, without a thread.
    """

    def __init__(self, source: BatchSource, device: torch.device, count: int, enabled: bool) -> None:
        self._source, self._device, self._left = source, device, count
        self._pool = ThreadPoolExecutor(1, "next-batch") if enabled else None
        self._stream = torch.cuda.Stream(device) if enabled and device.type == "cuda" else None
        self._next: Future | None = None
        self._place = source.state_dict() if enabled else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pool is None:
            return
        self._pool.shutdown(cancel_futures=True)
        if self._next is not None:
            self._source.load_state_dict(self._place)

    def batch(self) -> Any:
        """Return the next batch."""
        if self._pool is None:
            return self._source.batch(self._device)
        if self._next is None:
            self._begin()
        batch, self._place, ready = self._next.result()
        if self._stream is not None:
            from lightning_utilities.core.apply_func import apply_to_collection  # comes with Fabric

            stream = torch.cuda.current_stream(self._device)
            stream.wait_event(ready)
            # Or else the thread's stream would write the next batch over this one while it is read.
            apply_to_collection(batch, Tensor, lambda part: part.record_stream(stream) if part.is_cuda else None)
        self._begin()
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Return the source's place after the last batch that was used."""
        return self._source.state_dict() if self._pool is None else self._place

    def _begin(self) -> None:
        """Have the next batch made, if another one will be asked for."""
        self._next = self._pool.submit(self._make) if self._left > 0 else None
        self._left -= 1

    def _make(self) -> tuple[Any, dict[str, Any], torch.cuda.Event | None]:
        with flushed_denormals(), self._on_stream():
            batch = self._source.batch(self._device)
            place = copy.deepcopy(self._source.state_dict())
            return batch, place, None if self._stream is None else self._stream.record_event()

    @contextmanager
    def _on_stream(self) -> Iterator[None]:
        if self._stream is None:
            yield
            return
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            yield
