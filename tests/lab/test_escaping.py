"""Text stays text. Oracles: MyST's own parser with every extension of it, and Python's parser of HTML."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidlab.checks import printable
from reidlab.lab.escaping import as_text

HOSTILE = [
    "a\n\n```{include} /etc/hosts\n```",
    "a\n:::{literalinclude} /etc/hosts\n:::",
    "{include}`/etc/hosts` {glue:text}`a` {{ a }} $a$ $$a$$ \\(a\\) ~~a~~ a[^1] [a](b) ![a](b) [a]{.b} <b>",
    "<script>alert(1)</script><!-- --> &lt; &#60; \"'><img src=x onerror=alert(1)>",
    *("# a", "- a", "+ a", "1. a", "1) a", "10.", "> a", "% a", "(a)=", "+++", "---", "***", "===", ": a", "| a |"),
    *("    a", "\ta", "[a]: b", "[^1]: b", "~~~", ":::", "{{ a }}", "\\begin{a}b\\end{a}", "https://x.test", "@a"),
    *("a\\", "a  \nb", "a\rb", "a\x1b[31mb\x00", "a\u2028b\u202ec", "\ud800", "", " ", "2.1", "-0.5", "10 %"),
]
# Letters alone would hardly ever make markup.
LINES = st.text(st.sampled_from("\\`*_{}[]<>()#+-.!|~=:$&;%^\"'@/ \n\tab1") | st.characters(), max_size=30)


def one_line(text):
    return printable(re.sub(r"[ \t\r\n]+", " ", text).strip(" "))


@pytest.fixture(scope="module")
def parser():
    config = pytest.importorskip("myst_parser.config.main")
    from markdown_it.renderer import RendererHTML
    from myst_parser.parsers.mdit import create_md_parser

    extensions = {
        *("amsmath", "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath", "fieldlist"),
        *("html_admonition", "html_image", "strikethrough", "substitution", "tasklist"),
    }
    return create_md_parser(config.MdParserConfig(enable_extensions=extensions), RendererHTML)


def shown_by_myst(parser, source):
    """The text of the one paragraph that a source must be."""
    opening, inline, closing = parser.parse(source)
    assert (opening.type, inline.type, closing.type) == ("paragraph_open", "inline", "paragraph_close")
    assert {token.type for token in inline.children} <= {"text", "text_special"}
    return "".join(token.content for token in inline.children)


def shown_by_html(source):
    parts, attributes = [], []
    reader = HTMLParser()
    reader.handle_data = parts.append
    reader.handle_starttag = lambda tag, attrs: attributes.append((tag, attrs))
    reader.feed(f'<p title="{source}">{source}</p>')
    reader.close()
    ((tag, ((name, value),)),) = attributes
    assert (tag, name) == ("p", "title")
    return "".join(parts), value


def check(parser, text):
    source, wanted = as_text(text), one_line(text)
    assert "\n" not in source
    assert shown_by_html(source) == (wanted, wanted)
    if wanted.strip():
        assert shown_by_myst(parser, source) == wanted.strip()
        # Inside a line, as of a heading.
        assert shown_by_myst(parser, f"a {source} b") == f"a {wanted} b"


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_is_shown_and_not_followed(parser, text):
    check(parser, text)


@given(text=LINES)
def test_any_text_is_shown_as_it_is(parser, text):
    check(parser, text)


def test_what_has_no_markup_stays_legible():
    assert as_text("Table 2.1: 82.80 % (NVAN), 10/12") == "Table 2.1: 82.80 % (NVAN), 10/12"
    assert as_text(664704) == "664704"
