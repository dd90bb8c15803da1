"""Registries: what a room offers by name, each entry added where it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from reidlab.checks import check_choice

T = TypeVar("T")


class Registry(Mapping[str, T]):
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
        self._field = field
        self._entries: dict[str, T] = {}

    def add(self, name: str) -> Callable[[T], T]:
        """Return a decorator that adds an entry."""

        def added(entry: T) -> T:
            self._entries[name] = entry
            return entry

        return added

    def check(self, *names: str) -> None:
        """Check that there are entries of some names.

        Raises:
            ConfigError: there is none of a name; the message suggests one.
        """
        for name in names:
            check_choice(self._field, name, self._entries)

    def __getitem__(self, name: str) -> T:
        """Return an entry.

        Raises:
            ConfigError: there is none of that name.
        """
        self.check(name)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
