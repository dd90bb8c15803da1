"""Tracklets in, weights and embeddings out: the whole path on a few coloured walks on disk."""

import dataclasses
import os

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from reidlab.data import ClipTransform, ImageCache, Tracklets, make_table, normalize, sample_frames, tracklets_of
from reidlab.errors import ConfigError, DataError
from reidlab.models.heads import BNNeck, Output
from reidlab.seeding import rng
from reidlab.training import ClipConfig, ClipSource, Hook, extract_clips, fit_clips
from reidlab.training.optimisation import lr_factor

SIZE = (16, 8)
PIDS = (2, 3, 5, 7)


class Walk(nn.Module):
    """The smallest network for clips: one convolution, the mean over the picture part of all frames, the neck."""

    def __init__(self, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1)
        self.drop = nn.Dropout(0.1)
        self.neck = BNNeck(12, num_classes)
        self.num_classes = num_classes

    def forward(self, clips, masks=None):
        maps = self.conv(clips.flatten(0, 1)).relu().unflatten(0, clips.shape[:2])
        if masks is None:
            features = maps.mean((1, 3, 4))
        else:
            rows, columns = torch.arange(maps.shape[3]), torch.arange(maps.shape[4])
            y0, y1, x0, x1 = masks.unsqueeze(-1).unbind(2)
            inside = ((rows >= y0) & (rows < y1)).unsqueeze(3) & ((columns >= x0) & (columns < x1)).unsqueeze(2)
            weights = inside.unsqueeze(2).float()
            features = ((maps * weights).sum((3, 4)) / weights.sum((3, 4))).mean(1)
        return Output(features, *self.neck(self.drop(features)))


@pytest.fixture
def make_model():
    def make(num_classes=len(PIDS), seed=0):
        torch.manual_seed(seed)
        return Walk(num_classes)

    return make


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Four identities in two cameras, two or three tracklets of 2 to 9 frames in each; rows in no order."""
    folder = tmp_path_factory.mktemp("walks")
    random = rng(0, "walks")
    columns = {name: [] for name in ("path", "pid", "camid", "tracklet", "frame")}
    number = 10
    for pid in PIDS:
        clothes = random.integers(30, 225, (2, 3))
        for camid in (1, 2):
            for _ in range(random.integers(2, 4)):
                number += 1
                for frame in range(random.integers(2, 10)):
                    picture = np.repeat(clothes.repeat(SIZE[0] // 2, 0)[:, None], SIZE[1], 1)
                    picture = np.clip(picture + random.normal(0, 25, picture.shape) + 10 * camid, 0, 255)
                    path = folder / f"{number}_{frame}.png"
                    cv2.imwrite(str(path), picture.astype(np.uint8)[:, :, ::-1])
                    for name, value in zip(columns, (str(path), pid, camid, number, 3 * frame), strict=True):
                        columns[name].append(value)
    return make_table("walks", split="train", **columns).sample(frac=1, random_state=0)


@pytest.fixture(scope="module")
def images(table):
    return np.array(ImageCache(table, SIZE))


@pytest.fixture(scope="module")
def masks(table):
    random = rng(0, "masks")
    first, last = random.integers(0, 4, (len(table), 2)), random.integers(4, 9, (len(table), 2))
    return np.stack([first[:, 0], last[:, 0], first[:, 1], last[:, 1]], axis=1)


@pytest.fixture
def config():
    return ClipConfig(
        iterations=6, p=3, k=2, frames=4, size=SIZE, lr=3e-3, log_every=2, pad=1, erase=0.5, accelerator="cpu"
    )


def flat(clips, masks, generator):
    """A transform that leaves the bytes as they are."""
    return clips, masks


def source_of(table, images, masks=None, transform=flat, frames=4):
    tracklets = tracklets_of(table)
    labels = np.unique(tracklets.pids, return_inverse=True)[1]
    return ClipSource(images, tracklets, labels, 3, 2, frames, transform, masks)


def test_training_separates_the_identities(table, config, make_model):
    model = make_model()
    config = dataclasses.replace(config, iterations=60, erase=0.0, lr=1e-2)
    result = fit_clips(model, table, config, seed=0, progress=False)
    assert list(result.history.columns) == ["iteration", "loss", "ce", "triplet", "lr", "seconds"]
    assert result.history["loss"].iloc[-1] < 0.75 * result.history["loss"].iloc[0]
    features = extract_clips(model, table, SIZE, 4).normalized()
    similar = features.features @ features.features.T
    np.fill_diagonal(similar, -1)
    assert (features.pids[similar.argmax(1)] == features.pids).mean() > 0.9


def test_a_batch_is_clips_of_p_identities_with_k_tracklets_each(table, images, masks):
    source = source_of(table, images, masks)
    source.start(5, 0)
    numbers, pids, frames = (table[name].to_numpy() for name in ("tracklet", "pid", "frame"))
    drawn = set()
    for _ in range(6):
        batch = source.batch(torch.device("cpu"))
        rows = batch.rows.numpy()
        assert batch.images.shape == (6, 4, *SIZE, 3)
        assert torch.equal(batch.images, torch.from_numpy(images)[batch.rows])
        assert np.array_equal(batch.masks.numpy(), masks[rows])
        assert (numbers[rows] == numbers[rows[:, :1]]).all()
        assert (np.diff(frames[rows], axis=1) >= 0).all()
        assert [PIDS[label] for label in batch.labels] == pids[rows[:, 0]].tolist()
        assert sorted(np.unique(batch.labels, return_counts=True)[1]) == [2, 2, 2]
        assert len(np.unique(numbers[rows[:, 0]])) == 6
        drawn |= {tuple(clip) for clip in rows.tolist()}
    assert len(drawn) > 20


def test_the_frames_of_a_batch_are_drawn_from_their_chunks(table, images):
    source = source_of(table, images)
    places = dict(zip(tracklets_of(table).numbers, tracklets_of(table).rows, strict=True))
    for _ in range(10):
        for clip in source.batch(torch.device("cpu")).rows.numpy():
            rows = places[table["tracklet"].iloc[clip[0]]].tolist()
            chunk = max(1, -(-len(rows) // 4))
            for t, row in enumerate(clip):
                strip = rows + [rows[-1]] * 40
                assert row in strip[t * chunk : (t + 1) * chunk]


def test_the_stream_depends_on_seed_and_process_and_its_place_is_found_again(table, images, tmp_path):
    transform = ClipTransform(0.5, 1, 0.5)
    device = torch.device("cpu")

    def batches(source, count):
        return [source.batch(device) for _ in range(count)]

    def stream(seed, rank):
        source = source_of(table, images, transform=transform)
        source.start(seed, rank)
        return torch.stack([batch.images for batch in batches(source, 4)])

    assert torch.equal(stream(1, 0), stream(1, 0))
    assert not torch.equal(stream(1, 0), stream(2, 0))
    assert not torch.equal(stream(1, 0), stream(1, 1))
    source = source_of(table, images, transform=transform)
    batches(source, 3)
    torch.save(source.state_dict(), tmp_path / "place.pt")
    expected = batches(source, 4)
    again = source_of(table, images, transform=transform)
    again.load_state_dict(torch.load(tmp_path / "place.pt", weights_only=True))
    for one, other in zip(batches(again, 4), expected, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.rows, other.rows)


def test_two_runs_are_identical_and_decoded_pictures_change_nothing(table, config, images, make_model, identical):
    first, again, given = (
        fit_clips(make_model(), table, config, seed=3, images=pictures, progress=False).model
        for pictures in (None, None, images)
    )
    assert identical(first, again)
    assert identical(first, given)
    assert not identical(first, fit_clips(make_model(), table, config, seed=4, progress=False).model)


def test_a_crashed_run_resumes_to_identical_weights(tmp_path, table, config, images, masks, make_model, identical):
    class Crash(Hook):
        def after_step(self, state):
            if state.iteration == 5:
                raise ZeroDivisionError

    def run(model, **options):
        return fit_clips(model, table, config, seed=3, images=images, masks=masks, progress=False, **options).model

    config = dataclasses.replace(config, checkpoint_every=3)
    whole = run(make_model(), hooks=[Hook()])
    with pytest.raises(ZeroDivisionError):
        run(make_model(), out_dir=tmp_path, hooks=[Crash()])
    model = make_model(seed=8)
    run(model, out_dir=tmp_path, resume=True, hooks=[Hook()])
    assert identical(whole, model)


@pytest.mark.parametrize("change", ["masks", "frames", "tracklets"])
def test_resuming_on_other_clips_is_refused(tmp_path, table, config, images, masks, make_model, change):
    fit_clips(make_model(), table, config, seed=3, out_dir=tmp_path, images=images, progress=False)
    options = {"masks": masks} if change == "masks" else {}
    if change == "frames":
        config = dataclasses.replace(config, frames=3)
    if change == "tracklets":
        table = table.assign(frame=-table["frame"] + 40)
    with pytest.raises(ConfigError, match=f"it differs in {change}"):
        fit_clips(make_model(), table, config, 3, images, out_dir=tmp_path, resume=True, progress=False, **options)


def test_an_epoch_is_one_pass_over_the_identities(table, config, make_model):
    config = dataclasses.replace(config, iterations=None, epochs=3, log_every=1, p=2)
    assert len(fit_clips(make_model(), table, config, seed=0, progress=False).history) == 3 * 2


def test_the_network_sees_masks_only_where_there_are_any(table, config, images, masks, make_model):
    seen = []

    class Watch(Walk):
        def forward(self, clips, *rest):
            seen.append((clips.shape, clips.flatten(0, 1).is_contiguous(memory_format=torch.channels_last), rest))
            return super().forward(clips, *rest)

    fit_clips(Watch(4), table, config, seed=0, images=images, progress=False)
    assert {(shape, last, len(rest)) for shape, last, rest in seen} == {((6, 4, 3, *SIZE), True, 0)}
    seen.clear()
    fit_clips(Watch(4), table, config, seed=0, images=images, masks=masks, progress=False)
    assert {(rest[0].shape, rest[0].dtype) for _, _, rest in seen} == {((6, 4, 4), torch.int64)}


def test_flip_shift_and_erasing_are_those_of_the_configuration(table, config, images, make_model, identical):
    def run(config, **options):
        return fit_clips(make_model(), table, config, seed=3, images=images, progress=False, **options).model

    first = run(config)
    assert identical(first, run(config, transform=ClipTransform(config.flip, config.pad, config.erase)))
    for change in ({"flip": 0.0}, {"pad": 0}, {"erase": 0.0}):
        assert not identical(first, run(dataclasses.replace(config, **change)))


def test_an_objective_of_ones_own_takes_the_place_of_the_two_losses(table, config, make_model):
    def objective(model, batch):
        return {"loss": nn.functional.cross_entropy(model(*batch.inputs).logits, batch.labels)}

    history = fit_clips(make_model(), table, config, seed=0, objective=objective, progress=False).history
    assert list(history.columns) == ["iteration", "loss", "lr", "seconds"]


def test_the_schedule_of_the_paper_can_be_written_down():
    config = ClipConfig(
        epochs=200, optimizer="adam", lr=1e-4, weight_decay=5e-5, schedule="steps", milestones=(50, 100, 150),
        size=(256, 128),
    )  # fmt: skip
    assert (config.p, config.k, config.frames) == (8, 4, 8)
    assert ClipConfig.from_dict(config.to_dict()) == config
    per_epoch = 78  # 625 identities in batches of 8
    for epoch in range(200):
        for iteration in (per_epoch * epoch, per_epoch * (epoch + 1) - 1):
            rate = config.lr * lr_factor(config, iteration, 200 * per_epoch, per_epoch)
            assert rate == pytest.approx(1e-4 * 0.1 ** (epoch // 50))


@pytest.mark.parametrize("frames", [0, 2.0, True])
def test_a_bad_number_of_frames_is_refused(frames):
    with pytest.raises(ConfigError, match="frames"):
        ClipConfig(iterations=1, frames=frames)


@pytest.mark.parametrize("mode", ["restricted", "strided", "contiguous"])
@pytest.mark.parametrize("masked", [False, True])
def test_an_embedding_is_the_mean_over_the_clips_of_a_tracklet(table, images, masks, make_model, mode, masked):
    model = make_model()
    model.neck.bn.running_mean.normal_()
    found = extract_clips(model, table, SIZE, 3, mode, images=images, masks=masks if masked else None, batch_size=7)
    model.eval()
    tracklets = sorted(table["tracklet"].unique())
    assert found.features.dtype == np.float32
    assert found.tracklets.tolist() == tracklets
    for i, number in enumerate(tracklets):
        rows = np.flatnonzero(table["tracklet"] == number)
        rows = rows[np.argsort(table["frame"].to_numpy()[rows])]
        assert found.pids[i] == table["pid"].iloc[rows[0]]
        assert found.camids[i] == table["camid"].iloc[rows[0]]
        clips = []
        for clip in sample_frames(len(rows), 3, mode):
            inputs = [normalize(torch.from_numpy(images[rows[clip]]))[None]]
            if masked:
                inputs.append(torch.from_numpy(masks[rows[clip]])[None])
            with torch.no_grad():
                clips.append(model(*inputs).embedding[0].numpy())
        np.testing.assert_allclose(found.features[i], np.mean(clips, axis=0), atol=1e-5)


@pytest.mark.parametrize("mode", ["restricted", "strided"])
def test_pictures_are_read_where_they_are_not_given(table, images, masks, make_model, mode):
    model = make_model()
    given, read = (
        extract_clips(model, table, SIZE, 3, mode, images=pictures, masks=masks).features for pictures in (images, None)
    )
    assert np.array_equal(given, read)


def test_only_frames_that_are_seen_are_decoded(tmp_path, table, make_model):
    # A tracklet's second frame of four is in no chunk's first place when clips have two.
    number = table["tracklet"].value_counts().loc[lambda counts: counts >= 4].index[0]
    walk = table[table["tracklet"] == number].sort_values("frame").copy()
    walk.iloc[1, walk.columns.get_loc("path")] = str(tmp_path / "not-there.png")
    assert len(extract_clips(make_model(), walk, SIZE, 2)) == 1
    with pytest.raises(DataError, match=r"not-there\.png \(there is no such file\)"):
        extract_clips(make_model(), walk, SIZE, 2, "contiguous")


def test_the_batch_size_changes_nothing_that_matters(table, images, make_model):
    model = make_model()
    one, other = (
        extract_clips(model, table, SIZE, 2, "contiguous", images=images, batch_size=n).features for n in (3, 64)
    )
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_extraction_leaves_the_network_as_it_was(table, images, make_model):
    model = make_model().train()
    model.conv.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    extract_clips(model, table, SIZE, 2, images=images)
    assert model.training
    assert not model.conv.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(split="query"), "rows of split 'query'; training sees training rows only"),
        (lambda t: t.iloc[:0], "no rows to train on"),
        (lambda t: t.assign(pid=-1), "negative pid"),
        (lambda t: t.assign(tracklet=-1), r"rows have no tracklet \(number -1\)"),
        (lambda t: t.assign(tracklet=8), r"tracklet 8: it has 4 identities, 2, 3, 5, 7"),
        (lambda t: t.assign(path=[f"{path}.gone" for path in t["path"]]), r"\.png\.gone \(there is no such file\)"),
    ],
)
def test_unfit_tables_are_refused_and_nothing_is_written(tmp_path, table, config, make_model, change, message):
    with pytest.raises(DataError, match=message):
        fit_clips(make_model(), change(table), config, seed=0, out_dir=tmp_path / "run")
    assert not os.listdir(tmp_path)


def test_a_network_with_another_number_of_classes_is_refused(table, config, make_model):
    with pytest.raises(ConfigError, match=r"it has 5 classes, but the table has 4 identities"):
        fit_clips(make_model(5), table, config, seed=0)


@pytest.mark.parametrize("shape", [(-1, 8, 16, 3), (-1, 32, 16, 3), (3, *SIZE, 3), (-1, *SIZE)])
def test_pictures_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path, table, config, make_model, shape):
    pictures = np.zeros([len(table) if n < 0 else n for n in shape], np.uint8)
    message = rf"images: uint8 .*expected uint8 \({len(table)}, 16, 8, 3\)"
    with pytest.raises(ConfigError, match=message):
        fit_clips(make_model(), table, config, seed=0, out_dir=tmp_path / "run", images=pictures)
    with pytest.raises(ConfigError, match=message):
        extract_clips(make_model(), table, SIZE, 2, images=pictures)
    assert not os.listdir(tmp_path)


def test_masks_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path, table, config, images, masks, make_model):
    outside = masks.copy()
    outside[5, 1] = SIZE[0] + 1
    for bad, error, message in (
        (masks[1:], ConfigError, "masks: .*expected integers .*a box .* for each picture"),
        (masks.astype(float), ConfigError, "masks: float64"),
        (outside, DataError, f"masks: row 5, of tracklet {table['tracklet'].iloc[5]}: .*16 x 8 pixels"),
    ):
        with pytest.raises(error, match=message):
            fit_clips(make_model(), table, config, 0, masks=bad, out_dir=tmp_path / "run")
        with pytest.raises(error, match=message):
            extract_clips(make_model(), table, SIZE, 2, images=images, masks=bad)
    assert not os.listdir(tmp_path)


def test_bad_extraction_arguments_are_refused(table, images, make_model):
    for options, message in (
        ({"batch_size": 0}, "batch_size: 0"), ({"mode": "all"}, "mode: there is none called 'all'"),
        ({"frames": 0}, "frames: 0"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            extract_clips(make_model(), table, SIZE, images=images, **{"frames": 2, **options})
    with pytest.raises(DataError, match="no rows"):
        extract_clips(make_model(), table.iloc[:0], SIZE, 2)
    with pytest.raises(DataError, match="splits"):
        extract_clips(make_model(), table.assign(split=["query"] + ["gallery"] * (len(table) - 1)), SIZE, 2)


def test_a_source_checks_what_it_is_made_of(table, images, masks):
    tracklets = tracklets_of(table)
    labels = np.zeros(len(tracklets), dtype=int)
    last = tracklets.numbers[[len(table) - 1 in rows for rows in tracklets.rows]][0]
    for arguments, error, message in (
        ((images.astype(float), tracklets, labels, 1, 2, 4, flat), ConfigError, "images: .*expected uint8"),
        ((images[:-1], tracklets, labels, 1, 2, 4, flat), ConfigError, f"tracklet {last}: its rows reach"),
        ((images, tracklets, labels[1:], 1, 2, 4, flat), ConfigError, f"labels: {len(labels) - 1} for {len(labels)}"),
        ((images, tracklets, labels, 1, 2, 0, flat), ConfigError, "frames: 0"),
        ((images, tracklets, labels, 1, 2, 4, flat, masks + 9), DataError, "masks: row 0, of tracklet"),
    ):
        with pytest.raises(error, match=message):
            ClipSource(*arguments)
    with pytest.raises(DataError, match="tracklet 4: it has no frame"):
        Tracklets((np.array([], dtype=int),), np.array([1]), np.array([1]), np.array([4]))


def test_a_batch_of_pictures_has_one_input(make_source):
    batch = make_source().batch(torch.device("cpu"))
    assert len(batch.inputs) == 1
    assert batch.inputs[0] is batch.images
