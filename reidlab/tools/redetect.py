"""Redrawing the boxes of a data set: the tool behind ``reidlab data redetect``."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from reidlab.checks import check_choice, plural
from reidlab.data.table import SampleTable
from reidlab.errors import ConfigError, DataError
from reidlab.evaluation.protocols import DISTRACTOR_PID
from reidlab.files import disk_errors, whole_folder
from reidlab.tools.common import checked_output
from reidlab.tools.network import Say, image_network
from reidlab.training.recipe import Recipe
from reidlab.video.detectors import Detector, TrueBoxes, named_detector
from reidlab.video.redetect import RedetectLink, check_redetectable, ide_embedder, redetect_table
from reidlab.video.ssdlite import SSDLite

#: Table beside the pictures, of identities that had no room in MARS's names: ``pid`` as written, and ``before``.
IDENTITIES = "identities.csv"
_MOST_PEOPLE, _MOST_CAMERAS = 9999, 9  # that MARS's names have room for


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

    Candidates are told apart by a small network; see :func:`~reidlab.tools.network.image_network`. Identities and
    cameras whose numbers have no room in MARS's names, as those of MOT, are counted from 1 instead, in the order of
    their numbers; ``identities.csv`` then says who is who.

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
        say: gets a line on where the network is from, and on what is numbered anew.

    Returns:
        ``out``.

    Raises:
        ConfigError: an argument does not fit, or something stands at ``out``, it is a link, or it lies in ``root``.
        MissingDataError: the detector's weights are not installed.
        DataError: the set has no tracklets, has more people or cameras than MARS's names have room for, or a picture
            or file cannot be read.
        StorageError: the folder cannot be written.
    """
    recipe, found = recipe or Recipe(), detector_of(detector, root)
    table, before = _numbered(table, say)
    try:
        check_redetectable(table, root)
    except DataError as error:
        name = table.attrs.get("dataset", "table")
        raise type(error)(f"{name}: {str(error).removeprefix('table: ').removeprefix(f'{name}: ')}") from error
    out = checked_output(out, root=root, room=len(table) * size[0] * size[1] // 2)  # JPEG, half a byte a pixel
    if out.is_symlink() or os.path.ismount(out):
        raise ConfigError(f"{out}: is a link or a mounted disk, which a new folder cannot replace; name a folder in it")
    model, recipe = image_network(table, recipe, weights, iterations, seed, quiet, say)
    linker = RedetectLink(found, ide_embedder(model, recipe.size), size=size)
    with disk_errors(out):
        if out.is_dir():
            out.rmdir()  # empty; the whole one takes its place
        with whole_folder(out) as folder:
            made = redetect_table(table, folder / "made", linker, root=root, quiet=quiet)
            if before is not None:
                before.to_csv(made / IDENTITIES, index=False)
            for item in made.iterdir():
                item.rename(folder / item.name)
            made.rmdir()
    return out


def _numbered(table: SampleTable, say: Say) -> tuple[SampleTable, pd.DataFrame | None]:
    """Return a table whose identities and cameras fit MARS's names, and the identities before where these did not.

    Raises:
        DataError: there are more than that.
    """
    name, before = table.attrs.get("dataset", "table"), None
    # Junk, and distractors, keep their numbers: these say what they are.
    first = 1 if table.attrs.get("distractor", DISTRACTOR_PID) == DISTRACTOR_PID else 0
    for column, what, least, most in (("pid", "person", first, _MOST_PEOPLE), ("camid", "camera", 0, _MOST_CAMERAS)):
        old = table[column].to_numpy()
        values = np.unique(old[old >= least])
        if not len(values) or values[-1] <= most:
            continue
        if len(values) > most:
            fewer = " of its sequences" if "sequence" in table else ""
            raise DataError(
                f"{name}: {plural(len(values), what)}, and the layout of MARS, which is made, has room for {most:,}; "
                f"give a folder with some{fewer} only"
            )
        table = table.assign(**{column: np.where(old >= least, np.searchsorted(values, old) + 1, old)})
        numbers = "identities" if column == "pid" else "cameras"
        say(
            f"{name}: {numbers} to {values[-1]:,} have no room in MARS's names; its {plural(len(values), what)} "
            f"{'is' if len(values) == 1 else 'are'} counted from 1"
            f"{f', {IDENTITIES} says who is who' if column == 'pid' else ''}"
        )
        if column == "pid":
            before = pd.DataFrame({"pid": np.arange(1, len(values) + 1), "before": values})
    return table, before


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
