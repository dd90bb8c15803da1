"""Convolutions over time against loops over frames and positions."""

import pytest
import torch

from reidlab.errors import ConfigError
from reidlab.models import AppearancePreservingConv, TemporalConv, cost


@pytest.fixture
def clip():
    torch.manual_seed(1)
    return torch.randn(2, 8, 4, 3, 2, dtype=torch.float64)


def filled(module):
    """Return the module in double precision with its convolution over time drawn, not 0."""
    torch.nn.init.normal_(module.conv.weight, std=0.3)
    return module.double()


def add_over_time(x, frames_of, weight):
    """x plus the convolution, frame by frame: ``frames_of(clip, t)`` gives the three frames (C, H, W) around t."""
    result = x.clone()
    for b in range(len(x)):
        for t in range(x.shape[2]):
            for tap, frame in enumerate(frames_of(b, t)):
                result[b, :, t] += torch.einsum("oc,chw->ohw", weight[:, :, tap, 0, 0], frame)
    return result


def test_p3d_c_adds_each_frame_and_its_neighbours_weighed(clip):
    module = filled(TemporalConv(8))

    def around(b, t):
        return [clip[b, :, s] if 0 <= s < 4 else torch.zeros_like(clip[b, :, 0]) for s in (t - 1, t, t + 1)]

    torch.testing.assert_close(module(clip), add_over_time(clip, around, module.conv.weight.detach()))


def aligned_frame(module, centre, other):
    """One neighbour (C, H, W) re-assembled and weighed, position by position."""
    channels, height, width = centre.shape
    semantic, of_centre, of_neighbour = (
        layer.weight.detach()[:, :, 0, 0, 0] for layer in (module.semantic, module.centre, module.neighbour)
    )
    contrast = module.contrast.weight.detach().flatten()
    mine, theirs = semantic @ centre.flatten(1), semantic @ other.flatten(1)
    result = torch.zeros(channels, height * width, dtype=centre.dtype)
    for p in range(height * width):
        scores = []
        for q in range(height * width):
            length = mine[:, p].norm() * theirs[:, q].norm()
            scores.append(module.temperature * (mine[:, p] @ theirs[:, q] / length if length > 0 else 0 * length))
        weights = torch.stack(scores).exp()
        weights = weights / weights.sum()
        feature = sum(weights[q] * other.flatten(1)[:, q] for q in range(height * width))
        likeness = (of_centre @ centre.flatten(1)[:, p]) * (of_neighbour @ feature)
        result[:, p] = feature / (1 + torch.exp(-(contrast @ likeness)))
    return result.view(channels, height, width)


def test_ap3d_re_assembles_and_weighs_each_neighbour(clip):
    module = filled(AppearancePreservingConv(8, reduction=4))
    nothing = torch.zeros_like(clip[0, :, 0])

    def around(b, t):
        before, after = (clip[b, :, s] if 0 <= s < 4 else nothing for s in (t - 1, t + 1))
        centre = clip[b, :, t]
        return [aligned_frame(module, centre, before), centre, aligned_frame(module, centre, after)]

    torch.testing.assert_close(module(clip), add_over_time(clip, around, module.conv.weight.detach()))


def test_ap3d_undoes_a_shift_where_positions_are_unlike():
    """One-hot features, moved by one position: the neighbour is laid out as the centre is."""
    module = AppearancePreservingConv(6, reduction=1, temperature=200.0)
    torch.nn.init.eye_(module.semantic.weight.data[:, :, 0, 0, 0])
    centre = torch.eye(6).view(6, 3, 2)
    moved = torch.eye(6).roll(1, dims=1).view(6, 3, 2)
    clip = torch.stack((centre, moved), dim=1).unsqueeze(0)
    torch.testing.assert_close(module.align(clip)[0, :, 0, 1], centre)
    torch.testing.assert_close(module.align(clip)[0, :, 1, 0], moved)


@pytest.mark.parametrize("kind", [TemporalConv, AppearancePreservingConv])
def test_a_fresh_module_is_the_identity_and_learns(kind):
    torch.manual_seed(0)
    module, clip = kind(32), torch.randn(2, 32, 5, 4, 2)
    assert torch.equal(module(clip), clip)
    module(clip).square().sum().backward()
    assert module.conv.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", [TemporalConv, AppearancePreservingConv])
@pytest.mark.parametrize("frames", [1, 2])
def test_short_clips_are_taken(kind, frames):
    clip = torch.randn(1, 16, frames, 2, 2)
    assert kind(16)(clip).shape == clip.shape


def test_features_get_no_gradient_through_the_contrast(clip):
    """As in the released code, whose projections see detached features: the contrast may as well be a constant."""
    module = filled(AppearancePreservingConv(8, reduction=4))
    x = clip.requires_grad_()
    seen = []
    handle = module.contrast.register_forward_hook(lambda layer, inputs, output: seen.append(output.detach()))
    (gradient,) = torch.autograd.grad(module(x).sum(), x)
    handle.remove()
    module.contrast.register_forward_hook(lambda layer, inputs, output: seen[0])
    torch.testing.assert_close(torch.autograd.grad(module(x).sum(), x)[0], gradient)


def test_macs_follow_their_closed_forms():
    frames, height, width, channels, inner = 6, 4, 2, 32, 2
    places = height * width
    shape = (channels, frames, height, width)
    assert cost(TemporalConv(channels), shape).macs("conv") == 3 * channels**2 * frames * places
    found = cost(AppearancePreservingConv(channels), shape)
    mappings = channels * inner * places * (frames + 2 * frames + 2 * frames)
    assert found.macs("conv") == 3 * channels**2 * frames * places + mappings + inner * places * 2 * frames
    assert found.macs("product") == 2 * frames * places * (places * inner + places * channels + inner)


def test_bad_arguments_are_named():
    with pytest.raises(ConfigError, match="reduction: 0"):
        AppearancePreservingConv(8, reduction=0)
    with pytest.raises(ConfigError, match="temperature: 0"):
        AppearancePreservingConv(8, temperature=0)
