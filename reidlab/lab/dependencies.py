"""One source of truth for the environment: ``pyproject.toml`` says what is needed, two files follow from it.

``requirements.lock`` pins every package of a fresh install; ``environment.yml`` gives conda users the direct
dependencies at the locked versions. ``python -m reidlab.lab.dependencies`` writes ``environment.yml``; with
``--lock`` it resolves a new lock first. A test fails when the written file no longer follows from its sources.

Accelerator packages (``nvidia-*``, ``triton``) and local version suffixes (``+cpu``) are left out of the lock,
so that pip may choose the build that fits the machine: torch is installed first, with what its build requires, then
the lock as a whole with ``--no-deps``, since ``[tool.uv]`` in ``pyproject.toml`` leaves some requirements out of it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from reidlab.errors import ConfigError

_HEADER = "# Written by `make lock` from pyproject.toml; do not edit by hand.\n"
_ACCELERATOR = re.compile(r"^(nvidia-|triton\b|cuda-)", re.IGNORECASE)
# Those of environment.yml. Not tracking: conda's pip installs requirements too, which would bring a second OpenCV.
_EXTRAS = ("book", "test", "dev", "federated")


def normalise(name: str) -> str:
    """Return a distribution's name in the normal form of PEP 503 (``Lightning_Fabric`` -> ``lightning-fabric``)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_name(requirement: str) -> str:
    """Return the normalised distribution name of a requirement such as ``torch>=2.8; python_version<'4'``.

    Raises:
        ConfigError: it does not begin with a name.
    """
    match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    if match is None:
        raise ConfigError(f"pyproject.toml: {requirement!r} is not a requirement; expected 'name>=version'")
    return normalise(match.group(1))


def clean_lock(text: str) -> str:
    """Return a resolved list as a lock: no local suffixes, no accelerator packages.

    Args:
        text: lines such as ``torch==2.13.0+cpu``.

    Returns:
        The header and sorted ``name==version`` lines.
    """
    pins: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, version = line.strip().partition("==")
        if separator and not _ACCELERATOR.match(name):
            pins[normalise(name)] = version.split("+")[0]
    return _HEADER + "".join(f"{name}=={pins[name]}\n" for name in sorted(pins))


def read_lock(path: Path) -> dict[str, str]:
    """Return the pins of a lock file as ``{normalised name: version}``."""
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.split("==", 1) for line in lines if line and not line.startswith("#"))
    return {normalise(name): version for name, version in pairs}


def environment_yml(pyproject: Path, lock: Path) -> str:
    """Return the text of ``environment.yml`` that follows from ``pyproject.toml`` and the lock.

    Raises:
        ConfigError: a direct dependency has no pin in the lock.
    """
    project = tomllib.loads(pyproject.read_text())["project"]
    pins = read_lock(lock)
    requirements = [*project["dependencies"]]
    for extra in _EXTRAS:
        requirements += project["optional-dependencies"][extra]
    names = sorted({requirement_name(r) for r in requirements})
    missing = [name for name in names if name not in pins]
    if missing:
        raise ConfigError(f"{lock.name}: no pin for {', '.join(missing)}; run `make lock` to resolve a new lock")
    python = project["requires-python"].removeprefix(">=")
    lines = [
        _HEADER + f"name: {project['name']}\n",
        "channels:\n  - conda-forge\n",
        f"dependencies:\n  - python>={python}\n  - pip\n  - pip:\n",
        *(f"      - {name}=={pins[name]}\n" for name in names),
    ]
    return "".join(lines)


def resolve_lock(root: Path, *, upgrade: bool = False) -> None:
    """Write a lock of the project with all extras; uv keeps the present pins it can, with ``upgrade`` it keeps none."""
    python = tomllib.loads((root / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    lock = root / "requirements.lock"
    uv = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--all-extras"]
    uv += ["--upgrade"] if upgrade else []
    subprocess.run([*uv, "--python-version", python, "--output-file", lock, "pyproject.toml"], check=True, cwd=root)
    lock.write_text(clean_lock(lock.read_text()))


def main(arguments: list[str] | None = None) -> int:
    """Write ``environment.yml`` (and, with ``--lock``, ``requirements.lock`` before it)."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--lock", action="store_true", help="resolve requirements.lock first; keeps present pins")
    parser.add_argument("--upgrade", action="store_true", help="resolve requirements.lock first; takes the newest")
    options = parser.parse_args(arguments)
    root = Path(__file__).resolve().parents[2]
    lock = root / "requirements.lock"
    if options.lock or options.upgrade:
        resolve_lock(root, upgrade=options.upgrade)
    (root / "environment.yml").write_text(environment_yml(root / "pyproject.toml", lock))
    return 0


if __name__ == "__main__":
    sys.exit(main())
