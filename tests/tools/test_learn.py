"""From a folder of pictures without labels to a network, by function and by command."""

import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from reidlab import files
from reidlab.cli import main
from reidlab.data.readers import detect
from reidlab.errors import ConfigError, DataError, MissingDataError, RunError, StorageError
from reidlab.models import load_weights, save_weights
from reidlab.pseudolabel import unlabelled
from reidlab.pseudolabel.loop import Round
from reidlab.tools import learn, network
from reidlab.tools.common import ASKED, LOCK, STATE
from reidlab.tools.starts import NETWORK, read_start
from reidlab.training.recipe import Backbone, Recipe
from tests.pseudolabel import toy

STEPS = {"start": 10, "round": 3}


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
    return save_weights(toy.RECIPE.learn(toy.pictures(range(20, 30)), 10, 0), tmp_path / "start.safetensors")


OPTIONS = learn.hsr(48, rounds=2, neighbours=3, optimisation={"lr": 5e-4})
OPTIONS = OPTIONS.with_(options={"share": 0.1, "k1": 6, "k2": 2, "min_samples": 2})


def learnt(folder, out, weights, recipe=toy.RECIPE, **options):
    options = {"start": read_start(weights, recipe), "steps": STEPS, "options": OPTIONS, **options}
    return learn.learn_pictures(detect(folder).read(folder), out, **options)


def test_what_it_leaves_behind(tmp_path, folder, weights):
    made = learnt(folder, tmp_path / "out", weights)
    table = pd.read_csv(made.folder / learn.CLUSTERS)
    assert len(table) == 48
    assert (made.folder / learn.CLUSTERS).stat().st_mode & 0o777 == 0o600  # who is whom is personal data
    assert sorted(table.path) == sorted(str(path) for path in folder.rglob("*.png"))
    np.testing.assert_array_equal(table.cluster, made.rounds[-1].labels)
    assert pd.read_csv(made.folder / learn.ROUNDS)["round"].tolist() == [1, 2]
    again = toy.RECIPE.network(2, 0)
    load_weights(again, made.folder / NETWORK, ignore=("neck.classifier.",))
    for name, value in again.backbone.state_dict().items():
        assert torch.equal(value, made.model.backbone.state_dict()[name])


def test_nothing_is_overwritten_and_a_stopped_run_goes_on(tmp_path, folder, weights):
    out = tmp_path / "out"
    whole = learnt(folder, tmp_path / "whole", weights)

    def stop(line):
        if line.startswith("round 1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learnt(folder, out, weights, say=stop)
    with pytest.raises(ConfigError, match="not empty, a run was begun there; go on with --resume"):
        learnt(folder, out, weights)
    made = learnt(folder, out, weights, resume=True)
    assert [item.values for item in made.rounds] == [item.values for item in whole.rounds]


def test_without_a_start_one_is_trained_on_the_embedded_world(monkeypatch, folder, tmp_path):
    asked, said = [], []
    monkeypatch.setattr(network, "cached", lambda spec, quiet: None)
    monkeypatch.setattr(unlabelled, "from_world", lambda spec, size: asked.append(spec.name) or toy.data_set())

    def stop(line):
        said.append(line)
        if line.startswith("round 1"):
            raise KeyboardInterrupt

    whole = learnt(folder, tmp_path / "whole", None)
    assert asked == ["standard"]
    with pytest.raises(KeyboardInterrupt):
        learnt(folder, tmp_path / "out", None, say=stop)
    assert said[0] == "training a network on the embedded world, 10 steps"
    made = learnt(folder, tmp_path / "out", None, resume=True)
    assert asked == ["standard"] * 2  # a run that goes on has its network
    for name, value in made.model.state_dict().items():
        assert torch.equal(value, whole.model.state_dict()[name])


def test_a_folder_that_holds_something_else_is_refused_before_the_work(folder, tmp_path, weights):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        learnt(folder, tmp_path / "out", weights)
    with pytest.raises(ConfigError, match="holds no run that could be resumed"):
        learnt(folder, tmp_path / "out", weights, resume=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_a_run_goes_on_with_what_it_was_begun_with_alone(tmp_path, folder, weights):
    out = tmp_path / "out"
    learnt(folder, out, weights)
    kept = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    other = tmp_path / "other.safetensors"
    other.write_bytes(weights.read_bytes())
    save_weights(toy.RECIPE.network(5, 1), other)
    for changes, words in (
        ({"steps": {"start": 10, "round": 4}}, r"begun with --iterations 3, not with --iterations 4; give --resume"),
        ({"seed": 5}, r"--seed 0, not with --seed 5"),
        ({"weights": None}, r"--start start\.safetensors, SHA-256 \w{12}, not with --start world"),
        ({"weights": other}, r"--start start\.safetensors, SHA-256 .*not with --start other\.safetensors, SHA"),
        ({"options": OPTIONS.with_(optimisation={"lr": 1e-3})}, r"--lr 0\.0005, not with --lr 0\.001"),
        ({"options": OPTIONS.with_(centre=False)}, r"--centre, not with --no-centre"),
        ({"options": OPTIONS.with_(options={**OPTIONS.options, "eps": 0.5})}, r"no --radius, not with --radius 0\.5"),
        ({"recipe": replace(toy.RECIPE, size=(64, 32))}, r"--height 32, not with --height 64"),
        ({"options": OPTIONS.with_(neighbours=4)}, r"differs in options"),
    ):
        with pytest.raises(ConfigError, match=words):
            learnt(folder, out, resume=True, **{"weights": weights, **changes})
    (folder / "cam1" / "0.png").unlink()
    with pytest.raises(ConfigError, match=r"begun with 48 pictures, \w+, not with 47 pictures"):
        learnt(folder, out, weights, resume=True)
    assert {path: path.read_bytes() for path in kept} == kept


def test_more_rounds_are_no_other_run(tmp_path, folder, weights):
    learnt(folder, tmp_path / "out", weights)
    made = learnt(folder, tmp_path / "out", weights, resume=True, options=OPTIONS.with_(rounds=3))
    assert [item.number for item in made.rounds] == [1, 2, 3]


def test_what_a_run_was_begun_with_must_be_readable(tmp_path, folder, weights):
    learnt(folder, tmp_path / "out", weights)
    (tmp_path / "out" / STATE / ASKED).write_text("[]")
    with pytest.raises(ConfigError, match="holds no run that could be resumed"):
        learnt(folder, tmp_path / "out", weights, resume=True)


def test_a_second_process_in_one_folder_is_refused(tmp_path, folder, weights):
    out = tmp_path / "out"
    with files.locked(out / STATE / LOCK, "ours"):
        for resume in (False, True):
            with pytest.raises(RunError, match=r"out: another `reidlab learn` is at work there"):
                learnt(folder, out, weights, resume=resume)
    assert [path.name for path in out.rglob("*") if path.is_file()] == [LOCK]
    learnt(folder, out, weights)


def test_a_damaged_checkpoint_costs_a_round(tmp_path, folder, weights):
    out = tmp_path / "out"
    whole = learnt(folder, out, weights)
    network = (out / NETWORK).read_bytes()
    last = out / STATE / "checkpoint-last.pt"
    last.write_bytes(last.read_bytes()[:1000])
    said = []
    made = learnt(folder, out, weights, resume=True, say=said.append)
    assert [line for line in said if line.startswith("round")] == [line for line in said if line.startswith("round 2")]
    assert [item.values for item in made.rounds] == [item.values for item in whole.rounds]
    assert (out / NETWORK).read_bytes() == network


def test_places_and_weights_are_checked_before_the_work(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(learn, "ImageCache", lambda *_: pytest.fail("decoded before"))
    with pytest.raises(ConfigError, match="lies in the folder of the data set"):
        learnt(folder, folder / "out", None, root=folder)
    with pytest.raises(StorageError, match=r"^/proc/mine: cannot be written"):
        learnt(folder, "/proc/mine", None)
    with pytest.raises(MissingDataError, match=r"none\.pth: there is no such file"):
        learnt(folder, tmp_path / "out", tmp_path / "none.pth")
    with pytest.raises(DataError, match="/dev/zero: is a device, not a file"):
        learnt(folder, tmp_path / "out", "/dev/zero")
    assert not (tmp_path / "out").exists()
    assert not (folder / "out").exists()


def people_of(tmp_path, people, cameras, each):
    """Pictures of a few people, CAMERA/PICTURE.png."""
    found = toy.pictures(range(people), cameras=cameras, each=each)
    for number, (camid, image) in enumerate(zip(found.camids, found.images)):
        path = tmp_path / "few" / f"cam{camid}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return tmp_path / "few"


def command(*words):
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return left.value.code


@pytest.mark.parametrize(
    ("people", "cameras", "each", "works"),
    [(3, 2, 3, True), (3, 1, 7, True), (5, 2, 2, True), (2, 1, 1, False)],
)
def test_small_sets_are_learnt_or_it_is_said_what_is_missing(tmp_path, capsys, people, cameras, each, works):
    """Twenty pictures, three people and one camera work; two pictures are no two groups.

    The radius is one that holds for any start: by the rule, clusters of so few pictures hang on how a machine rounds.
    """
    weights = save_weights(Recipe((32, 16)).network(2, 0), tmp_path / "start.safetensors")
    few = people_of(tmp_path, people, cameras, each)
    options = ["--start", weights, "--height", "32", "--rounds", "3", "--iterations", "2"]
    options += ["--radius", "0.1"] if works else []
    status = command("learn", few, tmp_path / "out", *options)
    said = capsys.readouterr().err
    assert status == (0 if works else 1), said
    assert (tmp_path / "out" / NETWORK).exists() == works
    if not works:
        assert re.search(r"of 2 pictures none is in a cluster.* a larger --radius \(it was \d", said)
        assert "min_samples" not in said


def test_the_network_that_learn_wrote_audits_a_set_sorted_by_person_and_camera(tmp_path, capsys):
    toy.write_people(tmp_path / "mine", toy.pictures(range(8)))
    (tmp_path / "mine" / "person3" / "door1" / "18.png").rename(tmp_path / "mine" / "person5" / "door1" / "wrong.png")
    weights = save_weights(Recipe((48, 24)).network(2, 0), tmp_path / "start.safetensors")
    options = ["--start", weights, "--height", "48", "--rounds", "1", "--iterations", "2"]
    assert not command("learn", tmp_path / "mine", tmp_path / "out", *options)
    network = tmp_path / "out" / NETWORK
    assert network.stat().st_mode & 0o777 == 0o666 & ~files_mask()
    capsys.readouterr()
    out = tmp_path / "report.csv"
    assert not command("data", "audit-labels", tmp_path / "mine", "--weights", network, "--out", out)
    said = capsys.readouterr()
    assert "its pictures are of 48 x 24 pixels" in said.err
    assert "all labels are audited" in said.err
    report = pd.read_csv(out)
    assert len(set(report.path)) == 48
    first = report[report.kind == "label error"].iloc[0]
    assert first.path.endswith("person5/door1/wrong.png")
    assert "person3" in first.evidence_path


def files_mask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("words", [["learn", "no-such-set", "out"], ["data", "audit-labels", "no-such-set"]])
def test_a_mistyped_name_is_said_before_the_tools_are_loaded(words):
    code = f"import sys; from reidlab.cli import main\ntry: main({words})\nfinally: print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 1
    assert "no-such-set" in answer.stderr
    assert not {"torch", "sklearn", "reidlab.tools.network"} & {*answer.stdout.split()}


def test_advice_on_the_radius_goes_by_how_many_pictures_are_in_a_cluster():
    def why(labels):
        labels = np.array(labels)
        values = {"clusters": float(len(set(labels[labels >= 0].tolist())))}
        return learn._why(Round(1, labels, labels, labels[:0], labels >= 0, values, "failed"), 0.25)

    assert "none is in a cluster" in why([-1] * 9)
    assert "larger --radius (it was 0.25)" in why([-1] * 9)
    assert "of 9 pictures 4 are in a cluster, and all of these in the same" in why([0] * 4 + [-1] * 5)
    assert "larger --radius" in why([0] * 4 + [-1] * 5)
    assert "smaller --radius" in why([0] * 5 + [-1] * 4)


def test_one_camera_mines_nothing(tmp_path, folder, weights):
    options = learn.hsr(24, cameras=1, rounds=1).with_(options=OPTIONS.options)
    made = learnt(folder / "cam1", tmp_path / "out", weights, options=options)
    assert "camera_purity" in made.rounds[0].values
    with pytest.raises(ConfigError, match="take a method without mining"):
        learnt(folder / "cam1", tmp_path / "other", weights)


def test_what_cannot_be_learnt_leaves_no_network(tmp_path, folder, weights):
    hopeless = OPTIONS.with_(options={"share": 0.0001, "k1": 3, "k2": 1, "min_samples": 40})
    with pytest.raises(RunError, match="nothing could be learnt: of 48 pictures none is in a cluster"):
        learnt(folder, tmp_path / "out", weights, options=hopeless)
    assert not (tmp_path / "out" / NETWORK).exists()
    wrong = save_weights(
        replace(toy.RECIPE, backbone=Backbone(width=16, blocks=(1, 1, 1, 1))).network(2, 0),
        tmp_path / "wide.safetensors",
    )
    with pytest.raises(DataError, match="do not fit"):
        learnt(folder, tmp_path / "another", wrong)
    alone = detect(folder).read(folder).iloc[:1]
    with pytest.raises(DataError, match="1 picture to learn from"):
        learn.learn_pictures(alone, tmp_path / "third", start=read_start(weights, toy.RECIPE))


def test_radius_for_any_number_of_pictures():
    assert learn.hsr(12936).options["share"] == pytest.approx(10 / 12936)
    assert learn.hsr(100).options["share"] == 0.01
    assert (learn.hsr(5).options["k1"], learn.hsr(5).options["k2"]) == (4, 4)
    assert (learn.hsr(2).options["k2"], learn.hsr(100).options["k2"]) == (1, 6)
    assert not learn.hsr(100, cameras=1).mining
    assert learn.hsr(100).centre
    assert not learn.hsr(100, cameras=1).centre


def test_the_command(tmp_path, folder, monkeypatch, capsys):
    seen = {}

    def spied(table, out, **options):
        seen.update(options, rows=len(table))
        return learn.Learnt(out, None, [])

    monkeypatch.setattr(learn, "learn_pictures", spied)
    with pytest.raises(SystemExit) as left:
        main(["learn", str(folder), str(tmp_path / "out"), "--rounds", "3", "--iterations", "7", "--height", "48"])
    assert not left.value.code
    assert seen["rows"] == 48
    assert (seen["options"].rounds, seen["options"].mining) == (3, True)
    assert (seen["steps"]["round"], seen["start"].recipe.size) == (7, (48, 24))
    said = capsys.readouterr()
    assert "made" in said.out
    assert "read pictures" in said.err
    assert "48 pictures" in said.err


@pytest.mark.parametrize("before", [False, True])
def test_what_ends_before_a_round_is_kept_leaves_nothing(tmp_path, folder, weights, monkeypatch, before):
    out = tmp_path / "out"
    if before:
        out.mkdir()

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(learn, "run_loop", stopped)
    with pytest.raises(KeyboardInterrupt):
        learnt(folder, out, weights)
    assert out.exists() == before
    assert not list(tmp_path.glob("out/*"))


def test_ctrl_c_says_how_to_go_on(tmp_path, folder, monkeypatch, capsys):
    def stopped(table, out, **_):
        raise KeyboardInterrupt

    monkeypatch.setattr(learn, "learn_pictures", stopped)
    assert command("learn", folder, tmp_path / "out") == 130
    assert "interrupted; no round was done, nothing is left\n" in capsys.readouterr().err
    (tmp_path / "out" / STATE).mkdir(parents=True)
    (tmp_path / "out" / STATE / "checkpoint-last.pt").touch()
    assert command("learn", folder, tmp_path / "out") == 130
    assert "interrupted; --resume goes on after the last whole round\n" in capsys.readouterr().err


def test_no_bar_is_shown_where_none_is_wanted(tmp_path, folder, monkeypatch):
    asked = []
    monkeypatch.setattr(network, "cached", lambda spec, quiet: asked.append(quiet))
    monkeypatch.setattr(unlabelled, "from_world", lambda spec, size: toy.data_set())
    learn_bar = Recipe.learn
    monkeypatch.setattr(
        Recipe, "learn", lambda self, *given, progress: asked.append(not progress) or learn_bar(self, *given)
    )
    learnt(folder, tmp_path / "out", None, steps={"start": 1, "round": 1}, options=OPTIONS.with_(rounds=1))
    assert asked == [True, True]


def test_a_rate_that_is_too_high_is_named_by_its_option(tmp_path, folder, weights):
    high = OPTIONS.with_(optimisation={"lr": 1e30})
    with pytest.raises(
        RunError, match=r"^the loss is not finite at training step \d+; give a lower --lr \(it was 1e\+30\)"
    ):
        learnt(folder, tmp_path / "out", weights, options=high, steps={"start": 1, "round": 5})
    assert not (tmp_path / "out").exists()
