"""Training in two processes against the same gradients averaged by hand."""

import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

TASK = """
    import torch
    from torch import nn
    from reidlab.errors import RunError
    from reidlab.seeding import rng
    from reidlab.training import loop
    from reidlab.training import Batch, Hook, LoopConfig, Supervised, Term, train

    class Rows:
        def __len__(self):
            return 2

        def start(self, seed, rank):
            self.random = rng(seed, "rows", rank)

        def batch(self, device):
            images = torch.from_numpy(self.random.standard_normal((6, 4))).float()
            labels = torch.from_numpy(self.random.integers(0, 3, 6))
            return Batch(images, labels, labels)

        def describe(self):
            return {}

        def state_dict(self):
            return {"random": self.random.bit_generator.state}

        def load_state_dict(self, state):
            self.random.bit_generator.state = state["random"]

    def model():
        torch.manual_seed(0)
        return nn.Linear(4, 3)

    def config(iterations, **values):
        return LoopConfig(
            iterations=iterations, optimizer="sgd", schedule="constant", lr=0.1, momentum=0.0, weight_decay=0.0,
            accelerator="cpu", log_every=1, **values,
        )

    objective = Supervised(ce=Term(nn.CrossEntropyLoss(), lambda output: output))
"""

RUN = """
    import sys

    class Crash(Hook):
        def after_step(self, state):
            if state.iteration == 3:
                raise ValueError("out of luck")

    folder = sys.argv[1]
    two = config(4, devices=2, checkpoint_every=2)
    whole = train(model(), Rows(), objective, two, 7, hooks=[Hook()], progress=False)
    try:
        train(model(), Rows(), objective, two, 7, hooks=[Crash()], out_dir=folder, progress=False)
    except RunError as error:
        message = str(error)
    resumed = train(model(), Rows(), objective, two, 7, hooks=[Hook()], out_dir=folder, resume=True, progress=False)
    loop._reads_late = lambda device, config: True
    late = train(model(), Rows(), objective, two, 7, progress=False)
    torch.save(
        {
            "weight": whole.model.weight.data,
            "resumed": resumed.model.weight.data,
            "loss": whole.history["loss"].tolist(),
            "message": message,
            "late": (late.model.weight.data, late.history["loss"].tolist()),
        },
        sys.argv[1] + "/result.pt",
    )
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What two forked processes made of the task; forked from a fresh interpreter, whose threads have not started."""
    folder = tmp_path_factory.mktemp("processes")
    code = textwrap.dedent(TASK) + textwrap.dedent(RUN)
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return torch.load(folder / "result.pt")


def test_gradients_are_averaged_over_the_processes(outcome):
    names: dict = {}
    exec(textwrap.dedent(TASK), names)
    model, rows = names["model"](), [names["Rows"](), names["Rows"]()]
    for rank, source in enumerate(rows):
        source.start(7, rank)
    losses = []
    for _ in range(4):
        batches = [source.batch(torch.device("cpu")) for source in rows]
        loss = sum(nn.functional.cross_entropy(model(b.images), b.labels) for b in batches) / 2
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for p in model.parameters():
                p -= 0.1 * p.grad
        losses.append(loss.item())
    torch.testing.assert_close(outcome["weight"], model.weight.data)
    assert outcome["loss"] == pytest.approx(losses)


def test_a_failed_process_is_reported_and_the_run_resumes(outcome):
    assert outcome["message"] == "a worker process failed: ValueError: out of luck"
    assert torch.equal(outcome["weight"], outcome["resumed"])


def test_values_that_are_read_late_are_means_over_the_processes_too(outcome):
    weight, loss = outcome["late"]
    torch.testing.assert_close(weight, outcome["weight"])
    assert loss == pytest.approx(outcome["loss"])
