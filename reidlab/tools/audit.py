"""Auditing the labels of a data set: the tool behind ``reidlab data audit-labels``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from reidlab.checks import plural
from reidlab.data import ImageCache
from reidlab.data.table import BOX, SampleTable
from reidlab.errors import ConfigError, DataError
from reidlab.evaluation.protocols import DISTRACTOR_PID, JUNK_PID
from reidlab.tools.common import checked_file, write_private_table
from reidlab.tools.network import Say, image_network
from reidlab.training.recipe import Recipe
from reidlab.video.audit import audit_pictures


def audit_data_set(
    table: SampleTable,
    *,
    out: str | Path | None = None,
    weights: str | Path | None = None,
    iterations: int = 300,
    seed: int = 0,
    quiet: bool = False,
    distractors: bool = True,
    recipe: Recipe | None = None,
    root: str | Path | None = None,
    say: Say = lambda line: None,
) -> pd.DataFrame:
    """Audit the test labels of a data set, or all of its labels where it has no query and gallery.

    A small network is trained on the training split, or read from a file. A network trained on the labels to be
    audited would learn their faults: for a set without a test it is trained on the embedded world. All tracklets are
    embedded as the mean of their pictures' features; without tracklets each picture is a tracklet of its own,
    numbered by its row in the table.

    Args:
        table: sample table.
        out: CSV file that gets the report, which only its owner may read; None writes none.
        weights: see :func:`~reidlab.tools.network.network_of`.
        iterations: training steps.
        seed: decides initial weights, batches, composites and the faults put in on purpose.
        quiet: whether to leave out progress bars.
        distractors: whether identity 0 is the distractor class, where the table's format has one of that number.
        recipe: of the network; the usual one where None.
        root: the data set's folder, into which nothing may be written.
        say: gets a line on what is audited and by what.

    Returns:
        The report of :func:`~reidlab.video.audit.audit`, with ``path`` and ``evidence_path``, the first pictures of the
        two tracklets.

    Raises:
        ConfigError: there are no labels, or the file to write is no ``.csv``, is a folder or lies in the data set's.
        DataError: a picture or the weights cannot be read, or see :func:`~reidlab.video.audit.audit`.
        StorageError: the file cannot be written.
    """
    if out is not None:
        out = checked_file(out, ".csv", root=root, read=weights)
    recipe, table = recipe or Recipe(), table.reset_index(drop=True)
    name = table.attrs.get("dataset", "table")
    known = table["pid"] != JUNK_PID
    distractors = distractors and table.attrs.get("distractor", DISTRACTOR_PID) == DISTRACTOR_PID
    test = table[(table["split"] != "train") & known]
    if test.empty:
        test, table, distractors = table[known], table.iloc[:0], False
        say(f"{name}: no query and gallery; all labels are audited, by a network that has not seen them")
    test = test[~test.duplicated([column for column in ("path", *BOX) if column in test])]
    if test["pid"].nunique() < 2:
        raise ConfigError(
            f"{name}: {plural(test['pid'].nunique(), 'identity')} among the labels; an audit needs two, as in "
            "<person>/<camera>/*.jpg"
        )
    tracked = bool((test["tracklet"] >= 0).all())
    numbers = test["tracklet"].to_numpy() if tracked else test.index.to_numpy()
    test = test.assign(tracklet=numbers).reset_index(drop=True)
    model, recipe = image_network(table, recipe, weights, iterations, seed, quiet, say)
    images = np.asarray(ImageCache(test, recipe.size, quiet=quiet))
    try:
        report = audit_pictures(model, test, recipe.size, images=images, seed=seed, distractors=distractors)
    except DataError as error:
        better = "give another network with --weights" + ("" if weights else ", or train longer with --iterations")
        raise DataError(f"{name}: {error}{f'; {better}' if 'features' in str(error) else ''}") from error
    paths = test.drop_duplicates("tracklet").set_index("tracklet")["path"]
    report = report.assign(path=report["tracklet"].map(paths), evidence_path=report["evidence"].map(paths))
    if out is not None:
        write_private_table(out, report)
    return report
