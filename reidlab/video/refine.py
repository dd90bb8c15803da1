"""Drawing the boxes of a data set anew with one call: what ``reidlab data redetect`` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reidlab.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from reidlab.models import ReIDNet
    from reidlab.video.detectors import Detector
    from reidlab.video.setup import Setup


def named_detector(name: str, root: str | Path) -> Detector:
    """Return a detector by its name.

    Args:
        name: ``hog``, ``truth`` (embedded worlds only) or the path of an ONNX file.
        root: folder of the data set.

    Raises:
        ConfigError: the name is none of these.
        MissingDataError: ``truth`` was asked of a set that is no embedded world.
        DataError: the file cannot be used.
    """
    from reidlab.video.detectors import HOG, OnnxDetector, TrueBoxes

    if name == "truth":
        return TrueBoxes(root)
    if name == "hog":
        return HOG()
    if not name.lower().endswith(".onnx"):
        raise ConfigError(f"detector: {name!r} is not known; give hog, truth, or the path of an .onnx file")
    return OnnxDetector(name)


def redetect_data_set(
    table: pd.DataFrame,
    root: str | Path,
    out: str | Path,
    detector: str = "hog",
    *,
    weights: str | None = None,
    size: tuple[int, int] = (128, 64),
    iterations: int = 300,
    seed: int = 0,
    quiet: bool = False,
) -> Path:
    """Re-detect and link all tracklets of a data set and write them as a new one, in the layout of MARS.

    Candidates are told apart by a small network, trained on the training split or read from a file.

    Args:
        table: sample table of a data set of tracklets.
        root: its folder.
        out: folder to make.
        detector: see :func:`named_detector`.
        weights: file of a :class:`~reidlab.models.ReIDNet` as :func:`~reidlab.models.save_weights` writes it, with the
            backbone of :class:`~reidlab.video.setup.Setup`; None trains one.
        size: height and width of the new pictures, in pixels.
        iterations: training steps of that network.
        seed: decides all that is random.
        quiet: whether to leave out progress bars.

    Returns:
        ``out``.

    Raises:
        ConfigError: an argument does not fit, or there is nothing to train on and no file of weights.
        DataError: the set has no tracklets, a picture or file cannot be read, or something stands at ``out``.
    """
    from reidlab.video.redetect import RedetectLink, ide_embedder, redetect_table
    from reidlab.video.setup import Setup

    found = named_detector(detector, root)
    setup = Setup(pretraining=iterations)
    model = _linking_network(table, weights, setup, seed, quiet)
    linker = RedetectLink(found, ide_embedder(model, setup.size), size=size)
    return redetect_table(table, out, linker, root=root, quiet=quiet)


def _linking_network(table: pd.DataFrame, weights: str | None, setup: Setup, seed: int, quiet: bool) -> ReIDNet:
    """Return the network that tells candidates apart."""
    from reidlab.data import ImageCache
    from reidlab.models import ReIDNet, load_weights, resnet
    from reidlab.video.sets import Part

    if weights is not None:
        model = ReIDNet(resnet(setup.depth, width=setup.width, blocks=setup.blocks, last_stride=1), 1)
        load_weights(model, weights, ignore=("neck.classifier.",))
        return model
    train = table[(table["split"] == "train") & (table["pid"] >= 0)].reset_index(drop=True)
    if train["pid"].nunique() < 2:
        raise ConfigError("table: its training split has no two identities to learn from; give a file of weights")
    return setup.learn_on_pictures(Part(train, np.asarray(ImageCache(train, setup.size, quiet=quiet))), seed)
