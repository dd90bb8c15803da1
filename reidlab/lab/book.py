"""Building the book: executed chapters, generated pages and written pages in one folder, then Jupyter Book on it.

The build takes chapters from the run store and refuses one whose run does not match today's code. It writes
into a new folder and swaps it with the old pages at the end, so that a failed build leaves those untouched.
Nothing is executed and nothing is fetched, and no page inserts a file by a directive; the finished pages are searched
for what a browser would fetch from elsewhere.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from html import unescape
from pathlib import Path
from typing import Any

from reidlab import files
from reidlab.checks import plural
from reidlab.errors import ConfigError, RunError
from reidlab.lab import pages, runner, store
from reidlab.lab.addresses import outside_requests
from reidlab.lab.ledger import Ledger
from reidlab.lab.notebook import ADDRESS_GRAMMAR, parameters_of
from reidlab.lab.project import Project
from reidlab.lab.store import StoredRun
from reidlab.reading import read_yaml

KEPT_PROFILES = ("standard", "paper")

_NOT_COPIED = shutil.ignore_patterns("_build", "claims", ".*")
_KEYS = {"cell_type", "source"}
_TEXTS = {".html", ".ipynb", ".md", ".txt", ".js", ".json", ".svg", ".xml"}
# For docutils: `include` and its like would publish any file of this machine.
_NO_INSERTION = "[general]\nfile_insertion_enabled: no\n"


def build(project: Project, profile: str = "quick", strict: bool = True) -> Path:
    """Build the book and return the path of its first page.

    Args:
        project: where chapters, pages and runs are.
        profile: whose runs the chapters' pages show.
        strict: whether a warning of the build fails it.

    Raises:
        ConfigError: the table of contents or a chapter's parameters are not as expected.
        RunError: a chapter has no run that matches today's code; or the build failed, or its pages load
            something from another machine or name a path of this one.
    """
    if importlib.util.find_spec("jupyter_book") is None:
        raise ConfigError("the book is built with jupyter-book, which is not installed: pip install 'reidlab[book]'")
    target = project.book / "_build"
    busy = f"{target}: another build of the book is under way; wait for it to end"
    with files.locked(target / ".lock", busy), files.disk_errors(target):
        source = target / "source"
        stage(project, profile, source)
        fresh = target / "new"
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            html = _run_jupyter_book(source, fresh, strict)
            if found := [*outside_requests(html), *machine_paths(html, project)]:
                more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
                raise RunError(f"the pages were built but are not put in place: {found[0]}{more}")
            _swap(html, target / "html")
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return target / "html" / "index.html"


def chapters_of(project: Project) -> list[str]:
    """Return the chapters that the book's table of contents names, in its order.

    Raises:
        ConfigError: there is no table of contents, it names no chapter, or one that does not exist.
    """
    path = project.book / "_toc.yml"
    chapters = [
        Path(name).with_suffix("").name if name.endswith(".ipynb") else Path(name).name
        for name in _files_in(read_yaml(path))
        if name.startswith("notebooks/")
    ]
    if not chapters:
        raise ConfigError(f"{path}: names no chapter; expected entries such as `- file: notebooks/01_person_reid`")
    for chapter in chapters:
        if not project.notebook(chapter).is_file():
            raise ConfigError(f"{path}: names notebooks/{chapter}, but there is no {project.notebook(chapter)}")
    return chapters


def current_runs(project: Project, profile: str, chapters: Sequence[str]) -> list[StoredRun]:
    """Return the chapters' runs under a profile, all of them matching today's code.

    Raises:
        RunError: one is missing or stale; the message says which, why, and the command that fixes it.
    """
    problems = []
    runs = []
    for job in runner.plan(project, chapters, profile):
        reasons = runner.reasons_to_run(job)
        if reasons == [runner.NEVER_RUN]:
            problems.append((job.chapter, f"chapter {job.chapter}: has no run of profile {profile}"))
        elif reasons:
            problems.append((job.chapter, f"chapter {job.chapter}: run is stale ({'; '.join(reasons[:3])})"))
        else:
            runs.append(store.open_run(job.folder))
    if problems:
        names = " ".join(chapter for chapter, _ in problems)
        texts = "; ".join(text for _, text in problems)
        raise RunError(f"{texts}; run `{project.command(f'run {names} --profile {profile}')}`")
    return runs


def stage(project: Project, profile: str, source: Path) -> None:
    """Write everything Jupyter Book needs to ``source``: pages, executed chapters, ledger and status.

    Raises:
        ConfigError: see :func:`chapters_of`; or the book's folder holds a link, or no configuration.
        RunError: see :func:`current_runs`; or an executed notebook is damaged.
        ClaimError: a claim file is malformed.
    """
    chapters = chapters_of(project)
    runs = current_runs(project, profile, chapters)
    ledger = Ledger(project)
    ledger_text = pages.ledger_page(ledger)

    _check_own_files(project.book)
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(project.book, source, ignore=_NOT_COPIED)
    shown = []
    for run in runs:
        kept = [found for name in KEPT_PROFILES if (found := store.kept(run.chapter, name, project))]
        shown += [run, *kept]
        notebook = _with_cards(project, run, kept)
        files.write_text(source / "notebooks" / f"{run.chapter}.ipynb", json.dumps(notebook, indent=1))
    files.write_text(source / "ledger.md", ledger_text)
    files.write_text(source / "status.md", pages.status_page(project, shown))
    config = read_yaml(source / "_config.yml") or {}
    if not isinstance(config, dict) or not isinstance(config.setdefault("execute", {}), dict):
        raise ConfigError(f"{project.book / '_config.yml'}: expected names with values, `execute` among them")
    # Whatever the configuration says: the pages show the runs of the store.
    config["execute"]["execute_notebooks"] = "off"
    import yaml

    files.write_text(source / "_config.yml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def machine_paths(html: Path, project: Project) -> list[str]:
    """Return where built pages name a folder of this machine: the checkout, the environment, the home."""
    secret = {str(project.root), str(project.runs), str(Path.home())}
    if sys.prefix != sys.base_prefix:
        secret.add(sys.prefix)
    places = re.compile("|".join(rf"{re.escape(p)}(?![\w-])" for p in sorted(secret, key=len, reverse=True)))
    found = []
    for path in sorted(p for p in html.rglob("*") if p.suffix in _TEXTS):
        # A page may write any sign of a path as a character reference.
        if match := places.search(unescape(path.read_text(encoding="utf-8", errors="replace"))):
            found.append(f"{path.relative_to(html)} names the folder {match[0]} of this machine")
    return found


def _with_cards(project: Project, run: StoredRun, kept: Sequence[StoredRun]) -> dict[str, Any]:
    """Return a chapter's executed notebook with its run card below the title and kept records at the end."""
    notebook = files.read_json(run.notebook)
    cells = notebook.get("cells")
    if not isinstance(cells, list) or not all(isinstance(cell, dict) and cell.keys() >= _KEYS for cell in cells):
        raise RunError(f"{run.notebook}: is no executed notebook; run the chapter again with --force")
    if run.info["parameters"] == json.loads(json.dumps(parameters_of(project.notebook(run.chapter)))):
        # The reader sees the values once: in the chapter's own cell if the run kept them, else as they ran.
        for tags in (cell.get("metadata", {}).get("tags", []) for cell in cells):
            tags += ["remove-cell"] if "injected-parameters" in tags else []
    title = next((n for n, cell in enumerate(cells) if cell["cell_type"] == "markdown"), -1)
    if title >= 0:
        # Below the title, whether or not the title's cell goes on with text.
        lines = "".join(cells[title]["source"]).split("\n")
        first = next((n for n, line in enumerate(lines) if line.startswith("# ")), 0)
        head, rest = "\n".join(lines[: first + 1]), "\n".join(lines[first + 1 :])
        cells[title]["source"] = f"{head}\n\n{pages.run_note(project, run)}\n{rest}"
    else:
        cells.insert(0, _markdown(pages.run_note(project, run), "run-card"))
    cells += [_markdown(pages.kept_section(project, found), f"kept-{found.profile}") for found in kept]
    return notebook


def _markdown(text: str, name: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def _files_in(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("file", "root") and isinstance(value, str):
                yield value
            else:
                yield from _files_in(value)
    elif isinstance(node, list):
        for item in node:
            yield from _files_in(item)


def _check_own_files(folder: Path) -> None:
    """Check that a folder holds nothing but files and folders: a link would publish what it leads to."""
    for place, folders, names in os.walk(folder):
        skipped = _NOT_COPIED(place, [*folders, *names])
        folders[:] = [name for name in folders if name not in skipped]
        for name in (*folders, *names):
            path = Path(place, name)
            if name not in skipped and (path.is_symlink() or not (path.is_file() or path.is_dir())):
                raise ConfigError(f"{path}: is a link or no file; the book publishes files of its own folder only")


def _run_jupyter_book(source: Path, output: Path, strict: bool) -> Path:
    arguments = ["build", str(source), "--path-output", str(output), "--all", "--quiet"]
    if strict:
        arguments += ["-W", "-n", "--keep-going"]
    settings = source / "docutils.conf"
    files.write_text(settings, _NO_INSERTION)
    start = f"import sys; sys.modules[{ADDRESS_GRAMMAR!r}] = None; "
    start += "from jupyter_book.cli.main import main; sys.exit(main())"
    result = subprocess.run(
        [sys.executable, "-c", start, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONHASHSEED": "0", "NO_COLOR": "1", "DOCUTILSCONFIG": str(settings)},
        check=False,
    )
    html = output / "_build" / "html"
    log = source.parent / "build.log"
    log.write_text(result.stdout + result.stderr, encoding="utf-8")
    if result.returncode or not (html / "index.html").is_file():
        lines = (result.stderr + "\n" + result.stdout).splitlines()
        telling = [line for line in lines if "WARNING" in line or "ERROR" in line or "Error:" in line] or lines[-1:]
        first = re.sub(r"\x1b\[[0-9;]*m", "", telling[0]).strip() if telling else "no message"
        first = first.replace(f"{source}{os.sep}", "")
        raise RunError(
            f"jupyter-book failed with {plural(len(telling), 'message')}, the first: {first[:300]}; "
            f"all of them are in {log}; the earlier pages are untouched"
        )
    return html


def _swap(fresh: Path, target: Path) -> None:
    old = target.with_name("old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.replace(target, old)
    try:
        os.replace(fresh, target)
    except OSError:
        if old.exists():
            os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)
