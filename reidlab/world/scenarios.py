"""Worlds with a name: the settings that chapters use."""

from __future__ import annotations

from typing import Any

from reidlab.checks import check_choice
from reidlab.world.nuisances import Nuisances
from reidlab.world.spec import WorldSpec

SCENARIOS: dict[str, WorldSpec] = {}

#: Cameras that change colours little and hide few people: nuisances under which a small network, trained on little,
#: starts at about the accuracy of the dissertation's. Under a scenario's own its clusters are noise.
KIND_CAMERAS = {"colour_shift": 0.25, "light_change": 0.08, "occlusion": 0.2, "crossing": 0.1, "box_jitter": 0.02}


def scenario(name: str, **overrides: Any) -> WorldSpec:
    """Return a named world, changed as wanted.

    Args:
        name: one of :data:`SCENARIOS`.
        **overrides: fields of :class:`~reidlab.world.spec.WorldSpec` or of its nuisances.

    Raises:
        ConfigError: there is no such scenario or field (the message suggests one), or a value is out of range.

    Example:
        >>> scenario("standard", seed=4, box_jitter=0.1).nuisances.box_jitter
        0.1
    """
    check_choice("scenario", name, SCENARIOS)
    return SCENARIOS[name].with_(**overrides)


def domains(names: tuple[str, ...] = ("standard", "target_domain"), **overrides: Any) -> dict[str, WorldSpec]:
    """Return several scenarios by name, with the same overrides: a source and its targets."""
    return {name: scenario(name, **overrides) for name in names}


def _add(base: WorldSpec, **changes: Any) -> WorldSpec:
    spec = base.with_(**changes)
    SCENARIOS[spec.name] = spec
    return spec


# Five cameras of a campus in summer. A small network trained for a minute identifies about two of three people.
_STANDARD = _add(
    WorldSpec(
        name="standard", train_people=100, test_people=80, lookalikes=0.15,
        nuisances=Nuisances(
            colour_shift=0.6, light_change=0.2, blur=0.5, noise=0.5, jpeg=0.5, occlusion=0.4, crossing=0.25,
            box_jitter=0.045,
        ),
    )
)  # fmt: skip
# The same campus with easy cameras and few crossings, and with hard cameras, many crossings and more look-alikes.
_add(
    _STANDARD, name="easy", lookalikes=0.0, look_strength=0.7, colour_shift=0.3, light_change=0.08, occlusion=0.2,
    crossing=0.1, box_jitter=0.01,
)  # fmt: skip
_add(
    _STANDARD, name="hard", lookalikes=0.3, colour_shift=0.8, light_change=0.3, blur=0.9, noise=0.9, jpeg=0.9,
    occlusion=0.8, crossing=0.5, box_jitter=0.08,
)  # fmt: skip
# One place and one set of cameras in two seasons: nothing but the clothes differs.
_add(_STANDARD, name="summer", winter=0.0)
_add(_STANDARD, name="winter", winter=1.0)
# Elsewhere: other people in other clothes before other cameras.
_add(
    _STANDARD, name="target_domain", place="harbour", winter=0.5, look_strength=1.4, colour_shift=0.7,
    scenes=("hall", "carpark", "street"),
)  # fmt: skip
# Tracks on which people are hidden in turn and the tracker slips: no single frame is enough.
_add(
    _STANDARD, name="video", place="arcade", train_people=60, test_people=60, occluders=5, occlusion=1.0, crossing=0.6,
    site_spacing_m=15.0, occupancy=3.0, drift=0.2, box_jitter=0.06, misses=0.05, fragments=0.1, tracklet_frames=16,
    tracklet_stride=4,
)  # fmt: skip
# The same tracks with every kind of wrong label in the test (Sec. 2.6.4); those of the training are right.
_add(
    SCENARIOS["video"], name="video_faults", fault_splits=("test",), label_noise=0.05, duplicates=0.1, buried=0.06,
    ambiguous=0.05,
)  # fmt: skip
# A minute of video from cameras so close together that people come from one to the next within it.
_add(
    _STANDARD, name="plaza_mot", place="plaza", train_people=12, test_people=12, distractors=0, lookalikes=0.0,
    cameras=3, scenes=("plaza",), visits=1, occupancy=3.0, site_spacing_m=12.0, light_period_s=3600.0, mot_seconds=60.0,
    misses=0.08, false_alarms=0.2, box_jitter=0.03,
)  # fmt: skip
# A network of six cameras whose pictures may not leave their sites.
_add(_STANDARD, name="sites", cameras=6, train_people=96, sites=4, site_skew=5.0)
