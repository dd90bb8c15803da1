"""Claims of chapter 6: complete by table, true to the print, and asking for what can be recorded."""

import re
from collections import Counter

import pytest

from reidlab.lab import claims, statements
from reidlab.lab.claim_files import rows_of
from tests.book.rules import CLAIMS, filters, nested_filters, project_of

CHAPTER = "06_global_pruning"
PROBLEMS = []
ROWS = [row for row, _ in rows_of(CLAIMS / "chapter6_global.yml", PROBLEMS)]
BY_ID = {row["id"]: row for row in ROWS}
RULES = [(row, row["rule"]) for row in ROWS if row["rule"]]

# Read off once more. Table 6.1: budgets (f, p), then what is left of both, top-1, its drop and its gain.
DESIGNS = ["baseline", "f", "p", "pair", "reached"]
TABLE_1 = {
    "resnet-50-a": """76.13
        f.33 p.31 32.83 25.94 71.57 4.56 -
        f.33 - 32.95 49.40 73.90 2.23 2.33
        - p.26 46.64 25.80 71.96 4.17 0.39
        f.33 p.31 32.90 30.76 72.39 3.74 0.82
        f.33 p.26 32.47 25.89 71.92 4.22 0.34""",
    "resnet-50-b": """76.13
        f.65 p.70 64.83 64.27 75.59 0.54 -
        f.65 - 64.58 85.72 76.02 0.11 0.43
        - p.65 79.80 64.70 75.80 0.33 0.21
        f.65 p.70 64.95 69.88 75.83 0.30 0.24
        f.65 p.65 64.81 64.61 75.69 0.44 0.10""",
    "resnet-34": """73.31
        f.78 p.79 77.55 71.43 72.67 0.64 -
        f.78 - 77.47 90.43 73.15 0.16 0.48
        - p.72 85.89 71.29 72.72 0.59 0.05
        f.78 p.79 77.43 78.94 72.91 0.40 0.24
        f.78 p.72 77.72 71.32 72.73 0.58 0.06""",
    "mobilenetv2": """71.88
        f.50 p.32 49.80 31.49 62.64 9.24 -
        f.50 - 49.77 67.58 67.23 4.65 4.59
        - p.32 67.38 31.88 63.84 8.04 1.20
        f.50 p.50 49.72 48.24 6.28 5.60 3.64
        f.50 p.32 49.63 31.97 63.13 8.75 0.49""",
    "vgg-16": """93.34
        f.44 p.20 43.32 9.93 92.94 0.40 -
        f.44 - 44.00 12.55 93.06 0.28 0.12
        - p.10 42.90 9.69 93.02 0.32 0.08
        f.44 p.20 43.07 12.19 93.11 0.23 0.17
        f.44 p.10 42.43 9.89 92.98 0.36 0.04""",
    "resnet-31": """94.13
        f.40 p.15 29.90 14.48 93.34 0.79 -
        f.30 - 29.82 19.95 93.48 0.65 0.14
        - p.15 35.69 14.79 93.46 0.67 0.12
        f.40 p.15 35.10 14.88 93.50 0.63 0.16
        f.30 p.15 29.64 14.79 93.40 0.73 0.06""",
}
COLUMNS_2 = ["whole-test-top1", "macs-share", "params-share", "test-top1", "test-drop"]
TABLE_2 = """taylor-56 76.18 32.76 30.86 71.69 4.49
    ours-f33-p31 76.13 32.90 30.76 72.39 3.74
    thinet-30 72.88 - - 68.42 4.46
    ours-f33-p26 76.13 32.47 25.89 71.92 4.22
    fpgm-30 76.15 58.80 - 75.59 0.56
    ours-f55 76.13 54.77 77.35 75.62 0.53
    taylor-81 76.18 65.03 69.92 75.48 0.70
    ours-f65-p70 76.13 64.95 69.88 75.83 0.30
    nisp-50-b - 55.99 56.18 - 0.89
    ours-f56-p56 76.13 55.89 55.84 75.25 0.88
    taylor-82 73.31 77.74 78.90 72.83 0.48
    li 73.23 75.80 89.20 72.17 1.04
    ours-f78-p79 73.31 77.43 78.94 72.91 0.40"""
# Rows of Table 6.2 that repeat one of Table 6.1.
AGAIN = {
    "ours-f33-p31": "resnet-50-a-pair",
    "ours-f33-p26": "resnet-50-a-reached",
    "ours-f65-p70": "resnet-50-b-pair",
    "ours-f78-p79": "resnet-34-pair",
}
SLIPS = {
    "ch6-6.1-resnet-50-a-reached-test-drop": "4.21",
    "ch6-6.1-resnet-50-a-reached-test-gain": "0.35",
    "ch6-6.1-mobilenetv2-pair-test-drop": "66.28",
    "ch6-6.1-mobilenetv2-pair-test-gain": "66.28",
    "ch6-6.2-ours-f33-p26-test-drop": "4.21",
    "ch6-6.2-ours-f55-test-drop": "0.51",
    "ch6-6.2-li-test-drop": "1.06",
}
NETWORKS, DATA = ["resnet-32", "vgg-16", "mobilenetv2"], ["digits", "cifar10-jpeg", "cifar10", "pku-reid"]
METHODS = ["original", "loss", "caie", "lambda-flops", "tp-taylor", "tp-magnitude"]
VALUES = {
    "experiment": ["budgets", "equal-macs", "equal-latency", "one-shot", "reid"],
    "network": NETWORKS,
    "data": DATA,
    "method": METHODS,
    "row": [*DESIGNS, "aimed"],
    "resource": ["macs", "params", "either"],
    "split": ["validation", "test"],
    "removed": ["step", "quarter"],
    "property": ["filters", "equal-impact", "equal-loss"],
    "problem": ["single", "pair"],
    "objective": ["reached", "given", "updated"],
    "metric": ["squared", "absolute"],
}


def printed_table_1():
    found = {}
    for block, text in TABLE_1.items():
        whole, *lines = text.splitlines()
        found[f"ch6-6.1-{block}-original-test-top1"] = whole
        for design, line in zip(DESIGNS, lines, strict=True):
            f, p, *values = line.split()
            names = ["macs-share", "params-share", "test-top1", "test-drop", "test-gain"]
            bounds = [("bound-macs-share", f[2:]), ("bound-params-share", p[2:])]
            for name, value in [*bounds, *zip(names, values, strict=True)]:
                if value not in ("", "-"):
                    found[f"ch6-6.1-{block}-{design}-{name}"] = value
    return found


def printed_table_2():
    found = {}
    for line in TABLE_2.splitlines():
        row, *values = line.split()
        found |= {f"ch6-6.2-{row}-{name}": v for name, v in zip(COLUMNS_2, values, strict=True) if v != "-"}
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project that has the notebooks whose claims share ids and items with these."""
    files = ("chapter6_global.yml", "chapter5_accounting.yml", "inventory.yml")
    return project_of(tmp_path_factory.mktemp("project"), (CHAPTER, "05b_accounting_audit"), files)


@pytest.fixture(scope="module")
def read(project):
    return claims.read(project)


def test_every_claim_loads_and_every_item_has_one(read):
    assert list(read.problems) == PROBLEMS == []
    assert len(BY_ID) == len(ROWS) == 390
    claimed = {claim.item for claim in read.claims if claim.source == "dissertation"}
    for item in read.items:
        if item.source == "dissertation" and item.chapter == "6":
            assert item.item in claimed or item.status.startswith("illustration"), item.id


def test_tables_are_whole_and_as_printed():
    written = {row["id"]: row["printed"] for row in ROWS if row["item"] == "Table 6.1" and "printed" in row}
    assert written == printed_table_1()
    written = {row["id"]: row["printed"] for row in ROWS if row["item"] == "Table 6.2" and "printed" in row}
    assert {name: value for name, value in written.items() if "6.2-over" not in name} == printed_table_2()


def test_rows_that_stand_in_both_tables_print_one_number():
    one, two = printed_table_1(), printed_table_2()
    for row, design in AGAIN.items():
        for column in COLUMNS_2[1:]:
            assert two[f"ch6-6.2-{row}-{column}"] == one[f"ch6-6.1-{design}-{column}"]


def test_the_five_designs_follow_from_one_another():
    """Rows f, p and reached have what the baseline came to, rounded up; row pair has the baseline's own budgets."""
    one = printed_table_1()
    for block in TABLE_1:

        def bound(design, part):
            return one.get(f"ch6-6.1-{block}-{design}-bound-{part}-share")

        for part, design in (("macs", "f"), ("params", "p")):
            came_to = float(one[f"ch6-6.1-{block}-baseline-{part}-share"])
            assert 0 <= float(bound(design, part)) - came_to < 1.4, block
            assert bound(design, part) == bound("reached", part)
        if block != "mobilenetv2":  # whose fourth row has a budget of its own
            assert [bound("pair", part) for part in ("macs", "params")] == [
                bound("baseline", part) for part in ("macs", "params")
            ]


def test_printed_sums_hold_but_for_the_slips_that_a_note_names(project, read):
    worked = {(row["item"], row["quantity"]): row["value"] for row in statements.printed_differences(CHAPTER, project)}
    wrong = {}
    for claim in read.claims:
        if claim.id in BY_ID and claim.rule and claim.basis == "consistent":
            value = claim.in_printed_unit(worked[claim.rule.where["item"], claim.rule.where["quantity"]], "fraction")
            if not claim.rule.agrees(value):
                wrong[claim.id] = claim.note
    accurate = {name: note for name, note in wrong.items() if "accurate" in name}
    assert wrong.keys() - accurate.keys() == SLIPS.keys()
    assert all(text in wrong[name] for name, text in SLIPS.items())
    assert len(accurate) == 4
    assert "7.81" in accurate["ch6-6.4.2-accurate-vgg-16-pair-params-share"]
    assert "4.90" in accurate["ch6-6.4.2-accurate-resnet-31-pair-macs-share"]


def test_what_is_not_measured_is_quoted():
    for row in ROWS:
        if row["rule"] is None:
            assert row["note"].startswith("quoted"), row["id"]
            assert row["kind"] != "trend", row["id"]
        else:
            assert row["rule"]["chapter"] == CHAPTER


def test_rules_name_what_the_chapter_records():
    for row, rule in RULES:
        if row.get("basis") == "consistent":
            continue
        for wanted in filters(rule):
            for name, value in wanted.items():
                assert value in VALUES[name], f"{row['id']}: {name} {value!r}"
    assert nested_filters(rule for _, rule in RULES) == []


def test_claims_on_real_pictures_name_them():
    real = {"CIFAR-10-JPEG": "cifar10-jpeg", "CIFAR-10": "cifar10", "PKU-Reid": "pku-reid"}
    for row, rule in RULES:
        if row["kind"] in ("trend", "accuracy"):
            for wanted in filters(rule):
                assert wanted["data"] == (real[row["needs"]] if row.get("needs") else "digits"), row["id"]


def test_the_two_sides_of_a_trend_differ_in_one_thing():
    for row, rule in RULES:
        if row["kind"] == "trend":
            larger, smaller = rule["larger"], rule["smaller"]
            if isinstance(larger, dict):
                changed = {name for name in {**larger, **smaller} if larger.get(name) != smaller.get(name)}
                assert len(changed) == 1, row["id"]
            else:
                assert "bound is ours" in row["note"], row["id"]


def test_what_is_asked_of_real_pictures_is_asked_of_the_others_too():
    asked = {True: set(), False: set()}
    for row in ROWS:
        if row["kind"] == "trend" and row.get("needs") != "PKU-Reid":
            asked[bool(row.get("needs"))].add(row["what"].removesuffix(" (CIFAR-10-JPEG)"))
    assert asked[True] <= asked[False]


def test_printed_gains(read):
    gains = {claim.id: claim.gain for claim in read.claims if claim.gain is not None}
    assert len(gains) == 20
    assert gains["ch6-6.4.2-pair-mobilenetv2"] == pytest.approx(0.0364)
    assert gains["ch6-6.4.2-f-real-vgg-16"] == pytest.approx(0.0012)
    assert gains["ch6-6.4.2-reached-resnet-32"] == pytest.approx(0.0006)


def test_our_own_questions_are_marked():
    ours = {row["id"] for row in ROWS if row.get("whose") == "ours"}
    assert ours == {name for name in BY_ID if re.match(r"ch6-(equal-|reid-|aimed-)", name)}
    assert Counter(row["kind"] for row in ROWS)["trend"] == 95
