"""Made-up projects: chapters of a few cells that measure nothing but are run, judged and published like real ones."""

import json
from pathlib import Path

import pytest

from reidlab.lab import runner
from reidlab.lab.project import Project

PARAMETERS = "seeds = [0]\nepochs = 2  # passes over the data\nname = 'quiet'"
START = "from reidlab import lab\nrun = lab.start({chapter!r}, parameters=lab.parameters(globals()))"
DATA = "run.data('small world', hash='abc123', embedded=True, describe='4 people')"
EXPERIMENT = """from tests.lab.made_up_study import MadeUpStudy
study = MadeUpStudy()
kept = run.measure(study, seeds)"""
END = """run.record('weights', 664704, unit='count')
measured = run.records()
run.glue('best', measured[measured['key'] == 'rank1']['value'].iloc[0])
run.finish()"""


def code(source, *tags):
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"tags": list(tags)} if tags else {},
        "outputs": [],
        "source": source,
    }


def markdown(source):
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def write_notebook(path: Path, *cells) -> Path:
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    path.parent.mkdir(parents=True, exist_ok=True)
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps({"cells": list(cells), "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    return path


def write_chapter(
    project: Project, chapter: str, *more: str, parameters: str = PARAMETERS, experiment: str = EXPERIMENT
) -> Path:
    """A chapter that records something; the cells ``more`` come before the last that does."""
    return write_notebook(
        project.notebook(chapter),
        markdown("# A made-up chapter\n\nIt records what it is told: {glue:text}`best:.2f`."),
        code(parameters, "parameters"),
        code(START.format(chapter=chapter)),
        code(DATA),
        code(experiment),
        *map(code, more),
        code(END),
    )


def write_profiles(project: Project, **profiles: str) -> None:
    for name, text in profiles.items():
        path = project.notebooks / "profiles" / f"{name}.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def make_project(root: Path) -> Project:
    """One chapter, 01_tiny, in the profiles quick (one seed) and standard (five)."""
    project = Project(root, root / "_runs")
    (root / "book").mkdir(parents=True)
    write_chapter(project, "01_tiny")
    write_profiles(
        project, quick="01_tiny: {epochs: 3}\n", standard="defaults: {seeds: [0, 1, 2, 3, 4]}\n01_tiny: {}\n"
    )
    return project


class Silent:
    """Progress that remembers what it was told."""

    def __init__(self):
        self.told = []

    def started(self, job, reason):
        self.told.append(("started", job.chapter, reason))

    def cell(self, job, number, total):
        self.told.append(("cell", number, total))

    def ended(self, outcome):
        self.told.append(("ended", outcome.status))


def run_chapters(project, *chapters, profile="quick", changes=None, **options):
    jobs = runner.plan(project, chapters, profile, changes)
    return runner.run_all(jobs, Silent(), **options)


def execute_in_process(place, job, progress, stop):
    """Stands in for ``runner._execute``: the same cells, without a kernel (4 seconds each)."""
    del stop
    context = json.loads((place / "context.json").read_text())
    source = json.loads(Path(context["source"]).read_text())
    (place / f"{job.chapter}.ipynb").write_text(json.dumps(source))
    names = {"__name__": "__main__"}
    cells = [cell for cell in source["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(cells, start=1):
        progress.cell(job, number, len(cells))
        text = cell["source"].replace("lab.start(", "_start(")
        names["_start"] = _started_by_runner(place)
        try:
            exec(text, names)
        except Exception as error:
            return {"event": "failed", "cell": number, "reason": f"{type(error).__name__}: {error}"}
        if "parameters" in cell["metadata"].get("tags", ()):
            names |= context["parameters"]
    return {"event": "done"}


def _started_by_runner(place):
    from reidlab.lab import run, store

    def start(chapter, parameters):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(store.DIRECTORY_VARIABLE, str(place))
            return run.start(chapter, parameters)

    return start
