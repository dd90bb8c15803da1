"""What the two works say: the files in ``book/claims/``, read and checked.

``inventory.yml`` lists every numbered table and data figure::

    - id: diss-table-2.1
      source: dissertation            # or: survey
      item: Table 2.1
      title: Comparison with the state of the art on MARS and DukeMTMC-VideoReID
      chapter: 2                      # where in the work
      status: planned                 # free text

Every other ``*.yml`` lists claims. One claim alone::

    - id: diss-2.1-nvan-map
      source: dissertation
      item: Table 2.1                 # an item of the inventory
      what: NVAN, mAP on MARS
      kind: accuracy                  # exact | trend | accuracy
      basis: measured                 # see below
      whose: work                     # the work's claim; or: ours, our own question, of which the work says nothing
      printed: 82.79                  # number, text that keeps a final zero ("82.80"), or null
      unit: percent                   # of `printed`; percent is converted to the records' fractions
      needs: MARS                     # the real data set without which nothing counts; a trend may have one
      note: ...                       # optional, shown beside the verdict
      gain: "ID - ID"                 # of a trend: the printed gain, from the claims that print its two numbers
      rule:                           # null while no chapter measures it
        chapter: 02_video
        key: mAP
        where: {method: nvan}         # dimensions, seed or other columns of the records
        protocol: mars
        tolerance: 1.0                # in the printed unit
        because: seeds differ         # why this tolerance

**Blocks** (:mod:`reidlab.lab.claim_files`). A table is said as a table: what all its claims share, its columns and its
rows. What a row or a column adds is a field of the claim, a field of its rule, or a word of its own, which fills the
``{word}`` of a text; ``{row}`` and ``{column}`` are their names. ``printed`` holds a row's values, ``-`` where a cell
is empty; a trend has none. ``cells`` has what one cell of a row adds::

    - defaults: {source: dissertation, chapter: 02_video}     # of all claims that follow in the file
    - item: Table 2.1
      kind: accuracy
      unit: percent
      id: diss-2.1-{row}-{column}
      what: "{name}: {column} on MARS"
      rule: {key: "{column}", where: {method: "{row}"}, tolerance: 1.0, because: seeds differ}
      columns: {rank1: {needs: MARS}, mAP: {needs: MARS}}
      rows:
        nvan: {name: NVAN,  printed: 90.0 82.8, cells: {mAP: {note: in bold}}}
        sta:  {name: STA,   printed: 86.2 -,    rule: null, note: quoted}

Without ``columns`` each row is one claim. Later beats earlier: defaults, block, column, row, cell; mappings are merged.

**Basis**: what a verdict rests on. *measured*: an experiment, of an accuracy on its named data set, of a trend on the
embedded world (or on the data set that it needs); a score and a trend never share a verdict. *recounted*: operations,
parameters, cycles as this package's code counts them. *consistent*: arithmetic on the work's own entries (key
``printed_difference``). *fact*: counts of data sets, settings. If not given, it is measured for accuracies and trends,
else recounted.

**Rules.** An *exact* claim must agree within half a unit of its last printed digit; a printed whole number that is
neither a percentage nor in thousands, millions or billions must agree exactly. ``digits`` says how many decimals count,
``tolerance`` how far off is allowed, which an accuracy always says; both say why (``because``). Where the work prints
no number of its own for what it says, ``printed`` is null and the rule's ``implied`` is what the words mean. The rule
of a *trend* has two sides in place of ``where``, each a filter or a number::

      rule: {chapter: 1, key: rank1, larger: {loss: triplet}, smaller: {loss: softmax}, paired_by: seed, min_seeds: 5}

Where a run may have nothing to compare, since it came upon nothing or its profile leaves a part out, ``if_any`` says
what it would need ("a world in which ..."). A row without records then says so, and is no error in the claim.

Its ``gain`` is by how much the larger side is ahead in print: names of claims with `` - `` or `` + `` between them. Of
several data sets it is that whose protocol the rule uses.

``profile`` names whose records are used: quick for exact claims, standard for trends and paper for
accuracies, if not given.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reidlab import files
from reidlab.checks import check_name, suggest
from reidlab.errors import ClaimError, ConfigError, ReidlabError
from reidlab.lab import claim_files
from reidlab.lab.claim_files import CLAIM_FIELDS, RULE_FIELDS, shown
from reidlab.lab.project import Project
from reidlab.reading import check_file

SOURCES = ("dissertation", "survey")
# The profiles whose records can judge a kind of claim, the one that is used if a rule names none first.
KINDS = {"exact": ("quick", "standard", "paper"), "trend": ("standard", "paper"), "accuracy": ("paper",)}
BASES = ("measured", "recounted", "consistent", "fact")
WHOSE = ("work", "ours")
MIN_SEEDS = 5
CONSISTENT_KEY = "printed_difference"
INVENTORY = "inventory.yml"

_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_LONGEST = 1000  # characters of a text
_ITEM_FIELDS = {"id", "source", "item", "title", "chapter", "status"}
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
    because: str = ""
    expected: float = 0.0
    larger: Mapping[str, Any] | float | None = None
    smaller: Mapping[str, Any] | float | None = None
    min_seeds: int = MIN_SEEDS
    margin: float = 0.0
    if_any: str = ""

    def filters(self) -> list[Mapping[str, Any]]:
        """Return the filters that select this rule's records."""
        if self.larger is None and self.smaller is None:
            return [self.where]
        return [{**self.where, **side} for side in (self.larger, self.smaller) if isinstance(side, Mapping)]

    def agrees(self, measured: float) -> bool:
        """Return whether a number, in the printed unit, is as close to what is expected as the rule asks."""
        # The last printed digit is rounded, and so is the sum of a float's own digits.
        return abs(measured - self.expected) <= self.tolerance + 1e-9 * max(1.0, abs(self.expected))


@dataclass(frozen=True)
class Claim:
    """One thing that one of the works says.

    Attributes:
        id: unique name, which is also its anchor on the ledger's page.
        source: ``dissertation`` or ``survey``.
        item: the table or figure.
        what: what it says, in words.
        kind: ``exact``, ``trend`` or ``accuracy``.
        basis: what a verdict rests on, one of :data:`BASES`.
        whose: ``work``, or ``ours`` for a question that the work does not ask.
        printed: the number as printed, so that it keeps a final zero, or None.
        unit: its unit.
        needs: the real data set it needs, or an empty text.
        note: a remark for the reader.
        rule: how it is judged; None while no chapter measures it.
        file: where it is written.
        gain: the printed gain of a trend in the records' unit; None where the work does not print both numbers.
    """

    id: str
    source: str
    item: str
    what: str
    kind: str
    basis: str
    whose: str
    printed: str | None
    unit: str
    needs: str
    note: str
    rule: Rule | None
    file: Path
    gain: float | None = None

    def in_printed_unit(self, value: float, unit: str) -> float:
        """Convert a recorded value to the printed unit.

        Raises:
            ClaimError: the two units do not fit.
        """
        wanted, factor = _recorded(self.unit)
        if unit in (self.unit, wanted) or not self.unit:
            return value if unit == self.unit else value * factor
        found = f"{self.file}: claim {self.id!r}: printed in {self.unit!r}, recorded in {unit!r}"
        raise ClaimError(f"{found}; expected the same unit, or percent for fraction, or 'million {unit}' and the like")


@dataclass(frozen=True)
class Book:
    """All claims and items of a project, and what is wrong with their files."""

    items: tuple[Item, ...]
    claims: tuple[Claim, ...]
    problems: tuple[str, ...]


def read(project: Project) -> Book:
    """Read all claim files; what is malformed is left out and listed among the problems.

    A process reads and expands a file once for as long as it stays the same.
    """
    paths = sorted((project.book / "claims").glob("*.yml"))
    return _read(project, tuple(project.chapters()), tuple((path, _state_of(path)) for path in paths))


def _state_of(path: Path) -> str:
    """Return what changes with a file's contents; what cannot be read is refused by its reader."""
    try:
        check_file(path)
        return files.digest(path)
    except (ReidlabError, OSError):
        return ""


@functools.lru_cache(maxsize=4)
def _read(project: Project, chapters: tuple[str, ...], state: tuple[tuple[Path, str], ...]) -> Book:
    """Read the files of ``state``, which with the chapters' ids decides what comes out."""
    problems: list[str] = []
    items: list[Item] = []
    claims: list[Claim] = []
    gains: dict[str, str] = {}
    for path, _ in state:
        for row, where in claim_files.rows_of(path, problems, blocks=path.name != INVENTORY):
            with claim_files.noted(problems):
                if path.name == INVENTORY:
                    items.append(_item(row, where))
                else:
                    claim = _claim(row, path, where, project)
                    gains[claim.id] = _texts(row, ("gain",), where)["gain"]
                    claims.append(claim)
    problems += _repeated((f"{INVENTORY}: item", item.id) for item in items)
    problems += _repeated((f"{INVENTORY}:", f"{item.source} {item.item}") for item in items)
    problems += _repeated((f"{claim.file}: claim", claim.id) for claim in claims)
    known = {(item.source, item.item) for item in items}
    printed = {claim.id: claim for claim in claims if claim.printed is not None}
    for number, claim in enumerate(claims):
        where = f"{claim.file}: claim {claim.id!r}"
        if (claim.source, claim.item) not in known:
            near = suggest(claim.item, [item.item for item in items if item.source == claim.source])
            problems.append(f"{where}: the inventory has no {claim.source} item {claim.item!r}{near}")
        if gains[claim.id]:
            with claim_files.noted(problems):
                claims[number] = replace(claim, gain=_gain(gains[claim.id], printed, f"{where}: gain"))
    return Book(tuple(items), tuple(claims), tuple(problems))


def printed_decimals(printed: str) -> int:
    """Return how many decimals a number is printed with.

    Example:
        >>> printed_decimals("82.80"), printed_decimals("664704")
        (2, 0)
    """
    return len(printed.partition(".")[2])


def _recorded(unit: str) -> tuple[str, float]:
    """Return the unit of the records for a printed unit, and what a record is multiplied by."""
    prefix, _, rest = unit.partition(" ")
    plain = (rest or "count", _PREFIXES[prefix]) if prefix in _PREFIXES else (unit, 1.0)
    return _CONVERSIONS.get(unit, plain)


def _item(row: Any, where: str) -> Item:
    _check_fields(row, _ITEM_FIELDS, ("id", "source", "item", "title"), where)
    _check_choice(row, "source", SOURCES, where)
    return Item(**_texts(row, _ITEM_FIELDS & set(row), where))


def _claim(row: Any, path: Path, where: str, project: Project) -> Claim:
    _check_fields(row, CLAIM_FIELDS, ("id", "source", "item", "what", "kind"), where)
    _check_choice(row, "source", SOURCES, where)
    _check_choice(row, "kind", tuple(KINDS), where)
    kind, needs, printed, rule = (row.get(name) for name in ("kind", "needs", "printed", "rule"))
    row = {"basis": "recounted" if kind == "exact" else "measured", "whose": "work", **row}
    _check_choice(row, "basis", BASES[1:] if kind == "exact" else BASES[:1], where)
    _check_choice(row, "whose", WHOSE, where)
    _check(kind == "trend" or not row.get("gain"), f"{where}: gain: a trend has one, not a claim of kind {kind}")
    if printed is not None:
        printed = str(printed).replace(",", "")
        _check(_NUMBER.fullmatch(printed), f"{where}: printed: expected a number, found {shown(row['printed'])}")
    _check(kind != "accuracy" or needs, f"{where}: needs: an accuracy names the data set it was measured on")
    _check(kind != "exact" or not needs, f"{where}: needs: an exact claim needs no data set; is this one an accuracy?")
    texts = _texts(row, CLAIM_FIELDS - {"printed", "rule", "gain"}, where)
    if rule is not None:
        rule = _rule(rule, kind, printed, texts["unit"], f"{where}: rule", project)
        found = f"found {rule.key!r} and {row['basis']!r}"
        together = (rule.key == CONSISTENT_KEY) == (row["basis"] == "consistent")
        _check(together, f"{where}: basis: key {CONSISTENT_KEY!r} and basis 'consistent' go together, {found}")
    return Claim(**texts, printed=printed, rule=rule, file=path)


def _rule(row: Any, kind: str, printed: str | None, unit: str, where: str, project: Project) -> Rule:
    _check_fields(row, RULE_FIELDS[kind], ("chapter", "key"), where)
    texts = _texts(row, {"chapter", "key", "protocol"}, where)
    try:
        chapter = project.chapter(texts["chapter"])
    except ConfigError as error:
        raise ClaimError(f"{where}: {error}") from error
    profile, fitting = row.get("profile", KINDS[kind][0]), KINDS[kind]
    expected = f"carry no verdict of kind {kind}; expected {' or '.join(fitting)}"
    _check(profile in fitting, f"{where}: profile: records of {shown(profile)} {expected}")
    common = {} if row.get("where") is None else dict(_filter(row["where"], f"{where}: where"))
    if texts["protocol"]:
        common["protocol"] = texts["protocol"]
    settings = _trend(row, where) if kind == "trend" else _number_to_meet(row, kind, printed, unit, where)
    return Rule(chapter=chapter, profile=profile, key=texts["key"], where=common, **settings)


def _texts(row: Mapping[str, Any], names: Iterable[str], where: str) -> dict[str, str]:
    """Return fields as text; a number is as good, and what is missing is empty."""
    texts = {}
    for name in names:
        value = "" if row.get(name) is None else row[name]
        good = isinstance(value, str | int | float) and not isinstance(value, bool)
        if not good:
            raise ClaimError(f"{where}: {name}: expected text, found {shown(value)}")
        texts[name] = str(value)
        _check(len(texts[name]) <= _LONGEST, f"{where}: {name}: has more than {_LONGEST} characters")
    if texts.get("id"):
        check_name(f"{where}: id", texts["id"], ClaimError)
    return texts


def _trend(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return what the rule of a trend has beside the fields of all rules."""
    settings: dict[str, Any] = {}
    for side in ("larger", "smaller"):
        _check(side in row, f"{where}: a trend needs 'larger' and 'smaller'; {side!r} is missing")
        plain = isinstance(row[side], int | float) and not isinstance(row[side], bool)
        settings[side] = (_finite if plain else _filter)(row[side], f"{where}: {side}")
    numbers = all(isinstance(side, float) for side in settings.values())
    _check(not numbers, f"{where}: larger and smaller are both numbers; nothing is measured")
    pairs, seeds = row.get("paired_by", "seed"), row.get("min_seeds", MIN_SEEDS)
    _check(pairs == "seed", f"{where}: paired_by: trends are paired by seed, found {shown(pairs)}")
    good = isinstance(seeds, int) and seeds >= MIN_SEEDS
    _check(good, f"{where}: min_seeds: expected {MIN_SEEDS} or more, found {shown(seeds)}; fewer carry no verdict")
    margin = _number(row.get("margin", 0.0), f"{where}: margin")
    return {**settings, "min_seeds": seeds, "margin": margin, **_texts(row, ("if_any",), where)}


def _number_to_meet(row: Mapping[str, Any], kind: str, printed: str | None, unit: str, where: str) -> dict[str, Any]:
    """Return what the rule of a number has beside the fields of all rules: what is expected, and how closely."""
    implied = row.get("implied")
    number = f"{where}: there is no printed number to compare with; give printed or implied, and not both"
    _check((printed is None) != (implied is None), number)
    expected = str(implied) if printed is None else printed
    _check(_NUMBER.fullmatch(expected), f"{where}: implied: expected a number, found {shown(implied)}")
    _check(not {"tolerance", "digits"} <= set(row), f"{where}: give digits or tolerance, not both")
    close = kind != "accuracy" or "tolerance" in row
    _check(close, f"{where}: tolerance: an accuracy says how close is close enough")
    reasoned = bool({"tolerance", "digits"} & set(row)) == bool(row.get("because"))
    _check(reasoned, f"{where}: because: a tolerance or digits, and nothing else, say why they are not the usual")
    digits = row.get("digits", printed_decimals(expected))
    whole = isinstance(digits, int) and not isinstance(digits, bool) and abs(digits) <= 15
    _check(whole, f"{where}: digits: expected a whole number of at most 15, found {shown(digits)}")
    # Half a unit in the last place that must agree; a whole number that was not rounded, exactly.
    rounded = digits > 0 or "digits" in row or _recorded(unit)[1] != 1.0
    tolerance = _number(row.get("tolerance", 0.5 * 10.0**-digits if rounded else 0.0), f"{where}: tolerance")
    return {"tolerance": tolerance, **_texts(row, ("because",), where), "expected": float(expected)}


def _gain(terms: str, printed: Mapping[str, Claim], where: str) -> float:
    """Return the printed gain of a trend in the unit of the records."""
    good = re.fullmatch(r"[\w.-]+( [+-] [\w.-]+)*", terms)
    _check(good, f"{where}: expected claims such as 'ID - ID', found {shown(terms)}")
    total = 0.0
    for sign, name in re.findall(r"(?:^| ([+-]) )(\S+)", terms):
        if name not in printed:
            raise ClaimError(f"{where}: no claim {name!r} prints a number{suggest(name, printed)}")
        value = float(printed[name].printed or 0) / _recorded(printed[name].unit)[1]
        total += -value if sign == "-" else value
    _check(total > 0, f"{where}: {terms!r} makes {total:g}; expected the larger side first, such as 'ID - ID'")
    return total


def _filter(value: Any, where: str) -> dict[str, Any]:
    good = isinstance(value, dict) and all(isinstance(key, str) for key in value)
    _check(good, f"{where}: expected a filter such as {{loss: triplet}}, found {shown(value)}")
    for key, item in value.items():
        plain = all(isinstance(one, str | int | float | None) for one in (item if isinstance(item, list) else [item]))
        _check(plain, f"{where}: {key}: expected a value or a list of values, found {shown(item)}")
    return value


def _number(value: Any, where: str) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    _check(good, f"{where}: expected a number that is not negative, found {shown(value)}")
    return _finite(value, where)


def _finite(value: float, where: str) -> float:
    _check(abs(value) < 1e15, f"{where}: expected a number below 1e15, found {shown(value)}")
    return float(value)


def _check_fields(row: Any, known: set[str], required: tuple[str, ...], where: str) -> None:
    if not isinstance(row, dict):
        raise ClaimError(f"{where}: expected fields and values, found {shown(row)}")
    for key in row:
        if key not in known:
            raise ClaimError(f"{where}: unknown field {shown(key)}{suggest(shown(key), sorted(known))}")
    for key in required:
        _check(row.get(key) not in (None, ""), f"{where}: field {key!r} is missing")


def _check_choice(row: Mapping[str, Any], key: str, allowed: tuple[str, ...], where: str) -> None:
    _check(row[key] in allowed, f"{where}: {key}: expected {' or '.join(allowed)}, found {shown(row[key])}")


def _check(good: object, message: str) -> None:
    if not good:
        raise ClaimError(message)


def _repeated(entries: Any) -> list[str]:
    return [f"{where} {name!r} stands twice" for (where, name), count in Counter(entries).items() if count > 1]
