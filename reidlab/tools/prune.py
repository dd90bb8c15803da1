"""A network pruned to budgets, its files, and a page that shows what became of it: the tool behind ``reidlab prune``.

Losses are measured on training pictures alone. Where these have identities, the loss is the recipe's: cross-entropy of
a classifier on the identities, which begins at their mean features, plus batch-hard triplets. Where they have none, it
is 1 - cos between the features of a changed picture (mirrored, shifted, recoloured) and those that the unpruned network
gives of the picture as it is.
"""

from __future__ import annotations

import copy
import importlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reidlab.checks import check_integer, plural
from reidlab.data import ImageCache
from reidlab.errors import ConfigError, DataError, MissingDataError
from reidlab.files import digest, replacing, write_json, write_text
from reidlab.models import BNNeck, EmbedderNet, Output, ReIDNet, load_weights, save_weights
from reidlab.models.cost import VIEWS, cost
from reidlab.models.modes import evaluating
from reidlab.models.weights import read_weights
from reidlab.pruning.caie import Result, Settings, check_budgets, prune
from reidlab.pruning.latency import Latency, OnnxTimer, Timer, latency_of, onnx_bytes
from reidlab.pruning.resources import Layers
from reidlab.pseudolabel.learning import expanded
from reidlab.pseudolabel.unlabelled import EMBEDDER_RATE, RATE
from reidlab.reading import check_file
from reidlab.seeding import derive
from reidlab.tools.common import ASKED, STATE, check_begun, checked_output, checked_run, lasting, working
from reidlab.tools.embed import embed_table
from reidlab.tools.embedder import Embedder
from reidlab.tools.evaluate import evaluate_embedded
from reidlab.tools.network import Say, narrowed, network_of
from reidlab.tools.pruned_page import page
from reidlab.tools.starts import NETWORK, ONNX, keep_both
from reidlab.tools.weight_files import read_as_weights
from reidlab.training.determinism import seeded
from reidlab.training.extract import extract
from reidlab.training.loop import train
from reidlab.training.objectives import Objective, reid_objective
from reidlab.training.pictures import PictureSource
from reidlab.training.recipe import Recipe
from reidlab.training.sources import Batch

#: Filters of a group that go together where latency has a budget: kernels work on so many channels at once.
CHUNK = 8
#: Iterations of a pruning, and minibatches and steps of fine-tuning, unless others are asked for.
ITERATIONS, MINIBATCHES, FINETUNE = 30, 5, 300
TRACE, PAGE = "trace.json", "report.html"
_BATCH = 64
_SCALES = (1, 2, 4, 8, 16, 32, 64)

#: From the number of an iteration to its minibatches, inputs and classes.
Batches = Callable[[int], Iterable[Any]]


@dataclass(frozen=True)
class PrunedNetwork:
    """The result of :func:`prune_to_budget`.

    Attributes:
        folder: with ``network.onnx``, ``network.safetensors``, ``trace.json`` and ``report.html``.
        result: the pruned network and its trace.
        figures: before and after, by name: ``macs``, ``params``, ``milliseconds`` (measured, a picture at a time) and
            scores, where there are any.
    """

    folder: Path
    result: Result
    figures: dict[str, tuple[float, float]]


def prune_to_budget(
    model: nn.Module,
    data: Sequence[tuple[Tensor, Tensor]],
    out: str | Path,
    budgets: Mapping[str, float],
    *,
    minibatches: int = 30,
    loss: Callable[[nn.Module, Any], Tensor] | None = None,
    finetune: Callable[[nn.Module], None] | None = None,
    settings: Settings | None = None,
    timer: Timer | None = None,
    seed: int = 0,
    resume: bool = False,
    say: Say = lambda line: None,
) -> PrunedNetwork:
    """Prune a network to budgets and write it, its trace and a page.

    :func:`load_pruned` reads the network back.

    Args:
        model: a trained network that gives logits, or an output with ``logits``; it stays as it is.
        data: minibatches of inputs (B, ...) and classes (B,); iterations pass through them in turn.
        out: folder to write; it must be new, or hold what an interrupted pruning left, with ``resume``.
        budgets: share that may stay by resource, see :func:`~reidlab.pruning.caie.prune`.
        minibatches: of an iteration.
        loss: from network and minibatch to a scalar; cross-entropy where None.
        finetune: trains the pruned network in place.
        settings: of the pruning; where None, it aims at all budgets together (``caie-aimed``), and with a latency's
            filters go in chunks of :data:`CHUNK`.
        timer: measures latency; ONNX Runtime with one thread where None.
        seed: of what is random.
        resume: whether to go on with an interrupted pruning.
        say: gets a line on every iteration.

    Raises:
        ConfigError: a budget cannot be met, or the folder holds something already.
        DataError: there are no minibatches, or the loss is not finite.
        RunError: no filter is left that could meet a budget.
        StorageError: the folder cannot be written.
    """
    check_budgets(budgets)
    check_integer("minibatches", minibatches, 1)
    if not len(data):
        raise DataError("data: there are no minibatches")
    out = checked_output(out, resume, room=2**26)

    def batches(iteration: int) -> list[tuple[Tensor, Tensor]]:
        return [data[(iteration * minibatches + number) % len(data)] for number in range(minibatches)]

    def keep(pruned: nn.Module) -> None:
        save_weights(pruned, out / NETWORK)
        with replacing(out / ONNX) as draft:
            draft.write_bytes(_onnx(pruned, shape, say))

    shape = tuple(data[0][0].shape[1:])
    return _pruned(
        model, shape, batches, loss or _cross_entropy, out, budgets, keep, finetune=finetune, timer=timer, seed=seed,
        settings=settings or settings_for(budgets), say=say,
    )  # fmt: skip


def load_pruned(model: nn.Module, path: str | Path, input_shape: Sequence[int]) -> nn.Module:
    """Return a pruned network that :func:`prune_to_budget` wrote.

    Args:
        model: the network as it was before; it is left as it is.
        path: ``network.safetensors``.
        input_shape: of a sample, without the batch axis.

    Raises:
        MissingDataError: there is no such file.
        DataError: it cannot be read, or is of another network.
    """
    smaller = narrowed(model, input_shape, read_weights(path))
    smaller = copy.deepcopy(model) if smaller is model else smaller
    load_weights(smaller, path, ignore=())
    return smaller


def settings_for(budgets: Mapping[str, float], **changes: Any) -> Settings:
    """Return settings that aim at all budgets together, with filters in chunks where latency has one.

    Raises:
        ConfigError: a value is not allowed.
    """
    return Settings(**{"ranking": "caie-aimed", "chunk": CHUNK if "latency" in budgets else 1, **changes})


def prune_network(
    network: str | Path,
    table: pd.DataFrame,
    out: str | Path,
    budgets: Mapping[str, float],
    *,
    settings: Settings | None = None,
    minibatches: int = MINIBATCHES,
    finetune: int = FINETUNE,
    rate: float | None = None,
    height: int | None = None,
    maker: str | None = None,
    notes: Mapping[str, Any] | None = None,
    timer: Timer | None = None,
    seed: int = 0,
    resume: bool = False,
    root: str | Path | None = None,
    quiet: bool = True,
    say: Say = lambda line: None,
) -> PrunedNetwork:
    """Prune a re-identification network on a data set's training pictures.

    Args:
        network: file of the network, see :func:`~reidlab.tools.network.network_of`; or weights of what ``maker`` makes.
        table: sample table; its ``train`` rows give the losses, its queries and gallery, if any, the scores.
        out: folder to write; it must be new, or hold what an interrupted run left, with ``resume``.
        budgets: share that may stay by resource.
        settings: of the pruning; :func:`settings_for` in :data:`ITERATIONS` where None.
        minibatches: of an iteration, of 64 pictures each.
        finetune: training steps after the pruning; 0 for none.
        rate: highest learning rate of these; ``learn``'s of such a network where None.
        height: of the pictures, in pixels, where the file does not say; 64 where None.
        maker: ``package.module:function`` of a function that returns a network from pictures (B, 3, H, W) to features
            (B, D), such as torchvision's without its classifier. It is imported and called.
        notes: of the set, see :func:`~reidlab.tools.embed.notes_of`.
        timer: measures latency; ONNX Runtime with one thread where None.
        seed: of everything random.
        resume: whether to go on with an interrupted run, whose settings must be the same.
        root: the data set's folder, into which nothing may be written.
        quiet: whether to leave out progress bars.
        say: gets a line on what was read and on every iteration.

    Raises:
        ConfigError: a budget cannot be met, the folder holds something already, or there is nothing to prune.
        MissingDataError: there is no such file.
        DataError: the set has no training part, or the file or a picture cannot be read.
        RunError: no filter is left that could meet a budget, or another command is at work in the folder.
        StorageError: the folder cannot be written.
    """
    check_budgets(budgets)
    check_integer("minibatches", minibatches, 1)
    check_integer("finetune", finetune, 0)
    out, name = checked_run(out, resume, root), table.attrs.get("dataset", "table")
    settings = settings or settings_for(budgets, iterations=ITERATIONS)
    rows = table[table["split"] == "train"]
    labelled = rows["pid"].nunique() > 1 and bool((rows["pid"] >= 0).any())
    rows = (rows[rows["pid"] >= 0] if labelled else rows).reset_index(drop=True)
    if len(rows) < 2:
        raise DataError(
            f"{name}: {plural(len(rows), 'picture')} in its training part, and losses are measured on it; give a set "
            "with `train` pictures, or a folder without query and gallery"
        )
    recipe = Recipe() if height is None else Recipe((check_integer("height", height, 32), height // 2))
    model, recipe = _read(network, recipe, maker, seed, say)
    asked = _asked(network, rows, budgets, settings, minibatches, finetune, rate, seed)
    with working(out, "prune", _can_resume):
        begun = check_begun(out, asked, resume, _can_resume(out))
        images = np.asarray(ImageCache(rows, recipe.size, quiet=quiet))
        write_json(out / STATE / ASKED, asked)
        trainee, objective, labels = _trainee(model, rows, images, recipe, labelled, seed, say)
        classes = len(np.unique(labels))
        p, k = (min(16, classes), 4) if labelled else (min(_BATCH, classes), 1)
        config = recipe.config(max(finetune, 1), p=p, k=k, checkpoint_every=max(1, finetune // 5))
        config = replace(config, lr=rate or (RATE if isinstance(model, ReIDNet) else EMBEDDER_RATE))
        source = PictureSource(images, labels, p, k, recipe.transform(config))
        test = table[table["split"].isin(("query", "gallery"))]

        def batches(iteration: int) -> Iterable[Batch]:
            source.start(derive(seed, "pruning", iteration), 0)
            return (source.batch(torch.device("cpu")) for _ in range(minibatches))

        def tuned(pruned: nn.Module) -> None:
            say(f"fine-tuning, {plural(finetune, 'step')}")
            folder = out / STATE / "finetune"
            with lasting(f"give a lower --lr (it was {config.lr:g}), in a new folder"):
                train(
                    pruned, source, objective, config, derive(seed, "finetune"), out_dir=folder, resume=begun,
                    progress=not quiet,
                )  # fmt: skip

        def scores(pruned: nn.Module) -> dict[str, float]:
            if {"query", "gallery"} - set(test["split"]):
                return {}
            embedded = embed_table(test, Embedder(pruned, recipe.size, "", ""), dict(notes or {}), quiet=quiet)
            found = evaluate_embedded(embedded)
            return {f"{key}, {found['protocol']}": found[key] for key in ("rank_1", "mAP")}

        return _pruned(
            trainee, (3, *recipe.size), batches, lambda m, batch: objective(m, batch)["loss"], out, budgets,
            lambda pruned: keep_both(getattr(pruned, "embedder", pruned), out, recipe.size),
            finetune=tuned if finetune else None, timer=timer, seed=seed, settings=settings, say=say, scores=scores,
        )  # fmt: skip


def _pruned(
    model: nn.Module,
    shape: Sequence[int],
    batches: Batches,
    loss: Callable[[nn.Module, Any], Tensor],
    out: Path,
    budgets: Mapping[str, float],
    keep: Callable[[nn.Module], None],
    *,
    finetune: Callable[[nn.Module], None] | None,
    timer: Timer | None,
    seed: int,
    settings: Settings,
    say: Say,
    scores: Callable[[nn.Module], dict[str, float]] = lambda model: {},
) -> PrunedNetwork:
    """Prune, measure before and after, and write all files."""
    timer = timer or OnnxTimer()

    def timed(layers: Layers) -> Latency:
        return latency_of(layers, timer, chunk=max(settings.chunk, CHUNK), minimum=settings.minimum, say=say)

    def watch(entry: dict[str, Any]) -> None:
        left = ", ".join(f"{name} {share:.1%}" for name, share in entry["left"].items())
        say(f"iteration {entry['iteration']}: loss {entry['loss']:.3f}, {left} left")

    result = prune(
        model, shape, batches, loss, budgets, settings=settings, latency=timed, finetune=finetune, seed=seed,
        folder=out / STATE, watch=watch,
    )  # fmt: skip
    pair = model, result.model
    figures: dict[str, tuple[float, float]] = {}
    figures["macs"] = tuple(float(cost(one, shape).macs(*VIEWS["whole"].kinds)) for one in pair)
    figures["params"] = tuple(float(sum(value.numel() for value in one.parameters())) for one in pair)
    figures["milliseconds"] = _milliseconds(pair, shape, timer)
    found = [scores(one) for one in pair]
    figures |= {name: (value, found[1][name]) for name, value in found[0].items()}
    keep(result.model)
    limits = {name: dict(zip(("whole", "limit", "now"), values, strict=True)) for name, values in result.limits.items()}
    content: dict[str, Any] = {"limits": limits, "figures": {name: list(both) for name, both in figures.items()}}
    content["widths"] = {name: list(both) for name, both in result.widths.items()}
    write_json(out / TRACE, {**content, "iterations": result.trace})
    write_text(out / PAGE, page(result, figures))
    for name, (before, after) in figures.items():
        say(f"{name}: {before:,.4g} before, {after:,.4g} after")
    return PrunedNetwork(out, result, figures)


def _onnx(model: nn.Module, shape: Sequence[int], say: Say) -> bytes:
    """Return a network as ONNX, for batches of any size where it is the same network then."""
    import onnxruntime

    graph, samples = onnx_bytes(model, shape, free=True), torch.randn(2, *shape)
    with evaluating(model), torch.no_grad():
        expected = model(samples)
    expected = expected if isinstance(expected, Tensor) else expected.embedding
    try:
        session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        found = session.run(None, {"input": samples.numpy()})[0]
        agrees = found.shape == expected.shape and np.allclose(found, expected, rtol=1e-3, atol=1e-4)
    except Exception:  # onnxruntime's own kinds, which it does not export
        agrees = False
    if agrees:
        return graph
    say(f"{ONNX}: it takes one sample at a time, for the network's code fixes the size of the batch")
    return onnx_bytes(model, shape)


def _milliseconds(pair: Sequence[nn.Module], shape: Sequence[int], timer: Timer) -> tuple[float, ...]:
    """Return the time of the network before and after, measured now and in turn where the timer can."""
    if isinstance(timer, OnnxTimer):
        return tuple(timer.together([onnx_bytes(one, shape) for one in pair], shape))
    return tuple(float(timer.network(one, shape)) for one in pair)


def _cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    found = model(batch[0])
    return F.cross_entropy(found if isinstance(found, Tensor) else found.logits, batch[1])


# --- re-identification networks ---------------------------------------------------------------------------------------


class _Embedding(nn.Module):
    """An embedder with the neck of its training; each weight has one name, unlike in an EmbedderNet."""

    def __init__(self, embedder: nn.Module, neck: BNNeck) -> None:
        super().__init__()
        self.embedder, self.neck = embedder, neck

    def forward(self, images: Tensor) -> Output:
        features = self.embedder(images)
        return Output(features, features, self.neck(features)[1])


class _Distillation:
    """1 - cos between features of a batch and those that belong to its rows."""

    def __init__(self, targets: Tensor) -> None:
        self.targets = F.normalize(targets)

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        found = F.normalize(model(*batch.inputs).embedding)
        return {"loss": (1 - (found * self.targets[batch.rows].to(found.device)).sum(dim=1)).mean()}


def _read(network: str | Path, recipe: Recipe, maker: str | None, seed: int, say: Say) -> tuple[nn.Module, Recipe]:
    """Return a network to prune: a ReIDNet, or an embedder that gives features."""
    path = Path(network).expanduser()
    check_file(path, DataError if os.path.lexists(path) else MissingDataError)
    if maker is not None:
        model = _made(maker)
        with read_as_weights(path):
            notes = load_weights(model, path, ignore=())
        say(f"{path}: {'; '.join(notes) or 'read as it is'}, into what {maker} makes")
        return model, recipe
    if path.suffix.lower() == ".onnx":
        raise ConfigError(
            f"{path}: filters cannot be removed from an ONNX file; give the network.safetensors that lies beside it, "
            "or its weights with --model"
        )
    model, recipe = network_of(path, recipe, seed, say, trainable=True)
    return model.embedder if isinstance(model, EmbedderNet) else model, recipe


def _made(maker: str) -> nn.Module:
    module, _, function = maker.partition(":")
    try:
        model = getattr(importlib.import_module(module), function)()
    except Exception as error:  # it is the user's own code
        raise ConfigError(
            f"--model {maker}: cannot be made ({type(error).__name__}: {error}); give package.module:function of a "
            "function that needs no argument and returns a network"
        ) from error
    if not isinstance(model, nn.Module):
        raise ConfigError(f"--model {maker}: it returned {type(model).__name__}, expected a torch.nn.Module")
    return model


def _trainee(
    model: nn.Module, rows: pd.DataFrame, images: np.ndarray, recipe: Recipe, labelled: bool, seed: int, say: Say
) -> tuple[nn.Module, Objective, np.ndarray]:
    """Return the network with a classifier for the training identities, what is minimised, and labels of the rows."""
    pids, labels = np.unique(rows["pid"].to_numpy(), return_inverse=True)
    classes = len(pids) if labelled else 2
    if isinstance(model, ReIDNet):
        trainee: nn.Module = expanded(model, classes, 0, seed)
    else:
        with torch.no_grad():
            example = model.eval()(torch.zeros(1, 3, *recipe.size))
        if not (isinstance(example, Tensor) and example.ndim == 2):
            raise ConfigError(f"--model: {type(model).__name__} gives no features (B, D) of pictures (B, 3, H, W)")
        with seeded(derive(seed, "new classes")):
            trainee = _Embedding(model, BNNeck(example.shape[1], classes))
    features = torch.from_numpy(extract(trainee, rows, recipe.size, _BATCH, images=images).features)
    if not labelled:
        say(
            f"{plural(len(rows), 'picture')} without identities: the loss is the distance to the network's own features"
        )
        return trainee, _Distillation(features), np.arange(len(rows))
    say(f"{plural(len(rows), 'picture')} of {plural(classes, 'person')}: the loss is cross-entropy plus triplets")
    with torch.no_grad():
        trainee.neck.classifier.weight.copy_(_class_means(features, torch.from_numpy(labels), trainee.neck.bn.weight))
    return trainee, reid_objective(recipe.config(1)), labels


def _class_means(features: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Return a classifier (C, D) that begins at the classes' mean features.

    Its scale is that of the least cross-entropy where each picture is left out of its own class's mean.

    Args:
        features: (N, D) before or after a normalisation of the batch.
        labels: (N,) classes 0..C-1.
        weight: (D,) of the normalisation before the classifier.
    """
    rows = (features - features.mean(dim=0)) / features.std(dim=0).clamp(min=1e-6) * weight
    unit, places = F.normalize(rows), torch.arange(len(labels))
    sums = torch.zeros(int(labels.max()) + 1, rows.shape[1]).index_add_(0, labels, unit)
    cosines = unit @ F.normalize(sums).T
    cosines[places, labels] = (unit * F.normalize(sums[labels] - unit)).sum(dim=1)
    scale = min(_SCALES, key=lambda value: float(F.cross_entropy(value * cosines, labels)))
    return F.normalize(sums) * scale / rows.norm(dim=1).mean()


def _can_resume(out: Path) -> bool:
    return (out / STATE / TRACE).exists()


def _asked(
    network: str | Path,
    rows: pd.DataFrame,
    budgets: Mapping[str, float],
    settings: Settings,
    minibatches: int,
    finetune: int,
    rate: float | None,
    seed: int,
) -> dict[str, Any]:
    """Return what a resumed run must share with the first, by the options of ``reidlab prune``."""
    path = Path(network).expanduser()
    values: dict[str, Any] = {"the network": f"{path.name}, SHA-256 {digest(path)[:12]}"}
    values["the budgets"] = ", ".join(f"{name} {share:g}" for name, share in budgets.items())
    values |= {"--iterations": settings.iterations, "--minibatches": minibatches, "--finetune": finetune}
    values |= {"--lr": rate, "--minimum": settings.minimum, "--gate": settings.gate, "--seed": seed}
    return {**values, "the pictures": plural(len(rows), "picture")}
