"""The run card: what a page's numbers were measured with, as a small table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from reidlab.checks import plural
from reidlab.lab.escaping import as_text


class Card:
    """A run's description, shown as a table by Jupyter and as lines of text elsewhere.

    Args:
        info: the contents of a ``run.json``, or :meth:`reidlab.lab.run.Run.describe` of a run under way.
    """

    def __init__(self, info: Mapping[str, Any]) -> None:
        self.info = info

    def rows(self) -> list[tuple[str, str]]:
        """Return the card's lines: a name and a text each."""
        info = self.info
        profile = info.get("profile") or "none (run by hand)"
        if info.get("overrides"):
            changed = ", ".join(f"{key} = {value}" for key, value in info["overrides"].items())
            profile += f", with {changed}"
        resumed = sum(piece.get("resumed", False) for piece in info.get("pieces", ()))
        earlier = f", {plural(resumed, 'piece')} of it in an earlier session" if resumed else ""
        machines = Counter(piece["machine"] for piece in info.get("pieces", ()) if "machine" in piece)
        elsewhere = "".join(f"; {plural(number, 'piece')} on {name}" for name, number in machines.items())
        rows = [
            ("chapter", info["chapter"]),
            ("profile", profile),
            ("parameters", ", ".join(f"{key} = {value}" for key, value in info["parameters"].items()) or "none"),
            ("seeds", _numbers(info.get("seeds", ())) or "none drawn"),
            ("data", "; ".join(_data_line(name, entry) for name, entry in info["data"].items()) or "none"),
            *([("starts", "; ".join(info["starts"]))] if info.get("starts") else []),
            ("code", (info.get("code") or {}).get("hash", "unknown")),
            ("versions", ", ".join(f"{name} {version}" for name, version in info["versions"].items())),
            ("device", hardware(info)),
            ("machine", info.get("machine", "unknown") + elsewhere),
            ("measured", f"{day(info['started'])}, in {duration(info['wall_s'])}{earlier}"),
        ]
        if verified := info.get("verified"):
            text = f"on {day(verified['date'])}: seed {verified['seed']} equal bit for bit"
            if commit := verified.get("commit"):
                text += f" to what commit {commit[:10]} gives on another machine"
            rows.append(("verified", text))
        return [(name, str(text)) for name, text in rows]

    def as_html(self, title: str = "Run card", note: str = "") -> str:
        """Return the card as a block that opens under its title.

        Args:
            title: shown while it is closed.
            note: HTML to put above the card's lines.
        """
        lines = "".join(f"<dt>{as_text(name)}</dt><dd>{as_text(text)}</dd>" for name, text in self.rows())
        return f'<details class="run-card"><summary>{as_text(title)}</summary>{note}<dl>{lines}</dl></details>'

    def _repr_html_(self) -> str:
        return self.as_html().replace("<details ", "<details open ", 1)

    def __repr__(self) -> str:
        width = max(len(name) for name, _ in self.rows())
        return "\n".join(f"{name:<{width}}  {text}" for name, text in self.rows())


def duration(seconds: float) -> str:
    """Return a length of time for people: ``48 s``, ``3 min 05 s``, ``1 h 12 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def day(started: str) -> str:
    """Return the date of an ISO time."""
    return datetime.fromisoformat(started).date().isoformat()


def hardware(info: Mapping[str, Any]) -> str:
    """Return what a run computed on: the device, and how many threads."""
    return f"{info.get('device', 'unknown')}, {plural(info.get('threads', 1), 'thread')}"


def _data_line(name: str, entry: Mapping[str, Any]) -> str:
    kind = "embedded" if entry["embedded"] else "real"
    describe = f", {entry['describe']}" if entry.get("describe") else ""
    return f"{name} ({kind}{describe}, hash {entry['hash'][:16]})"


def _numbers(values: Any) -> str:
    return ", ".join(str(value) for value in values)
