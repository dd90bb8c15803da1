"""The run as a chapter's notebook sees it: what it records, and what it ran on.

The same calls work under ``reidlab run`` (which keeps the records), in Jupyter and under plain papermill
(which show them and keep nothing)::

    from reidlab import lab

    run = lab.start("01_person_reid", parameters=lab.parameters(globals()))
    run.data("small world", hash=spec.key(), embedded=True)
    run.record("rank1", scores.rank(1), seed=seed, protocol="market1501", loss="triplet")
    run.table("rank1", "mAP", rows="loss")
    run.glue("best_rank1", 0.912)
    run.finish()
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from reidlab import files
from reidlab.errors import RunError
from reidlab.lab import codehash, environment, records

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
DIRECTORY_VARIABLE = "REIDLAB_RUN_DIR"
CONTEXT_FILE = "context.json"
RECORDS_FILE = "records.parquet"
RUN_FILE = "run.json"


def parameters(namespace: Mapping[str, Any], names: str | None = None) -> dict[str, Any]:
    """Return a notebook's resolved parameters.

    Args:
        namespace: the notebook's ``globals()``.
        names: the parameters' names, with spaces between; without it, every public name that holds plain
            data so far (so call it right below the parameters cell).

    Raises:
        RunError: a name is not defined.
    """
    if names is not None:
        if missing := [name for name in names.split() if name not in namespace]:
            raise RunError(f"parameters: {', '.join(missing)} not defined; run the parameters cell first")
        return {name: namespace[name] for name in names.split()}
    return {
        name: value
        for name, value in namespace.items()
        if not name.startswith("_")
        and name not in ("In", "Out")
        and not isinstance(value, ModuleType)
        and not callable(value)
        and _is_plain(value)
    }


def start(
    chapter: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    directory: Path | str | None = None,
) -> Run:
    """Begin a chapter's run.

    Args:
        chapter: the chapter's id, which is its notebook's stem.
        parameters: the resolved parameters, see :func:`parameters`.
        directory: where :meth:`Run.finish` writes; without it, where the runner says, else nowhere.

    Raises:
        RunError: the runner started another chapter, or with other parameters than are given here.
    """
    given = json.loads(json.dumps(dict(parameters or {}), default=_refuse))
    context: dict[str, Any] = {}
    if directory is None and (value := os.environ.get(DIRECTORY_VARIABLE)):
        directory = Path(value)
        context = files.read_json(directory / CONTEXT_FILE)
        if context["chapter"] != chapter:
            raise RunError(
                f"the notebook of chapter {context['chapter']!r} starts a run of {chapter!r}; "
                "the two names must be the same"
            )
        _same_parameters(chapter, given, context["parameters"])
    return Run(chapter, given, Path(directory) if directory else None, context)


class Run:
    """One run of one chapter; made by :func:`start`.

    Attributes:
        chapter: the chapter's id.
        parameters: its resolved parameters.
        profile: name of the profile, or None outside of ``reidlab run``.
    """

    def __init__(
        self, chapter: str, parameters: dict[str, Any], directory: Path | None, context: Mapping[str, Any]
    ) -> None:
        self.chapter = chapter
        self.parameters = parameters
        self.profile: str | None = context.get("profile")
        self._directory = directory
        self._context = context
        self._rows: list[dict[str, Any]] = []
        self._identities: set[tuple[Any, ...]] = set()
        self._units: dict[str, str] = {}
        self._data: dict[str, dict[str, Any]] = {}
        self._glued: dict[str, Any] = {}
        self._kept: dict[str, str | None] = {}
        self._pieces: list[dict[str, Any]] = []
        self._in_piece = False
        self._finished = False
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()

    def record(
        self,
        key: str,
        value: float,
        unit: str = "fraction",
        seed: int | None = None,
        protocol: str | None = None,
        timing: bool = False,
        **dims: str | int | float | bool,
    ) -> None:
        """Record one measured value; see :mod:`reidlab.lab.records` for what each field means.

        Raises:
            RunError: the value, its key or a dimension is not allowed, or the same is recorded already.
        """
        self._add(
            records.record(
                self.chapter,
                key,
                value,
                unit,
                seed=seed,
                protocol=protocol,
                timing=timing,
                dims=dims,
            )
        )

    def record_all(
        self,
        values: Mapping[str, float],
        unit: str = "fraction",
        seed: int | None = None,
        protocol: str | None = None,
        timing: bool = False,
        **dims: str | int | float | bool,
    ) -> None:
        """Record several values of one experiment, such as a summary of scores, by key."""
        for key, value in values.items():
            self.record(key, value, unit, seed, protocol, timing, **dims)

    def data(self, name: str, hash: str, *, embedded: bool, describe: str = "", root: Path | None = None) -> None:
        """Name the data this run measures on.

        Args:
            name: the data set's name (``"MARS"``, ``"small world"``).
            hash: hash of its manifest or specification.
            embedded: True for the generated world; what is measured there never counts as a paper's number.
            describe: one line for the run card.
            root: folder of a data set on disk; the run is repeated once files in it appear, vanish or
                change their size. The path itself is not published.

        Raises:
            RunError: the name was given before with another hash, or the hash is empty.
        """
        self._check_open()
        if not isinstance(hash, str) or not hash:
            raise RunError(f"{self.chapter}: data {name!r}: the hash must be a text, found {hash!r}")
        entry: dict[str, Any] = {"hash": hash, "embedded": bool(embedded), "describe": describe}
        if root is not None:
            folder = Path(root).resolve()
            entry |= {"root": str(folder), "listing": files.listing_hash(folder)}
        if self._data.setdefault(name, entry) != entry:
            raise RunError(f"{self.chapter}: data {name!r} is named twice, with different contents")

    def piece(self, name: str, compute: Callable[..., pd.DataFrame | None], /, **inputs: Any) -> pd.DataFrame:
        """Compute a part of a long run, or load it if an interrupted run has computed it already.

        Under ``reidlab run``, what ``compute`` records and returns is kept until the chapter succeeds. It is
        found again as long as the piece's name and inputs, the run's parameters, the notebook's code
        up to this cell, the modules it imports and the packages' versions are the same.

        Args:
            name: the piece's name, in snake case.
            compute: called with ``inputs``; records through this run, and may return a table to draw from.
            inputs: what tells this piece from others of the same name: plain data only.

        Returns:
            What ``compute`` returned; if that is None, the piece's records with dimensions as columns.

        Raises:
            RunError: a name or input is not plain, two pieces are the same, or one lies inside another.

        Example:
            >>> run = start("made_up")
            >>> def experiment(seed):
            ...     run.record("rank1", 0.5 + seed / 10, seed=seed)
            >>> [float(run.piece("train", experiment, seed=seed)["value"].iloc[0]) for seed in (0, 1)]
            [0.5, 0.6]
        """
        import pandas as pd

        self._check_open()
        if self._in_piece:
            raise RunError(f"{self.chapter}: piece {name!r} lies inside another piece")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise RunError(f"{self.chapter}: piece {name!r}: a name is written in snake_case")
        identity = json.dumps([name, inputs], sort_keys=True, default=_refuse)
        if any(piece["identity"] == identity for piece in self._pieces):
            raise RunError(f"{self.chapter}: piece {name!r} with inputs {inputs} is computed twice")

        folder = self._piece_folder(name, identity)
        stored = _load_piece(folder) if folder else None
        if stored is not None:
            rows, table, seconds = stored
            for row in rows:
                self._add(row)
        else:
            first, clock = len(self._rows), time.perf_counter()
            self._in_piece = True
            try:
                table = compute(**inputs)
            finally:
                self._in_piece = False
            if table is not None and not isinstance(table, pd.DataFrame):
                raise RunError(
                    f"{self.chapter}: piece {name!r} returned {type(table).__name__}; expected a DataFrame or None"
                )
            rows, seconds = self._rows[first:], time.perf_counter() - clock
            if folder:
                _store_piece(folder, rows, table, seconds)
        self._pieces.append(
            {"identity": identity, "seconds": round(seconds, 3), "resumed": stored is not None, "inputs": inputs}
        )
        return records.expand(records.frame(rows)) if table is None else table

    def records(self) -> pd.DataFrame:
        """Return what is recorded so far, in the schema of :mod:`reidlab.lab.records`."""
        return records.frame(self._rows)

    def table(self, *keys: str, rows: str | list[str] = "seed", columns: str | None = None) -> pd.DataFrame:
        """Return means of recorded values as a table, see :func:`reidlab.lab.records.pivot`."""
        return records.pivot(self.records(), keys, rows, columns)

    def kept(self, profile: str = "standard") -> pd.DataFrame | None:
        """Return the kept records of this chapter under another profile, or None if there are none."""
        from reidlab.lab import store
        from reidlab.lab.project import Project

        self._check_open()
        project = Project.find(self._context.get("project"))
        self._kept[profile] = store.kept_digest(project, profile, self.chapter)
        kept = store.kept(self.chapter, profile, project)
        return None if kept is None else kept.records

    def glue(self, name: str, value: Any) -> None:
        """Give a number, a text or a figure a name under which the book's text can show it.

        Raises:
            RunError: the name is not in snake case, or is given twice with different values.
        """
        self._check_open()
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise RunError(f"{self.chapter}: glue {name!r}: a name is written in snake_case")
        plain = value.item() if hasattr(value, "item") and getattr(value, "size", 1) == 1 else value
        if isinstance(plain, str | int | float | bool):
            if name in self._glued and self._glued[name] != plain:
                raise RunError(f"{self.chapter}: glue {name!r} is {self._glued[name]} and then {plain}")
            self._glued[name] = plain
        if _shell() is None:
            return
        try:
            from myst_nb import glue
        except ImportError:
            return
        glue(name, plain, display=False)

    def card(self) -> Any:
        """Return the run card, which Jupyter shows as a table."""
        from reidlab.lab.card import Card

        return Card(self.describe())

    def describe(self) -> dict[str, Any]:
        """Return everything known about this run, as it is written to ``run.json``."""
        return {
            "format": FORMAT,
            "chapter": self.chapter,
            "profile": self.profile,
            "overrides": self._context.get("overrides", {}),
            "parameters": self.parameters,
            "seeds": sorted({row["seed"] for row in self._rows if row["seed"] is not None}),
            "records": len(self._rows),
            "keys": sorted(self._units),
            "data": self._data,
            "kept": self._kept,
            "code": self._context.get("code") or self._code_of_checkout(),
            "versions": environment.versions(),
            "device": environment.device(),
            "threads": environment.threads(),
            "machine": environment.machine(),
            "started": self._started.isoformat(timespec="seconds"),
            "wall_s": round(time.perf_counter() - self._clock + self._resumed_seconds(), 1),
            "pieces": [{k: v for k, v in piece.items() if k != "identity"} for piece in self._pieces],
            "glue": self._glued,
        }

    def finish(self) -> None:
        """End the run: check the records and, where there is a place for them, write them.

        Raises:
            RunError: the run is finished already, has no records, or the disk is full.
        """
        self._check_open()
        if not self._rows:
            raise RunError(f"{self.chapter}: nothing was recorded")
        table = self.records()
        self._finished = True
        if self._directory is None:
            return
        records.write(table, self._directory / RECORDS_FILE)
        description = self.describe()
        description["files"] = {RECORDS_FILE: files.digest(self._directory / RECORDS_FILE)}
        files.write_json(self._directory / RUN_FILE, description)

    def _add(self, row: dict[str, Any]) -> None:
        self._check_open()
        identity = tuple(row[name] for name in records.IDENTITY)
        if identity in self._identities:
            raise RunError(
                f"{self.chapter}: {row['key']!r} is recorded already for seed {row['seed']}, protocol "
                f"{row['protocol']}, dimensions {row['dims']}; name what tells the two values apart"
            )
        unit = self._units.setdefault(row["key"], row["unit"])
        if unit != row["unit"]:
            raise RunError(f"{self.chapter}: {row['key']!r} is recorded in {unit} and in {row['unit']}")
        self._identities.add(identity)
        self._rows.append(row)

    def _check_open(self) -> None:
        if self._finished:
            raise RunError(f"{self.chapter}: the run is finished; call lab.start again for another")

    def _resumed_seconds(self) -> float:
        return sum(piece["seconds"] for piece in self._pieces if piece["resumed"])

    def _piece_folder(self, name: str, identity: str) -> Path | None:
        """Return the file stem under which a piece is kept, or None where nothing is kept."""
        shell = _shell()
        if "pieces" not in self._context or shell is None:
            return None
        code = codehash.of_cells(shell.user_ns["In"][1:], self.chapter).records_hash
        key = json.dumps([identity, self.parameters, code, environment.versions()], sort_keys=True)
        return Path(self._context["pieces"]) / f"{name}-{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}"

    def _code_of_checkout(self) -> dict[str, Any] | None:
        """Outside of the runner: the code of this chapter in the checkout, if there is one."""
        from reidlab.errors import ReidlabError
        from reidlab.lab.project import Project

        try:
            return codehash.of_chapter(Project.find().notebook(self.chapter)).as_dict()
        except ReidlabError:
            return None


def _store_piece(folder: Path, rows: list[dict[str, Any]], table: pd.DataFrame | None, seconds: float) -> None:
    """Write a piece; its JSON file comes last, so that a piece without one does not count."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if table is not None:
        with files.replacing(folder.with_suffix(".table.parquet")) as temporary:
            table.to_parquet(temporary)
    files.write_json(folder.with_suffix(".json"), {"rows": rows, "table": table is not None, "seconds": seconds})


def _load_piece(folder: Path) -> tuple[list[dict[str, Any]], pd.DataFrame | None, float] | None:
    """Read a piece; one that cannot be read is computed again."""
    import pandas as pd

    try:
        content = files.read_json(folder.with_suffix(".json"))
        table = pd.read_parquet(folder.with_suffix(".table.parquet")) if content["table"] else None
        return content["rows"], table, content["seconds"]
    except (RunError, OSError, ValueError, KeyError):
        return None


def _same_parameters(chapter: str, given: Mapping[str, Any], resolved: Mapping[str, Any]) -> None:
    for name in sorted({*given, *resolved}):
        if name not in resolved:
            raise RunError(
                f"{chapter}: {name!r} is recorded as a parameter but is not in the parameters cell; "
                "call lab.parameters right below that cell, or name the parameters"
            )
        if name not in given:
            raise RunError(f"{chapter}: parameter {name!r} is not passed to lab.start")
        if given[name] != resolved[name]:
            raise RunError(
                f"{chapter}: parameter {name!r} is {given[name]!r} at lab.start, but the run was started "
                f"with {resolved[name]!r}; a cell changes it in between"
            )


def _shell() -> Any:
    """Return the shell of the notebook this runs in, or None in a script or a plain console."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    shell = get_ipython()
    return shell if getattr(shell, "kernel", None) is not None else None


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _refuse(value: Any) -> Any:
    raise RunError(f"{value!r} is not plain data (numbers, text, lists, mappings)")
