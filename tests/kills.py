"""Kills a command at seeded moments, lets the same command finish, and compares with a run that nobody disturbed.

A moment is the n-th change of files, or a while after it, whatever imports and compiling took before: a hook in every
Python process of the command counts changes, and kills just before the one that was drawn. What is killed is the
command's first process alone, as by the system when memory is short, or all of its processes, as when the machine
loses power.
"""

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from reidlab import cli, files

ROOT = Path(__file__).resolve().parents[1]
_LIMIT_S = 300
_HOOK = """
import os, signal, sys

def _install(home, count, pids, at):
    first = int(os.environ.setdefault("KILLS_FIRST", str(os.getpid())))
    with open(pids, "a") as stream:
        stream.write(f"{os.getpid()}\\n")
    counter = os.open(count, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    changes = {"os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove", "os.rmdir", "os.truncate"}

    def watch(event, args):
        if event in changes or (event == "open" and isinstance(args[2], int) and args[2] & writes):
            place = args[0]
            if not isinstance(place, (str, bytes)):
                return
            place = os.fsdecode(place)
            # Names inside a folder that is being removed are relative.
            if place.startswith(home) or (event in ("os.remove", "os.rmdir") and not place.startswith("/")):
                os.write(counter, b".")
                if os.fstat(counter).st_size == at:
                    os.kill(first, signal.SIGKILL)

    sys.addaudithook(watch)

if "KILLS_HOME" in os.environ:
    # A shell's background jobs ignore Ctrl-C and pass that on; a user's terminal does not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _install(*(os.environ["KILLS_" + name] for name in ("HOME", "COUNT", "PIDS")), int(os.environ["KILLS_AT"]))
"""


@dataclass(frozen=True)
class Command:
    """A command of ``reidlab`` whose files all lie below one folder.

    Attributes:
        words: after ``reidlab``.
        home: an existing folder; HOME, TMPDIR, cache and run store lie in it.
        environment: further variables.
        program: what Python runs.
    """

    words: Sequence[str]
    home: Path
    environment: dict[str, str] | None = None
    program: Sequence[str] = ("-m", "reidlab")

    def start(self, at_change: int = 0) -> subprocess.Popen:
        """Start it in a session of its own; it is killed before its n-th change of files, with 0 at none."""
        place, surroundings = self._prepare(at_change)
        return subprocess.Popen(
            [sys.executable, *self.program, *self.words],
            env=surroundings, cwd=self.home, start_new_session=True, stdin=subprocess.DEVNULL, text=True,
            stdout=(place / "output").open("w"), stderr=subprocess.STDOUT,
        )  # fmt: skip

    def _prepare(self, at_change: int) -> tuple[Path, dict[str, str]]:
        place = self.home / ".kills"
        for name in ("kills", "tmp", "home", "cache"):
            (self.home / (f".{name}" if name == "kills" else name)).mkdir(exist_ok=True)
        (place / "sitecustomize.py").write_text(_HOOK)
        (place / "count").write_bytes(b"")
        surroundings = os.environ | {
            "HOME": str(self.home / "home"), "XDG_CONFIG_HOME": str(self.home / "home"),
            "TMPDIR": str(self.home / "tmp"), "REIDLAB_CACHE": str(self.home / "cache"),
            "REIDLAB_RUNS": str(self.home / "runs"), "REIDLAB_DATA": "",
            "PYTHONPATH": os.pathsep.join([str(place), str(ROOT)]), "PYTHONDONTWRITEBYTECODE": "1",
            "KILLS_HOME": f"{self.home}/", "KILLS_COUNT": str(place / "count"), "KILLS_PIDS": str(place / "pids"),
            "KILLS_AT": str(at_change),
        } | (self.environment or {})  # fmt: skip
        surroundings.pop("XDG_CACHE_HOME", None)
        surroundings.pop("XDG_RUNTIME_DIR", None)
        return place, surroundings

    @property
    def output(self) -> str:
        """What the last start printed."""
        return (self.home / ".kills" / "output").read_text(errors="replace")

    @property
    def changes(self) -> int:
        """How often the last start changed files."""
        return (self.home / ".kills" / "count").stat().st_size

    def processes(self) -> set[int]:
        """Return the process ids of all of its processes that live."""
        noted = (self.home / ".kills" / "pids").read_text().split() if (self.home / ".kills" / "pids").exists() else ()
        return {int(pid) for pid in noted if _is_of(int(pid), self.home)}

    def finish(self) -> None:
        """Run it to its end, which must be a good one."""
        status = self.start().wait(_LIMIT_S)
        assert status == 0, f"status {status}: {self.output[-2000:]}"

    def finish_here(self) -> None:
        """Like :meth:`finish`, in this process, which has imported all that a start imports first."""
        assert self.program == ("-m", "reidlab"), self.program
        place, surroundings = self._prepare(0)
        hook: dict = {}
        exec(_HOOK, hook)
        with pytest.MonkeyPatch.context() as patch:
            for name in {*os.environ} - {*surroundings}:
                patch.delenv(name)
            for name, value in surroundings.items():
                patch.setenv(name, value)
            patch.setenv("KILLS_FIRST", "0")
            patch.chdir(self.home)
            patch.setattr(tempfile, "tempdir", None)
            # This process is no process of the command.
            (place / "pids").touch()
            hook["_install"](f"{self.home}/", str(place / "count"), os.devnull, 0)
            with pytest.raises(SystemExit) as left:
                cli.main(list(self.words))
            assert left.value.code == 0

    def kill(self, draw: random.Random, changes: int) -> str:
        """Start it and kill it at a drawn moment.

        Args:
            draw: source of the moment.
            changes: how often it changes files when nobody disturbs it.

        Returns:
            What was done, for messages.
        """
        change = draw.randint(1, changes)
        after_s = draw.uniform(0, 1) if draw.random() < 0.4 else None
        alone, at_once = draw.random() < 0.5, draw.random() < 0.5
        process = self.start(change if after_s is None else 0)
        deadline = time.monotonic() + _LIMIT_S
        while after_s is not None and self.changes < change and process.poll() is None:
            assert time.monotonic() < deadline, f"{self.changes} of {changes} changes: {self.output[-2000:]}"
            time.sleep(0.01)
        try:
            process.wait(_LIMIT_S if after_s is None else after_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if not alone:
            for pid in self.processes():
                os.kill(pid, signal.SIGKILL)
        if not at_once:
            self.wait_for_orphans()
        moment = f"change {change} of {changes}" + (f" and {after_s:.2f} s" if after_s is not None else "")
        end = "killed" if process.returncode == -signal.SIGKILL else f"ended before with {process.returncode}"
        return f"{moment}, {'the first process' if alone else 'all processes'}, {end}"

    def wait_for_orphans(self) -> None:
        """Wait until no process of it lives; more than ten seconds are a fault."""
        deadline = time.monotonic() + 10
        while alive := self.processes():
            assert time.monotonic() < deadline, f"processes {sorted(alive)} live on without their command"
            time.sleep(0.05)

    def left_behind(self) -> list[str]:
        """Return what no finished command may leave: temporary files and folders, shared memory, processes."""
        self.wait_for_orphans()
        inside = sorted(path.relative_to(self.home) for path in self.home.rglob("*"))
        left = [str(path) for path in inside if _is_temporary(path)]
        pids = (self.home / ".kills" / "pids").read_text().split()
        memory = sorted(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else []
        return left + [f"/dev/shm/{name}" for name in memory if {*re.findall(r"\d+", name)} & {*pids}]


def check_completions(
    make: Callable[[Path], Command],
    result: Callable[[Path], object],
    place: Path,
    kills: int,
    seed: int = 0,
    here: bool = False,
) -> int:
    """Check that a command that was killed, once or twice, and started again gives what an undisturbed one gives.

    Returns the number of kills.

    Args:
        make: prepares an empty folder and returns the command in it.
        result: what the finished command in a folder gave, to be compared.
        place: where the folders are made.
        kills: how many times a command is killed.
        seed: of the moments.
        here: whether the undisturbed one runs in this process; those that are killed and finish never do.
    """
    draw = random.Random(seed)

    def fresh(name: str) -> Command:
        home = place.resolve() / name
        home.mkdir()
        return make(home)

    calm = fresh("undisturbed")
    (calm.finish_here if here else calm.finish)()
    changes, wanted = calm.changes, result(calm.home)
    assert calm.left_behind() == []
    done = 0
    while done < kills:
        command = fresh(f"killed-{done}")
        moments = []
        for _ in range(min(draw.choice([1, 1, 2]), kills - done)):
            moments.append(command.kill(draw, changes))
            done += 1
        told = "; then ".join(moments)
        status = command.start().wait(_LIMIT_S)
        done_before = status == 1 and "exists already" in command.output
        assert status == 0 or done_before, f"killed at {told}: status {status}: {command.output[-2000:]}"
        assert result(command.home) == wanted, f"killed at {told}: it gave something else"
        left = command.left_behind()
        assert left == [], f"killed at {told}: {left} is left"
    return done


def listing(folder: Path) -> dict[str, str]:
    """Return the digests of all files below a folder, by their paths in it."""
    return {
        path.relative_to(folder).as_posix(): files.digest(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }


def _is_of(pid: int, home: Path) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return stat[0] != "Z" and f"KILLS_HOME={home}/".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def _is_temporary(path: Path) -> bool:
    if path.parts[0] in (".kills", "home"):
        return False
    suspicious = path.suffix == ".tmp" or path.name.startswith((".reidlab-", ".running-", "kernel-"))
    return suspicious or (path.parts[0] == "tmp" and len(path.parts) == 2)


class Killed(BaseException):
    """Stands for a kill within a test's own process: nothing catches it."""


def check_resumed(run, same, tmp_path, monkeypatch, kills: int) -> int:
    """Stop a function at seeded moments, just before a file is put in place, and check what it gives when it goes on.

    Args:
        run: from a folder that it saves to, None for memory, to its result.
        same: whether two results are the same.
        tmp_path: where the folders are made; the one of the undisturbed run is called ``whole``.
        monkeypatch: pytest's.
        kills: how many moments are drawn.

    Returns:
        How many files the undisturbed run put in place.
    """
    undisturbed = run(None)
    real, changes, left = os.replace, [0], [0]

    def counted(*args):
        changes[0] += 1
        if changes[0] == left[0]:
            raise Killed
        return real(*args)

    monkeypatch.setattr(os, "replace", counted)
    assert same(run(tmp_path / "whole"), undisturbed)
    total = changes[0]
    for moment in random.Random(0).sample(range(1, total + 1), kills):
        folder = tmp_path / str(moment)
        changes[0], left[0] = 0, moment
        with pytest.raises(Killed):
            run(folder)
        left[0] = 0
        assert same(run(folder), undisturbed)
    return total
