"""`reidlab learn` killed at seeded moments and resumed: the network of a run that nobody disturbed, nothing left over.

A few kills here; ``--kills N`` asks for more.
"""

import os

import pandas as pd
from PIL import Image

from reidlab.files import digest
from reidlab.models import save_weights
from reidlab.paths import compiled_dir
from reidlab.training.recipe import Recipe
from tests.kills import Command, check_completions
from tests.pseudolabel import toy


def test_a_killed_learn_ends_as_an_undisturbed_one(tmp_path, pytestconfig):
    people = toy.pictures(range(12), each=4)
    weights = save_weights(Recipe((32, 16)).network(2, 0), tmp_path / "start.safetensors")

    def make(home):
        for number, (camid, image) in enumerate(zip(people.camids, people.images)):
            path = home / "pictures" / f"cam{camid}" / f"{number:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
        words = ["learn", "pictures", "out", "--start", weights, "--height", "32"]
        words += ["--rounds", "3", "--iterations", "4", "--resume"]
        caches = {"NUMBA_CACHE_DIR": str(compiled_dir()), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "compiled")}
        return Command([*map(str, words)], home, caches)

    def result(home):
        out = home / "out"
        tables = [pd.read_csv(out / name) for name in ("clusters.csv", "rounds.csv")]
        tables[0]["path"] = [os.path.relpath(path, home) for path in tables[0]["path"]]
        names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*"))
        return digest(out / "network.safetensors"), *(table.to_csv() for table in tables), names

    check_completions(make, result, tmp_path, kills=pytestconfig.getoption("--kills", 2), here=True)
    assert (tmp_path / "undisturbed" / "out" / "network.safetensors").is_file()
