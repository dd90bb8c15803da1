"""Re-Detect and Link: pictures of tracklets are cropped again around one person (Sec. 2.5.1, Figs. 2.7, 2.9 to 2.11).

C.-T. Liu et al., "Video-based person re-identification without bells and whistles", CVPRW 2021. Old detectors and
trackers leave pictures that show half a person, or two. The original frames are not available, so a detector searches
for people inside each picture, features choose among them (Eq. 2.2), and the chosen one is cropped, resized with its
aspect kept, and padded. A mask says which part of the result is picture; CF-AAN pools over it
(Sec. 2.5.3). The code was never released: what the text leaves open (thresholds, where a slim box goes, what is done
with nothing found) is said in :class:`RedetectLink`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from torch import nn
from tqdm import tqdm

from reidlab import paths
from reidlab.checks import check_number, check_share, check_size, plural
from reidlab.data import ImageCache, Tracklets, read_picture, tracklets_of
from reidlab.data.decoded import DataSet, Pictures
from reidlab.data.readers.mars import cleaned_labels
from reidlab.data.table import BOX
from reidlab.errors import ConfigError, DataError, MissingDataError
from reidlab.files import disk_errors, reserve, whole_folder
from reidlab.formats import mars
from reidlab.training import extract
from reidlab.video.detectors import Detector, TrueBoxes, cut_boxes
from reidlab.world.recording import iou
from reidlab.world.writing import write_picture

#: Colour of the padding, the mean of ImageNet: it becomes 0 when pictures are normalised.
FILL = (124, 116, 104)
NOTHING_FOUND = "no candidate: kept as it was"

_PART = 512  # pictures held at a time
_LARGE = 4 * 2**30  # bytes above which pictures lie in a file
_ON_A_PERSON = 0.3  # least intersection over union with a person's box of a box that is said to be on them

#: Maps pictures (n, H, W, 3) uint8 to features (n, D).
Embed = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Linked:
    """The result of re-Detect and Link on N pictures.

    Attributes:
        pictures: (N, H, W, 3) uint8 RGB.
        masks: (N, 4) int64 boxes y0, y1, x0, x1: the part of each that is picture, the rest is padding.
        report: a row per picture: ``row`` in the table; ``candidates`` found; the chosen box ``x, y, w, h`` in pixels
            of the picture before, which had ``height`` and ``width``, and its ``score`` (missing if nothing was
            found); ``distance`` of its feature to the tracklet's (Eq. 2.2; missing where there was nothing to choose);
            ``shift`` of a slim box, ``left``, ``right`` or empty; ``note``, empty unless something went wrong.
    """

    pictures: np.ndarray
    masks: np.ndarray
    report: pd.DataFrame

    def select(self, rows: np.ndarray) -> Linked:
        """Return the result for M of the pictures, by their positions (M,), numbered from 0."""
        report = self.report.iloc[rows].assign(row=np.arange(len(rows)))
        return Linked(self.pictures[rows], self.masks[rows], report)


class RedetectLink:
    """Detects people in the pictures of tracklets, links them by their features and crops them (Sec. 2.5.1).

    Of the first picture with candidates the largest is taken. Of each later one, the one whose feature is nearest to
    the tracklet's global feature, which follows the features of those that were taken (Eq. 2.2). Features are those of
    the new pictures. A picture without candidates is kept, resized and marked as picture as a whole; it does not
    change the global feature.

    A box is cut out, scaled to fit the size and put in the middle of padding. If it is slim and touches the left
    (right) edge of its picture but not the other, that edge hides the rest of the person: it is shifted to the right
    (left), to where this part is when a whole body stands in the middle: all the way to the side for the windows of
    :class:`~reidlab.video.detectors.TrueBoxes` in pictures twice as high as wide. For detectors whose boxes are close
    around the body, which is then about 3 times as high as wide, ``slim=4, body=3`` fits better.

    Args:
        detector: finds the candidates.
        embed: pictures (n, H, W, 3) uint8 of ``size`` to features (n, D); see :func:`ide_embedder`.
        size: height and width of the pictures to make, in pixels.
        alpha: weight of the past in Eq. 2.2, 0..1.
        slim: a box whose height is more than this many times its width is slim.
        body: height over width of a whole body, at most ``slim``.
        edge: a box closer to an edge than this share of the picture's width touches it.
        fill: RGB of the padding.

    Raises:
        ConfigError: an argument is out of range.

    Example:
        >>> linker = RedetectLink(HOG(), ide_embedder(model, (128, 64)), size=(128, 64))  # doctest: +SKIP
        >>> linked = linker(table[table.split == "train"])  # doctest: +SKIP
    """

    def __init__(
        self,
        detector: Detector,
        embed: Embed,
        *,
        size: tuple[int, int] = (64, 32),
        alpha: float = 0.9,
        slim: float = 2.5,
        body: float = 2.0,
        edge: float = 0.03,
        fill: tuple[int, int, int] = FILL,
    ) -> None:
        self.size = check_size("size", size)
        check_share("alpha", alpha, what="the weight of the past in Eq. 2.2")
        check_number("body", body, above=0, most=slim, what="at most slim, both height over width")
        check_number("edge", edge, 0, below=0.5, what="a share of the picture's width")
        if len(fill) != 3 or not all(0 <= value <= 255 for value in fill):
            raise ConfigError(f"fill: {fill!r} must be three numbers in 0..255, a colour")
        self._detector, self._embed = detector, embed
        self._alpha, self._slim, self._body, self._edge, self._fill = alpha, slim, body, edge, tuple(fill)

    def __call__(
        self, table: pd.DataFrame, *, pictures: Sequence[np.ndarray] | None = None, quiet: bool = False
    ) -> Linked:
        """Re-detect and link the pictures of a table, in the order of its rows.

        Above 4 GiB the pictures lie in a nameless file in the cache folder, which goes when they do.

        Args:
            table: sample table in which every row has a tracklet; its splits number theirs apart.
            pictures: of the rows, (h, w, 3) uint8 RGB each, as they lie on disk; read where omitted.
            quiet: whether to leave out the progress bar, which otherwise shows up after a second.

        Raises:
            ConfigError: the number of pictures is not that of the rows.
            DataError: see :meth:`parts`.
        """
        out = _room_for((len(table), *self.size, 3))
        masks = np.empty((len(table), 4), dtype=np.int64)
        reports = []
        for part in self.parts(table, pictures=pictures, quiet=quiet):
            rows = part.report["row"].to_numpy()
            out[rows], masks[rows] = part.pictures, part.masks
            reports.append(part.report)
        return Linked(out, masks, pd.concat(reports).sort_values("row", ignore_index=True))

    def parts(
        self, table: pd.DataFrame, *, pictures: Sequence[np.ndarray] | None = None, quiet: bool = False
    ) -> Iterator[Linked]:
        """Yield the result a few whole tracklets at a time, for tables whose pictures do not fit in memory.

        The report of a part gives its rows.

        Args:
            table: see :meth:`__call__`.
            pictures: of the rows, (H, W, 3) uint8 RGB each; read where omitted.
            quiet: see :meth:`__call__`.

        Raises:
            ConfigError: the number of pictures is not that of the rows.
            DataError: the table is empty or has rows without a tracklet; a picture cannot be read; or the detector or
                the features are not what they should be. The message names the picture.
        """
        if pictures is not None and len(pictures) != len(table):
            raise ConfigError(f"pictures: {len(pictures)} for {len(table)} rows of the table")
        tracklets = _rows_of_tracklets(table)
        with tqdm(total=len(table), desc="re-detecting", disable=quiet, delay=1.0, leave=False) as bar:
            part: list[np.ndarray] = []
            for number, rows in enumerate(tracklets, start=1):
                part.append(rows)
                if number == len(tracklets) or sum(map(len, part)) >= _PART:
                    yield self._part(table, part, pictures)
                    bar.update(sum(map(len, part)))
                    part = []

    def _part(self, table: pd.DataFrame, tracklets: Sequence[np.ndarray], given: Sequence[np.ndarray] | None) -> Linked:

        rows = np.concatenate(tracklets)
        keys = table.iloc[rows]
        names = keys["path"].tolist()
        pictures = _read(keys) if given is None else [given[row] for row in rows]
        found = self._detect(pictures, keys, names)
        ends = np.cumsum([len(tracklet) for tracklet in tracklets])
        spans = [range(end - len(tracklet), end) for end, tracklet in zip(ends, tracklets)]
        features = self._features(pictures, found, spans, names)
        out, masks, lines = np.empty((len(rows), *self.size, 3), np.uint8), np.empty((len(rows), 4), np.int64), []
        for span in spans:
            areas = [found[i][:, 2] * found[i][:, 3] for i in span]
            choices, distances = link(areas, [features[i] for i in span], self._alpha)
            for i, choice, distance in zip(span, choices, distances):
                height, width = pictures[i].shape[:2]
                line = {"row": rows[i], "candidates": len(found[i]), "height": height, "width": width}
                if choice < 0:
                    box, masks[i] = np.array([0.0, 0.0, width, height]), (0, self.size[0], 0, self.size[1])
                    line |= {"shift": "", "note": NOTHING_FOUND}
                else:
                    box = found[i][choice, :4]
                    masks[i], shift = self.place(box, width)
                    line |= dict(zip(("x", "y", "w", "h", "score"), found[i][choice]))
                    line |= {"distance": distance, "shift": shift, "note": ""}
                out[i] = self._cut_out(pictures[i], box, masks[i])
                lines.append(line)
        return Linked(out, masks, pd.DataFrame(lines).reindex(columns=_REPORT))

    def place(self, box: np.ndarray, width: int) -> tuple[tuple[int, int, int, int], str]:
        """Return where a box goes in the picture to make.

        Args:
            box: (4,) x, y, w, h in pixels of a picture.
            width: of that picture, in pixels.

        Returns:
            The part y0, y1, x0, x1 of the new picture that it fills, and ``left``, ``right`` or nothing: how it was
            shifted.
        """
        x, _, w, h = (float(value) for value in box)
        height_out, width_out = self.size
        zoom = min(height_out / h, width_out / w)
        tall = min(max(1, round(h * zoom)), height_out)
        wide = min(max(1, round(w * zoom)), width_out)
        top = (height_out - tall) // 2
        at_left, at_right = x <= self._edge * width, x + w >= (1 - self._edge) * width
        if h <= self._slim * w or at_left == at_right:
            left, shift = (width_out - wide) // 2, ""
        else:
            outer = round(0.5 * (width_out + min(tall / self._body, width_out)))
            left, shift = (outer - wide, "right") if at_left else (width_out - outer, "left")
            left = min(max(left, 0), width_out - wide)
        return (top, top + tall, left, left + wide), shift

    def _cut_out(self, picture: np.ndarray, box: np.ndarray, mask: Sequence[int]) -> np.ndarray:
        """Return a picture of the wanted size with what a box holds at the place of the mask."""
        out = np.empty((*self.size, 3), dtype=np.uint8)
        out[:] = self._fill
        x, y, w, h = (float(value) for value in box)
        y0, y1, x0, x1 = (int(value) for value in mask)
        window = x, y, min(x + w, picture.shape[1]), min(y + h, picture.shape[0])
        out[y0:y1, x0:x1] = Image.fromarray(picture).resize(
            (x1 - x0, y1 - y0), Image.Resampling.BILINEAR, box=window
        )  # fmt: skip
        return out

    def _detect(self, pictures: Sequence[np.ndarray], keys: pd.DataFrame, names: Sequence[str]) -> list[np.ndarray]:
        """Return the candidates (n, 5) of each picture, cut at its edges."""
        found = self._detector(pictures, keys)
        if len(found) != len(pictures):
            raise DataError(f"the detector answered {len(found)} times for {len(pictures)} pictures from {names[0]} on")
        return [_checked(boxes, picture, name) for boxes, picture, name in zip(found, pictures, names)]

    def _features(
        self, pictures: Sequence[np.ndarray], found: Sequence[np.ndarray], spans: Sequence[range], names: Sequence[str]
    ) -> list[np.ndarray | None]:
        """Return the features (n, D) of each picture's candidates; None in tracklets with nothing to choose."""
        wanted: list[int] = []
        for span in spans:
            with_candidates = [i for i in span if len(found[i])]
            if any(len(found[i]) > 1 for i in with_candidates[1:]):
                wanted += with_candidates
        features: list[np.ndarray | None] = [None] * len(pictures)
        if not wanted:
            return features
        # One call for all candidates: a network is quick with many pictures at a time only.
        cut = np.stack(
            [
                self._cut_out(pictures[i], box[:4], self.place(box[:4], pictures[i].shape[1])[0])
                for i in wanted
                for box in found[i]
            ]
        )
        values = np.asarray(self._embed(cut), dtype=np.float64)
        if values.ndim != 2 or len(values) != len(cut):
            raise DataError(
                f"embed: it returned shape {values.shape} for {len(cut)} pictures, expected ({len(cut)}, D)"
            )
        ends = np.cumsum([len(found[i]) for i in wanted])
        for i, part in zip(wanted, np.split(values, ends[:-1])):
            if not np.isfinite(part).all():
                raise DataError(f"{names[i]}: the feature of a candidate holds values that are not finite")
            features[i] = part
        return features


_REPORT = ["row", "candidates", "x", "y", "w", "h", "score", "distance", "shift", "height", "width", "note"]


def link(
    areas: Sequence[np.ndarray], features: Sequence[np.ndarray | None], alpha: float = 0.9
) -> tuple[np.ndarray, np.ndarray]:
    """Choose one candidate in each of a tracklet's F pictures (Sec. 2.5.1).

    Args:
        areas: for each picture (n,) areas of its candidates.
        features: for each picture (n, D) features of its candidates; None throughout if there is nothing to choose.
        alpha: weight of the past in Eq. 2.2.

    Returns:
        (F,) int64 candidates, -1 where there is none, and (F,) distances to the global feature before it moved, NaN
        where there is none and for the first.

    Example:
        >>> areas, features = [np.array([6, 9]), np.array([8, 5])], [np.array([[0.0], [4.0]]), np.array([[1.0], [3.0]])]
        >>> link(areas, features)[0].tolist()
        [1, 1]
    """
    choices, distances = np.full(len(areas), -1), np.full(len(areas), np.nan)
    past: np.ndarray | None = None
    started = False
    for i, (area, feature) in enumerate(zip(areas, features, strict=True)):
        if not len(area):
            continue
        if not started:
            choices[i], started = int(np.argmax(area)), True
            past = None if feature is None else feature[choices[i]]
        elif past is None or feature is None:
            choices[i] = 0
        else:
            away = np.linalg.norm(feature - past, axis=1)
            choices[i] = int(away.argmin())
            distances[i] = away[choices[i]]
            past = alpha * past + (1 - alpha) * feature[choices[i]]  # Eq. 2.2
    return choices, distances


def ide_embedder(model: nn.Module, size: tuple[int, int], batch_size: int = 256) -> Embed:
    """Return a function from pictures to a network's embeddings of them, of length 1 (the IDE of Sec. 2.5.1).

    Args:
        model: network whose output has ``embedding`` (B, D), such as :class:`~reidlab.models.ReIDNet`; it runs where
            its weights are.
        size: height and width the network was trained at; other pictures are resized.
        batch_size: pictures per pass; changes memory and speed only.
    """

    def embed(pictures: np.ndarray) -> np.ndarray:

        if pictures.shape[1:3] != tuple(size):
            resized = [Image.fromarray(p).resize((size[1], size[0]), Image.Resampling.BILINEAR) for p in pictures]
            pictures = np.stack([np.asarray(p) for p in resized])
        nobody = pd.DataFrame({"pid": -1, "camid": 1, "tracklet": -1}, index=range(len(pictures)))
        return extract(model, nobody, tuple(size), batch_size, images=pictures).normalized().features

    return embed


def redetect_set(data: DataSet, linker: RedetectLink) -> tuple[DataSet, Linked]:
    """Re-detect and link a decoded data set, from its files.

    Args:
        data: the tracklets.
        linker: what to do; its size is that of the new pictures.

    Returns:
        The set with new pictures and masks, and what was done with the gallery's.

    Raises:
        DataError: see :meth:`RedetectLink.parts`.
    """
    linked = {name: linker(getattr(data, name).table, quiet=True) for name in ("train", "gallery")}
    if data.rows_of_query is None:
        linked["query"] = linker(data.query.table, quiet=True)
    parts = {name: Pictures(getattr(data, name).table, done.pictures, done.masks) for name, done in linked.items()}
    if data.rows_of_query is not None:
        parts["query"] = replace(parts["gallery"].select(data.rows_of_query), table=data.query.table)
    return replace(data, **parts), linked["gallery"]


def redetect_table(
    table: pd.DataFrame,
    out: str | Path,
    linker: RedetectLink | Linked,
    *,
    root: str | Path | None = None,
    quiet: bool = False,
) -> Path:
    """Re-detect and link a data set's tracklets and write them as a folder in the layout of MARS.

    Beside the pictures and what belongs to MARS, ``info/mask_info.csv`` and ``info/mask_info_test.csv`` hold the masks
    as they were released with CF-AAN, so that :func:`~reidlab.data.readers.mars.dl_masks` reads them, and
    ``redetect.csv`` the reports of :class:`Linked` by the pictures' paths. Names of the pictures stay if they are
    MARS's.

    Args:
        table: sample table of a data set of tracklets, splits ``train`` and ``gallery``, and ``query``, whose
            tracklets are the gallery's too.
        out: folder to make.
        linker: re-detects and links the pictures; or the result for this table, where that was done before.
        root: folder of the data set; its corrected labels go along if it has some (``None``: they don't).
        quiet: whether to leave out the progress bar.

    Returns:
        ``out``.

    Raises:
        DataError: there are no tracklets, labels do not fit MARS's names, the result is of another table, or see
            :meth:`RedetectLink.parts`. Then nothing is written.
        StorageError: something stands at ``out``, or the disk is full; likewise.
    """
    if isinstance(linker, Linked):
        _check_linked(table, linker)
    parts, queries, corrected = _planned(table, root)
    out = Path(out)
    reports = []
    with whole_folder(out) as folder:
        for part, chosen, tracklets, names in parts:
            rows = table.iloc[chosen].reset_index(drop=True)
            masks = np.empty((len(rows), 4), dtype=np.int64)
            linked = [linker.select(chosen)] if isinstance(linker, Linked) else linker.parts(rows, quiet=quiet)
            for done in linked:
                places = done.report["row"].to_numpy()
                masks[places] = done.masks
                files = [mars.picture_path(part, names[place]) for place in places]
                for file, picture in zip(files, done.pictures):
                    write_picture(folder / file, picture)
                reports.append(done.report.assign(row=files).rename(columns={"row": "path"}))
            listed = [[names[place] for place in places] for places in tracklets.rows]
            matrix = mars.write_part(folder, part, listed, tracklets.pids, tracklets.camids)
            mars.write_masks(folder, part, chain(*listed), masks[np.concatenate(tracklets.rows)])
        mars.write_test(folder, queries, matrix, corrected)
        pd.concat(reports).to_csv(folder / "redetect.csv", index=False, lineterminator="\n")
    return out


def check_redetectable(table: pd.DataFrame, root: str | Path | None = None) -> None:
    """Check that :func:`redetect_table` can write a table's tracklets, before any work.

    Args:
        table: sample table.
        root: folder of the data set.

    Raises:
        DataError: there are no tracklets, a split is missing, or labels do not fit MARS's names.
    """
    if (untracked := table["tracklet"] < 0).any():
        name = table.attrs.get("dataset", "table")
        raise DataError(
            f"{name}: {plural(int(untracked.sum()), 'picture')} of {len(table):,} are in no tracklet, such as "
            f"{table['path'][untracked].iloc[0]}; re-Detect and Link follows a person through the pictures of a "
            "tracklet, so it needs a set of tracklets, such as MARS"
        )
    _planned(table, root)


def _planned(
    table: pd.DataFrame, root: str | Path | None
) -> tuple[list[tuple[str, np.ndarray, Tracklets, list[str]]], list[int], np.ndarray | None]:
    """Return name, rows, tracklets and pictures' names of both parts of MARS's layout, its queries and labels."""
    parts = []
    for part, split in (("train", "train"), ("test", "gallery")):
        chosen = np.flatnonzero(table["split"] == split)
        rows = table.iloc[chosen].reset_index(drop=True)
        if rows.empty:
            raise DataError(f"table: split {split!r} has no rows; the layout of MARS needs both parts")
        tracklets = tracklets_of(rows)
        parts.append((part, chosen, tracklets, _names(rows, tracklets)))
    return parts, _query_numbers(table, tracklets), None if root is None else _corrected(tracklets, root)


def quality(table: pd.DataFrame, linked: Linked, root: str | Path, *, embed: Embed | None = None) -> pd.DataFrame:
    """Measure how well an embedded world's pictures fit their people, before and after re-Detect and Link.

    A picture is a window of its camera's frame; one with padding is too, and its window reaches as far as the padding.
    It is compared with the true window, which has the aspect and margin of all exported pictures.

    Args:
        table: sample table of the export's pictures.
        linked: the result for them.
        root: folder of the export (layout ``mars``).
        embed: for the feature drift; without it there is none.

    Returns:
        A row per picture: ``row``, ``tracklet``; ``iou_before`` and ``iou_after``, the intersection over union with the
        person's true window; ``right_before`` and ``right_after``, 1.0 if the picture (the chosen box) is on the
        person, else 0.0. A box is on whose own, cut at the picture, it overlaps most, by at least 0.3. Junk and
        tracklets of two people have no right person and hold no value anywhere. With ``embed`` also
        ``feature_drift_before`` and ``feature_drift_after``, see :func:`feature_drift`.

    Raises:
        MissingDataError: ``root`` is no export of an embedded world.
        DataError: a picture is not of the export, or the table is not the one that was linked.
    """
    _check_linked(table, linked)
    boxes = TrueBoxes(root)
    truth = boxes.truth(table)
    if "shown" not in truth:
        raise DataError(f"{root}: its truth does not say who is shown; expected an export in the layout 'mars'")
    whole = _windows(linked)
    values = np.full((len(table), 4), np.nan)
    known = np.flatnonzero(~truth["fault"].isin(["junk", "ambiguous"]))
    for i, people in zip(known, boxes.people(table.iloc[known])):
        true = truth.loc[i, ["true_x", "true_y", "true_w", "true_h"]].to_numpy(dtype=float)
        line = linked.report.iloc[i]
        zoom = people.window[2:] / (line["width"], line["height"])
        right = float(truth.at[i, "shown"] == truth.at[i, "pid"])
        values[i] = iou(people.window, true), iou(_in_frame(whole[i], people.window, zoom), true), right, right
        if line["candidates"]:
            chosen = _in_frame(line[["x", "y", "w", "h"]].to_numpy(dtype=float), people.window, zoom)
            x, y, w, h = people.window
            overlaps = [iou(chosen, box) for box in cut_boxes(people.boxes, x, y, x + w, y + h)]
            best = int(np.argmax(overlaps))
            values[i, 3] = float(people.pids[best] == truth.at[i, "pid"] and overlaps[best] >= _ON_A_PERSON)
    out = pd.DataFrame(values, columns=["iou_before", "iou_after", "right_before", "right_after"])
    out.insert(0, "tracklet", table["tracklet"].to_numpy())
    out.insert(0, "row", np.arange(len(table)))
    if embed is not None:
        before = np.asarray(ImageCache(table, linked.pictures.shape[1:3], quiet=True))
        for name, pictures in (("before", before), ("after", linked.pictures)):
            out[f"feature_drift_{name}"] = feature_drift(embed(pictures), table)
    return out


def feature_drift(features: np.ndarray, table: pd.DataFrame) -> np.ndarray:
    """Return how far each picture's feature is from the mean of its tracklet's, all brought to length 1 before.

    Args:
        features: (N, D).
        table: sample table of N rows.

    Returns:
        (N,) Euclidean distances.

    Raises:
        DataError: features and rows are not of one number.
    """
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2 or len(features) != len(table):
        raise DataError(f"features: shape {features.shape} for {len(table)} rows, expected ({len(table)}, D)")
    features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    out = np.empty(len(table))
    for rows in table.groupby(["split", "tracklet"], sort=False).indices.values():
        out[rows] = np.linalg.norm(features[rows] - features[rows].mean(axis=0), axis=1)
    return out


def _check_linked(table: pd.DataFrame, linked: Linked) -> None:
    if len(linked.report) != len(table) or (linked.report["row"].to_numpy() != np.arange(len(table))).any():
        raise DataError(f"linked: {len(linked.report)} pictures for {len(table)} rows; pass the table that was linked")


def _windows(linked: Linked) -> np.ndarray:
    """Return the windows (N, 4) x, y, w, h that new pictures, padding included, are of the old ones, in old pixels."""
    height, width = linked.pictures.shape[1:3]
    report = linked.report
    boxes = report[["x", "y", "w", "h"]].to_numpy(dtype=float, copy=True)
    nothing = report["candidates"].to_numpy() == 0
    sizes = report[["width", "height"]].to_numpy(dtype=float)
    boxes[nothing] = np.concatenate([np.zeros((nothing.sum(), 2)), sizes[nothing]], axis=1)
    y0, y1, x0, x1 = linked.masks.T
    sx, sy = boxes[:, 2] / (x1 - x0), boxes[:, 3] / (y1 - y0)
    return np.stack([boxes[:, 0] - x0 * sx, boxes[:, 1] - y0 * sy, width * sx, height * sy], axis=1)


def _in_frame(box: np.ndarray, window: np.ndarray, zoom: np.ndarray) -> np.ndarray:
    """Return a box (4,) in a picture's pixels in those of the frame that the picture is a window of."""
    return np.concatenate([window[:2] + box[:2] * zoom, box[2:] * zoom])


def _rows_of_tracklets(table: pd.DataFrame) -> list[np.ndarray]:
    """Return the positions of the pictures of each tracklet of each split, in the order of frames."""
    if len(table) == 0:
        raise DataError("table: it has no rows, so no tracklets to re-detect")
    splits = table["split"].to_numpy()
    found = []
    for split in dict.fromkeys(splits):
        places = np.flatnonzero(splits == split)
        found += [places[rows] for rows in tracklets_of(table.iloc[places]).rows]
    return found


def _read(keys: pd.DataFrame) -> list[np.ndarray]:
    """Return the pictures of some rows as they lie on disk."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        pictures = list(pool.map(read_picture, keys["path"]))
    if not all(name in keys for name in BOX):
        return pictures
    windows = []
    for picture, path, box in zip(pictures, keys["path"], keys[list(BOX)].to_numpy(dtype=float)):
        x0, y0, x1, y1 = np.round([*box[:2], *(box[:2] + box[2:])]).astype(int)
        window = picture[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        if not window.size:
            raise DataError(f"{path}: box {box.tolist()} holds no pixel of a picture of {picture.shape[:2]} pixels")
        windows.append(np.ascontiguousarray(window))
    return windows


def _checked(boxes: np.ndarray, picture: np.ndarray, name: str) -> np.ndarray:
    """Return a detector's boxes (n, 5) cut at the picture's edges, or say what is wrong with them."""
    boxes = np.asarray(boxes, dtype=np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 5:
        raise DataError(f"{name}: the detector returned shape {boxes.shape}, expected (n, 5): x, y, w, h, score")
    if not np.isfinite(boxes).all():
        bad = boxes[~np.isfinite(boxes).all(axis=1)][0].tolist()
        raise DataError(f"{name}: the detector returned {bad}; x, y, w, h and score must be finite")
    if (boxes[:, 2:4] <= 0).any():
        bad = boxes[(boxes[:, 2:4] <= 0).any(axis=1)][0].tolist()
        raise DataError(f"{name}: the detector returned {bad}; width and height must be positive")
    height, width = picture.shape[:2]
    inside = cut_boxes(boxes[:, :4], 0, 0, width, height)
    outside = (inside[:, 2:] <= 0).any(axis=1)
    if outside.any():
        raise DataError(
            f"{name}: the detector returned {boxes[outside][0].tolist()}, outside the picture of {width} x {height} "
            "pixels; boxes are x, y, w, h in that picture's pixels"
        )
    return np.concatenate([inside, boxes[:, 4:]], axis=1)


def _room_for(shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of bytes to fill, in a nameless file if it is large."""
    size = int(np.prod(shape, dtype=np.int64))
    if size <= _LARGE:
        return np.empty(shape, dtype=np.uint8)
    folder = paths.cache_dir()
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            reserve(file.fileno(), size, folder)
            return np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)


def _names(rows: pd.DataFrame, tracklets: Tracklets) -> list[str]:
    """Return MARS's name of each picture: the one it has, if all have, else identity, camera, track and frame."""
    names = [os.path.basename(path) for path in rows["path"]]
    labels = [(mars.identity_name(pid), str(camid)) for pid, camid in zip(rows["pid"], rows["camid"])]
    matches = [mars.NAME.fullmatch(name) if name.endswith(".jpg") else None for name in names]
    if len(set(names)) == len(names) and all(m and m.group(1, 2) == label for m, label in zip(matches, labels)):
        return names
    made = mars.track_names(tracklets.pids, tracklets.camids, map(len, tracklets.rows))
    for place, name in zip(chain(*tracklets.rows), chain(*made)):
        names[place] = name
    return names


def _query_numbers(table: pd.DataFrame, tracklets: Tracklets) -> list[int]:
    """Return which of the test tracklets, counted from 1, are queries."""
    places = {key: n for n, key in enumerate(zip(tracklets.numbers, tracklets.pids, tracklets.camids), start=1)}
    query = table.loc[table["split"] == "query", ["tracklet", "pid", "camid"]].drop_duplicates()
    keys = list(query.itertuples(index=False, name=None))
    for key in keys:
        if key not in places:
            raise DataError(
                f"query tracklet {key[0]} (identity {key[1]}, camera {key[2]}): the gallery has no such tracklet; "
                "MARS's layout counts the queries among the test tracklets"
            )
    return sorted(places[key] for key in keys)


def _corrected(tracklets: Tracklets, root: str | Path) -> np.ndarray | None:
    """Return a data set's corrected and ambiguous identities, (tracklets, 2), for its tracklets as numbered here."""
    try:
        labels = cleaned_labels(root).set_index("tracklet")
    except MissingDataError:
        return None
    missing = np.setdiff1d(tracklets.numbers, labels.index)
    if len(missing):
        raise DataError(f"{root}: its corrected labels have no tracklet {missing[0]}; pass the folder of the table")
    return labels.loc[tracklets.numbers, ["new_pid", "ambiguous"]].to_numpy()
