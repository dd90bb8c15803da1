"""Detectors of people inside cropped pictures, as re-Detect and Link needs them (Sec. 2.5.1).

The dissertation's is YOLOv4 trained on COCO, whose weights cannot be shipped. In its place stand :class:`TrueBoxes`,
which reads an embedded world's truth; :class:`HOG`, old but always available; and :class:`OnnxDetector`, for a network
of the user's. Detectors that work on pixels pad the pictures themselves: people in such pictures reach from edge to
edge, and detectors need a margin around them.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
import pandas as pd

from reidlab.checks import check_choice, check_integer, check_number, check_share, check_size
from reidlab.errors import ConfigError, DataError, MissingDataError
from reidlab.reading import read_text
from reidlab.seeding import rng
from reidlab.world import Actor, Scene, WorldSpec
from reidlab.world.recording import beside, jittered, window_of

_TRUTH = (
    "path", "visit", "camid", "frame", "x", "y", "w", "h", "true_x", "true_y", "true_w", "true_h", "visibility",
)  # fmt: skip
_AGREES = 0.01  # pixels by which a rebuilt window may differ from the one in the truth, which is rounded


class Detector(Protocol):
    """Finds people in pictures.

    Attributes:
        name: what reports and records call it.
    """

    name: str

    def __call__(self, pictures: Sequence[np.ndarray], keys: pd.DataFrame | None = None) -> list[np.ndarray]:
        """Return the people found in each picture.

        Args:
            pictures: (H, W, 3) uint8 RGB each, of any sizes.
            keys: rows of the sample table, one per picture, for detectors that look boxes up.

        Returns:
            For each picture (n, 5) floats: x, y, w, h in that picture's pixels, and a score; higher is more certain.
        """


class People(NamedTuple):
    """The people before a camera when a picture is taken.

    Attributes:
        pids: (n,) true identities.
        boxes: (n, 4) whole windows x, y, w, h in the frame's pixels, of the aspect and margin that exports give.
        window: (4,) x, y, w, h of the picture in the frame.
    """

    pids: np.ndarray
    boxes: np.ndarray
    window: np.ndarray


class _Moment(NamedTuple):
    """The same with what is needed to compute how much of each is occluded.

    ``place`` is the row of the truth; ``tight`` are boxes close around their bodies; ``own`` is which of them the
    picture was drawn for.
    """

    place: int
    visits: list[int]
    actors: list[Actor]
    pids: np.ndarray
    tight: np.ndarray
    boxes: np.ndarray
    window: np.ndarray
    own: int


class TrueBoxes:
    """The boxes that a perfect detector could find inside the pictures of an embedded world.

    The scene is rebuilt from the export's ``world.yml``. A person's box is the window that the export's own detector
    would give them if it never erred (:func:`reidlab.world.recording.window_of`), cut at the picture's edge. The score
    is the share of their silhouette that nothing hides, times the share of the window that lies inside the picture.

    Args:
        root: folder of an export with pictures (layouts ``mars``, ``market1501`` and ``sites``).
        min_visibility: people of whom a smaller share (0..1) can be seen are not found.
        min_inside: people of whose window a smaller share (0..1) lies in the picture are not found.
        jitter: standard deviation of a box's shift and log size, as a share of its size.
        misses: share (0..1) of people who are not found, at random.
        seed: decides jitter and misses; they depend on picture and person alone.

    Attributes:
        root: as given.

    Raises:
        ConfigError: a number is out of range.
        MissingDataError: the folder is no export of an embedded world.
        DataError: its truth lacks what a detector needs.

    Example:
        >>> from reidlab.data import load_world
        >>> from reidlab.world import cached, scenario
        >>> table = load_world(scenario("video", seed=1), "mars")  # doctest: +SKIP
        >>> detector = TrueBoxes(cached(scenario("video", seed=1), "mars"))  # doctest: +SKIP
    """

    name = "truth"

    def __init__(
        self,
        root: str | Path,
        *,
        min_visibility: float = 0.3,
        min_inside: float = 0.3,
        jitter: float = 0.0,
        misses: float = 0.0,
        seed: int = 0,
    ) -> None:

        shares = {"min_visibility": min_visibility, "min_inside": min_inside, "misses": misses}
        for name, value in shares.items():
            check_share(name, value)
        check_number("jitter", jitter, 0)
        self.root = Path(root).expanduser().absolute()
        for name in ("truth.parquet", "world.yml"):
            if not (self.root / name).is_file():
                raise MissingDataError(
                    f"{self.root}: there is no {name}; true boxes are known of exports of the embedded world only"
                )
        self._min_visibility, self._min_inside = min_visibility, min_inside
        self._jitter, self._misses, self._seed = jitter, misses, seed
        self._truth = pd.read_parquet(self.root / "truth.parquet")
        missing = [name for name in _TRUTH if name not in self._truth]
        if missing:
            raise DataError(
                f"{self.root / 'truth.parquet'}: it has no column {missing[0]!r}; expected the truth of pictures, as "
                "the layouts mars, market1501 and sites have it"
            )
        self._places = {path: place for place, path in enumerate(self._truth["path"])}
        others = self._truth["other"] if "other" in self._truth else pd.Series(-1, self._truth.index)
        self._rows = list(self._truth[list(_TRUTH)].assign(other=others).itertuples(index=False))

    def __call__(self, pictures: Sequence[np.ndarray], keys: pd.DataFrame | None = None) -> list[np.ndarray]:
        """Return the boxes (N, 5) of each picture, those who are seen best first; see :class:`Detector`.

        Raises:
            ConfigError: ``keys`` are left out or of another number than the pictures.
            DataError: a picture is not of the export, or the export was made by other code than this.
        """
        if keys is None or len(keys) != len(pictures):
            given = "none" if keys is None else f"{len(keys)}"
            raise ConfigError(
                f"keys: {given} for {len(pictures)} pictures; true boxes are looked up by rows of a table"
            )
        found = []
        for place, picture in zip(self._found(keys), pictures, strict=True):
            moment = self._moment(place)
            shares = self._shares(moment)
            kept = np.flatnonzero(shares)
            kept = kept[np.argsort(-shares[kept], kind="stable")]
            zoom = np.array(picture.shape[1::-1]) / moment.window[2:]
            boxes = moment.boxes[kept]
            boxes = np.concatenate([(boxes[:, :2] - moment.window[:2]) * zoom, boxes[:, 2:] * zoom], axis=1)
            found.append(self._spoilt(self._rows[place].path, moment.pids[kept], boxes, shares[kept], picture.shape))
        return found

    def people(self, keys: pd.DataFrame) -> list[People]:
        """Return the people before the camera at each picture, also those outside of it and those who are hidden.

        Raises:
            DataError: see :meth:`__call__`.
        """
        moments = [self._moment(place, everybody=True) for place in self._found(keys)]
        return [People(moment.pids, moment.boxes, moment.window) for moment in moments]

    def truth(self, keys: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of the export's truth that belong to rows of a sample table, in their order.

        Raises:
            DataError: a picture is not of the export.
        """
        return self._truth.iloc[self._found(keys)].reset_index(drop=True)

    @cached_property
    def _scene(self) -> Scene:
        return Scene(WorldSpec.from_yaml(read_text(self.root / "world.yml")))

    def _found(self, keys: pd.DataFrame) -> list[int]:
        """Return the rows of the truth that are about some pictures."""
        prefix = f"{self.root}{os.sep}"
        places = []
        for path in keys["path"]:
            place = self._places.get(path.removeprefix(prefix).replace(os.sep, "/"))
            if place is None:
                raise DataError(
                    f"{path}: the truth in {self.root} has no such picture; read the table from that folder"
                )
            places.append(place)
        return places

    def _moment(self, place: int, everybody: bool = False) -> _Moment:
        """Return the people before the camera at a picture: those near it and the person it was drawn for, or all."""
        row, scene = self._rows[place], self._scene
        window = np.array([row.x, row.y, row.w, row.h])
        there = scene.visits_at(row.camid, row.frame)
        near = there if everybody else {row.visit, *self._near(row, window)}
        visits = [visit for visit in there if visit in near]
        actors = [scene.actor(visit, row.frame) for visit in visits]
        if row.other > 0:  # a person staged for this tracklet alone
            actors.append(beside(scene, row.visit, row.other, row.frame))
        tight = scene.renderer(row.camid).boxes(actors)
        boxes = window_of(tight)
        true = np.array([row.true_x, row.true_y, row.true_w, row.true_h])
        if row.visit not in visits or np.abs(boxes[visits.index(row.visit)] - true).max() > _AGREES:
            raise DataError(
                f"{self.root}: {row.path} is not what world.yml gives today, so another version of reidlab made the "
                "export; export the world again"
            )
        pids = np.array([actor.person.pid for actor in actors], dtype=np.int64)
        return _Moment(place, visits, actors, pids, tight, boxes, window, visits.index(row.visit))

    def _near(self, row: Any, box: np.ndarray) -> list[int]:
        """Return the visits of all people who may touch a box (4,) of the frame at a row of the truth."""
        # They are looked up by rough outlines, which end before bodies do.
        return self._scene.visits_near(row.camid, row.frame, box + np.array([0, -0.25, 0, 0.5]) * box[3], reach=1.0)

    def _shares(self, moment: _Moment) -> np.ndarray:
        """Return the score (n,), 0..1, of each person in a picture; 0 of those who are not found."""
        x, y, w, h = moment.window
        inside = cut_boxes(moment.boxes, x, y, x + w, y + h)[:, 2:].prod(axis=1) / moment.boxes[:, 2:].prod(axis=1)
        inside[inside < self._min_inside] = 0.0
        # Silhouettes take long. The visibility of the picture's own person was computed when it was drawn; of the
        # others it is computed only where needed, with the people who stand before them, in the picture or not.
        row = self._rows[moment.place]
        visible = np.zeros(len(inside))
        visible[moment.own] = row.visibility
        asked = np.flatnonzero(inside)
        asked = asked[asked != moment.own]
        if len(asked):
            renderer = self._scene.renderer(row.camid)
            beside = {visit for i in asked for visit in self._near(row, moment.tight[i])} - set(moment.visits)
            actors = [*moment.actors, *(self._scene.actor(visit, row.frame) for visit in sorted(beside))]
            tight = np.concatenate([moment.tight, renderer.boxes(actors[len(moment.actors) :])])
            low, high = tight[:, :2], tight[:, :2] + tight[:, 2:]
            hiding = (low[:, None] < high[asked]).all(axis=2) & (low[asked] < high[:, None]).all(axis=2)
            depth = np.array([actor.z_m for actor in actors])
            hiding &= depth[:, None] < depth[asked]
            drawn = np.union1d(asked, np.flatnonzero(hiding.any(axis=1)))
            visible[asked] = renderer.visibility([actors[i] for i in drawn])[np.searchsorted(drawn, asked)]
        visible[visible < self._min_visibility] = 0.0
        return inside * visible

    def _spoilt(
        self, path: str, pids: np.ndarray, boxes: np.ndarray, shares: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        """Return boxes and scores (n, 5) with jitter and misses, cut at the picture."""
        kept = np.ones(len(pids), dtype=bool)
        if self._jitter or self._misses:
            for i, pid in enumerate(pids):
                random = rng(self._seed, "true boxes", path, int(pid))
                kept[i] = random.random() >= self._misses
                boxes[i] = jittered(boxes[i], self._jitter, random)
        boxes = cut_boxes(boxes, 0, 0, shape[1], shape[0])
        kept &= (boxes[:, 2:] > 0).all(axis=1)
        return np.concatenate([boxes, shares[:, None]], axis=1)[kept]


class HOG:
    """OpenCV's people detector: histograms of oriented gradients and a linear classifier.

    N. Dalal and B. Triggs, "Histograms of oriented gradients for human detection", CVPR 2005. It was trained on people
    upright in windows of 64 x 128 pixels with a wide margin, so a picture is brought to ``height`` pixels and its edge
    colours are continued over a border on all sides; of a window that is taken for a person, the middle is the body.

    Args:
        height: height of the enlarged picture, in pixels.
        padding: width of the border on each side, as a share of the height.
        body: shares of a window's width and height that a box has. People are 96 of its 128 pixels high; with a margin
            of 6 % and twice as high as wide, as embedded worlds cut people out, that is 0.8 of both.
        least: smallest score, the distance from the classifier's plane.
        overlap: of two boxes with a greater intersection over union, the less certain is dropped.
        scale: ratio of the sizes that are searched.

    Raises:
        ConfigError: an argument is out of range.

    Example:
        >>> [found.shape for found in HOG()([np.zeros((128, 64, 3), np.uint8)])]
        [(0, 5)]
    """

    name = "hog"

    def __init__(
        self,
        height: int = 128,
        padding: float = 0.2,
        *,
        body: tuple[float, float] = (0.8, 0.8),
        least: float = 0.0,
        overlap: float = 0.4,
        scale: float = 1.05,
    ) -> None:
        check_integer("height", height, 128, what="the height of the detector's window in pixels")
        check_number("padding", padding, 0)
        for share in body:
            check_number("body", share, above=0, most=1)
        check_number("least", least, 0, what="the least score")
        check_share("overlap", overlap)
        check_number("scale", scale, above=1)
        self._height, self._padding, self._body = height, padding, np.array(body)
        self._least, self._overlap, self._scale = least, overlap, scale

    def __call__(self, pictures: Sequence[np.ndarray], keys: pd.DataFrame | None = None) -> list[np.ndarray]:
        """Return the boxes (n, 5) of each picture, the most certain first; see :class:`Detector`."""
        hog = cv2.HOGDescriptor()
        hog.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())
        # What OpenCV finds with several threads differs from run to run; pictures are searched side by side instead.
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            with ThreadPoolExecutor(threads) as pool:
                return list(pool.map(lambda picture: self._find(hog, picture), pictures))
        finally:
            cv2.setNumThreads(threads)

    def _find(self, hog: object, picture: np.ndarray) -> np.ndarray:

        height, width = picture.shape[:2]
        zoom = self._height / height
        border = round(self._padding * self._height)
        large = cv2.resize(picture, (max(1, round(width * zoom)), self._height), interpolation=cv2.INTER_LINEAR)
        # A window must fit across, however narrow the picture is.
        beside = max(border, -(-(64 - large.shape[1]) // 2))
        large = cv2.copyMakeBorder(large, border, border, beside, beside, cv2.BORDER_REPLICATE)
        windows, scores = hog.detectMultiScale(
            cv2.cvtColor(large, cv2.COLOR_RGB2BGR), hitThreshold=self._least, winStride=(4, 4), padding=(0, 0),
            scale=self._scale, groupThreshold=0,
        )  # fmt: skip
        if not len(windows):
            return np.empty((0, 5))
        windows = windows.astype(np.float64)
        size = windows[:, 2:] * self._body
        corner = windows[:, :2] + 0.5 * (windows[:, 2:] - size) - (beside, border)
        boxes = cut_boxes(np.concatenate([corner, size], axis=1) / zoom, 0, 0, width, height)
        return _distinct(boxes, np.asarray(scores, dtype=np.float64).ravel(), self._least, self._overlap)


#: Output layouts of an ONNX file, N boxes and C classes; coordinates are in pixels of the network's input.
LAYOUTS = {
    "objectness": "(1, N, 5 + C): middle x, y, width, height, objectness, class scores (YOLOv5, YOLOv7, YOLOX)",
    "classes": "(1, 4 + C, N): middle x, y, width, height, class scores (YOLOv8 and later)",
    "corners": "(N, 6) or (1, N, 6): x1, y1, x2, y2, score, class; overlapping boxes are dropped already",
    "shares": "(1, N, 1, 4) and (1, N, C): x1, y1, x2, y2 as shares of the input, class scores (YOLOv4)",
}
RUNTIMES = ("onnxruntime", "opencv")


class OnnxDetector:
    """A detector in an ONNX file, such as one of the YOLO family.

    Pictures are letterboxed: scaled with their aspect to fit the input less a margin, and centred on grey. The output
    must have one of :data:`LAYOUTS`.

    Args:
        path: the file; it takes one picture (1, 3, H, W) float32, RGB.
        size: height and width of its input, in pixels.
        person: index of the class of people; 0 in COCO.
        layout: one of :data:`LAYOUTS`; guessed from the shapes where None (6 columns are taken for ``corners``).
        least: smallest score.
        overlap: of two boxes with a greater intersection over union, the less certain is dropped (not in ``corners``).
        padding: margin on each side, as a share of the input.
        scale: factor on the pictures' bytes.
        runtime: ``onnxruntime`` or ``opencv``; None takes the first if it is installed.

    Raises:
        ConfigError: an argument is out of range, or the runtime is not installed.
        MissingDataError: there is no such file.
        DataError: the runtime cannot read the file.

    Example:
        >>> detector = OnnxDetector("yolov8n.onnx", size=(640, 640))  # doctest: +SKIP
    """

    def __init__(
        self,
        path: str | Path,
        *,
        size: tuple[int, int] = (640, 640),
        person: int = 0,
        layout: str | None = None,
        least: float = 0.25,
        overlap: float = 0.45,
        padding: float = 0.1,
        scale: float = 1 / 255,
        runtime: str | None = None,
    ) -> None:
        for name, value, known in (("layout", layout, tuple(LAYOUTS)), ("runtime", runtime, RUNTIMES)):
            if value is not None:
                check_choice(name, value, known)
        check_integer("person", person, what="the number of a class")
        for name, value, high in (("least", least, 1), ("overlap", overlap, 1), ("padding", padding, 0.45)):
            check_number(name, value, 0, high)
        self.path = Path(path).expanduser()
        if not self.path.is_file():
            raise MissingDataError(f"{self.path}: there is no such file; expected a detector in an ONNX file")
        self.name = self.path.stem
        self._size, self._person, self._layout = check_size("size", size), person, layout
        self._least, self._overlap, self._padding, self._scale = least, overlap, padding, scale
        self._forward = _network(self.path, runtime)

    def __call__(self, pictures: Sequence[np.ndarray], keys: pd.DataFrame | None = None) -> list[np.ndarray]:
        """Return the boxes (n, 5) of each picture, the most certain first; see :class:`Detector`.

        Raises:
            DataError: the network's output has none of the layouts; the message gives its shapes.
        """
        return [self._find(picture) for picture in pictures]

    def _find(self, picture: np.ndarray) -> np.ndarray:
        height, width = picture.shape[:2]
        blob, zoom, left, top = self._letterboxed(picture)
        outputs = [np.asarray(output, dtype=np.float64) for output in self._forward(blob)]
        boxes, scores, distinct = self._read(outputs)
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise DataError(f"{self.path}: the network's output holds values that are not finite")
        corner = (boxes[:, :2] - (left, top)) / zoom
        boxes = cut_boxes(np.concatenate([corner, boxes[:, 2:] / zoom], axis=1), 0, 0, width, height)
        return _distinct(boxes, scores, self._least, 1.0 if distinct else self._overlap)

    def _letterboxed(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, int]:
        """Return the input (1, 3, H, W) and where a picture lies in it: x and y zoom, left and top edge."""
        room = [max(1.0, n * (1 - 2 * self._padding)) for n in self._size]
        height, width = picture.shape[:2]
        zoom = min(room[0] / height, room[1] / width)
        h, w = max(1, round(height * zoom)), max(1, round(width * zoom))
        top, left = (self._size[0] - h) // 2, (self._size[1] - w) // 2
        canvas = np.full((*self._size, 3), 114, dtype=np.uint8)  # the grey that the YOLO family is trained with
        canvas[top : top + h, left : left + w] = cv2.resize(picture, (w, h), interpolation=cv2.INTER_LINEAR)
        blob = canvas.transpose(2, 0, 1)[None].astype(np.float32) * np.float32(self._scale)
        return blob, np.array([w / width, h / height]), left, top

    def _read(self, outputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, bool]:
        """Return boxes (n, 4) x, y, w, h in the input's pixels, their scores, and whether overlaps are gone already."""
        layout = self._layout or _guess(outputs)
        shapes = [output.shape for output in outputs]
        if layout == "shares" and len(shapes) == 2:
            corners, scores = sorted(outputs, key=lambda output: -output.ndim)
            if corners.ndim == 4 and corners.shape[0] == corners.shape[2] == 1 and corners.shape[3] == 4:
                corners = corners[0, :, 0] * np.array(self._size[::-1] * 2)
                if scores.ndim == 3 and scores.shape[:2] == (1, len(corners)):
                    scores = self._of_person(scores[0])
                    return _from_corners(corners), scores, False
        elif len(shapes) == 1 and layout not in ("shares", None):
            rows = outputs[0][0] if outputs[0].ndim == 3 and shapes[0][0] == 1 else outputs[0]
            rows = rows.T if layout == "classes" else rows
            if layout == "corners" and rows.ndim == 2 and rows.shape[1] == 6:
                rows = rows[rows[:, 5].round() == self._person]
                return _from_corners(rows[:, :4]), rows[:, 4], True
            first = 5 if layout == "objectness" else 4
            if layout != "corners" and rows.ndim == 2 and rows.shape[1] > first:
                scores = self._of_person(rows[:, first:])
                scores = scores * rows[:, 4] if layout == "objectness" else scores
                return np.concatenate([rows[:, :2] - 0.5 * rows[:, 2:4], rows[:, 2:4]], axis=1), scores, False
        wanted = f"{layout}: {LAYOUTS[layout]}" if layout else "; ".join(f"{k}: {v}" for k, v in LAYOUTS.items())
        raise DataError(f"{self.path}: the network puts out {', '.join(map(str, shapes))}, expected {wanted}")

    def _of_person(self, scores: np.ndarray) -> np.ndarray:
        if self._person >= scores.shape[1]:
            raise DataError(
                f"{self.path}: person = {self._person}, but the network knows {scores.shape[1]} classes, counted from 0"
            )
        return scores[:, self._person]


def named_detector(name: str, root: str | Path) -> Detector:
    """Return a detector by its name.

    Args:
        name: ``hog``, ``truth`` (embedded worlds only) or the path of an ONNX file.
        root: folder of the data set.

    Raises:
        ConfigError: the name is none of these.
        MissingDataError: ``truth`` for a set that is no embedded world.
        DataError: the file cannot be used.
    """
    if name == "truth":
        return TrueBoxes(root)
    if name == "hog":
        return HOG()
    if not name.lower().endswith(".onnx"):
        raise ConfigError(f"detector: {name!r} is not known; give hog, truth, or the path of an .onnx file")
    return OnnxDetector(name)


def _guess(outputs: Sequence[np.ndarray]) -> str | None:
    """Return the layout that shapes look like, None if like none."""
    if len(outputs) == 2:
        return "shares"
    if len(outputs) != 1 or outputs[0].ndim not in (2, 3):
        return None
    *_, rows, columns = outputs[0].shape
    if columns == 6:
        return "corners"
    return "classes" if rows < columns else "objectness"


def _network(path: Path, runtime: str | None) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Return a function from the input of a network in an ONNX file to its outputs."""
    installed = importlib.util.find_spec("onnxruntime") is not None
    if runtime == "onnxruntime" and not installed:
        raise ConfigError("runtime: onnxruntime is not installed; pip install onnxruntime, or take 'opencv'")
    if runtime == "onnxruntime" or (runtime is None and installed):
        import onnxruntime

        try:
            session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # its own classes of errors are not public
            raise DataError(f"{path}: onnxruntime cannot read it: {' '.join(str(error).split())}") from error
        name = session.get_inputs()[0].name
        return lambda blob: session.run(None, {name: blob})

    try:
        net = cv2.dnn.readNetFromONNX(str(path))
    except cv2.error as error:
        why = " ".join(str(error).split())
        raise DataError(
            f"{path}: OpenCV cannot read it: {why}; more files are understood by onnxruntime (pip install onnxruntime)"
        ) from error

    def forward(blob: np.ndarray) -> list[np.ndarray]:
        net.setInput(blob)
        try:
            return list(net.forward(net.getUnconnectedOutLayersNames()))
        except cv2.error as error:
            why = " ".join(str(error).split())
            raise DataError(f"{path}: OpenCV cannot run it on an input of {blob.shape}: {why}") from error

    return forward


def _from_corners(corners: np.ndarray) -> np.ndarray:
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def cut_boxes(boxes: np.ndarray, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Return boxes (N, 4) cut at the edges given; width or height is 0 of those outside."""
    low = np.clip(boxes[:, :2], (left, top), (right, bottom))
    high = np.clip(boxes[:, :2] + boxes[:, 2:], (left, top), (right, bottom))
    return np.concatenate([low, np.maximum(high - low, 0)], axis=1)


def _distinct(boxes: np.ndarray, scores: np.ndarray, least: float, overlap: float) -> np.ndarray:
    """Return boxes and scores (n, 5), best first, without empty boxes and those that overlap a better one."""
    good = (boxes[:, 2:] > 0).all(axis=1) & (scores >= least)
    boxes, scores = boxes[good], scores[good]
    order = np.argsort(-scores, kind="stable")
    if len(order) and overlap < 1:
        order = np.asarray(cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), least, overlap), dtype=int).ravel()
    return np.concatenate([boxes, scores[:, None]], axis=1)[order]
