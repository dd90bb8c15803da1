"""Pictures a second of each stage of re-Detect and Link, and how well HOG and SSDLite find an embedded world's boxes.

Run: python tests/benchmarks/bench_redetect.py [--threads N] [--pictures N] [--found N]

A world of the scenario ``video`` is drawn on first use. Stages are timed on whole tracklets of its gallery, by the
process's own seconds, since true boxes are asked for once only.
"""

import argparse
import os
import time

import cv2
import numpy as np
import torch

from reidlab.data import load_world, read_picture
from reidlab.models import ReIDNet, resnet
from reidlab.seeding import rng, seed_all
from reidlab.video.detectors import HOG, TrueBoxes
from reidlab.video.redetect import RedetectLink, ide_embedder, quality
from reidlab.video.ssdlite import SSDLite
from reidlab.world import cached, scenario
from reidlab.world.recording import iou

SIZE, MATCH = (64, 32), 0.5


class Timed:
    """A function that adds up the seconds spent in it and the things it was given."""

    def __init__(self, function):
        self.function, self.seconds, self.count = function, 0.0, 0

    def __call__(self, things, *rest):
        began = time.process_time()
        result = self.function(things, *rest)
        self.seconds += time.process_time() - began
        self.count += len(things)
        return result


def found_and_true(found, true):
    """How many of some boxes are of true ones, each of which counts once, the most certain box first."""
    left, hits = list(range(len(true))), 0
    for box in found:
        overlaps = [iou(box[:4], true[i, :4]) for i in left]
        if overlaps and max(overlaps) >= MATCH:
            left.pop(int(np.argmax(overlaps)))
            hits += 1
    return hits


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--found", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    if hasattr(os, "sched_setaffinity"):  # other libraries have threads of their own
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])

    spec = scenario("video", tracklet_frames=8)
    root = cached(spec, "mars")
    table = load_world(spec, "mars")
    gallery = table[table["split"] == "gallery"]
    enough = (gallery.groupby("tracklet").size().cumsum() < options.pictures).sum()
    chosen = gallery[gallery["tracklet"] <= gallery["tracklet"].unique()[max(enough - 1, 0)]].reset_index(drop=True)

    began = time.process_time()
    pictures = [read_picture(path) for path in chosen["path"]]
    reading = time.process_time() - began
    truth = TrueBoxes(root)
    began = time.process_time()
    truth(pictures[:1], chosen[:1])
    starting = time.process_time() - began
    seed_all(0)
    detector = Timed(truth)
    embed = Timed(ide_embedder(ReIDNet(resnet(18, width=16, blocks=(1, 1, 1, 1)), 60), SIZE))
    began = time.process_time()
    linked = RedetectLink(detector, embed, size=SIZE)(chosen, pictures=pictures, quiet=True)
    whole = time.process_time() - began
    print(f"{len(chosen)} pictures of {pictures[0].shape[0]}x{pictures[0].shape[1]}, {options.threads} thread(s)")
    print(f"simulating the scene again, once: {starting:.1f} s")
    for name, seconds, count, what in (
        ("read", reading, len(chosen), "pictures"),
        ("true boxes", detector.seconds, detector.count, "pictures"),
        ("embed", embed.seconds, embed.count, "candidates"),
        ("choose, cut and pad", whole - detector.seconds - embed.seconds, len(chosen), "pictures"),
    ):
        print(f"{name:24s}{count / max(seconds, 1e-9):10.0f} {what}/s")
    print(f"true boxes of 12,000 pictures: {12_000 * detector.seconds / detector.count:.0f} s (wanted: below 30 s)")

    some = rng(0, "bench").choice(len(chosen), min(options.found, len(chosen)), replace=False)
    some_pictures, true = [pictures[i] for i in some], truth([pictures[i] for i in some], chosen.iloc[some])
    for one in (HOG(), SSDLite()):
        timed = Timed(one)
        found = timed(some_pictures)
        hits = sum(found_and_true(*pair) for pair in zip(found, true))
        print(
            f"{one.name} on {len(some)} pictures, a hit from an overlap of {MATCH} on: "
            f"recall {hits / sum(map(len, true)):.2f}, precision {hits / max(1, sum(map(len, found))):.2f}, "
            f"{1e3 * timed.seconds / len(some):.1f} ms a picture"
        )
    means = quality(chosen, linked, root)[["iou_before", "iou_after", "right_before", "right_after"]].mean()
    print("true boxes: " + ", ".join(f"{name} {value:.3f}" for name, value in means.items()))
    for one in (HOG(), SSDLite()):
        linked = RedetectLink(one, embed, size=SIZE)(chosen, pictures=pictures, quiet=True)
        means = quality(chosen, linked, root)[["iou_before", "iou_after", "right_before", "right_after"]].mean()
        print(f"{one.name}: " + ", ".join(f"{name} {value:.3f}" for name, value in means.items()))


if __name__ == "__main__":
    main()
