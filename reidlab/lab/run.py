"""The run as a chapter's notebook sees it: what it records, and what it ran on.

The same calls work under ``reidlab run`` (which keeps the records), in Jupyter and under plain papermill
(which show them and keep nothing)::

    from reidlab import lab

    run = lab.start("01_person_reid", parameters=lab.parameters(globals()))
    kept = run.measure(study, seeds)
    run.record("shared_identities", 0, unit="count")
    run.table("rank1", "mAP", rows="loss")
    run.glue("best_rank1", 0.912)
    run.finish()
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reidlab import files
from reidlab.checks import check_name
from reidlab.errors import ReidlabError, RunError
from reidlab.lab import codehash, environment, pieces, records, store
from reidlab.lab.notebook import without_address_grammar
from reidlab.lab.parameters import check_same, plain
from reidlab.lab.project import Project
from reidlab.memory import keep_freed_memory

if TYPE_CHECKING:
    import pandas as pd


def start(
    chapter: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    directory: Path | str | None = None,
) -> Run:
    """Begin a chapter's run.

    Args:
        chapter: the chapter's id, which is its notebook's stem.
        parameters: the resolved parameters, see :func:`reidlab.lab.parameters.parameters`.
        directory: where :meth:`Run.finish` writes; without it, where the runner says, else nowhere.

    Raises:
        ConfigError: the chapter is no name.
        RunError: the runner started another chapter, or with other parameters than are given here; or they are not
            plain.
    """
    given = plain(dict(parameters or {}), f"{check_name('chapter', chapter)}: parameters")
    keep_freed_memory()
    context: dict[str, Any] = {}
    if directory is None and (value := os.environ.get(store.DIRECTORY_VARIABLE)):
        directory = Path(value)
        context = files.read_json(directory / store.CONTEXT_FILE)
        if context["chapter"] != chapter:
            raise RunError(
                f"the notebook of chapter {context['chapter']!r} starts a run of {chapter!r}; "
                "the two names must be the same"
            )
        check_same(chapter, given, context["parameters"])
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
        self._starts: dict[str, None] = {}
        self._glued: dict[str, Any] = {}
        self._kept: dict[str, str | None] = {}
        self._pieces: list[dict[str, Any]] = []
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
        row = records.record(self.chapter, key, value, unit, seed, protocol, timing, dims)
        self._add(row)

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

    def measure(self, study: Any, seeds: Iterable[int]) -> pieces.Kept:
        """Measure a study over seeds and record it: its data, its facts, and every place and seed.

        Under ``reidlab run``, each place is stored as soon as it is measured, and found again by later runs of the
        chapter as long as nothing that it rests on has changed (see :mod:`reidlab.lab.pieces`): an interrupted run goes
        on, and more seeds extend a run.

        Args:
            study: any object with ``describe()``, its whole configuration as plain data, without seeds;
                ``sources(seeds)``, keyword arguments of :meth:`data` for each data set that it measures on;
                ``places(seeds)``, pairs of a data set's label and a seed; ``facts()``, keyword arguments of
                :meth:`record` for what needs no training; and ``measure(label, seed)``, which returns an object with
                ``rows`` (keyword arguments of :meth:`record`) and ``kept`` (what figures are drawn from, by a name in
                snake case: an array, a data frame, a mapping of names to tensors, or plain data). ``start_names()``
                returns where networks begin, for the run card; empty where all begin from scratch.
            seeds: the study is measured with each of them.

        Returns:
            What figures are drawn from, by label and seed.

        Raises:
            RunError: the study has no place, or one twice, or gives something that cannot be recorded or stored.
        """
        self._check_open()
        seeds = list(seeds)
        identity = pieces.identify(self.chapter, study) if "pieces" in self._context else None
        sources = list(study.sources(seeds))
        for source in sources:
            self.data(**source)
        self._starts |= dict.fromkeys(study.start_names())
        for row in study.facts():
            self.record(**row)
        # Where a data set lies doesn't matter.
        real = {
            source["name"]: {key: value for key, value in self._data[source["name"]].items() if key != "root"}
            for source in sources
            if not source["embedded"]
        }
        kept = pieces.Kept()
        places = list(study.places(seeds))
        # Real sets without a place of their own are measured in the others.
        inside = {name: entry for name, entry in real.items() if name not in {label for label, _ in places}}
        for label, seed in places:
            if (label, seed) in kept:
                raise RunError(f"{self.chapter}: the study measures {label!r} twice with seed {seed}")
            place = {"label": label, "seed": int(seed), "data": real if label in real else inside}
            kept[label, seed] = self._measure_place(study, identity and identity | place, label, int(seed))
        if not kept:
            raise RunError(f"{self.chapter}: the study has nothing to measure with seeds {seeds}")
        return kept

    def records(self) -> pd.DataFrame:
        """Return what is recorded so far, in the schema of :mod:`reidlab.lab.records`."""
        return records.frame(self._rows)

    def table(self, *keys: str, rows: str | list[str] = "seed", columns: str | None = None) -> pd.DataFrame:
        """Return means of recorded values as a table, see :func:`reidlab.lab.records.pivot`."""
        return records.pivot(self.records(), keys, rows, columns)

    def kept(self, profile: str = "standard") -> pd.DataFrame | None:
        """Return the kept records of this chapter under another profile, or None if there are none."""
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
        # It imports notebook libraries when it is called.
        with without_address_grammar():
            glue(name, plain, display=False)

    def card(self) -> Any:
        """Return the run card, which Jupyter shows as a table."""
        from reidlab.lab.card import Card

        return Card(self.describe())

    def describe(self) -> dict[str, Any]:
        """Return everything known about this run, as it is written to ``run.json``."""
        resumed = sum(piece["seconds"] for piece in self._pieces if piece["resumed"])
        return {
            "format": store.FORMAT,
            "chapter": self.chapter,
            "profile": self.profile,
            "overrides": self._context.get("overrides", {}),
            "parameters": self.parameters,
            "seeds": sorted({row["seed"] for row in self._rows if row["seed"] is not None}),
            "records": len(self._rows),
            "keys": sorted(self._units),
            "data": self._data,
            "starts": list(self._starts),
            "kept": self._kept,
            "code": self._context.get("code") or self._code_of_checkout(),
            "versions": environment.versions(),
            "device": environment.device(),
            "threads": environment.threads(),
            "machine": environment.machine(),
            "started": self._started.isoformat(timespec="seconds"),
            "wall_s": round(time.perf_counter() - self._clock + resumed, 1),
            "pieces": self._pieces,
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
        records.write(table, self._directory / store.RECORDS_FILE)
        description = self.describe()
        description["files"] = {store.RECORDS_FILE: files.digest(self._directory / store.RECORDS_FILE)}
        files.write_json(self._directory / store.RUN_FILE, description)

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

    def _measure_place(self, study: Any, identity: Mapping[str, Any] | None, label: str, seed: int) -> dict[str, Any]:
        """Measure at one place or load its piece, record its rows, and return what was kept."""
        folder = pieces.folder_of(Path(self._context["pieces"]), identity) if identity else None
        places = [folder] if folder and not self._context.get("again") else []
        if places and (elsewhere := self._context.get("kept_pieces")):
            places.append(pieces.folder_of(Path(elsewhere), identity))
        found = next(((p, place) for place in places if (p := pieces.load(place, identity))), None)
        piece = found[0] if found else None
        resumed = piece is not None
        damaged = not resumed and any(place.exists() for place in places)
        if piece is None:
            first, clock = len(self._rows), time.perf_counter()
            measured = study.measure(label, seed)
            for row in measured.rows:
                self.record(**row)
            kept = pieces.check(measured.kept, f"{self.chapter}: {label!r}, seed {seed}")
            piece = pieces.Piece(self._rows[first:], kept, time.perf_counter() - clock, environment.machine())
            if folder and self._directory:
                pieces.save(folder, self._directory, identity, piece, self.profile)
                # What is drawn now is what a resumed run would draw.
                piece = pieces.load(folder, identity) or piece
        else:
            for row in piece.rows:
                self._add(row)
            if self._directory:
                pieces.take(found[1], folder, self._directory, self.profile)
        entry = {"seconds": round(piece.seconds, 3), "resumed": resumed, "inputs": {"label": label, "seed": seed}}
        entry |= {"key": folder.name} if folder else {}
        other = {"machine": piece.machine} if piece.machine not in ("", environment.machine()) else {}
        self._pieces.append(entry | other | ({"damaged": True} if damaged else {}))
        return piece.kept

    def _code_of_checkout(self) -> dict[str, Any] | None:
        """Outside of the runner: the code of this chapter in the checkout, if there is one."""
        try:
            return codehash.of_chapter(Project.find().notebook(self.chapter)).as_dict()
        except ReidlabError:
            return None


def _shell() -> Any:
    """Return the shell of the notebook this runs in, or None in a script or a plain console."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    shell = get_ipython()
    return shell if getattr(shell, "kernel", None) is not None else None
