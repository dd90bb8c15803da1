"""Everything that makes pictures of one person differ, one parameter each; zero means off.

The parameters that change pixels are read by :class:`~reidlab.world.render.Renderer`; those that change boxes,
tracks and labels are read by the scene, which knows who walks where.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from reidlab.checks import check_names, check_number


@dataclass(frozen=True)
class Nuisances:
    """Strength of each nuisance; ``Nuisances()`` is a clean world, :meth:`typical` a realistic one.

    Attributes:
        colour_shift: share (0..1) of each camera's own white balance, colour matrix, gamma and saturation that
            is applied; at 0 all cameras see the same colours.
        light_change: standard deviation, in photographic stops, of the exposure from shot to shot; the colour of
            the light moves along with it, from morning blue to evening yellow.
        blur: share (0..1) of each camera's own blur (its lens sets the radius in pixels).
        noise: share (0..1) of each camera's own sensor noise (its sensor sets the sigma in grey levels).
        jpeg: share (0..1) of each camera's own compression loss; at 0 pictures are not compressed.
        occlusion: share (0..1) of each camera's static objects that are in the scene and stand in front of
            people; at 0 the ground is empty.
        background: share (0..1) of each camera's own scene; at 0 every camera looks at a plain grey floor.
        crossing: share (0..1) of visits during which another person walks close by.
        box_jitter: standard deviation of a box's position and size, as a share of the box's size.
        drift: share (0..1) of a track's frames on which the tracker has slid off the person.
        label_noise: share (0..1) of tracks that carry another person's identity.
    """

    colour_shift: float = 0.0
    light_change: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    jpeg: float = 0.0
    occlusion: float = 0.0
    background: float = 1.0
    crossing: float = 0.0
    box_jitter: float = 0.0
    drift: float = 0.0
    label_noise: float = 0.0

    def __post_init__(self) -> None:
        """Check every strength.

        Raises:
            ConfigError: if a value is not a number in its range.
        """
        for field in fields(self):
            limit = 2.0 if field.name == "light_change" else 1.0
            check_number(f"Nuisances.{field.name}", getattr(self, field.name), 0, limit, what="0 for off")

    @classmethod
    def typical(cls) -> Nuisances:
        """Return the setting of an ordinary outdoor network of cameras."""
        return cls(
            colour_shift=0.7, light_change=0.25, blur=0.7, noise=0.7, jpeg=0.7, occlusion=0.5, crossing=0.2,
            box_jitter=0.04,
        )  # fmt: skip

    @classmethod
    def full(cls) -> Nuisances:
        """Return the setting with every parameter that changes pixels at the top of its range."""
        return cls(
            colour_shift=1.0, light_change=0.5, blur=1.0, noise=1.0, jpeg=1.0, occlusion=1.0, crossing=0.5,
            box_jitter=0.08, drift=0.1, label_noise=0.05,
        )  # fmt: skip

    def with_(self, **changes: float) -> Nuisances:
        """Return a copy with some parameters changed.

        Raises:
            ConfigError: if there is no such parameter or a value is out of range.
        """
        check_names("Nuisances", changes, (field.name for field in fields(self)))
        return replace(self, **changes)
