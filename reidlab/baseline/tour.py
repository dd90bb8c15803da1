"""Examples of chapter 1: one ranking scored by hand, and pictures of the embedded world."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from reidlab.baseline.knobs import KNOBS
from reidlab.data import load_world
from reidlab.data.images import read_picture
from reidlab.errors import DataError
from reidlab.evaluation.embeddings import Embeddings
from reidlab.study.sheets import Sheet
from reidlab.world import Scene, WorldSpec


def one_query() -> tuple[Embeddings, Embeddings]:
    """Return a query (person 7 before camera 1) and a gallery of eight, with one-dimensional features."""
    entries = [(0.2, 7, 1), (0.3, 5, 2), (0.4, 7, 2), (0.5, -1, 3), (0.6, 0, 2), (0.8, 7, 3), (0.9, 4, 3), (1.1, 7, 4)]
    features, pids, camids = (np.array(column) for column in zip(*entries))
    return Embeddings(np.zeros((1, 1)), np.array([7]), np.array([1])), Embeddings(features[:, None], pids, camids)


def walk(query: Embeddings, gallery: Embeddings) -> pd.DataFrame:
    """Rank the one query's gallery and show how each entry counts under the protocol of Market-1501.

    Returns:
        A row per entry in order of distance: ``distance, person, camera, counts as, rank, precision``; the precision is
        given at right entries.
    """
    rows, rank, right = [], 0, 0
    for j in np.argsort(np.abs(gallery.features[:, 0] - query.features[0, 0]), kind="stable"):
        pid, camid = gallery.pids[j], gallery.camids[j]
        is_right = pid == query.pids[0]
        if pid == -1:
            kind = "junk, ignored"
        elif is_right and camid == query.camids[0]:
            kind = "own camera, ignored"
        else:
            rank, right = rank + 1, right + is_right
            kind = "right" if is_right else "distractor" if pid == 0 else "wrong"
        counted = not kind.endswith("ignored")
        rows.append(
            {
                "distance": abs(float(gallery.features[j, 0] - query.features[0, 0])),
                "person": pid,
                "camera": camid,
                "counts as": kind,
                "rank": str(rank) if counted else "",
                "precision": f"{right} / {rank}" if kind == "right" else "",
            }
        )
    return pd.DataFrame(rows).round(2)


def people_by_cameras(table: pd.DataFrame, people: int) -> Sheet:
    """Return one picture of each of the first labelled people by each camera.

    Raises:
        DataError: there are no labelled people.
    """
    labelled = table[table["pid"] > 0]
    if labelled.empty:
        raise DataError(f"{table.attrs.get('dataset', 'table')}: no picture has an identity")
    pids = sorted(labelled["pid"].unique())[:people]
    camids = sorted(labelled["camid"].unique())
    first = labelled.drop_duplicates(["pid", "camid"]).set_index(["pid", "camid"])["path"]
    pictures = [[read_picture(first[p, c]) if (p, c) in first.index else None for c in camids] for p in pids]
    return Sheet(pictures, [f"person {p}" for p in pids], [f"camera {c}" for c in camids])


def busiest_frame(scene: Scene) -> tuple[int, int]:
    """Return camera and frame of the test session with the most people in view, looking at a frame a second."""
    session = scene.sessions["test"]
    step = max(1, round(scene.spec.frame_rate))
    places = [
        (len(scene.visits_at(camera.camid, frame)), -camera.camid, -frame)
        for camera in scene.cameras
        for frame in range(session.first, session.last + 1, step)
    ]
    _, camid, frame = max(places)
    return -camid, -frame


def knob_sheet(spec: WorldSpec, knobs: Sequence[str]) -> Sheet:
    """Return pictures of one person by each camera with all difficulties off, and then with each of them high.

    Difficulties that do not show in single pictures are left out.
    """
    off = {field: value for knob in KNOBS.values() for field, value in knob.levels["off"].items()}
    base = spec.with_(train_people=1, test_people=6, distractors=0, lookalikes=0.0, **off)
    rows, labels, columns = [], [], []
    shown = {name: KNOBS[name].levels["high"] for name in knobs if KNOBS[name].layout == "market1501"}
    for label, changes in {"all off": {}, **shown}.items():
        table = load_world(base.with_(**changes))
        sheet = people_by_cameras(table[table["split"] != "train"], 1)
        rows += sheet.pictures
        labels.append(label.replace("_", " "))
        columns = sheet.column_labels
    return Sheet(rows, labels, columns)
