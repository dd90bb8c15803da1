"""Data of the figures of chapters 3 and 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reidlab.pseudolabel.loop import Round
from reidlab.seeding import rng

#: What the budgets of a study's experiments are called.
BUDGETS = {"ablation": "longer", "ablation-short": "shorter", "centred-test": "longer, tested centred"}


@dataclass(frozen=True, eq=False)
class ShownCluster:
    """A cluster as a row of pictures.

    Attributes:
        rows: (M,) positions of its members, from the exemplar outwards.
        right: (M,) bool, whether they have the exemplar's identity.
        selected: (M,) bool, whether they were trained on.
    """

    rows: np.ndarray
    right: np.ndarray
    selected: np.ndarray


def shown_cluster(found: Round, pids: np.ndarray, features: np.ndarray, exemplar: int, most: int = 10) -> ShownCluster:
    """Return the cluster that a picture is in, its members in the order of their distance to the exemplar (Fig. 3.6).

    Args:
        found: a round.
        pids: (N,) identities of the pictures that it clustered.
        features: (N, D) of these pictures.
        exemplar: position of a picture in the cluster.
        most: members to show, evenly from the nearest to the farthest.
    """
    cluster = found.labels[exemplar]
    members = np.flatnonzero(found.labels == cluster)
    centre = int(found.exemplars[cluster])
    members = members[np.argsort(((features[members] - features[centre]) ** 2).sum(1), kind="stable")]
    members = members[np.linspace(0, len(members) - 1, min(most, len(members))).round().astype(int)]
    right = pids[members] == pids[centre]
    return ShownCluster(members, right, found.selected[members])


def mixed_clusters(found: Round, pids: np.ndarray, count: int, least: int = 6) -> list[int]:
    """Return exemplars of clusters to show: the largest ones with right and wrong members.

    Args:
        found: a round.
        pids: (N,) identities.
        count: how many to return at most.
        least: members a cluster must have.
    """
    rated = []
    for cluster, exemplar in enumerate(found.exemplars):
        members = found.labels == cluster
        share = (pids[members] == pids[exemplar]).mean()
        if members.sum() >= least:
            rated.append((abs(share - 0.6), -int(members.sum()), int(exemplar)))
    return [exemplar for _, _, exemplar in sorted(rated)[:count]]


def first_split(rounds: Sequence[Round]) -> tuple[Round, np.ndarray]:
    """Return the first round in which PBH split a cluster, and the positions (M,) of the cluster with most parts.

    Where none was ever split it is the first round's largest cluster (Fig. 4.4 then shows one cluster twice).

    Args:
        rounds: of a loop.
    """
    for item in rounds:
        if item.values.get("clusters_split", 0) > 0:
            return item, np.flatnonzero(item.clustered == int(np.argmax(item.parts)))
    counts = np.bincount(rounds[0].labels[rounds[0].labels >= 0])
    return rounds[0], np.flatnonzero(rounds[0].labels == int(np.argmax(counts)))


def sample_of_people(pids: np.ndarray, people: int, seed: int) -> np.ndarray:
    """Return the positions (M,) of all pictures of some identities, drawn at random.

    Args:
        pids: (N,) identities.
        people: how many.
        seed: of the draw.
    """
    known = np.unique(pids)
    chosen = rng(seed, "people to show").choice(known, min(people, len(known)), replace=False)
    return np.flatnonzero(np.isin(pids, chosen))


def scores_by_budget(measured: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of rank-1 and mAP of both budgets, with the budget's name as column ``training``.

    Args:
        measured: records with their dimensions as columns.
    """
    scores = measured[measured["experiment"].isin(BUDGETS) & measured["key"].isin(["rank1", "mAP"])]
    return scores.assign(training=scores["experiment"].map(BUDGETS))
