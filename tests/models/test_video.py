"""Video networks: what each name builds, pooling against loops, masks, weights, and what is refused."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from reidlab.errors import ConfigError, DataError
from reidlab.models import NETWORKS, ClipPool, ReIDNet, VideoNet, load_weights, resnet, save_weights, video_network
from reidlab.models.attention import TemporalMax

SIZE, FRAMES, CLASSES = (64, 32), 4, 5


def backbone(depth=18, width=8, blocks=(1, 1, 1, 1), **options):
    return resnet(depth, width=width, blocks=blocks, **options)


def network(name, seed=0, trunk=None, **options):
    torch.manual_seed(seed)
    options = {"size": SIZE, "frames": FRAMES, "stripes": None, **options}
    return video_network(name, CLASSES, backbone() if trunk is None else trunk, **options)


def awake(model):
    """Draw everything that starts at 0, and statistics, so that inserted modules do something."""
    generator = torch.Generator().manual_seed(5)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            if not module.weight.detach().any():
                module.weight.data.uniform_(0.5, 1.5, generator=generator)
        elif isinstance(module, nn.Conv3d) and not module.weight.detach().any():
            module.weight.data.normal_(std=0.1, generator=generator)
    return model


@pytest.fixture
def clips():
    return torch.randn(2, FRAMES, 3, *SIZE, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("depth", [18, 50])
def test_every_network_gives_its_shapes_and_trains(name, depth, clips):
    model = network(name, trunk=backbone(depth))
    output = model(clips)
    width = model.backbone.out_channels
    assert [tuple(part.shape) for part in output] == [(2, width), (2, width), (2, CLASSES)]
    output.logits.square().sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_fresh_network_equals_its_baseline(name, clips):
    """All inserted blocks start as the identity; what is left are the maxima over pairs of frames."""
    model = network(name).eval()
    recipe = NETWORKS[name]
    plain = VideoNet(
        backbone(),
        CLASSES,
        [[TemporalMax()] if stage in recipe.pooling else [] for stage in ("layer1", "layer2", "layer3", "layer4")],
        ClipPool(recipe.space, recipe.time),
    ).eval()
    if name == "ste-nvan-released":
        plain.backbone.relu = nn.Identity()
    plain.backbone.load_state_dict(model.backbone.state_dict())
    plain.neck.load_state_dict(model.neck.state_dict())
    for part, expected in zip(model(clips), plain(clips), strict=True):
        assert torch.equal(part, expected)


@pytest.mark.parametrize("name", ["nvan", "nvan-spatial", "ste-nvan", "axial", "cf-aan", "p3d-c", "ap3d"])
def test_frames_influence_each_other_where_modules_are_awake(name, clips):
    """The order of frames, or another frame, changes one frame's share: not so in the baseline."""
    model = awake(network(name)).eval()
    alone = network("c2d").eval()
    changed = clips.clone()
    changed[:, 0] = changed[:, 1]
    alone.backbone.load_state_dict(model.backbone.state_dict())
    with torch.no_grad():
        assert torch.equal(alone.maps(clips)[:, :, 1:], alone.maps(changed)[:, :, 1:])
        before, after = model.maps(clips), model.maps(changed)
        other = min(1, before.shape[2] - 1)  # the second frame, or the only one where all have been merged
        assert not torch.allclose(before[:, :, other], after[:, :, other])


def test_the_baseline_is_the_image_network_averaged_over_frames(clips):
    model = network("c2d").eval()
    image = ReIDNet(backbone(), CLASSES).eval()
    image.load_state_dict(model.state_dict())
    frames = [image(clips[:, t]) for t in range(FRAMES)]
    output = model(clips)
    for field in output._fields:  # the neck is affine in evaluation mode: averaging before or after it is the same
        torch.testing.assert_close(
            getattr(output, field), torch.stack([getattr(f, field) for f in frames]).mean(0), atol=1e-5, rtol=1e-4
        )


def test_the_baseline_takes_any_number_of_frames():
    model = network("c2d").eval()
    clip = torch.randn(1, 3, 3, *SIZE)
    assert model(clip).features.shape == model(clip[:, :1]).features.shape


@pytest.mark.parametrize(("space", "time"), [("mean", "mean"), ("mean", "max"), ("max", "max")])
@pytest.mark.parametrize("boxed", [False, True])
def test_pooling_is_what_a_loop_finds(space, time, boxed):
    torch.manual_seed(4)
    maps = torch.randn(3, 5, 4, 6, 3)
    boxes = torch.tensor([[[0, 6, 0, 3], [1, 4, 0, 2], [5, 6, 2, 3], [0, 1, 0, 3]]]).repeat(3, 1, 1)
    boxes[1, 2] = torch.tensor([2, 5, 1, 3])
    expected = torch.zeros(3, 5)
    for b in range(3):
        for c in range(5):
            frames = []
            for t in range(4):
                y0, y1, x0, x1 = boxes[b, t].tolist() if boxed else (0, 6, 0, 3)
                values = [maps[b, c, t, y, x].item() for y in range(y0, y1) for x in range(x0, x1)]
                frames.append(sum(values) / len(values) if space == "mean" else max(values))
            expected[b, c] = sum(frames) / 4 if time == "mean" else max(frames)
    torch.testing.assert_close(ClipPool(space, time)(maps, boxes if boxed else None), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["c2d", "c2d-max", "c2d-max-3d", "ste-nvan", "cf-aan", "ap3d"])
@pytest.mark.parametrize("size", [(64, 32), (72, 40)])
def test_full_masks_are_no_masks_exactly(name, size):
    """Also where the picture is no multiple of the stride of 16."""
    clips = torch.randn(2, FRAMES, 3, *size, generator=torch.Generator().manual_seed(3))
    model = awake(network(name, size=size)).eval()
    masks = torch.tensor([0, size[0], 0, size[1]]).expand(2, FRAMES, 4)
    for part, expected in zip(model(clips, masks), model(clips), strict=True):
        assert torch.equal(part, expected)


def test_masks_average_over_the_boxes_divided_by_the_stride(clips):
    model = network("c2d").eval()
    masks = torch.tensor([0, 64, 0, 32]).repeat(2, FRAMES, 1)
    masks[0, 1] = torch.tensor([17, 50, 0, 31])  # rows 1 to 3, column 0
    masks[1, 3] = torch.tensor([33, 40, 20, 27])  # less than one position: the one it starts in
    maps = model.maps(clips)
    frames = maps.mean((3, 4))  # (B, D, T)
    frames[0, :, 1] = maps[0, :, 1, 1:3, 0:1].mean((1, 2))
    frames[1, :, 3] = maps[1, :, 3, 2, 1]
    torch.testing.assert_close(model(clips, masks).features, frames.mean(2))


def test_the_stride_is_the_backbones():
    model = network("c2d", trunk=backbone(last_stride=2)).eval()
    clips = torch.randn(1, 2, 3, 128, 64)
    masks = torch.tensor([[[32, 96, 0, 64], [0, 128, 33, 64]]])
    maps = model.maps(clips)
    expected = (maps[0, :, 0, 1:3].mean((1, 2)) + maps[0, :, 1, :, 1:].mean((1, 2))) / 2
    torch.testing.assert_close(model(clips, masks).features[0], expected)


def test_merged_frames_take_the_box_around_their_boxes(clips):
    model = network("nvan-temporal", pooling=("layer3",)).eval()
    masks = torch.tensor([0, 64, 0, 32]).repeat(2, FRAMES, 1)
    masks[0, :2] = torch.tensor([[0, 16, 0, 16], [16, 32, 0, 16]])
    maps = model.maps(clips)
    assert maps.shape[2] == 2
    frames = maps.mean((3, 4))
    frames[0, :, 0] = maps[0, :, 0, 0:2, 0:1].mean((1, 2))
    torch.testing.assert_close(model(clips, masks).features, frames.mean(2))


def test_image_weights_load_by_file_and_by_state(tmp_path, clips):
    image = ReIDNet(backbone(), 7)
    save_weights(image.backbone, tmp_path / "image.safetensors")
    for name in ("cf-aan", "ap3d", "nvan"):
        by_file, by_state = network(name, seed=1), network(name, seed=2)
        load_weights(by_file.backbone, tmp_path / "image.safetensors")
        by_state.backbone.load_state_dict(image.backbone.state_dict())
        frames = clips.flatten(0, 1)
        expected = image.eval().backbone(frames).unflatten(0, clips.shape[:2]).transpose(1, 2)
        for model in (by_file, by_state):
            torch.testing.assert_close(model.eval().maps(clips), expected, atol=1e-5, rtol=1e-4)


def test_weight_names_are_the_backbones_the_blocks_and_the_necks():
    names = network("ste-nvan", trunk=backbone(50, blocks=(1, 4, 6, 1))).state_dict()
    assert {name.split(".")[0] for name in names} == {"backbone", "blocks", "neck"}
    trunk = list(backbone(50, blocks=(1, 4, 6, 1)).state_dict())
    assert [n.removeprefix("backbone.") for n in names if n.startswith("backbone.")] == trunk
    convolutions = {".".join(n.split(".")[:3]) for n in network("p3d-c").state_dict() if n.startswith("convolutions.")}
    assert convolutions == {"convolutions.1.0", "convolutions.2.0"}


@pytest.mark.parametrize("name", ["c2d", "nvan", "cf-aan", "ap3d", "ste-nvan-released"])
def test_same_seed_same_network_and_same_output(name, clips):
    first, second = awake(network(name, seed=3)), awake(network(name, seed=3))
    for a, b in zip(first(clips), second(clips), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["c2d", "nvan", "ste-nvan", "cf-aan", "ap3d"])
def test_evaluation_does_not_depend_on_the_other_clips_of_the_batch(name, clips):
    model = awake(network(name)).eval()
    torch.testing.assert_close(model(clips).embedding[:1], model(clips[:1]).embedding, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_memory_formats_are_the_backbones_and_change_nothing(name, clips):
    model = awake(network(name)).eval()
    assert model.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    expected = model(clips).embedding
    assert model.to(memory_format=torch.contiguous_format) is model
    assert model.backbone.conv1.weight.is_contiguous()
    torch.testing.assert_close(model(clips).embedding, expected, atol=1e-5, rtol=1e-4)
    assert model.to(torch.float64, memory_format=torch.channels_last).neck.bn.weight.dtype == torch.float64


@pytest.mark.parametrize(
    ("layers", "counts"),
    [(1, (0, 0, 1, 0)), (3, (0, 1, 2, 0)), (5, (0, 2, 3, 0)), ((1, 0, 0, 2), (1, 0, 0, 2)), ((0, 0, 0, 0),) * 2],
)
def test_layers_go_after_the_last_blocks_of_their_stages(layers, counts):
    with torch.device("meta"):
        model = video_network("nvan", 625, layers=layers).eval()
    assert tuple(len(blocks) for blocks in model.blocks) == counts
    order = []
    for number, stage in enumerate(model.backbone.stages, start=1):
        for block_number, block in enumerate(stage):
            block.register_forward_hook(lambda *_, place=(number, block_number): order.append(place))
    for number, blocks in enumerate(model.blocks, start=1):
        for block in blocks:
            block.register_forward_hook(lambda *_, place=f"attention{number}": order.append(place))
    model(torch.zeros(1, 2, 3, 64, 32, device="meta"))
    expected = []
    for number, (there, count) in enumerate(zip((3, 4, 6, 3), counts, strict=True), start=1):
        for block_number in range(there):
            expected.append((number, block_number))
            if block_number >= there - count:
                expected.append(f"attention{number}")
    assert order == expected


def test_default_layouts_are_clipped_to_small_stages_and_others_are_not():
    assert [len(blocks) for blocks in network("nvan").blocks] == [0, 1, 1, 0]
    assert [len(blocks) for blocks in network("nvan", layers=1).blocks] == [0, 0, 1, 0]
    with pytest.raises(ConfigError, match="layers: 2 modules in layer2, which has only 1 blocks"):
        network("nvan", layers=(0, 2, 1, 0))


@pytest.mark.parametrize("pooling", [(), ("layer3",), ("layer2", "layer3"), ("layer1", "layer4")])
@pytest.mark.parametrize("name", ["nvan", "c2d", "cf-aan"])
def test_frames_are_halved_at_each_pooling_position(name, pooling, clips):
    model = network(name, pooling=pooling)
    assert model.maps(clips).shape[2] == FRAMES // 2 ** len(pooling)


@pytest.mark.parametrize("depth", [18, 50])
def test_convolutions_over_time_stand_where_ap3d_puts_them(depth):
    with torch.device("meta"):
        model = video_network("ap3d", 625, resnet(depth))
    there = [[int(number) for number in stage] for stage in model.convolutions]
    assert there == ([[], [0, 2], [0, 2, 4], []] if depth == 50 else [[], [0], [0], []])
    assert next(c.conv.in_channels for stage in model.convolutions for c in stage.values()) == 128


def test_the_released_stem_has_no_relu(clips):
    """Convolution, normalisation, maximum; every other network has the standard stem."""
    frames = clips.flatten(0, 1)
    for name in NETWORKS:
        stem = network(name).eval().backbone
        bare = F.batch_norm(F.conv2d(frames, stem.conv1.weight, stride=2, padding=3), *_statistics(stem.bn1))
        bare = bare if name == "ste-nvan-released" else bare.clamp(min=0)
        expected = F.max_pool2d(bare, 3, stride=2, padding=1)
        torch.testing.assert_close(stem.stem(frames), expected, atol=1e-5, rtol=1e-4)
        assert (expected < 0).any() == (name == "ste-nvan-released")
    assert network("ste-nvan-released").state_dict().keys() == network("ste-nvan").state_dict().keys()


def _statistics(norm):
    return norm.running_mean, norm.running_var, norm.weight, norm.bias


def test_stripes_default_to_sixteen_and_none_is_every_row():
    with torch.device("meta"):
        model = video_network("nvan-spatial", 625)
        rows = video_network("nvan-spatial", 625, stripes=None)
    assert {block.pool.stripes for stage in model.blocks for block in stage} == {16}
    assert [[block.pool.stripes for block in stage] for stage in rows.blocks] == [[], [32, 32], [16, 16, 16], []]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nvam", {}, "video network: there is none called 'nvam'; did you mean 'nvan'"),
        ("ste-nvan", {"stripes": 16}, "stripes: 16 does not divide the 8 rows of layer2's map"),
        ("ste-nvan", {"stripes": 0}, "stripes: 0"),
        ("ste-nvan", {"frames": 6}, "frames: 6 must be at least 1 and divisible by 4"),
        ("nvan-temporal", {"frames": 3, "pooling": ("layer3",)}, "frames: 3 must be at least 1 and divisible by 2"),
        ("nvan", {"pooling": ("stage4",)}, "pooling: there is none called 'stage4'"),
        ("nvan", {"layers": 2}, r"layers: 2 is not one of \(1, 3, 5\)"),
        ("nvan", {"layers": (1, 1)}, r"layers: \(1, 1\) must be four numbers"),
        ("nvan", {"layers": (0, 0, -1, 0)}, r"layers: \(0, 0, -1, 0\) must be four numbers"),
        ("nvan", {"size": (64,)}, r"size: \(64,\) is not allowed; expected height and width"),
        ("nvan", {"trunk": backbone(num_classes=3)}, "classifier of its own"),
        ("nvan", {"trunk": nn.Linear(2, 2)}, r"Linear, expected a ResNet"),
        ("cf-aan", {"encoding": "absolute"}, "encoding: there is none called 'absolute'"),
        ("cf-aan", {"heads": 0}, "heads: 0"),
        ("cf-aan", {"scales": 3}, "scales"),
    ],
)
def test_bad_options_are_named(name, options, message):
    with pytest.raises(ConfigError, match=message):
        network(name, **options)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("c2d", (2, 3, 64, 32), r"clips: shape \(2, 3, 64, 32\), expected \(clips, frames, 3, height, width\)"),
        ("c2d", (2, 4, 1, 64, 32), "clips: shape"),
        ("nvan-temporal", (1, 3, 3, 64, 32), "even T"),
        ("nvan-temporal", (1, 6, 3, 64, 32), "even T"),
        ("ste-nvan-released", (1, 3, 3, 64, 32), "pairs"),
        ("cf-aan", (1, 5, 3, 64, 32), "size: time 5, but"),
        ("axial", (1, 4, 3, 128, 32), "size: height 16, but"),
    ],
)
def test_clips_a_network_cannot_take_are_refused(name, shape, message):
    with pytest.raises(ConfigError, match=message):
        network(name)(torch.zeros(shape))


@pytest.mark.parametrize(
    "box", [(-1, 64, 0, 32), (0, 65, 0, 32), (0, 64, 0, 33), (20, 20, 0, 32), (30, 20, 0, 32), (0, 64, 32, 32)]
)
def test_a_bad_box_is_named_by_clip_and_frame(box, clips):
    masks = torch.tensor([0, 64, 0, 32]).repeat(2, FRAMES, 1)
    masks[1, 2] = torch.tensor(box)
    with pytest.raises(DataError, match=r"masks: clip 1, frame 2: box .* is empty or not inside the picture") as error:
        network("c2d")(clips, masks)
    assert str(box) in str(error.value)


@pytest.mark.parametrize("masks", [torch.zeros(2, 4), torch.zeros(2, 3, 4, dtype=torch.int64), torch.ones(2, 4, 4)])
def test_masks_of_another_shape_or_type_are_refused(masks, clips):
    with pytest.raises(ConfigError, match=r"masks: .* expected integers \(2, 4, 4\)"):
        network("c2d")(clips, masks)


def test_modules_that_do_not_fit_the_backbone_are_refused():
    with pytest.raises(ConfigError, match="blocks: 3 entries, expected four"):
        VideoNet(backbone(), 3, ((), (), ()))
    with pytest.raises(ConfigError, match="layers: 2 modules in layer4"):
        VideoNet(backbone(), 3, ((), (), (), (nn.Identity(), nn.Identity())))
    with pytest.raises(ConfigError, match="convolutions: layer2 has no block 1, only 0 to 0"):
        VideoNet(backbone(), 3, convolutions=({}, {1: nn.Identity()}, {}, {}))
    with pytest.raises(ConfigError, match="num_classes: 0"):
        VideoNet(backbone(), 0)
    with pytest.raises(ConfigError, match="time: there is none called 'median'"):
        ClipPool(time="median")
