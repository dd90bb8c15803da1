"""One simulated scene: who is where, before which camera, at which frame."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from reidlab.errors import ConfigError
from reidlab.seeding import derive, rng
from reidlab.world.camera import Camera, make_cameras
from reidlab.world.people import Person, make_people
from reidlab.world.render import Actor, Renderer
from reidlab.world.spec import SPLITS, WorldSpec
from reidlab.world.walks import WalkGraph, nearness, paths_before

_PAUSE_S = 120.0  # between the sessions
_ALONGSIDE_M = 0.3  # two people overlap in the picture when they are less than this apart sideways


@dataclass(frozen=True)
class Session:
    """One recording, of the training people or of the test people.

    Attributes:
        split: ``train`` or ``test``.
        first, last: frames, both included.
        identities: pids that have a label; ``distractors``: pids of people who are just there.
    """

    split: str
    first: int
    last: int
    identities: tuple[int, ...]
    distractors: tuple[int, ...]


@dataclass(frozen=True)
class Visit:
    """One passage of a person before a camera.

    Attributes:
        visit: its number, from 0.
        split: the session it belongs to.
        pid, camid: who, before which camera.
        start_frame, end_frame: when, both included; at either end the person may still be beyond the picture's edge.
        round: which of the person's rounds through the site it belongs to.
        met: the visit whose path this one was made to cross; -1 for none.
    """

    visit: int
    split: str
    pid: int
    camid: int
    start_frame: int
    end_frame: int
    round: int
    met: int


class Scene:
    """People walking through the views of cameras that do not overlap.

    The cameras are places of a walk graph. Everybody makes some rounds through the site, which are spread over
    their session: they enter a view at an edge of its walkable ground, cross it at the speed of their own gait, leave,
    and reach the next view after a walking time. All layouts (frames, pictures, tracklets) are exported from this
    one scene, so that the same people do the same things in each.

    Args:
        spec: what the world is made from.

    Attributes:
        spec: as given.
        people: everybody, by pid.
        cameras: the cameras, camid 1 first.
        areas: by camera, the (k, 2) polygon of ground, x and z in metres, that people cross.
        graph: the site.
        renderers: the renderers made so far, by camid; ask for one with :meth:`renderer`.
        sessions: the training and the test session by name.
        visits: table with a row per :class:`Visit`: its attributes, and ``path``, the (frames, 2) ground positions
            x, z in metres.

    Example:
        >>> scene = Scene(WorldSpec(train_people=2, test_people=2, distractors=0, cameras=2, visits=1))
        >>> sorted(scene.visits.groupby("pid").camid.nunique())
        [2, 2, 2, 2]
    """

    def __init__(self, spec: WorldSpec) -> None:
        self.spec = spec
        self.cameras: list[Camera] = make_cameras(
            spec.cameras, derive(spec.seed if spec.camera_seed is None else spec.camera_seed, "cameras", spec.place),
            width=spec.frame_width, height=spec.frame_height, look_strength=spec.look_strength,
            occluders=spec.occluders, scenes=spec.scenes,
        )  # fmt: skip
        self.renderers: dict[int, Renderer] = {}
        self.areas = [camera.ground_area() for camera in self.cameras]
        self.graph = WalkGraph.draw(spec.cameras, spec.site_spacing_m, rng(spec.seed, "site"))
        self.people: dict[int, Person] = {}
        self.sessions: dict[str, Session] = {}
        self._visits: list[Visit] = []
        self._tracks: list[np.ndarray] = []
        self._outlines: dict[int, np.ndarray] = {}
        self._meetings = 0
        first = 1
        for split in SPLITS:
            self.sessions[split] = self._simulate(split, first)
            first = self.sessions[split].last + 1 + round(_PAUSE_S * spec.frame_rate)
        self.visits = pd.DataFrame(self._visits)
        self.visits["path"] = [track[:, :2] for track in self._tracks]
        self._index = [
            np.array([(v.start_frame, v.end_frame, v.visit) for v in self._visits if v.camid == camera.camid] or
                     np.empty((0, 3)), dtype=int)
            for camera in self.cameras
        ]  # fmt: skip

    def renderer(self, camid: int) -> Renderer:
        """Return the renderer of a camera.

        Raises:
            ConfigError: there is no such camera.
        """
        if not 1 <= camid <= len(self.cameras):
            raise ConfigError(f"camera {camid} does not exist; this world has cameras 1..{len(self.cameras)}")
        if camid not in self.renderers:
            self.renderers[camid] = Renderer(self.cameras[camid - 1], self.spec.nuisances)
        return self.renderers[camid]

    def is_distractor(self, pid: int) -> bool:
        """Return whether a person is a distractor, who is nobody's query."""
        return any(pid in session.distractors for session in self.sessions.values())

    def shot(self, frame: int) -> int:
        """Return the number of the spell of constant light that ``frame`` belongs to."""
        return int(frame / (self.spec.light_period_s * self.spec.frame_rate))

    def visits_at(self, camid: int, frame: int) -> list[int]:
        """Return the visits that are going on before a camera at a frame.

        Raises:
            ConfigError: there is no such camera.
        """
        if not 1 <= camid <= len(self.cameras):
            raise ConfigError(f"camera {camid} does not exist; this world has cameras 1..{len(self.cameras)}")
        index = self._index[camid - 1]
        return [int(v) for v in index[(index[:, 0] <= frame) & (frame <= index[:, 1]), 2]]

    def actor(self, visit: int, frame: int) -> Actor:
        """Return the person of a visit as they are at a frame of it.

        Raises:
            ConfigError: the frame is not within the visit.
        """
        row, track = self._visits[visit], self._tracks[visit]
        offset = frame - row.start_frame
        if not 0 <= offset < len(track):
            raise ConfigError(
                f"visit {visit} lasts from frame {row.start_frame} to {row.end_frame}; {frame} is not in it"
            )
        x, z, heading, phase = (float(v) for v in track[offset])
        return Actor(self.people[row.pid], x, z, heading, phase)

    def actors(self, camid: int, frame: int) -> list[Actor]:
        """Return everybody before a camera at a frame, also those still beyond the edge of the picture."""
        return [self.actor(visit, frame) for visit in self.visits_at(camid, frame)]

    def __getstate__(self) -> dict[str, object]:
        # Renderers are heavy and are made where they are needed.
        return {**self.__dict__, "renderers": {}, "_outlines": {}}

    def visit(self, number: int) -> Visit:
        """Return a visit by its number."""
        return self._visits[number]

    def path(self, visit: int) -> np.ndarray:
        """Return the (frames, 4) track of a visit: x, z in metres, heading and phase in radians."""
        return self._tracks[visit]

    def outline(self, visit: int) -> np.ndarray:
        """Return rough boxes (frames, 4) x, y, w, h of a visit's person: half as wide as high, quick to compute."""
        if visit not in self._outlines:
            row, track = self._visits[visit], self._tracks[visit]
            ground = np.stack([track[:, 0], np.zeros(len(track)), track[:, 1]], axis=1)
            camera, stature = self.cameras[row.camid - 1], self.people[row.pid].height_m
            foot, _ = camera.project(ground)
            head, _ = camera.project(ground + np.array([0.0, stature, 0.0]))
            height = foot[:, 1] - head[:, 1]
            middle = 0.5 * (foot[:, 0] + head[:, 0])
            self._outlines[visit] = np.stack([middle - 0.25 * height, head[:, 1], 0.5 * height, height], axis=1)
        return self._outlines[visit]

    def visits_near(self, camid: int, frame: int, box: np.ndarray, reach: float = 0.0) -> list[int]:
        """Return the visits whose person's rough box, widened by ``reach`` of its width, touches another box.

        Args:
            camid: camera.
            frame: frame number.
            box: (4,) x, y, w, h in frame pixels.
            reach: share of the rough box's width that is added on either side.

        Raises:
            ConfigError: there is no such camera.
        """
        found = []
        for visit in self.visits_at(camid, frame):
            x, y, w, h = self.outline(visit)[frame - self._visits[visit].start_frame]
            more = reach * w
            if x - more < box[0] + box[2] and box[0] < x + w + more and y < box[1] + box[3] and box[1] < y + h:
                found.append(visit)
        return found

    def boxes(self, camid: int, frame: int) -> pd.DataFrame:
        """Return who is seen: ``visit``, ``pid``, ``x``, ``y``, ``w``, ``h`` (px, cut at the frame), ``visibility``.

        People of whom nothing is within the frame have no row.
        """
        visits = self.visits_at(camid, frame)
        actors = [self.actor(visit, frame) for visit in visits]
        renderer = self.renderer(camid)
        boxes = clip_boxes(renderer.boxes(actors), self.cameras[camid - 1])
        table = pd.DataFrame(boxes, columns=["x", "y", "w", "h"])
        table.insert(0, "pid", np.array([actor.person.pid for actor in actors], dtype=np.int64))
        table.insert(0, "visit", np.array(visits, dtype=np.int64))
        table["visibility"] = renderer.visibility(actors) if actors else np.zeros(0)
        return table[(table.w >= 1) & (table.h >= 1)].reset_index(drop=True)

    def frame(self, camid: int, frame: int) -> np.ndarray:
        """Return what a camera sees at a frame, (H, W, 3) uint8 RGB; the same whenever it is asked for."""
        random = rng(self.spec.seed, "frame", camid, frame)
        return self.renderer(camid).frame(self.actors(camid, frame), rng=random, shot=self.shot(frame))

    def _simulate(self, split: str, first: int) -> Session:
        """Let the people of one session walk; the events of all cameras are taken in the order of time."""
        spec = self.spec
        identities, distractors = self._crowd(split)
        walkers = [_Walker(self, pid, split) for pid in identities]
        walkers += [_Walker(self, pid, split, passing=True) for pid in distractors]
        rate = spec.frame_rate
        # A passage takes about eleven seconds; the session is long enough for the wanted number of people in view.
        watched = 11.0 * sum(len(walk) for walker in walkers for walk in walker.walks)
        longest = max(walker.duration_s for walker in walkers)
        slot = max(watched / (spec.cameras * spec.occupancy) / spec.visits, 1.1 * longest)
        queue: list[tuple[int, int, int, int]] = []
        for number, walker in enumerate(walkers):
            for turn in range(len(walker.walks)):
                start = (turn + walker.random.random() * (1.0 - walker.duration_s / slot)) * slot
                queue.append((first + round(start * rate), number, turn, 0))
        heapq.heapify(queue)
        present: list[list[int]] = [[] for _ in self.cameras]
        ends: dict[tuple[int, int], int] = {}
        last = first
        while queue:
            frame, number, turn, step = heapq.heappop(queue)
            walker = walkers[number]
            # A round that took longer than planned delays the next one: nobody is in two places at once.
            free = ends.get((number, turn - 1), frame) if step == 0 and turn else frame - 1
            if free >= frame:
                heapq.heappush(queue, (free + round(30 * rate), number, turn, 0))
                continue
            walk = walker.walks[turn]
            place = walk[step]
            here = present[place]
            here[:] = [v for v in here if self._visits[v].end_frame >= frame]
            track, met = self._choose_path(walker, place, frame, here)
            end = frame + len(track) - 1
            here.append(len(self._visits))
            self._visits.append(Visit(len(self._visits), split, walker.person.pid, place + 1, frame, end, turn, met))
            self._tracks.append(track)
            last = max(last, end)
            if step + 1 < len(walk):
                way = float(self.graph.lengths[place, walk[step + 1]])
                seconds = way / walker.person.speed_mps * float(np.exp(walker.random.normal(0, spec.travel_noise)))
                heapq.heappush(queue, (end + max(1, round(seconds * rate)), number, turn, step + 1))
            else:
                ends[number, turn] = end
        return Session(split, first, last, tuple(identities), tuple(distractors))

    def _crowd(self, split: str) -> tuple[list[int], list[int]]:
        """Draw the people of a session; return the pids of identities and of distractors."""
        spec = self.spec
        counts = {"train": spec.train_people, "test": spec.test_people}
        first = 1 if split == "train" else 1 + spec.train_people
        aside = 1 + spec.train_people + spec.test_people + (0 if split == "train" else spec.distractors)
        found = []
        for start, count, group in ((first, counts[split], spec.lookalikes), (aside, spec.distractors, 0.0)):
            crowd = make_people(
                count, spec.dress, derive(spec.seed, "people", spec.place), first_pid=start, lookalikes=group,
                group_size=spec.group_size,
            )  # fmt: skip
            self.people.update((person.pid, person) for person in crowd)
            found.append([person.pid for person in crowd])
        return found[0], found[1]

    def _choose_path(self, walker: _Walker, place: int, frame: int, here: list[int]) -> tuple[np.ndarray, int]:
        """Choose a path that crosses somebody's in the picture, or keeps clear of everybody's."""
        candidates = paths_before(
            self.cameras[place], self.areas[place], walker.person, self.spec.frame_rate, walker.random
        )
        # One path made to cross another is a crossing for both; who meets nobody is made up for by the next.
        meets = bool(here) and 2 * self._meetings < self.spec.nuisances.crossing * (len(self._visits) + 1)
        best, best_value, met = candidates[0], -np.inf, -1
        for track in candidates:
            value, other = np.inf, -1
            for visit in here:
                gap, touching = nearness(track, self._tracks[visit][frame - self._visits[visit].start_frame :])
                if touching:
                    gap = -1.0 if not meets else np.inf
                if gap < value:
                    value, other = gap, visit
            # Far from everybody is as good as farther; among the crossings, any will do.
            value = min(value, 1.5)
            score = -max(value, _ALONGSIDE_M) if meets else value
            if score > best_value:
                best, best_value, met = track, score, other if value <= _ALONGSIDE_M and meets else -1
        self._meetings += met >= 0
        return best, met


class _Walker:
    """Somebody's plan for a session: rounds, each a walk over cameras (from 0)."""

    def __init__(self, scene: Scene, pid: int, split: str, passing: bool = False) -> None:
        spec = scene.spec
        self.person = scene.people[pid]
        self.random = rng(spec.seed, "walk", split, pid)
        share = min(spec.coverage, 0.4) if passing else spec.coverage
        count = min(spec.cameras, max(2, round(share * spec.cameras)))
        cameras = scene.graph.choose_cameras(count, self.random)
        self.walks = [scene.graph.walk(cameras, self.random) for _ in range(spec.visits)]
        ways = [sum(float(scene.graph.lengths[a, b]) for a, b in pairwise(walk)) for walk in self.walks]
        seconds = [12.0 * len(walk) + 1.2 * way / self.person.speed_mps for walk, way in zip(self.walks, ways)]
        self.duration_s = max(seconds)


def clip_boxes(boxes: np.ndarray, camera: Camera) -> np.ndarray:
    """Return boxes (n, 4) cut at the edges of a camera's frame; width or height is 0 for those outside."""
    low = np.clip(boxes[:, :2], 0, (camera.width, camera.height))
    high = np.clip(boxes[:, :2] + boxes[:, 2:], 0, (camera.width, camera.height))
    return np.concatenate([low, high - low], axis=1)
