"""Public docstrings say which errors are raised and which shapes arrays have; every test asserts something."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "reidlab").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
#: A shape such as (N,), (B, T, H, W, 3) or (B, C) -> (B,); "scalar" and "a number" are shapes too.
SHAPE = re.compile(r"\([\w' +*\\/.-]+,[^()]*\)|scalar|any shape")
ARRAYS = re.compile(r"\b(ndarray|Tensor)\b")
ASSERTING = {"raises", "warns", "fail", "deprecated_call"}


def public_functions(path):
    """Yield qualified name, function and its class (or None) of what a module offers."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, node, None
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    yield f"{node.name}.{inner.name}", inner, node


def raised(function):
    """Return the names of the package's errors that a function raises itself."""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and node.exc is not None:
            error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            found.add(getattr(error, "id", getattr(error, "attr", "")))
    return {name for name in found if name.endswith("Error") and name not in ("NotImplementedError", "AttributeError")}


def documented(function, owner):
    """Return the text that documents a function: its own, and its class's for what makes an instance."""
    own = ast.get_docstring(function) or ""
    if owner is not None and function.name in ("__init__", "__post_init__", "forward", "__call__"):
        return own + (ast.get_docstring(owner) or "")
    return own


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_errors_that_are_raised_are_documented(path):
    silent = {}
    for name, function, owner in public_functions(path):
        if function.name.startswith("_") and function.name not in ("__init__", "__post_init__", "__call__"):
            continue
        text = documented(function, owner)
        section = text.partition("Raises:")[2]
        if missing := {error for error in raised(function) if error not in section}:
            silent[name] = sorted(missing)
    assert not silent, f"raise without saying so: {silent}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_shapes_of_arrays_are_documented(path):
    silent = []
    for name, function, owner in public_functions(path):
        if function.name.startswith("_") and function.name != "__call__":
            continue
        arguments = [*function.args.args, *function.args.kwonlyargs]
        notes = [ast.unparse(a.annotation) for a in arguments if a.annotation]
        notes += [ast.unparse(function.returns)] if function.returns else []
        if any(ARRAYS.search(note) for note in notes) and not SHAPE.search(documented(function, owner)):
            silent.append(name)
    assert not silent, f"take or return arrays without giving a shape: {silent}"


def asserts(function, helpers, seen=()):
    """Return whether a function asserts something, itself or through a function of its module."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Attribute) and (node.attr in ASSERTING or node.attr.startswith("assert_")):
            return True
        name = getattr(node, "id", "") if isinstance(node, ast.Name) else ""
        if name in helpers and name not in seen and asserts(helpers[name], helpers, (*seen, name)):
            return True
    return False


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_asserts(path):
    tree = ast.parse(path.read_text())
    helpers = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    idle = [name for name, node in helpers.items() if name.startswith("test_") and not asserts(node, helpers)]
    assert not idle, f"never assert: {idle}"
