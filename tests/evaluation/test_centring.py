"""Features less their camera's mean."""

import numpy as np

from reidlab.evaluation import Embeddings
from reidlab.evaluation.centring import centred, centred_features


def test_centring_takes_a_cameras_mean_out():
    rng = np.random.default_rng(0)
    offsets = np.array([[0.0] * 4, [5] * 4, [-3] * 4])
    camids = rng.integers(0, 3, 60)
    content = rng.normal(size=(60, 4))
    content -= np.stack([content[camids == c].mean(0) for c in range(3)])[camids]
    gallery = Embeddings(content + offsets[camids], np.arange(60), camids)
    query = Embeddings(np.ones((2, 4)), np.array([1, 2]), np.array([1, 7]))
    asked, found = centred(query, gallery)
    np.testing.assert_allclose(found.features, content, atol=1e-5)
    np.testing.assert_allclose(asked.features, [[-4] * 4, [0] * 4], atol=1e-5)
    np.testing.assert_array_equal(centred_features(gallery.features, camids), found.features)
