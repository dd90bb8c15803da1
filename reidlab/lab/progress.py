"""Showing a batch on the terminal: a live line per running chapter, a lasting line per finished one."""

from __future__ import annotations

import threading

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from reidlab.checks import printable
from reidlab.lab.runner import Job, Outcome

_STYLE = {"done": "green", "unchanged": "dim", "failed": "bold red"}


class LiveProgress:
    """A :class:`reidlab.lab.runner.Progress` that draws on a console; use it as a context manager.

    Where the console is no terminal (a log, CI), only the lasting lines are written.

    Args:
        console: where to draw.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("cells"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> LiveProgress:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def started(self, job: Job, reason: str) -> None:
        """Add the chapter's live line."""
        with self._lock:
            self._tasks[job.chapter] = self._bars.add_task(job.chapter, total=None)
            if not self._console.is_terminal:
                self._console.print(
                    f"{job.chapter}: running ({escape(printable(reason))})", soft_wrap=True, highlight=False
                )

    def cell(self, job: Job, number: int, total: int) -> None:
        """Move the chapter's live line on."""
        with self._lock:
            self._bars.update(self._tasks[job.chapter], completed=number - 1, total=total)

    def ended(self, outcome: Outcome) -> None:
        """Put a lasting line in place of the live one."""
        style = _STYLE[outcome.status]
        with self._lock:
            if (task := self._tasks.pop(outcome.job.chapter, None)) is not None:
                self._bars.remove_task(task)
            text = f"[{style}]{outcome.status:<9}[/] {escape(printable(outcome.message))}"
            self._console.print(text, soft_wrap=True, highlight=False)
