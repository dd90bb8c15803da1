"""Small networks of every kind in the book, whose normalisations have statistics, weights and biases of their own."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from reidlab.models import NETWORKS, MobileNetV2, OSNet, ReIDNet, resnet, video_network
from reidlab.models.mobilenet_v1 import MobileNet22
from reidlab.models.narrow_resnet import CifarResNet, cifar_stages
from reidlab.models.vdsr import vdsr
from reidlab.models.vgg import VGG
from reidlab.pruning.removal import pad_identities

VIDEO = sorted({*NETWORKS, "cf-aan-sinusoidal"})


def cifar(padded: bool) -> nn.Module:
    model = CifarResNet(8, cifar_stages(14, 8), num_classes=5)
    if padded:
        pad_identities(model)
    return model


PICTURES = {
    "vdsr": (lambda: vdsr(4, 8), (1, 16, 16)),
    "vgg": (lambda: VGG(((8,), (8, 12), (16,)), size=16), (3, 16, 16)),
    "vgg-without-norm": (lambda: VGG(((8,), (8,)), hidden=(16,), norm=False, size=16), (3, 16, 16)),
    "cifar": (lambda: cifar(padded=False), (3, 16, 16)),
    "cifar-padded": (lambda: cifar(padded=True), (3, 16, 16)),
    "cifar-without-projections": (
        lambda: CifarResNet(8, cifar_stages(14, 8), num_classes=5, projection=False), (3, 16, 16)
    ),
    "mobilenet22": (lambda: MobileNet22((8,) * 11, num_classes=5), (3, 16, 16)),
    "mobilenetv2": (lambda: MobileNetV2(num_classes=5), (3, 32, 32)),
    "resnet18": (lambda: resnet(18, width=8, num_classes=5), (3, 32, 32)),
    "resnet50": (lambda: resnet(50, width=8, blocks=(2, 1, 1, 2)), (3, 32, 32)),
    "se-resnet50": (lambda: resnet(50, width=16, blocks=(1, 2, 1, 1), se=4, num_classes=5), (3, 32, 32)),
    "reid": (lambda: ReIDNet(resnet(18, width=8, blocks=(1, 1, 1, 1)), 5), (3, 32, 32)),
    "osnet": (lambda: OSNet(0.25, features=16, num_classes=5), (3, 32, 32)),
}  # fmt: skip


def network(name: str, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """Return a network in evaluation mode and a batch of two for it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if name in PICTURES:
            make, shape = PICTURES[name]
            model, example = make(), torch.randn(2, *shape)
        else:
            kind = name.removesuffix("-sinusoidal")
            encoding = "sinusoidal" if kind != name else "relative"
            backbone = resnet(18, width=16, blocks=(1, 2, 2, 1))
            model = video_network(
                kind, 5, backbone, size=(32, 16), frames=4, layers=(0, 1, 1, 0), stripes=2, scales=2, encoding=encoding
            )
            example = torch.randn(2, 4, 3, 32, 16)
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.3)
                module.running_mean.normal_(std=0.3)
                module.running_var.uniform_(0.5, 1.5)
            elif isinstance(module, nn.Conv3d):
                nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)  # some start at 0
    return model.eval(), example
