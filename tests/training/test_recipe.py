"""A recipe builds and trains the same network as its parts do by hand."""

import numpy as np
import pytest
import torch

from reidlab.data import ColourJitter, TrainTransform, make_table
from reidlab.data.decoded import Pictures
from reidlab.errors import ConfigError, MissingDataError
from reidlab.models import MobileNetV2, ReIDNet, VideoNet, resnet, save_weights
from reidlab.seeding import derive, rng
from reidlab.training import ClipConfig, TrainConfig, fit
from reidlab.training import recipe as recipes
from reidlab.training.determinism import seeded
from reidlab.training.recipe import (
    Augmentation,
    Backbone,
    BackboneOf,
    ImageNet,
    MobileNet,
    Recipe,
    Scratch,
    clip_extractor,
    picture_extractor,
    start_of,
    starts_here,
)

SMALL = Backbone(width=8, blocks=(1, 1, 1, 1))


@pytest.fixture
def pictures():
    pids = np.repeat(np.arange(6), 4)
    table = make_table(
        "six", path=[f"/{i}.png" for i in range(24)], pid=pids, camid=np.tile([1, 1, 2, 2], 6),
        tracklet=np.arange(24) // 2, frame=np.tile([0, 1], 12), split=["train"] * 24,
    )  # fmt: skip
    return Pictures(table, rng(0, "pictures").integers(0, 256, (24, 32, 16, 3), dtype=np.uint8))


def same(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_learning_equals_the_parts_put_together_by_hand(pictures):
    recipe = Recipe((32, 16), SMALL, optimisation={"k": 2, "lr": 2e-3})
    with seeded(derive(5, "initial weights")):
        model = ReIDNet(resnet(18, width=8, blocks=(1, 1, 1, 1), last_stride=1), 6)
    config = TrainConfig(iterations=3, size=(32, 16), p=6, k=2, pad=1, lr=2e-3, log_every=1)
    jitter = ColourJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02)
    transform = TrainTransform(flip=0.5, pad=1, jitter=jitter)
    byhand = fit(model, pictures.table, config, 5, images=pictures.images, progress=False, transform=transform).model
    assert same(recipe.learn(pictures, 3, 5), byhand)


def test_a_batch_has_no_more_identities_than_there_are():
    recipe = Recipe()
    assert (recipe.config(10).p, recipe.config(10, 5).p, recipe.config(10, 40).p) == (16, 5, 16)


def test_milestones_keep_their_share_of_the_training():
    recipe = Recipe(optimisation={"schedule": "steps", "milestones": [100, 200]}, milestones_of=300)
    assert recipe.config(300).milestones == (100, 200)
    assert recipe.config(600).milestones == (200, 400)
    fixed = Recipe(optimisation={"schedule": "steps", "milestones": [100, 200]})
    assert fixed.config(600).milestones == (100, 200)


def test_optimisation_wins_over_augmentation():
    recipe = Recipe(augmentation=Augmentation(erase=0.5, pad=7), optimisation={"pad": 0})
    assert (recipe.config(1).erase, recipe.config(1).pad) == (0.5, 0)
    assert Recipe((256, 128)).config(1).pad == 12


def test_random_weights_depend_on_seed_and_key_alone():
    recipe = Recipe((32, 16), SMALL)
    assert same(recipe.network(4, 1, "one"), recipe.network(4, 1, "one"))
    assert not same(recipe.network(4, 1, "one"), recipe.network(4, 1, "two"))
    assert not same(recipe.network(4, 1), recipe.network(4, 2))


def test_starts(tmp_path):
    recipe = Recipe((32, 16), SMALL)
    known = recipe.network(4, 1)
    file = tmp_path / "backbone.safetensors"
    save_weights(known.backbone, file)
    for start in (start_of(file), BackboneOf(known)):
        model = Recipe((32, 16), SMALL, start).network(7, 9)
        assert same(model.backbone, known.backbone)
        assert model.num_classes == 7
    assert start_of("") == start_of(None) == Recipe().start
    with pytest.raises(MissingDataError, match="there is no such file"):
        Recipe((32, 16), SMALL, start_of(tmp_path / "none.pth")).network(2, 0)


@pytest.fixture
def imagenet(monkeypatch):
    """Weights as if of ImageNet, whose package need not be there."""
    monkeypatch.setattr(recipes, "load_imagenet", lambda model: torch.nn.init.zeros_(model.features[0][0].weight))
    monkeypatch.setattr(recipes, "imagenet_source", lambda: "a package 1.0, SHA-256 0123456789ab")


def test_starts_on_this_machine_differ_in_their_start_alone(imagenet):
    own, said = Recipe((32, 16), SMALL, optimisation={"lr": 2e-3}), []
    found = starts_here(["imagenet"], own, said.append)
    assert list(found) == ["scratch", "imagenet"]
    assert not said
    assert [str(item.start) for item in found.values()] == ["scratch", "ImageNet (a package 1.0, SHA-256 0123456789ab)"]
    for name, item in found.items():
        assert item == Recipe((32, 16), MobileNet(), item.start, optimisation={"lr": 2e-3})
        with seeded(derive(3, "initial weights")):
            byhand = ReIDNet(MobileNetV2(), 5)
        if name == "imagenet":
            torch.nn.init.zeros_(byhand.backbone.features[0][0].weight)
        assert same(item.network(5, 3), byhand)
    assert starts_here([], own) == {}
    with pytest.raises(
        ConfigError, match="ImageNet's weights here are MobileNetV2's, and the backbone is ResNet; take"
    ):
        Recipe(backbone=SMALL, start=ImageNet()).network(5, 3)


def test_a_start_without_its_package_is_left_out_in_one_line(monkeypatch, capsys):
    def missing():
        raise MissingDataError("a package: is not installed; pip install it")

    monkeypatch.setattr(recipes, "imagenet_source", missing)
    assert starts_here(["imagenet"], Recipe()) == {}
    assert capsys.readouterr().out == "the start imagenet is left out: a package: is not installed; pip install it\n"
    with pytest.raises(ConfigError, match="starts: there is none called 'imagnet'; did you mean 'imagenet'"):
        starts_here(["imagnet"], Recipe())


def test_run_cards_name_starts_with_the_digests_of_files(tmp_path, imagenet):
    file = tmp_path / "backbone.safetensors"
    file.write_bytes(b"abc")  # whose digest FIPS 180-2 has as an example
    assert str(start_of(file)) == "backbone.safetensors (SHA-256 ba7816bf8f01)"
    assert str(Scratch()) == "scratch"
    assert str(ImageNet()).startswith("ImageNet (a package 1.0")
    with pytest.raises(MissingDataError, match="there is no such file"):
        str(start_of(tmp_path / "none.pth"))


def test_a_recipe_for_clips(pictures):
    recipe = Recipe((32, 16), SMALL, optimisation={"p": 4, "k": 2}, frames=2)
    assert isinstance(recipe.config(3), ClipConfig)
    model = recipe.network(6, 0, "clips", head=VideoNet)
    result = recipe.fit(model, pictures, 2, 0)
    assert result.history["loss"].notna().all()
    found = clip_extractor(model, 2)(pictures)
    assert found.tracklets.tolist() == list(range(12))
    assert len(picture_extractor(Recipe((32, 16), SMALL).network(6, 0))(pictures)) == 24


def test_a_wrong_field_is_named_when_the_recipe_is_made():
    with pytest.raises(ConfigError, match="did you mean 'optimizer'"):
        Recipe(optimisation={"optimiser": "sgd"})
    with pytest.raises(ConfigError, match="flip"):
        Recipe(augmentation=Augmentation(flip=2.0))
    with pytest.raises(ConfigError, match="frames: 0"):
        clip_extractor(None, 0)
