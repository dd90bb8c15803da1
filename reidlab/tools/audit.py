"""Auditing the labels of a data set: the tool behind ``reidlab data audit-labels``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from reidlab.data import ImageCache
from reidlab.data.table import BOX, SampleTable
from reidlab.errors import ConfigError
from reidlab.evaluation.protocols import JUNK_PID
from reidlab.files import replacing
from reidlab.tools.common import checked_output, image_network
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
) -> pd.DataFrame:
    """Audit the test labels of a data set.

    A small network is trained on the training split, or read from a file. All test tracklets (query and gallery) are
    embedded as the mean of their pictures' features; without tracklets each picture is a tracklet of its own,
    numbered by its row in the table.

    Args:
        table: sample table.
        out: CSV file that gets the report; None writes none.
        weights: see :func:`~reidlab.tools.common.image_network`.
        iterations: training steps.
        seed: decides initial weights, batches, composites and the faults put in on purpose.
        quiet: whether to leave out progress bars.
        distractors: whether identity 0 is the distractor class.
        recipe: of the network; the usual one where None.

    Returns:
        The report of :func:`~reidlab.video.audit.audit`, with ``path`` and ``evidence_path``, the first pictures of the
        two tracklets.

    Raises:
        ConfigError: there is no test split, or no training split and no weights.
        DataError: a picture or the weights cannot be read, or see :func:`~reidlab.video.audit.audit`.
        StorageError: the file cannot be written.
    """
    if out is not None:
        checked_output(Path(out).absolute().parent, resume=True)
    recipe, table = recipe or Recipe(), table.reset_index(drop=True)
    test = table[(table["split"] != "train") & (table["pid"] != JUNK_PID)]
    test = test[~test.duplicated([column for column in ("path", *BOX) if column in test])]
    if test.empty:
        name = table.attrs.get("dataset", "table")
        raise ConfigError(f"{name}: it has no identified pictures in query or gallery, whose labels could be audited")
    tracked = bool((test["tracklet"] >= 0).all())
    numbers = test["tracklet"].to_numpy() if tracked else test.index.to_numpy()
    test = test.assign(tracklet=numbers).reset_index(drop=True)
    model = image_network(table, recipe, weights, iterations, seed, quiet)
    images = np.asarray(ImageCache(test, recipe.size, quiet=quiet))
    report = audit_pictures(model, test, recipe.size, images=images, seed=seed, distractors=distractors)
    paths = test.drop_duplicates("tracklet").set_index("tracklet")["path"]
    report = report.assign(path=report["tracklet"].map(paths), evidence_path=report["evidence"].map(paths))
    if out is not None:
        with replacing(Path(out)) as draft:
            report.to_csv(draft, index=False)
    return report
