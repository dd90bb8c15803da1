"""Imperfect recording of a scene: the detector's boxes, the tracker's drift, label errors.

Every fault is drawn from a key of its own (visit, frame), so that it does not depend on the order of work, and is kept
in the truth table of an export.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reidlab.seeding import rng
from reidlab.world.camera import Camera
from reidlab.world.render import Actor
from reidlab.world.scene import Scene, clip_boxes

MIN_HEIGHT = 1 / 9  # people who are a smaller share of the frame's height are not detected
_ASPECT = 0.5  # width over height of a picture of a person, as detectors of pedestrians give it
_MARGIN = 1.06
_NEAR = 2.5  # how many widths away a tracker may slide onto somebody else
_ASIDE_M, _BEHIND_M = (0.28, 0.4), (0.3, 0.45)  # from one of two who walk together to the other, as the camera sees it


def window_of(tight: np.ndarray) -> np.ndarray:
    """Return the upright windows (n, 4) of aspect 1:2 that hold tight boxes (n, 4) with a small margin."""
    centre = tight[:, :2] + 0.5 * tight[:, 2:]
    # Arms and legs in full stride may reach over the sides: people are not squeezed because of them.
    height = _MARGIN * np.maximum(tight[:, 3], 0.85 * tight[:, 2] / _ASPECT)
    size = np.stack([_ASPECT * height, height], axis=1)
    return np.concatenate([centre - 0.5 * size, size], axis=1)


def jittered(window: np.ndarray, jitter: float, random: np.random.Generator) -> np.ndarray:
    """Return a window (4,) moved and resized at random.

    Args:
        window: x, y, w, h in pixels.
        jitter: standard deviation of shift and of log size, as a share of the size.
        random: generator to draw from.
    """
    shift, grow = random.normal(0.0, 1.0, 2) * jitter, np.exp(random.normal(0.0, 1.0, 2) * jitter)
    centre = window[:2] + (0.5 + shift) * window[2:]
    size = window[2:] * grow
    return np.concatenate([centre - 0.5 * size, size])


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Return the intersection over union, 0..1, of two boxes (4,) x, y, w, h in pixels."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    both = float(np.prod(np.clip(high - low, 0, None)))
    return both / (float(a[2] * a[3] + b[2] * b[3]) - both + 1e-12)


def frames_in_view(scene: Scene, visit: int) -> np.ndarray:
    """Return the frames (n,) of a visit at which the whole person is within the picture and tall enough."""
    row = scene.visit(visit)
    camera = scene.cameras[row.camid - 1]
    x, y, w, h = scene.outline(visit).T
    inside = (y > -0.05 * h) & (y + h < camera.height + 0.05 * h) & (x > -0.15 * w) & (x + w < camera.width + 0.15 * w)
    return row.start_frame + np.flatnonzero(inside & (h >= MIN_HEIGHT * camera.height))


@dataclass(frozen=True)
class Sighting:
    """Somebody at one frame, as an ideal detector would see them.

    Attributes:
        visits: this person's and those of everybody near them in the picture.
        place: which of them this is about.
        windows: (n, 4) windows of all of them.
        visibility: share (0..1) of this person that is not hidden.
    """

    visits: list[int]
    place: int
    windows: np.ndarray
    visibility: float

    @property
    def window(self) -> np.ndarray:
        """The person's own window (4,)."""
        return self.windows[self.place]


def see(scene: Scene, visit: int, frame: int, companion: Actor | None = None) -> Sighting:
    """Return the sighting of a visit's person at a frame, next to a companion who has no visit of their own."""
    camid = scene.visit(visit).camid
    own = scene.outline(visit)[frame - scene.visit(visit).start_frame]
    visits = scene.visits_near(camid, frame, own, reach=_NEAR)
    actors = [scene.actor(v, frame) for v in visits]
    renderer, place = scene.renderer(camid), visits.index(visit)
    seen = renderer.visibility(actors if companion is None else [*actors, companion])
    return Sighting(visits, place, window_of(renderer.boxes(actors)), float(seen[place]))


def beside(scene: Scene, visit: int, pid: int, frame: int) -> Actor:
    """Return somebody who walks along with a visit's person at a frame: the second person of an ambiguous tracklet.

    As the camera sees them they stay half beside the other, a little nearer or farther, all the way.
    """
    random = rng(scene.spec.seed, "beside", visit)
    aside, behind = (float(random.uniform(*gap) * random.choice((-1, 1))) for gap in (_ASIDE_M, _BEHIND_M))
    lead = scene.actor(visit, frame)
    x, z = np.array([lead.x_m, lead.z_m]) / np.hypot(lead.x_m, lead.z_m)
    phase = lead.phase_rad + float(random.uniform(0, 2 * np.pi))
    return Actor(
        scene.people[pid], lead.x_m + aside * z + behind * x, lead.z_m - aside * x + behind * z, lead.heading_rad, phase
    )


def window_around(scene: Scene, visit: int, frame: int, companion: Actor) -> np.ndarray:
    """Return the window (4,) that holds both a visit's person and their companion."""
    boxes = scene.renderer(scene.visit(visit).camid).boxes([scene.actor(visit, frame), companion])
    low, high = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    return window_of(np.concatenate([low, high - low])[None])[0]


def detected(scene: Scene, visit: int, frame: int) -> bool:
    """Return whether the detector, which misses some at random, finds a visit's person at a frame."""
    return rng(scene.spec.seed, "miss", visit, frame).random() >= scene.spec.misses


def detection(scene: Scene, visit: int, frame: int, window: np.ndarray) -> np.ndarray:
    """Return the detector's box (4,), cut at the frame, for the true ``window`` of a visit's person."""
    camera = scene.cameras[scene.visit(visit).camid - 1]
    return cut(jittered(window, scene.spec.nuisances.box_jitter, rng(scene.spec.seed, "box", visit, frame)), camera)


def cut(box: np.ndarray, camera: Camera) -> np.ndarray:
    """Return a box (4,) cut at the frame, at least two pixels wide and high."""
    out = clip_boxes(box[None], camera)[0]
    out[:2] = np.minimum(out[:2], (camera.width - 2, camera.height - 2))
    out[2:] = np.maximum(out[2:], 2.0)
    return out


def bad_box(window: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return a box (4,) that overlaps ``window`` (4,) by less than half: a detection nobody would call a person."""
    while True:
        shift = random.uniform(-0.8, 0.8, 2)
        grow = np.exp(random.uniform(-0.6, 0.6, 2))
        size = window[2:] * grow
        box = np.concatenate([window[:2] + (0.5 + shift) * window[2:] - 0.5 * size, size])
        if 0.05 < iou(box, window) < 0.4:
            return box


@dataclass(frozen=True)
class Tracklet:
    """One track of the tracker.

    Attributes:
        visit: whose passage it follows.
        frames: frames with a picture.
        drift: for each of them, whether the tracker is off the person.
        label, fault: see :class:`Labels`.
        other: pid of the second person in its box, -1 if there is none.
    """

    visit: int
    frames: tuple[int, ...]
    drift: tuple[bool, ...]
    label: int
    fault: str
    other: int = -1


def tracks_of(scene: Scene, visit: int) -> list[tuple[tuple[int, ...], tuple[bool, ...]]]:
    """Return the (frames, drift) pairs of the tracks of one visit: none, one, or two where the track broke."""
    spec = scene.spec
    random = rng(spec.seed, "track", visit)
    frames = frames_in_view(scene, visit)[:: spec.tracklet_stride]
    if len(frames) > spec.tracklet_frames:
        first = int(random.integers(len(frames) - spec.tracklet_frames + 1))
        frames = frames[first : first + spec.tracklet_frames]
    frames = np.array([f for f in frames if detected(scene, visit, int(f))], dtype=int)
    if len(frames) < 2:
        return []
    drift = drifting(len(frames), spec.nuisances.drift, random)
    cuts = [int(random.integers(1, len(frames)))] if random.random() < spec.fragments else []
    parts = zip(np.split(frames, cuts), np.split(drift, cuts))
    return [(tuple(part.tolist()), tuple(off.tolist())) for part, off in parts]


def drifting(n: int, share: float, random: np.random.Generator) -> np.ndarray:
    """Choose the frames of a track on which the tracker is off, in runs spread over its whole length.

    Args:
        n: length of the track.
        share: expected share of such frames.
        random: generator to draw from.

    Returns:
        (n,) bool.
    """
    off = np.zeros(n, dtype=bool)
    count = min(n, int(np.floor(share * n + random.random())))
    while count > 0:
        spell = min(count, int(random.integers(2, 6)))
        # A spell may start anywhere; it fills the free frames from there on, around the end of the track.
        order = np.roll(np.arange(n), -int(random.integers(n)))
        off[order[~off[order]][:spell]] = True
        count -= spell
    return off


def slipped(scene: Scene, track: Tracklet, sightings: list[Sighting]) -> list[tuple[np.ndarray, int]]:
    """Return the tracker's window (4,) on each frame of a track, and the visit it is on (-1: the background).

    During drift the window slides onto whoever is nearest in the picture; with nobody near it stays where it was when
    the drift began.
    """
    out: list[tuple[np.ndarray, int]] = []
    left: np.ndarray | None = None
    for number, (sighting, off) in enumerate(zip(sightings, track.drift)):
        own = sighting.window
        if not off:
            left = None
            out.append((own, track.visit))
            continue
        centres = sighting.windows[:, :2] + 0.5 * sighting.windows[:, 2:]
        away = np.hypot(*((centres - centres[sighting.place]) / own[2:]).T)
        similar = np.abs(np.log(sighting.windows[:, 3] / own[3])) < 0.5
        away[(np.arange(len(away)) == sighting.place) | ~similar] = np.inf
        nearest = int(away.argmin())
        if away[nearest] < _NEAR:
            out.append((sighting.windows[nearest], sighting.visits[nearest]))
            continue
        if left is None:
            random = rng(scene.spec.seed, "slip", track.visit, track.frames[number])
            # The person walks on and the window stays: it lies on the side they came from.
            before, after = sightings[max(number - 1, 0)].window, sightings[min(number + 1, len(sightings) - 1)].window
            ahead = float(np.sign(after[0] - before[0])) or 1.0
            side, down = -ahead * random.uniform(0.7, 1.1), random.uniform(-0.1, 0.1)
            left = own + np.array([side * own[2], down * own[3], 0.0, 0.0])
        out.append((left, -1))
    return out


class Labels:
    """Which identity each visit is labelled with, and why if it is not the true one.

    Faults: ``label`` (another person's identity), ``duplicate`` (a second identity for one person), ``buried`` (the
    distractor class). Distractors carry 0, which is no fault. A buried visit is not a copy of another: it is one of
    the person's passages before that camera, of which others may carry the identity.

    A visit without any of these may have a companion, another test identity who shares the box in every tracklet of it
    (``ambiguous``). Nobody need walk near enough, so the companion is staged: somebody whom no camera sees meanwhile,
    if there is such a person, walks along in that tracklet's pictures and nowhere else.
    """

    def __init__(self, scene: Scene) -> None:
        spec = scene.spec
        visits = scene.visits
        self._labels = np.array([0 if scene.is_distractor(pid) else pid for pid in visits.pid], dtype=int)
        self._faults = np.full(len(visits), "", dtype=object)
        fresh = len(scene.people)
        pids, camids = visits.pid.to_numpy(), visits.camid.to_numpy()
        for split in spec.fault_splits:
            session = scene.sessions[split]
            for pid in session.identities:
                random = rng(spec.seed, "duplicate", pid)
                seen = np.unique(camids[pids == pid])
                if random.random() < spec.duplicates and len(seen) > 1:
                    fresh += 1
                    moved = random.permutation(seen)[: int(random.integers(1, len(seen)))]
                    rows = (pids == pid) & np.isin(camids, moved)
                    self._labels[rows], self._faults[rows] = fresh, "duplicate"
            for visit in np.flatnonzero(np.isin(pids, session.identities)):
                random = rng(spec.seed, "label", int(visit))
                if random.random() < spec.nuisances.label_noise and len(session.identities) > 1:
                    self._labels[visit] = _other(scene, session.identities, int(pids[visit]), random)
                    self._faults[visit] = "label"
        self._companions = np.full(len(visits), -1)
        starts, ends, tested = visits.start_frame.to_numpy(), visits.end_frame.to_numpy(), scene.sessions["test"]
        for visit in np.flatnonzero(np.isin(pids, tested.identities)):
            if not self._faults[visit] and rng(spec.seed, "buried", int(visit)).random() < spec.buried:
                self._labels[visit], self._faults[visit] = 0, "buried"
            random = rng(spec.seed, "ambiguous", int(visit))
            if self._faults[visit] or random.random() >= spec.ambiguous or len(tested.identities) < 2:
                continue
            busy = set(pids[(starts <= ends[visit]) & (ends >= starts[visit])])
            others = [pid for pid in tested.identities if pid != pids[visit]]
            self._companions[visit] = random.choice([pid for pid in others if pid not in busy] or others)

    def of(self, visit: int) -> tuple[int, str]:
        """Return the label of a visit and its fault, empty if there is none."""
        return int(self._labels[visit]), str(self._faults[visit])

    def companion(self, visit: int) -> int:
        """Return the pid of the second person in a visit's tracklets, -1 if there is none."""
        return int(self._companions[visit])


def _other(scene: Scene, pids: tuple[int, ...], pid: int, random: np.random.Generator) -> int:
    """Choose the identity of a wrong label: a look-alike's half of the time, where there is one."""
    group = scene.people[pid].group
    alike = [p for p in pids if p != pid and group >= 0 and scene.people[p].group == group]
    others = alike if alike and random.random() < 0.5 else [p for p in pids if p != pid]
    return int(random.choice(others))
