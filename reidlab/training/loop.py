"""The loop: every chapter that trains a network by gradient steps uses this one."""

from __future__ import annotations

import hashlib
import math
import operator
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from reidlab.data import to_device
from reidlab.errors import ConfigError, RunError
from reidlab.files import clear_left_overs, temporary_folder
from reidlab.models.weights import reason
from reidlab.seeding import derive
from reidlab.training.ahead import Ahead
from reidlab.training.checkpoints import Checkpoints, check_same_run
from reidlab.training.config import LoopConfig
from reidlab.training.denormals import flushed_denormals
from reidlab.training.determinism import deterministic, random_state, restore_random_state, seeded, tf32
from reidlab.training.history import History
from reidlab.training.hooks import Hook, TrainState
from reidlab.training.interrupts import deferred_interrupts
from reidlab.training.objectives import Objective
from reidlab.training.optimisation import lr_factor, make_optimizer
from reidlab.training.sources import BatchSource
from reidlab.training.steps import Guard, StepValues, read_steps

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class FitResult:
    """The result of a run.

    Attributes:
        model: the network that was given, trained, in evaluation mode.
        history: columns ``iteration, loss, <the objective's other values>, lr, seconds``; a row holds the means since
            the row before. ``seconds`` (since the run began, interruptions left out) is a timing, all else repeats.
        seconds: duration of training, over all its sittings.
    """

    model: nn.Module
    history: pd.DataFrame
    seconds: float


@flushed_denormals()
def train(
    model: nn.Module,
    source: BatchSource,
    objective: Objective,
    config: LoopConfig,
    seed: int,
    *,
    hooks: Sequence[Hook] = (),
    out_dir: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> FitResult:
    """Train a network, in place.

    With the same seed, machine and thread count, weights are the same bit for bit, whether the run was interrupted and
    resumed or not. Global generators, determinism flags and signal handlers are put back afterwards. A keyboard
    interrupt lets the iteration finish, writes a checkpoint and is raised again.

    A loss that is not finite stops the run: weights, the optimiser's state and buffers (statistics of batch
    normalisation) are then those before that iteration. A CPU stops at once. A GPU, for which no iteration waits, stops
    at the next row of the history or checkpoint; iterations until then change none of them, though hooks are still
    called. With ``16-mixed`` each iteration waits, as the scaling of its loss does.

    Args:
        model: network; its initial weights are the caller's to seed.
        source: gives the batches.
        objective: maps network and batch to values by name, among them ``loss``.
        config: length, optimisation, device and logs.
        seed: decides batches, augmentation and dropout.
        hooks: called at fixed places, in this order.
        out_dir: folder for checkpoints and ``history.csv``; None writes nothing.
        resume: go on from the folder's checkpoint; start from the beginning where it has none. Without it, checkpoints
            in the folder are deleted.
        progress: show a progress bar on standard error.

    Returns:
        The trained network and its history.

    Raises:
        ConfigError: an argument does not fit, or the checkpoint is of another run.
        DataError: no checkpoint of the folder is readable.
        RunError: the loss stopped being finite, or a checkpoint could not be written.
    """
    if resume and out_dir is None:
        raise ConfigError("resume: True without out_dir; name the folder that has the checkpoint")
    if len(source) < 1:
        raise ConfigError("source: it has no batch in an epoch")
    fabric = _fabric(config)
    hooks = tuple(hooks)
    if config.devices == 1:
        folder = None if out_dir is None else Path(out_dir)
        history, seconds = _Run(fabric, model, source, objective, config, seed, hooks, folder, progress).go(resume)
        return FitResult(model.eval(), history.frame(), seconds)

    # Worker processes hand the weights back through the last checkpoint.
    clear_left_overs()
    with temporary_folder() as temporary:
        folder = Path(out_dir or temporary)

        def work(fabric: Fabric) -> None:
            _Run(fabric, model, source, objective, config, seed, hooks, folder, progress).go(resume)

        try:
            fabric.launch(work)
        except torch.multiprocessing.ProcessRaisedException as error:
            raise RunError(f"a worker process failed: {str(error).strip().splitlines()[-1]}") from error
        state = Checkpoints(folder).load()
    model.load_state_dict(state["model"])
    history = History(None)
    history.load_state_dict(state["history"])
    return FitResult(model.eval(), history.frame(), state["seconds"])


def _fabric(config: LoopConfig) -> Fabric:
    from lightning_fabric import Fabric

    try:
        return Fabric(
            accelerator=config.accelerator,
            devices=config.devices,
            precision=config.precision,
            # Forked workers run this loop alone; the usual launcher would run the whole script again in each.
            strategy="auto" if config.devices == 1 else "ddp_fork",
        )
    except Exception as error:  # Fabric's own exceptions say what this machine lacks
        raise ConfigError(
            f"accelerator={config.accelerator!r}, devices={config.devices}, precision={config.precision!r}: "
            f"not possible on this machine ({reason(error)})"
        ) from error


def _reads_late(device: torch.device, config: LoopConfig) -> bool:
    """Return whether values of steps are left on the device until they are needed."""
    return device.type == "cuda" and config.precision != "16-mixed"


def _fingerprint(model: nn.Module) -> str:
    """Return a name for the network's shape: its class, its number of tensors and a hash of their names and shapes."""
    tensors = [f"{name} {tuple(value.shape)}" for name, value in model.state_dict().items()]
    digest = hashlib.blake2b("\n".join(tensors).encode(), digest_size=4).hexdigest()
    return f"{type(model).__name__}, {len(tensors)} tensors, {digest}"


@dataclass
class _Run:
    """One process's share of one call of :func:`train`."""

    fabric: Fabric
    model: nn.Module
    source: BatchSource
    objective: Objective
    config: LoopConfig
    seed: int
    hooks: tuple[Hook, ...]
    folder: Path | None
    progress: bool

    def __post_init__(self) -> None:
        self.leads = self.fabric.is_global_zero
        self.progress = self.progress and self.leads
        self.checkpoints = None if self.folder is None else Checkpoints(self.folder)
        kept = {name: value for name, value in self.config.to_dict().items() if name not in self.config.FREE}
        self.identity = {"seed": self.seed, "model": _fingerprint(self.model), **kept, **self.source.describe()}

    def go(self, resume: bool) -> tuple[History, float]:
        rank = self.fabric.global_rank
        with (
            seeded(derive(self.seed, "training", rank)),
            deterministic(self.config.deterministic),
            tf32(self.config.tf32 if self.fabric.device.type == "cuda" else None),
            deferred_interrupts() as self.interrupted,
        ):
            self.source.start(self.seed, rank)
            self.model.train()
            self.late = _reads_late(self.fabric.device, self.config)
            optimizer = make_optimizer(self.model, self.config, fused=self.late)
            self.wrapped, self.optimizer = self.fabric.setup(self.model, optimizer)
            per_epoch = len(self.source)
            total = self.config.total_iterations(per_epoch)
            self.state = TrainState(self.model, optimizer, total, per_epoch)
            self.seconds = 0.0
            self.unread: list[tuple[int, float, Mapping[str, float]]] = []
            if self.checkpoints and not resume and self.leads:
                self.checkpoints.clear()
            self.history = History(
                self.folder if self.leads else None, tensorboard=self.config.tensorboard and self.leads
            )
            try:
                if resume:
                    self.checkpoints.load(self._restore)
                for hook in self.hooks:
                    hook.on_start(self.state)
                self.guard = Guard(self.model, optimizer if self.late else None, self.fabric.device)
                ahead = self.fabric.device.type == "cuda" if self.config.prefetch is None else self.config.prefetch
                left = total - self.state.iteration
                with Ahead(self.source, self.fabric.device, left, ahead) as self.batches:
                    self._iterate()
            finally:
                self.history.close()
        return self.history, self.seconds

    def _iterate(self) -> None:
        state, config = self.state, self.config
        began = time.perf_counter() - self.seconds
        bar = tqdm(
            total=state.total,
            initial=state.iteration,
            disable=not self.progress,
            unit="it",
            leave=False,
        )
        with bar:
            while state.iteration < state.total:
                rate = config.lr * lr_factor(config, state.iteration, state.total, state.per_epoch)
                self._step(rate)
                last = state.iteration == state.total
                logged = state.iteration % config.log_every == 0 or last
                if logged:
                    self._settle()
                self.seconds = time.perf_counter() - began
                if logged:
                    row = self.history.close_row(state.iteration, rate, self.seconds)
                    bar.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
                bar.update()
                due = config.checkpoint_every and state.iteration % config.checkpoint_every == 0
                if due or last or self.interrupted.is_set():
                    self._save()
                if self.interrupted.is_set():
                    raise KeyboardInterrupt

    def _step(self, rate: float) -> None:
        state = self.state
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        state.batch = self.batches.batch()
        self.guard.keep()
        self.optimizer.zero_grad(set_to_none=True)
        values = self.objective(self.wrapped, state.batch)
        if not isinstance(values, Mapping) or not isinstance(values.get("loss"), Tensor) or values["loss"].ndim != 0:
            raise ConfigError("objective: it must return a mapping in which 'loss' is a scalar tensor")
        self.fabric.backward(values["loss"])
        state.values = self._held(values) if self.late else {name: self._mean(value) for name, value in values.items()}
        if not self.late:
            self._check(state.iteration + 1, rate, state.values)
        for hook in self.hooks:
            hook.after_backward(state)
        self.optimizer.step()
        state.iteration += 1
        if self.late:
            self.unread.append((state.iteration, rate, state.values))
        else:
            self.history.add(state.values)
        for hook in self.hooks:
            hook.after_step(state)
        if state.iteration % state.per_epoch == 0:
            for hook in self.hooks:
                hook.on_epoch_end(state)

    def _mean(self, value: Tensor) -> float:
        value = value.detach()
        return float(value if self.fabric.world_size == 1 else self.fabric.all_reduce(value, reduce_op="mean"))

    def _held(self, values: Mapping[str, Tensor]) -> StepValues:
        """Return values that are on the device still, and note there whether the loss is finite."""
        device = self.fabric.device
        held = torch.stack([to_device(value.detach(), device).double().reshape(()) for value in values.values()])
        if self.fabric.world_size > 1:
            # Fabric's own all_reduce waits for all processes first.
            torch.distributed.all_reduce(held)
            held /= self.fabric.world_size
        names = list(values)
        self.guard.note(held[names.index("loss")])
        return StepValues(names, held)

    def _settle(self) -> None:
        """Read the values of the steps since the last call and hand them to the history."""
        read_steps([values for *_, values in self.unread])
        for iteration, rate, values in self.unread:
            self._check(iteration, rate, values)
            self.history.add(values)
        self.unread.clear()

    def _check(self, iteration: int, rate: float, values: Mapping[str, float]) -> None:
        if math.isfinite(values["loss"]):
            return
        self.guard.put_back()
        parts = ", ".join(f"{name}={value:g}" for name, value in values.items())
        raise RunError(
            f"iteration {iteration}: the loss is not finite ({parts}; learning rate {rate:g}). "
            f"Weights were not updated with it. Lower lr, lengthen warmup, or use precision='32-true' "
            f"(now {self.config.precision!r})"
        )

    def _save(self) -> None:
        if self.checkpoints is None:
            return
        self._settle()
        own = {"random": random_state(), "source": self.batches.state_dict()}
        processes = [own]
        if self.fabric.world_size > 1:
            processes = [None] * self.fabric.world_size
            torch.distributed.all_gather_object(processes, own)
        if self.leads:
            self.checkpoints.save(
                {
                    "identity": self.identity,
                    "iteration": self.state.iteration,
                    "seconds": self.seconds,
                    "model": self.model.state_dict(),
                    "optimizer": self.state.optimizer.state_dict(),
                    "precision": self.fabric.strategy.precision.state_dict(),
                    "hooks": [hook.state_dict() for hook in self.hooks],
                    "history": self.history.state_dict(),
                    "processes": processes,
                }
            )
        self.fabric.barrier()

    def _restore(self, found: Mapping[str, Any]) -> None:
        check_same_run(found["identity"], self.identity, self.folder)
        if len(found["hooks"]) != len(self.hooks):
            raise ConfigError(
                f"hooks: {len(self.hooks)} given, but the run in {self.folder} had {len(found['hooks'])}; "
                "resume with the hooks it began with"
            )
        self.state.iteration = operator.index(found["iteration"])
        self.seconds = float(found["seconds"])
        self.model.load_state_dict(found["model"])
        for group, own in zip(found["optimizer"]["param_groups"], self.state.optimizer.param_groups, strict=True):
            group["fused"] = own["fused"]  # this machine's, whichever wrote the checkpoint
        self.state.optimizer.load_state_dict(found["optimizer"])
        self.fabric.strategy.precision.load_state_dict(found["precision"])
        for hook, state in zip(self.hooks, found["hooks"], strict=True):
            hook.load_state_dict(state)
        self.history.load_state_dict(found["history"])
        own = found["processes"][self.fabric.global_rank]
        self.source.load_state_dict(own["source"])
        restore_random_state(own["random"])
