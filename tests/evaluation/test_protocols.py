"""Protocols by name; cross-camera against a plain loop."""

import numpy as np
import pytest

from reidlab.errors import ConfigError
from reidlab.evaluation import Embeddings, evaluate
from reidlab.evaluation.protocols import get
from tests.evaluation import oracles


def test_every_picture_asks_the_other_cameras_as_a_plain_loop_does():
    rng = np.random.default_rng(0)
    pids, camids = rng.integers(-1, 9, 120), rng.integers(1, 4, 120)
    whole = Embeddings(rng.normal(size=(120, 6)), pids, camids)
    query = whole.select(pids > 0)
    scores = evaluate(query, whole, "cross-camera")
    unit = [part.features / np.linalg.norm(part.features, axis=1, keepdims=True) for part in (query, whole)]
    expected = oracles.summary(
        oracles.ranking_scores(1 - unit[0] @ unit[1].T, query, whole, camera_rule="any person"), max_rank=50
    )
    assert scores.protocol == "cross-camera"
    assert scores.mAP == pytest.approx(expected["mAP"])
    assert scores.mINP == pytest.approx(expected["mINP"])
    np.testing.assert_allclose(scores.cmc, expected["cmc"])


def test_a_picture_of_the_same_camera_is_never_in_the_gallery():
    """The nearest of each is one of its own camera; the only one of the other camera is right."""
    features = np.float32([[1, 0], [1, 0.01], [0, 1], [0.9, 0.1]])
    whole = Embeddings(features, [1, 2, 1, 2], [1, 1, 2, 2])
    assert evaluate(whole, whole, "cross-camera").per_query["first_rank"].tolist() == [2, 1, 2, 1]


def test_names_are_found_and_suggested():
    assert get("market1501").name == "market1501"
    with pytest.raises(ConfigError, match="did you mean 'cross-camera'"):
        get("crosscamera")
    with pytest.raises(ConfigError, match="needs the corrected labels"):
        get("mars-cleaned")
