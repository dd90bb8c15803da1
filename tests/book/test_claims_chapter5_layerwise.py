"""Claims of chapter 5 that need training: complete by table, true to the print, and asking for what can be recorded."""

import re
from collections import Counter

import pytest

from reidlab.lab import claims, statements
from reidlab.lab.claim_files import rows_of
from tests.book.rules import CLAIMS, filters, nested_filters, project_of

CHAPTER, AUDIT = "05a_layerwise_pruning", "05b_accounting_audit"
PROBLEMS = []
ROWS = [row for row, _ in rows_of(CLAIMS / "chapter5_layerwise.yml", PROBLEMS)]
BY_ID = {row["id"]: row for row in ROWS}
RULES = [(row, row["rule"]) for row in ROWS if row["rule"]]
COUNTED = {row["id"]: row for row, _ in rows_of(CLAIMS / "chapter5_accounting.yml", [])}

# The tables, read off once more: columns, then rows as printed. A dash is a cell that has no claim here.
CPO = "val test test-extended params-share macs-share cycles"
TABLES = {
    "5.1": """val test params-share macs-share cycles
        original 40.26 33.08 - - -
        ur-0.0625 0.10 0.11 - - -
        ur-0.125 0.13 0.19 - - -
        ur-0.25 0.26 0.29 - - -
        cpo-0.10 0.08 0.12 72.31 72.31 5.2
        cpo-0.13 0.14 0.15 64.68 64.68 4.7
        cpo-0.18 0.18 0.2 54.25 54.25 4.0
        cpo-0.26 0.26 0.28 51.52 51.25 3.8
        cpo-0.32 0.32 0.34 45.85 45.85 3.4""",
    "5.2": """val test epochs
        original 40.26 33.08 100
        shallow 39.82 32.62 80
        cpo-0.32 39.94 32.74 305""",
    "5.3": f"""{CPO}
        original 93.16 92.98 - - - -
        ur-0.25 1.60 1.25 - - - -
        ur-0.375 2.34 1.89 - - - -
        ur-0.5 3.72 3.52 - - - -
        ur-0.625 5.32 4.01 - - - -
        cpo-0.25 0.14 0.50 0.40 28.57 54.09 1.6
        cpo-0.58 0.44 0.83 0.76 15.68 42.26 1.2
        cpo-1.60 1.58 1.83 1.34 10.23 28.11 0.79
        cpo-2.34 2.16 2.49 1.73 5.75 20.18 0.55
        cpo-3.72 3.58 4.44 2.72 2.49 16.88 0.45
        cpo-5.32 5.18 6.29 3.91 2.07 13.74 0.35""",
    "5.4": """test epochs
        original 92.98 300
        shallow 89.56 200
        cpo-3.72 90.26 620""",
    "5.5": f"""{CPO}
        original 94.66 94.58 - - - -
        ur-0.125 0.64 0.86 - - - -
        ur-0.25 1.44 1.25 - - - -
        ur-0.375 1.88 1.89 - - - -
        ur-0.5 2.84 3.52 - - - -
        cpo-0.25 0.32 0.61 0.30 74.92 81.88 1.5
        cpo-0.64 0.48 0.89 0.56 60.27 60.88 1.1
        cpo-1.44 1.28 2.16 1.47 38.11 42.63 0.82
        cpo-1.88 1.68 2.61 1.84 30.62 36.81 0.71
        cpo-2.84 2.78 3.54 3.06 23.98 26.31 0.54""",
    "5.6": """val test
        pruned 93.76 93.11
        random 92.14 91.60
        random-longer 93.70 93.20""",
    "5.7": """error params-share macs-share
        li-original 6.75 - -
        li 6.60 - -
        original 6.48 - -
        cpo-0.1 6.66 22.1 53.0""",
    "5.8": """error params-share macs-share
        li-original 26.77 - -
        li 27.83 - -
        original 26.68 - -
        cpo-1.3 27.66 85.6 85.4""",
}
REAL = {"CIFAR-10-JPEG": "cifar10-jpeg", "CIFAR-10": "cifar10", "Set5": "set5", "Set14": "set14"}
VALUES = {
    "network": ["vdsr", "vgg-19", "resnet-32", "vgg-16"],
    "whole": ["published"],
    "data": ["digits", "generated", *REAL.values()],
    "split": ["validation", "test"],
    "experiment": ["table", "equal-drop", "sensitivity", "order", "restart", "shallow", "chain"],
    "method": ["original", "ur", "cpo", "l1", "shallow"],
    "factor": [0.0625, 0.125, 0.25, 0.375, 0.5, 0.625],
    "expected": [0.1, 0.13, 0.18, 0.26, 0.32, 0.25, 0.58, 1.6, 2.34, 3.72, 5.32, 0.64, 1.44, 1.88, 2.84],
    "budget": ["text", "extended", "equal"],
    "layers": ["first", "last"],
    "step": ["first", "last"],
    "order": ["sensitivity", "random"],
    "start": ["pruned", "random"],
    "epochs": ["final", "longer"],
    "item": ["Table 5.1"],
    "quantity": ["ur-0.0625-over-cpo-0.10-params-share"],
}
UNITS = {
    **dict.fromkeys(["accuracy", "accuracy_drop", "error", "params_share", "operations_share"], "fraction"),
    **dict.fromkeys(["share_gap", "order_correlation", "spread", "sensitivity", "printed_difference"], "fraction"),
    **dict.fromkeys(["sensitivity_rise", "saved_per_drop"], "fraction"),
    **dict.fromkeys(["psnr", "psnr_drop"], "dB"),
    "cycles": "cycles",
}
TOLERANCES = {
    **dict.fromkeys(["accuracy", "accuracy_drop", "error"], 0.5),
    **dict.fromkeys(["psnr", "psnr_drop"], 0.1),
    **dict.fromkeys(["params_share", "operations_share"], 5),
}
IMPLIED = {"ch5-section-5.5-vdsr-params-share": 50, "ch5-5.4.4-thirty-percent-params-share": 70}


def cells(table):
    first, *lines = TABLES[table].splitlines()
    found = {}
    for line in lines:
        name, *printed = line.split()
        for column, number in zip(first.split(), printed, strict=True):
            if number != "-":
                found[f"ch5-{table}-{name}-{column}"] = number
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project that has both notebooks of the chapter."""
    files = ("chapter5_layerwise.yml", "chapter5_accounting.yml", "inventory.yml")
    return project_of(tmp_path_factory.mktemp("project"), (CHAPTER, AUDIT), files)


@pytest.fixture(scope="module")
def read(project):
    return claims.read(project)


def test_every_claim_loads(read):
    assert list(read.problems) == PROBLEMS == []
    assert len(BY_ID) == len(ROWS) == 220
    assert set(BY_ID) | set(COUNTED) == {claim.id for claim in read.claims}
    assert not set(BY_ID) & set(COUNTED)


def test_every_item_with_numbers_or_words_has_a_claim(read):
    claimed = {claim.item for claim in read.claims if claim.source == "dissertation"}
    for item in read.items:
        if item.source == "dissertation" and item.chapter == "5":
            assert item.item in claimed or item.status.startswith("illustration"), item.id


@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_whole_and_as_printed(table):
    written = {row["id"]: row["printed"] for row in ROWS if row["item"] == f"Table {table}" and "printed" in row}
    assert written == cells(table)


def test_rows_that_repeat_a_number_print_it_alike():
    for one, other in (("5.1", "5.2"), ("5.3", "5.4")):
        for row in ("original-val", "original-test"):
            assert (
                cells(other).get(f"ch5-{other}-{row}", cells(one)[f"ch5-{one}-{row}"]) == cells(one)[f"ch5-{one}-{row}"]
            )
    for row in ("ur-0.25", "ur-0.375", "ur-0.5"):
        assert cells("5.3")[f"ch5-5.3-{row}-test"] == cells("5.5")[f"ch5-5.5-{row}-test"]
        assert "repeats the entry" in BY_ID[f"ch5-5.5-{row}-test"]["note"]
    # What is lost, from what is left.
    for set_ in ("val", "test"):
        lost = float(cells("5.2")[f"ch5-5.2-original-{set_}"]) - float(cells("5.2")[f"ch5-5.2-cpo-0.32-{set_}"])
        assert lost == pytest.approx(float(cells("5.1")[f"ch5-5.1-cpo-0.32-{set_}"]))
    left = float(cells("5.4")["ch5-5.4-original-test"]) - float(cells("5.4")["ch5-5.4-cpo-3.72-test"])
    assert left == pytest.approx(float(cells("5.3")["ch5-5.3-cpo-3.72-test-extended"]))


def test_a_note_says_where_a_drop_is_more_than_allowed():
    for table in ("5.1", "5.3", "5.5"):
        for name, printed in cells(table).items():
            if match := re.fullmatch(r"ch5-5\.\d-cpo-([\d.]+)-val", name):
                said = "more than the drop that is allowed" in BY_ID[name].get("note", "")
                assert said == (float(printed) > float(match[1])), name
                assert BY_ID[name]["rule"]["where"]["expected"] == float(match[1]), name


def test_the_text_against_its_own_tables(project):
    (recorded,) = statements.printed_differences(CHAPTER, project)
    taken = float(COUNTED["ch5-5.1-ur-0.0625-params-share"]["printed"]) - float(
        cells("5.1")["ch5-5.1-cpo-0.10-params-share"]
    )
    assert recorded["value"] * 100 == pytest.approx(taken) == pytest.approx(15.6)
    for name, share in (
        ("ch5-section-5.5-vdsr-params-share", "51.52"),
        ("ch5-5.4.4-thirty-percent-params-share", "74.92"),
    ):
        assert share in BY_ID[name]["note"]
        assert f"{100 - float(share):.2f}" in BY_ID[name]["note"]
        assert BY_ID[name].get("printed") is None
    assert {row["id"]: rule["implied"] for row, rule in RULES if "implied" in rule} == IMPLIED


def test_what_is_not_measured_is_quoted():
    for row in ROWS:
        if row["rule"] is None:
            assert row["note"].startswith("quoted"), row["id"]
            assert row["kind"] != "trend", row["id"]
        else:
            assert row["rule"]["chapter"] == CHAPTER
    quoted = Counter(row["item"] for row in ROWS if row["rule"] is None)
    assert quoted == {"Table 5.2": 3, "Table 5.4": 3, "Table 5.7": 2, "Table 5.8": 6}


def test_rules_name_what_the_chapter_records():
    for row, rule in RULES:
        for wanted in filters(rule):
            for name, value in wanted.items():
                assert value in VALUES[name], f"{row['id']}: {name} {value!r}"
    assert nested_filters(rule for _, rule in RULES) == []


def test_units_fit(read):
    for claim in read.claims:
        if claim.id in BY_ID and claim.rule:
            assert claim.in_printed_unit(1.0, UNITS[claim.rule.key]) > 0


def test_claims_on_real_pictures_name_them():
    for row, rule in RULES:
        for wanted in filters(rule):
            if row.get("needs"):
                assert wanted["data"] == REAL[row["needs"]], row["id"]
            elif row["kind"] == "trend":
                resolved = wanted["network"] == "vdsr"
                assert wanted["data"] == ("generated" if resolved else "digits"), row["id"]
        if row["kind"] == "accuracy":
            cycles = 0.4 if row["item"] == "Table 5.1" else 0.05
            assert rule["tolerance"] == TOLERANCES.get(rule["key"], cycles), row["id"]
            assert rule["because"], row["id"]


def test_set5_validates_and_set14_tests():
    split = {"set5": "validation", "set14": "test"}
    for row, rule in RULES:
        for wanted in filters(rule):
            if wanted.get("data") in split and "split" in wanted:
                assert wanted["split"] == split[wanted["data"]], row["id"]


def test_the_two_sides_of_a_trend_differ_in_one_thing():
    """Or the claim says that two things differ; a measure beside a number is one thing already."""
    for row, rule in RULES:
        if row["kind"] != "trend":
            continue
        larger, smaller = rule["larger"], rule["smaller"]
        if isinstance(larger, dict) and isinstance(smaller, dict):
            changed = {name for name in {**larger, **smaller} if larger.get(name) != smaller.get(name)}
            assert len(changed) == 1 or "Two things differ" in row["note"], row["id"]
        else:
            number = larger if isinstance(smaller, dict) else smaller
            assert number == 0 or "bound is ours" in row["note"], row["id"]


def test_trends_are_asked_of_real_pictures_too():
    """What is asked of the data that are always there is asked of the real ones in the same words."""
    asked = {True: Counter(), False: Counter()}
    for row in ROWS:
        if row["kind"] == "trend":
            asked[bool(row.get("needs"))][row["what"].partition(" (91 images")[0].partition(" (CIFAR-10-JPEG")[0]] += 1
    assert asked[True] == asked[False]
    assert set(asked[True].values()) == {1}


def test_printed_gains(read):
    gains = {claim.id: claim.gain for claim in read.claims if claim.id in BY_ID and claim.gain is not None}
    assert gains["ch5-5.4.3-ur-0.25-params"] == pytest.approx((58.47 - 10.23) / 100)
    assert gains["ch5-5.4.3-real-ur-0.5-macs"] == pytest.approx((25.70 - 16.88) / 100)
    assert gains["ch5-5.4.5-vgg-19-params"] == pytest.approx((36.0 - 22.1) / 100)
    assert gains["ch5-5.6-pruned-over-random-digits"] == pytest.approx(0.0151)
    assert gains["ch5-5.2-cpo-over-shallow-set14"] == pytest.approx(0.12)
    for name in gains:
        rule = BY_ID[name]["rule"]
        assert isinstance(rule["smaller"], dict) or rule["smaller"] == 0, name
        assert BY_ID[name].get("whose") != "ours", name


def test_our_own_questions_are_marked():
    """Equal budgets, VDSR under the L1 norm, a random order, and random weights that win are nowhere in the text."""
    ours = {row["id"] for row in ROWS if row.get("whose") == "ours"}
    assert ours == {
        name
        for name in BY_ID
        if re.search(r"cpo-over-(ur|l1)-|5\.4\.5-(real-)?vdsr|order-over-random|longer-over-pruned", name)
    }
