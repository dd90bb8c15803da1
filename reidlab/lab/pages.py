"""The pages that are written by machine: the ledger, the status of the runs, and what each chapter was run with.

All of it is HTML in one-line blocks, which MyST passes through as it is, with the classes of
``book/_static/custom.css``. Wide tables lie in a box that scrolls by itself on a narrow screen. What comes from files
(claims, records, runs) is text: it enters through :func:`~reidlab.lab.escaping.as_text`, headings included.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reidlab.checks import plural
from reidlab.intervals import student_interval
from reidlab.lab.card import Card, day, duration, hardware
from reidlab.lab.claims import BASES, Item
from reidlab.lab.escaping import as_text
from reidlab.lab.ledger import VERDICTS, Ledger, Row
from reidlab.lab.project import Project
from reidlab.lab.store import StoredRun

if TYPE_CHECKING:
    import pandas as pd

_SOURCES = {"dissertation": "The dissertation", "survey": "The survey"}
_MEANING = {
    "reproduced": "the printed number came out again, within the rule's tolerance",
    "trend holds": "the whole 95 % interval of the difference lies on the claimed side",
    "differs": "another number came out; the row says why, as far as is known",
    "trend reversed": "the whole interval lies on the other side",
    "no effect here": "the interval contains zero and lies within half of the printed gain on both sides",
    "inconclusive": "the interval contains zero and is wider than that, or there are fewer than five seeds",
    "not run": "what it needs is not here; the row names it",
}


def ledger_page(ledger: Ledger) -> str:
    """Return the ledger's page in MyST: how many claims have which verdict, then every claim by chapter."""
    rows = ledger.rows()
    holes = ledger.holes()
    covered = len(ledger.book.items) - len(holes)
    tally = Counter((row.name, row.claim.basis) for row in rows)
    lines = [
        "# The ledger of claims",
        "",
        "What the two works say, what the records of this book say to it, and the verdict of the machine. The rule "
        "behind each verdict is written down beside the claim in `book/claims/`, before its experiment runs; "
        "[How verdicts work](intro.md) explains the kinds and words.",
        "",
        f"{plural(len(rows), 'claim')} on {covered} of {len(ledger.book.items)} tables and figures; "
        f"{plural(sum(row.claim.whose == 'ours' for row in rows), 'row')} of them ask questions of our own.",
        "",
        "A verdict rests on an experiment (*measured*), on operations and the like as this package counts them "
        "(*recounted*), on arithmetic with the work's own entries (*consistent*) or on counts and settings (*fact*).",
        "",
        _table(
            ["verdict", *BASES, "meaning"],
            [
                [_verdict(name), *(str(tally[name, basis]) for basis in BASES), as_text(_MEANING[name])]
                for name in VERDICTS
            ],
        ),
        "",
    ]
    chapters = {(item.source, item.item): item.chapter for item in ledger.book.items}
    for source, title in _SOURCES.items():
        here = [row for row in rows if row.claim.source == source]
        open_here = [item for item in holes if item.source == source]
        if not here and not open_here:
            continue
        lines += [f"## {title}", ""]
        names = {chapters.get((source, row.claim.item), "") for row in here} | {item.chapter for item in open_here}
        for chapter in sorted(names, key=_order):
            if chapter:
                lines += [f"### {'Chapter ' if chapter[0].isdigit() else ''}{as_text(chapter)}", ""]
            lines += [
                _claims_table(
                    [row for row in here if chapters.get((source, row.claim.item), "") == chapter],
                    [item for item in open_here if item.chapter == chapter],
                ),
                "",
            ]
    return "\n".join(lines)


def status_page(project: Project, runs: Sequence[StoredRun]) -> str:
    """Return the status page in MyST: what each run of this book took, when, and on what.

    Args:
        project: where today's code is.
        runs: the runs whose records the book shows.
    """
    body = []
    for run in runs:
        info = run.info
        stale = run.is_stale(project)
        body.append(
            [
                f'<a href="notebooks/{quote(run.chapter, safe="")}.html">{as_text(run.chapter)}</a>',
                as_text(run.profile) + (" (kept)" if run.kept else ""),
                as_text(duration(info["wall_s"])),
                as_text(day(info["started"])),
                as_text(info.get("records", "")),
                as_text(f"{info.get('machine', 'unknown')}; {hardware(info)}"),
                f"<code>{as_text((info['code'] or {}).get('hash', 'unknown'))}</code>",
                '<span class="stale">stale</span>' if stale else "matches today's code",
            ]
        )
    head = ["chapter", "profile", "time", "date", "records", "machine", "code", "state"]
    versions = sorted({f"{k} {v}" for run in runs if not run.kept for k, v in run.info["versions"].items()})
    return "\n".join(
        [
            "# Status of the runs",
            "",
            "What stands behind the pages: when each chapter ran, how long it took and on what. The code hash covers "
            "the chapter's own cells and every module it imports; comments do not change it. A run that no longer "
            "matches today's code is marked stale.",
            "",
            _table(head, body),
            "",
            f"Packages of the chapters' own runs: {as_text(', '.join(versions) or 'none')}.",
            "",
        ]
    )


def run_note(project: Project, run: StoredRun) -> str:
    """Return the block under a chapter's title: which run it shows, with the run card to open."""
    changes = run.changes(project)
    stale = f' <span class="stale" title="{as_text("; ".join(changes))}">stale</span>' if changes else ""
    title = f"Measured with profile {run.profile} on {day(run.info['started'])}, in {duration(run.info['wall_s'])}"
    note = f"<p>The records are older than today's code:{stale} {as_text('; '.join(changes))}</p>" if changes else ""
    return Card(run.info).as_html(title, note)


def kept_section(project: Project, run: StoredRun) -> str:
    """Return the section of a chapter's page that shows its kept records of a longer profile, in MyST."""
    changes = run.changes(project, pictures=False)
    lines = [f"## Kept records: profile {as_text(run.profile)}", ""]
    if changes:
        lines += [
            f'<p><span class="stale">stale</span> These records no longer match today\'s code '
            f"({as_text('; '.join(changes[:3]))}{', ...' if len(changes) > 3 else ''}).</p>",
            "",
        ]
    lines += ["Means over seeds with their 95 % intervals, an experiment at a time.", ""]
    for name, table in _experiments(run.records):
        count = plural(len(table[["dims", "protocol"]].drop_duplicates()), "row")
        title = as_text(f"{name}: {count}")
        lines += [f'<details class="run-card"><summary>{title}</summary>{_records_table(table)}</details>', ""]
    lines += [Card(run.info).as_html(f"Run card of profile {run.profile}"), ""]
    return "\n".join(lines)


def _claims_table(rows: Iterable[Row], holes: Iterable[Item]) -> str:
    body = []
    for row in rows:
        claim = row.claim
        printed = "" if claim.printed is None else f"{claim.printed} {claim.unit}".strip()
        if claim.gain is not None:
            printed = f"gain {claim.gain:+.3g}"
        verdict = _verdict(row.name) + (' <span class="stale">stale</span>' if row.stale else "")
        notes = [row.why] + ([claim.note] if claim.note and row.name != "differs" else [])
        reason = "<br>".join(f"<small>{as_text(note)}</small>" for note in notes if note)
        how = f"{claim.kind}, {claim.basis}" + (", our own question" if claim.whose == "ours" else "")
        if claim.rule:
            how += f"; {claim.rule.chapter}, {claim.rule.profile}"
        cells = [
            as_text(claim.item),
            f"{as_text(claim.what)}<br><small>{as_text(how)}</small>",
            as_text(printed),
            _measured(row),
            f"{verdict}<br>{reason}",
        ]
        body.append((f"claim-{claim.id}", cells))
    for item in holes:
        verdict = '<span class="verdict verdict-not-run">no claim yet</span>'
        status = f"<br><small>{as_text(item.status)}</small>" if item.status else ""
        body.append((f"item-{item.id}", [as_text(item.item), as_text(item.title) + status, "", "", verdict]))
    head = ["item", "claim", "printed", "measured", "verdict"]
    return _table(head, [cells for _, cells in body], [name for name, _ in body])


def _measured(row: Row) -> str:
    if row.measured is None:
        return ""
    if row.interval is not None:
        return f"{row.interval.mean:+.3g} ({row.interval.low:+.3g} to {row.interval.high:+.3g})"
    return as_text(f"{row.measured:.6g} {row.claim.unit}".strip())


def _records_table(table: pd.DataFrame) -> str:
    """Return a table with a row for each combination of dimensions and a column for each key."""
    groups = table.fillna({"protocol": ""}).groupby(["dims", "protocol", "key"], sort=False)["value"]
    cells = groups.agg(_mean_text).unstack(fill_value="", sort=False)[list(dict.fromkeys(table["key"]))]
    units = dict(zip(table["key"], table["unit"]))
    head = ["conditions", "protocol", *(f"{key} [{units[key]}]" for key in cells)]
    rows = zip(cells.index, cells.to_numpy())
    return _table(head, [[*map(as_text, (_dims_text(dims), name, *row))] for (dims, name), row in rows])


def _mean_text(values: pd.Series) -> str:
    interval = student_interval(values.tolist())
    if interval.count == 1:
        return f"{interval.mean:.4g}"
    return f"{interval.mean:.4g} ± {interval.half:.2g} ({interval.count})"


def _experiments(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the records of each experiment, in order of appearance; those that name none come last."""
    names = table["dims"].map(lambda dims: str(json.loads(dims).get("experiment", "")))
    order = sorted(dict.fromkeys(names), key=lambda name: not name)
    return [(name or "others", table[names == name]) for name in order]


def _dims_text(dims: str) -> str:
    values: Mapping[str, Any] = json.loads(dims)
    return ", ".join(f"{key} {value}" for key, value in values.items()) or "all"


def _table(head: Sequence[str], body: Iterable[Sequence[str]], anchors: Sequence[str] = ()) -> str:
    """Return an HTML table in a scrolling box, on one line; cells are HTML already."""
    top = "".join(f'<th scope="col">{as_text(name)}</th>' for name in head)
    rows = []
    for number, cells in enumerate(body):
        anchor = f' id="{as_text(anchors[number])}"' if anchors else ""
        rows.append(f"<tr{anchor}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    # The box can be reached by keyboard, or it could not be scrolled without a mouse.
    return (
        '<div class="rl-scroll" tabindex="0" role="region" aria-label="table" style="overflow-x: auto">'
        f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _verdict(name: str) -> str:
    return f'<span class="verdict verdict-{name.replace(" ", "-")}">{name}</span>'


def _order(chapter: str) -> tuple[int, str]:
    number = re.match(r"[0-9]{1,4}(?![^. ])", chapter)
    return (int(number[0]), chapter) if number else (10_000, chapter)
