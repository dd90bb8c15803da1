"""The ResNet family: weight names, sizes and shapes that ImageNet files and publications fix."""

import pytest
import torch

from reidlab.errors import ConfigError
from reidlab.models import resnet

BN = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def torchvision_entries(depth):
    """Names and shapes of torchvision's state dict, in order, written down from its published files."""
    blocks = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}[depth]
    bottleneck = depth >= 50
    entries = []

    def conv_bn(conv, bn, outputs, inputs, kernel):
        entries.append((f"{conv}.weight", (outputs, inputs, kernel, kernel)))
        entries.extend((f"{bn}.{part}", () if part == "num_batches_tracked" else (outputs,)) for part in BN)

    conv_bn("conv1", "bn1", 64, 3, 7)
    inputs = 64
    for stage, (count, planes) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True), start=1):
        outputs = planes * (4 if bottleneck else 1)
        for i in range(count):
            name = f"layer{stage}.{i}"
            kernels = (1, 3, 1) if bottleneck else (3, 3)
            widths = (planes, planes, outputs) if bottleneck else (planes, planes)
            channels = inputs
            for number, (kernel, width) in enumerate(zip(kernels, widths, strict=True), start=1):
                conv_bn(f"{name}.conv{number}", f"{name}.bn{number}", width, channels, kernel)
                channels = width
            if i == 0 and (bottleneck or stage > 1):
                conv_bn(f"{name}.downsample.0", f"{name}.downsample.1", outputs, inputs, 1)
            inputs = outputs
    return [*entries, ("fc.weight", (1000, inputs)), ("fc.bias", (1000,))]


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_names_and_shapes_are_torchvisions(depth):
    with torch.device("meta"):
        state = resnet(depth, num_classes=1000).state_dict()
    assert [(name, tuple(value.shape)) for name, value in state.items()] == torchvision_entries(depth)


@pytest.mark.parametrize(
    ("depth", "tensors", "numbers"),
    [(18, 62, 11_689_512), (34, 110, 21_797_672), (50, 161, 25_557_032), (101, 314, 44_549_160)],
)
def test_parameters_are_the_published_numbers(depth, tensors, numbers):
    with torch.device("meta"):
        parameters = list(resnet(depth, num_classes=1000).parameters())
    assert (len(parameters), sum(p.numel() for p in parameters)) == (tensors, numbers)


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize(("last_stride", "map_size"), [(1, (4, 2)), (2, (2, 1))])
@pytest.mark.parametrize("width", [4, 7])
def test_map_has_the_size_and_channels_promised(depth, last_stride, map_size, width):
    model = resnet(depth, width=width, blocks=(1, 2, 1, 1), last_stride=last_stride).eval()
    expansion = 4 if depth == 50 else 1
    assert model.out_channels == width * 8 * expansion
    assert model(torch.zeros(2, 3, 64, 32)).shape == (2, model.out_channels, *map_size)


def test_last_stride_changes_no_weight():
    shapes = []
    for last_stride in (1, 2):
        with torch.device("meta"):
            state = resnet(50, last_stride=last_stride).state_dict()
        shapes.append([(name, value.shape) for name, value in state.items()])
    assert shapes[0] == shapes[1]


def test_a_bottleneck_strides_on_its_3x3_convolution():
    with torch.device("meta"):
        block = resnet(50).stages[1][0]
    assert [block.conv1.stride, block.conv2.stride, block.conv3.stride] == [(1, 1), (2, 2), (1, 1)]


def test_blocks_are_reachable_by_stage():
    with torch.device("meta"):
        model = resnet(50)
    assert [len(stage) for stage in model.stages] == [3, 4, 6, 3]
    assert model.stages[2][-1] is model.layer3[5]


def test_same_seed_same_weights():
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(resnet(18, width=4, blocks=(1, 1, 1, 1)).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_se_resnet_50_has_its_published_parameters_and_timms_names():
    """28,088,024 parameters: the paper's 28.1 M; names and shapes as in timm's seresnet50 files."""
    with torch.device("meta"):
        plain, model = resnet(50, num_classes=1000).state_dict(), resnet(50, num_classes=1000, se=16)
    assert sum(p.numel() for p in model.parameters()) == 28_088_024
    state = model.state_dict()
    assert [name for name in state if ".se." not in name] == list(plain)
    assert {name: tuple(value.shape) for name, value in state.items() if name.startswith("layer2.3.se.")} == {
        "layer2.3.se.fc1.weight": (32, 512, 1, 1),
        "layer2.3.se.fc1.bias": (32,),
        "layer2.3.se.fc2.weight": (512, 32, 1, 1),
        "layer2.3.se.fc2.bias": (512,),
    }


@pytest.mark.parametrize("depth", [18, 50])
def test_squeeze_and_excitation_weighs_the_branch_before_the_shortcut_is_added(depth):
    torch.manual_seed(0)
    model = resnet(depth, width=4, blocks=(1, 2, 1, 1), se=2).eval()
    block = model.layer2[1]
    x = torch.randn(2, model.channels[1], 6, 4)
    branch = x
    numbers = (1, 2) if depth == 18 else (1, 2, 3)
    for number in numbers:
        branch = getattr(block, f"bn{number}")(getattr(block, f"conv{number}")(branch))
        branch = branch if number == numbers[-1] else branch.relu()
    squeezed = branch.flatten(2).mean(2)
    fc1, fc2 = block.se.fc1, block.se.fc2
    hidden = (squeezed @ fc1.weight.flatten(1).T + fc1.bias).relu()
    weights = 1 / (1 + torch.exp(-(hidden @ fc2.weight.flatten(1).T + fc2.bias)))
    torch.testing.assert_close(block(x), (branch * weights[:, :, None, None] + x).relu())


@pytest.mark.parametrize("depth", [18, 50])
def test_what_is_put_on_a_3x3_convolution_sees_its_output(depth):
    torch.manual_seed(0)
    model = resnet(depth, width=4, blocks=(1, 1, 1, 1)).eval()
    block, x = model.layer2[0], torch.randn(2, model.channels[0], 6, 4).relu()
    seen = []

    def then(y):
        seen.append(y)
        return torch.zeros_like(y)

    changed = block(x, then)
    first = block.conv1(x) if depth == 18 else block.conv2(block.bn1(block.conv1(x)).relu())
    torch.testing.assert_close(seen[0], first)
    assert first.shape == (2, model.planes[1], 3, 2)
    assert not torch.equal(changed, block(x))
    assert torch.equal(block(x, lambda y: y), block(x))


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("last_stride", [1, 2])
def test_channels_and_strides_are_those_of_the_stages_maps(depth, last_stride):
    model = resnet(depth, width=4, blocks=(1, 1, 2, 1), last_stride=last_stride).eval()
    x = model.stem(torch.zeros(1, 3, 64, 32))
    for stage, channels, stride in zip(model.stages, model.channels, model.strides, strict=True):
        x = stage(x)
        assert x.shape == (1, channels, 64 // stride, 32 // stride)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 20}, r"depth: there is none called 20; there is: 18, 34, 50, 101"),
        ({"width": 0}, "width: 0 is not allowed; expected an integer of at least 1"),
        ({"blocks": (1, 1, 1)}, r"blocks: \(1, 1, 1\) must be four numbers"),
        ({"blocks": (1, 0, 1, 1)}, r"blocks: \(1, 0, 1, 1\)"),
        ({"last_stride": 3}, r"last_stride: 3 .* in 1\.\.2"),
        ({"num_classes": 0}, "num_classes: 0 .* of at least 1"),
        ({"se": 0}, "se: 0 .* of at least 1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        resnet(**arguments)
