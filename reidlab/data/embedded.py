"""The embedded world as a data set like any other: written to disk once, then read by a real reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from reidlab.world import WorldSpec


def load_world(spec: WorldSpec | str, layout: str = "market1501", **overrides: Any) -> pd.DataFrame:
    """Return the sample table of a world, making its pictures if they are not in the cache.

    Args:
        spec: a world, or the name of a scenario.
        layout: format on disk, such as ``market1501`` or ``mars``.
        **overrides: knobs to change, see :meth:`~reidlab.world.WorldSpec.with_`.

    Raises:
        ConfigError: the scenario, a knob or the layout is unknown.
        DataError: the disk is full.
    """
    from reidlab.data.readers import read
    from reidlab.world.cache import cached
    from reidlab.world.scenarios import scenario

    world = scenario(spec, **overrides) if isinstance(spec, str) else spec.with_(**overrides)
    table = read(layout, cached(world, layout, quiet=True))
    table.attrs["dataset"] = world.name
    return table
