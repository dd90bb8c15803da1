"""The repository's own chapters and profiles."""

import re

import pytest

from reidlab.lab import codehash, profiles, runner
from reidlab.lab.notebook import read_cells
from reidlab.lab.project import Project
from reidlab.lab.prose import check_notebook

PROJECT = Project.find()
CHAPTERS = PROJECT.chapters()


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapters_source_is_clean(chapter):
    assert check_notebook(PROJECT.notebook(chapter)) == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapters_code_can_be_hashed(chapter):
    code = codehash.of_chapter(PROJECT.notebook(chapter))
    measuring = "reidlab.models.cost" if chapter == "05b_accounting_audit" else "reidlab.evaluation.retrieval"
    assert {"reidlab.lab.records", measuring} <= set(code.records.modules) <= set(code.modules)
    assert not any(name.startswith("reidlab.plots") for name in code.records.modules)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_builds_its_method_by_hand_and_has_exercises(chapter):
    cells = read_cells(PROJECT.notebook(chapter))
    headings = re.findall(r"^##+ (.*)$", "\n".join(cell.source for cell in cells if cell.kind == "markdown"), re.M)
    assert any("by hand" in heading for heading in headings)
    assert "Exercises" in headings
    assert any("assert " in cell.source for cell in cells if cell.kind == "code")  # against the package


@pytest.mark.parametrize("name", profiles.names(PROJECT))
def test_a_profile_fits_the_chapters(name):
    assert runner.plan(PROJECT, [], name)


def test_every_chapter_is_in_the_quick_profile():
    if CHAPTERS:
        assert list(profiles.load(PROJECT, "quick").chapters) == CHAPTERS


def test_the_command_shown_for_real_pictures_is_what_the_standard_profile_measures():
    (job,) = runner.plan(PROJECT, ["04_unsupervised"], "standard")
    measured = f"--rounds {job.parameters['real_rounds']} --iterations {job.parameters['real_steps']['round']}"
    for path in (PROJECT.root / "book" / "how_to_add_data.md", PROJECT.notebook("04_unsupervised")):
        assert re.findall(r"--rounds \d+ --iterations \d+", path.read_text(encoding="utf-8")) == [measured], path
