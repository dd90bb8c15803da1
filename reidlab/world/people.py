"""Identities: body, gait and clothes, drawn once per person and then fixed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reidlab.checks import check_integer, check_share
from reidlab.seeding import derive, rng
from reidlab.world.dress import Colour, Dress, Palette

HAIR_STYLES = ("short", "medium", "long", "ponytail", "bun", "bald")
ARM_POSES = ("swing", "pockets", "phone")

_SKINS: Palette = (
    (3.0, (224, 184, 160)), (2.5, (206, 162, 132)), (1.6, (182, 134, 102)), (1.0, (138, 94, 68)), (0.8, (92, 62, 46)),
)  # fmt: skip
_HAIRS: Palette = (
    (4.0, (30, 26, 25)), (2.5, (58, 43, 34)), (1.4, (92, 66, 46)), (0.8, (150, 116, 76)), (0.6, (138, 136, 134)),
    (0.25, (122, 58, 38)),
)  # fmt: skip
_SHOES: Palette = (
    (3.0, (40, 38, 38)), (2.0, (214, 212, 206)), (1.2, (92, 66, 46)), (1.0, (122, 122, 124)), (0.5, (52, 68, 108)),
    (0.4, (158, 56, 52)), (0.2, (196, 158, 62)),
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """One identity: everything about a pedestrian that stays the same from camera to camera.

    Attributes:
        pid: identity number.
        height_m: stature in metres, shoes included.
        build: girth relative to the average body (0.85 slim .. 1.25 heavy).
        shoulder, hip: widths relative to the average body of that stature.
        stride: amplitude of the thigh's swing in radians; ``cadence_hz``: double steps a second.
        arm_swing: amplitude of the arm's swing in radians; ``arms``: what the arms do.
        lean: forward lean of the trunk in radians.
        skin, hair_colour: RGB; ``hair``: one of :data:`HAIR_STYLES`.
        hat, hat_colour, scarf (RGB or None), glasses: what is worn on head and neck.
        upper, upper_colour, second_colour, pattern, open_front, inner_colour: the upper garment;
            ``sleeve`` is how far it covers the arm, ``hem`` how far it reaches below the hip as a share of the leg.
        lower, lower_colour, lower_length, lower_width: trousers, shorts, skirt or the skirt of a dress;
            length is a share of the leg, width is relative to the leg's own.
        shoes: RGB of the shoes; ``socks``: RGB of socks or stockings where legs are bare (None: skin).
        bag, bag_colour, bag_side: the bag; side is +1 for the person's left and -1 for the right.
        group: number of the group of look-alikes, -1 for none.
        seed: what folds, prints and the grain of the cloth are drawn from.
    """

    pid: int
    height_m: float = 1.72
    build: float = 1.0
    shoulder: float = 1.0
    hip: float = 1.0
    stride: float = 0.42
    cadence_hz: float = 0.95
    arm_swing: float = 0.4
    arms: str = "swing"
    lean: float = 0.04
    skin: Colour = (206, 162, 132)
    hair: str = "short"
    hair_colour: Colour = (30, 26, 25)
    hat: str = "none"
    hat_colour: Colour = (46, 46, 50)
    scarf: Colour | None = None
    glasses: bool = False
    upper: str = "tshirt"
    upper_colour: Colour = (150, 153, 158)
    second_colour: Colour = (226, 226, 222)
    pattern: str = "plain"
    open_front: bool = False
    inner_colour: Colour = (226, 226, 222)
    sleeve: float = 0.3
    hem: float = 0.08
    lower: str = "trousers"
    lower_colour: Colour = (44, 52, 74)
    lower_length: float = 1.0
    lower_width: float = 1.0
    shoes: Colour = (40, 38, 38)
    socks: Colour | None = None
    bag: str = "none"
    bag_colour: Colour = (46, 46, 50)
    bag_side: int = 1
    group: int = -1
    seed: int = 0

    @property
    def speed_mps(self) -> float:
        """Return the comfortable walking speed in metres a second that fits stature, stride and cadence."""
        leg = 0.5 * self.height_m
        return 4.0 * leg * float(np.sin(self.stride)) * self.cadence_hz


def make_people(
    n: int, dress: Dress, seed: int, *, first_pid: int = 1, lookalikes: float = 0.0, group_size: int = 3
) -> list[Person]:
    """Draw ``n`` identities; person ``pid`` of a seed is the same whatever ``n`` is, unless it is a look-alike.

    Args:
        n: number of people, at least 0.
        dress: statistics of the clothes.
        seed: seed of the crowd.
        first_pid: identity of the first person; the others follow.
        lookalikes: share (0..1) of people who dress like another one: members of a group share garments and
            hair colour, and differ in shoes, bag, hat or scarf, and in body and gait.
        group_size: people in a group of look-alikes, at least 2.

    Returns:
        People with ``pid`` from ``first_pid`` on.

    Raises:
        ConfigError: if an argument is out of range.
    """
    check_integer("n", n, what="the number of people")
    check_share("lookalikes", lookalikes)
    check_integer("group_size", group_size, 2, what="people in a group of look-alikes")
    people = [draw_person(first_pid + i, dress, seed) for i in range(n)]
    in_groups = round(lookalikes * n)
    for i in range(in_groups):
        group, place = divmod(i, group_size)
        leader = people[group * group_size]
        # A group left with one member at the end is no group.
        if min(in_groups, (group + 1) * group_size) - group * group_size < 2:
            break
        people[i] = replace(leader, group=group) if place == 0 else _lookalike(people[i], leader, group)
    return people


def draw_person(pid: int, dress: Dress, seed: int) -> Person:
    """Draw one identity from ``dress``; the same for the same ``(seed, pid)``."""
    random = rng(seed, "person", pid)
    curvy = random.random() < 0.5
    upper = _kind(random, dress.upper)
    lower = _kind(random, dress.lower)
    if lower in ("skirt", "dress"):
        curvy = True
    upper_colour = _colour(random, dress.upper_palette, dress.colour_spread)
    lower_colour = _colour(random, dress.lower_palette, dress.colour_spread)
    if lower == "jeans":
        lower_colour = _colour(random, _JEANS, dress.colour_spread)
    if lower == "dress":
        upper = "tshirt" if upper in ("hoodie", "shirt") else upper
        lower_colour = upper_colour if upper == "tshirt" else lower_colour
    hair_shares = {"short": 0.1, "medium": 0.22, "long": 0.34, "ponytail": 0.22, "bun": 0.12}
    if not curvy:
        hair_shares = {"short": 0.78, "medium": 0.13, "bald": 0.06, "long": 0.03}
    length = {
        "trousers": random.uniform(0.94, 1.0),
        "jeans": random.uniform(0.9, 1.0),
        "shorts": random.uniform(0.3, 0.52),
        "skirt": random.uniform(0.36, 0.75),
        "dress": random.uniform(0.36, 0.7),
    }[lower]
    covers = {
        "coat": float(np.clip(random.normal(*dress.coat_length), 0.3, 0.8)),
        "jacket": random.uniform(0.04, 0.2),
        "hoodie": random.uniform(0.06, 0.14),
        "shirt": random.uniform(0.03, 0.18),
        "tshirt": random.uniform(0.03, 0.14),
    }[upper]
    long_sleeves = upper in ("coat", "jacket", "hoodie") or random.random() < dress.long_sleeves
    bare = lower in ("shorts", "skirt", "dress")
    tights = bare and (upper == "coat" or (lower != "shorts" and random.random() < 0.3))
    return Person(
        pid=pid,
        height_m=float(np.clip(random.normal(1.66 if curvy else 1.77, 0.062), 1.5, 1.97)),
        build=float(np.clip(random.normal(0.98 if curvy else 1.02, 0.085), 0.84, 1.3)),
        shoulder=float(np.clip(random.normal(0.94 if curvy else 1.04, 0.035), 0.86, 1.14)),
        hip=float(np.clip(random.normal(1.05 if curvy else 0.97, 0.035), 0.88, 1.15)),
        stride=float(np.clip(random.normal(0.40, 0.05), 0.28, 0.54)),
        cadence_hz=float(np.clip(random.normal(0.95, 0.07), 0.75, 1.15)),
        arm_swing=float(np.clip(random.normal(0.36, 0.12), 0.08, 0.7)),
        arms=ARM_POSES[int(random.choice(3, p=(0.74, 0.14, 0.12)))],
        lean=float(np.clip(random.normal(0.04, 0.03), -0.04, 0.13)),
        skin=_colour(random, _SKINS, 6.0),
        hair=_kind(random, hair_shares),
        hair_colour=_colour(random, _HAIRS, 6.0),
        hat=_kind(random, dress.hat),
        hat_colour=_colour(random, dress.accents, dress.colour_spread),
        scarf=_colour(random, dress.accents, dress.colour_spread) if random.random() < dress.scarf else None,
        glasses=bool(random.random() < 0.2),
        upper=upper,
        upper_colour=upper_colour,
        second_colour=_contrasting(random, dress.upper_palette, upper_colour, dress.colour_spread),
        pattern=_kind(random, dress.pattern),
        open_front=bool(upper in ("jacket", "coat", "shirt") and random.random() < dress.open_front),
        inner_colour=_colour(random, _SUMMER_INNER, 10.0),
        sleeve=float(random.uniform(0.92, 1.0) if long_sleeves else random.uniform(0.16, 0.36)),
        hem=float(covers),
        lower=lower,
        lower_colour=lower_colour,
        lower_length=float(length),
        lower_width=float(random.uniform(0.98, 1.24)),
        shoes=_colour(random, _SHOES, 8.0),
        socks=(44, 42, 46) if tights else None,
        bag=_kind(random, dress.bag),
        bag_colour=_colour(random, dress.accents, dress.colour_spread),
        bag_side=int(random.choice((-1, 1))),
        seed=derive(seed, "cloth", pid),
    )


_JEANS: Palette = (
    (2.0, (58, 72, 104)), (1.6, (42, 50, 72)), (1.0, (92, 110, 140)), (0.8, (36, 38, 46)), (0.4, (138, 152, 174)),
)  # fmt: skip
_SUMMER_INNER: Palette = (
    (3.0, (220, 220, 218)), (1.5, (44, 46, 52)), (1.0, (146, 148, 154)), (0.8, (140, 60, 62)), (0.8, (96, 120, 156)),
    (0.5, (196, 178, 140)),
)  # fmt: skip


def _lookalike(own: Person, leader: Person, group: int) -> Person:
    """Return ``own`` body and small things in the leader's garments, with at least one small thing different."""
    twin = replace(
        own, group=group, upper=leader.upper, upper_colour=leader.upper_colour, second_colour=leader.second_colour,
        pattern=leader.pattern, open_front=leader.open_front, inner_colour=leader.inner_colour, sleeve=leader.sleeve,
        hem=leader.hem, lower=leader.lower, lower_colour=leader.lower_colour, lower_length=leader.lower_length,
        lower_width=leader.lower_width, socks=leader.socks, hair=leader.hair, hair_colour=leader.hair_colour,
        skin=leader.skin,
    )  # fmt: skip
    if (twin.bag, twin.hat, twin.shoes, twin.scarf) == (leader.bag, leader.hat, leader.shoes, leader.scarf):
        twin = replace(twin, bag="backpack" if leader.bag != "backpack" else "none")
    return twin


def _kind(random: np.random.Generator, shares: dict[str, float]) -> str:
    kinds = list(shares)
    weights = np.array([shares[k] for k in kinds], dtype=float)
    return kinds[int(random.choice(len(kinds), p=weights / weights.sum()))]


def _colour(random: np.random.Generator, palette: Palette, spread: float) -> Colour:
    weights = np.array([w for w, _ in palette])
    base = np.array(palette[int(random.choice(len(palette), p=weights / weights.sum()))][1], dtype=float)
    # Dyes vary in lightness far more than in hue.
    value = base * (1.0 + random.normal(0.0, spread / 90.0)) + random.normal(0.0, spread / 2.5, 3)
    r, g, b = (int(v) for v in np.clip(value, 14, 240))
    return r, g, b


def _contrasting(random: np.random.Generator, palette: Palette, other: Colour, spread: float) -> Colour:
    """Return a palette colour that can be told from ``other``: the most distant of three draws."""
    draws = [_colour(random, palette, spread) for _ in range(3)]
    return max(draws, key=lambda c: sum((x - y) ** 2 for x, y in zip(c, other)))
