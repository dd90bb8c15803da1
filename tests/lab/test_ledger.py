"""Verdicts. Oracles: closed forms, scipy.stats, and projects whose records were written for the purpose."""

import html
import itertools
import json
import math
import os
import re

import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlab import files
from reidlab.errors import ClaimError, RunError
from reidlab.intervals import student_interval
from reidlab.lab import claims, codehash, records, store
from reidlab.lab.ledger import MOST_SEEDS, VERDICTS, Ledger, judge_differences, judge_numbers, seeds_to_settle
from reidlab.lab.pages import ledger_page
from reidlab.lab.project import Project
from tests.lab.made_up_project import make_project, write_chapter

INVENTORY = """
- {id: diss-table-2.1, source: dissertation, item: Table 2.1, title: Scores, chapter: 2, status: accuracy}
- {id: diss-table-10, source: dissertation, item: Table 10, title: "Costs <fast>", chapter: 10}
- {id: survey-table-1, source: survey, item: Table 1, title: Losses}
"""
EXACT = {"kind": "exact", "printed": 664704, "unit": "count", "rule": {"chapter": 1, "key": "weights"}}
TREND = {
    "kind": "trend",
    "rule": {"chapter": 1, "key": "rank1", "larger": {"loss": "triplet"}, "smaller": {"loss": "softmax"}},
}
ACCURACY = {
    "kind": "accuracy",
    "printed": 82.79,
    "unit": "percent",
    "needs": "MARS",
    "rule": {"chapter": 1, "key": "mAP", "tolerance": 1.0, "because": "seeds differ"},
}


def row(base=EXACT, **changes):
    common = {"id": "a", "source": "dissertation", "item": "Table 2.1", "what": "It is so"}
    rule = changes.pop("rule", {})
    if rule and ("tolerance" in rule or "digits" in rule) and base is not ACCURACY:
        rule = {"because": "the test says so", **rule}
    made = common | base | changes
    if rule is not None and made.get("rule"):
        made["rule"] = {key: value for key, value in {**made["rule"], **rule}.items() if value is not ...}
    else:
        made["rule"] = None
    return {key: value for key, value in made.items() if value is not ...}


def write_claims(project, *rows, inventory=INVENTORY):
    folder = project.book / "claims"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "inventory.yml").write_text(inventory)
    # JSON is YAML.
    (folder / "made_up.yml").write_text(json.dumps(list(rows)))


def write_run(project, rows, profile="standard", data=None, kept=False, code=None, **info):
    """Write a stored run by hand, as of today's code."""
    folder = project.results / profile / "01_tiny" if kept else store.run_folder(project, profile, "01_tiny")
    table = records.frame(records.record("01_tiny", **r) for r in rows)
    records.write(table, folder / "records.parquet")
    description = {
        "format": 1,
        "chapter": "01_tiny",
        "profile": profile,
        "parameters": {},
        "keys": sorted(set(table["key"])),
        "data": data or {"small world": {"hash": "1", "embedded": True, "describe": ""}},
        "code": code or codehash.of_chapter(project.notebook("01_tiny")).as_dict(),
        "versions": {},
        "started": "2024-02-03T04:05:06+00:00",
        "wall_s": 1.0,
        "machine": "made up",
        "device": "cpu",
        "threads": 1,
        "files": {"records.parquet": files.digest(folder / "records.parquet")},
    }
    files.write_json(folder / "run.json", description | info)


def losses(triplet, softmax):
    return [
        {"key": "rank1", "value": value, "seed": seed, "dims": {"loss": name}}
        for name, values in (("triplet", triplet), ("softmax", softmax))
        for seed, value in enumerate(values)
    ]


def verdict(project, claim):
    write_claims(project, claim)
    (found,) = Ledger(project).rows()
    return found


# ---- statistics ----------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=12))
@pytest.mark.filterwarnings("ignore:Precision loss")
def test_the_interval_is_students(values):
    found = student_interval(values)
    spread = scipy.stats.tstd(values)
    low, high = scipy.stats.t.interval(0.95, len(values) - 1, loc=math.fsum(values) / len(values), scale=1)
    half = (high - low) / 2 * spread / math.sqrt(len(values))
    assert found.low == pytest.approx(found.mean - half, abs=1e-9)
    assert found.high == pytest.approx(found.mean + half, abs=1e-9)


def test_the_interval_of_five_in_closed_form():
    # Mean 3, standard deviation sqrt(2.5), t(4, 0.975) = 2.776445.
    found = student_interval([1, 2, 3, 4, 5])
    assert found.mean == 3
    assert found.high - 3 == pytest.approx(2.776445105 * math.sqrt(2.5 / 5))


def test_one_value_says_nothing():
    assert student_interval([0.4]).low == -math.inf


@pytest.mark.parametrize(
    ("differences", "margin", "expected"),
    [
        ([0.1, 0.1, 0.1, 0.1, 0.1], 0.0, "trend holds"),
        ([-0.1, -0.1, -0.1, -0.1, -0.1], 0.0, "trend reversed"),
        ([0.0, 0.0, 0.0, 0.0, 0.0], 0.0, "inconclusive"),
        ([0.1, -0.1, 0.1, -0.1, 0.05], 0.0, "inconclusive"),
        ([0.1, 0.12, 0.1, 0.11, 0.1], 0.2, "inconclusive"),
        ([0.3, 0.32, 0.3, 0.31, 0.3], 0.2, "trend holds"),
        ([-0.1, -0.12, -0.1, -0.11, -0.1], 0.2, "trend reversed"),
        ([0.9, 0.9, 0.9, 0.9], 0.0, "inconclusive"),
        ([0.9], 0.0, "inconclusive"),
    ],
)
def test_trends(differences, margin, expected):
    assert judge_differences(differences, 5, margin)[0] == expected


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=4), st.integers(-3, 5))
def test_fewer_than_five_seeds_are_inconclusive_whatever_the_means(differences, min_seeds):
    assert judge_differences(differences, min_seeds)[0] == "inconclusive"


@given(st.lists(st.floats(-1, 1), min_size=5, max_size=8))
def test_turning_a_trend_round_turns_its_verdict(differences):
    turned = {"trend holds": "trend reversed", "trend reversed": "trend holds", "inconclusive": "inconclusive"}
    assert judge_differences([-d for d in differences], 5)[0] == turned[judge_differences(differences, 5)[0]]


# Mean 0, standard deviation sqrt(2.5e-4 / 4): half the interval is 2.776445 * 0.00790569 / sqrt(5) = 0.00981620.
SMALL = [0.01, -0.01, 0.005, -0.005, 0.0]


@pytest.mark.parametrize(
    ("differences", "gain", "expected"),
    [
        (SMALL, 0.0197, "no effect here"),
        (SMALL, 0.0196, "inconclusive"),
        (SMALL, None, "inconclusive"),
        ([d + 0.002 for d in SMALL], 0.0197, "inconclusive"),
        ([d - 0.002 for d in SMALL], 0.0197, "inconclusive"),
        ([d - 0.002 for d in SMALL], 0.0237, "no effect here"),
        # An interval beside zero is an effect, however small beside the printed one.
        ([d + 0.01 for d in SMALL], 1.0, "trend holds"),
        ([d - 0.01 for d in SMALL], 1.0, "trend reversed"),
        (SMALL[:4], 1.0, "inconclusive"),
    ],
)
def test_no_effect_is_an_interval_within_half_of_the_printed_gain(differences, gain, expected):
    name, why, _ = judge_differences(differences, 5, gain=gain)
    assert name == expected
    assert ("all within half of the printed gain" in why) == (name == "no effect here")


@pytest.mark.parametrize(
    ("differences", "margin", "expected"),
    [
        # Mean 0.01, standard deviation 0.02: sqrt(18) = 4.2426 > 2 * 2.1098 = 4.2196, but sqrt(17) = 4.1231 < 4.2398.
        ([0.03, -0.01, 0.03, -0.01, 0.01], 0.0, 18),
        ([-0.03, 0.01, -0.03, 0.01, -0.01], 0.0, 18),
        ([1.03, 0.99, 1.03, 0.99, 1.01], 1.0, 18),
        (SMALL, 0.0, None),
        ([0.0] * 5, 0.0, None),
        # Between zero and the margin no number of seeds settles it.
        ([0.03, -0.01, 0.03, -0.01, 0.01], 0.01, None),
    ],
)
def test_how_many_seeds_would_settle_it(differences, margin, expected):
    assert seeds_to_settle(differences, margin) == expected
    _, why, _ = judge_differences(differences, 5, margin)
    count = "more than 1,000" if expected is None else f"about {expected}"
    assert f"{count} seeds would settle it if mean and spread hold" in why


@given(st.lists(st.integers(-1000, 1000).map(lambda n: n / 1000), min_size=5, max_size=8))
@pytest.mark.filterwarnings("ignore:Precision loss")
def test_the_number_of_seeds_is_the_smallest_that_leaves_zero(differences):
    mean, spread = math.fsum(differences) / len(differences), scipy.stats.tstd(differences)
    found = seeds_to_settle(differences)

    def excludes_zero(count):
        return abs(mean) > scipy.stats.t.interval(0.95, count - 1)[1] * spread / math.sqrt(count)

    if found is None:
        assert not excludes_zero(MOST_SEEDS * 0.999)
    else:
        assert excludes_zero(found * 1.001)
        assert found == 2 or not excludes_zero((found - 1) * 0.999)


@given(st.lists(st.floats(-1, 1), min_size=5, max_size=8), st.floats(0.01, 4))
def test_a_printed_gain_turns_nothing_but_inconclusive(differences, gain):
    interval = student_interval(differences)
    without, found = judge_differences(differences, 5)[0], judge_differences(differences, 5, gain=gain)[0]
    within = -gain / 2 <= interval.low and interval.high <= gain / 2
    assert found == ("no effect here" if without == "inconclusive" and within else without)


# ---- verdicts from records -----------------------------------------------------------------------------------------


def test_really_run_records_are_judged(copied):
    write_claims(copied, row(), row(TREND, id="b"), row(ACCURACY, id="c"))
    found = {r.claim.id: r for r in Ledger(copied).rows()}
    assert found["a"].verdict == "reproduced"
    assert found["b"].verdict == "trend holds"
    # Differences 0.1 - seed / 100 for seeds 0 to 4.
    assert found["b"].measured == pytest.approx(0.08)
    assert found["c"].verdict == "not run (needs MARS)"


@pytest.mark.parametrize(
    ("value", "unit", "printed", "printed_unit", "rule", "expected"),
    [
        (664704, "count", 664704, "count", {}, "reproduced"),
        (664705, "count", 664704, "count", {}, "differs"),
        (0.87911, "fraction", "87.911", "percent", {}, "reproduced"),
        (0.879114, "fraction", "87.911", "percent", {}, "reproduced"),
        (0.879116, "fraction", "87.911", "percent", {}, "differs"),
        (0.8280, "fraction", "82.80", "percent", {}, "reproduced"),
        (0.8284, "fraction", "82.80", "percent", {}, "differs"),
        (0.8284, "fraction", "82.8", "percent", {}, "reproduced"),
        (0.8284, "fraction", "82.80", "percent", {"digits": 1}, "reproduced"),
        (0.2474, "fraction", 25, "percent", {}, "reproduced"),
        (0.2444, "fraction", 25, "percent", {}, "differs"),
        (0.2444, "fraction", 25, "percent", {"digits": -1}, "reproduced"),
        (0.2474, "fraction", 25, "percent", {"tolerance": 0.3}, "reproduced"),
        (25557032, "count", 25.56, "million", {}, "reproduced"),
        (1117400000, "macs", 1.1174, "billion macs", {}, "reproduced"),
        (0, "count", 0, "count", {}, "reproduced"),
        (664704, "count", "664,704", "count", {}, "reproduced"),
    ],
)
def test_exact_numbers_agree_to_the_printed_digit(project, value, unit, printed, printed_unit, rule, expected):
    write_run(project, [{"key": "weights", "value": value, "unit": unit}], profile="quick")
    found = verdict(project, row(printed=printed, unit=printed_unit, rule=rule))
    assert found.name == expected
    assert ("measured" in found.verdict) == (expected == "differs")


def test_numbers_are_judged_by_records_at_hand_as_by_kept_ones(project):
    write_run(project, [{"key": "weights", "value": 5, "unit": "count"}], profile="quick")
    write_claims(project, row(), row(id="b", printed=5), row(TREND, id="c"))
    chosen = claims.read(project).claims
    table = store.open_run(store.run_folder(project, "quick", "01_tiny")).records
    found = judge_numbers(chosen[:2], table)
    assert found.agrees.tolist() == [False, True]
    assert found.agrees.tolist() == [r.name == "reproduced" for r in Ledger(project).rows()[:2]]
    assert found.measured.tolist() == [5, 5]
    with pytest.raises(ClaimError, match="claim 'c': it has no rule for a number"):
        judge_numbers(chosen, table)
    with pytest.raises(ClaimError, match="no record has key weights"):
        judge_numbers(chosen[:2], table[:0])


def test_a_difference_tells_its_reason(project):
    write_run(project, [{"key": "weights", "value": 5, "unit": "count"}], profile="quick")
    found = verdict(project, row(note="the text leaves the biases out"))
    assert found.verdict == "differs (the text leaves the biases out; measured 5, printed 664704)"


def test_a_trend_is_paired_by_seed(project):
    # Both sides vary a lot with the seed, their difference does not.
    base = [0.2, 0.4, 0.6, 0.8, 0.5]
    write_run(project, losses([b + 0.02 + i / 1000 for i, b in enumerate(base)], base))
    found = verdict(project, row(TREND))
    assert found.verdict == "trend holds"
    assert found.interval.count == 5
    assert found.measured == pytest.approx(0.022)


def test_fresh_seeds_are_judged_without_the_pilot(project):
    """Seeds 0 to 4 say the opposite, and louder; four fresh ones are too few to judge by."""
    pilot, smaller = [0.1] * 5, [0.5] * 10
    write_run(project, losses([*pilot, 0.61, 0.62, 0.63, 0.64], smaller[:9]))
    assert verdict(project, row(TREND)).interval.count == 9
    write_run(project, losses([*pilot, 0.61, 0.62, 0.63, 0.64, 0.65], smaller))
    found = verdict(project, row(TREND))
    assert (found.verdict, found.interval.count) == ("trend holds", 5)
    assert found.measured == pytest.approx(0.13)
    assert found.why.endswith("5 seeds; -0.4 with the 5 seeds of the pilot")


def test_unpaired_seeds_do_not_count(project):
    write_run(project, losses([0.5, 0.6, 0.7, 0.8, 0.9], [0.1, 0.2, 0.3, 0.4]))
    found = verdict(project, row(TREND))
    assert (found.verdict, found.why) == ("inconclusive", "4 seeds, at least 5 are needed")


def test_a_side_of_a_trend_may_be_a_number(project):
    write_run(project, losses([0.6, 0.61, 0.62, 0.63, 0.64], []))
    assert verdict(project, row(TREND, rule={"smaller": 0.5})).verdict == "trend holds"
    assert verdict(project, row(TREND, rule={"larger": 0.5, "smaller": {"loss": "triplet"}})).name == "trend reversed"


REAL = {"MARS": {"hash": "1", "embedded": False, "describe": ""}}
WORLD = {"small world": {"hash": "1", "embedded": True, "describe": ""}}
SHAM = {"MARS": {"hash": "1", "embedded": True, "describe": ""}}
MAP = [{"key": "mAP", "value": 0.8301, "seed": 0}]


@pytest.mark.parametrize("profile", ["quick", "standard", "paper"])
@pytest.mark.parametrize("data", [WORLD, SHAM])
def test_an_accuracy_on_embedded_data_never_counts(project, profile, data):
    write_run(project, MAP, profile=profile, data=data)
    assert verdict(project, row(ACCURACY)).verdict.startswith("not run (needs MARS")


def test_an_accuracy_counts_on_its_data_in_the_paper_profile(project):
    write_run(project, MAP, profile="standard", data=REAL)
    assert verdict(project, row(ACCURACY)).verdict == "not run (needs MARS)"
    write_run(project, MAP, profile="paper", data=REAL)
    assert verdict(project, row(ACCURACY)).verdict == "reproduced"
    assert verdict(project, row(ACCURACY, rule={"tolerance": 0.1})).name == "differs"


def test_an_accuracy_among_several_data_sets_must_be_told_apart(project):
    both = [
        {"key": "mAP", "value": v, "seed": 0, "dims": {"data": d}} for v, d in ((0.99, "small world"), (0.83, "mars"))
    ]
    write_run(project, both, profile="paper", data=REAL | WORLD)
    assert "the rule needs where.data" in verdict(project, row(ACCURACY)).verdict
    assert verdict(project, row(ACCURACY, rule={"where": {"data": "mars"}})).verdict == "reproduced"


def test_a_trend_may_need_real_data(project):
    write_run(project, losses([0.6] * 5, [0.5] * 5))
    assert verdict(project, row(TREND, needs="MARS")).verdict.startswith("not run (needs MARS")
    assert Ledger(project).problems() == []
    write_run(project, losses([0.6] * 5, [0.5] * 5), data=REAL)
    assert verdict(project, row(TREND, needs="MARS")).verdict == "trend holds"


def test_without_records_or_rule_a_claim_is_not_run(project):
    assert verdict(project, row()).verdict == "not run (needs `reidlab run 01_tiny --profile quick`)"
    assert verdict(project, row(rule=None)).verdict == "not run (needs a chapter that measures it)"
    assert verdict(project, row(ACCURACY, rule=None)).verdict == "not run (needs MARS)"


def test_kept_records_count_and_turn_stale(project):
    write_run(project, losses([0.6] * 5, [0.5] * 5), kept=True)
    assert not verdict(project, row(TREND)).stale
    write_chapter(project, "01_tiny", "x = 1")
    found = verdict(project, row(TREND))
    assert (found.verdict, found.stale) == ("trend holds", True)


def test_a_run_of_todays_code_is_asked_before_a_kept_one(project):
    write_run(project, losses([0.5] * 5, [0.6] * 5), kept=True)
    write_run(project, losses([0.6] * 5, [0.5] * 5))
    assert verdict(project, row(TREND)).verdict == "trend holds"
    write_run(project, losses([0.6] * 5, [0.5] * 5), code={"hash": "old", "notebook": "old", "modules": {}})
    assert verdict(project, row(TREND)).verdict == "trend reversed"


@pytest.mark.parametrize(
    ("recorded", "claim", "message"),
    [
        ([{"key": "rank1", "value": 0.5, "dims": {"loss": n}} for n in ("triplet", "softmax")], row(TREND), "no seed"),
        (losses([0.5] * 5, [0.5] * 5), row(TREND, rule={"larger": {}}), "2 records .* narrow the filter"),
        (losses([0.5] * 5, []), row(TREND), "no record has key rank1, loss softmax"),
        (losses([0.5], [0.4]), row(TREND, rule={"where": {"seed": 9}}), "no record has"),
    ],
)
def test_records_that_do_not_fit_the_rule_are_named(project, recorded, claim, message):
    write_run(project, recorded)
    found = verdict(project, claim)
    assert found.name == "not run"
    assert re.search(message, found.why)


def test_a_filter_may_list_values_or_ask_for_what_is_missing(project):
    loss = [{"key": "weights", "value": n, "unit": "count", "dims": {"loss": name}} for n, name in enumerate("abc")]
    write_run(project, [*loss, {"key": "weights", "value": 664704, "unit": "count"}], profile="quick")
    assert verdict(project, row(rule={"where": {"loss": None}})).verdict == "reproduced"
    assert "3 records with" in verdict(project, row(rule={"where": {"loss": ["a", "b", "c"]}})).why
    assert "no record has" in verdict(project, row(rule={"where": {"loss": ["d"]}})).why
    assert "no record has" in verdict(project, row(rule={"where": {"loss": []}})).why


def test_units_that_do_not_fit_are_named(project):
    write_run(project, [{"key": "weights", "value": 5, "unit": "seconds"}], profile="quick")
    assert "printed in 'count', recorded in 'seconds'" in verdict(project, row()).why


def test_damaged_records_stop_the_ledger(project):
    write_run(project, losses([0.6] * 5, [0.5] * 5))
    (store.run_folder(project, "standard", "01_tiny") / "records.parquet").write_bytes(b"PAR1")
    with pytest.raises(RunError, match="is not the file that was written"):
        verdict(project, row(TREND))


# ---- claim files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (row(what=...), "field 'what' is missing"),
        (row(id=...), "row 1: field 'id' is missing"),
        (row(source="thesis"), "source: expected dissertation or survey, found 'thesis'"),
        (row(kind="exactly"), "kind: expected exact or trend or accuracy"),
        (row(prined=3), "unknown field 'prined'; did you mean 'printed'"),
        (row(printed="many"), "printed: expected a number, found 'many'"),
        (row(printed=None), "there is no printed number to compare with"),
        (row(needs="MARS"), "an exact claim needs no data set"),
        (row(item="Table 2.9"), "the inventory has no dissertation item 'Table 2.9'; did you mean 'Table 2.1'"),
        (row(source="survey"), "the inventory has no survey item 'Table 2.1'"),
        (row(rule={"key": ...}), "rule: field 'key' is missing"),
        (row(rule={"chapter": 7}), "rule: .*no chapter '7'"),
        (row(rule={"wher": {}}), "rule: unknown field 'wher'; did you mean 'where'"),
        (row(rule={"where": "loss"}), "where: expected a filter such as"),
        (row(rule={"digits": 1, "tolerance": 0.1}), "give digits or tolerance, not both"),
        (row(rule={"digits": 0.5}), "digits: expected a whole number"),
        (row(rule={"tolerance": -1}), "tolerance: expected a number that is not negative"),
        (row(ACCURACY, needs=...), "an accuracy names the data set"),
        (row(ACCURACY, rule={"tolerance": ..., "because": ...}), "an accuracy says how close is close enough"),
        (row(ACCURACY, rule={"profile": "standard"}), "records of 'standard' carry no verdict of kind accuracy"),
        (row(TREND, rule={"profile": "quick"}), "records of 'quick' carry no verdict of kind trend; expected standard"),
        (row(TREND, rule={"larger": ...}), "a trend needs 'larger' and 'smaller'; 'larger' is missing"),
        (row(TREND, rule={"larger": 1, "smaller": 2}), "larger and smaller are both numbers"),
        (row(TREND, rule={"larger": "triplet"}), "larger: expected a filter"),
        (row(TREND, rule={"min_seeds": 3}), "min_seeds: expected 5 or more, found 3"),
        (row(TREND, rule={"paired_by": "camera"}), "trends are paired by seed, found 'camera'"),
        (row(basis="measured"), "basis: expected recounted or consistent or fact, found 'measured'"),
        (row(ACCURACY, basis="fact"), "basis: expected measured, found 'fact'"),
        (row(basis="consistent"), "basis: key 'printed_difference' and basis 'consistent' go together"),
        (row(rule={"key": "printed_difference"}), "basis: key 'printed_difference' and basis 'consistent' go together"),
        (row(whose="nobody"), "whose: expected work or ours, found 'nobody'"),
        (row(gain="a - b"), "gain: a trend has one, not a claim of kind exact"),
        (row(TREND, gain="a - b"), "gain: no claim 'a' prints a number"),
        (row(TREND, gain="a -b"), "gain: expected claims such as 'ID - ID', found 'a -b'"),
        (row(rule={"implied": 3}), "give printed or implied, and not both"),
        (row(printed=None, rule={"implied": "many"}), "implied: expected a number, found 'many'"),
        (row(rule={"tolerance": 1.0, "because": ...}), "because: a tolerance or digits, and nothing else, say why"),
        (row(rule={"because": "so"}), "because: a tolerance or digits, and nothing else, say why"),
        ("a claim in words", "row 1: expected fields and values"),
        (row(what=["so"]), r"claim 'a': what: expected text, found \['so'\]"),
        (row(what=True), "claim 'a': what: expected text, found True"),
        (row(note={"a": 1}), "claim 'a': note: expected text"),
        (row(what="so " * 1000), "what: has more than 1000 characters"),
        (row(id="<b>"), "id: '<b>' is no name"),
        (row(id="../a"), "id: '../a' is no name"),
        (row(id=["a"]), "id: expected text"),
        (row(source=["survey"]), "source: expected dissertation or survey"),
        (row(printed="9" * 400), r"printed: expected a number, found '999.*\.\.\.$"),
        (row(printed=[1]), "printed: expected a number"),
        (row(printed=True), "printed: expected a number, found True"),
        (row(rule={"key": ["weights"]}), "rule: key: expected text"),
        (row(rule={"protocol": {"a": 1}}), "rule: protocol: expected text"),
        (row(rule={"where": 0}), "where: expected a filter such as"),
        (row(rule={"where": {"loss": {"a": 1}}}), "where: loss: expected a value or a list of values"),
        (row(rule={"where": {"loss": [["a"]]}}), "where: loss: expected a value or a list of values"),
        (row(rule={"digits": -400}), "digits: expected a whole number of at most 15, found -400"),
        (row(rule={"tolerance": 1e300}), "tolerance: expected a number below 1e15"),
        (row(TREND, rule={"smaller": 10**400}), "smaller: expected a number below 1e15"),
        (row(TREND, rule={"margin": 1e300}), "margin: expected a number below 1e15"),
        (row(TREND, gain=["a"]), "gain: expected text"),
        (row(TREND, rule={"profile": ["standard"]}), r"records of \['standard'\] carry no verdict"),
        (row() | {"rule": [1]}, r"rule: expected fields and values, found \[1\]"),
        (row() | {"rule": [1], "key": "a"}, r"rule: expected fields and values, found \[1\]"),
    ],
)
def test_a_malformed_claim_is_named(project, claim, message):
    write_claims(project, claim)
    (problem,) = Ledger(project).problems()
    assert re.search(message, problem)
    assert "made_up.yml" in problem
    assert "\n" not in problem


def test_a_malformed_item_is_named(project):
    for field, value in (("title", ["a"]), ("status", {"a": 1}), ("chapter", True), ("id", "a b")):
        item = {"id": "t", "source": "survey", "item": "Table 1", "title": "Losses", field: value}
        write_claims(project, inventory=json.dumps([item]))
        (problem,) = Ledger(project).problems()
        assert re.search(rf"inventory\.yml: claim .*: {field}: ", problem)


def test_infinity_is_no_tolerance(project):
    write_claims(project, row(printed=3, rule={"tolerance": 1}))
    path = project.book / "claims" / "made_up.yml"
    for value in (".inf", ".nan"):
        path.write_text(path.read_text().replace('"tolerance": 1', f'"tolerance": {value}'))
        (problem,) = Ledger(project).problems()
        assert "tolerance: expected a number" in problem


def test_a_chapter_of_a_work_may_be_any_text(project):
    for chapter in ("2", "2.4", "10 and 11", ".", " ", "²", "Appendix", "-1", "9" * 50):
        item = {"id": "t", "source": "dissertation", "item": "Table 2.1", "title": "Losses", "chapter": chapter}
        write_claims(project, row(), inventory=json.dumps([item]))
        assert '<tr id="claim-a">' in ledger_page(Ledger(project))


def test_what_is_no_file_is_named_and_not_waited_for(project):
    write_claims(project, row())
    os.mkfifo(project.book / "claims" / "pipe.yml")
    (project.book / "claims" / "folder.yml").mkdir()
    (project.book / "claims" / "link.yml").symlink_to("nowhere.yml")
    problems = Ledger(project).problems()
    assert [re.search(r"(\w+)\.yml: (is \w+ \w+|there is no such file)", p).groups() for p in problems] == [
        *(("folder", "is a folder"), ("link", "there is no such file"), ("pipe", "is a pipe"))
    ]


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES |= st.sampled_from(
    ["a", "{row}", "-", "a - b", "1 2", "Table 2.1", "survey", "trend", "paper", "9" * 400, 10**30]
)
VALUES = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
BLOCK = {
    **{"item": "Table 2.1", "source": "dissertation", "kind": "accuracy", "unit": "percent", "needs": "MARS"},
    **{"id": "t-{row}-{column}", "what": "{name}: {column}", "because": "seeds differ", "tolerance": 1.0},
    "rule": {"chapter": 1, "key": "{column}", "where": {"method": "{row}"}},
    "columns": {"rank1": {}, "mAP": {}},
    "rows": {
        "one": {"name": "One", "printed": "1 2"},
        "two": {"name": "Two", "printed": "3 -", "cells": {"rank1": {}}},
    },
}
FILES = [
    [row(), row(TREND, id="b", gain="c - a"), row(ACCURACY, id="c", gain=...), {"defaults": {"note": "so"}}, BLOCK],
    [{"id": "i", "source": "dissertation", "item": "Table 2.1", "title": "Scores", "chapter": 2, "status": "so"}],
]


def places(value, place=()):
    """All ways into a value of lists and mappings."""
    yield place
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*place, key))


def changed(value, place, new):
    if not place:
        return new
    copy = value.copy()
    copy[place[0]] = changed(value[place[0]], place[1:], new)
    return copy


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("judged") / "project")
    write_run(project, losses([0.6] * 5, [0.5] * 5))
    write_run(project, [{"key": "weights", "value": 664704, "unit": "count"}], profile="quick")
    return project


@given(data=st.data())
@settings(deadline=None, max_examples=50)
def test_any_value_in_any_field_is_judged_or_refused_in_a_line(judged, data):
    files_ = list(FILES)
    which = data.draw(st.integers(0, 1))
    place = data.draw(st.sampled_from(list(places(FILES[which]))))
    files_[which] = changed(FILES[which], place, data.draw(VALUES))
    write_claims(judged, inventory=json.dumps(files_[1]))
    (judged.book / "claims" / "made_up.yml").write_text(json.dumps(files_[0]))
    ledger = Ledger(judged)
    for problem in ledger.problems():
        assert re.match(r"[^\n]*(made_up|inventory)\.yml[^\n]*", problem)
        assert len(problem) < 1000 + len(str(judged.root))
    try:
        rows = ledger.rows()
    except ClaimError:
        return
    json.dumps([found.as_dict() for found in rows], allow_nan=False)
    assert ledger_page(ledger)


def test_a_malformed_claim_stops_the_ledger_and_all_are_counted(project):
    write_claims(project, row(kind="odd"), row(id="b", kind="odd"), row(id="c"))
    with pytest.raises(ClaimError, match=r"kind: expected .*\(and 1 more: see `reidlab claims --check`\)"):
        Ledger(project).rows()


def test_ids_and_items_stand_once(project):
    doubled = INVENTORY + INVENTORY.splitlines()[1]
    write_claims(project, row(), row(), inventory=doubled)
    problems = Ledger(project).problems()
    assert any("claim 'a' stands twice" in p for p in problems)
    assert any("item 'diss-table-2.1' stands twice" in p for p in problems)


@pytest.mark.parametrize("text", ["- {id: a", "just text", "- 3\n"])
def test_a_file_that_is_no_list_of_claims_is_named(project, text):
    write_claims(project)
    (project.book / "claims" / "odd.yml").write_text(text)
    (problem,) = Ledger(project).problems()
    assert "odd.yml" in problem


def test_a_rule_that_no_fresh_record_fits_is_named(project):
    write_run(project, losses([0.6] * 5, [0.5] * 5))
    write_claims(project, row(TREND, rule={"larger": {"loss": "tripplet"}}))
    (problem,) = Ledger(project).problems()
    assert "no record of 'rank1' in profile standard has loss tripplet" in problem


def test_a_verified_run_may_lack_rows_that_came_after_it(project):
    today = codehash.of_chapter(project.notebook("01_tiny")).as_dict()
    before = today | {"records": today["records"] | {"notebook": "0" * 16}}
    entry = {"seed": 0, "date": "2024-03-04T05:06:07+00:00", "records": 10, "left_out": [], "code": today["records"]}
    entry |= {"versions": {}, "machine": "made up", "device": "cpu", "threads": 1}
    write_run(project, losses([0.6] * 5, [0.5] * 5), kept=True, code=before, verified=entry)
    write_claims(project, row(TREND, rule={"larger": {"loss": "newer"}}))
    assert not store.kept("01_tiny", "standard", project).is_stale(project)
    assert Ledger(project).problems() == []
    assert Ledger(project).rows()[0].name == "not run"


@pytest.mark.parametrize(
    ("key", "problems"),
    [
        ("wieghts", ["chapter 01_tiny records no 'wieghts'; it records rank1"]),
        ("weights", []),  # the notebook names it
        ("macs", []),  # the module names it
    ],
)
def test_a_key_that_neither_records_nor_code_name_is_a_problem(project, key, problems):
    write_chapter(project, "01_tiny", experiment="from reidlab.models import cost\nrun.record('a', cost(1))")
    write_claims(project, row(rule={"key": key}))
    assert Ledger(project).problems() == []  # a key may be put together; before a run nobody can tell
    write_run(project, losses([0.6] * 5, [0.5] * 5))
    assert [found.partition("rule: ")[2] for found in Ledger(project).problems()] == problems


def test_items_without_a_claim_are_holes(project):
    write_claims(project, row())
    assert [item.id for item in Ledger(project).holes()] == ["diss-table-10", "survey-table-1"]


def test_printed_decimals():
    assert [claims.printed_decimals(text) for text in ("82.80", "82.8", "82", "0.001")] == [2, 1, 0, 3]


# ---- what is shown -------------------------------------------------------------------------------------------------


def test_every_verdict_has_its_wording(project):
    write_run(project, losses([0.6] * 5, [0.5] * 5))
    write_claims(project, row(TREND), row(id="b"), row(ACCURACY, id="c", item="Table 10"))
    for found, name in itertools.product(Ledger(project).rows(), VERDICTS):
        if found.name == name:
            assert found.verdict == name or found.verdict.startswith(f"{name} (")


def test_what_a_verdict_rests_on_comes_with_it(project):
    write_run(project, [{"key": "weights", "value": 1.1, "unit": "count"}], profile="quick")
    printed = {"kind": "exact", "printed": "1.0", "unit": "count"}
    write_claims(
        project,
        row(printed),
        row(id="b", printed=..., whose="ours", rule={"implied": 1, "tolerance": 0.5}),
        row(ACCURACY, id="c"),
        row(TREND, id="d"),
        row(id="e", basis="fact", rule=None),
        row(id="f", basis="consistent", rule={"key": "printed_difference"}),
    )
    found = {r.claim.id: r for r in Ledger(project).rows()}
    plain = {name: r.as_dict() for name, r in found.items()}
    assert [plain[name]["basis"] for name in "abcdef"] == [
        *("recounted", "recounted", "measured", "measured", "fact", "consistent")
    ]
    assert [plain[name]["tolerance"] for name in "abcdef"] == [None, 0.5, 1.0, None, None, 0.0]
    assert [plain[name]["whose"] for name in "ab"] == ["work", "ours"]
    assert plain["b"]["because"] == "the test says so"
    assert (plain["b"]["printed"], found["b"].verdict, found["b"].why) == (
        *(None, "reproduced", "measured 1.1, implied 1"),
    )
    text = html.unescape(ledger_page(Ledger(project)))
    assert "exact, recounted, our own question; 01_tiny, quick" in text
    assert "6 claims on 1 of 3 tables and figures; 1 row of them" in text


def test_totals_never_mix_what_verdicts_rest_on(project):
    write_claims(project, row(), row(ACCURACY, id="b"), row(TREND, id="c"), row(id="d", basis="fact", rule=None))
    (line,) = [line for line in ledger_page(Ledger(project)).splitlines() if ">fact</th>" in line]
    (cells,) = [found for found in re.findall(r"<tr>(.*?)</tr>", line) if "not-run" in found]
    # measured, recounted, consistent, fact.
    assert re.findall(r"<td>(\d+)</td>", cells) == ["2", "1", "0", "1"]


def test_the_printed_gain_comes_from_the_claims_that_print_it(project):
    write_run(project, losses([0.5, 0.51, 0.49, 0.5, 0.5], [0.5] * 5))
    scores = [row(ACCURACY, id=name, printed=printed) for name, printed in (("new", "86.5"), ("old", "83.4"))]
    write_claims(project, row(TREND, gain="new - old"), *scores)
    found = {r.claim.id: r for r in Ledger(project).rows()}["a"]
    assert found.claim.gain == pytest.approx(0.031)
    assert found.verdict == "no effect here"
    assert found.as_dict()["gain"] == pytest.approx(0.031)
    assert "gain +0.031" in ledger_page(Ledger(project))
    write_claims(project, row(TREND, gain="new - old - new + old"), *scores)
    (problem,) = claims.read(project).problems
    assert re.search(r"claim 'a': gain: 'new - old - new \+ old' makes 0; expected the larger side first", problem)


def test_a_file_is_read_once_until_it_changes(project, monkeypatch):
    from reidlab.lab import claim_files

    asked = []
    original = claim_files.read_yaml
    monkeypatch.setattr(claim_files, "read_yaml", lambda path: asked.append(path.name) or original(path))
    write_claims(project, row())
    for _ in range(3):
        assert [claim.id for claim in claims.read(project).claims] == ["a"]
    assert sorted(asked) == ["inventory.yml", "made_up.yml"]
    write_claims(project, row(id="b"))
    assert [claim.id for claim in claims.read(project).claims] == ["b"]


def test_rows_become_plain_data(project):
    write_run(project, losses([0.6] * 5, [0.5] * 5))
    found = verdict(project, row(TREND)).as_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert {"id", "source", "item", "kind", "printed", "measured", "verdict", "why"} <= set(found)
    assert verdict(project, row(printed="82.80", unit="percent")).as_dict()["printed"] == 82.8


def test_few_seeds_leave_no_infinite_interval_in_the_json(project):
    write_run(project, losses([0.6], [0.5]))
    found = verdict(project, row(TREND)).as_dict()
    assert found["verdict"] == "inconclusive"
    json.dumps(found, allow_nan=False)


def test_what_a_run_may_not_come_upon_is_named_and_no_error(project):
    """Its values must be known from other records, so that a misspelt one is still found."""
    both = losses([0.6] * 5, [0.5] * 5)
    write_run(project, [*both, {"key": "gain", "value": 0.1, "seed": 0, "dims": {"loss": "other"}}])
    trend = row(TREND, rule={"key": "gain", "larger": {"loss": "triplet"}, "smaller": 0.0})
    assert verdict(project, trend).why.startswith("needs records that fit its rule: no record has key gain")
    (problem,) = Ledger(project).problems()
    assert "no record of 'gain'" in problem
    trend["rule"]["if_any"] = "a world in which they differ"
    found = verdict(project, trend)
    assert (found.name, found.why) == ("not run", "needs a world in which they differ")
    assert Ledger(project).problems() == []
    trend["rule"]["larger"] = {"loss": "tripelt"}
    write_claims(project, trend)
    assert "tripelt" in Ledger(project).problems()[0]
    trend["rule"] |= {"key": "rank1", "larger": {"loss": "triplet"}, "smaller": {"loss": "softmax"}}
    assert verdict(project, trend).name == "trend holds"


def test_the_page_has_every_claim_and_hole_in_the_order_of_chapters(project):
    write_claims(project, row(what="a <b> & c"), row(TREND, id="t"))
    text = ledger_page(Ledger(project))
    assert '<tr id="claim-a">' in text
    assert '<tr id="claim-t">' in text
    assert '<tr id="item-diss-table-10">' in text
    assert "a &lt;b&gt; &amp; c" in text
    assert text.count("no claim yet") == 2
    assert text.index("### Chapter 2") < text.index("### Chapter 10") < text.index("## The survey")
    assert "2 claims on 1 of 3 tables and figures" in text
    # A blank line would end a block of HTML in the middle of a table.
    assert all(line.endswith("</div>") for line in text.splitlines() if line.startswith("<div"))


def test_the_claims_of_this_book_are_well_where_nothing_has_run(tmp_path):
    """As in a fresh clone: no run store, kept records only."""
    ledger = Ledger(Project(Project.find().root, tmp_path))
    assert ledger.problems() == []
    assert len(ledger.book.claims) > 700


def test_an_empty_project_has_an_empty_ledger(tmp_path):
    project = make_project(tmp_path / "p")
    assert Ledger(project).rows() == []
    assert "0 claims on 0 of 0" in ledger_page(Ledger(project))
