"""The process around one notebook: how an end becomes an event."""

import errno
import sys
import types

import pytest

from reidlab.lab import notebook
from reidlab.lab.execute import execute

papermill = pytest.importorskip("papermill")

JOB = {"source": "a.ipynb", "target": "b.ipynb", "parameters": {"x": 1}, "cwd": ".", "code_cells": 2}
CODE = types.SimpleNamespace(cell_type="code")


def run(monkeypatch, *attempts):
    """Execute with a papermill that does these things, one each time it is called."""
    waiting = list(attempts)
    said = []

    def execute_notebook(*_, on_cell_start, **__):
        waiting.pop(0)(on_cell_start)

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    end = execute(JOB, lambda **event: said.append(event))
    return end, said, len(attempts) - len(waiting)


def works(on_cell_start):
    for _ in range(3):
        on_cell_start(cell=CODE, cell_index=0)
    on_cell_start(cell=types.SimpleNamespace(cell_type="markdown"), cell_index=1)


def no_kernel(_):
    raise RuntimeError("Kernel died before replying to kernel_info")


def dies_at_work(on_cell_start):
    on_cell_start(cell=CODE, cell_index=0)
    raise RuntimeError("Kernel died")


def full(_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_cells_are_counted_with_the_injected_parameters(monkeypatch):
    end, said, _ = run(monkeypatch, works)
    assert end == {"event": "done"}
    assert [(event["number"], event["total"]) for event in said] == [(1, 3), (2, 3), (3, 3)]


def test_a_kernel_that_does_not_start_is_started_again(monkeypatch):
    assert run(monkeypatch, no_kernel, works)[0] == {"event": "done"}
    end, _, attempts = run(monkeypatch, no_kernel, no_kernel, no_kernel, works)
    assert end["reason"] == "RuntimeError: Kernel died before replying to kernel_info"
    assert attempts == 3


def test_a_kernel_that_dies_at_work_is_not_started_again(monkeypatch):
    end, _, attempts = run(monkeypatch, dies_at_work, works)
    assert (end["event"], end["reason"], attempts) == ("failed", "RuntimeError: Kernel died", 1)


def test_a_full_disk_is_said_so(monkeypatch):
    assert run(monkeypatch, full)[0] == {"event": "failed", "cell": None, "reason": "the disk is full"}


def test_an_error_in_a_cell_names_the_cell(monkeypatch):
    from papermill.exceptions import PapermillExecutionError

    def fails(_):
        raise PapermillExecutionError(4, 3, "1 / 0", "ZeroDivisionError", "division by zero", [])

    assert run(monkeypatch, fails)[0] == {"event": "failed", "cell": 3, "reason": "ZeroDivisionError: division by zero"}


@pytest.mark.parametrize("before", [{}, {notebook.ADDRESS_GRAMMAR: types.ModuleType(notebook.ADDRESS_GRAMMAR)}])
def test_notebook_libraries_are_imported_without_the_grammar_of_addresses(monkeypatch, before):
    monkeypatch.delitem(sys.modules, notebook.ADDRESS_GRAMMAR, raising=False)
    for name, module in before.items():
        monkeypatch.setitem(sys.modules, name, module)
    with notebook.without_address_grammar():
        # What has it already keeps it.
        assert sys.modules[notebook.ADDRESS_GRAMMAR] is before.get(notebook.ADDRESS_GRAMMAR)
    assert sys.modules.get(notebook.ADDRESS_GRAMMAR) is before.get(notebook.ADDRESS_GRAMMAR)
    assert (notebook.ADDRESS_GRAMMAR in sys.modules) == bool(before)
