"""Ways to damage bytes, texts, JSON and folders, all drawn from one generator."""

import json
import os
import random
import stat
from pathlib import Path

#: Names that mean something to a terminal, a shell, a file system, a page or a parser.
NAMES = [
    "../x", "..", "a/../../b", "\x1b[31mred", "\x1b]0;title\x07", "a\nb", "a\rb", "con", "-rf", "--help", "~", "$HOME",
    "`touch ran`", "<script>alert(1)</script>", "```{include} /etc/passwd\n```", "a" * 300, " ", "é", "李雷",
    "\u202etxt.exe", "%s%n", "{0}", "grid", "none", "0", "00", "-1", "1e5", "quick.custom", ".hidden", "a;b", "a|b",
    "'", '"', "\\", "NaN",
]  # fmt: skip
LINES = [
    "nan", "NaN", "inf", "-inf", "1e20", "1e400", "-1", "0", "010", "0x10", "12:30", "", ",", ";", "\t", "1,2,3", "-",
    "9" * 400, "1_000", "true", "[[[[", "{", "&a [*a]", "!!python/object/apply:os.system ['touch ran']", "ü", "\x1b[2J",
]  # fmt: skip
VALUES = [
    None, True, -1, 0, 1e308, "", "x", [], {}, [[]], {"a": 1}, "../x", "\x1b[31m", "<b>", 10**30, [None], "2024-13-45",
]  # fmt: skip


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Bytes with one to three things wrong."""
    content = bytearray(content)
    for _ in range(draw.randint(1, 3)):
        size = len(content)
        at = draw.randrange(size) if size else 0
        match draw.randrange(8):
            case 0:
                content = content[:at]
            case 1:
                content = bytearray()
            case 2:
                for _ in range(draw.randint(1, 20)):
                    if size:
                        content[draw.randrange(size)] ^= 1 << draw.randrange(8)
            case 3:
                content[at : at + draw.randint(1, 200)] = bytes(draw.randint(1, 200))
            case 4:
                content[at:at] = draw.randbytes(draw.randint(1, 200))
            case 5:
                content[at:at] = content[: draw.randint(1, 400)]
            case 6:
                content = bytearray(draw.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\0"])) + content
            case 7:
                content = bytearray(draw.randbytes(draw.randint(0, 300)))
    return bytes(content)


def damaged_text(text: str, draw: random.Random) -> bytes:
    """A text with one to three words or lines changed, in one of several encodings."""
    for _ in range(draw.randint(1, 3)):
        lines = text.split("\n")
        at = draw.randrange(len(lines))
        match draw.randrange(6):
            case 0:
                lines[at] = draw.choice(LINES)
            case 1:
                words = lines[at].replace(",", " , ").replace(":", " : ").split(" ")
                words[draw.randrange(len(words))] = draw.choice(LINES)
                lines[at] = " ".join(words)
            case 2:
                del lines[at]
            case 3:
                lines.insert(at, lines[draw.randrange(len(lines))])
            case 4:
                lines[at] = draw.choice(["  ", "\t", "- ", "? "]) * draw.choice([1, 3, 200]) + lines[at]
            case 5:
                lines.insert(at, draw.choice(LINES) + draw.choice(LINES))
        text = "\n".join(lines)
    encoding = draw.choice(["utf-8"] * 5 + ["utf-8-sig", "utf-16", "latin-1"])
    content = text.encode(encoding, errors="replace")
    return damaged(content, draw) if draw.random() < 0.2 else content


def damaged_json(text: str, draw: random.Random) -> bytes:
    """A JSON text with values of other types, missing and added fields; or one that is no JSON."""
    if draw.random() < 0.2:
        return damaged(text.encode(), draw)
    value = json.loads(text)
    for _ in range(draw.randint(1, 3)):
        place = value
        while True:
            keys = (
                list(place) if isinstance(place, dict) else list(range(len(place))) if isinstance(place, list) else []
            )
            if not keys:
                break
            key = draw.choice(keys)
            deeper = place[key]
            if isinstance(deeper, dict | list) and deeper and draw.random() < 0.7:
                place = deeper
                continue
            match draw.randrange(4):
                case 0 if isinstance(place, dict):
                    del place[key]
                case 1 if isinstance(place, dict):
                    place[draw.choice(NAMES)] = draw.choice(VALUES)
                case 2:
                    place[key] = draw.choice(NAMES)
                case _:
                    place[key] = draw.choice(VALUES)
            break
    return json.dumps(value).encode()


def damage_tree(root: Path, draw: random.Random, outside: Path) -> None:
    """Change one to four things in a folder: names, kinds, places and contents of its files."""
    for _ in range(draw.randint(1, 4)):
        every = sorted(path for path in root.rglob("*") if not path.is_symlink())
        files = [path for path in every if stat.S_ISREG(path.lstat().st_mode)]
        folders = [path for path in every if path.is_dir()]
        if not files:
            return
        file, folder = draw.choice(files), draw.choice(folders or [root])
        match draw.randrange(12):
            case 0:
                file.write_bytes(damaged(file.read_bytes()[:100_000], draw))
            case 1:
                file.unlink()
            case 2:
                _move(file, file.with_name(_name(draw) + draw.choice([file.suffix, "", ".JPG", ".webp"])))
            case 3:
                _move(folder, folder.with_name(_name(draw)))
            case 4:
                _put(folder / draw.choice(["loop", "9.jpg"]), lambda path: path.symlink_to(path.parent))
            case 5:
                _put(folder / draw.choice(["pipe", "8.jpg", "list.txt"]), os.mkfifo)
            case 6:
                file.unlink()
                os.mkfifo(file)
            case 7:
                file.unlink()
                file.symlink_to(
                    draw.choice(["/dev/zero", "/dev/full", str(file), str(outside / "secret.txt"), "/nowhere"])
                )
            case 8:
                file.unlink()
                file.mkdir()
            case 9:
                _put(
                    folder
                    / os.fsdecode(b"\xff\xfe" + draw.randbytes(3).replace(b"/", b"").replace(b"\0", b"") + b".jpg"),
                    Path.touch,
                )
            case 10:
                _move(folder, folder.with_name(folder.name.upper()))
            case 11:
                _put(folder / _name(draw), Path.touch)


def _name(draw: random.Random) -> str:
    return draw.choice(NAMES).replace("/", "_")[:200] or "_"


def _move(path: Path, to: Path) -> None:
    if not os.path.lexists(to) and path.exists():
        path.rename(to)


def _put(path: Path, make) -> None:
    if not os.path.lexists(path):
        make(path)
