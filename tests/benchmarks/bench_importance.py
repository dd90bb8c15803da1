"""Time of ranking all channels of a ResNet-50 against plain training passes, and of its resource impacts.

Run: python tests/benchmarks/bench_importance.py [--threads N] [--repeats N] [--batch N]

Both train by SGD on the same batches, in turns; one also takes in the gates' gradients. Impacts on MACs and parameters
of all channels are computed at once, and held against counting the network anew without a channel, as the authors' code
does for each layer: the time of one such count, times the number of groups of channels.
"""

import argparse
from statistics import median

import torch
from clock import seconds
from torch.nn import functional as F

from reidlab.models import resnet
from reidlab.models.cost import cost
from reidlab.pruning.candidates import candidates
from reidlab.pruning.couplings import follow
from reidlab.pruning.loss_impact import LossImpact
from reidlab.pruning.removal import removed
from reidlab.pruning.resources import Layers, resource

LIMIT, LIMIT_S = 1.3, 1.0


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--batch", type=int, default=8)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    shape = (3, 256, 128)
    model = resnet(50, num_classes=100).train()
    images, labels = torch.randn(options.batch, *shape), torch.randint(0, 100, (options.batch,))
    found = candidates(model, follow(model, images[:1]))
    impact = LossImpact()
    impact.begin(model, found)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def step(rank: bool) -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(images), labels).backward()
        if rank:
            impact.update()
        optimizer.step()

    step(rank=True)
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(options.repeats):
        for rank in times:
            times[rank].append(seconds(lambda rank=rank: step(rank)))
    plain, ranked = median(times[False]), median(times[True])
    verdict = "under" if ranked < LIMIT * plain else "OVER"
    print(
        f"ResNet-50, {len(found)} candidates, {options.batch} pictures: a training pass {plain:.2f} s, with the "
        f"ranking {ranked:.2f} s, {ranked / plain:.3f} times, {verdict} {LIMIT}"
    )

    layers = Layers(model, found, shape)
    resources = [resource(name, layers) for name in ("macs", "params")]

    def impacts() -> None:
        widths = layers.widths(found)
        for item in resources:
            item.impact(widths, 0)

    def again() -> None:
        cost(removed(model, found.couplings, {"layer3.1.conv2": [0]}), shape)

    impacts()
    once = median(seconds(impacts) for _ in range(options.repeats))
    counted = median(seconds(again) for _ in range(options.repeats))
    groups = sum(not group.fixed for group in found.couplings.groups)
    verdict = "under" if once < LIMIT_S else "OVER"
    print(
        f"impacts of all channels {once:.3f} s, {verdict} {LIMIT_S} s; the network counted anew once {counted:.2f} s: "
        f"for each of {groups} groups {groups * counted / once:.0f} times as long, for each channel "
        f"{len(found) * counted / once:.0f} times"
    )


if __name__ == "__main__":
    main()
