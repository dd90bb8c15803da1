"""From a posed body to pixels: texels are splatted from far to near.

A body is drawn as points, one or more per pixel. Cells of the mesh that face the camera are sorted by depth; the
points inside each cell are placed by bilinear interpolation of its projected corners, take their colour from
the body's texture and their light from the corners, and overwrite what lies behind them. All points of a body
pass through numpy together, which is what makes thousands of textured pictures a minute possible without a compiler.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from reidlab.world.body import SEGMENTS, mesh_of, pose
from reidlab.world.camera import Camera
from reidlab.world.cloth import TEXELS_ALONG, TEXELS_AROUND, paint
from reidlab.world.people import Person
from reidlab.world.sampling import sample_at

# Points per metre of the levels of detail; each is dense enough for that many pixels a metre.
LEVELS = tuple(11.0 * 1.17**i for i in range(18))
Window = tuple[float, float, float, float]


@dataclass(frozen=True)
class Actor:
    """A person somewhere, at one moment.

    Attributes:
        person: who.
        x_m, z_m: where, in the camera's ground frame.
        heading_rad: where they walk: 0 = towards the camera, pi/2 = to the right of the picture.
        phase_rad: phase of the double step, 2 pi a stride.
        stride: share of the person's own stride; 0 = stands still.
    """

    person: Person
    x_m: float
    z_m: float
    heading_rad: float = 0.0
    phase_rad: float = 0.0
    stride: float = 1.0


@dataclass(frozen=True)
class Points:
    """Where on the mesh the points of one level of detail lie, cell after cell, and their colours.

    Attributes:
        uv: (N, 2) float32 column and row on the ring grid.
        rgba: (N,) uint32, bytes of RGBA.
        start, count: (cells,) int32, the points of each cell.
    """

    uv: np.ndarray
    rgba: np.ndarray
    start: np.ndarray
    count: np.ndarray


@lru_cache(maxsize=192)
def _texture(person: Person) -> tuple[np.ndarray, ...]:
    full = paint(person, mesh_of(person))
    half = cv2.resize(full, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return full, half, cv2.resize(half, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


@lru_cache(maxsize=320)
def points_of(person: Person, level: int) -> Points:
    """Return the (cached) points of ``person`` at a level of detail (index into ``LEVELS``)."""
    density = LEVELS[level]
    mesh = mesh_of(person)
    p = mesh.points
    tall = np.linalg.norm(p[1:] - p[:-1], axis=2)
    tall = np.maximum(tall[:, :-1], tall[:, 1:])
    wide = np.linalg.norm(p[:, 1:] - p[:, :-1], axis=2)
    wide = np.maximum(wide[:-1], wide[1:])
    # Skirts and coat tails are stretched by the stride, up to twice.
    loose = [i for i, name in enumerate(mesh.parts) if name in ("skirt", "tails")]
    stretch = np.isin(mesh.part[:-1], loose)[:, None]
    wide *= np.where(stretch, 1.8, 1.0)
    tall *= np.where(stretch, 1.25, 1.0)
    rows = np.maximum(np.ceil(tall * density), 1).astype(np.int32)
    cols = np.maximum(np.ceil(wide * density), 1).astype(np.int32)
    count = np.where(mesh.solid, rows * cols, 0).ravel()
    start = np.cumsum(count) - count
    cell = np.repeat(np.arange(count.size, dtype=np.int32), count)
    inside = np.arange(cell.size, dtype=np.int32) - start[cell]
    # Column and row of each point in its cell, from its number there.
    along = (inside + np.float32(0.5)) * (np.float32(1) / cols.ravel().astype(np.float32))[cell]
    row = np.floor(along)
    dv = (row + np.float32(0.5)) * (np.float32(1) / rows.ravel().astype(np.float32))[cell]
    u, v = (cell % SEGMENTS) + (along - row), (cell // SEGMENTS) + dv
    u, v = u.astype(np.float32), v.astype(np.float32)
    shrink = 0 if density > 70 else 1 if density > 30 else 2
    texture = _texture(person)[shrink]
    rgb = texture[(v * (TEXELS_ALONG >> shrink)).astype(np.intp), (u * (TEXELS_AROUND / 2**shrink)).astype(np.intp)]
    rgba = np.full((len(rgb), 4), 255, np.uint8)
    rgba[:, :3] = rgb
    return Points(
        np.stack([u, v], axis=1), rgba.view(np.uint32).ravel(), start.astype(np.int32), count.astype(np.int32)
    )


class Response:
    """The colours of one camera in one shot: a matrix and then a power, signal = (matrix . light) ** gamma.

    Attributes:
        matrix: (3, 3) float32.
        tones: (256,) uint8, the power as a table on 0..255.
        light: (256,) uint8, from light in steps of 1/128 to twice that light through the same power, in steps of
            1/64. Light may be taken through the power apart from the colour it falls on; palettes hold that
            colour at half the exposure, so that what is bright has room.
    """

    def __init__(self, matrix: np.ndarray, gamma: float) -> None:
        steps = np.arange(256)
        self.matrix = matrix.astype(np.float32)
        self.tones = np.rint(255 * (steps / 255) ** gamma).astype(np.uint8)
        self.light = np.clip(np.rint(64 * (2 * steps / 128) ** gamma), 0, 255).astype(np.uint8)
        self._palettes: dict[int, tuple[Points, np.ndarray]] = {}

    def apply(self, rgb: np.ndarray) -> np.ndarray:
        """Return a picture (h, w, 3) uint8 in this camera's colours."""
        return cv2.LUT(cv2.transform(rgb, self.matrix), self.tones)

    def apply_rgba(self, rgba: np.ndarray) -> np.ndarray:
        """Return a picture (h, w, 4) uint8 in this camera's colours; alpha is kept."""
        return np.dstack([self.apply(np.ascontiguousarray(rgba[..., :3])), rgba[..., 3]])

    def palette(self, points: Points) -> np.ndarray:
        """Return the colours (N,) uint32 of ``points`` in this camera at half the exposure, computed once."""
        known = self._palettes.get(id(points))
        if known is None:
            rgba = points.rgba.view(np.uint8).reshape(-1, 1, 4)
            rgb = cv2.transform(np.ascontiguousarray(rgba[..., :3]), 0.5 * self.matrix)
            rgba = np.dstack([cv2.LUT(rgb, self.tones), rgba[..., 3]])
            if len(self._palettes) > 256:
                self._palettes.clear()
            # The points are kept as well, so that their id stays theirs.
            known = self._palettes[id(points)] = points, np.ascontiguousarray(rgba).view(np.uint32).ravel()
        return known[1]


@dataclass
class Posed:
    """A body in one picture: its rings in camera space and on the frame.

    Attributes:
        person: who.
        px, py: (R, 17) float32 frame pixels.
        depth: (R, 17) float32 metres along the viewing axis.
        sun, up: (R, 17) float32, cosine between the normal and the direction to the sun, and to the zenith.
        facing: (R - 1, 16) bool, cells of the surface turned to the camera.
        box: x0, y0, x1, y1 in frame pixels around the body.
        scale: frame pixels a metre at the body.
    """

    person: Person
    px: np.ndarray
    py: np.ndarray
    depth: np.ndarray
    sun: np.ndarray
    up: np.ndarray
    facing: np.ndarray
    box: Window
    scale: float


@dataclass(frozen=True)
class View:
    """A canvas and the part of the frame that it shows.

    Attributes:
        canvas: (h, w) uint32 or (h, w, 4) uint8, pixels of RGBA; drawn on in place.
        corner: frame pixel (x, y) at its top left corner.
        scale: canvas pixels per frame pixel, x and y.
        response: the camera's colours, where the canvas is in them already.
    """

    canvas: np.ndarray
    corner: tuple[float, float]
    scale: tuple[float, float]
    response: Response | None = None

    def place(self, box: Window) -> Window:
        """Return a box x0, y0, x1, y1 of frame pixels in canvas pixels."""
        (x, y), (sx, sy) = self.corner, self.scale
        return (box[0] - x) * sx, (box[1] - y) * sy, (box[2] - x) * sx, (box[3] - y) * sy

    def pixels(self, box: Window, margin: int) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom of a box's pixels, with a margin as far as the canvas goes."""
        x0, y0, x1, y1 = self.place(box)
        height, width = self.canvas.shape[:2]
        right, bottom = min(int(x1) + margin + 1, width), min(int(y1) + margin + 1, height)
        return max(int(x0) - margin, 0), max(int(y0) - margin, 0), right, bottom


def place(camera: Camera, axes: np.ndarray, lights: np.ndarray, actor: Actor) -> Posed:
    """Pose a body on the ground and project it into the frame.

    Args:
        camera: whose frame.
        axes: (3, 3), :meth:`Camera.axes`.
        lights: (2, 3) directions to the sun and to the zenith, in camera axes.
        actor: who, where and in which phase of the gait.
    """
    person, x, z = actor.person, actor.x_m, actor.z_m
    mesh = mesh_of(person)
    sin, cos = math.sin(actor.heading_rad), math.cos(actor.heading_rad)
    body = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [sin, 0.0, -cos]])  # rows: left, up, front
    turn = (axes @ body.T).astype(np.float32)
    bones = turn @ pose(person, actor.phase_rad, actor.stride)
    bones[:, :, 3] += (axes @ (x, -camera.height_m, z)).astype(np.float32)
    rings = (mesh.weights @ bones.reshape(len(bones), 12)).reshape(-1, 3, 4)
    turned = np.ascontiguousarray(rings[:, :, :3].transpose(0, 2, 1))
    points = np.matmul(mesh.points, turned)
    points += rings[:, None, :, 3]
    px, py, depth = cv2.split(points)
    np.maximum(depth, 0.05, out=depth)
    per_metre = np.float32(camera.focal_px) / depth
    px *= per_metre
    py *= per_metre
    px += np.float32(0.5 * camera.width)
    py += np.float32(0.5 * camera.height)
    middle = axes @ (x, 0.5 * person.height_m - camera.height_m, z)
    # Seen from afar, all of a body is seen from one direction; a cell is seen if one of its corners is.
    directions = np.stack([middle / np.linalg.norm(middle), *lights], axis=1).astype(np.float32)
    away, sun, up = cv2.split(np.matmul(mesh.normals, turned @ directions))
    away = cv2.erode(away, _CELL, anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)[:-1, :-1]
    facing = (away < 0.06) & mesh.solid
    box = float(px.min()), float(py.min()), float(px.max()), float(py.max())
    return Posed(person, px, py, depth, sun, up, facing, box, camera.focal_px / max(float(middle[2]), 0.1))


_CELL = np.ones((2, 2), np.uint8)


def splat(view: View, posed: Posed, shade: np.ndarray | None, mark: int = 1) -> None:
    """Draw a body.

    Args:
        view: what it is drawn on; a canvas (h, w) uint32.
        posed: the body.
        shade: (R, 17) light on the rings; None writes ``mark`` instead of colours.
        mark: value for the silhouette.
    """
    height, width = view.canvas.shape
    scale = view.scale
    ppm = posed.scale * max(scale)
    # Each point covers a block of pixels, so points may lie almost a block apart.
    # A silhouette is counted, so its points are dense and cover one pixel each: blocks would widen it.
    # The coarsest level that leaves no holes.
    level = min(bisect_left(LEVELS, ppm / 1.9 if shade is not None else 1.2 * ppm), len(LEVELS) - 1)
    block = 1 if shade is None else max(2, int(np.ceil(ppm / LEVELS[level])))
    pts = points_of(posed.person, level)
    cells = np.flatnonzero(posed.facing)
    if not len(cells):
        return
    d = posed.depth
    far = (d[:-1, :-1] + d[1:, 1:] + 2 * mesh_of(posed.person).recede).ravel()[cells]
    cells = cells[np.argsort(far)[::-1]]
    count = pts.count[cells]
    ends = np.cumsum(count, dtype=np.int32)
    total = int(ends[-1])
    pick = np.arange(total, dtype=np.intp)
    pick += np.repeat(pts.start[cells] - (ends - count), count)
    grid = np.empty((*d.shape, 3), np.float32)
    half = 0.5 * (block - 1)
    for k, (at, origin) in enumerate(zip((posed.px, posed.py), view.corner)):
        plane = grid[..., k]
        np.multiply(at, np.float32(scale[k]), out=plane)
        plane -= np.float32(origin * scale[k] + half)
    grid[..., 2] = 1.0 if shade is None else shade
    # OpenCV's maps may not be longer than 32767 in one direction: fold the list into rows.
    rows = -(-total // 256)
    uv = workspace("uv", (rows * 256, 2), np.float32)
    np.take(pts.uv, pick, axis=0, out=uv[:total], mode="clip")
    uv[total:] = 0
    placed = workspace("placed", (rows, 256, 3), np.float32)
    sample_at(grid, uv.reshape(rows, 256, 2), out=placed)
    placed = placed.reshape(-1, 3)[:total]
    x0, y0, x1, y1 = view.place(posed.box)
    if not (x0 > block and y0 > block and x1 < width - block and y1 < height - block):
        px, py = placed[:, 0], placed[:, 1]
        keep = np.flatnonzero((px >= 0) & (py >= 0) & (px < width - block + 1) & (py < height - block + 1))
        if not len(keep):
            return
        placed, pick = placed[keep], pick[keep]
    n = len(placed)
    index = placed[:, 1].astype(np.intp)
    index *= width
    index += placed[:, 0].astype(np.intp)
    # The blocks of one point are written together: a far point must not overwrite a near one's block.
    shifts = [dy * width + dx for dy in range(block) for dx in range(block)]
    spread = workspace("spread", (n, len(shifts)), np.intp)
    for k, shift in enumerate(shifts):
        np.add(index, shift, out=spread[:, k])
    flat = view.canvas.reshape(-1)
    if shade is None:
        flat[spread.ravel()] = mark
        return
    # Light in 1/128 steps, so that bytes are multiplied by bytes.
    light = cv2.convertScaleAbs(np.ascontiguousarray(placed[:, 2:]), alpha=128.0)
    rgba, unit = pts.rgba, 128.0
    if view.response is not None:
        rgba, light, unit = view.response.palette(pts), cv2.LUT(light, view.response.light), 64.0
    colours = np.take(rgba, pick, mode="clip").view(np.uint8).reshape(n, 1, 4)
    colours = cv2.multiply(colours, cv2.merge([light] * 4), scale=1.0 / unit)
    values = colours.view(np.int32).ravel()
    values = cv2.merge([values] * 4) if block == 2 else np.repeat(values, len(shifts))
    flat[spread.ravel()] = values.ravel().view(np.uint32)


class _Workspace(threading.local):
    """Memory that is used again from picture to picture: fresh pages cost more than the arithmetic on them."""

    def __init__(self) -> None:
        self.blocks: dict[str, np.ndarray] = {}

    def __call__(self, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """Return an array with undefined contents, valid until the next call with the same name."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        block = self.blocks.get(name)
        if block is None or block.size < size:
            block = self.blocks[name] = np.empty(size + size // 2, np.uint8)
        return block[:size].view(dtype).reshape(shape)


workspace = _Workspace()
