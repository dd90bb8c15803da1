"""Greedy choices against every set of filters, by hand and by a search that was written another way."""

from itertools import combinations

import numpy as np
import pytest

from reidlab.pruning.toy import Problem, drawn, greedy, optimum, records


def slowly(problem):
    filters = range(len(problem.loss))
    sets = [list(some) for size in range(len(filters) + 1) for some in combinations(filters, size)]
    return min(
        problem.loss[some].sum()
        for some in sets
        if all(row[some].sum() >= least - 1e-9 for row, least in zip(problem.shares, problem.objective))
    )


@pytest.mark.parametrize("resources", [1, 2])
def test_the_optimum_is_that_of_a_plain_search(resources):
    rng = np.random.default_rng(resources)
    for _ in range(5):
        problem = drawn(rng, 7, resources)
        assert optimum(problem) == pytest.approx(slowly(problem))


def test_the_example_in_which_the_last_filter_overshoots():
    problem = Problem(np.array([1.0, 9.0, 2.5]), np.array([[0.1, 0.9, 0.2]]), np.array([0.2]))
    assert greedy(problem).loss == 10.0
    assert optimum(problem) == 2.5
    exact = greedy(problem, exact=True)  # the first is not needed once the second has gone
    assert (exact.gone, exact.loss, exact.met) == ([1], 9.0, True)


def test_a_fixed_objective_can_miss_a_budget_that_an_updated_one_meets():
    """Two filters save the first resource cheaply; their projection on R is long enough, and the second is missed."""
    problem = Problem(np.array([1.0, 1.0, 9.0]), np.array([[0.4, 0.4, 0.0], [0.0, 0.0, 0.5]]), np.array([0.3, 0.3]))
    fixed, updated = greedy(problem, updated=False), greedy(problem)
    assert (fixed.gone, fixed.met) == ([0, 1], False)
    assert (updated.gone, updated.met) == ([0, 2], True)


def test_what_is_drawn_makes_up_each_resource():
    problem = drawn(np.random.default_rng(0), 5, 2, 0.4)
    np.testing.assert_allclose(problem.shares.sum(axis=1), 1)
    assert ((problem.objective >= 0.4) & (problem.objective <= 0.6)).all()


def test_records_say_what_holds_and_what_does_not():
    found = {
        (row["key"], *(row.get(name) for name in ("property", "metric", "problem", "objective"))): row["value"]
        for row in records(problems=20, filters=8)
        if row["key"] != "toy_regret"
    }
    always = [found["toy_agrees", name, None, None, None] for name in ("filters", "equal-impact", "equal-loss")]
    assert [*always, found["toy_optimal", None, None, "single", "reached"]] == [1.0] * 4
    assert found["toy_missed", None, None, "pair", "updated"] == 0.0
    for key in (("toy_optimal", None, None, "single", "given"), ("toy_missed", None, None, "pair", "given")):
        assert 0 < found[key] < 1
    regret = [row for row in records(problems=20, filters=8) if row["key"] == "toy_regret"]
    assert all(row["value"] >= -1e-9 for row in regret)
    assert len({(row["problem"], row["method"], row["filters"]) for row in regret}) == len(regret) == 24
