"""The parameters of a notebook: which names they are, that they are plain, and that the run got those it was given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from reidlab.errors import RunError


def parameters(namespace: Mapping[str, Any], names: str | None = None) -> dict[str, Any]:
    """Return a notebook's resolved parameters.

    Args:
        namespace: the notebook's ``globals()``.
        names: the parameters' names, with spaces between; without it, every public name that holds plain
            data so far (so call it right below the parameters cell).

    Raises:
        RunError: a name is not defined.
    """
    if names is not None:
        if missing := [name for name in names.split() if name not in namespace]:
            raise RunError(f"parameters: {', '.join(missing)} not defined; run the parameters cell first")
        return {name: namespace[name] for name in names.split()}
    return {
        name: value
        for name, value in namespace.items()
        if not name.startswith("_") and name not in ("In", "Out") and _is_plain(value)
    }


def plain(value: Any, where: str) -> Any:
    """Return plain data (numbers, text, lists, mappings) as they come back from JSON: tuples as lists, keys as text.

    Raises:
        RunError: there is something else in them, or a number that is not finite; the message begins with ``where``.
    """
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise RunError(f"{where}: {error}; expected plain data (finite numbers, text, lists, mappings)") from error


def check_same(chapter: str, given: Mapping[str, Any], resolved: Mapping[str, Any]) -> None:
    """Check that a notebook starts its run with the parameters that the runner gave it.

    Raises:
        RunError: a parameter is missing, is none, or has changed.
    """
    for name in sorted({*given, *resolved}):
        if name not in resolved:
            raise RunError(
                f"{chapter}: {name!r} is recorded as a parameter but is not in the parameters cell; "
                "call lab.parameters right below that cell, or name the parameters"
            )
        if name not in given:
            raise RunError(f"{chapter}: parameter {name!r} is not passed to lab.start")
        if given[name] != resolved[name]:
            raise RunError(
                f"{chapter}: parameter {name!r} is {given[name]!r} at lab.start, but the run was started "
                f"with {resolved[name]!r}; a cell changes it in between"
            )


def _is_plain(value: Any) -> bool:
    try:
        plain(value, "")
    except RunError:
        return False
    return True
