"""The embedded world as a data set like any other: made in the format of a real one, read by the reader of that one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reidlab.checks import check_choice
from reidlab.data.readers import MARKET1501, MARS, MOT_SHARED, Reader
from reidlab.data.table import SampleTable

if TYPE_CHECKING:
    from reidlab.world import WorldSpec

#: The reader of each layout the world can be written in.
LAYOUTS: dict[str, Reader] = {"market1501": MARKET1501, "mars": MARS, "mot": MOT_SHARED, "sites": MARKET1501}


def load_world(spec: WorldSpec | str, layout: str = "market1501", **overrides: Any) -> SampleTable:
    """Return the sample table of an embedded world, made on first use and kept in the cache.

    Args:
        spec: a world's specification, or the name of a scenario.
        layout: ``market1501``, ``mars``, ``mot`` or ``sites`` (pictures as in ``market1501``).
        **overrides: fields of the specification, or dials of its nuisances, to change.

    Raises:
        ConfigError: scenario, layout or override is unknown.
        StorageError: the world could not be written.
        DataError: it could not be read back.

    Example:
        >>> table = load_world("easy", seed=1, train_people=20)  # doctest: +SKIP
    """
    from reidlab.world import cached

    check_choice("layout", layout, LAYOUTS)
    resolved = resolve(spec, **overrides)
    return LAYOUTS[layout].read(cached(resolved, layout), resolved.name)


def resolve(spec: WorldSpec | str, **overrides: Any) -> WorldSpec:
    """Return the specification of a scenario's name, or the one given, with some fields changed.

    Raises:
        ConfigError: scenario or field is unknown, or a value is not allowed.
    """
    from reidlab.world import scenario

    if isinstance(spec, str):
        return scenario(spec, **overrides)
    return spec.with_(**overrides) if overrides else spec
