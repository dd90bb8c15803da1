"""Redrawing the boxes of a data set: the tool behind ``reidlab data redetect``."""

from __future__ import annotations

from pathlib import Path

from reidlab.checks import check_choice
from reidlab.data.table import SampleTable
from reidlab.files import disk_errors
from reidlab.tools.common import checked_output
from reidlab.tools.network import Say, image_network
from reidlab.training.recipe import Recipe
from reidlab.video.detectors import Detector, TrueBoxes, named_detector
from reidlab.video.redetect import RedetectLink, check_redetectable, ide_embedder, redetect_table
from reidlab.video.ssdlite import SSDLite


def redetect_data_set(
    table: SampleTable,
    root: str | Path,
    out: str | Path,
    detector: str = "hog",
    *,
    weights: str | Path | None = None,
    size: tuple[int, int] = (128, 64),
    iterations: int = 300,
    seed: int = 0,
    quiet: bool = False,
    recipe: Recipe | None = None,
    say: Say = lambda line: None,
) -> Path:
    """Re-detect and link all tracklets of a data set and write them as a new one, in the layout of MARS.

    Candidates are told apart by a small network; see :func:`~reidlab.tools.network.image_network`.

    Args:
        table: sample table of a data set of tracklets.
        root: its folder.
        out: folder to make.
        detector: see :func:`detector_of`.
        weights: see :func:`~reidlab.tools.network.network_of`.
        size: height and width of the new pictures, in pixels.
        iterations: training steps of that network.
        seed: decides all that is random.
        quiet: whether to leave out progress bars.
        recipe: of that network; the usual one where None.
        say: gets a line on where the network is from.

    Returns:
        ``out``.

    Raises:
        ConfigError: an argument does not fit, or something stands at ``out`` or it lies in ``root``.
        MissingDataError: the detector's weights are not installed.
        DataError: the set has no tracklets, or a picture or file cannot be read.
        StorageError: the folder cannot be written.
    """
    recipe, found = recipe or Recipe(), detector_of(detector, root)
    check_redetectable(table, root)
    out = checked_output(out, root=root, room=len(table) * size[0] * size[1] // 2)  # JPEG, half a byte a pixel
    model, recipe = image_network(table, recipe, weights, iterations, seed, quiet, say)
    linker = RedetectLink(found, ide_embedder(model, recipe.size), size=size)
    with disk_errors(out):
        if out.is_dir():
            out.rmdir()  # empty; the whole one takes its place
        return redetect_table(table, out, linker, root=root, quiet=quiet)


def detector_of(name: str, root: str | Path) -> Detector:
    """Return a detector by its name.

    Args:
        name: ``hog``, ``ssdlite``, the path of an ONNX file, or ``truth`` (embedded worlds only).
        root: folder of the data set.

    Raises:
        ConfigError: the name is none of these.
        MissingDataError: its weights are not installed, or ``truth`` for a set that is no embedded world.
        DataError: the file cannot be used.
    """
    if name == SSDLite.name:
        return SSDLite()
    if not name.lower().endswith(".onnx"):
        known = (TrueBoxes.name,) if name == TrueBoxes.name or (Path(root) / "truth.parquet").is_file() else ()
        check_choice("--detector", name, ("hog", SSDLite.name, *known, "the path of an .onnx file"))
    return named_detector(name, root)
