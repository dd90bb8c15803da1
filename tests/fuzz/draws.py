"""One case by its number: the same number and seed give the same files."""

import random
import shutil

from tests.fuzz import sandbox
from tests.fuzz.cases import MAKERS, Stock


def draw_case(stock: Stock, kind: str, seed: int, number: int) -> sandbox.Outcome:
    """Make the files of a case, try them in a process of its own, and return what became of them."""
    home = stock.folder / "cases" / f"{kind}-{number}"
    home.mkdir(parents=True)
    try:
        action = MAKERS[kind](stock, home, random.Random(f"{seed} {kind} {number}"))
        return sandbox.run(action, home, stock.outside)
    finally:
        shutil.rmtree(home, ignore_errors=True)
