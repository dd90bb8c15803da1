"""Cameras: geometry, colour response and the objects that stand in front of each.

Ground frame of a camera: ``x`` to the right, ``z`` away from it, ``y`` up, in metres; the camera stands at
``(0, height_m, 0)``. Pixels are those of its full frame, origin at the top left.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from reidlab.checks import check_choice, check_integer, check_number
from reidlab.errors import ConfigError
from reidlab.seeding import derive, rng

SCENES = ("street", "corridor", "plaza", "hall", "carpark", "park")
OCCLUDERS = ("car", "bench", "pole", "bollard", "bin", "planter", "wall", "pillar")

Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
_IDENTITY: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Look:
    """How a camera turns light into numbers.

    Attributes:
        light_azimuth: direction the light comes from, radians in the ground frame (0 = from behind the camera,
            pi/2 = from the right).
        light_elevation: height of the light over the horizon, radians.
        sun: share (0..1) of direct light; the rest is diffuse and casts no shadow.
        matrix: 3 x 3 colour matrix on RGB, white balance included.
        gamma: exponent on the 0..1 signal; below 1 lifts the shadows.
        saturation: 1 = as it is, 0 = grey.
        exposure: factor on the light.
        blur_px: sigma of the lens blur in frame pixels.
        noise: sigma of the sensor noise in grey levels (0..255).
        jpeg_quality: 1..100.
        vignette: loss of light in the corners, as a share.
    """

    light_azimuth: float = 0.6
    light_elevation: float = 0.9
    sun: float = 0.4
    matrix: Matrix = _IDENTITY
    gamma: float = 1.0
    saturation: float = 1.0
    exposure: float = 1.0
    blur_px: float = 0.5
    noise: float = 3.0
    jpeg_quality: int = 80
    vignette: float = 0.15

    @property
    def light_direction(self) -> np.ndarray:
        """Return the unit vector (3,) towards the light in the camera's ground frame."""
        across, up = np.cos(self.light_elevation), np.sin(self.light_elevation)
        return np.array([across * np.sin(self.light_azimuth), up, -across * np.cos(self.light_azimuth)])


@dataclass(frozen=True)
class Occluder:
    """An object on the ground that hides people behind it.

    Attributes:
        kind: one of :data:`OCCLUDERS`.
        x_m, z_m: middle of its footprint in the camera's ground frame.
        width_m, depth_m, height_m: size before turning.
        turn_rad: rotation about the vertical.
        colour: RGB of its main surface.
    """

    kind: str
    x_m: float
    z_m: float
    width_m: float
    depth_m: float
    height_m: float
    turn_rad: float = 0.0
    colour: tuple[int, int, int] = (110, 112, 114)

    def __post_init__(self) -> None:
        """Check the kind.

        Raises:
            ConfigError: if the kind is unknown or a size is not positive.
        """
        check_choice("Occluder.kind", self.kind, OCCLUDERS)
        for name in ("width_m", "depth_m", "height_m"):
            check_number(f"Occluder.{name}", getattr(self, name), above=0)

    @property
    def radius_m(self) -> float:
        """Return the radius of the circle around the footprint, in metres: people keep out of it."""
        return 0.5 * float(np.hypot(self.width_m, self.depth_m))

    def hides(self, x_m: float, z_m: float) -> bool:
        """Return whether it stands before, rather than behind, somebody at (x, z): by its nearest point to them."""
        s, c = np.sin(self.turn_rad), np.cos(self.turn_rad)
        dx, dz = x_m - self.x_m, z_m - self.z_m
        a = min(max(c * dx - s * dz, -0.5 * self.width_m), 0.5 * self.width_m)
        b = min(max(s * dx + c * dz, -0.5 * self.depth_m), 0.5 * self.depth_m)
        return bool(self.z_m - s * a + c * b < z_m)


@dataclass(frozen=True)
class Camera:
    """A fixed camera: pinhole geometry, look, and the scene before it.

    Attributes:
        camid: camera number, from 1.
        width, height: frame size in pixels.
        height_m: height over the ground in metres.
        pitch_rad: downward tilt; ``roll_rad``: turn about the viewing axis.
        focal_px: focal length in pixels.
        near_m, far_m: nearest and farthest ``z`` at which people walk.
        left_m, right_m: ``x`` between which people walk; walls stand a little farther out.
        scene: one of :data:`SCENES`.
        look: how it sees.
        occluders: static objects in front of it.
        seed: what the background is drawn from.
    """

    camid: int
    width: int = 640
    height: int = 360
    height_m: float = 3.5
    pitch_rad: float = 0.25
    roll_rad: float = 0.0
    focal_px: float = 520.0
    near_m: float = 6.0
    far_m: float = 18.0
    left_m: float = -20.0
    right_m: float = 20.0
    scene: str = "street"
    look: Look = field(default_factory=Look)
    occluders: tuple[Occluder, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the geometry.

        Raises:
            ConfigError: if a size, distance or scene is not allowed.
        """
        check_integer("Camera.width", self.width, 32)
        check_integer("Camera.height", self.height, 32)
        check_choice("Camera.scene", self.scene, SCENES)
        check_number("Camera.near_m", self.near_m, above=0, below=self.far_m)
        check_number("Camera.left_m", self.left_m, below=self.right_m)
        check_number("Camera.focal_px", self.focal_px, above=0)
        check_number("Camera.height_m", self.height_m, above=0)

    @property
    def road(self) -> float:
        """Return on which side a street's road runs: +1 right, -1 left."""
        return 1.0 if self.right_m > -self.left_m else -1.0

    @property
    def kerb_m(self) -> float:
        """Return the ``x`` of a street's kerb."""
        return self.road * 0.36 * max(self.right_m, -self.left_m)

    def axes(self) -> np.ndarray:
        """Return the camera's right, down and forward unit vectors in the ground frame, rows of (3, 3)."""
        sp, cp, sr, cr = np.sin(self.pitch_rad), np.cos(self.pitch_rad), np.sin(self.roll_rad), np.cos(self.roll_rad)
        right, down = np.array([1.0, 0.0, 0.0]), np.array([0.0, -cp, -sp])
        return np.stack([cr * right + sr * down, cr * down - sr * right, np.array([0.0, -sp, cp])])

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project points of the ground frame.

        Args:
            points: (..., 3) x, y, z in metres.

        Returns:
            Pixels (..., 2) and depths (...,) along the viewing axis in metres (negative: behind the camera).
        """
        seen = (np.asarray(points, dtype=float) - (0.0, self.height_m, 0.0)) @ self.axes().T
        depth = seen[..., 2]
        pixels = self.focal_px * seen[..., :2] / depth[..., None] + (0.5 * self.width, 0.5 * self.height)
        return pixels, depth

    def ground(self, pixels: np.ndarray) -> np.ndarray:
        """Return the (..., 2) ground points (x, z) in metres seen at ``pixels`` (..., 2); inf above the horizon."""
        uv = (np.asarray(pixels, dtype=float) - (0.5 * self.width, 0.5 * self.height)) / self.focal_px
        rays = uv @ self.axes()[:2] + self.axes()[2]
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(rays[..., 1] < -1e-9, -self.height_m / rays[..., 1], np.inf)
            return rays[..., [0, 2]] * scale[..., None]

    def ground_area(self) -> np.ndarray:
        """Return the polygon (k, 2) of walkable ground on which a whole person is in the picture: (x, z) in metres."""
        depths = np.linspace(self.near_m, self.far_m, 6)
        left, right = (np.array([self._reach(z, side) for z in depths]) for side in (-1, 1))
        return np.concatenate([np.stack([right, depths], 1), np.stack([left, depths], 1)[::-1]])

    def _reach(self, z: float, side: int) -> float:
        """Return the x at which a person at depth ``z`` begins to leave the frame on one side."""
        edge = 0.0 if side < 0 else float(self.width)
        (at, _), depth = self.project(np.array([0.0, 0.9, z]))
        x = float((edge - at) * depth / self.focal_px - side * 0.4)
        return min(max(x, self.left_m), self.right_m)


def make_cameras(
    n: int,
    seed: int,
    *,
    width: int = 640,
    height: int = 360,
    look_strength: float = 1.0,
    occluders: int = 3,
    scenes: tuple[str, ...] = SCENES,
    first_camid: int = 1,
) -> list[Camera]:
    """Draw ``n`` cameras that differ in place, view and look.

    Args:
        n: number of cameras, at least 0.
        seed: seed of the network of cameras.
        width: frame width in pixels.
        height: frame height in pixels.
        look_strength: 0 gives every camera the same neutral look, 1 looks as different as in real networks;
            up to 2.
        occluders: static objects in front of each camera.
        scenes: kinds of scene, dealt in a random order.
        first_camid: number of the first camera.

    Raises:
        ConfigError: if an argument is out of range.
    """
    check_integer("n", n, what="the number of cameras")
    check_number("look_strength", look_strength, 0, 2)
    check_integer("occluders", occluders)
    if not scenes:
        raise ConfigError(f"make_cameras(scenes=()) needs at least one of {', '.join(SCENES)}")
    order = rng(seed, "scenes").permutation(len(scenes))
    return [
        _draw_camera(first_camid + i, scenes[order[i % len(scenes)]], seed, (width, height), look_strength, occluders)
        for i in range(n)
    ]


def _draw_camera(
    camid: int, scene: str, seed: int, size: tuple[int, int], look_strength: float, occluders: int
) -> Camera:
    random = rng(seed, "camera", camid)
    indoor = scene in ("corridor", "hall")
    width, height = size
    height_m = float(random.uniform(2.6, 3.6) if indoor else random.uniform(3.2, 5.8))
    focal = float(random.uniform(0.95, 1.25) * width)
    # People 9 to 12 m away stand in the middle of the picture.
    middle = random.uniform(9.5, 12.0)
    pitch = float(np.arctan2(height_m - 0.9, middle))
    bare = Camera(
        camid=camid, width=width, height=height, height_m=height_m, pitch_rad=pitch,
        roll_rad=float(random.normal(0.0, 0.012)), focal_px=focal, scene=scene, seed=derive(seed, "scene", camid),
        look=_draw_look(random, indoor, look_strength),
    )  # fmt: skip
    # Walkable from where a whole person fits into the frame to where one is still about 50 px tall.
    near = float(bare.ground(np.array([0.5 * width, 0.97 * height]))[1])
    far = float(np.clip(focal * 1.72 / 52.0 * (height / 360.0) ** -1, near + 5.0, near + 16.0))
    camera = replace(bare, near_m=near, far_m=far, **_limits(random, scene))
    things: list[Occluder] = []
    for _ in range(40 * occluders):
        if len(things) == occluders:
            break
        thing = _draw_occluder(random, camera)
        room = [np.hypot(thing.x_m - o.x_m, thing.z_m - o.z_m) - thing.radius_m - o.radius_m for o in things]
        if camera.left_m <= thing.x_m <= camera.right_m and min(room, default=9.0) > 0.8:
            things.append(thing)
    return replace(camera, occluders=tuple(things))


def _limits(random: np.random.Generator, scene: str) -> dict[str, float]:
    """Return between which ``x`` people can walk: a street has houses on one side and a road on the other."""
    side = -1.0 if random.random() < 0.5 else 1.0
    near, far = {
        "street": (random.uniform(2.8, 4.2), random.uniform(6.5, 9.0)),
        "corridor": (random.uniform(2.2, 3.2), random.uniform(2.2, 3.2)),
        "hall": (random.uniform(4.5, 6.5), 20.0),
    }.get(scene, (20.0, 20.0))
    left, right = (near, far) if side < 0 else (far, near)
    return {"left_m": float(-left), "right_m": float(right)}


def _draw_look(random: np.random.Generator, indoor: bool, strength: float) -> Look:
    temperature = random.normal(0.0, 0.10) * strength  # blue to yellow
    tint = random.normal(0.0, 0.035) * strength  # green to magenta
    gains = np.exp([temperature + tint, -tint, -temperature + tint])
    crosstalk = random.normal(0.0, 0.045, (3, 3)) * strength
    np.fill_diagonal(crosstalk, 0.0)
    mix = np.eye(3) + crosstalk - np.diag(crosstalk.sum(axis=1))
    matrix = tuple(tuple(float(v) for v in row) for row in np.diag(gains) @ mix)
    return Look(
        light_azimuth=float(random.uniform(-np.pi, np.pi)),
        light_elevation=float(random.uniform(0.55, 1.2)),
        sun=float(random.uniform(0.05, 0.2) if indoor else random.choice((random.uniform(0.05, 0.25), 0.6))),
        matrix=matrix,
        gamma=float(np.exp(random.normal(-0.04, 0.13) * strength)),
        saturation=float(np.clip(1.0 + random.normal(-0.1, 0.2) * strength, 0.35, 1.5)),
        exposure=float(np.exp(0.1 + random.normal(0.0, 0.12) * strength)),
        blur_px=float(random.uniform(0.35, 0.95)),
        noise=float(random.uniform(2.0, 6.0)),
        jpeg_quality=int(random.integers(45, 86)),
        vignette=float(random.uniform(0.05, 0.25)),
    )


_SIZES = {
    "car": (4.2, 1.75, 1.45),
    "bench": (1.6, 0.5, 0.8),
    "pole": (0.16, 0.16, 4.2),
    "bollard": (0.22, 0.22, 0.95),
    "bin": (0.55, 0.5, 1.05),
    "planter": (1.3, 0.6, 0.95),
    "wall": (2.4, 0.3, 0.8),
    "pillar": (0.55, 0.55, 3.2),
}
_PLACED = {
    "street": ("car", "pole", "bollard", "bin", "planter"),
    "corridor": ("bin", "pillar", "bench", "planter"),
    "plaza": ("bench", "planter", "pole", "wall", "bin"),
    "hall": ("pillar", "bench", "planter", "bin"),
    "carpark": ("car", "bollard", "pole", "car", "wall"),
    "park": ("bench", "bin", "pole", "wall", "planter"),
}
_COLOURS = {
    "car": ((150, 152, 156), (44, 46, 52), (196, 196, 194), (110, 40, 42), (52, 66, 96)),
    "bench": ((104, 80, 58),),
    "pole": ((92, 94, 96), (64, 70, 68)),
    "bollard": ((84, 84, 86), (168, 148, 64)),
    "bin": ((58, 70, 62), (78, 80, 84), (60, 66, 86)),
    "planter": ((136, 126, 114), (116, 112, 108)),
    "wall": ((152, 142, 128), (130, 98, 84)),
    "pillar": ((172, 168, 160), (140, 140, 142)),
}


def _draw_occluder(random: np.random.Generator, camera: Camera) -> Occluder:
    kinds = _PLACED[camera.scene]
    kind = kinds[int(random.integers(len(kinds)))]
    sizes = np.array(_SIZES[kind]) * random.uniform(0.92, 1.1)
    turn = random.normal(0.0, 0.12)
    # Spread over the near half of the walkable ground, where things hide the people behind them.
    z = camera.near_m + (camera.far_m - camera.near_m) * random.uniform(0.08, 0.6)
    half = 0.5 * camera.width / camera.focal_px * z
    x = random.uniform(-0.9, 0.9) * half
    if kind == "car" and camera.scene == "street":
        # Parked along the road, on the side away from the houses.
        turn += 0.5 * np.pi
        x = camera.road * random.uniform(1.0, 2.0) + camera.kerb_m
    elif kind == "car":
        turn += 0.5 * np.pi * int(random.integers(2))
        x = np.copysign(max(abs(x), 0.5 * half), x)
    colours = _COLOURS[kind]
    return Occluder(
        kind=kind, x_m=float(x), z_m=float(z), width_m=float(sizes[0]), depth_m=float(sizes[1]),
        height_m=float(sizes[2]), turn_rad=float(turn), colour=colours[int(random.integers(len(colours)))],
    )  # fmt: skip
