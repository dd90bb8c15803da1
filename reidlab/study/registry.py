"""Registries: what a room offers by name, each entry added where it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

from reidlab.checks import check_choice
from reidlab.errors import ConfigError

T = TypeVar("T")


class Registry(dict[str, T]):
    """Entries by name, in the order in which they were added.

    Args:
        field: what an unknown name is reported as, such as ``methods``.

    Example:
        >>> methods = Registry("methods")
        >>> @methods.add("histogram")
        ... def histogram(place): ...
        >>> list(methods)
        ['histogram']
    """

    def __init__(self, field: str) -> None:
        super().__init__()
        self._field = field

    def add(self, name: str) -> Callable[[T], T]:
        """Return a decorator that adds an entry; one that is defined again, as in a notebook, takes its own place.

        Raises:
            ConfigError: the name is taken by another one.
        """

        def added(entry: T) -> T:
            if (known := self.get(name)) is not None and _origin(known) != _origin(entry):
                raise ConfigError(f"{self._field}: {name!r} is {_origin(known)} already; choose another name")
            self[name] = entry
            return entry

        return added

    def check(self, *names: str) -> None:
        """Check that there are entries of some names.

        Raises:
            ConfigError: there is none of a name; the message suggests one.
        """
        for name in names:
            check_choice(self._field, name, self)

    def __missing__(self, name: str) -> NoReturn:
        """Report an unknown name.

        Raises:
            ConfigError: there is no entry of that name; the message suggests one.
        """
        self.check(name)


def _origin(entry: object) -> str:
    """Return where an entry is defined."""
    made = entry if hasattr(entry, "__qualname__") else type(entry)
    return f"{made.__module__}.{made.__qualname__}"
