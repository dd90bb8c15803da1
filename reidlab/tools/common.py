"""Shared by all tools: checking the output folder, and a small network."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from reidlab.data import ImageCache
from reidlab.data.decoded import Pictures
from reidlab.data.table import SampleTable
from reidlab.errors import ConfigError
from reidlab.files import disk_errors
from reidlab.models import ReIDNet, load_weights
from reidlab.training.recipe import Recipe


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
