"""Pictures of a scene: full frames, and crops of it drawn straight at their own size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from reidlab.checks import check_integer
from reidlab.errors import ConfigError
from reidlab.seeding import rng as seeded
from reidlab.world.background import Layer, background_of
from reidlab.world.camera import Camera, Look
from reidlab.world.nuisances import Nuisances
from reidlab.world.raster import Actor, Posed, Response, View, Window, place, splat, workspace
from reidlab.world.sampling import stretch

# Bodies are drawn at twice the picture's size and averaged down.
SUPERSAMPLING = 2
# Height in pixels at which silhouettes are counted for visibility.
_COUNT_HEIGHT = 56.0


class Renderer:
    """Draws what one camera sees.

    The picture is formed as in a camera: the scene is drawn on the sensor's own pixels (a distant person has few),
    then come colour, lens blur, sensor noise and compression, and only then is a crop brought to its size.

    Args:
        camera: where and how.
        nuisances: strength of what makes pictures differ; None switches all of it off.

    Example:
        >>> from reidlab.world import Actor, Dress, make_cameras, make_people
        >>> renderer = Renderer(make_cameras(1, seed=0)[0])
        >>> actors = [Actor(make_people(1, Dress.summer(), seed=0)[0], x_m=0.0, z_m=10.0)]
        >>> renderer.crop(actors, renderer.boxes(actors)[0]).shape
        (128, 64, 3)
    """

    def __init__(self, camera: Camera, nuisances: Nuisances | None = None) -> None:
        self.camera = camera
        self.nuisances = nuisances if nuisances is not None else Nuisances()
        n = self.nuisances
        self.background = background_of(
            replace(camera, camid=0, look=replace(Look(), light_azimuth=camera.look.light_azimuth,
                    light_elevation=camera.look.light_elevation, sun=camera.look.sun)),
            round(n.occlusion * len(camera.occluders)), 1.0 - n.background,
        )  # fmt: skip
        self._axes = camera.axes()
        look, light = camera.look, camera.look.light_direction
        self._lights = np.stack([self._axes @ light, self._axes[:, 1]])
        cast = -light[[0, 2]] / max(light[1], 0.3) * 1.55
        side = np.array([-cast[1], cast[0]]) / (np.hypot(*cast) + 1e-6) * 0.2
        ring = np.concatenate([_DISC * (0.36, 0.24), side * _OVAL[:, :1] + cast * _OVAL[:, 1:]])
        self._shadow_ring = ring @ self._axes[:, [0, 2]].T + self._axes @ (0.0, -camera.height_m, 0.0)
        self._vignette = n.colour_shift * look.vignette
        self._plate = cv2.cvtColor(self._darken_corners(self.background.rgb), cv2.COLOR_RGB2RGBA)
        self._matrix, self._gamma = _colours(look, n.colour_shift)
        sigma = n.noise * look.noise
        self._noise = _noise_bank(round(sigma, 3), max(camera.height, 128), max(camera.width, 128)) if sigma else None
        self._quality = round(100 - n.jpeg * (100 - look.jpeg_quality)) if n.jpeg else None
        self._shots: dict[int, Response] = {}
        self._exposed: tuple[int, np.ndarray, tuple[Layer, ...]] | None = None
        self._buffers = (
            np.empty((camera.height, camera.width, 4), np.uint8),
            np.empty(self.background.rgb.shape, np.uint8),
        )

    def boxes(self, actors: Sequence[Actor]) -> np.ndarray:
        """Return tight boxes (n, 4) x, y, w, h in frame pixels around the bodies, not clipped to the frame."""
        out = np.array([self._pose(actor).box for actor in actors]).reshape(-1, 4)
        out[:, 2:] -= out[:, :2]
        return out

    def visibility(self, actors: Sequence[Actor]) -> np.ndarray:
        """Return the share (n,), 0..1, of each body's silhouette inside the frame and not hidden by nearer things."""
        posed = [self._pose(a) for a in actors]
        out = np.zeros(len(actors))
        for i, (actor, body) in enumerate(zip(actors, posed)):
            x0, y0, x1, y1 = body.box
            scale = _COUNT_HEIGHT / max(y1 - y0, 1e-3)
            corner = x0 - 2 / scale, y0 - 2 / scale
            shape = int((y1 - y0) * scale) + 5, int((x1 - x0) * scale) + 5
            canvas = np.zeros(shape, np.uint32)
            view = View(canvas, corner, (scale, scale))
            splat(view, body, None, 1)
            whole = int((canvas == 1).sum())
            for j, (other, nearer) in enumerate(zip(actors, posed)):
                if (other.z_m, -j) < (actor.z_m, -i) and _overlap(body.box, nearer.box):
                    splat(view, nearer, None, 2)
            for layer in self.background.layers:
                if layer.occluder.hides(actor.x_m, actor.z_m) and _overlap(body.box, _layer_box(layer)):
                    window = (*corner, shape[1] / scale, shape[0] / scale)
                    canvas[_sample(layer.rgba[..., 3], window, shape, layer.x, layer.y) > 127] = 2
            # Pixels outside the frame.
            xs = corner[0] + (np.arange(shape[1]) + 0.5) / scale
            ys = corner[1] + (np.arange(shape[0]) + 0.5) / scale
            canvas[:, (xs < 0) | (xs > self.camera.width)] = 2
            canvas[(ys < 0) | (ys > self.camera.height)] = 2
            out[i] = (canvas == 1).sum() / max(whole, 1)
        return out

    def frame(self, actors: Sequence[Actor], rng: np.random.Generator | None = None, shot: int = 0) -> np.ndarray:
        """Return the frame (H, W, 3), uint8 RGB.

        Args:
            actors: who is there, in any order.
            rng: draws the sensor noise; None uses a generator seeded from the camera and the shot.
            shot: number of the moment; the light changes from shot to shot.
        """
        response = self._response_of(shot)
        # The background of a shot goes through the camera's colours once; what is drawn on it, point by point.
        if self._exposed is None or self._exposed[0] != shot:
            layers = tuple(replace(layer, rgba=response.apply_rgba(layer.rgba)) for layer in self.background.layers)
            self._exposed = shot, response.apply_rgba(self._plate), layers
        canvas, image = self._buffers
        np.copyto(canvas, self._exposed[1])
        self._draw(View(canvas, (0.0, 0.0), (1.0, 1.0), response), actors, self._exposed[2])
        cv2.cvtColor(canvas, cv2.COLOR_RGBA2RGB, dst=image)
        return self._record(image, rng, shot, 1.0)

    def crop(
        self,
        actors: Sequence[Actor],
        box: Sequence[float] | np.ndarray,
        size: tuple[int, int] = (128, 64),
        rng: np.random.Generator | None = None,
        shot: int = 0,
    ) -> np.ndarray:
        """Return the same scene seen through a window, drawn at its own size, uint8 RGB (height, width, 3).

        Args:
            actors: who is there, in any order.
            box: x, y, w, h of the window in frame pixels; may reach over the frame's edge.
            size: height and width of the crop in pixels.
            rng: draws the sensor noise; None uses a generator seeded from the camera and the shot.
            shot: number of the moment; the light changes from shot to shot.

        Raises:
            ConfigError: if the window or the size is not a positive area.
        """
        x, y, w, h = (float(v) for v in box)
        if not (np.isfinite((x, y, w, h)).all() and w > 0 and h > 0):
            raise ConfigError(f"Renderer.crop(box={[x, y, w, h]}) needs finite x, y and positive width, height in px")
        check_integer("size", min(size), 8, what="height and width of a crop")
        # A crop never has more detail than the sensor: small windows are drawn on the sensor's pixels and enlarged.
        shape = max(min(size[0], round(h)), 8), max(min(size[1], round(w)), 8)
        canvas = _sample(self._plate, (x, y, w, h), shape)
        scale = shape[1] / w, shape[0] / h
        self._draw(View(canvas, (x, y), scale), actors, self.background.layers)
        image = self._response_of(shot).apply(cv2.cvtColor(canvas, cv2.COLOR_RGBA2RGB))
        image = self._record(image, rng, shot, scale[1])
        if shape != tuple(size):
            image = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
        return image

    def _pose(self, actor: Actor) -> Posed:
        return place(self.camera, self._axes, self._lights, actor)

    def _draw(self, view: View, actors: Sequence[Actor], things: Sequence[Layer]) -> None:
        """Draw shadows, people and the objects in front of them, from far to near.

        With ``view.response`` the objects too are in the camera's own colours already.
        """
        height, width = view.canvas.shape[:2]
        seen: list[tuple[Actor, Posed]] = []
        for actor in actors:
            if actor.z_m < 0.5:
                continue
            posed = self._pose(actor)
            x0, y0, x1, y1 = view.place(posed.box)
            reach = 1.6 * posed.scale * view.scale[0]
            if x1 < -reach or y1 < -0.5 * reach or x0 > width + reach or y0 > height + reach:
                continue
            seen.append((actor, posed))
            self._shade_ground(view, actor)
        seen.sort(key=lambda item: -item[0].z_m)
        waiting = sorted(things, key=lambda layer: -layer.occluder.z_m)
        painted: list[Window] = []
        for actor, posed in seen:
            behind = [layer for layer in waiting if not layer.occluder.hides(actor.x_m, actor.z_m)]
            self._put_layers(view, behind, painted)
            waiting = [layer for layer in waiting if not any(layer is b for b in behind)]
            self._put_body(view, posed)
            painted.append(posed.box)
        self._put_layers(view, waiting, painted)

    def _put_layers(self, view: View, layers: Sequence[Layer], painted: Sequence[Window]) -> None:
        """Paint objects again over the people drawn behind them; the background has them already."""
        (x, y), (sx, sy) = view.corner, view.scale
        for layer in layers:
            place = _layer_box(layer)
            left, top, right, bottom = view.pixels(place, 1)
            if right <= left or bottom <= top or not any(_overlap(box, place) for box in painted):
                continue
            window = x + left / sx, y + top / sy, (right - left) / sx, (bottom - top) / sy
            rgba = _sample(layer.rgba, window, (bottom - top, right - left), layer.x, layer.y)
            part = view.canvas[top:bottom, left:right]
            alpha = cv2.merge([rgba[..., 3]] * 4)
            front = cv2.multiply(rgba, alpha, scale=self._corner_light(place) / 255.0)
            part[:] = cv2.add(cv2.multiply(part, 255 - alpha, scale=1.0 / 255.0), front)

    def _put_body(self, view: View, posed: Posed) -> None:
        left, top, right, bottom = view.pixels(posed.box, 2)
        if right - left < 2 or bottom - top < 2:
            return
        part = view.canvas[top:bottom, left:right]
        k = SUPERSAMPLING
        fine = workspace("fine", (k * (bottom - top), k * (right - left), 4), np.uint8)
        cv2.resize(part, (fine.shape[1], fine.shape[0]), dst=fine, interpolation=cv2.INTER_NEAREST)
        sun = np.float32(self.camera.look.sun)
        direct = np.maximum(posed.sun, 0)
        direct *= np.float32(1.25) * sun
        direct += (1 - sun) * np.float32(0.26) * posed.up
        direct += np.float32(0.76 - 0.52 * sun)
        direct *= np.float32(self._corner_light(posed.box))
        (x, y), (sx, sy) = view.corner, view.scale
        corner = x + left / sx, y + top / sy
        splat(View(fine.view(np.uint32)[..., 0], corner, (k * sx, k * sy), view.response), posed, direct)
        cv2.resize(fine, (right - left, bottom - top), dst=part, interpolation=cv2.INTER_AREA)

    def _shade_ground(self, view: View, a: Actor) -> None:
        """Darken the ground under a body and, in sunlight, along its shadow."""
        sun, canvas = self.camera.look.sun, view.canvas
        seen = self._shadow_ring + self._axes @ (a.x_m, 0.0, a.z_m)
        pixels = seen[:, :2] * (self.camera.focal_px / np.maximum(seen[:, 2:], 0.1))
        pixels += (0.5 * self.camera.width - view.corner[0], 0.5 * self.camera.height - view.corner[1])
        pixels *= view.scale
        contact, cast = pixels[: len(_DISC)], pixels[len(_DISC) :]
        strong = sun > 0.3
        points = pixels if strong else contact
        left, top, wide, tall = cv2.boundingRect(points.astype(np.float32))
        soft = max(1.0, 0.05 * float(contact[:, 0].max() - contact[:, 0].min()))
        pad = int(2 * soft) + 2
        x0, y0 = max(left - pad, 0), max(top - pad, 0)
        x1, y1 = min(left + wide + pad, canvas.shape[1]), min(top + tall + pad, canvas.shape[0])
        if x1 - x0 < 2 or y1 - y0 < 2:
            return
        mask = np.full((y1 - y0, x1 - x0), 255, np.uint8)
        if strong:
            cv2.fillConvexPoly(mask, np.round((cast - (x0, y0)) * 16).astype(np.int32), 255 - 160 * sun, cv2.LINE_4, 4)
        cv2.fillConvexPoly(mask, np.round((contact - (x0, y0)) * 16).astype(np.int32), 130, cv2.LINE_4, 4)
        width = 2 * int(2 * soft) + 1
        mask = cv2.blur(mask, (width, max(3, width // 3 * 2 + 1)))
        if view.response is not None:
            # The tone curve is a power, so light lost before it is a power of that light lost after it.
            mask = cv2.LUT(mask, view.response.tones)
        part = canvas[y0:y1, x0:x1]
        cv2.multiply(part, cv2.merge([mask] * 4), dst=part, scale=1.0 / 255.0)

    def _darken_corners(self, rgb: np.ndarray) -> np.ndarray:
        if not self._vignette:
            return rgb
        h, w = rgb.shape[:2]
        x, y = np.linspace(-1, 1, w, dtype=np.float32), np.linspace(-1, 1, h, dtype=np.float32)
        light = 1 - np.float32(0.5 * self._vignette) * (x[None] ** 2 + y[:, None] ** 2)
        return (rgb * light[..., None]).astype(np.uint8)

    def _corner_light(self, box: Window) -> float:
        x = (box[0] + box[2]) / self.camera.width - 1
        y = (box[1] + box[3]) / self.camera.height - 1
        return 1 - 0.5 * self._vignette * min(x * x + y * y, 2.0)

    def _response_of(self, shot: int) -> Response:
        """Return the camera's colours in one shot."""
        if shot not in self._shots:
            random = seeded(self.camera.seed, "shot", shot)
            strength = self.nuisances.light_change
            stops, warmth = random.normal(0.0, strength), 0.16 * random.normal(0.0, strength)
            gains = np.exp2(np.clip(stops, -1.5, 1.0)) * np.exp([warmth, 0.0, -warmth])
            if len(self._shots) > 1024:
                self._shots.clear()
            self._shots[shot] = Response(gains[:, None] * self._matrix, self._gamma)
        return self._shots[shot]

    def _record(self, image: np.ndarray, random: np.random.Generator | None, shot: int, zoom: float) -> np.ndarray:
        """Return what lens, sensor and encoder make of ``image`` (h, w, 3), whose memory is used up."""
        sigma = self.nuisances.blur * self.camera.look.blur_px * min(zoom, 1.0)
        if sigma > 0.25:
            size = (5, 5) if sigma > 0.7 else (3, 3)
            image = cv2.GaussianBlur(image, size, sigma, dst=workspace("blurred", image.shape, np.uint8))
        if self._noise is not None:
            if random is None:
                random = seeded(self.camera.seed, "noise", shot)
            more, less = self._noise
            h, w = image.shape[:2]
            y, x = int(random.integers(more.shape[0] - h + 1)), int(random.integers(more.shape[1] - w + 1))
            cv2.add(image, more[y : y + h, x : x + w], dst=image)
            cv2.subtract(image, less[y : y + h, x : x + w], dst=image)
        if self._quality is None:
            return image.copy()
        # OpenCV takes RGB for BGR both ways; chroma is halved either way, and two conversions are saved.
        _, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, self._quality))
        return cv2.imdecode(data, cv2.IMREAD_COLOR)


def _circle(n: int) -> np.ndarray:
    angle = np.arange(n) * (2 * np.pi / n)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


_DISC = _circle(12)
# The cast shadow in (side, length) coordinates: from the feet to the head.
_OVAL = _circle(14) * (1.0, 0.52) + (0.0, 0.48)


def _overlap(a: Window, b: Window) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _layer_box(layer: Layer) -> Window:
    h, w = layer.rgba.shape[:2]
    return layer.x, layer.y, layer.x + w, layer.y + h


def _sample(image: np.ndarray, window: Window, shape: tuple[int, int], left: int = 0, top: int = 0) -> np.ndarray:
    """Return ``image``, whose corner is at frame pixel (left, top), seen through a window x, y, w, h at ``shape``.

    Opaque pictures are continued over their edge; an occluder's layer ends there.
    """
    x, y, w, h = window
    sx, sy = w / shape[1], h / shape[0]
    whole = image.ndim == 3 and left == 0 and top == 0 and image[0, 0, 3] == 255
    border = cv2.BORDER_REPLICATE if whole else cv2.BORDER_CONSTANT
    return stretch(image, shape, (x - left + 0.5 * sx - 0.5, y - top + 0.5 * sy - 0.5), (sx, sy), border)


def _colours(look: Look, share: float) -> tuple[np.ndarray, float]:
    """Return colour matrix (3, 3) and gamma of ``share`` of a camera's look."""
    matrix = np.eye(3) + share * (np.array(look.matrix) - np.eye(3))
    saturation = 1.0 + share * (look.saturation - 1.0)
    grey = np.array([0.299, 0.587, 0.114])
    matrix = (saturation * np.eye(3) + (1 - saturation) * grey[None]) @ matrix
    return matrix * look.exposure**share, look.gamma**share


@lru_cache(maxsize=8)
def _noise_bank(sigma: float, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what noise adds and what it takes away: two (h, w, 3) uint8 fields, larger than a frame."""
    random = seeded(0, "sensor noise", f"{sigma:.3f}")
    shape = height + 64, width + 64
    luma = random.standard_normal((*shape, 1), np.float32)
    field = 0.8 * luma + 0.6 * random.standard_normal((*shape, 3), np.float32)
    # Demosaicing and the encoder smear noise over neighbouring pixels.
    field = cv2.GaussianBlur(field, (3, 3), 0.6)
    field = np.rint(field * (sigma / field.std()))
    return np.clip(field, 0, 255).astype(np.uint8), np.clip(-field, 0, 255).astype(np.uint8)
