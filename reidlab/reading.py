"""Text and YAML that anyone may have written: read as what it says, or refused in one line."""

from __future__ import annotations

import os
import re
import stat
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from reidlab.checks import plural
from reidlab.errors import ConfigError, DataError, ReidlabError

if TYPE_CHECKING:
    import yaml

_LARGEST = 256 * 2**20  # bytes of a text that is read whole
_DEEPEST = 40  # levels of a YAML file; ours have six
_MOST_VALUES = 500_000  # of a YAML file, its aliases written out; ours have a few thousand
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32"}
_MARKS |= {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# Where these do not occur, a YAML text can neither refer to its own parts nor be deeper than its indentation.
_REFERENCE = re.compile(r"(?:^|[\s\[{,:?-])[&*][^\s*]", re.MULTILINE)
_RUN = re.compile(rf"^[ ]*(?:[-?:][ ]+){{{_DEEPEST},}}", re.MULTILINE)
_DEEP_LINE = re.compile(rf"^[ ]{{{2 * _DEEPEST},}}\S", re.MULTILINE)


def check_file(path: str | Path, error: type[ReidlabError] = DataError, most: int | None = None) -> int:
    """Check that a path is a file whose bytes can be read, and return their number.

    A pipe or a device would be waited for without end.

    Args:
        path: the file.
        error: class of the error.
        most: bytes it may have at most; None for any number.

    Raises:
        ReidlabError: of class ``error``: it is not there, no regular file, may not be read, or too large.
    """
    try:
        info = os.stat(path)
    except FileNotFoundError as cause:
        raise error(f"{path}: there is no such file") from cause
    except (OSError, ValueError) as cause:
        raise error(f"{path}: cannot be read ({getattr(cause, 'strerror', None) or cause})") from cause
    if not stat.S_ISREG(info.st_mode):
        raise error(f"{path}: is {_KINDS.get(stat.S_IFMT(info.st_mode), 'no regular file')}, not a file")
    if not os.access(path, os.R_OK):
        raise error(f"{path}: may not be read (Permission denied)")
    if most is not None and info.st_size > most:
        raise error(f"{path}: has {info.st_size:,} bytes; at most {most:,} are read")
    return info.st_size


def read_text(path: str | Path, error: type[ReidlabError] = DataError, most: int = _LARGEST) -> str:
    """Return the text of a file in UTF-8, or in the encoding that its byte-order mark names; line ends as line feeds.

    Args:
        path: the file.
        error: class of the error.
        most: bytes it may have at most.

    Raises:
        ReidlabError: of class ``error``: see :func:`check_file`, or it is no text in these encodings.
    """
    check_file(path, error, most)
    try:
        content = Path(path).read_bytes()
    except OSError as cause:
        raise error(f"{path}: cannot be read ({cause.strerror or cause})") from cause
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as cause:
        line = content.count(b"\n", 0, cause.start) + 1
        byte = content[cause.start]
        raise error(
            f"{path}, line {line}: byte 0x{byte:02x} is no {encoding.upper().removesuffix('-SIG')}; save it as UTF-8"
        ) from cause
    if "\0" in text:
        raise error(f"{path}: is no text (it holds zero bytes)")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_yaml(path: str | Path, error: type[ReidlabError] = ConfigError) -> Any:
    """Return the value of a YAML file; see :func:`parse_yaml`.

    Raises:
        ReidlabError: of class ``error``: the file cannot be read, or :func:`parse_yaml` refuses it.
    """
    return parse_yaml(read_text(path, error), str(path), error)


def parse_yaml(text: str, where: str, error: type[ReidlabError] = ConfigError) -> Any:
    """Return the value of a text in YAML, with the scalars of YAML 1.2: 010 and 12:30 are text, and so are yes and no.

    Args:
        text: the YAML.
        where: it comes from, for the message.
        error: class of the error.

    Raises:
        ReidlabError: of class ``error``: it is not YAML, says something twice, is nested deeper than 40 levels, or
            its aliases make a short text stand for an endless one.

    Example:
        >>> parse_yaml("{a: 010, b: 1e-3, c: [1, true, null]}", "here")
        {'a': '010', 'b': 0.001, 'c': [1, True, None]}
    """
    import yaml

    loader = _loader()
    try:
        if _suspicious(text):
            _check_shape(text, loader, where, error)
        return yaml.load(text, loader)
    except yaml.YAMLError as cause:
        raise error(f"{where}: not valid YAML ({yaml_problem(cause)})") from cause
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as cause:
        if isinstance(cause, ReidlabError):
            raise
        raise error(f"{where}: not valid YAML ({str(cause).splitlines()[0] if str(cause) else 'no value'})") from cause


def yaml_problem(error: Exception) -> str:
    """Return where a YAML parser stopped and why, in one line."""
    mark = getattr(error, "context_mark", None) or getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}: {problem}" if mark else problem


@cache
def _loader() -> type:
    """Return a safe loader that refuses a repeated key and follows YAML 1.2 where 1.1 surprises."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        """YAML would silently keep the last of repeated keys."""

        yaml_implicit_resolvers: ClassVar[dict[str, list]] = {}

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key_node, _ in node.value:
                key = self.construct_object(key_node, deep=True)
                try:
                    repeated = key in seen
                except TypeError:
                    break  # the base class says which key is none
                if repeated:
                    raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands twice", key_node.start_mark)
                seen.add(key)
            return super().construct_mapping(node, deep=deep)

    def construct_float(loader: Any, node: Any) -> float:
        return float(loader.construct_scalar(node).lower().replace(".inf", "inf").replace(".nan", "nan"))

    scalars = {
        "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
        "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
        "int": (r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
        "float": (
            r"[-+]?(?:(?:\.[0-9]+|(?:0|[1-9][0-9]*)\.[0-9]*)(?:[eE][-+]?[0-9]+)?|(?:0|[1-9][0-9]*)[eE][-+]?[0-9]+)"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
            list("-+.0123456789"),
        ),
    }
    for name, (pattern, first) in scalars.items():
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(f"(?:{pattern})\\Z"), first)
    Loader.add_constructor("tag:yaml.org,2002:float", construct_float)
    return Loader


def _suspicious(text: str) -> bool:
    """Return whether a text may refer to itself or be very deep; quick, and wrong on the safe side only."""
    if _REFERENCE.search(text) or _RUN.search(text) or _DEEP_LINE.search(text):
        return True
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth = depth + 1 if bracket in "[{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest > _DEEPEST


def _check_shape(text: str, loader: type, where: str, error: type[ReidlabError]) -> None:
    """Count levels, and the values that aliases stand for once all are written out."""
    import yaml

    anchors: dict[str, int] = {}  # values that an anchor stands for
    open_ones: list[tuple[str | None, int]] = []  # anchor and values before it of each collection that is not closed
    values = 0
    for event in yaml.parse(text, loader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            open_ones.append((event.anchor, values))
            if len(open_ones) > _DEEPEST:
                raise error(f"{where}, line {line}: nested deeper than {plural(_DEEPEST, 'level')}")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_ones.pop()
            anchors[anchor or ""] = values - before + 1
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in {anchor for anchor, _ in open_ones}:
                raise error(f"{where}, line {line}: *{event.anchor} stands inside what it refers to")
            values += anchors.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            values += 1
        if values > _MOST_VALUES:
            raise error(f"{where}, line {line}: aliases make more than {_MOST_VALUES:,} values of it")
