"""Where people walk: the site plan, the order in which people pass its cameras, and paths in view of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reidlab.world.camera import Camera
from reidlab.world.people import Person

NEIGHBOURS = 3  # ways that lead away from a camera, where there are that many others
_CANDIDATES = 16


@dataclass(frozen=True)
class WalkGraph:
    """The site: cameras as places, joined by ways that no camera sees.

    Attributes:
        positions: (n, 2) places of the cameras on the plan, in metres.
        lengths: (n, n) way between two cameras in metres; inf where none leads directly.
    """

    positions: np.ndarray
    lengths: np.ndarray

    @classmethod
    def draw(cls, n: int, spacing_m: float, random: np.random.Generator) -> WalkGraph:
        """Draw a connected site of ``n`` cameras; the median way between two of them is ``spacing_m`` metres."""
        places = [random.uniform(0, spacing_m, 2)]
        side = spacing_m * max(1.0, np.sqrt(n))
        while len(places) < n:
            # The most remote of some draws keeps views from overlapping without a rigid grid.
            draws = random.uniform(0, side, (16, 2))
            gaps = np.linalg.norm(draws[:, None] - np.array(places), axis=2).min(axis=1)
            places.append(draws[int(gaps.argmax())])
        positions = np.array(places)
        # No two cameras are at the same corner.
        direct = np.maximum(np.linalg.norm(positions[:, None] - positions, axis=2), 0.3 * spacing_m)
        lengths = np.full((n, n), np.inf)
        for i in range(n):
            for j in np.argsort(direct[i])[: NEIGHBOURS + 1]:
                if i != j:
                    lengths[i, j] = lengths[j, i] = direct[i, j]
        reached = [0]
        while len(reached) < n:
            others = [j for j in range(n) if j not in reached]
            i, j = min(((i, j) for i in reached for j in others), key=lambda pair: direct[pair])
            lengths[i, j] = lengths[j, i] = direct[i, j]
            reached.append(j)
        ways = lengths[np.isfinite(lengths)]
        scale = spacing_m / float(np.median(ways)) if len(ways) else 1.0
        return cls(positions * scale, lengths * scale)

    def neighbours(self, camera: int, among: set[int]) -> list[int]:
        """Return the cameras of ``among`` that a way from ``camera`` (from 0) leads to."""
        return [int(j) for j in np.flatnonzero(np.isfinite(self.lengths[camera])) if int(j) in among]

    def choose_cameras(self, count: int, random: np.random.Generator) -> set[int]:
        """Return ``count`` cameras that somebody can pass without meeting any other."""
        chosen = {int(random.integers(len(self.lengths)))}
        while len(chosen) < count:
            rim = sorted({j for i in chosen for j in self.neighbours(i, set(range(len(self.lengths))) - chosen)})
            chosen.add(int(random.choice(rim)))
        return chosen

    def walk(self, cameras: set[int], random: np.random.Generator) -> list[int]:
        """Return a walk along ways of the graph that passes every one of ``cameras`` and no other."""
        here = int(random.choice(sorted(cameras)))
        order = [here]
        missing = cameras - {here}
        while missing:
            near = [j for j in self.neighbours(here, cameras) if j in missing]
            here = int(random.choice(near)) if near else self._step_towards(here, missing, cameras)
            order.append(here)
            missing.discard(here)
        return order

    def _step_towards(self, start: int, goals: set[int], among: set[int]) -> int:
        """Return the first step of a path with the fewest steps from ``start`` to one of ``goals``."""
        first = {j: j for j in self.neighbours(start, among)}
        queue = list(first)
        for place in queue:
            if place in goals:
                return first[place]
            for j in self.neighbours(place, among - {start} - first.keys()):
                first[j] = first[place]
                queue.append(j)
        raise AssertionError("cameras chosen by choose_cameras are connected")


def paths_before(
    camera: Camera, area: np.ndarray, person: Person, frame_rate: float, random: np.random.Generator
) -> list[np.ndarray]:
    """Draw some ways to cross the ground that a camera sees, clear of the things that stand on it.

    Args:
        camera: whose occluders are avoided.
        area: (k, 2) convex polygon of walkable ground, in metres.
        person: sets speed and gait.
        frame_rate: frames a second.
        random: generator to draw from.

    Returns:
        Tracks (frames, 4): x and z in metres, heading and phase of the gait in radians (see ``Actor``), frame by frame
        at the person's own speed.
    """
    area = _corners(area)
    count, corners = _CANDIDATES, len(area)
    lengths = np.linalg.norm(np.roll(area, -1, axis=0) - area, axis=1)
    weights = lengths / lengths.sum()
    ends = np.empty((count, 2, 2))
    first = random.choice(corners, size=count, p=weights)
    step = random.integers(1, corners, size=count)
    middle = area.mean(axis=0)
    for side, edges in enumerate((first, (first + step) % corners)):
        a, b = area[edges], area[(edges + 1) % corners]
        point = a + random.uniform(0.12, 0.88, (count, 1)) * (b - a)
        outward = np.stack([(b - a)[:, 1], -(b - a)[:, 0]], axis=1)
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        outward *= np.sign(((point - middle) * outward).sum(axis=1, keepdims=True))
        # People come into the picture from beyond its sides; elsewhere, as at a wall, they come out of a door.
        ends[:, side] = point + np.where(_metres_to_rim(camera, point) < 0.8, 1.1, 0.0)[:, None] * outward
    bend = random.dirichlet(np.ones(corners), size=count) @ area
    t = np.linspace(0.0, 1.0, 49)[:, None]
    # (count, points, 2)
    curves = (1 - t) ** 2 * ends[:, None, 0] + 2 * t * (1 - t) * bend[:, None] + t**2 * ends[:, None, 1]
    clear = np.full(count, np.inf)
    for thing in camera.occluders:
        gap = np.linalg.norm(curves - (thing.x_m, thing.z_m), axis=2).min(axis=1) - thing.radius_m
        clear = np.minimum(clear, gap)
    # Nobody turns on their heel in mid-view.
    legs = np.stack([bend - ends[:, 0], ends[:, 1] - bend], axis=1)
    legs /= np.linalg.norm(legs, axis=2, keepdims=True) + 1e-9
    clear[(legs[:, 0] * legs[:, 1]).sum(axis=1) < 0.1] -= 100.0
    good = np.flatnonzero(clear > 0.3)
    if not len(good):
        good = np.array([int(clear.argmax())])
    phases = random.uniform(0, 2 * np.pi, count)
    return [_track(curves[i], person, frame_rate, phases[i]) for i in good]


def _metres_to_rim(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Return how far, in metres, people at ground points (n, 2) are from the picture's left, right or lower rim."""
    feet = np.stack([points[:, 0], np.zeros(len(points)), points[:, 1]], axis=1)
    pixels, depth = camera.project(feet)
    to_rim = np.minimum(np.minimum(pixels[:, 0], camera.width - pixels[:, 0]), camera.height - pixels[:, 1])
    return to_rim * depth / camera.focal_px


def _corners(polygon: np.ndarray) -> np.ndarray:
    """Return the vertices (k, 2) of a polygon at which it bends by more than a degree or two."""
    sides = np.roll(polygon, -1, axis=0) - polygon
    turn = np.arctan2(sides[:, 1], sides[:, 0])
    bend = np.angle(np.exp(1j * (turn - np.roll(turn, 1))))
    return polygon[np.abs(bend) > 0.03]


def _track(curve: np.ndarray, person: Person, frame_rate: float, phase: float) -> np.ndarray:
    """Walk along ``curve`` (points, 2) at the person's speed; the gait's phase follows the distance walked."""
    steps = np.diff(curve, axis=0)
    distance = np.concatenate([[0.0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))])
    frames = max(2, int(distance[-1] / person.speed_mps * frame_rate) + 1)
    walked = np.arange(frames) * (person.speed_mps / frame_rate)
    heading = np.unwrap(np.arctan2(steps[:, 0], -steps[:, 1]))
    track = np.empty((frames, 4))
    track[:, 0] = np.interp(walked, distance, curve[:, 0])
    track[:, 1] = np.interp(walked, distance, curve[:, 1])
    track[:, 2] = np.interp(walked, 0.5 * (distance[1:] + distance[:-1]), heading)
    track[:, 3] = phase + 2 * np.pi * person.cadence_hz / person.speed_mps * walked
    return track


def nearness(track: np.ndarray, other: np.ndarray) -> tuple[float, bool]:
    """Return how close two people come as the camera sees them, and whether they would collide.

    Args:
        track: (frames, 4) of one, from the moment it starts.
        other: (frames', 4) of the other, from the same moment on.

    Returns:
        The least sideways distance in metres, at the depth of the nearer one, and whether they touch.
    """
    n = min(len(track), len(other))
    if n == 0:
        return np.inf, False
    a, b = track[:n], other[:n]
    aside = np.abs(a[:, 0] / a[:, 1] - b[:, 0] / b[:, 1]) * np.minimum(a[:, 1], b[:, 1])
    apart = np.hypot(a[:, 0] - b[:, 0], a[:, 1] - b[:, 1])
    return float(aside.min()), bool(apart.min() < 0.45)
