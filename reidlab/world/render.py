"""Pictures of a scene: full frames, and crops of it drawn straight at their own size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reidlab.errors import ConfigError
from reidlab.world.camera import Camera
from reidlab.world.nuisances import Nuisances
from reidlab.world.people import Person


@dataclass(frozen=True)
class Actor:
    """A person somewhere, at one moment.

    Attributes:
        person: who.
        x_m, z_m: where, in the camera's ground frame.
        heading_rad: where they walk: 0 = towards the camera, pi/2 = to the right of the picture.
        phase_rad: phase of the double step.
        stride: share of the person's own stride; 0 = stands still.
    """

    person: Person
    x_m: float
    z_m: float
    heading_rad: float = 0.0
    phase_rad: float = 0.0
    stride: float = 1.0


class Renderer:
    """Draws what one camera sees."""

    def __init__(self, camera: Camera, nuisances: Nuisances | None = None) -> None:
        self.camera = camera
        self.nuisances = nuisances or Nuisances()

    def ground_area(self) -> np.ndarray:
        """Return the polygon (k, 2) of walkable ground that is seen, (x, z) in metres."""
        c = self.camera
        near, far = c.near_m, c.far_m
        slope = 0.5 * c.width / c.focal_px
        return np.array([[-slope * near, near], [slope * near, near], [slope * far, far], [-slope * far, far]])

    def boxes(self, actors: list[Actor]) -> np.ndarray:
        """Return tight boxes (n, 4) x, y, w, h in frame pixels, not clipped to the frame."""
        out = np.zeros((len(actors), 4))
        for i, a in enumerate(actors):
            (foot, head), _ = self.camera.project(
                np.array([[a.x_m, 0.0, a.z_m], [a.x_m, a.person.height_m, a.z_m]])
            )
            h = foot[1] - head[1]
            out[i] = (foot[0] - 0.2 * h, head[1], 0.4 * h, h)
        return out

    def visibility(self, actors: list[Actor]) -> np.ndarray:
        """Return the share (n,) of each person that is not hidden."""
        return np.ones(len(actors))

    def frame(self, actors: list[Actor], rng: np.random.Generator | None = None, shot: int = 0) -> np.ndarray:
        """Return the frame (H, W, 3) uint8 RGB."""
        c = self.camera
        return self._draw(actors, (0.0, 0.0, float(c.width), float(c.height)), (c.height, c.width))

    def crop(
        self,
        actors: list[Actor],
        box: np.ndarray,
        size: tuple[int, int] = (128, 64),
        rng: np.random.Generator | None = None,
        shot: int = 0,
    ) -> np.ndarray:
        """Return the window ``box`` of the same scene, drawn at ``size`` (height, width), uint8 RGB."""
        if not (np.isfinite(box).all() and box[2] > 0 and box[3] > 0):
            raise ConfigError(f"Renderer.crop(box={list(box)}) needs finite x, y and positive width, height in px")
        return self._draw(actors, tuple(float(v) for v in box), size)

    def _draw(
        self, actors: list[Actor], window: tuple[float, float, float, float], size: tuple[int, int]
    ) -> np.ndarray:
        import cv2

        image = np.full((*size, 3), 128, np.uint8)
        sx, sy = size[1] / window[2], size[0] / window[3]
        for a, (x, y, w, h) in sorted(zip(actors, self.boxes(actors)), key=lambda p: -p[0].z_m):
            left, top = round((x - window[0]) * sx), round((y - window[1]) * sy)
            right, bottom = round((x + w - window[0]) * sx), round((y + h - window[1]) * sy)
            cv2.rectangle(image, (left, top), (right, (top + bottom) // 2), a.person.upper_colour, -1)
            cv2.rectangle(image, (left, (top + bottom) // 2), (right, bottom), a.person.lower_colour, -1)
        return image
