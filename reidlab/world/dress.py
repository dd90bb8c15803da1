"""What people wear, as statistics: the part of a domain that is not the camera.

A :class:`Dress` holds the shares of each garment and the palettes their colours are drawn from. Two are given,
:meth:`Dress.summer` and :meth:`Dress.winter`, with everything between them through :meth:`Dress.blend`. Winter hides
what summer shows: long dark coats cover torso, hips and thighs, hats and hoods cover hair, so that identity is
left to shoes, scarf, bag, hat and the cut of the coat.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from reidlab.checks import check_choice, check_number, check_share
from reidlab.errors import ConfigError

Colour = tuple[int, int, int]
Palette = tuple[tuple[float, Colour], ...]

UPPERS = ("tshirt", "shirt", "hoodie", "jacket", "coat")
LOWERS = ("trousers", "jeans", "shorts", "skirt", "dress")
PATTERNS = ("plain", "stripes", "hoops", "check", "logo", "two_tone", "print")
HATS = ("none", "cap", "beanie", "hood")
BAGS = ("none", "backpack", "shoulder", "hand")

# Colours are those of worn cloth under neutral light: dark greys, blues and earth tones dominate, pure hues are rare.
_SUMMER_UPPER: Palette = (
    (5.0, (226, 226, 222)), (3.0, (40, 42, 48)), (2.0, (150, 153, 158)), (1.6, (88, 124, 168)), (1.3, (44, 62, 108)),
    (1.3, (168, 48, 52)), (1.0, (206, 150, 156)), (0.9, (104, 142, 104)), (0.8, (214, 186, 92)), (0.9, (122, 186, 190)),
    (0.7, (112, 82, 138)), (0.8, (206, 126, 74)), (0.8, (196, 178, 148)), (0.6, (126, 52, 74)), (0.6, (70, 92, 70)),
    (0.6, (172, 196, 222)), (0.4, (222, 116, 132)), (0.4, (52, 116, 112)),
)  # fmt: skip
_SUMMER_LOWER: Palette = (
    (3.0, (66, 84, 116)), (2.0, (44, 52, 74)), (2.0, (38, 38, 42)), (1.6, (178, 164, 136)), (1.0, (112, 124, 146)),
    (1.0, (206, 204, 196)), (0.8, (98, 92, 78)), (0.6, (132, 132, 134)), (0.4, (138, 62, 60)), (0.4, (86, 108, 90)),
    (0.4, (166, 128, 138)), (0.3, (196, 160, 82)),
)  # fmt: skip
_WINTER_UPPER: Palette = (
    (3.0, (34, 35, 39)), (2.4, (38, 44, 60)), (1.6, (56, 57, 62)), (0.9, (52, 58, 48)), (0.9, (64, 52, 44)),
    (0.5, (86, 84, 84)), (0.35, (112, 92, 68)), (0.3, (84, 38, 42)), (0.15, (140, 132, 120)),
)  # fmt: skip
_WINTER_LOWER: Palette = (
    (3.0, (36, 37, 42)), (2.2, (44, 52, 74)), (1.2, (58, 62, 72)), (0.8, (70, 62, 54)), (0.5, (92, 92, 94)),
)  # fmt: skip
_ACCENTS: Palette = (
    (2.0, (46, 46, 50)), (1.0, (150, 40, 44)), (1.0, (120, 122, 126)), (1.0, (52, 72, 118)), (0.8, (196, 188, 172)),
    (0.8, (148, 110, 66)), (0.6, (58, 98, 78)), (0.6, (198, 150, 62)), (0.5, (106, 66, 108)), (0.5, (196, 120, 132)),
)  # fmt: skip


def _check_shares(name: str, shares: dict[str, float], allowed: tuple[str, ...]) -> None:
    for key, value in shares.items():
        check_choice(f"Dress.{name}", key, allowed)
        check_number(f"Dress.{name}[{key!r}]", value, 0)
    if not sum(shares.values()) > 0:
        raise ConfigError(f"Dress.{name} has no kind with a share above 0; give at least one of {', '.join(allowed)}")


@dataclass(frozen=True)
class Dress:
    """Statistics of clothes in one place and season.

    Attributes:
        name: what to call it.
        upper, lower, pattern, hat, bag: relative share of each kind; normalised when drawn.
        long_sleeves: share of t-shirts and shirts with long sleeves.
        open_front: share of jackets and coats worn open over another colour.
        scarf: share of people with a scarf.
        upper_palette, lower_palette, accents: (weight, RGB) pairs that garments, trousers or skirts, and
            bags, hats, scarves and shoes are coloured from.
        colour_spread: standard deviation, in grey levels, of a garment's colour around its palette entry.
        coat_length: mean and standard deviation of how far a coat reaches below the hip, as a share of the leg.
    """

    name: str = "custom"
    upper: dict[str, float] = field(default_factory=lambda: {"tshirt": 1.0})
    lower: dict[str, float] = field(default_factory=lambda: {"trousers": 1.0})
    pattern: dict[str, float] = field(default_factory=lambda: {"plain": 1.0})
    hat: dict[str, float] = field(default_factory=lambda: {"none": 1.0})
    bag: dict[str, float] = field(default_factory=lambda: {"none": 1.0})
    long_sleeves: float = 0.0
    open_front: float = 0.0
    scarf: float = 0.0
    upper_palette: Palette = _SUMMER_UPPER
    lower_palette: Palette = _SUMMER_LOWER
    accents: Palette = _ACCENTS
    colour_spread: float = 9.0
    coat_length: tuple[float, float] = (0.45, 0.12)

    def __post_init__(self) -> None:
        """Check shares and ranges.

        Raises:
            ConfigError: if a kind is unknown, a share negative, or a probability outside 0..1.
        """
        for name, allowed in _KINDS.items():
            _check_shares(name, getattr(self, name), allowed)
        for name in ("long_sleeves", "open_front", "scarf"):
            check_share(f"Dress.{name}", getattr(self, name))
        for name in ("upper_palette", "lower_palette", "accents"):
            if not getattr(self, name):
                raise ConfigError(f"Dress.{name} is empty; give at least one (weight, (r, g, b)) pair")
        check_number("Dress.colour_spread", self.colour_spread, 0, what="in grey levels")

    @classmethod
    def summer(cls) -> Dress:
        """Return light, bright and varied clothes: t-shirts, shorts, skirts, dresses, bare arms and heads."""
        return cls(
            name="summer",
            upper={"tshirt": 0.62, "shirt": 0.26, "hoodie": 0.05, "jacket": 0.07, "coat": 0.0},
            lower={"trousers": 0.28, "jeans": 0.28, "shorts": 0.2, "skirt": 0.11, "dress": 0.13},
            pattern={"plain": 0.5, "stripes": 0.04, "hoops": 0.1, "check": 0.08, "logo": 0.15, "two_tone": 0.08,
                     "print": 0.05},
            hat={"none": 0.88, "cap": 0.12, "beanie": 0.0, "hood": 0.0},
            bag={"none": 0.42, "backpack": 0.26, "shoulder": 0.18, "hand": 0.14},
            long_sleeves=0.16,
            open_front=0.5,
            scarf=0.0,
        )  # fmt: skip

    @classmethod
    def winter(cls) -> Dress:
        """Return long dark coats and jackets that resemble one another, with hats, hoods and scarves."""
        return cls(
            name="winter",
            upper={"tshirt": 0.0, "shirt": 0.0, "hoodie": 0.06, "jacket": 0.24, "coat": 0.7},
            lower={"trousers": 0.55, "jeans": 0.41, "shorts": 0.0, "skirt": 0.04, "dress": 0.0},
            pattern={"plain": 0.93, "stripes": 0.0, "hoops": 0.0, "check": 0.01, "logo": 0.01, "two_tone": 0.05,
                     "print": 0.0},
            hat={"none": 0.34, "cap": 0.06, "beanie": 0.34, "hood": 0.26},
            bag={"none": 0.44, "backpack": 0.26, "shoulder": 0.16, "hand": 0.14},
            long_sleeves=1.0,
            open_front=0.12,
            scarf=0.45,
            upper_palette=_WINTER_UPPER,
            lower_palette=_WINTER_LOWER,
            colour_spread=6.0,
            coat_length=(0.52, 0.14),
        )  # fmt: skip

    @classmethod
    def blend(cls, winter: float) -> Dress:
        """Return clothes between summer (0) and winter (1): shares are mixed in proportion, palettes pooled.

        Raises:
            ConfigError: if ``winter`` is outside 0..1.
        """
        check_share("winter", winter, what="from summer to winter")
        a, b = cls.summer(), cls.winter()
        if winter in (0.0, 1.0):
            return b if winter else a
        mixed: dict[str, object] = {"name": f"blend{winter:g}"}
        for item in fields(cls):
            x, y = getattr(a, item.name), getattr(b, item.name)
            if item.name in _KINDS:
                mixed[item.name] = {k: _lerp(_share(x, k), _share(y, k), winter) for k in _KINDS[item.name]}
            elif item.name in ("upper_palette", "lower_palette", "accents"):
                mixed[item.name] = _pool(x, 1.0 - winter) + _pool(y, winter)
            elif item.name == "coat_length":
                mixed[item.name] = tuple(_lerp(p, q, winter) for p, q in zip(x, y))
            elif item.name != "name":
                mixed[item.name] = _lerp(x, y, winter)
        return cls(**mixed)


_KINDS = {"upper": UPPERS, "lower": LOWERS, "pattern": PATTERNS, "hat": HATS, "bag": BAGS}


def _lerp(a: float, b: float, t: float) -> float:
    return (1.0 - t) * a + t * b


def _share(shares: dict[str, float], kind: str) -> float:
    return shares.get(kind, 0.0) / sum(shares.values())


def _pool(palette: Palette, weight: float) -> Palette:
    total = sum(w for w, _ in palette)
    return tuple((weight * w / total, colour) for w, colour in palette)
