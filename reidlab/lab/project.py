"""Where the chapters, the book and the results lie, and which chapters there are."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from reidlab import paths
from reidlab.checks import is_name, suggest
from reidlab.errors import ConfigError


@dataclass(frozen=True)
class Project:
    """A folder with ``notebooks/`` and ``book/``: this repository, or another one built like it.

    Attributes:
        root: the folder.
        runs: the run store, see :mod:`reidlab.paths`.

    Example:
        >>> Project(Path("/tmp/mine"), Path("/tmp/runs")).notebook("01_person_reid").name
        '01_person_reid.ipynb'
    """

    root: Path
    runs: Path

    @classmethod
    def find(cls, root: Path | str | None = None) -> Project:
        """Return the project in ``root``; without one, the checkout that this package is installed from.

        Raises:
            ConfigError: there is no such folder, or it has no ``notebooks/``.
        """
        if root is None:
            here = paths.repository_root()
            if here is None:
                raise ConfigError(
                    "no chapters found: reidlab is installed without its notebooks/; "
                    "give the folder of a checkout with --project"
                )
            return cls(here, paths.runs_dir())
        folder = Path(root).expanduser().resolve()
        if not (folder / "notebooks").is_dir():
            raise ConfigError(f"{folder}: has no notebooks/ folder; expected the folder of a checkout")
        return cls(folder, paths.runs_dir() if os.environ.get("REIDLAB_RUNS") else folder / "_runs")

    @property
    def notebooks(self) -> Path:
        """Folder of the chapters' notebooks."""
        return self.root / "notebooks"

    @property
    def book(self) -> Path:
        """Folder of the book's pages and configuration."""
        return self.root / "book"

    @property
    def results(self) -> Path:
        """Folder of the kept records."""
        return self.root / "results"

    def chapters(self) -> list[str]:
        """Return the ids of all chapters, in order: the stems of ``notebooks/*.ipynb`` that are names."""
        return sorted(path.stem for path in self.notebooks.glob("*.ipynb") if is_name(path.stem))

    def notebook(self, chapter: str) -> Path:
        """Return the path of a chapter's notebook, whether it exists or not."""
        return self.notebooks / f"{chapter}.ipynb"

    def chapter(self, name: str) -> str:
        """Return the id of the chapter called ``name``: its id, its number, or any beginning only it has.

        Raises:
            ConfigError: no chapter, or more than one, is called so.
        """
        chapters = self.chapters()
        name = name.removesuffix(".ipynb")
        if name in chapters:
            return name
        if name.isdigit():
            found = [c for c in chapters if (m := re.match(r"(\d+)", c)) and int(m[1]) == int(name)]
        else:
            found = [c for c in chapters if name and c.startswith(name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigError(f"chapter {name!r} is ambiguous: it may be {', '.join(found)}")
        raise ConfigError(f"{self.notebooks}: no chapter {name!r}{suggest(name, chapters)}")

    def command(self, words: str) -> str:
        """Return a command as a user types it for this project, such as ``reidlab run 01_person_reid``."""
        own = self.root == paths.repository_root()
        return f"reidlab {words}{'' if own else f' --project {shlex.quote(self.shown(self.root))}'}"

    def shown(self, path: Path) -> str:
        """Return ``path`` as a user may type it: relative to the working folder where it lies below it."""
        try:
            return str(path.resolve().relative_to(Path.cwd()))
        except ValueError:
            return str(path)
