"""Verifying kept records: equal ones count as today's, others name the first difference and its cause."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reidlab import cli
from reidlab.errors import ConfigError, RunError
from reidlab.lab import pieces, store
from reidlab.lab import verify as verifying
from reidlab.lab.card import Card
from reidlab.lab.project import Project
from reidlab.lab.verify import verify
from tests.lab.made_up_project import EXPERIMENT, PARAMETERS, Silent, run_chapters, write_chapter

TIMED = EXPERIMENT.replace("MadeUpStudy()", "MadeUpStudy(timed=True)")
CHANGED = EXPERIMENT.replace("MadeUpStudy()", "MadeUpStudy(step=0.02)")
MACHINE = "import os\nrun.record('machine', float(os.environ.get('MADE_UP_MACHINE', '0.5')), seed=1)"


def commit(project, message="Keep"):
    shutil.which("git") or pytest.skip("needs git")
    author = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    (project.root / ".gitignore").write_text("_runs/\n")
    for words in (("init", "-q"), ("add", "."), (*author, "commit", "-q", "-m", message)):
        subprocess.run(["git", "-C", str(project.root), *words], check=True, capture_output=True)


def keep(project, *cells, experiment=TIMED):
    write_chapter(project, "01_tiny", *cells, experiment=experiment)
    (outcome,) = run_chapters(project, profile="standard")
    assert outcome.status == "done", outcome.message
    store.keep("1", "standard", project)
    return store.kept("01_tiny", "standard", project)


def verified(project, seed=None):
    return verify(project, "1", "standard", seed, progress=Silent())


@pytest.fixture
def in_process(monkeypatch, no_kernel):
    """Run the commit's chapter as the other ones: without a kernel."""

    def run_at(tree, inside, job, seed):
        there = Project(tree / inside, tree.parent / "runs")
        (outcome,) = run_chapters(there, profile=job.profile, changes={"seeds": [seed]})
        assert outcome.status == "done", outcome.message
        return store.open_run(outcome.job.folder).records

    monkeypatch.setattr(verifying, "_run_at", run_at)


def test_equal_records_lift_the_stale_mark_as_long_as_that_code_stands(project, no_kernel):
    keep(project)
    write_chapter(project, "01_tiny", "x = 1", experiment=TIMED)
    before = store.run_folder(project, "standard", "01_tiny") / "run.json"
    bytes_before = before.read_bytes()
    assert store.kept("01_tiny", "standard", project).is_stale(project)
    found = verified(project)
    assert found.equal
    assert found.message == "01_tiny, profile standard, seed 0: 3 records equal bit for bit"
    kept = store.kept("01_tiny", "standard", project)
    assert not kept.is_stale(project)
    note = kept.info["verified"]
    assert {"seed", "date", "code", "versions", "machine", "threads", "records"} <= set(note)
    assert (note["seed"], note["records"]) == (0, 3)
    assert dict(Card(kept.info).rows())["verified"] == f"on {note['date'][:10]}: seed 0 equal bit for bit"
    assert before.read_bytes() == bytes_before, "the profile's own run stays"
    write_chapter(project, "01_tiny", "x = 2", experiment=TIMED)
    assert kept.changes(project, pictures=False) == ["the notebook's code changed"]


def test_a_verification_measures_again_with_the_kept_threads(project, no_kernel, monkeypatch):
    from tests.lab.made_up_study import MEASURED

    kept = keep(project)
    MEASURED.clear()
    assert verified(project, 3).equal
    assert MEASURED == [("embedded", 3)]
    jobs = []
    monkeypatch.setattr(verifying.runner, "run_all", lambda found, *_, **__: jobs.extend(found) or [None])
    with pytest.raises(AttributeError):
        verified(project)
    assert (jobs[0].threads, jobs[0].store) == (kept.info["threads"], "standard.verify")
    assert jobs[0].parameters == kept.info["parameters"] | {"seeds": [0]}
    assert verifying.runner.threads_in_environment(3)["OMP_NUM_THREADS"] == "3"


def test_changed_code_is_named_as_the_cause(project, in_process):
    keep(project)
    commit(project)
    write_chapter(project, "01_tiny", experiment=CHANGED)
    assert verified(project, 0).equal, "seed 0 is not changed by it"
    found = verified(project, 1)
    assert not found.equal
    difference = 'rank1 ({"loss": "triplet"}, 1) is kept as 0.61 fraction, measured now as 0.62 fraction'
    assert found.message.startswith(f"01_tiny, profile standard, seed 1: {difference}; the code changed them: commit ")
    worktrees = subprocess.run(["git", "-C", str(project.root), "worktree", "list"], capture_output=True, text=True)
    assert worktrees.stdout.count("\n") == 1


def test_another_machine_is_named_as_the_cause(project, in_process, monkeypatch):
    keep(project, MACHINE)
    commit(project)
    monkeypatch.setenv("MADE_UP_MACHINE", "0.6")
    found = verified(project, 1)
    assert found.equal, "the commit that kept them gives today's values here: the code is the same"
    assert "; this machine gives other values: commit " in found.message
    assert found.message.endswith("machine ({}, 1) is kept as 0.5 fraction, measured now as 0.6 fraction")
    note = store.kept("01_tiny", "standard", project).info["verified"]
    assert dict(Card(store.kept("01_tiny", "standard", project).info).rows())["verified"].endswith(
        f"to what commit {note['commit'][:10]} gives on another machine"
    )


def test_other_code_on_another_machine_verifies_nothing(project, in_process, monkeypatch):
    keep(project, MACHINE)
    commit(project)
    monkeypatch.setenv("MADE_UP_MACHINE", "0.6")
    write_chapter(project, "01_tiny", MACHINE, experiment=CHANGED)
    found = verified(project, 1)
    assert not found.equal
    assert found.message.endswith("which kept them, does not give them here either, nor today's")
    assert not store.kept("01_tiny", "standard", project).info.get("verified")


def test_pieces_that_a_commit_keeps_do_not_stand_for_its_code(project, no_kernel, monkeypatch):
    keep(project, MACHINE)
    pieces.keep("1", "standard", project)
    commit(project)
    write_chapter(project, "01_tiny", MACHINE, experiment=CHANGED)
    commands = []

    def run_as_told(command, **options):
        if command[0] != sys.executable:
            return subprocess_run(command, **options)
        commands.append(command)
        there = Project(Path(command[-1]), Path(options["env"]["REIDLAB_RUNS"]))
        outcomes = run_chapters(there, profile="standard", changes={"seeds": [1]}, force="--force" in command)
        assert [piece["resumed"] for piece in store.open_run(outcomes[0].job.folder).info["pieces"]] == [False]

    subprocess_run = subprocess.run
    monkeypatch.setattr(subprocess, "run", run_as_told)
    assert "the code changed them: commit " in verified(project, 1).message
    assert len(commands) == 1


def test_a_lost_record_differs(project, no_kernel):
    keep(project, MACHINE)
    write_chapter(project, "01_tiny", experiment=TIMED)
    assert "machine ({}, 1) is kept as 0.5 fraction, measured now as nothing" in verified(project, 1).message


def test_without_a_commit_the_cause_cannot_be_told(project, no_kernel, monkeypatch):
    keep(project)
    write_chapter(project, "01_tiny", experiment=CHANGED)
    assert "whether the code or the machine is the cause is unknown: " in verified(project, 1).message
    commit(project)
    keep(project, experiment=CHANGED)
    write_chapter(project, "01_tiny", experiment=TIMED)
    assert "is unknown: the kept records are not committed" in verified(project, 1).message
    monkeypatch.setenv("PATH", "/nowhere")
    assert "is unknown: " in verified(project, 1).message


def test_starts_that_are_not_here_are_left_out(project, no_kernel):
    def experiment(starts, step):
        return EXPERIMENT.replace("MadeUpStudy()", f"MadeUpStudy(starts={starts!r})") + (
            f"\nrun.record('rank1', {step}, seed=0, start='imagenet')"
        )

    keep(project, experiment=experiment(("scratch", "ImageNet (a package 1.0)"), 0.9))
    write_chapter(project, "01_tiny", experiment=experiment((), 0.1))
    found = verified(project)
    assert found.equal
    assert found.message.endswith(
        "3 records equal bit for bit (ImageNet (a package 1.0), scratch left out: not found as kept)"
    )
    keep(project, experiment=experiment(("scratch",), 0.9))
    write_chapter(project, "01_tiny", experiment=experiment(("scratch",), 0.1))
    assert "is kept as 0.9 fraction, measured now as 0.1 fraction" in verified(project).message


def test_real_data_that_are_not_here_are_left_out(project, no_kernel, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    real = f"{{'pku': p for p in [__import__('pathlib').Path({str(pictures)!r})] if p.is_dir()}}"
    keep(project, experiment=EXPERIMENT.replace("MadeUpStudy()", f"MadeUpStudy(real={real})"))
    assert verified(project).message.endswith("seed 0: 5 records equal bit for bit")
    pictures.rmdir()
    message = "seed 0: 3 records equal bit for bit (pku left out: not found as kept)"
    assert verified(project).message.endswith(message)


def test_parameters_of_then_must_still_be_known(project, no_kernel):
    keep(project)
    write_chapter(project, "01_tiny", parameters=PARAMETERS + "\nnew = 1", experiment=TIMED)
    assert verified(project).equal
    write_chapter(project, "01_tiny", parameters="seeds = [0]", experiment=TIMED)
    with pytest.raises(ConfigError, match=r"parameters that the notebook no longer has \(epochs, name\)"):
        verified(project)


def test_what_is_not_kept_cannot_be_verified(project, no_kernel):
    with pytest.raises(RunError, match="no records of profile standard are kept"):
        verified(project)
    keep(project)
    with pytest.raises(ConfigError, match="--seed 7: chapter 01_tiny keeps seeds 0, 1, 2, 3, 4"):
        verified(project, 7)
    write_chapter(project, "01_tiny", "1 / 0")
    with pytest.raises(RunError, match="ZeroDivisionError"):
        verified(project)


def test_the_command_says_it_and_leaves_with_1_where_records_differ(project, no_kernel, capsys):
    """The commit's chapter is really run, by a process of its own."""
    keep(project)
    commit(project)

    def call(*words):
        with pytest.raises(SystemExit) as left:
            cli.main(["keep", "1", *words, "--project", str(project.root)])
        return left.value.code, capsys.readouterr()

    write_chapter(project, "01_tiny", experiment=CHANGED)
    status, said = call("--verify", "--seed", "1")
    assert (status, said.err) == (1, "")
    assert "; the code changed them: commit " in said.out
    status, said = call("--verify")
    assert status == 0
    assert "seed 0: 3 records equal bit for bit" in said.out
    assert json.loads((project.results / "standard/01_tiny/run.json").read_text())["verified"]["seed"] == 0
    status, said = call("--seed", "1")
    assert (status, said.out) == (1, "")
    assert "only --verify takes a seed" in said.err
