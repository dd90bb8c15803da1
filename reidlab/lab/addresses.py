"""What built pages make a browser fetch, read off their HTML and CSS as a browser would read them.

Pages load their own files and nothing else; a reader may follow a link to another machine. Where it is not plain
how a browser takes a piece of a page (comments, scripts, declarations), the piece is read as a page too: better an
address too many than one too few. What a script asks for cannot be read off; the tests open the pages in a browser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from reidlab.checks import printable

# Attributes whose address a browser fetches by itself or sends something to, on whatever element they stand.
_LOADING = {
    *("src", "data", "poster", "background", "action", "formaction", "ping", "manifest"),
    *("codebase", "classid", "archive", "code", "lowsrc", "dynsrc", "attributionsrc"),
}
_LISTS = {"srcset", "imagesrcset", "ping", "archive", "attributionsrc"}
_LINKS = {"href", "xlink:href"}
# Relations of a <link> that only tell; all others may be fetched.
_TELLING = {"alternate", "author", "canonical", "contents", "genindex", "help", "index", "license", "search"}
# Attributes whose value is CSS.
_STYLED = {
    *("style", "fill", "stroke", "filter", "mask", "clip-path", "cursor"),
    *("marker", "marker-start", "marker-mid", "marker-end"),
}
# Elements for which an address with its content inside would be a page or a script.
_RUNNING = {
    *("script", "iframe", "frame", "embed", "object", "applet", "base"),
    *("form", "button", "input", "use", "meta", "portal"),
}
_PICTURE = re.compile(r"data:(?:image|font|audio|video|application/(?:x-)?font)[-\w.+/]*[;,]")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):")
_FOLLOWED = {"http", "https", "mailto"}
_REFRESH = re.compile(r"[\s\d.]*[;,\s]*(?:url\s*=\s*)?['\"]?", re.IGNORECASE)
_CSS_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})[ \t\r\n\f]?|\r\n|[\n\r\f]|(.))")
_CSS_ADDRESS = re.compile(r"(?:url|src)\(\s*(?:\"([^\"]*)|'([^']*)|([^)\s]*))", re.IGNORECASE)
_CSS_STRINGS = re.compile(r"(?:@import|image-set\()([^;{}]*)", re.IGNORECASE)
_DEEPEST = 10  # pages within pages


def outside_requests(html: Path) -> list[str]:
    """Return what built pages would fetch from elsewhere, and links that would run something, a line each.

    Args:
        html: folder of the pages; HTML, SVG and CSS are read.
    """
    found = []
    for path in sorted(path for path in html.rglob("*") if path.is_file()):
        kind = path.suffix.lower()
        if kind not in (".html", ".htm", ".xhtml", ".svg", ".css"):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        lines = (f"loads {address}" for address in _of_style(text)) if kind == ".css" else _of_page(text)
        found += [f"{path.relative_to(html)} {printable(line)[:200]}" for line in dict.fromkeys(lines)]
    return found


def _of_page(text: str, depth: int = 0) -> list[str]:
    if depth > _DEEPEST:
        return ["nests pages too deeply to be read"]
    reader = _Reader(depth)
    reader.feed(text)
    reader.close()
    # Python's parser drops a script or style that does not end.
    reader.handle_data(reader.rawdata)
    return reader.found


class _Reader(HTMLParser):
    """Collects what a page loads from elsewhere; its own files do not count."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.found: list[str] = []
        self._depth = depth

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the addresses of a tag that are not the book's own."""
        values = {name: value or "" for name, value in reversed(attrs)}  # of a repeated attribute the first counts
        for name, value in values.items():
            if name == "srcdoc":
                self._also(value)
            elif name in _STYLED:
                self.found += [f"loads {address}" for address in _of_style(value)]
            elif name in _LISTS:
                self._loads(tag, *re.split(r"[\s,]+", value))
            elif name in _LOADING:
                self._loads(tag, value)
            elif name in _LINKS and tag in ("a", "area"):
                scheme = _SCHEME.match(_cleaned(value))
                self.found += [f"links to {value}"] if scheme and scheme[1] not in _FOLLOWED else []
            elif name in _LINKS and not (tag == "link" and set(values.get("rel", "").lower().split()) <= _TELLING):
                self._loads(tag, value)
            elif name == "content" and values.get("http-equiv", "").strip().lower() == "refresh":
                self._loads(tag, _REFRESH.sub("", value, count=1))
            elif name == "attributename" and value.strip().lower() in _LINKS:
                self.found.append("changes the address of a link")

    def handle_data(self, data: str) -> None:
        """Read a script or style as CSS and as a page: browsers end either earlier than this parser may."""
        if self.cdata_elem:
            if self.cdata_elem == "style":
                self.found += [f"loads {address}" for address in _of_style(data)]
            self._also(data)

    def handle_comment(self, data: str) -> None:
        """Read a comment as a page: a browser may end it earlier."""
        self._also(data)

    def unknown_decl(self, data: str) -> None:
        """Likewise what looks like a section of XML."""
        self._also(data)

    def _also(self, text: str) -> None:
        if "<" in text:
            self.found += _of_page(text, self._depth + 1)

    def _loads(self, tag: str, *addresses: str) -> None:
        self.found += [f"loads {address}" for address in addresses if _is_elsewhere(address, tag in _RUNNING)]


def _of_style(text: str) -> Iterator[str]:
    """Yield the addresses outside of the book that CSS loads."""
    text = _CSS_ESCAPE.sub(lambda m: chr(min(int(m[1], 16), 0x10FFFF)) if m[1] else m[2] or "", text)
    found = [next(filter(None, m.groups()), "") for m in _CSS_ADDRESS.finditer(text)]
    for statement in _CSS_STRINGS.finditer(text):
        found += re.findall(r"[\"']([^\"']*)", statement[1])
    yield from (address for address in found if _is_elsewhere(address, False))


def _is_elsewhere(address: str, runs: bool) -> bool:
    """Return whether an address is none of the book's own; a picture or font may be written into it."""
    address = _cleaned(address)
    if _SCHEME.match(address):
        return runs or not _PICTURE.match(address)
    return address.startswith("//")


def _cleaned(address: str) -> str:
    """Return an address as a browser reads it: small letters, no white space around nor tabs inside, slashes."""
    address = re.sub(r"[\t\n\r]", "", address.strip("".join(map(chr, range(33)))))
    return address.replace("\\", "/").lower()
