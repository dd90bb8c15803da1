"""The built pages, as files and as a browser shows them. Skipped where the book is not built (``make book``)."""

import re
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import unquote, urldefrag

import pytest

from reidlab.lab.addresses import outside_requests


class Reader(HTMLParser):
    """What a test wants to know of one page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors, self.images, self.headings = [], set(), [], []
        self.language = None
        self._in_article = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag == "img":
            self.images.append(values)
        # Outside of it the theme keeps a second title, for print.
        self._in_article = self._in_article or tag == "article"
        if self._in_article and tag in ("h1", "h2", "h3", "h4"):
            self.headings.append(int(tag[1]))
        if tag == "html":
            self.language = values.get("lang")

    def handle_endtag(self, tag):
        self._in_article = self._in_article and tag != "article"


@pytest.fixture(scope="module")
def readers(book):
    return {str(path.relative_to(book)): Reader(path.read_text(encoding="utf-8")) for path in book.rglob("*.html")}


# ---- the files -----------------------------------------------------------------------------------------------------


def test_nothing_is_loaded_from_another_machine(book):
    assert outside_requests(book) == []


def test_internal_links_lead_somewhere(book, readers, name):
    broken = []
    for link in readers[name].links:
        if re.match(r"\w+:|//", link):
            continue
        target, anchor = urldefrag(link)
        path = ((book / name).parent / unquote(target)).resolve() if target else (book / name).resolve()
        if not path.is_file():
            broken.append(f"{link}: no such file")
        elif anchor and path.suffix == ".html":
            page = readers.get(str(path.relative_to(book.resolve())))
            if page and unquote(anchor) not in page.anchors:
                broken.append(f"{link}: no such place on the page")
    assert broken == []


def test_pictures_exist_and_say_what_they_show(book, readers, name):
    for image in readers[name].images:
        if not image["src"].startswith("data:"):
            assert ((book / name).parent / unquote(image["src"].split("?")[0])).is_file(), image["src"]
        text = (image.get("alt") or "").strip()
        # Sphinx falls back on the file's name, which tells a reader who cannot see the picture nothing.
        assert text, f"{image['src']}: no alternative text"
        assert not re.search(r"\.(png|svg|jpe?g)$", text), (
            f"{image['src']}: the alternative text is a file name; give the cell's metadata mystnb.image.alt"
        )


def test_a_page_has_one_title_and_headings_in_order(readers, name):
    headings = readers[name].headings
    assert headings.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(headings)), headings
    assert readers[name].language == "en"


# ---- in a browser --------------------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("way", ["file", "http"])
def test_a_page_opens_cleanly(book, browser, served, name, way):
    page = browser.open((book / name).resolve().as_uri() if way == "file" else f"{served}/{name}")
    assert page.outside(book) == []
    assert page.failed == []
    assert page.complaints == []
    assert page.ask("[...document.images].filter(i => !i.naturalWidth).map(i => i.src)") == []
    formulas = page.ask("document.querySelectorAll('span.math, div.math').length")
    assert page.ask("document.querySelectorAll('mjx-container').length") >= formulas
    assert page.ask("document.querySelectorAll('mjx-merror').length") == 0


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1600, 1000)], ids=["phone", "wide"])
def test_a_page_fits_its_window(book, browser, name, width, height, scheme):
    """Tables, code and formulas scroll in their own boxes; the page itself never scrolls sideways."""
    page = browser.open((book / name).resolve().as_uri(), width, height, scheme)
    assert page.ask("document.documentElement.dataset.theme") == scheme
    assert page.ask("document.documentElement.scrollWidth") <= width
    too_wide = page.ask(
        """[...document.querySelectorAll('.bd-article img, .bd-article pre, .bd-article table')].filter(e => {
            for (let box = e; box && !box.matches('.bd-article'); box = box.parentElement)
                if (['auto', 'scroll', 'hidden'].includes(getComputedStyle(box).overflowX)) return false;
            return e.getBoundingClientRect().right > innerWidth + 1;
        }).map(e => e.tagName + '.' + e.className)"""
    )
    assert too_wide == []


@pytest.mark.browser
def test_the_search_finds_a_word_of_the_glossary(book, browser, served):
    page = browser.open(f"{served}/search.html?q=tracklet")
    found = page.ask(
        """new Promise(done => { const until = Date.now() + 10000; const look = () => {
            const links = [...document.querySelectorAll('#search-results a')].map(a => a.getAttribute('href'));
            links.length || Date.now() > until ? setTimeout(() => done(links), 200) : setTimeout(look, 100); };
            look(); })"""
    )
    assert any("glossary" in link for link in found), found
    assert page.outside(book) == []
