"""Time of a training iteration and of extraction, and where it goes; prints medians and ratios of one sitting.

The loop is to be at least 0.9 times as fast as the shortest one that does the same arithmetic, on a CPU and on a GPU.

Run: python tests/benchmarks/bench_training.py [--threads N] [--width W] [--iterations N] [--turns N]
"""

import argparse
import time
from dataclasses import replace
from statistics import median

import numpy as np
import pandas as pd
import torch

from reidlab.data import TrainTransform
from reidlab.models import ReIDNet, resnet
from reidlab.seeding import rng, seed_all
from reidlab.training import Hook, PictureSource, TrainConfig, extract, reid_objective, train
from reidlab.training.determinism import deterministic, tf32
from reidlab.training.optimisation import make_optimizer

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


def bare_loop(model, config, source, device="cpu"):
    """Moments after each iteration of the shortest loop that does the same arithmetic: what Fabric and logs add to."""
    objective, device = reid_objective(config), torch.device(device)
    optimizer = make_optimizer(model, config, fused=device.type == "cuda")
    moments = []
    for _ in range(config.iterations):
        batch = source.batch(device)
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16-mixed"):
            loss = objective(model, batch)["loss"]
        loss.backward()
        optimizer.step()
        moments.append(time.perf_counter())
    return moments


class Finish(Hook):
    """Waits for a GPU after the last iteration, and after those that warm it up."""

    def __init__(self, warm):
        self.warm, self.moments = warm, []

    def after_step(self, state):
        if state.iteration in (self.warm, state.total):
            torch.cuda.synchronize()
            self.moments.append(time.perf_counter())


def on_gpu(iterations, warm=20):
    """Print times of a ResNet-50 on 16 x 4 pictures of 256 x 128, by the kind of arithmetic."""
    labels = np.arange(IDENTITIES).repeat(PICTURES)
    images = rng(0, "bench").integers(0, 256, (len(labels), 256, 128, 3), dtype=np.uint8)
    print(f"{torch.cuda.get_device_name()}: ResNet-50, 16 x 4 pictures of 256x128")
    for name, changes in (
        ("float32", {"tf32": False}),
        ("TF32", {"tf32": True}),
        ("bf16", {"precision": "bf16-mixed"}),
        ("bf16, no batch made ahead", {"precision": "bf16-mixed", "prefetch": False}),
    ):
        config = TrainConfig(
            iterations=warm + iterations, size=(256, 128), pad=4, erase=0.5, accelerator="cuda", log_every=50, **changes
        )
        source = PictureSource(images, labels, config.p, config.k, TrainTransform(0.5, 4, 0.5))

        def model():
            seed_all(0)
            return ReIDNet(resnet(50), IDENTITIES).to(memory_format=torch.channels_last)

        finish = Finish(warm)
        train(model(), source, reid_objective(config), config, seed=0, hooks=[finish], progress=False)
        looped = (finish.moments[1] - finish.moments[0]) / iterations
        source.start(0, 0)
        with deterministic(), tf32(config.tf32):
            bare_loop(network_on_gpu := model().cuda(), replace(config, iterations=warm), source, "cuda")
            torch.cuda.synchronize()
            began = time.perf_counter()
            bare_loop(network_on_gpu, replace(config, iterations=iterations), source, "cuda")
            torch.cuda.synchronize()
        bare = (time.perf_counter() - began) / iterations
        print(f"{name:36s}{1e3 * looped:8.1f} ms, bare {1e3 * bare:.1f} ms; speed / bare loop: {bare / looped:.2f}")


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

    def looped(memory_format, config=config):
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
        return median(np.diff(bare_loop(model, config, source))[warm])

    # Taken in turns, so that a busy machine slows all alike.
    ahead = replace(config, prefetch=True)
    turns = [
        (looped(torch.channels_last), looped(torch.contiguous_format), bare(), looped(torch.channels_last, ahead))
        for _ in range(options.turns)
    ]
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
    print(f"speed / bare loop: {median(turn[2] / turn[0][0] for turn in turns):.2f}")
    print(f"speed with a batch made ahead / without: {median(turn[0][0] / turn[3][0] for turn in turns):.2f}")
    print(f"ratio contiguous / channels-last memory: {median(turn[1][0] / turn[0][0] for turn in turns):.2f}")
    print(f"extraction: {len(images) / median(seconds):.0f} pictures/s")
    if torch.cuda.is_available():
        on_gpu(200)
    else:
        print("no GPU: nothing measured on one")


if __name__ == "__main__":
    main()
