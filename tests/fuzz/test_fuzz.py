"""A short draw of the fuzz run; the whole one is ``python -m tests.fuzz``."""

import pytest

from reidlab.errors import DataError
from tests.fuzz import sandbox
from tests.fuzz.cases import MAKERS, Stock
from tests.fuzz.draws import draw_case

EACH = 8


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    return Stock(tmp_path_factory.mktemp("fuzz") / "stock")


@pytest.mark.parametrize("kind", MAKERS)
def test_generated_inputs_are_read_right_or_refused(stock, kind):
    outcomes = [draw_case(stock, kind, 1, number) for number in range(EACH)]
    faults = [f"{number}: {outcome.message}" for number, outcome in enumerate(outcomes) if outcome.status == "fault"]
    assert not faults, "\n".join(faults)


def test_the_sandbox_notices_what_it_is_there_for(stock, tmp_path, monkeypatch):
    import os
    import socket
    import time

    monkeypatch.setattr(sandbox, "LIMIT_S", 1.5)

    def refused():
        raise DataError("list.txt, line 3: no number")

    def leaves():
        (tmp_path / "home" / "x.tmp").touch()

    tried = {
        "fine": (lambda: None, "fine", ""),
        "refused": (refused, "refused", "line 3"),
        "crash": (lambda: 1 / 0, "fault", "ZeroDivisionError"),
        "wrong": (lambda: "another value", "fault", "another value"),
        "hang": (lambda: time.sleep(60), "fault", "no answer"),
        "outside": (lambda: (stock.outside / "new.txt").write_text("x") and None, "fault", "written outside"),
        "program": (lambda: os.system("true") and None, "fault", "a program was started"),
        "connection": (lambda: socket.socket().connect_ex(("127.0.0.1", 9)) and None, "fault", "a connection"),
        "litter": (leaves, "fault", "left behind"),
        "control": (lambda: print("\x1b[31m"), "fault", "control character"),
    }
    for action, status, message in tried.values():
        home = tmp_path / "home"
        home.mkdir()
        outcome = sandbox.run(action, home, stock.outside)
        assert (outcome.status, message in outcome.message) == (status, True), outcome
        for path in (*home.rglob("*.tmp"), stock.outside / "new.txt"):
            path.unlink(missing_ok=True)
        __import__("shutil").rmtree(home)
