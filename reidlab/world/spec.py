"""What a world is made from: every number that decides its pictures, in one frozen record."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from reidlab.checks import check_choice, check_integer, check_names, check_number
from reidlab.errors import ConfigError
from reidlab.reading import parse_yaml
from reidlab.world.camera import SCENES
from reidlab.world.dress import Dress
from reidlab.world.nuisances import Nuisances

SPLITS = ("train", "test")


def _in_range(default: Any, low: float, high: float) -> Any:
    return field(default=default, metadata={"range": (low, high)})


@dataclass(frozen=True)
class WorldSpec:
    """One world: people, cameras, what they wear and how imperfectly they are recorded.

    The same spec gives the same world, picture by picture, on any number of workers. Training and test identities
    are disjoint and are recorded in two sessions, one after the other, so that nobody appears in both.

    Attributes:
        name: name of the data set.
        place: where it is recorded; with one seed, another place has other people and other cameras.
        seed: seed of everything: people, cameras, walks, faults.
        camera_seed: seed of the cameras alone; None takes ``seed``. Two worlds of one place
            that share it have the same cameras.
        train_people, test_people: number of identities in the training and in the test session.
        distractors: number of people in each session who are nobody's query; not the same ones in both.
        lookalikes: share (0..1) of people who dress like another one.
        group_size: people in a group of look-alikes.
        winter: season of the clothes, from 0 (summer) to 1 (winter).
        cameras: number of cameras.
        look_strength: how differently the cameras see, 0 (alike) to 2; 1 is a real network.
        occluders: static objects in front of each camera.
        scenes: kinds of place the cameras look at.
        frame_width, frame_height: size of a frame in pixels.
        frame_rate: frames a second.
        coverage: share (0..1) of the cameras that a person passes, at least two where there are two.
        visits: how often a person walks past each of their cameras; visits are spread over the session.
        occupancy: mean number of people in view of a camera at a time, as far as walking times allow.
        site_spacing_m: median distance between neighbouring cameras, in metres.
        travel_noise: standard deviation of the logarithm of a travel time between two cameras.
        light_period_s: seconds after which the light has changed.
        mot_seconds: length of an exported video of each session, in seconds.
        shots: pictures of a person by a camera in a set of pictures (Market-1501).
        crop_height, crop_width: size of a picture of a person, in pixels.
        tracklet_frames: greatest number of pictures in a tracklet (MARS).
        tracklet_stride: frames between two pictures of a tracklet.
        min_visibility: least visible share (0..1) of a person whom the detector still finds.
        junk: badly boxed test pictures (identity -1) per good one.
        misses: share (0..1) of boxes that the detector misses.
        false_alarms: mean number of boxes per frame where nobody is.
        fragments: share (0..1) of tracks that break into two.
        duplicates: share (0..1) of identities that carry a second label from some camera on.
        buried: share (0..1) of test tracks that are labelled as distractors (gallery only).
        ambiguous: share (0..1) of test tracklets whose box holds two people from beginning to end (gallery only).
        fault_splits: splits whose labels may be wrong (``nuisances.label_noise`` and ``duplicates``).
        sites: number of federated sites that share the training identities.
        site_skew: concentration of the Dirichlet shares of the sites; small is uneven, 1000 nearly even.
        nuisances: what makes pictures of one person differ.

    Raises:
        ConfigError: if a value has the wrong type or is out of range.

    Example:
        >>> spec = WorldSpec(seed=3, cameras=4, nuisances=Nuisances.typical())
        >>> WorldSpec.from_yaml(spec.to_yaml()) == spec
        True
    """

    name: str = "campus"
    place: str = "campus"
    seed: int = 0
    camera_seed: int | None = None
    train_people: int = _in_range(80, 1, 3000)
    test_people: int = _in_range(80, 1, 3000)
    distractors: int = _in_range(12, 0, 1500)
    lookalikes: float = _in_range(0.3, 0, 1)
    group_size: int = _in_range(3, 2, 50)
    winter: float = _in_range(0.0, 0, 1)
    cameras: int = _in_range(5, 1, 9)
    look_strength: float = _in_range(1.0, 0, 2)
    occluders: int = _in_range(3, 0, 20)
    scenes: tuple[str, ...] = SCENES
    frame_width: int = _in_range(640, 160, 4096)
    frame_height: int = _in_range(360, 90, 2160)
    frame_rate: float = _in_range(10.0, 1, 60)
    coverage: float = _in_range(1.0, 0, 1)
    visits: int = _in_range(2, 1, 20)
    occupancy: float = _in_range(2.0, 0.1, 30)
    site_spacing_m: float = _in_range(40.0, 5, 2000)
    travel_noise: float = _in_range(0.15, 0, 1)
    light_period_s: float = _in_range(60.0, 1, 86400)
    mot_seconds: float = _in_range(60.0, 1, 86400)
    shots: int = _in_range(4, 1, 200)
    crop_height: int = _in_range(128, 16, 1024)
    crop_width: int = _in_range(64, 8, 512)
    tracklet_frames: int = _in_range(16, 1, 999)
    tracklet_stride: int = _in_range(3, 1, 100)
    min_visibility: float = _in_range(0.35, 0.05, 1)
    junk: float = _in_range(0.1, 0, 2)
    misses: float = _in_range(0.0, 0, 0.9)
    false_alarms: float = _in_range(0.0, 0, 20)
    fragments: float = _in_range(0.0, 0, 1)
    duplicates: float = _in_range(0.0, 0, 1)
    buried: float = _in_range(0.0, 0, 0.9)
    ambiguous: float = _in_range(0.0, 0, 1)
    fault_splits: tuple[str, ...] = ("train",)
    sites: int = _in_range(4, 1, 100)
    site_skew: float = _in_range(1000.0, 0.01, 1000)
    nuisances: Nuisances = field(default_factory=Nuisances.typical)

    def __post_init__(self) -> None:
        """Check every field; lists become tuples, a mapping becomes :class:`Nuisances`."""
        if isinstance(self.nuisances, Mapping):
            check_names("Nuisances", self.nuisances, (item.name for item in fields(Nuisances)))
            object.__setattr__(self, "nuisances", Nuisances(**self.nuisances))
        if not isinstance(self.nuisances, Nuisances):
            raise ConfigError(
                f"WorldSpec.nuisances = {self.nuisances!r} must be Nuisances(...) or a mapping of its fields"
            )
        for name in ("name", "place"):
            word = getattr(self, name)
            if not isinstance(word, str) or not word.replace("-", "").replace("_", "").isalnum():
                raise ConfigError(f"WorldSpec.{name} = {word!r} must be a word of letters, digits, '-' and '_'")
        for item in fields(self):
            value = getattr(self, item.name)
            if "range" in item.metadata:
                check, kind = (check_integer, int) if item.type == "int" else (check_number, float)
                # 1 and 1.0 are the same value and must give the same key.
                value = kind(check(f"WorldSpec.{item.name}", value, *item.metadata["range"]))
                object.__setattr__(self, item.name, value)
            elif item.name == "seed" or (item.name == "camera_seed" and value is not None):
                object.__setattr__(self, item.name, check_integer(f"WorldSpec.{item.name}", value, None))
        for name, allowed in (("scenes", SCENES), ("fault_splits", SPLITS)):
            object.__setattr__(self, name, _words(name, getattr(self, name), allowed))
        if not self.scenes:
            raise ConfigError(f"WorldSpec.scenes is empty; give at least one of {', '.join(SCENES)}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WorldSpec:
        """Build a spec from a mapping of its fields; what is left out keeps its default.

        Raises:
            ConfigError: a name is unknown (the message suggests one) or a value is not allowed.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"WorldSpec needs a mapping of its fields, not {type(values).__name__}")
        check_names("WorldSpec", values, (item.name for item in fields(cls)))
        return cls(**values)

    @classmethod
    def from_yaml(cls, text: str) -> WorldSpec:
        """Build a spec from the text of :meth:`to_yaml`.

        Raises:
            ConfigError: the text is not YAML or does not hold a valid spec.
        """
        return cls.from_dict(parse_yaml(text, "the world's YAML"))

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as numbers, strings, lists and one nested mapping."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        values["nuisances"] = {k: float(v) for k, v in values["nuisances"].items()}
        return values

    def to_yaml(self) -> str:
        """Return the spec as YAML, fields in the order of the class."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    def with_(self, **changes: Any) -> WorldSpec:
        """Return a copy with some fields changed.

        Args:
            **changes: fields of the spec or of its nuisances (``drift=0.2``); ``nuisances`` itself may be a mapping of
                those to change.

        Raises:
            ConfigError: a name is unknown (the message suggests one) or a value is not allowed.
        """
        strengths = {item.name for item in fields(Nuisances)}
        check_names("a world", changes, [*(item.name for item in fields(self)), *strengths])
        given = changes.pop("nuisances", self.nuisances)
        changed = {name: changes.pop(name) for name in strengths & changes.keys()}
        if isinstance(given, Mapping):
            check_names("Nuisances", given, strengths)
            changed = {**given, **changed}
            given = self.nuisances
        if changed:
            given = given.with_(**changed)
        return replace(self, nuisances=given, **changes)

    def key(self) -> str:
        """Return 16 hexadecimal digits that stand for the spec and for the code that draws worlds."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.blake2b(f"{world_code_hash()}\n{text}".encode(), digest_size=8).hexdigest()

    @property
    def dress(self) -> Dress:
        """Statistics of the clothes."""
        return Dress.blend(self.winter)

    @property
    def crop_size(self) -> tuple[int, int]:
        """Size (height, width) of a picture of a person, in pixels."""
        return self.crop_height, self.crop_width


@cache
def world_code_hash(*folders: Path) -> str:
    """Return a hash of the syntax trees of this room, so that no cache serves the pictures of older code.

    Comments, docstrings and layout don't count.

    Args:
        folders: of the code; this room's and that of the formats where omitted.
    """
    room = Path(__file__).parent
    folders = folders or (room, room.parent / "formats")
    summary = hashlib.blake2b(digest_size=16)
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0] if node.body else None
                if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                    node.body = node.body[1:]
        summary.update(f"{path.name}\n{ast.dump(tree)}\n".encode())
    return summary.hexdigest()


def _words(name: str, value: Any, allowed: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, tuple | list):
        raise ConfigError(f"WorldSpec.{name} = {value!r} must be a list with items of {', '.join(allowed)}")
    for word in value:
        check_choice(f"WorldSpec.{name}", word, allowed)
    return tuple(value)
