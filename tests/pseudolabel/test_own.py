"""From a folder of pictures without labels to a network, by function and by command."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from reidlab.cli import main
from reidlab.data.readers import detect
from reidlab.errors import ConfigError, DataError, RunError
from reidlab.models import load_weights, save_weights
from reidlab.pseudolabel import own
from reidlab.pseudolabel.learning import Learner
from tests.pseudolabel import toy

LEARNER = Learner(toy.SIZE, width=8, blocks=(1, 1, 1, 1), initial=10, iterations=3, p=4, k=2)
pytestmark = pytest.mark.xdist_group("pseudolabel")


@pytest.fixture
def folder(tmp_path):
    people = toy.pictures(range(8))
    for number, (camid, image) in enumerate(zip(people.camids, people.images)):
        path = tmp_path / "pictures" / f"cam{camid}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return tmp_path / "pictures"


@pytest.fixture
def weights(tmp_path):
    return save_weights(LEARNER.learn(toy.pictures(range(20, 30)), 0), tmp_path / "start.safetensors")


RECIPE = own.hsr(48, rounds=2, neighbours=3).with_(options={"share": 0.1, "k1": 6, "k2": 2, "min_samples": 2})


def learnt(folder, out, weights, **options):
    options = {"learner": LEARNER, "recipe": RECIPE, "weights": weights, **options}
    return own.learn_pictures(detect(folder).read(folder), out, **options)


def test_what_it_leaves_behind(tmp_path, folder, weights):
    made = learnt(folder, tmp_path / "out", weights)
    table = pd.read_csv(made.folder / own.CLUSTERS)
    assert len(table) == 48
    assert sorted(table.path) == sorted(str(path) for path in folder.rglob("*.png"))
    np.testing.assert_array_equal(table.cluster, made.rounds[-1].labels)
    assert pd.read_csv(made.folder / own.ROUNDS)["round"].tolist() == [1, 2]
    again = LEARNER.build(2, 0)
    load_weights(again, made.folder / own.NETWORK, ignore=("neck.classifier.",))
    for name, value in again.backbone.state_dict().items():
        assert torch.equal(value, made.model.backbone.state_dict()[name])


def test_nothing_is_overwritten_and_a_stopped_run_goes_on(tmp_path, folder, weights):
    out = tmp_path / "out"
    whole = learnt(folder, tmp_path / "whole", weights)

    def stop(item):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learnt(folder, out, weights, watch=stop)
    with pytest.raises(ConfigError, match="not empty"):
        learnt(folder, out, weights)
    made = learnt(folder, out, weights, resume=True)
    assert [item.values for item in made.rounds] == [item.values for item in whole.rounds]


def test_without_a_start_one_is_trained_on_the_embedded_world(monkeypatch, folder, tmp_path):
    from reidlab.pseudolabel import domains

    asked = []
    monkeypatch.setattr(domains, "embedded", lambda spec, size: asked.append(spec.name) or toy.domain())
    learnt(folder, tmp_path / "out", None)
    assert asked == ["standard"]


def test_one_camera_mines_nothing(tmp_path, folder, weights):
    recipe = own.hsr(24, cameras=1, rounds=1).with_(options=RECIPE.options)
    made = learnt(folder / "cam1", tmp_path / "out", weights, recipe=recipe)
    assert "camera_purity" in made.rounds[0].values
    with pytest.raises(ConfigError, match="one camera"):
        learnt(folder / "cam1", tmp_path / "other", weights)


def test_what_cannot_be_learnt_leaves_no_network(tmp_path, folder, weights):
    hopeless = RECIPE.with_(options={"share": 0.0001, "k1": 3, "k2": 1, "min_samples": 40})
    with pytest.raises(RunError, match="nothing could be learnt"):
        learnt(folder, tmp_path / "out", weights, recipe=hopeless)
    assert not (tmp_path / "out" / own.NETWORK).exists()
    wrong = save_weights(replace(LEARNER, width=16).build(2, 0), tmp_path / "wide.safetensors")
    with pytest.raises(DataError, match="do not fit"):
        learnt(folder, tmp_path / "another", wrong)
    alone = detect(folder).read(folder).iloc[:1]
    with pytest.raises(DataError, match="1 pictures"):
        own.learn_pictures(alone, tmp_path / "third", learner=LEARNER, weights=weights)


def test_radius_for_any_number_of_pictures():
    assert own.hsr(12936).options["share"] == pytest.approx(10 / 12936)
    assert own.hsr(100).options["share"] == 0.01
    assert own.hsr(5).options["k1"] == 4
    assert not own.hsr(100, cameras=1).mining
    assert own.hsr(100).centre
    assert not own.hsr(100, cameras=1).centre


def test_the_command(tmp_path, folder, monkeypatch, capsys):
    seen = {}

    def learn(table, out, **options):
        seen.update(options, rows=len(table))
        return own.Learnt(out, None, [])

    monkeypatch.setattr(own, "learn_pictures", learn)
    with pytest.raises(SystemExit) as left:
        main(["learn", str(folder), str(tmp_path / "out"), "--rounds", "3", "--iterations", "7", "--height", "48"])
    assert not left.value.code
    assert seen["rows"] == 48
    assert (seen["recipe"].rounds, seen["recipe"].mining) == (3, True)
    assert (seen["learner"].iterations, seen["learner"].size) == (7, (48, 24))
    assert "made" in capsys.readouterr().out
