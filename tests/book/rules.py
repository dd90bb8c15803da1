"""What the rules of claims ask the records for."""

import shutil
from collections import defaultdict
from pathlib import Path

from reidlab.lab.project import Project

CLAIMS = Path(__file__).parents[2] / "book" / "claims"


def filters(rule):
    """Return the filters of a rule, one for each side of a trend."""
    common = {**rule.get("where", {}), **({"protocol": rule["protocol"]} if "protocol" in rule else {})}
    sides = [rule[side] for side in ("larger", "smaller") if isinstance(rule.get(side), dict)]
    return [{**common, **side} for side in sides] or [common]


def nested_filters(rules):
    """Return pairs of filters of which one is part of another: it would find two records where the ledger takes one."""
    asked = defaultdict(set)
    for rule in rules:
        for wanted in filters(rule):
            asked[rule["chapter"], rule["key"]].add(frozenset(wanted.items()))
    return [(key, set(one), set(other)) for key, all_ in asked.items() for one in all_ for other in all_ if one < other]


def project_of(root, chapters, files=None):
    """A project in a folder that has these chapters and all claims, or those of some files."""
    (root / "book" / "claims").mkdir(parents=True)
    (root / "notebooks").mkdir()
    for path in CLAIMS.iterdir() if files is None else [CLAIMS / name for name in files]:
        shutil.copy(path, root / "book" / "claims")
    for chapter in chapters:
        (root / "notebooks" / f"{chapter}.ipynb").touch()
    return Project(root, root / "runs")
