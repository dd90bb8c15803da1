"""Time of a training iteration and of extraction, and where it goes; prints medians and ratios of one sitting.

Run: python tests/benchmarks/bench_training.py [--threads N] [--width W] [--iterations N] [--turns N]
"""

import argparse
import time
from statistics import median

import numpy as np
import pandas as pd
import torch

from reidlab.data import TrainTransform
from reidlab.models import ReIDNet, resnet
from reidlab.seeding import rng, seed_all
from reidlab.training import Hook, PictureSource, TrainConfig, extract, reid_objective, train

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

    memory_format = torch.channels_last

    def start(self, seed, rank):
        super().start(seed, rank)
        self.seconds, self.ready = [], []

    def batch(self, device):
        began = time.perf_counter()
        batch = super().batch(device)
        batch = batch._replace(images=batch.images.contiguous(memory_format=self.memory_format))
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
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    size = (options.height, options.height // 2)
    labels = np.arange(IDENTITIES).repeat(PICTURES)
    images = rng(0, "bench").integers(0, 256, (len(labels), *size, 3), dtype=np.uint8)
    config = TrainConfig(iterations=options.iterations, size=size, pad=4, erase=0.5, accelerator="cpu")
    transform = TrainTransform(flip=config.flip, pad=config.pad, erase=config.erase)
    source = TimedSource(images, labels, config.p, config.k, transform)

    warm = slice(5, None)

    def looped(memory_format):
        """Medians of one run of the loop: iteration, batch, network, optimiser."""
        watch = Stopwatch()
        source.memory_format = memory_format
        model = network(options.width).to(memory_format=memory_format)
        train(model, source, reid_objective(config), config, seed=0, hooks=[watch], progress=False)
        parts = np.diff(watch.steps), source.seconds, np.subtract(watch.gradients, source.ready)
        return [median(part[warm]) for part in (*parts, np.subtract(watch.steps, watch.gradients))]

    def bare():
        source.start(0, 0)
        source.memory_format = torch.channels_last
        model = network(options.width).to(memory_format=torch.channels_last)
        return median(bare_loop(model, config, source, options.iterations)[warm])

    # Taken in turns, so that a busy machine slows all three alike.
    turns = [(looped(torch.channels_last), looped(torch.contiguous_format), bare()) for _ in range(options.turns)]
    whole, data, passes, step = (median(turn[0][i] for turn in turns) for i in range(4))
    bare_time = median(turn[2] for turn in turns)

    table = pd.DataFrame({"pid": labels, "camid": 1, "tracklet": -1})
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        extract(network(options.width), table, size, images=images)
        seconds.append(time.perf_counter() - began)

    print(
        f"{options.threads} thread(s), {config.p} x {config.k} pictures of {size[0]}x{size[1]}, width {options.width}"
    )
    for name, value in (
        ("iteration", whole),
        ("  batch: sample, index, transform", data),
        ("  forward, loss, backward", passes),
        ("  optimiser step", step),
    ):
        print(f"{name:36s}{1e3 * value:8.1f} ms {value / whole:7.1%}")
    print(f"{'bare loop of the same arithmetic':36s}{1e3 * bare_time:8.1f} ms")
    print(f"ratio iteration / bare loop: {median(turn[0][0] / turn[2] for turn in turns):.2f}")
    print(f"ratio contiguous / channels-last memory: {median(turn[1][0] / turn[0][0] for turn in turns):.2f}")
    print(f"extraction: {len(images) / median(seconds):.0f} pictures/s")


if __name__ == "__main__":
    main()
