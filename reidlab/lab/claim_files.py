"""Files of claims: blocks of rows and columns, expanded to one claim each (see :mod:`reidlab.lab.claims`)."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reidlab.checks import plural, suggest
from reidlab.errors import ClaimError, ConfigError
from reidlab.reading import read_yaml

_SAID = {"id", "source", "item", "what", "kind", "printed", "unit", "needs", "note"}
CLAIM_FIELDS = {*_SAID, "basis", "whose", "gain", "rule"}
_COMMON = {"chapter", "profile", "key", "where", "protocol"}
_NUMBER = {*_COMMON, "tolerance", "because", "implied"}
RULE_FIELDS = {
    "exact": {*_NUMBER, "digits"},
    "trend": {*_COMMON, "larger", "smaller", "paired_by", "min_seeds", "margin", "if_any"},
    "accuracy": _NUMBER,
}
_ALL_RULE_FIELDS = set().union(*RULE_FIELDS.values())
_WORD = re.compile(r"\{(\w+)\}")


def shown(value: object) -> str:
    """Return a value for an error's message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


@contextmanager
def noted(problems: list[str]) -> Iterator[None]:
    """Add an error's message to ``problems`` and go on behind the block."""
    try:
        yield
    except (ClaimError, ConfigError) as error:
        problems.append(str(error))


def rows_of(path: Path, problems: list[str], blocks: bool = True) -> Iterator[tuple[Any, str]]:
    """Yield the claims of a file, each as if it stood alone, with the place that an error names.

    Args:
        path: the file.
        problems: gets a message for each malformed entry, which is then left out.
        blocks: whether the file may have blocks and defaults; the inventory has none.
    """
    entries: Any = []
    with noted(problems):
        entries = read_yaml(path) or []
    if not isinstance(entries, list):
        problems.append(f"{path}: expected a list of rows, found {type(entries).__name__}")
        entries = []
    defaults: dict[str, Any] = {}
    for number, entry in enumerate(entries, start=1):
        where = f"{path}: row {number}"
        with noted(problems):
            if isinstance(entry, dict) and set(entry) == {"defaults"}:
                defaults = _fields_of(entry, where)["defaults"]
                continue
            for claim in expanded(entry, defaults, where) if blocks else [entry]:
                named = isinstance(claim, dict) and claim.get("id")
                yield claim, f"{path}: claim {shown(claim['id'])}" if named else where


def expanded(entry: Any, defaults: Mapping[str, Any], where: str) -> list[Any]:
    """Return the claims that an entry of a file stands for; an entry without rows is one claim.

    Args:
        entry: one claim, or a block with ``rows`` and perhaps ``columns``.
        defaults: fields of all claims.
        where: what to name in an error.

    Raises:
        ClaimError: a row has too few or too many values, a field that nothing uses, or no value for a placeholder.
    """
    if not isinstance(entry, dict):
        return [entry]
    own = {k: v for k, v in entry.items() if k not in ("rows", "columns")}
    shared = _merged(defaults, _nested(own, where))
    if "rows" not in entry:
        return [shared]
    where = f"{where} ({str(shared.get('item', 'no item'))[:100]})"
    rows = _fields_of(entry["rows"], f"{where}: rows")
    columns = _fields_of(entry.get("columns", {"": {}}), f"{where}: columns")
    claims: list[Any] = []
    words: dict[str, str] = {}
    used = {"row", "column"}
    for row, own in rows.items():
        here = f"{where}, row {row!r}"
        cells = _fields_of(own.pop("cells", {}), f"{here}: cells")
        if unknown := [name for name in cells if name not in columns]:
            raise ClaimError(f"{here}: cells: no column {unknown[0]!r}{suggest(unknown[0], columns)}")
        values = [own.get("printed")]
        if "columns" in entry and "printed" in own:
            values = own["printed"].split() if isinstance(own["printed"], str) else []
            if len(values) != len(columns):
                count = f"{plural(len(columns), 'value')} ({', '.join(columns)})"
                raise ClaimError(f"{here}: printed: expected text of {count}, found {shown(own['printed'])}")
        for (column, fields), value in zip(columns.items(), itertools.cycle(values)):
            if value == "-":
                continue
            claim = functools.reduce(_merged, (fields, own, cells.get(column, {})), shared)
            if value is not None:
                claim["printed"] = value
            given = {"row": row, "column": column} | {k: claim.pop(k) for k in list(claim) if k not in CLAIM_FIELDS}
            words = dict.fromkeys(given, here) | words
            claims.append(_filled(claim, given, used, here))
    for word in sorted(words.keys() - used, key=str):
        near = suggest(word, sorted(CLAIM_FIELDS | _ALL_RULE_FIELDS | used))
        raise ClaimError(f"{words[word]}: unknown field {word!r}: no text has its placeholder{near}")
    return claims


def _fields_of(value: Any, where: str) -> dict[str, dict[str, Any]]:
    """Return the fields of each row, column or cell by its name."""
    if not isinstance(value, dict) or not all(isinstance(fields, dict) for fields in value.values()):
        raise ClaimError(
            f"{where}: expected names with fields, such as nvan: {{printed: 90.0 82.8}}, found {shown(value)}"
        )
    return {str(name): _nested(fields, f"{where}: {name}") for name, fields in value.items()}


def _nested(fields: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return fields with those of the rule in ``rule``; always a copy."""
    own = {key: value for key, value in fields.items() if key not in _ALL_RULE_FIELDS}
    rule = {key: value for key, value in fields.items() if key in _ALL_RULE_FIELDS}
    if rule and not isinstance(own.get("rule"), dict | None):
        raise ClaimError(f"{where}: rule: expected fields and values, found {shown(own['rule'])}")
    return {**own, "rule": {**(own.get("rule") or {}), **rule}} if rule else own


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of both, of which the other's count; mappings in both are merged."""
    both = [key for key in one if isinstance(one[key], dict) and isinstance(other.get(key), dict)]
    return {**one, **other, **{key: _merged(one[key], other[key]) for key in both}}


def _filled(value: Any, words: Mapping[str, Any], used: set[str], where: str) -> Any:
    """Return a value with its placeholders filled; alone in its text a word keeps its type."""
    if isinstance(value, dict):
        return {key: _filled(item, words, used, where) for key, item in value.items()}
    if not isinstance(value, str) or "{" not in value:
        return value
    names = _WORD.findall(value)
    used.update(names)
    if missing := [name for name in names if name not in words]:
        raise ClaimError(
            f"{where}: {shown(value)}: placeholder {missing[0]!r} has no value{suggest(missing[0], words)}"
        )
    if _WORD.fullmatch(value):
        return words[names[0]]
    return _WORD.sub(lambda match: str(words[match[1]]), value)
