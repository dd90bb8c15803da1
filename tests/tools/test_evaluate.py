"""Embedding and scoring by command: numbers of a plain loop, files that only their owner may read, clear refusals."""

import json
import stat
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from PIL import Image

from reidlab import cli, paths
from reidlab.cli import main
from reidlab.data import catalogue
from reidlab.errors import ConfigError, DataError
from reidlab.evaluation.protocols import PROTOCOLS, WITH_LABELS
from reidlab.models import save_weights
from reidlab.models.osnet import OSNet
from reidlab.tools.common import own_place
from reidlab.tools.embed import embed_set, embed_table, read_embedded, read_or_embed, write_embedded
from reidlab.tools.embedder import read_embedder
from reidlab.tools.evaluate import evaluate_embedded
from reidlab.training.recipe import Recipe
from reidlab.world import Scene, export_mars, scenario
from tests.models import onnx_graphs
from tests.tools import small_sets

MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


@pytest.fixture
def pictures(tmp_path):
    return small_sets.folder(tmp_path / "people")


@pytest.fixture
def weights(tmp_path):
    return small_sets.embedder(tmp_path / "embedder.onnx")


def plain_features(files, weights, size):
    """Features of files by Pillow, numpy and ONNX Runtime alone, of length 1."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session, rows = onnxruntime.InferenceSession(str(weights), options), []
    for path in files:
        with Image.open(path) as file:
            picture = file.convert("RGB").resize(size[::-1], Image.Resampling.BILINEAR)
        batch = ((np.asarray(picture, np.float32) / 255 - MEAN) / STD).transpose(2, 0, 1)[None]
        rows.append(session.run(None, {"images": batch.astype(np.float32)})[0][0])
    features = np.stack(rows)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def plain_scores(features, pids, camids):
    """Rank-1, mAP and mINP of every picture against all of the other cameras, query by query."""
    first, precision, penalty = [], [], []
    for q in range(len(features)):
        others = np.flatnonzero(camids != camids[q])
        order = others[np.argsort(-(features[others] @ features[q]), kind="stable")]
        ranks = np.flatnonzero(pids[order] == pids[q]) + 1
        first.append(ranks[0] == 1)
        precision.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
        penalty.append(len(ranks) / ranks[-1])
    return {"rank_1": np.mean(first), "mAP": np.mean(precision), "mINP": np.mean(penalty)}


def test_the_command_gives_what_a_plain_loop_gives(pictures, weights, capsys):
    main_ok(["evaluate", str(pictures), "--weights", str(weights), "--json"])
    found = json.loads(capsys.readouterr().out)
    files = sorted(pictures.rglob("*.png"))
    pids = np.array([int(path.parts[-3]) for path in files])
    camids = np.array([int(path.parts[-2][3:]) for path in files])
    expected = plain_scores(plain_features(files, weights, (16, 8)), pids, camids)
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["protocol"] == "cross-camera"  # the folder has no queries and gallery
    assert found["counts"] == {
        "pictures": 24, "people": 4, "cameras": 2, "queries": 24, "queries_without_match": 0, "gallery": 24
    }  # fmt: skip


def main_ok(arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code in (0, None)


def test_saved_embeddings_give_the_same_scores_and_are_private(pictures, weights, tmp_path, capsys):
    saved = tmp_path / "people.npz"
    main_ok(["embed", str(pictures), str(saved), "--weights", str(weights)])
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    capsys.readouterr()
    main_ok(["evaluate", str(saved), "--json"])
    kept = json.loads(capsys.readouterr().out)
    main_ok(["evaluate", str(pictures), "--weights", str(weights), "--json"])
    assert json.loads(capsys.readouterr().out) == kept
    embedder = read_embedder(weights)
    again, first = read_embedded(saved), embed_set(str(pictures), embedder)
    np.testing.assert_array_equal(again.features, first.features)
    assert again.table["path"].tolist() == first.table["path"].tolist()
    assert again.notes == first.notes
    np.testing.assert_allclose(np.linalg.norm(again.features, axis=1), 1, atol=1e-6)


def test_centring_takes_each_cameras_mean_out(pictures, weights):
    embedded = embed_set(str(pictures), read_embedder(weights))
    found = evaluate_embedded(embedded, centre=True)
    features, table = embedded.features.copy(), embedded.table
    camids = table["camid"].to_numpy()
    for camid in np.unique(camids):
        features[camids == camid] -= features[camids == camid].mean(axis=0)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    expected = plain_scores(features, table["pid"].to_numpy(), camids)
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["centred"]


def test_a_picture_that_is_in_two_splits_counts_once_and_distractors_do_not_ask(pictures, weights):
    whole = embed_set(str(pictures), read_embedder(weights))
    expected = evaluate_embedded(whole)
    twice = [*range(len(whole.table)), 0, 5]
    doubled = type(whole)(whole.table.loc[twice].reset_index(drop=True), whole.features[twice], whole.notes)
    assert evaluate_embedded(doubled) == expected
    marked = type(whole)(whole.table, whole.features, {**whole.notes, "distractor": 4})
    found = evaluate_embedded(marked)["counts"]
    assert (found["queries"], found["people"], found["gallery"]) == (18, 3, 24)


def test_distractors_of_a_layout_are_known_without_a_manifest(tmp_path, weights):
    for part, pids in (("bounding_box_train", (5,)), ("query", (1, 2)), ("bounding_box_test", (-1, 0, 1, 2))):
        (tmp_path / "mine" / part).mkdir(parents=True)
        for pid in pids:
            for camid in (1, 2):
                name = f"{pid:04d}_c{camid}s1_{pid + 10:06d}_0{part == 'query':d}.jpg".replace("-001", "-1")
                Image.new("RGB", (8, 16), (20 * pid + 40, 90, 10 * camid)).save(tmp_path / "mine" / part / name)
    embedded = embed_set(str(tmp_path / "mine"), read_embedder(weights))
    found = evaluate_embedded(embedded, "cross-camera")["counts"]
    assert embedded.notes["distractor"] == 0
    assert (found["people"], found["queries"], found["gallery"]) == (3, 10, 14)


def test_a_divided_set_has_its_queries_and_gallery(tmp_path, weights):
    for split in ("query", "gallery"):
        small_sets.folder(tmp_path / "divided" / split, pictures=2)
    embedded = embed_set(str(tmp_path / "divided"), read_embedder(weights))
    found = evaluate_embedded(embedded)
    assert found["protocol"] == "market1501"
    assert (found["counts"]["queries"], found["counts"]["gallery"]) == (16, 16)
    assert evaluate_embedded(embedded, "cross-camera")["counts"]["queries"] == 32
    assert evaluate_embedded(embedded, "leave-one-out")["counts"]["queries"] == 32


@pytest.mark.parametrize("prefix", ["", "module."])
def test_an_osnet_of_torchreids_embeds_as_it_is(tmp_path, prefix):
    model = OSNet(0.25, features=512).eval()
    torch.save({f"{prefix}{name}": value for name, value in model.state_dict().items()}, tmp_path / "osnet.pth")
    embedder = read_embedder(tmp_path / "osnet.pth")
    assert embedder.size == (256, 128)
    x = torch.randn(1, 3, 64, 32)
    torch.testing.assert_close(embedder.model(x).embedding, model(x))


@pytest.mark.parametrize("notes", [{}, {"size": "96x48"}])
def test_a_network_of_learn_embeds_at_the_height_its_file_says_or_that_is_given(tmp_path, notes):
    path = save_weights(Recipe().network(5, 3), tmp_path / "network.safetensors", notes)
    said = []
    embedder = read_embedder(path, None if notes else 96, said.append)
    expected = Recipe().network(5, 3).eval()
    x = torch.randn(2, 3, 96, 48)
    assert embedder.size == (96, 48)
    assert ("it says no size of pictures, 96 x 48 pixels are taken" in said[0]) == (not notes)
    torch.testing.assert_close(embedder.model(x).embedding, expected(x).embedding)


def fails(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 1
    lines = capsys.readouterr().err.strip().splitlines()
    return lines[-1]


def test_wrong_use_is_one_line_that_says_what_to_do(pictures, weights, tmp_path, capsys):
    place = ["evaluate", str(pictures)]
    assert "--weights" in fails(place, capsys)
    assert "did you mean 'cross-camera'" in fails([*place, "--protocol", "cross-cam"], capsys)
    assert "--protocol cross-camera takes every" in fails(
        [*place, "--weights", str(weights), "--protocol", "market1501"], capsys
    )
    assert "there is no such file" in fails([*place, "--weights", "none.onnx"], capsys)
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "other.pth")
    assert "is no embedder that is known" in fails([*place, "--weights", str(tmp_path / "other.pth")], capsys)
    out = ["embed", str(pictures)]
    assert "name a .npz file" in fails([*out, str(tmp_path / "a.txt"), "--weights", str(weights)], capsys)
    assert "lies in the folder of the data set" in fails([*out, f"{pictures}/a.npz", "--weights", str(weights)], capsys)
    unlabelled = pictures / "1"
    assert "it has no identities" in fails(["evaluate", str(unlabelled), "--weights", str(weights)], capsys)


def test_embeddings_of_another_network_are_refused(pictures, weights, tmp_path):
    saved = write_embedded(embed_set(str(pictures), read_embedder(weights)), tmp_path / "people.npz")
    other = read_embedder(save_weights(Recipe().network(5, 3), tmp_path / "network.safetensors"))
    with pytest.raises(ConfigError, match=r"people\.npz was made by embedder\.onnx, another file"):
        read_or_embed(saved, other)


def test_saved_embeddings_are_read_strictly(pictures, weights, tmp_path):
    good = embed_set(str(pictures), read_embedder(weights))
    path = tmp_path / "bad.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", bytes(1000))
    with pytest.raises(DataError, match=r"bad\.npz: holds compressed arrays"):
        read_embedded(path)
    np.savez(path, features=good.features)
    with pytest.raises(DataError, match=r"holds no array 'pid'; expected a file that `reidlab embed` wrote"):
        read_embedded(path)
    np.savez(path, **dict.fromkeys(("features", "pid", "camid", "tracklet", "split", "notes"), 1), path=[object()])
    with pytest.raises(DataError, match="cannot be read"):  # objects would run code
        read_embedded(path)
    write_embedded(good, path)
    content = bytearray(path.read_bytes())
    for cut in (0, 10, len(content) // 2):
        path.write_bytes(content[:cut])
        with pytest.raises(DataError, match=r"bad\.npz"):
            read_embedded(path)
    holes = good.features.copy()
    holes[3, 2] = np.nan
    write_embedded(type(good)(good.table, holes, good.notes), path)
    with pytest.raises(DataError, match=r"bad\.npz: features"):
        read_embedded(path)


@pytest.mark.real_data
def test_a_published_embedder_on_the_sample_of_pku_reid(tmp_path, capsys):
    """rank-1 .651 and mAP .497 of all 74 people, equal to a plain loop over the same features."""
    roots = {
        name: [root / name for root in paths.data_roots() if (root / name).is_dir()]
        for name in ("embedder", "pku_reid_col780")
    }
    if not all(roots.values()):
        pytest.skip("embedder and pku_reid_col780 are in no folder of REIDLAB_DATA")
    weights, saved = roots["embedder"][0] / "osnet_x0_25_msmt17.onnx", tmp_path / "pku.npz"
    main_ok(["embed", "pku-reid", str(saved), "--weights", str(weights)])
    capsys.readouterr()
    main_ok(["evaluate", str(saved), "--weights", str(weights), "--protocol", "cross-camera", "--json"])
    found = json.loads(capsys.readouterr().out)
    embedded = read_embedded(saved)
    files = embedded.table["path"][::40]
    np.testing.assert_allclose(embedded.features[::40], plain_features(files, weights, (256, 128)), atol=1e-4)
    pids, camids = (embedded.table[name].to_numpy() for name in ("pid", "camid"))
    assert {name: found[name] for name in ("rank_1", "mAP", "mINP")} == pytest.approx(
        plain_scores(embedded.features, pids, camids)
    )
    assert (round(found["rank_1"], 3), round(found["mAP"], 3)) == (0.651, 0.497)
    assert (found["counts"]["people"], found["counts"]["queries"]) == (74, 1184)


def test_saved_embeddings_are_of_length_1_real_and_with_notes_as_they_are_written(pictures, weights, tmp_path):
    good = embed_set(str(pictures), read_embedder(weights))
    path = write_embedded(good, tmp_path / "bad.npz")
    held = dict(np.load(path))
    nothing = np.zeros_like(good.features)
    np.savez(path, **{**held, "features": nothing})
    assert not read_embedded(path).features.any()  # a network may give nothing
    for changes, words in (
        ({"features": good.features + 1j}, r"bad\.npz: features: complex64, expected float32"),
        ({"features": 3 * good.features}, r"bad\.npz: features: row 0 has the length 3, expected 1"),
        ({"notes": json.dumps({"set": 5})}, r"bad\.npz: its note 'set' is 5, expected str"),
        ({"notes": json.dumps({"distractor": True})}, r"bad\.npz: its note 'distractor' is True, expected int"),
        ({"notes": json.dumps({"protocol": "cross-cam"})}, r"bad\.npz: protocol: .* did you mean 'cross-camera'"),
        ({"path": held["path"].astype("S")}, r"bad\.npz: .*'path'"),
    ):
        np.savez(path, **{**held, **changes})
        with pytest.raises(DataError, match=words):
            read_embedded(path)


def test_a_height_that_contradicts_the_file_is_refused(pictures, weights, tmp_path, capsys):
    sized = save_weights(Recipe().network(5, 3), tmp_path / "network.safetensors", {"size": "96x48"})
    assert "--height 64 is not allowed" in fails(
        ["evaluate", str(pictures), "--weights", str(sized), "--height", "64"], capsys
    )
    with pytest.raises(ConfigError, match=r"embedder\.onnx is of a network for pictures of 16 x 8 pixels; leave"):
        read_embedder(weights, 32)
    assert read_embedder(sized, 96).size == (96, 48)


def test_features_that_are_not_finite_name_the_network(pictures, tmp_path):
    model = onnx_graphs.plain()
    for item in model.graph.initializer:
        values = onnx.numpy_helper.to_array(item)
        if values.dtype == np.float32 and values.ndim > 1:
            item.CopyFrom(onnx.numpy_helper.from_array(values * np.float32(1e30), item.name))
    onnx.save(model, tmp_path / "inf.onnx")
    with pytest.raises(DataError, match=r"inf\.onnx: gives features that are not finite"):
        read_embedder(tmp_path / "inf.onnx")
    embedder = read_embedder(small_sets.embedder(tmp_path / "a.onnx"))
    embedder.model.register_forward_hook(lambda model, given, out: type(out)(out[0] * torch.nan))
    with pytest.raises(DataError, match=r"a\.onnx: features: row 0 .* the network cannot be used for such pictures"):
        embed_set(str(pictures), embedder)


def test_a_protocol_of_corrected_labels_finds_them_in_the_set(tmp_path, weights, capsys, coarse_worlds):
    spec = scenario("video_faults", seed=2, train_people=2, test_people=4, distractors=1, cameras=2, tracklet_frames=2)
    root = export_mars(Scene(spec), tmp_path / "tracks", quiet=True)
    main_ok(["evaluate", str(root), "--weights", str(weights), "--protocol", "mars-cleaned", "--json"])
    assert json.loads(capsys.readouterr().out)["protocol"] == "mars-cleaned"
    (root / "info" / "clean_tracks_test_info.mat").unlink()
    words = fails(["evaluate", str(root), "--weights", str(weights), "--protocol", "mars-cleaned"], capsys)
    assert f"protocol 'mars-cleaned': {root} has no info/clean_tracks_test_info.mat" in words


def test_numbers_and_nouns_agree(tmp_path, weights, capsys):
    alone = small_sets.folder(tmp_path / "alone", people=1, pictures=1)
    main_ok(["evaluate", str(alone), "--weights", str(weights)])
    assert "2 pictures, 1 person, 2 cameras, 2 queries in a gallery of 2" in capsys.readouterr().out


def flat_embedder(path, weight):
    nodes = [("Flatten", ["images"], "a", {}), ("Gemm", ["a", "w", "b"], "features", {})]
    held = {"w": np.float32(weight), "b": np.float32([0] + [1] * (len(weight[0]) - 1))}
    onnx.save(onnx_graphs.embedder(nodes, held), path)
    return path


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.zeros((384, 1)), "features are a single number each"),
        (onnx_graphs.weights(384, 1), "features are a single number each"),
        (np.zeros((384, 3)), "features of all 24 pictures are the same"),
    ],
)
def test_an_embedder_that_tells_nothing_is_refused(pictures, tmp_path, capsys, weight, words):
    weights = ["--weights", str(flat_embedder(tmp_path / "dead.onnx", weight))]
    saved, page = tmp_path / "a.npz", tmp_path / "a.html"
    for command in (["embed", str(pictures), str(saved)], ["evaluate", str(pictures)]):
        assert fails([*command, *weights], capsys).startswith(f"error: people: {words}")
    picture = str(next(pictures.rglob("*.png")))
    assert "dead.onnx cannot tell people apart" in fails(
        ["search", picture, str(pictures), "--out", str(page), *weights], capsys
    )
    assert not saved.exists()
    assert not page.exists()


def test_features_that_are_nothing_are_said(pictures, weights, tmp_path):
    good = embed_set(str(pictures), read_embedder(weights))
    holes = good.features.copy()
    holes[[3, 5]] = 0
    path = write_embedded(type(good)(good.table, holes, good.notes), tmp_path / "people.npz")
    (line,) = read_or_embed(path, None).table.attrs["notes"]
    assert line == f"features of 2 pictures are zero, and as near to one as to another: {good.table['path'][3]}"
    write_embedded(type(good)(good.table, 0 * holes, good.notes), path)
    with pytest.raises(DataError, match=r"people: features are all zero; embedder\.onnx cannot tell people apart"):
        read_or_embed(path, None)


def test_all_protocols_are_listed(pictures, capsys):
    known = {*PROTOCOLS, *WITH_LABELS}
    assert set(cli._PROTOCOLS.split(", ")) == known  # what --help says
    said = fails(["evaluate", str(pictures), "--protocol", "nonsense"], capsys)
    assert said.startswith(
        "error: --protocol: there is none called 'nonsense'; there is: cross-camera, leave-one-out, "
    )
    assert set(said.partition("there is: ")[2].split(", ")) == known


def test_a_height_is_refused_where_it_has_no_effect_or_another(pictures, weights, tmp_path, capsys):
    saved = write_embedded(embed_set(str(pictures), read_embedder(weights)), tmp_path / "people.npz")
    assert f"--height 256: has no effect, as {saved} holds features" in fails(
        ["evaluate", str(saved), "--height", "256"], capsys
    )
    own = save_weights(Recipe().network(5, 3), tmp_path / "network.safetensors")
    write_embedded(embed_set(str(pictures), read_embedder(own, 32)), saved)
    with pytest.raises(ConfigError, match=r"--height 48: .*people\.npz was made of pictures 32 pixels high"):
        read_or_embed(saved, read_embedder(own, 48))


def test_a_file_is_no_set_and_is_named_once(pictures, weights, tmp_path, capsys):
    saved = write_embedded(embed_set(str(pictures), read_embedder(weights)), tmp_path / "people.npz")
    for words in (
        ["embed", str(saved), str(tmp_path / "a.npz"), "--weights", str(weights)],
        ["data", "audit-labels", str(saved)],
        ["data", "check", str(saved)],
    ):
        said = fails(words, capsys)
        assert said.startswith(
            f"error: {saved} is a file, not a folder; a data set is taken, by its name or its folder; "
        )
        assert "is for `evaluate` and `search`" in said
    assert fails(["data", "check", f"{saved}x"], capsys) == f"error: {saved}x does not exist"


def test_people_of_one_camera_are_scored_by_another_protocol(tmp_path, weights):
    embedded = embed_set(str(small_sets.folder(tmp_path / "one", cameras=1)), read_embedder(weights))
    words = "^one: all pictures are of one camera, and protocol 'cross-camera' needs two; --protocol leave-one-out"
    with pytest.raises(DataError, match=words):
        evaluate_embedded(embedded)
    assert evaluate_embedded(embedded, "leave-one-out")["counts"]["queries"] == 12
    apart = embedded.table.assign(camid=embedded.table["pid"])
    with pytest.raises(DataError, match=r"^one: each person is seen by one of its 4 cameras only, and protocol"):
        evaluate_embedded(type(embedded)(apart, embedded.features, embedded.notes))


@pytest.fixture
def registered(tmp_path, monkeypatch):
    """A registered set of <camera>/<person>/*.png: 4 cameras with 2 people each."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("REIDLAB_DATA", raising=False)
    root = small_sets.folder(tmp_path / "bycam")
    catalogue.add("bycam", root, "folder_camera_person")
    (tmp_path / "link").symlink_to(root)
    (tmp_path / "beside").mkdir()
    monkeypatch.chdir(tmp_path / "beside")
    return root


@pytest.mark.parametrize("name", ["../bycam", "../link", "link"])
def test_a_registered_set_keeps_its_layout_by_whichever_path_it_is_reached(registered, weights, capsys, name):
    Path("link").symlink_to(registered)
    main_ok(["evaluate", name, "--weights", str(weights), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["set"], found["counts"]["people"], found["counts"]["cameras"]) == ("bycam", 2, 4)
    embedded = embed_set(name, read_embedder(weights))
    assert (embedded.notes["layout"], embedded.notes["folder"]) == ("folder_camera_person", str(registered))
    table, root = cli._read(name)  # the way of all other commands
    assert (root, table["camid"].nunique()) == (registered, 4)
    main_ok(["data", "check", name])
    assert "of 2 people by 4 cameras" in capsys.readouterr().out


def test_what_is_no_folder_of_a_known_set_stays_what_it_is(registered):
    others = ["", "bycam", "market1501", "no-such", "a\0b", "~nobody", str(registered), registered, Path("bycam"), "/"]
    assert [own_place(name) for name in others] == others
    assert [own_place(name) for name in ("../bycam", Path("../link"))] == [registered] * 2
    Path("bycam").symlink_to(registered)  # a word is the name of the set, see catalogue.locate
    assert own_place("bycam") == "bycam"
    assert own_place("./bycam") == registered


@pytest.mark.parametrize("name", ["qurey.jpg", "Qurey.PNG", "people.npz"])
def test_a_mistyped_file_is_called_a_file(pictures, weights, tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    said = fails(["search", name, str(pictures), "--weights", str(weights)], capsys)
    assert said == f"error: {name}: there is no such file, and no data set of that name"
    assert "there is no data set 'qurey'" in fails(["search", "qurey", "people", "--weights", str(weights)], capsys)


def test_a_camera_with_one_picture_is_not_centred(pictures, weights):
    whole = embed_set(str(pictures), read_embedder(weights))
    apart = whole.table.assign(camid=np.where(whole.table.index == 3, 7, whole.table["camid"]))
    apart.loc[3, "camera"] = "door"
    with pytest.raises(ConfigError, match=r"^--centre: camera door of the gallery has one picture"):
        evaluate_embedded(type(whole)(apart, whole.features, whole.notes), centre=True)
    assert evaluate_embedded(type(whole)(apart, whole.features, whole.notes))["counts"]["cameras"] == 3
    again = type(whole)(pd.concat([apart, apart[3:4]], ignore_index=True), whole.features[[*range(24), 3]], whole.notes)
    again.table.loc[24, "path"] += ".copy.png"  # the mean of copies is as little of a mean
    with pytest.raises(ConfigError, match=r"^--centre: camera door of the gallery has one picture"):
        evaluate_embedded(again, centre=True)
    apart.loc[4, "camid"] = 7
    assert evaluate_embedded(type(whole)(apart, whole.features, whole.notes), centre=True)["centred"]


def test_folders_of_people_that_were_read_as_cameras_are_explained(tmp_path, weights, capsys):
    for name in ("anna", "bo"):
        small_sets.folder(tmp_path / "mine" / name, people=1, cameras=1).joinpath("1", "cam1").rename(tmp_path / "up")
        (tmp_path / "mine" / name / "1").rmdir()
        (tmp_path / "mine" / name).rmdir()
        (tmp_path / "up").rename(tmp_path / "mine" / name)
    said = fails(["evaluate", str(tmp_path / "mine"), "--weights", str(weights)], capsys)
    assert said == (
        "error: mine: it has no identities; it can be searched, but not scored; if its folders are people, "
        "`reidlab data add NAME FOLDER --layout folder_person` has them read so"
    )
    alone = fails(["evaluate", str(tmp_path / "mine" / "bo"), "--weights", str(weights)], capsys)
    assert alone == "error: bo: it has no identities; it can be searched, but not scored"


@pytest.mark.parametrize("boxed", [False, True])
def test_a_picture_that_a_table_lists_twice_is_embedded_once(pictures, weights, monkeypatch, boxed):
    embedder = read_embedder(weights)
    table = embed_set(str(pictures), embedder).table
    if boxed:  # two windows of each file are two pictures
        windows = [table.assign(x=float(x), y=0.0, w=8.0, h=16.0) for x in (0, 8)]
        table = pd.concat(windows, ignore_index=True)
    rows = [5, *range(len(table)), 5, 0]
    doubled = table.loc[rows].assign(split="gallery")  # the index has doubles as well
    seen = []
    embedder.model.register_forward_hook(lambda model, given, out: seen.append(len(given[0])))
    once = embed_table(table, embedder)
    assert sum(seen) == len(table)
    found = embed_table(doubled, embedder)
    assert sum(seen) == 2 * len(table)
    np.testing.assert_allclose(found.features, once.features[rows], atol=1e-6)
    assert found.table["path"].tolist() == table["path"][rows].tolist()


def test_a_full_disk_is_found_before_the_work(pictures, weights, tmp_path, capsys, monkeypatch):
    asked = []
    with monkeypatch.context() as patch:
        patch.setattr("reidlab.tools.embed.checked_file", lambda out, ending, room: asked.append(room))
        made = embed_set(str(pictures), read_embedder(weights), out=tmp_path / "a.npz")
    size = write_embedded(made, tmp_path / "a.npz").stat().st_size
    assert size - 2**13 < asked[0] - 2**20 < size
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=2**20))
    monkeypatch.setattr("reidlab.tools.embed.ImageCache", lambda *given, **more: pytest.fail("pictures were read"))
    said = fails(["embed", str(pictures), str(tmp_path / "b.npz"), "--weights", str(weights)], capsys)
    assert "b.npz: 1 MiB are needed there and 1 MiB are free; free some space" in said


def test_the_closing_line_says_whether_a_file_was_there(pictures, weights, tmp_path, capsys):
    for word in ("made", "replaced"):
        main_ok(["embed", str(pictures), str(tmp_path / "a.npz"), "--weights", str(weights)])
        assert capsys.readouterr().out.startswith(f"{word} {tmp_path / 'a.npz'}: 24 x ")
