"""Text of claims, records, runs and file names that tries to be more than text, shown by a browser."""

import functools
import json
import re

import pytest

from reidlab.checks import printable
from reidlab.lab import book as builder
from reidlab.lab import runner, store
from tests.lab.made_up_project import code, execute_in_process, make_project, markdown, run_chapters, write_notebook
from tests.lab.test_book import CONFIG, TOC

pytestmark = pytest.mark.browser

MARK = "what no page may publish"
#: ``{secret}`` is the path of a file of this machine that lies outside of the project.
PIECES = [
    "ends </small></td></tr></table></div></dd></dl></p></details>--></code>\"'",
    "<script>globalThis.ran = true</script><img src=none onerror='globalThis.ran = true'><b class=made>bold</b>",
    "```{{literalinclude}} {secret}\n```",
    ":::{{include}} ../../../../secret.txt\n:::",
    "```{{raw}} html\n<script>globalThis.ran = true</script>\n```",
    "# Heading\n- list\n\n    indented {{{{ made }}}} $x^2$ \\(x\\) **bold** `code` [link](javascript:ran=true)",
    "{{download}}`{secret}` \x1b[31mred\x07 \u202eturned ../../etc/passwd",
]


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile") / "secret.txt"
    path.write_text(MARK)
    return path


@pytest.fixture(scope="module")
def hostile(secret):
    return "\n\n".join(PIECES).format(secret=secret)


@pytest.fixture(scope="module")
def pages(secret, hostile):
    """The pages of a project that has such text wherever a file can carry it into a page."""
    pytest.importorskip("jupyter_book")
    project = make_project(secret.parent / "project")
    chapter = [
        markdown("# A chapter\n\nIt says {glue:text}`said`."),
        code("seeds = [0]\nepochs = 1\nname = 'a'", "parameters"),
        code("from reidlab import lab\nrun = lab.start('01_tiny', parameters=lab.parameters(globals()))"),
        code(f"text = {hostile!r}\nrun.data(text, hash=text, embedded=True, describe=text)"),
        code("run.record('rank1', 0.5, method=text, experiment=text, protocol=text)\nrun.glue('said', text)"),
        code("import pandas as pd\npd.DataFrame({text: [text]}, index=[text])"),
        code("run.finish()"),
    ]
    write_notebook(project.notebook("01_tiny"), *chapter)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "_execute", functools.partial(execute_with_outputs, hostile))
        for profile in ("quick", "standard"):
            (outcome,) = run_chapters(project, profile=profile)
            assert outcome.status == "done", outcome
    store.keep("1", "standard", project)
    spoil(project.results / "standard/01_tiny/run.json", hostile)

    (project.book / "_toc.yml").write_text(TOC)
    (project.book / "_config.yml").write_text(CONFIG)
    (project.book / "intro.md").write_text("# Intro\n\nSee {doc}`ledger`.\n")
    folder = project.book / "claims"
    folder.mkdir()
    item = {"id": "t1", "source": "survey", "item": hostile, "title": hostile, "chapter": hostile, "status": hostile}
    said = {"source": "survey", "item": hostile, "what": hostile, "note": hostile, "unit": hostile, "printed": 3}
    rule = {"chapter": 1, "key": "rank1", "where": {"method": hostile}, "tolerance": 1, "because": hostile}
    claims = [
        {"id": "exact", "kind": "exact", **said, "rule": {**rule, "profile": "standard"}},
        {"id": "accuracy", "kind": "accuracy", **said, "needs": hostile, "rule": None},
        {"id": "differs", "kind": "exact", **said, "unit": "fraction", "rule": {**rule, "where": {"nothing": hostile}}},
    ]
    (folder / "inventory.yml").write_text(json.dumps([item, {**item, "id": "t2", "item": f"{hostile} 2"}]))
    (folder / "a.yml").write_text(json.dumps(claims))
    return builder.build(project).parent


def execute_with_outputs(hostile, place, job, progress, stop):
    """Execute without a kernel, and write below the cells what one would: a glued text, a line, a data frame."""
    import pandas as pd

    event = execute_in_process(place, job, progress, stop)
    path = place / f"{job.chapter}.ipynb"
    notebook = json.loads(path.read_text())
    frame = pd.DataFrame({hostile: [hostile]}, index=[hostile])
    plain = {"text/plain": repr(hostile)}
    glued = {"scrapbook": {"name": "said", "mime_prefix": ""}}
    outputs = [
        {"output_type": "display_data", "data": plain, "metadata": glued},
        {"output_type": "stream", "name": "stdout", "text": hostile},
        {"output_type": "execute_result", "execution_count": 1, "metadata": {}}
        | {"data": {"text/html": frame._repr_html_(), "text/plain": repr(frame)}},
    ]
    (cell,) = [cell for cell in notebook["cells"] if "import pandas" in cell["source"]]
    cell |= {"outputs": outputs, "execution_count": 1}
    path.write_text(json.dumps(notebook))
    return event


def spoil(path, hostile):
    """Write the text into every field of a kept run that may be any text."""
    info = json.loads(path.read_text())
    info |= {"machine": hostile, "device": hostile, "versions": {hostile: hostile}, "overrides": {hostile: hostile}}
    info |= {"parameters": {hostile: hostile}}
    info["data"][hostile] = {"hash": hostile, "embedded": False, "describe": hostile}
    info["code"]["hash"] = hostile
    info["code"]["records"]["modules"][hostile] = hostile
    path.write_text(json.dumps(info))


def words(text):
    return re.sub(r"\s+", " ", text).strip()


def test_no_file_of_the_machine_is_published(pages, secret):
    assert secret.read_text() == MARK
    found = [path for path in pages.rglob("*") if path.is_file() and MARK.encode() in path.read_bytes()]
    assert found == []
    assert not list(pages.rglob("secret*"))


@pytest.mark.parametrize("page_name", ["ledger.html", "status.html", "notebooks/01_tiny.html"])
def test_text_is_shown_as_text_and_nothing_runs(browser, pages, hostile, page_name):
    page = browser.open((pages / page_name).as_uri())
    page.ask("new Promise(done => setTimeout(() => done(true), 100))")
    assert page.ask("globalThis.ran") is None
    assert page.ask("[...document.scripts].filter(s => s.textContent.includes('ran')).length") == 0
    assert page.ask("document.querySelectorAll('[onerror], img[src=none], b.made, [href^=javascript]').length") == 0
    assert page.ask("document.querySelectorAll('article mjx-container').length") == 0
    assert (page.outside(pages), page.failed) == ([], [])
    shown = words(page.ask("document.querySelector('article').textContent"))
    wanted = words(printable(re.sub(r"[ \t\r\n]+", " ", hostile)))
    # Each of these pages has it more than once: in cells of tables, in cards that open, in headings.
    assert shown.count(wanted) >= {"ledger.html": 12, "status.html": 2}.get(page_name, 10), shown[:3000]
    assert not set("\x1b\x07\u202e") & set(shown) or page_name.startswith("notebooks")
