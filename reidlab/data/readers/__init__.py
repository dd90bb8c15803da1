"""One reader per on-disk format; each has ``read(root) -> sample table``."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from reidlab.data.readers import (
    cuhk03_np,
    dukemtmc_reid,
    dukemtmc_videoreid,
    folder,
    market1501,
    mars,
    mot,
    msmt17,
    pku_reid,
    veri776,
)
from reidlab.errors import ConfigError

#: Readers by the name of their layout; add one here to make a new format known.
READERS: dict[str, Callable[..., pd.DataFrame]] = {
    "market1501": market1501.read,
    "dukemtmc_reid": dukemtmc_reid.read,
    "cuhk03_np": cuhk03_np.read,
    "msmt17": msmt17.read,
    "pku_reid": pku_reid.read,
    "mars": mars.read,
    "dukemtmc_videoreid": dukemtmc_videoreid.read,
    "veri776": veri776.read,
    "mot": mot.read,
    "folder": folder.read,
}


def read(layout: str, root: str | Path, **options: Any) -> pd.DataFrame:
    """Return the sample table of a folder in a known format.

    Args:
        layout: one of :data:`READERS`.
        root: folder of the data set.
        **options: of the layout's reader.

    Raises:
        ConfigError: the layout is unknown; the message suggests one.
        MissingDataError: a folder or file is missing.
        DataError: the folder does not look as its layout says.
    """
    if layout not in READERS:
        near = difflib.get_close_matches(layout, READERS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(READERS)}"
        raise ConfigError(f"layout {layout!r} is unknown; {hint}")
    return READERS[layout](root, **options)
