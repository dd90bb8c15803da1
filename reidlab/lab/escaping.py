"""The border between text and pages: what came out of a file passes here before it stands in MyST or HTML."""

from __future__ import annotations

import re

from reidlab.checks import printable

# Whatever could begin or end markup in the middle of a line of MyST (its extensions included) or HTML.
_MARKUP = {ord(c): f"&#{ord(c)};" for c in "\\`*_{}[]!$~^|@#'"}
_MARKUP |= {ord("<"): "&lt;", ord(">"): "&gt;", ord("&"): "&amp;", ord('"'): "&quot;"}
# What does so at the beginning of a line only: lists, comments, targets, definitions, rules.
_START = re.compile(r"[-+=%:(]|\d+[.)](?= |$)")


def as_text(value: object) -> str:
    r"""Return text that MyST and HTML both show as it is, on one line.

    Markup is written as character references, which both languages resolve only after they have looked for markup. So
    the result may stand in a paragraph, a heading, a block of HTML or a quoted attribute. White space becomes single
    spaces, since a line break could begin a directive; control characters are written out.

    Args:
        value: such as a claim's note or a file's name; an object is turned into text first.

    Example:
        >>> as_text("a <b>\n```{include} /etc/hosts")
        'a &lt;b&gt; &#96;&#96;&#96;&#123;include&#125; /etc/hosts'
    """
    line = printable(re.sub(r"[ \t\r\n]+", " ", str(value)).strip(" "))
    start = _START.match(line)
    split = start.end() if start else 0
    head = f"{line[: split - 1]}&#{ord(line[split - 1])};" if split else ""
    return head + line[split:].translate(_MARKUP)
