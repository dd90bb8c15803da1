"""The colours of a dressed body: one texture per identity, painted where its mesh lies at rest.

Each cell of the mesh carries ``TEXELS_ALONG`` x ``TEXELS_AROUND`` texels. A texel knows its part and its place on
the resting body, so garments are painted as functions of height, side and angle: a hem is a height, a zip an angle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from reidlab.seeding import rng
from reidlab.world.body import ANKLE_Y, SEGMENTS, SHOULDER_Y, WAIST_Y, WRIST, Mesh, hem_height, lower_end
from reidlab.world.people import Person
from reidlab.world.sampling import sample_at

TEXELS_ALONG = 8
TEXELS_AROUND = 6


@dataclass
class _Canvas:
    """The texels of one part: colour, light, and where they lie (statures; ``angle`` 0 = front, + = the left)."""

    rgb: np.ndarray
    light: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    angle: np.ndarray
    grain: np.ndarray
    folds: np.ndarray

    def fill(self, colour: tuple[float, ...] | np.ndarray, where: np.ndarray | None = None) -> None:
        """Paint ``colour`` where ``where`` is true (everywhere if None)."""
        if where is None:
            self.rgb[:] = colour
        else:
            self.rgb[where] = colour


def paint(person: Person, mesh: Mesh) -> np.ndarray:
    """Return the texture (R * TEXELS_ALONG, 16 * TEXELS_AROUND, 3) uint8 RGB of ``person``, under even light."""
    import cv2

    random = rng(person.seed, "texture")
    rows, cols = len(mesh.part) * TEXELS_ALONG, SEGMENTS * TEXELS_AROUND
    v = (np.arange(rows, dtype=np.float32) + 0.5) / TEXELS_ALONG
    u = (np.arange(cols, dtype=np.float32) + 0.5) / TEXELS_AROUND
    place = sample_at(
        mesh.points / np.float32(person.height_m), np.repeat(u[None], rows, 0), np.repeat(v[:, None], cols, 1),
        border=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    angle = np.repeat((u * (2 * np.pi / SEGMENTS) - np.pi)[None], rows, 0)
    rgb = np.empty((rows, cols, 3), np.float32)
    light = np.ones((rows, cols), np.float32)
    grain, folds = _weaves()
    firsts = [int(random.integers(len(strip) - rows)) for strip in (folds, grain)]
    folds, grain = (strip[first : first + rows] for strip, first in zip((folds, grain), firsts))
    for number, name in enumerate(mesh.parts):
        rings = np.flatnonzero(mesh.part == number)
        span = slice(rings[0] * TEXELS_ALONG, (rings[-1] + 1) * TEXELS_ALONG)
        canvas = _Canvas(
            rgb[span], light[span], place[span, :, 0], place[span, :, 1], place[span, :, 2], angle[span], grain[span],
            folds[span],
        )  # fmt: skip
        _PAINTERS[name.split("_")[0]](canvas, person)
    return np.clip(rgb * light[..., None], 0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def _weaves() -> tuple[np.ndarray, np.ndarray]:
    """Return the grain of cloth and its creases, long strips from which each identity takes its own pieces.

    Both have mean 0 and sigma of about 1. Creases are smooth, slanted, and longer than they are wide.
    """
    import cv2

    random = rng(0, "weaves")
    rows, cols = 12288, SEGMENTS * TEXELS_AROUND
    grain = random.standard_normal((rows, cols), np.float32)
    folds = np.zeros((rows, cols), np.float32)
    for step_y, step_x, weight in ((20, 26, 0.6), (9, 18, 0.5), (5, 8, 0.25)):
        small = random.standard_normal((rows // step_y + 2, cols // step_x + 2), np.float32)
        small[:, -1] = small[:, 0]
        folds += weight * cv2.resize(small, (cols, rows), interpolation=cv2.INTER_CUBIC)
    shift = (np.arange(rows)[:, None] // 2 + np.arange(cols)[None]) % cols
    return grain, np.take_along_axis(folds, shift, axis=1)


def _cloth(c: _Canvas, folds: float, grain: float = 0.035) -> None:
    c.light *= 1.0 + folds * c.folds + grain * c.grain


def _pattern(c: _Canvas, p: Person, along: np.ndarray, across: np.ndarray, where: np.ndarray, sleeve: bool) -> None:
    """Paint the upper garment's pattern; ``along`` and ``across`` are lengths on the cloth in statures."""
    c.fill(p.upper_colour, where)
    second = p.second_colour
    width = 0.012 + 0.012 * ((p.seed >> 14) % 8) / 8
    bands = (along / width).astype(int) % 2 == 0
    bars = (across / width).astype(int) % 2 == 0
    thin = (across / (1.7 * width)) % 1.0 < 0.22
    if p.pattern == "hoops":
        c.fill(second, where & (bands if width > 0.017 else (along / (1.5 * width)) % 1.0 < 0.35))
    elif p.pattern == "stripes":
        c.fill(second, where & (bars if width > 0.02 else thin))
    elif p.pattern == "check":
        mix = 0.5 * (np.array(p.upper_colour, np.float32) + np.array(second, np.float32))
        c.fill(mix, where & (bands ^ bars))
        c.fill(second, where & bands & bars)
    elif p.pattern == "two_tone":
        c.fill(second, where & (along < 0.055) if not sleeve else where & ((p.seed >> 18) % 2 == 0))
    elif p.pattern == "print":
        c.fill(second, where & (c.folds + 0.35 * c.grain > 0.55))


def _quilt(c: _Canvas, p: Person, along: np.ndarray, pitch: float) -> bool:
    """Paint the seams of a puffer jacket, ``pitch`` apart; return whether the upper garment is one."""
    puffer = p.upper in ("jacket", "coat") and (p.seed >> 3) % 3 == 0
    if puffer:
        c.light *= 0.9 + 0.2 * np.abs(np.sin(np.pi * along / pitch)) ** 0.5
    return puffer


def _trunk(c: _Canvas, p: Person) -> None:
    hem = hem_height(p)
    front = np.abs(c.angle)
    c.fill(p.lower_colour)
    _pattern(c, p, SHOULDER_Y - c.y + 0.03, c.x + 0.5, c.y >= hem, sleeve=False)
    _front(c, p)
    chest = (c.z > 0) & (c.y > 0.5)
    side = np.abs(c.x - 0.004)
    if p.pattern == "logo":
        high = 0.715 + 0.05 * ((p.seed >> 5) % 4) / 4
        wide, tall = 0.028 + 0.03 * ((p.seed >> 11) % 4) / 4, 0.012 + 0.03 * ((p.seed >> 13) % 4) / 4
        logo = (np.abs(c.y - high) < tall) & (side < wide) & chest & (c.folds + 0.5 * c.grain > -0.35)
        if (p.seed >> 17) % 3 == 0:
            logo = ((c.y - 0.735) ** 2 + c.x**2 < 0.035**2) & chest
        c.fill(p.second_colour, logo)
        if (p.seed >> 19) % 2:
            c.fill(p.second_colour, (np.abs(c.y - 0.76) < 0.014) & (np.abs(c.x) < 0.07) & (c.z < 0) & (c.grain > -1.1))
    if p.upper in ("tshirt", "shirt"):
        neckline = 0.836 if p.upper == "tshirt" else 0.846
        opened = (0.02 + 0.02 * ((p.seed >> 21) % 3)) * np.clip(1 - side / 0.028, 0, 1) * (front < 1.4)
        c.fill(p.skin, c.y > neckline - opened)
    c.light *= 1 - 0.22 * np.exp(-(((front - 1.57) / 0.4) ** 2)) * (c.y < 0.79)  # under the arms
    c.light *= np.where((c.y < hem) & (c.y > hem - 0.012), 0.62, 1.0)
    if p.lower not in ("skirt", "dress") and hem > 0.49:
        c.fill((38, 34, 32), (np.abs(c.y - hem + 0.006) < 0.006) & (p.seed % 2 == 0))
    puffer = _quilt(c, p, c.y, 0.042)
    _cloth(c, 0.05 if puffer else 0.09 if p.upper in ("shirt", "hoodie", "coat") else 0.07)
    if p.bag == "backpack":
        c.fill(p.bag_colour, (np.abs(side - 0.056) < 0.011) & (c.y > 0.66) & ((c.z > 0) | (c.y > 0.8)))
        c.fill(p.bag_colour, (np.abs(c.y - 0.665) < 0.008) & (np.abs(c.x) > 0.056) & (c.z > -0.05))
    elif p.bag == "shoulder":
        cross = c.x * -p.bag_side
        if (p.seed >> 7) % 2:  # slung across, from the other shoulder
            line = 0.55 + (cross + 0.11) * 1.35
        else:
            line = np.where((cross < -0.04) & (np.abs(np.abs(c.x) - 0.075) < 0.009), c.y, -9.0)
        c.fill(p.bag_colour, (np.abs(c.y - line) < 0.013) & (c.y > 0.52))


def _front(c: _Canvas, p: Person) -> None:
    """Paint how an upper garment closes."""
    ahead = (c.z > 0) & (c.y > hem_height(p))
    if p.upper in ("jacket", "coat", "shirt") and p.open_front:
        gap = 0.028 + 0.022 * ((p.seed >> 23) % 4) / 4 + 0.02 * np.clip((0.7 - c.y) / 0.15, -0.5, 1)
        c.fill(p.inner_colour, ahead & (np.abs(c.x) < gap))
        c.light[ahead & (np.abs(np.abs(c.x) - gap) < 0.005)] *= 0.7
        below = 0.53 + 0.03 * ((p.seed >> 25) % 2)
        c.fill(p.lower_colour, ahead & (np.abs(c.x) < gap) & (c.y < below))
        c.fill(p.skin, ahead & (np.abs(c.x) < gap * 0.7) & (c.y > 0.83))
    elif p.upper in ("jacket", "hoodie", "coat", "shirt"):
        c.light[ahead & (np.abs(c.x) < 0.0035)] *= 0.72
        if p.upper == "coat":
            c.light[ahead & (np.abs(np.abs(c.x) - 0.022) < 0.005) & ((c.y / 0.055) % 1.0 < 0.2)] *= 0.6
            lapel = ahead & (c.y > 0.72) & (np.abs(c.x) < 0.05 * (c.y - 0.72) / 0.12)
            c.fill(p.inner_colour if (p.seed >> 27) % 2 else p.upper_colour, lapel & (c.y > 0.77) & (p.scarf is None))
            c.light[lapel] *= 0.86
        if p.upper == "hoodie":
            c.light[ahead & (np.abs(c.y - 0.585) < 0.004) & (np.abs(c.x) < 0.06)] *= 0.75


def _arm(c: _Canvas, p: Person) -> None:
    t = SHOULDER_Y - c.y
    c.fill(p.skin)
    inside = t < p.sleeve * WRIST
    _pattern(c, p, t + 0.03, c.angle * 0.026 + 0.5, inside, sleeve=True)
    c.light[inside & (t > p.sleeve * WRIST - 0.008)] *= 0.78
    c.light *= np.where(~inside & (t < p.sleeve * WRIST + 0.01), 0.8, 1.0)
    _quilt(c, p, t, 0.038)
    c.light *= 1 - 0.18 * np.clip(-np.sign(c.x) * np.sin(c.angle), 0, 1)  # the inner side
    c.light[inside] *= (1.0 + 0.09 * c.folds + 0.035 * c.grain)[inside]


def _leg(c: _Canvas, p: Person) -> None:
    end = lower_end(p)
    c.fill(p.skin if p.socks is None or p.lower == "trousers" else p.socks)
    covered = c.y > end
    if p.lower in ("trousers", "jeans", "shorts"):
        c.fill(p.lower_colour, covered)
        c.light[covered & (c.y < end + 0.008)] *= 0.82
        c.light[covered] *= (1.0 + 0.085 * c.folds + (0.05 if p.lower == "jeans" else 0.03) * c.grain)[covered]
        if p.lower == "jeans":  # worn pale on the thighs and knees
            worn = np.exp(-(((c.y - 0.38) / 0.09) ** 2)) * np.clip(np.cos(c.angle), 0, 1)
            c.rgb += covered[..., None] * worn[..., None] * np.array([20, 22, 24], np.float32)
        if p.lower == "trousers" and (p.seed >> 29) % 9 == 0:  # a track suit's stripe
            c.fill(p.second_colour, covered & (np.abs(c.angle - np.sign(c.x) * 1.57) < 0.22))
    else:
        c.light *= np.where(covered, 0.6, 1.0)
    c.light *= 1 - 0.1 * np.clip((ANKLE_Y + 0.05 - c.y) / 0.05, 0, 1)
    if p.lower == "shorts" and (p.seed >> 31) % 2:
        c.fill((206, 206, 202), c.y < 0.085)
    inner = -np.sign(c.x) * np.sin(c.angle)
    c.light *= 1 - (0.12 + 0.2 * np.clip((c.y - 0.36) / 0.15, 0, 1)) * np.clip(inner, 0, 1)
    hidden = hem_height(p) if p.hem > 0.12 else end if p.lower in ("skirt", "dress") else 9.0
    c.light *= 1 - 0.3 * np.clip(1 - (hidden - c.y) / 0.05, 0, 1)


def _shoe(c: _Canvas, p: Person) -> None:
    c.fill(p.shoes)
    pale = sum(p.shoes) > 330
    c.fill((208, 206, 200) if pale or (p.seed >> 33) % 3 == 0 else (30, 29, 29), c.y < 0.009)  # the sole
    c.light *= 1 - 0.25 * np.exp(-(((c.y - 0.011) / 0.003) ** 2)) + 0.04 * c.grain
    c.light[(c.z > 0.02) & (c.z < 0.05) & (c.y > 0.025)] *= 1.15 if not pale else 0.85


def _head(c: _Canvas, p: Person) -> None:
    c.fill(p.skin)
    front = np.abs(c.angle)
    c.light *= 1 - 0.3 * np.clip((0.884 - c.y) / 0.012, 0, 1) * (c.y > 0.846)  # under the chin
    cheek = np.exp(-(((c.y - 0.905) / 0.012) ** 2)) * (front < 1.1)
    c.rgb += cheek[..., None] * np.array([8, -5, -5], np.float32)
    eye = np.exp(-(((c.y - 0.9345) / 0.0055) ** 2) - ((front - 0.36) / 0.17) ** 2)
    brow = np.exp(-(((c.y - 0.947) / 0.004) ** 2) - ((front - 0.38) / 0.24) ** 2)
    mouth = np.exp(-(((c.y - 0.892) / 0.0045) ** 2) - (c.angle / 0.3) ** 2)
    nose = np.exp(-(((c.y - 0.909) / 0.004) ** 2) - (c.angle / 0.2) ** 2)
    socket = np.exp(-(((c.y - 0.936) / 0.012) ** 2) - ((front - 0.4) / 0.3) ** 2)
    c.light *= (1 - 0.22 * socket) * (1 - 0.5 * eye) * (1 - 0.25 * nose)
    hair = np.array(p.hair_colour, np.float32)
    c.rgb += 0.6 * brow[..., None] * (hair - c.rgb)
    c.rgb += 0.55 * mouth[..., None] * (np.array([146, 74, 72], np.float32) - c.rgb)
    if p.glasses:
        frame = (np.abs(c.y - 0.935) < 0.011) & (front < 0.85) & (front > 0.08)
        c.fill((34, 34, 38), frame & ~((np.abs(c.y - 0.935) < 0.006) & (front > 0.2) & (front < 0.62)))
        c.fill((34, 34, 38), (np.abs(c.y - 0.938) < 0.003) & (front < 1.7))
    if p.hair in ("short", "bald") and (p.seed >> 35) % 5 == 0:  # a beard
        c.rgb += (0.55 * ((c.y < 0.902) & (c.y > 0.866) & (front < 1.5)))[..., None] * (hair - c.rgb)
    line = 0.966 + 0.006 * np.cos(3 * c.angle) - 0.05 * np.clip((front - 0.75) / 0.35, 0, 1)
    line = line - 0.045 * np.clip((front - 1.55) / 0.3, 0, 1)
    if p.hair == "bald":
        line = np.where(front > 1.9, 0.945, 9.0) - 0.04 * np.clip((front - 2.1) / 0.3, 0, 1)
    elif p.hair in ("long", "medium"):
        line = np.where(front > 1.0, line - 0.05 * np.clip((front - 1.0) / 0.3, 0, 1), line - 0.008)
        if (p.seed >> 37) % 3 == 0:
            line = np.where(front < 0.8, 0.952, line)
    covered = (c.y > line + 0.003 * c.grain) & (c.y > 0.868)
    c.rgb[covered] = hair
    c.light[covered] *= (1.0 + 0.16 * c.folds + 0.09 * c.grain)[covered]
    if p.upper in ("hoodie", "jacket", "coat"):
        c.fill(p.upper_colour, c.y < 0.848)
    c.light *= 1 - 0.25 * ((p.hat == "cap") & (c.y > 0.925) & (c.y < 0.946) & (front < 1.2))


def _mane(c: _Canvas, p: Person) -> None:
    c.fill(p.hair_colour)
    c.light *= 1.0 + 0.1 * np.sin(c.angle * 23 + 5 * c.folds) + 0.1 * c.folds + 0.06 * c.grain


def _skirt(c: _Canvas, p: Person) -> None:
    c.fill(p.lower_colour)
    if p.lower == "dress" and p.upper == "tshirt":
        _pattern(c, p, SHOULDER_Y - c.y + 0.03, c.x + 0.5, np.ones_like(c.x, bool), sleeve=False)
    low = np.clip((WAIST_Y - c.y) / (WAIST_Y - lower_end(p)), 0, 1)
    pleats = np.sin(c.angle * (7 + (p.seed >> 39) % 8) + 2 * c.folds)
    c.light *= 1.0 + (0.1 * low) * pleats
    c.light[c.y > WAIST_Y - 0.006] *= 0.8
    c.light[c.y < lower_end(p) + 0.004] *= 0.6
    _cloth(c, 0.06)


def _tails(c: _Canvas, p: Person) -> None:
    c.fill(p.upper_colour)
    _pattern(c, p, SHOULDER_Y - c.y + 0.03, c.x + 0.5, np.ones_like(c.x, bool), sleeve=False)
    ahead = c.z > 0
    low = np.clip((WAIST_Y - c.y) / (WAIST_Y - hem_height(p)), 0, 1)
    if p.open_front:
        gap = 0.03 + 0.022 * ((p.seed >> 23) % 4) / 4 + 0.025 * low
        inside = ahead & (np.abs(c.x) < gap)
        c.fill(p.lower_colour, inside)
        c.light[inside] *= 0.8
        c.fill(p.inner_colour, inside & (c.y > 0.53 + 0.03 * ((p.seed >> 25) % 2)))
        c.light[ahead & (np.abs(np.abs(c.x) - gap) < 0.006)] *= 0.65
    elif p.upper != "tshirt":
        c.light[ahead & (np.abs(c.x - 0.004) < 0.004)] *= 0.65
    if p.upper in ("jacket", "coat"):
        if (p.seed >> 41) % 2:
            c.light[np.abs(c.y - 0.597) < 0.011] *= 0.7  # a belt
        c.light[(c.z < 0) & (np.abs(c.x) < 0.004) & (low > 0.5)] *= 0.65
        pocket = (np.abs(c.y - 0.53) < 0.005) & (np.abs(np.abs(c.x) - 0.065) < 0.025) & ahead
        c.light[pocket] *= 0.7
    _quilt(c, p, c.y, 0.042)
    c.light *= 1.0 + 0.07 * low * np.sin(c.angle * 6 + 3 * c.folds)
    c.light[c.y < hem_height(p) + 0.003] *= 0.55
    _cloth(c, 0.08)


def _hat(c: _Canvas, p: Person) -> None:
    c.fill(p.hat_colour)
    if p.hat == "beanie":
        c.light *= 1.0 + 0.07 * np.sin(c.angle * 22)
        c.light[np.abs(c.y - 0.952) < 0.002] *= 0.7
    else:
        c.light *= 1.0 + 0.04 * np.sin(c.angle * 6)
    _cloth(c, 0.04)


def _hood(c: _Canvas, p: Person) -> None:
    c.fill(p.upper_colour)
    rim = np.abs(np.abs(c.angle) - 1.2) < 0.2
    if (p.seed >> 43) % 3 == 0 and p.upper in ("coat", "jacket"):  # a fur rim
        fur = rim & (c.y > 0.86) & (c.y < 0.985)
        c.rgb[fur] = (142, 122, 98)
        c.light[fur] *= (1 + 0.3 * c.grain)[fur]
    _cloth(c, 0.1)


def _brim(c: _Canvas, p: Person) -> None:
    c.fill(p.hat_colour)
    c.light *= np.where(np.abs(c.angle) < 1.57, 1.0, 0.5)


def _cowl(c: _Canvas, p: Person) -> None:
    c.fill(p.upper_colour)
    c.light *= np.where(c.y > 0.858, 0.6, 0.92)
    _cloth(c, 0.12)


def _collar(c: _Canvas, p: Person) -> None:
    c.fill(p.upper_colour)
    c.light *= np.where(np.abs(c.x) < 0.006, 0.6, 0.94)
    opened = (np.abs(c.angle) < 0.45) & (c.y > 0.835)
    c.fill(p.skin, opened & (p.upper == "shirt" or p.open_front))
    _cloth(c, 0.05)


def _scarf(c: _Canvas, p: Person) -> None:
    c.fill(p.scarf)
    if (p.seed >> 45) % 3 == 0:
        c.fill(p.second_colour, (c.angle * 5 / np.pi) % 1.0 < 0.3)
    c.light *= 1.0 + 0.14 * np.sin(c.y * 320 + 4 * c.folds)
    _cloth(c, 0.12)


def _bag(c: _Canvas, p: Person) -> None:
    c.fill(p.bag_colour)
    low, high = float(c.y.min()), float(c.y.max())
    t = (c.y - low) / (high - low)
    if p.bag == "backpack":
        c.light[np.abs(t - 0.46) < 0.02] *= 0.65
        c.light[(np.abs(np.abs(c.x) - 0.055) < 0.004) & (t < 0.46)] *= 0.75
        if (p.seed >> 47) % 3 == 0:
            c.fill(p.second_colour, (t < 0.44) & (c.z < c.z.mean()) & (np.abs(c.x) < 0.055))
        c.fill((196, 196, 192), (np.abs(t - 0.3) < 0.03) & (np.abs(c.x) < 0.012) & ((p.seed >> 49) % 2 == 0))
    else:
        c.light[np.abs(t - 0.62) < 0.03] *= 0.7
        c.light[t > 0.85] *= 0.85
    _cloth(c, 0.06)


_PAINTERS = {
    "trunk": _trunk, "arm": _arm, "leg": _leg, "shoe": _shoe, "head": _head, "mane": _mane, "skirt": _skirt,
    "tails": _tails, "hat": _hat, "hood": _hood, "brim": _brim, "cowl": _cowl, "collar": _collar, "scarf": _scarf,
    "bag": _bag,
}  # fmt: skip
