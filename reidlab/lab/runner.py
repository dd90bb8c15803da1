"""Running chapters: what has to run, running it in a place of its own, and keeping it only if it succeeds."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import reidlab
from reidlab import files
from reidlab.checks import plural, printable
from reidlab.errors import ConfigError, ReidlabError, RunError
from reidlab.lab import codehash, environment, pieces, profiles, store
from reidlab.lab.notebook import parameters_of, read_cells
from reidlab.lab.project import Project

NEVER_RUN = "never run"


@dataclass(frozen=True)
class Job:
    """One chapter to run.

    Attributes:
        project: where the chapter is.
        chapter: its id.
        profile: the profile's name.
        parameters: all parameters, resolved.
        overrides: those that differ from the profile's.
        purpose: names a run store of its own, beside the profile's.
        threads: how many to compute with; as the environment says if None.
    """

    project: Project
    chapter: str
    profile: str
    parameters: Mapping[str, Any]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    purpose: str = ""
    threads: int | None = None

    @property
    def store(self) -> str:
        """The run store's name for this job: a run with overrides does not replace the profile's own."""
        purpose = self.purpose or (store.CUSTOM if self.overrides else "")
        return f"{self.profile}.{purpose}" if purpose else self.profile

    @property
    def folder(self) -> Path:
        """The folder of this job's run."""
        return store.run_folder(self.project, self.store, self.chapter)


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        job: the job.
        status: ``done``, ``unchanged`` (nothing had to run) or ``failed``.
        message: one line for the user.
    """

    job: Job
    status: Literal["done", "unchanged", "failed"]
    message: str


class Progress(Protocol):
    """Is notified of what happens while jobs run; calls come from several threads."""

    def started(self, job: Job, reason: str) -> None:
        """A job begins, for a reason."""

    def cell(self, job: Job, number: int, total: int) -> None:
        """A job has reached a code cell."""

    def ended(self, outcome: Outcome) -> None:
        """A job is over."""


def plan(
    project: Project,
    chapters: Sequence[str],
    profile: str,
    changes: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> list[Job]:
    """Return the jobs of a batch, all names and values checked before anything runs.

    Args:
        project: where the chapters are.
        chapters: their names or numbers; empty for all chapters of the profile.
        profile: the profile's name.
        changes: parameters that override the profile's.
        seed: overrides the chapter's parameter ``seed``, or ``seeds`` by a list of this one.

    Raises:
        ConfigError: an unknown chapter, profile or parameter, or a value of the wrong type.
    """
    loaded = profiles.load(project, profile)
    names = list(dict.fromkeys(project.chapter(name) for name in chapters)) or list(loaded.chapters)
    if not names:
        raise ConfigError(f"{loaded.path}: names no chapter")
    jobs = []
    for name in names:
        own = profiles.resolve(project, loaded, name, {})
        wanted = dict(changes or {})
        if seed is not None:
            wanted |= seed_change(project, name, seed)
        resolved = profiles.resolve(project, loaded, name, wanted)
        overrides = {key: value for key, value in resolved.items() if value != own[key]}
        jobs.append(Job(project, name, profile, resolved, overrides))
    return jobs


def reasons_to_run(job: Job) -> list[str]:
    """Return why a job has to run; empty if its last good run is still valid.

    Raises:
        ConfigError: the notebook or a module is not valid Python.
    """
    if not (job.folder / store.RUN_FILE).is_file():
        return [NEVER_RUN]
    try:
        last = store.open_run(job.folder)
    except RunError as error:
        return [str(error)]
    info = last.info
    found = codehash.of_chapter(job.project.notebook(job.chapter)).changes_since(info["code"] or {})
    if info["parameters"] != job.parameters:
        found.append("its parameters changed")
    before, now = info["versions"], environment.versions()
    found += [
        f"{name} is {now.get(name, 'gone')}, was {before.get(name, 'absent')}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    for name, entry in info["data"].items():
        if "root" in entry:
            folder = Path(entry["root"])
            if not folder.is_dir() or files.listing_hash(folder) != entry["listing"]:
                found.append(f"the files of {name} changed")
    for profile, digest in info.get("kept", {}).items():
        if store.kept_digest(job.project, profile, job.chapter) != digest:
            found.append(f"the kept records of profile {profile} changed")
    return found


def run_all(jobs: Sequence[Job], progress: Progress, force: bool = False, workers: int = 1) -> list[Outcome]:
    """Run jobs, several at a time if wanted, and return how each ended, in their order.

    A job that fails does not stop the others. On Ctrl-C, what runs is ended and leaves nothing behind
    but finished pieces; what has succeeded before stays.

    Args:
        jobs: what to run.
        progress: is notified of what happens.
        force: run also what has not changed, and measure every piece again.
        workers: how many notebooks run at a time.

    Raises:
        ConfigError: fewer than one worker, or papermill is not installed.
    """
    if workers < 1:
        raise ConfigError(f"--jobs {workers}: expected 1 or more")
    for package in ("papermill", "ipykernel"):
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"chapters are run with {package}, which is not installed: pip install 'reidlab[book]'")
    stop = threading.Event()

    def one(job: Job) -> Outcome:
        try:
            outcome = _run(job, progress, force, stop)
        except ReidlabError as error:
            outcome = Outcome(job, "failed", str(error))
        progress.ended(outcome)
        return outcome

    _clear_left_overs(jobs)
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(one, job) for job in jobs]
        try:
            return [future.result() for future in futures]
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        finally:
            # The notebook of a killed run may have lived on for a moment, and written.
            _clear_left_overs(jobs)


def _clear_left_overs(jobs: Sequence[Job]) -> None:
    """Remove what killed runs left, of other chapters too: there are keys of connections among it."""
    files.clear_left_overs()
    for store_of_runs in {job.project.runs for job in jobs}:
        files.clear_left_overs(*store_of_runs.glob("*/*/"), name=store.WORKPLACE)


def _run(job: Job, progress: Progress, force: bool, stop: threading.Event) -> Outcome:
    with files.disk_errors(job.folder), _locked(job):
        for left_over in job.folder.glob(f"{store.WORKPLACE}-*"):
            # Its process is dead, or the lock would be taken.
            shutil.rmtree(left_over, ignore_errors=True)
        reasons = ["forced"] if force else reasons_to_run(job)
        if not reasons:
            return Outcome(job, "unchanged", f"{job.chapter}: nothing changed since its last run; not repeated")
        progress.started(job, reasons[0])
        with files.temporary_folder(store.WORKPLACE, job.folder) as place:
            return _run_in(place, job, progress, force, stop)


def _run_in(place: Path, job: Job, progress: Progress, force: bool, stop: threading.Event) -> Outcome:
    source = job.project.notebook(job.chapter)
    code = codehash.of_chapter(source)
    executed = place / f"{job.chapter}{store.NOTEBOOK_SUFFIX}"
    files.write_json(
        place / store.CONTEXT_FILE,
        {
            "chapter": job.chapter,
            "profile": job.profile,
            "overrides": dict(job.overrides),
            "parameters": dict(job.parameters),
            "project": str(job.project.root),
            "pieces": str(pieces_here := store.pieces_folder(job.project, job.chapter)),
            "kept_pieces": str(store.kept_pieces_folder(job.project, job.chapter)),
            "again": force,
            "code": code.as_dict(),
            # For the process that executes the notebook.
            "source": str(source),
            "target": str(executed),
            "cwd": str(place / "scratch"),
            "code_cells": sum(cell.kind == "code" for cell in read_cells(source)),
        },
    )
    for name in ("scratch", "temporary"):
        (place / name).mkdir()
    clock = time.perf_counter()
    end = _execute(place, job, progress, stop)
    seconds = time.perf_counter() - clock
    if end["event"] != "done":
        (job.folder / store.FAILED_NOTEBOOK).unlink(missing_ok=True)
        # On a full disk the notebook itself may be cut off; then there is none to read.
        with suppress(OSError, ValueError, RunError):
            _tidy(executed)
            os.replace(executed, job.folder / store.FAILED_NOTEBOOK)
        return Outcome(job, "failed", _failure(job, end))
    if not (place / store.RUN_FILE).is_file():
        message = f"{job.chapter}: the notebook ran, but did not call run.finish(); nothing is kept"
        return Outcome(job, "failed", message)
    if codehash.of_chapter(source) != code:
        message = f"{job.chapter}: its code was edited while it ran; nothing is kept, run it again"
        return Outcome(job, "failed", message)

    _tidy(executed)
    info = files.read_json(place / store.RUN_FILE)
    info["wall_s"] = round(seconds + sum(p["seconds"] for p in info["pieces"] if p["resumed"]), 1)
    info["files"] |= {executed.name: files.digest(executed)}
    files.write_json(place / store.RUN_FILE, info)
    # run.json last: it holds the digests of the others, see the store.
    for name in (executed.name, store.RECORDS_FILE, store.RUN_FILE):
        os.replace(place / name, job.folder / name)
    with suppress(OSError):
        (job.folder / store.FAILED_NOTEBOOK).unlink(missing_ok=True)
    pieces.sweep(pieces_here)
    path = job.project.shown(job.folder / executed.name)
    damaged = sum(piece.get("damaged", False) for piece in info["pieces"])
    again = f" ({plural(damaged, 'stored piece')} damaged or edited, measured again)" if damaged else ""
    message = f"{job.chapter}: {plural(info['records'], 'record')} in {seconds:.0f} s{again}; {path}"
    return Outcome(job, "done", message)


def _execute(place: Path, job: Job, progress: Progress, stop: threading.Event) -> dict[str, Any]:
    """Run the notebook in a process of its own and return the process's last event."""
    _write_kernel(place / "jupyter")
    package_parent = str(Path(reidlab.__file__).resolve().parent.parent)
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    jupyter = os.environ.get("JUPYTER_PATH", "").split(os.pathsep)
    # Threads that wait for one another sleep instead of spinning: on cores shared with other work, spinning makes small
    # networks many times slower. A user's own choice stands.
    surroundings = (
        {"OMP_WAIT_POLICY": "PASSIVE"}
        | os.environ
        | {
            store.DIRECTORY_VARIABLE: str(place),
            "REIDLAB_RUNS": str(job.project.runs),
            "JUPYTER_PATH": os.pathsep.join([str(place / "jupyter"), *filter(None, jupyter)]),
            "JUPYTER_RUNTIME_DIR": str(place / "jupyter" / "runtime"),
            # Jupyter puts the keys of its connections there.
            "TMPDIR": str(place / "temporary"),
            # A user's own IPython start-up files and history have no part in a run.
            "IPYTHONDIR": str(place / "ipython"),
            "PYTHONPATH": os.pathsep.join([package_parent, *filter(None, paths)]),
            "PYTHONHASHSEED": "0",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        | threads_in_environment(job.threads)
    )
    log = place / store.LOG_FILE
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "reidlab.lab.execute", str(place / store.CONTEXT_FILE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=surroundings,
            cwd=place,
            text=True,
            # Ctrl-C reaches the runner alone, which then ends the notebooks in order.
            start_new_session=True,
        )
    watcher = threading.Thread(target=_end_on, args=(stop, process), daemon=True)
    watcher.start()
    end: dict[str, Any] | None = None
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "cell":
            progress.cell(job, event["number"], event["total"])
        else:
            end = event
    process.wait()
    if end is not None:
        return end
    if stop.is_set():
        return {"event": "failed", "cell": None, "reason": "interrupted"}
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no message"]
    return {"event": "failed", "cell": None, "reason": f"its process ended ({process.returncode}): {lines[-1]}"}


def threads_in_environment(threads: int | None) -> dict[str, str]:
    """Return the environment variables that make a process compute with so many threads; none if None."""
    libraries = ("OMP", "MKL", "OPENBLAS", "NUMEXPR") if threads else ()
    return {f"{library}_NUM_THREADS": str(threads) for library in libraries}


def _end_on(stop: threading.Event, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        if stop.wait(0.2):
            assert process.stdin is not None
            with suppress(OSError):
                process.stdin.close()
            return


def _write_kernel(folder: Path) -> None:
    """Write a kernel specification for this very interpreter: the environment may have registered none."""
    place = folder / "kernels" / "python3"
    place.mkdir(parents=True)
    (folder / "runtime").mkdir()
    arguments = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    files.write_json(
        place / "kernel.json", {"argv": arguments, "display_name": "Python 3 (reidlab)", "language": "python"}
    )


@contextmanager
def _locked(job: Job) -> Iterator[None]:
    """Hold the chapter's lock, and say in a file beside it which process does."""
    holder = job.folder / store.HOLDER_FILE
    pid = printable(holder.read_bytes()[:20].decode(errors="replace").strip()) if holder.is_file() else "unknown"
    busy = f"{job.chapter}: is already running under profile {job.store}, in process {pid}"
    with files.locked(job.folder / store.LOCK_FILE, f"{busy}; wait for it to end, or end it"):
        files.write_text(holder, f"{os.getpid()}\n")
        yield


def _tidy(path: Path) -> None:
    """Take this machine's paths out of an executed notebook, which others will read."""
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    for key in ("input_path", "output_path"):
        notebook["metadata"].get("papermill", {}).pop(key, None)
    shown = {str(path.parent): "<run>", sys.prefix: "<environment>"}
    package = Path(reidlab.__file__).resolve().parent
    shown |= {str(package.parent): "<reidlab>", str(Path.home()): "~"}

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            for place in sorted(shown, key=len, reverse=True):
                if len(place) > 1 and place in value:
                    value = re.sub(rf"{re.escape(place)}(?![\w-])", shown[place], value)
            return value
        if isinstance(value, list):
            return [clean(item) for item in value]
        if isinstance(value, dict):
            return {key: clean(item) for key, item in value.items()}
        return value

    for cell in notebook["cells"]:
        if "outputs" in cell:
            cell["outputs"] = clean(cell["outputs"])
    files.write_text(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


def _failure(job: Job, end: Mapping[str, Any]) -> str:
    where = f"cell [{end['cell']}]: " if end["cell"] is not None else ""
    reason = " ".join(str(end["reason"]).split())
    message = f"{job.chapter}: {where}{reason[:300]}"
    path = job.folder / store.FAILED_NOTEBOOK
    return f"{message}; read {job.project.shown(path)}" if path.is_file() else message


def seed_change(project: Project, chapter: str, seed: int) -> dict[str, Any]:
    """Return the change of a chapter's parameters that gives it this one seed.

    Raises:
        ConfigError: the chapter has no parameter ``seed`` or ``seeds``.
    """
    own = parameters_of(project.notebook(chapter))
    if "seed" in own:
        return {"seed": seed}
    if "seeds" in own:
        return {"seeds": [seed]}
    raise ConfigError(f"--seed {seed}: chapter {chapter} has no parameter 'seed' or 'seeds'")
