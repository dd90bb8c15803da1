"""How many pictures the embedded world draws in a second on one core, with every nuisance on.

Run as a script: ``python tests/benchmarks/bench_world.py``. Prints medians over repeats, in pictures per second of
processor time and of wall time; the limits are 500 crops and 120 frames.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np

from reidlab.seeding import rng
from reidlab.world import Actor, Dress, Nuisances, Renderer, make_cameras, make_people


def rate(job: Callable[[], object], pictures: int, repeats: int) -> tuple[float, float]:
    """Return pictures per second of processor time and of wall time, medians over ``repeats``."""
    job()  # textures and backgrounds are made once
    cpu, wall = [], []
    for _ in range(repeats):
        start = time.process_time(), time.perf_counter()
        job()
        cpu.append(pictures / (time.process_time() - start[0]))
        wall.append(pictures / (time.perf_counter() - start[1]))
    return statistics.median(cpu), statistics.median(wall)


def standing(random: np.random.Generator, renderer: Renderer, people: list, n: int) -> list[Actor]:
    """Return ``n`` people spread over a camera's walkable ground."""
    polygon = renderer.camera.ground_area().astype(np.float32)[:, None]
    (x0, z0), (x1, z1) = polygon.min(axis=(0, 1)), polygon.max(axis=(0, 1))
    actors: list[Actor] = []
    while len(actors) < n:
        x, z = float(random.uniform(x0, x1)), float(random.uniform(z0, z1))
        if cv2.pointPolygonTest(polygon, (x, z), False) > 0:
            person = people[int(random.integers(len(people)))]
            actors.append(Actor(person, x, z, float(random.uniform(-3.1, 3.1)), float(random.uniform(0, 6.2))))
    return actors


def main() -> None:
    """Time crops of 128 x 64 and frames of 640 x 360 with eight people."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--crops", type=int, default=300)
    parser.add_argument("--frames", type=int, default=40)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    random = rng(0, "bench world")
    renderers = [Renderer(camera, Nuisances.full()) for camera in make_cameras(5, 0)]
    people = make_people(30, Dress.blend(0.4), 0)

    jobs = []
    for i in range(args.crops):
        renderer = renderers[i % len(renderers)]
        (actor,) = standing(random, renderer, people, 1)
        actors = [actor]
        if i % 2:  # somebody close by in every other crop
            other = people[int(random.integers(len(people)))]
            actors.append(Actor(other, actor.x_m + random.uniform(-0.6, 0.6), actor.z_m + random.uniform(-1, 1)))
        jobs.append((renderer, actors, renderer.boxes(actors)[0], i))
    scenes = [(r, standing(random, r, people, 8)) for r in renderers for _ in range(args.frames // len(renderers))]

    def crops() -> None:
        for renderer, actors, box, shot in jobs:
            renderer.crop(actors, box, (128, 64), rng=random, shot=shot)

    def frames() -> None:
        for renderer, actors in scenes:
            renderer.frame(actors, random)

    for name, job, count, limit in (
        ("crops 128x64, every nuisance", crops, len(jobs), 500),
        ("frames 640x360, 8 people", frames, len(scenes), 120),
    ):
        cpu, wall = rate(job, count, args.repeats)
        print(f"{name:32s} {cpu:7.0f}/s cpu  {wall:7.0f}/s wall  {cpu / limit:5.2f} x limit {limit}/s")
    start = time.process_time()
    fresh = make_people(20, Dress.blend(0.4), 1)
    for person in fresh:
        renderers[0].crop([Actor(person, 0.0, 10.0)], renderers[0].boxes([Actor(person, 0.0, 10.0)])[0])
    print(f"{'first picture of an identity':32s} {1e3 * (time.process_time() - start) / len(fresh):7.1f} ms cpu")


if __name__ == "__main__":
    main()
