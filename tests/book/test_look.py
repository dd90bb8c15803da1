"""What the look promises and can be checked before a page is built: legible colours, no address of another machine."""

import re
from pathlib import Path

import pytest
import yaml

BOOK = Path(__file__).parents[2] / "book"
CSS = (BOOK / "_static" / "custom.css").read_text(encoding="utf-8")
CONFIG = yaml.safe_load((BOOK / "_config.yml").read_text(encoding="utf-8"))
SPHINX = CONFIG["sphinx"]["config"]
# The grounds of pydata-sphinx-theme's two schemes.
GROUND = {"light": "#ffffff", "dark": "#121212"}


def variables(scheme):
    block = re.search(rf'html\[data-theme="{scheme}"\] \{{(.*?)\}}', CSS, re.DOTALL)[1]
    return dict(re.findall(r"(--[\w-]+):\s*(#[0-9a-f]{6})", block))


def luminance(colour):
    """Relative luminance of WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_verdicts_and_quiet_text_are_legible(scheme):
    """WCAG AA asks for 4.5:1 of small text."""
    colours = variables(scheme)
    verdicts = [name for name in colours if f"{name}-back" in colours]
    assert len(verdicts) == 6
    for name in verdicts:
        assert contrast(colours[name], colours[f"{name}-back"]) >= 4.5, name
    for name in ("--rl-quiet", "--pst-color-link", "--pst-color-link-hover", "--pst-color-inline-code"):
        for ground in (GROUND[scheme], colours["--rl-stripe"]):
            assert contrast(colours[name], ground) >= 4.5, (name, ground)


def test_both_schemes_define_the_same_colours():
    assert variables("light").keys() == variables("dark").keys()


def test_every_verdict_has_a_badge_and_its_own_sign():
    from reidlab.lab.ledger import VERDICTS

    signs = [
        re.search(
            rf'\.verdict{"" if name == "not run" else "-" + name.replace(" ", "-")}::before \{{ content: "(.*?)"', CSS
        )
        for name in VERDICTS
    ]
    assert all(signs), VERDICTS
    assert len({sign[1] for sign in signs}) == len(VERDICTS)
    intro = (BOOK / "intro.md").read_text(encoding="utf-8")
    for name in VERDICTS:
        assert f"[{name}]{{.verdict .verdict-{name.replace(' ', '-')}}}" in intro


def test_every_used_colour_is_defined():
    assert set(re.findall(r"var\((--rl-[\w-]+)\)", CSS)) <= variables("light").keys()


def test_the_look_asks_no_other_machine():
    for text in (CSS, *(path.read_text(encoding="utf-8") for path in (BOOK / "_static").glob("*.svg"))):
        assert re.findall(r"(?:https?:)?//[\w.-]+\.\w{2,}", text.replace("http://www.w3.org/2000/svg", "")) == []


def test_formulas_and_widgets_come_from_the_book_itself():
    script = BOOK / "_static" / SPHINX["mathjax_path"]
    assert script.is_file()
    fonts = list((script.parent / "output" / "chtml" / "fonts" / "woff-v2").glob("*.woff"))
    assert len(fonts) > 20
    assert "Apache License" in (script.parent / "LICENSE").read_text(encoding="utf-8")
    assert SPHINX["nb_ipywidgets_js"] == {}
    assert "sphinx_thebe" not in SPHINX["extensions"]


def test_notebooks_are_never_run_by_the_build():
    assert CONFIG["execute"]["execute_notebooks"] == "off"
    assert CONFIG["only_build_toc_files"] is True


def test_every_written_page_is_in_the_table_of_contents():
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    listed = {toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])}
    written = {path.stem for path in BOOK.glob("*.md")}
    generated = {"ledger", "status"}
    assert listed - written - generated == {name for name in listed if name.startswith("notebooks/")}
    assert written <= listed


def test_chapters_have_the_numbers_that_the_dissertation_gives_them():
    """A second page of one of its chapters stands below the first, or the book would count on."""
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    (chapters,) = [part["chapters"] for part in toc["parts"] if part["caption"] == "Chapters"]
    for number, chapter in enumerate(chapters, 1):
        pages = [chapter["file"], *(section["file"] for section in chapter.get("sections", ()))]
        assert {re.match(r"notebooks/(\d\d)", page)[1] for page in pages} == {f"{number:02d}"}


def test_the_bibliography_is_sound():
    """pybtex refuses repeated keys; here also: every entry has what a reader needs to find the work."""
    from pybtex.database import parse_file

    entries = parse_file(str(BOOK / "references.bib")).entries
    assert {"liu2022dissertation", "masson2021prunability"} <= set(entries)
    venue = {"article": "journal", "inproceedings": "booktitle", "phdthesis": "school", "techreport": "institution"}
    for key, entry in entries.items():
        assert entry.persons.get("author"), key
        assert {"title", "year", venue.get(entry.type, "note")} <= set(entry.fields), key
        assert entry.fields["year"] in key, f"{key}: year {entry.fields['year']}"
