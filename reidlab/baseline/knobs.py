"""The difficulties of the embedded world that chapter 1 varies one at a time, from off to high."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Knob:
    """One difficulty.

    Attributes:
        levels: for each level the fields of a world to change (see ``WorldSpec.with_``).
        throughout: fields to change at every level.
        layout: format in which its effect shows; in ``mars`` a person is described by the mean of a tracklet.
        protocol: name of the evaluation protocol.
    """

    levels: Mapping[str, Mapping[str, Any]]
    layout: str = "market1501"
    protocol: str = "market1501"
    throughout: Mapping[str, Any] = field(default_factory=dict)


KNOBS: Mapping[str, Knob] = {
    "camera_look": Knob(
        {"off": {"colour_shift": 0.0, "light_change": 0.0}, "high": {"colour_shift": 1.0, "light_change": 0.5}}
    ),
    "sensor": Knob({"off": {"blur": 0.0, "noise": 0.0, "jpeg": 0.0}, "high": {"blur": 1.0, "noise": 1.0, "jpeg": 1.0}}),
    "occlusion": Knob({"off": {"occlusion": 0.0, "crossing": 0.0}, "high": {"occlusion": 1.0, "crossing": 0.6}}),
    "box_jitter": Knob({"off": {"box_jitter": 0.0}, "high": {"box_jitter": 0.12}}),
    # A tracker drifts off people over time; single pictures don't show it. With one visit to each camera every tracklet
    # is a query too, so the protocol must leave queries in the gallery.
    "drift": Knob(
        {"off": {"drift": 0.0}, "high": {"drift": 0.5}},
        layout="mars",
        protocol="mars-ste-nvan",
        throughout={"visits": 1, "tracklet_frames": 8, "tracklet_stride": 6},
    ),
}
