"""Embeddings: selection, length and means by tracklet."""

import numpy as np
import pandas as pd
import pytest

from reidlab.errors import DataError
from reidlab.evaluation import Embeddings


def some(tracklets=(4, 2, 4, 2, 9)):
    features = np.random.default_rng(0).standard_normal((5, 3))
    return Embeddings(features, [1, 2, 1, 2, 3], [1, 2, 1, 2, 1], tracklets)


def test_tracklet_means_equal_a_group_by():
    embeddings = some()
    means = embeddings.tracklet_means()
    expected = pd.DataFrame(embeddings.features.astype(float)).groupby(embeddings.tracklets).mean()
    assert means.tracklets.tolist() == expected.index.tolist() == [2, 4, 9]
    np.testing.assert_allclose(means.features, expected, atol=1e-6)
    assert (means.pids.tolist(), means.camids.tolist()) == ([2, 1, 3], [2, 1, 1])


def test_most_seen_takes_whole_identities_and_no_distractors():
    embeddings = Embeddings(np.eye(6), [0, 0, 0, 5, 5, 3], [1] * 6)
    assert embeddings.most_seen(1).pids.tolist() == [5, 5]
    assert embeddings.most_seen(9).pids.tolist() == [5, 5, 3]


@pytest.mark.parametrize(
    ("tracklets", "message"),
    [
        (None, "number of its tracklet"),
        ((0, 1, -1, 1, 2), "number of its tracklet"),
        ((4, 4, 4, 2, 9), "pids: tracklet 4"),
    ],
)
def test_rows_that_cannot_be_averaged_are_refused(tracklets, message):
    with pytest.raises(DataError, match=message):
        some(tracklets).tracklet_means()


def test_normalized_has_length_one_and_keeps_zero_rows():
    embeddings = Embeddings(np.array([[3.0, 4.0], [0.0, 0.0]]), [1, 2], [1, 1])
    np.testing.assert_allclose(embeddings.normalized().features, [[0.6, 0.8], [0.0, 0.0]], atol=1e-6)
