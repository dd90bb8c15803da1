"""Bodies of pedestrians: a mesh of rings per identity, dressed once, posed for every picture.

Every part of a body (trunk, head, limbs, skirt or coat tails, bags, hats) is a tube: rings of 16 segments around
an axis. A ring is moved by a blend of bones, so limbs bend without joints showing. Lengths are in statures until the
mesh is scaled, axes are x = the person's left, y = up, z = front, and the angle on a ring runs from the back over
the right side, the front (middle column) and the left side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from reidlab.world.people import Person

SEGMENTS = 16
BONES = (
    "pelvis", "chest", "head", "arm_l", "arm_r", "fore_l", "fore_r", "thigh_l", "thigh_r", "shank_l", "shank_r",
    "foot_l", "foot_r", "drape", "carry_l", "carry_r",
)  # fmt: skip
_B = {name: i for i, name in enumerate(BONES)}

# Joint heights and distances in statures, after Drillis and Contini's body segment parameters (1966).
HIP_Y, KNEE_Y, ANKLE_Y = 0.525, 0.285, 0.045
SHOULDER_Y, ELBOW, WRIST, HAND = 0.806, 0.172, 0.322, 0.405
NECK_Y, WAIST_Y = 0.85, 0.605
THIGH, SHANK = HIP_Y - KNEE_Y, KNEE_Y - ANKLE_Y


@dataclass
class Mesh:
    """A dressed body at rest.

    Attributes:
        points: (R, 17, 3) float32, metres; the last column repeats the first.
        normals: (R, 17, 3) float32, outward.
        weights: (R, B) float32, share of each bone in each ring.
        part: (R,) index into ``parts``; no surface runs between rings of different parts.
        solid: (R - 1, 16) bool, cells that are surface.
        recede: (R - 1, 16) float32, metres by which a cell counts as farther away when cells are sorted, so that a
            thigh does not push through the cloth that hangs over it.
        parts: names.
    """

    points: np.ndarray
    normals: np.ndarray
    weights: np.ndarray
    part: np.ndarray
    solid: np.ndarray
    recede: np.ndarray
    parts: list[str]


@dataclass
class _Builder:
    """Collects tubes."""

    centres: list[np.ndarray] = field(default_factory=list)
    grids: list[np.ndarray] = field(default_factory=list)
    weights: list[np.ndarray] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    def tube(
        self, name: str, centre: np.ndarray, a: np.ndarray, front: np.ndarray, back: np.ndarray,
        bones: list[dict[str, float]], power: float = 2.0, along: str = "y", wide: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        """Add a tube of rings with half widths ``a`` and half depths ``front``, ``back`` around ``centre`` (k, 3).

        ``power`` 2 gives ellipses and more gives rounded boxes; ``along`` "z" lays the tube forward, with
        ``front`` upward; ``wide`` (k, 17) scales the radius of single vertices.
        """
        theta = np.arange(SEGMENTS + 1) * (2 * np.pi / SEGMENTS) - np.pi
        s, c = np.sin(theta), np.cos(theta)
        across = np.sign(s) * np.abs(s) ** (2 / power)
        ahead = np.sign(c) * np.abs(c) ** (2 / power)
        depth = np.where(ahead[None] > 0, np.asarray(front)[:, None], np.asarray(back)[:, None])
        scale = np.ones((len(centre), SEGMENTS + 1)) if wide is None else wide
        grid = np.repeat(np.asarray(centre, float)[:, None], SEGMENTS + 1, axis=1)
        grid[..., 0] += np.asarray(a)[:, None] * across * scale
        grid[..., 2 if along == "y" else 1] += depth * ahead * scale
        w = np.zeros((len(centre), len(BONES)))
        for row, blend in enumerate(bones):
            for bone, share in blend.items():
                w[row, _B[bone]] += share
        self.centres.append(np.asarray(centre, float))
        self.grids.append(grid)
        self.weights.append(w)
        self.parts.append(name)


def _column(x: float, y: np.ndarray, z: np.ndarray | float) -> np.ndarray:
    y = np.asarray(y, float)
    return np.stack([np.full(len(y), x), y, np.broadcast_to(z, len(y))], axis=1)


def _blend(y: np.ndarray, joint: float, width: float, above: str, below: str) -> list[dict[str, float]]:
    """Return bone shares that change from ``above`` to ``below`` around the height ``joint``."""
    t = np.clip((np.asarray(y) - joint) / width + 0.5, 0.0, 1.0)
    return [{above: float(v), below: float(1 - v)} for v in t]


def hem_height(person: Person) -> float:
    """Return the height, in statures, at which the upper garment ends."""
    return HIP_Y - person.hem * (HIP_Y - ANKLE_Y)


def lower_end(person: Person) -> float:
    """Return the height, in statures, at which trousers, shorts or skirt end."""
    return HIP_Y - person.lower_length * (HIP_Y - ANKLE_Y + 0.015)


_EASE = {"tshirt": 0.003, "shirt": 0.004, "hoodie": 0.009, "jacket": 0.010, "coat": 0.013}
_SLEEVE_EASE = {"tshirt": 0.0075, "shirt": 0.0045, "hoodie": 0.0075, "jacket": 0.008, "coat": 0.0095}


@lru_cache(maxsize=512)
def mesh_of(person: Person) -> Mesh:
    """Return the (cached) dressed body of ``person`` at rest, standing on y = 0."""
    out = _Builder()
    g, sh, hp = person.build, person.shoulder, person.hip
    ease = _EASE[person.upper]
    _trunk(out, person, g, sh, hp, ease)
    _head(out, person)
    for side, tag in ((1, "l"), (-1, "r")):
        _arm(out, person, side, tag, g, sh)
        _leg(out, person, side, tag, g, hp)
    if person.lower in ("skirt", "dress"):
        _drape(out, "skirt", person, g, hp, 0.004, lower_end(person), 0.022 if person.lower_width < 1.1 else 0.04)
    if person.hem > 0.12:
        _drape(out, "tails", person, g, hp, ease + 0.004, hem_height(person), 0.016)
    _bag(out, person, g, sh)
    return _finish(out, person.height_m)


def _trunk(out: _Builder, p: Person, g: float, sh: float, hp: float, ease: float) -> None:
    y = np.array([0.452, 0.47, 0.50, 0.535, 0.575, 0.615, 0.655, 0.70, 0.745, 0.78, 0.806, 0.826, 0.841, 0.852])
    a = np.array([0.045, 0.083, 0.097, 0.096, 0.088, 0.081, 0.083, 0.089, 0.095, 0.099, 0.098, 0.079, 0.05, 0.034])
    hips = np.clip((0.66 - y) / 0.16, 0, 1)
    a = a * (hips * hp + (1 - hips) * sh) * (0.6 + 0.4 * g)
    front = np.array([0.03, 0.052, 0.063, 0.064, 0.062, 0.061, 0.063, 0.069, 0.072, 0.066, 0.053, 0.042, 0.036, 0.031])
    back = np.array([0.04, 0.066, 0.074, 0.066, 0.055, 0.051, 0.056, 0.064, 0.068, 0.066, 0.057, 0.047, 0.039, 0.033])
    front, back = front * g, back * (0.5 + 0.5 * g)
    belly = 0.05 * max(0.0, g - 1.05) * np.exp(-(((y - 0.6) / 0.07) ** 2))
    loose = ease * np.clip((0.86 - y) / 0.08, 0.15, 1.0) * np.clip((y - 0.45) / 0.03, 0.2, 1)
    # A blouse or jacket does not follow the waist.
    waist = 0.5 * ease * np.exp(-(((y - 0.61) / 0.05) ** 2))
    bones = _blend(y, 0.59, 0.12, "chest", "pelvis")
    out.tube(
        "trunk", _column(0.0, y, -0.002), a + loose + waist, front + loose + waist + belly, back + loose, bones, 2.35
    )
    if p.upper == "hoodie" or (p.upper in ("jacket", "coat") and p.hat == "none" and p.seed % 3 == 0):
        yy = np.array([0.79, 0.80, 0.825, 0.848, 0.862, 0.866])
        r = np.array([0.01, 0.04, 0.058, 0.062, 0.055, 0.03])
        out.tube("cowl", _column(0.0, yy, -0.036), r * 1.05, r * 0.75, r * 0.62, [{"chest": 1.0}] * len(yy))
    elif p.upper in ("jacket", "coat", "shirt"):
        yy = np.array([0.828, 0.84, 0.856, 0.868, 0.870])
        r = np.array([0.05, 0.045, 0.041, 0.041, 0.034]) + (0.004 if p.upper == "coat" else 0.0)
        out.tube("collar", _column(0.0, yy, 0.0), r, r * 0.95, r * 1.05, [{"chest": 1.0}] * len(yy))
    if p.scarf is not None:
        yy = np.array([0.82, 0.828, 0.846, 0.866, 0.882, 0.884])
        r = np.array([0.04, 0.056, 0.061, 0.058, 0.05, 0.034])
        out.tube("scarf", _column(0.0, yy, 0.004), r, r * 1.02, r, [{"chest": 0.7, "head": 0.3}] * len(yy))


def _head(out: _Builder, p: Person) -> None:
    y = np.array([0.832, 0.85, 0.862, 0.871, 0.879, 0.892, 0.908, 0.925, 0.942, 0.958, 0.973, 0.986, 0.995, 0.999])
    a = np.array(
        [0.037, 0.031, 0.0305, 0.033, 0.037, 0.0405, 0.043, 0.0445, 0.0455, 0.0455, 0.042, 0.033, 0.019, 0.002]
    )
    front = np.array([0.033, 0.031, 0.034, 0.048, 0.053, 0.055, 0.057, 0.056, 0.055, 0.052, 0.046, 0.035, 0.02, 0.002])
    back = np.array([0.04, 0.037, 0.036, 0.037, 0.041, 0.049, 0.055, 0.06, 0.062, 0.06, 0.054, 0.042, 0.024, 0.003])
    z = np.clip((y - 0.85) / 0.03, 0, 1) * 0.016
    theta = np.arange(SEGMENTS + 1) * (2 * np.pi / SEGMENTS) - np.pi
    wide = np.ones((len(y), SEGMENTS + 1))
    if p.hair != "bald":
        volume = {"short": 0.05, "medium": 0.13, "long": 0.1, "ponytail": 0.05, "bun": 0.05}[p.hair]
        behind = np.clip((np.abs(theta) - 0.9) / 0.9, 0, 1)[None]
        top = np.clip((y - 0.945) / 0.025, 0, 1)[:, None]
        low = np.clip((y - 0.885) / 0.02, 0, 1)[:, None]
        wide = wide + volume * np.maximum(top, behind * low)
    wide[4:9, SEGMENTS // 2] += np.array([0.03, 0.04, 0.11, 0.06, 0.0])  # lips and nose
    out.tube("head", _column(0.0, y, z), a, front, back, _blend(y, 0.845, 0.02, "head", "chest"), 2.1, wide=wide)
    if p.hat == "hood":
        yy = np.array([0.825, 0.84, 0.86, 0.885, 0.915, 0.945, 0.972, 0.994, 1.008, 1.012])
        r = np.array([0.06, 0.061, 0.059, 0.058, 0.0585, 0.0585, 0.055, 0.044, 0.026, 0.004])
        back_r = r * np.array([1.15, 1.15, 1.12, 1.15, 1.22, 1.28, 1.3, 1.3, 1.2, 1.0])
        out.tube("hood", _column(0.0, yy, 0.01), r * 0.96, r * 1.08, back_r, _blend(yy, 0.86, 0.04, "head", "chest"))
        return
    if p.hat in ("cap", "beanie"):
        low = 0.944 if p.hat == "cap" else 0.932
        yy = np.linspace(low, 1.008, 7)
        t = np.linspace(0, 1, 7)
        r = np.sqrt(np.clip(1 - t**2.6, 0.001, 1)) * (1.06 if p.hat == "cap" else 1.1)
        out.tube("hat", _column(0.0, yy, 0.016), 0.0475 * r, 0.057 * r, 0.065 * r, [{"head": 1.0}] * 7)
    if p.hat == "cap":
        zz = np.array([0.05, 0.068, 0.09, 0.108, 0.113])
        centre = np.stack([np.zeros(5), 0.95 - 0.12 * (zz - 0.05), zz], axis=1)
        w = np.array([0.043, 0.043, 0.037, 0.02, 0.004])
        out.tube("brim", centre, w, np.full(5, 0.005), np.full(5, 0.003), [{"head": 1.0}] * 5, along="z")
    if p.hair in ("long", "medium"):
        end = 0.87 if p.hair == "medium" else 0.835 - 0.09 * ((p.seed >> 4) % 8) / 8
        yy = np.concatenate([[0.985], np.linspace(0.965, end, 7), [end - 0.006]])
        t = np.linspace(0, 1, 9)
        r = np.array([0.7, 0.97, 1.05, 1.08, 1.08, 1.08, 1.06, 0.95, 0.5])
        tuck = np.clip((0.86 - yy) / 0.05, 0, 1)
        centre = _column(0.0, yy, 0.0 - 0.035 * tuck - 0.006 * t)
        bones = _blend(yy, 0.82, 0.1, "head", "chest")
        out.tube("mane", centre, 0.0475 * r * (1 + 0.2 * tuck), 0.016 * r, 0.052 * r * (1 - 0.1 * tuck), bones)
    elif p.hair == "ponytail":
        yy = np.array([0.972, 0.965, 0.945, 0.91, 0.87, 0.835, 0.81, 0.80])
        zz = np.array([-0.045, -0.06, -0.075, -0.08, -0.078, -0.08, -0.085, -0.087])
        r = np.array([0.006, 0.016, 0.019, 0.021, 0.02, 0.017, 0.011, 0.003])
        out.tube("mane", _column(0.0, yy, zz), r * 1.1, r, r, [{"head": 0.9, "chest": 0.1}] * 8)
    elif p.hair == "bun":
        t = np.linspace(-1, 1, 6)
        r = 0.028 * np.sqrt(np.clip(1 - t**2, 0.004, 1))
        out.tube("mane", _column(0.0, 0.968 + 0.026 * t, -0.05), r, r, r, [{"head": 1.0}] * 6)


def _arm(out: _Builder, p: Person, side: int, tag: str, g: float, sh: float) -> None:
    t = np.array([-0.017, -0.007, 0.014, 0.045, 0.085, 0.125, 0.155, 0.175, 0.2, 0.235, 0.275, 0.31, 0.326, 0.345,
                  0.372, 0.397, 0.404])  # fmt: skip
    r = np.array([0.006, 0.021, 0.029, 0.0295, 0.0275, 0.0245, 0.023, 0.0225, 0.0225, 0.021, 0.0185, 0.0155, 0.015,
                  0.0175, 0.019, 0.013, 0.004]) * (0.45 + 0.55 * g) * (0.4 + 0.6 * sh)  # fmt: skip
    covered = t < p.sleeve * WRIST
    wide = _SLEEVE_EASE[p.upper]
    r = r + np.where(covered, wide * np.clip((t - 0.01) / 0.08, 0.12, 1.0), 0.0)
    hand = t > 0.335
    x = side * (
        0.101 * sh * (0.7 + 0.3 * g) + 0.11 * np.maximum(t, 0) + (0.002 + 0.3 * wide) - 0.05 * np.maximum(t - 0.2, 0)
    )
    centre = np.stack([x, SHOULDER_Y - t, 0.0 * t - 0.004], axis=1)
    bones = []
    for v in t:
        bend = float(np.clip((v - ELBOW) / 0.05 + 0.5, 0, 1))
        root = float(np.clip((0.03 - v) / 0.05, 0, 0.7))
        bones.append({"chest": root, f"arm_{tag}": (1 - root) * (1 - bend), f"fore_{tag}": (1 - root) * bend})
    out.tube(f"arm_{tag}", centre, np.where(hand, 0.62 * r, r), np.where(hand, 1.15 * r, r * 1.08), r * 1.04, bones)


def _leg(out: _Builder, p: Person, side: int, tag: str, g: float, hp: float) -> None:
    y = np.array([0.525, 0.505, 0.48, 0.445, 0.405, 0.365, 0.33, 0.305, 0.285, 0.262, 0.225, 0.185, 0.145, 0.105, 0.075,
                  0.052, 0.03])  # fmt: skip
    r = np.array([0.03, 0.052, 0.058, 0.0575, 0.0535, 0.049, 0.0445, 0.0415, 0.04, 0.039, 0.0395, 0.037, 0.032, 0.0265,
                  0.0235, 0.0225, 0.019])  # fmt: skip
    r = r * (0.35 + 0.65 * g)
    end = lower_end(p)
    if p.lower in ("trousers", "jeans", "shorts"):
        straight = 0.0335 * p.lower_width if p.lower != "shorts" else 0.052 * p.lower_width
        cloth = np.maximum(r + 0.0035, straight * np.clip((0.56 - y) / 0.2, 0, 1) + 0.0005)
        # Cloth breaks over the shoe.
        cloth = cloth + 0.003 * np.exp(-(((y - 0.06) / 0.03) ** 2))
        r = np.where(y >= end - 0.004, cloth, r)
    x = side * np.interp(y, [0.03, 0.3, 0.525], [0.036, 0.044, 0.047 * hp])
    knee = _blend(y, KNEE_Y, 0.06, f"thigh_{tag}", f"shank_{tag}")
    hips = np.clip((y - 0.49) / 0.05, 0, 0.6)
    bones = [{"pelvis": float(h), **{k: float(v * (1 - h)) for k, v in b.items()}} for h, b in zip(hips, knee)]
    z = np.interp(y, [0.03, 0.1, 0.22, 0.3, 0.5], [-0.008, -0.008, -0.01, 0.0, 0.0])
    centre = np.stack([x, y, z], axis=1)
    calf = np.exp(-(((y - 0.21) / 0.05) ** 2)) * 0.004
    out.tube(f"leg_{tag}", centre, r * 0.97, r, r + calf, bones)
    zz = np.array([-0.04, -0.034, -0.018, 0.005, 0.03, 0.058, 0.085, 0.101, 0.106])
    a = np.array([0.008, 0.018, 0.0235, 0.0245, 0.0255, 0.029, 0.0275, 0.017, 0.004])
    top = np.array([0.02, 0.034, 0.044, 0.044, 0.03, 0.021, 0.016, 0.01, 0.004])
    centre = np.stack([np.full(9, side * 0.037) + side * 0.10 * zz, np.full(9, 0.019), zz], axis=1)
    out.tube(f"shoe_{tag}", centre, a, top, np.full(9, 0.0185), [{f"foot_{tag}": 1.0}] * 9, 2.3, along="z")


def _drape(out: _Builder, name: str, p: Person, g: float, hp: float, ease: float, end: float, flare: float) -> None:
    y = np.concatenate([[WAIST_Y + 0.012], np.linspace(WAIST_Y, end, 8), [end - 0.002]])
    t = np.clip((WAIST_Y - y) / (WAIST_Y - end), 0, 1)
    hips = np.clip((WAIST_Y - y) / 0.09, 0, 1)
    widen = flare * t * (WAIST_Y - end) / 0.3
    a = ((0.083 + 0.017 * hips) * hp * (0.6 + 0.4 * g)) + ease + widen
    front = (0.062 + 0.006 * hips) * g + ease + 0.8 * widen
    back = (0.054 + 0.022 * hips) * (0.5 + 0.5 * g) + ease + 0.8 * widen
    a[0], front[0], back[0] = a[0] * 0.92, front[0] * 0.9, back[0] * 0.9
    # The lining is seen as a dark rim at the hem.
    a[-1], front[-1], back[-1] = a[-1] * 0.8, front[-1] * 0.8, back[-1] * 0.8
    share = np.clip((HIP_Y + 0.03 - y) / (HIP_Y + 0.03 - end), 0, 1)
    bones = [{"pelvis": float(1 - s), "drape": float(s)} for s in share]
    out.tube(name, _column(0.0, y, -0.002), a, front, back, bones, 2.25)


def _bag(out: _Builder, p: Person, g: float, sh: float) -> None:
    side = p.bag_side
    if p.bag == "backpack":
        tall = 0.19 + 0.05 * ((p.seed >> 9) % 5) / 4
        t = np.array([-0.02, 0.0, 0.05, 0.3, 0.6, 0.85, 0.97, 1.0])
        r = np.array([0.1, 0.8, 1.0, 1.04, 1.0, 0.9, 0.65, 0.1])
        y = 0.815 - tall * (1 - t)
        centre = _column(0.0, y, -0.066 * (0.5 + 0.5 * g) - 0.045)
        out.tube("bag", centre, 0.082 * r, 0.04 * r, 0.046 * r, [{"chest": 1.0}] * 8, 3.4)
    elif p.bag == "shoulder":
        y = np.array([0.452, 0.455, 0.47, 0.52, 0.565, 0.575, 0.577])
        r = np.array([0.1, 0.9, 1.0, 1.0, 0.95, 0.8, 0.1])
        x = side * (0.118 * (0.5 + 0.5 * g))
        out.tube("bag", _column(x, y, -0.02), 0.027 * r, 0.075 * r, 0.075 * r, [{"pelvis": 0.8, "chest": 0.2}] * 7, 3.4)
    elif p.bag == "hand":
        tall = 0.11 + 0.04 * ((p.seed >> 9) % 5) / 4
        y0 = SHOULDER_Y - HAND - 0.005
        y = y0 - np.array([-0.035, -0.02, 0.0, 0.02, tall * 0.6, tall, tall + 0.004])
        r = np.array([0.12, 0.22, 0.3, 0.95, 1.0, 0.98, 0.1])
        x = side * (0.101 * sh + 0.11 * 0.4 - 0.05 * 0.2 + 0.006)
        tag = "l" if side > 0 else "r"
        out.tube("bag", _column(x, y, 0.0), 0.026 * r, 0.078 * r, 0.078 * r, [{f"carry_{tag}": 1.0}] * 7, 3.0)


def _finish(out: _Builder, stature: float) -> Mesh:
    points = np.concatenate(out.grids)
    part = np.repeat(np.arange(len(out.parts)), [len(grid) for grid in out.grids])
    solid = np.repeat((part[1:] == part[:-1])[:, None], SEGMENTS, axis=1)
    normals = np.concatenate([_normals(g, c) for g, c in zip(out.grids, out.centres)])
    if "hood" in out.parts:  # the opening for the face
        rows = np.flatnonzero(part[:-1] == out.parts.index("hood"))
        angle = np.abs((np.arange(SEGMENTS) + 0.5) * 2 * np.pi / SEGMENTS - np.pi)
        height = 0.5 * (points[rows, 0, 1] + points[rows + 1, 0, 1])
        solid[rows] &= ~((angle[None] < 1.1) & (height[:, None] > 0.872) & (height[:, None] < 0.968))
    _drop_covered(out, points, part, solid)
    return Mesh(
        points=(points * stature).astype(np.float32),
        normals=normals.astype(np.float32),
        weights=np.concatenate(out.weights).astype(np.float32),
        part=part,
        solid=solid,
        recede=_recede(out, points, part),
        parts=out.parts,
    )


def _recede(out: _Builder, points: np.ndarray, part: np.ndarray) -> np.ndarray:
    height = 0.5 * (points[1:, :-1, 1] + points[:-1, :-1, 1])
    metres = np.zeros((len(part) - 1, SEGMENTS))
    shifts = {"skirt": -0.02, "tails": -0.03, "bag": -0.04}
    for number, name in enumerate(out.parts):
        rows = part[:-1] == number
        if name in ("leg_l", "leg_r"):
            metres[rows] = 0.14 * np.clip((height[rows] - 0.22) / 0.1, 0, 1)
        else:
            metres[rows] = shifts.get(name, 0.0)
    return metres.astype(np.float32)


def _drop_covered(out: _Builder, points: np.ndarray, part: np.ndarray, solid: np.ndarray) -> None:
    """Take away the surface that another garment always hides."""
    height = points[:, 0, 1]
    bottom, top = np.minimum(height[1:], height[:-1]), np.maximum(height[1:], height[:-1])
    of = {name: part[:-1] == i for i, name in enumerate(out.parts)}
    lowest = {name: height[part == i].min() for i, name in enumerate(out.parts)}
    shells = [lowest[name] for name in ("skirt", "tails") if name in of]
    legs = of["leg_l"] | of["leg_r"]
    if shells:
        solid[of["trunk"] & (top < WAIST_Y - 0.01)] = False
        solid[legs & (bottom > min(shells) + 0.045)] = False
        if len(shells) == 2:
            solid[of["skirt"] & (bottom > shells[1] + 0.03)] = False
    else:
        solid[legs & (bottom > 0.474)] = False
    if "hat" in of:
        solid[of["head"] & (bottom > lowest["hat"] + 0.012)] = False
    if "hood" in of:
        solid[of["head"] & (bottom > 0.975)] = False
        solid[of["head"] & (top < 0.85)] = False
    if "scarf" in of:
        solid[of["head"] & (top < 0.865)] = False


def _normals(grid: np.ndarray, centre: np.ndarray) -> np.ndarray:
    along = np.gradient(grid, axis=0)
    ring = grid[:, :-1]
    around = np.roll(ring, -1, axis=1) - np.roll(ring, 1, axis=1)
    around = np.concatenate([around, around[:, :1]], axis=1)
    normal = np.cross(along, around)
    normal /= np.linalg.norm(normal, axis=2, keepdims=True) + 1e-9
    outward = (normal * (grid - centre[:, None])).sum(axis=2).mean()
    return normal if outward > 0 else -normal


def pose(person: Person, phase: float, stride: float) -> np.ndarray:
    """Return where every bone is: affine maps (B, 3, 4) from rest to posed body coordinates, metres.

    Args:
        person: whose proportions and gait.
        phase: of the double step, radians; at 0 the left heel strikes.
        stride: share of the person's own stride, 0 for standing.

    The thigh swings as a cosine, the knee bends in early swing, arms swing against the legs, and the pelvis is set
    so that the lower sole touches the ground.
    """
    h = person.height_m
    swing = person.stride * stride
    lean = -person.lean
    low, legs = math.inf, []
    for shift in (0.0, math.pi):
        f = phase + shift
        hip = swing * (math.cos(f) + 0.12)
        # Bent in swing (leg moving forward, pi..2 pi), slightly yielding after heel strike.
        lift = max(0.0, -math.sin(f - 0.45))
        knee = 0.06 + stride * (0.95 * lift**1.7 + 0.14 * max(0.0, math.sin(f)) ** 2) * min(1.0, 0.5 + swing)
        shank = hip - knee
        knee_y, knee_z = -THIGH * math.cos(hip), THIGH * math.sin(hip)
        ankle_y, ankle_z = knee_y - SHANK * math.cos(shank), knee_z + SHANK * math.sin(shank)
        foot = 0.75 * shank if shank < 0 else 0.55 * shank
        s, c = math.sin(foot), math.cos(foot)
        sole = min(-ANKLE_Y * c - 0.03 * s, -ANKLE_Y * c + 0.085 * s)
        low = min(low, ankle_y + sole)
        legs.append((hip, shank, foot, knee_y, knee_z, ankle_y, ankle_z))
    pelvis_y = -low
    twist = 0.16 * swing / 0.42 * math.cos(phase)
    chest = _affine(lean, 0.0, 0.8 * twist, (0.0, 0.56, 0.0), (0.0, 0.56 + (pelvis_y - HIP_Y), 0.0))
    neck = (0.0, NECK_Y, 0.0)
    bones = {
        "pelvis": _affine(0.0, 0.0, -0.5 * twist, (0.0, HIP_Y, 0.0), (0.0, pelvis_y, 0.0)),
        "chest": chest,
        "head": _affine(0.4 * lean - 0.05, 0.0, 0.0, neck, _apply(chest, neck)),
    }
    for side, tag, shift in ((1, "l", 0.0), (-1, "r", math.pi)):
        back = -person.arm_swing * stride * math.cos(phase + shift)
        upper, bend = back + 0.02, 0.22 + 0.5 * max(0.0, back)
        if person.arms == "pockets":
            upper, bend = -0.22 + 0.3 * back, 0.62
        elif person.arms == "phone" and side == person.bag_side * -1:
            upper, bend = 0.22 + 0.1 * back, 2.05
        elif person.bag == "hand" and side == person.bag_side:
            upper, bend = 0.35 * back, 0.08
        x = side * 0.105 * person.shoulder
        shoulder = (x, SHOULDER_Y, -0.004)
        arm = _affine(upper, 0.0, 0.0, shoulder, _apply(chest, shoulder))
        elbow = (x, SHOULDER_Y - ELBOW, -0.004)
        at = _apply(arm, elbow)
        roll = -side * (0.45 if bend > 1.0 else 0.12 if person.arms == "pockets" else 0.04)
        fore = _affine(upper + bend, roll, 0.0, elbow, at)
        hand = (x, SHOULDER_Y - HAND, -0.004)
        bones |= {f"arm_{tag}": arm, f"fore_{tag}": fore}
        bones[f"carry_{tag}"] = _affine(0.25 * back, 0.0, 0.0, hand, _apply(fore, hand))
    for (hip, shank, foot, knee_y, knee_z, ankle_y, ankle_z), x, tag in zip(legs, (0.045, -0.045), "lr"):
        bones[f"thigh_{tag}"] = _affine(hip, 0.0, 0.0, (x, HIP_Y, 0.0), (x, pelvis_y, 0.0))
        bones[f"shank_{tag}"] = _affine(shank, 0.0, 0.0, (x, KNEE_Y, 0.0), (x, pelvis_y + knee_y, knee_z))
        bones[f"foot_{tag}"] = _affine(foot, 0.0, 0.0, (x, ANKLE_Y, 0.0), (x, pelvis_y + ankle_y, ankle_z))
    # Skirts and coat tails are pushed open, front and back, by the thighs under them.
    deep = HIP_Y - (hem_height(person) if person.hem > 0.12 else lower_end(person))
    reach = [min(deep, THIGH) * math.sin(a) + max(0.0, deep - THIGH) * math.sin(b) for a, b, *_ in legs]
    ahead, behind = max(reach), -min(reach)
    spread = 1.0 + max(0.0, (0.5 * (ahead + behind) + 0.05) / 0.085 - 1.0)
    drape = _affine(0.0, 0.0, 0.0, (0.0, HIP_Y, 0.0), (0.0, pelvis_y, 0.5 * (ahead - behind)))
    drape[10] *= spread
    bones["drape"] = drape
    out = np.array([bones[name] for name in BONES], dtype=np.float32).reshape(len(BONES), 3, 4)
    out[:, :, 3] *= h
    return out


def _affine(
    pitch: float, roll: float, yaw: float, rest: tuple[float, float, float], at: tuple[float, float, float]
) -> list[float]:
    """Return the map (12 numbers, row by row) that turns about ``rest`` and carries it to ``at``.

    ``pitch`` swings what hangs down forward, ``roll`` swings it to the person's left, ``yaw`` turns to the left.
    """
    sp, cp, sr, cr, sy, cy = (
        math.sin(pitch), math.cos(pitch), math.sin(roll), math.cos(roll), math.sin(yaw), math.cos(yaw),
    )  # fmt: skip
    # yaw . pitch . roll; pitch: (y, z) -> (c y + s z, -s y + c z); roll: (x, y) -> (c x - s y, s x + c y)
    a, b, c = cr, -sr, 0.0
    d, e, f = cp * sr, cp * cr, sp
    g, h, i = -sp * sr, -sp * cr, cp
    m = [
        cy * a + sy * g, cy * b + sy * h, cy * c + sy * i,
        d, e, f,
        -sy * a + cy * g, -sy * b + cy * h, -sy * c + cy * i,
    ]  # fmt: skip
    x, y, z = rest
    tx = at[0] - (m[0] * x + m[1] * y + m[2] * z)
    ty = at[1] - (m[3] * x + m[4] * y + m[5] * z)
    tz = at[2] - (m[6] * x + m[7] * y + m[8] * z)
    return [m[0], m[1], m[2], tx, m[3], m[4], m[5], ty, m[6], m[7], m[8], tz]


def _apply(m: list[float], point: tuple[float, float, float]) -> tuple[float, float, float]:
    x, y, z = point
    return (
        m[0] * x + m[1] * y + m[2] * z + m[3],
        m[4] * x + m[5] * y + m[6] * z + m[7],
        m[8] * x + m[9] * y + m[10] * z + m[11],
    )
