"""The book build: what is staged, what is refused, and that a failed build leaves the old pages alone."""

import json
import shutil
from html.parser import HTMLParser

import pytest

from reidlab.errors import ClaimError, ConfigError, RunError
from reidlab.lab import book, store
from tests.lab.made_up_project import write_chapter, write_profiles

pytest.importorskip("jupyter_book")

TOC = """format: jb-book
root: intro
parts:
  - caption: Chapters
    chapters:
      - file: notebooks/01_tiny
  - caption: Measured
    chapters:
      - file: ledger
      - file: status
"""
CONFIG = """title: Made up
only_build_toc_files: true
execute: {execute_notebooks: force}
sphinx:
  config: {mathjax_path: mathjax.js, html_copy_source: false}
html: {use_repository_button: false}
"""


def add_book(project, toc=TOC, intro="# Intro\n\nThe {doc}`ledger`.\n"):
    (project.book / "_toc.yml").write_text(toc)
    (project.book / "_config.yml").write_text(CONFIG)
    (project.book / "intro.md").write_text(intro)
    return project


@pytest.fixture
def with_book(copied):
    return add_book(copied)


@pytest.fixture(scope="module")
def built(executed, tmp_path_factory):
    """The pages of the executed project, with kept records and claims."""
    root = tmp_path_factory.mktemp("built") / "project"
    shutil.copytree(executed.root, root)
    project = add_book(type(executed)(root, root / "_runs"))
    store.keep("1", "standard", project)
    folder = project.book / "claims"
    folder.mkdir()
    (folder / "inventory.yml").write_text("- {id: t1, source: survey, item: Table 1, title: Losses, chapter: 1}\n")
    (folder / "a.yml").write_text(
        "- {id: weights, source: survey, item: Table 1, what: Weights, kind: exact, printed: 664704, unit: count,"
        " rule: {chapter: 1, key: weights}}\n"
    )
    book.build(project)
    return project


def text_of(path):
    parts = []
    parser = HTMLParser()
    parser.handle_data = parts.append
    parser.feed(path.read_text())
    return " ".join(" ".join(parts).split())


def test_a_chapters_page_shows_its_run_its_numbers_and_what_is_kept(built):
    text = text_of(built.book / "_build/html/notebooks/01_tiny.html")
    assert "Measured with profile quick on " in text
    assert "It records what it is told: 0.60 ." in text
    assert "Kept records: profile standard" in text
    # Mean and interval of 0.6, 0.61, ..., 0.64: t(4, 0.975) = 2.776, standard error 0.00707.
    assert "loss triplet 0.62 ± 0.02 (5)" in text
    assert "others: 3 rows conditions" in text
    assert "stale" not in text


def test_kept_records_are_told_an_experiment_at_a_time():
    import pandas as pd

    from reidlab.lab.pages import _experiments

    dims = ['{"experiment": "b", "n": 1}', '{"n": 2}', '{"experiment": "a"}', '{"experiment": "b", "n": 3}']
    table = pd.DataFrame({"dims": dims, "value": range(4)})
    found = [(name, part["value"].tolist()) for name, part in _experiments(table)]
    assert found == [("b", [0, 3]), ("a", [2]), ("others", [1])]


def test_the_generated_pages_are_there(built):
    html = built.book / "_build/html"
    assert "✓" not in text_of(html / "ledger.html")
    assert '<tr id="claim-weights">' in (html / "ledger.html").read_text()
    assert "reproduced" in text_of(html / "ledger.html")
    status = text_of(html / "status.html")
    assert "01_tiny quick" in status
    assert "01_tiny standard (kept)" in status
    assert (html / "index.html").is_file()


def test_the_pages_need_no_other_machine_and_name_no_folder_of_this_one(built):
    html = built.book / "_build/html"
    assert book.outside_requests(html) == []
    assert book.machine_paths(html, built) == []
    assert sorted(p.name for p in (built.book / "_build").iterdir()) == [".lock", "build.log", "html", "source"]


def test_a_failed_build_leaves_the_old_pages(built):
    index = built.book / "_build/html/index.html"
    before = index.read_bytes()
    intro = built.book / "intro.md"
    text = intro.read_text()
    intro.write_text(text + "\nSee {doc}`nowhere`.\n\n```{include} _config.yml\n```\n")
    try:
        with pytest.raises(RunError, match=r"jupyter-book failed with .*intro\.md:") as caught:
            book.build(built)
    finally:
        intro.write_text(text)
    assert "\n" not in str(caught.value)
    assert index.read_bytes() == before
    assert not (built.book / "_build/new").exists()
    log = (built.book / "_build/build.log").read_text()
    assert "nowhere" in log
    # A page inserts no file, not even of its own folder.
    assert 'Directive "include" disabled' in log


@pytest.mark.parametrize("target", ["/etc/hostname", "../notebooks", "intro.md", "nowhere"])
def test_a_link_in_the_books_folder_is_refused(with_book, target):
    """Git carries links, and copying one would publish what it leads to."""
    (with_book.book / "_static").mkdir()
    (with_book.book / "_static/secret.txt").symlink_to(target)
    with pytest.raises(ConfigError, match=r"secret\.txt: is a link or no file; the book publishes files of its own"):
        book.build(with_book)


def test_a_configuration_or_notebook_of_another_kind_is_refused(with_book, monkeypatch):
    config = with_book.book / "_config.yml"
    for text in ("- a", "execute: off"):
        config.write_text(text)
        with pytest.raises(ConfigError, match=r"_config\.yml: expected names with values"):
            book.stage(with_book, "quick", with_book.book / "_build/source")
    config.write_text(CONFIG)
    for cells in (None, [3], [{"source": "a"}]):
        monkeypatch.setattr(book.files, "read_json", lambda path, cells=cells: {"cells": cells})
        with pytest.raises(RunError, match="is no executed notebook; run the chapter again with --force"):
            book._with_cards(with_book, store.StoredRun(with_book.root, {"chapter": "01_tiny"}, False), [])


def test_every_text_of_a_run_is_text_on_its_page(project):
    """Also fields that the run store would refuse: the border does not rely on it."""
    import pandas as pd

    from reidlab.lab import pages

    bad = "a\n\n# <script>b</script> {include}`c`"
    info = {"chapter": bad, "profile": bad, "parameters": {}, "data": {}, "code": None, "versions": {bad: bad}}
    info |= {"started": "2024-02-03T04:05:06", "wall_s": 1, "records": bad, "machine": bad, "device": bad, "threads": 1}
    table = pd.DataFrame({"dims": ["{}"], "protocol": [bad], "key": [bad], "value": [1.0], "unit": [bad]})
    run = store.StoredRun(project.root, info, True)
    monkeypatch = pytest.MonkeyPatch()
    with monkeypatch.context() as patch:
        patch.setattr(store.StoredRun, "records", table)
        texts = [pages.kept_section(project, run), pages.status_page(project, [run]), pages.run_note(project, run)]
    for text in texts:
        assert "<script" not in text
        assert "{include}" not in text
        assert "\n# &lt;" not in text
        assert "&lt;script&gt;" in text


def test_a_stale_chapter_is_refused_with_the_command_that_mends_it(with_book):
    write_chapter(with_book, "01_tiny", "x = 1")
    with pytest.raises(RunError) as error:
        book.build(with_book)
    command = f"reidlab run 01_tiny --profile quick --project {with_book.root}"
    assert str(error.value) == f"chapter 01_tiny: run is stale (the notebook's code changed); run `{command}`"


def test_a_chapter_run_with_other_parameters_is_refused(with_book):
    write_profiles(with_book, quick="01_tiny: {epochs: 8}\n")
    with pytest.raises(RunError, match="its parameters changed"):
        book.build(with_book)


def test_a_chapter_without_a_run_is_refused(project):
    with pytest.raises(RunError, match="chapter 01_tiny: has no run of profile quick; run `reidlab run 01_tiny"):
        book.build(add_book(project))


def test_a_chapter_that_does_not_exist_is_refused(with_book):
    add_book(with_book, TOC.replace("01_tiny", "07_gone"))
    with pytest.raises(ConfigError, match=r"_toc\.yml: names notebooks/07_gone, but there is no"):
        book.build(with_book)


def test_a_book_without_chapters_is_refused(with_book):
    add_book(with_book, "format: jb-book\nroot: intro\n")
    with pytest.raises(ConfigError, match=r"_toc\.yml: names no chapter"):
        book.build(with_book)


def test_a_malformed_claim_is_refused(with_book):
    folder = with_book.book / "claims"
    folder.mkdir()
    (folder / "a.yml").write_text("- {id: a}\n")
    with pytest.raises(ClaimError, match=r"a\.yml: claim 'a': field 'source' is missing"):
        book.build(with_book)


def test_a_stale_kept_run_is_shown_and_marked(with_book):
    store.keep("1", "standard", with_book)
    path = with_book.results / "standard/01_tiny/run.json"
    info = json.loads(path.read_text())
    info["code"]["records"]["modules"]["reidlab.lab.records"] = "old"
    path.write_text(json.dumps(info))
    source = with_book.book / "_build/source"
    book.stage(with_book, "quick", source)
    page = json.loads((source / "notebooks/01_tiny.ipynb").read_text())
    last = page["cells"][-1]["source"]
    assert '<span class="stale">stale</span> These records no longer match' in last
    assert "module reidlab.lab.records changed" in last
    assert '<span class="stale">stale</span>' in (source / "status.md").read_text()


def test_staging_shows_changed_parameters_and_forces_execution_off(with_book):
    source = with_book.book / "_build/source"
    book.stage(with_book, "quick", source)
    cells = json.loads((source / "notebooks/01_tiny.ipynb").read_text())["cells"]
    assert cells[0]["source"].startswith('# A made-up chapter\n\n<details class="run-card">')
    injected = [c for c in cells if "injected-parameters" in c["metadata"].get("tags", ())]
    assert "remove-cell" not in injected[0]["metadata"]["tags"], "epochs differ from the notebook's own"
    assert "execute_notebooks: 'off'" in (source / "_config.yml").read_text()
    assert not (source / "claims").exists()


def test_paths_of_this_machine_are_found(tmp_path, project):
    (tmp_path / "a.html").write_text(f"<pre>{project.root}/notebooks</pre>")
    (tmp_path / "b.html").write_text(f"<pre>{project.root}-other</pre>")
    (tmp_path / "c.html").write_text(f"<pre>{str(project.root).replace('/', '&#47;')}</pre>")
    found, other = book.machine_paths(tmp_path, project)
    assert other == f"c.html names the folder {project.root} of this machine"
    assert found == f"a.html names the folder {project.root} of this machine"
