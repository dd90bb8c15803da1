"""Time of a training iteration and of extraction, and where it goes; prints medians and ratios of one sitting.

Run: python tests/benchmarks/bench_training.py [--threads N] [--width W] [--iterations N]
"""

import argparse
import time
from statistics import median

import numpy as np
import pandas as pd
import torch

from reidlab.models import ReIDNet, resnet
from reidlab.seeding import rng, seed_all
from reidlab.training import Hook, PictureSource, TrainConfig, extract, reid_objective, train
from reidlab.training.fit import train_transform

IDENTITIES, PICTURES = 60, 16


class Stopwatch(Hook):
    """Moments at which gradients were ready and weights had moved."""

    def __init__(self):
        self.gradients, self.steps = [], []

    def after_backward(self, state):
        self.gradients.append(time.perf_counter())

    def after_step(self, state):
        self.steps.append(time.perf_counter())


class TimedSource(PictureSource):
    """A picture source that notes how long each batch took and when it was ready."""

    def start(self, seed, rank):
        super().start(seed, rank)
        self.seconds, self.ready = [], []

    def batch(self, device):
        began = time.perf_counter()
        batch = super().batch(device)
        self.ready.append(time.perf_counter())
        self.seconds.append(self.ready[-1] - began)
        return batch


def network(width):
    seed_all(0)
    return ReIDNet(resnet(18, width=width, blocks=(1, 1, 1, 1)), IDENTITIES)


def bare_loop(model, config, source, iterations):
    """Seconds of each iteration of the shortest loop that does the same arithmetic: what Fabric and logs add to."""
    objective = reid_objective(config)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=config.lr)
    seconds = []
    for _ in range(iterations):
        began = time.perf_counter()
        batch = source.batch(torch.device("cpu"))
        optimizer.zero_grad()
        objective(model, batch)["loss"].backward()
        optimizer.step()
        seconds.append(time.perf_counter() - began)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--height", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    size = (options.height, options.height // 2)
    labels = np.arange(IDENTITIES).repeat(PICTURES)
    images = rng(0, "bench").integers(0, 256, (len(labels), *size, 3), dtype=np.uint8)
    config = TrainConfig(iterations=options.iterations, size=size, pad=4, erase=0.5, accelerator="cpu")
    source = TimedSource(images, labels, config.p, config.k, train_transform(config))

    watch = Stopwatch()
    model = network(options.width).to(memory_format=torch.channels_last)
    train(model, source, reid_objective(config), config, seed=0, hooks=[watch], progress=False)
    warm = slice(5, None)
    data = median(source.seconds[warm])
    network_time = median(np.subtract(watch.gradients, source.ready)[warm])
    step = median(np.subtract(watch.steps, watch.gradients)[warm])
    whole = median(np.diff(watch.steps)[warm])

    def ours(memory_format):
        watch = Stopwatch()
        model = network(options.width).to(memory_format=memory_format)
        train(model, source, reid_objective(config), config, seed=0, hooks=[watch], progress=False)
        return median(np.diff(watch.steps)[warm])

    # Alternated, so that a busy machine slows both alike.
    pairs = [(ours(torch.channels_last), ours(torch.contiguous_format)) for _ in range(2)]
    bare = median(bare_loop(network(options.width).to(memory_format=torch.channels_last), config, source, 40)[warm])

    table = pd.DataFrame({"pid": labels, "camid": 1, "tracklet": -1})
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        extract(model, table, size, images=images)
        seconds.append(time.perf_counter() - began)

    print(
        f"{options.threads} thread(s), {config.p} x {config.k} pictures of {size[0]}x{size[1]}, width {options.width}"
    )
    for name, value in (
        ("iteration", whole),
        ("  batch: sample, index, transform", data),
        ("  forward, loss, backward", network_time),
        ("  optimiser step", step),
    ):
        print(f"{name:36s}{1e3 * value:8.1f} ms {value / whole:7.1%}")
    print(f"{'bare loop of the same arithmetic':36s}{1e3 * bare:8.1f} ms")
    print(f"ratio iteration / bare loop: {whole / bare:.2f}")
    print(f"ratio contiguous / channels-last memory: {median(b / a for a, b in pairs):.2f}")
    print(f"extraction: {len(images) / median(seconds):.0f} pictures/s")


if __name__ == "__main__":
    main()
