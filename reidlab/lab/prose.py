"""Numbers in a chapter's text come from records; this finds those that were typed by hand.

A bare result is a decimal (``0.85``), a percentage (``12 %``), a factor (``3 times faster``, ``2.5x``) or an
integer score (``a rank-1 of 85``). It is shown with ``{glue:text}`name:.3f```. A number quoted from one of the works
is marked as such: ``[82.79 %]{.printed}``. Settings stand in code spans or formulas. None of these count, nor do
references ("Table 2.1"), citations, links, versions ("Python 3.11") and the level of an interval ("95 % interval").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from reidlab.errors import ConfigError
from reidlab.lab.notebook import kernel_of, parameters_of, read_cells

_COUNT = r"(?:\d+(?:\.\d+)?|two|three|four|five|six|seven|eight|nine|ten|twenty|fifty|hundred)"
_METRIC = r"(?:mAP|mINP|AP|CMC|rank-?\d+|HOTA|MOTA|IDF1|F1|TAR|accuracy|precision|recall)"

_BARE = re.compile(
    "|".join(
        [
            rf"{_COUNT}\s?(?:%|‰|per ?cent\b|percentage points?\b)",
            rf"\b{_COUNT}\s+times\s+(?:as|more|fewer|less|better|worse|\w+er)\b",
            r"(?<![\w.×])\d+(?:\.\d+)?\s?[x×](?![\w])(?!\s?[\d*(\[`$])",
            rf"\b{_COUNT}-?fold\s+(?:increase|decrease|reduction|gain|drop|speed)",
            rf"\b{_METRIC}\s+(?:of|=|is|was|reaches|reached|(?:\w+\s)?to)\s+(?:about\s+|around\s+)?\d{{2,}}\b",
            r"(?<![\w.\-/])[-−]?\d+\.\d+(?![\w]|\.\d)",
        ]
    ),
    re.IGNORECASE,
)

# Fenced blocks whose content is text to the reader; in all others it is code, a formula, a list of references.
_TEXT_DIRECTIVES = {
    *("note", "warning", "tip", "important", "hint", "caution", "attention", "danger", "seealso", "admonition"),
    *("margin", "sidebar", "dropdown", "epigraph", "figure", "table", "list-table"),
}
_NUMBER_LIST = r"\(?[A-Z]?\d+(?:\.\d+)*[a-z]?\)?"
_ALLOWED = [
    # HTML comments, then what HTML tags carry.
    re.compile(r"<!--.*?-->", re.DOTALL),
    # Formulas; a dollar sign before a digit is one too, and prices do not occur.
    re.compile(r"\$\$.*?\$\$", re.DOTALL),
    re.compile(r"\\begin\{(\w+\*?)\}.*?\\end\{\1\}", re.DOTALL),
    re.compile(r"\\\[.*?\\\]|\\\(.*?\\\)", re.DOTALL),
    # Roles (glue, eval, citations, references) and code spans.
    re.compile(r"(?:\{[\w:+.-]+\})?(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL),
    re.compile(r"(?<![\\\w])\$(?!\s)[^$\n]+(?:\n[^$\n]+)*?(?<!\s)\$"),
    # Quoted from a work, and marked so.
    re.compile(r"\[[^\[\]]*\]\{[^{}]*\.printed\b[^{}]*\}"),
    re.compile(r"<[^<>]+>"),
    re.compile(r"\]\([^()\s]*(?:\([^()]*\))?[^()\s]*\)"),
    re.compile(r"https?://\S+"),
    re.compile(
        r"\b(?:Table|Figure|Fig|Section|Sec|Equation|Eq|Chapter|Algorithm|Appendix|Theorem|Page|pp?|Part|Step)"
        rf"(?:s|es|ns|\.|s\.)?[\s~]+{_NUMBER_LIST}(?:(?:\s?,\s?|\s?[-–]\s?|,?\s+(?:and|to|or)\s+){_NUMBER_LIST})*",
        re.IGNORECASE,
    ),
    re.compile(rf"§+\s?{_NUMBER_LIST}"),
    re.compile(r"\barXiv:\s?\d+\.\d+(?:v\d+)?|\bdoi:\s?\S+", re.IGNORECASE),
    re.compile(r"\b(?:Python|PyTorch|torch|CUDA|numpy|pandas|OpenCV|version|v)[\s-]?\d+(?:\.\d+)+", re.IGNORECASE),
    re.compile(r"\b\d+(?:\.\d+)?\s?%\s+(?:confidence\b|intervals?\b|quantiles?\b|level\b)"),
]
_FENCE = re.compile(r"^(?P<indent>\s*)(?P<fence>`{3,}|~{3,}|:{3,})\s*(?P<info>.*)$")
_OPTION = re.compile(r"^\s*:[\w-]+:.*$")
_NUMBERED_HEADING = re.compile(r"^(#+\s+)\d+(?:\.\d+)*\.?\s")


@dataclass(frozen=True)
class Finding:
    """A bare result: the line it stands on, counted from 1, and what it looks like."""

    line: int
    text: str


def bare_results(markdown: str) -> list[Finding]:
    """Return the bare results in a text.

    Args:
        markdown: MyST Markdown.

    Example:
        >>> bare_results("The loss wins by 3.5 %, see Table 2.1 and {glue:text}`gain:.1f` %.")
        [Finding(line=1, text='3.5 %')]
    """
    text = _without_blocks(markdown)
    for pattern in _ALLOWED:
        text = pattern.sub(_blank, text)
    return [Finding(text.count("\n", 0, m.start()) + 1, " ".join(m[0].split())) for m in _BARE.finditer(text)]


def check_notebook(path: Path) -> list[str]:
    """Return what is wrong with a chapter's source: bare results, left-over outputs, parameters that are not literals.

    Raises:
        ConfigError: it is not a notebook.
    """
    problems = []
    cells = read_cells(path)
    for cell in cells:
        if cell.kind == "markdown":
            for found in bare_results(cell.source):
                problems.append(
                    f"{path}, cell {cell.number}, line {found.line}: {found.text!r} is typed by hand; show it with "
                    "{glue:text}`name`, or, if a work prints it, as " + f"[{found.text}]{{.printed}}"
                )
        elif cell.kind == "code" and not cell.stripped:
            problems.append(f"{path}, cell {cell.number}: has outputs; strip them (`nbstripout {path.name}`)")
    if kernel_of(path) != "python3":
        problems.append(f"{path}: asks for kernel {kernel_of(path)!r}; expected 'python3', which every environment has")
    if not any(cell.kind == "code" and "parameters" in cell.tags for cell in cells):
        problems.append(f"{path}: no cell is tagged 'parameters'")
    try:
        parameters_of(path)
    except ConfigError as error:
        problems.append(str(error))
    return problems


def _without_blocks(markdown: str) -> str:
    """Blank fenced blocks of code and formulas, directive options and heading numbers; line numbers stay."""
    lines = []
    inside: tuple[str, bool] | None = None  # the closing fence, and whether the block's content is text
    for line in markdown.split("\n"):
        match = _FENCE.match(line)
        if inside is None and match:
            directive = re.match(r"\{([\w:-]+)\}\s*(.*)", match["info"])
            is_text = bool(directive and directive[1] in _TEXT_DIRECTIVES) or match["fence"][0] == ":"
            # A figure's argument is a path, an admonition's a title.
            title = directive[2] if directive and directive[1] != "figure" else ""
            lines.append(title if is_text else "")
            inside = None if match["fence"][0] == ":" else (match["fence"], is_text)
        elif inside is not None and line.strip() == inside[0]:
            lines.append("")
            inside = None
        elif inside is not None and not inside[1]:
            lines.append("")
        else:
            line = "" if _OPTION.match(line) else line
            lines.append(_NUMBERED_HEADING.sub(r"\1", line))
    return "\n".join(lines)


def _blank(match: re.Match[str]) -> str:
    # A sign that is in no text keeps apart what stood on the two sides.
    return "\0" + "\n" * match[0].count("\n")
