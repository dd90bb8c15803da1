"""What a work's text says about its own tables, worked out from the entries that the tables print.

A statement such as "improves rank-1 by 2.7 %" needs no experiment to be checked: the two entries are printed. The
claims name them: ``ch2-2.1-nvan-mars-rank1`` is the entry ``nvan``, column ``mars-rank1``, of Table 2.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reidlab.errors import ClaimError
from reidlab.lab import claims
from reidlab.lab.project import Project

_RATIO = re.compile(r"(?P<one>.+)-(?P<how>saves-of|adds-to|share-of)-(?P<other>.+)")
_DIFFERENCE = re.compile(r"(?P<one>.+)-over-(?P<other>.+)-(?P<column>[a-z]+-\w+)")
_MEAN = re.compile(r"(?P<one>[a-z]+)-over-(?P<other>[a-z]+)-(?P<column>[a-z]+-\w+)")


def printed_differences(chapter: str, project: Project | Path | None = None) -> list[dict[str, Any]]:
    """Return records, one per statement of a chapter that its printed tables decide.

    Quantities read ``A-over-B-<column>`` (score A minus score B), ``A-saves-of-B`` (1 - A / B of the operations),
    ``A-adds-to-B`` (A / B - 1) and ``A-share-of-B`` (A / B). Where A and B are endings of entries, as in
    ``cleaned-over-given-mars-mAP``, it is the mean over all entries that have both.

    Args:
        chapter: id of the chapter whose claims ask.
        project: the checkout; found from here if not given.

    Returns:
        Mappings for :meth:`~reidlab.lab.run.Run.record`: ``key, value`` (a fraction), ``item``, ``quantity``.

    Raises:
        ClaimError: a statement names an entry that is not printed, or no entry.
    """
    place = project if isinstance(project, Project) else Project.find(project)
    book = claims.read(place)
    printed = {claim.id: float(claim.printed) for claim in book.claims if claim.printed is not None}
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for claim in book.claims:
        if claim.rule is None or claim.basis != "consistent" or claim.rule.chapter != chapter:
            continue
        item, quantity = (claim.rule.where.get(name) for name in ("item", "quantity"))
        if not isinstance(item, str) or not isinstance(quantity, str):
            raise ClaimError(f"{claim.file}: claim {claim.id!r}: rule: where: expected the texts item and quantity")
        table = f"{claim.id.partition('-')[0]}-{item.removeprefix('Table ')}"
        value = worked_out(printed, table, quantity)
        row = {"key": claims.CONSISTENT_KEY, "value": value, "item": item, "quantity": quantity}
        rows.setdefault((item, quantity), row)
    return list(rows.values())


def worked_out(printed: Mapping[str, float], table: str, quantity: str) -> float:
    """Return what a table's entries make of a quantity, as a fraction (scores are printed in per cent).

    Args:
        printed: numbers by the ids of their claims.
        table: beginning of the ids of its entries, such as ``ch2-2.1``.
        quantity: see :func:`printed_differences`.

    Raises:
        ClaimError: an entry is not printed, is 0 where it divides, or the quantity cannot be read.
    """

    def entry(name: str, column: str) -> float:
        identity = f"{table}-{name}-{column}"
        if identity not in printed:
            raise ClaimError(f"quantity {quantity!r}: no claim {identity!r} prints a number")
        return printed[identity]

    if match := _RATIO.fullmatch(quantity):
        if not (whole := entry(match["other"], "macs")):
            raise ClaimError(f"quantity {quantity!r}: {match['other']!r} prints 0, of which nothing is a share")
        ratio = entry(match["one"], "macs") / whole
        return {"saves-of": 1 - ratio, "adds-to": ratio - 1, "share-of": ratio}[match["how"]]
    if match := _MEAN.fullmatch(quantity):
        one, other, column = match["one"], match["other"], match["column"]
        pattern = re.compile(re.escape(table) + r"-(?P<name>.+)-" + re.escape(one) + "-" + re.escape(column))
        both = [found["name"] for identity in printed if (found := pattern.fullmatch(identity))]
        both = [name for name in both if f"{table}-{name}-{other}-{column}" in printed]
        if both:
            gains = [entry(f"{name}-{one}", column) - entry(f"{name}-{other}", column) for name in both]
            return sum(gains) / len(gains) / 100
    if match := _DIFFERENCE.fullmatch(quantity):
        return (entry(match["one"], match["column"]) - entry(match["other"], match["column"])) / 100
    raise ClaimError(f"quantity {quantity!r}: expected A-over-B-<column>, A-saves-of-B, A-adds-to-B or A-share-of-B")
