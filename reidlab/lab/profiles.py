"""Profiles: one .yml each, naming for every chapter the values of its notebook's parameters.

``notebooks/profiles/quick.yml``::

    defaults:            # for every chapter that has such a parameter
      seeds: [0]
    01_person_reid:      # a chapter's id; parameters not named keep the notebook's own value
      epochs: 4

A chapter that a profile does not name is not part of that profile. Every name and every type is checked
against the notebook's parameters cell, so that a typing error stops before anything runs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reidlab.checks import suggest
from reidlab.errors import ConfigError
from reidlab.lab import store
from reidlab.lab.notebook import parameters_of
from reidlab.lab.project import Project
from reidlab.reading import parse_yaml, read_yaml

DEFAULTS = "defaults"


@dataclass(frozen=True)
class Profile:
    """A profile as its file says it.

    Attributes:
        name: the file's stem.
        path: the file.
        chapters: the parameters each chapter is given, defaults included, by chapter id.
    """

    name: str
    path: Path
    chapters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def names(project: Project) -> list[str]:
    """Return the names of the project's profiles."""
    return sorted(path.stem for path in (project.notebooks / "profiles").glob("*.yml"))


def load(project: Project, name: str) -> Profile:
    """Read a profile and check it against every chapter it names.

    Raises:
        ConfigError: the name is none, or there is no such profile; or its file is not a mapping, names an unknown
            chapter or parameter, or gives a value of the wrong type. The message names file, chapter and key.
    """
    path = project.notebooks / "profiles" / f"{store.check_profile(name)}.yml"
    if not path.is_file():
        raise ConfigError(f"{path.parent}: no profile {name!r}{suggest(name, names(project))}")
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping of chapter ids, found {type(content).__name__}")
    for key, values in content.items():
        if values is not None and not isinstance(values, dict):
            raise ConfigError(f"{path}: {key}: expected parameters, found {values!r}")
    known = project.chapters()
    for chapter in content:
        if chapter not in (DEFAULTS, *known):
            raise ConfigError(f"{path}: no chapter {chapter!r} in {project.notebooks}{suggest(chapter, known)}")

    parameters = {c: parameters_of(project.notebook(c)) for c in known if c in content}
    defaults = content.get(DEFAULTS) or {}
    everywhere = sorted({key for own in parameters.values() for key in own})
    for key in defaults:
        if key not in everywhere:
            raise ConfigError(
                f"{path}: {DEFAULTS}: no chapter of this profile has a parameter {key!r}{suggest(key, everywhere)}"
            )
    chapters = {}
    for chapter, own in parameters.items():
        given = {key: value for key, value in defaults.items() if key in own} | (content[chapter] or {})
        chapters[chapter] = check(given, own, f"{path}: {chapter}")
    return Profile(name, path, chapters)


def resolve(project: Project, profile: Profile, chapter: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters of a chapter: the notebook's own, the profile's over them, ``changes`` on top.

    Raises:
        ConfigError: the profile does not name the chapter, or a change has an unknown name or wrong type.
    """
    if chapter not in profile.chapters:
        raise ConfigError(
            f"{profile.path}: does not name chapter {chapter!r}; add it there "
            f"(`{chapter}: {{}}` runs the notebook as it stands)"
        )
    own = parameters_of(project.notebook(chapter))
    checked = check(changes, own, f"chapter {chapter}")
    # As the kernel and run.json see them: a tuple is a list.
    return json.loads(json.dumps({**own, **profile.chapters[chapter], **checked}))


def check(given: Mapping[str, Any], own: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Check given parameters against a notebook's own, and return them in the notebook's types.

    Args:
        given: names and values.
        own: the notebook's parameters with their defaults, which set the types; ``None`` allows any.
        where: what to name in an error.

    Raises:
        ConfigError: unknown name, or a value of another type than the default's.
    """
    checked = {}
    for key, value in given.items():
        if key not in own:
            raise ConfigError(f"{where}: unknown parameter {key!r}{suggest(key, own)}")
        checked[key] = _typed(value, own[key], f"{where}: {key}")
    return checked


def parse_changes(pairs: Iterable[str]) -> dict[str, Any]:
    """Read ``key=value`` pairs; a value is written as in the profiles (YAML).

    Raises:
        ConfigError: a pair has no ``=``, names no key, is given twice, or its value is not YAML.

    Example:
        >>> parse_changes(["epochs=3", "seeds=[0, 1]", "name=quiet"])
        {'epochs': 3, 'seeds': [0, 1], 'name': 'quiet'}
    """
    changes: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        key = key.strip()
        if not equals or not key.isidentifier():
            raise ConfigError(f"-p {pair}: expected key=value, such as -p epochs=3")
        if key in changes:
            raise ConfigError(f"-p {pair}: {key} is given twice")
        changes[key] = parse_yaml(text, f"-p {pair}")
    return changes


def _typed(value: Any, default: Any, where: str) -> Any:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {value!r} cannot be a parameter ({error})") from error
    if default is None:
        return value
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        with suppress(OverflowError):
            return float(value)
    expected = list if isinstance(default, tuple) else type(default)
    if type(value) is not expected:
        kind = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false"}.get(
            expected.__name__, f"a {expected.__name__}"
        )
        raise ConfigError(f"{where}: expected {kind} like {default!r}, found {value!r}{_meant(value, expected)}")
    if expected is int and default > 0 > value:  # sizes and counts; a seed's default is 0
        raise ConfigError(f"{where}: {value} is not allowed; expected a number of at least 0, like {default}")
    if expected is list and len({type(item) for item in default}) == 1:
        return [_typed(item, default[0], f"{where}[{index}]") for index, item in enumerate(value)]
    return value


def _meant(value: Any, expected: type) -> str:
    """Return what to write instead of a text that YAML 1.1 takes for something else, as the end of a message."""
    if expected is bool and value in ("yes", "on", "no", "off"):
        return f", a text; write {'true' if value in ('yes', 'on') else 'false'}"
    if expected in (int, float) and isinstance(value, str):
        with suppress(ValueError, OverflowError):
            number = expected(value)
            return f", a text; write {number!r} for a number" if math.isfinite(number) else ""
    return ""
