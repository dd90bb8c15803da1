"""Learning from unlabelled pictures: the tool behind ``reidlab learn``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reidlab.checks import plural
from reidlab.data import ImageCache
from reidlab.data.decoded import Pictures
from reidlab.errors import DataError, RunError
from reidlab.files import replacing, write_json
from reidlab.models import ReIDNet
from reidlab.pseudolabel.loop import LoopResult, PseudoLabelOptions, Round, run_loop
from reidlab.pseudolabel.unlabelled import STEPS, hsr
from reidlab.seeding import derive
from reidlab.tools.common import ASKED, STATE, check_begun, checked_run, working, write_private_table
from reidlab.tools.network import Say, world_network
from reidlab.tools.starts import Start, keep_network, read_start

CLUSTERS, ROUNDS = "clusters.csv", "rounds.csv"


@dataclass(frozen=True)
class Learnt:
    """The result of :func:`learn_pictures`.

    Attributes:
        folder: with the network (see :func:`~reidlab.tools.starts.keep_network`), ``clusters.csv`` (path, camera and
            cluster of every picture; -1 is in none; only its owner may read it) and ``rounds.csv`` (values of every
            round).
        model: the network.
        rounds: what each round did.
    """

    folder: Path
    model: ReIDNet
    rounds: list[Round]


def learn_pictures(
    table: pd.DataFrame,
    out: str | Path,
    *,
    start: Start | None = None,
    steps: Mapping[str, int] = STEPS,
    options: PseudoLabelOptions | None = None,
    seed: int = 0,
    resume: bool = False,
    root: str | Path | None = None,
    quiet: bool = True,
    say: Say = lambda line: None,
) -> Learnt:
    """Learn from unlabelled pictures, by the loop of chapter 4.

    Identities in the table are used for measuring only. With pictures of a single camera nothing can be mined across
    cameras; that part is then left out, and the rounds lack its values.

    Args:
        table: sample table; its ``train`` rows are learnt from, or all rows where none is.
        out: folder to write; it must be new, or hold what an interrupted run left, with ``resume``.
        start: what to begin with, see :func:`~reidlab.tools.starts.read_start`; where None, a network is first
            trained on people of the embedded world.
        steps: training steps of the network to begin with (``start``) and of each ``round``.
        options: what is done in a round; HSR for as many pictures as there are, where None.
        seed: of everything random.
        resume: whether to go on with an interrupted run, whose settings must be the same; there may be more rounds.
        root: the data set's folder, into which nothing may be written.
        quiet: whether to leave out progress bars.
        say: gets a line before the first training and after every round.

    Raises:
        ConfigError: the folder holds something already, lies in the data set's, or its run had other settings.
        DataError: a picture cannot be read, or there are fewer than two.
        RunError: another process is at work in the folder; or the clusters of the first round could not be trained on:
            the folder then holds no network.
        StorageError: the folder cannot be written.
    """
    out, start = checked_run(out, resume, root), start or read_start()
    rows = learnt_from(table)
    if len(rows) < 2:
        name = table.attrs.get("dataset", "table")
        raise DataError(f"{name}: {plural(len(rows), 'picture')} to learn from; at least 2 are needed")
    options = options or hsr(len(rows), int(rows["camid"].nunique()), rate=start.rate, people=start.people)
    if options.homogeneity and not start.has_map:
        say(f"{start.name}: its graph does not end in the average of a map, so clusters are not split")
        options = options.with_(homogeneity=False)
    asked = _asked(rows, options, start, steps, seed)
    with working(out, "learn", can_resume):
        begun = check_begun(out, asked, resume, can_resume(out))
        pictures = Pictures(rows, np.asarray(ImageCache(rows, start.recipe.size, quiet=quiet)))
        write_json(out / STATE / ASKED, asked)
        model = _begin(start, steps["start"], seed, begun, say, quiet)
        found = run_loop(
            model, pictures, options, start.recipe, steps["round"], derive(seed, "loop"), folder=out / STATE,
            resume=begun, watch=lambda item: say(_line(item)),
        )  # fmt: skip
        _write(out, found, pictures)
    return Learnt(out, found.model, found.rounds)


def can_resume(out: Path) -> bool:
    """Return whether a folder holds a round of an interrupted run, from which ``resume`` goes on."""
    return any((out / STATE).glob("checkpoint-*"))


def _asked(
    rows: pd.DataFrame, options: PseudoLabelOptions, start: Start, steps: Mapping[str, int], seed: int
) -> dict[str, Any]:
    """Return what a resumed run must share with the first, by the options of ``reidlab learn``."""
    values = {"--start": start.name, "--seed": seed, "--iterations": steps["round"]}
    values |= {"--height": start.recipe.size[0], "--centre": options.centre}
    values |= {"--radius": options.options.get("eps"), "--lr": options.optimisation.get("lr")}
    paths = hashlib.blake2b("\n".join(rows["path"]).encode(errors="surrogateescape"), digest_size=6).hexdigest()
    return {**values, "the pictures": f"{len(rows)} pictures, {paths}"}


def _write(out: Path, found: LoopResult, pictures: Pictures) -> None:
    """Write the tables, and the network where one was learnt."""
    done = [item for item in found.rounds if not item.failed] or found.rounds
    rows = [{"round": item.number, "failed": item.failed, **item.values} for item in found.rounds]
    clusters = pictures.table[["path", "camid"]].assign(cluster=done[-1].labels)
    write_private_table(out / CLUSTERS, clusters)
    with replacing(out / ROUNDS) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)
    first = found.rounds[0]
    if first.failed:
        raise RunError(f"{out}: nothing could be learnt: {_why(first, found.eps)}")
    keep_network(found.model, out, pictures.size)


def _line(item: Round) -> str:
    values = item.values
    shares = f"{plural(int(values['clusters']), 'cluster')}, {values['outliers']:.0%} of the pictures in none"
    return f"round {item.number}: {shares}{'; they cannot be trained on, so it ends here' if item.failed else ''}"


def _why(item: Round, radius: float | None) -> str:
    """Return why a round's clusters could not be trained on, and what to change."""
    count, inside = len(item.labels), int((item.labels >= 0).sum())
    wider = item.values["clusters"] != 1 or 2 * inside < count
    what = f"{inside} are in a cluster, and all of these in the same" if inside else "none is in a cluster"
    at = "" if radius is None else f" (it was {radius:.3g})"
    # There is no larger one than 1.
    other = "" if wider and (radius or 0) > 0.99 else f"with a {'larger' if wider else 'smaller'} --radius{at}, "
    return (
        f"of {plural(count, 'picture')} {what}, so there are no two groups to tell apart. Begin anew in a new folder "
        f"{other}with --start of a network that knows such pictures, or with more pictures"
    )


def _begin(start: Start, steps: int, seed: int, begun: bool, say: Say, quiet: bool) -> ReIDNet:
    """Return the network to begin with; where a run was begun its checkpoint has the weights, and any network does."""
    if start.model is not None:
        return start.model
    if begun:
        return start.recipe.network(2, derive(seed, "start"))
    return world_network(start.recipe, steps, seed, say, quiet)


def learnt_from(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a sample table that are learnt from: its ``train`` rows, or all where there are none."""
    rows = table[table["split"] == "train"]
    return (rows if len(rows) else table).reset_index(drop=True)
