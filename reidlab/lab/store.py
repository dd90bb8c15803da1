"""Reading back what runs left: the run store, and the kept records in ``results/``.

::

    _runs/<profile>/<chapter>/     records.parquet  run.json  <chapter>.ipynb     the last good run
                                   failed.ipynb                                   the last failed one, if later
    _runs/pieces/<chapter>/<key>/  manifest.json  plain.json  arrays.npz  ...     measured places of any run of it
    results/<profile>/<chapter>/   records.parquet  run.json                      what is worth keeping in git

``run.json`` holds the hash of the files beside it and is written last, so that a half-replaced or damaged
run is noticed and never read. Runs with parameters changed on the command line lie under ``<profile>.custom``, those
that verify kept records under ``<profile>.verify``; both leave the profile's own runs alone. Pieces are shared by all
of them, see :mod:`reidlab.lab.pieces`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reidlab import files
from reidlab.errors import ReidlabError, RunError
from reidlab.lab import codehash
from reidlab.lab.project import Project

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
# A finished run.
RECORDS_FILE = "records.parquet"
RUN_FILE = "run.json"
FAILED_NOTEBOOK = "failed.ipynb"
# A run under way: its lock, and a folder of its own, which an environment variable names to the notebook.
DIRECTORY_VARIABLE = "REIDLAB_RUN_DIR"
LOCK_FILE = ".lock"
HOLDER_FILE = ".lock.pid"
WORKPLACE = ".running-"
CONTEXT_FILE = "context.json"
LOG_FILE = "log.txt"
# A piece.
MANIFEST_FILE = "manifest.json"
PLAIN_FILE = "plain.json"
ARRAYS_FILE = "arrays.npz"
TABLE_SUFFIX = ".parquet"
TENSORS_SUFFIX = ".safetensors"
# A notebook, before and after its execution.
NOTEBOOK_SUFFIX = ".ipynb"

# What runs beside a profile's own are called.
CUSTOM, VERIFY = "custom", "verify"

_REQUIRED = ("chapter", "profile", "parameters", "data", "code", "versions", "started", "wall_s", "files")


@dataclass(frozen=True)
class StoredRun:
    """One complete run on disk.

    Attributes:
        folder: where it lies.
        info: the contents of its ``run.json``.
        kept: whether it lies in ``results/``.
    """

    folder: Path
    info: Mapping[str, Any]
    kept: bool

    @property
    def chapter(self) -> str:
        """The chapter's id."""
        return str(self.info["chapter"])

    @property
    def profile(self) -> str:
        """The profile's name."""
        return str(self.info["profile"])

    @property
    def notebook(self) -> Path:
        """The executed notebook; kept runs have none."""
        return self.folder / f"{self.chapter}{NOTEBOOK_SUFFIX}"

    @property
    def records(self) -> pd.DataFrame:
        """The records, in the schema of :mod:`reidlab.lab.records`."""
        from reidlab.lab import records

        return records.read(self.folder / RECORDS_FILE)

    def changes(self, project: Project, pictures: bool = True) -> list[str]:
        """Say how today's code differs from the one that ran, or that verified its records; empty if it does not.

        Args:
            project: where today's chapters are.
            pictures: whether what only the page shows counts: it does for a page, not for records.
        """
        try:
            code = codehash.of_chapter(project.notebook(self.chapter))
        except ReidlabError as error:
            return [str(error)]
        changes = code.changes_since(self.info["code"] or {}, pictures)
        if changes and not pictures and (verified := self.info.get("verified")):
            return code.changes_since(verified["code"], pictures)
        return changes

    def is_stale(self, project: Project) -> bool:
        """Return whether today's code could give other records."""
        return bool(self.changes(project, pictures=False))


def run_folder(project: Project, profile: str, chapter: str) -> Path:
    """Return the folder of a chapter's runs under a profile, whether it exists or not."""
    return project.runs / profile / chapter


def pieces_folder(project: Project, chapter: str) -> Path:
    """Return the folder of a chapter's pieces, whether it exists or not."""
    return project.runs / "pieces" / chapter


def kept_folder(project: Project, profile: str, chapter: str) -> Path:
    """Return the folder of a chapter's kept records under a profile, whether it exists or not."""
    return project.results / profile / chapter


def load(profile: str, chapter: str, project: Project) -> StoredRun:
    """Return the last good run of a chapter under a profile.

    Raises:
        RunError: there is none, or it is damaged.
    """
    chapter = project.chapter(chapter)
    folder = run_folder(project, profile, chapter)
    if not (folder / RUN_FILE).is_file():
        raise RunError(
            f"{folder}: chapter {chapter} has no run under profile {profile}; "
            f"run `reidlab run {chapter} --profile {profile}`"
        )
    return open_run(folder)


def kept(chapter: str, profile: str, project: Project) -> StoredRun | None:
    """Return the kept records of a chapter, or None if none are kept.

    Raises:
        RunError: they are damaged.
    """
    folder = kept_folder(project, profile, chapter)
    return open_run(folder, kept=True) if (folder / RUN_FILE).is_file() else None


def kept_digest(project: Project, profile: str, chapter: str) -> str | None:
    """Return the hash of a chapter's kept records, or None if none are kept."""
    path = kept_folder(project, profile, chapter) / RECORDS_FILE
    return files.digest(path) if path.is_file() else None


def open_run(folder: Path, kept: bool = False) -> StoredRun:
    """Read and check the run in ``folder``.

    Raises:
        RunError: a file is missing, cannot be read, or is not the one that ``run.json`` describes.
    """
    path = folder / RUN_FILE
    info = files.read_json(path)
    if missing := [name for name in _REQUIRED if name not in info]:
        raise RunError(f"{path}: has no {missing[0]!r}; run the chapter again")
    if info.get("format") != FORMAT:
        raise RunError(
            f"{path}: is of format {info.get('format')!r}, this version reads {FORMAT}; run the chapter again"
        )
    for name, expected in info["files"].items():
        if not (folder / name).is_file():
            raise RunError(f"{folder / name}: missing, though {RUN_FILE} names it; run the chapter again")
        if files.digest(folder / name) != expected:
            raise RunError(f"{folder / name}: is not the file that was written; run the chapter again")
    return StoredRun(folder, info, kept)


def keep(chapter: str, profile: str, project: Project) -> Path:
    """Copy a run's records and description to ``results/``, and return their folder.

    Raises:
        RunError: there is no such run, it is damaged, or it no longer matches today's code.
    """
    run = load(profile, chapter, project)
    if changes := run.changes(project, pictures=False):
        raise RunError(
            f"chapter {run.chapter}, profile {profile}: the run is stale ({changes[0]}); "
            f"run `reidlab run {run.chapter} --profile {profile}` before keeping it"
        )
    folder = kept_folder(project, profile, run.chapter)
    info = dict(run.info)
    # Paths of this machine are not published.
    info["data"] = {
        name: {key: value for key, value in entry.items() if key != "root"} for name, entry in info["data"].items()
    }
    info["files"] = {RECORDS_FILE: info["files"][RECORDS_FILE]}
    with files.replacing(folder / RECORDS_FILE) as temporary:
        temporary.write_bytes((run.folder / RECORDS_FILE).read_bytes())
    files.write_json(folder / RUN_FILE, info)
    return folder


def note(run: StoredRun, entries: Mapping[str, Any]) -> None:
    """Write further entries into a stored run's ``run.json``."""
    files.write_json(run.folder / RUN_FILE, {**run.info, **entries})
