"""Tables and sentences from chapter 6's records, which are made up here."""

import numpy as np
import pandas as pd
import pytest

from reidlab.pruning import global_looking as looking

ONE = {"data": "digits", "network": "n", "seed": 0}


def table(values):
    rows = [
        {"data": "digits", "network": "n", "row": row, "seed": seed, "key": "accuracy", "value": value}
        for row, some in values.items()
        for seed, value in enumerate(some)
    ]
    return pd.DataFrame(rows)


def test_gains_are_paired_by_seed_and_five_seeds_decide():
    found = looking.gains(table({"baseline": [0.5, 0.6], "f": [0.6, 0.8]}), "row", "baseline")
    assert found["value"].tolist() == pytest.approx([0.1, 0.2])
    assert looking.decided(found, "row")["says"].tolist() == ["open"]
    base = np.linspace(0.5, 0.6, 5)
    found = looking.gains(table({"baseline": base, "f": base + 0.1 + base / 10, "p": base - 0.1}), "row", "baseline")
    decided = looking.decided(found, "row")
    assert dict(zip(decided["row"], decided["says"])) == {"f": "ahead", "p": "behind"}
    assert looking.counted(decided) == "ahead in 1, behind in 1 and open in 0 of 2"


def test_without_records_there_is_nothing_to_tell():
    empty = looking.gains(table({"f": [0.5]}), "row", "baseline")
    assert empty.empty
    assert looking.counted(looking.decided(empty, "row")) == "not measured in any"


def test_predictions_stand_beside_measurements():
    common = {"data": "digits", "network": "n", "experiment": "e", "method": "caie", "seed": 0}
    rows = [
        {**common, "key": key, "iteration": number, "value": value}
        for key, values in {"predicted_ms": [2.0, 1.1], "measured_ms": [2.0, 1.0]}.items()
        for number, value in enumerate(values)
    ]
    assert looking.miss(pd.DataFrame(rows)) == pytest.approx(0.1)
    assert np.isnan(looking.miss(pd.DataFrame(rows[:1] + rows[2:3])))


def records(*rows, **common):
    """Records of one task, with all columns that tables look at."""
    names = ("experiment", "row", "method", "resource", "removed", "split", "share", "number", "iteration")
    found = pd.DataFrame([{**dict.fromkeys(names), **ONE, **common, **row} for row in rows])
    return found.assign(number=found["number"].astype(float), share=found["share"].astype(float))


def accuracy(value, **dims):
    return {"key": "accuracy", "split": "test", "value": value, **dims}


def test_rows_of_the_table_beside_what_they_leave():
    measured = records(
        accuracy(0.9),
        *(accuracy(0.5 + k / 10, row=row, seed=seed) for seed in range(5) for k, row in enumerate(["baseline", "f"])),
        {"key": "accuracy", "split": "validation", "row": "f", "value": 0.1},
        {"key": "macs_share", "row": "f", "value": 0.4},
        experiment="budgets",
    )
    ahead = looking.gains(measured[measured["split"] == "test"], "row", "baseline")
    found, numbers = looking.rows_compared(measured, ahead)
    assert found.loc[("digits", "n", "f")].to_dict() == {"accuracy": 0.6, "macs_share": 0.4}
    assert found.loc[("digits", "n", "whole"), "accuracy"] == 0.9
    assert numbers["row_f"] == numbers["rows_counted"] == "ahead in 1, behind in 0 and open in 0 of 1"
    assert numbers["row_pair"] == "not measured in any"


def test_paths_and_what_is_left_unused_at_their_ends():
    bend = [{"key": "path_deviation", "row": row, "value": v} for row, v in (("baseline", 0.2), ("pair", 0.05))]
    bend += [{"key": "path_deviation", "row": "reached", "value": 0.1}]
    over = [
        {"key": "overshoot", "row": row, "resource": resource, "value": value}
        for row, values in {"pair": (0.0, 0.3), "aimed": (0.001, 0.002)}.items()
        for resource, value in {"macs": values[0], "params": values[1], "either": max(values)}.items()
    ]
    found, numbers = looking.ends(records(*bend, *over, experiment="budgets"))
    assert numbers == {
        "bend_baseline": "20.0", "bend_reached": "10.0", "unused_pair": "30.0", "unused_aimed": "0.2",
    }  # fmt: skip
    assert found["unused, pair"]["params"].tolist() == [0.3]


def test_early_layers_are_the_first_third_and_late_ones_the_last():
    kept = {"baseline": [0.1, 0.1, 0.5, 0.5, 0.9, 0.9], "f": [0.2] * 6, "p": [0.3] * 6, "pair": [1.0] * 6}
    measured = records(
        *({"key": "width_share", "row": row, "number": number, "value": value}
          for row, values in kept.items() for number, value in enumerate(values, 1))
    )  # fmt: skip
    found, numbers = looking.filters_kept(measured)
    assert (numbers["early_baseline"], numbers["late_baseline"]) == ("10", "90")
    assert numbers["kept_of"] == "n, digits"
    assert (numbers["early_f"], numbers["late_p"]) == ("20", "30")
    assert len(found) == 24


def test_estimates_are_compared_with_the_loss_alone():
    impact = [
        {"key": "impact_total", "method": method, "resource": resource, "value": value}
        for method, values in {"caie": (1.0, 3.0), "loss": (2.0, 4.0)}.items()
        for resource, value in zip(("operations", "parameters"), values)
    ]
    error = [{"key": "impact_sum_error", "removed": name, "value": v} for name, v in (("step", 0.02), ("quarter", 0.3))]
    _, numbers = looking.estimates(records(*impact, *error))
    assert list(numbers.values()) == ["0.50", "0.75", "2.0", "30"]


def test_methods_at_equal_operations_and_at_equal_latency():
    rows = [accuracy(0.5 + k / 10, method=m, seed=s) for s in range(5) for k, m in enumerate(("tp-taylor", "caie"))]
    rows += [{"key": "latency_ms", "method": "caie", "value": 2.0}]
    at = {name: records(*rows, experiment=name) for name in ("equal-macs", "equal-latency")}
    ahead = looking.gains(at["equal-macs"][at["equal-macs"]["split"] == "test"], "method", "caie")
    found, numbers = looking.others_compared(at["equal-macs"], ahead)
    assert numbers["against_tp_taylor"] == "ahead in 0, behind in 1 and open in 0 of 1"
    assert found["accuracy"].tolist() == [0.5, 0.6]
    found, numbers = looking.at_latency(at["equal-latency"])
    assert numbers == {"latency_others": "ahead in 0, behind in 1 and open in 0 of 1",
                       "latency_miss": "an unknown number of"}  # fmt: skip
    assert found.loc[("digits", "n", "caie"), "latency_ms"] == 2.0
    assert looking.at_latency(at["equal-macs"])[0].empty


def test_a_sweep_is_that_of_the_first_task():
    rows = [
        accuracy(0.5, method="caie", share=0.25),
        {"key": "macs_share", "method": "caie", "share": 0.25, "value": 0.24},
    ]
    measured = records(*rows, *({**row, "network": "other"} for row in rows), experiment="pareto")
    found = looking.swept(measured)
    assert found[["network", "name", "left"]].values.tolist() == [["n", "caie, 25 %", 0.24]]
    assert looking.swept(measured[measured["experiment"] == "none"]).empty


def test_people_are_scored_by_the_millisecond():
    rows = [
        {"key": key, "method": "caie", "value": value}
        for key, value in (("mAP", 0.6), ("rank1", 0.8), ("latency_ms", 2.0))
    ]
    found = looking.people(records(*rows, experiment="reid"))
    assert found.loc[("digits", "caie"), ["mAP per ms", "rank1 per ms"]].tolist() == [0.3, 0.4]
    assert looking.people(records(*rows, experiment="none")).empty


def test_greedy_choices_are_counted_as_the_text_says_them():
    toys = [
        {"key": key, "problem": problem, "objective": objective, "value": value}
        for (key, problem, objective), value in {
            ("toy_optimal", "single", "reached"): 1.0, ("toy_optimal", "single", "given"): 0.34,
            ("toy_optimal", "pair", "updated"): 0.2, ("toy_missed", "pair", "given"): 0.56,
            ("toy_missed", "pair", "updated"): 0.0,
        }.items()
    ]  # fmt: skip
    toys += [
        {"key": "toy_additive", "metric": metric, "value": v} for metric, v in (("squared", 0.0), ("absolute", 0.5))
    ]
    found, numbers = looking.proofs(pd.DataFrame(toys).assign(property=None))
    assert list(numbers.values()) == ["100", "34", "20", "56", "0", "0", "50"]
    assert len(found) == 7


def test_sums_that_do_not_follow_are_listed():
    judged = pd.DataFrame(
        {"what": ["a", "b"], "printed": ["6.28", None], "measured": [66.28, 0.5], "unit": ["%", ""],
         "note": ["misprint", ""], "agrees": [False, True]}
    )  # fmt: skip
    found, numbers = looking.unmet(judged)
    assert found.values.tolist() == [["a", "6.28 | 66.28 %", "misprint"]]
    assert numbers == {"sums_asked": "2", "sums_met": "1"}
