"""Verifying kept records: one seed is measured again with today's code and compared bit for bit.

Where the records are equal, the kept run says so from then on and counts as today's. Where they are not, the same seed
is measured with the commit that kept them: if that gives the kept values here, the code is the cause, else the machine.
A machine of another kind rounds otherwise; if on it that commit and today's code give the same values, bit for bit, the
code is the same, and that lifts the stale mark too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import reidlab
from reidlab.checks import plural
from reidlab.errors import ConfigError, RunError
from reidlab.files import temporary_folder
from reidlab.lab import profiles, records, runner, store
from reidlab.lab.notebook import parameters_of
from reidlab.lab.project import Project

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Verification:
    """The outcome of a verification.

    Attributes:
        equal: whether every record compared is the kept one.
        message: what was compared, and how the first record differs; one line.
    """

    equal: bool
    message: str


def verify(
    project: Project, chapter: str, profile: str = "standard", seed: int | None = None, *, progress: runner.Progress
) -> Verification:
    """Measure one seed of a kept run again and, where its records are equal, note that in ``results/``.

    Args:
        project: where the chapter and its kept records are.
        chapter: the chapter's name.
        profile: the profile whose records are kept.
        seed: one of the kept seeds; the first if None.
        progress: is notified of what happens.

    Raises:
        RunError: nothing is kept, or it is damaged, or the chapter fails.
        ConfigError: the seed is not among the kept ones, or the notebook has no longer the kept run's parameters.
    """
    chapter = project.chapter(chapter)
    kept = store.kept(chapter, profile, project)
    if kept is None:
        raise RunError(f"chapter {chapter}: no records of profile {profile} are kept; there is nothing to verify")
    seeds = kept.info["seeds"]
    seed = seeds[0] if seed is None and seeds else seed
    if seed not in seeds:
        raise ConfigError(f"--seed {seed}: chapter {chapter} keeps seeds {', '.join(map(str, seeds)) or 'none'}")
    job = _job(project, kept, seed)
    (outcome,) = runner.run_all([job], progress, force=True)
    if outcome.status == "failed":
        raise RunError(outcome.message)
    measured = store.open_run(job.folder)
    left_out = _left_out(kept.info["data"], measured.info["data"])
    starts = sorted({*kept.info.get("starts", ())} - {*measured.info.get("starts", ())})
    wanted = _comparable(kept.records, seed, left_out, bool(starts))
    difference = _difference(wanted, measured.records)
    what = f"{chapter}, profile {profile}, seed {seed}: "
    if wanted.empty:
        raise RunError(f"{what}there is no record to compare")
    left_out += starts
    note = f" ({', '.join(left_out)} left out: not found as kept)" if left_out else ""
    entry = {"seed": seed, "date": datetime.now(UTC).isoformat(timespec="seconds"), "records": len(wanted)}
    if difference:
        commit, cause = _origin(project, kept, job, seed, wanted, measured.records)
        if commit is None:
            return Verification(False, f"{what}{difference}{note}; {cause}")
        entry["commit"], note = commit, f"{note}; {cause}: {difference}"
    entry |= {name: measured.info[name] for name in ("versions", "machine", "device", "threads")}
    store.note(kept, {"verified": entry | {"left_out": left_out, "code": measured.info["code"]["records"]}})
    against = f" to what commit {entry['commit'][:10]} gives here" if difference else ""
    return Verification(True, f"{what}{plural(len(wanted), 'record')} equal bit for bit{against}{note}")


def _job(project: Project, kept: store.StoredRun, seed: int) -> runner.Job:
    chapter, parameters = kept.chapter, kept.info["parameters"]
    own = parameters_of(project.notebook(chapter))
    parameters = parameters | runner.seed_change(project, chapter, seed)
    if unknown := [name for name in parameters if name not in own]:
        raise ConfigError(
            f"chapter {chapter}: the kept run has parameters that the notebook no longer has ({', '.join(unknown)}); "
            "it cannot be measured again"
        )
    resolved = json.loads(json.dumps(own | profiles.check(parameters, own, f"chapter {chapter}, kept run")))
    return runner.Job(project, chapter, kept.profile, resolved, purpose=store.VERIFY, threads=int(kept.info["threads"]))


def _left_out(kept: Any, measured: Any) -> list[str]:
    """Return the real data sets of the kept run that are not here, or not as they were."""
    real = {name: entry for name, entry in kept.items() if not entry["embedded"]}
    return [name for name, entry in real.items() if entry["listing"] != measured.get(name, {}).get("listing")]


def _comparable(table: pd.DataFrame, seed: int, left_out: list[str], starts: bool) -> pd.DataFrame:
    """Return the records of a seed, and of none, whose values depend neither on the machine nor on data left out.

    Where ``starts`` are not as kept either, those of networks whose start is named are left out too.
    """

    def is_elsewhere(text: str) -> bool:
        dims = json.loads(text)
        return bool({*dims.values()} & {*left_out}) or (starts and "start" in dims)

    elsewhere = table["dims"].map(is_elsewhere)
    return table[((table["seed"] == seed).fillna(True)) & ~table["timing"] & ~elsewhere]


def _difference(kept: pd.DataFrame, measured: pd.DataFrame) -> str | None:
    """Say how the first record differs that does; records that are new do not."""
    found = _values(measured)
    for identity, value in _values(kept).items():
        if found.get(identity) != value:
            key, seed, protocol, dims = identity
            where = ", ".join(str(part) for part in (protocol, dims, seed) if part is not None)
            return f"{key} ({where}) is kept as {value}, measured now as {found.get(identity, 'nothing')}"
    return None


def _values(table: pd.DataFrame) -> dict[tuple[Any, ...], str]:
    """Return the value, in digits that tell every number from every other, and unit of each record."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return {tuple(row[name] for name in records.IDENTITY): f"{row['value']!r} {row['unit']}" for row in rows}


def _origin(
    project: Project, kept: store.StoredRun, job: runner.Job, seed: int, wanted: pd.DataFrame, today: pd.DataFrame
) -> tuple[str | None, str]:
    """Say whether the code or the machine is the cause: what does the commit that kept the records give here?

    Returns:
        The commit if it gives today's values here, so that the code is the same, else None; and the cause.
    """
    path = kept.folder / store.RECORDS_FILE
    unknown = "whether the code or the machine is the cause is unknown: "
    try:
        top = Path(_git(project.root, "rev-parse", "--show-toplevel"))
        commit = _git(top, "log", "-1", "--format=%H", "--", str(path))
        if not commit or _git(top, "status", "--porcelain", "--", str(path)):
            return None, f"{unknown}the kept records are not committed"
        if _git(top, "rev-parse", "--is-shallow-repository") == "true":
            return None, f"{unknown}the history is cut off"
        with temporary_folder() as folder:
            tree = folder.resolve() / "tree"
            # Not a worktree, which a killed process would leave in the repository's books.
            _git(top, "clone", "--quiet", "--shared", "--no-checkout", str(top), str(tree))
            _git(tree, "checkout", "--quiet", "--detach", commit)
            measured = _run_at(tree, project.root.resolve().relative_to(top.resolve()), job, seed)
            same, kind = _difference(wanted, measured) is None, wanted[list(records.IDENTITY)]
            elsewhere = measured.merge(kind, on=list(records.IDENTITY))
            as_today = len(elsewhere) == len(wanted) and _difference(elsewhere, today) is None
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or getattr(error, "stdout", "") or str(error)
        reason = said.strip().splitlines()[-1]
        return None, f"{unknown}{reason}"
    if same:
        return None, f"the code changed them: commit {commit[:10]} gives the kept values here"
    cause = f"this machine gives other values: commit {commit[:10]}, which kept them, does not give them here either"
    return (commit, cause) if as_today else (None, f"{cause}, nor today's")


def _run_at(tree: Path, inside: Path, job: runner.Job, seed: int) -> pd.DataFrame:
    """Return what a seed of a job gives with the code of a checkout, in a run store and with worlds of its own."""
    runs = tree.parent / "runs"
    parts = [tree, Path(reidlab.__file__).resolve().parent.parent, *filter(None, [os.environ.get("PYTHONPATH")])]
    surroundings = os.environ | runner.threads_in_environment(job.threads)
    surroundings |= {"PYTHONPATH": os.pathsep.join(map(str, parts)), "REIDLAB_RUNS": str(runs)}
    surroundings |= {"REIDLAB_CACHE": str(tree.parent / "cache")}
    command = [sys.executable, "-m", "reidlab", "run", job.chapter, "--profile", job.profile, "--seed", str(seed)]
    # Pieces that the commit keeps were measured elsewhere.
    command += ["--force", "--project", str(tree / inside)]
    subprocess.run(command, env=surroundings, cwd=tree, capture_output=True, text=True, check=True)
    (found,) = runs.glob(f"*/{job.chapter}/{store.RECORDS_FILE}")
    return records.read(found)


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
