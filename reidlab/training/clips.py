"""Training a network for clips on the tracklets of a sample table, and from tracklets to embeddings (Sec. 2.2.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from reidlab.checks import check_integer
from reidlab.data import ClipTransform, Tracklets, check_masks, normalize, to_device, tracklets_of
from reidlab.data.samplers import digest
from reidlab.data.splits import check_training_rows
from reidlab.errors import ConfigError
from reidlab.evaluation.embeddings import Embeddings
from reidlab.models import evaluating
from reidlab.seeding import derive, rng
from reidlab.training.config import ClipConfig
from reidlab.training.denormals import flushed_denormals
from reidlab.training.fit import class_labels
from reidlab.training.loop import FitResult, train
from reidlab.training.objectives import Objective, reid_objective
from reidlab.training.pictures import as_tensor, decoded
from reidlab.training.sources import ClipBatch, IdentitySource

#: Maps (B, T, H, W, 3) uint8 clips and their masks (B, T, 4), or None, to (B, T, 3, H, W) normalised floats and masks,
#: on the same device; draws from a CPU generator.
ClipsTransform = Callable[[Tensor, Tensor | None, torch.Generator], tuple[Tensor, Tensor | None]]


class ClipSource(IdentitySource):
    """Batch source over tracklets of pictures in memory: a clip of each of ``k`` tracklets of each of ``p`` identities.

    Clips are drawn by restricted random sampling (Sec. 2.2.1); an epoch is one pass over the identities. A batch is one
    index and one transform of a whole tensor.

    Args:
        images: (N, H, W, 3) uint8, RGB.
        tracklets: M tracklets whose rows are positions in ``images``.
        labels: (M,) integers 0..C-1, the tracklets' identities.
        p: identities in a batch.
        k: tracklets of each.
        frames: T, frames of a clip.
        transform: augmentation and normalisation.
        masks: (N, 4) int64 boxes (y0, y1, x0, x1) of the pictures, in pixels; None where all of each is picture.

    Raises:
        ConfigError: pictures, tracklets, labels and masks do not fit each other, or ``frames`` is less than 1.
        DataError: a mask is empty or not inside its picture.
    """

    def __init__(
        self,
        images: np.ndarray,
        tracklets: Tracklets,
        labels: np.ndarray,
        p: int,
        k: int,
        frames: int,
        transform: ClipsTransform,
        masks: np.ndarray | None = None,
    ) -> None:
        self._images = as_tensor(images)
        if len(tracklets) != len(labels):
            raise ConfigError(f"labels: {len(labels)} for {len(tracklets)} tracklets; give one label per tracklet")
        check_integer("frames", frames, 1)
        owners = np.full(len(images), -1)
        for rows, number in zip(tracklets.rows, tracklets.numbers, strict=True):
            if rows.min() < 0 or rows.max() >= len(images):
                raise ConfigError(
                    f"tracklet {number}: its rows reach {rows.max()}, but there are {len(images)} pictures"
                )
            owners[rows] = number
        self._masks = None
        if masks is not None:
            self._masks = torch.from_numpy(check_masks(masks, images.shape[1:3], owners))
        self._tracklets = tracklets
        self._frames = frames
        self._transform = transform
        super().__init__(labels, p, k)

    def start(self, seed: int, rank: int) -> None:
        """Go to the beginning of the stream of one process."""
        super().start(seed, rank)
        self._random = rng(derive(seed, "frames", rank))

    def batch(self, device: torch.device) -> ClipBatch:
        """Return the next batch; clips travel to the device as bytes and are transformed there."""
        chosen = self._sampler.next_batch()
        found, _ = self._tracklets.clips(chosen, self._frames, "restricted", self._random)
        rows = torch.from_numpy(found)
        masks = None if self._masks is None else to_device(self._masks[rows], device)
        images, masks = self._transform(to_device(self._images[rows], device), masks, self._generator)
        return ClipBatch(images, to_device(torch.from_numpy(self._labels[chosen]), device), rows, masks)

    def describe(self) -> dict[str, Any]:
        """Return the number of pictures, and hashes of the tracklets, their labels and the masks."""
        lengths = np.array([len(rows) for rows in self._tracklets.rows])
        return {
            "pictures": len(self._images),
            "tracklets": digest(np.concatenate([lengths, *self._tracklets.rows])),
            "masks": "none" if self._masks is None else digest(self._masks.numpy()),
            **super().describe(),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the sampler, of the frames' generator and of the transforms' generator."""
        return {**super().state_dict(), "frames": self._random.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a place that :meth:`state_dict` returned."""
        super().load_state_dict(state)
        self._random.bit_generator.state = state["frames"]


def fit_clips(
    model: nn.Module,
    table: pd.DataFrame,
    config: ClipConfig,
    seed: int,
    images: np.ndarray | None = None,
    masks: np.ndarray | None = None,
    *,
    objective: Objective | None = None,
    transform: ClipsTransform | None = None,
    **run: Any,
) -> FitResult:
    """Train a network for clips on the tracklets of a sample table, in place.

    Args:
        model: :class:`~reidlab.models.VideoNet`, or a network with the same call ``model(clips)`` (``model(clips,
            masks)`` where masks are given) and outputs, with one class per identity of the table; its initial weights
            are the caller's to seed.
        table: sample table of training rows, each with its tracklet; identities are numbered in the order of their
            pids.
        config: clips, batches, losses, length, optimisation, device and logs.
        seed: decides batches, frames, augmentation and dropout.
        images: decoded pictures of the rows, (N, H, W, 3) uint8 RGB of ``config.size``; read from the table's paths
            where omitted.
        masks: boxes (y0, y1, x0, x1) of the rows, (N, 4) integers in pixels of ``config.size``: the part of each
            picture that is not padding (Sec. 2.5.3); all of it where omitted.
        objective: what is minimised; cross-entropy plus soft-margin batch-hard triplets where omitted.
        transform: maps a batch of clips and masks to network input; flip, shift and erasing as configured, see
            :class:`~reidlab.data.ClipTransform`, where omitted.
        **run: ``hooks``, ``out_dir``, ``resume`` and ``progress`` of :func:`~reidlab.training.loop.train`. To resume,
            objective, transform and hooks must be those that the run began with.

    Returns:
        The trained network and its history: ``iteration, loss, ce, triplet, lr, seconds``.

    Raises:
        ConfigError: an argument does not fit, or the checkpoint is of another run.
        DataError: the table has rows that are not for training or are in no tracklet, a mask is not inside its picture,
            or a picture or checkpoint cannot be read.
        RunError: the loss stopped being finite, or a checkpoint could not be written.

    Example:
        >>> model = video_network("ste-nvan", table.pid.nunique())  # doctest: +SKIP
        >>> fit_clips(model, table, ClipConfig(epochs=200, optimizer="adam", lr=1e-4), seed=0)  # doctest: +SKIP
    """
    check_training_rows(table)
    tracklets = tracklets_of(table)
    labels = class_labels(model, tracklets.pids)
    if masks is not None:
        # Before pictures are decoded, which can take an hour.
        masks = check_masks(masks, config.size, table["tracklet"].to_numpy())
    images = decoded(table, config.size, images)
    if transform is None:
        transform = ClipTransform(flip=config.flip, pad=config.pad, erase=config.erase)
    source = ClipSource(images, tracklets, labels, config.p, config.k, config.frames, transform, masks)
    return train(model, source, reid_objective(config) if objective is None else objective, config, seed, **run)


@flushed_denormals()
def extract_clips(
    model: nn.Module,
    table: pd.DataFrame,
    size: tuple[int, int],
    frames: int,
    mode: str = "restricted",
    *,
    images: np.ndarray | None = None,
    masks: np.ndarray | None = None,
    batch_size: int = 32,
) -> Embeddings:
    """Embed every tracklet of a table with the network's features after the neck, in evaluation mode.

    A tracklet's embedding is the mean over its clips: one clip of the first frames of its chunks with ``restricted``
    (Sec. 2.2.1), clips that together hold every frame with ``strided`` and ``contiguous`` (Sec. 2.6.1).

    Args:
        model: network whose output has ``embedding`` (B, D), called as in :func:`fit_clips`; it runs where its weights
            are and keeps its mode.
        table: sample table of one split, each row with its tracklet.
        size: height and width of the network's input, in pixels; the size it was trained at.
        frames: T, frames of a clip; as many as it was trained with.
        mode: see :func:`~reidlab.data.sample_frames`.
        images: decoded pictures of the rows, (N, H, W, 3) uint8 RGB of ``size``; those needed are read where omitted.
        masks: boxes of the rows as in :func:`fit_clips`; all of each picture where omitted.
        batch_size: clips per pass; changes memory and speed only.

    Returns:
        One row per tracklet in the order of their numbers, float32, not normalised to unit length; ``tracklets`` are
        the numbers.

    Raises:
        ConfigError: an argument does not fit.
        DataError: the table is empty or of several splits, a row is in no tracklet, a mask is not inside its picture,
            or a picture cannot be read.
    """
    check_integer("batch_size", batch_size, 1)
    tracklets = tracklets_of(table)
    rows, owners = tracklets.clips(range(len(tracklets)), frames, mode)
    if masks is not None:
        masks = check_masks(masks, size, table["tracklet"].to_numpy())
    if images is None:
        # The test of Sec. 2.2.1 sees T frames of a tracklet that has hundreds; the others are not decoded.
        needed, places = np.unique(rows, return_inverse=True)
        images, places = decoded(table.iloc[needed], size), places.reshape(rows.shape)
    else:
        images, places = decoded(table, size, images), rows
    weight = next(model.parameters())
    sums = None
    with evaluating(model), torch.inference_mode():
        for start in range(0, len(rows), batch_size):
            part = slice(start, start + batch_size)
            pictures = torch.from_numpy(images[places[part].ravel()]).to(weight.device)
            clips = normalize(pictures).to(weight.dtype).unflatten(0, (-1, frames))
            boxes = () if masks is None else (torch.from_numpy(masks[rows[part]]).to(weight.device),)
            embedding = model(clips, *boxes).embedding.cpu().double().numpy()
            if sums is None:
                sums = np.zeros((len(tracklets), embedding.shape[1]))
            np.add.at(sums, owners[part], embedding)
    counts = np.bincount(owners, minlength=len(tracklets))
    return Embeddings(sums / counts[:, None], tracklets.pids, tracklets.camids, tracklets.numbers)
