"""One notebook, one process: ``python -m reidlab.lab.execute job.json``, started by the runner.

A process of its own keeps the environment of a chapter apart from that of others, and dies with the
runner: its standard input is a pipe from the runner, and when that closes nobody waits for the result.
On standard output it writes one JSON object a line: ``{"event": "cell", "number": 3, "total": 9}``, then
``{"event": "done"}`` or ``{"event": "failed", "cell": ..., "reason": ...}``.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any


def main(job_path: str) -> int:
    """Execute the notebook that a job file describes; return the exit status.

    Args:
        job_path: JSON file with ``source``, ``target`` (notebook paths), ``parameters``, ``cwd``.
    """
    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    events = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever else prints must not mix with the events
    threading.Thread(target=_die_with_runner, daemon=True).start()

    def say(**event: Any) -> None:
        events.write(json.dumps(event) + "\n")

    import papermill
    from papermill.exceptions import PapermillExecutionError

    total = job["code_cells"] + bool(job["parameters"])
    counter = iter(range(1, total + 1))

    def on_cell_start(cell: Any, **_: Any) -> None:
        if cell.cell_type == "code":
            say(event="cell", number=next(counter, total), total=total)

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
    except PapermillExecutionError as error:
        reason = f"{error.ename}: {error.evalue}".strip().removesuffix(":")
        say(event="failed", cell=error.exec_count, reason=reason)
        return 1
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        say(event="failed", cell=None, reason="the disk is full" if full else f"{type(error).__name__}: {error}")
        return 1
    except Exception as error:
        # A kernel that dies, one that does not start: the runner turns any of them into its one line.
        say(event="failed", cell=None, reason=f"{type(error).__name__}: {error}")
        return 1
    say(event="done")
    return 0


def _die_with_runner() -> None:
    while sys.stdin.buffer.read(1):
        pass
    # The kernel watches this process and ends by itself.
    os._exit(3)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
