"""Data: sample tables, readers of on-disk formats, manifests, tracklets, samplers, transforms, decoded pictures.

Whatever the format on disk, a data set enters as a :mod:`sample table <reidlab.data.table>`. Where real data lie is the
:mod:`~reidlab.data.catalogue`'s to know; the embedded world comes from :func:`load_world`.
"""

from reidlab.data.catalogue import embedder_file, load, on_this_machine
from reidlab.data.clips import ClipTransform, check_masks
from reidlab.data.embedded import load_world
from reidlab.data.images import ImageCache, read_picture
from reidlab.data.samplers import PKSampler
from reidlab.data.splits import Division, across_cameras, divide_identities, split_identities
from reidlab.data.table import SampleTable, make_table, validate
from reidlab.data.tracklets import Tracklets, sample_frames, tracklets_of
from reidlab.data.transforms import (
    ColourJitter,
    Flip,
    Grayscale,
    PadCrop,
    RandomErasing,
    TrainTransform,
    normalize,
)

__all__ = [
    "ClipTransform", "ColourJitter", "Division", "Flip", "Grayscale", "ImageCache", "PKSampler",
    "PadCrop", "RandomErasing", "SampleTable", "Tracklets", "TrainTransform", "across_cameras", "check_masks",
    "divide_identities", "embedder_file", "load", "load_world", "make_table", "normalize", "on_this_machine",
    "read_picture", "sample_frames", "split_identities", "tracklets_of", "validate",
]  # fmt: skip
