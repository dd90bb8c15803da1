"""Learning from unlabelled pictures: the tool behind ``reidlab learn``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reidlab.data import ImageCache
from reidlab.data.decoded import Pictures, from_world
from reidlab.errors import ConfigError, DataError, RunError
from reidlab.files import replacing
from reidlab.models import ReIDNet, load_weights, save_weights
from reidlab.pseudolabel.adaptation import AdaptationStudy
from reidlab.pseudolabel.loop import PseudoLabelOptions, Round, run_loop
from reidlab.seeding import derive
from reidlab.tools.common import checked_output
from reidlab.training.recipe import Recipe

#: Smallest distances per picture whose mean is DBSCAN's radius.
NEAREST = 10
#: Training steps of the network to begin with, and of each round.
STEPS = {"start": 600, "round": 200}
NETWORK, CLUSTERS, ROUNDS, STATE = "network.safetensors", "clusters.csv", "rounds.csv", "state"


@dataclass(frozen=True)
class Learnt:
    """The result of :func:`learn_pictures`.

    Attributes:
        folder: with ``network.safetensors`` (tensors of a :class:`~reidlab.models.ReIDNet`), ``clusters.csv`` (path,
            camera and cluster of every picture; -1 is in none) and ``rounds.csv`` (values of every round).
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
    recipe: Recipe | None = None,
    steps: Mapping[str, int] = STEPS,
    options: PseudoLabelOptions | None = None,
    weights: str | Path | None = None,
    seed: int = 0,
    resume: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Learnt:
    """Learn from unlabelled pictures, by the loop of chapter 4.

    Identities in the table are used for measuring only. With pictures of a single camera nothing can be mined across
    cameras; that part is then left out, and the rounds lack its values.

    Args:
        table: sample table; its ``train`` rows are learnt from, or all rows where none is.
        out: folder to write; it must be new, or hold what an interrupted run left, with ``resume``.
        recipe: of network and training; the usual one where None.
        steps: training steps of the network to begin with (``start``) and of each ``round``.
        options: what is done in a round; HSR for as many pictures as there are, where None.
        weights: a network of the same size to begin with, such as an earlier run's; where None, one is first trained on
            people of the embedded world.
        seed: of everything random.
        resume: whether to go on with an interrupted run.
        say: gets a line before the first training and after every round.

    Raises:
        ConfigError: the folder holds something already.
        DataError: a picture cannot be read, there are fewer than two, or the weights do not fit.
        RunError: the clusters of the first round could not be trained on; the folder then holds no network.
        StorageError: the folder cannot be written.
    """
    if (Path(out) / STATE).is_dir() and not resume:
        raise ConfigError(f"{out}: is not empty, a run was begun there; go on with --resume, or choose a new folder")
    if resume and Path(out).is_dir() and any(Path(out).iterdir()) and not (Path(out) / STATE).is_dir():
        raise ConfigError(f"{out}: holds no run that could be resumed; choose a new folder, without --resume")
    out, recipe = checked_output(Path(out), resume), recipe or Recipe()
    pictures = _pictures(table, recipe.size)
    options = options or hsr(len(pictures), cameras=int(pictures.table["camid"].nunique()))
    begun = resume and any((out / STATE).glob("checkpoint-*"))
    start = _start(recipe, steps["start"], weights, seed, begun, say)
    found = run_loop(
        start, pictures, options, recipe, steps["round"], derive(seed, "loop"), folder=out / STATE, resume=resume,
        watch=lambda item: say(_line(item)),
    )  # fmt: skip
    done = [item for item in found.rounds if not item.failed] or found.rounds
    rows = [{"round": item.number, "failed": item.failed, **item.values} for item in found.rounds]
    clusters = pictures.table[["path", "camid"]].assign(cluster=done[-1].labels)
    for name, content in ((CLUSTERS, clusters), (ROUNDS, pd.DataFrame(rows))):
        with replacing(out / name) as temporary:
            content.to_csv(temporary, index=False)
    if found.rounds[0].failed:
        raise RunError(f"nothing could be learnt: {found.rounds[0].failed}")
    save_weights(found.model, out / NETWORK)
    return Learnt(out, found.model, found.rounds)


def hsr(pictures: int, cameras: int = 2, **changes: Any) -> PseudoLabelOptions:
    """Return HSR's options for a number of pictures, with each camera's mean taken out before clustering.

    Centring is not the dissertation's; chapter 4 measures what it adds.

    DBSCAN's radius is the mean of the smallest distances: ten for each picture, but never more than a hundredth of
    all. That is half of what SSG takes at Market-1501's size: a radius too small leaves pictures out, which a later
    round can add; one too large puts all people into one cluster.

    Args:
        pictures: how many there are.
        cameras: how many they are from; with one, nothing is mined and nothing is centred.
        **changes: fields of :class:`~reidlab.pseudolabel.loop.PseudoLabelOptions`.
    """
    radius = {"share": min(0.01, NEAREST / max(1, pictures)), "k1": min(20, max(1, pictures - 1))}
    radius["k2"] = min(6, radius["k1"])
    several = cameras > 1
    values: dict[str, Any] = {"homogeneity": True, "mining": several, "centre": several, "metric": "weighted"}
    values |= {"rounds": 10, "optimisation": {"p": 8, "lr": 5e-4}, **changes}
    return PseudoLabelOptions("dbscan-ssg", radius, **values)


def _line(item: Round) -> str:
    values = item.values
    said = item.failed or f"{values['clusters']:.0f} clusters, {values['outliers']:.0%} of the pictures in none"
    return f"round {item.number}: {said}"


def _start(
    recipe: Recipe, steps: int, weights: str | Path | None, seed: int, begun: bool, say: Callable[[str], None]
) -> ReIDNet:
    """Return the network to begin with; where a run was begun its checkpoint has the weights, and any network does."""
    if weights is None and not begun:
        say(f"training a network to begin with on the embedded world, {steps} steps")
        world = AdaptationStudy(recipe=recipe, steps=STEPS).worlds(seed)["source"]
        return recipe.learn(from_world(world, recipe.size).train, steps, derive(seed, "source"))
    model = recipe.network(2, derive(seed, "start"))
    if weights is not None:
        load_weights(model, weights, ignore=("neck.classifier.",))
    return model


def learnt_from(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a sample table that are learnt from: its ``train`` rows, or all where there are none."""
    rows = table[table["split"] == "train"]
    return (rows if len(rows) else table).reset_index(drop=True)


def _pictures(table: pd.DataFrame, size: tuple[int, int]) -> Pictures:
    rows = learnt_from(table)
    if len(rows) < 2:
        raise DataError(f"table: {len(rows)} pictures to learn from; at least 2 are needed")
    return Pictures(rows, np.asarray(ImageCache(rows, size)))
