"""Pictures in, weights and embeddings out: the whole path on a few coloured pictures on disk."""

import dataclasses

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from reidlab.data import ImageCache, TrainTransform, normalize
from reidlab.errors import ConfigError, DataError
from reidlab.seeding import rng
from reidlab.training import Hook, PictureSource, TrainConfig, extract, fit

SIZE = (32, 16)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Six identities in two cameras, four pictures each: two colours (coat, trousers) under noise."""
    folder = tmp_path_factory.mktemp("people")
    random = rng(0, "people")
    rows = []
    for pid in (2, 3, 5, 7, 11, 13):
        clothes = random.integers(30, 225, (2, 3))
        for camid in (1, 2):
            for frame in range(4):
                picture = np.repeat(clothes.repeat(SIZE[0] // 2, 0)[:, None], SIZE[1], 1)
                picture = np.clip(picture + random.normal(0, 25, picture.shape) + 10 * camid, 0, 255).astype(np.uint8)
                path = folder / f"{pid}_{camid}_{frame}.png"
                cv2.imwrite(str(path), picture[:, :, ::-1])
                rows.append({"path": str(path), "pid": pid, "camid": camid, "tracklet": -1, "frame": frame})
    return pd.DataFrame(rows).assign(split="train", domain="colours")


@pytest.fixture
def config():
    return TrainConfig(iterations=8, p=3, k=2, size=SIZE, lr=3e-3, log_every=2, pad=2, erase=0.5, accelerator="cpu")


def test_training_separates_the_identities(table, config, make_reid):
    model = make_reid(6)
    result = fit(model, table, dataclasses.replace(config, iterations=60, erase=0.0), seed=0, progress=False)
    assert list(result.history.columns) == ["iteration", "loss", "ce", "triplet", "lr", "seconds"]
    assert result.history["loss"].iloc[-1] < 0.75 * result.history["loss"].iloc[0]
    features = extract(model, table, SIZE).normalized()
    similar = features.features @ features.features.T
    np.fill_diagonal(similar, -1)
    assert (features.pids[similar.argmax(1)] == features.pids).mean() > 0.9


def test_the_loss_is_the_weighted_sum_of_its_parts(table, config, make_reid):
    config = dataclasses.replace(config, ce_weight=0.5, triplet_weight=2.0)
    history = fit(make_reid(6), table, config, seed=0, progress=False).history
    assert history["loss"].tolist() == pytest.approx((0.5 * history["ce"] + 2.0 * history["triplet"]).tolist())


def test_two_runs_are_identical_and_decoded_pictures_change_nothing(table, config, make_reid, identical):
    first, again, given = (
        fit(make_reid(6), table, config, seed=3, images=images, progress=False).model
        for images in (None, None, np.asarray(ImageCache(table, SIZE)))
    )
    assert identical(first, again)
    assert identical(first, given)
    assert not identical(first, fit(make_reid(6), table, config, seed=4, progress=False).model)


def test_a_crashed_run_resumes_to_identical_weights(tmp_path, table, config, make_reid, identical):
    class Crash(Hook):
        def after_step(self, state):
            if state.iteration == 5:
                raise ZeroDivisionError

    config = dataclasses.replace(config, checkpoint_every=3)
    whole = fit(make_reid(6), table, config, seed=3, hooks=[Hook()], progress=False).model
    with pytest.raises(ZeroDivisionError):
        fit(make_reid(6), table, config, seed=3, out_dir=tmp_path, hooks=[Crash()], progress=False)
    model = make_reid(6, seed=8)
    fit(model, table, config, seed=3, out_dir=tmp_path, resume=True, hooks=[Hook()], progress=False)
    assert identical(whole, model)


def test_resuming_on_other_pictures_is_refused(tmp_path, table, config, make_reid):
    fit(make_reid(6), table, config, seed=3, out_dir=tmp_path, progress=False)
    with pytest.raises(ConfigError, match=r"pictures \(checkpoint 48, now 47\)"):
        fit(make_reid(6), table.iloc[1:], config, seed=3, out_dir=tmp_path, resume=True, progress=False)


def test_epochs_are_passes_over_the_identities(table, config, make_reid):
    config = dataclasses.replace(config, iterations=None, epochs=3, log_every=1)
    assert len(fit(make_reid(6), table, config, seed=0, progress=False).history) == 3 * 2


def test_an_objective_of_ones_own_takes_the_place_of_the_two_losses(table, config, make_reid):
    def objective(model, batch):
        output = model(batch.images)
        return {"loss": nn.functional.cross_entropy(output.logits, batch.labels), "size": output.features.norm()}

    history = fit(make_reid(6), table, config, seed=0, objective=objective, progress=False).history
    assert list(history.columns) == ["iteration", "loss", "size", "lr", "seconds"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(split="query"), "rows of split 'query'; training sees training rows only"),
        (lambda t: t.assign(pid=t["pid"] - 3), "8 rows have a negative pid"),
        (lambda t: t.iloc[:0], "no rows to train on"),
    ],
)
def test_rows_that_are_not_for_training_are_refused(table, config, make_reid, change, message):
    with pytest.raises(DataError, match=message):
        fit(make_reid(6), change(table), config, seed=0)


def test_a_network_with_another_number_of_classes_is_refused(table, config, make_reid):
    with pytest.raises(ConfigError, match=r"it has 5 classes, but the table has 6 identities.*table\.pid\.nunique"):
        fit(make_reid(5), table, config, seed=0)


def test_flip_shift_and_erasing_are_those_of_the_configuration(table, config, make_reid, identical):
    given = TrainTransform(flip=config.flip, pad=config.pad, erase=config.erase)
    first = fit(make_reid(6), table, config, seed=3, progress=False).model
    assert identical(first, fit(make_reid(6), table, config, seed=3, transform=given, progress=False).model)
    for change in ({"flip": 0.0}, {"pad": 0}, {"erase": 0.0}):
        other = fit(make_reid(6), table, dataclasses.replace(config, **change), seed=3, progress=False).model
        assert not identical(first, other)


@pytest.mark.parametrize("shape", [(48, 16, 32, 3), (47, 32, 16, 3), (48, 32, 16)])
def test_pictures_that_do_not_fit_the_table_are_refused(table, config, make_reid, shape):
    with pytest.raises(ConfigError, match="images"):
        fit(make_reid(6), table, config, seed=0, images=np.zeros(shape, np.uint8))
    with pytest.raises(ConfigError, match="images"):
        extract(make_reid(6), table, SIZE, images=np.zeros(shape, np.uint8))


def test_a_source_gives_the_pictures_of_its_rows(table):
    images = np.asarray(ImageCache(table, SIZE))
    labels = np.unique(table["pid"], return_inverse=True)[1]
    source = PictureSource(images, labels, 3, 2, lambda pictures, generator: pictures)
    source.start(5, 0)
    batch = source.batch(torch.device("cpu"))
    assert torch.equal(batch.images, torch.from_numpy(images)[batch.rows])
    assert batch.labels.tolist() == labels[batch.rows].tolist()
    assert sorted(np.unique(batch.labels, return_counts=True)[1]) == [2, 2, 2]
    source.start(5, 1)
    assert source.batch(torch.device("cpu")).rows.tolist() != batch.rows.tolist()
    source.start(5, 0)
    assert torch.equal(source.batch(torch.device("cpu")).rows, batch.rows)


def test_embeddings_are_the_networks_own_in_the_order_of_the_table(table, make_reid):
    model = make_reid(6)
    model.neck.bn.running_mean.normal_()
    found = extract(model, table, SIZE)
    with torch.no_grad():
        expected = model.eval()(normalize(torch.from_numpy(np.array(ImageCache(table, SIZE))))).embedding
    np.testing.assert_allclose(found.features, expected.numpy(), atol=1e-5)
    assert found.features.dtype == np.float32
    assert found.pids.tolist() == table["pid"].tolist()
    assert found.camids.tolist() == table["camid"].tolist()


def test_the_batch_size_changes_nothing_that_matters(table, make_reid):
    model = make_reid(6)
    np.testing.assert_allclose(
        extract(model, table, SIZE, batch_size=7).features, extract(model, table, SIZE).features, atol=1e-5
    )


def test_with_flip_a_picture_and_its_mirror_image_embed_alike(table, make_reid):
    model = make_reid(6)
    images = np.array(ImageCache(table, SIZE))
    mirrored = images[:, :, ::-1].copy()
    plain, other = (extract(model, table, SIZE, images=i).features for i in (images, mirrored))
    flipped = extract(model, table, SIZE, flip=True, images=mirrored).features
    np.testing.assert_allclose(flipped, (plain + other) / 2, atol=1e-5)
    assert np.abs(plain - other).max() > 1e-3


def test_extraction_leaves_the_network_as_it_was(table, make_reid):
    model = make_reid(6).train()
    model.backbone.bn1.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    extract(model, table, SIZE)
    assert model.training
    assert not model.backbone.bn1.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_bad_extraction_arguments_are_refused(table, make_reid):
    with pytest.raises(ConfigError, match="batch_size: 0"):
        extract(make_reid(6), table, SIZE, batch_size=0)
    with pytest.raises(DataError, match="no rows to embed"):
        extract(make_reid(6), table.iloc[:0], SIZE)
