"""Data: sample tables from on-disk formats, pictures, batches and transforms.

:mod:`~reidlab.data.table` says what a sample table is, :mod:`~reidlab.data.readers` makes one from a folder,
:mod:`~reidlab.data.catalogue` knows data sets by name and where they lie, :mod:`~reidlab.data.embedded` loads the embedded
world. :mod:`~reidlab.data.images`, :mod:`~reidlab.data.samplers` and :mod:`~reidlab.data.transforms` feed networks;
:mod:`~reidlab.data.histogram` describes people without one.

Example:
    >>> from reidlab.data import load_world
    >>> table = load_world("standard", seed=1)  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reidlab.data.catalogue import Report, add, check, find, load
    from reidlab.data.embedded import load_world
    from reidlab.data.histogram import colour_histogram
    from reidlab.data.images import ImageCache, read_picture
    from reidlab.data.manifests import Manifest
    from reidlab.data.readers import READERS, read
    from reidlab.data.samplers import PKSampler
    from reidlab.data.table import make_table, validate
    from reidlab.data.transforms import ColourJitter, EvalTransform, TrainTransform, normalize

# Names are looked up when they are asked for: the command line lists data sets without loading torch.
_HOME = {
    "ColourJitter": "transforms",
    "EvalTransform": "transforms",
    "ImageCache": "images",
    "Manifest": "manifests",
    "PKSampler": "samplers",
    "READERS": "readers",
    "Report": "catalogue",
    "TrainTransform": "transforms",
    "add": "catalogue",
    "check": "catalogue",
    "colour_histogram": "histogram",
    "find": "catalogue",
    "load": "catalogue",
    "load_world": "embedded",
    "make_table": "table",
    "normalize": "transforms",
    "read": "readers",
    "read_picture": "images",
    "validate": "table",
}

__all__ = [
    "READERS", "ColourJitter", "EvalTransform", "ImageCache", "Manifest", "PKSampler", "Report", "TrainTransform", "add",
    "check", "colour_histogram", "find", "load", "load_world", "make_table", "normalize", "read", "read_picture",
    "validate",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
