"""Time of removing filters from VGG-19, and of judging one layer's candidates from stored activations.

Run: python tests/benchmarks/bench_surgery.py [--threads N] [--repeats N]

Surgery is held against a copy of the network: it copies what stays. Following the network once, which finds what hangs
together, is timed by itself; the first call in a process loads parts of torch. Candidates of VGG-19's layers are judged
by full passes and from the activations before the layer, in turns.
"""

import argparse
import copy
import time
from statistics import median

import torch
from clock import seconds
from torch import nn

from reidlab.models.vgg import VGG, vgg_widths
from reidlab.pruning.couplings import follow
from reidlab.pruning.criteria import ranking
from reidlab.pruning.evaluation import BatchEvaluation
from reidlab.pruning.removal import removed

LIMIT_S = 0.5


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--repeats", type=int, default=5)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = VGG(vgg_widths(19)).eval()
    example = torch.zeros(1, 3, 32, 32)
    follow(model, example)
    couplings = follow(model, example)
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]

    def surgery():
        halves = {
            name: ranking(model.get_submodule(name))[: model.get_submodule(name).out_channels // 2] for name in layers
        }
        return removed(model, couplings, halves)

    times = {"follow": [], "surgery": [], "copy": []}
    for _ in range(options.repeats):
        times["follow"].append(seconds(lambda: follow(model, example)))
        times["surgery"].append(seconds(surgery))
        times["copy"].append(seconds(lambda: copy.deepcopy(model)))
    found = {name: median(values) for name, values in times.items()}
    verdict = "under" if found["follow"] + found["surgery"] < LIMIT_S else "OVER"
    print(
        f"VGG-19, half of every layer: followed in {found['follow']:.3f} s, ranked and removed in "
        f"{found['surgery']:.3f} s, {verdict} {LIMIT_S} s together; {found['surgery'] / found['copy']:.1f} times a copy"
    )

    batches = [torch.randn(32, 3, 32, 32) for _ in range(2)]
    evaluate = BatchEvaluation(batches, lambda outputs: float(sum(out.sum() for out in outputs)))
    for counts, what in (((4,), "the probe of each layer"), ((4, 6, 7), "three candidates of each layer")):
        full = short = 0.0
        after = None
        for layer in layers[:-1]:
            order = ranking(model.get_submodule(layer))
            candidates = [removed(model, couplings, {layer: order[: len(order) * n // 8]}) for n in counts]
            start = time.perf_counter()
            whole = [evaluate(candidate) for candidate in candidates]
            full += time.perf_counter() - start
            start = time.perf_counter()
            after = evaluate.after(model, layer, after)
            shared = [after(candidate) for candidate in candidates]
            short += time.perf_counter() - start
            assert shared == whole
        print(f"{what:30}  full passes {full:.2f} s, from activations {short:.2f} s, ratio {full / short:.2f}")


if __name__ == "__main__":
    main()
