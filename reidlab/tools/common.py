"""Shared by all tools: reading a data set, describing it, checking the output folder, and a small network."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from reidlab.checks import plural
from reidlab.data import ImageCache, load, readers
from reidlab.data.catalogue import find
from reidlab.data.decoded import Pictures
from reidlab.data.table import BOX, SampleTable
from reidlab.errors import ConfigError
from reidlab.files import disk_errors
from reidlab.models import ReIDNet, load_weights
from reidlab.training.recipe import Recipe


def read_set(name: str) -> tuple[SampleTable, Path]:
    """Return the sample table and the folder of a data set, by its name or by its folder.

    Raises:
        ConfigError: no data set has that name.
        MissingDataError: it is not on this machine, or lacks a folder or file.
        DataError: it follows no layout that can be read.
    """
    folder = Path(name).expanduser().absolute()
    if folder.is_dir():
        reader = readers.detect(folder)
        table, layout = reader.read(folder, folder.name), reader.name
    else:
        location = find(name)
        table, folder, layout = load(name), location.path, location.layout
    table.attrs["layout"] = layout
    return table, folder


def described(table: SampleTable) -> str:
    """Return one line on a sample table: reader, pictures, people, tracklets, cameras and splits.

    A picture that is in query and gallery counts once; junk and the distractor class (identities -1 and 0) are no
    people.

    Example:
        >>> described(read_set("market1501")[0])  # doctest: +SKIP
        'read market1501 as market1501: 32217 pictures of 1501 people by 6 cameras (train 12936, query 3368, ...)'
    """
    pictures = len(table.drop_duplicates(["path", *(name for name in BOX if name in table)]))
    people = table.loc[table["pid"] > 0, "pid"].nunique()
    tracked = table[table["tracklet"] >= 0]
    tracklets = int(tracked.groupby(tracked["split"] == "train")["tracklet"].nunique().sum())
    parts = ", ".join(f"{split} {count}" for split, count in table["split"].value_counts(sort=False).items())
    words = [f"read {table.attrs.get('dataset', 'table')} as {table.attrs.get('layout', 'a table')}:"]
    words += [plural(pictures, "picture"), f"of {people} {'person' if people == 1 else 'people'}"]
    words += [f"in {plural(tracklets, 'tracklet')}"] if tracklets else []
    return " ".join([*words, f"by {plural(table['camid'].nunique(), 'camera')} ({parts})"])


def checked_output(out: Path, resume: bool = False) -> Path:
    """Return the absolute path of a folder to write, once it is clear before the work that it can be written.

    Args:
        out: the folder; it need not exist.
        resume: whether it may hold something already.

    Raises:
        ConfigError: it is a file, or holds something.
        StorageError: it may not be written.
    """
    out = Path(out).expanduser().absolute()
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: is a file; choose a folder")
    if out.is_dir() and not resume and any(out.iterdir()):
        raise ConfigError(f"{out}: is there already and not empty; choose a new folder")
    place = next(folder for folder in (out, *out.parents) if folder.exists())
    with disk_errors(out), tempfile.TemporaryDirectory(dir=place, prefix=".reidlab-"):
        return out


def image_network(
    table: SampleTable, recipe: Recipe, weights: str | Path | None, steps: int, seed: int, quiet: bool = False
) -> ReIDNet:
    """Return a network for single pictures, read from a file or trained on a data set's training split.

    Args:
        table: sample table.
        recipe: of the network.
        weights: file of a :class:`~reidlab.models.ReIDNet` with the recipe's backbone, as
            :func:`~reidlab.models.save_weights` writes it; None trains one.
        steps: training steps.
        seed: decides initial weights and batches.
        quiet: whether to leave out progress bars.

    Raises:
        ConfigError: there are no two identities to learn from and no weights.
        DataError: the weights or a picture cannot be read.
    """
    if weights is not None:
        model = recipe.network(1, seed)
        load_weights(model, weights, ignore=("neck.classifier.",))
        return model
    train = table[(table["split"] == "train") & (table["pid"] >= 0)].reset_index(drop=True)
    if train["pid"].nunique() < 2:
        raise ConfigError(
            f"{table.attrs.get('dataset', 'table')}: it has no training split with two identities to train a network "
            "on; give a file of weights"
        )
    pictures = Pictures(train, np.asarray(ImageCache(train, recipe.size, quiet=quiet)))
    return recipe.learn(pictures, steps, seed, progress=not quiet)
