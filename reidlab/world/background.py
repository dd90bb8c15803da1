"""The place before a camera, drawn once per camera by casting a ray through every pixel.

Surfaces are the ground, walls, a ceiling indoors, hedges and trees, and convex solids (parked cars, benches, bins).
Each is textured in its own metres, so that paving, bricks and markings lie in the right perspective.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from reidlab.errors import StorageError
from reidlab.files import replacing
from reidlab.paths import cache_dir
from reidlab.seeding import rng
from reidlab.world.camera import Camera, Occluder
from reidlab.world.sampling import sample_at

SUPERSAMPLING = 2
Array = np.ndarray


@dataclass(frozen=True)
class Layer:
    """One occluder on the frame.

    Attributes:
        occluder: what it is.
        rgba: (h, w, 4) uint8, colours before the camera's look, not premultiplied.
        x, y: frame pixel of its top left corner.
    """

    occluder: Occluder
    rgba: Array
    x: int
    y: int


@dataclass(frozen=True)
class Background:
    """What a camera sees when nobody is there: ``rgb`` (H, W, 3) uint8 with occluders, and the occluders apart."""

    rgb: Array
    layers: tuple[Layer, ...]


@lru_cache(maxsize=24)
def background_of(camera: Camera, occluders: int, plain: float) -> Background:
    """Return the (cached) background of ``camera`` with its first ``occluders`` things.

    Painting one takes as long as drawing some hundred pictures, and worlds that differ in one parameter share
    their cameras, so backgrounds are cached on disk too.

    Args:
        camera: where and how; its look is not applied, only its light.
        occluders: how many of the camera's occluders are there.
        plain: 0 = the camera's own scene, 1 = a plain grey floor, mixed in between.
    """
    from reidlab.world.spec import world_code_hash

    text = f"{world_code_hash()}\n{camera!r}\n{occluders}\n{plain!r}"
    kept = cache_dir() / "backgrounds" / f"{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}.npz"
    if (background := _read(kept, camera, occluders)) is not None:
        return background
    background = _Scene(camera, occluders).draw(plain)
    arrays = {f"layer{number}": layer.rgba for number, layer in enumerate(background.layers)}
    places = [(camera.occluders.index(layer.occluder), layer.x, layer.y) for layer in background.layers]
    # A cache that cannot be written costs time, nothing else.
    with suppress(StorageError), replacing(kept) as draft, draft.open("wb") as stream:
        np.savez(stream, rgb=background.rgb, places=np.array(places, np.int64), **arrays)
    return background


def _read(path: Path, camera: Camera, occluders: int) -> Background | None:
    """Return the background in a file, or None if there is none that is whole."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            rgb, places = arrays["rgb"], arrays["places"].tolist()
            layers = [arrays[f"layer{number}"] for number in range(len(places))]
        known = camera.occluders[:occluders]
        fits = rgb.dtype == np.uint8 and rgb.shape == (camera.height, camera.width, 3)
        for layer, (which, x, y) in zip(layers, places):
            height, width, channels = layer.shape
            fits &= layer.dtype == np.uint8 and channels == 4 and min(which, x, y) >= 0 and which < len(known)
            fits &= x + width <= camera.width and y + height <= camera.height
        if fits:
            return Background(rgb, tuple(Layer(known[n], layer, x, y) for layer, (n, x, y) in zip(layers, places)))
    except Exception:  # whatever damage makes of a file
        pass
    return None


class _Scene:
    """Rays of one camera and the colours gathered along them: ``rgb`` (h, w, 3), at distances ``far`` (h, w)."""

    def __init__(self, camera: Camera, occluders: int) -> None:
        c, k = camera, SUPERSAMPLING
        self.camera, self.kept = camera, camera.occluders[:occluders]
        self.random = rng(c.seed, "background")
        u = ((np.arange(c.width * k, dtype=np.float32) + 0.5) / k - 0.5 * c.width) / c.focal_px
        v = ((np.arange(c.height * k, dtype=np.float32) + 0.5) / k - 0.5 * c.height) / c.focal_px
        axes = c.axes().astype(np.float32)
        self.rays = u[None, :, None] * axes[0] + v[:, None, None] * axes[1] + axes[2]
        self.light = c.look.light_direction.astype(np.float32)
        self.sun = c.look.sun
        self.pixel = 1.0 / (c.focal_px * k)  # width of a pixel at one metre
        self.tile = _noise_tile(self.random)

    def noise(self, x: Array, y: Array, period: float) -> Array:
        """Return smooth noise (mean 0, sigma 1) at (x, y) metres whose grains are ``period`` metres wide."""
        if not np.size(x):
            return np.zeros(np.shape(x), np.float32)
        size = self.tile.shape[0]
        a = np.mod(np.atleast_2d(x) * (4.0 / period), size).astype(np.float32)
        b = np.mod(np.atleast_2d(y) * (4.0 / period), size).astype(np.float32)
        # Lists of pixels are folded: OpenCV's maps may not be longer than 32767 in one direction.
        n, rows = a.size, -(-a.size // 512)
        fold = np.zeros((2, rows * 512), np.float32)
        fold[0, :n], fold[1, :n] = a.ravel(), b.ravel()
        out = sample_at(self.tile, fold[0].reshape(rows, 512), fold[1].reshape(rows, 512), border=cv2.BORDER_WRAP)
        return out.ravel()[:n].reshape(np.shape(x))

    def grains(self, x: Array, y: Array, t: Array, period: float, octaves: int = 4) -> Array:
        """Return fractal noise; octaves finer than a pixel at distance ``t`` fade out."""
        out = np.zeros_like(x)
        for i in range(octaves):
            p = period / 2.3**i
            seen = np.clip(p / (self.pixel * t) / 8.0, 0, 1)
            out += 0.75**i * seen * self.noise(x + 13.7 * i, y - 7.1 * i, p)
        return out

    def draw(self, plain: float) -> Background:
        height, width = self.rays.shape[:2]
        self.rgb = np.empty((height, width, 3), np.float32)
        self.far = np.full((height, width), 400.0, np.float32)
        self._sky()
        for surface in _LAYOUTS[self.camera.scene](self):
            surface.paint(self)
        haze = 1 - np.exp(-np.maximum(self.far - 10.0, 0) / (220.0 if self.camera.scene not in _INDOOR else 600.0))
        self.rgb += haze[..., None] * (self.haze - self.rgb)
        if plain > 0:
            grey = 118 + 24 * np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
            self.rgb += np.float32(plain) * (grey - self.rgb)
        layers = [layer for o in self.kept if (layer := self._solid(o)) is not None]
        size = (width // SUPERSAMPLING, height // SUPERSAMPLING)
        rgb = np.clip(cv2.resize(self.rgb, size, interpolation=cv2.INTER_AREA), 0, 255).astype(np.uint8)
        for layer in sorted(layers, key=lambda one: -one.occluder.z_m):
            h, w = layer.rgba.shape[:2]
            part = rgb[layer.y : layer.y + h, layer.x : layer.x + w]
            alpha = layer.rgba[..., 3:].astype(np.float32) / 255
            part[:] = np.clip(part + alpha * (layer.rgba[..., :3] - part.astype(np.float32)), 0, 255)
        return Background(rgb, tuple(layers))

    def _sky(self) -> None:
        up = np.clip(self.rays[..., 1] / np.linalg.norm(self.rays, axis=2), 0, 1)
        clear = self.random.random() < 0.5
        low, high = ((206, 212, 218), (142, 172, 206)) if clear else ((214, 215, 216), (182, 186, 190))
        self.haze = np.array(low, np.float32)
        self.rgb[:] = self.haze + up[..., None] * 3.0 * (np.array(high, np.float32) - self.haze)

    def lit(self, normal: tuple[float, float, float]) -> float:
        """Return the light on a surface with this normal, 1 on sunlit open ground."""
        n = np.array(normal, np.float32)
        sky = 0.55 + 0.45 * n[1] if n[1] >= 0 else 0.45
        ground = (1 - self.sun) + self.sun * self.light[1]
        return float(((1 - self.sun) * sky + self.sun * max(0.0, float(n @ self.light))) / ground * 0.96 + 0.08)

    def shadow(self, x: Array, z: Array) -> Array:
        """Return the light (0..1) that occluders leave on the ground at (x, z)."""
        out = np.ones_like(x)
        for o in self.kept:
            near = (np.abs(x - o.x_m) < 5.0) & (np.abs(z - o.z_m) < 5.0)
            if not near.any():
                continue
            px, pz = x[near], z[near]
            lost = 0.5 * np.exp(-np.maximum(_outside(o, px, pz), 0) / 0.22)
            reach = min(o.height_m / np.tan(self.camera.look.light_elevation), 4.0)
            cast = np.zeros_like(px)
            dx, dz = -self.light[0], -self.light[2]
            norm = np.hypot(dx, dz) + 1e-6
            for share in np.linspace(0, 1, 7):
                d = _outside(o, px - dx / norm * reach * share, pz - dz / norm * reach * share)
                cast = np.maximum(cast, np.clip(0.5 - d / (0.1 + 0.25 * share), 0, 1))
            out[near] *= 1 - np.maximum(lost, 0.75 * self.sun * cast)
        return out

    def _solid(self, o: Occluder) -> Layer | None:
        """Cast rays at one occluder and return its layer, None if it is out of view."""
        corners = np.array([(a, b, y) for a in (-1, 1) for b in (-1, 1) for y in (0, 1)], float)
        s, c = np.sin(o.turn_rad), np.cos(o.turn_rad)
        lx, lz = 0.5 * o.width_m * corners[:, 0], 0.5 * o.depth_m * corners[:, 1]
        world = np.stack([o.x_m + c * lx + s * lz, o.height_m * corners[:, 2], o.z_m - s * lx + c * lz], axis=1)
        pixels, depth = self.camera.project(world)
        if depth.min() < 0.4:
            return None
        x0, y0 = np.floor(pixels.min(axis=0)).astype(int) - 1
        x1, y1 = np.ceil(pixels.max(axis=0)).astype(int) + 2
        x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, self.camera.width), min(y1, self.camera.height)
        if x1 - x0 < 2 or y1 - y0 < 2:
            return None
        k = SUPERSAMPLING
        rays = self.rays[y0 * k : y1 * k, x0 * k : x1 * k]
        # In the solid's own axes: x along its width, z along its depth.
        local = np.stack([c * rays[..., 0] - s * rays[..., 2], rays[..., 1], s * rays[..., 0] + c * rays[..., 2]], -1)
        eye = np.array([-c * o.x_m + s * o.z_m, self.camera.height_m, -s * o.x_m - c * o.z_m], np.float32)
        sun = np.array([c * self.light[0] - s * self.light[2], self.light[1], s * self.light[0] + c * self.light[2]])
        rgb = np.zeros((*rays.shape[:2], 3), np.float32)
        nearest = np.full(rays.shape[:2], np.inf, np.float32)
        for planes, painter in _solids(o):
            enter, which = _clip_rays(local, eye, planes)
            hit = enter < nearest
            if not hit.any():
                continue
            nearest[hit] = enter[hit]
            at = eye + local[hit] * enter[hit][:, None]
            normal = planes[which[hit], :3]
            if painter == "round":
                radial = at * (1.0, 0.0, 1.0) / (np.hypot(at[:, 0], at[:, 2])[:, None] + 1e-6)
                upright = np.abs(normal[:, 1:2]) < 0.5
                normal = radial * upright + normal * ~upright
            up = normal[:, 1]
            light = (1 - self.sun) * (0.62 + 0.38 * up) + self.sun * np.maximum(normal @ sun, 0) * 1.1 + 0.1
            colour = _solid_colour(self, o, painter, at, normal, enter[hit])
            rgb[hit] = colour * np.minimum(light * (0.72 + 0.28 * np.clip(at[:, 1] / 0.35, 0, 1)), 1.3)[:, None]
        alpha = np.isfinite(nearest).astype(np.float32)
        down = cv2.resize(alpha, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        colour = cv2.resize(rgb, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA) / np.maximum(down, 1e-3)[..., None]
        rgba = np.dstack([np.clip(colour, 0, 255), 255 * down]).astype(np.uint8)
        return Layer(o, rgba, x0, y0)


def _noise_tile(random: np.random.Generator) -> Array:
    """Return a (512, 512) tileable field of smooth noise with grains of about 4 cells, mean 0 and sigma 1."""
    coarse = random.standard_normal((512, 512)).astype(np.float32)
    wrapped = cv2.copyMakeBorder(coarse, 8, 8, 8, 8, cv2.BORDER_WRAP)
    smooth = cv2.GaussianBlur(wrapped, (0, 0), 1.4)[8:-8, 8:-8]
    return smooth / smooth.std()


def _outside(o: Occluder, x: Array, z: Array) -> Array:
    """Return the distance (m) of ground points from the footprint of ``o``, negative inside."""
    s, c = np.sin(o.turn_rad), np.cos(o.turn_rad)
    dx, dz = x - o.x_m, z - o.z_m
    a = np.abs(c * dx - s * dz) - 0.5 * o.width_m
    b = np.abs(s * dx + c * dz) - 0.5 * o.depth_m
    return np.maximum(a, b)


def _clip_rays(rays: Array, eye: Array, planes: Array) -> tuple[Array, Array]:
    """Return where rays enter a convex solid (inf: nowhere) and through which of ``planes`` (k, 4), n . p <= d."""
    enter = np.full(rays.shape[:2], 0.05, np.float32)
    leave = np.full(rays.shape[:2], np.inf, np.float32)
    which = np.zeros(rays.shape[:2], np.intp)
    for i, (nx, ny, nz, d) in enumerate(planes):
        slope = rays[..., 0] * nx + rays[..., 1] * ny + rays[..., 2] * nz
        room = d - (eye[0] * nx + eye[1] * ny + eye[2] * nz)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = room / slope
        entering = (slope < 0) & (t > enter)
        which[entering] = i
        enter = np.where(entering, t, enter)
        leave = np.where((slope > 0) & (t < leave), t, leave)
        if room < 0:
            enter = np.where(slope >= 0, np.inf, enter)
    return np.where(enter < leave, enter, np.inf).astype(np.float32), which


def _box(w: float, y0: float, y1: float, d: float, x: float = 0.0, z: float = 0.0, slant: float = 0.0) -> Array:
    """Return the planes of a box ``w`` x ``d`` metres from ``y0`` to ``y1``; ``slant`` leans the x sides inward."""
    n = 1.0 / np.hypot(1.0, slant)
    return np.array([
        (n, slant * n, 0, (0.5 * w + x + slant * y0) * n), (-n, slant * n, 0, (0.5 * w - x + slant * y0) * n),
        (0, 0, 1, 0.5 * d + z), (0, 0, -1, 0.5 * d - z), (0, 1, 0, y1), (0, -1, 0, -y0),
    ], np.float32)  # fmt: skip


def _prism(radius: float, y0: float, y1: float) -> Array:
    angle = np.arange(14) * (2 * np.pi / 14)
    sides = np.stack([np.cos(angle), 0 * angle, np.sin(angle), np.full(14, radius)], axis=1)
    return np.concatenate([sides, [(0, 1, 0, y1), (0, -1, 0, -y0)]]).astype(np.float32)


def _solids(o: Occluder) -> list[tuple[Array, str]]:
    """Return the convex pieces of an occluder and how each is painted."""
    w, d, h = o.width_m, o.depth_m, o.height_m
    if o.kind == "car":
        return [
            (_box(w, 0.2, 0.62 * h, d, slant=0.12), "body"),
            (_box(0.68 * w, 0.6 * h, h, 0.9 * d, x=-0.03 * w, slant=0.75), "cabin"),
            (_box(0.98 * w, 0.0, 0.3, 0.96 * d), "wheels"),
        ]
    if o.kind == "bench":
        seat = 0.55 * h
        return [
            (_box(w, seat - 0.05, seat, d), "wood"),
            (_box(w, seat + 0.1, h, 0.06, z=0.45 * d), "wood"),
            (_box(0.08, 0.0, seat, 0.9 * d, x=-0.4 * w), "iron"),
            (_box(0.08, 0.0, seat, 0.9 * d, x=0.4 * w), "iron"),
        ]
    if o.kind in ("pole", "bollard", "pillar"):
        return [(_prism(0.5 * w, 0.0, h), "round"), (_prism(0.75 * w, 0.0, min(0.12, 0.1 * h)), "round")]
    if o.kind == "bin":
        return [(_prism(0.5 * w, 0.0, 0.86 * h), "round"), (_prism(0.54 * w, 0.86 * h, h), "lid")]
    if o.kind == "planter":
        return [
            (_box(w, 0.0, 0.5 * h, d, slant=-0.1), "stone"),
            (_box(0.95 * w, 0.45 * h, h, 0.95 * d, slant=0.25), "leaves"),
        ]
    return [(_box(w, 0.0, 0.92 * h, d), "stone"), (_box(w + 0.08, 0.92 * h, h, d + 0.08), "stone")]


def _solid_colour(s: _Scene, o: Occluder, painter: str, at: Array, normal: Array, t: Array) -> Array:
    """Return the (n, 3) colours of an occluder at the points ``at`` (n, 3) in its own axes."""
    colour = np.repeat(np.array(o.colour, np.float32)[None], len(at), 0)
    x, y, z = at[:, 0], at[:, 1], at[:, 2]
    along = np.where(np.abs(normal[:, 0]) > 0.6, z, x)
    if painter in ("body", "cabin"):
        side = np.abs(normal[:, 2]) > 0.6
        glass = (painter == "cabin") & (normal[:, 1] < 0.9) & (y < o.height_m - 0.07)
        colour[glass] = (46, 52, 58)
        colour[glass] += 26 * np.clip((y[glass, None] / o.height_m - 0.7) * 3, 0, 1)
        post = glass & side & (np.abs(np.abs(x) - 0.02 * o.width_m) < 0.04)
        colour[post] = np.array(o.colour, np.float32) * 0.8
        if painter == "body":
            for wheel in (-0.31, 0.31):
                r = np.hypot(x - wheel * o.width_m, y - 0.3)
                colour[side & (r < 0.37)] = (22, 22, 24)
                colour[side & (r < 0.19)] = (122, 124, 128)
            for line in (-0.17, 0.06, 0.24):
                colour[side & (np.abs(x - line * o.width_m) < 0.012) & (y > 0.3)] *= 0.6
            ends = np.abs(normal[:, 0]) > 0.6
            colour[ends & (np.abs(np.abs(z) - 0.36 * o.depth_m) < 0.14) & (np.abs(y - 0.66) < 0.08)] = (176, 120, 108)
            colour[ends & (np.abs(z) < 0.26) & (np.abs(y - 0.48) < 0.06)] = (206, 206, 200)
        colour *= 1 + 0.12 * np.clip(normal[:, 1:2], 0, 1)
    elif painter == "wheels":
        colour[:] = (20, 20, 22)
    elif painter == "wood":
        board = (np.where(np.abs(normal[:, 1]) > 0.5, z, y) / 0.11) % 1.0
        colour *= np.where(board < 0.14, 0.45, 1 + 0.05 * s.noise(x * 0.3, z + y, 0.05))[:, None]
    elif painter == "iron":
        colour[:] = (46, 48, 50)
    elif painter == "leaves":
        tone = s.noise(x + 0.6 * z, y + 0.4 * z, 0.1) + 0.6 * s.noise(x - 0.5 * z, y, 0.24)
        colour[:] = np.array((84, 104, 60), np.float32)
        colour *= np.clip(1 + 0.2 * tone, 0.5, 1.6)[:, None]
        colour *= (0.75 + 0.4 * np.clip(y / o.height_m, 0, 1))[:, None]
    elif painter == "lid":
        colour *= 0.6
    elif painter == "stone":
        joint = np.minimum((along / 0.6) % 1.0, (y / 0.3) % 1.0) < 0.03
        colour *= (1 + 0.08 * s.grains(along, y, t, 0.5))[:, None] * np.where(joint, 0.75, 1.0)[:, None]
    else:
        angle = np.arctan2(x, z)
        colour *= (1 + 0.05 * s.grains(angle, y, t, 0.3))[:, None]
        if o.kind == "bollard":
            colour[np.abs(y - 0.8 * o.height_m) < 0.06] = (206, 202, 188)
        if o.kind == "bin":
            colour *= np.where((angle * 9 / np.pi) % 1.0 < 0.16, 0.72, 1.0)[:, None]
        if o.kind == "pole":
            sign = np.abs(y - 1.45) < 0.14
            colour[sign] = 0.5 * colour[sign] + 0.5 * np.array((196, 190, 176), np.float32)
    return colour


@dataclass
class _Surface:
    """A plane n . p = d with a texture in its own metres.

    Attributes:
        normal, d: the plane, in the camera's ground frame.
        texture: (scene, x, y, z, t) -> (n, 3) colours of the points; NaN leaves what is behind.
        keep: (x, y, z) -> bool, where the surface exists.
    """

    normal: tuple[float, float, float]
    d: float
    texture: object
    keep: object = None

    def paint(self, s: _Scene) -> None:
        n = np.array(self.normal, np.float32)
        slope = s.rays @ n
        room = self.d - s.camera.height_m * n[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            t = room / slope
        rows, cols = np.nonzero((t > 0.3) & (t < s.far))
        t = t[rows, cols]
        at = s.rays[rows, cols] * t[:, None]
        x, y, z = at[:, 0], at[:, 1] + s.camera.height_m, at[:, 2]
        if self.keep is not None:
            kept = self.keep(x, y, z)
            rows, cols, t, x, y, z = rows[kept], cols[kept], t[kept], x[kept], y[kept], z[kept]
        colour = self.texture(s, x, y, z, t)
        drawn = np.isfinite(colour[:, 0])
        rows, cols = rows[drawn], cols[drawn]
        s.rgb[rows, cols] = colour[drawn]
        s.far[rows, cols] = t[drawn]


def _tone(random: np.random.Generator, *colours: tuple[int, int, int], spread: float = 8.0) -> Array:
    base = np.array(colours[int(random.integers(len(colours)))], np.float32)
    drawn = base * float(random.normal(1.0, 0.08)) + random.normal(0, spread * 0.25, 3)
    return np.clip(drawn, 12, 245).astype(np.float32)


def _line(value: Array, width: float, t: Array, s: _Scene) -> Array:
    """Return how much (0..1) of a pixel a line of ``width`` metres at ``value`` = 0 covers."""
    # Seen at a slant, a pixel on the ground is several times longer than it is wide.
    foot = s.pixel * t * 1.6
    covered = np.clip((0.5 * width + 0.5 * foot - np.abs(value)) / np.maximum(foot, 1e-4), 0, 1)
    return covered * np.minimum(1.0, width / np.maximum(foot, width))


def _cells(x: Array, y: Array, s: _Scene) -> Array:
    """Return a random number (sigma 1) per unit cell."""
    i, j = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    return s.tile[(i * 37 + j * 11) % 512, (i * 17 + j * 53) % 512]


def _wear(s: _Scene, x: Array, z: Array, t: Array, strength: float) -> Array:
    """Return the light of stains, puddle marks and dirt on the ground."""
    spots = np.where(s.noise(x, z, 0.9) > 2.1, 1 - 1.6 * strength, 1.0)
    return (1 + strength * s.grains(x, z, t, 5.0, 3)) * spots


def _finish_ground(s: _Scene, rgb: Array, x: Array, z: Array, dark: Array) -> Array:
    return rgb * (s.shadow(x, z) * dark)[:, None]


def _sun_patches(s: _Scene, edge: float) -> object:
    """Return the ground's light under the shadow of a building or of leaves, drawn at random for the scene."""
    kind = s.random.integers(3)
    turn = float(s.camera.look.light_azimuth)
    offset = float(s.random.uniform(-2.0, 3.5)) + edge

    depth, outdoor = 0.72 * s.sun, s.camera.scene not in _INDOOR

    def light(x: Array, z: Array) -> Array:
        if kind == 0 and outdoor:
            across = x * np.cos(turn) + (z - 11.0) * np.sin(turn) + 0.1 * s.noise(x, z, 1.2) - offset
            return 1 - depth * np.clip(0.5 + across / 0.5, 0, 1)
        if kind == 1 and outdoor:
            return 1 - depth * np.clip(0.4 + 0.9 * s.noise(x, z, 1.6) + 0.5 * s.noise(x, z, 0.5), 0, 1)
        return np.ones_like(x)

    return light


def _paving(s: _Scene, colours: tuple, w: float, h: float, bond: float, joint: float, patches: object, walls: object):
    base = _tone(s.random, *colours)
    other = base * float(s.random.uniform(0.86, 1.1))
    bands = bool(s.random.random() < 0.4)

    def texture(s: _Scene, x: Array, y: Array, z: Array, t: Array) -> Array:
        row = np.floor(z / h)
        px, pz = x / w + bond * row, z / h
        seen = np.clip(w / (s.pixel * t * 6), 0, 1)
        rgb = np.repeat(base[None], len(x), 0)
        if bands:
            band = (np.mod(x, 4.2) < 0.45) | (np.mod(z, 4.2) < 0.45)
            rgb[band] = other * 0.85
        tone = 1 + 0.055 * seen * _cells(px, pz, s) + 0.05 * s.grains(x, z, t, 0.4)
        dx, dz = (np.mod(px + 0.5, 1) - 0.5) * w, (np.mod(pz + 0.5, 1) - 0.5) * h
        lines = np.maximum(_line(dx, joint, t, s), _line(dz, joint, t * 2.2, s))
        tone = tone * (1 - 0.34 * lines) * _wear(s, x, z, t, 0.04) * walls(x, z)
        return _finish_ground(s, rgb * tone[:, None], x, z, patches(x, z))

    return texture


def _asphalt(s: _Scene, patches: object, walls: object, markings: object = None):
    base = _tone(s.random, (126, 127, 130), (146, 145, 142), (112, 114, 118))

    def texture(s: _Scene, x: Array, y: Array, z: Array, t: Array) -> Array:
        rgb = np.repeat(base[None], len(x), 0)
        tone = (1 + 0.04 * s.grains(x, z, t, 0.2, 3)) * _wear(s, x, z, t, 0.045)
        crack = np.abs(s.noise(x, z, 2.4) + 0.25 * s.noise(x, z, 0.4)) < 0.02
        tone *= np.where(crack & (s.noise(x + 40, z, 6.0) > 0.3), 0.78, 1.0)
        patch = s.noise(np.floor(x / 2.6) * 3.1, np.floor(z / 3.4) * 2.7, 1.0) > 1.35
        tone *= np.where(patch, 0.9, 1.0) * walls(x, z)
        rgb *= tone[:, None]
        if markings is not None:
            paint, white = markings(s, x, z, t)
            worn = paint * np.clip(0.85 + 0.3 * s.noise(x, z, 0.3), 0.3, 1)
            rgb += worn[:, None] * (white - rgb)
        return _finish_ground(s, rgb, x, z, patches(x, z))

    return texture


def _grass(s: _Scene, patches: object, path_x: float, path_w: float):
    green = _tone(s.random, (98, 116, 62), (112, 122, 74), (88, 104, 66))
    soil = _tone(s.random, (164, 150, 128), (150, 144, 136), (134, 118, 98))
    leaves = float(s.random.uniform(1.1, 2.4))

    def texture(s: _Scene, x: Array, y: Array, z: Array, t: Array) -> Array:
        tufts = s.grains(x, z, t, 0.5, 4)
        rgb = green * (1 + 0.11 * tufts + 0.05 * s.grains(x, z, t, 4.0, 2))[:, None]
        edge = np.abs(x - path_x - 0.8 * np.sin(z * 0.12)) - 0.5 * path_w + 0.12 * s.noise(x, z, 0.5)
        on = np.clip(0.5 - edge / 0.12, 0, 1)[:, None]
        ground = soil * (1 + 0.06 * s.grains(x, z, t, 0.3, 3))[:, None] * _wear(s, x, z, t, 0.045)[:, None]
        rgb = rgb + on * (ground - rgb)
        litter = (s.noise(x, z, 0.16) > leaves) & (t < 22)
        rgb[litter] = 0.35 * rgb[litter] + 0.65 * np.array((136, 98, 58), np.float32)
        return _finish_ground(s, rgb, x, z, patches(x, z))

    return texture


def _tiles(s: _Scene, colours: tuple, size: float, walls: object):
    base = _tone(s.random, *colours)
    gloss = float(s.random.uniform(0.08, 0.22))
    accent = bool(s.random.random() < 0.5)

    def texture(s: _Scene, x: Array, y: Array, z: Array, t: Array) -> Array:
        rgb = np.repeat(base[None], len(x), 0)
        if accent:
            rgb[np.abs(np.abs(x) - 2.1) < 0.16] = base * 0.62
        seen = np.clip(size / (s.pixel * t * 6), 0, 1)
        dx, dz = (np.mod(x / size + 0.5, 1) - 0.5) * size, (np.mod(z / size + 0.5, 1) - 0.5) * size
        lines = np.maximum(_line(dx, 0.01, t, s), _line(dz, 0.01, t * 2.2, s))
        tone = (1 + 0.03 * seen * _cells(x / size, z / size, s) + 0.03 * s.grains(x, z, t, 0.6)) * (1 - 0.25 * lines)
        tone *= walls(x, z) * _wear(s, x, z, t, 0.035)
        # Lamps mirrored in the floor, blurred along the line of sight.
        mirror = gloss * np.exp(-((np.mod(x + 1.6, 3.2) - 1.6) ** 2) / 0.35) * (0.6 + 0.4 * np.sin(z * 1.3))
        mirror = mirror + 0.5 * gloss * np.clip(z / 25, 0, 1)
        rgb = rgb * tone[:, None] + (mirror[:, None]) * (235 - rgb)
        return _finish_ground(s, rgb, x, z, np.ones_like(x))

    return texture


def _facade(s: _Scene, along: str, light: float, floor_m: float = 3.3, shops: bool = True):
    """Return the texture of a building front: plinth, shop windows or doors, rows of windows above."""
    r = s.random
    brick = bool(r.random() < 0.45)
    plaster = ((186, 178, 162), (166, 164, 160), (150, 154, 158), (196, 184, 158), (142, 134, 126))
    wall = _tone(r, *(((150, 104, 84), (128, 92, 78), (168, 134, 110)) if brick else plaster))
    frame = _tone(r, (70, 70, 72), (206, 204, 198), (96, 78, 62))
    glass = _tone(r, (54, 62, 70), (78, 86, 92), (40, 46, 52))
    bay, window = float(r.uniform(2.2, 3.6)), float(r.uniform(0.42, 0.62))
    shop = bool(shops and r.random() < 0.65)
    sign = _tone(r, (62, 76, 92), (118, 60, 54), (70, 88, 70), (168, 160, 146), (52, 52, 56))
    shift = float(r.uniform(0, 50))

    def texture(s: _Scene, x: Array, y: Array, z: Array, t: Array) -> Array:
        u = (x if along == "x" else z) + shift
        rgb = np.repeat(wall[None], len(u), 0)
        tone = 1 + 0.05 * s.grains(u, y, t, 1.6, 4)
        if brick:
            row = np.floor(y / 0.075)
            seen = np.clip(0.075 / (s.pixel * t * 2), 0, 1)
            tone *= 1 + 0.09 * seen * _cells(u / 0.23 + 0.5 * row, row, s)
            tone *= 1 - 0.25 * _line((np.mod(y / 0.075, 1) - 0.5) * 0.075, 0.012, t, s)
        else:
            tone *= 1 - 0.16 * _line(np.mod(y, floor_m) - 0.05, 0.03, t, s)
        tone *= 1 - 0.1 * np.clip(s.noise(u, y * 0.08, 0.5) - 0.7, 0, 2)
        rgb *= tone[:, None]
        storey = np.floor(y / floor_m)
        in_y, in_u = np.mod(y, floor_m) / floor_m, np.mod(u, bay) / bay
        number = _cells(u / bay, storey, s)
        aside, half = np.abs(in_u - 0.5), 0.5 * window
        opened = (aside < half) & (in_y > 0.3) & (in_y < 0.84)
        inner = (aside < half - 0.025) & (in_y > 0.32) & (in_y < 0.82)
        if shop:
            ground_floor = storey == 0
            opened = np.where(ground_floor, (aside < 0.43) & (in_y > 0.12) & (in_y < 0.76), opened)
            inner = np.where(ground_floor, (aside < 0.405) & (in_y > 0.14) & (in_y < 0.74), inner)
            rgb[ground_floor & (in_y > 0.8) & (in_y < 0.97)] = sign
        else:
            door = (storey == 0) & (np.mod(np.floor(u / bay), 3) == 1)
            opened = np.where(door, (aside < 0.24) & (in_y < 0.68), opened)
            inner = opened & np.where(door, (aside < 0.2) & (in_y < 0.65), inner)
        rgb[opened] = frame
        pane = glass * (1 + 0.18 * number)[:, None]
        # Panes show the sky towards their top, a blind, or something lit inside.
        sky = np.clip((in_y - 0.3) * 0.7 + 0.15 * s.noise(u, y, 2.0), 0, 0.5)[:, None]
        pane = pane + sky * (s.haze * 0.8 - pane)
        blind = (number > 0.9) & (in_y > 0.55)
        pane[blind] = (178, 172, 160)
        inside = (number < -0.7) & (storey == 0)
        pane[inside] += (np.clip(s.noise(u[inside], y[inside], 0.7), -0.3, 1.5) * 34)[:, None]
        rgb[inner] = pane[inner]
        rgb[inner & (aside < 0.012)] = frame
        rgb *= (light * (1 - 0.3 * np.exp(-y / 0.35)))[:, None]
        rgb[(y < 0.35) & ~opened] *= 0.82
        return rgb

    return texture


def _inside_wall(s: _Scene, along: str, light: float):
    """Return the texture of an indoor wall: skirting, doors, notice boards, a handrail line."""
    r = s.random
    upper = _tone(r, (206, 202, 190), (188, 194, 196), (196, 186, 170))
    lower = _tone(r, (168, 160, 144), (132, 146, 150))
    door = _tone(r, (126, 98, 72), (92, 100, 108), (148, 140, 128))
    board = _tone(r, (92, 108, 124), (138, 120, 92), (110, 122, 104), (164, 96, 84))
    split = float(r.uniform(0.9, 1.3)) if r.random() < 0.7 else 0.0
    shift, spacing = float(r.uniform(0, 20)), float(r.uniform(3.4, 5.2))

    def texture(s: _Scene, x: Array, y: Array, z: Array, t: Array) -> Array:
        u = (x if along == "x" else z) + shift
        rgb = np.where((y < split)[:, None], lower[None], upper[None])
        rgb = rgb * (1 + 0.014 * s.grains(u, y, t, 1.2))[:, None]
        if split:
            rgb *= (1 - 0.3 * _line(y - split, 0.05, t, s))[:, None]
        place = np.mod(u, spacing)
        number = _cells(u / spacing, 0 * u, s)
        is_door = (number > -0.2) & (np.abs(place - 1.2) < 0.5) & (y < 2.08)
        rgb[(number > -0.2) & (np.abs(place - 1.2) < 0.56) & (y < 2.14)] = door * 0.7
        rgb[is_door] = door
        rgb[is_door & (np.abs(place - 1.3) < 0.14) & (np.abs(y - 1.5) < 0.3)] = (142, 156, 164)
        rgb[is_door & (np.abs(place - 0.82) < 0.04) & (np.abs(y - 1.02) < 0.02)] = (190, 190, 186)
        notice = (np.abs(place - 2.6) < 0.55) & (np.abs(y - 1.6) < 0.4) & (number < 0.6)
        rgb[notice] = board
        sheets = notice & (s.noise(np.floor(u / 0.2) * 3.3, np.floor(y / 0.28) * 2.1, 1.0) > 0.0)
        sheets &= (np.mod(u, 0.2) > 0.03) & (np.mod(y, 0.28) > 0.04)
        rgb[sheets] = (214, 210, 200)
        rgb[y < 0.12] = (86, 82, 78)
        rgb *= (light * (1 - 0.25 * np.exp(-y / 0.3)) * (0.86 + 0.06 * np.clip(y, 0, 3)))[:, None]
        return rgb

    return texture


def _ceiling(s: _Scene, height: float):
    base = _tone(s.random, (196, 196, 190), (176, 178, 178))

    def texture(s: _Scene, x: Array, y: Array, z: Array, t: Array) -> Array:
        dx, dz = np.mod(x / 0.6, 1), np.mod(z / 0.6, 1)
        across, ahead = _line((dx - 0.5) * 0.6, 0.02, t, s), _line((dz - 0.5) * 0.6, 0.02, t * 2, s)
        rgb = base * (0.72 - 0.12 * across - 0.1 * ahead)[:, None]
        lamp = (np.abs(np.mod(x + 1.6, 3.2) - 1.6) < 0.3) & (np.mod(z, 2.4) < 1.2)
        rgb[lamp] = (246, 246, 238)
        return rgb

    return texture


def _foliage(s: _Scene, low: float, high: float, bushy: bool):
    """Return the texture of a hedge or a row of trees on an upright plane."""
    green = _tone(s.random, (88, 106, 62), (98, 110, 70), (76, 94, 64), (118, 112, 66))
    trunk = np.array((74, 62, 50), np.float32)
    gap = float(s.random.uniform(3.5, 6.0))

    def texture(s: _Scene, x: Array, y: Array, z: Array, t: Array) -> Array:
        u = x + 0.7 * z
        # Leaves are small and clumped; light falls on the clumps from above.
        leaf = s.noise(u, y, 0.16) * np.clip(0.16 / (s.pixel * t) / 4.0, 0.25, 1)
        clump = s.noise(u, y, 0.55) - s.noise(u, y - 0.22, 0.55)
        rgb = green * np.clip(0.95 + 0.2 * leaf + 0.12 * clump + 0.07 * s.noise(u, y, 2.4), 0.4, 1.7)[:, None]
        rgb *= (0.7 + 0.5 * np.clip((y - low) / (high - low), 0, 1))[:, None]
        place = np.mod(u, gap) - 0.5 * gap
        number = _cells(u / gap, 0 * u, s)
        if bushy:
            rgb[y > high * (0.9 + 0.04 * s.noise(u, 0 * u, 1.5) + 0.03 * s.noise(u, y, 0.25))] = np.nan
        else:
            crown = ((place / (0.55 * gap)) ** 2 + ((y - (0.62 + 0.04 * number) * high) / (0.4 * high)) ** 2
                     + 0.13 * s.noise(u, y, 1.1) + 0.1 * s.noise(u, y, 0.3)) < 0.9  # fmt: skip
            stem = (np.abs(place + 0.05 * np.sin(y)) < 0.14 - 0.012 * y) & (y < 0.5 * high)
            rgb[stem & ~crown] = trunk
            rgb[~crown & ~stem] = np.nan
        return rgb

    return texture


def _road_markings(kerb: float, zebra: float | None):
    def markings(s: _Scene, x: Array, z: Array, t: Array) -> tuple[Array, Array]:
        paint = _line(np.abs(x - kerb) - 0.3, 0.1, t, s)
        if zebra is not None:
            stripe = (np.abs(z - zebra) < 1.5) & (np.mod(x, 1.0) < 0.5)
            paint = np.maximum(paint, stripe.astype(np.float32))
        return paint, np.array((206, 205, 198), np.float32)

    return markings


def _bays(width: float, z0: float):
    def markings(s: _Scene, x: Array, z: Array, t: Array) -> tuple[Array, Array]:
        side = _line(np.mod(x + 0.5 * width, width) - 0.5 * width, 0.1, t, s) * (np.abs(z - z0) < 2.5)
        end = _line(z - z0 - 2.5, 0.1, t * 2, s)
        return np.maximum(side, end), np.array((204, 202, 192), np.float32)

    return markings


def _near_walls(*distances: object):
    """Return the light of the ground beside walls, given functions (x, z) -> distance in metres."""

    def light(x: Array, z: Array) -> Array:
        out = np.ones_like(x)
        for distance in distances:
            out *= 1 - 0.32 * np.exp(-np.maximum(distance(x, z), 0) / 0.45)
        return out

    return light


_GROUND, _CEILING, _BACK = (0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)
_INDOOR = ("corridor", "hall")
_SLABS = ((168, 162, 152), (150, 148, 146), (178, 168, 150), (160, 136, 122), (132, 132, 136))


def _end(s: _Scene) -> float:
    """Return how far away the scene ends: behind everyone who walks in it."""
    return s.camera.far_m + float(s.random.uniform(2.0, 9.0))


def _street(s: _Scene) -> list[_Surface]:
    side = -s.camera.road
    wall_x = (s.camera.left_m if side < 0 else s.camera.right_m) + 0.6 * side
    kerb = s.camera.kerb_m
    end = _end(s) + 4.0
    walls = _near_walls(lambda x, z: np.abs(x - wall_x), lambda x, z: end - z)
    patches = _sun_patches(s, 1.0)
    slabs = _paving(s, _SLABS, 0.6, float(s.random.choice((0.4, 0.6))), 0.5, 0.016, patches, walls)
    zebra = float(s.random.uniform(10, 15)) if s.random.random() < 0.4 else None
    road = _asphalt(s, patches, walls, _road_markings(kerb - side * 0.5, zebra))
    stone = _tone(s.random, (176, 172, 164), (150, 148, 146))

    def ground(s: _Scene, x: Array, y: Array, z: Array, t: Array) -> Array:
        rgb = slabs(s, x, y, z, t)
        beyond = (x - kerb) * -side
        on_road = beyond > 0.14
        rgb[on_road] = road(s, x[on_road], y[on_road], z[on_road], t[on_road])
        on_kerb = np.abs(beyond) <= 0.14
        joint = _line(np.mod(z, 0.9) - 0.45, 0.02, t, s)
        rgb[on_kerb] = (stone * (1 - 0.3 * joint + 0.05 * s.noise(x, z, 0.2))[:, None])[on_kerb]
        rgb[on_road & (beyond < 0.4)] *= 0.8  # the gutter
        return rgb

    normal = (-side, 0.0, 0.0)
    far_x = (s.camera.left_m if side > 0 else s.camera.right_m) - 3.0 * side
    return [
        _Surface(_GROUND, 0.0, ground),
        _Surface(normal, -side * wall_x, _facade(s, "z", s.lit(normal)),
                 lambda x, y, z: (y > 0) & (y < 11) & (z < end)),
        _Surface((side, 0.0, 0.0), side * far_x, _facade(s, "z", s.lit((side, 0.0, 0.0))),
                 lambda x, y, z: (y > 0) & (y < 10) & (z < end)),
        _Surface(_BACK, -end, _facade(s, "x", s.lit(_BACK)), lambda x, y, z: (y > 0) & (y < 12)),
        _Surface(_BACK, -(end - 2), _foliage(s, 0.0, 6.0, bushy=False),
                 lambda x, y, z: (y > 0) & (x * -side > abs(kerb))),
    ]  # fmt: skip


def _plaza(s: _Scene) -> list[_Surface]:
    end = _end(s) + 2.5
    walls = _near_walls(lambda x, z: end - z)
    size = float(s.random.choice((0.4, 0.5, 0.8)))
    ground = _paving(s, _SLABS, size, size, 0.0, 0.014, _sun_patches(s, 0.0), walls)
    return [
        _Surface(_GROUND, 0.0, ground),
        _Surface(_BACK, -end, _facade(s, "x", s.lit(_BACK), 3.8), lambda x, y, z: y > 0),
        _Surface(_BACK, -(end - 2.5), _foliage(s, 0.0, float(s.random.uniform(0.9, 5.5)),
                 bushy=bool(s.random.random() < 0.5)), lambda x, y, z: (y > 0) & (np.mod(x + 31, 11) < 6)),
    ]  # fmt: skip


def _park(s: _Scene) -> list[_Surface]:
    end = _end(s) + 3.0
    path = float(s.random.normal(0, 0.8))
    ground = _grass(s, _sun_patches(s, 0.0), path, float(s.random.uniform(3.4, 6.0)))
    return [
        _Surface(_GROUND, 0.0, ground),
        _Surface(_BACK, -end - 9, _facade(s, "x", s.lit(_BACK), shops=False),
                 lambda x, y, z: (y > 0) & (y < 9)),
        _Surface(_BACK, -end, _foliage(s, 0.0, 2.0, bushy=True), lambda x, y, z: y > 0),
        _Surface(_BACK, -(end - 3), _foliage(s, 0.0, 7.0, bushy=False),
                 lambda x, y, z: (y > 0) & (np.abs(x - path) > 2.5)),
    ]  # fmt: skip


def _carpark(s: _Scene) -> list[_Surface]:
    end = _end(s)
    walls = _near_walls(lambda x, z: end - z)
    ground = _asphalt(s, _sun_patches(s, 0.5), walls, _bays(2.6, float(s.random.uniform(13, 19))))
    back = _facade(s, "x", s.lit(_BACK), shops=False)
    fence = bool(s.random.random() < 0.5)
    return [
        _Surface(_GROUND, 0.0, ground),
        _Surface(_BACK, -end - 4, back, lambda x, y, z: (y > 0) & (y < 10)),
        _Surface(_BACK, -end, _foliage(s, 0.0, 1.5 if fence else 5.0, bushy=fence), lambda x, y, z: y > 0),
    ]  # fmt: skip


def _corridor(s: _Scene) -> list[_Surface]:
    left, right = s.camera.left_m - 0.5, s.camera.right_m + 0.5
    end, top = _end(s), float(s.camera.height_m + s.random.uniform(0.25, 0.6))
    walls = _near_walls(lambda x, z: x - left, lambda x, z: right - x, lambda x, z: end - z)
    floor = _tiles(s, ((176, 170, 158), (150, 150, 148), (188, 180, 164)), float(s.random.choice((0.45, 0.6))), walls)
    return [
        _Surface(_GROUND, 0.0, floor),
        _Surface((-1.0, 0.0, 0.0), -right, _inside_wall(s, "z", 0.95)),
        _Surface((1.0, 0.0, 0.0), left, _inside_wall(s, "z", 0.88)),
        _Surface(_BACK, -end, _inside_wall(s, "x", 0.9)),
        _Surface(_CEILING, -top, _ceiling(s, top)),
    ]


def _hall(s: _Scene) -> list[_Surface]:
    end = _end(s)
    side = -s.camera.road
    wall_x = (s.camera.left_m if side < 0 else s.camera.right_m) + 0.6 * side
    walls = _near_walls(lambda x, z: np.abs(x - wall_x), lambda x, z: end - z)
    floor = _tiles(s, ((186, 182, 174), (160, 152, 142), (132, 134, 138)), float(s.random.choice((0.6, 0.9))), walls)
    normal = (-side, 0.0, 0.0)
    return [
        _Surface(_GROUND, 0.0, floor),
        _Surface(_BACK, -end, _facade(s, "x", 0.92, 3.6)),
        _Surface(normal, -side * wall_x, _inside_wall(s, "z", 0.86)),
        _Surface(_CEILING, -6.5, _ceiling(s, 6.5)),
    ]


_LAYOUTS = {
    "street": _street, "plaza": _plaza, "park": _park, "carpark": _carpark, "corridor": _corridor, "hall": _hall,
}  # fmt: skip
