"""Claims of chapter 5 that need no data: complete by table, and asking for what the audit counts."""

from collections import Counter
from pathlib import Path

from reidlab.lab import claims
from reidlab.lab.claim_files import rows_of
from reidlab.lab.project import Project
from reidlab.pruning.audit import ENTRIES
from tests.book.rules import nested_filters

FILE = Path(__file__).parents[2] / "book" / "claims" / "chapter5_accounting.yml"
PROBLEMS = []
ROWS = [row for row, _ in rows_of(FILE, PROBLEMS)]
RULES = [(row, row["rule"]) for row in ROWS if row["rule"]]

# Counts and shares that each table prints of networks whose widths are known, without our own questions.
PRINTED = {
    ("dissertation", "Table 5.1"): 12,
    ("dissertation", "Table 5.2"): 2,
    ("dissertation", "Table 5.3"): 15,
    ("dissertation", "Table 5.4"): 2,
    ("dissertation", "Table 5.5"): 15,
    ("dissertation", "Table 5.7"): 6,
    ("dissertation", "Table 5.8"): 6,
    ("dissertation", "Table 6.2"): 2,
    ("dissertation", "Section 5.4.4"): 1,
    ("dissertation", "Section 8.4.1"): 1,
    ("survey", "Table 3"): 13,
    ("survey", "Table 5"): 8,
}


def test_every_claim_loads():
    book = claims.read(Project.find())
    assert PROBLEMS == []
    assert [problem for problem in book.problems if FILE.name in problem or "inventory" in problem] == []
    assert {row["id"] for row in ROWS} <= {claim.id for claim in book.claims}
    assert len({row["id"] for row in ROWS}) == len(ROWS)


def test_every_number_of_a_table_is_asked_once():
    counted = Counter(
        (row["source"], row["item"]) for row, _ in RULES if row["basis"] == "recounted" and row.get("whose") != "ours"
    )
    assert counted == PRINTED


def test_rules_ask_for_entries_that_are_counted():
    known = {(entry.source, entry.item, entry.name) for entry in ENTRIES}
    known |= {("dissertation", "Table 5.4", "shallow-mixed")}
    known |= {("dissertation", "Section 8.4.1", f"resnet-34-last-stride-{stride}") for stride in (1, 2)}
    for row, rule in RULES:
        if row["basis"] == "recounted":
            where = rule["where"]
            assert (where["source"], where["item"], where["entry"]) in known, row["id"]
            assert (where["source"], where["item"]) == (row["source"], row["item"]), row["id"]
    assert nested_filters(rule for _, rule in RULES) == []


def test_what_cannot_be_counted_is_quoted():
    for row in ROWS:
        assert isinstance(row["printed"], str), row["id"]
        if row["rule"] is None:
            assert row["note"].startswith("quoted"), row["id"]
