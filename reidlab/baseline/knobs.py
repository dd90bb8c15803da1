"""The knobs of the embedded world that chapter 1 turns, from off to high; everything else stays as it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: For each level of a knob, the fields of a world to change (see ``WorldSpec.with_``).
Levels = Mapping[str, Mapping[str, Any]]

KNOBS: Mapping[str, Levels] = {
    "camera_look": {
        "off": {"colour_shift": 0.0, "light_change": 0.0},
        "high": {"colour_shift": 1.0, "light_change": 0.5},
    },
    "sensor": {
        "off": {"blur": 0.0, "noise": 0.0, "jpeg": 0.0},
        "high": {"blur": 1.0, "noise": 1.0, "jpeg": 1.0},
    },
    "occlusion": {
        "off": {"occlusion": 0.0, "crossing": 0.0},
        "high": {"occlusion": 1.0, "crossing": 0.6},
    },
    "box_jitter": {
        "off": {"box_jitter": 0.0},
        "high": {"box_jitter": 0.12},
    },
    "drift": {
        "off": {"drift": 0.0},
        "high": {"drift": 0.3},
    },
}
