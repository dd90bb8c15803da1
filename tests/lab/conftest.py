"""Fixtures of the lab's tests: a fresh project for each test, and one whose chapter was really run."""

import shutil

import pytest

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
def executed(tmp_path_factory):
    """A project whose chapter was really run in both profiles; do not change it, copy it."""
    made = make_project(tmp_path_factory.mktemp("executed") / "project")
    jobs = [*runner.plan(made, [], "quick"), *runner.plan(made, [], "standard")]
    outcomes = runner.run_all(jobs, Silent(), workers=2)
    assert [outcome.status for outcome in outcomes] == ["done", "done"], outcomes
    return made


@pytest.fixture
def copied(executed, tmp_path):
    """A copy of the executed project that a test may spoil."""
    root = tmp_path / "copy"
    shutil.copytree(executed.root, root)
    return Project(root, root / "_runs")
