"""Tables 2.1 to 2.5 and Fig. 2.5: what non-local attention buys and costs, and what its reductions save."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from reidlab.errors import ConfigError
from reidlab.seeding import derive
from reidlab.video.notes import Notes, Row
from reidlab.video.sets import VideoSet, decode, embedded
from reidlab.video.setup import Outcome, Setup, run

if TYPE_CHECKING:
    import pandas as pd

    from reidlab.models import ReIDNet, VideoNet
    from reidlab.world import WorldSpec

PROTOCOL = "mars-ste-nvan"

#: The rows of Table 2.1.
NETWORKS = ("c2d", "c2d-max", "nvan", "nvan-spatial", "nvan-temporal", "ste-nvan")

#: Where Table 2.5 merges frames: the dissertation's words, and torchvision's names of the stages.
POOLING: Mapping[str, tuple[str, ...]] = {"3dap": (), "stage4": ("layer3",), "stage3+stage4": ("layer2", "layer3")}

ABLATIONS = ("frames", "layers", "stripes", "pooling")


@dataclass(frozen=True, eq=False)
class Measured:
    """Everything measured for one seed.

    Attributes:
        data: the seed's tracklets.
        pictures: the network trained on single pictures, from whose backbone all start.
        outcomes: of each network with the long budget, by name.
        rows: one mapping per record.
    """

    data: VideoSet
    pictures: ReIDNet
    outcomes: dict[str, Outcome]
    rows: list[Row]


@dataclass(frozen=True)
class NetworkStudy:
    """What notebook 02a measures, and on how much.

    A seed stands for a world of its own and for a training run of each network in it. All networks of an experiment
    start from one backbone and have the same budget.

    Attributes:
        setup: sizes and budgets; its ``iterations`` are the long budget.
        short: steps of the short budget, which the experiments of Tables 2.2 to 2.5 have.
        networks: rows of Table 2.1.
        ablations: of ``frames, layers, stripes, pooling``, what to vary as Tables 2.2 to 2.5 do.
        scenario: name of the world.
        people: identities to train on, and as many others to test on.
        drift: share of a track's frames on which the tracker has slid off.
        tracklet_frames: pictures of a tracklet.

    Raises:
        ConfigError: a network or an experiment is unknown.
    """

    setup: Setup = field(default_factory=Setup)
    short: int = 120
    networks: Sequence[str] = NETWORKS
    ablations: Sequence[str] = ABLATIONS
    scenario: str = "video"
    people: int = 60
    drift: float = 0.3
    tracklet_frames: int = 8

    def __post_init__(self) -> None:
        from reidlab.models.video import NETWORKS as known

        for name in self.networks:
            if name not in known:
                raise ConfigError(f"networks: there is none called {name!r}; choose from {', '.join(known)}")
        for name in self.ablations:
            variants(name, self.setup)
        self.setup.config(self.short)

    def world(self, seed: int) -> WorldSpec:
        """Return a seed's world: people hidden in turn, boxes that jitter, trackers that slip."""
        from reidlab.world.scenarios import scenario

        return scenario(
            self.scenario, seed=derive(seed, "chapter 2 world") % 2**31, train_people=self.people,
            test_people=self.people, drift=self.drift, tracklet_frames=self.tracklet_frames,
        )  # fmt: skip

    def measure(self, seed: int) -> Measured:
        """Draw a seed's world, train every network on it and score it."""
        return self.measure_on(embedded(self.world(seed), self.setup.size), seed, "embedded")

    def example(self, seed: int) -> Measured:
        """Train the baseline and NVAN alone, with the short budget: networks to look into."""
        setup = replace(self.setup, iterations=self.short)
        return replace(self, setup=setup, networks=("c2d", "nvan"), ablations=()).measure(seed)

    def untrained(self) -> dict[str, VideoNet]:
        """Return the networks that are compared, as they are built: what they cost does not depend on training."""
        from reidlab.models import resnet, video_network

        setup, built = self.setup, {}
        for name in self.networks:
            backbone = resnet(setup.depth, width=setup.width, blocks=setup.blocks, last_stride=1)
            options = {"size": tuple(setup.size), "frames": setup.frames, "stripes": setup.stripes}
            built[name] = video_network(name, 1, backbone, **options)
        return built

    def small_costs(self) -> pd.DataFrame:
        """Return parameters and MACs of a clip for each network at the size trained here, by its name."""
        import pandas as pd

        from reidlab.models import cost

        shape = (self.setup.frames, 3, *self.setup.size)
        costs = {name: cost(model, shape) for name, model in self.untrained().items()}
        rows = {name: {"params": c.params(), "macs": c.view("whole") * 1e9} for name, c in costs.items()}
        return pd.DataFrame(rows).T

    def measure_real(self, name: str, seed: int) -> list[Row]:
        """Train every network on a real data set and score it; the rows of the records."""
        from reidlab.data import load
        from reidlab.data.catalogue import find

        return self.measure_on(decode(load(name), find(name).path, self.setup.size, name), seed, name).rows

    def measure_on(self, data: VideoSet, seed: int, label: str) -> Measured:
        """Train every network on a set of tracklets and score it.

        Args:
            data: the tracklets.
            seed: of the training runs.
            label: what the records call the data.
        """
        pictures = self.setup.learn_on_pictures(data.train, derive(seed, "pictures"))

        def trained(network: str, iterations: int, options: Mapping[str, Any]) -> Outcome:
            model = self.setup.build(network, data.identities, pictures, seed, **options)
            config = self.setup.config(iterations, **{k: v for k, v in options.items() if k == "frames"})
            return run(model, data, config, derive(seed, "clips"), [PROTOCOL], "restricted")

        notes = Notes(label, seed)
        long = {name: trained(name, self.setup.iterations, {}) for name in self.networks}
        same = self.short == self.setup.iterations
        short = long if same else {name: trained(name, self.short, {}) for name in self.networks}
        for experiment, outcomes in (("networks", long), ("networks-short", short)):
            for name, outcome in outcomes.items():
                notes.scores(outcome, PROTOCOL, experiment=experiment, network=name)
                notes.training(outcome, experiment=experiment, network=name)
            for name, reference in (("nvan", "c2d"), ("nvan-spatial", "nvan"), ("ste-nvan", "c2d")):
                if {name, reference} <= set(outcomes):
                    dims = {"experiment": experiment, "network": name, "reference": reference}
                    notes.gain(outcomes[name], outcomes[reference], PROTOCOL, **dims)
        for experiment in self.ablations:
            found = {}
            for variant in variants(experiment, self.setup):
                plain = variant.network if not variant.options else variant.same_as
                known = short.get(plain) if plain else None
                found[variant.value] = known or trained(variant.network, self.short, variant.options)
                notes.scores(found[variant.value], PROTOCOL, experiment=experiment, **variant.dims)
            last = variants(experiment, self.setup)[-1]
            for value, reference, dims in _gains(experiment, found, last.network):
                notes.gain(found[value], found[reference], PROTOCOL, experiment=experiment, **dims)
        return Measured(data, pictures, long, notes.rows)


@dataclass(frozen=True)
class Variant:
    """One row of Tables 2.2 to 2.5.

    Attributes:
        value: of what the table varies.
        dims: dimensions of its records.
        network: name of the network.
        options: of the network.
        same_as: network of Table 2.1 that it equals, if it has options all the same.
    """

    value: int | str
    dims: Mapping[str, Any]
    network: str
    options: Mapping[str, Any] = field(default_factory=dict)
    same_as: str = ""


def variants(experiment: str, setup: Setup) -> list[Variant]:
    """Return the rows of Table 2.2 (frames), 2.3 (layers), 2.4 (stripes) or 2.5 (pooling); the last is the full one.

    Frames and stripes are scaled to the setup: half, three quarters and all of its frames; a quarter, half and all of
    its stripes.

    Raises:
        ConfigError: there is no such experiment.
    """
    full, stripes = setup.frames, setup.stripes
    if experiment == "frames":
        counts = sorted({max(1, full // 2), max(1, 3 * full // 4), full})
        return [
            Variant(n, {"network": "nvan", "frames": n}, "nvan", {} if n == full else {"frames": n}) for n in counts
        ]
    if experiment == "layers":
        return [
            Variant(n, {"network": "nvan", "layers": n}, "nvan", {} if n == 5 else {"layers": n}) for n in (1, 3, 5)
        ]
    if experiment == "stripes":
        counts = sorted({max(1, stripes // 4), max(1, stripes // 2), stripes})
        name = "nvan-spatial"
        return [
            Variant(n, {"network": name, "stripes": n}, name, {} if n == stripes else {"stripes": n}) for n in counts
        ]
    if experiment == "pooling":
        twins = {"3dap": "nvan", "stage4": "", "stage3+stage4": "nvan-temporal"}
        return [
            Variant(name, {"pooling": name}, "nvan", {"pooling": stages}, twins[name])
            for name, stages in POOLING.items()
        ]
    raise ConfigError(f"ablations: there is none called {experiment!r}; choose from {', '.join(ABLATIONS)}")


def _gains(experiment: str, found: Mapping[int | str, Outcome], network: str) -> Iterator[tuple]:
    """Yield value, reference and dimensions of the differences that claims ask for."""
    if experiment == "stripes" and len(found) > 1:
        fewest, most = min(found), max(found)
        yield most, fewest, {"network": network, "stripes": most, "reference": f"stripes-{fewest}"}
    if experiment == "pooling":
        yield "stage4", "3dap", {"pooling": "stage4", "reference": "3dap"}


def latency(model: VideoNet, frames: int, size: tuple[int, int], repeats: int = 15) -> float:
    """Return the median seconds of one clip's pass through a network, in evaluation mode on its own device."""
    import time

    import torch

    from reidlab.models import evaluating

    clip = torch.zeros((1, frames, 3, *size), device=next(model.parameters()).device)
    seconds = []
    with evaluating(model), torch.inference_mode():
        for _ in range(repeats + 2):
            began = time.perf_counter()
            model(clip).embedding.cpu()
            seconds.append(time.perf_counter() - began)
    return median(seconds[2:])
