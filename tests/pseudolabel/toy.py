"""A data set small enough to learn in seconds: people are colours, cameras tint them."""

import numpy as np
from PIL import Image

from reidlab.data import make_table
from reidlab.data.decoded import DataSet, Pictures
from reidlab.training.recipe import Backbone, Recipe

SIZE = (32, 16)
RECIPE = Recipe(SIZE, Backbone(width=8, blocks=(1, 1, 1, 1)), optimisation={"p": 4, "k": 2})


def pictures(pids, cameras=2, each=3, seed=0, split="train", tint=25):
    """Return pictures of identities, ``each`` per camera: a colour above, another below, noise over all."""
    table, images = [], []
    for pid in pids:
        colours = np.random.default_rng(1000 + pid).integers(30, 226, (2, 3))
        for camid in range(1, cameras + 1):
            cast = np.random.default_rng(camid).integers(-tint, tint + 1, 3)
            for number in range(each):
                noise = np.random.default_rng([seed, pid, camid, number]).normal(0, 12, (*SIZE, 3))
                body = np.repeat(colours, SIZE[0] // 2, axis=0)[:, None] + cast + noise
                images.append(body.clip(0, 255).astype(np.uint8))
                table.append((f"/toy/{split}/{pid}_{camid}_{number}.png", pid, camid))
    paths, who, where = zip(*table)
    rows = make_table("toy", path=list(paths), split=split, pid=list(who), camid=list(where))
    return Pictures(rows, np.stack(images))


def data_set(people=12, test=6, **options):
    """Return a data set whose test people are nobody of its training."""
    others = range(people, people + test)
    return DataSet(
        "toy",
        pictures(range(people), **options),
        pictures(others, each=1, seed=5, split="query"),
        pictures(others, each=3, seed=6, split="gallery"),
    )


def write_people(folder, people):
    """Write pictures as ``person<pid>/door<camid>/<number>.png``."""
    for number, (pid, camid, image) in enumerate(zip(people.pids, people.camids, people.images)):
        path = folder / f"person{pid}" / f"door{camid}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
