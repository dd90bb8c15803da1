"""The loop: repeatable, resumable, interruptible, extensible; nothing of the process is left changed."""

import dataclasses
import os
import random
import signal
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from reidlab.errors import ConfigError, DataError, RunError
from reidlab.training import Batch, Hook, LoopConfig, Supervised, Term, loop, train
from reidlab.training.history import change_at_the_end
from reidlab.training.optimisation import make_optimizer


class StopAt(Hook):
    """Raises an error after a number of iterations, as a crash would."""

    class Crash(Exception):
        pass

    def __init__(self, iteration):
        self.iteration = iteration

    def after_step(self, state):
        if state.iteration == self.iteration:
            raise self.Crash


class InterruptAt(Hook):
    """Sends Ctrl-C in the middle of an iteration."""

    def __init__(self, iteration):
        self.iteration = iteration

    def after_backward(self, state):
        if state.iteration + 1 == self.iteration:
            os.kill(os.getpid(), signal.SIGINT)


def resume(make_model, make_source, objective, config, folder):
    """Go on from a folder's checkpoint, with a network whose own weights are others."""
    return train(
        make_model(seed=9), make_source(), objective, config, 1, hooks=[Hook()], out_dir=folder, resume=True,
        progress=False,
    )  # fmt: skip


def test_training_lowers_the_loss_and_returns_the_same_model(source, make_model, objective, config):
    model = make_model()
    result = train(model, source, objective, dataclasses.replace(config, iterations=60), seed=0, progress=False)
    assert result.model is model
    assert not model.training
    loss = result.history["loss"]
    assert loss.iloc[-1] < 0.7 * loss.iloc[0]
    assert result.seconds > 0


def test_loss_change_compares_the_last_two_tenths():
    history = pd.DataFrame({"loss": [9.0] * 16 + [2.0, 2.0, 1.0, 1.0]})
    assert change_at_the_end(history) == pytest.approx(-0.5)
    with pytest.raises(ConfigError, match="10"):
        change_at_the_end(history.head(9))


def test_history_has_one_row_per_log_and_means_of_the_iterations(source, make_model, objective, config):
    class Values(Hook):
        def __init__(self):
            self.losses = []

        def after_step(self, state):
            self.losses.append(state.values["loss"])

    hook = Values()
    config = dataclasses.replace(config, iterations=8)
    history = train(make_model(), source, objective, config, seed=0, hooks=[hook], progress=False).history
    assert list(history.columns) == ["iteration", "loss", "ce", "lr", "seconds"]
    assert history["iteration"].tolist() == [3, 6, 8]
    means = [np.mean(hook.losses[a:b]) for a, b in ((0, 3), (3, 6), (6, 8))]
    assert history["loss"].tolist() == pytest.approx(means)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_two_runs_give_identical_weights(make_model, objective, config, optimizer, make_source, identical):
    config = dataclasses.replace(config, optimizer=optimizer)
    models = [train(make_model(), make_source(), objective, config, seed=4, progress=False).model for _ in range(2)]
    assert identical(*models)
    other = train(make_model(), make_source(), objective, config, seed=5, progress=False).model
    assert not identical(models[0], other)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("crash", [5, 7, 11])
def test_a_crashed_run_resumes_to_identical_weights_and_history(
    tmp_path, make_model, objective, config, optimizer, crash, make_source, identical
):
    config = dataclasses.replace(config, optimizer=optimizer, checkpoint_every=2)
    whole = train(make_model(), make_source(), objective, config, seed=1, hooks=[Hook()], progress=False)
    with pytest.raises(StopAt.Crash):
        train(
            make_model(), make_source(), objective, config, 1, hooks=[StopAt(crash)], out_dir=tmp_path, progress=False
        )
    resumed = resume(make_model, make_source, objective, config, tmp_path)
    assert identical(whole.model, resumed.model)
    pd.testing.assert_frame_equal(whole.history.drop(columns="seconds"), resumed.history.drop(columns="seconds"))
    on_disk = pd.read_csv(tmp_path / "history.csv")
    pd.testing.assert_frame_equal(on_disk, resumed.history)
    assert on_disk["seconds"].is_monotonic_increasing


def test_an_interrupt_finishes_the_iteration_saves_and_is_raised_again(
    tmp_path, make_model, objective, config, make_source, identical
):
    whole = train(make_model(), make_source(), objective, config, seed=1, hooks=[Hook()], progress=False)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(
            make_model(), make_source(), objective, config, 1, hooks=[InterruptAt(5)], out_dir=tmp_path, progress=False
        )
    assert signal.getsignal(signal.SIGINT) is handler
    state = torch.load(tmp_path / "checkpoint-last.pt", weights_only=True)
    assert state["iteration"] == 5
    resumed = resume(make_model, make_source, objective, config, tmp_path)
    assert identical(whole.model, resumed.model)


def test_a_second_interrupt_acts_at_once(make_model, objective, config, make_source):
    class Twice(Hook):
        def after_backward(self, state):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

        def after_step(self, state):
            raise AssertionError("the iteration went on")

    with pytest.raises(KeyboardInterrupt):
        train(make_model(), make_source(), objective, config, 1, hooks=[Twice()], progress=False)


def test_the_loop_runs_outside_the_main_thread(make_model, objective, config, make_source):
    results = []
    worker = threading.Thread(
        target=lambda: results.append(train(make_model(), make_source(), objective, config, seed=0, progress=False))
    )
    worker.start()
    worker.join()
    assert len(results) == 1


def test_a_finished_run_resumes_without_training(tmp_path, make_model, objective, config, make_source, identical):
    first = train(make_model(), make_source(), objective, config, 1, out_dir=tmp_path, progress=False)
    again = train(
        make_model(seed=9), make_source(), objective, config, 1, out_dir=tmp_path, resume=True, progress=False
    )
    assert identical(first.model, again.model)
    pd.testing.assert_frame_equal(first.history, again.history)
    assert again.seconds == first.seconds


def test_resume_without_a_checkpoint_starts_from_the_beginning(
    tmp_path, make_model, objective, config, make_source, identical
):
    fresh = train(make_model(), make_source(), objective, config, 1, progress=False)
    started = train(make_model(), make_source(), objective, config, 1, out_dir=tmp_path, resume=True, progress=False)
    assert identical(fresh.model, started.model)


def test_without_resume_old_checkpoints_are_not_taken_up(tmp_path, make_model, objective, config, make_source):
    train(make_model(), make_source(), objective, config, 1, out_dir=tmp_path, progress=False)
    with pytest.raises(StopAt.Crash):
        train(make_model(), make_source(), objective, config, 2, hooks=[StopAt(2)], out_dir=tmp_path, progress=False)
    assert not list(tmp_path.glob("*.pt"))


@pytest.mark.parametrize(
    ("change", "seed", "field"),
    [
        ({"lr": 0.02}, 1, r"lr \(checkpoint 0.01, now 0.02\)"),
        ({"iterations": 20}, 1, r"iterations \(checkpoint 12, now 20\)"),
        ({}, 2, r"seed \(checkpoint 1, now 2\)"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    tmp_path, make_model, objective, config, change, seed, field, make_source
):
    train(make_model(), make_source(), objective, config, 1, out_dir=tmp_path, progress=False)
    other = dataclasses.replace(config, **change)
    with pytest.raises(ConfigError, match=field):
        train(make_model(), make_source(), objective, other, seed, out_dir=tmp_path, resume=True, progress=False)


def test_a_checkpoint_of_other_data_is_refused(tmp_path, make_model, objective, config, make_source):
    train(make_model(), make_source(), objective, config, 1, out_dir=tmp_path, progress=False)
    other = make_source(classes=3)
    with pytest.raises(ConfigError, match=r"classes \(checkpoint 4, now 3\)"):
        train(make_model(), other, objective, config, 1, out_dir=tmp_path, resume=True, progress=False)


def test_a_checkpoint_of_another_network_is_refused(tmp_path, make_model, objective, config, make_source):
    train(make_model(), make_source(), objective, config, 1, out_dir=tmp_path, progress=False)
    other = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 4))
    with pytest.raises(ConfigError, match=r"model \(checkpoint 'Drop, 9 tensors, .*now 'Sequential, 2 tensors"):
        train(other, make_source(), objective, config, 1, out_dir=tmp_path, resume=True, progress=False)


def test_how_often_checkpoints_are_written_may_change_on_resume(
    tmp_path, make_model, objective, config, make_source, identical
):
    whole = train(make_model(), make_source(), objective, config, 1, out_dir=tmp_path, progress=False).model
    config = dataclasses.replace(config, checkpoint_every=4)
    resumed = train(make_model(), make_source(), objective, config, 1, out_dir=tmp_path, resume=True, progress=False)
    assert identical(whole, resumed.model)


def test_a_damaged_checkpoint_falls_back_to_the_previous_and_ends_the_same(
    tmp_path, make_model, objective, config, make_source, identical
):
    config = dataclasses.replace(config, checkpoint_every=4)
    whole = train(make_model(), make_source(), objective, config, 1, out_dir=tmp_path, progress=False).model
    os.truncate(tmp_path / "checkpoint-last.pt", 1000)
    model = make_model(seed=9)
    train(model, make_source(), objective, config, 1, out_dir=tmp_path, resume=True, progress=False)
    assert identical(whole, model)
    for name in ("last", "previous"):
        os.truncate(tmp_path / f"checkpoint-{name}.pt", 1000)
    with pytest.raises(DataError, match="damaged or cut short"):
        train(model, make_source(), objective, config, 1, out_dir=tmp_path, resume=True, progress=False)


@pytest.mark.parametrize("field", ["identity", "model", "optimizer", "hooks", "history", "processes", "iteration"])
@pytest.mark.parametrize("value", [None, 7.5, "text", [], {}])
def test_a_field_that_is_missing_or_of_another_type_falls_back_too(
    tmp_path, make_model, objective, config, make_source, identical, field, value
):
    config = dataclasses.replace(config, checkpoint_every=4)
    arguments = {"out_dir": tmp_path, "progress": False, "hooks": [Hook()]}
    whole = train(make_model(), make_source(), objective, config, 1, **arguments).model
    state = torch.load(tmp_path / "checkpoint-last.pt", weights_only=True)
    state[field] = value
    if value is None:
        del state[field]
    torch.save(state, tmp_path / "checkpoint-last.pt")
    model = make_model(seed=9)
    if (field, value) in (("identity", {}), ("hooks", []), ("hooks", {}), ("hooks", "text")):
        with pytest.raises(ConfigError, match=r"of another run|hooks: 1 given"):
            train(model, make_source(), objective, config, 1, resume=True, **arguments)
        return
    train(model, make_source(), objective, config, 1, resume=True, **arguments)
    assert identical(whole, model)


def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_the_network_as_it_was(source, make_model, config):
    class Exploding:
        calls = 0

        def __call__(self, model, batch):
            self.calls += 1
            loss = model(batch.images).square().mean()
            return {"loss": loss * (float("nan") if self.calls == 4 else 1.0)}

    class Keep(Hook):
        def after_step(self, state):
            self.kept = {name: value.clone() for name, value in state.model.state_dict().items()}

    keep, model = Keep(), make_model()
    with pytest.raises(RunError, match=r"iteration 4: the loss is not finite \(loss=nan; learning rate"):
        train(model, source, Exploding(), config, seed=0, hooks=[keep], progress=False)
    assert all(torch.equal(value, keep.kept[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("values", [torch.zeros(()), {}, {"loss": 1.0}, {"loss": torch.zeros(2)}])
def test_an_objective_without_a_scalar_loss_is_refused(source, make_model, config, values):
    with pytest.raises(ConfigError, match="'loss' is a scalar tensor"):
        train(make_model(), source, lambda model, batch: values, config, seed=0, progress=False)


def test_hooks_are_called_in_their_places(source, make_model, objective, config, make_source):
    calls = []

    class Note(Hook):
        def on_start(self, state):
            calls.append(("start", state.iteration, state.total, state.per_epoch))

        def after_backward(self, state):
            assert all(p.grad is not None for p in state.model.parameters())
            calls.append(("backward", state.iteration))

        def after_step(self, state):
            calls.append(("step", state.iteration))

        def on_epoch_end(self, state):
            calls.append(("epoch", state.epoch))

    config = LoopConfig(epochs=2, accelerator="cpu")
    train(make_model(), make_source(per_epoch=2), objective, config, seed=0, hooks=[Note()], progress=False)
    steps = [[("backward", i), ("step", i + 1)] for i in range(4)]
    expected = [("start", 0, 4, 2), *steps[0], *steps[1], ("epoch", 1), *steps[2], *steps[3], ("epoch", 2)]
    assert calls == expected


def test_a_hooks_state_is_restored(tmp_path, make_model, objective, config, make_source):
    class Count(Hook):
        n = 0

        def after_step(self, state):
            self.n += 1

        def state_dict(self):
            return {"n": self.n}

        def load_state_dict(self, state):
            self.n = state["n"]

    config = dataclasses.replace(config, checkpoint_every=4)
    crash = [Count(), StopAt(6)]
    with pytest.raises(StopAt.Crash):
        train(make_model(), make_source(), objective, config, 1, hooks=crash, out_dir=tmp_path, progress=False)
    count = Count()
    arguments = {"out_dir": tmp_path, "resume": True, "progress": False}
    train(make_model(), make_source(), objective, config, 1, hooks=[count, Hook()], **arguments)
    assert count.n == 12
    with pytest.raises(ConfigError, match=r"hooks: 1 given, but the run in .* had 2"):
        train(make_model(), make_source(), objective, config, 1, hooks=[count], **arguments)


def test_global_generators_and_flags_are_put_back(source, make_model, objective, config):
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - that the global generator is left alone is the point
    torch.manual_seed(1)
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state())  # noqa: NPY002
    model = make_model()
    torch.set_rng_state(before[2])
    train(model, source, objective, config, seed=0, progress=False)
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ


def test_flags_are_put_back_after_an_error_too(source, make_model, objective, config):
    with pytest.raises(StopAt.Crash):
        train(make_model(), source, objective, config, seed=0, hooks=[StopAt(1)], progress=False)
    assert not torch.are_deterministic_algorithms_enabled()


def test_global_draws_between_runs_do_not_change_a_run(make_model, objective, config, make_source, identical):
    first = train(make_model(), make_source(), objective, config, seed=0, progress=False).model
    model = make_model()
    torch.rand(7)
    assert identical(first, train(model, make_source(), objective, config, seed=0, progress=False).model)


def test_mixed_precision_trains(source, make_model, objective, config):
    config = dataclasses.replace(config, precision="bf16-mixed")
    result = train(make_model(), source, objective, config, seed=0, progress=False)
    assert np.isfinite(result.history["loss"]).all()
    assert all(p.dtype == torch.float32 for p in result.model.parameters())


def test_tensorboard_gets_every_column(tmp_path, source, make_model, objective, config):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    config = dataclasses.replace(config, tensorboard=True)
    result = train(make_model(), source, objective, config, seed=0, out_dir=tmp_path, progress=False)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [e.value for e in events.Scalars("loss")] == pytest.approx(result.history["loss"].tolist())
    assert [e.step for e in events.Scalars("lr")] == [3, 6, 9, 12]


def test_tensorboard_without_a_folder_is_refused(source, make_model, objective, config):
    with pytest.raises(ConfigError, match="tensorboard: event files need a folder"):
        train(make_model(), source, objective, dataclasses.replace(config, tensorboard=True), seed=0, progress=False)


def test_resume_without_a_folder_is_refused(source, make_model, objective, config):
    with pytest.raises(ConfigError, match="resume: True without out_dir"):
        train(make_model(), source, objective, config, seed=0, resume=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_device_the_machine_lacks_is_named(source, make_model, objective, config):
    with pytest.raises(ConfigError, match=r"accelerator='cuda', devices=1.*not possible on this machine"):
        train(make_model(), source, objective, dataclasses.replace(config, accelerator="cuda"), seed=0)


def test_progress_goes_to_standard_error_and_can_be_quiet(source, make_model, objective, config, capfd):
    train(make_model(), source, objective, config, seed=0, progress=False)
    assert capfd.readouterr() == ("", "")
    train(make_model(), source, objective, config, seed=0)
    out, err = capfd.readouterr()
    assert out == ""
    assert "0/12" in err


def test_terms_of_weight_zero_are_logged_and_not_trained_on(source, make_model, config, identical):
    def objective(**weights):
        return Supervised(
            ce=Term(nn.CrossEntropyLoss(), lambda output: output),
            size=Term(lambda rows, labels: rows.square().mean(), lambda output: output, **weights),
        )

    with_term = train(make_model(), source, objective(weight=0.0), config, seed=0, progress=False)
    without = train(
        make_model(), source, Supervised(ce=Term(nn.CrossEntropyLoss(), lambda o: o)), config, seed=0, progress=False
    )
    assert identical(with_term.model, without.model)
    assert (with_term.history["loss"] == with_term.history["ce"]).all()
    assert (with_term.history["size"] > 0).all()


def test_unfit_terms_are_refused():
    term = Term(nn.CrossEntropyLoss(), lambda output: output, weight=0.0)
    with pytest.raises(ConfigError, match="at least one must be positive"):
        Supervised(ce=term)
    with pytest.raises(ConfigError, match="lr: the history has a column of that name"):
        Supervised(lr=dataclasses.replace(term, weight=1.0))


@pytest.fixture
def late(monkeypatch):
    """Makes the loop leave values on the device, as on a GPU; here the device is the CPU."""
    monkeypatch.setattr(loop, "_reads_late", lambda device, config: True)


def fused(monkeypatch):
    """The optimiser of the late loop, for the loop that reads at once: their sums are in another order than usual."""
    monkeypatch.setattr(loop, "make_optimizer", lambda model, config, fused: make_optimizer(model, config, fused=True))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_values_read_late_are_those_read_at_once(
    tmp_path, monkeypatch, make_model, objective, config, optimizer, make_source, identical
):
    config = dataclasses.replace(config, optimizer=optimizer, checkpoint_every=5)
    with monkeypatch.context() as patch:
        fused(patch)
        wanted = train(make_model(), make_source(), objective, config, seed=1, hooks=[Hook()], progress=False)
    monkeypatch.setattr(loop, "_reads_late", lambda device, config: True)
    arguments = {"out_dir": tmp_path, "progress": False}
    found = train(make_model(), make_source(), objective, config, 1, hooks=[Hook()], **arguments)
    assert identical(found.model, wanted.model)
    columns = ["iteration", "loss", "ce", "lr"]
    pd.testing.assert_frame_equal(found.history[columns], wanted.history[columns])
    with pytest.raises(StopAt.Crash):
        train(make_model(), make_source(), objective, config, 1, hooks=[StopAt(7)], **arguments)
    again = train(make_model(seed=9), make_source(), objective, config, 1, hooks=[Hook()], resume=True, **arguments)
    assert identical(again.model, wanted.model)
    pd.testing.assert_frame_equal(again.history[columns], wanted.history[columns])


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("bad", [1, 4])
def test_late_a_loss_that_is_not_finite_stops_the_run_at_the_next_row_and_changes_nothing(
    late, source, make_model, config, optimizer, bad
):
    class Explode:
        calls = 0

        def __call__(self, model, batch):
            self.calls += 1
            loss = model(batch.images).square().mean()
            return {"loss": loss * float("nan") if self.calls == bad else loss}

    class Keep(Hook):
        def on_start(self, state):
            self.optimizer, self.kept = state.optimizer, []
            self.after_step(state)

        def after_step(self, state):
            moments = [v for of in state.optimizer.state.values() for v in of.values()]
            self.kept.append([v.clone() for v in (*state.model.state_dict().values(), *moments)])

    keep, model, objective = Keep(), make_model(), Explode()
    config = dataclasses.replace(config, optimizer=optimizer)
    with pytest.raises(RunError, match=rf"iteration {bad}: the loss is not finite \(loss=nan; learning rate"):
        train(model, source, objective, config, seed=0, hooks=[keep], progress=False)
    row = 3 if bad == 1 else 6
    assert objective.calls == row
    assert len(keep.kept) == 1 + row
    tensors = len(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), keep.kept[bad - 1]))
    if bad > 1:  # what moments the first step makes, nobody sees
        assert all(torch.equal(a, b) for a, b in zip(keep.kept[row][tensors:], keep.kept[bad - 1][tensors:]))


def test_late_no_checkpoint_is_written_after_a_loss_that_is_not_finite(late, tmp_path, source, make_model, config):
    def explode(model, batch):
        return {"loss": model(batch.images).square().mean() * float("inf")}

    config = dataclasses.replace(config, log_every=100, checkpoint_every=2)
    with pytest.raises(RunError, match="iteration 1: the loss is not finite"):
        train(make_model(), source, explode, config, 0, out_dir=tmp_path, progress=False)
    assert not list(tmp_path.glob("*.pt"))


def test_late_no_step_reads_a_value(late, source, make_model, objective, config):
    """Fake tensors have shapes and no values, so that whatever reads one fails: the first row, and nothing before."""

    class Fake(Hook):
        steps = 0

        def after_step(self, state):
            self.steps += 1

    class FakeSource(type(source)):
        def batch(self, device):
            return Batch(*(mode.from_tensor(part) for part in super().batch(device)))

    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        model = make_model()
    model.to = lambda device: model  # fake weights are not moved
    hook = Fake()
    with pytest.raises(DataDependentOutputException):
        train(model, FakeSource(), objective, config, seed=0, hooks=[hook], progress=False)
    assert hook.steps == config.log_every


@pytest.mark.parametrize("prefetch", [True, False, None])
def test_batches_made_ahead_change_nothing(tmp_path, make_model, objective, config, make_source, identical, prefetch):
    whole = train(make_model(), make_source(), objective, config, seed=1, hooks=[Hook()], progress=False)
    changed = dataclasses.replace(config, prefetch=prefetch)
    with pytest.raises(KeyboardInterrupt):
        train(
            make_model(), make_source(), objective, changed, 1, hooks=[InterruptAt(5)], out_dir=tmp_path, progress=False
        )
    assert not any(thread.name.startswith("next-batch") for thread in threading.enumerate())
    # Whether batches are made ahead is no part of what a run is: it resumes the other way.
    resumed = resume(make_model, make_source, objective, config, tmp_path)
    assert identical(whole.model, resumed.model)
    pd.testing.assert_frame_equal(whole.history.drop(columns="seconds"), resumed.history.drop(columns="seconds"))
