"""The small network that a tool works with: read from a file, trained on a data set or on the embedded world."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from reidlab.checks import plural
from reidlab.data import ImageCache
from reidlab.data.decoded import Pictures
from reidlab.data.table import SampleTable
from reidlab.errors import DataError
from reidlab.models import EmbedderNet, OnnxEmbedder, OSNet, ReIDNet, load_weights, read_onnx, read_osnet
from reidlab.models.osnet import WIDTHS, is_osnet
from reidlab.models.weights import read_notes, read_weights
from reidlab.pruning.couplings import follow
from reidlab.pruning.removal import removed
from reidlab.pseudolabel import unlabelled
from reidlab.seeding import derive
from reidlab.tools.common import lasting
from reidlab.tools.weight_files import read_as_weights
from reidlab.training.determinism import seeded
from reidlab.training.recipe import MobileNet, Recipe, Scratch, Start
from reidlab.world import cached

#: Gets a line to show.
Say = Callable[[str], None]
#: Height and width of the pictures that torchreid's OSNets were trained on.
OSNET_SIZE = (256, 128)
#: Name of the note in a network's file: architecture; height x width; what pictures are normalised by.
NOTE = "network"
_OTHER_SEED = "give another --seed"
_MOBILENET = re.compile(r"backbone\.features\.18\.0\.weight$")


def image_network(
    table: SampleTable,
    recipe: Recipe,
    weights: str | Path | None,
    steps: int,
    seed: int,
    quiet: bool = False,
    say: Say = lambda line: None,
) -> tuple[nn.Module, Recipe]:
    """Return a network for single pictures and its recipe.

    It is read from a file, else trained on the data set's training split; where that has no two identities, on the
    embedded world.

    Args:
        table: sample table.
        recipe: of the network.
        weights: see :func:`network_of`; None trains one.
        steps: training steps.
        seed: decides initial weights and batches.
        quiet: whether to leave out progress bars.
        say: gets a line on what was done.

    Raises:
        DataError: the weights or a picture cannot be read.
        RunError: the loss of a training is not finite.
    """
    if weights is not None:
        return network_of(weights, recipe, seed, say)
    train = table[(table["split"] == "train") & (table["pid"] >= 0)].reset_index(drop=True)
    if train["pid"].nunique() < 2:
        return world_network(recipe, steps, seed, say, quiet), recipe
    pictures = Pictures(train, np.asarray(ImageCache(train, recipe.size, quiet=quiet)))
    with lasting(_OTHER_SEED):
        return recipe.learn(pictures, steps, seed, progress=not quiet), recipe


def network_of(
    weights: str | Path, recipe: Recipe, seed: int, say: Say = lambda line: None, *, trainable: bool = False
) -> tuple[nn.Module, Recipe]:
    """Return the network in a file, and its recipe: with the size of pictures that the file names, if it does.

    Args:
        weights: an ONNX embedder, whose name ends in ``.onnx``; a file of torchreid's OSNet; or of a
            :class:`~reidlab.models.ReIDNet` with the recipe's backbone or MobileNetV2, such as ``reidlab learn``
            writes, or ``reidlab prune`` with fewer filters. A classifier is not read.
        recipe: of the network.
        seed: of the classifier.
        say: gets a line on what was stripped or left out.
        trainable: whether an ONNX embedder is to be a :class:`~reidlab.models.ReIDNet` as well; else it gives its
            features only, whatever its operators.

    Raises:
        MissingDataError: there is no such file.
        DataError: it cannot be read, does not fit, or cannot be trained and is to be.
    """
    weights = Path(weights).expanduser()
    with read_as_weights(weights):
        return _network_of(weights, recipe, seed, say, trainable)


def _network_of(weights: Path, recipe: Recipe, seed: int, say: Say, trainable: bool) -> tuple[nn.Module, Recipe]:
    if weights.suffix.lower() == ".onnx":
        graph = read_onnx(weights, trainable)
        model = _with_neck(graph, seed) if isinstance(graph, OnnxEmbedder) else graph
        return model, _sized(recipe, graph.size, weights, [], say)
    names = read_weights(weights)
    size = _noted_size(weights)
    if is_osnet(names):
        size = size or OSNET_SIZE
        return _with_neck(_osnet(weights, names, size), seed), _sized(recipe, size, weights, [], say)
    if not any("backbone." in name for name in names):
        raise DataError(
            f"{weights}: is no embedder that is known; give an .onnx file, a file of torchreid's OSNet, or the "
            "network.safetensors of `reidlab learn`"
        )
    model = mobile_network(seed) if any(map(_MOBILENET.search, names)) else recipe.network(2, seed)
    kept = {name: value for name, value in names.items() if not name.startswith("neck.classifier.")}
    model = narrowed(model, (3, *(size or recipe.size)), kept)
    notes = load_weights(model, weights, ignore=("neck.classifier.",))
    if size is None:
        notes.append(f"it says no size of pictures, {recipe.size[0]} x {recipe.size[1]} pixels are taken")
    return model, _sized(recipe, size or recipe.size, weights, notes, say)


def _osnet(weights: Path, tensors: Mapping[str, Tensor], size: tuple[int, int]) -> OSNet:
    """Return an OSNet of torchreid's widths, or a pruned one."""
    features = next((len(value) for name, value in tensors.items() if name.endswith("fc.0.weight")), None)
    for width in sorted(WIDTHS):
        model = OSNet(width, features=features)
        if all(tensors[name].shape == value.shape for name, value in model.state_dict().items() if name in tensors):
            break
        if (smaller := narrowed(model, (3, *size), tensors)) is not model:
            load_weights(smaller, weights, ignore=("classifier.",))
            return smaller
    return read_osnet(weights)


def narrowed(model: nn.Module, input_shape: Sequence[int], tensors: Mapping[str, Tensor]) -> nn.Module:
    """Return a network with as many filters in each layer as the tensors of a pruned one have.

    The tensors' shapes are all that says how it was pruned. Values are not copied, see
    :func:`~reidlab.models.load_weights`.

    Args:
        model: network of the whole widths; it is left as it is.
        input_shape: of a sample, without the batch axis.
        tensors: by the names that the network has for them.

    Returns:
        The narrower network; the given one where no tensor is narrower, or one is wider, as in a file of another
        network.

    Example:
        >>> from reidlab.models import resnet
        >>> narrow = narrowed(resnet(18, width=8), (3, 32, 32), {"layer1.0.conv1.weight": torch.zeros(5, 8, 3, 3)})
        >>> narrow.layer1[0].conv2.weight.shape
        torch.Size([8, 5, 3, 3])
    """
    own = {name: value.shape for name, value in model.state_dict().items() if name in tensors and value.ndim}
    given = {name: tensors[name].shape for name in own}
    alike = all(len(shape) == len(given[name]) and given[name].numel() for name, shape in own.items())
    if own == given or not alike or any(n > m for name in own for n, m in zip(given[name], own[name])):
        return model
    couplings = follow(model, torch.zeros(1, *input_shape))
    gone: set[int] = set()
    removals: dict[str, list[int]] = {}
    for axis in couplings.axes:
        if axis.role == "out" and f"{axis.module}.weight" in given and not couplings.group_of[axis.module].fixed:
            filters_in = int(isinstance(model.get_submodule(axis.module), _ConvTransposeNd))
            left = [index for index, label in enumerate(axis.labels.tolist()) if label not in gone]
            surplus = left[given[f"{axis.module}.weight"][filters_in] :]
            gone.update(axis.labels[surplus].tolist())
            removals[axis.module] = surplus
    return removed(model, couplings, removals)


def mobile_network(seed: int, start: Start | None = None) -> ReIDNet:
    """Return a network around MobileNetV2 at a start, or from scratch; what it has no weights for, a seed draws."""
    return Recipe(backbone=MobileNet(), start=start or Scratch()).network(2, seed, "mobilenetv2")


def _with_neck(embedder: OnnxEmbedder | OSNet, seed: int) -> EmbedderNet:
    with seeded(derive(seed, "initial weights", "neck")):
        return EmbedderNet(embedder, 2)


def _noted_size(weights: Path) -> tuple[int, int] | None:
    notes = read_notes(weights)
    said = [*notes.get(NOTE, "").split("; "), notes.get("size", "")]  # files of earlier versions say the size alone
    found = [match for text in said if (match := re.fullmatch(r"(\d{2,4})x(\d{2,4})", text))]
    return (int(found[0][1]), int(found[0][2])) if found else None


def _sized(recipe: Recipe, size: tuple[int, int], weights: Path, notes: list[str], say: Say) -> Recipe:
    """Return the recipe with a size of pictures, once it is said what was read and how."""
    if recipe.size != size:
        recipe = replace(recipe, size=size)
        notes.append(f"its pictures are of {size[0]} x {size[1]} pixels")
    say(f"{weights}: {'; '.join(notes) or 'read as it is'}")
    return recipe


def world_network(recipe: Recipe, steps: int, seed: int, say: Say = lambda line: None, quiet: bool = True) -> ReIDNet:
    """Return a network trained on people of the embedded world, and say so.

    Args:
        recipe: of the network.
        steps: training steps.
        seed: of the world and of the training.
        say: gets a line before the training.
        quiet: whether to leave out the progress bar.
    """
    say(f"training a network on the embedded world, {plural(steps, 'step')}")
    cached(unlabelled.source_world(recipe, steps, seed), quiet=quiet)  # drawn here: no bar where none is wanted
    with lasting(_OTHER_SEED):
        return unlabelled.world_network(recipe, steps, seed, progress=not quiet)
