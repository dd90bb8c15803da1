"""Textbook versions of the attention blocks: a plain softmax, and numpy loops over places; slow and easily checked."""

import itertools

import numpy as np
import torch
from torch import nn

from reidlab.models.attention import DotProductAttention


class PlainSoftmaxAttention(nn.Module):
    """Eq. 2.1 as it is written: the whole matrix of weights, then its product with the values."""

    def forward(self, queries, keys, values):
        return torch.softmax(queries @ keys.transpose(-2, -1), dim=-1) @ values


def with_plain_softmax(model):
    """Put the plain softmax into every non-local block of a network, and return the network."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, DotProductAttention):
                setattr(module, name, PlainSoftmaxAttention())
    return model


def numbers(module):
    """Weights and running statistics by name, as float64 arrays."""
    return {name: value.double().numpy() for name, value in module.state_dict().items()}


def softmax(scores):
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def normalised(x, state, name, training):
    """Batch normalisation of (channels, values)."""
    if training:
        mean, variance = x.mean(axis=1), x.var(axis=1)
    else:
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    scale = state[f"{name}.weight"] / np.sqrt(variance + 1e-5)
    return (x - mean[:, None]) * scale[:, None] + state[f"{name}.bias"][:, None]


def pointwise(x, state, name):
    """1x1x1 convolution of (channels, ...)."""
    weight = state[f"{name}.weight"]
    out = np.tensordot(weight.reshape(weight.shape[:2]), x, axes=1)
    bias = state.get(f"{name}.bias", np.zeros(len(weight)))
    return out + bias.reshape(-1, *[1] * (x.ndim - 1))


def non_local_loop(x, state, reach=None):
    """Non-local block in evaluation mode on maps (C, T, H, W), place by place; ``reach(t, u)``: may frame t see u?"""
    theta, phi, g = (pointwise(x, state, name) for name in ("theta", "phi", "g"))
    mixed = np.zeros_like(g)
    places = list(itertools.product(*map(range, x.shape[1:])))
    for i in places:
        seen = [j for j in places if reach is None or reach(i[0], j[0])]
        weights = softmax(np.array([theta[:, *i] @ phi[:, *j] for j in seen]))
        mixed[:, *i] = sum(weight * g[:, *j] for weight, j in zip(weights, seen))
    z = pointwise(mixed, state, "project")
    return x + normalised(z.reshape(len(z), -1), state, "norm", training=False).reshape(z.shape)


def relative_terms(vectors, width, length, query, key):
    """r^q, r^k and r^v of one pair of places, from a tensor (2 width, 2 length - 1)."""
    column = vectors[:, key - query + length - 1]
    return column[: width // 2], column[width // 2 : width], column[width:]


def sinusoidal(place, channels):
    """Vaswani et al. (2017), Sec. 3.5, channel by channel."""
    code = np.zeros(channels)
    for i in range(channels // 2):
        code[2 * i] = np.sin(place / 10000 ** (2 * i / channels))
        code[2 * i + 1] = np.cos(place / 10000 ** (2 * i / channels))
    return code


def axis_loop(x, state, axis, heads, encoding, training):
    """Attention along one axis (1 to 3 of T, H, W) of maps (B, C, T, H, W), pair of places by pair of places."""
    batch, channels, *sides = x.shape
    width, length = channels // heads, sides[axis - 1]
    half = width // 2
    if encoding == "sinusoidal":
        x = x.copy()
        for place in range(length):
            np.moveaxis(x, axis + 1, 0)[place] += sinusoidal(place, channels)[:, None, None]
    projected = pointwise(np.moveaxis(x, 1, 0), state, "project")
    projected = normalised(projected.reshape(2 * channels, -1), state, "norm", training).reshape(projected.shape)
    lines = np.moveaxis(projected, axis + 1, -1).reshape(2 * channels, -1, length)  # (2 C, lines, K)

    terms = 3 if encoding == "relative" else 1
    similarity = np.zeros((terms, heads, lines.shape[1], length, length))
    for head, line, o, p in np.ndindex(heads, lines.shape[1], length, length):
        own = lines[head * 2 * width : (head + 1) * 2 * width, line]
        q, k = own[:half, o], own[half:width, p]
        similarity[0, head, line, o, p] = q @ k
        if encoding == "relative":
            r_q, r_k, _ = relative_terms(state["encoding.vectors"], width, length, o, p)
            similarity[1:, head, line, o, p] = q @ r_q, k @ r_k
    flat = similarity.reshape(terms * heads, -1)
    similarity = normalised(flat, state, "similarity_norm", training).reshape(similarity.shape).sum(axis=0)

    parts = 2 if encoding == "relative" else 1
    gathered = np.zeros((parts, channels, lines.shape[1], length))
    for head, line, o in np.ndindex(heads, lines.shape[1], length):
        own = lines[head * 2 * width : (head + 1) * 2 * width, line]
        weights = softmax(similarity[head, line, o])
        for p in range(length):
            gathered[0, head * width : (head + 1) * width, line, o] += weights[p] * own[width:, p]
            if encoding == "relative":
                r_v = relative_terms(state["encoding.vectors"], width, length, o, p)[2]
                gathered[1, head * width : (head + 1) * width, line, o] += weights[p] * r_v
    flat = gathered.reshape(parts * channels, -1)
    out = normalised(flat, state, "output_norm", training).reshape(gathered.shape).sum(axis=0)
    others = [side for number, side in enumerate(sides, start=1) if number != axis]
    return np.moveaxis(np.moveaxis(out.reshape(channels, batch, *others, length), -1, axis + 1), 0, 1)


def axial_loop(x, state, heads, encoding, training=False):
    """Height, then width, then time; ``state`` holds all three (``height.``, ``width.``, ``time.``)."""
    for name, axis in (("height", 2), ("width", 3), ("time", 1)):
        own = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
        x = axis_loop(x, own, axis, heads, encoding, training)
    return x
