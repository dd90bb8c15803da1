"""The page on threats names tests that exist, and a test for each promise."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book" / "threats.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)


@pytest.mark.parametrize(("path", "test"), NAMED, ids=lambda part: part.rpartition("/")[2])
def test_a_named_test_exists(path, test):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_promise_names_a_test():
    # Markdown takes one line of text as the term of a definition.
    promises = re.findall(r"\n\n\w.*\n: (.*(?:\n  .*)*)", PAGE)
    assert len(promises) == len(re.findall("^: ", PAGE, re.MULTILINE)) > 10
    assert all(re.fullmatch(r"`tests/[^`]+::test_\w+`(?:,\s+`tests/[^`]+::test_\w+`)*", told) for told in promises)
