"""One notebook, one process: ``python -m reidlab.lab.execute context.json``, started by the runner.

A process of its own keeps the environment of a chapter apart from that of others, and dies with the
runner: its standard input is a pipe from the runner, and when that closes, nothing waits for the result.
On standard output it writes one JSON object a line: ``{"event": "cell", "number": 3, "total": 9}``, then
``{"event": "done"}`` or ``{"event": "failed", "cell": ..., "reason": ...}``.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reidlab.lab.notebook import without_address_grammar

# Two kernels that start at the same time may be given the same port, and one of them dies before its first cell.
_STARTS = 3


def main(job_path: str) -> int:
    """Execute the notebook that a job file describes; return the exit status.

    Args:
        job_path: JSON file with ``source``, ``target`` (notebook paths), ``parameters``, ``cwd``, ``code_cells``.
    """
    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    events = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever else prints must not mix with the events
    threading.Thread(target=_die_with_runner, daemon=True).start()

    def say(**event: Any) -> None:
        events.write(json.dumps(event) + "\n")

    end = execute(job, say)
    say(**end)
    return 0 if end["event"] == "done" else 1


def execute(job: Mapping[str, Any], say: Callable[..., None]) -> dict[str, Any]:
    """Execute a notebook and return the event that ends it.

    Args:
        job: see :func:`main`.
        say: called with the number of each code cell as it starts.
    """
    with without_address_grammar():
        import papermill
        from papermill.exceptions import PapermillExecutionError

    total = job["code_cells"] + bool(job["parameters"])
    reached = 0

    def on_cell_start(cell: Any, **_: Any) -> None:
        nonlocal reached
        if cell.cell_type == "code":
            reached += 1
            say(event="cell", number=reached, total=total)

    for attempt in range(1, _STARTS + 1):
        try:
            papermill.execute_notebook(
                job["source"],
                job["target"],
                job["parameters"],
                kernel_name="python3",
                language="python",
                progress_bar=False,
                cwd=job["cwd"],
                on_cell_start=on_cell_start,
            )
            break
        except PapermillExecutionError as error:
            reason = f"{error.ename}: {error.evalue}".strip().removesuffix(":")
            return {"event": "failed", "cell": error.exec_count, "reason": reason}
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            reason = "the disk is full" if full else f"{type(error).__name__}: {error}"
            return {"event": "failed", "cell": None, "reason": reason}
        except Exception as error:
            # A kernel that dies in the work, or does not start: the runner turns any of them into its one line.
            if reached or attempt == _STARTS:
                return {"event": "failed", "cell": None, "reason": f"{type(error).__name__}: {error}"}
    return {"event": "done"}


def _die_with_runner() -> None:
    while sys.stdin.buffer.read(1):
        pass
    # The kernel watches this process and ends by itself.
    os._exit(3)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
