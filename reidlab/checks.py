"""Checks of names and values, and the messages of their errors; every room validates with these."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from reidlab.errors import ConfigError, DataError, ReidlabError

if TYPE_CHECKING:
    import numpy as np


def suggest(name: object, known: Iterable[object]) -> str:
    """Return "; did you mean X?" for a near miss, else "; there is: A, B", for the end of an error."""
    names = [str(item) for item in known]
    small = {item.lower(): item for item in names}
    if close := difflib.get_close_matches(str(name).lower(), small, n=1, cutoff=0.6):
        return f"; did you mean {small[close[0]]!r}?"
    if not names:
        return "; there is none"
    return f"; there is: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"


def plural(count: int, noun: str) -> str:
    """Return a number with its noun: ``1 claim``, ``2 claims``, ``1,184 identities``, ``3 people``."""
    several = "people" if noun == "person" else f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else several}"


def printable(text: object, *, lines: bool = False) -> str:
    r"""Return a text that a terminal shows as it is: control characters and undecodable bytes are written out.

    Args:
        text: such as a file's name; an object is turned into text first.
        lines: whether line ends and tabs stay.

    Example:
        >>> printable("a\x1b[31mb\n")
        'a\\x1b[31mb\\n'
    """
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    # Cf has the marks that turn the direction of a line, Cs the bytes of a name that is no UTF-8.
    bad = {c for c in set(text) if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in kept}
    return text.translate({ord(c): c.encode("unicode_escape").decode("ascii") for c in bad})


def is_name(value: object) -> bool:
    """Return whether a value is a name as :func:`check_name` checks it."""
    return isinstance(value, str) and len(value) <= 100 and bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value))


def check_name(field: str, value: object, error: type[ReidlabError] = ConfigError) -> str:
    """Return a name that can be a file's: letters, digits, ``-``, ``_`` and ``.``, the first a letter or digit.

    Args:
        field: what is named.
        value: the name.
        error: class of the error.

    Raises:
        ReidlabError: of class ``error``: it is no such name, or longer than 100 characters.
    """
    if not is_name(value):
        shown = printable(repr(value))
        raise error(
            f"{field}: {shown if len(shown) < 120 else shown[:117] + '...'} is no name; expected letters, digits, '-', "
            "'_' and '.', the first a letter or digit"
        )
    return value


def check_choice(field: str, value: object, known: Iterable[object], error: type[ReidlabError] = ConfigError) -> None:
    """Check that a value is one of those that are known.

    Args:
        field: what the value is called, such as ``methods``.
        value: the value.
        known: all that are allowed.
        error: class of the error.

    Raises:
        ReidlabError: of class ``error``, naming field and value and suggesting what was meant.
    """
    known = list(known)
    if value not in known:
        raise error(f"{field}: there is none called {value!r}{suggest(value, known)}")


def check_names(owner: str, names: Iterable[object], known: Iterable[str]) -> None:
    """Check that something has all the parameters that are named.

    Raises:
        ConfigError: naming ``owner`` and the first unknown name, and suggesting what was meant.
    """
    known = list(known)
    for name in names:
        if name not in known:
            raise ConfigError(f"{name}: {owner} has no such parameter{suggest(name, known)}")


def check_integer(field: str, value: Any, least: int | None = 0, most: int | None = None, *, what: str = "") -> int:
    """Return a whole number, Python's or numpy's, as an int; True and False are none.

    Args:
        field: what the value is called.
        value: the value.
        least: smallest that is allowed; None for no limit.
        most: largest; likewise.
        what: the number is, for the end of the message.

    Raises:
        ConfigError: naming field and value, and what was expected.
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or (least is not None and value < least) or (most is not None and value > most):
        limits = "" if least is None else f" of at least {least}" if most is None else f" in {least}..{most}"
        raise ConfigError(f"{field}: {value!r} is not allowed; expected an integer{limits}{what and f', {what}'}")
    return int(value)


def check_number(
    field: str,
    value: Any,
    least: float = -math.inf,
    most: float = math.inf,
    *,
    above: float = -math.inf,
    below: float = math.inf,
    what: str = "",
) -> float:
    """Return a finite number, Python's or numpy's; True and False are none.

    Args:
        field: what the value is called.
        value: the value.
        least: smallest that is allowed.
        most: largest.
        above: what it must be greater than.
        below: what it must be less than.
        what: the number is, for the end of the message.

    Raises:
        ConfigError: naming field and value, and what was expected.
    """
    number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not (least <= value <= most and above < value < below):
        bounds = ((">=", least), (">", above), ("<=", most), ("<", below))
        limits = " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if math.isfinite(bound))
        if math.isfinite(least) and math.isfinite(most):
            limits = f"in {least:g}..{most:g}"
        raise ConfigError(f"{field}: {value!r} is not allowed; expected a number {limits}{what and f', {what}'}")
    return value


def check_share(field: str, value: Any, *, what: str = "") -> float:
    """Return a number in 0..1; see :func:`check_number`.

    Raises:
        ConfigError: naming field and value.
    """
    return check_number(field, value, 0, 1, what=what)


def check_size(field: str, size: Any) -> tuple[int, int]:
    """Return the height and width of pictures, in pixels.

    Raises:
        ConfigError: it is not two integers of at least 1.
    """
    try:
        height, width = (check_integer(field, value, 1) for value in size)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{field}: {size!r} is not allowed; expected height and width in pixels") from error
    return height, width


def check_images(field: str, images: Any, count: int | None = None, size: Sequence[int] | None = None) -> np.ndarray:
    """Return decoded pictures, (N, H, W, 3) uint8 RGB.

    Args:
        field: what they are called.
        images: the pictures.
        count: N; None takes any number.
        size: H and W, in pixels; None takes any.

    Raises:
        ConfigError: naming the field, type and shape, and what was expected.
    """
    import numpy as np

    images = np.asarray(images)
    wanted = ("N" if count is None else count, *(("H", "W") if size is None else size), 3)
    fits = images.ndim == 4 and all(isinstance(n, str) or n == m for n, m in zip(wanted, images.shape))
    if not fits or images.dtype != np.uint8:
        raise ConfigError(
            f"{field}: {images.dtype} {images.shape}, expected uint8 ({', '.join(map(str, wanted))}), pictures as they "
            "are decoded"
        )
    return images


def check_boxes(
    field: str, boxes: Any, shape: Sequence[int], size: Sequence[int], where: Callable[..., str]
) -> np.ndarray:
    r"""Return boxes (y0, y1, x0, x1) in pixels of pictures, (\*shape, 4) int64, from the first to before the second.

    Args:
        field: what they are called.
        boxes: integers.
        shape: of the pictures that have a box each.
        size: height and width of the pictures.
        where: says which picture it is, given its place in ``shape``.

    Raises:
        ConfigError: they are not integers of that shape.
        DataError: a box is empty or not inside its picture; the message says which.
    """
    import numpy as np

    boxes = np.asarray(boxes)
    if boxes.shape != (*shape, 4) or not np.issubdtype(boxes.dtype, np.integer):
        raise ConfigError(
            f"{field}: {boxes.dtype} {boxes.shape}, expected integers {(*shape, 4)}, a box (y0, y1, x0, x1) for "
            "each picture"
        )
    boxes = boxes.astype(np.int64)
    first, last = boxes[..., ::2], boxes[..., 1::2]
    bad = np.argwhere(((first < 0) | (last <= first) | (last > np.array(size))).any(axis=-1))
    if len(bad):
        raise DataError(
            f"{field}: {where(*bad[0])}: box (y0, y1, x0, x1) = {tuple(boxes[tuple(bad[0])].tolist())} is empty or not "
            f"inside the picture of {size[0]} x {size[1]} pixels ({len(bad)} such); boxes are in pixels of the "
            "network's input"
        )
    return boxes


def check_features(
    field: str, features: Any, count: int | None = None, *, least: int = 1, longest: float | None = None
) -> np.ndarray:
    """Return features as (N, D) float32 in rows, all of them finite.

    Args:
        field: what they are called.
        features: the features.
        count: N; None takes any number of rows from ``least`` on.
        least: smallest N.
        longest: what every row's squared length must be below; None takes every finite row.

    Raises:
        DataError: naming the field, its shape or the first row that does not fit.
    """
    import numpy as np

    features = np.ascontiguousarray(features, dtype=np.float32)
    few = features.ndim != 2 or len(features) < least or (least and not features.size)
    if few or (count is not None and len(features) != count):
        rows = f"({count}, D), a row per picture" if count is not None else f"(N, D), N at least {least}"
        raise DataError(f"{field}: expected shape {rows}; got {features.shape}")
    if longest is None:
        fits = np.isfinite(features).all(axis=1)
    else:
        # What is not finite in a row is not finite in its squared length.
        fits = np.einsum("nd,nd->n", features, features) < longest
    if not fits.all():
        large = "" if longest is None else ", or too large"
        raise DataError(
            f"{field}: row {int(np.argmin(fits))} holds a value that is not finite (NaN or infinity){large}"
        )
    return features


def check_labels(field: str, values: Any, count: int, *, per: str = "picture") -> np.ndarray:
    """Return whole numbers, one per picture, such as identities, cameras or clusters.

    Args:
        field: what they are called.
        values: (count,) whole numbers of any type.
        count: how many there must be.
        per: what each belongs to.

    Raises:
        DataError: naming the field, type and shape, and what was expected.
    """
    import numpy as np

    values = np.asarray(values)
    if values.shape != (count,) or not np.issubdtype(values.dtype, np.integer):
        raise DataError(
            f"{field}: expected {count} whole numbers, one per {per}; got {values.dtype} of shape {values.shape}"
        )
    return values


def check_clusters(labels: Any, count: int) -> np.ndarray:
    """Return the clusters of pictures, (count,) whole numbers from 0; -1 is an outlier.

    Raises:
        DataError: they are not one whole number per picture, or one is below -1.
    """
    labels = check_labels("labels", labels, count)
    if count and labels.min() < -1:
        raise DataError(f"labels: {int(labels.min())} is no cluster; clusters count from 0, and -1 is an outlier")
    return labels


def check_square(field: str, matrix: Any) -> None:
    """Check that an array has a row and a column for each of N points, N at least 1.

    Raises:
        DataError: naming the field and its shape.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise DataError(f"{field}: expected (N, N); got shape {matrix.shape}")
