"""What networks are pruned for: who trains, who validates, who tests; every network of the chapter can lose filters."""

import numpy as np
import pytest
import torch

from reidlab.data import classification as pictures
from reidlab.data.classification import Classification, LabelledPictures
from reidlab.errors import ConfigError, MissingDataError
from reidlab.models.conventions import counted
from reidlab.pruning import tasks
from reidlab.pruning.baselines import by_factors, uniform_removal
from reidlab.pruning.removal import widths
from reidlab.pruning.tasks import NETWORKS, classification, super_resolution

#: Depth and width, tiny; and how many layers lose filters.
TINY = {
    "vdsr": (4, 4, 3),
    "vgg-19": (19, 2, 15),
    "vgg-16": (16, 2, 13),
    "resnet-32": (14, 2, 8),
    "resnet-34": (34, 2, 19),
    "mobilenet-22": (22, 2, 10),
}


def hashes(batches):
    return {row.numpy().tobytes() for batch in batches for row in batch}


@pytest.fixture(scope="module")
def digits():
    return classification("digits", 8, 200, 1)


@pytest.fixture(scope="module")
def drawn():
    return super_resolution("generated", 17, None, 1)


@pytest.mark.parametrize("name", ["digits", "drawn"])
def test_no_picture_is_in_two_splits_by_content(name, request):
    task = request.getfixturevalue(name)
    splits = [hashes([task.inputs]), *(hashes(task.scores[split].batches) for split in ("validation", "test"))]
    assert all(not one & other for one in splits for other in splits if one is not other)
    assert len(splits[0]) > 0.9 * len(task.inputs) > 0


def test_a_tenth_of_the_training_pictures_validates(digits):
    assert (len(digits.inputs), len(torch.cat(digits.scores["validation"].batches))) == (180, 20)
    assert len(torch.cat(digits.scores["test"].batches)) == 100


def test_normalisation_looks_at_training_pictures_alone(monkeypatch):
    def made(brightness):
        random = np.random.default_rng(0)
        labels = np.arange(40) % 2
        parts = [LabelledPictures(random.integers(0, high, (40, 4, 4, 1), np.uint8), labels, ("a", "b"))
                 for high in (100, brightness)]  # fmt: skip
        return Classification("made", *parts)

    found = []
    for brightness in (100, 255):
        monkeypatch.setattr(tasks, "find_classification", lambda *_, data=made(brightness): data)
        found.append(classification("made", 4, None, 0))
    assert torch.equal(found[0].inputs, found[1].inputs)
    assert not torch.equal(found[0].scores["test"].batches[0], found[1].scores["test"].batches[0])
    # Mean 0 and deviation 1 over the training pictures, by hand.
    assert found[0].inputs.mean().item() == pytest.approx(0, abs=1e-5)
    assert found[0].inputs.std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_pictures_are_brought_to_a_size(digits):
    twice, half = (classification("digits", size, 200, 1).inputs for size in (16, 4))
    assert torch.equal(twice[:, :, ::2, ::2], digits.inputs)
    assert torch.equal(twice[:, :, 1::2, 1::2], digits.inputs)
    by_hand = digits.inputs.reshape(180, 3, 4, 2, 4, 2).mean((3, 5))
    assert torch.allclose(half, by_hand, atol=1e-5)
    with pytest.raises(ConfigError, match="size: 12 is no multiple and no part of 8"):
        classification("digits", 12, 200, 1)


def test_a_seed_draws_the_same_and_another_one_others(digits):
    assert torch.equal(classification("digits", 8, 200, 1).inputs, digits.inputs)
    assert not torch.equal(classification("digits", 8, 200, 2).inputs, digits.inputs)


def test_scores_by_hand(drawn):
    logits = torch.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
    assert tasks.accuracy([logits[:2], logits[2:]], torch.tensor([0, 1, 1])) == pytest.approx(200 / 3)
    true = np.full((8, 8), 0.5, np.float32)
    made = torch.full((1, 1, 8, 8), 0.6)
    made[..., 0] = 0  # the border does not count
    assert tasks.mean_psnr([made], [true]) == pytest.approx(20, abs=1e-4)
    assert np.isnan(tasks.mean_psnr([made * torch.nan], [true]))
    assert 25 < drawn.scores["test"](torch.nn.Identity()) < 35


def test_vdsr_begins_as_the_interpolated_picture(drawn):
    model = NETWORKS["vdsr"].build(4, 4)
    assert drawn.scores["validation"](model) == drawn.scores["validation"](torch.nn.Identity())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_loses_filters_and_still_runs(name):
    depth, width, count = TINY[name]
    model = NETWORKS[name].build(depth, width).eval()
    example = torch.zeros(1, 1, 17, 17) if name == "vdsr" else torch.zeros(1, 3, 32, 32)
    layers = NETWORKS[name].layers(model, example)
    assert len(layers) == count
    pruned = uniform_removal(model, example, 0.5, layers=layers).eval()
    assert pruned(example).shape == model(example).shape
    before, after = widths(model, layers), widths(pruned, layers)
    assert all(after[layer] == before[layer] - before[layer] // 2 for layer in layers)


def test_what_li_et_al_left_of_vgg_16_is_what_table_5_7_counts():
    entry, whole = NETWORKS["vgg-16"], NETWORKS["vgg-16"].build(16, 64)
    example = torch.zeros(1, 3, 32, 32)
    left = by_factors(whole, example, entry.li(entry.layers(whole, example)))
    found = counted(left, (3, 32, 32), entry.convention)[entry.convention]
    assert found == (5_390_176, 206_279_680)


def test_what_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("REIDLAB_DATA", str(tmp_path))
    monkeypatch.setenv("REIDLAB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(MissingDataError):
        super_resolution("sr", 17, None, 0)
    with pytest.raises(ConfigError):
        pictures.find_classification("cifar", None, 0)
    with pytest.raises(ConfigError, match=r"depth: .*28"):
        NETWORKS["mobilenet-22"].build(28, 8)


def test_records_call_a_set_what_the_catalogue_calls_it(monkeypatch):
    from reidlab.pruning.tasks import REAL

    part = LabelledPictures(
        np.arange(20 * 32 * 32 * 3, dtype=np.uint8).reshape(20, 32, 32, 3), np.arange(20) % 2, ("a", "b")
    )
    monkeypatch.setattr(tasks, "find_classification", lambda *_: Classification("a set", part, part))
    for name in ("cifar-10", "cifar-10-jpeg"):
        assert classification(name, 32, None, 0).labels == dict.fromkeys(("validation", "test"), *REAL[name])
