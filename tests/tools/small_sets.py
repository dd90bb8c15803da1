"""A small labelled folder and a small embedder."""

import numpy as np
import onnx
from PIL import Image
from torch import nn

from tests.models import onnx_graphs


def folder(root, people=4, cameras=2, pictures=3):
    """Write <person>/<camera>/<k>.png of noise around a colour of each person and camera; return the folder."""
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 200, (people, 3))
    for person in range(people):
        for camera in range(1, cameras + 1):
            for number in range(pictures):
                noise = rng.integers(-25, 26, (32, 16, 3))
                picture = np.clip(colours[person] + 20 * camera + noise, 0, 255).astype(np.uint8)
                path = root / f"{person + 1}" / f"cam{camera}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(path)
    return root


def embedder(path):
    """Write the plain ONNX graph, whose pictures are 16 x 8; return its path."""
    onnx.save(onnx_graphs.plain(), path)
    return path


def divided(root):
    """Write such folders for train, query and gallery; return the folder above them."""
    for split in ("train", "query", "gallery"):
        folder(root / split, pictures=2)
    return root


def own_network():
    """A network of a user's own: from pictures to 6 features."""
    parts = [nn.Conv2d(3, 12, 3, stride=2), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 12, 3), nn.BatchNorm2d(12)]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 6))
