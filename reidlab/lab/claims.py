"""What the two works say: the files in ``book/claims/``, read and checked.

``inventory.yml`` lists every numbered table and data figure::

    - id: diss-table-2.1
      source: dissertation            # or: survey
      item: Table 2.1
      title: Comparison with the state of the art on MARS and DukeMTMC-VideoReID
      chapter: 2                      # where in the work
      status: planned                 # free text

Every other ``*.yml`` lists claims::

    - id: diss-2.1-nvan-map
      source: dissertation
      item: Table 2.1                 # an item of the inventory
      what: NVAN, mAP on MARS
      kind: accuracy                  # exact | trend | accuracy
      printed: 82.79                  # number, text that keeps a final zero ("82.80"), or null
      unit: percent                   # of `printed`; percent is converted to the records' fractions
      needs: MARS                     # the real data set without which nothing counts; a trend may have one
      note: ...                       # optional, shown beside the verdict
      rule:                           # null while no chapter measures it
        chapter: 02_video
        key: mAP
        where: {method: nvan}         # dimensions, seed or other columns of the records
        protocol: mars
        tolerance: 1.0                # in the printed unit

The rule of an *exact* claim has ``digits`` (how many decimals must agree; those of ``printed`` if not given) or a
``tolerance``; a printed whole number that is neither a percentage nor in thousands, millions or billions must agree
exactly. The rule of a *trend* has two sides in place of ``where``, each a filter or a number::

      rule: {chapter: 1, key: rank1, larger: {loss: triplet}, smaller: {loss: softmax}, paired_by: seed, min_seeds: 5}

``profile`` names whose records are asked: quick for exact claims, standard for trends and paper for
accuracies, if not given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reidlab.checks import suggest
from reidlab.errors import ClaimError, ConfigError
from reidlab.lab.notebook import code_of, parse, read_cells
from reidlab.lab.profiles import read_yaml
from reidlab.lab.project import Project

SOURCES = ("dissertation", "survey")
KINDS = {"exact": "quick", "trend": "standard", "accuracy": "paper"}
MIN_SEEDS = 5
INVENTORY = "inventory.yml"

_CLAIM_FIELDS = {"id", "source", "item", "what", "kind", "printed", "unit", "needs", "note", "rule"}
_ITEM_FIELDS = {"id", "source", "item", "title", "chapter", "status"}
_RULE_FIELDS = {
    "exact": {"chapter", "profile", "key", "where", "protocol", "digits", "tolerance"},
    "trend": {
        *("chapter", "profile", "key", "where", "protocol"),
        *("larger", "smaller", "paired_by", "min_seeds", "margin"),
    },
    "accuracy": {"chapter", "profile", "key", "where", "protocol", "tolerance"},
}
# Printed unit: the unit of the records, and what a record is multiplied by to be in the printed unit.
_CONVERSIONS = {"percent": ("fraction", 100.0), "%": ("fraction", 100.0), "points": ("fraction", 100.0)}
_PREFIXES = {"thousand": 1e-3, "million": 1e-6, "billion": 1e-9}


@dataclass(frozen=True)
class Item:
    """A numbered table or figure of one of the works."""

    id: str
    source: str
    item: str
    title: str
    chapter: str = ""
    status: str = ""


@dataclass(frozen=True)
class Rule:
    """How records become a verdict; see the module's description for the fields."""

    chapter: str
    profile: str
    key: str
    where: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 0.0
    larger: Mapping[str, Any] | float | None = None
    smaller: Mapping[str, Any] | float | None = None
    min_seeds: int = MIN_SEEDS
    margin: float = 0.0

    def filters(self) -> list[Mapping[str, Any]]:
        """Return the filters this rule puts to the records."""
        if self.larger is None and self.smaller is None:
            return [self.where]
        return [{**self.where, **side} for side in (self.larger, self.smaller) if isinstance(side, Mapping)]


@dataclass(frozen=True)
class Claim:
    """One thing that one of the works says.

    Attributes:
        id: unique name, which is also its anchor on the ledger's page.
        source: ``dissertation`` or ``survey``.
        item: the table or figure.
        what: what it says, in words.
        kind: ``exact``, ``trend`` or ``accuracy``.
        printed: the number as printed, or None.
        unit: its unit.
        needs: the real data set it needs, or an empty text.
        note: a remark for the reader.
        rule: how it is judged; None while no chapter measures it.
        file: where it is written.
    """

    id: str
    source: str
    item: str
    what: str
    kind: str
    printed: str | None
    unit: str
    needs: str
    note: str
    rule: Rule | None
    file: Path

    def in_printed_unit(self, value: float, unit: str) -> float:
        """Convert a recorded value to the printed unit.

        Raises:
            ClaimError: the two units do not fit.
        """
        if self.unit == unit or not self.unit:
            return value
        wanted, factor = _CONVERSIONS.get(self.unit, (None, 1.0))
        if wanted is None:
            prefix, _, rest = self.unit.partition(" ")
            if prefix in _PREFIXES:
                wanted, factor = rest or "count", _PREFIXES[prefix]
        if wanted != unit:
            raise ClaimError(
                f"{self.file}: claim {self.id!r}: printed in {self.unit!r}, recorded in {unit!r}; expected the "
                f"same unit, or percent for fraction, or 'million {unit}' and the like"
            )
        return value * factor


@dataclass(frozen=True)
class Book:
    """All claims and items of a project, and what is wrong with their files."""

    items: tuple[Item, ...]
    claims: tuple[Claim, ...]
    problems: tuple[str, ...]


def read(project: Project) -> Book:
    """Read all claim files; what is malformed is left out and named among the problems."""
    folder = project.book / "claims"
    problems: list[str] = []
    items: list[Item] = []
    claims: list[Claim] = []
    for path in sorted(folder.glob("*.yml")):
        inventory = path.name == INVENTORY
        try:
            rows = read_yaml(path)
            rows = [] if rows is None else rows
            if not isinstance(rows, list):
                raise ClaimError(f"{path}: expected a list of rows, found {type(rows).__name__}")
        except (ClaimError, ConfigError) as error:
            problems.append(str(error))
            continue
        for number, row in enumerate(rows, start=1):
            try:
                if inventory:
                    items.append(_item(row, f"{path}: row {number}"))
                else:
                    claims.append(_claim(row, path, number, project))
            except ClaimError as error:
                problems.append(str(error))
    problems += _repeated((f"{folder / INVENTORY}: item", item.id) for item in items)
    problems += _repeated((f"{folder / INVENTORY}:", f"{item.source} {item.item}") for item in items)
    problems += _repeated((f"{claim.file}: claim", claim.id) for claim in claims)
    known = {(item.source, item.item) for item in items}
    for claim in claims:
        if (claim.source, claim.item) not in known:
            names = [item.item for item in items if item.source == claim.source]
            problems.append(
                f"{claim.file}: claim {claim.id!r}: the inventory has no {claim.source} item {claim.item!r}"
                f"{suggest(claim.item, names)}"
            )
    return Book(tuple(items), tuple(claims), tuple(problems))


def names_in_code(project: Project, chapter: str) -> set[str]:
    """Return the texts that a chapter's code cells contain, among them the keys it records by name."""
    import ast

    found = set()
    for source in code_of(read_cells(project.notebook(chapter))):
        for node in ast.walk(parse(source, chapter)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def printed_decimals(printed: str) -> int:
    """Return how many decimals a number is printed with.

    Example:
        >>> printed_decimals("82.80"), printed_decimals("664704")
        (2, 0)
    """
    return len(printed.partition(".")[2])


def _item(row: Any, where: str) -> Item:
    _check_fields(row, _ITEM_FIELDS, ("id", "source", "item", "title"), where)
    _check_choice(row, "source", SOURCES, where)
    return Item(**{key: "" if value is None else str(value) for key, value in row.items()})


def _claim(row: Any, path: Path, number: int, project: Project) -> Claim:
    name = row.get("id") if isinstance(row, dict) else None
    where = f"{path}: claim {name!r}" if name else f"{path}: row {number}"
    _check_fields(row, _CLAIM_FIELDS, ("id", "source", "item", "what", "kind"), where)
    _check_choice(row, "source", SOURCES, where)
    _check_choice(row, "kind", tuple(KINDS), where)
    kind, needs = row["kind"], row.get("needs") or ""
    printed = row.get("printed")
    if printed is not None:
        printed = str(printed).replace(",", "")
        if kind != "trend" and not _is_number(printed):
            raise ClaimError(f"{where}: printed: expected a number, found {row['printed']!r}")
    if kind == "accuracy" and not needs:
        raise ClaimError(f"{where}: needs: an accuracy names the data set it was measured on")
    if kind == "exact" and needs:
        raise ClaimError(f"{where}: needs: an exact claim needs no data set; is this one an accuracy?")
    rule = row.get("rule")
    if rule is not None:
        rule = _rule(rule, kind, printed, str(row.get("unit") or ""), f"{where}: rule", project)
    return Claim(
        id=str(row["id"]),
        source=row["source"],
        item=str(row["item"]),
        what=str(row["what"]),
        kind=kind,
        printed=printed,
        unit=str(row.get("unit") or ""),
        needs=str(needs),
        note=str(row.get("note") or ""),
        rule=rule,
        file=path,
    )


def _rule(row: Any, kind: str, printed: str | None, unit: str, where: str, project: Project) -> Rule:
    _check_fields(row, _RULE_FIELDS[kind], ("chapter", "key"), where)
    try:
        chapter = project.chapter(str(row["chapter"]))
    except ConfigError as error:
        raise ClaimError(f"{where}: {error}") from error
    profile = row.get("profile", KINDS[kind])
    allowed = {"exact": ("quick", "standard", "paper"), "trend": ("standard", "paper"), "accuracy": ("paper",)}
    if profile not in allowed[kind]:
        raise ClaimError(
            f"{where}: profile: records of {profile!r} carry no verdict of kind {kind}; "
            f"expected {' or '.join(allowed[kind])}"
        )
    common = dict(_filter(row.get("where") or {}, f"{where}: where"))
    if row.get("protocol") is not None:
        common["protocol"] = str(row["protocol"])
    settings: dict[str, Any] = {}
    if kind == "trend":
        for side in ("larger", "smaller"):
            if side not in row:
                raise ClaimError(f"{where}: a trend needs 'larger' and 'smaller'; {side!r} is missing")
            value = row[side]
            plain = isinstance(value, int | float) and not isinstance(value, bool)
            settings[side] = float(value) if plain else _filter(value, f"{where}: {side}")
        if not isinstance(settings["larger"], dict) and not isinstance(settings["smaller"], dict):
            raise ClaimError(f"{where}: larger and smaller are both numbers; nothing is measured")
        if row.get("paired_by", "seed") != "seed":
            raise ClaimError(f"{where}: paired_by: trends are paired by seed, found {row['paired_by']!r}")
        settings["min_seeds"] = row.get("min_seeds", MIN_SEEDS)
        if not isinstance(settings["min_seeds"], int) or settings["min_seeds"] < MIN_SEEDS:
            raise ClaimError(
                f"{where}: min_seeds: expected {MIN_SEEDS} or more, found {settings['min_seeds']!r}; "
                "fewer carry no verdict"
            )
        settings["margin"] = _number(row.get("margin", 0.0), f"{where}: margin")
    else:
        if printed is None:
            raise ClaimError(f"{where}: there is no printed number to compare with")
        if "tolerance" in row and "digits" in row:
            raise ClaimError(f"{where}: give digits or tolerance, not both")
        if kind == "accuracy" and "tolerance" not in row:
            raise ClaimError(f"{where}: tolerance: an accuracy says how close is close enough")
        digits = row.get("digits", printed_decimals(printed))
        if not isinstance(digits, int) or isinstance(digits, bool):
            raise ClaimError(f"{where}: digits: expected a whole number, found {digits!r}")
        # Half a unit in the last place that must agree; a whole number that was not rounded, exactly.
        rounded = digits > 0 or "digits" in row or unit in _CONVERSIONS or unit.partition(" ")[0] in _PREFIXES
        half = 0.5 * 10.0**-digits if rounded else 0.0
        settings["tolerance"] = _number(row.get("tolerance", half), f"{where}: tolerance")
    return Rule(chapter=chapter, profile=profile, key=str(row["key"]), where=common, **settings)


def _filter(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ClaimError(f"{where}: expected a filter such as {{loss: triplet}}, found {value!r}")
    return value


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ClaimError(f"{where}: expected a number that is not negative, found {value!r}")
    return float(value)


def _check_fields(row: Any, known: set[str], required: tuple[str, ...], where: str) -> None:
    if not isinstance(row, dict):
        raise ClaimError(f"{where}: expected fields and values, found {row!r}")
    for key in row:
        if key not in known:
            raise ClaimError(f"{where}: unknown field {key!r}{suggest(str(key), sorted(known))}")
    for key in required:
        if row.get(key) in (None, ""):
            raise ClaimError(f"{where}: field {key!r} is missing")


def _check_choice(row: Mapping[str, Any], key: str, allowed: tuple[str, ...], where: str) -> None:
    if row[key] not in allowed:
        raise ClaimError(f"{where}: {key}: expected {' or '.join(allowed)}, found {row[key]!r}")


def _repeated(entries: Any) -> list[str]:
    seen: set[str] = set()
    found = []
    for where, name in entries:
        if name in seen:
            found.append(f"{where} {name!r} stands twice")
        seen.add(name)
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
