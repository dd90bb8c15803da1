"""The command line: one clear line for every mistake, the right exit status, and a quick start."""

import json
import os
import re
import subprocess
import sys

import pytest

import reidlab
from reidlab import cli
from tests.lab.made_up_project import execute_in_process, make_project


def write_project(root):
    """A project with one chapter, 01_tiny."""
    cells = [
        ("epochs = 2", ["parameters"]),
        ("from reidlab import lab\nrun = lab.start('01_tiny', parameters=lab.parameters(globals()))", []),
        ("run.record('mAP', 0.5, seed=0)", []),
        ("run.finish()", []),
    ]
    notebook = {
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "execution_count": None,
                "metadata": {"tags": tags},
                "outputs": [],
                "source": source,
            }
            for number, (source, tags) in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (root / "notebooks/profiles").mkdir(parents=True, exist_ok=True)
    (root / "notebooks/01_tiny.ipynb").write_text(json.dumps(notebook))
    for name in ("quick", "standard"):
        (root / f"notebooks/profiles/{name}.yml").write_text("01_tiny: {}\n")
    claims = root / "book/claims"
    claims.mkdir(parents=True, exist_ok=True)
    (claims / "inventory.yml").write_text("- {id: t1, source: survey, item: Table 1, title: Losses}\n")
    rule = "rule: {chapter: 1, key: mAP, tolerance: 1, because: a test}"
    (claims / "a.yml").write_text(
        "- {id: a, source: survey, item: Table 1, what: mAP, kind: exact, printed: 50, unit: percent, " + rule + "}\n"
    )
    return root


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.delenv("REIDLAB_RUNS", raising=False)
    monkeypatch.setenv("REIDLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("REIDLAB_DATA", raising=False)
    return write_project(tmp_path / "project")


def call(capsys, *words):
    """Return exit status, output and errors of one call."""
    with pytest.raises(SystemExit) as left:
        cli.main([str(word) for word in words])
    output, errors = capsys.readouterr()
    return left.value.code, output, errors


def test_run_keep_claims_in_one_go(root, capsys):
    status, output, errors = call(capsys, "run", "1", "--project", root)
    assert (status, errors) == (0, "")
    assert "01_tiny: 1 record in" in output
    status, output, _ = call(capsys, "run", "--project", root)
    assert status == 0
    assert "nothing changed since its last run; not repeated" in output
    status, output, _ = call(capsys, "claims", "--json", "--project", root)
    (row,) = json.loads(output)
    assert (row["id"], row["verdict"], row["measured"]) == ("a", "reproduced", 50.0)
    status, output, _ = call(capsys, "claims", "--project", root)
    assert "1 claim: 1 reproduced" in output
    assert call(capsys, "keep", "1", "--profile", "quick", "--project", root)[0] == 0
    assert (root / "results/quick/01_tiny/records.parquet").is_file()


def test_pieces_of_an_unfinished_run_are_kept_until_the_run_is(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("reidlab.lab.runner._execute", execute_in_process)
    root = make_project(tmp_path).root
    where = ("--profile", "standard", "--project", root)
    status, output, errors = call(capsys, "keep", "1", "--pieces", *where)
    assert (status, output) == (1, "")
    assert "chapter 01_tiny, profile standard: no piece of it was measured with today's code" in errors
    assert call(capsys, "run", "1", "--seed", "1", *where)[0] == 0
    status, output, errors = call(capsys, "keep", "1", "--pieces", *where)
    assert (status, errors) == (0, "")
    assert re.fullmatch(r"1 piece kept in \S+/results/pieces/01_tiny \([1-9] KiB\)\n", output)
    assert "--verify and --pieces: give one of them" in call(capsys, "keep", "1", "--pieces", "--verify", *where)[2]
    assert len(list((root / "results" / "pieces" / "01_tiny").iterdir())) == 1
    assert call(capsys, "run", "1", *where)[0] == 0
    assert call(capsys, "keep", "1", *where)[0] == 0
    assert [folder.name for folder in (root / "results").iterdir()] == ["standard"]


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["run"], "reidlab.lab.runner.plan"),
        (["run"], "reidlab.lab.runner.run_all"),
        (["book"], "reidlab.lab.book.build"),
        (["claims"], "reidlab.lab.ledger.Ledger"),
        (["keep", "1"], "reidlab.lab.store.keep"),
        (["keep", "1", "--verify"], "reidlab.lab.verify.verify"),
        (["info"], "reidlab.lab.environment.versions"),
    ],
)
def test_ctrl_c_is_one_line_and_status_130(root, capsys, monkeypatch, words, place):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(place, interrupted)
    status, _, errors = call(capsys, *words, *(() if words == ["info"] else ("--project", root)))
    assert status == 130
    assert errors.startswith("interrupted; ")
    assert errors.count("\n") == 1


def test_ctrl_c_while_the_code_is_read_is_one_line_too():
    script = """
import sys

class Interrupts:
    def find_spec(name, path=None, target=None):
        if name == "reidlab.cli":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupts)
from reidlab.__main__ import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "interrupted; nothing was begun\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run"], "Not a directory"),
        (["keep", "1"], "has no run under profile standard"),
        (["book"], "_toc.yml"),
        (["claims"], None),
        (["info"], None),
    ],
)
def test_a_store_and_a_cache_that_are_files_are_said_so(root, capsys, monkeypatch, tmp_path, words, message):
    (tmp_path / "file").touch()
    for name in ("REIDLAB_RUNS", "REIDLAB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "file"))
    status, output, errors = call(capsys, *words, *(() if words == ["info"] else ("--project", root)))
    assert status == (1 if message else 0)
    assert message is None or message in output + errors
    assert "--debug" not in output + errors
    assert words != ["info"] or output.count("(a file, not a folder: nothing can be stored)") == 2


def test_what_a_profile_names_and_what_a_run_says_reach_no_terminal_and_no_other_folder(root, capsys, monkeypatch):
    from reidlab.lab import runner

    for words in (["run"], ["book"], ["keep", "1"], ["keep", "1", "--verify"]):
        status, output, errors = call(capsys, *words, "--profile", "../\x1b[31mx", "--project", root)
        assert (status, output) == (1, "")
        assert errors.strip().isprintable()
        assert "_toc.yml" in errors or r"profile: '../\x1b[31mx' is no name" in errors
    end = {"event": "failed", "cell": 4, "reason": "KeyError: '\x1b]0;title\x07\u202e'"}
    monkeypatch.setattr(runner, "_execute", lambda *_: end)
    _, output, _ = call(capsys, "run", "--project", root)
    assert output.splitlines()[1] == r"failed    01_tiny: cell [4]: KeyError: '\x1b]0;title\x07\u202e'"


def test_json_and_check_are_not_given_together(root, capsys):
    status, output, errors = call(capsys, "claims", "--json", "--check", "--project", root)
    assert (status, output) == (1, "")
    assert errors.startswith("error: --json and --check: give one of them")


def test_a_terminal_of_ascii_shows_every_name(root, tmp_path):
    command = [sys.executable, "-m", "reidlab", "run", "3", "--project", str(tmp_path / "gefäß \u26a0")]
    surroundings = os.environ | {"PYTHONIOENCODING": "ascii", "LANG": "C", "LC_ALL": "C"}
    done = subprocess.run(command, env=surroundings, capture_output=True)
    assert done.returncode == 1
    assert b"gef\\xe4\\xdf \\u26a0: has no notebooks/ folder" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_a_failing_cell_is_one_line_and_status_1(root, capsys, monkeypatch):
    from reidlab.lab import runner

    end = {"event": "failed", "cell": 4, "reason": "KeyError: 'pid'\n"}
    monkeypatch.setattr(runner, "_execute", lambda *_: end)
    status, output, errors = call(capsys, "run", "--project", root)
    assert (status, errors) == (1, "")
    assert output == "01_tiny: running (never run)\nfailed    01_tiny: cell [4]: KeyError: 'pid'\n"


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (
            ZeroDivisionError("by nought"),
            1,
            "error: ZeroDivisionError: by nought (`reidlab --debug ...` shows where)\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted; nothing is left half-written\n"),
        (SystemExit(143), 143, ""),
        (OSError(5, "Input/output error", "a\x1b[31m\nb"), 1, None),
    ],
)
def test_what_nobody_foresaw_is_one_line_too(capsys, monkeypatch, error, status, line):
    def fails():
        raise error

    monkeypatch.setattr("reidlab.data.catalogue.entries", lambda **_: fails())
    found, _, errors = call(capsys, "data", "list")
    assert (found, errors) == (status, errors if line is None else line)
    assert errors.count("\n") <= 1
    assert errors.strip().isprintable()
    if isinstance(error, ZeroDivisionError):
        with pytest.raises(ZeroDivisionError):
            cli.main(["--debug", "data", "list"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "7"], "no chapter '7'; there is: 01_tiny"),
        (["run", "--profile", "quik"], "no profile 'quik'; did you mean 'quick'?"),
        (["run", "-p", "epoch=3"], "chapter 01_tiny: unknown parameter 'epoch'; did you mean 'epochs'?"),
        (["run", "-p", "epochs=three"], "epochs: expected a whole number like 2, found 'three'"),
        (["run", "-p", "epochs"], "-p epochs: expected key=value"),
        (["run", "--seed", "3"], "chapter 01_tiny has no parameter 'seed' or 'seeds'"),
        (["book"], "_toc.yml: there is no such file"),
        (["keep", "1"], "chapter 01_tiny has no run under profile standard"),
    ],
)
def test_a_mistake_is_one_line_and_status_1(root, capsys, words, message):
    status, output, errors = call(capsys, *words, "--project", root)
    assert (status, output) == (1, "")
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert message in errors


def test_a_folder_that_is_no_project_is_named(tmp_path, capsys):
    status, _, errors = call(capsys, "run", "--project", tmp_path)
    assert status == 1
    assert "has no notebooks/ folder" in errors


def test_debug_shows_the_traceback(root):
    from reidlab.errors import ConfigError

    with pytest.raises(ConfigError):
        cli.main(["--debug", "run", "7", "--project", str(root)])


@pytest.mark.parametrize("words", [["fly"], ["run", "--fast"], ["run", "--jobs", "0"], ["keep"]])
def test_wrong_usage_is_status_2(capsys, words):
    assert call(capsys, *words)[0] == 2


def test_checking_claims(root, capsys, monkeypatch):
    monkeypatch.setattr("reidlab.lab.runner._execute", execute_in_process)
    assert call(capsys, "run", "--project", root)[0] == 0
    status, output, _ = call(capsys, "claims", "--check", "--project", root)
    assert (status, output) == (0, "1 claim, 1 item, 0 without a claim: all well\n")
    path = root / "book/claims/a.yml"
    path.write_text(path.read_text().replace("key: mAP", "key: mINP").replace("}\n", "}\n- {id: a}\n"))
    status, output, errors = call(capsys, "claims", "--check", "--project", root)
    assert status == 1
    assert "records no 'mINP'" in errors
    assert "field 'source' is missing" in errors
    assert "2 problems" in output


def test_stale_verdicts_are_counted_and_claims_are_text_on_the_terminal(root, capsys, monkeypatch):
    monkeypatch.setattr("reidlab.lab.runner._execute", execute_in_process)
    assert call(capsys, "run", "--project", root)[0] == 0
    notebook = root / "notebooks/01_tiny.ipynb"
    notebook.write_text(notebook.read_text().replace("'mAP', 0.5", "'mAP', 0.25 + 0.25"))
    path = root / "book/claims/a.yml"
    path.write_text(
        path.read_text().replace("unit: percent", 'unit: percent, needs: ""') + '- {"id": b, "a\\e[31m\\n": 1}\n'
    )
    status, _, errors = call(capsys, "claims", "--check", "--project", root)
    assert status == 1
    assert "\x1b" not in errors
    assert errors.count("\n") == 1
    inventory = root / "book/claims/inventory.yml"
    inventory.write_text('- {id: t1, source: survey, item: "Table\\e[31m\\n1", title: Losses}\n')
    path.write_text(path.read_text().split("\n")[0].replace("item: Table 1", 'item: "Table\\e[31m\\n1"') + "\n")
    status, output, _ = call(capsys, "claims", "--project", root)
    assert status == 0
    assert "recounted, 1 claim: 1 reproduced; 1 of them stale\n" in output
    assert r"Table\x1b[31m\n1" in output
    assert "\x1b" not in output


def test_a_malformed_claim_stops_the_ledger(root, capsys):
    (root / "book/claims/a.yml").write_text("- {id: a")
    status, output, errors = call(capsys, "claims", "--json", "--project", root)
    assert (status, output) == (1, "")
    assert "a.yml: not valid YAML" in errors


def test_info_says_what_is_there(root, capsys):
    status, output, _ = call(capsys, "info")
    assert status == 0
    for word in ("reidlab", "torch", "device", "thread", "cache", "run store", "data"):
        assert word in output


def test_the_version(capsys):
    assert call(capsys, "--version")[1] == f"reidlab {reidlab.__version__}\n"


def test_help_is_quick_and_names_every_command():
    resource = pytest.importorskip("resource")
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = subprocess.run([sys.executable, "-m", "reidlab", "--help"], capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Processor time: a busy machine is no slow start.
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert result.returncode == 0
    for command in ("run", "book", "claims", "keep", "info", "data"):
        assert f" {command} " in result.stdout
    assert min(times) < 0.5


def test_data_sets_are_listed_added_and_checked(root, capsys, tmp_path):
    status, output, _ = call(capsys, "data", "list")
    assert status == 0
    assert "market1501" in output
    status, _, errors = call(capsys, "data", "check", "no-such-set")
    assert status == 1
    assert errors.startswith("error: there is no data set 'no-such-set'")
    status, _, errors = call(capsys, "data", "add", "mine", tmp_path / "nowhere")
    assert status == 1
    assert "nowhere" in errors
    pictures(tmp_path / "mine")
    assert call(capsys, "data", "add", "mine", tmp_path / "mine")[:2] == (
        0,
        f"added mine (folder): {tmp_path / 'mine'}\n"
        "  read mine as folder: 4 pictures of 2 people by 2 cameras (train 4)\n"
        "  such as anna/cam1/0.png: person 1 (anna), camera 1 (cam1), train\n",
    )
    status, output, _ = call(capsys, "data", "check", "mine")
    assert status == 0
    assert output.startswith("mine: readable; 4 pictures")
    (tmp_path / "mine/anna/cam1/0.png").write_bytes(b"cut off")
    status, _, errors = call(capsys, "data", "check", "mine")
    assert status == 1
    assert errors.startswith("error: mine: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("words", [["data", "list"], ["--version"]])
def test_a_reader_that_has_seen_enough_is_no_error(words):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "reidlab", *words]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_option_is_named_as_it_is_given_and_all_of_its_values(root, capsys, tmp_path):
    pictures(tmp_path / "mine")
    for words in (["data", "check", tmp_path / "mine"], ["data", "add", "mine", tmp_path / "mine"]):
        status, _, errors = call(capsys, *words, "--layout", "nonsense")
        assert status == 1
        assert "--layout: there is none called 'nonsense'; there is: folder, folder_camera_person, folder_per" in errors
        assert "mot_shared" in errors
    status, _, errors = call(capsys, "data", "make-world", tmp_path / "world", "--scenario=nonsense")
    assert (status, errors.partition(": there")[0]) == (1, "error: --scenario")


def test_training_steps_of_a_network_that_is_read_are_said_to_be_of_no_effect(capsys):
    assert (cli._steps(None, None), cli._steps(None, "a.onnx"), cli._steps(7, None)) == (300, 300, 7)
    assert capsys.readouterr().err == ""
    cli._steps(7, "a.onnx")
    assert capsys.readouterr().err == "--iterations 7: has no effect, as the network is read from --weights\n"


def test_names_of_files_and_sets_are_text_on_the_terminal(root, capsys, tmp_path, monkeypatch):
    pictures(tmp_path / "a\x1b[31m\u202e" / "mine")
    own = tmp_path / "a\x1b[31m\u202e" / "mine"
    (own / "anna").rename(own / "\x07\nanna")
    (own / "bad\x9b.txt").touch()
    words = [("add", "mine", own), ("check", own), ("check", "mine", "--deep"), ("list",)]
    (own / "bo/cam1/0.png").rename(own / "bo/cam1/\x1b]0;owned\x07.png")
    for command in words:
        status, output, errors = call(capsys, "data", *command)
        assert status == 0, errors
        assert not set(output + errors) & set("\x07\x1b\x9b\u202e")
    assert r"\x07\nanna" in call(capsys, "data", "check", own)[1]
    (own / "bo/cam1/\x1b]0;owned\x07.png").write_text("none")
    status, output, errors = call(capsys, "data", "check", own)
    assert status == 1
    assert r"\x1b]0;owned\x07.png" in errors
    assert not set(output + errors) & set("\x07\x1b\x9b\u202e")


def test_the_helps_name_what_can_be_chosen(capsys):
    from reidlab.data.readers import READERS
    from reidlab.world import SCENARIOS

    status, output, _ = call(capsys, "data", "make-world", "--help")
    assert status == 0
    assert all(name in " ".join(output.split()) for name in (*SCENARIOS, "--people", "--cameras"))
    output = call(capsys, "data", "add", "--help")[1]
    assert all(name in output for name in READERS if name.startswith("folder"))


def test_a_world_has_the_size_that_is_asked_for(tmp_path, capsys):
    sizes = ("--people", "2", "--cameras", "3", "--scenario", "easy")
    assert call(capsys, "data", "make-world", tmp_path / "w", *sizes)[0] == 0
    output = call(capsys, "data", "check", tmp_path / "w")[1]
    assert "by 3 cameras" in output
    assert len({path.name[:4] for path in (tmp_path / "w/bounding_box_train").glob("*.jpg")}) == 2
    assert call(capsys, "data", "make-world", tmp_path / "v", "--people", "0")[0] == 2


def pictures(folder):
    """Two people, each seen once by two cameras."""
    cv2 = pytest.importorskip("cv2")
    import numpy as np

    for number, (person, camera) in enumerate((p, c) for p in ("anna", "bo") for c in ("cam1", "cam2")):
        place = folder / person / camera
        place.mkdir(parents=True)
        cv2.imwrite(str(place / "0.png"), np.full((64, 32, 3), 40 * number, np.uint8))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--layout", "marke1501"], "layout: there is none called 'marke1501'; did you mean 'market1501'?"),
        (["--scenario", "standrad"], "scenario: there is none called 'standrad'; did you mean 'standard'?"),
    ],
)
def test_a_world_that_cannot_be_made_is_named(tmp_path, capsys, words, message):
    status, _, errors = call(capsys, "data", "make-world", tmp_path / "out", *words)
    assert status == 1
    assert message in errors
    assert not (tmp_path / "out").exists()


def test_a_world_is_not_made_over_something(tmp_path, capsys):
    status, _, errors = call(capsys, "data", "make-world", tmp_path)
    assert status == 1
    assert "exists already" in errors


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    """A small export of the embedded world, as tracklets with wrong labels."""
    from reidlab.world import Scene, scenario
    from reidlab.world.export import export_mars

    spec = scenario("video_faults", seed=2, train_people=8, test_people=8, distractors=2, cameras=2, tracklet_frames=3)
    return export_mars(Scene(spec), tmp_path_factory.mktemp("tracks") / "world", quiet=True)


def test_audit_labels_lists_suspects_and_writes_the_whole_list(capsys, tracks, tmp_path):
    out = tmp_path / "suspects.csv"
    words = ("data", "audit-labels", str(tracks), "--iterations", "8", "--out", str(out))
    code, text, _ = call(capsys, *words, "--top", "2", "--json")
    assert code == 0
    suspects = json.loads(text)
    assert len(suspects) == 2
    assert suspects[0]["score"] >= suspects[1]["score"]
    assert len(out.read_text().splitlines()) > 3
    code, text, _ = call(capsys, *words, "--top", "1")
    assert code == 0
    assert str(tracks) in text
    assert suspects[0]["kind"] in text


def test_redetect_writes_a_set_that_reads_back(capsys, tracks, tmp_path):
    from reidlab.data.readers import get

    out = tmp_path / "linked"
    words = ("data", "redetect", str(tracks), str(out), "--iterations", "2", "--height", "32")
    code, text, said = call(capsys, *words, "--detector", "truth")
    assert code == 0, text
    assert said.startswith("read world as mars: ")
    before, after = (get("mars").read(folder) for folder in (tracks, out))
    assert before[["pid", "camid", "tracklet", "split"]].equals(after[["pid", "camid", "tracklet", "split"]])
    code, _, error = call(capsys, *words, "--detector", "magic")
    assert code == 1
    assert "--detector: there is none called 'magic'; there is: hog, ssdlite, truth, " in error
    code, _, error = call(capsys, *words, "--detector", "truth")
    assert code == 1
    assert f"{out}: is there already and not empty" in error


def test_a_name_is_added_once_and_removed(root, capsys, tmp_path):
    for name in ("one", "two"):
        pictures(tmp_path / name)
    assert call(capsys, "data", "add", "mine", tmp_path / "one")[0] == 0
    status, _, errors = call(capsys, "data", "add", "mine", tmp_path / "two")
    assert (status, errors.count("\n")) == (1, 1)
    assert "or --replace to take" in errors
    assert call(capsys, "data", "add", "mine", tmp_path / "two", "--replace")[0] == 0
    assert call(capsys, "data", "remove", "mine")[:2] == (
        0,
        f"removed mine; its folder stays as it is: {tmp_path / 'two'}\n",
    )
    assert len([*(tmp_path / "two").rglob("*.png")]) == 4
    assert call(capsys, "data", "remove", "mine")[0] == 1


def test_names_are_not_cut_where_the_terminal_is_narrow(root, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    pictures(tmp_path / "pictures-of-my-cameras")
    call(capsys, "data", "add", "my-cameras-of-last-summer", tmp_path / "pictures-of-my-cameras")
    for words in (("data", "list"), ("info",)):
        output = call(capsys, *words)[1]
        line = next(line for line in output.splitlines() if line.startswith("my-cameras"))
        assert line.split() == ["my-cameras-of-last-summer", "own", "folder", f"{tmp_path / 'pictures-of-my-cameras'}"]


def test_advice_of_keep_names_the_project_and_a_profile_that_is_there(root, capsys, monkeypatch):
    monkeypatch.setattr("reidlab.lab.runner._execute", execute_in_process)
    status, _, errors = call(capsys, "keep", "1", "--profile", "papre", "--project", root)
    assert (status, errors.count("\n")) == (1, 1)
    assert "no profile 'papre'" in errors
    assert call(capsys, "run", "1", "--project", root)[0] == 0
    errors = call(capsys, "keep", "1", "--project", root)[2]
    assert "it has one under quick, see --profile; else run" in errors
    assert f"`reidlab run 01_tiny --profile standard --project {root}`" in errors


@pytest.mark.parametrize("words", [["evaluate", "x", "--weights", ""], ["evaluate", "x", "--weights="], ["run", ""]])
def test_an_empty_argument_is_refused(capsys, words):
    status, output, errors = call(capsys, *words)
    assert (status, output) == (2, "")
    assert "an argument is empty; is a variable of the shell not set?" in errors
    assert errors.count("\n") == 1


def test_a_world_is_made_without_a_bar_where_there_is_no_terminal(tmp_path, capsys, monkeypatch):
    from reidlab import world

    asked = []
    monkeypatch.setitem(world.LAYOUTS, "market1501", lambda scene, out, quiet: asked.append(quiet) or tmp_path)
    assert call(capsys, "data", "make-world", tmp_path / "w", "--people", "1", "--cameras", "1")[0] == 0
    assert asked == [True]
