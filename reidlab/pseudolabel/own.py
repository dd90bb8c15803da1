"""Learning from one's own pictures: no label in, a network and clusters out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reidlab.errors import ConfigError, DataError, RunError
from reidlab.pseudolabel.adaptation import AdaptationStudy
from reidlab.pseudolabel.learning import Learner
from reidlab.pseudolabel.loop import Recipe, Round, run_loop
from reidlab.seeding import derive

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from reidlab.models import ReIDNet
    from reidlab.pseudolabel.domains import Pictures

#: Smallest distances per picture whose mean is DBSCAN's radius.
NEIGHBOURS = 10
NETWORK, CLUSTERS, ROUNDS, STATE = "network.safetensors", "clusters.csv", "rounds.csv", "state"


@dataclass(frozen=True)
class Learnt:
    """What :func:`learn_pictures` leaves in its folder.

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
    learner: Learner | None = None,
    recipe: Recipe | None = None,
    weights: str | Path | None = None,
    seed: int = 0,
    resume: bool = False,
    watch: Callable[[Round], None] | None = None,
) -> Learnt:
    """Learn from pictures that nobody labelled, by the loop of chapter 4.

    Identities in the table are not looked at but for measuring. With pictures of a single camera nothing can be mined
    across cameras; that part is then left out, and the rounds say so by lacking its values.

    Args:
        table: sample table; its ``train`` rows are learnt from, or all rows where none is.
        out: folder to write; it must be new, or hold what an interrupted run left, with ``resume``.
        learner: network and budgets.
        recipe: what is done in a round; HSR for as many pictures as there are, where None.
        weights: a network of the same size to begin with, such as an earlier run's; where None, one is first trained on
            people of the embedded world.
        seed: of everything random.
        resume: whether to go on with an interrupted run.
        watch: called after every round.

    Raises:
        ConfigError: the folder holds something already.
        DataError: a picture cannot be read, there are fewer than two, or the weights do not fit.
        RunError: clusters of the first round taught nothing; the folder then holds no network.
    """
    out = Path(out).absolute()
    if out.exists() and any(out.iterdir()) and not resume:
        raise ConfigError(f"{out}: is there already and not empty; choose a new folder, or go on with resume")
    learner = learner or Learner(round_optimisation={"p": 8, "lr": 5e-4})
    pictures = _pictures(table, learner.size)
    recipe = recipe or hsr(len(pictures), cameras=int(pictures.table["camid"].nunique()))
    start = _start(learner, weights, seed)
    course = run_loop(
        start, pictures, recipe, learner, derive(seed, "loop"), folder=out / STATE, resume=resume, watch=watch
    )
    _write(out, course.rounds, pictures)
    if course.rounds[0].failed:
        raise RunError(f"nothing could be learnt: {course.rounds[0].failed}")
    from reidlab.models import save_weights

    save_weights(course.model, out / NETWORK)
    return Learnt(out, course.model, course.rounds)


def hsr(pictures: int, cameras: int = 2, **changes: Any) -> Recipe:
    """Return HSR's recipe for a number of pictures, with each camera's mean taken out before clustering.

    Centring is not the dissertation's; chapter 4 measures what it adds.

    DBSCAN's radius is the mean of the smallest distances: ten for each picture, but never more than a hundredth of
    all. That is half of what SSG takes at Market-1501's size: a radius too small leaves pictures out, to be found in
    a later round; one too large makes everybody one.

    Args:
        pictures: how many there are.
        cameras: how many they are from; with one, nothing is mined and nothing is centred.
        **changes: fields of :class:`~reidlab.pseudolabel.loop.Recipe`.
    """
    options: Mapping[str, Any] = {
        "share": min(0.01, NEIGHBOURS / max(1, pictures)),
        "k1": min(20, max(1, pictures - 1)),
    }
    across = {"mining": cameras > 1, "centre": cameras > 1}
    return Recipe(
        "dbscan-ssg", options, **{"homogeneity": True, "metric": "weighted", "rounds": 10, **across, **changes}
    )


def _start(learner: Learner, weights: str | Path | None, seed: int) -> ReIDNet:
    from reidlab.models import load_weights
    from reidlab.pseudolabel.domains import embedded

    if weights is not None:
        model = learner.build(2, derive(seed, "start"))
        load_weights(model, weights, ignore=("neck.classifier.",))
        return model
    return learner.learn(embedded(AdaptationStudy().worlds(seed)[0], learner.size).train, derive(seed, "source"))


def _pictures(table: pd.DataFrame, size: tuple[int, int]) -> Pictures:
    import numpy as np

    from reidlab.data import ImageCache
    from reidlab.pseudolabel.domains import Pictures

    rows = table[table["split"] == "train"]
    rows = (rows if len(rows) else table).reset_index(drop=True)
    if len(rows) < 2:
        raise DataError(f"table: {len(rows)} pictures to learn from; at least 2 are needed")
    return Pictures(rows, np.asarray(ImageCache(rows, size, quiet=True)))


def _write(out: Path, rounds: list[Round], pictures: Pictures) -> None:
    import pandas as pd

    done = [item for item in rounds if not item.failed] or rounds
    table = pictures.table[["path", "camid"]].assign(cluster=done[-1].labels)
    table.to_csv(out / CLUSTERS, index=False)
    pd.DataFrame([{"round": item.number, "failed": item.failed, **item.values} for item in rounds]).to_csv(
        out / ROUNDS, index=False
    )
