"""Runs: what has to run, what stays when it fails, is killed, is run twice at a time, or finds the disk full."""

import errno
import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import filelock
import pytest

from reidlab import files
from reidlab.lab import environment, runner, store
from tests.lab.made_up_project import (
    Silent,
    execute_in_process,
    make_project,
    run_chapters,
    write_chapter,
    write_profiles,
)

GOOD = ["01_tiny.ipynb", "records.parquet", "run.json"]


def visible(project, profile="quick", chapter="01_tiny"):
    return sorted(
        p.name for p in store.run_folder(project, profile, chapter).iterdir() if not p.name.startswith(".lock")
    )


def one(project, **options):
    (outcome,) = run_chapters(project, **options)
    return outcome


# ---- really run ----------------------------------------------------------------------------------------------------


def test_a_run_leaves_records_description_and_notebook(executed):
    assert visible(executed) == GOOD
    assert visible(executed, "standard") == GOOD
    info = store.load("quick", "1", executed).info
    assert info["profile"] == "quick"
    assert info["parameters"]["epochs"] == 3
    assert info["glue"] == {"best": 0.6}
    assert info["versions"] == environment.versions()
    assert info["wall_s"] > 1


def test_an_executed_notebook_names_no_folder_of_this_machine(executed):
    text = store.load("quick", "1", executed).notebook.read_text()
    for place in (str(executed.root), sys.prefix, str(Path.home())):
        assert place not in text
    outputs = [cell.get("outputs") for cell in json.loads(text)["cells"]]
    assert any(outputs), "the glued value is an output"


def test_plain_papermill_works_from_any_folder_and_keeps_nothing(executed, tmp_path, monkeypatch):
    papermill = pytest.importorskip("papermill")
    # The made-up chapter's study lies in the tests.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    scratch = tmp_path / "elsewhere"
    scratch.mkdir()
    papermill.execute_notebook(
        str(executed.notebook("01_tiny")), str(tmp_path / "out.ipynb"), cwd=str(scratch), progress_bar=False
    )
    assert list(scratch.iterdir()) == []
    assert "0.6" in (tmp_path / "out.ipynb").read_text()


def test_a_failing_cell_leaves_its_notebook_and_the_last_good_run(copied):
    before = {name: (store.run_folder(copied, "quick", "01_tiny") / name).read_bytes() for name in GOOD}
    write_chapter(copied, "01_tiny", "raise ValueError('too\\nfew pictures')")
    outcome = one(copied)
    assert outcome.status == "failed"
    path = store.run_folder(copied, "quick", "01_tiny") / "failed.ipynb"
    assert outcome.message == f"01_tiny: cell [6]: ValueError: too few pictures; read {path}"
    assert "too" in path.read_text()
    assert visible(copied) == sorted([*GOOD, "failed.ipynb"])
    assert before == {name: (path.parent / name).read_bytes() for name in GOOD}


SLOW = "import time, pathlib\npathlib.Path({mark!r}).touch()\ntime.sleep({seconds})"


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A chapter killed in its last cell but one, after its pieces; a second start was tried meanwhile."""
    project = make_project(tmp_path_factory.mktemp("killed") / "project")
    mark = project.root / "reached"
    write_chapter(project, "01_tiny", SLOW.format(mark=str(mark), seconds=60))
    command = [sys.executable, "-m", "reidlab", "run", "1", "--project", str(project.root)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_for(mark.exists)
    second = subprocess.run(command, capture_output=True, text=True)
    children = descendants(process.pid)
    process.kill()
    process.wait()
    wait_for(lambda: not any(alive(pid) for pid in children))
    return project, process.pid, second, children


def wait_for(condition, seconds=40):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def descendants(pid):
    psutil = pytest.importorskip("psutil")
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def alive(pid):
    psutil = pytest.importorskip("psutil")
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_second_run_at_the_same_time_is_refused(killed):
    _, pid, second, _ = killed
    assert second.returncode == 1
    message = f"01_tiny: is already running under profile quick, in process {pid}; wait for it to end, or end it"
    assert second.stdout.split("failed", 1)[1].strip() == message


def test_a_killed_run_takes_its_kernel_along_and_leaves_no_records(killed):
    project, _, _, children = killed
    assert len(children) >= 2, "the notebook's process and its kernel"
    left = visible(project)
    assert not set(left) & {"records.parquet", "run.json", "01_tiny.ipynb"}


def test_after_a_kill_the_next_run_cleans_up_and_resumes(killed, monkeypatch):
    project, *_ = killed
    folder = store.run_folder(project, "quick", "01_tiny")
    assert list(folder.glob(".running-*"))
    # The cell after the pieces is fixed; the pieces before it are still good.
    write_chapter(project, "01_tiny", "pass")
    outcome = one(project)
    assert outcome.status == "done", outcome.message
    info = store.load("quick", "1", project).info
    assert [piece["resumed"] for piece in info["pieces"]] == [True]
    assert visible(project) == GOOD
    assert not list(folder.glob(".running-*"))


def test_ctrl_c_ends_the_notebook_and_exits_130(tmp_path):
    project = make_project(tmp_path / "project")
    mark = project.root / "reached"
    write_chapter(project, "01_tiny", SLOW.format(mark=str(mark), seconds=60))
    command = [sys.executable, "-m", "reidlab", "run", "--project", str(project.root)]
    # A shell's background jobs ignore Ctrl-C and pass that on; a user's terminal does not.
    heeds = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heeds)
    wait_for(mark.exists)
    children = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    wait_for(lambda: not any(alive(pid) for pid in children), 5)
    assert "records.parquet" not in visible(project)


def test_a_real_full_disk_is_one_clear_line(tmp_path):
    """A file system of half a megabyte, in a mount namespace of its own; skipped where that is not allowed."""
    project = make_project(tmp_path / "project")
    disk = tmp_path / "disk"
    disk.mkdir()
    fill = f"mount -t tmpfs -o size=512k tmpfs {disk} && head -c 495000 /dev/zero > {disk}/full"
    if subprocess.run(["unshare", "-rm", "sh", "-c", fill], capture_output=True).returncode:
        pytest.skip("needs unshare -rm and tmpfs")
    command = f"{sys.executable} -m reidlab run --project {project.root}"
    shell = f"{fill} && REIDLAB_RUNS={disk}/runs {command}; status=$?; find {disk}/runs -type f; exit $status"
    result = subprocess.run(["unshare", "-rm", "sh", "-c", shell], capture_output=True, text=True)
    assert result.returncode == 1
    assert "disk is full" in result.stdout
    assert "Traceback" not in result.stderr
    assert "records.parquet" not in result.stdout
    assert "run.json" not in result.stdout


# ---- without a kernel ----------------------------------------------------------------------------------------------


def test_what_has_not_changed_is_not_repeated(project, no_kernel):
    assert one(project).status == "done"
    again = one(project)
    assert again.status == "unchanged"
    assert again.message == "01_tiny: nothing changed since its last run; not repeated"
    assert one(project, force=True).status == "done"


def _comment(project, _):
    path = project.notebook("01_tiny")
    path.write_text(path.read_text().replace("passes over the data", "how often"))


def test_a_comment_is_no_change(project, no_kernel):
    one(project)
    _comment(project, None)
    assert one(project).status == "unchanged"


def _code(project, _):
    write_chapter(project, "01_tiny", "x = 1")


def _parameter(project, _):
    write_profiles(project, quick="01_tiny: {epochs: 4}\n")


def _version(project, monkeypatch):
    monkeypatch.setattr(environment, "versions", lambda: {"python": "3.99"})


def _lost(project, _):
    (store.run_folder(project, "quick", "01_tiny") / "records.parquet").unlink()


def _no_json(project, _):
    (store.run_folder(project, "quick", "01_tiny") / "run.json").write_text("{")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_code, "the notebook's code changed"),
        (_parameter, "its parameters changed"),
        (_version, "python is 3.99, was"),
        (_lost, "missing, though run.json names it"),
        (_no_json, "cannot be read as JSON"),
    ],
)
def test_a_change_is_a_reason_to_run(project, no_kernel, monkeypatch, change, reason):
    one(project)
    change(project, monkeypatch)
    (job,) = runner.plan(project, [], "quick")
    assert any(reason in found for found in runner.reasons_to_run(job))
    assert one(project).status == "done"


def test_changed_files_of_a_data_set_are_a_reason_to_run(project, no_kernel, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    write_chapter(project, "01_tiny", f"run.data('MARS', hash='1', embedded=False, root={str(pictures)!r})")
    assert one(project).status == "done"
    assert one(project).status == "unchanged"
    (pictures / "a.jpg").write_bytes(b"1")
    (job,) = runner.plan(project, [], "quick")
    assert runner.reasons_to_run(job) == ["the files of MARS changed"]


def test_changed_parameters_leave_the_profiles_run_alone(project, no_kernel):
    one(project)
    assert one(project, changes={"epochs": 9}).status == "done"
    custom = store.open_run(store.run_folder(project, "quick.custom", "01_tiny"))
    assert custom.info["overrides"] == {"epochs": 9}
    assert store.load("quick", "1", project).info["parameters"]["epochs"] == 3
    assert one(project, changes={"epochs": 3}).status == "unchanged"


def test_the_same_run_gives_the_same_bytes(project, no_kernel):
    path = store.run_folder(project, "quick", "01_tiny") / "records.parquet"
    one(project)
    before = path.read_bytes()
    one(project, force=True)
    assert path.read_bytes() == before


def test_a_failure_does_not_stop_the_others_and_an_interrupted_batch_resumes(project, no_kernel):
    write_chapter(project, "00_bad", "1 / 0")
    write_profiles(project, quick="00_bad: {}\n01_tiny: {}\n")
    assert [o.status for o in run_chapters(project)] == ["failed", "done"]
    assert visible(project, chapter="00_bad") == ["failed.ipynb"]
    write_chapter(project, "00_bad")
    assert [o.status for o in run_chapters(project)] == ["done", "unchanged"]
    assert visible(project, chapter="00_bad") == ["00_bad.ipynb", "records.parquet", "run.json"]


def test_several_at_a_time_end_in_their_order(project, no_kernel):
    for name in ("02_a", "03_b", "04_c"):
        write_chapter(project, name)
    write_profiles(project, quick="01_tiny: {}\n02_a: {}\n03_b: {}\n04_c: {}\n")
    outcomes = run_chapters(project)
    assert [o.job.chapter for o in outcomes] == ["01_tiny", "02_a", "03_b", "04_c"]
    assert {o.status for o in outcomes} == {"done"}


def test_progress_is_told_every_cell(project, no_kernel):
    progress = Silent()
    runner.run_all(runner.plan(project, [], "quick"), progress)
    assert progress.told[0] == ("started", "01_tiny", "never run")
    assert [t for t in progress.told if t[0] == "cell"] == [("cell", n, 5) for n in range(1, 6)]
    assert progress.told[-1] == ("ended", "done")


def test_a_notebook_that_never_finishes_its_run_keeps_nothing(project, no_kernel):
    path = write_chapter(project, "01_tiny")
    path.write_text(path.read_text().replace("run.finish()", "pass"))
    outcome = one(project)
    assert (outcome.status, outcome.message) == (
        "failed",
        "01_tiny: the notebook ran, but did not call run.finish(); nothing is kept",
    )
    assert visible(project) == []


def test_code_edited_while_it_ran_keeps_nothing(project, monkeypatch):
    def edit_meanwhile(place, job, progress, stop):
        end = execute_in_process(place, job, progress, stop)
        write_chapter(job.project, job.chapter, "edited = True")
        return end

    monkeypatch.setattr(runner, "_execute", edit_meanwhile)
    assert "its code was edited while it ran" in one(project).message
    assert visible(project) == []


def test_a_lock_held_elsewhere_is_named(project, no_kernel):
    folder = store.run_folder(project, "quick", "01_tiny")
    folder.mkdir(parents=True)
    (folder / ".lock.pid").write_text("4711\n")
    with filelock.FileLock(folder / ".lock"):
        outcome = one(project)
    assert outcome.status == "failed"
    assert "in process 4711" in outcome.message
    assert one(project).status == "done"


@pytest.mark.parametrize("where", ["json", "replace", "mkdtemp"])
def test_a_full_disk_changes_nothing(project, no_kernel, monkeypatch, where):
    one(project)
    folder = store.run_folder(project, "quick", "01_tiny")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != ".lock.pid"}
    write_chapter(project, "01_tiny", "x = 1")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if where == "json":
            patch.setattr(Path, "write_text", full)
        elif where == "replace":
            patch.setattr(files.os, "replace", full)
        else:
            patch.setattr(files.tempfile, "mkdtemp", full)
        outcome = one(project)
    assert outcome.status == "failed"
    assert "the disk is full; nothing was changed" in outcome.message
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != ".lock.pid"}
    assert after == before


def test_a_folder_that_may_not_be_written_is_named(project, no_kernel, monkeypatch):
    def denied(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(files.tempfile, "mkdtemp", denied)
    assert "may not be written" in one(project).message


def test_a_process_that_dies_is_one_line(project, monkeypatch):
    monkeypatch.setattr(runner.sys, "executable", "/bin/false")
    outcome = one(project)
    assert outcome.status == "failed"
    assert outcome.message == "01_tiny: its process ended (1): no message"


def test_replacing_a_file_is_all_or_nothing(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def half_way():
        with files.replacing(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
