"""Draw many cases: ``python -m tests.fuzz --count 1000 --seed 0 [--kind pictures]``."""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.fuzz.cases import MAKERS, Stock
from tests.fuzz.draws import draw_case


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=MAKERS)
    options = parser.parse_args()
    kinds = [options.kind] if options.kind else list(MAKERS)
    tally: Counter[tuple[str, str]] = Counter()
    longest = 0.0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        stock = Stock(Path(name) / "stock")
        for number in range(options.count):
            kind = kinds[number % len(kinds)]
            outcome = draw_case(stock, kind, options.seed, number)
            tally[kind, outcome.status] += 1
            longest = max(longest, outcome.seconds)
            if outcome.status == "fault":
                print(f"{kind} {options.seed}/{number}: {outcome.message}\n", flush=True)
    for kind in kinds:
        print(f"{kind:<14}", *(f"{status} {tally[kind, status]:>4}" for status in ("fine", "refused", "fault")))
    faults = sum(count for (_, status), count in tally.items() if status == "fault")
    print(f"{options.count} cases, seed {options.seed}: {faults} faults; the longest took {longest:.1f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
