"""What all tools share: reading by name or folder, the line that describes a set, and the place that is written."""

import ast
import os
import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

import reidlab
from reidlab import cli, tools
from reidlab.data import make_table
from reidlab.data.catalogue import open_set
from reidlab.data.table import described
from reidlab.errors import ConfigError, StorageError
from reidlab.tools.common import checked_file, checked_output


def table_of(**columns):
    defaults = {"pid": [1, 1, 0, -1], "camid": [1, 2, 2, 2], "split": ["train", "query", "gallery", "gallery"]}
    return make_table("made up", path=[f"/{n}.jpg" for n in range(4)], **{**defaults, **columns})


def test_a_set_is_described_in_one_line():
    table = table_of()
    assert described(table) == (
        "read made up as a table: 4 pictures of 1 person by 2 cameras (train 1, query 1, gallery 2)"
    )
    table = table_of(pid=[1, 2, 2, 3], tracklet=[0, 1, 1, 2], split=["train", "query", "gallery", "gallery"])
    table.attrs["layout"] = "mars"
    assert described(table).startswith("read made up as mars: 4 pictures of 3 people in 3 tracklets by 2 cameras")


def test_a_folder_is_read_by_the_reader_that_fits(tmp_path):
    cv2, np = pytest.importorskip("cv2"), pytest.importorskip("numpy")
    for person in ("anna", "bo"):
        (tmp_path / "mine" / person / "cam1").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "mine" / person / "cam1" / "0.png"), np.zeros((8, 4, 3), np.uint8))
    table, root = open_set(str(tmp_path / "mine"))
    assert root == tmp_path / "mine"
    assert described(table).startswith("read mine as folder: 2 pictures")
    with pytest.raises(ConfigError, match="no data set 'no-such-set'"):
        open_set("no-such-set")


def test_a_folder_to_write_is_new_or_empty_and_can_be_written(tmp_path):
    assert checked_output(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert list(tmp_path.iterdir()) == []
    assert checked_output(tmp_path) == tmp_path
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"):
        checked_output(tmp_path / "file")
    with pytest.raises(StorageError, match=r"file/below: cannot be written \(Not a directory\)"):
        checked_output(tmp_path / "file" / "below")
    with pytest.raises(ConfigError, match="not empty"):
        checked_output(tmp_path)
    assert checked_output(tmp_path, resume=True) == tmp_path


def test_a_file_to_write_is_no_folder(tmp_path):
    assert checked_file(tmp_path / "new" / "report.csv", ".csv") == tmp_path / "new" / "report.csv"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "report.csv").write_text("before")
    assert checked_file(tmp_path / "report.csv", ".csv").read_text() == "before"
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    for name, what in (("folder.csv", "is a folder"), ("pipe.csv", "is no regular file")):
        with pytest.raises(ConfigError, match=f"{name}: {what}; name a file to write"):
            checked_file(tmp_path / name, ".csv")
    with pytest.raises(ConfigError, match=r"a\.txt: name a \.csv file to write"):
        checked_file(tmp_path / "a.txt", ".csv")
    with pytest.raises(ConfigError, match=r"report\.csv: is the file that is read"):
        checked_file(tmp_path / "report.csv", ".csv", read=tmp_path / "folder.csv" / ".." / "report.csv")


@pytest.mark.parametrize("check", [checked_output, partial(checked_file, ending="")])
def test_a_place_that_cannot_be_written_is_named_as_the_user_gave_it(tmp_path, monkeypatch, check):
    for name, reason in (("/proc/mine", "No such file or directory"), (tmp_path / ("x" * 250), "File name too long")):
        with pytest.raises(StorageError) as error:
            check(name)
        assert str(error.value).startswith(f"{name}: cannot be written ({reason}); choose another f")
        assert "tmp." not in str(error.value)

    def refused(dir):
        raise PermissionError(13, "Permission denied", f"{dir}/tmpabc")

    with monkeypatch.context() as patch:
        patch.setattr("tempfile.TemporaryFile", refused)
        with pytest.raises(StorageError, match=r"new: cannot be written \(Permission denied\)"):
            check(tmp_path / "new")
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=3 * 2**20))
    with pytest.raises(StorageError, match="new: 16 MiB are needed there and 3 MiB are free"):
        check(tmp_path / "new", room=2**24)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("check", [checked_output, partial(checked_file, ending="")])
def test_nothing_is_written_into_the_data_set(tmp_path, check):
    (tmp_path / "set" / "anna").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "set")
    for out in (tmp_path / "set" / "out", tmp_path / "link" / "anna" / "out"):
        with pytest.raises(ConfigError, match=r"out: lies in the folder of the data set, .*/set; choose a"):
            check(out, root=tmp_path / "link")
    assert check(tmp_path / "settled", root=tmp_path / "set") == tmp_path / "settled"


#: The command that each module of tools works for; what several use may name what all of them have.
COMMANDS = {
    "audit": ["audit-labels"],
    "redetect": ["redetect"],
    "learn": ["learn"],
    "starts": ["learn"],
    "prune": ["prune"],
    "pruned_page": ["prune"],
    "embed": ["search", "evaluate"],
    "search": ["search"],
    "evaluate": ["evaluate"],
    "embedder": ["embed", "search", "evaluate"],
    "common": ["learn", "prune"],
    "compiling": ["compile"],
    "network": ["audit-labels", "redetect", "learn", "prune"],
    "weight_files": ["audit-labels", "redetect", "learn", "prune", "embed", "search", "evaluate"],
}


@pytest.mark.parametrize("module", sorted(path.stem for path in Path(tools.__file__).parent.glob("[!_]*.py")))
def test_advice_names_options_that_the_command_has(module):
    def options(command):
        return {name for item in command.params for name in (*item.opts, *item.secondary_opts)}

    group = typer.main.get_command(cli.app)
    commands = {**group.commands, **group.commands["data"].commands}
    known = set.intersection(*(options(commands[name]) for name in COMMANDS[module]))
    tree = ast.parse((Path(tools.__file__).parent / f"{module}.py").read_text())
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    option = re.compile(r"--[a-z]+(?:-[a-z]+)*(?![\w-])")
    for text in texts:  # advice to run another command
        for command, more in re.findall(r"`reidlab (?:data )?([a-z-]+)([^`]*)`", text):
            assert set(option.findall(more)) <= options(commands[command])
    texts = [re.sub(r"`reidlab [^`]*`", "", text) for text in texts]
    named = {name for text in texts for name in option.findall(text)}
    assert named <= known
    assert not any("=False" in text or "=True" in text for text in texts)


def test_options_named_elsewhere_are_those_of_some_command():
    group = typer.main.get_command(cli.app)
    commands = [group, *group.commands.values(), *group.commands["data"].commands.values()]
    known = {name for item in commands for part in item.params for name in (*part.opts, *part.secondary_opts)}
    rooms = [Path(reidlab.__file__).parent / name for name in ("data", "models", "pseudolabel", "training", "video")]
    for path in (path for room in rooms for path in room.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and not node.value.startswith("pip "):
                named = set(re.findall(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*", node.value))
                assert named <= known, f"{path.name}: {node.value!r}"
