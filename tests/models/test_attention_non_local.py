"""Non-local attention against loops over places and against a plain softmax."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from reidlab.errors import ConfigError
from reidlab.models.attention import DotProductAttention, NonLocal
from tests.models.attention_oracles import (
    PlainSoftmaxAttention,
    non_local_loop,
    normalised,
    numbers,
    pointwise,
    softmax,
    with_plain_softmax,
)


def opened(*arguments, **options):
    """A block in evaluation mode whose every number matters, in double precision."""
    torch.manual_seed(0)
    block = NonLocal(*arguments, **options).double().eval()
    for name, value in block.norm.named_buffers():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5) if name == "running_var" else value.normal_()
    nn.init.uniform_(block.norm.weight, 0.5, 1.5)
    nn.init.normal_(block.norm.bias)
    return block


def maps(batch, channels, *size):
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_parameters_are_those_of_four_biased_projections_and_a_normalisation():
    block = NonLocal(512)
    shapes = {name: tuple(value.shape) for name, value in block.named_parameters()}
    assert shapes == {
        **{f"{part}.weight": (256, 512, 1, 1, 1) for part in ("theta", "phi", "g")},
        **{f"{part}.bias": (256,) for part in ("theta", "phi", "g")},
        "project.weight": (512, 256, 1, 1, 1),
        "project.bias": (512,),
        "norm.weight": (512,),
        "norm.bias": (512,),
    }


@pytest.mark.parametrize("inner", [None, 3])
def test_block_equals_a_loop_over_all_places_of_all_frames(inner):
    block, x = opened(8, inner), maps(2, 8, 3, 4, 2)
    expected = np.stack([non_local_loop(clip, numbers(block)) for clip in x.numpy()])
    np.testing.assert_allclose(block(x).detach().numpy(), expected, rtol=1e-9, atol=1e-12)


def test_pairs_equal_a_loop_within_pairs_of_frames():
    block, x = opened(8, pairs=True), maps(2, 8, 4, 2, 3)
    expected = [non_local_loop(clip, numbers(block), reach=lambda t, u: t // 2 == u // 2) for clip in x.numpy()]
    np.testing.assert_allclose(block(x).detach().numpy(), np.stack(expected), rtol=1e-9, atol=1e-12)


def test_as_many_stripes_as_rows_is_attention_over_the_rows_means():
    block, x = opened(6, stripes=4), maps(1, 6, 3, 4, 5)
    state, clip = numbers(block), x[0].numpy()
    rows = [clip[:, t, y].mean(axis=1) for t in range(3) for y in range(4)]  # of 5 places each
    mixed = []
    for own in rows:
        scores = np.array([pointwise(own, state, "theta") @ pointwise(other, state, "phi") for other in rows])
        mixed.append(sum(w * pointwise(other, state, "g") for w, other in zip(softmax(scores), rows)))
    z = np.stack([pointwise(y, state, "project") for y in mixed], axis=1)
    z = normalised(z, state, "norm", training=False).reshape(6, 3, 4)
    np.testing.assert_allclose(block(x)[0].detach().numpy(), clip + z[:, :, :, None], rtol=1e-9, atol=1e-12)


def test_a_stripe_is_a_mean_over_its_rows_and_gets_one_answer():
    block, x = opened(6, stripes=2), maps(2, 6, 3, 8, 5)
    pooled = torch.stack([x[:, :, :, :4].mean((3, 4)), x[:, :, :, 4:].mean((3, 4))], dim=3)[..., None]
    whole = opened(6)
    whole.load_state_dict(block.state_dict())
    added = whole(pooled) - pooled
    expected = x + torch.cat(
        [added[:, :, :, :1].expand(-1, -1, -1, 4, 5), added[:, :, :, 1:].expand(-1, -1, -1, 4, 5)], 3
    )
    torch.testing.assert_close(block(x), expected)


def test_normalisation_sees_stripes_and_not_their_copies():
    torch.manual_seed(0)
    block = NonLocal(6, stripes=2).double()
    values = []
    block.norm.register_forward_hook(lambda module, inputs, output: values.append(inputs[0].shape))
    block(maps(2, 6, 3, 8, 5))
    assert values == [(2, 6, 3, 2, 1)]


@pytest.mark.parametrize(
    ("options", "touched"),
    [
        ({}, {0, 1, 2, 3, 4, 5}),
        ({"pairs": True}, {4, 5}),
        ({"stripes": 2}, {0, 1, 2, 3, 4, 5}),
        ({"pairs": True, "stripes": 2}, {4, 5}),
    ],
)
def test_a_change_in_the_last_frame_reaches_all_frames_or_only_its_pair(options, touched):
    block, x = opened(8, **options), maps(1, 8, 6, 4, 2)
    changed = x.clone()
    changed[:, :, 5] += 1.0
    moved = (block(changed) - block(x)).abs().amax((0, 1, 3, 4))
    assert {t for t in range(6) if moved[t] > 1e-6} == touched
    assert all(moved[t] == 0 for t in set(range(6)) - touched)


@pytest.mark.parametrize("shape", [(1, 1, 12, 8), (3, 2, 33, 5)])
def test_the_fused_kernel_equals_the_plain_softmax_and_so_do_its_gradients(shape):
    torch.manual_seed(0)
    results = []
    for attention in (DotProductAttention(), PlainSoftmaxAttention()):
        torch.manual_seed(0)
        rows = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(3)]
        out = attention(*rows)
        out.cos().sum().backward()
        results.append([out, *(row.grad for row in rows)])
    for fused, plain in zip(*results):
        torch.testing.assert_close(fused, plain)


def test_scores_are_not_scaled():
    one_hot = torch.eye(2)[None, None] * 3.0
    weights = DotProductAttention()(one_hot, one_hot, torch.eye(2)[None, None])
    assert weights[0, 0, 0, 0].item() == pytest.approx(np.exp(9) / (np.exp(9) + 1))


def test_the_twin_replaces_every_attention_of_a_network():
    network = nn.Sequential(opened(8), nn.Sequential(opened(8, stripes=2)))
    x = maps(1, 8, 2, 4, 2)
    before = network(x)
    twin = with_plain_softmax(network)
    assert not any(isinstance(module, DotProductAttention) for module in twin.modules())
    torch.testing.assert_close(twin(x), before)


def test_training_keeps_nothing_of_the_size_of_all_pairs_of_places():
    largest = {}
    for places in (256, 512):
        sizes = []
        block, x = NonLocal(4), torch.randn(1, 4, 2, places // 8, 4)
        with torch.autograd.graph.saved_tensors_hooks(
            lambda kept, sizes=sizes: sizes.append(kept.numel()), lambda _: _
        ):
            block(x)
        largest[places] = max(sizes)
    assert largest[256] < 256**2 / 8
    assert largest[512] <= 2 * largest[256]


@pytest.mark.parametrize(("options", "reach"), [({}, range(4)), ({"pairs": True}, range(2, 4))])
def test_weights_of_a_place_are_its_row_of_the_softmax(options, reach):
    block, x = opened(8, **options), maps(2, 8, 4, 3, 2)
    found = block.weights(x, query=(2, 1, 0)).numpy()
    assert found.shape == (2, 4, 3, 2)
    for clip, weights in zip(x.numpy(), found):
        theta, phi = (pointwise(clip, numbers(block), name) for name in ("theta", "phi"))
        expected = np.zeros((4, 3, 2))
        places = list(itertools.product(reach, range(3), range(2)))
        for place, weight in zip(places, softmax(np.array([theta[:, 2, 1, 0] @ phi[:, *j] for j in places]))):
            expected[place] = weight
        np.testing.assert_allclose(weights, expected, rtol=1e-9)


def test_weights_of_stripes_are_laid_over_their_places():
    block, x = opened(6, stripes=2), maps(1, 6, 3, 8, 5)
    whole = opened(6)
    whole.load_state_dict(block.state_dict())
    pooled = torch.stack([x[:, :, :, :4].mean((3, 4)), x[:, :, :, 4:].mean((3, 4))], dim=3)[..., None]
    found, stripes = block.weights(x, query=(1, 6, 3)), whole.weights(pooled, query=(1, 1, 0))
    assert found.shape == (1, 3, 8, 5)
    for y in range(8):
        torch.testing.assert_close(found[:, :, y], stripes[:, :, y // 4].expand(-1, -1, 5))


def test_weights_leave_no_graph():
    assert not NonLocal(4).weights(torch.randn(1, 4, 2, 2, 2), query=(0, 0, 0)).requires_grad


@pytest.mark.parametrize(
    ("options", "size", "message"),
    [
        ({"stripes": 3}, (2, 8, 4), "height H = 8 does not divide into 3 stripes"),
        ({"pairs": True}, (5, 8, 4), "T = 5 frames does not divide into pairs"),
    ],
)
def test_maps_that_do_not_divide_are_refused(options, size, message):
    block = NonLocal(4, **options)
    with pytest.raises(ConfigError, match=message):
        block(torch.zeros(1, 4, *size))
    with pytest.raises(ConfigError, match=message):
        block.weights(torch.zeros(1, 4, *size), query=(0, 0, 0))


@pytest.mark.parametrize(
    ("query", "message"), [((2, 0, 0), "frame 2"), ((0, -1, 0), "row -1"), ((0, 0, 4), "column 4 .* 0 to 3")]
)
def test_places_outside_the_map_are_refused(query, message):
    with pytest.raises(ConfigError, match=message):
        NonLocal(4).weights(torch.zeros(1, 4, 2, 8, 4), query=query)


@pytest.mark.parametrize(("options", "message"), [({"inner": 0}, "inner: 0"), ({"stripes": 0}, "stripes: 0")])
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        NonLocal(4, **options)
