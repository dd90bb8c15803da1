"""Pieces of pages in a browser that records its requests: the oracle of :mod:`reidlab.lab.addresses`."""

import re

import pytest

from tests.lab.pieces_of_pages import FETCHED, OWN

pytestmark = pytest.mark.browser


def fetched(browser, folder, pieces):
    """Show each piece in a frame of its own, its x.test numbered, and return the numbers that were asked for."""
    for number, piece in enumerate(pieces):
        numbered = re.sub(r"x\.test", f"x{number}.test", piece, flags=re.IGNORECASE)
        text = f"<!DOCTYPE html><html><body><p>{numbered}</p></body></html>"
        (folder / f"{number}.html").write_text(text, encoding="utf-8")
    frames = "".join(f"<iframe src='{number}.html'></iframe>" for number in range(len(pieces)))
    (folder / "all.html").write_text(f"<!DOCTYPE html><html><body>{frames}</body></html>")
    page = browser.open((folder / "all.html").as_uri())
    # Styles and refreshes load after the page.
    page.ask("new Promise(done => setTimeout(() => done(true), 300))")
    return {int(found[1]) for url in page.outside(folder) if (found := re.match(r"\w+://x(\d+)\.test", url))}


def test_a_browser_does_fetch_what_is_called_fetched(browser, tmp_path):
    numbers = fetched(browser, tmp_path, FETCHED)
    idle = [piece for number, piece in enumerate(FETCHED) if number not in numbers]
    assert idle == [], "this browser asks nobody: move it to UNUSUAL"


def test_a_browser_fetches_nothing_for_what_is_called_own(browser, tmp_path):
    assert fetched(browser, tmp_path, OWN) == set()
