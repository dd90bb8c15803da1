"""Runs one action in a process of its own, and says what it did besides its answer."""

import contextlib
import json
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reidlab.errors import ReidlabError

LIMIT_S = 10.0
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {
    "os.mkdir",
    "os.rename",
    "os.link",
    "os.symlink",
    "os.remove",
    "os.rmdir",
    "os.truncate",
    "os.chmod",
    "shutil.rmtree",
}
_RUNS = {"os.system", "os.exec", "os.posix_spawn", "os.startfile", "pty.spawn"}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        status: ``fine``, ``refused`` (an error in one line) or ``fault``.
        message: the refusal, or what went wrong.
        seconds: how long it took.
    """

    status: str
    message: str
    seconds: float


def run(action: Callable[[], str | None], home: Path, outside: Path) -> Outcome:
    """Run an action in a fork, with all of its settings below ``home``.

    Args:
        action: what is tried. It may raise a ReidlabError; it returns what is wrong with its answer, or None.
        home: an empty folder of the case, the only one that may be written.
        outside: a folder beside it that must stay as it is.

    Returns:
        A fault for any other exception, more than ten seconds, a file written elsewhere, a temporary file left behind,
        a program started, a connection opened, or a control character in what was printed.
    """
    before = _listing(outside)
    reader, writer = os.pipe()
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reader)
        code = 1
        try:
            answer = _in_child(action, home)
            sys.stdout.flush()
            sys.stderr.flush()
            os.write(writer, json.dumps(answer)[:60_000].encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    answer = _answer(reader, child, begun)
    seconds = time.monotonic() - begun
    if answer is None:
        return Outcome("fault", f"no answer after {seconds:.1f} s (or the process died)", seconds)
    status, message, events = answer
    problems = [message] if status == "fault" else []
    problems += events
    if _listing(outside) != before:
        problems.append(f"{outside} was changed: {sorted(set(_listing(outside)) ^ set(before))}")
    left = [
        str(p.relative_to(home)) for p in home.rglob("*") if p.name.endswith(".tmp") or p.name.startswith(".reidlab-")
    ]
    if left:
        problems.append(f"left behind: {left}")
    printed = "".join(path.read_text(errors="surrogateescape") for path in home.glob("std*.txt"))
    if "Traceback" in printed:
        problems.append(f"a traceback was printed: {printed[-600:]}")
    if control := _CONTROL.search(printed):
        problems.append(f"a control character was printed: {control.group()!r} in {printed[:300]!r}")
    if problems:
        return Outcome("fault", "; ".join(problems), seconds)
    return Outcome(status, message, seconds)


def command(*words: str) -> None:
    """Run the ``reidlab`` command in this process.

    Raises:
        ReidlabError: with its error, where it ends with status 1 or 2 and one line.
        AssertionError: it ended in an error that is none of its own, or in more than a line.
    """
    from reidlab import cli

    sys.stderr.flush()
    place = os.fstat(2).st_size
    try:
        cli.main(list(words))
        code = 0
    except SystemExit as end:
        code = end.code or 0
    sys.stdout.flush()
    sys.stderr.flush()
    if code == 0:
        return
    text = os.pread(2, 100_000, place).decode(errors="replace").strip()
    assert code in (1, 2), f"exit status {code}"
    assert "reidlab --debug" not in text, f"an error that is none of its own: {text[:400]}"
    if code == 2:  # wrong usage is answered by typer's own box
        raise ReidlabError("wrong usage")
    assert "error: " in text, f"status 1 without an error: {text[:400]!r}"
    raise ReidlabError(text.partition("error: ")[2][:600])


def _in_child(action: Callable[[], str | None], home: Path) -> tuple[str, str, list[str]]:
    events: list[str] = []
    for name in ("tmp", "config", "cache", "runs"):
        (home / name).mkdir(exist_ok=True)
    places = {"HOME": home, "TMPDIR": home / "tmp", "XDG_CONFIG_HOME": home / "config"}
    places |= {"REIDLAB_CACHE": home / "cache", "REIDLAB_RUNS": home / "runs"}
    os.environ.update({name: str(place) for name, place in places.items()})
    os.environ.pop("REIDLAB_DATA", None)
    os.chdir(home)
    import tempfile

    tempfile.tempdir = None
    for number, stream in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(home / f"{stream}.txt", os.O_RDWR | os.O_CREAT | os.O_APPEND), number)
        setattr(sys, stream, os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False))
    allowed = (str(home.resolve()), "/dev/null", "/dev/shm", "/proc/self")
    sys.addaudithook(lambda event, args: _watch(event, args, allowed, events))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        wrong = action()
    except ReidlabError as error:
        text = str(error).strip()
        return ("fault", f"an error of several lines: {text!r}", events) if "\n" in text else ("refused", text, events)
    except BaseException:
        return "fault", traceback.format_exc()[-1500:], events
    return ("fault", wrong, events) if wrong else ("fine", "", events)


def _watch(event: str, args: tuple, allowed: tuple[str, ...], events: list[str]) -> None:
    if event in _RUNS or (event == "subprocess.Popen" and "gs" in str(args[0])):
        events.append(f"a program was started: {event} {args!r:.200}")
    elif event == "socket.connect":
        events.append(f"a connection was opened: {args[1:]!r}")
    elif event in _CHANGES or (event == "open" and len(args) == 3 and isinstance(args[2], int) and args[2] & _WRITES):
        place = args[0]
        if isinstance(place, str | bytes | os.PathLike):
            # Where a relative path leads is asked at once, before the working directory changes.
            place = os.path.abspath(os.fsdecode(place))
            if not place.startswith(allowed):
                events.append(f"written outside: {event} {place!r}")


def _answer(reader: int, child: int, begun: float) -> tuple[str, str, list[str]] | None:
    import select

    content = b""
    while time.monotonic() - begun < LIMIT_S:
        ready, _, _ = select.select([reader], [], [], 0.2)
        if ready:
            if not (chunk := os.read(reader, 65536)):
                break
            content += chunk
    os.close(reader)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        return tuple(json.loads(content))
    except ValueError:
        return None


def _listing(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((str(p), p.lstat().st_size, p.lstat().st_mtime_ns) for p in folder.rglob("*"))
