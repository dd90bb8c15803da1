"""Networks for clips: a 2-D residual network frame by frame, with modules over time and space put between its blocks.

The baseline, NVAN and STE-NVAN of Secs. 2.2 and 2.3, CF-AAN of Sec. 2.5 and the convolutions over time it is compared
with. The paper counts stages from the stem: its conv3_x is torchvision's ``layer2`` and its conv4_x ``layer3``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from reidlab.checks import check_boxes, check_choice, check_size
from reidlab.errors import ConfigError
from reidlab.models.attention import Axial, CoarseToFineAxial, NonLocal, TemporalMax
from reidlab.models.heads import BNNeck, ClipPool, Output
from reidlab.models.resnet import ResNet, resnet
from reidlab.models.temporal_conv import AppearancePreservingConv, TemporalConv

STAGES = ("layer1", "layer2", "layer3", "layer4")

#: Attention blocks per stage for each number of layers in Table 2.3: conv4_6; conv3_4, conv4_5, conv4_6; and all five.
LAYOUTS: dict[int, tuple[int, int, int, int]] = {1: (0, 0, 1, 0), 3: (0, 1, 2, 0), 5: (0, 2, 3, 0)}

#: Blocks of each stage whose 3x3 convolution gets a convolution over time, in P3D-C and AP3D.
TEMPORAL_BLOCKS = ((), (0, 2), (0, 2, 4), ())


class VideoNet(nn.Module):
    """Backbone, modules between its blocks, pooling over the clip, and neck: clips in, :class:`Output` out.

    Each frame passes through the backbone alone; what is inserted sees the clip. The backbone keeps its own weight
    names: image weights load into ``model.backbone``, from a file (:func:`~reidlab.models.weights.load_weights`) or
    from a :class:`~reidlab.models.heads.ReIDNet`'s backbone. It runs in channels-last memory, its weights too.

    The original baseline normalises each frame's features and averages over time afterwards; here the neck normalises
    the average. In evaluation mode the two are the same, for the normalisation is then affine.

    Args:
        backbone: residual network without a classifier.
        num_classes: number of training identities.
        blocks: per stage the modules put after its last residual blocks: n modules go after the last n blocks, one
            each. Each maps (B, C, T, H, W) to (B, C, T', H, W).
        convolutions: per stage, by number of the residual block, the module applied to its (first) 3x3 convolution's
            output, before the normalisation. Each maps (B, C, T, H, W) to the same shape.
        pool: module that maps maps (B, D, T, h, w), and boxes on the maps or None, to (B, D) as :class:`ClipPool`,
            the default, does.

    Attributes:
        num_classes: number of training identities.

    Raises:
        ConfigError: the backbone is no residual network or has a classifier, a stage has fewer residual blocks than
            modules or lacks a block named, or ``num_classes`` is less than 1.

    Example:
        >>> import torch
        >>> from reidlab.models import VideoNet, resnet
        >>> model = VideoNet(resnet(18, width=16, blocks=(1, 1, 1, 1)), num_classes=10).eval()
        >>> [tuple(part.shape) for part in model(torch.zeros(2, 4, 3, 64, 32))]
        [(2, 128), (2, 128), (2, 10)]
    """

    def __init__(
        self,
        backbone: ResNet,
        num_classes: int,
        blocks: Sequence[Sequence[nn.Module]] = ((), (), (), ()),
        pool: nn.Module | None = None,
        *,
        convolutions: Sequence[Mapping[int, nn.Module]] = ({}, {}, {}, {}),
    ) -> None:
        super().__init__()
        _check_backbone(backbone)
        for name, parts in (("blocks", blocks), ("convolutions", convolutions)):
            if len(parts) != 4:
                raise ConfigError(f"{name}: {len(parts)} entries, expected four, one per stage")
        _check_layout([len(inserted) for inserted in blocks], backbone)
        for stage_name, stage, inserted in zip(STAGES, backbone.stages, convolutions, strict=True):
            if outside := [number for number in inserted if not 0 <= number < len(stage)]:
                raise ConfigError(f"convolutions: {stage_name} has no block {outside[0]}, only 0 to {len(stage) - 1}")
        self.backbone = backbone.to(memory_format=torch.channels_last)
        self.blocks = nn.ModuleList(nn.ModuleList(inserted) for inserted in blocks)
        self.convolutions = nn.ModuleList(
            nn.ModuleDict({str(number): module for number, module in inserted.items()}) for inserted in convolutions
        )
        self.pool = pool if pool is not None else ClipPool()
        self.neck = BNNeck(backbone.out_channels, num_classes)
        self.num_classes = num_classes

    def to(self, *args: Any, **kwargs: Any) -> VideoNet:
        """Move or convert as :meth:`torch.nn.Module.to`; a memory format is the backbone's, for its weights are 4-D."""
        if "memory_format" in kwargs:
            self.backbone.to(memory_format=kwargs.pop("memory_format"))
        return super().to(*args, **kwargs) if args or kwargs else self

    def maps(self, clips: Tensor) -> Tensor:
        """Return the last maps (B, D, T', h, w) of clips (B, T, 3, H, W); T' < T where frames are merged.

        Raises:
            ConfigError: the clips have another shape, or one that an inserted module does not take.
        """
        if clips.ndim != 5 or clips.shape[2] != 3:
            raise ConfigError(f"clips: shape {tuple(clips.shape)}, expected (clips, frames, 3, height, width)")
        batch = len(clips)
        x = self.backbone.stem(clips.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        for stage, inserted, convolutions in zip(self.backbone.stages, self.blocks, self.convolutions, strict=True):
            bare = len(stage) - len(inserted)
            for number, block in enumerate(stage):
                then = None
                if str(number) in convolutions:
                    then = partial(_on_clips, convolutions[str(number)], batch)
                x = block(x, then)
                if number >= bare:
                    x = _on_clips(inserted[number - bare], batch, x)
        return _clips(x, batch)

    def forward(self, clips: Tensor, masks: Tensor | None = None) -> Output:
        """Return features, embedding and logits of clips.

        Args:
            clips: (B, T, 3, H, W), normalised as in training.
            masks: (B, T, 4) integers (y0, y1, x0, x1), the part of each frame that is picture and not padding, in
                pixels (Sec. 2.5.3); None where all of it is. The boxes are divided by the backbone's stride as
                integers; a box keeps the last position where it ends with the frame, and always at least one. Where
                frames have been merged, the box around theirs counts.

        Raises:
            ConfigError: the clips or masks do not fit.
            DataError: a box is empty or not inside its frame. Masks on a GPU are taken as they are: to read them is to
                wait for it.
        """
        boxes = None if masks is None else self._boxes(masks, clips)
        maps = self.maps(clips)
        if boxes is not None:
            boxes = _merged(boxes, maps.shape[2])
        features = self.pool(maps, boxes)
        embedding, logits = self.neck(features)
        return Output(features, embedding, logits)

    def _boxes(self, masks: Tensor, clips: Tensor) -> Tensor:
        """Return masks, in pixels, as boxes on the last maps."""
        size = clips.shape[-2:]
        if not masks.is_cuda:
            check_boxes("masks", masks.cpu(), clips.shape[:2], size, "clip {}, frame {}".format)
        start, stop = masks.to(clips.device).unflatten(2, (2, 2)).unbind(3)  # (B, T, axis) each
        stride = self.backbone.strides[-1]
        first = start // stride
        # A frame's last position may cover fewer pixels than the stride.
        ends = [end.masked_fill(end == side, side + stride - 1) for end, side in zip(stop.unbind(2), size, strict=True)]
        last = (torch.stack(ends, dim=2) // stride).maximum(first + 1)
        return torch.stack((first, last), dim=3).flatten(2)


def _check_backbone(backbone: nn.Module) -> None:
    if not isinstance(backbone, ResNet):
        raise ConfigError(f"backbone: {type(backbone).__name__}, expected a ResNet, e.g. resnet(50)")
    if backbone.num_classes is not None:
        raise ConfigError("backbone: it has a classifier of its own; build it with num_classes=None")


def _check_layout(layout: Sequence[int], backbone: ResNet) -> None:
    """Check that every stage has as many residual blocks as are to be followed by a module.

    Raises:
        ConfigError: the layout is not four numbers from 0 up to the stages' blocks.
    """
    if len(layout) != 4 or any(int(n) != n or n < 0 for n in layout):
        raise ConfigError(f"layers: {tuple(layout)} must be four numbers of at least 0, one per stage")
    for name, wanted, stage in zip(STAGES, layout, backbone.stages, strict=True):
        if wanted > len(stage):
            raise ConfigError(f"layers: {wanted} modules in {name}, which has only {len(stage)} blocks")


def _clips(x: Tensor, batch: int) -> Tensor:
    """(B * T, C, H, W) -> (B, C, T, H, W), the same memory."""
    return x.unflatten(0, (batch, -1)).transpose(1, 2)


def _on_clips(module: nn.Module, batch: int, x: Tensor) -> Tensor:
    """Apply a module of clips to frames (B * T, C, H, W) and return frames (B * T', C, H, W)."""
    x = module(_clips(x, batch))
    return x.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)


def _merged(boxes: Tensor, frames: int) -> Tensor:
    """Return the boxes around the boxes (B, T, 4) of frames that have been merged: (B, frames, 4)."""
    together = boxes.unflatten(1, (frames, -1))
    y0, y1, x0, x1 = together.unbind(3)
    return torch.stack((y0.amin(2), y1.amax(2), x0.amin(2), x1.amax(2)), dim=2)


@dataclass(frozen=True)
class _Design:
    """What a named network consists of besides its backbone.

    Attributes:
        attention: ``non-local``, ``axial``, ``coarse-to-fine`` or None.
        stripes: whether the non-local blocks see stripes (spatial reduction).
        pairs: whether they see only pairs of adjacent frames.
        stem_relu: whether a ReLU follows the stem's normalisation.
        pooling: stages after which adjacent frames are merged (temporal reduction).
        convolution: convolution over time, or None.
        space: pooling over space.
        time: pooling over time.
    """

    attention: str | None = None
    stripes: bool = False
    pairs: bool = False
    stem_relu: bool = True
    pooling: tuple[str, ...] = ()
    convolution: type[nn.Module] | None = None
    space: str = "mean"
    time: str = "mean"


_REDUCED = ("layer2", "layer3")

#: Networks of chapter 2 by name.
NETWORKS: dict[str, _Design] = {
    "c2d": _Design(),
    "c2d-max": _Design(time="max"),
    "c2d-max-3d": _Design(space="max", time="max"),
    "nvan": _Design("non-local"),
    "nvan-spatial": _Design("non-local", stripes=True),
    "nvan-temporal": _Design("non-local", pooling=_REDUCED),
    "ste-nvan": _Design("non-local", stripes=True, pooling=_REDUCED),
    "ste-nvan-released": _Design("non-local", stripes=True, pairs=True, stem_relu=False, pooling=_REDUCED),
    "non-local": _Design("non-local"),
    "axial": _Design("axial"),
    "cf-aan": _Design("coarse-to-fine"),
    "p3d-c": _Design(convolution=TemporalConv),
    "ap3d": _Design(convolution=AppearancePreservingConv),
}


def video_network(
    name: str,
    num_classes: int,
    backbone: ResNet | None = None,
    *,
    size: tuple[int, int] = (256, 128),
    frames: int = 8,
    layers: int | Sequence[int] = 5,
    pooling: Sequence[str] | None = None,
    stripes: int | None = 16,
    scales: int = 4,
    heads: int = 2,
    encoding: str = "relative",
) -> VideoNet:
    """Return a network of chapter 2 by its name.

    - ``c2d``: the baseline, 3-D average pooling (FPL); ``c2d-max``: the maximum over time of the frames' averages, the
      released code's max-FPL but for the order: there the neck normalises each frame and the maximum comes after it;
      ``c2d-max-3d``: 3-D maximum pooling, the text's.
    - ``nvan``: non-local blocks; ``nvan-spatial``: on stripes; ``nvan-temporal``: with frames merged; ``ste-nvan``:
      both, each attention over all frames as in the text; ``ste-nvan-released``: both as in the released code, each
      attention over pairs of adjacent frames and no ReLU in the stem; ``non-local``: NVAN as Table 2.8 names it, there
      with 6 frames.
    - ``axial``: axial attention at one scale; ``cf-aan``: at several.
    - ``p3d-c`` and ``ap3d``: convolutions over time.

    All others have the same stem, pooling (but for the maxima) and neck, their originals not always: no network
    released with STE-NVAN has a ReLU in the stem, and the released AP3D takes each frame's maximum. An option that a
    network has no use for is ignored, so that one set of options serves all names.

    Args:
        name: one of :data:`NETWORKS`.
        num_classes: number of training identities.
        backbone: residual network without a classifier, which becomes the network's own: ``ste-nvan-released`` takes
            the ReLU off its stem. ResNet-50 with last stride 1 where omitted.
        size: height and width of the frames in pixels; positions learnt for it take no other.
        frames: T, frames of a clip; likewise.
        layers: attention blocks: a number of Table 2.3 (1, 3 or 5), clipped to what the stages have, or a layout taken
            as it is, e.g. ``(0, 2, 3, 0)``: after the last two blocks of layer2 and the last three of layer3.
        pooling: stages after which adjacent frames are merged in pairs by their maximum, of ``layer1`` to ``layer4``;
            None for the network's own (layer2 and layer3 for those with temporal reduction, else none). Table 2.5's
            "in 3DAP" is ``()``, "+ stage 4" ``("layer3",)``, "+ stage 3" ``("layer2", "layer3")``.
        stripes: S, horizontal stripes of the spatial reduction (Table 2.4: 4, 8, 16); None for one per row of the map.
        scales: scales of ``cf-aan``.
        heads: heads of axial attention, at each scale.
        encoding: positions in axial attention: ``relative`` (learnt), ``sinusoidal`` or ``none``.

    Raises:
        ConfigError: the name is unknown, or an option is out of range or does not fit the backbone's maps.

    Example:
        >>> from reidlab.models import resnet
        >>> small = resnet(18, width=16, blocks=(1, 1, 1, 1))
        >>> model = video_network("nvan", 10, small, size=(64, 32), frames=4)
        >>> [len(blocks) for blocks in model.blocks]
        [0, 1, 1, 0]
    """
    check_choice("video network", name, NETWORKS)
    check_size("size", size)
    design = NETWORKS[name]
    if backbone is None:
        backbone = resnet(50)
    _check_backbone(backbone)
    if not design.stem_relu:
        backbone.relu = nn.Identity()  # the blocks have activations of their own
    pooling = design.pooling if pooling is None else tuple(pooling)
    for stage in pooling:
        check_choice("pooling", stage, STAGES)
    if frames < 1 or frames % 2 ** len(set(pooling)):
        raise ConfigError(
            f"frames: {frames} must be at least 1 and divisible by {2 ** len(set(pooling))}, "
            f"for frames are merged in pairs {len(set(pooling))} times"
        )

    def attention(stage: int, size: tuple[int, int, int]) -> nn.Module:
        channels = backbone.channels[stage]
        if design.attention == "axial":
            return Axial(channels, heads=heads, encoding=encoding, size=size)
        if design.attention == "coarse-to-fine":
            return CoarseToFineAxial(channels, scales=scales, heads=heads, encoding=encoding, size=size)
        rows = _stripes(stripes, STAGES[stage], size[1]) if design.stripes else None
        return NonLocal(channels, pairs=design.pairs, stripes=rows)

    layout = (0, 0, 0, 0) if design.attention is None else _layout(layers, backbone)
    blocks: list[list[nn.Module]] = []
    for stage, count in enumerate(layout):
        height, width = (-(-n // backbone.strides[stage]) for n in size)
        inserted = [attention(stage, (frames, height, width)) for _ in range(count)]
        if STAGES[stage] in pooling:
            # After the stage's last attention, or straight after its last residual block where it has none.
            inserted[-1:] = [nn.Sequential(*inserted[-1:], TemporalMax())]
            frames //= 2
        blocks.append(inserted)
    convolutions: list[dict[int, nn.Module]] = [
        {number: design.convolution(planes) for number in numbers if number < len(stage)} if design.convolution else {}
        for numbers, planes, stage in zip(TEMPORAL_BLOCKS, backbone.planes, backbone.stages, strict=True)
    ]
    return VideoNet(backbone, num_classes, blocks, ClipPool(design.space, design.time), convolutions=convolutions)


def _layout(layers: int | Sequence[int], backbone: ResNet) -> tuple[int, ...]:
    if isinstance(layers, int):
        if layers not in LAYOUTS:
            raise ConfigError(
                f"layers: {layers} is not one of {tuple(LAYOUTS)}; for others give a layout of four numbers"
            )
        return tuple(min(n, len(stage)) for n, stage in zip(LAYOUTS[layers], backbone.stages, strict=True))
    _check_layout(layers, backbone)
    return tuple(layers)


def _stripes(stripes: int | None, stage: str, rows: int) -> int:
    if stripes is None:
        return rows
    if stripes < 1 or rows % stripes:
        raise ConfigError(
            f"stripes: {stripes} does not divide the {rows} rows of {stage}'s map; give a divisor, or None for all rows"
        )
    return stripes
