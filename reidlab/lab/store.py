"""Reading back what runs left: the run store, and the kept records in ``results/``.

::

    _runs/<profile>/<chapter>/     records.parquet  run.json  <chapter>.ipynb     the last good run
                                   failed.ipynb                                   the last failed one, if later
    _runs/pieces/<chapter>/<key>/  manifest.json  plain.json  arrays.npz  ...     measured places of any run of it
    results/<profile>/<chapter>/   records.parquet  run.json                      what is worth keeping in git
    results/pieces/<chapter>/<key>/                                               pieces of a run that is not complete

``run.json`` holds the hash of the files beside it and is written last, so that a half-replaced or damaged
run is noticed and never read. Runs with parameters changed on the command line lie under ``<profile>.custom``, those
that verify kept records under ``<profile>.verify``; both leave the profile's own runs alone. Pieces are shared by all
of them, see :mod:`reidlab.lab.pieces`; those in ``results/`` carry a long run from one machine to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reidlab import files
from reidlab.checks import check_name, printable
from reidlab.errors import ConfigError, ReidlabError, RunError
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
WORKPLACE = ".running"
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
# Where pieces lie, beside the profiles.
PIECES = "pieces"

# What a run's description holds: types, mappings of fields ("?": may be missing) or of any names, lists of items.
_CODE = {"hash": str, "notebook": str, "modules": {str: str}}
_DESCRIPTION = {
    "format": int,
    "chapter": str,
    "profile": str | None,
    "overrides?": dict,
    "parameters": dict,
    "seeds?": [int],
    "records?": int,
    "keys?": [str],
    "data": {str: {"hash": str, "embedded": bool, "describe?": str, "root?": str, "listing?": str}},
    "starts?": [str],
    "kept?": {str: str | None},
    "code": _CODE | {"records?": _CODE},
    "versions": {str: str},
    "device?": str,
    "threads?": int,
    "machine?": str,
    "started": datetime,
    "wall_s": float,
    "pieces?": [{"seconds": float, "resumed": bool, "damaged?": bool, "machine?": str, "key?": str, "inputs": dict}],
    "glue?": dict,
    "files": {str: str},
    "verified?": {
        "seed": int,
        "date": datetime,
        "records": int,
        "commit?": str,
        "left_out": [str],
        "code": _CODE,
        "versions": {str: str},
        "machine": str,
        "device": str,
        "threads": int,
    },
}


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

    def changes(self, project: Project, pictures: bool = True, verified: bool = True) -> list[str]:
        """Say how today's code differs from the one that ran, or that verified its records; empty if it does not.

        Args:
            project: where today's chapters are.
            pictures: whether what only the page shows counts: it does for a page, not for records.
            verified: whether code that verified the records counts as the one that ran.
        """
        try:
            code = codehash.of_chapter(project.notebook(self.chapter))
        except ReidlabError as error:
            return [str(error)]
        changes = code.changes_since(self.info["code"] or {}, pictures)
        if changes and not pictures and verified and (entry := self.info.get("verified")):
            return code.changes_since(entry["code"], pictures)
        return changes

    def is_older(self, project: Project) -> bool:
        """Return whether other code ran than today's, verified or not: it may lack rows that came since."""
        return bool(self.changes(project, pictures=False, verified=False))

    def is_stale(self, project: Project) -> bool:
        """Return whether today's code could give other records."""
        return bool(self.changes(project, pictures=False))


def run_folder(project: Project, profile: str, chapter: str) -> Path:
    """Return the folder of a chapter's runs under a profile, whether it exists or not.

    Raises:
        ConfigError: one of them is no name.
    """
    return project.runs / check_name("profile", profile) / check_name("chapter", chapter)


def pieces_folder(project: Project, chapter: str) -> Path:
    """Return the folder of a chapter's pieces, whether it exists or not.

    Raises:
        ConfigError: it is no name.
    """
    return project.runs / PIECES / check_name("chapter", chapter)


def kept_pieces_folder(project: Project, chapter: str) -> Path:
    """Return the folder of a chapter's pieces in ``results/``, whether it exists or not.

    Raises:
        ConfigError: it is no name.
    """
    return project.results / PIECES / check_name("chapter", chapter)


def kept_folder(project: Project, profile: str, chapter: str) -> Path:
    """Return the folder of a chapter's kept records under a profile, whether it exists or not.

    Raises:
        ConfigError: one of them is no name.
    """
    return project.results / check_name("profile", profile) / check_name("chapter", chapter)


def check_profile(name: object) -> str:
    """Return the name of a profile.

    Raises:
        ConfigError: it is no name, or one that the run store uses itself.
    """
    profile = check_name("profile", name)
    if profile == PIECES or profile.endswith((f".{CUSTOM}", f".{VERIFY}")):
        raise ConfigError(f"profile: {profile!r} is a name of the run store's own; choose another one")
    return profile


def load(profile: str, chapter: str, project: Project) -> StoredRun:
    """Return the last good run of a chapter under a profile.

    Raises:
        RunError: there is none, or it is damaged.
    """
    chapter = project.chapter(chapter)
    folder = run_folder(project, profile, chapter)
    if not (folder / RUN_FILE).is_file():
        found = sorted({path.parts[-3] for path in project.runs.glob(f"*/{chapter}/{RUN_FILE}")})
        others = [name for name in found if "." not in name]
        instead = f"it has one under {' and '.join(others)}, see --profile; else " if others else ""
        raise RunError(
            f"{folder}: chapter {chapter} has no run under profile {profile}; {instead}"
            f"run `{project.command(f'run {chapter} --profile {profile}')}`"
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
    if missing := [name for name in _DESCRIPTION if not name.endswith("?") and name not in info]:
        raise RunError(f"{path}: has no {missing[0]!r}; run the chapter again")
    if info["format"] != FORMAT:
        raise RunError(f"{path}: is of format {info['format']!r}, this version reads {FORMAT}; run the chapter again")
    # Outside of a project's code there is none to name.
    shape = _DESCRIPTION if info["code"] is not None else {**_DESCRIPTION, "code": None}
    if place := _misfit(info, shape):
        raise RunError(f"{path}: {printable(place)} is not as it was written; run the chapter again")
    # Runs with other parameters lie beside the profile's own, as <profile>.custom.
    above, profile = folder.parent.name, info["profile"]
    if info["chapter"] != folder.name or (profile is not None and not f"{above}.".startswith(f"{profile}.")):
        found = printable(f"chapter {info['chapter']!r}, profile {profile!r}")
        raise RunError(f"{path}: is of {found}, and does not belong here; run the chapter again")
    for name, expected in info["files"].items():
        check_name(f"{path}: files", name, RunError)
        if not (folder / name).is_file():
            raise RunError(f"{folder / name}: missing, though {RUN_FILE} names it; run the chapter again")
        if files.digest(folder / name) != expected:
            raise RunError(f"{folder / name}: is not the file that was written; run the chapter again")
    if RECORDS_FILE not in info["files"]:
        raise RunError(f"{path}: files does not name {RECORDS_FILE}; run the chapter again")
    return StoredRun(folder, info, kept)


def _misfit(value: Any, shape: Any, place: str = "") -> str | None:
    """Return the place of the first part of a description that has not its shape; None if all have."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return place
        if str in shape:
            parts = [(name, shape[str]) for name in value]
        else:
            known = {name.removesuffix("?"): part for name, part in shape.items()}
            parts = [(name, known[name]) for name in value if name in known]
            if missing := [name for name in shape if not name.endswith("?") and name not in value]:
                return f"{place}.{missing[0]}".removeprefix(".")
        found = (_misfit(value[name], part, f"{place}.{name}".removeprefix(".")) for name, part in parts)
        return next(filter(None, found), None)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return place
        return next(filter(None, (_misfit(item, shape[0], f"{place}[{n}]") for n, item in enumerate(value))), None)
    if shape is datetime:
        try:
            datetime.fromisoformat(value)
        except (TypeError, ValueError):
            return place
        return None
    if shape in (int, float):
        number = isinstance(value, int | shape) and not isinstance(value, bool)
        return None if number and abs(value) < 2**63 else place  # which NaN is not
    return None if (value is None if shape is None else isinstance(value, shape)) else place


def keep(chapter: str, profile: str, project: Project) -> Path:
    """Copy a run's records and description to ``results/``, and return their folder.

    Raises:
        RunError: there is no such run, it is damaged, or it no longer matches today's code.
    """
    run = load(profile, chapter, project)
    if changes := run.changes(project, pictures=False):
        raise RunError(
            f"chapter {run.chapter}, profile {profile}: the run is stale ({changes[0]}); "
            f"run `{project.command(f'run {run.chapter} --profile {profile}')}` before keeping it"
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
