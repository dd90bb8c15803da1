"""The page of a pruned network: what it cost before and after, what it finds, and how wide its layers are now."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

from reidlab.checks import plural, printable
from reidlab.pruning.caie import Result

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
:root { color-scheme: light dark }
table { border-collapse: collapse }
td, th { padding: .1rem .8rem .1rem 0; text-align: left; font-variant-numeric: tabular-nums }
.bar { background: #8883; height: .7rem }
.bar div { background: #27a; height: 100% }
"""
_NAMES = {"macs": "multiply-accumulates", "params": "parameters", "milliseconds": "milliseconds a picture, measured"}


def page(result: Result, figures: Mapping[str, tuple[float, float]]) -> str:
    """Return a page that needs nothing else.

    Args:
        result: the pruned network and its trace.
        figures: before and after, by name.
    """
    budgets = "".join(
        f"<tr><td>{_text(name)}</td><td>{whole:,.5g}</td><td>{limit:,.5g}</td><td>{now:,.5g}</td>"
        f"<td>{now / whole:.1%}</td></tr>"
        for name, (whole, limit, now) in result.limits.items()
    )
    rows = "".join(
        f"<tr><td>{_text(_NAMES.get(name, name))}</td><td>{before:,.4g}</td><td>{after:,.4g}</td></tr>"
        for name, (before, after) in figures.items()
    )
    most = max((math.sqrt(before) for before, _ in result.widths.values()), default=1)
    bars = "".join(
        f"<tr><td>{_text(name)}</td><td>{before}</td><td>{after}</td>"
        f'<td><div class="bar" style="width:{24 * math.sqrt(before) / most:.2f}rem">'
        f'<div style="width:{after / before:.1%}"></div></div></td></tr>'
        for name, (before, after) in result.widths.items()
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>Pruned network</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Pruned network</h1>\n<p>{plural(len(result.trace), 'iteration')} of pruning.</p>\n"
        f"<table><tr><th></th><th>before</th><th>after</th></tr>{rows}</table>\n<h2>Budgets</h2>\n"
        f"<table><tr><th>resource</th><th>before</th><th>budget</th><th>after</th><th>left</th></tr>{budgets}</table>\n"
        "<h2>Filters of each layer</h2>\n"
        "<p>The blue part stays; a bar is as long as the root of the layer's width.</p>\n"
        f"<table><tr><th>layer</th><th>before</th><th>after</th><th></th></tr>{bars}</table>\n</body>\n</html>\n"
    )


def _text(text: object) -> str:
    return escape(printable(text))
