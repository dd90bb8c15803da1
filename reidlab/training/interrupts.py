"""Ctrl-C between two iterations instead of in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Whether the user wants to stop.

    Attributes:
        wanted: True after the first interrupt.
    """

    def __init__(self) -> None:
        self.wanted = False


@contextmanager
def deferred_interrupts() -> Iterator[Interrupts]:
    """Hold back the first keyboard interrupt inside the block; a second one acts at once.

    The block reads ``wanted`` where it can stop. Outside the main thread nothing changes: no interrupt arrives there.
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = signal.getsignal(signal.SIGINT)

    def remember(number: int, frame: FrameType | None) -> None:
        if interrupts.wanted:
            raise KeyboardInterrupt
        interrupts.wanted = True

    signal.signal(signal.SIGINT, remember)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
