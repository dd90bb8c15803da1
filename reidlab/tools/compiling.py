"""The inner loops, compiled before something first needs them: they take a command half a minute, once."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from reidlab.seeding import rng

_PEOPLE, _PICTURES, _WIDTH = 6, 48, 8


def compile_loops() -> None:
    """Compile the loops of scores, re-ranking and clusters for the types that everything here hands to them.

    What is compiled already is not compiled again. Other types are compiled when they come.
    """
    parts = (rankings, clusterings)
    with ProcessPoolExecutor(len(parts), mp_context=get_context("spawn")) as pool:
        for done in [pool.submit(part) for part in parts]:
            done.result()


def _pictures() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features (N, D) float32, people (N,) and cameras (N,) of a few made-up pictures."""
    pids = np.arange(_PICTURES) % _PEOPLE
    features = np.eye(_PEOPLE, _WIDTH)[pids] + rng(0, "compiling").normal(0, 0.3, (_PICTURES, _WIDTH))
    return features.astype(np.float32), pids, np.arange(_PICTURES) // _PEOPLE % 3


def rankings() -> None:
    """Use every loop of the evaluation once, on a few made-up pictures."""
    from reidlab.evaluation import Embeddings, evaluate
    from reidlab.evaluation.protocols import Protocol
    from reidlab.evaluation.reranking import k_reciprocal
    from reidlab.evaluation.retrieval import evaluate_distances

    some = Embeddings(*_pictures())
    for metric in ("cosine", "euclidean"):
        evaluate(some, some, Protocol("compiling", metric=metric, single_shot=2))
    found = k_reciprocal(some, some)
    for kind in (np.float32, np.float64):
        evaluate_distances(found.astype(kind), some, some)


def clusterings() -> None:
    """Use every loop of the clusterings once, likewise."""
    from reidlab.evaluation.jaccard import jaccard_distances
    from reidlab.pseudolabel.affinity import AffinityPropagation
    from reidlab.pseudolabel.homogeneity import silhouettes
    from reidlab.pseudolabel.mining import inter_camera_mining

    features, pids, camids = _pictures()
    jaccard_distances(features)
    AffinityPropagation(max_iter=20, convergence_iter=2).fit(features)
    silhouettes(features, pids)
    inter_camera_mining(features, camids, k=3)
