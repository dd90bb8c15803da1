"""Networks written as ONNX files give ONNX Runtime what they give themselves, and can be trained again."""

import numpy as np
import onnxruntime
import pytest
import torch

from reidlab.errors import ConfigError
from reidlab.models import MobileNetV2, OSNet, ReIDNet, read_onnx, resnet, write_onnx


@pytest.mark.parametrize(
    "make",
    [
        lambda: OSNet(0.25, features=16),
        lambda: ReIDNet(MobileNetV2(), 3),
        lambda: ReIDNet(resnet(18, width=8, blocks=(1, 1, 1, 1), last_stride=1), 3),
    ],
)
def test_onnx_runtime_gives_the_networks_features(tmp_path, make):
    torch.manual_seed(0)
    model, size = make(), (64, 32)
    for module in model.modules():
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.BatchNorm1d)):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    path = write_onnx(model, tmp_path / "network.onnx", size)
    assert model.training
    x = torch.randn(3, 3, *size)
    with torch.inference_mode():
        found = model.eval()(x)
    expected = (found if isinstance(found, torch.Tensor) else found.embedding).numpy()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    (features,) = session.run(["features"], {"images": x.numpy()})
    np.testing.assert_allclose(features, expected, atol=1e-4 * max(1, np.abs(expected).max()))
    again = read_onnx(path, trainable=True).eval()  # equal tensors are kept once in a file, which is undone
    np.testing.assert_allclose(again(x).embedding.detach(), expected, atol=1e-4 * max(1, np.abs(expected).max()))
    assert again.has_map
    again.train()(x).embedding.sum().backward()


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"ends in \.onnx"):
        write_onnx(OSNet(0.25), tmp_path / "network.pt", (64, 32))
