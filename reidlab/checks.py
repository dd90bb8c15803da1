"""Checks of names and values, and the words of the errors they raise; every room validates with these."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from reidlab.errors import ConfigError, ReidlabError


def suggest(name: object, known: Iterable[object]) -> str:
    """Return "; did you mean X?" for a near miss, else "; there is: A, B", for the end of an error."""
    names = [str(item) for item in known]
    if close := difflib.get_close_matches(str(name), names, n=1, cutoff=0.6):
        return f"; did you mean {close[0]!r}?"
    if not names:
        return "; there is none"
    return f"; there is: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"


def plural(count: int, noun: str) -> str:
    """Return a number with its noun: ``1 claim``, ``2 claims``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def check_choice(field: str, value: object, known: Iterable[object], error: type[ReidlabError] = ConfigError) -> None:
    """Check that a value is one of those that are known.

    Args:
        field: what the value is called, such as ``methods``.
        value: the value.
        known: all that are allowed.
        error: class of the error.

    Raises:
        ReidlabError: of class ``error``, naming field and value and suggesting what was meant.
    """
    known = list(known)
    if value not in known:
        raise error(f"{field}: there is none called {value!r}{suggest(value, known)}")
