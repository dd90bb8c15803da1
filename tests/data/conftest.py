"""Small folders in the layouts of real data sets; settings and caches of their own."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reidlab import paths
from reidlab.data.readers.base import PICTURES


@pytest.fixture
def own_settings(tmp_path, monkeypatch):
    """Nothing registered, no data set found, an empty cache; returns the folder named by REIDLAB_DATA."""
    for name, folder in (("XDG_CONFIG_HOME", "config"), ("REIDLAB_CACHE", "cache"), ("REIDLAB_DATA", "data")):
        (tmp_path / folder).mkdir()
        monkeypatch.setenv(name, str(tmp_path / folder))
    return tmp_path / "data"


@pytest.fixture
def lay():
    """Return a function that writes tiny pictures (and empty files where a name has another ending) under a root."""

    def write(root, *names):
        for number, name in enumerate(names):
            path = Path(root) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix.lower() in PICTURES:
                Image.fromarray(np.full((8, 4, 3), number % 256, np.uint8)).save(path)
            else:
                path.touch()
        return Path(root)

    return write


@pytest.fixture
def real():
    """Return a function that finds a real data set through REIDLAB_DATA, or skips the test."""

    def folder(name):
        found = [root / name for root in paths.data_roots() if (root / name).is_dir()]
        if not found:
            pytest.skip(f"{name} is in no folder of REIDLAB_DATA")
        return found[0]

    return folder
