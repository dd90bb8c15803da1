"""What pages would fetch. tests/book/test_requests.py records what a browser fetches of these pieces."""

import pytest

from reidlab.lab.addresses import outside_requests
from tests.lab.pieces_of_pages import FETCHED, LINKS, OWN, SENT, UNUSUAL


def found_in(folder, text, name="a.html"):
    (folder / name).write_text(text, encoding="utf-8")
    return outside_requests(folder)


@pytest.mark.parametrize("piece", [*FETCHED, *SENT, *UNUSUAL])
def test_an_address_of_another_machine_is_found(tmp_path, piece):
    found = found_in(tmp_path, f"<!DOCTYPE html><html><body><p>{piece}</p></body></html>")
    assert found
    assert all(line.startswith("a.html ") for line in found)


@pytest.mark.parametrize("piece", OWN)
def test_the_books_own_files_and_links_to_follow_are_no_fault(tmp_path, piece):
    assert found_in(tmp_path, f"<!DOCTYPE html><html><body><p>{piece}</p></body></html>") == []


@pytest.mark.parametrize("piece", LINKS)
def test_a_link_that_runs_something_is_found(tmp_path, piece):
    (line,) = found_in(tmp_path, piece)
    assert line.startswith("a.html links to ")


@pytest.mark.parametrize(
    "style",
    [
        "@font-face { src: url('https://x.test/a.woff') }",
        "a { background: URL( //x.test/a.png ) }",
        "@import 'https://x.test/a.css';",
        '@import/**/"//x.test/a.css";',
        "@IMPORT url(https://x.test/a.css) print;",
        "a { background: image-set('https://x.test/a.png' 1x) }",
        "a { background: -webkit-image-set(/* */'//x.test/a.png' 1x) }",
        r"a { background: \75 rl(https://x.test/a.png) }",
        "a { background: url(ht\\\ntps://x.test/a.png) }",
        r"a { background: url('\5c\5cx.test/a.png') }",
    ],
)
def test_a_style_sheet_is_read(tmp_path, style):
    assert found_in(tmp_path, style, "a.CSS")
    assert found_in(tmp_path, f"<style>{style}</style>")


def test_a_style_sheets_own_pictures_are_no_fault(tmp_path):
    text = "/*! see https://x.test */ a { background: url(b.png) } b { src: url('data:font/woff2;base64,AA==') }"
    text += "c { background: url(\"data:image/svg+xml,%3csvg xmlns='http://www.w3.org/2000/svg'/%3e\") }"
    assert found_in(tmp_path, text, "a.css") == []


def test_an_address_is_said_once_and_without_control_characters(tmp_path):
    found = found_in(tmp_path, '<img src="https://x.test/\x1b[31m"><img src="https://x.test/\x1b[31m">')
    assert found == ["a.html loads https://x.test/\\x1b[31m"]


def test_pages_within_pages_end(tmp_path):
    assert any("too deeply" in line for line in found_in(tmp_path, "<style>" * 100 + "</style>"))
