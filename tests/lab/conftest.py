"""Fixtures of the lab's tests: a fresh project for each test, and one whose chapter was really run."""

import os
import shutil
from pathlib import Path

import pytest

from reidlab import files
from reidlab.lab import runner
from reidlab.lab.project import Project
from tests.lab.made_up_project import Silent, execute_in_process, make_project


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "project")


@pytest.fixture
def no_kernel(monkeypatch):
    monkeypatch.setattr(runner, "_execute", execute_in_process)


@pytest.fixture(scope="session")
def executed():
    """A project whose chapter was really run in both profiles, by one worker for all; do not change it, copy it."""
    place = Path(os.environ["REIDLAB_TESTS_PLACE"]) / "executed"
    root, whole = place / "project", place / "whole"
    with files.locked(place / "lock", wait=True):
        if not whole.exists():
            shutil.rmtree(root, ignore_errors=True)
            made = make_project(root)
            jobs = [*runner.plan(made, [], "quick"), *runner.plan(made, [], "standard")]
            outcomes = runner.run_all(jobs, Silent(), workers=2)
            assert [outcome.status for outcome in outcomes] == ["done", "done"], outcomes
            whole.touch()
    return Project(root, root / "_runs")


@pytest.fixture
def copied(executed, tmp_path):
    """A copy of the executed project that a test may spoil."""
    root = tmp_path / "copy"
    shutil.copytree(executed.root, root)
    return Project(root, root / "_runs")
